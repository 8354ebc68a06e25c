"""What people, disks, other programs and malice put in; nothing may be lost or hidden by it."""

from __future__ import annotations

import errno
import json
import math
import os
import random
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import mlgit
from mlgit.entities import Metric, Param, RunTag, ViewType
from mlgit.exceptions import (
    Conflict,
    CorruptData,
    InvalidParameterValue,
    MlgitException,
    NotARepository,
    ResourceAlreadyExists,
    StorageError,
    Unsupported,
)
from mlgit.git import Repository
from mlgit.git import refs as refs_module
from mlgit.store import experiment_record, journal, record, yamlform
from mlgit.store.gitstore import GitStore
from mlgit.store.journal import Writer
from mlgit.store.schema import INDEX_VERSION

Fresh = Callable[[Any], GitStore]
Git = Callable[..., str]


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refs_module, "_LOCK_WAIT", 0.1)


def finished(store: GitStore, **metrics: float) -> str:
    run_id = store.runs.create("0", owner=True).run_id
    for key, value in metrics.items():
        store.runs.log_metric(run_id, key, value, 1000, 0)
    store.runs.finish(run_id, "FINISHED")
    return run_id


# -- names

NAMES = [
    "a/b",
    "..",
    "../up",
    "a/../b",
    " ",
    "a b",
    "Größe",
    "精度",
    "line\nbreak",
    "x" * 10_240,
    "nul\0byte",
    "lone\ud800",
    "🎉",
    "\u202egnp.exe",
    "-rf",
    ".",
    ".hidden",
    "con",
    "a\\b",
    "%2e",
    "a:b",
    "tab\t",
    "\u2028",
    "",
]


@pytest.mark.parametrize("name", NAMES, ids=lambda n: ascii(n)[:20])
def test_names(store: GitStore, fresh: Fresh, git: Git, name: str) -> None:
    """A name is refused at once, or comes back as it was given."""
    where = store.repo.worktree
    run = store.runs.create("0", run_name=name, owner=True)
    run_id = run.run_id
    taken = set()
    for kind, log in {
        "metric": lambda: store.runs.log_batch(run_id, metrics=[Metric(name, 1.5, 1, 1)]),
        "param": lambda: store.runs.log_batch(run_id, params=[Param(name, "v")]),
        "tag": lambda: store.runs.set_tag(run_id, name, "v"),
        "artifact": lambda: store.log_bytes(run_id, b"v", name),
        "value": lambda: store.runs.log_batch(run_id, params=[Param("value", name[:6000])]),
        "tag value": lambda: store.runs.set_tag(run_id, "value", name[:8000]),
    }.items():
        try:
            log()
            taken.add(kind)
        except InvalidParameterValue:
            pass
    store.runs.finish(run_id, "FINISHED")
    other = fresh(where)
    for got in (other.runs.get(run_id), other.search_runs(None)[0]):
        data = got.data
        assert got.info.run_name == (name.replace("\ud800", "\\ud800") or run.run_name)
        assert data.metrics == ({name: 1.5} if "metric" in taken else {})
        assert data.params.get("value") == (
            name if "value" in taken and len(name) < 6000 else data.params.get("value")
        )
        assert ("param" in taken) == (name in data.params)
        assert ("tag" in taken) == (name in data.tags)
    if "artifact" in taken:
        assert other.read_artifact(run_id, name) == b"v"
    if "metric" in taken:
        assert other.runs.history(run_id, name) == [(1, 1, 1.5)]
    git(where, "fsck", "--strict", "--no-dangling")
    shown = git(
        where,
        "log",
        "-1",
        "--format=%(trailers:key=Mlgit-Run,valueonly)",
        f"refs/mlgit/runs/0/{run_id}",
    )
    assert shown.strip() == run_id


@pytest.mark.parametrize("name", NAMES, ids=lambda n: ascii(n)[:20])
def test_experiment_names(store: GitStore, fresh: Fresh, git: Git, name: str) -> None:
    where = store.repo.worktree
    try:
        experiment_id = store.experiments.create(name)
    except (InvalidParameterValue, ResourceAlreadyExists):
        return
    run_id = store.runs.create(experiment_id, owner=True, with_code=True).run_id
    store.runs.finish(run_id, "FINISHED")
    other = fresh(where)
    assert other.experiments.by_name(name).name == name  # type: ignore[union-attr]
    assert other.search_runs([experiment_id])[0].info.run_id == run_id
    git(where, "fsck", "--strict", "--no-dangling")
    checkout = f"{where}-out"
    git(
        where,
        "worktree",
        "add",
        "-q",
        "--detach",
        checkout,
        f"refs/mlgit/runs/{experiment_id}/{run_id}",
    )
    assert len(list(Path(checkout).glob(".mlgit/experiments/*/run.yaml"))) == 1
    assert os.listdir(os.path.dirname(where or "")).count("escaped") == 0


def test_a_run_begun_from_odd_places(store: GitStore, fresh: Fresh) -> None:
    """Texts that nobody chose: a program's path, a user's name, a dataset's source."""
    odd = os.fsdecode(b"caf\xe9.py")
    run_id = store.runs.create(
        "0",
        user=odd,
        parent_run_id=odd,
        source={"name": odd, "command": f"python {odd}"},
        owner=True,
    ).run_id
    store.runs.log_inputs(run_id, [{"name": odd, "source": odd, "tags": {"a": odd}}])
    store.runs.update(run_id, run_name=odd)
    store.runs.finish(run_id, "FINISHED")
    run = fresh(store.repo.worktree).search_runs(None)[0]
    assert run.info.status == "FINISHED"
    assert run.data.tags["mlflow.source.name"] == "caf\\udce9.py"


# -- numbers

VALUES = [
    math.nan,
    math.inf,
    -math.inf,
    -0.0,
    0.0,
    5e-324,
    1e308,
    1.7976931348623157e308,
    0.1,
    1e22,
]
STEPS = [-(2**63), -1, 0, 1, 2**53 + 1, 2**63 - 1]


