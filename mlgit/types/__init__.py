"""What a model takes and gives, as types: ``mlgit.types`` (MLflow's ``mlflow.types``).

It imports the errors, and numpy or pandas when a function needs them. The JSON form of every
type is MLflow's, byte for byte.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

_SCHEMA = "mlgit.types.schema"
_NAMES = {
    "AnyType": _SCHEMA,
    "Array": _SCHEMA,
    "ColSpec": _SCHEMA,
    "DataType": _SCHEMA,
    "Map": _SCHEMA,
    "Object": _SCHEMA,
    "ParamSchema": _SCHEMA,
    "ParamSpec": _SCHEMA,
    "Property": _SCHEMA,
    "Schema": _SCHEMA,
    "TensorSpec": _SCHEMA,
}

__all__ = sorted([*_NAMES, "schema"])


def __getattr__(name: str) -> Any:
    import importlib

    if name in _NAMES:
        value = getattr(importlib.import_module(_NAMES[name]), name)
    elif name == "schema":
        value = importlib.import_module(_SCHEMA)
    else:
        raise AttributeError(f"module 'mlgit.types' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])


if TYPE_CHECKING:
    from mlgit.types import schema
    from mlgit.types.schema import (
        AnyType,
        Array,
        ColSpec,
        DataType,
        Map,
        Object,
        ParamSchema,
        ParamSpec,
        Property,
        Schema,
        TensorSpec,
    )
