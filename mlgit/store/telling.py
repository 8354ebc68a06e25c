"""Which of what runs logged tells most about them: what a list shows where nobody chose."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from mlgit.entities import Run


def telling_keys(runs: Sequence[Run]) -> list[tuple[str, str]]:
    """The metrics, those that most runs have first, and then the params that vary.

    Args:
        runs: The runs that are listed.

    Returns:
        ("metrics" or "params", name) of each.
    """
    metrics = Counter(key for run in runs for key in run.data.metrics)
    found = [("metrics", key) for key in sorted(metrics, key=lambda k: (-metrics[k], k))]
    params = sorted({key for run in runs for key in run.data.params})
    found += [
        ("params", key)
        for key in params
        if len(runs) == 1 or len({run.data.params.get(key) for run in runs}) > 1
    ]
    return found
