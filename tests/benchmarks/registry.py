"""Measure the model registry beside MLflow's SQLite store and GTO.

    python tests/benchmarks/registry.py --mlflow3 PYTHON --gto PYTHON [--quick] [--only NAME]
        [--output docs/benchmarks-registry.md] [--json FILE] [--temporary FOLDER]

Run it with an interpreter that has mlgit.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from statistics import median
from typing import Any

import registry_data
import report
from peers import Unavailable
from rows import Sample

SOURCE = Path(__file__).resolve().parents[2]
WORKER = Path(__file__).with_name("registry_worker.py")
COLUMNS = ("mlgit", "mlflow", "gto")
_HEAD = """\
# Benchmarks: the model registry

mlgit beside the SQLite store of MLflow {mlflow} and GTO {gto}. This file is generated; make it again with

    {command}

`--mlflow3` and `--gto` name the interpreters of environments that have them. `--only NAME` measures one
row, `--quick` repeats less on a smaller registry, `--json FILE` keeps every number, `--list`
shows the rows' names.

The registry: {models:,} models of {versions} versions, each of which was given {aliases} aliases: {tags:,} tags, packed,
in one Git repository for mlgit and GTO (a copy each). MLflow's store, which keeps no history, has
the models, the versions, and each alias as it is in the end, put there by SQL. The three
answer the same, which is checked.

