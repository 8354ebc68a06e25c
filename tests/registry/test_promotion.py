"""Promoting: guards that hold or don't, what is written, and who was faster."""

from __future__ import annotations

import math
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made import rules, version

import mlgit
from mlgit import MlgitClient
from mlgit.exceptions import (
    FilterError,
    InvalidParameterValue,
    InvalidState,
    MlgitException,
    PromotionRefused,
    ResourceDoesNotExist,
)
from mlgit.registry.guards import BetterThan, Guards, Result
from mlgit.registry.promotion import check_promotion, demote, promote, rollback
from mlgit.tracking.registered import registry_for

Git = Callable[..., str]


def refused(number: int, to: str = "production", **asked: object) -> list[str]:
    """What is said of each guard that failed."""
    with pytest.raises(PromotionRefused) as caught:
        promote(registry_for(), "m", number, to, guards=Guards(**asked))  # type: ignore[arg-type]
    results: list[Result] = caught.value.guards  # type: ignore[assignment]
    failed = [result.found for result in results if result.passed is False]
    assert all(text in caught.value.message for text in failed)
    return failed


def recorded(tag: str) -> list[dict[str, object]]:
    (event,) = [e for e in registry_for().history("m") if e.tag == tag]
    found: list[dict[str, object]] = event.message.get("guards", [])
    return found


# -- guards


def test_what_is_required(client: MlgitClient) -> None:
    version(accuracy=0.93, loss=math.nan, params={"depth": "3", "note": "x" * 400})
    asked = (
        "metrics.accuracy >= 0.9 AND params.depth = '3'",
        "metrics.accuracy > 5 OR attributes.status = 'FINISHED'",
        "NOT tags.team = 'x'",
        "params.note LIKE 'x%'",
    )
    done = promote(registry_for(), "m", 1, "Production", guards=Guards(asked), reason="good")
    assert done.tags == ["m#production#1"] and not done.refused
    assert client.get_model_version("m", 1).current_stage == "Production"
    assert [entry["figures"] for entry in recorded("m#production#1")] == [
        {"metrics.accuracy": 0.93, "params.depth": "3"},
        {"metrics.accuracy": 0.93, "attributes.status": "FINISHED"},
        {"tags.team": None},
        {"params.note": "x" * 199 + "…"},
    ]
    assert refused(1, require=("metrics.accuracy >= 0.95 AND params.depth > 2",)) == [
        "metrics.accuracy is 0.93, needs >= 0.95; params.depth is '3'"
    ]
    assert refused(1, require=("metrics.f1 > 0.5", "metrics.loss < 1", "params.depth IS NULL")) == [
        "metrics.f1 isn't there, needs > 0.5",
        "metrics.loss is NaN, needs < 1",
        "params.depth is '3', needs IS NULL",
    ]
    assert refused(1, require=("metrics.accuracy > 1 OR (params.depth > 5 AND tags.a = 'b')",)) == [
        "metrics.accuracy is 0.93, params.depth is '3', tags.a isn't there, needs "
        "metrics.accuracy > 1 OR (params.depth > 5 AND tags.a = 'b')"
    ]


