"""Whether a file of UBJSON is whole.

XGBoost reads its ``ubj`` files without looking where they end: of one that is cut short it may
read forever, or beyond its memory. So its end is looked for here first. Arrays of numbers are
stepped over, so that a large model takes milliseconds.
"""

from __future__ import annotations

import mmap
import os

_SIZES = {b"i": 1, b"U": 1, b"I": 2, b"l": 4, b"L": 8, b"d": 4, b"D": 8, b"C": 1}
_EMPTY = (b"Z", b"T", b"F", b"N")
_INTEGERS = {b"i": True, b"U": False, b"I": True, b"l": True, b"L": True}


class _Broken(Exception):
    """The bytes end too early, or aren't UBJSON."""


def is_ubjson(start: bytes) -> bool:
    """Whether a file that starts so is an object in UBJSON, rather than in JSON or else."""
    return len(start) > 1 and start[:1] == b"{" and start[1:2] in b"iUIlL$#N}"


def is_whole(path: str) -> bool:
    """Whether a file holds one value of UBJSON from its first byte to its last.

    Args:
        path: The file.

    Raises:
        OSError: It can't be read.
    """
    if not os.path.getsize(path):
        return False
    with open(path, "rb") as f, mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ) as data:
        walk = _Walk(data)
        try:
            walk.value(walk.take(1))
        except (_Broken, RecursionError):
            return False
        return walk.at == len(data)


class _Walk:
    def __init__(self, data: mmap.mmap) -> None:
        self._data = data
        self.at = 0

    def take(self, count: int) -> bytes:
        start = self.at
        self.skip(count)
        return self._data[start : self.at]

    def skip(self, count: int) -> None:
        if count < 0 or self.at + count > len(self._data):
            raise _Broken
        self.at += count

    def value(self, kind: bytes) -> None:
        """Step over a value whose marker has been read."""
        if kind in _SIZES:
            self.skip(_SIZES[kind])
        elif kind in (b"S", b"H"):
            self.skip(self._length(self.take(1)))
        elif kind in (b"[", b"{"):
            self._container(named=kind == b"{")
        elif kind not in _EMPTY:
            raise _Broken

    def _length(self, kind: bytes) -> int:
        if kind not in _INTEGERS:
            raise _Broken
        return int.from_bytes(self.take(_SIZES[kind]), "big", signed=_INTEGERS[kind])

    def _container(self, named: bool) -> None:
        kind, marker = b"", self.take(1)
        if marker == b"$":
            kind, marker = self.take(1), self.take(1)
            if marker != b"#":
                raise _Broken
        if marker == b"#":
            self._counted(self._length(self.take(1)), kind, named)
            return
        end = b"}" if named else b"]"
        while marker != end:
            if named:
                self.skip(self._length(marker))
                marker = self.take(1)
            self.value(marker)
            marker = self.take(1)

    def _counted(self, count: int, kind: bytes, named: bool) -> None:
        if not named and kind in _SIZES:
            self.skip(count * _SIZES[kind])
            return
        if kind in _EMPTY and not named:
            return
        for _ in range(count):
            if named:
                self.skip(self._length(self.take(1)))
            self.value(kind or self.take(1))
