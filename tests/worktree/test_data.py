"""Data beside a real Git: add, checkout and status over branches, merges and clones."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mlgit.exceptions import CorruptData, InvalidState, ResourceDoesNotExist
from mlgit.objects import LocalObjects, parse_manifest
from mlgit.objects.scan import Scanner
from mlgit.worktree.place import Placer


def test_add_writes_a_pointer_and_an_ignore_line(work: Any) -> None:
    work.write(data__a="1", data__b="2", top="3")
    added = work.add("data", "top")
    assert [(a.path, a.entry.files, a.entry.size) for a in added] == [("data", 2, 2), ("top", 1, 1)]
    assert sorted(added[0].written) == [".gitignore", "data.mlgit"]
    assert (work / ".gitignore").read_text() == "/data\n/top\n"
    assert sorted(work.git("status", "--porcelain").split()[1::2]) == [
        ".gitignore",
        "data.mlgit",
        "top.mlgit",
    ]
    assert work.status()[0].clean and work.status()[1].clean


def test_add_again_is_quiet_and_keeps_the_pointer_file(work: Any) -> None:
    work.write(data__a="1")
    work.add("data")
    before = os.stat(work / "data.mlgit")
    (added,) = work.add("data")
    assert added.before == added.entry and added.written == ()
    assert os.stat(work / "data.mlgit").st_mtime_ns == before.st_mtime_ns


@pytest.mark.parametrize("name", ["a*b", "[x]", "q?", "back ", "#hash", "!bang", "über", "sp ace"])
def test_git_ignores_just_the_data(work: Any, name: str) -> None:
    (work / name).write_text("1")
    (work / "aXb").write_text("not data")
    work.add(name)
    shown = work.git("status", "--porcelain", "-z", "-uall")
    assert sorted(line[3:] for line in shown.split("\0") if line) == sorted(
        [".gitignore", "aXb", f"{name}.mlgit"]
    )


def test_a_branch_switch_brings_its_data(two: Any) -> None:
    assert two.files() == two.TWO
    two.git("checkout", "-q", "HEAD~1")
    found = two.checkout()
    assert two.files() == two.ONE
    assert (found.changed, found.written, found.removed) == (["data"], 2, 1)
    assert not (two / "data/new").exists()
    assert two.changes() == {}
    two.git("checkout", "-q", "main")
    two.checkout()
    assert two.files() == two.TWO
    assert two.checkout().changed == []


def test_data_goes_and_comes_with_its_pointer(two: Any) -> None:
    two.git("checkout", "-q", "-b", "bare", "HEAD~2")
    found = two.checkout()
    assert not (two / "data").exists() and not (two / "model").exists()
    assert found.removed == 4
    two.git("checkout", "-q", "main")
    two.checkout()
    assert two.files() == two.TWO and (two / "model").read_text() == "m1"


def test_what_git_was_never_given_is_left_alone(work: Any) -> None:
    work.write(data__a="precious")
    work.add("data")
    (work / "data.mlgit").unlink()
    assert work.checkout().kept == ["data"]
    assert work.files() == {"a": b"precious"}


def test_a_folder_that_git_took_over_is_left_alone(two: Any) -> None:
    two.git("rm", "-q", "--cached", "data.mlgit")
    (two / "data.mlgit").unlink()
    two.git("add", "-f", "data")
    two.git("commit", "-qm", "git has it now")
    two.checkout()
    assert two.files() == two.TWO


def test_unsaved_work_is_never_overwritten(two: Any) -> None:
    two.write(data__a="my unsaved work", data__extra="mine too")
    two.git("checkout", "-q", "HEAD~1")
    with pytest.raises(InvalidState, match="data/a") as caught:
        two.checkout()
    assert "--force" in caught.value.hint
    assert (two / "data/a").read_text() == "my unsaved work"
    assert (two / "data/new/d").exists(), "nothing of the path is touched"
    found = two.checkout(force=True)
    assert two.files() == two.ONE
    assert found.problems == []


def test_a_new_file_is_kept_where_nothing_else_is_wanted(two: Any) -> None:
    two.write(data__new__mine="unsaved")
    two.git("checkout", "-q", "HEAD~1")
    found = two.checkout()
    assert found.kept == ["data/new/mine"]
    assert two.files() == {**two.ONE, "new/mine": b"unsaved"}
    two.git("checkout", "-q", "HEAD~1")  # no data at all
    assert two.checkout().kept == ["data/new/mine"]
    assert two.files() == {"new/mine": b"unsaved"}
    (two / "data/new/mine").unlink()
    two.checkout()
    assert not (two / "data").exists()


def test_saved_changes_may_go(two: Any) -> None:
    two.write(data__a="saved by another add")
    two.add("data")
    two.git("checkout", "-q", "--", "data.mlgit")
    two.checkout()
    assert two.files() == two.TWO


def test_a_file_in_place_of_a_folder_and_back(work: Any) -> None:
    work.write(data__x__y="1", data__z="2")
    work.add("data")
    work.commit("one")
    (work / "data/x/y").unlink()
    (work / "data/x").rmdir()
    (work / "data/z").unlink()
    work.write(data__x="file", data__z__w="folder")
    work.add("data")
    work.commit("two")
    for commit, files in (
        ("main~1", {"x/y": b"1", "z": b"2"}),
        ("main", {"x": b"file", "z/w": b"folder"}),
    ):
        work.git("checkout", "-q", commit)
        work.checkout()
        assert work.files() == files
    work.git("checkout", "-q", "main~1")
    work.write(data__z__w="unsaved")
    with pytest.raises(InvalidState, match="data/z/w"):
        work.checkout()


def test_data_moves_into_a_larger_folder_of_data_and_back(work: Any) -> None:
    work.write(data__sub__a="1", data__code="git's")
    work.add("data/sub")
    work.commit("one")
    (work / "data/sub.mlgit").unlink()
    work.git("rm", "-q", "--cached", "data/sub.mlgit", "data/code", "data/.gitignore")
    (work / "data/.gitignore").unlink()
    work.add("data")
    work.commit("two")
    work.git("checkout", "-q", "-f", "HEAD~1")
    work.checkout()
    assert (work / "data/sub/a").read_text() == "1"
    assert (work / "data/code").read_text() == "git's"
    work.git("checkout", "-q", "-f", "main")
    work.checkout()
    assert work.files() == {"code": b"git's", "sub/a": b"1"}


def test_modes_follow_the_pointer(work: Any) -> None:
    work.write(data__run="#!/bin/sh\n")
    work.add("data")
    work.commit("one")
    (work / "data/run").chmod(0o755)
    assert work.changes() == {"data/run": "modified"}
    work.add("data")
    work.commit("two")
    work.git("checkout", "-q", "HEAD~1")
    work.checkout()
    assert not os.access(work / "data/run", os.X_OK)
    work.git("checkout", "-q", "main")
    work.checkout()
    assert os.access(work / "data/run", os.X_OK)


def test_empty_folders_and_files_are_data(work: Any) -> None:
    (work / "data/empty").mkdir(parents=True)
    work.write(data__nothing="")
    work.add("data")
    work.commit("one")
    (work / "data/empty").rmdir()
    assert work.changes() == {"data/empty": "deleted"}
    (work / "data/nothing").unlink()
    work.checkout()
    assert (work / "data/empty").is_dir() and (work / "data/nothing").read_bytes() == b""


# -- merges, clones, worktrees


def test_a_merge_of_two_pointers_is_a_conflict_that_a_side_solves(two: Any) -> None:
    two.git("checkout", "-q", "-b", "other", "HEAD~1")
    two.checkout()
    two.write(data__a="theirs")
    two.add("data")
    two.commit("theirs")
    two.git("merge", "-q", "main", check=False)
    assert two.git("status", "--porcelain", "data.mlgit").startswith("UU")
    with pytest.raises(CorruptData, match="conflict") as caught:
        two.checkout()
    assert "--ours" in caught.value.hint
    assert two.files() == {**two.ONE, "a": b"theirs"}
    assert two.status()[0].problem is not None
    two.git("checkout", "--theirs", "data.mlgit")
    two.checkout()
    assert two.files() == two.TWO


def test_a_clone_gets_its_data_from_the_remote(two: Any, tmp_path: Path, git: Any) -> None:
    from mlgit.objects.remote import RemoteObjects
    from mlgit.objects.transfer import upload
    from mlgit.store import remotes

    data = two.data()
    remotes.add(data.repo, "shared", str(tmp_path / "shared"))
    two.commit("remote")
    git(tmp_path, "clone", "-q", str(two.root), "clone")
    clone = type(two)(tmp_path / "clone", two._git)
    state = clone.status()[0]
    assert state.absent and state.not_here == 1
    with pytest.raises(ResourceDoesNotExist, match="isn't at"):
        clone.checkout()
    sizes = {sha: os.path.getsize(data.objects.path(sha)) for sha in data.objects.all()}
    upload(data.objects, RemoteObjects(str(tmp_path / "shared")), sizes)
    found = clone.checkout()
    assert found.fetched > 3 and clone.files() == two.TWO
    assert clone.changes() == {}
    # A damaged object is put aside, and fetched again.
    (clone / "data/a").unlink()
    sha = next(s for s in sizes if data.objects.read(s) == b"changed")
    place = clone.data().objects.path(sha)
    os.unlink(place)  # it is the remote's file too
    Path(place).write_bytes(b"damaged")
    clone.checkout()
    assert clone.files() == two.TWO
    assert (clone / f".git/mlgit/objects/damaged/{sha}").exists()
    # The remote lacks one.
    os.unlink(tmp_path / f"shared/objects/sha256/{sha[:2]}/{sha[2:]}")
    assert [s.not_remote for s in clone.status(ask_remote=True)] == [1, 0]


def test_a_hard_link_is_never_a_remotes_file(two: Any, tmp_path: Path) -> None:
    """Whoever makes it writable and edits it reaches the clone's object, and no further."""
    import shutil

    from mlgit.objects.remote import RemoteObjects
    from mlgit.objects.transfer import upload
    from mlgit.store import remotes

    data = two.data()
    remotes.add(data.repo, "shared", str(tmp_path / "shared"))
    sizes = {sha: os.path.getsize(data.objects.path(sha)) for sha in data.objects.all()}
    upload(data.objects, RemoteObjects(str(tmp_path / "shared")), sizes)
    shutil.rmtree(two / "data")
    two.checkout(links=["hardlink"])
    assert two.files() == two.TWO
    shared = {p.stat().st_ino for p in (tmp_path / "shared").rglob("*") if p.is_file()}
    placed = {p.stat().st_ino for p in (two / "data").rglob("*") if p.is_file()}
    assert not shared & placed
    kept = {os.stat(data.objects.path(sha)).st_ino for sha in data.objects.all()}
    assert placed <= kept, "they are this clone's objects"


