"""Everything that a person wants to see of one run, read once."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from mlgit.entities import Run
from mlgit.git.trees import parse_tree
from mlgit.store import names, results
from mlgit.store.gitstore import GitStore
from mlgit.store.record import Point, last_of, parse_history
from mlgit.store.runtree import RunTree


@dataclass(frozen=True)
class Overview:
    """One run.

    Attributes:
        run: The run as the API gives it.
        experiment: Its experiment's name.
        ref: The ref that its commits are on, or None while it has none.
        commit: Its newest commit, or None while it has none.
        source: As in run.yaml.
        last: Each metric's last point.
        counts: How many points each metric has.
        artifacts: The top level: (path, whether it is a folder, size, number of files).
        environment: As in environment.yaml.
    """

    run: Run
    experiment: str
    ref: str | None
    commit: str | None
    source: dict[str, Any]
    last: dict[str, Point]
    counts: dict[str, int]
    artifacts: list[tuple[str, bool, int, int]] = field(default_factory=list)
    environment: dict[str, Any] = field(default_factory=dict)


def overview(store: GitStore, run_id: str) -> Overview:
    """Everything about a run.

    Raises:
        ResourceDoesNotExist: There is no such run.
        CorruptData: A part of it can't be read.
    """
    record = store.runs.record(run_id)
    at = store.runs.find_ref(run_id)
    tree = RunTree(store.repo, at[1]) if at else None
    points = histories(tree) if tree else {}
    for key, new in record.points.items():
        points.setdefault(key, []).extend(new)
    return Overview(
        run=results.run_of_record(record),
        experiment=store.experiments.get(record.experiment_id).name,
        ref=at[0] if at else None,
        commit=at[1] if at else None,
        source=dict(record.source),
        last={
            key: last_of(points[key]) if points.get(key) else last for key, last in _last(record)
        },
        counts={key: len(found) for key, found in points.items()},
        artifacts=[
            (name, entry.kind == "d", entry.size, entry.files)
            for name, entry in sorted(record.artifacts.items())
        ],
        environment=tree.environment() if tree else {},
    )


def _last(record: Any) -> list[tuple[str, Point]]:
    return sorted(record.last.items())


def histories(tree: RunTree) -> dict[str, list[Point]]:
    """Every point of every metric of a run's commit.

    Raises:
        CorruptData: A history can't be read.
    """
    if "history" not in tree.entries:
        return {}
    objects = tree.repo.objects
    files = {n: sha for n, _, sha in parse_tree(objects.tree(tree.entries["history"]))}
    found = {}
    for key, name in names.file_names(tree.metric_names()).items():
        sha = files.get(f"{name}.csv".encode())
        if sha is not None:
            where = f"history of {key} in {tree.sha[:10]}"
            found[key] = parse_history(objects.blob(sha), where)
    return found
