"""An app over a real repository, and a browser's ways with it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mlgit.entities import Metric, Param, RunTag
from mlgit.store.gitstore import GitStore

pytest.importorskip("flask")

from flask.testing import FlaskClient

from mlgit.server.app import create_app
from mlgit.server.options import Options


@pytest.fixture
def open_app(store: GitStore) -> Callable[..., FlaskClient]:
    """A client of an app of this repository: ``open_app(allow_write=True)``."""

    def make(**options: Any) -> FlaskClient:
        return create_app(store, Options(**options)).test_client()

    return make


@pytest.fixture
def client(open_app: Callable[..., FlaskClient]) -> FlaskClient:
    """A client of an app that only reads."""
    return open_app()


@pytest.fixture
def make_run(store: GitStore) -> Iterator[Callable[..., str]]:
    """Makes a run; each starts a second after the one before."""
    clock = [1_700_000_000_000]

    def make(
        name: str = "run",
        *,
        metrics: dict[str, float] | None = None,
        params: dict[str, str] | None = None,
        tags: dict[str, str] | None = None,
        artifacts: dict[str, bytes] | None = None,
        experiment: str = "0",
        parent: str | None = None,
        status: str = "FINISHED",
    ) -> str:
        clock[0] += 1000
        record = store.runs.create(
            experiment,
            run_name=name,
            start_time=clock[0],
            owner=True,
            with_code=True,
            parent_run_id=parent,
        )
        store.runs.log_batch(
            record.run_id,
            [Metric(key, value, clock[0]) for key, value in (metrics or {}).items()],
            [Param(key, value) for key, value in (params or {}).items()],
            [RunTag(key, value) for key, value in (tags or {}).items()],
        )
        for path, data in (artifacts or {}).items():
            store.log_bytes(record.run_id, data, path)
        if status != "RUNNING":
            store.runs.finish(record.run_id, status, clock[0] + 500)
        return record.run_id

    yield make


@pytest.fixture
def csrf() -> Callable[[FlaskClient], str]:
    """The token that this browser's forms carry, as a page with a form gives it."""

    def read(client: FlaskClient) -> str:
        with client.session_transaction(base_url="http://localhost/") as session:
            session["csrf"] = "of-this-browser"
        return "of-this-browser"

    return read


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A file that no page may ever show."""
    path = tmp_path / "secret.txt"
    path.write_text("THE SECRET")
    return path
