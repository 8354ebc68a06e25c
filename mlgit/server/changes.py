"""What pages may change, where the server was started with ``--allow-write``."""

from __future__ import annotations

from flask import Blueprint, redirect, request, url_for
from flask.typing import ResponseReturnValue

from mlgit.entities import LifecycleStage
from mlgit.exceptions import InvalidParameterValue
from mlgit.server.protection import is_local_path
from mlgit.server.runs import STARRED
from mlgit.server.shown_run import NOTE, ShownRun, shown_run
from mlgit.server.site import store

pages = Blueprint("changes", __name__)
_MOST_SELECTED = 500


@pages.post("/runs/<run_id>/star")
def star(run_id: str) -> ResponseReturnValue:
    """Put a star on a run, or take it away."""
    run = shown_run(run_id)
    if STARRED in run.record.tags:
        store().runs.delete_tag(run.id, STARRED)
    else:
        store().runs.set_tag(run.id, STARRED, "true")
    return _back(run.id)


@pages.post("/runs/<run_id>/note")
def note(run_id: str) -> ResponseReturnValue:
    """Write the run's note."""
    run = shown_run(run_id)
    store().runs.set_tag(run.id, NOTE, request.form.get("note", "").replace("\r\n", "\n"))
    return _back(run.id)


@pages.post("/runs/<run_id>/name")
def name(run_id: str) -> ResponseReturnValue:
    """Give the run another name."""
    run = shown_run(run_id)
    given = request.form.get("name", "").strip()
    if not given:
        raise InvalidParameterValue("A run's name can't be empty")
    store().runs.update(run.id, run_name=given)
    return _back(run.id)


@pages.post("/runs/<run_id>/tags")
def tag(run_id: str) -> ResponseReturnValue:
    """Set a tag; remove it where no value is given."""
    run = shown_run(run_id)
    key, value = request.form.get("key", "").strip(), request.form.get("value", "")
    if value:
        store().runs.set_tag(run.id, key, value)
    else:
        store().runs.delete_tag(run.id, key)
    return _back(run.id)


@pages.post("/runs/<run_id>/stage")
def stage(run_id: str) -> ResponseReturnValue:
    """Delete a run, or restore it."""
    run = shown_run(run_id)
    _turn(run)
    return _back(run.id)


@pages.post("/selection/<action>")
def selection(action: str) -> ResponseReturnValue:
    """Star, delete or restore the runs that are selected in a table."""
    found = [shown_run(run_id) for run_id in request.form.getlist("run")[:_MOST_SELECTED]]
    if action not in ("star", "delete", "restore"):
        raise InvalidParameterValue(f"There is nothing called {action[:40]!r} to do with runs")
    for run in found:
        if action == "star" and not run.is_deleted:
            store().runs.set_tag(run.id, STARRED, "true")
        elif action != "star" and run.is_deleted == (action == "restore"):
            _turn(run)
    wanted = request.args.get("next", "")
    return redirect(wanted if is_local_path(wanted) else url_for("runs.index"), 303)


def _turn(run: ShownRun) -> None:
    """Delete a run, or restore it."""
    wanted = LifecycleStage.ACTIVE if run.is_deleted else LifecycleStage.DELETED
    store().runs.update(run.id, lifecycle_stage=wanted)


def _back(run_id: str) -> ResponseReturnValue:
    """To the page that the form was on."""
    wanted = request.form.get("next", "")
    if is_local_path(wanted):
        return redirect(wanted, 303)
    return redirect(url_for("run.overview", run_id=run_id), 303)
