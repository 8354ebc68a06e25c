"""A repository with runs, and a way to run commands in it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

import mlgit
from mlgit.cli.main import cli
from mlgit.tracking import experiments, uri

Run = Callable[..., Result]


@pytest.fixture(autouse=True)
def surroundings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """No configuration of the machine's, no variables of the person's, no store left open."""
    for name in list(os.environ):
        if name.startswith(("MLGIT_", "MLFLOW_", "GIT_")) or name in ("NO_COLOR", "PAGER"):
            monkeypatch.delenv(name)
    for name in ("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM"):
        monkeypatch.setenv(name, os.devnull)
    for name in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{name}_NAME", "Ada")
        monkeypatch.setenv(f"GIT_{name}_EMAIL", "ada@example.org")
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    monkeypatch.setattr(experiments, "_experiment", None)
    monkeypatch.setattr(experiments, "_experiment_id", None)
    uri.set_tracking_uri(None)
    monkeypatch.chdir(tmp_path)
    yield
    uri.close_all()


@pytest.fixture
def repo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with one commit; the current folder."""
    path = tmp_path / "repo"
    subprocess.run(["git", "init", "-q", "-b", "main", path], check=True)
    (path / "train.py").write_text("print()\n")
    subprocess.run(["git", "-C", path, "add", "."], check=True)
    subprocess.run(["git", "-C", path, "commit", "-q", "-m", "first"], check=True)
    monkeypatch.chdir(path)
    return path


@pytest.fixture
def three(repo: Path) -> list[str]:
    """The ids of three runs, oldest first: alpha, beta, gamma; gamma is in "other"."""
    ids = []
    for at, name in enumerate(("alpha", "beta", "gamma")):
        experiment = mlgit.create_experiment("other") if name == "gamma" else None
        with mlgit.start_run(run_name=name, experiment_id=experiment) as run:
            mlgit.log_params({"lr": str(at), "model": "tree"})
            mlgit.log_metric("loss", 1.0, step=0)
            mlgit.log_metric("loss", 0.5 + at, step=7)
            mlgit.log_text("hello", "notes/a.txt")
            mlgit.log_dict({"at": at}, "c.json")
        ids.append(run.info.run_id)
    return ids


@pytest.fixture
def run() -> Run:
    """Run a command line in this process: ``run("log", "--json")``."""
    runner = CliRunner()

    def invoke(*args: str, code: int = 0, **kwargs: Any) -> Result:
        result = runner.invoke(cli, list(args), **kwargs)
        assert result.exit_code == code, (result.stdout, result.stderr)
        return result

    return invoke


@pytest.fixture
def data(run: Run) -> Callable[..., Any]:
    """Run a command line and read the JSON that it prints."""
    return lambda *args, **kwargs: json.loads(run(*args, **kwargs).stdout)


@pytest.fixture
def spawn() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run a command line in a process of its own."""
    root = Path(mlgit.__file__).parents[1]

    def start(*args: str, python: str | None = None) -> subprocess.CompletedProcess[str]:
        command = ["-c", python] if python else ["-m", "mlgit"]
        return subprocess.run(
            [sys.executable, *command, *args],
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONPATH": str(root)},
            timeout=60,
        )

    return start
