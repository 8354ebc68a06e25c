"""What differs between the models that two runs logged: signature, requirements, flavors."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from mlgit.entities.model_registry import ModelVersion
from mlgit.exceptions import MlgitException, ResourceDoesNotExist
from mlgit.objects import Entry, parse_manifest
from mlgit.objects.tree import find
from mlgit.review.values import ValueChange, compare_values
from mlgit.store import yamlform
from mlgit.store.absent import bring, bring_manifest
from mlgit.store.gitstore import GitStore
from mlgit.store.modeltag import logged
from mlgit.store.record import Record

# The tag of a run that names its models, and the files of a model's folder that are compared.
_MLMODEL = "MLmodel"
_REQUIREMENTS = "requirements.txt"
_LARGEST = 4 << 20
_IN_RUN = re.compile(
    r"(?:runs:/+[^/]+|mlgit-artifacts:/+[^/]+/[^/]+/artifacts)/+(?P<path>[^/].*)\Z"
)
_REQUIREMENT = re.compile(r"(?P<name>[A-Za-z0-9][\w.-]*(?:\[[^\]]*\])?)\s*(?P<rest>.*)\Z")


@dataclass(frozen=True)
class ModelChange:
    """One model on both sides.

    Attributes:
        old_path, new_path: Its folder in the run; None on a side without it.
        old, new: What the folder is.
        registered: Of registered versions: number, stage, aliases, description and tags.
        signature: What it takes and gives: "input age", "output", "param k", and their types.
        flavors: The flavors and their versions.
        requirements: What it needs, by name.
        notes: Why a part isn't compared.
    """

    old_path: str | None
    new_path: str | None
    old: Entry | None
    new: Entry | None
    registered: tuple[ValueChange, ...] = ()
    signature: tuple[ValueChange, ...] = ()
    flavors: tuple[ValueChange, ...] = ()
    requirements: tuple[ValueChange, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Its folder in the new run, or in the old one."""
        return self.new_path or self.old_path or ""

    @property
    def status(self) -> str:
        """ "added", "removed", "changed" or "unchanged": by its files, and what is registered."""
        if self.old is None or self.new is None:
            if self.old is not self.new:
                return "added" if self.old is None else "removed"
        told = (*self.registered, *self.signature, *self.flavors, *self.requirements)
        same = self.old == self.new and all(c.status == "unchanged" for c in told)
        return "unchanged" if same else "changed"


@dataclass(frozen=True)
class Side:
    """One side of a comparison, as far as its models go.

    Attributes:
        record: The run's record, or None.
        version: The registered version that is meant, or None.
    """

    record: Record | None
    version: ModelVersion | None = None

    def models(self) -> dict[str, Entry | None]:
        """The models' folders by path; a registered version's alone, where it is one."""
        paths = _logged_paths(self.record)
        if self.version is not None:
            match = _IN_RUN.match(self.version.source or "")
            if match:
                paths = [match["path"].strip("/")]
            elif not paths:
                return {self.version.source or self.version.name: None}
        return dict.fromkeys(paths)


def compare_models(store: GitStore, old: Side, new: Side, fetch: bool) -> tuple[ModelChange, ...]:
    """The models of two runs, or two registered versions; those that are equal too.

    Args:
        store: The repository.
        old, new: The sides. Models of one path are compared; where each side has one, these.
        fetch: Get a small file from the remote where it isn't in this clone.
    """
    reader = _Reader(store, fetch)
    before, after = list(old.models()), list(new.models())
    if len(before) == 1 and len(after) == 1:
        pairs: list[tuple[str | None, str | None]] = [(before[0], after[0])]
    else:
        paths = dict.fromkeys([*after, *before])
        pairs = [(p if p in before else None, p if p in after else None) for p in paths]
    registered = compare_values(_registered(old.version), _registered(new.version))
    return tuple(_compare(reader, old, new, *pair, registered) for pair in pairs)


def _compare(
    reader: _Reader,
    old: Side,
    new: Side,
    old_path: str | None,
    new_path: str | None,
    registered: tuple[ValueChange, ...],
) -> ModelChange:
    notes: list[str] = []
    found: list[_Parts] = []
    for name, side, path in (("old", old, old_path), ("new", new, new_path)):
        parts = _Parts()
        if path is not None:
            try:
                parts = reader.read(side.record, path)
            except MlgitException as error:
                notes.append(f"the {name} side's model can't be read: {error.message}")
        found.append(parts)
    first, second = found
    change = ModelChange(old_path, new_path, first.folder, second.folder, registered)
    if notes:
        return replace(change, notes=tuple(notes))
    return replace(
        change,
        signature=compare_values(_signature(first.mlmodel), _signature(second.mlmodel)),
        flavors=compare_values(_flavors(first.mlmodel), _flavors(second.mlmodel)),
        requirements=compare_values(
            _requirements(first.requirements), _requirements(second.requirements)
        ),
    )


