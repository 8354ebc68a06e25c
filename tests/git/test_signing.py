"""Signatures of tags: ours by real git, git's by us, and everything that isn't good."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from signers import Keyring, SshKeys, agent, opened, run

from mlgit.exceptions import (
    CorruptData,
    InvalidParameterValue,
    InvalidState,
    MissingDependency,
    Unsupported,
)
from mlgit.git import ANY
from mlgit.git.signing import Verification, signer, signs_tags, verify_tag
from mlgit.git.tags import Tag, format_tag, parse_tag, split_signature

Git = Callable[..., str]
MESSAGE = "# m: version 1\nformat: 1\nmodel: größe\n"


def make_tag(folder: Path, name: str = "m@v1.0.0", *, at: int | None = None) -> str:
    """A signed tag of HEAD, made by mlgit, and its object's name."""
    repo = opened(folder)
    head = repo.head().commit
    assert head
    tagger = f"{repo.committer()} {at or int(time.time())} +0000"
    signed = signer(repo)(Tag(head, "commit", name, tagger, MESSAGE))
    sha = repo.objects.write("tag", format_tag(signed))
    repo.refs.update(f"refs/tags/{name}", sha, None)
    return sha


def verified(folder: Path, name: str = "m@v1.0.0") -> Verification:
    """What mlgit says of a tag."""
    repo = opened(folder)
    sha = repo.refs.read(f"refs/tags/{name}")
    assert sha
    return verify_tag(repo, sha, name)


def git_says_good(folder: Path, name: str = "m@v1.0.0") -> bool:
    """What real git says of it."""
    return run("git", "-C", str(folder), "verify-tag", name, check=False).returncode == 0


# -- SSH


def test_git_finds_our_ssh_signature_good(repo_dir: Path, ssh_keys: SshKeys) -> None:
    ssh_keys.use(repo_dir, ssh_keys.folder / "ada.pub")
    make_tag(repo_dir)
    assert git_says_good(repo_dir)
    found = verified(repo_dir)
    assert found.good and found.problem == ""
    assert (found.kind, found.signer) == ("ssh", "ada@example.com")
    assert found.key == ssh_keys.fingerprint("ada")
    assert found.target == opened(repo_dir).head().commit


def test_we_find_gits_ssh_signature_good(repo_dir: Path, ssh_keys: SshKeys, git: Git) -> None:
    ssh_keys.use(repo_dir, ssh_keys.folder / "ada")
    git(repo_dir, "tag", "-s", "-m", "a text\n\nof several lines", "m@v1.0.0")
    found = verified(repo_dir)
    assert found.good and found.signer == "ada@example.com"


