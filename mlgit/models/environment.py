"""The files that say what a model runs in: requirements.txt, conda.yaml, python_env.yaml."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable
from typing import Any

from mlgit.exceptions import InvalidParameterValue, ResourceDoesNotExist
from mlgit.models import requirements
from mlgit.models.requirements import Requirements

CONDA = "conda.yaml"
VIRTUALENV = "python_env.yaml"
REQUIREMENTS = "requirements.txt"
CONSTRAINTS = "constraints.txt"
ROW = {"conda": CONDA, "virtualenv": VIRTUALENV}


def write_environment(
    folder: str,
    modules: Iterable[str],
    *,
    conda_env: str | os.PathLike[str] | dict[str, Any] | None = None,
    pip_requirements: Requirements | None = None,
    extra_pip_requirements: Requirements | None = None,
) -> None:
    """Write a model's environment.

    Args:
        folder: The model's folder.
        modules: What it imports; looked at where the person doesn't say what it needs.
        conda_env: A conda environment, as a dict or a YAML file.
        pip_requirements: All requirements, as lines or a file.
        extra_pip_requirements: Requirements besides the inferred ones.

    Raises:
        InvalidParameterValue: Two of the three are given, or one can't be right.
        ResourceDoesNotExist: A file isn't there.
    """
    given = parse(conda_env, pip_requirements, extra_pip_requirements)
    if isinstance(given, dict):
        conda, lines = given, pip_section(given)
        constraints: list[str] = []
    else:
        own, extra = given
        lines = own.lines if own is not None else requirements.inferred(modules)
        lines = requirements.with_mlflow(requirements.merged(lines, extra.lines))
        constraints = [*(own.constraints if own else []), *extra.constraints]
        conda = None
    if constraints:
        _write_lines(f"{folder}/{CONSTRAINTS}", constraints)
        lines = [*lines, f"-c {CONSTRAINTS}"]
    _write_lines(f"{folder}/{REQUIREMENTS}", lines)
    _write_yaml(f"{folder}/{CONDA}", conda if conda is not None else conda_of(lines))
    _write_yaml(f"{folder}/{VIRTUALENV}", _virtualenv(conda))


def parse(
    conda_env: str | os.PathLike[str] | dict[str, Any] | None,
    pip_requirements: Requirements | None,
    extra_pip_requirements: Requirements | None,
) -> dict[str, Any] | tuple[requirements.Parsed | None, requirements.Parsed]:
    """What the person says of the environment: a conda environment, or requirements.

    Raises:
        InvalidParameterValue: Two of the three are given, or one can't be right.
        ResourceDoesNotExist: A file isn't there.
    """
    given = [conda_env, pip_requirements, extra_pip_requirements]
    if sum(argument is not None for argument in given) > 1:
        raise InvalidParameterValue(
            "Only one of conda_env, pip_requirements and extra_pip_requirements can be specified"
        )
    if conda_env is not None:
        return _conda_given(conda_env)
    own = None if pip_requirements is None else requirements.parse(pip_requirements)
    return own, requirements.parse(extra_pip_requirements)


def _conda_given(given: str | os.PathLike[str] | dict[str, Any]) -> dict[str, Any]:
    if isinstance(given, dict):
        return given
    import yaml

    try:
        with open(given, "rb") as f:
            found = yaml.safe_load(f)
    except FileNotFoundError as error:
        raise ResourceDoesNotExist(f"No such conda environment: {given}") from error
    except yaml.YAMLError as error:
        raise InvalidParameterValue(f"{os.fspath(given)} isn't YAML") from error
    if not isinstance(found, dict):
        raise InvalidParameterValue(f"{os.fspath(given)} isn't a conda environment")
    return found


def pip_section(conda: dict[str, Any]) -> list[str]:
    """The requirements that a conda environment leaves to pip."""
    for dependency in conda.get("dependencies") or []:
        if isinstance(dependency, dict) and isinstance(dependency.get("pip"), list):
            return [str(line) for line in dependency["pip"]]
    return []


def conda_of(lines: list[str]) -> dict[str, Any]:
    """A conda environment with this Python and some requirements."""
    python = platform.python_version()
    return {
        "channels": ["conda-forge"],
        "dependencies": [f"python={python}", "pip", {"pip": list(lines)}],
        "name": "mlflow-env",
    }


def _virtualenv(conda: dict[str, Any] | None) -> dict[str, Any]:
    python = platform.python_version()
    for dependency in (conda or {}).get("dependencies") or []:
        if isinstance(dependency, str) and dependency.startswith("python="):
            python = dependency.removeprefix("python=").lstrip("=")
    return {
        "python": python,
        "build_dependencies": ["pip", "setuptools", "wheel"],
        "dependencies": [f"-r {REQUIREMENTS}"],
    }


def _write_lines(path: str, lines: list[str]) -> None:
    with open(path, "w", encoding="utf-8") as f:
        f.write("".join(f"{line}\n" for line in lines))


def _write_yaml(path: str, content: dict[str, Any]) -> None:
    import yaml

    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    with open(path, "w", encoding="utf-8") as f:
        yaml.dump(content, f, Dumper=dumper, sort_keys=False, allow_unicode=True)
