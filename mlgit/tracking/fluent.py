"""The fluent API: one active run a thread, and functions that log to it.

Names and semantics are MLflow's (mlflow.org/docs, Python API). ``log_metric`` is called
in inner loops: what it needs is looked up once and kept.
"""

from __future__ import annotations

import atexit
import threading
import time
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any

from mlgit import settings, validation
from mlgit.entities import (
    Experiment,
    LifecycleStage,
    Metric,
    Param,
    Run,
    RunStatus,
    RunTag,
    ViewType,
)
from mlgit.exceptions import (
    InvalidParameterValue,
    InvalidState,
    MlgitException,
    NotARepository,
    ResourceAlreadyExists,
    ResourceDoesNotExist,
)
from mlgit.git import Repository
from mlgit.store import names
from mlgit.store.experiment_record import ExperimentRecord, default_location
from mlgit.store.gitstore import GitStore
from mlgit.store.results import run_of_record
from mlgit.tracking import context, uri
from mlgit.tracking.client import MlgitClient, RunOperations, _operations

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
_local = _Local()
_last_run: tuple[GitStore, str] | None = None
_experiment: str | None = None
_experiment_id: str | None = None


def _stack() -> list[_Active]:
    return _local.stack


def _as_active(store: GitStore, run: Run) -> ActiveRun:
    handle = ActiveRun(run.info, run.data, run.inputs)
    return handle


# -- experiments


def set_experiment(
    experiment_name: str | None = None, experiment_id: str | None = None
) -> Experiment:
    """Make an experiment the one that new runs belong to; it is made if it isn't there.

    Args:
        experiment_name: Its name.
        experiment_id: Or its id; then it must exist.

    Returns:
        The experiment. Where there is no repository yet (``set_tracking_uri`` may come
        later) it is the one that will be made there.

    Raises:
        InvalidParameterValue: Both or neither are given, or the experiment is deleted.
        ResourceDoesNotExist: There is none of that id.
    """
    global _experiment, _experiment_id
    if (experiment_name is None) == (experiment_id is None):
        raise InvalidParameterValue("Give set_experiment() either experiment_name or experiment_id")
    if experiment_id is not None:
        found = uri.store_for().experiments.get(str(experiment_id))
        _require_active(found)
        _experiment, _experiment_id = None, found.experiment_id
        return found
    name = validation.check_experiment_name(experiment_name)
    try:
        store = uri.store_for()
    except NotARepository:
        if uri.is_tracking_uri_set():
            raise
        _experiment, _experiment_id = name, None
        return _to_be_made(name)
    found = _experiment_named(store, name)
    _experiment, _experiment_id = name, None
    return found


def _to_be_made(name: str) -> Experiment:
    experiment_id = names.experiment_id_for(name, 0)
    return ExperimentRecord(experiment_id, name, default_location(experiment_id)).entity()


def _experiment_named(store: GitStore, name: str) -> Experiment:
    """The experiment of a name, made if it isn't there."""
    found = store.experiments.by_name(name)
    if found is None:
        try:
            return store.experiments.get(store.experiments.create(name))
        except ResourceAlreadyExists:  # another process was first
            found = store.experiments.by_name(name)
            if found is None:
                raise
    _require_active(found)
    return found


def _require_active(experiment: Experiment) -> None:
    if experiment.lifecycle_stage != LifecycleStage.ACTIVE:
        raise InvalidParameterValue(
            f"Cannot set a deleted experiment {experiment.name!r} as the active experiment",
            hint=f"mlgit experiments restore {experiment.experiment_id}, or use another name",
        )


def _current_experiment(store: GitStore) -> str:
    """The id of the experiment that new runs belong to where they name none."""
    if _experiment is not None:
        return _experiment_named(store, _experiment).experiment_id
    if _experiment_id is not None:
        return _experiment_id
    name = settings.experiment_name()
    if name:
        return _experiment_named(store, name).experiment_id
    configured = settings.experiment_id()
    if configured:
        return store.experiments.get(configured).experiment_id
    head = store.repo.head() if store.repo.worktree else None
    if head is None or head.branch is None or head.commit is None:
        return names.DEFAULT_EXPERIMENT_ID
    if head.branch in (store.repo.default_branch(), "main", "master"):
        return names.DEFAULT_EXPERIMENT_ID
    return _experiment_named(store, names.experiment_for_branch(head.branch)).experiment_id


def create_experiment(
    name: str, artifact_location: str | None = None, tags: dict[str, Any] | None = None
) -> str:
    """Make an experiment and return its id.

    Raises:
        ResourceAlreadyExists: The name is taken.
    """
    return MlgitClient().create_experiment(name, artifact_location, tags)


