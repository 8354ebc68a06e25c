"""What differs between the code of two trees, file by file."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

from mlgit.exceptions import MlgitException, ResourceDoesNotExist
from mlgit.git import Repository
from mlgit.git.trees import FOLDER, parse_tree
from mlgit.review.recorded import RECORDS
from mlgit.review.textdiff import MAX_LINES, TextDiff, text_diff

MAX_TOTAL_LINES = 20_000
_SUBMODULE = b"160000"
_Item = tuple[bytes, str]


@dataclass(frozen=True)
class FileChange:
    """One file that differs.

    Attributes:
        path: Relative to the worktree; bytes that aren't UTF-8 as surrogates (os.fsdecode).
        status: "added", "removed", "modified", or "renamed" (moved with the same content).
        old_path: The path before, of one that was renamed.
        old_mode, new_mode: Git's modes; None on a side where it isn't.
        binary: It isn't text.
        added, removed: Numbers of lines; None where they weren't counted.
        diff: A unified diff; "" where there is none to show.
        note: Why the diff is cut or missing; "" where it is whole.
    """

    path: str
    status: str
    old_path: str | None = None
    old_mode: str | None = None
    new_mode: str | None = None
    binary: bool = False
    added: int | None = None
    removed: int | None = None
    diff: str = ""
    note: str = ""


@dataclass(frozen=True)
class CodeComparison:
    """What differs in the code.

    Attributes:
        files: The files, by path.
        missing: Which sides have no code recorded: "old", "new". Nothing is compared then.
    """

    files: tuple[FileChange, ...] = ()
    missing: tuple[str, ...] = ()


class _Pair(NamedTuple):
    """What is at one path on both sides: (mode, object) each."""

    path: bytes
    old: _Item | None
    new: _Item | None


def compare_code(repo: Repository, old: str | None, new: str | None) -> CodeComparison:
    """The files that differ between two trees, apart from the records of runs.

    Args:
        repo: The repository.
        old, new: The trees; None where no code was recorded.

    Returns:
        The files with their diffs. No more than ``MAX_TOTAL_LINES`` lines of diffs are made;
        later files are named without one.

    Raises:
        ResourceDoesNotExist: A tree isn't in this clone.
    """
    missing = tuple(side for side, tree in (("old", old), ("new", new)) if tree is None)
    if missing:
        return CodeComparison((), missing)
    files = []
    left = MAX_TOTAL_LINES
    for pair, origin in _with_renames(sorted(_changes(repo, old, new))):
        if left <= 0:
            change = replace(_named(pair, origin), note="left out: too many changes")
        else:
            change = _change(repo, pair, origin, min(left, MAX_LINES))
            left -= change.diff.count("\n")
        files.append(change)
    return CodeComparison(tuple(files))


def same_code(repo: Repository, old: str, new: str) -> bool:
    """Whether two trees are the same but for the records of runs.

    Raises:
        ResourceDoesNotExist: A tree isn't in this clone.
    """
    return next(_changes(repo, old, new), None) is None


def _changes(repo: Repository, old: str | None, new: str | None) -> Iterator[_Pair]:
    """The files that differ; only folders that differ are read."""
    pending: list[_Pair] = [
        _Pair(b"", (FOLDER, old) if old else None, (FOLDER, new) if new else None)
    ]
    while pending:
        path, before, after = pending.pop()
        if path == RECORDS or before == after:
            continue
        old_folder = before[1] if before and before[0] == FOLDER else None
        new_folder = after[1] if after and after[0] == FOLDER else None
        old_file = before if not old_folder else None
        new_file = after if not new_folder else None
        if old_file or new_file:
            yield _Pair(path, old_file, new_file)
        if old_folder or new_folder:
            prefix = path + b"/" if path else b""
            first, second = _entries(repo, old_folder), _entries(repo, new_folder)
            pending += [
                _Pair(prefix + name, first.get(name), second.get(name))
                for name in first.keys() | second.keys()
                if first.get(name) != second.get(name)
            ]


def _entries(repo: Repository, tree: str | None) -> dict[bytes, _Item]:
    if tree is None:
        return {}
    return {name: (mode, sha) for name, mode, sha in parse_tree(repo.objects.tree(tree))}


def _with_renames(pairs: list[_Pair]) -> Iterator[tuple[_Pair, bytes | None]]:
    """The pairs, a removed and an added file of the same content joined to one."""
    gone: dict[str, list[_Pair]] = {}
    for pair in reversed(pairs):
        if pair.old and not pair.new:
            gone.setdefault(pair.old[1], []).append(pair)
    joined: dict[bytes, _Pair] = {}
    for pair in pairs:
        if pair.new and not pair.old and gone.get(pair.new[1]):
            joined[pair.path] = gone[pair.new[1]].pop()
    moved = {pair.path for pair in joined.values()}
    for pair in pairs:
        origin = joined.get(pair.path)
        if origin is not None:
            yield _Pair(pair.path, origin.old, pair.new), origin.path
        elif pair.path not in moved:
            yield pair, None


def _named(pair: _Pair, origin: bytes | None) -> FileChange:
    status = "modified" if pair.old and pair.new else "added" if pair.new else "removed"
    return FileChange(
        os.fsdecode(pair.path),
        "renamed" if origin is not None else status,
        os.fsdecode(origin) if origin is not None else None,
        pair.old[0].decode("ascii", "replace") if pair.old else None,
        pair.new[0].decode("ascii", "replace") if pair.new else None,
    )


def _change(repo: Repository, pair: _Pair, origin: bytes | None, max_lines: int) -> FileChange:
    change = _named(pair, origin)
    if pair.old and pair.new and pair.old[1] == pair.new[1]:
        return replace(change, added=0, removed=0, note=_mode_note(pair))
    try:
        found = text_diff(_content(repo, pair.old), _content(repo, pair.new), max_lines)
    except ResourceDoesNotExist:
        return replace(change, note="its content isn't in this clone")
    except MlgitException as error:
        return replace(change, note=error.message)
    notes = [note for note in (_mode_note(pair), found.note) if note]
    return replace(
        change,
        binary=found.binary,
        added=found.added,
        removed=found.removed,
        diff=_headed(pair, found),
        note="; ".join(notes),
    )


def _mode_note(pair: _Pair) -> str:
    if pair.old and pair.new and pair.old[0] != pair.new[0]:
        return f"mode {pair.old[0].decode()} → {pair.new[0].decode()}"
    return ""


def _content(repo: Repository, item: _Item | None) -> bytes:
    if item is None:
        return b""
    if item[0] == _SUBMODULE:
        return f"Subproject commit {item[1]}\n".encode()
    return repo.objects.blob(item[1])


def _headed(pair: _Pair, found: TextDiff) -> str:
    if not found.text:
        return ""
    before = "a/" + _quoted(pair.path) if pair.old else "/dev/null"
    after = "b/" + _quoted(pair.path) if pair.new else "/dev/null"
    return f"--- {before}\n+++ {after}\n{found.text}"


def _quoted(path: bytes) -> str:
    """A path on one line: what isn't printable as escapes."""
    text = path.decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
