"""The index: an SQLite database made from refs and journals, to answer queries.

Brought up to date before each query by comparing refs with what it knows; what didn't
change costs a few stat calls. It is derived: damaged, foreign or of another version, it
is made again.
"""

from __future__ import annotations

import json
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from mlgit.entities import LifecycleStage, RunStatus
from mlgit.exceptions import InvalidParameterValue, MlgitException, from_os_error
from mlgit.git import Repository
from mlgit.store import query, rows
from mlgit.store.committer import Committer
from mlgit.store.filters import Node
from mlgit.store.forking import ForkGuard
from mlgit.store.grouping import RunGroup, groups_of, groups_query
from mlgit.store.predicates import predicate
from mlgit.store.record import Record
from mlgit.store.refwatch import ARCHIVED, RefWatch
from mlgit.store.schema import INDEX_VERSION, TABLES

T = TypeVar("T")


class Index:
    """The index of one repository.

    Args:
        repo: The repository.
    """

    def __init__(self, repo: Repository) -> None:
        self.repo = repo
        self.path = f"{repo.state_dir}/index.sqlite"
        self._connection: sqlite3.Connection | None = None
        self._pid = 0
        # One connection serves all threads, and a transaction is the connection's.
        self.lock = threading.RLock()
        _FORKS.watch(self)
        self.committer: Committer  # set by the store; each needs the other

    # -- opening

    def connection(self) -> sqlite3.Connection:
        """The database, opened, and made where it isn't there or can't be used."""
        if self._connection is None or self._pid != os.getpid():
            self._connection = self._open()
            self._pid = os.getpid()
        return self._connection

    def _open(self) -> sqlite3.Connection:
        try:
            os.makedirs(self.repo.state_dir, exist_ok=True)
            return self._open_file()
        except (sqlite3.DatabaseError, OSError) as error:
            if _is_unusable(error):
                self.discard()
                try:
                    return self._open_file()
                except (sqlite3.DatabaseError, OSError):
                    pass
        # Read-only or otherwise out of reach: an index of our own, in memory, still answers.
        return self._prepare(":memory:")

    def _open_file(self) -> sqlite3.Connection:
        if os.path.exists(self.path) and not os.access(self.path, os.W_OK):
            raise PermissionError(self.path)
        return self._prepare(self.path)

    def _prepare(self, path: str) -> sqlite3.Connection:
        connection = sqlite3.connect(
            path, timeout=120.0, isolation_level=None, check_same_thread=False
        )
        try:
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            if version not in (0, INDEX_VERSION):
                raise sqlite3.DatabaseError("another version's index")
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=OFF")
            connection.execute("PRAGMA temp_store=MEMORY")
            query.prepare(connection)
            if version == 0:
                self._create(connection)
            connection.execute("SELECT commit_sha, loose, journal FROM runs LIMIT 1").fetchall()
        except BaseException:
            connection.close()
            raise
        return connection

    def _create(self, connection: sqlite3.Connection) -> None:
        connection.execute("BEGIN IMMEDIATE")
        # Another process may have made the tables while this one waited.
        if connection.execute("PRAGMA user_version").fetchone()[0] == 0:
            for statement in TABLES.split(";\n"):
                if statement.strip():
                    connection.execute(statement)
            connection.execute(f"PRAGMA user_version={INDEX_VERSION}")
        connection.execute("COMMIT")

    def discard(self) -> None:
        """Throw the index away; the next query makes it again."""
        self.close()
        for suffix in ("", "-wal", "-shm", "-journal"):
            try:
                os.unlink(self.path + suffix)
            except FileNotFoundError:
                pass
            except OSError as error:
                raise from_os_error(error, "remove the index") from error

    def close(self) -> None:
        """Close the database."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _guarded(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do something with the database; once more with a new one if it is damaged."""
        with self.lock:
            try:
                return work(self.connection())
            except sqlite3.DatabaseError as error:
                if not _is_unusable(error):
                    hint = "mlgit reindex makes it again"
                    if "locked" in str(error):
                        hint = f"another process holds {self.path}; has it been stopped?"
                    raise MlgitException(f"The index can't be used: {error}", hint=hint) from error
                self.discard()
                self._sync(self.connection(), None)
                return work(self.connection())

    # -- bringing it up to date

    def sync(self, progress: Callable[[int, int], None] | None = None) -> None:
        """Take over what changed in refs and journals since the last time.

        Args:
            progress: Called now and then with how many of how many runs are read.
        """
        self._guarded(lambda connection: self._sync(connection, progress))

    def _sync(
        self, connection: sqlite3.Connection, progress: Callable[[int, int], None] | None
    ) -> None:
        for _ in range(5):
            # First: what other processes put into the index meanwhile isn't gone.
            known = dict(
                connection.execute("SELECT run_id, journal FROM runs WHERE journal IS NOT NULL")
            )
            pending = self.committer.pending()
            RefWatch(self.repo, connection).sync(progress)
            if self._sync_journals(connection, known, pending):
                return

    def _sync_journals(
        self, connection: sqlite3.Connection, known: dict[str, str], pending: list[str]
    ) -> bool:
        """Index the going runs; False if one ended meanwhile, so that its ref must be read."""
        stamps = {run_id: _stamp(self.committer.folder(run_id)) for run_id in pending}
        changed = [r for r in pending if stamps[r] is None or stamps[r] != known.get(r)]
        gone = set(known) - set(pending)
        if not changed and not gone:
            return True
        complete = True
        loaded: list[tuple[Record, str | None, str | None]] = []
        for run_id in changed:
            stamp = _stamp(self.committer.folder(run_id))
            try:
                found = self.committer.load(run_id)
            except Exception:  # whatever is wrong with one run, the others are found
                continue  # its ref tells; fsck reports the journal
            if found is None or stamp is None:
                complete = complete and stamp is not None
                continue
            loaded.append((found[0], found[2].sha if found[2] else None, stamp))
        loaded += self._put_late(connection, gone)
        with rows.transaction(connection):
            for run_id in gone:
                connection.execute(
                    "UPDATE runs SET journal=NULL WHERE run_id=? AND commit_sha NOT NULL", (run_id,)
                )
                rows.delete_runs(
                    connection,
                    connection.execute(
                        "SELECT id FROM runs WHERE run_id=? AND commit_sha IS NULL", (run_id,)
                    ).fetchall(),
                )
            for record, commit, stamp in loaded:
                connection.execute("SAVEPOINT run")
                try:
                    rows.put_run(connection, record, commit, journal=stamp)
                except (sqlite3.InterfaceError, OverflowError, TypeError, ValueError):
                    connection.execute("ROLLBACK TO run")  # "mlgit status" tells of it
                connection.execute("RELEASE run")
        return complete

    def _put_late(
        self, connection: sqlite3.Connection, gone: set[str]
    ) -> list[tuple[Record, str | None, str | None]]:
        """Ended runs that another process, slow since it read them, put here as going ones."""
        found: list[tuple[Record, str | None, str | None]] = []
        for run_id in gone:
            query = "SELECT 1 FROM runs WHERE run_id=? AND commit_sha IS NULL"
            if connection.execute(query, (run_id,)).fetchone():
                try:
                    record, _, tree = self.committer.load(run_id) or (None, None, None)
                except Exception:  # as above
                    continue
                if record is not None and tree is not None:
                    found.append((record, tree.sha, None))
        return found

    # -- answering

    def search_runs(self, *args: Any, **kwargs: Any) -> list[rows.RunRow]:
        """Runs in order; the arguments are those of ``query.runs_query``."""
        compiled = query.runs_query(*args, **kwargs)
        self.sync()

        def work(connection: sqlite3.Connection) -> list[rows.RunRow]:
            ids = [row[0] for row in connection.execute(compiled.sql, compiled.args)]
            return rows.get_runs(connection, ids)

        return self._guarded(work)

    def holds(self, run_id: str, conditions: Sequence[Node]) -> list[bool]:
        """Which of some conditions a run meets, be it deleted or not; none where it isn't here.

        Args:
            run_id: The run.
            conditions: Parts of parsed filters.
        """
        parts = [predicate(node, "runs") for node in conditions]
        columns = ", ".join(f"({part.text}) IS TRUE" for part in parts)
        args = tuple(arg for part in parts for arg in part.args)
        found = self._select(f"SELECT {columns} FROM runs WHERE run_id=?", (*args, run_id))
        return [bool(held) for held in found[0]] if found else [False] * len(parts)

    def search_experiments(self, *args: Any, **kwargs: Any) -> list[str]:
        """Experiments' ids in order; the arguments are those of ``query.experiments_query``."""
        compiled = query.experiments_query(*args, **kwargs)
        return [row[0] for row in self._select(compiled.sql, compiled.args)]

    def find_run(self, run_id: str) -> str | None:
        """The experiment that a run belongs to by what the index knows now, or None.

        It doesn't bring the index up to date: whoever asks looks at the ref next.
        """
        found = self._guarded(
            lambda c: c.execute(
                "SELECT experiment_id FROM runs WHERE run_id=?", (run_id,)
            ).fetchone()
        )
        return found[0] if found else None

    def runs_like(self, text: str, limit: int = 20) -> list[tuple[str, str, str]]:
        """(run id, name, experiment id) of runs whose id begins with, or name is, a text."""
        return self._select(
            "SELECT * FROM (SELECT run_id, name, experiment_id FROM runs "
            "WHERE run_id >= ? AND run_id < ? LIMIT ?) UNION "
            "SELECT * FROM (SELECT run_id, name, experiment_id FROM runs WHERE name = ? LIMIT ?)",
            (text, text + "\U0010ffff", limit, text, limit),
        )

    def nth_newest(self, n: int) -> str | None:
        """The run id of the n-th newest active run, counted from 0."""
        found = self._select(
            "SELECT run_id FROM runs WHERE lifecycle_stage=? "
            "ORDER BY start_time DESC, run_id LIMIT 1 OFFSET ?",
            (LifecycleStage.ACTIVE, n),
        )
        return found[0][0] if found else None

    def experiment_named(self, name: str) -> str | None:
        """The id of the experiment of a name, or None."""
        found = self._select("SELECT experiment_id FROM experiments WHERE name=?", (name,))
        return found[0][0] if found else None

    def nth_experiment(self, n: int) -> str | None:
        """The id of the n-th experiment that was made, the default one being 0."""
        found = self._select(
            "SELECT experiment_id FROM experiments WHERE experiment_id != '0' "
            "ORDER BY creation_time, experiment_id LIMIT 1 OFFSET ?",
            (n - 1,),
        )
        return found[0][0] if found and n > 0 else None

    def experiment_names(self) -> dict[str, str]:
        """Every experiment's name by id, deleted ones included."""
        return dict(self._select("SELECT experiment_id, name FROM experiments", ()))

    def run_counts(self) -> dict[str, int]:
        """How many active runs each experiment has, by id; those with none are left out."""
        return dict(
            self._select(
                "SELECT experiment_id, count(*) FROM runs WHERE lifecycle_stage=? "
                "GROUP BY experiment_id",
                (LifecycleStage.ACTIVE,),
            )
        )

    def keys(self, kind: str, limit: int = 1000) -> list[str]:
        """The names of metrics, params or tags that any run has, sorted.

        Args:
            kind: "metrics", "params" or "tags".
            limit: The most names to give.
        """
        if kind not in ("metrics", "params", "tags"):
            raise InvalidParameterValue(f"Runs have no {kind}")
        # From each name to the next by the index: DISTINCT would read every run's rows.
        rows = self._select(
            f"WITH RECURSIVE k(key) AS (SELECT min(key) FROM {kind} UNION ALL "
            f"SELECT (SELECT min(key) FROM {kind} INDEXED BY {kind}_value WHERE key > k.key) "
            "FROM k WHERE k.key NOT NULL) SELECT key FROM k WHERE key NOT NULL LIMIT ?",
            (limit,),
        )
        return [row[0] for row in rows]

    def values(self, kind: str, key: str, begins: str = "", limit: int = 100) -> list[str]:
        """The values that a param or tag has in any run, or the names of datasets; sorted.

        Args:
            kind: "params", "tags" or "datasets".
            key: The param or tag; "name" of datasets.
            begins: Only those that begin so.
            limit: The most values to give.
        """
        if kind in ("params", "tags"):
            table, value, where = kind, "value", "key = ?1"
        elif (kind, key) == ("datasets", "name"):
            table, value, where = "inputs", "name", "?1 NOT NULL"
        else:
            raise InvalidParameterValue(f"No values of {kind}.{key} are listed")
        # From each value to the next by the index, as ``keys`` does it.
        fits = "substr(value, 1, length(?2)) = ?2"
        least = f"SELECT min({value}) FROM {table} INDEXED BY {table}_{value} WHERE {where}"
        least += f" AND {value}"
        rows = self._select(
            f"WITH RECURSIVE v(value) AS ({least} >= ?2 UNION ALL "
            f"SELECT ({least} > v.value) FROM v WHERE {fits}) "
            f"SELECT value FROM v WHERE {fits} LIMIT ?3",
            (key, begins, limit),
        )
        return [row[0] for row in rows]

    def group_runs(self, *args: Any, **kwargs: Any) -> list[RunGroup]:
        """Runs by the values of a param; the arguments are those of ``groups_query``."""
        compiled = groups_query(*args, **kwargs)
        return groups_of(self._select(compiled.sql, compiled.args))

    def ended_runs(self, before: int | None = None) -> list[tuple[str, str, str]]:
        """(experiment id, run id, commit) of runs that have ended and have refs of their own.

        Args:
            before: Only those that ended before this, in milliseconds since 1970.
        """
        statuses = [s for s in RunStatus.all_status() if RunStatus.is_terminated(s)]
        ended = [RunStatus.to_string(s) for s in statuses]
        marks = ",".join("?" * len(ended))
        return self._select(
            "SELECT experiment_id, run_id, commit_sha FROM runs WHERE commit_sha NOT NULL "
            f"AND loose != ? AND status IN ({marks}) "
            "AND (? OR coalesce(end_time, start_time, 0) < ?)",
            (ARCHIVED, *ended, before is None, before or 0),
        )

    def commits(self) -> list[tuple[str, str, str, str, bool]]:
        """(run id, name, experiment id, commit, whether it is archived) of runs, newest first."""
        found = self._select(
            "SELECT run_id, name, experiment_id, commit_sha, loose FROM runs "
            "WHERE commit_sha NOT NULL ORDER BY start_time DESC, run_id",
            (),
        )
        return [(row[0], row[1], row[2], row[3], row[4] == ARCHIVED) for row in found]

    def problems(self) -> list[tuple[str, str, str]]:
        """(ref, commit, message) of what couldn't be read."""
        return self._select("SELECT ref, commit_sha, message FROM problems ORDER BY ref", ())

    def count_runs(self) -> int:
        """How many runs there are, deleted ones included."""
        return int(self._select("SELECT count(*) FROM runs", ())[0][0])

    def _select(self, sql: str, args: Sequence[Any]) -> list[Any]:
        self.sync()
        return self._guarded(lambda connection: connection.execute(sql, args).fetchall())


_FORKS: ForkGuard[Index] = ForkGuard()


def _stamp(folder: str) -> str | None:
    """Changes whenever a run's journals do; None where there are none."""
    try:
        with os.scandir(folder) as entries:
            found = sorted((e.name, e.stat()) for e in entries if not e.name.endswith(".tmp"))
    except OSError:
        return None
    # Whether a writer is alive isn't in the files: look again after a while in any case.
    parts = [(name, st.st_size, st.st_mtime_ns) for name, st in found]
    return json.dumps([parts, int(time.time() // 5)])


def _is_unusable(error: Exception) -> bool:
    """Whether the file itself is at fault, and not a lock, a full disk or our statement."""
    if isinstance(error, sqlite3.OperationalError):
        return "no such" in str(error) or "malformed" in str(error)
    return isinstance(error, sqlite3.DatabaseError) and not isinstance(
        error, (sqlite3.ProgrammingError, sqlite3.IntegrityError, sqlite3.InterfaceError)
    )
