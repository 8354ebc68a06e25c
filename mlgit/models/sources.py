"""Where a model's folder is: on disk, in a run, in a revision, or behind a URL.

A source reads small files and writes files or folders to where they are wanted; nothing is
fetched that isn't asked for, and what comes from a repository is checked against its digest.
"""

from __future__ import annotations

import hashlib
import os
from functools import partial
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol

from mlgit.exceptions import (
    CorruptData,
    InvalidParameterValue,
    MissingDependency,
    MlgitException,
    ResourceDoesNotExist,
    Unsupported,
    from_os_error,
)
from mlgit.git import Repository
from mlgit.models import registry, uris
from mlgit.objects import Entry, LocalObjects
from mlgit.objects.copying import CHUNK
from mlgit.objects.tree import find
from mlgit.store.absent import bring, bring_manifest

if TYPE_CHECKING:
    from mlgit.registry.sources import Place
    from mlgit.store.gitstore import GitStore
    from mlgit.worktree import elsewhere


class Source(Protocol):
    """A model's folder, wherever it is.

    Attributes:
        local: Its path, where it is a folder on disk that can be used as it is.
        repo: The repository that it is from, if it is from one.
    """

    local: str | None
    repo: Repository | None

    def read(self, path: str) -> bytes:
        """A file's bytes.

        Raises:
            ResourceDoesNotExist: There is no such file.
        """

    def open(self, path: str) -> BinaryIO | None:
        """A file's bytes as a stream, verified already; None where it has to be fetched first.

        Raises:
            ResourceDoesNotExist: There is no such file.
            CorruptData: Its bytes aren't what their digest says.
        """

    def fetch(self, path: str, target: str, *, copy: bool = False) -> None:
        """Write a file, or a folder and all below; "" is all there is.

        Args:
            path: Relative, with slashes, checked by the caller.
            target: Where to; the folder above is there, and nothing is in the way.
            copy: Write files that may be edited, no links.

        Raises:
            ResourceDoesNotExist: There is no such file or folder.
            CorruptData: Its bytes aren't what their digest says.
        """


def source_of(
    uri: str | os.PathLike[str], store: GitStore | None = None, verify: bool | None = None
) -> Source:
    """Where the folder is that a model URI names.

    Args:
        uri: Any model URI.
        store: The repository of runs; the one in use where None.
        verify: Whether a registered model must be signed; the setting where None. What isn't
            registered can't be, and is refused where this is true.

    Raises:
        InvalidParameterValue: The URI doesn't parse, or names what can't be signed and must be.
        UntrustedModel: A registered model must be signed, and isn't as it must be.
        ResourceDoesNotExist: There is no such run, revision or folder.
        Unsupported: There is no driver for the URL.
    """
    meant = uris.parse(uri)
    if isinstance(meant, uris.RegistryUri):
        return source_at(registry.current().resolve(meant, verify), store)
    if verify:
        raise InvalidParameterValue(
            f"{os.fspath(uri)} can't be verified: only versions of registered models are signed",
            hint="mlgit.register_model() makes it a version, and models:/<name>/<version> names it",
        )
    if isinstance(meant, uris.PathUri):
        return LocalSource(meant.path)
    if isinstance(meant, uris.RemoteUri):
        return UrlSource(meant.url)
    if isinstance(meant, uris.RevisionUri):
        return RevisionSource.of(meant)
    return RunSource(store or _store_in_use(), meant.run_id, meant.path)


def source_at(place: Place, store: GitStore | None = None) -> Source:
    """The folder of a version of a registered model.

    Args:
        place: Where it is.
        store: The repository of runs; the one in use where None.

    Raises:
        ResourceDoesNotExist: It isn't there.
    """
    meant = uris.parse(place.location)
    if place.commit is None or not isinstance(meant, uris.RunUri):
        return source_of(place.location, store, verify=False)
    # A run may go on, or be changed, after a version was made of it; the version doesn't.
    return RunSource(store or _store_in_use(), meant.run_id, meant.path, place.commit)


def _store_in_use() -> GitStore:
    from mlgit.tracking import uri as tracking

    return tracking.store_for()


