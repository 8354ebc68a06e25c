"""Explanations by SHAP, where it is installed; a warning where it can't be done."""

from __future__ import annotations

import logging
import sys
from typing import Any

import pytest

pytest.importorskip("sklearn")
pytest.importorskip("matplotlib")

import numpy as np
import pandas as pd
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import LinearRegression, LogisticRegression

import mlgit

pytestmark = pytest.mark.usefixtures("in_repo")

PLOTS = {"shap_beeswarm_plot", "shap_summary_plot", "shap_feature_importance_plot"}
RANDOM = np.random.default_rng(2)
X = pd.DataFrame(RANDOM.normal(size=(40, 3)), columns=["u", "v", "w"])
Y = X["u"] * 3 + X["v"]
CLASSES = pd.cut(Y, 3, labels=False)
MODELS = {
    "linear": LinearRegression().fit(X, Y),
    "trees": RandomForestRegressor(3, random_state=0).fit(X, Y),
    "function": lambda data: data["u"] * 3,
}


def evaluated(model: Any, y: Any, kind: str, **config: Any) -> Any:
    return mlgit.evaluate(
        model, X.assign(y=y), targets="y", model_type=kind, evaluator_config=config
    )


@pytest.mark.parametrize("name", sorted(MODELS))
def test_regressors_are_explained(name: str) -> None:
    pytest.importorskip("shap")
    result = evaluated(MODELS[name], Y, "regressor")
    assert result.artifacts.keys() >= PLOTS


@pytest.mark.parametrize("algorithm", ["exact", "permutation", "partition", "kernel"])
def test_every_algorithm_explains(algorithm: str) -> None:
    pytest.importorskip("shap")
    result = evaluated(
        MODELS["linear"],
        Y,
        "regressor",
        explainability_algorithm=algorithm,
        explainability_nsamples=15,
        metric_prefix="val_",
    )
    assert result.artifacts.keys() >= PLOTS
    assert result.artifacts["shap_summary_plot"].uri.endswith("/val_shap_summary_plot.png")


@pytest.mark.parametrize("count", [2, 3])
def test_classifiers_are_explained(count: int) -> None:
    pytest.importorskip("shap")
    y = CLASSES if count == 3 else (CLASSES > 0).astype(int)
    result = evaluated(LogisticRegression().fit(X, y), y, "classifier")
    assert result.artifacts.keys() >= PLOTS


def test_the_values_are_those_of_a_linear_model() -> None:
    shap = pytest.importorskip("shap")
    from mlgit.models.evaluation.config import Config
    from mlgit.models.evaluation.explain import _shap_values
    from mlgit.models.evaluation.subject import read_subject

    model = MODELS["linear"]
    subject = read_subject(model, None, None)
    assert subject is not None
    expected = (X - X.mean()).to_numpy() * model.coef_
    for algorithm in (None, "exact", "permutation", "kernel"):
        found = _shap_values(shap, subject, X, Config(explainability_algorithm=algorithm))
        assert np.abs(found - expected).max() < 1e-6, algorithm


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"t": "text"}, "'t' doesn't hold numbers"),
        ({"t": np.nan}, "missing values"),
    ],
)
def test_data_that_is_not_suited_is_told(
    change: dict[str, Any], problem: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "mlgit"):
        result = mlgit.evaluate(
            lambda data: data["u"], X.assign(y=Y, **change), targets="y", model_type="regressor"
        )
    assert problem in caplog.text
    assert not PLOTS & result.artifacts.keys()
    assert "r2_score" in result.metrics


def test_without_shap_a_warning_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "shap", None)
    with caplog.at_level(logging.WARNING, "mlgit"):
        result = evaluated(MODELS["linear"], Y, "regressor")
    assert "pip install shap" in caplog.text
    assert "r2_score" in result.metrics
    caplog.clear()
    evaluated(MODELS["linear"], Y, "regressor", log_model_explainability=False)
    assert not caplog.text


def test_what_shap_raises_is_a_warning(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    pytest.importorskip("shap")

    def broken(*_: Any) -> Any:
        raise ValueError("no such luck")

    monkeypatch.setattr("mlgit.models.evaluation.explain._shap_values", broken)
    with caplog.at_level(logging.WARNING, "mlgit"):
        result = evaluated(MODELS["linear"], Y, "regressor")
    assert "SHAP failed: ValueError: no such luck" in caplog.text
    assert not PLOTS & result.artifacts.keys()