def test_numbers_are_kept_exactly(store: GitStore, fresh: Fresh) -> None:
    run_id = store.runs.create("0", owner=True).run_id
    points = [
        (step, 2**40 + i, value)
        for i, (value, step) in enumerate((v, s) for v in VALUES for s in STEPS)
    ]
    for at, (step, when, value) in enumerate(points):
        if at % 2:
            store.runs.log_metric(run_id, "m", value, when, step)
        else:
            store.runs.log_batch(run_id, metrics=[Metric("m", value, when, step)])
    for i, value in enumerate(VALUES):
        store.runs.log_metric(run_id, f"v{i}", value, 1, 1)
    for state in ("going", "ended"):
        other = fresh(store.repo.worktree)
        assert repr([tuple(p) for p in other.runs.history(run_id, "m")]) == repr(points), state
        got = [other.runs.get(run_id).data.metrics[f"v{i}"] for i in range(len(VALUES))]
        assert repr(got) == repr(VALUES), state
        # SQLite has no negative zero: a search shows it as 0.
        got = [other.search_runs(None)[0].data.metrics[f"v{i}"] for i in range(len(VALUES))]
        assert repr(got) == repr([value + 0.0 for value in VALUES]), state
        if state == "going":
            store.runs.finish(run_id, "FINISHED")
    store.runs.log_metric(run_id, "late", math.inf, 1, 1)  # as a commit on top
    assert store.runs.get(run_id).data.metrics["late"] == math.inf


@pytest.mark.parametrize("step", [2**63, -(2**63) - 1, math.nan, "x", None])
def test_steps_that_dont_fit(store: GitStore, step: Any) -> None:
    run_id = store.runs.create("0", owner=True).run_id
    with pytest.raises(InvalidParameterValue):
        store.runs.log_batch(run_id, metrics=[Metric("m", 1.0, 1, step)])


@pytest.mark.parametrize("when", [2**70, -1, math.inf, "now"])
def test_times_that_dont_fit(store: GitStore, when: Any) -> None:
    with pytest.raises(InvalidParameterValue):
        store.runs.create("0", start_time=when)
    run_id = store.runs.create("0").run_id
    with pytest.raises(InvalidParameterValue):
        store.runs.terminate(run_id, "FINISHED", when)
    store.runs.terminate(run_id, "FINISHED", 1_700_000_000_000.7)  # type: ignore[arg-type]
    assert store.search_runs(None)[0].info.end_time == 1_700_000_000_000


# -- params


def test_a_param_with_another_value(store: GitStore, fresh: Fresh) -> None:
    run_id = store.runs.create("0", owner=True).run_id
    store.runs.log_batch(run_id, params=[Param("p", 1)])
    store.runs.log_batch(run_id, params=[Param("p", 1)])
    other = fresh(store.repo.worktree)
    for where in (store, other):
        with pytest.raises(InvalidParameterValue, match="already logged"):
            where.runs.log_batch(run_id, params=[Param("q", 5), Param("p", 2)])
    with pytest.raises(InvalidParameterValue):
        store.runs.log_batch(run_id, params=[Param("r", 1), Param("r", 2)])
    other.runs.log_batch(run_id, params=[Param("theirs", 1)])
    with pytest.raises(InvalidParameterValue):
        store.runs.log_batch(run_id, params=[Param("theirs", 2)])
    other.close()
    store.runs.finish(run_id, "FINISHED")
    with pytest.raises(InvalidParameterValue, match="already logged"):
        store.runs.log_batch(run_id, params=[Param("p", 2)])
    store.runs.log_batch(run_id, params=[Param("p", 1), Param("late", 1)])
    assert store.runs.get(run_id).data.params == {"p": "1", "theirs": "1", "late": "1"}


def test_two_values_at_once_keep_one_and_tell(store: GitStore) -> None:
    run_id = store.runs.create("0", owner=True).run_id
    folder = store.runs.committer.folder(run_id)
    other = Writer(folder, run_id, owner=False)
    store.runs.log_batch(run_id, params=[Param("p", 1)])
    other.append(journal.line("p", "p", "2"))
    other.close()
    store.runs.finish(run_id, "FINISHED")
    found = store.runs.record(run_id)
    assert found.params["p"] in ("1", "2")
    assert "param p" in found.source["problems"][0]


def test_long_values(store: GitStore, monkeypatch: pytest.MonkeyPatch) -> None:
    run_id = store.runs.create("0", owner=True).run_id
    with pytest.raises(InvalidParameterValue, match="6001"):
        store.runs.log_batch(run_id, params=[Param("p", "x" * 6001)])
    store.runs.log_batch(run_id, params=[Param("p", "x" * 6000)])
    with pytest.raises(InvalidParameterValue):
        store.runs.set_tag(run_id, "t", "x" * 8001)
    monkeypatch.setenv("MLFLOW_TRUNCATE_LONG_VALUES", "true")
    store.runs.log_batch(run_id, params=[Param("cut", "é" * 7000)])
    store.runs.finish(run_id, "FINISHED")
    assert len(store.runs.get(run_id).data.params["cut"]) == 6000


def test_a_batch_is_all_or_nothing(store: GitStore) -> None:
    run_id = store.runs.create("0", owner=True).run_id
    for bad in (
        {"metrics": [Metric("ok", 1.0, 1, 1), Metric("bad\n", 1.0, 1, 1)]},
        {"tags": [RunTag("ok", "1"), RunTag("bad", "\ud800")]},
        {"metrics": [Metric("ok", 1.0, 1, 1)], "params": [Param("p", "x" * 7000)]},
    ):
        with pytest.raises(InvalidParameterValue):
            store.runs.log_batch(run_id, **bad)  # type: ignore[arg-type]
    run = store.runs.get(run_id)
    assert run.data.metrics == {} and run.data.params == {} and "ok" not in run.data.tags


def test_resumed_while_it_goes_on_elsewhere(store: GitStore, fresh: Fresh) -> None:
    run_id = store.runs.create("0", owner=True).run_id
    other = fresh(store.repo.worktree)
    other.runs.join(run_id, owner=True)
    store.runs.log_metric(run_id, "a", 1.0, 1, 1)
    other.runs.log_metric(run_id, "b", 1.0, 1, 1)
    store.runs.finish(run_id, "FINISHED")
    assert other.runs.get(run_id).info.status == "RUNNING"
    other.runs.log_metric(run_id, "b", 2.0, 1, 2)
    other.runs.finish(run_id, "FINISHED")
    run = fresh(store.repo.worktree).runs.get(run_id)
    assert (run.info.status, run.data.metrics) == ("FINISHED", {"a": 1.0, "b": 2.0})


