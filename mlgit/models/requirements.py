"""requirements.txt: what a model needs, versions pinned, without loading it a second time.

Where a model is pickled, its pickle names the modules that loading it imports. Their
distributions are what it needs, and of those that these require in turn the ones that are
loaded in this process: what a model's numbers depend on (numpy, scipy) is pinned too.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from mlgit.exceptions import InvalidParameterValue, ResourceDoesNotExist
from mlgit.models import distributions

# What MLflow's tools deploy with; which version goes with the rest is pip's to find.
MLFLOW = "mlflow>=2.22,<4"
# Of a model itself, or of every environment.
_NEVER = {"mlgit", "pip", "setuptools", "wheel", "mlflow", "mlflow-skinny", "mlflow-tracing"}

Requirements = str | os.PathLike[str] | Sequence[str]


@dataclass
class Parsed:
    """Requirements as the person gave them.

    Attributes:
        lines: For requirements.txt.
        constraints: For constraints.txt.
    """

    lines: list[str] = field(default_factory=list)
    constraints: list[str] = field(default_factory=list)


def inferred(modules: Iterable[str]) -> list[str]:
    """The pinned requirements of a model that imports these modules.

    Args:
        modules: Full names; the standard library, the script and unknown ones count nothing.
    """
    roots: dict[str, str] = {}
    for module in sorted({name.split(".")[0] for name in modules}):
        for name in distributions.of_module(module):
            roots[distributions.normal(name)] = name
    found = dict(roots)
    for name in roots.values():
        for below in distributions.requirements(name):
            if distributions.normal(below) not in found and _is_loaded(below):
                found[distributions.normal(below)] = below
    return [
        f"{key}=={version}"
        for key in sorted(found)
        if key not in _NEVER and (version := distributions.version(key)) is not None
    ]


def imports_of_file(path: str) -> set[str]:
    """The modules that a file of Python imports, wherever in it; none where it doesn't parse."""
    import ast

    with open(path, "rb") as f:
        try:
            tree = ast.parse(f.read())
        except (SyntaxError, ValueError):
            return set()
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module)
    return found


def _is_loaded(distribution: str) -> bool:
    return any(module in sys.modules for module in distributions.modules_of(distribution))


def parse(given: Requirements | None) -> Parsed:
    """Requirements from a list, or from a file as pip reads it.

    Args:
        given: Lines, where ``-r FILE`` and ``-c FILE`` are read; or a file's path.

    Raises:
        InvalidParameterValue: It is neither.
        ResourceDoesNotExist: A file isn't there.
    """
    found = Parsed()
    if given is None:
        return found
    if isinstance(given, (str, os.PathLike)):
        _read_file(os.fspath(given), found, found.lines, ())
    elif isinstance(given, Iterable) and all(isinstance(line, str) for line in given):
        _add(given, os.getcwd(), found, found.lines, ())
    else:
        raise InvalidParameterValue("pip_requirements must be a list of texts or a file's path")
    return found


def _read_file(path: str, found: Parsed, into: list[str], above: tuple[str, ...]) -> None:
    real = os.path.realpath(path)
    if real in above:
        raise InvalidParameterValue(f"The file of requirements {path} includes itself")
    try:
        with open(path, encoding="utf-8-sig") as f:
            text = f.read()
    except (FileNotFoundError, IsADirectoryError) as error:
        raise ResourceDoesNotExist(f"No such file of requirements: {path}") from error
    except UnicodeDecodeError as error:
        raise InvalidParameterValue(f"{path} isn't text in UTF-8") from error
    lines = text.replace("\\\n", "").splitlines()
    _add(lines, os.path.dirname(real), found, into, (*above, real))


def _add(
    lines: Iterable[str], folder: str, found: Parsed, into: list[str], above: tuple[str, ...]
) -> None:
    for line in lines:
        line = re.sub(r"(^|\s)#.*", "", line).strip()
        if "\n" in line:
            raise InvalidParameterValue(f"A requirement is one line: {line!r}")
        option = re.match(r"^(-r|--requirement|-c|--constraint)(?:\s+|=)(.+)\Z", line)
        if option:
            path = os.path.join(folder, option[2].strip())
            is_constraint = option[1] in ("-c", "--constraint")
            _read_file(path, found, found.constraints if is_constraint else into, above)
        elif line:
            into.append(line)


def name_of(line: str) -> str | None:
    """The distribution that a line of requirements is about, or None (a URL, an option)."""
    match = re.match(r"^([A-Za-z0-9][A-Za-z0-9._-]*)\s*(\[|[<>=!~;@ ]|\Z)", line)
    return distributions.normal(match[1]) if match else None


def merged(below: Sequence[str], above: Sequence[str]) -> list[str]:
    """Two lists of requirements as one: what the second says of a distribution counts."""
    named = {name_of(line) for line in above} - {None}
    return [line for line in below if name_of(line) not in named] + list(above)


def with_mlflow(lines: Sequence[str]) -> list[str]:
    """Requirements that MLflow's tools can deploy; as they are where they name MLflow."""
    if any(name_of(line) in ("mlflow", "mlflow-skinny") for line in lines):
        return list(lines)
    return [MLFLOW, *lines]
