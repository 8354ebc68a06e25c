"""What a model is given, held against its signature.

A frame whose columns are right is passed on as it is: dtypes are looked at, values aren't.
Columns are widened where nothing can be lost, and everything else is an error that names the
column, what came and what was wanted.
"""

from __future__ import annotations

import datetime
from typing import Any

from mlgit.exceptions import InvalidParameterValue
from mlgit.models.columns import enforce_column, is_right, widened
from mlgit.models.tensors import enforce_tensors
from mlgit.types.params import cast_param
from mlgit.types.schema import AnyType, DataType, Map, Object, ParamSchema, Schema


def enforce_schema(data: Any, schema: Schema) -> Any:
    """A model's input as its schema has it.

    Args:
        data: A pandas frame or series, a numpy array, a sparse matrix, a dict or list of values
            or arrays, or a single value.
        schema: The inputs of the model's signature.

    Returns:
        For columns a frame of them, in the schema's order, without others; for tensors the array
        or a dict of arrays. What was given isn't changed, and shares its values with what is
        returned where they were right.

    Raises:
        InvalidParameterValue: It doesn't fit.
    """
    if schema.is_tensor_spec():
        return enforce_tensors(data, schema)
    if takes_anything(schema):
        return data
    frame = as_frame(data, schema)
    if not frame.columns.is_unique:
        twice = sorted({str(name) for name in frame.columns[frame.columns.duplicated()]})
        raise InvalidParameterValue(f"Several columns have one name: {twice}")
    if schema.has_input_names():
        names = _named(frame, schema)
        specs = [spec for spec in schema.inputs if spec.name in names]
    else:
        specs = schema.inputs
        names = _by_place(frame, schema)
    if list(frame.columns) != names:
        return _made(frame, names, specs)
    dtypes = frame.dtypes.tolist()
    wrong = [at for at, dtype in enumerate(dtypes) if not is_right(dtype, specs[at].type)]
    widths = {widened(dtypes[at], specs[at].type) for at in wrong}
    if len(wrong) == len(names) and len(widths) == 1 and None not in widths:
        # Five times as fast as column by column.
        return frame.astype(widths.pop())
    if len(wrong) > len(names) // 2:
        return _made(frame, names, specs)
    # A new frame even where all is right: a model may add columns to it.
    found = frame.copy(deep=False)
    for at in wrong:
        found[names[at]] = _column(frame, specs[at], names[at])
    return found


def _made(frame: Any, names: list[Any], specs: list[Any]) -> Any:
    """A frame of these columns as their types have them; right ones aren't copied."""
    import pandas as pd

    found = {name: _column(frame, spec, name) for name, spec in zip(names, specs)}
    return pd.DataFrame(found, index=frame.index, copy=False)


def _column(frame: Any, spec: Any, name: Any) -> Any:
    return enforce_column(frame[name], spec.type, spec.required)


def validate_schema(data: Any, expected_schema: Schema) -> None:
    """Check that data fits a schema.

    Args:
        data: As :func:`enforce_schema` takes it.
        expected_schema: The schema.

    Raises:
        InvalidParameterValue: It doesn't fit.
    """
    enforce_schema(data, expected_schema)


def takes_anything(schema: Schema) -> bool:
    """Whether it's the schema of data whose types couldn't be told: one input, of any type."""
    return (
        len(schema) == 1
        and schema.inputs[0].name is None
        and (isinstance(schema.inputs[0].type, AnyType))
    )


def _named(frame: Any, schema: Schema) -> list[Any]:
    """The names of the columns that the schema has and the data too."""
    came = set(frame.columns)
    missing = [name for name in schema.required_input_names() if name not in came]
    if missing:
        kinds = ", ".join(repr(spec) for spec in schema.inputs if spec.name in missing)
        raise InvalidParameterValue(
            f"The columns {missing} are missing", hint=_missing_hint(frame, missing, kinds)
        )
    return [name for name in schema.input_names() if name in came]


def _missing_hint(frame: Any, missing: list[Any], kinds: str) -> str:
    came = list(frame.columns)
    if {str(name) for name in missing} <= {str(name) for name in came}:
        return f"their names are {type(missing[0]).__name__} here, {type(came[0]).__name__} there"
    return f"wanted: {kinds}; came: {came[:20]}{' …' if len(came) > 20 else ''}"


