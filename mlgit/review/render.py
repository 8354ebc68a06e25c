"""A comparison as text for a terminal, and as plain data for JSON.

Markdown is made in ``mlgit.review.markdown``.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Collection, Sequence
from typing import Any

from mlgit.objects import Entry
from mlgit.review.artifacts import ArtifactChange
from mlgit.review.code import CodeComparison
from mlgit.review.compare import SECTIONS, Comparison, RunComparison, RunFacts
from mlgit.review.curves import Curve
from mlgit.review.metrics import MetricChange
from mlgit.review.modelparts import ModelChange
from mlgit.review.revisions import Revision
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
from mlgit.review.values import ValueChange
from mlgit.store.record import Point
from mlgit.store.timeform import to_iso

# (text, tone) → text; the tones are Cell's, and "heading", "hunk".
Style = Callable[[str, str], str]
_MAX_CELL = 60
_TONES = {"+": "new", "-": "old", "@": "hunk"}


def to_text(
    comparison: Comparison,
    sections: Collection[str] = SECTIONS,
    *,
    everything: bool = False,
    stat: bool = False,
    style: Style = lambda text, tone: text,
) -> str:
    """A comparison for a terminal; nothing that a run logged can control the terminal.

    Args:
        comparison: What to print.
        sections: Which sections, out of ``compare.SECTIONS``.
        everything: Show params and the like that didn't change too.
        stat: Name the files of the code, without their diffs.
        style: Colours a text by its tone.
    """
    single = len(comparison.runs) == 1
    blocks = ["\n".join(_sides(comparison, single))]
    left_out = 0
    for run in comparison.runs:
        found = tables(run, sections, everything, short=True)
        left_out += hidden(found)
        if not single:
            lines = [style(f"Experiment {visible(run.folder)}", "heading")]
            lines += [f"old  {visible(facts(run.old))}", f"new  {visible(facts(run.new))}"]
            blocks.append("\n".join(lines))
        blocks += [table_text(table, style) for table in found if table.rows or table.note]
    if "data" in sections and comparison.data:
        blocks.append(table_text(data_table(comparison.data), style))
    if "code" in sections:
        blocks += _code(comparison.code, stat, style)
    if not comparison.differs(sections):
        blocks.append("Nothing differs.")
    if left_out:
        blocks.append(style(f"{plural(left_out, 'equal value')} not shown (--all)", "faint"))
    return "\n\n".join(blocks)


def _sides(comparison: Comparison, single: bool) -> list[str]:
    lines = []
    for name, revision in (("old", comparison.a), ("new", comparison.b)):
        line = f"{name}  {revision.label}"
        if single:
            run = getattr(comparison.runs[0], name)
            if revision.kind == "run" and run is not None:
                line = f"{name}  {facts(run)}"
            elif run is not None:
                line += f": {facts(run)}"
        lines.append(visible(line))
    return lines


def table_text(table: Table, style: Style) -> str:
    """A table for a terminal, below its title."""
    title = style(table.title, "heading")
    if not table.rows:
        return f"{title}\n{table.note}"
    # Imported here: it takes longer to load than most commands take to run.
    from tabulate import tabulate

    text = tabulate(
        [[_cell(cell, style) for cell in row] for row in table.rows],
        headers=list(table.headers),
        tablefmt="plain",
        disable_numparse=True,
        colalign=[
            "right" if column in table.right else "left" for column in range(len(table.headers))
        ],
    )
    lines = [line.rstrip() for line in str(text).splitlines()]
    return "\n".join([title, *(f"  {line}" for line in lines)])


def _cell(cell: Cell, style: Style) -> str:
    text = visible(cell.text)
    if len(text) > _MAX_CELL:
        text = text[: _MAX_CELL - 1] + "…"
    if cell.given and (not text or text != text.strip() or cell.text == "—"):
        text = f'"{text}"'  # otherwise it couldn't be seen, or be told from a missing one
    return style(text, cell.tone) if cell.tone else text


def _code(code: CodeComparison, stat: bool, style: Style) -> list[str]:
    title = code_line(code)
    if not title:
        return []
    lines = [style(title, "heading")]
    for change in code.files:
        path, what = file_line(change)
        lines.append(f"  {visible(path)}  ({what})")
    blocks = ["\n".join(lines)]
    if not stat:
        blocks += [_diff(change.diff, style) for change in code.files if change.diff]
    return blocks


def _diff(diff: str, style: Style) -> str:
    shown = []
    for number, line in enumerate(diff.rstrip("\n").split("\n")):
        text = "\t".join(visible(part) for part in line.split("\t"))
        tone = "heading" if number < 2 else _TONES.get(line[:1], "")
        shown.append(style(text, tone) if tone else text)
    return "\n".join(shown)


# -- JSON


def to_dict(
    comparison: Comparison,
    sections: Collection[str] = SECTIONS,
    *,
    everything: bool = False,
    stat: bool = False,
) -> dict[str, Any]:
    """A comparison as dicts, lists, text and finite numbers.

    Args:
        comparison: What to give.
        sections: Which sections, out of ``compare.SECTIONS``.
        everything: Give params and the like that didn't change too.
        stat: Leave out the text of the code's diffs.

    Returns:
        What docs/review.md describes. A missing side is None; NaN and infinities are the
        strings that MLflow uses for them.
    """
    data: dict[str, Any] = {
        "old": _revision(comparison.a),
        "new": _revision(comparison.b),
        "differs": comparison.differs(sections),
        "runs": [_run(run, sections, everything) for run in comparison.runs],
    }
    if "data" in sections:
        data["data"] = _files(comparison.data)
    if "code" in sections:
        data["code"] = _code_dict(comparison.code, stat)
    return data


def _revision(revision: Revision) -> dict[str, Any]:
    version = revision.version
    return {
        "text": revision.text,
        "kind": revision.kind,
        "commit": revision.commit,
        "run_id": revision.run_id,
        "model": version and {"name": version.name, "version": version.version},
    }


def _run(run: RunComparison, sections: Collection[str], everything: bool) -> dict[str, Any]:
    data: dict[str, Any] = {
        "experiment": _text(run.folder),
        "old": _facts(run.old),
        "new": _facts(run.new),
    }
    if "models" in sections:
        models = [m for m in run.models if everything or m.status != "unchanged"]
        data["models"] = [_model(model, everything) for model in models]
    if run.curves:
        data["curves"] = {curve.name: _curve(curve) for curve in run.curves}
    if "metrics" in sections:
        metrics = [m for m in run.metrics if everything or m.status != "unchanged"]
        data["metrics"] = {metric.name: _metric(metric) for metric in metrics}
    for name in ("params", "tags"):
        if name in sections:
            data[name] = _values(getattr(run, name), everything)
    if "datasets" in sections:
        data["datasets"] = [
            {"name": c.name, "status": c.status, "old": c.old, "new": c.new}
            for c in run.datasets
            if everything or c.status != "unchanged"
        ]
    if "artifacts" in sections:
        data["artifacts"] = _files(run.artifacts)
    if "environment" in sections:
        data["environment"] = {
            "missing": list(run.environment.missing),
            "system": _values(run.environment.system, everything),
            "packages": _values(run.environment.packages, everything),
        }
    return data


def _model(model: ModelChange, everything: bool) -> dict[str, Any]:
    return {
        "old_path": model.old_path,
        "new_path": model.new_path,
        "status": model.status,
        "old": _entry(model.old),
        "new": _entry(model.new),
        "registered": _values(model.registered, everything),
        "signature": _values(model.signature, everything),
        "flavors": _values(model.flavors, everything),
        "requirements": _values(model.requirements, everything),
        "notes": list(model.notes),
    }


def _curve(curve: Curve) -> dict[str, Any]:
    def points(side: Sequence[Point]) -> list[list[Any]]:
        return [[step, time, _number(value)] for step, time, value in side]

    return {"old": points(curve.old), "new": points(curve.new)}


def _files(changes: Sequence[ArtifactChange]) -> list[dict[str, Any]]:
    return [
        {
            "path": _text(change.path),
            "status": change.status,
            "kind": change.kind,
            "old": _entry(change.old),
            "new": _entry(change.new),
            "note": change.note,
        }
        for change in changes
    ]


def _facts(run: RunFacts | None) -> dict[str, Any] | None:
    if run is None:
        return None
    return {
        "run_id": run.run_id,
        "run_name": run.run_name,
        "experiment": run.experiment,
        "status": run.status,
        "user": run.user,
        "start_time": None if run.start_time is None else to_iso(run.start_time),
        "end_time": None if run.end_time is None else to_iso(run.end_time),
        "duration_ms": run.duration,
        "code_commit": run.code_commit,
        "dirty": run.dirty,
    }


def _metric(metric: MetricChange) -> dict[str, Any]:
    return {
        "status": metric.status,
        "old": _number(metric.old),
        "new": _number(metric.new),
        "change": _number(metric.change),
        "relative": metric.relative,
        "direction": metric.direction,
        "noise": metric.noise,
        "within_noise": metric.is_noise,
        "verdict": metric.verdict,
    }


def _number(value: float | None) -> float | str | None:
    if value is None or math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _values(changes: Collection[ValueChange], everything: bool) -> dict[str, Any]:
    return {
        change.name: {"status": change.status, "old": change.old, "new": change.new}
        for change in changes
        if everything or change.status != "unchanged"
    }


def _entry(entry: Entry | None) -> dict[str, Any] | None:
    if entry is None:
        return None
    data: dict[str, Any] = {"sha256": entry.sha256, "size": entry.size}
    if entry.kind == "d":
        data["files"] = entry.files
    return data


def _code_dict(code: CodeComparison, stat: bool) -> dict[str, Any]:
    files = []
    for change in code.files:
        item = {
            "path": _text(change.path),
            "old_path": None if change.old_path is None else _text(change.old_path),
            "status": change.status,
            "binary": change.binary,
            "old_mode": change.old_mode,
            "new_mode": change.new_mode,
            "added": change.added,
            "removed": change.removed,
            "note": change.note,
        }
        files.append(item if stat else {**item, "diff": change.diff})
    return {"missing": list(code.missing), "files": files}


def _text(path: str) -> str:
    """A path as text: bytes that aren't UTF-8 as escapes, which every reader of JSON takes."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")
