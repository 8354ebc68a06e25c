"""What differs between the artifacts of two runs, by digest."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from mlgit.exceptions import MlgitException, ResourceDoesNotExist
from mlgit.objects import Entry, LocalObjects, parse_manifest

_ENDINGS = {
    "image": "png jpg jpeg gif webp svg",
    "table": "csv tsv parquet",
    "text": "txt md rst log json jsonl yaml yml toml ini cfg py html xml",
}
_KINDS = {ending: kind for kind, endings in _ENDINGS.items() for ending in endings.split()}


@dataclass(frozen=True)
class ArtifactChange:
    """One file or folder that differs.

    Attributes:
        path: Below the run's root; bytes that aren't UTF-8 as surrogates (os.fsdecode).
        old, new: What is there; None on a side where there is nothing. A folder that is
            on one side only is named once, for all that is below it.
        note: Why a folder that differs isn't told apart file by file; else "".
    """

    path: str
    old: Entry | None
    new: Entry | None
    note: str = ""

    @property
    def status(self) -> str:
        """ "added", "removed" or "changed"."""
        return "added" if self.old is None else "removed" if self.new is None else "changed"

    @property
    def kind(self) -> str:
        """What it is for a person: "folder", "image", "table", "text", or "file"."""
        if "d" in {entry.kind for entry in (self.old, self.new) if entry}:
            return "folder"
        ending = self.path.rpartition(".")[2].lower() if "." in self.path else ""
        return _KINDS.get(ending, "file")


def compare_artifacts(
    objects: LocalObjects, old: Mapping[str, Entry], new: Mapping[str, Entry]
) -> tuple[ArtifactChange, ...]:
    """The artifacts that differ; only folders whose digests differ are looked into.

    Args:
        objects: Where the folders' manifests are; those that aren't there are reported.
        old, new: The entries of the top folders.
    """
    found: list[ArtifactChange] = []
    pending = _pairs("", old, new)
    while pending:
        path, before, after = pending.pop()
        if before == after:
            continue
        kinds = {entry.kind == "d" for entry in (before, after) if entry}
        if len(kinds) == 2:  # a file became a folder, or the other way round
            found += [ArtifactChange(path, before, None), ArtifactChange(path, None, after)]
        elif before is None or after is None or kinds == {False}:
            found.append(ArtifactChange(path, before, after))
        else:
            try:
                below = [parse_manifest(objects.read(e.sha256)) for e in (before, after)]
            except MlgitException as error:
                found.append(ArtifactChange(path, before, after, _why(error)))
            else:
                pending += _pairs(f"{path}/", below[0], below[1])
    return tuple(sorted(found, key=lambda c: (os.fsencode(c.path), c.old is None)))


def _pairs(
    prefix: str, old: Mapping[str, Entry], new: Mapping[str, Entry]
) -> list[tuple[str, Entry | None, Entry | None]]:
    names = old.keys() | new.keys()
    return [(prefix + name, old.get(name), new.get(name)) for name in names]


def _why(error: MlgitException) -> str:
    if isinstance(error, ResourceDoesNotExist):
        return "its list of files isn't in this clone"
    return error.message
