"""How a file or folder on the disk differs from what a pointer names."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import NamedTuple

from mlgit.exceptions import CorruptData
from mlgit.objects import Entry, LocalObjects, parse_manifest
from mlgit.objects.manifest import is_git_name
from mlgit.objects.scan import Node


class Change(NamedTuple):
    """One thing that differs.

    Attributes:
        path: Below the data's path; "" for itself.
        want: What the pointer names there. A folder that isn't there at all is named once.
        have: What is there. A folder that isn't wanted comes after all that is in it.
        odd: Why what is there can't be data; ``have`` is None then.
    """

    path: str
    want: Entry | None
    have: Entry | None
    odd: str = ""

    @property
    def status(self) -> str:
        """ "new", "modified", "deleted", or "odd"."""
        if self.odd:
            return "odd"
        return "new" if self.want is None else "deleted" if self.have is None else "modified"


def differences(objects: LocalObjects, want: Entry | None, node: Node | None) -> Iterator[Change]:
    """Everything that differs, what has to go before what takes its place.

    Args:
        objects: Where the manifests are; those of folders that differ are read.
        want: What should be there; None for nothing.
        node: What is there; None for nothing.

    Raises:
        ResourceDoesNotExist: A manifest isn't here.
        CorruptData: One is damaged.
    """
    return _compare(objects, "", want, node)


def entries_of(objects: LocalObjects, folder: Entry) -> dict[str, Entry]:
    """What a folder of data holds, by name.

    Raises:
        ResourceDoesNotExist: Its manifest isn't here.
        CorruptData: It is damaged, or holds what must not come as data.
    """
    entries = parse_manifest(objects.read(folder.sha256))
    for name in entries:
        if (not name.isascii() or name[:4].lower() in (".git", "git~")) and is_git_name(name):
            raise CorruptData(
                f"This data holds {name!r}: a folder of Git's can't come as data",
                hint="it could run programs here; ask who made it",
            )
    return entries


def _compare(
    objects: LocalObjects, path: str, want: Entry | None, node: Node | None
) -> Iterator[Change]:
    if node is None:
        if want is not None:
            yield Change(path, want, None)
        return
    if "" in node.odd:
        yield Change(path, want, None, node.odd[""])
    elif node.entry.kind == "d":
        yield from _folder(objects, path, want, node)
    elif want is not None and want.kind == "d":
        yield Change(path, None, node.entry)
        yield Change(path, want, None)
    elif want is None or (want.kind, want.sha256) != (node.entry.kind, node.entry.sha256):
        yield Change(path, want, node.entry)


def _folder(objects: LocalObjects, path: str, want: Entry | None, node: Node) -> Iterator[Change]:
    prefix = f"{path}/" if path else ""
    if want is not None and want.kind == "d" and want.sha256 == node.entry.sha256:
        for name, why in node.all_odd(prefix):
            yield Change(name, None, None, why)
        return
    is_folder = want is not None and want.kind == "d"
    wanted = entries_of(objects, want) if is_folder and want is not None else {}
    files = node.files()
    names = {*wanted, *files, *node.folders, *node.odd}
    for name in sorted(names, key=os.fsencode):
        if name in node.odd:
            yield Change(prefix + name, wanted.get(name), None, node.odd[name])
            continue
        below = node.folders.get(name)
        if below is None and name in files:
            below = Node(files[name])
        yield from _compare(objects, prefix + name, wanted.get(name), below)
    if not is_folder:
        yield Change(path, None, node.entry)
        if want is not None:
            yield Change(path, want, None)
