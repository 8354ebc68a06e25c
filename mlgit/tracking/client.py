"""``MlgitClient``: everything by id (MLflow's ``MlflowClient``).

Its part about registered models is in ``registered.py``.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from typing import Any

from mlgit import validation
from mlgit.entities import (
    Experiment,
    FileInfo,
    LifecycleStage,
    Metric,
    PagedList,
    Param,
    Run,
    RunStatus,
    RunTag,
    ViewType,
)
from mlgit.exceptions import InvalidParameterValue
from mlgit.store.gitstore import GitStore
from mlgit.tracking import context, files, uri
from mlgit.tracking.registered import RegistryCalls


class RunOperations:
    """What a call with ``synchronous=False`` returns. Logging is done when it returns."""

    def wait(self) -> None:
        """Wait until what was logged is safe: it is already."""


def _operations(synchronous: bool | None) -> RunOperations | None:
    return RunOperations() if synchronous is False else None


class MlgitClient(RegistryCalls):
    """Experiments, runs and registered models of one repository.

    Args:
        tracking_uri: The repository (see ``set_tracking_uri``); the current one where
            none is given, looked up at each call.
        registry_uri: Accepted for MLflow's sake; the registry is in the same repository.
    """

    def __init__(self, tracking_uri: str | None = None, registry_uri: str | None = None) -> None:
        self._uri = tracking_uri
        self._registry_uri = registry_uri

    @property
    def tracking_uri(self) -> str:
        """The tracking URI that this client works on."""
        return self._uri or uri.get_tracking_uri()

    @property
    def _store(self) -> GitStore:
        return uri.store_for(self._uri)

    # -- experiments

    def create_experiment(
        self,
        name: str,
        artifact_location: str | None = None,
        tags: dict[str, Any] | None = None,
    ) -> str:
        """Make an experiment and return its id.

        Raises:
            ResourceAlreadyExists: The name is taken.
        """
        location = None
        if artifact_location is not None:
            location = validation.check_text(
                validation.check_path(artifact_location), "artifact_location"
            )
        return self._store.experiments.create(name, location, tags)

    def get_experiment(self, experiment_id: str) -> Experiment:
        """The experiment of an id.

        Raises:
            ResourceDoesNotExist: There is none.
        """
        return self._store.experiments.get(str(experiment_id))

    def get_experiment_by_name(self, name: str) -> Experiment | None:
        """The experiment of a name, or None."""
        return self._store.experiments.by_name(name)

    def search_experiments(
        self,
        view_type: int = ViewType.ACTIVE_ONLY,
        max_results: int | None = 1000,
        filter_string: str | None = None,
        order_by: Sequence[str] | None = None,
        page_token: str | None = None,
    ) -> PagedList[Experiment]:
        """The experiments that a filter matches, a page of them."""
        return self._store.search_experiments(
            view_type,
            1000 if max_results is None else max_results,
            filter_string or "",
            order_by,
            page_token,
        )

    def delete_experiment(self, experiment_id: str) -> None:
        """Delete an experiment; ``restore_experiment`` brings it back."""
        self._store.experiments.set_stage(str(experiment_id), LifecycleStage.DELETED)

    def restore_experiment(self, experiment_id: str) -> None:
        """Bring a deleted experiment back."""
        self._store.experiments.set_stage(str(experiment_id), LifecycleStage.ACTIVE)

    def rename_experiment(self, experiment_id: str, new_name: str) -> None:
        """Give an experiment another name."""
        self._store.experiments.rename(str(experiment_id), new_name)

    def set_experiment_tag(self, experiment_id: str, key: str, value: Any) -> None:
        """Set a tag of an experiment."""
        self._store.experiments.set_tag(str(experiment_id), key, value)

    def delete_experiment_tag(self, experiment_id: str, key: str) -> None:
        """Remove a tag of an experiment."""
        self._store.experiments.delete_tag(str(experiment_id), key)

    # -- runs

    def create_run(
        self,
        experiment_id: str,
        start_time: int | None = None,
        tags: dict[str, Any] | None = None,
        run_name: str | None = None,
    ) -> Run:
        """Begin a run that nobody answers for: it goes on until ``set_terminated``.

        Args:
            experiment_id: The experiment.
            start_time: In milliseconds since 1970; now where none is given.
            tags: Its first tags.
            run_name: Its name; one is made up where none is given.
        """
        tags = dict(validation.check_mapping(tags or {}, "tags"))
        parent = tags.pop("mlflow.parentRunId", None)
        record = self._store.runs.create(
            str(experiment_id),
            run_name=run_name,
            start_time=start_time,
            tags=tags,
            user=str(tags.pop("mlflow.user", "") or context.user()),
            parent_run_id=parent,
        )
        return self.get_run(record.run_id)

    def get_run(self, run_id: str) -> Run:
        """A run as it is now.

        Raises:
            ResourceDoesNotExist: There is none of that id.
        """
        return self._store.runs.get(run_id)

    def get_parent_run(self, run_id: str) -> Run | None:
        """The run that a run is a part of, or None."""
        parent = self.get_run(run_id).data.tags.get("mlflow.parentRunId")
        return self.get_run(parent) if parent else None

    def search_runs(
        self,
        experiment_ids: Sequence[str] | str,
        filter_string: str = "",
        run_view_type: int = ViewType.ACTIVE_ONLY,
        max_results: int = 1000,
        order_by: Sequence[str] | None = None,
        page_token: str | None = None,
    ) -> PagedList[Run]:
        """The runs that a filter matches, a page of them (docs/search.md)."""
        if isinstance(experiment_ids, (str, int)):
            experiment_ids = [str(experiment_ids)]
        return self._store.search_runs(
            [str(i) for i in experiment_ids],
            filter_string,
            run_view_type,
            max_results,
            order_by,
            page_token,
        )

    def update_run(self, run_id: str, status: str | None = None, name: str | None = None) -> None:
        """Change a run's status or name.

        Raises:
            InvalidParameterValue: The run is deleted, or there is no such status.
        """
        if status is not None:
            shown = RunStatus.name_of(status)
            self._require_active(run_id)
            if RunStatus.is_terminated(shown):
                self._store.runs.terminate(run_id, shown)
            else:
                self._store.runs.update(run_id, status=shown)
        if name is not None:
            self._store.runs.set_tag(run_id, "mlflow.runName", name)

    def set_terminated(
        self, run_id: str, status: str | None = None, end_time: int | None = None
    ) -> None:
        """End a run: FINISHED, unless another status is given.

        Raises:
            InvalidParameterValue: The run is deleted, or there is no such status.
        """
        self._require_active(run_id)
        self._store.runs.terminate(run_id, RunStatus.name_of(status or "FINISHED"), end_time)

    def _require_active(self, run_id: str) -> None:
        if self.get_run(run_id).info.lifecycle_stage != LifecycleStage.ACTIVE:
            raise InvalidParameterValue(
                f"The run {run_id} must be in the 'active' state; it is deleted",
                hint=f"mlgit runs restore {run_id}",
            )

    def delete_run(self, run_id: str) -> None:
        """Delete a run; ``restore_run`` brings it back."""
        self._store.runs.update(run_id, lifecycle_stage=LifecycleStage.DELETED)

    def restore_run(self, run_id: str) -> None:
        """Bring a deleted run back."""
        self._store.runs.update(run_id, lifecycle_stage=LifecycleStage.ACTIVE)

    # -- logging

    def log_metric(
        self,
        run_id: str,
        key: str,
        value: float,
        timestamp: int | None = None,
        step: int | None = None,
        synchronous: bool | None = None,
        dataset_name: str | None = None,
        dataset_digest: str | None = None,
        model_id: str | None = None,
    ) -> RunOperations | None:
        """Log one point of a metric.

        Args:
            run_id: The run.
            key: The metric.
            value: A number; NaN and infinities are kept.
            timestamp: In milliseconds since 1970; now where none is given.
            step: A 64-bit integer; 0 where none is given.
            synchronous: Accepted for MLflow's sake: logging takes microseconds.
            dataset_name, dataset_digest, model_id: Accepted for MLflow's sake.
        """
        key = validation.check_key(key, "metric")
        self._store.runs.log_metric(
            run_id,
            key,
            validation.metric_number(key, value),
            time.time_ns() // 1_000_000
            if timestamp is None
            else validation.metric_timestamp(key, timestamp),
            0 if step is None else validation.metric_step(key, step),
        )
        return _operations(synchronous)

    def log_param(self, run_id: str, key: str, value: Any, synchronous: bool | None = None) -> Any:
        """Log a param, once: another value for the same name is an error."""
        self._store.runs.log_batch(run_id, params=[Param(key, value)])
        return _operations(synchronous) or value

    def set_tag(
        self, run_id: str, key: str, value: Any, synchronous: bool | None = None
    ) -> RunOperations | None:
        """Set a tag."""
        self._store.runs.set_tag(run_id, key, value)
        return _operations(synchronous)

    def delete_tag(self, run_id: str, key: str) -> None:
        """Remove a tag."""
        self._store.runs.delete_tag(run_id, key)

    def log_batch(
        self,
        run_id: str,
        metrics: Sequence[Metric] = (),
        params: Sequence[Param] = (),
        tags: Sequence[RunTag] = (),
        synchronous: bool | None = None,
    ) -> RunOperations | None:
        """Log many things at once, all or none; any number of them."""
        self._store.runs.log_batch(run_id, metrics, params, tags)
        return _operations(synchronous)

    def log_inputs(
        self, run_id: str, datasets: Sequence[Any] | None = None, models: Any = None
    ) -> None:
        """Log datasets (``DatasetInput`` entities) that a run used."""
        self._store.runs.log_inputs(run_id, [files.dataset_record(d) for d in datasets or ()])

    def get_metric_history(self, run_id: str, key: str) -> PagedList[Metric]:
        """Every point of one metric, in the order of logging."""
        return self._store.metric_history(run_id, key)

    # -- artifacts

    def log_artifact(self, run_id: str, local_path: str, artifact_path: str | None = None) -> None:
        """Log a file or folder as an artifact."""
        self._store.log_artifact(run_id, local_path, artifact_path)

    def log_artifacts(self, run_id: str, local_dir: str, artifact_path: str | None = None) -> None:
        """Log what a folder holds as artifacts."""
        self._store.log_artifacts(run_id, local_dir, artifact_path)

    def log_text(self, run_id: str, text: str, artifact_file: str) -> None:
        """Log text as an artifact."""
        self._store.log_bytes(run_id, validation.check_text(text, "text").encode(), artifact_file)

    def log_stream(self, run_id: str, stream: Any, artifact_file: str) -> None:
        """Log what is left to read of a binary stream as an artifact."""
        data = stream.read()
        self._store.log_bytes(
            run_id, data.encode() if isinstance(data, str) else data, artifact_file
        )

    def log_dict(self, run_id: str, dictionary: Any, artifact_file: str) -> None:
        """Log a dict or list as YAML (.yml, .yaml) or JSON (any other suffix)."""
        self._store.log_bytes(run_id, files.dict_bytes(dictionary, artifact_file), artifact_file)

    def log_figure(
        self, run_id: str, figure: Any, artifact_file: str, *, save_kwargs: Any = None
    ) -> None:
        """Log a figure of matplotlib or plotly."""
        data = files.figure_bytes(figure, artifact_file, save_kwargs or {})
        self._store.log_bytes(run_id, data, artifact_file)

    def log_image(
        self,
        run_id: str,
        image: Any,
        artifact_file: str | None = None,
        key: str | None = None,
        step: int | None = None,
        timestamp: int | None = None,
        synchronous: bool | None = None,
    ) -> None:
        """Log an image: of PIL, or a numpy array (height × width [× 1, 3 or 4])."""
        path = files.image_path(artifact_file, key, step, timestamp)
        self._store.log_bytes(run_id, files.image_bytes(image, path), path)

    def log_table(self, run_id: str, data: Any, artifact_file: str) -> None:
        """Log a table (a dict of columns or a pandas frame); rows add to one already there."""
        files.log_table(self._store, run_id, data, artifact_file)

    def load_table(
        self,
        experiment_id: str,
        artifact_file: str,
        run_ids: Sequence[str] | None = None,
        extra_columns: Sequence[str] | None = None,
    ) -> Any:
        """One pandas frame of the tables that an experiment's runs logged under a path."""
        return files.load_table(
            self._store, str(experiment_id), artifact_file, run_ids, extra_columns
        )

    def list_artifacts(self, run_id: str, path: str | None = None) -> list[FileInfo]:
        """What a folder of a run's artifacts holds."""
        return self._store.list_artifacts(run_id, path)

    def download_artifacts(self, run_id: str, path: str, dst_path: str | None = None) -> str:
        """Write an artifact below a local folder and return where it is.

        Args:
            run_id: The run.
            path: A file or folder; "" for all.
            dst_path: An existing folder; a new temporary one where none is given.
        """
        if dst_path is not None and not os.path.isdir(dst_path):
            raise InvalidParameterValue(f"The download's target isn't a folder: {dst_path}")
        if dst_path is None:
            import tempfile

            dst_path = tempfile.mkdtemp(prefix="mlgit-")
        return os.path.abspath(self._store.download_artifacts(run_id, path, dst_path))


# Programs written for MLflow call it by this name.
MlflowClient = MlgitClient
