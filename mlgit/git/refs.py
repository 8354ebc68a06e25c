"""Refs in Git's "files" format: loose files and ``packed-refs``, under Git's own locks.

Written here and not left to dulwich because its every lookup parses ``packed-refs``
whole: with 100,000 runs that is 60 ms a run. This module finds one name by bisection.
Sources: git-scm.com/docs/gitrepository-layout, git-pack-refs; the lock is a file
``<name>.lock`` made with O_EXCL and renamed into place.
"""

from __future__ import annotations

import errno
import hashlib
import mmap
import os
import re
import time
from collections.abc import Callable, Collection, Mapping

from mlgit.exceptions import Conflict, CorruptData, InvalidParameterValue, from_os_error
from mlgit.git.files import open_in_folder
from mlgit.git.packed_refs import entries_below, find, merged, section, without

_HEX = re.compile(r"^[0-9a-f]{40}\Z")
_BAD_NAME = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|/\.|\.lock(/|$)|\.$|/$|^/|^\.")
_LOCK_WAIT = 5.0
ANY = "any"
_NOTHING = (0, 0, 0)


def check_ref_name(name: str) -> str:
    """Return ``name`` if Git would take it (git-scm.com/docs/git-check-ref-format).

    Raises:
        InvalidParameterValue: It wouldn't.
    """
    if not name or _BAD_NAME.search(name) or name == "@":
        raise InvalidParameterValue(f"Git doesn't take {name!r} as a ref name")
    return name


