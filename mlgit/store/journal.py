"""The journal: what a going run logs, appended and never rewritten (docs/format.md).

A call that returned has its bytes in the file: nothing is buffered in the process, so
``kill -9`` at any moment loses nothing. No lock is taken to log: each process has its own
file, and one ``write`` of an O_APPEND file is atomic between threads.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import threading
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from mlgit.exceptions import Unsupported, from_os_error
from mlgit.git.files import open_in_folder, unlock_and_close

FORMAT = 1
HEARTBEAT = 30.0
STALE = 90.0
SUFFIX = ".jnl"

_SPECIAL = {"nan": '"NaN"', "inf": '"Infinity"', "-inf": '"-Infinity"'}
_dumps = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
_crc32 = zlib.crc32


@lru_cache(maxsize=4096)
def _metric_head(key: str) -> str:
    return f'["m",{_dumps(key)},'


def metric_line(key: str, value: float, timestamp: int, step: int) -> bytes:
    """The line for one point of a metric. The fastest path of all: no general encoder."""
    shown = repr(value)
    if shown[-1] in "nf":
        shown = _SPECIAL[shown]
    payload = f"{_metric_head(key)}{shown},{timestamp},{step}]".encode()
    return b"%08x %s\n" % (_crc32(payload), payload)


def line(*record: Any) -> bytes:
    """The line for any record; see the table in docs/format.md."""
    payload = _dumps(record).encode("utf-8", "surrogatepass")
    return b"%08x %s\n" % (_crc32(payload), payload)


def parse(data: bytes, start: int = 0) -> Iterator[tuple[list[Any] | None, int]]:
    """The records of a journal, and the offset behind each.

    Args:
        data: A journal, or its tail from a line's start.
        start: Where to begin: the start of a line.

    Yields:
        (record, offset); the record is None for a line that is torn or damaged. A last
        line without its newline isn't yielded: it may still be being written.
    """
    at = start
    while (end := data.find(b"\n", at)) >= 0:
        raw = data[at:end]
        at = end + 1
        yield (_parse_line(raw) if raw else None), at


def _parse_line(raw: bytes) -> list[Any] | None:
    payload = raw[9:]
    try:
        if int(raw[:8], 16) != _crc32(payload) or raw[8:9] != b" ":
            return None
        record = json.loads(payload)
    except ValueError:
        return None
    return record if isinstance(record, list) and record else None


def number(value: Any) -> float:
    """A metric's value as the journal holds it."""
    return float(value)


@lru_cache(maxsize=1)
def boot_id() -> str:
    """Changes when the machine starts anew; "" where that isn't known."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as f:
            pid_namespace = os.readlink("/proc/self/ns/pid")
            return f"{f.read().strip()} {pid_namespace}"
    except OSError:
        return ""


class WriterClosed(Exception):
    """Another thread closed the writer; what was to be appended is nowhere."""


class Writer:
    """This process's journal of one run.

    Args:
        folder: The run's journal folder; made if it isn't there.
        run_id: The run.
        owner: Whether this process answers for the run's end.

    Raises:
        PermissionDenied, StorageError: The file can't be made.
    """

    def __init__(self, folder: str, run_id: str, *, owner: bool) -> None:
        self.folder = folder
        self.run_id = run_id
        self.owner = owner
        self.host = os.uname().nodename
        self.name = f"{self.host}-{os.getpid()}-{os.urandom(4).hex()}{SUFFIX}"
        self.path = f"{folder}/{self.name}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND
        # Closing waits for a write that another thread has begun: what that adds after the
        # commit has read the file would be lost. Reentrant, for signal handlers that log.
        self._lock = threading.RLock()
        self._closed = True
        try:
            self._fd = open_in_folder(self.path, flags)
        except OSError as error:
            raise from_os_error(error, "start the run's journal") from error
        self._closed = False
        self._torn = False
        try:
            # Not LOCK_NB: a reader that asks whether we are alive may hold it for a moment.
            fcntl.flock(self._fd, fcntl.LOCK_EX)
        except OSError:
            pass  # a file system without locks: the heartbeat alone tells
        self._head = self._opening()

    def _opening(self) -> bytes:
        now = time.time_ns()
        return line(
            "open",
            {
                "format": FORMAT,
                "run_id": self.run_id,
                "host": self.host,
                "pid": os.getpid(),
                "boot": boot_id(),
                "owner": self.owner,
                "time": now // 1_000_000,
                "ns": now,
            },
        )

    def append(self, data: bytes) -> None:
        """Add whole lines. When this returns, they outlive the process.

        Raises:
            StorageError: The disk is full; nothing of ``data`` counts, and what was
                written before is safe.
            WriterClosed: Another thread closed it.
        """
        with self._lock:
            self._append(data)

    def _append(self, data: bytes) -> None:
        if self._head:
            data = self._head + data
        if self._torn:
            data = b"\n" + data
        if self._closed:
            raise WriterClosed
        try:
            written = os.write(self._fd, data)
        except OSError as error:
            raise from_os_error(error, "write the run's journal") from error
        if written == len(data):
            self._torn = False
            self._head = b""
            return
        self._undo(written)
        raise from_os_error(
            OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), self.path), "write the run's journal"
        )

    def _undo(self, written: int) -> None:
        # A short write leaves whole lines of a batch that is about to be refused: cut
        # them off. If that fails too, the torn end is made a line of its own next time.
        self._torn = True
        try:
            os.ftruncate(self._fd, os.fstat(self._fd).st_size - written)
            self._torn = False
        except OSError:
            pass

    def touch(self) -> None:
        """The heartbeat: tell other hosts that this process is alive."""
        with self._lock:
            try:
                if not self._closed:
                    os.utime(self._fd)
            except OSError:
                pass

    def close(self, last: bytes = b"") -> None:
        """Release the file. Its lines stay until they are committed.

        Args:
            last: Lines to add before. Nothing follows them: once a line says that the
                writer has ended, another process may commit the file and remove it.

        Raises:
            StorageError: They can't be written; the file stays open.
        """
        with self._lock:
            if last:
                self._append(last)
            self._closed = True
            try:
                if self._head:
                    os.unlink(self.path)
                unlock_and_close(self._fd)
            except OSError:
                pass
            self._fd = -1

    def __del__(self) -> None:
        fd = self.__dict__.pop("_fd", -1)
        if fd >= 0:
            try:
                os.close(fd)
            except OSError:
                pass

    def abandon(self) -> None:
        """Close without a trace of it: for a forked child, whose parent goes on with the file."""
        self._closed = True
        self.__del__()
        self._fd = -1


@dataclass
class Journal:
    """One writer's file as it was read.

    Attributes:
        records: Its records from the consumed offset on.
        size: The offset behind the last whole line.
        damaged: How many lines didn't parse.
        alive: Whether its writer still is.
        ended: (status, ms) if the writer ended its part.
    """

    name: str
    opening: dict[str, Any] = field(default_factory=dict)
    records: list[list[Any]] = field(default_factory=list)
    size: int = 0
    damaged: int = 0
    alive: bool = False
    ended: tuple[str, int] | None = None
    modified: int = 0

    @property
    def order(self) -> tuple[int, str]:
        """Sorts the journals of a run by when they were begun."""
        opening = self.opening
        return int(opening.get("ns") or int(opening.get("time") or 0) * 1_000_000), self.name

    @property
    def owner(self) -> bool:
        """Whether the writer answers for the run's end."""
        return bool(self.opening.get("owner"))


