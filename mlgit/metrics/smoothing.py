"""Curves made smooth: the mean of all points so far, of which the last ones weigh most."""

from __future__ import annotations

import math
from typing import Any


def smoothed(values: Any, weight: float) -> Any:
    """An exponential moving mean that isn't drawn towards zero at its beginning.

    Args:
        values: An array of NumPy's. What is no number, or infinite, is passed over: there the mean
            stays as it was, and is NaN before the first number.
        weight: How much of the mean so far each point keeps: from 0 to below 1.

    Returns:
        An array of the same length.
    """
    import numpy as np

    finite = np.isfinite(values)
    if not finite.any():
        return np.full(len(values), np.nan)
    means = _means(values[finite], weight)
    before = np.cumsum(finite) - 1
    return np.where(before < 0, np.nan, means[before])


def _means(numbers: Any, weight: float) -> Any:
    import numpy as np

    count = len(numbers)
    # The curve in parts, a column each: all are gone through at once, then the mean is carried on
    # from each to the next.
    length = math.isqrt(count - 1) + 1
    parts = np.zeros((-(-count // length), length))
    parts.ravel()[:count] = numbers
    sums = parts.T * (1 - weight)
    for at in range(1, length):
        sums[at] += weight * sums[at - 1]
    carried = np.empty(sums.shape[1])
    mean, kept = 0.0, weight**length
    for at, end in enumerate(sums[-1].tolist()):
        carried[at] = mean
        mean = kept * mean + end
    # The weights' sum so far: 1 less than them all, by how much is left of what was before.
    left = float(weight) ** np.arange(1, length + 1)
    before = kept ** np.arange(len(carried))
    means = (sums + left[:, None] * carried) / (1 - left[:, None] * before)
    return means.T.ravel()[:count]
