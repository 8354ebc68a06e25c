"""What a run is told about its surroundings: who, which program, which packages."""

from __future__ import annotations

import os
import sys
from functools import lru_cache
from typing import Any

from mlgit import settings


def user() -> str:
    """Who runs this."""
    from mlgit.git.identity import login_name

    return settings.user_name() or login_name()


def source() -> dict[str, Any]:
    """The program that runs this, for run.yaml; secrets in its command line are masked."""
    if _in_notebook():
        return {"type": "NOTEBOOK", "name": _notebook_name()}
    main = sys.modules.get("__main__")
    path = getattr(main, "__file__", None) or sys.argv[0] or sys.executable
    found = {"type": "LOCAL", "name": _short_path(path)}
    if sys.argv and sys.argv[0] not in ("", "-c"):
        import shlex

        from mlgit.git.secrets import mask_command

        arguments = mask_command([os.path.basename(sys.argv[0]), *sys.argv[1:]])
        found["command"] = "python " + shlex.join(arguments)
    return found


def _short_path(path: str) -> str:
    """A path as it is written on the command line, without a home folder in front."""
    try:
        relative = os.path.relpath(path)
    except (ValueError, OSError):
        return path
    return path if relative.startswith("..") else relative


def _in_notebook() -> bool:
    shell = sys.modules.get("IPython")
    if shell is None:
        return False
    instance = shell.get_ipython()
    return instance is not None and "IPKernelApp" in getattr(instance, "config", {})


def _notebook_name() -> str:
    return os.path.basename(settings.notebook() or "") or "notebook"


def environment() -> dict[str, Any]:
    """What is needed to build this environment again, for environment.yaml."""
    return _environment(tuple(sys.path))


@lru_cache(maxsize=4)
def _environment(search_path: tuple[str, ...]) -> dict[str, Any]:
    import platform

    found: dict[str, Any] = {
        "python": platform.python_version(),
        "implementation": platform.python_implementation(),
        "platform": f"{platform.system()}-{platform.machine()}",
    }
    accelerator = _accelerator()
    if accelerator:
        found["accelerator"] = accelerator
    found["packages"] = _packages(search_path)
    return found


def _packages(search_path: tuple[str, ...]) -> dict[str, str]:
    """Installed distributions and versions, from the names of their folders alone.

    Reading each one's METADATA, as importlib.metadata does, takes a hundred times as long.
    """
    found: dict[str, str] = {}
    for folder in search_path:
        try:
            entries = os.listdir(folder or ".")
        except OSError:
            continue
        for entry in entries:
            if entry.endswith((".dist-info", ".egg-info")):
                name, dash, version = entry.rsplit(".", 1)[0].partition("-")
                version = version.split("-py")[0]
                if dash and version:
                    found.setdefault(name.replace("_", "-").lower(), version)
    return dict(sorted(found.items()))


def _accelerator() -> str:
    try:
        with open("/proc/driver/nvidia/version", encoding="utf-8") as f:
            return " ".join(f.readline().split())
    except OSError:
        return ""
