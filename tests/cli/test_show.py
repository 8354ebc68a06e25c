"""``mlgit show``."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import mlgit

ARTIFACT_KEYS = {"path", "is_dir", "file_size", "files"}


def test_text(run, three):
    text = run("show", "beta").stdout
    head = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True)
    for part in ("beta", three[1], "FINISHED", head.stdout.strip(), "notes/", "c.json", "lr"):
        assert part in text
    row = next(line.split() for line in text.splitlines() if line.split()[:1] == ["loss"])
    assert row == ["loss", "1.5", "7", "2"]


def test_the_named_commit_can_be_checked_out(run, three):
    text = run("show", "beta").stdout
    command = next(line.split()[:5] for line in text.splitlines() if "git worktree add" in line)
    subprocess.run([*command, "--quiet"], check=True)
    assert (Path(command[3]) / "train.py").exists() or list(Path(command[3]).iterdir())


def test_json(data, three):
    found = data("show", three[0][:6], "--json")
    assert found["run_name"] == "alpha"
    assert found["ref"] == f"refs/mlgit/runs/0/{three[0]}"
    point = found["metric_points"]["loss"]
    assert (point["value"], point["step"], point["points"]) == (0.5, 7, 2)
    assert all(set(a) == ARTIFACT_KEYS for a in found["artifacts"])


def test_markdown(run, three):
    text = run("show", "beta", "--md").stdout
    assert text.startswith("## beta\n") and "### metrics" in text


def test_newest_by_default(data, three):
    assert data("show", "--json")["run_name"] == "gamma"
    assert data("show", "@{2}", "--json")["run_name"] == "alpha"
    assert data("show", f"refs/mlgit/runs/0/{three[1]}", "--json")["run_name"] == "beta"


def test_a_going_run(data, repo):
    with mlgit.start_run(run_name="going"):
        mlgit.log_metric("loss", float("nan"), step=3)
        found = data("show", "going", "--json")
    assert found["status"] == "RUNNING" and found["commit"] is None
    assert found["metric_points"]["loss"]["value"] == "NaN"
    assert found["metric_points"]["loss"]["step"] == 3


def test_ambiguous_names_are_listed(run, three):
    run("runs", "rename", "beta", "alpha")
    error = run("show", "alpha", code=2).stderr
    assert three[0] in error and three[1] in error and "hint: " in error


def test_a_name_that_is_also_the_beginning_of_an_id(run, three):
    run("runs", "rename", three[0], three[1][:8])
    assert three[0] in run("show", three[1][:8]).stdout
    assert three[1] in run("show", three[1][:9]).stdout
    run("runs", "rename", three[0], three[1])
    assert run("show", three[1]).stdout.startswith("beta")


def test_nobody_is_meant(run, three):
    for text in ("nope", "@{9}", "@{99999999999999999999}", "a\udc80"):
        assert run("show", text, code=3).stderr.startswith("error: ")
    assert "empty" in run("show", "", code=2).stderr


def test_what_is_printed_cant_drive_the_terminal(run, repo):
    evil = "\x1b]0;owned\x07\x9b31m\u202egpj\nname"
    with mlgit.start_run(run_name=evil, description=evil):
        mlgit.log_param("p", evil)
    for command in (["log"], ["show"], ["show", "--md"], ["log", "--md"], ["runs", "list"],
                    ["log", "--json"], ["show", "--json"]):  # fmt: skip
        text = run(*command).stdout
        assert not set(text) & {"\x1b", "\x07", "\x9b", "\u202e"}, command
    assert "\\x1b]0;owned\\x07" in run("log").stdout


def test_a_name_that_is_used_again_after_a_deletion(run, data, three):
    run("runs", "rename", "beta", "alpha")
    run("runs", "delete", three[0])
    assert data("show", "alpha", "--json")["run_id"] == three[1]


def test_no_runs_yet(run, repo):
    assert "no runs yet" in run("show", code=3).stderr


def test_models_and_long_tags(run, data, repo):
    with mlgit.start_run(run_name="r"):
        said = [{"artifact_path": "m", "flavors": {"sklearn": {}, "python_function": {}}}]
        mlgit.set_tag("mlflow.log-model.history", json.dumps(said))
        mlgit.set_tag("long", "x" * 3000)
    text = run("show", "r").stdout
    assert "m     python_function, sklearn" in text and "artifact_path" not in text
    assert "x" * 199 + "…" in text and "x" * 200 not in text
    assert data("show", "r", "--json")["tags"]["long"] == "x" * 3000
