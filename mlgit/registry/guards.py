"""Guards: what must be so before a version is given a stage or an alias, and whether it is.

Each answer says what was asked, whether it holds, and the figures that say so, in words and as
the tag's message keeps them (docs/format.md, "Guards"). Nothing here writes.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from mlgit.entities import LifecycleStage, Run, RunStatus
from mlgit.entities.model_registry import ModelVersion
from mlgit.exceptions import InvalidParameterValue, MlgitException, ResourceDoesNotExist
from mlgit.registry import rows
from mlgit.registry.lineage import trace
from mlgit.registry.state import ModelState
from mlgit.registry.targets import Target, target_named
from mlgit.store.directions import declared_directions, direction
from mlgit.store.filter_text import comparison_text, comparisons, field_text, node_text
from mlgit.store.filters import Comparison, Node, parse_filter
from mlgit.store.predicates import conjuncts

if TYPE_CHECKING:
    from mlgit.registry.registry import Registry

REQUIRE, BETTER_THAN, TESTS, CLEAN = "require", "better_than", "tests", "clean"
_LONGEST = 200
_GOING = (RunStatus.to_string(RunStatus.RUNNING), RunStatus.to_string(RunStatus.SCHEDULED))


@dataclass(frozen=True)
class BetterThan:
    """That a metric is better than the one of the version that holds a stage or an alias.

    Attributes:
        holder: The stage or alias.
        metric: The metric.
        min_delta: How much better it must be at least; 0 asks for any improvement.
        lower_is_better: Whether less is better; None for what the team's configuration
            (``metrics:``) or the metric's name says, and for more where they say nothing.
    """

    holder: str
    metric: str
    min_delta: float = 0.0
    lower_is_better: bool | None = None

    def __post_init__(self) -> None:
        target_named(self.holder)
        if not isinstance(self.metric, str) or not self.metric:
            raise InvalidParameterValue(
                f"To be better than {self.holder} by which metric?",
                hint="name one: --metric val_accuracy",
            )
        if not (math.isfinite(self.min_delta) and self.min_delta >= 0):
            raise InvalidParameterValue(
                f"min_delta is {self.min_delta}; it must be a number from 0 on",
                hint="lower_is_better turns the direction around",
            )


@dataclass(frozen=True)
class Guards:
    """What is asked for.

    Attributes:
        require: Search expressions over the version's run.
        better_than: Comparisons with versions that hold something.
        tests: Commands for the shell.
        clean: That the run's code had no uncommitted changes.

    Raises:
        FilterError: An expression doesn't parse.
        InvalidParameterValue: One, or a command, is empty.
    """

    require: tuple[str, ...] = ()
    better_than: tuple[BetterThan, ...] = ()
    tests: tuple[str, ...] = ()
    clean: bool = False

    def __post_init__(self) -> None:
        for expression in self.require:
            _parsed(expression)
        if not all(isinstance(c, str) and c.strip() and "\0" not in c for c in self.tests):
            raise InvalidParameterValue("A command that tests is empty, or isn't text")

    def __add__(self, other: Guards) -> Guards:
        """Both, each guard once."""
        return Guards(
            tuple(dict.fromkeys(self.require + other.require)),
            tuple(dict.fromkeys(self.better_than + other.better_than)),
            tuple(dict.fromkeys(self.tests + other.tests)),
            self.clean or other.clean,
        )


@dataclass(frozen=True)
class Result:
    """Whether one guard holds.

    Attributes:
        guard: require, better_than, tests, clean, who or signed.
        asks: What is asked, as it was written.
        passed: None where it wasn't looked at.
        found: What was found, for people.
        figures: The same as figures.
        terms: What else was asked, by the names that tags have for it.
        output: What a command printed, the end of it.
    """

    guard: str
    asks: str
    passed: bool | None
    found: str
    figures: dict[str, Any] = field(default_factory=dict)
    terms: dict[str, Any] = field(default_factory=dict)
    output: str = ""

    @property
    def title(self) -> str:
        """The guard in a few words."""
        return title(self.entry())

    def entry(self) -> dict[str, Any]:
        """As it stands in a tag's message."""
        return {"guard": self.guard, "asks": self.asks, **self.terms, "figures": self.figures}

    def to_dictionary(self) -> dict[str, Any]:
        """As JSON has it."""
        shown = {**self.entry(), "passed": self.passed, "found": self.found}
        return {**shown, "output": self.output} if self.output else shown


def title(entry: dict[str, Any]) -> str:
    """What an entry of a tag's message says was asked, in a few words."""
    guard, asks = entry.get("guard"), entry.get("asks")
    if guard == BETTER_THAN:
        return f"better than {asks} by {entry.get('metric')}"
    return str(guard) if guard == CLEAN else f"{guard} {asks}"


def entry_text(entry: object) -> tuple[str, str]:
    """An entry of a tag's message, which may be made by hand, for people.

    Returns:
        What was asked, and the figures, or "".
    """
    if not isinstance(entry, dict) or not isinstance(entry.get("guard"), str):
        return str(entry), ""
    return title(entry), ", ".join(_figures(entry))


