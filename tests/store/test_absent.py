"""Artifacts that a clone doesn't have are fetched from the remote when they are read."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from mlgit.exceptions import CorruptData, ResourceDoesNotExist
from mlgit.store import remotes
from mlgit.store.gitstore import GitStore

Fresh = Callable[[Path], GitStore]


@pytest.fixture
def away(store: GitStore, repo_dir: Path, tmp_path: Path) -> str:
    """A run whose objects lie in the folder ``there`` alone."""
    run_id = store.runs.create("0", owner=True).run_id
    for path in ("top.txt", "a/b/c.txt", "a/d.txt"):
        store.log_bytes(run_id, path.encode(), path)
    store.runs.finish(run_id, "FINISHED")
    shutil.move(repo_dir / ".git/mlgit/objects", tmp_path / "there/objects")
    return run_id


def test_what_is_read_is_fetched(
    repo_dir: Path, tmp_path: Path, fresh: Fresh, store: GitStore, away: str
) -> None:
    remotes.add(store.repo, "storage", str(tmp_path / "there"))
    assert [f.path for f in fresh(repo_dir).list_artifacts(away, "a/b")] == ["a/b/c.txt"]
    assert fresh(repo_dir).read_artifact(away, "a/d.txt") == b"a/d.txt"
    held = {p.name for p in (repo_dir / ".git/mlgit/objects/sha256").rglob("*") if p.is_file()}
    assert len(held) == 3  # the manifests of a and a/b, and one file
    fresh(repo_dir).download_artifacts(away, "", str(tmp_path / "out"))
    found = [p for p in (tmp_path / "out").rglob("*") if p.is_file()]
    assert sorted(p.read_text() for p in found) == ["a/b/c.txt", "a/d.txt", "top.txt"]


def test_where_there_is_no_remote(repo_dir: Path, fresh: Fresh, away: str, tmp_path: Path) -> None:
    for path in ("top.txt", "a/d.txt", "a"):
        with pytest.raises(ResourceDoesNotExist, match="isn't in this clone") as caught:
            fresh(repo_dir).download_artifacts(away, path, str(tmp_path / "out"))
        assert "mlgit remote add" in caught.value.hint


def test_a_remote_that_lacks_or_damaged_it(
    repo_dir: Path, tmp_path: Path, fresh: Fresh, store: GitStore, away: str
) -> None:
    remotes.add(store.repo, "storage", str(tmp_path / "there"))
    entry = store.runs.record(away).artifacts["top.txt"]
    there = tmp_path / f"there/objects/sha256/{entry.sha256[:2]}/{entry.sha256[2:]}"
    there.chmod(0o644)
    there.write_bytes(b"damage!")
    with pytest.raises(CorruptData):
        fresh(repo_dir).read_artifact(away, "top.txt")
    there.unlink()
    with pytest.raises(ResourceDoesNotExist):
        fresh(repo_dir).read_artifact(away, "top.txt")
