"""State dicts: safetensors where they hold tensors only, else what ``torch.save`` writes."""

from __future__ import annotations

import json
import os
from collections import OrderedDict
from importlib.util import find_spec
from typing import IO, TYPE_CHECKING, Any

from mlgit.exceptions import (
    CorruptData,
    InvalidParameterValue,
    MlgitException,
    ResourceDoesNotExist,
    from_os_error,
)
from mlgit.models.flavors import framework
from mlgit.models.pickles import load_pickle, refused
from mlgit.models.policy import allows_pickle
from mlgit.models.sources import Source, source_of
from mlgit.models.workspace import Workspace

if TYPE_CHECKING:
    from mlgit.store.gitstore import GitStore

SAFE, PICKLED = "state_dict.safetensors", "state_dict.pth"
_FORMATS = ("safetensors", "pickle")


def save_state_dict(
    state_dict: dict[str, Any],
    path: str | os.PathLike[str],
    *,
    serialization_format: str | None = None,
    **options: Any,
) -> None:
    """Save a state dict to a folder.

    Args:
        state_dict: What ``module.state_dict()`` or ``optimizer.state_dict()`` gives.
        path: The folder.
        serialization_format: "safetensors", "pickle" (``state_dict.pth``, which MLflow loads);
            safetensors where it can hold the state dict and is installed, if None.
        options: For ``torch.save``.

    Raises:
        InvalidParameterValue: It isn't a dict, or safetensors can't hold it and is asked for.
    """
    torch = framework("torch", "pytorch")
    if not isinstance(state_dict, dict):
        raise InvalidParameterValue(
            f"A state dict is a dict, not {type(state_dict).__name__}",
            hint="module.state_dict() gives one",
        )
    if serialization_format not in (None, *_FORMATS):
        raise InvalidParameterValue(
            f"Unrecognized serialization format: {serialization_format!r}",
            hint="one of " + ", ".join(_FORMATS),
        )
    why = _unsafe(torch, state_dict)
    if serialization_format == "safetensors" and why is not None:
        raise InvalidParameterValue(f"safetensors can't hold the state dict: {why}")
    safe = serialization_format != "pickle" and why is None and not options
    if serialization_format is None and find_spec("safetensors") is None:
        safe = False
    folder = os.path.abspath(os.fspath(path))
    try:
        os.makedirs(folder, exist_ok=True)
        if safe:
            _save_safe(state_dict, f"{folder}/{SAFE}")
        else:
            torch.save(state_dict, f"{folder}/{PICKLED}", **options)
        other = f"{folder}/{PICKLED if safe else SAFE}"
        if os.path.lexists(other):
            os.unlink(other)
    except OSError as error:
        raise from_os_error(error, f"save a state dict to {path}") from error


def log_state_dict(
    state_dict: dict[str, Any],
    artifact_path: str,
    *,
    run_id: str | None = None,
    **options: Any,
) -> None:
    """Log a state dict to the active run, which is begun if there is none.

    Args:
        state_dict: What ``module.state_dict()`` or ``optimizer.state_dict()`` gives.
        artifact_path: Its folder in the run.
        run_id: The run; the active one, or a new one, where None.
        options: As for ``save_state_dict``.

    Raises:
        InvalidParameterValue: As for ``save_state_dict``, or one is there in the other format;
            nothing is logged.
    """
    from mlgit.tracking import fluent

    store, target = fluent.target_of(run_id)
    workspace = Workspace(f"{store.repo.state_dir}/models")
    try:
        save_state_dict(state_dict, f"{workspace.path}/state", **options)
        (written,) = os.listdir(f"{workspace.path}/state")
        there = {
            found.path.rpartition("/")[2] for found in store.list_artifacts(target, artifact_path)
        }
        if ({SAFE, PICKLED} - {written}) & there:
            raise InvalidParameterValue(
                f"{artifact_path} of the run holds a state dict in another file than {written}",
                hint="log it to another path: nobody could tell which of the two counts",
            )
        store.log_artifacts(target, f"{workspace.path}/state", artifact_path, move=True)
    finally:
        workspace.close()


