"""Registered models that must be signed: what is loaded, and every way to be refused."""

from __future__ import annotations

import inspect
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from signers import Keyring, SshKeys, reread, run

import mlgit
from mlgit import MlgitClient
from mlgit.exceptions import (
    InvalidParameterValue,
    InvalidState,
    MlgitException,
    PermissionDenied,
    ResourceDoesNotExist,
    UntrustedModel,
)
from mlgit.git.signing import signer
from mlgit.git.tags import Tag, format_tag, parse_tag
from mlgit.registry.tags import format_message
from mlgit.tracking import uri as tracking

Git = Callable[..., str]


def log(factor: int, run_id: str | None = None) -> str:
    """A model that multiplies, logged; its URI."""

    def multiply(model_input: list[float]) -> list[float]:
        return [x * factor for x in model_input]

    with mlgit.start_run(run_id=run_id):
        return str(mlgit.pyfunc.log_model("model", python_model=multiply).model_uri)


def predicts(uri: str, verify: bool | None = True) -> Any:
    """What a model makes of 1."""
    return mlgit.pyfunc.load_model(uri, verify=verify).predict([1.0])[0]


@pytest.fixture
def signed(in_repo: Path, ssh_keys: SshKeys) -> MlgitClient:
    """Version 1 multiplies by 10, version 2 by 20; both are signed by Ada, who counts."""
    ssh_keys.use(in_repo, ssh_keys.folder / "ada")
    for factor in (10, 20):
        mlgit.register_model(log(factor), "m", sign=True)
    return MlgitClient()


def as_eve(repo: Path, keys: SshKeys) -> None:
    """Sign with a key from now on that nobody allowed."""
    keys.use(repo, keys.make("eve"))


def make_tag(repo: Path, name: str, like: str, message: dict[str, Any], *, sign: bool) -> None:
    """A tag of the registry made by hand, on the commit of another."""
    reread()
    store = tracking.store_for()
    sha = store.repo.refs.read(f"refs/tags/{like}")
    assert sha
    commit = parse_tag(store.repo.objects.read(sha)[1]).target
    tagger = f"{store.repo.committer()} 1900000000 +0000"
    tag = Tag(commit, "commit", name, tagger, format_message(message))
    if sign:
        tag = signer(store.repo)(tag)
    sha = store.repo.objects.write("tag", format_tag(tag))
    store.repo.refs.update(f"refs/tags/{name}", sha, None)


# -- what is loaded


def test_signed_versions_are_loaded_by_every_name(signed: MlgitClient) -> None:
    signed.set_registered_model_alias("m", "champion", 1, sign=True)
    signed.transition_model_version_stage("m", 1, "Production", sign=True)
    assert predicts("models:/m/1") == predicts("models:/m@champion") == 10
    assert predicts("models:/m/Production") == predicts("models:/m@production") == 10
    assert predicts("models:/m/2") == predicts("models:/m/latest") == 20
    assert predicts("models:/m@latest") == predicts("models:/m/None") == 20


def test_gpg_signs_too(in_repo: Path, keyring: Keyring) -> None:
    keyring.make("Ada <ada@example.com>")
    mlgit.register_model(log(10), "m", sign=True)
    assert predicts("models:/m/1") == 10


def test_gits_setting_signs_everything(in_repo: Path, ssh_keys: SshKeys, git: Git) -> None:
    ssh_keys.use(in_repo, ssh_keys.folder / "ada")
    git(in_repo, "config", "tag.gpgSign", "true")
    with mlgit.start_run():
        mlgit.pyfunc.log_model(
            "model", python_model=lambda model_input: [7], registered_model_name="m"
        )
    client = MlgitClient()
    client.set_registered_model_alias("m", "champion", 1)
    client.transition_model_version_stage("m", 1, "Staging")
    client.delete_registered_model_alias("m", "champion")
    names = git(in_repo, "tag", "-l", "m*").split()
    assert len(names) == 4
    for name in names:
        git(in_repo, "verify-tag", name)
    assert predicts("models:/m/Staging") == 7


def test_it_works_without_git(
    signed: MlgitClient, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "bin").mkdir()
    program = shutil.which("ssh-keygen")
    assert program
    (tmp_path / "bin" / "ssh-keygen").symlink_to(program)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert shutil.which("git") is None
    signed.set_registered_model_alias("m", "champion", 1, sign=True)
    assert predicts("models:/m@champion") == 10


