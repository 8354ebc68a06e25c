"""What functions import while they run, read from their code without running it."""

from __future__ import annotations

import dis
import types
from collections.abc import Iterator


def imported_by(function: types.FunctionType) -> set[str]:
    """The modules that a function's own import statements name.

    Only functions that a pickle holds by value need to be looked at: where others come from is
    a module, which is named itself.
    """
    return set(_imports(function.__code__))


def _imports(code: types.CodeType) -> Iterator[str]:
    if code.co_names:
        for instruction in dis.get_instructions(code):
            if instruction.opname == "IMPORT_NAME":
                yield str(instruction.argval)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _imports(constant)
