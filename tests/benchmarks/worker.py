"""One measurement, in a process of its own; speaks the API that MLflow and mlgit share.

    python worker.py mlgit|mlflow TASK '{"argument": value}'

Prints one JSON object: what the task returned, {"wall": [seconds], "cpu": [seconds], …},
one number a repetition. Run by ``run.py`` in the folder of a prepared store.
"""

from __future__ import annotations

import gc
import json
import os
import random
import sys
import time
from collections.abc import Callable
from importlib import import_module
from typing import Any

Numbers = dict[str, Any]

FILTER = "metrics.m0 > 0.5 and params.p0 = '3'"
ORDER = ["metrics.m1 DESC"]


class Clock:
    """Collects wall and CPU time of repeated work."""

    def __init__(self) -> None:
        self.wall: list[float] = []
        self.cpu: list[float] = []

    def time(self, work: Callable[[], Any]) -> Any:
        """Do some work and note what it took."""
        cpu, wall = time.process_time(), time.perf_counter()
        result = work()
        self.wall.append(time.perf_counter() - wall)
        self.cpu.append(time.process_time() - cpu)
        return result

    def numbers(self) -> Numbers:
        """What was noted."""
        return {"wall": self.wall, "cpu": self.cpu}


def _log_run(mlflow: Any, rng: random.Random) -> None:
    with mlflow.start_run():
        mlflow.log_params({f"p{i}": rng.randrange(10) for i in range(5)})
        mlflow.log_metrics({f"m{i}": rng.random() for i in range(5)}, step=0)


def fill(mlflow: Any, runs: int, points: int = 1) -> Numbers:
    """Log runs of 5 params and 5 metrics, each with some points; not measured."""
    rng = random.Random(1)
    client = mlflow.MlflowClient()
    param = _entity(mlflow, "Param")
    for number in range(runs):
        params = [param(f"p{i}", str(rng.randrange(10 ** (i + 1)))) for i in range(5)]
        metrics = [
            _metric(mlflow, f"m{i}", rng.random(), 1_700_000_000_000 + 400 * step, step)
            for step in range(points)
            for i in range(5)
        ]
        with mlflow.start_run(run_name=f"run-{number}", tags={"team": f"t{number % 7}"}) as run:
            client.log_batch(run.info.run_id, metrics, params)
    return {"wall": [], "cpu": []}


def log_metric(mlflow: Any, calls: int, history: int = 0, warm: int = 20) -> Numbers:
    """Single ``log_metric`` calls, on top of a history of some length."""
    clock = Clock()
    with mlflow.start_run() as run:
        _log_points(mlflow, run.info.run_id, "loss", history)
        for i in range(warm):
            mlflow.log_metric("loss", 0.5, step=history + i)
        gc.collect()
        for i in range(calls):
            value, step = 1 / (i + 3), history + warm + i
            clock.time(lambda: mlflow.log_metric("loss", value, step=step))  # noqa: B023
    logged = mlflow.MlflowClient().get_metric_history(run.info.run_id, "loss")
    assert len(logged) == history + warm + calls
    return clock.numbers()


def _log_points(mlflow: Any, run_id: str, key: str, count: int, batch: int = 1000) -> None:
    client = mlflow.MlflowClient()
    for start in range(0, count, batch):
        end = min(count, start + batch)
        points = [
            _metric(mlflow, key, 1 / (i + 3), 1_700_000_000_000 + i, i) for i in range(start, end)
        ]
        client.log_batch(run_id, metrics=points)


def _entity(mlflow: Any, name: str) -> Any:
    return getattr(import_module(mlflow.__name__ + ".entities"), name)


def _metric(mlflow: Any, key: str, value: float, timestamp: int, step: int) -> Any:
    return _entity(mlflow, "Metric")(key, value, timestamp, step)


