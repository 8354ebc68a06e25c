"""Runs: beginning, logging, ending, changing and reading them."""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from mlgit import settings, validation
from mlgit.entities import (
    LifecycleStage,
    Metric,
    Param,
    Run,
    RunStatus,
    RunTag,
)
from mlgit.exceptions import InvalidParameterValue, MlgitException, ResourceDoesNotExist
from mlgit.git import Repository
from mlgit.git.commits import Commit, format_commit, signature
from mlgit.objects import Entry, LocalObjects
from mlgit.store import journal, logged, maintenance, names, replay, results, yamlform
from mlgit.store.archive_record import Archives
from mlgit.store.committer import Committer
from mlgit.store.experiments import Experiments
from mlgit.store.index import Index
from mlgit.store.journal import Writer, WriterClosed
from mlgit.store.open_run import OpenRun
from mlgit.store.record import FORMAT, Point, Record
from mlgit.store.replay import Live
from mlgit.store.runtree import RunTree
from mlgit.store.timeform import now_ms

if TYPE_CHECKING:
    from mlgit.git.snapshot import Snapshot, Snapshotter


class Runs:
    """The runs of one repository.

    Args:
        repo: The repository.
        objects: The clone's artifacts.
        index: The index.
        experiments: The experiments.
    """

    def __init__(
        self, repo: Repository, objects: LocalObjects, index: Index, experiments: Experiments
    ) -> None:
        self.repo = repo
        self.objects = objects
        self.index = index
        self.experiments = experiments
        self.committer = Committer(repo, objects, self.find_ref)
        index.committer = self.committer
        self._open: dict[str, OpenRun] = {}
        self._homes: dict[str, str] = {}
        self._unborn: set[str] = set()
        self._inherited: set[str] = set()
        self._snapshotter: Snapshotter | None = None
        self._archives = Archives(repo)
        self._environment: tuple[dict[str, Any], bytes] = ({}, b"")
        self._heart: threading.Thread | None = None
        self._lock = threading.Lock()
        _STORES.add(self)

    @property
    def snapshotter(self) -> Snapshotter:
        """Takes the code of runs; made at the first, as it reads Git's configuration."""
        with self._lock:
            if self._snapshotter is None:
                from mlgit.git.snapshot import Snapshotter  # whoever only reads needs none

                self._snapshotter = Snapshotter(self.repo)
            return self._snapshotter

    # -- where a run is

    def find_ref(self, run_id: str) -> tuple[str, str] | None:
        """The (ref, commit) of a run, or None where it has no commit."""
        refs = self.repo.refs
        home = self._homes.get(run_id) or self.index.find_run(run_id)
        if home is not None:
            ref = names.run_ref(home, run_id)
            sha = refs.read(ref)
            if sha is not None:
                self._unborn.discard(run_id)
                return ref, sha
            if run_id in self._unborn:
                return None
            # After the ref: whoever folds a run writes the archive before the ref goes.
            archived = self._archives.find(run_id)
            if archived is not None:
                return archived
        for experiment_id in self._experiment_ids():
            ref = names.run_ref(experiment_id, run_id)
            sha = refs.read(ref)
            if sha is not None:
                self._homes[run_id] = experiment_id
                return ref, sha
        return self._archives.find(run_id)

    def _experiment_ids(self) -> list[str]:
        found = {n[len(names.EXPERIMENTS) :] for n in self.repo.refs.items(names.EXPERIMENTS)}
        try:
            found.update(os.listdir(f"{self.repo.common_dir}/{names.RUNS}"))
        except OSError:
            pass
        return sorted(found | {names.DEFAULT_EXPERIMENT_ID})

    # -- beginning

    def create(
        self,
        experiment_id: str,
        *,
        run_name: str | None = None,
        start_time: int | None = None,
        tags: dict[str, Any] | None = None,
        user: str = "",
        parent_run_id: str | None = None,
        source: dict[str, Any] | None = None,
        environment: dict[str, Any] | None = None,
        owner: bool = False,
        with_code: bool = False,
    ) -> Record:
        """Begin a run.

        Args:
            experiment_id: The experiment it belongs to.
            run_name: Its name; one is made up where none is given.
            start_time: In milliseconds since 1970; now where none is given.
            tags: Its first tags.
            user: Who runs it.
            parent_run_id: The run that it is a part of.
            source: As in run.yaml.
            environment: As in environment.yaml.
            owner: Whether this process answers for its end.
            with_code: Take a snapshot of the worktree.

        Raises:
            ResourceDoesNotExist: There is no such experiment.
            InvalidParameterValue: The experiment is deleted, or a tag can't be one.
            StorageError, PermissionDenied: It can't be written.
        """
        from uuid import uuid4  # whoever only reads needs none

        start_time = logged.run_time(start_time)
        experiment = self.experiments.get(experiment_id)
        if experiment.lifecycle_stage != LifecycleStage.ACTIVE:
            raise InvalidParameterValue(
                f"The experiment {experiment.experiment_id} must be in the 'active' state; it is "
                f"in the {experiment.lifecycle_stage!r} state",
                hint=f"mlgit experiments restore {experiment.experiment_id}",
            )
        checked = logged.checked_tags(tags)
        record = Record(
            run_id=uuid4().hex,
            run_name=logged.text(
                run_name or checked.pop("mlflow.runName", "") or results.random_name()
            ),
            experiment_id=experiment.experiment_id,
            experiment=experiment.name,
            user=logged.text(user or checked.pop("mlflow.user", "")),
            start_time=now_ms() if start_time is None else start_time,
            parent_run_id=logged.text(parent_run_id) if parent_run_id else None,
            source=logged.clean(dict(source or {})),
        )
        checked.pop("mlflow.runName", None)
        for key, value in checked.items():
            record.set_tag(key, value)
        snapshot = self._take_snapshot(record) if with_code else None
        self._begin(record, environment, owner, snapshot)
        return record

    def _take_snapshot(self, record: Record) -> Snapshot | None:
        if self.repo.worktree is None:
            return None
        snapshot = self.snapshotter.take()
        record.code_commit, record.code_tree = snapshot.commit, snapshot.tree
        source = {
            "commit": snapshot.commit,
            "branch": snapshot.branch,
            "dirty": snapshot.dirty,
            "left_out": [
                {"path": logged.shown_path(o.path), "reason": o.reason} for o in snapshot.left_out
            ],
            "dirty_submodules": snapshot.dirty_submodules,
        }
        record.source.update({k: logged.clean(v) for k, v in source.items() if v not in (None, [])})
        return snapshot

    def _begin(
        self,
        record: Record,
        environment: dict[str, Any] | None,
        owner: bool,
        snapshot: Snapshot | None,
    ) -> None:
        if snapshot is not None and snapshot.dirty and snapshot.tree:
            self._keep_snapshot(record)
        writer = Writer(self.committer.folder(record.run_id), record.run_id, owner=owner)
        self._homes[record.run_id] = record.experiment_id
        self._unborn.add(record.run_id)
        self._open[record.run_id] = OpenRun(writer, snapshot=snapshot)
        began = {
            "run_name": record.run_name,
            "experiment_id": record.experiment_id,
            "experiment": record.experiment,
            "status": record.status,
            "user": record.user,
            "start_time": record.start_time,
            "parent_run_id": record.parent_run_id,
            "source": record.source,
            "tags": record.tags,
            "code_commit": record.code_commit,
            "code_tree": record.code_tree,
        }
        data = journal.line("run", {k: v for k, v in began.items() if v not in (None, "", {})})
        if environment:
            if self._environment[0] is not environment:
                shown = yamlform.dump({"format": FORMAT, **environment})
                self._environment = (environment, shown)
            shown = self._environment[1]
            self._open[record.run_id].environment = shown
            data += journal.line("env", self.repo.objects.write("blob", shown))
        try:
            writer.append(data)
        except MlgitException:
            self._release(record.run_id)
            raise
        self._beat()

    def _keep_snapshot(self, record: Record) -> None:
        """Give the code of a going run a ref, so that ``git gc`` leaves it alone."""
        now = record.start_time or now_ms()
        commit = Commit(
            record.code_tree or "",
            (record.code_commit,) if record.code_commit else (),
            signature(self.repo.author(), now),
            signature(self.repo.committer(), now),
            f"code of the run {record.run_id}\n",
        )
        sha = self.repo.objects.write("commit", format_commit(commit))
        self.repo.refs.update(names.SNAPSHOTS + record.run_id, sha)

    def join(self, run_id: str, *, owner: bool) -> Record:
        """Go on with a run: one that is going elsewhere, or one that has ended.

        Args:
            run_id: The run.
            owner: Whether this process too answers for its end.

        Raises:
            ResourceDoesNotExist: There is no such run.
            InvalidParameterValue: It is deleted.
        """
        record, live, _ = self._require(run_id)
        logged.require_active(record)
        with self._lock:
            held = self._open.get(run_id)
            if held is not None and held.writer.owner:
                held.owners += owner  # another thread of this process has it
                return record
            self._homes[run_id] = record.experiment_id
            writer = Writer(self.committer.folder(run_id), run_id, owner=owner)
            stamp = max(now_ms(), live.last_stamp() + 1)
            self._open[run_id] = OpenRun(writer, dict(record.params), stamp=stamp)
        writer.append(journal.line("u", {"status": "RUNNING", "end_time": None}, stamp))
        if held is not None:
            held.writer.close(journal.line("end", "FINISHED", now_ms()))
        self._beat()
        return record

    # -- logging

    def log_metric(self, run_id: str, key: str, value: float, timestamp: int, step: int) -> None:
        """Log one point of a metric; all values checked already.

        Args:
            run_id: The run.
            key: The metric.
            value: Any float; NaN and infinities are kept.
            timestamp: In milliseconds since 1970.
            step: A 64-bit integer.
        """
        held = self._open.get(run_id)
        if held is not None:
            try:
                held.writer.append(journal.metric_line(key, value, timestamp, step))
                return
            except WriterClosed:
                pass  # another thread ended the run
        self._append(run_id, [["m", key, value, timestamp, step]])

    def log_batch(
        self,
        run_id: str,
        metrics: Iterable[Metric] = (),
        params: Iterable[Param] = (),
        tags: Iterable[RunTag] = (),
    ) -> None:
        """Log many things at once: all of them, or none on an error.

        Raises:
            InvalidParameterValue: A name or value can't be one, or a param was logged
                with another value before.
            ResourceDoesNotExist: There is no such run.
        """
        try:
            new_params = logged.new_params(params)
            lines = [logged.tag_line(tag, now_ms()) for tag in tags]
            points = [logged.point_line(metric) for metric in metrics]
        except (AttributeError, TypeError) as error:
            raise InvalidParameterValue(
                f"log_batch takes lists of Metric, Param and RunTag: {error}"
            ) from error
        held = self._open.get(run_id) or self._join_if_going(run_id)
        if held is None:
            lines += [["p", key, value] for key, value in new_params.items()]
            self._append(run_id, lines + points)
            return
        if new_params:
            self._check_params(run_id, held, new_params)
            lines += [["p", key, value] for key, value in new_params.items()]
        data = b"".join(journal.line(*line) for line in held.stamped(lines))
        data += b"".join(journal.metric_line(p[1], p[2], p[3], p[4]) for p in points)
        if data:
            try:
                held.writer.append(data)
            except WriterClosed:
                self._append(run_id, lines + points)
            held.params.update(new_params)

    def set_tag(self, run_id: str, key: str, value: Any) -> None:
        """Set a tag."""
        validation.check_key(key, "tag")
        self._append(run_id, [["t", key, validation.tag_value(key, value), now_ms()]])

    def delete_tag(self, run_id: str, key: str) -> None:
        """Remove a tag.

        Raises:
            ResourceDoesNotExist: There is no such run or tag.
        """
        record, _, _ = self._require(run_id)
        validation.check_key(key, "tag")
        if key not in record.all_tags():
            raise ResourceDoesNotExist(f"No tag with name: {key} in run with id {run_id}")
        self._append(run_id, [["T", key, now_ms()]])

    def log_inputs(self, run_id: str, datasets: Sequence[dict[str, Any]]) -> None:
        """Log datasets, each as in inputs.yaml."""
        from mlgit.git.secrets import mask_urls

        cleaned = [logged.clean(dataset) for dataset in datasets]
        for dataset in cleaned:
            if dataset.get("source"):
                dataset["source"] = mask_urls(str(dataset["source"]))
        self._append(run_id, [["i", dataset] for dataset in cleaned])

    def log_artifact(self, run_id: str, path: str, entry: Entry) -> None:
        """Log a file or folder that is an object already, at a path below the run's root."""
        validation.check_artifact_path(path)
        held = self._open.get(run_id) or self._join_if_going(run_id)
        if held is not None:
            held.take_place(path, entry)
        self._append(run_id, [["a", path, *entry]])

    def log_model(self, run_id: str, path: str, entry: Entry, tag: RunTag) -> None:
        """Log a model's folder that is an object already, and the tag that tells of it, at once."""
        validation.check_artifact_path(path)
        held = self._open.get(run_id) or self._join_if_going(run_id)
        if held is not None:
            held.take_place(path, entry)
        self._append(run_id, [["a", path, *entry], logged.tag_line(tag, now_ms())])

    def update(self, run_id: str, **fields: Any) -> None:
        """Change fields of a run: run_name, status, end_time, lifecycle_stage."""
        if "run_name" in fields:
            fields["run_name"] = logged.text(fields["run_name"])
        self._append(run_id, [["u", logged.clean(fields), now_ms()]], check_active=False)

    def _append(self, run_id: str, lines: list[list[Any]], *, check_active: bool = True) -> None:
        """Log to a run whatever its state: into its journal, or as a commit if it has ended."""
        validation.check_run_id(run_id)
        held = self._open.get(run_id) or self._join_if_going(run_id, check_active)
        if held is not None:
            data = b"".join(journal.line(*logged.journalled(line)) for line in held.stamped(lines))
            try:
                held.writer.append(data)
                return
            except WriterClosed:
                pass  # another thread ended the run
        found = journal.Journal("", records=lines)

        def change(record: Record) -> None:
            if check_active:
                logged.require_active(record)
            for line in lines:
                if line[0] == "p" and record.params.get(line[1], line[2]) != line[2]:
                    raise logged.changed_param(line[1], record.params[line[1]], line[2])
            problems = replay.apply(record, Live(run_id, [found]), self.objects)
            if problems:
                raise InvalidParameterValue(problems[0])

        self.committer.amend(validation.check_run_id(run_id), change)

    def _join_if_going(self, run_id: str, check_active: bool = True) -> OpenRun | None:
        """A journal of this process for a run that is going without having been begun here."""
        validation.check_run_id(run_id)
        folder = self.committer.folder(run_id)
        if not journal.names(folder):
            return None
        found = self.committer.load(run_id)
        if found is None:
            return None
        record, live, _ = found
        if live.is_dead:
            self.committer.commit(run_id, only_if_over=True)
            return None
        if check_active:
            logged.require_active(record)
        with self._lock:
            held = self._open.get(run_id)
            if held is None:
                self._homes[run_id] = record.experiment_id
                writer = Writer(folder, run_id, owner=False)
                held = OpenRun(writer, dict(record.params), stamp=live.last_stamp() + 1)
                self._open[run_id] = held
        return held

    def _check_params(self, run_id: str, held: OpenRun, new: dict[str, str]) -> None:
        folder = self.committer.folder(run_id)
        for name in journal.names(folder):
            if name != held.writer.name:
                self._read_params(f"{folder}/{name}", name, held)
        for key, value in new.items():
            if held.params.get(key, value) != value:
                raise logged.changed_param(key, held.params[key], value)

    def _read_params(self, path: str, name: str, held: OpenRun) -> None:
        """Learn the params that another process logged since the last look."""
        try:
            with open(path, "rb") as f:
                f.seek(held.others.get(name, 0))
                data = f.read()
        except OSError:
            return
        for line, offset in journal.parse(data):
            if line is not None and line[0] == "p":
                held.params.setdefault(line[1], line[2])
            end = offset
        if data:
            held.others[name] = held.others.get(name, 0) + (end if b"\n" in data else 0)

    # -- ending

    def finish(self, run_id: str, status: str, end_time: int | None = None) -> None:
        """End this process's part in a run; the last of its owners commits it.

        Args:
            run_id: The run.
            status: What it ended as.
            end_time: In milliseconds since 1970; now where none is given.
        """
        RunStatus.from_string(status)
        held = self._open.get(run_id)
        end_time = logged.run_time(end_time)
        when = now_ms() if end_time is None else end_time
        if run_id in self._inherited and self._is_the_parents(run_id):
            self._release(run_id)
            return
        if held is None or not held.writer.owner:
            self.terminate(run_id, status, when)
            return
        with self._lock:
            held.ends.append(status)
            held.owners -= 1
            if held.owners > 0:
                return  # other threads of this process go on with it
        status = next((s for s in ("FAILED", "KILLED") if s in held.ends), status)
        noted = b"".join(journal.line(*line) for line in held.stamped(self._last_notes(held)))
        held.writer.close(noted + journal.line("end", status, when))
        self._open.pop(run_id, None)
        if self._commit(run_id, only_if_over=True) is not None:
            maintenance.after_commit(self.repo)

    def _last_notes(self, held: OpenRun) -> list[list[Any]]:
        """What is to be said of the code and environment; nothing of it stops a run's end."""
        try:
            if held.environment:
                # Nothing names it yet, so "git gc" may have pruned it: where it is there
                # still, this only freshens it.
                self.repo.objects.write("blob", held.environment)
            changed = self.snapshotter.changed_since(held.snapshot) if held.snapshot else []
        except (MlgitException, OSError) as error:
            note = f"whether the code changed during the run isn't known: {error}"
            return [["u", {"source": {"problems": [logged.text(note)]}}, now_ms()]]
        if not changed:
            return []
        return [
            [
                "u",
                {"source": {"changed_during_run": [logged.shown_path(p) for p in changed]}},
                now_ms(),
            ]
        ]

    def _is_the_parents(self, run_id: str) -> bool:
        """Whether the process that this one was forked from ended the run, or still may."""
        found = self.committer.load(run_id)
        if found is None:
            return True
        record, live, _ = found
        if not live.owners:
            return not record.source.get("recovered")
        return any(j.alive or j.ended for j in live.owners)

    def terminate(self, run_id: str, status: str, end_time: int | None = None) -> None:
        """Set a run's final status, whoever began it.

        Args:
            run_id: The run.
            status: What it ended as.
            end_time: In milliseconds since 1970; now where none is given.
        """
        RunStatus.from_string(status)
        end_time = logged.run_time(end_time)
        when = now_ms() if end_time is None else end_time
        self.update(run_id, status=status, end_time=when)
        self._release(run_id)
        self._commit(run_id, only_if_over=False)

    def _commit(self, run_id: str, *, only_if_over: bool) -> Record | None:
        try:
            return self.committer.commit(run_id, only_if_over=only_if_over)
        finally:
            # Without a journal of this process, others may commit the run and archive it.
            self._unborn.discard(run_id)

    def checkpoint(self, run_id: str) -> None:
        """Commit a going run as it stands, so that it can be pushed and watched elsewhere."""
        self.committer.commit(run_id, only_if_over=False)

    def release_all(self) -> None:
        """Let go of the runs that this process wrote to without answering for their end."""
        for run_id, held in list(self._open.items()):
            if not held.writer.owner:
                self._release(run_id)
                try:
                    self._commit(run_id, only_if_over=True)
                except MlgitException:
                    pass  # the journal is kept; the next command commits it

    def _release(self, run_id: str) -> None:
        held = self._open.pop(run_id, None)
        if held is not None:
            held.writer.close()

    def recover(self) -> list[Record]:
        """Commit the runs whose processes died; the records that were written."""
        recovered = []
        for run_id in self.committer.pending():
            if run_id in self._open:
                continue
            try:
                record = self.committer.commit(run_id, only_if_over=True, wait=False)
            except Exception:  # whatever is wrong with one run, the others are recovered
                continue  # reading still works; fsck says what is wrong
            if record is not None:
                recovered.append(record)
        return recovered

    # -- reading

    def get(self, run_id: str) -> Run:
        """A run as it is now.

        Raises:
            ResourceDoesNotExist: There is none of that id.
        """
        return results.run_of_record(self._require(run_id)[0])

    def record(self, run_id: str) -> Record:
        """A run's record as it is now.

        Raises:
            ResourceDoesNotExist: There is none of that id.
        """
        return self._require(run_id)[0]

    def tree(self, run_id: str) -> RunTree | None:
        """A run's newest commit, or None while it has only a journal."""
        found = self.find_ref(run_id)
        return RunTree(self.repo, found[1]) if found else None

    def _require(self, run_id: str) -> tuple[Record, Live, RunTree | None]:
        found = self.committer.load(validation.check_run_id(run_id))
        if found is None:
            raise ResourceDoesNotExist(
                f"Run with id={run_id} not found", hint="mlgit log --all lists the runs"
            )
        return found

    def history(self, run_id: str, key: str) -> list[Point]:
        """Every point of one metric, in the order of logging.

        Raises:
            ResourceDoesNotExist: There is no such run.
        """
        validation.check_key(key, "metric")
        record, _, tree = self._require(run_id)
        committed = tree.history(key) if tree else []
        return committed + record.points.get(key, [])

    # -- life of the process

    def _beat(self) -> None:
        """Start the heartbeat that tells other hosts that this process is alive."""
        if self._heart is None or not self._heart.is_alive():
            self._heart = threading.Thread(
                target=_heartbeat, args=(weakref.ref(self),), daemon=True, name="mlgit-heartbeat"
            )
            self._heart.start()

    def _after_fork(self) -> None:
        """In a forked child: the files are the parent's; log through files of our own."""
        for run_id, held in self._open.items():
            held.writer.abandon()
            if held.writer.owner:
                self._inherited.add(run_id)
        self._open = {}
        self._heart = None
        # Another thread may have held these, or been half way through their work.
        self._lock = threading.Lock()
        self._snapshotter = None
        self.repo.objects.after_fork()


_STORES: weakref.WeakSet[Runs] = weakref.WeakSet()


def _forked() -> None:
    for runs in list(_STORES):
        runs._after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)


def _heartbeat(reference: weakref.ref[Runs]) -> None:
    """Touch the journals now and then, and commit going runs where that was asked for."""
    every = settings.checkpoint_seconds()
    while True:
        time.sleep(min(every or journal.HEARTBEAT, journal.HEARTBEAT))
        runs = reference()
        if runs is None:
            return
        for run_id, held in list(runs._open.items()):
            held.writer.touch()
            if every and held.writer.owner and time.monotonic() - held.checkpointed >= every:
                held.checkpointed = time.monotonic()
                try:
                    runs.checkpoint(run_id)
                except MlgitException:
                    pass  # the journal has it all; the next checkpoint or the end tries again
        del runs
