"""``model.yaml``: a model's text, which people change; written and read side by side."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from mlgit.entities import LifecycleStage
from mlgit.exceptions import CorruptData, Unsupported
from mlgit.git import Repository
from mlgit.git.commits import Commit, format_commit, parse_commit, signature
from mlgit.git.trees import FILE, format_tree, lookup
from mlgit.store import timeform, yamlform

REFS = "refs/mlgit/registry/"
FORMAT = 1
_FILE = "model.yaml"
_KEYS = frozenset(
    [
        "format",
        "name",
        "lifecycle_stage",
        "creation_time",
        "last_update_time",
        "rename_time",
        "description",
        "tags",
        "versions",
    ]
)


@dataclass
class VersionText:
    """The text of one version: it stands for what its tag says."""

    description: str | None = None
    tags: dict[str, str] = field(default_factory=dict)
    last_update_time: int | None = None
    others: dict[str, Any] = field(default_factory=dict)


@dataclass
class ModelText:
    """The text of one model.

    Attributes:
        others: Keys that this version of mlgit doesn't know.
    """

    name: str
    lifecycle_stage: str = LifecycleStage.ACTIVE
    creation_time: int | None = None
    last_update_time: int | None = None
    rename_time: int | None = None
    description: str | None = None
    tags: dict[str, str] = field(default_factory=dict)
    versions: dict[int, VersionText] = field(default_factory=dict)
    others: dict[str, Any] = field(default_factory=dict)


def ref_of(key: str) -> str:
    """The ref that a model's text is kept under."""
    return REFS + key.replace("/", ",")


def key_of(ref: str) -> str:
    """The key of the model whose text is kept under a ref."""
    return ref[len(REFS) :].replace(",", "/")


def format_text(text: ModelText) -> bytes:
    """The bytes of ``model.yaml``."""
    data: dict[str, Any] = {
        "format": FORMAT,
        "name": text.name,
        "lifecycle_stage": text.lifecycle_stage,
        "creation_time": _time(text.creation_time),
        "last_update_time": _time(text.last_update_time),
        "rename_time": _time(text.rename_time),
        "description": text.description,
        "tags": dict(sorted(text.tags.items())),
        "versions": {str(n): _version(v) for n, v in sorted(text.versions.items())},
        **text.others,
    }
    return yamlform.dump({k: v for k, v in data.items() if v is not None and v != {}})


def _version(text: VersionText) -> dict[str, Any]:
    data = {
        "description": text.description,
        "tags": dict(sorted(text.tags.items())),
        "last_update_time": _time(text.last_update_time),
        **text.others,
    }
    return {k: v for k, v in data.items() if v is not None}


def _time(value: int | None) -> str | int | None:
    return None if value is None else timeform.to_iso(value)


def parse_text(data: bytes, name: str) -> ModelText:
    """A model's text from ``model.yaml``.

    Args:
        data: The file.
        name: What to call it in errors.

    Raises:
        CorruptData: It doesn't hold what it must.
        Unsupported: It is of a later format.
    """
    found = yamlform.load(data, name)
    version = found.get("format")
    if not isinstance(version, int) or version < 1:
        raise CorruptData(f"{name} doesn't say its format")
    if version > FORMAT:
        raise Unsupported(
            f"{name} is of format {version}; this mlgit knows up to {FORMAT}",
            hint="install a newer mlgit",
        )
    shown, stage = found.get("name"), found.get("lifecycle_stage", LifecycleStage.ACTIVE)
    if not isinstance(shown, str) or not shown:
        raise CorruptData(f"{name} has no name")
    versions = found.get("versions") or {}
    if not isinstance(versions, dict):
        raise CorruptData(f"{name}: versions must be a mapping")
    return ModelText(
        shown,
        LifecycleStage.DELETED if stage == LifecycleStage.DELETED else LifecycleStage.ACTIVE,
        timeform.from_iso(found.get("creation_time"), name),
        timeform.from_iso(found.get("last_update_time"), name),
        timeform.from_iso(found.get("rename_time"), name),
        _text(found, "description", name),
        _texts(found, "tags", name),
        {_number(key, name): _read_version(value, name) for key, value in versions.items()},
        {key: value for key, value in found.items() if key not in _KEYS},
    )


def _number(key: str, name: str) -> int:
    if not (key.isascii() and key.isdigit() and len(key) < 19):
        raise CorruptData(f"{name}: {key!r} isn't a version")
    return int(key)


def _read_version(found: Any, name: str) -> VersionText:
    if not isinstance(found, dict):
        raise CorruptData(f"{name}: a version must be a mapping")
    known = ("description", "tags", "last_update_time")
    return VersionText(
        _text(found, "description", name),
        _texts(found, "tags", name),
        timeform.from_iso(found.get("last_update_time"), name),
        {key: value for key, value in found.items() if key not in known},
    )


