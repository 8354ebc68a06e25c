"""How bytes get to and from a remote: what drivers do, and one for each colour of fsspec.

A driver moves files under keys. ``start`` begins one of its methods and returns a future, so
that who transfers many needn't know whether threads or coroutines do the work.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import uuid
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any, Protocol

from mlgit.exceptions import CorruptData, Unsupported
from mlgit.objects.copying import Tell, digest_of, hash_and_write
from mlgit.objects.failures import is_missing
from mlgit.objects.parallel import Threads, again

CHUNK = 1 << 20
# One request's worth of a large file, and how many of one file are under way at once.
PART = 8 << 20
_AHEAD = 4
# Whose put is atomic, so that no temporary name is needed.
_ATOMIC = {"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "adl", "oss", "oci", "memory"}

Found = dict[str, tuple[int, float]]


class Driver(Protocol):
    """What all drivers do. Keys are relative to the remote, with slashes.

    ``put`` makes a key visible whole or not at all, and refuses bytes that don't have the
    digest; ``get`` writes to a path that the caller renames, and refuses such bytes too.
    """

    parallel: int

    def start(self, method: str, *arguments: Any) -> Future[Any]:
        """Begin one of the methods below."""

    def size(self, key: str) -> Any:
        """How many bytes are under a key; None where there is none, -1 where none tells."""

    def put(
        self,
        path: str,
        key: str,
        size: int,
        sha256: str,
        tell: Tell,
        share: bool = False,
        whole: bool = False,
    ) -> Any:
        """Upload a file.

        ``share``: the file is an object, that nobody writes to again, so that the remote may
        have the same bytes of the disk. ``whole``: they are known to have the digest.
        """

    def get(
        self,
        key: str,
        path: str,
        size: int | None,
        sha256: str,
        tell: Tell,
        share: bool = False,
    ) -> Any:
        """Download to a file; returns the number of bytes. ``share`` as for ``put``."""

    def find(self, folder: str) -> Any:
        """Every key below a folder, with its size and when it was written."""

    def delete(self, keys: list[str]) -> Any:
        """Remove keys; those that aren't there are no error."""


def damaged_on_the_way(sha256: str) -> CorruptData:
    """The error for bytes that came with another digest than the one asked for."""
    error = CorruptData(
        f"The object {sha256} didn't arrive as it should: its bytes have another digest",
        hint="repeat the command; if it stays so, the remote's copy is damaged: "
        "mlgit fsck --remote tells",
    )
    error.in_transit = True  # type: ignore[attr-defined]
    return error


def damaged_here(sha256: str) -> CorruptData:
    """The error for a local object whose bytes aren't what its name says."""
    error = CorruptData(
        f"The object {sha256} of this clone is damaged: it wasn't uploaded",
        hint="fetch it from another remote or clone, or log it again",
    )
    error.damaged_here = sha256  # type: ignore[attr-defined]
    return error


def check_sent(digest: str, sha256: str) -> None:
    """Raise where what was read to be sent isn't the object."""
    if digest != sha256:
        raise damaged_here(sha256)


