"""What a program that evaluates models sees, under MLflow or mlgit: run by test_evaluate_peer.py.

    python evaluate_program.py MODULE TRACKING_URI RESULT.json [CASE …]

Every case makes one call of ``evaluate`` and tells all that came of it: the result's metrics,
artifacts and tables, and what the run holds.
"""

from __future__ import annotations

import importlib
import json
import logging
import math
import os
import sys
import tempfile
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from sklearn.datasets import make_classification, make_regression
from sklearn.linear_model import LinearRegression, LogisticRegression, RidgeClassifier

MODULE = sys.argv[1]
mlflow = importlib.import_module(MODULE)
models = importlib.import_module(f"{MODULE}.models")
metrics = importlib.import_module(f"{MODULE}.metrics")
evaluate = models.evaluate

CASES: dict[str, Callable[[], Any]] = {}


def case(function: Callable[[], Any]) -> Callable[[], Any]:
    CASES[function.__name__] = function
    return function


def classified(classes: int, rows: int = 120) -> tuple[Any, Any]:
    return make_classification(
        rows, 6, n_informative=4, n_classes=classes, random_state=3, flip_y=0.2
    )


def frame(x: Any, y: Any) -> pd.DataFrame:
    data = pd.DataFrame(x, columns=[f"c{i}" for i in range(x.shape[1])])
    return data.assign(y=y)


X2, Y2 = classified(2)
X3, Y3 = classified(3)
X12, Y12 = make_classification(300, 10, n_informative=8, n_classes=12, random_state=5)
XR, YR = make_regression(80, 4, noise=12.0, random_state=7)
BINARY = LogisticRegression().fit(X2, Y2)
RIDGE = RidgeClassifier().fit(X2, Y2)
MULTI = LogisticRegression(max_iter=500).fit(X3, Y3)
NAMES = np.array(["ant", "bee", "cow"])
WORDS = LogisticRegression(max_iter=500).fit(X3, NAMES[Y3])
TWELVE = LogisticRegression(max_iter=500).fit(X12, Y12)
LINEAR = LinearRegression().fit(XR, YR)
FRAMED = LogisticRegression().fit(frame(X2, Y2).drop(columns="y"), Y2)
W2 = np.linspace(0.1, 2.0, len(Y2))
W3 = np.linspace(0.1, 2.0, len(Y3))
WR = np.linspace(0.5, 3.0, len(YR))
STATIC = pd.DataFrame({"a": range(6), "y": [0, 1, 1, 0, 1, 0], "p": [0, 1, 0, 0, 1, 1]})
NUMBERS = pd.DataFrame({"a": range(5), "y": [1.0, 2, 3, 4, 5], "p": [1.5, 2, 2.5, 4.5, 4]})
QUIET = {"log_model_explainability": False}


_LOADED: dict[int, tuple[Any, Any]] = {}


def loaded(model: Any) -> Any:
    """The model, saved and loaded as a pyfunc model; once, as MLflow takes seconds."""
    if id(model) not in _LOADED:
        folder = tempfile.mkdtemp()
        # With requirements that are given, MLflow doesn't load it to find them.
        mlflow.sklearn.save_model(model, f"{folder}/model", pip_requirements=["scikit-learn"])
        # The model is kept too: its id is its own while it lives.
        _LOADED[id(model)] = model, mlflow.pyfunc.load_model(f"{folder}/model")
    return _LOADED[id(model)][1]


def logged(model: Any) -> str:
    """The URI of the model, logged to the active run."""
    info = mlflow.sklearn.log_model(model, artifact_path="model", pip_requirements=["scikit-learn"])
    return str(info.model_uri)


# -- classifiers


@case
def binary_model() -> Any:
    return evaluate(
        loaded(BINARY), frame(X2, Y2), targets="y", model_type="classifier", evaluator_config=QUIET
    )


@case
def binary_uri() -> Any:
    with mlflow.start_run():
        uri = logged(BINARY)
    return evaluate(
        uri, frame(X2, Y2), targets="y", model_type="classifier", evaluator_config=QUIET
    )