def test_better_than_who_holds_it(client: MlgitClient) -> None:
    for accuracy in (0.949, 0.95, 0.9, math.nan):
        version(accuracy=accuracy, loss=1 - accuracy, size=math.inf)
    better = BetterThan("PRODUCTION", "accuracy", 0.001)
    first = promote(registry_for(), "m", 1, "production", guards=Guards(better_than=(better,)))
    assert "no version is Production yet" in first.guards[0].found
    # As decimals: 0.95 - 0.949 is a little less than 0.001 in floats.
    promote(registry_for(), "m", 2, "production", guards=Guards(better_than=(better,)))
    assert recorded("m#production#2")[0]["figures"] == {"value": 0.95, "held": 0.949, "held_by": 1}
    assert refused(1, better_than=(BetterThan("production", "accuracy"),)) == [
        "accuracy is 0.949, version 2 (Production) has 0.95, needs to be higher"
    ]
    assert refused(3, better_than=(BetterThan("production", "loss", 0.5, True),)) == [
        "loss is 0.09999999999999998, version 2 (Production) has 0.050000000000000044, needs to be "
        "at least 0.5 lower"
    ]
    asked = [BetterThan("production", m) for m in ("size", "f1", "acuracy")]
    found = refused(3, better_than=tuple(asked))
    assert "size is infinity, version 2 (Production) has infinity" in found[0]
    assert found[1].endswith("has no metric 'f1'")
    assert found[2].endswith("has no metric 'acuracy' (did you mean 'accuracy'?)")
    (nan,) = refused(4, better_than=(BetterThan("production", "accuracy"),))
    assert "NaN" in nan and "version 4" in nan
    promote(registry_for(), "m", 4, "staging")
    (nan,) = refused(1, "staging", better_than=(BetterThan("staging", "accuracy"),))
    assert "NaN" in nan and "version 4" in nan
    # A name that is a stage's counts for an alias, too, where nobody is in the stage.
    client.set_registered_model_alias("m", "archived", 2)
    assert "version 2" in refused(1, better_than=(BetterThan("archived", "accuracy"),))[0]


@given(st.floats(allow_nan=False), st.floats(allow_nan=False))
def test_of_two_figures_one_is_better(a: float, b: float) -> None:
    from mlgit.registry.guards import _gain

    for lower in (False, True):
        there, back = _gain(a, b, lower), _gain(b, a, lower)
        assert (there > 0) == ((a < b) if lower else (a > b))
        assert (there > 0) + (back > 0) == (a != b)


def test_clean_code(client: MlgitClient, in_repo: Path, git: Git) -> None:
    version()
    (in_repo / "train.py").write_text("print('changed')\n")
    version()
    (found,) = refused(2, clean=True)
    assert "uncommitted changes" in found
    promote(registry_for(), "m", 1, "production", guards=Guards(clean=True))
    assert recorded("m#production#1") == [
        {
            "guard": "clean",
            "asks": "no uncommitted changes",
            "figures": {"dirty": False, "commit": git(in_repo, "rev-parse", "HEAD")},
        }
    ]
    client.create_registered_model("other")
    client.create_model_version("other", "s3://bucket/model")
    with pytest.raises(PromotionRefused, match="version 1 has no code"):
        promote(registry_for(), "other", 1, "production", guards=Guards(clean=True))
    with pytest.raises(PromotionRefused, match="version 1 is of no run"):
        promote(registry_for(), "other", 1, "staging", guards=Guards(("metrics.a > 1",)))
    git(in_repo, "tag", "-a", "-m", "by hand", "code@v1.0.0")
    assert promote(registry_for(), "code", 1, "staging", guards=Guards(clean=True)).tags


def test_tests_are_run_with_the_version_in_their_environment(
    client: MlgitClient, in_repo: Path
) -> None:
    number = version()
    run_id = client.get_model_version("m", number).run_id
    command = 'echo "$MLGIT_MODEL_NAME $MLGIT_MODEL_VERSION $MLGIT_MODEL_URI $MLGIT_RUN_ID" > told'
    promote(registry_for(), "m", number, "prod", guards=Guards(tests=(command, "pwd >> told")))
    assert (in_repo / "told").read_text() == f"m 1 models:/m/1 {run_id}\n{in_repo}\n"
    entry = recorded("m#prod#1")[0]
    assert entry["asks"] == command
    figures = entry["figures"]
    assert isinstance(figures, dict) and figures["exit_status"] == 0 and figures["seconds"] >= 0
    with pytest.raises(PromotionRefused) as caught:
        promote(
            registry_for(),
            "m",
            number,
            "x",
            guards=Guards(tests=("echo bad; echo worse >&2; exit 3",)),
        )
    (result,) = caught.value.guards
    assert isinstance(result, Result) and result.output == "bad\nworse\n"
    assert "exit status 3" in result.found
    (found,) = refused(number, tests=("kill -9 $$",))
    assert found.startswith("signal 9")
    assert client.get_registered_model("m").aliases == {"prod": 1}


