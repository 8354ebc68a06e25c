"""The one interface that models and the registry meet at.

``models:/…`` URIs are resolved by it, and ``registered_model_name`` goes through it. A
registry other than the one in the repository that runs are logged to sets itself by ``use``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from mlgit.exceptions import Unsupported
from mlgit.models.uris import RegistryUri
from mlgit.tracking import registered

if TYPE_CHECKING:
    from mlgit.registry.sources import Place


class Registry(Protocol):
    """What a registry does for models."""

    def check_name(self, name: str) -> None:
        """Raise where a model can't be registered under a name; called before it is saved."""

    def resolve(self, uri: RegistryUri, verify: bool | None) -> Place:
        """Where the folder is that a registered model is kept in.

        Args:
            uri: Names a version.
            verify: Refuse it unless it is signed; the setting where None.

        Raises:
            ResourceDoesNotExist: There is no such model, version, stage or alias.
            UntrustedModel: It isn't signed, or by nobody whose signature counts.
        """

    def register(
        self,
        name: str,
        source: str,
        run_id: str | None,
        tags: dict[str, Any] | None = None,
        sign: bool = False,
    ) -> Any:
        """Make the next version of a model.

        Args:
            name: The model; made where there is none.
            source: The URI of its folder.
            run_id: The run that logged it.
            tags: Of the version.
            sign: Sign it.

        Returns:
            The version, with ``name`` and ``version``.
        """


class _InUse:
    """The registry of the repository that runs are logged to."""

    def check_name(self, name: str) -> None:
        from mlgit.registry import checks

        checks.model_name(name)

    def resolve(self, uri: RegistryUri, verify: bool | None) -> Place:
        from mlgit.registry import trust

        registry = registered.registry_for()
        if uri.version is None and uri.stage is None and uri.alias is None:
            raise Unsupported(
                f"models:/{uri.name} is the id of a logged model of MLflow 3's",
                hint="load the model by runs:/<run id>/<path> or models:/<name>/<version>",
            )
        return trust.place(registry, uri.name, uri.version, uri.stage, uri.alias, verify=verify)

    def register(
        self,
        name: str,
        source: str,
        run_id: str | None,
        tags: dict[str, Any] | None = None,
        sign: bool = False,
    ) -> Any:
        in_use = registered.registry_for()
        return registered.register(in_use, name, source, run_id, tags, sign=sign)


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
    sign: bool = False,
) -> Any:
    """Make a logged model the next version of a registered one.

    Args:
        model_uri: ``runs:/<run id>/<path>``, or another URI of a model's folder.
        name: The registered model; made where there is none.
        await_registration_for: Accepted for MLflow's sake: registering waits for nothing.
        tags: Of the version.
        sign: Sign the version's tag as ``git tag -s`` does; Git's ``tag.gpgSign`` signs all.

    Returns:
        The version.

    Raises:
        InvalidState: It can't be signed.
        InvalidParameterValue: The name or a tag can't be one.
        ResourceDoesNotExist: There is no model at the URI.
    """
    from mlgit.models.mlmodel import Model

    _registry.check_name(name)
    return _registry.register(name, model_uri, Model.load(model_uri).run_id, tags, sign)
