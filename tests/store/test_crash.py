"""Processes that die at any point: nothing that returned may be lost or block others."""

from __future__ import annotations

import builtins
import json
import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mlgit.entities import Param
from mlgit.exceptions import Conflict
from mlgit.git import Repository
from mlgit.git import refs as refs_module
from mlgit.store.gitstore import GitStore
from mlgit.store.journal import Writer

CRASHED = 77
WRAPPED = ("open", "write", "rename", "replace", "unlink", "rmdir", "mkdir", "utime", "close")

Fresh = Callable[[Any], GitStore]


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refs_module, "_LOCK_WAIT", 0.05)


class Crasher:
    """Ends the process at the n-th system call that could change something.

    Args:
        at: Which; 0 counts only.
        when: "before" the call, or "half" through it; then writes alone are counted.
    """

    def __init__(self, at: int, when: str) -> None:
        self.at = at
        self.when = when
        self.count = 0

    def __enter__(self) -> Crasher:
        self.originals = {name: getattr(os, name) for name in WRAPPED}
        self.open = builtins.open
        for name, original in self.originals.items():
            setattr(os, name, self._wrap(name, original))
        builtins.open = self._wrap("builtin open", self.open)
        return self

    def __exit__(self, *_: object) -> None:
        for name, original in self.originals.items():
            setattr(os, name, original)
        builtins.open = self.open

    def _wrap(self, name: str, original: Any) -> Any:
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            counts = self.when != "half" or name == "write"
            self.count += counts
            due = counts and self.count == self.at
            if due and self.when == "half":
                original(args[0], bytes(args[1])[: len(args[1]) // 2])
                os._exit(CRASHED)
            if due and self.when == "before":
                os._exit(CRASHED)
            return original(*args, **kwargs)

        return wrapped


def in_child(work: Callable[[Callable[[Any], None]], None]) -> tuple[int, list[Any]]:
    """Do something in a forked process.

    Returns:
        Its exit code, and what it told by calling its argument.
    """
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        write = os.write
        try:
            os.close(reading)
            work(lambda told: write(writing, json.dumps(told).encode() + b"\n") and None)
        except BaseException:
            import traceback

            write(2, traceback.format_exc().encode())
            os._exit(1)
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as f:
        told = [json.loads(line) for line in f]
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status), told


def every_point(
    scenario: Callable[[Crasher, Callable[[Any], None]], None], *modes: str, stride: int = 1
) -> Any:
    """Run a scenario with a crash at each of its steps; yields what each told."""
    for when in modes or ("before", "half"):
        code, told = in_child(lambda tell, when=when: _counted(scenario, when, tell))
        assert code == 0
        steps = told[-1]
        assert steps >= (1 if when == "half" else 6)
        for at in range(1, steps + 1, stride):
            crasher = Crasher(at, when)
            code, told = in_child(lambda tell, crasher=crasher: scenario(crasher, tell))
            assert code in (0, CRASHED), (at, when)
            yield f"{when} {at} of {steps}", told


def _counted(scenario: Any, when: str, tell: Callable[[Any], None]) -> None:
    crasher = Crasher(0, when)
    scenario(crasher, tell)
    tell(crasher.count)


def open_store(folder: Path) -> GitStore:
    return GitStore(Repository.open(str(folder)))


def log_some(store: GitStore, run_id: str) -> None:
    """Something of every kind."""
    for step in range(20):
        store.runs.log_metric(run_id, "loss", 1.0 / (step + 1), 1000 + step, step)
    store.runs.log_metric(run_id, "odd/one", float("nan"), 5, -1)
    store.runs.log_batch(run_id, params=[Param("lr", 0.1), Param("depth", 4)])
    store.runs.set_tag(run_id, "team", "vision")
    store.runs.delete_tag(run_id, "gone")
    store.log_bytes(run_id, b"weights", "model/weights.bin")
    store.log_bytes(run_id, b"notes", "notes.txt")
    store.runs.log_inputs(run_id, [{"name": "wine", "digest": "1"}])


def begin(store: GitStore) -> str:
    return store.runs.create(
        "0",
        run_name="victim",
        start_time=1_700_000_000_000,
        tags={"gone": "soon"},
        user="ada",
        environment={"python": "3"},
        owner=True,
        with_code=True,
    ).run_id


def state(store: GitStore, run_id: str) -> dict[str, Any]:
    """All that a run holds, apart from its id and its end."""
    record = store.runs.record(run_id)
    return {
        "params": record.params,
        "last": {k: repr(p.value) for k, p in record.last.items()},
        "loss": store.runs.history(run_id, "loss"),
        "odd": [repr(p) for p in store.runs.history(run_id, "odd/one")],
        "tags": record.tags,
        "name": record.run_name,
        "artifacts": record.artifacts,
        "weights": store.read_artifact(run_id, "model/weights.bin"),
        "inputs": record.inputs,
        "environment": record.environment,
    }


def check_repository(store: GitStore, git: Callable[..., str]) -> None:
    """Nothing is broken and nothing is in the way of the next run."""
    where = store.repo.worktree or store.repo.git_dir
    git(where, "fsck", "--strict", "--no-dangling")
    # A file of no bytes is one whose writer may be about to write to it.
    left = Path(store.repo.state_dir, "journal").glob("*/*")
    assert not [f for f in left if f.name != "lock" and f.stat().st_size]
    store.index.sync()
    assert store.problems() == []
    run_id = begin(store)
    store.runs.finish(run_id, "FINISHED")
    assert store.runs.get(run_id).info.status == "FINISHED"


def expected(repo_dir: Path) -> dict[str, Any]:
    """What a run holds that nobody killed."""
    store = open_store(repo_dir)
    run_id = begin(store)
    log_some(store, run_id)
    store.runs.finish(run_id, "FINISHED")
    found = state(store, run_id)
    store.close()
    return found


@pytest.mark.parametrize("dirty", [False, True])
def test_end_run_killed_at_every_step(
    repo_dir: Path, fresh: Fresh, git: Callable[..., str], dirty: bool
) -> None:
    if dirty:
        (repo_dir / "train.py").write_text("print('changed')\n")
    whole = expected(repo_dir)

    def scenario(crasher: Crasher, tell: Callable[[Any], None]) -> None:
        store = open_store(repo_dir)
        run_id = begin(store)
        log_some(store, run_id)
        tell(run_id)
        append = Writer.append

        def appended(self: Writer, data: bytes) -> None:
            append(self, data)
            tell("ended")

        Writer.append = appended  # type: ignore[method-assign]
        with crasher:
            store.runs.finish(run_id, "FINISHED")
        tell("returned")

    finished = failed = 0
    for point, told in every_point(scenario, stride=2 if dirty else 1):
        looking = fresh(repo_dir)
        run_id = told[0]
        if told[-1] == "returned":
            assert not os.path.exists(looking.runs.committer.folder(run_id)), point
        [seen] = [r for r in looking.search_runs(None) if r.info.run_id == run_id]
        assert looking.runs.find_ref(run_id) is not None, point
        assert state(looking, run_id) == whole, point
        # A line that was written, though its call didn't return, may count too.
        allowed = {"FINISHED"} if "ended" in told else {"FINISHED", "FAILED"}
        assert seen.info.status in allowed, point
        finished += seen.info.status == "FINISHED"
        failed += seen.info.status == "FAILED"
        looking.close()
    assert finished and failed
    store = fresh(repo_dir)
    check_repository(store, git)
    assert store.repo.refs.items("refs/mlgit/snapshots/") == {}


def test_recovery_killed_at_every_step(
    repo_dir: Path, fresh: Fresh, git: Callable[..., str]
) -> None:
    whole = expected(repo_dir)

    def victim(tell: Callable[[Any], None]) -> None:
        store = open_store(repo_dir)
        run_id = begin(store)
        log_some(store, run_id)
        tell(run_id)

    def scenario(crasher: Crasher, tell: Callable[[Any], None]) -> None:
        store = open_store(repo_dir)
        with crasher:
            store.runs.recover()

    victims = [in_child(victim)[1][0]]
    for point, _ in every_point(scenario, "before", stride=2):
        # Twice: the second recovery finds what the first left, and dies as well.
        in_child(lambda tell: scenario(Crasher(30, "before"), tell))
        looking = fresh(repo_dir)
        looking.runs.recover()
        for run_id in victims:
            assert looking.runs.get(run_id).info.status == "FAILED", point
            assert state(looking, run_id) == whole, point
            assert looking.repo.refs.read(f"refs/mlgit/runs/0/{run_id}"), point
        looking.close()
        victims = [in_child(victim)[1][0]]
    store = fresh(repo_dir)
    store.runs.recover()
    check_repository(store, git)


def test_amend_killed_at_every_step(repo_dir: Path, fresh: Fresh, git: Callable[..., str]) -> None:
    store = fresh(repo_dir)
    run_id = begin(store)
    log_some(store, run_id)
    store.runs.finish(run_id, "FINISHED")
    whole = state(store, run_id)

    def scenario(crasher: Crasher, tell: Callable[[Any], None]) -> None:
        there = open_store(repo_dir)
        with crasher:
            there.runs.set_tag(run_id, "late", f"{crasher.when} {crasher.at}")
        tell("returned")

    for point, told in every_point(scenario):
        looking = fresh(repo_dir)
        record = looking.runs.record(run_id)
        late = record.tags.get("late")
        if told:
            assert late == " ".join(point.split()[:2]), point
        found = state(looking, run_id)
        found["tags"].pop("late", None)
        assert found == whole, point
        lock = f"{looking.repo.common_dir}/refs/mlgit/runs/0/{run_id}.lock"
        if os.path.exists(lock):
            # As with Git: the lock of a dead process is told, and never broken by guess.
            with pytest.raises(Conflict) as caught:
                looking.runs.set_tag(run_id, "after", point)
            assert "again" in caught.value.hint
            os.unlink(lock)
        looking.runs.set_tag(run_id, "after", point)
        assert looking.runs.record(run_id).tags["after"] == point
        looking.runs.delete_tag(run_id, "after")
        looking.close()
    check_repository(fresh(repo_dir), git)


def test_experiment_creation_killed_at_every_step(
    repo_dir: Path, fresh: Fresh, git: Callable[..., str]
) -> None:
    def scenario(crasher: Crasher, tell: Callable[[Any], None]) -> None:
        there = open_store(repo_dir)
        with crasher:
            tell(there.experiments.create(f"e {crasher.at} {crasher.when}"))

    for point, told in every_point(scenario):
        looking = fresh(repo_dir)
        when, at = point.split()[:2]
        name = f"e {at} {when}"
        found = looking.experiments.by_name(name)
        if told:
            assert found is not None and found.experiment_id == told[0], point
        if found is None:
            for lock in Path(looking.repo.common_dir, "refs/mlgit/experiments").glob("*.lock"):
                lock.unlink()
            looking.experiments.create(name)
        assert looking.experiments.by_name(name).name == name  # type: ignore[union-attr]
        looking.close()
    check_repository(fresh(repo_dir), git)


def test_packing_refs_killed_at_every_step(
    repo_dir: Path, fresh: Fresh, git: Callable[..., str]
) -> None:
    store = fresh(repo_dir)
    made = []
    for _ in range(4):
        run_id = begin(store)
        store.runs.finish(run_id, "FINISHED")
        made.append(run_id)

    def scenario(crasher: Crasher, tell: Callable[[Any], None]) -> None:
        there = open_store(repo_dir)
        for run_id in made:
            there.runs.set_tag(run_id, "n", str(time.time_ns()))
        tell({run_id: there.runs.find_ref(run_id)[1] for run_id in made})  # type: ignore[index]
        with crasher:
            there.repo.refs.pack("refs/mlgit/")

    for point, told in every_point(scenario):
        looking = fresh(repo_dir)
        found = looking.repo.refs.items("refs/mlgit/runs/")
        assert found == {f"refs/mlgit/runs/0/{r}": sha for r, sha in told[0].items()}, point
        assert len(looking.search_runs(None)) == len(made)
        for lock in [
            *Path(looking.repo.common_dir, "refs/mlgit").rglob("*.lock"),
            *Path(looking.repo.common_dir).glob("packed-refs.lock"),
        ]:
            lock.unlink()
        listed = git(repo_dir, "for-each-ref", "refs/mlgit/runs/", "--format=%(objectname)")
        assert sorted(listed.split()) == sorted(told[0].values()), point
        looking.close()
    check_repository(fresh(repo_dir), git)


def test_leftovers_of_a_killed_packer_dont_block_runs(
    repo_dir: Path, fresh: Fresh, git: Callable[..., str]
) -> None:
    (repo_dir / "train.py").write_text("dirty\n")  # so that the run has a snapshot ref to drop
    (repo_dir / ".git/packed-refs.lock").write_bytes(b"")
    store = fresh(repo_dir)
    run_id = begin(store)
    log_some(store, run_id)
    store.runs.finish(run_id, "FINISHED")
    assert fresh(repo_dir).runs.get(run_id).info.status == "FINISHED"
    assert not os.path.exists(store.runs.committer.folder(run_id))


def test_a_commits_stale_lock_is_broken(repo_dir: Path, fresh: Fresh) -> None:
    def scenario(tell: Callable[[Any], None]) -> None:
        store = open_store(repo_dir)
        run_id = begin(store)
        tell(run_id)
        os.rename = lambda a, b: (  # type: ignore[assignment]
            os._exit(CRASHED) if a.endswith(f"{run_id}.lock") else os.replace(a, b)
        )
        store.runs.finish(run_id, "FINISHED")

    code, [run_id] = in_child(scenario)
    assert code == CRASHED
    assert (repo_dir / f".git/refs/mlgit/runs/0/{run_id}.lock").exists()
    store = fresh(repo_dir)
    assert [r.info.status for r in store.search_runs(None)] == ["FINISHED"]
    assert not (repo_dir / f".git/refs/mlgit/runs/0/{run_id}.lock").exists()


# -- SIGKILL at random


def _writer(folder: Path, seed: int, tell: Callable[[Any], None]) -> None:
    store = open_store(folder)
    chance = random.Random(seed)
    run_id = begin(store)
    tell(["run", run_id])
    for i in range(chance.randrange(20, 400)):
        kind = chance.randrange(12)
        if kind < 7:
            point = [f"m{chance.randrange(3)}", chance.random(), 1000 + i, i]
            store.runs.log_metric(run_id, point[0], point[1], point[2], point[3])  # type: ignore[arg-type]
            tell(["m", *point])
        elif kind < 9:
            store.runs.log_batch(run_id, params=[Param(f"p{i}", i)])
            tell(["p", f"p{i}", str(i)])
        elif kind < 11:
            store.runs.set_tag(run_id, f"t{i % 5}", str(i))
            tell(["t", f"t{i % 5}", str(i)])
        else:
            data = f"data {seed} {i}"
            store.log_bytes(run_id, data.encode(), f"a/{i}.txt")
            tell(["a", f"a/{i}.txt", data])
    store.runs.finish(run_id, "FINISHED")
    tell(["end"])


def _kill_at_random(folder: Path, seed: int, longest: float) -> list[list[Any]]:
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(reading)
            write = os.write
            _writer(folder, seed, lambda told: write(writing, json.dumps(told).encode() + b"\n"))
        finally:
            os._exit(0)
    os.close(writing)
    data = b""
    if seed % 5:  # else it may be killed while the run begins
        data = os.read(reading, 4096)
    time.sleep(random.Random(seed).random() * longest)
    os.kill(pid, signal.SIGKILL)
    with os.fdopen(reading, "rb") as f:
        data += f.read()
    os.waitpid(pid, 0)
    return [json.loads(line) for line in data.split(b"\n")[:-1]]


def _check_killed(store: GitStore, told: list[list[Any]]) -> str:
    run_id = told[0][1]
    run = store.runs.get(run_id)
    ended = told[-1] == ["end"]
    assert run.info.status == "FINISHED" if ended else run.info.status in ("FAILED", "FINISHED")
    for key in {entry[1] for entry in told if entry[0] == "m"}:
        want = [[e[2], e[3], e[4]] for e in told if e[0] == "m" and e[1] == key]
        got = [[p.value, p.timestamp, p.step] for p in store.runs.history(run_id, key)]
        # What was being logged when the process died may be there as well.
        assert got[: len(want)] == want and len(got) <= len(want) + 1
    for key, value in (e[1:] for e in told if e[0] == "p"):
        assert run.data.params[key] == value
    tags = {e[1]: e[2] for e in told if e[0] == "t"}
    wrong = {k for k, v in tags.items() if run.data.tags.get(k) != v}
    assert len(wrong) <= (0 if ended else 1)
    for path, data in (e[1:] for e in told if e[0] == "a"):
        assert store.read_artifact(run_id, path) == data.encode()
    return str(run.info.status)


def _kill_many(repo_dir: Path, fresh: Fresh, git: Callable[..., str], count: int) -> None:
    results = []
    longest = 0.0
    for seed in range(3):  # not killed, to know how long it takes
        start = time.monotonic()
        _writer(repo_dir, seed, lambda _: None)
        longest = max(longest, time.monotonic() - start)
    for seed in range(count):
        told = _kill_at_random(repo_dir, seed, longest)
        looking = fresh(repo_dir)
        runs = {r.info.run_id: r for r in looking.search_runs(None)}
        if told:
            assert told[0][1] in runs
            results.append(_check_killed(looking, told))
        assert not any(r.info.status == "RUNNING" for r in runs.values())
        looking.close()
    assert "FAILED" in results
    # A process may die while it deletes the ref of its code: that does no harm.
    check_repository(fresh(repo_dir), git)


def test_killed_at_random(repo_dir: Path, fresh: Fresh, git: Callable[..., str]) -> None:
    _kill_many(repo_dir, fresh, git, 15)


@pytest.mark.slow
def test_killed_at_random_many_times(repo_dir: Path, fresh: Fresh, git: Callable[..., str]) -> None:
    _kill_many(repo_dir, fresh, git, 220)
