"""``mlgit get`` and ``mlgit.open``: files of another repository and revision."""

from __future__ import annotations

import hashlib
import io
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import IO, Any, BinaryIO, cast

from mlgit import settings
from mlgit.exceptions import (
    CorruptData,
    InvalidParameterValue,
    ResourceAlreadyExists,
    ResourceDoesNotExist,
    from_os_error,
)
from mlgit.git import Repository
from mlgit.git.commits import parse_commit
from mlgit.git.trees import FOLDER, entry, parse_tree, resolve_commit
from mlgit.objects import Entry, LocalObjects
from mlgit.objects.remote import RemoteObjects, key_of, scheme_of
from mlgit.objects.scan import PART, Progress
from mlgit.store.fetching import bring
from mlgit.store.pointers import SUFFIX, is_pointer, parse_pointer
from mlgit.store.remotes import DEFAULT_LINKS, remote_objects
from mlgit.worktree.differences import entries_of
from mlgit.worktree.place import Placer

_USUAL = ("refs/heads/main", "refs/heads/master")
_STEP = re.compile(r"(?:~([0-9]{0,6})|\^)\Z")
_BLOB_MODES = (b"100644", b"100755", b"100664", b"120000")


@dataclass(frozen=True)
class Found:
    """What is at a path of a revision: Git's blob or tree, or an entry of data."""

    mode: bytes = b""
    sha: str = ""
    entry: Entry | None = None


class Source:
    """One revision of a repository, here or elsewhere.

    Args:
        repo: A path or URL; the repository of the working directory where None.
        rev: A branch, tag or commit; HEAD where None.

    Raises:
        NotARepository, ResourceDoesNotExist: There is no such repository or revision.
    """

    def __init__(self, repo: str | None = None, rev: str | None = None) -> None:
        self.name = repo or "this repository"
        if repo is None:
            self.repo = Repository.discover()
        elif scheme_of(repo) == "file" and not _looks_remote(repo):
            self.repo = Repository.discover(os.path.expanduser(repo.removeprefix("file://")))
        else:
            self.repo = _fetched(repo, rev)
        commit = _commit(self.repo, rev, self.name)
        self.tree = parse_commit(self.repo.objects.commit(commit)).tree
        self.objects = LocalObjects(f"{self.repo.state_dir}/objects")

    def connect(self) -> RemoteObjects:
        """The repository's own remote."""
        return remote_objects(self.repo)

    def find(self, path: str) -> Found:
        """What is at a path: a file or folder that Git tracks, or data that a pointer names.

        Raises:
            ResourceDoesNotExist: Nothing is.
        """
        parts = [part for part in path.strip("/").split("/") if part]
        if not parts or ".." in parts or "." in parts:
            raise InvalidParameterValue(f"{path!r} isn't a path in a repository")
        tree = self.tree
        for depth, part in enumerate(parts):
            raw = self.repo.objects.tree(tree)
            name = os.fsencode(part)
            pointer = entry(raw, name + SUFFIX.encode())
            if pointer is not None:
                text = self.repo.objects.blob(pointer[1])
                data = parse_pointer(text, f"{part}{SUFFIX}").entry
                return Found(entry=self._below(data, parts[depth + 1 :], path))
            found = entry(raw, name)
            if found is None or (depth + 1 < len(parts) and found[0] != FOLDER):
                break
            if depth + 1 == len(parts):
                return Found(*found)
            tree = found[1]
        raise self._nothing(path)

    def _below(self, data: Entry, parts: list[str], path: str) -> Entry:
        for part in parts:
            if data.kind != "d":
                raise self._nothing(path)
            self._bring_manifest(data)
            found = entries_of(self.objects, data).get(part)
            if found is None:
                raise self._nothing(path)
            data = found
        return data

    def _bring_manifest(self, data: Entry) -> None:
        if not self.objects.has(data.sha256):
            download(self.objects, self.connect(), data.sha256)

    def _nothing(self, path: str) -> ResourceDoesNotExist:
        return ResourceDoesNotExist(
            f"There is no {path} in {self.name}", hint="neither Git nor a pointer file has it"
        )


