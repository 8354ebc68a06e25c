"""What a metric is, and what it gives."""

from __future__ import annotations

import numbers
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mlgit.exceptions import InvalidParameterValue


@dataclass
class MetricValue:
    """What a metric gives: a score a row, figures over all rows, or both.

    Args:
        scores: A score a row. Where they are numbers and no figures are given, their mean,
            variance and 90th percentile are the figures.
        justifications: Why, a text a row.
        aggregate_results: Figures over all rows, by name.
    """

    scores: list[str] | list[float] | None = None
    justifications: list[str] | None = None
    aggregate_results: dict[str, float] | None = None

    def __post_init__(self) -> None:
        if self.aggregate_results is None and _are_numbers(self.scores):
            import numpy as np

            scores = np.array(self.scores, dtype=float)
            self.aggregate_results = {
                "mean": float(scores.mean()),
                "variance": float(scores.var()),
                "p90": float(np.percentile(scores, 90)),
            }


def _are_numbers(scores: Any) -> bool:
    return (
        scores is not None
        and len(scores) > 0
        and all(isinstance(score, numbers.Number) for score in scores)
    )


class EvaluationMetric:
    """A metric for ``evaluate(extra_metrics=…)``; ``make_metric`` makes one of a function.

    Args:
        eval_fn: The function; see ``make_metric``.
        name: What the metric is logged as.
        greater_is_better: Whether more of it is better.
        long_name: A name for people; the name by default.
        version: Part of the logged name where it is given.
        metric_details: What it means and how it is computed.
        metric_metadata: Anything more about it.
        genai_metric_args: Accepted for MLflow's sake.
    """

    def __init__(
        self,
        eval_fn: Callable[..., Any],
        name: str,
        greater_is_better: bool,
        long_name: str | None = None,
        version: str | None = None,
        metric_details: str | None = None,
        metric_metadata: dict[str, Any] | None = None,
        genai_metric_args: dict[str, Any] | None = None,
    ) -> None:
        if not callable(eval_fn):
            raise InvalidParameterValue(
                f"A metric's eval_fn must be a function, not {type(eval_fn).__name__}"
            )
        self.eval_fn = eval_fn
        self.name = name
        self.greater_is_better = greater_is_better
        self.long_name = long_name or name
        self.version = version
        self.metric_details = metric_details
        self.metric_metadata = metric_metadata
        self.genai_metric_args = genai_metric_args

    def __call__(self, **arguments: Any) -> Any:
        """Compute it: ``metric(predictions=…, targets=…)``."""
        return self.eval_fn(**arguments)

    def __str__(self) -> str:
        shown = {
            "name": self.name,
            "greater_is_better": self.greater_is_better,
            "long_name": self.long_name,
            "version": self.version,
            "metric_details": self.metric_details,
        }
        inner = ", ".join(f"{key}={value}" for key, value in shown.items() if value is not None)
        return f"EvaluationMetric({inner})"

    __repr__ = __str__


def make_metric(
    *,
    eval_fn: Callable[..., Any],
    greater_is_better: bool,
    name: str | None = None,
    long_name: str | None = None,
    version: str | None = None,
    metric_details: str | None = None,
    metric_metadata: dict[str, Any] | None = None,
    genai_metric_args: dict[str, Any] | None = None,
) -> EvaluationMetric:
    """A metric of one's own for ``evaluate(extra_metrics=…)``.

    Args:
        eval_fn: A function that returns a number or a ``MetricValue``. Its arguments are
            found by their names: ``predictions`` and ``targets`` (series of pandas),
            ``metrics`` (what was computed before, a ``MetricValue`` each), a column of the
            data or of the model's output, a key of ``evaluator_config``, or another metric.
            A function of two arguments with other names in these places gets a frame with
            the columns ``prediction`` and ``target``, and a dict of the metrics' numbers.
        greater_is_better: Whether more of it is better.
        name: What it is logged as; the function's name by default.
        long_name: A name for people; the name by default.
        version: Part of the logged name where it is given: ``name/version``.
        metric_details: What it means and how it is computed.
        metric_metadata: Anything more about it.
        genai_metric_args: Accepted for MLflow's sake.

    Returns:
        The metric.

    Raises:
        InvalidParameterValue: ``eval_fn`` is no function, or has no name and none is given.
    """
    if name is None:
        name = getattr(eval_fn, "__name__", None)
        if name is None or name == "<lambda>":
            raise InvalidParameterValue(
                "make_metric() needs a name for a function that has none",
                hint='make_metric(eval_fn=…, greater_is_better=…, name="my_metric")',
            )
    return EvaluationMetric(
        eval_fn,
        name,
        greater_is_better,
        long_name,
        version,
        metric_details,
        metric_metadata,
        genai_metric_args,
    )
