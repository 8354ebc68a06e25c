"""The experiment that new runs belong to, and the calls about experiments (MLflow's names)."""

from __future__ import annotations

from typing import Any

from mlgit import settings, validation
from mlgit.entities import (
    Experiment,
    LifecycleStage,
)
from mlgit.exceptions import (
    InvalidParameterValue,
    NotARepository,
    ResourceAlreadyExists,
)
from mlgit.store import names
from mlgit.store.experiment_record import ExperimentRecord, default_location
from mlgit.store.gitstore import GitStore
from mlgit.tracking import uri
from mlgit.tracking.client import MlgitClient

_experiment: str | None = None
_experiment_id: str | None = None


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


def current_experiment(store: GitStore) -> str:
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
    store.experiments.set_tag(current_experiment(store), key, value)


def set_experiment_tags(tags: dict[str, Any]) -> None:
    """Set tags of the current experiment."""
    for key, value in validation.check_mapping(tags, "tags").items():
        set_experiment_tag(key, value)


def delete_experiment_tag(key: str) -> None:
    """Remove a tag of the current experiment."""
    store = uri.store_for()
    store.experiments.delete_tag(current_experiment(store), key)
