"""LightGBM's models, of its native and its scikit-learn API (MLflow's ``mlflow.lightgbm``).

A ``Booster`` is kept as LightGBM's text, which holds data only. LightGBM has no such format for
models of the scikit-learn API: those are pickles, or skops' where that is asked for.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from mlgit.exceptions import CorruptData, InvalidParameterValue, Unsupported
from mlgit.models.calls import accepted
from mlgit.models.flavors import framework
from mlgit.models.folder import ModelFolder, opened
from mlgit.models.logged import LogOptions, log
from mlgit.models.mlmodel import ModelInfo
from mlgit.models.pickles import dump_pickle
from mlgit.models.saving import SaveOptions, Written, save, spelled_out
from mlgit.models.skopsfile import dump_skops, load_skops

if TYPE_CHECKING:
    from typing_extensions import Unpack

NAME = "lightgbm"
_FILES = {"cloudpickle": "model.pkl", "pickle": "model.pkl", "skops": "model.skops"}
_TEXT = "model.lgb"
_BOOSTER = "lightgbm.basic.Booster"
# What models of the scikit-learn API are made of: data, and boosters that are text.
_TRUSTED = (
    "lightgbm.sklearn.LGBMClassifier",
    "lightgbm.sklearn.LGBMRegressor",
    "lightgbm.sklearn.LGBMRanker",
    "lightgbm.sklearn.LGBMModel",
    "collections.OrderedDict",
    "collections.defaultdict",
    _BOOSTER,
)


@spelled_out(SaveOptions)
def save_model(
    lgb_model: Any,
    path: str | os.PathLike[str],
    *,
    serialization_format: str | None = None,
    skops_trusted_types: Sequence[str] | None = None,
    **options: Unpack[SaveOptions],
) -> None:
    """Save a model to a folder.

    Args:
        lgb_model: A ``Booster``, or a model of the scikit-learn API.
        path: The folder; it may be there if it is empty.
        serialization_format: Of a model of the scikit-learn API: "cloudpickle", which MLflow 2
            and 3 load, where None; "pickle"; or "skops", which holds data only and which
            MLflow 3 loads. A booster is LightGBM's text always.
        skops_trusted_types: Types that skops is to load besides LightGBM's and its own.
        options: See ``mlgit.models.saving.SaveOptions``.

    Raises:
        InvalidParameterValue: An argument can't be right, or the model can't be pickled.
        ResourceAlreadyExists: There is something at the path.
        MissingDependency: LightGBM isn't installed.
    """
    by = "cloudpickle" if serialization_format is None else serialization_format
    if by not in _FILES:
        raise InvalidParameterValue(
            f"Unrecognized serialization format: {by!r}", hint="one of " + ", ".join(_FILES)
        )
    lightgbm = framework("lightgbm", NAME)
    if not isinstance(lgb_model, (lightgbm.Booster, lightgbm.LGBMModel)):
        raise InvalidParameterValue(
            f"A {type(lgb_model).__qualname__} isn't a model of LightGBM's",
            hint="give a Booster, or one of LGBMClassifier, LGBMRegressor, LGBMRanker",
        )

    def write(folder: str) -> Written:
        kind = type(lgb_model)
        row = {
            "lgb_version": lightgbm.__version__,
            "model_class": f"{kind.__module__}.{kind.__qualname__}",
        }
        if isinstance(lgb_model, lightgbm.Booster):
            file, modules = _TEXT, {"lightgbm"}
            row["model_class"] = _BOOSTER
            lgb_model.save_model(f"{folder}/{file}")
        else:
            file = _FILES[by]
            more, modules = _dump(lgb_model, f"{folder}/{file}", by, skops_trusted_types)
            row |= more
        row["data"] = file
        return Written(row, "mlflow.lightgbm", {"data": file}, modules, _Pyfunc(lgb_model).predict)

    save(NAME, path, write, options)


def _dump(
    model: Any, path: str, by: str, trusted: Sequence[str] | None
) -> tuple[dict[str, Any], set[str]]:
    """Write a model of the scikit-learn API: what its row says of it, and modules it imports."""
    row: dict[str, Any] = {"serialization_format": by}
    if by == "skops":
        row["skops_trusted_types"] = sorted({*_TRUSTED, *(trusted or ())})
        modules = dump_skops(model, path, NAME, trusted or (), _TRUSTED)
    else:
        modules = dump_pickle(model, path, by=by)
    if by == "cloudpickle":
        modules |= {"cloudpickle"}
    return row, modules | {"lightgbm", "sklearn"}


@spelled_out(LogOptions)
def log_model(
    lgb_model: Any,
    artifact_path: str | None = None,
    *,
    serialization_format: str | None = None,
    skops_trusted_types: Sequence[str] | None = None,
    **options: Unpack[LogOptions],
) -> ModelInfo:
    """Log a model to the active run, which is begun if there is none.

    Args:
        lgb_model: A ``Booster``, or a model of the scikit-learn API.
        artifact_path: Its folder in the run; ``name`` means the same.
        serialization_format, skops_trusted_types: As for ``save_model``.
        options: See ``mlgit.models.logged.LogOptions``.

    Raises:
        InvalidParameterValue: An argument can't be right; nothing is logged.
    """
    return log(
        save_model,
        artifact_path,
        options,
        lgb_model=lgb_model,
        serialization_format=serialization_format,
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
        MissingDependency: LightGBM isn't installed.
    """
    with opened(model_uri, allow_pickle=allow_pickle, verify=verify, dst_path=dst_path) as folder:
        return _load(folder)


