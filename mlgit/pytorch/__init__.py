"""PyTorch's models (MLflow's ``mlflow.pytorch``): modules, TorchScript, exported programs.

``data/model.pth`` holds what ``torch.save`` wrote, a pickle and the tensors, or TorchScript;
``data/model.pt2`` a program that ``torch.export`` made. State dicts, which aren't models, are in
``mlgit/pytorch/states.py``.
"""

from __future__ import annotations

import importlib
import os
import types
import zipfile
from typing import IO, TYPE_CHECKING, Any

from mlgit.exceptions import CorruptData, InvalidParameterValue, ResourceDoesNotExist
from mlgit.models.environment import conda_of
from mlgit.models.flavors import framework
from mlgit.models.folder import ModelFolder, opened
from mlgit.models.logged import LogOptions, log
from mlgit.models.mlmodel import ModelInfo
from mlgit.models.pickles import dump_pickle
from mlgit.models.requirements import inferred, with_mlflow
from mlgit.models.saving import SaveOptions, Written, save, spelled_out
from mlgit.pytorch.scoring import Scored, best_device
from mlgit.pytorch.states import load_state_dict, log_state_dict, save_state_dict

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = [
    "get_default_conda_env",
    "get_default_pip_requirements",
    "load_model",
    "load_state_dict",
    "log_model",
    "log_state_dict",
    "save_model",
    "save_state_dict",
]
NAME = "pytorch"
_DATA = "data"
_PICKLED, _EXPORTED, _INFO = "model.pth", "model.pt2", "pickle_module_info.txt"
# What MLflow imports to load the pickle, by its own name for what cloudpickle writes.
_THEIR_PICKLE = "mlflow.pytorch.pickle_module"
# Pickles that the module pickle reads.
_PLAIN = {_THEIR_PICKLE, "pickle", "cloudpickle", "cloudpickle.cloudpickle"}
_FORMATS = ("pickle", "pt2")


@spelled_out(SaveOptions)
def save_model(
    pytorch_model: Any,
    path: str | os.PathLike[str],
    *,
    pickle_module: types.ModuleType | None = None,
    serialization_format: str | None = None,
    export_model: bool = False,
    requirements_file: str | None = None,
    **options: Unpack[SaveOptions],
) -> None:
    """Save a model to a folder.

    Args:
        pytorch_model: A ``torch.nn.Module``. TorchScript is saved as such, without a pickle.
        path: The folder; it may be there if it is empty.
        pickle_module: The module that pickles; cloudpickle where None.
        serialization_format: "pickle", which is meant where nothing is said, and which MLflow
            2 and 3 load; or "pt2", a program that ``torch.export`` makes, which MLflow 3 loads.
        export_model: True means the format "pt2".
        requirements_file: Another name for ``pip_requirements``, of MLflow 2.
        options: See ``mlgit.models.saving.SaveOptions``. "pt2" needs an ``input_example``.

    Raises:
        InvalidParameterValue: An argument can't be right, or the model can't be pickled or
            exported.
        ResourceAlreadyExists: There is something at the path.
    """
    torch = framework("torch", NAME)
    format_ = _checked_format(torch, pytorch_model, serialization_format, export_model)
    options = {**options, "input_example": _as_array(torch, options.get("input_example"))}
    if requirements_file is not None:
        options = {"pip_requirements": requirements_file, **options}
    scored = Scored(pytorch_model)

    def write(folder: str) -> Written:
        os.mkdir(f"{folder}/{_DATA}")
        modules = {"torch", "numpy", "cloudpickle", type(pytorch_model).__module__}
        if format_ == "pt2":
            _export(torch, scored, options, f"{folder}/{_DATA}/{_EXPORTED}")
        elif isinstance(pytorch_model, torch.jit.ScriptModule):
            torch.jit.save(pytorch_model, f"{folder}/{_DATA}/{_PICKLED}")
            _write_info(folder, _THEIR_PICKLE)
        else:
            modules |= _pickle(torch, pytorch_model, folder, pickle_module)
        return Written(
            {
                "model_data": _DATA,
                "pytorch_version": str(torch.__version__),
                "serialization_format": format_,
            },
            "mlflow.pytorch",
            {"config": {"device": None}, "data": _DATA, "pickle_module_name": _THEIR_PICKLE},
            modules,
            scored.predict,
        )

    save(NAME, path, write, options)


