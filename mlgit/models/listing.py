"""Which models runs have logged, and what a person wants to know of one."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from mlgit.entities import Run
from mlgit.exceptions import InvalidParameterValue, MlgitException, ResourceDoesNotExist
from mlgit.models import environment, uris
from mlgit.models.folder import ModelFolder, opened
from mlgit.models.mlmodel import MLMODEL, Model
from mlgit.models.sources import source_at
from mlgit.objects import Entry
from mlgit.objects.manifest import parse_manifest
from mlgit.store import modeltag
from mlgit.store.runtree import RunTree

if TYPE_CHECKING:
    from mlgit.registry.sources import Place
    from mlgit.store.gitstore import GitStore

HAS_MODELS = f"tags.`{modeltag.HISTORY}` IS NOT NULL"
_SCHEMES = ("runs:", "models:", "mlgit:", "file:", "mlgit-artifacts:")


@dataclass(frozen=True)
class LoggedModel:
    """A model that a run has logged.

    Attributes:
        run: The run.
        path: Its folder in the run.
        flavors: The names of its flavors.
        created: When it was made, as its MLmodel says.
        model_uuid: Its id.
    """

    run: Run
    path: str
    flavors: tuple[str, ...]
    created: str
    model_uuid: str

    @property
    def uri(self) -> str:
        """The URI to load it by."""
        return f"runs:/{self.run.info.run_id}/{self.path}"


def models_of(run: Run) -> list[LoggedModel]:
    """The models of a run, newest first, as its tag tells: no file is read."""
    return [
        LoggedModel(
            run,
            path,
            modeltag.flavors(entry),
            str(entry.get("utc_time_created") or ""),
            str(entry.get("model_uuid") or ""),
        )
        for path, entry in modeltag.logged(run.data.tags).items()
    ]


def uri_of(store: GitStore, run_id: str, path: str = "") -> str:
    """The URI of a run's model.

    Args:
        store: The repository.
        run_id: The run.
        path: The model's folder in it; where it has one model, it needn't be told.

    Raises:
        ResourceDoesNotExist: The run has no model.
        InvalidParameterValue: It has several; the error lists them.
    """
    if path:
        return f"runs:/{run_id}/{path}"
    found = models_of(store.runs.get(run_id))
    if not found:
        raise ResourceDoesNotExist(
            f"The run {run_id} has logged no model",
            hint="mlgit models list --logged lists those there are",
        )
    if len(found) > 1:
        listing = "\n".join(f"  {run_id[:8]}:{model.path}" for model in found)
        raise InvalidParameterValue(
            f"The run {run_id} has several models:\n{listing}", hint="name one as RUN:PATH"
        )
    return found[0].uri


def names_a_run(text: str) -> bool:
    """Whether a person's name for a model is of the form RUN or RUN:PATH, and no URI or path."""
    is_path = text.startswith((".", "/", "~")) or os.path.isdir(text)
    # RUN:PATH has slashes behind the colon, if any; refs are runs, too.
    is_path = is_path or ("/" in text.partition(":")[0] and not text.startswith("refs/"))
    return not (is_path or "://" in text or text.startswith(_SCHEMES))


# -- what is known without fetching anything


def size_of(store: GitStore, model: LoggedModel) -> int | None:
    """How large the folder of a model is, in bytes; None where it isn't known."""
    found = _entries(store, model.run.info.run_id, model.path)
    return None if found is None else sum(entry.size for entry in found.values())


def mlmodel_of(store: GitStore, model: LoggedModel) -> Model | None:
    """A model's MLmodel, where it is here and can be read."""
    entry = mlmodel_entry(store, model.run.info.run_id, model.path)
    if entry is None:
        return None
    try:
        return Model.from_bytes(store.objects.read(entry.sha256))
    except MlgitException:
        return None


def mlmodel_entry(
    store: GitStore, run_id: str, path: str, commit: str | None = None
) -> Entry | None:
    """The MLmodel of a folder of a run's artifacts; None where it isn't here.

    Args:
        store: The repository.
        run_id: The run.
        path: The folder.
        commit: The run's commit that says what is in it; the newest where None.
    """
    entry = (_entries(store, run_id, path, commit) or {}).get(MLMODEL)
    return entry if entry is not None and store.objects.has(entry.sha256) else None


def is_here(store: GitStore, run_id: str, path: str, commit: str | None = None) -> bool:
    """Whether a folder of a run's artifacts is in this clone, with all that is below it.

    The arguments are those of ``mlmodel_entry``.
    """
    pending = [_entries(store, run_id, path, commit)]
    while pending:
        found = pending.pop()
        if found is None:
            return False
        for entry in found.values():
            if not store.objects.has(entry.sha256):
                return False
            if entry.kind == "d":
                pending.append(_manifest(store, entry))
    return True


