"""What a file or folder on the disk is by content, each file read only if its stat is new.

The same pass serves who only looks (``keep=False``) and who stores what it finds.
"""

from __future__ import annotations

import hashlib
import os
import stat
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from mlgit.exceptions import InvalidParameterValue, MlgitException, ResourceDoesNotExist
from mlgit.exceptions import from_os_error as _os_error
from mlgit.objects.local import LocalObjects
from mlgit.objects.manifest import Entry, format_manifest, is_git_name
from mlgit.objects.memory import FolderMemory, Row, Stat, known, settled, signed, stamp

# What a write that was cut short leaves behind; it is never data.
PART = ".mlgit-part-"
_PART = PART.encode()
_CHUNK = 1 << 18
_LARGE = 1 << 20
_MAX_DEPTH = 200
_THREADS = 4
_SAVE_BYTES = 256 << 20

Progress = Callable[[int, int], None]


@dataclass
class Node:
    """A file or folder as it lies on the disk.

    Attributes:
        entry: What it is by content; of a folder with ``odd`` things, of the rest.
        folders: The folders directly below, by name.
        odd: Name → why that can't be data (a socket, a link that leads out, …). Of a file
            itself the name is "".
    """

    entry: Entry
    folders: dict[str, Node] = field(default_factory=dict)
    odd: dict[str, str] = field(default_factory=dict)
    _files: tuple[bytes, bytes] = (b"", b"")

    def files(self) -> dict[str, Entry]:
        """The files directly in it, by name."""
        row = Row(self._files[0], self._files[1], b"", self.entry)
        return {
            os.fsdecode(name): Entry(kind, sha.hex(), size)
            for (name, kind, _, size, _, _), sha in (known(row) if row.stamp else ())
        }

    def all_odd(self, prefix: str = "") -> Iterator[tuple[str, str]]:
        """Every odd thing in it and below: (path, why)."""
        for name, why in sorted(self.odd.items()):
            yield prefix + name, why
        for name, node in sorted(self.folders.items()):
            yield from node.all_odd(f"{prefix}{name}/")


