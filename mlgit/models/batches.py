"""Files of a model's input, read in batches: CSV, JSON, JSON lines and Parquet.

CSV, JSON lines and Parquet are never wholly in memory. A JSON document is: it has no end of a
row that could be seen before the end of it all.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from itertools import chain, islice
from typing import Any, BinaryIO

from mlgit.exceptions import InvalidParameterValue, MissingDependency
from mlgit.models.enforcement import takes_anything
from mlgit.models.jsonform import cast_frame, frame_from_records, frame_from_split
from mlgit.models.serving import CHAT_KEYS, REQUEST_KEYS, parse_serving_input
from mlgit.types.schema import DataType, Schema

CONTENT_TYPES = ("csv", "json", "jsonl", "parquet")
ROWS = 10_000
# A JSON document takes about ten times its size in memory.
LARGEST_DOCUMENT = 256 << 20
_TYPES = "--content-type says what it is: csv, json, jsonl or parquet"
_SUFFIXES = {
    ".csv": "csv",
    ".json": "json",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
    ".pq": "parquet",
}

Batch = tuple[Any, dict[str, Any] | None]


def content_type_of(path: str | os.PathLike[str] | None) -> str | None:
    """The content type that a file's suffix tells, or None."""
    return _SUFFIXES.get(os.path.splitext(os.fspath(path))[1].lower()) if path else None


def check_content_type(name: str) -> str:
    """Return the content type if there is such a one.

    Raises:
        InvalidParameterValue: There isn't.
    """
    if name not in CONTENT_TYPES:
        raise InvalidParameterValue(
            f"There is no content type {name!r}", hint=f"there are {', '.join(CONTENT_TYPES)}"
        )
    return name


def batches(
    stream: BinaryIO, content_type: str, schema: Schema | None, rows: int | None = None
) -> Iterator[Batch]:
    """The batches of an input, each with the params that came with it.

    Args:
        stream: The input's bytes.
        content_type: One of ``CONTENT_TYPES``; "json" takes JSON lines, too.
        schema: The inputs of the model's signature, which say the types; None where it has none.
        rows: How many rows a batch has; ``ROWS`` where None, but a JSON document is one batch.

    Raises:
        InvalidParameterValue: The input is empty, isn't of the content type, or values aren't of
            their types.
        MissingDependency: Parquet can't be read.
    """
    read: dict[str, Callable[[], Iterator[Batch]]] = {
        "csv": lambda: _csv(stream, schema, rows or ROWS),
        "json": lambda: _json(stream, schema, rows),
        "jsonl": lambda: _lines(_numbered(stream), schema, rows or ROWS),
        "parquet": lambda: _parquet(stream, schema, rows or ROWS),
    }
    found = read[check_content_type(content_type)]()
    first = next(found, None)
    if first is None:
        raise _empty()
    return chain([first], found)


def _empty() -> InvalidParameterValue:
    return InvalidParameterValue("The input is empty", hint="it needs one row at least")


# -- CSV


def _csv(stream: BinaryIO, schema: Schema | None, rows: int) -> Iterator[Batch]:
    import pandas as pd

    source: Any = _Text(stream)  # less than what pandas says it needs
    try:
        with pd.read_csv(
            source, chunksize=rows, dtype=_text_columns(schema), low_memory=False
        ) as found:
            for frame in found:
                if len(frame):
                    yield cast_frame(frame, schema), None
    except pd.errors.EmptyDataError:
        return
    except (pd.errors.ParserError, UnicodeDecodeError) as error:
        if source.error is not None:
            raise source.error from None
        raise InvalidParameterValue(
            f"The input isn't CSV: {' '.join(str(error).split())}"
        ) from None
    finally:
        source.release()


class _Text:
    """A stream as text, for pandas, which forgets what was raised in a read: Ctrl-C, too."""

    def __init__(self, stream: BinaryIO) -> None:
        self.error: BaseException | None = None
        self._text = io.TextIOWrapper(stream, encoding="utf-8-sig", newline="")

    def read(self, size: int = -1) -> str:
        try:
            return self._text.read(size)
        except UnicodeDecodeError as error:
            self.error = InvalidParameterValue(f"The input isn't text in UTF-8: {error}")
            raise
        except BaseException as error:
            self.error = error
            raise

    def __iter__(self) -> Iterator[str]:  # which is how pandas knows a file
        return iter(self._text)

    def release(self) -> None:
        """Let go of the stream, without closing it."""
        try:
            self._text.detach()
        except ValueError:
            pass  # whose it is has closed it


def _text_columns(schema: Schema | None) -> dict[Any, Any]:
    """Columns that are read as text: "007" of a text column isn't the number 7."""
    if schema is None or schema.is_tensor_spec() or takes_anything(schema):
        return {}
    kinds = (DataType.string, DataType.binary, DataType.datetime)
    specs = schema.inputs if schema.has_input_names() else ()
    return {spec.name: str for spec in specs if spec.type in kinds}


