"""What happens to programs: forks, other directories, odd values, clocks, closed streams."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import mlgit
from mlgit.exceptions import InvalidParameterValue
from mlgit.git import Repository
from mlgit.git.secrets import MASK, mask_command
from mlgit.store.gitstore import GitStore

SOURCE = str(Path(mlgit.__file__).resolve().parents[1])
Fresh = Callable[[Path], GitStore]


@pytest.fixture(autouse=True)
def here(repo_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(repo_dir)
    mlgit.set_tracking_uri(str(repo_dir))
    return repo_dir


def in_child(work: Callable[[], Any], timeout: float = 30) -> int:
    """The exit code of a forked child; it is killed if it hangs."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            work()
            code = 0
        except SystemExit as error:
            code = int(error.code or 0)
        finally:
            os._exit(code)
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.005)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return -1


# -- values


@pytest.mark.parametrize("name", [7, 2**63, 1.5, Path("x"), True])
def test_a_run_name_that_is_not_text(repo_dir: Path, fresh: Fresh, name: object) -> None:
    with mlgit.start_run(run_name=name) as run:  # type: ignore[arg-type]
        pass
    mlgit.MlgitClient().update_run(run.info.run_id, name=name)  # type: ignore[arg-type]
    assert fresh(repo_dir).runs.get(run.info.run_id).info.run_name == str(name)
    assert [r.info.run_name for r in fresh(repo_dir).search_runs(None)] == [str(name)]


@pytest.mark.parametrize("path", ["/".join(["a"] * 1500), "b" * 256, "ü" * 130, "c/" * 2100 + "d"])
def test_artifact_paths_that_are_too_long(path: str) -> None:
    with mlgit.start_run() as run:
        mlgit.log_metric("m", 1)
        with pytest.raises(InvalidParameterValue, match="too long"):
            mlgit.log_text("x", path)
        mlgit.log_text("x", "/".join(["a"] * 200))
    assert mlgit.get_run(run.info.run_id).data.metrics == {"m": 1.0}


def test_a_folder_that_is_too_deep(tmp_path: Path) -> None:
    deep = tmp_path / "deep"
    deep.joinpath(*["d"] * 250).mkdir(parents=True)
    with mlgit.start_run(), pytest.raises(InvalidParameterValue, match="folders deep"):
        mlgit.log_artifacts(str(deep))


def test_an_experiment_name_with_a_lone_surrogate(monkeypatch: pytest.MonkeyPatch) -> None:
    assert mlgit.get_experiment_by_name("Jos\udce9") is None
    assert mlgit.search_runs(experiment_names=["Jos\udce9"], output_format="list") == []
    monkeypatch.setenv("MLGIT_EXPERIMENT_NAME", "Jos\udce9")
    with pytest.raises(InvalidParameterValue):
        mlgit.start_run()


def test_names_of_files_cannot_drive_the_terminal(
    repo_dir: Path, python: Callable[..., Any]
) -> None:
    (repo_dir / "\x1b]0;owned\x07\n.env").write_text("KEY=1\n")
    done = python("import mlgit; mlgit.start_run()", cwd=repo_dir)
    assert ".env" in done.stderr and not {"\x1b", "\x07"} & set(done.stderr)


def test_secrets_inside_one_argument() -> None:
    shown = mask_command(
        ["x", "Authorization: Bearer abcdef", "Host=h;Password=hunter2;Db=d", "lr=1"]
    )
    assert shown == ["x", f"Authorization: {MASK}", f"Host=h;Password={MASK};Db=d", "lr=1"]


# -- places


