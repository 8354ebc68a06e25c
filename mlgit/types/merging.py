"""One type for several values: what their types have in common."""

from __future__ import annotations

from mlgit.exceptions import InvalidParameterValue
from mlgit.types.kinds import AnyType, Array, Kind, Map, Object, Property


def merged(one: Kind, other: Kind) -> Kind:
    """The type of values of which some are of one type and some of another.

    What is missing in some objects becomes optional. An unknown type (of None, of an empty
    list) gives way to the known one, whose properties become optional, as MLflow has it.

    Raises:
        InvalidParameterValue: There is no such type; numbers aren't widened.
    """
    if isinstance(one, AnyType):
        return _loosened(other)
    if isinstance(other, AnyType):
        return _loosened(one)
    if isinstance(one, Array) and isinstance(other, Array):
        return Array(merged(one.dtype, other.dtype))
    if isinstance(one, Object) and isinstance(other, Object):
        return _objects(one, other)
    if isinstance(one, Map) and isinstance(other, Map):
        return Map(merged(one.value_type, other.value_type))
    if one != other:
        raise InvalidParameterValue(f"Values of several types: {one!r} and {other!r}")
    return one


def all_merged(kinds: list[Kind]) -> Kind:
    """The one type of values of all these types; AnyType for none.

    Raises:
        InvalidParameterValue: There is no such type.
    """
    if not kinds:
        return AnyType()
    found = kinds[0]
    for kind in kinds[1:]:
        # Most values are of the type of those before.
        if kind is not found and kind != found:
            found = merged(found, kind)
    return found


def _loosened(kind: Kind) -> Kind:
    if not isinstance(kind, Object):
        return kind
    return Object([Property(one.name, one.dtype, required=False) for one in kind.properties])


def _objects(one: Object, other: Object) -> Object:
    rest = {prop.name: prop for prop in other.properties}
    found = []
    for prop in one.properties:
        same = rest.pop(prop.name, None)
        if same is None:
            found.append(Property(prop.name, prop.dtype, required=False))
        else:
            kind = merged(prop.dtype, same.dtype)
            found.append(Property(prop.name, kind, prop.required and same.required))
    found += [Property(prop.name, prop.dtype, required=False) for prop in rest.values()]
    return Object(found)
