"""This clone's objects: folders in and out, and what must not come in or go out."""

from __future__ import annotations

import errno
import hashlib
import os
import socket
import threading
from pathlib import Path

import pytest

from mlgit.exceptions import (
    CorruptData,
    InvalidParameterValue,
    PermissionDenied,
    ResourceDoesNotExist,
    StorageError,
    Unsupported,
)
from mlgit.objects import Entry, LocalObjects, checkout, copying
from mlgit.objects.manifest import HEADER


@pytest.fixture
def objects(tmp_path: Path) -> LocalObjects:
    return LocalObjects(str(tmp_path / "objects"))


def make_tree(root: Path) -> dict[str, bytes]:
    """A folder of small and large files, executables, odd names."""
    files = {
        "a.txt": b"hello",
        "empty": b"",
        "deep/er/large.bin": os.urandom(9 << 20),
        "deep/b.bin": os.urandom(1 << 20),
        "deep/run.sh": b"#!/bin/sh\n",
        "o dd\n%ü": b"odd",
        os.fsdecode(b"not-utf8-\xff"): b"raw",
    }
    for name, data in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    (root / "deep/run.sh").chmod(0o755)
    return files


def read_tree(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def left_over(objects: LocalObjects) -> list[str]:
    folder = Path(objects.root) / "tmp"
    return [p.name for p in folder.glob("*") if p.suffix != ".use"]


@pytest.mark.parametrize("link", ["auto", "copy", "hardlink"])
def test_a_folder_comes_out_as_it_went_in(objects, tmp_path, link):
    files = make_tree(tmp_path / "in")
    entry = objects.put_folder(str(tmp_path / "in"))
    assert (entry.kind, entry.files, entry.size) == ("d", 7, sum(map(len, files.values())))
    objects.checkout(entry, str(tmp_path / "out"), link)
    assert read_tree(tmp_path / "out") == files
    assert os.access(tmp_path / "out/deep/run.sh", os.X_OK)
    linked = os.stat(tmp_path / "out/a.txt").st_nlink == 2
    assert linked == (link == "hardlink")
    if link != "hardlink":
        (tmp_path / "out/a.txt").write_text("changed")
    assert all(objects.verify(sha) for sha in objects.all())
    assert left_over(objects) == []


def test_put_and_move_agree(objects, tmp_path):
    make_tree(tmp_path / "in")
    other = LocalObjects(str(tmp_path / "other"))
    copied = objects.put_folder(str(tmp_path / "in"))
    inode = os.stat(tmp_path / "in/deep/b.bin").st_ino
    sha = hashlib.sha256((tmp_path / "in/deep/b.bin").read_bytes()).hexdigest()
    assert other.move_folder(str(tmp_path / "in")) == copied
    assert sorted(other.all()) == sorted(objects.all())
    assert os.stat(other.path(sha)).st_ino == inode
    assert os.stat(other.path(sha)).st_mode & 0o777 == 0o444
    assert not (tmp_path / "in").exists()


def test_move_copies_what_is_linked_from_elsewhere(objects, tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "kept").write_bytes(b"kept")
    os.link(tmp_path / "kept", tmp_path / "in/hard")
    (tmp_path / "in/soft").symlink_to(tmp_path / "kept")
    objects.move_folder(str(tmp_path / "in"))
    (tmp_path / "kept").write_bytes(b"changed")
    assert all(objects.verify(sha) for sha in objects.all())


def test_move_over_devices_copies(objects, tmp_path, monkeypatch):
    files = make_tree(tmp_path / "in")

    def refuse(*args):
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr(objects, "place", refuse)
    entry = objects.move_folder(str(tmp_path / "in"))
    objects.checkout(entry, str(tmp_path / "out"))
    assert read_tree(tmp_path / "out") == files


def test_what_is_neither_file_nor_folder_is_refused(objects, tmp_path):
    (tmp_path / "in").mkdir()
    os.mkfifo(tmp_path / "in/fifo")
    with pytest.raises(InvalidParameterValue, match="fifo isn't a regular file"):
        objects.put_folder(str(tmp_path / "in"))
    os.unlink(tmp_path / "in/fifo")
    with socket.socket(socket.AF_UNIX) as listening:
        os.chdir(tmp_path / "in")
        listening.bind("s")
        with pytest.raises((InvalidParameterValue, StorageError), match="/s"):
            objects.put_folder(str(tmp_path / "in"))
    with pytest.raises(InvalidParameterValue, match="regular file"):
        objects.put_file("/dev/zero")


def test_a_link_to_the_folder_above_ends(objects, tmp_path):
    (tmp_path / "in/sub").mkdir(parents=True)
    (tmp_path / "in/sub/up").symlink_to(tmp_path / "in")
    with pytest.raises(InvalidParameterValue, match="link to a folder that holds it"):
        objects.put_folder(str(tmp_path / "in"))


@pytest.mark.parametrize("size", [1000, 3 << 20, 20 << 20])
@pytest.mark.parametrize("method", ["put", "move"])
def test_a_file_that_changes_while_it_is_read(objects, tmp_path, monkeypatch, size, method):
    (tmp_path / "in").mkdir()
    path = tmp_path / "in/growing"
    path.write_bytes(os.urandom(size))
    real = os.readv if size > 1 << 18 or method == "move" else os.read
    grown = []

    def read_and_grow(*args):
        got = real(*args)
        if not grown:
            grown.append(1)
            with open(path, "ab") as f:
                f.write(b"more")
        return got

    monkeypatch.setattr(os, real.__name__, read_and_grow)
    put = objects.put_folder if method == "put" else objects.move_folder
    with pytest.raises(InvalidParameterValue, match="changed while it was being read"):
        put(str(tmp_path / "in"))
    assert path.exists()
    assert left_over(objects) == []
    assert all(objects.verify(sha) for sha in objects.all())


@pytest.mark.parametrize("size", [1000, 3 << 20, 20 << 20])
def test_no_space_left(objects, tmp_path, monkeypatch, size):
    (tmp_path / "file").write_bytes(os.urandom(size))
    real = os.write

    def full(fd, data):
        if len(data) >= 1000:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(fd, data)

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(StorageError, match="No space left") as raised:
        objects.put_file(str(tmp_path / "file"))
    assert "free some space" in raised.value.hint
    assert list(objects.all()) == []
    assert left_over(objects) == []
    assert not [t for t in threading.enumerate() if t.name == "mlgit-hash"]
    monkeypatch.undo()
    entry = objects.put_file(str(tmp_path / "file"))
    monkeypatch.setattr(os, "write", full)
    monkeypatch.setattr(os, "copy_file_range", lambda source, target, n: full(target, bytes(1000)))
    with pytest.raises(StorageError, match="No space left"):
        objects.checkout(entry, str(tmp_path / "out"))
    assert sorted(os.listdir(tmp_path)) == ["file", "objects"]


def test_a_damaged_object_is_put_aside(objects, tmp_path):
    for link in ("auto", "copy", "hardlink"):
        (tmp_path / "file").write_bytes(b"good")
        entry = objects.put_file(str(tmp_path / "file"))
        os.chmod(objects.path(entry.sha256), 0o644)
        Path(objects.path(entry.sha256)).write_bytes(b"evil")
        with pytest.raises(CorruptData, match="damaged") as raised:
            objects.checkout(entry, str(tmp_path / "out"), link)
        assert "fetch it" in raised.value.hint
        assert not (tmp_path / "out").exists()
        assert not objects.has(entry.sha256)
        assert os.listdir(f"{objects.root}/damaged") == [entry.sha256]
    objects.put_file(str(tmp_path / "file"))
    objects.checkout(entry, str(tmp_path / "out"))
    assert (tmp_path / "out").read_bytes() == b"good"


def test_an_object_that_is_not_here(objects, tmp_path):
    for link in checkout.LINKS:
        with pytest.raises(ResourceDoesNotExist):
            objects.checkout(Entry("f", "0" * 64, 3), str(tmp_path / "out"), link)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "name",
    [
        b"../out",
        b"/etc/x",
        b"..",
        b".",
        b"a/b",
        b"a%00b",
        b"C:",
        b"c:\\x",
        b"..\\x",
        b"a\\..\\b",
        b"\\x",
    ],
)
def test_a_manifest_cannot_lead_out(objects, tmp_path, name):
    good = objects.put_bytes(b"evil")
    line = b"f " + good.sha256.encode() + b" 4 1 " + name + b"\n"
    manifest = objects.put_bytes(HEADER + line)
    (tmp_path / "work").mkdir()
    with pytest.raises((CorruptData, InvalidParameterValue)) as raised:
        objects.checkout(Entry("d", manifest.sha256, 4, 1), str(tmp_path / "work/folder"))
    assert "outside its folder" in str(raised.value) or "elsewhere" in str(raised.value)
    assert [p for p in tmp_path.rglob("*") if p.is_file() and "objects" not in p.parts] == []


