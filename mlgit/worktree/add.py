"""``mlgit add``: a file or folder becomes objects and a pointer file."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass

from mlgit.exceptions import (
    InvalidParameterValue,
    InvalidState,
    ResourceDoesNotExist,
    from_os_error,
)
from mlgit.objects import Entry
from mlgit.objects.scan import Node, Progress, Scanner
from mlgit.store.pointers import SUFFIX, Pointer, Scalar, check_data_name, format_pointer
from mlgit.worktree.tracked import Placed, WorktreeData, blob_of, write_whole

_MOST_NAMED = 5
# What a pattern of .gitignore gives a meaning to (git-scm.com/docs/gitignore).
_SPECIAL = b"\\*?["


@dataclass(frozen=True)
class Added:
    """One path that was added.

    Attributes:
        path: Relative to the worktree's root.
        entry: What it is now.
        before: What its pointer said; None where there was none.
        written: The files, relative to the root, that are to be added to Git.
        clashes: Names below it that differ only in case from another.
    """

    path: str
    entry: Entry
    before: Entry | None
    written: tuple[str, ...]
    clashes: tuple[str, ...] = ()


def add(
    data: WorktreeData,
    given: Sequence[str],
    progress: Progress | None = None,
    *,
    origin: dict[str, Scalar] | None = None,
) -> list[Added]:
    """Keep files and folders as data.

    Each one's bytes become objects first, its pointer file comes last: where this is
    interrupted, nothing is lost and the same call goes on.

    Args:
        data: The worktree.
        given: Paths, as a person gives them.
        progress: Called with bytes done and seen.
        origin: Where it was imported from; the origin that the pointer has is dropped where
            the content changed, and kept where it didn't.

    Returns:
        What was done, for each path.

    Raises:
        ResourceDoesNotExist: There is no such file.
        InvalidParameterValue: It can't be data.
        InvalidState: Git tracks it, or a folder above it is data.
        StorageError, PermissionDenied: It can't be read, or kept.
    """
    paths = sorted({data.inside(path) for path in given})
    for path in paths:
        _check(data, path)
    scanner = Scanner(data.objects, data.memory, keep=True, progress=progress)
    with data.alone():
        return [_add(data, path, scanner, origin) for path in paths]


def _check(data: WorktreeData, path: str) -> None:
    check_data_name(path.rpartition("/")[2])
    try:
        found = os.lstat(data.absolute(path))
    except FileNotFoundError as error:
        hint = "paths are meant from where you are"
        if os.path.lexists(data.absolute(path) + SUFFIX):
            hint = f"mlgit checkout {path} brings it back; git rm {path}{SUFFIX} gives it up"
        raise ResourceDoesNotExist(f"No such file or folder: {path}", hint=hint) from error
    except OSError as error:
        raise from_os_error(error, f"read {path}") from error
    if stat.S_ISLNK(found.st_mode):
        raise InvalidParameterValue(f"{path} is a link", hint="add what it leads to")
    check_free(data, path)


def check_free(data: WorktreeData, path: str) -> None:
    """See to it that neither Git nor other data has a claim on a path.

    Raises:
        InvalidState: One has.
    """
    tracked = data.git_tracks(path)
    if tracked is not None:
        raise InvalidState(
            f"Git tracks {tracked} already",
            hint=f"git rm -r --cached {path}, then mlgit add {path}: the files stay where they are",
        )
    above = data.holder(path)
    if above is not None:
        raise InvalidState(f"{path} is part of {above}, which is data", hint=f"mlgit add {above}")
    below = [other for other in data.paths() if other.startswith(path + "/")]
    if below:
        raise InvalidState(
            f"{below[0]}{SUFFIX} lies in {path}", hint="data can't hold pointers; remove it first"
        )


def _add(
    data: WorktreeData, path: str, scanner: Scanner, origin: dict[str, Scalar] | None
) -> Added:
    node = scanner.scan(data.absolute(path))
    _refuse_odd(path, node)
    before = data.pointer(path)
    kept = origin
    if kept is None:
        kept = before.origin if before is not None and before.entry == node.entry else {}
    pointer = Pointer(path.rpartition("/")[2], node.entry, kept)
    made = format_pointer(pointer)
    # The line comes first: a pointer that is there says that everything is in order.
    written = [name for name in (_ignore(data, path),) if name]
    if made != data.pointer_bytes(path):
        write_whole(data.absolute(path) + SUFFIX, made)
        written.insert(0, path + SUFFIX)
    data.remember({path: Placed(node.entry, blob_of(made))})
    old = before.entry if before is not None else None
    clashes = () if old == node.entry else tuple(sorted(_clashes(node)))
    return Added(path, node.entry, old, tuple(written), clashes)


def _refuse_odd(path: str, node: Node) -> None:
    odd = [(f"{path}/{name}" if name else path, why) for name, why in node.all_odd()]
    if not odd:
        return
    lines = "".join(f"\n  {name} is {why}" for name, why in odd[:_MOST_NAMED])
    more = f"\n  and {len(odd) - _MOST_NAMED} more" if len(odd) > _MOST_NAMED else ""
    raise InvalidParameterValue(
        f"{path} can't be kept as data:{lines}{more}",
        hint="data is files and folders: move these elsewhere, or put files in their place",
    )


def _ignore(data: WorktreeData, path: str) -> str | None:
    """See to it that Git leaves the data out; the file that was changed for it."""
    folder, _, name = path.rpartition("/")
    file = f"{folder}/.gitignore" if folder else ".gitignore"
    line = ignore_line(name)
    try:
        with open(data.absolute(file), "rb") as f:
            text = f.read()
    except FileNotFoundError:
        text = b""
    except OSError as error:
        raise from_os_error(error, f"read {file}") from error
    if line in text.split(b"\n"):
        return None
    gap = b"" if not text or text.endswith(b"\n") else b"\n"
    write_whole(data.absolute(file), text + gap + line + b"\n")
    return file


def ignore_line(name: str) -> bytes:
    """The line of .gitignore that leaves out one name beside it, and nothing else.

    Raises:
        InvalidParameterValue: No line can say that.
    """
    if "\n" in name or "\r" in name:
        raise InvalidParameterValue(
            f"{name!r} can't be kept as data", hint="Git can't ignore a name with a line break"
        )
    raw = b"".join(
        b"\\" + bytes([byte]) if byte in _SPECIAL else bytes([byte]) for byte in os.fsencode(name)
    )
    stripped = raw.rstrip(b" ")
    return b"/" + stripped + b"\\ " * (len(raw) - len(stripped))


def _clashes(node: Node, prefix: str = "") -> list[str]:
    """Names that another file system takes for one and the same."""
    found = []
    seen: dict[str, str] = {}
    for name in sorted({*node.files(), *node.folders}, key=os.fsencode):
        if seen.setdefault(name.casefold(), name) != name:
            found.append(prefix + name)
    for name, below in node.folders.items():
        found += _clashes(below, f"{prefix}{name}/")
    return found
