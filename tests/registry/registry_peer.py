"""Makes calls on a registry and says, in plain JSON, what came of them.

The tests import it for mlgit; run as a program by the interpreter that has MLflow, it does the
same with MLflow's own SQLite store, a line in and a line out.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any


def version_of(found: Any) -> dict[str, Any]:
    """What two registries should agree on about a version."""
    keys = ("name", "description", "current_stage", "source", "run_id", "run_link", "status")
    shown = {key: getattr(found, key) for key in keys}
    return {**shown, "version": int(found.version), "tags": dict(found.tags)}


def model_of(found: Any) -> dict[str, Any]:
    """What two registries should agree on about a model."""
    latest = sorted((v.current_stage, int(v.version)) for v in found.latest_versions)
    return {
        "name": found.name,
        "description": found.description,
        "tags": dict(found.tags),
        "aliases": {alias: int(version) for alias, version in found.aliases.items()},
        "latest": [list(item) for item in latest],
    }


def plain(found: Any) -> Any:
    """An answer as JSON."""
    if isinstance(found, (list, tuple)):
        shown = [plain(item) for item in found]
        token = getattr(found, "token", None)  # MLflow's SQLite store gives bytes
        token = token.decode() if isinstance(token, bytes) else token
        return {"page": shown, "token": token} if hasattr(found, "token") else shown
    if hasattr(found, "current_stage"):
        return version_of(found)
    return model_of(found) if hasattr(found, "latest_versions") else found


def with_aliases(call: str, found: Any) -> Any:
    """An answer as JSON; where MLflow gives a version's aliases, those, too."""
    shown = plain(found)
    if call == "rename_registered_model":
        return None  # MLflow's client gives nothing, whatever its signature says
    if call in ("get_model_version", "get_model_version_by_alias", "update_model_version"):
        shown["aliases"] = sorted(found.aliases)
    if call == "get_latest_versions":
        shown.sort(key=lambda version: version["version"])
    return shown


def answer(client: Any, call: str, arguments: list[Any], options: dict[str, Any]) -> Any:
    """Make a call; ``{"ok": …}`` or ``{"error": code}``."""
    try:
        return {"ok": with_aliases(call, getattr(client, call)(*arguments, **options))}
    except Exception as error:
        if not hasattr(error, "error_code"):
            raise
        return {"error": error.error_code}


def main() -> None:
    from mlflow import MlflowClient

    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what MLflow prints isn't an answer
    client = MlflowClient(sys.argv[1], sys.argv[1])
    for line in sys.stdin:
        call, arguments, options = json.loads(line)
        if call == "reset":
            for model in client.search_registered_models(max_results=1000):
                client.delete_registered_model(model.name)
            found: Any = {"ok": None}
        else:
            try:
                found = answer(client, call, arguments, options)
            except Exception as error:  # MLflow's own bugs
                found = {"crash": repr(error)}
        out.write(json.dumps(found) + "\n")
        out.flush()


if __name__ == "__main__":
    main()
