"""What charts are made of is read once, and forgotten where it takes too much."""

from __future__ import annotations

from typing import Any

import pytest
from flask.testing import FlaskClient

from mlgit.entities import Metric
from mlgit.server import history
from mlgit.server.history import Remembered
from mlgit.store.gitstore import GitStore


def test_what_was_not_asked_for_the_longest_is_forgotten() -> None:
    known = Remembered(most=10)
    known.put(("a",), "a", 4)
    known.put(("b",), "b", 4)
    assert known.get(("a",)) == "a"
    known.put(("c",), "c", 4)
    assert [known.get((key,)) for key in "abc"] == ["a", None, "c"]
    known.put(("a",), "A", 6)
    assert [known.get((key,)) for key in "abc"] == ["A", None, "c"]
    known.put(("d",), "d", 11)
    assert [known.get((key,)) for key in "acd"] == [None, None, None]
    known.put(("e",), "e", 10)
    assert known.get(("e",)) == "e"


def test_a_history_is_read_once_until_it_grows(
    client: FlaskClient, store: GitStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    columns = history.history_columns

    def counted(data: bytes, name: str) -> Any:
        read.append(name)
        return columns(data, name)

    monkeypatch.setattr(history, "history_columns", counted)
    record = store.runs.create("0", run_name="first", owner=True)
    run = record.run_id
    store.runs.log_batch(run, [Metric("m", float(n), 1000 + n, n) for n in range(60)])
    store.runs.finish(run, "FINISHED")

    def asked(query: str) -> dict[str, Any]:
        answer = client.get(f"/api/points?run={run}&key=m{query}")
        assert answer.status_code == 200
        (found,) = answer.json["series"]
        return dict(found)

    assert asked("") == asked("")
    assert asked("&x=relative")["x"] != asked("&x=time")["x"]
    assert len(asked("&points=50&smooth=0.5")["smooth"]) <= 50
    store.runs.update(run, run_name="second")
    assert asked("")["name"] == "second"
    assert len(read) == 1
    store.runs.log_batch(run, [Metric("m", 7.0, 5000, 60)])
    assert asked("")["y"][-1] == 7.0 and asked("")["count"] == 61
