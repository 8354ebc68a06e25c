"""From journals to commits, so that every step can be interrupted and repeated.

The protocol is docs/format.md, "Committing". It is used by whoever ends a run, by
checkpoints, and by the next command after a crash.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from mlgit.exceptions import (
    Conflict,
    CorruptData,
    MlgitException,
    ResourceDoesNotExist,
    from_os_error,
)
from mlgit.git import Repository
from mlgit.git.batch import ObjectBatch
from mlgit.git.commits import parse_commit
from mlgit.git.files import unlock_and_close
from mlgit.objects.local import LocalObjects
from mlgit.store import journal, names, replay
from mlgit.store.record import Point, Record, last_of
from mlgit.store.replay import Live
from mlgit.store.runtree import RunTree, write_commit
from mlgit.store.timeform import now_ms

_CAS_ATTEMPTS = 10
# Seconds for which a change of an ended run is tried again while others change it too.
_PATIENCE = 30.0


class _Changed(Exception):
    """A run got another commit while one was being made on top of its last."""


class Committer:
    """Turns what runs logged into commits.

    Args:
        repo: The repository.
        objects: The clone's artifacts.
        find_ref: Gives the ref and commit of a run, or None where it has none.
    """

    def __init__(
        self,
        repo: Repository,
        objects: LocalObjects,
        find_ref: Callable[[str], tuple[str, str] | None],
    ) -> None:
        self.repo = repo
        self.objects = objects
        self.find_ref = find_ref
        self.root = f"{repo.state_dir}/journal"

    def folder(self, run_id: str) -> str:
        """The run's journal folder."""
        return f"{self.root}/{run_id}"

    def pending(self) -> list[str]:
        """The runs that have a journal folder."""
        try:
            return sorted(os.listdir(self.root))
        except OSError:
            return []

    # -- reading

    def load(self, run_id: str) -> tuple[Record, Live, RunTree | None] | None:
        """A run as it is now: its commit, and what its journals add to it.

        Returns:
            The record, the journals and the commit's tree; None where there is no such
            run.

        Raises:
            CorruptData, Unsupported: Its commit or journal can't be read.
        """
        for _ in range(_CAS_ATTEMPTS):
            before = self.find_ref(run_id)
            live = self._read_live(run_id, before)
            if self.find_ref(run_id) == before:
                break
        if before is None and live.began is None:
            return None
        tree = RunTree(self.repo, before[1]) if before else None
        record = _summary(tree, run_id) if tree else Record(run_id)
        replay.apply(record, live, self.objects, durable=False)
        complete_last(record, tree)
        if live.journals and (record.status == "RUNNING"):
            replay.settle(record, live)
        return record, live, tree

    def _read_live(self, run_id: str, at: tuple[str, str] | None) -> Live:
        folder = self.folder(run_id)
        intent = _read_json(f"{folder}/intent")
        done = intent is not None and at is not None and self._reached(intent, at[1])
        consumed = intent["consumed"] if intent and done else _read_json(f"{folder}/consumed")
        return replay.read_live(folder, run_id, consumed or {})

    def _reached(self, intent: dict[str, Any], commit: str) -> bool:
        """Whether a ref's commit is, or stands on, the one that was intended."""
        # All parents: what was intended may have been merged with another clone's.
        pending, seen = [commit], {commit}
        for _ in range(1000):
            if not pending:
                break
            sha = pending.pop()
            if sha == intent["commit"]:
                return True
            if sha == intent["old"]:
                continue
            try:
                parents = parse_commit(self.repo.objects.commit(sha)).parents
            except MlgitException:
                continue
            pending += [parent for parent in reversed(parents) if parent not in seen]
            seen.update(parents)
        return False

    # -- committing

    @contextmanager
    def _locked(self, run_id: str, wait: bool) -> Iterator[bool]:
        """Hold the run's lock; False where its folder is gone, or another holds it."""
        folder = self.folder(run_id)
        try:
            fd = os.open(f"{folder}/lock", os.O_RDWR | os.O_CREAT, 0o666)
        except FileNotFoundError:
            yield False
            return
        except OSError as error:
            raise from_os_error(error, "lock the run's journal") from error
        try:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
                return
            # Whoever held it before may have committed and removed the folder.
            yield os.path.exists(f"{folder}/lock") and os.fstat(fd).st_nlink > 0
        finally:
            unlock_and_close(fd)

    def commit(self, run_id: str, *, only_if_over: bool, wait: bool = True) -> Record | None:
        """Commit what a run has logged.

        Args:
            run_id: The run.
            only_if_over: Do nothing while one of its owners is alive.
            wait: For another process that is committing it. Who only looks doesn't: that
                process may be stopped.

        Returns:
            The record as committed, or None where nothing was.

        Raises:
            StorageError, PermissionDenied: It can't be written. The journals are kept.
            CorruptData, Unsupported: They can't be read.
        """
        for _ in range(_CAS_ATTEMPTS):
            with self._locked(run_id, wait) as held:
                if held:
                    try:
                        return self._commit_locked(run_id, only_if_over)
                    except _Changed:
                        continue
            if not wait or not journal.names(self.folder(run_id)):
                return None
            # Its folder was removed and made again while we waited: somebody joined.
        raise Conflict(f"Run {run_id} keeps being changed by somebody else", hint="try again")

    def _commit_locked(self, run_id: str, only_if_over: bool) -> Record | None:
        intent = self._finish_intent(run_id)
        at = self.find_ref(run_id)
        live = self._read_live(run_id, at)
        if only_if_over and live.is_going and any(j.alive for j in live.journals):
            return None
        if only_if_over and not live.owners and live.began is not None:
            return None  # made by a client, and nobody has ended it
        if at is None and live.began is None:
            if not any(j.records for j in live.journals):
                self._clear(run_id, live)
            return None  # else its beginning is damaged: what it logged isn't thrown away
        return self._commit(run_id, live, at, broken=intent)

    def _finish_intent(self, run_id: str) -> bool:
        """Take over what a commit that was interrupted did; whether there was one."""
        folder = self.folder(run_id)
        intent = _read_json(f"{folder}/intent")
        if intent is None:
            return False
        at = self.find_ref(run_id)
        if at is not None and self._reached(intent, at[1]):
            _write_json(f"{folder}/consumed", intent["consumed"])
        # It stays until what follows is done, or replaced it: who finds it knows that locks
        # on the run's refs are a dead process's.
        return True

    def _commit(
        self, run_id: str, live: Live, at: tuple[str, str] | None, *, broken: bool
    ) -> Record:
        base = RunTree(self.repo, at[1]) if at else None
        record = _summary(base, run_id) if base else Record(run_id)
        changed = bool(live.began) or any(j.records for j in live.journals)
        problems = replay.apply(record, live, self.objects)
        before = record.status
        replay.settle(record, live)
        if base is None:
            problems += self._without_what_is_gone(record)
        if problems:
            record.source["problems"] = record.source.get("problems", []) + problems
        if live.damaged:
            known = record.source.get("damaged_journal_lines", 0)
            record.source["damaged_journal_lines"] = known + live.damaged
        consumed = {j.name: j.size for j in live.journals}
        if changed or record.status != before or base is None:
            self._write(run_id, record, base, at, consumed, broken)
        self._clear(run_id, live, broken=broken)
        return record

    def _without_what_is_gone(self, record: Record) -> list[str]:
        """Let go of Git objects that were pruned while the run went on; its data still counts."""
        exists = self.repo.objects.exists
        problems = []
        if record.code_tree and not exists(record.code_tree):
            problems.append(f"the code (tree {record.code_tree}) was pruned while the run went on")
            record.code_tree = None
        if record.code_commit and not exists(record.code_commit):
            problems.append(f"the commit {record.code_commit} was pruned while the run went on")
            record.code_commit = None
        if record.environment and not exists(record.environment):
            problems.append("the environment was pruned while the run went on")
            record.environment = None
        return problems

    def _write(
        self,
        run_id: str,
        record: Record,
        base: RunTree | None,
        at: tuple[str, str] | None,
        consumed: dict[str, int],
        broken: bool,
    ) -> None:
        complete_last(record, base)
        folder = self.folder(run_id)
        ref = at[0] if at else names.run_ref(record.experiment_id, run_id)
        batch = ObjectBatch(self.repo.objects, self.repo.state_dir)
        commit = write_commit(self.repo, record, base, now_ms(), batch)
        batch.flush()
        old = at[1] if at else None
        own = self._own(ref, old)
        _write_json(f"{folder}/intent", {"commit": commit, "old": old, "consumed": consumed})
        try:
            check = self._recheck(run_id, at, own)
            self.repo.refs.update(ref, commit, own, break_lock=broken, check=check)
        except Conflict:
            if self.repo.refs.read(ref) == own:
                raise  # somebody holds its lock
            raise _Changed from None
        batch.release()

    def _own(self, ref: str, old: str | None) -> str | None:
        """What the run's own ref must be for ``old`` to be its newest commit."""
        own = self.repo.refs.read(ref)  # None: an archived run gets a ref of its own again
        if own not in (None, old):
            raise _Changed
        return own

    def _recheck(
        self, run_id: str, at: tuple[str, str] | None, own: str | None
    ) -> Callable[[], None] | None:
        """To be called under the lock of a run's ref, where it is the archive that has the run.

        That the ref still is absent doesn't say that nothing happened: somebody may have
        changed the run and archived that.
        """
        if own is not None or at is None:
            return None

        def check() -> None:
            if self.find_ref(run_id) != at:
                raise _Changed

        return check

    def _clear(self, run_id: str, live: Live, *, broken: bool = False) -> None:
        """Remove what is committed: the journals of writers that are gone, else their offsets."""
        folder = self.folder(run_id)
        alive = {j.name: j.size for j in live.journals if j.alive}
        if alive:
            _write_json(f"{folder}/consumed", alive)
        for written in live.journals:
            if not written.alive:
                _unlink(f"{folder}/{written.name}")
        if not alive:
            self._drop_snapshot(run_id, broken)
        _unlink(f"{folder}/intent")
        if not alive:
            for name in ("consumed.tmp", "intent.tmp", "consumed", "lock"):
                _unlink(f"{folder}/{name}")
            try:
                os.rmdir(folder)
            except OSError:
                pass  # somebody joined meanwhile: it is theirs now

    def _drop_snapshot(self, run_id: str, broken: bool) -> None:
        ref = names.SNAPSHOTS + run_id
        try:
            if self.repo.refs.read(ref):
                self.repo.refs.delete(ref, break_lock=broken)
        except MlgitException:
            pass  # the run is committed; a ref too many does no harm

    def amend(self, run_id: str, change: Callable[[Record], None]) -> Record:
        """Change a run that has ended, as a commit on top of its last one.

        Args:
            run_id: The run.
            change: Changes the record that it is given; called again if somebody else
                changed the run meanwhile.

        Raises:
            ResourceDoesNotExist: There is no such run.
            Conflict: Others kept changing it.
            StorageError, PermissionDenied: It can't be written.
        """
        give_up = time.monotonic() + _PATIENCE
        while time.monotonic() < give_up:
            at = self.find_ref(run_id)
            if at is None:
                raise ResourceDoesNotExist(f"Run with id={run_id} not found")
            base = RunTree(self.repo, at[1])
            record = _summary(base, run_id)
            change(record)
            complete_last(record, base)
            batch = ObjectBatch(self.repo.objects, self.repo.state_dir)
            commit = write_commit(self.repo, record, base, now_ms(), batch)
            batch.flush()
            try:
                own = self._own(at[0], at[1])
            except _Changed:
                time.sleep(_pause())
                continue
            try:
                self.repo.refs.update(at[0], commit, own, check=self._recheck(run_id, at, own))
                batch.release()
                return record
            except _Changed:
                time.sleep(_pause())
            except Conflict:
                if self.repo.refs.read(at[0]) == own:
                    raise  # somebody holds its lock
                time.sleep(_pause())
        raise Conflict(f"Run {run_id} keeps being changed by somebody else", hint="try again")