def _by_place(frame: Any, schema: Schema) -> list[Any]:
    came = len(frame.columns)
    if came < len(schema):
        raise InvalidParameterValue(
            f"{len(schema)} columns are wanted, and {came} came",
            hint=f"wanted, in this order: {schema!r}",
        )
    return list(frame.columns[: len(schema)])


def as_frame(data: Any, schema: Schema) -> Any:
    """A model's input as a frame, its values as they are.

    Args:
        data: As :func:`enforce_schema` takes it.
        schema: A schema of columns.

    Raises:
        InvalidParameterValue: No frame can be made of it.
    """
    import numpy as np
    import pandas as pd

    if isinstance(data, pd.DataFrame):
        return data
    if isinstance(data, pd.Series):
        return data.to_frame()
    try:
        if isinstance(data, dict):
            return _from_dict(data, schema)
        if isinstance(data, list):
            return _from_list(data, schema)
        if isinstance(data, np.ndarray):
            return pd.DataFrame(data)
        if isinstance(data, (str, bytes, bool, int, float, datetime.date, np.generic)):
            return pd.DataFrame([data])
    except (ValueError, TypeError) as error:
        raise InvalidParameterValue(
            f"{type(data).__name__} can't be made columns: {error}",
            hint=f"wanted: {schema!r}",
        ) from None
    raise InvalidParameterValue(
        f"Columns are wanted, and {type(data).__name__} came",
        hint=f"a pandas frame, a dict or a list of: {schema!r}",
    )


def _nested(schema: Schema) -> bool:
    return not all(isinstance(spec.type, DataType) for spec in schema.inputs)


def _from_dict(data: dict[Any, Any], schema: Schema) -> Any:
    """A dict of columns, or of the values of one row."""
    import numpy as np
    import pandas as pd

    if data and all(isinstance(value, np.ndarray) for value in data.values()):
        return pd.DataFrame({n: v.tolist() if v.ndim > 1 else v for n, v in data.items()})
    if not schema.has_input_names() and isinstance(schema.inputs[0].type, (Map, Object)):
        return pd.DataFrame({0: [data]})
    # Lists of text are values of a row to MLflow, as prompts have them, and so is all that a
    # schema of nested values takes.
    one_row = _nested(schema) or all(
        isinstance(v, str) or (isinstance(v, list) and all(isinstance(one, str) for one in v))
        for v in data.values()
    )
    scalars = not any(isinstance(v, (list, np.ndarray, pd.Series)) for v in data.values())
    return pd.DataFrame([data]) if one_row or scalars else pd.DataFrame(data)


def _from_list(data: list[Any], schema: Schema) -> Any:
    import pandas as pd

    if not schema.has_input_names() and len(schema) == 1 and _nested(schema):
        return pd.DataFrame({0: pd.Series(data, dtype=object)})
    return pd.DataFrame(data)


def enforce_params(params: dict[str, Any] | None, schema: ParamSchema | None) -> dict[str, Any]:
    """The params of a prediction as their schema has them, with its defaults for the others.

    Args:
        params: What the caller gave, or None.
        schema: The params of the model's signature, or None where it takes none.

    Returns:
        A value for each param of the schema. Params that it doesn't have are left out, and
        logged.

    Raises:
        InvalidParameterValue: Not a dict, or values of wrong types; all of them are named.
    """
    import logging

    given = {} if params is None else params
    if not isinstance(given, dict):
        raise InvalidParameterValue(f"params is a dict, not {type(given).__name__}")
    known = {} if schema is None else {spec.name: spec for spec in schema}
    unknown = sorted(str(name) for name in given if str(name) not in known)
    if unknown:
        logging.getLogger("mlgit").warning(
            "The model's signature has no params %s: they are ignored", unknown
        )
    found = {name: spec.default for name, spec in known.items()}
    wrong = []
    for name, value in given.items():
        spec = known.get(str(name))
        if spec is None:
            continue
        try:
            found[spec.name] = cast_param(value, spec.dtype, spec.shape)
        except InvalidParameterValue as error:
            wrong.append(f"{name!r}: {error.message}")
    if wrong:
        raise InvalidParameterValue(
            f"Params of wrong types: {'; '.join(wrong)}", hint=f"the model takes {schema!r}"
        )
    return found
