"""What a version's source says: its commit, its run, and where its files are."""

from __future__ import annotations

import os
import re
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit, urlunsplit

from mlgit import validation
from mlgit.entities.model_registry import ModelVersion
from mlgit.exceptions import InvalidParameterValue, MlgitException, ResourceDoesNotExist
from mlgit.git.commits import parse_commit
from mlgit.git.secrets import mask_url
from mlgit.registry.tags import parse_name
from mlgit.store.gitstore import GitStore

if TYPE_CHECKING:
    from mlgit.registry.registry import Registry

_RUN = re.compile(
    r"^(?:runs:/+(?P<run>[^/]+)|mlgit-artifacts:/+[^/]+/(?P<own>[^/]+)/artifacts)/+(?P<path>[^/].*)\Z"
)


@dataclass(frozen=True)
class Source:
    """What a version is made of.

    Attributes:
        location: The URI of its folder; the source, or what a ``models:/`` source leads to.
        run_id: The run that made it, if one is known.
        commit: The commit that it is of; None for one that is no run's of this repository.
    """

    location: str | None
    run_id: str | None
    commit: str | None


def find(registry: Registry, source: str | None, run_id: str | None) -> Source:
    """What a source says.

    Args:
        registry: The registry.
        source: Any URI, or None.
        run_id: The run that the caller says made it.

    Raises:
        ResourceDoesNotExist: The source is in a run that isn't there, or has no such folder.
        InvalidParameterValue: The source holds a password.
        MlgitException: A ``models:/`` source names no version.
    """
    if run_id is not None:
        run_id = validation.check_text(str(run_id), "run_id")
    if source is None:
        return Source(None, run_id, _commit(registry.store, run_id))
    source = validation.check_text(str(source), "source")
    if _holds_secret(source):
        raise InvalidParameterValue(
            f"The source {mask_url(source)} holds a password, and tags are as public as the "
            "repository",
            hint="give the URL without it, and the password to the driver that reads it",
        )
    if source.startswith("models:"):
        try:
            original = version_of(registry, source)
        except MlgitException as error:
            raise MlgitException(
                f"Unable to fetch model from model URI source artifact location '{source}'. "
                f"Error: {error.message}",
                hint=error.hint,
            ) from error
        location = registry.location(original.name, original.version)
        return Source(location, run_id or original.run_id, original.commit)
    match = _RUN.match(source)
    if match is None:
        return Source(source, run_id, _commit(registry.store, run_id))
    made_by = match["run"] or match["own"]
    path = unquote(match["path"]).strip("/")
    _require(registry.store, made_by, path)
    return Source(source, run_id or made_by, _commit(registry.store, made_by))


def _holds_secret(source: str) -> bool:
    try:
        parts = urlsplit(source)
        password = parts.password
    except ValueError:
        return mask_url(source) != source
    # A name before the @ is Azure's container: abfss://container@account/path.
    plain = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
    return password is not None or mask_url(plain) != plain


def _require(store: GitStore, run_id: str, path: str) -> None:
    """See to it that a run has a folder."""
    try:
        store.artifact(run_id, path)
    except ResourceDoesNotExist as error:
        run = store.runs.get(run_id)  # tells of a run that isn't there
        raise ResourceDoesNotExist(
            f"The run {run_id} ({run.info.run_name}) has no model {path!r}",
            hint=f"mlgit artifacts {run_id} lists what it has",
        ) from error


def _commit(store: GitStore, run_id: str | None) -> str | None:
    """The newest commit of a run, made now if the run is going; None where there is no run."""
    if not run_id or not re.match(r"^[A-Za-z0-9][A-Za-z0-9_-]{0,255}\Z", run_id):
        return None
    runs = store.runs
    if os.path.isdir(runs.committer.folder(run_id)):
        runs.checkpoint(run_id)
    found = runs.find_ref(run_id)
    return found[1] if found else None


@dataclass(frozen=True)
class Place:
    """Where a version's folder is.

    Attributes:
        location: Its URI.
        commit: The run's commit that says which files are in it, whatever the run has by now;
            None where the location isn't a run's.
    """

    location: str
    commit: str | None = None


def place_of(registry: Registry, version: ModelVersion) -> Place:
    """Where a version's folder is.

    Raises:
        ResourceDoesNotExist: The version isn't there any more.
    """
    location = registry.location(version.name, version.version)
    match = _RUN.match(location)
    if match is None or version.commit is None:
        return Place(location)
    of_run = parse_commit(registry.store.repo.objects.commit(version.commit)).trailers()
    its_own = of_run.get("Mlgit-Run") == (match["run"] or match["own"])
    return Place(location, version.commit if its_own else None)


