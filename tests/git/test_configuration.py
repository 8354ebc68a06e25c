"""Git's configuration as we read it, beside what real git says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from mlgit.exceptions import CorruptData
from mlgit.git import Repository

Git = Callable[..., str]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A person's home, in which their configuration is."""
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.delenv("GIT_CONFIG_GLOBAL")
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    (folder / ".gitconfig").write_text("[user]\n\tsigningKey = anywhere\n")
    (folder / "other").write_text("[user]\n\tsigningKey = there\n")
    return folder


@pytest.mark.parametrize(
    "condition",
    [
        "gitdir:~/code/",
        "gitdir:~/play/",
        "gitdir:~/code/team/repo/.git",
        "gitdir:~/code/team",
        "gitdir:~/*/team/**",
        "gitdir:~/*/repo/**",
        "gitdir:team/",
        "gitdir:TEAM/",
        "gitdir/i:TEAM/",
        "gitdir:./code/",
        "gitdir:/nowhere/",
        "gitdir:**",
        "onbranch:main",
        "onbranch:feature/",
        "onbranch:feat*/**",
        "onbranch:feature",
        "weather:fine",
    ],
)
def test_conditions_hold_where_git_says(condition: str, home: Path, git: Git) -> None:
    repo = home / "code" / "team" / "repo"
    repo.mkdir(parents=True)
    git(repo, "init", "-q", "-b", "feature/x", ".")
    with (home / ".gitconfig").open("a") as f:
        f.write(f'[includeIf "{condition}"]\n\tpath = other\n')
    said = git(repo, "config", "user.signingKey")
    assert said in ("anywhere", "there")
    assert Repository.open(str(repo)).configured("user", "signingKey") == said


def test_a_repositorys_own_conditions_hold(home: Path, repo_dir: Path, git: Git) -> None:
    with (repo_dir / ".git" / "config").open("a") as f:
        f.write(f'[includeIf "onbranch:main"]\n\tpath = {home}/other\n')
    assert git(repo_dir, "config", "user.signingKey") == "there"
    assert Repository.open(str(repo_dir)).configured("user", "signingKey") == "there"
    git(repo_dir, "checkout", "-q", "--detach")
    assert git(repo_dir, "config", "user.signingKey") == "anywhere"
    assert Repository.open(str(repo_dir)).configured("user", "signingKey") == "anywhere"


def test_the_environment_counts_first(
    repo_dir: Path, git: Git, monkeypatch: pytest.MonkeyPatch
) -> None:
    git(repo_dir, "config", "user.signingKey", "of the repository")
    pairs = [
        ("user.signingKey", "first"),
        ("USER.signingkey", "last"),
        ("gpg.ssh.allowedSignersFile", "/a list"),
        ("remote.with.dots.url", "there"),
    ]
    monkeypatch.setenv("GIT_CONFIG_COUNT", str(len(pairs)))
    for number, (key, value) in enumerate(pairs):
        monkeypatch.setenv(f"GIT_CONFIG_KEY_{number}", key)
        monkeypatch.setenv(f"GIT_CONFIG_VALUE_{number}", value)
    repo = Repository.open(str(repo_dir))
    for name in (
        ("user", "signingKey"),
        ("gpg", "allowedSignersFile", "ssh"),
        ("remote", "url", "with.dots"),
    ):
        whole = ".".join([name[0], *name[2:], name[1]])
        assert repo.configured(*name) == git(repo_dir, "config", whole) != ""
    monkeypatch.setenv("GIT_CONFIG_COUNT", "many")
    assert Repository.open(str(repo_dir)).configured("user", "signingKey") == "of the repository"


def test_a_file_that_cant_be_read_is_told(home: Path, repo_dir: Path) -> None:
    with (repo_dir / ".git" / "config").open("a") as f:
        f.write("[user\n")
    with pytest.raises(CorruptData, match="can't be read") as error:
        Repository.open(str(repo_dir)).configured("user", "signingKey")
    assert "git config --list" in error.value.hint
