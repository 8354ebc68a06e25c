"""OpenPGP signatures, by ``gpg`` (its doc/DETAILS describes the lines that it prints)."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from functools import partial

from mlgit.exceptions import InvalidParameterValue, InvalidState
from mlgit.git.programs import run
from mlgit.git.repository import Repository
from mlgit.git.signing import OPENPGP, SETUP, Signature

_STATUS = "[GNUPG:] "
_INSTALL = f"install GnuPG, or set gpg.program; or sign with SSH: {SETUP}"
_LEVELS = ("undefined", "never", "marginal", "fully", "ultimate")
# One of these words tells of a signature, and why it isn't good.
_VERDICTS = {
    "GOODSIG": "",
    "BADSIG": "its signature doesn't fit its text",
    "ERRSIG": "its signature can't be checked",
    "EXPSIG": "its signature has expired",
    "EXPKEYSIG": "its key has expired",
    "REVKEYSIG": "its key is revoked",
}


def signer(repo: Repository) -> Callable[[bytes], str]:
    """What signs bytes with the key that is configured, or else the committer's."""
    key = repo.configured("user", "signingKey") or repo.committer()
    return partial(_sign, repo, key)


def _sign(repo: Repository, key: str, payload: bytes) -> str:
    code, out, err = run([_program(repo), "--status-fd=2", "-bsau", key], payload, hint=_INSTALL)
    if code or not any(line.startswith(f"{_STATUS}SIG_CREATED ") for line in err.splitlines()):
        said = " ".join(line for line in err.splitlines() if not line.startswith(_STATUS))
        raise InvalidState(
            f"gpg can't sign as {key}" + (f": {said}" if said else ""),
            hint="gpg --list-secret-keys shows which keys there are, git config user.signingKey KEY "
            f"names one; or sign with SSH: {SETUP}",
        )
    return out.replace("\r", "")


def check(repo: Repository, payload: bytes, signature: bytes) -> Signature:
    """Whether an OpenPGP signature is good: its key is in the keyring, and trusted enough.

    Args:
        repo: ``gpg.minTrustLevel`` of its configuration says how far a key must be trusted.
        payload: What is signed.
        signature: The signature.

    Raises:
        MissingDependency: There is no gpg.
        InvalidParameterValue: ``gpg.minTrustLevel`` isn't a level.
    """
    wanted = (repo.configured("gpg", "minTrustLevel") or _LEVELS[0]).lower()
    if wanted not in _LEVELS:
        raise InvalidParameterValue(
            f"gpg.minTrustLevel is {wanted!r}, which isn't a level", hint=", ".join(_LEVELS)
        )
    with tempfile.NamedTemporaryFile(prefix="mlgit-verify-", suffix=".asc") as file:
        file.write(signature)
        file.flush()
        command = [_program(repo), "--keyid-format=long", "--status-fd=1", "--verify"]
        code, out, _ = run([*command, file.name, "-"], payload, hint=_INSTALL)
    lines = [line[len(_STATUS) :] for line in out.splitlines() if line.startswith(_STATUS)]
    return _judge(code, [line.split(" ", 1) for line in lines], wanted)


def _judge(code: int, lines: list[list[str]], wanted: str) -> Signature:
    said = {line[0]: line[1] if len(line) > 1 else "" for line in lines}
    verdicts = [line[0] for line in lines if line[0] in _VERDICTS]
    if len(verdicts) != 1:
        many = "it has several signatures, of which Git takes none"
        return Signature(
            False, problem=many if verdicts else "its signature can't be read: gpg knows none in it"
        )
    key_id, _, user = said[verdicts[0]].partition(" ")
    key = said.get("VALIDSIG", "").partition(" ")[0] or key_id
    if verdicts[0] == "ERRSIG":
        user = ""
    problem, hint = _VERDICTS[verdicts[0]], ""
    if "NO_PUBKEY" in said:
        problem = f"its key {key} isn't in gpg's keyring"
        hint = "gpg --import FILE puts the public key there, if it is to count"
    elif not problem and (code or "VALIDSIG" not in said):
        problem = "its signature can't be checked"
    elif not problem and _level(said) < _LEVELS.index(wanted):
        problem = f"its key {key} is trusted less than gpg.minTrustLevel ({wanted}) asks for"
        hint = f"gpg --edit-key {key} trust says how far it is trusted"
    return Signature(not problem, user, key, problem, hint)


def _level(said: dict[str, str]) -> int:
    """How far gpg says that the key is trusted."""
    for word in said:
        if word.startswith("TRUST_") and word[6:].lower() in _LEVELS:
            return _LEVELS.index(word[6:].lower())
    return 0


def _program(repo: Repository) -> str:
    named = repo.configured("gpg", "program", OPENPGP) or repo.configured("gpg", "program")
    return os.path.expanduser(named or "gpg")
