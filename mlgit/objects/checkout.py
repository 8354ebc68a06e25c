"""Objects out of the store, as files that people work with.

A file is whole or isn't there. Nothing is written outside the folder that was asked for,
whatever a manifest or a link in the way says.
"""

from __future__ import annotations

import os
import re
import stat
from typing import TYPE_CHECKING

from mlgit.exceptions import InvalidParameterValue, Unsupported, from_os_error
from mlgit.objects.copying import (
    SHARED,
    clone,
    copy_and_hash,
    copy_unread,
    digest_of,
    digest_of_open,
)
from mlgit.objects.manifest import Entry, parse_manifest
from mlgit.validation import MAX_ARTIFACT_DEPTH

if TYPE_CHECKING:
    from mlgit.objects.local import LocalObjects

LINKS = ("auto", "reflink", "hardlink", "copy")
# What other systems take for a path that leads elsewhere.
_ELSEWHERE = re.compile(r"^[A-Za-z]:([\\/]|\Z)|(^|\\)\.\.(\\|\Z)|^\\")

# Which pairs of devices share blocks: found out once.
_reflinks: dict[tuple[int, int], bool] = {}


def checkout(objects: LocalObjects, entry: Entry, path: str, link: str = "auto") -> None:
    """Write a file, or a folder and all below; see ``LocalObjects.checkout``."""
    if link not in LINKS:
        raise InvalidParameterValue(f"{link!r} isn't a kind of link", hint=", ".join(LINKS))
    try:
        if entry.kind == "d":
            _folder(objects, entry, path, link, 0)
        else:
            _file(objects, entry, path, link)
    except OSError as error:
        raise from_os_error(error, f"write {path}") from error


def _folder(objects: LocalObjects, entry: Entry, path: str, link: str, depth: int) -> None:
    if depth > MAX_ARTIFACT_DEPTH:
        raise InvalidParameterValue(f"{path} would be {depth} folders deep")
    entries = parse_manifest(objects.read(entry.sha256))
    _check_names(entries, path)
    try:
        os.mkdir(path)
    except FileExistsError:
        if not stat.S_ISDIR(os.lstat(path).st_mode):  # a link may lead anywhere
            raise InvalidParameterValue(
                f"{path} is in the way: it isn't a folder", hint="move it away"
            ) from None
    if _collide(entries) and _ignores_case(path):
        one, other = _collide(entries)
        raise InvalidParameterValue(
            f"{path} would hold {one!r} and {other!r}, which are one name to this file system",
            hint="use a file system that tells upper from lower case",
        )
    for name, found in entries.items():
        place = f"{path}/{name}"
        if found.kind == "d":
            _folder(objects, found, place, link, depth + 1)
        else:
            _file(objects, found, place, link)


def _check_names(entries: dict[str, Entry], path: str) -> None:
    for name in entries:
        if _ELSEWHERE.search(name):
            raise InvalidParameterValue(
                f"{path} would hold {name!r}, which is a path elsewhere",
                hint="have it stored anew under another name",
            )


def _collide(entries: dict[str, Entry]) -> tuple[str, ...]:
    seen: dict[str, str] = {}
    for name in entries:
        other = seen.setdefault(name.casefold(), name)
        if other != name:
            return other, name
    return ()


def _ignores_case(folder: str) -> bool:
    probe = f"{folder}/.mlgit-Case-{os.getpid():x}"
    os.close(os.open(probe, os.O_WRONLY | os.O_CREAT, 0o600))
    try:
        return os.path.exists(f"{folder}/.MLGIT-cASE-{os.getpid():x}")
    finally:
        os.unlink(probe)


def _file(objects: LocalObjects, entry: Entry, path: str, link: str) -> None:
    if os.path.isdir(path) and not os.path.islink(path):
        raise InvalidParameterValue(f"{path} is in the way: it is a folder", hint="move it away")
    head, tail = os.path.split(path)
    # Short, whatever the name's length, and never taken for data.
    temporary = os.path.join(head, f".mlgit-part-{os.urandom(6).hex()}")
    try:
        if link == "hardlink" and entry.kind != "x":
            _hard_link(objects, entry, temporary)
        else:
            _copy(objects, entry, temporary, link)
        os.replace(temporary, path)
    finally:
        try:
            os.unlink(temporary)
        except OSError:
            pass


def _hard_link(objects: LocalObjects, entry: Entry, temporary: str) -> None:
    objects.open(entry.sha256).close()  # says what is missing
    try:
        os.link(objects.path(entry.sha256), temporary)
    except OSError as error:
        raise Unsupported(
            f"No hard link can lead from here to this clone's objects: {error.strerror}",
            hint="use copy, or auto",
        ) from error
    if not objects.is_whole(entry.sha256) and digest_of(temporary) != entry.sha256:
        raise objects.damaged(entry.sha256)


def _copy(objects: LocalObjects, entry: Entry, temporary: str, link: str) -> None:
    mode = 0o777 if entry.kind == "x" else 0o666
    with objects.open(entry.sha256) as source:
        fd = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL, mode)
        try:
            whole = objects.is_whole(entry.sha256)
            shares = link == "reflink" or (link == "auto" and entry.size >= SHARED)
            if shares and _shared(source.fileno(), fd):
                sha = entry.sha256 if whole else digest_of_open(source.fileno())
            elif link == "reflink":
                raise Unsupported(
                    "This file system can't share blocks between files",
                    hint="use hardlink, copy or auto",
                )
            elif whole:
                copy_unread(source.fileno(), fd, entry.size)
                return
            else:
                sha = copy_and_hash(source.fileno(), fd, entry.size)
        finally:
            os.close(fd)
    if sha != entry.sha256:
        raise objects.damaged(entry.sha256)


def _shared(source: int, target: int) -> bool:
    pair = os.fstat(source).st_dev, os.fstat(target).st_dev
    if _reflinks.get(pair, True):
        _reflinks[pair] = clone(source, target)
        return _reflinks[pair]
    return False