def test_without_a_remote_the_error_says_what_to_do(two: Any, tmp_path: Path, git: Any) -> None:
    git(tmp_path, "clone", "-q", str(two.root), "clone")
    clone = type(two)(tmp_path / "clone", two._git)
    found = clone.try_checkout()
    assert len(found.problems) == 2
    assert "mlgit remote add" in found.problems[0][1].hint


def test_linked_worktrees_have_their_own_data(two: Any, tmp_path: Path) -> None:
    two.git("worktree", "add", "-q", str(tmp_path / "linked"), "HEAD~1")
    linked = type(two)(tmp_path / "linked", two._git)
    linked.checkout()
    assert linked.files() == two.ONE and two.files() == two.TWO
    linked.git("checkout", "-q", "--detach", "main~2")
    linked.checkout()
    assert not (linked / "data").exists() and two.files() == two.TWO


# -- links


def test_hard_links_share_the_object(two: Any) -> None:
    two.checkout()
    (two / "data/a").unlink()
    (two / "data/new/d").unlink()
    two.checkout(links=["hardlink"])
    assert two.files() == two.TWO
    assert os.stat(two / "data/a").st_nlink == 2
    assert two.changes() == {}
    two.git("checkout", "-q", "HEAD~1")
    two.checkout()
    assert two.files() == two.ONE
    assert two.data().objects.verify(
        next(s for s in two.data().objects.all() if two.data().objects.read(s) == b"changed")
    )


