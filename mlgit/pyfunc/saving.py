"""Saving and logging models that are the person's own code."""

from __future__ import annotations

import inspect
import os
import shutil
import warnings
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from mlgit.exceptions import CorruptData, InvalidParameterValue, ResourceDoesNotExist
from mlgit.models import environment, requirements
from mlgit.models.code import model_of_code, own_code, read_config
from mlgit.models.flavors import CODE_LOADER, PYFUNC
from mlgit.models.folder import PYFUNC as ROW
from mlgit.models.logged import LogOptions, log
from mlgit.models.mlmodel import Model, ModelInfo
from mlgit.models.pickles import dump_pickle
from mlgit.models.saving import SaveOptions, Written, save, spelled_out
from mlgit.models.sources import fetch_file
from mlgit.pyfunc.loading import as_python_model
from mlgit.pyfunc.python_model import (
    FunctionModel,
    Predictor,
    PythonModel,
    PythonModelContext,
    element,
    hints,
)

if TYPE_CHECKING:
    from typing_extensions import Unpack

_PICKLE = "python_model.pkl"


@spelled_out(SaveOptions)
def save_model(
    path: str | os.PathLike[str],
    loader_module: str | None = None,
    data_path: str | os.PathLike[str] | None = None,
    *,
    python_model: Any = None,
    artifacts: Mapping[str, str] | None = None,
    model_config: str | os.PathLike[str] | dict[str, Any] | None = None,
    streamable: bool | None = None,
    infer_code_paths: bool = False,
    **options: Unpack[SaveOptions],
) -> None:
    """Save a model that is the person's own code.

    Args:
        path: The folder; it may be there if it is empty.
        loader_module: A module with ``_load_pyfunc(path)``, which loads the model; it comes
            from ``code_paths`` or is installed where the model is loaded.
        data_path: A file or folder that the module is given.
        python_model: Instead of both, an instance of ``PythonModel``, a function, or the path
            of a file of code that calls ``mlgit.models.set_model``.
        artifacts: Names and URIs or paths of files that the model needs; kept with it.
        model_config: Its configuration: a dict or a YAML file.
        streamable: Whether it has ``predict_stream``; looked up where None.
        infer_code_paths: Keep the modules that the model's pickle names and that are below the
            working directory, as ``code_paths`` does.
        options: See ``mlgit.models.saving.SaveOptions``.

    Raises:
        InvalidParameterValue: An argument can't be right, or the model can't be pickled.
        ResourceDoesNotExist: A file that is named isn't there.
        ResourceAlreadyExists: There is something at the path.
    """
    config = read_config(model_config)
    if (loader_module is None) == (python_model is None):
        raise InvalidParameterValue(
            "Either loader_module or python_model must be given, and not both"
        )
    if loader_module is not None:
        write = _with_loader(loader_module, data_path, config)
    else:
        if data_path is not None:
            raise InvalidParameterValue(
                "data_path goes with loader_module", hint="artifacts= keeps files of a model"
            )
        if infer_code_paths and options.get("code_paths") is not None:
            raise InvalidParameterValue("Give either code_paths or infer_code_paths")
        write = _with_model(python_model, artifacts, config, streamable, options, infer_code_paths)
    save(PYFUNC.name, path, write, options)


@spelled_out(LogOptions)
def log_model(
    artifact_path: str | None = None,
    loader_module: str | None = None,
    data_path: str | os.PathLike[str] | None = None,
    *,
    python_model: Any = None,
    artifacts: Mapping[str, str] | None = None,
    model_config: str | os.PathLike[str] | dict[str, Any] | None = None,
    streamable: bool | None = None,
    infer_code_paths: bool = False,
    **options: Unpack[LogOptions],
) -> ModelInfo:
    """Log a model that is the person's own code.

    Args:
        artifact_path: Its folder in the run; ``name`` means the same.
        loader_module, data_path, python_model, artifacts, model_config, streamable,
            infer_code_paths: As for ``save_model``.
        options: See ``mlgit.models.logged.LogOptions``.

    Raises:
        InvalidParameterValue: An argument can't be right; nothing is logged.
    """
    return log(
        save_model,
        artifact_path,
        options,
        loader_module=loader_module,
        data_path=data_path,
        python_model=python_model,
        artifacts=artifacts,
        model_config=model_config,
        streamable=streamable,
        infer_code_paths=infer_code_paths,
    )


def _with_loader(
    module: str, data: str | os.PathLike[str] | None, config: dict[str, Any] | None
) -> Callable[[str], Written]:
    def write(folder: str) -> Written:
        row: dict[str, Any] = {"streamable": False}
        if data is not None:
            path = os.path.abspath(os.fspath(data))
            row["data"] = f"data/{os.path.basename(path)}"
            _copy(path, f"{folder}/{row['data']}")
        if config:
            row["config"] = config
        return Written(None, module, row, {module})

    return write


def _copy(source: str, target: str) -> None:
    os.makedirs(os.path.dirname(target), exist_ok=True)
    if os.path.isdir(source):
        shutil.copytree(source, target)
    elif os.path.isfile(source):
        shutil.copyfile(source, target)
    else:
        raise ResourceDoesNotExist(f"No such file or folder: {source}")


