"""Many processes and threads at one repository, and at one run."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import mlgit
from mlgit.entities import Param
from mlgit.exceptions import ResourceAlreadyExists
from mlgit.git import Repository
from mlgit.git.refs import RefStore
from mlgit.store import journal
from mlgit.store.gitstore import GitStore
from mlgit.store.journal import Writer

Fresh = Callable[[Any], GitStore]


def open_store(folder: Path) -> GitStore:
    return GitStore(Repository.open(str(folder)))


class Processes:
    """Forked processes; each does its work and says what it has to."""

    def __init__(self) -> None:
        self.pids: dict[int, int] = {}

    def start(self, work: Callable[[], Any]) -> int:
        reading, writing = os.pipe()
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                os.close(reading)
                os.write(writing, json.dumps(work()).encode())
                code = 0
            except BaseException:
                import traceback

                traceback.print_exc()
            os._exit(code)
        os.close(writing)
        self.pids[pid] = reading
        return pid

    def wait(self) -> list[Any]:
        """What they said, in the order of their starts."""
        found = []
        for pid, reading in self.pids.items():
            with os.fdopen(reading, "rb") as f:
                data = f.read()
            _, status = os.waitpid(pid, 0)
            assert os.waitstatus_to_exitcode(status) == 0
            found.append(json.loads(data))
        self.pids = {}
        return found


def _many_runs(folder: Path, who: int, count: int) -> list[str]:
    store = open_store(folder)
    made = []
    for i in range(count):
        run_id = store.runs.create("0", run_name=f"{who}-{i}", owner=True, with_code=True).run_id
        store.runs.log_batch(run_id, params=[Param("who", who), Param("i", i)])
        for step in range(5):
            store.runs.log_metric(run_id, "m", who + step / 10, 1000 + step, step)
        store.log_bytes(run_id, f"{who}/{i}".encode(), "where.txt")
        store.runs.finish(run_id, "FINISHED")
        if i % 5 == 0:
            store.runs.set_tag(run_id, "late", str(i))
        made.append(run_id)
    return made


def _hammer(
    repo_dir: Path, git: Callable[..., str], fresh: Fresh, processes: int, runs: int
) -> None:
    (repo_dir / "train.py").write_text("print('dirty')\n")  # snapshots' refs come and go
    working = Processes()
    for who in range(processes):
        working.start(lambda who=who: _many_runs(repo_dir, who, runs))
    stop = threading.Event()
    refs = RefStore(str(repo_dir / ".git"), str(repo_dir / ".git"))

    def keep_house() -> None:
        while not stop.is_set():
            git(repo_dir, "gc", "-q", check=False)
            git(repo_dir, "pack-refs", "--all", check=False)
            try:
                refs.pack("refs/mlgit/")
            except mlgit.MlgitException:
                pass  # git holds packed-refs

    keeper = threading.Thread(target=keep_house)
    keeper.start()
    try:
        made = working.wait()
    finally:
        stop.set()
        keeper.join()
    store = fresh(repo_dir)
    found = {r.info.run_id: r for r in store.search_runs(None, max_results=50_000)}
    assert len(found) == processes * runs
    for who, ids in enumerate(made):
        for i, run_id in enumerate(ids):
            run = found[run_id]
            assert run.info.status == "FINISHED"
            assert run.data.params == {"who": str(who), "i": str(i)}
            assert run.data.metrics == {"m": who + 0.4}
            assert run.data.tags.get("late") == (str(i) if i % 5 == 0 else None)
            assert [p.step for p in store.runs.history(run_id, "m")] == [0, 1, 2, 3, 4]
            assert store.read_artifact(run_id, "where.txt") == f"{who}/{i}".encode()
    git(repo_dir, "fsck", "--strict", "--no-dangling")
    assert git(repo_dir, "for-each-ref", "refs/mlgit/runs/").count("\n") == len(found) - 1
    assert store.repo.refs.items("refs/mlgit/snapshots/") == {}
    assert git(repo_dir, "for-each-ref", "refs/mlgit/snapshots/") == ""


def test_processes_while_git_packs(repo_dir: Path, git: Callable[..., str], fresh: Fresh) -> None:
    _hammer(repo_dir, git, fresh, 4, 10)


@pytest.mark.slow
def test_many_processes_while_git_packs(
    repo_dir: Path, git: Callable[..., str], fresh: Fresh
) -> None:
    _hammer(repo_dir, git, fresh, 16, 100)


# -- one run, several writers


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_ranks_of_one_run(repo_dir: Path, fresh: Fresh, tmp_path: Path, order: tuple[int]) -> None:
    store = fresh(repo_dir)
    run_id = store.runs.create("0", owner=True).run_id
    statuses = ["FINISHED", "FAILED", "KILLED"]

    def rank(number: int) -> None:
        mlgit.set_tracking_uri(str(repo_dir))
        os.environ["MLGIT_RUN_ID"] = run_id
        assert mlgit.start_run().info.run_id == run_id
        for step in range(50):
            mlgit.log_metric(f"rank{number}", step, step=step)
        mlgit.log_param(f"p{number}", number)
        (tmp_path / f"joined{number}").touch()
        while not (tmp_path / f"end{number}").exists():
            time.sleep(0.002)
        mlgit.end_run(statuses[number])

    working = Processes()
    pids = [working.start(lambda n=n: rank(n)) for n in range(3)]
    while len(list(tmp_path.glob("joined*"))) < 3:
        time.sleep(0.002)
    store.runs.finish(run_id, "FINISHED")
    for number in order:
        assert fresh(repo_dir).runs.get(run_id).info.status == "RUNNING"
        assert store.runs.find_ref(run_id) is None
        (tmp_path / f"end{number}").touch()
        while not _is_over(pids[number]):
            time.sleep(0.002)
    working.wait()
    assert fresh(repo_dir).runs.find_ref(run_id) is not None  # the last one committed
    run = fresh(repo_dir).runs.get(run_id)
    assert run.info.status == "FAILED"
    assert run.data.params == {"p0": "0", "p1": "1", "p2": "2"}
    for number in range(3):
        points = fresh(repo_dir).runs.history(run_id, f"rank{number}")
        assert [p.step for p in points] == list(range(50))


def _is_over(pid: int) -> bool:
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def test_threads_of_one_run(repo_dir: Path, fresh: Fresh) -> None:
    mlgit.set_tracking_uri(str(repo_dir))
    run_id = mlgit.start_run().info.run_id
    errors: list[BaseException] = []
    ends = threading.Barrier(4)

    def work(number: int) -> None:
        try:
            mlgit.start_run(run_id=run_id)
            for step in range(200):
                mlgit.log_metric(f"t{number}", step, step=step)
            ends.wait()
            mlgit.end_run("FAILED" if number == 1 else "FINISHED")
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(3)]
    for thread in threads:
        thread.start()
    ends.wait()
    for thread in threads:
        thread.join()
    assert errors == []
    assert fresh(repo_dir).runs.get(run_id).info.status == "RUNNING"
    mlgit.log_metric("main", 1.0)
    mlgit.end_run()
    run = fresh(repo_dir).runs.get(run_id)
    assert run.info.status == "FAILED"
    for number in range(3):
        assert len(fresh(repo_dir).runs.history(run_id, f"t{number}")) == 200
    assert run.data.metrics["main"] == 1.0


def test_a_thread_logs_while_another_ends_the_run(repo_dir: Path, fresh: Fresh) -> None:
    """Its line goes into the run, and never into a file that got the number of the journal's."""
    store = fresh(repo_dir)
    for attempt in range(5):
        run_id = store.runs.create("0", owner=True).run_id
        told: list[int] = []
        errors: list[BaseException] = []
        stop = threading.Event()

        def work(
            run_id: str = run_id,
            told: list[int] = told,
            stop: Any = stop,
            errors: list[BaseException] = errors,
        ) -> None:
            try:
                while not stop.is_set():
                    store.runs.log_metric(run_id, "m", 1.0, 1, len(told))
                    told.append(len(told))
            except BaseException as error:
                errors.append(error)

        thread = threading.Thread(target=work)
        thread.start()
        while len(told) < 50:
            time.sleep(0.001)
        store.runs.finish(run_id, "FINISHED")
        others = [os.open(repo_dir / f"other{n}", os.O_RDWR | os.O_CREAT) for n in range(5)]
        time.sleep(0.05)
        stop.set()
        thread.join()
        assert errors == [], attempt
        assert [os.fstat(fd).st_size for fd in others] == [0] * 5
        for fd in others:
            os.close(fd)
        points = fresh(repo_dir).runs.history(run_id, "m")
        assert [p.step for p in points] == told