def _entries(
    store: GitStore, run_id: str, path: str, commit: str | None = None
) -> dict[str, Entry] | None:
    """What a folder of a run holds; None where that isn't here: nothing is fetched."""
    try:
        if commit is None:
            here: dict[str, Entry] | None = store.runs.record(run_id).artifacts
        else:
            here = RunTree(store.repo, commit).summary().artifacts
        for part in path.split("/"):
            here = _manifest(store, here[part]) if here is not None else None
    except (MlgitException, KeyError):
        return None
    return here


def _manifest(store: GitStore, entry: Entry) -> dict[str, Entry] | None:
    try:
        return parse_manifest(store.objects.read(entry.sha256))
    except MlgitException:
        return None


# -- one model


@dataclass
class Description:
    """What is known of one model.

    Attributes:
        uri: What it was asked for by.
        model: Its MLmodel.
        requirements: The lines of requirements.txt.
        files: Path, size and SHA-256 of its files, sorted; the last "" where it isn't known.
        digest: The SHA-256 of its folder's manifest, where it is from a run.
        example: The input example as the JSON that it is kept as, cut short; or "".
    """

    uri: str
    model: Model
    requirements: list[str] = field(default_factory=list)
    files: list[tuple[str, int, str]] = field(default_factory=list)
    digest: str = ""
    example: str = ""


_EXAMPLE_SHOWN = 400


def describe(uri: str, store: GitStore | None = None) -> Description:
    """What is known of one model; of its files only the small ones are read.

    Args:
        uri: Any model URI.
        store: The repository of runs; the one in use where None.

    Raises:
        ResourceDoesNotExist: There is no such model.
        CorruptData: Its MLmodel can't be read.
    """
    with opened(uri, store=store) as folder:
        found = _described(folder, uri)
        meant = uris.parse(uri)
        if isinstance(meant, uris.PathUri):
            found.files = sorted(_local_files(os.path.abspath(meant.path)))
        elif isinstance(meant, uris.RunUri) and store is not None:
            found.digest, found.files = _logged_files(meant, partial(store.artifact, meant.run_id))
    return found


def describe_version(place: Place, store: GitStore) -> Description:
    """What is known of a version of a registered model, whatever its run has logged since.

    Args:
        place: Where its folder is, in a run.
        store: The repository of runs.

    Raises:
        ResourceDoesNotExist: There is no such model.
        CorruptData: Its MLmodel can't be read.
    """
    folder = ModelFolder(source_at(place, store), place.location)
    try:
        found = _described(folder, place.location)
    finally:
        folder.close()
    meant = uris.parse(place.location)
    if isinstance(meant, uris.RunUri):
        look: Look = partial(store.artifact, meant.run_id)
        if place.commit is not None:
            look = partial(store.artifact_of, place.commit)
        found.digest, found.files = _logged_files(meant, look)
    return found


def _described(folder: ModelFolder, uri: str) -> Description:
    found = Description(uri, folder.model)
    found.requirements = _text(folder, environment.REQUIREMENTS).splitlines()
    info = folder.model.saved_input_example_info or {}
    if info.get("artifact_path"):
        found.example = _text(folder, info["artifact_path"])
    if len(found.example) > _EXAMPLE_SHOWN:
        found.example = found.example[: _EXAMPLE_SHOWN - 1] + "…"
    return found


def _text(folder: ModelFolder, name: object) -> str:
    try:
        return folder.read(name).decode("utf-8", "replace")
    except ResourceDoesNotExist:
        return ""


def _local_files(root: str) -> Iterator[tuple[str, int, str]]:
    for above, _, names in os.walk(root):
        for name in names:
            path = os.path.join(above, name)
            size = os.lstat(path).st_size
            yield os.path.relpath(path, root), size, ""


# From a path of a run's artifacts to what is there.
Look = Callable[[str], "Entry | dict[str, Entry]"]


def _logged_files(meant: uris.RunUri, look: Look) -> tuple[str, list[tuple[str, int, str]]]:
    above, _, name = meant.path.rpartition("/")
    folder = look(above)
    digest = folder[name].sha256 if isinstance(folder, dict) and name in folder else ""
    return digest, sorted(_walked(look, meant.path, ""))


def _walked(look: Look, path: str, shown: str) -> Iterator[tuple[str, int, str]]:
    found = look(path)
    if isinstance(found, Entry):
        return
    for name, entry in found.items():
        if entry.kind == "d":
            yield from _walked(look, f"{path}/{name}", f"{shown}{name}/")
        else:
            yield f"{shown}{name}", entry.size, entry.sha256
