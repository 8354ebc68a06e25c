"""Input examples, and requests to a served model with schemas to read them by."""

from __future__ import annotations

import datetime
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from catalogue import DATE, Thunk


def examples() -> dict[str, Thunk]:
    """Name → what makes an input example."""
    f, n = pd.DataFrame, np.array
    message = {"role": "user", "content": "hi"}
    return {
        "frame": lambda: f({"a": [1.5, 2.5], "b": ["x", "y"], "c": [1, 2]}),
        "frame nan": lambda: f({"a": [1.5, np.nan], "b": ["x", None]}),
        "frame index": lambda: f({"a": [1.5]}, index=["r"]),
        "frame dates": lambda: f({"a": pd.to_datetime(["2020-01-01T01:02:03"]), "b": [DATE]}),
        "frame bytes": lambda: f({"a": [b"xy"], "b": [True]}),
        "frame int names": lambda: f([[1, 2]]),
        "frame lists": lambda: f({"a": [[1, 2], [3]], "b": [{"x": 1}] * 2}),
        "frame arrays": lambda: f({"a": [n([1.5, 2])]}),
        "frame mixed names": lambda: f([[1, 2]], columns=["a", 1]),
        "frame empty": lambda: f(),
        "frame tz": lambda: f({"a": pd.date_range("2020", periods=1, tz="UTC")}),
        "frame Int64": lambda: f({"a": pd.Series([1, None], dtype="Int64")}),
        "frame category": lambda: f({"a": pd.Series(["x"], dtype="category")}),
        "series": lambda: pd.Series([1, 2], name="s"),
        "array": lambda: n([1, 2]),
        "array 2d": lambda: n([[1.5, 2]]),
        "array nan": lambda: n([1.5, np.nan]),
        "array str": lambda: n(["a"]),
        "array dates": lambda: n(["2020-01-01"], dtype="M8[D]"),
        "array bytes": lambda: n([b"a"]),
        "array f4": lambda: np.ones((1, 2), "f4"),
        "array 0d": lambda: n(1),
        "arrays": lambda: {"a": n([1, 2]), "b": n([[1.5]])},
        "dict": lambda: {"a": 1, "b": "x", "c": [1, 2], "d": {"e": 1}},
        "dict nan": lambda: {"a": float("nan"), "b": None},
        "dict array and int": lambda: {"a": n([1]), "b": 1},
        "dict others": lambda: {
            "a": np.int64(1),
            "b": np.float32(1.5),
            "c": datetime.datetime(2020, 1, 1),
            "d": b"xy",
        },
        "dict int key": lambda: {1: 2},
        "list": lambda: [1, 2, 3],
        "list str": lambda: ["a", "b"],
        "list dict": lambda: [{"a": 1}, {"a": 2}],
        "list list": lambda: [[1, 2], [3, 4]],
        "list array": lambda: [n([1])],
        "list empty": list,
        **{f"{type(v).__name__}": lambda v=v: v for v in ("hello", b"hello", 1, 1.5, True, DATE)},
        "params": lambda: (f({"a": [1.5]}), {"t": 0.5, "s": "x"}),
        "params array": lambda: (n([1]), {"t": n([1, 2]), "d": DATE}),
        "params str": lambda: ("q", {"t": 1}),
        "params empty": lambda: ([1], {}),
        "params no dict": lambda: ([1], [2]),
        "params None": lambda: ([1], None),
        "tuple": lambda: (1, 2, 3),
        "csr": lambda: sp.csr_matrix(np.eye(2)),
        "csc": lambda: sp.csc_matrix(np.eye(2)),
        "csr params": lambda: (sp.csr_matrix(np.eye(2)), {"a": 1}),
        "coo": lambda: sp.coo_matrix(np.eye(2)),
        "messages": lambda: {"messages": [message]},
        "messages params": lambda: ({"messages": [message]}, {"t": 1}),
        "prompt": lambda: {"prompt": "x", "t": 1},
        "list messages": lambda: [{"messages": [message]}],
        "set": lambda: {1},
        "object": lambda: object(),
    }


