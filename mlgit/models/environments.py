"""Environments built from what a model says that it needs, kept in the person's cache.

An environment is named by a digest of everything that goes into it, so it is built once. mlgit
is not installed into it, only what mlgit requires: the running mlgit is linked in by who starts
a process there, so that it is the same version, released or not.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

from mlgit import settings
from mlgit.exceptions import InvalidParameterValue, MissingDependency, from_os_error
from mlgit.models import environment, requirements

MANAGERS = ("local", "virtualenv", "uv", "conda")
_FORMAT = 1
_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
_MARK = "mlgit-complete.json"


@dataclass(frozen=True)
class Wanted:
    """What goes into an environment.

    Attributes:
        manager: One of ``MANAGERS`` but "local".
        python: The version of Python, major and minor.
        lines: Requirements for pip, those of mlgit among them.
        constraints: Of versions.
        conda: The conda environment without what pip installs, as YAML, for conda.
    """

    manager: str
    python: str
    lines: tuple[str, ...]
    constraints: tuple[str, ...] = ()
    conda: str = ""

    @property
    def key(self) -> str:
        """The environment's name in the cache."""
        text = json.dumps([_FORMAT, asdict(self)], sort_keys=True)
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:20]


def check_manager(name: str) -> str:
    """Return the name of an environment manager if there is such a one.

    Raises:
        InvalidParameterValue: There isn't.
    """
    if name not in MANAGERS:
        raise InvalidParameterValue(
            f"There is no environment manager {name!r}", hint=f"there are {', '.join(MANAGERS)}"
        )
    return name


def default_manager() -> str:
    """uv where it is installed, which is quicker; else virtualenv."""
    return "uv" if _uv() else "virtualenv"


def wanted(
    folder: str, manager: str, *, with_mlflow: bool = False, override: Sequence[str] = ()
) -> Wanted:
    """What a model says that it needs.

    Args:
        folder: The model's folder on disk.
        manager: One of ``MANAGERS`` but "local".
        with_mlflow: Install MLflow, too, where mlgit named it for MLflow's own tools.
        override: Requirements that count before the model's.

    Raises:
        InvalidParameterValue: A file of it can't be right.
    """
    conda_path = f"{folder}/{environment.CONDA}"
    conda = _yaml(conda_path) if os.path.isfile(conda_path) else {}
    path = f"{folder}/{environment.REQUIREMENTS}"
    given = path if os.path.isfile(path) else environment.pip_section(conda)
    found = requirements.parse(given)
    lines = [line for line in found.lines if with_mlflow or line != requirements.MLFLOW]
    # pip takes a distribution twice, as long as there is a version that fits both.
    lines = [*requirements.merged(lines, list(override)), *own_requirements()]
    return Wanted(
        manager,
        _python_of(folder),
        tuple(lines),
        tuple(found.constraints),
        _without_pip(conda) if manager == "conda" and conda else "",
    )


def _without_pip(conda: dict[str, Any]) -> str:
    import yaml

    kept = [one for one in conda.get("dependencies") or [] if not isinstance(one, dict)]
    if not any(str(one).split("=")[0] == "pip" for one in kept):
        kept.append("pip")
    found = {"channels": conda.get("channels") or ["conda-forge"], "dependencies": kept}
    return str(yaml.safe_dump(found, sort_keys=False))


def own_requirements() -> list[str]:
    """What mlgit requires: from its project file in a checkout, else as it was installed."""
    try:
        with open(f"{os.path.dirname(_PACKAGE)}/pyproject.toml", encoding="utf-8") as f:
            listed = re.search(r'^name = "mlgit"$.*?^dependencies = \[(.*?)^\]', f.read(), _MODE)
        if listed:
            return re.findall(r'"([^"]+)"', listed[1])
    except OSError:
        pass
    from importlib import metadata

    try:
        found = metadata.requires("mlgit") or []
    except metadata.PackageNotFoundError:
        found = []
    return [line for line in found if "extra ==" not in line]


_MODE = re.MULTILINE | re.DOTALL


def _yaml(path: str) -> dict[str, Any]:
    import yaml

    try:
        with open(path, encoding="utf-8") as f:
            found = yaml.safe_load(f)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InvalidParameterValue(f"{os.path.basename(path)} isn't YAML") from error
    return found if isinstance(found, dict) else {}


def _python_of(folder: str) -> str:
    """The model's version of Python; this one's where it doesn't say."""
    path = f"{folder}/{environment.VIRTUALENV}"
    said = str(_yaml(path).get("python", "")) if os.path.isfile(path) else ""
    match = re.match(r"^(\d+\.\d+)", said)
    return match[1] if match else "{}.{}".format(*sys.version_info)


