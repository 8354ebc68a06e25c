"""Remotes by asynchronous file systems of fsspec: many requests in one loop."""

from __future__ import annotations

import asyncio
import hashlib
import os
import uuid
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

from mlgit.exceptions import Unsupported
from mlgit.objects.copying import Tell, digest_of, hash_and_write
from mlgit.objects.drivers import (
    ATOMIC,
    PART,
    Found,
    check_sent,
    damaged_on_the_way,
    keys_of,
    size_of,
)
from mlgit.objects.failures import is_missing, may_pass
from mlgit.objects.parallel import pause

R = TypeVar("R")
# Parts of one file that are under way at once.
_AHEAD = 4


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
        self._atomic = scheme in ATOMIC

    def takes(self, method: str, size: int) -> int:
        """How many bytes of memory a put or get of a file takes while it is under way."""
        return min(size, _AHEAD * PART)

    def start(self, method: str, *arguments: Any) -> Future[Any]:
        """Begin a method in fsspec's loop."""
        made: Coroutine[Any, Any, Any] = getattr(self, method)(*arguments)
        return asyncio.run_coroutine_threadsafe(made, self.fs.loop)

    def settle(self) -> None:
        """Wait until what was cancelled makes no more files."""
        try:
            # The loop takes this up after the cancellations.
            asyncio.run_coroutine_threadsafe(asyncio.sleep(0), self.fs.loop).result(timeout=1)
        except TimeoutError:
            pass  # it is stuck, and what it left behind is removed as a dead process's

    async def size(self, key: str) -> int | None:
        """How many bytes are under a key, or None where there is none."""
        try:
            return size_of(await self.fs._info(f"{self.root}/{key}"))
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
        return keys_of(found, self.root)

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


async def again(do: Callable[[], Awaitable[R]], attempts: int = 5) -> R:
    """Do a part of a job, and again where what stopped it may pass.

    Args:
        do: Makes what is to be awaited.
        attempts: How often at most.
    """
    for attempt in range(1, attempts):
        try:
            return await do()
        except Exception as error:
            if not may_pass(error):
                raise
        await asyncio.sleep(pause(attempt))
    return await do()
