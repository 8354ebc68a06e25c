"""``mlgit remote``: what is kept where, and credentials that aren't."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import yaml

from mlgit.exceptions import CorruptData, ResourceDoesNotExist, Unsupported
from mlgit.git import Repository
from mlgit.store import remotes


@pytest.fixture
def team(repo: Path) -> Path:
    return repo / ".mlgit/config.yaml"


@pytest.fixture
def own(repo: Path) -> Path:
    return repo / ".git/mlgit/config.yaml"


def loaded(path: Path) -> object:
    return yaml.safe_load(path.read_text())


def test_the_team_s_and_this_clone_s(run, data, repo, team, own):
    assert "mlgit remote add" in run("remote", "list").stderr
    run(
        "remote",
        "add",
        "storage",
        "s3://bucket/mlgit",
        "-o",
        "endpoint_url=https://minio.example.org",
    )
    assert loaded(team) == {
        "format": 1,
        "default_remote": "storage",
        "remotes": {
            "storage": {
                "url": "s3://bucket/mlgit",
                "options": {"endpoint_url": "https://minio.example.org"},
            }
        },
    }
    assert not own.exists()
    run("remote", "add", "--local", "storage", "s3://bucket/mlgit", "-o", "key=A", "-o", "secret=B")
    assert own.stat().st_mode & 0o777 == 0o600
    assert data("remote", "list", "--json") == [
        {
            "name": "storage",
            "url": "s3://bucket/mlgit",
            "options": {"endpoint_url": "https://minio.example.org", "key": "***", "secret": "***"},
            "local": True,
            "default": True,
        }
    ]
    found = remotes.remote_objects(Repository.open(str(repo)))
    assert (found.name, found.url) == ("storage", "s3://bucket/mlgit")
    assert found.options == {"endpoint_url": "https://minio.example.org", "key": "A", "secret": "B"}
    run("remote", "remove", "--local", "storage")
    assert remotes.remote_objects(Repository.open(str(repo))).options.keys() == {"endpoint_url"}


def test_the_default_one(run, data, repo, tmp_path):
    run("remote", "add", "one", "s3://one")
    run("remote", "add", "two", str(tmp_path / "two"))
    assert run("remote", "default").stdout == "one\n"
    run("remote", "default", "two")
    assert [r["name"] for r in data("remote", "list", "--json") if r["default"]] == ["two"]
    run("remote", "default", "one", "--local")
    assert run("remote", "default").stdout == "one\n"
    run("remote", "default", "three", code=3)
    run("remote", "remove", "two")
    run("remote", "remove", "two", code=3)
    assert run("remote", "list").stdout.split() == ["name", "url", "*", "one", "s3://one"]
    run("remote", "add", "--local", "mine", "relative/path")
    assert "clone's own" in run("remote", "default", "mine", code=2).stderr
    assert data("remote", "list", "--json")[0]["url"] == str(repo / "relative/path")


@pytest.mark.parametrize(
    "arguments",
    [
        ["s3://b", "-o", "secret=x"],
        ["s3://b", "-o", "key=x"],
        ["s3://b", "-o", "aws_secret_access_key=x"],
        ["s3://b", "-o", "client_kwargs={aws_session_token: x}"],
        ["gs://b", "-o", "token=x"],
        ["az://b", "-o", "account_key=x"],
        ["az://b", "-o", "connection_string=x"],
        ["sftp://host/x", "-o", "password=x"],
        ["sftp://ada:secret@host/x"],
        ["https://user:pw@host/x"],
    ],
)
def test_credentials_are_refused_in_the_team_s_file(run, team, own, arguments):
    refused = run("remote", "add", "storage", *arguments, code=2)
    assert "--local" in refused.stderr
    assert "secret@" not in refused.stderr
    assert not team.exists()
    run("remote", "add", "--local", "storage", *arguments)
    assert not team.exists()
    shown = run("remote", "list").stdout + run("remote", "list", "--json").stdout
    assert "pw@" not in shown and "secret@" not in shown and '"x"' not in shown


@pytest.mark.parametrize(
    "option",
    ["anon=true", "endpoint_url=http://x", "key_filename=/k", "use_ssl=false", "profile=p"],
)
def test_what_is_no_credential(run, team, option):
    run("remote", "add", "storage", "s3://b", "-o", option)
    name, _, value = option.partition("=")
    kept = loaded(team)["remotes"]["storage"]["options"][name]
    assert kept == yaml.safe_load(value)


@pytest.mark.parametrize(
    "arguments, code",
    [
        (["a b", "s3://b"], 2),
        (["-o", "x", "n", "s3://b"], 2),
        (["n", "relative/path"], 2),
        (["n", "s3://"], 2),
        (["n", ""], 2),
        (["n", "s3://b\nx"], 2),
    ],
)
def test_what_cannot_be_added(run, team, arguments, code):
    assert "hint" in run("remote", "add", *arguments, code=code).stderr or code
    assert not team.exists()


def test_a_name_that_is_taken(run, team):
    run("remote", "add", "n", "s3://one")
    assert "s3://one" in run("remote", "add", "n", "s3://two", code=4).stderr
    run("remote", "add", "--force", "n", "s3://two")
    assert loaded(team)["remotes"]["n"]["url"] == "s3://two"


def test_what_others_wrote_stays(run, team):
    team.parent.mkdir()
    team.write_text(
        "# ours\nformat: 1\ncache: {size: 3}\nremotes:\n  a: {url: s3://a, since: 2024}\n"
    )
    run("remote", "add", "b", "s3://b")
    found = loaded(team)
    assert found["cache"] == {"size": 3}
    assert found["remotes"]["a"] == {"url": "s3://a", "since": 2024}


@pytest.mark.parametrize(
    "text, error",
    [
        ("format: 2\n", Unsupported),
        ("remotes: [a]\n", CorruptData),
        ("remotes: {a: b}\n", CorruptData),
        ("remotes: {a: {url: 1}}\n", CorruptData),
        ("remotes: {a: {url: x, options: y}}\n", CorruptData),
        ("default_remote: {}\n", CorruptData),
        ("a: [\n", CorruptData),
        ("- a\n", CorruptData),
        ("a: !!python/object:os.system x\n", CorruptData),
    ],
)
def test_a_configuration_that_is_not_one(run, repo, team, text, error):
    team.parent.mkdir()
    team.write_text(text)
    with pytest.raises(error):
        remotes.read_config(Repository.open(str(repo)))
    assert "error:" in run("remote", "list", code=6 if error is Unsupported else 5).stderr
    assert team.read_text() == text


def test_no_remote(repo):
    repository = Repository.open(str(repo))
    with pytest.raises(ResourceDoesNotExist, match="no remote") as raised:
        remotes.remote_objects(repository)
    assert "mlgit remote add" in raised.value.hint
    remotes.add(repository, "a", "s3://a")
    remotes.add(repository, "b", "s3://b")
    with pytest.raises(ResourceDoesNotExist, match="No remote is called c") as raised:
        remotes.remote_objects(repository, "c")
    assert "a, b" in raised.value.hint
    remotes.remove(repository, "a")
    assert remotes.remote_objects(repository).name == "b"  # the only one


def test_a_bare_repository_reads_what_is_committed(run, repo, tmp_path, monkeypatch):
    run("remote", "add", "storage", "s3://bucket")
    subprocess.run(["git", "-C", repo, "add", ".mlgit"], check=True)
    subprocess.run(["git", "-C", repo, "commit", "-qm", "remote"], check=True)
    subprocess.run(["git", "clone", "-q", "--bare", repo, tmp_path / "bare"], check=True)
    bare = Repository.open(str(tmp_path / "bare"))
    assert remotes.remote_objects(bare).url == "s3://bucket"
    monkeypatch.chdir(tmp_path / "bare")
    assert "--local" in run("remote", "add", "x", "s3://x", code=4).stderr
    run("remote", "add", "--local", "x", "s3://x")
    assert remotes.read_config(bare).remotes["x"].local
