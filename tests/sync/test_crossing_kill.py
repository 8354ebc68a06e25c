"""Pushes of crossed tags that are killed, and what random clones make of one registry."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from team import Member, clone, remote

from mlgit.git import Repository, refs
from mlgit.store.gitstore import GitStore
from mlgit.sync.fetch import fetch
from mlgit.sync.registry import push_registry

Git = Callable[..., str]

# Kills itself, and the git that it started, before its n-th step.
_KILLED = """
import os, signal, subprocess, sys
from mlgit.git import Repository
from mlgit.store.gitstore import GitStore
from mlgit.sync.fetch import fetch
from mlgit.sync.registry import push_registry

store = GitStore(Repository.open(sys.argv[1]))
left = int(sys.argv[2])

def counted(call):
    def run(*args, **kwargs):
        global left
        left -= 1
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)
        return call(*args, **kwargs)
    return run

for name in ("rename", "replace", "unlink"):
    setattr(os, name, counted(getattr(os, name)))
if os.environ["MLGIT_GIT"] == "git":
    subprocess.Popen = counted(subprocess.Popen)
fetch(store, "origin") if sys.argv[3] == "fetch" else push_registry(store)
"""


@pytest.fixture
def people(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Member, Member]]:
    """Ada has pushed; Bob has made the same versions and stages, and hasn't."""
    there = remote(tmp_path)
    for name in ("AUTHOR_NAME", "AUTHOR_EMAIL", "COMMITTER_NAME", "COMMITTER_EMAIL"):
        monkeypatch.delenv(f"GIT_{name}")
    ada, bob = clone(tmp_path, there, "Ada"), clone(tmp_path, there, "Bob")
    ada.register("m")
    push_registry(ada.store)
    fetch(bob.store, "origin")
    for member in (ada, bob):
        for model in ("m", "n"):
            number = member.register(model)
            member.registry.transition(model, number, "Production", archive_existing=True)
            member.registry.update_version(model, number, member.name)
            member.registry.set_model_tag(model, member.name, "yes")
    push_registry(ada.store)
    yield ada, bob
    for member in (ada, bob):
        member.store.close()


# Each begins at another step, and takes every ninth.
@pytest.mark.parametrize("what, program, first_step", [
    ("push", "git", 1), ("push", "git", 4), ("push", "git", 7), ("push", "dulwich", 3),
    ("fetch", "git", 6), ("fetch", "dulwich", 9),
])  # fmt: skip
def test_killed_at_every_step(
    what: str,
    program: str,
    first_step: int,
    people: tuple[Member, Member],
    tmp_path: Path,
    git: Git,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MLGIT_GIT", program)
    monkeypatch.setattr(refs, "_LOCK_WAIT", 0.1)
    ada, bob = people
    for member in people:
        member.store.close()
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    there = tmp_path / "there.git"
    published = _tags(git, there)
    before = _tags(git, bob.folder)
    held = set()
    for step in range(first_step, 500, 9):
        place = tmp_path / f"step-{step}"
        place.mkdir()
        for name in ("there.git", "bob", "ada"):
            shutil.copytree(tmp_path / name, place / name, symlinks=True)
        for name in ("bob", "ada"):
            git(place / name, "remote", "set-url", "origin", str(place / "there.git"))
        command = [sys.executable, "-c", _KILLED, str(place / "bob"), str(step), what]
        done = subprocess.run(command, env=env, capture_output=True, check=False)
        assert done.returncode in (0, -9), done.stderr.decode()
        after = _tags(git, place / "bob")
        # All of the change, or none of it.
        assert after == before or published.items() <= after.items(), step
        held.add(after == before)
        # Who is killed while refs are written may leave Git's own lock, as Git does.
        for lock in [*(place / "there.git").rglob("*.lock"), place / "bob/.git/packed-refs.lock"]:
            lock.unlink(missing_ok=True)
        second = Member("Bob", place / "bob", GitStore(Repository.open(str(place / "bob"))))
        first = Member("Ada", place / "ada", GitStore(Repository.open(str(place / "ada"))))
        push_registry(second.store)
        fetch(first.store, "origin")
        assert first.answers() == second.answers(), step
        assert first.answers()["problems"] == []
        now = _tags(git, place / "there.git")
        assert now == first.tags() == second.tags() and published.items() <= now.items()
        for model, versions in (("m", 3), ("n", 2)):
            found = second.registry.search_versions(f"name = '{model}'")
            assert sorted(v.version for v in found) == list(range(1, versions + 1)), step
            said = {v.version: v.description for v in found}
            assert (said[versions - 1], said[versions]) == ("Ada", "Bob"), step
            assert second.registry.by_alias(model, "production").version == versions
        second.store.close()
        first.store.close()
        shutil.rmtree(place)
        if done.returncode == 0:
            break
    assert done.returncode == 0 and held == {True, False}, "some steps are before the change"
    assert step > 20


def _tags(git: Git, folder: Path) -> dict[str, str]:
    shown = git(folder, "for-each-ref", "--format=%(refname) %(objectname)", "refs/tags").split()
    found = dict(zip(shown[::2], shown[1::2]))
    return {ref: sha for ref, sha in found.items() if not re.search(r"\^\{\}$", ref)}
