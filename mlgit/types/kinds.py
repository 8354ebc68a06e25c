"""The types of values: scalars, and arrays, objects and maps of them.

A type and its JSON form stand side by side: ``to_dict`` writes what ``kind_from_dict`` reads.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from enum import Enum
from typing import TYPE_CHECKING, Any, TypeVar

from mlgit.exceptions import InvalidParameterValue

if TYPE_CHECKING:
    import numpy as np

# DataType → numpy's name of it, pandas' name, Python's type.
_FORMS: dict[str, tuple[str, str, str]] = {
    "boolean": ("bool", "bool", "bool"),
    "integer": ("int32", "int32", "int"),
    "long": ("int64", "int64", "int"),
    "float": ("float32", "float32", "float"),
    "double": ("float64", "float64", "float"),
    "string": ("str", "object", "str"),
    "binary": ("bytes", "object", "bytes"),
    "datetime": ("datetime64[ns]", "datetime64[ns]", "date"),
}


# Before the enum, whose members hide some of these names.
_PYTHON = {"bool": bool, "int": int, "float": float, "str": str, "bytes": bytes}


class DataType(Enum):
    """The types of single values, MLflow's eight."""

    boolean = 1
    integer = 2
    long = 3
    float = 4
    double = 5
    string = 6
    binary = 7
    datetime = 8

    def __repr__(self) -> str:
        return self.name

    def to_numpy(self) -> np.dtype[Any]:
        """The numpy dtype that holds such values."""
        import numpy as np

        return np.dtype(_FORMS[self.name][0])

    def to_pandas(self) -> np.dtype[Any]:
        """The dtype of a pandas column of such values."""
        import numpy as np

        return np.dtype(_FORMS[self.name][1])

    def to_python(self) -> type:
        """The Python type of such a value."""
        import datetime

        return {**_PYTHON, "date": datetime.date}[_FORMS[self.name][2]]

    @classmethod
    def check_type(cls, data_type: DataType, value: Any) -> bool:
        """Whether ``value`` is of ``data_type`` as it stands, nothing converted."""
        return data_type in scalar_kinds(value)

    @classmethod
    def from_numpy_type(cls, np_type: Any) -> DataType | None:
        """The type that has exactly this numpy dtype, or None."""
        return next((kind for kind in cls if kind.to_numpy() == np_type), None)

    @classmethod
    def all_types(cls) -> list[DataType]:
        """All eight."""
        return list(cls)


_INT = (DataType.integer, DataType.long)
_FLOAT = (DataType.float, DataType.double)


def scalar_kinds(value: Any) -> tuple[DataType, ...]:
    """The types that a scalar is of as it stands; a Python int is both integer and long.

    Args:
        value: Anything.

    Returns:
        Empty for what isn't a scalar of one of the eight types.
    """
    import datetime

    found: dict[Any, tuple[DataType, ...]] = {
        bool: (DataType.boolean,),
        int: _INT,
        float: _FLOAT,
        str: (DataType.string,),
        bytes: (DataType.binary,),
        bytearray: (DataType.binary,),
        datetime.date: (DataType.datetime,),
        datetime.datetime: (DataType.datetime,),
    }
    kinds = found.get(type(value))
    if kinds is None:
        kinds = _NUMPY_KINDS.get(_numpy_name(value), ())
    return kinds


# Dtypes of numpy's scalars and arrays; strings, bytes and dates by their kind.
_NUMPY_KINDS: dict[str, tuple[DataType, ...]] = {
    "bool": (DataType.boolean,),
    "int32": (DataType.integer,),
    "int64": (DataType.long,),
    "float32": (DataType.float,),
    "float64": (DataType.double,),
    "U": (DataType.string,),
    "S": (DataType.binary,),
    "M": (DataType.datetime,),
}


def _numpy_name(value: Any) -> str:
    import sys

    numpy = sys.modules.get("numpy")
    if numpy is None or not isinstance(value, numpy.generic):
        return ""
    return dtype_key(value.dtype)


def dtype_key(dtype: Any) -> str:
    """A numpy dtype's name, or its kind where the name holds a size or a unit."""
    return str(dtype.kind) if dtype.kind in "USM" else str(dtype.name)


