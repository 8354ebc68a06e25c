"""SSH signatures, by ``ssh-keygen -Y`` (man.openbsd.org/ssh-keygen, git-scm.com/docs/git-config).

The namespace is "git", as Git has it: what was signed for something else doesn't count.
"""

from __future__ import annotations

import os
import re
import shlex
import tempfile
import time
from collections.abc import Callable
from functools import partial

from mlgit.exceptions import InvalidParameterValue, InvalidState, MlgitException, Unsupported
from mlgit.git.programs import run
from mlgit.git.repository import Repository
from mlgit.git.signing import Signature

_NAMESPACE = "git"
_INSTALL = "install OpenSSH (8.2 or later), or set gpg.ssh.program"
_KEY_HINT = "git config user.signingKey ~/.ssh/id_ed25519.pub, or key::ssh-ed25519 AAAA…"
_GOOD = re.compile(
    r'^Good "git" signature(?: for (?P<who>.+))? with \S+ key (?P<key>\S+)\s*$', re.M
)
# What ssh-keygen says of keys that the files know, and that don't count.
_REVOKED, _EXPIRED, _EARLY = "revoked", "expired", "not yet valid"


def signer(repo: Repository) -> Callable[[bytes], str]:
    """What signs bytes with the key that is configured.

    Raises:
        InvalidState: No key is configured, or its file isn't there.
    """
    key = repo.configured("user", "signingKey") or _default_key(repo)
    literal = _literal(key)
    if literal is None:
        path = _path(repo, key)
        if not os.path.exists(path):
            raise InvalidState(
                f"user.signingKey names {path}, and there is no such file", hint=_KEY_HINT
            )
        return partial(_sign, repo, path)
    return partial(_sign_literal, repo, literal)


def _default_key(repo: Repository) -> str:
    """The key that ``gpg.ssh.defaultKeyCommand`` prints first."""
    command = repo.configured("gpg", "defaultKeyCommand", "ssh")
    if not command:
        raise InvalidState(
            "user.signingKey isn't set, so there is no key to sign with", hint=_KEY_HINT
        )
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise InvalidParameterValue(
            f"gpg.ssh.defaultKeyCommand can't be read: {error}", hint=_KEY_HINT
        ) from error
    code, out, err = run(words, hint="set gpg.ssh.defaultKeyCommand otherwise", cwd=_folder(repo))
    first = out.split("\n", 1)[0].strip()
    if code or _literal(first) is None:
        raise InvalidState(
            f"gpg.ssh.defaultKeyCommand ({command}) gave no key" + _quoted(err),
            hint="ssh-add puts a key into the agent; or " + _KEY_HINT,
        )
    return first


def _literal(key: str) -> str | None:
    """The public key that a setting is; None where it is a file's name."""
    if key.startswith("key::"):
        return key[len("key::") :]
    return key if key.startswith("ssh-") else None


def _sign_literal(repo: Repository, key: str, payload: bytes) -> str:
    with tempfile.TemporaryDirectory(prefix="mlgit-key-") as folder:
        path = _write(folder, "key", key.encode("utf-8", "surrogateescape") + b"\n")
        return _sign(repo, path, payload)


def _sign(repo: Repository, key: str, payload: bytes) -> str:
    with tempfile.TemporaryDirectory(prefix="mlgit-sign-") as folder:
        text = _write(folder, "tag", payload)
        code, _, err = _keygen(repo, "sign", "-n", _NAMESPACE, "-f", key, text)
        if code:
            raise _failure(key, err)
        with open(f"{text}.sig", encoding="ascii", newline="") as f:
            return f.read().replace("\r", "")


def _failure(key: str, said: str) -> MlgitException:
    if "usage:" in said:
        return Unsupported("This ssh-keygen can't sign: it is older than 8.2", hint=_INSTALL)
    lowered = said.lower()
    hint = "ssh-keygen -Y sign -n git -f KEY FILE must work with the same key"
    if "passphrase" in lowered:
        hint = "ssh-add KEY asks for the passphrase once, and the agent then signs"
    elif "agent" in lowered or "private key" in lowered or "load public key" in lowered:
        hint = "the private key must be beside the public one, or in the agent: ssh-add -L lists it"
    return InvalidState(f"ssh-keygen can't sign with {key}{_quoted(said)}", hint=hint)


