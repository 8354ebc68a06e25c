"""Which data a worktree has: the pointers in it, and what was put beside them."""

from __future__ import annotations

import fcntl
import json
import os
import stat
from bisect import bisect_left
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from mlgit.exceptions import (
    InvalidParameterValue,
    MlgitException,
    NotARepository,
    ResourceDoesNotExist,
    from_os_error,
)
from mlgit.git import Repository
from mlgit.git.files import unlock_and_close
from mlgit.git.objects import object_id
from mlgit.git.worktree_index import WorktreeIndex, read_index
from mlgit.objects import Entry, LocalObjects
from mlgit.objects.memory import FolderMemory
from mlgit.objects.scan import PART
from mlgit.store.pointers import MAX_BYTES, SUFFIX, Pointer, is_pointer, parse_pointer

_FORMAT = 1


@dataclass(frozen=True)
class Placed:
    """What was last put, or found, at a path.

    Attributes:
        entry: The content.
        blob: The Git blob that the pointer's bytes make.
    """

    entry: Entry
    blob: str


class WorktreeData:
    """The data of one worktree.

    Args:
        repo: Its repository.

    Raises:
        NotARepository: The repository is bare.
    """

    def __init__(self, repo: Repository) -> None:
        if repo.worktree is None:
            raise NotARepository(
                "This repository is bare: it has no files to keep data beside",
                hint="work in a clone of it",
            )
        self.repo = repo
        self.root = repo.worktree
        self.objects = LocalObjects(f"{repo.state_dir}/objects")
        self.memory = FolderMemory(f"{repo.state_dir}/folders.sqlite")
        self._record = f"{repo.git_dir}/mlgit/data.json"
        self._index: WorktreeIndex | None = None
        self._tracked: list[bytes] | None = None

    def close(self) -> None:
        """Close what is open."""
        self.memory.close()

    def absolute(self, path: str) -> str:
        """Where a path of the worktree lies."""
        return os.path.join(self.root, path)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Be the only one that changes this worktree's data; what a killed one left is removed.

        Raises:
            StorageError, PermissionDenied: The lock's file can't be written.
        """
        path = f"{self.repo.git_dir}/mlgit/data.lock"
        try:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        except OSError as error:
            raise from_os_error(error, "lock the worktree's data") from error
        try:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX)
            except OSError:
                pass  # a file system without locks
            # It holds something while somebody is at work, and after he was killed.
            if os.read(fd, 1):
                self._sweep()
            os.pwrite(fd, b"1", 0)
            yield
            os.ftruncate(fd, 0)
        finally:
            unlock_and_close(fd)

    def _sweep(self) -> None:
        """Remove the half-written files that a killed process left."""
        for path in {*self.paths(), *self.placed()}:
            for folder, _, names in os.walk(self.absolute(path)):
                remove_parts(folder, names)
            parent = os.path.dirname(self.absolute(path))
            if os.path.isdir(parent):
                remove_parts(parent, os.listdir(parent))

    # -- paths

    def inside(self, path: str) -> str:
        """A path that a person gave, relative to the worktree's root.

        Args:
            path: Relative to the working directory, or absolute; a pointer file's path means
                the data's.

        Raises:
            InvalidParameterValue: It is outside the worktree, its root, Git's or mlgit's.
        """
        if not path or "\0" in path:
            raise InvalidParameterValue("The path is empty" if not path else f"{path!r} has a NUL")
        full = os.path.abspath(path)
        # The folder's links are followed, so that what is really outside is seen to be.
        real = os.path.join(os.path.realpath(os.path.dirname(full)), os.path.basename(full))
        if real == self.root:
            raise InvalidParameterValue(
                "The whole worktree can't be data", hint="name the files or folders in it"
            )
        prefix = self.root.rstrip("/") + "/"
        if not real.startswith(prefix):
            raise InvalidParameterValue(
                f"{path} is outside of the repository at {self.root}",
                hint="copy it in, or mlgit import-url it",
            )
        inside = real[len(prefix) :]
        if inside.split("/")[0].lower() in (".git", ".mlgit") or _below(real, self.repo.git_dir):
            raise InvalidParameterValue(f"{path} is Git's or mlgit's own")
        return inside[: -len(SUFFIX)] if is_pointer(inside) else inside

    def index(self) -> WorktreeIndex:
        """What Git tracks, as of the first call."""
        if self._index is None:
            self._index = read_index(f"{self.repo.git_dir}/index", os.fsencode(self.root))
        return self._index

    def git_tracks(self, path: str) -> str | None:
        """A path at or below this one that Git tracks, or None."""
        if self._tracked is None:
            self._tracked = sorted(entry.path for entry in self.index().raw_entries)
        raw = os.fsencode(path)
        for first in (raw, raw + b"/"):
            at = bisect_left(self._tracked, first)
            found = self._tracked[at] if at < len(self._tracked) else b""
            if found == raw or found.startswith(raw + b"/"):
                return os.fsdecode(found)
        return None

    # -- pointers

    def pointer(self, path: str) -> Pointer | None:
        """What the pointer of a path says, or None where there is none.

        Raises:
            CorruptData, Unsupported: It can't be read.
        """
        data = self.pointer_bytes(path)
        return None if data is None else parse_pointer(data, path + SUFFIX)

    def pointer_bytes(self, path: str) -> bytes | None:
        """The bytes of the pointer file of a path, or None where there is none."""
        name = self.absolute(path) + SUFFIX
        try:
            if not stat.S_ISREG(os.lstat(name).st_mode):
                return None
            with open(name, "rb") as f:
                return f.read(MAX_BYTES + 1)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise from_os_error(error, f"read {path}{SUFFIX}") from error

    def paths(self) -> list[str]:
        """Every path that has a pointer here: those that Git tracks, and those added here."""
        found = set(self.placed())
        for entry in self.index().raw_entries:
            if entry.path.endswith(b".mlgit"):
                name = os.fsdecode(entry.path)
                if is_pointer(name) and not name.startswith(".mlgit/"):
                    found.add(name[: -len(SUFFIX)])
        return sorted(path for path in found if os.path.lexists(self.absolute(path) + SUFFIX))

    def chosen(self, given: list[str]) -> list[str]:
        """The paths with pointers that a person means: each itself, or all in a folder.

        Raises:
            ResourceDoesNotExist: There is no pointer at or below one of them.
        """
        if not given:
            return self.paths()
        found: set[str] = set()
        known = self.paths()
        for text in given:
            if os.path.realpath(text) == self.root:
                found.update(known)
                continue
            path = self.inside(text)
            if os.path.lexists(self.absolute(path) + SUFFIX):
                found.add(path)
                continue
            below = [other for other in known if other.startswith(path + "/")]
            if not below:
                above = self.holder(path)
                hint = f"it is part of {above}: give that" if above else "mlgit status lists them"
                raise ResourceDoesNotExist(f"There is no pointer {path}{SUFFIX}", hint=hint)
            found.update(below)
        return sorted(found)

    def holder(self, path: str) -> str | None:
        """The folder above a path that is kept as data, or None."""
        while path := path.rpartition("/")[0]:
            if os.path.lexists(self.absolute(path) + SUFFIX):
                return path
        return None

    # -- what was put where

    def placed(self) -> dict[str, Placed]:
        """What was last put, or found, at each path; nothing where that can't be read."""
        try:
            with open(self._record, encoding="utf-8", errors="surrogateescape") as f:
                read: Any = json.load(f)
            return {
                str(path): Placed(Entry(kind, sha, int(size), int(files)), str(blob))
                for path, (kind, sha, size, files, blob) in read["paths"].items()
                if read["format"] == _FORMAT and _is_plain(str(path))
            }
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return {}

    def remember(self, changes: dict[str, Placed | None]) -> None:
        """Note what was put at paths; None takes a path out."""
        placed = self.placed()
        before = dict(placed)
        for path, value in changes.items():
            if value is None:
                placed.pop(path, None)
            else:
                placed[path] = value
        if placed == before:
            return
        rows = {path: [*value.entry, value.blob] for path, value in sorted(placed.items())}
        data = json.dumps({"format": _FORMAT, "paths": rows}, indent=1)
        os.makedirs(os.path.dirname(self._record), exist_ok=True)
        write_whole(self._record, data.encode("utf-8", "surrogateescape"))