# -- a damaged journal


@pytest.fixture
def dead(store: GitStore) -> Callable[[], tuple[str, str]]:
    """Makes a run whose process died: (run id, its journal)."""

    def make() -> tuple[str, str]:
        run_id = store.runs.create("0", run_name="dead", owner=True).run_id
        for step in range(6):
            store.runs.log_metric(run_id, "m", float(step), 1000, step)
        writer = store.runs._open.pop(run_id).writer
        writer.close()
        return run_id, writer.path

    return make


def _steps(store: GitStore, run_id: str) -> list[int]:
    return [p.step for p in store.runs.history(run_id, "m")]


def _rewrite(path: str, data: bytes) -> None:
    with open(path, "r+b") as f:
        f.truncate()
        f.write(data)


def test_journal_truncated_at_every_byte(dead: Any, tmp_path: Path) -> None:
    _, path = dead()
    data = Path(path).read_bytes()
    whole = [r for r, _ in journal.parse(data)]
    copy = tmp_path / "j" / "x.jnl"
    copy.parent.mkdir()
    for cut in range(len(data) + 1):
        copy.write_bytes(data[:cut])
        found = journal.read(str(copy.parent), copy.name)
        lines = data[:cut].count(b"\n")
        expected = [r for r in whole[:lines] if r and r[0] != "open"]
        assert found.records == expected
        assert bool(found.damaged) == (cut > 0 and data[cut - 1 : cut] != b"\n")


@pytest.mark.parametrize("garbage", [b"\0" * 100, b"garbage", b"\n\n\xff\xfe\n", b"00000000 []\n"])
def test_journal_with_garbage_behind(
    store: GitStore, fresh: Fresh, dead: Any, garbage: bytes
) -> None:
    run_id, path = dead()
    with open(path, "ab") as f:
        f.write(garbage)
    other = fresh(store.repo.worktree)
    assert other.search_runs(None)[0].info.status == "FAILED"
    assert _steps(other, run_id) == list(range(6))
    assert other.runs.record(run_id).source["damaged_journal_lines"] >= 1


def test_journal_with_flipped_bytes(store: GitStore, fresh: Fresh, dead: Any) -> None:
    chance = random.Random(7)
    for _ in range(25):
        run_id, path = dead()
        data = bytearray(Path(path).read_bytes())
        start = data.index(b"\n", data.index(b"\n") + 1) + 1  # behind "open" and "run"
        at = chance.randrange(start, len(data))
        data[at] ^= 1 << chance.randrange(8)
        hit = bytes(data[:at]).count(b"\n") - 2
        _rewrite(path, bytes(data))
        other = fresh(store.repo.worktree)
        other.runs.recover()
        left = _steps(other, run_id)
        # The line, and the one behind it where it was the newline between them.
        assert set(range(6)) - set(left) <= {hit, hit + 1}
        assert other.runs.get(run_id).info.status == "FAILED"
        assert len(left) == 6 or other.runs.record(run_id).source["damaged_journal_lines"] >= 1
        other.close()


def test_a_journal_whose_beginning_is_damaged_isnt_thrown_away(
    store: GitStore, fresh: Fresh, dead: Any
) -> None:
    run_id, path = dead()
    data = (
        Path(path).read_bytes().replace(b'["run"', b'["rum"', 1).replace(b'["open"', b'["opem"', 1)
    )
    _rewrite(path, data)
    os.utime(path, (1, 1))
    other = fresh(store.repo.worktree)
    other.runs.recover()
    other.search_runs(None)
    assert Path(path).read_bytes() == data


def test_empty_and_foreign_journals(store: GitStore, fresh: Fresh, dead: Any) -> None:
    root = Path(store.repo.state_dir, "journal")
    run_id, _ = dead()
    for name, content in {
        "empty/a.jnl": b"",
        "odd name/b.jnl": b"x",
        "c/d.jnl": b"\xff" * 50,
    }.items():
        (root / name).parent.mkdir(parents=True)
        (root / name).write_bytes(content)
        os.utime(root / name, (1, 1))
    (root / "file").write_bytes(b"?")
    (root / "folder" / "x.jnl").mkdir(parents=True)
    shape = root / "shape" / "e.jnl"
    shape.parent.mkdir()
    shape.write_bytes(
        journal.line("run", 5) + journal.line("m") + journal.line("open", []) + journal.line(7)
    )
    other = fresh(store.repo.worktree)
    assert [r.info.run_id for r in other.search_runs(None)] == [run_id]
    assert finished(other)


def test_a_journal_of_tomorrow(store: GitStore, fresh: Fresh, dead: Any) -> None:
    run_id, path = dead()
    data = Path(path).read_bytes()
    opening = json.loads(data.split(b"\n")[0][9:])
    opening[1]["format"] = 2
    _rewrite(path, journal.line(*opening) + data.split(b"\n", 1)[1])
    fine, _ = dead()
    other = fresh(store.repo.worktree)
    assert [r.info.run_id for r in other.search_runs(None)] == [fine]
    with pytest.raises(Unsupported, match="format 2"):
        other.runs.get(run_id)
    assert os.path.exists(path)


def test_a_clock_that_jumps_back(
    store: GitStore, monkeypatch: pytest.MonkeyPatch, fresh: Fresh
) -> None:
    run_id = store.runs.create("0", owner=True).run_id
    store.runs.log_metric(run_id, "m", 1.0, 1000, 0)
    real = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: real() - 3_600_000_000_000)
    store.runs.set_tag(run_id, "a", "1")
    store.runs.finish(run_id, "FINISHED")
    assert fresh(store.repo.worktree).search_runs(None)[0].info.status == "FINISHED"
    second = finished(store, m=1.0)
    assert {r.info.run_id for r in fresh(store.repo.worktree).search_runs(None)} == {run_id, second}


# -- a damaged index


def _bad_index(path: Path, kind: str) -> None:
    for file in path.parent.glob("index.sqlite*"):
        file.unlink()
    if kind == "directory":
        path.mkdir()
    elif kind == "foreign":
        with sqlite3.connect(path) as connection:
            connection.execute("CREATE TABLE somebody(elses TEXT)")
    elif kind == "version":
        with sqlite3.connect(path) as connection:
            connection.execute("PRAGMA user_version=99")
    elif kind == "same version":
        with sqlite3.connect(path) as connection:
            connection.execute("CREATE TABLE runs(x)")
            connection.execute(f"PRAGMA user_version={INDEX_VERSION}")
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "text":
        path.write_bytes(b"not a database at all" * 100)
    elif kind == "dangling link":
        path.symlink_to("/nowhere/at/all")


