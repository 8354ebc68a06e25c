"""Folding ended runs into one ref per experiment (docs/format.md, "Archive commits").

The archive is written, and read again, before a run's own ref goes: whatever interrupts it, a
run is found in one of them, or in both.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from mlgit.exceptions import Conflict, MlgitException
from mlgit.store import journal, names
from mlgit.store.archive_record import commit_seconds, read_archive, write_link
from mlgit.store.gitstore import GitStore
from mlgit.store.lineage import stands_on
from mlgit.store.timeform import now_ms

Progress = Callable[[int, int], None]

# Git's time to show a commit, or to pack it, grows with the square of its parents: 0.1 s to
# show one of 1,000, 19 s one of 10,000 (measured).
MOST_PARENTS = 1000
_ATTEMPTS = 10


@dataclass(frozen=True)
class Folded:
    """What was folded, or would be, of one experiment.

    Attributes:
        experiment_id, experiment: Its id and name.
        ref: Its archive.
        commit: What the archive's ref points at; None where there is none yet.
        runs: How many runs are new in the archive, or are there with a newer commit.
        removed: How many refs of runs were removed.
        apart: Runs that were left alone, as they and the archive have parted: each was
            changed on top of the same commit.
    """

    experiment_id: str
    experiment: str
    ref: str
    commit: str | None
    runs: int
    removed: int
    apart: list[str]


def fold(
    store: GitStore,
    experiment_ids: Sequence[str] | None = None,
    *,
    ended_before: int | None = None,
    dry_run: bool = False,
    progress: Progress | None = None,
) -> list[Folded]:
    """Fold runs that have ended into the archives of their experiments.

    Runs that are going, here or by what their commit says, are left as they are. It can be
    interrupted and repeated.

    Args:
        store: The store.
        experiment_ids: The experiments whose runs are folded; None for all.
        ended_before: Only runs that ended before this, in milliseconds since 1970.
        dry_run: Change nothing, and tell what would be done.
        progress: Called now and then with how many of how many runs are folded.

    Returns:
        What was done, for each experiment that had something to be done.

    Raises:
        Conflict: Others kept changing an archive, or somebody holds a lock.
        CorruptData, ResourceDoesNotExist: An archive that is there can't be read.
        StorageError, PermissionDenied: It can't be written.
    """
    store.runs.recover()
    work = _Fold(store, ended_before, dry_run)
    ended = work.ended()
    chosen = [e for e in ended if experiment_ids is None or e in experiment_ids]
    total, done = sum(len(ended[e]) for e in chosen), 0
    found = []
    for experiment_id in chosen:
        if progress is not None:
            progress(done, total)
        folded = work.experiment(experiment_id, ended[experiment_id])
        done += len(ended[experiment_id])
        if folded.runs or folded.removed or folded.apart:
            found.append(folded)
    if not dry_run:
        store.index.sync()  # now, so that the next query needn't
    return found


@dataclass
class _Plan:
    """What is to be done with the runs of one experiment.

    Attributes:
        new: The runs to fold: run id → commit.
        seconds: When these commits were made, by run id.
        archived: The commit that the archive shall have, by run id, of all whose refs can go.
        own: The commit that their refs have.
        apart: Runs whose ref and archive have parted.
    """

    new: dict[str, str] = field(default_factory=dict)
    seconds: dict[str, int] = field(default_factory=dict)
    archived: dict[str, str] = field(default_factory=dict)
    own: dict[str, str] = field(default_factory=dict)
    apart: list[str] = field(default_factory=list)


class _Fold:
    def __init__(self, store: GitStore, ended_before: int | None, dry_run: bool) -> None:
        self.store = store
        self.repo = store.repo
        self.ended_before = ended_before
        self.dry_run = dry_run
        self.titles = store.index.experiment_names()

    def ended(self) -> dict[str, dict[str, str]]:
        """The runs that could be folded: experiment id → run id → commit."""
        found: dict[str, dict[str, str]] = {}
        for experiment_id, run_id, commit in self.store.index.ended_runs(self.ended_before):
            found.setdefault(experiment_id, {})[run_id] = commit
        return dict(sorted(found.items()))

    def experiment(self, experiment_id: str, ended: dict[str, str]) -> Folded:
        """Fold the runs of one experiment."""
        ref = names.ARCHIVE + experiment_id
        title = self.titles.get(experiment_id, experiment_id)
        for _ in range(_ATTEMPTS):
            # The archive before the refs: what was folded since then makes the swap fail.
            tip: str | None = self.repo.refs.read(ref)
            plan = self._plan(experiment_id, ended, tip)
            if plan.new and not self.dry_run:
                made = self._extend(experiment_id, title, plan, tip)
                if made is None:
                    ended = self.ended().get(experiment_id, {})
                    continue
                tip = made
            removed = len(plan.own) if self.dry_run else self._remove(experiment_id, plan)
            return Folded(
                experiment_id, title, ref, tip, len(plan.new), removed, sorted(plan.apart)
            )
        raise Conflict(f"{ref} keeps being changed by somebody else", hint="try again")

    def _plan(self, experiment_id: str, ended: dict[str, str], tip: str | None) -> _Plan:
        archived = read_archive(self.repo, tip) if tip else {}
        refs = self.repo.refs.items(f"{names.RUNS}{experiment_id}/")
        committer = self.store.runs.committer
        going = {r for r in committer.pending() if journal.names(committer.folder(r))}
        plan = _Plan()
        for run_id, sha in ended.items():
            if run_id in going or refs.get(names.run_ref(experiment_id, run_id)) != sha:
                continue  # it has changed since it was looked at
            before = archived.get(run_id)
            if before is not None and before != sha and stands_on(self.repo, before, sha):
                plan.archived[run_id] = before  # the ref is old: a fetch may have left it
            elif before in (None, sha) or stands_on(self.repo, sha, before):
                if before != sha:
                    try:
                        plan.seconds[run_id] = commit_seconds(self.repo, sha)
                    except MlgitException:
                        continue  # fsck tells; an archive that lacks a parent would be worse
                    plan.new[run_id] = sha
                plan.archived[run_id] = sha
            else:
                plan.apart.append(run_id)
                continue
            plan.own[run_id] = sha
        return plan

    def _extend(self, experiment_id: str, title: str, plan: _Plan, tip: str | None) -> str | None:
        """Put runs into the archive; its new commit, or None where somebody else was faster."""
        # Oldest first, each commit as old as its newest parent: Git walks commits by their
        # dates, and its time grows with the square of how many wait for their turn.
        ordered = sorted(plan.new, key=lambda run_id: (plan.seconds[run_id], run_id))
        written: list[str] = []
        newest = commit_seconds(self.repo, tip) if tip else 0
        for at in range(0, len(ordered), MOST_PARENTS):
            runs = {run_id: plan.new[run_id] for run_id in ordered[at : at + MOST_PARENTS]}
            newest = max(newest, *(plan.seconds[run_id] for run_id in runs))
            before = written[-1:] or ([tip] if tip else [])
            parents = [*before, *runs.values()]
            written += write_link(self.repo, experiment_id, title, runs, parents, newest, now_ms())
        # On the disk before the refs go: those are removed from a file that is synced.
        self.repo.objects.sync(written)
        ref = names.ARCHIVE + experiment_id
        try:
            self.repo.refs.update(ref, written[-1], tip, sync=True)
        except Conflict:
            if self.repo.refs.read(ref) == tip:
                raise  # somebody holds its lock
            return None
        return written[-1]

    def _remove(self, experiment_id: str, plan: _Plan) -> int:
        """Remove the refs of runs that a reader finds in the archive now."""
        tip = self.repo.refs.read(names.ARCHIVE + experiment_id)
        archived = read_archive(self.repo, tip) if tip else {}
        gone = {
            names.run_ref(experiment_id, run_id): plan.own[run_id]
            for run_id, sha in plan.archived.items()
            if archived.get(run_id) == sha
        }
        return self.repo.refs.delete_many(f"{names.RUNS}{experiment_id}/", gone)
