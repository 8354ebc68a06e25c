"""Datasets: digests, schemas, profiles and sources as MLflow 3.17.2 records them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import mlgit
from mlgit import MlflowException
from mlgit.data import Dataset, DatasetSource, from_numpy, from_pandas, get_source
from mlgit.data.code_dataset_source import CodeDatasetSource
from mlgit.data.dataset_source_registry import register_dataset_source, resolve_dataset_source
from mlgit.data.http_dataset_source import HTTPDatasetSource
from mlgit.data.meta_dataset import MetaDataset
from mlgit.data.numpy_dataset import NumpyDataset
from mlgit.data.pandas_dataset import PandasDataset

np = pytest.importorskip("numpy")
pd = pytest.importorskip("pandas")

# Digests and types as MLflow 3.17.2 gives them.
FRAMES = {
    "ints": (lambda: pd.DataFrame({0: [1, 2], 1: [3, 4]}), "e8fa5b93", ["long", "long"]),
    "missing": (
        lambda: pd.DataFrame(
            {
                "a": pd.array([1, None], dtype="Int64"),
                "b": pd.array([True, None], dtype="boolean"),
                "c": pd.array(["a", None], dtype="string"),
            }
        ),
        "95e6ecd0",
        ["long", "boolean", "string"],
    ),
    "mixed": (lambda: pd.DataFrame({"a": [1, "b"], "n": [None, None]}), "b2ae6ed1", None),
    "big": (
        lambda: pd.DataFrame({"a": np.arange(20000), "b": np.arange(20000) * 0.5}),
        "39adbd7d",
        ["long", "double"],
    ),
    "empty": (lambda: pd.DataFrame({"a": pd.Series([], dtype=float)}), "c90e33b7", ["double"]),
    "same names": (lambda: pd.DataFrame([[1, 2]], columns=["a", "a"]), "b0b3a100", None),
    "index": (lambda: pd.DataFrame({"a": [1, 2]}, index=["x", "y"]), "b544218e", ["long"]),
    "narrow": (
        lambda: pd.DataFrame({"a": np.ones(1, dtype="uint32"), "b": np.ones(1, dtype="int8")}),
        "60384967",
        ["long", "integer"],
    ),
    "none": (lambda: pd.DataFrame({"a": [None, None]}), "defee322", ["any"]),
    "objects": (lambda: pd.DataFrame({"a": [1, 2, None]}, dtype=object), "687ab16c", ["double"]),
    "times": (lambda: pd.DataFrame({"a": pd.to_datetime(["2020"])}), "a17ca048", ["datetime"]),
    "durations": (lambda: pd.DataFrame({"b": pd.to_timedelta([1], "s")}), "7d9733f2", None),
    "no columns": (lambda: pd.DataFrame(), "7dea362b", None),
}


@pytest.mark.parametrize("name", sorted(FRAMES))
def test_frames_have_mlflows_digest_and_schema(name: str) -> None:
    if name == "durations" and int(pd.__version__.split(".")[0]) < 3:
        pytest.skip("pandas before 3 keeps durations in another unit, which MLflow's digest tells")
    make, digest, types = FRAMES[name]
    dataset = from_pandas(make(), source="x.csv")
    found = dataset.to_dict()
    assert found["digest"] == digest
    schema = found["schema"] and [c["type"] for c in json.loads(found["schema"])["mlflow_colspec"]]
    assert schema == types
    assert json.loads(found["profile"]) == {
        "num_rows": len(dataset.df),
        "num_elements": int(dataset.df.size),
    }


def test_nested_values_have_mlflows_types() -> None:
    frame = pd.DataFrame({"a": [[[1], [2]], [[3]]], "b": [{"x": 1, "y": "s"}, {"x": 2}]})
    assert from_pandas(frame, source="x").schema.to_dict() == [
        {
            "type": "array",
            "items": {"type": "array", "items": {"type": "long"}},
            "name": "a",
            "required": True,
        },
        {
            "type": "object",
            "properties": {
                "x": {"type": "long", "required": True},
                "y": {"type": "string", "required": False},
            },
            "name": "b",
            "required": True,
        },
    ]


@pytest.mark.parametrize(
    ("features", "targets", "digest"),
    [
        (np.arange(12).reshape(3, 4), None, "2e1d0375"),
        (np.arange(12.0).reshape(3, 4), np.array([1, 0, 1]), "9d6abd02"),
        (
            {"x": np.ones((2, 3), dtype="float32"), "b": np.zeros(2)},
            {"y": np.array([1, 2])},
            "881987a1",
        ),
        (np.array(["a", "bb"]), None, "929c878a"),
        (np.array(3), None, "a56d029a"),
        (np.arange(30000.0), None, "f4bec3df"),
    ],
)
def test_arrays_have_mlflows_digest(features: Any, targets: Any, digest: str) -> None:
    dataset = from_numpy(features, targets=targets, source="s3://b/k")
    assert isinstance(dataset, NumpyDataset)
    assert dataset.digest == digest
    assert dataset.features is features
    assert dataset.targets is targets


def test_the_schema_and_profile_of_arrays() -> None:
    dataset = from_numpy(np.ones((3, 4)), targets=np.ones(3, dtype="int64"), source="x")
    schema = json.loads(dataset.to_dict()["schema"])["mlflow_tensorspec"]
    assert json.loads(schema["features"]) == [
        {"type": "tensor", "tensor-spec": {"dtype": "float64", "shape": [-1, 4]}}
    ]
    assert json.loads(schema["targets"])[0]["tensor-spec"]["dtype"] == "int64"
    assert dataset.profile["features_shape"] == (3, 4)
    assert dataset.profile["targets_nbytes"] == 24
    assert from_numpy(np.array(1), source="x").schema is None


def test_what_is_given_is_kept() -> None:
    frame = pd.DataFrame({"x": [1], "y": [2], "z": [3]})
    dataset = from_pandas(frame, "data.csv", "y", "named", "abc", "z")
    assert isinstance(dataset, PandasDataset)
    assert dataset.df is frame
    assert (dataset.name, dataset.digest) == ("named", "abc")
    assert (dataset.targets, dataset.predictions) == ("y", "z")
    assert from_pandas(frame).name == "dataset"
    assert json.loads(dataset.to_json())["name"] == "named"
    assert "named" in repr(dataset)


def test_what_is_no_data_is_refused() -> None:
    frame = pd.DataFrame({"x": [1]})
    for call in (
        lambda: from_pandas([1]),
        lambda: from_pandas(frame, targets="none"),
        lambda: from_pandas(frame, predictions="none"),
        lambda: from_numpy([1, 2]),
        lambda: from_numpy(frame),
        lambda: from_numpy(np.ones(1), targets=[1]),
        lambda: get_source("x"),  # type: ignore[arg-type]
    ):
        with pytest.raises(MlflowException) as caught:
            call()
        assert caught.value.error_code == "INVALID_PARAMETER_VALUE"


@pytest.mark.parametrize(
    ("raw", "kind", "described"),
    [
        ("data/x.csv", "local", {"uri": "data/x.csv"}),
        (Path("a/b"), "local", {"uri": "a/b"}),
        ("file:///abs/x", "local", {"uri": "file:///abs/x"}),
        ("https://h/x?y", "http", {"url": "https://h/x?y"}),
        ("s3://b/k", "s3", {"uri": "s3://b/k"}),
        ("gs://b/k", "gs", {"uri": "gs://b/k"}),
        ("hdfs://n/x", "hdfs", {"uri": "hdfs://n/x"}),
    ],
)
def test_sources(raw: Any, kind: str, described: dict[str, str]) -> None:
    source = resolve_dataset_source(raw)
    assert source._get_source_type() == kind
    assert source.to_dict() == described
    again = mlgit.data.get_dataset_source_from_json(source.to_json(), kind)
    assert type(again) is type(source)
    assert again.to_dict() == described
    if kind != "local":  # nothing is fetched
        with pytest.raises(MlflowException, match=kind):
            source.load()


@pytest.mark.parametrize("raw", ["foo://x", "dbfs:/x", "runs:/abc/x", 3])
def test_sources_that_nobody_knows(raw: Any) -> None:
    with pytest.raises(MlflowException) as caught:
        resolve_dataset_source(raw)
    assert caught.value.error_code == "RESOURCE_DOES_NOT_EXIST"


def test_local_sources_give_their_data(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("a\n1\n")
    source = resolve_dataset_source(str(tmp_path / "x.csv"))
    assert source.load() == str(tmp_path / "x.csv")
    copied = source.load(str(tmp_path / "copy"))
    assert Path(copied).read_text() == "a\n1\n"
    with pytest.raises(MlflowException):
        resolve_dataset_source(str(tmp_path / "none")).load()


def test_data_without_a_source_comes_from_the_program() -> None:
    source = from_numpy(np.ones(1)).source
    assert isinstance(source, CodeDatasetSource)
    assert set(source.tags) == {"mlflow.user", "mlflow.source.name", "mlflow.source.type"}
    assert "/" not in source.tags["mlflow.source.name"]


def test_datasets_of_their_description_alone() -> None:
    dataset = MetaDataset(HTTPDatasetSource(url="https://x/y.gz"))
    assert dataset.digest == "da8d63f1"
    assert dataset.profile is None
    assert dataset.to_dict()["schema"] is None
    assert MetaDataset(HTTPDatasetSource("https://x/y.gz"), name="n").digest != dataset.digest


class Shelf(DatasetSource):
    """A source of a program's own."""

    def __init__(self, place: str) -> None:
        self.place = place

    @staticmethod
    def _get_source_type() -> str:
        return "shelf"

    def to_dict(self) -> dict[str, Any]:
        return {"place": self.place}

    @classmethod
    def from_dict(cls, source_dict: dict[str, Any]) -> Shelf:
        return cls(source_dict["place"])


