"""What is known of folders from their files' stats: the digests of the last time.

One row a folder, in an SQLite file that may be removed at any time. A folder whose files are
all as they were is recognised by comparing one string of bytes; in one that changed, each file
that is as it was keeps its digest.
"""

from __future__ import annotations

import os
import sqlite3
from array import array
from collections.abc import Iterator
from typing import NamedTuple

from mlgit.objects.manifest import Entry

VERSION = 1
# Where file times are finer than a millisecond, a later write shows after a tick of the
# kernel's clock; elsewhere (FAT, HFS+, some NFS) up to two seconds later.
TICK_NS = 100_000_000
_COARSE_NS = 2_000_000_000
_NEVER = -1

# name, kind, inode, size, mtime_ns, ctime_ns
Stat = tuple[bytes, str, int, int, int, int]


class Row(NamedTuple):
    """What is remembered of one folder, or of one file by itself.

    Attributes:
        stamp: Names, kinds and stats of its files, as one string of bytes.
        shas: 32 bytes for each of these files.
        below: What its subfolders were.
        entry: What the folder was.
    """

    stamp: bytes
    shas: bytes
    below: bytes
    entry: Entry


def stamp(files: list[Stat]) -> bytes:
    """The stats of files, in order, as one string of bytes."""
    numbers = array("q", [number for file in files for number in file[2:]])
    names = b"\0".join([file[0] for file in files])
    kinds = "".join([file[1] for file in files]).encode()
    return b"%d %d\n%b%b%b" % (len(files), len(names), kinds, names, numbers.tobytes())


def known(row: Row) -> Iterator[tuple[Stat, bytes]]:
    """Each file of a row: its stat and its digest."""
    head, _, rest = row.stamp.partition(b"\n")
    count, length = (int(number) for number in head.split())
    if not count:
        return
    kinds = rest[:count].decode()
    names = rest[count : count + length].split(b"\0")
    numbers = array("q")
    numbers.frombytes(rest[count + length :])
    for at, name in enumerate(names):
        ino, size, mtime, ctime = numbers[4 * at : 4 * at + 4]
        yield (name, kinds[at], ino, size, mtime, ctime), row.shas[32 * at : 32 * at + 32]


def settled(file: Stat, looked_ns: int) -> Stat:
    """A file's stat as it may be remembered.

    A file that was written just before it was looked at may be written again without its stat
    telling; it is remembered with a time that none has.
    """
    mtime, ctime = file[4], file[5]
    tick = TICK_NS if mtime % 1_000_000 else _COARSE_NS
    return (*file[:4], _NEVER, ctime) if mtime > looked_ns - tick else file


class FolderMemory:
    """The rows of one file; what can't be read or written is as if never known.

    Args:
        path: The SQLite file; None remembers nothing.
    """

    def __init__(self, path: str | None) -> None:
        self._path = path
        self._db: sqlite3.Connection | None = None

    def get(self, place: tuple[int, int]) -> Row | None:
        """What is remembered of the folder of a device and inode."""
        try:
            db = self._open()
            found = (
                db
                and db.execute(
                    "SELECT stamp, shas, below, kind, sha256, size, files FROM folders"
                    " WHERE device = ? AND inode = ?",
                    _key(place),
                ).fetchone()
            )
        except (sqlite3.Error, OSError):
            self._forget()
            return None
        if not found:
            return None
        marks, shas, below, kind, sha, size, files = found
        return Row(marks, shas, below, Entry(kind, sha, size, files))

    def put(self, place: tuple[int, int], row: Row) -> None:
        """Remember a folder; it is on the disk after ``save``."""
        values = (*_key(place), row.stamp, row.shas, row.below, *row.entry)
        try:
            if db := self._open():
                db.execute("INSERT OR REPLACE INTO folders VALUES (?,?,?,?,?,?,?,?,?)", values)
        except (sqlite3.Error, OSError):
            self._forget()

    def save(self) -> None:
        """Write what was put."""
        try:
            if self._db is not None:
                self._db.commit()
        except sqlite3.Error:
            self._forget()

    def close(self) -> None:
        """Write what was put, and close the file."""
        self.save()
        if self._db is not None:
            self._db.close()
            self._db = None

    def _open(self) -> sqlite3.Connection | None:
        if self._db is None and self._path is not None:
            os.makedirs(os.path.dirname(self._path), exist_ok=True)
            db = sqlite3.connect(self._path, timeout=5, check_same_thread=False)
            try:
                self._prepare(db)
            except sqlite3.DatabaseError as error:
                db.close()
                if isinstance(error, sqlite3.OperationalError):
                    raise  # locked, read-only, full
                os.unlink(self._path)
                db = sqlite3.connect(self._path, timeout=5, check_same_thread=False)
                self._prepare(db)
            self._db = db
        return self._db

    @staticmethod
    def _prepare(db: sqlite3.Connection) -> None:
        db.execute("PRAGMA synchronous = OFF")
        if db.execute("PRAGMA user_version").fetchone()[0] != VERSION:
            db.execute("DROP TABLE IF EXISTS folders")
            db.execute(
                "CREATE TABLE folders (device INTEGER, inode INTEGER, stamp BLOB, shas BLOB,"
                " below BLOB, kind TEXT, sha256 TEXT, size INTEGER, files INTEGER,"
                " PRIMARY KEY (device, inode)) WITHOUT ROWID"
            )
            db.execute(f"PRAGMA user_version = {VERSION}")

    def _forget(self) -> None:
        """Go on without: the file is locked, damaged, or can't be written."""
        self._path = None
        if self._db is not None:
            self._db.close()
            self._db = None


def signed(number: int) -> int:
    """An inode number as SQLite and arrays can hold it."""
    return number - (1 << 64) if number >= 1 << 63 else number


def _key(place: tuple[int, int]) -> tuple[int, int]:
    return signed(place[0]), signed(place[1])
