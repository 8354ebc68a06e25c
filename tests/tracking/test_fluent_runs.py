"""Beginning, resuming, nesting and ending runs; what belongs to a thread and to a process."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import mlgit
from mlgit import MlflowException

Python = Callable[..., Any]


@pytest.fixture(autouse=True)
def working_directory(repo_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(repo_dir)
    return repo_dir


def status(run: Any) -> str:
    return mlgit.get_run(run.info.run_id).info.status


# -- how runs end


@pytest.mark.parametrize(
    ("error", "ended"),
    [(ValueError, "FAILED"), (SystemExit, "FAILED"), (KeyboardInterrupt, "KILLED")],
)
def test_an_exception_ends_the_run_and_goes_on(error: type[BaseException], ended: str) -> None:
    with pytest.raises(error):
        with mlgit.start_run() as run:
            raise error
    assert status(run) == ended
    assert mlgit.active_run() is None


def test_an_inner_exception_that_is_caught_fails_the_inner_run_alone() -> None:
    with mlgit.start_run() as outer:
        with pytest.raises(ValueError, match="x"), mlgit.start_run(nested=True) as inner:
            raise ValueError("x")
    assert (status(outer), status(inner)) == ("FINISHED", "FAILED")


def test_the_block_of_an_outer_run_ends_the_inner_ones_too() -> None:
    with mlgit.start_run() as outer:
        inner = mlgit.start_run(nested=True)
    assert (status(outer), status(inner)) == ("FINISHED", "FINISHED")
    assert mlgit.active_run() is None


def test_a_run_ended_in_its_block_keeps_its_status() -> None:
    with mlgit.start_run() as run:
        mlgit.end_run("KILLED")
    assert status(run) == "KILLED"


def test_end_run_without_a_run_does_nothing() -> None:
    mlgit.end_run()


def test_a_bad_status_is_refused_and_the_run_can_still_end() -> None:
    run = mlgit.start_run()
    with pytest.raises(MlflowException, match="DONE"):
        mlgit.end_run("DONE")
    mlgit.end_run()
    assert status(run) == "FINISHED"


def test_a_run_that_is_deleted_while_active_ends() -> None:
    with mlgit.start_run() as run:
        mlgit.delete_run(run.info.run_id)
    found = mlgit.get_run(run.info.run_id)
    assert (found.info.status, found.info.lifecycle_stage) == ("FINISHED", "deleted")


@pytest.mark.parametrize(
    ("ending", "ended"),
    [
        ("", "FINISHED"),
        ("import sys; sys.exit(0)", "FINISHED"),
        ("import os; os._exit(1)", "FAILED"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "FAILED"),
    ],
)
def test_the_end_of_a_process_ends_its_runs(python: Python, ending: str, ended: str) -> None:
    code = f"import mlgit; print(mlgit.start_run().info.run_id, flush=True); {ending or 'pass'}"
    run_id = python(code, check=False).stdout.strip()
    mlgit.search_runs(output_format="list")  # what looks commits what died
    assert mlgit.get_run(run_id).info.status == ended


# -- misuse


def test_a_second_run_needs_nested() -> None:
    with mlgit.start_run() as run:
        with pytest.raises(MlflowException) as caught:
            mlgit.start_run()
        assert caught.value.error_code == "INVALID_STATE"
        assert "nested=True" in caught.value.hint
        for nested in (False, True):
            with pytest.raises(MlflowException, match="already active"):
                mlgit.start_run(run.info.run_id, nested=nested)
        assert mlgit.active_run() is run


def test_a_description_is_given_once() -> None:
    with pytest.raises(MlflowException):
        mlgit.start_run(description="a", tags={"mlflow.note.content": "b"})
    assert mlgit.active_run() is None
    with mlgit.start_run(description="a") as run:
        pass
    assert mlgit.get_run(run.info.run_id).data.tags["mlflow.note.content"] == "a"


def test_start_run_of_another_experiments_run_is_refused() -> None:
    with mlgit.start_run() as run:
        pass
    other = mlgit.create_experiment("other")
    with pytest.raises(MlflowException, match="belongs to"):
        mlgit.start_run(run.info.run_id, experiment_id=other)


def test_a_wrong_start_leaves_no_active_run() -> None:
    for arguments in (
        {"run_id": "0" * 32},
        {"experiment_id": "123456789"},
        {"parent_run_id": "0" * 32},
        {"tags": {"": "x"}},
    ):
        with pytest.raises(MlflowException):
            mlgit.start_run(**arguments)  # type: ignore[arg-type]
        assert mlgit.active_run() is None


# -- resuming and parents


def test_resuming_goes_on_with_the_run() -> None:
    with mlgit.start_run(run_name="one") as run:
        mlgit.log_metric("m", 1, step=1)
    with mlgit.start_run(run.info.run_id, tags={"a": "1"}):
        assert status(run) == "RUNNING"
        assert mlgit.get_run(run.info.run_id).info.end_time is None
        mlgit.log_metric("m", 2, step=2)
    found = mlgit.get_run(run.info.run_id)
    assert (found.info.status, found.info.run_name) == ("FINISHED", "one")
    assert found.data.metrics == {"m": 2.0}
    assert found.data.tags["a"] == "1"
    assert len(mlgit.MlgitClient().get_metric_history(run.info.run_id, "m")) == 2


def test_parents() -> None:
    with mlgit.start_run() as outer:
        with mlgit.start_run(nested=True) as inner:
            with mlgit.start_run(nested=True) as innermost:
                pass
    parent = mlgit.get_parent_run(innermost.info.run_id)
    assert parent is not None
    assert parent.info.run_id == inner.info.run_id
    assert mlgit.get_parent_run(outer.info.run_id) is None
    with mlgit.start_run(parent_run_id=outer.info.run_id) as late:
        pass
    found = mlgit.search_runs(
        filter_string=f"tags.mlflow.parentRunId = '{outer.info.run_id}'", output_format="list"
    )
    assert {r.info.run_id for r in found} == {inner.info.run_id, late.info.run_id}


def test_last_active_run_is_the_run_as_it_is_now() -> None:
    assert mlgit.last_active_run() is None
    with mlgit.start_run() as run:
        mlgit.log_param("p", 1)
        during = mlgit.last_active_run()
        assert during is not None
        assert during.data.params == {"p": "1"}
    after = mlgit.last_active_run()
    assert after is not None
    assert after.info.run_id == run.info.run_id
    assert after.info.status == "FINISHED"


# -- threads and processes


def test_active_runs_are_a_threads_own() -> None:
    seen: dict[str, Any] = {}

    def work(name: str) -> None:
        seen[f"{name} before"] = mlgit.active_run()
        with mlgit.start_run(run_name=name) as run:
            for step in range(20):
                mlgit.log_metric("m", step, step=step)
            active = mlgit.active_run()
            seen[name] = active is not None and active.info.run_id == run.info.run_id

    with mlgit.start_run(run_name="main") as run:
        threads = [threading.Thread(target=work, args=(f"t{i}",)) for i in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert mlgit.active_run() is run
    assert all(seen[f"t{i}"] and seen[f"t{i} before"] is None for i in range(4))
    frame = mlgit.search_runs(filter_string="run_name LIKE 't%'")
    assert list(frame["metrics.m"]) == [19.0] * 4
    assert "tags.mlflow.parentRunId" not in frame


def test_threads_log_to_one_run_by_its_id() -> None:
    with mlgit.start_run() as run:

        def work(part: int) -> None:
            for step in range(50):
                mlgit.log_metric(f"m{part}", step, step=step, run_id=run.info.run_id)
            mlgit.log_params({f"p{part}": part}, run_id=run.info.run_id)

        threads = [threading.Thread(target=work, args=(part,)) for part in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    found = mlgit.get_run(run.info.run_id)
    assert found.data.metrics == {f"m{part}": 49.0 for part in range(4)}
    assert len(mlgit.MlgitClient().get_metric_history(run.info.run_id, "m3")) == 50
    assert len(found.data.params) == 4


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_logs_and_leaves_the_run_going(python: Python) -> None:
    code = """