class Books(Dataset):
    """A dataset of a program's own."""

    def _compute_digest(self) -> str:
        return "b00c"


@pytest.fixture
def active(repo_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.chdir(repo_dir)
    return mlgit.start_run()


def test_datasets_of_a_programs_own(active: Any) -> None:
    register_dataset_source(Shelf)
    mlgit.log_input(Books(Shelf("left"), name="books"))
    mlgit.end_run()
    logged = mlgit.get_run(active.info.run_id).inputs.dataset_inputs[0]
    assert (logged.dataset.name, logged.dataset.digest) == ("books", "b00c")
    source = get_source(logged)
    assert isinstance(source, Shelf)
    assert source.place == "left"
    with pytest.raises(MlflowException):
        mlgit.data.get_dataset_source_from_json("{}", "nothing")


def test_logged_datasets_come_back(active: Any) -> None:
    frame = pd.DataFrame({"x": [1.5], "y": ["a"]})
    dataset = from_pandas(frame, source="path/to/data.csv", name="training_data")
    for _ in range(3):  # once an epoch, say
        mlgit.log_input(dataset, context="training", tags={"k": "v"})
    mlgit.log_input(dataset, context="validation")
    mlgit.log_inputs([from_numpy(np.ones(2), name="n")], ["test"], [None])
    for going in (True, False):
        inputs = mlgit.get_run(active.info.run_id).inputs.dataset_inputs
        assert [i.dataset.name for i in inputs] == ["training_data", "training_data", "n"]
        assert {t.key: t.value for t in inputs[0].tags} == {
            "k": "v",
            "mlflow.data.context": "training",
        }
        assert inputs[0].dataset == dataset._to_mlflow_entity()
        assert get_source(inputs[0].dataset).to_dict() == {"uri": "path/to/data.csv"}
        if going:
            mlgit.end_run()
    found = mlgit.search_runs(filter_string="datasets.digest = '" + dataset.digest + "'")
    assert len(found) == 1


def test_the_client_logs_entities(active: Any) -> None:
    from mlgit.entities import DatasetInput, InputTag

    dataset = from_numpy(np.ones(2), name="n")
    client = mlgit.MlgitClient()
    logged = DatasetInput(dataset._to_mlflow_entity(), [InputTag("mlflow.data.context", "c")])
    client.log_inputs(active.info.run_id, [logged])
    assert client.get_run(active.info.run_id).inputs.dataset_inputs == [logged]


def test_inputs_that_are_none_are_refused(active: Any) -> None:
    for call in (
        lambda: mlgit.log_input({"x": 1}),
        lambda: mlgit.log_input(None),
        lambda: mlgit.log_inputs([from_numpy(np.ones(2))], ["a", "b"]),
    ):
        with pytest.raises(MlflowException) as caught:
            call()
        assert caught.value.error_code == "INVALID_PARAMETER_VALUE"
