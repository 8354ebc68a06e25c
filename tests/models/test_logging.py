"""Logging models: all of one or nothing, moved and not copied, found again by MLflow's tag."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mlgit
from mlgit.entities import LifecycleStage
from mlgit.exceptions import (
    InvalidParameterValue,
    MlgitException,
    ResourceAlreadyExists,
    ResourceDoesNotExist,
)
from mlgit.models import registry, workspace
from mlgit.models.uris import RegistryUri
from mlgit.registry.sources import Place
from mlgit.store.gitstore import GitStore
from mlgit.tracking import uri


class Echo(mlgit.pyfunc.PythonModel):
    def predict(self, context: Any, model_input: Any) -> Any:
        return model_input


class Unpicklable(Echo):
    def __init__(self) -> None:
        self.open = open(os.devnull)

    def __reduce__(self) -> Any:
        raise TypeError("cannot pickle this")


def _leftovers(repo: Path) -> list[str]:
    folder = repo / ".git" / "mlgit" / "models"
    return sorted(os.listdir(folder)) if folder.is_dir() else []


def test_a_run_is_begun_where_none_is_active(in_repo: Path) -> None:
    info = mlgit.pyfunc.log_model(python_model=Echo())
    active = mlgit.active_run()
    assert active is not None
    assert info.run_id == active.info.run_id
    assert info.artifact_path == "model"
    mlgit.end_run()
    assert mlgit.pyfunc.load_model(info.model_uri).predict([1]) == [1]


def test_it_can_be_another_run(in_repo: Path) -> None:
    with mlgit.start_run() as run:
        pass
    info = mlgit.log_model(Echo(), name="late", run_id=run.info.run_id)
    assert info.model_uri == f"runs:/{run.info.run_id}/late"
    assert mlgit.active_run() is None
    assert mlgit.pyfunc.load_model(info.model_uri).predict(3) == 3


def test_what_log_model_returns(in_repo: Path) -> None:
    with mlgit.start_run() as run:
        info = mlgit.log_model(Echo(), "a/b", metadata={"k": 1}, input_example=["x"])
    assert info.run_id == run.info.run_id
    assert info.artifact_path == info.name == "a/b"
    assert info.metadata == {"k": 1}
    assert info.flavors.keys() == {"python_function"}
    assert info.signature is not None
    assert info.signature_dict == info.signature.to_dict()
    assert info.saved_input_example_info["artifact_path"] == "input_example.json"
    assert info.mlflow_version == "2.22.5"
    assert info.registered_model_version is None
    again = mlgit.models.get_model_info(info.model_uri)
    assert again.model_uuid == info.model_uuid
    assert again.utc_time_created == info.utc_time_created


def test_the_tag_that_mlflow_finds_models_by(in_repo: Path) -> None:
    with mlgit.start_run() as run:
        first = mlgit.log_model(Echo(), "a")
        second = mlgit.log_model(Echo(), "b")
    tag = mlgit.get_run(run.info.run_id).data.tags["mlflow.log-model.history"]
    entries = json.loads(tag)
    assert [e["artifact_path"] for e in entries] == ["a", "b"]
    assert [e["model_uuid"] for e in entries] == [first.model_uuid, second.model_uuid]
    assert entries[0]["flavors"] == first.flavors
    assert entries[0].keys() == {
        "run_id", "artifact_path", "utc_time_created", "model_uuid", "flavors",
    }  # fmt: skip


def test_threads_that_log_to_one_run(in_repo: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    with mlgit.start_run() as run, ThreadPoolExecutor(4) as pool:
        run_id = run.info.run_id
        names = [f"m{number}" for number in range(8)]
        infos = list(pool.map(lambda name: mlgit.log_model(Echo(), name, run_id=run_id), names))
    for info in infos:
        assert mlgit.pyfunc.load_model(info.model_uri).predict(1) == 1
    entries = json.loads(mlgit.get_run(run_id).data.tags["mlflow.log-model.history"])
    assert {entry["artifact_path"] for entry in entries} == set(names)


def test_the_tag_holds_the_newest_models_that_fit(in_repo: Path) -> None:
    with mlgit.start_run() as run:
        for number in range(30):
            mlgit.log_model(Echo(), f"model-{number}", model_config={"text": "x" * 300})
    tag = mlgit.get_run(run.info.run_id).data.tags["mlflow.log-model.history"]
    entries = json.loads(tag)
    assert 3 < len(entries) < 30
    assert entries[-1]["artifact_path"] == "model-29"


def test_a_model_that_is_larger_than_the_tag(in_repo: Path) -> None:
    with mlgit.start_run() as run:
        info = mlgit.log_model(Echo(), "m", model_config={"text": "x" * 9000})
    (entry,) = json.loads(mlgit.get_run(run.info.run_id).data.tags["mlflow.log-model.history"])
    assert entry["model_uuid"] == info.model_uuid


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"python_model": Unpicklable()}, InvalidParameterValue),
        ({"python_model": Echo(), "artifacts": {"a": "not/there"}}, ResourceDoesNotExist),
        ({"python_model": Echo(), "code_paths": ["not/there"]}, ResourceDoesNotExist),
        ({"python_model": Echo(), "code_paths": "text"}, InvalidParameterValue),
        ({"python_model": Echo(), "pip_requirements": "not/there"}, ResourceDoesNotExist),
        ({"python_model": Echo(), "pip_requirements": [1]}, InvalidParameterValue),
        ({"python_model": Echo(), "conda_env": "not/there.yaml"}, ResourceDoesNotExist),
        ({"python_model": Echo(), "pip_requirements": ["a"], "conda_env": {}}, InvalidParameterValue),
        ({"python_model": Echo(), "metadata": "text"}, InvalidParameterValue),
        ({"python_model": Echo(), "signature": {"inputs": "[]"}}, InvalidParameterValue),
        ({"python_model": Echo(), "registered_model_name": "a/b"}, InvalidParameterValue),
        ({"python_model": Echo(), "artifact_path": "a", "name": "b"}, InvalidParameterValue),
        ({"python_model": Echo(), "artifact_path": "../a"}, InvalidParameterValue),
        ({"python_model": Echo(), "artifact_path": ""}, InvalidParameterValue),
        ({"python_model": Echo(), "run_id": "0" * 32}, ResourceDoesNotExist),
        ({"python_model": Echo()  , "loader_module": "os"}, InvalidParameterValue),
        ({"python_model": Echo(), "data_path": "x"}, InvalidParameterValue),
        ({"python_model": Echo}, InvalidParameterValue),
        ({"python_model": 3}, InvalidParameterValue),
        ({"python_model": lambda: 1}, InvalidParameterValue),
        ({"python_model": "not/there.py"}, ResourceDoesNotExist),
        ({}, InvalidParameterValue),
        ({"python_model": Echo(), "no_such_option": 1}, TypeError),
    ],
)  # fmt: skip
def test_nothing_is_half_logged(
    options: dict[str, Any], error: type[Exception], in_repo: Path
) -> None:
    with mlgit.start_run() as run:
        with pytest.raises(error):
            mlgit.pyfunc.log_model(
                **{"name": "m", **options} if "artifact_path" not in options else options
            )
        assert mlgit.artifacts.list_artifacts(run_id=run.info.run_id) == []
    assert "mlflow.log-model.history" not in mlgit.get_run(run.info.run_id).data.tags
    assert _leftovers(in_repo) == []


def test_a_model_that_can_not_predict_on_its_example(in_repo: Path) -> None:
    class Broken(mlgit.pyfunc.PythonModel):
        def predict(self, context: Any, model_input: Any) -> Any:
            raise KeyError("weight")

    with mlgit.start_run() as run:
        with pytest.raises(InvalidParameterValue, match="can't predict on its input example.*KeyE"):
            mlgit.log_model(Broken(), "m", input_example=["x"])
        assert mlgit.artifacts.list_artifacts(run_id=run.info.run_id) == []


def test_a_full_disk_leaves_nothing(in_repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> Any:
        raise OSError(28, "No space left on device")

    with mlgit.start_run() as run:
        monkeypatch.setattr("mlgit.models.saving.copy_code", full)
        with pytest.raises(MlgitException, match="No space left"):
            mlgit.log_model(Echo(), "m")
        assert mlgit.artifacts.list_artifacts(run_id=run.info.run_id) == []
    assert _leftovers(in_repo) == []


def test_files_are_moved_into_the_store(in_repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A large file is never there twice: the object is the very file that was written."""
    written: dict[str, int] = {}
    move = GitStore.log_model

    def watched(self: GitStore, run_id: str, folder: str, *rest: Any) -> None:
        for name in ("python_model.pkl", "MLmodel"):
            written[name] = os.stat(f"{folder}/{name}").st_ino
        move(self, run_id, folder, *rest)

    monkeypatch.setattr(GitStore, "log_model", watched)

    class Large(Echo):
        weights = None

    model = Large()
    model.weights = np.zeros(1_000_000)  # type: ignore[assignment]
    info = mlgit.log_model(model, "m")
    store = uri.store_for()
    entries = store.artifact(str(info.run_id), "m")
    assert isinstance(entries, dict)
    for name, inode in written.items():
        assert os.stat(store.objects.path(entries[name].sha256)).st_ino == inode
    assert _leftovers(in_repo) == []


