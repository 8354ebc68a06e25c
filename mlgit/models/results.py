"""Files of a model's predictions, written batch by batch; whole, or not at all."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO, Protocol

from mlgit.exceptions import InvalidParameterValue, ResourceDoesNotExist, from_os_error
from mlgit.models.batches import pyarrow_parquet
from mlgit.models.jsonform import encode
from mlgit.types.schema import Schema

_PREDICTION = "prediction"


class Writer(Protocol):
    """What writes predictions in one format."""

    def write(self, predictions: Any) -> None:
        """Write the predictions on one batch."""

    def close(self) -> None:
        """Write what ends the file."""


def writer(stream: BinaryIO, content_type: str, schema: Schema | None) -> Writer:
    """What writes predictions to a stream.

    Args:
        stream: Where to.
        content_type: "json" (a scoring server's answer), "jsonl", "csv" or "parquet".
        schema: The outputs of the model's signature, which name the columns.
    """
    made: dict[str, Callable[[], Writer]] = {
        "json": lambda: _Json(stream),
        "jsonl": lambda: _Lines(stream),
        "csv": lambda: _Csv(stream, schema),
        "parquet": lambda: _Parquet(stream, schema),
    }
    return made[content_type]()


@contextmanager
def new_file(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """A file that appears under its name when it is complete, and not at all where it isn't.

    Args:
        path: Its name; what isn't a regular file (a pipe, a device) is written to as it is.

    Raises:
        ResourceDoesNotExist: The folder isn't there.
        PermissionDenied, StorageError, InvalidParameterValue: It can't be written.
    """
    target = os.path.realpath(path)
    if os.path.isdir(target):
        raise InvalidParameterValue(f"{os.fspath(path)} is a folder")
    if os.path.exists(target) and not stat.S_ISREG(os.stat(target).st_mode):
        with open(target, "wb") as stream:
            yield stream
        return
    folder, name = os.path.split(target)
    temporary = f"{folder}/.{name[:200]}.{os.getpid():x}.tmp"
    try:
        stream = open(temporary, "xb")
    except FileNotFoundError as error:
        raise ResourceDoesNotExist(f"There is no folder {folder} to write to") from error
    except OSError as error:
        raise from_os_error(error, f"write {os.fspath(path)}") from error
    try:
        with stream:
            yield stream
        os.replace(temporary, target)
    except BaseException:
        os.unlink(temporary)
        raise


# -- predictions as JSON


def shown(predictions: Any) -> Any:
    """Predictions as JSON can hold them: frames as records, arrays as lists, NaN as null."""
    if hasattr(predictions, "to_dict") and hasattr(predictions, "columns"):
        return encode(predictions.to_dict(orient="records"))
    if hasattr(predictions, "tolist"):
        return encode(predictions.tolist())
    if hasattr(predictions, "toarray"):
        return encode(predictions.toarray())
    if isinstance(predictions, dict):
        return {str(name): shown(value) for name, value in predictions.items()}
    if isinstance(predictions, (list, tuple)):
        return [shown(item) for item in predictions]
    return encode(predictions)


class _Json:
    """``{"predictions": …}``, as a scoring server answers."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._lists = False
        self._begun = False
        self._any = False

    def write(self, predictions: Any) -> None:
        found = shown(predictions)
        is_list = isinstance(found, list)
        if self._begun and not (self._lists and is_list):
            raise InvalidParameterValue(
                f"The model gives {type(predictions).__name__} for each batch, which can't be "
                "joined in one JSON document",
                hint="write jsonl, or make the batches so large that one is all",
            )
        text = json.dumps(found)
        if not self._begun:
            text = '{"predictions": ' + (text[:-1] if is_list else text)
        else:
            text = (", " if self._any and found else "") + text[1:-1]
        self._stream.write(text.encode())
        self._lists, self._begun = is_list, True
        self._any = self._any or bool(found)

    def close(self) -> None:
        self._stream.write(b"]}" if self._lists else b"}")


class _Lines:
    """One prediction a line."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def write(self, predictions: Any) -> None:
        found = shown(predictions)
        rows = _rows(found) if isinstance(found, dict) else found
        for row in rows if isinstance(rows, list) else [rows]:
            self._stream.write(json.dumps(row).encode() + b"\n")

    def close(self) -> None:
        pass


def _rows(found: dict[str, Any]) -> Any:
    """The rows of columns; one row, where the values aren't columns of one length."""
    values = list(found.values())
    if not values or not all(isinstance(v, list) and len(v) == len(values[0]) for v in values):
        return found
    return [dict(zip(found, row)) for row in zip(*values)]


# -- predictions as a table


def frame_of(predictions: Any, schema: Schema | None) -> Any:
    """Predictions as a frame.

    Args:
        predictions: What the model gives.
        schema: The outputs of its signature, which name the columns that have no name.

    Raises:
        InvalidParameterValue: They aren't rows and columns.
    """
    import numpy as np
    import pandas as pd

    if isinstance(predictions, pd.DataFrame):
        return _named(predictions, schema)
    if isinstance(predictions, pd.Series):
        return predictions.to_frame(_single_name(schema, predictions.name))
    if hasattr(predictions, "toarray"):
        predictions = predictions.toarray()
    try:
        if isinstance(predictions, dict):
            columns = {str(name): _column(value) for name, value in predictions.items()}
            is_row = all(np.ndim(value) == 0 for value in predictions.values())
            return pd.DataFrame([columns]) if is_row else pd.DataFrame(columns)
        if isinstance(predictions, (list, tuple)) and any(
            isinstance(row, dict) for row in predictions
        ):
            return pd.DataFrame(list(predictions))
        array = np.asarray(predictions)
        if array.ndim == 2:
            return _named(pd.DataFrame(array), schema)
    except ValueError as error:
        raise InvalidParameterValue(
            f"The predictions make no table: {error}", hint="write them as json or jsonl"
        ) from None
    return pd.DataFrame({_single_name(schema, None): _column(predictions)})


def _column(value: Any) -> Any:
    """A column's values: of more than one axis, lists in a column."""
    import numpy as np

    if isinstance(value, (str, bytes)) or np.ndim(value) == 0:
        return [value]
    return value.tolist() if hasattr(value, "tolist") and value.ndim > 1 else value


def _single_name(schema: Schema | None, own: Any) -> str:
    named = schema is not None and len(schema) == 1 and schema.has_input_names()
    return str(schema.input_names()[0] if schema and named else own or _PREDICTION)


def _named(frame: Any, schema: Schema | None) -> Any:
    """Columns that pandas has numbered get their names."""
    count = len(frame.columns)
    if list(frame.columns) != list(range(count)):
        return frame
    if schema is not None and schema.has_input_names() and len(schema) == count:
        names = [str(name) for name in schema.input_names()]
    elif count == 1:
        names = [_single_name(schema, None)]
    else:
        names = [f"{_PREDICTION}_{at}" for at in range(count)]
    return frame.set_axis(names, axis=1)


class _Csv:
    def __init__(self, stream: BinaryIO, schema: Schema | None) -> None:
        self._stream = stream
        self._schema = schema
        self._columns: list[Any] | None = None

    def write(self, predictions: Any) -> None:
        frame = frame_of(predictions, self._schema)
        _check_columns(self._columns, frame)
        text = frame.to_csv(index=False, header=self._columns is None)
        self._columns = list(frame.columns)
        self._stream.write(text.encode())

    def close(self) -> None:
        pass


def _check_columns(before: list[Any] | None, frame: Any) -> None:
    if before is not None and list(frame.columns) != before:
        raise InvalidParameterValue(
            f"The model gave the columns {before}, and then {list(frame.columns)}",
            hint="write the predictions as jsonl",
        )


class _Parquet:
    def __init__(self, stream: BinaryIO, schema: Schema | None) -> None:
        self._parquet = pyarrow_parquet()
        self._stream = stream
        self._schema = schema
        self._writer: Any = None

    def write(self, predictions: Any) -> None:
        import pyarrow

        frame = frame_of(predictions, self._schema)
        frame.columns = [str(name) for name in frame.columns]
        try:
            if self._writer is None:
                table = pyarrow.Table.from_pandas(frame, preserve_index=False)
                self._writer = self._parquet.ParquetWriter(self._stream, table.schema)
            else:
                _check_columns(list(self._writer.schema.names), frame)
                table = pyarrow.Table.from_pandas(frame, self._writer.schema, preserve_index=False)
            self._writer.write_table(table)
        except pyarrow.ArrowException as error:
            raise InvalidParameterValue(
                f"The predictions can't be written as Parquet: {error}",
                hint="write them as json or jsonl",
            ) from None

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