def check(repo: Repository, payload: bytes, signature: bytes, at: int) -> Signature:
    """Whether an SSH signature is good.

    Args:
        repo: ``gpg.ssh.allowedSignersFile`` and ``gpg.ssh.revocationFile`` of its configuration
            say whose keys count.
        payload: What is signed.
        signature: The signature.
        at: When it was made, in seconds since 1970: keys count for a time. 0 is now.

    Raises:
        MissingDependency, Unsupported: There is no ssh-keygen that can.
    """
    allowed = repo.configured("gpg", "allowedSignersFile", "ssh")
    if not allowed:
        return Signature(
            False,
            problem="gpg.ssh.allowedSignersFile isn't set, so nobody's signature counts",
            hint="git config gpg.ssh.allowedSignersFile FILE; a line of it: ada@example.com "
            "ssh-ed25519 AAAA…",
        )
    allowed = _path(repo, allowed)
    if not os.path.isfile(allowed):
        return Signature(
            False, problem=f"gpg.ssh.allowedSignersFile names {allowed}, which isn't there"
        )
    revoked = repo.configured("gpg", "revocationFile", "ssh")
    if revoked and not os.path.exists(_path(repo, revoked)):
        # Git only warns. Who may not sign any more can't be told, so nobody may.
        return Signature(
            False, problem=f"gpg.ssh.revocationFile names {_path(repo, revoked)}, which isn't there"
        )
    options = ["-r", _path(repo, revoked)] if revoked else []
    with tempfile.TemporaryDirectory(prefix="mlgit-verify-") as folder:
        file = _write(folder, "signature", signature)
        return _verify(repo, payload, ["-s", file, *_when(at)], allowed, options)


def _verify(
    repo: Repository, payload: bytes, which: list[str], allowed: str, options: list[str]
) -> Signature:
    code, out, said = _keygen(repo, "find-principals", "-f", allowed, *which)
    if code and "usage:" in said:
        raise Unsupported("This ssh-keygen can't verify: it is older than 8.2", hint=_INSTALL)
    for principal in out.splitlines() if not code else ():
        code, out, err = _keygen(
            repo, "verify", "-n", _NAMESPACE, "-f", allowed, "-I", principal, *options, *which,
            data=payload,
        )  # fmt: skip
        found = _GOOD.search(out)
        if code == 0 and found and found["who"]:
            return Signature(True, found["who"], found["key"])
        said += out + err
    # Whose it is, though it doesn't count.
    code, out, err = _keygen(repo, "check-novalidate", "-n", _NAMESPACE, *which, data=payload)
    found = _GOOD.search(out)
    if code or not found:
        return Signature(False, problem="its signature doesn't fit its text" + _quoted(out + err))
    return Signature(False, key=found["key"], **_why(found["key"], allowed, said))


def _why(key: str, allowed: str, said: str) -> dict[str, str]:
    """Why the signature of a key doesn't count, where it is right in itself."""
    lowered = said.lower()
    if _REVOKED in lowered:
        return {"problem": f"its key {key} is revoked (gpg.ssh.revocationFile)"}
    if _EXPIRED in lowered or _EARLY in lowered:
        when = "had expired" if _EXPIRED in lowered else "wasn't valid yet"
        return {"problem": f"its key {key} {when} when it was signed, says {allowed}"}
    return {
        "problem": f"its key {key} isn't among those allowed to sign ({allowed})"
        + (_quoted(said) if said.strip() else ""),
        "hint": "if it is to be, put a line for it into that file",
    }


def _when(at: int) -> list[str]:
    try:
        return [f"-Overify-time={time.strftime('%Y%m%d%H%M%S', time.localtime(at))}"] if at else []
    except (ValueError, OverflowError, OSError):
        return []  # no clock shows such a time: the key must count now


def _keygen(
    repo: Repository, doing: str, *arguments: str, data: bytes = b""
) -> tuple[int, str, str]:
    program = repo.configured("gpg", "program", "ssh") or "ssh-keygen"
    command = [os.path.expanduser(program), "-Y", doing, *arguments]
    return run(command, data, hint=_INSTALL, cwd=_folder(repo))


def _folder(repo: Repository) -> str:
    """Where relative paths of Git's configuration begin."""
    return repo.worktree or repo.git_dir


def _path(repo: Repository, name: str) -> str:
    return os.path.join(_folder(repo), os.path.expanduser(name))


def _write(folder: str, name: str, data: bytes) -> str:
    path = f"{folder}/{name}"
    with open(path, "wb") as f:
        f.write(data)
    return path


def _quoted(said: str) -> str:
    """What a program said, to be put behind a sentence."""
    said = " ".join(said.split())
    return f": {said}" if said else ""
