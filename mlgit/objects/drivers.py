"""How bytes get to and from a remote: what all drivers do, and what they share.

A driver moves files under keys. ``start`` begins one of its methods and returns a future, so
that who transfers many needn't know whether threads or coroutines do the work.
"""

from __future__ import annotations

from concurrent.futures import Future
from typing import Any, Protocol

from mlgit.exceptions import CorruptData
from mlgit.objects.copying import Tell

CHUNK = 1 << 20
# One request's worth of a large file.
PART = 8 << 20
# Whose put is atomic, so that no temporary name is needed.
ATOMIC = {"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "adl", "oss", "oci", "memory"}

Found = dict[str, tuple[int, float]]


class Driver(Protocol):
    """What all drivers do. Keys are relative to the remote, with slashes.

    ``put`` makes a key visible whole or not at all, and refuses bytes that don't have the
    digest; ``get`` writes to a path that the caller renames, and refuses such bytes too.
    """

    parallel: int

    def takes(self, method: str, size: int) -> int:
        """How many bytes of memory a put or get of a file takes while it is under way."""

    def start(self, method: str, *arguments: Any) -> Future[Any]:
        """Begin one of the methods below."""

    def settle(self) -> None:
        """Wait until what was cancelled makes no more files."""

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


def size_of(info: dict[str, Any]) -> int:
    """The size that fsspec tells of a file; -1 where it tells none."""
    size = info.get("size")
    return -1 if size is None else int(size)


def keys_of(found: dict[str, dict[str, Any]], root: str) -> Found:
    """What fsspec found below a remote's folder, by key."""
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
