"""The versions of registered models as revisions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlgit.entities.model_registry import ModelVersion
from mlgit.store.gitstore import GitStore

if TYPE_CHECKING:
    from mlgit.registry.registry import Registry


def registry(store: GitStore) -> Registry:
    """The repository's registry, to be read."""
    # Imported here: most comparisons are of runs.
    from mlgit.registry.registry import registry_of

    return registry_of(store)


def of_uri(store: GitStore, uri: str) -> ModelVersion:
    """The version that a ``models:/`` URI names.

    Raises:
        InvalidParameterValue: The URI doesn't parse, or there is no such alias or stage.
        ResourceDoesNotExist: There is no such model or version.
    """
    from mlgit.registry.sources import version_of

    return version_of(registry(store), uri)


def of_text(store: GitStore, text: str) -> ModelVersion | None:
    """The version that ``NAME@v3`` or ``NAME@alias`` names; None where no model has that name.

    Raises:
        InvalidParameterValue: The model has no such alias or stage.
        ResourceDoesNotExist: The model has no such version.
    """
    name, at, _ = text.rpartition("@")
    if not at or not name:
        return None
    return meant(store, text) if registry(store).has(name) else None


def meant(store: GitStore, text: str) -> ModelVersion:
    """The version that ``NAME``, ``NAME@v3`` or ``NAME@alias`` names.

    Raises:
        InvalidParameterValue: The model has no such alias or stage.
        ResourceDoesNotExist: There is no such model or version.
    """
    from mlgit.registry.sources import version_meant

    return version_meant(registry(store), text)


def label(version: ModelVersion) -> str:
    """What to call a version in a heading: its name, number, stage and aliases."""
    held = [] if version.current_stage in (None, "None") else [version.current_stage]
    held += [f"@{alias}" for alias in version.aliases]
    return f"{version.name} v{version.version}" + (f" ({', '.join(held)})" if held else "")
