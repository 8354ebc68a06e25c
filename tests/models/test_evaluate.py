"""``evaluate``: what it computes, logs and returns, and what it says of bad input."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("sklearn")
pytest.importorskip("matplotlib")

import numpy as np
import pandas as pd
from sklearn import metrics as sk
from sklearn.linear_model import LinearRegression, LogisticRegression

import mlgit
from mlgit.exceptions import (
    CorruptData,
    InvalidParameterValue,
    MissingDependency,
    MlgitException,
    PermissionDenied,
    ResourceDoesNotExist,
    Unsupported,
)
from mlgit.metrics import MetricValue, make_metric
from mlgit.models import EvaluationResult, MetricThreshold, ModelValidationFailedException

pytestmark = pytest.mark.usefixtures("in_repo")

RANDOM = np.random.default_rng(5)
X = RANDOM.normal(size=(60, 3))
LABELS = (X[:, 0] + X[:, 1] + RANDOM.normal(0, 0.7, 60) > 0).astype(int)
VALUES = X @ [1.0, 2.0, 3.0] + RANDOM.normal(0, 0.2, 60)
WEIGHTS = np.linspace(0.5, 2, 60)
CLASSIFIER = LogisticRegression().fit(X, LABELS)
REGRESSOR = LinearRegression().fit(X, VALUES)
QUIET = {"log_model_explainability": False}
STATIC = pd.DataFrame({"a": [1, 2, 3, 4], "y": [0, 1, 1, 0], "p": [0, 1, 0, 0]})
NUMBERS = pd.DataFrame({"a": [1, 2, 3, 4], "y": [1.0, 2, 3, 4], "p": [1.5, 2, 2, 4.5]})


def table(y: Any) -> pd.DataFrame:
    return pd.DataFrame(X, columns=["u", "v", "w"]).assign(y=y)


def of_numbers(**more: Any) -> EvaluationResult:
    arguments = {"data": NUMBERS, "targets": "y", "predictions": "p", "model_type": "regressor"}
    return mlgit.evaluate(**{**arguments, **more})


def of_labels(**more: Any) -> EvaluationResult:
    arguments = {"data": STATIC, "targets": "y", "predictions": "p", "model_type": "classifier"}
    return mlgit.evaluate(**{**arguments, **more})


def paths(run_id: str) -> list[str]:
    return [info.path for info in mlgit.MlgitClient().list_artifacts(run_id)]


# -- what is computed


@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_two_classes(weights: Any) -> None:
    config = {**QUIET, "sample_weights": weights}
    found = mlgit.evaluate(
        CLASSIFIER, X, targets=LABELS, model_type="classifier", evaluator_config=config
    ).metrics
    p, scores = CLASSIFIER.predict(X), CLASSIFIER.predict_proba(X)
    more = {"sample_weight": weights}
    assert found["accuracy_score"] == found["score"] == sk.accuracy_score(LABELS, p, **more)
    assert found["precision_score"] == sk.precision_score(LABELS, p, **more)
    assert found["roc_auc"] == pytest.approx(sk.roc_auc_score(LABELS, scores[:, 1], **more))
    assert found["log_loss"] == pytest.approx(sk.log_loss(LABELS, scores, **more))
    counts = [found[f"{a}_{b}"] for a, b in (("true", "negatives"), ("false", "positives"))]
    assert counts == sk.confusion_matrix(LABELS, p)[0].tolist()
    assert found["example_count"] == 60


@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_numbers(weights: Any) -> None:
    config = {**QUIET, "sample_weights": weights}
    found = mlgit.evaluate(
        REGRESSOR, table(VALUES), targets="y", model_type="regressor", evaluator_config=config
    ).metrics
    p, more = REGRESSOR.predict(X), {"sample_weight": weights}
    assert found["mean_squared_error"] == pytest.approx(sk.mean_squared_error(VALUES, p, **more))
    assert found["r2_score"] == pytest.approx(sk.r2_score(VALUES, p, **more))
    assert found["score"] == pytest.approx(found["r2_score"])
    assert found["max_error"] == pytest.approx(sk.max_error(VALUES, p))


def test_the_positive_class_can_be_the_lesser() -> None:
    found = of_labels(evaluator_config={"pos_label": 0}).metrics
    assert found["recall_score"] == 1.0
    assert found["precision_score"] == pytest.approx(2 / 3)
    assert (found["true_positives"], found["false_positives"]) == (2, 1)


def test_a_model_by_uri_and_loaded(in_repo: Path) -> None:
    with mlgit.start_run():
        uri = mlgit.sklearn.log_model(CLASSIFIER, name="model").model_uri
    arguments: dict[str, Any] = {"targets": "y", "model_type": "classifier"}
    arguments["evaluator_config"] = QUIET
    by_uri = mlgit.evaluate(uri, table(LABELS), **arguments)
    loaded = mlgit.evaluate(mlgit.pyfunc.load_model(uri), table(LABELS), **arguments)
    assert by_uri.metrics == loaded.metrics
    mlgit.sklearn.save_model(CLASSIFIER, "saved")
    by_path = mlgit.evaluate(Path("saved"), table(LABELS), **arguments)
    assert by_path.metrics == loaded.metrics
    assert "roc_auc" in by_uri.metrics


def test_a_model_of_ones_own(in_repo: Path) -> None:
    class Half(mlgit.pyfunc.PythonModel):
        def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:
            return [0.5 * (params or {}).get("times", 1)] * len(model_input)

    data = NUMBERS * 1.0
    with mlgit.start_run():
        signature = mlgit.models.infer_signature(
            NUMBERS[["a", "p"]] * 1.0, [0.5], params={"times": 1}
        )
        uri = mlgit.pyfunc.log_model(
            name="model", python_model=Half(), signature=signature
        ).model_uri
    arguments: dict[str, Any] = {"targets": "y", "model_type": "regressor"}
    arguments["evaluator_config"] = QUIET
    once = mlgit.evaluate(uri, data, **arguments)
    four = mlgit.evaluate(uri, data, inference_params={"times": 4}, **arguments)
    assert "score" not in once.metrics
    assert once.metrics["mean_absolute_error"] == 2.0
    assert four.metrics["mean_absolute_error"] == 1.0


def test_datasets_bring_their_targets() -> None:
    dataset = mlgit.data.from_pandas(STATIC, targets="y", predictions="p", name="checks")
    found = mlgit.evaluate(data=dataset, model_type="classifier")
    assert found.metrics["accuracy_score"] == 0.75
    inputs = mlgit.get_run(found.run_id).inputs.dataset_inputs
    assert [(i.dataset.name, i.dataset.digest) for i in inputs] == [("checks", dataset.digest)]


@pytest.mark.parametrize("targets", [[1.0, 2, 3, 4], np.array([1.0, 2, 3, 4]), NUMBERS["y"]])
def test_values_beside_a_frame(targets: Any) -> None:
    found = mlgit.evaluate(
        data=NUMBERS[["a"]],
        targets=targets,
        predictions=NUMBERS["p"].tolist(),
        model_type="regressor",
    )
    assert found.metrics["mean_absolute_error"] == 0.5


def test_rows_meet_by_place_not_by_index() -> None:
    shuffled = NUMBERS.set_index(pd.Index([3, 1, 0, 2]))
    result = mlgit.evaluate(
        lambda data: data["p"],
        shuffled,
        targets="y",
        model_type="regressor",
        evaluator_config=QUIET,
    )
    assert result.metrics["mean_absolute_error"] == 0.5


def test_the_data_is_left_as_it_is() -> None:
    data = NUMBERS.copy()

    def spoils(features: Any) -> Any:
        features["a"] = 0
        return features["p"]

    def spoils_too(eval_df: Any, builtin_metrics: Any) -> float:
        eval_df["prediction"] = 0
        builtin_metrics.clear()
        return 1.0

    result = mlgit.evaluate(
        spoils,
        data,
        targets="y",
        model_type="regressor",
        evaluator_config=QUIET,
        extra_metrics=[make_metric(eval_fn=spoils_too, greater_is_better=True)],
    )
    pd.testing.assert_frame_equal(data, NUMBERS)
    assert result.metrics["mean_absolute_error"] == 0.5


@pytest.mark.parametrize("kind", ["Int64", "category", "string", "boolean", "float"])
def test_types_of_pandas_are_understood(kind: str) -> None:
    data = STATIC.astype({"y": kind}) if kind != "string" else STATIC.astype({"y": str, "p": str})
    assert of_labels(data=data).metrics["accuracy_score"] == 0.75


def test_columns_of_one_name_reach_the_model() -> None:
    data = pd.DataFrame([[1.0, 2.0, 3.0]] * 3, columns=["x", "x", "y"])
    seen = []

    def model(features: Any) -> Any:
        seen.append(list(features.columns))
        return features.sum(axis=1)

    arguments: dict[str, Any] = {"targets": "y", "model_type": "regressor"}
    result = mlgit.evaluate(model, data, evaluator_config=QUIET, **arguments)
    assert seen == [["x", "x"]]
    assert result.metrics["max_error"] == 0


def test_any_object_that_predicts() -> None:
    class Model:
        score = 3  # nothing of scikit-learn's

        def predict(self, data: Any) -> Any:
            return data["p"].tolist()

    result = mlgit.evaluate(
        Model(), NUMBERS, targets="y", model_type="regressor", evaluator_config=QUIET
    )
    assert "score" not in result.metrics
    assert result.metrics["mean_absolute_error"] == 0.5


def test_arrays_of_more_dimensions() -> None:
    images = np.arange(4 * 2 * 2).reshape(4, 2, 2)
    result = mlgit.evaluate(
        lambda x: x.mean(axis=(1, 2)) > 6,
        images,
        targets=[False, False, True, False],
        model_type="classifier",
        evaluator_config=QUIET,
    )
    assert result.metrics["accuracy_score"] == 0.75


# What MLflow 3.17 takes, and then what 2.22 took besides.
ARGUMENTS = [
    "model",
    "data",
    "model_type",
    "targets",
    "predictions",
    "dataset_path",
    "feature_names",
    "evaluators",
    "evaluator_config",
    "extra_metrics",
    "custom_artifacts",
    "env_manager",
    "model_config",
    "inference_params",
    "model_id",
    "custom_metrics",
    "validation_thresholds",
    "baseline_model",
    "baseline_config",
]


def test_the_arguments_are_mlflows() -> None:
    import inspect

    parameters = inspect.signature(mlgit.evaluate).parameters
    assert list(parameters) == ARGUMENTS
    assert mlgit.models.evaluate is mlgit.evaluate
    by_place = [n for n, p in parameters.items() if p.kind is p.POSITIONAL_OR_KEYWORD]
    assert by_place == ["model", "data"]


def test_every_public_name_is_documented() -> None:
    import inspect

    for module in (mlgit.metrics, mlgit.models.evaluation):
        assert list(module.__all__) == sorted(module.__all__)
        for name in module.__all__:
            assert inspect.getdoc(getattr(module, name)), name
            assert name in dir(module)


# -- what is logged


def test_all_goes_to_the_active_run() -> None:
    with mlgit.start_run() as run:
        result = of_labels()
        assert mlgit.active_run() is not None
    assert result.run_id == run.info.run_id
    stored = mlgit.get_run(run.info.run_id)
    assert stored.data.metrics == result.metrics
    assert paths(run.info.run_id) == ["confusion_matrix.png"]
    assert len(stored.inputs.dataset_inputs) == 1


def test_a_run_is_begun_and_ended() -> None:
    result = of_numbers()
    assert mlgit.active_run() is None
    run = mlgit.get_run(result.run_id)
    assert run.info.status == "FINISHED"
    assert run.data.metrics == result.metrics


def test_prefixes_keep_evaluations_of_one_run_apart() -> None:
    with mlgit.start_run() as run:
        of_numbers(evaluator_config={"metric_prefix": "val_"})
        of_numbers(evaluator_config={"metric_prefix": "test_"})
    stored = mlgit.get_run(run.info.run_id)
    assert {"val_r2_score", "test_r2_score"} <= stored.data.metrics.keys()
    assert paths(run.info.run_id) == ["test_residuals_plot.png", "val_residuals_plot.png"]
    contexts = [t.value for i in stored.inputs.dataset_inputs for t in i.tags]
    assert sorted(contexts) == ["test_", "val_"]


def test_a_prefix_can_be_a_folder() -> None:
    mean = make_metric(
        eval_fn=lambda predictions, targets: MetricValue(scores=predictions.tolist()),
        greater_is_better=True,
        name="mine",
    )
    config = {"metric_prefix": "val/"}
    result = of_numbers(evaluator_config=config, extra_metrics=[mean])
    assert (
        result.metrics["val/r2_score"] == mlgit.get_run(result.run_id).data.metrics["val/r2_score"]
    )
    inside = [info.path for info in mlgit.MlgitClient().list_artifacts(result.run_id, "val")]
    assert inside == ["val/eval_results_table.json", "val/residuals_plot.png"]
    assert result.artifacts["residuals_plot"].uri.endswith("/artifacts/val/residuals_plot.png")


def test_plots_are_images_and_leave_pyplot_alone(python: Any, in_repo: Path) -> None:
    result = of_labels()
    plot = result.artifacts["confusion_matrix"]
    assert plot.content.format == "PNG"
    assert plot.content.size[0] > 200
    local = mlgit.artifacts.download_artifacts(plot.uri)
    assert Path(local).read_bytes()[:4] == b"\x89PNG"
    code = (
        "import sys, mlgit, pandas as pd\n"
        "d = pd.DataFrame({'y': [0, 1], 'p': [0, 1]})\n"
        "mlgit.evaluate(data=d, targets='y', predictions='p', model_type='classifier')\n"
        "print('matplotlib.pyplot' in sys.modules)"
    )
    assert python(code, cwd=in_repo).stdout.strip() == "False"


def test_importing_loads_nothing_heavy(python: Any) -> None:
    heavy = ["numpy", "pandas", "sklearn", "matplotlib", "shap", "mlgit.tracking"]
    code = (
        "import sys, mlgit, mlgit.metrics, mlgit.models.evaluation\n"
        "mlgit.metrics.make_metric, mlgit.metrics.mae()\n"
        "mlgit.models.MetricThreshold(threshold=1, greater_is_better=True)\n"
        f"print([m for m in {heavy} if m in sys.modules])"
    )
    assert python(code).stdout.strip() == "[]"


# -- metrics and artifacts of one's own


def test_scores_of_rows_are_a_table() -> None:
    def far(predictions: Any, targets: Any) -> MetricValue:
        off = (predictions - targets).abs()
        return MetricValue(scores=off.tolist(), justifications=[f"by {o}" for o in off])

    result = of_numbers(extra_metrics=[make_metric(eval_fn=far, greater_is_better=False)])
    found = result.tables["eval_results_table"]
    assert list(found.columns) == ["a", "y", "p", "far/score", "far/justification"]
    assert found["far/score"].tolist() == [0.5, 0, 1, 0.5]
    assert result.metrics["far/mean"] == 0.5
    logged = mlgit.MlgitClient().load_table("0", "eval_results_table.json", [result.run_id])
    assert logged["far/score"].tolist() == [0.5, 0, 1, 0.5]


def test_latency_is_measured_row_by_row() -> None:
    seen = []

    def model(data: Any) -> Any:
        seen.append(len(data))
        return data["a"]

    metrics = [mlgit.metrics.latency()]
    result = mlgit.evaluate(model, NUMBERS, targets="y", extra_metrics=metrics)
    assert seen == [1, 1, 1, 1]
    times = result.tables["eval_results_table"]["latency"]
    assert (times > 0).all()
    assert result.metrics["latency/mean"] == pytest.approx(times.mean())


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (None, "gave None"),
        ("text", "neither a number"),
        ([1, 2], "neither a number"),
        (MetricValue(), "nothing"),
        (MetricValue(aggregate_results={"q": "x"}), "'q' is a str"),  # type: ignore[dict-item]
        (MetricValue(scores=[1.0]), "1 scores for 4 rows"),
    ],
)
def test_what_is_no_value_is_left_out_with_a_warning(
    value: Any, problem: str, caplog: pytest.LogCaptureFixture
) -> None:
    metric = make_metric(
        eval_fn=lambda predictions, targets: value, greater_is_better=True, name="odd"
    )
    with caplog.at_level(logging.WARNING, "mlgit"):
        result = of_numbers(extra_metrics=[metric])
    assert not [name for name in result.metrics if "odd" in name]
    assert "'odd' is left out" in caplog.text
    assert problem in caplog.text


def test_metrics_can_be_called() -> None:
    y, p = pd.Series([1.0, 2]), pd.Series([1.5, 2])
    found = {
        name: getattr(mlgit.metrics, name)()(predictions=p, targets=y).aggregate_results
        for name in ("mae", "mse", "rmse", "max_error", "mape", "r2_score")
    }
    assert found["mae"] == {"mean_absolute_error": 0.25}
    assert found["mape"] == {"mean_absolute_percentage_error": 0.25}
    assert found["max_error"] == {"max_error": 0.5}
    metric = mlgit.metrics.f1_score()
    assert metric.greater_is_better
    assert metric(predictions=["a", "b", "c"], targets=["a", "b", "c"]).aggregate_results == {
        "f1_score": 1.0
    }


def test_metrics_of_text_say_that_they_are_not_there() -> None:
    with pytest.raises(AttributeError, match="aren't in this version"):
        mlgit.metrics.toxicity  # noqa: B018
    with pytest.raises(AttributeError):
        mlgit.metrics.nothing  # noqa: B018


def test_names_of_metrics() -> None:
    def mine(predictions: Any) -> float:
        return 1.0

    assert str(make_metric(eval_fn=mine, greater_is_better=True, version="v1")) == (
        "EvaluationMetric(name=mine, greater_is_better=True, long_name=mine, version=v1)"
    )
    with pytest.raises(InvalidParameterValue, match="name"):
        make_metric(eval_fn=lambda: 1, greater_is_better=True)
    with pytest.raises(InvalidParameterValue, match="must be a function"):
        make_metric(eval_fn=3, greater_is_better=True, name="three")  # type: ignore[arg-type]


# -- the result as a folder


def everything(eval_df: Any, builtin_metrics: Any, artifacts_dir: str) -> dict[str, Any]:
    note = Path(artifacts_dir) / "note.txt"
    note.write_text("hello")
    return {
        "frame": eval_df,
        "array": np.arange(3),
        "words": {"a": [1, 2]},
        "note": str(note),
        "odd": complex(1, 2),
    }


def test_results_are_saved_and_loaded(tmp_path: Path) -> None:
    result = of_labels(custom_artifacts=[everything])
    result.save(str(tmp_path / "kept"))
    again = EvaluationResult.load(str(tmp_path / "kept"))
    assert again.metrics == result.metrics
    assert again.artifacts.keys() == result.artifacts.keys()
    assert again.run_id is None
    content = {name: artifact.content for name, artifact in again.artifacts.items()}
    pd.testing.assert_frame_equal(content["frame"], result.artifacts["frame"].content)
    assert content["array"].tolist() == [0, 1, 2]
    assert content["words"] == {"a": [1, 2]}
    assert content["note"] == "hello"
    assert content["odd"] == complex(1, 2)
    assert content["confusion_matrix"].size == result.artifacts["confusion_matrix"].content.size
    result.artifacts["note"].save(str(tmp_path / "alone.txt"))
    assert (tmp_path / "alone.txt").read_text() == "hello"


def test_pickles_are_refused_where_the_settings_say_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = of_labels(custom_artifacts=[everything])
    result.save(str(tmp_path))
    monkeypatch.setenv("MLGIT_ALLOW_PICKLE", "false")
    again = EvaluationResult.load(str(tmp_path))
    assert again.artifacts["note"].content == "hello"
    with pytest.raises(PermissionDenied, match=r"odd\.pickle"):
        again.artifacts["odd"].content  # noqa: B018


def test_folders_that_hold_no_result(tmp_path: Path) -> None:
    with pytest.raises(ResourceDoesNotExist):
        EvaluationResult.load(str(tmp_path))
    (tmp_path / "metrics.json").write_text("{}")
    (tmp_path / "artifacts_metadata.json").write_text("[")
    with pytest.raises(CorruptData, match="isn't JSON"):
        EvaluationResult.load(str(tmp_path))
    for bad in ([], {"x": 1}, {"x": {"uri": "u", "class_name": "os.system"}}):
        (tmp_path / "artifacts_metadata.json").write_text(json.dumps(bad))
        with pytest.raises(CorruptData):
            EvaluationResult.load(str(tmp_path))


# -- thresholds in the call, as in MLflow 2


def test_thresholds_and_a_baseline_in_the_call() -> None:
    asked = {
        "mean_absolute_error": MetricThreshold(min_absolute_change=0.4, greater_is_better=False)
    }
    arguments: dict[str, Any] = {
        "data": NUMBERS,
        "targets": "y",
        "model_type": "regressor",
        "evaluator_config": QUIET,
        "validation_thresholds": asked,
    }
    good, bad = (lambda data: data["p"]), (lambda data: data["a"] + 1)
    mlgit.evaluate(good, baseline_model=bad, **arguments)
    with (
        mlgit.start_run() as run,
        pytest.raises(ModelValidationFailedException, match="absolute change"),
    ):
        mlgit.evaluate(good, baseline_model=good, **arguments)
    assert mlgit.get_run(run.info.run_id).data.metrics["mean_absolute_error"] == 0.5


# -- what can't be right


def broken(*_: Any) -> Any:
    raise ValueError("no such luck")


def named(function: Any, name: str) -> Any:
    return make_metric(eval_fn=function, greater_is_better=True, name=name)


BAD: dict[str, tuple[Any, type[Exception], str]] = {
    "model type": (lambda: of_labels(model_type="clasifier"), InvalidParameterValue, "clasifier"),
    "text model": (lambda: of_labels(model_type="text"), Unsupported, "'regressor'"),
    "no metrics": (lambda: of_labels(model_type=None), InvalidParameterValue, "extra_metrics"),
    "no data": (lambda: of_labels(data=None), InvalidParameterValue, "needs data"),
    "data": (lambda: of_labels(data="x.csv"), InvalidParameterValue, "of type str"),
    "ragged": (lambda: of_labels(data=[[1], [1, 2]]), InvalidParameterValue, "one length"),
    "target column": (lambda: of_labels(targets="z"), InvalidParameterValue, "targets column 'z'"),
    "prediction column": (
        lambda: of_labels(predictions="z"),
        InvalidParameterValue,
        "predictions column 'z'",
    ),
    "no targets": (lambda: of_labels(targets=None), InvalidParameterValue, "classifier models"),
    "no model": (lambda: of_labels(predictions=None), InvalidParameterValue, "needs a model"),
    "name for an array": (
        lambda: mlgit.evaluate(CLASSIFIER, X, targets="y", model_type="classifier"),
        InvalidParameterValue,
        "column's name",
    ),
    "target count": (
        lambda: mlgit.evaluate(CLASSIFIER, X, targets=LABELS[1:], model_type="classifier"),
        InvalidParameterValue,
        "60 rows, and there are 59 targets",
    ),
    "feature names": (lambda: of_labels(feature_names=["a", "zz"]), InvalidParameterValue, "'zz'"),
    "feature twice": (lambda: of_labels(feature_names=["a", "a"]), InvalidParameterValue, "unique"),
    "feature count": (
        lambda: mlgit.evaluate(
            CLASSIFIER, X, targets=LABELS, model_type="classifier", feature_names=["a"]
        ),
        InvalidParameterValue,
        "3 features",
    ),
    "prediction count": (
        lambda: of_labels(model=lambda data: [0], predictions=None),
        InvalidParameterValue,
        "1 predictions for 4 rows",
    ),
    "prediction shape": (
        lambda: of_labels(model=lambda data: np.zeros((4, 2)), predictions=None),
        InvalidParameterValue,
        r"shape \(4, 2\)",
    ),
    "nan prediction": (
        lambda: of_numbers(predictions=[1, float("nan"), 3, 4]),
        InvalidParameterValue,
        "row 1",
    ),
    "infinite prediction": (
        lambda: of_numbers(predictions=[1, 2, float("inf"), 4]),
        InvalidParameterValue,
        "row 2",
    ),
    "missing target": (
        lambda: of_labels(targets=[0, 1, None, 1]),
        InvalidParameterValue,
        "1 of 4 targets",
    ),
    "text prediction": (
        lambda: of_numbers(predictions=[1, 2, "x", 4]),
        InvalidParameterValue,
        "numbers",
    ),
    "one class": (
        lambda: of_labels(targets=[1] * 4, predictions=[1] * 4),
        InvalidParameterValue,
        "all of one class: 1",
    ),
    "numbers as classes": (
        lambda: of_labels(targets=[0.1, 0.2, 0.3, 0.4]),
        InvalidParameterValue,
        "continuous",
    ),
    "no rows": (lambda: of_labels(data=STATIC[:0]), InvalidParameterValue, "no rows"),
    "weights": (
        lambda: of_labels(evaluator_config={"sample_weights": [1]}),
        InvalidParameterValue,
        "4 rows",
    ),
    "text weights": (
        lambda: of_labels(evaluator_config={"sample_weights": "abcd"}),
        InvalidParameterValue,
        "4 rows",
    ),
    "positive class": (
        lambda: of_labels(evaluator_config={"pos_label": 7}),
        InvalidParameterValue,
        "7",
    ),
    "prefix": (
        lambda: of_labels(evaluator_config={"metric_prefix": "../x"}),
        InvalidParameterValue,
        "metric_prefix",
    ),
    "average": (
        lambda: of_labels(evaluator_config={"average": "mean"}),
        InvalidParameterValue,
        "'mean'",
    ),
    "config key": (
        lambda: of_labels(evaluator_config={"metrik_prefix": "x"}),
        InvalidParameterValue,
        "did you mean 'metric_prefix'",
    ),
    "config": (lambda: of_labels(evaluator_config=[1]), InvalidParameterValue, "dict"),
    "samples": (
        lambda: of_labels(evaluator_config={"explainability_nsamples": 0}),
        InvalidParameterValue,
        "explainability_nsamples",
    ),
    "algorithm": (
        lambda: of_labels(evaluator_config={"explainability_algorithm": "magic"}),
        InvalidParameterValue,
        "kernel",
    ),
    "evaluator": (lambda: of_labels(evaluators="mine"), InvalidParameterValue, "'mine'"),
    "other evaluator": (
        lambda: of_labels(evaluators=["regressor"]),
        InvalidParameterValue,
        "'regressor'",
    ),
    "model": (lambda: of_labels(model=42), InvalidParameterValue, "int"),
    "endpoint": (lambda: of_labels(model="endpoints:/chat"), Unsupported, "endpoints:/chat"),
    "environment": (lambda: of_labels(env_manager="conda"), Unsupported, "conda"),
    "failing model": (
        lambda: of_labels(model=broken, predictions=None),
        MlgitException,
        "no such luck",
    ),
    "failing metric": (
        lambda: of_labels(extra_metrics=[named(lambda predictions: broken(), "mine")]),
        MlgitException,
        "'mine' failed: ValueError: no such luck",
    ),
    "failing artifact": (
        lambda: of_labels(custom_artifacts=[broken]),
        MlgitException,
        "'broken', failed",
    ),
    "no metric": (lambda: of_labels(extra_metrics=[broken]), InvalidParameterValue, "make_metric"),
    "metric's argument": (
        lambda: of_labels(extra_metrics=[named(lambda predictions, z: 1, "mine")]),
        InvalidParameterValue,
        "'mine' takes what isn't there: z",
    ),
    "metric's name": (
        lambda: of_labels(extra_metrics=[named(lambda predictions: 1, "a\nb")]),
        MlgitException,
        "name",
    ),
    "artifact's name": (
        lambda: of_labels(custom_artifacts=[lambda a, b, c: {"../x": 1}]),
        InvalidParameterValue,
        "name",
    ),
    "artifact's text": (
        lambda: of_labels(custom_artifacts=[lambda a, b, c: {"x": "text"}]),
        InvalidParameterValue,
        "neither a file's path nor JSON",
    ),
    "artifact's object": (
        lambda: of_labels(custom_artifacts=[lambda a, b, c: {"x": lambda: 1}]),
        MlgitException,
        "can't be saved",
    ),
}


@pytest.mark.parametrize("name", sorted(BAD))
def test_bad_input_is_told_and_nothing_is_logged(name: str) -> None:
    call, kind, message = BAD[name]
    with mlgit.start_run() as run:
        with pytest.raises(kind, match=message) as caught:
            call()
    assert isinstance(caught.value, MlgitException)
    stored = mlgit.get_run(run.info.run_id)
    assert stored.data.metrics == {}
    assert paths(run.info.run_id) == []
    assert stored.inputs.dataset_inputs == []


def test_bad_arguments_begin_no_run() -> None:
    with pytest.raises(InvalidParameterValue):
        of_labels(targets="z")
    assert mlgit.search_runs(output_format="list") == []


def test_a_run_of_its_own_fails_with_the_evaluation() -> None:
    with pytest.raises(MlgitException):
        of_labels(model=broken, predictions=None)
    assert mlgit.active_run() is None
    assert [run.info.status for run in mlgit.search_runs(output_format="list")] == ["FAILED"]


def test_a_plot_that_fails_is_left_out(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("mlgit.models.evaluation.plots.confusion_matrix", broken)
    with caplog.at_level(logging.WARNING, "mlgit"):
        result = of_labels()
    assert result.metrics["accuracy_score"] == 0.75
    assert result.artifacts == {}
    assert "confusion_matrix is left out: ValueError: no such luck" in caplog.text


@pytest.mark.parametrize("package", ["matplotlib", "sklearn"])
def test_packages_that_are_missing(
    package: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    import sys

    for name in [n for n in sys.modules if n.split(".")[0] == package]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    if package == "sklearn":
        with pytest.raises(MissingDependency, match="scikit-learn"):
            of_labels()
    else:
        with caplog.at_level(logging.WARNING, "mlgit"):
            assert of_labels().metrics["accuracy_score"] == 0.75
        assert "pip install mlgit[images]" in caplog.text
