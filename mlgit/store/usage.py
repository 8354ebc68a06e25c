"""What takes the space of a clone: by experiment, by run, and what isn't a run's."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

from mlgit.exceptions import MlgitException
from mlgit.objects import Entry, LocalObjects, parse_manifest, sweep
from mlgit.store import reach
from mlgit.store.gitstore import GitStore
from mlgit.store.pointers import SUFFIX
from mlgit.store.registry_tags import Version, run_commit, versions
from mlgit.store.roots import artifacts_blob, read_artifacts, run_commits


@dataclass
class Share:
    """The part of the objects that one experiment, run or pointer names.

    Attributes:
        name: Of the experiment, run or pointer.
        id: The experiment's or run's; "" for data.
        runs: How many runs.
        objects: How many objects.
        bytes: Their sizes' sum, each counted once.
        shared: How many of these bytes something else in the same list names too.
        here: How many of these bytes are in this clone.
    """

    name: str
    id: str = ""
    runs: int = 0
    objects: int = 0
    bytes: int = 0
    shared: int = 0
    here: int = 0


@dataclass
class Usage:
    """What takes the space.

    Attributes:
        experiments: The artifacts of each experiment's runs, the largest first.
        runs: Those of each run of one experiment, where it was asked for.
        models: The artifacts of each registered model's versions; ``runs`` is how many versions.
        data: What the pointers in the worktree name, by their paths.
        total: How many bytes of objects are in this clone, and of what kind: "objects" all,
            "unreached" those that nothing names; and "git", "journals", "index", "damaged".
    """

    experiments: list[Share] = field(default_factory=list)
    runs: list[Share] = field(default_factory=list)
    models: list[Share] = field(default_factory=list)
    data: list[Share] = field(default_factory=list)
    total: dict[str, int] = field(default_factory=dict)

    def to_dictionary(self) -> dict[str, Any]:
        """As plain dicts and lists."""
        return asdict(self)


class _Manifests:
    """Remembers what folders hold."""

    def __init__(self, objects: LocalObjects) -> None:
        self.objects = objects
        self.known: dict[str, tuple[int, tuple[Entry, ...]]] = {}

    def expand(self, entries: Iterable[Entry]) -> dict[str, int]:
        """As ``reach.expand``; folders that aren't here count as empty."""
        found: dict[str, int] = {}
        pending = list(entries)
        while pending:
            entry = pending.pop()
            if entry.sha256 in found:
                continue
            found[entry.sha256] = entry.size
            if entry.kind == "d":
                found[entry.sha256], below = self._read(entry.sha256)
                pending += below
        return found

    def _read(self, sha256: str) -> tuple[int, tuple[Entry, ...]]:
        if sha256 not in self.known:
            try:
                data = self.objects.read(sha256)
                self.known[sha256] = len(data), tuple(parse_manifest(data).values())
            except MlgitException:
                self.known[sha256] = 0, ()
        return self.known[sha256]


class _Run(NamedTuple):
    run_id: str
    name: str
    experiment_id: str
    entries: set[Entry]


def usage(store: GitStore, experiment_id: str | None = None) -> Usage:
    """What takes the space of a clone.

    Args:
        store: The store.
        experiment_id: Tell the runs of this experiment apart.
    """
    stored = sweep.stored(store.objects)
    manifests = _Manifests(store.objects)
    by_experiment: dict[str, dict[str, int]] = {}
    by_run: dict[str, dict[str, int]] = {}
    titles: dict[str, str] = {}
    counts: dict[str, int] = {}
    for run in _runs(store):
        found = manifests.expand(run.entries)
        by_experiment.setdefault(run.experiment_id, {}).update(found)
        counts[run.experiment_id] = counts.get(run.experiment_id, 0) + 1
        if run.experiment_id == experiment_id:
            by_run[run.run_id] = found
            titles[run.run_id] = run.name
    # A pointer's path holds a dot, so it is no experiment's id.
    data = {path: manifests.expand([entry]) for path, entry in _pointers(store)}
    everything = {**by_experiment, **data}
    models = versions(store.repo)
    known = store.index.experiment_names()
    made = Usage(
        [Share(known.get(i, i), i, counts[i]) for i in by_experiment],
        [Share(titles[i], i, 1) for i in by_run],
        [Share(model, "", len(found)) for model, found in models.items()],
        [Share(path.removesuffix(SUFFIX)) for path in data],
    )
    _fill(made.experiments + made.data, list(by_experiment) + list(data), everything, stored)
    _fill(made.runs, list(by_run), by_run, stored)
    by_model = {m: manifests.expand(_of_versions(store, found)) for m, found in models.items()}
    _fill(made.models, list(by_model), by_model, stored)
    for shares in (made.experiments, made.runs, made.models, made.data):
        shares.sort(key=lambda share: (-share.bytes, share.name))
    made.total = _totals(store, stored)
    return made


