"""A host that protects tags, or can't push atomically: what a person is told."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from gitserver import GitServer
from team import Member, clone, remote

from mlgit.exceptions import Conflict, PermissionDenied
from mlgit.git import Repository
from mlgit.git.signing import signer
from mlgit.store.gitstore import GitStore
from mlgit.sync.fetch import fetch
from mlgit.sync.push import push
from mlgit.sync.refusals import explained
from mlgit.sync.registry import push_registry

Git = Callable[..., str]

# What hosts print, as their documentation and issue trackers show it.
_GITHUB = """error: GH013: Repository rule violations found for refs/tags/m#production#1.
- Cannot create ref due to creations being restricted."""
_GITHUB_OLD = "error: GH006: Protected tag update failed for refs/tags/m#production#1."
_GITLAB = "GitLab: You are not allowed to create this tag as it is protected."


@pytest.fixture
def there(tmp_path: Path) -> Path:
    return remote(tmp_path)


@pytest.fixture
def ada(tmp_path: Path, there: Path) -> Iterator[Member]:
    member = clone(tmp_path, there, "Ada")
    yield member
    member.store.close()


def hook(there: Path, kind: str, pattern: str, says: str) -> None:
    """A hook that refuses what it is told of that matches a pattern of the shell."""
    path = there / "hooks" / kind
    path.parent.mkdir(exist_ok=True)
    said = "\n".join(f"echo '{line}' >&2" for line in says.splitlines())
    given = '"$1"' if kind == "update" else '"$(cat)"'
    path.write_text(f"#!/bin/sh\ncase {given} in *{pattern}*)\n{said}\nexit 1;; esac\n")
    path.chmod(0o755)


def tags_there(git: Git, there: Path) -> list[str]:
    return git(there, "tag").split()


@pytest.mark.parametrize("kind", ["pre-receive", "update"])
@pytest.mark.parametrize(
    "says, who",
    [
        (_GITHUB, "Rulesets"),
        (_GITHUB_OLD, "Rulesets"),
        (_GITLAB, "Protected tags"),
        ("deploys are protected: ask the release team", "the remote's hook"),
    ],
)
def test_a_protected_tag(
    kind: str, says: str, who: str, ada: Member, there: Path, git: Git
) -> None:
    hook(there, kind, "#production#", says)
    ada.register("m")
    ada.registry.transition("m", 1, "Production")
    ada.registry.set_alias("m", "champion", 1)
    with pytest.raises(PermissionDenied) as caught:
        push_registry(ada.store)
    told = caught.value
    assert told.message.startswith("The host protects "), told.message
    assert f"it says: {says.splitlines()[0]}" in told.message
    if kind == "update" or "m#production#1" in says:
        assert told.message.startswith("The host protects m#production#1\n")
        assert "git tag -d 'm#production#1' gives it up" in told.hint
    assert who in told.hint and "mlgit push" in told.hint
    assert tags_there(git, there) == [], "all or none"
    git(ada.folder, "tag", "-d", "m#production#1")
    push_registry(ada.store)
    assert tags_there(git, there) == ["m#champion#2", "m@v1.0.0"]


def test_a_protected_tag_without_git(
    ada: Member, there: Path, tmp_path: Path, git: Git, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLGIT_GIT", "dulwich")
    git(there, "config", "http.receivepack", "true")
    hook(there, "pre-receive", "#production#", _GITHUB)
    ada.register("m")
    ada.registry.transition("m", 1, "Production")
    with GitServer(tmp_path) as server, pytest.raises(PermissionDenied) as caught:
        push_registry(ada.store, f"{server.serve()}/there.git")
    assert caught.value.message.startswith("The host protects m#production#1\n")
    assert _GITHUB.splitlines()[0] in caught.value.message
    assert tags_there(git, there) == []


def test_what_came_with_a_protected_tag_is_given_up_with_it(
    ada: Member, there: Path, git: Git
) -> None:
    ada.register("m")
    ada.registry.transition("m", 1, "Staging")
    push_registry(ada.store)
    hook(there, "update", "#production#", _GITHUB)
    ada.registry.transition("m", 1, "Production")
    ada.registry.set_alias("m", "champion", 1)
    with pytest.raises(PermissionDenied) as caught:
        push_registry(ada.store)
    assert "git tag -d 'm#production#2' 'm#staging!#3' gives it up" in caught.value.hint
    git(ada.folder, "tag", "-d", "m#production#2", "m#staging!#3")
    push_registry(ada.store)
    assert ada.registry.version("m", 1).current_stage == "Staging"
    assert tags_there(git, there) == ["m#champion#4", "m#staging#1", "m@v1.0.0"]


def test_other_models_go_all_the_same(ada: Member, there: Path, git: Git) -> None:
    hook(there, "pre-receive", "m#production#", _GITLAB)
    for model in ("m", "n"):
        ada.register(model)
        ada.registry.transition(model, 1, "Production")
    told = push(ada.store, "origin")
    assert sorted(told.failed) == [
        "refs/mlgit/registry/m",
        "refs/tags/m#production#1",
        "refs/tags/m@v1.0.0",
    ]
    assert tags_there(git, there) == ["n#production#1", "n@v1.0.0"]
    (refusal,) = told.refusals
    assert _GITLAB in refusal.message


def test_a_hook_that_says_nothing(ada: Member, there: Path, git: Git) -> None:
    hook(there, "pre-receive", "production", "")
    ada.register("m")
    ada.registry.transition("m", 1, "Production")
    with pytest.raises(PermissionDenied, match="has a hook that refuses m#production#1, m@v1"):
        push_registry(ada.store)


def test_what_is_no_refusal_is_not_explained() -> None:
    assert explained({"refs/tags/m@v1.0.0": "failed to write"}, "") == []
    assert explained({"refs/mlgit/runs/0/a": "pre-receive hook declined"}, "protected") == []


def test_a_remote_that_cannot_push_atomically(ada: Member, there: Path, git: Git) -> None:
    git(there, "config", "receive.advertiseAtomic", "false")
    ada.register("m")
    told = push_registry(ada.store)
    assert told.torn and not told.failed
    assert tags_there(git, there) == ["m@v1.0.0"]


# -- signatures


@pytest.mark.skipif(not shutil.which("ssh-keygen"), reason="ssh-keygen isn't installed")
@pytest.mark.parametrize("how", ["asked", "configured"])
def test_a_signed_tag_is_signed_again_or_left(
    how: str, ada: Member, there: Path, tmp_path: Path, git: Git
) -> None:
    key = tmp_path / "key"
    made = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)]
    subprocess.run(made, check=True)
    (tmp_path / "signers").write_text(f"ada@example.com {key.with_suffix('.pub').read_text()}")
    bob = clone(tmp_path, there, "Bob")
    for member in (ada, bob):
        git(member.folder, "config", "gpg.format", "ssh")
        git(member.folder, "config", "user.signingKey", str(key))
        git(member.folder, "config", "gpg.ssh.allowedSignersFile", str(tmp_path / "signers"))
    sign = signer(Repository.open(str(bob.folder)))
    ada.register("m")
    push_registry(ada.store)
    fetch(bob.store, "origin")
    ada.registry.set_alias("m", "a", 1)
    bob.registry.set_alias("m", "b", 1, sign=sign)
    bob.register("n")
    push_registry(ada.store)
    before = bob.tags()
    with pytest.raises(
        Conflict, match="m#b#1 is signed, and has to be made again as m#b#2"
    ) as told:
        push_registry(bob.store)
    assert "mlgit push --sign" in told.value.hint
    assert bob.tags() == before and "n@v1.0.0" in tags_there(git, there)
    assert [held.model for held in fetch(bob.store, "origin").came.held] == ["m"]
    if how == "configured":
        git(bob.folder, "config", "tag.gpgSign", "true")
        bob.store.close()
        bob.store = GitStore(Repository.open(str(bob.folder)))
    push_registry(bob.store, sign=sign if how == "asked" else None)
    fetch(ada.store, "origin")
    assert ada.answers() == bob.answers()
    git(ada.folder, "tag", "-v", "m#b#2")
    bob.store.close()
