"""The objects of this clone: read-only files named by their SHA-256."""

from __future__ import annotations

import hashlib
import itertools
import os
import stat
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import BinaryIO

from mlgit.exceptions import (
    CorruptData,
    InvalidParameterValue,
    MlgitException,
    ResourceDoesNotExist,
    from_os_error,
)
from mlgit.objects.checkout import checkout
from mlgit.objects.copying import clone, copy_and_hash, digest_of, digest_of_open, write_all
from mlgit.objects.manifest import Entry, format_manifest
from mlgit.objects.users import FRESH, Use
from mlgit.objects.whole import LARGE, Whole

_SMALL = 1 << 18
_REMEMBERED = 10_000
# A file that wasn't written to for so many seconds can't be without its time telling.
_STEADY = 2


class LocalObjects:
    """A folder of objects: ``sha256/ab/cdef…``.

    Args:
        root: The ``objects`` folder; it is made when the first object is written.
    """

    def __init__(self, root: str) -> None:
        self.root = root
        self._memory: dict[str, bytes] = {}
        self._counter = itertools.count(1)  # next() is atomic between threads
        self._use: Use | None = None
        self._whole = Whole()
        self._has_room = False

    def path(self, sha256: str) -> str:
        """Where an object's bytes are, or would be."""
        return f"{self.root}/sha256/{sha256[:2]}/{sha256[2:]}"

    def has(self, sha256: str) -> bool:
        """Whether an object is here."""
        return os.path.exists(self.path(sha256))

    def keep(self, sha256: str) -> bool:
        """Whether an object is here; if so, nobody removes it before this process ends.

        To be asked instead of ``has`` by who is about to name the object somewhere.
        """
        if self._use is None or self._use.pid != os.getpid():
            try:
                self._use = Use(f"{self.root}/tmp")
            except OSError:
                return False  # nothing can be written here; who writes next tells
        path = self.path(sha256)
        try:
            found = os.stat(path)
            if time.time() - found.st_mtime > FRESH:
                whole = found.st_size >= LARGE and self.is_whole(sha256)
                os.utime(path)
                if whole:
                    self._whole.note(path, sha256)
        except OSError:
            return False  # not there, or not ours to touch: written, or written anew
        return True

    def is_whole(self, sha256: str) -> bool:
        """Whether a large object was hashed before, and its file hasn't changed since.

        Of small ones that isn't known: they are hashed in no time.
        """
        return self._whole.knows(self.path(sha256), sha256)

    def still_whole(self, sha256: str) -> None:
        """Remember it again of an object of which it was known, and whose time was renewed."""
        self._whole.note(self.path(sha256), sha256)

    def put_bytes(self, data: bytes) -> Entry:
        """Store bytes as an object.

        Raises:
            StorageError, PermissionDenied: They can't be written.
        """
        sha = hashlib.sha256(data).hexdigest()
        if not self.keep(sha):
            try:
                with self._temporary() as (fd, name):
                    write_all(fd, data)
                    self._place(name, sha)
            except OSError as error:
                raise from_os_error(error, "store an artifact") from error
        return Entry("f", sha, len(data))

    def put_file(self, path: str, share: bool = False) -> Entry:
        """Store a file's bytes as an object, read once: hashed and copied together.

        Args:
            path: A regular file, or a link to one.
            share: Share its blocks where the file system can, which waits for the disk to
                have them; only files that aren't small.

        Raises:
            ResourceDoesNotExist: There is no such file.
            InvalidParameterValue: It isn't a regular file, or changed while it was read.
            StorageError, PermissionDenied: It can't be read, or the object written.
        """
        try:
            source = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        except FileNotFoundError as error:
            raise ResourceDoesNotExist(f"No such file: {path}") from error
        except OSError as error:
            raise from_os_error(error, f"read {path}") from error
        try:
            before = os.fstat(source)
            if not stat.S_ISREG(before.st_mode):
                raise InvalidParameterValue(
                    f"{path} isn't a regular file", hint="log_artifacts() takes folders"
                )
            entry = self._copy_in(source, before, share)
            after = os.fstat(source)
            if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
                raise InvalidParameterValue(
                    f"{path} changed while it was being read", hint="log it when it is complete"
                )
            return entry
        except OSError as error:
            raise from_os_error(error, f"store {path} as an artifact") from error
        finally:
            os.close(source)

    def _copy_in(self, source: int, info: os.stat_result, share: bool) -> Entry:
        kind = "x" if info.st_mode & stat.S_IXUSR else "f"
        if info.st_size <= _SMALL:
            data = _read_small(source)
            return self.put_bytes(data)._replace(kind=kind)
        with self._temporary() as (fd, name):
            if share and clone(source, fd):
                # What is written from here on changes the time, unless that is of just now.
                steady = time.time() - info.st_mtime > _STEADY
                sha = digest_of_open(source) if steady else digest_of(name)
            else:
                sha = copy_and_hash(source, fd, info.st_size)
            size = os.fstat(fd).st_size
            if self.keep(sha):
                os.unlink(name)
            else:
                self._place(name, sha)
                if size >= LARGE:
                    self._whole.note(self.path(sha), sha)
        return Entry(kind, sha, size)

    def put_folder(self, path: str, left: list[MlgitException] | None = None) -> Entry:
        """Store a folder: every file below it, and a manifest a folder.

        Links are followed, as ``shutil.copytree`` does; sockets, devices and the like are
        refused.

        Args:
            path: The folder.
            left: Is given what is wrong with single files, which are left out then. Without,
                the first such error is raised.

        Raises:
            ResourceDoesNotExist: There is no such folder.
            InvalidParameterValue: Something below it is neither file nor folder, or a
                link leads back to a folder above it.
            StorageError, PermissionDenied: It can't be read, or an object written.
        """
        from mlgit.objects.folders import put_folder

        return put_folder(self, path, self.put_file, left)

    def move_folder(self, path: str) -> Entry:
        """Store a folder that mlgit made itself: its files are moved in, not copied.

        Nobody else may have it open, and it is gone afterwards. What is linked from
        elsewhere, or is on another device, is copied.

        Args:
            path: The folder.

        Raises:
            Those of ``put_folder``; what was moved by then is stored.
        """
        from mlgit.objects.folders import move_folder

        return move_folder(self, path)

    def remembers(self, sha256: str) -> bool:
        """Whether it is the manifest of a folder of a going run, which needs no file."""
        return sha256 in self._memory

    def put_manifest(self, entries: dict[str, Entry], *, durable: bool = True) -> Entry:
        """Store a folder's manifest; its entries' objects must be stored already.

        Args:
            entries: What the folder holds.
            durable: Write it. Else it is only remembered, for who merely looks at a going
                run and may have no right, or no room, to write.
        """
        data = format_manifest(entries)
        if durable:
            sha = self.put_bytes(data).sha256
        else:
            sha = hashlib.sha256(data).hexdigest()
            if not self.has(sha):
                if len(self._memory) >= _REMEMBERED:
                    self._memory.pop(next(iter(self._memory)))
                self._memory[sha] = data
        size = sum(entry.size for entry in entries.values())
        return Entry("d", sha, size, sum(entry.files for entry in entries.values()))

    def open(self, sha256: str) -> BinaryIO:
        """An object's bytes as a stream, unverified.

        Raises:
            ResourceDoesNotExist: The object isn't here.
        """
        try:
            return open(self.path(sha256), "rb")
        except FileNotFoundError as error:
            raise ResourceDoesNotExist(
                f"The object {sha256} isn't in this clone",
                hint="mlgit fetch --artifacts brings what the remote has",
            ) from error

    def read(self, sha256: str) -> bytes:
        """An object's bytes, verified.

        Raises:
            ResourceDoesNotExist: The object isn't here.
            CorruptData: Its bytes have another digest.
        """
        remembered = self._memory.get(sha256)
        if remembered is not None:
            return remembered
        with self.open(sha256) as f:
            data = f.read()
        if hashlib.sha256(data).hexdigest() != sha256:
            raise self.damaged(sha256)
        return data

    def copy_to(self, entry: Entry, path: str) -> None:
        """Write an object's bytes to a file, verified; the file is whole or isn't there.

        Args:
            entry: A file's entry.
            path: The file, replaced if it exists; its folder must exist.

        Raises:
            ResourceDoesNotExist: The object isn't here.
            CorruptData: Its bytes have another digest.
        """
        checkout(self, entry, path, "copy")

    def checkout(self, entry: Entry, path: str, link: str = "auto") -> None:
        """Write an object to a file, or a folder and all below; verified.

        Args:
            entry: What to write.
            path: Where; a file there is replaced. In a folder that is there, files of other
                names stay. The folder above must exist.
            link: "copy"; "reflink": sharing blocks until one of both is written; "hardlink":
                the object itself, read-only (executable files are copied); "auto": a reflink
                where the file system has them, else a copy.

        Raises:
            ResourceDoesNotExist: An object isn't here.
            CorruptData: One's bytes have another digest; it was put aside.
            InvalidParameterValue: Something is in the way, or a name would lead elsewhere.
            Unsupported: The file system has no such links.
            StorageError, PermissionDenied: It can't be written.
        """
        checkout(self, entry, path, link)

    def unshare(self, sha256: str) -> None:
        """Give an object a file of its own, where it shares it with a remote.

        Raises:
            CorruptData: Its bytes have another digest; it was put aside.
            OSError: It can't be read or written.
        """
        with self.open(sha256) as source, self._temporary() as (fd, name):
            found = copy_and_hash(source.fileno(), fd, os.fstat(source.fileno()).st_size)
            if found == sha256:
                self._place(name, sha256)
        if found != sha256:
            os.unlink(name)
            raise self.damaged(sha256)

    def damaged(self, sha256: str) -> CorruptData:
        """Put aside an object whose bytes have another digest; the error that tells of it."""
        try:
            self.quarantine(sha256)
        except MlgitException:
            pass  # a clone that may only be read
        return CorruptData(
            f"The object {sha256} is damaged: its bytes have another digest",
            hint="it was put aside; fetch it (mlgit pull), or log it again",
        )

    def verify(self, sha256: str) -> bool:
        """Whether an object's bytes have the digest that it is named by."""
        self.open(sha256).close()  # tells what is wrong
        return digest_of(self.path(sha256)) == sha256

    def size(self, sha256: str, expected: int | None = None) -> int | None:
        """An object's size, or None where it isn't here.

        Args:
            sha256: Its name.
            expected: What it should be, where that is known. One of another size is read,
                and put aside if it is damaged.
        """
        try:
            found = os.stat(self.path(sha256)).st_size
        except FileNotFoundError:
            return None
        except OSError as error:
            raise from_os_error(error, f"look at the object {sha256}") from error
        if expected is None or found == expected or self.verify(sha256):
            return found
        self.quarantine(sha256)
        return None

    def listed(self, shas: Iterable[str]) -> set[str]:
        """Which of many objects are here, of whatever size: folders are listed, not files asked."""
        wanted = set(shas)
        found: set[str] = set()
        for first in {sha[:2] for sha in wanted}:
            try:
                found.update(first + name for name in os.listdir(f"{self.root}/sha256/{first}"))
            except OSError:
                continue
        return wanted & found

    def quarantine(self, sha256: str) -> None:
        """Put a damaged object aside, to ``damaged/``, so that it can be fetched again."""
        try:
            os.makedirs(f"{self.root}/damaged", exist_ok=True)
            os.rename(self.path(sha256), f"{self.root}/damaged/{sha256}")
        except FileNotFoundError:
            pass
        except OSError as error:
            raise from_os_error(error, f"put the damaged object {sha256} aside") from error

    def temporary_name(self) -> str:
        """A name that nobody else uses, for bytes that are to become an object.

        Raises:
            StorageError, PermissionDenied: Its folder can't be made.
        """
        if not self._has_room:
            try:
                os.makedirs(f"{self.root}/tmp", exist_ok=True)
            except OSError as error:
                raise from_os_error(error, "make room for objects") from error
            self._has_room = True
        return f"{self.root}/tmp/{os.getpid():x}-{id(self):x}-{next(self._counter):x}"

    def place(self, temporary: str, sha256: str) -> None:
        """Make a file on the objects' device, whose digest was checked, an object.

        Raises:
            OSError: It can't be renamed there.
        """
        info = os.stat(temporary)
        if info.st_mode & 0o222:  # what is read-only may be linked from elsewhere
            os.chmod(temporary, 0o444)
        self._place(temporary, sha256)
        # Where both are one file already nothing was renamed; then it has a third name elsewhere.
        if info.st_nlink > 2 and os.path.lexists(temporary):
            os.unlink(temporary)
        if info.st_size >= LARGE:
            self._whole.note(self.path(sha256), sha256)

    def link(self, path: str, sha256: str, seen: os.stat_result) -> bool:
        """Make a link to a file that was just hashed an object; whether that could be done.

        Args:
            path: A file that nobody writes to, such as a remote's.
            sha256: Its digest.
            seen: Its stat from before it was hashed.
        """
        temporary = self.temporary_name()
        try:
            os.link(path, temporary)
        except OSError:
            return False
        found = os.stat(temporary)
        same = ("st_ino", "st_size", "st_mtime_ns", "st_mode")
        if any(getattr(found, name) != getattr(seen, name) for name in same):
            os.unlink(temporary)
            return False
        self.place(temporary, sha256)
        return True

    def all(self) -> Iterator[str]:
        """The names of all objects here, in order."""
        for first in range(256):
            folder = f"{self.root}/sha256/{first:02x}"
            try:
                names = sorted(os.listdir(folder))
            except OSError:
                continue
            yield from (f"{first:02x}{name}" for name in names if len(name) == 62)

    @contextmanager
    def _temporary(self) -> Iterator[tuple[int, str]]:
        number = next(self._counter)
        name = f"{self.root}/tmp/{os.getpid():x}-{id(self):x}-{number:x}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
        try:
            fd = os.open(name, flags, 0o444)
        except FileNotFoundError:
            os.makedirs(f"{self.root}/tmp", exist_ok=True)
            fd = os.open(name, flags, 0o444)
        try:
            yield fd, name
        except BaseException:
            if os.path.exists(name):
                os.unlink(name)
            raise
        finally:
            os.close(fd)

    def _place(self, temporary: str, sha256: str) -> None:
        path = self.path(sha256)
        try:
            os.rename(temporary, path)
        except FileNotFoundError:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            os.rename(temporary, path)


def _read_small(fd: int) -> bytes:
    parts = []
    while part := os.read(fd, _SMALL + 1):
        parts.append(part)
    return b"".join(parts)