def get_experiment(experiment_id: str) -> Experiment:
    """The experiment of an id.

    Raises:
        ResourceDoesNotExist: There is none.
    """
    return MlgitClient().get_experiment(experiment_id)


def get_experiment_by_name(name: str) -> Experiment | None:
    """The experiment of a name, or None."""
    return MlgitClient().get_experiment_by_name(name)


def search_experiments(
    view_type: int = ViewType.ACTIVE_ONLY,
    max_results: int | None = None,
    filter_string: str | None = None,
    order_by: Sequence[str] | None = None,
) -> list[Experiment]:
    """All experiments that a filter matches."""
    if max_results is not None:
        _check_count(max_results)
    client = MlgitClient()
    found: list[Experiment] = []
    token = None
    while True:
        left = 1000 if max_results is None else max_results - len(found)
        page = client.search_experiments(view_type, min(left, 1000), filter_string, order_by, token)
        found += page
        token = page.token
        if token is None or (max_results is not None and len(found) >= max_results):
            return found[:max_results]


def delete_experiment(experiment_id: str) -> None:
    """Delete an experiment; ``restore_experiment`` brings it back."""
    MlgitClient().delete_experiment(experiment_id)


def restore_experiment(experiment_id: str) -> None:
    """Bring a deleted experiment back."""
    MlgitClient().restore_experiment(experiment_id)


def rename_experiment(experiment_id: str, new_name: str) -> None:
    """Give an experiment another name."""
    MlgitClient().rename_experiment(experiment_id, new_name)


def set_experiment_tag(key: str, value: Any) -> None:
    """Set a tag of the current experiment."""
    store = uri.store_for()
    store.experiments.set_tag(_current_experiment(store), key, value)


def set_experiment_tags(tags: dict[str, Any]) -> None:
    """Set tags of the current experiment."""
    for key, value in validation.check_mapping(tags, "tags").items():
        set_experiment_tag(key, value)


def delete_experiment_tag(key: str) -> None:
    """Remove a tag of the current experiment."""
    store = uri.store_for()
    store.experiments.delete_tag(_current_experiment(store), key)


# -- beginning and ending runs


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
    _local.last = _last_run = (store, run.info.run_id)
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
        str(experiment_id) if experiment_id is not None else _current_experiment(store),
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
        _local.last = (active.store, active.run_id)
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
    found = active or _local.last or _last_run
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


# -- logging


def _active_or_new() -> _Active:
    stack = _stack()
    if not stack:
        start_run()
    return stack[-1]


def log_metric(
    key: str,
    value: float,
    step: int | None = None,
    synchronous: bool | None = None,
    timestamp: int | None = None,
    run_id: str | None = None,
    model_id: str | None = None,
    dataset: Any = None,
) -> RunOperations | None:
    """Log one point of a metric to the active run, which is begun if there is none.

    Args:
        key: The metric.
        value: A number; NaN and infinities are kept.
        step: A 64-bit integer; 0 where none is given.
        synchronous: Accepted for MLflow's sake: logging takes microseconds.
        timestamp: In milliseconds since 1970; now where none is given.
        run_id: Another run than the active one.
        model_id, dataset: Accepted for MLflow's sake.
    """
    validation.check_key(key, "metric")
    if type(value) is not float:
        value = validation.metric_number(key, value)
    if timestamp is None:
        timestamp = time.time_ns() // 1_000_000
    else:
        timestamp = validation.metric_timestamp(key, timestamp)
    if step is None:
        step = 0
    elif type(step) is not int or not -(2**63) <= step < 2**63:
        step = validation.metric_step(key, step)
    if run_id is None:
        stack = _local.stack
        active = stack[-1] if stack else _active_or_new()
        active.store.runs.log_metric(active.run_id, key, value, timestamp, step)
    else:
        uri.store_for().runs.log_metric(run_id, key, value, timestamp, step)
    return None if synchronous is None else _operations(synchronous)


def log_metrics(
    metrics: dict[str, float],
    step: int | None = None,
    synchronous: bool | None = None,
    run_id: str | None = None,
    timestamp: int | None = None,
    model_id: str | None = None,
    dataset: Any = None,
) -> RunOperations | None:
    """Log a point of each of some metrics, at one step and time."""
    when = time.time_ns() // 1_000_000 if timestamp is None else timestamp
    items = validation.check_mapping(metrics, "metrics").items()
    points = [Metric(k, v, when, step or 0) for k, v in items]
    store, target = _target(run_id)
    store.runs.log_batch(target, metrics=points)
    return _operations(synchronous)


def _target(run_id: str | None) -> tuple[GitStore, str]:
    if run_id is not None:
        return uri.store_for(), run_id
    active = _active_or_new()
    return active.store, active.run_id


