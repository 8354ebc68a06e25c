"""What a version is promoted to: a stage or an alias, who holds it, and who held it before."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass

from mlgit.exceptions import InvalidParameterValue
from mlgit.registry import checks
from mlgit.registry.state import NO_STAGE, ModelState, Version, assignments
from mlgit.registry.tags import ASSIGN, STAGES, Event
from mlgit.store import spelling

_MISSPELLED = 0.9  # "prodction", and not "preproduction"
_HEIGHTS = ("Archived", "Staging", "Production")


@dataclass(frozen=True)
class Target:
    """A stage, or an alias.

    Attributes:
        name: As people write it: "Production", "champion".
        is_stage: Whether it is one of MLflow's stages.
    """

    name: str
    is_stage: bool

    def __str__(self) -> str:
        return self.name

    @property
    def said(self) -> dict[str, str]:
        """What a tag's message says of it."""
        return {"stage" if self.is_stage else "alias": self.name}

    @property
    def spelled(self) -> str:
        """How a tag's name has it."""
        return self.name.lower() if self.is_stage else spelling.spell(self.name)

    def above(self, other: Target) -> bool:
        """Whether a version rises that leaves another stage for this one."""
        both = self.name in _HEIGHTS and other.name in _HEIGHTS
        stages = self.is_stage and other.is_stage
        return stages and both and _HEIGHTS.index(self.name) > _HEIGHTS.index(other.name)

    def held(self, state: ModelState) -> tuple[int, Event] | None:
        """The version that holds it, and the tag by which; of a stage the one put there last."""
        if not self.is_stage:
            holder = state.holder(self.name)
            return None if holder is None else (holder, state.aliases[self.name][holder])
        in_it = [(v.number, v.stages[self.name]) for v in self.within(state)]
        return max(in_it, key=lambda item: item[1].order, default=None)

    def within(self, state: ModelState) -> list[Version]:
        """The versions that have it: of a stage maybe several."""
        if self.is_stage:
            return [v for v in state.versions.values() if v.stage == self.name]
        holder = state.holder(self.name)
        return [] if holder is None else [state.versions[holder]]


ARCHIVED = Target("Archived", True)


def target_named(name: object, *, new: bool = False) -> Target:
    """What a name means: a stage's in any case is the stage, any other an alias.

    Args:
        name: The name.
        new: An alias that may be made now is meant, so that it may not be a reserved name.

    Raises:
        InvalidParameterValue: It can't be one.
    """
    text = str(name or "").strip()
    stage = STAGES.get(text.lower())
    if stage is not None:
        return Target(stage, True)
    if text.lower() == NO_STAGE.lower():
        raise InvalidParameterValue(
            "'None' isn't a stage that a version can be promoted to",
            hint="mlgit demote takes a version out of its stage",
        )
    return Target(checks.new_alias(text) if new else checks.alias(text), False)


def stage_meant(alias: str) -> str | None:
    """The stage that an alias's name most likely is a misspelling of."""
    close = difflib.get_close_matches(alias.lower(), STAGES, 1, _MISSPELLED)
    return close[0] if close and alias.isalpha() else None


def target_of(event: Event) -> Target:
    """What an assignment's tag is about."""
    stage = event.stage
    return Target(event.alias, False) if stage is None else Target(stage, True)


def targets_of(state: ModelState, number: int) -> list[Target]:
    """All that a version holds: its stage, and its aliases."""
    stage = state.versions[number].stage
    aliases = [Target(a, False) for a in state.aliases if state.holder(a) == number]
    return ([Target(stage, True)] if stage != NO_STAGE else []) + aliases


def stack_of(events: Iterable[Event], target: Target) -> list[tuple[int, str]]:
    """The assignments of a target that could be gone back to, the newest last.

    Args:
        events: A model's tags, in any order.
        target: The stage or alias.

    Returns:
        (version, tag) of each. Deleted versions are among them.
    """
    stack: list[tuple[int, str]] = []
    now: int | None = None
    for event, number in assignments(events):
        if number is None or target_of(event) != target:
            continue
        if event.name.event == ASSIGN:
            restored = (number, event.text("restores") or "")
            if restored in stack:
                del stack[stack.index(restored) + 1 :]
            elif not stack or stack[-1][0] != number:
                stack.append((number, event.tag))
            now = number
            continue
        if event.text("because") is None:
            stack = [entry for entry in stack if entry[0] != number]
        elif now == number and stack and stack[-1][0] == number:
            stack.pop()
        now = None if now == number else now
    return stack


def held_before(events: list[Event], state: ModelState, target: Target) -> tuple[int, str] | None:
    """The version that a rollback goes to, and the tag that gave it the target; None for none."""
    held = target.held(state)
    for number, tag in reversed(stack_of(events, target)):
        if number in state.versions and (held is None or number != held[0]):
            return number, tag
    return None
