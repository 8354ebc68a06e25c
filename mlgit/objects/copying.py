"""Bytes from one file to another, hashed on the way.

The digest is of the bytes that were written, whatever else happens to the source meanwhile.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
from collections.abc import Callable
from typing import Any

# Larger writes make ext4 look for larger free pages: at 1 MiB some take ten times as long.
CHUNK = 1 << 18
# From here on a second thread that hashes is worth its start.
_LARGE = 8 << 20
_AHEAD = 16
# What the kernel is asked to copy at once: between two such calls Ctrl-C is heard.
_PIECE = 64 << 20
# Smaller files are copied sooner than their blocks are shared, which waits for the disk to have
# them.
SHARED = 1 << 17
# ioctl_ficlone(2)
_FICLONE = 0x40049409

Tell = Callable[[int], None]


def copy_and_hash(source: int, target: int, expected: int = 0, tell: Tell | None = None) -> str:
    """Copy what is left of a file.

    Args:
        source: A descriptor that is open for reading.
        target: One that is open for writing.
        expected: About how many bytes there are.
        tell: Is told of bytes that are done.

    Returns:
        The SHA-256 of what was written, in hex.
    """
    if expected < _LARGE:
        digest = hashlib.sha256()
        buffer = memoryview(bytearray(min(CHUNK, max(expected + 1, 1 << 12))))
        done = 0
        while count := os.readv(source, [buffer]):
            digest.update(buffer[:count])
            write_all(target, buffer[:count])
            if tell is not None:
                tell(count)
            done += count
            if count < len(buffer) and 0 < expected <= done:
                break  # the end: most files are read by one call
        return digest.hexdigest()
    return _copy_large(source, target, tell)


def _copy_large(source: int, target: int | None, tell: Tell | None) -> str:
    """Hashing takes about as long as reading and writing: it gets a thread of its own."""
    import queue
    import threading

    digest = hashlib.sha256()
    free: queue.SimpleQueue[memoryview] = queue.SimpleQueue()
    full: queue.SimpleQueue[tuple[memoryview, int] | None] = queue.SimpleQueue()
    for _ in range(_AHEAD):
        free.put(memoryview(bytearray(CHUNK)))

    def hash_all() -> None:
        while (found := full.get()) is not None:
            buffer, count = found
            digest.update(buffer[:count])
            free.put(buffer)

    thread = threading.Thread(target=hash_all, name="mlgit-hash", daemon=True)
    thread.start()
    try:
        buffer = free.get()
        while count := os.readv(source, [buffer]):
            full.put((buffer, count))
            if target is not None:
                write_all(target, buffer[:count])
            if tell is not None:
                tell(count)
            buffer = free.get()
    finally:
        full.put(None)
        thread.join()
    return digest.hexdigest()


def copy_unread(source: int, target: int, size: int) -> None:
    """Copy a file whose bytes are known to be right: the kernel does it, without our reading.

    Args:
        source: A descriptor that is open for reading, at its beginning.
        target: One that is open for writing.
        size: How many bytes there are.

    Raises:
        OSError: It can't be copied, or is shorter than that.
    """
    left = size
    while left:
        count = _copy_some(source, target, min(left, _PIECE))
        if count == 0:
            raise OSError(errno.EIO, "The file is shorter than it was")
        left -= count


def _copy_some(source: int, target: int, count: int) -> int:
    if hasattr(os, "copy_file_range"):
        try:
            return os.copy_file_range(source, target, count)
        except OSError as error:
            if error.errno not in (errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP):
                raise
    data = os.read(source, min(count, CHUNK))
    write_all(target, data)
    return len(data)


def digest_of(path: str, tell: Tell | None = None) -> str:
    """The SHA-256 of a file, in hex."""
    fd = os.open(path, os.O_RDONLY)
    try:
        return digest_of_open(fd, tell)
    finally:
        os.close(fd)


def digest_of_open(fd: int, tell: Tell | None = None) -> str:
    """The SHA-256 of what is left of an open file, in hex."""
    digest = hashlib.sha256()
    size = os.fstat(fd).st_size
    if size >= _LARGE:
        return _copy_large(fd, None, tell)
    buffer = memoryview(bytearray(min(CHUNK, max(size + 1, 1 << 12))))
    done = 0
    while count := os.readv(fd, [buffer]):
        digest.update(buffer[:count])
        if tell is not None:
            tell(count)
        done += count
        if count < len(buffer) and done >= size:
            break
    return digest.hexdigest()


def read_at(fd: int, start: int, length: int, digest: Any) -> bytes:
    """Bytes of a file from a place on, added to a digest."""
    parts = []
    while length and (data := os.pread(fd, length, start)):
        digest.update(data)
        parts.append(data)
        start += len(data)
        length -= len(data)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def hash_and_write(digest: Any, fd: int, data: bytes) -> None:
    """Write bytes, and add them to a digest."""
    digest.update(data)
    write_all(fd, data)


def write_all(fd: int, data: bytes | memoryview) -> None:
    """Write bytes, however many calls that takes."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def clone(source: int, target: int) -> bool:
    """Make a file share another's blocks until one is written; False where that can't be."""
    try:
        fcntl.ioctl(target, _FICLONE, source)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EIO):
            raise
        return False
    return True