class SyncDriver:
    """A file system of fsspec that blocks, such as sftp: worked by threads.

    Args:
        fs: The file system.
        root: The remote's folder in it.
        scheme: Of its URL.
    """

    parallel = 8

    def __init__(self, fs: Any, root: str, scheme: str) -> None:
        self.fs = fs
        self.root = root
        self._atomic = scheme in _ATOMIC
        self._folders: set[str] = set()
        if scheme in ("sftp", "ssh", "smb", "ftp"):
            self.parallel = 1  # one connection is for one thread
        self._threads = Threads(self.parallel)

    def start(self, method: str, *arguments: Any) -> Future[Any]:
        """Begin a method in a thread."""
        return self._threads.start(getattr(self, method), *arguments)

    def size(self, key: str) -> int | None:
        """How many bytes are under a key, or None where there is none."""
        try:
            return _size(self.fs.info(f"{self.root}/{key}"))
        except FileNotFoundError:
            return None

    def _make(self, folder: str) -> None:
        if folder not in self._folders:
            self.fs.makedirs(folder, exist_ok=True)
            self._folders.add(folder)

    def put(
        self,
        path: str,
        key: str,
        size: int,
        sha256: str,
        tell: Tell,
        share: bool = False,
        whole: bool = False,
    ) -> None:
        """Upload a file."""
        target = f"{self.root}/{key}"
        name = target if self._atomic else f"{self.root}/objects/tmp/{uuid.uuid4().hex}"
        if not self._atomic:
            self._make(f"{self.root}/objects/tmp")
            self._make(os.path.dirname(target))
        if size <= PART:
            with open(path, "rb") as small:
                data = small.read()
            check_sent(hashlib.sha256(data).hexdigest(), sha256)
            self.fs.pipe_file(name, data)
            tell(size)
        else:
            self._put_large(path, name, sha256, tell)
        if not self._atomic:
            try:
                self.fs.mv(name, target)
            except OSError:
                # sftp doesn't rename over what is there
                if self.size(key) in (None, size):
                    if self.size(key) is None:
                        raise
                    self.fs.rm_file(name)
                else:
                    self.fs.rm_file(target)
                    self.fs.mv(name, target)

    def _put_large(self, path: str, name: str, sha256: str, tell: Tell) -> None:
        digest = hashlib.sha256()
        with open(path, "rb") as source, self.fs.open(name, "wb") as target:
            while chunk := source.read(CHUNK):
                digest.update(chunk)
                target.write(chunk)
                tell(len(chunk))
            if digest.hexdigest() != sha256 and hasattr(target, "discard"):
                target.discard()
        if digest.hexdigest() != sha256:
            self.delete([name.removeprefix(f"{self.root}/")])
            raise damaged_here(sha256)

    def get(
        self,
        key: str,
        path: str,
        size: int | None,
        sha256: str,
        tell: Tell,
        share: bool = False,
    ) -> int:
        """Download to a file."""
        digest = hashlib.sha256()
        count = 0
        with open(path, "wb") as target, self.fs.open(f"{self.root}/{key}", "rb") as source:
            while chunk := source.read(CHUNK):
                digest.update(chunk)
                target.write(chunk)
                count += len(chunk)
                tell(len(chunk))
        if digest.hexdigest() != sha256:
            raise damaged_on_the_way(sha256)
        return count

    def find(self, folder: str) -> Found:
        """Every key below a folder."""
        try:
            found = self.fs.find(f"{self.root}/{folder}", detail=True)
        except FileNotFoundError:
            return {}
        return _keys(found, self.root)

    def delete(self, keys: list[str]) -> None:
        """Remove keys."""
        for key in keys:
            try:
                self.fs.rm_file(f"{self.root}/{key}")
            except FileNotFoundError:
                pass


class AsyncDriver:
    """An asynchronous file system of fsspec, such as gcsfs: many requests in one loop.

    Args:
        fs: The file system.
        root: The remote's folder in it.
        scheme: Of its URL.
    """

    parallel = 48

    def __init__(self, fs: Any, root: str, scheme: str) -> None:
        self.fs = fs
        self.root = root
        self._atomic = scheme in _ATOMIC

    def start(self, method: str, *arguments: Any) -> Future[Any]:
        """Begin a method in fsspec's loop."""
        made: Coroutine[Any, Any, Any] = getattr(self, method)(*arguments)
        return asyncio.run_coroutine_threadsafe(made, self.fs.loop)

    async def size(self, key: str) -> int | None:
        """How many bytes are under a key, or None where there is none."""
        try:
            return _size(await self.fs._info(f"{self.root}/{key}"))
        except Exception as error:
            if is_missing(error):
                return None
            raise

    async def put(
        self,
        path: str,
        key: str,
        size: int,
        sha256: str,
        tell: Tell,
        share: bool = False,
        whole: bool = False,
    ) -> None:
        """Upload a file."""
        target = f"{self.root}/{key}"
        name = target if self._atomic else f"{self.root}/objects/tmp/{uuid.uuid4().hex}"
        if size <= PART:
            with open(path, "rb") as f:
                data = f.read()
            check_sent(hashlib.sha256(data).hexdigest(), sha256)
            await self.fs._pipe_file(name, data)
        else:
            loop = asyncio.get_running_loop()
            check_sent(await loop.run_in_executor(None, digest_of, path), sha256)
            await self.fs._put_file(path, name)
        if name != target:
            await self.fs._cp_file(name, target)
            await self.fs._rm_file(name)
        tell(size)

    async def get(
        self,
        key: str,
        path: str,
        size: int | None,
        sha256: str,
        tell: Tell,
        share: bool = False,
    ) -> int:
        """Download to a file: one request, or for a large one several side by side."""
        if size is None:
            size = await self.size(key)
            if size is None:
                raise FileNotFoundError(key)
        if size > PART:
            return await self._get_large(key, path, size, sha256, tell)
        data = await self._read(key)
        if hashlib.sha256(data).hexdigest() != sha256:
            raise damaged_on_the_way(sha256)
        with open(path, "wb") as f:
            f.write(data)
        tell(len(data))
        return len(data)

    async def _read(self, key: str, start: int | None = None, end: int | None = None) -> bytes:
        data: bytes = await self.fs._cat_file(f"{self.root}/{key}", start=start, end=end)
        return data

    async def _read_part(self, key: str, start: int, end: int, sha256: str) -> bytes:
        async def read() -> bytes:
            data = await self._read(key, start, end)
            if len(data) != end - start:
                raise damaged_on_the_way(sha256)
            return data

        return await again(read)

    async def _get_large(self, key: str, path: str, size: int, sha256: str, tell: Tell) -> int:
        loop = asyncio.get_running_loop()
        digest = hashlib.sha256()
        starts = range(0, size, PART)
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        tasks: dict[int, asyncio.Task[bytes]] = {}
        try:
            for at, start in enumerate(starts):
                for begin in starts[at : at + _AHEAD]:
                    if begin not in tasks:
                        part = self._read_part(key, begin, min(begin + PART, size), sha256)
                        tasks[begin] = loop.create_task(part)
                data = await tasks.pop(start)
                await loop.run_in_executor(None, hash_and_write, digest, fd, data)
                tell(len(data))
        finally:
            for task in tasks.values():
                task.cancel()
            os.close(fd)
        if digest.hexdigest() != sha256:
            raise damaged_on_the_way(sha256)
        return size

    async def find(self, folder: str) -> Found:
        """Every key below a folder."""
        try:
            found = await self.fs._find(f"{self.root}/{folder}", detail=True)
        except FileNotFoundError as error:
            if is_missing(error):
                return {}
            raise
        return _keys(found, self.root)

    async def delete(self, keys: list[str]) -> None:
        """Remove keys; those that aren't there are no error."""
        for key in keys:
            try:
                await self.fs._rm_file(f"{self.root}/{key}")
            except FileNotFoundError:
                pass


