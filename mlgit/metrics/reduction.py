"""Curves of fewer points, with none of the extremes lost: for charts on a page and in a report."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

# Of each part of a curve its first and last place, its least and its greatest value, and the
# first that is no number, so that a gap stays one.
KEPT = 5


def kept_places(values: Sequence[float] | Any, edges: Sequence[int]) -> list[int]:
    """Which places of a curve are enough to draw it.

    Args:
        values: The curve's values, in the order of its x: a list, or an array of NumPy's.
        edges: Where its parts begin and the last one ends, ascending. Empty parts may be.

    Returns:
        The places, ascending: at most ``KEPT`` of each part.
    """
    import numpy as np

    array = np.asarray(values, dtype=float)
    odd = ~np.isfinite(array)
    low, high = array.copy(), array
    any_odd = bool(odd.any())
    if any_odd:
        high = array.copy()
        low[odd], high[odd] = np.inf, -np.inf
    kept: set[int] = set()
    for start, end in pairwise(edges):
        if start >= end:
            continue
        kept |= {start, end - 1}
        kept.add(start + int(low[start:end].argmin()))
        kept.add(start + int(high[start:end].argmax()))
        if any_odd and odd[start:end].any():
            kept.add(start + int(odd[start:end].argmax()))
    return sorted(kept)


def even_edges(count: int, parts: int) -> list[int]:
    """The edges of parts that hold equally many places."""
    return [count * n // parts for n in range(parts + 1)]
