"""Models: signatures, examples, what a model takes and gives (MLflow's ``mlflow.models``)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

_EVALUATION = "mlgit.models.evaluation"
_NAMES = {
    "EvaluationArtifact": _EVALUATION,
    "EvaluationMetric": _EVALUATION,
    "EvaluationResult": _EVALUATION,
    "MetricThreshold": _EVALUATION,
    "Model": "mlgit.models.mlmodel",
    "ModelConfig": "mlgit.models.code",
    "ModelSignature": "mlgit.models.signature",
    "ModelValidationFailedException": _EVALUATION,
    "convert_input_example_to_serving_input": "mlgit.models.examples",
    "evaluate": _EVALUATION,
    "get_model_info": "mlgit.models.mlmodel",
    "infer_signature": "mlgit.models.signature",
    "list_evaluators": _EVALUATION,
    "log_model": "mlgit.models.logged",
    "make_metric": _EVALUATION,
    "predict": "mlgit.models.predicting",
    "set_model": "mlgit.models.code",
    "set_signature": "mlgit.models.signature",
    "validate_evaluation_results": _EVALUATION,
    "validate_schema": "mlgit.models.enforcement",
    "validate_serving_input": "mlgit.models.predicting",
}
_MODULES = ("enforcement", "evaluation", "examples", "serving", "signature")

__all__ = sorted([*_NAMES, *_MODULES])


def __getattr__(name: str) -> Any:
    import importlib

    if name in _NAMES:
        value = getattr(importlib.import_module(_NAMES[name]), name)
    elif name in _MODULES:
        value = importlib.import_module(f"mlgit.models.{name}")
    else:
        raise AttributeError(f"module 'mlgit.models' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])


if TYPE_CHECKING:
    from mlgit.metrics.base import EvaluationMetric, make_metric
    from mlgit.models import enforcement, evaluation, examples, serving, signature
    from mlgit.models.code import ModelConfig, set_model
    from mlgit.models.enforcement import validate_schema
    from mlgit.models.evaluation.artifacts import EvaluationArtifact
    from mlgit.models.evaluation.config import list_evaluators
    from mlgit.models.evaluation.entry import evaluate
    from mlgit.models.evaluation.result import EvaluationResult
    from mlgit.models.evaluation.validation import (
        MetricThreshold,
        ModelValidationFailedException,
        validate_evaluation_results,
    )
    from mlgit.models.examples import convert_input_example_to_serving_input
    from mlgit.models.logged import log_model
    from mlgit.models.mlmodel import Model, get_model_info
    from mlgit.models.predicting import predict, validate_serving_input
    from mlgit.models.signature import ModelSignature, infer_signature, set_signature
