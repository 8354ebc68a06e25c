"""gc: what goes, what stays, and that nobody who is at work loses anything by it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlgit.exceptions import Conflict, InvalidState
from mlgit.git import Repository
from mlgit.objects import Entry, LocalObjects, sweep
from mlgit.objects.manifest import parse_manifest
from mlgit.objects.users import FRESH, oldest_use
from mlgit.store.archive import fold
from mlgit.store.collect import collect
from mlgit.store.fsck import check
from mlgit.store.gitstore import GitStore
from mlgit.store.pointers import Pointer, format_pointer

Fresh = Callable[[Any], GitStore]
Git = Callable[..., str]
OLD = 30 * 86_400.0


def age(store: GitStore, seconds: float = OLD) -> None:
    """Make all objects look as if they had been put long ago, by somebody who is gone."""
    then = time.time() - seconds
    for sha in store.objects.all():
        os.utime(store.objects.path(sha), (then, then))
    store.objects._use = None


def ended(store: GitStore, *files: tuple[str, bytes]) -> str:
    run_id = store.runs.create("0", owner=True).run_id
    for path, data in files:
        store.log_bytes(run_id, data, path)
    store.runs.finish(run_id, "FINISHED")
    return run_id


def names_of(store: GitStore) -> set[str]:
    return set(store.objects.all())


def forget(store: GitStore, git: Git, run_id: str) -> None:
    git(store.repo.git_dir, "update-ref", "-d", f"refs/mlgit/runs/0/{run_id}")


class TestWhatGoes:
    def test_a_removed_run_s_artifacts_and_nothing_else(self, store: GitStore, git: Git) -> None:
        kept = ended(store, ("a/shared.txt", b"shared"), ("own.txt", b"kept"))
        before = names_of(store)
        gone = ended(store, ("a/shared.txt", b"shared"), ("b/other.txt", b"gone"))
        extra = names_of(store) - before
        forget(store, git, gone)
        age(store)
        found = collect(store)
        assert set(found.going) == extra and not found.removed
        assert names_of(store) == before | extra  # only told
        done = collect(store, force=True)
        assert set(done.going) == extra and done.removed
        assert names_of(store) == before
        assert sum(done.going.values()) == len(b"gone") + sum(
            size for sha, size in done.going.items() if size != len(b"gone")
        )
        assert store.read_artifact(kept, "a/shared.txt") == b"shared"
        assert not check(store).problems

    def test_what_is_new_stays(self, store: GitStore) -> None:
        sha = store.objects.put_bytes(b"put, and named soon").sha256
        age(store, 10 * 86_400)
        assert collect(store, force=True).new == 1 and store.objects.has(sha)
        assert set(collect(store, force=True, grace=9 * 86_400).going) == {sha}
        assert not store.objects.has(sha)

    def test_no_grace_is_less_than_the_age_of_who_puts_objects(self, store: GitStore) -> None:
        sha = store.objects.put_bytes(b"about to be named").sha256
        assert collect(store, force=True, grace=0).new == 1
        age(store)  # an old object, which is put again
        store.objects.put_bytes(b"about to be named")
        assert collect(store, force=True, grace=0).new == 1
        assert store.objects.has(sha)
        store.objects._use.close()  # type: ignore[union-attr]
        time.sleep(0.02)
        assert set(collect(store, force=True, grace=0).going) == {sha}

    def test_older_versions_archives_and_deleted_runs_stay(self, store: GitStore) -> None:
        first = ended(store, ("model.txt", b"one"))
        store.log_bytes(first, b"two", "model.txt")
        second = ended(store, ("model.txt", b"archived"))
        fold(store)
        store.runs.update(second, lifecycle_stage="deleted")
        age(store)
        everything = names_of(store)
        assert not collect(store, force=True, grace=0).going
        assert names_of(store) == everything

    def test_data_by_scope(self, store: GitStore, repo_dir: Path, git: Git) -> None:
        shas = []
        for number in range(3):
            entry = store.objects.put_bytes(f"version {number}".encode())
            shas.append(entry.sha256)
            (repo_dir / "data.mlgit").write_bytes(format_pointer(Pointer("data", entry)))
            git(repo_dir, "add", ".")
            git(repo_dir, "commit", "-qm", f"version {number}")
        git(repo_dir, "branch", "older", "main~1")
        age(store)
        found = collect(store)
        assert set(found.going) == {shas[0]} and found.in_history == 1
        assert not collect(store, scope="history").going
        assert set(collect(store, scope="here").going) == set(shas[:2])
        collect(store, force=True)
        assert names_of(store) == set(shas[1:])

    def test_nothing_goes_while_something_cannot_be_read(
        self, store: GitStore, repo_dir: Path
    ) -> None:
        sha = store.objects.put_bytes(b"named by whom?").sha256
        (repo_dir / "data.mlgit").write_text("format: 99\n")
        age(store)
        assert set(collect(store).going) == {sha}
        with pytest.raises(InvalidState, match="data.mlgit"):
            collect(store, force=True)
        assert store.objects.has(sha)
        collect(store, force=True, skip_unreadable=True)
        assert not store.objects.has(sha)

    def test_left_overs(self, store: GitStore) -> None:
        ended(store, ("a.txt", b"a"))
        age(store)
        tmp = Path(store.objects.root, "tmp")
        for name, old in (("half-old", True), ("half-new", False)):
            (tmp / name).write_bytes(b"half")
            if old:
                os.utime(tmp / name, (0, 0))
        found = collect(store, force=True)
        assert [Path(path).name for path in found.left_over] == ["half-old"]
        assert (tmp / "half-new").exists() and not (tmp / "half-old").exists()


class TestSweep:
    def test_one_at_a_time(self, store: GitStore) -> None:
        store.objects.put_bytes(b"x")
        with sweep.held(store.objects), pytest.raises(Conflict, match="Another"):
            with sweep.held(store.objects):
                pass

    def test_what_a_dead_one_put_aside_comes_back(self, store: GitStore) -> None:
        sha = store.objects.put_bytes(b"kept").sha256
        assert sweep._put_aside(store.objects, sha)
        assert not store.objects.has(sha)
        with sweep.held(store.objects):
            assert store.objects.read(sha) == b"kept"

    @pytest.mark.parametrize("moment", ["before it is aside", "while it is aside"])
    def test_who_asks_meanwhile_has_it(
        self, store: GitStore, fresh: Fresh, monkeypatch: pytest.MonkeyPatch, moment: str
    ) -> None:
        """The whole race, at both of its moments: old, unreached, and wanted again just now."""
        sha = store.objects.put_bytes(b"wanted again").sha256
        age(store)
        other = fresh(store.repo.git_dir).objects
        real_aside, real_limit = sweep._put_aside, sweep.too_new_since
        asked: list[str] = []

        def ask() -> None:
            if not asked:
                asked.append(other.put_bytes(b"wanted again").sha256)

        def put_aside(objects: LocalObjects, name: str) -> bool:
            if moment == "before it is aside":
                ask()
            return real_aside(objects, name)

        def too_new_since(objects: LocalObjects, grace: float) -> float:
            if moment == "while it is aside":
                ask()
            return real_limit(objects, grace)

        with sweep.held(store.objects):
            monkeypatch.setattr(sweep, "_put_aside", put_aside)
            monkeypatch.setattr(sweep, "too_new_since", too_new_since)
            gone = list(sweep.sweep(store.objects, [sha], 0))
        assert asked == [sha]
        assert store.objects.read(sha) == b"wanted again"
        assert gone == [] or moment == "while it is aside"

    def test_a_mark_lives_as_long_as_its_process(self, store: GitStore) -> None:
        tmp = f"{store.objects.root}/tmp"
        code = (
            "import sys; from mlgit.objects import LocalObjects\n"
            "o = LocalObjects(sys.argv[1]); o.put_bytes(b'x'); print(flush=True)\n"
            "sys.stdin.read()"
        )
        env = {**os.environ, "PYTHONPATH": os.path.dirname(os.path.dirname(sweep.__file__)) + "/.."}
        child = subprocess.Popen(
            [sys.executable, "-c", code, store.objects.root],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=env,
        )
        assert child.stdout is not None
        child.stdout.readline()
        began = oldest_use(tmp)
        assert began is not None and time.time() - began < 60
        assert sweep.too_new_since(store.objects, 0) < began - FRESH + 1
        child.kill()
        child.wait()
        child.communicate()
        (mark,) = Path(tmp).glob("*.use")
        os.utime(mark, (0, 0))
        assert oldest_use(tmp) is None and not mark.exists()


# -- against a model

_NAMES = st.sampled_from(["a", "b", "c"])
_TREES = st.recursive(
    st.binary(max_size=2),
    lambda inner: st.dictionaries(_NAMES, inner, min_size=1, max_size=3),
    max_leaves=6,
)


def put(objects: LocalObjects, tree: Any) -> Entry:
    if isinstance(tree, bytes):
        return objects.put_bytes(tree)
    return objects.put_manifest({name: put(objects, below) for name, below in tree.items()})


def model(objects: LocalObjects, entry: Entry) -> set[str]:
    if entry.kind != "d":
        return {entry.sha256}
    below = parse_manifest(objects.read(entry.sha256)).values()
    return {entry.sha256}.union(*(model(objects, each) for each in below))


@pytest.fixture(scope="module")
def shared_repo(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    return Repository.init(str(tmp_path_factory.mktemp("graphs")))


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    trees=st.lists(st.tuples(_TREES, st.sampled_from(["run", "going", "file", "none"])), max_size=6)
)
def test_random_graphs(shared_repo: Repository, trees: list[tuple[Any, str]]) -> None:
    """Exactly what a walk from every root doesn't meet is removed."""
    store = GitStore(shared_repo)
    worktree = Path(shared_repo.worktree or "")
    named: set[str] = set()
    runs = []
    for number, (tree, how) in enumerate(trees):
        entry = put(store.objects, tree)
        if how == "file":
            pointer = Pointer(f"data{number}", entry)
            (worktree / f"data{number}.mlgit").write_bytes(format_pointer(pointer))
        elif how != "none":
            runs.append(store.runs.create("0", owner=True).run_id)
            store.runs.log_artifact(runs[-1], f"path/{number}", entry)
            if how == "run":
                store.runs.finish(runs[-1], "FINISHED")
                root = store.runs.record(runs[-1]).artifacts
                named |= {sha for each in root.values() for sha in model(store.objects, each)}
        if how != "none":
            named |= model(store.objects, entry)
    everything = names_of(store)
    age(store)
    done = collect(store, force=True, grace=OLD / 2)
    assert names_of(store) == named and set(done.going) == everything - named
    for run_id in runs:
        if store.runs.get(run_id).info.status == "RUNNING":
            store.runs.finish(run_id, "FINISHED")
    assert not [p for p in check(store).problems if "artifact" in p.message]
    for path in worktree.glob("*.mlgit"):
        path.unlink()
    for ref in list(shared_repo.refs.items("refs/mlgit/runs/")):
        shared_repo.refs.delete(ref)
    age(store)
    collect(store, force=True, grace=OLD / 2)
    store.close()