def blob_of(data: bytes) -> str:
    """The name that Git gives to a file's bytes."""
    return object_id("blob", data)


def write_whole(path: str, data: bytes) -> None:
    """Write a file so that it is there as a whole or as it was.

    Raises:
        StorageError, PermissionDenied: It can't be written.
    """
    folder, name = os.path.split(path)
    temporary = f"{folder}/{PART}{os.getpid():x}-{name[:100]}"
    try:
        with open(temporary, "wb") as f:
            f.write(data)
        os.replace(temporary, path)
    except OSError as error:
        if os.path.lexists(temporary):
            os.unlink(temporary)
        raise from_os_error(error, f"write {path}") from error


def remove_parts(folder: str, names: list[str]) -> None:
    """Remove the half-written files among the names of a folder."""
    for name in names:
        if name.startswith(PART):
            try:
                os.unlink(f"{folder}/{name}")
            except FileNotFoundError:
                pass


def first_error(problems: list[tuple[str, MlgitException]]) -> MlgitException:
    """One error for several paths' problems; its kind is the first one's."""
    first = problems[0][1]
    if len(problems) == 1:
        return first
    lines = "\n".join(f"  {path}: {error.message}" for path, error in problems)
    return type(first)(f"{len(problems)} paths have problems:\n{lines}", hint=first.hint)


def _below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder + "/")


def _is_plain(path: str) -> bool:
    return not path.startswith("/") and not {"", ".", ".."} & set(path.split("/"))
