"""The code exactly as it lies in the worktree, as a tree of Git.

What is recorded is what `git add --all` would stage, with limits on untracked files and without
what looks like a secret. Nothing of the repository is touched but its object store: not the
index, the worktree, HEAD or the stash. No hook and no configured filter is run.
"""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mlgit.git.file_content import FileRecord
from mlgit.git.secrets import secret_name
from mlgit.git.submodules import git_dir_of, head_commit, is_dirty
from mlgit.git.tree_writer import Overlay, TreeWriter
from mlgit.git.worktree import Worktree
from mlgit.git.worktree_files import StatKey, is_racy, stat_key
from mlgit.git.worktree_index import GITLINK, IndexEntry, WorktreeIndex
from mlgit.git.worktree_scan import Scan

if TYPE_CHECKING:
    from mlgit.git.repository import Repository

_EMPTY_TREE = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
# Beyond this many of one folder, files that are left out are told by their number alone.
_NAMED_OF_FOLDER = 10
_HEAP = 50


@dataclass(frozen=True)
class LeftOut:
    """A path whose content, or all of it, is not in the snapshot.

    Attributes:
        path: Relative to the worktree; bytes that aren't UTF-8 as surrogates (os.fsdecode).
            A directory ends in ``/``.
        reason: "size", "count", "secret-name", "secret-content: …" (for a tracked file the
            committed version is recorded), "filter:…", "filter:lfs content" (the pointer is
            recorded), "working-tree-encoding:…", "special file", "nested repository",
            "virtual environment", "folder of a tool", "submodule with changes of its own",
            "assume-unchanged", "skip-worktree" or "unreadable". For a folder with many files,
            "size: 12 files".
    """

    path: str
    reason: str


@dataclass
class Snapshot:
    """What `Snapshotter.take` recorded.

    Attributes:
        tree: The tree; None where there is no worktree.
        commit: The commit that is checked out; None on an unborn branch.
        branch: The branch, None where HEAD is detached.
        dirty: Whether the tree differs from the commit's, a change to a tracked file could not
            be recorded, or a submodule has changes of its own. Untracked files that were left
            out don't count.
        left_out: What is not in the tree, sorted by path.
        dirty_submodules: Submodules with changes that their recorded commit doesn't hold.
    """

    tree: str | None
    commit: str | None
    branch: str | None
    dirty: bool = False
    left_out: list[LeftOut] = field(default_factory=list)
    dirty_submodules: list[str] = field(default_factory=list)
    taken_ns: int = field(default=0, repr=False)
    _stats: dict[bytes, StatKey] = field(default_factory=dict, repr=False, compare=False)
    _overlay: Overlay = field(default_factory=dict, repr=False, compare=False)
    _index: WorktreeIndex | None = field(default=None, repr=False, compare=False)


