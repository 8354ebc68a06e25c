"""Metrics for ``evaluate``: ``mlgit.metrics`` (MLflow's ``mlflow.metrics``).

It imports the errors, and scikit-learn when a metric is computed. It logs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

_BASE = "mlgit.metrics.base"
_BUILTIN = "mlgit.metrics.builtin"
_NAMES = {
    "EvaluationMetric": _BASE,
    "MetricValue": _BASE,
    "f1_score": _BUILTIN,
    "latency": _BUILTIN,
    "mae": _BUILTIN,
    "make_metric": _BASE,
    "mape": _BUILTIN,
    "max_error": _BUILTIN,
    "mse": _BUILTIN,
    "precision_score": _BUILTIN,
    "r2_score": _BUILTIN,
    "recall_score": _BUILTIN,
    "rmse": _BUILTIN,
}
# MLflow's metrics of text, which need judges, tokenizers or models that aren't here.
_LATER = (
    *("ari_grade_level", "bleu", "exact_match", "flesch_kincaid_grade_level", "genai"),
    *("ndcg_at_k", "precision_at_k", "recall_at_k", "rouge1", "rouge2", "rougeL", "rougeLsum"),
    *("token_count", "toxicity"),
)

__all__ = sorted(_NAMES)


def __getattr__(name: str) -> Any:
    import importlib

    if name in _LATER:
        raise AttributeError(
            f"module 'mlgit.metrics' has no attribute {name!r}: metrics of text aren't in this "
            "version; make_metric() makes one of a function"
        )
    if name not in _NAMES:
        raise AttributeError(f"module 'mlgit.metrics' has no attribute {name!r}")
    value = getattr(importlib.import_module(_NAMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])


if TYPE_CHECKING:
    from mlgit.metrics.base import EvaluationMetric, MetricValue, make_metric
    from mlgit.metrics.builtin import (
        f1_score,
        latency,
        mae,
        mape,
        max_error,
        mse,
        precision_score,
        r2_score,
        recall_score,
        rmse,
    )
