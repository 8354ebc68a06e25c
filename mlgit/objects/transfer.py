"""Objects from and to a remote, many at once, each verified on the way."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, NamedTuple

from mlgit.exceptions import CorruptData, ResourceDoesNotExist, from_os_error
from mlgit.objects.copying import Tell
from mlgit.objects.failures import is_missing
from mlgit.objects.local import LocalObjects
from mlgit.objects.parallel import run
from mlgit.objects.remote import RemoteObjects, key_of
from mlgit.objects.whole import LARGE

# What may be in memory of objects that are under way.
_BUDGET = 40 << 20
# From so many objects on the folders that they would be in are listed.
_MANY = 1000

# The SHA-256 of no bytes.
_EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

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
        sizes: The objects wanted there, with their sizes; 0 where one isn't known.
        progress: Is told how many bytes of how many are done.

    Raises:
        ResourceDoesNotExist: One is neither here nor there, or the bucket doesn't exist.
        CorruptData: One is damaged here; it was put aside, and not uploaded.
        PermissionDenied, StorageError: The remote won't take them.
    """
    missing = remote.missing({sha: _known(sha, size) for sha, size in sizes.items()})
    here = {sha: local.size(sha, sizes[sha]) for sha in missing}
    absent = sorted(sha for sha, size in here.items() if size is None)
    whole: set[str] = set()

    def start(sha: str, tell: Tell) -> Future[Any]:
        if (here[sha] or 0) >= LARGE and local.is_whole(sha):
            whole.add(sha)
        arguments = (local.path(sha), key_of(sha), here[sha], sha, tell)
        return remote.driver.start("put", *arguments, True, sha in whole)

    def done(sha: str) -> None:
        if sha in whole:
            local.still_whole(sha)

    def look(sha: str, error: Exception) -> None:
        if isinstance(error, CorruptData):
            local.quarantine(sha)

    job = _Job("upload", missing - set(absent), sizes, start, done=done, failed=look)
    moved = _move(job, remote, progress)
    if absent:
        more = f", nor {len(absent) - 1} others" if absent[1:] else ""
        raise ResourceDoesNotExist(
            f"The object {absent[0]} is neither in this clone nor at {remote.where}{more}",
            hint="fetch it from where it is, or log it again",
        )
    return Transferred(len(missing), moved, len(sizes) - len(missing))


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
        sizes: The objects wanted here, with their sizes; 0 where one isn't known.
        progress: Is told how many bytes of how many are done.

    Raises:
        ResourceDoesNotExist: The remote lacks one.
        CorruptData: One has another digest there, whenever it is fetched.
        PermissionDenied, StorageError: The remote won't give them, or there is no room.
    """
    there = local.listed(sizes) if len(sizes) > _MANY else sizes.keys()
    missing = sizes.keys() - there
    for sha in there:
        size = sizes[sha]
        # What is here mustn't go before it is named; it may have gone just before that.
        known = _known(sha, size)
        if local.size(sha, known) is None or (
            not local.keep(sha) and local.size(sha, known) is None
        ):
            missing.add(sha)
    names: dict[str, str] = {}

    def start(sha: str, tell: Tell) -> Future[Any]:
        names[sha] = names.get(sha) or local.temporary_name()
        known = _known(sha, sizes[sha])
        return remote.driver.start("get", key_of(sha), names[sha], known, sha, tell, True)

    def place(sha: str) -> None:
        try:
            local.place(names.pop(sha), sha)
        except OSError as error:
            raise from_os_error(error, "store an object") from error

    job = _Job("download", missing, sizes, start, done=place, size=lambda s: local.size(s) or 0)
    try:
        done = _move(job, remote, progress)
    finally:
        if names:
            remote.driver.settle()
        for name in names.values():
            if os.path.exists(name):
                os.unlink(name)
    return Transferred(len(missing), done, len(sizes) - len(missing))


def _known(sha256: str, size: int) -> int | None:
    """A size that can be relied on: 0 stands for "unknown" but with what is empty."""
    return size if size > 0 or sha256 == _EMPTY else None


@dataclass
class _Job:
    """What to do with which objects."""

    verb: str
    shas: set[str]
    sizes: Mapping[str, int]
    start: Callable[[str, Tell], Future[Any]]
    done: Callable[[str], None] = lambda sha: None
    size: Callable[[str], int] = lambda sha: 0
    failed: Callable[[str, Exception], None] = lambda sha, error: None


class _Meter:
    """Tells how many bytes are done; drivers count from other threads."""

    def __init__(self, total: int, progress: Progress | None) -> None:
        self._total = total
        self._progress = progress
        self._moved: dict[str, int] = {}
        self._done = 0

    def tell(self, sha: str, count: int) -> None:
        self._moved[sha] = self._moved.get(sha, 0) + count

    def begin(self, sha: str) -> None:
        self._moved.pop(sha, None)

    def end(self, sha: str, size: int) -> None:
        self._moved.pop(sha, None)
        self._done += size

    def show(self) -> None:
        if self._progress is not None:
            under_way = sum(list(self._moved.values()))
            self._progress(min(self._done + under_way, self._total), self._total)


def _move(job: _Job, remote: RemoteObjects, progress: Progress | None) -> int:
    """Move them all; one that is damaged or isn't there doesn't stop the others."""
    sizes = job.sizes
    method = "put" if job.verb == "upload" else "get"
    meter = _Meter(sum(sizes[sha] for sha in job.shas), progress)
    moved = 0
    first: Exception | None = None

    def start(sha: str) -> Future[Any]:
        meter.begin(sha)
        return job.start(sha, lambda count: meter.tell(sha, count))

    for sha, _, error in run(
        sorted(job.shas),
        start,
        limit=remote.driver.parallel,
        budget=_BUDGET,
        weight=lambda sha: remote.driver.takes(method, sizes[sha]),
        idle=meter.show,
    ):
        if error is None:
            job.done(sha)
            moved += sizes[sha] or job.size(sha)
            meter.end(sha, sizes[sha])
            meter.show()
            continue
        job.failed(sha, error)
        shown = remote.explained(error, f"{job.verb} an object", sha)
        if not isinstance(error, CorruptData) and not (
            job.verb == "download" and is_missing(error)
        ):
            raise shown from error
        first = first or shown
    if first is not None:
        raise first
    return moved
