"""Loading models as functions of data."""

from __future__ import annotations

import os
from typing import Any

from mlgit.exceptions import (
    CorruptData,
    InvalidParameterValue,
    MissingDependency,
    MlgitException,
)
from mlgit.models import environment
from mlgit.models.code import model_of_code
from mlgit.models.flavors import CODE_LOADER
from mlgit.models.folder import ModelFolder, opened
from mlgit.models.pyfunc_model import PyFuncModel, load_pyfunc
from mlgit.pyfunc.python_model import (
    FunctionModel,
    Predictor,
    PythonModel,
    PythonModelContext,
)


def load_model(
    model_uri: str | os.PathLike[str],
    suppress_warnings: bool = False,
    dst_path: str | None = None,
    model_config: str | os.PathLike[str] | dict[str, Any] | None = None,
    *,
    allow_pickle: bool | None = None,
    verify: bool | None = None,
) -> PyFuncModel:
    """Load a model of any flavor as a function of data.

    Args:
        model_uri: ``runs:/…``, ``models:/…``, ``mlgit:/…``, a path or a URL.
        suppress_warnings: Accepted for MLflow's sake.
        dst_path: A folder that its files are put into and stay in.
        model_config: Values that override the model's configuration: a dict or a YAML file.
        allow_pickle: Whether it may run code that it holds; the setting where None.
        verify: Whether a registered model must be signed; the setting where None.

    Raises:
        ResourceDoesNotExist: There is no model, or it has no pyfunc face.
        CorruptData: Its MLmodel or a file can't be read.
        PermissionDenied: It would run code, and may not.
        UntrustedModel: It must be signed, and isn't as it must be.
        MissingDependency: Its framework isn't installed.
    """
    return load_pyfunc(
        model_uri,
        dst_path=dst_path,
        model_config=model_config,
        allow_pickle=allow_pickle,
        verify=verify,
    )


def _load_pyfunc(folder: ModelFolder, config: dict[str, Any] | None) -> Predictor:
    """A model whose prediction is the person's own code."""
    row = folder.pyfunc_row
    if row.get("loader_module") == CODE_LOADER:
        model = _from_code(folder, row, config)
    else:
        model = folder.load_pickle(row.get("python_model"))
    model = as_python_model(model, f"The model at {folder.uri}")
    artifacts = _artifacts(folder, row)
    context = PythonModelContext(artifacts, config)
    try:
        model.load_context(context)
    except MlgitException:
        raise
    except Exception as error:
        raise InvalidParameterValue(
            f"load_context() of the model at {folder.uri} raises {type(error).__name__}: {error}"
        ) from error
    predictor = Predictor(model, context, bool(artifacts))
    if artifacts:
        # The model may open them whenever it predicts, and outlive the folder.
        folder.release_with(model)
    return predictor


def _from_code(folder: ModelFolder, row: dict[str, Any], config: dict[str, Any] | None) -> Any:
    # MLflow writes the path that the file had where the model was logged.
    name = os.path.basename(str(row.get("model_code_path", "")).replace("\\", "/"))
    folder.require_code(f"model_code_path: {name} names code")
    return model_of_code(folder.file(name), config)


def as_python_model(model: Any, name: str) -> PythonModel:
    """What was pickled or set by code, as a ``PythonModel``.

    Raises:
        CorruptData: It is something else.
    """
    if callable(getattr(model, "predict", None)):
        if not hasattr(model, "load_context"):
            model.load_context = lambda context: None
        return model  # type: ignore[no-any-return]
    if callable(model):
        return FunctionModel(model)
    raise CorruptData(f"{name} is a {type(model).__name__}, neither a PythonModel nor a function")


def _artifacts(folder: ModelFolder, row: dict[str, Any]) -> dict[str, str]:
    found = row.get("artifacts") or {}
    if not isinstance(found, dict) or not all(isinstance(v, dict) for v in found.values()):
        raise CorruptData(f"MLmodel of {folder.uri}: artifacts must be names with a path each")
    return {str(name): folder.file(entry.get("path")) for name, entry in found.items()}


def get_model_dependencies(model_uri: str | os.PathLike[str], format: str = "pip") -> str:
    """The file that says what a model needs.

    Args:
        model_uri: Any model URI.
        format: "pip" for requirements.txt, "conda" for conda.yaml.

    Returns:
        Its local path; it stays until the program ends.
    """
    names = {"pip": environment.REQUIREMENTS, "conda": environment.CONDA}
    if format not in names:
        raise InvalidParameterValue(f"Illegal format option {format!r}", hint="'pip' or 'conda'")
    with opened(model_uri) as folder:
        folder.keep()
        return folder.file(names[format])


def spark_udf(
    spark: Any,
    model_uri: str | os.PathLike[str],
    result_type: Any = None,
    env_manager: str | None = None,
    params: dict[str, Any] | None = None,
    extra_env: dict[str, str] | None = None,
    model_config: str | os.PathLike[str] | dict[str, Any] | None = None,
) -> Any:
    """A model as a function of Spark's columns.

    Args:
        spark: The session.
        model_uri: Any model URI; the workers must be able to read it.
        result_type: Spark's type of a prediction; "double" where None.
        env_manager: Only "local" (the workers' own environment).
        params: Values for the signature's params.
        extra_env: Accepted for MLflow's sake.
        model_config: Values that override the model's configuration.

    Raises:
        MissingDependency: pyspark isn't installed.
    """
    try:
        from pyspark.sql.functions import pandas_udf
    except ImportError as error:
        raise MissingDependency(
            "spark_udf() needs pyspark, which isn't installed", hint="pip install pyspark"
        ) from error
    if env_manager not in (None, "local"):
        raise InvalidParameterValue(
            f"spark_udf() can't make environments: env_manager={env_manager!r}",
            hint="install the model's requirements.txt on the workers",
        )
    from mlgit.pyfunc.spark import predicting

    return pandas_udf(predicting(spark, model_uri, params, model_config), result_type or "double")