class LocalSource:
    """A folder on disk, used where it lies."""

    def __init__(self, path: str) -> None:
        if not os.path.isdir(path):
            there = "isn't a folder" if os.path.exists(path) else "isn't there"
            raise ResourceDoesNotExist(
                f"No model at {path}: it {there}",
                hint="a model is a folder with a file MLmodel; runs:/<run id>/<path> names one "
                "that was logged",
            )
        self.local: str | None = os.path.abspath(path)
        self.repo: Repository | None = None

    def read(self, path: str) -> bytes:
        try:
            with open(f"{self.local}/{path}", "rb") as f:
                return f.read()
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
            raise _nothing(path, str(self.local)) from error
        except OSError as error:
            raise from_os_error(error, f"read {self.local}/{path}") from error

    def open(self, path: str) -> BinaryIO | None:
        return open(f"{self.local}/{path}", "rb")

    def fetch(self, path: str, target: str, *, copy: bool = False) -> None:
        import shutil

        source = f"{self.local}/{path}" if path else str(self.local)
        if os.path.isdir(source):
            shutil.copytree(source, target, dirs_exist_ok=True)
        elif os.path.isfile(source):
            shutil.copyfile(source, target)
        else:
            raise _nothing(path, str(self.local))


class RunSource:
    """A folder of a run's artifacts, as they are now or as a commit of the run has them."""

    local: str | None = None

    def __init__(self, store: GitStore, run_id: str, path: str, commit: str | None = None) -> None:
        self.repo: Repository | None = store.repo
        self._objects = store.objects
        self._repo = store.repo
        self._name = f"runs:/{run_id}/{path}"
        found = store.artifact_of(commit, path) if commit else store.artifact(run_id, path)
        if isinstance(found, Entry):
            raise InvalidParameterValue(
                f"{self._name} is a file, not a model", hint="a model is a folder with an MLmodel"
            )
        self._root = found

    def read(self, path: str) -> bytes:
        found = self._find(path)
        if not isinstance(found, Entry):
            raise _nothing(path, self._name)
        bring(self._repo, self._objects, [found])
        return self._objects.read(found.sha256)

    def open(self, path: str) -> BinaryIO | None:
        found = self._find(path)
        if not isinstance(found, Entry):
            raise _nothing(path, self._name)
        bring(self._repo, self._objects, [found])
        stream = self._objects.open(found.sha256)
        if not self._objects.is_whole(found.sha256) and _digest(stream) != found.sha256:
            raise self._objects.damaged(found.sha256)
        return stream

    def fetch(self, path: str, target: str, *, copy: bool = False) -> None:
        found = self._find(path)
        entries = {"": found} if isinstance(found, Entry) else found
        bring(self._repo, self._objects, entries.values())
        place(self._objects, entries, target, copy=copy)

    def _find(self, path: str) -> Entry | dict[str, Entry]:
        fetch = partial(bring_manifest, self._repo, self._objects)
        return find(self._objects, self._root, path, fetch)


class RevisionSource:
    """A folder as of a branch, tag or commit: tracked by Git, or data that a pointer names."""

    local: str | None = None

    def __init__(self, source: elsewhere.Source, path: str, name: str) -> None:
        self.repo: Repository | None = source.repo
        self._source = source
        self._path = path
        self._name = name

    @classmethod
    def of(cls, meant: uris.RevisionUri) -> RevisionSource:
        """The shortest beginning that is a revision names it; the rest is the path."""
        from mlgit.worktree.elsewhere import Source as Revision

        repo = _place_in_use()
        for count in range(1, len(meant.parts)):
            revision = "/".join(meant.parts[:count])
            try:
                source = Revision(repo, revision)
            except ResourceDoesNotExist:
                continue
            path = "/".join(meant.parts[count:])
            return cls(source, path, f"mlgit:/{revision}/{path}")
        raise ResourceDoesNotExist(
            f"mlgit:/{'/'.join(meant.parts)} names no revision of {repo}",
            hint="mlgit:/<branch, tag or commit>/<path of the model's folder>",
        )

    def read(self, path: str) -> bytes:
        from mlgit.worktree.elsewhere import read_file

        return read_file(self._source, self._below(path))

    def open(self, path: str) -> BinaryIO | None:
        return None

    def fetch(self, path: str, target: str, *, copy: bool = False) -> None:
        from mlgit.worktree.elsewhere import get

        get(self._source, self._below(path), target)

    def _below(self, path: str) -> str:
        return f"{self._path}/{path}" if path else self._path


def _place_in_use() -> str:
    repo = _store_in_use().repo
    return repo.worktree or repo.git_dir


