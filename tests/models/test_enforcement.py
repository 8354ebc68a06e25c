"""Inputs and params held against a signature: what is copied, what is changed, what errors say."""

from __future__ import annotations

import datetime
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlgit.exceptions import InvalidParameterValue
from mlgit.models.enforcement import enforce_params, enforce_schema, validate_schema
from mlgit.models.signature import infer_signature
from mlgit.types.schema import (
    Array,
    ColSpec,
    Map,
    Object,
    ParamSchema,
    ParamSpec,
    Property,
    Schema,
    TensorSpec,
)

AB = Schema([ColSpec("double", "a"), ColSpec("long", "b")])
POINT = Object([Property("x", "double"), Property("y", "long", required=False)])


def test_right_columns_are_not_copied() -> None:
    frame = pd.DataFrame({"a": np.arange(3.0), "b": np.arange(3), "c": ["x", "y", "z"]})
    for data in (frame[["a", "b"]], frame, frame[["c", "b", "a"]]):
        found = enforce_schema(data, AB)
        assert list(found.columns) == ["a", "b"]
        for name in ("a", "b"):
            assert np.shares_memory(found[name].to_numpy(), data[name].to_numpy())


def test_only_the_wrong_column_is_cast() -> None:
    frame = pd.DataFrame({"a": np.arange(3, dtype="float32"), "b": np.arange(3)})
    found = enforce_schema(frame, AB)
    assert found["a"].dtype == "float64"
    assert np.shares_memory(found["b"].to_numpy(), frame["b"].to_numpy())
    assert frame["a"].dtype == "float32"


@pytest.mark.parametrize("dtype", ["int8", "uint32", "float32"])
def test_a_frame_is_widened_at_once_as_column_by_column(dtype: str) -> None:
    frame = pd.DataFrame({name: np.arange(3, dtype=dtype) for name in "ab"}, index=["x", "y", "z"])
    schema = Schema([ColSpec("double", name) for name in "ab"])
    found = enforce_schema(frame, schema)
    expected = enforce_schema(frame.assign(c="text"), schema)
    pd.testing.assert_frame_equal(found, expected)
    assert (found.dtypes == "float64").all()


def test_a_model_may_add_columns_to_what_it_gets() -> None:
    frame = pd.DataFrame({"a": [1.5], "b": [1]})
    found = enforce_schema(frame, AB)
    found["more"] = 1
    assert list(frame.columns) == ["a", "b"]


def test_nested_values_are_not_changed_in_place() -> None:
    value = {"x": 1, "y": np.int32(2)}
    found = enforce_schema(pd.DataFrame({"p": [value]}), Schema([ColSpec(POINT, "p")]))
    assert found["p"][0] == {"x": 1.0, "y": 2} and type(found["p"][0]["x"]) is float
    assert type(value["x"]) is int and type(value["y"]) is np.int32


ERRORS: dict[str, tuple[Any, Schema, list[str]]] = {
    "a missing column": (
        pd.DataFrame({"a": [1.5], "c": [1]}),
        AB,
        ["['b']", "long", "came: ['a', 'c']"],
    ),
    "names of another type": (
        pd.DataFrame([[1.5]]),
        Schema([ColSpec("double", "0")]),
        ["['0']", "str here, int there"],
    ),
    "floats for whole numbers": (
        pd.DataFrame({"a": [1.5], "b": [1.5]}),
        AB,
        ["'b'", "long", "float64"],
    ),
    "whole numbers with missing ones": (
        pd.DataFrame({"a": [1.5, 2], "b": [1, None]}),
        AB,
        ["'b'", "long", "float64", "missing values"],
    ),
    "whole numbers of pandas with missing ones": (
        pd.DataFrame({"a": [1.5, 2], "b": pd.Series([1, None], dtype="Int64")}),
        AB,
        ["'b'", "long", "Int64", "missing values"],
    ),
    "whole numbers for floats": (
        pd.DataFrame({"a": [2, 3], "b": [1, 1]}),
        AB,
        ["'a'", "double", "int64", "lose digits", "astype"],
    ),
    "text for numbers": (
        pd.DataFrame({"a": ["x"], "b": [1]}),
        AB,
        ["'a'", "double", "string"],
    ),
    "a time zone": (
        pd.DataFrame({"t": pd.date_range("2020", periods=1, tz="UTC")}),
        Schema([ColSpec("datetime", "t")]),
        ["'t'", "datetime", "UTC", "tz_localize(None)"],
    ),
    "text that is no date": (
        pd.DataFrame({"t": ["2020-01-01", "x"]}),
        Schema([ColSpec("datetime", "t")]),
        ["'t'", "datetime"],
    ),
    "columns of one name": (
        pd.DataFrame([[1.5, 1.5]], columns=["a", "a"]),
        AB,
        ["one name", "['a']"],
    ),
    "too few columns": (
        [1.5],
        Schema([ColSpec("double"), ColSpec("long")]),
        ["2 columns", "1 came", "[double (required), long (required)]"],
    ),
    "no data": (None, AB, ["NoneType", "'a': double"]),
    "lists of other lengths": ({"a": [1.5], "b": [1, 2]}, AB, ["same length"]),
    "a property that is missing": (
        {"p": {"y": 1}},
        Schema([ColSpec(POINT, "p")]),
        ["p[0]", "lacks ['x']", "x: double"],
    ),
    "a property that there isn't": (
        {"p": {"x": 1, "z": 1}},
        Schema([ColSpec(POINT, "p")]),
        ["p[0]", "has ['z']"],
    ),
    "a nested value of another type": (
        {"p": [{"x": [1.5, "a"]}]},
        Schema([ColSpec(Array(Map(Array("double"))), "p")]),
        ["p[0][0].x[1]", "double", "'a' (str)"],
    ),
    "a shape": (
        np.ones((2, 3)),
        Schema([TensorSpec(np.dtype("float64"), (-1, 2))]),
        ["(-1, 2)", "(2, 3)"],
    ),
    "a dtype": (
        np.ones((2, 2)),
        Schema([TensorSpec(np.dtype("float32"), (-1, 2))]),
        ["float32", "float64", "astype"],
    ),
    "a missing tensor": (
        {"a": np.ones(2)},
        Schema([TensorSpec(np.dtype("float64"), (-1,), name) for name in ("a", "b")]),
        ["['b']", "['a'] came"],
    ),
    "a list for a tensor": (
        [1.5],
        Schema([TensorSpec(np.dtype("float64"), (-1,))]),
        ["list", "numpy.asarray"],
    ),
    "numbers that a tensor cannot hold": (
        pd.Series([300]),
        Schema([TensorSpec(np.dtype("uint8"), (-1,))]),
        ["uint8", "can't hold"],
    ),
}