def _pause() -> float:
    """Some milliseconds, at random, so that those who change one run don't keep step."""
    return os.urandom(1)[0] / 5000


def _summary(tree: RunTree, run_id: str) -> Record:
    record = tree.summary()
    if record.run_id != run_id:
        raise CorruptData(f"The ref of the run {run_id} holds the run {record.run_id}")
    return record


def complete_last(record: Record, base: RunTree | None) -> None:
    """Settle the last values of metrics that have points both committed and new."""
    if base is None:
        return
    for key, points in record.points.items():
        record.last[key] = last_of(base.history(key) + points)
    # The others keep the value they have; only it is written.
    record.last = {k: Point(*p) for k, p in record.last.items()}


def _read_json(path: str) -> dict[str, Any] | None:
    try:
        with open(path, encoding="utf-8") as f:
            found = json.load(f)
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def _write_json(path: str, data: dict[str, Any]) -> None:
    temporary = f"{path}.tmp"  # the run's lock is held: nobody else writes it
    try:
        with open(temporary, "w", encoding="utf-8") as f:
            json.dump(data, f)
        os.replace(temporary, path)
    except OSError as error:
        _unlink(temporary)
        raise from_os_error(error, "commit the run") from error


def _unlink(path: str) -> None:
    try:
        os.unlink(path)
    except OSError:
        pass
