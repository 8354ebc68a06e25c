"""Push, fetch and pull: what travels, in which order, and that repeating it is safe."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mlgit.exceptions import ResourceDoesNotExist
from mlgit.git import transport as transport_module
from mlgit.git.transport_git import BinaryTransport
from mlgit.objects import transfer
from mlgit.store import names, pushed, registry_tags, remotes
from mlgit.store.archive import fold
from mlgit.sync.fetch import download, fetch, folder_for
from mlgit.sync.incoming import SHARED
from mlgit.sync.push import push

Clone = Any  # conftest's
Pair = tuple[Clone, Clone]
Git = Callable[..., str]
Sound = Callable[..., None]


@pytest.fixture(params=["git", "dulwich"])
def program(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("MLGIT_GIT", request.param)
    return str(request.param)


def remote_refs(git: Git, there: Path) -> dict[str, str]:
    lines = git(there, "for-each-ref", "--format=%(refname) %(objectname)", "refs/mlgit").split()
    return dict(zip(lines[::2], lines[1::2]))


def test_what_one_pushes_the_other_reads(
    clones: Pair, git: Git, there: Path, sound: Sound, program: str
) -> None:
    one, two = clones
    experiment = one.store.experiments.create("mnist", tags={"team": "vision"})
    first, second = one.run("first"), one.run("second", experiment)
    told = push(one.store, "origin")
    assert len(told.refs) == 3 and told.objects.objects == 4 and not told.apart
    assert remote_refs(git, there) == one.refs()
    assert pushed.known(one.store.repo, "origin") == one.refs()

    came = fetch(two.store, "origin")
    assert sorted(came.came.new) == sorted(one.refs()) and two.refs() == one.refs()
    assert two.store.runs.get(first).to_dictionary() == one.store.runs.get(first).to_dictionary()
    assert two.store.experiments.get(experiment).tags == {"team": "vision"}
    assert {r.info.run_id for r in two.store.search_runs(None)} == {first, second}
    assert list(two.store.objects.all()) == []
    assert download(two.store, runs=[first]).objects == 2
    assert len(list(two.store.objects.all())) == 2
    assert two.store.read_artifact(first, "notes/name.txt") == b"first"
    assert download(two.store, experiments=[experiment]).objects == 2
    assert download(two.store).objects == 0
    sound(one, two)


def test_repeating_is_no_work(clones: Pair, program: str) -> None:
    one, two = clones
    one.run()
    push(one.store, "origin")
    again = push(one.store, "origin")
    assert again.refs == [] and again.same == 1 and again.objects.objects == 0
    assert fetch(two.store, "origin").came.new and not fetch(two.store, "origin").came.changed()
    back = push(two.store, "origin")
    assert back.refs == [] and back.objects.objects == 0


def test_behind_moves_forward_and_ahead_is_pushed(clones: Pair, sound: Sound) -> None:
    one, two = clones
    run = one.run()
    push(one.store, "origin")
    fetch(two.store, "origin")
    two.tag(run, "seen", "yes")
    # The artifact isn't in the second clone: it was there before, so it isn't needed.
    assert len(push(two.store, "origin").refs) == 1
    assert push(one.store, "origin").refs == []
    assert one.tags(run) == {"seen": "yes"}
    one.tag(run, "more", "1")
    assert fetch(one.store, "origin").came.changed() == []
    push(one.store, "origin")
    assert fetch(two.store, "origin").came.forwarded == [names.run_ref("0", run)]
    assert two.tags(run) == {"seen": "yes", "more": "1"}
    sound(one)
    sound(two, objects=False)


def test_without_a_place_for_artifacts_no_ref_is_pushed(
    clones: Pair, git: Git, there: Path
) -> None:
    one, _ = clones
    remotes.remove(one.store.repo, "storage", local=True)
    plain, heavy = one.run("plain", artifact=None), one.run("heavy")
    with pytest.raises(ResourceDoesNotExist) as caught:
        push(one.store, "origin")
    assert "mlgit remote add" in caught.value.hint and "--no-artifacts" in caught.value.hint
    assert remote_refs(git, there) == {}
    assert push(one.store, "origin", runs=[plain]).refs == [names.run_ref("0", plain)]
    assert push(one.store, "origin", artifacts=False).refs == [names.run_ref("0", heavy)]


def test_objects_go_before_refs(
    clones: Pair, git: Git, there: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, _ = clones
    run = one.run()

    def fails(*_: object, **__: object) -> None:
        assert remote_refs(git, there) == {}
        raise OSError("the network is gone")

    monkeypatch.setattr(transfer, "upload", fails)
    with pytest.raises(OSError, match="network"):
        push(one.store, "origin")
    assert remote_refs(git, there) == {}
    monkeypatch.undo()
    assert push(one.store, "origin").refs == [names.run_ref("0", run)]


def test_an_object_that_nobody_has_is_told_before_a_ref_goes(
    clones: Pair, git: Git, there: Path
) -> None:
    one, _ = clones
    run = one.run()
    lost = one.store.artifact(run, "notes/name.txt")
    os.unlink(one.store.objects.path(lost.sha256))  # type: ignore[union-attr]
    with pytest.raises(ResourceDoesNotExist, match="object"):
        push(one.store, "origin")
    assert remote_refs(git, there) == {}


def test_a_run_that_ends_during_the_upload_waits(
    clones: Pair, git: Git, there: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, _ = clones
    first = one.run("first")
    upload = transfer.upload

    def meanwhile(*args: object, **kwargs: object) -> object:
        if "late" not in late:
            late["late"] = one.run("late")
        return upload(*args, **kwargs)  # type: ignore[arg-type]

    late: dict[str, str] = {}
    monkeypatch.setattr(transfer, "upload", meanwhile)
    assert push(one.store, "origin").refs == [names.run_ref("0", first)]
    assert push(one.store, "origin").refs == [names.run_ref("0", late["late"])]


def test_dry_run_changes_nothing(clones: Pair, git: Git, there: Path, tmp_path: Path) -> None:
    one, two = clones
    one.run()
    assert len(push(one.store, "origin", dry_run=True).refs) == 1
    assert remote_refs(git, there) == {} and not (tmp_path / "storage" / "objects").exists()
    push(one.store, "origin")
    assert len(fetch(two.store, "origin", dry_run=True).came.new) == 1
    assert two.refs() == {}


def test_names_that_mlgit_does_not_make_are_left_out(clones: Pair, git: Git, there: Path) -> None:
    one, two = clones
    sha = git(one.folder, "rev-parse", "HEAD")
    odd = ["refs/mlgit/runs/0/-x", "refs/mlgit/runs/x/y", "refs/mlgit/archive/a/b"]
    odd += ["refs/mlgit/experiments/x", "refs/mlgit/runs/0/a/b"]
    for ref in odd:
        git(one.folder, "push", "-q", "origin", f"{sha}:{ref}")
    told = fetch(two.store, "origin")
    assert sorted(told.came.refused) == sorted(odd) and two.refs() == {}


@pytest.mark.parametrize("times", [30])
def test_many_refs_are_packed(clones: Pair, times: int, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = clones
    for at in range(times):
        one.run(f"run-{at}", artifact=None)
    push(one.store, "origin")
    fetch(two.store, "origin")
    assert len(two.refs()) == times
    assert two.store.repo.refs.loose_items("refs/mlgit/") == {}


# -- archives


def test_an_archive_replaces_refs_on_both_sides(
    clones: Pair, git: Git, there: Path, sound: Sound, program: str
) -> None:
    one, two = clones
    runs = [one.run(f"run-{at}") for at in range(3)]
    push(one.store, "origin")
    fetch(two.store, "origin")
    fold(one.store)
    told = push(one.store, "origin")
    assert told.refs == ["refs/mlgit/archive/0"] and len(told.removed) == 3
    assert list(remote_refs(git, there)) == ["refs/mlgit/archive/0"]
    # The other clone's refs go too, and it doesn't put them back.
    assert len(fetch(two.store, "origin").came.dropped) == 3
    assert two.refs() == one.refs()
    assert {r.info.run_id for r in two.store.search_runs(None)} == set(runs)
    assert push(two.store, "origin").refs == []
    two.tag(runs[0], "k", "v")
    assert push(two.store, "origin").refs == [names.run_ref("0", runs[0])]
    assert fetch(one.store, "origin").came.new == [names.run_ref("0", runs[0])]
    assert one.tags(runs[0]) == {"k": "v"}
    sound(one)
    sound(two, objects=False)


def test_who_pushes_without_having_fetched_does_not_bring_refs_back(
    clones: Pair, git: Git, there: Path
) -> None:
    one, two = clones
    run = one.run()
    push(one.store, "origin")
    fetch(two.store, "origin")
    fold(one.store)
    push(one.store, "origin")
    told = push(two.store, "origin")
    assert told.refs == [] and names.run_ref("0", run) not in remote_refs(git, there)


def test_two_archives_become_one(clones: Pair, git: Git, there: Path, sound: Sound) -> None:
    one, two = clones
    common = one.run("common")
    push(one.store, "origin")
    fetch(two.store, "origin")
    mine, yours = one.run("mine"), two.run("yours")
    fold(one.store)
    fold(two.store)
    push(one.store, "origin")
    told = push(two.store, "origin")
    assert told.merged == ["refs/mlgit/archive/0"] and not told.apart
    fetch(one.store, "origin")
    assert one.refs() == two.refs() and list(one.refs()) == ["refs/mlgit/archive/0"]
    for clone in clones:
        assert {r.info.run_id for r in clone.store.search_runs(None)} == {common, mine, yours}
    sound(one, two, objects=False)


def test_archived_there_and_amended_here(clones: Pair, sound: Sound) -> None:
    one, two = clones
    run = one.run()
    push(one.store, "origin")
    fetch(two.store, "origin")
    one.tag(run, "a", "1")
    fold(one.store)
    push(one.store, "origin")
    two.tag(run, "b", "2")
    told = fetch(two.store, "origin")
    assert told.came.merged == [names.run_ref("0", run)]
    assert two.tags(run) == {"a": "1", "b": "2"}
    push(two.store, "origin")
    fetch(one.store, "origin")
    assert one.tags(run) == {"a": "1", "b": "2"}
    sound(one)


# -- interruption and others at work

_FETCHER = """
import sys
from mlgit.git import Repository
from mlgit.store.gitstore import GitStore
from mlgit.sync.fetch import download, fetch
store = GitStore(Repository.open(sys.argv[1]))
print("ready", flush=True)
fetch(store, "origin")
download(store)
"""
_PUSHER = """
import sys, time
from mlgit.git import Repository
from mlgit.store.gitstore import GitStore
from mlgit.sync.push import push
store = GitStore(Repository.open(sys.argv[1]))
print("ready", flush=True)
push(store, "origin")
"""


def _start(folder: Path, code: str = _PUSHER) -> subprocess.Popen[bytes]:
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    return subprocess.Popen(
        [sys.executable, "-c", code, str(folder)],
        env=env,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )


def whole(git: Git, there: Path, tmp_path: Path, clone: Clone) -> int:
    """Whether all that the remote's refs lead to is there; how many refs it has."""
    refs = remote_refs(git, there)
    git(there, "fsck", "--strict", "--no-dangling", "--connectivity-only")
    from mlgit.store.reach import artifacts_of

    for sha in artifacts_of(clone.store, refs.values()):
        assert (tmp_path / "storage/objects/sha256" / sha[:2] / sha[2:]).exists()
    return len(refs)


