"""The one interface that models and the registry meet at.

``models:/…`` URIs are resolved by it, and ``registered_model_name`` goes through it. A
registry other than the one in the repository that runs are logged to sets itself by ``use``.
"""

from __future__ import annotations

from typing import Any, Protocol

from mlgit.exceptions import Unsupported
from mlgit.models.uris import RegistryUri
from mlgit.tracking import registered


class Registry(Protocol):
    """What a registry does for models."""

    def check_name(self, name: str) -> None:
        """Raise where a model can't be registered under a name; called before it is saved."""

    def resolve(self, uri: RegistryUri) -> str:
        """The URI of the folder that a registered model is kept in.

        Raises:
            ResourceDoesNotExist: There is no such model, version, stage or alias.
        """

    def register(
        self, name: str, source: str, run_id: str | None, tags: dict[str, Any] | None = None
    ) -> Any:
        """Make the next version of a model.

        Args:
            name: The model; made where there is none.
            source: The URI of its folder.
            run_id: The run that logged it.
            tags: Of the version.

        Returns:
            The version, with ``name`` and ``version``.
        """


class _InUse:
    """The registry of the repository that runs are logged to."""

    def check_name(self, name: str) -> None:
        from mlgit.registry import checks

        checks.model_name(name)

    def resolve(self, uri: RegistryUri) -> str:
        from mlgit.registry import sources

        registry = registered.registry_for()
        if uri.alias is not None:
            found = registry.by_alias(uri.name, uri.alias)
        elif uri.version is not None or uri.stage is not None:
            which = uri.stage if uri.version is None else str(uri.version)
            found = sources.version_named(registry, uri.name, str(which))
        else:
            raise Unsupported(
                f"models:/{uri.name} is the id of a logged model of MLflow 3's",
                hint="load the model by runs:/<run id>/<path> or models:/<name>/<version>",
            )
        return registry.location(found.name, found.version)

    def register(
        self, name: str, source: str, run_id: str | None, tags: dict[str, Any] | None = None
    ) -> Any:
        return registered.register(registered.registry_for(), name, source, run_id, tags)


_registry: Registry = _InUse()


def current() -> Registry:
    """The registry in use."""
    return _registry


def use(registry: Registry | None) -> None:
    """Set the registry; None goes back to that of the repository in use."""
    global _registry
    _registry = registry if registry is not None else _InUse()


def register_model(
    model_uri: str,
    name: str,
    await_registration_for: int | None = None,
    *,
    tags: dict[str, Any] | None = None,
) -> Any:
    """Make a logged model the next version of a registered one.

    Args:
        model_uri: ``runs:/<run id>/<path>``, or another URI of a model's folder.
        name: The registered model; made where there is none.
        await_registration_for: Accepted for MLflow's sake: registering waits for nothing.
        tags: Of the version.

    Returns:
        The version.

    Raises:
        InvalidParameterValue: The name or a tag can't be one.
        ResourceDoesNotExist: There is no model at the URI.
    """
    from mlgit.models.mlmodel import Model

    _registry.check_name(name)
    return _registry.register(name, model_uri, Model.load(model_uri).run_id, tags)
