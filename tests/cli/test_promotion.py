"""``mlgit promote``, ``demote``, ``rollback`` and ``registry check``, as people run them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from made import rules, version

import mlgit
from mlgit import MlgitClient

Run = Callable[..., Any]
NAME = "Ecommerce Model"


@pytest.fixture
def two(repo: Path) -> MlgitClient:
    """A model of two versions."""
    for accuracy in (0.93, 0.97):
        version(NAME, accuracy=accuracy)
    return MlgitClient()


def tags(repo: Path) -> list[str]:
    done = subprocess.run(["git", "tag"], cwd=repo, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def test_promote_says_what_it_found_and_did(two: MlgitClient, run: Run, repo: Path) -> None:
    done = run(
        "promote", f"{NAME}@v1", "--to", "production", "--require", "metrics.accuracy >= 0.9",
        "--better-than", "production", "--metric", "accuracy", "--require-clean",
        "--require-tests", "true", "--reason", "first",
    )  # fmt: skip
    lines = done.stdout.splitlines()
    assert lines[0] == "ok  require metrics.accuracy >= 0.9: metrics.accuracy is 0.93"
    assert lines[1].endswith("accuracy is 0.93; no version is Production yet to compare with")
    assert lines[2].startswith("ok  clean: the code is commit ")
    assert lines[3].startswith("ok  tests true: exit status 0 after ")
    assert lines[4] == "Version 1 of Ecommerce Model is in Production"
    assert "tag Ecommerce_x20Model#production#1" in done.stderr
    done = run("promote", NAME, "--to", "Production", "--archive-existing")
    assert done.stdout == "Version 2 of Ecommerce Model is in Production, where version 1 was\n"
    done = run("promote", NAME, "--to", "production")
    assert done.stdout == "Version 2 of Ecommerce Model is in Production already: nothing to do\n"
    assert run("promote", f"{NAME}@production", "--to", "champion").stdout == (
        "Version 2 of Ecommerce Model is champion\n"
    )
    assert run("promote", f"{NAME}@archived", "--to", "champion").stdout == (
        "Version 1 of Ecommerce Model is champion, which version 2 was\n"
    )


def test_a_refusal_says_which_and_by_what(two: MlgitClient, run: Run, repo: Path) -> None:
    before = tags(repo)
    asked = [
        "promote", f"{NAME}@1", "--to", "production", "--require", "metrics.accuracy >= 0.95",
        "--require", "params.lr = '1'", "--require-tests", "echo it fails; exit 3",
    ]  # fmt: skip
    done = run(*asked, code=4)
    assert done.stdout == ""
    assert "-- echo it fails; exit 3\nit fails\n" in done.stderr
    for text in (
        "Version 1 of Ecommerce Model can't be promoted to Production: 3 of 3 guards failed",
        "metrics.accuracy is 0.93, needs >= 0.95",
        "params.lr isn't there, needs = '1'",
        "tests echo it fails; exit 3: exit status 3",
        "hint: nothing was written",
    ):
        assert text in done.stderr
    found = json.loads(run(*asked, "--json", code=4).stdout)
    assert found["refused"] and [g["passed"] for g in found["guards"]] == [False] * 3
    assert found["guards"][2]["output"] == "it fails\n"
    run(*asked, "--dry-run", code=4)
    assert tags(repo) == before
    done = run(
        "promote", NAME, "--to", "production", "--require", "metrics.accuracy > 0.5", "--dry-run"
    )
    assert done.stdout.endswith(
        "Nothing was written. It would be so: version 2 of Ecommerce Model is in Production\n"
    )
    assert tags(repo) == before


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (
            "metrics.acuracy > 0.9",
            "metrics.acuracy isn't there, needs > 0.9 (did you mean 'accuracy'?)",
        ),
        ("params.learning_rat = '1'", "(did you mean 'learning_rate'?)"),
        ("metrics.f1 > 0", "metrics.f1 isn't there, needs > 0\n"),
    ],
)
def test_a_misspelled_name_in_a_guard(two: MlgitClient, run: Run, asked: str, said: str) -> None:
    two.log_param(two.get_model_version(NAME, 1).run_id, "learning_rate", 1)
    done = run("promote", f"{NAME}@1", "--to", "production", "--require", asked, code=4)
    assert said in done.stderr


def test_demote_and_rollback(two: MlgitClient, run: Run, data: Run, repo: Path) -> None:
    for number in (1, 2):
        run("promote", f"{NAME}@{number}", "--to", "production")
        run("promote", f"{NAME}@{number}", "--to", "champion")
    assert run("rollback", NAME, "production").stdout == (
        "Version 1 of Ecommerce Model is in Production, where version 2 was\n"
    )
    done = run("rollback", NAME, "production", code=4)
    assert "before version 1" in done.stderr
    assert "mlgit models history 'Ecommerce Model'" in done.stderr
    found = data("rollback", NAME, "champion", "--dry-run", "--json")
    assert (found["alias"], found["version"], found["tags"]) == ("champion", 1, [])
    assert run("demote", f"{NAME}@champion").stdout == (
        "Version 2 of Ecommerce Model is champion no more\n"
    )
    done = run("demote", f"{NAME}@champion", code=4)
    assert "No version of Ecommerce Model is champion" in done.stderr
    assert "version 1 is Production" in done.stderr
    assert run("demote", NAME, "--from", "PRODUCTION", "--reason", "old").stdout == (
        "Version 1 of Ecommerce Model is in Production no more\n"
    )
    assert "version 2 of" in run("demote", NAME, code=4).stderr.lower()
    run("promote", f"{NAME}@1", "--to", "staging")
    run("demote", f"{NAME}@v1")
    assert two.get_model_version(NAME, 1).current_stage == "None"


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        (["promote", NAME], 2, "--to"),
        (["promote", "Ecomerce Model", "--to", "x"], 3, "did you mean 'Ecommerce Model'"),
        (["promote", f"{NAME}@9", "--to", "x"], 3, "version=9"),
        (["promote", f"{NAME}@nobody", "--to", "x"], 2, "nobody not found"),
        (["promote", NAME, "--to", "latest"], 2, "reserved"),
        (["promote", NAME, "--to", "a b"], 2, "may hold letters"),
        (["promote", NAME, "--to", "x", "--metric", "a"], 2, "--better-than"),
        (["promote", NAME, "--to", "x", "--better-than", "y"], 2, "--metric"),
        (["promote", NAME, "--to", "x", "--better-than", "y", "--metric", "a", "--min-delta", "-1"], 2, "from 0"),
        (["promote", NAME, "--to", "x", "--require", "metrics.a >"], 2, "^"),
        (["promote", NAME, "--to", "x", "--require", ""], 2, "empty"),
        (["promote", NAME, "--to", "x", "--require-tests", ""], 2, "empty"),
        (["promote", NAME, "--to", "x", "--archive-existing"], 2, "alias"),
        (["rollback", NAME, "production"], 4, "No version"),
        (["demote", NAME], 4, "no stage and no alias"),
        (["registry", "check", "x", "--all"], 2, "either"),
        (["registry", "check", "--json", "--md"], 2, "together"),
        (["registry", "check", "--rules-from", "nowhere"], 3, "nowhere"),
        (["registry", "check", "--rules-from", "worktree"], 2, "no commit"),
    ],
)  # fmt: skip
def test_what_cannot_be(
    args: list[str], code: int, message: str, two: MlgitClient, run: Run, repo: Path
) -> None:
    before = tags(repo)
    assert message in run(*args, code=code).stderr
    assert tags(repo) == before


def commit(repo: Path, message: str) -> None:
    for args in (["add", "."], ["commit", "-q", "-m", message]):
        subprocess.run(["git", *args], cwd=repo, check=True)


@pytest.mark.parametrize(
    ("meant", "hint"),
    [
        (f"models:/{NAME}/2", f"did you mean '{NAME}@v2'?"),
        (f"{NAME}/Production", f"did you mean '{NAME}@production'?"),
        ("Ecomerce Model@v2", f"did you mean '{NAME}'?"),
        (f"{NAME}@v7", f"mlgit models show '{NAME}' lists its versions"),
        ("quite else", "mlgit models list lists them"),
    ],
)
def test_a_version_that_is_not_there_leads_to_one(
    two: MlgitClient, run: Run, meant: str, hint: str
) -> None:
    assert hint in run("promote", meant, "--to", "staging", code=3).stderr


def test_check_by_the_rules_of_a_commit(two: MlgitClient, run: Run, data: Run, repo: Path) -> None:
    # A file that isn't committed yet doesn't count, and isn't taken for one that does.
    assert run("registry", "check").stdout.endswith(", which has no rules: no problems\n")
    rules(repo, f'"{NAME}":\n  production:\n    require: metrics.accuracy >= 0.95')
    done = run("promote", f"{NAME}@1", "--to", "production", code=4)
    assert "the rules are in .mlgit/config.yaml" in done.stderr
    commit(repo, "rules")
    two.transition_model_version_stage(NAME, 1, "Production")
    tag = "Ecommerce_x20Model#production#1"
    done = run("registry", "check", tag, code=1)
    assert done.stdout.startswith(
        f"{tag}: require metrics.accuracy >= 0.95: metrics.accuracy is 0.93, needs >= 0.95\n"
        "Checked 1 tag against .mlgit/config.yaml of "
    )
    # A branch can't weaken what it is judged by.
    subprocess.run(["git", "switch", "-q", "-c", "mine"], cwd=repo, check=True)
    rules(repo, f'"{NAME}":\n  production:\n    require: metrics.accuracy >= 0.5')
    commit(repo, "weaker")
    run("registry", "check", f"refs/tags/{tag}")
    found = data("registry", "check", tag, "--rules-from", "main", "--json", code=1)
    assert found["ok"] is False and found["tags"] == 1
    assert found["findings"] == [
        {
            "tag": tag,
            "guard": "require metrics.accuracy >= 0.95",
            "problem": "metrics.accuracy is 0.93, needs >= 0.95",
        }
    ]
    shown = run("registry", "check", "--rules-from", "main", "--all", "--md", code=1).stdout
    assert shown.splitlines()[0].startswith("| tag ")
    assert "metrics.accuracy &gt;= 0.95" in shown
    subprocess.run(["git", "tag", "-a", "-m", "x", "v1.0.0"], cwd=repo, check=True)
    done = run("registry", "check", "v1.0.0")
    assert done.stderr == "v1.0.0 isn't a tag of the registry\n"
    assert "no such tag" in run("registry", "check", "m#x#1", code=1).stdout


def test_check_with_broken_rules(two: MlgitClient, run: Run, repo: Path) -> None:
    rules(repo, "m:\n  production:\n    requires: x")
    commit(repo, "broken")
    done = run("registry", "check", code=5)
    assert "promotion.m.production has no key 'requires'" in done.stderr
    assert "did you mean 'require'?" in done.stderr
    run("promote", NAME, "--to", "x", code=5)


def test_ctrl_c_while_tests_run(two: MlgitClient, repo: Path) -> None:
    command = [sys.executable, "-m", "mlgit", "promote", NAME, "--to", "production",
               "--require-tests", "trap '' INT; touch begun; sleep 1000"]  # fmt: skip
    env = {**os.environ, "PYTHONPATH": str(Path(mlgit.__file__).parents[1])}
    process = subprocess.Popen(command, cwd=repo, env=env, stderr=subprocess.PIPE, text=True)
    while not (repo / "begun").exists():
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=60)[1]
    assert process.returncode in (130, -signal.SIGINT), said
    assert "Traceback" not in said
    assert not any("production" in tag for tag in tags(repo))


def test_in_a_bare_repository(two: MlgitClient, run: Run, repo: Path, tmp_path: Path) -> None:
    rules(repo, '"*":\n  x:\n    require: metrics.accuracy > 0.95')
    commit(repo, "rules")
    bare = tmp_path / "bare.git"
    subprocess.run(["git", "clone", "-q", "--mirror", repo, bare], check=True)
    at = ("--tracking-uri", str(bare))
    assert "needs > 0.95" in run(*at, "promote", f"{NAME}@1", "--to", "x", code=4).stderr
    assert run(*at, "promote", NAME, "--to", "x").stdout.endswith("is x\n")
    done = run(*at, "promote", NAME, "--to", "y", "--require-tests", "true", code=4)
    assert "no worktree" in done.stderr
    assert run(*at, "registry", "check").stdout.endswith("no problems\n")


def test_a_loss_is_better_when_it_is_lower(run, repo: Path) -> None:
    for loss in (0.2, 0.4):
        with mlgit.start_run():
            mlgit.log_metric("val_loss", loss)
            mlgit.pyfunc.log_model(
                "model", python_model=str.upper, pip_requirements=[], registered_model_name="cancer"
            )
    run("promote", "cancer@1", "--to", "champion")
    better = ["--better-than", "champion", "--metric", "val_loss", "--dry-run"]
    refused = run("promote", "cancer@2", "--to", "next", *better, code=4).stderr
    assert "val_loss is 0.4" in refused and "needs to be lower" in refused
    run("promote", "cancer@2", "--to", "next", *better, "--higher-is-better")
    (repo / ".mlgit").mkdir(exist_ok=True)
    (repo / ".mlgit/config.yaml").write_text("format: 1\nmetrics: {val_loss: higher}\n")
    run("promote", "cancer@2", "--to", "next", *better)


@pytest.mark.parametrize("stage", ["productoin", "Stagng"])
def test_a_misspelled_stage_is_no_alias(run, repo: Path, stage: str) -> None:
    with mlgit.start_run():
        mlgit.pyfunc.log_model(
            "model", python_model=str.upper, pip_requirements=[], registered_model_name="cancer"
        )
    error = run("promote", "cancer", "--to", stage, code=2).stderr
    assert "no stage" in error and "did you mean" in error
    mlgit.MlgitClient().set_registered_model_alias("cancer", stage, 1)
    run("promote", "cancer", "--to", stage)