def _text(found: dict[str, Any], key: str, name: str) -> str | None:
    value = found.get(key)
    if value is not None and not isinstance(value, str):
        raise CorruptData(f"{name}: {key} must be text")
    return value


def _texts(found: dict[str, Any], key: str, name: str) -> dict[str, str]:
    value = found.get(key) or {}
    if not isinstance(value, dict):
        raise CorruptData(f"{name}: {key} must be a mapping")
    return {str(k): v if isinstance(v, str) else str(v) for k, v in value.items()}


def read_text(repo: Repository, commit: str) -> ModelText:
    """The text that a commit holds.

    Raises:
        CorruptData, ResourceDoesNotExist, Unsupported: It can't be read.
    """
    tree = parse_commit(repo.objects.commit(commit)).tree
    blob = lookup(repo.objects, tree, _FILE)
    shown = f"{_FILE} in {commit[:10]}"
    if blob is None:
        raise CorruptData(f"There is no {shown}")
    return parse_text(repo.objects.blob(blob), shown)


def write_tree(repo: Repository, text: ModelText) -> str:
    """The tree that holds a model's text, written."""
    blob = repo.objects.write("blob", format_text(text))
    return repo.objects.write("tree", format_tree({_FILE.encode(): (FILE, blob)}))


def write_text(
    repo: Repository, key: str, text: ModelText, old: str | None, subject: str, now: int
) -> str:
    """Commit a model's text, if nobody else has changed it.

    Args:
        repo: The repository.
        key: The model's key.
        text: Its text.
        old: The commit that it was read from; None where there is none yet.
        subject: What is changed, in a few words.
        now: The time, in milliseconds since 1970.

    Returns:
        The commit.

    Raises:
        Conflict: Somebody else did.
        StorageError, PermissionDenied: It can't be written.
    """
    made = commit_text(repo, key, text, old, subject, now)
    repo.refs.update(ref_of(key), made, old)
    return made


def commit_text(
    repo: Repository, key: str, text: ModelText, old: str | None, subject: str, now: int
) -> str:
    """Write the commit of a model's text, and no ref; see ``write_text``."""
    tree = write_tree(repo, text)
    message = f"{' '.join(subject.split())}\n\nMlgit-Model: {key}\n"
    commit = Commit(
        tree,
        (old,) if old else (),
        signature(repo.author(), now),
        signature(repo.committer(), now),
        message,
    )
    return repo.objects.write("commit", format_commit(commit))


def renumber(text: ModelText, numbers: Mapping[int, int]) -> bool:
    """Let what is said of versions follow them to other numbers; whether there was something.

    Args:
        text: The text, which is changed.
        numbers: The new numbers, by the old ones.
    """
    moved = {old: text.versions.pop(old) for old in numbers if old in text.versions}
    text.versions.update((numbers[old], version) for old, version in moved.items())
    return bool(moved)


# -- merging

_FIELDS = ("name", "lifecycle_stage", "description")


def flat(text: ModelText) -> dict[tuple[str, ...], Any]:
    """A model's text as one mapping, to be merged key by key; times are left out."""
    found: dict[tuple[str, ...], Any] = {
        ("field", name): getattr(text, name) for name in _FIELDS if getattr(text, name) is not None
    }
    found.update((("tag", name), value) for name, value in text.tags.items())
    found.update((("key", name), value) for name, value in text.others.items())
    for number, version in text.versions.items():
        which = str(number)
        found["version", which] = True
        if version.description is not None:
            found["version", which, "description"] = version.description
        found.update((("version", which, "tag", k), v) for k, v in version.tags.items())
        found.update((("version", which, "key", k), v) for k, v in version.others.items())
    return found


def unflat(found: Mapping[tuple[str, ...], Any]) -> ModelText:
    """A model's text from what ``flat`` made of it."""
    text = ModelText("")
    for (kind, name, *rest), value in found.items():
        if kind == "field":
            setattr(text, name, value)
        elif kind != "version":
            (text.tags if kind == "tag" else text.others)[name] = value
        elif ("version", name) in found:
            version = text.versions.setdefault(int(name), VersionText())
            if rest == ["description"]:
                version.description = value
            elif rest:
                (version.tags if rest[0] == "tag" else version.others)[rest[1]] = value
    return text


def join_times(text: ModelText, *sides: ModelText) -> None:
    """Set a merged text's times: made when the first was, changed when the last was."""

    def known(values: Iterable[int | None]) -> list[int]:
        return [value for value in values if value is not None]

    text.creation_time = min(known(s.creation_time for s in sides), default=None)
    text.last_update_time = max(known(s.last_update_time for s in sides), default=None)
    text.rename_time = max(known(s.rename_time for s in sides), default=None)
    for number, version in text.versions.items():
        own = [s.versions[number] for s in sides if number in s.versions]
        version.last_update_time = max(known(v.last_update_time for v in own), default=None)
