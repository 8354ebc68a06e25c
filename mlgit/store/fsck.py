"""Checking that everything that was logged can be read, and is what it says it is.

Nothing is changed: each problem comes with what a person can do about it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

from mlgit import validation
from mlgit.exceptions import MlgitException, ResourceDoesNotExist
from mlgit.git.batch import ObjectBatch
from mlgit.objects import Entry
from mlgit.objects.manifest import parse_manifest
from mlgit.store import journal, names, pushed, reach, results, rows
from mlgit.store.archive_record import Link, links, read_archive
from mlgit.store.experiment_record import read_experiment
from mlgit.store.gitstore import GitStore
from mlgit.store.lineage import stands_on
from mlgit.store.overview import histories
from mlgit.store.pointers import parse_pointer
from mlgit.store.record import Record, last_of
from mlgit.store.runtree import RunTree, write_commit

Progress = Callable[[int, int], None]
_FETCH = "mlgit fetch --artifacts brings what the remote has; the record itself is whole"
_AGAIN = (
    "it was put aside, to objects/damaged/; fetch it again (mlgit pull, or mlgit checkout for data) "
    "or log the same bytes again"
)
_REINDEX = "mlgit reindex makes the index again"


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong.

    Attributes:
        where: The ref, file, object or run.
        message: What is wrong.
        hint: What can be done, or "".
    """

    where: str
    message: str
    hint: str = ""


@dataclass
class Report:
    """What was looked at, by kind, and what is wrong.

    Attributes:
        elsewhere: How many artifacts, files or whole folders, of pushed runs aren't in this clone.
    """

    problems: list[Problem] = field(default_factory=list)
    elsewhere: int = 0
    counts: dict[str, int] = field(
        default_factory=lambda: dict.fromkeys(
            ("runs", "experiments", "archives", "journals", "pointers", "objects"), 0
        )
    )

    def to_dictionary(self) -> dict[str, Any]:
        """As plain dicts and lists."""
        return asdict(self)


def check(
    store: GitStore,
    *,
    objects: bool = True,
    quarantine: bool = False,
    progress: Progress | None = None,
) -> Report:
    """Check a repository's refs, records, journals, objects, pointers to data and index.

    Args:
        store: The store.
        objects: Read every artifact of this clone and compare its digest; False looks at
            the records alone.
        quarantine: Put damaged artifacts aside, so that they can be fetched or logged again.
        progress: Called now and then with how many of how many things are checked.
    """
    looks = _Check(store, objects, progress or (lambda done, total: None))
    looks.quarantine = quarantine
    return looks.run()


class _Nowhere(ObjectBatch):
    """Takes objects and forgets them, to see whether a run can be committed."""

    def flush(self) -> None:
        """Write nothing."""
        self._pending.clear()
        self._bytes = 0


