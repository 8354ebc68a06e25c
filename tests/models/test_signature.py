"""Signatures: inferred, written, read, printed, and put into a model."""

from __future__ import annotations

import dataclasses
import datetime
import json
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from mlgit.exceptions import InvalidParameterValue, ResourceDoesNotExist
from mlgit.models import ModelSignature, infer_signature, set_signature
from mlgit.models.enforcement import enforce_schema
from mlgit.models.type_hints import signature_from_type_hints
from mlgit.types import ColSpec, Schema

FRAME = pd.DataFrame(
    {
        "age": [31.5, None],
        "name": ["x", "y"],
        "seen": pd.to_datetime(["2020-01-01", "2021-01-01"]),
        "tags": [["a"], ["b", "c"]],
        "place": [{"lat": 1.5}, {"lat": 2.5, "note": "n"}],
    }
)


def test_a_frames_signature_is_mlflows() -> None:
    signature = infer_signature(FRAME, np.array([0.5, 1.5]), {"threshold": 0.5})
    inputs, outputs, params = map(json.loads, signature.to_dict().values())
    assert inputs == [
        {"type": "double", "name": "age", "required": False},
        {"type": "string", "name": "name", "required": True},
        {"type": "datetime", "name": "seen", "required": True},
        {"type": "array", "items": {"type": "string"}, "name": "tags", "required": True},
        {
            "type": "object",
            "properties": {
                "lat": {"type": "double", "required": True},
                "note": {"type": "string", "required": False},
            },
            "name": "place",
            "required": True,
        },
    ]
    assert outputs == [{"type": "tensor", "tensor-spec": {"dtype": "float64", "shape": [-1]}}]
    assert params == [{"name": "threshold", "default": 0.5, "shape": None, "type": "double"}]


def test_a_signature_takes_the_data_that_it_was_inferred_from() -> None:
    signature = infer_signature(FRAME)
    assert signature.inputs is not None
    found = enforce_schema(FRAME, signature.inputs)
    pd.testing.assert_frame_equal(found, FRAME, check_dtype=False)


def test_it_is_read_as_it_was_written_and_printed() -> None:
    signature = infer_signature({"a": 1.5}, ["x"])
    assert ModelSignature.from_dict(signature.to_dict()) == signature
    # Keys of later versions are left alone.
    assert ModelSignature.from_dict({**signature.to_dict(), "later": 1}) == signature
    assert str(signature) == (
        "inputs: \n  ['a': double (required)]\noutputs: \n  [string (required)]\nparams: \n  None\n"
    )


def test_integer_columns_are_warned_of() -> None:
    with pytest.warns(UserWarning, match="Integer columns"):
        infer_signature(pd.DataFrame({"a": [1]}))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        infer_signature(pd.DataFrame({"a": [1.5]}), np.array([1]))


def test_what_cannot_be_told_is_anything_and_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    signature = infer_signature([1, "a"])
    assert str(signature.inputs) == "[Any (required)]"
    assert "long and string" in caplog.text
    assert enforce_schema([1, "a"], signature.inputs) == [1, "a"]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "make",
    [
        lambda: ModelSignature(),
        lambda: ModelSignature("inputs"),
        lambda: ModelSignature([ColSpec("long")]),
        lambda: ModelSignature(Schema([ColSpec("long")]), params=3),  # type: ignore[arg-type]
        lambda: ModelSignature.from_dict({}),
        lambda: ModelSignature.from_dict([]),  # type: ignore[arg-type]
        lambda: ModelSignature.from_dict({"inputs": "x"}),
        lambda: infer_signature(params={"a": None}),
        lambda: infer_signature(params={"a": [1, "b"]}),
        lambda: infer_signature(params=[1]),  # type: ignore[arg-type]
    ],
)
def test_what_is_no_signature_is_refused(make: Any) -> None:
    with pytest.raises(InvalidParameterValue):
        make()


