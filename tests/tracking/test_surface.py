"""The public surface: sorted, documented, cheap to import, and with MLflow's arguments."""

from __future__ import annotations

import importlib
import inspect
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import mlgit
import mlgit.artifacts
import mlgit.data
import mlgit.entities
import mlgit.tracking

# What MLflow 3.17.2 takes, but for arguments of traces; written by a program that ran it.
SIGNATURES = json.loads(
    (Path(__file__).parent / "mlflow_signatures.json").read_text(encoding="utf-8")
)
OWNERS: dict[str, Any] = {
    "mlflow": mlgit,
    "MlflowClient": mlgit.MlgitClient,
    "mlflow.artifacts": mlgit.artifacts,
    "mlflow.data": mlgit.data,
}
FUNCTIONS = [(owner, name) for owner, found in SIGNATURES.items() for name in found]


@pytest.mark.parametrize(("owner", "name"), FUNCTIONS)
def test_functions_take_the_arguments_of_mlflow(owner: str, name: str) -> None:
    found = inspect.signature(getattr(OWNERS[owner], name)).parameters
    expected = SIGNATURES[owner][name]
    assert [n for n in found if n != "self"][: len(expected)] == expected
    required = [
        n for n, p in found.items() if p.default is p.empty and p.kind not in (2, 4) and n != "self"
    ]
    assert set(required) <= set(expected)


@pytest.mark.parametrize(
    "module", [mlgit, mlgit.artifacts, mlgit.config, mlgit.data, mlgit.entities, mlgit.tracking]
)
def test_every_public_name_is_sorted_there_and_documented(module: Any) -> None:
    names = module.__all__
    assert list(names) == sorted(set(names))
    for name in names:
        value = getattr(module, name)
        assert inspect.getdoc(value), f"{module.__name__}.{name} has no docstring"
        assert name in dir(module)


def test_public_methods_are_documented() -> None:
    for owner in (mlgit.MlgitClient, mlgit.ActiveRun, mlgit.data.Dataset, mlgit.data.DatasetSource):
        for name, value in vars(owner).items():
            if not name.startswith("_") and callable(value):
                assert inspect.getdoc(value), f"{owner.__name__}.{name} has no docstring"


def test_the_client_and_the_exception_have_mlflows_names() -> None:
    assert mlgit.MlflowClient is mlgit.MlgitClient is mlgit.tracking.MlflowClient
    assert mlgit.MlflowException is mlgit.MlgitException is mlgit.exceptions.MlflowException


def test_names_of_later_versions_say_so() -> None:
    for name in ("autolog", "run", "trace", "start_span"):
        with pytest.raises(AttributeError, match="aren't in this version"):
            getattr(mlgit, name)
    assert not hasattr(mlgit, "autolog")


def test_misspelt_names_are_told() -> None:
    with pytest.raises(AttributeError, match="did you mean 'log_metric'"):
        mlgit.log_metrik  # noqa: B018
    with pytest.raises(AttributeError):
        mlgit.data.nothing  # noqa: B018


def test_importing_loads_nothing_heavy(python: Callable[..., Any]) -> None:
    heavy = ["pandas", "numpy", "flask", "dulwich", "yaml", "click", "sqlite3", "fsspec"]
    heavy += ["PIL", "matplotlib", "plotly", "logging", "asyncio"]
    code = f"import sys, mlgit; print([m for m in {heavy} if m in sys.modules])"
    assert python(code).stdout.strip() == "[]"


def test_logging_loads_no_data_libraries(python: Callable[..., Any], repo_dir: Path) -> None:
    heavy = ["pandas", "numpy", "flask", "click", "PIL", "matplotlib"]
    code = (
        "import sys, mlgit\n"
        "with mlgit.start_run():\n"
        "    mlgit.log_metric('m', 1)\n"
        "    mlgit.log_text('x', 'x.txt')\n"
        "mlgit.data.http_dataset_source\n"
        "mlgit.search_runs(output_format='list')\n"
        f"print([m for m in {heavy} if m in sys.modules])"
    )
    assert python(code, cwd=repo_dir).stdout.strip() == "[]"


@pytest.mark.parametrize("name", sorted(mlgit.data._MODULES))
def test_modules_of_data_import_alone(name: str) -> None:
    assert importlib.import_module(f"mlgit.data.{name}").__doc__


def test_switches_are_accepted(caplog: pytest.LogCaptureFixture) -> None:
    mlgit.flush_async_logging()
    mlgit.flush_artifact_async_logging()
    mlgit.config.enable_async_logging(True)
    mlgit.enable_system_metrics_logging()
    mlgit.disable_system_metrics_logging()
    mlgit.set_system_metrics_sampling_interval(1)
    mlgit.set_system_metrics_samples_before_logging(1)
    mlgit.set_system_metrics_node_id("a")
    with pytest.raises(mlgit.MlflowException):
        mlgit.set_system_metrics_sampling_interval(0)
