"""Pickles of models: the one function that loads them, and the one that writes them.

To load a pickle is to run whatever program it holds. ``load_pickle`` is the only place where
that happens, and it is told whether it may.

A class of the person's own that is pickled by value (by cloudpickle) names its base class.
For ``mlgit.pyfunc.PythonModel`` that is written as MLflow's name, so that MLflow loads the
model where mlgit isn't installed; loading maps MLflow's names to ours, so that what MLflow
pickled loads where MLflow isn't.
"""

from __future__ import annotations

import importlib
import pickle
import pkgutil
import sys
import types
from collections.abc import Callable
from typing import IO, Any

from mlgit.exceptions import (
    CorruptData,
    InvalidParameterValue,
    MissingDependency,
    MlgitException,
    PermissionDenied,
)

# Ours → MLflow's, for what pickles of pyfunc models name: (module, name) each.
_THEIRS = {
    ("mlgit.pyfunc.python_model", "PythonModel"): ("mlflow.pyfunc.model", "PythonModel"),
    ("mlgit.pyfunc.python_model", "FunctionModel"): (
        "mlflow.pyfunc.model",
        "_FunctionPythonModel",
    ),
    ("mlgit.pyfunc.python_model", "PythonModelContext"): (
        "mlflow.pyfunc.model",
        "PythonModelContext",
    ),
    ("mlgit.exceptions", "MlgitException"): ("mlflow.exceptions", "MlflowException"),
}
_OURS = {theirs: ours for ours, theirs in _THEIRS.items()} | {
    # What MLflow's pickles of subclasses name besides.
    ("mlflow.pyfunc", "PythonModel"): ("mlgit.pyfunc.python_model", "PythonModel"),
    ("mlflow.models.signature", "_TypeHints"): ("mlgit.pyfunc.theirs", "TypeHints"),
    ("mlflow.pyfunc.utils.data_validation", "FuncInfo"): ("mlgit.pyfunc.theirs", "FuncInfo"),
    ("mlflow.pyfunc.utils.data_validation", "_validate_model_input"): (
        "mlgit.pyfunc.theirs",
        "validate_model_input",
    ),
}

Read = Callable[[IO[bytes], Any], Any]
Write = Callable[[Any, IO[bytes], Any], None]


def refused(what: str) -> PermissionDenied:
    """The error for something that would run code on load where that isn't allowed.

    Args:
        what: The file, or the field of MLmodel, as in "model.pkl is a pickle".
    """
    return PermissionDenied(
        f"{what}, which can run any code when it is loaded, and this isn't allowed here",
        hint="have the model saved in a format that only holds data (safetensors, skops, the "
        "framework's own); or allow it: load_model(…, allow_pickle=True), MLGIT_ALLOW_PICKLE=true, "
        "or models: {allow_pickle: true} in .mlgit/config.yaml",
    )


def load_pickle(
    file: str | IO[bytes], allow: bool, name: str | None = None, read: Read | None = None
) -> Any:
    """What a pickle holds, whichever pickler wrote it.

    Args:
        file: Its path, or it itself, open for reading.
        allow: Whether pickles may be loaded.
        name: What errors call the file; its path where None.
        read: Reads a file of a framework's that holds a pickle among other things: the open
            file, and what stands for the module pickle (``Unpickler``, ``load``).

    Raises:
        PermissionDenied: They may not; the file isn't opened.
        CorruptData: The file is cut short or isn't a pickle.
        MissingDependency: What it names isn't installed.
    """
    shown = name or str(file)
    if not allow:
        raise refused(f"{shown} is a pickle")
    if isinstance(file, str):
        with open(file, "rb") as f:
            return load_pickle(f, allow, shown, read)
    try:
        return _Unpickler(file).load() if read is None else read(file, _stand_in(_Unpickler))
    except (MlgitException, MemoryError):
        raise
    except ModuleNotFoundError as error:
        raise MissingDependency(
            f"{shown} needs the module {error.name}, which isn't installed",
            hint="the model's requirements.txt names what to install; a module of your own "
            "belongs into code_paths",
        ) from error
    except Exception as error:
        raise CorruptData(
            f"{shown} can't be loaded: {type(error).__name__}: {error}",
            hint="it is cut short, isn't a pickle, or was made by other versions of what it "
            "names: see the model's requirements.txt",
        ) from error


def _stand_in(unpickler: Any = None, pickler: Any = None) -> Any:
    """What a framework takes for the module pickle."""
    return types.SimpleNamespace(
        __name__="pickle",
        Unpickler=unpickler,
        Pickler=pickler,
        load=lambda file, **options: unpickler(file, **options).load(),
        dump=lambda value, file, protocol=None: pickler(file, protocol=protocol).dump(value),
    )