def open_file(
    path: str,
    repo: str | None = None,
    rev: str | None = None,
    mode: str = "r",
    *,
    encoding: str | None = None,
    errors: str | None = None,
    newline: str | None = None,
) -> IO[Any]:
    """Open a tracked file for reading, from any repository and revision.

    What isn't here comes from that repository's remote while it is read; nothing is loaded
    whole unless the reader seeks. Bytes that aren't what was added raise at the end.

    Args:
        path: In the repository, tracked by Git or named by a pointer.
        repo: A path or URL; the repository of the working directory where None.
        rev: A branch, tag or commit; HEAD where None. Without both, the file as it lies in
            the worktree, where it does.
        mode: "r" for text or "rb" for bytes.
        encoding, errors, newline: As the built-in ``open`` has them; UTF-8 by default.

    Raises:
        ResourceDoesNotExist: There is no such file, revision or repository.
        InvalidParameterValue: The path is a folder, or the mode isn't for reading.
    """
    if mode not in ("r", "rt", "rb"):
        raise InvalidParameterValue(f"{mode!r} isn't a mode for reading", hint="'r' or 'rb'")
    raw = _here(path) if repo is None and rev is None else None
    if raw is None:
        raw = _stream(Source(repo, rev), path)
    if mode == "rb":
        return raw
    return io.TextIOWrapper(raw, encoding or "utf-8", errors, newline)


def read_file(source: Source, path: str) -> bytes:
    """A small file's bytes as of a revision, verified.

    Raises:
        ResourceDoesNotExist: There is no such file, or its bytes are nowhere.
        CorruptData: They aren't what was added.
    """
    with _stream(source, path) as stream:
        return stream.read()


def _here(path: str) -> BinaryIO | None:
    repo = Repository.discover()
    if repo.worktree is None:
        return None
    full = os.path.realpath(os.path.join(repo.worktree, path))
    if not full.startswith(repo.worktree.rstrip("/") + "/") or not os.path.isfile(full):
        return None
    return open(full, "rb")


def _stream(source: Source, path: str) -> BinaryIO:
    found = source.find(path)
    if found.entry is None:
        if found.mode not in _BLOB_MODES:
            raise InvalidParameterValue(f"{path} is a folder", hint="open a file in it")
        return io.BytesIO(source.repo.objects.blob(found.sha))
    if found.entry.kind == "d":
        raise InvalidParameterValue(f"{path} is a folder", hint="open a file in it")
    sha = found.entry.sha256
    if source.objects.has(sha):
        stream = source.objects.open(sha)
    else:
        stream = _remote_stream(source.connect(), sha)
    reader = _Verified(stream, sha, lambda: _whole(source, sha))
    return cast(BinaryIO, io.BufferedReader(reader, 1 << 18))


def _whole(source: Source, sha: str) -> BinaryIO:
    """An object as a file that can be sought in, verified."""
    if source.objects.has(sha) and not source.objects.verify(sha):
        source.objects.quarantine(sha)
    if not source.objects.has(sha):
        download(source.objects, source.connect(), sha)
    return source.objects.open(sha)


def _remote_stream(remote: RemoteObjects, sha: str) -> BinaryIO:
    driver: Any = remote.driver
    fs = getattr(driver, "fs", None)
    place = f"{driver.root}/{key_of(sha)}"
    try:
        return cast(BinaryIO, open(place, "rb") if fs is None else fs.open(place, "rb"))
    except Exception as error:
        raise remote.explained(error, "download an object", sha) from error


def download(objects: LocalObjects, remote: RemoteObjects, sha: str) -> None:
    """Fetch one object whose size isn't known."""
    temporary = objects.temporary_name()
    remote.download(sha, temporary)
    objects.place(temporary, sha)


