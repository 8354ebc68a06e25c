"""``mlgit runs``: changing runs."""

from __future__ import annotations

import mlgit


def test_rename(run, data, three):
    run("runs", "rename", "alpha", "better name")
    assert data("show", "better name", "--json")["run_id"] == three[0]
    run("runs", "rename", "beta", " ", code=2)


def test_delete_and_restore(run, three):
    assert run("runs", "delete", "alpha", three[1][:8]).stdout.count("Deleted run") == 2
    assert mlgit.get_run(three[0]).info.lifecycle_stage == "deleted"
    assert "already" in run("runs", "delete", "--run-id", three[0]).stdout
    assert "Restored" in run("runs", "restore", "--run-id", three[0]).stdout
    assert mlgit.get_run(three[0]).info.lifecycle_stage == "active"


def test_a_mistyped_run_deletes_nothing(run, three):
    run("runs", "delete", "alpha", "nope", code=3)
    assert mlgit.get_run(three[0]).info.lifecycle_stage == "active"


def test_run_given_twice_or_not_at_all(run, three):
    run("runs", "delete", code=2)
    run("runs", "delete", "alpha", "--run-id", three[1], code=2)


def test_tag(run, three):
    run("runs", "tag", "alpha", "team=vision", "formula=a=b")
    tags = mlgit.get_run(three[0]).data.tags
    assert (tags["team"], tags["formula"]) == ("vision", "a=b")
    run("runs", "tag", "alpha", "--remove", "team")
    assert "team" not in mlgit.get_run(three[0]).data.tags
    run("runs", "tag", "alpha", "--remove", "team", code=3)
    run("runs", "tag", "alpha", "novalue", code=2)
    run("runs", "tag", "alpha", code=2)


def test_tag_of_a_going_run(run, repo):
    with mlgit.start_run(run_name="going") as going:
        run("runs", "tag", "going", "late=yes")
    assert mlgit.get_run(going.info.run_id).data.tags["late"] == "yes"


def test_describe_prints_mlflows_json(data, three):
    found = data("runs", "describe", "--run-id", three[0])
    assert set(found) >= {"info", "data", "inputs"}
    assert found["info"]["run_id"] == three[0]
    assert found["data"]["params"]["lr"] == "0"


def test_show_is_show(run, three):
    assert run("runs", "show", "alpha", "--json").stdout == run("show", "alpha", "--json").stdout


def test_quiet_says_nothing(run, three):
    assert run("-q", "runs", "delete", "alpha").output == ""