@pytest.mark.parametrize("case", ERRORS)
def test_errors_say_where_and_what(case: str) -> None:
    data, schema, said = ERRORS[case]
    with pytest.raises(InvalidParameterValue) as caught:
        validate_schema(data, schema)
    for part in said:
        assert part in str(caught.value)


def test_dates_become_nanoseconds() -> None:
    schema = Schema([ColSpec("datetime", "t")])
    for dates in (["2020-01-01"], [datetime.date(2020, 1, 1)], np.array(["2020-01-01"], "M8[s]")):
        found = enforce_schema(pd.DataFrame({"t": dates}), schema)
        assert found["t"].dtype == "datetime64[ns]" and found["t"][0] == pd.Timestamp("2020-01-01")


NUMBERS = {"integer": "int32", "long": "int64", "float": "float32", "double": "float64"}


@given(
    st.sampled_from([f"{k}{b}" for k in ("int", "uint") for b in (8, 16, 32, 64)] + ["float32"]),
    st.sampled_from([*NUMBERS]),
    st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=5),
)
def test_numbers_come_out_as_they_went_in_or_are_refused(
    dtype: str, kind: str, numbers: list[int]
) -> None:
    column = np.array(numbers, dtype="uint64").astype(dtype)
    schema = Schema([ColSpec(kind, "x")])
    try:
        found = enforce_schema(pd.DataFrame({"x": column}), schema)["x"]
    except InvalidParameterValue:
        return
    assert found.dtype == NUMBERS[kind]
    assert [int(value) for value in found] == [int(value) for value in column]


# Empty lists and dicts are of any type when it's inferred, and of none that they're held against.
VALUES = st.recursive(
    st.text(max_size=3) | st.integers(-5, 5) | st.floats(allow_nan=False) | st.booleans(),
    lambda inner: (
        st.lists(inner, min_size=1, max_size=3)
        | st.dictionaries(st.text(max_size=3), inner, min_size=1, max_size=3)
    ),
    max_leaves=8,
)


@given(st.lists(st.dictionaries(st.sampled_from(["a", "b"]), VALUES, min_size=1), min_size=1))
@pytest.mark.filterwarnings("ignore")
def test_what_a_signature_was_inferred_from_goes_through(rows: list[dict[str, Any]]) -> None:
    schema = infer_signature(rows).inputs
    assert schema is not None
    try:
        found = enforce_schema(rows, schema)
    except InvalidParameterValue as error:
        # Numbers and booleans that are missing in some rows change their type in a frame.
        assert len({frozenset(row) for row in rows}) > 1, error
        return
    assert len(found) == len(rows)


PARAMS = ParamSchema(
    [
        ParamSpec("n", "long", 1),
        ParamSpec("rate", "double", 0.5),
        ParamSpec("stop", "string", ["."], (-1,)),
        ParamSpec("at", "datetime", "2020-01-01"),
        ParamSpec("point", POINT, {"x": 1.0}),
    ]
)


def test_params_are_cast_and_filled() -> None:
    found = enforce_params({"n": np.int64(2), "rate": 1, "at": "2021-01-01T10:00:00"}, PARAMS)
    assert found == {
        "n": 2,
        "rate": 1.0,
        "stop": ["."],
        "at": datetime.datetime(2021, 1, 1, 10),
        "point": {"x": 1.0},
    }
    assert type(found["n"]) is int and type(found["rate"]) is float
    assert enforce_params(None, None) == {}


def test_all_wrong_params_are_named(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(InvalidParameterValue) as caught:
        enforce_params({"n": 1.5, "stop": ".", "point": {"z": 1}, "at": "x"}, PARAMS)
    for part in ("'n': long", "1.5 (float)", "'stop'", "'point'", "'at': datetime", "'rate'"):
        assert part in str(caught.value)
    with pytest.raises(InvalidParameterValue, match="dict"):
        enforce_params([1], PARAMS)  # type: ignore[arg-type]
    assert "other" not in enforce_params({"other": 1}, PARAMS)
    assert "['other']" in caplog.text
