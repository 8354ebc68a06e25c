"""A model's folder that is being loaded: its MLmodel, and the files that a flavor asks for."""

from __future__ import annotations

import json
import os
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from mlgit.exceptions import (
    CorruptData,
    InvalidParameterValue,
    MlgitException,
    ResourceDoesNotExist,
)
from mlgit.git import Repository
from mlgit.models.mlmodel import MLMODEL, Model
from mlgit.models.pickles import Read, load_pickle, refused
from mlgit.models.policy import allows_pickle
from mlgit.models.sources import LocalSource, Source, source_of
from mlgit.models.workspace import Workspace

if TYPE_CHECKING:
    from mlgit.store.gitstore import GitStore

PYFUNC = "python_function"


class ModelFolder:
    """A model's folder that is being loaded.

    Args:
        source: Where it is.
        uri: What errors call it.
        allow_pickle: Whether it may run code; the setting where None.

    Attributes:
        model: Its MLmodel.
        uri: The same.
    """

    def __init__(self, source: Source, uri: str, allow_pickle: bool | None = None) -> None:
        self.uri = uri
        self._source = source
        self._call = allow_pickle
        self._allowed: bool | None = None
        self._workspace: Workspace | None = None
        self._kept = False
        self._fetched: dict[str, str] = {}
        self.model = Model.from_bytes(_mlmodel(source, uri), f"{MLMODEL} of {uri}")

    # -- what MLmodel says

    def row(self, flavor: str) -> dict[str, Any]:
        """A flavor's row.

        Raises:
            ResourceDoesNotExist: The model doesn't have the flavor.
        """
        found = self.model.flavors.get(flavor)
        if found is None:
            raise ResourceDoesNotExist(
                f"The model at {self.uri} has no flavor {flavor!r}",
                hint="it has: " + (", ".join(sorted(map(str, self.model.flavors))) or "none"),
            )
        return dict(found)

    @property
    def pyfunc_row(self) -> dict[str, Any]:
        """The row of the pyfunc face."""
        return self.row(PYFUNC)

    # -- files

    def file(self, path: object) -> str:
        """Where a file or folder of the model is on disk; it is fetched if it isn't yet.

        Args:
            path: What MLmodel says: relative to the folder, with slashes.

        Raises:
            CorruptData: The path leads out of the folder.
            ResourceDoesNotExist: There is nothing of that path.
        """
        name = self._inside(path)
        if self._source.local is not None:
            return self._real(name)
        for above in (name, *_above(name)):
            if above in self._fetched:
                # A file that is asked for again is itself, not a folder: no slash behind it.
                place = os.path.join(self._fetched[above], name[len(above) :].lstrip("/"))
                place = place.rstrip("/")
                if not os.path.lexists(place):
                    raise self._lacks(name)
                return place
        target = os.path.join(self._folder(), *name.split("/"))
        os.makedirs(os.path.dirname(target), exist_ok=True)
        self._source.fetch(name, target)
        self._fetched[name] = target
        return target

    def everything(self) -> str:
        """The whole folder on disk, for what loads from a folder and doesn't say which files."""
        if self._source.local is not None:
            return self._source.local
        if "" not in self._fetched:
            # Not among files that were fetched one by one.
            target = f"{os.path.dirname(self._folder())}/whole"
            self._source.fetch("", target)
            self._fetched[""] = target
        return self._fetched[""]

    def read(self, path: object) -> bytes:
        """A small file's bytes; it needn't be on disk.

        Raises:
            CorruptData, ResourceDoesNotExist: As for ``file``.
        """
        name = self._inside(path)
        if self._source.local is not None:
            self._real(name)
        return self._source.read(name)

    def load_pickle(self, path: object, read: Read | None = None) -> Any:
        """What a pickle of the model holds, if pickles may be loaded.

        Args:
            path: As for ``file``.
            read: As for ``mlgit.models.pickles.load_pickle``.

        Raises:
            PermissionDenied: They may not.
            CorruptData: The file is cut short or isn't a pickle.
        """
        name = self._inside(path)
        if not self.allows_code:
            raise refused(f"{name} of {self.uri} is a pickle")
        if self._source.local is not None:
            self._real(name)
        stream = self._source.open(name) or open(self.file(name), "rb")
        with stream:
            return load_pickle(stream, self.allows_code, f"{name} of {self.uri}", read)

    def _inside(self, path: object) -> str:
        text = path if isinstance(path, str) else ""
        parts = text.split("/")
        wrong = not text or "\0" in text or "\\" in text or ".." in parts or text[0] in "/~"
        if wrong or any(":" in part for part in parts[:1]):
            raise CorruptData(
                f"{MLMODEL} of {self.uri} names {path!r}, which isn't a path inside the model",
                hint="the folder was changed or made by hand: don't load it",
            )
        return "/".join(part for part in parts if part not in ("", "."))

    def _real(self, name: str) -> str:
        root = os.path.realpath(str(self._source.local))
        place = os.path.realpath(os.path.join(root, name))
        if place != root and not place.startswith(root.rstrip("/") + "/"):
            raise CorruptData(
                f"{name} of {self.uri} is a link that leads out of the model's folder",
                hint="the folder was changed or made by hand: don't load it",
            )
        if not os.path.exists(place):
            raise self._lacks(name)
        return place

    def _lacks(self, name: str) -> ResourceDoesNotExist:
        return ResourceDoesNotExist(
            f"The model at {self.uri} lacks {name}, which its {MLMODEL} names",
            hint="it was logged or copied incompletely",
        )

    def _folder(self) -> str:
        if self._workspace is None:
            self._workspace = _workspace(self._source.repo)
            if self._kept:
                self._workspace.keep()
        return f"{self._workspace.path}/model"

    # -- code

    @property
    def allows_code(self) -> bool:
        """Whether loading may run code that the model holds."""
        if self._allowed is None:
            self._allowed = allows_pickle(self._call, self._source.repo)
        return self._allowed

    def require_code(self, what: str) -> None:
        """Refuse code of the model's own, where that isn't allowed.

        Args:
            what: The field or file, as in "loader_module of MLmodel names a module".

        Raises:
            PermissionDenied: It isn't.
        """
        if not self.allows_code:
            raise refused(f"{what} ({self.uri})")

    def add_code(self, row: dict[str, Any]) -> None:
        """Put the folder of code that a row names on ``sys.path``."""
        code = row.get("code")
        if code is None:
            return
        self.require_code(f"code: {code} names code")
        from mlgit.models.code import add_to_path

        if add_to_path(self.file(code)):
            self.keep()  # modules are imported from it when they are first needed

    # -- the example

    def input_example(self) -> Any:
        """The example that the model was saved with, or None."""
        info = self.model.saved_input_example_info
        if not info:
            return None
        from mlgit.models.examples import load_input_example

        schema = self.model.get_input_schema()
        return load_input_example(self._example_folder(info), info, schema)

    def input_example_params(self) -> Any:
        """The params of the example, or None."""
        info = self.model.saved_input_example_info
        if not info:
            return None
        from mlgit.models.examples import load_example_params

        return load_example_params(self._example_folder(info), info)

    def serving_input(self) -> str | None:
        """The example as the body of a request to a scoring server, or None."""
        info = self.model.saved_input_example_info or {}
        name = info.get("serving_input_path")
        if name is None:
            return None
        text = self.read(name).decode("utf-8", "replace")
        try:
            json.loads(text)
        except ValueError as error:
            raise CorruptData(f"{name} of {self.uri} isn't JSON") from error
        return text

    def _example_folder(self, info: dict[str, Any]) -> str:
        name = self._inside(info.get("artifact_path"))
        return self.file(name)[: -len(name)].rstrip("/") or "/"

    # -- the end

    def keep(self) -> None:
        """Leave the files where they are until the interpreter ends."""
        self._kept = True
        if self._workspace is not None:
            self._workspace.keep()

    def release_with(self, owner: Any) -> None:
        """Leave the files where they are as long as an object lives that may open them."""
        if self._workspace is None:
            return
        try:
            weakref.finalize(owner, self._workspace.close)
        except TypeError:  # nobody can tell when it goes
            self._workspace.keep()

    def close(self) -> None:
        """Remove the files, if they were put there for loading."""
        if self._workspace is not None and not self._kept:
            self._workspace.close()
            self._workspace, self._fetched = None, {}  # what is asked for later comes anew