@case
def binary_weights() -> Any:
    return evaluate(
        loaded(BINARY),
        frame(X2, Y2),
        targets="y",
        model_type="classifier",
        evaluator_config={**QUIET, "sample_weights": W2},
    )


@case
def binary_arrays() -> Any:
    return evaluate(loaded(BINARY), X2, targets=Y2, model_type="classifier", evaluator_config=QUIET)


@case
def binary_lists() -> Any:
    return evaluate(
        loaded(BINARY),
        X2.tolist(),
        targets=Y2.tolist(),
        feature_names=list("abcdef"),
        model_type="classifier",
        evaluator_config=QUIET,
    )


@case
def binary_feature_names() -> Any:
    data = frame(X2, Y2).assign(other="text")
    return evaluate(
        loaded(FRAMED),
        data,
        targets="y",
        feature_names=[f"c{i}" for i in range(6)],
        model_type="classifier",
        evaluator_config=QUIET,
    )


@case
def binary_without_probabilities() -> Any:
    return evaluate(
        loaded(RIDGE), frame(X2, Y2), targets="y", model_type="classifier", evaluator_config=QUIET
    )


@case
def binary_function() -> Any:
    return evaluate(
        lambda data: BINARY.predict(data.to_numpy()),
        frame(X2, Y2),
        targets="y",
        model_type="classifier",
        evaluator_config=QUIET,
    )


@case
def binary_pos_label() -> Any:
    return evaluate(
        loaded(BINARY),
        frame(X2, Y2),
        targets="y",
        model_type="classifier",
        evaluator_config={**QUIET, "pos_label": 0},
    )


@case
def binary_words() -> Any:
    names = np.array(["no", "yes"])
    model = LogisticRegression().fit(X2, names[Y2])
    return evaluate(
        loaded(model),
        frame(X2, names[Y2]),
        targets="y",
        model_type="classifier",
        evaluator_config={**QUIET, "pos_label": "yes"},
    )


@case
def binary_words_without_pos_label() -> Any:
    names = np.array(["no", "yes"])
    model = LogisticRegression().fit(X2, names[Y2])
    return evaluate(
        loaded(model),
        frame(X2, names[Y2]),
        targets="y",
        model_type="classifier",
        evaluator_config=QUIET,
    )


@case
def binary_booleans() -> Any:
    model = LogisticRegression().fit(X2, Y2 == 1)
    return evaluate(
        loaded(model),
        frame(X2, Y2 == 1),
        targets="y",
        model_type="classifier",
        evaluator_config=QUIET,
    )


@case
def binary_prefix() -> Any:
    return evaluate(
        loaded(BINARY),
        frame(X2, Y2),
        targets="y",
        model_type="classifier",
        evaluator_config={**QUIET, "metric_prefix": "val_"},
    )


@case
def binary_static() -> Any:
    return evaluate(
        data=STATIC, targets="y", predictions="p", model_type="classifier", evaluator_config=QUIET
    )


@case
def binary_dataset() -> Any:
    data = mlflow.data.from_pandas(STATIC, targets="y", predictions="p", name="static")
    return evaluate(data=data, model_type="classifier", evaluator_config=QUIET)


@case
def binary_numpy_dataset() -> Any:
    data = mlflow.data.from_numpy(X2, targets=Y2, name="arrays")
    return evaluate(loaded(BINARY), data, model_type="classifier", evaluator_config=QUIET)


@case
def binary_named_evaluator() -> Any:
    return evaluate(
        loaded(BINARY),
        frame(X2, Y2),
        targets="y",
        model_type="classifier",
        evaluators=["default"],
        evaluator_config={"default": QUIET},
    )


@case
def binary_in_a_run() -> Any:
    with mlflow.start_run():
        found = evaluate(
            loaded(BINARY),
            frame(X2, Y2),
            targets="y",
            model_type="classifier",
            evaluator_config=QUIET,
        )
        assert getattr(found, "run_id", None) in (None, mlflow.active_run().info.run_id)
    return found


