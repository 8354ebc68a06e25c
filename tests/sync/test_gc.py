"""gc of a remote: what goes, what it refuses, and that no push loses anything by it."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mlgit.exceptions import InvalidState
from mlgit.git.transport import GitTransport, Update
from mlgit.objects.remote import RemoteObjects
from mlgit.store import remotes
from mlgit.store.fsck_remote import check_remote
from mlgit.store.pointers import Pointer, format_pointer
from mlgit.store.remotes import remote_objects
from mlgit.sync import fetch as fetching
from mlgit.sync import push as pushing
from mlgit.sync.gc import collect_remote
from tests.sync.conftest import Clone

Git = Callable[..., str]
Clones = tuple[Clone, Clone]
OLD = 30 * 86_400.0


def objects_of(clone: Clone) -> RemoteObjects:
    return remote_objects(clone.store.repo)


def there_now(clone: Clone) -> set[str]:
    return {sha for sha, _, _ in objects_of(clone).list()}


def age(clone: Clone) -> None:
    for path in Path(objects_of(clone).url).rglob("objects/sha256/*/*"):
        os.utime(path, (time.time() - OLD,) * 2)


def push(clone: Clone) -> Any:
    return pushing.push(clone.store, "origin")


def gc(clone: Clone, **options: Any) -> Any:
    return collect_remote(clone.store, objects_of(clone), force=True, **options)


def forget(clone: Clone, there: Path, run_id: str, git: Git) -> None:
    """Remove a run here and on the Git remote."""
    for folder in (clone.folder, there):
        git(folder, "update-ref", "-d", f"refs/mlgit/runs/0/{run_id}")


def test_only_what_nobody_names_goes(clones: Clones, there: Path, git: Git) -> None:
    one, _ = clones
    kept, gone = one.run("kept"), one.run("gone")
    push(one)
    everything = there_now(one)
    forget(one, there, gone, git)
    age(one)
    half = Path(objects_of(one).url, "objects/tmp/half")
    for path in (half, half.with_name("new")):
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"half")
    os.utime(half, (0, 0))
    told = collect_remote(one.store, objects_of(one))
    assert list(told.left_over.values()) == [4]
    assert len(told.going) == 2 and there_now(one) == everything
    done = gc(one)
    assert there_now(one) == everything - done.going.keys() and len(done.going) == 2
    assert not half.exists() and half.with_name("new").exists()
    assert not check_remote(one.store, objects_of(one), whole=True).problems
    assert one.store.read_artifact(kept, "notes/name.txt") == b"kept"


def test_what_is_new_stays_however_little_grace(clones: Clones, there: Path, git: Git) -> None:
    one, _ = clones
    gone = one.run("gone")
    push(one)
    forget(one, there, gone, git)
    assert gc(one, grace=0).new == 2 and len(there_now(one)) == 2


def test_others_runs_must_be_here(clones: Clones, there: Path, git: Git) -> None:
    one, two = clones
    two.run("theirs")
    push(two)
    age(two)
    everything = there_now(two)
    with pytest.raises(InvalidState, match="refs/mlgit/runs/") as caught:
        gc(one)
    assert "mlgit fetch" in caught.value.hint and there_now(two) == everything
    fetching.fetch(one.store, "origin")
    # Its record is here, its artifacts aren't: the folders are fetched to see what they hold.
    assert not gc(one).going and there_now(two) == everything


def test_data_of_branches_and_their_history(clones: Clones, there: Path, git: Git) -> None:
    one, two = clones
    shas = []
    for number in range(2):
        entry = two.store.objects.put_bytes(f"version {number}".encode())
        shas.append(entry.sha256)
        (two.folder / "data.mlgit").write_bytes(format_pointer(Pointer("data", entry)))
        git(two.folder, "add", ".")
        git(two.folder, "commit", "-qm", f"version {number}")
        push(two)
    git(two.folder, "push", "-q", "origin", "HEAD:theirs")
    assert there_now(two) >= set(shas)
    age(two)
    with pytest.raises(InvalidState, match="refs/heads/theirs") as caught:
        gc(one)
    assert "git fetch" in caught.value.hint
    git(one.folder, "fetch", "-q", "--all")
    assert not gc(one).going
    assert set(gc(one, scope="branches").going) == {shas[0]}
    assert there_now(two) == {shas[1]}


@pytest.mark.parametrize("how", ["heeding notices", "not heeding them"])
def test_a_push_that_finds_old_objects(
    clones: Clones, there: Path, git: Git, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """The objects are there, old, and nobody's; gc takes them between the push's two halves."""
    one, two = clones
    forgotten = one.run("first", artifact="same")
    push(one)
    forget(one, there, forgotten, git)
    age(one)
    two.run("second", artifact="same")
    real = pushing.transport
    removed: list[int] = []

    class Slow:
        """Lets somebody remove objects right before the refs are put."""

        def __init__(self, inner: GitTransport) -> None:
            self.inner = inner

        def __getattr__(self, name: str) -> Any:
            return getattr(self.inner, name)

        def push(self, updates: list[Update]) -> Any:
            if not removed:
                removed.append(len(gc(one).going))
            return self.inner.push(updates)

    monkeypatch.setattr(pushing, "transport", lambda repo, remote: Slow(real(repo, remote)))
    if how == "not heeding them":
        monkeypatch.setattr(pushing.Watch, "disturbed", lambda self: False)
        push(two)
        assert check_remote(two.store, objects_of(two)).problems  # what it is there for
        return
    push(two)
    assert removed == [2]
    assert not check_remote(two.store, objects_of(two), whole=True).problems


def test_pushes_and_gc_over_and_over(clones: Clones, there: Path, git: Git) -> None:
    """Two at once, for as long as it takes; whatever is named at the end is there."""
    one, two = clones
    stop = threading.Event()
    errors: list[BaseException] = []
    removed = 0

    def work() -> None:
        try:
            for number in range(8):
                run_id = two.run(f"run {number}", artifact=f"text {number % 3}")
                push(two)
                if number % 2:
                    forget(two, there, run_id, git)
                    pushing.pushed.note(two.store.repo, "origin", {})
        except BaseException as error:
            errors.append(error)
        finally:
            stop.set()

    worker = threading.Thread(target=work)
    worker.start()
    while not stop.is_set():
        age(one)
        try:
            fetching.fetch(one.store, "origin")
            removed += len(gc(one).going)
        except InvalidState:
            continue  # a run came between fetch and gc
        for ref in one.refs():
            git(one.folder, "update-ref", "-d", ref)
    worker.join()
    assert not errors
    assert not check_remote(two.store, objects_of(two), whole=True).problems
    assert remotes.read_config(one.store.repo).default == "storage" and removed >= 0