def _figures(entry: dict[str, Any]) -> list[str]:
    figures = entry.get("figures")
    if not isinstance(figures, dict) or entry["guard"] == CLEAN:
        return []
    if entry["guard"] == TESTS:
        return [f"{figures.get('seconds')} s"]
    if entry["guard"] == BETTER_THAN:
        held_by = figures.get("held_by")
        held = [f"version {held_by}: {figure_text(figures.get('held'))}"] if held_by else []
        return [figure_text(figures.get("value")), *held]
    return [figure_text(value) for value in figures.values()]


class Subject:
    """One version, and what is known of the run that made it.

    Args:
        registry: The registry.
        state: The model.
        number: The version.
        trash: Whether a deleted run's figures count, too.
    """

    def __init__(
        self, registry: Registry, state: ModelState, number: int, *, trash: bool = False
    ) -> None:
        self.registry = registry
        self.store = registry.store
        self.state = state
        self.number = number
        self.trash = trash
        event = state.versions[number].event
        source, run_id = event.text("source"), event.text("run_id")
        if "format" not in event.message:
            source, run_id = rows.found_at(self.store.repo, event.commit)
        self.run_id = run_id
        self.version = ModelVersion(
            state.name, number, event.time, source=source, run_id=run_id, commit=event.commit
        )

    def run(self) -> Run:
        """The run as it is now, which may say more than the commit that was registered.

        Raises:
            MlgitException: It isn't here, is going on, or is deleted; the message says which.
        """
        if not self.run_id:
            raise ResourceDoesNotExist(f"version {self.number} is of no run")
        runs = self.store.runs
        try:
            run = runs.get(self.run_id)
            if run.info.status in _GOING:
                runs.recover()  # its process may be dead
                run = runs.get(self.run_id)
        except MlgitException as error:
            raise ResourceDoesNotExist(
                f"version {self.number}'s run {self.run_id} isn't here: mlgit fetch brings the runs "
                "of a Git remote"
            ) from error
        if run.info.status in _GOING:
            raise MlgitException(
                f"version {self.number}'s run {self.run_id} is still going, and its figures may "
                "change"
            )
        if run.info.lifecycle_stage != LifecycleStage.ACTIVE and not self.trash:
            raise MlgitException(
                f"version {self.number}'s run {self.run_id} is deleted: mlgit runs restore "
                f"{self.run_id} brings it back"
            )
        return run

    def holder(self, target: Target) -> Subject | None:
        """The version that holds something now; None where none does."""
        held = target.held(self.state)
        if held is None and target.is_stage:
            # MLflow keeps the two apart, and people may have given the stage's name to an alias.
            held = Target(target.name.lower(), False).held(self.state)
        # A deleted run's figures still say how good the version is that is in use.
        return None if held is None else Subject(self.registry, self.state, held[0], trash=True)


def evaluate(subject: Subject, guards: Guards) -> list[Result]:
    """Whether guards hold, all of them but the tests.

    Args:
        subject: The version, in the state that it is to be compared in.
        guards: What is asked for.
    """
    found = [_require(subject, expression) for expression in guards.require]
    found += [_better(subject, asked) for asked in guards.better_than]
    return found + ([_clean(subject)] if guards.clean else [])


# -- require


def _parsed(expression: str) -> Node:
    node = parse_filter(expression)
    if node is None:
        raise InvalidParameterValue(
            "What is required is empty", hint="such as 'metrics.val_accuracy >= 0.95'"
        )
    return node


def _require(subject: Subject, expression: str) -> Result:
    parts = conjuncts(_parsed(expression))
    leaves = [leaf for part in parts for leaf in comparisons(part)]
    try:
        run = subject.run()
        held = subject.store.index.holds(run.info.run_id, parts)
    except MlgitException as error:
        return Result(REQUIRE, expression, False, error.message)
    figures = {field_text(leaf): _figure(run, leaf) for leaf in leaves}
    said = [_said(part, figures, ok) for part, ok in zip(parts, held, strict=True)]
    found = "; ".join(dict.fromkeys(said)) + ("" if all(held) else _guesses(run, leaves))
    return Result(REQUIRE, expression, all(held), found, figures)


def _guesses(run: Run, leaves: Sequence[Comparison]) -> str:
    """What was maybe meant by the metrics, params and tags that a run doesn't have."""
    known: dict[str, Collection[str]] = {
        "metric": run.data.metrics, "param": run.data.params, "tag": run.data.tags
    }  # fmt: skip
    asked = {leaf.key: known.get(leaf.kind, ()) for leaf in leaves}
    return "".join(_guess(key, have) for key, have in asked.items() if key not in have)


def _figure(run: Run, leaf: Comparison) -> Any:
    """What a run has in a field; None for nothing."""
    if leaf.kind == "dataset":
        used = [(i.dataset, {t.key: t.value for t in i.tags}) for i in run.inputs.dataset_inputs]
        context = "mlflow.data.context"
        values = [
            tags.get(context) if leaf.key == "context" else getattr(dataset, leaf.key)
            for dataset, tags in used
        ]
        return _cut(", ".join(v for v in values if v)) or None
    if leaf.kind == "attribute":
        return _cut(getattr(run.info, leaf.key))
    if leaf.kind == "metric":
        return run.data.metrics.get(leaf.key)
    return _cut((run.data.params if leaf.kind == "param" else run.data.tags).get(leaf.key))