class UrlSource:
    """A folder behind a URL that fsspec has a driver for."""

    local: str | None = None
    repo: Repository | None = None

    def __init__(self, url: str) -> None:
        import fsspec

        self._url = url
        try:
            self._fs, self._root = fsspec.core.url_to_fs(url)
        except ImportError as error:
            raise MissingDependency(
                f"{url} needs a driver that isn't installed: {error}",
                hint="pip install the package that the message names",
            ) from error
        except (ValueError, TypeError) as error:
            raise Unsupported(f"There is no driver for {url}: {error}") from error

    def read(self, path: str) -> bytes:
        found: bytes = self._do("read", path, lambda p: self._fs.cat_file(p))
        return found

    def open(self, path: str) -> BinaryIO | None:
        return None

    def fetch(self, path: str, target: str, *, copy: bool = False) -> None:
        def get(place: str) -> None:
            if self._fs.isdir(place):
                self._get_folder(place.rstrip("/") + "/", target)
            else:
                self._fs.get_file(place, target)

        self._do("fetch", path, get)

    def _get_folder(self, place: str, target: str) -> None:
        os.makedirs(target, exist_ok=True)
        for found in self._fs.find(place):
            below = found[len(place) :] if found.startswith(place) else ".."
            parts = below.split("/")
            if ".." in parts or not parts[0]:
                raise CorruptData(f"{self._url} holds {found!r}, which is outside the model")
            os.makedirs(os.path.join(target, *parts[:-1]), exist_ok=True)
            self._fs.get_file(found, os.path.join(target, *parts))

    def _do(self, doing: str, path: str, what: Any) -> Any:
        place = f"{self._root.rstrip('/')}/{path}" if path else self._root
        try:
            return what(place)
        except FileNotFoundError as error:
            raise _nothing(path, self._url) from error
        except MlgitException:
            raise
        except Exception as error:  # each driver has its own
            raise ResourceDoesNotExist(
                f"Can't {doing} {path or 'the model'} at {self._url}: "
                f"{type(error).__name__}: {error}"
            ) from error


def fetch_file(uri: str, folder: str) -> str:
    """Bring one file or folder of any URI into a folder, under its own name.

    Args:
        uri: A path, or a URI of a run's artifact, a revision's file or a URL.
        folder: Made if it isn't there.

    Returns:
        Its path there.

    Raises:
        ResourceDoesNotExist: There is nothing of that URI.
        InvalidParameterValue: Something of that name is there already.
    """
    meant = uris.parse(uri)
    above, _, name = uri.rstrip("/").rpartition("/")
    target = os.path.join(folder, name)
    if os.path.exists(target):
        raise InvalidParameterValue(f"Two artifacts have the name {name}")
    os.makedirs(folder, exist_ok=True)
    if isinstance(meant, uris.PathUri):
        path = os.path.abspath(meant.path)
        above, name = os.path.split(path)
        LocalSource(above).fetch(name, os.path.join(folder, name))
        return os.path.join(folder, name)
    if isinstance(meant, uris.RunUri) and "/" not in meant.path:
        RunSource(_store_in_use(), meant.run_id, "").fetch(name, target)
        return target
    source_of(above).fetch(name, target)
    return target


def place(
    objects: LocalObjects, entries: dict[str, Entry], target: str, *, copy: bool = False
) -> None:
    """Put objects into a folder that nobody edits, as links where that can be; verified.

    Args:
        objects: Where they are.
        entries: By name; the name "" is a file at the target itself.
        target: A folder, made if it isn't there.
        copy: Write copies.
    """
    if "" not in entries:
        os.makedirs(target, exist_ok=True)
    for name, entry in entries.items():
        path = f"{target}/{name}" if name else target
        try:
            objects.checkout(entry, path, "auto" if copy else "hardlink")
        except Unsupported:
            objects.checkout(entry, path)


def _digest(stream: BinaryIO) -> str:
    """The SHA-256 of a stream, which stands at its beginning before and afterwards."""
    digest = hashlib.sha256()
    while data := stream.read(CHUNK):
        digest.update(data)
    stream.seek(0)
    return digest.hexdigest()


def _nothing(path: str, where: str) -> ResourceDoesNotExist:
    return ResourceDoesNotExist(f"There is no {path or 'folder'} in the model at {where}")
