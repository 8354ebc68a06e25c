"""Measure the web app's pages, alone on many runs and beside MLflow's UI.

    python tests/benchmarks/ui.py [--mlflow3 PYTHON] [--chromium PROGRAM] [--quick] [--only NAME]
        [--output docs/benchmarks-ui.md] [--json FILE] [--pictures FOLDER] [--temporary FOLDER]

Run it with an interpreter that has mlgit, waitress and Playwright.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import report
import ui_data
from peers import Unavailable
from ui_rows import FASTER, ROWS, Context, Result, Row

_HEAD = """\
# Benchmarks: the web app

`mlgit ui` alone on many runs, and beside the UI of MLflow {mlflow}. This file is generated; make it again with

    {command}

`--mlflow3` names the interpreter of an environment that has MLflow; `--only NAME` measures one row, `--quick`
repeats less on smaller repositories, `--pictures FOLDER` keeps what each page looked like, `--json FILE` every
number, `--list` shows the rows' names.

"""
_ALONE = """
## {runs:,} runs

A repository of {runs:,} finished runs, each of five params and five metrics, and of one run with {metrics} metrics of
{points:,} points. *Answered*: from the request until the last byte, by a server that has answered one such
request before. *Drawn*: in Chromium with an empty cache, from the address until what the page is for is on the
screen; of charts, those that are in view. The histories of each repetition weren't read before. A cell is the median.
"""
_BESIDE = """
## Beside MLflow

{runs:,} runs, {models} registered models and a run of five metrics of {long:,} points; in MLflow's SQLite, put there by
SQL, and in a repository. From the address until it is drawn in Chromium: the newest run's name for the runs tables, the first
chart for charts, and so on; for both the same words have to be on the page. *First*: with an empty cache in the
browser; *again*: on the next visit. The programs take turns. A cell is the median.
"""


def _line(row: Row, outcome: Result | str) -> str:
    beside = row.how == "beside"
    if isinstance(outcome, str):
        return (
            f"| {row.title} | {'— | — | — | — | — | — |' if beside else '— | — |'} not measured |"
        )
    verdict = "pass" if outcome.passed() else "**fail**"
    if not beside:
        seconds = report.time_cell(outcome.median("mlgit"))
        return f"| {row.title}, {row.how} | {seconds} | ≤ {report.time_cell(row.limit or 0)} | {verdict} |"
    cells = []
    for visit in ("first", "again"):
        cells += [report.time_cell(outcome.median(f"{who} {visit}")) for who in ("mlgit", "mlflow")]
        cells.append(f"{outcome.ratio(visit):.1f} ×")
    return f"| {row.title} | {' | '.join(cells)} | {verdict} |"


def _markdown(
    outcomes: list[tuple[Row, Result | str]], context: Context, kind: str
) -> Iterator[str]:
    flags = (" --quick" if context.quick else "") + (
        " --temporary /dev/shm" if kind == "tmpfs" else ""
    )
    command = (
        f"python tests/benchmarks/ui.py --mlflow3 PYTHON{flags} --output docs/benchmarks-ui.md"
    )
    yield _HEAD.format(command=command, mlflow=_version(context.mlflow))
    quick = " **Quick: smaller than the targets are for; no more than a first look.**"
    yield (
        f"Measured with {os.cpu_count()} cores, stores on {kind}, "
        f"{datetime.now(timezone.utc):%Y-%m-%d}; when it ended, the machine's load was "
        f"{os.getloadavg()[0]:.1f}." + (quick if context.quick else "")
    )
    metrics, points = context.wide
    alone = [item for item in outcomes if item[0].how != "beside"]
    if alone:
        yield _ALONE.format(runs=context.many, metrics=metrics, points=points)
        yield "| | mlgit | target | |\n|---|---|---|---|"
        yield from (_line(*item) for item in alone)
    beside = [item for item in outcomes if item[0].how == "beside"]
    if beside:
        yield _BESIDE.format(runs=context.few, models=context.models, long=ui_data.LONG_POINTS)
        yield f"The target is {FASTER} times as fast, first and again.\n"
        yield "| page | mlgit, first | MLflow, first | | mlgit, again | MLflow, again | | |"
        yield "|---|---|---|---|---|---|---|---|"
        yield from (_line(*item) for item in beside)
    notes = [f"- {row.title}: {o}." for row, o in outcomes if isinstance(o, str)]
    if notes:
        yield "\n" + "\n".join(notes)


def _version(python: str | None) -> str:
    if python is None:
        return "(not measured)"
    code = "import importlib.metadata as m; print(m.version('mlflow'))"
    done = subprocess.run([python, "-c", code], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{python} has no mlflow")
    return done.stdout.strip()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--mlflow3", metavar="PYTHON", help="has MLflow 3.17.2")
    parser.add_argument("--chromium", default=shutil.which("chromium") or "chromium")
    parser.add_argument("--quick", action="store_true", help="less often, on smaller repositories")
    parser.add_argument("--only", metavar="NAME", action="append", help="only this row; repeatable")
    parser.add_argument("--list", action="store_true", help="show the names of the rows")
    parser.add_argument("--output", type=Path, metavar="FILE", help="write the Markdown here")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every number here")
    parser.add_argument("--pictures", type=Path, metavar="FOLDER", help="keep pictures here")
    parser.add_argument("--temporary", metavar="FOLDER", help="where stores are made; removed")
    return parser.parse_args()


def _measured(row: Row, context: Context) -> Result | str:
    try:
        outcome: Result | str = row.measure(context)
    except Unavailable as error:
        outcome = str(error)
    print(_line(row, outcome), *([outcome] if isinstance(outcome, str) else []), flush=True)
    return outcome


def main() -> int:
    """The command line; 1 if a target is missed."""
    options = _options()
    if options.list:
        print("\n".join(f"{row.name:13} {row.title}" for row in ROWS))
        return 0
    unknown = set(options.only or ()) - {row.name for row in ROWS}
    if unknown:
        sys.exit(f"no row is called {unknown.pop()}")
    with tempfile.TemporaryDirectory(prefix="mlgit-bench-", dir=options.temporary) as folder:
        context = Context(
            Path(folder), options.mlflow3, options.chromium, options.quick, options.pictures
        )
        if options.quick:
            context.many, context.few, context.wide, context.models = 2000, 500, (8, 5000), 10
        try:
            chosen = [row for row in ROWS if not options.only or row.name in options.only]
            outcomes = [(row, _measured(row, context)) for row in chosen]
        finally:
            context.close()
        text = "\n".join(_markdown(outcomes, context, report.file_system(folder))).rstrip() + "\n"
    if options.output:
        report.write(options.output, text)
    if options.json:
        kept: dict[str, Any] = {r.name: o if isinstance(o, str) else vars(o) for r, o in outcomes}
        report.write(options.json, json.dumps(kept, indent=1) + "\n")
    return int(any(isinstance(o, str) or not o.passed() for _, o in outcomes))


if __name__ == "__main__":
    sys.exit(main())
