"""One change to a model's stages and aliases: the tags that it takes, in order.

Who calls holds the registry's lock. Tags that only go with another one (the stage that is left,
the versions that are archived) name it, so that what was allowed and checked for it counts for
them (docs/format.md, "Consequences").
"""

from __future__ import annotations

from typing import Any

from mlgit.registry.state import NO_STAGE, ModelState
from mlgit.registry.tags import ASSIGN, UNASSIGN, Event, TagName
from mlgit.registry.targets import ARCHIVED, Target
from mlgit.registry.writer import Signer, Writer


class Moves:
    """The tags of one change.

    Args:
        writer: Writes them.
        state: The model as it is before the change.
        now: The time, in milliseconds since 1970.
        reason: Why; all of the tags say it.
        sign: Signs each of them.

    Attributes:
        tags: The names of those that were written.
    """

    def __init__(
        self,
        writer: Writer,
        state: ModelState,
        now: int,
        reason: str | None = None,
        sign: Signer | None = None,
    ) -> None:
        self.writer = writer
        self.state = state
        self.now = now
        self.reason = reason
        self.sign = sign
        self.tags: list[str] = []

    def give(
        self, target: Target, number: int, archive_existing: bool = False, **said: Any
    ) -> None:
        """Give a version a stage, and take from it the one that it was in; or an alias.

        Args:
            target: The stage or alias.
            number: The version.
            archive_existing: Archive the versions that are in the stage.
            said: What the tag's message says, too.

        Raises:
            Conflict, StorageError, PermissionDenied: A tag can't be written.
        """
        with self.writer.together():
            because = self._give(target, number, **said)
            if not target.is_stage:
                return
            self.leave_stages(number, target.name, because)
            if archive_existing:
                # Last: whoever is interrupted leaves the stage with two versions, not with none.
                for other in target.within(self.state):
                    if other.number != number:
                        self._give(ARCHIVED, other.number, because=because)
                        self.leave_stages(other.number, ARCHIVED.name, because)

    def leave_stages(
        self, number: int, kept: str = NO_STAGE, because: str | None = None, **said: Any
    ) -> None:
        """Take a version out of its stages but one.

        Args:
            number: The version.
            kept: The stage that it stays in.
            because: The tag that this goes with.
            said: What the tags' messages say, too.
        """
        for stage, event in list(self.state.versions[number].stages.items()):
            if stage != kept:
                self._take(Target(stage, True), number, event, because=because, **said)

    def remove_alias(self, alias: str) -> None:
        """Remove an alias, where there is one."""
        because = None
        with self.writer.together():
            # From who had it before, too: GTO would go back to them.
            for number, event in reversed(self.state.aliases.get(alias, {}).items()):
                tag = self._take(Target(alias, False), number, event, because=because)
                because = because or tag

    def _give(self, target: Target, number: int, **said: Any) -> str:
        held = target.held(self.state)
        return self._mark(ASSIGN, target, target.spelled, number, held, said)

    def _take(self, target: Target, number: int, event: Event, **said: Any) -> str:
        return self._mark(UNASSIGN, target, event.name.alias, number, (number, event), said)

    def _mark(
        self,
        kind: str,
        target: Target,
        spelled: str,
        number: int,
        held: tuple[int, Event] | None,
        said: dict[str, Any],
    ) -> str:
        previous = {"previous": held[1].tag, "previous_version": held[0]} if held else {}
        message = {**target.said, **previous, "reason": self.reason, **said}
        name = TagName(self.state.key, kind, alias=spelled)
        commit = self.state.versions[number].event.commit
        tag = self.writer.mark(name, self.state.name, number, commit, message, self.now, self.sign)
        self.tags.append(tag)
        return tag
