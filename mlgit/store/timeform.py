"""Times as milliseconds since 1970 and as ISO 8601 in UTC, side by side."""

from __future__ import annotations

import re
import time
from datetime import date
from functools import lru_cache
from typing import Any

from mlgit.exceptions import CorruptData

_ISO = re.compile(r"^(\d{4}-\d\d-\d\dT\d\d:\d\d):(\d\d)(?:\.(\d{1,9}))?Z\Z")
_EPOCH = date(1970, 1, 1).toordinal()
_LAST = 253_402_300_799_999  # the end of the year 9999


def now_ms() -> int:
    """The time now, in milliseconds since 1970."""
    return time.time_ns() // 1_000_000


def to_iso(milliseconds: int) -> str | int:
    """A time as text; the number itself where it is outside the years 1970 to 9999."""
    if not 0 <= milliseconds <= _LAST:
        return milliseconds
    minutes, rest = divmod(milliseconds, 60_000)
    return f"{_minute_text(minutes)}:{rest // 1000:02d}.{rest % 1000:03d}Z"


@lru_cache(maxsize=64)
def _minute_text(minutes: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M", time.gmtime(minutes * 60))


@lru_cache(maxsize=256)
def _minute_number(shown: str) -> int:
    # By hand: strptime takes 20 times as long, and a fetch brings thousands of minutes.
    days = date(int(shown[:4]), int(shown[5:7]), int(shown[8:10])).toordinal() - _EPOCH
    hours, minutes = int(shown[11:13]), int(shown[14:16])
    if hours > 23 or minutes > 59:
        raise ValueError
    return ((days * 24 + hours) * 60 + minutes) * 60


def from_iso(value: Any, name: str) -> int | None:
    """A time in milliseconds from what a record holds: text, a number or nothing.

    Raises:
        CorruptData: It is neither.
    """
    if value is None:
        return None
    if isinstance(value, int) and not isinstance(value, bool) and -(2**63) <= value < 2**63:
        return value
    match = _ISO.match(value) if isinstance(value, str) else None
    try:
        if match is None:
            raise ValueError
        fraction = (match[3] or "0").ljust(3, "0")[:3]
        return (_minute_number(match[1]) + int(match[2])) * 1000 + int(fraction)
    except ValueError:
        raise CorruptData(f"{name} isn't a time: {str(value)[:80]!r}") from None
