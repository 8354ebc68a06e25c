"""The columns of a list of runs."""

from __future__ import annotations

import fnmatch
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import click

from mlgit.cli import output
from mlgit.cli.output import Output
from mlgit.entities import LifecycleStage, Run
from mlgit.store.telling import telling_keys

_COLORS = {"FINISHED": "green", "FAILED": "red", "KILLED": "red", "RUNNING": "yellow"}
_KINDS = {"metric": "metrics", "param": "params", "tag": "tags"}
_CELL_LIMIT = 40
DEFAULT = ("id", "name", "experiment", "status", "started")


@dataclass
class Row:
    """A run, and what a list says of it besides."""

    run: Run
    experiment: str
    now: float = field(default_factory=time.time)


@dataclass(frozen=True)
class Column:
    """One column: what it is called, and a run's cell in it as plain text."""

    header: str
    cell: Callable[[Row], object]
    right: bool = False


def _tag(name: str, limit: int | None = None) -> Callable[[Row], object]:
    return lambda row: row.run.data.tags.get(name, "")[:limit]


def _status(row: Row) -> str:
    info = row.run.info
    deleted = info.lifecycle_stage == LifecycleStage.DELETED
    return f"{info.status} (deleted)" if deleted else info.status


def _duration(row: Row) -> str:
    start, end = row.run.info.start_time, row.run.info.end_time
    return output.duration(end - start) if start is not None and end is not None else ""


ATTRIBUTES: dict[str, Callable[[Row], object]] = {
    "id": lambda row: row.run.info.run_id[:8],
    "run_id": lambda row: row.run.info.run_id,
    "name": lambda row: row.run.info.run_name or "",
    "experiment": lambda row: row.experiment,
    "experiment_id": lambda row: row.run.info.experiment_id,
    "status": _status,
    "started": lambda row: output.age(row.run.info.start_time, row.now),
    "start_time": lambda row: output.iso(row.run.info.start_time) or "",
    "end_time": lambda row: output.iso(row.run.info.end_time) or "",
    "duration": _duration,
    "user": lambda row: row.run.info.user_id or "",
    "source": _tag("mlflow.source.name"),
    "branch": _tag("mlflow.source.git.branch"),
    "code": _tag("mlflow.source.git.commit", 10),
}


def chosen(names: Iterable[str], rows: Sequence[Row]) -> list[Column]:
    """The columns that a person asked for.

    Args:
        names: Attributes, and ``metrics.``, ``params.`` or ``tags.`` with a name or pattern.
        rows: The runs; a pattern stands for the names that they have.

    Raises:
        BadParameter: There is no such column.
    """
    columns: list[Column] = []
    for name in names:
        kind, dot, key = name.partition(".")
        kind = _KINDS.get(kind, kind)
        if name in ATTRIBUTES:
            columns.append(Column(name, ATTRIBUTES[name]))
        elif dot and key and kind in _KINDS.values():
            columns += [_value(kind, found) for found in _expand(kind, key, rows)]
        else:
            raise click.BadParameter(
                f"there is no column '{name}'; there are {', '.join(ATTRIBUTES)}, and "
                "metrics.<name>, params.<name>, tags.<name> (with * and ?)",
                param_hint="'--columns'",
            )
    return columns


def _expand(kind: str, key: str, rows: Sequence[Row]) -> list[str]:
    keys = {found for row in rows for found in getattr(row.run.data, kind)}
    if key in keys or not any(c in key for c in "*?["):
        return [key]
    return sorted(found for found in keys if fnmatch.fnmatchcase(found, key))


def _value(kind: str, key: str) -> Column:
    def cell(row: Row) -> object:
        value: Any = getattr(row.run.data, kind).get(key, "")
        return output.number(value) if isinstance(value, float) else value

    header = key if kind != "tags" else f"tags.{key}"
    return Column(header, cell, right=kind == "metrics")


def default(rows: Sequence[Row], *, dated: bool = False) -> tuple[list[Column], int]:
    """The columns where nobody chose: attributes, metrics, params that vary.

    Args:
        rows: The runs.
        dated: Say when a run began, and not how long ago that is: what is printed is kept.

    Returns:
        The columns, the most telling first, and how many of them stay however narrow the
        terminal is.
    """
    names = ["start_time" if dated and name == "started" else name for name in DEFAULT]
    columns = [Column(name, ATTRIBUTES[name]) for name in names]
    columns += [_value(kind, key) for kind, key in telling_keys([row.run for row in rows])]
    return columns, len(DEFAULT)


def text_table(
    columns: Sequence[Column], rows: Sequence[Row], out: Output, always: int
) -> tuple[str, int]:
    """A table for the terminal.

    Args:
        columns: Its columns.
        rows: The runs.
        out: Where it will be printed: its width and whether it has colours.
        always: How many of the columns stay in any case.

    Returns:
        The table, and how many columns didn't fit.
    """
    limit = out.columns()
    cells = [[output.one_line(column.cell(row)) for row in rows] for column in columns]
    headers = [output.one_line(column.header) for column in columns]
    if limit is not None:
        cells = [[output.shortened(cell, _CELL_LIMIT) for cell in cells_of] for cells_of in cells]
        headers = [output.shortened(header, _CELL_LIMIT) for header in headers]
    shown = _fitting(headers, cells, limit, always)
    painted = [[_painted(columns[i].header, cell, out) for cell in cells[i]] for i in range(shown)]
    right = [i for i in range(shown) if columns[i].right]
    styled = [out.style(header, bold=True) for header in headers[:shown]]
    return output.table(styled, list(zip(*painted)), right), len(columns) - shown


def _fitting(
    headers: Sequence[str], cells: Sequence[Sequence[str]], limit: int | None, always: int
) -> int:
    if limit is None:
        return len(headers)
    used = 0
    for i, header in enumerate(headers):
        used += max(map(output.width, [header, *cells[i]])) + (2 if i else 0)
        if used > limit and i >= always:
            return i
    return len(headers)


def _painted(header: str, cell: str, out: Output) -> str:
    if header == "status":
        return out.style(cell, _COLORS.get(cell.split(" ")[0]))
    return out.style(cell, "yellow") if header in ("id", "run_id") else cell


def markdown_table(columns: Sequence[Column], rows: Sequence[Row]) -> str:
    """The same in Markdown, all columns."""
    cells = [[output.markdown(column.cell(row)) for column in columns] for row in rows]
    right = [i for i, column in enumerate(columns) if column.right]
    return output.markdown_table([output.markdown(c.header) for c in columns], cells, right)
