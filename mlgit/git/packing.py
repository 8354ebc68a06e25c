"""Packing loose objects, and packs that were made here, as they pile up.

Each run's commit is a small pack of its own (``batch``). Once there are many, they are
joined, by whoever made the last; what was joined is joined again in the background. Packs
made here hold no deltas, so that joining is copying. ``git gc`` is never run from here.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterable, Iterator

from mlgit.exceptions import CorruptData, MlgitException, from_os_error
from mlgit.git.files import unlock_and_close
from mlgit.git.objects import ObjectStore
from mlgit.git.packfile import packed, read_entries, write_large

# Together less than Git's own limit for "gc --auto" (gc.autoPackLimit: 50).
SMALL_PACKS = 20
JOINED_PACKS = 12
# What one pack of loose objects holds at the most, so that memory stays flat.
_BATCH = 50_000
# Seconds for which a .keep file counts. Between pack and ref there are milliseconds.
_KEPT = 600.0
_LINE = len("pack-") + 40 + 1


def pack_loose(objects: ObjectStore, state_dir: str) -> int:
    """Move loose objects into packs.

    Each pack is in place, with its index, before the loose copies go; a reader finds an
    object in one or the other.

    Args:
        objects: The object store.
        state_dir: Where the lists of the packs made here are kept.

    Returns:
        How many objects were moved.

    Raises:
        StorageError, PermissionDenied: It can't be written.
    """
    names = objects.loose()
    moved = 0
    for at in range(0, len(names), _BATCH):
        made = write_large(objects.pack_dir, _loose_entries(objects, names[at : at + _BATCH]))
        if made is None:
            continue
        PackNames(state_dir, joined=True).add(made[0])
        for name in made[1]:
            try:
                os.unlink(f"{objects.path}/{name[:2]}/{name[2:]}")
            except OSError:
                continue  # removed by git gc meanwhile, or not ours to remove: it is packed too
        moved += len(made[1])
    objects.refresh()
    return moved


def _loose_entries(objects: ObjectStore, names: Iterable[str]) -> Iterator[tuple[str, bytes]]:
    """(name, packed bytes) of loose objects; those that are gone or damaged are passed over."""
    for name in names:
        try:
            kind, data = objects.read(name)
        except MlgitException:
            continue
        yield name, packed(kind, data)


def remember_small(state_dir: str, name: str) -> None:
    """Note a pack that one run's commit made."""
    PackNames(state_dir, joined=False).add(name)


def many_small(state_dir: str) -> bool:
    """Whether it is time for ``join_small``."""
    return PackNames(state_dir, joined=False).count() >= SMALL_PACKS


def many_joined(state_dir: str) -> bool:
    """Whether it is time for ``join_large``."""
    return PackNames(state_dir, joined=True).count() >= JOINED_PACKS


def join_small(objects: ObjectStore, state_dir: str) -> int:
    """Join the packs of single commits into one.

    The caller holds the lock of maintenance.

    Returns:
        How many packs there were.

    Raises:
        StorageError, PermissionDenied: It can't be written.
    """
    names = PackNames(state_dir, joined=False).names()
    if len(names) > 1:
        _join(objects, state_dir, names)
    return len(names)


def join_large(objects: ObjectStore, state_dir: str, at_most: int | None = None) -> int:
    """Join the smaller of the joined packs, once there are many of them.

    Sizes grow geometrically, so that each object is copied a logarithmic number of times.
    The caller holds the lock of maintenance.

    Args:
        objects: The object store.
        state_dir: Where the lists of the packs made here are kept.
        at_most: Join no more than this many bytes.

    Returns:
        How many packs were joined into one; 0 where there are few.

    Raises:
        StorageError, PermissionDenied: It can't be written.
    """
    sizes = {}
    for name in PackNames(state_dir, joined=True).names():
        try:
            sizes[name] = os.path.getsize(f"{objects.pack_dir}/{name}.pack")
        except OSError:
            sizes[name] = 0  # repacked by git gc: only its name is left, and goes
    if len(sizes) < JOINED_PACKS:
        return 0
    chosen: list[str] = []
    total = 0
    for name in sorted(sizes, key=lambda name: sizes[name]):
        if len(chosen) >= 2 and sizes[name] > 2 * total:
            break
        if at_most is not None and total + sizes[name] > at_most:
            break
        chosen.append(name)
        total += sizes[name]
    if len(chosen) < 2:
        return 0
    _join(objects, state_dir, chosen)
    return len(chosen)


def _join(objects: ObjectStore, state_dir: str, names: list[str]) -> None:
    names = [name for name in names if not _is_kept(f"{objects.pack_dir}/{name}.keep")]
    whole: list[str] = []
    made = write_large(objects.pack_dir, _entries_of(objects.pack_dir, names, whole))
    if made:
        PackNames(state_dir, joined=True).add(made[0])
        for name in whole:
            if name == made[0]:
                continue
            for suffix in (".idx", ".pack", ".keep"):
                try:
                    os.unlink(f"{objects.pack_dir}/{name}{suffix}")
                except OSError:
                    pass
    gone = set(names) - {made[0] if made else ""}
    for joined in (False, True):
        PackNames(state_dir, joined=joined).remove(gone)
    objects.refresh()


def _is_kept(path: str) -> bool:
    """Whether somebody is about to make a ref for a pack; long ago, and they died over it."""
    try:
        return time.time() - os.stat(path).st_mtime < _KEPT
    except OSError:
        return False


def _entries_of(pack_dir: str, names: list[str], whole: list[str]) -> Iterator[tuple[str, bytes]]:
    """What packs hold. Those that were read to their end, and may go, are put into ``whole``."""
    for name in names:
        try:
            yield from read_entries(pack_dir, name)
        except (CorruptData, OSError):
            continue  # damaged: it stays for "git fsck"; or repacked by git gc meanwhile
        whole.append(name)


class PackNames:
    """The names of packs made here, a line each, in one file that is never replaced.

    A name that is lost costs nothing but that its pack isn't joined.
    """

    def __init__(self, state_dir: str, *, joined: bool) -> None:
        self.path = f"{state_dir}/{'joined' if joined else 'small'}-packs"

    def add(self, name: str) -> None:
        self._change(lambda text: text + name.encode() + b"\n")

    def remove(self, names: set[str]) -> None:
        def without(text: bytes) -> bytes:
            lines = text.splitlines(keepends=True)
            return b"".join(line for line in lines if line.strip().decode() not in names)

        if os.path.exists(self.path):
            self._change(without)

    def count(self) -> int:
        try:
            return os.stat(self.path).st_size // _LINE
        except OSError:
            return 0

    def names(self) -> list[str]:
        try:
            with open(self.path, "rb") as f:
                lines = f.read().decode("ascii", "replace").splitlines()
        except OSError:
            return []
        whole = (line for line in lines if len(line) == _LINE - 1 and line.startswith("pack-"))
        return list(dict.fromkeys(line for line in whole if line[5:].isalnum()))

    def _change(self, change: Callable[[bytes], bytes]) -> None:
        try:
            fd = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o666)
        except FileNotFoundError:
            os.makedirs(os.path.dirname(self.path), exist_ok=True)
            fd = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            raise from_os_error(error, "note a pack") from error
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            before = os.pread(fd, os.fstat(fd).st_size, 0)
            after = change(before)
            common = len(before) if after.startswith(before) else 0
            os.pwrite(fd, after[common:], common)
            os.ftruncate(fd, len(after))
        except OSError as error:
            raise from_os_error(error, "note a pack") from error
        finally:
            unlock_and_close(fd)
