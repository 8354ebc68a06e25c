"""Packing loose objects, and packs that were made here, as they pile up.

Packs made here hold whole objects without deltas, so that making one is fast and joining
several is copying. ``git gc`` finds the deltas whenever it runs; it is never run from here.
Format: git-scm.com/docs/pack-format.
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
import zlib
from collections.abc import Iterable, Iterator
from typing import BinaryIO

from mlgit.exceptions import MlgitException, from_os_error
from mlgit.git.objects import ObjectStore

_TYPES = {"commit": 1, "tree": 2, "blob": 3, "tag": 4}
_MAX_PACKS = 8
# What one pack of loose objects holds at the most, so that memory stays flat.
_BATCH = 50_000

# (object name, offset in the pack, CRC-32 of the packed bytes)
_IndexEntry = tuple[bytes, int, int]


def pack_loose(objects: ObjectStore, state_dir: str) -> int:
    """Move loose objects into packs.

    Each pack is in place, with its index, before the loose copies go; a reader finds an
    object in one or the other.

    Args:
        objects: The object store.
        state_dir: Where the list of the packs made here is kept.

    Returns:
        How many objects were moved.
    """
    names = objects.loose()
    moved = 0
    for at in range(0, len(names), _BATCH):
        packed = _write_pack(
            objects.path, state_dir, _loose_entries(objects, names[at : at + _BATCH])
        )
        for name in packed:
            try:
                os.unlink(f"{objects.path}/{name[:2]}/{name[2:]}")
            except OSError:
                continue  # removed by git gc meanwhile, or not ours to remove: it is packed too
        moved += len(packed)
    objects.refresh()
    return moved


def _loose_entries(objects: ObjectStore, names: Iterable[str]) -> Iterator[tuple[str, bytes]]:
    """(name, packed bytes) of loose objects; those that are gone or damaged are passed over."""
    for name in names:
        try:
            kind, data = objects.read(name)
        except MlgitException:
            continue
        yield name, _entry_header(_TYPES[kind], len(data)) + zlib.compress(data)


def _entry_header(kind: int, size: int) -> bytes:
    byte = (kind << 4) | (size & 15)
    size >>= 4
    header = bytearray()
    while size:
        header.append(byte | 0x80)
        byte = size & 0x7F
        size >>= 7
    header.append(byte)
    return bytes(header)


def _write_pack(folder: str, state_dir: str, entries: Iterable[tuple[str, bytes]]) -> list[str]:
    """Write a pack and its index; the names of what it holds."""
    pack_dir = f"{folder}/pack"
    os.makedirs(pack_dir, exist_ok=True)
    temporary = f"{pack_dir}/tmp_pack_{os.getpid():x}_{os.urandom(4).hex()}"
    index: list[_IndexEntry] = []
    try:
        with open(temporary, "wb") as out:
            _write_body(out, entries, index)
        if not index:
            return []
        checksum = _seal(temporary, len(index))
        _place(pack_dir, temporary, index, checksum)
    except OSError as error:
        raise from_os_error(error, "pack Git's objects") from error
    finally:
        if os.path.exists(temporary):
            os.unlink(temporary)
    _remember(state_dir, f"pack-{checksum.hex()}")
    return [name.hex() for name, _, _ in index]


def _write_body(
    out: BinaryIO, entries: Iterable[tuple[str, bytes]], index: list[_IndexEntry]
) -> None:
    out.write(b"PACK" + struct.pack(">LL", 2, 0))
    offset = 12
    seen: set[str] = set()
    for name, data in entries:
        if name in seen:
            continue
        seen.add(name)
        index.append((bytes.fromhex(name), offset, zlib.crc32(data)))
        out.write(data)
        offset += len(data)


def _seal(path: str, count: int) -> bytes:
    """Write the number of objects into a pack's header and its checksum behind it."""
    with open(path, "r+b") as f:
        f.seek(8)
        f.write(struct.pack(">L", count))
        f.seek(0)
        digest = hashlib.sha1()
        while chunk := f.read(1 << 20):
            digest.update(chunk)
        f.seek(0, os.SEEK_END)
        f.write(digest.digest())
        f.flush()
        os.fsync(f.fileno())
    return digest.digest()


def _place(pack_dir: str, temporary: str, index: list[_IndexEntry], checksum: bytes) -> None:
    from dulwich.pack import write_pack_index_v2

    base = f"{pack_dir}/pack-{checksum.hex()}"
    with open(temporary + ".idx", "wb") as out:
        write_pack_index_v2(out, sorted(index), checksum)  # type: ignore[arg-type]
        out.flush()
        os.fsync(out.fileno())
    os.chmod(temporary, 0o444)
    os.chmod(temporary + ".idx", 0o444)
    # Git takes a pack for complete when its index is there: it comes last.
    os.rename(temporary, base + ".pack")
    os.rename(temporary + ".idx", base + ".idx")


# -- joining packs


def join_packs(objects: ObjectStore, state_dir: str) -> int:
    """Join the smaller packs that were made here, once there are many of them.

    Sizes grow geometrically, so that each object is copied a logarithmic number of times.

    Returns:
        How many packs were joined into one; 0 where there are few.
    """
    pack_dir = f"{objects.path}/pack"
    ours = [n for n in _remembered(state_dir) if os.path.exists(f"{pack_dir}/{n}.idx")]
    if len(ours) < _MAX_PACKS:
        return 0
    ours.sort(key=lambda name: os.path.getsize(f"{pack_dir}/{name}.pack"))
    chosen: list[str] = []
    total = 0
    for name in ours:
        size = os.path.getsize(f"{pack_dir}/{name}.pack")
        if len(chosen) >= 2 and size > 2 * total:
            break
        chosen.append(name)
        total += size
    made = _write_pack(objects.path, state_dir, _packed_entries(pack_dir, chosen))
    if made:
        for name in chosen:
            for suffix in (".idx", ".pack"):
                try:
                    os.unlink(f"{pack_dir}/{name}{suffix}")
                except OSError:
                    pass
    objects.refresh()
    return len(chosen)


def _packed_entries(pack_dir: str, names: list[str]) -> Iterator[tuple[str, bytes]]:
    from dulwich.object_format import DEFAULT_OBJECT_FORMAT
    from dulwich.pack import load_pack_index

    for name in names:
        index = load_pack_index(f"{pack_dir}/{name}.idx", DEFAULT_OBJECT_FORMAT)
        try:
            entries = sorted((entry[1], entry[0]) for entry in index.iterentries())
        finally:
            index.close()
        with open(f"{pack_dir}/{name}.pack", "rb") as f:
            end = os.fstat(f.fileno()).st_size - 20
            ends = [offset for offset, _ in entries[1:]] + [end]
            for (offset, sha), after in zip(entries, ends):
                f.seek(offset)
                yield bytes(sha).hex(), f.read(after - offset)


def _remembered(state_dir: str) -> list[str]:
    try:
        with open(f"{state_dir}/packs.json", encoding="utf-8") as f:
            found = json.load(f)
    except (OSError, ValueError):
        return []
    return [str(name) for name in found] if isinstance(found, list) else []


def _remember(state_dir: str, name: str) -> None:
    os.makedirs(state_dir, exist_ok=True)
    known = [n for n in _remembered(state_dir) if n != name]
    temporary = f"{state_dir}/packs.json.{os.getpid()}"
    with open(temporary, "w", encoding="utf-8") as f:
        json.dump([*known, name], f)
    os.replace(temporary, f"{state_dir}/packs.json")
