"""Columns of a frame held against their types: by dtypes, without a look at right values."""

from __future__ import annotations

from typing import Any

from mlgit.exceptions import InvalidParameterValue
from mlgit.types.columns import dtype_kind, dtype_name
from mlgit.types.kinds import AnyType, DataType, Kind
from mlgit.types.values import enforce_value

# Type → numpy's dtypes that are widened to it. A wider one may lose digits and is refused.
_WIDENED = {
    DataType.integer: {"int8", "int16", "uint8", "uint16", "int32"},
    DataType.long: {"int8", "int16", "int32", "uint8", "uint16", "uint32", "int64"},
    DataType.float: {"float16", "float32"},
    DataType.double: {
        *("int8", "int16", "int32", "uint8", "uint16", "uint32"),
        *("float16", "float32", "float64"),
    },
    DataType.boolean: {"bool"},
}
_NUMBERS = {DataType.integer, DataType.long, DataType.float, DataType.double}
_MISSING_IN_INTS = (
    "missing values make pandas turn whole numbers into floats: fill them, or log the model with "
    "a signature that was inferred from data with missing values"
)


def is_right(dtype: Any, kind: Kind) -> bool:
    """Whether a column of this dtype is of that type already, whatever its values are."""
    name = str(dtype)
    if isinstance(kind, AnyType):
        return True
    if not isinstance(kind, DataType):
        return False
    if kind in (DataType.string, DataType.binary):
        # Values of such columns aren't looked at, as MLflow doesn't.
        return name in ("object", "str") or name.startswith("string")
    return name == str(kind.to_pandas())


def widened(dtype: Any, kind: Kind) -> str | None:
    """The dtype that numpy's numbers of ``dtype`` are widened to for a type, or None."""
    if not isinstance(kind, DataType) or str(dtype) not in _WIDENED.get(kind, ()):
        return None
    return str(kind.to_pandas())


def enforce_column(column: Any, kind: Kind, required: bool = True) -> Any:
    """A column as its type has it; the given one isn't changed.

    Args:
        column: A pandas series.
        kind: What its values should be.
        required: Whether values that are None are refused, where they are looked at.

    Returns:
        The column itself where it's right already.

    Raises:
        InvalidParameterValue: It isn't of the type, and can't be made so without a loss.
    """
    if is_right(column.dtype, kind):
        return column
    if not isinstance(kind, DataType):
        return _nested(column, kind, required)
    if str(column.dtype).endswith("[pyarrow]") and kind in (DataType.string, DataType.binary):
        if dtype_kind(column.dtype) is not kind:
            raise unlike(column, kind)
        return column.astype(object)
    if str(column.dtype) == "category":
        return _category(column, kind)
    if column.dtype == object or dtype_kind(column.dtype) is DataType.string:
        return _objects(column, kind)
    if kind is DataType.datetime:
        return _dates(column)
    return _numbers(column, kind)


def unlike(column: Any, kind: Kind, came: str = "", hint: str = "") -> InvalidParameterValue:
    """The error for a column that isn't of its type."""
    return InvalidParameterValue(
        f"The column {column.name!r} should be {kind!r}, and {came or column.dtype} came",
        hint=hint,
    )


def _nested(column: Any, kind: Kind, required: bool) -> Any:
    import pandas as pd

    name = str(column.name)
    values = [
        enforce_value(value, kind, required, f"{name}[{at}]") for at, value in enumerate(column)
    ]
    found = pd.Series([None] * len(values), index=column.index, name=column.name, dtype=object)
    for at, value in enumerate(values):
        found.iat[at] = value
    return found


def _category(column: Any, kind: DataType) -> Any:
    """Categories stay as they are: models that learned from them need them so."""
    inner = dtype_kind(column.dtype.categories.dtype)
    if column.dtype.categories.dtype == object:
        inner = DataType.string
    if inner is not kind:
        raise unlike(column, kind, f"categories of {column.dtype.categories.dtype}")
    return column


