"""Why a model says what it says: SHAP's values, drawn. Needs the package ``shap``."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from mlgit.models.evaluation.config import Config
from mlgit.models.evaluation.inputs import Inputs
from mlgit.models.evaluation.plots import new_figure
from mlgit.models.evaluation.subject import Subject

# So many features are drawn, the most important first.
_SHOWN = 10
# With more features the exact algorithm takes too long.
_EXACT_FEATURES = 10


def explanations(subject: Subject, inputs: Inputs, config: Config) -> dict[str, Callable[[], Any]]:
    """Plots that explain a model: names → functions that draw them.

    There are none, with a warning, where it can't be explained.

    Args:
        subject: The model.
        inputs: The rows.
        config: Which algorithm, and how many rows.
    """
    problem = _unsuited(inputs)
    if problem:
        _skip(problem)
        return {}
    try:
        import shap
    except ImportError:
        _skip("shap isn't installed (pip install shap)")
        return {}
    if config.log_explainer:
        _logger().warning("the explainer isn't logged: log_explainer isn't in this version")
    rows = inputs.features.astype(float)
    if len(rows) > config.explainability_nsamples:
        rows = rows.sample(config.explainability_nsamples, random_state=0)
    try:
        values = _shap_values(shap, subject, rows, config)
    except Exception as error:  # whatever SHAP finds wrong: the metrics count more
        _skip(f"SHAP failed: {type(error).__name__}: {error}")
        return {}
    names = [str(column) for column in rows.columns]
    table = rows.to_numpy()
    return {
        "shap_beeswarm_plot": lambda: _beeswarm(values, table, names),
        "shap_summary_plot": lambda: _summary(values, names),
        "shap_feature_importance_plot": lambda: _importance(values, names),
    }


def _logger() -> logging.Logger:
    return logging.getLogger("mlgit")


def _skip(problem: str) -> None:
    _logger().warning("the model isn't explained: %s", problem)


def _unsuited(inputs: Inputs) -> str | None:
    from pandas.api.types import is_bool_dtype, is_numeric_dtype

    if not hasattr(inputs.features, "columns"):
        return "the data has more than two dimensions"
    if inputs.targets is not None and not _numeric(inputs.targets):
        return "the targets must be numbers or booleans"
    for name in inputs.features.columns:
        kind = inputs.features[name].dtype
        if not (is_numeric_dtype(kind) or is_bool_dtype(kind)):
            return f"the column {name!r} doesn't hold numbers"
    if inputs.features.isna().to_numpy().any():
        return "the data has missing values"
    return None


def _numeric(values: Any) -> bool:
    from pandas.api.types import is_bool_dtype, is_numeric_dtype

    return bool(is_numeric_dtype(values.dtype) or is_bool_dtype(values.dtype))


def _shap_values(shap: Any, subject: Subject, rows: Any, config: Config) -> Any:
    """An array of a row a row and a column a feature; of classes, the mean magnitude."""
    import numpy as np

    predict = _predictor(subject, rows)
    algorithm = config.explainability_algorithm
    if algorithm == "kernel":
        background = rows.to_numpy().mean(axis=0, keepdims=True)
        explainer = shap.KernelExplainer(
            predict, background, link=config.explainability_kernel_link
        )
        found = explainer.shap_values(rows.to_numpy(), silent=True)
    else:
        found = _explained(shap, subject, predict, rows, algorithm).values
    values = np.asarray(found, dtype=float)
    # One array a class, last in new versions of SHAP.
    return values if values.ndim == 2 else np.abs(values).mean(axis=-1)


def _explained(shap: Any, subject: Subject, predict: Any, rows: Any, algorithm: str | None) -> Any:
    table = rows.to_numpy()
    if algorithm is None and subject.estimator is not None and not _is_multiclass(subject):
        try:  # SHAP knows trees and linear models themselves
            return shap.Explainer(subject.estimator, table)(table)
        except Exception:
            pass
    if algorithm is None:
        algorithm = "exact" if table.shape[1] < _EXACT_FEATURES else "permutation"
    # The permutation algorithm asks for at least this many evaluations.
    most = max(500, 2 * table.shape[1] + 1)
    masker = shap.maskers.Partition(table) if algorithm == "partition" else table
    explainer = shap.Explainer(predict, masker, algorithm=algorithm)
    more = {} if algorithm == "exact" else {"max_evals": most}
    return explainer(table, silent=True, **more)


def _is_multiclass(subject: Subject) -> bool:
    return subject.classes is not None and len(subject.classes) > 2


def _predictor(subject: Subject, rows: Any) -> Any:
    """What SHAP calls with arrays."""
    import numpy as np
    import pandas as pd

    fitted_with_names = getattr(subject.estimator, "feature_names_in_", None) is not None
    needs_frame = subject.estimator is None or fitted_with_names
    call = getattr(subject.estimator, "predict_proba", None) or subject.call

    def predict(table: Any) -> Any:
        features = pd.DataFrame(table, columns=rows.columns) if needs_frame else table
        return np.asarray(call(features), dtype=float)

    return predict


def _most_important(values: Any) -> Any:
    """The features to draw, the most important last: plots grow upwards."""
    import numpy as np

    return np.argsort(np.abs(values).mean(axis=0))[-_SHOWN:]


def _beeswarm(values: Any, table: Any, names: list[str]) -> Any:
    """A dot a row and feature: where it pushes the prediction, coloured by its value."""
    import numpy as np

    shown = _most_important(values)
    figure, axes = new_figure(7, 1.5 + 0.45 * len(shown))
    dots = None
    for place, feature in enumerate(shown):
        # A spread that is the same each time.
        spread = np.random.default_rng(0).uniform(-0.3, 0.3, len(values))
        low, high = table[:, feature].min(), table[:, feature].max()
        shade = (table[:, feature] - low) / ((high - low) or 1)
        dots = axes.scatter(
            values[:, feature], place + spread, c=shade, cmap="coolwarm", s=8, vmin=0, vmax=1
        )
    bar = figure.colorbar(dots, ax=axes, ticks=[0, 1])
    bar.ax.set_yticklabels(["low", "high"])
    bar.set_label("Feature value")
    return _labelled(figure, axes, [names[f] for f in shown], "SHAP values", "SHAP value")


def _summary(values: Any, names: list[str]) -> Any:
    """The spread of each feature's values: half of them in the thick line, 90 % in the thin."""
    import numpy as np

    shown = _most_important(values)
    figure, axes = new_figure(7, 1.5 + 0.45 * len(shown))
    places = range(len(shown))
    for width, low, high in ((2, 5, 95), (8, 25, 75)):
        ends = np.percentile(values[:, shown], [low, high], axis=0)
        axes.hlines(places, *ends, linewidth=width, alpha=0.6)
    axes.plot(np.median(values[:, shown], axis=0), places, "o", color="black")
    return _labelled(figure, axes, [names[f] for f in shown], "SHAP summary", "SHAP value")


def _importance(values: Any, names: list[str]) -> Any:
    """The mean magnitude of each feature's values."""
    import numpy as np

    shown = _most_important(values)
    figure, axes = new_figure(7, 1.5 + 0.45 * len(shown))
    axes.barh(range(len(shown)), np.abs(values).mean(axis=0)[shown])
    what = "Mean magnitude of the SHAP value"
    return _labelled(figure, axes, [names[f] for f in shown], "Feature importance", what)


def _labelled(figure: Any, axes: Any, names: list[str], title: str, what: str) -> Any:
    axes.set_yticks(range(len(names)), names)
    axes.axvline(0, color="#999999", linewidth=1)
    axes.set(title=title, xlabel=what)
    return figure
