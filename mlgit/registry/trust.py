"""Whether signatures vouch for what a ``models:/`` URI names.

A version rests on the tag that registered it, and on the run's commit that this names; its
files are those of that commit's record, by their SHA-256. An alias or a stage rests on the tag
that gave it, too, and on every later one without which another version would be named: who can't
sign can't turn an alias back by an unsigned tag that takes the newer version away.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from mlgit import settings
from mlgit.entities.model_registry import ModelVersion
from mlgit.exceptions import Conflict, UntrustedModel
from mlgit.git.secrets import mask_url
from mlgit.git.signing import Verification, verify_tag
from mlgit.registry import checks, sources
from mlgit.registry.sources import Place
from mlgit.registry.state import ModelState, commits_of, version_meant
from mlgit.registry.tags import ASSIGN, DEREGISTER, UNASSIGN, Event, contradiction
from mlgit.store import spelling
from mlgit.store.configfile import read_flag

if TYPE_CHECKING:
    from mlgit.registry.registry import Registry

_SIGN = (
    "whoever may sign registers or assigns it with a signature (git config tag.gpgSign true); "
    "docs/registry.md, 'Signed', says how to set that up"
)


@dataclass(frozen=True)
class Checked:
    """A tag of the registry, and what is to be said of its signature."""

    event: Event
    verification: Verification

    @property
    def good(self) -> bool:
        """Whether the signature counts."""
        return self.verification.good


@dataclass(frozen=True)
class Report:
    """What a name of a version rests on.

    Attributes:
        asked: The name, as in "fraud@champion".
        version: The version that it names.
        tags: The tags that this rests on, that of the version first.
        place: Where the version's files are.
        problem: Why the whole doesn't count, though each tag may; "" where it does.
    """

    asked: str
    version: ModelVersion
    tags: list[Checked]
    place: Place
    problem: str = ""

    @property
    def good(self) -> bool:
        """Whether signatures that count vouch for all of it."""
        return not self.problem and all(tag.good for tag in self.tags)


def place(
    registry: Registry,
    name: str,
    version: int | None = None,
    stage: str | None = None,
    alias: str | None = None,
    *,
    verify: bool | None = None,
) -> Place:
    """Where a version's files are; one that must be signed is looked at before.

    Args:
        registry, name, version, stage, alias: As for ``trusted``.
        verify: Whether it must be signed; None for what the environment says, or the
            configuration of the team and of the clone (``models: {verify: true}``).

    Raises:
        CorruptData: The configuration can't be read.
        What ``trusted`` raises.
    """
    if verify is None:
        verify = settings.verify_models()
    if verify is None:
        verify = any(read_flag(registry.index.repo, "models", "verify", False))
    if verify:
        return trusted(registry, name, version, stage, alias)
    return sources.place_of(registry, sources.version_asked(registry, name, version, stage, alias))


def trusted(
    registry: Registry,
    name: str,
    version: int | None = None,
    stage: str | None = None,
    alias: str | None = None,
) -> Place:
    """Where the files are of a version that signatures vouch for.

    Args:
        registry: The registry.
        name: The model; one of the others is given.
        version: A number.
        stage: A stage, or "latest".
        alias: An alias.

    Raises:
        UntrustedModel: A signature is missing, or doesn't count.
        ResourceDoesNotExist, InvalidParameterValue: There is no such version.
        MissingDependency: The program that checks signatures isn't here.
    """
    report = examine(registry, name, version, stage, alias)
    for tag in report.tags:
        if not tag.good:
            raise UntrustedModel(
                f"{report.asked} can't be trusted: of its tag {tag.event.tag}, "
                f"{tag.verification.problem}",
                hint=tag.verification.hint or _SIGN,
            )
    if report.problem:
        raise UntrustedModel(f"{report.asked} can't be trusted: {report.problem}", hint=_SIGN)
    return report.place


def examine(
    registry: Registry,
    name: str,
    version: int | None = None,
    stage: str | None = None,
    alias: str | None = None,
) -> Report:
    """What a version's name rests on, each tag's signature checked.

    The arguments and errors are those of ``trusted``, which raises where the report isn't good.
    """
    found = sources.version_asked(registry, name, version, stage, alias)
    state = registry.writer.state(registry.key(found.name))
    claim = _Claim(state, registry.history(found.name), found.version)
    try:
        needed = claim.tags(version, stage, alias)
    except KeyError as error:
        raise _changed(name) from error
    tags = [_check(registry, event, claim.meant(event)) for event in needed]
    again = sources.version_asked(registry, name, version, stage, alias)
    if again.version != found.version:
        raise _changed(name)
    asked = f"{found.name}@{alias or stage or f'v{version}'}"
    place = sources.place_of(registry, found)
    own = [event for event in needed if claim.meant(event) == found.version]
    return Report(asked, found, tags, place, _unnamed(own, found.name) or _unbound(place))


def _changed(name: str) -> Conflict:
    return Conflict(f"{name} was changed while it was looked at", hint="ask again")


def examine_meant(registry: Registry, text: str) -> Report:
    """As ``examine``, of what a person means by ``NAME``, ``NAME@v3`` or ``NAME@alias``.

    Args:
        registry: The registry.
        text: What was written. A name alone is its latest version.
    """
    name, which = sources.split_meant(registry, text)
    if which is None:
        return examine(registry, name, stage="latest")
    number = sources.number_meant(which)
    return examine(registry, name, number, alias=which if number is None else None)


class _Claim:
    """The tags by which a version is what it is called.

    Args:
        state: The model.
        events: All of its tags.
        number: The version.
    """

    def __init__(self, state: ModelState, events: list[Event], number: int) -> None:
        self._state = state
        self._events = events
        self._number = number
        self._carried = commits_of(events)

    def meant(self, event: Event) -> int | None:
        """The version that a tag is about."""
        if event.name.version:
            return event.name.number
        return version_meant(event, self._carried.get(event.commit, []))

    def tags(self, version: int | None, stage: str | None, alias: str | None) -> list[Event]:
        """What the version rests on, where it is asked for so; its own tag first.

        Raises:
            KeyError: It isn't what it was found by.
        """
        own = self._state.versions[self._number]
        if version is not None:
            return [own.event]
        if (alias if alias is not None else str(stage)).lower() == "latest":
            above = [n for numbers in self._carried.values() for n in numbers if n > self._number]
            return [own.event, *self._gone(above)]
        if alias is not None and self._state.holder(alias) == self._number:
            given = self._state.aliases[alias][self._number]
            later = self._moves(lambda e: e.alias == alias and e.order > given.order)
        elif alias is not None:  # a stage's name: who was put there last
            given = own.stages[checks.stage(alias)]
            later = self._moves(lambda e: e.stage is not None and e.order > given.order)
        else:
            given = own.stages.get(checks.stage(stage), own.event)
            later = self._moves(lambda e: e.stage is not None and self._outranks(e, given))
        numbers = [n for n in map(self.meant, later) if n is not None]
        first = [own.event] if given is own.event else [own.event, given]
        return [*first, *later, *self._gone(numbers)]

    def _moves(self, counts: Callable[[Event], bool]) -> list[Event]:
        """The tags that give or take an alias or stage, and count."""
        return [e for e in self._events if e.name.event in (ASSIGN, UNASSIGN) and counts(e)]

    def _outranks(self, event: Event, given: Event) -> bool:
        """Whether a tag decides on who is the highest in a stage: that of a higher version, or
        a later one of this version."""
        number = self.meant(event) or 0
        return number > self._number or (number == self._number and event.order > given.order)

    def _gone(self, numbers: list[int]) -> list[Event]:
        """The tags that deleted versions."""
        return [e for e in self._events if e.name.event == DEREGISTER and e.name.number in numbers]


def _check(registry: Registry, event: Event, number: int | None) -> Checked:
    found = verify_tag(registry.index.repo, event.sha, event.tag)
    problem = found.problem or _contradiction(event, found, number)
    return Checked(event, replace(found, good=found.good and not problem, problem=problem))


def _contradiction(event: Event, found: Verification, number: int | None) -> str:
    """What a tag's message, or its signature, says otherwise than its name and its commit."""
    if found.target != event.commit:
        return "another commit is signed"
    return contradiction(event, number)


def _unnamed(events: list[Event], name: str) -> str:
    """Why nothing that is signed says that the model has a name; names are changed unsigned."""
    names = {e.text("model") or spelling.read(e.name.key) for e in events}
    if name in names:
        return ""
    return f"its tags were made for a model {min(names)!r}, and renaming isn't signed"


def _unbound(place: Place) -> str:
    if place.commit is not None:
        return ""
    return f"its files are at {mask_url(place.location)}, and nothing that is signed says which they are"
