"""Folders that a model lies in for a while: while it is being logged, or after it was loaded.

They are in the repository's state folder, so that files move into the object store, and come
out of it as links, without a copy. A locked folder is in use; those whose processes died are
removed by who makes the next one.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import time
import weakref

from mlgit.exceptions import from_os_error

# A folder may be this old, in seconds, before the lock that isn't there says anything.
_GRACE = 60.0


class Workspace:
    """A new folder, removed when it is closed, garbage, or the interpreter ends.

    Args:
        above: The folder to make it in; the system's temporary one where None.

    Attributes:
        path: The folder.
    """

    def __init__(self, above: str | None = None) -> None:
        try:
            if above is not None:
                os.makedirs(above, exist_ok=True)
                _remove_dead(above)
            self.path = tempfile.mkdtemp(prefix="model-", dir=above)
            self._fd = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
        except OSError as error:
            raise from_os_error(error, "make room for a model") from error
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            pass  # a file system without locks
        self._finalizer = weakref.finalize(self, _remove, self.path, self._fd, os.getpid())

    def close(self) -> None:
        """Remove it, unless it is to be kept."""
        if self not in _kept:
            self._finalizer()

    def keep(self) -> None:
        """Leave it there until the interpreter ends: something holds its path."""
        _kept.append(self)


_kept: list[Workspace] = []


def _remove(path: str, fd: int, pid: int) -> None:
    if pid == os.getpid():  # not in a forked child
        shutil.rmtree(path, ignore_errors=True)
    try:
        os.close(fd)
    except OSError:
        pass


def _remove_dead(above: str) -> None:
    with os.scandir(above) as entries:
        found = [entry.path for entry in entries if entry.name.startswith("model-")]
    for path in found:
        try:
            if time.time() - os.stat(path).st_mtime < _GRACE:
                continue
            fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        except OSError:
            continue
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(path, ignore_errors=True)
        except OSError:
            pass  # in use
        finally:
            os.close(fd)
