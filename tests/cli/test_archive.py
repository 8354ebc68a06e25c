"""``mlgit archive``."""

from __future__ import annotations

import subprocess

import mlgit
from mlgit.tracking import uri


def _run_refs() -> list[str]:
    return sorted(r.rsplit("/", 1)[-1] for r in uri.store_for().repo.refs.items("refs/mlgit/runs/"))


def test_archive_all(run, data, three):
    shown = data("show", three[1], "--json")
    assert run("archive", "--dry-run").stdout.splitlines() == [
        "Would fold 2 runs of Default into refs/mlgit/archive/0",
        f"Would fold 1 run of other into refs/mlgit/archive/{mlgit.get_run(three[2]).info.experiment_id}",
    ]
    assert _run_refs() == sorted(three)
    assert "Folded 2 runs of Default into refs/mlgit/archive/0" in run("archive").stdout
    assert _run_refs() == []
    assert run("archive").stdout == "No runs to fold\n"
    assert data("archive", "--json") == {
        "dry_run": False,
        "runs": 0,
        "refs_removed": 0,
        "experiments": [],
    }
    assert data("show", three[1], "--json") == shown
    assert run("reindex").stdout == "Indexed 3 runs\n"
    assert data("fsck", "--json")["counts"]["archives"] == 2
    assert [r["run_name"] for r in data("log", "--json")] == ["gamma", "beta", "alpha"]
    assert [r["run_name"] for r in data("search", "params.lr = '1'", "--json")] == ["beta"]


def test_archived_runs_are_named_as_others(run, data, three):
    run("archive")
    names = ("@{2}", three[0][:10], "alpha", f"refs/mlgit/runs/0/{three[0]}", three[0])
    for name in names:
        assert data("show", name, "--json")["run_id"] == three[0]
        assert data("diff", name, "beta", "--json")
    run("runs", "rename", "@{2}", "first")
    run("runs", "delete", "first")
    assert _run_refs() == [three[0]]
    assert len(data("log", "--json")) == 2
    run("runs", "restore", three[0])
    assert data("archive", "--json")["runs"] == 1
    assert data("show", "first", "--json")["run_id"] == three[0]
    assert run("artifacts", "list", "first").stdout


def test_archive_one_experiment(run, data, three):
    [folded] = data("archive", "--experiment", "other", "--json")["experiments"]
    assert (folded["experiment"], folded["runs"], folded["left_apart"]) == ("other", 1, [])
    head = subprocess.run(
        ["git", "rev-parse", folded["ref"]], capture_output=True, text=True, check=True
    )
    assert head.stdout.strip() == folded["commit"]
    assert _run_refs() == sorted(three[:2])
    run("archive", "--experiment", "nosuch", code=3)
    run("archive", "--experiment", "other", "--experiment", "Default")
    assert _run_refs() == []


def test_archive_old_runs(run, three):
    assert run("archive", "--older-than", "1").stdout == "No runs to fold\n"
    assert "Folded" in run("archive", "--older-than", "0").stdout
    run("archive", "--older-than", "-1", code=2)
    run("archive", "--older-than", "soon", code=2)


def test_archive_of_nothing(run, repo):
    assert run("archive").stdout == "No runs to fold\n"
    assert run("-q", "archive").stdout == ""
