"""Input in batches, and predictions as files."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path
from typing import Any

import pytest

pd = pytest.importorskip("pandas")
import numpy as np  # noqa: E402
from hypothesis import given  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from mlgit.exceptions import (  # noqa: E402
    InvalidParameterValue,
    MissingDependency,
    ResourceDoesNotExist,
)
from mlgit.models import batches as reading  # noqa: E402
from mlgit.models.batches import batches, content_type_of  # noqa: E402
from mlgit.models.results import frame_of, new_file, shown, writer  # noqa: E402
from mlgit.types.schema import ColSpec, Schema, TensorSpec  # noqa: E402

FRAME = pd.DataFrame({"a": [1.5, 2.0, 3.0], "b": ["007", "x", None], "c": [1, 2, 3]})
SCHEMA = Schema([ColSpec("double", "a"), ColSpec("string", "b", False), ColSpec("long", "c")])


def _records(frame: Any) -> list[dict[str, Any]]:
    return json.loads(frame.to_json(orient="records"))


def _parquet(frame: Any) -> bytes:
    pytest.importorskip("pyarrow")
    out = io.BytesIO()
    frame.to_parquet(out, row_group_size=2)
    return out.getvalue()


FORMS = {
    "csv": lambda f: ("csv", f.to_csv(index=False).encode()),
    "jsonl": lambda f: ("jsonl", f.to_json(orient="records", lines=True).encode()),
    "lines as json": lambda f: ("json", f.to_json(orient="records", lines=True).encode()),
    "records": lambda f: ("json", f.to_json(orient="records").encode()),
    "indented": lambda f: ("json", json.dumps(_records(f), indent=1).encode()),
    "split": lambda f: ("json", f.to_json(orient="split", index=False).encode()),
    "request split": lambda f: (
        "json",
        json.dumps({"dataframe_split": json.loads(f.to_json(orient="split"))}).encode(),
    ),
    "request records": lambda f: ("json", json.dumps({"dataframe_records": _records(f)}).encode()),
    "instances": lambda f: ("json", json.dumps({"instances": _records(f)}).encode()),
    "inputs": lambda f: ("json", json.dumps({"inputs": _records(f)}).encode()),
    "parquet": lambda f: ("parquet", _parquet(f)),
}


@pytest.mark.parametrize("rows", [None, 1, 2])
@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_frame(form: str, rows: int | None):
    kind, data = FORMS[form](FRAME)
    found = [frame for frame, _ in batches(io.BytesIO(data), kind, SCHEMA, rows)]
    assert [len(frame) for frame in found] == {None: [3], 1: [1, 1, 1], 2: [2, 1]}[rows]
    whole = pd.concat(found, ignore_index=True)
    assert _records(whole) == _records(FRAME)
    assert whole["c"].dtype == "int64"
    assert whole["a"].dtype == "float64"


class _Pipe(io.RawIOBase):
    """Bytes that can't be sought, and that tell how far they were read."""

    def __init__(self, data: bytes) -> None:
        self.inner = io.BytesIO(data)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return False

    def readinto(self, buffer: Any) -> int:
        return self.inner.readinto(buffer)


@pytest.mark.parametrize("form", FORMS)
def test_every_form_comes_through_a_pipe(form: str):
    kind, data = FORMS[form](FRAME)
    found = [frame for frame, _ in batches(io.BufferedReader(_Pipe(data)), kind, SCHEMA)]
    assert _records(pd.concat(found, ignore_index=True)) == _records(FRAME)


@pytest.mark.parametrize("kind", ["csv", "jsonl", "json"])
def test_a_large_file_is_read_as_it_is_asked_for(kind: str):
    line = b"1\n" if kind == "csv" else b'{"a": 1}\n'
    pipe = _Pipe((b"a\n" if kind == "csv" else b"") + line * 2_000_000)
    found = batches(io.BufferedReader(pipe), kind, None, 1000)
    next(found), next(found)
    assert pipe.inner.tell() < 2_000_000


def test_a_file_of_row_groups_is_read_one_by_one():
    pytest.importorskip("pyarrow")
    data = _parquet(pd.DataFrame({"a": range(7)}))
    sizes = [len(f) for f, _ in batches(io.BytesIO(data), "parquet", None, 3)]
    assert sum(sizes) == 7
    assert max(sizes) <= 3


