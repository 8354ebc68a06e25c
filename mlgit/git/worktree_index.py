"""Git's index file, read only: versions 2 to 4, split and sparse ones.

mlgit never writes or locks the index. Parsing is by hand because a run starts with it: entries
come out grouped by directory, in the form that scanning the worktree and building trees want.
The format is specified in Git's documentation, gitformat-index(5).
"""

from __future__ import annotations

import os
import struct
from typing import Any, NamedTuple

from mlgit.exceptions import CorruptData, Unsupported

ASSUME_VALID = 0x8000
SKIP_WORKTREE = 0x4000 << 16
INTENT_TO_ADD = 0x2000 << 16
_EXTENDED = 0x4000
_STAGE = 0x3000
_HEADER = struct.Struct(">4sLL")
_ENTRY = struct.Struct(">10L20sH")
_NULL_SHA = b"\0" * 20
GITLINK = 0o160000
TREE = 0o040000


class IndexEntry(NamedTuple):
    """One path of the index; ``sha`` is the raw 20 bytes, ``flags`` the two words as one."""

    path: bytes
    mode: int
    sha: bytes
    size: int
    mtime: tuple[int, int]
    ctime: tuple[int, int]
    ino: int
    uid: int
    gid: int
    flags: int

    @property
    def stage(self) -> int:
        """0, or which side of an unfinished merge this is."""
        return (self.flags & _STAGE) >> 12

    @property
    def settled(self) -> bool:
        """Whether ``sha`` is what the index holds for the path, and not a placeholder."""
        return not self.flags & (_STAGE | INTENT_TO_ADD)


class TrackedDir:
    """A directory that holds tracked files.

    Attributes:
        path: Relative to the worktree, with a trailing slash; b"" for the root.
        abspath: Absolute, without one.
        entries: The entries directly in it, each with its absolute path.
        items: Name → (mode, sha) of those that go into a tree as they are.
        subdirs: Name → directory.
        names: The names of ``entries``.
        tree: The sha of the tree that the index alone gives; filled in by the tree writer.
    """

    __slots__ = ("abspath", "entries", "items", "names", "path", "subdirs", "tree")

    def __init__(self, path: bytes, abspath: bytes) -> None:
        self.path = path
        self.abspath = abspath
        self.entries: list[tuple[IndexEntry, bytes]] = []
        self.items: dict[bytes, tuple[int, bytes]] = {}
        self.subdirs: dict[bytes, TrackedDir] = {}
        self.names: dict[bytes, IndexEntry] = {}
        self.tree: bytes | None = None


class WorktreeIndex:
    """A parsed index.

    Args:
        entries: Every entry, as parsed.
        worktree: The worktree's absolute path.
        mtime: The index file's own time, (seconds, nanoseconds); entries that are as new
            cannot be trusted by stat.
    """

    def __init__(
        self, entries: list[IndexEntry], worktree: bytes, mtime: tuple[int, int] = (0, 0)
    ) -> None:
        self.mtime = mtime
        self.raw_entries = entries
        self.sparse_dirs: list[bytes] = []
        self.root = TrackedDir(b"", worktree)
        self._prefix = b"" if worktree == b"/" else worktree
        self._dirs = {b"": self.root}
        for entry in _one_each(entries):
            self._place(entry)

    def find(self, path: bytes) -> IndexEntry | None:
        """The entry of a path (of "ours" in a merge), or None."""
        head, _, name = path.rpartition(b"/")
        found = self._dirs.get(head + b"/" if head else b"")
        return found.names.get(name) if found is not None else None

    def _place(self, entry: IndexEntry) -> None:
        path = entry.path
        if entry.mode == TREE:
            path = path[:-1]
            self.sparse_dirs.append(path)
        cut = path.rfind(b"/") + 1
        parent = self._dirs.get(path[:cut]) or self._directory(path[:cut])
        name = path[cut:]
        if entry.settled:
            parent.items[name] = (entry.mode, entry.sha)
        if entry.mode != TREE:
            parent.entries.append((entry, self._prefix + b"/" + path))
            parent.names[name] = entry

    def _directory(self, path: bytes) -> TrackedDir:
        found = self._dirs.get(path)
        if found is None:
            above, _, name = path[:-1].rpartition(b"/")
            parent = self._directory(above + b"/" if above else b"")
            found = TrackedDir(path, self._prefix + b"/" + path[:-1])
            parent.subdirs[name] = self._dirs[path] = found
        return found


def read_index(path: str, worktree: bytes) -> WorktreeIndex:
    """Parse an index file.

    Args:
        path: The index file; a missing one is an empty index.
        worktree: The absolute path of the worktree that it describes.

    Returns:
        The index.

    Raises:
        CorruptData: It doesn't follow the format.
        Unsupported: It needs an extension or a version that mlgit doesn't know.
    """
    try:
        with open(path, "rb") as file:
            found = os.fstat(file.fileno())
            data = file.read()
    except FileNotFoundError:
        return WorktreeIndex([], worktree)
    entries = parse_entries(data, os.path.dirname(path))
    return WorktreeIndex(entries, worktree, divmod(found.st_mtime_ns, 1_000_000_000))


