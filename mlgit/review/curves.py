"""The histories of metrics as curves: fewer points, and none of the extremes lost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mlgit.metrics.reduction import KEPT, even_edges, kept_places
from mlgit.store.record import Point

# As many as a screen has columns, twice.
MOST_POINTS = 2000


@dataclass(frozen=True)
class Curve:
    """One metric's points on both sides, in the order of their steps.

    Attributes:
        name: The metric.
        old, new: The points, reduced; empty where there are none.
    """

    name: str
    old: tuple[Point, ...]
    new: tuple[Point, ...]

    @property
    def is_same(self) -> bool:
        """Whether both sides have the same values at the same steps."""
        return [(p.step, p.value) for p in self.old] == [(p.step, p.value) for p in self.new]


def reduced(points: Sequence[Point], most: int = MOST_POINTS) -> list[Point]:
    """Fewer points that draw the same curve.

    Args:
        points: A metric's history, in the order of logging.
        most: How many points there may be; 10 at least.

    Returns:
        Some of the points, ordered by step and time. The first and the last are among them,
        the least and the greatest value, and spikes: of each of some parts of equal length
        the extremes are kept.
    """
    # The order of logging mostly is that of the steps already; then sorting is a look.
    ordered = sorted(points, key=lambda point: point[:2])
    most = max(most, 2 * KEPT)
    if len(ordered) <= most:
        return ordered
    values = [point[2] for point in ordered]
    edges = even_edges(len(ordered), most // KEPT)
    return [ordered[at] for at in kept_places(values, edges)]
