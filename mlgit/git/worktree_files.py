"""What is known of a file from its stat alone, and small files kept by it."""

from __future__ import annotations

import os
import stat
import time

# mtime, ctime, inode, size, mode: where all five are as they were, the content is too, unless
# the file was written so recently that a second write could carry the same time.
StatKey = tuple[int, int, int, int, int]

# The coarsest clock of the file systems in use (ext3, HFS+, NFS) ticks in whole seconds.
RACY_NS = 1_000_000_000


def stat_key(found: os.stat_result) -> StatKey:
    """The part of a stat result that changes when the file does."""
    return (
        found.st_mtime_ns,
        found.st_ctime_ns,
        found.st_ino,
        found.st_size,
        found.st_mode,
    )


def is_racy(key: StatKey, looked_ns: int) -> bool:
    """Whether a file may have changed after ``looked_ns`` without its stat telling.

    Args:
        key: The file's stat.
        looked_ns: When the file was read (time.time_ns()).
    """
    limit = looked_ns - RACY_NS
    return key[0] > limit or key[1] > limit


class SmallFiles:
    """Reads configuration files (.gitignore and the like) once for as long as they stay.

    ``read`` returns the identical object while the content is the same, so that whoever parses
    it can key on identity.
    """

    def __init__(self) -> None:
        self._kept: dict[bytes, tuple[StatKey, bool, bytes]] = {}

    def read(self, path: bytes, *, follow: bool = True) -> bytes | None:
        """The content of a file.

        Args:
            path: Where it is.
            follow: Whether a symbolic link is followed; Git follows none inside the worktree.

        Returns:
            The bytes, or None where there is no readable regular file.
        """
        try:
            found = os.stat(path) if follow else os.lstat(path)
        except OSError:
            self._kept.pop(path, None)
            return None
        if not stat.S_ISREG(found.st_mode):
            return None
        key = stat_key(found)
        kept = self._kept.get(path)
        if kept is not None and kept[0] == key and not kept[1]:
            return kept[2]
        looked = time.time_ns()
        try:
            with open(path, "rb") as file:
                data = file.read()
        except OSError:
            return None
        if kept is not None and kept[2] == data:
            data = kept[2]
        self._kept[path] = (key, is_racy(key, looked), data)
        return data