def test_all_guards_are_checked_and_nothing_is_written(
    client: MlgitClient, in_repo: Path, git: Git
) -> None:
    version(accuracy=0.9)
    before = git(in_repo, "for-each-ref")
    (in_repo / "train.py").write_text("changed")
    version(accuracy=0.5)
    before = git(in_repo, "for-each-ref")
    found = refused(
        2,
        require=("metrics.accuracy > 0.6", "metrics.accuracy > 0.7"),
        better_than=(BetterThan("production", "f1"),),
        tests=("exit 1", "true"),
        clean=True,
    )
    assert len(found) == 5
    assert git(in_repo, "for-each-ref") == before


def test_a_look_without_writing(client: MlgitClient, in_repo: Path, git: Git) -> None:
    version(accuracy=0.9)
    before = git(in_repo, "for-each-ref")
    asked = Guards(("metrics.accuracy > 0.6", "metrics.accuracy > 0.95"), tests=("exit 1",))
    found = check_promotion(registry_for(), "m", 1, "production", guards=asked)
    assert [r.passed for r in found.guards] == [True, False, None] and found.refused
    assert check_promotion(registry_for(), "m", 1, "x", guards=asked, with_tests=True).refused
    done = promote(registry_for(), "m", 1, "x", guards=Guards(tests=("true",)), dry_run=True)
    assert done.tags == [] and done.guards[0].passed
    assert git(in_repo, "for-each-ref") == before


# -- the run


def test_a_version_of_a_run_that_went_on(client: MlgitClient) -> None:
    asked = Guards(("metrics.accuracy > 0.9",))
    with mlgit.start_run() as run:
        mlgit.log_metric("accuracy", 0.1)
        mlgit.log_text("flavors: {}\n", "model/MLmodel")
        mlgit.register_model(f"runs:/{run.info.run_id}/model", "m")
        (found,) = refused(1, require=asked.require)
        assert "still going" in found
        mlgit.log_metric("accuracy", 0.95)
    assert promote(registry_for(), "m", 1, "production", guards=asked).tags
    assert recorded("m#production#1")[0]["figures"] == {"metrics.accuracy": 0.95}


def test_a_run_that_is_deleted_or_not_here(client: MlgitClient, in_repo: Path, git: Git) -> None:
    version(accuracy=0.9)
    version(accuracy=0.95)
    asked = {"require": ("metrics.accuracy > 0.5",), "better_than": (BetterThan("p", "accuracy"),)}
    promote(registry_for(), "m", 1, "p")
    first, second = (str(client.get_model_version("m", n).run_id) for n in (1, 2))
    client.delete_run(second)
    assert all(f"mlgit runs restore {second}" in text for text in refused(2, **asked))
    client.restore_run(second)
    client.delete_run(first)  # what is in use is measured all the same
    assert promote(registry_for(), "m", 2, "q", guards=Guards(**asked)).tags  # type: ignore[arg-type]
    for ref in git(in_repo, "for-each-ref", "--format=%(refname)", "refs/mlgit/runs").splitlines():
        git(in_repo, "update-ref", "-d", ref)
    found = refused(2, **asked)
    assert len(found) == 2 and all("isn't here: mlgit fetch" in text for text in found)


# -- what is written


def test_what_is_there_already(client: MlgitClient) -> None:
    version()
    version()
    for target in ("Production", "champion"):
        assert promote(registry_for(), "m", 1, target).tags
        again = promote(registry_for(), "m", 1, target)
        assert again.already and again.tags == []
    promote(registry_for(), "m", 2, "production")
    done = promote(registry_for(), "m", 2, "production", archive_existing=True)
    assert len(done.tags) == 3 and not done.already
    assert [v.current_stage for v in client.search_model_versions(order_by=["version_number"])] == [
        "Archived",
        "Production",
    ]
    assert promote(registry_for(), "m", 2, "production", archive_existing=True).already