def numpy_kind(dtype: Any) -> DataType | None:
    """The type of an array's elements, where MLflow has exactly that one."""
    kinds = _NUMPY_KINDS.get(dtype_key(dtype))
    return kinds[0] if kinds else None


class BaseType(ABC):
    """A type that is made of others."""

    @abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """The type in MLflow's JSON form."""

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.to_dict() == other.to_dict()  # type: ignore[attr-defined]

    __hash__ = None  # type: ignore[assignment]


Kind = DataType | BaseType


def as_kind(given: Any, argument: str) -> Kind:
    """A type from what a caller gave for it.

    Args:
        given: A type, or the name of one of the eight scalar ones.
        argument: The caller's name for it, for the error.

    Raises:
        InvalidParameterValue: It's neither.
    """
    if isinstance(given, (DataType, BaseType)) and not isinstance(given, Property):
        return given
    names = [kind.name for kind in DataType]
    if isinstance(given, str) and given in names:
        return DataType[given]
    shown = repr(given) if isinstance(given, str) else f"{given!r}, a {type(given).__name__}"
    raise InvalidParameterValue(
        f"The {argument!r} {shown} isn't a type",
        hint=f"one of {', '.join(names)}, or Array(…), Object([…]), Map(…), AnyType()",
    )


class Array(BaseType):
    """A list of values of one type.

    Args:
        dtype: The type of its values, or the name of a scalar one.

    Raises:
        InvalidParameterValue: ``dtype`` isn't a type.
    """

    def __init__(self, dtype: Kind | str) -> None:
        self._dtype = as_kind(dtype, "dtype")

    @property
    def dtype(self) -> Kind:
        """The type of the values."""
        return self._dtype

    def to_dict(self) -> dict[str, Any]:
        return {"type": "array", "items": kind_to_dict(self._dtype)}

    @classmethod
    def from_json_dict(cls, **kwargs: Any) -> Array:
        """The array type that ``to_dict`` wrote."""
        return _only(cls, kind_from_dict(kwargs))

    def __repr__(self) -> str:
        return f"Array({self._dtype!r})"


class SparkMLVector(Array):
    """A vector of Spark's ML library: an array of doubles."""

    def __init__(self) -> None:
        super().__init__(DataType.double)

    def to_dict(self) -> dict[str, Any]:
        return {"type": "sparkml_vector"}

    def __repr__(self) -> str:
        return "SparkML vector"


class Map(BaseType):
    """A dict with any strings as keys, and values of one type.

    Args:
        value_type: The type of the values, or the name of a scalar one.

    Raises:
        InvalidParameterValue: ``value_type`` isn't a type.
    """

    def __init__(self, value_type: Kind | str) -> None:
        self._value_type = as_kind(value_type, "value_type")

    @property
    def value_type(self) -> Kind:
        """The type of the values."""
        return self._value_type

    def to_dict(self) -> dict[str, Any]:
        return {"type": "map", "values": kind_to_dict(self._value_type)}

    @classmethod
    def from_json_dict(cls, **kwargs: Any) -> Map:
        """The map type that ``to_dict`` wrote."""
        return _only(cls, kind_from_dict(kwargs))

    def __repr__(self) -> str:
        return f"Map(str -> {self._value_type})"


class AnyType(BaseType):
    """Any value, None included; nothing is checked."""

    def to_dict(self) -> dict[str, Any]:
        return {"type": "any"}

    def __repr__(self) -> str:
        return "Any"


class Property(BaseType):
    """A named value of an object.

    Args:
        name: The key.
        dtype: The value's type, or the name of a scalar one.
        required: Whether an object must have it.

    Raises:
        InvalidParameterValue: ``name`` isn't text, or ``dtype`` isn't a type.
    """

    def __init__(self, name: str, dtype: Kind | str, required: bool = True) -> None:
        if not isinstance(name, str):
            raise InvalidParameterValue(f"A property's name is text, not {type(name).__name__}")
        self._name = name
        self._dtype = as_kind(dtype, "dtype")
        self._required = bool(required)

    @property
    def name(self) -> str:
        """The key."""
        return self._name

    @property
    def dtype(self) -> Kind:
        """The value's type."""
        return self._dtype

    @property
    def required(self) -> bool:
        """Whether an object must have it."""
        return self._required

    def to_dict(self) -> dict[str, Any]:
        return {self._name: {**kind_to_dict(self._dtype), "required": self._required}}

    @classmethod
    def from_json_dict(cls, **kwargs: Any) -> Property:
        """The property that ``to_dict`` wrote."""
        if len(kwargs) != 1:
            raise InvalidParameterValue(f"A property is written under its name alone: {kwargs}")
        ((name, form),) = kwargs.items()
        return _property(name, form)

    def __repr__(self) -> str:
        return f"{self._name}: {self._dtype!r} ({'required' if self._required else 'optional'})"


