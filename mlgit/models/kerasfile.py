"""Keras' models in files, and as the pyfunc face calls them; for the flavors that have them.

A ``.keras`` file holds data and the names of classes. It may hold functions' code, too, which
Keras runs only where its safe mode is off; its files of the old format (``.h5``) and its
versions before 3.12 know ways round the safe mode. Where models may not run code, the safe mode
is on and these aren't loaded.
"""

from __future__ import annotations

import os
import zipfile
from typing import Any

from mlgit.exceptions import (
    CorruptData,
    InvalidParameterValue,
    MissingDependency,
    MlgitException,
    ResourceDoesNotExist,
)
from mlgit.models.calls import accepted
from mlgit.models.flavors import framework
from mlgit.models.folder import ModelFolder
from mlgit.models.pickles import refused

FILES = ("model.keras", "model.h5")
_SAFE_SINCE = (3, 12)


def keras_module(flavor: str) -> Any:
    """Keras, imported with its backend.

    Raises:
        MissingDependency: It or its backend isn't installed.
    """
    try:
        return framework("keras", flavor)
    except ModuleNotFoundError as error:
        raise MissingDependency(
            f"Keras needs its backend {error.name}, which isn't installed",
            hint=f"pip install {error.name}; or set KERAS_BACKEND to the one that is",
        ) from error


def find(folder: ModelFolder, data: object) -> str:
    """The path in a model's folder of the file that Keras wrote.

    Args:
        folder: The model's folder.
        data: What MLmodel says: the folder with the file.

    Raises:
        ResourceDoesNotExist: There is none that Keras 3 reads.
    """
    for name in FILES:
        try:
            folder.file(f"{data}/{name}")
        except ResourceDoesNotExist:
            continue
        return f"{data}/{name}"
    raise ResourceDoesNotExist(
        f"The model at {folder.uri} has none of the files {', '.join(FILES)} in {data!r}",
        hint="it was logged incompletely, or by Keras 2, whose folders Keras 3 doesn't load",
    )


def load(
    folder: ModelFolder,
    path: str,
    flavor: str,
    custom_objects: dict[str, Any] | None,
    options: dict[str, Any] | None,
    pickled: str | None = None,
) -> Any:
    """Load a file of Keras'.

    Args:
        folder: The model's folder.
        path: What ``find`` gave.
        flavor: The flavor that the model is loaded as.
        custom_objects: Classes and functions by the names that the file has for them.
        options: For ``keras.saving.load_model``.
        pickled: A pickle with more custom objects, which wasn't loaded.

    Raises:
        CorruptData: The file is damaged.
        InvalidParameterValue: It names classes that aren't here.
        PermissionDenied: It needs code of its own, which may not run.
    """
    keras = keras_module(flavor)
    file, given = folder.file(path), dict(options or {})
    if path.endswith(".keras") and not zipfile.is_zipfile(file):
        raise CorruptData(f"{path} of {folder.uri} is cut short, or isn't a model of Keras'")
    _check_safety(folder, path, keras.__version__, given)
    given.setdefault("safe_mode", not folder.allows_code)
    given["custom_objects"] = {**(given.get("custom_objects") or {}), **(custom_objects or {})}
    try:
        return keras.saving.load_model(file, **given)
    except (MlgitException, MemoryError):
        raise
    except Exception as error:  # Keras raises what it meets: of JSON, zip, HDF5, its classes
        if given["safe_mode"] and "safe_mode" in str(error):
            raise refused(f"{path} of {folder.uri} holds a function's code") from error
        if pickled is not None:
            raise refused(
                f"{pickled} of {folder.uri}, which the model needs, is a pickle"
            ) from error
        if isinstance(error, TypeError):
            raise InvalidParameterValue(
                f"{path} of {folder.uri} names what Keras doesn't know: {_first_line(error)}",
                hint="give its classes and functions as custom_objects={name: class}, or import "
                "the module that registers them before",
            ) from error
        raise CorruptData(
            f"{path} of {folder.uri} can't be loaded by Keras: {_first_line(error)}",
            hint="it is damaged, or was saved by another version than Keras "
            f"{keras.__version__}: see the model's requirements.txt",
        ) from error


def _check_safety(folder: ModelFolder, path: str, version: str, options: dict[str, Any]) -> None:
    if options.get("safe_mode") is False:
        folder.require_code("safe_mode=False asks for the code of its functions")
    if path.endswith(".h5"):
        folder.require_code(f"{path} is a file of Keras' old format")
    if tuple(int(part) for part in version.split(".")[:2]) < _SAFE_SINCE:
        folder.require_code(f"{path} is to be loaded by Keras {version}, whose safe mode isn't")


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__


class KerasPyfunc:
    """A model of Keras' as the pyfunc face calls it: of a frame it makes a frame."""

    def __init__(self, model: Any) -> None:
        self._model = model

    def predict(self, data: Any, params: dict[str, Any] | None = None) -> Any:
        options = {"verbose": 0, **accepted(self._model.predict, params)}
        if not hasattr(data, "columns"):
            return self._model.predict(data, **options)
        found = self._model.predict(data.to_numpy(), **options)
        if getattr(found, "ndim", 0) not in (1, 2):
            return found
        import pandas as pd

        return pd.DataFrame(found, index=data.index)

    def get_raw_model(self) -> Any:
        return self._model


def arrays(found: Any) -> Any:
    """What a graph of TensorFlow's gave, with arrays for tensors."""
    if isinstance(found, dict):
        return {name: arrays(value) for name, value in found.items()}
    if isinstance(found, (list, tuple)):
        return [arrays(value) for value in found]
    return found.numpy() if hasattr(found, "numpy") else found


def load_graph(
    folder: ModelFolder, path: str, tensorflow: Any, options: dict[str, Any] | None = None
) -> Any:
    """Load a SavedModel of TensorFlow's: a program, whose operations read and write files too.

    Args:
        folder: The model's folder.
        path: The SavedModel's folder in it.
        tensorflow: The framework.
        options: For ``tf.saved_model.load``.

    Raises:
        CorruptData: Its files are damaged.
        PermissionDenied: Models may not run code.
    """
    folder.require_code(f"{path}/saved_model.pb is a program of TensorFlow's")
    place = folder.file(path)
    try:
        model = tensorflow.saved_model.load(place, **(options or {}))
    except MemoryError:
        raise
    except Exception as error:  # TensorFlow raises what it meets
        raise CorruptData(
            f"{path} of {folder.uri} can't be loaded by TensorFlow: {_first_line(error)}",
            hint=f"it is damaged, or of another version than {tensorflow.__version__}",
        ) from error
    if os.path.isdir(f"{place}/assets") and os.listdir(f"{place}/assets"):
        folder.keep()  # the model names them, to be saved again
    return model
