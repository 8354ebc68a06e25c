"""The type of a column of pandas."""

from __future__ import annotations

from typing import Any

from mlgit.exceptions import InvalidParameterValue
from mlgit.types.infer import value_kind
from mlgit.types.kinds import AnyType, DataType, Kind
from mlgit.types.merging import all_merged

# Names of dtypes, pandas' own (Int64, boolean) in small letters.
_KINDS = {
    "bool": DataType.boolean,
    "boolean": DataType.boolean,
    "int8": DataType.integer,
    "int16": DataType.integer,
    "int32": DataType.integer,
    "uint8": DataType.integer,
    "uint16": DataType.integer,
    "int64": DataType.long,
    "uint32": DataType.long,
    "float16": DataType.float,
    "float32": DataType.float,
    "float64": DataType.double,
}


def has_missing(column: Any) -> bool:
    """Whether values of the column are missing."""
    return bool(column.isna().any())


def column_kind(column: Any) -> Kind:
    """The type of a column's values.

    Args:
        column: A pandas series.

    Raises:
        InvalidParameterValue: A signature can't say it.
    """
    dtype = column.dtype
    if str(dtype) == "category":
        return column_kind(dtype.categories.to_series())
    if dtype == object:
        return _objects(column)
    kind = dtype_kind(dtype)
    if kind is None:
        raise InvalidParameterValue(f"The column {column.name!r} is of {dtype}")
    return kind


def dtype_kind(dtype: Any) -> DataType | None:
    """The type of a column by its dtype alone, or None where that doesn't say it."""
    name = dtype_name(dtype)
    if name.startswith("datetime64"):
        return DataType.datetime
    if name.startswith("|S"):
        return DataType.binary
    if name.startswith(("str", "string")):
        return DataType.string
    return _KINDS.get(name.lower())


# Types of Arrow for which numpy only has objects.
_ARROW = {"string": "str", "large_string": "str", "binary": "|S", "large_binary": "|S"}


def dtype_name(dtype: Any) -> str:
    """A dtype's name, numpy's for those of Arrow."""
    name = str(dtype)
    if not name.endswith("[pyarrow]"):
        return name
    inner = name.removesuffix("[pyarrow]")
    return _ARROW.get(inner) or str(getattr(dtype, "numpy_dtype", inner))


def _objects(column: Any) -> Kind:
    """The type of a column of Python's objects."""
    import pandas as pd

    if not len(column):
        return DataType.string
    missing = column.isna()
    some = bool(missing.any())
    values = column[~missing].tolist() if some else column.tolist()
    if not values:
        # NaN among them, and nothing else but None, is a column of numbers.
        empty = column.infer_objects().dtype == "float64"
        return DataType.double if empty else AnyType()
    found = pd.api.types.infer_dtype(values, skipna=False)
    if found in ("integer", "floating", "mixed-integer-float"):
        return _numbers(values, some, whole=found == "integer")
    if found in ("datetime", "datetime64", "date") or all(map(_is_date, values)):
        return DataType.datetime
    if found == "string":
        return DataType.string
    # MLflow takes what is missing here for a value of any type.
    kinds = [*map(value_kind, values), *([AnyType()] if some else [])]
    return all_merged(kinds)


def _numbers(values: list[Any], some_missing: bool, whole: bool) -> Kind:
    import numpy as np

    if some_missing:
        # A program that reads it again sees floats, with NaN for what is missing.
        return DataType.double
    dtype = np.asarray(values).dtype
    if dtype == object:
        return DataType.long
    kind = _KINDS.get(dtype.name)
    # numpy makes floats of whole numbers of more than 63 bits.
    if kind is None or (whole and dtype.kind == "f"):
        raise InvalidParameterValue(f"Numbers of {dtype}")
    return kind


def _is_date(value: Any) -> bool:
    import datetime

    import numpy as np

    return isinstance(value, (datetime.date, np.datetime64))
