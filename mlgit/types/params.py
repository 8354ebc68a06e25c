"""The params of a model: what a caller may set for a single prediction.

``cast_param`` holds the rules of what is taken for which type; a default follows them too.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from mlgit.exceptions import InvalidParameterValue
from mlgit.types.kinds import DataType, Object, as_kind, dtype_key, kind_from_dict, kind_to_dict

_INTS = {int, "int32"}
# What is taken for a type: Python's types, and numpy's by their names. Nothing that may lose
# something on the way.
_TAKEN: dict[DataType, set[Any]] = {
    DataType.boolean: {bool, "bool"},
    DataType.integer: _INTS,
    DataType.long: {*_INTS, "int64"},
    DataType.float: {*_INTS, "int64", float, "float32"},
    DataType.double: {*_INTS, "int64", float, "float32", "float64"},
    DataType.string: {str, "U"},
}


def cast_param(value: Any, dtype: DataType | Object, shape: tuple[int, ...] | None) -> Any:
    """A param's value as its spec has it.

    Args:
        value: What the caller gave; None stands for itself.
        dtype, shape: The spec's.

    Returns:
        Python's own types: numpy's scalars and arrays become numbers and lists, dates
        ``datetime.date`` or ``datetime.datetime``.

    Raises:
        InvalidParameterValue: It isn't of that type or shape.
    """
    if isinstance(dtype, Object):
        from mlgit.types.values import enforce_value

        return enforce_value(value, dtype)
    if shape is None:
        return _scalar(value, dtype)
    from mlgit.types.infer import is_array

    ndim = getattr(value, "ndim", None)
    if not (isinstance(value, list) or (is_array(value) and ndim == 1)):
        raise InvalidParameterValue(
            f"A list of {dtype.name} is wanted, and {value!r:.100} ({type(value).__name__}) came",
            hint=f"as in [{value!r:.40}]" if ndim is None else "an array of one dimension",
        )
    return [_scalar(one, dtype) for one in value]


def _scalar(value: Any, dtype: DataType) -> Any:
    from mlgit.types.infer import is_array

    if value is None:
        return None
    if dtype is DataType.datetime:
        return _date(value)
    numpy_name = dtype_key(value.dtype) if type(value).__module__ == "numpy" else type(value)
    if is_array(value) or numpy_name not in _TAKEN[dtype]:
        raise InvalidParameterValue(
            f"{dtype.name} is wanted, and {value!r:.100} ({type(value).__name__}) came"
        )
    plain = value.item() if hasattr(value, "item") else value
    bits = {DataType.integer: 31, DataType.long: 63}.get(dtype)
    if bits and not -(2**bits) <= plain < 2**bits:
        raise InvalidParameterValue(f"{plain} doesn't fit into the {bits + 1} bits of {dtype.name}")
    return float(plain) if dtype in (DataType.float, DataType.double) else plain


def _date(given: Any) -> Any:
    """A date as numpy reads it: without a time zone, in UTC where one was given."""
    import datetime
    import warnings

    import numpy as np

    from mlgit.types.infer import is_missing

    value = given
    if isinstance(given, (str, datetime.date, np.datetime64)) and not is_missing(given):
        if getattr(value, "tzinfo", None) is not None:
            value = value.astimezone(datetime.timezone.utc).replace(tzinfo=None)
        if hasattr(value, "to_pydatetime"):
            value = value.to_pydatetime(warn=False)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                moment = np.datetime64(value)
            unit = np.datetime_data(moment.dtype)[0]
            found = moment.astype("M8[D]" if unit in "YMWD" else "M8[us]").item()
            if isinstance(found, datetime.date):
                return found
        except ValueError:
            pass
    raise InvalidParameterValue(
        f"datetime is wanted, and {given!r:.100} ({type(given).__name__}) came",
        hint="a date, or text as 2026-01-31 or 2026-01-31T12:30:00",
    )


class ParamSpec:
    """A param of a model.

    Args:
        name: Its name.
        dtype: A scalar type or the name of one, or an :class:`Object`.
        default: What is taken where the caller gives nothing.
        shape: None for a single value or an object, (-1,) for a list.

    Raises:
        InvalidParameterValue: There is no such type or shape, or the default isn't of it.
    """

    def __init__(
        self,
        name: str,
        dtype: DataType | Object | str,
        default: Any,
        shape: tuple[int, ...] | list[int] | None = None,
    ) -> None:
        kind = as_kind(dtype, "dtype")
        if not isinstance(kind, (DataType, Object)) or kind is DataType.binary:
            raise InvalidParameterValue(
                f"The param {name!r} can't be {kind!r}",
                hint="scalar types but binary, and Object, are for params",
            )
        if shape is not None and (tuple(shape) != (-1,) or isinstance(kind, Object)):
            raise InvalidParameterValue(
                f"The param {name!r} can't have the shape {tuple(shape)}",
                hint="None for a single value or an object, (-1,) for a list",
            )
        self._name = str(name)
        self._dtype = kind
        self._shape = None if shape is None else (-1,)
        try:
            self._default = None if default is None else cast_param(default, kind, self._shape)
        except InvalidParameterValue as error:
            raise InvalidParameterValue(
                f"The default of the param {name!r}: {error.message}", hint=error.hint
            ) from None

    @property
    def name(self) -> str:
        """Its name."""
        return self._name

    @property
    def dtype(self) -> DataType | Object:
        """Its type."""
        return self._dtype

    @property
    def default(self) -> Any:
        """What is taken where the caller gives nothing."""
        return self._default

    @property
    def shape(self) -> tuple[int, ...] | None:
        """None, or (-1,) for a list."""
        return self._shape

    def to_dict(self) -> dict[str, Any]:
        """The param in MLflow's JSON form."""
        default = self._default
        if self._dtype is DataType.datetime and default is not None:
            default = [_iso(one) for one in default] if self._shape else _iso(default)
        named = {"name": self._name, "default": default, "shape": self._shape}
        return {**named, **kind_to_dict(self._dtype)}

    @classmethod
    def from_json_dict(cls, **kwargs: Any) -> ParamSpec:
        """The param that ``to_dict`` wrote.

        Raises:
            InvalidParameterValue: It isn't one.
        """
        # Its first versions wrote "dtype" for what MLflow now writes as "type".
        form = {"type": kwargs.get("dtype"), **kwargs}
        if not {"name", "default"} <= kwargs.keys() or not isinstance(form["type"], str):
            raise InvalidParameterValue(
                f"A param needs 'name', 'type' and 'default': {kwargs!r:.200}"
            )
        shape = kwargs.get("shape")
        if not isinstance(shape, (list, tuple, type(None))):
            raise InvalidParameterValue(f"A param's shape is a list: {shape!r:.100}")
        kind: Any = kind_from_dict(form)
        return cls(kwargs["name"], kind, kwargs["default"], shape)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ParamSpec) and self.to_dict() == other.to_dict()

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        shape = "" if self._shape is None else f" (shape: {self._shape})"
        return f"{self._name!r}: {self._dtype!r} (default: {self._default}){shape}"