def log_param(key: str, value: Any, synchronous: bool | None = None) -> Any:
    """Log a param to the active run, once: another value for the same name is an error.

    Returns:
        The value.
    """
    store, run_id = _target(None)
    store.runs.log_batch(run_id, params=[Param(key, value)])
    return _operations(synchronous) or value


def log_params(
    params: dict[str, Any], synchronous: bool | None = None, run_id: str | None = None
) -> RunOperations | None:
    """Log params: all of them, or none on an error."""
    store, target = _target(run_id)
    store.runs.log_batch(
        target, params=[Param(k, v) for k, v in validation.check_mapping(params, "params").items()]
    )
    return _operations(synchronous)


def set_tag(key: str, value: Any, synchronous: bool | None = None) -> RunOperations | None:
    """Set a tag of the active run."""
    store, run_id = _target(None)
    store.runs.set_tag(run_id, key, value)
    return _operations(synchronous)


def set_tags(tags: dict[str, Any], synchronous: bool | None = None) -> RunOperations | None:
    """Set tags of the active run: all of them, or none on an error."""
    store, run_id = _target(None)
    items = validation.check_mapping(tags, "tags").items()
    store.runs.log_batch(run_id, tags=[RunTag(k, v) for k, v in items])
    return _operations(synchronous)


def delete_tag(key: str) -> None:
    """Remove a tag of the active run."""
    store, run_id = _target(None)
    store.runs.delete_tag(run_id, key)


def log_input(
    dataset: Any, context: str | None = None, tags: dict[str, str] | None = None, model: Any = None
) -> None:
    """Log a dataset that the active run uses.

    Args:
        dataset: One of ``mlgit.data``'s.
        context: What for, such as "training".
        tags: Tags of this use.
        model: Accepted for MLflow's sake.

    Raises:
        InvalidParameterValue: It isn't a dataset.
    """
    if not hasattr(dataset, "to_dict"):
        raise InvalidParameterValue(
            f"log_input() needs a dataset, not {type(dataset).__name__}",
            hint="mlgit.data.from_pandas() or from_numpy() makes one of data",
        )
    all_tags = {str(key): str(value) for key, value in (tags or {}).items()}
    if context:
        all_tags["mlflow.data.context"] = context
    store, run_id = _target(None)
    record = {key: value for key, value in dataset.to_dict().items() if value is not None}
    store.runs.log_inputs(run_id, [{**record, "tags": all_tags}])


def log_inputs(
    datasets: Sequence[Any],
    contexts: Sequence[str | None] | None = None,
    tags_list: Sequence[dict[str, str] | None] | None = None,
    models: Any = None,
) -> None:
    """Log datasets that the active run uses.

    Args:
        datasets: As ``log_input`` takes them.
        contexts: What for, one each.
        tags_list: Tags of the use, one each.
        models: Accepted for MLflow's sake.

    Raises:
        InvalidParameterValue: The lists aren't of one length, or one isn't a dataset.
    """
    for given in (contexts, tags_list):
        if given and len(given) != len(datasets):
            raise InvalidParameterValue("log_inputs() needs a context and tags for each dataset")
    for at, dataset in enumerate(datasets):
        log_input(
            dataset,
            contexts[at] if contexts else None,
            tags_list[at] if tags_list else None,
        )


# -- artifacts


def _client_and_run(run_id: str | None = None) -> tuple[MlgitClient, str]:
    store, target = _target(run_id)
    client = MlgitClient("git+file://" + (store.repo.worktree or store.repo.git_dir))
    return client, target


def log_artifact(
    local_path: str, artifact_path: str | None = None, run_id: str | None = None
) -> None:
    """Log a file or folder as an artifact of the active run."""
    client, target = _client_and_run(run_id)
    client.log_artifact(target, local_path, artifact_path)


def log_artifacts(
    local_dir: str, artifact_path: str | None = None, run_id: str | None = None
) -> None:
    """Log what a folder holds as artifacts of the active run."""
    client, target = _client_and_run(run_id)
    client.log_artifacts(target, local_dir, artifact_path)


def log_text(text: str, artifact_file: str, run_id: str | None = None) -> None:
    """Log text as an artifact of the active run."""
    client, target = _client_and_run(run_id)
    client.log_text(target, text, artifact_file)


def log_stream(stream: Any, artifact_file: str, run_id: str | None = None) -> None:
    """Log what is left to read of a binary stream as an artifact of the active run."""
    client, target = _client_and_run(run_id)
    client.log_stream(target, stream, artifact_file)


def log_dict(dictionary: Any, artifact_file: str, run_id: str | None = None) -> None:
    """Log a dict or list as YAML (.yml, .yaml) or JSON (any other suffix)."""
    client, target = _client_and_run(run_id)
    client.log_dict(target, dictionary, artifact_file)


