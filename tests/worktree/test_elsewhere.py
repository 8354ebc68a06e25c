"""get and mlgit.open: other repositories, revisions and remotes."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import pytest

import mlgit
from mlgit.exceptions import (
    CorruptData,
    InvalidParameterValue,
    NotARepository,
    ResourceAlreadyExists,
    ResourceDoesNotExist,
)
from mlgit.objects.remote import RemoteObjects
from mlgit.objects.transfer import upload
from mlgit.store import remotes
from mlgit.worktree.elsewhere import Source, get


@pytest.fixture
def shared(two: Any, tmp_path: Path, git: Any) -> tuple[Path, Path]:
    """A bare repository without objects of its own, and the remote that has them."""
    data = two.data()
    place = tmp_path / "shared"
    remotes.add(data.repo, "shared", str(place))
    two.commit("remote")
    sizes = {sha: os.path.getsize(data.objects.path(sha)) for sha in data.objects.all()}
    upload(data.objects, RemoteObjects(str(place)), sizes)
    git(tmp_path, "clone", "-q", "--bare", str(two.root), "bare.git")
    return tmp_path / "bare.git", place


def test_open_reads_revisions(two: Any) -> None:
    repo = str(two.root)
    assert mlgit.open("data/a", repo).read() == "changed"
    assert mlgit.open("data/a", repo, "main").read() == "changed"
    commit = two.git("rev-parse", "HEAD~1")
    assert mlgit.open("data/sub/b", repo, commit, "rb").read() == b"two"
    assert mlgit.open("data/sub/b", repo, commit[:8]).read() == "two"
    assert mlgit.open("train.py", repo).read().startswith("print(")
    two.git("tag", "-a", "-m", "x", "v1", "HEAD~1")
    with mlgit.open("data/a", repo, "v1") as f:
        assert list(f) == ["1"]


def test_open_reads_the_worktree_as_it_is(two: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(two / "data")
    two.write(data__a="edited")
    assert mlgit.open("data/a").read() == "edited"
    assert mlgit.open("data/a", rev="HEAD").read() == "changed"
    (two / "data/a").unlink()
    assert mlgit.open("data/a").read() == "changed"


def test_open_streams_from_the_remote(shared: tuple[Path, Path]) -> None:
    bare, _ = shared
    with mlgit.open("data/sub/deep/c", str(bare), mode="rb") as f:
        assert f.read() == b"three"
    local = bare / "mlgit/objects/sha256"
    assert not [p for p in local.rglob("*") if p.is_file() and p.read_bytes() == b"three"]
    with mlgit.open("model", f"file://{bare}", mode="rb") as f:
        f.seek(1)
        assert f.read() == b"1" and f.seek(0) == 0 and f.read(1) == b"m"


def test_a_damaged_object_is_never_read_as_good(shared: tuple[Path, Path], two: Any) -> None:
    bare, place = shared
    sha = two.data().pointer("model").entry.sha256
    for root in (place / "objects", two / ".git/mlgit/objects"):
        path = root / f"sha256/{sha[:2]}/{sha[2:]}"
        os.chmod(path, 0o644)
        path.write_bytes(b"evil")
    for repo in (bare, two.root):
        with pytest.raises(CorruptData):
            mlgit.open("model", str(repo), "main").read()
    with pytest.raises(CorruptData):
        mlgit.open("model", str(bare), mode="rb").seek(1)


def test_pandas_reads_from_it(two: Any) -> None:
    import pandas

    (two / "t.csv").write_text("a,b\n1,2\n")
    two.add("t.csv")
    two.commit()
    assert pandas.read_csv(mlgit.open("t.csv", str(two.root), "main")).b.sum() == 2


@pytest.mark.parametrize("path", ["nothing", "data/nothing", "train.py/x", "model/x", "data/a/x"])
def test_what_is_not_there(two: Any, path: str) -> None:
    with pytest.raises(ResourceDoesNotExist):
        mlgit.open(path, str(two.root))


def test_arguments_that_make_no_sense(two: Any, tmp_path: Path) -> None:
    with pytest.raises(InvalidParameterValue, match="mode"):
        mlgit.open("train.py", str(two.root), mode="w")
    for path in ("../x", "", "data", "data/sub"):
        with pytest.raises(InvalidParameterValue):
            mlgit.open(path, str(two.root))
    with pytest.raises(ResourceDoesNotExist, match="no revision"):
        mlgit.open("train.py", str(two.root), "nowhere")
    with pytest.raises(NotARepository):
        mlgit.open("train.py", str(tmp_path))


def test_get(shared: tuple[Path, Path], tmp_path: Path, two: Any) -> None:
    bare, _ = shared
    out = tmp_path / "out"
    made = get(Source(str(bare)), "data", str(out))
    assert made == str(out)
    assert {str(p.relative_to(out)): p.read_bytes() for p in out.rglob("*") if p.is_file()} == (
        two.TWO
    )
    assert get(Source(str(bare)), "model", str(out)) == str(out / "model")
    assert get(Source(str(bare)), "train.py", str(out)) == str(out / "train.py")
    assert (out / "train.py").read_text() == "print('training')\n"
    with pytest.raises(ResourceAlreadyExists):
        get(Source(str(bare)), "model", str(out))
    (out / "model").write_text("old")
    get(Source(str(bare)), "model", str(out), force=True)
    assert (out / "model").read_text() == "m1"


def test_get_a_folder_of_git_with_data_in_it(two: Any, tmp_path: Path) -> None:
    two.write(proj__code="x", proj__big__a="data")
    two.add("proj/big")
    two.commit()
    get(Source(str(two.root)), "proj", str(tmp_path / "got"))
    assert (tmp_path / "got/big/a").read_text() == "data"
    assert (tmp_path / "got/code").read_text() == "x"


def test_get_leaves_nothing_half_done(shared: tuple[Path, Path], tmp_path: Path, two: Any) -> None:
    bare, place = shared
    sha = next(s for s in two.data().objects.all() if two.data().objects.read(s) == b"three")
    (place / f"objects/sha256/{sha[:2]}/{sha[2:]}").unlink()
    with pytest.raises(ResourceDoesNotExist):
        get(Source(str(bare)), "data", str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".mlgit")]


@pytest.mark.parametrize("rev", [None, "main", "v1", "old"])
def test_a_repository_by_url_is_fetched_once(
    shared: tuple[Path, Path],
    two: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    rev: str | None,
) -> None:
    monkeypatch.setenv("MLGIT_CACHE_HOME", str(tmp_path / "cache"))
    bare, _ = shared
    two.git("tag", "-a", "-m", "x", "v1", "HEAD~2")
    two.git("push", "-q", str(bare), "v1", "HEAD~2:refs/heads/old")
    # A path goes by the same transport as ssh and https.
    monkeypatch.setattr("mlgit.worktree.elsewhere.scheme_of", lambda url: "https")
    expected = "changed" if rev in (None, "main") else "1"
    for _ in range(2):
        assert mlgit.open("data/a", str(bare), rev).read() == expected
    commit = two.git("rev-parse", "HEAD~2")
    assert mlgit.open("data/a", str(bare), commit).read() == "1"
    with pytest.raises(ResourceDoesNotExist):
        mlgit.open("data/a", str(bare), "nowhere")


def test_text_options(two: Any) -> None:
    (two / "latin").write_bytes("é\r\n".encode("latin-1"))
    two.add("latin")
    two.commit()
    f = mlgit.open("latin", str(two.root), "main", encoding="latin-1", newline="")
    assert isinstance(f, io.TextIOWrapper) and f.read() == "é\r\n"