# -- JSON


def _json(stream: BinaryIO, schema: Schema | None, rows: int | None) -> Iterator[Batch]:
    """A document, or JSON lines: where a line is whole and another follows it."""
    first = stream.readline(LARGEST_DOCUMENT + 1)
    while first and not first.strip():
        first = stream.readline(LARGEST_DOCUMENT + 1)
    if not first:
        return
    if first.endswith(b"\n") and _parses(first):
        second = next((line for line in stream if line.strip()), None)
        if second is not None:
            lines = enumerate(chain([first, second], stream), 1)
            yield from _lines(lines, schema, rows or ROWS)
            return
        rest = b""
    else:
        rest = stream.read(max(0, LARGEST_DOCUMENT + 1 - len(first)))
    if len(first) + len(rest) > LARGEST_DOCUMENT:
        raise InvalidParameterValue(
            f"A JSON document can't be read in parts, and this one is over "
            f"{LARGEST_DOCUMENT >> 20} MiB",
            hint="write JSON lines (one row a line), CSV or Parquet",
        )
    yield from _document(first + rest, schema, rows)


def _parses(line: bytes) -> bool:
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return True


def _document(text: bytes, schema: Schema | None, rows: int | None) -> Iterator[Batch]:
    try:
        form = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidParameterValue(f"The input isn't JSON: {error}", hint=_TYPES) from None
    data, params = _data(form, schema)
    if hasattr(data, "__len__") and len(data) == 0:
        return
    if rows is None or not hasattr(data, "shape"):
        yield data, params
        return
    for at in range(0, len(data), rows):
        yield (data.iloc if hasattr(data, "iloc") else data)[at : at + rows], params


def _data(form: Any, schema: Schema | None) -> Batch:
    """What a request holds, a frame in the form split, or rows."""
    if isinstance(form, dict):
        is_request = any(key in form for key in (*REQUEST_KEYS, *CHAT_KEYS))
        if not is_request and "data" in form:
            return frame_from_split(form, schema), None
        if not is_request and form:
            return frame_from_records([form], schema), None
        return parse_serving_input(form, schema)
    if isinstance(form, list):
        return _rows(form, schema), None
    raise InvalidParameterValue(
        f"The input is rows, and JSON's {form!r:.60} came",
        hint='[{"a": 1}, …], or a request: {"dataframe_split": …}, {"inputs": …}',
    )


def _rows(rows: list[Any], schema: Schema | None) -> Any:
    if rows and all(isinstance(row, dict) for row in rows):
        return frame_from_records(rows, schema)
    return parse_serving_input({"inputs": rows}, schema)[0]


def _numbered(stream: BinaryIO) -> Iterator[tuple[int, bytes]]:
    return enumerate(stream, 1)


def _lines(lines: Iterator[tuple[int, bytes]], schema: Schema | None, rows: int) -> Iterator[Batch]:
    whole = ((at, line) for at, line in lines if line.strip())
    while found := [_line(at, line) for at, line in islice(whole, rows)]:
        yield _rows(found, schema), None


def _line(at: int, line: bytes) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError) as error:
        raise InvalidParameterValue(
            f"Line {at} of the input isn't JSON: {error}", hint=_TYPES
        ) from None


# -- Parquet


def pyarrow_parquet() -> Any:
    """The module ``pyarrow.parquet``.

    Raises:
        MissingDependency: It isn't installed.
    """
    try:
        import pyarrow.parquet as found
    except ImportError as error:
        raise MissingDependency(
            "Parquet needs pyarrow, which isn't installed", hint="pip install mlgit[parquet]"
        ) from error
    return found


def _parquet(stream: BinaryIO, schema: Schema | None, rows: int) -> Iterator[Batch]:
    parquet = pyarrow_parquet()
    import pyarrow

    with _seekable(stream) as file:
        try:
            if not file.read(1):
                return
            file.seek(0)
            found = parquet.ParquetFile(file)
            for batch in found.iter_batches(batch_size=rows):
                if len(batch):
                    yield _cast_arrow(batch.to_pandas(), schema), None
        except (pyarrow.ArrowInvalid, OSError) as error:
            raise InvalidParameterValue(f"The input isn't Parquet: {error}") from None


def _cast_arrow(frame: Any, schema: Schema | None) -> Any:
    # Parquet has the types itself; only a tensor's rows are of another than the columns'.
    tensors = schema is not None and schema.is_tensor_spec()
    return cast_frame(frame, schema) if tensors else frame


def _seekable(stream: BinaryIO) -> BinaryIO:
    """The stream, or a temporary file of it: Parquet's index is at the end."""
    if stream.seekable():
        return stream
    spooled = tempfile.TemporaryFile()
    shutil.copyfileobj(stream, spooled, io.DEFAULT_BUFFER_SIZE * 64)
    spooled.seek(0)
    return spooled
