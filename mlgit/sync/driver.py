"""What Git asks when two branches changed one file of a record: ``git merge``'s driver.

A record is one run's, so it is merged whole. Where the two sides hold different runs, the one that
was started later stays, in all of its files; who merges, and in which direction, makes no
difference. Where both hold the same run, amended, its files are merged key by key.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from mlgit.exceptions import MlgitException
from mlgit.git import Repository
from mlgit.git.commits import parse_commit
from mlgit.git.objects import object_id
from mlgit.git.trees import FOLDER, entry, lookup, parse_tree, resolve_commit
from mlgit.store import names, yamlform
from mlgit.store.record import HISTORY_HEADER, Record, parse_run
from mlgit.sync.threeway import Clash, merge

_LISTED = "\0listed"


@dataclass(frozen=True)
class Merged:
    """What became of a file.

    Attributes:
        data: The file; this side's where both can't be had.
        clashes: What both sides set, to different values.
        note: What a person should know of it; "" for nothing.
    """

    data: bytes
    clashes: tuple[Clash, ...] = ()
    note: str = ""


def merge_file(
    repo: Repository, path: str, base: bytes, ours: bytes, theirs: bytes, heads: Iterable[str]
) -> Merged:
    """Merge one file of a record.

    Args:
        repo: The repository.
        path: The file, from the worktree's root.
        base: What both began with; empty where neither had it.
        ours, theirs: What became of it.
        heads: Commits that ``theirs`` may be of.
    """
    if ours == theirs or theirs == base:
        return Merged(ours)
    if ours == base:
        return Merged(theirs)
    mine, yours = _record(repo, path, ours, _ours(repo)), _record(repo, path, theirs, heads)
    if path.endswith("/run.yaml"):
        mine, yours = mine or _parsed(ours), yours or _parsed(theirs)
    if mine is None or yours is None:
        return _by_key(path, base, ours, theirs)
    if mine.run_id == yours.run_id:
        return _by_key(path, base, ours, theirs)
    kept, other = (mine, yours) if _rank(mine) > _rank(yours) else (yours, mine)
    note = ""
    if path.endswith("/run.yaml"):
        folder = path.rpartition("/")[0]
        note = (
            f"{folder} keeps the record of {kept.run_name} ({kept.run_id[:8]}), "
            f"which is newer than {other.run_name} ({other.run_id[:8]})"
        )
    return Merged(ours if kept is mine else theirs, note=note)


def _rank(record: Record) -> tuple[int, str]:
    return record.start_time or 0, record.run_id


def _ours(repo: Repository) -> list[str]:
    head = repo.head().commit
    return [head] if head else []


def _record(repo: Repository, path: str, data: bytes, heads: Iterable[str]) -> Record | None:
    """The run whose file this is: of the first of some commits that has it so at its path."""
    wanted = object_id("blob", data)
    folder = _record_folder(path)
    for head in heads:
        try:
            tree = parse_commit(repo.objects.commit(resolve_commit(repo.objects, head))).tree
            if lookup(repo.objects, tree, path) == wanted:
                found = lookup(repo.objects, tree, f"{folder}/run.yaml")
                return _parsed(repo.objects.blob(found)) if found else None
        except MlgitException:
            continue
    return None


def _record_folder(path: str) -> str:
    parts = path.split("/")
    return "/".join(parts[: names.RECORDS.count("/") + 1])


def _parsed(data: bytes) -> Record | None:
    try:
        return parse_run(data, "run.yaml")
    except MlgitException:
        return None


# -- key by key


def _by_key(path: str, base: bytes, ours: bytes, theirs: bytes) -> Merged:
    if path.endswith(".csv"):
        return _points(base, ours, theirs)
    try:
        before, mine, yours = (
            _flat(yamlform.load(data, path)) if data else {} for data in (base, ours, theirs)
        )
    except MlgitException as error:
        return Merged(ours, (Clash("everything", None, None, None),), error.message)
    merged, clashes = merge(before, mine, yours, " ".join, str)
    if clashes:
        return Merged(ours, tuple(clashes))
    return Merged(_unflat(merged, path))


def _flat(found: dict[str, Any]) -> dict[tuple[str, str], Any]:
    """Each key, and each key of a mapping in it, by itself."""
    flat: dict[tuple[str, str], Any] = {}
    for key, value in found.items():
        if isinstance(value, dict):
            flat.update(((key, below), item) for below, item in value.items())
            flat[key, _LISTED] = True
        else:
            flat[key, ""] = value
    return flat


def _unflat(flat: dict[tuple[str, str], Any], path: str) -> bytes:
    found: dict[str, Any] = {}
    for (key, below), value in flat.items():
        if below == _LISTED:
            found.setdefault(key, {})
        elif below:
            item = yamlform.Flow(value) if isinstance(value, dict) else value
            found.setdefault(key, {})[below] = item
        else:
            found[key] = value
    for key, value in found.items():
        if isinstance(value, dict):
            found[key] = dict(sorted(value.items()))
    is_sorted = path.endswith(("/params.yaml", "/metrics.yaml"))
    return yamlform.dump(found, sort=is_sorted)


def _points(base: bytes, ours: bytes, theirs: bytes) -> Merged:
    """Histories only grow: what both had, then what each added."""
    start = base or HISTORY_HEADER
    if not (ours.startswith(start) and theirs.startswith(start)):
        return Merged(ours, (Clash("the points", None, None, None),))
    mine = ours[len(start) :].splitlines(keepends=True)
    known = set(mine)
    more = [line for line in theirs[len(start) :].splitlines(keepends=True) if line not in known]
    return Merged(start + b"".join([*mine, *more]))


# -- what a driver can't see


def mixed_folders(repo: Repository) -> list[tuple[str, str]]:
    """The records of a merge commit at HEAD that hold files of two runs.

    Git asks nobody about a file that only one side has. Where that is the side whose record
    wasn't kept, the file stays behind.

    Returns:
        (folder, commit that has the whole record of the run that its run.yaml tells of).
    """
    head = repo.head().commit
    if head is None:
        return []
    commit = parse_commit(repo.objects.commit(head))
    if len(commit.parents) < 2:
        return []
    parents = [(sha, parse_commit(repo.objects.commit(sha)).tree) for sha in commit.parents]
    found = []
    for name, tree in _folders(repo, commit.tree).items():
        others = {sha: _folders(repo, above).get(name) for sha, above in parents}
        if tree in others.values():
            continue
        run = lookup(repo.objects, tree, "run.yaml")
        same = [
            sha
            for sha, other in others.items()
            if run and other and lookup(repo.objects, other, "run.yaml") == run
        ]
        if len(same) == 1:
            found.append((names.RECORDS + name, same[0]))
    return found


def _folders(repo: Repository, tree: str) -> dict[str, str]:
    """The records' folders in a tree, and what they are."""
    for part in names.RECORDS.rstrip("/").encode().split(b"/"):
        found = entry(repo.objects.tree(tree), part)
        if found is None or found[0] != FOLDER:
            return {}
        tree = found[1]
    return {
        name.decode("utf-8", "surrogateescape"): sha
        for name, mode, sha in parse_tree(repo.objects.tree(tree))
        if mode == FOLDER
    }
