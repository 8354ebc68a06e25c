"""Several runs side by side: what they have in common, what differs, and who did best."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from mlgit.entities import Run
from mlgit.review.values import persons_tags
from mlgit.store.directions import direction

KINDS = ("metrics", "params", "tags", "datasets")
T = TypeVar("T")


@dataclass(frozen=True)
class Line:
    """What several runs have of one name.

    Attributes:
        kind: One of ``KINDS``.
        name: The metric, param, tag or dataset.
        values: Each run's, in the order of the runs; None where it has none. Numbers of metrics,
            digests of datasets.
        direction: "min" or "max" for a metric whose good way is known, else None.
        best: The places of the runs whose value is the best of different ones.
    """

    kind: str
    name: str
    values: tuple[float | str | None, ...]
    direction: str | None = None
    best: frozenset[int] = frozenset()

    @property
    def differs(self) -> bool:
        """Whether not all runs have the same; NaN is the same as NaN."""
        first, *others = [_comparable(value) for value in self.values]
        return any(other != first for other in others)


def compare_several(
    runs: Sequence[Run], declared: Mapping[str, str | None] | None = None
) -> tuple[Line, ...]:
    """Everything that some runs logged, by name.

    Args:
        runs: The runs, one at least.
        declared: The team's directions of metrics, from ``declared_directions``.

    Returns:
        The metrics, then params, tags that people set, and datasets; each kind by name.
    """
    tags: dict[str, str] = {}
    for run in runs:
        tags.update(run.data.tags)
    lines = []
    for name, numbers in _by_name([run.data.metrics for run in runs]):
        way = direction(name, tags, declared)
        lines.append(Line("metrics", name, numbers, way, _best(numbers, way)))
    sides: dict[str, list[Mapping[str, str]]] = {
        "params": [run.data.params for run in runs],
        "tags": [persons_tags(run.data.tags) for run in runs],
        "datasets": [_datasets(run) for run in runs],
    }
    for kind, found in sides.items():
        lines += [Line(kind, name, texts) for name, texts in _by_name(found)]
    return tuple(lines)


def _by_name(found: Sequence[Mapping[str, T]]) -> list[tuple[str, tuple[T | None, ...]]]:
    names = sorted({name for one in found for name in one})
    return [(name, tuple(one.get(name) for one in found)) for name in names]


def _best(values: Sequence[float | None], way: str | None) -> frozenset[int]:
    """The places of the best values; none where all are the same, or only one run has one."""
    known = [value for value in values if value is not None and not math.isnan(value)]
    if way is None or len([v for v in values if v is not None]) < 2 or not known:
        return frozenset()
    wanted = min(known) if way == "min" else max(known)
    places = frozenset(at for at, value in enumerate(values) if value == wanted)
    return frozenset() if len(places) == len(values) else places


def _datasets(run: Run) -> dict[str, str]:
    found: dict[str, list[str]] = {}
    for used in run.inputs.dataset_inputs:
        found.setdefault(used.dataset.name, []).append(used.dataset.digest)
    return {name: ", ".join(sorted(set(digests))) for name, digests in found.items()}


def _comparable(value: float | str | None) -> float | str | None:
    return "NaN" if isinstance(value, float) and math.isnan(value) else value