def test_a_copied_version_counts_by_its_own_signature(signed: MlgitClient) -> None:
    signed.copy_model_version("models:/m/1", "copy")
    with pytest.raises(UntrustedModel):
        predicts("models:/copy/1")
    signed.create_model_version("copy", "models:/m/1", sign=True)
    assert predicts("models:/copy/2") == 10


# -- what isn't


def test_unsigned_versions_arent_loaded(in_repo: Path, client: MlgitClient) -> None:
    mlgit.register_model(log(10), "m")
    client.set_registered_model_alias("m", "champion", 1)
    client.transition_model_version_stage("m", 1, "Production")
    for name in ("/1", "@champion", "/latest", "@latest", "/Production", "@production"):
        with pytest.raises(UntrustedModel, match="m@v1.0.0, it isn't signed") as error:
            predicts(f"models:/m{name}")
        assert "tag.gpgSign" in error.value.hint
        assert predicts(f"models:/m{name}", verify=None) == 10
    assert isinstance(error.value, PermissionDenied)
    assert error.value.get_http_status_code() == 403


def test_an_unsigned_alias_of_a_signed_version_isnt_followed(signed: MlgitClient) -> None:
    signed.set_registered_model_alias("m", "champion", 1)
    signed.transition_model_version_stage("m", 1, "Production")
    with pytest.raises(UntrustedModel, match="m#champion#1, it isn't signed"):
        predicts("models:/m@champion")
    for uri in ("models:/m/Production", "models:/m@production"):
        with pytest.raises(UntrustedModel, match="m#production#2, it isn't signed"):
            predicts(uri)
    assert predicts("models:/m/1") == 10


def test_who_isnt_allowed_to_sign_doesnt_count(
    signed: MlgitClient, in_repo: Path, ssh_keys: SshKeys
) -> None:
    as_eve(in_repo, ssh_keys)
    signed.set_registered_model_alias("m", "champion", 1, sign=True)
    with pytest.raises(UntrustedModel, match="m#champion#1, its key SHA256.* isn't among"):
        predicts("models:/m@champion")


def test_a_revoked_key_doesnt_count(
    signed: MlgitClient, in_repo: Path, ssh_keys: SshKeys, git: Git
) -> None:
    assert predicts("models:/m/1") == 10
    git(in_repo, "config", "gpg.ssh.revocationFile", str(ssh_keys.folder / "ada.pub"))
    reread()
    with pytest.raises(UntrustedModel, match="revoked"):
        predicts("models:/m/1")


def test_a_tag_that_was_changed_doesnt_count(signed: MlgitClient, in_repo: Path, git: Git) -> None:
    raw = git(in_repo, "cat-file", "tag", "m@v1.0.0") + "\n"
    other = parse_tag(git(in_repo, "cat-file", "tag", "m@v2.0.0").encode())
    for changed in (
        replace(parse_tag(raw.encode()), target=other.target),
        replace(parse_tag(raw.encode()), message=other.message),
    ):
        data = format_tag(changed)
        sha = git(in_repo, "hash-object", "-w", "-t", "tag", "--stdin", data=data)
        git(in_repo, "update-ref", "refs/tags/m@v1.0.0", sha)
        with pytest.raises(UntrustedModel, match="doesn't fit its text"):
            predicts("models:/m/1")


def test_a_signed_tag_under_another_name_doesnt_count(
    signed: MlgitClient, in_repo: Path, git: Git
) -> None:
    signed.set_registered_model_alias("m", "champion", 2, sign=True)
    signed.set_registered_model_alias("m", "staging-only", 1, sign=True)
    git(in_repo, "update-ref", "refs/tags/m#champion#3", "refs/tags/m#staging-only#2")
    with pytest.raises(UntrustedModel, match="m#champion#3.* a copy of the tag m#staging-only#2"):
        predicts("models:/m@champion")
    # A version's tag that was moved to another's.
    git(in_repo, "update-ref", "refs/tags/m@v2.0.0", "refs/tags/m@v1.0.0")
    with pytest.raises(UntrustedModel, match="a copy of the tag m@v1.0.0"):
        predicts("models:/m/2")


