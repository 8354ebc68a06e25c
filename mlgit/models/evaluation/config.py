"""What ``evaluators`` and ``evaluator_config`` say."""

from __future__ import annotations

import difflib
from collections.abc import Collection
from dataclasses import dataclass, field, fields
from typing import Any

from mlgit.exceptions import InvalidParameterValue

MODEL_TYPES = ("classifier", "regressor")
# MLflow's other types are for text; they need judges and tokenizers that aren't here.
TEXT_TYPES = ("question-answering", "text-summarization", "text", "retriever")
EVALUATORS = ("default", "classifier", "regressor", "shap")
ALGORITHMS = ("exact", "permutation", "partition", "kernel")


def list_evaluators() -> list[str]:
    """The names that ``evaluate(evaluators=…)`` takes."""
    return list(EVALUATORS)


@dataclass(frozen=True)
class Config:
    """The settings of one evaluation; the names are MLflow's.

    Attributes:
        log_model_explainability: Whether SHAP explains the model.
        log_explainer: Accepted for MLflow's sake; the explainer isn't logged.
        explainability_algorithm: One of ``ALGORITHMS``; chosen by SHAP where None.
        explainability_nsamples: The most rows that are explained.
        explainability_kernel_link: "identity" or "logit", for the algorithm "kernel".
        max_classes_for_multiclass_roc_pr: With more classes their curves aren't drawn.
        metric_prefix: What the names of metrics and plots begin with.
        log_metrics_with_dataset_info: Accepted for MLflow's sake.
        pos_label: The positive one of two classes; the greater one where None.
        average: How scikit-learn averages over more than two classes.
        sample_weights: A weight a row.
        col_mapping: Names of metric functions' arguments → columns, or values.
        retriever_k: Accepted for MLflow's sake.
        metrics_wanted: Whether the model type's own metrics are computed.
        explanations_wanted: Whether the evaluators that were asked for explain.
        more: Keys that metric functions of one's own take.
    """

    log_model_explainability: bool = True
    log_explainer: bool = False
    explainability_algorithm: str | None = None
    explainability_nsamples: int = 2000
    explainability_kernel_link: str = "identity"
    max_classes_for_multiclass_roc_pr: int = 10
    metric_prefix: str = ""
    log_metrics_with_dataset_info: bool = True
    pos_label: Any = None
    average: str = "weighted"
    sample_weights: Any = None
    col_mapping: dict[str, Any] = field(default_factory=dict)
    retriever_k: int = 3
    metrics_wanted: bool = True
    explanations_wanted: bool = True
    more: dict[str, Any] = field(default_factory=dict)


_OURS = {"metrics_wanted", "explanations_wanted", "more"}
KEYS = [item.name for item in fields(Config) if item.name not in _OURS]
_AVERAGES = ("weighted", "macro", "micro", "samples")


def read_config(
    model_type: str | None, evaluators: Any, given: Any, wanted_by_metrics: Collection[str]
) -> Config:
    """The settings that an evaluation's arguments say.

    Args:
        model_type: "classifier", "regressor" or None.
        evaluators: A name, a list of names, or None for all.
        given: ``evaluator_config``: settings, or settings by evaluator's name.
        wanted_by_metrics: Arguments that metric functions of one's own take, which may be
            keys too.

    Raises:
        InvalidParameterValue: An evaluator or a setting isn't known, or can't be right.
    """
    names = _evaluators(model_type, evaluators)
    settings = _flat(given)
    more = {key: value for key, value in settings.items() if key not in KEYS}
    for key in more:
        if key not in wanted_by_metrics:
            raise _unknown(key)
    known = {
        key: value for key, value in settings.items() if key in KEYS and not _is_unset(key, value)
    }
    _check(known)
    own = "default" in names or model_type in names
    return Config(
        **known,
        metrics_wanted=own,
        explanations_wanted="default" in names or "shap" in names,
        more=more,
    )


def _is_unset(key: str, value: Any) -> bool:
    """None means the default in MLflow; it is a value where the default isn't None."""
    return value is None and key != "average"


def _evaluators(model_type: str | None, evaluators: Any) -> set[str]:
    if evaluators is None:
        return {"default"}
    names = [evaluators] if isinstance(evaluators, str) else list(evaluators)
    for name in names:
        other = name in MODEL_TYPES and name != model_type
        if name not in EVALUATORS or other:
            raise InvalidParameterValue(
                f"No evaluator {name!r} for the model type {model_type!r}",
                hint=f"evaluators are {', '.join(EVALUATORS)}; leave the argument out for all",
            )
    return set(names) or {"default"}


def _flat(given: Any) -> dict[str, Any]:
    """The settings, whether they stand alone or under evaluators' names."""
    if given is None:
        return {}
    if not isinstance(given, dict):
        raise InvalidParameterValue(f"evaluator_config must be a dict, not {type(given).__name__}")
    found: dict[str, Any] = {}
    for key, value in given.items():
        if key in EVALUATORS and isinstance(value, dict):
            found.update(value)
        else:
            found[str(key)] = value
    return found


def _unknown(key: str) -> InvalidParameterValue:
    close = difflib.get_close_matches(key, KEYS, n=1)
    return InvalidParameterValue(
        f"evaluator_config has no key {key!r}, and no metric of extra_metrics takes it",
        hint=f"did you mean {close[0]!r}?" if close else f"keys are {', '.join(KEYS)}",
    )


def _check(known: dict[str, Any]) -> None:
    def refuse(key: str, wanted: str) -> None:
        raise InvalidParameterValue(
            f"evaluator_config[{key!r}] must be {wanted}, not {known[key]!r}"
        )

    if known.get("average", "weighted") not in _AVERAGES:
        refuse("average", f"one of {', '.join(_AVERAGES)}")
    if known.get("explainability_algorithm") not in (None, *ALGORITHMS):
        refuse("explainability_algorithm", f"one of {', '.join(ALGORITHMS)}")
    if known.get("explainability_kernel_link", "identity") not in ("identity", "logit"):
        refuse("explainability_kernel_link", "'identity' or 'logit'")
    for key in ("explainability_nsamples", "max_classes_for_multiclass_roc_pr"):
        value = known.get(key, 1)
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            refuse(key, "a whole number from 1")
    prefix = known.get("metric_prefix", "")
    if not isinstance(prefix, str):
        refuse("metric_prefix", "text")
    # Names of files begin with it.
    if prefix.startswith("/") or ".." in prefix.split("/") or "\\" in prefix:
        refuse("metric_prefix", "the beginning of a name")
    if not isinstance(known.get("col_mapping", {}), dict):
        refuse("col_mapping", "a dict")
