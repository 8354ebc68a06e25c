"""What happened to a model: its tags, and the commits of its text, as changes that people read."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from mlgit.exceptions import MlgitException
from mlgit.git import Repository
from mlgit.git.commits import parse_commit
from mlgit.registry.state import commits_of, version_meant
from mlgit.registry.tags import ASSIGN, CREATED, DEPRECATED, DEREGISTER, REGISTER, UNASSIGN, Event

TEXT = "text"
_WHEN = re.compile(r"> (\d{1,18}) [+-]\d{4}\Z")


@dataclass(frozen=True)
class Change:
    """One thing that happened to a model.

    Attributes:
        event: register, deregister, assign, unassign, created, deprecated or text.
        time: In milliseconds since 1970.
        person: Who did it, "Name <email>".
        user: The person's name in the system, where it was recorded.
        tag: The tag that says so; "" for a change of text.
        commit: The commit of the version, or of the text.
        version: The version that it is about; None where none is.
        stage, alias: What was given or taken; one of them at most.
        previous: The version that held it before.
        reason: Why.
        guards: What was checked, with its figures.
        signed: Whether the tag has a signature; by whom, and whether it is right, isn't said.
        message: All that the tag's message says; of a text, its commit's first line.
    """

    event: str
    time: int
    person: str
    user: str | None = None
    tag: str = ""
    commit: str = ""
    version: int | None = None
    stage: str | None = None
    alias: str | None = None
    previous: int | None = None
    reason: str | None = None
    guards: list[Any] = field(default_factory=list)
    signed: bool = False
    message: dict[str, Any] = field(default_factory=dict)

    @property
    def what(self) -> str:
        """What happened, in a few words: "production: v1 → v2"."""
        shown = "" if self.version is None else f"v{self.version}"
        name = self.stage or self.alias
        if self.event == ASSIGN and self.previous not in (None, self.version):
            return f"{name}: v{self.previous} → {shown}"
        if self.event == ASSIGN:
            return f"{name}: {shown or '?'}"
        if self.event == UNASSIGN:
            return f"{name}: {shown or '?'} no more"
        if self.event == TEXT:
            return str(self.message.get("subject", ""))
        done = {REGISTER: "registered", DEREGISTER: "deleted"}.get(self.event, self.event)
        return f"{shown} {done}".strip()


def changes(events: Iterable[Event]) -> list[Change]:
    """A model's tags as changes.

    Who held a stage or alias before is what the tag says, else (GTO's tags don't) what the tags
    before it say.

    Args:
        events: The tags, the oldest first.
    """
    ordered = list(events)
    by_commit = commits_of(ordered)
    holders: dict[str, list[int]] = {}
    return [_change(event, by_commit.get(event.commit, []), holders) for event in ordered]


def _change(event: Event, carried: list[int], holders: dict[str, list[int]]) -> Change:
    version, stage, alias, previous = _number(event), None, None, None
    if event.name.event in (ASSIGN, UNASSIGN):
        version, stage = version_meant(event, carried), event.stage
        alias = event.alias if stage is None else None
        previous = _given(event, version, holders.setdefault(event.name.alias, []))
    elif event.name.event == DEREGISTER and version is not None:
        for held in holders.values():
            _drop(held, version)
    return Change(
        event.name.event,
        event.time,
        event.person,
        event.text("user"),
        event.tag,
        event.commit,
        version,
        stage,
        alias,
        previous,
        event.text("reason") or _own_words(event),
        _guards(event),
        event.signed,
        dict(event.message),
    )


def _number(event: Event) -> int | None:
    return event.name.number if event.name.version else None


def _given(event: Event, version: int | None, held: list[int]) -> int | None:
    """Who held a stage or alias before it was given to a version; None where it is taken."""
    said = event.message.get("previous_version")
    before = said if isinstance(said, int) else held[-1] if held else None
    if version is not None:
        _drop(held, version)
    if event.name.event == UNASSIGN:
        return None
    if version is not None:
        held.append(version)
    return before


def _drop(held: list[int], version: int) -> None:
    if version in held:
        held.remove(version)


def _own_words(event: Event) -> str | None:
    """Why a version was registered is what its description began as."""
    return (
        event.text("description") if event.name.event in (REGISTER, CREATED, DEPRECATED) else None
    )


def _guards(event: Event) -> list[Any]:
    guards = event.message.get("guards")
    return guards if isinstance(guards, list) else []


def text_changes(repo: Repository, ref: str) -> Iterator[Change]:
    """The changes of a model's text: descriptions, tags, names; the newest first.

    Args:
        repo: The repository.
        ref: The text's ref.
    """
    at = repo.refs.read(ref)
    seen: set[str] = set()
    pending = [at] if at else []
    while pending:
        sha = pending.pop()
        if sha in seen:
            continue
        seen.add(sha)
        try:
            commit = parse_commit(repo.objects.commit(sha))
        except MlgitException:
            continue  # a shallow clone ends somewhere
        when = _WHEN.search(commit.author)
        yield Change(
            TEXT,
            int(when[1]) * 1000 if when else 0,
            commit.author.rpartition("> ")[0] + ">",
            commit=sha,
            message={"subject": commit.subject},
        )
        pending += commit.parents
