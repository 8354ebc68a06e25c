"""The real GTO beside this registry, in one repository."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import mlgit
from mlgit import MlgitClient
from mlgit.cli.main import cli
from mlgit.registry.promotion import demote, promote, rollback
from mlgit.store import spelling
from mlgit.tracking.registered import registry_for

GTO = os.environ.get("MLGIT_TEST_GTO", "")
pytestmark = pytest.mark.skipif(not GTO, reason="MLGIT_TEST_GTO names no gto")


def gto(where: Path, *arguments: str) -> Any:
    command = [GTO] if "python" not in Path(GTO).name else [GTO, "-m", "gto"]
    done = subprocess.run(
        [*command, *arguments], cwd=where, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr + done.stdout
    return json.loads(done.stdout) if "--json" in arguments else done.stdout


def logged(count: int) -> list[str]:
    """The URIs of models of so many runs."""
    found = []
    for n in range(count):
        with mlgit.start_run() as run:
            mlgit.log_text(f"flavors: {{}}\nmodel_uuid: '{n}'\n", "model/MLmodel")
        found.append(f"runs:/{run.info.run_id}/model")
    return found


def versions_by_gto(where: Path, name: str) -> dict[int, list[str]]:
    """The stages of each version of a model, as ``gto show`` has them."""
    shown = gto(where, "show", spelling.spell(name))
    rows = [[cell.strip() for cell in line.split("│")] for line in shown.splitlines()]
    return {
        int(row[2][1:].split(".")[0]): sorted(filter(None, row[3].split(", ")))
        for row in rows
        if len(row) > 3 and row[1] == spelling.spell(name)
    }


def ours(client: MlgitClient, name: str) -> dict[int, list[str]]:
    """The same by this registry: GTO shows each stage at the version that got it last."""
    versions = client.search_model_versions(f"name = '{name}'")
    last = {
        v.current_stage.lower(): client.get_model_version_by_alias(name, v.current_stage)
        for v in versions
        if v.current_stage != "None"
    }
    return {
        v.version: sorted([*v.aliases, *(s for s, holder in last.items() if holder.version == v.version)])
        for v in versions
    }  # fmt: skip


@pytest.mark.parametrize("name", ["fraud", "Ecommerce Model", "模型"])
def test_gto_shows_what_we_do(name: str, in_repo: Path, client: MlgitClient) -> None:
    uris = logged(3)
    for uri in [*uris, uris[0], uris[0]]:  # three versions of one run's model
        mlgit.register_model(uri, name)
    assert versions_by_gto(in_repo, name) == ours(client, name) == {n: [] for n in range(1, 6)}
    client.set_registered_model_alias(name, "champion", 5)
    client.set_registered_model_alias(name, "champion", 2)  # back
    client.transition_model_version_stage(name, 1, "Staging")
    client.transition_model_version_stage(name, 1, "Production")
    client.transition_model_version_stage(name, 4, "Production", archive_existing_versions=True)
    assert versions_by_gto(in_repo, name) == ours(client, name)
    assert ours(client, name)[4] == ["production"]
    client.delete_registered_model_alias(name, "champion")
    client.delete_model_version(name, 3)
    client.delete_model_version(name, 4)
    assert versions_by_gto(in_repo, name) == ours(client, name)
    assert set(ours(client, name)) == {1, 2, 5}


def test_gto_tells_the_history_in_our_order(in_repo: Path, client: MlgitClient) -> None:
    for uri in logged(2):
        mlgit.register_model(uri, "m")
    for number in (1, 2, 1, 2):
        client.set_registered_model_alias("m", "champion", number)
    client.delete_model_version("m", 2)
    told = [row["ref"] for row in gto(in_repo, "history", "m", "--json")]
    assert [event.tag for event in registry_for().history("m")] == told[::-1]


def listed(name: str) -> dict[str, Any]:
    """What ``mlgit models list --json`` has of a model."""
    done = CliRunner().invoke(cli, ["models", "list", "--json"])
    assert done.exit_code == 0, done.stderr
    return next(model for model in json.loads(done.stdout) if model["name"] == name)


@pytest.mark.parametrize("name", ["fraud", "Ecommerce Model"])
def test_the_command_line_agrees_with_gto(name: str, in_repo: Path, client: MlgitClient) -> None:
    for uri in logged(3):
        mlgit.register_model(uri, name)
    for number, stage in ((1, "Production"), (2, "Production"), (3, "Staging"), (1, "Archived")):
        client.transition_model_version_stage(name, number, stage)
    client.set_registered_model_alias(name, "champion", 1)
    client.set_registered_model_alias(name, "champion", 3)
    client.delete_model_version(name, 3)
    spelled = spelling.spell(name)
    (theirs,) = (gto(in_repo, "show", "--json")[spelled],)
    ours_now = listed(name)
    assert theirs["version"] == f"v{ours_now['latest']}.0.0"
    held = {stage.lower(): numbers[0] for stage, numbers in ours_now["stages"].items()}
    shown = {stage: version for stage, version in theirs["stage"].items() if version != "-"}
    assert shown == {k: f"v{v}.0.0" for k, v in {**held, **ours_now["aliases"]}.items()}
    done = CliRunner().invoke(cli, ["models", "history", name, "--json"])
    told = gto(in_repo, "history", spelled, "--json")
    events = {"register": "registration", "deregister": "deregistration",
              "assign": "assignment", "unassign": "unassignment"}  # fmt: skip
    assert [
        (change["tag"], events[change["event"]], f"v{change['version']}.0.0", change["commit"])
        for change in json.loads(done.stdout)
    ] == [(row["ref"], row["event"], row["version"], row["commit"]) for row in told]


def test_gto_describes_what_a_version_is_of(in_repo: Path, client: MlgitClient) -> None:
    """GTO's ``describe`` is in its Python API alone (1.10.1): it reads a version's commit."""
    (in_repo / "artifacts.yaml").write_text("m: {type: model, path: m.pkl, description: ours}\n")
    (in_repo / "m.pkl").write_text("")
    for command in (["add", "-A"], ["commit", "-qm", "described"]):
        subprocess.run(["git", *command], cwd=in_repo, check=True)
    (uri,) = logged(1)
    mlgit.register_model(uri, "m")
    client.transition_model_version_stage("m", 1, "Production")
    program = "import sys; from gto.api import describe; print(describe('.', sys.argv[1]))"
    for which in ("m@latest", "m#production"):
        done = subprocess.run(
            [str(Path(GTO).with_name("python")), "-c", program, which],
            cwd=in_repo, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert "type='model'" in done.stdout and "description='ours'" in done.stdout, done.stderr


def test_what_gto_writes_is_seen(in_repo: Path, client: MlgitClient) -> None:
    (uri,) = logged(1)
    mlgit.register_model(uri, "m")
    gto(in_repo, "assign", "m", "--version", "v1.0.0", "--stage", "prod")
    assert client.get_model_version_by_alias("m", "prod").version == 1
    gto(in_repo, "assign", "m", "--version", "v1.0.0", "--stage", "Production")
    assert client.get_model_version("m", 1).current_stage == "Production"
    commit = client.get_model_version("m", 1).commit
    gto(in_repo, "register", "other", str(commit), "--version", "v1.0.0", "--message", "by hand")
    version = client.get_model_version("other", "1")
    assert version.source == f"mlgit:/{commit}"
    assert version.run_id == uri.split("/")[1]
    gto(in_repo, "register", "new", "--version", "v1.0.0")
    assert client.get_model_version("new", 1).run_id is None
    gto(in_repo, "deprecate", "m", "v1.0.0", "prod")
    assert client.get_registered_model("m").aliases == {}
    gto(in_repo, "deprecate", "other", "v1.0.0")
    assert client.search_model_versions("name = 'other'") == []
    assert mlgit.register_model(uri, "other").version == 2


def test_a_version_that_mlflow_cannot_count_is_told(in_repo: Path, client: MlgitClient) -> None:
    gto(in_repo, "register", "m", "--version", "v0.1.0")
    assert client.search_model_versions() == []
    ((ref, problem),) = registry_for().problems()
    assert ref == "refs/tags/m@v0.1.0" and "whole numbers" in problem


def test_gto_agrees_after_promotions(in_repo: Path, client: MlgitClient) -> None:
    for uri in logged(4):
        mlgit.register_model(uri, "Ecommerce Model")
    registry, name = registry_for(), "Ecommerce Model"

    def agree() -> None:
        assert versions_by_gto(in_repo, name) == ours(client, name)

    for number in (1, 2, 3):
        promote(registry, name, number, "production", archive_existing=True)
        promote(registry, name, number, "champion")
    promote(registry, name, 4, "staging")
    promote(registry, name, 4, "production")
    agree()
    for target in ("production", "champion", "production", "champion"):
        rollback(registry, name, target)
    agree()
    demote(registry, name, target="champion")
    assert rollback(registry, name, "production").version == 1
    agree()
    demote(registry, name, 1)
    told = [row["ref"] for row in gto(in_repo, "history", "Ecommerce_x20Model", "--json")]
    assert [event.tag for event in registry.history(name)] == told[::-1]
    gto(in_repo, "assign", "Ecommerce_x20Model", "--version", "v4.0.0", "--stage", "champion")
    assert client.get_model_version_by_alias(name, "champion").version == 4
    promote(registry, name, 2, "champion")
    assert rollback(registry, name, "champion").version == 4
    agree()
