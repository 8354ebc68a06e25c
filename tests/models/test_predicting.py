"""Predicting on requests' bodies and files, by a model's URI."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import mlgit
from mlgit.exceptions import InvalidParameterValue, MlgitException, ResourceDoesNotExist
from mlgit.models.results import shown

FRAME = pd.DataFrame({"a": [1.0, 2.0], "b": ["x", "y"]})
SPLIT = {"dataframe_split": {"columns": ["a", "b"], "data": [[1, "x"], [2, "y"]]}}


class Doubled(mlgit.pyfunc.PythonModel):
    def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:
        return model_input["a"] * (params or {"factor": 2})["factor"]


@pytest.fixture
def model(in_repo: Path) -> str:
    from mlgit.types.schema import ParamSchema, ParamSpec

    signature = mlgit.models.infer_signature(FRAME, [2.0])
    signature.params = ParamSchema([ParamSpec("factor", "double", 2.0)])
    mlgit.pyfunc.save_model("saved", python_model=Doubled(), signature=signature)
    return "saved"


@pytest.mark.parametrize("as_text", [True, False])
@pytest.mark.parametrize(
    "body",
    [SPLIT, {"dataframe_records": [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}]}],
)
def test_a_request(body: dict[str, Any], as_text: bool, model: str) -> None:
    given: Any = json.dumps(body) if as_text else body
    assert list(mlgit.models.validate_serving_input(model, given)) == [2.0, 4.0]
    assert json.loads(str(mlgit.models.predict(model, given, env_manager="local"))) == {
        "predictions": [2.0, 4.0]
    }
    with_params: Any = {**body, "params": {"factor": 3.0}}
    found = mlgit.models.validate_serving_input(
        model, json.dumps(with_params) if as_text else with_params
    )
    assert list(found) == [3.0, 6.0]


def test_data_and_files(model: str) -> None:
    FRAME.to_csv("in.csv", index=False)
    Path("in.json").write_text(json.dumps(SPLIT))
    wanted = {"predictions": [2.0, 4.0]}
    for options in (
        {"input_data": FRAME},
        {"input_path": "in.json"},
        {"input_path": "in.csv", "content_type": "csv"},
        {"input_data": Path("in.csv").read_text(), "content_type": "csv"},
    ):
        assert (
            json.loads(str(mlgit.models.predict(model, env_manager="local", **options))) == wanted
        )
    assert mlgit.models.predict(model, FRAME, output_path="out.json", env_manager="local") is None
    assert json.loads(Path("out.json").read_text()) == wanted


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"input_data": "x", "input_path": "y"},
        {"input_data": "{"},
        {"input_data": "[]"},
        {"input_data": "{}"},
        {"input_data": FRAME, "content_type": "xml"},
        {"input_data": FRAME, "env_manager": "docker"},
        {"input_data": FRAME, "output_path": "no/such/folder"},
        {"input_data": {**SPLIT, "instances": [1]}},
        {"input_data": {**SPLIT, "params": 3}},
        {"input_data": {"dataframe_split": {"columns": ["b"], "data": [["x"]]}}},
        {"input_path": "in.bin"},
    ],
)
def test_what_can_not_be_right(options: dict[str, Any], model: str) -> None:
    Path("in.bin").write_bytes(b"\xff\xfe")
    with pytest.raises(MlgitException):
        mlgit.models.predict(model, **{"env_manager": "local", **options})


def test_a_file_that_is_not_there(model: str) -> None:
    with pytest.raises(ResourceDoesNotExist):
        mlgit.models.predict(model, input_path="none.json", env_manager="local")
    with pytest.raises(InvalidParameterValue):
        mlgit.models.validate_serving_input(model, "{")


def test_predictions_as_json() -> None:
    assert shown(np.array([[1, 2]])) == [[1, 2]]
    assert shown(FRAME) == [{"a": 1.0, "b": "x"}, {"a": 2.0, "b": "y"}]
    assert shown({"x": np.float32(1.5), "y": (1, np.int64(2))}) == {"x": 1.5, "y": [1, 2]}
    assert shown("text") == "text"
