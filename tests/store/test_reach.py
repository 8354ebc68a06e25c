"""What is reached: against a model that reads everything in the plainest way."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from mlgit.exceptions import CorruptData, ResourceDoesNotExist
from mlgit.objects import Entry, LocalObjects
from mlgit.objects.manifest import parse_manifest
from mlgit.store.archive import fold
from mlgit.store.gitstore import GitStore
from mlgit.store.pointers import Pointer, format_pointer
from mlgit.store.reach import artifacts_of, expand, reachable

Git = Callable[..., str]


def sha_of(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def ended_run(store: GitStore, files: dict[str, str]) -> str:
    run_id = store.runs.create("0", owner=True).run_id
    for path, text in files.items():
        store.log_bytes(run_id, text.encode(), path)
    store.runs.finish(run_id, "FINISHED")
    return run_id


def commit_of(store: GitStore, run_id: str) -> str:
    found = store.runs.find_ref(run_id)
    assert found is not None
    return found[1]


def point_at(store: GitStore, folder: Path, name: str, text: str) -> str:
    """Put a file into the objects and a pointer to it into a folder; the object's name."""
    entry = store.objects.put_bytes(text.encode())
    (folder / f"{name}.mlgit").write_bytes(format_pointer(Pointer(name, entry)))
    return entry.sha256


def brute(objects: LocalObjects, entries: list[Entry]) -> dict[str, int]:
    found = {}
    for entry in entries:
        data = objects.read(entry.sha256)
        found[entry.sha256] = len(data)
        if entry.kind == "d":
            found.update(brute(objects, list(parse_manifest(data).values())))
    return found


def test_artifacts_of_runs_are_theirs_alone(store: GitStore) -> None:
    one = ended_run(store, {"a.txt": "a", "deep/er/b.txt": "b"})
    other = ended_run(store, {"c.txt": "c", "deep/er/b.txt": "b"})
    first = artifacts_of(store, [commit_of(store, one)])
    both = artifacts_of(store, [commit_of(store, one), commit_of(store, other)])
    root = store.runs.record(one).artifacts
    assert first == brute(store.objects, list(root.values()))
    assert {sha_of("a"), sha_of("b")} <= first.keys() and sha_of("c") not in first
    assert len(first) == 4  # two files, and the manifests of deep/ and deep/er/
    assert both.keys() - first.keys() == {sha_of("c")}


def test_artifacts_of_what_isnt_a_run(store: GitStore, repo_dir: Path, git: Git) -> None:
    with pytest.raises(CorruptData, match="isn't a run's"):
        artifacts_of(store, [git(repo_dir, "rev-parse", "HEAD")])


def test_manifests_that_are_not_here_are_fetched_level_by_level(store: GitStore) -> None:
    run_id = ended_run(store, {"a/b/c/d.txt": "d", "x/y.txt": "y"})
    root = store.runs.record(run_id).artifacts
    expected = expand(store.objects, root.values())
    kept = {}
    for sha in list(expected):
        path = Path(store.objects.path(sha))
        kept[sha] = path.read_bytes()
        path.unlink()
    asked: list[set[str]] = []

    def fetch(shas: set[str]) -> None:
        asked.append(shas)
        for sha in shas:
            Path(store.objects.path(sha)).write_bytes(kept[sha])

    with pytest.raises(ResourceDoesNotExist):
        expand(store.objects, root.values())
    missing: set[str] = set()
    assert expand(store.objects, root.values(), missing=missing).keys() == missing
    assert missing == {root["a"].sha256, root["x"].sha256}
    assert artifacts_of(store, [commit_of(store, run_id)], fetch) == expected
    assert [len(shas) for shas in asked] == [2, 1, 1]


def test_a_damaged_manifest_is_told(store: GitStore) -> None:
    run_id = ended_run(store, {"a/b.txt": "b"})
    path = Path(store.objects.path(store.runs.record(run_id).artifacts["a"].sha256))
    path.chmod(0o644)
    path.write_bytes(b"mlgit-manifest 1\n")
    found = reachable(store)
    assert found.missing == {store.runs.record(run_id).artifacts["a"].sha256}