def test_a_version_registered_again_by_hand_doesnt_count(
    signed: MlgitClient, in_repo: Path
) -> None:
    make_tag(in_repo, "m@v1.0.0#9", "m@v2.0.0", {"model": "m", "version": 1}, sign=False)
    with pytest.raises(UntrustedModel, match="m@v1.0.0#9, it isn't signed"):
        predicts("models:/m/1")


def test_a_signed_message_must_say_what_its_name_says(signed: MlgitClient, in_repo: Path) -> None:
    said = {"event": "assign", "model": "m", "version": 2, "alias": "champion"}
    make_tag(in_repo, "m#champion#1", "m@v1.0.0", said, sign=True)
    with pytest.raises(UntrustedModel, match="says version 2, and the commit is version 1's"):
        predicts("models:/m@champion")
    make_tag(in_repo, "m#other#2", "m@v1.0.0", {**said, "version": 1}, sign=True)
    with pytest.raises(UntrustedModel, match="about champion, and the name about other"):
        predicts("models:/m@other")
    made = {**said, "version": 1, "event": "unassign", "alias": "third"}
    make_tag(in_repo, "m#third#3", "m@v1.0.0", made, sign=True)
    with pytest.raises(UntrustedModel, match="says unassign, and the name assign"):
        predicts("models:/m@third")


def test_tags_signed_by_git_alone_count(signed: MlgitClient, in_repo: Path, git: Git) -> None:
    git(in_repo, "tag", "-s", "-m", "better on last week's data", "m#champion#1", "m@v1.0.0^{}")
    assert predicts("models:/m@champion") == 10


# -- turning back


def test_a_newer_alias_cant_be_taken_away_unsigned(signed: MlgitClient) -> None:
    signed.set_registered_model_alias("m", "champion", 1, sign=True)
    signed.set_registered_model_alias("m", "champion", 2, sign=True)
    # It takes the alias from version 2 alone, which leaves it to version 1.
    make_tag(Path(), "m#champion!#3", "m@v2.0.0", {"event": "unassign", "version": 2}, sign=False)
    assert MlgitClient().get_model_version_by_alias("m", "champion").version == 1
    with pytest.raises(UntrustedModel, match="m#champion!#3, it isn't signed"):
        predicts("models:/m@champion")


def test_who_may_sign_may_take_it_away(signed: MlgitClient) -> None:
    signed.set_registered_model_alias("m", "champion", 1, sign=True)
    signed.set_registered_model_alias("m", "champion", 2)
    said = {"event": "unassign", "version": 2, "alias": "champion"}
    make_tag(Path(), "m#champion!#3", "m@v2.0.0", said, sign=True)
    with pytest.raises(UntrustedModel, match="m#champion#2, it isn't signed"):
        predicts("models:/m@champion")  # whether version 2 was to have it isn't signed


def test_a_newer_version_cant_be_deleted_unsigned(signed: MlgitClient) -> None:
    signed.set_registered_model_alias("m", "champion", 1, sign=True)
    signed.set_registered_model_alias("m", "champion", 2, sign=True)
    signed.transition_model_version_stage("m", 1, "Production", sign=True)
    signed.transition_model_version_stage("m", 2, "Production", sign=True)
    make_tag(Path(), "m@v2.0.0!", "m@v1.0.0", {"event": "deregister", "version": 2}, sign=False)
    for name in ("@champion", "/latest", "@latest", "/Production", "@production"):
        assert predicts(f"models:/m{name}", verify=False) == 10
        with pytest.raises(UntrustedModel, match="m@v2.0.0!, it isn't signed"):
            predicts(f"models:/m{name}")
    assert predicts("models:/m/1") == 10


def test_a_stage_cant_be_left_unsigned(signed: MlgitClient) -> None:
    signed.transition_model_version_stage("m", 2, "Production", sign=True)
    signed.transition_model_version_stage("m", 1, "Production", sign=True)
    assert predicts("models:/m/Production") == 20  # the highest
    assert predicts("models:/m@production") == 10  # the last
    said = {"event": "assign", "version": 2, "stage": "Archived"}
    make_tag(Path(), "m#archived#1", "m@v2.0.0", said, sign=False)
    # Version 2 is out of it whatever the order: what isn't signed comes after what is.
    signed.transition_model_version_stage("m", 2, "Archived")
    assert predicts("models:/m/Production", verify=False) == 10
    with pytest.raises(UntrustedModel, match="m#archived"):
        predicts("models:/m/Production")


