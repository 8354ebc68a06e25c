"""Schemas, and data to hold against each of them."""

from __future__ import annotations

import datetime
from importlib import util
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from catalogue import ARROW, DATE, MOMENT, VALUES, Thunk, objects

SCALARS = ("boolean", "integer", "long", "float", "double", "string", "binary", "datetime")


def columns() -> dict[str, Any]:
    """Name → a column of two rows."""
    found: dict[str, Any] = {
        dtype: np.array([1, 2]).astype(dtype)
        for dtype in (
            *("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
            *("float16", "float32", "float64", "complex64", "M8[ns]", "M8[s]", "m8[s]"),
        )
    }
    found |= {f"obj {name}": objects(values) for name, values in VALUES.items()}
    for dtype in ("Int8", "Int32", "Int64", "UInt8", "Float32", "Float64"):
        found[dtype] = pd.Series([1, 2], dtype=dtype)
        found[f"{dtype} na"] = pd.Series([1, None], dtype=dtype)
    for dtype, values in ARROW.items() if util.find_spec("pyarrow") else ():
        found[f"arrow {dtype}"] = pd.Series(values, dtype=f"{dtype}[pyarrow]")
    for dtype in ("string", "str", "category"):
        found[dtype] = pd.Series(["a", "b"], dtype=dtype)
        found[f"{dtype} na"] = pd.Series(["a", None], dtype=dtype)
    return found | {
        "boolean": pd.Series([True, False], dtype="boolean"),
        "boolean na": pd.Series([True, None], dtype="boolean"),
        "category int": pd.Series([1, 2], dtype="category"),
        "int64 flags": np.array([0, 1]),
        "int64 large": np.array([2**60, 2]),
        "float64 nan": [1, np.nan],
        "float32 nan": np.array([1, np.nan], "f4"),
        "nat": pd.to_datetime(["2020", None]),
        "tz": pd.date_range("2020", periods=2, tz="UTC"),
        "str numbers": ["1", "2"],
        "str dates": ["2020-01-01", "2021-01-01"],
        "obj str dates": pd.Series(["2020-01-01", "2021-01-01"], dtype=object),
        "str not dates": ["2020-01-01", "x"],
    }


def nested(s: Any) -> dict[str, Any]:
    """Name → a type of nested values; ``s`` is the module of the schema's types."""
    xy = s.Object([s.Property("x", "long"), s.Property("y", "string", required=False)])

    def x(kind: Any, required: bool = True) -> Any:
        return s.Object([s.Property("x", kind, required=required)])

    return {
        **{f"array {name}": s.Array(name) for name in SCALARS},
        "array any": s.Array(s.AnyType()),
        "array array": s.Array(s.Array("long")),
        "array object": s.Array(xy),
        "object": xy,
        **{f"object {name}": x(name) for name in ("double", "datetime", "binary", "boolean")},
        "object array": x(s.Array("double"), False),
        "object any": x(s.AnyType(), False),
        "object object": x(x("string"), False),
        "map": s.Map("long"),
        "map array": s.Map(s.Array("string")),
        "map any": s.Map(s.AnyType()),
        "any": s.AnyType(),
        "vector": s.SparkMLVector(),
    }


def values() -> list[Any]:
    """Values to hold against nested types."""
    return [
        *(None, np.nan, 1, "s", [], [1], [1, 2], [1.5], [1, 2.5], ["a"], ["a", 1], [None]),
        *([1, None], [1.5, None], ["a", None], [True], [b"a"], [DATE], [MOMENT]),
        *(["2020-01-01"], [[1], [2]], [[1.5]], [[]], (1, 2), {1}),
        *(np.array([1, 2]), np.array([1.5]), np.array([1], "i4"), np.array([1.5], "f4")),
        *(np.array(["a"]), np.array([[1]]), np.array([True]), np.array([1], "u1")),
        *(np.array([1, None], dtype=object), np.array([])),
        *({"x": 1}, {"x": 1.5}, {"x": "a"}, {"x": None}, {"x": True}, {"x": np.int64(1)}),
        *({"x": np.int32(1)}, {"x": np.float32(1)}, {"x": 1, "y": "a"}, {"x": 1, "y": None}),
        *({"x": 1, "y": 2}, {"x": 1, "z": 2}, {"y": "a"}, {}, {"x": [1]}, {"x": [1.5]}),
        *({"x": []}, {"x": {"x": "a"}}, {"x": {}}, {"x": MOMENT}, {"x": DATE}),
        *({"x": "2020-01-01"}, {"x": b"a"}, {"x": np.array([1.5])}, {"x": ["a"]}, {1: 2}),
        *([{"x": 1}], [{"x": 1, "y": "a"}, {"x": 2}], [{"x": "a"}], [{"y": "a"}], [{}]),
        *([None, {"x": 1}], [{"x": 1, "q": 1}], [pd.Timestamp("2020")], [1, 2**70]),
    ]


def schemas(s: Any) -> dict[str, Any]:
    """Name → a schema of a model's input; ``s`` is the module of the schema's types."""
    col, schema = s.ColSpec, s.Schema

    def tensor(dtype: str, shape: tuple[int, ...], name: str | None = None) -> Any:
        return s.TensorSpec(np.dtype(dtype), shape, name)

    message = s.Object([s.Property("role", "string"), s.Property("content", "string")])
    found = {
        "a b": [col("double", "a"), col("long", "b")],
        "a b?": [col("double", "a"), col("long", "b", required=False)],
        "a? s?": [col("double", "a", required=False), col("string", "b", required=False)],
        "double long": [col("double"), col("long")],
        "double": [col("double")],
        "string": [col("string")],
        "long": [col("long")],
        "a": [col("double", "a")],
        "a string": [col("string", "a")],
        "0 1": [col("double", 0), col("double", 1)],
        "any": [col(s.AnyType())],
        "array": [col(s.Array("string"))],
        "array long": [col(s.Array("long"))],
        "map": [col(s.Map("string"))],
        "object": [col(s.Object([s.Property("x", "long"), s.Property("y", "string", False)]))],
        "messages": [col(s.Array(message), "messages"), col("double", "t", required=False)],
        "f4 -1 3": [tensor("float32", (-1, 3))],
        "f8 -1": [tensor("float64", (-1,))],
        "f8 -1 1": [tensor("float64", (-1, 1))],
        "f8 -1 3": [tensor("float64", (-1, 3))],
        "f8 -1 -1": [tensor("float64", (-1, -1))],
        "f8 2 3": [tensor("float64", (2, 3))],
        "f8 -1 2 2": [tensor("float64", (-1, 2, 2))],
        "i8 -1": [tensor("int64", (-1,))],
        "i8 -1 2": [tensor("int64", (-1, 2))],
        "str -1": [tensor("str", (-1,))],
        "object -1": [tensor("object", (-1,))],
        "f4 a, i8 b": [tensor("float32", (-1, 3), "a"), tensor("int64", (-1,), "b")],
        "f8 a": [tensor("float64", (-1,), "a")],
        "f8 a, f8 b": [tensor("float64", (-1,), "a"), tensor("float64", (-1,), "b")],
    }
    return {name: schema(inputs) for name, inputs in found.items()}


def data() -> dict[str, Thunk]:
    """Name → what makes the data to hold against each of the schemas."""
    f, n = pd.DataFrame, np.array
    message = {"role": "u", "content": "hi"}
    return {
        "df ab": lambda: f({"a": [1.5, 2], "b": [1, 2]}),
        "df ba": lambda: f({"b": [1, 2], "a": [1.5, 2]}),
        "df cab": lambda: f({"c": ["x", "y"], "a": [1.5, 2], "b": [1, 2]}),
        "df a": lambda: f({"a": [1.5, 2]}),
        "df a whole": lambda: f({"a": [1.0, 2]}),
        "df b": lambda: f({"b": [1, 2]}),
        "df 01": lambda: f([[1.5, 2.5], [3, 4.5]]),
        "df index": lambda: f({"a": [1.5], "b": [1]}, index=["r"]),
        "df no rows": lambda: f({"a": n([], "f8"), "b": n([], "i8")}),
        "df empty": lambda: f(),
        "df equal names": lambda: f([[1.5, 2.5]], columns=["a", "a"]),
        "df 0b": lambda: f({0: [1.5], "b": [1]}),
        "df str": lambda: f({"a": ["x", "y"]}),
        "df '0' '1'": lambda: f([[1.5, 2.5]], columns=["0", "1"]),
        "df arrays": lambda: f({"a": [np.ones(3, "f4")] * 2, "b": [1, 2]}),
        "df lists": lambda: f({"a": [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], "b": [1, 2]}),
        "df ragged": lambda: f({"a": [[1.0, 2.0], [4.0, 5.0, 6.0]]}),
        "df 3 f4": lambda: f(np.ones((2, 3), "f4")),
        "df 3 f8": lambda: f(np.ones((2, 3))),
        "df 3 f8 nan": lambda: f({"a": [1.0, None], "b": [1.0, 2.0], "c": [1.0, 2.0]}),
        "df 2 i8": lambda: f(n([[1, 2], [3, 4]])),
        "df abc": lambda: f({"a": [1.5], "b": [1], "c": [2]}),
        "dict scalars": lambda: {"a": 1.5, "b": 1},
        "dict lists": lambda: {"a": [1.5, 2.0], "b": [1, 2]},
        "dict np": lambda: {"a": n([1.5, 2]), "b": n([1, 2])},
        "dict np f8": lambda: {"a": n([1.5, 2]), "b": n([1.5, 2])},
        "dict np3": lambda: {"a": np.ones((2, 3), "f4"), "b": n([1, 2])},
        "dict np a": lambda: {"a": n([1.5, 2])},
        "dict a scalar": lambda: {"a": 1.5},
        "dict a list": lambda: {"a": [1.5]},
        "dict extra": lambda: {"a": 1.5, "b": 1, "c": 3},
        "dict str": lambda: {"a": "x"},
        "dict list str": lambda: {"a": ["x", "y"]},
        "dict uneven": lambda: {"a": [1.5], "b": [1, 2]},
        "dict scalar and list": lambda: {"a": 1.5, "b": [1, 2]},
        "dict empty": dict,
        "dict messages": lambda: {"messages": [message]},
        "dict messages t": lambda: {"messages": [message], "t": 1.5},
        "dict messages bad": lambda: {"messages": [{"role": 1, "content": "hi"}]},
        "dict messages lacks": lambda: {"messages": [{"role": "u"}]},
        "dict x": lambda: {"x": 1},
        "dict x y": lambda: {"x": 1, "y": "s"},
        "dict list lists": lambda: {"a": [[1.0, 2.0, 3.0]], "b": [1]},
        "dict int key": lambda: {0: 1.5, 1: 2.5},
        "list dicts": lambda: [{"a": 1.5, "b": 1}, {"a": 2.5, "b": 2}],
        "list dicts lacks": lambda: [{"a": 1.5, "b": 1}, {"a": 2.5}],
        "list messages": lambda: [{"messages": [message]}],
        "list floats": lambda: [1.5, 2.5],
        "list ints": lambda: [1, 2],
        "list strs": lambda: ["x", "y"],
        "list empty": list,
        "list lists": lambda: [[1.5, 1], [2.5, 2]],
        "list list strs": lambda: [["a", "b"], ["c"]],
        "list list ints": lambda: [[1, 2], [3]],
        "list mixed": lambda: [1, "a"],
        "list none": lambda: [None],
        "list x y": lambda: [{"x": 1, "y": "s"}, {"x": 2}],
        "list dict str": lambda: [{"k": "v"}, {"j": "w"}],
        "list np": lambda: [n([1.0, 2.0])],
        "np f8 1": lambda: n([1.5, 2.5]),
        "np f8 2": lambda: n([[1.5, 2.5], [3, 4]]),
        "np i8 2": lambda: n([[1, 2], [3, 4]]),
        "np f4 3": lambda: np.ones((2, 3), "f4"),
        "np f8 3": lambda: np.ones((2, 3)),
        "np f2 3": lambda: np.ones((2, 3), "f2"),
        "np i8 1": lambda: n([1, 2]),
        "np i4 1": lambda: n([1, 2], "i4"),
        "np str": lambda: n(["a", "b"]),
        "np obj": lambda: n(["a", 1], dtype=object),
        "np 0d": lambda: n(1.5),
        "np f8 222": lambda: np.ones((2, 2, 2)),
        "np f8 0 3": lambda: np.ones((0, 3)),
        "np flags": lambda: np.ones((2, 2), "i8"),
        "np bool": lambda: n([True, False]),
        "series f8": lambda: pd.Series([1.5, 2.5]),
        "series f8 whole": lambda: pd.Series([1.0, 2.0]),
        "series f8 nan": lambda: pd.Series([1.0, np.nan]),
        "series f8 a": lambda: pd.Series([1.5, 2.5], name="a"),
        "series i8": lambda: pd.Series([1, 2]),
        "series str": lambda: pd.Series(["x", "y"]),
        "series numbers as str": lambda: pd.Series(["1.5"]),
        "series lists": lambda: pd.Series([["a"], ["b", "c"]]),
        "series list lists": lambda: pd.Series([[[1.0, 2], [3, 4]]]),
        "series arrays": lambda: pd.Series([np.ones((2, 2))]),
        **{f"value {type(v).__name__}": lambda v=v: v for v in ("x", b"x", 1.5, 1, True, None)},
        "value date": lambda: datetime.date(2020, 1, 1),
        "value float64": lambda: np.float64(1.5),
        "value tuple": lambda: (1.5, 1),
        "value set": lambda: {1},
        "csr": lambda: sp.csr_matrix(np.ones((2, 3))),
        "csr f4": lambda: sp.csr_matrix(np.ones((2, 3), "f4")),
        "csc": lambda: sp.csc_matrix(np.ones((2, 3))),
        "coo": lambda: sp.coo_matrix(np.ones((2, 3))),
        "csr array": lambda: sp.csr_array(np.ones((2, 3))),
    }