def test_tensors_of_torch_are_tensors() -> None:
    torch = pytest.importorskip("torch")
    signature = infer_signature(torch.zeros(2, 3), {"a": torch.zeros(4, dtype=torch.int64)})
    assert str(signature.inputs) == "[Tensor('float32', (-1, 3))]"
    assert str(signature.outputs) == "['a': Tensor('int64', (-1,))]"
    assert signature.inputs is not None
    given = torch.zeros(5, 3)
    assert enforce_schema(given, signature.inputs) is given
    with pytest.raises(InvalidParameterValue, match="float32.*float64"):
        enforce_schema(given.double(), signature.inputs)


@dataclasses.dataclass
class Question:
    text: str
    at: datetime.datetime
    weights: list[float]
    topic: str | None = None


def test_dataclasses_are_schemas() -> None:
    signature = ModelSignature(Question, outputs=Question("x", datetime.datetime.now(), []))
    assert signature.inputs == signature.outputs
    assert str(signature.inputs) == (
        "['text': string (required), 'at': datetime (required), "
        "'weights': Array(float) (required), 'topic': string (optional)]"
    )


def test_hints_say_a_signature() -> None:
    signature = signature_from_type_hints(list[dict[str, float]], list[str])
    assert str(signature.inputs) == "[Array(Map(str -> DataType.double)) (required)]"
    assert str(signature.outputs) == "[Array(string) (required)]"
    assert str(signature_from_type_hints(list[str], set[int]).outputs) == "[Any (required)]"
    assert signature_from_type_hints(pd.DataFrame) is None
    assert signature_from_type_hints(None) is None
    for hint, why in (
        (list, "what is in it"),
        (set[int], "no type"),
        (list[str] | None, "optional"),
    ):
        with pytest.raises(InvalidParameterValue, match=why):
            signature_from_type_hints(hint)


def test_pydantic_models_say_a_signature() -> None:
    pydantic = pytest.importorskip("pydantic")
    message = pydantic.create_model("Message", role=(str, ...), name=(str | None, None))
    signature = signature_from_type_hints(list[message], message)
    assert str(signature.inputs) == (
        "[Array({name: string (optional), role: string (required)}) (required)]"
    )
    with pytest.raises(InvalidParameterValue, match="'name' of Bad is optional"):
        signature_from_type_hints(list[pydantic.create_model("Bad", name=(str | None, ...))])


def test_set_signature_changes_the_file_alone_in_its_signature(tmp_path: Path) -> None:
    model = {"flavors": {"python_function": {"loader_module": "x"}}, "model_uuid": "0" * 32}
    (tmp_path / "MLmodel").write_text(yaml.safe_dump(model), encoding="utf-8")
    signature = infer_signature([1.5])
    set_signature(str(tmp_path), signature)
    set_signature(tmp_path.as_uri(), signature)
    found = yaml.safe_load((tmp_path / "MLmodel").read_text(encoding="utf-8"))
    assert ModelSignature.from_dict(found.pop("signature")) == signature
    assert found == model
    assert [path.name for path in tmp_path.iterdir()] == ["MLmodel"]


def test_set_signature_refuses_what_is_no_local_model(tmp_path: Path) -> None:
    signature = infer_signature([1.5])
    with pytest.raises(ResourceDoesNotExist, match="no model"):
        set_signature(str(tmp_path), signature)
    with pytest.raises(InvalidParameterValue, match="stays as it was logged"):
        set_signature("runs:/1/model", signature)
    with pytest.raises(InvalidParameterValue, match="ModelSignature"):
        set_signature(str(tmp_path), "x")  # type: ignore[arg-type]
    (tmp_path / "MLmodel").write_text("[1]", encoding="utf-8")
    with pytest.raises(InvalidParameterValue, match="mapping"):
        set_signature(str(tmp_path), signature)


def test_the_import_loads_nothing_heavy() -> None:
    code = (
        "import sys, mlgit.models.signature, mlgit.models.enforcement, mlgit.models.examples, "
        "mlgit.models.serving, mlgit.models.type_hints, mlgit.types.schema\n"
        "print([m for m in ('numpy', 'pandas', 'yaml', 'scipy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