def _numbers(column: Any, kind: DataType) -> Any:
    dtype = str(column.dtype)
    wanted = str(kind.to_pandas()) if kind in _WIDENED else ""
    name = dtype_name(column.dtype).lower().replace("boolean", "bool")
    if name not in _WIDENED.get(kind, ()):
        if name == "int64" and kind in (DataType.float, DataType.double) and _flags(column):
            return column.astype(wanted)
        missing = kind in (DataType.integer, DataType.long) and column.isna().any()
        raise unlike(column, kind, hint=_MISSING_IN_INTS if missing else _advice(dtype, kind))
    if name != dtype and kind not in (DataType.float, DataType.double) and column.isna().any():
        raise unlike(column, kind, f"{dtype} with missing values", _MISSING_IN_INTS)
    return column.astype(wanted)


def _flags(column: Any) -> bool:
    """Whether there are only 0 and 1, as pandas' indicators are: no digit is lost then."""
    return not column.isna().any() and bool(column.isin((0, 1)).all())


def _advice(dtype: str, kind: DataType) -> str:
    if kind not in _NUMBERS or not dtype.lower().startswith(("int", "uint", "float")):
        return ""
    return f'it might lose digits; where it can\'t, frame["…"].astype("{kind.to_pandas()}")'


def _objects(column: Any, kind: DataType) -> Any:
    """A column of Python's objects, which say themselves what they are."""
    import pandas as pd

    if kind is DataType.datetime:
        return _dates(column)
    if kind in (DataType.string, DataType.binary):
        return column
    some = bool(column.isna().any())
    found = pd.api.types.infer_dtype(column, skipna=True)
    if found == "empty":
        return _all_missing(column, kind)
    if kind is DataType.boolean and found == "boolean":
        return column if some else column.astype(bool)
    if kind is DataType.double and (found in _FLOATS or (some and found in _INTS)):
        return column.astype("float64")
    if kind in _NUMBERS and column.dtype == object and not some:
        numbers = column.infer_objects()
        # Text becomes a dtype of its own, and is looked at once more to be refused.
        if numbers.dtype != object:
            return enforce_column(numbers, kind)
    hint = _MISSING_IN_INTS if some and kind in _NUMBERS and found in _INTS else ""
    raise unlike(column, kind, f"{column.dtype} with values of {found}", hint)


def _all_missing(column: Any, kind: DataType) -> Any:
    import pandas as pd

    if kind in (DataType.integer, DataType.long):
        raise unlike(column, kind, "nothing but missing values", _MISSING_IN_INTS)
    if kind is DataType.boolean:
        return column
    return pd.Series(float("nan"), index=column.index, name=column.name, dtype=kind.to_pandas())


_INTS = ("integer",)
_FLOATS = ("floating", "mixed-integer-float", "decimal")


def _dates(column: Any) -> Any:
    """Dates as nanoseconds without a time zone; text as ISO writes it."""
    import pandas as pd

    if getattr(column.dtype, "tz", None) is not None:
        raise unlike(
            column,
            DataType.datetime,
            hint='without a time zone: frame["…"].dt.tz_convert("UTC").dt.tz_localize(None)',
        )
    if dtype_kind(column.dtype) is DataType.datetime:
        return column.astype("datetime64[ns]")
    if column.dtype != object and dtype_kind(column.dtype) is not DataType.string:
        raise unlike(column, DataType.datetime)
    if column.dtype == object:
        found = pd.api.types.infer_dtype(column, skipna=True)
        if found not in ("datetime", "datetime64", "date", "string", "empty"):
            raise unlike(column, DataType.datetime, f"values of {found}")
    try:
        dates = pd.to_datetime(column, errors="raise")
        return dates.astype("datetime64[ns]")
    except (ValueError, TypeError, OverflowError) as error:
        text = " ".join(str(error).split())
        raise unlike(column, DataType.datetime, f"{column.dtype} ({text:.100})") from None
