"""What the tests of models share."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture
def in_repo(repo_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory is a repository with one commit."""
    monkeypatch.chdir(repo_dir)
    return repo_dir


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cache of environments is read once for all tests, and isn't the person's."""
    cache = tmp_path_factory.getbasetemp() / "cache"
    monkeypatch.setenv("MLGIT_CACHE_HOME", os.fspath(cache))


@pytest.fixture(autouse=True)
def own_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """What loading a model puts on ``sys.path`` is off it after the test."""
    monkeypatch.setattr(sys, "path", list(sys.path))
