"""``MlgitClient``'s part about registered models, and the functions of the same names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from mlgit.entities import PagedList
from mlgit.exceptions import InvalidParameterValue, MlgitException, ResourceAlreadyExists
from mlgit.tracking import context, uri

# The registry is imported when it is used: programs that only log needn't wait for it.
if TYPE_CHECKING:
    from mlgit.entities.model_registry import ModelVersion, RegisteredModel
    from mlgit.registry.registry import Registry
    from mlgit.registry.writer import Signer

_registry_uri: str | None = None


def set_registry_uri(uri: str) -> None:
    """Accepted for MLflow's sake: registered models are kept in the runs' repository.

    Args:
        uri: What ``get_registry_uri`` gives from now on.
    """
    global _registry_uri
    _registry_uri = uri


def get_registry_uri() -> str:
    """The URI of the registry: what was set, else the tracking URI."""
    return _registry_uri or uri.get_tracking_uri()


def registry_for(tracking_uri: str | None = None) -> Registry:
    """The registry of a repository; of the current one where no URI is given."""
    from mlgit.registry.registry import registry_of

    return registry_of(uri.store_for(tracking_uri), context.user)


class RegistryCalls:
    """What a client can do with registered models."""

    _uri: str | None

    @property
    def _registry(self) -> Registry:
        return registry_for(self._uri)

    # -- models

    def create_registered_model(
        self,
        name: str,
        tags: dict[str, Any] | None = None,
        description: str | None = None,
        deployment_job_id: str | None = None,
    ) -> RegisteredModel:
        """Make a registered model, without versions.

        Args:
            name: Its name: no ``/`` and no ``:``.
            tags: Its tags.
            description: What is to be known of it.
            deployment_job_id: Accepted for MLflow's sake.

        Raises:
            ResourceAlreadyExists: There is one of that name.
            InvalidParameterValue: The name or a tag can't be one.
        """
        return self._registry.create_model(name, tags, description)

    def get_registered_model(self, name: str) -> RegisteredModel:
        """A registered model.

        Raises:
            ResourceDoesNotExist: There is none of that name.
        """
        return self._registry.model(name)

    def update_registered_model(
        self, name: str, description: str | None = None, deployment_job_id: str | None = None
    ) -> RegisteredModel:
        """Describe a registered model.

        Raises:
            ResourceDoesNotExist: There is none of that name.
        """
        return self._registry.update_model(name, description)

    def rename_registered_model(self, name: str, new_name: str) -> RegisteredModel:
        """Give a registered model another name; its versions and aliases stay with it.

        Raises:
            ResourceDoesNotExist: There is none of that name.
            ResourceAlreadyExists: The new name is another model's.
        """
        return self._registry.rename_model(name, new_name)

    def delete_registered_model(self, name: str) -> None:
        """Delete a registered model and its versions; the tags that tell of them stay.

        Raises:
            ResourceDoesNotExist: There is none of that name.
        """
        self._registry.delete_model(name)

    def search_registered_models(
        self,
        filter_string: str | None = None,
        max_results: int = 100,
        order_by: Sequence[str] | None = None,
        page_token: str | None = None,
    ) -> PagedList[RegisteredModel]:
        """The registered models that a filter matches, a page of them, by name.

        Args:
            filter_string: Such as ``name LIKE 'fraud%' AND tags.team = 'risk'``.
            max_results: The most models of one page, up to 1,000.
            order_by: ``name``, ``creation_timestamp`` or ``last_updated_timestamp``.
            page_token: The token of the page before.

        Raises:
            FilterError: The filter or a sort key doesn't parse.
            InvalidParameterValue: Another argument can't be right.
        """
        return self._registry.search_models(filter_string, max_results, order_by, page_token)

    def set_registered_model_tag(self, name: str, key: str, value: Any) -> None:
        """Set a tag of a registered model.

        Raises:
            ResourceDoesNotExist: There is no such model.
        """
        self._registry.set_model_tag(name, key, value)

    def delete_registered_model_tag(self, name: str, key: str) -> None:
        """Remove a tag of a registered model.

        Raises:
            ResourceDoesNotExist: There is no such model.
        """
        self._registry.delete_model_tag(name, key)

    # -- versions

    def create_model_version(
        self,
        name: str,
        source: str,
        run_id: str | None = None,
        tags: dict[str, Any] | None = None,
        run_link: str | None = None,
        description: str | None = None,
        await_creation_for: int | None = None,
        model_id: str | None = None,
        *,
        sign: bool = False,
    ) -> ModelVersion:
        """Register the next version of a model.

        Args:
            name: The registered model, which is there.
            source: The URI of the model's folder.
            run_id: The run that made it.
            tags: The version's tags.
            run_link: A page that shows the run.
            description: What is to be known of it.
            await_creation_for, model_id: Accepted for MLflow's sake.
            sign: Sign the version's tag, as ``git tag -s`` does.

        Raises:
            InvalidState: It can't be signed.
            ResourceDoesNotExist: There is no such registered model, or the source is in a run
                that isn't there or has no such folder.
        """
        registry = self._registry
        return registry.create_version(
            name, source, run_id, tags, run_link, description, _signer(registry, sign)
        )

    def copy_model_version(self, src_model_uri: str, dst_name: str) -> ModelVersion:
        """Register a version of one model as the next version of another.

        Args:
            src_model_uri: ``models:/<name>/<version>``, or by stage or alias.
            dst_name: The other model; made where there is none.

        Raises:
            MlgitException: The URI names no version.
        """
        if not str(src_model_uri).startswith("models:"):
            raise MlgitException(
                f"Unsupported source model URI: {src_model_uri!r}. The `copy_model_version` API "
                "only copies models stored in the 'models:/' scheme."
            )
        from mlgit.registry import sources

        registry = self._registry
        try:
            source = sources.version_of(registry, src_model_uri)
        except MlgitException as error:
            raise MlgitException(
                f"Failed to fetch model version from source model URI: {src_model_uri!r}. "
                f"Error: {error.message}",
                hint=error.hint,
            ) from error
        _ensure(registry, dst_name)
        return registry.create_version(
            dst_name,
            f"models:/{source.name}/{source.version}",
            source.run_id,
            source.tags,
            source.run_link,
            source.description,
        )

    def get_model_version(self, name: str, version: int | str) -> ModelVersion:
        """A version of a registered model.

        Raises:
            ResourceDoesNotExist: There is none.
        """
        return self._registry.version(name, version)

    def get_model_version_download_uri(self, name: str, version: int | str) -> str:
        """The URI of the folder that a version is kept in.

        Raises:
            ResourceDoesNotExist: There is no such version.
        """
        return self._registry.location(name, version)

    def get_model_version_stages(self, name: str, version: int | str) -> list[str]:
        """The stages that versions may be in."""
        from mlgit.registry.checks import ALL_STAGES

        return list(ALL_STAGES)

    def update_model_version(
        self, name: str, version: int | str, description: str | None = None
    ) -> ModelVersion:
        """Describe a version.

        Raises:
            ResourceDoesNotExist: There is none.
            MlgitException: There is no description; "" is one.
        """
        if description is None:
            raise MlgitException(
                "Attempting to update model version with no new field values",
                hint="description='' removes the description",
            )
        return self._registry.update_version(name, version, description)

    def delete_model_version(self, name: str, version: int | str) -> None:
        """Delete a version, and its aliases. Its number isn't used again.

        Raises:
            ResourceDoesNotExist: There is none.
        """
        self._registry.delete_version(name, version)

    def search_model_versions(
        self,
        filter_string: str | None = None,
        max_results: int = 10_000,
        order_by: Sequence[str] | None = None,
        page_token: str | None = None,
    ) -> PagedList[ModelVersion]:
        """The versions that a filter matches, a page of them, what changed last first.

        Args:
            filter_string: Such as ``name = 'fraud' AND tags.validated = 'yes'``.
            max_results: The most versions of one page, up to 200,000.
            order_by: ``name``, ``version_number``, ``creation_timestamp``, ….
            page_token: The token of the page before.

        Raises:
            FilterError: The filter or a sort key doesn't parse.
            InvalidParameterValue: Another argument can't be right.
        """
        return self._registry.search_versions(filter_string, max_results, order_by, page_token)

    def get_latest_versions(
        self, name: str, stages: Sequence[str] | None = None
    ) -> list[ModelVersion]:
        """The highest version of each stage, or of some.

        Raises:
            ResourceDoesNotExist: There is no such model.
            InvalidParameterValue: There is no such stage.
        """
        return self._registry.latest_versions(name, stages)

    def transition_model_version_stage(
        self,
        name: str,
        version: int | str,
        stage: str,
        archive_existing_versions: bool = False,
        *,
        sign: bool = False,
    ) -> ModelVersion:
        """Put a version into a stage.

        Args:
            name: The model.
            version: The version.
            stage: None, Staging, Production or Archived, in any case.
            archive_existing_versions: Archive the versions that are in the stage.
            sign: Sign the tags, as ``git tag -s`` does.

        Raises:
            InvalidState: They can't be signed.
            ResourceDoesNotExist: There is no such version.
            InvalidParameterValue: There is no such stage.
        """
        registry = self._registry
        signer = _signer(registry, sign)
        return registry.transition(name, version, stage, archive_existing_versions, sign=signer)

    def set_model_version_tag(
        self,
        name: str,
        version: int | str | None = None,
        key: str | None = None,
        value: Any = None,
        stage: str | None = None,
    ) -> None:
        """Set a tag of a version, or of the highest version in a stage.

        Raises:
            ResourceDoesNotExist: There is no such version.
        """
        registry = self._registry
        number = _one_of(registry, name, version, stage)
        registry.set_version_tag(name, number, key or "", value)

    def delete_model_version_tag(
        self,
        name: str,
        version: int | str | None = None,
        key: str | None = None,
        stage: str | None = None,
    ) -> None:
        """Remove a tag of a version, or of the highest version in a stage.

        Raises:
            ResourceDoesNotExist: There is no such version.
        """
        registry = self._registry
        registry.delete_version_tag(name, _one_of(registry, name, version, stage), key or "")

    # -- aliases

    def set_registered_model_alias(
        self, name: str, alias: str, version: int | str, *, sign: bool = False
    ) -> None:
        """Point an alias to a version; whatever it named before is in the history.

        Args:
            name: The model.
            alias: The alias.
            version: The version.
            sign: Sign the tag, as ``git tag -s`` does.

        Raises:
            InvalidState: It can't be signed.
            ResourceDoesNotExist: There is no such version.
            InvalidParameterValue: The alias can't be one, or is reserved.
        """
        registry = self._registry
        registry.set_alias(name, alias, version, sign=_signer(registry, sign))

    def delete_registered_model_alias(self, name: str, alias: str) -> None:
        """Remove an alias; it is no error if there is none.

        Raises:
            ResourceDoesNotExist: There is no such model.
        """
        self._registry.delete_alias(name, alias)

    def get_model_version_by_alias(self, name: str, alias: str) -> ModelVersion:
        """The version that an alias names.

        Raises:
            ResourceDoesNotExist: There is no such model.
            InvalidParameterValue: It has no such alias.
        """
        return self._registry.by_alias(name, alias)


def _signer(registry: Registry, sign: bool) -> Signer | None:
    """What signs tags, where the caller wants that; None leaves it to Git's configuration."""
    if not sign:
        return None
    from mlgit.git.signing import signer

    return signer(registry.index.repo)


