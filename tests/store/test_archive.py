"""Folding runs into one ref: nothing is lost by it, whoever else is at work, and whatever dies."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlgit.entities import Param, ViewType
from mlgit.exceptions import Conflict, CorruptData
from mlgit.git import Repository
from mlgit.git import refs as refs_module
from mlgit.store import archive as archive_module
from mlgit.store import names
from mlgit.store.archive import Folded, fold
from mlgit.store.archive_record import (
    format_runs,
    links,
    parse_runs,
    read_archive,
    write_link,
)
from mlgit.store.fsck import check
from mlgit.store.gitstore import GitStore
from mlgit.store.lineage import stands_on

ARCHIVE = "refs/mlgit/archive/0"
CRASHED = 77

Fresh = Callable[[Any], GitStore]
Git = Callable[..., str]


def open_store(folder: Path) -> GitStore:
    return GitStore(Repository.open(str(folder)))


def finished(store: GitStore, name: str = "run", experiment: str = "0", ended: int = 0) -> str:
    run_id = store.runs.create(experiment, run_name=name, owner=True, with_code=True).run_id
    store.runs.log_batch(run_id, params=[Param("name", name)])
    for step in range(3):
        store.runs.log_metric(run_id, "m", step / 2, 1000 + step, step)
    store.log_bytes(run_id, name.encode(), "notes/name.txt")
    store.runs.finish(run_id, "FINISHED", ended or None)
    return run_id


def several(store: GitStore, count: int = 4) -> list[str]:
    return [finished(store, f"run-{at}") for at in range(count)]


def seen(store: GitStore) -> dict[str, Any]:
    """All that can be read of all runs."""
    found = {}
    for run in store.search_runs(None, run_view_type=ViewType.ALL, max_results=50_000):
        run_id = run.info.run_id
        assert store.runs.get(run_id).to_dictionary() == run.to_dictionary()
        found[run_id] = (
            run.to_dictionary(),
            store.runs.history(run_id, "m"),
            store.read_artifact(run_id, "notes/name.txt"),
        )
    return found


def run_refs(store: GitStore) -> set[str]:
    return {ref.rsplit("/", 1)[-1] for ref in store.repo.refs.items(names.RUNS)}


def sound(store: GitStore, git: Git) -> None:
    git(store.repo.git_dir, "fsck", "--strict", "--no-dangling")
    report = check(store)
    assert report.problems == []
    store.index.discard()
    assert store.problems() == []


# -- folding


@pytest.mark.parametrize("packed", [False, True])
def test_folded_runs_read_as_before(
    repo_dir: Path, store: GitStore, fresh: Fresh, git: Git, packed: bool
) -> None:
    other = store.experiments.create("other")
    runs = [*several(store), finished(store, "elsewhere", other)]
    store.runs.set_tag(runs[1], "late", "1")
    if packed:
        store.repo.refs.pack("refs/mlgit/")
        store.runs.set_tag(runs[2], "late", "2")  # packed and loose, with other commits
    before = seen(store)
    assert len(before) == 5
    order = [store.resolve_run(f"@{{{n}}}") for n in range(5)]

    folded = fold(store)
    assert [(f.experiment, f.runs, f.removed, f.apart) for f in folded] == [
        ("Default", 4, 4, []),
        ("other", 1, 1, []),
    ]
    assert run_refs(store) == set()
    assert git(repo_dir, "for-each-ref", "refs/mlgit/runs/") == ""
    assert git(repo_dir, "rev-parse", ARCHIVE) == folded[0].commit
    for looking in (store, fresh(repo_dir)):
        assert seen(looking) == before
        assert [looking.resolve_run(f"@{{{n}}}") for n in range(5)] == order
        for run_id in runs:
            assert looking.resolve_run(run_id[:12]) == run_id
            assert looking.resolve_run(names.run_ref("0", run_id)) == run_id
        looking.index.discard()
        assert seen(looking) == before
    sound(store, git)
    assert check(store).counts["runs"] == 5


def test_the_commit_is_what_the_format_says(repo_dir: Path, store: GitStore, git: Git) -> None:
    runs = several(store, 3)
    commits = {r: store.runs.find_ref(r)[1] for r in runs}  # type: ignore[index]
    fold(store)
    listing = "".join(f"{r}\t{commits[r]}\n" for r in sorted(runs))
    assert git(repo_dir, "show", f"{ARCHIVE}:runs.tsv") + "\n" == listing
    assert git(repo_dir, "ls-tree", "-r", "--name-only", ARCHIVE) == "runs.tsv"
    parents = git(repo_dir, "show", "-s", "--format=%P", ARCHIVE).split()
    assert set(parents) == set(commits.values()) and len(parents) == 3
    dates = [git(repo_dir, "show", "-s", "--format=%ct", sha) for sha in (*parents, ARCHIVE)]
    assert dates == sorted(dates) and dates[-1] == dates[-2]
    assert git(repo_dir, "show", "-s", "--format=%(trailers)", ARCHIVE) == "Mlgit-Experiment: 0"
    assert git(repo_dir, "show", "-s", "--format=%s", ARCHIVE) == "archive of Default: 3 runs"


def test_folding_again_goes_on_from_the_archive(repo_dir: Path, store: GitStore, git: Git) -> None:
    first = several(store, 2)
    [one] = fold(store)
    assert fold(store) == []
    assert store.repo.refs.read(ARCHIVE) == one.commit
    second = several(store, 2)
    [two] = fold(store)
    assert two.runs == 2 and git(repo_dir, "rev-parse", f"{ARCHIVE}^1") == one.commit
    assert set(read_archive(store.repo, two.commit or "")) == {*first, *second}
    sound(store, git)


def test_many_runs_make_a_chain(
    store: GitStore, git: Git, monkeypatch: pytest.MonkeyPatch, fresh: Fresh
) -> None:
    monkeypatch.setattr(archive_module, "MOST_PARENTS", 3)
    runs = several(store, 7)
    before = seen(store)
    [folded] = fold(store)
    chain = list(links(store.repo, folded.commit or ""))
    assert [len(link.runs) for link in chain] == [1, 3, 3]
    assert chain[-1].before is None and chain[0].before == chain[1].sha
    assert set(read_archive(store.repo, folded.commit or "")) == set(runs)
    assert seen(fresh(store.repo.worktree)) == before
    sound(store, git)


def test_runs_that_go_on_arent_folded(repo_dir: Path, store: GitStore, fresh: Fresh) -> None:
    ended = finished(store)
    going = store.runs.create("0", owner=True).run_id
    watched = store.runs.create("0", owner=True).run_id
    store.runs.checkpoint(watched)
    resumed = finished(store)
    other = fresh(repo_dir)
    other.runs.join(resumed, owner=True)
    [folded] = fold(store)
    assert folded.runs == 1
    assert run_refs(store) == {watched, resumed}
    assert set(read_archive(store.repo, folded.commit or "")) == {ended}
    for run_id in (going, watched):
        store.runs.finish(run_id, "FINISHED")
    other.runs.finish(resumed, "FAILED")
    assert [f.runs for f in fold(store)] == [3]
    assert run_refs(store) == set()
    assert store.runs.get(resumed).info.status == "FAILED"


def test_runs_with_a_journal_arent_folded(
    repo_dir: Path, store: GitStore, fresh: Fresh, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended_by_others = store.runs.create("0", owner=True).run_id
    fresh(repo_dir).runs.terminate(ended_by_others, "FINISHED")
    resumed = finished(store)
    other, look = fresh(repo_dir), store.index.ended_runs

    def then_resumed(before: int | None) -> Any:
        found = look(before)
        other.runs.join(resumed, owner=True)
        return found

    monkeypatch.setattr(store.index, "ended_runs", then_resumed)
    assert fold(store) == [] and run_refs(store) == {ended_by_others, resumed}
    other.runs.finish(resumed, "FINISHED")
    store.runs.finish(ended_by_others, "FINISHED")


def test_a_run_that_goes_on_elsewhere_isnt_folded(
    repo_dir: Path, store: GitStore, tmp_path: Path, git: Git, fresh: Fresh
) -> None:
    run_id = store.runs.create("0", owner=True).run_id
    store.runs.checkpoint(run_id)
    git(tmp_path, "clone", "-q", str(repo_dir), "clone")
    git(tmp_path / "clone", "fetch", "-q", "origin", "refs/mlgit/*:refs/mlgit/*")
    assert fold(fresh(tmp_path / "clone")) == []
    store.runs.finish(run_id, "FINISHED")


def test_only_some_runs(store: GitStore) -> None:
    other = store.experiments.create("other")
    long_ago = finished(store, "old", ended=1_000_000)
    elsewhere = finished(store, "elsewhere", other, ended=2_000_000)
    now = finished(store, "new")
    assert [f.runs for f in fold(store, ended_before=1_500_000, dry_run=True)] == [1]
    assert run_refs(store) == {long_ago, elsewhere, now}
    assert store.repo.refs.items(names.ARCHIVE) == {}
    fold(store, ended_before=1_500_000)
    assert run_refs(store) == {elsewhere, now}
    fold(store, [other])
    assert run_refs(store) == {now}


def test_deleted_runs_are_folded(store: GitStore) -> None:
    run_id = finished(store)
    store.runs.update(run_id, lifecycle_stage="deleted")
    fold(store)
    assert store.search_runs(None) == []
    store.runs.update(run_id, lifecycle_stage="active")
    assert [r.info.run_id for r in store.search_runs(None)] == [run_id]


# -- changes afterwards


def test_an_archived_run_that_changes_gets_its_ref_again(
    repo_dir: Path, store: GitStore, fresh: Fresh, git: Git
) -> None:
    run_id, quiet = several(store, 2)
    fold(store)
    archived = store.runs.find_ref(run_id)
    changing = fresh(repo_dir)
    changing.runs.set_tag(run_id, "mlflow.runName", "renamed")
    changing.runs.set_tag(run_id, "late", "yes")
    changing.runs.update(run_id, lifecycle_stage="deleted")
    assert run_refs(store) == {run_id}
    ref, commit = store.runs.find_ref(run_id)  # type: ignore[misc]
    assert store.repo.refs.read(ref) == commit
    assert stands_on(store.repo, commit, archived[1])  # type: ignore[index]
    for looking in (store, fresh(repo_dir)):
        assert {r.info.run_id for r in looking.search_runs(None)} == {quiet}
        assert looking.runs.get(run_id).data.tags["late"] == "yes"
    sound(store, git)
    store.runs.update(run_id, lifecycle_stage="active")
    [folded] = fold(store)
    assert (folded.runs, folded.removed) == (1, 1) and run_refs(store) == set()
    for looking in (store, fresh(repo_dir)):
        found = {r.info.run_id: r for r in looking.search_runs(None)}
        assert set(found) == {run_id, quiet}
        assert found[run_id].info.run_name == "renamed"
        assert looking.runs.get(run_id).data.tags["late"] == "yes"
    sound(store, git)


def test_an_archived_run_is_resumed(repo_dir: Path, store: GitStore, fresh: Fresh) -> None:
    run_id = finished(store)
    fold(store)
    other = fresh(repo_dir)
    other.runs.join(run_id, owner=True)
    other.runs.log_metric(run_id, "m", 9.0, 2000, 9)
    assert [r.info.status for r in store.search_runs(None)] == ["RUNNING"]
    assert fold(store) == []
    other.runs.finish(run_id, "FAILED")
    assert run_refs(store) == {run_id}
    fold(store)
    run = fresh(repo_dir).runs.get(run_id)
    assert run.info.status == "FAILED" and run.data.metrics == {"m": 9.0}
    assert len(store.runs.history(run_id, "m")) == 4


def test_a_run_of_this_process_is_folded_by_another(
    repo_dir: Path, store: GitStore, fresh: Fresh
) -> None:
    run_id = finished(store)
    client_made = store.runs.create("0").run_id
    store.runs.terminate(client_made, "FINISHED")
    fold(fresh(repo_dir))
    for made in (run_id, client_made):
        assert store.runs.get(made).info.status == "FINISHED"
        store.runs.set_tag(made, "late", "yes")
    assert {r.data.tags["late"] for r in store.search_runs(None)} == {"yes"}


def test_a_change_that_was_folded_meanwhile_isnt_lost(
    repo_dir: Path, store: GitStore, fresh: Fresh
) -> None:
    run_id = finished(store)
    fold(store)
    times = []

    def change(record: Any) -> None:
        times.append(1)
        if len(times) == 1:  # between looking and writing: changed and folded by others
            other = fresh(repo_dir)
            other.runs.set_tag(run_id, "theirs", "kept")
            assert fold(other)[0].runs == 1
        record.set_tag("ours", "kept")

    store.runs.committer.amend(run_id, change)
    tags = fresh(repo_dir).runs.get(run_id).data.tags
    assert len(times) == 2 and tags["theirs"] == tags["ours"] == "kept"


def test_an_old_ref_that_a_fetch_left_goes(store: GitStore, git: Git) -> None:
    run_id = finished(store)
    ref, old = store.runs.find_ref(run_id)  # type: ignore[misc]
    store.runs.set_tag(run_id, "late", "yes")
    fold(store)
    store.repo.refs.update(ref, old)
    [problem] = check(store).problems
    assert "newer" in problem.message and "mlgit archive" in problem.hint
    [folded] = fold(store)
    assert (folded.runs, folded.removed) == (0, 1)
    assert store.runs.get(run_id).data.tags["late"] == "yes"
    assert [r.data.tags["late"] for r in store.search_runs(None)] == ["yes"]
    sound(store, git)


def test_what_has_parted_is_left_alone(store: GitStore) -> None:
    run_id = finished(store)
    ref, old = store.runs.find_ref(run_id)  # type: ignore[misc]
    store.runs.set_tag(run_id, "late", "theirs")
    fold(store)
    store.repo.refs.update(ref, old)
    store.runs.set_tag(run_id, "late", "ours")
    before = store.repo.refs.items("refs/mlgit/")
    [folded] = fold(store)
    assert folded.apart == [run_id] and folded.runs == folded.removed == 0
    assert store.repo.refs.items("refs/mlgit/") == before
    assert store.runs.get(run_id).data.tags["late"] == "ours"  # the ref counts
    [problem] = check(store).problems
    assert "parted" in problem.message


# -- others at work


def test_a_run_that_changes_while_it_is_folded(
    repo_dir: Path, store: GitStore, fresh: Fresh, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed, quiet = several(store, 2)
    other = fresh(repo_dir)
    remove = refs_module.RefStore.delete_many

    def meanwhile(self: Any, *args: Any) -> int:
        other.runs.set_tag(changed, "late", "yes")
        return remove(self, *args)

    monkeypatch.setattr(refs_module.RefStore, "delete_many", meanwhile)
    [folded] = fold(store)
    monkeypatch.undo()
    assert (folded.runs, folded.removed) == (2, 1)
    assert run_refs(store) == {changed}
    assert store.runs.get(changed).data.tags["late"] == "yes"
    assert len(store.search_runs(None)) == 2
    assert fold(store)[0].runs == 1
    assert fresh(repo_dir).runs.get(changed).data.tags["late"] == "yes"


def test_two_fold_at_once(
    repo_dir: Path, store: GitStore, fresh: Fresh, monkeypatch: pytest.MonkeyPatch
) -> None:
    several(store, 3)
    before = seen(store)
    write, other = archive_module.write_link, fresh(repo_dir)

    def meanwhile(*args: Any) -> list[str]:
        monkeypatch.undo()
        extra.append(finished(other, "extra"))
        fold(other)
        return write(*args)

    extra: list[str] = []
    monkeypatch.setattr(archive_module, "write_link", meanwhile)
    fold(store)
    found = seen(fresh(repo_dir))
    assert run_refs(store) == set() and found.keys() == {*before, *extra}
    assert {r: found[r] for r in before} == before
    assert len(list(links(store.repo, store.repo.refs.read(ARCHIVE) or ""))) == 1


def test_a_query_misses_nothing_that_is_folded_meanwhile(
    repo_dir: Path, store: GitStore, fresh: Fresh, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever the query is with its looking at refs."""
    for method in ("packed_items", "loose_items", "packed_stamp", "_read_loose"):
        several(store, 2)
        store.repo.refs.pack("refs/mlgit/")
        several(store, 2)
        count = len(run_refs(store)) + len(
            read_archive(store.repo, tip) if (tip := store.repo.refs.read(ARCHIVE)) else ()
        )
        for discard in (False, True):
            looking, other = fresh(repo_dir), fresh(repo_dir)
            looking.search_runs(None)
            finished(store)
            count += 1
            if discard:
                looking.index.discard()
            original = getattr(refs_module.RefStore, method)

            def meanwhile(self: Any, *args: Any, original: Any = original, other: Any = other):
                result = original(self, *args)
                monkeypatch.undo()
                fold(other)
                return result

            monkeypatch.setattr(refs_module.RefStore, method, meanwhile)
            assert len(looking.search_runs(None)) == count, (method, discard)
            monkeypatch.undo()


