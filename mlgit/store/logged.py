"""What programs log, checked and made ready for the journal."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

from mlgit import validation
from mlgit.entities import LifecycleStage, Metric, Param, RunTag
from mlgit.exceptions import InvalidParameterValue
from mlgit.store.record import Record


def shown_path(path: str) -> str:
    """A path as text: bytes that aren't UTF-8 as escapes, which a record can hold."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def text(value: Any) -> str:
    return str(clean(str(value)))


def clean(value: Any) -> Any:
    """A value whose texts a record can hold: lone surrogates as escapes."""
    if isinstance(value, str):
        return value if value.isascii() else value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, dict):
        return {clean(k): clean(v) for k, v in value.items()}
    if isinstance(value, list):
        return [clean(item) for item in value]
    return value


def run_time(value: Any) -> int | None:
    return None if value is None else validation.metric_timestamp("time of the run", value)


def checked_tags(tags: dict[str, Any] | None) -> dict[str, str]:
    return {
        validation.check_key(key, "tag"): validation.tag_value(key, value)
        for key, value in (tags or {}).items()
    }


def new_params(params: Iterable[Param]) -> dict[str, str]:
    found: dict[str, str] = {}
    for param in params:
        key = validation.check_key(param.key, "param")
        value = validation.param_value(key, param.value)
        if found.setdefault(key, value) != value:
            raise changed_param(key, found[key], value)
    return found


def tag_line(tag: RunTag, now: int) -> list[Any]:
    key = validation.check_key(tag.key, "tag")
    return ["t", key, validation.tag_value(key, tag.value), now]


def point_line(metric: Metric) -> list[Any]:
    key = validation.check_key(metric.key, "metric")
    return [
        "m",
        key,
        validation.metric_number(key, metric.value),
        validation.metric_timestamp(key, metric.timestamp),
        validation.metric_step(key, metric.step),
    ]


def journalled(line: list[Any]) -> list[Any]:
    """A line as JSON can hold it: NaN and infinities as strings."""
    if line[0] == "m" and (line[2] != line[2] or line[2] in (float("inf"), float("-inf"))):
        shown = "NaN" if line[2] != line[2] else "Infinity" if line[2] > 0 else "-Infinity"
        return [*line[:2], shown, *line[3:]]
    return line


def changed_param(key: str, old: str, new: str) -> InvalidParameterValue:
    return InvalidParameterValue(
        f"Changing param values is not allowed. Param with key={key!r} was already logged "
        f"with value={old!r}; the new value is {new!r}",
        hint="log the other value under another name, or in a nested run",
    )


def require_active(record: Record) -> None:
    if record.lifecycle_stage != LifecycleStage.ACTIVE:
        raise InvalidParameterValue(
            f"The run {record.run_id} must be in the 'active' state; it is deleted",
            hint=f"mlgit runs restore {record.run_id}",
        )
