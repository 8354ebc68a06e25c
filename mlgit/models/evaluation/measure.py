"""One evaluation, from rows to numbers and files. Nothing is logged here."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from mlgit.exceptions import InvalidParameterValue, MissingDependency
from mlgit.metrics.base import EvaluationMetric, MetricValue
from mlgit.metrics.builtin import LATENCY
from mlgit.models.evaluation import classifier, plots, regressor
from mlgit.models.evaluation.artifacts import CsvEvaluationArtifact, ImageEvaluationArtifact
from mlgit.models.evaluation.config import Config
from mlgit.models.evaluation.custom import Made, compute_custom
from mlgit.models.evaluation.explain import explanations
from mlgit.models.evaluation.extra import Evidence, compute_extra, figures, results_table
from mlgit.models.evaluation.inputs import Inputs, check_usable
from mlgit.models.evaluation.subject import Subject, read_outputs


@dataclass(frozen=True)
class Plan:
    """What to compute.

    Attributes:
        model_type: "classifier", "regressor" or None.
        config: The settings.
        metrics: Metrics of one's own.
        artifacts: Functions that make artifacts of one's own.
    """

    model_type: str | None
    config: Config
    metrics: Sequence[EvaluationMetric]
    artifacts: Sequence[Any]


@dataclass(frozen=True)
class Measured:
    """What came of it.

    Attributes:
        metrics: Names → numbers, with the prefix.
        files: Artifacts' names → kinds and files.
        table: The scores of each row, a frame, or None.
    """

    metrics: dict[str, Any]
    files: dict[str, Made]
    table: Any


def measure(subject: Subject | None, inputs: Inputs, plan: Plan, folder: str | None) -> Measured:
    """Predict, compute and draw.

    Args:
        subject: The model; None where the predictions are there already.
        inputs: The rows.
        plan: What to compute.
        folder: Where files are left; None to make none.

    Raises:
        InvalidParameterValue: The data isn't what the model type needs.
        MlgitException: The model, or a function of one's own, failed.
    """
    evidence = _predicted(subject, inputs, plan)
    files: dict[str, Made] = {}
    draw: dict[str, Callable[[], Any]] = {}
    if plan.model_type is not None:
        check_usable(inputs.targets, "targets")
        check_usable(evidence.predictions, "predictions")
        _require_sklearn()
    if plan.model_type is not None and plan.config.metrics_wanted:
        compute = _classifier if plan.model_type == "classifier" else _regressor
        try:
            draw = compute(subject, evidence, files, folder)
        except ValueError as error:
            raise InvalidParameterValue(
                f"The metrics of a {plan.model_type} can't be computed: {error}"
            ) from error
    compute_extra(plan.metrics, evidence)
    if folder is not None:
        for at, function in enumerate(plan.artifacts):
            files.update(compute_custom(function, at, evidence, folder))
        files.update(_drawn(draw, plan.config.metric_prefix, folder))
        files.update(_explained(subject, inputs, plan, folder))
    prefix = plan.config.metric_prefix
    numbers: dict[str, Any] = {}
    for name, value in evidence.values.items():
        numbers.update(figures(name, value, prefix))
    plain = {key: _plain(number) for key, number in numbers.items()}
    return Measured(plain, files, results_table(evidence, prefix))


def _plain(number: Any) -> int | float:
    """A number of Python's: what JSON, records and people can read."""
    found = float(number)
    return int(number) if found.is_integer() and not isinstance(number, float) else found


def _require_sklearn() -> None:
    try:
        import sklearn  # noqa: F401
    except ImportError as error:
        raise MissingDependency(
            "scikit-learn computes the metrics, and isn't installed",
            hint="pip install mlgit[sklearn]",
        ) from error


def _predicted(subject: Subject | None, inputs: Inputs, plan: Plan) -> Evidence:
    import pandas as pd

    if subject is None:
        name = inputs.output_name if inputs.output_name is not None else "predictions"
        return Evidence(inputs, inputs.predictions, name, pd.DataFrame(), plan.config)
    seconds = None
    if any(metric.name == LATENCY for metric in plan.metrics):
        outputs, seconds = subject.outputs_by_row(inputs)
    else:
        outputs = subject.outputs(inputs)
    predictions, name, others = read_outputs(outputs, inputs)
    return Evidence(inputs, predictions, name, others, plan.config, seconds)


def _keep(evidence: Evidence, numbers: dict[str, Any]) -> None:
    for name, number in numbers.items():
        evidence.values[name] = MetricValue(aggregate_results={name: number})


def _score(subject: Subject | None, evidence: Evidence) -> None:
    score = subject.score(evidence.inputs, evidence.config.sample_weights) if subject else None
    if score is not None:
        _keep(evidence, {"score": score})


def _classifier(
    subject: Subject | None, evidence: Evidence, files: dict[str, Made], folder: str | None
) -> dict[str, Callable[[], Any]]:
    config, inputs = evidence.config, evidence.inputs
    found = classifier.classified(
        inputs.targets,
        evidence.predictions,
        subject.probabilities(inputs) if subject else None,
        subject.classes if subject else None,
        config,
    )
    _score(subject, evidence)
    _keep(evidence, classifier.classifier_metrics(found, config.average))
    most = config.max_classes_for_multiclass_roc_pr
    if folder is not None and not found.is_binary:
        with_areas = len(found.labels) <= most
        path = os.path.join(folder, "per_class_metrics.csv")
        classifier.per_class_metrics(found, with_areas=with_areas).to_csv(path, index=False)
        files["per_class_metrics"] = CsvEvaluationArtifact, path
    return plots.classifier_plots(found, most)


def _regressor(
    subject: Subject | None, evidence: Evidence, files: dict[str, Made], folder: str | None
) -> dict[str, Callable[[], Any]]:
    y = regressor.numbers(evidence.inputs.targets, "targets")
    p = regressor.numbers(evidence.predictions, "predictions")
    _score(subject, evidence)
    _keep(evidence, regressor.regressor_metrics(y, p, evidence.config.sample_weights))
    return {"residuals_plot": lambda: plots.residuals(y, p)}


def _drawn(draw: dict[str, Callable[[], Any]], prefix: str, folder: str) -> dict[str, Made]:
    """Plots as files. One that can't be drawn is left out: the metrics count more."""
    found: dict[str, Made] = {}
    for name, function in draw.items():
        path = os.path.join(folder, f"{prefix}{name}.png")
        os.makedirs(os.path.dirname(path), exist_ok=True)
        try:
            function().savefig(path)
        except Exception as error:
            logging.getLogger("mlgit").warning(
                "%s is left out: %s: %s", name, type(error).__name__, error
            )
        else:
            found[name] = ImageEvaluationArtifact, path
    return found


def _explained(subject: Subject | None, inputs: Inputs, plan: Plan, folder: str) -> dict[str, Made]:
    config = plan.config
    wanted = config.log_model_explainability and config.explanations_wanted
    if subject is None or plan.model_type is None or not wanted:
        return {}
    return _drawn(explanations(subject, inputs, config), config.metric_prefix, folder)
