"""examples/ci: the shell steps of the workflows are run, as the hosts would, on a real repository.

The reports on pull requests, beside them, have tests of their own (tests/worktree/test_workflows.py).
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

import mlgit
from mlgit import MlgitClient

ROOT = Path(mlgit.__file__).parents[1]
EXAMPLES = ROOT / "examples" / "ci"
GITHUB = {path.stem: path for path in sorted((EXAMPLES / "github").glob("*.yml"))}
OURS = [GITHUB["promotion"]]
GITLAB = EXAMPLES / "gitlab" / "gitlab-ci.yml"
NAME = "nlp model"  # which tags spell nlp_x20model
RULES = """\
promotion:
  "*":
    production:
      require: "metrics.accuracy >= 0.9"
"""


def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


# -- what can be seen without running them


@pytest.mark.parametrize("path", [*OURS, GITLAB], ids=lambda p: p.name)
def test_they_are_yaml_without_traps(path: Path) -> None:
    found = load(path)
    # YAML 1.1 reads "on" as true, and GitHub's own reader doesn't: both have to agree.
    assert all(isinstance(key, str) for key in found)
    if path != GITLAB:
        assert set(found) >= {"on", "permissions", "jobs"}


def steps(path: Path) -> list[tuple[dict[str, Any], dict[str, Any], dict[str, Any]]]:
    workflow = load(path)
    return [(workflow, job, s) for job in workflow["jobs"].values() for s in job["steps"]]


@pytest.mark.parametrize("path", OURS, ids=lambda p: p.name)
def test_no_text_of_others_becomes_part_of_a_script(path: Path) -> None:
    for _, _, step in steps(path):
        assert "${{" not in step.get("run", ""), step["run"]
        for expansion in re.findall(r"(.?)\$\{?[A-Z_]+", step.get("run", "")):
            assert expansion in ('"', "/"), step["run"]  # quoted


@pytest.mark.parametrize("path", OURS, ids=lambda p: p.name)
def test_they_may_do_no_more_than_they_need(path: Path) -> None:
    workflow = load(path)
    assert workflow["permissions"] == {}
    assert "pull_request_target" not in workflow["on"]
    for job in workflow["jobs"].values():
        assert job["permissions"] == {"contents": "read"}


@pytest.mark.parametrize(
    ("tag", "deploys"),
    [
        ("fraud#production#4", True), ("nlp_x20model#production#10", True),
        ("team=nlp/segment#production#1", True), ("fraud#production!#4", False),
        ("fraud@v3.0.0", False), ("fraud#staging#2", False), ("v1.0", False),
    ],
)  # fmt: skip
def test_which_tags_deploy(tag: str, deploys: bool) -> None:
    (pattern,) = load(GITHUB["promotion"])["on"]["push"]["tags"]
    # GitHub's: ** matches anything, * all but a slash.
    expression = re.escape(pattern).replace(r"\*\*", ".*").replace(r"\*", "[^/]*")
    assert bool(re.fullmatch(expression, tag)) is deploys
    (rule,) = load(GITLAB)[".promotion"]["rules"]
    (regex,) = re.findall(r"^\$CI_COMMIT_TAG =~ /(.*)/$", rule["if"])
    assert bool(re.search(regex, tag)) is deploys


def test_the_copies_are_named_where_they_are_used() -> None:
    text = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    for path in [*GITHUB.values(), GITLAB, EXAMPLES / "deploy.sh"]:
        assert str(path.relative_to(EXAMPLES)) in text


# -- a repository, and jobs as the hosts run them


def git(where: Path, *arguments: str) -> str:
    done = subprocess.run(["git", "-C", str(where), *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture
def commands(tmp_path: Path) -> Path:
    """A folder of commands: this mlgit, and a pip that installs nothing."""
    folder = tmp_path / "bin"
    folder.mkdir()
    python = f"""#!/bin/sh
