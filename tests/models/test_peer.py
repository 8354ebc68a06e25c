"""MLflow and mlgit make the same of the catalogue's data, but what the docs list."""

from __future__ import annotations

import json
import os
import re
import subprocess
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "compatibility.md"
# Read here: the tests' fixtures take such variables away.
PEERS = {3: os.environ.get("MLGIT_TEST_MLFLOW3", ""), 2: os.environ.get("MLGIT_TEST_MLFLOW2", "")}
# What 2.22, with pandas 2, does otherwise than 3.17: objects in which a value is missing, and
# columns of text.
OLDER = (
    "* dict none",
    "* dict nan",
    "boolean <- str*",
    "double <- str numbers",
    "string <- string*",
    "binary <- string*",
    "* <- arrow string",
    "(double) <- series numbers as str",
)


def _listed() -> list[str]:
    """The patterns of cases that the page says may differ."""
    part = PAGE.read_text(encoding="utf-8").split("\n## Models: signatures and inputs\n")[1]
    rows = re.findall(r"^\|.*\|$", part.split("\n## ")[0], re.MULTILINE)
    return [name for row in rows[2:] for name in re.findall(r"`([^`]+)`", row.split("|")[-2])]


def _outcomes(version: int, tmp_path: Path) -> dict[str, list[str]]:
    if not PEERS[version]:
        pytest.skip(f"MLGIT_TEST_MLFLOW{version} names no Python with MLflow {version}")
    target = tmp_path / "outcomes.json"
    done = subprocess.run(
        [PEERS[version], str(Path(__file__).parent / "peer_program.py"), str(target)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        timeout=600,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, list[str]] = json.loads(target.read_text(encoding="utf-8"))
    assert len(found) > 14000
    return found


def _unlisted(found: dict[str, list[str]], patterns: list[str]) -> dict[str, list[str]]:
    differing = {name: both for name, both in found.items() if both[0] != both[1]}
    return {
        name: both
        for name, both in differing.items()
        if not any(fnmatchcase(name, pattern) for pattern in patterns)
    }


def test_mlflow_3_makes_the_same_of_it_but_what_the_page_lists(tmp_path: Path) -> None:
    found = _outcomes(3, tmp_path)
    assert _unlisted(found, _listed()) == {}
    differing = [name for name, both in found.items() if both[0] != both[1]]
    unused = [p for p in _listed() if not any(fnmatchcase(name, p) for name in differing)]
    assert unused == [], "documented, but the same in both"
    # What mlgit raises is always its own.
    assert [name for name, both in found.items() if re.match(r"\w*Error: ", str(both[1]))] == []


def test_mlflow_2_makes_the_same_of_it_but_what_the_page_lists(tmp_path: Path) -> None:
    found = _outcomes(2, tmp_path)
    assert _unlisted(found, [*_listed(), *OLDER]) == {}
    assert [name for name, both in found.items() if re.match(r"\w*Error: ", str(both[1]))] == []
