"""``evaluate``: the arguments, the run, and what is logged to it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from mlgit.exceptions import InvalidParameterValue, Unsupported
from mlgit.models.evaluation.artifacts import (
    EvaluationArtifact,
    JsonEvaluationArtifact,
    PickleEvaluationArtifact,
)
from mlgit.models.evaluation.config import MODEL_TYPES, TEXT_TYPES, Config, read_config
from mlgit.models.evaluation.extra import check_metrics, parameters
from mlgit.models.evaluation.inputs import Inputs, read_inputs
from mlgit.models.evaluation.measure import Measured, Plan, measure
from mlgit.models.evaluation.result import TABLE, EvaluationResult
from mlgit.models.evaluation.subject import Subject, read_subject
from mlgit.models.evaluation.validation import MetricThreshold, validate_evaluation_results
from mlgit.tracking import fluent, log


def evaluate(
    model: Any = None,
    data: Any = None,
    *,
    model_type: str | None = None,
    targets: Any = None,
    predictions: Any = None,
    dataset_path: str | None = None,
    feature_names: Sequence[str] | None = None,
    evaluators: str | Sequence[str] | None = None,
    evaluator_config: dict[str, Any] | None = None,
    extra_metrics: Sequence[Any] | None = None,
    custom_artifacts: Sequence[Callable[..., Any]] | None = None,
    env_manager: str | None = "local",
    model_config: dict[str, Any] | None = None,
    inference_params: dict[str, Any] | None = None,
    model_id: str | None = None,
    custom_metrics: Sequence[Any] | None = None,
    validation_thresholds: dict[str, MetricThreshold] | None = None,
    baseline_model: Any = None,
    baseline_config: dict[str, Any] | None = None,
) -> EvaluationResult:
    """Measure how good a model is on data, and log what comes of it.

    Metrics, plots, tables and the dataset go to the active run; where there is none, to one
    of its own, which is ended. Which metrics and settings there are: docs/evaluation.md.

    Args:
        model: A model's URI, a loaded model, an object with ``predict``, a function that
            predicts for a frame, or None where the predictions are in the data.
        data: A frame, an array, a list, or a dataset of ``mlgit.data``.
        model_type: "classifier", "regressor", or None for ``extra_metrics`` alone.
        targets: The column with the true values, or these values.
        predictions: The column with the predictions, or these; with a model, the column of
            its output to look at.
        dataset_path: Where the data comes from, for the record.
        feature_names: The columns that the model gets, by default all but the targets; or
            names for the columns of an array.
        evaluators: "default", or a list of names of ``list_evaluators()``.
        evaluator_config: Settings, such as ``{"metric_prefix": "val_"}``.
        extra_metrics: What ``make_metric`` makes, or ``mlgit.metrics`` has.
        custom_artifacts: Functions of a frame, the metrics and a folder, which return a
            dict of names and artifacts.
        env_manager: "local"; models are evaluated in this process.
        model_config: Settings for loading the model.
        inference_params: Params for the model's ``predict``.
        model_id: Accepted for MLflow's sake.
        custom_metrics: The older name of ``extra_metrics``.
        validation_thresholds: What the metrics must reach (MLflow 2);
            ``validate_evaluation_results`` does it apart.
        baseline_model: A model to compare with, for these thresholds.
        baseline_config: Settings for loading it.

    Returns:
        The metrics, the artifacts, the tables and the run's id.

    Raises:
        InvalidParameterValue: An argument can't be right, or the data doesn't fit it.
            Nothing is logged.
        Unsupported: A model type or environment that this version doesn't know.
        MissingDependency: scikit-learn isn't installed.
        MlgitException: The model, or a function of one's own, failed. Nothing is logged.
        ModelValidationFailedException: The model isn't as good as the thresholds ask. All
            is logged.
    """
    _check_type(model_type, env_manager)
    metrics = check_metrics([*(extra_metrics or ()), *(custom_metrics or ())])
    if model_type is None and not metrics:
        raise InvalidParameterValue(
            "evaluate() needs extra_metrics where it has no model_type",
            hint='model_type="classifier" or "regressor" brings metrics along',
        )
    if data is None:
        raise InvalidParameterValue("evaluate() needs data")
    wanted = {parameter.name for metric in metrics for parameter in parameters(metric)}
    config = read_config(model_type, evaluators, evaluator_config, wanted)
    inputs = read_inputs(
        data, targets, predictions, feature_names, static=model is None, source=dataset_path
    )
    _check_inputs(inputs, model_type, static=model is None)
    subject = read_subject(model, model_config, inference_params)
    config = replace(config, sample_weights=_weights(config, inputs))
    plan = Plan(model_type, config, metrics, list(custom_artifacts or ()))
    result = _logged(subject, inputs, plan)
    if validation_thresholds is not None:
        baseline = read_subject(baseline_model, baseline_config, inference_params)
        compared = measure(baseline, inputs, plan, None) if baseline else None
        known = EvaluationResult(compared.metrics, {}) if compared else None
        validate_evaluation_results(validation_thresholds, result, known)
    return result


def _check_type(model_type: Any, env_manager: str | None) -> None:
    if model_type in TEXT_TYPES:
        raise Unsupported(
            f"evaluate() doesn't know metrics for the model type {model_type!r}",
            hint="it knows 'classifier' and 'regressor'; for text leave model_type out, and give "
            "extra_metrics=[make_metric(…)]",
        )
    if model_type not in (None, *MODEL_TYPES):
        raise InvalidParameterValue(
            f"There is no model type {model_type!r}", hint="'classifier' or 'regressor'"
        )
    if env_manager not in (None, "local"):
        raise Unsupported(
            f"evaluate() can't run models in another environment: env_manager={env_manager!r}",
            hint='env_manager="local" evaluates in this process',
        )


def _check_inputs(inputs: Inputs, model_type: str | None, *, static: bool) -> None:
    if not inputs.rows:
        raise InvalidParameterValue("The data has no rows")
    if static and inputs.predictions is None:
        raise InvalidParameterValue(
            "evaluate() needs a model, or predictions",
            hint="predictions=COLUMN names those that are in the data",
        )
    if model_type is not None and inputs.targets is None:
        raise InvalidParameterValue(
            f"The targets argument must be given for {model_type} models",
            hint="targets=COLUMN, or the true values themselves",
        )


def _weights(config: Config, inputs: Inputs) -> Any:
    """A weight a row, as an array, or None."""
    if config.sample_weights is None:
        return None
    import numpy as np

    try:
        found = np.asarray(config.sample_weights, dtype=float)
    except (TypeError, ValueError):
        found = np.zeros(0)
    if found.shape != (inputs.rows,) or not np.isfinite(found).all():
        raise InvalidParameterValue(
            f"sample_weights must be a number for each of the {inputs.rows} rows"
        )
    return found


@contextmanager
def _run() -> Iterator[str]:
    """The active run's id, or that of a new one, which ends with the block."""
    active = fluent.active_run()
    if active is not None:
        yield active.info.run_id
        return
    with fluent.start_run() as run:
        yield run.info.run_id