def _one_of(registry: Registry, name: str, version: int | str | None, stage: str | None) -> Any:
    if version and stage:
        raise InvalidParameterValue("version and stage cannot be set together")
    if not (version or stage):
        raise InvalidParameterValue("version or stage must be set")
    from mlgit.registry import sources

    return sources.version_named(registry, name, stage).version if stage else version


def _ensure(registry: Registry, name: str) -> None:
    """Make a model where there is none."""
    try:
        registry.create_model(name)
    except ResourceAlreadyExists:
        pass


def register(
    registry: Registry,
    name: str,
    source: str,
    run_id: str | None = None,
    tags: dict[str, Any] | None = None,
    description: str | None = None,
    sign: bool = False,
) -> ModelVersion:
    """Register the next version of a model that is made where there is none.

    Nothing is made where the source is wrong, or no key to sign with is configured.

    Raises:
        InvalidState: It can't be signed.
        ResourceDoesNotExist: The source is in a run that isn't there or has no such folder.
        InvalidParameterValue: The name or a tag can't be one.
    """
    from mlgit.git.signing import signs_tags
    from mlgit.registry import checks, sources

    checks.model_name(name)
    checks.tags(tags)
    sources.find(registry, source, run_id)
    signer = _signer(registry, sign or signs_tags(registry.index.repo))
    _ensure(registry, name)
    return registry.create_version(name, source, run_id, tags, description=description, sign=signer)