import os, mlgit
with mlgit.start_run() as run:
    mlgit.log_metric("parent", 1)
    child = os.fork()
    if child == 0:
        mlgit.MlgitClient().log_metric(run.info.run_id, "child", 2)
        os._exit(0)
    os.waitpid(child, 0)
    print(mlgit.get_run(run.info.run_id).info.status)
print(sorted(mlgit.get_run(run.info.run_id).data.metrics))
"""
    assert python(code).stdout.split("\n")[:2] == ["RUNNING", "['child', 'parent']"]


def test_an_interrupted_program_kills_its_run(python: Python) -> None:
    code = f"""
import os, mlgit
with mlgit.start_run() as run:
    print(run.info.run_id, flush=True)
    os.kill(os.getpid(), {int(signal.SIGINT)})
    import time; time.sleep(5)
"""
    run_id = python(code, check=False).stdout.strip()
    assert mlgit.get_run(run_id).info.status == "KILLED"


# -- the environment


@pytest.mark.parametrize("prefix", ["MLGIT", "MLFLOW"])
def test_variables_name_experiment_and_run(prefix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"{prefix}_EXPERIMENT_NAME", "from outside")
    monkeypatch.setenv(f"{prefix}_RUN_NAME", "named")
    with mlgit.start_run() as run:
        pass
    assert mlgit.get_experiment(run.info.experiment_id).name == "from outside"
    assert run.info.run_name == "named"
    monkeypatch.delenv(f"{prefix}_EXPERIMENT_NAME")
    monkeypatch.setenv(f"{prefix}_EXPERIMENT_ID", run.info.experiment_id)
    with mlgit.start_run() as by_id:
        pass
    assert by_id.info.experiment_id == run.info.experiment_id
    monkeypatch.setenv(f"{prefix}_RUN_ID", run.info.run_id)
    with mlgit.start_run() as resumed:
        assert resumed.info.run_id == run.info.run_id
    with mlgit.start_run() as another:
        assert another.info.run_id != run.info.run_id


def test_mlgits_variables_win(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "theirs")
    monkeypatch.setenv("MLGIT_EXPERIMENT_NAME", "ours")
    with mlgit.start_run() as run:
        pass
    assert mlgit.get_experiment(run.info.experiment_id).name == "ours"


def test_set_experiment_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "outside")
    made = mlgit.set_experiment("inside")
    with mlgit.start_run() as run:
        pass
    assert run.info.experiment_id == made.experiment_id


def test_a_branch_is_an_experiment(git: Callable[..., str], working_directory: Path) -> None:
    with mlgit.start_run() as run:
        pass
    assert run.info.experiment_id == "0"
    git(working_directory, "switch", "-q", "-c", "try-dropout")
    with mlgit.start_run() as run:
        mlgit.log_metric("m", 1)
    assert mlgit.get_experiment(run.info.experiment_id).name == "try-dropout"
    assert len(mlgit.search_runs()) == 1
    git(working_directory, "switch", "-q", "main")
    assert list(mlgit.search_runs()["experiment_id"]) == ["0"]


# -- logging


def test_asynchronous_calls_give_something_to_wait_for() -> None:
    with mlgit.start_run() as run:
        for made in (
            mlgit.log_metric("a", 1, synchronous=False),
            mlgit.log_metrics({"b": 1}, synchronous=False),
            mlgit.log_param("c", 1, synchronous=False),
            mlgit.log_params({"d": 1}, synchronous=False),
            mlgit.set_tag("e", 1, synchronous=False),
            mlgit.set_tags({"f": 1}, synchronous=False),
            mlgit.MlgitClient().log_batch(run.info.run_id, synchronous=False),
        ):
            made.wait()
        assert mlgit.log_param("g", 5, synchronous=True) == 5
        assert mlgit.log_metric("a", 1, synchronous=True) is None
    found = mlgit.get_run(run.info.run_id)
    assert set(found.data.metrics) == {"a", "b"}
    assert set(found.data.params) == {"c", "d", "g"}


def test_arguments_of_models_and_datasets_are_accepted() -> None:
    with mlgit.start_run(log_system_metrics=True):
        mlgit.log_metric("a", 1, model_id="m-1", dataset=None, timestamp=5)
        mlgit.log_metrics({"b": 1}, 1, model_id="m-1", dataset=None)


def test_numbers_of_numpy_are_metrics_and_params() -> None:
    np = pytest.importorskip("numpy")
    with mlgit.start_run() as run:
        mlgit.log_metric("f32", np.float32(0.5), step=np.int64(3))
        mlgit.log_metric("array", np.array(2.5))
        mlgit.log_metrics({"i": np.int8(3), "b": np.bool_(True)}, step=np.int32(1))
        mlgit.log_metric("text", "1.5")
        mlgit.log_param("p", np.float64(0.25))
    found = mlgit.get_run(run.info.run_id).data
    assert found.metrics == {"f32": 0.5, "array": 2.5, "i": 3.0, "b": 1.0, "text": 1.5}
    assert found.params["p"] in ("0.25", "np.float64(0.25)")


def test_log_params_is_all_or_nothing() -> None:
    with mlgit.start_run() as run:
        mlgit.log_param("a", 1)
        with pytest.raises(MlflowException, match="not allowed"):
            mlgit.log_params({"new": 1, "a": 2})
        with pytest.raises(MlflowException):
            mlgit.set_tags({"fine": "1", "": "2"})
        with pytest.raises(MlflowException):
            mlgit.log_metrics({"fine": 1, "bad?": 2})
    found = mlgit.get_run(run.info.run_id).data
    assert found.params == {"a": "1"}
    assert "fine" not in found.tags
    assert found.metrics == {}
