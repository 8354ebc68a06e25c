"""Metric histories as a chart wants them: reduced, smoothed, by step or time; remembered."""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from mlgit.metrics.reduction import KEPT, even_edges, kept_places
from mlgit.metrics.smoothing import smoothed
from mlgit.store.gitstore import GitStore
from mlgit.store.record import Record, history_columns

AXES = ("step", "time", "relative")
_MOST_BYTES = 64 << 20
_Columns = tuple[Any, Any, Any]


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
    """What was made last, named by what it was made of: it never goes stale.

    Args:
        most: How many bytes it may take.
    """

    def __init__(self, most: int = _MOST_BYTES) -> None:
        self._most = most
        self._taken = 0
        self._found: OrderedDict[tuple[object, ...], tuple[Any, int]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: tuple[object, ...]) -> Any:
        """What is remembered under a key, or None."""
        with self._lock:
            if key not in self._found:
                return None
            self._found.move_to_end(key)
            return self._found[key][0]

    def put(self, key: tuple[object, ...], value: Any, size: int) -> None:
        """Remember what takes so many bytes, and forget what wasn't asked for the longest."""
        with self._lock:
            self._taken += size - self._found.pop(key, (None, 0))[1]
            self._found[key] = (value, size)
            while self._taken > self._most:
                self._taken -= self._found.popitem(last=False)[1][1]


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
        blob = tree.history_blob(key) if tree else None
        name = (blob, record.run_id, record.run_name, record.start_time, key, shape)
        # What isn't in a commit yet goes on.
        settled = blob is not None and not record.points.get(key)
        found = known.get(name) if settled else None
        if found is None:
            found = _one(record, key, _columns(store, record, key, blob, known), shape)
            if settled:
                known.put(name, found, len(found))
        yield found


def _one(record: Record, key: str, columns: _Columns, shape: Shape) -> str:
    import numpy as np

    steps, times, values = columns
    if shape.axis == "step":
        x = steps
    else:
        # Seconds, which is what charts count time in.
        began = (record.start_time or 0) if shape.axis == "relative" else 0
        x = (times - began) / 1000
    if (x[1:] < x[:-1]).any():
        order = np.argsort(x, kind="stable")
        x, values = x[order], values[order]
    smooth = smoothed(values, shape.smoothing) if shape.smoothing else None
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


def _columns(
    store: GitStore, record: Record, key: str, blob: str | None, known: Remembered
) -> _Columns:
    import numpy as np

    columns: _Columns = (np.empty(0),) * 3
    if blob is not None:
        found = known.get((blob,))
        if found is None:
            where = f"history of {key} of the run {record.run_id}"
            found = history_columns(store.repo.objects.blob(blob), where)
            known.put((blob,), found, sum(column.nbytes for column in found))
        columns = found
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


def _plain(values: Any) -> list[float | None]:
    """For JSON, which has no NaN."""
    found = values.tolist()
    return [value if value - value == 0 else None for value in found]