def _cut(value: Any) -> Any:
    return (
        value[: _LONGEST - 1] + "…" if isinstance(value, str) and len(value) > _LONGEST else value
    )


def _said(part: Node, figures: dict[str, Any], held: bool) -> str:
    leaves = dict.fromkeys(field_text(leaf) for leaf in comparisons(part))
    are = ", ".join(f"{name} {is_text(figures[name])}" for name in leaves)
    if held:
        return are
    asked = comparison_text(part) if isinstance(part, Comparison) else node_text(part)
    return f"{are}, needs {asked}"


def is_text(value: Any) -> str:
    """A figure in a sentence: "is 0.93"."""
    if value is None:
        return "isn't there"
    return f"is {figure_text(value)}"


def figure_text(value: Any) -> str:
    """A figure for people: all of a number's digits, text in quotes."""
    if isinstance(value, float):
        if math.isfinite(value):
            return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
        return "NaN" if value != value else "infinity" if value > 0 else "-infinity"
    return repr(value) if isinstance(value, str) else str(value)


# -- better than


def _better(subject: Subject, asked: BetterThan) -> Result:
    terms: dict[str, Any] = {"metric": asked.metric}
    terms |= {"min_delta": asked.min_delta} if asked.min_delta else {}
    lower = _lower_is_better(subject, asked)
    terms |= {"lower_is_better": True} if lower else {}
    target = target_named(asked.holder)
    figures: dict[str, Any] = {}

    def answer(passed: bool, found: str) -> Result:
        return Result(BETTER_THAN, asked.holder, passed, found, figures, terms)

    try:
        value = _metric(subject, asked.metric)
        figures["value"] = value
        has = f"{asked.metric} is {figure_text(value)}"
        other = subject.holder(target)
        if other is None:
            return answer(value == value, f"{has}; no version is {target} yet to compare with")
        if other.number == subject.number:
            return answer(True, f"{has}; version {other.number} is {target} already")
        figures["held_by"] = other.number
        held = _metric(other, asked.metric)
        figures["held"] = held
    except MlgitException as error:
        return answer(False, error.message)
    way = "lower" if lower else "higher"
    needs = f"at least {figure_text(asked.min_delta)} {way}" if asked.min_delta else way
    text = f"{has}, version {other.number} ({target}) has {figure_text(held)}"
    gain = _gain(value, held, lower)
    if gain > 0 and gain >= Decimal(repr(asked.min_delta)):
        return answer(True, text)
    return answer(False, f"{text}, needs to be {needs}")


def _lower_is_better(subject: Subject, asked: BetterThan) -> bool:
    if asked.lower_is_better is not None:
        return asked.lower_is_better
    # Not by the run's own tags: who logged it mustn't turn the rule around.
    return direction(asked.metric, {}, declared_directions(subject.store.repo)) == "min"


def _metric(subject: Subject, name: str) -> float:
    """A metric's last value, which is a number.

    Raises:
        MlgitException: There is none, or it is NaN.
    """
    run = subject.run()
    value = run.data.metrics.get(name)
    whose = f"version {subject.number}'s run {run.info.run_id}"
    if value is None:
        guess = _guess(name, run.data.metrics)
        raise ResourceDoesNotExist(f"{whose} has no metric {name!r}{guess}")
    if value != value:
        raise InvalidParameterValue(f"{name} of {whose} is NaN, which can't be compared")
    return value


def _guess(name: str, known: Iterable[str]) -> str:
    import difflib

    close = difflib.get_close_matches(name, list(known), 1)
    return f" (did you mean {close[0]!r}?)" if close else ""


def _gain(value: float, held: float, lower_is_better: bool) -> Decimal:
    # In decimals, as people write and read them: 0.95 is 0.001 more than 0.949.
    if value == held:
        return Decimal(0)
    gain = Decimal(repr(value)) - Decimal(repr(held))
    return -gain if lower_is_better else gain


# -- clean


def _clean(subject: Subject) -> Result:
    asks = "no uncommitted changes"
    try:
        lineage = trace(subject.store.repo, subject.version)
    except MlgitException as error:
        return Result(CLEAN, asks, False, f"what it comes from can't be read: {error.message}")
    commit, dirty = lineage.code_commit, lineage.dirty
    if commit is None:
        return Result(CLEAN, asks, False, f"version {subject.number} has no code")
    if dirty is None and lineage.run_id is None:
        dirty = False  # the commit itself is the code
    figures = {"dirty": dirty, "commit": commit}
    if dirty:
        found = f"the code of {commit[:10]} had uncommitted changes"
        return Result(CLEAN, asks, False, found, figures)
    if dirty is None:
        found = f"whether the code of {commit[:10]} had uncommitted changes isn't recorded"
        return Result(CLEAN, asks, False, found, figures)
    return Result(CLEAN, asks, True, f"the code is commit {commit[:10]}", figures)
