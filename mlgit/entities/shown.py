"""Entities as a notebook shows them, and text that can only be seen.

Names, params and notes were written by somebody: here they become text in HTML, and nothing else.
"""

from __future__ import annotations

import html
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlgit.entities import Run

_MOST_ROWS = 100
_MOST_COLUMNS = 20
_LONGEST = 500
# Control characters, what turns the direction of text around or can't be seen, ends of
# lines that only some programs know, and halves of surrogate pairs.
_HIDDEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]"
)
_HIDDEN_IN_LINES = re.compile(r"(?![\n\t])" + _HIDDEN.pattern)


def visible(text: str) -> str:
    """Text on one line that can only be seen: what isn't printable as escapes."""
    return _HIDDEN.sub(_escape, text)


def visible_lines(text: str) -> str:
    """Text on several lines, as code is: line ends and tabs stay, what can't be seen is an escape."""
    return _HIDDEN_IN_LINES.sub(_escape, text)


def _escape(match: re.Match[str]) -> str:
    char = match[0]
    named = {"\n": "\\n", "\t": "\\t", "\r": "\\r"}.get(char)
    code = ord(char)
    if 0xDC80 <= code <= 0xDCFF:  # a byte that wasn't UTF-8
        return f"\\x{code - 0xDC00:02x}"
    return named or (f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}")


def cell(value: object) -> str:
    """A value as HTML that shows it as it is, cut where it is long."""
    if value is None:
        return ""
    if isinstance(value, float) and math.isfinite(value):
        return f"{value:.6g}"
    shown = visible(str(value))
    return html.escape(shown if len(shown) <= _LONGEST else shown[: _LONGEST - 1] + "…")


def table(caption: str, headers: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table as HTML; the first cell of a row is its heading.

    Args:
        caption: What it is; may be "".
        headers: The columns' names; may be empty.
        rows: The values; at most 100 rows are shown, and it is said how many there are.
    """
    found = list(rows)
    parts = ["<table>"]
    if caption:
        parts.append(f'<caption style="text-align:left">{cell(caption)}</caption>')
    if headers:
        heads = "".join(f'<th scope="col">{cell(head)}</th>' for head in headers)
        parts.append(f"<thead><tr>{heads}</tr></thead>")
    parts.append("<tbody>")
    for first, *others in found[:_MOST_ROWS]:
        values = "".join(f"<td>{cell(value)}</td>" for value in others)
        parts.append(f'<tr><th scope="row">{cell(first)}</th>{values}</tr>')
    parts.append("</tbody></table>")
    if len(found) > _MOST_ROWS:
        parts.append(f"<p>{_MOST_ROWS} of {len(found)} rows</p>")
    return "".join(parts)


def moment(milliseconds: int | None) -> str:
    """A time in UTC, to the second; "" for none."""
    if milliseconds is None:
        return ""
    try:
        when = datetime.fromtimestamp(milliseconds / 1000, timezone.utc)
    except (OverflowError, OSError, ValueError):
        return str(milliseconds)
    return when.strftime("%Y-%m-%d %H:%M:%S UTC")


def run_html(run: Run) -> str:
    """A run with its params, metrics and the tags that people set."""
    info = run.info
    facts = [
        ("run id", info.run_id),
        ("experiment", info.experiment_id),
        ("status", info.status),
        ("started", moment(info.start_time)),
        ("ended", moment(info.end_time)),
    ]
    tags = {k: v for k, v in run.data.tags.items() if not k.startswith(("mlflow.", "mlgit."))}
    parts = [table(f"Run {info.run_name or info.run_id}", (), facts)]
    for title, found in (
        ("Params", run.data.params),
        ("Metrics", run.data.metrics),
        ("Tags", tags),
    ):
        if found:
            parts.append(table(title, (), sorted(found.items())))
    return f"<div>{''.join(parts)}</div>"


def runs_html(runs: Sequence[Run]) -> str:
    """Runs as rows; the columns are the params and metrics that any of the first has."""
    first = runs[:_MOST_ROWS]
    metrics = sorted({name for run in first for name in run.data.metrics})[:_MOST_COLUMNS]
    params = sorted({name for run in first for name in run.data.params})[:_MOST_COLUMNS]
    headers = ("run", "status", "started", *metrics, *params)

    def row(run: Run) -> list[object]:
        found: list[object] = [run.info.run_name or run.info.run_id, run.info.status]
        found.append(moment(run.info.start_time))
        found += [run.data.metrics.get(name) for name in metrics]
        return found + [run.data.params.get(name) for name in params]

    return table("", headers, [row(run) for run in runs])


def fields_html(title: str, fields: Mapping[str, Any]) -> str:
    """An entity's fields that hold anything; those that are times by their names as such."""
    rows: list[tuple[str, object]] = []
    for name, value in fields.items():
        if value in (None, "", [], {}):
            continue
        if name.endswith("_timestamp") and isinstance(value, int):
            value = moment(value)
        elif isinstance(value, dict):
            value = ", ".join(f"{k}: {v}" for k, v in value.items())
        elif isinstance(value, list):
            value = ", ".join(str(item) for item in value)
        rows.append((name, value))
    return table(title, (), rows)
