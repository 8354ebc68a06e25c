"""Two revisions side by side: what they logged and the code that they ran. Pure data."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from mlgit.git.repository import Repository
from mlgit.objects import Entry
from mlgit.review.artifacts import ArtifactChange, compare_artifacts
from mlgit.review.code import CodeComparison, compare_code
from mlgit.review.curves import Curve, reduced
from mlgit.review.metrics import (
    MetricChange,
    compare_metrics,
    last_values,
)
from mlgit.review.modelparts import ModelChange, Side, compare_models
from mlgit.review.noise import noise
from mlgit.review.recorded import Recorded
from mlgit.review.revisions import Revision
from mlgit.review.values import ValueChange, compare_values, persons_tags
from mlgit.store.directions import declared_directions
from mlgit.store.gitstore import GitStore
from mlgit.store.pointers import SUFFIX, find_pointers
from mlgit.store.record import Record

SECTIONS = (
    "models",
    "metrics",
    "params",
    "tags",
    "datasets",
    "artifacts",
    "environment",
    "data",
    "code",
)
# Those that RunComparison lists under their own names.
_LISTED = ("models", "metrics", "params", "tags", "datasets", "artifacts")


@dataclass(frozen=True)
class EnvironmentChange:
    """What differs in the environment: Python, platform and the like, and packages.

    Attributes:
        system: Everything but packages.
        packages: Versions by name.
        missing: Which sides have none recorded: "old", "new". Nothing is compared then.
    """

    system: tuple[ValueChange, ...] = ()
    packages: tuple[ValueChange, ...] = ()
    missing: tuple[str, ...] = ()


@dataclass(frozen=True)
class RunFacts:
    """What one side's run is. Times are in milliseconds since 1970, UTC."""

    run_id: str
    run_name: str
    experiment: str
    status: str
    user: str
    start_time: int | None
    end_time: int | None
    code_commit: str | None
    dirty: bool | None

    @property
    def duration(self) -> int | None:
        """In milliseconds; None while it goes on."""
        if self.start_time is None or self.end_time is None:
            return None
        return self.end_time - self.start_time


@dataclass(frozen=True)
class RunComparison:
    """Two runs' records. Values that are equal are listed too, except for artifacts.

    Attributes:
        folder: The record's folder: the experiment's name.
        old, new: What the runs are; None on a side without one.
        models: The models that they logged, or the registered versions that they are.
        curves: The histories of the metrics that have more than one point, where they were
            asked for.
    """

    folder: str
    old: RunFacts | None
    new: RunFacts | None
    metrics: tuple[MetricChange, ...] = ()
    params: tuple[ValueChange, ...] = ()
    tags: tuple[ValueChange, ...] = ()
    datasets: tuple[ValueChange, ...] = ()
    artifacts: tuple[ArtifactChange, ...] = ()
    environment: EnvironmentChange = EnvironmentChange()
    models: tuple[ModelChange, ...] = ()
    curves: tuple[Curve, ...] = ()


@dataclass(frozen=True)
class Comparison:
    """Two revisions side by side.

    Attributes:
        a, b: The old and the new side.
        runs: The records that were compared; none where neither side has one.
        code: The files that differ.
        data: The files that differ of what pointer files name.
    """

    a: Revision
    b: Revision
    runs: tuple[RunComparison, ...]
    code: CodeComparison
    data: tuple[ArtifactChange, ...] = ()

    def differs(self, sections: Iterable[str] = SECTIONS) -> bool:
        """Whether anything differs in some sections.

        What the runs are called, when they ran and how they ended is not looked at.

        Args:
            sections: Names out of ``SECTIONS``.
        """
        chosen = set(sections)
        if "code" in chosen and (self.code.files or len(self.code.missing) == 1):
            return True
        if "data" in chosen and self.data:
            return True
        for run in self.runs:
            changes: list[Any] = []
            for name in chosen & set(_LISTED):
                changes += getattr(run, name)
            if "environment" in chosen:
                changes += run.environment.system + run.environment.packages
                if len(run.environment.missing) == 1:
                    return True
            if any(change.status != "unchanged" for change in changes):
                return True
        return False


def compare(
    store: GitStore, a: Revision, b: Revision, *, points: int = 0, fetch: bool | None = None
) -> Comparison:
    """Compare two revisions.

    Args:
        store: The repository.
        a: The old side.
        b: The new side.
        points: The most points of a metric's curve; 0 for no curves.
        fetch: Get the small files of models (MLmodel, requirements) that aren't in this clone
            from the remote; where None, if a side is a registered version.

    Returns:
        What differs. Of commits that hold several records, those of the same experiment
        are compared; those that are the same on both sides are left out then.

    Raises:
        ResourceDoesNotExist: An object that is needed isn't in this clone.
        CorruptData, Unsupported: A record, or the configuration, can't be read.
    """
    wanted = fetch if fetch is not None else "model" in (a.kind, b.kind)
    how = _How(store, declared_directions(store.repo), points, wanted)
    runs = tuple(_compare_runs(how, a, b, *pair) for pair in _pairs(a, b))
    return Comparison(a, b, runs, _code(store.repo, a, b), _data(store, a, b))


@dataclass(frozen=True)
class _How:
    """What all pairs of runs are compared by; see ``compare``."""

    store: GitStore
    directions: Mapping[str, str | None]
    points: int
    fetch: bool


