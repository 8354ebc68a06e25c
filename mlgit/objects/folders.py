"""Whole folders into the store: files in parallel, then a manifest a folder."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable
from typing import TYPE_CHECKING

from mlgit.exceptions import (
    InvalidParameterValue,
    MlgitException,
    PermissionDenied,
    ResourceDoesNotExist,
    from_os_error,
)
from mlgit.objects.copying import digest_of
from mlgit.objects.manifest import Entry
from mlgit.validation import MAX_ARTIFACT_DEPTH

if TYPE_CHECKING:
    from concurrent.futures import Future

    from mlgit.objects.local import LocalObjects
    from mlgit.objects.parallel import Threads

# Hashing large pieces lets other threads run; with small files they only wait for each other.
_LARGE = 1 << 20
_THREADS = 4

_Found = dict[str, "Entry | Future[Entry | None] | _Folder"]
Put = Callable[[str], Entry]
# What is wrong with one file, and not with where it is put.
_OF_ONE = (ResourceDoesNotExist, InvalidParameterValue, PermissionDenied)


class _Folder:
    """A folder whose files are being put."""

    __slots__ = ("entries",)

    def __init__(self, entries: _Found) -> None:
        self.entries = entries


class _Pass:
    """One pass over a folder and all below."""

    def __init__(self, put: Put, left: list[MlgitException] | None) -> None:
        self._put_one = put
        self._left = left
        self._threads: Threads | None = None
        self._futures: list[Future[Entry | None]] = []

    def folder(self, path: str, above: tuple[str, ...]) -> _Folder:
        real = os.path.realpath(path)
        if real in above:
            raise InvalidParameterValue(f"{path} is a link to a folder that holds it")
        if len(above) >= MAX_ARTIFACT_DEPTH:
            raise InvalidParameterValue(
                f"{path} is {len(above)} folders deep", hint="log it packed, as one file"
            )
        try:
            with os.scandir(path) as found:
                items = sorted(found, key=lambda item: item.name)
        except FileNotFoundError as error:
            raise ResourceDoesNotExist(f"No such folder: {path}") from error
        except OSError as error:
            raise from_os_error(error, f"read the folder {path}") from error
        entries: _Found = {}
        for item in items:
            if item.is_dir():
                try:
                    entries[item.name] = self.folder(item.path, (*above, real))
                except _OF_ONE as error:
                    self._leave(error)
            elif _is_large(item):
                entries[item.name] = self._start(item.path)
            elif (entry := self._put(item.path)) is not None:
                entries[item.name] = entry
        return _Folder(entries)

    def _put(self, path: str) -> Entry | None:
        try:
            return self._put_one(path)
        except _OF_ONE as error:
            self._leave(error)
            return None

    def _leave(self, error: MlgitException) -> None:
        if self._left is None:
            raise error
        self._left.append(error)

    def _start(self, path: str) -> Future[Entry | None]:
        if self._threads is None:
            from mlgit.objects.parallel import Threads

            self._threads = Threads(_THREADS)
        self._futures.append(self._threads.start(self._put, path))
        return self._futures[-1]

    def close(self) -> None:
        """What hasn't begun never does; what is under way ends by itself."""
        for future in self._futures:
            future.cancel()
        if self._threads is not None:
            self._threads.close()


def _is_large(item: os.DirEntry[str]) -> bool:
    try:
        return item.stat().st_size >= _LARGE
    except OSError:
        return False  # put tells what is wrong


def put_folder(
    objects: LocalObjects, path: str, put: Put, left: list[MlgitException] | None = None
) -> Entry:
    """Store a folder, each of its files by ``put``; see ``LocalObjects.put_folder``."""
    found = _Pass(put, left)
    try:
        return _manifest(objects, found.folder(path, ()))
    finally:
        found.close()


def _manifest(objects: LocalObjects, folder: _Folder) -> Entry:
    entries = {}
    for name, found in folder.entries.items():
        if isinstance(found, _Folder):
            entries[name] = _manifest(objects, found)
            continue
        entry = found if isinstance(found, Entry) else found.result()
        if entry is not None:
            entries[name] = entry
    return objects.put_manifest(entries)


def move_folder(objects: LocalObjects, path: str) -> Entry:
    """Store a folder by moving its files; see ``LocalObjects.move_folder``."""
    entry = put_folder(objects, path, lambda file: _move_file(objects, file))
    try:
        shutil.rmtree(path)
    except OSError as error:
        raise from_os_error(error, f"remove {path}, which is stored") from error
    return entry


def _move_file(objects: LocalObjects, path: str) -> Entry:
    """Hash a file where it is and rename it; copy what somebody else may hold by a link."""
    try:
        info = os.lstat(path)
        if not stat.S_ISREG(info.st_mode) or info.st_nlink > 1:
            return objects.put_file(path)
        sha = digest_of(path)
        after = os.lstat(path)
        if (info.st_size, info.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
            raise InvalidParameterValue(f"{path} changed while it was being read")
        kind = "x" if info.st_mode & stat.S_IXUSR else "f"
        if not objects.keep(sha):
            os.utime(path)  # an object's time is when it came; gc goes by it
            try:
                objects.place(path, sha)
            except OSError:
                return objects.put_file(path)  # on another device
        return Entry(kind, sha, info.st_size)
    except FileNotFoundError as error:
        raise ResourceDoesNotExist(f"No such file: {path}") from error
    except OSError as error:
        raise from_os_error(error, f"store {path} as an artifact") from error
