"""Runs and experiments as rows of the index, in and out."""

from __future__ import annotations

import json
import math
import re
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from mlgit.store.experiment_record import ExperimentRecord
from mlgit.store.record import Record
from mlgit.store.schema import TABLES

_CHUNK = 500
UNKNOWN_STEP = -(2**63)
_DETAILS = ("metrics", "params", "tags", "inputs")


class transaction:
    """BEGIN IMMEDIATE … COMMIT, rolled back on an error."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection

    def __enter__(self) -> None:
        self.connection.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind: Any, *_: Any) -> None:
        self.connection.execute("ROLLBACK" if kind else "COMMIT")


def any_runs(connection: sqlite3.Connection) -> bool:
    """Whether the index has any run."""
    return connection.execute("SELECT 1 FROM runs LIMIT 1").fetchone() is not None


@contextmanager
def without_lookups(connection: sqlite3.Connection) -> Iterator[None]:
    """Leave the look-up indexes away and make them at the end; inside one transaction."""
    connection.execute("PRAGMA cache_size=-65536")
    for name in re.findall(r"CREATE INDEX (\w+)", TABLES):
        connection.execute(f"DROP INDEX IF EXISTS {name}")
    yield
    for statement in TABLES.split(";\n"):
        if "CREATE INDEX" in statement:
            connection.execute(statement)


@dataclass
class RunRow:
    """A run as the index has it. Times are in milliseconds since 1970."""

    run_id: str
    commit_sha: str | None
    experiment_id: str
    name: str
    status: str
    lifecycle_stage: str
    start_time: int | None
    end_time: int | None
    user_id: str
    artifact_uri: str
    params: dict[str, str] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    inputs: list[dict[str, Any]] = field(default_factory=list)


def as_number(value: str) -> float | None:
    """What a param's text is as a number, or None; NaN isn't comparable and counts as none."""
    try:
        found = float(value)
    except ValueError:
        return None
    return None if found != found else found


def _column(value: float) -> float | None:
    return None if value != value else value


def put_run(
    connection: sqlite3.Connection,
    record: Record,
    commit: str | None,
    *,
    loose: int | None = None,
    journal: str | None = None,
) -> None:
    """Insert a run, or replace it. To be called inside a transaction.

    Args:
        connection: The index.
        record: The run.
        commit: Its commit, or None.
        loose: How its ref is kept; None leaves what is there.
        journal: What its journals look like, or None where there are none.
    """
    found = connection.execute(
        "SELECT id, loose FROM runs WHERE run_id=?", (record.run_id,)
    ).fetchone()
    loose = loose if loose is not None else (found[1] if found else 0)
    values = (
        record.run_id,
        commit,
        loose,
        journal,
        record.experiment_id,
        record.run_name,
        record.status,
        record.lifecycle_stage,
        record.start_time,
        record.end_time,
        record.user,
        artifact_uri(record.experiment_id, record.run_id),
    )
    if found is None:
        run = connection.execute(
            "INSERT INTO runs(run_id, commit_sha, loose, journal, experiment_id, name, status, "
            "lifecycle_stage, start_time, end_time, user_id, artifact_uri) "
            "VALUES (?,?,?,?,?,?,?,?,?,?,?,?)",
            values,
        ).lastrowid
    else:
        run = found[0]
        connection.execute(
            "UPDATE runs SET run_id=?, commit_sha=?, loose=?, journal=?, experiment_id=?, name=?, "
            "status=?, lifecycle_stage=?, start_time=?, end_time=?, user_id=?, artifact_uri=? "
            "WHERE id=?",
            (*values, run),
        )
        for table in _DETAILS:
            connection.execute(f"DELETE FROM {table} WHERE run=?", (run,))
    _put_details(connection, run, record)


def artifact_uri(experiment_id: str, run_id: str) -> str:
    """Where a run's artifacts are, as a URI."""
    return f"mlgit-artifacts:/{experiment_id}/{run_id}/artifacts"


