"""TensorFlow's models (MLflow's ``mlflow.tensorflow``): those of tf.keras, and tf.Module.

A model of tf.keras is kept as a file of Keras', a tf.Module as a SavedModel.
"""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from mlgit.exceptions import CorruptData, InvalidParameterValue, ResourceDoesNotExist, Unsupported
from mlgit.models import kerasfile
from mlgit.models.flavors import framework
from mlgit.models.folder import ModelFolder, opened
from mlgit.models.logged import LogOptions, log
from mlgit.models.mlmodel import ModelInfo
from mlgit.models.pickles import dump_pickle
from mlgit.models.saving import SaveOptions, Written, save, spelled_out

if TYPE_CHECKING:
    from typing_extensions import Unpack

NAME = "tensorflow"
_DATA = "data"
_GRAPH = "tf2model"
_KERAS, _MODULE = "keras", "tf2-module"
# Classes that the person registered by Keras' decorator, and those given on saving.
_GLOBAL, _OWN = "global_custom_objects.cloudpickle", "custom_objects.cloudpickle"
_FORMATS = {"tf": "model.keras", "keras": "model.keras", "h5": "model.h5"}


@spelled_out(SaveOptions)
def save_model(
    model: Any,
    path: str | os.PathLike[str],
    *,
    custom_objects: dict[str, Any] | Iterable[Any] | None = None,
    saved_model_kwargs: dict[str, Any] | None = None,
    keras_model_kwargs: dict[str, Any] | None = None,
    **options: Unpack[SaveOptions],
) -> None:
    """Save a model to a folder.

    Args:
        model: A model of tf.keras, or a ``tf.Module``.
        path: The folder; it may be there if it is empty.
        custom_objects: Classes and functions of the model of Keras, by name or in a list; they
            are kept with it, pickled.
        saved_model_kwargs: For ``tf.saved_model.save``, as in ``signatures``.
        keras_model_kwargs: For ``model.save`` of Keras; ``save_format`` is "tf", "keras" (which
            are the same: a ``.keras`` file) or "h5".
        options: See ``mlgit.models.saving.SaveOptions``.

    Raises:
        InvalidParameterValue: An argument can't be right, or the model can't be saved.
        ResourceAlreadyExists: There is something at the path.
        MissingDependency: TensorFlow isn't installed.
    """
    tf = framework("tensorflow", NAME)
    given = dict(keras_model_kwargs or {})
    format_ = given.pop("save_format", "tf")
    if format_ not in _FORMATS:
        raise InvalidParameterValue(
            f"Unrecognized save_format: {format_!r}", hint="one of " + ", ".join(_FORMATS)
        )
    own = _named(custom_objects)
    keras = kerasfile.keras_module(NAME)
    if isinstance(model, keras.Model):

        def write(folder: str) -> Written:
            return _write_keras(folder, model, format_, own, given, keras)

    elif isinstance(model, tf.__internal__.tracking.AutoTrackable):

        def write(folder: str) -> Written:
            return _write_graph(folder, model, saved_model_kwargs or {}, tf)

    else:
        raise InvalidParameterValue(
            f"A {type(model).__qualname__} isn't a model of TensorFlow's",
            hint="give a model of tf.keras, or a tf.Module",
        )
    save(NAME, path, write, options)


def _named(custom_objects: dict[str, Any] | Iterable[Any] | None) -> dict[str, Any]:
    if isinstance(custom_objects, dict):
        return custom_objects
    things: Iterable[Any] = custom_objects or ()
    return {thing.__name__: thing for thing in things}


