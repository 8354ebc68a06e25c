"""Submodules and other repositories inside the worktree, looked at from outside."""

from __future__ import annotations

import hashlib
import os
import re
import stat

from mlgit.exceptions import MlgitException
from mlgit.git.worktree_index import ASSUME_VALID, GITLINK, SKIP_WORKTREE, TrackedDir, read_index

_SHA = re.compile(r"[0-9a-f]{40}")


def git_dir_of(path: bytes) -> str | None:
    """The git directory of the repository whose worktree is at ``path``, or None."""
    dot_git = os.fsdecode(path) + "/.git"
    try:
        mode = os.stat(dot_git).st_mode
        if stat.S_ISREG(mode):
            with open(dot_git, encoding="utf-8", errors="surrogateescape") as file:
                text = file.read(4096)
            if not text.startswith("gitdir: "):
                return None
            dot_git = os.path.join(os.fsdecode(path), text[8:].rstrip("\r\n"))
        os.lstat(dot_git + "/HEAD")
    except OSError:
        return None
    has_objects = os.path.isdir(dot_git + "/objects") or os.path.exists(dot_git + "/commondir")
    return dot_git if has_objects else None


def head_commit(git_dir: str) -> str | None:
    """The commit that a git directory's HEAD stands for, or None where it can't be told."""
    target = _read(git_dir + "/HEAD")
    common = os.path.join(git_dir, _read(git_dir + "/commondir") or ".")
    for _ in range(5):
        if target is None or _SHA.fullmatch(target):
            return target
        if not target.startswith("ref: "):
            return None
        name = target[5:]
        target = _read(f"{git_dir}/{name}") or _read(f"{common}/{name}") or _packed(common, name)
    return None


def is_dirty(worktree: bytes, git_dir: str) -> bool:
    """Whether a submodule's tracked files differ from its own HEAD.

    Untracked files are not looked for. A file counts as changed when its stat and its bytes
    both differ from the index, so converted line ends may count as a change.

    Args:
        worktree: Where its files are.
        git_dir: Its git directory.
    """
    try:
        index = read_index(git_dir + "/index", worktree)
    except (MlgitException, OSError):
        return True
    return _changed_below(index.root, index.mtime) or _staged(git_dir, index.root)


def _changed_below(directory: TrackedDir, index_mtime: tuple[int, int]) -> bool:
    for entry, abspath in directory.entries:
        if entry.flags & (ASSUME_VALID | SKIP_WORKTREE) or entry.mode == GITLINK:
            continue
        try:
            found = os.lstat(abspath)
        except OSError:
            return True
        mtime = divmod(found.st_mtime_ns, 1_000_000_000)
        if mtime == entry.mtime and found.st_size == entry.size and mtime < index_mtime:
            continue
        if found.st_size != entry.size or _blob(abspath, found.st_mode) != entry.sha:
            return True
    return any(_changed_below(below, index_mtime) for below in directory.subdirs.values())


def _staged(git_dir: str, root: TrackedDir) -> bool:
    """Whether the index holds another tree than HEAD."""
    from mlgit.git.objects import ObjectStore
    from mlgit.git.tree_writer import index_tree

    commit = head_commit(git_dir)
    if commit is None:
        return True
    common = os.path.join(git_dir, _read(git_dir + "/commondir") or ".")
    store = ObjectStore(os.path.join(common, "objects"))
    try:
        tree = store.read(commit)[1][5:45].decode()
    except MlgitException:
        return True
    finally:
        store.close()
    staged = index_tree(root)
    return tree != (staged.hex() if staged else "4b825dc642cb6eb9a060e54bf8d69288fbee4904")


def _blob(abspath: bytes, mode: int) -> bytes | None:
    try:
        if stat.S_ISLNK(mode):
            data = os.readlink(abspath)
        elif stat.S_ISREG(mode):
            with open(abspath, "rb") as file:
                data = file.read()
        else:
            return None
    except OSError:
        return None
    return hashlib.sha1(b"blob %d\0" % len(data) + data).digest()


def _read(path: str) -> str | None:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read().rstrip("\r\n")
    except OSError:
        return None


def _packed(common: str, name: str) -> str | None:
    for line in (_read(common + "/packed-refs") or "").splitlines():
        sha, _, found = line.partition(" ")
        if found == name:
            return sha
    return None
