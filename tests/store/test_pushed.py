"""What is known of a remote's runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from mlgit.store import archive, pushed
from mlgit.store.gitstore import GitStore

Git = Callable[..., str]


def begin_and_end(store: GitStore, name: str) -> str:
    run_id = store.runs.create("0", run_name=name, owner=True).run_id
    store.runs.finish(run_id, "FINISHED")
    return run_id


def test_runs_are_unpushed_until_the_remote_is_known_to_have_them(store: GitStore) -> None:
    first, second = begin_and_end(store, "first"), begin_and_end(store, "second")
    assert {r for r, _ in pushed.unpushed(store, "origin")} == {first, second}
    refs = store.repo.refs.items("refs/mlgit/")
    pushed.note(store.repo, "origin", refs)
    assert pushed.known(store.repo, "origin") == refs
    assert pushed.unpushed(store, "origin") == []
    assert len(pushed.unpushed(store, "other")) == 2
    store.runs.set_tag(first, "late", "1")
    assert pushed.unpushed(store, "origin") == [(first, "first")]


def test_an_archive_that_was_pushed_holds_its_runs(store: GitStore) -> None:
    begin_and_end(store, "first")
    archive.fold(store, None)
    assert len(pushed.unpushed(store, "origin")) == 1
    pushed.note(store.repo, "origin", store.repo.refs.items("refs/mlgit/"))
    assert pushed.unpushed(store, "origin") == []
    new = begin_and_end(store, "new")
    assert pushed.unpushed(store, "origin") == [(new, "new")]


def test_remotes_are_gits(store: GitStore, repo_dir: Path, git: Git) -> None:
    assert store.repo.remotes() == []
    git(repo_dir, "remote", "add", "origin", "/x")
    git(repo_dir, "remote", "add", "näher", "/y")
    assert store.repo.remotes() == ["origin", "näher"]


def test_a_name_with_slashes_and_a_damaged_memory(store: GitStore) -> None:
    begin_and_end(store, "first")
    pushed.note(store.repo, "https://host/../x", {"refs/mlgit/runs/0/a": "1" * 40})
    assert pushed.known(store.repo, "https://host/../x") == {"refs/mlgit/runs/0/a": "1" * 40}
    folder = Path(store.repo.state_dir, "remotes")
    assert len(list(folder.iterdir())) == 1
    next(folder.iterdir()).write_bytes(b"\xff\n\ngarbage\n")
    assert len(pushed.unpushed(store, "https://host/../x")) == 1
