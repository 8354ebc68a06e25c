"""mlgit install: real Git runs the hooks."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest

import mlgit
from mlgit.exceptions import ResourceAlreadyExists
from mlgit.store import remotes
from mlgit.worktree import hooks


@pytest.fixture
def hooked(two: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("PYTHONPATH", str(Path(mlgit.__file__).parents[1]))
    assert [h.state for h in hooks.install(two.data().repo)] == ["made"] * 3
    return two


def test_git_checkout_brings_data(hooked: Any) -> None:
    hooked.git("checkout", "-q", "HEAD~1")
    assert hooked.files() == hooked.ONE
    hooked.git("checkout", "-q", "main")
    assert hooked.files() == hooked.TWO
    hooked.git("checkout", "-q", "-b", "next")
    hooked.write(data__a="next")
    hooked.add("data")
    hooked.commit("next")
    hooked.git("checkout", "-q", "main")
    hooked.git("merge", "-q", "next")
    assert hooked.files()["a"] == b"next"


def test_unsaved_work_outlives_a_checkout(hooked: Any) -> None:
    hooked.write(data__a="unsaved")
    hooked.git("checkout", "-q", "HEAD~1")
    assert hooked.files()["a"] == b"unsaved"


def test_git_push_takes_data_along(hooked: Any, tmp_path: Path, git: Any) -> None:
    git(tmp_path, "init", "-q", "--bare", "-b", "main", "origin.git")
    hooked.git("remote", "add", "origin", str(tmp_path / "origin.git"))
    hooked.git("push", "-q", "origin", "main", check=False)
    assert not git(tmp_path / "origin.git", "for-each-ref"), "data, and no remote for it"
    remotes.add(hooked.data().repo, "shared", str(tmp_path / "shared"))
    hooked.commit("remote")
    hooked.git("push", "-q", "origin", "main")
    shared = {
        p.parent.name + p.name
        for p in (tmp_path / "shared/objects/sha256").rglob("*")
        if p.is_file()
    }
    assert set(hooked.data().objects.all()) == shared, "that of older commits too"
    git(tmp_path, "clone", "-q", str(tmp_path / "origin.git"), "clone")
    clone = type(hooked)(tmp_path / "clone", hooked._git)
    clone.checkout()
    assert clone.files() == hooked.TWO
    hooked.git("push", "-q", "origin", "--delete", "main", check=False)


def test_only_new_commits_are_looked_at(hooked: Any, tmp_path: Path, git: Any) -> None:
    git(tmp_path, "init", "-q", "--bare", "-b", "main", "origin.git")
    hooked.git("remote", "add", "origin", str(tmp_path / "origin.git"))
    repo = hooked.data().repo
    first, last = hooked.git("rev-parse", "HEAD~1"), hooked.git("rev-parse", "HEAD")
    assert hooks._new(repo, [last], set()) == set(hooked.git("rev-list", "HEAD").split())
    assert hooks._new(repo, [last], {first}) == {last}
    assert hooks._new(repo, [first], {last}) == set()


def test_a_persons_own_hook_is_never_replaced_silently(two: Any) -> None:
    place = two / ".git/hooks/post-checkout"
    place.parent.mkdir(exist_ok=True)
    place.write_text("#!/bin/sh\necho ran >> mine\n")
    place.chmod(0o755)
    repo = two.data().repo
    with pytest.raises(ResourceAlreadyExists, match="post-checkout") as caught:
        hooks.install(repo)
    assert "before-mlgit" in caught.value.hint
    assert not (two / ".git/hooks/pre-push").exists()
    hooks.install(repo, force=True)
    two.git("checkout", "-q", "HEAD~1")
    assert (two / "mine").read_text() == "ran\n"
    assert [h.state for h in hooks.install(repo)] == ["there"] * 3
    hooks.remove(repo)
    assert place.read_text() == "#!/bin/sh\necho ran >> mine\n"
    assert not (two / ".git/hooks/pre-push").exists()


def test_without_mlgit_git_goes_on(hooked: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTHONPATH")
    for name in hooks.HOOKS:
        path = hooked / f".git/hooks/{name}"
        path.write_text(path.read_text().replace(sys.executable, "/no/such/python"))
    hooked.git("checkout", "-q", "HEAD~1")
    assert hooked.files() == hooked.TWO


def test_the_configured_folder_is_used(two: Any) -> None:
    two.git("config", "core.hooksPath", "my hooks")
    hooks.install(two.data().repo)
    assert os.access(two / "my hooks/pre-push", os.X_OK)
