"""The examples of docs/evaluation.md and the programs of public guides are real."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("sklearn")
pytest.importorskip("matplotlib")

import mlgit as mlflow
from mlgit.models.evaluation.config import KEYS, Config

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "evaluation.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```python\n(.*?)```\s+```text\n(.*?)```", PAGE, re.DOTALL)


def _lines(text: str) -> list[str]:
    return [" ".join(line.split()) for line in text.splitlines() if line.strip()]


def test_every_example_has_its_output() -> None:
    assert len(EXAMPLES) == PAGE.count("```python") == 3


@pytest.mark.parametrize("at", range(3))
def test_examples_print_what_the_page_says(
    at: int, tmp_path: Path, python: Callable[..., Any]
) -> None:
    subprocess.run(["git", "init", "--quiet", str(tmp_path)], check=True)
    program, output = EXAMPLES[at]
    assert _lines(python(program, cwd=tmp_path).stdout) == _lines(output)


def test_every_setting_is_on_the_page() -> None:
    table = PAGE.split("## Settings")[1].split("\n## ")[0]
    named = {
        name
        for row in re.findall(r"^\| (`.*?) \|", table, re.MULTILINE)
        for name in re.findall(r"`(\w+)`", row)
    }
    assert named == set(KEYS)
    assert set(KEYS) < {item.name for item in fields(Config)}


def test_every_metric_and_artifact_is_on_the_page(in_repo: Path) -> None:
    import pandas as pd
    from sklearn.linear_model import LinearRegression, LogisticRegression

    named = set(re.findall(r"`(\w+)`", PAGE))
    x = [[0], [1], [2], [3], [4], [5]]
    for y, kind in (
        ([0, 1, 0, 1, 1, 0], "classifier"),
        ([0, 1, 2, 0, 1, 2], "classifier"),
        ([0.1, 1, 2, 3, 4, 5], "regressor"),
    ):
        model = (LogisticRegression() if kind == "classifier" else LinearRegression()).fit(x, y)
        result = mlflow.evaluate(
            model,
            pd.DataFrame(x).to_numpy(),
            targets=y,
            model_type=kind,
            evaluator_config={"log_model_explainability": False},
        )
        assert set(result.metrics) <= named
        assert set(result.artifacts) <= named


# -- programs of guides, as they stand but for the name in the import


@pytest.fixture
def trained(in_repo: Path) -> dict[str, Any]:
    """What the guides have at hand: a logged model, and data."""
    from sklearn.datasets import load_breast_cancer
    from sklearn.ensemble import RandomForestClassifier

    data = load_breast_cancer(as_frame=True).frame
    features = data.drop(columns="target")
    model = RandomForestClassifier(5, random_state=0).fit(features, data["target"])
    with mlflow.start_run() as run:
        mlflow.sklearn.log_model(model, "model")
    return {"run_id": run.info.run_id, "data": data}


def test_evaluating_a_logged_model(trained: dict[str, Any]) -> None:
    run_id = trained["run_id"]
    test_data = trained["data"].rename(columns={"target": "target_column"})

    # Evaluate model
    result = mlflow.evaluate(
        model=f"runs:/{run_id}/model",
        data=test_data,
        targets="target_column",
        model_type="classifier",
        evaluators="default",
    )

    assert result.metrics["accuracy_score"] > 0.9
    assert {"roc_curve_plot", "confusion_matrix"} <= result.artifacts.keys()


def test_a_custom_metric(trained: dict[str, Any]) -> None:
    model = mlflow.pyfunc.load_model(f"runs:/{trained['run_id']}/model")
    data = trained["data"]

    # Custom evaluator
    from mlgit.metrics import make_metric

    def custom_metric(eval_df, builtin_metrics):
        return eval_df["prediction"].mean()

    custom = make_metric(
        eval_fn=custom_metric,
        greater_is_better=True,
        name="custom_metric",
    )

    result = mlflow.evaluate(
        model=model,
        data=data,
        targets="target",
        extra_metrics=[custom],
    )

    assert 0.5 < result.metrics["custom_metric"] < 0.7
    assert list(result.metrics) == ["custom_metric"]
