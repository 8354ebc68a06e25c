"""Single values and nested ones held against their type."""

from __future__ import annotations

import datetime
from typing import Any

from mlgit.exceptions import InvalidParameterValue
from mlgit.types.infer import is_array, is_missing
from mlgit.types.kinds import AnyType, Array, DataType, Kind, Map, Object, dtype_key, scalar_kinds

_INT, _FLOAT = {DataType.integer, DataType.long}, {DataType.float, DataType.double}
# What a value may be of as it stands, for the type that is wanted: nothing that loses something.
_TAKEN: dict[DataType, set[DataType]] = {
    DataType.integer: {DataType.integer},
    DataType.long: _INT,
    DataType.float: {DataType.float, DataType.integer},
    DataType.double: _FLOAT | _INT,
}
# Above it a double no longer tells every whole number from the next.
_WHOLE = 2**53


def enforce_value(value: Any, kind: Kind, required: bool = True, where: str = "") -> Any:
    """A value as its type has it; what was given isn't changed.

    Args:
        value: A scalar, dict, list or array.
        kind: What it should be.
        required: Whether None is refused.
        where: The column and the keys that lead to it, for the error.

    Returns:
        Python's numbers, lists and dicts; arrays stay arrays; dates become pandas' Timestamp.

    Raises:
        InvalidParameterValue: It isn't of the type, says where, what came and what was wanted.
    """
    if isinstance(kind, AnyType):
        return value
    if is_missing(value) and not (isinstance(value, float) and _is(kind, _FLOAT)):
        if required and not _of_anything(kind):
            raise _unlike(value, kind, where)
        return None
    if isinstance(kind, Object):
        return _object(value, kind, required, where)
    if isinstance(kind, Map):
        return _map(value, kind, where)
    if isinstance(kind, Array):
        return _array(value, kind, where)
    assert isinstance(kind, DataType)
    return _scalar(value, kind, where)


def _is(kind: Kind, among: set[DataType]) -> bool:
    return isinstance(kind, DataType) and kind in among


def _unlike(value: Any, kind: Kind, where: str, hint: str = "") -> InvalidParameterValue:
    at = f"{where}: " if where else ""
    came = "nothing" if is_missing(value) else f"{value!r:.80} ({type(value).__name__})"
    return InvalidParameterValue(f"{at}{kind!r} is wanted, and {came} came", hint=hint)


def _of_anything(kind: Kind) -> bool:
    """Whether MLflow lets None pass for it, which says nothing of what is in it."""
    inner = getattr(kind, "dtype", None) or getattr(kind, "value_type", None)
    return isinstance(inner, AnyType)


def _object(value: Any, kind: Object, required: bool, where: str) -> Any:
    if not isinstance(value, dict):
        raise _unlike(value, kind, where)
    if not value and not required:
        return {}
    known = {prop.name: prop for prop in kind.properties}
    missing = sorted(n for n, prop in known.items() if prop.required and n not in value)
    unknown = sorted(str(name) for name in value if name not in known)
    if missing or unknown:
        parts = [
            f"{word} {names}" for word, names in (("lacks", missing), ("has", unknown)) if names
        ]
        at = f"{where}: " if where else ""
        raise InvalidParameterValue(
            f"{at}The object {' and '.join(parts)}", hint=f"its properties: {kind!r}"
        )
    return {
        name: enforce_value(one, known[name].dtype, known[name].required, f"{where}.{name}")
        for name, one in value.items()
    }


def _map(value: Any, kind: Map, where: str) -> Any:
    if not isinstance(value, dict) or not all(isinstance(name, str) for name in value):
        raise _unlike(value, kind, where, "a dict whose keys are text")
    return {
        name: enforce_value(one, kind.value_type, where=f"{where}.{name}")
        for name, one in value.items()
    }


def _array(value: Any, kind: Array, where: str) -> Any:
    if is_array(value):
        return _numpy(value, kind, where)
    if not isinstance(value, list):
        raise _unlike(value, kind, where, "a list or a numpy array")
    inner = kind.dtype
    # Missing text stays missing; a missing number among floats is NaN.
    loose = _is(inner, {DataType.string, DataType.datetime})
    found = []
    for at, one in enumerate(value):
        if one is None and _is(inner, _FLOAT):
            one = float("nan")
        found.append(enforce_value(one, inner, not loose, f"{where}[{at}]"))
    return found


def _numpy(value: Any, kind: Array, where: str) -> Any:
    """An array against the type of its elements, by its dtype alone."""
    depth, inner = 0, kind
    while isinstance(inner, Array):
        inner, depth = inner.dtype, depth + 1  # type: ignore[assignment]
    if isinstance(inner, AnyType) or not value.size:
        return value
    if value.dtype == object:
        import numpy as np

        found = _array(value.tolist(), kind, where)
        return np.asarray(found, dtype=inner.to_numpy() if _is(inner, _FLOAT) else object)
    wanted = inner.to_numpy() if isinstance(inner, DataType) else None
    if wanted is None or value.ndim != depth:
        raise _unlike(value, kind, where)
    key = dtype_key(value.dtype)
    if key == dtype_key(wanted):
        return value
    import numpy as np

    if wanted.kind in "if" and value.dtype.kind in "iuf" and np.can_cast(value.dtype, wanted):
        if inner is not DataType.double or value.dtype.itemsize < 8:
            return value.astype(wanted)
    return _whole(value, inner, wanted, kind, where)


def _whole(value: Any, inner: Any, wanted: Any, kind: Kind, where: str) -> Any:
    if inner is DataType.double and value.dtype.kind in "iu" and abs(value).max() <= _WHOLE:
        return value.astype(wanted)
    raise _unlike(value, kind, where)


def _scalar(value: Any, kind: DataType, where: str) -> Any:
    if kind is DataType.datetime:
        return _moment(value, where)
    kinds = set(scalar_kinds(value))
    if not kinds & _TAKEN.get(kind, {kind}):
        raise _unlike(value, kind, where)
    plain = value.item() if hasattr(value, "item") else value
    if kind in _FLOAT:
        if isinstance(plain, int) and abs(plain) > _WHOLE:
            raise _unlike(value, kind, where, "more digits than a double keeps")
        return float(plain)
    if kind is DataType.integer and not -(2**31) <= plain < 2**31:
        raise _unlike(value, kind, where, "it doesn't fit into 32 bits: long does")
    if kind is DataType.long and not -(2**63) <= plain < 2**63:
        raise _unlike(value, kind, where, "it doesn't fit into 64 bits")
    return plain


def _moment(value: Any, where: str) -> Any:
    import numpy as np
    import pandas as pd

    if isinstance(value, (str, datetime.date, np.datetime64)):
        try:
            found = pd.Timestamp(value)
            return found if found.tz is None else found.tz_convert("UTC").tz_localize(None)
        except ValueError:
            pass
    raise _unlike(value, DataType.datetime, where, "a date, or text as 2026-01-31T12:30:00")
