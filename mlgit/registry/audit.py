"""Whether the registry's tags are what the team's rules allow: what ``mlgit registry check`` does.

Whoever can push a tag can write what they like into it. So nothing that a tag says is believed
that can be looked at: figures are read from the runs again, who held what is replayed, and
signatures are checked. What can't be read is a finding, never an error.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from mlgit.exceptions import MlgitException
from mlgit.git.tags import parse_tag
from mlgit.registry import persons, rows
from mlgit.registry.acceptance import run_tests
from mlgit.registry.guards import (
    BETTER_THAN,
    CLEAN,
    REQUIRE,
    TESTS,
    BetterThan,
    Guards,
    Result,
    Subject,
    evaluate,
    figure_text,
)
from mlgit.registry.proposal import names_of
from mlgit.registry.rules import Rule, Rules
from mlgit.registry.state import ModelState, assignments, replay
from mlgit.registry.tags import (
    ASSIGN,
    DEREGISTER,
    REGISTER,
    TAGS,
    UNASSIGN,
    Event,
    contradiction,
    looks_meant,
    parse_name,
)
from mlgit.registry.targets import Target, stack_of, target_of, targets_of
from mlgit.registry.text import ModelText

if TYPE_CHECKING:
    from mlgit.registry.registry import Registry

_FETCH = "git fetch origin 'refs/tags/*:refs/tags/*' brings all tags"


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong.

    Attributes:
        tag: The tag, or another ref of the registry.
        problem: What is wrong with it.
        guard: Which guard or rule isn't kept; "" where it is something else.
    """

    tag: str
    problem: str
    guard: str = ""


@dataclass
class Audit:
    """What was looked at, and what was found.

    Attributes:
        rules: What the rules were read from.
        tags: How many of the registry's tags were looked at.
        foreign: Tags that were asked for and aren't the registry's.
        findings: In the order of the tags.
    """

    rules: str
    tags: int = 0
    foreign: list[str] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)

    def to_dictionary(self) -> dict[str, Any]:
        """As JSON has it."""
        return {**asdict(self), "ok": not self.findings}


def audit(
    registry: Registry,
    rules: Rules,
    tags: Sequence[str] | None = None,
    *,
    with_tests: bool = False,
) -> Audit:
    """Check tags against rules.

    Args:
        registry: The registry.
        rules: The team's.
        tags: The tags, with or without "refs/tags/"; all of the registry's where None.
        with_tests: Run the tests that rules ask for, instead of believing tags that they passed.
    """
    found = Audit(rules.source)
    problems: dict[str, list[str]] = {}
    for ref, problem in registry.problems():
        problems.setdefault(ref.removeprefix(TAGS), []).append(problem)
    wanted = None if tags is None else list(dict.fromkeys(t.removeprefix(TAGS) for t in tags))
    shown = sorted(problems) if wanted is None else wanted
    for tag in shown:
        found.findings += [Finding(tag, problem) for problem in problems.get(tag, [])]
    present = [tag for tag in shown if wanted is None or _is_there(registry, tag, found)]
    keys = _keys(registry) if wanted is None else _keys_of(present, found)
    for key in keys:
        model = _Model(registry, key, rules, with_tests)
        for event in model.events:
            if wanted is None or event.tag in wanted:
                found.tags += 1
                found.findings += model.check(event)
    return found


def _is_there(registry: Registry, tag: str, found: Audit) -> bool:
    try:
        if registry.store.repo.refs.read(TAGS + tag) is not None:
            return True
    except MlgitException:
        return True  # damaged, which its problem says
    found.findings.append(Finding(tag, f"there is no such tag here; {_FETCH}"))
    return False


def _keys(registry: Registry) -> list[str]:
    return registry.index.ask(
        lambda c: [r[0] for r in c.execute("SELECT DISTINCT key FROM events WHERE key != ''")]
    )


def _keys_of(tags: list[str], found: Audit) -> list[str]:
    keys = []
    for tag in tags:
        name = parse_name(tag)
        if name is not None:
            keys.append(name.key)
        elif not looks_meant(tag):
            found.foreign.append(tag)
    return list(dict.fromkeys(keys))


