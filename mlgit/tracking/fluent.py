"""The runs that are going in this process: one active run a thread (MLflow's fluent API)."""

from __future__ import annotations

import atexit
import threading
from types import TracebackType
from typing import TYPE_CHECKING, Any

from mlgit import settings, validation
from mlgit.entities import (
    Run,
    RunStatus,
    RunTag,
)
from mlgit.exceptions import (
    InvalidParameterValue,
    InvalidState,
    MlgitException,
)
from mlgit.git import Repository
from mlgit.store.gitstore import GitStore
from mlgit.store.results import run_of_record
from mlgit.tracking import context, uri
from mlgit.tracking.client import MlgitClient
from mlgit.tracking.experiments import current_experiment

if TYPE_CHECKING:
    import logging


class ActiveRun(Run):
    """A run that is going in this process; as a context manager it ends with its block."""

    # Not a field: two handles of one run are equal.
    _store: GitStore

    def __enter__(self) -> ActiveRun:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        run_id = self.info.run_id
        if not any(active.run_id == run_id for active in _stack()):
            return  # the block ended it itself
        status = "FINISHED" if kind is None else "FAILED"
        if kind is not None and issubclass(kind, KeyboardInterrupt):
            status = "KILLED"
        while _stack():
            last = _stack()[-1].run_id
            end_run(status)
            if last == run_id:
                return


class _Active:
    """An active run: its id, and the store that it was begun in."""

    __slots__ = ("handle", "run_id", "store")

    def __init__(self, store: GitStore, handle: ActiveRun) -> None:
        self.store = store
        self.handle = handle
        self.run_id = handle.info.run_id


class _Local(threading.local):
    """The runs that are active in one thread, innermost last."""

    def __init__(self) -> None:
        self.stack: list[_Active] = []
        self.last: tuple[GitStore, str] | None = None
        _stacks.append(self.stack)


_stacks: list[list[_Active]] = []
local = _Local()
_last_run: tuple[GitStore, str] | None = None


def _stack() -> list[_Active]:
    return local.stack


def _as_active(store: GitStore, run: Run) -> ActiveRun:
    handle = ActiveRun(run.info, run.data, run.inputs)
    return handle


def start_run(
    run_id: str | None = None,
    experiment_id: str | None = None,
    run_name: str | None = None,
    nested: bool = False,
    parent_run_id: str | None = None,
    tags: dict[str, Any] | None = None,
    description: str | None = None,
    log_system_metrics: bool | None = None,
) -> ActiveRun:
    """Begin a run, or go on with one, and make it this thread's active run.

    Args:
        run_id: A run to go on with; the environment's ``MLGIT_RUN_ID`` or
            ``MLFLOW_RUN_ID`` where none is given.
        experiment_id: The experiment of a new run; by default the one that was set.
        run_name: Its name; one is made up where none is given.
        nested: Whether it may begin inside another active run, as its part.
        parent_run_id: The run that it is a part of, where that isn't the active one.
        tags: Tags to set.
        description: Text for people, kept in the tag ``mlflow.note.content``.
        log_system_metrics: Accepted for MLflow's sake.

    Returns:
        The run; as a context manager it ends with its block, FAILED on an exception.

    Raises:
        InvalidState: Another run is active and ``nested`` isn't set.
        ResourceDoesNotExist: There is no such run, experiment or parent.
    """
    global _last_run
    stack = _stack()
    if stack and not nested and run_id is None:
        raise InvalidState(
            f"Run with UUID {stack[-1].run_id} is already active",
            hint="end it first with end_run(), or call start_run() with nested=True to begin a "
            "run inside it",
        )
    run_id = run_id or (None if stack else settings.take_run_id())
    if any(active.run_id == run_id for active in stack) or (stack and not nested):
        raise InvalidState(f"Run with UUID {stack[-1].run_id} is already active")
    # A program may have changed its directory since: a nested run goes where its parent is.
    store = stack[-1].store if stack else uri.store_for()
    all_tags = _start_tags(tags, description)
    if run_id is not None:
        _resume(store, run_id, experiment_id, run_name, all_tags)
        run = store.runs.get(run_id)
    else:
        parent = parent_run_id or (stack[-1].run_id if stack else None)
        if parent_run_id is not None:
            store.runs.get(parent_run_id)
        run = _begin(store, experiment_id, run_name, parent, all_tags)
    handle = _as_active(store, run)
    stack.append(_Active(store, handle))
    local.last = _last_run = (store, run.info.run_id)
    _register_exit()
    return handle


def _start_tags(tags: dict[str, Any] | None, description: str | None) -> dict[str, Any]:
    found = dict(validation.check_mapping(tags or {}, "tags"))
    if description is not None:
        if "mlflow.note.content" in found:
            raise InvalidParameterValue(
                "Give start_run() either description or the tag mlflow.note.content"
            )
        found["mlflow.note.content"] = description
    return found


