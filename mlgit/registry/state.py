"""From a model's tags and text to what it is now: its versions, stages and aliases.

Nothing here reads anything: ``replay`` is a function of the events and the text.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from mlgit.entities import LifecycleStage
from mlgit.registry.tags import ASSIGN, DEREGISTER, REGISTER, UNASSIGN, Event
from mlgit.registry.text import ModelText
from mlgit.store import spelling

NO_STAGE = "None"


@dataclass
class Version:
    """One version of a model.

    Attributes:
        event: The tag that registered it.
        stages: The stages that it was given and not taken from, the last one its own.
        last_update_time: In milliseconds since 1970.
    """

    number: int
    event: Event
    description: str | None
    tags: dict[str, str]
    last_update_time: int
    stages: dict[str, Event] = field(default_factory=dict)

    @property
    def stage(self) -> str:
        """Its stage; "None" for none."""
        return next(reversed(self.stages), NO_STAGE)


@dataclass
class ModelState:
    """What a model is now.

    Attributes:
        key: Its key.
        name: The name that its text asks for.
        exists: Whether it is there, and not deleted.
        versions: Those that aren't deleted.
        aliases: Of each alias the holders, by number, the one that counts last.
        problems: The tags that were left out, and why.
    """

    key: str
    name: str
    exists: bool = True
    description: str | None = None
    tags: dict[str, str] = field(default_factory=dict)
    creation_time: int = 0
    last_update_time: int = 0
    versions: dict[int, Version] = field(default_factory=dict)
    aliases: dict[str, dict[int, Event]] = field(default_factory=dict)
    problems: list[tuple[str, str]] = field(default_factory=list)

    def holder(self, alias: str) -> int | None:
        """The version that an alias names, or None."""
        return next(reversed(self.aliases.get(alias, {})), None)


def replay(key: str, events: Iterable[Event], text: ModelText | None) -> ModelState:
    """A model's state.

    Args:
        key: Its key.
        events: Its tags, in any order.
        text: Its text, if it has one.
    """
    ordered = sorted(events, key=lambda event: event.order)
    state = ModelState(key, _name(key, ordered, text))
    registered = _registered(ordered)
    for number, event in sorted(registered.items()):
        if event.name.event == REGISTER:
            state.versions[number] = new_version(number, event, text)
    _assign(state, ordered, registered)
    if text is not None:
        state.description = text.description
        state.tags = dict(text.tags)
        state.exists = text.lifecycle_stage == LifecycleStage.ACTIVE or bool(state.versions)
    _times(state, ordered, text)
    return state


def _name(key: str, events: list[Event], text: ModelText | None) -> str:
    if text is not None:
        return text.name
    if spelling.is_cut(key):
        for event in events:
            given = event.text("model")
            if given and spelling.spell(given) == key:
                return given
    return spelling.read(key)


def _registered(events: list[Event]) -> dict[int, Event]:
    """The last word on each version, whether it was registered or deleted."""
    found: dict[int, Event] = {}
    for event in events:
        if event.name.event in (REGISTER, DEREGISTER):
            number = event.name.number
            if number is not None:
                found[number] = event
    return found


def new_version(number: int, event: Event, text: ModelText | None) -> Version:
    """A version that nothing was assigned to yet."""
    own = text.versions.get(number) if text else None
    changed = (own and own.last_update_time) or 0
    renamed = (text and text.rename_time) or 0
    return Version(
        number,
        event,
        own.description if own else event.text("description"),
        dict(own.tags) if own else event.texts("tags"),
        max(event.time, changed, renamed),
    )


def assignments(events: Iterable[Event]) -> list[tuple[Event, int | None]]:
    """The assignments among a model's tags, in order, each with the version that it is about.

    None stands for one whose commit carries no version.
    """
    ordered = sorted(events, key=lambda event: event.order)
    carried = commits_of(ordered)
    return [
        (event, version_meant(event, carried.get(event.commit, [])))
        for event in ordered
        if event.name.event in (ASSIGN, UNASSIGN)
    ]


def _assign(state: ModelState, events: list[Event], registered: dict[int, Event]) -> None:
    """Give and take stages and aliases, in order."""
    for commit, numbers in commits_of(events).items():
        if len(numbers) > 1:
            for number in numbers:
                others = ", ".join(f"v{n}" for n in sorted(numbers) if n != number)
                state.problems.append(
                    (
                        registered[number].tag,
                        f"its commit {commit[:10]} carries {others} of the model, too; "
                        "GTO can't read that",
                    )
                )
    for event, meant in assignments(events):
        if meant is None:
            state.problems.append((event.tag, "its commit carries no version of the model"))
        elif meant in state.versions:
            _take_over(state, state.versions[meant], event)


def commits_of(events: Iterable[Event]) -> dict[str, list[int]]:
    """The versions that each commit carries, or carried, by the commit."""
    found: dict[str, list[int]] = {}
    for event in events:
        if event.name.event == REGISTER and event.name.number is not None:
            found.setdefault(event.commit, []).append(event.name.number)
    return found


def version_meant(event: Event, numbers: list[int]) -> int | None:
    """Which of a commit's versions an assignment is about; None where it carries none."""
    said = event.message.get("version")
    if said in numbers and isinstance(said, int):
        return said
    return max(numbers, default=None)


def _take_over(state: ModelState, version: Version, event: Event) -> None:
    stage = event.stage
    given = event.name.event == ASSIGN
    if stage is not None:
        version.stages.pop(stage, None)
        if given:
            version.stages[stage] = event
        version.last_update_time = max(version.last_update_time, event.time)
    if changes_alias(event):
        holders = state.aliases.setdefault(event.alias, {})
        holders.pop(version.number, None)
        if given and stage is None:
            holders[version.number] = event
        if not holders:
            del state.aliases[event.alias]


def changes_alias(event: Event) -> bool:
    """Whether an assignment is about an alias: GTO's tags of a stage's name are about both."""
    return event.stage is None or "format" not in event.message


def held_stages(events: Iterable[Event], carried: list[int], number: int) -> dict[str, Event]:
    """The stages that a version was given and not taken from, the last one its own.

    Args:
        events: The tags of its commit, in any order.
        carried: The versions that the commit carries.
        number: The version.
    """
    found: dict[str, Event] = {}
    for event in sorted(events, key=lambda event: event.order):
        given = event.name.event == ASSIGN
        if not given and event.name.event != UNASSIGN:
            continue
        if event.stage is not None and version_meant(event, carried) == number:
            found.pop(event.stage, None)
            if given:
                found[event.stage] = event
    return found


def _times(state: ModelState, events: list[Event], text: ModelText | None) -> None:
    # Aliases don't touch a model's time, as in MLflow.
    times = [
        event.time
        for event in events
        if event.name.event in (REGISTER, DEREGISTER) or event.stage is not None
    ]
    made = text.creation_time if text and text.creation_time is not None else None
    state.creation_time = made if made is not None else min((e.time for e in events), default=0)
    changed = (text and text.last_update_time) or state.creation_time
    state.last_update_time = max([state.creation_time, changed, *times])


def take(state: ModelState, number: int, event: Event) -> None:
    """Let an event that comes after all others happen.

    Args:
        state: The state, which is changed.
        number: The version that it is about.
        event: A tag that gives, takes or deletes.
    """
    if event.name.event == DEREGISTER:
        state.versions.pop(number, None)
    elif number in state.versions:
        _take_over(state, state.versions[number], event)