class _Model:
    """One model's tags, and what they mean."""

    def __init__(self, registry: Registry, key: str, rules: Rules, with_tests: bool) -> None:
        self.registry = registry
        self.repo = registry.store.repo
        self.rules = rules
        self.with_tests = with_tests
        self.key = key
        self.text: ModelText | None
        events, self.text = registry.index.ask(
            lambda c: (rows.events_of(c, key), rows.text_of(c, key)[1])
        )
        self.events = sorted(events, key=lambda event: (event.at, event.order))
        self.by_tag = {event.tag: event for event in events}
        self.meant = {event.tag: number for event, number in assignments(events)}
        self.names = names_of(replay(key, events, self.text))

    def before(self, event: Event) -> list[Event]:
        """The tags that were there when one was made."""

        def earlier(other: Event) -> bool:
            if other.name.event in (ASSIGN, UNASSIGN) and event.name.event in (ASSIGN, UNASSIGN):
                return other.order < event.order
            return other.name.event == REGISTER or other.at < event.at

        return [other for other in self.events if other.tag != event.tag and earlier(other)]

    def state_before(self, event: Event) -> ModelState:
        """What the model was when a tag was made."""
        return replay(self.key, self.before(event), self.text)

    def check(self, event: Event) -> list[Finding]:
        """What is wrong with a tag that can be read."""
        versions = bool(event.name.version)
        number = event.name.number if versions else self.meant.get(event.tag)
        found = list(self._otherwise(event, number))
        if event.name.event == DEREGISTER:
            return [*found, *self._deregistered(event)]
        if versions or number is None:
            return found  # GTO's own, or one of a commit without a version: a problem
        target = target_of(event)
        rules = self.rules.of(self.names, self._ruling(event, number, target))
        found += self._persons(event, rules)
        before = event.text("previous")
        if before is not None and before not in self.by_tag:
            text = f"the tag before it, {before}, isn't here; {_FETCH}"
            found.append(Finding(event.tag, text))
        if event.name.event == ASSIGN:
            found += self._assigned(event, number, target, rules)
        return found

    def _otherwise(self, event: Event, number: int | None) -> Iterator[Finding]:
        """What a tag says of itself that isn't so."""
        named = parse_tag(self.repo.objects.read(event.sha)[1]).name
        if named != event.tag:
            yield Finding(event.tag, f"it is a copy of a tag that was made as {named}")
        text = contradiction(event, number)
        if text and (number is not None or event.name.event not in (ASSIGN, UNASSIGN)):
            yield Finding(event.tag, text)

    def _ruling(self, event: Event, number: int, target: Target) -> Target:
        """Whose rules count: of a version that rises to a higher stage, that stage's."""
        main = self.by_tag.get(event.text("because") or "")
        if main is None or event.name.event != UNASSIGN or main.name.event != ASSIGN:
            return target
        risen = self.meant.get(main.tag) == number and target_of(main).above(target)
        same = main.person == event.person and main.order < event.order
        return target_of(main) if risen and same else target

    def _persons(self, event: Event, rules: list[Rule]) -> Iterator[Finding]:
        results = persons.may(rules, event.person)
        results += persons.signed_well(rules, self.repo, event.sha, event.tag)
        yield from _failed(event, results)

    def _deregistered(self, event: Event) -> Iterator[Finding]:
        number = event.name.number
        state = self.state_before(event) if self.rules.rules else None
        if state is None or number is None or number not in state.versions:
            return
        taken = targets_of(state, number)
        # Who dates a deletion back would go past the rules for what was given after that date.
        # An honest one is older only where another clone's tag was made again behind it.
        later = [e for e in self.events if e.tag != event.tag and "replayed_from" not in e.message]
        undeleted = replay(self.key, [e for e in later if not _deletes(e, number)], self.text)
        taken += [t for t in targets_of(undeleted, number) if t not in taken]
        for target in taken:
            yield from self._persons(event, self.rules.of(self.names, target))

    # -- what was given

    def _assigned(
        self, event: Event, number: int, target: Target, rules: list[Rule]
    ) -> Iterator[Finding]:
        restored = event.text("restores")
        recorded = list(self._recorded(event))
        yield from (entry for entry in recorded if isinstance(entry, Finding))
        entries = [entry for entry in recorded if not isinstance(entry, Finding)]
        asked = Guards()
        if restored is None:
            for rule in rules:
                asked += rule.guards
        elif (number, restored) not in stack_of(self.before(event), target):
            yield Finding(event.tag, f"it says that it goes back to {restored}, and it can't")
            for rule in rules:
                asked += rule.guards
        if not entries and asked == Guards():
            return
        state = self.state_before(event)
        if number not in state.versions:
            return  # it was deleted by then, and holds nothing
        subject = Subject(self.registry, state, number, trash=True)
        yield from self._tests(event, subject, asked.tests, entries)
        for guards, _ in entries:
            asked += guards
        # A rule may leave open what its tag says: which way a metric is good.
        results = {(r.guard, r.asks, *r.terms.items()): r for r in evaluate(subject, asked)}
        for result in results.values():
            yield from _failed(event, [result])
            for _, entry in entries:
                if _is_of(result, entry):
                    yield from _compared(event, result, entry.get("figures"))

    def _recorded(self, event: Event) -> Iterator[tuple[Guards, dict[str, Any]] | Finding]:
        """What a tag says was checked; a finding for what can't be read."""
        said = event.message.get("guards", [])
        for entry in said if isinstance(said, list) else [said]:
            try:
                yield _guards_of(entry), entry
            except (MlgitException, TypeError, ValueError, OverflowError) as error:
                text = str(getattr(error, "message", error)).partition("\n")[0]
                yield Finding(event.tag, f"it records a guard that can't be read: {text}")

    def _tests(
        self,
        event: Event,
        subject: Subject,
        commands: tuple[str, ...],
        entries: list[tuple[Guards, dict[str, Any]]],
    ) -> Iterator[Finding]:
        for command in commands:
            if self.with_tests:
                yield from _failed(event, [run_tests(subject, command)])
                continue
            told = [e for _, e in entries if e.get("guard") == TESTS and e.get("asks") == command]
            if not told:
                yield Finding(event.tag, "the tag records no run of it", f"{TESTS} {command}")
        for _, entry in entries:
            figures = entry.get("figures")
            status = figures.get("exit_status") if isinstance(figures, dict) else None
            if entry.get("guard") == TESTS and status != 0:
                text = f"the tag records exit status {status}"
                yield Finding(event.tag, text, f"{TESTS} {entry.get('asks')}")