def test_params_of_a_request_come_along():
    body = b'{"inputs": [[1, 2], [3, 4]], "params": {"t": 0.5}}'
    schema = Schema([TensorSpec(np.dtype("float32"), (-1, 2))])
    ((data, params),) = batches(io.BytesIO(body), "json", schema)
    assert params == {"t": 0.5}
    assert data.dtype == "float32"
    assert data.tolist() == [[1, 2], [3, 4]]
    assert [d.tolist() for d, _ in batches(io.BytesIO(body), "json", schema, 1)] == [
        [[1, 2]],
        [[3, 4]],
    ]


def test_rows_that_are_lists():
    schema = Schema([TensorSpec(np.dtype("float64"), (-1, 2))])
    (first, _), (second, _) = batches(io.BytesIO(b"[1, 2]\n[3, 4]\n"), "jsonl", schema, 1)
    assert (first.tolist(), second.tolist()) == ([[1, 2]], [[3, 4]])


EMPTY = {
    "csv": [b"", b"a,b\n"],
    "json": [b"", b"\n \n", b"[]", b'{"columns": ["a"], "data": []}', b'{"inputs": []}'],
    "jsonl": [b"", b"\n\n"],
    "parquet": [b""],
}


@pytest.mark.parametrize(("kind", "data"), [(k, d) for k, all_ in EMPTY.items() for d in all_])
def test_empty_input(kind: str, data: bytes):
    if kind == "parquet":
        pytest.importorskip("pyarrow")
    with pytest.raises(InvalidParameterValue, match="The input is empty"):
        batches(io.BytesIO(data), kind, None)


WRONG = [
    ("json", b"{", "isn't JSON"),
    ("json", b"3", "rows"),
    ("json", b'{"inputs": [1], "instances": [1]}', "exactly one of"),
    ("jsonl", b'{"a": 1}\n{"a": \n', "Line 2 of the input isn't JSON"),
    ("csv", b'a,b\n1,2\n1,2,3\n"', "isn't CSV"),
    ("csv", b"a\n\xff\xfe\xfd\n", "isn't text in UTF-8"),
    ("parquet", b"PAR1 or not", "isn't Parquet"),
    ("xml", b"<a/>", "There is no content type 'xml'"),
]


@pytest.mark.parametrize(("kind", "data", "message"), WRONG)
def test_what_isnt_of_its_type(kind: str, data: bytes, message: str):
    if kind == "parquet":
        pytest.importorskip("pyarrow")
    with pytest.raises(InvalidParameterValue, match=message):
        list(batches(io.BytesIO(data), kind, None))