def _logged(subject: Subject | None, inputs: Inputs, plan: Plan) -> EvaluationResult:
    """Measure, and log it: first all is computed, then all is logged."""
    with _run() as run_id, tempfile.TemporaryDirectory(prefix="mlgit-evaluate-") as folder:
        measured = measure(subject, inputs, plan, folder)
        log.log_metrics(measured.metrics)
        log.log_input(inputs.dataset, context=plan.config.metric_prefix or None)
        artifacts = {name: _log(*made, folder) for name, made in measured.files.items()}
        if measured.table is not None:
            artifacts[TABLE] = _log_table(measured, plan.config.metric_prefix, folder)
        return EvaluationResult(measured.metrics, artifacts, run_id)


def _log(kind: type[EvaluationArtifact], path: str, folder: str) -> EvaluationArtifact:
    name = os.path.relpath(path, folder)
    log.log_artifact(path, os.path.dirname(name) or None)
    uri = log.get_artifact_uri(name)
    # A pickle is loaded when somebody asks for its content.
    return kind(uri) if kind is PickleEvaluationArtifact else kind(uri, kind("")._read(path))


def _log_table(measured: Measured, prefix: str, folder: str) -> EvaluationArtifact:
    """The scores of the rows, as ``log_table`` logs tables."""
    name = f"{prefix}{TABLE}.json"
    log.log_table(measured.table, name)
    path = os.path.join(folder, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    measured.table.to_json(path, orient="split", index=False, date_format="iso")
    return JsonEvaluationArtifact(
        log.get_artifact_uri(name), JsonEvaluationArtifact("")._read(path)
    )