def test_a_push_that_is_killed_is_repeated(
    clones: Pair, git: Git, there: Path, tmp_path: Path, sound: Sound
) -> None:
    one, two = clones
    for at in range(20):
        one.run(f"run-{at}")
    rng = random.Random(7)
    for _ in range(6):
        process = _start(one.folder)
        assert process.stdout is not None and process.stdout.readline()
        time.sleep(rng.random() * 0.25)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()
        whole(git, there, tmp_path, one)
        (one.folder / ".git" / "packed-refs.lock").unlink(missing_ok=True)
    # Who is killed while it changes refs may leave a lock, which the error names, as Git's does.
    for lock in [*there.rglob("*.lock"), one.folder / ".git" / "packed-refs.lock"]:
        lock.unlink(missing_ok=True)
    push(one.store, "origin")
    assert whole(git, there, tmp_path, one) == 20
    fetch(two.store, "origin")
    download(two.store)
    sound(one, two)


def test_a_fetch_that_is_killed_is_repeated(clones: Pair, sound: Sound) -> None:
    one, two = clones
    for at in range(20):
        one.run(f"run-{at}")
    push(one.store, "origin")
    rng = random.Random(3)
    for _ in range(5):
        process = _start(two.folder, _FETCHER)
        assert process.stdout is not None and process.stdout.readline()
        time.sleep(rng.random() * 0.2)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()
        sound(two, objects=False)
    for lock in (two.folder / ".git").glob("*.lock"):
        lock.unlink()
    fetch(two.store, "origin")
    download(two.store)
    assert two.refs() == one.refs()
    sound(one, two)


