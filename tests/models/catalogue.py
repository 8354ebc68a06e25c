"""Data of every kind that a model may be given, and schemas to hold it against."""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import uuid
from collections.abc import Callable
from functools import partial
from importlib import util
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp

Thunk = Callable[[], Any]
DTYPES = (
    *("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
    *("float16", "float32", "float64", "complex64", "M8[ns]", "M8[s]", "M8[D]", "m8[ns]"),
    *("U3", "S3", "O"),
)
DATE, MOMENT = datetime.date(2020, 1, 1), datetime.datetime(2020, 1, 1)
# Two values each, as they stand in a list or in a column of objects.
VALUES: dict[str, list[Any]] = {
    "str": ["a", "b"],
    "str none": ["a", None],
    "str nan": ["a", np.nan],
    "bytes": [b"a", b"b"],
    "bytearray": [bytearray(b"a")] * 2,
    "bool": [True, False],
    "bool none": [True, None],
    "int": [1, 2],
    "int none": [1, None],
    "int nan": [1, np.nan],
    "int large": [2**70, 1],
    "int uint64": [2**63, 1],
    "float": [1.5, 2.5],
    "float none": [1.5, None],
    "int float": [1, 2.5],
    "int str": [1, "a"],
    "bool int": [True, 1],
    "np32": [np.int32(1), np.int32(2)],
    "np64": [np.int64(1)] * 2,
    "npf32": [np.float32(1)] * 2,
    "npf32 none": [np.float32(1), None],
    "npf32 float": [np.float32(1), 1.5],
    "np mix": [np.int32(1), np.int64(1)],
    "np int8": [np.int8(1)] * 2,
    "np uint64": [np.uint64(1)] * 2,
    "np bool": [np.bool_(True), True],
    "np str": [np.str_("a"), "a"],
    "date": [DATE] * 2,
    "datetime": [MOMENT] * 2,
    "date none": [DATE, None],
    "ts": [pd.Timestamp("2020")] * 2,
    "ts none": [pd.Timestamp("2020"), None],
    "dt64": [np.datetime64("2020")] * 2,
    "date datetime": [DATE, MOMENT],
    "date ts": [DATE, pd.Timestamp("2020")],
    "ts str": [pd.Timestamp("2020"), "a"],
    "time": [datetime.time(1)] * 2,
    "timedelta": [datetime.timedelta(1)] * 2,
    "decimal": [decimal.Decimal("1.5")] * 2,
    "uuid": [uuid.UUID(int=1)] * 2,
    "none": [None, None],
    "nan": [np.nan, np.nan],
    "none nan": [None, np.nan],
    "na": [pd.NA, pd.NA],
    "na nan": [pd.NA, np.nan],
    "nat only": [pd.NaT, pd.NaT],
    "str na": ["a", pd.NA],
    "complex": [1j, 2j],
    "set": [{1}, {2}],
    "tuple": [(1, 2), (3, 4)],
    "str list": ["a", ["b"]],
    "obj": [object(), object()],
    "list int": [[1, 2], [3]],
    "list str": [["a"], ["b", "c"]],
    "list empty": [[], []],
    "list some empty": [[], [1]],
    "list empty none": [[], None],
    "list mix": [[1, "a"], [2]],
    "list int float": [[1], [2.5]],
    "list none": [[1], None],
    "list with none": [[1, None], [2]],
    "list of none": [[None], [None]],
    "list list": [[[1, 2], [3]], [[4]]],
    "list list empty": [[[1, 2], []], [[]]],
    "list other depth": [[1], [[2]]],
    "list tuple": [[1], (2,)],
    "np lists": [np.array([1, 2]), np.array([3])],
    "np lists f32": [np.array([1, 2], dtype="f4")] * 2,
    "np list none": [np.array([1]), None],
    "np list list": [np.array([1]), [2]],
    "np list int8": [np.array([1], "i1")] * 2,
    "np list str": [np.array(["a"])] * 2,
    "np list obj": [np.array(["a"], dtype=object)] * 2,
    "np list empty": [np.array([])] * 2,
    "np 2d": [np.ones((2, 2))] * 2,
    "list dict": [[{"a": 1}], [{"a": 2}]],
    "list dict missing": [[{"a": 1}, {"b": 2}], [{"a": 2}]],
    "list nan": [[1.5, np.nan], [2.0]],
    "list str nan": [["a", np.nan]] * 2,
    "list bool": [[True]] * 2,
    "list bytes": [[b"a"]] * 2,
    "list date": [[DATE]] * 2,
    "list ts": [[pd.Timestamp("2020")]] * 2,
    "dict": [{"a": 1}, {"a": 2}],
    "dict missing": [{"a": 1}, {"b": "x"}],
    "dict none": [{"a": 1}, {"a": None}],
    "dict all none": [{"a": None}, {"a": None}],
    "dict conflict": [{"a": 1}, {"a": "x"}],
    "dict long double": [{"a": 1}, {"a": 1.5}],
    "dict nested": [{"a": {"b": [1, 2]}}, {"a": {"b": [3]}}],
    "dict empty": [{}, {}],
    "dict some empty": [{}, {"a": 1}],
    "dict int key": [{1: 2}, {1: 3}],
    "dict or none": [{"a": 1}, None],
    "dict list empty": [{"a": []}, {"a": [1]}],
    "dict list only empty": [{"a": []}, {"a": []}],
    "dict dict empty": [{"a": {}}, {"a": {"b": 1}}],
    "dict dict none": [{"a": {"b": 1}}, {"a": None}],
    "dict dict absent": [{"a": {"b": 1}}, {}],
    "dict nested missing": [{"a": {"b": 1}}, {"a": {"c": 1}}],
    "dict nan": [{"a": 1.5}, {"a": np.nan}],
    "dict np": [{"a": np.int32(1)}, {"a": np.int32(2)}],
    "dict order": [{"z": 1, "a": 2}] * 2,
    "dict list": [{"a": 1}, [1]],
    "list dict mixed": [[], {"a": 1}],
}


ARROW: dict[str, list[Any]] = {
    "int64": [1, 2],
    "int8": [1, 2],
    "uint64": [1, 2],
    "double": [1.5, None],
    "float": [1.5, 2],
    "bool": [True, False],
    "string": ["a", None],
    "large_string": ["a", "b"],
    "binary": [b"a", b"b"],
    "timestamp[ns]": [pd.Timestamp("2020"), None],
    "date32": [DATE] * 2,
}


def objects(values: list[Any]) -> pd.Series:
    """A column of objects, with lists and arrays as single values."""
    found = pd.Series([None] * len(values), dtype=object)
    for at, value in enumerate(values):
        found.iat[at] = value
    return found


def array(dtype: str) -> Any:
    special = {
        "U3": ["a", "bb", "c"],
        "S3": [b"a", b"bb", b"c"],
        "O": np.array(["a", 1, None], dtype=object),
    }
    return np.array(special[dtype]) if dtype in special else np.array([1, 2, 3]).astype(dtype)


@dataclasses.dataclass
class Inner:
    a: int
    b: str


@dataclasses.dataclass
class Outer:
    m: list[Inner]
    k: float = 1.0
    d: datetime.date | None = None


def inputs() -> dict[str, Thunk]:
    """Name → what makes the data to infer a schema from."""
    found: dict[str, Thunk] = {}
    for dtype in DTYPES:
        make: Thunk = partial(array, dtype)
        found[f"np1 {dtype}"] = make
        found[f"np2 {dtype}"] = lambda make=make: np.stack([make(), make()])
        found[f"np3 {dtype}"] = lambda make=make: np.stack([np.stack([make(), make()])] * 4)
        found[f"np0 {dtype}"] = lambda make=make: make()[0]
        found[f"np empty {dtype}"] = lambda make=make: make()[:0]
        found[f"col {dtype}"] = lambda make=make: pd.DataFrame({"x": make()})
        found[f"series {dtype}"] = lambda make=make: pd.Series(make())
        found[f"named series {dtype}"] = lambda make=make: pd.Series(make(), name="s")
        found[f"dict np {dtype}"] = lambda make=make: {"a": make(), "b": np.stack([make()] * 2)}
        found[f"col empty {dtype}"] = lambda make=make: pd.DataFrame({"x": make()[:0]})
    for dtype in (
        *("Int8", "Int16", "Int32", "Int64", "UInt8", "UInt32", "UInt64"),
        *("Float32", "Float64", "boolean", "string", "category", "str"),
    ):
        values = [1, 2] if dtype[0] in "IUF" else ([True] * 2 if dtype == "boolean" else ["a", "b"])
        for name, given in (("", values), ("na ", [*values, None]), ("empty ", [])):
            found[f"ext {name}{dtype}"] = lambda given=given, dtype=dtype: pd.DataFrame(
                {"x": pd.Series(given, dtype=dtype)}
            )
    for dtype, values in ARROW.items() if util.find_spec("pyarrow") else ():
        found[f"arrow {dtype}"] = lambda v=values, d=dtype: pd.DataFrame(
            {"x": pd.Series(v, dtype=f"{d}[pyarrow]")}
        )
    for name, values in VALUES.items():
        found[f"objcol {name}"] = lambda v=values: pd.DataFrame({"x": objects(v)})
        found[f"objseries {name}"] = lambda v=values: objects(v)
        found[f"list of {name}"] = lambda v=values: list(v)
        found[f"dict of list {name}"] = lambda v=values: {"x": list(v), "y": "b"}
        found[f"dict of scalar {name}"] = lambda v=values: {"x": v[0], "y": "b"}
        found[f"scalar {name}"] = lambda v=values: v[0]
        found[f"list one dict {name}"] = lambda v=values: [{"x": v[0], "y": v[-1]}]
        found[f"list dicts {name}"] = lambda v=values: [{"x": v[0]}, {"x": v[1]}]
        found[f"tuple {name}"] = lambda v=values: tuple(v)
        found[f"npobj {name}"] = lambda v=values: objects(v).to_numpy()
    frame = pd.DataFrame
    found |= {
        "cat int": lambda: frame({"x": pd.Series([1, 2], dtype="category")}),
        "cat float na": lambda: frame({"x": pd.Series([1.5, None], dtype="category")}),
        "tz": lambda: frame({"x": pd.date_range("2020", periods=2, tz="UTC")}),
        "period": lambda: frame({"x": pd.period_range("2020", periods=2)}),
        "interval": lambda: frame({"x": pd.interval_range(0, 2)}),
        "nat": lambda: frame({"x": [pd.Timestamp("2020"), pd.NaT]}),
        "float nan": lambda: frame({"x": [1.0, np.nan]}),
        "sparse col": lambda: frame({"x": pd.arrays.SparseArray([0, 0, 1])}),
        "frame mixed": lambda: frame(
            {"a": [1, 2], "b": [1.5, 2], "c": ["x", "y"], "d": [True] * 2}
        ),
        "frame int names": lambda: frame([[1, 2.5], [3, 4.5]]),
        "frame mixed names": lambda: frame([[1, 2]], columns=["a", 1]),
        "frame float names": lambda: frame([[1, 2]], columns=[1.5, 2.5]),
        "frame tuple names": lambda: frame(
            [[1, 2]], columns=pd.MultiIndex.from_tuples([("a", "b"), ("a", "c")])
        ),
        "frame equal names": lambda: frame([[1, 2]], columns=["a", "a"]),
        "frame no columns": lambda: frame(index=[1, 2]),
        "frame empty": lambda: frame(),
        "frame index": lambda: frame({"a": [1.5, 2]}, index=pd.Index(["x", "y"], name="i")),
        "frame np names": lambda: frame([[1, 2]], columns=np.array([5, 6])),
        "empty list": list,
        "empty dict": dict,
        "empty tuple": lambda: (),
        "list of empty list": lambda: [[]],
        "dict scalars": lambda: {"a": 1, "b": "x", "c": 1.5, "d": True, "e": None},
        "dict nested": lambda: {"a": {"b": 1, "c": {"d": "x"}}},
        "dict list dict": lambda: {"messages": [{"role": "user", "content": "hi"}], "n": 1},
        "dict int key": lambda: {1: "a"},
        "dict mixed key": lambda: {1: "a", "b": 2},
        "dict np and list": lambda: {"a": np.array([1, 2]), "b": [1, 2]},
        "dict np and scalar": lambda: {"a": np.array([1, 2]), "b": 1},
        "dict np 0d": lambda: {"a": np.array(1)},
        "dict series": lambda: {"a": pd.Series([1, 2])},
        "dict frame": lambda: {"a": frame({"x": [1]})},
        "list of series": lambda: [pd.Series([1, 2])],
        "list of frames": lambda: [frame({"x": [1]})],
        "list dict optional": lambda: [{"a": 1, "b": "x"}, {"a": 2}],
        "list dict other": lambda: [{"b": 1}, {"a": 1}],
        "list dict and int": lambda: [{"a": 1}, 3],
        "list dict nested": lambda: [
            {"a": {"b": [1]}, "c": [{"d": 1}]},
            {"a": {"b": [2]}, "c": []},
        ],
        "np ragged": lambda: np.array([[1], [1, 2]], dtype=object),
        "np structured": lambda: np.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f8")]),
        "np masked": lambda: np.ma.array([1, 2], mask=[0, 1]),
        "np matrix": lambda: np.asmatrix([[1, 2]]),
        "np big endian": lambda: np.array([1, 2], dtype=">i4"),
        "np fortran": lambda: np.asfortranarray(np.ones((2, 3))),
        "np shape 0": lambda: np.ones((0, 3)),
        "np shape n0": lambda: np.ones((3, 0)),
        "np 0d": lambda: np.array(1),
        "pd index": lambda: pd.Index([1, 2]),
        "dataclass": lambda: Inner,
        "dataclass instance": lambda: Inner(1, "a"),
        "dataclass nested": lambda: Outer,
        **{f"sparse {f}": lambda f=f: getattr(sp, f"{f}_matrix")(np.eye(3)) for f in SPARSE},
        **{f"sparse array {f}": lambda f=f: getattr(sp, f"{f}_array")(np.eye(3)) for f in SPARSE},
    }
    single = {"int": 1, "object": object(), "type": int, "lambda": len, "range": range(3)}
    return found | {f"value {name}": lambda v=v: v for name, v in single.items()}


SPARSE = ("csr", "csc", "coo", "lil", "dok", "bsr", "dia")


def params() -> dict[str, Any]:
    """Name → the default of a param."""
    more: dict[str, Any] = {
        "np array": np.array([1, 2]),
        "np array 2d": np.array([[1]]),
        "np array 0d": np.array(1),
        "np array str": np.array(["x"]),
        "list": [1, 2],
        "list empty": [],
        "list mixed": [1, "b"],
        "list numbers": [1, 2.5],
        "list dates": [DATE],
        "list bools": [True, False],
        "list dicts": [{"b": 1}],
        "list lists": [[1]],
        "dict any": {"b": None},
        "dict mixed list": {"b": [1, {"c": 2}]},
        "np empty": np.array([]),
        "moment": datetime.datetime(2020, 1, 1, 2, 3),
        "dt64 ms": np.datetime64("2020-01-01T01:02:03.400"),
        "series": pd.Series([1]),
    }
    return {**{name: values[0] for name, values in VALUES.items()}, **more}
