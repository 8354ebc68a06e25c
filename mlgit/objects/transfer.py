"""Objects from and to a remote, many at once, each verified on the way."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Any, NamedTuple

from mlgit.exceptions import CorruptData
from mlgit.objects.local import LocalObjects
from mlgit.objects.parallel import run
from mlgit.objects.remote import RemoteObjects, key_of

# What may be in memory of objects that are under way.
_BUDGET = 64 << 20
_WEIGHS_AT_MOST = 32 << 20

Progress = Callable[[int, int], None]


class Transferred(NamedTuple):
    """What was done.

    Attributes:
        objects: How many were moved.
        bytes: Their sizes' sum.
        already: How many were there before.
    """

    objects: int
    bytes: int
    already: int


def upload(
    local: LocalObjects,
    remote: RemoteObjects,
    sizes: Mapping[str, int],
    progress: Progress | None = None,
) -> Transferred:
    """Put objects of this clone to a remote that doesn't have them yet.

    All are tried; then the first error is raised. Repeating it goes on where it stopped.

    Args:
        local: Where they are.
        remote: Where they go.
        sizes: The objects wanted there, with their sizes.
        progress: Is told how many bytes of how many are done.

    Raises:
        ResourceDoesNotExist: One is neither here nor there, or the bucket doesn't exist.
        CorruptData: One is damaged here; it was put aside, and not uploaded.
        PermissionDenied, StorageError: The remote won't take them.
    """
    missing = remote.missing(sizes)

    def start(sha: str, tell: Callable[[int], None]) -> Future[Any]:
        path = local.path(sha)
        try:
            size = os.stat(path).st_size
        except OSError:
            local.open(sha).close()  # tells what is wrong
            raise
        return remote.driver.start("put", path, key_of(sha), size, sha, tell)

    done = _move("upload", missing, sizes, start, lambda sha: None, local, remote, progress)
    return Transferred(len(missing), done, len(sizes) - len(missing))


def download(
    local: LocalObjects,
    remote: RemoteObjects,
    sizes: Mapping[str, int],
    progress: Progress | None = None,
) -> Transferred:
    """Fetch objects that this clone doesn't have.

    All are tried; then the first error is raised. Repeating it goes on where it stopped.

    Args:
        local: Where they go.
        remote: Where they are.
        sizes: The objects wanted here, with their sizes.
        progress: Is told how many bytes of how many are done.

    Raises:
        ResourceDoesNotExist: The remote lacks one.
        CorruptData: One has another digest there, whenever it is fetched.
        PermissionDenied, StorageError: The remote won't give them, or there is no room.
    """
    missing = {sha for sha, size in sizes.items() if not local.is_whole(sha, size)}
    names: dict[str, str] = {}

    def start(sha: str, tell: Callable[[int], None]) -> Future[Any]:
        names[sha] = local.temporary_name()
        return remote.driver.start("get", key_of(sha), names[sha], sizes[sha], sha, tell)

    def place(sha: str) -> None:
        local.place(names.pop(sha), sha)

    try:
        done = _move("download", missing, sizes, start, place, local, remote, progress)
    finally:
        for name in names.values():
            if os.path.exists(name):
                os.unlink(name)
    return Transferred(len(missing), done, len(sizes) - len(missing))


def _move(
    verb: str,
    missing: set[str],
    sizes: Mapping[str, int],
    start: Callable[[str, Callable[[int], None]], Future[Any]],
    place: Callable[[str], None],
    local: LocalObjects,
    remote: RemoteObjects,
    progress: Progress | None,
) -> int:
    total = sum(sizes[sha] for sha in missing)
    moved = 0
    failed: Exception | None = None

    def tell(count: int) -> None:
        pass

    for sha, _, error in run(
        sorted(missing),
        lambda sha: start(sha, tell),
        limit=remote.driver.parallel,
        budget=_BUDGET,
        weight=lambda sha: min(sizes[sha], _WEIGHS_AT_MOST),
    ):
        if error is None:
            place(sha)
            moved += sizes[sha]
            if progress is not None:
                progress(moved, total)
            continue
        if isinstance(error, CorruptData) and hasattr(error, "damaged_here"):
            local.quarantine(sha)
        shown = remote.explained(error, f"{verb} an object", (None, None, None, sha))
        if not isinstance(error, CorruptData) and not _concerns_one(shown):
            raise shown from error
        failed = failed or shown
    if failed is not None:
        raise failed
    return moved


def _concerns_one(error: Exception) -> bool:
    """Whether the others may still work: one object that is damaged or isn't there."""
    return "The object " in str(error)