class Snapshotter:
    """Takes snapshots of one repository's worktree, each cheaper for those before it.

    Git's configuration is read once. Calls from several threads wait for one another.

    Args:
        repo: The repository.
        max_untracked_bytes: A larger untracked file is left out.
        max_untracked_files: More untracked files are left out; those nearest the top of the
            worktree are kept.
    """

    def __init__(
        self,
        repo: Repository,
        max_untracked_bytes: int = 1 << 20,
        max_untracked_files: int = 100,
    ) -> None:
        self._repo = repo
        self._max_bytes = max_untracked_bytes
        self._max_files = max_untracked_files
        self._lock = threading.Lock()
        self._worktree = Worktree(repo) if repo.worktree is not None else None
        self._trees = TreeWriter(repo.objects)
        self._commit_trees: dict[str, str] = {}

    def take(self) -> Snapshot:
        """Record the worktree as it is now.

        Returns:
            The snapshot; every object that its tree names is in the object store.

        Raises:
            CorruptData: The index can't be parsed.
            Unsupported: It needs a feature of Git that mlgit doesn't know.
            StorageError: The disk is full.
        """
        with self._lock:
            head = self._repo.head()
            if self._worktree is None:
                return Snapshot(None, head.commit, head.branch)
            return self._take(self._worktree, head.commit, head.branch)

    def changed_since(self, snapshot: Snapshot) -> list[str]:
        """The snapshot's files that have changed on disk since it was taken.

        Args:
            snapshot: One that this object took.

        Returns:
            Paths whose content or mode differs, or that are gone, sorted. New files and
            submodules are not looked at.
        """
        if self._worktree is None or snapshot._index is None:
            return []
        with self._lock:
            self._worktree.begin()
            changed = [
                path
                for path, key in snapshot._stats.items()
                if self._changed(self._worktree, snapshot, path, key)
            ]
        return sorted(os.fsdecode(path) for path in changed)

    def _take(self, worktree: Worktree, commit: str | None, branch: str | None) -> Snapshot:
        taken = time.time_ns()
        head_tree = self._tree_of(commit) if commit is not None else None
        index = worktree.begin()
        scan = worktree.scanner.scan(index, worktree.ignored())
        overlay: Overlay = dict.fromkeys(scan.gone)
        left_out = dict(scan.left_out)
        unrecorded = self._tracked(worktree, scan, overlay, left_out)
        self._untracked(worktree, scan, overlay, left_out)
        dirty_submodules = _submodules(scan.gitlinks, overlay)
        for path in dirty_submodules:
            left_out[os.fsencode(path)] = "submodule with changes of its own"
        tree = self._trees.write(index.root, overlay, head_tree)
        return Snapshot(
            tree,
            commit,
            branch,
            tree != (head_tree or _EMPTY_TREE) or unrecorded or bool(dirty_submodules),
            [LeftOut(os.fsdecode(path), reason) for path, reason in sorted(left_out.items())],
            dirty_submodules,
            taken,
            scan.stats,
            overlay,
            index,
        )

    def _tracked(
        self, worktree: Worktree, scan: Scan, overlay: Overlay, left_out: dict[bytes, str]
    ) -> bool:
        """Record tracked files that may differ from the index; True: some change couldn't be."""
        unrecorded = scan.unrecorded
        for entry, abspath in scan.unmatched:
            record = worktree.contents.record(entry.path, abspath, entry)
            if record.reason:
                left_out[entry.path] = record.reason
                unrecorded = unrecorded or record.reason != "filter:lfs content"
            item = _item(record)
            if item != (entry.mode, entry.sha) or not entry.settled:
                overlay[entry.path] = item
            if record.gone:
                scan.stats.pop(entry.path, None)
        return unrecorded

    def _untracked(
        self, worktree: Worktree, scan: Scan, overlay: Overlay, left_out: dict[bytes, str]
    ) -> None:
        taken = 0
        piles: dict[tuple[bytes, str], list[bytes]] = {}
        crowd = Counter(path.rpartition(b"/")[0] for path, _ in scan.untracked)

        def place(file: tuple[bytes, bytes]) -> tuple[bool, int, bytes]:
            # Code lies near the top; heaps of data deep, or by the hundred in one folder.
            return crowd[file[0].rpartition(b"/")[0]] > _HEAP, file[0].count(b"/"), file[0]

        for path, abspath in sorted(scan.untracked, key=place):
            if secret_name(path) is not None:
                left_out[path] = "secret-name"
                continue
            try:
                found = os.lstat(abspath)
            except OSError:
                continue
            if found.st_size > self._max_bytes:
                piles.setdefault((_top(path), "size"), []).append(path)
            elif taken >= self._max_files:
                piles.setdefault((_top(path), "count"), []).append(path)
            else:
                record = worktree.contents.record(path, abspath, None)
                if record.reason:
                    left_out[path] = record.reason
                if record.sha is not None:
                    taken += 1
                    overlay[path] = _item(record)
                    scan.stats[path] = stat_key(found)
        for (top, reason), paths in piles.items():
            if len(paths) > _NAMED_OF_FOLDER:
                left_out[top] = f"{reason}: {len(paths)} files"
            else:
                left_out.update(dict.fromkeys(paths, reason))

    def _changed(self, worktree: Worktree, snapshot: Snapshot, path: bytes, key: StatKey) -> bool:
        abspath = worktree.absolute(path)
        try:
            now = stat_key(os.lstat(abspath))
        except OSError:
            return True
        if now == key and not is_racy(key, snapshot.taken_ns):
            return False
        assert snapshot._index is not None
        entry = snapshot._index.find(path)
        before = snapshot._overlay.get(path) or (entry and (entry.mode, entry.sha))
        record = worktree.contents.record(path, abspath, entry, write=False)
        if record.reason and record.reason != "filter:lfs content":
            return now != key  # its content isn't in the snapshot; only the stat can tell
        return _item(record) != before

    def _tree_of(self, commit: str) -> str:
        tree = self._commit_trees.get(commit)
        if tree is None:
            tree = self._repo.objects.read(commit)[1][5:45].decode()
            self._commit_trees = {commit: tree}
        return tree


def _item(record: FileRecord) -> tuple[int, bytes] | None:
    return None if record.sha is None else (record.mode, record.sha)


def _top(path: bytes) -> bytes:
    """The folder at the top of the worktree that a path is in, with its slash."""
    return path[: path.find(b"/") + 1] or b"./"


def _submodules(gitlinks: list[tuple[IndexEntry, bytes]], overlay: Overlay) -> list[str]:
    """Record each submodule's own HEAD; the result names those with further changes."""
    dirty = []
    for entry, abspath in gitlinks:
        git_dir = git_dir_of(abspath)
        commit = head_commit(git_dir) if git_dir is not None else None
        if git_dir is None or commit is None:
            continue
        if commit != entry.sha.hex() or not entry.settled:
            overlay[entry.path] = (GITLINK, bytes.fromhex(commit))
        if is_dirty(abspath, git_dir):
            dirty.append(os.fsdecode(entry.path))
    return dirty
