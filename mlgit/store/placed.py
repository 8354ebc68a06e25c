"""Which remotes for objects were given all that this clone's pushed refs name, at least once.

What a Git remote's refs name is taken to be where the objects are. That doesn't hold of a place
that is new to this clone, nor after refs were pushed without their artifacts: then a push looks at
everything. A file in the state folder says of which places it holds; it is a memory, never a truth.
"""

from __future__ import annotations

import hashlib
import os

from mlgit.exceptions import from_os_error
from mlgit.git import Repository


def is_new(repo: Repository, url: str) -> bool:
    """Whether a remote wasn't looked at as a whole before."""
    return _mark(url) not in _read(repo)


def note(repo: Repository, url: str) -> None:
    """Write down that a remote has all that pushed refs name and this clone has.

    Raises:
        StorageError, PermissionDenied: It can't be written.
    """
    _write(repo, sorted({*_read(repo), _mark(url)}))


def forget(repo: Repository) -> None:
    """Write down that it holds of no remote any more.

    Raises:
        StorageError, PermissionDenied: It can't be written.
    """
    if _read(repo):
        _write(repo, [])


def _mark(url: str) -> str:
    """What a remote is called in the file: its URL may hold credentials."""
    return hashlib.sha256(url.encode("utf-8", "surrogateescape")).hexdigest()


def _path(repo: Repository) -> str:
    return f"{repo.state_dir}/placed"


def _read(repo: Repository) -> list[str]:
    try:
        with open(_path(repo), encoding="ascii", errors="replace") as f:
            return f.read().split()
    except OSError:
        return []


def _write(repo: Repository, marks: list[str]) -> None:
    temporary = f"{_path(repo)}.{os.getpid()}.tmp"
    try:
        os.makedirs(repo.state_dir, exist_ok=True)
        with open(temporary, "w", encoding="ascii") as f:
            f.writelines(f"{mark}\n" for mark in marks)
        os.replace(temporary, _path(repo))
    except OSError as error:
        raise from_os_error(error, "note what was pushed") from error
