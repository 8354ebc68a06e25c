"""Keeping the repository small and fast, unasked: packs of objects and refs.

``maybe_start`` looks at one folder of Git's objects after a run has ended, and where they
have piled up starts a process that packs them. Nobody waits for it, and two don't run at
once.
"""

from __future__ import annotations

import fcntl
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from mlgit import settings
from mlgit.git import Repository
from mlgit.git.packing import join_packs, pack_loose

# Git's own limit of loose objects for "gc --auto" (git-scm.com/docs/git-config, gc.auto).
LOOSE_OBJECTS = 6700

# The program may have come by mlgit through its working directory: say where it is.
_SEARCH_PATH = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
_PROGRAM = (
    "import sys; sys.path.insert(0, sys.argv[1]); from mlgit.store import maintenance; "
    "maintenance.main(sys.argv[2])"
)


def maybe_start(repo: Repository) -> bool:
    """Start packing in the background where loose objects have piled up.

    Returns:
        Whether a process was started.
    """
    if repo.objects.loose_estimate() < LOOSE_OBJECTS or not settings.auto_maintenance():
        return False
    if _is_held(repo):
        return False
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
            "packs": join_packs(repo.objects, repo.state_dir),
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
        os.close(fd)


def _is_held(repo: Repository) -> bool:
    try:
        with _held(repo) as held:
            return not held
    except OSError:
        return True


def main(git_dir: str) -> None:
    """What the process in the background does."""
    run(Repository.open(git_dir))