class HttpDriver(AsyncDriver):
    """A web server that serves a remote's folder: for reading."""

    async def size(self, key: str) -> int | None:
        """How many bytes are under a key; fsspec takes a server that is down for a no."""
        session = await self.fs.set_session()
        async with session.head(f"{self.root}/{key}", allow_redirects=True) as answer:
            if answer.status in (404, 410):
                return None
            answer.raise_for_status()
            return int(answer.headers.get("Content-Length", -1))

    async def put(
        self,
        path: str,
        key: str,
        size: int,
        sha256: str,
        tell: Tell,
        share: bool = False,
        whole: bool = False,
    ) -> None:
        """Refuse."""
        raise Unsupported(
            "Remotes over http(s) are for reading",
            hint="push to another remote, such as s3://, sftp:// or a folder",
        )

    async def _get_large(self, key: str, path: str, size: int, sha256: str, tell: Tell) -> int:
        """One request: not every server knows ranges."""
        await self.fs._get_file(f"{self.root}/{key}", path)
        loop = asyncio.get_running_loop()
        if await loop.run_in_executor(None, digest_of, path) != sha256:
            raise damaged_on_the_way(sha256)
        tell(size)
        return size

    async def find(self, folder: str) -> Found:
        """Refuse: there is no telling what a web server has."""
        raise Unsupported("A remote over http(s) can't be listed")

    async def delete(self, keys: list[str]) -> None:
        """Refuse."""
        raise Unsupported("Remotes over http(s) are for reading")


def _size(info: dict[str, Any]) -> int:
    size = info.get("size")
    return -1 if size is None else int(size)


def _keys(found: dict[str, dict[str, Any]], root: str) -> Found:
    prefix = root.strip("/") + "/"
    keys: Found = {}
    for name, info in found.items():
        relative = name.lstrip("/")
        if info.get("type", "file") != "file" or not relative.startswith(prefix):
            continue
        keys[relative[len(prefix) :]] = (int(info.get("size") or 0), _written(info))
    return keys


def _written(info: dict[str, Any]) -> float:
    for name in ("LastModified", "mtime", "last_modified", "updated", "modified", "created"):
        value: Any = info.get(name)
        if isinstance(value, (int, float)):
            return float(value)
        if hasattr(value, "timestamp"):
            return float(value.timestamp())
        if isinstance(value, str):
            from datetime import datetime

            try:
                return datetime.fromisoformat(value.replace("Z", "+00:00")).timestamp()
            except ValueError:
                continue
    return 0.0
