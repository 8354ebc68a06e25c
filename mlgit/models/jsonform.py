"""Data as JSON and back: what input examples and requests to a served model are made of.

JSON has no dates, bytes, dtypes or NaN: dates are ISO text, bytes base64, missing values null.
The schema says what they were.
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
import datetime
from typing import Any

from mlgit.exceptions import InvalidParameterValue
from mlgit.models.columns import enforce_column, unlike
from mlgit.models.enforcement import as_frame, takes_anything
from mlgit.models.tensors import cast_array
from mlgit.types.infer import is_missing
from mlgit.types.kinds import Array, DataType, Kind, Map, Object
from mlgit.types.schema import Schema, TensorSpec


def encode(value: Any) -> Any:
    """A value as JSON can say it.

    Args:
        value: A scalar of Python or numpy, a date, bytes, or a dict, list or array of them;
            pydantic's models and dataclasses are written as objects.

    Raises:
        InvalidParameterValue: It's something else.
    """
    import numpy as np

    if is_missing(value):
        return None
    if isinstance(value, (str, bool, int, float)) and not isinstance(value, np.generic):
        return value
    if isinstance(value, dict):
        return {str(name): encode(one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [encode(one) for one in value]
    if isinstance(value, (bytes, bytearray)):
        return base64.encodebytes(bytes(value)).decode("ascii")
    if isinstance(value, np.datetime64) or getattr(value, "dtype", np.dtype("O")).kind == "M":
        return np.datetime_as_string(value).tolist()
    if isinstance(value, (np.ndarray, np.generic)):
        return encode(value.tolist())
    if isinstance(value, datetime.date):
        return value.isoformat()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return encode(dataclasses.asdict(value))
    if hasattr(value, "model_dump"):
        return encode(value.model_dump())
    raise InvalidParameterValue(
        f"JSON can't say {value!r:.80} ({type(value).__name__})",
        hint="numbers, text, dates, bytes, and dicts, lists, arrays and frames of them",
    )


def frame_to_dict(frame: Any) -> dict[str, Any]:
    """A frame in pandas' form "split", without its index, and without names that are 0, 1, 2, …"""
    rows = zip(*(frame.iloc[:, at].tolist() for at in range(len(frame.columns))))
    names = frame.columns.tolist()
    found = {} if names == list(range(len(names))) else {"columns": encode(names)}
    return {**found, "data": [encode(list(row)) for row in rows]}


def frame_from_split(form: Any, schema: Schema | None) -> Any:
    """The frame that :func:`frame_to_dict` or pandas wrote, its columns as the schema has them.

    Raises:
        InvalidParameterValue: It isn't that form, or values aren't of their types.
    """
    import pandas as pd

    if not isinstance(form, dict) or "data" not in form or form.keys() - _SPLIT:
        came = sorted(form) if isinstance(form, dict) else type(form).__name__
        raise InvalidParameterValue(
            f"A frame in the form split is an object with 'data', and {came} came",
            hint='{"columns": ["a", "b"], "data": [[1, 2], [3, 4]]}, and "index" if it has one',
        )
    try:
        frame = pd.DataFrame(**form)
    except (ValueError, TypeError, AssertionError) as error:
        raise InvalidParameterValue(f"The form split doesn't make a frame: {error}") from None
    return cast_frame(frame, schema)


_SPLIT = {"columns", "data", "index"}


def frame_from_records(form: Any, schema: Schema | None) -> Any:
    """The frame that a list of rows, each an object, makes.

    Raises:
        InvalidParameterValue: It isn't that, or values aren't of their types.
    """
    import pandas as pd

    if not isinstance(form, list) or not all(isinstance(row, dict) for row in form):
        raise InvalidParameterValue(
            "Records are a list of objects", hint='[{"a": 1, "b": 2}, {"a": 3, "b": 4}]'
        )
    return cast_frame(pd.DataFrame(form), schema)