def test_links_in_the_way_are_not_followed(objects, tmp_path):
    (tmp_path / "in/sub").mkdir(parents=True)
    (tmp_path / "in/sub/f").write_bytes(b"new")
    (tmp_path / "in/g").write_bytes(b"new")
    entry = objects.put_folder(str(tmp_path / "in"))
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "f").write_bytes(b"theirs")
    (tmp_path / "out").mkdir()
    (tmp_path / "out/g").symlink_to(outside / "f")
    (tmp_path / "out/sub").symlink_to(outside)
    with pytest.raises(InvalidParameterValue, match="in the way"):
        objects.checkout(entry, str(tmp_path / "out"))
    assert (outside / "f").read_bytes() == b"theirs"
    os.unlink(tmp_path / "out/sub")
    objects.checkout(entry, str(tmp_path / "out"))
    assert (outside / "f").read_bytes() == b"theirs"
    assert (tmp_path / "out/g").read_bytes() == b"new"
    assert not (tmp_path / "out/g").is_symlink()


def test_a_folder_in_a_files_way(objects, tmp_path):
    entry = objects.put_bytes(b"x")
    (tmp_path / "out").mkdir()
    with pytest.raises(InvalidParameterValue, match="is a folder"):
        objects.checkout(entry, str(tmp_path / "out"))