@dataclass(frozen=True)
class _Parts:
    """What one side's model is: its folder, its MLmodel, the text of its requirements."""

    folder: Entry | None = None
    mlmodel: Mapping[str, Any] = field(default_factory=dict)
    requirements: str = ""


class _Reader:
    """Reads the small files of models.

    Args:
        store: The repository.
        fetch: Get what isn't in this clone from the remote.
    """

    def __init__(self, store: GitStore, fetch: bool) -> None:
        self.store = store
        self.fetch = fetch

    def read(self, record: Record | None, path: str) -> _Parts:
        """A model's folder, its MLmodel and its requirements.

        Raises:
            ResourceDoesNotExist: They are not here, or nowhere.
            CorruptData: MLmodel can't be read.
        """
        if record is None:
            raise ResourceDoesNotExist("it isn't a run's of this repository")
        above, _, name = path.rpartition("/")
        place = self._folder(record.artifacts, above)
        entry = place.get(name)
        if entry is None or entry.kind != "d":
            raise ResourceDoesNotExist(f"the run has no folder {path}")
        self._bring_manifest(entry.sha256)
        files = parse_manifest(self._object(entry.sha256))
        mlmodel = yamlform.load(self._file(files, _MLMODEL), f"{path}/{_MLMODEL}")
        needs = self._file(files, _REQUIREMENTS).decode("utf-8", "replace")
        return _Parts(entry, mlmodel, needs)

    def _folder(self, root: dict[str, Entry], path: str) -> Mapping[str, Entry]:
        found = find(self.store.objects, root, path, self._bring_manifest)
        return {} if isinstance(found, Entry) else found

    def _bring_manifest(self, sha256: str) -> None:
        if self.fetch:
            bring_manifest(self.store.repo, self.store.objects, sha256)

    def _file(self, files: Mapping[str, Entry], name: str) -> bytes:
        entry = files.get(name)
        if entry is None:
            return b""
        if entry.size > _LARGEST:
            raise ResourceDoesNotExist(f"its {name} is too large to read")
        if self.fetch:
            bring(self.store.repo, self.store.objects, [entry])
        return self._object(entry.sha256)

    def _object(self, sha256: str) -> bytes:
        if not self.store.objects.has(sha256):
            raise ResourceDoesNotExist("its files aren't in this clone (mlgit pull fetches them)")
        return self.store.objects.read(sha256)


def _logged_paths(record: Record | None) -> list[str]:
    """The folders of the models that a run logged, as its tag tells, the oldest first."""
    return list(logged(record.tags))[::-1] if record else []


def _registered(version: ModelVersion | None) -> dict[str, str]:
    if version is None:
        return {}
    found = {
        "version": str(version.version),
        "stage": version.current_stage if version.current_stage not in (None, "None") else None,
        "aliases": ", ".join(sorted(version.aliases)),
        "description": version.description,
        **{f"tag {key}": value for key, value in version.tags.items()},
    }
    return {key: value for key, value in found.items() if value}


def _signature(mlmodel: Mapping[str, Any]) -> dict[str, str]:
    """Each column, tensor and param, and what it is."""
    signature = mlmodel.get("signature")
    found: dict[str, str] = {}
    if not isinstance(signature, dict):
        return found
    for part, noun in (("inputs", "input"), ("outputs", "output"), ("params", "param")):
        for number, item in enumerate(_listed(signature.get(part))):
            name = str(item.get("name", number if number else "")).strip()
            found[f"{noun} {name}".strip()] = _typed(item)
    return found


def _listed(text: object) -> Sequence[dict[str, Any]]:
    try:
        items = json.loads(text) if isinstance(text, str) else text
    except ValueError:
        return []
    return [i for i in items if isinstance(i, dict)] if isinstance(items, list) else []


def _typed(item: dict[str, Any]) -> str:
    spec = item.get("tensor-spec")
    if isinstance(spec, dict):
        shape = ", ".join(str(n) for n in spec.get("shape") or ())
        return f"tensor {spec.get('dtype')} ({shape})"
    rest = {k: v for k, v in item.items() if k not in ("name", "type", "required", "optional")}
    words = [str(item.get("type", ""))]
    if item.get("required") is False or item.get("optional"):
        words.append("optional")
    if rest:
        words.append(json.dumps(rest, sort_keys=True))
    return " ".join(words)


def _flavors(mlmodel: Mapping[str, Any]) -> dict[str, str]:
    flavors = mlmodel.get("flavors")
    found = {}
    for name, row in flavors.items() if isinstance(flavors, dict) else ():
        row = row if isinstance(row, dict) else {}
        versions = [f"{k} {v}" for k, v in row.items() if str(k).endswith("version")]
        found[str(name)] = ", ".join(versions)
    return found


def _requirements(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for line in text.splitlines():
        line = line.strip()
        match = _REQUIREMENT.match(line)
        if not line or line.startswith("#"):
            continue
        if match and "://" not in match["rest"].partition(" ")[0]:
            found[match["name"]] = match["rest"] or "any"
        else:
            found[line] = "given"
    return found