@spelled_out(LogOptions)
def log_model(
    pytorch_model: Any,
    artifact_path: str | None = None,
    *,
    pickle_module: types.ModuleType | None = None,
    serialization_format: str | None = None,
    export_model: bool = False,
    requirements_file: str | None = None,
    **options: Unpack[LogOptions],
) -> ModelInfo:
    """Log a model to the active run, which is begun if there is none.

    Args:
        pytorch_model: A ``torch.nn.Module``.
        artifact_path: Its folder in the run; ``name`` means the same.
        pickle_module, serialization_format, export_model, requirements_file: As for
            ``save_model``.
        options: See ``mlgit.models.logged.LogOptions``.

    Raises:
        InvalidParameterValue: An argument can't be right; nothing is logged.
    """
    return log(
        save_model,
        artifact_path,
        options,
        pytorch_model=pytorch_model,
        pickle_module=pickle_module,
        serialization_format=serialization_format,
        export_model=export_model,
        requirements_file=requirements_file,
    )


def load_model(
    model_uri: str | os.PathLike[str],
    dst_path: str | None = None,
    *,
    device: Any = None,
    allow_pickle: bool | None = None,
    verify: bool | None = None,
    **options: Any,
) -> Any:
    """Load a model.

    Args:
        model_uri: Any model URI.
        dst_path: A folder that its files are put into and stay in.
        device: Where its tensors are put, as in "cpu" or "cuda:0"; where they were where None.
        allow_pickle: Whether pickles may be loaded; the setting where None.
        verify: Whether a registered model must be signed; the setting where None.
        options: For ``torch.load``, as in ``map_location``.

    Raises:
        ResourceDoesNotExist: There is no model, or it is of another flavor.
        CorruptData: Its files are damaged.
        PermissionDenied: It is a pickle, and may not be loaded.
        UntrustedModel: It must be signed, and isn't as it must be.
        MissingDependency: PyTorch, or a module that the model needs, isn't installed.
    """
    if device is not None:
        options.setdefault("map_location", device)
    with opened(model_uri, allow_pickle=allow_pickle, verify=verify, dst_path=dst_path) as folder:
        return _load(folder, options)


def get_default_pip_requirements() -> list[str]:
    """The pinned requirements that every model of the flavor has."""
    return inferred({"torch", "numpy", "cloudpickle"})


def get_default_conda_env() -> dict[str, Any]:
    """The conda environment that a model of the flavor has if nothing is inferred."""
    return conda_of(with_mlflow(get_default_pip_requirements()))


# -- writing


def _checked_format(torch: Any, model: Any, format_: str | None, export: bool) -> str:
    if not isinstance(model, torch.nn.Module):
        raise InvalidParameterValue(
            f"pytorch_model must be a torch.nn.Module, not {type(model).__name__}",
            hint="log_state_dict() takes state dicts",
        )
    format_ = format_ or ("pt2" if export else "pickle")
    if format_ not in _FORMATS:
        raise InvalidParameterValue(
            f"Unrecognized serialization format: {format_!r}", hint="one of " + ", ".join(_FORMATS)
        )
    if format_ == "pt2" and isinstance(model, torch.jit.ScriptModule):
        raise InvalidParameterValue("TorchScript can't be exported to pt2; leave the format out")
    return format_


def _as_array(torch: Any, example: Any) -> Any:
    """An example that is a tensor, as the array that the pyfunc face takes."""
    return example.detach().cpu().numpy() if isinstance(example, torch.Tensor) else example