class _Check:
    def __init__(self, store: GitStore, objects: bool, progress: Progress) -> None:
        self.store = store
        self.with_objects = objects
        self.progress = progress
        self.report = Report()
        self.records: dict[str, tuple[str, str, Record]] = {}
        self.looked_at: dict[str, bool] = {}
        self.quarantine = False
        self.shared: set[str] = set()
        self.is_shared = False
        self.aside: set[str] = set()

    def run(self) -> Report:
        damaged: list[str] = []
        refs = self.store.repo.refs
        refs.loose_items("refs/mlgit/", damaged)
        for ref in damaged:
            self.add(ref, "its file doesn't hold a commit's name", f"git update-ref -d {ref}")
        found = refs.items("refs/mlgit/")
        # Archives again, after the runs: one that was folded meanwhile is in either.
        found.update(refs.items(names.ARCHIVE))
        self.find_shared()
        for done, (ref, sha) in enumerate(sorted(found.items())):
            self.progress(done, len(found))
            self.guarded(ref, lambda ref=ref, sha=sha: self.ref(ref, sha, found))  # type: ignore[misc]
        self.journals()
        self.index()
        if self.with_objects:
            self.pointers()
            self.objects()
        return self.report

    def find_shared(self) -> None:
        """The runs' commits that a Git remote has: their objects may be on a remote alone."""
        repo = self.store.repo
        for remote in repo.remotes():
            for ref, sha in (pushed.known(repo, remote) or {}).items():
                self.shared.add(sha)
                if ref.startswith(names.ARCHIVE) and repo.objects.exists(sha):
                    try:
                        self.shared.update(read_archive(repo, sha).values())
                    except MlgitException:
                        continue  # told where the archive itself is looked at

    def add(self, where: str, message: str, hint: str = "") -> None:
        self.report.problems.append(Problem(where, message, hint))

    def guarded(self, where: str, look: Callable[[], None]) -> None:
        try:
            look()
        except MlgitException as error:
            self.add(where, error.message, error.hint)
        except RecursionError:
            self.add(where, "it is nested too deeply to be read")
        except Exception as error:  # whatever is wrong here, the rest is looked at
            self.add(where, f"{type(error).__name__}: {error}")

    # -- refs

    def ref(self, ref: str, sha: str, all_refs: dict[str, str]) -> None:
        counts = self.report.counts
        if ref.startswith(names.RUNS):
            counts["runs"] += 1
            self.run_ref(ref, sha)
        elif ref.startswith(names.EXPERIMENTS):
            counts["experiments"] += 1
            record = read_experiment(self.store.repo, sha)
            if names.EXPERIMENTS + record.experiment_id != ref:
                self.add(ref, f"it holds the experiment {record.experiment_id}")
        elif ref.startswith(names.ARCHIVE):
            counts["archives"] += 1
            self.archive(ref, sha, all_refs)
        elif ref.startswith(names.SNAPSHOTS):
            run_id = ref[len(names.SNAPSHOTS) :]
            if run_id not in self.store.runs.committer.pending():
                self.add(
                    ref, "it keeps the code of a run that isn't going", f"git update-ref -d {ref}"
                )

    def archive(self, ref: str, sha: str, all_refs: dict[str, str]) -> None:
        repo = self.store.repo
        for link in links(repo, sha):
            for run_id in link.runs.keys() - self.kept_by(link):
                self.add(ref, f"{link.sha} lists the run {run_id}, but its parents don't keep it")
        for run_id, commit in read_archive(repo, sha).items():
            run_ref = names.run_ref(ref[len(names.ARCHIVE) :], run_id)
            own = all_refs.get(run_ref)
            if own is None:
                self.report.counts["runs"] += 1
                self.guarded(run_ref, lambda at=run_ref, to=commit: self.run_ref(at, to))  # type: ignore[misc]
            elif own != commit and not stands_on(repo, own, commit):
                self.shadowed(run_ref, own, commit)

    def kept_by(self, link: Link) -> set[str]:
        """The runs of an archive commit that "git gc" leaves alone for its sake."""
        parents = set(link.parents)
        return {run_id for run_id, commit in link.runs.items() if commit in parents}

    def shadowed(self, run_ref: str, own: str, archived: str) -> None:
        if stands_on(self.store.repo, archived, own):
            hint = "mlgit archive removes the ref, and the archive's counts"
            self.add(run_ref, f"the archive has a newer commit of it, {archived}", hint)
        else:
            hint = f"mlgit diff {own[:10]} {archived[:10]} compares them; the ref's counts"
            self.add(run_ref, f"it and the archive, which has {archived}, have parted", hint)

    def run_ref(self, ref: str, sha: str) -> None:
        experiment_id, run_id = names.parse_run_ref(ref)
        validation.check_run_id(run_id)
        tree = RunTree(self.store.repo, sha)
        record = tree.summary()
        if record.run_id != run_id:
            self.add(ref, f"it holds the run {record.run_id}", f"git update-ref -d {ref}")
            return
        record.experiment_id = experiment_id
        if run_id in self.records:
            self.add(ref, f"the run {run_id} is in the experiment {self.records[run_id][0]} too")
        self.records[run_id] = (ref, sha, record)
        tree.environment()
        self.metrics(ref, record, tree)
        if self.with_objects:
            self.is_shared = sha in self.shared
            self.entries(ref, record.artifacts, "")
            self.is_shared = False

    def metrics(self, ref: str, record: Record, tree: RunTree) -> None:
        points = histories(tree)
        for key, last in record.last.items():
            if not points.get(key):
                self.add(ref, f"the history of the metric {key} is missing")
            elif not _same(last_of(points[key]).value, last.value):
                self.add(ref, f"metrics.yaml has another value for {key} than its history")

    # -- objects

    def entries(self, where: str, entries: dict[str, Entry], above: str) -> None:
        for name, entry in entries.items():
            path = f"{above}{name}"
            if not self.object(where, entry.sha256, path) or entry.kind != "d":
                continue
            try:
                below = parse_manifest(self.store.objects.read(entry.sha256))
            except MlgitException as error:
                self.add(where, f"artifact {path}/: {error.message}", error.hint)
                continue
            self.entries(where, below, f"{path}/")

    def object(self, where: str, sha256: str, path: str) -> bool:
        """Whether an object is good; what isn't is reported for each run that needs it."""
        if sha256 not in self.looked_at:
            self.looked_at[sha256] = self.is_good(sha256)
        good = self.looked_at[sha256]
        if not good and sha256 in self.aside:
            self.add(where, f"artifact {path}: its object {sha256} was damaged", _AGAIN)
        elif not good and not self.store.objects.has(sha256):
            if self.is_shared:
                self.report.elsewhere += 1
            else:
                self.add(where, f"artifact {path}: its object {sha256} isn't in this clone", _FETCH)
        elif not good:
            self.add(where, f"artifact {path}: its object {sha256} is damaged", self.remedy(sha256))
        return good

    def is_good(self, sha256: str) -> bool:
        self.report.counts["objects"] += 1
        try:
            if self.store.objects.verify(sha256):
                return True
        except (ResourceDoesNotExist, OSError):
            return False
        if self.quarantine:
            self.store.objects.quarantine(sha256)
            self.aside.add(sha256)
        return False

    def remedy(self, sha256: str) -> str:
        return f"remove {self.store.objects.path(sha256)} and log or fetch it again"

    def pointers(self) -> None:
        """What the pointers of the worktree's files name, as far as it is here."""
        worktree = self.store.repo.worktree
        for path in reach.pointer_files(worktree) if worktree else ():
            self.report.counts["pointers"] += 1
            self.guarded(path, lambda at=path: self.pointer(at))  # type: ignore[misc]

    def pointer(self, path: str) -> None:
        with open(path, "rb") as f:
            found = parse_pointer(f.read(), os.path.basename(path))
        # Whoever clones has the pointers, and fetches the data when it is wanted.
        self.is_shared = bool(self.store.repo.remotes())
        self.entries(path, {found.path: found.entry}, "")
        self.is_shared = False

    def objects(self) -> None:
        """Those objects here that no run names: of going runs, or of none."""
        for sha256 in self.store.objects.all():
            if sha256 not in self.looked_at:
                self.looked_at[sha256] = self.is_good(sha256)
                if not self.looked_at[sha256]:
                    path = self.store.objects.path(sha256)
                    hint = _AGAIN if sha256 in self.aside else f"rm {path}"
                    self.add(path, "this object is damaged; no committed run names it", hint)

    # -- journals

    def journals(self) -> None:
        committer = self.store.runs.committer
        for run_id in committer.pending():
            folder = committer.folder(run_id)
            self.guarded(folder, lambda at=run_id: self.journal(at))  # type: ignore[misc]

    def journal(self, run_id: str) -> None:
        validation.check_run_id(run_id)
        committer = self.store.runs.committer
        folder = committer.folder(run_id)
        for name in journal.names(folder):
            self.report.counts["journals"] += 1
            found = journal.read(folder, name)
            # The last line of a live writer may be on its way.
            if found.damaged > bool(found.alive):
                self.add(
                    f"{folder}/{name}",
                    f"{found.damaged} of its lines can't be read",
                    "the others are good, and the run is kept with what they say",
                )
        loaded = committer.load(run_id)
        if loaded is None and journal.names(folder):
            self.add(folder, "its journals don't say how the run began, and it has no commit")
        elif loaded is not None:
            repo = self.store.repo
            write_commit(repo, loaded[0], loaded[2], 0, _Nowhere(repo.objects, repo.state_dir))

    # -- index

    def place(self, run_id: str) -> tuple[str, str] | None:
        """A run's ref and commit now; ("", "") where its ref is damaged, which is told already."""
        try:
            return self.store.runs.find_ref(run_id)
        except MlgitException:
            return "", ""

    def index(self) -> None:
        index = self.store.index
        index.sync()
        connection = index.connection()
        for (message,) in connection.execute("PRAGMA quick_check"):
            if message != "ok":
                self.add(index.path, message, _REINDEX)
        known = {
            run_id: (number, commit, live)
            for number, run_id, commit, live in connection.execute(
                "SELECT id, run_id, commit_sha, journal FROM runs WHERE commit_sha NOT NULL"
            )
        }
        for run_id, (ref, sha, record) in self.records.items():
            number, commit, live = known.pop(run_id, (None, None, None))
            if live is not None or self.place(run_id) != (ref, sha):
                continue  # it is going, or has changed meanwhile
            row = rows.get_runs(connection, [number])[0] if commit == sha else None
            if row is None or not _agree(row, record):
                self.add(index.path, f"it differs from {ref}", _REINDEX)
        for run_id in known:
            if self.place(run_id) is None:
                self.add(index.path, f"it has the run {run_id}, which no ref has", _REINDEX)


def _agree(row: rows.RunRow, record: Record) -> bool:
    """Whether the index says of a run what its commit says."""
    indexed, committed = results.run_of_row(row), results.run_of_record(record)
    one, other = indexed.data.metrics, committed.data.metrics
    return (
        indexed.info == committed.info
        and indexed.data.params == committed.data.params
        and indexed.data.tags == committed.data.tags
        and one.keys() == other.keys()
        and all(_same(one[key], other[key]) for key in one)
    )


def _same(one: float, other: float) -> bool:
    return one == other or (one != one and other != other)
