"""Pages while the repository is written, archived and packed, by many threads at once."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from flask.testing import FlaskClient

from mlgit.entities import Metric
from mlgit.store import archive
from mlgit.store.gitstore import GitStore


def test_pages_hold_while_everything_changes(
    client: FlaskClient,
    repo_dir: Path,
    fresh: Callable[[Path], GitStore],
    make_run: Callable[..., str],
    git: Callable[..., str],
) -> None:
    known = [make_run(f"r{n}", metrics={"m": n}, artifacts={"a.txt": b"a"}) for n in range(5)]
    paths = ["/", "/runs", "/runs?order=metrics.m+DESC", "/runs.csv", "/api/keys"]
    for run in known:
        paths += [f"/runs/{run}{page}" for page in ("", "/charts", "/code/", "/artifacts/a.txt")]
        paths.append(f"/api/points?run={run}&key=m")
    done = threading.Event()
    bad: list[tuple[str, int, str]] = []
    asked = [0]

    def read() -> None:
        own = client.application.test_client()
        while not done.is_set():
            for path in paths:
                answer = own.get(path)
                asked[0] += 1
                if answer.status_code != 200:
                    bad.append((path, answer.status_code, answer.text))

    readers = [threading.Thread(target=read) for _ in range(4)]
    for reader in readers:
        reader.start()
    other = fresh(repo_dir)
    try:
        for n in range(12):
            record = other.runs.create("0", run_name=f"new{n}", owner=True)
            other.runs.log_batch(record.run_id, [Metric("m", n, n, n)])
            other.runs.finish(record.run_id, "FINISHED")
            if n == 4:
                archive.fold(other)
            if n == 8:
                git(repo_dir, "gc", "--quiet")
    finally:
        done.set()
        for reader in readers:
            reader.join()
    assert asked[0] > len(paths)
    assert not bad, bad[:2]
    assert "new11" in client.get("/runs").text
