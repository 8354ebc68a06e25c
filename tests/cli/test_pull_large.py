"""mlgit pull of large data from a folder of this machine: read once, and linked."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from mlgit.objects.copying import copy_and_hash, digest_of
from mlgit.objects.whole import LARGE, Whole

Run = Callable[..., Result]


def _git(*args: object) -> None:
    subprocess.run(["git", *map(str, args)], check=True, capture_output=True)


@pytest.fixture
def copy(repo: Path, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A clone without its data; the storage beside it has that, and nobody has read it yet."""
    (repo / "data").mkdir()
    (repo / "data/large.bin").write_bytes(os.urandom(LARGE))
    (repo / "data/small.txt").write_text("small")
    run("remote", "add", "storage", str(tmp_path / "storage"))
    run("add", "data")
    _git("-C", repo, "add", ".")
    _git("-C", repo, "commit", "-q", "-m", "data")
    _git("init", "-q", "--bare", "-b", "main", tmp_path / "there.git")
    _git("-C", repo, "remote", "add", "origin", tmp_path / "there.git")
    _git("-C", repo, "push", "-q", "origin", "main")
    run("push")
    _git("clone", "-q", tmp_path / "there.git", tmp_path / "copy")
    monkeypatch.chdir(tmp_path / "copy")
    monkeypatch.setenv("MLGIT_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "copy"


def _object(root: Path) -> Path:
    (found,) = (p for p in root.rglob("sha256/*/*") if p.stat().st_size == LARGE)
    return found


def _objects(copy: Path) -> Path:
    return copy / ".git/mlgit/objects"


def _left_behind(copy: Path) -> list[Path]:
    return [p for p in (_objects(copy) / "tmp").iterdir() if p.suffix != ".use"]


def test_it_is_placed_and_linked(copy: Path, tmp_path: Path, data: Callable[..., Any]) -> None:
    stored = _object(tmp_path / "storage")
    done = data("pull", "--json")
    assert done["data"]["written"] == 2 and done["data"]["fetched"] == 1
    assert (copy / "data/large.bin").read_bytes() == stored.read_bytes()
    assert os.path.samefile(_object(_objects(copy)), stored)
    assert not os.path.samefile(copy / "data/large.bin", stored)
    assert not _left_behind(copy)
    again = data("pull", "--json")
    assert again["data"]["written"] == again["data"]["fetched"] == again["objects"]["objects"] == 0


def test_what_its_owner_read_before_is_linked_unread(
    copy: Path, tmp_path: Path, data: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = _object(tmp_path / "storage")
    Whole().note(str(stored), stored.parent.name + stored.name)
    for module in ("mlgit.objects.folder_driver.digest_of", "mlgit.worktree.place.copy_and_hash"):
        monkeypatch.setattr(module, _only_small)
    done = data("pull", "--json")
    assert done["data"]["written"] == 2 and done["objects"]["objects"] == 3
    assert (copy / "data/large.bin").read_bytes() == stored.read_bytes()
    assert os.path.samefile(_object(_objects(copy)), stored)


def _only_small(source: int | str, *more: Any) -> str:
    assert os.stat(source).st_size < LARGE
    if isinstance(source, str):
        return digest_of(source)
    return copy_and_hash(source, *more)


def test_what_is_placed_already_is_fetched_too(copy: Path, run: Run, tmp_path: Path) -> None:
    run("pull")
    shutil.rmtree(_objects(copy))
    run("pull")
    assert os.path.samefile(_object(_objects(copy)), _object(tmp_path / "storage"))
    assert run("fsck").exit_code == 0


def test_of_two_places_one_is_linked(copy: Path, run: Run, tmp_path: Path) -> None:
    run("pull")
    shutil.copy(copy / "data/large.bin", copy / "data/other.bin")
    run("add", "data")
    run("push", "--no-artifacts")
    run("push")
    shutil.rmtree(copy / "data")
    shutil.rmtree(_objects(copy))
    run("pull")
    assert (copy / "data/other.bin").read_bytes() == (copy / "data/large.bin").read_bytes()
    assert os.path.samefile(_object(_objects(copy)), _object(tmp_path / "storage"))


def test_damage_at_the_remote_is_told(copy: Path, run: Run, tmp_path: Path) -> None:
    stored = _object(tmp_path / "storage")
    stored.chmod(0o644)
    with open(stored, "r+b") as f:
        f.write(b"x")
    stored.chmod(0o444)
    result = run("pull", code=5)
    assert "digest" in result.stderr and "fsck --remote" in result.stderr
    assert not (copy / "data/large.bin").exists()
    assert not any(p.stat().st_size == LARGE for p in _objects(copy).rglob("*"))
    assert not list(copy.rglob(".mlgit-part-*"))


def test_unsaved_work_stays_and_the_object_comes(copy: Path, run: Run, tmp_path: Path) -> None:
    (copy / "data").mkdir()
    (copy / "data/large.bin").write_text("mine")
    assert "kept nowhere else" in run("pull", code=4).stderr
    assert (copy / "data/large.bin").read_text() == "mine"
    assert _object(_objects(copy)).read_bytes() == _object(tmp_path / "storage").read_bytes()


@pytest.mark.parametrize("why", ["no links", "written meanwhile"])
def test_what_cannot_be_linked_is_copied(
    copy: Path, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, why: str
) -> None:
    stored = _object(tmp_path / "storage")
    link = os.link

    def refused(source: Any, target: Any, **kwargs: Any) -> None:
        if why == "no links":
            raise OSError(18, "no links between these")
        os.utime(source, ns=(0, os.stat(source).st_mtime_ns + 1))
        link(source, target, **kwargs)

    monkeypatch.setattr(os, "link", refused)
    run("pull")
    assert (copy / "data/large.bin").read_bytes() == stored.read_bytes()
    assert _object(_objects(copy)).read_bytes() == stored.read_bytes()
    assert not _left_behind(copy)
    assert run("fsck").exit_code == 0