def log_figure(
    figure: Any, artifact_file: str, *, save_kwargs: dict[str, Any] | None = None
) -> None:
    """Log a figure of matplotlib or plotly."""
    client, target = _client_and_run()
    client.log_figure(target, figure, artifact_file, save_kwargs=save_kwargs)


def log_image(
    image: Any,
    artifact_file: str | None = None,
    key: str | None = None,
    step: int | None = None,
    timestamp: int | None = None,
    synchronous: bool | None = False,
) -> None:
    """Log an image: of PIL, or a numpy array (height × width [× 1, 3 or 4])."""
    client, target = _client_and_run()
    client.log_image(target, image, artifact_file, key, step, timestamp)


def log_table(data: Any, artifact_file: str, run_id: str | None = None) -> None:
    """Log a table (a dict of columns or a pandas frame); rows add to one already there."""
    client, target = _client_and_run(run_id)
    client.log_table(target, data, artifact_file)


def load_table(
    artifact_file: str,
    run_ids: Sequence[str] | None = None,
    extra_columns: Sequence[str] | None = None,
) -> Any:
    """One pandas frame of the tables that the experiment's runs logged under a path."""
    store = uri.store_for()
    return MlgitClient().load_table(
        _current_experiment(store), artifact_file, run_ids, extra_columns
    )


def get_artifact_uri(artifact_path: str | None = None) -> str:
    """The URI of the active run's artifacts, or of one of them."""
    active = _active_or_new()
    base = active.handle.info.artifact_uri or ""
    path = validation.check_artifact_path(artifact_path)
    return f"{base}/{path}" if path else base


# -- search


def search_runs(
    experiment_ids: Sequence[str] | None = None,
    filter_string: str = "",
    run_view_type: int = ViewType.ACTIVE_ONLY,
    max_results: int = 100_000,
    order_by: Sequence[str] | None = None,
    output_format: str = "pandas",
    search_all_experiments: bool = False,
    experiment_names: Sequence[str] | None = None,
) -> Any:
    """The runs that a filter matches.

    Args:
        experiment_ids: The experiments to look in; the current one where neither these
            nor names are given.
        filter_string: MLflow's grammar and more (docs/search.md).
        run_view_type: Which lifecycle stages.
        max_results: The most runs.
        order_by: Sort keys.
        output_format: "pandas" for a frame, "list" for ``Run`` entities.
        search_all_experiments: Look in all where no experiment is given.
        experiment_names: The experiments to look in, by name.

    Returns:
        A frame with a row a run and a column for each field, metric, param and tag; or a
        list.

    Raises:
        FilterError: The filter or a sort key doesn't parse.
        InvalidParameterValue: Another argument can't be right.
    """
    if output_format not in ("pandas", "list"):
        raise InvalidParameterValue(
            f"Unsupported output format: {output_format!r}", hint="'pandas' or 'list'"
        )
    _check_count(max_results)
    store = uri.store_for()
    ids = _experiments_to_search(store, experiment_ids, experiment_names, search_all_experiments)
    runs: list[Run] = []
    token = None
    while len(runs) < max_results:
        size = min(validation.MAX_RESULTS, max_results - len(runs))
        page = store.search_runs(ids, filter_string, run_view_type, size, order_by, token)
        runs += page
        token = page.token
        if token is None:
            break
    if output_format == "list":
        return runs
    from mlgit.tracking.frame import runs_frame

    return runs_frame(runs)


def _check_count(max_results: object) -> None:
    if not isinstance(max_results, int):
        raise InvalidParameterValue(f"max_results must be an integer, not {max_results!r}")


def _experiments_to_search(
    store: GitStore,
    ids: Sequence[str] | None,
    wanted: Sequence[str] | None,
    everywhere: bool,
) -> list[str] | None:
    if ids and wanted:
        raise InvalidParameterValue("Give search_runs() either experiment_ids or experiment_names")
    for given, what in ((ids, "experiment_ids"), (wanted, "experiment_names")):
        if given is not None and not isinstance(given, (str, int, Iterable)):
            raise InvalidParameterValue(f"{what} must be a list, not {type(given).__name__}")
    if ids:
        return [str(i) for i in ([ids] if isinstance(ids, (str, int)) else ids)]
    if wanted:
        found = [
            store.experiments.by_name(name)
            for name in ([wanted] if isinstance(wanted, str) else wanted)
        ]
        return [e.experiment_id for e in found if e is not None]
    if everywhere:
        return None
    try:
        return [_current_experiment(store)]
    except ResourceDoesNotExist:
        return []
