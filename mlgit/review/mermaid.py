"""Curves as Mermaid charts, which code hosts draw from the text of a comment."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from mlgit.review.curves import Curve
from mlgit.store.record import Point

_COLUMNS = 40
# Mermaid reads no exponents, and quotes end a title.
_LARGEST, _SMALLEST = 1e12, 1e-9
_PLAIN = re.compile(r"[^\w ./:=+-]")
_COLORS = '%%{{init: {{"themeVariables": {{"xyChart": {{"plotColorPalette": "{}"}}}}}}}}%%'
_OLD, _NEW = "#999999", "#1f77b4"


def chart(curve: Curve) -> str | None:
    """A metric's two curves as a chart's text; None where they can't be drawn.

    Args:
        curve: The points. A side that ends earlier is drawn on to the end with its last value:
            Mermaid spreads each line over the whole width.
    """
    both = (_finite(curve.old), _OLD), (_finite(curve.new), _NEW)
    drawn = [(side, color) for side, color in both if len(side) > 1]
    sides = [side for side, _ in drawn]
    if not sides:
        return None
    first = min(side[0].step for side in sides)
    last = max(side[-1].step for side in sides)
    values = [point.value for side in sides for point in side]
    low, high = min(values), max(values)
    if first >= last or max(abs(low), abs(high)) > _LARGEST or abs(first) + abs(last) > _LARGEST:
        return None
    if low < high < low + _SMALLEST:
        return None
    pad = (high - low) * 0.05 or max(abs(high) * 0.05, 0.05)
    title = _PLAIN.sub("_", curve.name)[:80].strip() or "metric"
    lines = [
        _COLORS.format(", ".join(color for _, color in drawn)),
        "xychart-beta",
        f'    title "{title}"',
        f'    x-axis "step" {first} --> {last}',
        f"    y-axis {_number(low - pad)} --> {_number(high + pad)}",
    ]
    for side in sides:
        shown = ", ".join(_number(value) for value in _even(side, first, last))
        lines.append(f"    line [{shown}]")
    return "\n".join(lines)


def _finite(side: Sequence[Point]) -> list[Point]:
    return [point for point in side if math.isfinite(point.value)]


def _even(side: Sequence[Point], first: int, last: int) -> list[float]:
    """A value at each of some evenly spread steps; the least and the greatest stay."""
    columns = min(_COLUMNS, last - first + 1)
    found: list[float | None] = [None] * columns

    def column(point: Point) -> int:
        return round((point.step - first) / (last - first) * (columns - 1))

    for point in side:
        found[column(point)] = point.value
    taken = -1
    for pick in (max, min):
        extreme = pick(side, key=lambda point: point.value)
        at = column(extreme)
        if at == taken:  # both in one column: beside it
            at += 1 if at + 1 < columns else -1
        found[at] = extreme.value
        taken = at
    filled: list[float] = []
    before = side[0].value
    for at, known in enumerate(found):
        before = _between(found, at, before) if known is None else known
        filled.append(before)
    return filled


def _between(found: Sequence[float | None], at: int, before: float) -> float:
    """A value on the straight line to the next known one; the last one after that."""
    after = next((n for n in range(at + 1, len(found)) if found[n] is not None), None)
    if after is None or not any(value is not None for value in found[:at]):
        return before
    target = found[after]
    assert target is not None
    return before + (target - before) / (after - at + 1)


def _number(value: float) -> str:
    text = f"{value:.9f}".rstrip("0").rstrip(".")
    return text if text not in ("", "-0") else "0"
