"""Going runs: what is logged comes in events, and the stream ends with the run."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from mlgit.entities import Metric, Param
from mlgit.server import live
from mlgit.store.following import Follower
from mlgit.store.gitstore import GitStore
from mlgit.store.record import Point


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "EVERY", 0.01)
    monkeypatch.setattr(live, "_SIGN", 0.05)


def _events(answer: Any) -> Iterator[tuple[str, Any]]:
    """The events of a stream, as a browser reads them; lines that say nothing as ("", None)."""
    text = ""
    for piece in answer.response:
        text += piece.decode()
        while "\n\n" in text:
            block, _, text = text.partition("\n\n")
            if block.startswith(":"):
                yield "", None
                continue
            kind, data = block.split("\n")
            yield kind.removeprefix("event: "), json.loads(data.removeprefix("data: "))


def _next(events: Iterator[tuple[str, Any]]) -> tuple[str, Any]:
    return next(event for event in events if event[0])


def test_what_is_logged_comes_and_the_end_too(client: FlaskClient, store: GitStore) -> None:
    run = store.runs.create("0", owner=True).run_id
    store.runs.log_metric(run, "before", 1.0, 1, 0)
    answer = client.get(f"/api/live?run={run}", buffered=False)
    assert answer.mimetype == "text/event-stream"
    events = _events(answer)
    assert _next(events) == ("hello", {"runs": [run]})
    store.runs.log_metric(run, "loss", 0.5, 1000, 3)
    store.runs.log_metric(run, "loss", math.nan, 2000, 4)
    assert _next(events) == (
        "metrics",
        {"run": run, "points": {"loss": [[3, 1000, 0.5], [4, 2000, "nan"]]}},
    )
    store.runs.log_batch(run, params=[Param("lr", "1\n\nevent: x")])
    assert _next(events) == ("params", {"run": run, "params": {"lr": "1\n\nevent: x"}})
    store.runs.set_tag(run, "t", "v")
    assert _next(events) == ("changed", {"run": run})
    assert next(events) == ("", None)  # a sign of life
    store.runs.finish(run, "FINISHED")
    assert _next(events) == ("ended", {"run": run})
    assert list(events) == []


def test_a_run_that_has_ended_ends_its_stream_at_once(
    client: FlaskClient, make_run: Callable[..., str]
) -> None:
    run = make_run()
    found = list(_events(client.get(f"/api/live?run={run}", buffered=False)))
    assert [kind for kind, _ in found if kind] == ["hello", "ended"]


def test_a_killed_run_ends_its_stream(client: FlaskClient, store: GitStore, repo_dir: Path) -> None:
    program = (
        "import mlgit, time\n"
        "with mlgit.start_run() as run:\n"
        "    mlgit.log_metric('m', 1)\n"
        "    print(run.info.run_id, flush=True)\n"
        "    time.sleep(60)\n"
    )
    import mlgit

    source = str(Path(mlgit.__file__).parents[1])
    env = {**os.environ, "PYTHONPATH": source}
    process = subprocess.Popen(
        [sys.executable, "-c", program], cwd=repo_dir, env=env, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        run = process.stdout.readline().strip()
        events = _events(client.get(f"/api/live?run={run}", buffered=False))
        assert _next(events)[0] == "hello"
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert _next(events) == ("ended", {"run": run})
    finally:
        process.kill()
        process.wait()
    assert store.runs.record(run).status == "FAILED"


def test_a_run_that_nobody_answers_for_goes_on(client: FlaskClient, store: GitStore) -> None:
    run = store.runs.create("0", owner=False).run_id
    store.runs.release_all()
    events = _events(client.get(f"/api/live?run={run}", buffered=False))
    assert [next(events)[0] for _ in range(4)] == ["hello", "", "", ""]


def test_the_stream_ends_when_the_server_does(client: FlaskClient, store: GitStore) -> None:
    from mlgit.server.site import site

    run = store.runs.create("0", owner=True).run_id
    events = _events(client.get(f"/api/live?run={run}", buffered=False))
    next(events)
    site(client.application).stopping.set()
    assert [kind for kind, _ in events if kind] == []


def test_several_runs_in_one_stream(client: FlaskClient, store: GitStore) -> None:
    runs = [store.runs.create("0", owner=True).run_id for _ in range(2)]
    events = _events(client.get("/api/live", query_string={"run": runs}, buffered=False))
    assert _next(events)[1]["runs"] == runs
    store.runs.log_metric(runs[1], "m", 1.0, 5, 6)
    assert _next(events)[1]["run"] == runs[1]
    store.runs.finish(runs[1], "FINISHED")
    assert _next(events) == ("ended", {"run": runs[1]})
    store.runs.finish(runs[0], "FINISHED")
    assert _next(events) == ("ended", {"run": runs[0]})


def test_a_follower_reads_whole_lines_once(store: GitStore) -> None:
    run = store.runs.create("0", owner=True).run_id
    folder = store.runs.committer.folder(run)
    store.runs.log_metric(run, "old", 1.0, 1, 0)
    follower = Follower(folder)
    assert follower.news().points == {}
    (path,) = Path(folder).glob("*.jnl")
    store.runs.log_metric(run, "m", 2.0, 7, 1)
    whole = path.read_bytes()
    path.write_bytes(whole + b'0badc0de ["m","torn')  # a line in the making
    found = follower.news()
    assert found.points == {"m": [Point(1, 7, 2.0)]} and not found.ended
    assert follower.news().points == {}
    path.write_bytes(whole)
    store.runs.log_batch(run, [Metric("m", 3.0, 8, 2)], [Param("p", "v")])
    found = follower.news()
    assert found.points == {"m": [Point(2, 8, 3.0)]} and found.params == {"p": "v"}
    store.runs.finish(run, "FINISHED")
    assert follower.news().ended
