"""MLflow's limits and rules for names and values, checked before anything is written.

Source: MLflow's ``utils/validation.py`` as executed on 2.22.5 and 3.17.2. One rule
differs on purpose: a param or tag value over the limit is refused, where MLflow cuts it
silently; set ``MLFLOW_TRUNCATE_LONG_VALUES=true`` for MLflow's behaviour.
"""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from mlgit import settings
from mlgit.exceptions import InvalidParameterValue

MAX_KEY = 250
MAX_PARAM_VALUE = 6000
MAX_TAG_VALUE = 8000
MAX_EXPERIMENT_NAME = 500
MAX_EXPERIMENT_TAG_VALUE = 5000
MAX_BATCH_METRICS = 1000
MAX_BATCH_PARAMS = 100
MAX_BATCH_TAGS = 100
MAX_RESULTS = 50_000
MAX_ARTIFACT_PATH = 4000
MAX_ARTIFACT_DEPTH = 200

_KEY = re.compile(r"^[/\w.\- :]*\Z")
_RUN_ID = re.compile(r"^[a-zA-Z0-9][\w\-]{0,255}\Z")
_EXPERIMENT_ID = re.compile(r"^[a-zA-Z0-9][\w\-]{0,63}\Z")
_SURROGATE = re.compile("[\ud800-\udfff]")
_STEP_LIMIT = 2**63


def check_key(key: object, kind: str) -> str:
    """Return ``key`` if it may name a metric, param or tag.

    Args:
        key: The name.
        kind: What it names ("metric", "param", "tag"), for the message.

    Raises:
        InvalidParameterValue: The name is empty, too long, has a character that MLflow
            refuses, or isn't its own normalised path.
    """
    if not isinstance(key, str):
        raise InvalidParameterValue(
            f"A {kind} name must be a string, not {type(key).__name__}: {_short(key)}"
        )
    return _checked_key(key, kind)


@lru_cache(maxsize=4096)
def _checked_key(key: str, kind: str) -> str:
    if not key:
        raise InvalidParameterValue(f"A {kind} name must not be empty")
    if not _KEY.match(key):
        raise InvalidParameterValue(
            f"Invalid {kind} name: {_short(key)}",
            hint="names may hold letters, digits, underscores, dashes, periods, spaces, "
            "colons and slashes",
        )
    if key != posixpath.normpath(key) or key.startswith(("/", "..")) or key == ".":
        raise InvalidParameterValue(
            f"Invalid {kind} name: {_short(key)}",
            hint="a name that has slashes must read as a plain relative path: "
            "no '..', no '//', no '/' at either end",
        )
    if len(key) > MAX_KEY:
        raise InvalidParameterValue(
            f"{kind.capitalize()} name {_short(key)} has {len(key)} characters; "
            f"at most {MAX_KEY} are allowed"
        )
    return key


def check_mapping(values: object, kind: str) -> Mapping[Any, Any]:
    """Return ``values`` if it maps names to values.

    Raises:
        InvalidParameterValue: It doesn't.
    """
    if not isinstance(values, Mapping):
        raise InvalidParameterValue(
            f"The {kind} must be a dictionary, not {type(values).__name__}: {_short(values)}"
        )
    return values


def check_path(path: object) -> str:
    """A path as text.

    Raises:
        InvalidParameterValue: It is neither text nor a path, or can't be one on any disk.
    """
    try:
        text = os.fspath(path)  # type: ignore[call-overload]
        if isinstance(text, str) and "\0" not in text:
            return text
    except TypeError:
        pass
    raise InvalidParameterValue(f"Not a path: {_short(path)} ({type(path).__name__})")


def check_text(text: object, what: str) -> str:
    """Return ``text`` if it is a string that UTF-8 can hold.

    Raises:
        InvalidParameterValue: It isn't.
    """
    if not isinstance(text, str):
        raise InvalidParameterValue(f"{what} must be a string, not {type(text).__name__}")
    if not text.isascii() and _SURROGATE.search(text):
        raise InvalidParameterValue(f"{what} holds a lone surrogate, which UTF-8 can't store")
    return text


def param_value(key: str, value: object) -> str:
    """The text that is recorded for a param's value.

    Raises:
        InvalidParameterValue: It has more than 6000 characters.
    """
    return _limited("Param", key, str(value), MAX_PARAM_VALUE)


def tag_value(key: str, value: object) -> str:
    """The text that is recorded for a tag's value.

    Raises:
        InvalidParameterValue: It has more than 8000 characters.
    """
    return _limited("Tag", key, str(value), MAX_TAG_VALUE)


def _limited(kind: str, key: str, text: str, limit: int) -> str:
    if not text.isascii() and _SURROGATE.search(text):
        raise InvalidParameterValue(
            f"{kind} {_short(key)} holds a lone surrogate, which no encoding can store",
            hint="decode the bytes with errors='replace' before logging them",
        )
    if len(text) <= limit:
        return text
    if settings.truncate_long_values():
        return text[:limit]
    raise InvalidParameterValue(
        f"{kind} {_short(key)} has {len(text)} characters; at most {limit} are allowed",
        hint="log it with log_text() as an artifact, or set "
        "MLFLOW_TRUNCATE_LONG_VALUES=true to have it cut, as MLflow does",
    )


def metric_number(key: str, value: object) -> float:
    """A metric's value as a float; numpy and torch scalars and numerals are fine.

    Raises:
        InvalidParameterValue: It isn't a number.
    """
    try:
        if isinstance(value, bytes):
            raise TypeError
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError, RuntimeError):
        raise InvalidParameterValue(
            f"Metric {_short(key)} must be a number, not {type(value).__name__}: {_short(value)}",
            hint="log text with log_param() or set_tag(), arrays point by point",
        ) from None


