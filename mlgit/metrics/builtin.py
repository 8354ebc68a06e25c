"""The metrics that come with mlgit; scikit-learn computes them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mlgit.exceptions import MissingDependency
from mlgit.metrics.base import EvaluationMetric, MetricValue, make_metric

LATENCY = "latency"


def _sklearn_metrics() -> Any:
    try:
        import sklearn.metrics
    except ImportError as error:
        raise MissingDependency(
            "Metrics are computed by scikit-learn, which isn't installed",
            hint="pip install mlgit[sklearn]",
        ) from error
    return sklearn.metrics


def _of_all_rows(
    name: str, greater_is_better: bool, compute: Callable[[Any, Any, Any], float]
) -> EvaluationMetric:
    """A metric that gives one figure; ``compute`` takes targets, predictions and weights."""

    def eval_fn(
        predictions: Any, targets: Any = None, metrics: Any = None, sample_weight: Any = None
    ) -> MetricValue | None:
        if targets is None or len(targets) == 0:
            return None
        return MetricValue(
            aggregate_results={name: float(compute(targets, predictions, sample_weight))}
        )

    return make_metric(eval_fn=eval_fn, greater_is_better=greater_is_better, name=name)


def _classes(name: str) -> EvaluationMetric:
    """Two classes: the greater is the positive one. More: weighted by their rows."""

    def compute(targets: Any, predictions: Any, weights: Any) -> float:
        import numpy as np

        labels = np.unique(np.concatenate([np.asarray(targets), np.asarray(predictions)]))
        score = getattr(_sklearn_metrics(), name)
        if len(labels) <= 2:
            return float(score(targets, predictions, pos_label=labels[-1], sample_weight=weights))
        return float(score(targets, predictions, average="weighted", sample_weight=weights))

    return _of_all_rows(name, True, compute)


def mae() -> EvaluationMetric:
    """The mean of the absolute errors, logged as ``mean_absolute_error``."""
    return _of_all_rows(
        "mean_absolute_error",
        False,
        lambda y, p, w: _sklearn_metrics().mean_absolute_error(y, p, sample_weight=w),
    )


def mse() -> EvaluationMetric:
    """The mean of the squared errors, logged as ``mean_squared_error``."""
    return _of_all_rows(
        "mean_squared_error",
        False,
        lambda y, p, w: _sklearn_metrics().mean_squared_error(y, p, sample_weight=w),
    )


def rmse() -> EvaluationMetric:
    """The root of the mean of the squared errors, logged as ``root_mean_squared_error``."""
    return _of_all_rows(
        "root_mean_squared_error",
        False,
        lambda y, p, w: _sklearn_metrics().mean_squared_error(y, p, sample_weight=w) ** 0.5,
    )


def r2_score() -> EvaluationMetric:
    """The part of the variance that is explained, logged as ``r2_score``."""
    return _of_all_rows(
        "r2_score", True, lambda y, p, w: _sklearn_metrics().r2_score(y, p, sample_weight=w)
    )


def max_error() -> EvaluationMetric:
    """The greatest absolute error, logged as ``max_error``."""
    return _of_all_rows("max_error", False, lambda y, p, w: _sklearn_metrics().max_error(y, p))


def mape() -> EvaluationMetric:
    """The mean of the errors in parts of the target, as ``mean_absolute_percentage_error``."""
    return _of_all_rows(
        "mean_absolute_percentage_error",
        False,
        lambda y, p, w: _sklearn_metrics().mean_absolute_percentage_error(y, p, sample_weight=w),
    )


def precision_score() -> EvaluationMetric:
    """How many of those said to be positive are, logged as ``precision_score``."""
    return _classes("precision_score")


def recall_score() -> EvaluationMetric:
    """How many of the positive are found, logged as ``recall_score``."""
    return _classes("recall_score")


def f1_score() -> EvaluationMetric:
    """The harmonic mean of precision and recall, logged as ``f1_score``."""
    return _classes("f1_score")


def latency() -> EvaluationMetric:
    """The seconds that a model takes for a row, each given to it alone; ``latency``.

    With predictions that are there already it is 0.
    """

    def eval_fn(predictions: Any, targets: Any = None, metrics: Any = None) -> MetricValue:
        return MetricValue(scores=[0.0] * len(predictions))  # evaluate() measures

    return make_metric(eval_fn=eval_fn, greater_is_better=False, name=LATENCY)
