"""Which of the registry's refs changed since the index last looked, at the cost of some stats.

As in ``store/refwatch.py``: a loose ref is replaced by a rename, which changes its folder's
mtime, and ``packed-refs`` is replaced whole. A folder that changed within the file system's
clock tick of the last look isn't trusted; who takes changes over gives it, before listing it, a time
that no write gives it, so that of several changes in a row each is looked at once.
"""

from __future__ import annotations

import json
import os
import sqlite3
import time
from dataclasses import dataclass, field
from typing import Any

from mlgit.exceptions import CorruptData
from mlgit.git import Repository
from mlgit.registry.tags import TAGS
from mlgit.registry.text import REFS

_RACY_NS = 50_000_000


@dataclass
class Changes:
    """What is new since the last look.

    Attributes:
        refs: What refs hold that are new or other than before; "" where a file holds no commit.
        loose: Those of them that are files of their own.
        gone: Refs that aren't there any more.
        state: What the next look needs to know.
    """

    refs: dict[str, str] = field(default_factory=dict)
    loose: set[str] = field(default_factory=set)
    gone: set[str] = field(default_factory=set)
    state: dict[str, Any] = field(default_factory=dict)


@dataclass
class Glance:
    """How things stand, by stats alone.

    Attributes:
        seen: How they stood at the last look.
        packed: The stamp of ``packed-refs``.
        folders: The folders of loose refs and their mtimes.
        listed: What those hold that aren't as they were.
        marked: Those of the listed that were given a time of their own before that.
    """

    seen: dict[str, Any]
    at: int
    packed: list[int]
    folders: dict[str, int]
    listed: dict[str, list[os.DirEntry[str]]]
    marked: set[str]

    @property
    def unchanged(self) -> bool:
        """Whether nothing can have changed since."""
        before = self.seen.get("folders")
        return (
            not self.listed
            and before is not None
            and self.folders.keys() == before.keys()
            and self.packed == self.seen.get("packed")
        )


def glance(repo: Repository, connection: sqlite3.Connection, mark: bool = False) -> Glance:
    """Look at the folders' times; this is what a question costs while nothing changes.

    Args:
        repo: The repository.
        connection: The index.
        mark: Whether folders that just changed are given a time of their own.
    """
    row = connection.execute("SELECT value FROM meta WHERE key='refs'").fetchone()
    seen: dict[str, Any] = json.loads(row[0]) if row else {}
    at = time.time_ns()
    if seen.get("at", 0) > at:
        seen["at"] = 0  # the clock was put back
    packed = list(repo.refs.packed_stamp())
    now = Glance(seen, at, packed, {}, {}, set())
    _look_at_folders(repo, now, mark)
    return now


def look(repo: Repository, connection: sqlite3.Connection, now: Glance) -> Changes:
    """What changed since the last look."""
    digests = now.seen.get("digests")
    if now.packed != now.seen.get("packed"):
        digests = [repo.refs.packed_digest(prefix) for prefix in (TAGS, REFS)]
    found = None
    before = now.seen.get("folders", {})
    if digests == now.seen.get("digests") and before.keys() <= now.folders.keys():
        found = _in_folders(repo, connection, now.listed, now.seen.get("at", 0))
    if found is None or now.packed != list(repo.refs.packed_stamp()):
        found = _everywhere(repo, connection)
    quiet = now.at - _RACY_NS
    kept = {
        folder: stamp if stamp < quiet or folder in now.marked else 0
        for folder, stamp in now.folders.items()
    }
    found.state = {"packed": now.packed, "digests": digests, "folders": kept, "at": now.at}
    return found


def _look_at_folders(repo: Repository, now: Glance, mark: bool) -> None:
    """Find the folders of loose refs, relative to the common directory, and their mtimes.

    Those that aren't as they were are listed, too.
    """
    known = now.seen.get("folders", {})
    pending = [TAGS.rstrip("/"), REFS.rstrip("/")]
    while pending:
        folder = pending.pop()
        path = f"{repo.common_dir}/{folder}"
        try:
            stamp = os.stat(path).st_mtime_ns
            if stamp == known.get(folder):
                pending += [f for f in known if os.path.dirname(f) == folder]
            else:
                if mark and stamp >= now.at - _RACY_NS and (own := _mark(path)):
                    stamp = own
                    now.marked.add(folder)
                with os.scandir(path) as entries:
                    now.listed[folder] = list(entries)
        except OSError:
            continue
        now.folders[folder] = stamp
        for entry in now.listed.get(folder, ()):
            if entry.is_dir(follow_symlinks=False):
                pending.append(f"{folder}/{entry.name}")


def _mark(path: str) -> int | None:
    """Give a folder a time that no write gives it, not even one of the same tick; None where
    that can't be, as it is somebody else's, or its times are too coarse."""
    stamp = time.time_ns()
    try:
        os.utime(path, ns=(stamp, stamp))
        found = os.stat(path).st_mtime_ns
    except OSError:
        return None
    return stamp if found == stamp and stamp % 1_000_000 else None


def _in_folders(
    repo: Repository,
    connection: sqlite3.Connection,
    listed: dict[str, list[os.DirEntry[str]]],
    since: int,
) -> Changes | None:
    """Changes in some folders while ``packed-refs`` is as it was; None if that isn't all."""
    found = Changes()
    known = dict(
        connection.execute(
            "SELECT ref, sha FROM events WHERE loose=1 UNION ALL "
            "SELECT ref, sha FROM texts WHERE loose=1"
        )
    )
    present = set()
    for folder, entries in listed.items():
        for item in entries:
            ref = f"{folder}/{item.name}"
            if ref in known and _changed_at(item) < since - _RACY_NS:
                present.add(ref)
            elif not item.name.endswith(".lock") and not item.is_dir(follow_symlinks=False):
                sha = _read(repo, ref)
                if sha is None:
                    continue
                present.add(ref)
                if known.get(ref) != sha:
                    found.refs[ref] = sha
                    found.loose.add(ref)
    for ref in known:
        if ref not in present and ref.rpartition("/")[0] in listed:
            return None  # removed: what is packed under its name counts again
    return found


def _everywhere(repo: Repository, connection: sqlite3.Connection) -> Changes:
    known = dict(
        connection.execute("SELECT ref, sha FROM events UNION ALL SELECT ref, sha FROM texts")
    )
    was_loose = {
        row[0]
        for row in connection.execute(
            "SELECT ref FROM events WHERE loose=1 UNION ALL SELECT ref FROM texts WHERE loose=1"
        )
    }
    refs: dict[str, str] = {}
    loose: set[str] = set()
    for prefix in (TAGS, REFS):
        damaged: list[str] = []
        files = {**repo.refs.loose_items(prefix, damaged), **dict.fromkeys(damaged, "")}
        loose |= files.keys()
        refs.update({**repo.refs.packed_items(prefix), **files})
    # As sets, since there may be many, and few changed.
    changed = dict(refs.items() - known.items())
    changed.update((ref, refs[ref]) for ref in loose ^ was_loose if ref in refs)
    return Changes(changed, loose & changed.keys(), known.keys() - refs.keys())


def _read(repo: Repository, ref: str) -> str | None:
    try:
        return repo.refs.read(ref)
    except CorruptData:
        return ""


def _changed_at(item: os.DirEntry[str]) -> int:
    try:
        found = item.stat(follow_symlinks=False)
    except OSError:
        return 2**63 - 1
    return max(found.st_mtime_ns, found.st_ctime_ns)