class Object(BaseType):
    """A dict with known keys, each with a type of its own.

    Args:
        properties: The keys, in any order; they are kept sorted by name.

    Raises:
        InvalidParameterValue: No properties, two of one name, or not a list of them.
    """

    def __init__(self, properties: list[Property]) -> None:
        if not isinstance(properties, list) or not all(
            isinstance(one, Property) for one in properties
        ):
            raise InvalidParameterValue(f"An object is made of a list of Property: {properties!r}")
        if not properties:
            raise InvalidParameterValue(
                "An object needs a property", hint="AnyType() stands for values of any form"
            )
        names = [one.name for one in properties]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise InvalidParameterValue(f"An object has one property a name; twice: {twice}")
        self._properties = sorted(properties, key=lambda one: one.name)

    @property
    def properties(self) -> list[Property]:
        """The properties, sorted by name."""
        return self._properties

    def to_dict(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for one in self._properties:
            found.update(one.to_dict())
        return {"type": "object", "properties": found}

    @classmethod
    def from_json_dict(cls, **kwargs: Any) -> Object:
        """The object type that ``to_dict`` wrote."""
        return _only(cls, kind_from_dict(kwargs))

    def __repr__(self) -> str:
        return "{" + ", ".join(map(repr, self._properties)) + "}"


def kind_to_dict(kind: Kind) -> dict[str, Any]:
    """A type in MLflow's JSON form; :func:`kind_from_dict` reads it."""
    return {"type": kind.name} if isinstance(kind, DataType) else kind.to_dict()


_K = TypeVar("_K", bound=BaseType)
# Type → the key that its JSON form needs besides "type".
_NEEDS = {"array": "items", "object": "properties", "map": "values"}
# What is nested deeper than this was made to break a reader.
_DEPTH = 100


def kind_from_dict(form: Any, depth: int = 0) -> Kind:
    """The type that :func:`kind_to_dict` or MLflow wrote.

    Args:
        form: A dict with "type"; other keys than the type's own are left alone.
        depth: How deep in another type this one is.

    Raises:
        InvalidParameterValue: It isn't the JSON form of a type.
    """
    if not isinstance(form, dict) or "type" not in form:
        raise InvalidParameterValue(f"A type is written as an object with 'type': {form!r:.200}")
    if depth > _DEPTH:
        raise InvalidParameterValue(f"Types are nested more than {_DEPTH} deep")
    name = form["type"]
    if not isinstance(name, str):
        raise InvalidParameterValue(f"A type's name is text: {name!r:.200}")
    needed = _NEEDS.get(name)
    if needed and needed not in form:
        raise InvalidParameterValue(f"A type {name!r} is written with {needed!r}: {form!r:.200}")
    if name == "array":
        return Array(kind_from_dict(form["items"], depth + 1))
    if name == "map":
        return Map(kind_from_dict(form["values"], depth + 1))
    if name == "object":
        found = form["properties"]
        if not isinstance(found, dict):
            raise InvalidParameterValue(f"'properties' is an object: {found!r:.200}")
        return Object([_property(key, one, depth + 1) for key, one in found.items()])
    if name == "any":
        return AnyType()
    if name == "sparkml_vector":
        return SparkMLVector()
    return as_kind(name, "type")


def _property(name: str, form: Any, depth: int = 0) -> Property:
    kind = kind_from_dict(form, depth)
    return Property(name, kind, required=form.get("required", True))


def _only(cls: type[_K], kind: Kind) -> _K:
    if not isinstance(kind, cls):
        raise InvalidParameterValue(f"{cls.__name__} was asked for, and the form is {kind!r}'s")
    return kind
