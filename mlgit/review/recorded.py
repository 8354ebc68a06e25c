"""The records of runs in a tree of Git: that of a run's commit, and those that were accepted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from mlgit.git import Repository
from mlgit.git.trees import FOLDER, entry, parse_tree
from mlgit.store import names
from mlgit.store.record import Point, Record
from mlgit.store.runtree import RunTree

# The folder of records as the names on the way to it.
RECORDS = names.RECORDS.rstrip("/").encode()


@dataclass(frozen=True)
class Recorded:
    """One run's record, read when it is asked for.

    Attributes:
        folder: The name of its folder: the experiment's.
        tree: The folder's tree; "" for a run that is going.
    """

    folder: str
    tree: str
    _load: Callable[[], tuple[Record, dict[str, Any]]] = field(repr=False, compare=False)
    _history: Callable[[str], list[Point]] = field(
        default=lambda key: [], repr=False, compare=False
    )

    def load(self) -> tuple[Record, dict[str, Any]]:
        """The record and the environment (empty where none was recorded).

        Raises:
            CorruptData, Unsupported: A file of it can't be read.
        """
        return self._load()

    def history(self, key: str) -> list[Point]:
        """Every point of a metric, in the order of logging; none where there is no such metric.

        Raises:
            CorruptData, Unsupported: Its file can't be read.
        """
        return self._history(key)


class _Folder(RunTree):
    """A record's folder that isn't reached through its run's own commit."""

    def __init__(self, repo: Repository, folder: str, tree: str, where: str) -> None:
        self.repo = repo
        self.sha = where
        self.folder = folder
        self.entries = {
            name.decode("utf-8", "surrogateescape"): sha
            for name, _, sha in parse_tree(repo.objects.tree(tree))
        }


def of_run(tree: RunTree, record: Record | None = None) -> Recorded:
    """The record of a run's own commit.

    Args:
        tree: The commit.
        record: The run as it is now, where that is more than the commit holds.
    """
    folder = tree.folder[len(names.RECORDS) :]
    sha = subtree(tree.repo, tree.commit.tree, tree.folder.encode("utf-8", "surrogateescape"))

    def load() -> tuple[Record, dict[str, Any]]:
        return record or tree.summary(), dict(tree.environment())

    def history(key: str) -> list[Point]:
        return tree.history(key) + (record.points.get(key, []) if record else [])

    return Recorded(folder, "" if record else sha or "", load, history)


def in_tree(repo: Repository, tree: str, where: str) -> dict[str, Recorded]:
    """The records that a tree holds, by the names of their folders.

    Args:
        repo: The repository.
        tree: The tree's name.
        where: What to call it in errors.
    """
    top = subtree(repo, tree, RECORDS)
    if top is None:
        return {}
    found = {}
    for raw, mode, sha in parse_tree(repo.objects.tree(top)):
        if mode == FOLDER and entry(repo.objects.tree(sha), b"run.yaml"):
            name = raw.decode("utf-8", "surrogateescape")
            found[name] = _of_folder(repo, name, sha, where)
    return found


def _of_folder(repo: Repository, name: str, tree: str, where: str) -> Recorded:
    def folder() -> _Folder:
        return _Folder(repo, names.RECORDS + name, tree, where)

    def load() -> tuple[Record, dict[str, Any]]:
        return folder().summary(), dict(folder().environment())

    return Recorded(name, tree, load, lambda key: folder().history(key))


def subtree(repo: Repository, tree: str, path: bytes) -> str | None:
    """The tree at a path below a tree, or None where there is none."""
    for part in path.split(b"/"):
        found = entry(repo.objects.tree(tree), part)
        if found is None or found[0] != FOLDER:
            return None
        tree = found[1]
    return tree


def has_code(repo: Repository, tree: str) -> bool:
    """Whether a tree holds anything but records."""
    top, _, below = RECORDS.partition(b"/")
    for name, mode, sha in parse_tree(repo.objects.tree(tree)):
        if name != top or mode != FOLDER:
            return True
        if any(n != below for n, _, _ in parse_tree(repo.objects.tree(sha))):
            return True
    return False
