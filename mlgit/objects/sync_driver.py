"""A remote by a file system of fsspec that blocks."""

from __future__ import annotations

import hashlib
import os
import uuid
from concurrent.futures import Future
from typing import Any

from mlgit.objects.copying import Tell
from mlgit.objects.drivers import (
    ATOMIC,
    CHUNK,
    PART,
    Found,
    check_sent,
    damaged_here,
    damaged_on_the_way,
    keys_of,
    size_of,
)
from mlgit.objects.parallel import Threads


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
        self._atomic = scheme in ATOMIC
        self._folders: set[str] = set()
        if scheme in ("sftp", "ssh", "smb", "ftp"):
            self.parallel = 1  # one connection is for one thread
        self._threads = Threads(self.parallel)

    def takes(self, method: str, size: int) -> int:
        """How many bytes of memory a put or get of a file takes while it is under way."""
        return min(size, 2 * PART)

    def start(self, method: str, *arguments: Any) -> Future[Any]:
        """Begin a method in a thread."""
        return self._threads.start(getattr(self, method), *arguments)

    def settle(self) -> None:
        """Nothing: what runs in threads isn't cancelled."""

    def size(self, key: str) -> int | None:
        """How many bytes are under a key, or None where there is none."""
        try:
            return size_of(self.fs.info(f"{self.root}/{key}"))
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
        return keys_of(found, self.root)

    def delete(self, keys: list[str]) -> None:
        """Remove keys."""
        for key in keys:
            try:
                self.fs.rm_file(f"{self.root}/{key}")
            except FileNotFoundError:
                pass