@case
def one_class() -> Any:
    data = STATIC.assign(y=1, p=1)
    return evaluate(
        data=data, targets="y", predictions="p", model_type="classifier", evaluator_config=QUIET
    )


@case
def one_class_model() -> Any:
    return evaluate(
        loaded(BINARY),
        frame(X2[Y2 == 1], Y2[Y2 == 1]),
        targets="y",
        model_type="classifier",
        evaluator_config=QUIET,
    )


@case
def multi_model() -> Any:
    return evaluate(
        loaded(MULTI), frame(X3, Y3), targets="y", model_type="classifier", evaluator_config=QUIET
    )


@case
def multi_words() -> Any:
    return evaluate(
        loaded(WORDS),
        frame(X3, NAMES[Y3]),
        targets="y",
        model_type="classifier",
        evaluator_config=QUIET,
    )


@case
def multi_weights() -> Any:
    return evaluate(
        loaded(MULTI),
        frame(X3, Y3),
        targets="y",
        model_type="classifier",
        evaluator_config={**QUIET, "sample_weights": W3},
    )


@case
def multi_static_prefix() -> Any:
    return evaluate(
        data=pd.DataFrame({"y": [0, 1, 2, 1], "p": [0, 1, 1, 1]}),
        targets="y",
        predictions="p",
        model_type="classifier",
        evaluator_config={"metric_prefix": "val_"},
    )


@case
def multi_in_predictions_alone() -> Any:
    return evaluate(
        data=pd.DataFrame({"y": [0, 1, 0, 1], "p": [0, 2, 1, 1]}),
        targets="y",
        predictions="p",
        model_type="classifier",
    )


@case
def binary_other_numbers() -> Any:
    labels = np.where(Y2 == 1, 7, 3)
    return evaluate(
        loaded(LogisticRegression().fit(X2, labels)),
        frame(X2, labels),
        targets="y",
        model_type="classifier",
        evaluator_config=QUIET,
    )


@case
def multi_macro() -> Any:
    return evaluate(
        loaded(MULTI),
        frame(X3, Y3),
        targets="y",
        model_type="classifier",
        evaluator_config={**QUIET, "average": "macro"},
    )


@case
def multi_function() -> Any:
    return evaluate(
        lambda data: MULTI.predict(data.to_numpy()),
        frame(X3, Y3),
        targets="y",
        model_type="classifier",
        evaluator_config=QUIET,
    )


@case
def multi_missing_class() -> Any:
    """A class that the model knows and the data hasn't."""
    keep = Y3 != 2
    return evaluate(
        loaded(MULTI),
        frame(X3[keep], Y3[keep]),
        targets="y",
        model_type="classifier",
        evaluator_config=QUIET,
    )


@case
def multi_twelve() -> Any:
    return evaluate(
        loaded(TWELVE),
        frame(X12, Y12),
        targets="y",
        model_type="classifier",
        evaluator_config=QUIET,
    )


@case
def multi_twelve_with_curves() -> Any:
    return evaluate(
        loaded(TWELVE),
        frame(X12, Y12),
        targets="y",
        model_type="classifier",
        evaluator_config={**QUIET, "max_classes_for_multiclass_roc_pr": 20},
    )


# -- regressors


@case
def regressor_model() -> Any:
    return evaluate(
        loaded(LINEAR), frame(XR, YR), targets="y", model_type="regressor", evaluator_config=QUIET
    )


@case
def regressor_weights() -> Any:
    return evaluate(
        loaded(LINEAR),
        frame(XR, YR),
        targets="y",
        model_type="regressor",
        evaluator_config={**QUIET, "sample_weights": WR},
    )


@case
def regressor_function() -> Any:
    return evaluate(
        lambda data: LINEAR.predict(data.to_numpy()),
        frame(XR, YR),
        targets="y",
        model_type="regressor",
        evaluator_config=QUIET,
    )


