"""The ``packed-refs`` file as bytes: look up, list and change without parsing it whole.

The functions take the file's bytes or a map of it. "Sorted" is what Git writes in its first
line; a file without that is searched from end to end.
Source: git-scm.com/docs/git-pack-refs.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Collection, Iterator


def is_sorted(data: mmap.mmap | bytes) -> bool:
    """Whether its first line says that the entries are in order."""
    return data[:1] == b"#" and b" sorted" in data[: data.find(b"\n") + 1]


def packed_lines(data: mmap.mmap | bytes, start: int = 0) -> Iterator[tuple[str, str]]:
    """The (name, commit) pairs of ``packed-refs`` from an offset on; peeled lines are skipped."""
    while start < len(data):
        end = data.find(b"\n", start)
        end = len(data) if end < 0 else end
        if data[start] not in b"#^\n" and end - start > 41:
            yield (
                os.fsdecode(data[start + 41 : end]),
                data[start : start + 40].decode("ascii"),
            )
        start = end + 1


def entries_below(data: mmap.mmap | bytes, prefix: str) -> dict[str, str]:
    """The refs that begin with ``prefix``, and their commits."""
    if not is_sorted(data):
        return {name: sha for name, sha in packed_lines(data) if name.startswith(prefix)}
    # In one go, not line by line: there may be many.
    lines = os.fsdecode(section(data, prefix)).split("\n")
    return {line[41:]: line[:40] for line in lines if line[41:] and line[0] not in "#^"}


def section(data: mmap.mmap | bytes, prefix: str) -> bytes:
    """The bytes that hold the refs that begin with ``prefix``; all of a file without order."""
    if not is_sorted(data):
        return bytes(data[:])
    first = os.fsencode(prefix)
    start, end = lower_bound(data, first), lower_bound(data, first[:-1] + bytes([first[-1] + 1]))
    return data[start : max(start, end)]


def _entry_at(data: mmap.mmap | bytes, offset: int) -> int:
    """The start of the first entry at or after the line that holds ``offset``."""
    start = data.rfind(b"\n", 0, offset) + 1
    while start < len(data) and data[start] in b"#^":
        end = data.find(b"\n", start)
        start = len(data) if end < 0 else end + 1
    return start


def lower_bound(data: mmap.mmap | bytes, name: bytes) -> int:
    """Offset of the first entry of a sorted file whose name is ``name`` or after it."""
    low, high = 0, len(data)
    while low < high:
        middle = (low + high) // 2
        start = _entry_at(data, middle)
        if start >= high:
            # No entry begins in the upper half: go on with the lower one.
            high = data.rfind(b"\n", 0, middle) + 1 if start > middle else start
            if high <= low:
                break
            continue
        end = data.find(b"\n", start)
        end = len(data) if end < 0 else end
        if data[start + 41 : end] < name:
            low = end + 1
        else:
            high = min(start, high)
    return _entry_at(data, low) if low < len(data) else len(data)


def bisect(data: mmap.mmap | bytes, name: bytes) -> str | None:
    """The commit of one name of a sorted file, or None."""
    start = lower_bound(data, name)
    line = data[start : start + 41 + len(name) + 1]
    if line[41:] == name + b"\n" or (line[41:] == name and start + len(line) == len(data)):
        return line[:40].decode("ascii")
    return None


def find(data: mmap.mmap | bytes, name: str) -> str | None:
    """The commit of one name, or None."""
    if not data:
        return None
    if not is_sorted(data):
        return next((sha for n, sha in packed_lines(data) if n == name), None)
    return bisect(data, os.fsencode(name))


def merged(data: mmap.mmap | bytes, changes: dict[str, str]) -> bytes:
    """The file with entries put in, or left out: those whose commit is ""."""
    if data and not is_sorted(data):
        data = _sorted_copy(data)
    body = data.find(b"\n") + 1 if data else 0
    header = data[:body] if body else b"# pack-refs with: peeled fully-peeled sorted \n"
    parts = [header]
    copied = body
    wanted = {os.fsencode(name): sha for name, sha in changes.items()}
    for name in sorted(wanted):
        start = max(lower_bound(data, name), body)
        parts.append(data[copied:start])
        copied = start
        if data[start + 41 : start + 42 + len(name)].rstrip(b"\n") == name:
            copied = _next_entry(data, start)
        if wanted[name]:
            parts.append(wanted[name].encode() + b" " + name + b"\n")
    parts.append(data[copied:])
    return b"".join(parts)


def without(data: mmap.mmap | bytes, names: Collection[str]) -> bytes:
    """The file without many entries, in one pass: bisecting for each takes ten times as long."""
    gone = {os.fsencode(name) for name in names}
    kept: list[bytes] = []
    dropped = False
    for line in data[:].splitlines(keepends=True):
        if not line.startswith(b"^"):  # a peeled line belongs to the entry before it
            dropped = line[:1] != b"#" and line[41:].rstrip(b"\n") in gone
        if not dropped:
            kept.append(line)
    return b"".join(kept)


def _next_entry(data: mmap.mmap | bytes, start: int) -> int:
    while True:
        end = data.find(b"\n", start)
        start = len(data) if end < 0 else end + 1
        if start >= len(data) or data[start] not in b"^":
            return start


def _sorted_copy(data: mmap.mmap | bytes) -> bytes:
    """The file with its entries in order, peeled lines kept behind their own."""
    entries: list[bytes] = []
    traits = b""
    for line in data[:].splitlines(keepends=True):
        if line.startswith(b"#"):
            traits = line.partition(b":")[2].strip()
        elif line.startswith(b"^") and entries:
            entries[-1] += line
        else:
            entries.append(line)
    entries.sort(key=lambda entry: entry.partition(b"\n")[0][41:])
    traits = b" ".join(t for t in (traits, b"sorted") if t)
    return b"# pack-refs with: " + traits + b" \n" + b"".join(entries)
