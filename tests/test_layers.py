"""The layers of docs/architecture.md: a module imports only from layers below its own."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import mlgit

PACKAGE = Path(mlgit.__file__).parent

# Top to bottom. Members of one layer don't import each other.
LAYERS = [
    ["__main__"],
    ["cli"],
    ["server"],
    ["keras", "lightgbm", "pyfunc", "pytorch", "sklearn", "tensorflow", "transformers", "xgboost"],
    ["models"],
    ["artifacts", "diffs"],
    ["tracking", "review", "worktree", "sync"],
    ["registry"],
    ["store"],
    ["git", "objects", "data", "metrics"],
    ["types"],
    ["validation"],
    ["entities", "settings"],
    ["exceptions"],
]
# The public face: it names everything, and imports it when it is used.
FACE = "__init__"
RANK = {name: depth for depth, layer in enumerate(LAYERS) for name in layer}
MODULES = sorted(PACKAGE.rglob("*.py"))


def _unit(parts: tuple[str, ...]) -> str:
    return parts[0].removesuffix(".py")


def _imports(path: Path) -> set[str]:
    """The units of mlgit that a module imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide layers"
            if node.module == "mlgit":
                found |= {f"mlgit.{alias.name}" for alias in node.names}
            elif node.module:
                found.add(node.module)
    return {name.split(".")[1] for name in found if name.startswith("mlgit.")}


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_a_module_imports_only_from_below(path: Path) -> None:
    unit = _unit(path.relative_to(PACKAGE).parts)
    if unit == FACE:
        return
    assert unit in RANK, f"{unit} has no place in the layers"
    for other in _imports(path) & set(RANK):
        if other != unit:
            assert RANK[other] > RANK[unit], f"{unit} must not import {other}"


def test_every_unit_has_a_place() -> None:
    units = {_unit(path.relative_to(PACKAGE).parts) for path in MODULES}
    assert units == set(RANK) | {FACE}


def test_only_git_imports_dulwich() -> None:
    for path in MODULES:
        if path.relative_to(PACKAGE).parts[0] == "git":
            continue
        assert "dulwich" not in path.read_text(encoding="utf-8"), path


def test_only_settings_reads_the_environment() -> None:
    for path in MODULES:
        if path.name == "settings.py":
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and node.attr in ("environ", "getenv"):
                pytest.fail(f"{path.relative_to(PACKAGE)}:{node.lineno} reads the environment")


def test_only_the_command_line_prints() -> None:
    for path in MODULES:
        unit = _unit(path.relative_to(PACKAGE).parts)
        if unit in ("cli", "__main__"):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "print":
                pytest.fail(f"{path.relative_to(PACKAGE)}:{node.lineno} prints")