def schemas(s: Any) -> dict[str, Any]:
    """Name → a schema to read requests by; ``s`` is the module of the schema's types."""
    found: dict[str, Any] = {
        "a b?": [s.ColSpec("double", "a"), s.ColSpec("long", "b", required=False)],
        "double long": [s.ColSpec("double"), s.ColSpec("long")],
        "array": [s.ColSpec(s.Array("double"), "a")],
        "unnamed string": [s.ColSpec("string")],
        "f4 -1 2": [s.TensorSpec(np.dtype("float32"), (-1, 2))],
        "f8 -1": [s.TensorSpec(np.dtype("float64"), (-1,))],
        "dates -1": [s.TensorSpec(np.dtype("datetime64[ns]"), (-1,))],
        "str -1": [s.TensorSpec(np.dtype("str"), (-1,))],
        "i8 a, f4 b": [
            s.TensorSpec(np.dtype("int64"), (-1,), "a"),
            s.TensorSpec(np.dtype("float32"), (-1,), "b"),
        ],
    }
    for kind in ("datetime", "binary", "string", "integer", "boolean", "float"):
        found[kind] = [s.ColSpec(kind, "a")]
    return {"none": None, **{name: s.Schema(inputs) for name, inputs in found.items()}}


def requests() -> dict[str, Any]:
    """Name → a request to a served model."""

    def split(data: Any, **more: Any) -> dict[str, Any]:
        return {"dataframe_split": {"columns": ["a", "b"][: len(data[0])], "data": data, **more}}

    return {
        "split": split([[1, 2], [3, 4]]),
        "split floats": split([[1.5], [2.0]]),
        "split index": split([[1.5]], index=["r"]),
        "split no names": {"dataframe_split": {"data": [[1, 2]]}},
        "split date": split([["2020-01-01"]]),
        "split base64": split([["eHk=\n"]]),
        "split null": split([[None], [1]]),
        "split list": split([[[1.5, 2]]]),
        "split bools": split([[True]]),
        "split not a dict": {"dataframe_split": [1]},
        "split too wide": {"dataframe_split": {"columns": ["a"], "data": [[1, 2]]}},
        "split other keys": split([[1]], foo=1),
        "records": {"dataframe_records": [{"a": 1, "b": 2}, {"a": 1.5, "b": 3}]},
        "records null": {"dataframe_records": [{"a": 1, "b": 2}, {"a": 1.5}]},
        "records params": {"dataframe_records": [{"a": 1}], "params": {"t": 1}},
        "records not a list": {"dataframe_records": {"a": 1}},
        "instances": {"instances": [[1, 2], [3, 4]]},
        "instances objects": {"instances": [{"a": 1, "b": 2}, {"a": 3, "b": 4}]},
        "instances 1d": {"instances": [1, 2]},
        "instances object": {"instances": {"a": 1}},
        "instances other names": {"instances": [{"a": 1}, {"b": 1}]},
        "inputs": {"inputs": [[1, 2]]},
        "inputs 1d": {"inputs": [1.5, 2.5]},
        "inputs object": {"inputs": {"a": [1, 2], "b": [3, 4]}},
        "inputs object str": {"inputs": {"a": ["x", "y"]}},
        "inputs str": {"inputs": ["x", "y"]},
        "inputs scalar": {"inputs": "x"},
        "inputs object scalars": {"inputs": {"a": 1, "b": 2}},
        "inputs records": {"inputs": [{"a": 1, "b": 2}]},
        "inputs dates": {"inputs": ["2020-01-01"]},
        "inputs ragged": {"inputs": [[1], [1, 2]]},
        "inputs null": {"inputs": None},
        "inputs NaN": '{"inputs": [NaN]}',
        "not JSON": "{",
        "a list": "[1]",
        "a string": '"x"',
        "nothing": "{}",
        "two keys": '{"inputs": [1], "instances": [1]}',
        "another key": '{"foo": 1}',
        "params only": '{"params": {}}',
        "more keys": '{"inputs": [1], "foo": 1}',
        "params no dict": '{"inputs": [1], "params": 3}',
        "params null": '{"inputs": [1], "params": null}',
        "messages": '{"messages": [{"role": "u", "content": "c"}]}',
        "messages more": '{"messages": [], "temperature": 1}',
        "prompt": '{"prompt": "x"}',
    }
