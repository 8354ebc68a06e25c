"""Tracking programs of public MLflow guides, as they stand but for the name in the import.

``mlflow`` is mlgit here, and training is faked. Each test is one program of a guide.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

import mlgit as mlflow
from mlgit.tracking import MlflowClient

RUN_ID = r"[0-9a-f]{32}"


@pytest.fixture(autouse=True)
def working_directory(repo_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(repo_dir)
    return repo_dir


@pytest.fixture
def plt() -> Any:
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    import matplotlib.pyplot

    return matplotlib.pyplot


def train_epoch(*_: Any) -> float:
    return 0.5


def evaluate(*_: Any) -> tuple[float, float]:
    return 0.4, 0.97


def last() -> Any:
    run = mlflow.last_active_run()
    assert run is not None
    return run


def test_basic_logging() -> None:
    model, train_loader, val_loader, optimizer = None, None, None, None

    # Set experiment (creates if doesn't exist)
    mlflow.set_experiment("mnist-classification")

    # Start a run
    with mlflow.start_run(run_name="baseline-mlp"):
        # Log parameters
        mlflow.log_param("learning_rate", 0.001)
        mlflow.log_param("batch_size", 64)
        mlflow.log_param("hidden_size", 500)

        # Log multiple parameters at once
        mlflow.log_params({"optimizer": "adam", "epochs": 10, "dropout": 0.2})

        # Training loop
        for epoch in range(10):
            train_loss = train_epoch(model, train_loader, optimizer)
            val_loss, val_acc = evaluate(model, val_loader)

            # Log metrics (step parameter for x-axis)
            mlflow.log_metric("train_loss", train_loss, step=epoch)
            mlflow.log_metric("val_loss", val_loss, step=epoch)
            mlflow.log_metric("val_accuracy", val_acc, step=epoch)

        # Log final metrics
        mlflow.log_metrics({"final_accuracy": val_acc, "final_loss": val_loss})

    run = last()
    assert run.info.run_name == "baseline-mlp"
    assert run.data.params["dropout"] == "0.2"
    assert len(MlflowClient().get_metric_history(run.info.run_id, "val_loss")) == 10

    # Querying runs, of the same guide
    client = MlflowClient()

    # Get experiment by name
    experiment = client.get_experiment_by_name("mnist-classification")

    # Search runs
    runs = client.search_runs(
        experiment_ids=[experiment.experiment_id],
        filter_string="metrics.val_accuracy > 0.95",
        order_by=["metrics.val_accuracy DESC"],
        max_results=10,
    )

    for run in runs:
        print(f"Run ID: {run.info.run_id}")
        print(f"Accuracy: {run.data.metrics['val_accuracy']}")
        print(f"Parameters: {run.data.params}")
        print()
    assert len(runs) == 1


def test_logging_artifacts(plt: Any) -> None:
    config = {"lr": 0.1}
    train_losses = [3, 2, 1]
    os.makedirs("outputs/deep")
    Path("outputs/deep/x.txt").write_text("x")

    with mlflow.start_run():
        # Log a file
        with open("config.json", "w") as f:
            json.dump(config, f)
        mlflow.log_artifact("config.json")

        # Log a directory
        mlflow.log_artifacts("./outputs", artifact_path="model_outputs")

        # Log matplotlib figure
        fig, ax = plt.subplots()
        ax.plot(train_losses)
        ax.set_title("Training Loss")
        fig.savefig("loss_curve.png")
        mlflow.log_artifact("loss_curve.png")
        plt.close(fig)

    uri = f"runs:/{last().info.run_id}"
    names = [info.path for info in mlflow.artifacts.list_artifacts(f"{uri}/")]
    assert names == ["config.json", "loss_curve.png", "model_outputs"]
    assert mlflow.artifacts.load_text(f"{uri}/model_outputs/deep/x.txt") == "x"


def test_run_management(capsys: pytest.CaptureFixture[str]) -> None:
    def train_and_evaluate(lr: float) -> float:
        return 1 - lr

    mlflow.start_run()

    # Get current run
    run = mlflow.active_run()
    print(f"Run ID: {run.info.run_id}")

    # Set tags
    mlflow.set_tag("model_type", "mlp")
    mlflow.set_tags({"team": "research", "priority": "high"})

    # End run explicitly
    mlflow.end_run()

    # Nested runs
    with mlflow.start_run(run_name="parent"):
        mlflow.log_param("experiment_type", "hyperparameter_search")

        for lr in [0.001, 0.01, 0.1]:
            with mlflow.start_run(run_name=f"lr_{lr}", nested=True):
                mlflow.log_param("learning_rate", lr)
                accuracy = train_and_evaluate(lr)
                mlflow.log_metric("accuracy", accuracy)

    assert run.info.run_id in capsys.readouterr().out
    frame = mlflow.search_runs()
    assert len(frame) == 5
    assert frame["tags.mlflow.parentRunId"].notna().sum() == 3


def test_the_complete_training_example(plt: Any, working_directory: Path) -> None:
    config = {
        "learning_rate": 0.001,
        "batch_size": 64,
        "hidden_size": 500,
        "num_epochs": 10,
        "dropout": 0.2,
    }
    model = "MLP(fc1, fc2)"

    # Set experiment
    mlflow.set_experiment("mnist-classification")

    # Set tracking URI (use local SQLite for this example)
    mlflow.set_tracking_uri("sqlite:///mlflow.db")

    with mlflow.start_run(run_name="mlp-baseline"):
        # Log parameters
        mlflow.log_params(config)
        mlflow.set_tag("model_type", "mlp")

        # Log model architecture
        mlflow.log_text(str(model), "model_architecture.txt")

        train_losses = []
        val_accuracies = []

        for epoch in range(int(config["num_epochs"])):
            avg_train_loss = train_epoch()
            train_losses.append(avg_train_loss)
            _, val_accuracy = evaluate()
            val_accuracies.append(val_accuracy)

            # Log metrics
            mlflow.log_metrics(
                {"train_loss": avg_train_loss, "val_accuracy": val_accuracy}, step=epoch
            )

        # Log final metrics
        mlflow.log_metric("final_accuracy", val_accuracies[-1])

        # Log training curves
        fig, (ax1, ax2) = plt.subplots(1, 2, figsize=(12, 4))
        ax1.plot(train_losses)
        ax1.set_title("Training Loss")
        ax2.plot(val_accuracies)
        ax2.set_title("Validation Accuracy")

        plt.tight_layout()
        plt.savefig("training_curves.png")
        mlflow.log_artifact("training_curves.png")
        plt.close(fig)

        print(f"\nRun ID: {mlflow.active_run().info.run_id}")
        print(f"Final Accuracy: {val_accuracies[-1]:.4f}")

    assert (working_directory / "mlflow.db" / "refs" / "mlgit").is_dir()
    experiment = mlflow.get_experiment(last().info.experiment_id)
    assert experiment.name == "mnist-classification"
    # The repository that the program is in has no run of it.
    mlflow.set_tracking_uri(str(working_directory))
    assert len(mlflow.search_runs(search_all_experiments=True)) == 0


def test_experiment_names_with_slashes_and_tags() -> None:
    # Use meaningful experiment names
    mlflow.set_experiment("project/task/approach")

    # Use tags for filtering
    mlflow.set_tags({"team": "ml-research", "task": "classification", "dataset_version": "v2"})
    mlflow.end_run()
    assert len(mlflow.search_runs(filter_string="tags.team = 'ml-research'")) == 1


def test_the_basic_workflow() -> None:
    Path("model.pkl").write_bytes(b"x")
    Path("plot.png").write_bytes(b"x")
    with mlflow.start_run(run_name="my_run"):
        mlflow.log_param("learning_rate", 0.01)
        mlflow.log_metric("accuracy", 0.95)
        mlflow.log_artifact("model.pkl")

    # Tracking, of the quick reference card
    with mlflow.start_run(run_name="name"):
        mlflow.log_params({"lr": 0.01, "epochs": 100})
        mlflow.log_metrics({"acc": 0.95, "loss": 0.05})
        mlflow.log_artifact("plot.png")

    # Search
    runs = mlflow.search_runs(filter_string="metrics.accuracy > 0.9")
    assert list(runs["tags.mlflow.runName"]) == ["my_run"]


def test_the_key_functions(plt: Any) -> None:
    image = pytest.importorskip("PIL.Image").new("RGB", (4, 3))
    fig = plt.figure()
    Path("outputs").mkdir()
    Path("outputs/o.txt").write_text("o")
    config = {"a": 1}
    mlflow.start_run(run_name="test")
    mlflow.log_param("epochs", 100)
    mlflow.log_params({"lr": 0.01, "batch": 32})
    mlflow.log_metric("loss", 0.5, step=1)
    mlflow.log_metrics({"acc": 0.9, "f1": 0.85})
    mlflow.log_artifacts("outputs/")
    mlflow.log_dict(config, "config.json")
    mlflow.log_text("info", "log.txt")
    mlflow.log_figure(fig, "plot.png")
    mlflow.log_image(image, "img.png")
    mlflow.set_tag("model_type", "RF")
    mlflow.set_tags({"team": "ds", "version": "v1"})
    mlflow.end_run()
    names = [info.path for info in mlflow.artifacts.list_artifacts(run_id=last().info.run_id)]
    assert names == ["config.json", "img.png", "log.txt", "o.txt", "plot.png"]


def test_run_and_experiment_management() -> None:
    # Create experiment
    exp_id = mlflow.create_experiment(
        "my_exp", artifact_location="s3://bucket", tags={"version": "1.0"}
    )

    # Start run with options
    run = mlflow.start_run(run_name="my_run", experiment_id="1", nested=True)
    assert run.info.experiment_id == exp_id
    run_id = run.info.run_id

    # Get active run
    active_run = mlflow.active_run()
    assert active_run is not None

    # Get run details
    run_data = mlflow.get_run(run_id)
    assert run_data.info.run_id == active_run.info.run_id
    mlflow.end_run()

    # Nested runs
    with mlflow.start_run(), mlflow.start_run(nested=True):
        # Child run
        pass

    # Get experiment
    experiment_id = exp_id
    exp = mlflow.get_experiment(experiment_id)
    exp = mlflow.get_experiment_by_name("my_exp")
    assert exp is not None
    assert exp.tags == {"version": "1.0"}
    assert exp.artifact_location == "s3://bucket"

    # List experiments
    experiments = mlflow.search_experiments()
    assert {e.name for e in experiments} == {"Default", "my_exp"}

    # Set experiment
    mlflow.set_experiment("experiment_name")

    # Delete/Restore
    mlflow.delete_experiment(experiment_id)
    mlflow.restore_experiment(experiment_id)
    assert mlflow.get_experiment(experiment_id).lifecycle_stage == "active"


def test_searching_runs() -> None:
    for name in ("one", "two"):
        mlflow.set_experiment(name)
        for accuracy, model in ((0.95, "RandomForest"), (0.5, "XGBoost")):
            with mlflow.start_run(run_name=f"experiment_{model}"):
                mlflow.log_metrics({"accuracy": accuracy, "loss": 0.05, "f1": 0.9})
                mlflow.log_params({"model": model, "learning_rate": 0.001})
                mlflow.set_tags({"team": "ml_team", "environment": "production"})

    # Search runs
    runs = mlflow.search_runs(
        experiment_ids=["1", "2"],
        filter_string="metrics.accuracy > 0.9",
        order_by=["metrics.accuracy DESC"],
        max_results=10,
    )
    assert len(runs) == 2

    for text, found in {
        "metrics.accuracy > 0.9": 1,
        "metrics.loss < 0.1": 2,
        "params.model = 'RandomForest' and metrics.accuracy > 0.85": 1,
        "params.model = 'XGBoost' and metrics.f1 > 0.85": 1,
        "params.model = 'RandomForest'": 1,
        # MLflow itself refuses this line of the guide; mlgit compares the numbers.
        "params.learning_rate < 0.01": 2,
        "tags.team = 'ml_team'": 2,
        "tags.environment = 'production'": 2,
        "attributes.status = 'FINISHED'": 2,
        "attributes.run_name LIKE 'experiment_%'": 2,
    }.items():
        assert len(mlflow.search_runs(filter_string=text)) == found, text


def test_the_client() -> None:
    from mlgit import MlflowClient

    client = MlflowClient()
    experiment_id = client.create_experiment("name")
    run_id = client.create_run(experiment_id).info.run_id
    value = 1
    Path("local_path").write_text("x")

    # Run operations
    run = client.get_run(run_id)
    client.log_param(run_id, "param", value)
    client.log_metric(run_id, "metric", value)
    client.set_tag(run_id, "tag", value)
    client.log_artifact(run_id, "local_path")

    # Experiment operations
    experiment = client.get_experiment(experiment_id)
    experiments = client.search_experiments()
    assert experiment in experiments

    # Search runs
    client.log_metric(run_id, "rmse", 0.5)
    runs = client.search_runs(
        experiment_ids=["1"], filter_string="metrics.rmse < 0.9", order_by=["metrics.rmse ASC"]
    )
    assert [r.info.run_id for r in runs] == [run.info.run_id]


def test_system_metrics_and_datasets(caplog: pytest.LogCaptureFixture) -> None:
    pd = pytest.importorskip("pandas")
    # Enable system metrics logging
    mlflow.enable_system_metrics_logging()

    from mlgit.data.pandas_dataset import PandasDataset

    df = pd.DataFrame({"x": [1, 2], "y": [0, 1]})

    # Create dataset
    dataset = mlflow.data.from_pandas(df, source="path/to/data.csv", name="training_data")

    # Log dataset
    mlflow.log_input(dataset, context="training")
    mlflow.log_input(dataset, context="validation")

    assert isinstance(dataset, PandasDataset)
    inputs = mlflow.active_run() and mlflow.get_run(mlflow.active_run().info.run_id).inputs
    assert [i.tags[0].value for i in inputs.dataset_inputs] == ["training", "validation"]
    mlflow.end_run()
    assert len(mlflow.search_runs(filter_string="dataset.context = 'validation'")) == 1


def test_production_code_and_lineage() -> None:
    def train_model(params: dict[str, Any]) -> None:
        mlflow.set_experiment("production_training")

        with mlflow.start_run(run_name=f"{params['model']}_v1"):
            # Log parameters
            mlflow.log_params(params)

            # Log code version
            mlflow.set_tag("git_commit", "abc")
            mlflow.set_tags({"team": "data_science", "environment": "production"})
            mlflow.log_metrics({"acc": 1})

    train_model({"model": "rf", "depth": 3})

    # Link runs to understand lineage
    Path("data.csv").write_text("a,b\n")
    with mlflow.start_run(run_name="preprocessing"):
        mlflow.log_artifact("data.csv")
        preprocessing_run_id = mlflow.active_run().info.run_id

    with mlflow.start_run(run_name="training"):
        # Reference parent run
        mlflow.set_tag("preprocessing_run_id", preprocessing_run_id)
    assert last().data.tags["preprocessing_run_id"] == preprocessing_run_id


def test_logging_parameters_and_metrics_of_all_kinds() -> None:
    NUM_EPOCHS, train_acc, val_acc, final_acc = 3, 0.9, 0.8, 0.85
    with mlflow.start_run():
        # Nested parameters (as dict)
        config = {
            "model": {"architecture": "ResNet50", "pretrained": True},
            "training": {"lr": 0.001, "weight_decay": 1e-4},
        }

        # Log as JSON string or individual params
        for key, value in config.items():
            mlflow.log_param(key, str(value))

        # Training loop
        for epoch in range(NUM_EPOCHS):
            mlflow.log_metric("train_loss", train_epoch(), step=epoch)

            # Log multiple metrics
            mlflow.log_metrics({"train_accuracy": train_acc, "val_accuracy": val_acc}, step=epoch)

        # Log final metrics (no step)
        mlflow.log_metric("final_accuracy", final_acc)
    assert last().data.params["training"] == "{'lr': 0.001, 'weight_decay': 0.0001}"


def test_logging_artifacts_of_all_kinds(plt: Any) -> None:
    config = {"lr": 0.001}
    with mlflow.start_run():
        # Log directory
        os.makedirs("plots", exist_ok=True)
        plt.plot([1, 2])
        plt.savefig("plots/loss_curve.png")
        mlflow.log_artifacts("plots")

        # Log text
        with open("config.txt", "w") as f:
            f.write(str(config))
        mlflow.log_artifact("config.txt")

        # Log dict as JSON
        mlflow.log_dict({"config": config}, "config.json")
    uri = f"runs:/{last().info.run_id}/config.json"
    assert mlflow.artifacts.load_dict(uri) == {"config": config}


def test_searching_with_complex_filters() -> None:
    mlflow.set_experiment("my-experiment")
    with mlflow.start_run(run_name="resnet50-imagenet-lr0.001-bs32"):
        mlflow.log_metrics({"accuracy": 0.95, "f1_score": 0.9})
        mlflow.log_param("model", "ResNet50")
        mlflow.set_tags({"dataset": "ImageNet", "framework": "PyTorch 2.0", "gpu": "A100"})

    client = MlflowClient()

    # Search all runs in experiment
    experiment_id = client.get_experiment_by_name("my-experiment").experiment_id

    # Search with complex filters
    runs = client.search_runs(
        experiment_ids=[experiment_id],
        filter_string="""
            metrics.accuracy > 0.9 AND
            params.model = 'ResNet50' AND
            tags.dataset = 'ImageNet'
        """,
        order_by=["metrics.f1_score DESC"],
    )
    assert len(runs) == 1


def test_a_block_with_an_end_run_after_it() -> None:
    with mlflow.start_run() as run:
        # ML code goes here
        pass

    mlflow.end_run()
    assert mlflow.get_run(run.info.run_id).info.status == "FINISHED"
    mlflow.log_metric("accuracy", 0.91)
    mlflow.log_param("architecture", "ResNet50")
    assert mlflow.active_run().info.run_id != run.info.run_id


def test_a_summary_as_an_artifact() -> None:
    # Start an MLflow run
    with mlflow.start_run():
        # Log artifacts
        with open("model_summary.txt", "w") as f:
            f.write("Model achieved 95% accuracy.")
        mlflow.log_artifact("model_summary.txt")
    text = mlflow.artifacts.load_text(f"runs:/{last().info.run_id}/model_summary.txt")
    assert text == "Model achieved 95% accuracy."


@pytest.mark.parametrize(
    "uri", ["http://mlflow-server:5000", "postgresql://user:password@host:5432/mlflow"]
)
def test_servers_and_databases_say_what_to_do(uri: str) -> None:
    mlflow.set_tracking_uri(uri)
    with pytest.raises(mlflow.MlflowException) as caught:
        mlflow.start_run()
    assert caught.value.hint
    assert "password" not in str(caught.value)