def test_a_closed_writer_writes_nowhere(tmp_path: Path) -> None:
    writer = journal.Writer(str(tmp_path), "r", owner=True)
    writer.append(journal.line("p", "a", "1"))
    writer.close()
    others = [os.open(tmp_path / f"o{n}", os.O_RDWR | os.O_CREAT) for n in range(4)]
    with pytest.raises(journal.WriterClosed):
        writer.append(journal.line("p", "b", "2"))
    assert [os.fstat(fd).st_size for fd in others] == [0] * 4
    assert journal.read(str(tmp_path), writer.name).alive is False


def test_a_reader_that_asks_doesnt_take_the_writers_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether a writer is alive is asked by taking its lock; it must get it all the same."""
    real, asked = journal.fcntl.flock, []

    def flock(fd: int, how: int) -> None:
        if how & fcntl.LOCK_EX and not asked:  # a reader looks right before
            [name] = journal.names(str(tmp_path))
            asked.append(os.open(tmp_path / name, os.O_RDONLY))
            real(asked[0], fcntl.LOCK_SH)
            threading.Timer(0.1, os.close, asked).start()
        real(fd, how)

    monkeypatch.setattr(journal.fcntl, "flock", flock)
    writer = journal.Writer(str(tmp_path), "r", owner=True)
    writer.append(journal.line("p", "a", "1"))
    time.sleep(0.15)
    assert asked and journal.read(str(tmp_path), writer.name).alive
    writer.close()
    assert not journal.read(str(tmp_path), writer.name).alive


# -- the same thing at the same time


def test_two_processes_make_one_experiment(repo_dir: Path, fresh: Fresh, tmp_path: Path) -> None:
    def make(name: str) -> str:
        store = open_store(repo_dir)
        while not (tmp_path / "go").exists():
            pass
        try:
            return "made " + store.experiments.create(name)
        except ResourceAlreadyExists:
            found = store.experiments.by_name(name)
            assert found is not None
            return "found " + found.experiment_id

    for at in range(6):
        working = Processes()
        for _ in range(3):
            working.start(lambda at=at: make(f"e{at}"))
        time.sleep(0.05)
        (tmp_path / "go").touch()
        told = working.wait()
        (tmp_path / "go").unlink()
        assert len({t.split()[1] for t in told}) == 1
        assert sum(t.startswith("made") for t in told) == 1
    assert len(fresh(repo_dir).search_experiments()) == 7


def test_amends_at_once_are_all_kept(repo_dir: Path, fresh: Fresh, git: Callable[..., str]) -> None:
    store = fresh(repo_dir)
    run_id = store.runs.create("0", owner=True).run_id
    store.runs.finish(run_id, "FINISHED")

    def amend(who: int) -> None:
        there = open_store(repo_dir)
        for i in range(15):
            while True:
                try:
                    there.runs.set_tag(run_id, f"t{who}.{i}", "x")
                    break
                except mlgit.exceptions.Conflict:
                    continue

    working = Processes()
    for who in range(4):
        working.start(lambda who=who: amend(who))
    working.wait()
    tags = fresh(repo_dir).runs.record(run_id).tags
    assert set(tags) == {f"t{w}.{i}" for w in range(4) for i in range(15)}
    assert git(repo_dir, "rev-list", "--count", f"refs/mlgit/runs/0/{run_id}") == "61"


def test_an_amend_between_reading_and_writing_is_kept(store: GitStore) -> None:
    """The window of the lost update, hit on purpose."""
    run_id = store.runs.create("0", owner=True).run_id
    store.runs.finish(run_id, "FINISHED")
    other = open_store(Path(store.repo.worktree or ""))
    calls = []

    def change(record: Any) -> None:
        if not calls:
            other.runs.set_tag(run_id, "theirs", "1")
        calls.append(1)
        record.tags["ours"] = "1"

    store.runs.committer.amend(run_id, change)
    assert store.runs.record(run_id).tags == {"theirs": "1", "ours": "1"}
    assert len(calls) == 2


def test_a_commit_of_a_resumed_run_keeps_an_amend(
    store: GitStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlgit.store import committer

    run_id = store.runs.create("0", owner=True).run_id
    store.runs.finish(run_id, "FINISHED")
    store.runs.join(run_id, owner=True)
    store.runs.log_metric(run_id, "m", 1.0, 1, 1)
    other = open_store(Path(store.repo.worktree or ""))
    real, calls = committer.write_commit, []

    def write_commit(*args: Any) -> str:
        calls.append(1)
        if len(calls) == 1:
            other.runs.committer.amend(run_id, lambda r: r.set_tag("theirs", "1"))
        return real(*args)

    monkeypatch.setattr(committer, "write_commit", write_commit)
    store.runs.finish(run_id, "FINISHED")
    record = store.runs.record(run_id)
    assert record.tags == {"theirs": "1"}
    assert store.runs.history(run_id, "m")[0].value == 1.0


def test_a_ref_changed_while_packing_keeps_its_value(
    repo_dir: Path, git: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    refs = RefStore(str(repo_dir / ".git"), str(repo_dir / ".git"))
    first = git(repo_dir, "rev-parse", "HEAD")
    git(repo_dir, "commit", "-q", "--allow-empty", "-m", "second")
    second = git(repo_dir, "rev-parse", "HEAD")
    refs.update("refs/mlgit/runs/0/a", first)
    real, calls = RefStore.loose_items, []

    def loose_items(self: RefStore, *args: Any) -> dict[str, str]:
        found = real(self, *args)
        calls.append(1)
        if len(calls) == 1:  # between the look and the lock
            git(repo_dir, "update-ref", "refs/mlgit/runs/0/a", second)
            git(repo_dir, "pack-refs", "--all")
        return found

    monkeypatch.setattr(RefStore, "loose_items", loose_items)
    refs.pack("refs/mlgit/")
    assert git(repo_dir, "rev-parse", "refs/mlgit/runs/0/a") == second


def test_index_is_brought_up_to_date_by_several(repo_dir: Path, fresh: Fresh) -> None:
    _many_runs(repo_dir, 0, 30)

    def look() -> int:
        store = open_store(repo_dir)
        found = 0
        for _ in range(10):
            found = len(store.search_runs(None))
        return found

    working = Processes()
    for _ in range(4):
        working.start(look)
    working.start(lambda: len(_many_runs(repo_dir, 1, 10)))
    assert all(found >= 30 for found in working.wait()[:4])
    assert len(fresh(repo_dir).search_runs(None)) == 40


def test_threads_search_at_once(repo_dir: Path, fresh: Fresh) -> None:
    _many_runs(repo_dir, 0, 10)
    store = fresh(repo_dir)
    errors: list[BaseException] = []

    def look(number: int) -> None:
        try:
            for _ in range(8):
                if number == 0:
                    run_id = store.runs.create("0", owner=True).run_id
                    store.runs.finish(run_id, "FINISHED")
                assert len(store.search_runs(None)) >= 10
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=look, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert len(store.search_runs(None)) == 18


# -- forks


def test_forked_children_log_and_dont_end_the_run(repo_dir: Path, fresh: Fresh) -> None:
    import multiprocessing

    mlgit.set_tracking_uri(str(repo_dir))
    run_id = mlgit.start_run().info.run_id
    mlgit.search_runs(output_format="list")  # the index is open when the children are made
    mlgit.log_metric("parent", 0.0)
    forking = multiprocessing.get_context("fork")
    children = [forking.Process(target=_child, args=(n,)) for n in range(3)]
    for child in children:
        child.start()
    for child in children:
        child.join()
        assert child.exitcode == 0
    assert fresh(repo_dir).runs.get(run_id).info.status == "RUNNING"
    mlgit.log_metric("parent", 1.0, step=1)
    mlgit.end_run()
    run = fresh(repo_dir).runs.get(run_id)
    assert run.info.status == "FINISHED"
    assert run.data.metrics == {"parent": 1.0, "child0": 9.0, "child1": 9.0, "child2": 9.0}
    assert not os.path.exists(repo_dir / f".git/mlgit/journal/{run_id}")


def _child(number: int) -> None:
    for step in range(10):
        mlgit.log_metric(f"child{number}", step, step=step)
    assert mlgit.search_runs(output_format="list")


def test_the_index_isnt_carried_across_a_fork(repo_dir: Path, fresh: Fresh) -> None:
    store = fresh(repo_dir)
    _many_runs(repo_dir, 0, 2)
    assert len(store.search_runs(None)) == 2
    inherited = []

    def child() -> int:
        inherited.append(store.index._connection)
        return len(store.search_runs(None))

    working = Processes()
    working.start(lambda: [child(), inherited[0] is None])
    assert working.wait() == [[2, True]]
    assert len(store.search_runs(None)) == 2


def test_parent_killed_while_its_child_lives(
    repo_dir: Path, fresh: Fresh, python: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    done = python(
        "import mlgit, os, sys, time, signal\n"
        "run = mlgit.start_run(); mlgit.log_metric('parent', 1.0)\n"
        "r, w = os.pipe()\n"
        "pid = os.fork()\n"
        "if pid == 0:\n"
        "    mlgit.log_metric('child', 1.0)\n"
        "    os.write(w, b'x')\n"
        "    os.close(0); os.close(1); os.close(2)\n"
        "    time.sleep(60); os._exit(0)\n"
        "os.read(r, 1)\n"
        "print(run.info.run_id, pid, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n",
        cwd=repo_dir,
        check=False,
    )
    run_id, pid = done.stdout.split()
    try:
        run = fresh(repo_dir).search_runs(None)[0]
        assert run.info.run_id == run_id
        assert run.info.status == "FAILED"
        assert run.data.metrics == {"parent": 1.0, "child": 1.0}
    finally:
        os.kill(int(pid), signal.SIGKILL)
    for _ in range(100):
        store = fresh(repo_dir)
        store.runs.recover()
        if not os.path.exists(store.runs.committer.folder(run_id)):
            break
        time.sleep(0.02)
    assert fresh(repo_dir).runs.get(run_id).data.metrics == {"parent": 1.0, "child": 1.0}
    assert not os.path.exists(store.runs.committer.folder(run_id))


def test_a_resumed_run_shows_its_true_last_value_while_it_goes(store: GitStore) -> None:
    run_id = store.runs.create("0", owner=True).run_id
    store.runs.log_metric(run_id, "m", 1.0, 1000, 10)
    store.runs.finish(run_id, "FINISHED")
    store.runs.join(run_id, owner=True)
    store.runs.log_metric(run_id, "m", 2.0, 2000, 5)
    assert store.runs.get(run_id).data.metrics == {"m": 1.0}
    assert store.search_runs(None)[0].data.metrics == {"m": 1.0}
    store.runs.finish(run_id, "FINISHED")
    assert store.runs.get(run_id).data.metrics == {"m": 1.0}


def test_nothing_follows_the_end_of_a_journal(
    repo_dir: Path, fresh: Fresh, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Once the line is there another process may commit the journal, and remove it.
    store = fresh(repo_dir)
    run_id = store.runs.create("0", owner=True).run_id
    real = Writer._append
    ending = threading.Event()

    def slow(self: Writer, data: bytes) -> None:
        real(self, data)
        if b'["end",' in data:
            ending.set()
            time.sleep(0.1)  # another thread has all the time to come in between
            other = open_store(repo_dir)
            assert other.runs.get(run_id).info.status == "FINISHED"
            other.search_runs(None)

    monkeypatch.setattr(Writer, "_append", slow)
    thread = threading.Thread(
        target=lambda: (ending.wait(), store.runs.log_metric(run_id, "late", 1.0, 1, 0))
    )
    thread.start()
    store.runs.finish(run_id, "FINISHED")
    thread.join()
    assert fresh(repo_dir).runs.get(run_id).data.metrics == {"late": 1.0}


def test_threads_log_while_the_run_ends_and_another_process_looks(
    repo_dir: Path, fresh: Fresh
) -> None:
    stop = repo_dir.parent / "stop"

    def look() -> None:
        looking = open_store(repo_dir)
        while not stop.exists():
            looking.search_runs(None)

    working = Processes()
    working.start(look)
    for _ in range(15):
        store = fresh(repo_dir)
        run_id = store.runs.create("0", owner=True).run_id
        logged: list[list[int]] = [[], [], []]
        errors: list[BaseException] = []

        def log(
            number: int,
            store: GitStore = store,
            run_id: str = run_id,
            logged: list[list[int]] = logged,
            errors: list[BaseException] = errors,
        ) -> None:
            try:
                for step in range(1500):
                    store.runs.log_metric(run_id, f"m{number}", 1.0, 1, step)
                    logged[number].append(step)
                    if store.runs.find_ref(run_id):
                        return
            except BaseException as error:
                errors.append(error)

        threads = [threading.Thread(target=log, args=(n,)) for n in range(3)]
        for thread in threads:
            thread.start()
        while any(len(steps) < 20 for steps in logged):
            time.sleep(0.001)
        store.runs.finish(run_id, "FINISHED")
        for thread in threads:
            thread.join()
        assert errors == []
        for number, steps in enumerate(logged):
            points = fresh(repo_dir).runs.history(run_id, f"m{number}")
            assert [p.step for p in points] == steps
    stop.touch()
    working.wait()


def test_journals_are_read_in_the_order_of_their_beginnings(repo_dir: Path, fresh: Fresh) -> None:
    store = fresh(repo_dir)
    run_id = store.runs.create("0", owner=True).run_id
    for step in range(12):
        other = fresh(repo_dir)
        other.runs.log_metric(run_id, "m", float(step), 1, step)
        other.runs.log_batch(run_id, params=[Param(f"p{step}", step)])
        other.runs.release_all()
    assert [p.step for p in fresh(repo_dir).runs.history(run_id, "m")] == list(range(12))
    store.runs.finish(run_id, "FINISHED")
    assert [p.step for p in fresh(repo_dir).runs.history(run_id, "m")] == list(range(12))
