"""What a reviewer of a pull request decides on: a comparison, checks, and a verdict."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from mlgit.review.branches import Sides, sides_of
from mlgit.review.compare import Comparison, RunComparison, compare
from mlgit.review.conditions import Condition, Values
from mlgit.review.curves import MOST_POINTS
from mlgit.review.links import Forge, forge_of
from mlgit.review.metrics import MetricChange
from mlgit.review.render import to_dict
from mlgit.review.show import judged, numbers, plural
from mlgit.store.gitstore import GitStore

_NO_RUN = "no run stands for {}"


@dataclass(frozen=True)
class Check:
    """A condition under which the pull request must not be merged.

    Attributes:
        text: The condition as it was written.
        failed: Whether it holds, or couldn't be told.
        told: The values that it was told by.
        problem: Why it couldn't be told; "" where it could.
    """

    text: str
    failed: bool
    told: tuple[str, ...] = ()
    problem: str = ""


@dataclass(frozen=True)
class Report:
    """A pull request in one piece.

    Attributes:
        sides: What is compared, and what to know of it.
        comparison: The comparison.
        checks: The conditions, and what became of them.
        forge: Where the code is shown; None where that isn't known.
    """

    sides: Sides
    comparison: Comparison
    checks: tuple[Check, ...] = ()
    forge: Forge | None = None

    @property
    def failed(self) -> bool:
        """Whether a check failed."""
        return any(check.failed for check in self.checks)

    @cached_property
    def metrics(self) -> tuple[MetricChange, ...]:
        """The metrics of all runs that were compared."""
        return tuple(metric for run in self.comparison.runs for metric in run.metrics)

    @property
    def verdict(self) -> str:
        """ "failed", "no run", "better", "worse", "mixed", "changed" or "same"."""
        if self.failed:
            return "failed"
        if not any(run.new for run in self.comparison.runs):
            return "no run"
        said = {metric.verdict for metric in self.metrics} - {None}
        if len(said) == 2:
            return "mixed"
        if said:
            return str(said.pop())
        return "changed" if self.comparison.differs() else "same"

    @property
    def headline(self) -> str:
        """The verdict in one line; not yet safe to print."""
        return _HEADLINES[self.verdict].format(self._counted())

    def _counted(self) -> str:
        first = ""
        if self.verdict == "failed":
            failed = sum(check.failed for check in self.checks)
            first = f"{failed} of {plural(len(self.checks), 'check')} failed; "
        kinds = [_kind(metric) for metric in self.metrics]
        counts = [(word, kinds.count(word)) for word in _KINDS]
        told = [f"{count} {word}" for word, count in counts if count]
        return first + ("metrics: " + ", ".join(told) if told else "no metrics to compare")

    @property
    def tone(self) -> str:
        """ "good", "bad", or "" for what is neither."""
        return {"better": "good", "worse": "bad", "failed": "bad"}.get(self.verdict, "")

    def changed(self, *verdicts: str) -> list[str]:
        """The metrics of some verdicts, each in a few words; not yet safe to print."""
        return [told(metric) for metric in self.metrics if metric.verdict in verdicts]

    def to_dict(self) -> dict[str, Any]:
        """The report as dicts, lists, text and finite numbers (docs/review.md)."""
        return {
            "verdict": self.verdict,
            "headline": self.headline,
            "failed": self.failed,
            "base_commit": self.sides.base_tip,
            "remarks": list(self.sides.remarks),
            "checks": [
                {
                    "condition": check.text,
                    "failed": check.failed,
                    "values": list(check.told),
                    "problem": check.problem,
                }
                for check in self.checks
            ],
            "comparison": to_dict(self.comparison),
        }


_KINDS = ("better", "worse", "within noise", "changed", "added", "removed", "equal")
_HEADLINES = {
    "failed": "{}",
    "no run": "No run to compare",
    "better": "Better; {}",
    "worse": "Worse; {}",
    "mixed": "Mixed; {}",
    "changed": "Changed; {}",
    "same": "Nothing changed; {}",
}


def told(metric: MetricChange) -> str:
    """A metric's change in a few words; not yet safe to print."""
    old, new = numbers(metric.old, metric.new)
    relative = "" if metric.relative is None else f" ({metric.relative * 100:+.2f}%)"
    return f"{metric.name} {old} → {new}{relative} {judged(metric)}".rstrip()


def _kind(metric: MetricChange) -> str:
    if metric.is_noise:
        return "within noise"
    return metric.verdict or {"unchanged": "equal"}.get(metric.status, metric.status)


def report(
    store: GitStore,
    base: str,
    head: str = "HEAD",
    conditions: Sequence[str] = (),
    remote: str = "origin",
) -> Report:
    """A pull request's report.

    Args:
        store: The repository.
        base: The branch that is merged into.
        head: The branch that is.
        conditions: Under each of them a check fails; see ``conditions``.
        remote: The Git remote whose host shows the code.

    Raises:
        FilterError: A condition doesn't parse.
        ResourceDoesNotExist, InvalidParameterValue: A side isn't there, or they have no commit in
            common.
        CorruptData, Unsupported: A record, or the configuration, can't be read.
    """
    read = [Condition(text) for text in conditions]
    sides = sides_of(store, base, head)
    comparison = compare(store, sides.base, sides.head, points=MOST_POINTS, fetch=True)
    checks = tuple(check(condition, comparison.runs, sides) for condition in read)
    return Report(sides, comparison, checks, forge_of(store.repo, remote))


def check(condition: Condition, runs: Iterable[RunComparison], sides: Sides) -> Check:
    """What becomes of a condition.

    Where runs of several experiments are compared, one of them that fulfils it is enough
    to fail, and those that lack something of it don't count if there is one that has it all.
    """
    found = [condition.check(_values(run, sides)) for run in runs]
    if not found:
        found = [condition.check(_values(None, sides))]
    whole = [outcome for outcome in found if not outcome.problem]
    outcome = next((o for o in whole if o.holds), (whole or found)[0])
    return Check(condition.text, outcome.holds is not False, outcome.told, outcome.problem)


def _values(run: RunComparison | None, sides: Sides) -> Values:
    metrics: dict[str, dict[str, float]] = {"": {}, "base.": {}}
    params: dict[str, dict[str, str]] = {"": {}, "base.": {}}
    for metric in run.metrics if run else ():
        for key, value in (("", metric.new), ("base.", metric.old)):
            if value is not None:
                metrics[key][metric.name] = value
    for param in run.params if run else ():
        for key, text in (("", param.new), ("base.", param.old)):
            if text is not None:
                params[key][param.name] = text
    missing = {}
    if run is None or run.new is None:
        missing[""] = _NO_RUN.format(sides.head.text)
    if run is None or run.old is None:
        missing["base."] = _NO_RUN.format(sides.base.text)
    return Values(metrics, params, missing)
