"""Measure how mlgit moves data and runs, beside DVC, git-lfs and the system's own tools.

    python tests/benchmarks/data.py [--dvc PYTHON] [--quick] [--only NAME]
        [--output docs/benchmarks-data.md] [--json FILE] [--temporary FOLDER]

Run it with an interpreter that has mlgit, s3fs and moto.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from pathlib import Path
from statistics import median
from typing import Any

import generate
import report
import tools
from peers import Unavailable
from rows import Measure, Result, Row, Sample
from tools import Tool

_HEAD = """\
# Benchmarks: data and sync

mlgit beside DVC (the newest), git-lfs where it is installed, and the system's own tools.
This file is generated; make it again with

    {command}

`--dvc` names the interpreter of an environment that has DVC; without it, DVC is installed into a
cache folder first. `--only NAME` measures one row, `--quick` repeats less on less data, `--json
FILE` keeps every number, `--list` shows the rows' names.

A cell is the median wall time of the whole command, its start included, and in parentheses the
median CPU time. The programs take turns. The ratio is mlgit's median over that of what the
target names. `pull` is into a fresh clone, the files in their places at its end; what Git itself
does (commit, clone) isn't counted, but for git-lfs, which works inside it. The plain tools
keep no history: their `add` is `sha256sum` and `cp -r` into a store, their `push` and `pull`
are `cp -r`, their `status` lists sizes and times.