class _Unpickler(pickle.Unpickler):
    """Finds what MLflow's names mean here."""

    def find_class(self, module: str, name: str) -> Any:
        ours = _OURS.get((module, name))
        if ours is not None:
            return _named(*ours)
        if module == "pkgutil" and name == "resolve_name":
            return _resolve
        if module == "cloudpickle.cloudpickle" and name == "subimport":
            return _subimport
        if module.split(".")[0] == "mlflow" and not _has_mlflow():
            raise MissingDependency(
                f"The model's pickle names {module}.{name}, which is MLflow's",
                hint="pip install mlflow",
            )
        return super().find_class(module, name)


def _named(module: str, name: str) -> Any:
    return getattr(importlib.import_module(module), name)


def _resolve(path: str) -> Any:
    module, _, name = path.partition(":")
    ours = _OURS.get((module, name))
    return pkgutil.resolve_name(path) if ours is None else _named(*ours)


def _subimport(name: str) -> types.ModuleType:
    """The module that a function pickled by value calls, ours for MLflow's where it isn't here."""
    if name.split(".")[0] == "mlflow" and not _has_mlflow():
        name = "mlgit" + name[len("mlflow") :]
    importlib.import_module(name)
    return sys.modules[name]


def _has_mlflow() -> bool:
    from importlib.util import find_spec

    return "mlflow" in sys.modules or find_spec("mlflow") is not None


def dump_pickle(
    value: Any,
    path: str,
    *,
    by: str = "cloudpickle",
    write: Write | None = None,
) -> set[str]:
    """Write a pickle straight to a file.

    Args:
        value: What to pickle.
        path: The file.
        by: "cloudpickle", which can do functions and classes of a script, or "pickle".
        write: Writes a file of a framework's that holds a pickle among other things: the value,
            the open file, and what stands for the module pickle (``Pickler``, ``dump``).

    Returns:
        The modules that loading it imports, as far as the pickle names them.

    Raises:
        InvalidParameterValue: Something in it can't be pickled.
    """
    seen: set[str] = set()
    pickler = _pickler(by, seen)
    with open(path, "wb") as f:
        try:
            if write is None:
                pickler(f, protocol=pickle.HIGHEST_PROTOCOL).dump(value)
            else:
                write(value, f, _stand_in(pickler=pickler))
        except (MlgitException, MemoryError, OSError):
            raise
        except Exception as e:  # whatever the model's own __reduce__ raises
            raise InvalidParameterValue(
                f"The model can't be pickled: {type(e).__name__}: {e}",
                hint="open files, locks, connections and generators can't be; make them in "
                "load_context(), or give files as artifacts=",
            ) from e
    return seen


def _is_found(function: types.FunctionType) -> bool:
    """Whether a function is found where its name says, so that the name is all that is kept."""
    module = sys.modules.get(function.__module__ or "")
    if module is None or function.__module__ == "__main__":
        return False
    found: Any = module
    for part in function.__qualname__.split("."):
        found = getattr(found, part, None)
    return found is function


def _pickler(by: str, seen: set[str]) -> Any:
    """A class that pickles, and adds the modules that it names to ``seen``."""
    if by == "cloudpickle":
        import cloudpickle

        from mlgit.models.bytecode import imported_by

        class Pickler(cloudpickle.Pickler):  # type: ignore[misc, name-defined]
            def reducer_override(self, obj: Any) -> Any:
                if isinstance(obj, types.ModuleType):
                    seen.add(obj.__name__)
                    return super().reducer_override(obj)
                kind = type(obj)
                module = kind.__module__
                if kind is types.FunctionType or issubclass(kind, type):
                    theirs = _THEIRS.get((obj.__module__, obj.__qualname__))
                    if theirs is not None:
                        return pkgutil.resolve_name, (":".join(theirs),)
                    module = obj.__module__
                    if kind is types.FunctionType and not _is_found(obj):
                        seen.update(imported_by(obj))
                if module is not None:
                    seen.add(module)
                return super().reducer_override(obj)

        return Pickler
    if by == "pickle":

        class Plain(pickle.Pickler):
            def reducer_override(self, obj: Any) -> Any:
                named = isinstance(obj, type) or type(obj) is types.FunctionType
                module = obj.__module__ if named else type(obj).__module__
                if module is not None:
                    seen.add(module)
                return NotImplemented

        return Plain
    raise InvalidParameterValue(
        f"{by!r} isn't a way to pickle", hint="serialization_format is cloudpickle or pickle"
    )
