"""A comparison as Markdown for a comment on a pull request.

Whatever a run logged is shown as it is: it can't end a table or a block of code, become a
link, an image, HTML or a mention of somebody.
"""

from __future__ import annotations

import html
import re
from collections.abc import Collection

from mlgit.review.code import CodeComparison
from mlgit.review.compare import SECTIONS, Comparison
from mlgit.review.show import (
    Cell,
    Table,
    code_line,
    data_table,
    facts,
    file_line,
    hidden,
    plural,
    tables,
    visible,
)

# GitHub takes comments of up to 65,536 characters.
MAX_LENGTH = 60_000
_MAX_ROWS = 100
_MAX_CELL = 100
_MARKUP = re.compile(r"[\\`*_\[\]|<>&@#~!]")
_PLAIN = re.compile(r"[^`|\\\s](?:[^`|\\]*[^`|\\\s])?\Z")


def to_markdown(
    comparison: Comparison,
    sections: Collection[str] = SECTIONS,
    *,
    everything: bool = False,
    stat: bool = False,
    max_length: int = MAX_LENGTH,
) -> str:
    """A comparison as GitHub's Markdown.

    Args:
        comparison: What to print.
        sections: Which sections, out of ``compare.SECTIONS``.
        everything: Show params and the like that didn't change too.
        stat: Name the files of the code, without their diffs.
        max_length: The most characters; what doesn't fit is left out, and said to be.
    """
    blocks = [_sides(comparison)]
    left_out = 0
    for run in comparison.runs:
        found = tables(run, sections, everything, short=True)
        left_out += hidden(found)
        if len(comparison.runs) > 1:
            sides = f"{literal(facts(run.old))} → {literal(facts(run.new))}"
            blocks.append(f"### Experiment {literal(run.folder)}\n\n{sides}")
        blocks += [section(table) for table in found if table.rows or table.note]
    if "data" in sections and comparison.data:
        blocks.append(section(data_table(comparison.data)))
    if "code" in sections:
        blocks += _code(comparison.code, stat)
    if not comparison.differs(sections):
        blocks.append("Nothing differs.")
    if left_out:
        blocks.append(f"{plural(left_out, 'equal value')} not shown.")
    return _fitting(blocks, max_length)


def literal(text: str, limit: int = _MAX_CELL) -> str:
    """Text that Markdown shows as it is, in a cell or a line.

    Args:
        text: Anything.
        limit: The most characters of it.
    """
    text = visible(text)
    if len(text) > limit:
        text = text[: limit - 1] + "…"
    if _PLAIN.match(text):
        return f"`{text}`"
    # A code span can't hold these everywhere; an entity is never taken for markup.
    return (
        f"<code>{''.join(c if c.isalnum() or c in '/-, ' else f'&#{ord(c)};' for c in text)}</code>"
    )


def words(text: str) -> str:
    """This program's own words, which may quote what it met: no markup in them either."""
    return _MARKUP.sub(lambda match: f"&#{ord(match[0])};", visible(text))


def _sides(comparison: Comparison) -> str:
    single = len(comparison.runs) == 1
    rows = []
    for name, revision in (("old", comparison.a), ("new", comparison.b)):
        run = getattr(comparison.runs[0], name) if single else None
        about = literal(facts(run)) if run is not None else ""
        called = revision.text if revision.kind == "run" else revision.label
        rows.append(f"| {name} | {literal(called)} | {about} |")
    return "\n".join(["|  | revision | run |", "| --- | --- | --- |", *rows])


def section(table: Table) -> str:
    """A table with its title; that of packages is folded."""
    if not table.rows:
        return f"**{table.title}**\n\n{table.note}"
    rule = ["---:" if i in table.right else "---" for i in range(len(table.headers))]
    lines = [f"| {' | '.join(table.headers)} |", f"| {' | '.join(rule)} |"]
    lines += [f"| {' | '.join(_cell(cell) for cell in row)} |" for row in table.rows[:_MAX_ROWS]]
    more = len(table.rows) - _MAX_ROWS
    text = "\n".join(lines) + (f"\n\n… and {more} more" if more > 0 else "")
    if table.title == "Packages":
        return folded(f"{table.title}: {plural(len(table.rows), 'change')}", text)
    return f"**{table.title}**\n\n{text}"


def _cell(cell: Cell) -> str:
    if cell.given:
        return literal(cell.text)
    return words(cell.text)


def _code(code: CodeComparison, stat: bool) -> list[str]:
    title = code_line(code)
    if not code.files:
        return [f"**{title}**"] if title else []
    lines = []
    for change in code.files[:_MAX_ROWS]:
        path, what = file_line(change)
        lines.append(f"- {literal(path, 200)} ({words(what)})")
    if len(code.files) > _MAX_ROWS:
        lines.append(f"- … and {len(code.files) - _MAX_ROWS} more")
    blocks = [f"**{title}**\n\n" + "\n".join(lines)]
    if not stat:
        blocks += [folded(c.path, fenced(c.diff)) for c in code.files if c.diff]
    return blocks


def folded(summary: str, text: str) -> str:
    """Text that is shown when its summary is clicked.

    Args:
        summary: Anything; shown as it is.
        text: Markdown.
    """
    shown = html.escape(visible(summary))
    return f"<details><summary><code>{shown}</code></summary>\n\n{text}\n\n</details>"


def fenced(diff: str) -> str:
    """A diff as a block of code that nothing in it can end."""
    longest = max((len(run) for run in re.findall("`+", diff)), default=0)
    fence = "`" * max(3, longest + 1)
    lines = (
        "\t".join(visible(part) for part in line.split("\t"))
        for line in diff.rstrip("\n").split("\n")
    )
    return f"{fence}diff\n" + "\n".join(lines) + f"\n{fence}"


def _fitting(blocks: list[str], max_length: int) -> str:
    """As many blocks as fit; a later, shorter one may still fit after one that doesn't."""
    kept: list[str] = []
    room = max_length - 100  # for the line that says what is left out
    dropped = 0
    for block in blocks:
        if len(block) + 2 <= room:
            kept.append(block)
            room -= len(block) + 2
        else:
            dropped += 1
    if dropped:
        kept.append(f"{plural(dropped, 'part')} left out: too long. `mlgit diff` shows all.")
    return "\n\n".join(kept) + "\n"
