"""The examples of docs/models.md are real."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def _masked(text: str) -> list[str]:
    """Lines of output, without ids, sizes and widths."""
    text = re.sub(r"\b[0-9a-f]{32}\b", "ID", text)
    text = re.sub(r"^ *\d+ B ", "SIZE ", text, flags=re.MULTILINE)
    return [" ".join(line.split()) for line in text.splitlines() if line.strip()]


def test_the_examples_of_the_models_page_are_real(tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    page = (ROOT / "docs" / "models.md").read_text(encoding="utf-8")
    repo, commands = tmp_path / "repo", tmp_path / "bin"
    commands.mkdir()
    subprocess.run(["git", "init", "--quiet", str(repo)], check=True)
    for name, started in (("mlgit", "-m mlgit"), ("python", "")):
        (commands / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" {started} "$@"\n')
        (commands / name).chmod(0o755)
    for name, program in re.findall(r"```python\n# (\w+\.py)\n(.*?)```", page, re.DOTALL):
        (repo / name).write_text(program)
    env = {
        **os.environ,
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
                check=False,
            )
            assert done.returncode == 0, (command, done.stdout.decode())
            assert _masked(done.stdout.decode()) == _masked(expected), command
            checked += 1
    assert checked >= 5