def test_an_ssh_signature_is_made_of_the_same_bytes_as_gits(
    repo_dir: Path, ssh_keys: SshKeys, git: Git, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Ed25519 is deterministic: the same text gives the same signature, byte for byte.
    ssh_keys.use(repo_dir, ssh_keys.folder / "ada")
    monkeypatch.setenv("GIT_COMMITTER_DATE", "1700000000 +0000")
    options = ("-s", "--cleanup=verbatim", "-F", "-")
    git(repo_dir, "tag", *options, "m@v1.0.0", data=MESSAGE.encode())
    theirs = git(repo_dir, "rev-parse", "refs/tags/m@v1.0.0")
    git(repo_dir, "tag", "-d", "m@v1.0.0")
    assert make_tag(repo_dir, at=1700000000) == theirs


def test_a_literal_public_key_is_signed_with_by_the_agent(
    repo_dir: Path, ssh_keys: SshKeys, monkeypatch: pytest.MonkeyPatch
) -> None:
    if shutil.which("ssh-agent") is None:
        pytest.skip("needs ssh-agent")
    process = agent(ssh_keys, monkeypatch)
    try:
        run("ssh-add", "-q", str(ssh_keys.folder / "ada"))
        (ssh_keys.folder / "ada").unlink()
        public = (ssh_keys.folder / "ada.pub").read_text().strip()
        ssh_keys.use(repo_dir, f"key::{public}")
        make_tag(repo_dir, "m@v1.0.0")
        ssh_keys.use(repo_dir, public)
        make_tag(repo_dir, "m@v2.0.0")
        ssh_keys.use(repo_dir, "")
        run("git", "-C", str(repo_dir), "config", "gpg.ssh.defaultKeyCommand", "ssh-add -L")
        make_tag(repo_dir, "m@v3.0.0")
        for name in ("m@v1.0.0", "m@v2.0.0", "m@v3.0.0"):
            assert verified(repo_dir, name).good and git_says_good(repo_dir, name)
        run("ssh-add", "-q", "-D")
        with pytest.raises(InvalidState, match="gave no key"):
            signer(opened(repo_dir))
        ssh_keys.use(repo_dir, f"key::{public}")
        with pytest.raises(InvalidState, match="ssh-keygen can't sign") as error:
            make_tag(repo_dir, "m@v4.0.0")
        assert "ssh-add" in error.value.hint
    finally:
        process.terminate()
        process.wait()


def test_a_home_folder_and_the_root_of_the_files_are_understood(
    repo_dir: Path, ssh_keys: SshKeys, git: Git, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(ssh_keys.folder))
    ssh_keys.use(repo_dir, "~/ada.pub")
    shutil.copy(ssh_keys.allowed, repo_dir / "signers")
    git(repo_dir, "config", "gpg.ssh.allowedSignersFile", "signers")
    (repo_dir / "below").mkdir()
    monkeypatch.chdir(repo_dir / "below")
    make_tag(repo_dir)
    assert verified(repo_dir).good and git_says_good(repo_dir)


def test_a_key_that_nobody_allowed_isnt_good(repo_dir: Path, ssh_keys: SshKeys) -> None:
    ssh_keys.use(repo_dir, ssh_keys.make("eve"))
    make_tag(repo_dir)
    found = verified(repo_dir)
    assert not found.good and not git_says_good(repo_dir)
    assert "isn't among those allowed to sign" in found.problem
    assert (found.key, found.signer) == (ssh_keys.fingerprint("eve"), "")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ('valid-before="20200101"', "had expired"),
        ('valid-after="20300101"', "wasn't valid yet"),
        ('namespaces="file"', "isn't among those allowed"),
    ],
)
def test_a_key_counts_for_its_time_and_purpose(
    options: str, says: str, repo_dir: Path, ssh_keys: SshKeys
) -> None:
    ssh_keys.use(repo_dir, ssh_keys.make("bob"))
    ssh_keys.allow("bob", "bob@example.com", options)
    make_tag(repo_dir, at=1_750_000_000)
    found = verified(repo_dir)
    assert not found.good and not git_says_good(repo_dir)
    assert says in found.problem


def test_the_taggers_time_is_what_counts(repo_dir: Path, ssh_keys: SshKeys) -> None:
    ssh_keys.use(repo_dir, ssh_keys.make("bob"))
    ssh_keys.allow("bob", "bob@example.com", 'valid-after="20190101",valid-before="20200101"')
    make_tag(repo_dir, at=1_560_000_000)  # 2019
    assert verified(repo_dir).good and git_says_good(repo_dir)


@pytest.mark.parametrize("principal", ["*@example.com", "team,ada@example.com"])
def test_principals_are_patterns_and_lists(
    principal: str, repo_dir: Path, ssh_keys: SshKeys
) -> None:
    ssh_keys.allowed.write_text("# the team\n\n")
    ssh_keys.allow("ada", principal)
    ssh_keys.use(repo_dir, ssh_keys.folder / "ada")
    make_tag(repo_dir)
    found = verified(repo_dir)
    assert found.good == git_says_good(repo_dir)