def log_batch(mlflow: Any, repeats: int) -> Numbers:
    """``log_batch`` of 1000 metrics: ten names, a hundred steps."""
    clock = Clock()
    client = mlflow.MlflowClient()
    with mlflow.start_run() as run:
        for repeat in range(repeats + 1):
            first = 100 * repeat
            batch = [
                _metric(mlflow, f"m{i % 10}", 1 / (i + 3), 1_700_000_000_000 + i, first + i // 10)
                for i in range(1000)
            ]
            clock.time(lambda: client.log_batch(run.info.run_id, metrics=batch))  # noqa: B023
    numbers = clock.numbers()
    return {key: times[1:] for key, times in numbers.items()}  # the first call warms up


def run_cycle(mlflow: Any, repeats: int, warm: int = 2) -> Numbers:
    """start_run, 5 params, 5 metrics, end_run."""
    clock = Clock()
    rng = random.Random()
    for _ in range(warm):
        _log_run(mlflow, rng)
    for _ in range(repeats):
        clock.time(lambda: _log_run(mlflow, rng))
    return clock.numbers()


def history(mlflow: Any, points: int, repeats: int) -> Numbers:
    """``get_metric_history`` of one metric of an ended run."""
    with mlflow.start_run() as run:
        _log_points(mlflow, run.info.run_id, "loss", points)
    client = mlflow.MlflowClient()
    clock = Clock()
    for _ in range(repeats):
        found = clock.time(lambda: client.get_metric_history(run.info.run_id, "loss"))
        assert len(found) == points
    return clock.numbers()


def frame(mlflow: Any, runs: int, repeats: int) -> Numbers:
    """``search_runs`` without a filter: every run as a pandas frame."""
    import pandas  # noqa: F401  # its import isn't what is measured

    clock = Clock()
    for _ in range(repeats):
        found = clock.time(lambda: mlflow.search_runs(experiment_ids=["0"]))
        assert len(found) == runs, len(found)
    return clock.numbers()


def search(mlflow: Any, repeats: int) -> Numbers:
    """A search with a filter, an order and a limit."""
    client = mlflow.MlflowClient()
    clock = Clock()
    for _ in range(repeats):
        found = clock.time(
            lambda: client.search_runs(["0"], FILTER, order_by=ORDER, max_results=20)
        )
        assert found and all(run.data.metrics["m0"] > 0.5 for run in found)
    return clock.numbers()


def first_search(mlflow: Any, runs: int) -> Numbers:
    """The first search of a process: the index is made or brought up to date in it."""
    clock = Clock()
    client = mlflow.MlflowClient()
    found = clock.time(lambda: client.search_runs(["0"], "", max_results=10))
    assert len(found) == min(10, runs)
    return clock.numbers()


def artifacts(mlflow: Any, files: int, size: int, repeats: int) -> Numbers:
    """Files logged at once: by ``log_artifacts`` if there are several, else ``log_artifact``.

    The files are written anew in place: see ``peers.Workspace`` about removing any.
    """
    clock = Clock()
    os.makedirs("../data", exist_ok=True)
    for _ in range(repeats):
        for number in range(files):
            with open(f"../data/{number}.bin", "wb") as f:
                f.write(os.urandom(size))
        os.sync()
        with mlflow.start_run():
            if files > 1:
                clock.time(lambda: mlflow.log_artifacts("../data", "data"))
            else:
                clock.time(lambda: mlflow.log_artifact("../data/0.bin"))
    return clock.numbers()


def import_only(mlflow: Any) -> Numbers:
    """Which heavy modules the import alone loads."""
    heavy = ("pandas", "flask", "numpy", "dulwich")
    return {"loaded": [name for name in heavy if name in sys.modules]}


def _wine() -> tuple[Any, Any]:
    from sklearn.datasets import load_wine
    from sklearn.linear_model import LogisticRegression

    data, target = load_wine(return_X_y=True, as_frame=True)
    return LogisticRegression(max_iter=50).fit(data, target), data


def log_model(mlflow: Any, repeats: int) -> Numbers:
    """A small model of scikit-learn's with a signature and no example."""
    model, data = _wine()
    signature = mlflow.models.infer_signature(data, model.predict(data))
    clock = Clock()
    for _ in range(repeats):
        with mlflow.start_run():
            clock.time(lambda: mlflow.sklearn.log_model(model, "model", signature=signature))
    return clock.numbers()


def load_model(mlflow: Any, repeats: int) -> Numbers:
    """The same model, by its run."""
    model, _ = _wine()
    with mlflow.start_run() as run:
        mlflow.sklearn.log_model(model, "model", **_portable(mlflow))
    uri = f"runs:/{run.info.run_id}/model"
    mlflow.sklearn.load_model(uri)
    clock = Clock()
    for _ in range(repeats):
        clock.time(lambda: mlflow.sklearn.load_model(uri))
    return clock.numbers()


def predict(mlflow: Any, repeats: int, rows: int, columns: int) -> Numbers:
    """A frame through the pyfunc face of a model that gives back a column."""
    import numpy as np
    import pandas as pd

    frame = pd.DataFrame(np.random.default_rng(1).normal(size=(rows, columns)))
    frame.columns = [f"column {number}" for number in range(columns)]
    signature = mlflow.models.infer_signature(frame, frame["column 0"])

    def first(model_input):  # no type hints: they would be the signature
        return model_input["column 0"]

    with mlflow.start_run() as run:
        mlflow.pyfunc.log_model(
            "model", python_model=first, signature=signature, pip_requirements=["pandas"]
        )
    model = mlflow.pyfunc.load_model(f"runs:/{run.info.run_id}/model")
    model.predict(frame)
    clock = Clock()
    for _ in range(repeats):
        clock.time(lambda: model.predict(frame))
    return clock.numbers()


def _portable(mlflow: Any) -> dict[str, Any]:
    """Both as cloudpickle: MLflow 3 writes skops unless it is told."""
    return {"serialization_format": "cloudpickle", "pip_requirements": ["scikit-learn"]}


TASKS: dict[str, Callable[..., Numbers]] = {
    task.__name__: task
    for task in (
        fill,
        log_metric,
        log_batch,
        run_cycle,
        history,
        frame,
        search,
        first_search,
        artifacts,
        import_only,
        log_model,
        load_model,
        predict,
    )
}


def main() -> None:
    """Run one task and print what it found."""
    name, task, arguments = sys.argv[1:]
    # MLflow's own messages go to stderr; whatever else prints must not mix with the answer.
    answer, sys.stdout = sys.stdout, sys.stderr
    if name == "mlgit":
        import mlgit as mlflow
    else:
        import mlflow
    result = TASKS[task](mlflow, **json.loads(arguments))
    print(json.dumps(result), file=answer)


if __name__ == "__main__":
    main()
