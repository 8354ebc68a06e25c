"""What was just placed is remembered, so that it isn't read again to be known."""

from __future__ import annotations

import os
import time

from mlgit.objects import Entry
from mlgit.objects.memory import FolderMemory, Row, Stat, settled, stamp
from mlgit.objects.scan import below, stat_of


def know_file(memory: FolderMemory, place: str, want: Entry, made: os.stat_result) -> None:
    """Remember a file as it was placed.

    Args:
        memory: What remembers it.
        place: Where it is.
        want: Its entry.
        made: Its stat from before anybody else could see it.
    """
    looked = time.time_ns()
    found = os.lstat(place)
    if _same_file(made, found):
        file = _vouched(stat_of(b"", found), looked)
        row = Row(stamp([file]), bytes.fromhex(want.sha256), b"", want)
        memory.put((found.st_dev, found.st_ino), row)


def know_folder(
    memory: FolderMemory,
    folder: str,
    want: Entry,
    entries: dict[str, Entry],
    made: dict[str, os.stat_result],
) -> None:
    """Remember a folder as it was placed.

    Args:
        memory: What remembers it.
        folder: Where it is.
        want: Its entry.
        entries: What is in it.
        made: The stats of its files, from before anybody else could see them.
    """
    place = os.fsencode(folder)
    looked = time.time_ns()
    files, shas = [], []
    for name in sorted(made, key=os.fsencode):
        raw = os.fsencode(name)
        try:
            found = os.lstat(place + b"/" + raw)
        except OSError:
            return
        if _same_file(made[name], found):
            files.append(_vouched(stat_of(raw, found), looked))
            shas.append(bytes.fromhex(entries[name].sha256))
    folders = {name: entry for name, entry in entries.items() if entry.kind == "d"}
    own = os.lstat(place)
    row = Row(stamp(files), b"".join(shas), below(folders), want)
    memory.put((own.st_dev, own.st_ino), row)


def _vouched(file: Stat, looked: int) -> Stat:
    """The stat of a file that is as it was placed, as it may be remembered.

    It was given a time that no write gives it. Where the file system cut that, or it is a hard
    link, with the object's time, it is to be ``settled`` as any file.
    """
    return file if file[5] and file[4] % 1_000_000 else settled(file, looked)


def _same_file(one: os.stat_result, other: os.stat_result) -> bool:
    return (one.st_ino, one.st_size, one.st_mtime_ns) == (
        other.st_ino,
        other.st_size,
        other.st_mtime_ns,
    )
