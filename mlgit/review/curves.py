"""The histories of metrics as curves: fewer points, and none of the extremes lost."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from mlgit.store.record import Point

# As many as a screen has columns, twice.
MOST_POINTS = 2000
# Of each part of a curve its first and last point, its least and its greatest are kept, and
# the first that is no number, so that a gap stays one.
_KEPT = 5


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
    most = max(most, 2 * _KEPT)
    if len(ordered) <= most:
        return ordered
    values = [point[2] for point in ordered]
    # A sum is finite only if all of its parts are.
    finite = math.isfinite(sum(values))
    parts = most // _KEPT
    edges = [len(ordered) * n // parts for n in range(parts + 1)]
    kept: list[int] = []
    for start, end in pairwise(edges):
        kept += sorted(_kept(values, start, end, finite))
    return [ordered[at] for at in kept]


def _kept(values: Sequence[float], start: int, end: int, finite: bool) -> set[int]:
    """The places of one part's points that stay."""
    places: Sequence[int] = range(start, end)
    kept = {start, end - 1}
    if not finite:
        odd = next((at for at in places if not math.isfinite(values[at])), None)
        kept |= {odd} if odd is not None else set()
        places = [at for at in places if math.isfinite(values[at])]
    if places:
        kept |= {min(places, key=values.__getitem__), max(places, key=values.__getitem__)}
    return kept