def _workspace(repo: Repository | None) -> Workspace:
    if repo is not None:
        try:
            return Workspace(f"{repo.state_dir}/models")
        except MlgitException:
            pass  # a repository that may only be read
    return Workspace()


def _above(name: str) -> Iterator[str]:
    while "/" in name:
        name = name.rpartition("/")[0]
        yield name
    yield ""


def _mlmodel(source: Source, uri: str) -> bytes:
    try:
        return source.read(MLMODEL)
    except ResourceDoesNotExist as error:
        raise ResourceDoesNotExist(
            f"No model at {uri}: the folder has no file {MLMODEL}", hint=error.hint
        ) from error


def open_folder(
    uri: str | os.PathLike[str],
    *,
    allow_pickle: bool | None = None,
    verify: bool | None = None,
    dst_path: str | os.PathLike[str] | None = None,
    store: GitStore | None = None,
) -> ModelFolder:
    """A model's folder, for who loads it and closes it; see ``opened``."""
    if isinstance(uri, (bytes, bytearray)) or not isinstance(uri, (str, os.PathLike)):
        raise InvalidParameterValue(f"A model URI is text or a path, not {type(uri).__name__}")
    source = source_of(uri, store, verify)
    if dst_path is not None:
        name = os.fspath(uri).rstrip("/").rpartition("/")[2]
        name = "model" if name in ("", ".", "..") else name
        target = os.path.join(os.path.abspath(dst_path), name)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        source.fetch("", target, copy=True)
        source = LocalSource(target)
    return ModelFolder(source, os.fspath(uri), allow_pickle)


@contextmanager
def opened(
    uri: str | os.PathLike[str],
    *,
    allow_pickle: bool | None = None,
    verify: bool | None = None,
    dst_path: str | os.PathLike[str] | None = None,
    store: GitStore | None = None,
) -> Iterator[ModelFolder]:
    """A model's folder while a model is loaded from it; what was fetched is removed afterwards.

    Args:
        uri: Any model URI.
        allow_pickle: Whether it may run code; the setting where None.
        verify: Whether a registered model must be signed; the setting where None.
        dst_path: A folder that the files are put into and stay in.
        store: The repository of runs; the one in use where None.

    Raises:
        ResourceDoesNotExist: There is no model.
        CorruptData: Its MLmodel can't be read.
        UntrustedModel: It must be signed, and isn't as it must be.
    """
    folder = open_folder(
        uri, allow_pickle=allow_pickle, verify=verify, dst_path=dst_path, store=store
    )
    try:
        yield folder
    finally:
        folder.close()