def search_registered_models(
    max_results: int | None = None,
    filter_string: str | None = None,
    order_by: Sequence[str] | None = None,
) -> list[RegisteredModel]:
    """All registered models that a filter matches.

    Args:
        max_results: The most to give; all where None.
        filter_string: Such as ``name LIKE 'fraud%'``.
        order_by: Sort keys.

    Raises:
        FilterError: The filter or a sort key doesn't parse.
    """
    registry = registry_for()

    def page(size: int, token: str | None) -> PagedList[RegisteredModel]:
        return registry.search_models(filter_string, size, order_by, token)

    return _all(page, max_results, 100)


def search_model_versions(
    max_results: int | None = None,
    filter_string: str | None = None,
    order_by: Sequence[str] | None = None,
) -> list[ModelVersion]:
    """All versions that a filter matches.

    Args:
        max_results: The most to give; all where None.
        filter_string: Such as ``name = 'fraud'``.
        order_by: Sort keys.

    Raises:
        FilterError: The filter or a sort key doesn't parse.
    """
    registry = registry_for()

    def page(size: int, token: str | None) -> PagedList[ModelVersion]:
        return registry.search_versions(filter_string, size, order_by, token)

    return _all(page, max_results, 10_000)


def _all(page: Any, most: int | None, size: int) -> list[Any]:
    if most is not None and (not isinstance(most, int) or most < 1):
        raise InvalidParameterValue(
            f"Invalid value for max_results. It must be a positive integer, but got {most!r}"
        )
    found: list[Any] = []
    token = None
    while most is None or len(found) < most:
        some = page(size if most is None else min(size, most - len(found)), token)
        found += some
        token = some.token
        if not token:
            break
    return found


def set_model_version_tag(
    name: str, version: int | str | None = None, key: str | None = None, value: Any = None
) -> None:
    """Set a tag of a version.

    Raises:
        ResourceDoesNotExist: There is no such version.
    """
    registry = registry_for()
    registry.set_version_tag(name, _one_of(registry, name, version, None), key or "", value)