def test_a_large_model_is_never_wholly_in_our_memory(in_repo: Path) -> None:
    import tracemalloc

    class Large(Echo):
        weights = None

    model = Large()
    model.weights = np.ones(5_000_000)  # type: ignore[assignment]
    tracemalloc.start()
    try:
        mlgit.log_model(model, "m")
        assert tracemalloc.get_traced_memory()[1] < 8_000_000
    finally:
        tracemalloc.stop()


def test_what_a_killed_process_left_is_removed(
    in_repo: Path, python: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = """
import os, mlgit
class M(mlgit.pyfunc.PythonModel):
    def __reduce__(self): os._exit(9)
    def predict(self, context, model_input): return model_input
mlgit.log_model(M(), "m")
"""
    done = python(program, cwd=in_repo, check=False)
    assert done.returncode == 9
    assert len(_leftovers(in_repo)) == 1
    mlgit.log_model(Echo(), "young")
    assert len(_leftovers(in_repo)) == 1
    monkeypatch.setattr(workspace, "_GRACE", -1.0)
    mlgit.log_model(Echo(), "m")
    assert _leftovers(in_repo) == []


def test_a_folder_in_use_is_not_removed(in_repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workspace, "_GRACE", -1.0)
    above = str(in_repo / "work")
    first = workspace.Workspace(above)
    second = workspace.Workspace(above)
    assert os.path.isdir(first.path) and os.path.isdir(second.path)
    first.close()
    assert not os.path.exists(first.path)
    second.keep()
    second.close()
    assert os.path.isdir(second.path)


def test_a_model_is_saved_whole_or_not_at_all(in_repo: Path) -> None:
    with pytest.raises(InvalidParameterValue):
        mlgit.pyfunc.save_model("there/model", python_model=Unpicklable())
    assert os.listdir("there") == []
    os.makedirs("empty")
    mlgit.pyfunc.save_model("empty", python_model=Echo())
    assert os.path.exists("empty/MLmodel")
    mode = os.stat("empty").st_mode & 0o777
    os.makedirs("plain")
    assert mode == os.stat("plain").st_mode & 0o777
    with pytest.raises(ResourceAlreadyExists):
        mlgit.pyfunc.save_model("empty", python_model=Echo())
    with pytest.raises(ResourceAlreadyExists):
        mlgit.pyfunc.save_model("train.py", python_model=Echo())


def test_params_are_logged(in_repo: Path) -> None:
    with mlgit.start_run() as run:
        mlgit.log_model(Echo(), "m", params={"depth": 3})
    assert mlgit.get_run(run.info.run_id).data.params == {"depth": "3"}


def test_model_log_takes_any_flavor(in_repo: Path) -> None:
    with mlgit.start_run():
        info = mlgit.models.Model.log(
            artifact_path="m", flavor=mlgit.pyfunc, python_model=Echo(), metadata={"a": 1}
        )
    assert mlgit.pyfunc.load_model(info.model_uri).metadata.metadata == {"a": 1}


def test_models_of_no_flavor(in_repo: Path) -> None:
    with pytest.raises(InvalidParameterValue, match=r"builtins\.dict isn't a model"):
        mlgit.log_model({"a": 1}, "m")


# -- the registry's interface


class Shelf:
    """The smallest registry."""

    def __init__(self) -> None:
        self.sources: dict[str, list[str]] = {}

    def check_name(self, name: str) -> None:
        if name == "taken":
            raise ResourceAlreadyExists("The name is taken")

    def resolve(self, uri: RegistryUri, verify: bool | None) -> Place:
        return Place(self.sources[uri.name][(uri.version or 0) - 1])

    def register(
        self,
        name: str,
        source: str,
        run_id: str | None,
        tags: dict[str, Any] | None = None,
        sign: bool = False,
    ) -> Any:
        versions = self.sources.setdefault(name, [])
        versions.append(source)
        return type("Version", (), {"name": name, "version": len(versions), "run_id": run_id})


@pytest.fixture
def shelf() -> Any:
    made = Shelf()
    registry.use(made)
    yield made
    registry.use(None)


def test_a_model_is_registered(in_repo: Path, shelf: Shelf) -> None:
    info = mlgit.log_model(Echo(), "m", registered_model_name="echo")
    assert info.registered_model_version == 1
    assert shelf.sources == {"echo": [info.model_uri]}
    assert mlgit.pyfunc.load_model("models:/echo/1").predict([2]) == [2]
    assert mlgit.register_model(info.model_uri, "echo").version == 2


def test_a_name_is_checked_before_anything_is_saved(in_repo: Path, shelf: Shelf) -> None:
    with mlgit.start_run() as run:
        with pytest.raises(ResourceAlreadyExists):
            mlgit.log_model(Echo(), "m", registered_model_name="taken")
        assert mlgit.artifacts.list_artifacts(run_id=run.info.run_id) == []


def test_nothing_is_registered_of_what_is_not_there(in_repo: Path) -> None:
    for use in (
        lambda: mlgit.pyfunc.load_model("models:/a/1"),
        lambda: mlgit.register_model("runs:/x/y", "a"),
    ):
        with pytest.raises(ResourceDoesNotExist):
            use()
    assert mlgit.search_registered_models() == []


def test_deleted_runs_take_no_model(in_repo: Path) -> None:
    with mlgit.start_run() as run:
        pass
    mlgit.delete_run(run.info.run_id)
    with pytest.raises(InvalidParameterValue):
        mlgit.log_model(Echo(), "m", run_id=run.info.run_id)
    assert mlgit.get_run(run.info.run_id).info.lifecycle_stage == LifecycleStage.DELETED
    assert mlgit.artifacts.list_artifacts(run_id=run.info.run_id) == []
