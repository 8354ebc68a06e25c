"""Schemas from Python's type hints, pydantic's models and dataclasses."""

from __future__ import annotations

import dataclasses
import datetime
import inspect
import types
import typing
from typing import Any

from mlgit.exceptions import InvalidParameterValue
from mlgit.types.schema import AnyType, Array, ColSpec, DataType, Map, Object, Property, Schema

_SCALARS: dict[Any, DataType] = {
    int: DataType.long,
    str: DataType.string,
    bool: DataType.boolean,
    float: DataType.double,
    bytes: DataType.binary,
    datetime.datetime: DataType.datetime,
}
_HINT = (
    "list[X], where X is int, str, bool, float, bytes, datetime.datetime, a pydantic model, "
    "list[…], dict[str, …] or Any"
)
_UNIONS = (typing.Union, types.UnionType)
# Written as text, or nothing at all: what says nothing of the values.
_FRAMES = ("DataFrame", "Series", "ndarray", "csr_matrix", "csc_matrix")


def signature_from_type_hints(input_hint: Any, output_hint: Any = None) -> Any:
    """The signature that a prediction function's hints say.

    Args:
        input_hint: The hint of its input; ``inspect.Parameter.empty`` or None for none.
        output_hint: The hint of what it returns; likewise.

    Returns:
        A ModelSignature, or None where the input's hint says nothing of the values, as
        ``pandas.DataFrame`` does: then an input example tells. An output of such a kind
        is taken for anything.

    Raises:
        InvalidParameterValue: The input has a hint that no signature can say.
    """
    from mlgit.models.signature import ModelSignature

    if _says_nothing(input_hint):
        return None
    if _optional(input_hint)[1]:
        raise InvalidParameterValue(
            f"A model's input can't be optional: {shown(input_hint)}",
            hint="leave Optional out; fields of a pydantic model may be optional",
        )
    inputs = Schema([ColSpec(kind_from_hint(input_hint))])
    if output_hint is None or _says_nothing(output_hint):
        return ModelSignature(inputs, Schema([ColSpec(AnyType())]))
    try:
        outputs = Schema([ColSpec(kind_from_hint(output_hint))])
    except InvalidParameterValue:
        outputs = Schema([ColSpec(AnyType())])
    return ModelSignature(inputs, outputs)


def _says_nothing(hint: Any) -> bool:
    return (
        hint is None or hint is inspect.Parameter.empty or getattr(hint, "__name__", "") in _FRAMES
    )


def kind_from_hint(hint: Any) -> Any:
    """The type that a hint says.

    Args:
        hint: A class or what ``typing`` makes of some.

    Raises:
        InvalidParameterValue: No signature can say it.
    """
    if hint in _SCALARS:
        return _SCALARS[hint]
    if hint is Any:
        return AnyType()
    if is_pydantic(hint):
        return _pydantic(hint)
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin in _UNIONS:
        one, _ = _optional(hint)
        # Of several types nothing is checked.
        return AnyType() if one is None else kind_from_hint(one)
    if origin is list and inner:
        return Array(kind_from_hint(inner[0]))
    if origin is dict and inner:
        if inner[0] is not str:
            raise InvalidParameterValue(f"The keys of a dict are str: {shown(hint)}")
        return Map(kind_from_hint(inner[1]))
    lacks = " doesn't say what is in it" if (origin or hint) in (list, dict) else " has no type"
    raise InvalidParameterValue(f"The type hint {shown(hint)}{lacks} in a signature", hint=_HINT)


def is_pydantic(hint: Any) -> bool:
    """Whether a hint is a pydantic model, asked without loading pydantic."""
    return isinstance(hint, type) and any(
        base.__module__.startswith("pydantic.") and base.__name__ == "BaseModel"
        for base in hint.__mro__
    )


def shown(hint: Any) -> str:
    """A hint as a person writes it."""
    if isinstance(hint, type) and not typing.get_args(hint):
        return hint.__name__
    return str(hint).replace("typing.", "")


def _optional(hint: Any) -> tuple[Any, bool]:
    """Of an optional hint: the one type besides None, or None where there are several."""
    if typing.get_origin(hint) not in _UNIONS:
        return hint, False
    inner = typing.get_args(hint)
    rest = [one for one in inner if one is not type(None)]
    return (rest[0] if len(rest) == 1 else None), len(rest) < len(inner)


def _pydantic(model: Any) -> Object:
    properties = []
    for name, field in model.model_fields.items():
        _, optional = _optional(field.annotation)
        if optional and field.is_required():
            raise InvalidParameterValue(
                f"The field {name!r} of {model.__name__} is optional, but has no default",
                hint=f"{name}: … = None",
            )
        kind = kind_from_hint(field.annotation)
        # A default doesn't make it optional: the signature is of what comes in.
        properties.append(Property(name, kind, required=not optional))
    return Object(properties)


_FIELDS = {**_SCALARS, float: DataType.float, datetime.date: DataType.datetime}


def dataclass_schema(given: Any) -> Schema:
    """A schema with a column for each field of a dataclass.

    Args:
        given: The dataclass, or an instance of it.

    Raises:
        InvalidParameterValue: A field has a type that no signature can say.
    """
    cls = given if isinstance(given, type) else type(given)
    hints = typing.get_type_hints(cls)
    columns = []
    for field in dataclasses.fields(cls):
        kind, required = _field(cls, field.name, hints[field.name])
        columns.append(ColSpec(kind, field.name, required=required))
    return Schema(columns)


def _field(cls: Any, name: str, hint: Any) -> tuple[Any, bool]:
    one, optional = _optional(hint)
    return _field_kind(cls, name, one), not optional


def _field_kind(cls: Any, name: str, hint: Any) -> Any:
    inner = typing.get_args(hint)
    if hint in _FIELDS:
        return _FIELDS[hint]
    if dataclasses.is_dataclass(hint):
        hints = typing.get_type_hints(hint)
        found = []
        for field in dataclasses.fields(hint):
            kind, required = _field(hint, field.name, hints[field.name])
            found.append(Property(field.name, kind, required=required))
        return Object(found)
    if typing.get_origin(hint) is list and inner:
        return Array(_field_kind(cls, name, inner[0]))
    if typing.get_origin(hint) is dict and inner and inner[0] is str:
        return Map(_field_kind(cls, name, inner[1]))
    raise InvalidParameterValue(
        f"The field {name!r} of {cls.__name__} has a type that a signature can't say: {shown(hint)}"
    )
