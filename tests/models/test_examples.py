"""Input examples and requests: written, read, and read again by a signature."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlgit.exceptions import (
    CorruptData,
    InvalidParameterValue,
    MlgitException,
    ResourceDoesNotExist,
)
from mlgit.models.enforcement import enforce_schema
from mlgit.models.examples import (
    convert_input_example_to_serving_input,
    load_example_params,
    load_input_example,
    save_input_example,
)
from mlgit.models.serving import parse_serving_input
from mlgit.models.signature import infer_signature
from mlgit.types.schema import ColSpec, Schema, TensorSpec

FRAME = pd.DataFrame(
    {
        "number": [1.5, None],
        "whole": [1, 2],
        "text": ["x", "y"],
        "flag": [True, False],
        "seen": pd.to_datetime(["2020-01-01T01:02:03", None]),
        "raw": [b"\x00\xff", b"y"],
        "list": [[1.5], [2.5, 3.5]],
        "object": [{"a": b"z"}, {"a": b""}],
    }
)
EXAMPLES: dict[str, Any] = {
    "a frame": FRAME,
    "a frame without names": pd.DataFrame([[1, 2.5]]),
    "an array": np.ones((2, 3), "float32"),
    "whole numbers": np.arange(4, dtype="uint8"),
    "dates": np.array(["2020-01-01"], "M8[s]"),
    "bytes": np.array([b"a\xff"]),
    "missing numbers": np.array([1.5, np.nan]),
    "arrays": {"a": np.ones(2, "float32"), "b": np.array([["x"]])},
}


@pytest.mark.parametrize("name", EXAMPLES)
@pytest.mark.filterwarnings("ignore:Integer columns")
def test_an_example_comes_back_with_its_types(name: str, tmp_path: Path) -> None:
    example = EXAMPLES[name]
    saved = save_input_example(tmp_path, (example, {"n": 1}))
    assert saved.data is example and saved.params == {"n": 1}
    schema = infer_signature(example).inputs
    loaded = load_input_example(tmp_path, saved.info, schema)
    assert load_example_params(tmp_path, saved.info) == {"n": 1}
    request = (tmp_path / "serving_input_example.json").read_text(encoding="utf-8")
    sent, params = parse_serving_input(request, schema)
    assert params == {"n": 1}
    assert schema is not None
    for found in (loaded, sent):
        _assert_same(enforce_schema(found, schema), enforce_schema(example, schema))


def _assert_same(found: Any, expected: Any) -> None:
    if isinstance(expected, pd.DataFrame):
        pd.testing.assert_frame_equal(found, expected, check_column_type=False)
    elif isinstance(expected, dict):
        for name, array in expected.items():
            _assert_same(found[name], array)
    else:
        np.testing.assert_array_equal(found, expected, strict=expected.dtype.kind not in "US")


def test_sparse_matrices_come_back(tmp_path: Path) -> None:
    sparse = pytest.importorskip("scipy.sparse")
    for make in (sparse.csr_matrix, sparse.csc_matrix):
        saved = save_input_example(tmp_path, make(np.eye(3)))
        found = load_input_example(tmp_path, saved.info)
        assert type(found) is make and (found != make(np.eye(3))).nnz == 0


def test_the_files_are_mlflows(tmp_path: Path) -> None:
    saved = save_input_example(tmp_path, (pd.DataFrame({"a": [1.5, None]}), {"t": 0.5}))
    assert saved.info == {
        "artifact_path": "input_example.json",
        "params": "true",
        "type": "dataframe",
        "pandas_orient": "split",
        "serving_input_path": "serving_input_example.json",
    }
    written = (tmp_path / "input_example.json").read_text(encoding="utf-8")
    assert written == (
        '{"inputs": {"columns": ["a"], "data": [[1.5], [null]]}, "params": {"t": 0.5}}'
    )
    assert (
        convert_input_example_to_serving_input([1, 2]) == '{\n  "inputs": [\n    1,\n    2\n  ]\n}'
    )
    assert convert_input_example_to_serving_input(None) is None


@pytest.mark.parametrize("example", [object(), {"a": 1j}, (1, 2), None, [{1, 2}]])
def test_what_json_cannot_say_is_refused_and_writes_nothing(example: Any, tmp_path: Path) -> None:
    with pytest.raises(InvalidParameterValue):
        save_input_example(tmp_path / "model", example)
    assert not (tmp_path / "model").exists()


def test_a_models_example_that_is_not_right(tmp_path: Path) -> None:
    info = {"artifact_path": "input_example.json", "type": "dataframe"}
    with pytest.raises(ResourceDoesNotExist, match=r"input_example\.json"):
        load_input_example(tmp_path, info)
    file = tmp_path / "input_example.json"
    for text, kind in (
        ("{", "dataframe"),
        ("[1]", "dataframe"),
        ("[[1], [1, 2]]", "ndarray"),
        ("{}", "sparse_matrix_csr"),
    ):
        file.write_text(text, encoding="utf-8")
        with pytest.raises(CorruptData):
            load_input_example(tmp_path, {**info, "type": kind})
    with pytest.raises(CorruptData, match="no params"):
        load_example_params(tmp_path, {**info, "params": "true"})
    (tmp_path / "secret").write_text("1", encoding="utf-8")
    for outside in ("../secret", str(tmp_path / "secret")):
        (tmp_path / "model").mkdir(exist_ok=True)
        with pytest.raises(InvalidParameterValue, match="isn't in the model's folder"):
            load_input_example(tmp_path / "model", {**info, "artifact_path": outside})


AB = Schema([ColSpec("double", "a"), ColSpec("integer", "b", required=False)])


@pytest.mark.parametrize(
    "payload",
    [
        {"dataframe_split": {"columns": ["b", "a"], "data": [[2, 1], [4, 3]]}},
        {"dataframe_records": [{"a": 1, "b": 2}, {"a": 3, "b": 4}]},
        {"instances": [{"a": 1, "b": 2}, {"a": 3, "b": 4}]},
        {"inputs": {"a": [1, 3], "b": [2, 4]}},
        {"inputs": [{"a": 1, "b": 2.0}, {"a": 3, "b": 4.0}]},
    ],
    ids=lambda p: next(iter(p)),
)
def test_every_form_of_a_request_is_the_same_frame(payload: dict[str, Any]) -> None:
    expected = pd.DataFrame({"a": [1.0, 3.0], "b": np.array([2, 4], "int32")})
    for sent in (payload, json.dumps(payload), json.dumps(payload).encode()):
        data, params = parse_serving_input(sent, AB)
        pd.testing.assert_frame_equal(enforce_schema(data, AB), expected)
        assert params is None


def test_tensors_of_a_request() -> None:
    one = Schema([TensorSpec(np.dtype("float32"), (-1, 2))])
    for key in ("inputs", "instances"):
        data, _ = parse_serving_input({key: [[1, 2.5]]}, one)
        np.testing.assert_array_equal(data, np.array([[1, 2.5]], "float32"), strict=True)
    two = Schema([TensorSpec(np.dtype("int64"), (-1,), name) for name in ("a", "b")])
    data, params = parse_serving_input({"inputs": {"a": [1], "b": [2]}, "params": {"t": 1}}, two)
    assert {name: array.tolist() for name, array in data.items()} == {"a": [1], "b": [2]}
    assert params == {"t": 1}


def test_a_chat_request_is_the_input_itself() -> None:
    body = {"messages": [{"role": "user", "content": "hi"}], "temperature": 0.5}
    assert parse_serving_input(json.dumps(body), None) == (body, {})


BAD: dict[str, tuple[Any, str]] = {
    "not JSON": ("{", "BAD_REQUEST"),
    "bytes that are no text": (b"\xff\xfe\xfd", "BAD_REQUEST"),
    "nested without end": ('{"inputs": ' + "[" * 100_000, "BAD_REQUEST"),
    "a list": ("[1]", "BAD_REQUEST"),
    "nothing in it": ({}, "BAD_REQUEST"),
    "two of the keys": ({"inputs": [1], "instances": [1]}, "BAD_REQUEST"),
    "params that are no object": ({"inputs": [1.5], "params": 3}, "INVALID_PARAMETER_VALUE"),
    "split that is a list": ({"dataframe_split": [1]}, "INVALID_PARAMETER_VALUE"),
    "split with other keys": (
        {"dataframe_split": {"data": [[1]], "x": 1}},
        "INVALID_PARAMETER_VALUE",
    ),
    "split that is too wide": (
        {"dataframe_split": {"columns": ["a"], "data": [[1, 2]]}},
        "INVALID_PARAMETER_VALUE",
    ),
    "records that are numbers": ({"dataframe_records": [1]}, "INVALID_PARAMETER_VALUE"),
    "instances that are an object": ({"instances": {"a": 1}}, "INVALID_PARAMETER_VALUE"),
    "instances with other names": ({"instances": [{"a": 1}, {"b": 1}]}, "INVALID_PARAMETER_VALUE"),
    "text for a number": ({"inputs": {"a": ["x"]}}, "INVALID_PARAMETER_VALUE"),
    "a fraction for a whole number": (
        {"inputs": {"a": [1], "b": [1.5]}},
        "INVALID_PARAMETER_VALUE",
    ),
    "null for a whole number": ({"inputs": {"a": [1], "b": [None]}}, "INVALID_PARAMETER_VALUE"),
    "a number over 32 bits": ({"inputs": {"a": [1], "b": [2**31]}}, "INVALID_PARAMETER_VALUE"),
    "a number over all bits": ({"inputs": {"a": [10**400]}}, "INVALID_PARAMETER_VALUE"),
    "true for a number": ({"inputs": {"a": [True]}}, "INVALID_PARAMETER_VALUE"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_requests_are_refused_in_words(case: str) -> None:
    payload, code = BAD[case]
    with pytest.raises(MlgitException) as caught:
        parse_serving_input(payload, AB)
    assert caught.value.error_code == code
    assert caught.value.message


def test_bytes_are_sent_in_base64() -> None:
    schema = Schema([ColSpec("binary", "a")])
    data, _ = parse_serving_input({"inputs": {"a": ["eHk=\n"]}}, schema)
    assert data["a"].tolist() == [b"xy"]
    for wrong in ("é", "eHk", 3):
        with pytest.raises(InvalidParameterValue, match="base64"):
            parse_serving_input({"inputs": {"a": [wrong]}}, schema)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["a", "b", "data", "columns", "x"]), inner, max_size=3)
    ),
    max_leaves=8,
)
SCHEMAS = [
    None,
    AB,
    Schema([ColSpec("datetime", "a"), ColSpec("boolean", "b", required=False)]),
    Schema([ColSpec("double"), ColSpec("string")]),
    Schema([TensorSpec(np.dtype("float32"), (-1, 2))]),
    Schema([TensorSpec(np.dtype("datetime64[s]"), (-1,), "a")]),
]


@given(
    st.sampled_from(["dataframe_split", "dataframe_records", "instances", "inputs"]),
    JSON,
    st.sampled_from(SCHEMAS),
)
@pytest.mark.filterwarnings("ignore")
def test_any_request_is_read_or_refused(key: str, form: Any, schema: Schema | None) -> None:
    try:
        data, _ = parse_serving_input(json.dumps({key: form}), schema)
        if schema is not None:
            enforce_schema(data, schema)
    except InvalidParameterValue as error:
        assert error.message
