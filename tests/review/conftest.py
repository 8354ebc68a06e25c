"""Real repositories to compare revisions of."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mlgit.entities import Metric, Param, RunTag
from mlgit.git import Repository
from mlgit.store.gitstore import GitStore


@pytest.fixture(autouse=True)
def _identity(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", os.devnull)
    for role in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{role}_NAME", "Ada")
        monkeypatch.setenv(f"GIT_{role}_EMAIL", "ada@example.com")


class Place:
    """A repository, its store, and short ways to make runs and commits."""

    def __init__(self, path: Path, *, bare: bool = False) -> None:
        self.path = path
        path.mkdir()
        self.git("init", "-q", "-b", "main", *(["--bare"] if bare else []))
        self.store = GitStore(Repository.open(str(path)))
        self.bare = bare
        self.clock = 1_700_000_000_000

    def git(self, *args: str | bytes) -> str:
        done = subprocess.run(["git", *args], cwd=self.path, capture_output=True, check=True)
        return done.stdout.decode("utf-8", "surrogateescape").strip()

    def write(self, name: str | bytes, data: str | bytes) -> None:
        path = os.path.join(os.fsencode(self.path), os.fsencode(name))
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as f:
            f.write(data.encode() if isinstance(data, str) else data)

    def commit(self, message: str = "change") -> str:
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", message)
        return self.git("rev-parse", "HEAD")

    def run(
        self,
        name: str,
        *,
        metrics: dict[str, float] | None = None,
        params: dict[str, str] | None = None,
        tags: dict[str, str] | None = None,
        experiment: str = "0",
        environment: dict[str, Any] | None = None,
        before_end: Callable[[str], None] | None = None,
        finish: bool = True,
        status: str = "FINISHED",
    ) -> str:
        """One run; each starts a second after the one before."""
        self.clock += 1000
        runs = self.store.runs
        record = runs.create(
            experiment,
            run_name=name,
            start_time=self.clock,
            environment=environment,
            owner=True,
            with_code=not self.bare,
        )
        runs.log_batch(
            record.run_id,
            metrics=[Metric(k, v, self.clock) for k, v in (metrics or {}).items()],
            params=[Param(k, v) for k, v in (params or {}).items()],
            tags=[RunTag(k, v) for k, v in (tags or {}).items()],
        )
        if before_end:
            before_end(record.run_id)
        if finish:
            runs.finish(record.run_id, status, self.clock + 500)
        return record.run_id

    def commit_of(self, run_id: str) -> str:
        found = self.store.runs.find_ref(run_id)
        assert found is not None
        return found[1]


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """A repository with one commit."""
    made = Place(tmp_path / "repo")
    made.write("train.py", "import x\nlr = 0.1\nprint(lr)\n")
    made.commit("one")
    yield made
    made.store.close()


@pytest.fixture
def bare(tmp_path: Path) -> Iterator[Place]:
    """A bare repository."""
    made = Place(tmp_path / "bare.git", bare=True)
    yield made
    made.store.close()
