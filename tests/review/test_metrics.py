"""Metrics of two runs: declared directions, noise among runs of a kind, and curves."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from mlgit.cli.main import cli
from mlgit.entities import Metric
from mlgit.exceptions import CorruptData
from mlgit.review.compare import compare
from mlgit.review.curves import reduced
from mlgit.review.noise import group
from mlgit.review.render import to_dict, to_text
from mlgit.review.revisions import resolve
from mlgit.store.directions import direction
from mlgit.store.record import Point


def diff(place: Any, a: str, b: str, **options: Any) -> Any:
    return compare(place.store, resolve(place.store, a), resolve(place.store, b), **options)


# -- directions


def test_the_configuration_says_which_way_is_good(place: Any) -> None:
    config = "metrics:\n  cost: lower\n  loss: higher\n  'val_*': neutral\n  'x[1]': max\n"
    place.write(".mlgit/config.yaml", "format: 1\n" + config)
    names = ("cost", "loss", "val_acc", "x1", "acc")
    place.run("a", metrics=dict.fromkeys(names, 1.0))
    place.run("b", metrics=dict.fromkeys(names, 2.0), tags={"mlgit.direction.loss": "min"})
    (run,) = diff(place, "a", "b").runs
    assert {m.name: m.verdict for m in run.metrics} == {
        "cost": "worse",
        "loss": "worse",  # a run's own tag comes first
        "val_acc": None,
        "x1": "better",
        "acc": "better",
    }


def test_an_exact_name_comes_before_a_pattern() -> None:
    declared = {"*": None, "acc": "min"}
    assert direction("acc", {}, declared) == "min" and direction("f1", {}, declared) is None


@pytest.mark.parametrize("said", ["metrics: {loss: downwards}", "metrics: [loss]"])
def test_a_configuration_that_says_something_else(place: Any, said: str) -> None:
    place.write(".mlgit/config.yaml", f"format: 1\n{said}\n")
    place.run("a", metrics={"loss": 1.0})
    with pytest.raises(CorruptData, match="metrics"):
        diff(place, "a", "a")


# -- noise


def sweep(
    place: Any, name: str, values: list[float], params: dict[str, str], **options: Any
) -> None:
    for seed, value in enumerate(values):
        place.run(
            f"{name}{seed}", metrics={"acc": value}, params={**params, "seed": str(seed)}, **options
        )


def test_a_change_within_the_noise_is_no_verdict(place: Any) -> None:
    sweep(place, "a", [0.80, 0.82, 0.84], {"lr": "1"})
    sweep(place, "b", [0.81, 0.83, 0.85], {"lr": "2"})
    sweep(place, "c", [0.95], {"lr": "3"})
    (run,) = diff(place, "a0", "b0").runs
    (acc,) = run.metrics
    # Both sides' deviation is 0.02; of a difference, twice that of both.
    assert acc.noise == pytest.approx(2 * math.sqrt(2) * 0.02)
    assert acc.is_noise and acc.verdict is None
    (acc,) = diff(place, "a0", "c0").runs[0].metrics
    assert acc.noise == pytest.approx(2 * math.sqrt(2) * 0.02), "the known side's for both"
    assert not acc.is_noise and acc.verdict == "better"
    text = to_text(diff(place, "a0", "b0"))
    assert "▲ within noise" in text and "±0.0566" in text
    data = to_dict(diff(place, "a0", "b0"))["runs"][0]["metrics"]["acc"]
    assert data["within_noise"] is True and data["verdict"] is None


def test_who_is_of_a_kind(place: Any) -> None:
    sweep(place, "a", [0.1, 0.2], {"lr": "1", "note": "it's `odd`\\"})
    place.run("other", params={"lr": "1"}, metrics={"acc": 9.0})
    place.run("failed", params={"lr": "1", "note": "it's `odd`\\"}, status="FAILED")
    place.write("train.py", "other code\n")
    sweep(place, "b", [0.3], {"lr": "1", "note": "it's `odd`\\"})
    runs = place.store.runs

    def kind(name: str) -> set[str | None]:
        record = runs.record(resolve(place.store, name).run_id)
        return {run.info.run_name for run in group(place.store, record)}

    assert kind("a0") == {"a0", "a1"} and kind("b0") == {"b0"}
    assert diff(place, "a0", "b0").runs[0].metrics[0].noise is None, "two are too few"
    for name, params in (("x", {"p": "1"}), ("y", {"p": "2"}), ("z", {"p": "3"})):
        place.run(name, params=params, metrics={"acc": 1.0}, tags={"mlgit.group": "it's mine"})
    assert kind("x") == {"x", "y", "z"}
    assert diff(place, "x", "a0").runs[0].metrics[0].noise == 0.0


# -- curves


def log_points(place: Any, key: str, values: list[float]) -> Any:
    metrics = [Metric(key, value, 1000 + step, step) for step, value in enumerate(values)]
    return lambda run_id: place.store.runs.log_batch(run_id, metrics=metrics)


def test_curves_of_runs_and_of_accepted_records(place: Any) -> None:
    first = place.run("a", metrics={"once": 1.0}, before_end=log_points(place, "loss", [3, 2, 1]))
    place.git("merge", "-q", "--ff-only", place.commit_of(first))
    place.run("b", before_end=log_points(place, "loss", [4, math.nan]), finish=False)
    for old in ("a", "HEAD"):
        (run,) = diff(place, old, "b", points=100).runs
        (curve,) = run.curves
        assert curve.name == "loss" and [p.value for p in curve.old] == [3, 2, 1]
        assert [p.step for p in curve.new] == [0, 1]
    assert not diff(place, "a", "b").runs[0].curves
    data = to_dict(diff(place, "a", "b", points=100))["runs"][0]["curves"]["loss"]
    assert data["old"] == [[0, 1000, 3.0], [1, 1001, 2.0], [2, 1002, 1.0]]
    assert data["new"][1] == [1, 1001, "NaN"]
    place.store.runs.finish(resolve(place.store, "b").run_id, "FINISHED")


def test_the_command_gives_curves(place: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a", "b"):
        place.run(name, before_end=log_points(place, "loss", [3, 2, 1]))
    monkeypatch.chdir(place.path)
    done = CliRunner().invoke(cli, ["diff", "a", "b", "--json", "--curves"])
    assert len(json.loads(done.output)["runs"][0]["curves"]["loss"]["new"]) == 3


numbers = st.floats(allow_nan=True, allow_infinity=True)


@given(st.lists(st.tuples(st.integers(0, 50), numbers), max_size=400), st.integers(0, 100))
def test_reduced_curves_lose_no_extreme(raw: list[tuple[int, float]], most: int) -> None:
    points = [Point(step, time, value) for time, (step, value) in enumerate(raw)]
    found = reduced(points, most)
    assert len(found) <= max(most, 10) and set(map(id, found)) <= set(map(id, points))
    steps = [point[:2] for point in found]
    assert steps == sorted(steps)
    if not points:
        assert found == []
        return
    ordered = sorted(points, key=lambda point: point[:2])
    assert found[0] is ordered[0] and found[-1] is ordered[-1]
    finite = [p.value for p in points if math.isfinite(p.value)]
    kept = [p.value for p in found if math.isfinite(p.value)]
    if finite:
        assert (min(kept), max(kept)) == (min(finite), max(finite))
    assert any(not math.isfinite(p.value) for p in found) == (len(finite) < len(points))


def test_a_spike_stays() -> None:
    points = [Point(n, n, 0.0) for n in range(100_000)]
    points[54_321] = Point(54_321, 54_321, 9.0)
    found = reduced(points, 1000)
    assert len(found) <= 1000 and points[54_321] in found
