"""mlgit init --ci: the files of a host's CI, and their steps run here against stand-ins."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

import mlgit
from mlgit.cli.main import cli
from mlgit.exceptions import InvalidParameterValue
from mlgit.worktree.workflows import HOSTS, templates

ROOT = Path(mlgit.__file__).parents[1]
GITHUB = ".github/workflows/mlgit-report.yml"
GITLAB = ".gitlab/mlgit-report.yml"


def call(*arguments: str) -> Any:
    return CliRunner().invoke(cli, list(arguments))


@pytest.mark.parametrize("host", HOSTS)
def test_the_examples_are_the_templates(host: str) -> None:
    folder = ROOT / "examples" / "ci"
    for name, data in templates(host).items():
        assert (folder / name).read_bytes() == data, name


@pytest.mark.parametrize("host", HOSTS)
def test_every_example_is_written(host: str) -> None:
    examples = ROOT / "examples" / "ci"
    files = [*(examples / host).iterdir(), examples / "deploy.sh"]
    assert set(templates(host)) == {path.relative_to(examples).as_posix() for path in files}


def test_an_unknown_host() -> None:
    with pytest.raises(InvalidParameterValue):
        templates("svn")
    assert call("init", "--ci", "svn").exit_code == 2


def test_init_writes_them(repo_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(repo_dir)
    done = call("init", "--ci", "github")
    assert done.exit_code == 0 and f"{GITHUB}: made" in done.output
    assert Path(".github/workflows/promotion.yml").is_file() and Path("ci/deploy.sh").is_file()
    assert "there already" in call("init", "--ci", "github").output
    Path(GITHUB).write_text("mine\n")
    done = call("init", "--ci", "github")
    assert done.exit_code == 4 and GITHUB in done.output and Path(GITHUB).read_text() == "mine\n"
    assert call("init", "--ci", "github", "--force").exit_code == 0
    assert Path(GITHUB).read_bytes() == templates("github")["github/mlgit-report.yml"]


def test_gitlab_reads_one_file(repo_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(repo_dir)
    assert call("init", "--ci", "gitlab").exit_code == 0
    included = yaml.safe_load(Path(".gitlab-ci.yml").read_text())["include"]
    assert all(Path(item["local"]).is_file() for item in included)
    assert {"local": GITLAB} in included
    Path(".gitlab-ci.yml").write_text("stages: [test]\n")
    done = call("init", "--ci", "gitlab")
    assert done.exit_code == 0 and f"- local: {GITLAB}" in done.output
    assert Path(".gitlab-ci.yml").read_text() == "stages: [test]\n"
    assert "local: ci/" not in done.output


def test_where_there_is_no_worktree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert call("init", "--bare", "--ci", "github").exit_code == 2
    assert call("init", "new", "--ci", "github").exit_code == 0
    assert (tmp_path / "new" / GITHUB).is_file() and (tmp_path / "new/.git").is_dir()
    assert call("init", "--bare", "bare.git").exit_code == 0
    monkeypatch.chdir(tmp_path / "bare.git")
    assert call("init", "--ci", "github").exit_code == 3


# -- their steps, run


PROGRAM = """import mlgit
with mlgit.start_run():
    mlgit.log_metric("val_acc", {})
