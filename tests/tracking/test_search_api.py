"""Searching by the fluent API and the client: defaults, pages, frames and lists."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import mlgit
from mlgit import MlflowException, MlgitClient
from mlgit.entities import ViewType


@pytest.fixture(autouse=True)
def runs(repo_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """Five runs of one experiment and one of another."""
    monkeypatch.chdir(repo_dir)
    client = MlgitClient()
    made = []
    for name, count in (("first", 5), ("second", 1)):
        experiment = client.create_experiment(name)
        for i in range(count):
            run = client.create_run(experiment, start_time=1000 + i, run_name=f"{name}-{i}")
            client.log_metric(run.info.run_id, "m", i, 1, 0)
            client.log_param(run.info.run_id, "p", f"v{i}")
            if i % 2:
                client.set_terminated(run.info.run_id, end_time=2000 + i)
            made.append(run)
    yield made
    for run in made:
        client.set_terminated(run.info.run_id)


def names(found: Any) -> list[str]:
    return [run.info.run_name for run in found]


def listed(**arguments: Any) -> list[str]:
    return names(mlgit.search_runs(output_format="list", **arguments))


def test_the_current_experiment_is_the_default() -> None:
    assert listed() == []  # of Default
    mlgit.set_experiment("second")
    assert listed() == ["second-0"]
    assert listed(experiment_ids=[]) == ["second-0"]
    assert len(listed(search_all_experiments=True)) == 6


def test_experiments_are_given_by_id_or_name(runs: list[Any]) -> None:
    first = runs[0].info.experiment_id
    assert len(listed(experiment_ids=[first])) == 5
    assert len(listed(experiment_ids=first)) == 5
    assert len(listed(experiment_ids=["1", "2"])) == 6
    assert len(listed(experiment_names=["second", "nobody"])) == 1
    assert listed(experiment_names=["nobody"]) == []
    with pytest.raises(MlflowException):
        mlgit.search_runs([first], experiment_names=["second"])
    assert list(MlgitClient().search_runs([])) == []


def test_results_are_as_many_as_asked_for() -> None:
    found = listed(experiment_names=["first"], max_results=3, order_by=["start_time"])
    assert found == ["first-0", "first-1", "first-2"]
    assert len(listed(search_all_experiments=True, max_results=100)) == 6


def test_pages_cover_everything_once(runs: list[Any]) -> None:
    client, token, pages = MlgitClient(), None, []
    while True:
        page = client.search_runs(
            runs[0].info.experiment_id, max_results=2, order_by=["metrics.m DESC"], page_token=token
        )
        pages.append(names(page))
        token = page.token
        if token is None:
            break
    assert pages == [["first-4", "first-3"], ["first-2", "first-1"], ["first-0"]]


@pytest.mark.parametrize("size", [0, -1, 50_001, True, 1.5, None])
def test_page_sizes_that_cannot_be(size: Any) -> None:
    with pytest.raises(MlflowException) as caught:
        MlgitClient().search_runs(["1"], max_results=size)
    assert caught.value.error_code == "INVALID_PARAMETER_VALUE"


def test_frames_have_a_row_a_run_and_mlflows_columns() -> None:
    pd = pytest.importorskip("pandas")
    frame = mlgit.search_runs(experiment_names=["first", "second"], order_by=["start_time"])
    assert len(frame) == 6
    expected = ["run_id", "experiment_id", "status", "artifact_uri", "start_time", "end_time"]
    assert list(frame.columns[:6]) == expected
    assert list(frame.columns[6:8]) == ["metrics.m", "params.p"]
    assert "tags.mlflow.runName" in frame
    assert str(frame["start_time"].dt.tz) == "UTC"
    assert frame["start_time"].iloc[0] == pd.Timestamp(1000, unit="ms", tz="UTC")
    assert frame["end_time"].isna().sum() == 4
    assert frame["metrics.m"].dtype == float
    best = frame.sort_values("metrics.m").iloc[-1]
    assert (best["params.p"], best.status) == ("v4", "RUNNING")


def test_values_that_a_run_lacks_are_missing(runs: list[Any]) -> None:
    pytest.importorskip("pandas")
    client = MlgitClient()
    client.log_metric(runs[0].info.run_id, "rare", 1)
    client.log_param(runs[0].info.run_id, "rare", "x")
    frame = mlgit.search_runs(experiment_names=["first"])
    for column in ("metrics.rare", "params.rare"):
        assert frame[column].notna().sum() == 1
        assert len(frame.dropna(subset=[column])) == 1


def test_a_frame_without_runs_has_the_first_columns() -> None:
    pytest.importorskip("pandas")
    frame = mlgit.search_runs(experiment_names=["first"], filter_string="metrics.m > 99")
    assert len(frame) == 0
    assert len(frame.columns) == 6
    assert str(frame["start_time"].dt.tz) == "UTC"


def test_deleted_runs_and_experiments(runs: list[Any]) -> None:
    mlgit.delete_run(runs[0].info.run_id)
    arguments = {"experiment_names": ["first"]}
    assert len(listed(**arguments)) == 4
    assert listed(run_view_type=ViewType.DELETED_ONLY, **arguments) == ["first-0"]
    assert len(listed(run_view_type=ViewType.ALL, **arguments)) == 5
    mlgit.restore_run(runs[0].info.run_id)
    assert len(listed(**arguments)) == 5
    mlgit.delete_experiment(runs[-1].info.experiment_id)
    assert {e.name for e in mlgit.search_experiments()} == {"Default", "first"}
    found = mlgit.search_experiments(view_type=ViewType.DELETED_ONLY)
    assert [e.name for e in found] == ["second"]
    assert len(mlgit.search_experiments(view_type=ViewType.ALL)) == 3


def test_experiments_by_filter_order_and_page() -> None:
    found = mlgit.search_experiments(filter_string="name LIKE '%s%'", order_by=["name DESC"])
    assert [e.name for e in found] == ["second", "first"]
    assert [e.name for e in mlgit.search_experiments(max_results=1, order_by=["name"])] == [
        "Default"
    ]
    page = MlgitClient().search_experiments(max_results=2, order_by=["name"])
    assert [e.name for e in page] == ["Default", "first"]
    rest = MlgitClient().search_experiments(max_results=2, order_by=["name"], page_token=page.token)
    assert ([e.name for e in rest], rest.token) == (["second"], None)
    for size in (0, -1, 50_001):
        with pytest.raises(MlflowException):
            MlgitClient().search_experiments(max_results=size)


def test_other_output_formats_are_refused() -> None:
    with pytest.raises(MlflowException) as caught:
        mlgit.search_runs(output_format="polars")
    assert caught.value.hint


def test_filters_that_do_not_parse_point_at_the_place() -> None:
    with pytest.raises(MlflowException) as caught:
        mlgit.search_runs(filter_string="metrics.m > 'x'")
    assert "^" in str(caught.value)
    assert caught.value.error_code == "INVALID_PARAMETER_VALUE"