def _pickle(torch: Any, model: Any, folder: str, module: types.ModuleType | None) -> set[str]:
    file = f"{folder}/{_DATA}/{_PICKLED}"
    name = _THEIR_PICKLE if module is None else module.__name__
    _write_info(folder, name)
    if name not in _PLAIN:
        torch.save(model, file, pickle_module=module)
        return {name}

    def write(value: Any, f: IO[bytes], pickler: Any) -> None:
        torch.save(value, f, pickle_module=pickler)

    return dump_pickle(model, file, by="pickle" if name == "pickle" else "cloudpickle", write=write)


def _write_info(folder: str, name: str) -> None:
    with open(f"{folder}/{_DATA}/{_INFO}", "w", encoding="utf-8") as f:
        f.write(name)


def _export(torch: Any, scored: Scored, options: SaveOptions, file: str) -> None:
    from mlgit.models.examples import split_params

    example = options.get("input_example")
    if example is None:
        raise InvalidParameterValue(
            "The format pt2 needs an input_example, which the model is traced with"
        )
    data = scored.tensor(split_params(example)[0])
    if data.shape and len(data) == 1:
        data = torch.cat([data, data])  # a dimension of one would be taken for a constant
    shapes = ({0: torch.export.Dim.AUTO},) if data.shape else None
    try:
        with scored.evaluating() as model, torch.no_grad():
            torch.export.save(torch.export.export(model, (data,), dynamic_shapes=shapes), file)
    except Exception as error:  # it has many kinds
        raise InvalidParameterValue(
            f"The model can't be exported: {type(error).__name__}: {error!s:.500}",
            hint="torch.export follows one call of forward(); serialization_format='pickle' "
            "keeps any model",
        ) from error


# -- reading


def _load(folder: ModelFolder, options: dict[str, Any]) -> Any:
    row = folder.row(NAME)
    torch = framework("torch", NAME)
    folder.add_code(row)
    data = row.get("model_data", _DATA)
    path, exported = f"{data}/{_PICKLED}", f"{data}/{_EXPORTED}"
    # MLflow doesn't say which it is; a model logged over another may have left the other file.
    if row.get("serialization_format") == "pt2":
        return _load_exported(torch, folder, exported, options)
    try:
        file = folder.file(path)
    except ResourceDoesNotExist:
        return _load_exported(torch, folder, exported, options)
    if _is_script(file):
        try:
            return torch.jit.load(file, map_location=options.get("map_location"))
        except (RuntimeError, ValueError) as error:
            raise CorruptData(f"{path} of {folder.uri} can't be loaded: {error}") from error
    name = _pickle_module_of(folder, data)

    def read(f: IO[bytes], pickle: Any) -> Any:
        if options.get("weights_only"):
            return torch.load(f, **options)
        if name is not None:
            pickle = importlib.import_module(name)
        return torch.load(f, **{"pickle_module": pickle, "weights_only": False, **options})

    return folder.load_pickle(path, read)


def _is_script(file: str) -> bool:
    """Whether a file is TorchScript, which ``torch.jit.load`` reads without running Python."""
    try:
        with zipfile.ZipFile(file) as archive:
            return any(name.endswith("/constants.pkl") for name in archive.namelist())
    except (zipfile.BadZipFile, OSError):
        return False


def _pickle_module_of(folder: ModelFolder, data: str) -> str | None:
    """The module that reads the model's pickle, where it isn't one that pickle can read."""
    try:
        name = folder.read(f"{data}/{_INFO}").decode("utf-8", "replace").strip()
    except ResourceDoesNotExist:
        return None
    return None if name in _PLAIN else name


def _load_exported(torch: Any, folder: ModelFolder, path: str, options: dict[str, Any]) -> Any:
    file = folder.file(path)
    folder.require_code(f"{path} may hold pickles among its constants")
    try:
        module = torch.export.load(file).module()
    except Exception as error:  # it has many kinds
        raise CorruptData(
            f"{path} of {folder.uri} can't be loaded: {type(error).__name__}: {error}"
        ) from error
    place = options.get("map_location")
    return module if place is None else module.to(place)


def _load_pyfunc(folder: ModelFolder, config: dict[str, Any] | None) -> Scored:
    device = best_device((config or {}).get("device"))
    return Scored(_load(folder, {"map_location": device}), device)