@case
def regressor_static() -> Any:
    return evaluate(data=NUMBERS, targets="y", predictions="p", model_type="regressor")


@case
def regressor_prefix() -> Any:
    return evaluate(
        data=NUMBERS,
        targets="y",
        predictions="p",
        model_type="regressor",
        evaluator_config={"metric_prefix": "test_"},
    )


@case
def regressor_zero_target() -> Any:
    return evaluate(
        data=NUMBERS.assign(y=0.0), targets="y", predictions="p", model_type="regressor"
    )


# -- metrics of one's own


def simple(predictions: Any, targets: Any) -> Any:
    return float(np.mean(predictions - targets))


def old_style(eval_df: Any, builtin_metrics: Any) -> Any:
    return eval_df["prediction"].mean() + builtin_metrics.get("mean_on_target", 0)


def rows(predictions: Any, targets: Any, metrics: Any) -> Any:
    scores = (predictions - targets).abs().tolist()
    return sys.modules[f"{MODULE}.metrics"].MetricValue(
        scores=scores,
        justifications=[f"off by {s}" for s in scores],
        aggregate_results={"mean": float(np.mean(scores)), "p90": float(np.quantile(scores, 0.9))},
    )


def with_input(predictions: Any, inputs: Any, targets: Any) -> Any:
    return float(len(inputs))


def with_column(predictions: Any, targets: Any, a: Any) -> Any:
    return float((a * predictions).sum())


def with_config(predictions: Any, targets: Any, k: Any) -> Any:
    return float(k + len(predictions))


def on_metrics(predictions: Any, targets: Any, metrics: Any) -> Any:
    return float(metrics["mean_absolute_error"].aggregate_results["mean_absolute_error"]) * 2


def made(function: Any, **more: Any) -> Any:
    return models.make_metric(eval_fn=function, greater_is_better=False, **more)


def _extra(*found: Any, **more: Any) -> Any:
    return evaluate(data=NUMBERS, targets="y", predictions="p", extra_metrics=list(found), **more)


@case
def extra_simple() -> Any:
    return _extra(made(simple), model_type="regressor")


@case
def extra_alone() -> Any:
    return _extra(made(simple), made(old_style, name="old"))


@case
def extra_old_style() -> Any:
    return _extra(made(old_style), model_type="regressor")


@case
def extra_rows() -> Any:
    return _extra(made(rows), model_type="regressor")


@case
def extra_rows_versioned() -> Any:
    return _extra(made(rows, name="off", version="v2", long_name="far off"))


@case
def extra_column() -> Any:
    return _extra(made(with_column), model_type="regressor")


@case
def extra_column_mapped() -> Any:
    return _extra(
        made(with_config),
        model_type="regressor",
        evaluator_config={"col_mapping": {"k": "a"}},
    )


@case
def extra_config() -> Any:
    return _extra(made(with_config), model_type="regressor", evaluator_config={"k": 3})


@case
def extra_missing_argument() -> Any:
    return _extra(made(with_config), model_type="regressor")


@case
def extra_inputs() -> Any:
    return _extra(made(with_input), model_type="regressor")


@case
def extra_on_metrics() -> Any:
    return _extra(made(on_metrics), model_type="regressor")


@case
def extra_builtin() -> Any:
    found = [
        metrics.mae(),
        metrics.mse(),
        metrics.rmse(),
        metrics.r2_score(),
        metrics.max_error(),
        metrics.mape(),
    ]
    return _extra(*found)


@case
def extra_builtin_classes() -> Any:
    found = [metrics.precision_score(), metrics.recall_score(), metrics.f1_score()]
    return evaluate(data=STATIC, targets="y", predictions="p", extra_metrics=found)


@case
def extra_number_versioned() -> Any:
    return _extra(made(simple, version="v3"), model_type="regressor")


@case
def extra_on_a_metric() -> Any:
    """The first waits for the second."""

    def doubled(predictions: Any, simple: Any) -> Any:
        return 2 * simple.aggregate_results["simple"]

    return _extra(made(doubled), made(simple))


