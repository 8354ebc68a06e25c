"""What a going run logs, as it logs it: the journals' new lines, and nothing read twice."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

from mlgit.store import journal
from mlgit.store.record import Point

# A line in the making may have no end for a while; what is longer isn't waited for in memory.
_MOST_READ = 4 << 20


@dataclass
class News:
    """What came since the last look.

    Attributes:
        points: New points by metric.
        params: New params.
        other: Whether anything else came: tags, artifacts, datasets, a new name.
        ended: Whether nobody writes a journal of the run now.
    """

    points: dict[str, list[Point]] = field(default_factory=dict)
    params: dict[str, str] = field(default_factory=dict)
    other: bool = False
    ended: bool = False


class Follower:
    """Follows one run from now on.

    Args:
        folder: The run's journal folder.
    """

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self._read: dict[str, int] = {}
        for name in journal.names(folder):
            self._read[name] = self._end(name)

    def _end(self, name: str) -> int:
        """The offset behind the last whole line that is there now."""
        try:
            with open(f"{self.folder}/{name}", "rb") as f:
                size = f.seek(0, os.SEEK_END)
                back = min(size, 1 << 16)
                f.seek(size - back)
                return size - back + f.read(back).rfind(b"\n") + 1
        except OSError:
            return 0

    def news(self) -> News:
        """What came since the last look; empty where nothing did."""
        found = News()
        names = journal.names(self.folder)
        for name in names:
            self._take(name, found)
        found.ended = not names or not any(journal.is_written(self.folder, n) for n in names)
        return found

    def _take(self, name: str, found: News) -> None:
        start = self._read.get(name, 0)
        try:
            with open(f"{self.folder}/{name}", "rb") as f:
                f.seek(start)
                data = f.read(_MOST_READ)
        except OSError:
            return
        end = 0
        for line, offset in journal.parse(data):
            end = offset
            if line is None or line[0] in ("open", "end", "run", "env"):
                continue
            if line[0] == "m":
                point = Point(line[4], line[3], journal.number(line[2]))
                found.points.setdefault(line[1], []).append(point)
            elif line[0] == "p":
                found.params[line[1]] = line[2]
            else:
                found.other = True
        self._read[name] = start + (end or (len(data) if len(data) == _MOST_READ else 0))