def names(folder: str) -> list[str]:
    """The journals in a run's folder; empty where there is none."""
    try:
        with os.scandir(folder) as found:
            return sorted(e.name for e in found if e.name.endswith(SUFFIX) and e.is_file())
    except OSError:
        return []


def read(folder: str, name: str, consumed: int = 0) -> Journal:
    """Read one journal.

    Args:
        folder: The run's journal folder.
        name: The file's name in it.
        consumed: Offset from which its records are new.

    Raises:
        Unsupported: It was written by a newer mlgit.
    """
    journal = Journal(name)
    path = f"{folder}/{name}"
    try:
        with open(path, "rb") as f:
            # Alive is asked before reading: a writer that ends between the two has
            # then written all that is read.
            modified = os.fstat(f.fileno()).st_mtime_ns
            journal.modified = modified // 1_000_000
            locked = _is_locked(f.fileno())
            data = f.read()
    except FileNotFoundError:
        return journal
    except OSError as error:
        raise from_os_error(error, "read a run's journal") from error
    # The first line says whose it is; between it and what is new nothing is parsed again.
    opening_end = data.find(b"\n") + 1
    head = _parse_line(data[: opening_end - 1]) if 1 < opening_end <= consumed else None
    start = 0
    if head is not None and head[0] == "open":
        _check_opening(head[1], path)
        journal.opening = head[1]
        journal.size = start = consumed
    for record, offset in parse(data, start):
        journal.size = offset
        if record is None:
            journal.damaged += data[offset - 2 : offset] != b"\n\n" and offset > 1
            continue
        if record[0] == "open":
            _check_opening(record[1], path)
            journal.opening = record[1]
        elif record[0] == "end":
            journal.ended = (record[1], record[2])
        elif offset > consumed:
            journal.records.append(record)
    if journal.size < len(data):
        journal.damaged += 1
    journal.alive = journal.ended is None and _is_alive(journal, locked)
    return journal


def is_written(folder: str, name: str) -> bool:
    """Whether a journal's writer is alive, told without reading more than its first line."""
    found = Journal(name)
    try:
        with open(f"{folder}/{name}", "rb") as f:
            found.modified = os.fstat(f.fileno()).st_mtime_ns // 1_000_000
            locked = _is_locked(f.fileno())
            head = _parse_line(f.readline(1 << 16).rstrip(b"\n"))
    except OSError:
        return False
    if head is not None and head[0] == "open" and isinstance(head[1], dict):
        found.opening = head[1]
    return _is_alive(found, locked)


def _check_opening(opening: dict[str, Any], path: str) -> None:
    if opening.get("format", FORMAT) > FORMAT:
        raise Unsupported(
            f"The journal {path} has format {opening['format']}; this mlgit reads {FORMAT}",
            hint="upgrade: pip install --upgrade mlgit",
        )


def _is_locked(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    fcntl.flock(fd, fcntl.LOCK_UN)
    return False


def _is_alive(journal: Journal, locked: bool) -> bool:
    opening = journal.opening
    here = opening.get("host") == os.uname().nodename and opening.get("boot") == boot_id()
    if here and not _process_exists(opening.get("pid", 0)):
        return False
    if locked or here:
        return locked
    return time.time() * 1000 - journal.modified < STALE * 1000


def _process_exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True
