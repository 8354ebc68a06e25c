"""The tag in which a run tells of the models that it logged (MLflow's ``mlflow.log-model.history``)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

HISTORY = "mlflow.log-model.history"


def logged(tags: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """The models of a run: what the tag says of each by its folder, the newest first.

    No file is read; of a folder that was logged to more than once the last time counts, and what
    can't be read is left out.
    """
    try:
        history = json.loads(tags.get(HISTORY) or "[]")
    except (ValueError, RecursionError):
        return {}
    found: dict[str, dict[str, Any]] = {}
    for entry in reversed(history if isinstance(history, list) else []):
        path = entry.get("artifact_path") if isinstance(entry, dict) else None
        if isinstance(path, str) and path:
            found.setdefault(path, entry)
    return found


def flavors(entry: Mapping[str, Any]) -> tuple[str, ...]:
    """The names of a model's flavors, sorted, by what ``logged`` says of it."""
    named = entry.get("flavors")
    return tuple(sorted(named)) if isinstance(named, dict) else ()
