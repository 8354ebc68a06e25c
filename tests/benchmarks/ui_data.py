"""Runs and models for the web apps, quickly: a repository for mlgit, SQL for MLflow.

Both get the same: finished runs of five params and five metrics (``generate.records``), one run with
longer histories, and registered models.
"""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

import generate
import registry_data

from mlgit.store.record import Point, Record

VERSIONS = 3
# The run whose charts are drawn beside MLflow's.
LONG_SEED = 1
LONG_POINTS = 1000


@lru_cache
def newest(runs: int, count: int) -> list[str]:
    """The ids of the newest of so many runs, the newest last."""
    return [record.run_id for record in generate.records(runs, 1)][-count:]


def long_run() -> Record:
    """The run with histories of some length."""
    (record,) = generate.records(1, LONG_POINTS, seed=LONG_SEED)
    record.run_name = "long"
    return record


def wide_run(metrics: int, points: int) -> Record:
    """A run of many long histories."""
    rng = random.Random(2)
    start = generate.START
    record = Record(
        run_id=f"{rng.getrandbits(128):032x}",
        run_name="wide",
        status="FINISHED",
        user="benchmark",
        start_time=start,
        end_time=start + 100 * points,
        source={"type": "LOCAL", "name": "train.py", "branch": "main"},
    )
    at = [(step, start + 100 * step) for step in range(points)]
    for number in range(metrics):
        level = rng.random()
        for step, time in at:
            record.add_point(f"w{number:03d}", Point(step, time, level + rng.gauss(0, 0.1)))
    return record


def fill_repository(folder: Path, runs: int, models: int, more: Iterable[Record]) -> None:
    """Make a repository with runs and models."""
    registry_data.fill_repository(folder, models, VERSIONS)
    generate.generate(folder, runs)
    generate.add(folder, more)


def fill_sqlite(path: Path, runs: int, models: int, more: Iterable[Record]) -> None:
    """Fill MLflow's SQLite store, whose tables MLflow has made, with the same."""
    with sqlite3.connect(path) as connection:
        for record in generate.records(runs, 1):
            _insert(connection, record, path.parent)
        for record in more:
            _insert(connection, record, path.parent)
    registry_data.fill_sqlite(path, models, VERSIONS)


def _insert(connection: sqlite3.Connection, record: Record, folder: Path) -> None:
    run = record.run_id
    connection.execute(
        "INSERT INTO runs (run_uuid, name, source_type, source_name, entry_point_name, user_id, "
        "status, start_time, end_time, source_version, lifecycle_stage, artifact_uri, "
        "experiment_id) VALUES (?,?,'LOCAL','train.py','',?,?,?,?,'','active',?,0)",
        (run, record.run_name, record.user, record.status, record.start_time, record.end_time,
         f"{folder}/mlruns/0/{run}/artifacts"),
    )  # fmt: skip
    for table, texts in (("params", record.params), ("tags", record.all_tags())):
        connection.executemany(
            f"INSERT INTO {table} (key, value, run_uuid) VALUES (?,?,?)",
            [(key, value, run) for key, value in texts.items()],
        )
    connection.executemany(
        "INSERT INTO metrics (key, value, timestamp, run_uuid, step, is_nan) VALUES (?,?,?,?,?,0)",
        [(k, p.value, p.timestamp, run, p.step) for k, some in record.points.items() for p in some],
    )
    connection.executemany(
        "INSERT INTO latest_metrics (key, value, timestamp, step, is_nan, run_uuid) "
        "VALUES (?,?,?,?,0,?)",
        [(key, p.value, p.timestamp, p.step, run) for key, p in record.last.items()],
    )
