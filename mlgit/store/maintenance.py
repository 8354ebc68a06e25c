"""Keeping the repository small and fast, unasked: packs of objects and refs.

``after_commit`` looks, after a run has ended, at one folder of Git's objects and at how many
packs there are. The small packs of a few runs are joined at once, which takes milliseconds;
for anything more a process is started that nobody waits for. Two don't run at once.
"""

from __future__ import annotations

import fcntl
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from mlgit import settings
from mlgit.exceptions import MlgitException
from mlgit.git import Repository
from mlgit.git.files import unlock_and_close
from mlgit.git.packing import join_large, join_small, many_joined, many_small, pack_loose

# Git's own limit of loose objects for "gc --auto" (git-scm.com/docs/git-config, gc.auto).
LOOSE_OBJECTS = 6700
# Bytes that are joined while somebody waits: milliseconds.
_AT_ONCE = 4 << 20
# Seconds until another process is started, should the one before have come to nothing.
_PATIENCE = 5.0

# The program may have come by mlgit through its working directory: say where it is.
_SEARCH_PATH = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
_PROGRAM = (
    "import sys; sys.path.insert(0, sys.argv[1]); from mlgit.store import maintenance; "
    "maintenance.main(sys.argv[2])"
)


def after_commit(repo: Repository) -> bool:
    """Pack what has piled up: a little at once, more in the background.

    Returns:
        Whether a process was started.
    """
    if not settings.auto_maintenance():
        return False
    if many_small(repo.state_dir):
        _join_small(repo)
    crowded = repo.objects.loose_estimate() >= LOOSE_OBJECTS or many_joined(repo.state_dir)
    return crowded and not _is_started(repo) and _start(repo)


def _join_small(repo: Repository) -> None:
    try:
        with _held(repo) as held:
            if held:
                join_small(repo.objects, repo.state_dir)
                join_large(repo.objects, repo.state_dir, _AT_ONCE)
    except (MlgitException, OSError):
        pass  # the run is committed; a full disk is told by what needs it


def _start(repo: Repository) -> bool:
    import subprocess

    if not sys.executable:
        return False
    subprocess.Popen(
        [sys.executable, "-c", _PROGRAM, _SEARCH_PATH, repo.git_dir],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        cwd="/",
    )
    return True


def run(repo: Repository) -> dict[str, int]:
    """Pack loose objects, join packs, and pack the refs of runs, now.

    Returns:
        How many of each; empty where another process is at it.

    Raises:
        StorageError, PermissionDenied: It can't be written. Nothing is lost by that.
    """
    with _held(repo) as held:
        if not held:
            return {}
        return {
            "objects": pack_loose(repo.objects, repo.state_dir),
            "packs": join_small(repo.objects, repo.state_dir)
            + join_large(repo.objects, repo.state_dir),
            "refs": repo.refs.pack("refs/mlgit/"),
        }


@contextmanager
def _held(repo: Repository) -> Iterator[bool]:
    os.makedirs(repo.state_dir, exist_ok=True)
    fd = os.open(f"{repo.state_dir}/maintenance.lock", os.O_RDWR | os.O_CREAT, 0o666)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield False
            return
        yield True
    finally:
        unlock_and_close(fd)


def _is_started(repo: Repository) -> bool:
    """Whether a process was started a moment ago; if not, note that one is now."""
    mark = f"{repo.state_dir}/maintenance.started"
    try:
        if time.time() - os.stat(mark).st_mtime < _PATIENCE:
            return True
    except OSError:
        pass
    try:
        os.close(os.open(mark, os.O_WRONLY | os.O_CREAT, 0o666))
        os.utime(mark)
    except OSError:
        return True
    return False


def main(git_dir: str) -> None:
    """What the process in the background does."""
    repo = Repository.open(git_dir)
    # Runs go on ending meanwhile, and nobody else starts for a while.
    for _ in range(100):
        if not run(repo) or not many_joined(repo.state_dir):
            break
