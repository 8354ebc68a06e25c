"""What to record for one file of the worktree: its mode and its blob, or why not."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import time
from typing import TYPE_CHECKING, NamedTuple

from mlgit.exceptions import MlgitException
from mlgit.git.attributes import Attributes
from mlgit.git.conversion import Conversion, ConversionError, conversion, lfs_pointer, to_git
from mlgit.git.secrets import secret_content, secret_tokens
from mlgit.git.worktree_files import StatKey, is_racy, stat_key

if TYPE_CHECKING:
    from mlgit.git.objects import ObjectStore
    from mlgit.git.worktree_index import IndexEntry
    from mlgit.git.worktree_settings import WorktreeSettings

_SYMLINK = 0o120000
_EMPTY_BLOB = hashlib.sha1(b"blob 0\0").digest()
# No link is followed, and a FIFO that took the file's place doesn't block.
_OPEN = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
_OPEN |= getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
_TRUST_SECONDS = 3600.0


class FileRecord(NamedTuple):
    """One file as it is to be recorded.

    Attributes:
        mode: Git's mode.
        sha: The blob's raw sha; None: nothing of the file can be recorded.
        reason: Why the worktree's content is left out or isn't all there, or "".
        gone: The file wasn't there any more.
    """

    mode: int
    sha: bytes | None
    reason: str = ""
    gone: bool = False


class _Cached(NamedTuple):
    key: StatKey
    how: Conversion
    entry_sha: bytes | None
    record: FileRecord
    expires: float


class FileContents:
    """Hashes files as Git would store them, once for as long as they stay the same.

    Args:
        objects: Where blobs go.
        settings: Git's settings for the worktree.
        attributes: Looks up .gitattributes.
    """

    def __init__(
        self, objects: ObjectStore, settings: WorktreeSettings, attributes: Attributes
    ) -> None:
        self._objects = objects
        self._settings = settings
        self._attributes = attributes
        self._cache: dict[bytes, _Cached] = {}

    def record(
        self, path: bytes, abspath: bytes, entry: IndexEntry | None, *, write: bool = True
    ) -> FileRecord:
        """What to record for a file, its blob written.

        Args:
            path: Relative to the worktree.
            abspath: Absolute.
            entry: The path's index entry; its content stands where the file's can't be taken.
            write: Whether to write the blob; without, nothing is cached either.

        Returns:
            The record.
        """
        try:
            found = os.lstat(abspath)
        except OSError:
            return FileRecord(0, None, gone=True)
        how = conversion(self._attributes.lookup(path), self._settings.autocrlf)
        settled = entry if entry is not None and entry.settled else None
        entry_sha = settled.sha if settled is not None else None
        key = stat_key(found)
        cached = self._cache.get(path)
        same = cached is not None and cached[:3] == (key, how, entry_sha)
        if cached is not None and same and cached.expires > time.monotonic():
            return cached.record
        looked = time.time_ns()
        record = self._read(abspath, found, how, entry, write)
        if write and not is_racy(key, looked):
            expires = time.monotonic() + _TRUST_SECONDS
            self._cache[path] = _Cached(key, how, entry_sha, record, expires)
        elif write:
            self._cache.pop(path, None)
        return record

    def _read(
        self,
        abspath: bytes,
        found: os.stat_result,
        how: Conversion,
        entry: IndexEntry | None,
        write: bool,
    ) -> FileRecord:
        try:
            if stat.S_ISLNK(found.st_mode):
                return FileRecord(_SYMLINK, self._blob(os.readlink(abspath), entry, write))
            data, found = _read_regular(abspath)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENOTDIR):
                return FileRecord(0, None, gone=True)
            special = error.errno in (errno.ELOOP, errno.ENXIO, errno.EINVAL)
            return self._kept(entry, "special file" if special else "unreadable")
        mode = self._mode(found.st_mode, entry)
        return self._convert(data, mode, how, entry, write)

    def _convert(
        self, data: bytes, mode: int, how: Conversion, entry: IndexEntry | None, write: bool
    ) -> FileRecord:
        reason = ""
        if how.filter == "lfs":
            pointer = lfs_pointer(data)
            reason = "" if pointer == data else "filter:lfs content"
            data = pointer
        elif how.filter in self._settings.cleaning_filters:
            return self._kept(entry, f"filter:{how.filter}")
        else:
            try:
                data = to_git(data, how, lambda: self._indexed(entry))
            except ConversionError:
                return self._kept(entry, f"working-tree-encoding:{how.encoding}")
        kind = secret_content(data)
        if kind is not None and secret_tokens(data) - secret_tokens(self._indexed(entry) or b""):
            return self._kept(entry, f"secret-content: {kind}")
        sha = self._blob(data, entry, write)
        if entry is not None and entry.settled and sha == entry.sha:
            reason = ""  # committed like this: its LFS object is where the commit's are
        return FileRecord(mode, sha, reason)

    def _blob(self, data: bytes, entry: IndexEntry | None, write: bool) -> bytes:
        sha = hashlib.sha1(b"blob %d\0" % len(data) + data).digest()
        known = entry is not None and entry.sha == sha and sha != _EMPTY_BLOB
        if write and not known:
            self._objects.write("blob", data)
        return sha

    def _indexed(self, entry: IndexEntry | None) -> bytes | None:
        if entry is None or entry.sha == _EMPTY_BLOB or entry.mode >> 12 == 0o16:
            return None
        try:
            return self._objects.read(entry.sha.hex())[1]
        except MlgitException:  # a partial clone may not have it; then nothing is known of it
            return None

    def _kept(self, entry: IndexEntry | None, reason: str) -> FileRecord:
        if entry is None or not entry.settled:
            return FileRecord(0, None, reason)
        return FileRecord(entry.mode, entry.sha, reason)

    def _mode(self, st_mode: int, entry: IndexEntry | None) -> int:
        """The mode that Git gives a regular file, whose system may not know all modes."""
        if entry is not None and not self._settings.symlinks and entry.mode == _SYMLINK:
            return _SYMLINK
        if not self._settings.file_mode:
            regular = entry is not None and stat.S_ISREG(entry.mode)
            return entry.mode if entry is not None and regular else 0o100644
        return 0o100755 if st_mode & 0o100 else 0o100644


def _read_regular(abspath: bytes) -> tuple[bytes, os.stat_result]:
    descriptor = os.open(abspath, _OPEN)
    with open(descriptor, "rb") as file:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise OSError(errno.EINVAL, "not a regular file")
        return file.read(), found
