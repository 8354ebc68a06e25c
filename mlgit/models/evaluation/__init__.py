"""How good a model is: ``mlgit.models.evaluation`` (MLflow's ``mlflow.models.evaluation``).

``evaluate`` predicts, computes, draws and logs to a run. It imports tracking, data and metrics;
numpy, pandas, scikit-learn and matplotlib when it is called, and changes no global state of
theirs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

_VALIDATION = "mlgit.models.evaluation.validation"
_NAMES = {
    "EvaluationArtifact": "mlgit.models.evaluation.artifacts",
    "EvaluationMetric": "mlgit.metrics.base",
    "EvaluationResult": "mlgit.models.evaluation.result",
    "MetricThreshold": _VALIDATION,
    "ModelValidationFailedException": _VALIDATION,
    "evaluate": "mlgit.models.evaluation.entry",
    "list_evaluators": "mlgit.models.evaluation.config",
    "make_metric": "mlgit.metrics.base",
    "validate_evaluation_results": _VALIDATION,
}

__all__ = sorted(_NAMES)


def __getattr__(name: str) -> Any:
    import importlib

    if name not in _NAMES:
        raise AttributeError(f"module 'mlgit.models.evaluation' has no attribute {name!r}")
    value = getattr(importlib.import_module(_NAMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])


if TYPE_CHECKING:
    from mlgit.metrics.base import EvaluationMetric, make_metric
    from mlgit.models.evaluation.artifacts import EvaluationArtifact
    from mlgit.models.evaluation.config import list_evaluators
    from mlgit.models.evaluation.entry import evaluate
    from mlgit.models.evaluation.result import EvaluationResult
    from mlgit.models.evaluation.validation import (
        MetricThreshold,
        ModelValidationFailedException,
        validate_evaluation_results,
    )
