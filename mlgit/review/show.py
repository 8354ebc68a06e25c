"""A comparison as tables of cells, which the terminal and Markdown both print."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace

from mlgit.entities.shown import visible as visible
from mlgit.entities.shown import visible_lines as visible_lines
from mlgit.objects import Entry
from mlgit.review.artifacts import ArtifactChange
from mlgit.review.code import CodeComparison, FileChange
from mlgit.review.compare import RunComparison, RunFacts
from mlgit.review.metrics import MetricChange
from mlgit.review.modelparts import ModelChange
from mlgit.review.values import ValueChange

MISSING = "—"
# So many packages are named where they weren't asked for.
_FEW = 10
_MAX_VALUE = 60


@dataclass(frozen=True)
class Cell:
    """One cell of a table.

    Attributes:
        text: What it says, not yet safe to print.
        tone: "good", "bad", "old", "new", "faint" or "".
        given: Whether the text came from a run, and not from this program.
    """

    text: str
    tone: str = ""
    given: bool = False


@dataclass(frozen=True)
class Table:
    """One section of a comparison.

    Attributes:
        title: Its heading.
        headers: The columns' names.
        rows: The cells.
        right: The columns that are aligned to the right.
        hidden: How many rows are left out because nothing changed in them.
        note: A remark below it.
    """

    title: str
    headers: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    right: Collection[int] = ()
    hidden: int = 0
    note: str = ""


def tables(
    run: RunComparison, sections: Collection[str], everything: bool, *, short: bool = False
) -> list[Table]:
    """The tables of one pair of runs, without those that have nothing to show.

    Args:
        run: The pair.
        sections: Which of ``compare.SECTIONS``.
        everything: Show what didn't change too.
        short: Name a few of many packages, unless they were asked for: what people look for comes
            behind them.
    """
    few = short and not everything and len(sections) > 1
    made: dict[str, Callable[[], list[Table]]] = {
        "models": lambda: [_models(run.models, everything)],
        "metrics": lambda: [_metrics(run.metrics, everything)],
        "params": lambda: [_values("Params", "param", run.params, everything)],
        "tags": lambda: [_values("Tags", "tag", run.tags, everything)],
        "datasets": lambda: [_values("Datasets", "dataset", run.datasets, everything)],
        "artifacts": lambda: [_artifacts(run.artifacts)],
        "environment": lambda: _environment(run, everything, few),
    }
    found = [table for name, make in made.items() if name in sections for table in make()]
    return [table for table in found if table.rows or table.note or table.hidden]


def _models(models: Sequence[ModelChange], everything: bool) -> Table:
    rows: list[Sequence[Cell]] = []
    left_out = 0
    for model in models:
        parts = model_parts(model)
        shown = [(part, c) for part, c in parts if everything or c.status != "unchanged"]
        left_out += len(parts) - len(shown)
        name = Cell(model.name, given=True)
        if model.old != model.new:
            sides = (Cell(_entry(model.old)), Cell(_entry(model.new)))
            rows.append((name, Cell("files"), *sides))
        for part, change in shown:
            old, new = _told_apart(change.old, change.new)
            equal = change.status == "unchanged"
            sides = (_side(old, "" if equal else "old"), _side(new, "" if equal else "new"))
            rows.append((name, Cell(f"{part} {change.name}".strip(), given=True), *sides))
        rows += [(name, Cell(note, "faint"), Cell(""), Cell("")) for note in model.notes]
    return Table("Models", ("model", "part", "old", "new"), rows, (), left_out)


def model_parts(model: ModelChange) -> list[tuple[str, ValueChange]]:
    """All that is told of a model on both sides, each with what it is of."""
    named = (
        ("", model.registered),
        ("", model.signature),
        ("flavor", model.flavors),
        ("requires", model.requirements),
    )
    return [(part, change) for part, changes in named for change in changes]


def _metrics(changes: Sequence[MetricChange], everything: bool) -> Table:
    shown = [c for c in changes if everything or c.status != "unchanged"]
    with_noise = any(change.noise is not None for change in shown)
    rows = []
    for change in shown:
        old, new = numbers(change.old, change.new)
        tone = {"better": "good", "worse": "bad"}.get(change.verdict or "", "")
        moved = change.change if change.status == "changed" else None
        relative = change.relative if change.status == "changed" else None
        rows.append(
            (
                Cell(change.name, given=True),
                Cell(old, "faint" if change.old is None else ""),
                Cell(new, "faint" if change.new is None else ""),
                Cell("" if moved is None else f"{moved:+.6g}", tone),
                Cell("" if relative is None else f"{relative * 100:+.2f}%", tone),
                *([Cell(_noise(change), "faint")] if with_noise else []),
                Cell(judged(change), tone),
            )
        )
    headers = ("metric", "old", "new", "change", "relative", *(["noise"] * with_noise), "")
    right = (1, 2, 3, 4, 5) if with_noise else (1, 2, 3, 4)
    return Table("Metrics", headers, rows, right, len(changes) - len(shown))


def _noise(change: MetricChange) -> str:
    return "" if change.noise is None else f"±{change.noise:.3g}"


def judged(change: MetricChange) -> str:
    """Where a metric went, and whether that is good where that is known."""
    if change.status != "changed":
        return change.status
    moved = change.change
    arrow = "" if moved is None else "▲ " if moved > 0 else "▼ "
    said = "within noise" if change.is_noise else change.verdict or ""
    return (arrow + said).rstrip()


def number(value: float | None) -> str:
    """A metric's value for a person: six significant digits."""
    if value is None:
        return MISSING
    if math.isfinite(value) and value == int(value) and abs(value) < 1e15:
        return str(int(value))
    return f"{value:.6g}"