def test_a_certificate_counts_by_its_authority(repo_dir: Path, ssh_keys: SshKeys) -> None:
    authority, bob = ssh_keys.make("authority"), ssh_keys.make("bob")
    run(
        "ssh-keygen", "-q", "-s", str(authority), "-I", "bob", "-n", "bob@example.com", f"{bob}.pub"
    )
    ssh_keys.allow("authority", "*@example.com", "cert-authority")
    ssh_keys.use(repo_dir, f"{bob}-cert.pub")
    make_tag(repo_dir)
    found = verified(repo_dir)
    assert found.good == git_says_good(repo_dir)
    assert found.signer in ("bob@example.com", "")


def test_a_revoked_key_isnt_good(repo_dir: Path, ssh_keys: SshKeys, git: Git) -> None:
    ssh_keys.use(repo_dir, ssh_keys.folder / "ada")
    make_tag(repo_dir)
    revoked = ssh_keys.folder / "revoked"
    git(repo_dir, "config", "gpg.ssh.revocationFile", str(revoked))
    assert "isn't there" in verified(repo_dir).problem  # git goes on, and only warns
    revoked.write_text("")
    assert verified(repo_dir).good
    shutil.copy(ssh_keys.folder / "ada.pub", revoked)
    found = verified(repo_dir)
    assert not found.good and not git_says_good(repo_dir)
    assert "revoked" in found.problem and found.key == ssh_keys.fingerprint("ada")
    run("ssh-keygen", "-q", "-k", "-f", str(revoked), str(ssh_keys.folder / "ada.pub"))
    assert "revoked" in verified(repo_dir).problem


def test_without_allowed_signers_nobody_is(repo_dir: Path, ssh_keys: SshKeys, git: Git) -> None:
    ssh_keys.use(repo_dir, ssh_keys.folder / "ada")
    make_tag(repo_dir)
    ssh_keys.allowed.write_text("not a line of it\n")
    assert not verified(repo_dir).good
    ssh_keys.allowed.unlink()
    assert "isn't there" in verified(repo_dir).problem
    git(repo_dir, "config", "--unset", "gpg.ssh.allowedSignersFile")
    found = verified(repo_dir)
    assert not found.good and "isn't set" in found.problem and "git config" in found.hint


def test_what_was_signed_for_something_else_isnt_good(repo_dir: Path, ssh_keys: SshKeys) -> None:
    ssh_keys.use(repo_dir, ssh_keys.folder / "ada")
    repo = opened(repo_dir)
    tag = Tag(str(repo.head().commit), "commit", "m@v1.0.0", f"{repo.committer()} 1 +0000", MESSAGE)
    text = ssh_keys.folder / "text"
    text.write_bytes(format_tag(tag))
    run("ssh-keygen", "-q", "-Y", "sign", "-n", "file", "-f", f"{ssh_keys.folder}/ada", str(text))
    signed = replace(tag, signature=(ssh_keys.folder / "text.sig").read_text())
    sha = repo.objects.write("tag", format_tag(signed))
    repo.refs.update("refs/tags/m@v1.0.0", sha, None)
    assert not verified(repo_dir).good and not git_says_good(repo_dir)


