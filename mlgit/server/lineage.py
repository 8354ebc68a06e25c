"""Where a version comes from, as a drawing: data → code → run → version → who it is.

``draw`` places boxes and lines; the template writes them as SVG. Nothing here reads anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from mlgit.registry.lineage import Lineage

_WIDTH, _HEIGHT = 190, 50
_ACROSS, _DOWN = 40, 12
_MARGIN = 4
_MOST = 6


@dataclass
class Box:
    """One thing of the drawing.

    Attributes:
        kind: "data", "dataset", "code", "run", "version" or "held".
        title, note: Its two lines; not yet HTML.
        url: What it leads to, or "".
        x, y, width, height: Where it stands.
    """

    kind: str
    title: str
    note: str = ""
    url: str = ""
    x: int = 0
    y: int = 0
    width: int = _WIDTH
    height: int = _HEIGHT


@dataclass
class Drawing:
    """Boxes, and lines between them.

    Attributes:
        lines: Paths in SVG's form.
    """

    boxes: list[Box] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    width: int = 0
    height: int = 0


def draw(found: Lineage, held: Sequence[str], run_url: str = "") -> Drawing:
    """The drawing of a version's lineage.

    Args:
        found: Where it comes from.
        held: The stages and aliases that it has.
        run_url: The run's page, or "".
    """
    data = [Box("data", path, f"data {sha[:10]}") for path, sha in sorted(found.data.items())]
    sets = [Box("dataset", name, f"dataset {digest[:10]}") for name, digest in found.datasets]
    code = []
    if found.code_commit:
        dirty = "with uncommitted changes" if found.dirty else "code"
        code = [Box("code", found.code_commit[:10], dirty)]
    run = []
    if found.run_id:
        run = [Box("run", found.run_name or found.run_id, f"run {found.run_id[:8]}", run_url)]
    version = found.version
    own = Box("version", f"{version.name} v{version.version}", "version")
    names = [Box("held", name, "now") for name in held]
    data, sets, names = _cut(data, "data"), _cut(sets, "dataset"), _cut(names, "held")
    columns = [column for column in (data, code + sets, run, [own], names) if column]
    drawing = _placed(columns)
    after_data = (code or run or [own])[0]
    pairs = [(box, after_data) for box in data]
    pairs += [(box, (run or [own])[0]) for box in sets]
    pairs += [(box, (run or [own])[0]) for box in code]
    pairs += [(box, own) for box in run] + [(own, box) for box in names]
    drawing.lines = [_line(first, second) for first, second in pairs]
    return drawing


def _cut(boxes: list[Box], kind: str) -> list[Box]:
    more = len(boxes) - _MOST
    return [*boxes[:_MOST], Box(kind, f"and {more} more", "in the table")] if more > 0 else boxes


def _placed(columns: list[list[Box]]) -> Drawing:
    tallest = max(len(column) for column in columns)
    height = tallest * (_HEIGHT + _DOWN) - _DOWN
    for across, column in enumerate(columns):
        own = len(column) * (_HEIGHT + _DOWN) - _DOWN
        for down, box in enumerate(column):
            box.x = _MARGIN + across * (_WIDTH + _ACROSS)
            box.y = _MARGIN + (height - own) // 2 + down * (_HEIGHT + _DOWN)
    width = len(columns) * (_WIDTH + _ACROSS) - _ACROSS
    boxes = [box for column in columns for box in column]
    return Drawing(boxes, [], width + 2 * _MARGIN, height + 2 * _MARGIN)


def _line(first: Box, second: Box) -> str:
    x1, y1 = first.x + first.width, first.y + first.height // 2
    x2, y2 = second.x - 6, second.y + second.height // 2
    bend = (x2 - x1) // 2
    return f"M{x1},{y1} C{x1 + bend},{y1} {x2 - bend},{y2} {x2},{y2}"