def test_consequences_name_the_tag_that_they_go_with(client: MlgitClient) -> None:
    for _ in range(2):
        version()
    promote(registry_for(), "m", 1, "production")
    promote(registry_for(), "m", 2, "staging")
    done = promote(registry_for(), "m", 2, "production", archive_existing=True, reason="new")
    events = {event.tag: event for event in registry_for().history("m")}
    assert done.tags == ["m#production#3", "m#staging!#4", "m#archived#5", "m#production!#6"]
    assert [events[tag].text("because") for tag in done.tags] == [None, *["m#production#3"] * 3]
    assert {events[tag].text("reason") for tag in done.tags} == {"new"}
    client.set_registered_model_alias("m", "champion", 1)
    client.set_registered_model_alias("m", "champion", 2)
    removed = demote(registry_for(), "m", 2, "champion").tags
    events = {event.tag: event for event in registry_for().history("m")}
    assert [events[tag].text("because") for tag in removed] == [None, removed[0]]


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda r: promote(r, "n", 1, "production"), ResourceDoesNotExist, "name=n not found"),
        (lambda r: promote(r, "m", 9, "production"), ResourceDoesNotExist, "version=9"),
        (lambda r: promote(r, "m", 2, "production"), ResourceDoesNotExist, "it was deleted"),
        (lambda r: promote(r, "m", "x", "production"), InvalidParameterValue, "integer"),
        (lambda r: promote(r, "m", 1, "latest"), InvalidParameterValue, "reserved"),
        (lambda r: promote(r, "m", 1, "v3"), InvalidParameterValue, "reserved"),
        (lambda r: promote(r, "m", 1, "a b"), InvalidParameterValue, "Invalid alias"),
        (lambda r: promote(r, "m", 1, ""), InvalidParameterValue, "must not be empty"),
        (lambda r: promote(r, "m", 1, "None"), InvalidParameterValue, "mlgit demote"),
        (lambda r: promote(r, "m", 1, "x", archive_existing=True), InvalidParameterValue, "alias"),
        (lambda r: promote(r, "m", 1, "archived", archive_existing=True), InvalidParameterValue, "No versions"),
        (lambda r: demote(r, "m", 1, "production"), InvalidState, "isn't Production"),
        (lambda r: demote(r, "m", None, "none"), InvalidParameterValue, "demote"),
        (lambda r: demote(r, "m", None, "other"), InvalidState, "No version of m is other"),
        (lambda r: demote(r, "m"), InvalidParameterValue, "--from"),
        (lambda r: demote(r, "m", 1), InvalidState, "has a, b"),
        (lambda r: demote(r, "m", 3), InvalidState, "no stage and no alias.*\n.*version 1 is a, b"),
        (lambda r: rollback(r, "m", "production"), InvalidState, "No version of m"),
        (lambda r: rollback(r, "m", "a"), InvalidState, "before version 1"),
        (lambda r: rollback(r, "n", "a"), ResourceDoesNotExist, "name=n"),
        (lambda r: Guards(("",)), InvalidParameterValue, "empty"),
        (lambda r: Guards(("metrics.a >",)), FilterError, "metrics.a >"),
        (lambda r: Guards(tests=(" ",)), InvalidParameterValue, "empty"),
        (lambda r: BetterThan("production", ""), InvalidParameterValue, "--metric"),
        (lambda r: BetterThan("production", "a", -1.0), InvalidParameterValue, "from 0 on"),
        (lambda r: BetterThan("production", "a", math.nan), InvalidParameterValue, "nan"),
    ],
)  # fmt: skip
def test_what_cannot_be(
    call: Callable[..., object], error: type[MlgitException], message: str,
    client: MlgitClient, in_repo: Path, git: Git,
) -> None:  # fmt: skip
    for _ in range(3):
        version()
    for alias in ("a", "b"):
        client.set_registered_model_alias("m", alias, 1)
    client.delete_model_version("m", 2)
    before = git(in_repo, "for-each-ref")
    with pytest.raises(error) as caught:
        call(registry_for())
    assert re.search(message, str(caught.value)), caught.value
    assert git(in_repo, "for-each-ref") == before