class Scanner:
    """Looks at files and folders, and stores them where that is wanted.

    Args:
        objects: Where they are stored.
        memory: What was known of them before.
        keep: Store what isn't stored yet. Else they are only hashed.
        progress: Called with the bytes that are done, and those seen so far.
    """

    def __init__(
        self,
        objects: LocalObjects,
        memory: FolderMemory,
        *,
        keep: bool,
        progress: Progress | None = None,
    ) -> None:
        self._objects = objects
        self._memory = memory
        self._keep = keep
        self._progress = progress
        self._seen = self._done = self._unsaved = 0
        self._root = b""

    def scan(self, path: str) -> Node:
        """What is at a path.

        Raises:
            ResourceDoesNotExist: Nothing is.
            InvalidParameterValue: It changed while it was read (only with ``keep``).
            StorageError, PermissionDenied: It can't be read, or stored (only with ``keep``).
        """
        raw = os.fsencode(path)
        try:
            found = os.lstat(raw)
            self._root = os.path.realpath(raw) + b"/"
            if stat.S_ISDIR(found.st_mode):
                node = self._folder(raw, (found.st_dev, found.st_ino), 0)
            else:
                node = self._file(raw, found)
        except FileNotFoundError as error:
            raise ResourceDoesNotExist(f"No such file or folder: {path}") from error
        except OSError as error:
            raise _os_error(error, f"read {path}") from error
        finally:
            self._memory.save()
        return node

    # -- one file by itself

    def _file(self, path: bytes, found: os.stat_result) -> Node:
        if not stat.S_ISREG(found.st_mode):
            return Node(Entry("f", "", 0), odd={"": _what(found.st_mode)})
        own = stat_of(b"", found)
        self._seen += found.st_size
        place = (found.st_dev, found.st_ino)
        row = self._memory.get(place)
        marks = stamp([own])
        if row is not None and row.stamp == marks and self._kept(row.shas):
            self._advance(found.st_size)
            return Node(row.entry)
        looked = time.time_ns()
        sha = self._digest(path, own)
        if isinstance(sha, str):
            return Node(Entry(own[1], "", own[3]), odd={"": sha})
        entry = Entry(own[1], sha.hex(), own[3])
        self._memory.put(place, Row(stamp([settled(own, looked)]), sha, b"", entry))
        return Node(entry)

    # -- folders

    def _folder(self, path: bytes, place: tuple[int, int], depth: int) -> Node:
        if depth >= _MAX_DEPTH:
            raise InvalidParameterValue(
                f"{os.fsdecode(path)} is {depth} folders deep", hint="keep it packed, as one file"
            )
        looked = time.time_ns()
        files, subfolders, odd = self._list(path)
        folders = {
            os.fsdecode(name): self._folder(path + b"/" + name, found, depth + 1)
            for name, found in subfolders
        }
        row = self._memory.get(place)
        marks = stamp(files)
        nested = below({name: node.entry for name, node in folders.items()})
        same = row is not None and row.stamp == marks
        if same and row is not None and row.below == nested and self._all_kept(row):
            self._advance(sum(file[3] for file in files))
            return Node(row.entry, folders, odd, (marks, row.shas))
        shas = row.shas if same and row and self._all_kept(row) else b""
        if len(shas) != 32 * len(files):
            files, shas = self._digests(path, place, files, row, odd, looked)
        entry = self._manifest(files, shas, folders)
        remembered = stamp([settled(file, looked) for file in files])
        self._memory.put(place, Row(remembered, shas, nested, entry))
        if self._unsaved > _SAVE_BYTES:
            self._unsaved = 0
            self._memory.save()
        return Node(entry, folders, odd, (remembered, shas))

    def _list(
        self, path: bytes
    ) -> tuple[list[Stat], list[tuple[bytes, tuple[int, int]]], dict[str, str]]:
        """The files, folders and odd things directly in a folder."""
        files: list[Stat] = []
        folders: list[tuple[bytes, tuple[int, int]]] = []
        odd: dict[str, str] = {}
        regular, seen = stat.S_IFREG, 0
        with os.scandir(path) as items:
            for item in items:
                name = item.name
                st = item.stat(follow_symlinks=False)
                mode = st.st_mode
                why = ""
                suspect = name[:4].lower() in (b".git", b"git~") or not name.isascii()
                if suspect and is_git_name(os.fsdecode(name)):
                    why = "a name of Git's"
                elif stat.S_IFMT(mode) == regular:
                    if name[:5] == b".mlgi" and name.startswith(_PART):
                        continue
                elif stat.S_ISDIR(mode):
                    folders.append((name, (st.st_dev, st.st_ino)))
                    continue
                elif stat.S_ISLNK(mode):
                    why, st = self._follow(path + b"/" + name, st)
                else:
                    why = _what(mode)
                if why:
                    odd[os.fsdecode(name)] = why
                    continue
                # A hard link's ctime changes whenever another is made.
                ctime = st.st_ctime_ns if st.st_nlink == 1 else 0
                kind = "x" if st.st_mode & 0o100 else "f"
                files.append((name, kind, signed(st.st_ino), st.st_size, st.st_mtime_ns, ctime))
                seen += st.st_size
        self._seen += seen
        files.sort()
        folders.sort()
        return files, folders, odd

    def _follow(self, path: bytes, found: os.stat_result) -> tuple[str, os.stat_result]:
        """Why a link can't be data, or "" and the stat of the file that it leads to."""
        try:
            target = os.stat(path)
        except OSError:
            return "a link that leads nowhere", found
        if not os.path.realpath(path).startswith(self._root):
            return "a link that leads out of the folder", found
        if stat.S_ISDIR(target.st_mode):
            return "a link to a folder", found
        return ("" if stat.S_ISREG(target.st_mode) else _what(target.st_mode)), target

    def _digests(
        self,
        path: bytes,
        place: tuple[int, int],
        files: list[Stat],
        row: Row | None,
        odd: dict[str, str],
        looked: int,
    ) -> tuple[list[Stat], bytes]:
        """The files that could be read, and their digests; those of which are known, known."""
        before = dict(known(row)) if row is not None else {}
        found: dict[bytes, bytes] = {}
        new: list[Stat] = []
        for file in files:
            sha = before.get(file)
            if sha is not None and self._kept(sha):
                found[file[0]] = sha
                self._advance(file[3])
            else:
                new.append(file)
        try:
            for file, result in self._digest_all(path, new):
                if isinstance(result, str):
                    odd[os.fsdecode(file[0])] = result
                else:
                    found[file[0]] = result
        except BaseException:
            # What was hashed needn't be again, when the person repeats this.
            done = [file for file in files if file[0] in found]
            marks = stamp([settled(file, looked) for file in done])
            shas = b"".join(found[file[0]] for file in done)
            self._memory.put(place, Row(marks, shas, b"", Entry("d", "", 0)))
            raise
        read = [file for file in files if file[0] in found]
        return read, b"".join(found[file[0]] for file in read)

    def _digest_all(self, path: bytes, files: list[Stat]) -> Iterator[tuple[Stat, bytes | str]]:
        large = [file for file in files if file[3] >= _LARGE]
        for file in files:
            if file[3] < _LARGE or len(large) < 2:
                yield file, self._digest(path + b"/" + file[0], file)
        if len(large) < 2:
            return
        from concurrent.futures import ThreadPoolExecutor

        # Hashing large pieces lets other threads run; small ones would only wait for each other.
        pool = ThreadPoolExecutor(min(_THREADS, len(large)))
        try:
            yield from zip(large, pool.map(lambda f: self._digest(path + b"/" + f[0], f), large))
        finally:
            pool.shutdown(cancel_futures=True)

    def _digest(self, path: bytes, file: Stat) -> bytes | str:
        """A file's digest, or why there is none (only without ``keep``)."""
        if self._keep:
            sha = bytes.fromhex(self._objects.put_file(os.fsdecode(path), share=True).sha256)
            self._advance(file[3])
            return sha
        try:
            return self._hash(path)
        except MlgitException as error:
            return error.message
        except OSError as error:
            return f"unreadable: {error.strerror}"

    def _hash(self, path: bytes) -> bytes:
        digest = hashlib.sha256()
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        try:
            before = os.fstat(fd)
            while chunk := os.read(fd, _CHUNK):
                digest.update(chunk)
                self._advance(len(chunk))
            after = os.fstat(fd)
        finally:
            os.close(fd)
        if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
            raise InvalidParameterValue("it is being written")
        return digest.digest()

    def _manifest(self, files: list[Stat], shas: bytes, folders: dict[str, Node]) -> Entry:
        entries = {name: node.entry for name, node in folders.items()}
        for at, (name, kind, _, size, _, _) in enumerate(files):
            entries[os.fsdecode(name)] = Entry(kind, shas[32 * at : 32 * at + 32].hex(), size)
        if self._keep:
            return self._objects.put_manifest(entries)
        sha = hashlib.sha256(format_manifest(entries)).hexdigest()
        return Entry(
            "d",
            sha,
            sum(entry.size for entry in entries.values()),
            sum(entry.files for entry in entries.values()),
        )

    # -- what is stored already

    def _kept(self, sha: bytes) -> bool:
        return not self._keep or self._objects.keep(sha.hex())

    def _all_kept(self, row: Row) -> bool:
        if not self._keep:
            return True
        pieces = (row.shas[at : at + 32].hex() for at in range(0, len(row.shas), 32))
        return all(map(self._objects.keep, pieces)) and self._objects.keep(row.entry.sha256)

    def _advance(self, count: int) -> None:
        self._done += count
        self._unsaved += count
        if self._progress is not None:
            self._progress(self._done, max(self._seen, self._done))


def stat_of(name: bytes, found: os.stat_result) -> Stat:
    """A file's stat as it is remembered; a hard link's ctime changes with every other link."""
    ctime = found.st_ctime_ns if found.st_nlink == 1 else 0
    kind = "x" if found.st_mode & 0o100 else "f"
    return (name, kind, signed(found.st_ino), found.st_size, found.st_mtime_ns, ctime)


def below(folders: Mapping[str, Entry]) -> bytes:
    """What a folder's subfolders are, as it is remembered."""
    pairs = sorted((os.fsencode(name), entry) for name, entry in folders.items())
    return b"".join(b"%b\0%b %d %d\n" % (n, e.sha256.encode(), e.size, e.files) for n, e in pairs)


def _what(mode: int) -> str:
    for test, word in (
        (stat.S_ISSOCK, "a socket"),
        (stat.S_ISFIFO, "a FIFO"),
        (stat.S_ISLNK, "a link"),
        (stat.S_ISDIR, "a folder"),
    ):
        if test(mode):
            return word
    return "a device"
