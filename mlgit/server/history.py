"""Metric histories as a chart wants them: reduced, smoothed, by step or time; remembered."""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from mlgit.metrics.reduction import KEPT, even_edges, kept_places
from mlgit.store.gitstore import GitStore
from mlgit.store.record import Record, history_columns
from mlgit.store.runtree import RunTree

AXES = ("step", "time", "relative")
_REMEMBERED = 300


@dataclass(frozen=True)
class Shape:
    """How histories are wanted.

    Attributes:
        axis: One of ``AXES``: by step, by the clock, or by seconds since the run began.
        points: How many there may be of each, about.
        smoothing: From 0, none, to below 1: how much of the mean so far each point keeps.
        log_x: Whether the axis is logarithmic, so that its beginning needs more of the points.
    """

    axis: str = "step"
    points: int = 1500
    smoothing: float = 0.0
    log_x: bool = False


class Remembered:
    """The series that were made last: a commit's never change."""

    def __init__(self) -> None:
        self._found: OrderedDict[tuple[object, ...], str] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: tuple[object, ...]) -> str | None:
        """What is remembered under a key."""
        with self._lock:
            if key in self._found:
                self._found.move_to_end(key)
            return self._found.get(key)

    def put(self, key: tuple[object, ...], value: str) -> None:
        """Remember it, and forget what wasn't asked for the longest."""
        with self._lock:
            self._found[key] = value
            while len(self._found) > _REMEMBERED:
                self._found.popitem(last=False)


def series(
    store: GitStore, run_id: str, keys: Sequence[str], shape: Shape, known: Remembered
) -> Iterator[str]:
    """The histories of one run's metrics, each as JSON.

    Args:
        store: The repository.
        run_id: The run.
        keys: The metrics; those that it doesn't have are left out.
        shape: How they are wanted.
        known: Where they are remembered.

    Raises:
        ResourceDoesNotExist: There is no such run.
        CorruptData: A history can't be read.
    """
    tree = store.runs.tree(run_id)
    record = store.runs.record(run_id)
    for key in keys:
        if key not in record.last:
            continue
        settled = tree is not None and not record.points.get(key)
        name = (tree.sha if tree else "", key, shape)
        found = known.get(name) if settled else None
        if found is None:
            found = _one(record, tree, key, shape)
            if settled:
                known.put(name, found)
        yield found


def _one(record: Record, tree: RunTree | None, key: str, shape: Shape) -> str:
    import numpy as np

    steps, times, values = _columns(record, tree, key)
    if shape.axis == "step":
        x = steps
    else:
        # Seconds, which is what charts count time in.
        began = (record.start_time or 0) if shape.axis == "relative" else 0
        x = (times - began) / 1000
    if x.size > 1 and (np.diff(x) < 0).any():
        order = np.argsort(x, kind="stable")
        x, values = x[order], values[order]
    smooth = _smoothed(values, shape.smoothing) if shape.smoothing else None
    places = _places(x, values, shape)
    found: dict[str, Any] = {
        "run": record.run_id,
        "name": record.run_name,
        "key": key,
        "count": int(values.size),
        "x": x[places].tolist(),
        "y": _plain(values[places]),
        "odd": int(np.count_nonzero(~np.isfinite(values))),
    }
    if smooth is not None:
        found["smooth"] = _plain(smooth[places])
    return json.dumps(found, separators=(",", ":"))


def _columns(record: Record, tree: RunTree | None, key: str) -> tuple[Any, Any, Any]:
    import numpy as np

    data = tree.history_bytes(key) if tree else None
    columns = history_columns(data, f"history of {key}") if data else (np.empty(0),) * 3
    new = record.points.get(key)
    if not new:
        return columns
    late = np.array([tuple(map(float, point)) for point in new])
    return tuple(np.concatenate(pair) for pair in zip(columns, late.T))  # type: ignore[return-value]


def _places(x: Any, values: Any, shape: Shape) -> list[int]:
    import numpy as np

    count = int(values.size)
    if count <= shape.points:
        return list(range(count))
    parts = max(2, shape.points // KEPT)
    if not shape.log_x or x[-1] <= 0:
        return kept_places(values, even_edges(count, parts))
    least = max(float(x[np.searchsorted(x, 0, "right")]), 1e-3)
    bounds = np.geomspace(least, float(x[-1]), parts) if x[-1] > least else [least]
    return kept_places(values, [0, *np.searchsorted(x, bounds[1:-1]).tolist(), count])


def _smoothed(values: Any, weight: float) -> Any:
    """The mean of all points so far, the last ones weighing most; what is no number is passed over."""
    import math

    import numpy as np

    made = np.empty(len(values))
    mean, debt = 0.0, 1.0
    for at, value in enumerate(values.tolist()):
        if math.isfinite(value):
            mean = weight * mean + (1 - weight) * value
            debt *= weight
        made[at] = mean / (1 - debt) if debt < 1 else math.nan
    return made


def _plain(values: Any) -> list[float | None]:
    """For JSON, which has no NaN."""
    found = values.tolist()
    return [value if value - value == 0 else None for value in found]