def test_a_file_system_without_reflinks_is_asked_once(
    two: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def refuse(self: Placer, entry: Any, temporary: str) -> None:
        asked.append(temporary)
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(Placer, "_reflink", refuse)
    two.git("checkout", "-q", "HEAD~1")
    two.checkout()
    assert two.files() == two.ONE and not asked  # small files are copied
    two.git("checkout", "-q", "main")
    two.checkout()
    monkeypatch.setattr("mlgit.worktree.place.SHARED", 0)
    two.git("checkout", "-q", "HEAD~1")
    two.checkout()
    assert two.files() == two.ONE and len(asked) == 1


def test_hard_links_do_not_take_the_place_of_reflinks(
    two: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def share(self: Placer, entry: Any, temporary: str) -> None:
        self._copy(entry, temporary, None)

    monkeypatch.setattr(Placer, "_reflink", share)
    (two / ".mlgit").mkdir(exist_ok=True)
    (two / ".mlgit/config.yaml").write_text("format: 1\ndata:\n  links: [reflink, hardlink]\n")
    two.git("checkout", "-q", "HEAD~1")
    two.checkout()
    assert two.files() == two.ONE
    assert {os.stat(two / "data" / name).st_nlink for name in two.files()} == {1}


def test_the_configuration_chooses(two: Any) -> None:
    folder = two / ".mlgit"
    folder.mkdir()
    (folder / "config.yaml").write_text("format: 1\ndata:\n  links: [hardlink]\n")
    (two / "model").unlink()
    two.checkout()
    assert os.stat(two / "model").st_nlink == 2


# -- only what changed is read


def test_what_is_unchanged_is_not_read_again(work: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for at in range(30):
        work.write(**{f"data__f{at % 3}__{at}": str(at)})
    work.age()
    work.add("data")
    read: list[bytes] = []
    real = Scanner._digest
    monkeypatch.setattr(
        Scanner, "_digest", lambda self, p, f: (read.append(p), real(self, p, f))[1]
    )
    assert work.status()[0].clean and read == []
    (work / "data/f1/4").write_text("new")
    written: list[Any] = []
    put = LocalObjects.put_manifest
    monkeypatch.setattr(
        LocalObjects, "put_manifest", lambda self, e, **k: (written.append(e), put(self, e, **k))[1]
    )
    work.add("data")
    assert [os.path.basename(path) for path in read] == [b"4"]
    assert len(written) == 2, "the folder's and the root's"


def test_a_checkout_is_known_without_reading_it(two: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import shutil

    shutil.rmtree(two / "data")
    two.checkout()
    monkeypatch.setattr(Scanner, "_digest", None)
    assert two.status("data")[0].clean


def test_an_edit_that_keeps_size_and_time_is_seen(work: Any) -> None:
    work.write(data__a="one")
    work.age()
    work.add("data")
    before = os.stat(work / "data/a")
    (work / "data/a").write_text("two")
    os.utime(work / "data/a", ns=(before.st_atime_ns, before.st_mtime_ns))
    assert work.changes() == {"data/a": "modified"}


def test_an_edit_right_after_an_add_is_seen(work: Any) -> None:
    for at in range(20):
        work.write(data__a=f"{at:03}")
        work.add("data")
        work.write(data__a=f"{at + 1:03}")
        assert work.changes() == {"data/a": "modified"}


@pytest.mark.parametrize("damage", [b"not a database", b""])
def test_the_memory_may_be_damaged(two: Any, damage: bytes) -> None:
    (two / ".git/mlgit/folders.sqlite").write_bytes(damage)
    assert two.status()[0].clean
    assert two.add("data")[0].written == ()


def test_the_manifests_share_what_is_the_same(two: Any) -> None:
    data = two.data()
    roots = [m for m in _manifests(data.objects) if "a" in m]
    assert len(roots) == 2
    assert roots[0]["sub"] != roots[1]["sub"]  # sub/b went
    inner = [m for m in _manifests(data.objects) if "c" in m]
    assert len(inner) == 1


def _manifests(objects: LocalObjects) -> list[dict[str, Any]]:
    found = []
    for sha in objects.all():
        if objects.read(sha).startswith(b"mlgit-manifest"):
            found.append(parse_manifest(objects.read(sha)))
    return found


# -- crashes


CRASH = """
import os, signal, sys
sys.path[:0] = [{tests!r}]
from mlgit.git import Repository
from mlgit.worktree.tracked import WorktreeData
from mlgit.worktree import add, checkout
left = int(sys.argv[2])
def watch(event, arguments):
    global left
    if event in ("open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link"):
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
data = WorktreeData(Repository.open("."))
sys.addaudithook(watch)
getattr(globals()[sys.argv[1]], sys.argv[1])(data, ["data"] if sys.argv[1] == "add" else [])
"""


def _killed(work: Any, what: str, after: int) -> bool:
    """Run a call that is killed after some steps; whether it was."""
    import mlgit

    code = CRASH.format(tests=str(Path(mlgit.__file__).parents[1]))
    done = subprocess.run(
        [sys.executable, "-c", code, what, str(after)], cwd=work.root, capture_output=True
    )
    assert done.returncode in (0, -9), done.stderr.decode()
    return done.returncode == -9


def test_a_killed_checkout_goes_on(two: Any) -> None:
    after = 1
    while True:
        two.git("checkout", "-q", "main~1" if after % 2 else "main")
        killed = _killed(two, "checkout", after)
        two.checkout()
        assert two.files() == (two.ONE if after % 2 else two.TWO), after
        assert two.changes() == {}
        assert not [p for p in two.root.rglob(".mlgit-part-*") if ".git/" not in str(p)]
        if not killed:
            break
        after += 3
    assert after > 10


def test_a_checkout_killed_before_another_branch_leaves_nothing(two: Any) -> None:
    import shutil

    for after in (12, 20, 26):
        shutil.rmtree(two / "data", ignore_errors=True)
        for name in ("model", ".git/mlgit/data.json"):
            (two / name).unlink(missing_ok=True)
        two.git("checkout", "-q", "main")
        _killed(two, "checkout", after)
        two.git("checkout", "-q", "main~2")
        two.checkout()
        left = [p for p in two.root.iterdir() if p.name not in (".git", "train.py")]
        assert left == [], after
        two.git("checkout", "-q", "main")
        two.checkout()
        assert two.files() == two.TWO


def test_a_killed_add_goes_on(work: Any) -> None:
    after = 1
    while True:
        work.write(data__a=str(after), data__b__c=f"c{after}")
        killed = _killed(work, "add", after)
        pointer = work.data().pointer("data")
        if pointer is not None:  # it may be the last round's; what it names is there
            work.data().objects.read(pointer.entry.sha256)
        work.add("data")
        assert work.changes() == {}
        assert (work / ".gitignore").read_text() == "/data\n"
        assert not list(work.root.rglob(".mlgit-part-*"))
        if not killed:
            break
        after += 3
    assert after > 10