@case
def extra_in_a_circle() -> Any:
    return _extra(
        made(lambda predictions, second: 1, name="first"),
        made(lambda predictions, first: 1, name="second"),
    )


@case
def extra_scores_alone() -> Any:
    def far(predictions: Any, targets: Any) -> Any:
        return metrics.MetricValue(scores=(predictions - targets).abs().tolist())

    return _extra(made(far))


@case
def extra_scores_of_a_function() -> Any:
    def far(predictions: Any, targets: Any) -> Any:
        return metrics.MetricValue(scores=(predictions - targets).abs().tolist())

    return evaluate(
        lambda data: np.full(len(data), 2.5), NUMBERS, targets="y", extra_metrics=[made(far)]
    )


@case
def extra_scores_of_arrays() -> Any:
    def far(predictions: Any, targets: Any) -> Any:
        return metrics.MetricValue(scores=(predictions - targets).abs().tolist())

    return evaluate(
        lambda data: np.full(len(data), 2.5),
        np.arange(26).reshape(2, 13),
        targets=np.array([1, 2]),
        extra_metrics=[made(far)],
    )


@case
def extra_of_a_frame() -> Any:
    """A model with two columns of output: one is the prediction, the other an argument."""

    def total(predictions: Any, targets: Any, sure: Any) -> Any:
        return float((predictions * sure).sum())

    return evaluate(
        lambda data: pd.DataFrame({"answer": data["a"] * 1.0, "sure": data["p"]}),
        NUMBERS,
        targets="y",
        predictions="answer",
        model_type="regressor",
        evaluator_config=QUIET,
        extra_metrics=[made(total)],
    )


@case
def output_of_two_columns() -> Any:
    return evaluate(lambda data: data[["a", "p"]], NUMBERS, targets="y", model_type="regressor")


@case
def extra_prefix_old_style() -> Any:
    return _extra(
        made(old_style), model_type="regressor", evaluator_config={"metric_prefix": "val_"}
    )


@case
def extra_prefix() -> Any:
    return _extra(
        made(simple), made(rows), model_type="regressor", evaluator_config={"metric_prefix": "val_"}
    )


@case
def extra_raises() -> Any:
    def broken(predictions: Any, targets: Any) -> Any:
        raise ValueError("no such luck")

    return _extra(made(broken), model_type="regressor")


@case
def extra_wrong_result() -> Any:
    return _extra(made(lambda p, t: "text", name="wordy"), model_type="regressor")


@case
def extra_none() -> Any:
    return _extra(made(lambda predictions, targets: None, name="nothing"), model_type="regressor")


@case
def extra_not_a_metric() -> Any:
    return _extra(simple, model_type="regressor")


@case
def extra_function_model() -> Any:
    return evaluate(
        lambda data: np.zeros(len(data)), NUMBERS, targets="y", extra_metrics=[made(old_style)]
    )


# -- artifacts of one's own


def _custom(function: Any, **more: Any) -> Any:
    return evaluate(
        data=NUMBERS,
        targets="y",
        predictions="p",
        model_type="regressor",
        custom_artifacts=[function],
        **more,
    )


@case
def custom_objects() -> Any:
    def objects(eval_df: Any, builtin_metrics: Any, artifacts_dir: Any) -> Any:
        from matplotlib.figure import Figure

        return {
            "table": eval_df,
            "array": np.arange(3),
            "figure": Figure(),
            "words": {"a": 1},
            "listed": [1, 2],
            "json_text": '{"b": 2}',
            "other": {1, 2},
            "text": "no json",
        }

    return _custom(objects)


@case
def custom_objects_without_text() -> Any:
    def objects(eval_df: Any, builtin_metrics: Any, artifacts_dir: Any) -> Any:
        from matplotlib.figure import Figure

        return {
            "table": eval_df,
            "array": np.arange(3),
            "figure": Figure(),
            "words": {"a": 1},
            "listed": [1, 2],
            "json_text": '{"b": 2}',
            "other": complex(1, 2),
            "count": len(builtin_metrics),
        }

    return _custom(objects)