def test_names_that_differ_in_case_alone(objects, tmp_path, monkeypatch):
    (tmp_path / "in").mkdir()
    (tmp_path / "in/Data").write_bytes(b"1")
    (tmp_path / "in/data").write_bytes(b"2")
    entry = objects.put_folder(str(tmp_path / "in"))
    objects.checkout(entry, str(tmp_path / "out"))
    assert sorted(os.listdir(tmp_path / "out")) == ["Data", "data"]
    monkeypatch.setattr(checkout, "_ignores_case", lambda folder: True)
    with pytest.raises(InvalidParameterValue, match="one name to this file system"):
        objects.checkout(entry, str(tmp_path / "other"))
    assert os.listdir(tmp_path / "other") == []


def test_a_folder_that_cannot_be_written(objects, tmp_path):
    if os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    entry = objects.put_bytes(b"x")
    (tmp_path / "shut").mkdir(mode=0o500)
    with pytest.raises(PermissionDenied):
        objects.checkout(entry, str(tmp_path / "shut/x"))


def test_blocks_are_shared_where_they_can_be(objects, tmp_path, monkeypatch):
    data = b"shared" * checkout.SHARED
    (tmp_path / "in").write_bytes(data)
    entry = objects.put_file(str(tmp_path / "in"))
    small = objects.put_bytes(b"small")
    asked = []

    def no(source, target):
        asked.append(1)
        return False

    monkeypatch.setattr(checkout, "_reflinks", {})
    monkeypatch.setattr(checkout, "clone", no)
    for number in range(3):
        objects.checkout(small, str(tmp_path / f"small{number}"))
        objects.checkout(entry, str(tmp_path / f"out{number}"))
    assert len(asked) == 1
    with pytest.raises(Unsupported, match="share blocks"):
        objects.checkout(entry, str(tmp_path / "out"), "reflink")

    def yes(source, target):
        os.write(target, os.pread(source, len(data), 0))
        return True

    monkeypatch.setattr(checkout, "_reflinks", {})
    monkeypatch.setattr(checkout, "clone", yes)
    objects.checkout(entry, str(tmp_path / "out"), "reflink")
    assert (tmp_path / "out").read_bytes() == data


def test_large_files_are_hashed_as_small_ones(tmp_path):
    for size in (0, 1, copying.CHUNK, (8 << 20) - 1, 8 << 20, (20 << 20) + 1):
        data = os.urandom(size)
        (tmp_path / "in").write_bytes(data)
        source = os.open(tmp_path / "in", os.O_RDONLY)
        target = os.open(tmp_path / "out", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        told: list[int] = []
        assert (
            copying.copy_and_hash(source, target, size, told.append)
            == hashlib.sha256(data).hexdigest()
        )
        assert sum(told) == size
        assert (tmp_path / "out").read_bytes() == data
        assert copying.digest_of(str(tmp_path / "in")) == hashlib.sha256(data).hexdigest()
        os.close(source)
        os.close(target)


def test_a_kind_of_link_that_is_none(objects, tmp_path):
    with pytest.raises(InvalidParameterValue, match="kind of link"):
        objects.checkout(objects.put_bytes(b"x"), str(tmp_path / "out"), "symlink")