@pytest.mark.parametrize(
    "kind",
    ["directory", "foreign", "version", "same version", "empty", "text", "dangling link"],
)
def test_bad_index_files(store: GitStore, fresh: Fresh, kind: str) -> None:
    made = {finished(store, m=float(i)) for i in range(3)}
    assert len(store.search_runs(None)) == 3
    store.index.close()
    _bad_index(Path(store.index.path), kind)
    other = fresh(store.repo.worktree)
    assert {r.info.run_id for r in other.search_runs(None, "metrics.m >= 0")} == made
    assert other.runs.get(next(iter(made)))
    assert len(other.search_runs(None)) == 3


def test_truncated_index(store: GitStore, fresh: Fresh) -> None:
    made = {finished(store, m=float(i)) for i in range(10)}
    store.search_runs(None)
    store.index.connection().execute("PRAGMA wal_checkpoint(TRUNCATE)")
    store.index.close()
    path = Path(store.index.path)
    data = path.read_bytes()
    for cut in [10, 99, 100, 512, 4096, 5000, len(data) // 2, len(data) - 100]:
        for file in path.parent.glob("index.sqlite-*"):
            file.unlink()
        path.write_bytes(data[:cut])
        other = fresh(store.repo.worktree)
        assert {r.info.run_id for r in other.search_runs(None)} == made, cut
        assert len(other.search_runs(None, "metrics.m > 4.5")) == 5
        other.close()


def test_index_damaged_while_open(store: GitStore) -> None:
    made = {finished(store, m=float(i)) for i in range(3)}
    store.search_runs(None)
    store.index.connection().execute("DROP TABLE metrics")
    assert {r.info.run_id for r in store.search_runs(None, "metrics.m >= 0")} == made


# -- a repository that can't be written to

_READ_ONLY = """
import os, sys, tempfile
import mlgit
from mlgit.exceptions import PermissionDenied
# Import all that is imported when it is needed: the other user may not read this Python.
here = os.getcwd()
with tempfile.TemporaryDirectory() as folder:
    mlgit.set_tracking_uri("sqlite:///" + folder + "/warm")
    with mlgit.start_run():
        mlgit.log_text("x", "x.txt")
    mlgit.search_runs()
    mlgit.tracking.uri.close_all()
mlgit.set_tracking_uri(here)
with open(".git/HEAD"):
    pass
from mlgit.git.snapshot import Snapshotter
from mlgit.git import Repository
Snapshotter(Repository.open(sys.argv[2])).take()
if os.geteuid() == 0:
    os.setgid(65534); os.setuid(65534)
runs = mlgit.search_runs(output_format="list")
assert len(runs) == 3, runs
assert {r.info.status for r in runs} == {"FINISHED", "FAILED"}, runs
assert mlgit.get_run(runs[0].info.run_id).info.run_id == runs[0].info.run_id
client = mlgit.MlgitClient()
for do in (
    lambda: mlgit.start_run(),
    lambda: client.create_experiment("x"),
    lambda: client.set_tag(sys.argv[1], "a", "b"),
    lambda: client.delete_run(sys.argv[1]),
    lambda: client.log_text(sys.argv[1], "a", "a.txt"),
    lambda: client._store.repo.refs.pack("refs/mlgit/"),
):
    try:
        do()
    except PermissionDenied as error:
        assert error.hint
    else:
        raise AssertionError("written")
print("fine")
"""


@pytest.mark.parametrize("with_index", [True, False])
def test_read_only_repository(
    python: Any, repo_dir: Path, fresh: Fresh, git: Git, with_index: bool
) -> None:
    import tempfile

    # Not below pytest's folder, which others can't enter.
    top = Path(tempfile.mkdtemp())
    try:
        top.chmod(0o755)
        repo = top / "repo"
        repo.mkdir()
        git(repo, "init", "-q", "-b", "main", ".")
        git(repo, "commit", "-q", "--allow-empty", "-m", "first")
        store = fresh(repo)
        run_id = finished(store, m=1.0)
        finished(store, m=2.0)
        if with_index:
            store.search_runs(None)
        dying = store.runs.create("0", owner=True).run_id
        store.runs._open.pop(dying).writer.close()
        store.close()
        for folder, _, files in os.walk(top):
            for name in [folder, *(os.path.join(folder, f) for f in files)]:
                os.chmod(
                    name, os.stat(name).st_mode & ~0o222 | 0o044 | (0o111 if name == folder else 0)
                )
        env = {"GIT_CONFIG_COUNT": "0", "HOME": "/nonexistent"}
        assert python(_READ_ONLY, run_id, str(repo_dir), cwd=repo, env=env).stdout.strip() == "fine"
    finally:
        for folder, _, _ in os.walk(top):
            os.chmod(folder, 0o755)
        shutil.rmtree(top, ignore_errors=True)


# -- a full disk


class FullDisk:
    """``os.write`` runs out of space after some bytes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, room: int) -> None:
        self.room = room
        self.real = os.write
        monkeypatch.setattr(os, "write", self.write)

    def write(self, fd: int, data: Any) -> int:
        size = len(data)
        if self.room <= 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        taken = self.real(fd, bytes(data)[: self.room] if size > self.room else data)
        self.room -= taken
        return taken


@pytest.mark.parametrize("room", [0, 1, 7, 30, 55, 80, 119, 150])
def test_disk_full_while_logging(
    store: GitStore, fresh: Fresh, monkeypatch: pytest.MonkeyPatch, room: int
) -> None:
    run_id = store.runs.create("0", owner=True).run_id
    with monkeypatch.context() as patch:
        FullDisk(patch, room)
        told = 0
        with pytest.raises(StorageError) as caught:
            for step in range(100):
                store.runs.log_metric(run_id, "m", float(step), 1000, step)
                told = step + 1
        assert "free some space" in caught.value.hint
        assert caught.value.error_code == "RESOURCE_EXHAUSTED"
        assert _steps(fresh(store.repo.worktree), run_id) == list(range(told))
    store.runs.log_metric(run_id, "m", -1.0, 1000, 1000)
    store.runs.finish(run_id, "FINISHED")
    assert _steps(store, run_id) == [*range(told), 1000]
    assert store.runs.get(run_id).info.status == "FINISHED"


@pytest.mark.parametrize("room", [0, 20, 100, 200, 400, 800, 1200])
def test_disk_full_while_committing(
    store: GitStore, fresh: Fresh, git: Git, monkeypatch: pytest.MonkeyPatch, room: int
) -> None:
    where = store.repo.worktree
    run_id = store.runs.create("0", owner=True).run_id
    for step in range(40):
        store.runs.log_metric(run_id, f"m{step % 7}", step / 3, 1000, step)
    with monkeypatch.context() as patch:
        FullDisk(patch, room)
        with pytest.raises(StorageError) as caught:
            store.runs.finish(run_id, "FINISHED")
        assert caught.value.hint
    other = fresh(where)
    [run] = other.search_runs(None)
    if room > 60:  # the end was written
        assert run.info.status == "FINISHED"
        assert other.runs.find_ref(run_id)
    else:
        assert run.info.status == "RUNNING"  # its process lives, and may end it yet
        store.runs.finish(run_id, "FINISHED")
        assert other.runs.get(run_id).info.status == "FINISHED"
    assert len(other.runs.history(run_id, "m3")) == 6
    git(where, "fsck", "--strict", "--no-dangling")


def test_a_really_full_disk(git: Git, tmp_path: Path, fresh: Fresh) -> None:
    place = tmp_path / "small"
    place.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", place], capture_output=True, check=False
    )
    if done.returncode:
        pytest.skip("may not mount")
    try:
        git(place, "init", "-q", ".")
        store = fresh(place)
        run_id = store.runs.create("0", owner=True).run_id
        told = 0
        with pytest.raises(StorageError):
            for step in range(1_000_000):
                store.runs.log_batch(run_id, params=[Param(f"p{step}", "x" * 5000)])
                told = step + 1
        assert told > 100
        with pytest.raises(StorageError):
            store.runs.finish(run_id, "FINISHED")
            raise AssertionError("there was room")
        with pytest.raises(StorageError):
            store.log_bytes(run_id, os.urandom(1 << 20), "big")
        subprocess.run(["mount", "-o", "remount,size=30m", place], check=True)
        store.runs.finish(run_id, "FINISHED")
        other = fresh(place)
        assert len(other.runs.get(run_id).data.params) == told
        assert other.search_runs(None)[0].info.status == "FINISHED"
        other.close()
        store.close()
    finally:
        subprocess.run(["umount", "-l", place], check=False)


# -- records that others made


def _record_commit(git: Git, where: Any, run_id: str, files: dict[str, bytes]) -> str:
    """A run's commit made by hand, and its ref."""
    listing = b""
    for name, data in sorted(files.items()):
        sha = git(where, "hash-object", "-w", "--stdin", data=data)
        listing += f"100644 blob {sha}\t{name}\n".encode()
    tree = git(where, "mktree", data=listing)
    for name in ("Default", "experiments", ".mlgit"):
        tree = git(where, "mktree", data=f"040000 tree {tree}\t{name}\n".encode())
    message = f"made by hand\n\nMlgit-Run: {run_id}\nMlgit-Record: .mlgit/experiments/Default\n"
    sha = git(where, "commit-tree", tree, data=message.encode())
    git(where, "update-ref", f"refs/mlgit/runs/0/{run_id}", sha)
    return sha


GOOD = b'format: 1\nrun_id: bad\nrun_name: x\nexperiment_id: "0"\nstatus: FINISHED\n'
EVIL = b"!!python/object/apply:os.system ['touch /tmp/mlgit-was-here']\n"
BAD_FILES: dict[str, dict[str, bytes]] = {
    "object in run": {"run.yaml": GOOD + b"user: " + EVIL},
    "object in params": {"run.yaml": GOOD, "params.yaml": b"a: " + EVIL},
    "object new": {"run.yaml": GOOD + b"user: !!python/name:os.system\n"},
    "bomb": {
        "run.yaml": GOOD
        + b"a: &a [x,x,x,x,x,x,x,x,x]\n"
        + b"".join(
            b"%c: &%c [%s]\n" % (c + 1, c + 1, b",".join([b"*%c" % c] * 9)) for c in range(97, 107)
        )
    },
    "deep flow": {"run.yaml": GOOD + b"a: " + b"[" * 5000 + b"]" * 5000 + b"\n"},
    "deep block": {
        "run.yaml": GOOD + b"".join(b" " * i + b"a:\n" for i in range(500)) + b" " * 500 + b"a: 1\n"
    },
    "deep narrow": {
        "run.yaml": GOOD
        + b"".join(b"  " * i + b"a:\n" for i in range(3000))
        + b"  " * 3000
        + b"a: 1\n"
    },
    "not utf-8": {"run.yaml": GOOD + b"user: \xff\xfe\n"},
    "utf-16": {"run.yaml": GOOD.decode().encode("utf-16")},
    "empty": {"run.yaml": b""},
    "list": {"run.yaml": b"- 1\n- 2\n"},
    "no run.yaml": {"params.yaml": b"a: b\n"},
    "another run's": {"run.yaml": GOOD.replace(b"bad", b"other")},
    "newer": {"run.yaml": GOOD.replace(b"format: 1", b"format: 2")},
    "no format": {"run.yaml": GOOD.replace(b"format: 1\n", b"")},
    "format text": {"run.yaml": GOOD.replace(b"format: 1", b"format: one")},
    "huge time": {"run.yaml": GOOD + b"start_time: 99999999999999999999999\n"},
    "bool time": {"run.yaml": GOOD + b"start_time: true\n"},
    "bad date": {"run.yaml": GOOD + b"start_time: 2001-99-99\n"},
    "month 13": {"run.yaml": GOOD + b'start_time: "2001-13-01T00:00:00Z"\n'},
    "huge int": {"run.yaml": GOOD + b"x: " + b"9" * 6000 + b"\n"},
    "bad tag int": {"run.yaml": GOOD + b"x: !!int zero\n"},
    "bad tag bool": {"run.yaml": GOOD + b"x: !!bool maybe\n"},
    "bad tag time": {"run.yaml": GOOD + b"x: !!timestamp never\n"},
    "surrogate": {"run.yaml": GOOD + b'user: "\\ud800"\n'},
    "tags list": {"run.yaml": GOOD + b"tags:\n  - a\n"},
    "source number": {"run.yaml": GOOD + b"source: 5\n"},
    "params list": {"run.yaml": GOOD, "params.yaml": b"a:\n  - b\n"},
    "metrics text": {"run.yaml": GOOD, "metrics.yaml": b"a: high\n"},
    "metrics huge": {"run.yaml": GOOD, "metrics.yaml": b"a: " + b"9" * 400 + b"\n"},
    "metrics null": {"run.yaml": GOOD, "metrics.yaml": b"a:\n"},
    "artifacts list": {"run.yaml": GOOD, "artifacts.yaml": b"format: 1\nartifacts:\n  - a\n"},
    "artifacts climb": {
        "run.yaml": GOOD,
        "artifacts.yaml": b'format: 1\nartifacts:\n  "../x": {sha256: '
        + b"a" * 64
        + b", size: 1}\n",
    },
    "artifacts size": {
        "run.yaml": GOOD,
        "artifacts.yaml": b"format: 1\nartifacts:\n  x: {sha256: " + b"a" * 64 + b", size: .inf}\n",
    },
    "inputs nested": {
        "run.yaml": GOOD,
        "inputs.yaml": b"format: 1\ndatasets:\n  - name:\n      a: b\n",
    },
    "inputs tags": {
        "run.yaml": GOOD,
        "inputs.yaml": b"format: 1\ndatasets:\n  - name: a\n    tags:\n      - b\n",
    },
    "inputs newer": {"run.yaml": GOOD, "inputs.yaml": b"format: 7\n"},
}


@pytest.mark.parametrize("kind", BAD_FILES)
def test_bad_records(store: GitStore, fresh: Fresh, git: Git, kind: str) -> None:
    """That run is a problem; the others aren't touched by it."""
    shutil.rmtree("/tmp/mlgit-was-here", ignore_errors=True)
    where = store.repo.worktree
    fine = finished(store, m=1.0)
    _record_commit(git, where, "bad", BAD_FILES[kind])
    other = fresh(where)
    assert [r.info.run_id for r in other.search_runs(None)] == [fine]
    [(ref, _, message)] = other.problems()
    assert ref == "refs/mlgit/runs/0/bad" and message
    with pytest.raises((CorruptData, Unsupported)) as caught:
        other.runs.get("bad")
    if kind in ("newer", "inputs newer"):
        assert isinstance(caught.value, Unsupported) and "upgrade" in caught.value.hint
    with pytest.raises((CorruptData, Unsupported)):
        other.runs.set_tag("bad", "a", "b")
    assert not os.path.exists("/tmp/mlgit-was-here")
    git(where, "update-ref", "-d", "refs/mlgit/runs/0/bad")
    time.sleep(0.06)
    assert other.problems() == []
    assert [r.info.run_id for r in other.search_runs(None)] == [fine]


def test_records_that_others_wrote_in_their_own_yaml(
    store: GitStore, git: Git, fresh: Fresh
) -> None:
    """Any YAML of the same content is taken, and what isn't known is kept."""
    where = store.repo.worktree
    run = (
        b"%YAML 1.1\n---\n{format: 1, run_id: 'other', run_name: 2026-03-01, status: FINISHED,\n"
        b" start_time: '2026-03-01T12:00:00.123456Z', tags: {n: 5, d: 2026-03-01, on: true},\n"
        b" new_thing: {a: [1, 2]}}\n"
    )
    files = {
        "run.yaml": run,
        "params.yaml": b"lr: 0.01\nday: 2026-03-01\nflag: yes\nnothing: ~\nraw: !!binary aGk=\n",
        "metrics.yaml": b"a: 5\nb: 1e3\nc: '0.5'\nd: -.INF\n",
        "inputs.yaml": b"format: 1\ndatasets: [{name: 5, digest: 8, tags: {a: 1}}]\n",
    }
    _record_commit(git, where, "other", files)
    other = fresh(where)
    [found] = other.search_runs(None)
    assert other.problems() == []
    assert found.info.run_name == "2026-03-01"
    assert found.info.start_time == 1772366400123
    assert found.data.params["lr"] == "0.01" and found.data.params["day"] == "2026-03-01"
    assert found.data.metrics == {"a": 5.0, "b": 1000.0, "c": 0.5, "d": -math.inf}
    assert found.inputs.dataset_inputs[0].dataset.name == "5"
    other.runs.set_tag("other", "late", "1")
    text = git(where, "show", "refs/mlgit/runs/0/other:.mlgit/experiments/Default/run.yaml")
    assert "new_thing:" in text and "late:" in text


def test_bad_experiments(store: GitStore, fresh: Fresh, git: Git) -> None:
    where = store.repo.worktree
    fine = store.experiments.create("fine")
    for at, data in enumerate(
        [
            b"name: " + EVIL,
            b"",
            b"format: 2\nexperiment_id: '1'\nname: x\n",
            b"[]",
            b"\xff",
            b"format: 1\nexperiment_id: '77'\nname: x\n",
            b"format: 1\nname: x\nexperiment_id: '106'\ncreation_time: 99999999999999999999\n",
            b"format: 1\nname: x\nexperiment_id: '107'\ntags: [a]\n",
        ]
    ):
        sha = git(where, "hash-object", "-w", "--stdin", data=data)
        tree = git(where, "mktree", data=f"100644 blob {sha}\texperiment.yaml\n".encode())
        git(
            where,
            "update-ref",
            f"refs/mlgit/experiments/{100 + at}",
            git(where, "commit-tree", tree, "-m", "x"),
        )
    other = fresh(where)
    assert {e.experiment_id for e in other.search_experiments()} == {"0", fine}
    assert len(other.problems()) == 8
    assert not os.path.exists("/tmp/mlgit-was-here")
    for at in range(8):
        with (
            pytest.raises((CorruptData, Unsupported)) if at != 5 else pytest.raises(MlgitException)
        ):
            other.experiments.get(str(100 + at))
            raise CorruptData("held by another")
    assert finished(other)


YAML = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.dates()
    | st.binary(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=8) | st.integers(), inner, max_size=4)
    ),
    max_leaves=10,
)
KEYS = st.sampled_from(
    [
        "format",
        "run_id",
        "run_name",
        "experiment_id",
        "status",
        "start_time",
        "end_time",
        "source",
        "tags",
        "parent_run_id",
        "datasets",
        "artifacts",
        "name",
        "creation_time",
        "x",
    ]
)


@settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.dictionaries(KEYS, YAML, max_size=6), st.booleans(), st.binary(max_size=30))
def test_any_yaml_gives_a_record_or_an_error_of_ours(
    data: dict[str, Any], versioned: bool, noise: bytes
) -> None:
    import yaml

    if versioned:
        data = {"run_id": "r", "experiment_id": "1", "name": "n", **data, "format": 1}
    text = yaml.safe_dump(data, allow_unicode=True).encode("utf-8", "surrogatepass")
    for content in (text, text + noise, noise):
        for parse in (
            record.parse_run,
            record.parse_params,
            record.parse_metrics,
            record.parse_inputs,
            record.parse_artifacts,
            record.parse_environment,
            record.parse_history,
            experiment_record.parse_experiment,
        ):
            try:
                found = parse(content, "the file")
            except (CorruptData, Unsupported):
                continue
            if isinstance(found, record.Record):
                assert record.parse_run(record.format_run(found), "again").run_id == found.run_id


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet=" -:{}[]\"'&*!|>%@`#,\n\tabn01.~?\\\ud800\u2028é", max_size=60))
def test_any_text_as_yaml(text: str) -> None:
    try:
        yamlform.load(text.encode("utf-8", "surrogatepass"), "x")
    except CorruptData:
        pass


