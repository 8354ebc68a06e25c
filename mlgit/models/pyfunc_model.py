"""``PyFuncModel``: any model as a function of data; checks its signature around each call."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from mlgit.exceptions import (
    CorruptData,
    InvalidParameterValue,
    MissingDependency,
    MlgitException,
)
from mlgit.models import flavors
from mlgit.models.code import read_config
from mlgit.models.folder import ModelFolder, open_folder
from mlgit.models.mlmodel import Model

if TYPE_CHECKING:
    from mlgit.store.gitstore import GitStore


class PyFuncModel:
    """A loaded model, as a function of data.

    Args:
        model_meta: Its MLmodel.
        model_impl: What predicts: ``predict(data, params=None)``.
        predict_fn: The name of that method.
        predict_stream_fn: The name of the method that streams.

    Attributes:
        metadata: Its MLmodel.
    """

    def __init__(
        self,
        model_meta: Model,
        model_impl: Any,
        predict_fn: str = "predict",
        predict_stream_fn: str | None = None,
        folder: ModelFolder | None = None,
        model_config: dict[str, Any] | None = None,
    ) -> None:
        if not hasattr(model_impl, predict_fn):
            raise InvalidParameterValue(
                f"A {type(model_impl).__name__} has no method {predict_fn!r} to predict with"
            )
        self.metadata = model_meta
        self._model_impl = model_impl
        self._predict_fn = getattr(model_impl, predict_fn)
        self._stream = getattr(model_impl, predict_stream_fn or "predict_stream", None)
        self._takes_params = _takes_params(self._predict_fn)
        self._folder = folder
        self._model_config = model_config

    # -- predicting

    def predict(self, data: Any, params: dict[str, Any] | None = None) -> Any:
        """Predict.

        Args:
            data: What the signature's inputs describe; anything where there is no signature.
            params: Values for the signature's params.

        Returns:
            What the model gives.

        Raises:
            InvalidParameterValue: Data or params aren't what the signature says, or the model
                raises.
        """
        data, params = self._checked(data, params)
        return self._called(self._predict_fn, data, params)

    __call__ = predict

    def predict_stream(self, data: Any, params: dict[str, Any] | None = None) -> Any:
        """Predict piece by piece; arguments and errors are those of ``predict``."""
        if self._stream is None:
            raise InvalidParameterValue(
                "The model can't predict as a stream", hint="it has no method predict_stream"
            )
        data, params = self._checked(data, params)
        return self._called(self._stream, data, params)

    def _checked(
        self, data: Any, params: dict[str, Any] | None
    ) -> tuple[Any, dict[str, Any] | None]:
        signature = self.metadata.signature
        if signature is not None and signature.inputs is not None:
            from mlgit.models.enforcement import enforce_schema

            if self.metadata.others.get("is_signature_from_type_hint"):
                data = _listed(data)  # which is what the hints say
                # Rows of pydantic's models are checked by these, which know of defaults.
                if not getattr(self._model_impl, "checks_rows", False):
                    enforce_schema(data, signature.inputs)
            else:
                data = enforce_schema(data, signature.inputs)
        if params or (signature is not None and signature.params is not None):
            from mlgit.models.enforcement import enforce_params

            params = enforce_params(params, signature.params if signature is not None else None)
        return data, params

    def _called(self, method: Any, data: Any, params: dict[str, Any] | None) -> Any:
        try:
            return method(data, params=params) if self._takes_params else method(data)
        except MlgitException:
            raise
        except Exception as error:
            raise InvalidParameterValue(
                f"The model raises {type(error).__name__}: {error}",
                "BAD_REQUEST",
                hint=_why(self.metadata),
            ) from error

    # -- what it is

    @property
    def loader_module(self) -> str:
        """The module that MLmodel says it is loaded by."""
        row = self.metadata.flavors.get("python_function", {})
        return str(row.get("loader_module", ""))

    @property
    def model_config(self) -> dict[str, Any] | None:
        """The configuration that it was loaded with."""
        return self._model_config

    @property
    def model_id(self) -> str | None:
        """The id that MLflow 3 gave it, or None."""
        return self.metadata.model_id

    @property
    def input_example(self) -> Any:
        """The example that it was saved with, or None."""
        return None if self._folder is None else self._folder.input_example()

    def unwrap_python_model(self) -> Any:
        """The ``PythonModel`` inside.

        Raises:
            InvalidParameterValue: It is a model of another flavor.
        """
        found = getattr(self._model_impl, "python_model", None)
        if found is None:
            raise InvalidParameterValue(
                "unwrap_python_model() is for models that are a PythonModel; this one is loaded "
                f"by {self.loader_module}",
                hint="get_raw_model() gives what is inside",
            )
        return found

    def get_raw_model(self) -> Any:
        """The framework's model inside."""
        get = getattr(self._model_impl, "get_raw_model", None)
        return self._model_impl if get is None else get()

    def __repr__(self) -> str:
        lines = ["mlgit.pyfunc.loaded_model:"]
        if self.metadata.run_id is not None and self.metadata.artifact_path is not None:
            lines.append(f"  artifact_path: {self.metadata.artifact_path}")
        lines.append(f"  flavor: {self.loader_module}")
        if self.metadata.run_id is not None:
            lines.append(f"  run_id: {self.metadata.run_id}")
        return "\n".join(lines) + "\n"


