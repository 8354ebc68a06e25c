"""Metrics of one's own: finding their arguments, calling them, reading what they give."""

from __future__ import annotations

import copy
import inspect
import numbers
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from mlgit.exceptions import InvalidParameterValue, MlgitException
from mlgit.metrics.base import EvaluationMetric, MetricValue
from mlgit.metrics.builtin import LATENCY
from mlgit.models.evaluation.config import Config
from mlgit.models.evaluation.inputs import Inputs

_ABSENT = object()
_OWN = ("predictions", "targets", "metrics")


@dataclass
class Evidence:
    """What metrics are computed from.

    Attributes:
        inputs: The rows.
        predictions: A series.
        output_name: The predictions' column.
        others: A frame of the other columns of the model's output.
        config: The settings.
        seconds: What the model took for each row, where that was measured.
        values: What was computed so far, by name.
    """

    inputs: Inputs
    predictions: Any
    output_name: Any
    others: Any
    config: Config
    seconds: list[float] | None = None
    values: dict[str, MetricValue] = field(default_factory=dict)

    def numbers(self) -> dict[str, float]:
        """All figures so far, by the names that they are logged under, without prefix."""
        found: dict[str, float] = {}
        for name, value in self.values.items():
            found.update(figures(name, value, ""))
        return found

    def frame(self) -> Any:
        """A frame with the columns ``prediction`` and, where there are targets, ``target``."""
        import pandas as pd

        columns = {"prediction": self.predictions}
        if self.inputs.targets is not None:
            columns["target"] = self.inputs.targets
        return pd.DataFrame(columns).reset_index(drop=True)


def figures(name: str, value: MetricValue, prefix: str) -> dict[str, float]:
    """What a metric's value is logged as: names → numbers."""
    return {
        f"{prefix}{name}" if key in (name, "") else f"{prefix}{name}/{prefix}{key}": number
        for key, number in (value.aggregate_results or {}).items()
    }


def check_metrics(given: Iterable[Any] | None) -> list[EvaluationMetric]:
    """Refuse what isn't a metric.

    Raises:
        InvalidParameterValue: An entry isn't what ``make_metric`` gives.
    """
    found = list(given or [])
    for metric in found:
        if not isinstance(metric, EvaluationMetric):
            raise InvalidParameterValue(
                f"extra_metrics holds {metric!r}, which is a {type(metric).__name__}",
                "INTERNAL_ERROR",
                hint="make_metric(eval_fn=…, greater_is_better=…) makes a metric of a function",
            )
    return found


def logged_name(metric: EvaluationMetric) -> str:
    """The name with the version."""
    return f"{metric.name}/{metric.version}" if metric.version else metric.name


def parameters(metric: EvaluationMetric) -> list[inspect.Parameter]:
    """The arguments that a metric's function takes by name."""
    try:
        found = inspect.signature(metric.eval_fn).parameters.values()
    except (TypeError, ValueError):  # some functions of C
        return []
    return [p for p in found if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]


def _takes_a_frame(wanted: Sequence[inspect.Parameter]) -> bool:
    """MLflow's first form: ``eval_fn(eval_df, builtin_metrics)``, whatever the names."""
    return len(wanted) == 2 and wanted[0].name != "predictions" and wanted[1].name != "targets"


def compute_extra(metrics: Sequence[EvaluationMetric], evidence: Evidence) -> None:
    """Compute metrics and put their values beside the others.

    One that takes another's value waits for it.

    Raises:
        InvalidParameterValue: An argument of a function isn't there.
        MlgitException: A function raised an error.
    """
    left = list(metrics)
    while left:
        known = {id(m): _arguments(m, evidence) for m in left}
        ready = [m for m in left if isinstance(known[id(m)], dict)]
        if not ready:
            raise _missing(left, evidence)
        # One at a time: what is computed may be another's argument.
        metric = ready[0]
        left.remove(metric)
        value = _value(metric, known[id(metric)], evidence)
        if value is not None:
            evidence.values[logged_name(metric)] = value


def _arguments(metric: EvaluationMetric, evidence: Evidence) -> dict[str, Any] | list[str]:
    """A function's arguments by name, or the names of those that aren't there."""
    wanted = parameters(metric)
    if _takes_a_frame(wanted):
        return {wanted[0].name: evidence.frame(), wanted[1].name: evidence.numbers()}
    found: dict[str, Any] = {}
    missing = []
    for parameter in wanted:
        value = _argument(parameter.name, evidence)
        if value is not _ABSENT:
            found[parameter.name] = value
        elif parameter.default is parameter.empty:
            missing.append(parameter.name)
    return missing or found


def _argument(name: str, evidence: Evidence) -> Any:
    inputs, config = evidence.inputs, evidence.config
    if name in ("predictions", evidence.output_name):
        return evidence.predictions.rename("prediction")
    if name in ("targets", inputs.target_name) and inputs.targets is not None:
        return inputs.targets.rename("target")
    if name == "metrics":
        return copy.deepcopy(evidence.values)
    if name in ("targets", "predictions"):
        return _ABSENT
    mapped = config.col_mapping.get(name, name)
    if not isinstance(mapped, str):
        return mapped
    for table in (inputs.features, evidence.others):
        if mapped in getattr(table, "columns", ()):
            return table[mapped].copy()
    if mapped == inputs.target_name and inputs.targets is not None:
        return inputs.targets.copy()
    if mapped == evidence.output_name:
        return evidence.predictions.copy()
    if mapped in config.more:
        return config.more[mapped]
    return copy.deepcopy(evidence.values[mapped]) if mapped in evidence.values else _ABSENT


def _missing(left: Sequence[EvaluationMetric], evidence: Evidence) -> InvalidParameterValue:
    lines = []
    for metric in left:
        names = _arguments(metric, evidence)
        lines.append(f"Metric {metric.name!r} takes what isn't there: {', '.join(names)}")
    features = getattr(evidence.inputs.features, "columns", [])
    return InvalidParameterValue(
        "\n".join(lines),
        hint=f"columns of the data are {[str(c) for c in features]}; name one for an argument by "
        "evaluator_config={'col_mapping': {ARGUMENT: COLUMN}}",
    )


def _value(metric: EvaluationMetric, arguments: Any, evidence: Evidence) -> MetricValue | None:
    """What a metric gives, or None with a warning where it is no value."""
    if metric.name == LATENCY and evidence.seconds is not None:
        return MetricValue(scores=evidence.seconds)
    try:
        result = metric.eval_fn(**arguments)
    except Exception as error:
        raise MlgitException(
            f"The metric {metric.name!r} failed: {type(error).__name__}: {error}"
        ) from error
    if isinstance(result, numbers.Real):
        return MetricValue(aggregate_results={logged_name(metric): result})  # type: ignore[dict-item]
    problem = _problem(result, evidence.inputs.rows)
    if problem is None and isinstance(result, MetricValue):
        if result.aggregate_results is None and result.scores is None:
            problem = "it gave a MetricValue of nothing"
        else:
            own = {metric.name: logged_name(metric)}
            renamed = {own.get(k, k): v for k, v in (result.aggregate_results or {}).items()}
            return MetricValue(result.scores, result.justifications, renamed)
    import logging

    logging.getLogger("mlgit").warning("the metric %r is left out: %s", metric.name, problem)
    return None


def _problem(result: Any, rows: int) -> str | None:
    if result is None:
        return "it gave None"
    if not isinstance(result, MetricValue):
        return f"it gave a {type(result).__name__}, neither a number nor a MetricValue"
    for key, number in (result.aggregate_results or {}).items():
        if not isinstance(number, numbers.Real):
            return f"its figure {key!r} is a {type(number).__name__}"
    for what in ("scores", "justifications"):
        values = getattr(result, what)
        if values is not None and len(values) != rows:
            return f"it gave {len(values)} {what} for {rows} rows"
    return None


def results_table(evidence: Evidence, prefix: str) -> Any:
    """A frame with a row a row of the data and the scores of metrics, or None without any."""
    import pandas as pd

    scored = {n: v for n, v in evidence.values.items() if v.scores is not None}
    if not scored:
        return None
    features = evidence.inputs.features
    table = features.copy() if hasattr(features, "columns") else pd.DataFrame()
    if evidence.inputs.targets is not None:
        table[evidence.inputs.target_name] = evidence.inputs.targets.to_numpy()
    table[evidence.output_name] = evidence.predictions.to_numpy()
    for name, value in scored.items():
        column = f"{prefix}{name}"
        table[column if name == LATENCY else f"{column}/score"] = list(value.scores or [])
        if value.justifications is not None:
            table[f"{column}/justification"] = list(value.justifications)
    return table
