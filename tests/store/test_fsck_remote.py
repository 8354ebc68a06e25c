"""fsck of a remote, and the quarantine of damaged objects."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from mlgit.objects.remote import RemoteObjects
from mlgit.objects.transfer import download, upload
from mlgit.store import pushed
from mlgit.store.fsck import check
from mlgit.store.fsck_remote import check_remote
from mlgit.store.gitstore import GitStore
from mlgit.store.pointers import Pointer, format_pointer
from mlgit.store.reach import reachable

Git = Callable[..., str]


@pytest.fixture
def remote(tmp_path: Path) -> RemoteObjects:
    return RemoteObjects(str(tmp_path / "remote"), name="storage")


def place(remote: RemoteObjects, sha: str) -> Path:
    return Path(remote.url, "objects/sha256", sha[:2], sha[2:])


def a_run(store: GitStore) -> str:
    run_id = store.runs.create("0", owner=True).run_id
    store.log_bytes(run_id, b"weights", "model/deep/weights.bin")
    store.log_bytes(run_id, b"note", "note.txt")
    store.runs.finish(run_id, "FINISHED")
    return run_id


def sha_at(store: GitStore, run_id: str, path: str) -> str:
    found = store.artifact(run_id, path)
    assert not isinstance(found, dict)
    return found.sha256


def messages(report: object) -> str:
    return "\n".join(f"{p.where} {p.message} {p.hint}" for p in report.problems)  # type: ignore[attr-defined]


def test_all_is_there(store: GitStore, remote: RemoteObjects) -> None:
    a_run(store)
    upload(store.objects, remote, reachable(store).objects)
    report = check_remote(store, remote, whole=True)
    assert not report.problems and report.counts["objects"] == 4


def test_missing_short_and_damaged(store: GitStore, remote: RemoteObjects) -> None:
    run_id = a_run(store)
    upload(store.objects, remote, reachable(store).objects)
    weights = sha_at(store, run_id, "model/deep/weights.bin")
    note = sha_at(store, run_id, "note.txt")
    place(remote, note).unlink()
    place(remote, weights).chmod(0o644)
    place(remote, weights).write_bytes(b"weighty")  # as many bytes
    shown = messages(check_remote(store, remote))
    assert f"note.txt: its object {note} isn't on remote storage" in shown
    assert "mlgit push --all-artifacts puts it there" in shown and weights not in shown
    shown = messages(check_remote(store, remote, whole=True))
    assert f"model/deep/weights.bin: the object {weights}" in shown and "is damaged" in shown
    place(remote, weights).write_bytes(b"weigh")
    shown = messages(check_remote(store, remote))
    assert "has 5 bytes, not 7" in shown and str(place(remote, weights)) in shown


def test_a_clone_without_artifacts_can_check(store: GitStore, remote: RemoteObjects) -> None:
    run_id = a_run(store)
    upload(store.objects, remote, reachable(store).objects)
    weights = sha_at(store, run_id, "model/deep/weights.bin")
    for sha in store.objects.all():
        Path(store.objects.path(sha)).unlink()
    assert not check_remote(store, remote).problems
    place(remote, weights).unlink()
    assert weights in messages(check_remote(store, remote))


def test_only_what_was_pushed_has_to_be_there(
    store: GitStore, remote: RemoteObjects, repo_dir: Path, git: Git
) -> None:
    git(repo_dir, "remote", "add", "origin", "elsewhere")
    store.repo.__dict__.pop("_config", None)
    a_run(store)
    assert check_remote(store, remote).problems
    pushed.note(store.repo, "origin", {})
    assert not check_remote(store, remote).problems
    entry = store.objects.put_bytes(b"data")
    (repo_dir / "data.mlgit").write_bytes(format_pointer(Pointer("data", entry)))
    git(repo_dir, "add", ".")
    git(repo_dir, "commit", "-qm", "data")
    git(repo_dir, "update-ref", "refs/remotes/origin/main", "main")
    assert entry.sha256 in messages(check_remote(store, remote))


def test_a_damaged_object_is_put_aside_and_fetched_again(
    store: GitStore, remote: RemoteObjects
) -> None:
    run_id = a_run(store)
    sizes = reachable(store).objects
    upload(store.objects, remote, sizes)
    note = sha_at(store, run_id, "note.txt")
    path = Path(store.objects.path(note))
    path.unlink()  # it is the remote's file too
    path.write_bytes(b"nope")
    assert "damaged" in messages(check(store)) and path.exists()
    shown = messages(check(store, quarantine=True))
    assert "put aside" in shown and not path.exists()
    assert Path(store.objects.root, "damaged", note).read_bytes() == b"nope"
    assert "isn't in this clone" in messages(check(store))
    download(store.objects, remote, sizes)
    assert not check(store).problems
    assert store.read_artifact(run_id, "note.txt") == b"note"


def test_pointers_are_looked_at(store: GitStore, repo_dir: Path) -> None:
    entry = store.objects.put_bytes(b"data")
    pointer = repo_dir / "data.mlgit"
    pointer.write_bytes(format_pointer(Pointer("data", entry)))
    report = check(store)
    assert not report.problems and report.counts["pointers"] == 1
    Path(store.objects.path(entry.sha256)).unlink()
    assert "isn't in this clone" in messages(check(store))
    pointer.write_text("nonsense\n")
    assert str(pointer) in messages(check(store))


def test_what_others_have_neednt_be_here(store: GitStore, repo_dir: Path, git: Git) -> None:
    git(repo_dir, "remote", "add", "origin", "elsewhere")
    run_id, mine = a_run(store), a_run(store)
    place, commit = store.runs.find_ref(run_id) or ("", "")
    pushed.note(store.repo, "origin", {place: commit})
    for sha in store.objects.all():
        Path(store.objects.path(sha)).unlink()
    report = check(store)
    assert report.elsewhere == 2  # a folder, whose files nobody knows, and a file
    assert {mine in p.where for p in report.problems} == {True} and len(report.problems) == 2
    store.log_bytes(run_id, b"late", "late.txt")  # amended, and not pushed since
    assert len(check(store).problems) == 4
