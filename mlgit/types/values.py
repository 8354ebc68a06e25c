"""Single values and nested ones held against their type."""

from __future__ import annotations

from typing import Any

from mlgit.types.kinds import Kind


def enforce_value(value: Any, kind: Kind, required: bool = True) -> Any:
    return value