def cast_frame(frame: Any, schema: Schema | None) -> Any:
    """A frame that was read from JSON, with the dtypes that the schema says."""
    if schema is None or takes_anything(schema):
        return frame
    if schema.is_tensor_spec():
        return _tensor_frame(frame, schema)
    specs = {spec.name: spec for spec in schema.inputs} if schema.has_input_names() else {}
    if not specs:
        specs = dict(zip(frame.columns, schema.inputs))
    changed = {
        name: cast_column(frame[name], spec.type, spec.required)
        for name, spec in specs.items()
        if name in frame.columns
    }
    found = frame.copy(deep=False)
    for name, column in changed.items():
        found[name] = column
    return found


def _tensor_frame(frame: Any, schema: Schema) -> Any:
    """Columns of numbers with the tensor's dtype; others are made arrays when they're enforced."""
    if schema.has_input_names():
        return frame
    spec = schema.inputs[0]
    found = frame.copy(deep=False)
    for name in frame.columns:
        if frame[name].dtype.kind in "biuf" and spec.type.kind in "biuf":
            found[name] = cast_array(frame[name].to_numpy(), spec.type, f"The column {name!r}")
    return found


def cast_column(column: Any, kind: Kind, required: bool = True) -> Any:
    """A column that was read from JSON, as its type has it.

    JSON doesn't tell whole numbers from others, nor text from dates and bytes; nothing else is
    converted, and no digit is lost.

    Raises:
        InvalidParameterValue: The values aren't of the type.
    """
    if kind is DataType.string and column.dtype.kind in "iufb":
        return column.astype(object)
    if not isinstance(kind, DataType) or kind is DataType.binary:
        decoded = column.map(lambda value: decode(value, kind)).astype(object)
        if isinstance(kind, DataType):
            return _bytes_only(decoded)
        return enforce_column(decoded, kind, required)
    if column.dtype.kind in "iuf" and kind in _NUMBERS:
        if kind in (DataType.integer, DataType.long) and column.isna().any():
            raise unlike(column, kind, "null", "a column of whole numbers has no missing values")
        try:
            return column.astype(kind.to_numpy()) if _keeps(column, kind) else _refuse(column, kind)
        except (ValueError, OverflowError):
            _refuse(column, kind)
    return enforce_column(column, kind, required)


def _bytes_only(column: Any) -> Any:
    import pandas as pd

    if pd.api.types.infer_dtype(column, skipna=True) not in ("bytes", "empty"):
        raise unlike(
            column, DataType.binary, "something else than text", "bytes are sent in base64"
        )
    return column


_NUMBERS = (DataType.integer, DataType.long, DataType.float, DataType.double)
# Whole numbers above it are no longer told apart by a double.
_WHOLE = 2**53


def _keeps(column: Any, kind: DataType) -> bool:
    """Whether the values stay what they are, but for the digits that a float32 doesn't have."""
    import numpy as np

    values = column.to_numpy()
    if kind in (DataType.float, DataType.double):
        return values.dtype.kind == "f" or not len(values) or int(abs(values).max()) <= _WHOLE
    with np.errstate(invalid="ignore"):
        cast = values.astype(kind.to_numpy())
    # 2.0**63 is cast to a number that compares as equal.
    inside = values.dtype.kind != "f" or bool((abs(values) < 2.0**63).all())
    return inside and bool(np.array_equal(cast, values))


def _refuse(column: Any, kind: DataType) -> Any:
    raise unlike(column, kind, "numbers that it can't hold")


def decode(value: Any, kind: Kind) -> Any:
    """A value that was read from JSON, with the bytes in it that its type says are there.

    Raises:
        InvalidParameterValue: Text that should be base64 isn't.
    """
    if kind is DataType.binary and isinstance(value, str):
        return from_base64(value)
    if isinstance(kind, Array) and isinstance(value, list):
        return [decode(one, kind.dtype) for one in value]
    if isinstance(kind, Map) and isinstance(value, dict):
        return {name: decode(one, kind.value_type) for name, one in value.items()}
    if isinstance(kind, Object) and isinstance(value, dict):
        kinds = {prop.name: prop.dtype for prop in kind.properties}
        return {n: decode(one, kinds[n]) if n in kinds else one for n, one in value.items()}
    return value


