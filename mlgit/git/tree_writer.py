"""Tree objects from an index and the paths that differ from it."""

from __future__ import annotations

import hashlib
import time
from typing import TYPE_CHECKING

from mlgit.git.worktree_index import TREE, TrackedDir

if TYPE_CHECKING:
    from mlgit.git.objects import ObjectStore

# (mode, raw sha) of a path, or None where it isn't in the tree.
Overlay = dict[bytes, tuple[int, bytes] | None]

# Git prunes unreachable objects when they are weeks old; what was written is written again
# (which freshens it) long before that.
_TRUST_SECONDS = 3600.0


class _Changes:
    """The overlay of one directory and those below it."""

    __slots__ = ("dirs", "files")

    def __init__(self) -> None:
        self.files: Overlay = {}
        self.dirs: dict[bytes, _Changes] = {}


class TreeWriter:
    """Writes trees, leaving alone those that the object store is known to have.

    Args:
        objects: Where to write.
    """

    def __init__(self, objects: ObjectStore) -> None:
        self._objects = objects
        self._known: set[bytes] = set()
        self._compared: tuple[TrackedDir, str] | None = None
        self._last: tuple[TrackedDir, Overlay, bytes] | None = None
        self._expires = 0.0

    def write(self, root: TrackedDir, overlay: Overlay, head_tree: str | None) -> str:
        """The tree of an index with some paths replaced.

        Args:
            root: The index's top directory.
            overlay: Path → what to record for it; its blobs are in the object store.
            head_tree: The commit's tree, whose objects are known to exist.

        Returns:
            The sha of the tree; it and all that it names exist.
        """
        if time.monotonic() > self._expires:
            self._known.clear()
            self._compared = self._last = None
            self._expires = time.monotonic() + _TRUST_SECONDS
        last = self._last
        if last is not None and last[0] is root and last[1] == overlay:
            return last[2].hex()
        if head_tree is not None and self._compared != (root, head_tree):
            self._compare(root, head_tree)
            self._compared = (root, head_tree)
        sha = self._build(root, _nest(overlay)) or self._store([])
        self._last = (root, overlay, sha)
        return sha.hex()

    def _compare(self, directory: TrackedDir, tree: str) -> None:
        """Learn which of the index's trees the commit has."""
        sha = index_tree(directory)
        if sha is None or sha in self._known:
            return
        if sha.hex() == tree:
            self._know(directory)
            return
        theirs = dict(subtrees(self._objects.read(tree)[1]))
        for name, below in directory.subdirs.items():
            if name in theirs:
                self._compare(below, theirs[name])

    def _know(self, directory: TrackedDir) -> None:
        sha = index_tree(directory)
        if sha is not None:
            self._known.add(sha)
        for below in directory.subdirs.values():
            self._know(below)

    def _build(self, directory: TrackedDir | None, changes: _Changes | None) -> bytes | None:
        """Write one directory's tree; None: nothing is in it."""
        if changes is None:
            return self._unchanged(directory) if directory is not None else None
        items = dict(directory.items) if directory is not None else {}
        for name, item in changes.files.items():
            if item is None:
                items.pop(name, None)
            else:
                items[name] = item
        below = directory.subdirs if directory is not None else {}
        for name in {**below, **changes.dirs}:
            sha = self._build(below.get(name), changes.dirs.get(name))
            # A path that became a file wins over entries kept for a directory of its name.
            if sha is not None and not changes.files.get(name):
                items[name] = (TREE, sha)
        return self._store(_serialized(items)) if items else None

    def _unchanged(self, directory: TrackedDir) -> bytes | None:
        sha = index_tree(directory)
        if sha is None or sha in self._known:
            return sha
        for below in directory.subdirs.values():
            self._unchanged(below)
        return self._store(_index_items(directory))

    def _store(self, parts: list[bytes]) -> bytes:
        data = b"".join(parts)
        sha = tree_sha(data)
        if sha not in self._known:
            self._objects.write("tree", data)
            self._known.add(sha)
        return sha


def tree_sha(data: bytes) -> bytes:
    """The raw name of a tree object."""
    return hashlib.sha1(b"tree %d\0" % len(data) + data).digest()


def subtrees(data: bytes) -> list[tuple[bytes, str]]:
    """(name, sha) of the directories in a tree object."""
    found, at = [], 0
    while at < len(data):
        space = data.index(b" ", at)
        end = data.index(b"\0", space)
        if data[at:space] == b"40000":
            found.append((data[space + 1 : end], data[end + 1 : end + 21].hex()))
        at = end + 21
    return found


def _index_items(directory: TrackedDir) -> list[bytes]:
    items = dict(directory.items)
    for name, below in directory.subdirs.items():
        sha = index_tree(below)
        if sha is not None:
            items[name] = (TREE, sha)
    return _serialized(items)


def index_tree(directory: TrackedDir) -> bytes | None:
    """The raw sha of the tree that the index alone gives a directory; None: it is empty."""
    if directory.tree is None:
        parts = _index_items(directory)
        directory.tree = tree_sha(b"".join(parts)) if parts else b""
    return directory.tree or None


def _serialized(items: dict[bytes, tuple[int, bytes]]) -> list[bytes]:
    # Git sorts a directory as if its name ended in a slash.
    ordered = sorted(
        (name + b"/" if mode == TREE else name, name, mode, sha)
        for name, (mode, sha) in items.items()
    )
    return [b"%o %s\0%s" % (mode, name, sha) for _, name, mode, sha in ordered]


def _nest(overlay: Overlay) -> _Changes | None:
    if not overlay:
        return None
    root = _Changes()
    for path, item in overlay.items():
        *folders, name = path.split(b"/")
        node = root
        for folder in folders:
            node = node.dirs.setdefault(folder, _Changes())
        node.files[name] = item
    return root
