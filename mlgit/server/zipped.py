"""Files as one ZIP archive, made while it is sent: nothing of it is kept in memory or on disk."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterable, Iterator
from typing import Any

from mlgit.objects import Entry

_BLOCK = 1 << 18
_LONG = 1 << 31
# Always the same, so that the same files make the same archive.
_TIME = (1980, 1, 1, 0, 0, 0)
_MODES = {"f": 0o100644, "x": 0o100755}


class _Sent(io.RawIOBase):
    """A file that gives away what was written to it, and can't go back."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self.parts.append(bytes(data))
        return len(self.parts[-1])

    def take(self) -> bytes:
        found = b"".join(self.parts)
        self.parts.clear()
        return found


def zipped(files: Iterable[tuple[str, Entry, str]]) -> Iterator[bytes]:
    """The bytes of an archive, part by part; the files are stored as they are, not packed.

    Args:
        files: The path in the archive, the entry, and where its bytes are, of each. The places
            are asked for one by one: an iterator that raises leaves an archive without its end,
            which no program takes for whole.
    """
    sent = _Sent()
    with zipfile.ZipFile(sent, "w") as archive:
        for path, entry, place in files:
            about = zipfile.ZipInfo(_safe(path), _TIME)
            about.external_attr = _MODES.get(entry.kind, _MODES["f"]) << 16
            about.file_size = entry.size
            with (
                open(place, "rb") as source,
                archive.open(about, "w", force_zip64=entry.size >= _LONG) as target,
            ):
                while data := source.read(_BLOCK):
                    target.write(data)
                    yield sent.take()
            yield sent.take()
    yield sent.take()


def _safe(path: str) -> str:
    """A path that no program takes for one that leads elsewhere."""
    path = path.encode("utf-8", "replace").decode().replace("\\", "_")
    return path.replace(":", "_")
