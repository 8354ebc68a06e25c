"""The registry's page is run: its programs print what it says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from signers import SshKeys
from team import clone, remote

import mlgit

ROOT = Path(mlgit.__file__).parents[1]
PAGE = (ROOT / "docs" / "registry.md").read_text(encoding="utf-8")
SIGNED = PAGE.split("\n## Signed\n")[1].split("\n## ")[0]
TEAM = PAGE.split("\n## In a team\n")[1].split("\n## ")[0]
TEXT = PAGE.replace(SIGNED, "").replace(TEAM, "")


def surroundings(tmp_path: Path) -> dict[str, str]:
    """The environment of a person's shell, in which ``mlgit`` and ``python`` are these."""
    commands = tmp_path / "bin"
    commands.mkdir()
    for name, started in (("mlgit", "-m mlgit"), ("python", "")):
        (commands / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" {started} "$@"\n')
        (commands / name).chmod(0o755)
    return {
        **os.environ,
        "PATH": f"{commands}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "PYTHONIOENCODING": "utf-8",
        "MLGIT_TRACKING_USERNAME": "ada",
    }


def replay(text: str, folder: Path, env: dict[str, str]) -> int:
    """Run the commands of a page, and see that they print what it says; how many they are."""
    for name, program in re.findall(r"```python\n# (\w+\.py)\n(.*?)```", text, re.DOTALL):
        (folder / name).write_text(program)
    ran = 0
    rules = re.findall(r"```yaml\n# (\S+)\n(.*?)```", text, re.DOTALL)
    for block in re.findall(r"```(?:console|yaml)\n(.*?)```", text, re.DOTALL):
        for name, content in rules:
            if block.startswith(f"# {name}\n"):
                (folder / name).parent.mkdir(exist_ok=True)
                (folder / name).write_text(content)
        for command, shown in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", block, re.MULTILINE):
            done = subprocess.run(
                ["sh", "-c", command], cwd=folder, env=env, capture_output=True, text=True
            )
            assert done.returncode == 0, (command, done.stderr)
            assert _masked(done.stdout) == _masked(shown), command
            ran += 1
    return ran


def test_the_tour_is_real(in_repo: Path, tmp_path: Path) -> None:
    env = surroundings(tmp_path)
    assert replay(TEXT, in_repo, env) >= 16
    others = [b for b in re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL) if b[0] != "#"]
    assert len(others) == 3
    for program in others:
        done = subprocess.run(
            [sys.executable, "-c", program], cwd=in_repo, env=env, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr


def test_signing_is_real(in_repo: Path, tmp_path: Path, ssh_keys: SshKeys) -> None:
    home = tmp_path / "home"
    (home / ".ssh").mkdir(parents=True)
    (ssh_keys.folder / "ada").rename(home / ".ssh" / "id_ed25519")
    (ssh_keys.folder / "ada.pub").rename(home / ".ssh" / "id_ed25519.pub")
    assert replay(SIGNED, in_repo, {**surroundings(tmp_path), "HOME": str(home)}) == 7


def _masked(text: str) -> list[str]:
    text = re.sub(r'"\d{4}-[^"]*Z"', '"TIME"', text)
    text = re.sub(r"SHA256:\S+", "SHA256:KEY", text)
    text = re.sub(r"just now|\d+ (?:second|minute)s? ago|\d{4}-\d\d-\d\d [\d:]{8}", "TIME", text)
    text = re.sub(r"after \d+\.\d s", "after TIME", text)
    text = re.sub(r"\b[0-9a-f]{10}\b", "ID", text)
    return [" ".join(line.split()) for line in text.splitlines() if line.strip()]


def test_the_page_names_the_calls_that_there_are() -> None:
    for name in re.findall(r"`(\w+_(?:model|models|version|versions|alias|stage)\w*)`", TEXT):
        if name == "current_stage":  # an attribute to search by
            continue
        assert hasattr(mlgit, name) or hasattr(mlgit.MlgitClient, name), name


_MODEL = """
import sys, mlgit
with mlgit.start_run(run_name=sys.argv[1]):
    mlgit.pyfunc.log_model("model", python_model=str.upper)
"""


def test_the_team_is_real(tmp_path: Path) -> None:
    place = tmp_path / "team"
    place.mkdir()
    # Each clone's configuration says whose it is.
    env = {k: v for k, v in surroundings(tmp_path).items() if not k.startswith("GIT_")}
    env.update(GIT_CONFIG_GLOBAL=os.devnull, GIT_CONFIG_NOSYSTEM="1")
    there = remote(place)
    for name in ("Ada", "Bob"):
        clone(place, there, name).store.close()

    def shell(command: str) -> str:
        user = "bob" if "cd bob" in command else "ada"
        done = subprocess.run(
            ["sh", "-c", command],
            cwd=place,
            env={**env, "MLGIT_TRACKING_USERNAME": user},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert done.returncode == 0, (command, done.stdout)
        return done.stdout

    (place / "model.py").write_text(_MODEL)
    shell("cd ada && python ../model.py first && mlgit models register first fraud --push")
    shell("cd ada && python ../model.py better")
    shell("cd bob && mlgit pull && python ../model.py faster")
    ran = 0
    for block in re.findall(r"```console\n(.*?)```", TEAM, re.DOTALL):
        for command, shown in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", block, re.MULTILINE):
            found = shell(command)
            assert _plain(found) == _plain(shown), (command, found)
            ran += 1
    assert ran == 6


def _plain(text: str) -> list[str]:
    """Lines without times and sizes; what goes to stderr may come before or after the rest."""
    text = re.sub(r"[\d.]+ (?:[kM]?B)\b|SIZE", "SIZE", text)
    return sorted(_masked(text))
