"""Signatures of tags, made and checked as Git does it, with the same programs and configuration.

Neither needs an installed ``git``: it calls ``ssh-keygen`` and ``gpg`` as this module does
(git-scm.com/docs/git-config, "gpg.format"). A signature says that who holds a key made these
bytes; whose keys count is for ``gpg.ssh.allowedSignersFile`` and gpg's keyring to say.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from mlgit.exceptions import InvalidParameterValue, Unsupported
from mlgit.git.repository import Repository
from mlgit.git.tags import Tag, format_tag, parse_tag, split_signature

OPENPGP, SSH, X509 = "openpgp", "ssh", "x509"
_BEGINS = {
    b"-----BEGIN SSH SIGNATURE-----": SSH,
    b"-----BEGIN PGP SIGNATURE-----": OPENPGP,
    b"-----BEGIN SIGNED MESSAGE-----": X509,
}
SETUP = "git config gpg.format ssh; git config user.signingKey ~/.ssh/id_ed25519.pub"


@dataclass(frozen=True)
class Signature:
    """What a program says of a signature.

    Attributes:
        good: Whether it is right, and its key one that counts.
        signer: Who made it: a principal of the allowed signers, or the user id of a key of gpg's;
            "" where that isn't known.
        key: The key's fingerprint, as the program writes it; "" where it isn't known.
        problem: Why it isn't good; "" where it is.
        hint: What can be done about it.
    """

    good: bool
    signer: str = ""
    key: str = ""
    problem: str = ""
    hint: str = ""


@dataclass(frozen=True)
class Verification(Signature):
    """What is to be said of a tag's signature.

    Attributes:
        name: The name in the tag object, which is signed; its ref may be called otherwise.
        target: The object that the tag names, which is signed, too.
        kind: "ssh", "openpgp" or "x509"; "" where the tag isn't signed.
    """

    name: str = ""
    target: str = ""
    kind: str = ""


def signs_tags(repo: Repository) -> bool:
    """Whether Git's configuration wants every annotated tag to be signed.

    Raises:
        InvalidParameterValue: A setting is neither true nor false.
    """
    return repo.flag("tag", "gpgSign") or repo.flag("tag", "forceSignAnnotated")


def signer(repo: Repository) -> Callable[[Tag], Tag]:
    """What signs tags as ``git tag -s`` does here.

    Args:
        repo: Its configuration says how: ``gpg.format``, ``user.signingKey``, ….

    Returns:
        A function from a tag to the same tag with a signature. It raises MissingDependency where
        there is no program to sign with, and InvalidState where that fails.

    Raises:
        InvalidState: No key is configured.
        InvalidParameterValue, Unsupported: The format isn't one that mlgit signs in.
    """
    make = _maker(repo)

    def sign(tag: Tag) -> Tag:
        message = tag.message if tag.message.endswith("\n") else tag.message + "\n"
        plain = replace(tag, message=message, signature="")
        signed = replace(plain, signature=make(format_tag(plain)))
        if parse_tag(format_tag(signed)) != signed:
            raise InvalidParameterValue(
                f"The message of {tag.name} holds a line that begins a signature",
                hint="write it otherwise: Git takes what follows for the signature",
            )
        return signed

    return sign


def _maker(repo: Repository) -> Callable[[bytes], str]:
    """What makes a signature of bytes."""
    kind = (repo.configured("gpg", "format") or OPENPGP).lower()
    if kind == SSH:
        from mlgit.git import signing_ssh

        return signing_ssh.signer(repo)
    if kind == OPENPGP:
        from mlgit.git import signing_gpg

        return signing_gpg.signer(repo)
    if kind == X509:
        raise Unsupported("mlgit can't sign with X.509 certificates", hint=f"with SSH: {SETUP}")
    raise InvalidParameterValue(
        f"gpg.format is {kind!r}, which isn't a format of signatures",
        hint="openpgp (the default) or ssh",
    )


def verify_tag(repo: Repository, sha: str, name: str | None = None) -> Verification:
    """Whether a tag's signature is good, as ``git verify-tag`` says it.

    Args:
        repo: Holds the tag; its configuration says whose signatures count.
        sha: The tag object.
        name: The name that the tag is known by, without "refs/tags/". A tag that was signed
            under another name, and copied to this one, isn't good.

    Raises:
        ResourceDoesNotExist: There is no such object.
        CorruptData: It is damaged.
        MissingDependency: The program that checks such signatures isn't here.
        InvalidParameterValue: A setting of Git's configuration can't be right.
    """
    kind, raw = repo.objects.read(sha)
    if kind != "tag":
        return Verification(
            False,
            problem="it is a lightweight tag, which has no signature",
            hint="mlgit and git tag -s make signed ones",
        )
    tag = parse_tag(raw)
    payload, signature = split_signature(raw)
    form = next((f for line, f in _BEGINS.items() if signature.startswith(line)), "")
    found = _check(repo, form, payload, signature, tag.time)
    if found.good and name is not None and tag.name != name:
        found = replace(
            found, good=False, problem=f"it is a copy of the tag {tag.name}, and was signed as that"
        )
    return Verification(**vars(found), name=tag.name, target=tag.target, kind=form)


def _check(repo: Repository, form: str, payload: bytes, signature: bytes, at: int) -> Signature:
    if form == SSH:
        from mlgit.git import signing_ssh

        return signing_ssh.check(repo, payload, signature, at)
    if form == OPENPGP:
        from mlgit.git import signing_gpg

        return signing_gpg.check(repo, payload, signature)
    if form == X509:
        return Signature(
            False, problem="it is signed with an X.509 certificate, which mlgit can't check"
        )
    if signature:
        return Signature(False, problem="its signature isn't one beside the text (a detached one)")
    return Signature(False, problem="it isn't signed")
