"""A worktree as a snapshot needs it: index, rules and configuration, read again when changed."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

from mlgit.git.attributes import Attributes
from mlgit.git.file_content import FileContents
from mlgit.git.ignore import IgnoreChain, IgnoreFile
from mlgit.git.worktree_files import SmallFiles, StatKey, is_racy, stat_key
from mlgit.git.worktree_index import GITLINK, TREE, IndexEntry, WorktreeIndex, read_index
from mlgit.git.worktree_scan import Scanner
from mlgit.git.worktree_settings import WorktreeSettings, read_settings

if TYPE_CHECKING:
    from mlgit.git.repository import Repository


class Worktree:
    """What is known of one repository's worktree, kept up to date from round to round.

    Args:
        repo: A repository that has a worktree.

    Attributes:
        contents: Hashes its files.
        scanner: Finds what has changed in it.
    """

    def __init__(self, repo: Repository) -> None:
        assert repo.worktree is not None
        self._repo = repo
        self._root = os.fsencode(os.path.abspath(repo.worktree))
        self._settings: WorktreeSettings = read_settings(repo)
        self._files = SmallFiles()
        self._index_path = os.path.join(repo.git_dir, "index")
        self._index: WorktreeIndex | None = None
        self._index_key: tuple[StatKey, bytes] | None = None
        self._index_fresh = True
        self._ignored: tuple[list[bytes | None], IgnoreChain] | None = None
        self._attributes = Attributes(self._gitattributes)
        self.contents = FileContents(repo.objects, self._settings, self._attributes)
        git_dirs = frozenset(
            os.fsencode(os.path.abspath(p)) for p in (repo.git_dir, repo.common_dir)
        )
        self.scanner = Scanner(self._settings, self._files, git_dirs, self._indexed)

    def absolute(self, path: bytes) -> bytes:
        """Where a path of the worktree lies."""
        return self._root.rstrip(b"/") + b"/" + path

    def begin(self) -> WorktreeIndex:
        """Start one round: read again what has changed of the index and the configuration."""
        index = self._load_index()
        if any(os.path.lexists(self.absolute(path)) for path in index.sparse_dirs):
            index = self._index = self._expanded(index)
        common = os.fsencode(self._repo.common_dir)
        outer = [b"/etc/gitattributes"]
        if self._settings.attributes_file is not None:
            outer.append(self._settings.attributes_file)
        self._attributes.begin(
            [(path, data) for path in outer if (data := self._files.read(path)) is not None],
            self._with_path(common + b"/info/attributes"),
            self._settings.ignore_case,
        )
        return index

    def ignored(self) -> IgnoreChain:
        """The ignore rules from outside the worktree, the same object while they stay."""
        paths = [
            self._settings.excludes_file,
            os.fsencode(self._repo.common_dir) + b"/info/exclude",
        ]
        found = [self._files.read(path) if path is not None else None for path in paths]
        if self._ignored is None or self._ignored[0] != found:
            chain = None
            for data in found:
                chain = IgnoreChain(chain, IgnoreFile(data or b"", b"", self._settings.ignore_case))
            assert chain is not None
            self._ignored = (found, chain)
        return self._ignored[1]

    def _with_path(self, path: bytes) -> tuple[bytes, bytes] | None:
        data = self._files.read(path)
        return None if data is None else (path, data)

    def _load_index(self) -> WorktreeIndex:
        """The index; one written very recently is known by its checksum as well as its stat."""
        looked = time.time_ns()
        try:
            key = stat_key(os.stat(self._index_path))
        except OSError:
            self._index_key = None
            if self._index is None or self._index.raw_entries:
                self._index = WorktreeIndex([], self._root)
            return self._index
        kept = self._index_key
        if self._index is not None and kept is not None and kept[0] == key:
            if not self._index_fresh:
                return self._index
            if any(kept[1]) and self._checksum() == kept[1]:
                self._index_fresh = is_racy(key, looked)
                return self._index
        checksum = self._checksum()
        self._index = read_index(self._index_path, self._root)
        self._index_key, self._index_fresh = (key, checksum), is_racy(key, looked)
        return self._index

    def _checksum(self) -> bytes:
        try:
            with open(self._index_path, "rb") as file:
                file.seek(-20, os.SEEK_END)
                return file.read()
        except OSError:
            return b""

    def _expanded(self, index: WorktreeIndex) -> WorktreeIndex:
        """A sparse index with its collapsed directories spelled out as Git would."""
        entries: list[IndexEntry] = []
        for entry in index.raw_entries:
            entries.extend(self._expand(entry) if entry.mode == TREE else [entry])
        return WorktreeIndex(entries, self._root, index.mtime)

    def _expand(self, entry: IndexEntry) -> Iterable[IndexEntry]:
        data = self._repo.objects.read(entry.sha.hex())[1]
        at = 0
        while at < len(data):
            space = data.index(b" ", at)
            end = data.index(b"\0", space)
            mode, name = int(data[at:space], 8), entry.path + data[space + 1 : end]
            child = entry._replace(path=name, mode=mode, sha=data[end + 1 : end + 21])
            if mode == TREE:
                yield from self._expand(child._replace(path=name + b"/"))
            else:
                yield child
            at = end + 21

    def _gitattributes(self, directory: bytes) -> bytes | None:
        path = directory + b".gitattributes"
        data = self._files.read(self.absolute(path), follow=False)
        return data if data is not None else self._indexed(path)

    def _indexed(self, path: bytes) -> bytes | None:
        entry = self._index.find(path) if self._index is not None else None
        if entry is None or not entry.settled or entry.mode == GITLINK:
            return None
        return self._repo.objects.read(entry.sha.hex())[1]
