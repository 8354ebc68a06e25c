"""Removing objects of this clone that nobody needs, while others go on putting some.

What is to go is first renamed aside, and only then looked at for the last time: whoever
asked for it before has made it new, and it goes back; whoever asks after doesn't find it, and
writes it anew. ``LocalObjects.keep`` is the other side of this.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from mlgit.exceptions import Conflict, from_os_error
from mlgit.objects.local import LocalObjects
from mlgit.objects.users import FRESH, SUFFIX, oldest_use

_ASIDE = "swept-"
_BATCH = 200
# Seconds after which a half-written file is a dead process's.
LEFT_OVER = 86_400.0


class Stored(NamedTuple):
    """An object of this clone: its size in bytes, and when it was last put, in Unix seconds."""

    size: int
    modified: float


def stored(objects: LocalObjects) -> dict[str, Stored]:
    """All objects of a clone, by SHA-256."""
    found = {}
    for first in range(256):
        folder = f"{objects.root}/sha256/{first:02x}"
        try:
            with os.scandir(folder) as entries:
                for item in entries:
                    if len(item.name) == 62:
                        info = item.stat(follow_symlinks=False)
                        found[f"{first:02x}{item.name}"] = Stored(info.st_size, info.st_mtime)
        except OSError:
            continue
    return found


def too_new_since(objects: LocalObjects, grace: float) -> float:
    """The time from which on objects are too new to be removed, in Unix seconds.

    Args:
        objects: The clone's objects.
        grace: For how many seconds an object is new; more while others put objects.
    """
    limit = time.time() - grace
    begun = oldest_use(f"{objects.root}/tmp")
    return limit if begun is None else min(limit, begun - FRESH)


@contextmanager
def held(objects: LocalObjects) -> Iterator[None]:
    """Be the only one who removes objects; what one who died over it put aside goes back.

    Raises:
        Conflict: Another process is at it.
        PermissionDenied, StorageError: The folder can't be written.
    """
    try:
        os.makedirs(f"{objects.root}/tmp", exist_ok=True)
        fd = os.open(f"{objects.root}/gc.lock", os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise from_os_error(error, "lock the objects") from error
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Conflict("Another mlgit gc is at work here", hint="wait for it to end") from None
        for name in _names(f"{objects.root}/tmp"):
            if name.startswith(_ASIDE):
                _put_back(objects, name[len(_ASIDE) :])
        yield
    finally:
        os.close(fd)


def sweep(objects: LocalObjects, shas: Iterable[str], grace: float) -> Iterator[tuple[str, int]]:
    """Remove objects, unless somebody has asked for them meanwhile; under ``held``.

    Args:
        objects: The clone's objects.
        shas: What is to go.
        grace: For how many seconds an object is new.

    Yields:
        What went, and its size.

    Raises:
        PermissionDenied, StorageError: It can't be removed.
    """
    names = list(shas)
    for at in range(0, len(names), _BATCH):
        aside = [sha for sha in names[at : at + _BATCH] if _put_aside(objects, sha)]
        try:
            limit = too_new_since(objects, grace)
            while aside:
                path = _aside(objects, aside[-1])
                info = os.stat(path)
                if info.st_mtime < limit:
                    os.unlink(path)
                    yield aside[-1], info.st_size
                else:
                    _put_back(objects, aside[-1])
                aside.pop()
        except OSError as error:
            raise from_os_error(error, "remove objects") from error
        finally:
            for sha in aside:
                _put_back(objects, sha)


def _aside(objects: LocalObjects, sha256: str) -> str:
    return f"{objects.root}/tmp/{_ASIDE}{sha256}"


def _put_aside(objects: LocalObjects, sha256: str) -> bool:
    try:
        os.rename(objects.path(sha256), _aside(objects, sha256))
    except FileNotFoundError:
        return False
    except OSError as error:
        raise from_os_error(error, "remove objects") from error
    return True


def _put_back(objects: LocalObjects, sha256: str) -> None:
    try:
        # If it was written anew meanwhile, that copy stays: it is newer.
        if objects.has(sha256):
            os.unlink(_aside(objects, sha256))
        else:
            os.rename(_aside(objects, sha256), objects.path(sha256))
    except FileNotFoundError:
        pass


def left_over(objects: LocalObjects) -> dict[str, int]:
    """Half-written files of dead processes, and damaged objects that were put aside long ago.

    Returns:
        Path → size in bytes.
    """
    found = {}
    limit = time.time() - LEFT_OVER
    for folder in ("tmp", "damaged"):
        for name in _names(f"{objects.root}/{folder}"):
            path = f"{objects.root}/{folder}/{name}"
            if name.endswith(SUFFIX) or name.startswith(_ASIDE):
                continue
            try:
                info = os.lstat(path)
            except OSError:
                continue
            if info.st_mtime < limit and os.path.isfile(path):
                found[path] = info.st_size
    return found


def _names(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []
