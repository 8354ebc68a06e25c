"""Git objects: loose ones written here, packed ones read through dulwich.

Loose objects are written by this module because dulwich's writer takes three times as long
(measured). What belongs together is written as one pack: ``batch``.
"""

from __future__ import annotations

import errno
import hashlib
import itertools
import os
import threading
import zlib
from collections.abc import Iterable
from typing import TYPE_CHECKING

from mlgit.exceptions import CorruptData, ResourceDoesNotExist, from_os_error
from mlgit.git.files import open_in_folder

if TYPE_CHECKING:
    from dulwich.object_store import DiskObjectStore
    from dulwich.pack import Pack

_LOOKS = 3
_LEFT_OPEN: list[object] = []
_KINDS = {1: "commit", 2: "tree", 3: "blob", 4: "tag"}


def object_id(kind: str, data: bytes) -> str:
    """The name that Git gives to an object: SHA-1 of its header and bytes, in hex."""
    return hashlib.sha1(b"%s %d\0" % (kind.encode(), len(data)) + data).hexdigest()


class ObjectStore:
    """The object database of one repository.

    Safe to use while Git itself repacks: an object is looked for again after the packs
    are listed anew, and one that exists is freshened instead of written, so that a
    concurrent ``git prune`` leaves it alone (git-scm.com/docs/git-gc, "NOTES").

    Args:
        path: The ``objects`` folder.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.pack_dir = f"{path}/pack"
        self._packs: DiskObjectStore | None = None
        self._last_pack: Pack | None = None
        # Packs are closed when others have joined them, by whichever thread finds that out.
        self._pack_lock = threading.RLock()
        self._counter = itertools.count(1)  # next() is atomic between threads

    def write(self, kind: str, data: bytes) -> str:
        """Store one object and return its name.

        Args:
            kind: "blob", "tree", "commit" or "tag".
            data: Its content, without Git's header.

        Raises:
            StorageError: The disk is full.
            PermissionDenied: The repository is read-only.
        """
        whole = b"%s %d\0" % (kind.encode(), len(data)) + data
        sha = hashlib.sha1(whole).hexdigest()
        folder = f"{self.path}/{sha[:2]}"
        path = f"{folder}/{sha[2:]}"
        try:
            os.utime(path)
            return sha
        except OSError:
            pass  # not there, or not ours to touch: both end below
        try:
            self._write_file(folder, path, zlib.compress(whole, 1))
        except OSError as error:
            if error.errno in (errno.EACCES, errno.EROFS, errno.EPERM) and self.exists(sha):
                return sha
            raise from_os_error(error, "write a Git object") from error
        return sha

    def _write_file(self, folder: str, path: str, data: bytes) -> None:
        number = next(self._counter)
        # Git's own name for a half-written object, so that "git prune" removes one
        # that a killed process left.
        temporary = f"{folder}/tmp_obj_{os.getpid():x}_{id(self):x}_{number:x}"
        fd = open_in_folder(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o444)
        try:
            try:
                view = memoryview(data)
                while view:
                    view = view[os.write(fd, view) :]
            finally:
                os.close(fd)
            os.rename(temporary, path)
        except BaseException:
            try:
                os.unlink(temporary)
            except OSError:
                pass
            raise

    def read(self, sha: str) -> tuple[str, bytes]:
        """The kind and content of an object.

        Raises:
            ResourceDoesNotExist: There is none of that name.
            CorruptData: Its bytes don't decode.
        """
        found = self._read_last_pack(sha) if self._last_pack is not None else None
        if found is not None:
            return found
        # An object may be packed, and its pack be joined with others, between two looks: only
        # what is found nowhere three times isn't there.
        for _ in range(_LOOKS):
            found = self._read_loose(sha) or self._read_packed(sha)
            if found is not None:
                return found
            self.refresh()
        raise ResourceDoesNotExist(
            f"Git object {sha} isn't in this repository",
            hint="it may be missing from a shallow or partial clone: git fetch --unshallow",
        )

    def _read_loose(self, sha: str) -> tuple[str, bytes] | None:
        try:
            with open(f"{self.path}/{sha[:2]}/{sha[2:]}", "rb") as f:
                raw = f.read()
        except OSError:
            return None
        try:
            header, _, data = zlib.decompress(raw).partition(b"\0")
            return header.split(b" ", 1)[0].decode("ascii"), data
        except (zlib.error, UnicodeDecodeError) as error:
            raise CorruptData(
                f"Git object {sha} is damaged: {error}",
                hint="git fsck lists what else is; fetch the object again from a remote",
            ) from error

    def _read_last_pack(self, sha: str) -> tuple[str, bytes] | None:
        """Look where the last object was; whatever goes wrong, the long way tells."""
        with self._pack_lock:
            try:
                number, data = self._last_pack.get_raw(bytes.fromhex(sha))  # type: ignore[union-attr, arg-type]
                return _KINDS[number], data
            except Exception:
                return None

    def _read_packed(self, sha: str) -> tuple[str, bytes] | None:
        for attempt in range(_LOOKS):
            try:
                with self._pack_lock:
                    return self._read_known_packs(sha) or self._read_any_pack(sha)
            except KeyError:
                return None
            except (zlib.error, ValueError, AssertionError, OSError) as error:
                self.refresh()  # it may have been removed while it was opened
                if attempt == _LOOKS - 1:
                    raise CorruptData(
                        f"Git object {sha} can't be read from its pack: {error}",
                        hint="git fsck --full tells which pack is damaged",
                    ) from error
        return None

    def _read_known_packs(self, sha: str) -> tuple[str, bytes] | None:
        # dulwich looks into every pack anew, by way of a stat each. What is read together is
        # together, as a rule: to go on where the last object was halves the time of reading
        # 10,000 runs.
        name = bytes.fromhex(sha)
        for pack in list(getattr(self._dulwich(), "_pack_cache", {}).values()):
            try:
                number, data = pack.get_raw(name)
            except Exception:  # not in this one, or this one is gone: the long way tells
                continue
            self._last_pack = pack
            return _KINDS[number], data
        return None

    def _read_any_pack(self, sha: str) -> tuple[str, bytes]:
        number, data = self._dulwich().get_raw(sha.encode())  # type: ignore[arg-type]
        return _KINDS[number], data

    def blob(self, sha: str) -> bytes:
        """The content of a blob."""
        return self._read_as(sha, "blob")

    def tree(self, sha: str) -> bytes:
        """The content of a tree, in Git's form."""
        return self._read_as(sha, "tree")

    def commit(self, sha: str) -> bytes:
        """The content of a commit, in Git's form."""
        return self._read_as(sha, "commit")

    def _read_as(self, sha: str, kind: str) -> bytes:
        found, data = self.read(sha)
        if found != kind:
            raise CorruptData(f"Git object {sha} is a {found}, not a {kind}")
        return data

    def exists(self, sha: str) -> bool:
        """Whether an object is there, loose, packed or in an alternate."""
        for _ in range(_LOOKS):
            if os.path.exists(f"{self.path}/{sha[:2]}/{sha[2:]}") or self._is_packed(sha.encode()):
                return True
            self.refresh()
        return False

    def _is_packed(self, name: bytes) -> bool:
        with self._pack_lock:
            store = self._dulwich()
            return store.contains_packed(name) or any(  # type: ignore[arg-type]
                other.contains_packed(name) or other.contains_loose(name)  # type: ignore[arg-type]
                for other in store.alternates
            )

    def complete(self, prefix: str) -> list[str]:
        """The names of all objects that begin with ``prefix`` (4 hex digits or more)."""
        return sorted({n.decode() for n in self._dulwich().iter_prefix(prefix.encode())})

    def loose(self) -> list[str]:
        """The names of all loose objects."""
        names = []
        for first in range(256):
            try:
                entries = os.listdir(f"{self.path}/{first:02x}")
            except OSError:
                continue
            names += [f"{first:02x}{rest}" for rest in entries if len(rest) == 38]
        return names

    def loose_estimate(self) -> int:
        """About how many loose objects there are, from one folder of 256, as Git does it."""
        try:
            return len(os.listdir(f"{self.path}/17")) * 256
        except OSError:
            return 0

    def sync(self, shas: Iterable[str]) -> None:
        """Wait until loose objects outlive the machine's power, as packed ones do.

        Raises:
            StorageError, PermissionDenied: The disk can't.
        """
        for sha in shas:
            try:
                fd = os.open(f"{self.path}/{sha[:2]}/{sha[2:]}", os.O_RDONLY)
            except FileNotFoundError:
                continue  # packed meanwhile
            try:
                os.fsync(fd)
            except OSError as error:
                raise from_os_error(error, "write a Git object") from error
            finally:
                os.close(fd)

    def refresh(self) -> None:
        """Forget which packs there are; the next read lists them again."""
        with self._pack_lock:
            self._last_pack = None
            if self._packs is not None:
                self._packs.close()
                self._packs = None

    def _dulwich(self) -> DiskObjectStore:
        if self._packs is None:
            from dulwich.object_store import DiskObjectStore

            self._packs = DiskObjectStore(self.path)
        return self._packs

    def after_fork(self) -> None:
        """In a forked child: another thread of the parent may have been reading a pack."""
        self._pack_lock = threading.RLock()
        if self._packs is not None:
            _LEFT_OPEN.append(self._packs)  # what that thread read can't be closed
            self._packs = self._last_pack = None

    def close(self) -> None:
        """Close the packs that are open."""
        self.refresh()

    def __del__(self) -> None:
        try:
            self.refresh()
        except Exception:  # the interpreter may be half gone
            pass
