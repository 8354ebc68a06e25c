"""The same searches in MLflow itself, where it is installed, must find the same runs."""

from __future__ import annotations

import math
import sqlite3
from pathlib import Path

import pytest

from mlgit.store.query import encode_token, prepare, runs_query
from mlgit.store.schema import TABLES

pytest.importorskip("mlflow")

FILTERS = [
    "",
    "metrics.x != 1",
    "metrics.x > 0",
    "metrics.x <= 1 and params.p != 'a' AND",
    "params.p LIKE 'A%'",
    "params.p ILIKE 'A%'",
    "params.p IS NULL",
    'tags."t u" != "v"',
    "attributes.status = 'FINISHED' and metrics.`x` < 1e3",
    "start_time >= 2",
    "Created < 3",
]
ORDERS = [[], ["metrics.x"], ["metrics.x DESC"], ["params.p desc"], ["start_time ASC"]]


def test_searches_find_what_mlflow_finds(tmp_path: Path) -> None:
    from mlflow import MlflowClient
    from mlflow.entities import Metric, Param, RunTag

    client = MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
    connection = sqlite3.connect(":memory:")
    connection.executescript(TABLES)
    prepare(connection)
    values = [1.0, math.nan, math.inf, -math.inf, None, 0.5, 1.0]
    texts = ["a", "A", None, "ab", "Ab", None, "b"]
    for i, (number, text) in enumerate(zip(values, texts, strict=True)):
        made = client.create_run("0", start_time=i // 2 + 1, tags={"t u": "v"} if i % 3 else {})
        run_id = made.info.run_id
        metrics = [Metric("x", number, 1, 0)] if number is not None else []
        params = [Param("p", text)] if text is not None else []
        client.log_batch(run_id, metrics, params, [RunTag("i", str(i))])
        if i % 2:
            client.set_terminated(run_id)
        status = "FINISHED" if i % 2 else "RUNNING"
        connection.execute(
            "INSERT INTO runs(id, run_id, experiment_id, name, status, lifecycle_stage, "
            "start_time) VALUES (?, ?, '0', 'n', ?, 'active', ?)",
            (i, run_id, status, i // 2 + 1),
        )
        if number is not None:
            connection.execute("INSERT INTO metrics VALUES (?, 'x', ?, 0, 1)", (i, number))
        if text is not None:
            connection.execute("INSERT INTO params VALUES (?, 'p', ?, NULL)", (i, text))
        if i % 3:
            connection.execute("INSERT INTO tags VALUES (?, 't u', 'v')", (i,))
    for text in FILTERS:
        for order in ORDERS:
            query = runs_query(text, order, ["0"])
            ours = [row[0] for row in connection.execute(query.sql, query.args)]
            theirs = client.search_runs(["0"], text, order_by=order)
            assert ours == [int(run.data.tags["i"]) for run in theirs], (text, order)
    token = client.search_runs(["0"], max_results=3).token
    # MLflow's database store gives bytes here, its REST API text.
    assert (token.decode() if isinstance(token, bytes) else token) == encode_token(3)
