"""Measure mlgit beside two MLflows and write the table.

    python tests/benchmarks/run.py [--mlflow3 PYTHON] [--mlflow2 PYTHON] [--quick]
        [--only NAME] [--output docs/benchmarks.md] [--json FILE]

Run it with an interpreter that has mlgit.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path

import large  # noqa: F401  # registers its rows
import models  # noqa: F401
import report
from peers import Unavailable, Workspace, find_peers, version_of
from rows import ROWS, Context, Result, Row


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--mlflow3", metavar="PYTHON", help="has MLflow 3.17.2")
    parser.add_argument("--mlflow2", metavar="PYTHON", help="has MLflow 2.22.5")
    parser.add_argument("--quick", action="store_true", help="less often, on smaller repositories")
    parser.add_argument("--only", metavar="NAME", action="append", help="only this row; repeatable")
    parser.add_argument("--list", action="store_true", help="show the names of the rows")
    parser.add_argument("--output", type=Path, metavar="FILE", help="write the Markdown here")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every number here")
    parser.add_argument("--temporary", metavar="FOLDER", help="where stores are made; removed")
    parser.add_argument(
        "--cache",
        type=Path,
        default=Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser()
        / "mlgit-benchmarks",
        help="where missing MLflows are installed",
    )
    return parser.parse_args()


def _measure(row: Row, context: Context) -> Result | str:
    start = time.monotonic()
    try:
        outcome: Result | str = row.measure(context)
    except Unavailable as error:
        outcome = str(error)
    print(report.table_line(row, outcome))
    for remark in report.remarks(row, outcome):
        print(f"    {remark}")
    print(f"    ({row.name}: {time.monotonic() - start:.0f} s)", flush=True)
    return outcome


def main() -> int:
    """The command line; 1 if a target is missed."""
    options = _options()
    if options.list:
        print("\n".join(f"{row.name:14} {row.title}" for row in ROWS))
        return 0
    names = {row.name for row in ROWS}
    unknown = [name for name in options.only or () if name not in names]
    if unknown:
        sys.exit(f"no row is called {unknown[0]}; there are {', '.join(sorted(names))}")
    peers = find_peers(options.mlflow3, options.mlflow2, options.cache)
    found = [version_of(peer) for peer in peers]
    outcomes: list[tuple[Row, Result | str]] = []
    with tempfile.TemporaryDirectory(prefix="mlgit-bench-", dir=options.temporary) as folder:
        context = Context(Workspace(Path(folder), peers), options.quick)
        for row in ROWS:
            if not options.only or row.name in options.only:
                outcomes.append((row, _measure(row, context)))
        kind = report.file_system(folder)
    text = report.markdown(outcomes, found, peers, options.quick, kind)
    if options.output:
        report.write(options.output, text)
    else:
        print("\n" + text)
    if options.json:
        report.write(options.json, json.dumps(report.raw(outcomes), indent=1) + "\n")
    return int(any(isinstance(o, str) or not o.passed() for _, o in outcomes))


if __name__ == "__main__":
    sys.exit(main())
