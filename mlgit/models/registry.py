"""The one interface that models and the registry meet at.

``models:/…`` URIs are resolved by it, and ``registered_model_name`` goes through it. A
registry sets itself by ``use``; until one has, ``current`` says that there is none.
"""

from __future__ import annotations

from typing import Any, Protocol

from mlgit.exceptions import Unsupported
from mlgit.models.uris import RegistryUri


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


class _None:
    """No registry yet."""

    def _refuse(self) -> Unsupported:
        return Unsupported(
            "This version of mlgit has no model registry",
            hint="load the model by runs:/<run id>/<path> or mlgit:/<revision>/<path>; "
            "log it without registered_model_name",
        )

    def check_name(self, name: str) -> None:
        raise self._refuse()

    def resolve(self, uri: RegistryUri) -> str:
        raise self._refuse()

    def register(
        self, name: str, source: str, run_id: str | None, tags: dict[str, Any] | None = None
    ) -> Any:
        raise self._refuse()


_registry: Registry = _None()


def current() -> Registry:
    """The registry in use."""
    return _registry


def use(registry: Registry | None) -> None:
    """Set the registry; None goes back to having none."""
    global _registry
    _registry = registry if registry is not None else _None()


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
        Unsupported: There is no registry.
        ResourceDoesNotExist: There is no model at the URI.
    """
    from mlgit.models.mlmodel import Model

    _registry.check_name(name)
    return _registry.register(name, model_uri, Model.load(model_uri).run_id, tags)