class _Verified(io.RawIOBase):
    """An object read from its beginning, its digest checked at the end; sought in when asked.

    Args:
        stream: The bytes.
        sha256: What they must have as digest.
        whole: Opens the object as a verified file.
    """

    def __init__(self, stream: BinaryIO, sha256: str, whole: Callable[[], BinaryIO]) -> None:
        self._stream = stream
        self._sha = sha256
        self._whole = whole
        self._digest: Any = hashlib.sha256()
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: Any) -> int:
        data = self._stream.read(len(buffer))
        buffer[: len(data)] = data
        self._at += len(data)
        if self._digest is not None:
            self._digest.update(data)
            if not data and self._digest.hexdigest() != self._sha:
                raise CorruptData(
                    f"The object {self._sha} is damaged: its bytes have another digest",
                    hint="mlgit fsck says where; what was read of it isn't what was added",
                )
        return len(data)

    def seek(self, offset: int, whence: int = 0) -> int:
        if (whence == 0 and offset == self._at) or (whence == 1 and offset == 0):
            return self._at
        if self._digest is not None:
            position = self._at
            self._stream.close()
            self._stream, self._digest = self._whole(), None
            self._stream.seek(position)
        self._at = self._stream.seek(offset, whence)
        return self._at

    def close(self) -> None:
        self._stream.close()
        super().close()


# -- get


def get(
    source: Source,
    path: str,
    out: str | None = None,
    *,
    force: bool = False,
    progress: Progress | None = None,
) -> str:
    """Write a file or folder of a revision, wherever the caller wants it.

    Args:
        source: The revision.
        path: In it.
        out: Where to; a folder that is there takes it under its own name. In the working
            directory where None.
        force: Replace a file that is there.
        progress: Called with bytes done and wanted.

    Returns:
        The path that was written.

    Raises:
        ResourceDoesNotExist: There is no such file, or its bytes are nowhere.
        ResourceAlreadyExists: There is something where it would be written.
    """
    found = source.find(path)
    name = path.strip("/").rpartition("/")[2]
    target = os.path.abspath(out or name)
    if os.path.isdir(target) and (out is not None):
        target = os.path.join(target, name)
    if os.path.lexists(target) and (not force or os.path.isdir(target)):
        raise ResourceAlreadyExists(
            f"There is a {target} already", hint="give another place with -o"
        )
    folder = os.path.dirname(target)
    temporary = f"{PART}{os.urandom(6).hex()}"
    try:
        os.makedirs(folder, exist_ok=True)
        placer = Placer(source.objects, folder, DEFAULT_LINKS)
        try:
            _write(source, placer, found, temporary, progress)
            os.replace(f"{folder}/{temporary}", target)
        finally:
            _discard(f"{folder}/{temporary}")
    except OSError as error:
        raise from_os_error(error, f"write {target}") from error
    return target


def _write(
    source: Source, placer: Placer, found: Found, path: str, progress: Progress | None
) -> None:
    if found.entry is not None:
        bring(source.objects, [found.entry], source.connect, progress)
        _write_data(source, placer, found.entry, path)
    elif found.mode == FOLDER:
        placer.folder(path)
        for raw, mode, sha in parse_tree(source.repo.objects.tree(found.sha)):
            name = os.fsdecode(raw)
            if is_pointer(name) and mode in _BLOB_MODES:
                pointer = parse_pointer(source.repo.objects.blob(sha), name)
                below = Found(entry=pointer.entry)
                _write(source, placer, below, f"{path}/{pointer.path}", progress)
            elif mode == FOLDER or mode in _BLOB_MODES:
                _write(source, placer, Found(mode, sha), f"{path}/{name}", progress)
    elif found.mode in _BLOB_MODES:
        placer.bytes(source.repo.objects.blob(found.sha), path, found.mode == b"100755")


