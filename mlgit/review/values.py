"""Named texts on both sides."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

_SYSTEM_TAGS = ("mlflow.", "mlgit.")
_PERSONS_TAG = "mlflow.note.content"


@dataclass(frozen=True)
class ValueChange:
    """A named text on both sides; None where it isn't there."""

    name: str
    old: str | None
    new: str | None

    @property
    def status(self) -> str:
        """ "added", "removed", "changed" or "unchanged"."""
        if self.old is None or self.new is None:
            return "added" if self.old is None else "removed"
        return "unchanged" if self.old == self.new else "changed"


def compare_values(old: Mapping[str, str], new: Mapping[str, str]) -> tuple[ValueChange, ...]:
    """Every name of two mappings, sorted; those with equal values too."""
    names = sorted(old.keys() | new.keys())
    return tuple(ValueChange(name, old.get(name), new.get(name)) for name in names)


def persons_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """The tags that people set, and the note; not those that programs make."""
    return {
        name: value
        for name, value in tags.items()
        if name == _PERSONS_TAG or not name.startswith(_SYSTEM_TAGS)
    }
