"""Entities: forms, names and helpers, as MLflow's programs use them."""

from __future__ import annotations

import copy
import json
import pickle

import pytest

from mlgit import MlflowException, entities
from mlgit.entities import (
    Dataset,
    DatasetInput,
    Experiment,
    FileInfo,
    InputTag,
    LifecycleStage,
    Metric,
    PagedList,
    Param,
    Run,
    RunData,
    RunInfo,
    RunInputs,
    RunStatus,
    RunTag,
    ViewType,
)


def make_run() -> Run:
    info = RunInfo("r1", "0", "ada", "FINISHED", 1, 2, LifecycleStage.ACTIVE, "uri", "name")
    dataset = Dataset("d", "12345678", "local", "{}", None, None)
    return Run(
        info,
        RunData({"m": 1.0}, {"p": "1"}, {"t": "x"}),
        RunInputs([DatasetInput(dataset, [InputTag("k", "v")])]),
    )


def test_runs_become_plain_dicts() -> None:
    plain = make_run().to_dictionary()
    assert json.loads(json.dumps(plain)) == plain
    assert plain["info"]["run_id"] == "r1"
    assert plain["data"] == {"metrics": {"m": 1.0}, "params": {"p": "1"}, "tags": {"t": "x"}}
    assert plain["inputs"]["dataset_inputs"][0]["tags"] == [{"key": "k", "value": "v"}]


def test_entities_become_dicts() -> None:
    assert dict(Param("a", "b")) == {"key": "a", "value": "b"}
    assert dict(RunTag("a", "b")) == {"key": "a", "value": "b"}
    assert dict(FileInfo("a", True)) == {"path": "a", "is_dir": True, "file_size": None}
    shown = dict(Metric("m", 1.0, 2, 3))
    assert (shown["key"], shown["value"], shown["timestamp"], shown["step"]) == ("m", 1.0, 2, 3)
    assert dict(Experiment("1", "n", "loc"))["name"] == "n"


def test_entities_print_what_they_are() -> None:
    assert repr(Param("a", "b")) == "Param(key='a', value='b')"
    text = str(make_run())
    for part in ("r1", "FINISHED", "'m': 1.0", "12345678"):
        assert part in text


def test_entities_are_equal_by_value_copied_and_pickled() -> None:
    run = make_run()
    assert run == make_run()
    assert run != Param("a", "b")
    assert copy.deepcopy(run) == run
    assert pickle.loads(pickle.dumps(run)) == run
    assert Metric("m", 1.0, 2, 3) == Metric("m", 1.0, 2, 3)
    assert len({Param("a", "b"), Param("a", "b")}) == 1


def test_a_handle_is_equal_to_its_run(repo_dir: object, monkeypatch: pytest.MonkeyPatch) -> None:
    import mlgit

    monkeypatch.chdir(str(repo_dir))
    with mlgit.start_run() as run:
        assert run.info == mlgit.get_run(run.info.run_id).info
        assert "ActiveRun" in repr(run)
        assert run.to_dictionary()["info"]["status"] == "RUNNING"
        assert run.info.run_uuid == run.info.run_id


def test_statuses() -> None:
    for number in RunStatus.all_status():
        assert RunStatus.from_string(RunStatus.to_string(number)) == number
    assert [RunStatus.is_terminated(n) for n in (1, 2, 3, 4, 5)] == [False, False, True, True, True]
    assert RunStatus.is_terminated("KILLED")
    for call in (lambda: RunStatus.from_string("DONE"), lambda: RunStatus.to_string(9)):
        with pytest.raises(MlflowException) as caught:
            call()
        assert caught.value.error_code == "INVALID_PARAMETER_VALUE"


def test_views() -> None:
    assert ViewType.from_string("all") == ViewType.ALL == 3
    assert ViewType.to_string(ViewType.DELETED_ONLY) == "deleted_only"
    assert ViewType.stages(ViewType.ALL) == ("active", "deleted")
    for call in (lambda: ViewType.from_string("x"), lambda: ViewType.to_string(0)):
        with pytest.raises(MlflowException):
            call()


def test_paged_lists_are_lists() -> None:
    page = PagedList([1, 2], "token")
    assert page == [1, 2]
    assert page.token == "token"
    assert page.to_list() == [1, 2]
    assert not hasattr(page.to_list(), "token")


def test_the_module_has_mlflows_names() -> None:
    assert set(entities.__all__) >= {
        *("Dataset", "DatasetInput", "Experiment", "ExperimentTag", "FileInfo", "InputTag"),
        *("LifecycleStage", "Metric", "Param", "Run", "RunData", "RunInfo", "RunInputs"),
        *("RunStatus", "RunTag", "SourceType", "ViewType"),
    }
    assert entities.SourceType.to_string(entities.SourceType.LOCAL) == "LOCAL"
    assert entities.SourceType.from_string("NOTEBOOK") == entities.SourceType.NOTEBOOK


def test_errors_have_mlflows_attributes() -> None:
    error = MlflowException("it broke", "RESOURCE_DOES_NOT_EXIST", hint="mend it")
    assert error.error_code == "RESOURCE_DOES_NOT_EXIST"
    assert error.message == "it broke"
    assert error.get_http_status_code() == 404
    assert str(error) == "it broke\nhint: mend it"
    assert json.loads(error.serialize_as_json())["error_code"] == "RESOURCE_DOES_NOT_EXIST"
    assert MlflowException("x").error_code == "INTERNAL_ERROR"
