"""Calling a framework's own functions with params that came with the data."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any


def accepted(function: Callable[..., Any], params: dict[str, Any] | None) -> dict[str, Any]:
    """The params that a function takes by name; the others are for another model's signature.

    Args:
        function: The framework's function.
        params: What came with the data, or None.
    """
    if not params:
        return {}
    taken = inspect.signature(function).parameters
    return {name: value for name, value in params.items() if name in taken}
