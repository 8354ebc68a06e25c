"""Programs of public MLflow guides that log and load models, but for the name in the import.

``mlflow`` is mlgit here, and training is quick. Each test is one program of a guide; what needs
the registry is in the registry's tests.
"""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import mlgit as mlflow
import mlgit.pyfunc
import mlgit.sklearn

pytest.importorskip("sklearn")

from sklearn.ensemble import RandomForestClassifier
from sklearn.preprocessing import StandardScaler

X_train = pd.DataFrame(
    np.random.default_rng(0).normal(size=(30, 2)), columns=["feature_1", "feature_2"]
)
y_train = (X_train["feature_1"] > 0).astype(int)


@pytest.fixture(autouse=True)
def working_directory(in_repo: Path) -> Path:
    return in_repo


def train_model(*_: Any) -> Any:
    return RandomForestClassifier(n_estimators=3).fit(X_train, y_train)


def evaluate(*_: Any) -> dict[str, float]:
    return {"accuracy": 0.9}


def test_a_signature_by_hand_and_by_data() -> None:
    sklearn_model = train_model()
    sample_input = X_train[:2]

    # Scikit-learn
    mlflow.sklearn.log_model(sklearn_model, "sklearn_model")

    # Custom model with signature
    from mlgit.models.signature import ModelSignature
    from mlgit.types.schema import ColSpec, Schema

    input_schema = Schema([ColSpec("double", "feature_1"), ColSpec("double", "feature_2")])
    output_schema = Schema([ColSpec("long", "prediction")])
    signature = ModelSignature(inputs=input_schema, outputs=output_schema)

    info = mlflow.sklearn.log_model(
        sklearn_model, "model", signature=signature, input_example=sample_input
    )
    assert mlflow.models.get_model_info(info.model_uri).signature == signature

    # Always include signatures for deployment
    from mlgit.models.signature import infer_signature

    model = sklearn_model
    signature = infer_signature(X_train, model.predict(X_train))
    info = mlflow.sklearn.log_model(model, "model", signature=signature)
    assert mlflow.models.get_model_info(info.model_uri).signature == signature


def test_a_custom_model_of_parts() -> None:
    class CustomModel(mlflow.pyfunc.PythonModel):
        def __init__(self, preprocessor: Any, model: Any, postprocessor: Any) -> None:
            self.preprocessor = preprocessor
            self.model = model
            self.postprocessor = postprocessor

        def predict(self, context: Any, model_input: Any) -> Any:
            # Preprocess
            processed = self.preprocessor.transform(model_input)

            # Predict
            raw_predictions = self.model(processed)

            # Postprocess
            final_predictions = self.postprocessor.process(raw_predictions)

            return final_predictions

    class Labels:
        def process(self, found: Any) -> list[str]:
            return ["yes" if one else "no" for one in found]

    CustomModel.__module__ = Labels.__module__ = "__main__"
    preprocessor = StandardScaler().fit(X_train)
    with open("preprocessor.pkl", "wb") as f:
        pickle.dump(preprocessor, f)

    # Save custom model
    custom_model = CustomModel(preprocessor, lambda rows: rows[:, 0] > 0, Labels())
    mlflow.pyfunc.log_model(
        artifact_path="custom_model",
        python_model=custom_model,
        artifacts={"preprocessor": "preprocessor.pkl"},
    )
    run = mlflow.active_run()
    assert run is not None
    loaded = mlflow.pyfunc.load_model(f"runs:/{run.info.run_id}/custom_model")
    assert set(loaded.predict(X_train)) == {"yes", "no"}


def test_a_custom_model_that_loads_a_file() -> None:
    with open("model.pkl", "wb") as f:
        pickle.dump(train_model(), f)

    class CustomModel(mlflow.pyfunc.PythonModel):
        def load_context(self, context: Any) -> None:
            import pickle

            self.model = pickle.load(open(context.artifacts["model_path"], "rb"))

        def predict(self, context: Any, model_input: Any) -> Any:
            return self.model.predict(model_input)

    CustomModel.__module__ = "__main__"
    info = mlflow.pyfunc.log_model(
        artifact_path="model",
        python_model=CustomModel(),
        artifacts={"model_path": "model.pkl"},
    )
    assert len(mlflow.pyfunc.load_model(info.model_uri).predict(X_train)) == 30


def test_scikit_learn_and_a_folder() -> None:
    from mlgit.models import ModelSignature, infer_signature

    model = train_model()
    signature = infer_signature(X_train, model.predict(X_train))
    assert isinstance(signature, ModelSignature)
    info = mlflow.sklearn.log_model(
        sk_model=model, artifact_path="model", signature=signature, input_example=X_train[:5]
    )

    # Save model
    mlflow.sklearn.save_model(model, "path/to/model")

    # Load model
    loaded_model = mlflow.sklearn.load_model(f"runs:/{info.run_id}/model")
    assert (loaded_model.predict(X_train) == model.predict(X_train)).all()

    # Load as Python function
    pyfunc_model = mlflow.pyfunc.load_model(f"runs:/{info.run_id}/model")
    assert (pyfunc_model.predict(X_train) == model.predict(X_train)).all()
    local = mlflow.pyfunc.load_model("path/to/model")
    assert (local.predict(X_train) == model.predict(X_train)).all()


def test_hyperparameter_tuning_and_the_best_model() -> None:
    for lr in [0.001, 0.01, 0.1]:
        with mlflow.start_run():
            mlflow.log_param("learning_rate", lr)
            model = train_model(lr)
            mlflow.log_metric("accuracy", 1 - lr)
            mlflow.sklearn.log_model(model, "model")

    best_run = mlflow.MlflowClient().search_runs(
        experiment_ids=["0"], order_by=["metrics.accuracy DESC"], max_results=1
    )[0]
    model = mlflow.sklearn.load_model(f"runs:/{best_run.info.run_id}/model")
    assert best_run.data.params == {"learning_rate": "0.001"}
    assert len(model.predict(X_train)) == 30


def test_production_training() -> None:
    from mlgit.models import infer_signature

    mlflow.set_experiment("production_training")
    params = {"model": "forest"}
    with mlflow.start_run(run_name=f"{params['model']}_v1") as run:
        mlflow.log_params(params)
        mlflow.set_tags({"team": "data_science", "environment": "production"})
        model = train_model(params)
        mlflow.log_metrics(evaluate(model))
        signature = infer_signature(X_train, model.predict(X_train))
        mlflow.sklearn.log_model(model, "model", signature=signature, input_example=X_train[:5])

    loaded = mlflow.pyfunc.load_model(f"runs:/{run.info.run_id}/model")
    assert loaded.metadata.signature == signature
    assert loaded.input_example.equals(X_train[:5])


def test_artifact_management() -> None:
    Path("configs").mkdir()
    Path("configs/a.yaml").write_text("a: 1\n")
    model = train_model()

    # Structure artifacts logically
    mlflow.log_artifacts("./configs", artifact_path="configs")
    info = mlflow.log_model(model, "models/classifier")
    assert info.artifact_path == "models/classifier"
    assert len(mlflow.sklearn.load_model(info.model_uri).predict(X_train)) == 30


def test_batch_scoring() -> None:
    with mlflow.start_run() as run:
        mlflow.sklearn.log_model(train_model(), "model")
    X_train.to_csv("test_data.csv", index=False)

    # Load model
    model = mlflow.pyfunc.load_model(f"runs:/{run.info.run_id}/model")

    # Score batch data
    data = pd.read_csv("test_data.csv")
    predictions = model.predict(data)
    assert len(predictions) == 30
