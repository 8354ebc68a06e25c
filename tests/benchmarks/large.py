"""The rows about repositories with many runs."""

from __future__ import annotations

from pathlib import Path
from statistics import median

import generate
from peers import Peer
from rows import Context, Result, Sample, alternate, require, row

MANY = 100_000


def disk_usage(path: Path) -> int:
    """The bytes that a file or folder takes on the disk, blocks counted whole."""
    files = [path, *path.rglob("*")] if path.is_dir() else [path]
    return sum(512 * file.lstat().st_blocks for file in files)


@row("search-many", f"the same search: mlgit at {MANY:,} runs, MLflow at 1000", "≤ 1")
def measure_search_many(context: Context) -> Result:
    few, many = context.times(1000, 200), context.times(MANY, 10_000)
    at = {p.key: context.work.filled(p, few) for p in context.peers[1:]}
    at["mlgit"] = context.work.generated(many)
    first = context.mlgit.task(at["mlgit"], "first_search", runs=many)["wall"][0]
    samples = alternate(
        context,
        context.times(5, 2),
        lambda peer: peer.task(at[peer.key], "search", repeats=context.times(15, 5)),
    )
    notes = [f"the first search after packing made the index of {many:,} runs: {first:.1f} s"]
    if context.quick:
        notes.append(f"quick: mlgit at {many:,} runs, MLflow at {few}")
    return Result(samples, 1.0, notes=notes)


@row("run-many", f"start_run, log, end_run with {MANY:,} runs, and in an empty one", "≤ 1.2")
def measure_run_many(context: Context) -> Result:
    many = context.times(MANY, 10_000)
    peer = context.mlgit
    large = context.work.copy(context.work.generated(many))
    peer.task(large, "first_search", runs=many)
    empty = context.work.fresh(peer)
    samples = {"mlgit": Sample(), "empty": Sample()}
    firsts: dict[str, list[float]] = {"mlgit": [], "empty": []}
    repeats = context.times(30, 5)
    for _ in range(context.times(9, 3)):
        for key, place in (("mlgit", large), ("empty", empty)):
            found = peer.task(place, "run_cycle", repeats=repeats, warm=0)
            firsts[key] += found["wall"][:1]
            samples[key].add({name: times[1:] for name, times in found.items()})
    first = median(firsts["mlgit"]) / median(firsts["empty"])
    check = f"the first run of a process {first:.2f} × ≤ 1.2"
    notes = [f"empty repository: {median(samples['empty'].wall) * 1000:.2f} ms"]
    if context.quick:
        notes.append(f"quick: {many:,} runs")
    return Result(samples, 1.2, reference="empty", checks=[(check, first <= 1.2)], notes=notes)


@row("fetched", "first search after fetching 10,000 runs, in a fresh clone", "≤ 5 s")
def measure_fetched(context: Context) -> Result:
    runs = context.times(10_000, 1_000)
    origin = context.work.generated(runs, 10) / "project"
    sample = Sample()
    for _ in range(context.times(3, 1)):
        clone = context.work.empty_folder()
        generate.git(clone, "clone", "-q", "--no-local", str(origin), "project")
        generate.git(clone / "project", "fetch", "-q", "origin", "refs/mlgit/*:refs/mlgit/*")
        sample.add(context.mlgit.task(clone, "first_search", runs=runs))
    notes = ["loose refs and one pack, as `git fetch` leaves them"]
    if context.quick:
        notes.append(f"quick: {runs:,} runs")
    return Result({"mlgit": sample}, 5.0, reference=None, notes=notes)


@row("disk", "disk: 10,000 runs of 5 params, 5 metrics, 100 points each", "≤ 1")
def measure_disk(context: Context) -> Result:
    runs, points = context.times(10_000, 1_000), 100
    place = context.work.copy(context.work.generated(runs, points))
    context.mlgit.task(place, "first_search", runs=runs)
    generate.git(place / "project", "gc", "-q")
    mine = disk_usage(place / "project" / ".git")
    index = disk_usage(place / "project" / ".git" / "mlgit")
    measured = context.times(500, 50)
    samples = {"mlgit": Sample([mine])}
    for peer in context.peers[1:]:
        empty = _store_size(peer, context.work.filled(peer, 0))
        full = _store_size(peer, context.work.filled(peer, measured, points))
        require(full > empty, f"{peer.title} wrote nothing where its store was looked for")
        samples[peer.key] = Sample([empty + (full - empty) * runs / measured])
    notes = [
        f"mlgit: {runs:,} runs after `git gc`, {mine / 1e6:.0f} MB of which the index is "
        f"{index / 1e6:.0f} MB; MLflow measured at {measured} runs and scaled"
    ]
    return Result(samples, 1.0, notes=notes, unit="bytes")


def _store_size(peer: Peer, place: Path) -> int:
    if peer.key == "mlflow3":
        # A write-ahead log, if there is one, is a part of the database.
        return sum(disk_usage(file) for file in place.glob("mlflow.db*"))
    return disk_usage(place / "mlruns") if (place / "mlruns").exists() else 0
