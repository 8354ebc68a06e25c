"""Saving a model: what all flavors share.

A flavor gives a function that writes its model into a folder and says what MLmodel is to hold
(``Written``); signature, example, code, environment and MLmodel itself are written here.
"""

from __future__ import annotations

import inspect
import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypedDict, TypeVar

from mlgit.exceptions import (
    InvalidParameterValue,
    MlgitException,
    ResourceAlreadyExists,
    from_os_error,
)
from mlgit.models import environment
from mlgit.models.code import copy_code
from mlgit.models.folder import PYFUNC
from mlgit.models.mlmodel import MLMODEL, Model
from mlgit.models.requirements import Requirements

if TYPE_CHECKING:
    from mlgit.models.signature import ModelSignature


class SaveOptions(TypedDict, total=False):
    """What every ``save_model`` takes besides its own arguments.

    Attributes:
        signature: What the model takes and gives; inferred from the example where there is one.
        input_example: Data that the model can predict on, kept with it; with params, a pair.
        pip_requirements: All its requirements, as lines or a file; inferred where None.
        extra_pip_requirements: Requirements besides the inferred ones.
        conda_env: Its conda environment, as a dict or a YAML file.
        code_paths: Files and folders of code that it needs, kept with it.
        metadata: What people want kept in its MLmodel.
        mlflow_model: A ``Model`` to add the flavor to.
        extra_files: Files to keep with it, below ``extra_files/``.
    """

    signature: ModelSignature | None
    input_example: Any
    pip_requirements: Requirements | None
    extra_pip_requirements: Requirements | None
    conda_env: str | os.PathLike[str] | dict[str, Any] | None
    code_paths: Sequence[str | os.PathLike[str]] | None
    metadata: dict[str, Any] | None
    mlflow_model: Model | None
    extra_files: Sequence[str | os.PathLike[str]] | None


@dataclass(frozen=True)
class Written:
    """What a flavor has written into a folder.

    Attributes:
        row: The flavor's row of MLmodel; None where the pyfunc face is all there is.
        loader: MLflow's module that loads the pyfunc face; None where it has none.
        pyfunc: Fields of the pyfunc face's row besides loader, environment and code.
        modules: The modules that loading the model imports: the framework's, and those
            that ``dump_pickle`` found.
        predict: Predicts as the loaded pyfunc face would, on data and params: for the
            signature, where an example is there and no signature is.
    """

    row: dict[str, Any] | None
    loader: str | None
    pyfunc: dict[str, Any] = field(default_factory=dict)
    modules: frozenset[str] | set[str] = frozenset()
    predict: Callable[[Any, dict[str, Any] | None], Any] | None = None


Write = Callable[[str], Written]


Function = TypeVar("Function", bound=Callable[..., Any])


def spelled_out(options: Any) -> Callable[[Function], Function]:
    """Have ``help`` and ``inspect`` show the options that a function takes as ``**options``.

    Args:
        options: The ``TypedDict`` of them.
    """

    def show(function: Function) -> Function:
        signature = inspect.signature(function)
        own = [p for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD]
        kind = inspect.Parameter.KEYWORD_ONLY
        shared = [
            inspect.Parameter(
                name, kind, default=None, annotation=getattr(hint, "__forward_arg__", hint)
            )
            for name, hint in options.__annotations__.items()
        ]
        shown = signature.replace(parameters=[*own, *shared])
        function.__signature__ = shown  # type: ignore[attr-defined]
        return function

    return show