def _write_keras(
    folder: str,
    model: Any,
    format_: str,
    own: dict[str, Any],
    options: dict[str, Any],
    keras: Any,
) -> Written:
    data = f"{folder}/{_DATA}"
    os.mkdir(data)
    texts = {"keras_module.txt": "tensorflow.keras", "save_format.txt": _format_name(format_)}
    for name, text in texts.items():
        with open(f"{data}/{name}", "w", encoding="utf-8") as f:
            f.write(text)
    file = f"{data}/{_FORMATS[format_]}"
    _asked("Keras", lambda: model.save(file, **options))
    modules = {"tensorflow", "keras", type(model).__module__}
    registered = _used(file, keras.saving.get_custom_objects())
    for name, objects in ((_OWN, own), (_GLOBAL, registered)):
        if objects:
            modules |= dump_pickle(objects, f"{data}/{name}") | {"cloudpickle"}
    row = {
        "data": _DATA,
        "keras_version": keras.__version__,
        "model_type": _KERAS,
        "save_format": _format_name(format_),
    }
    predict = kerasfile.KerasPyfunc(model).predict
    return Written(row, "mlflow.tensorflow", {"data": _DATA}, modules, predict)


def _format_name(format_: str) -> str:
    """What MLflow calls it."""
    return "h5" if format_ == "h5" else "tf"


def _used(file: str, registered: dict[str, Any]) -> dict[str, Any]:
    """Of the registered classes and functions those that a file of Keras' names.

    Whatever libraries have registered would make a pickle of each model.
    """
    if not registered or not zipfile.is_zipfile(file):
        return dict(registered)
    with zipfile.ZipFile(file) as archive:
        text = archive.read("config.json").decode("utf-8")
    return {name: thing for name, thing in registered.items() if f'"{name}"' in text}


def _write_graph(folder: str, model: Any, options: dict[str, Any], tf: Any) -> Written:
    signatures = getattr(model, "signatures", None)
    if signatures:  # it was loaded; TensorFlow would forget them
        options = {"signatures": signatures, **options}
    _asked("TensorFlow", lambda: tf.saved_model.save(model, f"{folder}/{_GRAPH}", **options))
    row = {"saved_model_dir": _GRAPH, "model_type": _MODULE}
    face = _Graph(model, tf)
    return Written(
        row,
        "mlflow.tensorflow",
        {},
        {"tensorflow"},
        lambda data, params: kerasfile.arrays(face.predict(data, params)),
    )


def _asked(who: str, write: Callable[[], Any]) -> None:
    try:
        write()
    except (ValueError, TypeError, NotImplementedError, AssertionError) as error:
        raise InvalidParameterValue(f"{who} can't save the model: {error}") from error


@spelled_out(LogOptions)
def log_model(
    model: Any,
    artifact_path: str | None = None,
    *,
    custom_objects: dict[str, Any] | Iterable[Any] | None = None,
    saved_model_kwargs: dict[str, Any] | None = None,
    keras_model_kwargs: dict[str, Any] | None = None,
    **options: Unpack[LogOptions],
) -> ModelInfo:
    """Log a model to the active run, which is begun if there is none.

    Args:
        model: A model of tf.keras, or a ``tf.Module``.
        artifact_path: Its folder in the run; ``name`` means the same.
        custom_objects, saved_model_kwargs, keras_model_kwargs: As for ``save_model``.
        options: See ``mlgit.models.logged.LogOptions``.

    Raises:
        InvalidParameterValue: An argument can't be right; nothing is logged.
    """
    return log(
        save_model,
        artifact_path,
        options,
        model=model,
        custom_objects=custom_objects,
        saved_model_kwargs=saved_model_kwargs,
        keras_model_kwargs=keras_model_kwargs,
    )


