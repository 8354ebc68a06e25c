"""Pointer files: ``PATH.mlgit`` stands in Git for a file or folder ``PATH`` that is an object.

Writer and parser stand side by side; ``parse_pointer(format_pointer(x), name) == x``. A pointer
comes from whoever could push, so it can't name anything but what lies beside it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mlgit.exceptions import CorruptData, InvalidParameterValue, MlgitException, Unsupported
from mlgit.git.trees import FOLDER, parse_tree
from mlgit.objects.manifest import Entry, check_name, escaped, is_git_name, unescaped
from mlgit.store import yamlform

if TYPE_CHECKING:
    from mlgit.git import Repository

FORMAT = 1
SUFFIX = ".mlgit"
# A pointer is ten short lines; a larger file of that name is something else.
MAX_BYTES = 64 << 10

_SHA256 = re.compile(r"^[0-9a-f]{64}\Z")
_DRIVE = re.compile(r"^[A-Za-z]:")
_FILE_MODES = (b"100644", b"100755", b"100664")
_MAX_DEPTH = 400
_LARGEST = 1 << 63

Scalar = str | int | float | bool | None


@dataclass(frozen=True)
class Pointer:
    """What one pointer file says.

    Attributes:
        path: The name beside the pointer that it stands for.
        entry: Its content.
        origin: Where it was imported from (``url``, ``etag``, …); empty where it wasn't.
    """

    path: str
    entry: Entry
    origin: dict[str, Scalar] = field(default_factory=dict)


def is_pointer(name: str) -> bool:
    """Whether a file of this name (or path) is a pointer file."""
    base = name.rpartition("/")[2]
    return base.endswith(SUFFIX) and base != SUFFIX


def check_data_name(name: str) -> str:
    """Return a name if a pointer may stand for it.

    Raises:
        InvalidParameterValue: It isn't a name beside the pointer, or is one that means
            something to Git, to mlgit, or as a path elsewhere.
    """
    check_name(name)
    lowered = name.lower()
    if is_git_name(lowered) or lowered.endswith(SUFFIX):
        raise InvalidParameterValue(
            f"{name!r} can't be kept as data", hint="the name belongs to Git or mlgit"
        )
    if "\\" in name or _DRIVE.match(name):
        raise InvalidParameterValue(
            f"{name!r} can't be kept as data", hint="elsewhere the name is a path; rename it"
        )
    return name


def format_pointer(pointer: Pointer) -> bytes:
    """The bytes of a pointer file.

    Raises:
        InvalidParameterValue: Its path can't stand in one.
    """
    entry = pointer.entry
    record: dict[str, Any] = {
        "format": FORMAT,
        "path": escaped(check_data_name(pointer.path)),
        "kind": entry.kind,
        "sha256": entry.sha256,
        "size": entry.size,
        "files": entry.files,
    }
    if pointer.origin:
        record["origin"] = dict(pointer.origin)
    return yamlform.dump(record)


def parse_pointer(data: bytes, name: str) -> Pointer:
    """What a pointer file says.

    Args:
        data: The file.
        name: Its name or path, which must end in ``<path>.mlgit``.

    Raises:
        CorruptData: It isn't a pointer, or names something other than what it lies beside.
        Unsupported: It has a newer format.
    """
    if len(data) > MAX_BYTES:
        raise CorruptData(f"{name} is too large for a pointer file ({len(data)} bytes)")
    if data.startswith(b"<<<<<<< ") or b"\n<<<<<<< " in data:
        raise CorruptData(
            f"{name} has the conflict of a merge in it",
            hint=f"choose a side: git checkout --ours {name} (or --theirs), then git add {name}",
        )
    record = yamlform.load(data, name)
    version = record.get("format")
    if type(version) is int and version > FORMAT:
        raise Unsupported(
            f"{name} has format {version}; this mlgit reads format {FORMAT}",
            hint="upgrade: pip install --upgrade mlgit",
        )
    if type(version) is not int or version != FORMAT:
        raise CorruptData(f"{name} isn't a pointer file: it has no format: {FORMAT}")
    return Pointer(_read_path(record, name), _read_entry(record, name), _read_origin(record, name))


def _read_path(record: dict[str, Any], name: str) -> str:
    shown = record.get("path")
    if not isinstance(shown, str):
        raise CorruptData(f"{name} has no path")
    path = unescaped(shown.encode())
    try:
        check_data_name(path)
    except InvalidParameterValue as error:
        raise CorruptData(f"{name} names {path!r}, which a pointer can't: {error.hint}") from error
    if path + SUFFIX != name.rpartition("/")[2]:
        raise CorruptData(
            f"{name} says that it stands for {path!r}",
            hint="a pointer that is renamed needs the new name, without .mlgit, as its 'path:'",
        )
    return path


def _read_entry(record: dict[str, Any], name: str) -> Entry:
    kind, sha, size, files = (record.get(key) for key in ("kind", "sha256", "size", "files"))
    if kind not in ("f", "x", "d"):
        raise CorruptData(f"{name} has no kind that is f, x or d")
    if not isinstance(sha, str) or not _SHA256.match(sha):
        raise CorruptData(f"{name} has no sha256 of 64 hex digits")
    for key, value in (("size", size), ("files", files)):
        if type(value) is not int or not 0 <= value < _LARGEST:
            raise CorruptData(f"{name} has no {key} that is a number")
    assert isinstance(size, int) and isinstance(files, int)
    if kind != "d" and files != 1:
        raise CorruptData(f"{name} is a file's pointer and counts {files} files")
    return Entry(kind, sha, size, files)


def _read_origin(record: dict[str, Any], name: str) -> dict[str, Scalar]:
    origin = record.get("origin")
    if origin is None:
        return {}
    if not isinstance(origin, dict) or not isinstance(origin.get("url"), str):
        raise CorruptData(f"{name} has an origin without a url")
    if not all(isinstance(v, (str, int, float, bool, type(None))) for v in origin.values()):
        raise CorruptData(f"{name} has an origin whose values aren't text or numbers")
    return {str(key): value for key, value in origin.items()}


# -- the pointers of a Git tree

Found = list[tuple[str, str]]


def find_pointers(
    repo: Repository,
    tree: str,
    *,
    known: dict[str, Found] | None = None,
    problems: list[tuple[str, MlgitException]] | None = None,
) -> dict[str, Pointer]:
    """Every pointer file of a Git tree, by the path of the pointer file.

    Args:
        repo: Where the tree is.
        tree: The tree's name.
        known: Remembers what trees hold, for who looks at many commits.
        problems: Takes (path, error) of pointers that can't be read, instead of raising.

    Raises:
        CorruptData, Unsupported: A pointer can't be read.
    """
    found = {}
    for path, blob in pointer_blobs(repo, tree, {} if known is None else known):
        try:
            found[path] = parse_pointer(repo.objects.blob(blob), path)
        except (CorruptData, Unsupported) as error:
            if problems is None:
                raise
            problems.append((path, error))
    return found


def pointer_blobs(repo: Repository, tree: str, known: dict[str, Found]) -> Found:
    """The (path, blob) of every pointer file of a Git tree, in its order."""
    return list(_blobs(repo, tree, known, 0, True))


def _blobs(
    repo: Repository, tree: str, known: dict[str, Found], depth: int, top: bool
) -> Iterator[tuple[str, str]]:
    # The root leaves out the run's record, so it isn't remembered under the tree's name.
    held = None if top else known.get(tree)
    if held is None:
        held = []
        for raw, mode, sha in parse_tree(repo.objects.tree(tree)):
            if mode == FOLDER:
                if depth < _MAX_DEPTH and not (top and raw == b".mlgit"):
                    below = _blobs(repo, sha, known, depth + 1, False)
                    prefix = os.fsdecode(raw)
                    held.extend((f"{prefix}/{path}", blob) for path, blob in below)
            elif raw.endswith(b".mlgit") and raw != b".mlgit" and mode in _FILE_MODES:
                held.append((os.fsdecode(raw), sha))
        if not top:
            known[tree] = held
    yield from held
