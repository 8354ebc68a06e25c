"""One pass over a worktree: which tracked files may have changed, what is untracked.

Costs one lstat a tracked file and one a directory. Directories are listed again only when
their own time has changed, and ignored ones are never entered.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mlgit.git.ignore import IgnoreChain, IgnoreFile
from mlgit.git.submodules import git_dir_of
from mlgit.git.worktree_files import SmallFiles, StatKey, is_racy, stat_key
from mlgit.git.worktree_index import (
    ASSUME_VALID,
    GITLINK,
    SKIP_WORKTREE,
    IndexEntry,
    TrackedDir,
    WorktreeIndex,
)

if TYPE_CHECKING:
    from mlgit.git.worktree_settings import WorktreeSettings

_LINK, _FILE, _DIR, _SPECIAL = "link", "file", "dir", "special"
_NOWHERE = TrackedDir(b"", b"")
_TOOLS = {
    b"mlruns",
    b"mlartifacts",
    b"wandb",
    b"node_modules",
    b"__pycache__",
    b".ipynb_checkpoints",
    b".pytest_cache",
    b".mypy_cache",
    b".ruff_cache",
    b".tox",
}


@dataclass
class Scan:
    """What one pass found; paths are relative to the worktree.

    Attributes:
        stats: The stat of every file that may be recorded.
        unmatched: Tracked files whose stat doesn't vouch for the index's content.
        gone: Tracked paths that aren't files of the worktree any more.
        gitlinks: Submodules, with their absolute path.
        untracked: (path, absolute path) of untracked, unignored files and links.
        left_out: (path, reason) of what can't be recorded.
        unrecorded: Whether some of that is tracked.
    """

    stats: dict[bytes, StatKey] = field(default_factory=dict)
    unmatched: list[tuple[IndexEntry, bytes]] = field(default_factory=list)
    gone: list[bytes] = field(default_factory=list)
    gitlinks: list[tuple[IndexEntry, bytes]] = field(default_factory=list)
    untracked: list[tuple[bytes, bytes]] = field(default_factory=list)
    left_out: list[tuple[bytes, str]] = field(default_factory=list)
    unrecorded: bool = False


@dataclass
class _Listing:
    """A directory's names, and which of those that aren't tracked are not ignored either."""

    key: StatKey
    fresh: bool  # listed so soon after a change that another one may not show
    names: list[tuple[bytes, str]]
    special: frozenset[bytes]  # which of Git's own files are here
    judged_for: tuple[TrackedDir, IgnoreChain] | None = None
    wanted: list[tuple[bytes, str]] = field(default_factory=list)


class Scanner:
    """Scans one worktree again and again.

    Args:
        settings: Git's settings for it.
        files: Reads .gitignore files.
        git_dirs: Absolute paths that are never entered: the repository's own directories.
        indexed: Reads a path's blob in the index, for .gitignore files that a sparse checkout
            left out.
    """

    def __init__(
        self,
        settings: WorktreeSettings,
        files: SmallFiles,
        git_dirs: frozenset[bytes],
        indexed: Callable[[bytes], bytes | None],
    ) -> None:
        self._settings = settings
        self._files = files
        self._git_dirs = git_dirs
        self._indexed = indexed
        self._listings: dict[bytes, _Listing] = {}
        self._chains: dict[bytes, tuple[IgnoreChain, bytes, IgnoreChain]] = {}
        self._matched: dict[bytes, StatKey] = {}
        self._index: WorktreeIndex | None = None
        self._scan = Scan()

    def scan(self, index: WorktreeIndex, ignored: IgnoreChain) -> Scan:
        """Look at the whole worktree.

        Args:
            index: What is tracked.
            ignored: The rules from outside the worktree, the same object while they stay.

        Returns:
            What was found.
        """
        if index is not self._index:
            self._index = index
            self._matched = {}
        self._scan = Scan()
        self._directory(index.root, index.root.path, index.root.abspath, ignored, True)
        return self._scan

    def _directory(
        self,
        tracked: TrackedDir,
        path: bytes,
        abspath: bytes,
        chain: IgnoreChain,
        look: bool,
        found: os.stat_result | None = None,
    ) -> None:
        """Scan a directory; ``look``: whether its untracked files count."""
        matched, stats, lstat = self._matched, self._scan.stats, os.lstat
        for entry, file in tracked.entries:
            try:
                st = lstat(file)
            except OSError as error:
                self._missing(entry, error)
                continue
            key = (st.st_mtime_ns, st.st_ctime_ns, st.st_ino, st.st_size, st.st_mode)
            if matched.get(entry.path) == key:
                stats[entry.path] = key
            else:
                self._compare(entry, file, st, key)
        wanted: list[tuple[bytes, str]] = []
        if look:
            listing = self._list(abspath, path, found)
            if listing is not None:
                chain = self._chain(tracked, path, abspath, chain, listing)
                wanted = self._judge(listing, tracked, path, chain)
        for below in tracked.subdirs.values():
            self._tracked_below(below, chain, look)
        for name, kind in wanted:
            self._untracked(path + name, _join(abspath, name), kind, chain)

    def _tracked_below(self, below: TrackedDir, chain: IgnoreChain, look: bool) -> None:
        try:
            found = os.lstat(below.abspath)
        except OSError as error:
            self._all_missing(below, error)
            return
        if not stat.S_ISDIR(found.st_mode):
            self._all_missing(below, NotADirectoryError())
            return
        # Git looks for untracked files in no ignored directory, even if it has tracked ones.
        look = look and not chain.ignores(below.path[:-1], True)
        self._directory(below, below.path, below.abspath, chain, look, found)

    def _missing(self, entry: IndexEntry, error: OSError) -> None:
        if isinstance(error, PermissionError):
            self._unrecorded(entry.path, "unreadable")
        elif not entry.flags & (SKIP_WORKTREE | ASSUME_VALID):
            self._scan.gone.append(entry.path)

    def _unrecorded(self, path: bytes, reason: str) -> None:
        self._scan.left_out.append((path, reason))
        self._scan.unrecorded = True

    def _all_missing(self, directory: TrackedDir, error: OSError) -> None:
        for entry, _ in directory.entries:
            self._missing(entry, error)
        for below in directory.subdirs.values():
            self._all_missing(below, error)

    def _compare(self, entry: IndexEntry, file: bytes, st: os.stat_result, key: StatKey) -> None:
        """A tracked path whose stat isn't the one that matched last time."""
        scan = self._scan
        mode = st.st_mode
        if stat.S_ISDIR(mode):
            if entry.mode == GITLINK:
                scan.gitlinks.append((entry, file))
            else:
                scan.gone.append(entry.path)
            return
        same = self._matches_index(entry, st)
        hidden = entry.flags & ASSUME_VALID or (
            entry.flags & SKIP_WORKTREE and not self._settings.sparse_checkout
        )
        if hidden:
            # The person told Git to look away; the record says that the code may differ.
            if not same:
                flag = "assume-unchanged" if entry.flags & ASSUME_VALID else "skip-worktree"
                self._unrecorded(entry.path, flag)
            return
        if not (stat.S_ISREG(mode) or stat.S_ISLNK(mode)):
            scan.gone.append(entry.path)
            self._unrecorded(entry.path, "special file")
            return
        scan.stats[entry.path] = key
        if same and not self._racy(st):
            self._matched[entry.path] = key
        else:
            scan.unmatched.append((entry, file))

    def _matches_index(self, entry: IndexEntry, st: os.stat_result) -> bool:
        settings = self._settings
        if not entry.settled or entry.size != st.st_size & 0xFFFFFFFF:
            return False
        # Git writes size 0 for an entry that it couldn't vouch for.
        if not entry.size and entry.sha.hex() != "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391":
            return False
        if not self._same_mode(entry.mode, st.st_mode):
            return False
        seconds, nanoseconds = divmod(st.st_mtime_ns, 1_000_000_000)
        if entry.mtime[0] != seconds & 0xFFFFFFFF:
            return False
        if settings.minimal_stat:
            return True
        if entry.mtime[1] and entry.mtime[1] != nanoseconds:
            return False
        if settings.trust_ctime and entry.ctime[0] != st.st_ctime_ns // 1_000_000_000 & 0xFFFFFFFF:
            return False
        return (entry.ino, entry.uid, entry.gid) == (
            st.st_ino & 0xFFFFFFFF,
            st.st_uid & 0xFFFFFFFF,
            st.st_gid & 0xFFFFFFFF,
        )

    def _same_mode(self, indexed: int, found: int) -> bool:
        if stat.S_ISLNK(found):
            return stat.S_ISLNK(indexed)
        if stat.S_ISLNK(indexed):
            return not self._settings.symlinks
        if not stat.S_ISREG(indexed):
            return False
        return not self._settings.file_mode or bool(indexed & 0o100) == bool(found & 0o100)

    def _racy(self, st: os.stat_result) -> bool:
        """Whether the file may have changed in the tick in which the index was written."""
        assert self._index is not None
        return divmod(st.st_mtime_ns, 1_000_000_000) >= self._index.mtime

    def _list(self, abspath: bytes, path: bytes, found: os.stat_result | None) -> _Listing | None:
        try:
            key = stat_key(os.lstat(abspath) if found is None else found)
            kept = self._listings.get(abspath)
            if kept is not None and kept.key == key and not kept.fresh:
                return kept
            looked = time.time_ns()
            with os.scandir(abspath) as entries:
                names = sorted((entry.name, _kind(entry)) for entry in entries)
        except OSError:
            self._scan.left_out.append((path, "unreadable"))
            self._listings.pop(abspath, None)
            return None
        special = frozenset(name for name, _ in names if name in (b".gitignore", b".git"))
        if kept is not None and kept.names == names:
            kept.key, kept.fresh = key, is_racy(key, looked)
            return kept
        listing = _Listing(key, is_racy(key, looked), names, special)
        self._listings[abspath] = listing
        return listing

    def _chain(
        self,
        tracked: TrackedDir,
        path: bytes,
        abspath: bytes,
        parent: IgnoreChain,
        listing: _Listing,
    ) -> IgnoreChain:
        if b".gitignore" in listing.special:
            data = self._files.read(_join(abspath, b".gitignore"), follow=False)
        else:
            entry = tracked.names.get(b".gitignore")
            skipped = entry is not None and entry.flags & SKIP_WORKTREE
            data = self._indexed(path + b".gitignore") if skipped else None
        if not data:
            return parent
        kept = self._chains.get(path)
        if kept is not None and kept[0] is parent and kept[1] == data:
            return kept[2]
        chain = IgnoreChain(parent, IgnoreFile(data, path, self._settings.ignore_case))
        self._chains[path] = (parent, data, chain)
        return chain

    def _judge(
        self, listing: _Listing, tracked: TrackedDir, path: bytes, chain: IgnoreChain
    ) -> list[tuple[bytes, str]]:
        """The names of a directory that are neither tracked as they are nor ignored."""
        judged = listing.judged_for
        if judged is not None and judged[0] is tracked and judged[1] is chain:
            return listing.wanted
        wanted = []
        for name, kind in listing.names:
            entry = tracked.names.get(name)
            if entry is not None and (kind != _DIR or entry.mode == GITLINK):
                continue
            if (name in tracked.subdirs and kind == _DIR) or name.lower() == b".git":
                continue
            if not chain.ignores(path + name, kind == _DIR):
                wanted.append((name, kind))
        listing.judged_for, listing.wanted = (tracked, chain), wanted
        return wanted

    def _untracked(self, path: bytes, abspath: bytes, kind: str, chain: IgnoreChain) -> None:
        if kind == _SPECIAL:
            self._scan.left_out.append((path, "special file"))
        elif kind != _DIR:
            self._scan.untracked.append((path, abspath))
        elif abspath in self._git_dirs:
            return
        elif git_dir_of(abspath) is not None:
            self._scan.left_out.append((path + b"/", "nested repository"))
        elif reason := _not_code(abspath):
            self._scan.left_out.append((path + b"/", reason))
        else:
            self._directory(_NOWHERE, path + b"/", abspath, chain, True)


def _not_code(abspath: bytes) -> str | None:
    """Why an untracked folder isn't a person's code, or None: what tools make, by the thousand."""
    if abspath.rpartition(b"/")[2] in _TOOLS:
        return "folder of a tool"
    if os.path.lexists(abspath + b"/pyvenv.cfg"):
        return "virtual environment"
    if os.path.lexists(abspath + b"/HEAD") and os.path.isdir(abspath + b"/objects"):
        return "nested repository"
    return None


def _kind(entry: os.DirEntry[bytes]) -> str:
    if entry.is_symlink():
        return _LINK
    if entry.is_dir(follow_symlinks=False):
        return _DIR
    return _FILE if entry.is_file(follow_symlinks=False) else _SPECIAL


def _join(directory: bytes, name: bytes) -> bytes:
    return directory + name if directory == b"/" else directory + b"/" + name
