"""The artifacts of one run as a tree, from its root's entries down."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

from mlgit.exceptions import InvalidParameterValue, ResourceDoesNotExist
from mlgit.objects.local import LocalObjects
from mlgit.objects.manifest import Entry, parse_manifest


class ArtifactTree:
    """A folder of artifacts that folders and files can be put into.

    Only the manifests on a path that is looked at are read, and only those on a path
    that was changed are written (by ``root()``).

    Args:
        objects: Where the manifests are.
        root: The entries of the top folder.
        durable: Write new manifests; see ``LocalObjects.put_manifest``.
    """

    def __init__(
        self, objects: LocalObjects, root: dict[str, Entry], *, durable: bool = True
    ) -> None:
        self._durable = durable
        self._objects = objects
        self._root: dict[str, Entry | _Folder] = dict(root)

    def put(self, path: str, entry: Entry) -> None:
        """Put a file or folder at a path; what is there is replaced, but folders merge.

        Args:
            path: Relative, with slashes; "" puts a folder's entries at the root.
            entry: What to put there.

        Raises:
            InvalidParameterValue: A part of the path is a file, or a file would replace
                a folder.
        """
        parts = path.split("/") if path else []
        here = self._root
        for depth, part in enumerate(parts[:-1]):
            here = self._descend(here, part, "/".join(parts[: depth + 1]))
        if not parts:
            self._merge(here, entry)
            return
        name = parts[-1]
        current = here.get(name)
        is_folder = isinstance(current, _Folder) or (current is not None and current.kind == "d")
        if entry.kind == "d" and is_folder:
            if current == entry:
                return
            self._merge(self._descend(here, name, path), entry)
        elif entry.kind != "d" and is_folder:
            raise InvalidParameterValue(
                f"The artifact {path} is a folder; a file can't replace it",
                hint="log the file under another name",
            )
        else:
            here[name] = entry

    def _merge(self, here: dict[str, Entry | _Folder], folder: Entry) -> None:
        for name, entry in self._entries(folder).items():
            current = here.get(name)
            if entry.kind == "d" and current is not None and current != entry:
                self._merge(self._descend(here, name, name), entry)
            else:
                here[name] = entry

    def _descend(
        self, here: dict[str, Entry | _Folder], name: str, path: str
    ) -> dict[str, Entry | _Folder]:
        current = here.get(name)
        if not isinstance(current, _Folder):
            if current is not None and current.kind != "d":
                raise InvalidParameterValue(
                    f"The artifact {path} is a file; it can't also be a folder",
                    hint="log what belongs below it under another name",
                )
            current = _Folder({**self._entries(current)} if current else {})
            here[name] = current
        return current.entries

    def _entries(self, folder: Entry) -> dict[str, Entry]:
        return parse_manifest(self._objects.read(folder.sha256))

    def root(self) -> dict[str, Entry]:
        """The entries of the top folder; manifests that are new are stored first."""
        return self._store(self._root)

    def _store(self, entries: dict[str, Entry | _Folder]) -> dict[str, Entry]:
        stored = {}
        for name, entry in entries.items():
            if isinstance(entry, _Folder):
                entry = self._objects.put_manifest(
                    self._store(entry.entries), durable=self._durable
                )
            stored[name] = entry
        return stored


class _Folder:
    """A folder that was opened to be looked at or changed."""

    __slots__ = ("entries",)

    def __init__(self, entries: dict[str, Entry | _Folder]) -> None:
        self.entries = entries


def find(
    objects: LocalObjects,
    root: dict[str, Entry],
    path: str,
    fetch: Callable[[str], None] | None = None,
) -> Entry | dict[str, Entry]:
    """What is at a path: a file's entry, or a folder's entries by name.

    Args:
        objects: Where the manifests are.
        root: The entries of the top folder.
        path: Relative, with slashes; "" is the top folder.
        fetch: Called with each folder's manifest before it is read; it may put it there.

    Raises:
        ResourceDoesNotExist: There is nothing of that path.
    """
    here: Entry | dict[str, Entry] = root
    parts = path.split("/") if path else []
    for depth, part in enumerate(parts):
        entry = here.get(part) if isinstance(here, dict) else None
        if entry is None:
            raise ResourceDoesNotExist(
                f"No such artifact: {path}", hint=_suggest(here, part, parts[:depth])
            )
        if entry.kind == "d" and fetch is not None:
            fetch(entry.sha256)
        here = parse_manifest(objects.read(entry.sha256)) if entry.kind == "d" else entry
    return here


def _suggest(here: Entry | dict[str, Entry], part: str, above: list[str]) -> str:
    if not isinstance(here, dict):
        return ""
    import difflib

    close = difflib.get_close_matches(part, here, n=1)
    where = "/".join(above) or "the run's root"
    if close:
        return "did you mean " + "/".join([*above, close[0]]) + "?"
    return f"{where} holds: " + (", ".join(sorted(here)[:10]) or "nothing")


def walk(
    objects: LocalObjects, entries: dict[str, Entry], prefix: str = ""
) -> Iterator[tuple[str, Entry]]:
    """Every file below some entries, with its path, in order of names."""
    for name in sorted(entries, key=os.fsencode):
        path = f"{prefix}/{name}" if prefix else name
        entry = entries[name]
        if entry.kind == "d":
            yield from walk(objects, parse_manifest(objects.read(entry.sha256)), path)
        else:
            yield path, entry
