"""``mlgit init``, ``status``, ``fsck``, ``reindex``."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

import mlgit
from mlgit.tracking import uri


def test_init(run, tmp_path: Path):
    assert "Made a Git repository" in run("init", str(tmp_path / "new")).stdout
    assert (tmp_path / "new/.git").is_dir()
    config = (tmp_path / "new/.git/config").read_bytes()
    assert "nothing was changed" in run("init", str(tmp_path / "new")).stdout
    assert (tmp_path / "new/.git/config").read_bytes() == config
    assert "bare" in run("init", "--bare", str(tmp_path / "bare")).stdout
    run("init", "--bare", str(tmp_path / "new"), code=4)


def test_status(run, data, three):
    found = data("status", "--json")
    assert found["experiment"] == "Default" and found["runs"] == 3
    assert found["going"] == [] and found["problems"] == [] and found["recovered"] == []
    assert "3 runs" in run("status").stdout


def test_status_of_a_branch_makes_no_experiment(run, data, repo):
    subprocess.run(["git", "checkout", "-q", "-b", "idea"], check=True)
    found = data("status", "--json")
    assert (found["experiment"], found["experiment_exists"]) == ("idea", False)
    assert "it will be made" in run("status").stdout
    assert mlgit.get_experiment_by_name("idea") is None


def test_status_shows_going_runs(run, data, repo):
    with mlgit.start_run(run_name="going"):
        found = data("status", "--json")["going"]
        assert "going" in run("status").stdout
    assert found[0]["run_name"] == "going"
    assert found[0]["writers"][0]["pid"] == os.getpid()


def test_status_recovers_and_says_so(data, spawn, repo):
    spawn(
        python="import mlgit, os; r = mlgit.start_run(run_name='lost'); "
        "mlgit.log_metric('a', 1); os._exit(9)"
    )
    assert data("status", "--json")["recovered"][0]["run_name"] == "lost"
    assert data("show", "lost", "--json")["status"] == "FAILED"
    assert data("status", "--json")["recovered"] == []


def test_reindex(run, three):
    assert run("reindex").stdout == "Indexed 3 runs\n"


def test_fsck_of_a_sound_repository(run, data, three):
    found = data("fsck", "--json")
    assert found["problems"] == []
    assert found["counts"]["runs"] == 3 and found["counts"]["objects"] > 0
    assert "no problems" in run("fsck").stdout
    assert data("fsck", "--no-objects", "--json")["counts"]["objects"] == 0


def _problems(data) -> str:
    found = data("fsck", "--json", code=1)["problems"]
    assert all(set(p) == {"where", "message", "hint"} for p in found)
    return " ".join(f"{p['where']} {p['message']} {p['hint']}" for p in found)


@pytest.mark.parametrize("damage", ["change", "remove"])
def test_fsck_finds_damaged_objects(run, data, three, damage):
    store = uri.store_for()
    path = Path(store.objects.path(store.artifact(three[0], "notes/a.txt").sha256))
    path.chmod(0o644)
    path.write_text("HELLO") if damage == "change" else path.unlink()
    assert "notes/a.txt" in _problems(data)
    assert run("fsck", code=1).stdout.count("hint:") >= 3
    run("fsck", "--no-objects")


def test_fsck_finds_what_isnt_a_run(run, data, repo):
    subprocess.run(["git", "update-ref", f"refs/mlgit/runs/0/{'a' * 32}", "HEAD"], check=True)
    subprocess.run(["git", "update-ref", "refs/mlgit/runs/0/b/c", "HEAD"], check=True)
    text = _problems(data)
    assert "a" * 32 in text and "refs/mlgit/runs/0/b/c" in text
    assert data("status", "--json")["problems"]


def test_fsck_finds_damaged_refs(data, three, repo):
    (repo / f".git/refs/mlgit/runs/0/{three[0]}").write_bytes(b"\0" * 41)
    assert three[0] in _problems(data)


def test_fsck_finds_damaged_journals(data, repo):
    with mlgit.start_run() as run:
        mlgit.log_metric("a", 1)
        folder = repo / f".git/mlgit/journal/{run.info.run_id}"
        path = next(folder.glob("*.jnl"))
        with path.open("ab") as f:
            f.write(b"garbage\nmore\n")
        assert "2 of its lines" in _problems(data)


def test_fsck_finds_an_index_that_is_wrong(run, data, three):
    connection = uri.store_for().index.connection()
    connection.execute("UPDATE metrics SET value=99")
    assert "reindex" in _problems(data)
    run("reindex")
    run("fsck")


def test_fsck_and_log_go_on_with_a_record_of_tomorrow(run, data, three, repo):
    def git(*args: str, **kwargs) -> str:
        return subprocess.run(
            ["git", *args], check=True, capture_output=True, text=True, **kwargs
        ).stdout.strip()

    ref = f"refs/mlgit/runs/0/{three[0]}"
    env = {**os.environ, "GIT_INDEX_FILE": str(repo / "other-index")}
    path = ".mlgit/experiments/Default/run.yaml"
    git("read-tree", ref, env=env)
    text = git("show", f"{ref}:{path}").replace("format: 1", "format: 99")
    blob = git("hash-object", "-w", "--stdin", input=text)
    git("update-index", "--cacheinfo", f"100644,{blob},{path}", env=env)
    tree = git("write-tree", env=env)
    message = git("log", "-1", "--format=%B", ref)
    git("update-ref", ref, git("commit-tree", tree, "-p", ref, "-m", message))
    assert "99" in _problems(data)
    assert [r["run_name"] for r in data("log", "--json")][:2] == ["gamma", "beta"]
    run("show", three[0], code=6)


def test_status_names_runs_that_are_not_pushed(run, data, three, repo):
    assert data("status", "--json")["unpushed"] == []
    subprocess.run(["git", "remote", "add", "origin", "/nowhere"], check=True)
    found = data("status", "--json")["unpushed"]
    assert {(u["remote"], u["run_id"]) for u in found} == {("origin", r) for r in three}
    assert "not pushed to origin" in run("status").stdout