def numbers(old: float | None, new: float | None) -> tuple[str, str]:
    """Two values, with as many digits as it takes to tell them apart."""
    first, second = number(old), number(new)
    if first == second and old != new and old is not None and new is not None:
        return (first, second) if math.isnan(old) else (repr(old), repr(new))
    return first, second


def _values(title: str, noun: str, changes: Sequence[ValueChange], everything: bool) -> Table:
    shown = [c for c in changes if everything or c.status != "unchanged"]
    rows = []
    for change in shown:
        old, new = _told_apart(change.old, change.new)
        rows.append(
            (
                Cell(change.name, given=True),
                _side(old, "old" if change.status != "unchanged" else ""),
                _side(new, "new" if change.status != "unchanged" else ""),
            )
        )
    return Table(title, (noun, "old", "new"), rows, (), len(changes) - len(shown))


def _side(text: str | None, tone: str) -> Cell:
    return Cell(MISSING, "faint") if text is None else Cell(text, tone, given=True)


def _told_apart(old: str | None, new: str | None) -> tuple[str | None, str | None]:
    """Two values, the beginning of long ones left out if they share it."""
    if old is None or new is None or max(len(old), len(new)) <= _MAX_VALUE:
        return old, new
    pairs = enumerate(zip(old, new))
    common = next((at for at, (a, b) in pairs if a != b), min(len(old), len(new)))
    start = common - _MAX_VALUE // 4
    if common < _MAX_VALUE // 2 or old == new:
        return old, new
    return "…" + old[start:], "…" + new[start:]


def data_table(changes: Sequence[ArtifactChange]) -> Table:
    """The data that differs, as a table."""
    return _artifacts(changes, "Data", "path")


def _artifacts(
    changes: Sequence[ArtifactChange], title: str = "Artifacts", noun: str = "artifact"
) -> Table:
    rows = [
        (
            Cell(change.path + ("/" if _is_folder(change) else ""), given=True),
            Cell(_entry(change.old), "old" if change.old else "faint"),
            Cell(_entry(change.new), "new" if change.new else "faint"),
            Cell(change.note or change.status, "faint"),
        )
        for change in changes
    ]
    return Table(title, (noun, "old", "new", ""), rows)


def _is_folder(change: ArtifactChange) -> bool:
    entry = change.new or change.old
    return entry is not None and entry.kind == "d"


def _entry(entry: Entry | None) -> str:
    if entry is None:
        return MISSING
    parts = [plural(entry.files, "file")] if entry.kind == "d" else []
    parts += [size(entry.size), entry.sha256[:10]]
    return ", ".join(parts) + (" (executable)" if entry.kind == "x" else "")


def _environment(run: RunComparison, everything: bool, few: bool) -> list[Table]:
    found = run.environment
    if len(found.missing) == 1:
        note = f"The {found.missing[0]} side has no environment recorded."
        return [Table("Environment", (), (), note=note)]
    packages = _values("Packages", "package", found.packages, everything)
    if few and len(packages.rows) > _FEW:
        more = plural(len(packages.rows) - _FEW, "more package")
        row = (Cell(f"and {more} (mlgit diff --environment)", "faint"), *([Cell("")] * 2))
        packages = replace(packages, rows=[*packages.rows[:_FEW], row])
    return [_values("Environment", "", found.system, everything), packages]


# -- words


def facts(run: RunFacts | None) -> str:
    """What one side's run is, in one line; not yet safe to print."""
    if run is None:
        return "no record"
    text = f"{run.run_name} ({run.run_id[:8]}), {run.status}"
    if run.duration is not None:
        text += f" in {duration(run.duration)}"
    if run.code_commit:
        text += f", code {run.code_commit[:10]}"
    return text + (" with uncommitted changes" if run.dirty else "")


def code_line(code: CodeComparison) -> str:
    """The sum of what changed in the code, in one line; "" where there is nothing to say."""
    if len(code.missing) == 1:
        return f"Code: the {code.missing[0]} side has none recorded"
    if not code.files:
        return ""
    added = sum(change.added or 0 for change in code.files)
    removed = sum(change.removed or 0 for change in code.files)
    return f"Code: {plural(len(code.files), 'file')} changed, +{added} -{removed}"


def file_line(change: FileChange) -> tuple[str, str]:
    """A file's path (not yet safe to print) and what happened to it."""
    path = change.path if change.old_path is None else f"{change.old_path} → {change.path}"
    words = [change.status]
    if change.binary:
        words.append("binary")
    elif change.added is not None and (change.added or change.removed):
        words.append(f"+{change.added} -{change.removed}")
    return path, ", ".join(words + ([change.note] if change.note else []))


def plural(count: int, noun: str) -> str:
    """A number and its noun: "1 file", "2 files"."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def size(count: int) -> str:
    """A number of bytes for a person."""
    amount = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if amount < 1024:
            return f"{count} B" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.1f} TiB"


def duration(milliseconds: int) -> str:
    """A length of time for a person."""
    if abs(milliseconds) < 60_000:
        return f"{milliseconds / 1000:.1f}s"
    minutes, seconds = divmod(milliseconds // 1000, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h {minutes:02d}m" if hours else f"{minutes}m {seconds:02d}s"


def hidden(found: Iterable[Table]) -> int:
    """How many rows that didn't change are left out."""
    return sum(table.hidden for table in found)