def _fill(
    shares: list[Share],
    keys: list[str],
    sizes: dict[str, dict[str, int]],
    stored: dict[str, sweep.Stored],
) -> None:
    """Count the bytes of each share, and which of them another share has too."""
    owners: dict[str, int] = {}
    for found in sizes.values():
        for sha in found:
            owners[sha] = owners.get(sha, 0) + 1
    for share, key in zip(shares, keys):
        for sha, count in sizes[key].items():
            share.objects += 1
            share.bytes += count
            share.shared += count if owners[sha] > 1 else 0
            share.here += stored[sha].size if sha in stored else 0


def _runs(store: GitStore) -> Iterator[_Run]:
    """Every run with what its commits, older ones too, and its journals name."""
    repo = store.repo
    going = reach.journal_entries(repo)
    for run_id, name, experiment_id, sha, _ in store.index.commits():
        entries = going.pop(run_id, set())
        for commit in run_commits(repo, sha):
            try:
                blob = artifacts_blob(repo, commit)
                if blob is not None:
                    entries.update(read_artifacts(repo, blob, commit[:10]).values())
            except MlgitException:
                continue  # mlgit fsck tells
        yield _Run(run_id, name, experiment_id, entries)
    for run_id, entries in going.items():
        try:
            info = store.runs.get(run_id).info
        except MlgitException:
            continue
        yield _Run(run_id, info.run_name or "", info.experiment_id, entries)


def _of_versions(store: GitStore, found: list[Version]) -> set[Entry]:
    """What the commits of a model's versions have as artifacts."""
    entries: set[Entry] = set()
    for version in found:
        try:
            commit = run_commit(store.repo, version.commit)
            blob = artifacts_blob(store.repo, commit) if commit else None
            if blob is not None:
                entries.update(read_artifacts(store.repo, blob, version.commit[:10]).values())
        except MlgitException:
            continue  # mlgit fsck tells
    return entries


def _pointers(store: GitStore) -> Iterator[tuple[str, Entry]]:
    worktree = store.repo.worktree
    for path in sorted(reach.pointer_files(worktree)) if worktree else ():
        try:
            with open(path, "rb") as f:
                yield os.path.relpath(path, worktree), reach.pointer_entry(f.read(), path)
        except (MlgitException, OSError):
            continue


def _totals(store: GitStore, stored: dict[str, sweep.Stored]) -> dict[str, int]:
    repo = store.repo
    state = repo.state_dir
    reached = reach.reachable(store, scope="history").objects
    return {
        "objects": sum(item.size for item in stored.values()),
        "unreached": sum(item.size for sha, item in stored.items() if sha not in reached),
        "damaged": _folder(f"{state}/objects/damaged"),
        "temporary": _folder(f"{state}/objects/tmp"),
        "journals": _folder(f"{state}/journal"),
        "index": sum(_file(f"{store.index.path}{end}") for end in ("", "-wal", "-shm")),
        "git": _folder(f"{repo.common_dir}/objects"),
    }


def _file(path: str) -> int:
    try:
        return os.lstat(path).st_size
    except OSError:
        return 0


def _folder(path: str) -> int:
    return sum(_file(f"{folder}/{name}") for folder, _, files in os.walk(path) for name in files)