def _data(store: GitStore, a: Revision, b: Revision) -> tuple[ArtifactChange, ...]:
    """What differs of the data that the pointers on both sides name."""
    known: dict[str, list[tuple[str, str]]] = {}
    sides = [_pointed(store.repo, side.tree, known) for side in (a, b)]
    return compare_artifacts(store.objects, *sides)


def _pointed(
    repo: Repository, tree: str | None, known: dict[str, list[tuple[str, str]]]
) -> dict[str, Entry]:
    if tree is None:
        return {}
    # A pointer that can't be read is shown as a file of the code.
    found = find_pointers(repo, tree, known=known, problems=[])
    return {path.removesuffix(SUFFIX): pointer.entry for path, pointer in found.items()}


def _code(repo: Repository, a: Revision, b: Revision) -> CodeComparison:
    return compare_code(repo, a.tree, b.tree)


def _pairs(a: Revision, b: Revision) -> list[tuple[str, Recorded | None, Recorded | None]]:
    """Which record is compared with which."""
    old = {recorded.folder: recorded for recorded in a.records}
    new = {recorded.folder: recorded for recorded in b.records}
    if len(old) == 1 and len(new) == 1:
        first, second = a.records[0], b.records[0]
        return [(second.folder, first, second)]
    # A run asks for its own experiment only; the other records are part of the code to it.
    asked = [r.records[0].folder for r in (a, b) if r.run_id is not None and r.records]
    folders = asked[-1:] or sorted(old.keys() | new.keys())
    if not folders and (a.version or b.version):
        return [("", None, None)]  # versions of models that no run here logged
    return [
        (folder, old.get(folder), new.get(folder))
        for folder in folders
        if not _same(old.get(folder), new.get(folder))
    ]


def _same(old: Recorded | None, new: Recorded | None) -> bool:
    return old is not None and new is not None and bool(old.tree) and old.tree == new.tree


def _compare_runs(
    how: _How,
    a: Revision,
    b: Revision,
    folder: str,
    first: Recorded | None,
    second: Recorded | None,
) -> RunComparison:
    old, old_environment = first.load() if first else (None, {})
    new, new_environment = second.load() if second else (None, {})
    tags = {**(old.tags if old else {}), **(new.tags if new else {})}
    by_chance = noise(how.store, old, new)
    return RunComparison(
        folder,
        _facts(old),
        _facts(new),
        compare_metrics(last_values(old), last_values(new), tags, how.directions, by_chance),
        compare_values(old.params if old else {}, new.params if new else {}),
        compare_values(
            persons_tags(old.tags if old else {}), persons_tags(new.tags if new else {})
        ),
        _datasets(old.inputs if old else [], new.inputs if new else []),
        compare_artifacts(
            how.store.objects, old.artifacts if old else {}, new.artifacts if new else {}
        ),
        _environments(old_environment, new_environment),
        compare_models(how.store, Side(old, a.version), Side(new, b.version), how.fetch),
        _curves(
            how.points, first, second, {**(old.last if old else {}), **(new.last if new else {})}
        ),
    )


def _curves(
    points: int, old: Recorded | None, new: Recorded | None, names: Iterable[str]
) -> tuple[Curve, ...]:
    """The histories of metrics that have any."""
    found = []
    for name in sorted(names) if points else ():
        sides = [side.history(name) if side else [] for side in (old, new)]
        if max(map(len, sides)) > 1:
            found.append(Curve(name, *(tuple(reduced(side, points)) for side in sides)))
    return tuple(found)


def _facts(record: Record | None) -> RunFacts | None:
    if record is None:
        return None
    commit = record.source.get("commit")
    dirty = record.source.get("dirty")
    return RunFacts(
        record.run_id,
        record.run_name,
        record.experiment,
        record.status,
        record.user,
        record.start_time,
        record.end_time,
        str(commit) if commit else None,
        bool(dirty) if dirty is not None else None,
    )


def _datasets(old: list[dict[str, Any]], new: list[dict[str, Any]]) -> tuple[ValueChange, ...]:
    """Datasets by name and digest: a name's one digest that became another is a change."""
    before, after = _digests(old), _digests(new)
    found = []
    for name in sorted(before.keys() | after.keys()):
        first, second = before.get(name, set()), after.get(name, set())
        found += [ValueChange(name, digest, digest) for digest in sorted(first & second)]
        gone, come = sorted(first - second), sorted(second - first)
        if len(gone) == 1 and len(come) == 1:
            found.append(ValueChange(name, gone[0], come[0]))
        else:
            found += [ValueChange(name, digest, None) for digest in gone]
            found += [ValueChange(name, None, digest) for digest in come]
    return tuple(found)


def _digests(datasets: list[dict[str, Any]]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for dataset in datasets:
        name = str(dataset.get("name", ""))
        found.setdefault(name, set()).add(str(dataset.get("digest", "")))
    return found


def _environments(old: dict[str, Any], new: dict[str, Any]) -> EnvironmentChange:
    missing = tuple(side for side, found in (("old", old), ("new", new)) if not found)
    if missing:
        return EnvironmentChange(missing=missing)
    packages = [_mapping(found.get("packages")) for found in (old, new)]
    system = [{k: v for k, v in found.items() if k != "packages"} for found in (old, new)]
    return EnvironmentChange(
        compare_values(_mapping(system[0]), _mapping(system[1])),
        compare_values(packages[0], packages[1]),
    )


def _mapping(found: Any) -> dict[str, str]:
    """A mapping's values as text; anything else, which another program may write, as none."""
    if not isinstance(found, dict):
        return {}
    return {
        str(key): value if isinstance(value, str) else json.dumps(value, default=str)
        for key, value in found.items()
    }