def from_base64(text: str) -> bytes:
    """The bytes that base64 text says; line breaks in it are left out.

    Raises:
        InvalidParameterValue: It isn't base64.
    """
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        raise InvalidParameterValue(
            f"Bytes are written in base64, and {text!r:.60} isn't",
            hint='base64.b64encode(data).decode("ascii")',
        ) from None


def array_from_json(form: Any, spec: TensorSpec | None) -> Any:
    """The array that nested lists make, with the tensor's dtype.

    Raises:
        InvalidParameterValue: The lists are of different lengths, or values aren't of the type.
    """
    import numpy as np

    what = "The array" if spec is None or spec.name is None else f"The tensor {spec.name!r}"
    if spec is not None and spec.type.kind == "S":
        form = _bytes_in(form)
    try:
        # Dates are text until numpy is told otherwise; the others are checked when cast.
        told = spec is not None and spec.type.kind in "SUMm"
        array = np.asarray(form, dtype=spec.type if told and spec else None)
    except (ValueError, TypeError) as error:
        raise InvalidParameterValue(
            f"{what} can't be read from JSON: {error}",
            hint="lists of the same length, with values of one type",
        ) from None
    if spec is None:
        return _without_none(array)
    return array if told else cast_array(array, spec.type, what)


def _bytes_in(form: Any) -> Any:
    if isinstance(form, list):
        return [_bytes_in(one) for one in form]
    return from_base64(form) if isinstance(form, str) else form


def _without_none(array: Any) -> Any:
    """Numbers with null among them are floats."""
    if array.dtype == object and all(v is None or type(v) in (int, float) for v in array.flat):
        return array.astype("float64")
    return array


def data_from_json(form: Any, schema: Schema | None) -> Any:
    """What a served model is given as "inputs": arrays for tensors, a frame for columns.

    Raises:
        InvalidParameterValue: It doesn't fit the schema.
    """
    if schema is not None and takes_anything(schema):
        return form
    if schema is not None and not schema.is_tensor_spec():
        return cast_frame(_rows(form, schema), schema)
    if isinstance(form, dict):
        return _named_arrays(form, schema)
    if isinstance(form, list) and not any(isinstance(one, dict) for one in form):
        specs = schema.inputs if schema else [None]
        if schema and schema.has_input_names() and len(specs) > 1:
            raise InvalidParameterValue(
                f"The tensors {schema.input_names()} are wanted by name, and a list came",
                hint='{"inputs": {"<name>": […], …}}',
            )
        return array_from_json(form, specs[0])
    if schema is not None:
        raise InvalidParameterValue(f"An array is wanted, and {form!r:.80} came")
    return form


def _rows(form: Any, schema: Schema) -> Any:
    """A frame of what came; a list without names is the column of a schema with one name."""
    import pandas as pd

    scalars = all(isinstance(kind, DataType) for kind in schema.input_types())
    if scalars and isinstance(form, dict) and any(isinstance(v, list) for v in form.values()):
        # Lists of text are columns here, while a prediction takes them for values of a row.
        try:
            return pd.DataFrame(form)
        except (ValueError, TypeError) as error:
            raise InvalidParameterValue(f"No columns can be made of the inputs: {error}") from None
    one_name = schema.has_input_names() and len(schema) == 1
    if not one_name or not isinstance(form, list) or any(isinstance(one, dict) for one in form):
        return as_frame(form, schema)
    spec = schema.inputs[0]
    # A list of numbers is a single value where the column holds lists of numbers.
    single = isinstance(spec.type, Array) and not any(isinstance(one, list) for one in form)
    values = [form] if single else form
    nested = not isinstance(spec.type, DataType)
    return pd.DataFrame({spec.name: pd.Series(values, dtype=object if nested else None)})


def _named_arrays(form: dict[str, Any], schema: Schema | None) -> Any:
    if schema is None:
        return {n: array_from_json(v, None) if isinstance(v, list) else v for n, v in form.items()}
    if not schema.has_input_names():
        raise InvalidParameterValue(
            f"One array without a name is wanted, and an object came: {sorted(form)}",
            hint='{"inputs": [[…], […]]}',
        )
    specs = schema.input_dict()
    return {name: array_from_json(value, specs.get(name)) for name, value in form.items()}
