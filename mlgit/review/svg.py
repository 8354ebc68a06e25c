"""Curves as inline SVG: no script, no network, colours from the page's style sheet."""

from __future__ import annotations

import html
import math
from collections.abc import Callable, Sequence
from itertools import pairwise

from mlgit.review.curves import Curve
from mlgit.review.show import number, visible
from mlgit.store.record import Point

_WIDTH, _HEIGHT = 640, 240
_LEFT, _RIGHT, _TOP, _BOTTOM = 70, 30, 10, 30
_TICKS = 5
# Where no style sheet says otherwise: a notebook has none of ours.
_COLORS = {"old": "#6e7781", "new": "#0969da"}


def figure(curve: Curve, old: str = "old", new: str = "new") -> str | None:
    """A metric's two curves; None where there is no point to draw.

    Args:
        curve: The points. What is no number is a gap.
        old, new: What the sides are called.
    """
    points = [p for side in (curve.old, curve.new) for p in side if math.isfinite(p.value)]
    if not points:
        return None
    first, last = min(p.step for p in points), max(p.step for p in points)
    low, high = min(p.value for p in points), max(p.value for p in points)
    x = _scale(first, last, _LEFT, _WIDTH - _RIGHT)
    y = _scale(low, high, _HEIGHT - _BOTTOM, _TOP)
    name = html.escape(visible(curve.name))
    said = ", ".join(
        f"{called}: {len(side)} points, {_said(side)}"
        for called, side in ((old, curve.old), (new, curve.new))
        if side
    )
    parts = [
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" role="img" aria-label="{name}: '
        f'{html.escape(said)}" xmlns="http://www.w3.org/2000/svg">'
    ]
    parts += _axes(first, last, low, high, x, y)
    for css, side in (("old", curve.old), ("new", curve.new)):
        path = _path(side, x, y)
        if path:
            color = _COLORS[css]
            style = f'fill="none" stroke="{color}" stroke-width="2"'
            parts.append(f'<path class="{css}" {style} d="{path}"/>')
    caption = f"{name} <span>{html.escape(said)}</span>"
    return f"<figure><figcaption>{caption}</figcaption>{''.join(parts)}</svg></figure>"


def _said(side: Sequence[Point]) -> str:
    values = [p.value for p in side if math.isfinite(p.value)]
    if not values:
        return "no number"
    return f"{number(min(values))} to {number(max(values))}, last {number(side[-1].value)}"


def _scale(low: float, high: float, start: float, end: float) -> Callable[[float], float]:
    # Halves: the span of two huge numbers isn't finite.
    span = high / 2 - low / 2
    if not span:
        return lambda value: (start + end) / 2
    return lambda value: start + (value / 2 - low / 2) / span * (end - start)


def _axes(
    first: int,
    last: int,
    low: float,
    high: float,
    x: Callable[[float], float],
    y: Callable[[float], float],
) -> list[str]:
    found = []
    for part in range(_TICKS) if high > low else (0,):
        share = part / (_TICKS - 1)
        value = low * (1 - share) + high * share
        at = y(value)
        found.append(
            f'<line class="grid" stroke="#8c959f" stroke-opacity="0.4" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{at:.1f}" y2="{at:.1f}"/>'
        )
        found.append(
            f'<text x="{_LEFT - 6}" y="{at + 4:.1f}" text-anchor="end" font-size="12" fill="#6e7781">{value:.4g}</text>'
        )
    steps = sorted({first + (last - first) * part // (_TICKS - 1) for part in range(_TICKS)})
    for step in steps:
        found.append(
            f'<text x="{x(step):.1f}" y="{_HEIGHT - 10}" text-anchor="middle" font-size="12" fill="#6e7781">{number(step)}</text>'
        )
    return found


def _path(side: Sequence[Point], x: Callable[[float], float], y: Callable[[float], float]) -> str:
    """Lines between neighbours; a point alone is a dot."""
    drawn = []
    joined = False
    for point, after in pairwise([*side, None]):
        assert point is not None
        if not math.isfinite(point.value):
            joined = False
            continue
        drawn.append(f"{'L' if joined else 'M'}{x(point.step):.1f} {y(point.value):.1f}")
        alone = after is None or not math.isfinite(after.value)
        if not joined and alone:
            drawn.append("h0.01")
        joined = True
    return "".join(drawn)