def test_a_clock_that_runs_backwards(client: MlgitClient, monkeypatch: pytest.MonkeyPatch) -> None:
    for accuracy in (0.1, 0.2, 0.3):
        version(accuracy=accuracy)
    better = Guards(better_than=(BetterThan("champion", "accuracy"),))
    for number in (1, 2, 3):
        early = int((time.time() - 10_000 * number) * 1000)
        monkeypatch.setattr("mlgit.registry.proposal.now_ms", lambda at=early: at)
        monkeypatch.setattr("mlgit.registry.writer.now_ms", lambda at=early: at)
        assert promote(registry_for(), "m", number, "champion", guards=better).tags
    assert refused(2, "champion", better_than=better.better_than)
    assert rollback(registry_for(), "m", "champion").version == 2
    assert rollback(registry_for(), "m", "champion").version == 1


# -- at once

PROMOTE = """
import sys
from mlgit.exceptions import PromotionRefused
from mlgit.registry.guards import BetterThan, Guards
from mlgit.registry.promotion import promote
from mlgit.tracking.registered import registry_for
guards = Guards(better_than=(BetterThan("champion", "accuracy"),), tests=tuple(sys.argv[2:]))
try:
    print(promote(registry_for(), "m", int(sys.argv[1]), "champion", guards=guards).tags)
except PromotionRefused as error:
    print(error.message)
    sys.exit(9)
"""


def start(*arguments: str) -> subprocess.Popen[str]:
    env = {**os.environ, "PYTHONPATH": str(Path(mlgit.__file__).parents[1])}
    return subprocess.Popen(
        [sys.executable, "-c", PROMOTE, *arguments], env=env, text=True, stdout=subprocess.PIPE
    )


def test_who_promotes_meanwhile_is_who_it_is_compared_with(
    client: MlgitClient, in_repo: Path
) -> None:
    for accuracy in (0.1, 0.2, 0.3):
        version(accuracy=accuracy)
    promote(registry_for(), "m", 1, "champion")
    # Version 2 is better than what is champion when its tests begin, and not when they end.
    slow = start("2", "touch begun; while [ ! -e go ]; do sleep 0.02; done")
    while not (in_repo / "begun").exists():
        assert slow.poll() is None
        time.sleep(0.02)
    assert promote(registry_for(), "m", 3, "champion").tags
    (in_repo / "go").touch()
    said = slow.communicate()[0]
    assert slow.returncode == 9 and "version 3 (champion) has 0.3" in said
    assert client.get_model_version_by_alias("m", "champion").version == 3


def test_many_at_once_leave_the_best(client: MlgitClient) -> None:
    for n in range(6):
        version(accuracy=n / 10)
    going = [start(str(n)) for n in (3, 6, 2, 5, 1, 4)]
    said = [process.communicate()[0] for process in going]
    assert {process.returncode for process in going} <= {0, 9}, said
    assert client.get_model_version_by_alias("m", "champion").version == 6
    held = [e.message["version"] for e in registry_for().history("m") if e.name.alias]
    assert held == sorted(held), "each was better than the one before"


def test_ctrl_c_ends_the_tests(client: MlgitClient, in_repo: Path, git: Git) -> None:
    version(accuracy=0.1)
    before = git(in_repo, "for-each-ref")
    process = start("1", "sleep 1000 & echo $! > pid; wait")
    while not (in_repo / "pid").exists() or not (in_repo / "pid").read_text().strip():
        assert process.poll() is None
        time.sleep(0.02)
    child = int((in_repo / "pid").read_text())
    process.send_signal(signal.SIGINT)
    process.communicate()
    assert process.returncode != 0
    deadline = time.monotonic() + 30
    while _alive(child) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _alive(child)
    assert git(in_repo, "for-each-ref") == before


def _alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def test_rules_count_besides_what_is_asked(client: MlgitClient, in_repo: Path) -> None:
    version(accuracy=0.9)
    rules(in_repo, '"*":\n  production:\n    require: metrics.accuracy >= 0.95\n    clean: true')
    found = refused(1, require=("metrics.accuracy > 0.91",))
    assert [text.partition("needs ")[2] for text in found] == ["> 0.91", ">= 0.95"]
    client.rename_registered_model("m", "n")
    rules(in_repo, "m:\n  production:\n    require: metrics.accuracy >= 0.95")
    with pytest.raises(PromotionRefused, match="0.95"):
        promote(registry_for(), "n", 1, "production")
    assert promote(registry_for(), "n", 1, "staging").tags