Before each command all that was written is brought to the disk, so that no program waits for what
another one left. On a virtual machine copies of the large file take 0.4 s or 3 s a GB, by whether the
host has to find the memory first: its medians vary more than the others.
"""
S3_WORKER = Path(__file__).with_name("s3_worker.py")
ROWS: list[Row] = []
COLUMNS = ("mlgit", "dvc", "lfs", "plain")


@dataclass
class Context:
    """What a row needs.

    Attributes:
        root: A temporary folder.
        programs: What is compared, mlgit first.
        quick: Repeat less, on less data.
    """

    root: Path
    programs: list[Tool]
    quick: bool
    count: int = 0
    load: float = field(default_factory=lambda: os.getloadavg()[0])

    def times(self, full: int, quick: int) -> int:
        """A number of repetitions, files or bytes."""
        return quick if self.quick else full

    def folder(self) -> Path:
        """A new folder."""
        self.count += 1
        made = self.root / f"scratch-{self.count}"
        made.mkdir()
        return made


def row(name: str, title: str, target: str) -> Any:
    """Register a function that measures one row."""

    def register(measure: Measure) -> Measure:
        ROWS.append(Row(name, title, target, measure))
        return measure

    return register


_SIZES = {
    "files": ("10,000", "1,000"),
    "big": ("1 GB", "50 MB"),
    "looked_at": ("100,000", "5,000"),
    "runs": ("10,000", "500"),
    "s3_many": ("1,000", "250"),
    "s3_big": ("8", "2"),
}


def titled(row: Row, quick: bool) -> Row:
    """A row whose title says what is really measured."""
    sizes = {name: both[quick] for name, both in _SIZES.items()}
    return replace(row, title=row.title.format(**sizes))


# -- data


def write_files(folder: Path, count: int, size: int, seed: int = 0) -> None:
    """Files of random bytes, 500 a folder."""
    source = random.Random(seed)
    for number in range(count):
        path = folder / f"{number // 500:03d}" / f"{number:06d}.bin"
        if number % 500 == 0:
            path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(source.randbytes(size))


def write_big(path: Path, size: int) -> None:
    """One file of random bytes."""
    source = random.Random(size)
    with open(path, "wb") as f:
        for at in range(0, size, 1 << 22):
            f.write(source.randbytes(min(1 << 22, size - at)))


@dataclass
class Journey:
    """What one program took for each verb, and its memory."""

    samples: dict[str, Sample]
    memory: int = 0


_JOURNEYS: dict[str, dict[str, Journey | str]] = {}


def journeys(context: Context, kind: str) -> dict[str, Journey | str]:
    """Add, push, pull and look, with every program; made once and used by four rows."""
    if kind not in _JOURNEYS:
        found: dict[str, Journey | str] = {
            tool.key: Journey({verb: Sample() for verb in tools.VERBS}) for tool in context.programs
        }
        for number in range(context.times(3, 1)):
            for tool in context.programs:
                journey = found[tool.key]
                if isinstance(journey, str):
                    continue
                try:
                    _travel(context, tool, kind, number, journey)
                except Unavailable as error:
                    found[tool.key] = f"{tool.title}: {error}"
        _JOURNEYS[kind] = found
    return _JOURNEYS[kind]


def _travel(context: Context, tool: Tool, kind: str, number: int, journey: Journey) -> None:
    place = context.folder()
    project = tools.project(place)
    tool.run_all(tool.prepare, project, place, "data")
    generate.git(project, "add", "-A")
    generate.git(project, "commit", "-qm", "prepared", "--allow-empty")
    generate.git(project, "push", "-q", "origin", "main")
    data = project / "data"
    if kind == "many":
        write_files(data, context.times(10_000, 1_000), 10_000, number)
    else:
        write_big(data, context.times(1_000_000_000, 50_000_000) + number)
    time.sleep(2.1)  # what was written this very moment can't be told by its time

    def measure(verb: str, where: Path) -> None:
        os.sync()
        numbers = tool.run(verb, where, place, "data")
        journey.samples[verb].add(numbers)
        journey.memory = max(journey.memory, numbers["memory"])

    measure("add", project)
    tool.run_all(tool.after_add, project, place, "data")
    tool.run("status", project, place, "data")
    measure("status", project)
    measure("push", project)
    clone = place / "clone"
    environment = {**os.environ, **tool.environment}
    origin = str(place / "origin.git")
    subprocess.run(["git", "clone", "-q", origin, str(clone)], check=True, env=environment)
    measure("pull", clone)
    wanted = sum(path.stat().st_size for path in _files(data))
    came = sum(path.stat().st_size for path in _files(clone / "data"))
    shutil.rmtree(place)
    if wanted != came:
        raise Unavailable(f"pull brought {came} of {wanted} bytes")


def _files(path: Path) -> Iterator[Path]:
    return (p for p in ([path] if path.is_file() else path.rglob("*")) if p.is_file())


def _verb_row(context: Context, kind: str, verb: str, reference: str, limit: float) -> Result:
    found = journeys(context, kind)
    mine = found["mlgit"]
    if isinstance(mine, str):
        raise Unavailable(mine)
    samples = {
        key: journey.samples[verb] for key, journey in found.items() if not isinstance(journey, str)
    }
    notes = [journey for journey in found.values() if isinstance(journey, str)]
    if reference not in samples:
        raise Unavailable("; ".join(notes) or f"no {reference}")
    result = Result(samples, limit, reference, notes=notes)
    if kind == "big" and verb == "add" and "plain" in samples:
        ratio = median(samples["mlgit"].wall) / median(samples["plain"].wall)
        result.checks.append((f"{ratio:.2f} × `cp` and `sha256sum` ≤ 1.3", ratio <= 1.3))
    return result


def _register_verbs() -> None:
    titles = {"many": "{files} files of 10 kB", "big": "one file of {big}"}
    for kind, title in titles.items():
        for verb in tools.VERBS:
            shown = f"{'no-op ' if verb == 'status' else ''}`{verb}`, {title}"

            def measure(context: Context, kind: str = kind, verb: str = verb) -> Result:
                return _verb_row(context, kind, verb, "dvc", 1 / 3)

            row(f"{verb}-{kind}", shown, "≤ 1/3 of DVC")(measure)


_register_verbs()


@row("memory", "most memory of any of these commands", "≤ 200 MB")
def measure_memory(context: Context) -> Result:
    samples: dict[str, Sample] = {}
    notes = []
    for kind in ("many", "big"):
        for key, journey in journeys(context, kind).items():
            if isinstance(journey, str):
                notes.append(journey)
            else:
                before = samples.setdefault(key, Sample([0.0]))
                before.wall = [max(before.wall[0], float(journey.memory))]
    if "mlgit" not in samples:
        raise Unavailable("; ".join(notes))
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    notes.append(f"less than this program's own {own / 1e6:.0f} MB can't be told apart from it")
    return Result(samples, 200e6, reference=None, unit="bytes", notes=list(dict.fromkeys(notes)))


@row("status-100k", "`status` of {looked_at} unchanged files", "≤ 1.5 s")
def measure_status(context: Context) -> Result:
    samples = {}
    count = context.times(100_000, 5_000)
    for tool in context.programs[:1]:
        place = context.folder()
        project = tools.project(place)
        write_files(project / "data", count, 100)
        time.sleep(2.1)
        tool.run("add", project, place, "data")
        tool.run("status", project, place, "data")
        samples[tool.key] = Sample()
        for _ in range(context.times(5, 2)):
            samples[tool.key].add(tool.run("status", project, place, "data"))
    return Result(samples, 1.5, reference=None)


# -- runs


@row("push-runs", "{runs} runs pushed to a new remote", "≤ 30 s; 10 more ≤ 2 s")
def measure_push_runs(context: Context) -> Result:
    tool, place = context.programs[0], context.folder()
    project = tools.project(place)
    count = context.times(10_000, 500)
    generate.generate(project, count, 10)
    all_runs = Sample()
    all_runs.add(tool.run("push", project, place, ""))
    code = "import mlgit\nfor i in range(10):\n with mlgit.start_run(): mlgit.log_metric('m', i)\n"
    more = Sample()
    for _ in range(context.times(5, 2)):
        tool.run_all([[sys.executable, "-c", code]], project, place, "")
        more.add(tool.run("push", project, place, ""))
    there = generate.git(place / "origin.git", "for-each-ref", "refs/mlgit/runs").count("\n")
    took = median(more.wall)
    checks = [
        (f"10 more in {took:.2f} s ≤ 2 s", took <= 2),
        (f"{there:,} runs are there", there == count + 10 * len(more.wall)),
    ]
    return Result({"mlgit": all_runs}, 30.0, reference=None, checks=checks)


# -- S3


@contextmanager
def s3_server(folder: Path) -> Iterator[str]:
    """moto's S3 in a process of its own; its URL."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with open(folder / "moto.log", "wb") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
            stdout=log,
            stderr=log,
        )
    try:
        for _ in range(200):
            try:
                socket.create_connection(("127.0.0.1", port), 0.2).close()
                break
            except OSError:
                if server.poll() is not None:
                    raise Unavailable("moto's server doesn't start (moto[server])") from None
                time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait()


