"""The data of an evaluation: what came, as features, targets and predictions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mlgit.data.dataset import Dataset
from mlgit.data.numpy_dataset import NumpyDataset, from_numpy
from mlgit.data.pandas_dataset import PandasDataset, from_pandas
from mlgit.exceptions import InvalidParameterValue

TARGET = "target"
OUTPUT = "outputs"


@dataclass(frozen=True)
class Inputs:
    """The rows to evaluate.

    Attributes:
        features: A frame with an index from 0, or an array of more than two dimensions.
        arrays: The features as they came, where they came as an array; else None.
        targets: A series, or None.
        predictions: A series, where they are there already; else None.
        target_name: The targets' column.
        output_name: The predictions' column, or that of the model's output to look at.
        dataset: What the run records.
    """

    features: Any
    arrays: Any
    targets: Any
    predictions: Any
    target_name: str
    output_name: Any
    dataset: Dataset

    @property
    def rows(self) -> int:
        """How many there are."""
        return len(self.features)

    def for_model(self) -> Any:
        """A copy of the features, which a model may change."""
        return self.features.copy()


def read_inputs(
    data: Any,
    targets: Any,
    predictions: Any,
    feature_names: Sequence[str] | None,
    *,
    static: bool,
    source: str | None = None,
) -> Inputs:
    """The rows to evaluate, from what ``evaluate`` was given.

    Args:
        data: A frame, an array, a list, or a dataset of ``mlgit.data``.
        targets: A column, or the values themselves.
        predictions: The same; the name of the model's output column where there is a model.
        feature_names: The columns to give to the model; names for those of an array.
        static: Whether there is no model, so that the predictions must be in the data.
        source: Where the data comes from.

    Raises:
        InvalidParameterValue: A column isn't there, lengths differ, or the data is nothing
            of this kind.
    """
    import pandas as pd

    dataset = data if isinstance(data, Dataset) else None
    if isinstance(data, PandasDataset):
        targets = data.targets if targets is None else targets
        predictions = data.predictions if predictions is None else predictions
        data = data.df
    elif isinstance(data, NumpyDataset):
        targets = data.targets if targets is None else targets
        data = data.features
        if isinstance(data, dict) or isinstance(targets, dict):
            raise InvalidParameterValue("evaluate() takes a NumpyDataset of one array, not a dict")
    if isinstance(data, pd.DataFrame):
        return _of_frame(data, targets, predictions, feature_names, dataset, static, source)
    return _of_array(data, targets, predictions, feature_names, dataset, static, source)


def _of_frame(
    data: Any,
    targets: Any,
    predictions: Any,
    feature_names: Sequence[str] | None,
    dataset: Dataset | None,
    static: bool,
    source: str | None,
) -> Inputs:
    taken = [_column(data, targets, "targets")]
    if static:
        taken.append(_column(data, predictions, "predictions"))
    rows = data.reset_index(drop=True)
    if feature_names is None:
        features = rows.loc[:, [name not in taken for name in data.columns]]
    else:
        columns = _unique(feature_names)
        missing = [name for name in columns if name not in data.columns]
        if missing:
            raise InvalidParameterValue(f"The data has no column {missing[0]!r} of feature_names")
        features = rows[columns]
    target_name = taken[0] if taken[0] is not None else TARGET
    output_name = predictions if _is_name(predictions) else None
    if dataset is None:
        names = {"targets": taken[0], "predictions": taken[1] if static else None}
        dataset = from_pandas(data, source, **names)
    return Inputs(
        features=features,
        arrays=None,
        targets=_values(rows, targets, "targets"),
        predictions=_values(rows, predictions, "predictions") if static else None,
        target_name=target_name,
        output_name=output_name,
        dataset=dataset,
    )


def _of_array(
    data: Any,
    targets: Any,
    predictions: Any,
    feature_names: Sequence[str] | None,
    dataset: Dataset | None,
    static: bool,
    source: str | None,
) -> Inputs:
    import numpy as np
    import pandas as pd

    array = _array(data)
    for value, what in ((targets, "targets"), (predictions if static else None, "predictions")):
        if _is_name(value):
            raise InvalidParameterValue(
                f"{what} can only be a column's name where the data is a pandas frame",
                hint=f"give the {what} themselves, or the data as a frame",
            )
    features: Any = array
    if array.ndim <= 2:
        table = array.reshape(len(array), -1) if len(array) else array.reshape(0, 1)
        features = pd.DataFrame(table, columns=_names(feature_names, table.shape[1]))
        if isinstance(data, list):
            features = features.infer_objects()
    if dataset is None:
        known = None if targets is None else np.asarray(targets)
        dataset = from_numpy(array, source, known)
    return Inputs(
        features=features,
        arrays=array,
        targets=_values(features, targets, "targets"),
        predictions=_values(features, predictions, "predictions") if static else None,
        target_name=TARGET,
        output_name=predictions if _is_name(predictions) else None,
        dataset=dataset,
    )


def _array(data: Any) -> Any:
    import numpy as np

    if not isinstance(data, (np.ndarray, list, tuple)):
        raise InvalidParameterValue(
            f"evaluate() can't take data of type {type(data).__name__}",
            hint="a pandas frame, a numpy array, a list, or a dataset of mlgit.data",
        )
    try:
        array = np.asarray(data)
    except ValueError as error:
        raise InvalidParameterValue(f"The rows of the data aren't of one length: {error}") from None
    if array.ndim == 0:
        raise InvalidParameterValue("The data has no rows")
    return array


def _is_name(value: Any) -> bool:
    """Whether a value names a column, instead of being values."""
    return isinstance(value, (str, int)) and not isinstance(value, bool)


def _column(data: Any, value: Any, what: str) -> Any:
    """The column that a value names; None where it names none."""
    if not _is_name(value):
        return None
    if value not in data.columns:
        shown = ", ".join(repr(name) for name in list(data.columns)[:20])
        raise InvalidParameterValue(
            f"The data has no {what} column {value!r}", hint=f"its columns are {shown}"
        )
    return value


def _values(rows: Any, value: Any, what: str) -> Any:
    """A series of targets or predictions, or None."""
    import numpy as np
    import pandas as pd

    if value is None:
        return None
    if _is_name(value):
        found = rows[value]
        if found.ndim != 1:
            raise InvalidParameterValue(f"The data has more than one column {value!r}")
        return found
    array = np.asarray(value)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array.ravel()
    if array.ndim != 1:
        raise InvalidParameterValue(f"The {what} must be one value a row")
    if len(array) != len(rows):
        raise InvalidParameterValue(
            f"The data has {len(rows)} rows, and there are {len(array)} {what}"
        )
    return pd.Series(array)


def _unique(feature_names: Sequence[str]) -> list[str]:
    names = [feature_names] if isinstance(feature_names, str) else list(feature_names)
    if len(set(names)) != len(names):
        raise InvalidParameterValue("feature_names must be a list of unique names")
    return names


def _names(feature_names: Sequence[str] | None, count: int) -> list[str]:
    """The columns' names of an array, given or made up as MLflow makes them up."""
    if feature_names is None:
        width = len(str(count))
        return [f"feature_{at + 1:0{width}d}" for at in range(count)]
    names = _unique(feature_names)
    if len(names) != count:
        raise InvalidParameterValue(
            f"The data has {count} features, and there are {len(names)} feature_names"
        )
    return names


def check_usable(values: Any, what: str) -> None:
    """Refuse targets or predictions that have holes, by row.

    Raises:
        InvalidParameterValue: A value is missing or NaN.
    """
    missing = values.isna().to_numpy()
    if missing.any():
        rows = missing.nonzero()[0]
        raise InvalidParameterValue(
            f"{len(rows)} of {len(values)} {what} are missing or NaN, the first in row {rows[0]}",
            hint="leave such rows out before evaluating",
        )