def _with_model(
    given: Any,
    artifacts: Mapping[str, str] | None,
    config: dict[str, Any] | None,
    streamable: bool | None,
    options: SaveOptions,
    infer_code: bool,
) -> Callable[[str], Written]:
    code = os.fspath(given) if isinstance(given, (str, os.PathLike)) else None
    model = _checked(given if code is None else model_of_code(code, config))
    hinted = _hinted(model)
    if hinted is not None:
        _use(hinted, options)

    def write(folder: str) -> Written:
        import cloudpickle

        row: dict[str, Any] = {"cloudpickle_version": cloudpickle.__version__}
        if code is None:
            modules = dump_pickle(model, f"{folder}/{_PICKLE}") | {"cloudpickle"}
            row["python_model"] = _PICKLE
        else:
            row["model_code_path"] = os.path.basename(code)
            _copy(os.path.abspath(code), f"{folder}/{row['model_code_path']}")
            modules = requirements.imports_of_file(code) | {"cloudpickle"}
        if infer_code:
            options["code_paths"] = own_code(modules)
        kept = {name: _keep(name, uri, folder) for name, uri in (artifacts or {}).items()}
        if kept:
            row["artifacts"] = kept
        if config:
            row["config"] = config
        found = hasattr(model, "predict_stream") if streamable is None else streamable
        row["streamable"] = bool(found)
        paths = {name: f"{folder}/{entry['path']}" for name, entry in kept.items()}
        return Written(
            None,
            PYFUNC.loader if code is None else CODE_LOADER,
            row,
            modules,
            _Trying(model, PythonModelContext(paths, config)).predict,
        )

    return write


class _Trying:
    """Predicts once as the loaded model would: on a context that was loaded."""

    def __init__(self, model: PythonModel, context: PythonModelContext) -> None:
        self._model, self._context = model, context

    def predict(self, data: Any, params: dict[str, Any] | None) -> Any:
        self._model.load_context(self._context)
        return Predictor(self._model, self._context).predict(data, params)


def _checked(model: Any) -> PythonModel:
    if isinstance(model, type):
        raise InvalidParameterValue(
            f"python_model is the class {model.__name__}", hint="give an instance of it"
        )
    if inspect.isfunction(model) and not inspect.signature(model).parameters:
        raise InvalidParameterValue(f"The function {model.__name__} takes no data")
    try:
        return as_python_model(model, "python_model")
    except CorruptData as error:
        raise InvalidParameterValue(
            error.message, hint="give one, or the path of a file of code that sets one"
        ) from error


def _hinted(model: PythonModel) -> Any:
    """The signature that the prediction's type hints say, or None.

    As in MLflow, hints count where the input's is ``list[X]``: X is what a row is.
    """
    from mlgit.models.type_hints import signature_from_type_hints

    function = model.func if isinstance(model, FunctionModel) else model.predict
    given, returned = hints(function)
    row = element(given)
    return None if row is None else signature_from_type_hints(row, element(returned) or returned)


def _use(hinted: Any, options: SaveOptions) -> None:
    """Make the hints' signature the model's, as MLflow does; another one is told of."""
    given = options.get("signature")
    if given is not None and given != hinted:
        warnings.warn(
            "The signature isn't what the type hints of predict say; the hints count. Leave the "
            "signature out, or the hints.",
            stacklevel=2,
        )
    model = options.get("mlflow_model") or Model()
    model.others["is_signature_from_type_hint"] = True
    options["signature"], options["mlflow_model"] = hinted, model


def _keep(name: str, uri: str, folder: str) -> dict[str, str]:
    """Keep a file or folder with a model; what MLmodel says of it."""
    if not isinstance(uri, (str, os.PathLike)):
        raise InvalidParameterValue(f"artifacts: {name} must name a path or a URI")
    path = fetch_file(os.fspath(uri), f"{folder}/artifacts")
    return {"path": os.path.relpath(path, folder), "uri": os.fspath(uri)}


def add_to_model(
    model: Model,
    loader_module: str,
    data: str | None = None,
    code: str | None = None,
    conda_env: str | None = None,
    python_env: str | None = None,
    model_config: dict[str, Any] | None = None,
    **fields: Any,
) -> Model:
    """Give a model the pyfunc face, as who writes a flavor of their own needs it.

    Args:
        model: The model.
        loader_module: The module with ``_load_pyfunc(path)``.
        data: What it is given, a path in the model's folder; the folder where None.
        code: The folder of code.
        conda_env, python_env: The files of its environment.
        model_config: Its configuration.
        fields: Fields of the row besides.
    """
    row: dict[str, Any] = {"loader_module": loader_module, "python_version": _python(), **fields}
    if code:
        row["code"] = code
    if data:
        row["data"] = data
    env = {k: v for k, v in (("conda", conda_env), ("virtualenv", python_env)) if v}
    if env:
        row["env"] = env
    if model_config:
        row["config"] = model_config
    return model.add_flavor(ROW, **row)


def _python() -> str:
    import platform

    return platform.python_version()


def get_default_pip_requirements() -> list[str]:
    """What a model of this flavor needs whatever it is."""
    return requirements.inferred({"cloudpickle"})


def get_default_conda_env() -> dict[str, Any]:
    """The conda environment of a model that needs nothing else."""
    return environment.conda_of(requirements.with_mlflow(get_default_pip_requirements()))