def test_a_document_over_the_limit(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(reading, "LARGEST_DOCUMENT", 1 << 20)
    row = b"[" + b"1," * (1 << 20) + b"1]"
    with pytest.raises(InvalidParameterValue, match="can't be read in parts") as caught:
        list(batches(io.BytesIO(row), "json", None))
    assert "JSON lines" in caught.value.hint
    with pytest.raises(InvalidParameterValue, match="can't be read in parts"):
        list(batches(io.BytesIO(b"[\n" + row[1:]), "json", None))


def test_parquet_without_its_library(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(__import__("sys").modules, "pyarrow.parquet", None)
    with pytest.raises(MissingDependency, match="pyarrow"):
        list(batches(io.BytesIO(b"x"), "parquet", None))


def test_content_types_by_name():
    found = [content_type_of(n) for n in ("a.CSV", "b.json", "c.ndjson", "d.pq", "e", "f.txt")]
    assert found == ["csv", "json", "jsonl", "parquet", None, None]
    assert content_type_of(None) is None


# -- predictions


def _written(kind: str, parts: list[Any], schema: Schema | None = None) -> bytes:
    out = io.BytesIO()
    made = writer(out, kind, schema)
    for part in parts:
        made.write(part)
    made.close()
    return out.getvalue()


ROWS = st.lists(
    st.one_of(st.integers(-9, 9), st.floats(allow_nan=False, allow_infinity=False), st.text()),
    max_size=6,
)


@given(st.lists(ROWS, min_size=1, max_size=4))
def test_batches_are_joined_to_one_json_document(parts: list[list[Any]]):
    rows = [row for part in parts for row in part]
    assert json.loads(_written("json", parts)) == {"predictions": rows}
    lines = _written("jsonl", parts).decode().split("\n")
    assert [json.loads(line) for line in lines[:-1]] == rows


def test_json_as_a_scoring_server_answers():
    assert _written("json", [np.array([1, 2])]) == b'{"predictions": [1, 2]}'
    frame = pd.DataFrame({"a": [1.0, np.nan], "d": pd.to_datetime(["2020-01-02"] * 2)})
    assert json.loads(_written("json", [frame]))["predictions"][1]["a"] is None
    assert json.loads(_written("json", [{"a": np.array([1]), "b": "x"}])) == {
        "predictions": {"a": [1], "b": "x"}
    }
    with pytest.raises(InvalidParameterValue, match="can't be joined") as caught:
        _written("json", [{"a": 1}, {"a": 2}])
    assert "jsonl" in caught.value.hint


def test_lines_of_columns_are_rows():
    assert _written("jsonl", [{"a": np.array([1, 2]), "b": ["x", "y"]}]).decode() == (
        '{"a": 1, "b": "x"}\n{"a": 2, "b": "y"}\n'
    )
    assert _written("jsonl", [{"a": 1, "b": [1, 2]}]) == b'{"a": 1, "b": [1, 2]}\n'


TABLES: list[tuple[Any, list[str], int]] = [
    (np.array([1, 2]), ["prediction"], 2),
    ([1, 2], ["prediction"], 2),
    (["x", "y"], ["prediction"], 2),
    ("text", ["prediction"], 1),
    (pd.Series([1, 2], name="price"), ["price"], 2),
    (np.ones((2, 1)), ["prediction"], 2),
    (np.ones((2, 2)), ["prediction_0", "prediction_1"], 2),
    (np.ones((2, 2, 2)), ["prediction"], 2),
    (pd.DataFrame({"x": [1, 2], "y": [3, 4]}), ["x", "y"], 2),
    ([{"x": 1}, {"x": 2, "y": 3}], ["x", "y"], 2),
    ({"x": np.array([1, 2]), "y": [1, 2]}, ["x", "y"], 2),
    ({"x": 1, "y": "z"}, ["x", "y"], 1),
]


@pytest.mark.parametrize(("predictions", "columns", "rows"), TABLES, ids=lambda v: str(v)[:20])
def test_predictions_as_a_table(predictions: Any, columns: list[str], rows: int):
    frame = frame_of(predictions, None)
    assert list(frame.columns) == columns
    assert len(frame) == rows


def test_names_come_from_the_signature():
    two = Schema([ColSpec("double", "low"), ColSpec("double", "high")])
    assert list(frame_of(np.ones((3, 2)), two).columns) == ["low", "high"]
    assert list(frame_of([1], Schema([ColSpec("long", "grade")])).columns) == ["grade"]
    assert list(frame_of([1], Schema([ColSpec("long")])).columns) == ["prediction"]


def test_what_makes_no_table():
    with pytest.raises(InvalidParameterValue, match="make no table"):
        frame_of({"a": [1, 2], "b": [1, 2, 3]}, None)


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_tables_of_batches(kind: str, tmp_path: Path):
    if kind == "parquet":
        pytest.importorskip("pyarrow")
    parts = [FRAME.iloc[:2], FRAME.iloc[2:]]
    out = io.BytesIO(_written(kind, parts))
    found = pd.read_csv(out, dtype={"b": str}) if kind == "csv" else pd.read_parquet(out)
    assert _records(found) == _records(FRAME)
    with pytest.raises(InvalidParameterValue, match="and then"):
        _written(kind, [FRAME, FRAME[["a"]]])


def test_shown():
    sparse = pytest.importorskip("scipy.sparse")
    assert shown((np.float32(1.5), [np.nan], sparse.eye(1))) == [1.5, [None], [[1.0]]]
    with pytest.raises(InvalidParameterValue, match="JSON can't say"):
        shown(object())


# -- whole or not at all


def test_a_file_appears_when_it_is_complete(tmp_path: Path):
    path = tmp_path / "out.csv"
    path.write_text("old")
    with new_file(path) as stream:
        stream.write(b"new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert os.listdir(tmp_path) == ["out.csv"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_nothing_is_left_of_one_that_isnt(tmp_path: Path, error: type[BaseException]):
    with pytest.raises(error), new_file(tmp_path / "out.csv") as stream:
        stream.write(b"half")
        raise error
    assert os.listdir(tmp_path) == []


def test_where_no_file_can_be(tmp_path: Path):
    with pytest.raises(ResourceDoesNotExist, match="no folder"), new_file(tmp_path / "no/out"):
        pass
    with pytest.raises(InvalidParameterValue, match="is a folder"), new_file(tmp_path):
        pass
    with new_file("/dev/null") as stream:
        stream.write(b"gone")
    assert not os.path.isfile("/dev/null")


def test_a_link_stays_one(tmp_path: Path):
    (tmp_path / "real").write_text("old")
    (tmp_path / "link").symlink_to("real")
    with new_file(tmp_path / "link") as stream:
        stream.write(b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_text() == "new"
