"""``mlgit log``, ``search`` and ``runs list``."""

from __future__ import annotations

import pytest

import mlgit
from mlgit.cli import columns
from mlgit.cli.output import Output

RUN_KEYS = {
    "run_id", "run_name", "experiment_id", "experiment", "status", "lifecycle_stage", "user",
    "start_time", "start_time_ms", "end_time", "end_time_ms", "artifact_uri", "metrics",
    "params", "tags", "datasets",
}  # fmt: skip


def names(found):
    return [r["run_name"] for r in found]


def test_newest_first(run, three):
    lines = run("log").stdout.splitlines()
    assert lines[0].split() == ["id", "name", "experiment", "status", "started", "loss", "lr"]
    assert [line.split()[1] for line in lines[1:]] == ["gamma", "beta", "alpha"]
    assert lines[1].split()[0] == three[2][:8]


def test_json_has_stable_keys(data, three):
    found = data("log", "--json")
    assert all(set(r) == RUN_KEYS for r in found)
    assert found[0]["metrics"] == {"loss": 2.5}
    assert found[0]["start_time"].endswith("Z") and found[0]["start_time_ms"] > 1e12


def test_limits_and_experiments(data, three):
    assert names(data("log", "-n", "1", "--json")) == ["gamma"]
    assert names(data("log", "--experiment", "other", "--json")) == ["gamma"]
    assert names(data("log", "-e", "0", "-e", "other", "--json")) == ["gamma", "beta", "alpha"]
    assert names(data("log", "-e", "1", "--json")) == ["gamma"]


def test_twenty_unless_all(data, repo):
    client = mlgit.MlflowClient()
    for _ in range(22):
        client.set_terminated(client.create_run("0").info.run_id)
    assert len(data("log", "--json")) == 20
    assert len(data("log", "--all", "--json")) == 22
    assert len(data("log", "--all", "-n", "3", "--json")) == 3


def test_all_shows_deleted(run, data, three):
    run("runs", "delete", "beta")
    assert names(data("log", "--json")) == ["gamma", "alpha"]
    assert "FINISHED (deleted)" in run("log", "--all").stdout


def test_filter_order_and_search(data, three):
    assert names(data("search", "metrics.loss < 2", "--json")) == ["beta", "alpha"]
    assert names(data("log", "--filter", "params.lr = '0'", "--json")) == ["alpha"]
    assert names(data("log", "--order-by", "metrics.loss ASC", "--json"))[0] == "alpha"


def test_columns(run, three):
    text = run("log", "--columns", "name,metrics.*", "--columns", "params.lr").stdout
    assert text.splitlines()[0].split() == ["name", "loss", "lr"]
    assert "there is no column 'nope'" in run("log", "--columns", "nope", code=2).stderr


def test_markdown(run, repo):
    with mlgit.start_run(run_name="a|b<script>_x_ c_d"):
        pass
    text = run("log", "--md", "--columns", "name").stdout
    assert r"a\|b&lt;script&gt;\_x\_ c_d" in text
    assert text.splitlines()[1].startswith("|-")


def test_columns_fit_the_terminal(three, monkeypatch):
    out = Output("never", pager=False)
    monkeypatch.setattr(out, "columns", lambda: 50)
    runs = mlgit.MlflowClient().search_runs(["0"])
    rows = [columns.Row(r, "Default") for r in runs]
    chosen, always = columns.default(rows)
    text, hidden = columns.text_table(chosen, rows, out, always)
    assert hidden >= 1
    assert max(map(len, text.splitlines())) <= 50


def test_bad_filter_points_at_the_place(run, three):
    error = run("search", "metrics.loss <<", code=2).stderr
    assert error.startswith("error: ") and "^" in error


def test_runs_list_as_mlflow(run, data, three):
    text = run("runs", "list", "--experiment-id", "1").stdout
    assert three[2] in text and three[0] not in text
    assert names(data("runs", "list", "--experiment-name", "other", "--json")) == ["gamma"]
    run("runs", "delete", "--run-id", three[0])
    assert names(data("runs", "list", "--view", "deleted_only", "--json")) == ["alpha"]
    assert len(data("runs", "list", "-v", "all", "--json")) == 3
    assert "No experiment" in run("runs", "list", "--experiment-id", "77", code=3).stderr


@pytest.mark.parametrize("command", [("log",), ("runs", "list")])
def test_no_runs(run, repo, command):
    result = run(*command)
    assert result.stdout == "" and result.stderr == "No runs\n"
    assert run(*command, "--json").stdout == "[]\n"


def test_a_number_alone_is_a_limit_as_in_git(data, three):
    assert names(data("log", "-2", "--json")) == ["gamma", "beta"]
    assert names(data("search", "-1", "metrics.loss > 0", "--json")) == ["gamma"]


def test_more_runs_than_are_listed_are_told(run, three, monkeypatch):
    monkeypatch.setattr("mlgit.cli.log._LIMIT", 2)
    done = run("log")
    assert len(done.stdout.splitlines()) == 3 and "first 2 runs" in done.stderr
    assert run("log", "-n", "2").stderr == run("-q", "log").stderr == ""