def test_ssh_errors_say_what_to_do(
    repo_dir: Path, ssh_keys: SshKeys, git: Git, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    monkeypatch.setenv("SSH_ASKPASS", "/bin/false")
    monkeypatch.setenv("SSH_ASKPASS_REQUIRE", "force")
    ssh_keys.use(repo_dir, "")
    with pytest.raises(InvalidState, match="user.signingKey isn't set") as error:
        signer(opened(repo_dir))
    assert "git config user.signingKey" in error.value.hint
    ssh_keys.use(repo_dir, "/nowhere/key.pub")
    with pytest.raises(InvalidState, match="/nowhere/key.pub"):
        signer(opened(repo_dir))
    ssh_keys.use(repo_dir, ssh_keys.make("locked", passphrase="a secret"))
    with pytest.raises(InvalidState, match="passphrase") as error:
        make_tag(repo_dir)
    assert "ssh-add" in error.value.hint
    only_public = ssh_keys.make("public")
    only_public.unlink()
    ssh_keys.use(repo_dir, f"{only_public}.pub")
    with pytest.raises(InvalidState, match="can't sign"):
        make_tag(repo_dir)
    git(repo_dir, "config", "gpg.ssh.program", "/nowhere/ssh-keygen")
    with pytest.raises(MissingDependency, match="/nowhere/ssh-keygen"):
        make_tag(repo_dir)
    git(repo_dir, "config", "gpg.ssh.program", "false")
    git(repo_dir, "config", "gpg.ssh.defaultKeyCommand", "echo 'an unclosed")
    ssh_keys.use(repo_dir, "")
    with pytest.raises(InvalidParameterValue, match="defaultKeyCommand"):
        signer(opened(repo_dir))


# -- OpenPGP


def test_git_finds_our_gpg_signature_good(repo_dir: Path, keyring: Keyring) -> None:
    key = keyring.make("Ada <ada@example.com>")  # the committer: no key need be named
    make_tag(repo_dir)
    assert git_says_good(repo_dir)
    found = verified(repo_dir)
    assert found.good
    assert (found.kind, found.signer, found.key) == ("openpgp", "Ada <ada@example.com>", key)


def test_we_find_gits_gpg_signature_good(repo_dir: Path, keyring: Keyring, git: Git) -> None:
    git(repo_dir, "config", "user.signingKey", keyring.make("Bob <bob@example.com>"))
    git(repo_dir, "tag", "-s", "-m", "text", "m@v1.0.0")
    assert verified(repo_dir).good
    make_tag(repo_dir, "m@v2.0.0")
    assert verified(repo_dir, "m@v2.0.0").signer == "Bob <bob@example.com>"
    assert git_says_good(repo_dir, "m@v2.0.0")


def test_gpg_keys_are_trusted_as_far_as_git_asks(
    repo_dir: Path, keyring: Keyring, git: Git
) -> None:
    key = keyring.make("Ada <ada@example.com>")
    make_tag(repo_dir)
    run("gpg", "--batch", "--import-ownertrust", data=f"{key}:2:\n")
    assert verified(repo_dir).good == git_says_good(repo_dir) is True
    git(repo_dir, "config", "gpg.minTrustLevel", "marginal")
    found = verified(repo_dir)
    assert not found.good and not git_says_good(repo_dir)
    assert "gpg.minTrustLevel" in found.problem
    run("gpg", "--batch", "--import-ownertrust", data=f"{key}:6:\n")
    assert verified(repo_dir).good and git_says_good(repo_dir)
    git(repo_dir, "config", "gpg.minTrustLevel", "boundless")
    with pytest.raises(InvalidParameterValue, match="boundless"):
        verified(repo_dir)


def test_a_gpg_key_that_isnt_known_isnt_good(repo_dir: Path, keyring: Keyring) -> None:
    key = keyring.make("Ada <ada@example.com>")
    make_tag(repo_dir)
    run("gpg", "--batch", "--yes", "--delete-secret-and-public-key", key)
    found = verified(repo_dir)
    assert not found.good and not git_says_good(repo_dir)
    assert "isn't in gpg's keyring" in found.problem and key.endswith(found.key)


def test_a_revoked_gpg_key_isnt_good(repo_dir: Path, keyring: Keyring, tmp_path: Path) -> None:
    key = keyring.make("Ada <ada@example.com>")
    make_tag(repo_dir)
    import os

    made = Path(os.environ["GNUPGHOME"]) / "openpgp-revocs.d" / f"{key}.rev"
    certificate = tmp_path / "revoke"
    certificate.write_text(made.read_text().replace(":-----BEGIN", "-----BEGIN"))
    run("gpg", "--batch", "--import", str(certificate))
    found = verified(repo_dir)
    assert not found.good and not git_says_good(repo_dir)
    assert "revoked" in found.problem


def test_an_expired_gpg_key_isnt_good(repo_dir: Path, keyring: Keyring) -> None:
    keyring.make("Ada <ada@example.com>", expires="seconds=1")
    make_tag(repo_dir)
    time.sleep(2)
    found = verified(repo_dir)
    assert not found.good and not git_says_good(repo_dir)
    assert "expired" in found.problem


def test_several_gpg_signatures_are_none(repo_dir: Path, keyring: Keyring, git: Git) -> None:
    keys = [keyring.make(f"{name} <{name}@example.com>") for name in ("ada", "bob")]
    repo = opened(repo_dir)
    tag = Tag(str(repo.head().commit), "commit", "t", f"{repo.committer()} 1 +0000", MESSAGE)
    both = [word for key in keys for word in ("-u", key)]
    done = run("gpg", "--armor", "--detach-sign", *both, data=format_tag(tag).decode())
    sha = repo.objects.write("tag", format_tag(replace(tag, signature=done.stdout)))
    repo.refs.update("refs/tags/t", sha, None)
    found = verified(repo_dir, "t")
    assert not found.good and not git_says_good(repo_dir, "t")
    assert "several signatures" in found.problem


def test_gpg_errors_say_what_to_do(repo_dir: Path, keyring: Keyring, git: Git) -> None:
    with pytest.raises(InvalidState, match="can't sign as Ada <ada@example.com>") as error:
        make_tag(repo_dir)
    assert "gpg.format ssh" in error.value.hint
    git(repo_dir, "config", "gpg.program", "/nowhere/gpg")
    with pytest.raises(MissingDependency, match="/nowhere/gpg"):
        make_tag(repo_dir)
    git(repo_dir, "config", "gpg.format", "x509")
    with pytest.raises(Unsupported, match=r"X\.509"):
        make_tag(repo_dir)
    git(repo_dir, "config", "gpg.format", "runes")
    with pytest.raises(InvalidParameterValue, match="runes"):
        make_tag(repo_dir)


# -- whatever signs


def test_text_that_was_changed_isnt_good(
    repo_dir: Path, ssh_keys: SshKeys, keyring: Keyring
) -> None:
    keyring.make("Ada <ada@example.com>")
    gpg = make_tag(repo_dir, "m@v1.0.0")
    ssh_keys.use(repo_dir, ssh_keys.folder / "ada")
    ssh = make_tag(repo_dir, "m@v2.0.0")
    repo = opened(repo_dir)
    for sha in (gpg, ssh):
        tag = parse_tag(repo.objects.read(sha)[1])
        for changed in (
            replace(tag, message=tag.message.replace("version 1", "version 2")),
            replace(tag, target="0" * 40),
            replace(tag, name="m@v9.0.0"),
            replace(tag, tagger=tag.tagger.replace("Ada", "Eve")),
        ):
            found = verify_tag(repo, repo.objects.write("tag", format_tag(changed)))
            assert not found.good and "doesn't fit its text" in found.problem


def test_a_copy_under_another_name_isnt_good(repo_dir: Path, ssh_keys: SshKeys) -> None:
    ssh_keys.use(repo_dir, ssh_keys.folder / "ada")
    sha = make_tag(repo_dir, "m#staging#1")
    opened(repo_dir).refs.update("refs/tags/m#production#2", sha, None)
    found = verified(repo_dir, "m#production#2")
    assert not found.good and "a copy of the tag m#staging#1" in found.problem
    assert git_says_good(repo_dir, "m#production#2")  # git verify-tag leaves this to who asks


def test_unsigned_and_lightweight_tags_arent_good(repo_dir: Path, git: Git) -> None:
    git(repo_dir, "tag", "-a", "-m", "text", "annotated")
    git(repo_dir, "tag", "light")
    assert verified(repo_dir, "annotated").problem == "it isn't signed"
    assert "lightweight" in verified(repo_dir, "light").problem


@pytest.mark.parametrize(
    "kind", ["PGP MESSAGE", "SIGNED MESSAGE", "SSH SIGNATURE", "PGP SIGNATURE"]
)
def test_signatures_that_are_no_signatures_arent_good(
    kind: str, repo_dir: Path, ssh_keys: SshKeys, keyring: Keyring
) -> None:
    ssh_keys.use(repo_dir, ssh_keys.folder / "ada")
    repo = opened(repo_dir)
    block = f"-----BEGIN {kind}-----\nAAAA\n-----END {kind}-----\n"
    tag = Tag(str(repo.head().commit), "commit", "t", f"{repo.committer()} 1 +0000", MESSAGE, block)
    found = verify_tag(repo, repo.objects.write("tag", format_tag(tag)), "t")
    assert not found.good and found.problem


def test_a_message_cant_begin_a_signature(repo_dir: Path, ssh_keys: SshKeys) -> None:
    ssh_keys.use(repo_dir, ssh_keys.folder / "ada")
    repo = opened(repo_dir)
    tag = Tag(str(repo.head().commit), "commit", "t", f"{repo.committer()} 1 +0000", "")
    sign = signer(repo)
    # The last such line begins the signature, for Git too: what is before it is text.
    fine = sign(replace(tag, message="-----BEGIN PGP SIGNATURE-----\nno\n"))
    sha = repo.objects.write("tag", format_tag(fine))
    assert verify_tag(repo, sha, "t").good
    repo.refs.update("refs/tags/t", sha, None)
    assert git_says_good(repo_dir, "t")
    assert split_signature(format_tag(fine))[1] == fine.signature.encode()


LINES = st.lists(
    st.sampled_from(
        [
            "-----BEGIN SSH SIGNATURE-----",
            "-----BEGIN PGP SIGNATURE-----",
            "-----BEGIN PGP SIGNATURE----- and more",
            " -----BEGIN PGP SIGNATURE-----",
            "-----BEGIN PGP PUBLIC KEY BLOCK-----",
            "-----END SSH SIGNATURE-----",
            "U1NIU0lH",
            "",
            "größe",
        ]
    ),
    max_size=8,
)


@settings(max_examples=60, suppress_health_check=list(HealthCheck))
@given(lines=LINES)
def test_the_signature_begins_where_git_says(repo_dir: Path, lines: list[str]) -> None:
    repo = opened(repo_dir)  # one for all examples
    text = "".join(f"{line}\n" for line in ["subject", *lines])
    raw = format_tag(Tag(str(repo.head().commit), "commit", "t", "a <a@b> 1 +0000", text))
    repo.refs.update("refs/tags/t", repo.objects.write("tag", raw), ANY)
    said = run(
        "git", "-C", str(repo_dir), "tag", "-l", "--format=%(contents:signature)", "t"
    ).stdout
    assert split_signature(raw)[1].decode().rstrip("\n") == said.rstrip("\n")
    assert b"".join(split_signature(raw)) == raw == format_tag(parse_tag(raw))


@given(st.binary(max_size=300) | st.text("objectypag -\n0SHEBIN", max_size=200).map(str.encode))
def test_any_bytes_are_a_tag_or_damaged(raw: bytes) -> None:
    head = b"object " + b"0" * 40 + b"\ntype commit\n"
    assert parse_tag(head + raw).target == "0" * 40
    try:
        parse_tag(raw)
    except CorruptData:
        pass


@pytest.mark.parametrize("setting", ["tag.gpgSign", "tag.forceSignAnnotated"])
def test_gits_setting_has_all_tags_signed(setting: str, repo_dir: Path, git: Git) -> None:
    assert not signs_tags(opened(repo_dir))
    for value, wanted in (("true", True), ("yes", True), ("off", False), ("1", True)):
        git(repo_dir, "config", setting, value)
        assert signs_tags(opened(repo_dir)) is wanted
    git(repo_dir, "config", setting, "perhaps")
    with pytest.raises(InvalidParameterValue, match=re.escape(setting)):
        signs_tags(opened(repo_dir))
