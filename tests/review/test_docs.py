"""The page on review is run: its commands print what it says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import mlgit
from mlgit.worktree.drivers import ATTRIBUTES

ROOT = Path(mlgit.__file__).parents[1]
TEXT = (ROOT / "docs" / "review.md").read_text(encoding="utf-8")


def test_the_examples_are_real(repo_dir: Path, tmp_path: Path) -> None:
    commands = tmp_path / "bin"
    commands.mkdir()
    for name, started in (("python", ""), ("mlgit", "-m mlgit")):
        (commands / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" {started} "$@"\n')
        (commands / name).chmod(0o755)
    env = {
        **os.environ,
        "PATH": f"{commands}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "PYTHONIOENCODING": "utf-8",
    }
    ran = 0
    for kind, block in re.findall(r"```(python|console)\n(.*?)```", TEXT, re.DOTALL):
        if kind == "python":
            name, _, program = block.removeprefix("# ").partition("\n")
            (repo_dir / name).write_text(program)
            continue
        for command, shown in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", block, re.MULTILINE):
            done = subprocess.run(
                ["sh", "-c", command],
                cwd=repo_dir,
                env=env,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                check=False,
            )
            said = f"exit {done.returncode}\n" if done.returncode else ""
            assert masked(said + done.stdout.decode()) == masked(shown), command
            ran += 1
    assert ran == 11


def masked(text: str) -> list[str]:
    text = re.sub(r"\b[0-9a-f]{8,10}\b", "ID", text)
    text = re.sub(r"in \d+\.\ds", "in TIME", text)
    return [" ".join(line.split()) for line in text.splitlines() if line.strip()]


def test_the_page_has_the_drivers_lines() -> None:
    assert "\n".join(ATTRIBUTES) in TEXT
