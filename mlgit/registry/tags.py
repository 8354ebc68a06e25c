"""One tag of the registry: its name and its message, written and read side by side."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from mlgit.exceptions import CorruptData, InvalidState, MlgitException, Unsupported
from mlgit.git import Repository
from mlgit.git.tags import parse_tag
from mlgit.store import spelling, timeform, yamlform

TAGS = "refs/tags/"
FORMAT = 1
REGISTER, DEREGISTER, ASSIGN, UNASSIGN = "register", "deregister", "assign", "unassign"
CREATED, DEPRECATED = "created", "deprecated"

STAGES = {"staging": "Staging", "production": "Production", "archived": "Archived"}

_NUMBER = r"(?:0|[1-9][0-9]{0,17})"
_END = 10**18
_NAME = re.compile(
    rf"^(?P<key>{spelling.MODEL})"
    rf"(?:@v(?P<version>{_NUMBER}(?:\.{_NUMBER}){{2}})|#(?P<alias>{spelling.ALIAS}))(?P<gone>!?)"
    rf"(?:#(?P<count>{_NUMBER}))?\Z"
    rf"|^(?P<key2>{spelling.MODEL})@(?P<word>created|deprecated)(?:#(?P<count2>{_NUMBER}))?\Z"
)
# Something that was meant to be the registry's, as a person would write it.
_MEANT = re.compile(r"^[^@#]+(?:@v[0-9]|#)")


@dataclass(frozen=True)
class TagName:
    """What a tag's name says.

    Attributes:
        key: The model, as tags spell it.
        event: register, deregister, assign, unassign, created or deprecated.
        version: Of register and deregister: "3.0.0".
        alias: Of assign and unassign, as tags spell it.
        count: The number at its end; 0 for none.
    """

    key: str
    event: str
    version: str = ""
    alias: str = ""
    count: int = 0

    @property
    def number(self) -> int | None:
        """The version as MLflow counts; None for one that it can't."""
        major, minor, patch = self.version.split(".")
        return int(major) if (minor, patch) == ("0", "0") and int(major) > 0 else None


def format_name(name: TagName) -> str:
    """A tag's name, without "refs/tags/".

    Raises:
        InvalidState: It has a number that can't be read back.
    """
    major = int(name.version.partition(".")[0] or 0)
    if max(name.count, major) >= _END:
        raise InvalidState(
            f"No numbers are left for tags of {spelling.read(name.key)}: one that is there has "
            f"{max(name.count, major) - 1}",
            hint=f"git tag -l {shlex.quote(f'{name.key}*')} lists them; git tag -d, and git push "
            "--delete where it was pushed, take it away",
        )
    gone = "!" if name.event in (DEREGISTER, UNASSIGN) else ""
    count = f"#{name.count}" if name.count else ""
    if name.version:
        return f"{name.key}@v{name.version}{gone}{count}"
    if name.alias:
        return f"{name.key}#{name.alias}{gone}{count}"
    return f"{name.key}@{name.event}{count}"


def parse_name(text: str) -> TagName | None:
    """What a tag's name says, or None where it isn't the registry's."""
    match = _NAME.match(text)
    if match is None:
        return None
    count = int(match["count"] or match["count2"] or 0)
    if match["word"]:
        return TagName(match["key2"], match["word"], count=count)
    if match["version"]:
        event = DEREGISTER if match["gone"] else REGISTER
        return TagName(match["key"], event, version=match["version"], count=count)
    event = UNASSIGN if match["gone"] else ASSIGN
    return TagName(match["key"], event, alias=match["alias"], count=count)


def looks_meant(text: str) -> bool:
    """Whether a tag's name that doesn't parse seems to have been meant for the registry."""
    return bool(_MEANT.match(text))


@dataclass(frozen=True)
class Event:
    """One tag, read.

    Attributes:
        tag: Its name, without "refs/tags/".
        sha: The tag object.
        name: What the name says.
        commit: The commit that it names.
        at: The tagger's time, in seconds since 1970.
        person: The tagger, "Name <email>".
        message: The keys of its message; ``reason`` holds one that isn't YAML.
        signed: Whether it has a signature (of whom, and whether it is right, isn't said).
    """

    tag: str
    sha: str
    name: TagName
    commit: str
    at: int
    person: str = ""
    message: dict[str, Any] = field(default_factory=dict)
    signed: bool = False

    @cached_property
    def time(self) -> int:
        """When it was made, in milliseconds since 1970."""
        try:
            found = timeform.from_iso(self.message.get("time"), self.tag)
        except CorruptData:
            found = None
        return self.at * 1000 if found is None else found

    @cached_property
    def order(self) -> tuple[int, int, bool]:
        """Sorts the events of one model."""
        return self.name.count, self.at, self.name.event in (UNASSIGN, DEREGISTER)

    def text(self, key: str) -> str | None:
        """A key of the message that holds text."""
        value = self.message.get(key)
        return value if isinstance(value, str) else None

    def texts(self, key: str) -> dict[str, str]:
        """A key of the message that maps names to text."""
        value = self.message.get(key)
        if not isinstance(value, dict):
            return {}
        return {str(k): v if isinstance(v, str) else str(v) for k, v in value.items()}

    @cached_property
    def stage(self) -> str | None:
        """The stage that an assignment is about; None where it is about an alias.

        The name decides: hosts protect tags by it, CI is started by it, and GTO reads no more.
        A message only tells an alias from the stage that has its name.
        """
        named = STAGES.get(self.name.alias.lower())
        if named is None or (self.text("stage") or "").lower() == named.lower():
            return named
        given = self.text("alias")
        return None if given is not None and spelling.spell(given) == self.name.alias else named

    @property
    def alias(self) -> str:
        """The alias that an assignment is about, as people write it."""
        given = self.text("alias")
        if given is not None and spelling.spell(given) == self.name.alias:
            return given
        return spelling.read(self.name.alias)


