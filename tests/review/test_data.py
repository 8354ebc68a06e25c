"""Data between revisions: what pointer files name, file by file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from mlgit.cli.main import cli


@pytest.fixture
def history(repo_dir: Path, git: Any, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three commits: without data, with some, and with it changed."""
    monkeypatch.chdir(repo_dir)
    data = repo_dir / "data"
    (data / "same").mkdir(parents=True)
    (data / "a").write_text("1")
    (data / "b").write_text("2")
    (data / "same/c").write_text("3")
    mlgit("add", "data")
    git(repo_dir, "add", ".")
    git(repo_dir, "commit", "-qm", "two")
    (data / "a").write_text("changed")
    (data / "b").unlink()
    (data / "new").write_text("4")
    mlgit("add", "data")
    git(repo_dir, "commit", "-qam", "three")
    return repo_dir


def mlgit(*arguments: str) -> str:
    result = CliRunner().invoke(cli, list(arguments))
    assert result.exit_code in (0, 1), result.output
    return result.stdout


def test_each_file_is_told(history: Path) -> None:
    found = json.loads(mlgit("diff", "HEAD~1", "HEAD", "--json"))
    assert [(c["path"], c["status"]) for c in found["data"]] == [
        ("data/a", "changed"),
        ("data/b", "removed"),
        ("data/new", "added"),
    ]
    (whole,) = json.loads(mlgit("diff", "HEAD~2", "HEAD", "--json", "--data"))["data"]
    assert (whole["path"], whole["status"], whole["new"]["files"]) == ("data", "added", 3)


def test_text_and_markdown(history: Path) -> None:
    text = mlgit("diff", "HEAD~1", "HEAD", "--data")
    assert "Data\n" in text and "data/new" in text and "data.mlgit" not in text
    assert "data/new" in mlgit("diff", "HEAD~1", "HEAD", "--md", "--data")
    assert "Nothing differs" in mlgit("diff", "HEAD", "HEAD", "--data")


def test_a_folder_whose_files_are_not_known_here_is_named(history: Path) -> None:
    import shutil

    shutil.rmtree(history / ".git/mlgit/objects")
    (change,) = json.loads(mlgit("diff", "HEAD~1", "HEAD", "--json"))["data"]
    assert change["path"] == "data" and "isn't in this clone" in change["note"]
