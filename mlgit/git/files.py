"""Opening files in folders that come and go."""

from __future__ import annotations

import fcntl
import os

_ATTEMPTS = 50


def open_in_folder(path: str, flags: int, mode: int = 0o666) -> int:
    """Open a file for writing, and make its folder where there is none.

    Git removes folders of refs and objects that it emptied, and a committer those of journals,
    at any moment: also while they, or folders above them, are being made.

    Raises:
        OSError: As ``os.open``.
    """
    for _ in range(_ATTEMPTS):
        try:
            return os.open(path, flags, mode)
        except FileNotFoundError:
            try:
                os.makedirs(os.path.dirname(path), exist_ok=True)
            except (FileNotFoundError, FileExistsError):
                continue
    return os.open(path, flags, mode)


def unlock_and_close(fd: int) -> None:
    """Release a ``flock``. Closing alone doesn't where a child was forked meanwhile."""
    try:
        fcntl.flock(fd, fcntl.LOCK_UN)
    except OSError:
        pass  # a file system without locks
    os.close(fd)