def contradiction(event: Event, number: int | None) -> str:
    """What a tag's message says otherwise than its name and its commit; "" for nothing.

    Args:
        event: The tag.
        number: The version that it is about.
    """
    said = event.message
    if "format" not in said:
        return ""
    if said.get("event", event.name.event) != event.name.event:
        return f"the message says {said['event']}, and the name {event.name.event}"
    if said.get("version", number) != number:
        return f"the message says version {said['version']}, and the commit is version {number}'s"
    for key in ("stage", "alias"):
        named = said.get(key)
        spelled = spelling.spell(str(named).lower() if key == "stage" else str(named))
        if named is not None and spelled != event.name.alias:
            return f"the message is about {named}, and the name about {event.name.alias}"
    return ""


def format_message(message: dict[str, Any]) -> str:
    """A tag's message; keys without a value are left out. The first line is for people."""
    kept = {k: v for k, v in {"format": FORMAT, **message}.items() if v not in (None, [], {})}
    return f"# {_subject(message)}\n{yamlform.dump(kept).decode()}"


def _subject(message: dict[str, Any]) -> str:
    model = " ".join(str(message.get("model", "")).split())
    text = f"{model}: version {message.get('version', '')}"
    if message.get("event") == DEREGISTER:
        return f"{text} is deleted"
    if message.get("event") not in (ASSIGN, UNASSIGN):
        return text
    stage = message.get("stage")
    given = f"is in {stage}" if stage else f"is {message.get('alias', '')}"
    return f"{text} {given}" + (" no more" if message["event"] == UNASSIGN else "")


def parse_message(text: str, name: str) -> dict[str, Any]:
    """The keys of a tag's message; ``reason`` holds all of one that isn't the registry's YAML.

    Raises:
        Unsupported: It is of a later format.
    """
    shown = text
    if text.startswith("# "):
        text = text.partition("\n")[2]
    try:
        found = yamlform.load(text.encode("utf-8", "surrogateescape"), name)
    except MlgitException:
        found = {}
    version = found.get("format")
    if not isinstance(version, int) or isinstance(version, bool):
        return {"reason": shown.strip()} if shown.strip() else {}
    if version > FORMAT:
        raise Unsupported(
            f"The tag {name} is of format {version}; this mlgit knows up to {FORMAT}",
            hint="install a newer mlgit",
        )
    return found


def read_event(repo: Repository, name: TagName, tag: str, sha: str, present: set[str]) -> Event:
    """Read a tag.

    Args:
        repo: The repository.
        name: What its name says.
        tag: Its name, without "refs/tags/".
        sha: What its ref holds.
        present: Commits that are known to be there; more are put in.

    Raises:
        CorruptData, ResourceDoesNotExist, Unsupported: It can't be used; the message says why.
    """
    kind, raw = repo.objects.read(sha)
    if kind != "tag":
        raise CorruptData(
            f"The tag {tag} is lightweight: it has no date and no author",
            hint="mlgit and gto make annotated ones; git tag -a does, too",
        )
    found = parse_tag(raw)
    if found.kind != "commit":
        raise CorruptData(f"The tag {tag} names a {found.kind}, not a commit")
    if found.target not in present and not repo.objects.exists(found.target):
        raise CorruptData(
            f"The tag {tag} names the commit {found.target[:10]}, which isn't here",
            hint="mlgit fetch brings what a Git remote has",
        )
    present.add(found.target)
    if name.version and name.number is None:
        raise CorruptData(
            f"The tag {tag} registers v{name.version}, and MLflow's versions are whole numbers",
            hint="gto register --version v1.0.0, and then --bump-major, make such ones",
        )
    message = parse_message(found.message, tag)
    return Event(
        tag, sha, name, found.target, found.time, found.person, message, bool(found.signature)
    )
