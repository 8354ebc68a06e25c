"""People who sign: SSH keys and a keyring of gpg's, made for one test."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from mlgit.git import Repository
from mlgit.tracking import uri


def run(*command: str, data: str = "", check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run a program."""
    done = subprocess.run(command, input=data, text=True, capture_output=True, check=False)
    assert not check or done.returncode == 0, f"{command}: {done.stderr}"
    return done


def reread() -> None:
    """Have Git's configuration read anew, as by another process."""
    uri.close_all()
    uri._stores.clear()


class SshKeys:
    """SSH keys in a folder, and the file that says whose count."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.allowed = folder / "allowed_signers"
        self.allowed.write_text("")

    def make(self, name: str, passphrase: str = "") -> Path:
        """A new private key; the public one is beside it, as ``.pub``."""
        path = self.folder / name
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", passphrase, "-C", name, "-f", str(path))
        return path

    def allow(self, name: str, principal: str, options: str = "") -> None:
        """Let a key count."""
        public = (self.folder / f"{name}.pub").read_text()
        line = f"{principal} {options} {public}" if options else f"{principal} {public}"
        with self.allowed.open("a") as f:
            f.write(line)

    def fingerprint(self, name: str) -> str:
        """As in ``SHA256:…``."""
        return run("ssh-keygen", "-lf", str(self.folder / f"{name}.pub")).stdout.split()[1]

    def use(self, repo: Path | str, key: Path | str) -> None:
        """Have a repository sign with a key."""
        for name, value in (
            ("gpg.format", "ssh"),
            ("user.signingKey", str(key)),
            ("gpg.ssh.allowedSignersFile", str(self.allowed)),
        ):
            run("git", "-C", str(repo), "config", name, value)
        reread()


@pytest.fixture
def ssh_keys(tmp_path: Path) -> SshKeys:
    """Makes SSH keys; one of Ada's is there, and counts."""
    if shutil.which("ssh-keygen") is None:
        pytest.skip("needs ssh-keygen")
    folder = tmp_path / "keys"
    folder.mkdir()
    keys = SshKeys(folder)
    keys.make("ada")
    keys.allow("ada", "ada@example.com")
    return keys


class Keyring:
    """A keyring of gpg's."""

    def make(self, user: str, expires: str = "never") -> str:
        """A new key, and its fingerprint."""
        options = ("--batch", "--pinentry-mode", "loopback", "--passphrase", "")
        done = run(
            "gpg", *options, "--status-fd=1", "--quick-gen-key", user, "ed25519", "sign", expires
        )
        return next(line.split()[-1] for line in done.stdout.splitlines() if "KEY_CREATED" in line)


@pytest.fixture
def keyring(monkeypatch: pytest.MonkeyPatch) -> Iterator[Keyring]:
    """An empty keyring, which gpg uses in this test."""
    if shutil.which("gpg") is None:
        pytest.skip("needs gpg")
    # gpg's agent listens at a path in it, and such paths must be short.
    folder = tempfile.mkdtemp(prefix="gpg", dir="/tmp")
    monkeypatch.setenv("GNUPGHOME", folder)
    yield Keyring()
    subprocess.run(["gpgconf", "--kill", "all"], check=False, capture_output=True)
    shutil.rmtree(folder, ignore_errors=True)


def agent(keys: SshKeys, monkeypatch: pytest.MonkeyPatch) -> subprocess.Popen[bytes]:
    """A running ssh-agent; whoever asks for it ends it."""
    socket = f"{tempfile.mkdtemp(prefix='ssh', dir='/tmp')}/agent"
    process = subprocess.Popen(["ssh-agent", "-D", "-a", socket], stdout=subprocess.DEVNULL)
    monkeypatch.setenv("SSH_AUTH_SOCK", socket)
    while not os.path.exists(socket):
        assert process.poll() is None
    return process


def opened(path: Path | str) -> Repository:
    """A repository, with its configuration as it is now."""
    return Repository.open(str(path))