@case
def custom_files() -> Any:
    def files(eval_df: Any, builtin_metrics: Any, artifacts_dir: Any) -> Any:
        made = {}
        for name, text in (
            ("a.txt", "hello"),
            ("b.csv", "x\n1\n"),
            ("c.json", '{"a": 1}'),
            ("d.html", "<p>"),
        ):
            with open(os.path.join(artifacts_dir, name), "w") as out:
                out.write(text)
            made[name[0]] = os.path.join(artifacts_dir, name)
        return made

    return _custom(files)


@case
def custom_known_files() -> Any:
    def files(eval_df: Any, builtin_metrics: Any, artifacts_dir: Any) -> Any:
        made = {}
        for name, text in (("a.txt", "hello"), ("b.csv", "x\n1\n"), ("c.json", '{"a": 1}')):
            with open(os.path.join(artifacts_dir, name), "w") as out:
                out.write(text)
            made[f"of_{name[0]}"] = os.path.join(artifacts_dir, name)
        return made

    return _custom(files)


@case
def custom_prefix() -> Any:
    return _custom(
        lambda eval_df, builtin_metrics, artifacts_dir: {"t": eval_df},
        evaluator_config={"metric_prefix": "val_"},
    )


@case
def custom_not_a_dict() -> Any:
    return _custom(lambda eval_df, builtin_metrics, artifacts_dir: [1])


@case
def custom_none() -> Any:
    return _custom(lambda eval_df, builtin_metrics, artifacts_dir: None)


@case
def custom_raises() -> Any:
    def broken(eval_df: Any, builtin_metrics: Any, artifacts_dir: Any) -> Any:
        raise ValueError("no such luck")

    return _custom(broken)


# -- what can't be right


@case
def wrong_model_type() -> Any:
    return evaluate(data=STATIC, targets="y", predictions="p", model_type="clasifier")


@case
def missing_target() -> Any:
    return evaluate(data=STATIC, targets="z", predictions="p", model_type="classifier")


@case
def no_target() -> Any:
    return evaluate(data=STATIC, predictions="p", model_type="classifier")


@case
def missing_predictions() -> Any:
    return evaluate(data=STATIC, targets="y", predictions="z", model_type="classifier")


@case
def no_model() -> Any:
    return evaluate(data=STATIC, targets="y", model_type="classifier")


@case
def no_model_type() -> Any:
    return evaluate(data=STATIC, targets="y", predictions="p")


@case
def no_data() -> Any:
    return evaluate(targets="y", predictions="p", model_type="classifier")


@case
def wrong_pos_label() -> Any:
    return evaluate(
        data=STATIC,
        targets="y",
        predictions="p",
        model_type="classifier",
        evaluator_config={"pos_label": 5},
    )


@case
def labels_of_two_types() -> Any:
    return evaluate(
        data=STATIC.assign(p=list("aabbab")), targets="y", predictions="p", model_type="classifier"
    )


@case
def wrong_lengths() -> Any:
    return evaluate(loaded(BINARY), X2, targets=Y2[:-3], model_type="classifier")


@case
def predictions_of_another_length() -> Any:
    return evaluate(lambda data: [0, 1], STATIC, targets="y", model_type="classifier")


@case
def nan_predictions() -> Any:
    data = NUMBERS.assign(p=[1.0, np.nan, 3, 4, 5])
    return evaluate(data=data, targets="y", predictions="p", model_type="regressor")


@case
def nan_targets() -> Any:
    data = NUMBERS.assign(y=[1.0, np.nan, 3, 4, 5])
    return evaluate(data=data, targets="y", predictions="p", model_type="regressor")


@case
def text_for_a_regressor() -> Any:
    return evaluate(
        data=NUMBERS.assign(p="text"), targets="y", predictions="p", model_type="regressor"
    )


