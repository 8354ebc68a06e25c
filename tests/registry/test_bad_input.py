"""What can't be right is told, leaves the audit log whole, and never breaks a listing."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import mlgit
from mlgit import MlgitClient
from mlgit.exceptions import (
    InvalidParameterValue,
    InvalidState,
    MlgitException,
    ResourceAlreadyExists,
    ResourceDoesNotExist,
)
from mlgit.git import Repository
from mlgit.git.tags import parse_tag
from mlgit.registry import registry as module
from mlgit.registry.text import ModelText, write_text
from mlgit.tracking.registered import registry_for

Git = Callable[..., str]


@pytest.fixture
def uri(client: MlgitClient) -> str:
    """A logged model, version 1 of "m"."""
    with mlgit.start_run() as run:
        mlgit.log_text("flavors: {}\n", "model/MLmodel")
    client.create_registered_model("m")
    client.create_model_version("m", f"runs:/{run.info.run_id}/model")
    return f"runs:/{run.info.run_id}/model"


def tags(git: Git, where: Path) -> list[str]:
    return git(where, "tag").splitlines()


@pytest.mark.parametrize(
    ("call", "arguments", "error", "message"),
    [
        ("get_registered_model", ("n",), ResourceDoesNotExist, "name=n not found"),
        ("get_registered_model", ("",), InvalidParameterValue, "Missing value"),
        ("create_registered_model", ("m",), ResourceAlreadyExists, "already exists"),
        ("create_registered_model", ("a/b",), InvalidParameterValue, "'/' or ':'"),
        ("create_registered_model", ("a\nb",), InvalidParameterValue, "control character"),
        ("create_registered_model", ("\ud800",), InvalidParameterValue, "surrogate"),
        ("create_registered_model", ("x" * 257,), InvalidParameterValue, "at most 256"),
        ("create_registered_model", ("t", {"k": "v" * 100_001}), InvalidParameterValue, "100000"),
        ("create_registered_model", ("t", {"../k": "v"}), InvalidParameterValue, "Invalid tag"),
        ("rename_registered_model", ("m", ""), InvalidParameterValue, "new_name"),
        ("delete_registered_model", ("n",), ResourceDoesNotExist, "not found"),
        ("create_model_version", ("n", "s3://b"), ResourceDoesNotExist, "name=n not found"),
        ("create_model_version", ("m", "runs:/none/model"), ResourceDoesNotExist, "none not found"),
        ("create_model_version", ("m", "models:/m/7"), MlgitException, "version=7"),
        ("create_model_version", ("m", "models:/m"), MlgitException, "names no registered model"),
        ("get_model_version", ("m", 2), ResourceDoesNotExist, "version=2"),
        ("get_model_version", ("m", "two"), InvalidParameterValue, "must be an integer"),
        ("get_model_version", ("m", 10**30), ResourceDoesNotExist, "not found"),
        ("get_model_version", ("m", -1), ResourceDoesNotExist, "not found"),
        ("delete_model_version", ("m", 2), ResourceDoesNotExist, "version=2"),
        ("transition_model_version_stage", ("m", 1, "Live"), InvalidParameterValue, "one of None"),
        ("transition_model_version_stage", ("m", 2, "Staging"), ResourceDoesNotExist, "version=2"),
        ("get_latest_versions", ("m", ["Live"]), InvalidParameterValue, "one of None"),
        ("set_registered_model_alias", ("m", "latest", 1), InvalidParameterValue, "reserved"),
        ("set_registered_model_alias", ("m", "LATEST", 1), InvalidParameterValue, "reserved"),
        ("set_registered_model_alias", ("m", "v3", 1), InvalidParameterValue, "reserved"),
        ("set_registered_model_alias", ("m", "a b", 1), InvalidParameterValue, "may hold letters"),
        ("set_registered_model_alias", ("m", "a" * 256, 1), InvalidParameterValue, "at most 255"),
        ("set_registered_model_alias", ("m", "new", 2), ResourceDoesNotExist, "version=2"),
        ("get_model_version_by_alias", ("m", "none"), InvalidParameterValue, "none not found"),
        ("get_model_version_by_alias", ("n", "x"), ResourceDoesNotExist, "name=n not found"),
        ("set_model_version_tag", ("m",), InvalidParameterValue, "version or stage must be set"),
        ("set_model_version_tag", ("m", 1, ""), InvalidParameterValue, "must not be empty"),
        ("search_model_versions", ("size = 3",), InvalidParameterValue, "no attribute 'size'"),
        ("search_registered_models", ("name >",), InvalidParameterValue, "name >"),
        ("search_registered_models", ("", 1001), InvalidParameterValue, "at most 1000"),
        ("search_model_versions", ("", 0), InvalidParameterValue, "positive integer"),
        ("copy_model_version", ("runs:/a/b", "n"), MlgitException, "only copies"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_told_and_nothing_is_written(
    call: str, arguments: tuple, error: type, message: str,  # type: ignore[type-arg]
    uri: str, client: MlgitClient, in_repo: Path, git: Git,
) -> None:  # fmt: skip
    before = git(in_repo, "for-each-ref")
    with pytest.raises(error, match=message):
        getattr(client, call)(*arguments)
    assert git(in_repo, "for-each-ref") == before


def test_a_run_without_that_model(uri: str, client: MlgitClient) -> None:
    run_id = uri.split("/")[1]
    for use in (
        lambda: client.create_model_version("m", f"runs:/{run_id}/other"),
        lambda: mlgit.register_model(f"runs:/{run_id}/other", "new"),
    ):
        with pytest.raises(ResourceDoesNotExist, match="other"):
            use()
    assert [model.name for model in client.search_registered_models()] == ["m"]


def test_a_misspelt_model_is_guessed(uri: str, client: MlgitClient) -> None:
    client.create_registered_model("Ecommerce Model")
    with pytest.raises(ResourceDoesNotExist, match="did you mean 'Ecommerce Model'"):
        client.get_registered_model("Ecomerce Model")


def test_deleting_a_version_that_an_alias_holds(uri: str, client: MlgitClient) -> None:
    client.create_model_version("m", uri)
    for number in (1, 2):
        client.set_registered_model_alias("m", "champion", number)
    client.delete_model_version("m", 2)
    with pytest.raises(InvalidParameterValue, match="champion not found"):
        client.get_model_version_by_alias("m", "champion")
    assert client.create_model_version("m", uri).version == 3, "numbers aren't used again"


def test_two_versions_of_one_model_are_on_two_commits(
    uri: str, client: MlgitClient, in_repo: Path, git: Git
) -> None:
    second = client.create_model_version("m", uri)
    first = client.get_model_version("m", 1)
    assert first.commit != second.commit
    assert git(in_repo, "rev-parse", f"{second.commit}^") == first.commit
    assert git(in_repo, "diff", str(first.commit), str(second.commit)) == ""
    assert f"Mlgit-Run: {first.run_id}" in git(in_repo, "log", "-1", str(second.commit))


def test_tags_made_by_hand(uri: str, client: MlgitClient, in_repo: Path, git: Git) -> None:
    commit = str(client.get_model_version("m", 1).commit)
    listing = client.search_model_versions()
    git(in_repo, "tag", "m@v2.0.0", commit)  # lightweight
    git(in_repo, "tag", "-a", "-m", "x", "m@v3.0.0", f"{commit}^{{tree}}")
    git(in_repo, "tag", "-a", "-m", "x", "m#blessed#9", "HEAD")  # no version there
    git(in_repo, "tag", "-a", "-m", "x", "modèle@v1.0.0", commit)
    git(in_repo, "tag", "-a", "-m", "x", "m@v1.5.0", commit)
    git(in_repo, "tag", "-a", "-m", "format: 99\nversion: 4\n", "m@v4.0.0", commit)
    git(in_repo, "tag", "-a", "-m", "x", "v1.0.0")  # somebody's own, and none of ours
    name = "refs/tags/m@v5.0.0"
    raw = f"object {'1' * 40}\ntype commit\ntag m@v5.0.0\ntagger A <a@b> 1 +0000\n\nx\n"
    repo = Repository.discover(str(in_repo))
    repo.refs.update(name, repo.objects.write("tag", raw.encode()))
    repo.refs.update("refs/tags/m@v6.0.0", repo.objects.write("tag", b"nonsense"))
    (in_repo / ".git/refs/tags/m@v7.0.0").write_text("nonsense\n")
    assert client.search_model_versions() == listing
    assert client.get_registered_model("m").aliases == {}
    problems = dict(registry_for().problems())
    assert {ref.removeprefix("refs/tags/") for ref in problems} == {
        "m@v2.0.0", "m@v3.0.0", "m#blessed#9", "modèle@v1.0.0", "m@v1.5.0", "m@v4.0.0",
        "m@v5.0.0", "m@v6.0.0", "m@v7.0.0",
    }  # fmt: skip
    assert "lightweight" in problems["refs/tags/m@v2.0.0"]
    assert "isn't here" in problems["refs/tags/m@v5.0.0"]
    # Their names are taken; what is written next goes past them.
    assert client.create_model_version("m", uri).version == 8
    client.set_registered_model_alias("m", "champion", 8)
    assert "m#champion#10" in tags(git, in_repo)


def test_what_is_mended_is_seen(uri: str, client: MlgitClient, in_repo: Path, git: Git) -> None:
    commit = str(client.get_model_version("m", 1).commit)
    git(in_repo, "tag", "n@v1.0.0", commit)
    assert [m.name for m in client.search_registered_models()] == ["m"]
    assert [ref for ref, _ in registry_for().problems()] == ["refs/tags/n@v1.0.0"]
    git(in_repo, "tag", "-d", "n@v1.0.0")
    assert registry_for().problems() == []
    git(in_repo, "tag", "-a", "-m", "by hand", "n@v1.0.0", commit)
    assert client.get_model_version("n", 1).run_id == uri.split("/")[1]
    git(in_repo, "pack-refs", "--all")
    assert len(client.search_model_versions()) == 2


def test_two_versions_on_one_commit_by_hand(
    uri: str, client: MlgitClient, in_repo: Path, git: Git
) -> None:
    commit = str(client.get_model_version("m", 1).commit)
    git(in_repo, "tag", "-a", "-m", "by hand", "m@v2.0.0", commit)
    git(in_repo, "tag", "-a", "-m", "by hand", "m#best#1", commit)
    assert client.get_model_version_by_alias("m", "best").version == 2
    client.set_registered_model_alias("m", "mine", 1)
    assert client.get_model_version_by_alias("m", "mine").version == 1
    assert {tag for tag, _ in registry_for().problems()} == {"m@v1.0.0", "m@v2.0.0"}


def test_a_clock_that_runs_backwards(
    uri: str, client: MlgitClient, in_repo: Path, git: Git, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.create_model_version("m", uri)
    client.set_registered_model_alias("m", "champion", 1)
    early = time.time() - 10_000
    monkeypatch.setattr(module, "now_ms", lambda: int(early * 1000))
    monkeypatch.setattr("mlgit.registry.writer.now_ms", lambda: int(early * 1000))
    client.set_registered_model_alias("m", "champion", 2)
    client.delete_model_version("m", 1)
    assert client.get_model_version_by_alias("m", "champion").version == 2
    assert [v.version for v in client.search_model_versions()] == [2]
    times = [
        parse_tag(git(in_repo, "cat-file", "tag", f"refs/tags/{event.tag}").encode()).time
        for event in registry_for().history("m")
    ]
    assert times == sorted(set(times)), "each at least a second after the one before"


def test_a_tag_of_the_future_does_not_win(
    uri: str, client: MlgitClient, in_repo: Path, git: Git, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = str(client.get_model_version("m", 1).commit)
    monkeypatch.setenv("GIT_COMMITTER_DATE", "2099-01-01T00:00:00Z")
    git(in_repo, "tag", "-a", "-m", "x", "m#champion#1", commit)
    monkeypatch.delenv("GIT_COMMITTER_DATE")
    client.create_model_version("m", uri)
    client.set_registered_model_alias("m", "champion", 2)
    assert client.get_model_version_by_alias("m", "champion").version == 2
    newest = git(in_repo, "for-each-ref", "--sort=-taggerdate", "--count=1", "refs/tags", "--format=%(refname)")  # fmt: skip
    assert newest == "refs/tags/m#champion#2", "GTO goes by the dates"


def test_nothing_is_ever_moved(uri: str, client: MlgitClient, in_repo: Path, git: Git) -> None:
    def refs() -> dict[str, str]:
        lines = git(in_repo, "for-each-ref", "refs/tags").splitlines()
        return {line.split("\t")[1]: line.split(" ")[0] for line in lines}

    seen: dict[str, str] = {}
    for work in (
        lambda: client.create_model_version("m", uri),
        lambda: client.set_registered_model_alias("m", "champion", 1),
        lambda: client.transition_model_version_stage("m", 1, "Production"),
        lambda: client.transition_model_version_stage("m", 2, "Production", True),
        lambda: client.rename_registered_model("m", "n"),
        lambda: client.delete_registered_model_alias("n", "champion"),
        lambda: client.delete_model_version("n", 1),
        lambda: client.delete_registered_model("n"),
        lambda: client.create_registered_model("n"),
        lambda: client.create_model_version("n", uri),
    ):
        work()
        assert refs().items() >= seen.items()
        seen = refs()
    assert client.get_model_version("n", 3).version == 3, "numbers go on under a deleted name"
    assert git(in_repo, "fsck", "--strict") == ""


def test_a_damaged_index_is_made_again(uri: str, client: MlgitClient, in_repo: Path) -> None:
    path = in_repo / ".git/mlgit/registry.sqlite"
    assert path.exists()
    registry_for().index.close()
    path.write_bytes(b"nonsense" * 1000)
    assert client.get_model_version("m", 1).version == 1
    registry_for().index.discard()
    assert client.get_model_version("m", 1).version == 1


def test_a_text_that_cannot_be_read(uri: str, client: MlgitClient, in_repo: Path, git: Git) -> None:
    client.set_registered_model_tag("m", "team", "risk")
    for content in (
        b"format: 2\nname: m\n",
        b"[]",
        b"format: 1\n",
        b"format: 1\nname: m\ntags: 3\n",
    ):
        blob = git(in_repo, "hash-object", "-w", "--stdin", data=content)
        tree = git(in_repo, "mktree", data=f"100644 blob {blob}\tmodel.yaml\n".encode())
        commit = git(in_repo, "commit-tree", "-m", "x", tree)
        git(in_repo, "update-ref", "refs/mlgit/registry/m", commit)
        assert client.get_model_version("m", 1).version == 1
        assert [ref for ref, _ in registry_for().problems()] == ["refs/mlgit/registry/m"]
        with pytest.raises(MlgitException):
            client.set_registered_model_tag("m", "a", "b")  # must not lose what is there
        assert git(in_repo, "rev-parse", "refs/mlgit/registry/m") == commit


def test_writers_at_once(uri: str, client: MlgitClient, in_repo: Path) -> None:
    program = (
        "import mlgit\n"
        "for _ in range(5):\n"
        f"    mlgit.MlgitClient().create_model_version('m', {uri!r})\n"
        "    mlgit.MlgitClient().set_registered_model_alias('m', 'champion', 1 + _ % 2)\n"
    )
    env = {**os.environ, "PYTHONPATH": str(Path(mlgit.__file__).parents[1])}
    command = [sys.executable, "-c", program]
    processes = [subprocess.Popen(command, cwd=in_repo, env=env) for _ in range(3)]
    assert [process.wait() for process in processes] == [0, 0, 0]
    versions = client.search_model_versions("name = 'm'", order_by=["version_number"])
    assert [v.version for v in versions] == list(range(1, 17))
    assert len({v.commit for v in versions}) == 16
    assert registry_for().problems() == []


def test_two_models_of_one_name(client: MlgitClient, in_repo: Path) -> None:
    """Two clones made or renamed them."""
    repo = Repository.discover(str(in_repo))
    client.create_registered_model("a")
    client.create_registered_model("b")
    old = repo.refs.read("refs/mlgit/registry/b")
    write_text(repo, "b", ModelText("a"), old, "rename", 0)
    assert [m.name for m in client.search_registered_models()] == ["a", "b"]
    assert [ref for ref, _ in registry_for().problems()] == ["refs/mlgit/registry/b"]
    client.rename_registered_model("a", "c")
    assert [m.name for m in client.search_registered_models()] == ["a", "c"]
    assert registry_for().problems() == []


def test_a_name_whose_tags_are_all_unusable_is_free(
    uri: str, client: MlgitClient, in_repo: Path, git: Git
) -> None:
    git(in_repo, "tag", "n@v1.0.0")
    assert mlgit.register_model(uri, "n").version == 2
    assert "n@v2.0.0" in tags(git, in_repo)


def test_a_key_that_another_model_had_first(
    uri: str, client: MlgitClient, in_repo: Path, git: Git
) -> None:
    client.rename_registered_model("m", "other")
    assert mlgit.register_model(uri, "m").version == 1
    assert {"m@v1.0.0", "m-2@v1.0.0"} <= set(tags(git, in_repo))
    assert sorted(m.name for m in client.search_registered_models()) == ["m", "other"]
    assert client.get_model_version("other", 1).run_id == client.get_model_version("m", 1).run_id


def test_an_alias_that_is_called_as_a_stage(uri: str, client: MlgitClient) -> None:
    client.create_model_version("m", uri)
    client.transition_model_version_stage("m", 1, "Production")
    assert client.get_model_version_by_alias("m", "production").version == 1
    client.set_registered_model_alias("m", "production", 2)
    assert client.get_model_version_by_alias("m", "production").version == 2
    assert [v.current_stage for v in client.get_latest_versions("m")] == ["Production", "None"]
    assert client.get_registered_model("m").aliases == {"production": 2}


def test_a_password_is_not_put_into_a_tag(
    uri: str, client: MlgitClient, in_repo: Path, git: Git
) -> None:
    before = git(in_repo, "for-each-ref")
    for source in ("https://ada:hunter2@example.com/m", "https://example.com/m?token=abcdef123456"):
        with pytest.raises(InvalidParameterValue, match="password") as told:
            client.create_model_version("m", source)
        assert "hunter2" not in str(told.value) and "abcdef" not in str(told.value)
    assert git(in_repo, "for-each-ref") == before
    for source in ("abfss://container@account.example.net/m", "s3://b/m?versionId=3", "//x", "a b"):
        assert client.create_model_version("m", source).source == source


def test_many_loose_tags_are_packed(
    uri: str, client: MlgitClient, in_repo: Path, git: Git, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mlgit.registry.writer._MANY", 4)
    client.create_model_version("m", uri)
    for number in range(12):
        client.set_registered_model_alias("m", "champion", 1 + number % 2)
    assert len(tags(git, in_repo)) == 14
    assert len(list((in_repo / ".git/refs/tags").iterdir())) <= 5
    assert client.get_model_version_by_alias("m", "champion").version == 2
    assert len(registry_for().history("m")) == 14


@pytest.mark.parametrize("tag", ["m#production#999999999999999999", "m@v999999999999999999.0.0"])
def test_a_number_after_which_there_is_none(
    tag: str, uri: str, client: MlgitClient, in_repo: Path, git: Git
) -> None:
    git(in_repo, "tag", "-a", "-m", "by hand", tag, "m@v1.0.0^{}" if "#" in tag else "HEAD")
    before = tags(git, in_repo)
    with pytest.raises(InvalidState, match="No numbers are left") as caught:
        if "#" in tag:
            client.set_registered_model_alias("m", "champion", 1)
        else:
            client.create_model_version("m", uri)
    assert "git tag -d" in caught.value.hint
    assert tags(git, in_repo) == before, "what nobody could read again isn't written"
    git(in_repo, "tag", "-d", tag)
    client.set_registered_model_alias("m", "champion", 1)
    assert client.create_model_version("m", uri).version == 2