class RefStore:
    """The refs of one repository.

    Args:
        common_dir: The Git common directory.
        git_dir: This worktree's Git directory, which holds its HEAD.
    """

    def __init__(self, common_dir: str, git_dir: str) -> None:
        self.common_dir = common_dir
        self.git_dir = git_dir
        self._packed_data: tuple[tuple[int, int, int], mmap.mmap | bytes] = (_NOTHING, b"")

    def _path(self, name: str) -> str:
        own = name == "HEAD" or name.startswith(("refs/bisect/", "refs/worktree/"))
        return f"{self.git_dir if own else self.common_dir}/{name}"

    # -- reading

    def read(self, name: str) -> str | None:
        """The commit that a ref names, symbolic refs followed, or None where there is none."""
        for _ in range(6):
            value = self._read_one(name)
            if value is None or not value.startswith("ref: "):
                return value
            name = value[5:].strip()
        return None

    def symbolic(self, name: str) -> str | None:
        """The ref that a symbolic ref points at, or None where it isn't one."""
        value = self._read_one(name)
        return value[5:].strip() if value and value.startswith("ref: ") else None

    def _read_one(self, name: str) -> str | None:
        # A loose ref may be packed and removed between the two looks: look twice.
        for _ in range(2):
            value = self._read_loose(name) or self._read_packed(name)
            if value is not None:
                return value
        return None

    def _read_loose(self, name: str) -> str | None:
        try:
            with open(self._path(name), "rb") as f:
                value = os.fsdecode(f.read(4096)).strip()
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return None
        except OSError as error:
            if error.errno == errno.ENAMETOOLONG:
                return None
            raise from_os_error(error, f"read the ref {name}") from error
        if value.startswith("ref: ") or _HEX.match(value):
            return value
        raise CorruptData(
            f"The ref {name} holds {value[:60]!r}, which isn't a commit",
            hint="a crash of the machine can leave this; delete the file or set the ref again",
        )

    def _read_packed(self, name: str) -> str | None:
        data = self._packed()
        return find(data, name)

    def _packed(self) -> mmap.mmap | bytes:
        stamp = self.packed_stamp()
        held_stamp, data = self._packed_data
        if stamp == held_stamp:
            return data
        # Not closed when it is replaced: another thread may be reading it.
        stamp, data = _open_packed(f"{self.common_dir}/packed-refs")
        self._packed_data = (stamp, data)
        return data

    def packed_stamp(self) -> tuple[int, int, int]:
        """Changes whenever ``packed-refs`` does."""
        try:
            return _stamp(os.stat(f"{self.common_dir}/packed-refs"))
        except OSError:
            return _NOTHING

    def items(self, prefix: str) -> dict[str, str]:
        """All refs that begin with ``prefix`` (ending in "/"), and their commits."""
        # Loose before packed, so that one packed meanwhile is seen at least once;
        # then loose again, for one that was packed between the two looks.
        loose = self.loose_items(prefix)
        return {**self.packed_items(prefix), **loose}

    def packed_items(self, prefix: str) -> dict[str, str]:
        """The refs in ``packed-refs`` that begin with ``prefix``."""
        return entries_below(self._packed(), prefix)

    def packed_digest(self, prefix: str) -> str:
        """Changes whenever ``packed-refs`` does in what it says of refs that begin so."""
        return hashlib.sha1(section(self._packed(), prefix)).hexdigest()

    def loose_items(self, prefix: str, damaged: list[str] | None = None) -> dict[str, str]:
        """The loose refs that begin with ``prefix`` (ending in "/").

        Args:
            prefix: The beginning of their names.
            damaged: Gets the names of those whose files hold something else than a ref;
                they are left out, as Git does.
        """
        found: dict[str, str] = {}
        pending = [prefix.rstrip("/")]
        while pending:
            folder = pending.pop()
            for entry in _scan(self._path(folder)):
                name = f"{folder}/{entry.name}"
                if entry.is_dir(follow_symlinks=False):
                    pending.append(name)
                elif not entry.name.endswith(".lock"):
                    try:
                        value = self.read(name)
                    except CorruptData:
                        if damaged is not None:
                            damaged.append(name)
                        continue
                    if value:
                        found[name] = value
        return found

    # -- writing

    def update(
        self,
        name: str,
        new: str,
        expected: str | None = ANY,
        *,
        break_lock: bool = False,
        check: Callable[[], None] | None = None,
        sync: bool = False,
    ) -> None:
        """Point a ref at a commit, if it still is what was expected.

        Args:
            name: The whole name, "refs/…".
            new: The commit's name.
            expected: What the ref must be now: a commit, None for "absent", or ANY.
            break_lock: A lock on this ref is known to be a dead process's.
            check: Called while the ref is locked; what it raises leaves the ref as it is.
            sync: Wait until it outlives the machine's power.

        Raises:
            Conflict: It is something else by now, or somebody holds its lock.
            StorageError, PermissionDenied: It can't be written.
        """
        check_ref_name(name)
        try:
            with _Lock(self._path(name), break_lock) as lock:
                self._check_expected(name, expected)
                if check is not None:
                    check()
                lock.replace(new.encode() + b"\n", sync=sync)
        except OSError as error:
            raise from_os_error(error, f"update the ref {name}") from error

    def symbolic_update(self, name: str, target: str) -> None:
        """Make a symbolic ref point at another ref."""
        with _Lock(self._path(name), False) as lock:
            lock.replace(b"ref: " + os.fsencode(target) + b"\n")

    def delete(self, name: str, expected: str | None = ANY, *, break_lock: bool = False) -> None:
        """Remove a ref, if it still is what was expected; the arguments are ``update``'s.

        Raises:
            Conflict: It is something else by now, or somebody holds a lock.
        """
        try:
            with _Lock(self._path(name), break_lock):
                self._check_expected(name, expected)
                if self._read_packed(name) is not None:
                    self._rewrite_packed({name: ""})
                try:
                    os.unlink(self._path(name))
                except FileNotFoundError:
                    pass
                # A packer that is at work may have read the loose ref before.
                packing = os.path.exists(f"{self.common_dir}/packed-refs.lock")
                if packing or self._read_packed(name) is not None:
                    self._rewrite_packed({name: ""})
        except OSError as error:
            raise from_os_error(error, f"delete the ref {name}") from error

    def delete_many(self, prefix: str, expected: dict[str, str]) -> int:
        """Remove refs, each only if it still is what was expected; others stay, untold.

        ``packed-refs`` is written once, without locks on the refs themselves: what it says is
        removed only where it is what was expected, and whoever changes a ref meanwhile
        finds that its old value is gone, or writes a loose ref, which counts.

        Args:
            prefix: What all of their names begin with, "refs/mlgit/runs/" say.
            expected: The commits by name.

        Returns:
            How many are gone.

        Raises:
            Conflict: Somebody holds the lock on ``packed-refs``.
            StorageError, PermissionDenied: It can't be written.
        """
        try:
            # Packed ones first: a loose ref that goes must not bring back what it hid.
            self._drop_packed(prefix, expected)
            for name, sha in expected.items():
                if os.path.lexists(self._path(name)):
                    self._drop_loose(name, sha)
            # A packer that was at work may have read loose refs before they went.
            self._drop_packed(prefix, expected)
        except OSError as error:
            raise from_os_error(error, "delete refs") from error
        packed = self.packed_items(prefix)
        return sum(n not in packed and not os.path.lexists(self._path(n)) for n in expected)

    def _drop_packed(self, prefix: str, expected: dict[str, str]) -> None:
        """Remove what ``packed-refs`` has of refs that are what was expected."""
        if not os.path.exists(f"{self.common_dir}/packed-refs.lock"):
            if not expected.keys() & self.packed_items(prefix).keys():
                return
        path = f"{self.common_dir}/packed-refs"
        with _Lock(path, False) as lock:
            _, data = _open_packed(path)
            gone = set()
            for name, sha in entries_below(data, prefix).items():
                loose = self._loose_or_nothing(name) if name in expected else ""
                if expected.get(name) == (sha if loose is None else loose):
                    gone.add(name)
            if gone:
                lock.replace(without(data, gone), sync=True)

    def _drop_loose(self, name: str, sha: str) -> None:
        """Remove a loose ref that holds a commit; one that somebody has locked stays."""
        try:
            with _Lock(self._path(name), False, wait=0.0):
                if self._loose_or_nothing(name) == sha:
                    os.unlink(self._path(name))
        except (FileNotFoundError, Conflict):
            pass

    def _loose_or_nothing(self, name: str) -> str | None:
        """A loose ref's commit, None without one, "" where its file holds something else."""
        try:
            return self._read_loose(name)
        except CorruptData:
            return ""

    def _check_expected(self, name: str, expected: str | None) -> None:
        if expected == ANY:
            return
        current = self._read_one(name)
        if current != expected:
            raise Conflict(
                f"The ref {name} is {current or 'absent'}, not {expected or 'absent'}: "
                "somebody else changed it first",
                hint="repeat the command; nothing was overwritten",
            )

    def add_packed(self, refs: dict[str, str]) -> list[str]:
        """Make many new refs with one write of ``packed-refs``.

        Args:
            refs: The commits by name.

        Returns:
            The names that were there already; those refs stay as they are.

        Raises:
            InvalidParameterValue: Git doesn't take a name.
            Conflict: Somebody holds the lock on ``packed-refs``.
            StorageError, PermissionDenied: It can't be written.
        """
        for name in refs:
            check_ref_name(name)
        path = f"{self.common_dir}/packed-refs"
        taken = []
        try:
            with _Lock(path, False) as lock:
                _, data = _open_packed(path)
                # A loose ref that somebody makes from here on counts before what is written.
                new = {}
                for name, sha in refs.items():
                    present = os.path.lexists(self._path(name)) or find(data, name)
                    if present:
                        taken.append(name)
                    else:
                        new[name] = sha
                if new:
                    lock.replace(merged(data, new), sync=True)
        except OSError as error:
            raise from_os_error(error, "make refs") from error
        return taken

    def switch(self, changes: Mapping[str, tuple[str | None, str | None]]) -> None:
        """Change many refs at once, or none of them: by one write of ``packed-refs``.

        For refs whose writers keep a lock of their own (the registry's): no lock is taken on the
        refs themselves, so that one that is killed leaves them as they were, or as they shall be.

        Args:
            changes: What each ref must be now, and what it shall be; None for "absent".

        Raises:
            InvalidParameterValue: Git doesn't take a name.
            Conflict: A ref is something else by now, or somebody holds the lock on
                ``packed-refs``.
            StorageError, PermissionDenied: It can't be written.
        """
        for name in changes:
            check_ref_name(name)
        path = f"{self.common_dir}/packed-refs"
        try:
            self._pack_these(path, changes)
            with _Lock(path, False) as lock:
                _, data = _open_packed(path)
                for name, (expected, _) in changes.items():
                    if self._read_loose(name) or find(data, name) != expected:
                        raise Conflict(
                            f"The ref {name} isn't {expected or 'absent'}: somebody else changed "
                            "it first",
                            hint="repeat the command; nothing was overwritten",
                        )
                lock.replace(
                    merged(data, {n: new or "" for n, (_, new) in changes.items()}), sync=True
                )
        except OSError as error:
            raise from_os_error(error, "change refs") from error

    def _pack_these(self, path: str, names: Collection[str]) -> None:
        """Move some loose refs into ``packed-refs``."""
        with _Lock(path, False) as lock:
            _, data = _open_packed(path)
            loose = {name: self._read_loose(name) for name in names}
            held = {name: sha for name, sha in loose.items() if sha and _HEX.match(sha)}
            if held:
                lock.replace(merged(data, held), sync=True)
        for name, sha in held.items():
            self._drop_loose(name, sha)
            if os.path.lexists(self._path(name)):
                self._drop_locked(name, sha)

    def _drop_locked(self, name: str, sha: str) -> None:
        """Remove a loose ref that is packed, too, whose lock a dead process may have left."""
        try:
            with _Lock(self._path(name), False):
                pass
        except Conflict:
            # Nobody else writes these refs for so long: the caller has their writers' lock.
            _unlink(self._path(name) + ".lock")
        self._drop_loose(name, sha)

    # -- packing

    def pack(self, prefix: str) -> int:
        """Move loose refs into ``packed-refs``, as ``git pack-refs`` does.

        Args:
            prefix: Only refs that begin with it, "refs/mlgit/" say.

        Returns:
            How many were moved.
        """
        if not self.loose_items(prefix):
            return 0
        try:
            loose = self._pack_loose(prefix)
        except OSError as error:
            raise from_os_error(error, "pack the refs") from error
        for name, sha in loose.items():
            try:
                with _Lock(self._path(name), False, wait=0.0):
                    if self._read_loose(name) == sha:
                        os.unlink(self._path(name))
            except (OSError, Conflict):
                continue  # somebody is changing it: it stays loose, which is right
        return len(loose)

    def _pack_loose(self, prefix: str) -> dict[str, str]:
        path = f"{self.common_dir}/packed-refs"
        with _Lock(path, False) as lock:
            _, data = _open_packed(path)
            # Read under the lock: what was read before could have been changed and packed by
            # another packer meanwhile, and would now be put back.
            loose = {n: s for n, s in self.loose_items(prefix).items() if _HEX.match(s)}
            lock.replace(merged(data, loose), sync=True)
        return loose

    def _rewrite_packed(self, changes: dict[str, str]) -> None:
        path = f"{self.common_dir}/packed-refs"
        with _Lock(path, False) as lock:
            _, data = _open_packed(path)
            lock.replace(merged(data, changes), sync=True)


