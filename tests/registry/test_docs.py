"""The registry's page is run: its programs print what it says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import mlgit

ROOT = Path(mlgit.__file__).parents[1]
TEXT = (ROOT / "docs" / "registry.md").read_text(encoding="utf-8")


def test_the_tour_is_real(in_repo: Path, tmp_path: Path) -> None:
    commands = tmp_path / "bin"
    commands.mkdir()
    for name, started in (("mlgit", "-m mlgit"), ("python", "")):
        (commands / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" {started} "$@"\n')
        (commands / name).chmod(0o755)
    for name, program in re.findall(r"```python\n# (\w+\.py)\n(.*?)```", TEXT, re.DOTALL):
        (in_repo / name).write_text(program)
    (rules,) = re.findall(r"```yaml\n# (\S+)\n(.*?)```", TEXT, re.DOTALL)
    env = {
        **os.environ,
        "PATH": f"{commands}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "PYTHONIOENCODING": "utf-8",
        "MLGIT_TRACKING_USERNAME": "ada",
    }
    ran = 0
    for block in re.findall(r"```(?:console|yaml)\n(.*?)```", TEXT, re.DOTALL):
        if block.startswith(f"# {rules[0]}"):
            (in_repo / rules[0]).parent.mkdir()
            (in_repo / rules[0]).write_text(rules[1])
        for command, shown in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", block, re.MULTILINE):
            done = subprocess.run(
                ["sh", "-c", command], cwd=in_repo, env=env, capture_output=True, text=True
            )
            assert done.returncode == 0, (command, done.stderr)
            assert _masked(done.stdout) == _masked(shown), command
            ran += 1
    assert ran >= 16
    others = [b for b in re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL) if b[0] != "#"]
    assert len(others) == 2
    for program in others:
        done = subprocess.run(
            [sys.executable, "-c", program], cwd=in_repo, env=env, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr


def _masked(text: str) -> list[str]:
    text = re.sub(r'"\d{4}-[^"]*Z"', '"TIME"', text)
    text = re.sub(r"just now|\d+ seconds? ago|\d{4}-\d\d-\d\d [\d:]{8}", "TIME", text)
    text = re.sub(r"after \d+\.\d s", "after TIME", text)
    text = re.sub(r"\b[0-9a-f]{10}\b", "ID", text)
    return [" ".join(line.split()) for line in text.splitlines() if line.strip()]


def test_the_page_names_the_calls_that_there_are() -> None:
    for name in re.findall(r"`(\w+_(?:model|models|version|versions|alias|stage)\w*)`", TEXT):
        if name == "current_stage":  # an attribute to search by
            continue
        assert hasattr(mlgit, name) or hasattr(mlgit.MlgitClient, name), name
