"""Which refs changed since the index last looked, at the cost of a few stat calls.

A loose ref is replaced by a rename, which changes its folder's mtime; ``packed-refs`` is
replaced whole. So folders and one file are enough to look at. A folder that changed within
the file system's clock tick of the last look may have changed again unseen: such a look
isn't trusted (Git calls this "racy").
"""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Callable
from typing import Any

from mlgit.exceptions import CorruptData, MlgitException
from mlgit.git import Repository
from mlgit.store import names, rows
from mlgit.store.archive_record import read_archive
from mlgit.store.experiment_record import default_experiment, read_experiment
from mlgit.store.runtree import RunTree

_RACY_NS = 50_000_000
_BATCH = 500
_BULK = 2000
LOOSE, PACKED, ARCHIVED = 1, 0, 2


class RefWatch:
    """One look at the refs under ``refs/mlgit/``.

    Args:
        repo: The repository.
        connection: The index.
    """

    def __init__(self, repo: Repository, connection: sqlite3.Connection) -> None:
        self.repo = repo
        self.connection = connection
        self.root = f"{repo.common_dir}/refs/mlgit"
        self._archives: dict[str, dict[str, str] | MlgitException] = {}

    def sync(self, progress: Callable[[int, int], None] | None = None) -> None:
        """Bring the index up to date with the refs."""
        row = self.connection.execute("SELECT value FROM meta WHERE key='refs'").fetchone()
        seen: dict[str, Any] = json.loads(row[0]) if row else {}
        now = time.time_ns()
        packed = list(self.repo.refs.packed_stamp())
        if seen.get("at", 0) > now:
            seen["at"] = 0  # the clock was put back: what it said before proves nothing
        folders = self._folders(seen.get("folders", {}), seen.get("at", 0))
        same_packed = packed == seen.get("packed")
        changed = [f for f, stamp in folders.items() if stamp != seen.get("folders", {}).get(f)]
        gone = [f for f in seen.get("folders", {}) if f not in folders]
        # What is seen of a folder counts only if it has been quiet for a while: otherwise
        # its stamp is written down as 0, and it is looked at again.
        kept = {f: stamp if stamp < now - _RACY_NS else 0 for f, stamp in folders.items()}
        if same_packed and not changed and not gone:
            return
        found = None
        if same_packed and row:
            found = self._loose_changes(changed + gone, seen.get("at", 0))
        if found is None or self._moved(packed, folders):
            found = self._all_changes()
        self._apply(*found, progress)
        state = {"packed": packed, "folders": kept, "at": now}
        if state["folders"] != seen.get("folders") or not same_packed:
            with rows.transaction(self.connection):
                self.connection.execute(
                    "INSERT OR REPLACE INTO meta VALUES ('refs', ?)", (json.dumps(state),)
                )

    def _folders(self, known: dict[str, int], at: int) -> dict[str, int]:
        """The folders below ``refs/mlgit`` and their mtimes.

        A folder whose mtime is known isn't listed again for folders in it: a new one
        would have changed it. The leaves hold thousands of files.
        """
        found: dict[str, int] = {}
        pending = [self.root]
        while pending:
            folder = pending.pop()
            try:
                stamp = os.stat(folder).st_mtime_ns
            except OSError:
                continue
            found[folder] = stamp
            if stamp == known.get(folder):
                pending += [f for f in known if os.path.dirname(f) == folder]
            elif folder.count("/") - self.root.count("/") < 2:
                with os.scandir(folder) as entries:
                    pending += [e.path for e in entries if e.is_dir(follow_symlinks=False)]
        return found

    def _moved(self, packed: list[int], folders: dict[str, int]) -> bool:
        """Whether refs were packed or folded since the look began, new ones maybe among them."""
        archive = f"{self.repo.common_dir}/{names.ARCHIVE}".rstrip("/")
        try:
            stamp = os.stat(archive).st_mtime_ns
        except OSError:
            stamp = 0
        return stamp != folders.get(archive, 0) or packed != list(self.repo.refs.packed_stamp())

    # -- finding changes: {ref: (commit, how it is kept)}, and refs that are gone

    def _all_changes(self) -> tuple[dict[str, tuple[str, int]], set[str]]:
        # First: what other processes put into the index meanwhile isn't gone.
        known = self._known()
        refs = self.repo.refs
        damaged: list[str] = []
        loose = {**refs.loose_items("refs/mlgit/", damaged), **dict.fromkeys(damaged, "")}
        merged = {name: (sha, PACKED) for name, sha in refs.packed_items("refs/mlgit/").items()}
        merged.update({name: (sha, LOOSE) for name, sha in loose.items()})
        # Archives again, after the runs: one that was folded meanwhile is in either.
        archives = refs.items(names.ARCHIVE)
        merged.update({name: (sha, PACKED) for name, sha in archives.items()})
        for name, sha in self._archived(merged).items():
            merged.setdefault(name, (sha, ARCHIVED))
        changed = {n: v for n, v in merged.items() if known.get(n) != v}
        return changed, set(known) - set(merged)

    def _known(self) -> dict[str, tuple[str, int]]:
        known = {
            names.run_ref(experiment, run): (sha, loose)
            for experiment, run, sha, loose in self.connection.execute(
                "SELECT experiment_id, run_id, commit_sha, loose FROM runs "
                "WHERE commit_sha NOT NULL"
            )
        }
        for experiment, sha in self.connection.execute(
            "SELECT experiment_id, commit_sha FROM experiments WHERE commit_sha NOT NULL"
        ):
            known[names.EXPERIMENTS + experiment] = (sha, PACKED)
        for ref, sha in self.connection.execute("SELECT ref, commit_sha FROM problems"):
            known[ref] = (sha, PACKED)
        return known

    def _archived(self, present: dict[str, tuple[str, int]]) -> dict[str, str]:
        found: dict[str, str] = {}
        for name, (sha, _) in present.items():
            if sha and name.startswith(names.ARCHIVE):
                experiment = name[len(names.ARCHIVE) :]
                try:
                    archived = self._read_archive(sha)
                except MlgitException:
                    continue  # told by _take
                for run_id, commit in archived.items():
                    found[names.run_ref(experiment, run_id)] = commit
        return found

    def _read_archive(self, sha: str) -> dict[str, str]:
        """Read an archive, once; what goes wrong is raised each time."""
        if sha not in self._archives:
            try:
                self._archives[sha] = read_archive(self.repo, sha)
            except MlgitException as error:
                self._archives[sha] = error
        found = self._archives[sha]
        if isinstance(found, MlgitException):
            raise found
        return found

    def _loose_changes(
        self, folders: list[str], since: int
    ) -> tuple[dict[str, tuple[str, int]], set[str]] | None:
        """Changes in some folders, while ``packed-refs`` is as it was; None if that isn't all."""
        changed: dict[str, tuple[str, int]] = {}
        gone: set[str] = set()
        for folder in folders:
            prefix = folder[len(self.repo.common_dir) + 1 :] + "/"
            if prefix.startswith(names.ARCHIVE):
                return None
            known = self._known_in(prefix)
            present = self._list(folder, prefix, known, since)
            changed.update({n: v for n, v in present.items() if known.get(n) != v})
            for name in set(known) - set(present):
                if known[name][1] != LOOSE:
                    continue
                sha = self._read(name)
                if sha is None:
                    gone.add(name)
                else:
                    changed[name] = (sha, PACKED)
        if gone:
            return None  # they may have gone into an archive
        return changed, gone

    def _known_in(self, prefix: str) -> dict[str, tuple[str, int]]:
        if not prefix.startswith(names.RUNS) or prefix == names.RUNS:
            if not prefix.startswith(names.EXPERIMENTS):
                return {}
            return {
                names.EXPERIMENTS + e: (sha, LOOSE)
                for e, sha in self.connection.execute(
                    "SELECT experiment_id, commit_sha FROM experiments WHERE commit_sha NOT NULL"
                )
            }
        experiment = prefix[len(names.RUNS) :].rstrip("/")
        found = {
            prefix + run: (sha, loose)
            for run, sha, loose in self.connection.execute(
                "SELECT run_id, commit_sha, loose FROM runs "
                "WHERE experiment_id=? AND loose=1 AND commit_sha NOT NULL",
                (experiment,),
            )
        }
        for ref, sha in self.connection.execute(
            "SELECT ref, commit_sha FROM problems WHERE ref >= ? AND ref < ?",
            (prefix, prefix + "\U0010ffff"),
        ):
            found[ref] = (sha, LOOSE)
        return found

    def _list(
        self, folder: str, prefix: str, known: dict[str, tuple[str, int]], since: int
    ) -> dict[str, tuple[str, int]]:
        """The loose refs of one folder; those older than the last look aren't read again."""
        found: dict[str, tuple[str, int]] = {}
        try:
            with os.scandir(folder) as listing:
                entries = list(listing)
        except OSError:
            return found
        for item in entries:
            if item.name.endswith(".lock") or item.is_dir(follow_symlinks=False):
                continue
            name = prefix + item.name
            if name in known and _changed_at(item) < since - _RACY_NS:
                found[name] = known[name]
                continue
            sha = self._read(name)
            if sha is not None:
                found[name] = (sha, LOOSE)
        return found

    def _read(self, name: str) -> str | None:
        """A ref's commit; "" where its file holds something else."""
        try:
            return self.repo.refs.read(name)
        except CorruptData:
            return ""

    # -- taking changes over

    def _apply(
        self,
        changed: dict[str, tuple[str, int]],
        gone: set[str],
        progress: Callable[[int, int], None] | None,
    ) -> None:
        if gone:
            with rows.transaction(self.connection):
                for ref in gone:
                    self._forget(ref)
        items = sorted(changed.items())
        self._ensure_default()
        if len(items) > _BULK and not rows.any_runs(self.connection):
            # One transaction, and the look-up indexes made at its end from sorted data:
            # 100,000 rows inserted at random places of six B-trees take three times as long.
            with rows.transaction(self.connection), rows.without_lookups(self.connection):
                self._take_all(items, progress)
        else:
            for at in range(0, len(items), _BATCH):
                with rows.transaction(self.connection):
                    self._take_all(items[at : at + _BATCH], progress, at, len(items))
        if progress and items:
            progress(len(items), len(items))

    def _take_all(
        self,
        items: list[tuple[str, tuple[str, int]]],
        progress: Callable[[int, int], None] | None,
        done: int = 0,
        total: int | None = None,
    ) -> None:
        for at, (ref, (sha, loose)) in enumerate(items):
            if progress and at % _BATCH == 0:
                progress(done + at, total or len(items))
            self._take(ref, sha, loose)

    def _ensure_default(self) -> None:
        query = "SELECT 1 FROM experiments WHERE experiment_id='0'"
        if self.connection.execute(query).fetchone() is None:
            rows.put_experiment(self.connection, default_experiment(), None)

    def _take(self, ref: str, sha: str, loose: int) -> None:
        self.connection.execute("DELETE FROM problems WHERE ref=?", (ref,))
        try:
            if not sha:
                raise CorruptData(f"The file of the ref {ref} holds something else than a commit")
            if ref.startswith(names.RUNS):
                self._take_run(ref, sha, loose)
            elif ref.startswith(names.EXPERIMENTS):
                self._take_experiment(ref, sha)
            elif ref.startswith(names.ARCHIVE):
                self._read_archive(sha)
        except (MlgitException, RecursionError) as error:
            self.connection.execute(
                "INSERT OR REPLACE INTO problems VALUES (?,?,?)", (ref, sha, str(error))
            )

    def _take_experiment(self, ref: str, sha: str) -> None:
        record = read_experiment(self.repo, sha)
        if ref != names.EXPERIMENTS + record.experiment_id:
            raise CorruptData(f"{ref} holds the experiment {record.experiment_id}")
        rows.put_experiment(self.connection, record, sha)

    def _take_run(self, ref: str, sha: str, loose: int) -> None:
        experiment_id, run_id = names.parse_run_ref(ref)
        same = self.connection.execute(
            "UPDATE runs SET loose=? WHERE run_id=? AND commit_sha=? AND experiment_id=?",
            (loose, run_id, sha, experiment_id),
        )
        if same.rowcount:
            return
        record = RunTree(self.repo, sha).summary()
        if record.run_id != run_id:
            raise CorruptData(f"{ref} holds the run {record.run_id}")
        # The ref decides which experiment a run is in: it is what the team sees.
        record.experiment_id = experiment_id
        rows.put_run(self.connection, record, sha, loose=loose)

    def _forget(self, ref: str) -> None:
        self.connection.execute("DELETE FROM problems WHERE ref=?", (ref,))
        if ref.startswith(names.EXPERIMENTS):
            rows.delete_experiment(self.connection, ref[len(names.EXPERIMENTS) :])
        elif ref.startswith(names.RUNS):
            experiment_id, _, run_id = ref[len(names.RUNS) :].partition("/")
            found = self.connection.execute(
                "SELECT id FROM runs WHERE run_id=? AND experiment_id=?", (run_id, experiment_id)
            ).fetchall()
            rows.delete_runs(self.connection, found)


def _changed_at(item: os.DirEntry[str]) -> int:
    """When a file was put where it is, whatever mtime it was given."""
    try:
        st = item.stat()
    except OSError:
        return 2**63
    return max(st.st_mtime_ns, st.st_ctime_ns)
