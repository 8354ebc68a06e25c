"""Which remotes for objects were given all that this clone's pushed refs name, at least once.

What a Git remote's refs name is taken to be where the objects are. That doesn't hold of a place
that is new to this clone, nor after refs were pushed without their artifacts: then a push looks at
everything. A file in the state folder says of which places it holds; it is a memory, never a truth.
"""

from __future__ import annotations

import hashlib
import os

from mlgit.exceptions import MlgitException, from_os_error
from mlgit.git import Repository
from mlgit.store.remotes import remote_objects


def is_new(repo: Repository, name: str | None) -> bool:
    """Whether there is a remote, the default one where None, that wasn't looked at as a whole."""
    mark = _mark(repo, name)
    return mark is not None and mark not in _read(repo)


def note(repo: Repository, name: str | None) -> None:
    """Write down that a remote has all that pushed refs name and this clone has.

    Raises:
        StorageError, PermissionDenied: It can't be written.
    """
    mark = _mark(repo, name)
    if mark is not None:
        _write(repo, sorted({*_read(repo), mark}))


def forget(repo: Repository) -> None:
    """Write down that it holds of no remote any more.

    Raises:
        StorageError, PermissionDenied: It can't be written.
    """
    if _read(repo):
        _write(repo, [])


def _mark(repo: Repository, name: str | None) -> str | None:
    """What a remote is called in the file: its URL may hold credentials."""
    try:
        url = remote_objects(repo, name).url
    except MlgitException:
        return None
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
        with open(temporary, "w", encoding="ascii") as f:
            f.writelines(f"{mark}\n" for mark in marks)
        os.replace(temporary, _path(repo))
    except OSError as error:
        raise from_os_error(error, "note what was pushed") from error