def test_old_unsigned_tags_dont_matter(in_repo: Path, ssh_keys: SshKeys) -> None:
    client = MlgitClient()
    mlgit.register_model(log(5), "m")
    client.set_registered_model_alias("m", "champion", 1)
    client.transition_model_version_stage("m", 1, "Production")
    ssh_keys.use(in_repo, ssh_keys.folder / "ada")
    mlgit.register_model(log(10), "m", sign=True)
    client.set_registered_model_alias("m", "champion", 2, sign=True)
    client.transition_model_version_stage("m", 2, "Production", True, sign=True)
    client.set_registered_model_alias("m", "challenger", 1)
    for name in ("@champion", "/latest", "/Production", "@production", "/2"):
        assert predicts(f"models:/m{name}") == 10


# -- files and names


def test_a_run_that_was_changed_later_doesnt_change_a_version(
    signed: MlgitClient, in_repo: Path
) -> None:
    signed.set_registered_model_alias("m", "champion", 1, sign=True)
    run_id = signed.get_model_version("m", 1).run_id
    log(666, run_id)
    assert predicts(f"runs:/{run_id}/model", verify=None) == 666
    reread()
    for verify in (True, False):
        assert predicts("models:/m/1", verify) == predicts("models:/m@champion", verify) == 10
    fetched = mlgit.pyfunc.load_model("models:/m/1", dst_path=str(in_repo / "there"), verify=True)
    assert fetched.predict([1.0]) == [10]


def test_downloads_are_verified(signed: MlgitClient, in_repo: Path, tmp_path: Path) -> None:
    log(666, signed.get_model_version("m", 1).run_id)
    signed.set_registered_model_alias("m", "champion", 1, sign=True)
    mlgit.register_model(log(30), "m")
    download = mlgit.artifacts.download_artifacts
    for uri in ("models:/m/1", "models:/m@champion"):
        place = download(uri, verify=True)
        assert mlgit.pyfunc.load_model(place).predict([1.0]) == [10]
    assert download("models:/m/2", dst_path=str(tmp_path)) == str(tmp_path / "model")
    with pytest.raises(UntrustedModel, match="it isn't signed"):
        download("models:/m/3", verify=True)
    signed.create_model_version("m", place)
    assert download("models:/m/4") == place
    with pytest.raises(InvalidParameterValue, match="can be verified"):
        download(place, verify=True)
    for digits, error in ((30, ResourceDoesNotExist), (5000, InvalidParameterValue)):
        for ask in (download, predicts):
            with pytest.raises(error):
                ask("models:/m/" + "9" * digits)
    with pytest.raises(InvalidParameterValue, match="names no registered model"):
        download("models:/m")


def test_a_version_of_another_runs_files_doesnt_count(signed: MlgitClient, in_repo: Path) -> None:
    first, second = (signed.get_model_version("m", n).run_id for n in (1, 2))
    said = {"model": "m", "version": 3, "source": f"runs:/{second}/model", "run_id": first}
    make_tag(in_repo, "m@v3.0.0", "m@v1.0.0", {"event": "register", **said}, sign=True)
    with pytest.raises(UntrustedModel, match="nothing that is signed says which"):
        predicts("models:/m/3")


def test_files_that_arent_a_runs_cant_be_signed(
    signed: MlgitClient, in_repo: Path, tmp_path: Path
) -> None:
    mlgit.pyfunc.load_model("models:/m/1", dst_path=str(tmp_path))
    signed.create_model_version("m", str(tmp_path / "1"), sign=True)
    assert predicts("models:/m/3", verify=None) == 10
    with pytest.raises(UntrustedModel, match="nothing that is signed says which") as error:
        predicts("models:/m/3")
    assert str(tmp_path) in error.value.message