def _s3_row(context: Context, count: int, size: int, direction: str) -> Result:
    place = context.folder()
    write_files(place / "files", count, size)
    samples = {"mlgit": Sample(), "plain": Sample()}
    environment = {**os.environ, "PYTHONPATH": str(tools.SOURCE)}
    with s3_server(place) as url:
        for number in range(context.times(5, 2)):
            for key in samples:
                arguments = [key, url, f"b{number}-{key}", str(place / "files")]
                done = subprocess.run(
                    [sys.executable, str(S3_WORKER), *arguments],
                    env=environment,
                    capture_output=True,
                    text=True,
                    check=False,
                )
                if done.returncode:
                    raise Unavailable(done.stderr.strip().splitlines()[-1][-200:])
                samples[key].add(json.loads(done.stdout.splitlines()[-1])[direction])
    notes = ["compared with `put` and `get` of s3fs itself, in the last column"]
    return Result(samples, 1 / 0.9, "plain", notes=notes)


def _register_s3() -> None:
    for direction in ("put", "get"):
        for name, count, size in (("many", 1000, 10_000), ("big", 8, 32_000_000)):
            shown = f"{{s3_{name}}} × {size / 1e6:g} MB"

            def measure(
                context: Context, count: int = count, size: int = size, way: str = direction
            ) -> Result:
                return _s3_row(context, context.times(count, count // 4), size, way)

            row(f"s3-{direction}-{name}", f"S3 `{direction}`, {shown}", "≤ 1.11 of s3fs")(measure)


_register_s3()


# -- the report


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--dvc", metavar="PYTHON", help="has DVC")
    parser.add_argument("--quick", action="store_true", help="less often, on less data")
    parser.add_argument("--only", metavar="NAME", action="append", help="only this row; repeatable")
    parser.add_argument("--list", action="store_true", help="show the names of the rows")
    parser.add_argument("--output", type=Path, metavar="FILE", help="write the Markdown here")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every number here")
    parser.add_argument("--temporary", metavar="FOLDER", help="where data is made; removed")
    cache = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "mlgit-benchmarks"
    parser.add_argument("--cache", type=Path, default=cache, help="where DVC is installed")
    return parser.parse_args()


def _line(outcome: Result | str, row: Row) -> str:
    if isinstance(outcome, str):
        return f"| {row.title} | — | — | — | — | — | {row.target} | not measured |"
    cells = [report.cell(outcome.samples.get(key), outcome.unit) for key in COLUMNS]
    verdict = "pass" if outcome.passed() else "**fail**"
    ratio = report.ratio_cell(outcome)
    return f"| {row.title} | {' | '.join(cells)} | {ratio} | {row.target} | {verdict} |"


def _markdown(
    outcomes: list[tuple[Row, Result | str]], context: Context, absent: list[str], kind: str
) -> str:
    titles = {tool.key: tool.title for tool in context.programs}
    flags = (" --quick" if context.quick else "") + (
        " --temporary /dev/shm" if kind == "tmpfs" else ""
    )
    command = f"python tests/benchmarks/data.py{flags} --output docs/benchmarks-data.md"
    today = datetime.now(timezone.utc).strftime("%Y-%m-%d")
    machine = (
        f"Measured with {os.cpu_count()} cores, data on {kind}, {today}; when it began, the "
        f"machine's load was {context.load:.1f}."
    )
    lines = [
        _HEAD.format(command=command),
        machine
        + (
            " **Quick: less data than the targets are for, and one "
            "repetition of most; the verdicts are no more than a first look.**"
            if context.quick
            else ""
        ),
        "",
        "| | " + " | ".join(titles.get(k, k) for k in COLUMNS) + " | ratio | target | |",
        "|---|---|---|---|---|---|---|---|",
        *(_line(outcome, row) for row, outcome in outcomes),
        "",
        *(f"- {reason}." for reason in absent),
        *(f"- {remark}" for row, out in outcomes for remark in report.remarks(row, out)),
    ]
    return "\n".join(lines).rstrip() + "\n"


def _programs(options: argparse.Namespace) -> tuple[list[Tool], list[str]]:
    made, absent = [tools.mlgit()], []
    try:
        made.append(tools.dvc(tools.dvc_python(options.dvc, options.cache)))
    except (OSError, subprocess.CalledProcessError) as error:
        absent.append(f"DVC can't be had: {error}")
    try:
        made.append(tools.git_lfs())
    except Unavailable as error:
        absent.append(str(error))
    made.append(tools.plain())
    return made, absent


def main() -> int:
    """The command line; 1 if a target is missed."""
    options = _options()
    if options.list:
        shown = (titled(row, options.quick) for row in ROWS)
        print("\n".join(f"{row.name:14} {row.title}" for row in shown))
        return 0
    unknown = set(options.only or ()) - {row.name for row in ROWS}
    if unknown:
        sys.exit(f"no row is called {min(unknown)}; --list shows them")
    programs, absent = _programs(options)
    outcomes: list[tuple[Row, Result | str]] = []
    with tempfile.TemporaryDirectory(prefix="mlgit-bench-", dir=options.temporary) as folder:
        context = Context(Path(folder), programs, options.quick)
        for each in ROWS:
            if options.only and each.name not in options.only:
                continue
            try:
                outcome: Result | str = each.measure(context)  # type: ignore[arg-type]
            except Unavailable as error:
                outcome = str(error)
            shown = titled(each, options.quick)
            outcomes.append((shown, outcome))
            print(_line(outcome, shown), flush=True)
        kind = report.file_system(folder)
    text = _markdown(outcomes, context, absent, kind)
    if options.output:
        report.write(options.output, text)
    else:
        print("\n" + text)
    if options.json:
        report.write(options.json, json.dumps(report.raw(outcomes), indent=1) + "\n")
    return int(any(isinstance(o, str) or not o.passed() for _, o in outcomes))


if __name__ == "__main__":
    sys.exit(main())
