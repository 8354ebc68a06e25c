"""XGBoost's models, of its native and its scikit-learn API (MLflow's ``mlflow.xgboost``).

Both are kept in XGBoost's own formats, which hold data only: no pickle is written or read.
"""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any

from mlgit.exceptions import CorruptData, InvalidParameterValue
from mlgit.models import ubjson
from mlgit.models.calls import accepted
from mlgit.models.flavors import framework
from mlgit.models.folder import ModelFolder, opened
from mlgit.models.logged import LogOptions, log
from mlgit.models.mlmodel import ModelInfo
from mlgit.models.saving import SaveOptions, Written, save, spelled_out

if TYPE_CHECKING:
    from typing_extensions import Unpack

NAME = "xgboost"
MODEL_FORMATS = ("ubj", "json", "xgb")
_BOOSTER = "xgboost.core.Booster"


@spelled_out(SaveOptions)
def save_model(
    xgb_model: Any,
    path: str | os.PathLike[str],
    *,
    model_format: str = "ubj",
    **options: Unpack[SaveOptions],
) -> None:
    """Save a model to a folder.

    Args:
        xgb_model: A ``Booster``, or a model of the scikit-learn API.
        path: The folder; it may be there if it is empty.
        model_format: "ubj" or "json"; or "xgb", which XGBoost before 3.1 knows as its old
            binary format and later ones take for "ubj".
        options: See ``mlgit.models.saving.SaveOptions``.

    Raises:
        InvalidParameterValue: An argument can't be right, or the model isn't trained.
        ResourceAlreadyExists: There is something at the path.
        MissingDependency: XGBoost isn't installed.
    """
    if model_format not in MODEL_FORMATS:
        raise InvalidParameterValue(
            f"Unrecognized model_format: {model_format!r}",
            hint="one of " + ", ".join(MODEL_FORMATS),
        )
    xgboost = framework("xgboost", NAME)
    if not isinstance(xgb_model, (xgboost.Booster, xgboost.XGBModel)):
        raise InvalidParameterValue(
            f"A {type(xgb_model).__qualname__} isn't a model of XGBoost's",
            hint="give a Booster, or one of XGBClassifier, XGBRegressor, XGBRanker …",
        )

    def write(folder: str) -> Written:
        file = f"model.{model_format}"
        try:
            xgb_model.save_model(f"{folder}/{file}")
        except OSError:
            raise
        except Exception as error:  # scikit-learn's NotFittedError, XGBoost's own
            raise InvalidParameterValue(f"XGBoost can't save the model: {error}") from error
        kind = type(xgb_model)
        row = {
            "xgb_version": xgboost.__version__,
            "data": file,
            "model_class": f"{kind.__module__}.{kind.__qualname__}",
            "model_format": model_format,
        }
        modules = {"xgboost", kind.__module__}
        if not isinstance(xgb_model, xgboost.Booster):
            modules.add("sklearn")
        return Written(row, "mlflow.xgboost", {"data": file}, modules, _Pyfunc(xgb_model).predict)

    save(NAME, path, write, options)


@spelled_out(LogOptions)
def log_model(
    xgb_model: Any,
    artifact_path: str | None = None,
    *,
    model_format: str = "ubj",
    **options: Unpack[LogOptions],
) -> ModelInfo:
    """Log a model to the active run, which is begun if there is none.

    Args:
        xgb_model: A ``Booster``, or a model of the scikit-learn API.
        artifact_path: Its folder in the run; ``name`` means the same.
        model_format: As for ``save_model``.
        options: See ``mlgit.models.logged.LogOptions``.

    Raises:
        InvalidParameterValue: An argument can't be right; nothing is logged.
    """
    return log(save_model, artifact_path, options, xgb_model=xgb_model, model_format=model_format)


def load_model(
    model_uri: str | os.PathLike[str],
    dst_path: str | None = None,
    *,
    allow_pickle: bool | None = None,
    verify: bool | None = None,
) -> Any:
    """Load a model, as the class that it was saved from.

    Args:
        model_uri: Any model URI.
        dst_path: A folder that its files are put into and stay in.
        allow_pickle: Whether code of the model's own may run, as of a class that isn't
            XGBoost's; the setting where None.
        verify: Whether a registered model must be signed; the setting where None.

    Raises:
        ResourceDoesNotExist: There is no model, or it is of another flavor.
        CorruptData: Its files are damaged.
        PermissionDenied: It has code of its own, which may not run.
        UntrustedModel: It must be signed, and isn't as it must be.
        MissingDependency: XGBoost isn't installed.
    """
    with opened(model_uri, allow_pickle=allow_pickle, verify=verify, dst_path=dst_path) as folder:
        return _load(folder)


def _load(folder: ModelFolder) -> Any:
    row = folder.row(NAME)
    xgboost = framework("xgboost", NAME)
    folder.add_code(row)
    # MLflow before 1.22 had boosters only, and wrote no class.
    kind = _class(folder, row.get("model_class", _BOOSTER), xgboost)
    path = row.get("data")
    file = folder.file(path)
    with open(file, "rb") as f:
        start = f.read(2)
    if ubjson.is_ubjson(start) and not ubjson.is_whole(file):
        raise CorruptData(f"{path} of {folder.uri} is cut short or damaged")
    model = kind()
    try:
        model.load_model(file)
    except (OSError, MemoryError):
        raise
    except Exception as error:  # XGBoost's, and those of its reading of its own errors
        reason = str(error).partition("\nStack trace")[0]
        raise CorruptData(
            f"{path} of {folder.uri} can't be loaded by XGBoost: {reason}",
            hint=f"it is damaged, or of another version than {xgboost.__version__}: "
            f"the model says {row.get('xgb_version')}",
        ) from error
    return model


def _class(folder: ModelFolder, name: object, xgboost: Any) -> Any:
    """The class that MLmodel names; to import a module of somebody's own is to run code."""
    module, _, own = name.rpartition(".") if isinstance(name, str) else ("", "", "")
    if module.split(".")[0] != "xgboost":
        folder.require_code(f"model_class: {name} names a class that isn't XGBoost's")
    try:
        kind = getattr(importlib.import_module(module), own)
        if not issubclass(kind, (xgboost.Booster, xgboost.XGBModel)):
            raise TypeError("it isn't a model's class")
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        raise CorruptData(
            f"MLmodel of {folder.uri} names the class {name!r}, which can't be had: {error}",
            hint="a class of your own belongs into a module that code_paths names",
        ) from error
    return kind


def _load_pyfunc(folder: ModelFolder, config: dict[str, Any] | None) -> _Pyfunc:
    return _Pyfunc(_load(folder))


class _Pyfunc:
    """A model as the pyfunc face calls it: a booster on a ``DMatrix`` made of the data."""

    def __init__(self, model: Any) -> None:
        self._model = model

    def predict(self, data: Any, params: dict[str, Any] | None = None) -> Any:
        xgboost = framework("xgboost", NAME)
        model = self._model
        if isinstance(model, xgboost.Booster):
            categories = "c" in (model.feature_types or ())
            data = xgboost.DMatrix(data, **({"enable_categorical": True} if categories else {}))
        return model.predict(data, **accepted(model.predict, params))

    def get_raw_model(self) -> Any:
        return self._model
