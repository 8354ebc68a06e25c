"""Which large objects of a clone were found whole, by (inode, size, mtime_ns).

To hash a large object takes longer than all else that is done with it. One that was hashed on
its way in, and whose file is as it was then, needn't be read again before it is linked or
copied; ``mlgit fsck`` reads them all.
"""

from __future__ import annotations

import os

from mlgit.objects.manifest import Entry
from mlgit.objects.memory import FolderMemory, Row, signed, stamp

# Smaller ones are hashed sooner than looked up.
LARGE = 8 << 20


class Whole:
    """What is known of one folder of objects.

    The file is opened for each question: they are few, and a forked child asks too.

    Args:
        root: The ``objects`` folder.
    """

    def __init__(self, root: str) -> None:
        self._path = f"{root}/whole.sqlite"

    def note(self, path: str, sha256: str) -> None:
        """Remember that a large object's file, as it lies there now, has the right bytes."""
        try:
            found = os.stat(path)
        except OSError:
            return  # removed already
        memory = FolderMemory(self._path)
        memory.put((found.st_dev, found.st_ino), _row(found, sha256))
        memory.close()

    def knows(self, path: str, sha256: str) -> bool:
        """Whether that was noted of an object, and its file hasn't changed since."""
        try:
            found = os.stat(path)
        except OSError:
            return False
        if found.st_size < LARGE or not os.path.exists(self._path):
            return False
        memory = FolderMemory(self._path)
        row = memory.get((found.st_dev, found.st_ino))
        memory.close()
        return row == _row(found, sha256)


def _row(found: os.stat_result, sha256: str) -> Row:
    # Not the ctime: every further link changes it.
    marks = (b"", "f", signed(found.st_ino), found.st_size, found.st_mtime_ns, 0)
    entry = Entry("f", sha256, found.st_size)
    return Row(stamp([marks]), bytes.fromhex(sha256), b"", entry)
