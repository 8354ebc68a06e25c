"""import-url and update, over real HTTP, memory and plain files."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import fsspec
import pytest

from mlgit.exceptions import (
    InvalidParameterValue,
    InvalidState,
    MlgitException,
    ResourceAlreadyExists,
    ResourceDoesNotExist,
)
from mlgit.worktree.imports import Updated, import_url, update


class Quiet(SimpleHTTPRequestHandler):
    asked: list[str] = []

    def log_message(self, *arguments: Any) -> None:
        self.asked.append(self.command)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A web server's address, and the folder that it serves."""
    folder = tmp_path / "site"
    folder.mkdir()
    Quiet.asked = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", folder
    server.shutdown()
    server.server_close()


def load(work: Any, url: str, path: str | None = None) -> Any:
    data = work.data()
    try:
        return import_url(data, url, path and str(work / path))
    finally:
        data.close()


def refresh(work: Any, path: str, **options: Any) -> Updated:
    data = work.data()
    try:
        return update(data, [str(work / path)], **options)[0]
    finally:
        data.close()


@pytest.fixture(autouse=True)
def _here(work: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(work.root)


def test_over_http(work: Any, site: tuple[str, Path]) -> None:
    pytest.importorskip("aiohttp")
    url, folder = site
    (folder / "rows.csv").write_text("a,b\n1,2\n")
    added = load(work, f"{url}/rows.csv")
    assert added.path == "rows.csv" and sorted(added.written) == [".gitignore", "rows.csv.mlgit"]
    origin = work.data().pointer("rows.csv").origin
    assert origin["url"] == f"{url}/rows.csv" and origin["size"] == 8
    with pytest.raises(ResourceAlreadyExists):
        load(work, f"{url}/rows.csv")
    (folder / "rows.csv").write_text("a,b\n1,2\n3,4\n")
    found = refresh(work, "rows.csv")
    assert found.changed and (work / "rows.csv").read_text().endswith("3,4\n")
    assert not refresh(work, "rows.csv").changed
    (folder / "rows.csv").unlink()
    with pytest.raises(ResourceDoesNotExist):
        refresh(work, "rows.csv")
    assert (work / "rows.csv").exists()


def test_only_what_changed_is_loaded_again(work: Any, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "a").write_text("1")
    (source / "sub").mkdir()
    (source / "sub/b").write_text("2")
    added = load(work, str(source), "data")
    assert added.entry.files == 2 and work.files() == {"a": b"1", "sub/b": b"2"}
    assert "fingerprint" in work.data().pointer("data").origin
    assert refresh(work, "data") == Updated("data", added.entry, False, True)
    (source / "a").write_text("changed")
    (source / "sub/b").unlink()
    found = refresh(work, "data")
    assert found.changed and work.files() == {"a": b"changed"}
    assert work.changes() == {}


def test_from_memory(work: Any) -> None:
    fsspec.filesystem("memory").pipe("/imported/x.bin", b"bytes")
    load(work, "memory://imported/x.bin", "deep/folder/x.bin")
    assert (work / "deep/folder/x.bin").read_bytes() == b"bytes"
    assert (work / "deep/folder/.gitignore").read_text() == "/x.bin\n"


def test_an_update_never_drops_work(work: Any, tmp_path: Path) -> None:
    source = tmp_path / "source.txt"
    source.write_text("1")
    load(work, str(source), "mine.txt")
    (work / "mine.txt").write_text("edited")
    source.write_text("22")
    with pytest.raises(InvalidState, match="drop"):
        refresh(work, "mine.txt")
    assert (work / "mine.txt").read_text() == "edited"
    assert refresh(work, "mine.txt", force=True).changed
    assert (work / "mine.txt").read_text() == "22"
    work.write(plain="1")
    work.add("plain")
    with pytest.raises(InvalidState, match="wasn't imported"):
        refresh(work, "plain")


def test_an_edit_drops_the_origin(work: Any, tmp_path: Path) -> None:
    (tmp_path / "source.txt").write_text("1")
    load(work, str(tmp_path / "source.txt"), "mine.txt")
    work.add("mine.txt")
    assert work.data().pointer("mine.txt").origin
    (work / "mine.txt").write_text("edited")
    work.add("mine.txt")
    assert work.data().pointer("mine.txt").origin == {}


@pytest.mark.parametrize(
    "url",
    [
        "https://ada:secret@example.org/x.csv",
        "https://bucket.example.org/x?X-Amz-Signature=0123456789abcdef",
    ],
)
def test_credentials_are_not_committed(work: Any, url: str) -> None:
    with pytest.raises(InvalidParameterValue, match="credential") as caught:
        load(work, url, "x")
    assert "secret@" not in str(caught.value) and "0123456789abcdef" not in str(caught.value)


@pytest.mark.parametrize("url", ["nosuch://x/y", "/no/such/file", "memory://no/such"])
def test_what_is_not_there_is_an_error(work: Any, url: str) -> None:
    with pytest.raises(MlgitException):
        load(work, url, "x")
    assert not (work / "x").exists() and not (work / "x.mlgit").exists()


def test_a_cut_download_leaves_nothing(work: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    fsspec.filesystem("memory").pipe("/cut/x.bin", b"0123456789")
    from fsspec.implementations import memory

    real = memory.MemoryFile.read
    monkeypatch.setattr(
        memory.MemoryFile, "read", lambda self, n=-1: real(self, 4) if self.tell() == 0 else b""
    )
    with pytest.raises(MlgitException):
        load(work, "memory://cut/x.bin", "x.bin")
    assert not (work / "x.bin").exists() and not (work / "x.bin.mlgit").exists()
    assert not list((work / ".git/mlgit/import").iterdir())
