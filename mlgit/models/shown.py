"""A model's signature and flavors as people read them: rows of cells, for terminal and pages."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sized

    from mlgit.models.mlmodel import Model
    from mlgit.types.schema import ParamSchema, Schema

COLUMNS_SHOWN = 50


def short_signature(model: Model | None) -> str:
    """A signature on one line: "4 columns → long"; "" where there is none."""
    signature = None if model is None else model.signature
    if signature is None:
        return ""
    arrow = f"{_short(signature.inputs)} → {_short(signature.outputs)}"
    return arrow + (f" ({_counted(signature.params, 'param')})" if signature.params else "")


def _short(schema: Schema | None) -> str:
    if schema is None:
        return "?"
    if len(schema) == 1:
        return _kind(schema.inputs[0])
    return _counted(schema, "tensor" if schema.is_tensor_spec() else "column")


def _counted(things: Sized, noun: str) -> str:
    return f"{len(things)} {noun}" + ("" if len(things) == 1 else "s")


def _kind(spec: Any) -> str:
    shape = getattr(spec, "shape", None)
    kind = getattr(spec.type, "name", None) or str(spec.type)
    return f"{kind} {shape}" if shape is not None else str(kind)


def schema_rows(schema: Schema | None, limit: int = COLUMNS_SHOWN) -> list[list[str]]:
    """Name, type, and "optional" where it is, of each column or tensor.

    Args:
        schema: What a model takes or gives.
        limit: The most to give; one more row says how many were left out.
    """
    if schema is None:
        return []
    rows = [
        [
            "-" if spec.name is None else str(spec.name),
            _kind(spec),
            "" if getattr(spec, "required", True) else "optional",
        ]
        for spec in schema.inputs[:limit]
    ]
    more = len(schema) - limit
    return [*rows, [f"({more} more)", "", ""]] if more > 0 else rows


def param_rows(schema: ParamSchema | None) -> list[list[str]]:
    """Name, type and default of each param."""
    return [
        [spec.name, str(getattr(spec.dtype, "name", spec.dtype)), f"default {plain(spec.default)}"]
        for spec in schema or []
    ]


def flavor_rows(model: Model) -> list[list[str]]:
    """Name and fields of each flavor."""
    return [
        [name, ", ".join(f"{key}={plain(value)}" for key, value in sorted(row.items()))]
        for name, row in sorted(model.flavors.items())
    ]


def plain(value: object) -> str:
    """A value of an MLmodel: text as it is, anything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, default=str)
