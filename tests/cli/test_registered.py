"""``mlgit models``, the part about registered models."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest

import mlgit
from mlgit import MlgitClient
from mlgit.review.steps import next_steps
from mlgit.tracking.registered import registry_for

NAME = "Ecommerce Model"
MLMODEL = """\
flavors:
  python_function: {loader_module: none}
  sklearn: {sklearn_version: "1.5"}
model_uuid: '1'
run_id: %s
signature:
  inputs: '[{"name": "age", "type": "double"}]'
  outputs: '[{"type": "long"}]'
  params: null
"""


def log(name: str, path: str = "model") -> str:
    """The id of a run with a model that is an MLmodel and nothing else."""
    with mlgit.start_run(run_name=name) as run:
        mlgit.log_text(MLMODEL % run.info.run_id, f"{path}/MLmodel")
        mlgit.set_tag("mlflow.log-model.history", json.dumps([{"artifact_path": path}]))
    return str(run.info.run_id)


@pytest.fixture
def client(repo: Path) -> MlgitClient:
    return MlgitClient()


@pytest.fixture
def three(client: MlgitClient) -> list[str]:
    """Runs of three versions: 1 is archived, 2 in Production and champion, 3 in Staging."""
    runs = [log(name) for name in ("first", "second", "third")]
    for run_id in runs:
        mlgit.register_model(f"runs:/{run_id}/model", NAME)
    client.update_registered_model(NAME, description="Who buys what")
    client.set_registered_model_tag(NAME, "team", "growth")
    client.set_registered_model_alias(NAME, "champion", 1)
    client.set_registered_model_alias(NAME, "champion", 2)
    client.transition_model_version_stage(NAME, 1, "Production")
    client.transition_model_version_stage(NAME, 2, "Production", archive_existing_versions=True)
    client.transition_model_version_stage(NAME, 3, "Staging")
    return runs


# -- list


def test_list(run, data, three, client):
    client.create_registered_model("empty")
    header, first, second = run("models", "list").stdout.splitlines()
    assert header.split() == [
        "name", "latest", "production", "staging", "aliases", "versions", "changed",
    ]  # fmt: skip
    assert first.split()[:6] == ["Ecommerce", "Model", "v3", "v2", "v3", "champion=v2"]
    assert second.split()[:2] == ["empty", "0"]
    found, empty = data("models", "list", "--json")
    assert found["stages"] == {"Production": [2], "Staging": [3], "Archived": [1]}
    assert (found["latest"], found["versions"], found["aliases"]) == (3, 3, {"champion": 2})
    assert found["tags"] == {"team": "growth"} and found["description"] == "Who buys what"
    assert found["last_tag"] == "Ecommerce_x20Model#staging#7"
    assert found["last_person"] == "Ada <ada@example.org>"
    assert (empty["latest"], empty["last_tag"], empty["stages"]) == (None, None, {})


def test_a_list_tells_of_aliases_when_it_says_what_changed_last(data, three, client):
    before = client.get_registered_model(NAME).last_updated_timestamp
    client.set_registered_model_alias(NAME, "blue", 3)
    (found,) = data("models", "list", "--json")
    assert found["last_change_ms"] > before
    assert client.get_registered_model(NAME).last_updated_timestamp == before


def test_list_some(run, data, client):
    for name in ("a", "b|c", "c"):
        client.create_registered_model(name, {"team": name})

    def names(*args: str) -> list[str]:
        return [model["name"] for model in data("models", "list", "--json", *args)]

    assert names() == names("--all") == ["a", "b|c", "c"]
    assert names("-n", "2") == ["a", "b|c"]
    assert names("--filter", "name != 'a' AND tags.team != 'c'") == ["b|c"]
    assert "quoted string" in run("models", "list", "--filter", "name = x", code=2).stderr
    assert run("models", "list", "--filter", "name = 'x'").stderr == "No registered models\n"
    assert "b\\|c" in run("models", "list", "--md").stdout.splitlines()[3]
    run("models", "list", "-n", "1", "--all", code=2)
    run("models", "list", "--logged", "--md", code=2)


def test_list_nothing(run, data, repo):
    assert "--logged" in run("models", "list").stderr
    assert data("models", "list", "--json") == []


# -- show


def test_show_a_model(run, data, three):
    text = run("models", "show", NAME).stdout
    assert "Who buys what" in text and "team" in text
    rows = [line.split() for line in text.splitlines() if line.startswith("v")]
    assert [row[:3] for row in rows[1:]] == [
        ["v3", "Staging", three[2][:8]],
        ["v2", "Production", "champion"],
        ["v1", "Archived", three[0][:8]],
    ]
    found = data("models", "show", NAME, "--json")
    assert found["aliases"] == {"champion": 2}
    assert [v["version"] for v in found["versions"]] == [3, 2, 1]


def test_versions_are_told_apart_by_their_metrics(run, data, three, client):
    for at, run_id in enumerate(three):
        for name, value in (("a_same", 1.0), ("loss", 0.5 - at / 10), ("z_acc", 0.7 + at / 10)):
            client.log_metric(run_id, name, value)
        client.log_metric(run_id, "b_same", 2.0)
    lines = run("models", "show", NAME).stdout.splitlines()
    (head,) = (line.split() for line in lines if line.startswith("version"))
    assert head[3:7] == ["loss", "z_acc", "a_same", "run"]
    (row,) = (line.split() for line in lines if line.startswith("v2"))
    assert row[3:7] == ["0.4", "0.8", "1", three[1][:8]]
    found = data("models", "show", NAME, "--json")["versions"]
    assert [v["metrics"]["loss"] for v in found] == [0.3, 0.4, 0.5]
    assert "z_acc   0.8" in run("models", "show", f"{NAME}@2").stdout
    assert data("models", "show", f"{NAME}@2", "--json")["metrics"]["a_same"] == 1
    assert "Models" in run("models", "diff", f"{NAME}@1", f"{NAME}@2").stdout
    assert "Models" not in run("models", "diff", f"{NAME}@1", f"{NAME}@2", "--metrics").stdout


@pytest.mark.parametrize("which", ["v2", "2", "champion", "Production", "production"])
def test_show_a_version(run, data, three, which):
    text = run("models", "show", f"{NAME}@{which}").stdout
    assert text.startswith(f"{NAME} version 2\n")
    for wanted in (
        f"runs:/{three[1]}/model", f"{three[1]} second", "Production", "champion",
        "Ecommerce_x20Model@v2.0.0", "Ada <ada@example.org>", "python_function, sklearn",
        "age  double",
    ):  # fmt: skip
        assert wanted in text, wanted
    found = data("models", "show", f"{NAME}@{which}", "--json")
    assert (found["version"], found["stage"], found["aliases"]) == (2, "Production", ["champion"])
    assert found["signature"]["inputs"][0]["name"] == "age"
    assert found["lineage"]["run_name"] == "second" and found["lineage"]["dirty"] is False


def test_a_version_is_found_by_its_tags(run, data, three, tmp_path):
    for tag, number in (("@v3.0.0", 3), ("#production#4", 2), ("#production!#6", 1)):
        found = data("models", "show", f"Ecommerce_x20Model{tag}", "--json")
        assert (found["name"], found["version"]) == (NAME, number)
    run("models", "show", "Ecommerce_x20Model#production#99", code=3)
    uri = data("models", "register", "Ecommerce_x20Model#champion#2", "copy", "--json")["source"]
    assert uri == "models:/Ecommerce%20Model/2"


def test_a_versions_files_are_downloaded(run, three, tmp_path, repo):
    for at, uri in enumerate(
        ["Ecommerce%20Model/2", "Ecommerce Model@champion", f"{NAME}/Production"]
    ):
        folder = tmp_path / str(at)
        run("artifacts", "download", "-u", f"models:/{uri}", "-d", str(folder))
        assert three[1] in (folder / "model" / "MLmodel").read_text()
    run("artifacts", "download", "-u", f"models:/{NAME}/9", code=3)
    run("artifacts", "download", "-u", "models:/nothing/1", code=3)
    run("artifacts", "download", "-u", "models:/nothing", code=2)


def test_show_where_a_version_comes_from(run, data, repo):
    (repo / "train.csv").write_text("x\n1\n")
    run("add", "train.csv")
    subprocess.run(["git", "add", "-A"], check=True)
    subprocess.run(["git", "commit", "-qm", "data"], check=True)
    (repo / "train.py").write_text("print('changed')\n")
    run_id = log("dirty")
    run("models", "register", "dirty", "m", "--description", "tried at night", "--tag", "a=b")
    head = subprocess.check_output(["git", "rev-parse", "HEAD"], text=True).strip()
    text = run("models", "show", "m@v1").stdout
    assert f"{head} with uncommitted changes" in text
    assert "tried at night" in text and "tag a" in text
    assert "train.csv  sha256:" in text
    lineage = data("models", "show", "m@v1", "--json")["lineage"]
    assert lineage["run_id"] == run_id and lineage["code_commit"] == head
    assert lineage["dirty"] is True and list(lineage["data"]) == ["train.csv"]


def test_show_tells_a_model_from_a_run(run, three, client):
    assert "requirements" not in run("models", "show", "first").stdout
    assert "flavors" in run("models", "show", "first").stdout
    client.create_registered_model("first")
    assert "It has no versions" in run("models", "show", "first").stdout
    assert "flavors" in run("models", "show", "first:model").stdout
    assert "flavors" in run("models", "show", "models:/Ecommerce%20Model/2").stdout


def test_a_name_with_an_at_is_itself(run, client):
    client.create_registered_model("a@b", description="whole")
    assert "whole" in run("models", "show", "a@b").stdout


@pytest.mark.parametrize(
    ("text", "code", "said"),
    [
        ("Ecommrce Model", 3, "did you mean 'Ecommerce Model'?"),
        ("nothing", 3, "No registered model and no run is called 'nothing'"),
        (f"{NAME}@v9", 3, "version=9) not found"),
        (f"{NAME}@nobody", 2, "alias nobody not found"),
        (f"{NAME}@", 2, ""),
        ("nothing@v1", 3, "No registered model and no run"),
        ("@v1", 3, ""),
    ],
)
def test_show_what_is_not_there(run, three, text, code, said):
    error = run("models", "show", text, code=code).stderr
    assert said in error and "Traceback" not in error


def test_show_a_version_whose_files_are_elsewhere(run, data, client):
    client.create_registered_model("m")
    client.create_model_version("m", "s3://nowhere/model", "of-another-place")
    client.create_model_version("m", "/no/such/folder")
    found = data("models", "show", "m@v1", "--json")
    assert found["signature"] is None and found["source"] == "s3://nowhere/model"
    shown = run("models", "show", "m@v2")
    assert "isn't known" in shown.stderr and "/no/such/folder" in shown.stdout


def test_texts_cant_drive_the_terminal(run, client):
    client.create_registered_model("m", {"k": "\x1b[2J"}, "red\x1b[31m\nline")
    client.create_model_version("m", "s3://b/\x1b[1m", description="\x1b[5m", tags={"t": "\x1b"})
    client.set_registered_model_alias("m", "best", 1)
    for args in (["list"], ["show", "m"], ["show", "m@v1"], ["history", "m"]):
        assert "\x1b" not in run("models", *args).stdout, args


# -- history


def test_history(run, data, three, client):
    registry_for().transition(NAME, 3, "Production", reason="better on\nnew data", guards=[
        {"guard": "require", "asks": "metrics.accuracy >= 0.9", "figures": {"metrics.accuracy": 0.93}}])  # fmt: skip
    text = run("models", "history", NAME).stdout.splitlines()
    assert text[0].split() == ["when", "who", "what", "why", "checked", "tag"]
    assert "Ada" in text[2] and "Production: v2 → v3" in text[2]
    assert "better on new data" in text[2]
    assert "require metrics.accuracy >= 0.9 (0.93)" in text[2]
    assert text[2].endswith("Ecommerce_x20Model#production#8")
    found = data("models", "history", NAME, "--json")
    assert [change["what"] for change in found] == [
        "Staging: v3 no more",
        "Production: v2 → v3",
        "Staging: v3",
        "Production: v1 no more",
        "Archived: v1",
        "Production: v1 → v2",
        "Production: v1",
        "champion: v1 → v2",
        "champion: v1",
        "v3 registered",
        "v2 registered",
        "v1 registered",
    ]
    assert found[1]["guards"] == [
        {
            "guard": "require",
            "asks": "metrics.accuracy >= 0.9",
            "figures": {"metrics.accuracy": 0.93},
        }
    ]
    assert (found[1]["previous_version"], found[1]["version"], found[1]["stage"]) == (
        2, 3, "Production",
    )  # fmt: skip
    assert found[1]["person"] == "Ada <ada@example.org>" and found[1]["signed"] is False
    assert data("models", "history", NAME, "--json", "-n", "2") == found[:2]
    assert "| Production: v2 → v3 " in run("models", "history", NAME, "--md").stdout


def test_history_with_texts(data, three):
    def whats(*args: str) -> list[str]:
        return [c["what"] for c in data("models", "history", NAME, "--json", *args)]

    assert "Describe Ecommerce Model" not in whats()
    assert {"Describe Ecommerce Model", "Tag Ecommerce Model: team"} <= set(whats("--texts"))
    assert [what for what in whats("--texts") if what in whats()] == whats()


def test_the_history_of_what_is_deleted_or_renamed(run, data, three, client):
    client.rename_registered_model(NAME, "shop")
    assert len(data("models", "history", "shop", "--json")) == 10
    run("models", "delete", "shop", "--yes", "--reason", "nobody asks it")
    found = data("models", "history", "shop", "--json")
    assert [c["what"] for c in found[:3]] == ["v3 deleted", "v2 deleted", "v1 deleted"]
    assert {c["reason"] for c in found[:3]} == {"nobody asks it"}
    assert run("models", "list").stdout == ""
    error = run("models", "history", "shpo", code=3).stderr
    assert "not found" in error


def test_what_gto_wrote_has_a_previous_version_too(data, three, client):
    commits = [client.get_model_version(NAME, n).commit for n in (1, 2)]
    for at, commit in enumerate([*commits, commits[1]]):
        mark = "!" if at == 2 else ""
        subprocess.run(
            ["git", "tag", "-a", "-m", "by hand", f"Ecommerce_x20Model#prod{mark}#{20 + at}",
             str(commit)],
            check=True,
            env={**os.environ, "GIT_COMMITTER_DATE": f"@{4_000_000_000 + at} +0000"},
        )  # fmt: skip
    found = data("models", "history", NAME, "--json", "-n", "3")
    assert [c["what"] for c in found] == ["prod: v2 no more", "prod: v1 → v2", "prod: v1"]
    assert found[0]["reason"] == "by hand"


# -- register


def test_register(run, data, repo):
    run_id = log("night", "deep/model")
    said = run("models", "register", "night", "m", "--description", "d", "--tag", "a=b=c").stdout
    assert said == "Registered version 1 of m: tag m@v1.0.0\n"
    client = MlgitClient()
    version = client.get_model_version("m", 1)
    assert (version.run_id, version.source) == (run_id, f"runs:/{run_id}/deep/model")
    assert (version.description, version.tags) == ("d", {"a": "b=c"})
    made = data("models", "register", f"{run_id[:9]}:deep/model", "m", "--json")
    assert (made["name"], made["version"], made["tag"]) == ("m", 2, "m@v2.0.0")
    assert data("models", "register", f"runs:/{run_id}/deep/model", "m", "--json")["version"] == 3
    copied = data("models", "register", "m@v1", "a b", "--json")
    assert (copied["source"], copied["run_id"]) == ("models:/m/1", run_id)
    assert data("models", "register", "a b@v1", "c", "--json")["run_id"] == run_id


@pytest.mark.parametrize(
    ("args", "code"),
    [
        (["nothing", "m"], 3),
        (["one:no/model", "m"], 3),
        (["none", "m"], 3),
        (["one", "a/b"], 2),
        (["one", ""], 2),
        (["one", "m", "--tag", "novalue"], 2),
        (["/no/such/folder", "m"], 3),
        (["one"], 2),
    ],
)
def test_what_cant_be_registered_makes_nothing(run, data, repo, args, code):
    log("one")
    with mlgit.start_run(run_name="none"):
        pass
    assert "Traceback" not in run("models", "register", *args, code=code).stderr
    assert data("models", "list", "--json") == []
    assert subprocess.check_output(["git", "tag"]) == b""


# -- delete


def test_delete_a_version_that_an_alias_holds(run, three, client):
    asked = run("models", "delete", f"{NAME}@v2", input="n\n", code=130).stderr
    assert "Delete version 2 of Ecommerce Model, which is champion, Production?" in asked
    assert client.get_model_version(NAME, 2).version == 2
    said = run("models", "delete", f"{NAME}@v2", "--reason", "wrong", input="y\n").stdout
    assert said.endswith("Deleted version 2 of Ecommerce Model\n")
    assert client.get_registered_model(NAME).aliases == {}
    run("models", "show", f"{NAME}@v2", code=3)
    run("models", "delete", f"{NAME}@2", "--yes", code=3)


def test_delete_a_model(run, three, client):
    asked = run("models", "delete", NAME, input="y\n").stderr
    assert "Delete Ecommerce Model and its 3 versions, which is champion (v2)?" in asked
    assert client.search_registered_models() == []


@pytest.mark.parametrize(
    ("text", "code"), [("nothing", 3), ("nothing@v1", 3), (f"{NAME}@champion", 2), (f"{NAME}@", 2)]
)
def test_delete_what_cant_be(run, three, text, code):
    before = subprocess.check_output(["git", "tag"])
    assert "Traceback" not in run("models", "delete", text, "-y", code=code).stderr
    assert subprocess.check_output(["git", "tag"]) == before


def test_delete_where_nobody_answers(run, three, client):
    assert "--yes" in run("models", "delete", f"{NAME}@v1", input="", code=2).stderr
    assert client.get_model_version(NAME, 1).version == 1


# -- the shell


def _completed(spawn: Any, monkeypatch: Any, words: str) -> list[str]:
    monkeypatch.setenv("_MLGIT_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", words)
    monkeypatch.setenv("COMP_CWORD", str(len(words.split()) - 1))
    return spawn(python="from mlgit.cli.main import main; main()").stdout.splitlines()  # type: ignore[no-any-return]


def test_the_shell_completes_models(spawn, client, monkeypatch):
    client.create_registered_model("fraud")
    client.create_model_version("fraud", "s3://b/m")
    client.set_registered_model_alias("fraud", "champion", 1)
    client.create_registered_model("a b")
    assert _completed(spawn, monkeypatch, "mlgit models show fr") == ["plain,fraud"]
    assert _completed(spawn, monkeypatch, "mlgit models history fraud@c") == [
        "plain,fraud@champion"
    ]


# -- signatures


def test_register_signs_and_verify_checks(run, data, repo, three, client, ssh_keys):
    ssh_keys.use(repo, ssh_keys.folder / "ada")
    run("models", "register", f"runs:/{three[0]}/model", NAME, "--sign")
    done = run("models", "verify", NAME)
    assert done.stdout.splitlines()[0] == f"{NAME}@latest is version 4: good"
    header, row = done.stdout.splitlines()[2:]
    assert header.split() == ["tag", "signature", "signer", "key"]
    tag, key = "Ecommerce_x20Model@v4.0.0", ssh_keys.fingerprint("ada")
    assert row.split() == [tag, "good", "ada@example.com", key]
    found = data("models", "verify", f"{NAME}@v4", "--json")
    assert (found["good"], found["version"], found["run_id"]) == (True, 4, three[0])
    assert found["tags"][0]["signer"] == "ada@example.com"


def test_verify_says_what_isnt_good(run, data, repo, three, client, ssh_keys):
    ssh_keys.use(repo, ssh_keys.folder / "ada")
    mlgit.register_model(f"runs:/{three[0]}/model", NAME, sign=True)
    client.set_registered_model_alias(NAME, "champion", 4)
    done = run("models", "verify", f"{NAME}@champion", code=1)
    assert done.stdout.splitlines()[0] == f"{NAME}@champion is version 4: not to be trusted"
    assert "it isn't signed" in done.stdout.splitlines()[-1]
    found = data("models", "verify", f"{NAME}@champion", "--json", code=1)
    assert [tag["good"] for tag in found["tags"]] == [True, False]
    assert found["tags"][1]["kind"] == ""
    assert run("models", "verify", f"{NAME}@v1", code=1).stdout
    assert "nothing not found" in run("models", "verify", "nothing", code=3).stderr
    ssh_keys.use(repo, ssh_keys.make("eve"))
    run("models", "register", f"runs:/{three[0]}/model", NAME, "--sign")
    done = run("models", "verify", f"{NAME}@v5", code=1)
    assert "isn't among those allowed to sign" in done.stdout
    assert "put a line for it" in done.stderr


def test_show_tells_of_the_version_and_not_of_what_its_run_logged_since(run, data, three):
    before = data("models", "show", f"{NAME}@v1", "--json")
    with mlgit.start_run(run_id=three[0]):
        mlgit.log_text(MLMODEL.replace("sklearn", "xgboost") % three[0], "model/MLmodel")
    after = data("models", "show", f"{NAME}@v1", "--json")
    assert "sklearn" in str(before) and "xgboost" not in str(after)
    assert before == after


@pytest.mark.parametrize("path", ["model", "two words:and more"])
def test_the_command_that_a_run_is_shown_with_registers_its_model(run, repo, path):
    run_id = log("first", path)
    shown = [
        command
        for command, _ in next_steps(
            run_id, None, in_worktree=True, has_artifacts=False, models=[path]
        )
    ]
    words = shlex.split(shown[0].replace("NAME", "shop"))
    assert words[0] == "mlgit"
    assert "Registered version 1 of shop" in run(*words[1:]).stdout
