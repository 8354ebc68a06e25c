"""The metrics of a regressor; scikit-learn computes them. Names are MLflow's."""

from __future__ import annotations

from typing import Any

from mlgit.exceptions import InvalidParameterValue


def numbers(values: Any, what: str) -> Any:
    """Targets or predictions as doubles.

    Raises:
        InvalidParameterValue: One of them is no number.
    """
    import numpy as np
    import pandas as pd

    try:
        found = np.asarray(values, dtype=float)
    except (ValueError, TypeError):
        bad = pd.to_numeric(pd.Series(values), errors="coerce").isna().to_numpy().nonzero()[0]
        shown = f": row {bad[0]} is {values.iloc[bad[0]]!r}" if len(bad) else ""
        raise InvalidParameterValue(f"A regressor's {what} must be numbers{shown}") from None
    if not np.isfinite(found).all():
        row = (~np.isfinite(found)).nonzero()[0][0]
        raise InvalidParameterValue(f"The {what} hold an infinite number, the first in row {row}")
    return found


def regressor_metrics(y: Any, p: Any, weights: Any) -> dict[str, Any]:
    """All metrics of a regressor.

    Args:
        y: The targets.
        p: The predictions.
        weights: A weight a row, or None.
    """
    from sklearn import metrics

    squared = float(metrics.mean_squared_error(y, p, sample_weight=weights))
    total = float((y if weights is None else y * weights).sum())
    return {
        "example_count": len(y),
        "mean_absolute_error": float(metrics.mean_absolute_error(y, p, sample_weight=weights)),
        "mean_squared_error": squared,
        "root_mean_squared_error": squared**0.5,
        "sum_on_target": total,
        # By rows, not by weights: MLflow's figure.
        "mean_on_target": total / len(y),
        "r2_score": float(metrics.r2_score(y, p, sample_weight=weights)) if len(y) > 1 else _NONE,
        "max_error": float(metrics.max_error(y, p)),
        "mean_absolute_percentage_error": float(
            metrics.mean_absolute_percentage_error(y, p, sample_weight=weights)
        ),
    }


# R² of one row isn't defined.
_NONE = float("nan")