A cell is the median wall time, and in parentheses the median CPU time. Each measurement is made in
a process of its own, the programs taking turns; a call is made once before the clock runs, but for
the rows that say "process", and of GTO, which reads all tags for each answer and is measured once. mlgit and MLflow are called by the same client API. GTO has no such calls;
the nearest are `gto.api.show(repo, "m#champion")`, `show(repo, "m")`, `show(repo, "m@latest")`, `show(repo)`,
`register` and `assign`. `set_registered_model_alias` and its like are as `transition`.
"""


@dataclass
class Context:
    """What is measured, and where.

    Attributes:
        pythons: The interpreters by column.
        stores: What each of them reads; not changed.
    """

    root: Path
    pythons: dict[str, str]
    quick: bool
    models: int
    versions: int
    stores: dict[str, str] = field(default_factory=dict)
    count: int = 0

    def fill(self) -> int:
        """Make the registries; how many tags there are."""
        tags = registry_data.fill_repository(self.root / "git", self.models, self.versions)
        shutil.copytree(self.root / "git", self.root / "gto", symlinks=True)
        self.stores = {"mlgit": str(self.root / "git"), "gto": str(self.root / "gto")}
        path = self.root / "mlflow.db"
        self.stores["mlflow"] = f"sqlite:///{path}"
        self.task("mlflow", "list", times=0)  # makes the tables
        registry_data.fill_sqlite(path, self.models, self.versions)
        return tags

    def task(self, who: str, task: str, times: int, model: int = 0) -> dict[str, Any]:
        """Have a worker do one task so many times, in a process of its own."""
        self.count += 100
        arguments = {
            "name": registry_data.model_name(model),
            "times": times,
            "first": self.count,
            "warm": who != "gto" or self.quick,
        }
        command = [self.pythons[who], str(WORKER), who, task, self.stores[who]]
        output, _, _ = self.run(who, [*command, json.dumps(arguments)])
        return dict(json.loads(output.splitlines()[-1]))

    def run(self, who: str, command: list[str]) -> tuple[str, float, float]:
        """Run a command; its output, and its wall and CPU time, its start included.

        Raises:
            Unavailable: It failed.
        """
        kept = {
            k: v for k, v in os.environ.items() if not k.startswith(("MLFLOW_", "MLGIT_", "GIT_"))
        }
        if who == "mlgit":
            kept["PYTHONPATH"] = str(SOURCE)
        else:
            kept.pop("PYTHONPATH", None)
        before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        done = subprocess.run(command, cwd=self.root, env=kept, capture_output=True, text=True)
        wall = time.perf_counter() - start
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        if done.returncode:
            tail = done.stderr.strip().splitlines()[-1:] or ["no message"]
            raise Unavailable(f"{who}: {' '.join(command[-3:])[:80]}: {tail[0][:200]}")
        cpu = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
        return done.stdout, wall, cpu


@dataclass
class Result:
    """What one row found.

    Attributes:
        samples: By column; what can't be measured isn't there.
        limit: The most that mlgit may take, in seconds; None for no such target.
        notes: What a reader has to know.
    """

    samples: dict[str, Sample]
    limit: float | None
    notes: list[str] = field(default_factory=list)

    def ratio(self, other: str) -> float | None:
        """mlgit's median over another's."""
        if other not in self.samples:
            return None
        return median(self.samples["mlgit"].wall) / median(self.samples[other].wall)

    def passed(self) -> bool:
        """Whether mlgit is within the limit, and ahead of both."""
        ratios = [self.ratio(other) for other in COLUMNS[1:]]
        within = self.limit is None or median(self.samples["mlgit"].wall) <= self.limit
        return within and all(ratio is None or ratio < 1 for ratio in ratios)


@dataclass(frozen=True)
class Row:
    """One row of the table."""

    name: str
    title: str
    limit: float | None
    measure: Callable[[Context, float | None], Result]

    @property
    def target(self) -> str:
        """The target, as the table shows it."""
        ahead = "ahead of both"
        return ahead if self.limit is None else f"≤ {report.time_cell(self.limit)}, {ahead}"


def _turns(
    context: Context, once: dict[str, Callable[[], dict[str, Any]]], limit: float | None
) -> Result:
    """Measure the programs in turn; their answers have to be the same."""
    result = Result({key: Sample() for key in once}, limit)
    answers: dict[str, Any] = {}
    for turn in range(2 if context.quick else 5):
        for key, measure in list(once.items()):
            if key not in result.samples or (key == "gto" and turn and not context.quick):
                continue  # GTO takes its minutes once
            try:
                numbers = measure()
            except Unavailable as error:
                result.notes.append(str(error))
                del result.samples[key]
                continue
            result.samples[key].add(numbers)
            answers[key] = numbers.get("answer")
    if len({json.dumps(answer) for answer in answers.values()}) > 1:
        raise SystemExit(f"the answers differ: {answers}")
    return result


def _calls(task: str) -> Callable[[Context, float | None], Result]:
    def measure(context: Context, limit: float | None) -> Result:
        # GTO reads all tags for each answer.
        times = {"mlgit": 20, "mlflow": 20, "gto": 2 if context.quick else 1}
        model = min(3, context.models - 1)
        once = {key: lambda k=key: context.task(k, task, times[k], model) for key in COLUMNS}
        return _turns(context, once, limit)  # type: ignore[arg-type]

    return measure


def _first_answer(context: Context, limit: float | None) -> Result:
    def whole(key: str) -> dict[str, Any]:
        arguments = {"name": registry_data.model_name(0), "times": 0, "first": 0, "warm": True}
        command = [context.pythons[key], str(WORKER), key, "alias", context.stores[key]]
        output, wall, cpu = context.run(key, [*command, json.dumps(arguments)])
        answer = json.loads(output.splitlines()[-1])["answer"]
        return {"wall": [wall], "cpu": [cpu], "answer": answer}

    return _turns(context, {key: lambda k=key: whole(k) for key in COLUMNS}, limit)  # type: ignore[misc]


def _commands(context: Context, limit: float | None) -> Result:
    script = Path(context.pythons["gto"]).with_name("gto")
    commands = {
        "mlgit": [
            context.pythons["mlgit"],
            "-m",
            "mlgit",
            "-C",
            context.stores["mlgit"],
            "models",
            "list",
        ],
        "gto": [str(script), "show", "--repo", context.stores["gto"]],
    }

    def whole(key: str) -> dict[str, Any]:
        output, wall, cpu = context.run(key, commands[key])
        shown = sum("model-" in line for line in output.splitlines())
        return {"wall": [wall], "cpu": [cpu], "answer": shown}

    result = _turns(context, {key: lambda k=key: whole(k) for key in commands}, limit)  # type: ignore[misc]
    result.notes.append("MLflow has no command that lists registered models")
    return result


def _from_nothing(context: Context, limit: float | None) -> Result:
    def whole() -> dict[str, Any]:
        for path in Path(context.stores["mlgit"], ".git", "mlgit").glob("registry.sqlite*"):
            path.unlink()
        return context.task("mlgit", "alias", 0)

    return _turns(context, {"mlgit": whole}, limit)


ROWS = [
    Row("alias", "`get_model_version_by_alias`", 0.010, _calls("alias")),
    Row("search", "`search_model_versions(\"name='x'\")`", 0.010, _calls("search")),
    Row("latest", "`get_latest_versions`", 0.010, _calls("latest")),
    Row("list", "`search_registered_models`, all of them", 1.0, _calls("list")),
    Row("command", "`mlgit models list`, `gto show`: the whole process", 1.0, _commands),
    Row("start", "a process that asks for one alias", None, _first_answer),
    Row("register", "one version registered", 0.050, _calls("register")),
    Row("transition", "one version put into Production, the one before archived", None,
        _calls("transition")),
    Row("index", "the first question after a clone (mlgit makes its index)", None, _from_nothing),
]  # fmt: skip


def _line(row: Row, outcome: Result | str) -> str:
    if isinstance(outcome, str):
        return f"| {row.title} | — | — | — | — | — | {row.target} | not measured |"
    cells = [report.cell(outcome.samples.get(key), "s") for key in COLUMNS]
    ratios = [_ratio(outcome.ratio(other)) for other in COLUMNS[1:]]
    alone = outcome.samples.keys() == {"mlgit"} and row.limit is None
    verdict = "—" if alone else "pass" if outcome.passed() else "**fail**"
    target = "—" if alone else row.target
    return f"| {row.title} | {' | '.join([*cells, *ratios])} | {target} | {verdict} |"


def _ratio(ratio: float | None) -> str:
    if ratio is None:
        return "—"
    return f"1/{1 / ratio:,.0f}" if 0 < ratio < 0.095 else f"{ratio:.2f}"


def _markdown(
    outcomes: list[tuple[Row, Result | str]], context: Context, tags: int, kind: str
) -> Iterator[str]:
    flags = (" --quick" if context.quick else "") + (
        " --temporary /dev/shm" if kind == "tmpfs" else ""
    )
    command = f"python tests/benchmarks/registry.py --mlflow3 PYTHON --gto PYTHON{flags}"
    versions = {key: _version(context.pythons[key], key) for key in ("mlflow", "gto")}
    sizes = {"models": context.models, "versions": context.versions, "tags": tags}
    yield _HEAD.format(
        command=f"{command} \\\n        --output docs/benchmarks-registry.md",
        aliases=len(registry_data.ALIASES), **versions, **sizes,
    )  # fmt: skip
    today = datetime.now(timezone.utc).strftime("%Y-%m-%d")
    quick = " **Quick: a smaller registry than the targets are for; no more than a first look.**"
    yield (
        f"Measured with {os.cpu_count()} cores, stores on {kind}, {today}; when it ended, the machine's "
        f"load was {os.getloadavg()[0]:.1f}." + (quick if context.quick else "")
    )
    yield ""
    yield f"| | mlgit | MLflow {versions['mlflow']} | GTO {versions['gto']} | to MLflow | to GTO | target | |"
    yield "|---|---|---|---|---|---|---|---|"
    for row, outcome in outcomes:
        yield _line(row, outcome)
    yield ""
    for row, outcome in outcomes:
        for note in [outcome] if isinstance(outcome, str) else outcome.notes:
            yield f"- {row.title}: {note}."


def _version(python: str, package: str) -> str:
    code = "import sys, importlib.metadata as m; print(m.version(sys.argv[1]))"
    done = subprocess.run([python, "-c", code, package], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{python} has no {package}")
    return done.stdout.strip()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--mlflow3", metavar="PYTHON", required=True, help="has MLflow 3.17.2")
    parser.add_argument("--gto", metavar="PYTHON", required=True, help="has GTO 1.10.1")
    parser.add_argument("--quick", action="store_true", help="less often, on a smaller registry")
    parser.add_argument("--only", metavar="NAME", action="append", help="only this row; repeatable")
    parser.add_argument("--list", action="store_true", help="show the names of the rows")
    parser.add_argument("--output", type=Path, metavar="FILE", help="write the Markdown here")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every number here")
    parser.add_argument("--temporary", metavar="FOLDER", help="where stores are made; removed")
    return parser.parse_args()


def main() -> int:
    """The command line; 1 if a target is missed."""
    options = _options()
    if options.list:
        print("\n".join(f"{row.name:12} {row.title}" for row in ROWS))
        return 0
    unknown = set(options.only or ()) - {row.name for row in ROWS}
    if unknown:
        sys.exit(f"no row is called {unknown.pop()}")
    outcomes: list[tuple[Row, Result | str]] = []
    with tempfile.TemporaryDirectory(prefix="mlgit-bench-", dir=options.temporary) as folder:
        pythons = {"mlgit": sys.executable, "mlflow": options.mlflow3, "gto": options.gto}
        sizes = (50, 5) if options.quick else (1000, 20)
        context = Context(Path(folder), pythons, options.quick, *sizes)
        tags = context.fill()
        for row in ROWS:
            if options.only and row.name not in options.only:
                continue
            try:
                outcomes.append((row, row.measure(context, row.limit)))
            except Unavailable as error:
                outcomes.append((row, str(error)))
            print(_line(*outcomes[-1]), flush=True)
        kind = report.file_system(folder)
        text = "\n".join(_markdown(outcomes, context, tags, kind)).rstrip() + "\n"
    if options.output:
        report.write(options.output, text)
    if options.json:
        kept = {r.name: o if isinstance(o, str) else _raw(o) for r, o in outcomes}
        report.write(options.json, json.dumps(kept, indent=1) + "\n")
    return int(any(isinstance(o, str) or not o.passed() for _, o in outcomes))


def _raw(outcome: Result) -> dict[str, Any]:
    samples = {key: vars(sample) for key, sample in outcome.samples.items()}
    return {
        "limit": outcome.limit,
        "passed": outcome.passed(),
        "notes": outcome.notes,
        "samples": samples,
    }


if __name__ == "__main__":
    sys.exit(main())
