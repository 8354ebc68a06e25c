"""What all tests share: a clean environment, a repository, and its store."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from signers import keyring, ssh_keys  # noqa: F401  (fixtures)

import mlgit
from mlgit.git import Repository
from mlgit.store.gitstore import GitStore
from mlgit.tracking import experiments, fluent, uri

# Started in a shell's background, Ctrl-C is ignored, and would be by all that the tests start.
if (
    signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    and threading.current_thread() is threading.main_thread()
):
    signal.signal(signal.SIGINT, signal.default_int_handler)


SOURCE = str(Path(mlgit.__file__).resolve().parents[1])
PERSON = {
    "GIT_AUTHOR_NAME": "Ada",
    "GIT_AUTHOR_EMAIL": "ada@example.com",
    "GIT_COMMITTER_NAME": "Ada",
    "GIT_COMMITTER_EMAIL": "ada@example.com",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_NOSYSTEM": "1",
}

# Machines are shared: how long an example takes says nothing about the code.
settings.register_profile("shared", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("shared")


@pytest.fixture(autouse=True)
def clean_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[None]:
    """No variables of the person who runs the tests, and no state of the test before."""
    for name in list(os.environ):
        if name.startswith(("MLGIT_", "MLFLOW_", "GIT_")):
            monkeypatch.delenv(name)
    for name, value in PERSON.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("MLGIT_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
    yield
    # Before monkeypatch takes the environment and the working directory back.
    reset_tracking()


def reset_tracking() -> None:
    """Forget the active runs, the chosen experiment and all stores."""
    for stack in fluent._stacks:
        stack.clear()
    fluent.local.last = None
    fluent._last_run = None
    experiments._experiment = experiments._experiment_id = None
    try:
        uri.close_all()
    finally:
        uri._stores.clear()
        uri.set_tracking_uri(None)


def run_git(where: str | Path, *arguments: str, check: bool = True, data: bytes = b"") -> str:
    """What the real git prints."""
    done = subprocess.run(
        ["git", *arguments], cwd=where, input=data, capture_output=True, check=False
    )
    if check and done.returncode:
        raise AssertionError(f"git {arguments}: {done.stderr.decode(errors='replace')}")
    return done.stdout.decode(errors="surrogateescape").rstrip("\n")


@pytest.fixture
def git() -> Callable[..., str]:
    """Runs the real git: ``git(folder, "log", …)``."""
    return run_git


def make_repository(folder: Path) -> Path:
    """A repository with one commit."""
    folder.mkdir(parents=True, exist_ok=True)
    run_git(folder, "init", "-q", "-b", "main", ".")
    (folder / "train.py").write_text("print('training')\n")
    run_git(folder, "add", ".")
    run_git(folder, "commit", "-q", "-m", "first")
    return folder


@pytest.fixture
def repo_dir(tmp_path: Path) -> Path:
    """A Git repository with one commit."""
    return make_repository(tmp_path / "repo")


@pytest.fixture
def store(repo_dir: Path) -> Iterator[GitStore]:
    """The store of ``repo_dir``."""
    made = GitStore(Repository.open(str(repo_dir)))
    yield made
    made.close()


@pytest.fixture
def fresh() -> Iterator[Callable[[str | Path], GitStore]]:
    """Opens a repository anew, as another process would: ``fresh(folder)``."""
    made: list[GitStore] = []

    def open_store(folder: str | Path) -> GitStore:
        made.append(GitStore(Repository.open(str(folder))))
        return made[-1]

    yield open_store
    for opened in made:
        opened.close()


@pytest.fixture
def python() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs a program in a new process that imports this mlgit: ``python(code, cwd=…)``."""
    import sys

    def run(
        code: str, *arguments: str, check: bool = True, **options: object
    ) -> subprocess.CompletedProcess[str]:
        env = {**os.environ, "PYTHONPATH": SOURCE, **options.pop("env", {})}  # type: ignore[dict-item]
        done = subprocess.run(
            [sys.executable, "-c", code, *arguments],
            env=env,
            text=True,
            capture_output=True,
            timeout=240,
            check=False,
            **options,  # type: ignore[call-overload]
        )
        if check and done.returncode:
            raise AssertionError(done.stderr[-4000:])
        return done

    return run
