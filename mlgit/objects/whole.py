"""Which large objects were found whole, by (device, inode, size, mtime_ns).

To hash a large object takes longer than all else that is done with it. One that was hashed on
its way in, and whose file is as it was then, needn't be read again before it is linked or
copied; ``mlgit fsck`` reads them all. A person's clones and the folders that they share files
with are many, and a file is one: what is known of it is kept with the person's caches.
"""

from __future__ import annotations

import os

from mlgit import settings
from mlgit.objects.manifest import Entry
from mlgit.objects.memory import FolderMemory, Row, signed, stamp

# Smaller ones are hashed sooner than looked up.
LARGE = 8 << 20


class Whole:
    """What this person's processes know, wherever the objects lie.

    The file is opened for each question: they are few, and a forked child asks too.
    """

    def __init__(self) -> None:
        self._path = f"{settings.cache_home()}/mlgit/whole.sqlite"

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