class TestReachable:
    def test_older_commits_of_a_run_and_archives(self, store: GitStore) -> None:
        run_id = ended_run(store, {"model.txt": "old"})
        store.log_bytes(run_id, b"new", "model.txt")
        archived = ended_run(store, {"model.txt": "archived"})
        fold(store)
        store.log_bytes(archived, b"amended", "model.txt")
        texts = ["old", "new", "archived", "amended"]
        assert {sha_of(text) for text in texts} <= reachable(store).objects.keys()

    def test_a_going_run(self, store: GitStore) -> None:
        run_id = store.runs.create("0", owner=True).run_id
        store.log_bytes(run_id, b"first", "a.txt")
        store.log_bytes(run_id, b"second", "a.txt")
        assert {sha_of("first"), sha_of("second")} <= reachable(store).objects.keys()
        store.runs.finish(run_id, "FINISHED")

    def test_a_run_whose_ref_was_deleted_is_not(
        self, store: GitStore, repo_dir: Path, git: Git
    ) -> None:
        run_id = ended_run(store, {"a.txt": "gone"})
        kept = ended_run(store, {"a.txt": "accepted"})
        tagged = ended_run(store, {"a.txt": "tagged"})
        git(repo_dir, "branch", "accepted", commit_of(store, kept))
        git(repo_dir, "tag", "-a", "-m", "v1", "wine@v1.0.0", commit_of(store, tagged))
        for each in (run_id, kept, tagged):
            git(repo_dir, "update-ref", "-d", f"refs/mlgit/runs/0/{each}")
        found = reachable(store).objects
        assert sha_of("gone") not in found
        assert {sha_of("accepted"), sha_of("tagged")} <= found.keys()
        here = reachable(store, scope="here").objects
        assert sha_of("accepted") not in here and sha_of("tagged") in here

    def test_pointers_of_files_index_head_stash_and_branches(
        self, store: GitStore, repo_dir: Path, git: Git
    ) -> None:
        shas = {}
        shas["old"] = point_at(store, repo_dir, "data", "old")
        git(repo_dir, "add", ".")
        git(repo_dir, "commit", "-qm", "old")
        shas["branch"] = point_at(store, repo_dir, "data", "branch")
        git(repo_dir, "checkout", "-q", "-b", "other")
        git(repo_dir, "commit", "-qam", "branch")
        git(repo_dir, "update-ref", "refs/remotes/origin/far", "other")
        git(repo_dir, "checkout", "-q", "main")
        git(repo_dir, "branch", "-qD", "other")
        for text in ("stashed once", "stashed twice"):
            shas[text] = point_at(store, repo_dir, "data", text)
            git(repo_dir, "stash", "-q")
        shas["head"] = point_at(store, repo_dir, "data", "head")
        git(repo_dir, "commit", "-qam", "head")
        shas["index"] = point_at(store, repo_dir, "data", "index")
        git(repo_dir, "add", ".")
        folder = repo_dir / "deep"
        folder.mkdir()
        shas["file"] = point_at(store, repo_dir, "data", "file")
        shas["deep"] = point_at(store, folder, "data", "deep")
        linked = repo_dir.parent / "linked"
        git(repo_dir, "worktree", "add", "-q", "--detach", str(linked), "main~1")
        shas["linked"] = point_at(store, linked, "data", "linked")

        found = reachable(store)
        assert not found.unreadable
        everything = set(shas.values())
        assert everything - found.objects.keys() == set()
        here = reachable(store, scope="here").objects
        assert everything - here.keys() == {shas["branch"]}
        git(repo_dir, "worktree", "remove", "--force", str(linked))
        git(repo_dir, "stash", "clear")
        # "old" is still in main's history, but at no tip.
        assert shas["old"] not in reachable(store).objects
        assert shas["old"] in reachable(store, scope="history").objects
        assert shas["stashed once"] not in reachable(store, scope="history").objects

    def test_what_a_pointer_keeps_is_not_walked(self, store: GitStore, repo_dir: Path) -> None:
        point_at(store, repo_dir, "data", "x")
        (repo_dir / "data").mkdir()
        inside = point_at(store, repo_dir / "data", "inner", "inner")
        assert inside not in reachable(store).objects

    def test_what_cannot_be_read_is_told(self, store: GitStore, repo_dir: Path, git: Git) -> None:
        (repo_dir / "bad.mlgit").write_text("<<<<<<< HEAD\nformat: 1\n")
        found = reachable(store)
        assert [os.path.basename(problem.where) for problem in found.unreadable] == ["bad.mlgit"]
        (repo_dir / "bad.mlgit").unlink()
        sha = point_at(store, repo_dir, "data", "renamed")
        (repo_dir / "data.mlgit").rename(repo_dir / "moved.mlgit")
        found = reachable(store)
        assert not found.unreadable and sha in found.objects
        (repo_dir / ".git/refs/mlgit/runs/0").mkdir(parents=True)
        (repo_dir / ".git/refs/mlgit/runs/0/torn").write_text("")
        assert [problem.where for problem in reachable(store).unreadable] == [
            "refs/mlgit/runs/0/torn"
        ]
