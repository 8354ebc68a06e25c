"""What pages may change, where the server was started with ``--allow-write``."""

from __future__ import annotations

from flask import Blueprint, redirect, request, url_for
from flask.typing import ResponseReturnValue

from mlgit.entities import LifecycleStage
from mlgit.exceptions import InvalidParameterValue, ResourceDoesNotExist
from mlgit.server.describing import STAGES, one_of, tag_sent, written
from mlgit.server.protection import is_local_path
from mlgit.server.registered import registry
from mlgit.server.runs import STARRED
from mlgit.server.shown_run import NOTE, ShownRun, shown_run
from mlgit.server.site import store
from mlgit.tracking import registered

pages = Blueprint("changes", __name__)
_MOST_SELECTED = 500
# As MLflow's database has it.
_LONGEST_NAME = 250


@pages.post("/runs/<run_id>/star")
def star(run_id: str) -> ResponseReturnValue:
    """Put a star on a run, or take it away."""
    run = shown_run(run_id)
    _tag(run, STARRED, "true" if one_of("star", ("on", "off")) == "on" else "")
    return _back(run.id)


@pages.post("/runs/<run_id>/note")
def note(run_id: str) -> ResponseReturnValue:
    """Write the run's note."""
    run = shown_run(run_id)
    store().runs.set_tag(run.id, NOTE, written())
    return _back(run.id)


@pages.post("/runs/<run_id>/name")
def name(run_id: str) -> ResponseReturnValue:
    """Give the run another name."""
    run = shown_run(run_id)
    given = request.form.get("name", "").strip()
    if not given:
        raise InvalidParameterValue("A run's name can't be empty")
    if len(given) > _LONGEST_NAME or not given.isprintable():
        raise InvalidParameterValue(
            f"A run's name is one line of at most {_LONGEST_NAME} characters",
            hint="a note has room for more",
        )
    store().runs.update(run.id, run_name=given)
    return _back(run.id)


@pages.post("/runs/<run_id>/tags")
def tag(run_id: str) -> ResponseReturnValue:
    """Set a tag; remove it where no value is given."""
    run = shown_run(run_id)
    key, value = tag_sent()
    _tag(run, key, value, missing_ok=False)
    return _back(run.id)


@pages.post("/runs/<run_id>/register")
def register(run_id: str) -> ResponseReturnValue:
    """Make a model of the run the next version of a registered one."""
    run = shown_run(run_id)
    path, name = request.form.get("path", ""), request.form.get("name", "").strip()
    if path not in [model.path for model in run.models]:
        raise ResourceDoesNotExist(
            f"This run has no model at {path[:200]!r}", hint="the run's page lists those it has"
        )
    version = registered.register(registry(), name, f"runs:/{run.id}/{path}", run.id)
    return redirect(url_for("version.index", name=name, number=version.version), 303)


@pages.post("/runs/<run_id>/stage")
def stage(run_id: str) -> ResponseReturnValue:
    """Delete a run, or restore it."""
    run = shown_run(run_id)
    _set_stage(run, one_of("stage", STAGES))
    return _back(run.id)


@pages.post("/selection/<action>")
def selection(action: str) -> ResponseReturnValue:
    """Star, tag, delete or restore the runs that are selected in a table."""
    found = [shown_run(run_id) for run_id in request.form.getlist("run")[:_MOST_SELECTED]]
    if action not in ("star", "tag", "delete", "restore"):
        raise InvalidParameterValue(f"There is nothing called {action[:40]!r} to do with runs")
    key, value = tag_sent() if action == "tag" else (STARRED, "true")
    for run in found:
        if action in ("star", "tag") and not run.is_deleted:
            _tag(run, key, value)
        elif action in ("delete", "restore"):
            _set_stage(run, STAGES[action == "delete"])
    wanted = request.args.get("next", "")
    return redirect(wanted if is_local_path(wanted) else url_for("runs.index"), 303)


def _tag(run: ShownRun, key: str, value: str, *, missing_ok: bool = True) -> None:
    """Set a run's tag; remove it where the value is empty."""
    if value:
        store().runs.set_tag(run.id, key, value)
    elif not missing_ok or key in run.run.data.tags:
        store().runs.delete_tag(run.id, key)


def _set_stage(run: ShownRun, wanted: str) -> None:
    """Delete a run, or restore it; nothing where it is so already, as after a second click."""
    if run.is_deleted != (wanted == LifecycleStage.DELETED):
        store().runs.update(run.id, lifecycle_stage=wanted)


def _back(run_id: str) -> ResponseReturnValue:
    """To the page that the form was on."""
    wanted = request.form.get("next", "")
    if is_local_path(wanted):
        return redirect(wanted, 303)
    return redirect(url_for("run.overview", run_id=run_id), 303)