def test_two_push_at_once(
    clones: Pair, git: Git, there: Path, tmp_path: Path, sound: Sound
) -> None:
    one, two = clones
    shared = [one.run(f"shared-{at}") for at in range(3)]
    push(one.store, "origin")
    fetch(two.store, "origin")
    for clone, name in ((one, "one"), (two, "two")):
        for at in range(5):
            clone.run(f"{name}-{at}")
        for run in shared:
            clone.tag(run, name, "x")
    processes = [_start(clone.folder) for clone in clones]
    for process in processes:
        process.communicate(timeout=60)
    assert [process.returncode for process in processes] == [0, 0]
    for clone in clones:
        fetch(clone.store, "origin")
        download(clone.store)
    assert whole(git, there, tmp_path, one) == 13
    assert one.refs() == two.refs() == remote_refs(git, there)
    for run in shared:
        assert one.tags(run) == two.tags(run) == {"one": "x", "two": "x"}
    sound(one, two, objects=False)


def test_a_rejected_ref_is_merged_and_pushed_again(
    clones: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = clones
    run = one.run()
    push(one.store, "origin")
    fetch(two.store, "origin")
    one.tag(run, "a", "1")
    push_refs = BinaryTransport.push
    others = []

    def late(self: BinaryTransport, updates: list[transport_module.Update]) -> object:
        if not others:
            others.append(run)
            two.tag(run, "b", "2")
            monkeypatch.setattr(BinaryTransport, "push", push_refs)
            push(two.store, "origin")
        return push_refs(self, updates)

    monkeypatch.setattr(BinaryTransport, "push", late)
    told = push(one.store, "origin")
    assert told.merged == told.refs == [names.run_ref("0", run)] and not told.failed
    fetch(two.store, "origin")
    assert one.tags(run) == two.tags(run) == {"a": "1", "b": "2"}


def test_the_prefixes_are_below_mlgit_but_for_tags() -> None:
    assert SHARED[-1] == "refs/tags/"
    assert all(prefix.startswith("refs/mlgit/") and prefix.endswith("/") for prefix in SHARED[:-1])


# -- the registry's tags


def tag(git: Git, clone: Clone, name: str, commit: str) -> str:
    git(clone.store.repo.worktree, "tag", "-a", "-m", name, name, commit)
    return git(clone.store.repo.worktree, "rev-parse", f"refs/tags/{name}").strip()


def tip(clone: Clone, run: str) -> str:
    return str(clone.refs()[names.run_ref("0", run)])


def test_registry_tags_travel_with_what_they_name(
    clones: Pair, git: Git, there: Path, program: str
) -> None:
    one, two = clones
    first, second = one.run("first"), one.run("second")
    made = {
        name: tag(git, one, name, tip(one, run))
        for name, run in (("m@v1.0.0", first), ("m@v2.0.0", second), ("m#prod#1", first))
    }
    tag(git, one, "release-1", "HEAD")
    told = push(one.store, "origin")
    shown = git(there, "for-each-ref", "--format=%(refname) %(objectname)", "refs/tags").split()
    assert dict(zip(shown[::2], shown[1::2])) == {f"refs/tags/{n}": s for n, s in made.items()}
    assert told.objects.objects == 4 and not told.failed and not told.apart
    assert push(one.store, "origin").refs == []
    came = fetch(two.store, "origin").came
    assert {f"refs/tags/{name}" for name in made} < set(came.new)
    assert git(two.store.repo.worktree, "cat-file", "-t", "m#prod#1").strip() == "tag"
    # Only that model's versions are downloaded; and an amended run's version stays what it was.
    assert download(two.store, models=["m"]).objects == 4
    with pytest.raises(ResourceDoesNotExist, match="No version of a model 'n'") as caught:
        download(two.store, models=["n"])
    assert caught.value.hint == "mlgit fetch brings the registry's tags from a Git remote"
    with pytest.raises(ResourceDoesNotExist) as caught:
        download(two.store, models=["mm"])
    assert caught.value.hint == "did you mean 'm'?"


def test_the_artifacts_of_one_model(clones: Pair, git: Git, program: str) -> None:
    one, two = clones
    runs = [one.run(name) for name in ("a", "b", "c")]
    for at, run in enumerate(runs):
        tag(git, one, f"m{at}@v1.0.0", tip(one, run))
    push(one.store, "origin")
    fetch(two.store, "origin")
    assert download(two.store, models=["m1"]).objects == 2
    assert two.store.read_artifact(runs[1], "notes/name.txt") == b"b"
    assert download(two.store, models=["m0"], runs=[runs[2]]).objects == 4


def test_a_tag_is_never_moved(clones: Pair, git: Git, there: Path, program: str) -> None:
    one, two = clones
    first, second = one.run("first"), two.run("second")
    theirs = tag(git, one, "m@v1.0.0", tip(one, first))
    ours = tag(git, two, "m@v1.0.0", tip(two, second))
    push(one.store, "origin")
    told = push(two.store, "origin", renumber=False)
    assert [held.model for held in told.held] == ["m"]
    assert told.refs == [names.run_ref("0", second)]
    assert git(there, "rev-parse", "refs/tags/m@v1.0.0").strip() == theirs
    assert [held.model for held in fetch(two.store, "origin", renumber=False).came.held] == ["m"]
    assert git(two.store.repo.worktree, "rev-parse", "refs/tags/m@v1.0.0").strip() == ours
    # Pushed to another remote, it is published, and so not to be made again.
    git(there.parent, "init", "-q", "--bare", "fork.git")
    push(two.store, str(there.parent / "fork.git"))
    told = push(two.store, "origin")
    assert [a.ref for a in told.apart] == ["refs/tags/m@v1.0.0"]
    assert [a.ref for a in fetch(two.store, "origin").came.apart] == ["refs/tags/m@v1.0.0"]
    assert git(two.store.repo.worktree, "rev-parse", "refs/tags/m@v1.0.0").strip() == ours
    assert git(there, "rev-parse", "refs/tags/m@v1.0.0").strip() == theirs


def test_a_tag_that_was_moved_here_is_left_alone_by_both(
    clones: Pair, git: Git, there: Path, program: str
) -> None:
    one, two = clones
    run = one.run()
    where = one.store.repo.worktree
    git(where, "tag", "light@v1.0.0", tip(one, run))
    push(one.store, "origin")
    fetch(two.store, "origin")
    two.tag(run, "k", "v")  # its newer commit stands on the tagged one
    git(two.store.repo.worktree, "tag", "-f", "light@v1.0.0", tip(two, run))
    before = git(there, "rev-parse", "refs/tags/light@v1.0.0")
    for dry_run in (True, False):
        told = push(two.store, "origin", dry_run=dry_run)
        assert [a.ref for a in told.apart] == ["refs/tags/light@v1.0.0"]
        came = fetch(two.store, "origin", dry_run=dry_run).came
        assert [a.ref for a in came.apart] == ["refs/tags/light@v1.0.0"] and not came.changed()
    assert git(there, "rev-parse", "refs/tags/light@v1.0.0") == before


def test_a_tag_whose_name_is_not_utf8(clones: Pair, git: Git, there: Path, program: str) -> None:
    one, two = clones
    run = one.run()
    name = os.fsdecode(b"caf\xe9@v1.0.0")
    git(one.store.repo.worktree, "tag", name, tip(one, run))
    push(one.store, "origin")
    fetch(two.store, "origin")
    assert download(two.store).objects == 2
    push(two.store, "origin")
    assert [v.number for v in registry_tags.versions(one.store.repo)[name[:-7]]] == [1]


def test_a_tag_that_git_cannot_keep_beside_another(clones: Pair, git: Git, there: Path) -> None:
    one, two = clones
    run = one.run()
    tag(git, one, "dir/mod@v1.0.0", tip(one, run))
    git(two.store.repo.worktree, "commit", "-q", "--allow-empty", "-m", "x")
    git(two.store.repo.worktree, "tag", "dir")
    push(one.store, "origin")
    came = fetch(two.store, "origin").came
    assert "refs/tags/dir/mod@v1.0.0" in came.refused
    assert "refs/tags/dir/mod@v1.0.0" not in git(two.store.repo.worktree, "tag")


# -- objects that aren't where refs say


def test_artifacts_that_were_left_out_are_uploaded_later(clones: Pair, there: Path) -> None:
    one, two = clones
    first = one.run("first")
    push(one.store, "origin")
    second = one.run("second")
    push(one.store, "origin", artifacts=False)
    fetch(two.store, "origin")
    with pytest.raises(ResourceDoesNotExist, match="all-artifacts"):
        try:
            download(two.store, runs=[second])
        except ResourceDoesNotExist as error:
            raise ResourceDoesNotExist(error.hint) from error
    assert push(one.store, "origin").objects.objects == 2
    assert download(two.store).objects == 4
    assert push(one.store, "origin").objects.already == 0, "nothing is looked at twice"
    # A place that is new to this clone, or that lost something.
    storage = remotes.remote_objects(one.store.repo)
    shas = [sha for sha, _, _ in storage.list()]
    storage.delete(shas)
    assert push(one.store, "origin").objects.objects == 0
    assert push(one.store, "origin", runs=[first]).objects.objects == 2
    assert push(one.store, "origin", all_artifacts=True).objects.objects == 2
    assert {sha for sha, _, _ in storage.list()} == set(shas)
    remotes.add(one.store.repo, "other", f"{there}-other", local=True)
    assert push(one.store, "origin", object_remote="other").objects.objects == 4


def test_what_is_all_here_needs_no_remote(clones: Pair) -> None:
    one, two = clones
    one.run()
    push(one.store, "origin")
    remotes.remove(one.store.repo, "storage", local=True)
    assert download(one.store).objects == 0


def test_what_tags_say(clones: Pair, git: Git) -> None:
    one, _ = clones
    run = one.run()
    commit = tip(one, run)
    for name in (
        "a/b@v3.0.0", "a/b@v12.0.0", "a/b@v12.0.0!", "x@v1.0.0", "x@v1.0.0!#1", "x@v1.0.0#2",
        "x#prod#1", "x#prod!#2", "x@created", "x@deprecated#2", "v1.0.0", "x@v1", "x@1.0.0",
    ):  # fmt: skip
        tag(git, one, name, commit)
    repo = one.store.repo
    git(repo.worktree, "tag", "-a", "-m", "tree", "x@v7.0.0", "HEAD^{tree}")
    assert registry_tags.versions(repo) == {"a/b": [(3, commit)], "x": [(1, commit)]}
    refs = repo.refs.items("refs/tags/")
    others = {"v1.0.0", "x@v1", "x@1.0.0"}
    known = {ref for ref in refs if registry_tags.is_registry_tag(ref)}
    assert set(refs) - known == {f"refs/tags/{name}" for name in others}


@pytest.mark.parametrize(
    ("url", "folder"),
    [
        ("https://example.org/a/team.git", "team"),
        ("git@example.org:team.git", "team"),
        ("/srv/team/.git/", "team"),
        ("../team/", "team"),
    ],
)
def test_the_folder_of_a_clone(url: str, folder: str) -> None:
    assert folder_for(url) == folder
    assert folder_for(url, bare=True) == f"{folder}.git"
