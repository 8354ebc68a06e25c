"""Git trees as bytes: parse and format side by side, look up and replace a path."""

from __future__ import annotations

from collections.abc import Iterator

from mlgit.exceptions import CorruptData, ResourceDoesNotExist
from mlgit.git.batch import ObjectBatch
from mlgit.git.objects import ObjectStore

FOLDER = b"40000"
FILE = b"100644"


def parse_tree(raw: bytes) -> Iterator[tuple[bytes, bytes, str]]:
    """The (name, mode, object) of each entry of a tree.

    Raises:
        CorruptData: The bytes aren't a tree.
    """
    at = 0
    while at < len(raw):
        space = raw.find(b" ", at)
        end = raw.find(b"\0", space)
        if space < 0 or end < 0 or end + 21 > len(raw):
            raise CorruptData("A Git tree is damaged", hint="git fsck tells which")
        yield raw[space + 1 : end], raw[at:space], raw[end + 1 : end + 21].hex()
        at = end + 21


def format_tree(entries: dict[bytes, tuple[bytes, str]]) -> bytes:
    """The bytes of a tree, from (mode, object) by name, in Git's order."""
    order = sorted(entries, key=lambda n: n + b"/" if entries[n][0] == FOLDER else n)
    return b"".join(b"%s %s\0%s" % (entries[n][0], n, bytes.fromhex(entries[n][1])) for n in order)


def entry(raw: bytes, name: bytes) -> tuple[bytes, str] | None:
    """The (mode, object) of one entry of a tree, or None where there is none."""
    # A search for the bytes is 20 times as fast as parsing, but a name may stand inside
    # another name or an object's raw hash: only a hit at an entry's start counts.
    needle = b" " + name + b"\0"
    if needle not in raw:
        return None
    for found, mode, sha in parse_tree(raw):
        if found == name:
            return mode, sha
    return None


def lookup(objects: ObjectStore, tree: str, path: str) -> str | None:
    """The object at a path below a tree, or None where there is none."""
    sha = tree
    for part in path.encode("utf-8", "surrogateescape").split(b"/"):
        kind, raw = objects.read(sha)
        found = entry(raw, part) if kind == "tree" else None
        if found is None:
            return None
        sha = found[1]
    return sha


def replace(
    objects: ObjectStore | ObjectBatch,
    tree: str | None,
    path: list[str],
    mode: bytes,
    sha: str,
) -> str:
    """A tree that differs from another in what is at one path.

    Args:
        objects: Where the trees are, and the new ones are written.
        tree: The tree to start from; None for an empty one.
        path: The names from the root down.
        mode: Git's mode of the new entry.
        sha: The new entry's object.

    Returns:
        The new tree's name.
    """
    entries: dict[bytes, tuple[bytes, str]] = {}
    if tree is not None:
        entries = {name: (m, s) for name, m, s in parse_tree(objects.tree(tree))}
    name = path[0].encode("utf-8", "surrogateescape")
    if len(path) > 1:
        below = entries.get(name)
        subtree = below[1] if below and below[0] == FOLDER else None
        mode, sha = FOLDER, replace(objects, subtree, path[1:], mode, sha)
    entries[name] = (mode, sha)
    return objects.write("tree", format_tree(entries))


def resolve_commit(objects: ObjectStore, sha: str) -> str:
    """The commit that an object is or, through tags, names.

    Raises:
        ResourceDoesNotExist: It is neither.
    """
    for _ in range(10):
        kind, raw = objects.read(sha)
        if kind == "commit":
            return sha
        if kind != "tag":
            break
        sha = raw[7:47].decode("ascii")
    raise ResourceDoesNotExist(f"{sha} is a {kind}, not a commit")
