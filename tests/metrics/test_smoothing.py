"""Smoothing in blocks is the mean that is carried from point to point."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlgit.metrics.smoothing import smoothed

VALUES = st.lists(
    st.floats(-1e6, 1e6) | st.sampled_from([math.nan, math.inf, -math.inf]), max_size=300
)


def by_point(values: list[float], weight: float) -> list[float]:
    made, mean, debt = [], 0.0, 1.0
    for value in values:
        if math.isfinite(value):
            mean = weight * mean + (1 - weight) * value
            debt *= weight
        made.append(mean / (1 - debt) if debt < 1 else math.nan)
    return made


@given(VALUES, st.integers(0, 999).map(lambda n: n / 1000))
def test_it_is_the_mean_so_far(values: list[float], weight: float) -> None:
    found = smoothed(np.array(values, dtype=float), weight).tolist()
    assert found == pytest.approx(by_point(values, weight), rel=1e-9, abs=1e-5, nan_ok=True)


def test_a_constant_stays_and_the_first_point_is_itself() -> None:
    assert smoothed(np.full(1000, 3.0), 0.999).tolist() == pytest.approx([3.0] * 1000)
    assert smoothed(np.array([1.0, 0.0]), 0.5).tolist() == pytest.approx([1.0, 1 / 3])
    assert math.isnan(smoothed(np.array([math.nan, 1.0]), 0.5)[0])
