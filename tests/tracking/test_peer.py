"""One program under MLflow 3.17.2 and under mlgit sees the same, but what the docs list."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PROGRAM = Path(__file__).parent / "peer_program.py"
PAGE = ROOT / "docs" / "compatibility.md"
# Read here: the tests' fixtures take such variables away.
PEER = os.environ.get("MLGIT_TEST_MLFLOW3", "")


def _result(python: str, module: str, uri: str, folder: Path) -> dict[str, Any]:
    folder.mkdir(exist_ok=True)
    done = subprocess.run(
        [python, str(PROGRAM), module, uri, str(folder / "result.json")],
        cwd=folder,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT) if module == "mlgit" else ""},
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    return found


def _documented() -> set[str]:
    """What the page says that the test sees differ."""
    # The part on models has a test of its own.
    text = PAGE.read_text(encoding="utf-8").split("\n## Models")[0]
    cells = [row.split("|")[-2] for row in re.findall(r"^\|.*\|$", text, re.MULTILINE)]
    wrong_types = text[text.index("### Arguments of a wrong type") :].split("\n## ")[0]
    return {name for part in (*cells, wrong_types) for name in re.findall(r"`([^`]*)`", part)} - {
        "TypeError",
        "ValueError",
        "Exception",
        "MlflowException",
    }


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("ours")
    subprocess.run(["git", "init", "-q", str(folder)], check=True)
    return _result(sys.executable, "mlgit", str(folder), folder)


def test_the_program_runs_through(ours: dict[str, Any]) -> None:
    assert len(ours) > 250


def test_the_page_lists_nothing_that_the_program_does_not_look_at(ours: dict[str, Any]) -> None:
    assert not _documented() - ours.keys()


@pytest.mark.skipif(not PEER, reason="MLGIT_TEST_MLFLOW3 names no Python with MLflow 3.17.2")
def test_mlflow_sees_the_same_but_what_the_page_lists(ours: dict[str, Any], tmp_path: Path) -> None:
    theirs = _result(PEER, "mlflow", f"sqlite:///{tmp_path}/mlflow.db", tmp_path)
    assert theirs.keys() == ours.keys()
    differing = {name for name in ours if ours[name] != theirs[name]}
    expected = _documented()
    assert {name: (theirs[name], ours[name]) for name in sorted(differing - expected)} == {}
    assert expected - differing == set(), "documented, but the same in both"
