"""What can't be data, what mustn't come as data, and what fails half-way."""

from __future__ import annotations

import errno
import os
import socket
import subprocess
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from mlgit.cli.main import cli
from mlgit.exceptions import (
    CorruptData,
    InvalidParameterValue,
    InvalidState,
    MlgitException,
    NotARepository,
    ResourceDoesNotExist,
    StorageError,
    Unsupported,
)
from mlgit.git import Repository
from mlgit.objects import Entry, format_manifest
from mlgit.store.pointers import Pointer, format_pointer
from mlgit.worktree import place
from mlgit.worktree.place import Placer
from mlgit.worktree.tracked import WorktreeData

# -- add


@pytest.mark.parametrize(
    ("path", "error"),
    [
        ("../outside", InvalidParameterValue),
        ("/etc/hostname", InvalidParameterValue),
        (".", InvalidParameterValue),
        (".git", InvalidParameterValue),
        (".git/config", InvalidParameterValue),
        (".mlgit", InvalidParameterValue),
        ("nothing", ResourceDoesNotExist),
        ("train.py", InvalidState),  # Git's
        ("a\0b", InvalidParameterValue),
        ("x\\y", InvalidParameterValue),
        ("C:x", InvalidParameterValue),
        ("line\nbreak", InvalidParameterValue),
    ],
)
def test_paths_that_can_not_be_data(work: Any, path: str, error: type[Exception]) -> None:
    (work.root.parent / "outside").write_text("1")
    for name in ("x\\y", "C:x", "line\nbreak"):
        (work / name).write_text("1")
    before = work.git("status", "--porcelain")
    with pytest.raises(error) as caught:
        work.add(path)
    assert "Traceback" not in str(caught.value)
    assert work.git("status", "--porcelain") == before