def test_another_model_cant_take_a_name(signed: MlgitClient) -> None:
    mlgit.register_model(log(666), "toy", sign=True)
    signed.rename_registered_model("m", "m-old")
    signed.rename_registered_model("toy", "m")
    assert predicts("models:/m/1", verify=None) == 666
    with pytest.raises(UntrustedModel, match="made for a model 'toy', and renaming isn't signed"):
        predicts("models:/m/1")
    with pytest.raises(UntrustedModel, match="made for a model 'm'"):
        predicts("models:/m-old/1")
    # An alias that is signed under the new name vouches for it.
    signed.set_registered_model_alias("m-old", "champion", 1, sign=True)
    assert predicts("models:/m-old@champion") == 10


# -- where it is wanted


def test_what_isnt_registered_cant_be_verified(signed: MlgitClient, tmp_path: Path) -> None:
    run_id = signed.get_model_version("m", 1).run_id
    mlgit.pyfunc.load_model("models:/m/1", dst_path=str(tmp_path))
    for uri in (f"runs:/{run_id}/model", str(tmp_path / "1"), "mlgit:/main/model"):
        with pytest.raises(InvalidParameterValue, match="can't be verified") as error:
            predicts(uri)
        assert "register_model" in error.value.hint
    with pytest.raises(ResourceDoesNotExist):
        predicts("models:/m/9")
    with pytest.raises(MlgitException, match="alias nobody not found"):
        predicts("models:/m@nobody")


def test_the_repository_can_want_it(
    signed: MlgitClient, in_repo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = log(30)
    mlgit.register_model(uri, "m")
    (in_repo / ".mlgit").mkdir(exist_ok=True)
    (in_repo / ".mlgit" / "config.yaml").write_text("models: {verify: true}\n")
    with pytest.raises(UntrustedModel):
        predicts("models:/m/3", verify=None)
    assert predicts("models:/m/1", verify=None) == 10
    assert predicts("models:/m/3", verify=False) == 30
    assert predicts(uri, verify=None) == 30  # what isn't registered is loaded as ever
    monkeypatch.setenv("MLGIT_VERIFY_MODELS", "false")
    assert predicts("models:/m/3", verify=None) == 30
    monkeypatch.setenv("MLGIT_VERIFY_MODELS", "true")
    (in_repo / ".mlgit" / "config.yaml").write_text("models: {verify: perhaps}\n")
    with pytest.raises(UntrustedModel):
        predicts("models:/m/3", verify=None)
    monkeypatch.delenv("MLGIT_VERIFY_MODELS")
    with pytest.raises(MlgitException, match="models.verify must be true or false"):
        predicts("models:/m/1", verify=None)


@pytest.mark.parametrize(
    "flavor",
    ["keras", "lightgbm", "pyfunc", "pytorch", "sklearn", "tensorflow", "transformers", "xgboost"],
)
def test_every_flavor_verifies(flavor: str, signed: MlgitClient) -> None:
    mlgit.register_model(log(30), "m")
    load = getattr(mlgit, flavor).load_model
    assert inspect.signature(load).parameters["verify"].default is None
    with pytest.raises(UntrustedModel):
        load("models:/m/3", verify=True)


def test_a_key_that_is_missing_leaves_nothing(in_repo: Path, git: Git) -> None:
    git(in_repo, "config", "gpg.format", "ssh")
    uri = log(10)
    with pytest.raises(InvalidState, match="user.signingKey isn't set"):
        mlgit.register_model(uri, "m", sign=True)
    assert MlgitClient().search_registered_models() == []
    assert git(in_repo, "tag", "-l") == ""


def test_a_clone_trusts_by_its_own_configuration(
    signed: MlgitClient, in_repo: Path, ssh_keys: SshKeys, tmp_path: Path, git: Git,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    git(tmp_path, "clone", "-q", str(in_repo), "clone")
    clone = tmp_path / "clone"
    reread()
    monkeypatch.chdir(clone)
    with pytest.raises(UntrustedModel, match="allowedSignersFile isn't set"):
        predicts("models:/m/1")
    run("git", "-C", str(clone), "config", "gpg.ssh.allowedSignersFile", str(ssh_keys.allowed))
    reread()
    os.makedirs(clone / ".git" / "mlgit", exist_ok=True)
    shutil.copytree(
        in_repo / ".git" / "mlgit" / "objects", clone / ".git" / "mlgit" / "objects",
        dirs_exist_ok=True,
    )  # fmt: skip
    assert predicts("models:/m/1") == 10  # the run's ref isn't here, its commit is