def metric_step(key: str, step: object) -> int:
    """A metric's step as an integer of 64 bits, signed.

    Raises:
        InvalidParameterValue: It isn't an integer or doesn't fit.
    """
    try:
        number = int(step)  # type: ignore[call-overload]
    except (TypeError, ValueError, OverflowError):
        raise InvalidParameterValue(
            f"Metric {_short(key)}: step must be an integer, not {_short(step)}"
        ) from None
    if not -_STEP_LIMIT <= number < _STEP_LIMIT:
        raise InvalidParameterValue(
            f"Metric {_short(key)}: step {number} doesn't fit a signed 64-bit integer"
        )
    return int(number)


def metric_timestamp(key: str, timestamp: object) -> int:
    """A metric's time as whole milliseconds since 1970, UTC.

    Raises:
        InvalidParameterValue: It isn't a number of at least 0 that fits 64 bits.
    """
    try:
        number = int(timestamp)  # type: ignore[call-overload]
    except (TypeError, ValueError, OverflowError):
        number = -1
    if not 0 <= number < _STEP_LIMIT:
        raise InvalidParameterValue(
            f"Metric {_short(key)}: timestamp must be milliseconds since 1970, not "
            f"{_short(timestamp)}"
        )
    return int(number)


def check_run_id(run_id: object) -> str:
    """Return ``run_id`` if it may be one.

    Raises:
        InvalidParameterValue: It has characters that a run id can't have.
    """
    if not isinstance(run_id, str) or not _RUN_ID.match(run_id):
        raise InvalidParameterValue(
            f"Invalid run ID: {_short(run_id)}",
            hint="a run id is 1 to 256 letters, digits, dashes and underscores",
        )
    return run_id


def check_experiment_id(experiment_id: object) -> str:
    """Return ``experiment_id`` as text if it may be one.

    Raises:
        InvalidParameterValue: It has characters that an experiment id can't have.
    """
    text = str(experiment_id)
    if not _EXPERIMENT_ID.match(text):
        raise InvalidParameterValue(
            f"Invalid experiment ID: {_short(experiment_id)}",
            hint="mlgit experiments list shows the ids",
        )
    return text


def check_experiment_name(name: object) -> str:
    """Return ``name`` if it may name an experiment.

    Raises:
        InvalidParameterValue: It is empty, not text, over 500 characters, or holds a
            control character.
    """
    if not isinstance(name, str) or not name.strip():
        raise InvalidParameterValue(f"Invalid experiment name: {_short(name)}")
    if len(name) > MAX_EXPERIMENT_NAME:
        raise InvalidParameterValue(
            f"Experiment name {_short(name)} has {len(name)} characters; "
            f"at most {MAX_EXPERIMENT_NAME} are allowed"
        )
    if not name.isprintable():
        raise InvalidParameterValue(
            f"Experiment name {_short(name)} holds a newline or another character that "
            "can't be printed"
        )
    return name


def check_artifact_path(path: object) -> str:
    """Return ``path`` if it is a plain relative path inside a run's artifacts ("" is the root).

    Raises:
        InvalidParameterValue: It is absolute, climbs with "..", or holds NUL.
    """
    text = str(path).replace("\\", "/") if path else ""
    text = text.rstrip("/")
    if not text:
        return ""
    if (
        text != posixpath.normpath(text)
        or text.startswith("/")
        or text == "."
        or ".." in text.split("/")
        or "\0" in text
        or re.match(r"^[A-Za-z]:", text)
    ):
        raise InvalidParameterValue(
            f"Invalid artifact path: {_short(path)}",
            hint="give a plain relative path, such as plots/loss.png",
        )
    try:
        encoded = text.encode()
    except UnicodeEncodeError:
        raise InvalidParameterValue(f"Artifact path {_short(path)} is not valid Unicode") from None
    if (
        len(encoded) > MAX_ARTIFACT_PATH
        or text.count("/") >= MAX_ARTIFACT_DEPTH
        or any(len(part) > 255 for part in encoded.split(b"/"))
    ):
        raise InvalidParameterValue(
            f"The artifact path {_short(path)} is too long",
            hint=f"at most {MAX_ARTIFACT_PATH} bytes, {MAX_ARTIFACT_DEPTH} parts, and 255 bytes "
            "in each: more can't be made a file on any disk",
        )
    return text


def check_batch(metrics: int, params: int, tags: int) -> None:
    """Check the sizes of one ``log_batch`` call against MLflow's limits.

    Raises:
        InvalidParameterValue: More than 1000 metrics, 100 params, 100 tags or 1000 in all.
    """
    for count, limit, kind in (
        (metrics, MAX_BATCH_METRICS, "metrics"),
        (params, MAX_BATCH_PARAMS, "params"),
        (tags, MAX_BATCH_TAGS, "tags"),
        (metrics + params + tags, MAX_BATCH_METRICS, "entries in all"),
    ):
        if count > limit:
            raise InvalidParameterValue(
                f"A batch logging request can contain at most {limit} {kind}; got {count}",
                hint="log_metrics(), log_params() and set_tags() split what is larger",
            )


def check_max_results(value: object, limit: int = MAX_RESULTS) -> int:
    """Return ``value`` if it is a sensible page size.

    Raises:
        InvalidParameterValue: It isn't an integer from 1 to ``limit``.
    """
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= limit:
        raise InvalidParameterValue(
            f"Invalid value for max_results: {_short(value)}; it must be an integer from 1 to {limit}"
        )
    return value


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 120 else text[:100] + "…" + text[-10:]
