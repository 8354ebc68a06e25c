"""Models in skops' format, which holds data and the names of types, and no code."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from mlgit.exceptions import CorruptData, InvalidParameterValue, MlgitException
from mlgit.models.flavors import framework
from mlgit.models.folder import ModelFolder


def dump_skops(
    model: Any, path: str, flavor: str, trusted: Sequence[str], known: Collection[str] = ()
) -> set[str]:
    """Write a model.

    Args:
        model: The model.
        path: The file.
        flavor: The flavor that it belongs to.
        trusted: Types that the person trusts, besides those that skops knows.
        known: Types that hold only data, as the flavor knows.

    Returns:
        The modules that loading it imports.

    Raises:
        InvalidParameterValue: It can't be written, or it wouldn't be loaded again.
        MissingDependency: skops isn't installed.
    """
    io = framework("skops.io", flavor)
    try:
        io.dump(model, path)
        unknown = set(io.get_untrusted_types(file=path)) - set(trusted) - set(known)
    except Exception as error:  # skops has no error of its own
        raise InvalidParameterValue(f"skops can't save the model: {error}") from error
    if unknown:
        raise InvalidParameterValue(
            f"skops wouldn't load the model again: it holds {', '.join(sorted(unknown))}",
            hint="name these in skops_trusted_types if you trust them",
        )
    return {"skops", "sklearn", type(model).__module__}


def load_skops(
    folder: ModelFolder, path: object, flavor: str, trusted: Any, known: Collection[str] = ()
) -> Any:
    """Load a model.

    Args:
        folder: The model's folder.
        path: What MLmodel says of the file.
        flavor: The flavor that it belongs to.
        trusted: What MLmodel says is trusted.
        known: Types that hold only data, as the flavor knows.

    Raises:
        CorruptData: The file is damaged, or names types that aren't trusted.
        PermissionDenied: It names types that neither skops nor the flavor knows, and code may
            not run.
        MissingDependency: skops isn't installed.
    """
    io = framework("skops.io", flavor)
    file = folder.file(path)
    try:
        found = io.get_untrusted_types(file=file)
        unknown = [name for name in found if name not in known]
        if unknown:
            # What MLmodel says is trusted is trusted by whoever lets models run code.
            folder.require_code(f"{path} names the types {', '.join(unknown)}")
        named = {*known, *(trusted or ())}
        return io.load(file, trusted=[name for name in found if name in named])
    except MlgitException:
        raise
    except Exception as error:
        raise CorruptData(f"{path} of {folder.uri} can't be loaded by skops: {error}") from error
