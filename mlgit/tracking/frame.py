"""Runs as a pandas frame, with MLflow's columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mlgit.entities import Run

_TEXTS = ("run_id", "experiment_id", "status", "artifact_uri")


def runs_frame(runs: Sequence[Run]) -> Any:
    """A frame with a row a run.

    Columns: run_id, experiment_id, status, artifact_uri, start_time, end_time, then
    ``metrics.*`` (floats, NaN where a run lacks it), ``params.*`` and ``tags.*`` (text, None
    where a run lacks it). Times are timestamps in UTC.
    """
    import pandas as pd

    infos = [run.info for run in runs]
    columns: dict[str, Any] = {
        "run_id": [info.run_id for info in infos],
        "experiment_id": [info.experiment_id for info in infos],
        "status": [info.status for info in infos],
        "artifact_uri": [info.artifact_uri for info in infos],
        "start_time": _times(pd, [info.start_time for info in infos]),
        "end_time": _times(pd, [info.end_time for info in infos]),
    }
    for prefix, found, missing in (
        ("metrics", [run.data.metrics for run in runs], float("nan")),
        ("params", [run.data.params for run in runs], None),
        ("tags", [run.data.tags for run in runs], None),
    ):
        for key in sorted({key for data in found for key in data}):
            columns[f"{prefix}.{key}"] = [data.get(key, missing) for data in found]
    # Text has the type that pandas gives it, as in MLflow: object, or str from pandas 3 on.
    frame = pd.DataFrame(columns)
    return frame if runs else frame.astype(dict.fromkeys(_TEXTS, object))


def _times(pd: Any, values: list[int | None]) -> Any:
    # A time that was logged in the wrong unit, thousands of years ahead, is NaT.
    return pd.to_datetime(values, unit="ms", utc=True, errors="coerce")
