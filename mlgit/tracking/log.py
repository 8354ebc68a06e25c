"""Logging to the active run (MLflow's fluent API).

``log_metric`` is called in inner loops: what it needs is looked up once and kept.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from mlgit import validation
from mlgit.entities import (
    Metric,
    Param,
    RunTag,
)
from mlgit.exceptions import (
    InvalidParameterValue,
)
from mlgit.tracking import uri
from mlgit.tracking.client import MlgitClient, RunOperations, _operations
from mlgit.tracking.experiments import current_experiment
from mlgit.tracking.fluent import active_or_new, local, target_of


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
        stack = local.stack
        active = stack[-1] if stack else active_or_new()
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
    store, target = target_of(run_id)
    store.runs.log_batch(target, metrics=points)
    return _operations(synchronous)


def log_param(key: str, value: Any, synchronous: bool | None = None) -> Any:
    """Log a param to the active run, once: another value for the same name is an error.

    Returns:
        The value.
    """
    store, run_id = target_of(None)
    store.runs.log_batch(run_id, params=[Param(key, value)])
    return _operations(synchronous) or value


def log_params(
    params: dict[str, Any], synchronous: bool | None = None, run_id: str | None = None
) -> RunOperations | None:
    """Log params: all of them, or none on an error."""
    store, target = target_of(run_id)
    store.runs.log_batch(
        target, params=[Param(k, v) for k, v in validation.check_mapping(params, "params").items()]
    )
    return _operations(synchronous)


def set_tag(key: str, value: Any, synchronous: bool | None = None) -> RunOperations | None:
    """Set a tag of the active run."""
    store, run_id = target_of(None)
    store.runs.set_tag(run_id, key, value)
    return _operations(synchronous)


def set_tags(tags: dict[str, Any], synchronous: bool | None = None) -> RunOperations | None:
    """Set tags of the active run: all of them, or none on an error."""
    store, run_id = target_of(None)
    items = validation.check_mapping(tags, "tags").items()
    store.runs.log_batch(run_id, tags=[RunTag(k, v) for k, v in items])
    return _operations(synchronous)


def delete_tag(key: str) -> None:
    """Remove a tag of the active run."""
    store, run_id = target_of(None)
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
    store, run_id = target_of(None)
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
    store, target = target_of(run_id)
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
        current_experiment(store), artifact_file, run_ids, extra_columns
    )


def get_artifact_uri(artifact_path: str | None = None) -> str:
    """The URI of the active run's artifacts, or of one of them."""
    active = active_or_new()
    base = active.handle.info.artifact_uri or ""
    path = validation.check_artifact_path(artifact_path)
    return f"{base}/{path}" if path else base
