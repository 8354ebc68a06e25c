"""Unified diffs of two files, in time and space that a hostile or huge file can't blow up.

Myers' algorithm with a bound on the number of differing lines (E. Myers, "An O(ND)
Difference Algorithm", 1986): difflib's worst case is quadratic and more in the length of
the file, this one is quadratic in the bound. Beyond it the differing part is shown as
replaced whole, which is still a correct diff.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

MAX_BYTES = 1 << 20
MAX_LINES = 2000
MAX_LINE = 1000
_MAX_EDITS = 1200
_CONTEXT = 3
# Git looks at as many bytes for a NUL to tell whether a file is binary.
_SNIFFED = 8000


@dataclass(frozen=True)
class TextDiff:
    """The difference of two files.

    Attributes:
        text: The hunks, without file headers; "" where there are none to show.
        added, removed: Numbers of lines; None where they weren't counted.
        binary: One of the files isn't text.
        note: Why the text is cut or missing; "" where it is whole.
    """

    text: str = ""
    added: int | None = None
    removed: int | None = None
    binary: bool = False
    note: str = ""


def is_binary(data: bytes) -> bool:
    """Whether Git would take these bytes for a binary file."""
    return b"\0" in data[:_SNIFFED]


def text_diff(old: bytes, new: bytes, max_lines: int = MAX_LINES) -> TextDiff:
    """The difference of two files.

    Args:
        old: The file before; empty where there was none.
        new: The file after; empty where there is none.
        max_lines: The most lines of text; the rest is cut and the note says so.

    Returns:
        The hunks. A line is cut after 1000 characters, bytes that aren't UTF-8 are shown
        as ``\\xNN``.
    """
    if is_binary(old) or is_binary(new):
        return TextDiff(binary=True)
    if max(len(old), len(new)) > MAX_BYTES:
        return TextDiff(note=f"larger than {MAX_BYTES >> 20} MiB")
    ops, start = _operations(_lines(old), _lines(new))
    added = sum(tag == "+" for tag, _ in ops)
    removed = sum(tag == "-" for tag, _ in ops)
    shown: list[str] = []
    for line in _hunks(ops, start):
        if len(shown) == max_lines:
            note = f"cut after {max_lines} lines"
            return TextDiff("".join(shown), added, removed, note=note)
        shown.append(line)
    return TextDiff("".join(shown), added, removed)


def _lines(data: bytes) -> list[bytes]:
    """The lines with their ends; only a newline ends one, as in Git."""
    parts = data.split(b"\n")
    last = parts.pop()
    return [part + b"\n" for part in parts] + ([last] if last else [])


def _operations(a: list[bytes], b: list[bytes]) -> tuple[list[tuple[str, bytes]], int]:
    """Lines tagged " ", "-" or "+", and how many equal lines before them are left out."""
    top = 0
    while top < min(len(a), len(b)) and a[top] == b[top]:
        top += 1
    end = 0
    while end < min(len(a), len(b)) - top and a[-1 - end] == b[-1 - end]:
        end += 1
    start = max(0, top - _CONTEXT)
    ops = [(" ", line) for line in a[start:top]]
    ops += _middle(a[top : len(a) - end], b[top : len(b) - end])
    below = a[len(a) - end :]
    return ops + [(" ", line) for line in below[:_CONTEXT]], start


def _middle(a: list[bytes], b: list[bytes]) -> list[tuple[str, bytes]]:
    numbers: dict[bytes, int] = {}
    first = [numbers.setdefault(line, len(numbers)) for line in a]
    second = [numbers.setdefault(line, len(numbers)) for line in b]
    pairs = matches(first, second, _MAX_EDITS) or []
    ops: list[tuple[str, bytes]] = []
    x = y = 0
    for at, other in [*pairs, (len(a), len(b))]:
        ops += [("-", line) for line in a[x:at]]
        ops += [("+", line) for line in b[y:other]]
        ops += [(" ", line) for line in a[at : at + 1]]
        x, y = at + 1, other + 1
    return ops


def matches(a: Sequence[int], b: Sequence[int], limit: int) -> list[tuple[int, int]] | None:
    """The positions of a longest common subsequence in both sequences.

    Args:
        a, b: The sequences.
        limit: The most items that may be in one of them alone.

    Returns:
        Pairs of positions in order; None where more items differ.
    """
    n, m = len(a), len(b)
    most = min(limit, n + m)
    zero = most + 1
    furthest = array("q", [0]) * (2 * most + 3)
    trace: list[array[int]] = []
    for d in range(most + 1):
        trace.append(furthest[zero - d - 1 : zero + d + 2])
        for k in range(-d, d + 1, 2):
            down = k == -d or (k != d and furthest[zero + k - 1] < furthest[zero + k + 1])
            x = furthest[zero + k + 1] if down else furthest[zero + k - 1] + 1
            y = x - k
            while x < n and y < m and a[x] == b[y]:
                x, y = x + 1, y + 1
            furthest[zero + k] = x
            if x >= n and y >= m:
                return _trace_back(trace, n, m)
    return None


def _trace_back(trace: list[array[int]], x: int, y: int) -> list[tuple[int, int]]:
    found = []
    for d in range(len(trace) - 1, -1, -1):
        row, zero, k = trace[d], d + 1, x - y
        down = k == -d or (k != d and row[zero + k - 1] < row[zero + k + 1])
        before = k + 1 if down else k - 1
        from_x = row[zero + before] if d else 0
        from_y = from_x - before if d else 0
        while x > from_x and y > from_y:
            x, y = x - 1, y - 1
            found.append((x, y))
        x, y = from_x, from_y
    return found[::-1]


def _hunks(ops: list[tuple[str, bytes]], start: int) -> Iterator[str]:
    """The lines of a unified diff, with three lines of context."""
    changed = [i for i, (tag, _) in enumerate(ops) if tag != " "]
    spans: list[list[int]] = []
    for i in changed:
        if spans and i - _CONTEXT <= spans[-1][1]:
            spans[-1][1] = i + _CONTEXT + 1
        else:
            spans.append([max(0, i - _CONTEXT), i + _CONTEXT + 1])
    at = old = new = 0
    for first, last in spans:
        old += sum(tag != "+" for tag, _ in ops[at:first])
        new += sum(tag != "-" for tag, _ in ops[at:first])
        part = ops[first:last]
        size = sum(tag != "+" for tag, _ in part), sum(tag != "-" for tag, _ in part)
        yield f"@@ -{_range(start + old, size[0])} +{_range(start + new, size[1])} @@\n"
        for tag, line in part:
            yield _shown(tag, line)
        old, new, at = old + size[0], new + size[1], last


def _range(before: int, size: int) -> str:
    first = before + 1 if size else before
    return str(first) if size == 1 else f"{first},{size}"


def _shown(tag: str, line: bytes) -> str:
    text = line.decode("utf-8", "backslashreplace")
    ended = text.endswith("\n")
    text = text[:-1] if ended else text
    if len(text) > MAX_LINE:
        text = text[:MAX_LINE] + "…"
    return f"{tag}{text}\n" + ("" if ended else "\\ No newline at end of file\n")