def save(flavor: str, path: str | os.PathLike[str], write: Write, options: SaveOptions) -> Model:
    """Save a model to a folder: all of it, or nothing.

    Args:
        flavor: The flavor's name in MLmodel.
        path: The folder; it may be there if it is empty.
        write: Writes the model's data into a folder.
        options: What every ``save_model`` takes.

    Returns:
        What MLmodel holds.

    Raises:
        ResourceAlreadyExists: There is something at the path.
        InvalidParameterValue: An argument can't be right.
        StorageError, PermissionDenied: It can't be written.
    """
    check_options(options)
    target = os.path.abspath(os.fspath(path))
    if os.path.isfile(target) or (os.path.isdir(target) and os.listdir(target)):
        raise ResourceAlreadyExists(
            f"Path '{path}' already exists and is not empty", hint="save to another folder"
        )
    above = os.path.dirname(target)
    try:
        os.makedirs(above, exist_ok=True)
        folder = tempfile.mkdtemp(prefix=".mlgit-model-", dir=above)
    except OSError as error:
        raise from_os_error(error, f"save a model to {path}") from error
    try:
        model = _save_into(flavor, folder, write, options)
        os.chmod(folder, 0o777 & ~_umask())
        os.replace(folder, target)  # an empty folder there is replaced
        return model
    except OSError as error:
        raise from_os_error(error, f"save a model to {path}") from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def check_options(options: SaveOptions) -> None:
    """Refuse options that can't be right, before anything is written.

    Raises:
        InvalidParameterValue: One isn't known, or has the wrong type.
        ResourceDoesNotExist: A file that one names isn't there.
    """
    unknown = sorted(options.keys() - SaveOptions.__optional_keys__)
    if unknown:
        raise TypeError(f"got an unexpected keyword argument {unknown[0]!r}")
    environment.parse(
        options.get("conda_env"),
        options.get("pip_requirements"),
        options.get("extra_pip_requirements"),
    )
    metadata = options.get("metadata")
    if metadata is not None and not isinstance(metadata, dict):
        raise InvalidParameterValue("metadata must be a dict")
    signature = options.get("signature")
    if signature is not None and not hasattr(signature, "inputs"):
        raise InvalidParameterValue(
            f"signature must be a ModelSignature, not {type(signature).__name__}",
            hint="mlgit.models.infer_signature(inputs, outputs) makes one",
        )


def _umask() -> int:
    found = os.umask(0)
    os.umask(found)
    return found


def _save_into(flavor: str, folder: str, write: Write, options: SaveOptions) -> Model:
    model = options.get("mlflow_model") or Model()
    if options.get("metadata") is not None:
        model.metadata = options.get("metadata")
    written = write(folder)
    model.model_size_bytes = _size(folder)
    code = copy_code(options.get("code_paths"), folder)
    _copy_extra_files(options.get("extra_files"), folder, written)
    _describe(model, folder, options, written)
    if written.loader is not None:
        row = {
            "env": dict(environment.ROW),
            "loader_module": written.loader,
            "python_version": _python_version(),
            **written.pyfunc,
        }
        model.add_flavor(PYFUNC, **row, **({"code": code} if code else {}))
    if written.row is not None:
        model.add_flavor(flavor, **{"code": code, **written.row})
    environment.write_environment(
        folder,
        written.modules,
        conda_env=options.get("conda_env"),
        pip_requirements=options.get("pip_requirements"),
        extra_pip_requirements=options.get("extra_pip_requirements"),
    )
    model.save(f"{folder}/{MLMODEL}")
    return model


def _python_version() -> str:
    import platform

    return platform.python_version()


def _size(folder: str) -> int:
    total = 0
    for above, _, names in os.walk(folder):
        total += sum(os.lstat(os.path.join(above, name)).st_size for name in names)
    return total


def _copy_extra_files(
    files: Sequence[str | os.PathLike[str]] | None, folder: str, written: Written
) -> None:
    if not files:
        return
    rows = []
    os.makedirs(f"{folder}/extra_files", exist_ok=True)
    for given in files:
        name = os.path.basename(os.path.abspath(os.fspath(given)))
        shutil.copyfile(os.fspath(given), f"{folder}/extra_files/{name}")
        rows.append({"path": f"extra_files/{name}"})
    if written.row is not None:
        written.row["extra_files"] = rows


def _describe(model: Model, folder: str, options: SaveOptions, written: Written) -> None:
    """Keep the example, and the signature: given, or inferred from the example."""
    signature, example = options.get("signature"), options.get("input_example")
    if signature is not None:
        model.signature = signature
    if example is None:
        return
    from mlgit.models.examples import save_input_example

    saved = save_input_example(folder, example)
    model.saved_input_example_info = saved.info
    if model.signature is None and written.predict is not None:
        model.signature = _inferred(saved.data, saved.params, written.predict)


def _inferred(
    data: Any,
    params: dict[str, Any] | None,
    predict: Callable[[Any, dict[str, Any] | None], Any],
) -> ModelSignature:
    from mlgit.models.signature import infer_signature

    try:
        output = predict(data, params)
    except MlgitException:
        raise
    except Exception as error:
        raise InvalidParameterValue(
            f"The model can't predict on its input example: {type(error).__name__}: {error}",
            hint="give data of the form that it was trained on; or give a signature, and it "
            "isn't tried",
        ) from error
    return infer_signature(data, output, params)
