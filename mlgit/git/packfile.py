"""Packs of whole objects: written, indexed, and read back entry by entry.

No deltas are made: ``git gc`` finds them whenever it runs. dulwich could write packs as
well; to import its pack module takes longer than a hundred runs take to be written.
Format: git-scm.com/docs/gitformat-pack.
"""

from __future__ import annotations

import hashlib
import os
import struct
import zlib
from collections.abc import Iterable, Iterator
from typing import BinaryIO

from mlgit.exceptions import CorruptData, from_os_error
from mlgit.git.files import open_in_folder

KINDS = {"commit": 1, "tree": 2, "blob": 3, "tag": 4}
_LARGE = 0x80000000

# (object name, offset in the pack, CRC-32 of the packed bytes)
_IndexEntry = tuple[bytes, int, int]


def packed(kind: str, data: bytes, level: int = -1) -> bytes:
    """One object as it stands in a pack."""
    return _entry_header(KINDS[kind], len(data)) + zlib.compress(data, level)


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


def write_small(pack_dir: str, entries: dict[str, bytes]) -> str:
    """Write a pack that fits into memory, and its index.

    Until its ``.keep`` file is removed, ``git gc`` lets it alone, though no ref leads to it yet
    (git-scm.com/docs/git-index-pack, --keep).

    Args:
        pack_dir: ``objects/pack``; made if it isn't there.
        entries: The packed bytes by object name.

    Returns:
        The pack's name, without folder and suffix.

    Raises:
        StorageError, PermissionDenied: It can't be written.
    """
    offset = 12
    index: list[_IndexEntry] = []
    for name, data in entries.items():
        index.append((bytes.fromhex(name), offset, zlib.crc32(data)))
        offset += len(data)
    body = struct.pack(">4sLL", b"PACK", 2, len(entries)) + b"".join(entries.values())
    checksum = hashlib.sha1(body).digest()
    temporary = _temporary(pack_dir)
    try:
        _write_file(temporary, body + checksum)
        os.close(open_in_folder(f"{pack_dir}/pack-{checksum.hex()}.keep", os.O_WRONLY | os.O_CREAT))
        _place(pack_dir, temporary, index, checksum, sync=False)
    except OSError as error:
        raise from_os_error(error, "write Git's objects") from error
    finally:
        _remove(temporary)
    return f"pack-{checksum.hex()}"


def write_large(
    pack_dir: str, entries: Iterable[tuple[str, bytes]]
) -> tuple[str, list[str]] | None:
    """Write a pack and its index, streaming, and wait until the disk has them.

    Args:
        pack_dir: ``objects/pack``; made if it isn't there.
        entries: (name, packed bytes) of objects; a name that comes again is passed over.

    Returns:
        The pack's name and the objects that it holds; None where there are none.

    Raises:
        StorageError, PermissionDenied: It can't be written.
    """
    temporary = _temporary(pack_dir)
    index: list[_IndexEntry] = []
    try:
        os.makedirs(pack_dir, exist_ok=True)
        with open(temporary, "wb") as out:
            _write_body(out, entries, index)
        if not index:
            return None
        checksum = _seal(temporary, len(index))
        os.chmod(temporary, 0o444)
        _place(pack_dir, temporary, index, checksum, sync=True)
    except OSError as error:
        raise from_os_error(error, "pack Git's objects") from error
    finally:
        _remove(temporary)
    return f"pack-{checksum.hex()}", [name.hex() for name, _, _ in index]


def _temporary(pack_dir: str) -> str:
    # "git prune" removes what a killed process left by such a name.
    return f"{pack_dir}/tmp_pack_{os.getpid():x}_{os.urandom(4).hex()}"


def _write_file(path: str, data: bytes, *, sync: bool = False) -> None:
    fd = open_in_folder(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o444)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(fd, view) :]
        if sync:
            os.fsync(fd)
    finally:
        os.close(fd)


def _remove(path: str) -> None:
    try:
        os.unlink(path)
    except OSError:
        pass  # it was renamed, as a rule


def _write_body(
    out: BinaryIO, entries: Iterable[tuple[str, bytes]], index: list[_IndexEntry]
) -> None:
    out.write(struct.pack(">4sLL", b"PACK", 2, 0))
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


def _place(
    pack_dir: str, temporary: str, index: list[_IndexEntry], checksum: bytes, *, sync: bool
) -> None:
    base = f"{pack_dir}/pack-{checksum.hex()}"
    index_file = temporary.replace("/tmp_pack_", "/tmp_idx_")
    try:
        _write_file(index_file, _index_bytes(sorted(index), checksum), sync=sync)
        # Git takes a pack for complete when its index is there: it comes last.
        os.rename(temporary, base + ".pack")
        os.rename(index_file, base + ".idx")
    except BaseException:
        _remove(index_file)
        raise


def _index_bytes(index: list[_IndexEntry], checksum: bytes) -> bytes:
    """A pack index, version 2."""
    counts = [0] * 256
    for name, _, _ in index:
        counts[name[0]] += 1
    fanout = []
    total = 0
    for count in counts:
        total += count
        fanout.append(total)
    large = [offset for _, offset, _ in index if offset >= _LARGE]
    places = iter(range(len(large)))
    offsets = [o if o < _LARGE else _LARGE | next(places) for _, o, _ in index]
    data = b"".join(
        (
            b"\xfftOc\0\0\0\2",
            struct.pack(">256L", *fanout),
            *(name for name, _, _ in index),
            struct.pack(f">{len(index)}L", *(crc for _, _, crc in index)),
            struct.pack(f">{len(index)}L", *offsets),
            struct.pack(f">{len(large)}Q", *large),
            checksum,
        )
    )
    return data + hashlib.sha1(data).digest()


def read_entries(pack_dir: str, name: str) -> Iterator[tuple[str, bytes]]:
    """(object name, packed bytes) of a pack that was made here, in its order.

    Raises:
        CorruptData: It isn't whole.
        OSError: It can't be read.
    """
    with open(f"{pack_dir}/{name}.idx", "rb") as f:
        entries = sorted(_index_offsets(f.read(), name))
    with open(f"{pack_dir}/{name}.pack", "rb") as f:
        end = os.fstat(f.fileno()).st_size - 20
        ends = [offset for offset, _, _ in entries[1:]] + [end]
        for (offset, sha, crc), after in zip(entries, ends):
            f.seek(offset)
            data = f.read(after - offset)
            if zlib.crc32(data) != crc:
                raise CorruptData(f"The pack {name} is damaged", hint="git fsck --full tells more")
            yield sha.hex(), data


def _index_offsets(data: bytes, name: str) -> Iterator[tuple[int, bytes, int]]:
    """(offset, object name, CRC-32) of every object in a pack index."""
    try:
        if data[:8] != b"\xfftOc\0\0\0\2" or hashlib.sha1(data[:-20]).digest() != data[-20:]:
            raise ValueError
        (count,) = struct.unpack_from(">L", data, 8 + 255 * 4)
        shas = 8 + 256 * 4
        crcs = struct.unpack_from(f">{count}L", data, shas + 20 * count)
        offsets = struct.unpack_from(f">{count}L", data, shas + 24 * count)
        for i, (offset, crc) in enumerate(zip(offsets, crcs)):
            if offset >= _LARGE:
                place = shas + 28 * count + 8 * (offset - _LARGE)
                (offset,) = struct.unpack_from(">Q", data, place)
            yield offset, data[shas + 20 * i : shas + 20 * i + 20], crc
    except (ValueError, struct.error) as error:
        raise CorruptData(
            f"The index of the pack {name} is damaged", hint="git fsck --full tells more"
        ) from error