def _load(folder: ModelFolder) -> Any:
    row = folder.row(NAME)
    lightgbm = framework("lightgbm", NAME)
    folder.add_code(row)
    path = row.get("data")
    # MLflow before 1.24 had boosters only, and wrote no class.
    if row.get("model_class", _BOOSTER) == _BOOSTER:
        return _load_text(folder, path, lightgbm)
    # MLflow 2 has pickles only, and writes no format.
    by = row.get("serialization_format", "cloudpickle")
    if by == "skops":
        return load_skops(folder, path, NAME, row.get("skops_trusted_types"), _TRUSTED)
    if by not in _FILES:
        raise Unsupported(f"The model at {folder.uri} has the unknown format {by!r}")
    return folder.load_pickle(path)


def _load_text(folder: ModelFolder, path: object, lightgbm: Any) -> Any:
    file = folder.file(path)
    # LightGBM loads some texts that are cut short, and of others the process dies.
    if not _is_whole(file):
        raise CorruptData(f"{path} of {folder.uri} is cut short, or isn't a model of LightGBM's")
    try:
        return lightgbm.Booster(model_file=file)
    except (lightgbm.basic.LightGBMError, ValueError) as error:
        raise CorruptData(f"{path} of {folder.uri} can't be loaded by LightGBM: {error}") from error


def _is_whole(file: str) -> bool:
    """Whether a text ends as LightGBM's own or its Python package ends it."""
    with open(file, "rb") as f:
        at, tail = f.seek(0, os.SEEK_END), b""
        while at and b"\n" not in tail.rstrip():
            step = min(at, max(1 << 16, len(tail)))
            at = f.seek(at - step)
            tail = f.read(step) + tail
    last = tail.rstrip().rpartition(b"\n")[2]
    if last == b"end of parameters":
        return True
    head, _, categories = last.partition(b":")
    try:
        json.loads(categories)
    except ValueError:
        return False
    return head == b"pandas_categorical"


def _load_pyfunc(folder: ModelFolder, config: dict[str, Any] | None) -> _Pyfunc:
    return _Pyfunc(_load(folder))


class _Pyfunc:
    """A model as the pyfunc face calls it."""

    def __init__(self, model: Any) -> None:
        self._model = model

    def predict(self, data: Any, params: dict[str, Any] | None = None) -> Any:
        return self._model.predict(data, **accepted(self._model.predict, params))

    def get_raw_model(self) -> Any:
        return self._model