@case
def weights_of_another_length() -> Any:
    return evaluate(
        data=NUMBERS,
        targets="y",
        predictions="p",
        model_type="regressor",
        evaluator_config={"sample_weights": [1, 2]},
    )


@case
def unknown_evaluator() -> Any:
    return evaluate(
        data=NUMBERS, targets="y", predictions="p", model_type="regressor", evaluators="mine"
    )


@case
def unknown_config() -> Any:
    return evaluate(
        data=NUMBERS,
        targets="y",
        predictions="p",
        model_type="regressor",
        evaluator_config={"metrik_prefix": "val_"},
    )


@case
def unknown_feature() -> Any:
    return evaluate(
        lambda data: [0] * len(data),
        STATIC,
        targets="y",
        feature_names=["a", "zz"],
        model_type="classifier",
    )


@case
def not_a_model() -> Any:
    return evaluate(42, STATIC, targets="y", model_type="classifier")


@case
def model_that_raises() -> Any:
    def broken(data: Any) -> Any:
        raise ValueError("no such luck")

    return evaluate(broken, STATIC, targets="y", model_type="classifier")


@case
def empty() -> Any:
    return evaluate(data=NUMBERS[:0], targets="y", predictions="p", model_type="regressor")


# -- telling what came of it


def plain(value: Any) -> Any:
    """JSON that two programs can compare: floats to ten digits, NaN by name."""
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    if isinstance(value, (float, np.floating)):
        number = float(value)
        return float(f"{number:.10g}") if math.isfinite(number) else str(number)
    if isinstance(value, (int, np.integer)):
        return int(value)
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [plain(v) for v in value]
    if isinstance(value, pd.DataFrame):
        return {
            "columns": [str(c) for c in value.columns],
            "rows": plain(value.to_numpy().tolist()),
        }
    return value if isinstance(value, (str, type(None))) else f"<{type(value).__name__}>"


def paths(run_id: str, folder: str | None = None) -> list[str]:
    found = []
    for info in mlflow.MlflowClient().list_artifacts(run_id, folder):
        found += paths(run_id, info.path) if info.is_dir else [info.path]
    return sorted(found)


def told(result: Any) -> dict[str, Any]:
    # MLflow 2.22's result doesn't name its run.
    run = mlflow.get_run(getattr(result, "run_id", None) or mlflow.last_active_run().info.run_id)
    artifacts = {}
    for name, artifact in result.artifacts.items():
        kind = type(artifact).__name__
        artifacts[name] = [kind, artifact.uri.split("/artifacts/")[-1], plain(artifact.content)]
    inputs = [
        [i.dataset.name, i.dataset.digest, i.dataset.source_type, {t.key: t.value for t in i.tags}]
        for i in run.inputs.dataset_inputs
    ]
    return {
        "metrics": plain(result.metrics),
        "artifacts": artifacts,
        "tables": {name: plain(table) for name, table in result.tables.items()},
        "run metrics": plain(run.data.metrics),
        "run artifacts": [p for p in paths(run.info.run_id) if not p.startswith("model/")],
        "run status": run.info.status,
        "run tags": {
            k: v
            for k, v in run.data.tags.items()
            if k.startswith("mlflow.") and "logged" in k.lower()
        },
        "inputs": inputs,
    }


def main() -> None:
    mlflow.set_tracking_uri(sys.argv[2])
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    found: dict[str, Any] = {}
    for name, function in CASES.items():
        if sys.argv[4:] and name not in sys.argv[4:]:
            continue
        try:
            result = function()
            found[name] = told(result)
        except Exception as error:
            code = getattr(error, "error_code", "")
            found[name] = {"error": type(error).__name__, "code": code, "text": str(error)}
        while mlflow.active_run() is not None:
            mlflow.end_run()
            found[name]["a run was left active"] = True
    with open(sys.argv[3], "w", encoding="utf-8") as out:
        json.dump(found, out, indent=1)


if __name__ == "__main__":
    main()
