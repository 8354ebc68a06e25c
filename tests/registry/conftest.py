"""What the registry's tests share."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from mlgit import MlgitClient

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture
def in_repo(repo_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with one commit, which the test stands in."""
    monkeypatch.chdir(repo_dir)
    return repo_dir


@pytest.fixture
def client(in_repo: Path) -> MlgitClient:
    """A client of that repository."""
    return MlgitClient()
