"""From data to its schema: pandas, numpy, scipy, tensors, dicts, lists and single values.

What can't be told is an error here; who asks decides what stands in its place. The columns of
frames are in ``columns``.
"""

from __future__ import annotations

from typing import Any

from mlgit.exceptions import InvalidParameterValue
from mlgit.types.kinds import (
    AnyType,
    Array,
    DataType,
    Kind,
    Object,
    Property,
    numpy_kind,
    scalar_kinds,
)
from mlgit.types.merging import all_merged
from mlgit.types.schema import ColSpec, ParamSchema, ParamSpec, Schema, TensorSpec

# Of the types that a value is of, the one that a signature names: the wider of two.
_WIDER = {DataType.integer: DataType.long, DataType.float: DataType.double}


def infer_schema(data: Any) -> Schema:
    """The schema of a model's input or output.

    Args:
        data: A pandas frame or series, a numpy array, a sparse matrix or a tensor of another
            library, a dict or a list of values, or a single value.

    Returns:
        Columns, or tensors for arrays and dicts of arrays.

    Raises:
        InvalidParameterValue: The data has a type that no signature can say.
    """
    if is_pandas(data, "DataFrame"):
        return _frame(data)
    if is_pandas(data, "Series"):
        from mlgit.types.columns import column_kind, has_missing

        return Schema([ColSpec(column_kind(data), data.name, required=not has_missing(data))])
    tensor = _tensor(data)
    if tensor is not None:
        return Schema([tensor])
    if isinstance(data, dict):
        return _dict(data)
    if isinstance(data, list):
        return _list(data)
    return Schema([ColSpec(AnyType() if is_missing(data) else _scalar(data))])


def is_pandas(data: Any, *names: str) -> bool:
    """Whether data is one of these classes of pandas, which isn't loaded for the question."""
    import sys

    pandas = sys.modules.get("pandas")
    return pandas is not None and isinstance(data, tuple(getattr(pandas, n) for n in names))


def _frame(frame: Any) -> Schema:
    from mlgit.types.columns import column_kind, has_missing

    if not frame.columns.is_unique:
        raise InvalidParameterValue("Columns have the same name")
    return Schema(
        [
            ColSpec(column_kind(column), name, required=not has_missing(column))
            for name, column in frame.items()
        ]
    )


def _tensor(data: Any, name: str | None = None) -> TensorSpec | None:
    """The spec of an array of any library, or None for what isn't an array with dimensions."""
    dtype = array_dtype(data)
    if dtype is None or not len(data.shape):
        return None
    return TensorSpec(dtype, (-1, *map(int, data.shape[1:])), name)


def array_dtype(data: Any) -> Any:
    """numpy's dtype of an array, sparse matrix or tensor of any library.

    Args:
        data: Anything.

    Returns:
        Text and bytes without a size; None for what isn't an array, frames and scalars among it.

    Raises:
        InvalidParameterValue: An array of a type that numpy doesn't have.
    """
    import numpy as np

    dtype = getattr(data, "dtype", None)
    if dtype is None or not hasattr(data, "shape") or isinstance(data, np.generic):
        return None
    if is_pandas(data, "Series", "Index"):
        return None
    if not isinstance(dtype, np.dtype):
        # Tensors of torch and TensorFlow: their dtype's name ends as numpy's.
        try:
            return np.dtype(str(getattr(dtype, "name", dtype)).split(".")[-1])
        except TypeError:
            raise InvalidParameterValue(f"numpy has no dtype for {dtype}") from None
    return np.dtype({"U": "str", "S": "bytes"}[dtype.kind]) if dtype.kind in "US" else dtype


def _dict(data: dict[Any, Any]) -> Schema:
    wrong = [key for key in data if not isinstance(key, str)]
    if wrong:
        raise InvalidParameterValue(f"Names of inputs are text, not {wrong[0]!r}")
    tensors = [_tensor(value, name) for name, value in data.items()]
    if all(tensors):
        return Schema([one for one in tensors if one])
    return Schema(
        [
            ColSpec(value_kind(value), name, required=not _has_missing(value))
            for name, value in data.items()
        ]
    )


def _has_missing(value: Any) -> bool:
    import numpy as np

    if isinstance(value, (list, np.ndarray)):
        return any(map(is_missing, value))
    return is_missing(value)


