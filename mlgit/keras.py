"""Keras 3's models (MLflow's ``mlflow.keras``), in Keras' own format."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from mlgit.exceptions import InvalidParameterValue
from mlgit.models import kerasfile
from mlgit.models.flavors import framework
from mlgit.models.folder import ModelFolder, opened
from mlgit.models.logged import LogOptions, log
from mlgit.models.mlmodel import ModelInfo
from mlgit.models.saving import SaveOptions, Written, save, spelled_out

if TYPE_CHECKING:
    from typing_extensions import Unpack

NAME = "keras"
_DATA = "data"
_EXPORTED = "model"


@spelled_out(SaveOptions)
def save_model(
    model: Any,
    path: str | os.PathLike[str],
    *,
    save_exported_model: bool = False,
    save_model_kwargs: dict[str, Any] | None = None,
    **options: Unpack[SaveOptions],
) -> None:
    """Save a model to a folder.

    Args:
        model: The model.
        path: The folder; it may be there if it is empty.
        save_exported_model: Keep what ``model.export`` makes for serving, a SavedModel of
            TensorFlow's that only predicts, instead of the model.
        save_model_kwargs: For ``model.save``, or for ``model.export``.
        options: See ``mlgit.models.saving.SaveOptions``.

    Raises:
        InvalidParameterValue: An argument can't be right, or Keras can't save the model.
        ResourceAlreadyExists: There is something at the path.
        MissingDependency: Keras or its backend isn't installed.
    """
    keras = kerasfile.keras_module(NAME)
    if not isinstance(model, keras.Model):
        raise InvalidParameterValue(
            f"A {type(model).__qualname__} isn't a model of Keras'",
            hint="mlgit.tensorflow keeps those of tf.Module",
        )

    def write(folder: str) -> Written:
        os.mkdir(f"{folder}/{_DATA}")
        with open(f"{folder}/{_DATA}/keras_module.txt", "w", encoding="utf-8") as f:
            f.write("keras")
        given = dict(save_model_kwargs or {})
        try:
            if save_exported_model:
                # Keras tells of what it has exported.
                model.export(f"{folder}/{_DATA}/{_EXPORTED}", **{"verbose": False, **given})
            else:
                model.save(f"{folder}/{_DATA}/{kerasfile.FILES[0]}", **given)
        except (ValueError, TypeError, NotImplementedError) as error:
            raise InvalidParameterValue(f"Keras can't save the model: {error}") from error
        backend = keras.backend.backend()
        row = {
            "data": _DATA,
            "keras_backend": backend,
            "keras_version": keras.__version__,
            "save_exported_model": save_exported_model,
        }
        modules = {"keras", backend, type(model).__module__}
        if save_exported_model:
            modules.add("tensorflow")
        predict = kerasfile.KerasPyfunc(model).predict
        return Written(row, "mlflow.keras", {}, modules, predict)

    save(NAME, path, write, options)


@spelled_out(LogOptions)
def log_model(
    model: Any,
    artifact_path: str | None = None,
    *,
    save_exported_model: bool = False,
    save_model_kwargs: dict[str, Any] | None = None,
    **options: Unpack[LogOptions],
) -> ModelInfo:
    """Log a model to the active run, which is begun if there is none.

    Args:
        model: The model.
        artifact_path: Its folder in the run; ``name`` means the same.
        save_exported_model, save_model_kwargs: As for ``save_model``.
        options: See ``mlgit.models.logged.LogOptions``.

    Raises:
        InvalidParameterValue: An argument can't be right; nothing is logged.
    """
    return log(
        save_model,
        artifact_path,
        options,
        model=model,
        save_exported_model=save_exported_model,
        save_model_kwargs=save_model_kwargs,
    )


def load_model(
    model_uri: str | os.PathLike[str],
    dst_path: str | None = None,
    custom_objects: dict[str, Any] | None = None,
    load_model_kwargs: dict[str, Any] | None = None,
    *,
    allow_pickle: bool | None = None,
    verify: bool | None = None,
) -> Any:
    """Load a model; of an exported one, TensorFlow's object, whose ``serve`` predicts.

    Args:
        model_uri: Any model URI.
        dst_path: A folder that its files are put into and stay in.
        custom_objects: Classes and functions by the names that the model has for them.
        load_model_kwargs: For ``keras.saving.load_model``; its ``safe_mode`` is on where the
            model may not run code, and off elsewhere.
        allow_pickle: Whether the model may run code; the setting where None.
        verify: Whether a registered model must be signed; the setting where None.

    Raises:
        ResourceDoesNotExist: There is no model, or it is of another flavor.
        CorruptData: Its files are damaged.
        InvalidParameterValue: It names classes that aren't here.
        PermissionDenied: It holds code of its own, which may not run.
        UntrustedModel: It must be signed, and isn't as it must be.
        MissingDependency: Keras or its backend isn't installed.
    """
    with opened(model_uri, allow_pickle=allow_pickle, verify=verify, dst_path=dst_path) as folder:
        return _load(folder, custom_objects, load_model_kwargs)


def _load(
    folder: ModelFolder,
    custom_objects: dict[str, Any] | None = None,
    options: dict[str, Any] | None = None,
) -> Any:
    row = folder.row(NAME)
    folder.add_code(row)
    data = row.get("data", _DATA)
    if row.get("save_exported_model"):
        tensorflow = framework("tensorflow", "tensorflow")
        return kerasfile.load_graph(folder, f"{data}/{_EXPORTED}", tensorflow, options)
    path = kerasfile.find(folder, data)
    return kerasfile.load(folder, path, NAME, custom_objects, options)


def _load_pyfunc(folder: ModelFolder, config: dict[str, Any] | None) -> Any:
    model = _load(folder)
    if folder.row(NAME).get("save_exported_model"):
        return _Exported(model)
    return kerasfile.KerasPyfunc(model)


class _Exported:
    """An exported model as the pyfunc face calls it."""

    def __init__(self, model: Any) -> None:
        self._model = model

    def predict(self, data: Any, params: dict[str, Any] | None = None) -> Any:
        found = self._model.serve(data.to_numpy() if hasattr(data, "columns") else data)
        return kerasfile.arrays(found)

    def get_raw_model(self) -> Any:
        return self._model