# -- refs


def test_bad_refs(store: GitStore, fresh: Fresh, git: Git) -> None:
    where = store.repo.worktree
    fine = finished(store, m=1.0)
    blob = git(where, "hash-object", "-w", "--stdin", data=b"blob")
    git(where, "tag", "-a", "-m", "x", "v1")
    refs = Path(store.repo.common_dir, "refs/mlgit/runs/0")
    bad = {
        "missing": "1" * 40,
        "blob": blob,
        "tag": git(where, "rev-parse", "v1"),
        "code": git(where, "rev-parse", "HEAD"),
        "empty": "",
        "text": "hello",
        "nul": "\0" * 41,
    }
    for name, content in bad.items():
        (refs / name).write_text(content + "\n" if content else "")
    (refs / "folder").mkdir()
    (refs / "folder" / "deep").write_text(bad["code"] + "\n")
    (refs.parent / "loose").write_text(bad["code"] + "\n")
    (refs / "stale.lock").write_text("")
    archive = Path(store.repo.common_dir, "refs/mlgit/archive")
    archive.mkdir()
    (archive / "0").write_text(bad["code"] + "\n")
    (archive / "1").write_text(blob + "\n")
    experiments = Path(store.repo.common_dir, "refs/mlgit/experiments")
    experiments.mkdir(exist_ok=True)
    (experiments / "5").write_text("")
    (experiments / "6").write_text(bad["code"] + "\n")
    other = fresh(where)
    for _ in range(2):
        assert [r.info.run_id for r in other.search_runs(None)] == [fine]
        assert len(other.search_experiments()) == 1
        told = {ref for ref, _, _ in other.problems()}
        assert {f"refs/mlgit/runs/0/{name}" for name in bad} <= told
        assert {"refs/mlgit/archive/0", "refs/mlgit/archive/1", "refs/mlgit/experiments/5"} <= told
        for name in bad:
            with pytest.raises(MlgitException):
                other.runs.get(name)
        with pytest.raises(MlgitException, match="not found"):
            other.runs.get("unheard-of")
        other.index.discard()
    second = finished(other)
    other.repo.refs.pack("refs/mlgit/")
    shutil.rmtree(refs / "folder")
    for path in [
        *(refs / n for n in bad),
        refs.parent / "loose",
        *archive.iterdir(),
        *experiments.iterdir(),
    ]:
        path.unlink(missing_ok=True)
    for ref in git(
        where, "for-each-ref", "--format=%(refname)", "refs/mlgit/", check=False
    ).split():
        if not ref.endswith((fine, second)):
            git(where, "update-ref", "-d", ref)
    time.sleep(0.06)
    assert {r.info.run_id for r in other.search_runs(None)} == {fine, second}
    assert other.problems() == []