def _begin(
    store: GitStore,
    experiment_id: str | None,
    run_name: str | None,
    parent: str | None,
    tags: dict[str, Any],
) -> Run:
    record = store.runs.create(
        str(experiment_id) if experiment_id is not None else current_experiment(store),
        run_name=run_name or settings.run_name(),
        tags=tags,
        user=str(tags.pop("mlflow.user", "") or context.user()),
        parent_run_id=str(tags.pop("mlflow.parentRunId", "") or parent or "") or None,
        source=context.source(),
        environment=context.environment(),
        owner=True,
        with_code=True,
    )
    if store.repo.worktree is None:
        _tell_no_code(store.repo.git_dir)
    _tell_left_out(record.source.get("left_out", []))
    return run_of_record(record)


_told: set[str] = set()


def _printable(text: str) -> str:
    # A file's name can hold what drives a terminal.
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _tell_no_code(place: str) -> None:
    """Say once a process that runs in a bare repository keep no code, where there is some."""
    if place in _told:
        return
    _told.add(place)
    try:
        code = Repository.discover()
    except MlgitException:
        return
    if code.worktree is not None:
        _logger().warning(
            "runs go to the bare repository %s, without their code; leave the tracking URI unset "
            "to keep them with it, in %s",
            place,
            code.worktree,
        )


def _tell_left_out(left_out: list[dict[str, str]]) -> None:
    """Say once a process which files are not in its runs' code, and why."""
    new = [item for item in left_out if item["path"] not in _told]
    if new:
        _told.update(item["path"] for item in new)
        shown = ", ".join(f"{_printable(item['path'])} ({item['reason']})" for item in new[:10])
        more = f" and {len(new) - 10} more" if len(new) > 10 else ""
        _logger().warning("not in the recorded code: %s%s", shown, more)


def _resume(
    store: GitStore,
    run_id: str,
    experiment_id: str | None,
    run_name: str | None,
    tags: dict[str, Any],
) -> None:
    run = store.runs.get(run_id)
    if experiment_id is not None:
        wanted = store.experiments.get(str(experiment_id)).experiment_id
        if wanted != run.info.experiment_id:
            raise InvalidParameterValue(
                f"Run {run_id} belongs to the experiment {run.info.experiment_id}, not {wanted}"
            )
    store.runs.join(run_id, owner=True)
    if run_name:
        tags["mlflow.runName"] = run_name
    if tags:
        store.runs.log_batch(run_id, tags=[RunTag(k, v) for k, v in tags.items()])


def end_run(status: str = "FINISHED") -> None:
    """End this thread's active run; nothing where there is none.

    Args:
        status: FINISHED, FAILED or KILLED.

    Raises:
        StorageError, PermissionDenied: It can't be committed. All that was logged is kept
            in its journal, and the next command commits it.
        InvalidParameterValue: There is no such status; the run goes on.
    """
    status = RunStatus.name_of(status)
    if _stack():
        active = _stack().pop()
        local.last = (active.store, active.run_id)
        active.store.runs.finish(active.run_id, status)


def _logger() -> logging.Logger:
    import logging

    return logging.getLogger("mlgit")


_exit_registered = False


def _register_exit() -> None:
    global _exit_registered
    if not _exit_registered:
        atexit.register(_at_exit)
        _exit_registered = True


def _at_exit() -> None:
    """End what is still active. Of a parent's runs a forked child only lets go."""
    for stack in _stacks:
        while stack:
            active = stack.pop()
            try:
                active.store.runs.finish(active.run_id, "FINISHED")
            except MlgitException as error:
                _logger().error("run %s isn't committed yet: %s", active.run_id, error)
    uri.close_all()


def active_run() -> ActiveRun | None:
    """This thread's active run, or None."""
    return _stack()[-1].handle if _stack() else None


def last_active_run() -> Run | None:
    """The run that was active last, as it is now, or None."""
    active = (_stack()[-1].store, _stack()[-1].run_id) if _stack() else None
    found = active or local.last or _last_run
    return found[0].runs.get(found[1]) if found else None


def get_run(run_id: str) -> Run:
    """A run as it is now.

    Raises:
        ResourceDoesNotExist: There is none of that id.
    """
    return MlgitClient().get_run(run_id)


def get_parent_run(run_id: str) -> Run | None:
    """The run that a run is a part of, or None."""
    return MlgitClient().get_parent_run(run_id)


def delete_run(run_id: str) -> None:
    """Delete a run; ``restore_run`` brings it back."""
    MlgitClient().delete_run(run_id)


def restore_run(run_id: str) -> None:
    """Bring a deleted run back."""
    MlgitClient().restore_run(run_id)


def active_or_new() -> _Active:
    """The thread's active run, which is begun if there is none."""
    stack = _stack()
    if not stack:
        start_run()
    return stack[-1]


def target_of(run_id: str | None) -> tuple[GitStore, str]:
    """What is logged to: the run of an id, else the active one."""
    if run_id is not None:
        return uri.store_for(), run_id
    active = active_or_new()
    return active.store, active.run_id