def _listed(data: Any) -> Any:
    """Data as the list of rows that a model with type hints takes; frames row by row."""
    columns = getattr(data, "columns", None)
    if columns is None:
        return data.tolist() if hasattr(data, "tolist") else data
    return (
        data.iloc[:, 0].tolist()
        if len(columns) == 1 and columns[0] == 0
        else data.to_dict(orient="records")
    )


def _takes_params(method: Any) -> bool:
    import inspect

    try:
        parameters = inspect.signature(method).parameters.values()
    except (TypeError, ValueError):
        return False
    return any(p.name == "params" or p.kind is p.VAR_KEYWORD for p in parameters)


def _why(model: Model) -> str:
    if model.signature is None:
        return "the model has no signature that data could be checked against before"
    return "the data fits the model's signature; what went wrong is in the model"


def load_pyfunc(
    model_uri: str | os.PathLike[str],
    *,
    dst_path: str | os.PathLike[str] | None = None,
    model_config: str | os.PathLike[str] | dict[str, Any] | None = None,
    allow_pickle: bool | None = None,
    verify: bool | None = None,
    store: GitStore | None = None,
) -> PyFuncModel:
    """Load any model as a function of data.

    Args:
        model_uri: Any model URI.
        dst_path: A folder that its files are put into and stay in.
        model_config: Values that override the model's configuration.
        allow_pickle: Whether it may run code; the setting where None.
        verify: Whether a registered model must be signed; the setting where None.
        store: The repository of runs; the one in use where None.

    Raises:
        ResourceDoesNotExist: There is no model, or it has no pyfunc face.
        CorruptData: Its MLmodel or a file can't be read.
        PermissionDenied: It would run code, and may not.
        UntrustedModel: It must be signed, and isn't as it must be.
        MissingDependency: Its framework isn't installed.
        Unsupported: It is of a flavor that mlgit doesn't know.
    """
    folder = open_folder(
        model_uri, allow_pickle=allow_pickle, verify=verify, dst_path=dst_path, store=store
    )
    try:
        row = folder.pyfunc_row
        config = {**(row.get("config") or {}), **(read_config(model_config) or {})} or None
        loader = row.get("loader_module")
        if not isinstance(loader, str) or not loader:
            raise CorruptData(f"MLmodel of {folder.uri} names no loader_module")
        flavor = flavors.of_loader(loader)
        folder.add_code(row)
        if flavor is None:
            impl = _by_own_loader(folder, loader, row, config)
        else:
            impl = flavors.module_of(flavor)._load_pyfunc(folder, config)
        model = PyFuncModel(
            folder.model,
            impl,
            row.get("predict_fn", "predict") if flavor is None else "predict",
            folder=folder,
            model_config=config,
        )
    except BaseException:
        folder.close()
        raise
    if not getattr(impl, "needs_files", False):
        folder.close()
    return model


def _by_own_loader(
    folder: ModelFolder, loader: str, row: dict[str, Any], config: dict[str, Any] | None
) -> Any:
    """What a module of the person's own loads: it has ``_load_pyfunc(path)``."""
    import importlib
    import inspect

    folder.require_code(f"loader_module: {loader} names a module")
    data = row.get("data")
    path = folder.file(data) if data is not None else folder.everything()
    try:
        module = importlib.import_module(loader)
    except ModuleNotFoundError as error:
        raise MissingDependency(
            f"The model at {folder.uri} is loaded by the module {loader}, and there is no "
            f"module {error.name}",
            hint="save it with code_paths, or install what has the module",
        ) from error
    except (ImportError, ValueError, TypeError, SyntaxError) as error:
        raise CorruptData(
            f"The loader {loader} of the model at {folder.uri} can't be imported: {error}"
        ) from error
    load = getattr(module, "_load_pyfunc", None)
    if load is None:
        raise CorruptData(
            f"{loader}, which the model at {folder.uri} names as its loader, isn't one: it has no "
            "_load_pyfunc",
            hint="known are "
            + ", ".join(sorted(f.loader for f in (*flavors.FLAVORS.values(), flavors.PYFUNC))),
        )
    folder.keep()  # nobody knows how long its files are needed
    if config and "model_config" in inspect.signature(load).parameters:
        return load(path, model_config=config)
    return load(path)
