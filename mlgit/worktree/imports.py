"""``mlgit import-url`` and ``mlgit update``: data from elsewhere, with its origin recorded."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

from mlgit.exceptions import (
    CorruptData,
    InvalidParameterValue,
    InvalidState,
    ResourceAlreadyExists,
    ResourceDoesNotExist,
    from_os_error,
)
from mlgit.git.secrets import mask_url
from mlgit.objects import Entry
from mlgit.objects.failures import explain, missing_driver
from mlgit.objects.manifest import check_name
from mlgit.objects.memory import FolderMemory
from mlgit.objects.remote import scheme_of, without_credentials
from mlgit.objects.scan import Progress, Scanner
from mlgit.store.pointers import SUFFIX, Pointer, Scalar, format_pointer
from mlgit.worktree.add import Added, add, check_free
from mlgit.worktree.checkout import checkout
from mlgit.worktree.tracked import WorktreeData, first_error, write_whole

_CHUNK = 1 << 20
_ETAGS = ("ETag", "etag", "md5Hash", "Content-MD5", "content_md5", "sha256", "checksum")
_TIMES = ("LastModified", "Last-Modified", "last_modified", "mtime", "updated", "modified")


@dataclass(frozen=True)
class Updated:
    """What became of one path's update.

    Attributes:
        path: Relative to the worktree's root.
        entry: What it is now.
        changed: Whether that is something new.
        asked: Whether the origin said by itself that nothing changed, and nothing was loaded.
    """

    path: str
    entry: Entry
    changed: bool
    asked: bool


def import_url(
    data: WorktreeData,
    url: str,
    path: str | None = None,
    *,
    progress: Progress | None = None,
) -> Added:
    """Load a file or folder from a URL and keep it as data.

    Args:
        data: The worktree.
        url: Any URL that fsspec has a driver for, or a path.
        path: Where to; beside the working directory under its own name where None.
        progress: Called with bytes done and wanted.

    Raises:
        InvalidParameterValue: The URL holds a credential, which would be committed.
        ResourceAlreadyExists: There is something at the path.
        ResourceDoesNotExist: There is nothing at the URL.
    """
    origin = _Origin(url)
    place = data.inside(path or _own_name(url))
    if os.path.lexists(data.absolute(place)) or data.pointer_bytes(place) is not None:
        raise ResourceAlreadyExists(
            f"There is a {place} already", hint=f"name another path, or mlgit update {place}"
        )
    check_free(data, place)
    with _scratch(data) as folder:
        made, record = origin.load(f"{folder}/loaded", progress)
        os.makedirs(os.path.dirname(data.absolute(place)), exist_ok=True)
        _move(made, data.absolute(place))
    return add(data, [data.absolute(place)], origin=record)[0]


def update(
    data: WorktreeData,
    given: Sequence[str],
    *,
    force: bool = False,
    progress: Progress | None = None,
) -> list[Updated]:
    """Load imported data again where its origin has changed.

    Args:
        data: The worktree.
        given: Paths, as a person gives them.
        force: Drop local changes that are kept nowhere else.
        progress: Called with bytes done and wanted.

    Raises:
        InvalidState: A path wasn't imported, or has changes that would be lost.
        ResourceDoesNotExist: The origin isn't there any more.
    """
    return [_update(data, path, force, progress) for path in data.chosen(list(given))]


def _update(data: WorktreeData, path: str, force: bool, progress: Progress | None) -> Updated:
    pointer = data.pointer(path)
    if pointer is None or not pointer.origin:
        raise InvalidState(
            f"{path} wasn't imported: it has no origin", hint=f"mlgit add {path} keeps its changes"
        )
    origin = _Origin(str(pointer.origin["url"]))
    record = origin.describe()
    telling = {"etag", "modified", "fingerprint"} & record.keys()
    if telling and {**record, "url": ""} == {**pointer.origin, "url": ""}:
        return Updated(path, pointer.entry, False, True)
    if not force:
        _check_saved(data, path, pointer)
    with _scratch(data) as folder:
        made, record = origin.load(f"{folder}/loaded", progress)
        entry = Scanner(data.objects, FolderMemory(None), keep=True).scan(made).entry
    fresh = Pointer(pointer.path, entry, record)
    write_whole(data.absolute(path) + SUFFIX, format_pointer(fresh))
    if entry != pointer.entry:
        found = checkout(data, [data.absolute(path)], force=force)
        if found.problems:
            raise first_error(found.problems)
    return Updated(path, entry, entry != pointer.entry, False)


def _check_saved(data: WorktreeData, path: str, pointer: Pointer) -> None:
    try:
        node = Scanner(data.objects, data.memory, keep=False).scan(data.absolute(path))
    except ResourceDoesNotExist:
        return
    if node.entry != pointer.entry and not data.objects.has(node.entry.sha256):
        raise InvalidState(
            f"{path} has changes that an update would drop",
            hint=f"mlgit add {path} keeps them; --force drops them",
        )


class _Origin:
    """What a URL names."""

    def __init__(self, url: str) -> None:
        if without_credentials(url) != url or mask_url(url) != url:
            raise InvalidParameterValue(
                f"{mask_url(url)} holds a credential, and the origin is committed",
                hint="give the URL without it; the driver takes credentials from its "
                "environment or configuration",
            )
        self.scheme = scheme_of(url)
        self.url = url if "://" in url else os.path.abspath(os.path.expanduser(url))
        try:
            import fsspec

            self.fs, self.root = fsspec.core.url_to_fs(self.url)
        except ImportError as error:
            raise missing_driver(self.scheme, url) from error
        except Exception as error:
            if "Protocol not known" in str(error):
                raise InvalidParameterValue(
                    f"No driver knows {self.scheme}:// ({url})",
                    hint="give a path, or a URL such as https://… or s3://bucket/folder",
                ) from error
            raise explain(error, "connect", url, self.scheme) from error

    def _info(self) -> dict[str, Any]:
        try:
            self.fs.invalidate_cache()
            return dict(self.fs.info(self.root))
        except FileNotFoundError as error:
            raise ResourceDoesNotExist(f"There is nothing at {self.url}") from error
        except Exception as error:
            raise explain(error, "look", self.url, self.scheme) from error

    def describe(self) -> dict[str, Scalar]:
        """What is to be recorded, and tells when it changes."""
        info = self._info()
        if info.get("type") == "directory":
            return self._describe_folder(self._files())
        return {"url": self.url, **_marks(info)}

    def _describe_folder(self, files: dict[str, dict[str, Any]]) -> dict[str, Scalar]:
        digest = hashlib.sha256()
        for name, info in sorted(files.items()):
            digest.update(f"{name}\n{sorted(_marks(info).items())}\n".encode("utf-8", "replace"))
        size = sum(int(info.get("size") or 0) for info in files.values())
        return {"url": self.url, "fingerprint": digest.hexdigest(), "size": size}

    def _files(self) -> dict[str, dict[str, Any]]:
        """Every file below, by its path relative to the root."""
        found = self.fs.find(self.root, detail=True)
        prefix = self.root.rstrip("/") + "/"
        return {name.removeprefix(prefix): info for name, info in found.items()}

    def load(self, target: str, progress: Progress | None) -> tuple[str, dict[str, Scalar]]:
        """Load it to a path; the path, and what is to be recorded."""
        info = self._info()
        try:
            if info.get("type") != "directory":
                record: dict[str, Scalar] = {"url": self.url, **_marks(info)}
                self._copy(self.root, target, int(info.get("size") or 0), 0, progress)
                return target, record
            files = self._files()
            record = self._describe_folder(files)
            done, total = 0, int(record["size"] or 0)
            os.makedirs(target)
            for name, found in sorted(files.items()):
                parts = [check_name(part) for part in name.split("/")]
                place = os.path.join(target, *parts)
                os.makedirs(os.path.dirname(place), exist_ok=True)
                done += self._copy(found["name"], place, total, done, progress)
            return target, record
        except InvalidParameterValue:
            raise
        except Exception as error:
            raise explain(error, "load", self.url, self.scheme) from error

    def _copy(
        self, source: str, target: str, total: int, before: int, progress: Progress | None
    ) -> int:
        done = 0
        with self.fs.open(source, "rb") as incoming, open(target, "xb") as made:
            size = getattr(incoming, "size", None)
            while chunk := incoming.read(_CHUNK):
                made.write(chunk)
                done += len(chunk)
                if progress is not None:
                    progress(before + done, max(total, before + done))
        if isinstance(size, int) and done != size:
            raise CorruptData(f"{source} ended after {done} of {size} bytes", hint="repeat this")
        return done


def _marks(info: dict[str, Any]) -> dict[str, Scalar]:
    """What tells one state of a remote file from another."""
    found: dict[str, Scalar] = {}
    for name in _ETAGS:
        if info.get(name):
            found["etag"] = str(info[name]).strip('"')
            break
    for name in _TIMES:
        value = info.get(name)
        if value:
            found["modified"] = value.isoformat() if hasattr(value, "isoformat") else str(value)
            break
    if info.get("size") is not None:
        found["size"] = int(info["size"])
    return found


def _own_name(url: str) -> str:
    path = urlsplit(url).path if "://" in url else os.path.abspath(url)
    name = unquote(path.rstrip("/").rpartition("/")[2])
    if not name:
        raise InvalidParameterValue(f"{url} has no name of its own", hint="name a path to keep it")
    return name


@contextmanager
def _scratch(data: WorktreeData) -> Iterator[str]:
    """A folder for what isn't whole yet, on the objects' device."""
    import tempfile

    parent = f"{data.repo.state_dir}/import"
    try:
        os.makedirs(parent, exist_ok=True)
        folder = tempfile.mkdtemp(dir=parent)
    except OSError as error:
        raise from_os_error(error, "make room for what is loaded") from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _move(source: str, target: str) -> None:
    try:
        shutil.move(source, target)
    except OSError as error:
        raise from_os_error(error, f"write {target}") from error
