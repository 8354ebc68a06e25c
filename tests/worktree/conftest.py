"""A repository with data, opened anew for each call as a command would."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mlgit.git import Repository
from mlgit.worktree.add import add
from mlgit.worktree.checkout import CheckedOut, checkout
from mlgit.worktree.status import PathState, status
from mlgit.worktree.tracked import WorktreeData, first_error


class Work:
    """A repository's data through the library, each call as a process of its own."""

    ONE = {"a": b"1", "sub/b": b"two", "sub/deep/c": b"three"}
    TWO = {"a": b"changed", "sub/deep/c": b"three", "new/d": b"four"}

    def __init__(self, root: Path, git: Callable[..., str]) -> None:
        self.root = root
        self._git = git

    def __truediv__(self, path: str) -> Path:
        return self.root / path

    def git(self, *arguments: str, **options: Any) -> str:
        return self._git(self.root, *arguments, **options)

    def data(self) -> WorktreeData:
        return WorktreeData(Repository.open(str(self.root)))

    def write(self, **files: str) -> None:
        """Write files: ``write(data__a="text")`` writes data/a."""
        for name, text in files.items():
            path = self.root / name.replace("__", "/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    def add(self, *paths: str, **options: Any) -> Any:
        data = self.data()
        try:
            return add(data, [str(self.root / path) for path in paths], **options)
        finally:
            data.close()

    def checkout(self, *paths: str, **options: Any) -> CheckedOut:
        """A checkout whose problems are raised."""
        found = self.try_checkout(*paths, **options)
        if found.problems:
            raise first_error(found.problems)
        return found

    def try_checkout(self, *paths: str, **options: Any) -> CheckedOut:
        data = self.data()
        try:
            return checkout(data, [str(self.root / path) for path in paths], **options)
        finally:
            data.close()

    def status(self, *paths: str, **options: Any) -> list[PathState]:
        data = self.data()
        try:
            return status(data, [str(self.root / path) for path in paths], **options)
        finally:
            data.close()

    def changes(self) -> dict[str, str]:
        """path → status of everything that differs."""
        return {
            f"{state.path}/{change.path}".rstrip("/"): change.status
            for state in self.status()
            for change in state.changes
            if change.have is None or change.have.kind != "d" or change.want is not None
        }

    def commit(self, message: str = "data") -> None:
        self.git("add", "-A")
        self.git("commit", "-qm", message)

    def age(self, folder: str = "data", seconds: float = 10) -> None:
        """Make files look as if they were written a while ago, as most are."""
        then = time.time_ns() - int(seconds * 1e9) + 123
        for path in [self.root / folder, *(self.root / folder).rglob("*")]:
            if path.is_file():
                os.utime(path, ns=(then, then))

    def files(self, folder: str = "data") -> dict[str, bytes]:
        """Every file below a folder, by its path in it."""
        top = self.root / folder
        return {
            str(path.relative_to(top)): path.read_bytes()
            for path in sorted(top.rglob("*"))
            if path.is_file()
        }


@pytest.fixture
def work(repo_dir: Path, git: Callable[..., str]) -> Work:
    """A repository with one commit and no data yet."""
    return Work(repo_dir, git)


@pytest.fixture
def two(work: Work) -> Work:
    """Two commits with different data; the second is checked out."""
    work.write(data__a="1", data__sub__b="two", data__sub__deep__c="three", model="m1")
    work.add("data", "model")
    work.commit("one")
    work.write(data__a="changed", data__new__d="four")
    (work / "data/sub/b").unlink()
    work.add("data")
    work.commit("two")
    return work
