"""Whether a model is good enough: thresholds, and the comparison with a baseline."""

from __future__ import annotations

import math
import numbers
from dataclasses import dataclass
from typing import Any

from mlgit.exceptions import InvalidParameterValue, MlgitException
from mlgit.models.evaluation.result import EvaluationResult

# A baseline of 0 has no relative change: any improvement above rounding will do.
_ANY_CHANGE = 1e-10


class MetricThresholdClassException(InvalidParameterValue):
    """A threshold that can't be right."""


class ModelValidationFailedException(MlgitException):
    """A model that isn't as good as the thresholds ask."""

    default_code = "BAD_REQUEST"


@dataclass(frozen=True)
class MetricThreshold:
    """What a metric must reach.

    Args:
        threshold: The value to reach, upwards or downwards.
        min_absolute_change: By how much it must be better than the baseline's; above 0.
        min_relative_change: By which part of the baseline's magnitude it must be better;
            a float between 0 and 1. Where the baseline is 0, any improvement counts.
        greater_is_better: Whether more of the metric is better. It must be given.

    Raises:
        MetricThresholdClassException: A value can't be right, or nothing is asked.
    """

    threshold: float | None = None
    min_absolute_change: float | None = None
    min_relative_change: float | None = None
    greater_is_better: bool | None = None

    def __post_init__(self) -> None:
        if self.greater_is_better is None:
            raise _bad("`greater_is_better` must be given")
        if not isinstance(self.greater_is_better, bool):
            raise _bad("`greater_is_better` must be True or False")
        if self.threshold is not None and not _is_number(self.threshold):
            raise _bad("`threshold` must be a number")
        change = self.min_absolute_change
        if change is not None and not (_is_number(change) and change > 0):
            raise _bad("`min_absolute_change` must be a positive number")
        part = self.min_relative_change
        if part is not None and not isinstance(part, float):
            raise _bad("`min_relative_change` must be a floating point number")
        if part is not None and not 0 <= part <= 1:
            raise _bad("`min_relative_change` must be between 0 and 1")
        if self.threshold is None and change is None and part is None:
            raise _bad("no threshold was given")

    def __str__(self) -> str:
        names = ("threshold", "min_absolute_change", "min_relative_change")
        asked = [
            f"{name} {getattr(self, name)}" for name in names if getattr(self, name) is not None
        ]
        return ", ".join(
            [*asked, "greater is better" if self.greater_is_better else "less is better"]
        )


def _is_number(value: Any) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def _bad(problem: str) -> MetricThresholdClassException:
    return MetricThresholdClassException(f"Not a MetricThreshold: {problem}")


def validate_evaluation_results(
    validation_thresholds: dict[str, MetricThreshold],
    candidate_result: EvaluationResult,
    baseline_result: EvaluationResult | None = None,
) -> None:
    """Check that a model is as good as thresholds ask; nothing happens where it is.

    Args:
        validation_thresholds: Metrics' names → thresholds.
        candidate_result: The model's evaluation.
        baseline_result: The evaluation of the model to compare with, where a threshold is
            a change.

    Raises:
        ModelValidationFailedException: It isn't. The message has a line for each check
            that failed, with the figures.
        InvalidParameterValue: The arguments aren't thresholds and results.
    """
    if not isinstance(validation_thresholds, dict) or not all(
        isinstance(name, str) and isinstance(threshold, MetricThreshold)
        for name, threshold in validation_thresholds.items()
    ):
        raise InvalidParameterValue(
            "validation_thresholds must be a dict of metrics' names and MetricThreshold objects"
        )
    if not isinstance(candidate_result, EvaluationResult):
        raise InvalidParameterValue(
            f"candidate_result must be what evaluate() returns, "
            f"not {type(candidate_result).__name__}"
        )
    baseline = baseline_result.metrics if baseline_result is not None else {}
    failures: list[str] = []
    for name, threshold in validation_thresholds.items():
        failures += _failures(name, threshold, candidate_result.metrics, baseline)
    if failures:
        raise ModelValidationFailedException("\n".join(failures))


def _failures(
    name: str, wanted: MetricThreshold, candidate: dict[str, Any], baseline: dict[str, Any]
) -> list[str]:
    """The checks that one metric doesn't pass. A comparison with NaN isn't passed."""
    if name not in candidate:
        return [f"{name} is missing from the candidate's metrics"]
    value, sign = candidate[name], 1 if wanted.greater_is_better else -1
    found = []
    if wanted.threshold is not None and not sign * (value - wanted.threshold) >= 0:
        found.append(f"{name} is {value}: the threshold is {wanted.threshold}")
    changes = {
        "absolute": wanted.min_absolute_change,
        "relative": wanted.min_relative_change,
    }
    if all(change is None for change in changes.values()):
        return found
    if name not in baseline:
        return [*found, f"{name} is missing from the baseline's metrics"]
    base = baseline[name]
    for kind, change in changes.items():
        if change is not None and not _changed(kind, change, sign, value, base):
            found.append(
                f"{name} is {value}, and {base} for the baseline: the minimum {kind} change is "
                f"{change}"
            )
    return found


def _changed(kind: str, change: float, sign: int, value: float, base: float) -> bool:
    """Whether a value is so much better than the baseline's; never where one is NaN.

    At the border the rounding decides, so it is done as in MLflow.
    """
    if math.isnan(value) or math.isnan(base):
        return False
    if kind == "absolute":
        return value >= base + change if sign > 0 else value <= base - change
    if base == 0:
        return sign * value >= _ANY_CHANGE
    return sign * (value - base) / abs(base) >= change
