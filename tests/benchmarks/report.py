"""The table of results, as Markdown and as raw numbers."""

from __future__ import annotations

import os
import platform
from datetime import datetime, timezone
from pathlib import Path
from statistics import median
from typing import Any

from peers import Peer
from rows import Result, Row, Sample

_HEAD = """\
# Benchmarks

mlgit beside MLflow {mlflow3} (SQLite, its default store) and MLflow {mlflow2} (file store).
This file is generated; make it again with

    {command}

`--mlflow3` and `--mlflow2` name the interpreters of environments that have those versions;
without them they are installed into a cache folder first. `--only NAME` measures one row,
`--quick` repeats less and uses smaller repositories, `--json FILE` keeps every single
number, `--list` shows the rows' names.

Each measurement is made in a fresh process, by one small program that speaks the API that
mlgit and MLflow share (`tests/benchmarks/worker.py`), and the programs take turns, so that
whatever else the machine does meets all alike. A cell is the median wall time, and in
parentheses the median CPU time. The ratio is mlgit's median over that of MLflow {mlflow3},
unless the row says otherwise.

MLflow's SQLite store waits for the disk at every commit, mlgit and the file store leave that
to the operating system. `--temporary FOLDER` says where the stores are made: in memory
(`/dev/shm`) nobody waits for a disk, which is to MLflow's advantage, and the file system's
own times are left out.
"""


def time_cell(seconds: float) -> str:
    for limit, factor, unit in ((1e-3, 1e6, "µs"), (1.0, 1e3, "ms")):
        if seconds < limit:
            return f"{_digits(seconds * factor)} {unit}"
    return f"{_digits(seconds)} s"


def _digits(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def cell(sample: Sample | None, unit: str) -> str:
    if sample is None or not sample.wall:
        return "—"
    if unit == "bytes":
        return f"{median(sample.wall) / 1e6:.0f} MB"
    shown = time_cell(median(sample.wall))
    return f"{shown} ({time_cell(median(sample.cpu))})" if sample.cpu else shown


def ratio_cell(result: Result) -> str:
    ratio = result.ratio()
    if ratio is None:
        return "—"
    return f"1/{1 / ratio:.0f}" if 0 < ratio < 0.095 else f"{ratio:.2f}"


def table_line(row: Row, outcome: Result | str) -> str:
    """One line of the table; the outcome of a row that can't be measured is the reason."""
    if isinstance(outcome, str):
        return f"| {row.title} | — | — | — | — | {row.target} | not measured |"
    cells = [
        cell(outcome.samples.get(key), outcome.unit) for key in ("mlgit", "mlflow3", "mlflow2")
    ]
    verdict = "pass" if outcome.passed() else "**fail**"
    return (
        f"| {row.title} | {' | '.join(cells)} | {ratio_cell(outcome)} | {row.target} | {verdict} |"
    )


def remarks(row: Row, outcome: Result | str) -> list[str]:
    """What stands below the table about a row."""
    if isinstance(outcome, str):
        return [f"{row.title}: {outcome}"]
    checked = [f"{text}: {'yes' if ok else '**no**'}" for text, ok in outcome.checks]
    found = checked + outcome.notes
    return [f"{row.title}: {'; '.join(found)}."] if found else []


def file_system(path: str) -> str:
    """The kind of file system that holds a path, where Linux tells."""
    try:
        mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    except OSError:
        return "unknown"
    inside = [m for m in mounts if Path(os.path.realpath(path)).is_relative_to(m[1])]
    return max(inside, key=lambda m: len(m[1]), default=["", "", "unknown"])[2]


def machine(versions: list[tuple[str, str]], kind: str) -> str:
    """Where and with what it was measured."""
    parts = [
        f"{os.cpu_count()} cores",
        f"{platform.system()} {platform.machine()}",
        *(f"{n} {v} on Python {p}" for n, (v, p) in zip(("mlgit", "MLflow", "MLflow"), versions)),
        f"stores on {kind}",
        datetime.now(timezone.utc).strftime("%Y-%m-%d"),
    ]
    return "Measured with " + ", ".join(parts) + "."


def markdown(
    outcomes: list[tuple[Row, Result | str]],
    versions: list[tuple[str, str]],
    peers: list[Peer],
    quick: bool,
    kind: str,
) -> str:
    """The whole document."""
    titles = [peer.title for peer in peers]
    flags = " --quick" if quick else ""
    command = (
        "python tests/benchmarks/run.py --mlflow3 PYTHON --mlflow2 PYTHON"
        f"{flags} --output docs/benchmarks.md"
        + (" --temporary /dev/shm" if kind == "tmpfs" else "")
    )
    lines = [
        _HEAD.format(command=command, mlflow3=titles[1].split()[-1], mlflow2=titles[2].split()[-1]),
        machine(versions, kind) + (" Quick: fewer repetitions." if quick else ""),
        "",
        f"| | {' | '.join(titles)} | ratio | target | |",
        "|---|---|---|---|---|---|---|",
        *(table_line(row, outcome) for row, outcome in outcomes),
        "",
    ]
    below = [remark for row, outcome in outcomes for remark in remarks(row, outcome)]
    lines += [f"- {remark}" for remark in below]
    return "\n".join(lines).rstrip() + "\n"


def raw(outcomes: list[tuple[Row, Result | str]]) -> dict[str, Any]:
    """Every number, for JSON."""
    found: dict[str, Any] = {}
    for row, outcome in outcomes:
        if isinstance(outcome, str):
            found[row.name] = {"unavailable": outcome}
            continue
        found[row.name] = {
            "unit": outcome.unit,
            "ratio": outcome.ratio(),
            "limit": outcome.limit,
            "passed": outcome.passed(),
            "checks": outcome.checks,
            "notes": outcome.notes,
            "samples": {key: vars(sample) for key, sample in outcome.samples.items()},
        }
    return found


def write(path: Path, text: str) -> None:
    """Write a file of text."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