def test_a_nested_run_goes_where_its_parent_is(
    repo_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mlgit.set_tracking_uri(None)  # type: ignore[arg-type]
    with mlgit.start_run() as parent:
        (tmp_path / "elsewhere").mkdir()
        monkeypatch.chdir(tmp_path / "elsewhere")
        with mlgit.start_run(nested=True) as child:
            mlgit.log_metric("m", 1)
        last = mlgit.last_active_run()
        assert last is not None and last.info.run_id == parent.info.run_id
    store = GitStore(Repository.open(str(repo_dir)))
    assert store.runs.get(child.info.run_id).data.tags["mlflow.parentRunId"] == parent.info.run_id
    store.close()


@pytest.mark.parametrize("damage", ["garbage", None])
def test_an_unreadable_git_index_does_not_fail_the_run(
    repo_dir: Path, fresh: Fresh, damage: str | None
) -> None:
    with mlgit.start_run() as run:
        (repo_dir / ".git/index").unlink()
        if damage is None:
            (repo_dir / ".git/index").mkdir()
        else:
            (repo_dir / ".git/index").write_text(damage)
    record = fresh(repo_dir).runs.record(run.info.run_id)
    assert record.status == "FINISHED"
    assert "isn't known" in record.source["problems"][0]


# -- forks


@pytest.mark.parametrize("end", ["exit", "block", "fluent"])
def test_a_forked_child_does_not_end_its_parents_run(
    repo_dir: Path, fresh: Fresh, end: str
) -> None:
    def work() -> None:
        mlgit.log_metric("child", 1)
        if end == "exit":
            sys.exit(0)
        if end == "fluent":
            mlgit.end_run("FAILED")

    with mlgit.start_run() as run:

        def leave_the_block() -> None:
            with run:
                work()

        assert in_child(work if end == "fluent" else leave_the_block) == 0
        assert fresh(repo_dir).runs.get(run.info.run_id).info.status == "RUNNING"
        mlgit.log_metric("parent", 1)
    found = fresh(repo_dir).runs.get(run.info.run_id)
    assert found.info.status == "FINISHED"
    assert found.data.metrics == {"child": 1.0, "parent": 1.0}


def test_a_child_that_outlives_its_parent_ends_the_run(repo_dir: Path, fresh: Fresh) -> None:
    (reading, writing), (ended, end) = os.pipe(), os.pipe()

    def parent() -> None:
        run = mlgit.start_run()
        os.write(writing, run.info.run_id.encode())
        if os.fork() == 0:
            time.sleep(0.2)
            mlgit.log_metric("late", 1)
            mlgit.end_run()
            os.write(end, b"x")
        os._exit(0)  # as a daemon's parent does

    in_child(parent)
    run_id = os.read(reading, 100).decode()
    assert os.read(ended, 1) == b"x"
    found = fresh(repo_dir).runs.get(run_id)
    assert found.info.status == "FINISHED" and found.data.metrics == {"late": 1.0}


def test_forks_while_other_threads_take_snapshots(repo_dir: Path) -> None:
    # Python's own import locks are lost in a fork: nothing may be imported for the first time.
    with mlgit.start_run():
        mlgit.log_metric("m", 1)
    stop = threading.Event()
    errors: list[BaseException] = []

    def runs() -> None:
        try:
            while not stop.is_set():
                with mlgit.start_run():
                    mlgit.log_metric("m", 1)
        except BaseException as error:
            errors.append(error)

    def child() -> None:
        with mlgit.start_run():
            mlgit.log_metric("child", 1)

    threads = [threading.Thread(target=runs) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        assert [in_child(child, timeout=20) for _ in range(15)] == [0] * 15
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert errors == []


# -- processes that stand still


def test_nobody_waits_for_a_process_that_was_stopped_while_it_commits(
    repo_dir: Path, fresh: Fresh
) -> None:
    pid = os.fork()
    if pid == 0:
        from mlgit.store import committer

        committer.write_commit = lambda *a: os.kill(os.getpid(), signal.SIGSTOP)  # type: ignore
        mlgit.start_run(run_name="stopped")
        mlgit.end_run()
        os._exit(0)
    os.waitpid(pid, os.WUNTRACED)
    try:
        assert in_child(lambda: fresh(repo_dir).search_runs(None), timeout=10) == 0
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    assert [r.info.run_name for r in fresh(repo_dir).search_runs(None)] == ["stopped"]


# -- clocks


def test_a_clock_that_goes_back_while_a_run_goes(
    repo_dir: Path, fresh: Fresh, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = time.time_ns
    with mlgit.start_run() as run:
        mlgit.set_tag("phase", "first")
        monkeypatch.setattr(time, "time_ns", lambda: real() - 3600 * 10**9)
        mlgit.set_tag("phase", "second")
        assert mlgit.get_run(run.info.run_id).data.tags["phase"] == "second"
        other = fresh(repo_dir)
        other.runs.set_tag(run.info.run_id, "phase", "third")
        mlgit.MlgitClient().update_run(run.info.run_id, name="renamed")
        other.runs.release_all()
    found = fresh(repo_dir).runs.get(run.info.run_id)
    assert found.data.tags["phase"] == "third" and found.info.run_name == "renamed"


def test_a_clock_that_was_ahead_at_one_look(
    repo_dir: Path, fresh: Fresh, monkeypatch: pytest.MonkeyPatch
) -> None:
    with mlgit.start_run() as run:
        pass
    real = time.time_ns
    with monkeypatch.context() as ahead:
        ahead.setattr(time, "time_ns", lambda: real() + 3600 * 10**9)
        assert len(fresh(repo_dir).search_runs(None)) == 1
    mlgit.MlgitClient().update_run(run.info.run_id, name="renamed")
    assert [r.info.run_name for r in fresh(repo_dir).search_runs(None)] == ["renamed"]


def test_a_ref_that_is_put_back_with_its_old_time(repo_dir: Path, fresh: Fresh) -> None:
    with mlgit.start_run(run_name="first") as run:
        pass
    ref = repo_dir / f".git/refs/mlgit/runs/0/{run.info.run_id}"
    saved, info = ref.read_bytes(), ref.stat()
    mlgit.MlgitClient().update_run(run.info.run_id, name="second")
    time.sleep(0.1)
    store = fresh(repo_dir)
    assert [r.info.run_name for r in store.search_runs(None)] == ["second"]
    time.sleep(0.1)
    store.search_runs(None)
    copy = repo_dir / "copy"
    copy.write_bytes(saved)
    os.utime(copy, ns=(info.st_atime_ns, info.st_mtime_ns))
    copy.rename(ref)
    assert [r.info.run_name for r in store.search_runs(None)] == ["first"]


# -- who may only look


def test_looking_at_a_going_run_writes_no_object(repo_dir: Path, fresh: Fresh) -> None:
    with mlgit.start_run() as run:
        mlgit.log_text("x", "sub/a.txt")
        mlgit.log_text("y", "sub/b.txt")
        folder = repo_dir / ".git/mlgit/objects"
        before = sorted(folder.rglob("*"))
        store = fresh(repo_dir)
        assert len(store.search_runs(None)) == 1
        listed = store.list_artifacts(run.info.run_id, "sub")
        assert [f.path for f in listed] == ["sub/a.txt", "sub/b.txt"]
        assert sorted(folder.rglob("*")) == before
    assert fresh(repo_dir).read_artifact(run.info.run_id, "sub/a.txt") == b"x"


def test_one_odd_journal_hides_no_other_run(
    repo_dir: Path, fresh: Fresh, python: Callable[..., Any]
) -> None:
    with mlgit.start_run(run_name="good"):
        pass
    with mlgit.start_run(run_name="odd") as run:
        (repo_dir / f".git/mlgit/journal/{run.info.run_id}/x.jnl").mkdir()
    names = {r.info.run_name for r in fresh(repo_dir).search_runs(None)}
    assert names == {"good", "odd"}
    for command in ("status", "fsck", "log"):
        done = subprocess.run(
            [sys.executable, "-m", "mlgit", command, "--json"],
            cwd=repo_dir,
            env={**os.environ, "PYTHONPATH": SOURCE},
            capture_output=True,
            check=False,
        )
        assert done.returncode in (0, 1), done.stderr
        json.loads(done.stdout)


# -- streams


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("log >&-", 0),
        ("show nobody 2>&-", 3),
        ("--version >/dev/full", 7),
        ("log >/dev/full", 7),
        ("--help >/dev/full", 7),
    ],
)
def test_streams_that_are_closed_or_full(repo_dir: Path, command: str, code: int) -> None:
    with mlgit.start_run():
        pass
    done = subprocess.run(
        ["sh", "-c", f'"$0" -m mlgit {command}', sys.executable],
        cwd=repo_dir,
        env={**os.environ, "PYTHONPATH": SOURCE},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr and "Exception ignored" not in done.stderr


def test_artifacts_with_names_that_are_not_text(
    repo_dir: Path, fresh: Fresh, tmp_path: Path
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    names = [b"b\xff.txt", b"100%.txt", b"%41.txt", b"new\nline"]
    for name in names:
        Path(os.fsdecode(os.fsencode(folder) + b"/" + name)).write_bytes(name)
    with mlgit.start_run() as run:
        mlgit.log_artifacts(str(folder))
        mlgit.log_artifacts(str(folder), "sub")
    store = fresh(repo_dir)
    for above in ("", "sub"):
        found = store.list_artifacts(run.info.run_id, above)
        files = [f for f in found if not f.is_dir]
        assert sorted(os.fsencode(f.path.rpartition("/")[2]) for f in files) == sorted(names)


def test_a_run_that_cannot_be_committed_is_told(
    repo_dir: Path, monkeypatch: pytest.MonkeyPatch, fresh: Fresh
) -> None:
    from mlgit.store import fsck

    run = mlgit.start_run()
    mlgit.active_run()
    store = fresh(repo_dir)
    assert fsck.check(store).problems == []
    monkeypatch.setattr("mlgit.store.record.format_run", lambda record: 1 / 0)
    assert [run.info.run_id in p.where for p in fsck.check(store).problems] == [True]
    monkeypatch.undo()
    mlgit.end_run()


def test_a_time_in_the_wrong_unit_leaves_the_frame_readable() -> None:
    client = mlgit.MlgitClient()
    client.create_run("0", start_time=time.time_ns())
    client.create_run("0")
    frame = mlgit.search_runs()
    assert len(frame) == 2 and frame["start_time"].isna().sum() == 1


@pytest.mark.parametrize(
    ("branch", "experiment"),
    [
        (b"jos\xe9", "jos\\xe9"),
        ("wei\u200bß".encode(), "weiU+200Bß"),
        (b"/".join([b"x" * 120] * 6), "/".join(["x" * 120] * 6)[:500]),
    ],
)
def test_branches_that_cannot_name_an_experiment(
    repo_dir: Path, git: Callable[..., str], branch: bytes, experiment: str
) -> None:
    git(repo_dir, "checkout", "-q", "-b", os.fsdecode(branch))
    with mlgit.start_run() as run:
        pass
    assert mlgit.get_experiment(run.info.experiment_id).name == experiment
    assert run.data.tags["mlflow.source.git.commit"] == git(repo_dir, "rev-parse", "HEAD")


def test_git_dir_that_is_no_repository(tmp_path: Path, python: Callable[..., Any]) -> None:
    for place in (tmp_path / "nothing" / "x", tmp_path / "file"):
        (tmp_path / "file").write_text("x")
        done = python(
            "import mlgit; mlgit.start_run()",
            check=False,
            cwd=tmp_path,
            env={"GIT_DIR": str(place)},
        )
        assert "NotARepository" in done.stderr and "unset GIT_DIR" in done.stderr
        assert not (tmp_path / "nothing").exists()


def test_a_damaged_configuration(repo_dir: Path, python: Callable[..., Any]) -> None:
    (repo_dir / ".git/config").write_text("[core\nbare = false\n")
    done = python("import mlgit; mlgit.start_run()", check=False, cwd=repo_dir)
    assert "CorruptData" in done.stderr and "config" in done.stderr


def test_a_worktree_at_a_path_that_is_not_text(
    repo_dir: Path, tmp_path: Path, git: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    place = os.fsdecode(os.fsencode(tmp_path) + b"/w\xff")
    git(repo_dir, "worktree", "add", "-q", place)
    monkeypatch.chdir(place)
    mlgit.set_tracking_uri(None)  # type: ignore[arg-type]
    with mlgit.start_run() as run:
        pass
    assert mlgit.get_run(run.info.run_id).info.status == "FINISHED"


def test_many_threads_change_an_ended_run(repo_dir: Path, fresh: Fresh) -> None:
    with mlgit.start_run() as run:
        pass
    errors: list[BaseException] = []

    def work(number: int) -> None:
        try:
            store = GitStore(Repository.open(str(repo_dir)))
            for i in range(25):
                store.runs.set_tag(run.info.run_id, f"t{number}.{i}", i)
            store.close()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    tags = fresh(repo_dir).runs.get(run.info.run_id).data.tags
    assert len([t for t in tags if t.startswith("t")]) == 125


@pytest.mark.parametrize(
    "call",
    [
        lambda: mlgit.log_metric([1], 1),  # type: ignore[arg-type]
        lambda: mlgit.log_param({}, 1),  # type: ignore[arg-type]
        lambda: mlgit.set_tag(b"x", 1),  # type: ignore[arg-type]
        lambda: mlgit.log_params("text"),  # type: ignore[arg-type]
        lambda: mlgit.log_metrics([1]),  # type: ignore[arg-type]
        lambda: mlgit.set_tags(5),  # type: ignore[arg-type]
        lambda: mlgit.set_experiment_tags("x"),  # type: ignore[arg-type]
        lambda: mlgit.log_text(5, "x.txt"),  # type: ignore[arg-type]
        lambda: mlgit.log_text("\ud800", "x.txt"),
        lambda: mlgit.log_artifact(None),  # type: ignore[arg-type]
        lambda: mlgit.log_artifacts(5),  # type: ignore[arg-type]
        lambda: mlgit.start_run(nested=True, tags=5),  # type: ignore[arg-type]
        lambda: mlgit.create_experiment("e", artifact_location=5),  # type: ignore[arg-type]
        lambda: mlgit.create_experiment("e", artifact_location="\ud800"),
        lambda: mlgit.create_experiment("e", tags=[1]),  # type: ignore[arg-type]
        lambda: mlgit.MlgitClient().log_batch(mlgit.active_run().info.run_id, ["x"]),  # type: ignore
        lambda: mlgit.MlgitClient().get_run("a" * 256),
        lambda: mlgit.get_experiment_by_name(5),  # type: ignore[arg-type]
    ],
)
def test_arguments_of_a_wrong_type(call: Callable[[], Any]) -> None:
    with mlgit.start_run(), pytest.raises(mlgit.MlgitException):
        call()


@pytest.mark.parametrize(
    "arguments", [["init", "train.py"], ["artifacts", "download", "@{0}", "-d", "/dev/null"]]
)
def test_places_that_are_files(repo_dir: Path, arguments: list[str]) -> None:
    with mlgit.start_run():
        mlgit.log_text("x", "x.txt")
    done = subprocess.run(
        [sys.executable, "-m", "mlgit", *arguments],
        cwd=repo_dir,
        env={**os.environ, "PYTHONPATH": SOURCE},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2, done.stderr


def test_passwords_in_a_tracking_uri_are_not_shown() -> None:
    with pytest.raises(mlgit.MlgitException) as caught:
        mlgit.set_tracking_uri("gopher://ada:hunter2@host/x")
        mlgit.start_run()
    assert "hunter2" not in str(caught.value)


def test_a_bare_repository_beside_code_says_that_it_keeps_none(
    repo_dir: Path, python: Callable[..., Any]
) -> None:
    code = "import mlgit\nmlgit.set_tracking_uri('sqlite:///mlflow.db')\n" + (
        "with mlgit.start_run(): pass\n" * 2
    )
    done = python(code, cwd=repo_dir)
    assert done.stderr.count("without their code") == 1 and str(repo_dir) in done.stderr
    with mlgit.start_run() as run:  # and it isn't swept into the next run's code
        pass
    left_out = GitStore(Repository.open(str(repo_dir))).runs.record(run.info.run_id).source
    assert left_out["left_out"] == [{"path": "mlflow.db/", "reason": "nested repository"}]


@pytest.mark.parametrize("uri", ["file:./mlruns", "./mlruns", "mlruns/a/b"])
def test_a_path_that_is_not_there_means_the_repository_above(
    repo_dir: Path, python: Callable[..., Any], uri: str
) -> None:
    python("import mlgit; mlgit.start_run()", cwd=repo_dir, env={"MLFLOW_TRACKING_URI": uri})
    assert len(mlgit.search_runs()) == 1 and not (repo_dir / "mlruns").exists()


def test_folders_that_tools_make_are_named_once(repo_dir: Path) -> None:
    for place in ("mlruns/0/abc/metrics", ".venv/lib", "src/__pycache__", "data"):
        (repo_dir / place).mkdir(parents=True)
        for number in range(200):
            (repo_dir / place / str(number)).write_text("x")
    (repo_dir / ".venv/pyvenv.cfg").touch()
    (repo_dir / "src/own.py").write_text("1\n")
    with mlgit.start_run() as run:
        pass
    store = GitStore(Repository.open(str(repo_dir)))
    found = {o["path"]: o["reason"] for o in store.runs.record(run.info.run_id).source["left_out"]}
    assert found == {
        "mlruns/": "folder of a tool",
        ".venv/": "virtual environment",
        "src/__pycache__/": "folder of a tool",
        "data/": "count: 101 files",
    }


def test_a_deleted_run_that_goes_on_is_restored(repo_dir: Path) -> None:
    with mlgit.start_run() as run:
        for command in ("delete", "restore"):
            subprocess.run(
                [sys.executable, "-m", "mlgit", "runs", command, run.info.run_id],
                cwd=repo_dir,
                env={**os.environ, "PYTHONPATH": SOURCE},
                check=True,
            )
    assert mlgit.get_run(run.info.run_id).info.lifecycle_stage == "active"
