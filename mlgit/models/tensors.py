"""Arrays held against the tensors of a schema: dtype and shape, nothing of the values."""

from __future__ import annotations

from typing import Any

from mlgit.exceptions import InvalidParameterValue
from mlgit.types.infer import array_dtype, is_pandas
from mlgit.types.schema import Schema, TensorSpec


def enforce_tensors(data: Any, schema: Schema) -> Any:
    """Arrays as the schema has them.

    Args:
        data: An array, sparse matrix or tensor, or a frame or series that holds one; for a schema
            with names a dict of arrays, or a frame of such columns.
        schema: A schema of tensors.

    Returns:
        The array, or a dict of arrays where the schema has names.

    Raises:
        InvalidParameterValue: Another dtype or shape came, or a tensor is missing.
    """
    specs = schema.inputs
    if not schema.has_input_names():
        return _one(data, specs[0])
    if is_pandas(data, "DataFrame", "Series") and hasattr(data, "to_frame"):
        data = data.to_frame()
    if is_pandas(data, "DataFrame", "Series"):
        _check_unique(data)
        _check_names(list(data.columns), specs)
        return {spec.name: _from_column(data[spec.name], spec) for spec in specs}
    if isinstance(data, dict):
        _check_names(list(data), specs)
        return {spec.name: _array(data[spec.name], spec) for spec in specs}
    if len(specs) == 1 and array_dtype(data) is not None:
        return {specs[0].name: _array(data, specs[0])}
    raise InvalidParameterValue(
        f"The model takes {_listed(specs)} by name, and {type(data).__name__} came",
        hint=f"a dict of numpy arrays: {{{specs[0].name!r}: …}}",
    )


def _check_unique(frame: Any) -> None:
    twice = sorted({str(name) for name in frame.columns[frame.columns.duplicated()]})
    if twice:
        raise InvalidParameterValue(f"Several columns have one name: {twice}")


def _listed(specs: list[TensorSpec]) -> str:
    return ", ".join(repr(spec) for spec in specs)


def _check_names(came: list[Any], specs: list[TensorSpec]) -> None:
    missing = [spec.name for spec in specs if spec.name not in came]
    if missing:
        raise InvalidParameterValue(
            f"The tensors {missing} are missing: {came} came",
            hint=f"the model takes {_listed(specs)}",
        )


def _one(data: Any, spec: TensorSpec) -> Any:
    if is_pandas(data, "DataFrame", "Series"):
        return _from_frame(data.to_frame() if hasattr(data, "to_frame") else data, spec)
    return _array(data, spec)


def _array(data: Any, spec: TensorSpec) -> Any:
    dtype = array_dtype(data)
    if dtype is None:
        raise InvalidParameterValue(
            f"An array is wanted for {spec!r}, and {type(data).__name__} came",
            hint=f'as in numpy.asarray(data, dtype="{spec.type.name}")',
        )
    shape = tuple(data.shape)
    fits = len(shape) == len(spec.shape) and all(
        wanted in (-1, size) for size, wanted in zip(shape, spec.shape)
    )
    # Rows of different lengths make objects, and rows that happen to be equal don't.
    ragged = spec.type.kind == "O" and spec.shape == (-1,)
    if not fits and not ragged:
        raise InvalidParameterValue(
            f"{_who(spec)} should have the shape {spec.shape}, and {shape} came",
            hint="-1 stands for any number",
        )
    # An array of objects may hold anything; text and bytes are of any length.
    wanted = spec.type
    same = dtype.kind == wanted.kind if wanted.kind in "US" else dtype == wanted
    if not same and wanted.kind != "O":
        raise InvalidParameterValue(
            f"{_who(spec)} should be {wanted}, and {dtype} came",
            hint=f'data.astype("{wanted.name}"), where nothing is lost by it',
        )
    return data


def _who(spec: TensorSpec) -> str:
    return "The tensor" if spec.name is None else f"The tensor {spec.name!r}"


def _from_frame(frame: Any, spec: TensorSpec) -> Any:
    if len(frame.columns) == 1:
        return _from_column(frame.iloc[:, 0], spec)
    _check_rows(frame, spec)
    if spec.shape != (-1, len(frame.columns)):
        raise InvalidParameterValue(
            f"A frame of {len(frame.columns)} columns came for the shape {spec.shape}",
            hint="a numpy array of that shape, or a frame with a column for each number in a row",
        )
    return _array(frame.to_numpy(), spec)


def _check_rows(table: Any, spec: TensorSpec) -> None:
    if not len(table):
        raise InvalidParameterValue(f"{_who(spec)} can't be read from a frame without rows")
    if not spec.shape or spec.shape[0] != -1 or -1 in spec.shape[1:]:
        raise InvalidParameterValue(
            f"{_who(spec)} has the shape {spec.shape}, which rows of a frame can't tell",
            hint="a numpy array of that shape",
        )


def _from_column(column: Any, spec: TensorSpec) -> Any:
    """The rows of a column as one array: scalars, or lists and arrays of the same size."""
    import numpy as np

    _check_rows(column, spec)
    first = column.iloc[0]
    nested = isinstance(first, (list, np.ndarray))
    if not nested and spec.shape not in ((-1,), (-1, 1)):
        raise InvalidParameterValue(
            f"The column {column.name!r} holds single values, and the shape {spec.shape} is wanted"
        )
    try:
        array = np.asarray(column.tolist()) if nested else column.to_numpy()
        found = cast_array(array, spec.type, f"The column {column.name!r}").reshape(spec.shape)
    except (ValueError, TypeError):
        raise InvalidParameterValue(
            f"The column {column.name!r} can't be made an array of {spec.type} of the shape "
            f"{spec.shape}",
            hint=_EQUAL_ROWS,
        ) from None
    if len(found) != len(column):
        raise InvalidParameterValue(
            f"The rows of the column {column.name!r} don't have the shape {spec.shape[1:]}",
            hint=_EQUAL_ROWS,
        )
    return found


_EQUAL_ROWS = "each row needs as many values as the shape says"


def cast_array(array: Any, wanted: Any, what: str) -> Any:
    """An array with another dtype, where its values survive that.

    Args:
        array: A numpy array.
        wanted: The dtype.
        what: Whose values they are, at the beginning of a sentence, for the error.

    Raises:
        InvalidParameterValue: They don't; MLflow cuts them then.
    """
    import numpy as np

    if array.dtype == wanted:
        return array
    if wanted.kind in "USO":
        return array.astype(wanted)
    if array.dtype == object:
        array = np.asarray(array.tolist())
    if array.dtype == object and all(v is None or type(v) in (int, float) for v in array.flat):
        array = array.astype("float64")
    if array.dtype.kind not in "biufc" or wanted.kind not in "biufc":
        if array.dtype.kind != wanted.kind:
            raise InvalidParameterValue(f"{what} should be {wanted}, and {array.dtype} came")
        return array.astype(wanted)
    with np.errstate(invalid="ignore", over="ignore"):
        cast = array.astype(wanted)
    # A smaller float may round, and nothing else may change.
    rounds = wanted.kind in "fc" and np.can_cast(array.dtype, wanted, "same_kind")
    if not rounds and not np.array_equal(cast, array):
        raise InvalidParameterValue(f"{what} has values that {wanted} can't hold")
    return cast
