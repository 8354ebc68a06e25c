"""Logging a model to a run: saved beside the object store, and moved into it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from mlgit import validation
from mlgit.exceptions import InvalidParameterValue
from mlgit.models import registry
from mlgit.models.mlmodel import Model, ModelInfo
from mlgit.models.saving import SaveOptions, check_options
from mlgit.models.workspace import Workspace
from mlgit.store.modeltag import HISTORY

if TYPE_CHECKING:
    from mlgit.store.gitstore import GitStore

_DEFAULT_PATH = "model"


class LogOptions(SaveOptions, total=False):
    """What every ``log_model`` takes besides its own arguments: those of ``save_model``, and

    Attributes:
        name: The model's folder in the run, as MLflow 3 calls ``artifact_path``.
        registered_model_name: Register it under this name, too.
        await_registration_for: Accepted for MLflow's sake: registering waits for nothing.
        run_id: The run; the active one, or a new one, where None.
        params: Params to log to the run.
        tags, model_type, step, model_id: Accepted for MLflow's sake.
    """

    name: str | None
    registered_model_name: str | None
    await_registration_for: int | None
    run_id: str | None
    params: dict[str, Any] | None
    tags: dict[str, Any] | None
    model_type: str | None
    step: int
    model_id: str | None


_LOG_ONLY = LogOptions.__optional_keys__ - SaveOptions.__optional_keys__


def log(
    save_model: Callable[..., Any],
    artifact_path: str | None,
    options: LogOptions | dict[str, Any],
    **own: Any,
) -> ModelInfo:
    """Save a model by a flavor's ``save_model`` and log it to a run: all of it, or nothing.

    The files are moved into the object store, not copied, however large they are.

    Args:
        save_model: Called with ``path=``, ``mlflow_model=``, what else the options hold, and
            the flavor's own arguments.
        artifact_path: The folder in the run; "model" where neither it nor a name is given.
        options: What every ``log_model`` takes.
        own: The flavor's own arguments.

    Returns:
        What is known of the logged model.

    Raises:
        InvalidParameterValue: An argument can't be right.
        Those of ``save_model``.
    """
    given: dict[str, Any] = dict(options)
    log_only = {key: value for key, value in given.items() if key in _LOG_ONLY}
    to_save = {key: value for key, value in given.items() if key not in _LOG_ONLY}
    path = _folder_of(artifact_path, log_only.get("name"))
    registered = log_only.get("registered_model_name")
    if registered is not None:
        registry.current().check_name(registered)
    check_options(cast(SaveOptions, {k: v for k, v in to_save.items() if k in _SAVE}))
    store, run_id = _target(log_only.get("run_id"))
    model = to_save.pop("mlflow_model", None) or Model()
    model.artifact_path, model.run_id = path, run_id
    workspace = Workspace(f"{store.repo.state_dir}/models")
    try:
        folder = f"{workspace.path}/model"
        save_model(path=folder, mlflow_model=model, **own, **to_save)
        params = log_only.get("params")
        store.log_model(run_id, folder, path, HISTORY, lambda old: _history(old, model))
        if params:
            from mlgit.tracking import log

            log.log_params(params, run_id=run_id)
    finally:
        workspace.close()
    version = None
    if registered is not None:
        source = f"runs:/{run_id}/{path}"
        version = int(registry.current().register(registered, source, run_id).version)
    return ModelInfo(model, registered_model_version=version)


_SAVE = SaveOptions.__optional_keys__


def _folder_of(artifact_path: str | None, name: str | None) -> str:
    if artifact_path is not None and name is not None:
        raise InvalidParameterValue("Give either artifact_path or name: they mean the same")
    given = artifact_path if artifact_path is not None else name
    path = validation.check_artifact_path(_DEFAULT_PATH if given is None else os.fspath(given))
    if not path:
        raise InvalidParameterValue("The model needs a folder in the run, as in 'model'")
    return path


def _target(run_id: str | None) -> tuple[GitStore, str]:
    from mlgit.tracking import fluent

    store, target = fluent.target_of(run_id)
    if run_id is not None:
        store.runs.get(run_id)  # tells of one that isn't there before anything is saved
    return store, target


def _history(old: str | None, model: Model) -> str:
    """The tag that MLflow's tools find a run's models by: the newest models that it can hold."""
    entry = {
        "run_id": model.run_id,
        "artifact_path": model.artifact_path,
        "utc_time_created": model.utc_time_created,
        "model_uuid": model.model_uuid,
        "flavors": model.flavors,
    }
    try:
        entries = json.loads(old) if old else []
    except ValueError:
        entries = []
    if not isinstance(entries, list):
        entries = []
    entries.append(entry)
    while len(text := json.dumps(entries, default=str)) > validation.MAX_TAG_VALUE:
        if len(entries) == 1:
            entries = [{**entry, "flavors": {name: {} for name in model.flavors}}]
            return json.dumps(entries)
        entries.pop(0)
    return text


def log_model(model: Any, artifact_path: str | None = None, **options: Any) -> ModelInfo:
    """Log a model by the flavor that its type belongs to.

    Args:
        model: A model of any flavor, a ``PythonModel``, or a function.
        artifact_path: Its folder in the run; "model" where neither it nor ``name`` is given.
        options: Those of the flavor's ``log_model``.

    Raises:
        InvalidParameterValue: No flavor knows models of this type.
        Those of the flavor's ``log_model``.
    """
    from mlgit.models import flavors

    flavor = flavors.of_model(model)
    module = flavors.module_of(flavor)
    if flavor is flavors.PYFUNC:
        found: ModelInfo = module.log_model(artifact_path, python_model=model, **options)
    else:
        found = module.log_model(model, artifact_path, **options)
    return found