def link_mlgit(folder: str) -> None:
    """Put the running mlgit into a folder, as a link, to be imported from there."""
    os.symlink(_PACKAGE, f"{folder}/mlgit")


# -- building


def python_of(need: Wanted, say: Callable[[str], None] = lambda text: None) -> str:
    """The interpreter of an environment, which is built where it isn't there yet.

    Args:
        need: What goes into it.
        say: Told that it is being built, which takes a while.

    Raises:
        MissingDependency: It can't be built; the error has the end of the log.
        StorageError, PermissionDenied: The cache can't be written to.
    """
    place = f"{settings.cache_home()}/mlgit/model-environments/{need.key}"
    python = f"{place}/bin/python"
    try:
        os.makedirs(os.path.dirname(place), exist_ok=True)
        with _alone(f"{place}.lock"):
            if os.path.exists(f"{place}/{_MARK}") and os.path.exists(python):
                return python
            shutil.rmtree(place, ignore_errors=True)
            say(f"Building an environment with {need.manager} (once): {place}")
            try:
                _build(need, place)
                with open(f"{place}/{_MARK}", "w", encoding="utf-8") as f:
                    json.dump(asdict(need), f)
            except BaseException:
                shutil.rmtree(place, ignore_errors=True)
                raise
    except OSError as error:
        raise from_os_error(error, f"build an environment in {place}") from error
    return python


@contextmanager
def _alone(path: str) -> Iterator[None]:
    with open(path, "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _build(need: Wanted, place: str) -> None:
    lists = f"{place}.files"
    shutil.rmtree(lists, ignore_errors=True)
    os.makedirs(lists)
    try:
        _write(f"{lists}/requirements.txt", need.lines)
        _write(f"{lists}/constraints.txt", need.constraints)
        _write(f"{lists}/conda.yaml", [need.conda])
        for command in _commands(need, place, lists):
            _run(command, f"{lists}/log")
    finally:
        shutil.rmtree(lists, ignore_errors=True)


def _write(path: str, lines: Sequence[str]) -> None:
    with open(path, "w", encoding="utf-8") as f:
        f.write("".join(f"{line}\n" for line in lines))


def _commands(need: Wanted, place: str, lists: str) -> list[list[str]]:
    python = f"{place}/bin/python"
    packages = ["-r", f"{lists}/requirements.txt"]
    if need.constraints:
        packages += ["-c", f"{lists}/constraints.txt"]
    pip = [python, "-m", "pip", "install", "--no-input", "--disable-pip-version-check", *packages]
    if need.manager == "uv":
        uv = _uv()
        if not uv:
            raise MissingDependency("uv isn't installed", hint="pip install uv")
        return [
            [*uv, "venv", "--quiet", "--python", need.python, place],
            [*uv, "pip", "install", "--python", python, *packages],
        ]
    if need.manager == "conda":
        conda = _conda()
        base = (
            ["env", "create", "--yes", "--prefix", place, "--file", f"{lists}/conda.yaml"]
            if need.conda
            else ["create", "--yes", "--prefix", place, f"python={need.python}", "pip"]
        )
        return [[conda, *base], pip]
    return [[_interpreter(need.python), "-m", "venv", place], pip]


def _uv() -> list[str]:
    beside = f"{os.path.dirname(sys.executable)}/uv"
    found = beside if os.path.exists(beside) else shutil.which("uv")
    return [found] if found else []


def _conda() -> str:
    found = settings.conda_program() or next(
        (path for name in ("conda", "mamba", "micromamba") if (path := shutil.which(name))), None
    )
    if found is None:
        raise MissingDependency("conda isn't installed", hint="--env-manager virtualenv or uv")
    return found


def _interpreter(version: str) -> str:
    if version == "{}.{}".format(*sys.version_info):
        return sys.executable
    found = shutil.which(f"python{version}")
    if found is None:
        raise MissingDependency(
            f"The model was made with Python {version}, and there is no python{version} here",
            hint="--env-manager uv fetches it",
        )
    return found


def _run(command: list[str], log: str) -> None:
    """Run one command of the building; nothing of it is printed unless it fails."""
    with open(log, "w+", encoding="utf-8", errors="replace") as output:
        try:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
            )
        except OSError as error:
            raise MissingDependency(f"{command[0]} can't be run: {error.strerror}") from error
        try:
            code = process.wait()
        except BaseException:
            process.terminate()
            process.wait()
            raise
        if code:
            output.seek(0)
            tail = "\n".join(output.read().rstrip().splitlines()[-20:])
            raise MissingDependency(
                f"The model's environment can't be built: '{os.path.basename(command[0])} "
                f"{' '.join(command[1:4])}' ended with {code}\n{tail}",
                hint="its requirements.txt may name what the package index doesn't have, or "
                "the index can't be reached",
            )