def test_a_folder_through_a_link_out_of_the_tree(work: Any, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/x").write_text("1")
    (work / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InvalidParameterValue, match="outside"):
        work.add("link/x")
    with pytest.raises(InvalidParameterValue, match="is a link"):
        work.add("link")


def test_a_folder_that_git_tracks_in_part(work: Any) -> None:
    work.write(data__a="1", data__b="2")
    work.git("add", "data/b")
    with pytest.raises(InvalidState, match=r"Git tracks data/b") as caught:
        work.add("data")
    assert "git rm -r --cached data" in caught.value.hint
    work.git("rm", "-rq", "--cached", "data")
    work.add("data")


def test_what_git_tracks_is_told_from_its_neighbours(work: Any) -> None:
    for name in ("data-1", "data.txt", "data/x/y", "data0", "da"):
        path = work / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("1")
    work.git("add", ".")
    tracks = work.data().git_tracks
    assert tracks("data") == "data/x/y" and tracks("data/x") == "data/x/y"
    assert tracks("data.txt") == "data.txt" and tracks("data-1") == "data-1"
    assert [tracks(n) for n in ("dat", "data1", "data/x/", "d", "zzz", "data/y")] == [None] * 6


def test_data_is_not_nested(work: Any) -> None:
    work.write(data__sub__a="1")
    work.add("data/sub")
    with pytest.raises(InvalidState, match="lies in data"):
        work.add("data")
    work.write(other__sub__a="1")
    work.add("other")
    with pytest.raises(InvalidState, match="part of other"):
        work.add("other/sub")


@pytest.mark.parametrize("kind", ["socket", "fifo", "device", "out", "folder", "broken", "git"])
def test_what_is_no_file_is_named(work: Any, tmp_path: Path, kind: str) -> None:
    work.write(data__sub__a="1")
    odd = work / "data/sub/odd"
    server = socket.socket(socket.AF_UNIX)
    if kind == "socket":
        here = os.getcwd()
        os.chdir(odd.parent)  # a socket's path is short
        server.bind("odd")
        os.chdir(here)
    elif kind == "fifo":
        os.mkfifo(odd)
    elif kind == "device":
        try:
            os.mknod(odd, 0o600 | 0o020000, os.makedev(1, 3))
        except PermissionError:
            pytest.skip("only root makes devices")
    elif kind == "out":
        (tmp_path / "secret").write_text("not data")
        odd.symlink_to(tmp_path / "secret")
    elif kind == "folder":
        odd.symlink_to("..")
    elif kind == "broken":
        odd.symlink_to("nowhere")
    else:
        odd = work / "data/sub/.git"
        subprocess.run(["git", "init", "-q", str(odd.parent)], check=True)
    with pytest.raises(InvalidParameterValue, match=odd.name) as caught:
        work.add("data")
    server.close()
    assert "data/sub/" in caught.value.message and not (work / "data.mlgit").exists()


def test_status_and_checkout_live_with_what_came_later(two: Any) -> None:
    os.mkfifo(two / "data/fifo")
    assert two.changes() == {"data/fifo": "odd"}
    two.git("checkout", "-q", "HEAD~1")
    assert two.checkout().kept == ["data/fifo"]
    assert two.files() == two.ONE


def test_links_inside_the_folder_are_their_files(work: Any) -> None:
    work.write(data__a="1")
    (work / "data/b").symlink_to("a")
    work.add("data")
    assert work.changes() == {}
    work.commit()
    (work / "data/b").unlink()
    work.checkout()
    assert work.files() == {"a": b"1", "b": b"1"}


def test_names_that_are_not_utf8_come_back(work: Any) -> None:
    names = [b"caf\xe9", b"\xff\xfe", b"per%cent", b"tab\there", "naïve".encode()]
    (work / "data").mkdir()
    for name in names:
        Path(os.fsdecode(os.fsencode(work / "data") + b"/" + name)).write_bytes(name)
    single = Path(os.fsdecode(os.fsencode(work.root) + b"/top\xe9"))
    single.write_bytes(b"top")
    work.add("data", single.name)
    work.commit()
    import shutil

    shutil.rmtree(work / "data")
    single.unlink()
    work.checkout()
    assert sorted(os.listdir(os.fsencode(work / "data"))) == sorted(names)
    assert single.read_bytes() == b"top" and work.changes() == {}
    assert work.git("status", "--porcelain") == ""


def test_names_that_differ_in_case(work: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    work.write(data__sub__Read="1", data__sub__read="2")
    (added,) = work.add("data")
    assert added.clashes == ("sub/read",)
    work.commit()
    (work / "data/sub/read").unlink()
    monkeypatch.setattr(Placer, "ignores_case", lambda self: True)
    with pytest.raises(InvalidState, match="one name here"):
        work.checkout()
    assert (work / "data/sub/Read").read_text() == "1"
    monkeypatch.setattr(Placer, "ignores_case", lambda self: False)
    work.checkout()
    assert work.files() == {"sub/Read": b"1", "sub/read": b"2"}


def test_a_file_that_changes_while_it_is_hashed(work: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from mlgit.objects import local

    (work / "big").write_bytes(b"x" * 3_000_000)
    real = local.copy_and_hash

    def slow(source: int, target: int, *arguments: Any) -> Any:
        found = real(source, target, *arguments)
        with open(work / "big", "ab") as f:
            f.write(b"more")
        return found

    monkeypatch.setattr(local, "copy_and_hash", slow)
    with pytest.raises(InvalidParameterValue, match="changed while"):
        work.add("big")
    assert not (work / "big.mlgit").exists()
    monkeypatch.undo()
    work.add("big")
    assert work.data().pointer("big").entry.size == 3_000_004


def test_no_space_while_adding(work: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from mlgit.objects.local import LocalObjects

    for at in range(6):
        work.write(**{f"data__{at}": str(at)})
    real = LocalObjects.put_file
    count = iter(range(100))

    def full(self: LocalObjects, path: str, share: bool = False) -> Entry:
        if next(count) >= 3:
            raise StorageError("Can't store: No space left on device")
        return real(self, path, share)

    monkeypatch.setattr(LocalObjects, "put_file", full)
    with pytest.raises(StorageError):
        work.add("data")
    assert not (work / "data.mlgit").exists() and len(work.files()) == 6
    monkeypatch.undo()
    assert work.add("data")[0].entry.files == 6


def test_bare_repositories_have_no_data(tmp_path: Path, git: Any) -> None:
    git(tmp_path, "init", "-q", "--bare", "bare.git")
    with pytest.raises(NotARepository, match="bare"):
        WorktreeData(Repository.open(str(tmp_path / "bare.git")))


# -- checkout of what others made


def _forge(work: Any, entries: dict[str, Entry], name: str = "data") -> None:
    """A pointer to a manifest that mlgit itself wouldn't write."""
    data = work.data()
    lines = b""
    for path, entry in entries.items():
        lines += f"{entry.kind} {entry.sha256} {entry.size} {entry.files} {path}\n".encode()
    made = data.objects.put_bytes(format_manifest({}) + lines)
    entry = Entry("d", made.sha256, 1, len(entries))
    (work / f"{name}.mlgit").write_bytes(format_pointer(Pointer(name, entry)))
    work.git("add", f"{name}.mlgit")


@pytest.mark.parametrize(
    "name",
    [
        "../evil",
        "..",
        "a/b",
        "/tmp/evil",
        ".git",
        ".GIT",
        "git~1",
        ".g\u200cit",
        "%2E%2E",
        "a%2Fb",
        "a%00b",
    ],
)
def test_a_manifest_can_not_lead_out(work: Any, name: str) -> None:
    inner = work.data().objects.put_bytes(b"#!/bin/sh\necho evil\n")
    _forge(work, {name: inner})
    with pytest.raises(CorruptData):
        work.checkout()
    # Neither one level down, where the folder isn't there yet.
    folder = Entry("d", work.data().pointer("data").entry.sha256, 1, 1)
    _forge(work, {"sub": folder}, "deep")
    found = work.try_checkout("deep")
    assert [type(error) for _, error in found.problems] == [CorruptData]
    assert not list(work.root.parent.glob("evil")) and not (work / "data/.git").exists()


def test_a_link_in_the_way_is_not_followed(two: Any, tmp_path: Path) -> None:
    import shutil

    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "c").write_text("precious")
    shutil.rmtree(two / "data/sub")
    (two / "data/sub").symlink_to(victim)
    with pytest.raises(InvalidState, match="data/sub"):
        two.checkout()
    assert [p.name for p in victim.iterdir()] == ["c"]
    two.checkout(force=True)
    assert two.files() == two.TWO
    assert (victim / "c").read_text() == "precious"
    shutil.rmtree(two / "data")
    (two / "data").symlink_to(victim)
    with pytest.raises(InvalidState):
        two.checkout()
    assert (victim / "c").read_text() == "precious" and len(list(victim.iterdir())) == 1


def test_a_newer_pointer_is_refused_and_the_others_go_on(two: Any) -> None:
    (two / "data.mlgit").write_text("format: 2\n")
    (two / "model").unlink()
    found = two.try_checkout()
    assert [(path, type(error)) for path, error in found.problems] == [("data", Unsupported)]
    assert (two / "model").read_text() == "m1" and two.files() == two.TWO
    states = {state.path: state for state in two.status()}
    assert isinstance(states["data"].problem, Unsupported) and states["model"].clean


def test_no_space_in_the_middle_of_a_checkout(two: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import shutil

    shutil.rmtree(two / "data")
    real, count = place.copy_and_hash, iter(range(100))

    def full(*arguments: Any) -> str:
        if next(count) >= 1:
            os.write(arguments[1], b"half")
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(*arguments)

    monkeypatch.setattr(place, "copy_and_hash", full)
    monkeypatch.setattr(Placer, "_link", lambda *arguments: False)
    with pytest.raises(StorageError, match="No space") as caught:
        two.checkout()
    assert "free some space" in caught.value.hint
    assert len(two.files()) == 1, "whole files only"
    monkeypatch.undo()
    two.checkout()
    assert two.files() == two.TWO


def test_errors_end_as_a_line_and_an_exit_code(two: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(two.root)
    runner = CliRunner()
    for arguments, code in (
        (["add", "train.py"], 4),
        (["add", "nothing"], 3),
        (["add", "/etc/passwd"], 2),
        (["checkout", "nothing"], 3),
        (["checkout", "--link", "hardlink"], 0),
        (["status", "--remote"], 3),
        (["get", "/no/such/repository", "x"], 128),
        (["import-url", "nosuch://x/y"], 2),
        (["update", "model"], 4),
    ):
        result = runner.invoke(cli, arguments)
        assert result.exit_code == code, (arguments, result.output)
        assert "Traceback" not in result.output and (code == 0 or "hint" in result.output)
    two.write(data__a="unsaved")
    two.git("checkout", "-q", "HEAD~1")
    result = runner.invoke(cli, ["checkout"])
    assert result.exit_code == 4 and "data/a" in result.output


def test_a_read_only_clone_still_tells_its_status(
    two: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sqlite3

    def refuse(*arguments: Any, **options: Any) -> Any:
        raise sqlite3.OperationalError("attempt to write a readonly database")

    monkeypatch.setattr(sqlite3, "connect", refuse)
    assert two.changes() == {}
    two.write(data__a="x")
    assert two.changes() == {"data/a": "modified"}


def test_two_at_once(two: Any) -> None:
    """Checkouts and adds in one worktree wait for each other."""
    import sys

    import mlgit

    code = (
        "import sys; from mlgit.cli.main import cli\n"
        "sys.exit(cli.run(sys.argv[1:], None) if hasattr(cli, 'run') else 1)"
    )
    env = {**os.environ, "PYTHONPATH": str(Path(mlgit.__file__).parents[1])}
    two.git("checkout", "-q", "HEAD~1")
    started = [
        subprocess.Popen([sys.executable, "-c", code, *arguments], cwd=two.root, env=env,
                         stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        for arguments in (["checkout"], ["checkout"], ["add", "model"])
    ]  # fmt: skip
    for process in started:
        _, said = process.communicate(timeout=60)
        assert process.returncode == 0, said.decode()
    assert two.files() == two.ONE and two.changes() == {}


def test_an_error_is_one_of_ours(work: Any) -> None:
    work.write(data__a="1")
    (work / "data.mlgit").mkdir()
    with pytest.raises(MlgitException):
        work.add("data")