def test_stale_locks_are_told(store: GitStore) -> None:
    run_id = finished(store)
    lock = Path(store.repo.common_dir, f"refs/mlgit/runs/0/{run_id}.lock")
    lock.write_text("")
    start = time.monotonic()
    with pytest.raises(Conflict) as caught:
        store.runs.set_tag(run_id, "a", "1")
    assert time.monotonic() - start < 0.5
    assert str(lock) in caught.value.message and "remove the file" in caught.value.hint
    lock.unlink()
    store.runs.set_tag(run_id, "a", "1")


def test_packed_refs_without_the_sorted_header(store: GitStore, git: Git, fresh: Fresh) -> None:
    made = [finished(store) for _ in range(5)]
    git(store.repo.worktree, "pack-refs", "--all")
    path = Path(store.repo.common_dir, "packed-refs")
    for header in (b"", b"# pack-refs with: peeled \n"):
        lines = [line for line in path.read_bytes().splitlines(keepends=True) if line[:1] != b"#"]
        random.Random(3).shuffle(lines)
        path.write_bytes(header + b"".join(lines))
        other = fresh(store.repo.worktree)
        assert {r.info.run_id for r in other.search_runs(None)} == set(made)
        assert other.runs.get(made[2])
        made.append(finished(other))
        other.repo.refs.pack("refs/mlgit/")
        listed = git(
            store.repo.worktree, "for-each-ref", "refs/mlgit/runs/", "--format=%(refname:lstrip=4)"
        )
        assert set(listed.split()) == set(made)


# -- repositories of all kinds


def use(folder: Any, fresh: Fresh) -> GitStore:
    """A run from beginning to end, as a program would do it."""
    mlgit.set_tracking_uri(str(folder))
    with mlgit.start_run() as run:
        mlgit.log_metric("m", 1.0)
        mlgit.log_text("x", "a.txt")
    store = fresh(folder)
    found = store.runs.get(run.info.run_id)
    assert found.info.status == "FINISHED" and found.data.metrics == {"m": 1.0}
    assert store.search_runs(None)[0].info.run_id == run.info.run_id
    return store


