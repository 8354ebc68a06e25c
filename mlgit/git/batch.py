"""The objects of one commit, written together."""

from __future__ import annotations

import os

from mlgit.git.objects import ObjectStore, object_id
from mlgit.git.packfile import packed, write_small
from mlgit.git.packing import remember_small

# A run has about 14 objects. To make a file takes most of the time of writing a loose one,
# on some file systems half a millisecond: one pack and its index are two files.
_FEW = 4
_MANY_BYTES = 16 << 20


class ObjectBatch:
    """Objects that become readable together, as one small pack.

    It is written to as the store is, and ``flush`` makes what was written readable. Where the
    process dies before ``release``, a pack stays that nothing leads to, until packs are joined.

    Args:
        objects: The store.
        state_dir: Where packs made here are noted, to be joined later.
    """

    def __init__(self, objects: ObjectStore, state_dir: str) -> None:
        self.objects = objects
        self.state_dir = state_dir
        self._pending: dict[str, tuple[str, bytes]] = {}
        self._bytes = 0
        self._kept: list[str] = []

    def write(self, kind: str, data: bytes) -> str:
        """Add one object and return its name; see ``ObjectStore.write``."""
        sha = object_id(kind, data)
        if sha not in self._pending:
            self._pending[sha] = (kind, data)
            self._bytes += len(data)
            if self._bytes > _MANY_BYTES:
                self.flush()
        return sha

    def blob(self, sha: str) -> bytes:
        """The content of a blob that the store has."""
        return self.objects.blob(sha)

    def tree(self, sha: str) -> bytes:
        """The content of a tree that the store has."""
        return self.objects.tree(sha)

    def flush(self) -> None:
        """Make everything readable.

        Raises:
            StorageError, PermissionDenied: It can't be written.
        """
        pending, self._pending, self._bytes = self._pending, {}, 0
        if len(pending) < _FEW:
            for kind, data in pending.values():
                self.objects.write(kind, data)
            return
        entries = {sha: packed(kind, data, 1) for sha, (kind, data) in pending.items()}
        name = write_small(self.objects.pack_dir, entries)
        self._kept.append(f"{self.objects.pack_dir}/{name}.keep")
        remember_small(self.state_dir, name)

    def release(self) -> None:
        """To be called when a ref leads to the objects: ``git gc`` may have them from now on."""
        for path in self._kept:
            try:
                os.unlink(path)
            except OSError:
                pass
        self._kept = []
