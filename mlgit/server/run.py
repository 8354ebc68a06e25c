"""A run's page: what it is, what it logged, its charts, its environment."""

from __future__ import annotations

import json
from typing import Any

from flask import Blueprint, redirect, render_template, url_for
from flask.typing import ResponseReturnValue

from mlgit.entities.model_registry import ModelVersion
from mlgit.exceptions import InvalidParameterValue, ResourceDoesNotExist
from mlgit.server.markdown import to_html
from mlgit.server.registered import registry_here
from mlgit.server.runs import STARRED
from mlgit.server.shown_run import NOTE, ShownRun, shown_run
from mlgit.server.site import store
from mlgit.server.table import SYSTEM
from mlgit.store.filter_tokens import quote

pages = Blueprint("run", __name__)
_UNKNOWN_STEP = -(2**63)
_MOST_VERSIONS = 50
_SCHEMA_LIMIT = 20_000


@pages.get("/runs/<run_id>")
def overview(run_id: str) -> ResponseReturnValue:
    """What the run is and logged, and the commands to go on with."""
    try:
        run = shown_run(run_id)
    except (ResourceDoesNotExist, InvalidParameterValue):
        # A name, or the beginning of an id, as commands take it.
        found = store().resolve_run(run_id)
        if found == run_id:
            raise
        return redirect(url_for("run.overview", run_id=found))
    note = run.record.tags.get(NOTE, "")
    return render_template(
        "run/overview.html",
        run=run,
        facts=_facts(run),
        note=note,
        note_html=to_html(note) if note else "",
        metrics=_metrics(run),
        children=run.children(),
        datasets=_datasets(run),
        starred=STARRED in run.record.tags,
        versions=_versions(run) if run.models else [],
    )


@pages.get("/runs/<run_id>/charts")
def charts(run_id: str) -> str:
    """The metrics' histories, drawn."""
    run = shown_run(run_id)
    keys = sorted(run.record.last)
    return render_template(
        "run/charts.html",
        run=run,
        keys=[key for key in keys if not key.startswith(SYSTEM)],
        system=[key for key in keys if key.startswith(SYSTEM)],
    )


@pages.get("/runs/<run_id>/environment")
def environment(run_id: str) -> str:
    """What the run ran in."""
    run = shown_run(run_id)
    found = run.environment
    packages = found.get("packages")
    system = {key: value for key, value in found.items() if key != "packages"}
    return render_template(
        "run/environment.html",
        run=run,
        system=[(str(key), _text(value)) for key, value in system.items()],
        packages=sorted(packages.items()) if isinstance(packages, dict) else [],
    )


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str)


def _facts(run: ShownRun) -> list[tuple[str, Any]]:
    record, source = run.record, run.record.source
    return [
        ("User", record.user),
        ("Command", source.get("command") or source.get("name")),
        ("Branch", source.get("branch")),
        ("Problems", "; ".join(str(problem) for problem in source.get("problems") or ())),
        ("Changed while it ran", ", ".join(map(str, source.get("changed_during_run") or ()))),
        ("Left out of the code", ", ".join(_left_out(source))),
        ("Record", run.commit),
    ]


def _left_out(source: dict[str, Any]) -> list[str]:
    found = [item for item in source.get("left_out") or () if isinstance(item, dict)]
    return [f"{item.get('path')} ({item.get('reason')})" for item in found]


def _metrics(run: ShownRun) -> list[tuple[str, float, int | None]]:
    """Each metric's last value, and its step where that is known."""
    found = sorted(run.record.last.items(), key=lambda pair: (pair[0].startswith(SYSTEM), pair[0]))
    return [
        (key, point.value, None if point.step == _UNKNOWN_STEP else point.step)
        for key, point in found
    ]


def _datasets(run: ShownRun) -> list[dict[str, str]]:
    return [
        {
            "name": used.dataset.name,
            "digest": used.dataset.digest,
            "context": next((t.value for t in used.tags if t.key == "mlflow.data.context"), ""),
            "source": used.dataset.source,
            "schema": _pretty(used.dataset.schema),
            "profile": _pretty(used.dataset.profile),
            "runs": _runs_with(used.dataset.name, used.dataset.digest),
        }
        for used in run.run.inputs.dataset_inputs
    ]


def _runs_with(name: str, digest: str) -> str:
    """The address of all runs with a dataset; "" where the grammar can't say which."""
    if any("'" in text and '"' in text for text in (name, digest)):
        return ""
    wanted = f"datasets.name = {quote(name)} AND datasets.digest = {quote(digest)}"
    return url_for("runs.index", filter=wanted)


def _versions(run: ShownRun) -> list[ModelVersion]:
    """The versions of registered models that are of this run."""
    wanted = f"run_id = {quote(run.id)}"
    return list(registry_here().search_versions(wanted, _MOST_VERSIONS))


def _pretty(text: str | None) -> str:
    if not text:
        return ""
    try:
        text = json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        pass  # shown as it is
    return text if len(text) <= _SCHEMA_LIMIT else text[:_SCHEMA_LIMIT] + "\n…"
