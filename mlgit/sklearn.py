"""scikit-learn's models (MLflow's ``mlflow.sklearn``)."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from mlgit.exceptions import CorruptData, InvalidParameterValue, Unsupported
from mlgit.models.flavors import framework
from mlgit.models.folder import ModelFolder, opened
from mlgit.models.logged import LogOptions, log
from mlgit.models.mlmodel import ModelInfo
from mlgit.models.pickles import dump_pickle
from mlgit.models.saving import SaveOptions, Written, save, spelled_out
from mlgit.models.skopsfile import dump_skops, load_skops

if TYPE_CHECKING:
    from typing_extensions import Unpack

NAME = "sklearn"
SERIALIZATION_FORMAT_PICKLE = "pickle"
SERIALIZATION_FORMAT_CLOUDPICKLE = "cloudpickle"
SERIALIZATION_FORMAT_SKOPS = "skops"
_FILES = {"pickle": "model.pkl", "cloudpickle": "model.pkl", "skops": "model.skops"}


@spelled_out(SaveOptions)
def save_model(
    sk_model: Any,
    path: str | os.PathLike[str],
    *,
    serialization_format: str = SERIALIZATION_FORMAT_CLOUDPICKLE,
    pyfunc_predict_fn: str = "predict",
    skops_trusted_types: Sequence[str] | None = None,
    **options: Unpack[SaveOptions],
) -> None:
    """Save a model to a folder.

    Args:
        sk_model: The model.
        path: The folder; it may be there if it is empty.
        serialization_format: "cloudpickle", which MLflow 2 and 3 load; "pickle"; or "skops",
            which holds data only and is loaded without running code.
        pyfunc_predict_fn: The method that the pyfunc face predicts by, as in "predict_proba".
        skops_trusted_types: Types that skops is to load besides those it knows.
        options: See ``mlgit.models.saving.SaveOptions``.

    Raises:
        InvalidParameterValue: An argument can't be right, or the model can't be pickled.
        ResourceAlreadyExists: There is something at the path.
    """
    if serialization_format not in _FILES:
        raise InvalidParameterValue(
            f"Unrecognized serialization format: {serialization_format!r}",
            hint="one of " + ", ".join(_FILES),
        )

    def write(folder: str) -> Written:
        file = _FILES[serialization_format]
        trusted = list(skops_trusted_types) if skops_trusted_types is not None else None
        if serialization_format == SERIALIZATION_FORMAT_SKOPS:
            modules = dump_skops(sk_model, f"{folder}/{file}", NAME, trusted or ())
        else:
            modules = dump_pickle(sk_model, f"{folder}/{file}", by=serialization_format)
            if serialization_format == SERIALIZATION_FORMAT_CLOUDPICKLE:
                modules |= {"cloudpickle"}
        row = {
            "pickled_model": file,
            "serialization_format": serialization_format,
            "sklearn_version": framework("sklearn", NAME).__version__,
        }
        if trusted is not None:
            row["skops_trusted_types"] = trusted
        predicts = hasattr(sk_model, pyfunc_predict_fn)
        return Written(
            row,
            "mlflow.sklearn" if predicts else None,
            {"model_path": file, "predict_fn": pyfunc_predict_fn},
            modules | {"sklearn"},
            _Pyfunc(sk_model, pyfunc_predict_fn).predict if predicts else None,
        )

    save(NAME, path, write, options)


@spelled_out(LogOptions)
def log_model(
    sk_model: Any,
    artifact_path: str | None = None,
    *,
    serialization_format: str = SERIALIZATION_FORMAT_CLOUDPICKLE,
    pyfunc_predict_fn: str = "predict",
    skops_trusted_types: Sequence[str] | None = None,
    **options: Unpack[LogOptions],
) -> ModelInfo:
    """Log a model to the active run, which is begun if there is none.

    Args:
        sk_model: The model.
        artifact_path: Its folder in the run; ``name`` means the same.
        serialization_format, pyfunc_predict_fn, skops_trusted_types: As for ``save_model``.
        options: See ``mlgit.models.logged.LogOptions``.

    Raises:
        InvalidParameterValue: An argument can't be right; nothing is logged.
    """
    return log(
        save_model,
        artifact_path,
        options,
        sk_model=sk_model,
        serialization_format=serialization_format,
        pyfunc_predict_fn=pyfunc_predict_fn,
        skops_trusted_types=skops_trusted_types,
    )


def load_model(
    model_uri: str | os.PathLike[str],
    dst_path: str | None = None,
    *,
    allow_pickle: bool | None = None,
    verify: bool | None = None,
) -> Any:
    """Load a model.

    Args:
        model_uri: Any model URI.
        dst_path: A folder that its files are put into and stay in.
        allow_pickle: Whether pickles may be loaded; the setting where None.
        verify: Whether a registered model must be signed; the setting where None.

    Raises:
        ResourceDoesNotExist: There is no model, or it is of another flavor.
        CorruptData: Its files are damaged.
        PermissionDenied: It is a pickle, and may not be loaded.
        UntrustedModel: It must be signed, and isn't as it must be.
        MissingDependency: scikit-learn isn't installed.
    """
    with opened(model_uri, allow_pickle=allow_pickle, verify=verify, dst_path=dst_path) as folder:
        return _load(folder)


def _load(folder: ModelFolder) -> Any:
    row = folder.row(NAME)
    framework("sklearn", NAME)
    folder.add_code(row)
    # MLflow before 1.0 wrote no format.
    format_ = row.get("serialization_format", SERIALIZATION_FORMAT_PICKLE)
    path = row.get("pickled_model")
    if format_ == SERIALIZATION_FORMAT_SKOPS:
        return load_skops(folder, path, NAME, row.get("skops_trusted_types"))
    if format_ not in _FILES:
        raise Unsupported(f"The model at {folder.uri} has the unknown format {format_!r}")
    return folder.load_pickle(path)


def _load_pyfunc(folder: ModelFolder, config: dict[str, Any] | None) -> _Pyfunc:
    method = folder.pyfunc_row.get("predict_fn", "predict")
    model = _load(folder)
    if not isinstance(method, str) or method.startswith("_") or not hasattr(model, method):
        raise CorruptData(f"MLmodel of {folder.uri} names the method {method!r}, which isn't one")
    return _Pyfunc(model, method)


class _Pyfunc:
    """A model as the pyfunc face calls it."""

    def __init__(self, model: Any, method: str) -> None:
        self._model = model
        self._predict = getattr(model, method)

    def predict(self, data: Any, params: dict[str, Any] | None = None) -> Any:
        return self._predict(data, **params) if params else self._predict(data)

    def get_raw_model(self) -> Any:
        return self._model
