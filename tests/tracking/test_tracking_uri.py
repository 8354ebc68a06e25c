"""Tracking URIs: which repository is meant, and what is refused."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

import mlgit
from mlgit import MlflowException

Git = Callable[..., str]


def log_one() -> str:
    with mlgit.start_run() as run:
        mlgit.log_param("p", 1)
    return run.info.run_id


def runs_in(folder: Path, git: Git) -> int:
    return len(git(folder, "for-each-ref", "--format=%(refname)", "refs/mlgit/runs").split())


@pytest.mark.parametrize(
    "form", ["{}", "{}/", "file:{}", "file://{}", "git+file://{}", "file://localhost{}", "{}/.git"]
)
def test_forms_of_a_repositorys_path(form: str, repo_dir: Path, git: Git) -> None:
    mlgit.set_tracking_uri(form.format(repo_dir))
    assert mlgit.is_tracking_uri_set()
    assert mlgit.get_tracking_uri() == form.format(repo_dir)
    log_one()
    assert runs_in(repo_dir, git) == 1


def test_path_objects_and_paths_in_a_repository(repo_dir: Path, git: Git) -> None:
    (repo_dir / "deep" / "er").mkdir(parents=True)
    mlgit.set_tracking_uri(repo_dir / "deep" / "er")
    log_one()
    assert runs_in(repo_dir, git) == 1


def test_spaces_and_escapes(tmp_path: Path, git: Git) -> None:
    folder = tmp_path / "a b%20ü"
    folder.mkdir()
    git(folder, "init", "-q")
    for uri in (str(folder), f"file://{tmp_path}/a%20b%2520%C3%BC"):
        mlgit.set_tracking_uri(uri)
        log_one()
    assert runs_in(folder, git) == 2


def test_the_working_directorys_repository(
    repo_dir: Path, monkeypatch: pytest.MonkeyPatch, git: Git
) -> None:
    (repo_dir / "sub").mkdir()
    monkeypatch.chdir(repo_dir / "sub")
    assert not mlgit.is_tracking_uri_set()
    assert mlgit.get_tracking_uri() == f"git+file://{repo_dir}"
    log_one()
    assert runs_in(repo_dir, git) == 1


def test_relative_paths(repo_dir: Path, monkeypatch: pytest.MonkeyPatch, git: Git) -> None:
    monkeypatch.chdir(repo_dir.parent)
    mlgit.set_tracking_uri(repo_dir.name)
    log_one()
    assert runs_in(repo_dir, git) == 1


def test_bare_repositories_and_worktrees(repo_dir: Path, tmp_path: Path, git: Git) -> None:
    git(tmp_path, "init", "-q", "--bare", "bare.git")
    git(repo_dir, "worktree", "add", "-q", str(tmp_path / "tree"), "-b", "other")
    mlgit.set_tracking_uri(str(tmp_path / "bare.git"))
    log_one()
    mlgit.set_tracking_uri(str(tmp_path / "tree"))
    log_one()
    assert runs_in(tmp_path / "bare.git", git) == 1
    assert runs_in(repo_dir, git) == 1


def test_sqlite_uris_name_bare_repositories(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, git: Git
) -> None:
    monkeypatch.chdir(tmp_path)
    for uri, path in (
        ("sqlite:///mlflow.db", "mlflow.db"),
        (f"sqlite:///{tmp_path}/abs.db", "abs.db"),
        ("sqlite:///with.db?timeout=3", "with.db"),
    ):
        mlgit.set_tracking_uri(uri)
        assert not (tmp_path / path).exists()
        log_one()
        assert runs_in(tmp_path / path, git) == 1


@pytest.mark.parametrize(
    ("uri", "code"),
    [
        ("postgresql://user:secret@host/db", "NOT_IMPLEMENTED"),
        ("mysql+pymysql://user:secret@host/db", "NOT_IMPLEMENTED"),
        ("http://user:secret@host:5000", "NOT_IMPLEMENTED"),
        ("https://host", "NOT_IMPLEMENTED"),
        ("databricks://profile", "NOT_IMPLEMENTED"),
        ("databricks", "NOT_IMPLEMENTED"),
        ("s3://bucket/x", "NOT_IMPLEMENTED"),
        ("sqlite://", "NOT_IMPLEMENTED"),
        ("sqlite:///:memory:", "NOT_IMPLEMENTED"),
        ("/nowhere/at/all", "RESOURCE_DOES_NOT_EXIST"),
        ("file:///nowhere", "RESOURCE_DOES_NOT_EXIST"),
        ("nowhere", "RESOURCE_DOES_NOT_EXIST"),
    ],
)
def test_what_is_refused_says_why(
    uri: str, code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    mlgit.set_tracking_uri(uri)
    with pytest.raises(MlflowException) as caught:
        mlgit.start_run()
    assert caught.value.error_code == code
    assert caught.value.hint
    assert "secret" not in str(caught.value)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("form", ["sqlite:///{}", "{}"])
def test_a_real_database_is_left_as_it_is(form: str, tmp_path: Path) -> None:
    path = tmp_path / "mlflow.db"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE runs(x)")
    connection.commit()
    connection.close()
    before = path.read_bytes()
    mlgit.set_tracking_uri(form.format(path))
    with pytest.raises(MlflowException):
        mlgit.start_run()
    assert path.read_bytes() == before


def test_a_folder_without_a_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    with pytest.raises(MlflowException) as caught:
        mlgit.start_run()
    assert "mlgit init" in caught.value.hint
    assert mlgit.get_tracking_uri() == f"git+file://{tmp_path}"


@pytest.mark.parametrize("name", ["MLGIT_TRACKING_URI", "MLFLOW_TRACKING_URI"])
def test_variables(name: str, repo_dir: Path, monkeypatch: pytest.MonkeyPatch, git: Git) -> None:
    monkeypatch.setenv(name, str(repo_dir))
    assert mlgit.is_tracking_uri_set()
    log_one()
    assert runs_in(repo_dir, git) == 1


def test_set_wins_over_variables_and_mlgits_over_mlflows(
    repo_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://elsewhere")
    monkeypatch.setenv("MLGIT_TRACKING_URI", "/ours")
    assert mlgit.get_tracking_uri() == "/ours"
    mlgit.set_tracking_uri(str(repo_dir))
    assert mlgit.get_tracking_uri() == str(repo_dir)
    mlgit.set_tracking_uri("")
    assert mlgit.get_tracking_uri() == "/ours"


def test_clients_of_two_repositories(repo_dir: Path, tmp_path: Path, git: Git) -> None:
    git(tmp_path, "init", "-q", "other")
    one, two = mlgit.MlgitClient(str(repo_dir)), mlgit.MlgitClient(str(tmp_path / "other"))
    run = one.create_run("0")
    one.set_terminated(run.info.run_id)
    assert one.tracking_uri == str(repo_dir)
    with pytest.raises(MlflowException):
        two.get_run(run.info.run_id)
    assert len(one.search_runs(["0"])) == 1
    assert len(two.search_runs(["0"])) == 0


def test_a_run_stays_in_the_repository_that_it_was_begun_in(
    repo_dir: Path, tmp_path: Path, git: Git
) -> None:
    git(tmp_path, "init", "-q", "other")
    mlgit.set_tracking_uri(str(repo_dir))
    with mlgit.start_run() as run:
        mlgit.set_tracking_uri(str(tmp_path / "other"))
        mlgit.log_metric("m", 1)
        mlgit.log_text("x", "x.txt")
    found = mlgit.MlgitClient(str(repo_dir)).get_run(run.info.run_id)
    assert (found.info.status, found.data.metrics) == ("FINISHED", {"m": 1.0})
    assert runs_in(tmp_path / "other", git) == 0


def test_set_experiment_before_there_is_a_repository(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    expected = mlgit.set_experiment("later")
    mlgit.set_tracking_uri("sqlite:///runs.db")
    with mlgit.start_run() as run:
        pass
    assert run.info.experiment_id == expected.experiment_id
    assert mlgit.get_experiment(run.info.experiment_id).name == "later"
