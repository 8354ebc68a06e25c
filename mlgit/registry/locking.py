"""One writer of the registry at a time (docs/format.md, "The registry")."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager

from mlgit.exceptions import from_os_error
from mlgit.git import Repository
from mlgit.git.files import open_in_folder, unlock_and_close


@contextmanager
def only_writer(repo: Repository) -> Iterator[None]:
    """Be the only process of this clone that writes tags and texts of the registry.

    Raises:
        PermissionDenied, StorageError: The lock can't be made.
    """
    try:
        fd = open_in_folder(f"{repo.state_dir}/registry.lock", os.O_RDWR | os.O_CREAT)
    except OSError as error:
        raise from_os_error(error, "lock the registry") from error
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        unlock_and_close(fd)
