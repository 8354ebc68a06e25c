"""Putting an object's bytes into the worktree: by reflink, hard link or copy."""

from __future__ import annotations

import errno
import itertools
import os
import stat
import time
from collections.abc import Sequence

from mlgit.exceptions import InvalidParameterValue, InvalidState, ResourceDoesNotExist
from mlgit.objects import Entry, LocalObjects
from mlgit.objects.copying import SHARED, clone, copy_and_hash, copy_unread
from mlgit.objects.drivers import damaged_on_the_way
from mlgit.objects.remote import key_of
from mlgit.objects.scan import PART
from mlgit.objects.whole import LARGE

LINKS = ("reflink", "hardlink", "copy")
# What says that this file system can't, rather than that this file can't.
_CANNOT = {
    errno.EOPNOTSUPP, errno.ENOTTY, errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EPERM,
    errno.EMLINK,
}  # fmt: skip


class Placer:
    """Puts objects below one folder.

    Args:
        objects: Where they come from.
        root: The folder. Nothing is written through a link below it.
        links: The ways to try, in order, out of ``LINKS``; copying is always the last.
        remotes: Folders of remotes, which may share files with these objects. What is linked
            into the worktree must not be such a file: somebody may make it writable.
    """

    def __init__(
        self,
        objects: LocalObjects,
        root: str,
        links: Sequence[str],
        remotes: Sequence[str] = (),
    ) -> None:
        unknown = [link for link in links if link not in LINKS]
        if unknown:
            raise InvalidParameterValue(
                f"{unknown[0]!r} isn't a way to place data", hint=f"one of {', '.join(LINKS)}"
            )
        self._objects = objects
        self._root = root.rstrip("/")
        self._links = [link for link in links if link != "copy"]
        if "copy" in links:  # what is named after copying is never reached
            self._links = [link for link in links[: links.index("copy")] if link != "copy"]
        self._remotes = remotes
        self._counter = itertools.count(1)
        self._folders: set[str] = {self._root}
        self._umask = os.umask(0)
        os.umask(self._umask)

    def file(self, entry: Entry, path: str, source: str | None = None) -> os.stat_result:
        """Put a file at a path; it is there as a whole, or what was there stays.

        Args:
            entry: The file's entry.
            path: Where, below the root.
            source: A file to copy it from; the object where None.

        Returns:
            The new file's stat, from before anybody else could see it.

        Raises:
            ResourceDoesNotExist: The object isn't here.
            CorruptData: It is damaged; an object was put aside.
            OSError: The path can't be written, or the source read.
        """
        target = f"{self._root}/{path}"
        folder, _, name = target.rpartition("/")
        self.folder(folder[len(self._root) + 1 :])
        temporary = f"{folder}/{PART}{os.getpid():x}-{next(self._counter):x}"
        left = True
        try:
            copied = source is not None or not self._link(entry, temporary)
            if copied:
                self._copy(entry, temporary, source)
            if copied or os.lstat(temporary).st_nlink == 1:
                # A time that no later write gives it, not even one of the same tick.
                now = time.time_ns()
                os.utime(temporary, ns=(now, now))
            found = os.lstat(temporary)
            os.rename(temporary, target)
            left = found.st_nlink > 1  # where both are one file already nothing is renamed
            return found
        except FileNotFoundError as error:
            if source is None and not self._objects.has(entry.sha256):
                raise _absent(entry) from error
            raise
        finally:
            if left and os.path.lexists(temporary):
                os.unlink(temporary)

    def bytes(self, data: bytes, path: str, executable: bool) -> None:
        """Put bytes that are no object at a path where there is nothing."""
        folder, _, name = path.rpartition("/")
        self.folder(folder)
        kind = "x" if executable else "f"
        target = self._create(Entry(kind, "", len(data)), f"{self._root}/{path}")
        with os.fdopen(target, "wb") as f:
            f.write(data)

    def folder(self, path: str) -> None:
        """See to it that a folder is there, every part of its path a real one.

        Raises:
            InvalidState: A part of the path is a link or a file.
        """
        target = f"{self._root}/{path}" if path else self._root
        if target in self._folders:
            return
        self.folder(path.rpartition("/")[0])
        try:
            os.mkdir(target)
        except FileExistsError:
            if not stat.S_ISDIR(os.lstat(target).st_mode):
                raise InvalidState(
                    f"{path} is in the way: it isn't a folder", hint="move it away"
                ) from None
        self._folders.add(target)

    def ignores_case(self) -> bool:
        """Whether the file system takes names that differ in case for the same."""
        return os.path.exists(f"{self._root}/.GIT") and os.path.exists(f"{self._root}/.git")

    def _link(self, entry: Entry, temporary: str) -> bool:
        if entry.size < SHARED and self._links == ["reflink"]:
            return False  # copied sooner; a hard link is never what comes instead
        for link in list(self._links):
            try:
                if link == "reflink":
                    self._reflink(entry, temporary)
                    return True
                if entry.kind == "f":  # the object can't be executable for one of its names
                    if self._is_shared(entry.sha256):
                        self._objects.unshare(entry.sha256)
                    os.link(self._objects.path(entry.sha256), temporary)
                    return True
            except OSError as error:
                if error.errno not in _CANNOT:
                    raise
                if os.path.lexists(temporary):
                    os.unlink(temporary)
                if error.errno != errno.EMLINK:
                    self._links.remove(link)  # asked once, not for each of many files
        return False

    def _is_shared(self, sha256: str) -> bool:
        found = os.stat(self._objects.path(sha256))
        if found.st_nlink == 1:
            return False
        for remote in self._remotes:
            try:
                if os.path.samestat(found, os.stat(f"{remote}/{key_of(sha256)}")):
                    return True
            except OSError:
                continue
        return False

    def _reflink(self, entry: Entry, temporary: str) -> None:
        source = os.open(self._objects.path(entry.sha256), os.O_RDONLY)
        try:
            target = self._create(entry, temporary)
            try:
                if not clone(source, target):
                    raise OSError(errno.EOPNOTSUPP, "no reflinks here")
            finally:
                os.close(target)
        finally:
            os.close(source)

    def _copy(self, entry: Entry, temporary: str, source: str | None) -> None:
        fd = os.open(source or self._objects.path(entry.sha256), os.O_RDONLY)
        try:
            target = self._create(entry, temporary)
            try:
                if source is None and entry.size >= LARGE and self._objects.is_whole(entry.sha256):
                    copy_unread(fd, target, entry.size)
                    return
                sha = copy_and_hash(fd, target, entry.size)
            finally:
                os.close(target)
        finally:
            os.close(fd)
        if sha != entry.sha256:
            if source is None:
                raise self._objects.damaged(entry.sha256)
            raise damaged_on_the_way(entry.sha256)

    def _create(self, entry: Entry, temporary: str) -> int:
        mode = 0o777 if entry.kind == "x" else 0o666
        return os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)

    def mode(self, entry: Entry, path: str) -> None:
        """Make a file executable, or not, as its entry says.

        A hard link of an object gets bytes of its own first.
        """
        target = f"{self._root}/{path}"
        found = os.lstat(target)
        if found.st_nlink > 1 or stat.S_ISLNK(found.st_mode):
            self.file(entry, path)
            return
        wanted = (0o777 if entry.kind == "x" else 0o666) & ~self._umask
        os.chmod(target, wanted)


def _absent(entry: Entry) -> ResourceDoesNotExist:
    return ResourceDoesNotExist(
        f"The object {entry.sha256} isn't in this clone",
        hint="mlgit fetch brings what a remote has; mlgit remote list names the remotes",
    )