if [ "$1 $2" = "-m pip" ]; then echo "$@" >> {tmp_path}/pip.txt; exit 0; fi
exec "{sys.executable}" "$@"
"""
    for name, text in (("mlgit", f'#!/bin/sh\nexec "{sys.executable}" -m mlgit "$@"\n'),
                       ("python", python)):  # fmt: skip
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    return folder


@pytest.fixture
def team(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with rules and two versions, the first good, and the origin that it is pushed to."""
    project = tmp_path / "project"
    subprocess.run(
        ["git", "init", "-q", "--bare", "-b", "main", tmp_path / "origin.git"], check=True
    )
    subprocess.run(["git", "clone", "-q", tmp_path / "origin.git", project], check=True)
    git(project, "checkout", "-q", "-B", "main")
    (project / "ci").mkdir()
    shutil.copy(EXAMPLES / "deploy.sh", project / "ci" / "deploy.sh")
    monkeypatch.chdir(project)
    command = [sys.executable, "-m", "mlgit"]
    subprocess.run([*command, "remote", "add", "store", str(tmp_path / "store")], check=True)
    with open(".mlgit/config.yaml", "a", encoding="utf-8") as f:
        f.write(RULES)
    git(project, "add", "-A")
    git(project, "commit", "-q", "-m", "first")
    for accuracy in (0.95, 0.5):
        with mlgit.start_run(run_name=f"accuracy {accuracy}"):
            mlgit.log_metric("accuracy", accuracy)
            mlgit.log_text(f"{accuracy}", "model/weights.txt")
            uri = mlgit.get_artifact_uri("model")
        mlgit.tracking.registered.register(MlgitClient()._registry, NAME, uri)
    return project


def push(project: Path) -> None:
    git(project, "push", "-q", "origin", "main")
    done = subprocess.run(
        [sys.executable, "-m", "mlgit", "push"], cwd=project, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


class Job:
    """One CI job: a fresh checkout, and its steps with the variables that hosts set."""

    def __init__(self, folder: Path, commands: Path, variables: dict[str, str]) -> None:
        self.folder = folder
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("GITHUB_", "CI"))}
        self.env = {
            **kept,
            "PATH": f"{commands}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "PYTHONIOENCODING": "utf-8",
            **variables,
        }

    def run(self, script: str, *shell: str, **env: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*(shell or ("bash", "--noprofile", "--norc", "-eo", "pipefail")), "-c", script],
            cwd=self.folder, env={**self.env, **env}, capture_output=True, text=True, check=False,
        )  # fmt: skip


def expand(text: str, context: dict[str, str]) -> str:
    """``${{ a || b }}`` as GitHub replaces it."""

    def value(match: re.Match[str]) -> str:
        found = [context[name.strip()] for name in match[1].split("||")]
        return next((text for text in found if text), "")

    return re.sub(r"\$\{\{(.*?)\}\}", value, text)


def on_github(
    workflow: str, context: dict[str, str], origin: Path, folder: Path, commands: Path, **env: str
) -> list[subprocess.CompletedProcess[str]]:
    """Run the jobs of a workflow in order, each in a clone of its own, until a step fails."""
    done: list[subprocess.CompletedProcess[str]] = []
    found = load(GITHUB[workflow])
    for name, job in found["jobs"].items():
        place = folder / f"github-{workflow}-{name}"
        for step in job["steps"]:
            if step.get("uses", "").startswith("actions/checkout"):
                ref = expand(step["with"]["ref"], context)
                assert step["with"]["fetch-depth"] == 0
                subprocess.run(["git", "clone", "-q", origin, place], check=True)
                git(place, "checkout", "-q", "--detach", f"origin/{ref}" if ref == "main" else ref)
                running = Job(place, commands, {
                    "GITHUB_STEP_SUMMARY": str(folder / "summary.md"), "CI": "true",
                    "GITHUB_REPOSITORY": "team/project", **env})  # fmt: skip
            if "run" in step:
                variables = {**found.get("env", {}), **step.get("env", {})}
                expanded = {k: expand(str(v), context) for k, v in variables.items()}
                done.append(running.run(step["run"], **expanded))
                if done[-1].returncode:
                    return done
    return done


def on_gitlab(
    job: str, variables: dict[str, str], place: Path, commands: Path
) -> subprocess.CompletedProcess[str]:
    """Run one job in a checkout, as a shell runner does: all lines in one shell that stops."""
    found = load(GITLAB)
    parts = [found[job]]
    while "extends" in parts[-1]:
        parts.append(found[parts[-1]["extends"]])
    merged: dict[str, Any] = {}
    for part in reversed(parts):
        merged.update(part)
    lines = [*merged["before_script"], *merged["script"]]
    variables = {"CI_PROJECT_DIR": str(place), "CI_DEFAULT_BRANCH": "main", **variables}
    return Job(place, commands, variables).run("\n".join(lines), "bash", "-eo", "pipefail")


