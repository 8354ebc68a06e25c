"""What guides to MLflow's registry show, with the name changed and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import mlgit as mlflow
from mlgit import MlflowClient


class Classifier(mlflow.pyfunc.PythonModel):
    def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:
        return [value * 2 for value in model_input]


def trained(accuracy: float, name: str) -> str:
    """A run that logs a model under a registered name; its id."""
    with mlflow.start_run() as run:
        mlflow.log_metric("val_accuracy", accuracy)
        mlflow.pyfunc.log_model("model", python_model=Classifier(), registered_model_name=name)
    return str(run.info.run_id)


def promote_model(model_name: str, from_stage: str, to_stage: str, metric_threshold: float) -> bool:
    client = MlflowClient()
    versions = client.get_latest_versions(model_name, stages=[from_stage])
    for version in versions:
        model_uri = f"models:/{model_name}/{version.version}"
        mlflow.pyfunc.load_model(model_uri)
        run = client.get_run(str(version.run_id))
        accuracy = run.data.metrics.get("val_accuracy", 0)
        if accuracy >= metric_threshold:
            prod_versions = client.get_latest_versions(model_name, stages=[to_stage])
            for pv in prod_versions:
                client.transition_model_version_stage(
                    name=model_name, version=pv.version, stage="Archived"
                )
            client.transition_model_version_stage(
                name=model_name, version=version.version, stage=to_stage
            )
            return True
    return False


def test_a_promotion_workflow(client: MlflowClient) -> None:
    name = "mnist-classifier"
    for accuracy in (0.96, 0.97, 0.5):
        trained(accuracy, name)
    client.transition_model_version_stage(name=name, version=1, stage="Staging")
    assert promote_model(name, "Staging", "Production", 0.95)
    client.transition_model_version_stage(name=name, version=2, stage="Staging")
    assert promote_model(name, "Staging", "Production", 0.95)
    client.transition_model_version_stage(name=name, version=3, stage="Staging")
    assert not promote_model(name, "Staging", "Production", 0.95)
    shown = [
        f"Version {v.version}: Stage={v.current_stage}"
        for v in client.search_model_versions(f"name='{name}'")
    ]
    assert sorted(shown) == [
        "Version 1: Stage=Archived",
        "Version 2: Stage=Production",
        "Version 3: Stage=Staging",
    ]
    assert mlflow.pyfunc.load_model(f"models:/{name}/Production").predict([2]) == [4]


def test_the_calls_one_by_one(client: MlflowClient) -> None:
    client.create_registered_model(
        name="my_model", tags={"task": "classification"}, description="My classification model"
    )
    run_id = trained(0.9, "my_model")
    result = mlflow.register_model(model_uri=f"runs:/{run_id}/model", name="my_model")
    assert result.version == 2
    version = client.create_model_version(
        name="my_model", source=f"runs:/{run_id}/model", run_id=run_id
    )
    version = client.get_model_version(name="my_model", version="1")
    client.update_model_version(name="my_model", version="1", description="Updated description")
    assert len(client.search_model_versions("name='my_model'")) == 3
    client.delete_model_version(name="my_model", version="1")
    client.transition_model_version_stage(name="my_model", version="2", stage="Production")
    assert mlflow.pyfunc.load_model("models:/my_model/Production").predict([1]) == [2]
    client.set_registered_model_alias(name="my_model", alias="champion", version="3")
    assert client.get_model_version_by_alias(name="my_model", alias="champion").version == 3
    assert mlflow.pyfunc.load_model("models:/my_model@champion").predict([1]) == [2]
    client.delete_registered_model_alias(name="my_model", alias="champion")
    client.set_model_version_tag(
        name="my_model", version="2", key="validation_status", value="approved"
    )
    client.set_registered_model_tag(name="my_model", key="task", value="regression")
    assert client.get_registered_model("my_model").tags == {"task": "regression"}
    client.update_registered_model(name="my_model", description="Updated description")
    client.rename_registered_model(name="my_model", new_name="my_model_v2")
    version = client.get_model_version("my_model_v2", "2")
    assert version.tags == {"validation_status": "approved"}
    assert version.current_stage == "Production"
    assert client.get_registered_model("my_model_v2").description == "Updated description"


def test_a_production_pipeline(client: MlflowClient) -> None:
    with mlflow.start_run(run_name="training"):
        mlflow.pyfunc.log_model(
            "model", python_model=Classifier(), registered_model_name="prod_model"
        )
        run_id = mlflow.active_run().info.run_id
        assert client.get_model_version("prod_model", 1).run_id == run_id, "while the run goes"
    version = client.get_latest_versions("prod_model")[0].version
    client.transition_model_version_stage(name="prod_model", version=version, stage="Production")
    (model,) = mlflow.search_registered_models(filter_string="name = 'prod_model'")
    assert [v.current_stage for v in model.latest_versions] == ["Production"]


def test_a_source_that_is_no_place_at_all(client: MlflowClient) -> None:
    model_uri = "runs://random_forest_model"
    client.create_registered_model("RandomForestClassifier")
    client.create_model_version("RandomForestClassifier", model_uri, "Experiment1")
    client.transition_model_version_stage("RandomForestClassifier", version=1, stage="Production")
    version = client.get_latest_versions("RandomForestClassifier", stages=["Production"])[0]
    assert (version.source, version.run_id) == (model_uri, "Experiment1")


@pytest.mark.parametrize("name", ["Ecommerce Model", "größe", "模型", "a.b-c_d", "100%"])
def test_names_that_git_and_gto_do_not_take(name: str, client: MlflowClient) -> None:
    trained(0.9, name)
    client.set_registered_model_alias(name, "größte", 1)
    for which in ("/1", "/latest", "@größte"):
        assert mlflow.pyfunc.load_model(f"models:/{name.replace('%', '%25')}{which}").predict(
            [3]
        ) == [6]
    assert [m.name for m in client.search_registered_models(f"name = '{name}'")] == [name]


def test_a_clone_reads_tags_alone(
    in_repo: Path, client: MlflowClient, tmp_path: Path, git: Any
) -> None:
    run_id = trained(0.9, "Ecommerce Model")
    client.set_registered_model_alias("Ecommerce Model", "champion", 1)
    git(tmp_path, "clone", "-q", str(in_repo), "clone")
    found = MlflowClient(str(tmp_path / "clone")).get_model_version_by_alias("Ecommerce Model", "champion")  # fmt: skip
    assert (found.version, found.run_id) == (1, run_id)


def test_a_copy_of_a_version(client: MlflowClient) -> None:
    run_id = trained(0.9, "staging-model")
    client.set_registered_model_alias("staging-model", "good", 1)
    copy = client.copy_model_version("models:/staging-model@good", "production-model")
    assert (copy.version, copy.source, copy.run_id) == (1, "models:/staging-model/1", run_id)
    uri = client.get_model_version_download_uri("production-model", 1)
    assert uri == f"runs:/{run_id}/model"
    client.delete_model_version("staging-model", 1)
    assert mlflow.pyfunc.load_model("models:/production-model/1").predict([1]) == [2]


def test_who_only_logs_does_not_wait_for_the_registry(in_repo: Path, python: Any) -> None:
    program = (
        "import sys, mlgit\n"
        "with mlgit.start_run():\n"
        "    mlgit.log_metric('a', 1)\n"
        "    mlgit.pyfunc.log_model('m', python_model=str.upper)\n"
        "assert not [name for name in sys.modules if name.startswith('mlgit.registry')]\n"
    )
    python(program, cwd=in_repo)
