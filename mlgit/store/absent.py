"""Artifacts that a run names and this clone doesn't have: they are on the remote."""

from __future__ import annotations

from collections.abc import Iterable

from mlgit.git import Repository
from mlgit.objects import Entry, LocalObjects


def bring(repo: Repository, objects: LocalObjects, entries: Iterable[Entry]) -> None:
    """Fetch what files and folders consist of, as far as it isn't here.

    Args:
        repo: The repository; its default remote is asked.
        objects: Where the objects go.
        entries: The files and folders.

    Raises:
        ResourceDoesNotExist: There is no remote, or it lacks one.
        CorruptData, PermissionDenied, StorageError: It can't be fetched.
    """
    wanted = list(entries)
    if all(entry.kind != "d" and objects.has(entry.sha256) for entry in wanted):
        return
    from mlgit.store.reach import expand

    sizes = expand(objects, wanted, lambda shas: _fetch(repo, objects, dict.fromkeys(shas, 0)))
    absent = {sha: size for sha, size in sizes.items() if not objects.has(sha)}
    if absent:
        _fetch(repo, objects, absent)


def bring_manifest(repo: Repository, objects: LocalObjects, sha256: str) -> None:
    """Fetch one folder's manifest, if it isn't here.

    Raises:
        ResourceDoesNotExist, CorruptData, PermissionDenied, StorageError: As ``bring``.
    """
    if not objects.has(sha256):
        _fetch(repo, objects, {sha256: 0})


def _fetch(repo: Repository, objects: LocalObjects, sizes: dict[str, int]) -> None:
    from mlgit.store.fetching import fetch
    from mlgit.store.remotes import remote_objects

    # Folders of a going run need no file, nor a remote.
    sizes = {sha: size for sha, size in sizes.items() if not objects.remembers(sha)}
    fetch(objects, sizes, lambda: remote_objects(repo))
