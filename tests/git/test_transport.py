"""One contract for both transports, over files, HTTP (git http-backend) and SSH."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from gitserver import GitServer

from mlgit.exceptions import (
    InvalidParameterValue,
    MissingDependency,
    MlgitException,
    PermissionDenied,
    ResourceDoesNotExist,
)
from mlgit.git import Repository
from mlgit.git.transport import OK, REJECTED, GitTransport, Update, clone, masked, transport

Git = Callable[..., str]
RUN = "refs/mlgit/runs/0/"


@pytest.fixture
def http(tmp_path: Path) -> Iterator[Callable[..., str]]:
    """Serves ``tmp_path`` on loopback; gives its URL, with or without asking for a password."""
    with GitServer(tmp_path) as server:
        yield server.serve


@pytest.fixture(params=["git", "dulwich"])
def program(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Which transport."""
    monkeypatch.setenv("MLGIT_GIT", request.param)
    return str(request.param)


SSHD = shutil.which("sshd") or "/usr/sbin/sshd"


@pytest.fixture(scope="session")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """A real SSH server on loopback; gives its user@host:port and the command that logs in."""
    if not os.path.exists(SSHD) or not shutil.which("ssh-keygen"):
        pytest.skip("OpenSSH's server isn't installed")
    place = tmp_path_factory.mktemp("sshd")
    for name in ("host", "own"):
        made = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(place / name)]
        subprocess.run(made, check=True)
    if os.geteuid() == 0:
        os.makedirs("/run/sshd", exist_ok=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = {
        "ListenAddress": "127.0.0.1", "Port": port, "HostKey": place / "host",
        "AuthorizedKeysFile": place / "own.pub", "PidFile": "none", "UsePAM": "no",
        "StrictModes": "no", "PasswordAuthentication": "no", "PermitRootLogin": "yes",
    }  # fmt: skip
    command = [SSHD, "-D", "-e", "-f", "/dev/null"]
    command += [part for name, value in options.items() for part in ("-o", f"{name}={value}")]
    with open(place / "log", "wb") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        for _ in range(100):
            try:
                socket.create_connection(("127.0.0.1", port), 0.2).close()
                break
            except OSError:
                if server.poll() is not None:
                    pytest.skip(f"sshd doesn't start: {(place / 'log').read_text()[-200:]}")
                time.sleep(0.05)
        login = (
            f"ssh -F none -i {place}/own -o IdentitiesOnly=yes -o BatchMode=yes"
            f" -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR"
        )
        yield f"{getpass.getuser()}@127.0.0.1:{port}", login
    finally:
        server.terminate()
        server.wait()


@pytest.fixture(params=["path", "file", "http", "ssh", "sshd"])
def url(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    git: Git,
    monkeypatch: pytest.MonkeyPatch,
) -> str:
    """The URL of an empty bare repository ``there.git``."""
    there = tmp_path / "there.git"
    git(tmp_path, "init", "-q", "--bare", str(there))
    git(there, "config", "http.receivepack", "true")
    if request.param == "http":
        return request.getfixturevalue("http")() + "/there.git"
    if request.param == "ssh":
        # What ssh does, without the network: run the command that the client asks for.
        fake = tmp_path / "ssh"
        fake.write_text('#!/bin/sh\nfor last; do :; done\nexec sh -c "$last"\n')
        fake.chmod(0o755)
        monkeypatch.setenv("GIT_SSH_COMMAND", str(fake))
        monkeypatch.setenv("GIT_SSH_VARIANT", "ssh")
        return f"ssh://ada@there.example{there}"
    if request.param == "sshd":
        host, login = request.getfixturevalue("sshd")
        monkeypatch.setenv("GIT_SSH_COMMAND", login)
        return f"ssh://{host}{there}"
    return f"file://{there}" if request.param == "file" else str(there)


def commits(git: Git, folder: Path, count: int, message: str = "run") -> list[str]:
    """Commits that stand on HEAD, each with a file of its own."""
    made = []
    for at in range(count):
        blob = git(folder, "hash-object", "-w", "--stdin", data=f"{message} {at}".encode())
        tree = git(folder, "mktree", data=f"100644 blob {blob}\trun.yaml\n".encode())
        made.append(git(folder, "commit-tree", tree, "-p", "HEAD", "-m", f"{message} {at}"))
    return made


def pair(repo_dir: Path, url: str) -> tuple[Repository, GitTransport]:
    repo = Repository.open(str(repo_dir))
    return repo, transport(repo, url)


def other(tmp_path: Path, git: Git, url: str) -> tuple[Path, Repository, GitTransport]:
    folder = tmp_path / "other"
    git(tmp_path, "init", "-q", str(folder))
    return folder, *pair(folder, url)


# -- the contract


def test_what_is_pushed_is_listed_and_fetched(
    repo_dir: Path, tmp_path: Path, git: Git, program: str, url: str
) -> None:
    made = commits(git, repo_dir, 3)
    refs = {f"{RUN}r{at}": sha for at, sha in enumerate(made)}
    repo, remote = pair(repo_dir, url)
    assert remote.list_refs([RUN]) == {}
    results = remote.push([Update(ref, sha, None) for ref, sha in refs.items()])
    assert sorted(results) == [(ref, OK, "") for ref in sorted(refs)]
    assert remote.list_refs([RUN]) == refs
    assert remote.list_refs(["refs/mlgit/archive/"]) == {}
    # Nothing is left here, and no ref but the pushed ones is there.
    assert repo.refs.items("refs/mlgit/") == {}
    assert remote.list_refs(["refs/"]) == refs

    folder, there, back = other(tmp_path, git, url)
    back.fetch(back.list_refs(["refs/mlgit/"]))
    assert there.refs.items("refs/") == {}, "a fetch writes no ref"
    assert there.objects.commit(made[1]) == repo.objects.commit(made[1])
    there.refs.add_packed(refs)
    for place in (repo_dir, folder, tmp_path / "there.git"):
        assert "missing" not in git(place, "fsck", "--strict", "--no-dangling")


def test_a_ref_moves_forward_only(
    repo_dir: Path, tmp_path: Path, git: Git, program: str, url: str
) -> None:
    first, sideways = commits(git, repo_dir, 2)
    git(repo_dir, "reset", "-q", "--hard", first)
    second = commits(git, repo_dir, 1, "later")[0]
    _, remote = pair(repo_dir, url)
    ref = RUN + "r"
    assert remote.push([Update(ref, first, None)])[0].status == OK
    assert remote.push([Update(ref, second, first)])[0].status == OK
    assert remote.list_refs([RUN]) == {ref: second}
    # Back, and to a line of its own: refused, with what was seen last and with what is there.
    for new, old in ((first, second), (sideways, second), (sideways, first), (sideways, None)):
        (result,) = remote.push([Update(ref, new, old)])
        assert (result.ref, result.status) == (ref, REJECTED), result
        assert result.reason
    assert remote.list_refs([RUN]) == {ref: second}
    assert remote.push([Update(ref, second, second)])[0].status == OK


def test_one_that_is_rejected_leaves_the_others_alone(
    repo_dir: Path, tmp_path: Path, git: Git, program: str, url: str
) -> None:
    one, two, three = commits(git, repo_dir, 3)
    _, remote = pair(repo_dir, url)
    remote.push([Update(RUN + "a", one, None)])
    results = remote.push([Update(RUN + "a", two, one), Update(RUN + "b", three, None)])
    assert [result.status for result in results] == [REJECTED, OK]
    assert remote.list_refs([RUN]) == {RUN + "a": one, RUN + "b": three}


def test_a_ref_is_removed_if_it_still_is_what_it_was(
    repo_dir: Path, tmp_path: Path, git: Git, program: str, url: str
) -> None:
    one, two = commits(git, repo_dir, 2)
    _, remote = pair(repo_dir, url)
    remote.push([Update(RUN + "a", one, None), Update(RUN + "b", two, None)])
    results = remote.push([Update(RUN + "a", None, two), Update(RUN + "b", None, two)])
    assert [result.status for result in results] == [REJECTED, OK]
    assert remote.list_refs([RUN]) == {RUN + "a": one}


def test_what_the_other_side_refuses_is_told(
    repo_dir: Path, tmp_path: Path, git: Git, program: str, url: str
) -> None:
    if not url.startswith(("http", "ssh")) and program == "dulwich":
        pytest.skip("dulwich runs no hooks in a repository that it opens itself")
    hook = tmp_path / "there.git" / "hooks" / "update"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text('#!/bin/sh\ncase "$1" in *secret) echo not that one >&2; exit 1;; esac\n')
    hook.chmod(0o755)
    one, two = commits(git, repo_dir, 2)
    _, remote = pair(repo_dir, url)
    results = remote.push([Update(RUN + "secret", one, None), Update(RUN + "b", two, None)])
    assert [result.status for result in results] == ["error", OK]
    assert "hook" in results[0].reason
    assert remote.list_refs([RUN]) == {RUN + "b": two}


def test_an_atomic_push_is_all_or_nothing(
    repo_dir: Path, tmp_path: Path, git: Git, program: str, url: str
) -> None:
    one, two, three = commits(git, repo_dir, 3)
    _, remote = pair(repo_dir, url)
    remote.push([Update(RUN + "a", one, None)])
    both = [Update(RUN + "a", two, one), Update(RUN + "b", three, None)]
    results = remote.push(both, atomic=True)
    assert [result.status for result in results] == [REJECTED, REJECTED]
    assert remote.list_refs([RUN]) == {RUN + "a": one}
    results = remote.push(
        [Update(RUN + "b", two, None), Update(RUN + "c", three, None)], atomic=True
    )
    assert [result.status for result in results] == [OK, OK] and not remote.torn
    assert remote.list_refs([RUN]) == {RUN + "a": one, RUN + "b": two, RUN + "c": three}


@pytest.mark.parametrize("kind", ["update", "pre-receive"])
def test_an_atomic_push_that_a_hook_refuses(
    repo_dir: Path, tmp_path: Path, git: Git, program: str, url: str, kind: str
) -> None:
    if not url.startswith(("http", "ssh")) and program == "dulwich":
        pytest.skip("dulwich runs no hooks in a repository that it opens itself")
    hook = tmp_path / "there.git" / "hooks" / kind
    hook.parent.mkdir(exist_ok=True)
    refuse = "*secret*) echo the secret is protected >&2; exit 1;;"
    hook.write_text(f'#!/bin/sh\ncase "$1$(cat)" in {refuse} esac\n')
    hook.chmod(0o755)
    one, two = commits(git, repo_dir, 2)
    _, remote = pair(repo_dir, url)
    both = [Update(RUN + "a", one, None), Update(RUN + "secret", two, None)]
    results = remote.push(both, atomic=True)
    assert [result.status for result in results] == ["error", "error"], results
    assert "hook declined" in results[1].reason
    assert "the secret is protected" in remote.heard
    assert remote.list_refs([RUN]) == {}
    assert remote.push(both[:1], atomic=True)[0].status == OK
    assert "protected" not in remote.heard


def test_an_other_side_that_cannot_push_atomically(
    repo_dir: Path, tmp_path: Path, git: Git, program: str, url: str
) -> None:
    if not url.startswith(("http", "ssh")) and program == "dulwich":
        pytest.skip("dulwich is the other side itself")
    git(tmp_path / "there.git", "config", "receive.advertiseAtomic", "false")
    one, two = commits(git, repo_dir, 2)
    _, remote = pair(repo_dir, url)
    results = remote.push([Update(RUN + "a", one, None), Update(RUN + "b", two, None)], atomic=True)
    assert [result.status for result in results] == [OK, OK] and remote.torn
    assert remote.list_refs([RUN]) == {RUN + "a": one, RUN + "b": two}


def test_a_repository_that_is_not_there(
    repo_dir: Path, tmp_path: Path, git: Git, program: str, url: str
) -> None:
    _, remote = pair(repo_dir, url.replace("there.git", "nowhere.git"))
    for call in (
        lambda: remote.list_refs([RUN]),
        lambda: remote.push([Update(RUN + "a", git(repo_dir, "rev-parse", "HEAD"), None)]),
    ):
        with pytest.raises(MlgitException) as caught:
            call()
        assert caught.value.hint
        if not (program == "dulwich" and url.startswith("ssh")):
            assert isinstance(caught.value, ResourceDoesNotExist), caught.value


def test_a_clone_has_the_branch(
    repo_dir: Path, tmp_path: Path, git: Git, program: str, url: str
) -> None:
    git(repo_dir, "push", "-q", str(tmp_path / "there.git"), "main")
    git(tmp_path / "there.git", "symbolic-ref", "HEAD", "refs/heads/main")
    clone(url, str(tmp_path / "copy"))
    assert (tmp_path / "copy" / "train.py").read_text() == "print('training')\n"
    assert git(tmp_path / "copy", "remote", "get-url", "origin") == url
    assert git(tmp_path / "copy", "status", "--porcelain") == ""


# -- what is a transport's own


def test_a_password_is_asked_for_and_not_shown(
    repo_dir: Path,
    tmp_path: Path,
    git: Git,
    program: str,
    http: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    git(tmp_path, "init", "-q", "--bare", "there.git")
    git(tmp_path / "there.git", "config", "http.receivepack", "true")
    monkeypatch.setenv("GIT_TERMINAL_PROMPT", "0")
    url = http("secret") + "/there.git"
    with pytest.raises(PermissionDenied):
        transport(Repository.open(str(repo_dir)), url).list_refs([RUN])
    named = url.replace("http://", "http://ada:hush@")
    remote = transport(Repository.open(str(repo_dir)), named)
    sha = git(repo_dir, "rev-parse", "HEAD")
    assert remote.push([Update(RUN + "a", sha, None)])[0].status == OK
    with pytest.raises(MlgitException) as caught:
        transport(Repository.open(str(repo_dir)), named + "x").list_refs([RUN])
    assert "hush" not in str(caught.value)
    assert masked("http://ada:hush@x") == "http://ada:***@x"


def test_a_remote_by_name_and_a_path_beside_it(
    repo_dir: Path, tmp_path: Path, git: Git, program: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    git(tmp_path, "init", "-q", "--bare", "there.git")
    git(repo_dir, "remote", "add", "team", "../there.git")
    (repo_dir / "src").mkdir()
    sha = git(repo_dir, "rev-parse", "HEAD")
    for place, name in ((repo_dir, "team"), (repo_dir / "src", "team"), (tmp_path, "there.git")):
        monkeypatch.chdir(place)
        remote = transport(Repository.open(str(repo_dir)), name)
        assert remote.push([Update(f"{RUN}{place.name}", sha, None)])[0].status == OK
    assert len(git(tmp_path / "there.git", "for-each-ref").splitlines()) == 3


def test_more_refs_than_a_command_line_holds(
    repo_dir: Path, tmp_path: Path, git: Git, program: str
) -> None:
    git(tmp_path, "init", "-q", "--bare", "there.git")
    made = commits(git, repo_dir, 4)
    refs = {f"{RUN}{at:0200d}": made[at % 4] for at in range(300)}
    _, remote = pair(repo_dir, str(tmp_path / "there.git"))
    results = remote.push([Update(ref, sha, None) for ref, sha in refs.items()])
    assert {result.status for result in results} == {OK} and len(results) == 300
    _, there, back = other(tmp_path, git, str(tmp_path / "there.git"))
    back.fetch(back.list_refs([RUN]))
    assert all(there.objects.exists(sha) for sha in made)


def test_the_hook_of_the_person_is_not_run(repo_dir: Path, tmp_path: Path, git: Git) -> None:
    git(tmp_path, "init", "-q", "--bare", "there.git")
    hook = repo_dir / ".git" / "hooks" / "pre-push"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)
    _, remote = pair(repo_dir, str(tmp_path / "there.git"))
    sha = git(repo_dir, "rev-parse", "HEAD")
    assert remote.push([Update(RUN + "a", sha, None)])[0].status == OK


@pytest.mark.parametrize("remote", ["--upload-pack=touch x", "-x", "", "a\nb"])
def test_a_remote_is_no_option(repo_dir: Path, remote: str) -> None:
    with pytest.raises(InvalidParameterValue):
        transport(Repository.open(str(repo_dir)), remote)


def test_without_git_dulwich_does_it(
    repo_dir: Path, tmp_path: Path, git: Git, monkeypatch: pytest.MonkeyPatch
) -> None:
    git(tmp_path, "init", "-q", "--bare", "there.git")
    monkeypatch.setenv("PATH", str(tmp_path))
    _, remote = pair(repo_dir, str(tmp_path / "there.git"))
    assert type(remote).__name__ == "DulwichTransport"
    sha = Repository.open(str(repo_dir)).head().commit
    assert remote.push([Update(RUN + "a", sha, None)])[0].status == OK
    monkeypatch.setenv("MLGIT_GIT", "no-such-git")
    with pytest.raises(MissingDependency, match="no-such-git"):
        transport(Repository.open(str(repo_dir)), "origin")


def test_ctrl_c_ends_git_too(repo_dir: Path, tmp_path: Path) -> None:
    slow = tmp_path / "git"
    slow.write_text(f"#!/bin/sh\necho $$ > {tmp_path}/pid\nexec sleep 60\n")
    slow.chmod(0o755)
    code = (
        "import sys; from mlgit.git import Repository; from mlgit.git.transport import transport;"
        "transport(Repository.open(sys.argv[1]), 'origin').list_refs(['refs/mlgit/'])"
    )
    env = {**os.environ, "MLGIT_GIT": str(slow), "PYTHONPATH": str(Path(__file__).parents[2])}
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(repo_dir)], env=env, stderr=subprocess.DEVNULL
    )
    while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text().strip():
        assert process.poll() is None
    time.sleep(0.3)  # until it waits for Git
    process.send_signal(2)
    process.wait(timeout=5)
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


assert shutil.which("git"), "the tests compare with the real git"
