"""The objects that a team shares: ``<url>/objects/sha256/ab/cdef…``, over fsspec."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from mlgit.exceptions import InvalidParameterValue, ResourceDoesNotExist
from mlgit.objects.drivers import Driver
from mlgit.objects.failures import explain, is_missing, missing_driver
from mlgit.objects.folder_driver import FolderDriver
from mlgit.objects.parallel import run

_SCHEME = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]*)://")
_KEY = re.compile(r"^objects/sha256/([0-9a-f]{2})/([0-9a-f]{62})\Z")
# So many are asked for one by one; of more, a listing may be cheaper.
_FEW = 64
_PAGE = 1000
# Up to here one listing from beginning to end; of more, its folders side by side.
_FLAT = 50_000


def scheme_of(url: str) -> str:
    """The scheme of a URL in lower case; "file" for a plain path."""
    match = _SCHEME.match(url)
    return match[1].lower() if match else "file"


def folder_of(url: str) -> str:
    """The folder of a path or of a URL of the scheme "file"."""
    return os.path.abspath(re.sub(r"^(file|local)://", "", url))


def without_credentials(url: str) -> str:
    """A URL as it may be shown: without user and password."""
    if not _SCHEME.match(url) or "@" not in url:
        return url
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def key_of(sha256: str) -> str:
    """Where an object is in a remote."""
    return f"objects/sha256/{sha256[:2]}/{sha256[2:]}"


def _nothing(count: int) -> None:
    pass


class RemoteObjects:
    """A remote store of objects.

    Nothing is connected, and no driver imported, before the first use.

    Args:
        url: A path, or any URL that fsspec has a driver for.
        options: For the driver, as ``fsspec.filesystem(scheme, **options)`` takes them.
        name: What the person calls it.
    """

    def __init__(
        self, url: str, options: dict[str, object] | None = None, *, name: str = ""
    ) -> None:
        self.url = url
        self.name = name
        self.options = dict(options or {})
        self.scheme = scheme_of(url)
        shown = without_credentials(url)
        self.where = f"remote {name}, {shown}" if name else shown
        self._made: Driver | None = None

    @property
    def driver(self) -> Driver:
        """What moves the bytes.

        Raises:
            MissingDependency: The package for this scheme isn't installed.
            InvalidParameterValue: The URL or the options make no sense to the driver.
        """
        if self._made is None:
            self._made = self._connect()
        return self._made

    def _connect(self) -> Driver:
        if self.scheme in ("file", "local") and not self.options.keys() - {"share"}:
            share = self.options.get("share", True)
            if not isinstance(share, bool):
                raise InvalidParameterValue(
                    f"The option share of {self.where} is {share!r}, and must be true or false",
                    hint="mlgit remote add --force NAME PATH --option share=false",
                )
            return FolderDriver(folder_of(self.url), share)
        try:
            import fsspec

            options = {"use_listings_cache": False, **self.options}
            if self.scheme in ("s3", "s3a"):
                from mlgit.objects.s3 import s3_options

                options = s3_options(options)
            fs, root = fsspec.core.url_to_fs(self.url.rstrip("/"), **options)
        except ImportError as error:
            raise missing_driver(self.scheme, self.where) from error
        except ValueError as error:
            if "Protocol not known" in str(error):
                raise InvalidParameterValue(
                    f"No driver knows {self.scheme}:// ({self.where})",
                    hint="give a path, or a URL such as s3://bucket/folder",
                ) from error
            raise explain(error, "connect", self.where, self.scheme) from error
        except Exception as error:
            raise explain(error, "connect", self.where, self.scheme) from error
        return _make_driver(fs, root.rstrip("/"), self.scheme)

    def missing(self, shas: Iterable[str] | Mapping[str, int | None]) -> set[str]:
        """Which of some objects aren't there.

        Args:
            shas: Their names; where it is a mapping to sizes, one of another size, which a
                crash may leave, isn't there either.

        Raises:
            PermissionDenied, ResourceDoesNotExist, RemoteUnavailable: It can't be asked.
        """
        sizes: Mapping[str, int | None]
        sizes = shas if isinstance(shas, Mapping) else dict.fromkeys(shas)
        if self._better_one_by_one(len(sizes)):
            there = dict(self._sizes(sizes))
        else:
            there = self._listed(sizes)
        return {
            sha
            for sha, size in sizes.items()
            if there.get(sha) is None or (size is not None and there[sha] not in (size, -1))
        }

    def _better_one_by_one(self, count: int) -> bool:
        return count <= _FEW or self.scheme in ("http", "https")

    def _listed(self, wanted: Iterable[str]) -> dict[str, int | None]:
        """What is there, found by listing it, or by asking if there is too much."""
        prefixes = {sha[:2] for sha in wanted}
        probe = min(prefixes)
        there = self._find(f"objects/sha256/{probe}")
        total = len(there) * 256
        if len(prefixes) + total // _PAGE > len(prefixes | set(wanted)):
            return dict(self._sizes(wanted))
        if isinstance(self.driver, FolderDriver) or total > _FLAT:
            for found in self._find_many(prefixes - {probe}):
                there.update(found)
        else:
            there = self._find("objects/sha256")
        return {sha: size for sha, (size, _) in there.items()}

    def _sizes(self, wanted: Iterable[str]) -> Iterator[tuple[str, int | None]]:
        driver = self.driver
        for sha, size, error in run(
            wanted, lambda sha: driver.start("size", key_of(sha)), limit=driver.parallel
        ):
            if error is not None:
                raise explain(error, "ask for objects", self.where, self.scheme) from error
            yield sha, size

    def _find(self, folder: str) -> dict[str, tuple[int, float]]:
        return next(self._find_in([folder]))

    def _find_many(self, prefixes: Iterable[str]) -> Iterator[dict[str, tuple[int, float]]]:
        return self._find_in(f"objects/sha256/{prefix}" for prefix in sorted(prefixes))

    def _find_in(self, folders: Iterable[str]) -> Iterator[dict[str, tuple[int, float]]]:
        driver = self.driver
        for _, found, error in run(
            folders, lambda folder: driver.start("find", folder), limit=driver.parallel
        ):
            if error is not None:
                raise explain(error, "list objects", self.where, self.scheme) from error
            keys = ((_KEY.match(key), info) for key, info in (found or {}).items())
            yield {match[1] + match[2]: info for match, info in keys if match}

    def linkable(self, sha256: str, into: str) -> str | None:
        """Where an object's file lies on this machine, if to fetch it is to link it.

        Args:
            sha256: The object.
            into: The folder that it would be linked into.
        """
        driver = self.driver
        if not isinstance(driver, FolderDriver):
            return None
        return driver.linkable(key_of(sha256), into)

    def upload(self, sha256: str, path: str, size: int) -> None:
        """Put an object there; one that is there already stays as it is.

        Args:
            sha256: Its name.
            path: A file with its bytes.
            size: How many.

        Raises:
            CorruptData: The file's bytes have another digest; nothing was uploaded.
            PermissionDenied, ResourceDoesNotExist, StorageError: The remote won't take it.
        """
        if self.missing([sha256]):
            arguments = (path, key_of(sha256), size, sha256, _nothing)
            self._do("upload an object", "put", *arguments)

    def download(self, sha256: str, path: str) -> None:
        """Fetch an object into a file, which is whole or isn't there.

        Args:
            sha256: Its name.
            path: The file, replaced if it exists.

        Raises:
            ResourceDoesNotExist: The remote doesn't have it.
            CorruptData: What came has another digest.
            PermissionDenied, StorageError: The remote won't give it, or it can't be written.
        """
        temporary = f"{path}.{os.getpid():x}.part"
        try:
            arguments = (key_of(sha256), temporary, None, sha256, _nothing)
            self._do("download an object", "get", *arguments)
            os.replace(temporary, path)
        finally:
            if os.path.exists(temporary):
                os.unlink(temporary)

    def _do(self, doing: str, method: str, *arguments: Any) -> None:
        driver = self.driver
        for _, _, error in run([method], lambda method: driver.start(method, *arguments), limit=1):
            if error is not None:
                raise self.explained(error, doing, arguments[3]) from error

    def explained(self, error: Exception, doing: str, sha256: str) -> Exception:
        """A driver's error with an object as mlgit's: it may just not be there."""
        if doing.startswith("download") and is_missing(error):
            return ResourceDoesNotExist(
                f"The object {sha256} isn't at {self.where}",
                hint="whoever has it can upload it: mlgit push --all-artifacts",
            )
        return explain(error, doing, self.where, self.scheme)

    def list(self) -> Iterator[tuple[str, int, float]]:
        """Every object there.

        Yields:
            Its SHA-256, its size, and when it was written, in Unix seconds.
        """
        for found in self._find_many(f"{number:02x}" for number in range(256)):
            for sha, (size, written) in found.items():
                yield sha, size, written

    def delete(self, shas: Iterable[str]) -> None:
        """Remove objects; those that aren't there are no error.

        Raises:
            PermissionDenied, StorageError: The remote won't.
        """
        keys = [key_of(sha) for sha in shas]
        batches = [keys[at : at + _PAGE] for at in range(0, len(keys), _PAGE)]
        driver = self.driver
        for _, _, error in run(batches, lambda batch: driver.start("delete", batch), limit=8):
            if error is not None:
                raise explain(error, "delete objects", self.where, self.scheme) from error


def _make_driver(fs: Any, root: str, scheme: str) -> Driver:
    if scheme in ("s3", "s3a"):
        from mlgit.objects.s3 import S3Driver

        return S3Driver(fs, root, scheme)
    if not getattr(fs, "async_impl", False):
        from mlgit.objects.sync_driver import SyncDriver

        return SyncDriver(fs, root, scheme)
    from mlgit.objects.async_driver import AsyncDriver, HttpDriver

    return (HttpDriver if scheme in ("http", "https") else AsyncDriver)(fs, root, scheme)