def _list(data: list[Any]) -> Schema:
    if not data:
        return Schema([ColSpec(DataType.string)])
    if not all(isinstance(one, dict) for one in data):
        return Schema([ColSpec(all_merged(list(map(value_kind, data))))])
    # Rows of a table: a dict keeps the order in which names come up.
    names = {name: None for row in data for name in row}
    columns = []
    for name in names:
        found = [row[name] for row in data if name in row]
        required = len(found) == len(data) and not any(value is None for value in found)
        columns.append(ColSpec(all_merged(list(map(value_kind, found))), name, required))
    return Schema(columns)


def value_kind(value: Any) -> Kind:
    """The type of a value, nested ones included.

    Args:
        value: A scalar, or a dict, list or numpy array of such; None and NaN are of any type.

    Raises:
        InvalidParameterValue: It's something else, or a list's values have no common type.
    """
    if isinstance(value, dict):
        return _object(value)
    if isinstance(value, list):
        return Array(all_merged(list(map(value_kind, value)))) if value else AnyType()
    if is_missing(value):
        return AnyType()
    return _array(value) if is_array(value) else _scalar(value)


def is_array(value: Any) -> bool:
    """Whether a value is an array of numpy, which isn't loaded for the question."""
    import sys

    numpy = sys.modules.get("numpy")
    return numpy is not None and isinstance(value, numpy.ndarray)


def _array(array: Any) -> Kind:
    if not array.ndim:
        raise InvalidParameterValue("An array without dimensions has no values")
    if array.dtype == object:
        return value_kind(array.tolist())
    kind: Kind | None = numpy_kind(array.dtype)
    if kind is None:
        raise InvalidParameterValue(f"No type for arrays of {array.dtype}")
    if not array.size:
        return AnyType()
    for _ in range(array.ndim):
        kind = Array(kind)
    return kind


def _object(value: dict[Any, Any]) -> Kind:
    if not value:
        return AnyType()
    properties = []
    for name, one in value.items():
        kind = value_kind(one)
        # What has no type yet may be anything next time, or nothing.
        properties.append(Property(name, kind, required=not isinstance(kind, AnyType)))
    return Object(properties)


def _scalar(value: Any) -> DataType:
    kinds = scalar_kinds(value)
    if not kinds:
        raise InvalidParameterValue(f"No type for {type(value).__name__}: {value!r:.100}")
    return _WIDER.get(kinds[0], kinds[0]) if len(kinds) > 1 else kinds[0]


def is_missing(value: Any) -> bool:
    """Whether a value stands for none: None, NaN, pandas' NA and NaT."""
    if value is None:
        return True
    if isinstance(value, float):
        return value != value
    return type(value).__name__ in ("NAType", "NaTType")


def infer_params(params: dict[str, Any]) -> ParamSchema:
    """The schema of params from their defaults.

    Args:
        params: Name → default: a scalar, a list or array of scalars, or a dict.

    Raises:
        InvalidParameterValue: It isn't a dict, or a default is something else.
    """
    if not isinstance(params, dict):
        raise InvalidParameterValue(
            f"params is a dict of names and defaults, not {type(params).__name__}"
        )
    return ParamSchema([_param(str(name), default) for name, default in params.items()])


def _param(name: str, default: Any) -> ParamSpec:
    try:
        if isinstance(default, dict):
            # It's written as JSON, and MLflow doesn't read its numbers as of 32 bits.
            plain = _plain(default)
            return ParamSpec(name, value_kind(plain), plain)  # type: ignore[arg-type]
        if isinstance(default, list) or getattr(default, "ndim", 0) == 1:
            return ParamSpec(name, _items(default), default, (-1,))
        return ParamSpec(name, _scalar(default), default)
    except InvalidParameterValue as error:
        raise InvalidParameterValue(
            f"The param {name!r} has a default that a signature can't say: {error.message}",
            hint="a number, text, a date, a list of one kind of them, or a dict",
        ) from None


def _plain(value: Any) -> Any:
    """A value with Python's numbers in it for numpy's."""
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_plain(one) for one in value]
    return value.tolist() if hasattr(value, "tolist") else value


def _items(values: Any) -> DataType:
    kinds = [_scalar(one) for one in values]
    # Lists of words to stop at, mostly.
    if not kinds:
        return DataType.string
    if set(kinds) == {DataType.long, DataType.double}:
        return DataType.double
    kind = all_merged(list(kinds))
    assert isinstance(kind, DataType)
    return kind