def _iso(moment: Any) -> Any:
    return None if moment is None else moment.isoformat()


class ParamSchema:
    """The params of a model.

    Args:
        params: The params, each under a name of its own.

    Raises:
        InvalidParameterValue: Two have one name, or it isn't a list of params.
    """

    def __init__(self, params: list[ParamSpec]) -> None:
        if not isinstance(params, list) or not all(isinstance(one, ParamSpec) for one in params):
            raise InvalidParameterValue(f"A list of ParamSpec is wanted, not {params!r:.200}")
        names = [one.name for one in params]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise InvalidParameterValue(f"A schema has one param a name; twice: {twice}")
        self._params = params

    @property
    def params(self) -> list[ParamSpec]:
        """The params."""
        return self._params

    def to_dict(self) -> list[dict[str, Any]]:
        """The params in MLflow's JSON form."""
        return [one.to_dict() for one in self._params]

    def to_json(self) -> str:
        """The params as MLflow writes them."""
        return json.dumps(self.to_dict())

    @classmethod
    def from_json(cls, json_str: str) -> ParamSchema:
        """The params that ``to_json`` or MLflow wrote.

        Args:
            json_str: A JSON list of params.

        Raises:
            InvalidParameterValue: It isn't that.
        """
        found = parse_list(json_str, "A schema of params")
        if not all(isinstance(form, dict) for form in found):
            raise InvalidParameterValue("A param is an object")
        return cls([ParamSpec.from_json_dict(**form) for form in found])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ParamSchema) and self._params == other._params

    __hash__ = None  # type: ignore[assignment]

    def __iter__(self) -> Iterator[ParamSpec]:
        return iter(self._params)

    def __len__(self) -> int:
        return len(self._params)

    def __repr__(self) -> str:
        return repr(self._params)


def parse_list(text: Any, what: str) -> list[Any]:
    """A JSON list.

    Args:
        text: The JSON.
        what: What it should be, at the beginning of a sentence, for the error.

    Raises:
        InvalidParameterValue: It isn't JSON, or not a list.
    """
    try:
        found = json.loads(text)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidParameterValue(f"{what} isn't JSON: {error}") from None
    if not isinstance(found, list):
        raise InvalidParameterValue(f"{what} is a JSON list, not {type(found).__name__}")
    return found