def _deletes(event: Event, number: int) -> bool:
    return event.name.event == DEREGISTER and event.name.number == number


def _failed(event: Event, results: list[Result]) -> Iterator[Finding]:
    for result in results:
        if not result.passed:
            yield Finding(event.tag, result.found, result.title)


def _guards_of(entry: Any) -> Guards:
    """The guard that an entry of a tag's message tells of.

    Raises:
        MlgitException, TypeError, ValueError, OverflowError: It can't be read.
    """
    if not isinstance(entry, dict) or not isinstance(entry.get("guard"), str):
        raise TypeError(f"{str(entry)[:60]!r} names no guard")
    kind, asks = entry["guard"], entry.get("asks")
    if kind == REQUIRE:
        return Guards(require=(asks,))  # type: ignore[arg-type]  # looked at there
    if kind == BETTER_THAN:
        metric, delta = entry.get("metric"), float(entry.get("min_delta", 0.0))
        lower = entry.get("lower_is_better", False) is True
        return Guards(better_than=(BetterThan(str(asks), str(metric or ""), delta, lower),))
    return Guards(clean=True) if kind == CLEAN else Guards()


def _is_of(result: Result, entry: dict[str, Any]) -> bool:
    if entry.get("guard") != result.guard:
        return False
    if result.guard == CLEAN:
        return True
    terms = {k: entry.get(k) for k in ("metric", "min_delta", "lower_is_better") if entry.get(k)}
    return entry.get("asks") == result.asks and terms == result.terms


def _compared(event: Event, result: Result, recorded: Any) -> Iterator[Finding]:
    if not isinstance(recorded, dict):
        yield Finding(event.tag, "the tag records no figures of it", result.title)
        return
    for name in dict.fromkeys([*result.figures, *recorded]):
        value, told = result.figures.get(name), recorded.get(name)
        if told != value and not (told != told and value != value):
            text = f"{name} is {figure_text(value)}, and the tag records {figure_text(told)}"
            yield Finding(event.tag, text, result.title)
