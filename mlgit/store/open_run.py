"""A run as the process holds it that writes to it."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mlgit.exceptions import InvalidParameterValue
from mlgit.objects import Entry
from mlgit.store.journal import Writer

if TYPE_CHECKING:
    from mlgit.git.snapshot import Snapshot


@dataclass
class OpenRun:
    """A run that this process writes to.

    Attributes:
        owners: How many threads answer for its end: each that began or joined it.
        ends: The statuses that those who ended their part ended with.
    """

    writer: Writer
    params: dict[str, str] = field(default_factory=dict)
    others: dict[str, int] = field(default_factory=dict)
    owners: int = 1
    ends: list[str] = field(default_factory=list)
    files: set[str] = field(default_factory=set)
    folders: set[str] = field(default_factory=set)
    snapshot: Snapshot | None = None
    environment: bytes | None = None
    checkpointed: float = field(default_factory=time.monotonic)
    stamp: int = 0

    def stamped(self, lines: list[list[Any]]) -> list[list[Any]]:
        """Lines whose times don't go back when the clock does: the last to be written counts."""
        for line in lines:
            if line[0] in ("t", "T", "u"):
                self.stamp = line[-1] = max(line[-1], self.stamp)
        return lines

    def take_place(self, path: str, entry: Entry) -> None:
        """Refuse a file where this process logged a folder, and the other way round."""
        parts = path.split("/") if path else []
        above = {"/".join(parts[:depth]) for depth in range(1, len(parts))}
        clash = above & self.files
        if entry.kind == "d" and path in self.files:
            clash = {path}
        if clash:
            raise InvalidParameterValue(
                f"The artifact {min(clash)} is a file; it can't also be a folder",
                hint="log what belongs below it under another name",
            )
        if entry.kind != "d" and path in self.folders:
            raise InvalidParameterValue(
                f"The artifact {path} is a folder; a file can't replace it",
                hint="log the file under another name",
            )
        self.folders |= above
        (self.folders if entry.kind == "d" else self.files).add(path)