def parse_entries(data: bytes, directory: str) -> list[IndexEntry]:
    """The entries of an index file's bytes.

    Args:
        data: The file.
        directory: Where it lies, and the shared part of a split index with it.

    Raises:
        CorruptData: The bytes don't follow the format.
        Unsupported: They need an extension or a version that mlgit doesn't know.
    """
    try:
        magic, version, count = _HEADER.unpack_from(data)
        if magic != b"DIRC":
            raise CorruptData("the index has no DIRC signature", hint="git status rebuilds it")
        if version not in (2, 3, 4):
            raise Unsupported(f"index version {version}", hint="git update-index --index-version 4")
        read = _compressed if version == 4 else _plain
        entries, at = read(data, count)
        return _apply_extensions(data, at, entries, directory)
    except (struct.error, IndexError, ValueError) as error:
        raise CorruptData(f"the index can't be parsed: {error}") from error


def _entry(values: tuple[Any, ...], flags: int, path: bytes) -> IndexEntry:
    cs, cn, ms, mn, _dev, ino, mode, uid, gid, size, sha, _ = values
    return IndexEntry(path, mode, sha, size, (ms, mn), (cs, cn), ino, uid, gid, flags)


def _plain(data: bytes, count: int) -> tuple[list[IndexEntry], int]:
    entries, at, unpack = [], _HEADER.size, _ENTRY.unpack_from
    for _ in range(count):
        values = unpack(data, at)
        flags, start = values[11], at + 62
        if flags & _EXTENDED:
            flags |= int.from_bytes(data[start : start + 2], "big") << 16
            start += 2
        length = flags & 0xFFF
        end = start + length if length < 0xFFF else data.index(b"\0", start)
        entries.append(_entry(values, flags, data[start:end]))
        at += (end - at + 8) & ~7  # one to eight NULs, up to a multiple of eight
    return entries, at


def _compressed(data: bytes, count: int) -> tuple[list[IndexEntry], int]:
    entries, at, path = [], _HEADER.size, b""
    for _ in range(count):
        values = _ENTRY.unpack_from(data, at)
        flags = values[11]
        at += 62
        if flags & _EXTENDED:
            flags |= int.from_bytes(data[at : at + 2], "big") << 16
            at += 2
        byte = data[at]
        strip = byte & 127
        while byte & 128:
            at += 1
            byte = data[at]
            strip = ((strip + 1) << 7) | (byte & 127)
        end = data.index(b"\0", at + 1)
        path = path[: len(path) - strip] + data[at + 1 : end]
        entries.append(_entry(values, flags, path))
        at = end + 1
    return entries, at


def _apply_extensions(
    data: bytes, at: int, entries: list[IndexEntry], directory: str
) -> list[IndexEntry]:
    while at + 8 <= len(data) - 20:
        name = data[at : at + 4]
        size = int.from_bytes(data[at + 4 : at + 8], "big")
        at += 8
        if name == b"link":
            entries = _join_split(data[at : at + size], entries, directory)
        elif name != b"sdir" and not 65 <= name[0] <= 90:
            raise Unsupported(f"index extension {os.fsdecode(name)}")
        at += size
    return entries


def _join_split(link: bytes, entries: list[IndexEntry], directory: str) -> list[IndexEntry]:
    """The entries of a split index: the shared part, less what was deleted, plus changes."""
    if link[:20] == _NULL_SHA:
        return entries
    shared = os.path.join(directory, f"sharedindex.{link[:20].hex()}")
    try:
        with open(shared, "rb") as file:
            base = parse_entries(file.read(), directory)
    except FileNotFoundError as error:
        raise CorruptData(f"the index needs {shared}, which is missing") from error
    if len(link) > 20:
        deleted, at = _bitmap(link, 20)
        replaced, _ = _bitmap(link, at)
    else:
        deleted, replaced = set(), set()
    changes = iter(entries)
    for position in sorted(replaced):
        base[position] = next(changes)._replace(path=base[position].path)
    kept = [entry for position, entry in enumerate(base) if position not in deleted]
    return sorted([*kept, *changes], key=lambda entry: (entry.path, entry.stage))


def _bitmap(data: bytes, at: int) -> tuple[set[int], int]:
    """The positions set in an EWAH bitmap (runs of equal words, then literal words)."""
    _bits, words = struct.unpack_from(">LL", data, at)
    values = struct.unpack_from(f">{words}Q", data, at + 8)
    positions: set[int] = set()
    word = position = 0
    while word < words:
        marker = values[word]
        run, literals = (marker >> 1) & 0xFFFFFFFF, marker >> 33
        if marker & 1:
            positions.update(range(position, position + 64 * run))
        position += 64 * run
        for literal in values[word + 1 : word + 1 + literals]:
            positions.update(position + bit for bit in range(64) if literal >> bit & 1)
            position += 64
        word += 1 + literals
    return positions, at + 8 + 8 * words + 4


def _one_each(entries: list[IndexEntry]) -> list[IndexEntry]:
    """One entry a path: of a conflict's stages "ours", or the nearest there is."""
    if not any(entry.flags & _STAGE for entry in entries):
        return entries
    chosen: dict[bytes, IndexEntry] = {}
    for entry in entries:
        if entry.path not in chosen or entry.stage == 2:
            chosen[entry.path] = entry
    return list(chosen.values())
