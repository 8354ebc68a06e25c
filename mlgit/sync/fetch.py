"""Fetch: refs at once, objects when they are wanted; and clone."""

from __future__ import annotations

import os
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mlgit.exceptions import InvalidParameterValue, ResourceAlreadyExists, ResourceDoesNotExist
from mlgit.git import Repository
from mlgit.git.transport import clone as clone_repository
from mlgit.git.transport import masked, transport
from mlgit.objects import Entry
from mlgit.objects.transfer import Transferred
from mlgit.store import names, pushed
from mlgit.store.archive_record import read_archive
from mlgit.store.gitstore import GitStore
from mlgit.store.registry_tags import versions_of
from mlgit.store.remotes import remote_objects
from mlgit.sync import wanted
from mlgit.sync.crossing import policy_of
from mlgit.sync.incoming import SHARED, Incoming, bring, ours
from mlgit.sync.push import Show, no_show

if TYPE_CHECKING:
    from mlgit.registry.writer import Signer


@dataclass
class Fetched:
    """What was fetched, or would be.

    Attributes:
        remote: The Git remote.
        came: What became of its refs.
        objects: What was downloaded.
    """

    remote: str
    came: Incoming = field(default_factory=Incoming)
    objects: Transferred = wanted.NOTHING


def fetch(
    store: GitStore,
    remote: str,
    *,
    renumber: bool = True,
    sign: Signer | None = None,
    dry_run: bool = False,
    show: Show = no_show,
) -> Fetched:
    """Fetch a remote's runs, experiments, archives and registry, without what they name.

    Refs that are behind move forward, those that both sides changed are merged key by key, or
    left alone. This clone's own registry tags, which no remote has, come after those that came.
    It can be interrupted and repeated.

    Args:
        store: The store.
        remote: A Git remote's name, a URL or a path.
        renumber: Versions of this clone's own may get other numbers, where the remote has theirs.
        sign: Signs tags that were signed and have to be made again.
        dry_run: Change nothing, and tell what would be done.
        show: Makes what is told how far a job is, from the job's title.

    Raises:
        ResourceDoesNotExist: There is no such remote.
        StorageError, PermissionDenied: It can't be reached, or refuses.
    """
    way = transport(store.repo, remote)
    with show("Fetching runs"):
        there = ours(way.list_refs(SHARED))
        policy = policy_of(store.repo, renumber, sign)
        came = bring(store, way, there, policy=policy, dry_run=dry_run)
    if not dry_run:
        pushed.note(store.repo, masked(remote), there)
    return Fetched(masked(remote), came)


def download(
    store: GitStore,
    *,
    runs: Collection[str] | None = None,
    experiments: Collection[str] | None = None,
    models: Collection[str] | None = None,
    data: bool = False,
    object_remote: str | None = None,
    left: dict[str, int] | None = None,
    show: Show = no_show,
) -> Transferred:
    """Download objects that runs name and this clone doesn't have.

    Args:
        store: The store.
        runs: The runs; None, with no experiments and models either, for all.
        experiments: All runs of these experiments too.
        models: The versions of these registered models too.
        data: Also what the pointer files of the checked out commit name.
        object_remote: Where from; the default one where None.
        left: For who checks data out next: is given large objects, with their sizes, that
            are better fetched then, when they are read in any case.
        show: Makes what is told how far a job is, from the job's title.

    Raises:
        ResourceDoesNotExist: There is no remote, or it lacks an object.
        CorruptData: An object is damaged there.
        StorageError, PermissionDenied: The remote can't be reached, or refuses.
    """
    with show("Looking at the runs"):
        entries: set[Entry] = wanted.entries_of_runs(
            store, _chosen(store, runs, experiments, models)
        )
        placed = wanted.data_entries(store) if data else set()
        entries |= placed
    if not entries or wanted.is_here(store, entries):
        return wanted.NOTHING
    objects = remote_objects(store.repo, object_remote)
    with show("Downloading artifacts") as progress:
        return wanted.download(store, objects, entries, progress, data=placed, left=left)


def _chosen(
    store: GitStore,
    runs: Collection[str] | None,
    experiments: Collection[str] | None,
    models: Collection[str] | None,
) -> set[str]:
    """The commits whose artifacts are wanted."""
    found = {v.commit for model in models or () for v in versions_of(store.repo, model)}
    if models is None or runs is not None or experiments is not None:
        found.update(_commits(store, runs, experiments).values())
    return found


def _commits(
    store: GitStore, runs: Collection[str] | None, experiments: Collection[str] | None
) -> dict[str, str]:
    """The newest commit of each chosen run."""
    everything = runs is None and experiments is None
    found: dict[str, str] = {}
    of_experiment: dict[str, str] = {}
    for ref, tip in store.repo.refs.items(names.ARCHIVE).items():
        for run_id, sha in read_archive(store.repo, tip).items():
            found[run_id] = sha
            of_experiment[run_id] = ref[len(names.ARCHIVE) :]
    for ref, sha in store.repo.refs.items(names.RUNS).items():
        experiment_id, run_id = names.parse_run_ref(ref)
        found[run_id], of_experiment[run_id] = sha, experiment_id
    return {
        run_id: sha
        for run_id, sha in found.items()
        if everything or run_id in (runs or ()) or of_experiment[run_id] in (experiments or ())
    }


def clone(url: str, folder: str | None, *, bare: bool = False, show_git: bool = False) -> str:
    """Clone a repository: branches and tags. Runs come by ``fetch``, of "origin".

    Args:
        url: A URL or a path.
        folder: Where to; by default the URL's last part.
        bare: Without a worktree.
        show_git: Let Git show its progress.

    Returns:
        The folder.

    Raises:
        ResourceAlreadyExists: There is something in the folder.
        ResourceDoesNotExist: There is no repository there.
        StorageError, PermissionDenied: It can't be reached, or refuses.
    """
    where = folder or folder_for(url, bare=bare)
    if os.path.lexists(where) and (not os.path.isdir(where) or os.listdir(where)):
        raise ResourceAlreadyExists(
            f"{where} exists, and isn't an empty folder", hint="give another folder"
        )
    if "://" not in url and os.path.isdir(url):
        url = os.path.abspath(url)
    clone_repository(url, where, bare=bare, show=show_git)
    return where


def folder_for(url: str, *, bare: bool = False) -> str:
    """The folder that a clone of a URL gets, as with ``git clone``.

    Raises:
        InvalidParameterValue: The URL ends in nothing that could be one.
    """
    name = url.rstrip("/").removesuffix("/.git").rstrip("/")
    name = name.replace(":", "/").rsplit("/", 1)[-1].removesuffix(".git")
    if not name or name in (".", ".."):
        raise InvalidParameterValue(
            f"{url!r} ends in nothing that could be a folder's name", hint="give a folder"
        )
    return f"{name}.git" if bare else name


def open_clone(folder: str) -> GitStore:
    """The store of a clone that was just made.

    Raises:
        ResourceDoesNotExist: It isn't there.
    """
    if not os.path.isdir(folder):
        raise ResourceDoesNotExist(f"{folder} isn't there")
    return GitStore(Repository.open(folder))
