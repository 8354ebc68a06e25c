"""The examples of docs/data.md are real."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def _masked(text: str, folder: Path) -> list[str]:
    """Lines of output, without what differs each time: ids, places and widths."""
    text = text.replace(str(folder), "DIR")
    text = re.sub(r"\b(?=[0-9a-f]*[0-9])[0-9a-f]{10}\b|\b[a-f]{10}\b", "ID", text)
    return [" ".join(line.split()) for line in text.splitlines() if line.strip()]


def test_the_examples_of_the_data_page_are_real(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "data.md").read_text(encoding="utf-8")
    repo, commands = tmp_path / "repo", tmp_path / "bin"
    repo.mkdir()
    commands.mkdir()
    for name, started in (("mlgit", "-m mlgit"), ("python", "")):
        (commands / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" {started} "$@"\n')
        (commands / name).chmod(0o755)
    subprocess.run(
        ["git", "config", "--file", tmp_path / "gitconfig", "init.defaultBranch", "main"]
    )
    env = {
        **os.environ,
        "GIT_CONFIG_GLOBAL": str(tmp_path / "gitconfig"),
        "PATH": f"{commands}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "PYTHONIOENCODING": "utf-8",
    }
    checked = 0
    for block in re.findall(r"```console\n(.*?)```", page, re.DOTALL):
        for command, expected in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", block, re.MULTILINE):
            done = subprocess.run(
                ["sh", "-c", command],
                cwd=repo,
                env=env,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
            )
            assert done.returncode == 0, (command, done.stdout.decode())
            if expected.strip():
                assert _masked(done.stdout.decode(), repo) == _masked(expected, repo), command
                checked += 1
    assert checked > 15