def load_model(
    model_uri: str | os.PathLike[str],
    dst_path: str | None = None,
    saved_model_kwargs: dict[str, Any] | None = None,
    keras_model_kwargs: dict[str, Any] | None = None,
    *,
    allow_pickle: bool | None = None,
    verify: bool | None = None,
) -> Any:
    """Load a model: of Keras, or what ``tf.saved_model.load`` makes of a ``tf.Module``.

    Args:
        model_uri: Any model URI.
        dst_path: A folder that its files are put into and stay in.
        saved_model_kwargs: For ``tf.saved_model.load``.
        keras_model_kwargs: For ``keras.saving.load_model``, as in ``custom_objects``; its
            ``safe_mode`` is on where the model may not run code, and off elsewhere.
        allow_pickle: Whether the model may run code; the setting where None. A SavedModel is
            code.
        verify: Whether a registered model must be signed; the setting where None.

    Raises:
        ResourceDoesNotExist: There is no model, or it is of another flavor.
        CorruptData: Its files are damaged.
        InvalidParameterValue: It names classes that aren't here.
        PermissionDenied: It holds code of its own, which may not run.
        UntrustedModel: It must be signed, and isn't as it must be.
        MissingDependency: TensorFlow isn't installed.
    """
    with opened(model_uri, allow_pickle=allow_pickle, verify=verify, dst_path=dst_path) as folder:
        return _load(folder, saved_model_kwargs, keras_model_kwargs)


def _load(
    folder: ModelFolder,
    graph_options: dict[str, Any] | None = None,
    keras_options: dict[str, Any] | None = None,
) -> Any:
    row = folder.row(NAME)
    tf = framework("tensorflow", NAME)
    folder.add_code(row)
    kind = row.get("model_type", _KERAS)
    if kind == _MODULE:
        return kerasfile.load_graph(folder, str(row.get("saved_model_dir")), tf, graph_options)
    if kind != _KERAS:
        raise Unsupported(f"The model at {folder.uri} is of the kind {kind!r}, of TensorFlow 1")
    data = row.get("data", _DATA)
    objects: dict[str, Any] = {}
    left = None
    for name in (_GLOBAL, _OWN):
        try:
            folder.file(f"{data}/{name}")
        except ResourceDoesNotExist:
            continue
        if folder.allows_code:
            found = folder.load_pickle(f"{data}/{name}")
            if not isinstance(found, dict):
                raise CorruptData(f"{data}/{name} of {folder.uri} holds no classes by name")
            objects |= found
        else:
            left = f"{data}/{name}"  # MLflow writes it for each model; few need it
    path = kerasfile.find(folder, data)
    return kerasfile.load(folder, path, NAME, objects, keras_options, left)


def _load_pyfunc(folder: ModelFolder, config: dict[str, Any] | None) -> Any:
    model = _load(folder)
    if folder.row(NAME).get("model_type", _KERAS) == _KERAS:
        return kerasfile.KerasPyfunc(model)
    return _Graph(model, framework("tensorflow", NAME))


class _Graph:
    """A tf.Module as the pyfunc face calls it, on arrays, lists and frames of numbers."""

    def __init__(self, model: Any, tf: Any) -> None:
        self._model = model
        self._tf = tf

    def predict(self, data: Any, params: dict[str, Any] | None = None) -> Any:
        if hasattr(data, "columns"):
            data = data.to_numpy()
        if not isinstance(data, list) and not hasattr(data, "ndim"):
            raise InvalidParameterValue(
                f"A tf.Module takes an array or a list, not a {type(data).__name__}"
            )
        found = self._called(self._tf.convert_to_tensor(data))
        return found.numpy() if hasattr(found, "numpy") else found

    def _called(self, tensor: Any) -> Any:
        if callable(self._model):
            return self._model(tensor)
        # Of what tf.saved_model.load makes, what has no __call__ has signatures.
        function: Any = dict(getattr(self._model, "signatures", {})).get("serving_default")
        names = list(function.structured_input_signature[1]) if function else []
        if len(names) != 1:
            raise InvalidParameterValue(
                "The tf.Module has neither a __call__ nor a signature 'serving_default' of one input",
                hint="give saved_model_kwargs={'signatures': …} when it is saved",
            )
        return function(**{names[0]: tensor})

    def get_raw_model(self) -> Any:
        return self._model