def load_state_dict(
    state_dict_uri: str | os.PathLike[str],
    *,
    allow_pickle: bool | None = None,
    verify: bool | None = None,
    store: GitStore | None = None,
    **options: Any,
) -> dict[str, Any]:
    """Load a state dict.

    Args:
        state_dict_uri: Its folder, by any URI that a model may have.
        allow_pickle: Whether a pickle that holds more than tensors and plain values may be
            loaded; the setting where None.
        verify: Whether what is registered must be signed; the setting where None.
        store: The repository of runs; the one in use where None.
        options: For ``torch.load``, as in ``map_location``.

    Raises:
        ResourceDoesNotExist: There is none.
        CorruptData: Its file is damaged.
        PermissionDenied: It is a pickle that holds more, and may not be loaded.
        UntrustedModel: It must be signed, and isn't as it must be.
    """
    torch = framework("torch", "pytorch")
    source, uri = source_of(state_dict_uri, store, verify), os.fspath(state_dict_uri)
    workspace = Workspace(None if source.repo is None else f"{source.repo.state_dir}/models")
    try:
        for name in (SAFE, PICKLED):
            file = _fetched(source, name, workspace)
            if file is None:
                continue
            shown = f"{name} of {uri}"
            if name == SAFE:
                return _load_safe(file, shown, options.get("map_location"))
            return _load_pickled(torch, file, shown, source, allow_pickle, options)
    finally:
        workspace.close()
    raise ResourceDoesNotExist(
        f"No state dict at {uri}: it has neither {SAFE} nor {PICKLED}",
        hint="models are loaded by load_model()",
    )


def _fetched(source: Source, name: str, workspace: Workspace) -> str | None:
    file = f"{source.local or workspace.path}/{name}"
    if source.local is not None:
        return file if os.path.isfile(file) else None
    try:
        source.fetch(name, file)
    except ResourceDoesNotExist:
        return None
    return file


def _unsafe(torch: Any, state: dict[str, Any]) -> str | None:
    """Why safetensors can't hold a state dict; None if it can."""
    places: set[int] = set()
    for key, value in state.items():
        if not isinstance(key, str) or type(value) not in (torch.Tensor, torch.nn.Parameter):
            return f"{key!r} is a {type(value).__name__}"
        if value.layout is not torch.strided or value.is_quantized or value.is_complex():
            return f"{key!r} is a tensor of a kind of its own"
        if value.numel():
            place = value.untyped_storage().data_ptr()
            if place in places:
                return f"{key!r} shares its memory with another tensor"
            places.add(place)
    return None


def _save_safe(state: dict[str, Any], path: str) -> None:
    save_file = framework("safetensors.torch", "pytorch").save_file
    tensors = {key: value.detach().contiguous() for key, value in state.items()}
    # safetensors sorts; modules say there which versions of them wrote it.
    kept = {"keys": list(state), "modules": getattr(state, "_metadata", None)}
    save_file(tensors, path, {"format": "pt", "state_dict": json.dumps(kept, default=str)})


def _load_safe(path: str, shown: str, place: Any) -> dict[str, Any]:
    safe_open = framework("safetensors", "pytorch").safe_open
    try:
        with safe_open(path, framework="pt", device="cpu") as f:
            kept = json.loads((f.metadata() or {}).get("state_dict", "{}"))
            names = kept.get("keys") or list(f.keys())
            state = OrderedDict((name, f.get_tensor(name)) for name in names)
    except MlgitException:
        raise
    except Exception as error:  # safetensors has an error of its own for each language
        raise CorruptData(f"{shown} can't be loaded: {error}") from error
    if place is not None and not callable(place) and not isinstance(place, dict):
        for name, value in state.items():
            state[name] = value.to(place)
    if kept.get("modules"):
        state._metadata = OrderedDict(kept["modules"])  # type: ignore[attr-defined]
    return state


def _load_pickled(
    torch: Any,
    path: str,
    shown: str,
    source: Source,
    allow_pickle: bool | None,
    options: dict[str, Any],
) -> dict[str, Any]:
    import pickle

    options = dict(options)
    strict = options.pop("weights_only", False)
    found: Any
    try:
        found = torch.load(path, weights_only=True, **options)
    except pickle.UnpicklingError as error:
        allowed = not strict and allows_pickle(allow_pickle, source.repo)
        if not allowed:
            raise refused(f"{shown} is a pickle that holds more than tensors") from error

        def read(f: IO[bytes], pickler: Any) -> Any:
            return torch.load(f, pickle_module=pickler, weights_only=False, **options)

        found = load_pickle(path, allowed, shown, read)
    except (RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        raise CorruptData(f"{shown} can't be loaded: {error}") from error
    if not isinstance(found, dict):
        raise CorruptData(f"{shown} holds no state dict but a {type(found).__name__}")
    return found
