"""What is compared: mlgit and two MLflows, each in its own environment and processes."""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import generate

WORKER = Path(__file__).with_name("worker.py")
MLFLOW3, MLFLOW2 = "3.17.2", "2.22.5"
# A fresh 2.22.5 doesn't import beside newer releases of what it needs.
_PINS = {MLFLOW3: [], MLFLOW2: ["sqlalchemy<2.1", "fastapi<0.116"]}


class Unavailable(Exception):
    """A measurement can't be made here; the reason."""


@dataclass
class Peer:
    """One program that is measured.

    Attributes:
        key: "mlgit", "mlflow3" or "mlflow2".
        title: What the table calls it.
        python: The interpreter of its environment.
    """

    key: str
    title: str
    python: str

    @property
    def module(self) -> str:
        """The package that programs import."""
        return "mlgit" if self.key == "mlgit" else "mlflow"

    def environment(self, place: Path) -> dict[str, str]:
        """The environment variables of its processes.

        Args:
            place: The prepared folder; its ``project`` is the working directory.
        """
        kept = {
            key: value
            for key, value in os.environ.items()
            if not key.startswith(("MLFLOW_", "MLGIT_", "GIT_", "PYTHON"))
        }
        kept["GIT_CONFIG_NOSYSTEM"] = "1"
        if self.key == "mlflow3":
            kept["MLFLOW_TRACKING_URI"] = f"sqlite:///{place}/mlflow.db"
        elif self.key == "mlflow2":
            kept["MLFLOW_TRACKING_URI"] = f"file://{place}/mlruns"
        return kept

    def run(self, place: Path, command: list[str]) -> tuple[str, float, float]:
        """Run a command in a prepared folder.

        Returns:
            Its output, and its wall and CPU time in seconds, its start included.

        Raises:
            Unavailable: It failed.
        """
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        start = time.perf_counter()
        done = subprocess.run(
            command,
            cwd=place / "project",
            env=self.environment(place),
            capture_output=True,
            text=True,
            check=False,
        )
        wall = time.perf_counter() - start
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        if done.returncode:
            tail = done.stderr.strip().splitlines()[-1:] or ["no message"]
            raise Unavailable(f"{self.title}: {' '.join(command[-3:])[:80]}: {tail[0][:200]}")
        cpu = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
        return done.stdout, wall, cpu

    def task(self, place: Path, name: str, **arguments: Any) -> dict[str, Any]:
        """Have the worker do one task, in a process of its own."""
        command = [self.python, str(WORKER), self.module, name, json.dumps(arguments)]
        output, _, _ = self.run(place, command)
        return dict(json.loads(output.splitlines()[-1]))

    def script(self) -> list[str]:
        """How its command line is started: by the console script if there is one."""
        path = Path(self.python).with_name(self.module)
        return [str(path)] if path.exists() else [self.python, "-m", self.module]


class Workspace:
    """Prepared stores in a temporary folder, each made once and copied for each use.

    Nothing is removed before the end: ext4 without a journal gives out an inode only minutes
    after it was freed, and steps over those that aren't ripe one by one, so that removing a
    thousand files makes each new one ten times as expensive.

    Args:
        root: The temporary folder.
        peers: Everything that is compared.
    """

    def __init__(self, root: Path, peers: list[Peer]) -> None:
        self.root = root
        self.peers = peers
        self._count = 0

    def _made(self, name: str) -> Path | None:
        place = self.root / name
        return place if place.exists() else None

    def filled(self, peer: Peer, runs: int, points: int = 1) -> Path:
        """A project whose store has runs, logged through the public API; not to be changed."""
        name = f"{peer.key}-{runs}-{points}"
        place = self._made(name)
        if place is None:
            unfinished = self.root / f"{name}.part"
            generate.make_repository(unfinished / "project")
            if runs:
                peer.task(unfinished, "fill", runs=runs, points=points)
            elif peer.key == "mlflow3":
                # Its first process makes the tables, which takes seconds.
                peer.task(unfinished, "fill", runs=1)
            place = self.root / name
            unfinished.rename(place)
        return place

    def fresh(self, peer: Peer, runs: int = 0) -> Path:
        """A copy of such a project, to be changed at will."""
        return self.copy(self.filled(peer, runs))

    def copy(self, place: Path) -> Path:
        """A copy of a prepared folder, to be changed at will."""
        target = self.empty_folder()
        shutil.copytree(place, target, symlinks=True, dirs_exist_ok=True)
        return target

    def empty_folder(self) -> Path:
        """A new folder."""
        self._count += 1
        place = self.root / f"scratch-{self._count}"
        place.mkdir()
        return place

    def generated(self, runs: int, points: int = 1) -> Path:
        """A project with many of mlgit's runs, packed; not to be changed."""
        name = f"generated-{runs}-{points}"
        place = self._made(name)
        if place is None:
            unfinished = self.root / f"{name}.part"
            generate.make_repository(unfinished / "project")
            generate.generate(unfinished / "project", runs, points)
            # As any remote or "git gc" leaves it: deltas between the objects looked for anew.
            generate.git(unfinished / "project", "repack", "-adfq")
            place = self.root / name
            unfinished.rename(place)
        return place


def find_peers(mlflow3: str | None, mlflow2: str | None, cache: Path) -> list[Peer]:
    """The peers, their environments made in a cache folder where none are given."""
    return [
        Peer("mlgit", "mlgit", sys.executable),
        Peer("mlflow3", f"MLflow {MLFLOW3}", mlflow3 or _install(MLFLOW3, cache)),
        Peer("mlflow2", f"MLflow {MLFLOW2}", mlflow2 or _install(MLFLOW2, cache)),
    ]


def _install(version: str, cache: Path) -> str:
    folder = cache / f"mlflow-{version}"
    python = folder / "bin" / "python"
    if not (folder / "complete").exists():
        print(f"installing MLflow {version} in {folder} …", file=sys.stderr, flush=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
        packages = [f"mlflow=={version}", *_PINS[version]]
        subprocess.run([str(python), "-m", "pip", "install", "-q", *packages], check=True)
        (folder / "complete").touch()
    return str(python)


def version_of(peer: Peer) -> tuple[str, str]:
    """The versions of a peer and of its Python, as its own interpreter has them."""
    code = (
        "import platform, sys, importlib.metadata as m;"
        "print(m.version(sys.argv[1]), platform.python_version())"
    )
    command = [peer.python, "-c", code, peer.module]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode and peer.key == "mlgit":  # run from its sources
        import mlgit

        return mlgit.__version__, sys.version.split()[0]
    if done.returncode:
        raise SystemExit(f"{peer.python} has no {peer.title}: {done.stderr.strip()[-200:]}")
    found, python = done.stdout.split()
    return found, python