def _write_data(source: Source, placer: Placer, data: Entry, path: str) -> None:
    if data.kind != "d":
        placer.file(data, path)
        return
    placer.folder(path)
    for name, below in entries_of(source.objects, data).items():
        _write_data(source, placer, below, f"{path}/{name}")


def _discard(path: str) -> None:
    import shutil

    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path, ignore_errors=True)
    elif os.path.lexists(path):
        os.unlink(path)


# -- revisions, and repositories that aren't here


def _looks_remote(repo: str) -> bool:
    """Whether this is Git's short form of an SSH address: host:path."""
    if repo.startswith("file://") or os.path.exists(os.path.expanduser(repo)):
        return False
    host, colon, _ = repo.partition(":")
    return bool(colon) and "/" not in host


def _commit(repo: Repository, rev: str | None, where: str) -> str:
    """The commit that a revision means; ``~n`` and ``^`` go back along first parents."""
    base, steps = rev or "HEAD", 0
    while match := _STEP.search(base):
        base, steps = base[: match.start()], steps + int(match[1] or 1)
    commit = _named(repo, base or "HEAD", where)
    for _ in range(steps):
        parents = parse_commit(repo.objects.commit(commit)).parents
        if not parents or not repo.objects.exists(parents[0]):
            raise ResourceDoesNotExist(f"{rev} goes back beyond the first commit")
        commit = parents[0]
    return commit


def _named(repo: Repository, rev: str, where: str) -> str:
    if rev in ("HEAD", "@"):
        head = repo.head().commit
        if head is None:
            raise ResourceDoesNotExist(f"{where} has no commit yet")
        return head
    for name in (f"refs/tags/{rev}", f"refs/heads/{rev}", f"refs/remotes/{rev}", rev):
        if not name.startswith("refs/"):
            continue
        try:
            sha = repo.refs.read(name)
        except InvalidParameterValue:
            break
        if sha is not None:
            return resolve_commit(repo.objects, sha)
    if len(rev) >= 4 and set(rev) <= set("0123456789abcdef"):
        found = [rev] if len(rev) == 40 else repo.objects.complete(rev)
        commits = [s for s in found if repo.objects.exists(s)]
        if len(commits) == 1:
            return resolve_commit(repo.objects, commits[0])
    raise ResourceDoesNotExist(
        f"{where} has no revision {rev!r}", hint="a branch, a tag or a commit"
    )


def _fetched(url: str, rev: str | None) -> Repository:
    """A bare copy of a repository's branches and tags, brought up to date."""
    from mlgit.git.transport import transport

    name = hashlib.sha256(url.encode("utf-8", "surrogateescape")).hexdigest()[:24]
    folder = f"{settings.cache_home()}/mlgit/repositories/{name}"
    repo = Repository.open(folder) if os.path.isdir(folder) else Repository.init(folder, bare=True)
    if rev is not None and len(rev) == 40 and repo.objects.exists(rev):
        return repo  # what a whole id names doesn't change
    there = transport(repo, url)
    refs = there.list_refs(["refs/heads/", "refs/tags/"])
    branches = [ref for ref in refs if ref.startswith("refs/heads/")]
    default = next((ref for ref in _USUAL if ref in refs), branches[0] if branches else "")
    short = re.split(r"[~^]", rev or "HEAD")[0]
    named = {default} if short in ("HEAD", "") else {f"refs/tags/{short}", f"refs/heads/{short}"}
    # The default branch too: it says where the objects are.
    wanted = {ref: refs[ref] for ref in named | {default} if ref in refs}
    if not named & refs.keys():
        wanted = refs  # a commit's id, in any of them
    there.fetch({ref: sha for ref, sha in wanted.items() if not repo.objects.exists(sha)})
    for ref, sha in wanted.items():
        repo.refs.update(ref, sha)
    if default:
        repo.refs.symbolic_update("HEAD", default)
    return repo
