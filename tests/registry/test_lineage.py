"""From a version to its run, the code and the data."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

import mlgit
from mlgit import MlgitClient
from mlgit.exceptions import MlgitException
from mlgit.registry.sources import version_meant
from mlgit.tracking.registered import registry_for


def test_from_a_version_to_run_code_and_data(
    in_repo: Path, client: MlgitClient, git: Any, python: Any
) -> None:
    (in_repo / "points.csv").write_text("1,2\n")
    python("from mlgit.cli.main import main; main()", "add", "points.csv", cwd=in_repo)
    git(in_repo, "add", "-A")
    git(in_repo, "commit", "-q", "-m", "data")
    head = git(in_repo, "rev-parse", "HEAD")
    with mlgit.start_run(run_name="clean") as run:
        mlgit.pyfunc.log_model("model", python_model=str.upper, registered_model_name="m")
    (in_repo / "train.py").write_text("changed\n")
    with mlgit.start_run(run_name="dirty"):
        mlgit.pyfunc.log_model("model", python_model=str.upper, registered_model_name="m")
    first, second = (registry_for().lineage("m", number) for number in (1, 2))
    assert (first.run_id, first.run_name) == (run.info.run_id, "clean")
    assert (first.code_commit, first.dirty) == (head, False)
    assert (second.code_commit, second.dirty) == (head, True)
    assert first.data == {"points.csv": hashlib.sha256(b"1,2\n").hexdigest()}


def test_of_what_is_in_no_run(client: MlgitClient, in_repo: Path, git: Any) -> None:
    client.create_registered_model("m")
    client.create_model_version("m", "s3://bucket/model")
    found = registry_for().lineage("m", 1)
    assert (found.run_id, found.code_commit, found.data) == (None, None, {})
    git(in_repo, "tag", "-a", "-m", "by hand", "m@v2.0.0")
    assert registry_for().lineage("m", 2).code_commit == git(in_repo, "rev-parse", "HEAD")


def test_the_history_says_who_when_what_and_why(client: MlgitClient) -> None:
    client.create_registered_model("m")
    for source in ("s3://b/1", "s3://b/2"):
        client.create_model_version("m", source)
    registry = registry_for()
    registry.set_alias("m", "champion", 1, reason="the first")
    registry.set_alias(
        "m", "champion", 2, reason="better", guards=[{"metric": "acc", "value": 0.9}]
    )
    told = registry.history("m")
    assert [event.tag for event in told] == ["m@v1.0.0", "m@v2.0.0", "m#champion#1", "m#champion#2"]
    last = told[-1]
    assert last.person == "Ada <ada@example.com>"
    assert (last.text("reason"), last.text("previous")) == ("better", "m#champion#1")
    assert last.message["previous_version"] == 1
    assert last.message["guards"] == [{"metric": "acc", "value": 0.9}]
    assert not last.signed


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("m", 3),
        ("m@v1", 1),
        ("m@2", 2),
        ("m@champion", 2),
        ("m@latest", 3),
        ("m@production", 1),
        ("m@Production", 1),
        ("a@b", 1),
        ("a@b@v1", 1),
    ],
)
def test_which_version_a_person_means(text: str, number: int, client: MlgitClient) -> None:
    client.create_registered_model("m")
    for source in ("s3://b/1", "s3://b/2", "s3://b/3"):
        client.create_model_version("m", source)
    client.set_registered_model_alias("m", "champion", 2)
    client.transition_model_version_stage("m", 1, "Production")
    client.create_registered_model("a@b")
    client.create_model_version("a@b", "s3://b/1")
    assert version_meant(registry_for(), text).version == number


def test_which_version_nobody_means(client: MlgitClient) -> None:
    client.create_registered_model("m")
    for text in ("m", "n", "m@v1", "m@champion", "m@", "@v1", ""):
        with pytest.raises(MlgitException):
            version_meant(registry_for(), text)