"""


@pytest.fixture
def checkout(repo_dir: Path, tmp_path: Path, git: Any, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A clone as CI makes it, of a branch with a run; the runs were pushed."""
    origin, clone, commands = tmp_path / "origin.git", tmp_path / "clone", tmp_path / "bin"
    commands.mkdir()
    programs = {
        "python": f'exec "{sys.executable}" "$@"',
        "mlgit": f'exec "{sys.executable}" -m mlgit "$@"',
        "pip": "exit 0",
        # What 'gh api' was asked for; it answers with what is in $GH_FOUND.
        "gh": 'printf "%s\\n" "$*" >> "$GH_SAID"; case "$*" in *--jq*) printf "%s" "$GH_FOUND";; esac',
    }
    for name, text in programs.items():
        (commands / name).write_text(f"#!/bin/sh\n{text}\n")
        (commands / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{commands}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    git(tmp_path, "init", "-q", "--bare", "-b", "main", "origin.git")
    git(repo_dir, "remote", "add", "origin", str(origin))
    for branch, value in (("main", 0.9), ("topic", 0.8)):
        git(repo_dir, "checkout", "-q", "-B", branch)
        (repo_dir / "train.py").write_text(PROGRAM.format(value))
        git(repo_dir, "commit", "-qam", branch)
        subprocess.run([sys.executable, "train.py"], cwd=repo_dir, check=True)
        git(repo_dir, "push", "-q", "origin", branch)
    subprocess.run([sys.executable, "-m", "mlgit", "-q", "push"], cwd=repo_dir, check=True)
    git(tmp_path, "clone", "-q", str(origin), "clone")
    git(clone, "checkout", "-q", "--detach", "origin/topic")
    return clone


def shell(where: Path, script: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-e", "-c", script],
        cwd=where,
        env={**os.environ, **env},
        capture_output=True,
        text=True,
    )


def test_the_steps_of_github(checkout: Path, tmp_path: Path) -> None:
    workflow = yaml.safe_load(templates("github")["github/mlgit-report.yml"])
    steps = {s["name"]: s["run"] for s in workflow["jobs"]["report"]["steps"] if "run" in s}
    said, summary = tmp_path / "said", tmp_path / "summary"
    env = {
        "BASE": "main",
        "GITHUB_STEP_SUMMARY": str(summary),
        "GH_SAID": str(said),
        "GH_FOUND": "",
        "REPOSITORY": "o/r",
        "NUMBER": "7",
        "MLGIT_FAIL_IF": "",
    }
    for name in ("Install", "Fetch runs", "Report", "Summary", "Comment"):
        done = shell(checkout, steps[name], **env)
        assert done.returncode == 0, (name, done.stderr)
    assert "| `val_acc` | 0.9 | 0.8 |" in summary.read_text()
    assert "--method POST repos/o/r/issues/7/comments --field body=@comment.md" in said.read_text()
    assert shell(checkout, steps["Comment"], **{**env, "GH_FOUND": "42\n43\n"}).returncode == 0
    assert "--method PATCH repos/o/r/issues/comments/42 --field" in said.read_text()
    failing = {**env, "MLGIT_FAIL_IF": "metrics.val_acc < base.metrics.val_acc - 0.005"}
    done = shell(checkout, steps["Report"], **failing)
    assert done.returncode == 1 and "metrics.val_acc = 0.8" in done.stderr
    assert (checkout / "comment.md").read_text().startswith("<!-- mlgit: report -->\n### ❌")


def test_what_a_pull_request_is_called_runs_nothing() -> None:
    """Text from outside comes by variables: where it is put into a script, it is a program."""
    found = yaml.safe_load(templates("github")["github/mlgit-report.yml"])
    assert set(found["on"]) == {"pull_request"} and found["permissions"] == {}
    for job in found["jobs"].values():
        for step in job["steps"]:
            assert "${{" not in step.get("run", "")


class Notes(BaseHTTPRequestHandler):
    """As much of GitLab's notes API as the job calls."""

    def _answer(self, data: object, **headers: str) -> None:
        self.send_response(200)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(json.dumps(data).encode())

    def do_GET(self) -> None:
        self.server.seen.append(("GET", self.path, self.headers["PRIVATE-TOKEN"]))  # type: ignore[attr-defined]
        if self.path.endswith("/user"):
            self._answer({"id": 5})
        elif self.path.endswith("page=1"):
            other = {"id": 1, "author": {"id": 6}, "body": "<!-- mlgit: report -->\nnot mine"}
            self._answer([other], X_Next_Page="2")
        else:
            self._answer(self.server.notes, X_Next_Page="")  # type: ignore[attr-defined]

    def _write(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.seen.append((self.command, self.path, body["body"]))  # type: ignore[attr-defined]
        self._answer({})

    do_POST = do_PUT = _write

    def log_message(self, *arguments: Any) -> None:
        pass


@pytest.fixture
def gitlab() -> Iterator[Any]:
    server: Any = HTTPServer(("127.0.0.1", 0), Notes)
    server.seen, server.notes = [], []
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_the_job_of_gitlab(checkout: Path, gitlab: Any) -> None:
    job = yaml.safe_load(templates("gitlab")["gitlab/mlgit-report.yml"])["mlgit report"]
    env = {
        "CI_MERGE_REQUEST_TARGET_BRANCH_NAME": "main",
        "CI_API_V4_URL": f"http://127.0.0.1:{gitlab.server_port}/api/v4",
        "CI_PROJECT_ID": "3",
        "CI_MERGE_REQUEST_IID": "7",
        "MLGIT_NOTE_TOKEN": "token",
        "MLGIT_FAIL_IF": "",
    }
    done = shell(checkout, "\n".join(job["before_script"] + job["script"]), **env)
    assert done.returncode == 0, done.stderr
    after = "\n".join(job["after_script"])
    assert shell(checkout, after, **{**env, "MLGIT_NOTE_TOKEN": ""}).returncode == 0
    assert gitlab.seen == []
    done = shell(checkout, after, **env)
    assert done.returncode == 0, done.stderr
    method, path, body = gitlab.seen[-1]
    assert (method, path) == ("POST", "/api/v4/projects/3/merge_requests/7/notes")
    assert body.startswith("<!-- mlgit: report -->") and "val_acc" in body
    assert gitlab.seen[0] == ("GET", "/api/v4/user", "token")
    gitlab.notes = [{"id": 9, "author": {"id": 5}, "body": body}]
    assert shell(checkout, after, **env).returncode == 0
    assert gitlab.seen[-1][:2] == ("PUT", "/api/v4/projects/3/merge_requests/7/notes/9")
    failing = {**env, "MLGIT_FAIL_IF": "metrics.val_acc < base.metrics.val_acc"}
    assert shell(checkout, "\n".join(job["script"]), **failing).returncode == 1