def promoted(number: int) -> str:
    """The tag that puts a version into Production, written without looking at rules."""
    MlgitClient().transition_model_version_stage(NAME, number, "Production")
    return next(tag for tag in git(Path.cwd(), "tag", "--sort=-taggerdate").splitlines()
                if "#production#" in tag)  # fmt: skip


# -- promotions


def test_github_deploys_what_the_rules_allow(team: Path, tmp_path: Path, commands: Path) -> None:
    tag = promoted(1)
    push(team)
    for given in ({"inputs.tag": "", "github.ref_name": tag}, {"inputs.tag": tag, "github.ref_name": "main"}):  # fmt: skip
        context = {**given, "github.event.repository.default_branch": "main"}
        folder = tmp_path / f"by-{given['github.ref_name']}".replace("#", "-")
        folder.mkdir()
        done = on_github("promotion", context, tmp_path / "origin.git", folder, commands)
        assert [d.returncode for d in done] == [0] * 6, done[-1].stderr
        assert "Deployed version 1 of nlp model" in done[-1].stdout
        assert "no problems" in (folder / "summary.md").read_text()
        deployed = list((folder / "github-promotion-deploy" / "deployed").rglob("weights.txt"))
        assert [path.read_text() for path in deployed] == ["0.95"]
    assert "install mlgit" in (tmp_path / "pip.txt").read_text()


def test_github_refuses_what_breaks_the_rules(team: Path, tmp_path: Path, commands: Path) -> None:
    tag = promoted(2)
    push(team)
    context = {"inputs.tag": "", "github.ref_name": tag,
               "github.event.repository.default_branch": "main"}  # fmt: skip
    done = on_github("promotion", context, tmp_path / "origin.git", tmp_path, commands)
    assert len(done) == 3 and done[-1].returncode == 1  # the check; nothing is deployed
    assert "0.5" in (tmp_path / "summary.md").read_text()
    assert not list(tmp_path.rglob("deployed"))


@pytest.mark.parametrize("tag", ["--help", "$(touch pwned)#production#1", "x; touch pwned #production#1"])  # fmt: skip
def test_a_tags_name_is_never_run(tag: str, team: Path, tmp_path: Path, commands: Path) -> None:
    push(team)
    context = {"inputs.tag": tag, "github.ref_name": "main",
               "github.event.repository.default_branch": "main"}  # fmt: skip
    done = on_github("promotion", context, tmp_path / "origin.git", tmp_path, commands)
    assert done[-1].returncode != 0 and "Usage:" not in done[-1].stdout
    assert not list(tmp_path.rglob("pwned")) and not list(tmp_path.rglob("deployed"))


def test_a_deployment_that_comes_late_changes_nothing(
    team: Path, tmp_path: Path, commands: Path
) -> None:
    first, _ = promoted(1), promoted(2)
    push(team)
    job = Job(team, commands, {})
    done = job.run(f"sh ci/deploy.sh '{first}'")
    assert "isn't in production any more: version 2 is" in done.stdout, done.stderr
    assert not (team / "deployed").exists()


def gitlab_checkout(origin: Path, place: Path, ref: str) -> Path:
    """What a runner has: the one ref of the pipeline, and nothing else."""
    subprocess.run(["git", "init", "-q", place], check=True)
    git(place, "remote", "add", "origin", str(origin))
    git(place, "fetch", "-q", "origin", ref)
    git(place, "checkout", "-q", "--detach", "FETCH_HEAD")
    return place


def test_gitlab_deploys_what_the_rules_allow(team: Path, tmp_path: Path, commands: Path) -> None:
    tag = promoted(1)
    push(team)
    for job in ("check promotion", "deploy"):
        place = gitlab_checkout(tmp_path / "origin.git", tmp_path / job, f"refs/tags/{tag}")
        done = on_gitlab(job, {"CI_COMMIT_TAG": tag}, place, commands)
        assert done.returncode == 0, done.stderr
    assert "Deployed version 1 of nlp model" in done.stdout
    bad = promoted(2)
    push(team)
    place = gitlab_checkout(tmp_path / "origin.git", tmp_path / "bad", f"refs/tags/{bad}")
    assert on_gitlab("check promotion", {"CI_COMMIT_TAG": bad}, place, commands).returncode == 1
