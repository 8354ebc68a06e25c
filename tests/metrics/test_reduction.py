"""Fewer points, and none of the extremes lost."""

from __future__ import annotations

import itertools
import math

from hypothesis import given
from hypothesis import strategies as st

from mlgit.metrics.reduction import KEPT, even_edges, kept_places

VALUES = st.lists(st.floats(width=32), min_size=1, max_size=300)


@given(VALUES, st.integers(1, 20))
def test_every_part_keeps_its_ends_its_extremes_and_a_gap(values: list[float], parts: int) -> None:
    edges = even_edges(len(values), parts)
    assert edges[0] == 0 and edges[-1] == len(values)
    kept = kept_places(values, edges)
    assert kept == sorted(set(kept)) and len(kept) <= KEPT * parts
    for start, end in itertools.pairwise(edges):
        part = values[start:end]
        if not part:
            continue
        here = [values[at] for at in kept if start <= at < end]
        finite = [value for value in part if math.isfinite(value)]
        if finite:
            assert min(finite) in here and max(finite) in here
        assert start in kept and end - 1 in kept
        if len(finite) < len(part):
            assert any(not math.isfinite(value) for value in here)


def test_empty_parts_and_short_curves() -> None:
    assert kept_places([1.0, 2.0], [0, 0, 2, 2]) == [0, 1]
    assert kept_places([5.0], [0, 1]) == [0]
