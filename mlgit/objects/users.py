"""Who puts objects into a clone now, so that nobody removes what they are about to name.

Between an object's being there and something's naming it lies a moment. A process that puts
objects keeps a locked file in ``objects/tmp/`` while it lives; objects that are newer than the
first of these files are nobody's to remove, nor those that were found there and made new.
"""

from __future__ import annotations

import fcntl
import os
import time
import weakref

SUFFIX = ".use"
# Seconds for which an object that is found there counts as new without being touched again:
# to touch it changes the time of every file that is a hard link to it.
FRESH = 86_400.0
_MOMENT = 5.0


class Use:
    """This process's mark, there until the object goes or the process dies.

    Args:
        folder: The ``objects/tmp`` folder.
    """

    def __init__(self, folder: str) -> None:
        self.path = f"{folder}/{os.getpid():x}-{os.urandom(6).hex()}{SUFFIX}"
        self.pid = os.getpid()
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        try:
            self.fd = os.open(self.path, flags, 0o666)
        except FileNotFoundError:
            os.makedirs(folder, exist_ok=True)
            self.fd = os.open(self.path, flags, 0o666)
        try:
            fcntl.flock(self.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            pass  # a file system without locks: the grace period has to do

        # Unlike __del__, it is run when the interpreter ends too.
        self.close = weakref.finalize(self, _release, self.path, self.fd, self.pid)


def _release(path: str, fd: int, pid: int) -> None:
    """Take a mark away; a forked child leaves its parent's alone."""
    if pid == os.getpid():
        try:
            os.unlink(path)
        except OSError:
            pass
    try:
        os.close(fd)
    except OSError:
        pass


def oldest_use(folder: str) -> float | None:
    """When the first of those who put objects now began, in Unix seconds; None without one.

    Marks of processes that died are removed.

    Args:
        folder: The ``objects/tmp`` folder.
    """
    begun = []
    try:
        names = [name for name in os.listdir(folder) if name.endswith(SUFFIX)]
    except OSError:
        return None
    for name in names:
        path = f"{folder}/{name}"
        try:
            fd = os.open(path, os.O_RDONLY)
        except OSError:
            continue
        try:
            modified = os.fstat(fd).st_mtime
            if _is_locked(fd):
                begun.append(modified)
            elif time.time() - modified > _MOMENT:
                os.unlink(path)
            else:
                begun.append(modified)  # it may be about to be locked
        except OSError:
            continue
        finally:
            os.close(fd)
    return min(begun, default=None)


def _is_locked(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return True  # it can't be told
    fcntl.flock(fd, fcntl.LOCK_UN)
    return False
