"""Code that belongs to a model: folders on ``sys.path``, and files that define one."""

from __future__ import annotations

import builtins
import contextvars
import importlib
import os
import shutil
import sys
import types
from collections.abc import Iterable, Sequence
from typing import Any

from mlgit.exceptions import (
    CorruptData,
    InvalidParameterValue,
    MlgitException,
    ResourceDoesNotExist,
)

CODE = "code"
_defined: contextvars.ContextVar[list[Any] | None] = contextvars.ContextVar("model", default=None)
_LEFT_OUT = shutil.ignore_patterns("__pycache__", "*.pyc", ".git", ".mlgit-part-*")


def copy_code(code_paths: Sequence[str | os.PathLike[str]] | None, folder: str) -> str | None:
    """Copy files and folders of code into a model's folder.

    Args:
        code_paths: What to copy.
        folder: The model's folder.

    Returns:
        What MLmodel says of it, or None where there is nothing.

    Raises:
        InvalidParameterValue: It isn't a list of paths, or two have one name.
        ResourceDoesNotExist: One isn't there.
    """
    if code_paths is None:
        return None
    if isinstance(code_paths, (str, bytes, os.PathLike)):
        raise InvalidParameterValue("code_paths must be a list of paths, not one path")
    target = os.path.join(folder, CODE)
    os.makedirs(target, exist_ok=True)
    for given in code_paths:
        path = os.path.abspath(os.fspath(given))
        place = os.path.join(target, os.path.basename(path))
        if os.path.exists(place):
            raise InvalidParameterValue(f"code_paths has two of the name {os.path.basename(path)}")
        if os.path.isdir(path):
            if os.path.realpath(folder).startswith(os.path.realpath(path).rstrip("/") + "/"):
                raise InvalidParameterValue(f"code_paths: {path} holds the model's own folder")
            shutil.copytree(path, place, ignore=_LEFT_OUT)
        elif os.path.isfile(path):
            shutil.copyfile(path, place)
        else:
            raise ResourceDoesNotExist(f"code_paths: no such file or folder: {path}")
    return CODE


def own_code(modules: Iterable[str]) -> list[str]:
    """The files and folders, below the working directory, that modules of the person's own are in.

    Args:
        modules: Full names; what is installed, or isn't imported, counts nothing.
    """
    here = os.path.realpath(os.getcwd()) + os.sep
    found = set()
    for top in {name.split(".")[0] for name in modules} - {"__main__"}:
        place = getattr(sys.modules.get(top), "__file__", None)
        path = os.path.realpath(place) if place else ""
        if path.startswith(here) and "site-packages" not in path:
            is_package = os.path.basename(path) == "__init__.py"
            found.add(os.path.dirname(path) if is_package else path)
    return sorted(found)


def add_to_path(folder: str) -> bool:
    """Put a folder of code first on ``sys.path``; whether it wasn't there.

    Modules of its names that came with another model are forgotten, so that each model gets its
    own; a model that is loaded already keeps what it has.
    """
    if folder in sys.path:
        return False
    tops = {name.removesuffix(".py") for name in os.listdir(folder)}
    for name, module in list(sys.modules.items()):
        place = getattr(module, "__file__", None) or ""
        if name.split(".")[0] in tops and place.startswith(tuple(_added)):
            del sys.modules[name]
    sys.path.insert(0, folder)
    _added.append(folder.rstrip("/") + "/")
    importlib.invalidate_caches()
    return True


# Folders of models' code, each with its slash.
_added: list[str] = []


def set_model(model: Any) -> None:
    """Say which model a file of code defines; called in that file.

    Args:
        model: An instance of ``mlgit.pyfunc.PythonModel``, a function, or what the flavor
            that logs the file takes.
    """
    found = _defined.get()
    if found is None:
        found = []
        _defined.set(found)
    found[:] = [model]


def model_of_code(path: str, config: dict[str, Any] | None = None) -> Any:
    """Run a file of code and return the model that it set.

    Args:
        path: The file.
        config: What ``mlgit.models.ModelConfig`` gives the file.

    Raises:
        ResourceDoesNotExist: There is no such file.
        InvalidParameterValue: It sets no model.
        MlgitException: It raises.
    """
    if not os.path.isfile(path):
        raise ResourceDoesNotExist(f"No such file of code: {path}")
    found: list[Any] = []
    token = _defined.set(found)
    configured = _config.set(config)
    name = f"mlgit_code_model_{os.urandom(4).hex()}"
    module = types.ModuleType(name)
    module.__file__ = path
    module.__dict__["__builtins__"] = {**vars(builtins), "__import__": _import}
    sys.modules[name] = module  # classes that it defines look themselves up there
    try:
        with open(path, "rb") as f:
            exec(compile(f.read(), path, "exec"), module.__dict__)
    except MlgitException:
        raise
    except SyntaxError as error:
        raise CorruptData(f"{path} isn't Python: {error}") from error
    except Exception as error:
        raise InvalidParameterValue(
            f"{path}, which is to define a model, raises {type(error).__name__}: {error}"
        ) from error
    finally:
        _defined.reset(token)
        _config.reset(configured)
    if not found:
        raise InvalidParameterValue(
            f"{path} sets no model", hint="call mlgit.models.set_model(model) in it"
        )
    return found[0]


def _import(name: str, *others: Any) -> Any:
    """``import`` in a file that defines a model: MLflow's names mean ours, as far as we have them.

    So a file that was logged by MLflow loads where MLflow isn't installed, and what it defines
    is a ``PythonModel`` of ours where it is.
    """
    top, dot, rest = name.partition(".")
    if top == "mlflow" and (len(others) < 4 or others[3] == 0):
        try:
            return builtins.__import__(f"mlgit{dot}{rest}", *others)
        except ModuleNotFoundError as error:
            if (error.name or "").split(".")[0] != "mlgit":
                raise
    return builtins.__import__(name, *others)


_config: contextvars.ContextVar[dict[str, Any] | None] = contextvars.ContextVar(
    "config", default=None
)


class ModelConfig:
    """The configuration of a model from a file of code.

    Args:
        development_config: A dict or a YAML file that holds while the file is run by itself;
            what ``model_config`` says counts where the model is logged or loaded.
    """

    def __init__(self, *, development_config: str | dict[str, Any] | None = None) -> None:
        given = _config.get()
        self._found = given if given is not None else read_config(development_config) or {}

    def get(self, key: str) -> Any:
        """A value.

        Raises:
            KeyError: There is none of that name.
        """
        return self._found[key]

    def to_dict(self) -> dict[str, Any]:
        """All values."""
        return dict(self._found)


def read_config(config: str | os.PathLike[str] | dict[str, Any] | None) -> dict[str, Any] | None:
    """A model's configuration, given as a dict or a YAML file.

    Raises:
        ResourceDoesNotExist: There is no such file.
        InvalidParameterValue: It isn't a mapping.
    """
    if config is None or isinstance(config, dict):
        return config
    import yaml

    try:
        with open(config, "rb") as f:
            found = yaml.safe_load(f)
    except FileNotFoundError as error:
        raise ResourceDoesNotExist(f"No such file of configuration: {config}") from error
    except yaml.YAMLError as error:
        raise InvalidParameterValue(f"{os.fspath(config)} isn't YAML") from error
    if not isinstance(found, dict):
        raise InvalidParameterValue(f"{os.fspath(config)} holds no mapping")
    return found