class _Lock:
    """Git's lock on a file: ``<path>.lock``, made exclusively, renamed into place or removed."""

    def __init__(self, path: str, break_lock: bool, wait: float | None = None) -> None:
        self.path = path
        self.name = path + ".lock"
        self.break_lock = break_lock
        self.wait = _LOCK_WAIT if wait is None else wait

    def __enter__(self) -> _Lock:
        give_up = time.monotonic() + self.wait
        pause = 0.001
        while True:
            try:
                self.fd = open_in_folder(self.name, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
                self.held = True
                return self
            except FileExistsError:
                self._wait_or_break(give_up, pause)
                pause = min(0.05, pause * 2)

    def _wait_or_break(self, give_up: float, pause: float) -> None:
        if self.break_lock:
            self.break_lock = False
            _unlink(self.name)
            return
        if time.monotonic() < give_up:
            time.sleep(pause)
            return
        raise Conflict(
            f"{self.name} exists: another Git process is changing this ref, or died doing so",
            hint="try again; if no git or mlgit process is running, remove the file",
        )

    def replace(self, data: bytes, *, sync: bool = False) -> None:
        """Make ``data`` the file's content, at once and whole."""
        view = memoryview(data)
        while view:
            view = view[os.write(self.fd, view) :]
        if sync:
            os.fsync(self.fd)
        os.rename(self.name, self.path)
        self.held = False

    def __exit__(self, *_: object) -> None:
        os.close(self.fd)
        if self.held:
            _unlink(self.name)


def _unlink(path: str) -> None:
    try:
        os.unlink(path)
    except OSError:
        pass


def _scan(path: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(path) as entries:
            return list(entries)
    except OSError:
        return []


def _stamp(st: os.stat_result) -> tuple[int, int, int]:
    return (st.st_ino, st.st_size, st.st_mtime_ns)


def _open_packed(path: str) -> tuple[tuple[int, int, int], mmap.mmap | bytes]:
    try:
        fd = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return _NOTHING, b""
    try:
        st = os.fstat(fd)
        return _stamp(st), mmap.mmap(fd, 0, access=mmap.ACCESS_READ) if st.st_size else b""
    finally:
        os.close(fd)
