"""The registry's index: ``registry.sqlite`` beside the runs' index, derived and disposable."""

from __future__ import annotations

import json
import os
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from mlgit.exceptions import MlgitException
from mlgit.git import Repository
from mlgit.registry import increment, rows, watch
from mlgit.registry.schema import TABLES, VERSION
from mlgit.registry.tags import TAGS, Event, parse_name
from mlgit.store import query
from mlgit.store.forking import ForkGuard

T = TypeVar("T")


class _Settled(threading.local):
    depth = 0


class RegistryIndex:
    """Answers questions about registered models.

    Args:
        repo: The repository.
    """

    def __init__(self, repo: Repository) -> None:
        self.repo = repo
        self.path = f"{repo.state_dir}/registry.sqlite"
        self._connection: sqlite3.Connection | None = None
        self._pid = 0
        self.lock = threading.RLock()
        self._settled = _Settled()
        _FORKS.watch(self)

    def ask(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do something with the index, brought up to date; once more with a new one if it is
        damaged.

        Raises:
            MlgitException: It can't be used.
        """
        with self.lock:
            try:
                self._sync(self._opened())
                return work(self._opened())
            except sqlite3.DatabaseError as error:
                if "locked" in str(error):
                    raise MlgitException(
                        f"The registry's index can't be used: {error}",
                        hint=f"another process holds {self.path}; has it been stopped?",
                    ) from error
            self.discard()
            self._sync(self._opened())
            return work(self._opened())

    @contextmanager
    def settled(self) -> Iterator[None]:
        """Look at the refs once, and not again for each question of this thread's.

        For who holds the registry's lock; ``refresh`` looks again.
        """
        self.ask(lambda connection: None)
        self._settled.depth += 1
        try:
            yield
        finally:
            self._settled.depth -= 1

    def refresh(self) -> None:
        """Look at the refs, in any case."""
        depth, self._settled.depth = self._settled.depth, 0
        try:
            self.ask(lambda connection: None)
        finally:
            self._settled.depth = depth

    def discard(self) -> None:
        """Throw the index away; the next question makes it again."""
        self.close()
        for suffix in ("", "-wal", "-shm", "-journal"):
            try:
                os.unlink(self.path + suffix)
            except OSError:
                pass

    def close(self) -> None:
        """Close the database."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    # -- opening

    def _opened(self) -> sqlite3.Connection:
        if self._connection is None or self._pid != os.getpid():
            self._connection = self._open()
            self._pid = os.getpid()
        return self._connection

    def _open(self) -> sqlite3.Connection:
        for attempt in range(2):
            try:
                os.makedirs(self.repo.state_dir, exist_ok=True)
                if os.path.exists(self.path) and not os.access(self.path, os.W_OK):
                    break
                return _prepared(self.path)
            except (sqlite3.DatabaseError, OSError) as error:
                if "locked" in str(error) or attempt:
                    break
                self.discard()
        # Read-only or otherwise out of reach: an index of our own, in memory, still answers.
        return _prepared(":memory:")

    # -- bringing it up to date

    def _sync(self, connection: sqlite3.Connection) -> None:
        if self._settled.depth or watch.glance(self.repo, connection).unchanged:
            return
        connection.execute("BEGIN IMMEDIATE")
        try:
            # Again: what another process took over meanwhile isn't new.
            now = watch.glance(self.repo, connection, mark=True)
            if not now.unchanged:
                self._take_over(connection, watch.look(self.repo, connection, now))
            connection.execute("COMMIT")
        except BaseException:
            connection.execute("ROLLBACK")
            raise

    def _take_over(self, connection: sqlite3.Connection, changes: watch.Changes) -> None:
        first = connection.execute("SELECT 1 FROM events LIMIT 1").fetchone() is None
        changed = _forget(connection, changes.gone)
        by_model: dict[str, list[tuple[str, str, bool]]] = {key: [] for key in changed}
        for ref, (sha, loose) in _to_read(connection, changes).items():
            by_model.setdefault(rows.model_of_ref(ref), []).append((ref, sha, loose))
        present: set[str] = set()
        for key in sorted(by_model):
            replayed = key in changed
            new: list[Event] = []
            for ref, sha, loose in sorted(by_model[key], key=_in_order):
                if not ref.startswith(TAGS):
                    rows.put_text(connection, self.repo, ref, sha, loose)
                    replayed = True
                elif first:
                    event = rows.put_tag(connection, self.repo, ref, sha, loose, present)
                    new += [event] if event is not None else []
                elif not _put_tag(connection, self.repo, (ref, sha, loose), present, replayed):
                    replayed = True
            if first:
                rows.put_model(connection, self.repo, key, new)
            elif replayed:
                rows.put_model(connection, self.repo, key)
        connection.execute(
            "INSERT OR REPLACE INTO meta VALUES ('refs', ?)", (json.dumps(changes.state),)
        )


def _forget(connection: sqlite3.Connection, gone: Iterable[str]) -> set[str]:
    """Forget refs; the keys of the models that they were of."""
    keys = set()
    for ref in gone:
        for table in ("events", "texts"):
            row = connection.execute(f"SELECT key FROM {table} WHERE ref=?", (ref,)).fetchone()
            if row is not None:
                keys.add(row[0])
                connection.execute(f"DELETE FROM {table} WHERE ref=?", (ref,))
    return keys


def _in_order(found: tuple[str, str, bool]) -> tuple[int, str]:
    """Sorts a model's refs: versions before what is assigned to them, that by its numbers."""
    ref = found[0]
    name = parse_name(ref[len(TAGS) :]) if ref.startswith(TAGS) else None
    return name.count if name else 0, ref


def _put_tag(
    connection: sqlite3.Connection,
    repo: Repository,
    found: tuple[str, str, bool],
    present: set[str],
    replayed: bool,
) -> bool:
    """Take over a tag into an index that had others.

    Args:
        connection: The index.
        repo: The repository.
        found: The ref, what it holds, and whether it is a file of its own.
        present: Commits that are known to be there; more are put in.
        replayed: Whether its model will be replayed in any case.

    Returns:
        Whether that is all; if not, the model has to be replayed.
    """
    ref, sha, loose = found
    before = connection.execute("SELECT sha, problem FROM events WHERE ref=?", (ref,)).fetchone()
    if before == (sha, None):  # it was packed, or unpacked
        connection.execute("UPDATE events SET loose=? WHERE ref=?", (loose, ref))
        return True
    event = rows.put_tag(connection, repo, ref, sha, loose, present)
    if before is None and event is not None:
        return not replayed and increment.apply(connection, repo, event.name.key, event)
    return before is None or (event is None and before[1] is not None)


def _to_read(connection: sqlite3.Connection, changes: watch.Changes) -> dict[str, tuple[str, bool]]:
    """The refs to take over: what each holds, and whether it is a file of its own."""
    found = {ref: (sha, ref in changes.loose) for ref, sha in changes.refs.items()}
    for ref, sha, loose in connection.execute(
        "SELECT ref, sha, loose FROM events WHERE problem IS NOT NULL AND key != ''"
    ).fetchall():
        if ref not in changes.gone and ref not in found:  # its commit may be here by now
            found[ref] = (sha, bool(loose))
    return found


def _prepared(path: str) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=120.0, isolation_level=None, check_same_thread=False)
    try:
        if connection.execute("PRAGMA user_version").fetchone()[0] not in (0, VERSION):
            raise sqlite3.DatabaseError("another version's index")
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=OFF")
        query.prepare(connection)
        connection.execute("BEGIN IMMEDIATE")
        if connection.execute("PRAGMA user_version").fetchone()[0] == 0:
            for statement in TABLES.split(";\n"):
                if statement.strip():
                    connection.execute(statement)
            connection.execute(f"PRAGMA user_version={VERSION}")
        connection.execute("COMMIT")
        connection.execute("SELECT key, loose FROM events LIMIT 1").fetchall()
    except BaseException:
        connection.close()
        raise
    return connection


_FORKS: ForkGuard[RegistryIndex] = ForkGuard()