@pytest.mark.parametrize("archived", [False, True])
def test_a_run_that_was_put_into_the_index_late_isnt_lost(store: GitStore, archived: bool) -> None:
    """As going, by a process that read it before it ended and slept until others had it."""
    run_id, _ = several(store, 2)
    if archived:
        fold(store)
    time.sleep(0.1)  # nothing is looked at again for being recent
    before = seen(store)
    store.index.connection().execute(
        "UPDATE runs SET commit_sha=NULL, journal='late' WHERE run_id=?", (run_id,)
    )
    assert seen(store) == before


def _spawn(work: Callable[[], Any]) -> tuple[int, int]:
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            os.close(reading)
            told = work()
            os.write(writing, json.dumps(told).encode())
            code = 0
        except BaseException:
            import traceback

            traceback.print_exc()
        os._exit(code)
    os.close(writing)
    return pid, reading


def _wait(pid: int, reading: int) -> tuple[int, Any]:
    with os.fdopen(reading, "rb") as f:
        data = f.read()
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return code, json.loads(data) if data else None


def _log_and_amend(folder: Path, who: int, count: int) -> dict[str, str]:
    store = open_store(folder)
    made: dict[str, str] = {}
    for at in range(count):
        made[finished(store, f"{who}-{at}")] = ""
        for run_id in list(made)[:: max(1, len(made) // 3)]:
            made[run_id] = f"{who}-{at}"
            while True:
                try:
                    store.runs.set_tag(run_id, "late", made[run_id])
                    break
                except Conflict:
                    continue
    return made


def test_folding_while_runs_end_and_change(
    repo_dir: Path, fresh: Fresh, git: Git, monkeypatch: pytest.MonkeyPatch
) -> None:
    writers = [_spawn(lambda who=who: _log_and_amend(repo_dir, who, 12)) for who in range(2)]
    stop = threading.Event()

    def folds() -> int:
        store, times = open_store(repo_dir), 0
        while not os.path.exists(repo_dir / "stop"):
            try:
                times += bool(fold(store))
            except Conflict:
                pass  # git holds packed-refs
        return times

    folders = [_spawn(folds) for _ in range(2)]

    def keep_house() -> None:
        while not stop.wait(0.2):
            git(repo_dir, "gc", "-q", check=False)

    keeper = threading.Thread(target=keep_house)
    keeper.start()
    looking = fresh(repo_dir)
    try:
        most = 0
        while not os.waitid(os.P_PID, writers[0][0], os.WEXITED | os.WNOHANG | os.WNOWAIT):
            found = len(looking.search_runs(None))
            assert found >= most  # what was seen once is seen ever after
            most = found
        told = [_wait(*w) for w in writers]
    finally:
        (repo_dir / "stop").touch()
        stop.set()
        keeper.join()
    assert all(code == 0 for code, _ in told)
    ended = [_wait(*f) for f in folders]
    # One of them may have found nothing to do: the other was always first.
    assert [code for code, _ in ended] == [0, 0] and sum(times for _, times in ended) > 1
    fold(fresh(repo_dir))
    store = fresh(repo_dir)
    made = {run_id: late for _, found in told for run_id, late in found.items()}
    found = {r.info.run_id: r for r in store.search_runs(None)}
    assert found.keys() == made.keys() and run_refs(store) == set()
    for run_id, late in made.items():
        assert found[run_id].data.tags.get("late", "") == late
        assert store.runs.get(run_id).data.tags.get("late", "") == late
    sound(store, git)


# -- killed


def test_killed_at_every_step(
    repo_dir: Path, fresh: Fresh, git: Git, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refs_module, "_LOCK_WAIT", 0.05)
    store = fresh(repo_dir)
    several(store, 3)
    at = 0
    while True:
        at += 1
        store.repo.refs.pack("refs/mlgit/")
        several(store, 2)
        for run_id in (
            list(read_archive(store.repo, tip))[:2]
            if (tip := store.repo.refs.read(ARCHIVE))
            else []
        ):
            store.runs.set_tag(run_id, "step", str(at))
        before = seen(store)
        code = _fold_until(repo_dir, at)
        assert code in (0, CRASHED)
        assert seen(fresh(repo_dir)) == before, at
        for lock in [
            *Path(repo_dir, ".git/refs/mlgit").rglob("*.lock"),
            *Path(repo_dir, ".git").glob("packed-refs.lock"),
        ]:
            lock.unlink()
        again = fresh(repo_dir)
        fold(again)
        assert run_refs(again) == set() and seen(again) == before, at
        again.close()
        if code == 0:
            break
    assert at > 10
    sound(fresh(repo_dir), git)


def _fold_until(folder: Path, step: int) -> int:
    """Fold in a process that ends itself at its n-th change of a name in the file system."""

    def work() -> None:
        store = open_store(folder)
        store.index.sync()
        left = [step]
        for name in ("rename", "unlink", "fsync"):
            original = getattr(os, name)

            def counted(*args: Any, original: Any = original, **kwargs: Any) -> Any:
                left[0] -= 1
                if left[0] == 0:
                    os._exit(CRASHED)
                return original(*args, **kwargs)

            setattr(os, name, counted)
        fold(store)

    return _wait(*_spawn(work))[0]


def test_killed_between_archive_and_refs(
    repo_dir: Path, store: GitStore, fresh: Fresh, monkeypatch: pytest.MonkeyPatch, git: Git
) -> None:
    runs = several(store, 3)
    before = seen(store)
    monkeypatch.setattr(refs_module.RefStore, "delete_many", lambda *args: 0)
    fold(store)
    monkeypatch.undo()
    assert run_refs(store) == set(runs) and store.repo.refs.read(ARCHIVE)
    assert seen(fresh(repo_dir)) == before
    sound(store, git)
    store.runs.set_tag(runs[0], "late", "yes")
    [told] = fold(store, dry_run=True)
    [folded] = fold(store)
    assert (folded.runs, folded.removed) == (told.runs, told.removed) == (1, 3)
    assert store.runs.get(runs[0]).data.tags["late"] == "yes"
    sound(store, git)


# -- Git and other clones


def test_git_gc_keeps_archived_runs(repo_dir: Path, store: GitStore, git: Git) -> None:
    several(store)
    fold(store)
    several(store, 2)
    fold(store)
    before = seen(store)
    git(repo_dir, "reflog", "expire", "--expire=now", "--all")
    git(repo_dir, "gc", "-q", "--prune=now")
    git(repo_dir, "fsck", "--strict", "--no-dangling")
    looking = open_store(repo_dir)
    looking.index.discard()
    assert seen(looking) == before
    looking.close()


def test_a_clone_sees_the_same_runs(
    repo_dir: Path, store: GitStore, tmp_path: Path, git: Git, fresh: Fresh
) -> None:
    other = store.experiments.create("other")
    runs = [*several(store), finished(store, "elsewhere", other)]
    fold(store)
    store.runs.set_tag(runs[0], "late", "yes")
    finished(store, "new")
    git(tmp_path, "clone", "-q", f"file://{repo_dir}", "clone")
    git(tmp_path / "clone", "fetch", "-q", "origin", "refs/mlgit/*:refs/mlgit/*")
    clone = fresh(tmp_path / "clone")
    for mine, theirs in zip(
        store.search_runs(None, order_by=["start_time"]),
        clone.search_runs(None, order_by=["start_time"]),
    ):
        assert mine.to_dictionary() == theirs.to_dictionary()
        assert store.runs.history(mine.info.run_id, "m") == clone.runs.history(
            theirs.info.run_id, "m"
        )
    assert check(clone, objects=False).problems == []
    assert check(clone, objects=False).counts["runs"] == len(runs) + 1


# -- what isn't right


RUN_IDS = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_-]{0,40}", fullmatch=True)
COMMITS = st.from_regex(r"[0-9a-f]{40}", fullmatch=True)


@given(st.dictionaries(RUN_IDS, COMMITS))
def test_runs_tsv_comes_back(runs: dict[str, str]) -> None:
    assert parse_runs(format_runs(runs), "x") == runs


@pytest.mark.parametrize(
    "data",
    [
        b"x",
        b"a\t" + b"1" * 40,
        b"a " + b"1" * 40 + b"\n",
        b"a\t" + b"1" * 39 + b"\n",
        b"../../x\t" + b"1" * 40 + b"\n",
        b"\xff\t" + b"1" * 40 + b"\n",
        b"a\t" + b"1" * 40 + b"\n\n",
        b"a" * 257 + b"\t" + b"1" * 40 + b"\n",
        (b"a\t" + b"1" * 40 + b"\n") * 2,
    ],
)
def test_other_content_of_runs_tsv_is_refused(data: bytes) -> None:
    with pytest.raises(CorruptData, match="here"):
        parse_runs(data, "here")


def test_fsck_looks_into_archives(store: GitStore) -> None:
    run_id, other = several(store, 2)
    fold(store)
    entry = store.artifact(run_id, "notes/name.txt")
    path = Path(store.objects.path(entry.sha256))  # type: ignore[union-attr]
    path.chmod(0o644)
    path.write_bytes(b"other")
    [problem] = check(store).problems
    assert names.run_ref("0", run_id) in problem.where and "notes/name.txt" in problem.message
    path.write_bytes(b"run-0")
    # A commit that lists a run without keeping it from git gc.
    tip = store.repo.refs.read(ARCHIVE) or ""
    runs = {r: sha for r, sha in read_archive(store.repo, tip).items() if r == run_id}
    *_, kept = write_link(store.repo, "0", "Default", runs, list(runs.values()), 0, 0)
    raw = store.repo.objects.commit(kept).replace(
        store.repo.objects.commit(kept)[:45],
        b"tree " + store.repo.objects.commit(tip)[5:45],
    )
    store.repo.refs.update(ARCHIVE, store.repo.objects.write("commit", raw))
    assert other in " ".join(p.message for p in check(store).problems)


def test_a_damaged_archive_is_told_and_the_rest_goes_on(
    repo_dir: Path, store: GitStore, git: Git
) -> None:
    several(store, 2)
    fold(store)
    fine = finished(store)
    blob = git(repo_dir, "hash-object", "-w", "--stdin", data=b"\xff\n")
    tree = git(repo_dir, "mktree", data=f"100644 blob {blob}\truns.tsv\n".encode())
    bad = git(repo_dir, "commit-tree", tree, "-p", ARCHIVE, "-m", "bad")
    tip = store.repo.refs.read(ARCHIVE) or ""
    git(repo_dir, "update-ref", ARCHIVE, bad)
    assert [r.info.run_id for r in store.search_runs(None)] == [fine]
    assert [ref for ref, _, _ in store.problems()] == [ARCHIVE]
    assert store.runs.get(fine).info.status == "FINISHED"
    with pytest.raises(CorruptData):
        fold(store)
    assert run_refs(store) == {fine}
    git(repo_dir, "update-ref", ARCHIVE, tip)
    assert len(store.search_runs(None)) == 3 and store.problems() == []


# -- refs, many at once


@pytest.mark.parametrize("header", ["# pack-refs with: peeled fully-peeled sorted \n", ""])
def test_delete_many_refs(repo_dir: Path, git: Git, header: str) -> None:
    one = git(repo_dir, "rev-parse", "HEAD")
    two = git(repo_dir, "commit-tree", "HEAD^{tree}", "-p", "HEAD", "-m", "two")
    git(repo_dir, "tag", "-a", "-m", "x", "v1")
    for name in "abcdef":
        git(repo_dir, "update-ref", f"refs/x/{name}", one)
    git(repo_dir, "pack-refs", "--all")
    packed = repo_dir / ".git/packed-refs"
    lines = packed.read_text().split("\n", 1)[1]
    packed.write_text(header + lines)
    git(repo_dir, "update-ref", "refs/x/b", two)  # loose over packed
    git(repo_dir, "update-ref", "refs/x/c", two)
    git(repo_dir, "update-ref", "refs/x/g", one)
    git(repo_dir, "update-ref", "refs/x/h", one)
    (repo_dir / ".git/refs/x/h.lock").touch()
    refs = Repository.open(str(repo_dir)).refs
    expected = {f"refs/x/{n}": one for n in "abdghz"} | {"refs/x/c": two}
    assert refs.delete_many("refs/x/", expected) == 5  # all but b, which changed, and h
    (repo_dir / ".git/refs/x/h.lock").unlink()
    left = {"refs/x/b": two, "refs/x/e": one, "refs/x/f": one, "refs/x/h": one}
    assert refs.items("refs/x/") == left
    listed = git(repo_dir, "for-each-ref", "--format=%(refname) %(objectname)", "refs/x/")
    assert dict(line.split() for line in listed.splitlines()) == left
    assert git(repo_dir, "rev-parse", "v1^{commit}") == one
    assert refs.delete_many("refs/x/", {}) == 0


def test_folded_says_what_it_did(store: GitStore) -> None:
    several(store, 2)
    commit = fold(store)[0].commit
    assert commit == store.repo.refs.read(ARCHIVE)
    run_id = finished(store)
    [told] = fold(store, dry_run=True)
    assert told == Folded("0", "Default", ARCHIVE, commit, 1, 1, [])
    assert run_refs(store) == {run_id}
