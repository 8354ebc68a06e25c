"""mlgit push, fetch, pull and clone, as a person types them."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

import mlgit

Run = Callable[..., Result]


@pytest.fixture
def origin(repo: Path, tmp_path: Path) -> Path:
    """A Git remote that has the branch."""
    there = tmp_path / "there.git"
    subprocess.run(["git", "init", "-q", "--bare", "-b", "main", there], check=True)
    subprocess.run(["git", "-C", repo, "remote", "add", "origin", there], check=True)
    subprocess.run(["git", "-C", repo, "push", "-q", "-u", "origin", "main"], check=True)
    return there


def storage(run: Run, tmp_path: Path) -> None:
    run("remote", "add", "--local", "storage", str(tmp_path / "storage"))


def test_push_clone_and_pull(
    repo: Path, origin: Path, three: list[str], run: Run, tmp_path: Path, data: Callable[..., Any]
) -> None:
    result = run("push", code=3)
    assert "artifacts" in result.stderr and "mlgit remote add" in result.stderr
    assert "Would" not in run("push", "--no-artifacts", "--dry-run", "-q").stdout
    storage(run, tmp_path)
    result = run("push")
    assert "Pushed 3 runs and 1 experiment to origin" in result.stdout
    assert "Uploaded" in result.stdout
    assert "already" in run("push").stdout
    assert run("push", "-q").stdout == run("-q", "push").stdout == ""
    again = data("push", "--json")
    assert again["pushed"] == [] and again["up_to_date"] == 4

    place = str(tmp_path / "copy")
    assert "Fetched 3 runs and 1 experiment" in run("clone", str(origin), place).stdout
    assert os.path.exists(f"{place}/train.py")
    os.chdir(place)
    storage(run, tmp_path)
    assert {r["id"] if "id" in r else r["run_id"] for r in data("log", "--json")} == set(three)
    assert "nothing new" in run("fetch").stdout
    found = data("fetch", "--run", "alpha", "--json")
    assert found["objects"]["objects"] == 3 and found["new"] == []
    assert data("fetch", "--experiment", "other", "--json")["objects"]["objects"] == 1
    assert "Downloaded" in run("pull").stdout
    assert data("pull", "--json")["objects"]["objects"] == 0


def test_what_both_set_is_shown(
    repo: Path, origin: Path, three: list[str], run: Run, tmp_path: Path, data: Callable[..., Any]
) -> None:
    storage(run, tmp_path)
    run("push")
    place = str(tmp_path / "copy")
    run("clone", "-q", str(origin), place)
    run("runs", "tag", "alpha", "who=me")
    run("push")
    os.chdir(place)
    run("runs", "tag", "alpha", "who=you")
    result = run("push", "--no-artifacts", code=1)
    assert "tag who: here you, there me, before (not set)" in result.stderr
    assert "Left alone on both sides" in result.stderr
    (apart,) = data("fetch", "--json", code=1)["apart"]
    assert apart["conflicts"] == [{"key": "tag who", "base": None, "ours": "you", "theirs": "me"}]
    run("runs", "tag", "alpha", "who=me")
    assert "Merged 1 run" in run("fetch").stdout


def test_errors_name_what_to_do(repo: Path, three: list[str], run: Run, tmp_path: Path) -> None:
    assert "git remote add origin URL" in run("push", code=3).stderr
    assert "nowhere" in run("fetch", "nowhere", code=3).stderr
    subprocess.run(["git", "-C", repo, "remote", "add", "a", "x"], check=True)
    subprocess.run(["git", "-C", repo, "remote", "add", "b", "y"], check=True)
    assert "a, b" in run("fetch", code=3).stderr
    assert run("fetch", "--", "--upload-pack=x", code=2).stdout == ""
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").write_text("")
    assert "isn't an empty folder" in run("clone", str(repo), str(tmp_path / "full"), code=4).stderr
    assert run("clone", str(tmp_path / "nothing"), code=3).stderr


def test_the_branch_names_the_remote(repo: Path, origin: Path, run: Run, tmp_path: Path) -> None:
    with mlgit.start_run():
        mlgit.log_param("a", 1)
    subprocess.run(["git", "-C", repo, "remote", "rename", "origin", "team"], check=True)
    result = json.loads(run("push", "--json").stdout)
    assert result["remote"] == "team" and len(result["pushed"]) == 1


def test_data_alone_needs_no_git_remote(repo: Path, run: Run, tmp_path: Path) -> None:
    (repo / "data").mkdir()
    (repo / "data" / "a.txt").write_text("a")
    storage(run, tmp_path)
    run("add", "data")
    result = run("push")
    assert "only data" in result.stderr and "Uploaded 2 objects" in result.stdout
    assert "Everything is at the remote already" in run("push").stdout
    subprocess.run(["rm", "-rf", repo / ".git" / "mlgit" / "objects"], check=True)
    assert "Downloaded 2 objects" in run("pull").stdout
    assert "git remote add" in run("fetch", code=3).stderr


def test_data_goes_along(
    repo: Path, origin: Path, run: Run, tmp_path: Path, data: Callable[..., Any]
) -> None:
    (repo / "big.bin").write_text("big")
    storage(run, tmp_path)
    run("add", "big.bin")
    subprocess.run(["git", "-C", repo, "add", "."], check=True)
    subprocess.run(["git", "-C", repo, "commit", "-qm", "data"], check=True)
    subprocess.run(["git", "-C", repo, "push", "-q"], check=True)
    with mlgit.start_run():
        mlgit.log_param("a", 1)
    assert data("push", "--json")["objects"]["objects"] == 1
    place = str(tmp_path / "copy")
    run("clone", "-q", str(origin), place)
    os.chdir(place)
    storage(run, tmp_path)
    # The run's code has a pointer: it is amended here, without the bytes, and pushed.
    run("runs", "tag", "@{0}", "seen=yes")
    assert len(data("push", "--json")["pushed"]) == 1
    assert data("pull", "--json")["objects"]["objects"] == 1
    run("checkout")
    assert Path("big.bin").read_text() == "big"
