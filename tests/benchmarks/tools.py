"""What is compared in moving data: mlgit, DVC, git-lfs and the plain tools of the system."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import generate
from peers import Unavailable

SOURCE = Path(__file__).resolve().parents[2]
VERBS = ("add", "push", "pull", "status")


@dataclass
class Tool:
    """One program.

    Attributes:
        key: "mlgit", "dvc", "lfs" or "plain".
        title: What the table calls it.
        commands: Each verb's command lines, run one after the other in the project's folder;
            ``{remote}`` is where the shared bytes are, ``{data}`` the name of what is kept.
        prepare: What is run before, unmeasured.
        after_add: What is run after "add" so that others see it, unmeasured.
        environment: Added to its processes' environment.
    """

    key: str
    title: str
    commands: dict[str, list[list[str]]]
    prepare: list[list[str]] = field(default_factory=list)
    after_add: list[list[str]] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)

    def run(self, verb: str, project: Path, place: Path, data: str) -> dict[str, Any]:
        """Run a verb; its wall and CPU time in seconds, and the most memory in bytes.

        Raises:
            Unavailable: It failed.
        """
        return self.run_all(self.commands[verb], project, place, data)

    def run_all(
        self, commands: Sequence[Sequence[str]], project: Path, place: Path, data: str
    ) -> dict[str, Any]:
        """Run command lines one after the other and add up what they took."""
        wall = cpu = 0.0
        memory = 0
        for command in commands:
            filled = [part.format(remote=place / "remote", data=data) for part in command]
            found = _timed(filled, project, {**_clean(), **self.environment})
            wall, cpu, memory = wall + found[0], cpu + found[1], max(memory, found[2])
        return {"wall": [wall], "cpu": [cpu], "memory": memory}


def _clean() -> dict[str, str]:
    kept = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("MLFLOW_", "MLGIT_", "GIT_", "PYTHON", "DVC_"))
    }
    return {**kept, "GIT_CONFIG_NOSYSTEM": "1", "GIT_TERMINAL_PROMPT": "0"}


def _timed(
    command: list[str], folder: Path, environment: dict[str, str]
) -> tuple[float, float, int]:
    with open(folder.parent / "log.txt", "wb") as log:
        start = time.perf_counter()
        child = subprocess.Popen(
            command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
        _, status, usage = os.wait4(child.pid, 0)
        wall = time.perf_counter() - start
        child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        tail = (folder.parent / "log.txt").read_text(errors="replace").strip().splitlines()[-2:]
        raise Unavailable(f"{' '.join(command)[-80:]}: {' / '.join(tail)[-300:]}")
    return wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024


_COMMIT = [
    ["git", "add", "-A"],
    ["git", "commit", "-qm", "data"],
    ["git", "push", "-q", "origin", "main"],
]


def mlgit() -> Tool:
    """This mlgit, by the interpreter that runs the benchmark."""
    me = [sys.executable, "-m", "mlgit", "-q"]
    return Tool(
        "mlgit",
        "mlgit",
        {
            "add": [[*me, "add", "{data}"]],
            "push": [[*me, "push"]],
            "pull": [[*me, "pull"]],
            "status": [[*me, "status"]],
        },
        prepare=[[*me, "remote", "add", "storage", "{remote}"]],
        after_add=_COMMIT,
        environment={"PYTHONPATH": str(SOURCE), "MLGIT_AUTO_MAINTENANCE": "0"},
    )


def dvc(python: str) -> Tool:
    """DVC of an environment."""
    me = [str(Path(python).with_name("dvc"))]
    version = subprocess.run(
        [*me, "--version"], capture_output=True, text=True, check=True
    ).stdout.strip()
    return Tool(
        "dvc",
        f"DVC {version}",
        {
            "add": [[*me, "add", "-q", "{data}"]],
            "push": [[*me, "push", "-q"]],
            "pull": [[*me, "pull", "-q"]],
            "status": [[*me, "status", "-q"]],
        },
        prepare=[
            [*me, "init", "-q"],
            [*me, "config", "core.analytics", "false"],
            [*me, "config", "core.check_update", "false"],
            [*me, "remote", "add", "-q", "-d", "storage", "{remote}"],
        ],
        after_add=_COMMIT,
    )


def git_lfs() -> Tool:
    """git-lfs; its objects go where the Git repository is.

    Raises:
        Unavailable: It isn't installed.
    """
    if shutil.which("git-lfs") is None:
        raise Unavailable("git-lfs isn't installed")
    shown = subprocess.run(["git-lfs", "version"], capture_output=True, text=True, check=True)
    version = shown.stdout.split()[0].partition("/")[2]
    return Tool(
        "lfs",
        f"git-lfs {version}",
        {
            "add": [["git", "add", "-A"], ["git", "commit", "-qm", "data"]],
            "push": [["git", "push", "-q", "origin", "main"]],
            "pull": [["git", "lfs", "install", "--local"], ["git", "lfs", "pull"]],
            "status": [["git", "status", "--porcelain"]],
        },
        prepare=[
            ["git", "lfs", "install", "--local"],
            ["git", "lfs", "track", "{data}", "{data}/**"],
        ],
        environment={"GIT_LFS_SKIP_SMUDGE": "1"},
    )


def plain() -> Tool:
    """cp, sha256sum and find."""
    sums = 'find "$0" -type f -print0 | xargs -0 sha256sum > sums.txt && cp -r "$0" copy'
    return Tool(
        "plain",
        "`cp`, `sha256sum`",
        {
            "add": [["sh", "-c", sums, "{data}"]],
            "push": [["cp", "-r", "{data}", "{remote}"]],
            "pull": [["cp", "-r", "{remote}", "{data}"]],
            "status": [
                ["sh", "-c", 'find "$0" -type f -printf "%s %T@\\n" | sort | sha1sum', "{data}"]
            ],
        },
    )


def dvc_python(given: str | None, cache: Path) -> str:
    """The interpreter of an environment with DVC, made in a cache folder where none is given."""
    if given:
        return given
    folder = cache / "dvc"
    python = folder / "bin" / "python"
    if not (folder / "complete").exists():
        print(f"installing DVC in {folder} …", file=sys.stderr, flush=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "-q", "dvc"], check=True)
        (folder / "complete").touch()
    return str(python)


def project(place: Path) -> Path:
    """A new repository in a folder, with an origin beside it."""
    made = place / "project"
    generate.make_repository(made)
    generate.git(place, "init", "-q", "--bare", "-b", "main", "origin.git")
    generate.git(made, "remote", "add", "origin", str(place / "origin.git"))
    generate.git(made, "push", "-q", "-u", "origin", "main")
    return made
