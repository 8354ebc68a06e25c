"""A remote that is a folder of this machine, or one that is mounted."""

from __future__ import annotations

import errno
import itertools
import os
import stat
import time
import uuid
from concurrent.futures import Future
from typing import Any

from mlgit.objects.copying import Tell, clone, copy_and_hash, digest_of
from mlgit.objects.drivers import Found, check_sent, damaged_on_the_way
from mlgit.objects.parallel import Done, Threads
from mlgit.objects.users import FRESH
from mlgit.objects.whole import LARGE, Whole

# Bytes that a folder is given or asked for at once, without a thread; unless one such call took
# so many seconds: then the next so many go to threads.
_AT_ONCE = 1 << 18
_SLOW = 0.01
_SLOW_FOR = 200
# What says that these two folders can't share files, rather than that this file can't be shared.
_APART = {
    errno.EXDEV, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL, errno.EPERM, errno.EROFS,
}  # fmt: skip
_NOT_THIS = {errno.EMLINK, errno.EACCES}


class FolderDriver:
    """A folder of this machine, or one that is mounted.

    Objects never change, so a remote on the same file system needn't hold copies of them: large
    ones share their blocks where that can be, and else the file itself is shared, by a hard link,
    as ``git clone`` has it between folders of one disk. To share a small file's blocks takes
    longer than to copy it, as the file system writes them to disk first.

    Args:
        root: The remote's folder.
        share: Whether that may be done.
    """

    parallel = 8

    def __init__(self, root: str, share: bool = True) -> None:
        self.root = root
        self._reflinks = self._links = share
        self._whole = Whole()
        # Folder → the group and rights of new files there; -1 where that isn't so simple.
        self._expected: dict[str, tuple[int, int]] = {}
        self._umask = os.umask(0o077)
        os.umask(self._umask)
        self._threads = Threads(self.parallel)
        self._slow = 0
        self._mark = uuid.uuid4().hex
        self._numbers = itertools.count(1)  # next() is atomic between threads

    def takes(self, method: str, size: int) -> int:
        """How many bytes of memory a put or get of a file takes while it is under way."""
        return min(size, 4 << 20)

    def start(self, method: str, *arguments: Any) -> Future[Any]:
        """Begin a method: in a thread, unless it takes less time than to hand it to one.

        Small files of a disk of this machine take 0.1 ms each; in eight threads, which wait for
        one another at each call of the system, four times that. A folder that is mounted from
        far away is found by its being slow.
        """
        work = getattr(self, method)
        if self._slow > 0 or not _is_small(method, arguments):
            self._slow -= 1
            return self._threads.start(work, *arguments)
        future: Future[Any]
        begun = time.monotonic()
        try:
            future = Done(work(*arguments))
        except Exception as error:
            future = Done(error=error)
        if time.monotonic() - begun > _SLOW:
            self._slow = _SLOW_FOR
        return future

    def settle(self) -> None:
        """Nothing: what runs in threads isn't cancelled."""

    def size(self, key: str) -> int | None:
        """How large a file is, or None where there is none."""
        try:
            return os.stat(f"{self.root}/{key}").st_size
        except FileNotFoundError:
            return None

    def put(
        self,
        path: str,
        key: str,
        size: int,
        sha256: str,
        tell: Tell,
        share: bool = False,
        whole: bool = False,
    ) -> None:
        """Put a file in: shared where it may be, else copied; then renamed."""
        target = f"{self.root}/{key}"
        temporary = f"{self.root}/objects/tmp/{self._mark}-{os.getpid():x}-{next(self._numbers):x}"
        made = True
        try:
            if share and size >= LARGE and self._clone(path, temporary, 0o444):
                digest = sha256 if whole else digest_of(temporary, tell)
            elif share and self._may_link(path, f"{self.root}/objects"):
                check_sent(sha256 if whole else digest_of(path, tell), sha256)
                made = False
                if self._link_in(path, target, size):
                    return
                made = True
                digest = self._copy(path, temporary, 0o444, tell)
            else:
                digest = self._copy(path, temporary, 0o444, tell)
            check_sent(digest, sha256)
            if self.size(key) == size:
                return  # somebody else was quicker
            try:
                os.rename(temporary, target)
            except FileNotFoundError:
                os.makedirs(os.path.dirname(target), exist_ok=True)
                os.rename(temporary, target)
            if size >= LARGE and digest == sha256:
                self._whole.note(target, sha256)
        finally:
            if made:
                _discard(temporary)

    def get(
        self,
        key: str,
        path: str,
        size: int | None,
        sha256: str,
        tell: Tell,
        share: bool = False,
    ) -> int:
        """Bring a file out: shared where it may be, else copied."""
        source = f"{self.root}/{key}"
        try:
            large = size is None or size >= LARGE
            known = share and large and self._whole.knows(source, sha256)
            if share and (
                (large and self._clone(source, path, 0o600)) or self._link_out(source, path)
            ):
                digest = sha256 if known else digest_of(path, tell)
            else:
                digest = self._copy(source, path, 0o600, tell)
            if digest != sha256:
                raise damaged_on_the_way(sha256)
            return os.stat(path).st_size if size is None else size
        except BaseException:
            _discard(path)  # for another attempt
            raise

    def linkable(self, key: str, into: str) -> str | None:
        """Where a file lies, if it is brought out by a link, and not by sharing its blocks.

        Args:
            key: The file.
            into: The folder that it is to be linked into.
        """
        source = f"{self.root}/{key}"
        probe = f"{into}/{self._mark}-{os.getpid():x}-{next(self._numbers):x}"
        try:
            if self._clone(source, probe, 0o600):
                _discard(probe)
                return None
            if os.stat(source).st_dev != os.stat(into).st_dev:
                return None
            return source if self._may_link(source, into) else None
        except OSError:
            return None  # who fetches it tells what is wrong

    # -- one file, or its blocks, for both sides

    def _clone(self, source: str, target: str, mode: int) -> bool:
        """Make a file that shares another's blocks, where the file system has that."""
        if not self._reflinks:
            return False
        with open(source, "rb") as shared:
            fd = _create(target, mode)
            try:
                self._reflinks = clone(shared.fileno(), fd)
            finally:
                os.close(fd)
        if not self._reflinks:
            _discard(target)
        return self._reflinks

    def _may_link(self, path: str, into: str) -> bool:
        """Whether a file is an object of ours, which nobody writes to, and a link to it is as a
        new file in that folder would be: of its group, and with the rights that one gets."""
        if not self._links:
            return False
        found = os.lstat(path)
        if not stat.S_ISREG(found.st_mode) or found.st_mode & 0o222:
            return False
        if found.st_uid != os.geteuid() or not self._looks_new(found, into):
            return False
        try:
            if time.time() - found.st_mtime > FRESH / 2:
                os.utime(path)  # long before it is old: who removes objects goes by this
        except OSError as error:
            return self._cannot_link(error)
        return True

    def _looks_new(self, found: os.stat_result, folder: str) -> bool:
        if folder not in self._expected:
            try:
                os.makedirs(folder, exist_ok=True)
                above = os.stat(folder)
            except OSError:
                return False
            group = above.st_gid if above.st_mode & stat.S_ISGID else os.getegid()
            rights = -1 if _has_acl(folder) else 0o444 & ~self._umask
            self._expected[folder] = (group, rights)
        return self._expected[folder] == (found.st_gid, found.st_mode & 0o777)

    def _link_in(self, path: str, target: str, size: int) -> bool:
        try:
            try:
                os.link(path, target)
            except FileNotFoundError:
                os.makedirs(os.path.dirname(target), exist_ok=True)
                os.link(path, target)
        except FileExistsError:
            return os.stat(target).st_size == size  # of another size: a crash left it
        except OSError as error:
            return self._cannot_link(error)
        return True

    def _link_out(self, source: str, path: str) -> bool:
        if not self._may_link(source, os.path.dirname(path)):
            return False
        try:
            os.link(source, path)
        except FileNotFoundError:
            raise
        except OSError as error:
            return self._cannot_link(error)
        return True

    def _cannot_link(self, error: OSError) -> bool:
        if error.errno in _APART:
            self._links = False  # found out once, not for each of many
        elif error.errno not in _NOT_THIS:
            raise error
        return False

    @staticmethod
    def _copy(path: str, target: str, mode: int, tell: Tell) -> str:
        source = os.open(path, os.O_RDONLY)
        try:
            fd = _create(target, mode)
            try:
                return copy_and_hash(source, fd, os.fstat(source).st_size, tell)
            finally:
                os.close(fd)
        finally:
            os.close(source)

    def find(self, folder: str) -> Found:
        """Every file below a folder."""
        found: Found = {}
        waiting = [folder]
        while waiting:
            here = waiting.pop()
            try:
                items = list(os.scandir(f"{self.root}/{here}"))
            except FileNotFoundError:
                continue
            for item in items:
                if item.is_dir(follow_symlinks=False):
                    waiting.append(f"{here}/{item.name}")
                    continue
                try:
                    info = item.stat()
                except FileNotFoundError:
                    continue
                found[f"{here}/{item.name}"] = (info.st_size, info.st_mtime)
        return found

    def delete(self, keys: list[str]) -> None:
        """Remove files."""
        for key in keys:
            try:
                os.unlink(f"{self.root}/{key}")
            except FileNotFoundError:
                pass


def _is_small(method: str, arguments: tuple[Any, ...]) -> bool:
    """Whether a call moves so little that it is done at once."""
    if method == "size":
        return True
    return method in ("put", "get") and arguments[2] is not None and arguments[2] <= _AT_ONCE


def _create(path: str, mode: int) -> int:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    try:
        return os.open(path, flags, mode)
    except FileNotFoundError:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        return os.open(path, flags, mode)


def _has_acl(folder: str) -> bool:
    try:
        return bool(os.getxattr(folder, "system.posix_acl_default"))
    except (OSError, AttributeError):
        return False


def _discard(path: str) -> None:
    try:
        os.unlink(path)
    except OSError:
        pass
