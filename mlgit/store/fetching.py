"""The objects that data and artifacts need, from a remote where they aren't here."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from mlgit.exceptions import MlgitException, ResourceDoesNotExist
from mlgit.objects import Entry, LocalObjects
from mlgit.store.reach import expand

if TYPE_CHECKING:
    from mlgit.objects.remote import RemoteObjects

Progress = Callable[[int, int], None]
Connect = Callable[[], "RemoteObjects"]


def bring(
    objects: LocalObjects,
    entries: Iterable[Entry],
    connect: Connect,
    progress: Progress | None = None,
) -> int:
    """See to it that everything that some entries reach is here.

    Args:
        objects: Where it is to be.
        entries: Files and folders.
        connect: Gives the remote; it is asked only where something is missing.
        progress: Called with bytes done and wanted.

    Returns:
        How many objects were fetched.

    Raises:
        ResourceDoesNotExist: Something isn't here, and there is no remote, or it lacks it.
        CorruptData, PermissionDenied, StorageError: It can't be fetched.
    """
    fetched = 0

    def manifests(shas: set[str]) -> None:
        nonlocal fetched
        fetched += fetch(objects, dict.fromkeys(shas, 0), connect)

    sizes = expand(objects, entries, manifests)
    missing = {sha: size for sha, size in sizes.items() if objects.size(sha, size) is None}
    return fetched + fetch(objects, missing, connect, progress)


def fetch(
    objects: LocalObjects,
    sizes: dict[str, int],
    connect: Connect,
    progress: Progress | None = None,
) -> int:
    """Fetch objects that aren't here; how many. The arguments and errors are ``bring``'s."""
    if not sizes:
        return 0
    try:
        remote = connect()
    except ResourceDoesNotExist as error:
        raise _lacking(len(sizes), error) from error
    from mlgit.objects.transfer import download

    return download(objects, remote, sizes, progress).objects


def _lacking(count: int, why: MlgitException) -> ResourceDoesNotExist:
    """The error for objects that are nowhere to be had."""
    what = "1 object isn't" if count == 1 else f"{count} objects aren't"
    return ResourceDoesNotExist(f"{what} in this clone. {why.message}", hint=why.hint)
