"""Which of the registry's refs changed since the index last looked, at the cost of some stats.

As in ``store/refwatch.py``: a loose ref is replaced by a rename, which changes its folder's
mtime, and ``packed-refs`` is replaced whole. A folder that changed within the file system's
clock tick of the last look isn't trusted.
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


def look(repo: Repository, connection: sqlite3.Connection) -> Changes | None:
    """What changed, or None where nothing did."""
    row = connection.execute("SELECT value FROM meta WHERE key='refs'").fetchone()
    seen: dict[str, Any] = json.loads(row[0]) if row else {}
    now = time.time_ns()
    if seen.get("at", 0) > now:
        seen["at"] = 0  # the clock was put back
    before: dict[str, int] = seen.get("folders", {})
    packed = list(repo.refs.packed_stamp())
    folders = _folders(repo, before)
    changed = [f for f, stamp in folders.items() if stamp != before.get(f)]
    same_packed = packed == seen.get("packed")
    if row and same_packed and not changed and folders.keys() == before.keys():
        return None
    kept = {f: stamp if stamp < now - _RACY_NS else 0 for f, stamp in folders.items()}
    state = {"packed": packed, "folders": kept, "at": now}
    found = None
    if row and same_packed and before.keys() <= folders.keys():
        found = _in_folders(repo, connection, changed, seen.get("at", 0))
    if found is None or packed != list(repo.refs.packed_stamp()):
        found = _everywhere(repo, connection)
    found.state = state
    return found


def _folders(repo: Repository, known: dict[str, int]) -> dict[str, int]:
    """The folders of loose refs, relative to the common directory, and their mtimes."""
    found: dict[str, int] = {}
    pending = [TAGS.rstrip("/"), REFS.rstrip("/")]
    while pending:
        folder = pending.pop()
        path = f"{repo.common_dir}/{folder}"
        try:
            stamp = os.stat(path).st_mtime_ns
        except OSError:
            continue
        found[folder] = stamp
        if stamp == known.get(folder):
            pending += [f for f in known if os.path.dirname(f) == folder]
            continue
        with os.scandir(path) as entries:
            pending += [f"{folder}/{e.name}" for e in entries if e.is_dir(follow_symlinks=False)]
    return found


def _in_folders(
    repo: Repository, connection: sqlite3.Connection, folders: list[str], since: int
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
    for folder in folders:
        with os.scandir(f"{repo.common_dir}/{folder}") as listing:
            entries = [e for e in listing if not e.name.endswith(".lock")]
        for item in entries:
            ref = f"{folder}/{item.name}"
            if ref in known and _changed_at(item) < since - _RACY_NS:
                present.add(ref)
            elif not item.is_dir(follow_symlinks=False):
                sha = _read(repo, ref)
                if sha is None:
                    continue
                present.add(ref)
                if known.get(ref) != sha:
                    found.refs[ref] = sha
                    found.loose.add(ref)
    listed = {f + "/" for f in folders}
    for ref in known:
        if ref not in present and ref.rpartition("/")[0] + "/" in listed:
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
    changed = {
        ref: sha
        for ref, sha in refs.items()
        if known.get(ref) != sha or (ref in loose) != (ref in was_loose)
    }
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