def version_asked(
    registry: Registry,
    name: str,
    version: int | None = None,
    stage: str | None = None,
    alias: str | None = None,
) -> ModelVersion:
    """The version of a number, a stage or an alias; one of them is given.

    Raises:
        ResourceDoesNotExist: There is none.
        InvalidParameterValue: There is no such stage or alias.
    """
    if alias is not None:
        return registry.by_alias(name, alias)
    return version_named(registry, name, str(stage if version is None else version))


def version_of(registry: Registry, uri: str) -> ModelVersion:
    """The version that a ``models:/`` URI names.

    Raises:
        InvalidParameterValue: The URI doesn't parse, or there is no such alias or stage.
        ResourceDoesNotExist: There is no such model or version.
    """
    return version_asked(registry, *read_uri(uri))


def read_uri(uri: str) -> tuple[str, int | None, str | None, str | None]:
    """The model, and the version, stage or alias of it, that a ``models:/`` URI names.

    Args:
        uri: ``models:/<name>/<version or stage>`` or ``models:/<name>@<alias>``.

    Raises:
        InvalidParameterValue: It doesn't parse.
    """
    path = uri.partition(":")[2].strip("/")
    name, at, alias = path.rpartition("@")
    if at and "/" not in alias and name:
        return unquote(name), None, None, unquote(alias)
    name, _, rest = path.rpartition("/")
    if not name or not rest or "/" in name:
        raise InvalidParameterValue(
            f"{uri!r} names no registered model",
            hint="models:/<name>/<version>, models:/<name>/<stage> or models:/<name>@<alias>",
        )
    if re.match(r"^[0-9]{1,18}\Z", rest):
        return unquote(name), int(rest), None, None
    return unquote(name), None, unquote(rest), None


def version_named(registry: Registry, name: str, which: str) -> ModelVersion:
    """The version of a number, of a stage (the highest in it), or the latest.

    Raises:
        ResourceDoesNotExist: There is none.
        InvalidParameterValue: There is no such stage.
    """
    if which.isascii() and which.isdigit():
        return registry.version(name, which)
    if which.lower() == "latest":
        found = registry.latest_versions(name)
        found = [max(found, key=lambda v: v.version)] if found else []
    else:
        found = registry.latest_versions(name, [which])
    if not found:
        raise ResourceDoesNotExist(
            f"No versions of model with name '{name}' and stage '{which}' found",
            hint=f"mlgit models show {shlex.quote(name)} lists its versions and their stages",
        )
    return found[0]


def split_meant(registry: Registry, text: str) -> tuple[str, str | None]:
    """The model, and what a person wrote behind the ``@``; None for nothing.

    Args:
        registry: The registry; a model's own name may hold an ``@``.
        text: ``NAME``, ``NAME@v3``, ``NAME@3``, ``NAME@alias``.
    """
    name, at, which = text.rpartition("@")
    return (text, None) if not at or registry.has(text) else (name, which)


def number_meant(which: str) -> int | None:
    """The number of a version as people write it, ``v3`` or ``3``; None for anything else."""
    found = re.match(r"^v?([0-9]{1,18})\Z", which)
    return int(found[1]) if found else None


def version_meant(registry: Registry, text: str) -> ModelVersion:
    """The version that a person means: ``NAME``, ``NAME@v3``, ``NAME@3``, ``NAME@alias``, a tag.

    Args:
        registry: The registry.
        text: What was written. A name alone is its latest version; a stage's name is the
            version last put there, unless an alias has it. A tag's name is the version that
            the tag is about.

    Raises:
        ResourceDoesNotExist: There is no such model or version.
        InvalidParameterValue: There is no such alias or stage.
    """
    tagged = version_of_tag(registry, text)
    if tagged is not None:
        return tagged
    name, which = split_meant(registry, text)
    if which is None:
        return version_named(registry, name, "latest")
    number = number_meant(which)
    return registry.by_alias(name, which) if number is None else registry.version(name, number)


def version_of_tag(registry: Registry, tag: str) -> ModelVersion | None:
    """The version that a tag of the registry is about; None where it isn't one.

    Raises:
        ResourceDoesNotExist: The version is deleted.
    """
    said = parse_name(tag)
    if said is None or registry.has(tag):
        return None
    row = registry.index.ask(
        lambda c: c.execute(
            "SELECT name FROM registered_models WHERE key=? AND present", (said.key,)
        ).fetchone()
    )
    changes = registry.changes(row[0]) if row else []
    number = next((change.version for change in changes if change.tag == tag), None)
    return None if number is None else registry.version(row[0], number)
