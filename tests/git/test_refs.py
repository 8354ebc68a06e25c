"""Changing many refs at once."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from mlgit.exceptions import Conflict, InvalidParameterValue
from mlgit.git import Repository

Git = Callable[..., str]
A, B = "refs/tags/m@v1.0.0", "refs/tags/m#prod#1"
NEW, TEXT = "refs/tags/m@v2.0.0", "refs/mlgit/registry/m"


def tags(git: Git, folder: Path) -> dict[str, str]:
    lines = git(folder, "for-each-ref", "--format=%(refname) %(objectname)").split()
    return {n: s for n, s in zip(lines[::2], lines[1::2]) if not n.startswith("refs/heads/")}


@pytest.fixture
def shas(repo_dir: Path, git: Git) -> list[str]:
    """Some commits; A is a packed ref, B a loose one, and TEXT is both, in two states."""
    made = [git(repo_dir, "rev-parse", "HEAD")]
    for at in range(2):
        git(repo_dir, "commit", "-q", "--allow-empty", "-m", str(at))
        made.append(git(repo_dir, "rev-parse", "HEAD"))
    git(repo_dir, "update-ref", A, made[0])
    git(repo_dir, "update-ref", TEXT, made[0])
    git(repo_dir, "pack-refs", "--all")
    git(repo_dir, "update-ref", TEXT, made[1])
    git(repo_dir, "update-ref", B, made[1])
    return made


def test_all_change_at_once(repo_dir: Path, git: Git, shas: list[str]) -> None:
    repo = Repository.open(str(repo_dir))
    changes = {
        A: (shas[0], shas[1]), B: (shas[1], None), NEW: (None, shas[2]), TEXT: (shas[1], shas[2]),
    }  # fmt: skip
    repo.refs.switch(changes)
    assert tags(git, repo_dir) == {A: shas[1], NEW: shas[2], TEXT: shas[2]}
    assert repo.refs.read(B) is None and repo.refs.read(TEXT) == shas[2]
    assert "missing" not in git(repo_dir, "fsck", "--strict", "--no-dangling")


@pytest.mark.parametrize("ref", [A, B, NEW, TEXT])
def test_one_that_is_another_leaves_all_as_they_are(
    ref: str, repo_dir: Path, git: Git, shas: list[str]
) -> None:
    repo = Repository.open(str(repo_dir))
    before = tags(git, repo_dir)
    changes: dict[str, tuple[str | None, str | None]] = {
        A: (shas[0], shas[1]), B: (shas[1], None), NEW: (None, shas[2]), TEXT: (shas[1], shas[2]),
    }  # fmt: skip
    changes[ref] = (shas[2], shas[2])
    with pytest.raises(Conflict) as caught:
        repo.refs.switch(changes)
    assert ref in caught.value.message and caught.value.hint
    assert tags(git, repo_dir) == before
    with pytest.raises(InvalidParameterValue):
        repo.refs.switch({"refs/tags/a b": (None, shas[0])})


_KILLED = """
import os, signal, sys
from mlgit.git import Repository
left = int(sys.argv[2])

def counted(call):
    def run(*args, **kwargs):
        global left
        left -= 1
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)
        return call(*args, **kwargs)
    return run

repo = Repository.open(sys.argv[1])
changes = eval(sys.argv[3])
for name in ("rename", "unlink", "fsync", "open", "close"):
    setattr(os, name, counted(getattr(os, name)))
repo.refs.switch(changes)
"""


def test_who_is_killed_has_changed_all_or_nothing(
    repo_dir: Path, git: Git, shas: list[str]
) -> None:
    before = tags(git, repo_dir)
    after = {A: shas[1], NEW: shas[2], TEXT: shas[2]}
    changes = {
        A: (shas[0], shas[1]), B: (shas[1], None), NEW: (None, shas[2]), TEXT: (shas[1], shas[2]),
    }  # fmt: skip
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    seen = []
    for step in range(1, 100):
        command = [sys.executable, "-c", _KILLED, str(repo_dir), str(step), repr(changes)]
        done = subprocess.run(command, env=env, check=False)
        found = tags(git, repo_dir)
        assert found in (before, after), step
        seen.append(found == after)
        for lock in (repo_dir / ".git").rglob("*.lock"):
            lock.unlink()
        if done.returncode == 0 or found == after:
            break
        git(repo_dir, "update-ref", TEXT, shas[1])  # loose again
    assert found == after and len(seen) > 5