# -- while others work

_LOGS = """
import sys, json
from mlgit.git import Repository
from mlgit.store.gitstore import GitStore
from mlgit.objects import local
local.FRESH = -1.0  # a day is too long for this test
store = GitStore(Repository.open(sys.argv[1]))
made = []
for number in range(int(sys.argv[3])):
    run_id = store.runs.create("0", owner=True).run_id
    # The same bytes again and again, also after the run that had them is gone.
    for each in range(4):
        store.log_bytes(run_id, b"common %d" % each, f"deep/{each % 2}/c{each}.txt")
    store.log_bytes(run_id, f"{sys.argv[2]} {number}".encode(), "own.txt")
    store.runs.finish(run_id, "FINISHED")
    made.append(run_id)
    if number % 3 == 1:
        store.repo.refs.delete(f"refs/mlgit/runs/0/{made.pop(0)}")
print(json.dumps(made))
"""


def _age_what_rests(store: GitStore) -> None:
    """What would take a month: an object is old once nobody has put it for a second."""
    then = time.time() - OLD
    for sha in store.objects.all():
        path = store.objects.path(sha)
        if time.time() - os.stat(path).st_mtime > 1:
            os.utime(path, (then, then))


def test_nothing_that_is_logged_is_lost(store: GitStore, repo_dir: Path, git: Git) -> None:
    """gc without any grace, over and over, while processes log and end runs."""
    source = os.path.dirname(os.path.dirname(os.path.dirname(sweep.__file__)))
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", _LOGS, str(repo_dir), str(who), "150"],
            env={**os.environ, "PYTHONPATH": source},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for who in range(2)
    ]
    removed = 0
    while any(worker.poll() is None for worker in workers):
        _age_what_rests(store)
        removed += len(collect(store, force=True, grace=0).going)
    made = []
    for worker in workers:
        out, err = worker.communicate()
        assert worker.returncode == 0, err.decode()[-2000:]
        made += json.loads(out)
    assert removed > 0
    for run_id in made:
        for each in range(4):
            found = store.read_artifact(run_id, f"deep/{each % 2}/c{each}.txt")
            assert found == b"common %d" % each
        assert store.read_artifact(run_id, "own.txt")
    assert not check(store).problems
