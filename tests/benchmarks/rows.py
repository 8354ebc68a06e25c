"""The rows of the table: what is measured, how often, and what it must reach."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from peers import Peer, Unavailable, Workspace


@dataclass
class Sample:
    """Repeated measurements of one peer, in seconds (or bytes: then without CPU time)."""

    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)

    def add(self, numbers: dict[str, Any]) -> None:
        """Take over what one process measured."""
        self.wall += numbers["wall"]
        self.cpu += numbers["cpu"]


@dataclass
class Result:
    """What one row found.

    Attributes:
        samples: By peer. "mlgit" first.
        reference: The peer that the target compares with; None for an absolute target.
        limit: The greatest ratio allowed, or the greatest value where there is no reference.
        checks: Further conditions and whether they hold.
        notes: What a reader has to know.
        unit: "s" or "bytes".
    """

    samples: dict[str, Sample]
    limit: float
    reference: str | None = "mlflow3"
    checks: list[tuple[str, bool]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    unit: str = "s"

    def ratio(self) -> float | None:
        """mlgit's median over the reference's."""
        if self.reference is None:
            return None
        return median(self.samples["mlgit"].wall) / median(self.samples[self.reference].wall)

    def passed(self) -> bool:
        """Whether the target and every further condition are reached."""
        ratio = self.ratio()
        value = median(self.samples["mlgit"].wall) if ratio is None else ratio
        return value <= self.limit and all(ok for _, ok in self.checks)


@dataclass
class Context:
    """What a row needs to be measured."""

    work: Workspace
    quick: bool

    @property
    def peers(self) -> list[Peer]:
        """Everything that is compared."""
        return self.work.peers

    @property
    def mlgit(self) -> Peer:
        """mlgit itself."""
        return self.work.peers[0]

    def times(self, full: int, quick: int) -> int:
        """A number of repetitions."""
        return quick if self.quick else full


Measure = Callable[[Context], Result]


@dataclass(frozen=True)
class Row:
    """One row of the table."""

    name: str
    title: str
    target: str
    measure: Measure


ROWS: list[Row] = []


def row(name: str, title: str, target: str) -> Callable[[Measure], Measure]:
    """Register a function that measures one row."""

    def register(measure: Measure) -> Measure:
        ROWS.append(Row(name, title, target, measure))
        return measure

    return register


def alternate(
    context: Context,
    rounds: int,
    once: Callable[[Peer], dict[str, Any]],
    peers: list[Peer] | None = None,
) -> dict[str, Sample]:
    """Measure the peers in turn, so that what else the machine does meets all alike."""
    samples = {peer.key: Sample() for peer in peers or context.peers}
    for _ in range(rounds):
        for peer in peers or context.peers:
            samples[peer.key].add(once(peer))
    return samples


def places(context: Context, runs: int = 0) -> dict[str, Path]:
    """A store of each peer, to be changed at will."""
    return {peer.key: context.work.fresh(peer, runs) for peer in context.peers}


def task_row(
    context: Context,
    limit: float,
    task: str,
    *,
    stored: int = 0,
    rounds: tuple[int, int] = (5, 2),
    **arguments: Any,
) -> Result:
    """A row that is one task of the worker in every peer."""
    at = places(context, stored)
    samples = alternate(
        context,
        context.times(*rounds),
        lambda peer: peer.task(at[peer.key], task, **arguments),
    )
    return Result(samples, limit)


def _whole_process(peer: Peer, place: Path, command: list[str]) -> dict[str, list[float]]:
    _, wall, cpu = peer.run(place, command)
    return {"wall": [wall], "cpu": [cpu]}


@row("import", "`import mlgit`: whole process less a bare `python`", "≤ 1/20")
def measure_import(context: Context) -> Result:
    at = places(context)

    def once(peer: Peer) -> dict[str, list[float]]:
        bare = _whole_process(peer, at[peer.key], [peer.python, "-c", "pass"])
        full = _whole_process(peer, at[peer.key], [peer.python, "-c", f"import {peer.module}"])
        return {key: [max(0.0, full[key][0] - bare[key][0])] for key in full}

    samples = alternate(context, context.times(11, 3), once)
    loaded = context.mlgit.task(at["mlgit"], "import_only")["loaded"]
    check = f"loads none of pandas, flask, numpy, dulwich (loaded: {', '.join(loaded) or 'none'})"
    return Result(samples, 1 / 20, checks=[(check, not loaded)])


@row("version", "`mlgit --version`", "≤ 1/20")
def measure_version(context: Context) -> Result:
    at = places(context)
    return Result(
        alternate(
            context,
            context.times(7, 2),
            lambda p: _whole_process(p, at[p.key], [*p.script(), "--version"]),
        ),
        1 / 20,
    )


@row("log-metric", "one `log_metric` call", "≤ 1/100; p99/median ≤ 5")
def measure_log_metric(context: Context) -> Result:
    result = task_row(context, 1 / 100, "log_metric", calls=context.times(300, 60))
    # The tail needs more calls than an MLflow makes in reasonable time.
    place = context.work.fresh(context.mlgit)
    calls = context.times(20_000, 2_000)
    tails, medians = [], {0: [], 100_000: []}
    for _ in range(context.times(5, 2)):
        for length, found in medians.items():
            times = sorted(
                context.mlgit.task(place, "log_metric", calls=calls, history=length)["wall"]
            )
            found.append(median(times))
            if length == 0:
                tails.append(times[int(0.99 * len(times))] / median(times))
    tail, (short, long) = median(tails), (median(m) for m in medians.values())
    result.checks = [
        (f"p99/median {tail:.2f} ≤ 5 (of {calls} calls)", tail <= 5),
        (f"at 100,000 points {long / short:.2f} × as at none ≤ 1.2", long / short <= 1.2),
    ]
    return result


@row("log-batch", "`log_batch` of 1000 metrics", "≤ 1/20")
def measure_log_batch(context: Context) -> Result:
    return task_row(context, 1 / 20, "log_batch", repeats=context.times(7, 3), rounds=(3, 1))


@row("run", "start and end of a run, 5 params, 5 metrics, clean worktree", "≤ 1/5")
def measure_run(context: Context) -> Result:
    return task_row(context, 1 / 5, "run_cycle", repeats=context.times(20, 5))


@row("history", "history of 1000 points", "≤ 1/2")
def measure_history(context: Context) -> Result:
    return task_row(context, 1 / 2, "history", points=1000, repeats=context.times(15, 5))


@row("frame", "all 200 runs as a pandas frame", "≤ 1/2")
def measure_frame(context: Context) -> Result:
    return task_row(context, 1 / 2, "frame", stored=200, runs=200, repeats=context.times(7, 3))


@row("search", "search with filter, order and limit, 200 runs", "≤ 1/2")
def measure_search(context: Context) -> Result:
    return task_row(context, 1 / 2, "search", stored=200, repeats=context.times(15, 5))


@row("cli-log", "`mlgit log -n 10`, 200 runs (`mlflow runs list`)", "≤ 1/20")
def measure_cli_log(context: Context) -> Result:
    at = places(context, 200)
    arguments = {"mlgit": ["log", "-n", "10"]}
    samples = alternate(
        context,
        context.times(7, 2),
        lambda p: _whole_process(
            p,
            at[p.key],
            [*p.script(), *arguments.get(p.key, ["runs", "list", "--experiment-id", "0"])],
        ),
    )
    note = "MLflow has no limit to give: it lists all 200"
    return Result(samples, 1 / 20, notes=[note])


@row("artifacts", "1000 artifacts of 10 kB, `log_artifacts`", "≤ 1")
def measure_artifacts(context: Context) -> Result:
    repeats = context.times(2, 1)
    return task_row(
        context, 1.0, "artifacts", files=1000, size=10_000, repeats=repeats, rounds=(4, 2)
    )


@row("big-artifact", "one artifact of 200 MB, `log_artifact`", "≤ 1")
def measure_big_artifact(context: Context) -> Result:
    return task_row(context, 1.0, "artifacts", files=1, size=200_000_000, repeats=1, rounds=(5, 2))


def require(condition: bool, message: str) -> None:
    """Refuse a measurement that wouldn't mean what the row says."""
    if not condition:
        raise Unavailable(message)
