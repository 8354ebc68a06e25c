"""Registered models for the web app's tests, without training any."""

from __future__ import annotations

from collections.abc import Callable

from mlgit.registry.registry import Registry, registry_of
from mlgit.store.gitstore import GitStore

MLMODEL = b"""artifact_path: model
flavors:
  python_function:
    loader_module: nothing.at.all
    python_version: 3.11.7
  invented: {data: model.bin}
model_size_bytes: 3
run_id: x
signature:
  inputs: '[{"type": "double", "name": "amount"}, {"type": "long", "name": "hour"}]'
  outputs: '[{"type": "long"}]'
  params: '[{"name": "by", "type": "double", "default": 2.0, "shape": null}]'
saved_input_example_info:
  artifact_path: input_example.json
  serving_input_path: serving_input_example.json
  type: dataframe
  pandas_orient: split
utc_time_created: '2026-03-01 12:00:00.000000'
mlflow_version: 3.17.2
model_uuid: 0123456789abcdef0123456789abcdef
"""
EXAMPLE = b'{"columns": ["amount", "hour"], "data": [[1.5, 2], [3.0, 4]]}'
FILES = {
    "model/MLmodel": MLMODEL,
    "model/model.bin": b"abc",
    "model/requirements.txt": b"scikit-learn==1.9.1\nnumpy\n",
    "model/input_example.json": EXAMPLE,
    "model/serving_input_example.json": b'{"dataframe_split": ' + EXAMPLE + b"}",
}


def registry(store: GitStore) -> Registry:
    """The registry of a store."""
    return registry_of(store, lambda: "ada")


def register(
    store: GitStore,
    make_run: Callable[..., str],
    name: str,
    accuracy: float = 0.9,
    **said: object,
) -> int:
    """A new version of a model, which is made where there is none: of a run with an accuracy."""
    run = make_run(f"run of {accuracy}", metrics={"accuracy": accuracy}, artifacts=FILES)
    models = registry(store)
    if not models.has(name):
        models.create_model(name)
    return models.create_version(name, f"runs:/{run}/model", run, **said).version  # type: ignore[arg-type]