def test_other_object_formats(tmp_path: Path, git: Git, repo_dir: Path) -> None:
    git(tmp_path, "init", "-q", "--object-format=sha256", "big")
    with pytest.raises(Unsupported, match="SHA256") as caught:
        Repository.open(str(tmp_path / "big"))
    assert "SHA-1 only" in caught.value.message and caught.value.hint
    git(repo_dir, "config", "core.repositoryformatversion", "1")
    git(repo_dir, "config", "extensions.refStorage", "reftable")
    with pytest.raises(Unsupported, match="reftable"):
        Repository.open(str(repo_dir))
    with pytest.raises(Unsupported):
        mlgit.set_tracking_uri(str(repo_dir))
        mlgit.start_run()


def test_detached_and_unborn_heads(tmp_path: Path, repo_dir: Path, git: Git, fresh: Fresh) -> None:
    git(repo_dir, "checkout", "-q", "--detach")
    store = use(repo_dir, fresh)
    assert store.search_runs(None)[0].data.tags["mlflow.source.git.commit"]
    git(tmp_path, "init", "-q", "-b", "work", "unborn")
    (tmp_path / "unborn" / "a.py").write_text("a\n")
    store = use(tmp_path / "unborn", fresh)
    run_id = store.search_runs(None)[0].info.run_id
    assert git(tmp_path / "unborn", "show", f"refs/mlgit/runs/0/{run_id}:a.py") == "a"
    assert git(tmp_path / "unborn", "rev-list", "--count", f"refs/mlgit/runs/0/{run_id}") == "1"


def test_nobody_is_anybody(repo_dir: Path, python: Any) -> None:
    env = {name: "" for name in os.environ if name.startswith(("GIT_AUTHOR", "GIT_COMMITTER"))}
    code = (
        "import os\n"
        "for n in list(os.environ):\n"
        "    if n.startswith('GIT_') and 'CONFIG' not in n or n in ('HOME','USER','LOGNAME','EMAIL'): del os.environ[n]\n"
        "import mlgit\n"
        "with mlgit.start_run(): pass\n"
        "print(mlgit.search_runs(output_format='list')[0].info.status)\n"
    )
    assert python(code, cwd=repo_dir, env=env).stdout.strip() == "FINISHED"


def test_hooks_are_never_run(repo_dir: Path, fresh: Fresh, tmp_path: Path) -> None:
    hooks = repo_dir / ".git/hooks"
    hooks.mkdir(exist_ok=True)
    for name in (
        "pre-commit",
        "reference-transaction",
        "post-checkout",
        "post-commit",
        "post-index-change",
        "pre-auto-gc",
    ):
        (hooks / name).write_text(f"#!/bin/sh\ntouch {tmp_path}/hooked\nexit 1\n")
        (hooks / name).chmod(0o755)
    store = use(repo_dir, fresh)
    run_id = store.search_runs(None)[0].info.run_id
    store.runs.set_tag(run_id, "a", "1")
    store.experiments.create("x")
    store.repo.refs.pack("refs/mlgit/")
    assert not (tmp_path / "hooked").exists()


def test_linked_worktrees_share_runs(
    repo_dir: Path, git: Git, fresh: Fresh, tmp_path: Path
) -> None:
    git(repo_dir, "worktree", "add", "-q", "-b", "side", str(tmp_path / "side"))
    use(repo_dir, fresh)
    use(tmp_path / "side", fresh)
    assert len(fresh(repo_dir).search_runs(None, run_view_type=ViewType.ALL)) == 2
    assert {e.name for e in fresh(repo_dir).search_experiments()} == {"Default", "side"}


def test_bare_and_submodules_and_git_dir(
    repo_dir: Path, git: Git, fresh: Fresh, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    git(tmp_path, "init", "-q", "--bare", "bare.git")
    use(tmp_path / "bare.git", fresh)
    git(
        repo_dir,
        "-c",
        "protocol.file.allow=always",
        "submodule",
        "--quiet",
        "add",
        str(repo_dir),
        "sub",
    )
    store = use(repo_dir, fresh)
    run_id = store.search_runs(None)[0].info.run_id
    assert git(repo_dir, "ls-tree", f"refs/mlgit/runs/0/{run_id}", "sub").startswith(
        "160000 commit"
    )
    inside = use(repo_dir / "sub", fresh)
    assert inside.repo.common_dir.endswith(".git/modules/sub")
    mlgit.set_tracking_uri(None)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_DIR", str(repo_dir / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(repo_dir))
    with mlgit.start_run():
        pass
    assert len(fresh(repo_dir).search_runs(None)) == 2


@pytest.mark.parametrize(
    "name", ["with space", "Größe 精", "emoji🎉", "a'b\"c", "-dash", os.fsdecode(b"caf\xe9")]
)
def test_odd_paths(tmp_path: Path, repo_dir: Path, fresh: Fresh, python: Any, name: str) -> None:
    odd = tmp_path / name
    shutil.move(repo_dir, odd)
    (odd / "deep/er").mkdir(parents=True)
    (odd / "deep/er/train.py").write_text(
        "import mlgit\nwith mlgit.start_run(): mlgit.log_metric('m', 1)\n"
        "print(len(mlgit.search_runs(output_format='list')))\n"
    )
    code = "import runpy, sys; sys.argv = ['train.py']; runpy.run_path('train.py', run_name='__main__')"
    assert python(code, cwd=odd / "deep/er").stdout.strip() == "1"
    link = tmp_path / "link"
    link.symlink_to(odd)
    store = use(link, fresh)
    assert len(store.search_runs(None)) == 2
    assert store.problems() == []


def test_a_deleted_working_directory(
    repo_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with pytest.raises(NotARepository):
        mlgit.start_run()
    with pytest.raises(NotARepository):
        mlgit.search_runs()
    mlgit.set_tracking_uri(str(repo_dir))
    with mlgit.start_run():
        mlgit.log_metric("m", 1.0)
    assert len(mlgit.search_runs(output_format="list")) == 1


@pytest.fixture(autouse=True)
def _no_traces() -> Iterator[None]:
    yield
    assert not os.path.exists("/tmp/mlgit-was-here")
