"""A report as Markdown for the comment that a program keeps up to date on a pull request.

It is the same text for the same revisions: no time of its making is in it. Its first line is a
marker that nobody sees, by which the program finds the comment again.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mlgit.exceptions import InvalidParameterValue
from mlgit.review.code import FileChange
from mlgit.review.compare import SECTIONS, RunComparison
from mlgit.review.curves import Curve
from mlgit.review.links import Forge, changed_lines
from mlgit.review.markdown import fenced, folded, literal, section, words
from mlgit.review.mermaid import chart
from mlgit.review.report import Check, Report
from mlgit.review.show import code_line, data_table, facts, file_line, plural, tables
from mlgit.store.directions import direction

# What the hosts' comment fields take, in characters.
LIMITS = {"github": 65_536, "gitlab": 1_000_000, "bitbucket": 32_768}
_ICONS = {"failed": "❌", "worse": "🔻", "mixed": "⚠️", "better": "✅", "no run": "⚠️"}
_MARKER = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}\Z")
_MOST_CHARTS, _MOST_FOLDED = 2, 8
_MOST_FILES, _MOST_SPANS, _MOST_CHECKS = 60, 5, 50
# Room for the line that says what is left out.
_ROOM = 400


@dataclass(frozen=True)
class _Block:
    """A part of the comment.

    Attributes:
        rank: 0 is never left out; the higher, the sooner it is.
        name: What to call it where it is left out.
        text: Markdown.
    """

    rank: int
    name: str
    text: str


def marker(name: str = "report") -> str:
    """The first line of a comment, by which it is found again.

    Args:
        name: Tells several comments of one pull request apart.

    Raises:
        InvalidParameterValue: The name has other signs than letters, digits, ``_``, ``.``, ``-``.
    """
    if not _MARKER.match(name) or "--" in name:
        raise InvalidParameterValue(
            f"{name!r} can't be a comment's name", hint="letters, digits, _ . - and 64 at most"
        )
    return f"<!-- mlgit: {name} -->"


def to_comment(report: Report, *, name: str = "report", max_length: int = LIMITS["github"]) -> str:
    """A report as a comment.

    Args:
        report: What to say.
        name: The comment's name, for its marker.
        max_length: The most characters. What doesn't fit is left out, the least important
            first, and the last line says what.

    Raises:
        InvalidParameterValue: The name can't be one.
    """
    blocks = [_Block(0, "", f"{marker(name)}\n{_headline(report)}")]
    blocks += _checks(report.checks)
    if report.sides.remarks:
        lines = [f"> - {words(remark)}" for remark in report.sides.remarks]
        blocks.append(_Block(0, "", "> **Note**\n" + "\n".join(lines)))
    blocks.append(_Block(1, "the revisions", _sides(report)))
    for run in report.comparison.runs:
        blocks += _run(run, len(report.comparison.runs) > 1)
    if report.comparison.data:
        blocks.append(_Block(3, "data", section(data_table(report.comparison.data))))
    blocks += _code(report)
    return _fitting(blocks, max_length)


def _headline(report: Report) -> str:
    icon = _ICONS.get(report.verdict, "➖")
    lines = [f"### {icon} {words(report.headline)}"]
    moved = report.changed("worse") + report.changed("better")
    if moved:
        more = f" and {len(moved) - 3} more" if len(moved) > 3 else ""
        lines.append("\n" + ", ".join(literal(text, 120) for text in moved[:3]) + more)
    return "\n".join(lines)


def _checks(checks: Sequence[Check]) -> Iterator[_Block]:
    if not checks:
        return
    lines = ["| | fails if | |", "| --- | --- | --- |"]
    # Those that failed first: they are what the reader came for.
    for check in sorted(checks, key=lambda c: not c.failed)[:_MOST_CHECKS]:
        told = [literal(value, 120) for value in check.told]
        told += [words(check.problem[:300])] if check.problem else []
        icon = "❌" if check.failed else "✅"
        lines.append(f"| {icon} | {literal(check.text, 200)} | {', '.join(told)} |")
    if len(checks) > _MOST_CHECKS:
        lines.append(f"| | … and {len(checks) - _MOST_CHECKS} more | |")
    yield _Block(0, "", "\n".join(lines))


def _sides(report: Report) -> str:
    runs = report.comparison.runs
    rows = []
    for name, revision in (("base", report.sides.base), ("this branch", report.sides.head)):
        run = getattr(runs[0], "old" if name == "base" else "new") if len(runs) == 1 else None
        about = literal(facts(run), 200) if run is not None else "" if len(runs) > 1 else "no run"
        rows.append(f"| {name} | {literal(revision.label)} | {about} |")
    return "\n".join(["|  | revision | run |", "| --- | --- | --- |", *rows])


_RANKS = {
    "Metrics": 1,
    "Models": 2,
    "Params": 2,
    "Datasets": 3,
    "Tags": 5,
    "Artifacts": 5,
    "Environment": 4,
    "Packages": 6,
}


def _run(run: RunComparison, named: bool) -> Iterator[_Block]:
    if named:
        sides = f"{literal(facts(run.old), 200)} → {literal(facts(run.new), 200)}"
        yield _Block(1, "a heading", f"#### Experiment {literal(run.folder)}\n\n{sides}")
    for table in tables(run, SECTIONS, everything=False, short=True):
        if not table.rows and not table.note:
            continue
        text = section(table)
        if table.title in ("Environment", "Artifacts", "Tags") and table.rows:
            text = folded(f"{table.title}: {plural(len(table.rows), 'change')}", text)
        yield _Block(_RANKS[table.title], table.title.lower(), text)
        if table.title == "Metrics":
            yield from _charts(run)
    if not any(metric.status != "unchanged" for metric in run.metrics):
        yield from _charts(run)


def _charts(run: RunComparison) -> Iterator[_Block]:
    """The curves that say most: losses first, then what got worse or better."""
    verdicts = {metric.name: metric.verdict for metric in run.metrics}

    def order(curve: Curve) -> tuple[bool, bool, str]:
        is_loss = "loss" in curve.name.lower() and direction(curve.name, {}) == "min"
        return not is_loss, verdicts.get(curve.name) is None, curve.name

    drawn: list[str] = []
    for curve in sorted((c for c in run.curves if not c.is_same), key=order):
        if len(drawn) == _MOST_CHARTS + _MOST_FOLDED:
            break
        text = chart(curve)
        if text is not None:
            drawn.append(f"```mermaid\n{text}\n```")
    if not drawn:
        return
    caption = "grey: base, blue: this branch"
    yield _Block(4, "charts", f"**Curves** ({caption})\n\n" + "\n\n".join(drawn[:_MOST_CHARTS]))
    if drawn[_MOST_CHARTS:]:
        more = drawn[_MOST_CHARTS:]
        yield _Block(
            7, "more charts", folded(f"{plural(len(more), 'more curve')}", "\n\n".join(more))
        )


def _code(report: Report) -> Iterator[_Block]:
    code = report.comparison.code
    title = code_line(code)
    if not title:
        return
    lines = [f"- {_file(change, report)}" for change in code.files[:_MOST_FILES]]
    if len(code.files) > _MOST_FILES:
        lines.append(f"- … and {len(code.files) - _MOST_FILES} more")
    yield _Block(3, "the list of files", f"**{title}**\n\n" + "\n".join(lines))
    for change in code.files:
        if change.diff:
            yield _Block(8, "diffs of code", folded(change.path, fenced(change.diff)))


def _file(change: FileChange, report: Report) -> str:
    path, what = file_line(change)
    text = f"{literal(path, 200)} ({words(what)})"
    commit = report.sides.head.commit
    if report.forge is None or commit is None or change.status == "removed":
        return text
    links = _links(change, report.forge, commit)
    return f"{text}: {links}" if links else text


def _links(change: FileChange, forge: Forge, commit: str) -> str:
    spans = list(changed_lines(change.diff))
    shown = [
        f"[L{first}{'' if first == last else f'–{last}'}]"
        f"({forge.lines(commit, change.path, first, last)})"
        for first, last in spans[:_MOST_SPANS]
    ]
    return ", ".join(shown) + (" …" if len(spans) > _MOST_SPANS else "")


def _fitting(blocks: Sequence[_Block], max_length: int) -> str:
    """The blocks that fit; the least important are left out, the last of them first."""
    total = sum(len(block.text) + 2 for block in blocks)
    left_out: set[int] = set()
    for at in sorted(range(len(blocks)), key=lambda n: (-blocks[n].rank, -n)):
        if total <= max_length - (_ROOM if left_out else 0) or blocks[at].rank == 0:
            break
        left_out.add(at)
        total -= len(blocks[at].text) + 2
    kept = [block.text for at, block in enumerate(blocks) if at not in left_out]
    if left_out:
        counts = Counter(blocks[at].name for at in sorted(left_out))
        said = [name if count == 1 else f"{name} ({count})" for name, count in counts.items()]
        kept.append(f"Left out, as a comment can't be longer: {', '.join(said)}.")
    return "\n\n".join(kept)[: max_length - 1] + "\n"
