"""Which distribution brings a module, and what it requires: read once for an environment.

The table of an environment takes a while to read (hundreds of metadata files), so it is kept in
a file, under a name made of the folders on ``sys.path`` and their times: what is installed or
removed changes them.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
from functools import lru_cache
from typing import Any

from mlgit import settings

_FORMAT = 1


def of_module(module: str) -> list[str]:
    """The distributions that bring a module's top-level package; none for the standard library."""
    top = module.split(".")[0]
    if top in sys.stdlib_module_names:
        return []
    found: list[str] = _table()["modules"].get(top, [])
    return found


def modules_of(distribution: str) -> list[str]:
    """The top-level packages that a distribution brings."""
    wanted = normal(distribution)
    return [m for m, found in _table()["modules"].items() if wanted in map(normal, found)]


def version(distribution: str) -> str | None:
    """The version that is installed, without what names a build ("+cpu"); None if it isn't."""
    return _versions(_state()).get(normal(distribution))


@lru_cache(maxsize=4)
def _versions(state: str) -> dict[str, str]:
    return {normal(k): str(v["version"]) for k, v in _table_of(state)["distributions"].items()}


def requirements(distribution: str) -> list[str]:
    """The names of the distributions that one requires, whatever its extras."""
    wanted = normal(distribution)
    for name, found in _table()["distributions"].items():
        if normal(name) == wanted:
            return list(found["requires"])
    return []


def normal(name: str) -> str:
    """A distribution's name as indexes compare it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _state() -> str:
    """What the environment is, told by its folders."""
    parts = [sys.version, sys.prefix]
    for folder in sys.path:
        try:
            parts.append(f"{folder}:{os.stat(folder or '.').st_mtime_ns}")
        except OSError:
            continue
    return hashlib.sha256("\n".join(parts).encode("utf-8", "surrogateescape")).hexdigest()[:32]


def _table() -> dict[str, Any]:
    return _table_of(_state())


@lru_cache(maxsize=4)
def _table_of(state: str) -> dict[str, Any]:
    path = f"{settings.cache_home()}/mlgit/environments/{state}.json"
    try:
        with open(path, encoding="utf-8") as f:
            found: dict[str, Any] = json.load(f)
        if found["format"] == _FORMAT:
            return found
    except (OSError, ValueError, KeyError, TypeError):
        pass
    found = _read()
    temporary = f"{path}.{os.getpid():x}.tmp"
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(temporary, "w", encoding="utf-8") as f:
            json.dump(found, f)
        os.replace(temporary, path)
    except OSError:
        pass  # it is read anew the next time
    return found


def _read() -> dict[str, Any]:
    from importlib import metadata

    modules: dict[str, list[str]] = {}
    for module, names in metadata.packages_distributions().items():
        if module.isidentifier():
            modules[module] = sorted(set(names))
    distributions: dict[str, Any] = {}
    for found in metadata.distributions():
        name = found.metadata["Name"]
        if name and name not in distributions:
            distributions[name] = {
                "version": str(found.version).split("+")[0],
                "requires": _required(found.requires or []),
            }
    return {"format": _FORMAT, "modules": modules, "distributions": distributions}


def _required(lines: list[str]) -> list[str]:
    names = []
    for line in lines:
        if "extra ==" in line or "extra==" in line:
            continue
        match = re.match(r"[A-Za-z0-9][A-Za-z0-9._-]*", line)
        if match:
            names.append(match[0])
    return names
