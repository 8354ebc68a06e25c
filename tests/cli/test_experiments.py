"""``mlgit experiments``."""

from __future__ import annotations

import mlgit

KEYS = {
    "experiment_id", "name", "artifact_location", "lifecycle_stage", "creation_time",
    "creation_time_ms", "last_update_time", "last_update_time_ms", "tags", "runs",
}  # fmt: skip


def test_list(run, data, three):
    found = data("experiments", "list", "--json")
    assert all(set(e) == KEYS for e in found)
    assert {e["name"]: e["runs"] for e in found} == {"Default": 2, "other": 1}
    assert "other" in run("experiments", "list").stdout


def test_search(data, three):
    assert [e["name"] for e in data("experiments", "search", "name = 'other'", "--json")] == [
        "other"
    ]
    assert len(data("experiments", "search", "--view", "all", "--json")) == 2


def test_create_both_ways(run, repo):
    assert "Created experiment 'one' with id" in run("experiments", "create", "one").stdout
    run("experiments", "create", "-n", "two", "-l", "s3://bucket/two")
    assert mlgit.get_experiment_by_name("two").artifact_location == "s3://bucket/two"
    made = run("-q", "experiments", "create", "three").stdout.strip()
    assert mlgit.get_experiment(made).name == "three"
    assert "already exists" in run("experiments", "create", "one", code=4).stderr
    run("experiments", "create", code=2)


def test_show(run, data, three):
    assert data("experiments", "show", "other", "--json")["runs"] == 1
    assert "other" in run("experiments", "show", "1").stdout
    error = run("experiments", "show", "othr", code=3).stderr
    assert "did you mean 'other'?" in error


def test_rename_both_ways(run, three):
    run("experiments", "rename", "other", "another")
    run("experiments", "rename", "--experiment-id", "1", "--new-name", "third")
    assert mlgit.get_experiment_by_name("third") is not None
    run("experiments", "rename", "third", code=2)
    run("experiments", "rename", "third", "Default", code=4)


def test_delete_and_restore(run, data, three):
    run("experiments", "delete", "-x", "1")
    assert "already" in run("experiments", "delete", "other").stdout
    assert [e["name"] for e in data("experiments", "list", "-v", "deleted_only", "--json")] == [
        "other"
    ]
    run("experiments", "restore", "other")
    assert mlgit.get_experiment_by_name("other").lifecycle_stage == "active"
    run("experiments", "delete", "Default", code=2)


def test_a_name_of_digits(run, data, three):
    made = run("-q", "experiments", "create", "1").stdout.strip()
    assert data("experiments", "show", "1", "--json")["experiment_id"] == made
    run("experiments", "delete", "--experiment-id", "1")
    assert mlgit.get_experiment_by_name("other").lifecycle_stage == "deleted"
