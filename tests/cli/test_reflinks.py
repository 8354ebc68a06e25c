"""Data on a file system whose files share blocks: nothing is copied, and nothing read twice."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from mlgit.objects import LocalObjects
from mlgit.objects.copying import clone, copy_and_hash, digest_of
from mlgit.objects.whole import LARGE

Run = Callable[..., Result]
_SIZE = 4 * LARGE


def _shares(folder: Path) -> bool:
    (folder / "one").write_bytes(b"x")
    with open(folder / "one", "rb") as one, open(folder / "other", "wb") as other:
        return clone(one.fileno(), other.fileno())


@pytest.fixture(scope="module")
def sharing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder of a file system with reflinks: XFS in a file, where the tests' has none."""
    folder = tmp_path_factory.mktemp("sharing")
    if _shares(folder):
        yield folder
        return
    image, mounted = folder / "image", folder / "mounted"
    image.touch()
    os.truncate(image, 400 << 20)
    mounted.mkdir()
    try:
        subprocess.run(["mkfs.xfs", "-q", image], check=True, capture_output=True)
        subprocess.run(["mount", "-o", "loop", image, mounted], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no file system with reflinks, and none can be mounted")
    try:
        yield mounted
    finally:
        subprocess.run(["umount", "-l", mounted], check=True)


@pytest.fixture
def place(sharing: Path, repo: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with a repository, which has a large file that it wrote a while ago."""
    place = sharing / "place"
    place.mkdir()
    shutil.copytree(repo, place / "repo")
    monkeypatch.chdir(place / "repo")
    Path("large.bin").write_bytes(os.urandom(_SIZE))
    os.utime("large.bin", (1_700_000_000, 1_700_000_000))
    yield place
    monkeypatch.undo()
    shutil.rmtree(place)


def _used(folder: Path) -> int:
    os.sync()
    found = os.statvfs(folder)
    return (found.f_blocks - found.f_bfree) * found.f_frsize


def _git(*arguments: object) -> None:
    subprocess.run(["git", *map(str, arguments)], check=True, capture_output=True)


def _only_small(source: int | str, *more: Any) -> str:
    assert os.stat(source).st_size < LARGE
    return digest_of(source) if isinstance(source, str) else copy_and_hash(source, *more)


def test_one_set_of_blocks_from_here_to_another_clone(
    place: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = _used(place)
    run("remote", "add", "storage", str(place / "storage"))
    run("add", "large.bin")
    _git("add", ".")
    _git("commit", "-q", "-m", "data")
    _git("init", "-q", "--bare", "-b", "main", place / "there.git")
    _git("remote", "add", "origin", place / "there.git")
    _git("push", "-q", "origin", "main")
    for name in ("objects.folder_driver.digest_of", "worktree.place.copy_and_hash"):
        monkeypatch.setattr(f"mlgit.{name}", _only_small)
    run("push")
    _git("clone", "-q", place / "there.git", place / "copy")
    monkeypatch.chdir(place / "copy")
    run("pull")
    pulled = place / "copy/large.bin"
    assert pulled.read_bytes() == (place / "repo/large.bin").read_bytes()
    assert _used(place) - before < _SIZE // 2
    with open(pulled, "r+b") as f:
        f.write(b"mine")  # nobody else's
    run("fsck")
    run("fsck", "--remote")


@pytest.mark.parametrize("age", [0, 100])
def test_what_is_stored_is_what_was_hashed(
    sharing: Path, monkeypatch: pytest.MonkeyPatch, age: int
) -> None:
    """A file that is written to while it is added: refused, or stored as it was."""
    objects = LocalObjects(str(sharing / f"objects-{age}"))
    path = sharing / f"written-{age}"
    path.write_bytes(os.urandom(1 << 20))
    os.utime(path, (path.stat().st_mtime - age,) * 2)

    def meanwhile(source: int, target: int) -> bool:
        shared = clone(source, target)
        seen = os.fstat(source)
        with open(path, "r+b") as f:
            f.write(b"meanwhile")
        if not age:  # within one tick of the clock
            os.utime(path, ns=(seen.st_atime_ns, seen.st_mtime_ns))
        return shared

    monkeypatch.setattr("mlgit.objects.local.clone", meanwhile)
    if age:
        with pytest.raises(Exception, match="changed while it was being read"):
            objects.put_file(str(path), share=True)
        return
    entry = objects.put_file(str(path), share=True)
    assert objects.verify(entry.sha256)
    with objects.open(entry.sha256) as f:
        assert f.read(9) != b"meanwhile"
