"""The snapshot against what the real git stages from the same worktree."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlgit.git.repository import Repository
from mlgit.git.snapshot import Snapshot, Snapshotter

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="compares with git")

TOKEN = "gh" + "p_" + "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8"
RACY_WAIT = 1.1


@pytest.fixture(autouse=True)
def _environment(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch):
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    values = {
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_CONFIG_NOSYSTEM": "1",
        "HOME": str(tmp_path_factory.mktemp("home")),
        "GIT_AUTHOR_NAME": "A",
        "GIT_AUTHOR_EMAIL": "a@example.com",
        "GIT_COMMITTER_NAME": "A",
        "GIT_COMMITTER_EMAIL": "a@example.com",
    }
    for name, value in values.items():
        monkeypatch.setenv(name, value)


def git(where: Path, *arguments: str, check: bool = True, **env: str) -> str:
    found = subprocess.run(
        ["git", "-c", "protocol.file.allow=always", *arguments],
        cwd=where,
        env={**os.environ, **env},
        capture_output=True,
        check=False,
    )
    if check and found.returncode:
        raise AssertionError(found.stderr.decode(errors="replace"))
    return found.stdout.decode(errors="surrogateescape").rstrip("\n")


def write(root: Path, files: dict[str, str | bytes]) -> None:
    for path, content in files.items():
        target = root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content.encode() if isinstance(content, str) else content)


def commit(root: Path, message: str = "c") -> str:
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--allow-empty", "-m", message)
    return git(root, "rev-parse", "HEAD")


def staged_tree(root: Path) -> str:
    """The tree that `git add --all` gives, on a copy of the index."""
    index = Path(git(root, "rev-parse", "--git-path", "index"))
    index = index if index.is_absolute() else root / index
    copy = index.with_name("index-of-test")
    if index.exists():
        shutil.copy2(index, copy)
    try:
        git(root, "add", "--all", GIT_INDEX_FILE=str(copy))
        return git(root, "write-tree", GIT_INDEX_FILE=str(copy))
    finally:
        copy.unlink(missing_ok=True)


def listing(root: Path, tree: str | None) -> dict[str, str]:
    lines = git(root, "-c", "core.quotePath=false", "ls-tree", "-r", str(tree)).splitlines()
    return {line.split("\t", 1)[1]: line.split("\t", 1)[0] for line in lines}


def assert_as_git(root: Path, snapshotter: Snapshotter | None = None) -> Snapshot:
    snapshot = (snapshotter or Snapshotter(Repository.discover(str(root)))).take()
    expected = staged_tree(root)
    assert listing(root, snapshot.tree) == listing(root, expected)
    assert snapshot.tree == expected
    return snapshot


def left_out(snapshot: Snapshot) -> dict[str, str]:
    return {item.path: item.reason for item in snapshot.left_out}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "repo"
    folder.mkdir()
    git(folder, "init", "--quiet", "--initial-branch=main")
    write(folder, {"a.py": "a\n", "src/b.py": "b\n", "src/deep/c.py": "c\n", "d.txt": "d\n"})
    commit(folder)
    return folder


# ---------------------------------------------------------------- the tree


def test_clean_tree_is_the_commits(root):
    snapshot = assert_as_git(root)
    assert snapshot.tree == git(root, "rev-parse", "HEAD^{tree}")
    assert snapshot.commit == git(root, "rev-parse", "HEAD")
    assert (snapshot.branch, snapshot.dirty, snapshot.left_out) == ("main", False, [])


def test_edits_deletions_and_new_files(root):
    write(root, {"a.py": "changed\n", "src/new/x.py": "x", "src/deep/y.py": "", "e f.txt": "e"})
    (root / "d.txt").unlink()
    assert assert_as_git(root).dirty


def test_every_deletion_gives_the_empty_tree(root):
    for name in ("a.py", "d.txt"):
        (root / name).unlink()
    shutil.rmtree(root / "src")
    assert assert_as_git(root).dirty


def test_fresh_repository_without_index(tmp_path):
    git(tmp_path, "init", "--quiet", "--initial-branch=trunk")
    empty = assert_as_git(tmp_path)
    assert (empty.commit, empty.branch, empty.dirty) == (None, "trunk", False)
    write(tmp_path, {"x/y.py": "1"})
    assert assert_as_git(tmp_path).dirty


def test_bare_repository(tmp_path):
    git(tmp_path, "init", "--quiet", "--bare", "--initial-branch=main")
    snapshotter = Snapshotter(Repository.open(str(tmp_path)))
    snapshot = snapshotter.take()
    assert (snapshot.tree, snapshot.commit, snapshot.branch) == (None, None, "main")
    assert snapshotter.changed_since(snapshot) == []


def test_nothing_is_touched(root):
    git(root, "stash", "list")
    write(root, {"a.py": "stashed\n"})
    git(root, "stash")
    write(root, {"a.py": "edited\n", "src/b.py": "staged\n", "new.py": "n"})
    git(root, "add", "src/b.py")
    git(root, "status", "--porcelain")
    os.utime(root / "d.txt")  # stat-dirty: git status would refresh the index
    index = (root / ".git/index").read_bytes()
    stat = os.stat(root / ".git/index")
    before = [git(root, *c.split()) for c in ("stash list", "rev-parse HEAD", "for-each-ref")]
    Snapshotter(Repository.discover(str(root))).take()
    assert (root / ".git/index").read_bytes() == index
    assert os.stat(root / ".git/index").st_mtime_ns == stat.st_mtime_ns
    assert not (root / ".git/index.lock").exists()
    after = [git(root, *c.split()) for c in ("stash list", "rev-parse HEAD", "for-each-ref")]
    assert after == before
    assert git(root, "status", "--porcelain") == " M a.py\nM  src/b.py\n?? new.py"


def test_every_object_exists(root):
    write(root, {"a.py": "changed\n", "n/e/w.py": "x", "src/b.py": ""})
    tree = assert_as_git(root).tree
    git(root, "reset", "--quiet", "--hard")
    git(root, "fsck", "--strict", str(tree))
    git(root, "rev-list", "--objects", str(tree))


def test_git_did_the_same_with_a_staged_index(root):
    write(root, {"a.py": "staged\n", "gone.py": "g", "src/new.py": "n"})
    git(root, "add", "--all")
    write(root, {"a.py": "later\n"})
    (root / "gone.py").unlink()
    tree = assert_as_git(root).tree
    git(root, "fsck", "--strict", str(tree))


def test_racily_clean_file(root):
    """Same size, same time as the index: only reading it shows the edit."""
    snapshotter = Snapshotter(Repository.discover(str(root)))
    for content in ("1\n", "2\n", "3\n"):
        write(root, {"a.py": content})
        git(root, "add", "a.py")
        stamp = os.stat(root / ".git/index").st_mtime_ns
        os.utime(root / "a.py", ns=(stamp, stamp))
        git(root, "add", "a.py")
        write(root, {"a.py": content.replace("\n", "!")})
        os.utime(root / "a.py", ns=(stamp, stamp))
        os.utime(root / ".git/index", ns=(stamp, stamp))
        snapshot = snapshotter.take()
        blob = git(root, "rev-parse", f"{snapshot.tree}:a.py")
        assert blob == git(root, "hash-object", "a.py")


def test_two_edits_in_one_tick(root):
    snapshotter = Snapshotter(Repository.discover(str(root)))
    for number in range(5):
        write(root, {"a.py": f"{number}\n", "new.py": f"{number}\n"})
        snapshot = snapshotter.take()
        for name in ("a.py", "new.py"):
            stored = git(root, "cat-file", "blob", f"{snapshot.tree}:{name}")
            assert stored == str(number)


def test_warm_snapshots_follow_every_change(root):
    snapshotter = Snapshotter(Repository.discover(str(root)))
    assert_as_git(root, snapshotter)
    time.sleep(RACY_WAIT)
    steps = [
        lambda: write(root, {"a.py": "other\n"}),
        lambda: write(root, {"src/u.py": "u"}),
        lambda: write(root, {".gitignore": "u.py\n"}),
        lambda: write(root, {"src/deep/.gitignore": "!u.py\nz*\n", "src/deep/u.py": ""}),
        lambda: (root / ".gitignore").unlink(),
        lambda: write(root, {".git/info/exclude": "src/u.py\n"}),
        lambda: commit(root),
        lambda: shutil.rmtree(root / "src/deep"),
        lambda: write(root, {"src/deep": "now a file"}),
        lambda: git(root, "reset", "--quiet", "--hard"),
        lambda: git(root, "rm", "-r", "--quiet", "src"),
        lambda: write(root, {".gitattributes": "*.txt text\n", "d.txt": "d\r\n"}),
        lambda: write(root, {".gitattributes": "*.txt -text\n"}),
    ]
    for step in steps:
        step()
        assert_as_git(root, snapshotter)
        assert_as_git(root, snapshotter)


# ---------------------------------------------------------------- kinds of files


def test_exec_bit(root):
    os.chmod(root / "a.py", 0o755)
    write(root, {"run.sh": "#!/bin/sh\n"})
    os.chmod(root / "run.sh", 0o700)
    assert_as_git(root)
    git(root, "config", "core.fileMode", "false")
    snapshot = assert_as_git(root)
    assert listing(root, snapshot.tree)["run.sh"].startswith("100644")
    write(root, {"a.py": "with another content\n"})
    assert_as_git(root)


def test_symlinks(root):
    (root / "to_file").symlink_to("a.py")
    (root / "to_dir").symlink_to("src")
    (root / "dangling").symlink_to("nowhere")
    (root / "loop").symlink_to("loop")
    (root / "up").mkdir()
    (root / "up/back").symlink_to("..")
    assert_as_git(root)
    commit(root)
    (root / "to_file").unlink()
    (root / "to_file").symlink_to("d.txt")
    (root / "a.py").unlink()
    (root / "a.py").symlink_to("d.txt")
    (root / "dangling").unlink()
    write(root, {"dangling": "a file now"})
    assert_as_git(root)


def test_tracked_directory_replaced_by_a_link_to_one_like_it(root):
    shutil.move(root / "src", root / "elsewhere")
    (root / "src").symlink_to("elsewhere")
    assert_as_git(root)


def test_file_and_directory_change_places(root):
    (root / "a.py").unlink()
    write(root, {"a.py/inner.py": "i", "a.py/.gitignore": "*.log\n", "a.py/x.log": ""})
    shutil.rmtree(root / "src")
    write(root, {"src": "file"})
    assert_as_git(root)


def test_core_symlinks_off(root):
    (root / "link").symlink_to("a.py")
    commit(root)
    git(root, "config", "core.symlinks", "false")
    (root / "link").unlink()
    write(root, {"link": "d.txt"})
    assert_as_git(root)


def test_names_that_are_not_utf8(root):
    for name in (b"caf\xe9.py", "naïve.py".encode(), b"new\nline", b'quo"te', b"-dash"):
        Path(os.fsdecode(os.fsencode(root) + b"/" + name)).write_text("x")
    snapshot = Snapshotter(Repository.discover(str(root))).take()
    assert snapshot.tree == staged_tree(root)
    commit(root)
    Path(os.fsdecode(os.fsencode(root) + b"/caf\xe9.py")).write_text("y")
    snapshotter = Snapshotter(Repository.discover(str(root)))
    assert snapshotter.take().tree == staged_tree(root)


def test_special_files_are_named(root):
    os.mkfifo(root / "pipe")
    with socket.socket(socket.AF_UNIX) as unix:
        here = os.getcwd()
        os.chdir(root)
        unix.bind("sock")
        os.chdir(here)
        snapshot = Snapshotter(Repository.discover(str(root))).take()
    assert left_out(snapshot) == {"pipe": "special file", "sock": "special file"}
    assert snapshot.tree == git(root, "rev-parse", "HEAD^{tree}")
    (root / "a.py").unlink()
    os.mkfifo(root / "a.py")
    assert left_out(Snapshotter(Repository.discover(str(root))).take())["a.py"] == "special file"


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_unreadable_files_are_named(root):
    write(root, {"a.py": "changed\n", "closed/x.py": "x", "new.py": "n"})
    for name in ("a.py", "new.py", "closed"):
        os.chmod(root / name, 0)
    snapshot = Snapshotter(Repository.discover(str(root))).take()
    os.chmod(root / "closed", 0o755)
    expected = {"a.py": "unreadable", "new.py": "unreadable", "closed/": "unreadable"}
    assert left_out(snapshot) == expected
    assert snapshot.tree == git(root, "rev-parse", "HEAD^{tree}")
    assert snapshot.dirty


def test_file_that_cannot_be_opened(root, monkeypatch):
    write(root, {"a.py": "changed\n", "new.py": "n"})

    def refuse(path, *rest):
        raise PermissionError(13, "no")

    monkeypatch.setattr("mlgit.git.file_content._read_regular", refuse)
    snapshot = Snapshotter(Repository.discover(str(root))).take()
    assert left_out(snapshot)["a.py"] == left_out(snapshot)["new.py"] == "unreadable"
    assert snapshot.dirty
    assert git(root, "rev-parse", f"{snapshot.tree}:a.py") == git(root, "rev-parse", "HEAD:a.py")


# ---------------------------------------------------------------- states of the index


def test_intent_to_add(root):
    write(root, {"ita.py": "content\n", "src/gone.py": "g", "empty.py": ""})
    git(root, "add", "--intent-to-add", "ita.py", "src/gone.py", "empty.py")
    (root / "src/gone.py").unlink()
    assert_as_git(root)


def test_assume_unchanged(root):
    git(root, "update-index", "--assume-unchanged", "a.py", "d.txt")
    write(root, {"a.py": "hidden edit\n"})
    (root / "d.txt").unlink()
    snapshot = assert_as_git(root)
    assert left_out(snapshot) == {"a.py": "assume-unchanged"}
    assert snapshot.dirty


def test_skip_worktree_without_sparse_checkout(root):
    git(root, "update-index", "--skip-worktree", "a.py", "d.txt")
    (root / "d.txt").unlink()
    write(root, {"a.py": "hidden edit\n"})
    assert left_out(assert_as_git(root)) == {"a.py": "skip-worktree"}


@pytest.mark.parametrize("sparse_index", ["--no-sparse-index", "--sparse-index"])
def test_sparse_checkout(root, sparse_index):
    write(root, {"big/x/1.py": "1", "big/y/2.py": "2", "big/3.py": "3", "other/4.py": "4"})
    commit(root)
    git(root, "sparse-checkout", "set", "--cone", sparse_index, "src")
    assert not (root / "big").exists()
    snapshotter = Snapshotter(Repository.discover(str(root)))
    assert snapshotter.take().tree == git(root, "rev-parse", "HEAD^{tree}")
    write(root, {"src/b.py": "edited\n", "src/new.py": "n"})
    assert_as_git(root, snapshotter)
    # A file that comes back is the worktree's again; git add needs --sparse to agree.
    write(root, {"big/x/1.py": "edited outside\n"})
    tree = snapshotter.take().tree
    assert git(root, "cat-file", "blob", f"{tree}:big/x/1.py") == "edited outside"
    assert git(root, "cat-file", "blob", f"{tree}:big/y/2.py") == "2"


@pytest.mark.parametrize("how", ["delete", "edit", "keep"])
def test_unfinished_merge(root, how):
    git(root, "checkout", "--quiet", "-b", "side")
    write(root, {"a.py": "side\n", "d.txt": "side d\n", "side.py": "s"})
    commit(root)
    git(root, "checkout", "--quiet", "main")
    write(root, {"a.py": "main\n"})
    (root / "d.txt").unlink()
    commit(root)
    git(root, "merge", "side", check=False)
    assert "UU a.py" in git(root, "status", "--porcelain")
    if how == "delete":
        (root / "a.py").unlink()
        (root / "d.txt").unlink()
    elif how == "edit":
        write(root, {"a.py": "resolved\n", "d.txt": "resolved too\n"})
    assert_as_git(root)


@pytest.mark.parametrize("version", ["2", "3", "4"])
def test_index_versions(root, version):
    write(root, {f"src/long/path/number{n}.py": str(n) for n in range(50)})
    write(root, {"src/" + "x" * 200 + "/y.py": "deep"})
    commit(root)
    git(root, "update-index", "--index-version", version)
    if version == "3":
        git(root, "update-index", "--skip-worktree", "a.py")
    write(root, {"src/long/path/number7.py": "edited", "d.txt": "e"})
    (root / "src/long/path/number8.py").unlink()
    assert_as_git(root)


def test_split_index(root):
    write(root, {f"many/{n:03}.py": str(n) for n in range(200)})
    commit(root)
    git(root, "update-index", "--split-index")
    git(root, "config", "splitIndex.maxPercentChange", "100")
    write(root, {"many/007.py": "staged", "many/zzz.py": "added", "aaa.py": "added"})
    git(root, "rm", "--quiet", "--cached", "many/100.py", "many/150.py")
    git(root, "add", "many/007.py", "many/zzz.py", "aaa.py")
    write(root, {"many/007.py": "edited later", ".git/info/exclude": "many/150.py\n"})
    assert list((root / ".git").glob("sharedindex.*"))
    assert_as_git(root)


def test_index_extensions_of_git(root):
    git(root, "config", "core.untrackedCache", "true")
    git(root, "config", "feature.manyFiles", "true")
    write(root, {"a.py": "x", "u/v.py": "v"})
    git(root, "status")
    git(root, "update-index", "--untracked-cache")
    git(root, "status")
    assert_as_git(root)


def test_unknown_index_is_refused(root):
    from mlgit.exceptions import CorruptData, Unsupported

    data = (root / ".git/index").read_bytes()
    (root / ".git/index").write_bytes(b"DIRC\0\0\0\x09" + data[8:])
    with pytest.raises(Unsupported, match="version 9"):
        Snapshotter(Repository.discover(str(root))).take()
    (root / ".git/index").write_bytes(b"JUNK" + data[4:])
    with pytest.raises(CorruptData):
        Snapshotter(Repository.discover(str(root))).take()
    (root / ".git/index").write_bytes(data[:-20] + b"newx\0\0\0\0" + data[-20:])
    with pytest.raises(Unsupported, match="newx"):
        Snapshotter(Repository.discover(str(root))).take()


# ---------------------------------------------------------------- kinds of worktrees


def test_linked_worktree(root, tmp_path):
    linked = tmp_path / "linked"
    git(root, "worktree", "add", "--quiet", "-b", "topic", str(linked))
    write(linked, {"a.py": "in the linked one\n", "new.py": "n", "ignored.tmp": ""})
    write(root, {".git/info/exclude": "*.tmp\n"})
    snapshot = assert_as_git(linked)
    assert snapshot.branch == "topic"
    assert not assert_as_git(root).dirty


def test_git_dir_elsewhere(tmp_path):
    worktree = tmp_path / "wt"
    worktree.mkdir()
    git(worktree, "init", "--quiet", f"--separate-git-dir={tmp_path / 'gd'}")
    write(worktree, {"x.py": "x", "y/z.py": "z"})
    assert_as_git(worktree)


def test_core_worktree(tmp_path):
    git(tmp_path, "init", "--quiet", "main")
    worktree = tmp_path / "files"
    worktree.mkdir()
    git(tmp_path / "main", "config", "core.worktree", str(worktree))
    write(worktree, {"x.py": "x"})
    snapshot = Snapshotter(Repository.discover(str(tmp_path / "main"))).take()
    assert list(listing(tmp_path / "main", snapshot.tree)) == ["x.py"]


def test_detached_head(root):
    git(root, "checkout", "--quiet", "--detach")
    assert assert_as_git(root).branch is None


@pytest.fixture
def with_submodule(root, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    git(other, "init", "--quiet")
    write(other, {"lib.py": "1\n", "pkg/m.py": "m\n"})
    commit(other)
    git(root, "submodule", "--quiet", "add", str(other), "vendor/lib")
    commit(root)
    return root


def test_submodule_clean(with_submodule):
    snapshot = assert_as_git(with_submodule)
    assert (snapshot.dirty, snapshot.dirty_submodules) == (False, [])


def test_submodule_moved_on(with_submodule):
    inner = with_submodule / "vendor/lib"
    write(inner, {"lib.py": "2\n"})
    commit(inner)
    git(inner, "pack-refs", "--all")
    snapshot = assert_as_git(with_submodule)
    assert (snapshot.dirty, snapshot.dirty_submodules) == (True, [])


@pytest.mark.parametrize("change", ["edit", "delete", "stage"])
def test_submodule_with_changes(with_submodule, change):
    inner = with_submodule / "vendor/lib"
    if change == "delete":
        (inner / "pkg/m.py").unlink()
    else:
        write(inner, {"pkg/m.py": "x\n"})
    if change == "stage":
        git(inner, "add", "pkg/m.py")
    snapshot = assert_as_git(with_submodule)
    assert (snapshot.dirty, snapshot.dirty_submodules) == (True, ["vendor/lib"])


def test_submodule_not_checked_out_or_removed(with_submodule):
    git(with_submodule, "submodule", "--quiet", "deinit", "--force", "vendor/lib")
    assert not assert_as_git(with_submodule).dirty
    shutil.rmtree(with_submodule / "vendor")
    assert_as_git(with_submodule)
    write(with_submodule, {"vendor/lib": "a file\n"})
    assert_as_git(with_submodule)


def test_nested_repository_is_not_entered(root):
    nested = root / "nested/inner"
    nested.mkdir(parents=True)
    git(nested, "init", "--quiet")
    write(nested, {"x.py": "x"})
    write(root, {"nested/own.py": "o", "fake/.git/nothing": "", "fake/y.py": "y"})
    snapshot = Snapshotter(Repository.discover(str(root))).take()
    assert left_out(snapshot) == {"nested/inner/": "nested repository"}
    assert {"nested/own.py", "fake/y.py"} <= listing(root, snapshot.tree).keys()
    assert "nested/inner/x.py" not in listing(root, snapshot.tree)


# ---------------------------------------------------------------- ignore rules


def test_ignore_files_at_all_levels(root):
    write(
        root,
        {
            ".gitignore": "*.log\n!keep.log\n/build/\n# comment\n\\#hash\n\\!bang\ntrail \\ \n"
            "doc/**/*.txt\n**/tmp\nab[c-e]*\nx?z\n*.d/\nfoo/*\n!foo/bar\nq[!a]q\nw[[:digit:]]\r\n",
            "a.log": "",
            "keep.log": "",
            "src/keep.log": "",
            "src/z.log": "",
            "build/x": "",
            "src/build/x": "",
            "#hash": "",
            "!bang": "",
            "trail  ": "",
            "doc/1.txt": "",
            "doc/a/b/1.txt": "",
            "other/doc/1.txt": "",
            "tmp/x": "",
            "a/b/tmp/y": "",
            "a/tmpx": "",
            "abc": "",
            "abf": "",
            "xyz": "",
            "x/z": "",
            "n.d/1": "",
            "m.d": "",
            "foo/1": "",
            "foo/bar/2": "",
            "qaq": "",
            "qbq": "",
            "w1": "",
            "wa": "",
            "src/.gitignore": "/only_here\nsub/deeper\n!a.log\n",
            "src/only_here": "",
            "src/x/only_here": "",
            "src/sub/deeper": "",
            "src/x/sub/deeper": "",
            "src/a.log": "",
            ".git/info/exclude": "excluded\n!z.log\n",
            "src/excluded": "",
        },
    )
    assert_as_git(root)


@pytest.mark.parametrize(
    "pattern",
    [
        "a**/x",
        "a**/**/*b",
        "/b**/**/.x",
        "[b-a]",
        "[]a]",
        "[a",
        "a\\",
        "\\*",
        "/**/x",
        "**",
        "d/**",
    ],
)
def test_odd_patterns(root, pattern):
    write(root, {"ab": "", "a/x": "", "a/q/x": "", "b.x": "", "c/b": "", "]": "", "[a": ""})
    write(root, {"*": "", "d/e/f": "", "x": "", ".gitignore": pattern + "\n"})
    assert_as_git(root)


def test_excludes_file(root, tmp_path, monkeypatch):
    write(root, {"mine.bak": "", "other.swp": "", "new.py": ""})
    write(Path(os.environ["HOME"]), {".config/git/ignore": "*.bak\n"})
    assert_as_git(root)
    write(tmp_path, {"ignores": "*.swp\n"})
    git(root, "config", "core.excludesFile", str(tmp_path / "ignores"))
    assert_as_git(root)


def test_tracked_although_ignored(root):
    write(root, {".gitignore": "src\n*.py\n", "src/untracked.py": "", "src/b.py": "edited\n"})
    assert_as_git(root)
    commit(root)
    write(root, {"src/deep/c.py": "edited\n", "src/deep/more.py": ""})
    assert_as_git(root)


def test_ignored_directories_are_not_entered(root, monkeypatch):
    write(root, {".gitignore": "data/\n", "data/x/y": ""})
    entered = []
    scandir = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: entered.append(path) or scandir(path))
    Snapshotter(Repository.discover(str(root))).take()
    assert entered and not [path for path in entered if b"data" in path]


def test_ignore_case(root):
    git(root, "config", "core.ignoreCase", "true")
    write(root, {".gitignore": "*.LOG\nBuild/\n", "x.log": "", "build/y": ""})
    assert_as_git(root)


# ---------------------------------------------------------------- conversions


CRLF_FILES: dict[str, str | bytes] = {
    "crlf.txt": "a\r\nb\r\n",
    "mixed.txt": "a\r\nb\n",
    "lone.txt": "a\r\nb\rc\n",
    "nul.bin": b"a\r\n\0b\r\n",
    "control.bin": b"\x01\x02\x03\r\n" * 9,
    "eof.txt": b"text\r\nmore\r\n\x1a",
    "empty.txt": "",
    "win/crlf.txt": "x\r\n",
    "win/crlf.md": "x\r\n",
    "ident.c": "// $Id: abc $ $Id$ $Id:no\nend$ $Ident$\r\n",
}


@pytest.mark.parametrize("autocrlf", ["true", "input", "false"])
@pytest.mark.parametrize(
    "attributes",
    [
        "",
        "* text=auto\n",
        "* text\n",
        "*.txt text\n*.bin binary\n",
        "* -text\n",
        "*.txt eol=crlf\n",
        "* text=auto eol=lf\nwin/* -crlf\n",
        "*.c ident text=input\n",
        "[attr]source text=auto ident\n*.c source\n*.txt source -text\n*.md source !text\n",
        '"win/crlf.txt" text\n/crlf.txt crlf=input\n',
        "win/ text\n!*.txt text\n",
    ],
)
def test_line_ends(root, autocrlf, attributes):
    git(root, "config", "core.autocrlf", autocrlf)
    write(root, CRLF_FILES)
    write(root, {".gitattributes": attributes} if attributes else {})
    assert_as_git(root)


def test_attributes_at_all_levels(root):
    write(
        root,
        {
            **CRLF_FILES,
            ".gitattributes": "* text\n",
            "win/.gitattributes": "*.md -text\n[attr]ignored -text\n*.txt ignored\n",
            ".git/info/attributes": "mixed.txt -text\n",
        },
    )
    write(Path(os.environ["HOME"]), {".config/git/attributes": "*.bin text\n*.c -text\n"})
    assert_as_git(root)


@pytest.mark.parametrize("autocrlf", ["true", "input"])
def test_files_committed_with_crlf_stay_so(root, autocrlf):
    write(root, {"crlf.txt": "a\r\nb\r\n", "lf.txt": "a\nb\n", "crlf.bin": b"\0\r\n"})
    commit(root)
    git(root, "config", "core.autocrlf", autocrlf)
    write(root, {"crlf.txt": "a\r\nc\r\n", "lf.txt": "a\r\nc\r\n", "crlf.bin": "text\r\n"})
    assert_as_git(root)


def test_working_tree_encoding(root):
    write(
        root,
        {
            ".gitattributes": "*.u16 text working-tree-encoding=UTF-16\n"
            "*.le working-tree-encoding=UTF-16LE\n*.l1 working-tree-encoding=ISO-8859-1\n"
            "*.bom working-tree-encoding=UTF-16LE-BOM\n",
            "x.u16": "héllo\r\n".encode("utf-16"),
            "x.le": "héllo".encode("utf-16-le"),
            "x.l1": "héllo".encode("latin-1"),
            "x.bom": b"\xff\xfe" + "hé".encode("utf-16-le"),
        },
    )
    assert_as_git(root)
    write(root, {"bad.u16": "no byte order mark".encode("utf-16-le")})
    snapshot = Snapshotter(Repository.discover(str(root))).take()
    assert left_out(snapshot) == {"bad.u16": "working-tree-encoding:UTF-16"}


def test_lfs_files_are_recorded_as_pointers(root):
    pointer = (
        "version https://git-lfs.github.com/spec/v1\n"
        "oid sha256:dffd6021bb2bd5b0af676290809ec3a53191dd81c7f70a4b28688a362182986f\nsize 13\n"
    )
    write(root, {".gitattributes": "*.bin filter=lfs diff=lfs merge=lfs -text\n"})
    write(root, {"x.bin": pointer, "y.bin": pointer})
    commit(root)
    write(root, {"x.bin": "other", "new.bin": "Hello, World!", "empty.bin": ""})
    snapshot = Snapshotter(Repository.discover(str(root))).take()
    assert left_out(snapshot) == {
        "x.bin": "filter:lfs content",
        "new.bin": "filter:lfs content",
    }
    found = listing(root, snapshot.tree)
    assert git(root, "cat-file", "blob", f"{snapshot.tree}:new.bin") + "\n" == pointer
    assert found["y.bin"] == found["new.bin"]
    assert found["empty.bin"].split()[2] == "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"


def test_configured_filters_are_never_run(root, tmp_path):
    write(root, {".gitattributes": "*.enc filter=crypt\n*.free filter=unset\n", "x.enc": "old"})
    commit(root)
    git(root, "config", "filter.crypt.clean", f"touch {tmp_path}/ran; cat")
    write(root, {"x.enc": "plain secret", "new.enc": "plain", "y.free": "y"})
    snapshot = Snapshotter(Repository.discover(str(root))).take()
    assert left_out(snapshot) == {"x.enc": "filter:crypt", "new.enc": "filter:crypt"}
    assert git(root, "cat-file", "blob", f"{snapshot.tree}:x.enc") == "old"
    assert "new.enc" not in listing(root, snapshot.tree)
    assert "y.free" in listing(root, snapshot.tree)
    assert snapshot.dirty
    assert not (tmp_path / "ran").exists()


# ---------------------------------------------------------------- limits and secrets


def test_limits_on_untracked_files(root):
    write(root, {"large.bin": b"x" * 2000, "deep/er/1": "", "top.py": "", "deep/2": "", "u.py": ""})
    repo = Repository.discover(str(root))
    snapshot = Snapshotter(repo, max_untracked_bytes=1000, max_untracked_files=3).take()
    assert left_out(snapshot) == {"large.bin": "size", "deep/er/1": "count"}
    assert {"top.py", "u.py", "deep/2"} <= listing(root, snapshot.tree).keys()


def test_very_many_untracked_files_are_counted(root):
    (root / "heap").mkdir()
    for number in range(1105):
        (root / f"heap/{number}").touch()
    snapshot = Snapshotter(Repository.discover(str(root))).take()
    assert left_out(snapshot) == {"heap/": "count: 1005 files"}


def test_untracked_secrets_are_left_out(root):
    write(root, {".env": "A=1", "conf/notes.txt": f"token {TOKEN}\n", ".env.example": "A="})
    snapshot = Snapshotter(Repository.discover(str(root))).take()
    assert left_out(snapshot) == {
        ".env": "secret-name",
        "conf/notes.txt": "secret-content: GitHub token",
    }
    assert ".env.example" in listing(root, snapshot.tree)
    assert TOKEN.encode() not in all_objects(root)


def all_objects(root: Path) -> bytes:
    names = git(root, "cat-file", "--batch-all-objects", "--batch-check=%(objectname)")
    return b"".join(git(root, "cat-file", "-p", name).encode() for name in names.split())


def test_a_secret_typed_into_a_tracked_file(root):
    write(root, {"a.py": f"TOKEN = '{TOKEN}'\n"})
    snapshotter = Snapshotter(Repository.discover(str(root)))
    snapshot = snapshotter.take()
    assert left_out(snapshot) == {"a.py": "secret-content: GitHub token"}
    assert snapshot.tree == git(root, "rev-parse", "HEAD^{tree}")
    assert snapshot.dirty
    assert TOKEN.encode() not in all_objects(root)
    # What is committed already is no news.
    commit(root)
    write(root, {"a.py": f"TOKEN = '{TOKEN}'\nmore = 1\n"})
    assert left_out(assert_as_git(root, snapshotter)) == {}


# ---------------------------------------------------------------- changed_since


def test_changed_since(root):
    write(root, {"a.py": "at start\n", "new.py": "n\n", "late.py": "l\n"})
    snapshotter = Snapshotter(Repository.discover(str(root)))
    snapshot = snapshotter.take()
    assert snapshotter.changed_since(snapshot) == []
    os.utime(root / "d.txt")
    assert snapshotter.changed_since(snapshot) == []
    write(root, {"a.py": "at end!!\n", "src/b.py": "c\n", "unseen.py": ""})
    (root / "new.py").unlink()
    os.chmod(root / "late.py", 0o755)
    expected = ["a.py", "late.py", "new.py", "src/b.py"]
    assert snapshotter.changed_since(snapshot) == expected
    commit(root)
    assert snapshotter.changed_since(snapshot) == expected


def test_changed_since_writes_nothing(root):
    snapshotter = Snapshotter(Repository.discover(str(root)))
    snapshot = snapshotter.take()
    before = git(root, "count-objects")
    write(root, {"a.py": "a later content\n"})
    assert snapshotter.changed_since(snapshot) == ["a.py"]
    assert git(root, "count-objects") == before


# ---------------------------------------------------------------- random worktrees

NAMES = st.sampled_from(["a", "b", "x.py", "y.log", "d/a", "d/b.log", "d/e/f", "a/b", "ignored/z"])
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("write"), NAMES, st.sampled_from(["", "1\n", "2\n", "1\r\n"])),
        st.tuples(st.just("delete"), NAMES, st.just("")),
        st.tuples(st.just("rename"), NAMES, NAMES),
        st.tuples(st.just("chmod"), NAMES, st.just("")),
        st.tuples(st.just("link"), NAMES, NAMES),
        st.tuples(
            st.just("ignore"),
            st.sampled_from(["", "d/"]),
            st.sampled_from(["*.log\n", "ignored/\n", "/a\n", "d/*\n!d/a\n", "e\n"]),
        ),
        st.tuples(st.just("add"), NAMES, st.just("")),
        st.tuples(st.just("commit"), st.just(""), st.just("")),
        st.tuples(st.just("take"), st.just(""), st.just("")),
    ),
    min_size=1,
    max_size=14,
)


def apply(root: Path, step: tuple[str, str, str]) -> None:
    action, name, value = step
    path = root / name
    try:
        if action == "write":
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(value.encode())
        elif action == "delete":
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        elif action == "rename":
            path.rename(root / value)
        elif action == "chmod":
            path.chmod(path.stat().st_mode ^ 0o111)
        elif action == "link":
            path.symlink_to(value)
        elif action == "ignore" and path.is_dir():
            (path / ".gitignore").write_text(value)
        elif action == "add":
            git(root, "add", "--", name, check=False)
        elif action == "commit":
            commit(root)
    except OSError:
        pass  # a step that this worktree doesn't allow


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(steps=STEPS)
def test_random_worktrees(tmp_path_factory, steps):
    root = tmp_path_factory.mktemp("random")
    git(root, "init", "--quiet")
    snapshotter = Snapshotter(Repository.discover(str(root)))
    for step in steps:
        if step[0] == "take":
            assert_as_git(root, snapshotter)
        else:
            apply(root, step)
    assert_as_git(root, snapshotter)
    assert_as_git(root)
