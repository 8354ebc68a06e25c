"""One change to a stage or alias that somebody asks for: what applies, and what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mlgit.exceptions import PromotionRefused
from mlgit.registry import persons
from mlgit.registry.guards import Result
from mlgit.registry.moves import Moves
from mlgit.registry.rules import Rule, Rules, read_rules
from mlgit.registry.state import ModelState
from mlgit.registry.targets import ARCHIVED, Target
from mlgit.registry.writer import Signer
from mlgit.store import spelling
from mlgit.store.timeform import now_ms

if TYPE_CHECKING:
    from mlgit.registry.registry import Registry


@dataclass(frozen=True)
class Promotion:
    """What was done, or would be.

    Attributes:
        model: The model's name.
        version: The version.
        target: The stage or alias.
        doing: promote, demote or rollback.
        previous: The version that held the target before, or None.
        guards: What was checked.
        tags: The names of the tags that were written, in order; none where nothing was.
        already: The version holds the target, and nothing is to be done.
        beside: The version before stays in the stage, too.
    """

    model: str
    version: int
    target: Target
    doing: str
    previous: int | None = None
    guards: list[Result] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)
    already: bool = False
    beside: bool = False

    @property
    def refused(self) -> bool:
        """Whether a guard failed."""
        return any(result.passed is False for result in self.guards)

    def to_dictionary(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "model": self.model,
            "version": self.version,
            "stage" if self.target.is_stage else "alias": self.target.name,
            "action": self.doing,
            "previous_version": self.previous,
            "refused": self.refused,
            "already": self.already,
            "tags": self.tags,
            "guards": [result.to_dictionary() for result in self.guards],
        }


class Proposal:
    """One change that somebody asks for, and what applies to it."""

    def __init__(
        self,
        registry: Registry,
        name: str,
        target: Target,
        doing: str,
        rules: Rules | None = None,
        sign: bool = False,
    ) -> None:
        self.registry = registry
        self.repo = registry.store.repo
        self.name = name
        self.target = target
        self.doing = doing
        self.persons: list[Rule] = []
        self.all_rules = read_rules(self.repo) if rules is None else rules
        self.rules = self._of(registry.state(name), target)
        self.sign = sign

    def _of(self, state: ModelState, target: Target) -> list[Rule]:
        return self.all_rules.of(names_of(state), target)

    def allowed(self, state: ModelState, number: int, archives: bool = False) -> list[Result]:
        """Whether this person may, and can sign.

        A version that leaves a stage for a lower one must be allowed to leave it, too.
        """
        touched = [Target(stage, True) for stage in state.versions[number].stages]
        rules = list(self.rules)
        for other in [t for t in touched if t.above(self.target)] + [ARCHIVED] * archives:
            rules += self._of(state, other)
        self.persons = rules
        return [
            *persons.may(rules, self.repo.committer()),
            *persons.will_sign(rules, self.repo),
        ]

    def signer(self, number: int, results: list[Result]) -> Signer | None:
        """What signs the tags; it raises where rules want another signature."""
        if not (self.sign or persons.wants_signature(self.persons)):
            return None

        def look(found: list[Result]) -> None:
            results[:] = [r for r in results if r.guard != persons.SIGNED] + found
            self.refuse(number, results)

        return persons.checking_signer(self.persons, self.repo, look)

    def moves(
        self, state: ModelState, number: int, reason: str | None, results: list[Result]
    ) -> Moves:
        """The tags that follow; nothing is written yet."""
        signer = self.signer(number, results)
        return Moves(self.registry.writer, state, now_ms(), reason, signer)

    def refuse(self, number: int, results: Sequence[Result]) -> None:
        """Raise if a guard failed."""
        failed = [result for result in results if result.passed is False]
        if not failed:
            return
        what = {
            "promote": f"can't be promoted to {self.target}",
            "demote": f"can't be taken out of {self.target}",
            "rollback": f"can't be {self.target} again",
        }[self.doing]
        count = f"{len(failed)} of {len(results)} guards failed"
        lines = [f"  {result.title}: {result.found}" for result in failed]
        raise PromotionRefused(
            "\n".join([f"Version {number} of {self.name} {what}: {count}", *lines]),
            results,
            hint="nothing was written; the rules are in .mlgit/config.yaml"
            if self.all_rules.rules
            else "nothing was written",
        )


def names_of(state: ModelState) -> set[str]:
    """The names that rules may know a model by: a new one doesn't take it out of its rules."""
    return {state.name, spelling.read(state.key)}