def _put_details(connection: sqlite3.Connection, run: int | None, record: Record) -> None:
    connection.executemany(
        "INSERT INTO metrics VALUES (?,?,?,?,?)",
        [
            (run, key, _column(point.value), *_place(point.step, point.timestamp))
            for key, point in record.last.items()
        ],
    )
    connection.executemany(
        "INSERT INTO params VALUES (?,?,?,?)",
        [(run, key, value, as_number(value)) for key, value in record.params.items()],
    )
    connection.executemany(
        "INSERT INTO tags VALUES (?,?,?)",
        [(run, key, value) for key, value in record.all_tags().items()],
    )
    if record.inputs:
        connection.executemany(
            "INSERT INTO inputs VALUES (?,?,?,?,?,?,?,?,?,?)",
            [(run, at, *_input(dataset)) for at, dataset in enumerate(record.inputs)],
        )


def _place(step: int, timestamp: int) -> tuple[int | None, int | None]:
    return (None, None) if step == UNKNOWN_STEP else (step, timestamp)


def _input(dataset: dict[str, Any]) -> tuple[Any, ...]:
    tags = dataset.get("tags") or {}
    return (
        dataset.get("name"),
        dataset.get("digest"),
        tags.get("mlflow.data.context"),
        dataset.get("source_type"),
        dataset.get("source"),
        dataset.get("schema"),
        dataset.get("profile"),
        json.dumps(tags),
    )


def delete_runs(connection: sqlite3.Connection, ids: Iterable[Sequence[int]]) -> None:
    """Remove runs by the index's own ids, given as rows of one column."""
    ids = list(ids)
    for table in _DETAILS:
        connection.executemany(f"DELETE FROM {table} WHERE run=?", ids)
    connection.executemany("DELETE FROM runs WHERE id=?", ids)


def get_runs(connection: sqlite3.Connection, ids: Sequence[int]) -> list[RunRow]:
    """The runs of some of the index's own ids, in their order."""
    found: dict[int, RunRow] = {}
    for at in range(0, len(ids), _CHUNK):
        chunk = ids[at : at + _CHUNK]
        marks = ",".join("?" * len(chunk))
        for run, *columns in connection.execute(
            "SELECT id, run_id, commit_sha, experiment_id, name, status, lifecycle_stage, "
            f"start_time, end_time, user_id, artifact_uri FROM runs WHERE id IN ({marks})",
            chunk,
        ):
            found[run] = RunRow(*columns)
        _get_details(connection, found, chunk, marks)
    return [found[run] for run in ids if run in found]


def _get_details(
    connection: sqlite3.Connection, found: dict[int, RunRow], chunk: Sequence[int], marks: str
) -> None:
    where = f"WHERE run IN ({marks})"
    for run, key, value in connection.execute(f"SELECT run, key, value FROM params {where}", chunk):
        found[run].params[key] = value
    for run, key, value in connection.execute(
        f"SELECT run, key, value FROM metrics {where}", chunk
    ):
        found[run].metrics[key] = math.nan if value is None else value
    for run, key, value in connection.execute(f"SELECT run, key, value FROM tags {where}", chunk):
        found[run].tags[key] = value
    for run, *columns in connection.execute(
        "SELECT run, name, digest, source_type, source, schema, profile, tags FROM inputs "
        f"{where} ORDER BY run, position",
        chunk,
    ):
        keys = ("name", "digest", "source_type", "source", "schema", "profile")
        dataset = dict(zip(keys, columns))
        found[run].inputs.append({**dataset, "tags": json.loads(columns[-1])})


def put_experiment(
    connection: sqlite3.Connection, record: ExperimentRecord, commit: str | None
) -> None:
    """Insert an experiment, or replace it. To be called inside a transaction."""
    connection.execute("DELETE FROM experiment_tags WHERE experiment_id=?", (record.experiment_id,))
    connection.execute(
        "INSERT OR REPLACE INTO experiments VALUES (?,?,?,?,?,?,?)",
        (
            record.experiment_id,
            commit,
            record.name,
            record.artifact_location,
            record.lifecycle_stage,
            record.creation_time,
            record.last_update_time,
        ),
    )
    connection.executemany(
        "INSERT INTO experiment_tags VALUES (?,?,?)",
        [(record.experiment_id, key, value) for key, value in record.tags.items()],
    )


def delete_experiment(connection: sqlite3.Connection, experiment_id: str) -> None:
    """Remove an experiment."""
    for table in ("experiment_tags", "experiments"):
        connection.execute(f"DELETE FROM {table} WHERE experiment_id=?", (experiment_id,))
