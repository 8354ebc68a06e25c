"""One program for MLflow and for mlgit: what it sees, as JSON.

    python peer_program.py MODULE TRACKING_URI RESULT_FILE

Ids are replaced by their order of appearance, so that two results can be compared. The parts
are long lists of calls, in one file because both programs run it as a script.
"""

from __future__ import annotations

import importlib
import json
import math
import re
import sys
from collections.abc import Callable
from typing import Any

mlflow = importlib.import_module(sys.argv[1])
client_module = importlib.import_module(f"{sys.argv[1]}.tracking")
entities = importlib.import_module(f"{sys.argv[1]}.entities")
MlflowException = importlib.import_module(f"{sys.argv[1]}.exceptions").MlflowException

RESULT: dict[str, Any] = {}
_IDS: dict[str, str] = {}


def known(kind: str, real: str) -> str:
    """Remember an id by a name that is the same in both programs."""
    _IDS.setdefault(real, f"<{kind} {sum(v.startswith(f'<{kind} ') for v in _IDS.values())}>")
    return real


def plain(value: Any) -> Any:
    """A value as JSON can hold it, with ids replaced."""
    if isinstance(value, float):
        if math.isnan(value):
            return "NaN"
        # MLflow's SQL stores hold no infinities; they come back as the greatest double.
        return f"{'-' if value < 0 else ''}inf" if abs(value) > 1.7e308 else value
    if isinstance(value, dict):
        return {plain(str(k)): plain(v) for k, v in sorted(value.items(), key=str)}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if value is None or isinstance(value, (bool, int)):
        return value
    text = str(value)
    for real, shown in _IDS.items():
        if len(real) > 8:  # MLflow's experiments have numbers, which are in any text
            text = text.replace(real, shown)
    return text


def note(name: str, value: Any) -> None:
    """Put one thing that was seen into the result."""
    assert name not in RESULT, name
    RESULT[name] = plain(value)


def fails(name: str, call: Callable[[], Any]) -> None:
    """Note how a call that should fail does."""
    try:
        call()
        note(f"error: {name}", "none")
    except MlflowException as error:
        note(f"error: {name}", error.error_code)
    except Exception as error:
        note(f"error: {name}", type(error).__name__)


def tags_of(run: Any) -> dict[str, str]:
    """A run's tags but those that tell about the machine."""
    left_out = ("mlflow.source", "mlflow.user", "mlflow.runColor")
    return {k: v for k, v in run.data.tags.items() if not k.startswith(left_out)}


def run_of(run_id: str) -> dict[str, Any]:
    """All of a run that doesn't depend on the machine and the time."""
    run = mlflow.get_run(run_id)
    return {
        "id": run.info.run_id,
        "experiment": _IDS.get(run.info.experiment_id),
        "name": run.info.run_name,
        "status": run.info.status,
        "stage": run.info.lifecycle_stage,
        "ended": run.info.end_time is not None,
        "metrics": run.data.metrics,
        "params": run.data.params,
        "tags": tags_of(run),
        "inputs": [
            (i.dataset.name, i.dataset.digest, i.dataset.source, i.dataset.source_type)
            + (i.dataset.schema, i.dataset.profile, sorted((t.key, t.value) for t in i.tags))
            for i in run.inputs.dataset_inputs
        ],
    }


def experiment_of(found: Any) -> Any:
    """All of an experiment that doesn't depend on the machine and the time."""
    if found is None:
        return None
    return {
        "id": _IDS.get(found.experiment_id),
        "name": found.name,
        "stage": found.lifecycle_stage,
        "tags": {k: v for k, v in found.tags.items() if not k.startswith("mlflow.experiment")},
        "times": [isinstance(t, int) for t in (found.creation_time, found.last_update_time)],
    }


def experiments() -> None:
    client = client_module.MlflowClient()
    note("default experiment", experiment_of(mlflow.get_experiment("0")))
    note("default experiment by name", experiment_of(mlflow.get_experiment_by_name("Default")))
    first = known("exp", mlflow.create_experiment("first", tags={"team": "a", "n": "1"}))
    note("create_experiment", isinstance(first, str))
    note("get_experiment", experiment_of(mlflow.get_experiment(first)))
    note("get_experiment_by_name, none", mlflow.get_experiment_by_name("nobody"))
    located = mlflow.create_experiment("located", artifact_location="s3://bucket", tags={"v": "1"})
    known("exp", located)
    note("artifact_location", mlflow.get_experiment(located).artifact_location)
    made = mlflow.set_experiment("second")
    known("exp", made.experiment_id)
    note("set_experiment", experiment_of(made))
    mlflow.set_experiment_tag("k", "5")
    mlflow.set_experiment_tags({"x": "1", "y": "z"})
    note("experiment tags", experiment_of(mlflow.get_experiment(made.experiment_id)))
    client.rename_experiment(made.experiment_id, "renamed")
    note("renamed", experiment_of(client.get_experiment_by_name("renamed")))
    note("old name", experiment_of(client.get_experiment_by_name("second")))
    mlflow.delete_experiment(located)
    note("deleted", experiment_of(mlflow.get_experiment(located)))
    note("deleted by name", experiment_of(mlflow.get_experiment_by_name("located")))
    fails("create_experiment of a deleted name", lambda: mlflow.create_experiment("located"))
    fails("set_experiment of a deleted name", lambda: mlflow.set_experiment("located"))
    fails("run in a deleted experiment", lambda: client.create_run(located))
    fails("tag of a deleted experiment", lambda: client.set_experiment_tag(located, "a", "b"))
    fails("rename of a deleted experiment", lambda: client.rename_experiment(located, "z"))
    fails("delete_experiment twice", lambda: mlflow.delete_experiment(located))
    for kind in ("ACTIVE_ONLY", "DELETED_ONLY", "ALL"):
        found = mlflow.search_experiments(
            view_type=getattr(entities.ViewType, kind), order_by=["name ASC"]
        )
        note(f"search_experiments {kind}", [e.name for e in found])
    client.restore_experiment(located)
    note("restored", experiment_of(mlflow.get_experiment(located)))
    fails("restore_experiment twice", lambda: client.restore_experiment(located))
    for text in (
        "name = 'first'",
        "name LIKE 'f%'",
        "name ILIKE 'F%'",
        "tags.team = 'a'",
        "tags.team != 'b'",
        "attribute.name != 'first'",
        "name LIKE '%t%' AND tags.team = 'a'",
        "creation_time > 0",
        "last_update_time <= 0",
    ):
        found = mlflow.search_experiments(filter_string=text, order_by=["name"])
        note(f"search_experiments {text}", [e.name for e in found])
    for order in (["name DESC"], ["creation_time ASC"], ["experiment_id ASC"], None):
        if order != ["experiment_id ASC"]:
            found = mlflow.search_experiments(order_by=order, max_results=3)
            note(f"search_experiments by {order}", len(found))
    page = client.search_experiments(max_results=2, order_by=["name"])
    names, pages = [e.name for e in page], 1
    while page.token:
        page = client.search_experiments(max_results=2, order_by=["name"], page_token=page.token)
        names, pages = names + [e.name for e in page], pages + 1
    note("search_experiments, paged", [names, pages])


def logging() -> None:
    mlflow.set_experiment("logging")
    known("exp", mlflow.get_experiment_by_name("logging").experiment_id)
    client = client_module.MlflowClient()
    with mlflow.start_run(run_name="one", tags={"a": "1"}, description="about it") as run:
        one = known("run", run.info.run_id)
        note("active run is it", mlflow.active_run().info.run_id == one)
        note("run id", bool(re.fullmatch("[0-9a-f]{32}", one)))
        note("a new run", run_of(one))
        note("handle", [run.info.status, run.info.run_name, run.data.params, run.info.end_time])
        note("log_param returns", mlflow.log_param("lr", 0.01))
        note("log_metric returns", mlflow.log_metric("m", 1))
        note("set_tag returns", mlflow.set_tag("t", None))
        mlflow.log_params({"none": None, "list": [1, 2], "bool": True, "text": "ü€ 漢\n x"})
        mlflow.log_params({"empty": "", "long": "x" * 6000, "a/b c-d.e": 1})
        mlflow.log_param("lr", 0.01)
        fails("param with another value", lambda: mlflow.log_param("lr", 0.02))
        fails("params, one with another value", lambda: mlflow.log_params({"new": 1, "lr": 2}))
        mlflow.set_tags({"t": "over", "n": 3, "long": "y" * 8000, "mlflow.note.content": "new"})
        mlflow.set_tag("gone", 1)
        mlflow.delete_tag("gone")
        fails("delete_tag twice", lambda: mlflow.delete_tag("gone"))
        mlflow.log_metrics({"x": 1.5, "y": True, "z/w": -2}, step=3)
        for step, value, time in ((0, 5.0, 10), (2, 1.0, 20), (1, 9.0, 30), (2, 0.5, 20)):
            client.log_metric(one, "order", value, time, step)
        client.log_metric(one, "later", 1.0, 50, 0)
        client.log_metric(one, "later", 2.0, 40, 0)
        client.log_metric(one, "negative", 1.0, 1, -5)
        client.log_metric(one, "negative", 2.0, 1, -6)
        for value in (math.nan, 1.0, math.nan):
            client.log_metric(one, "nan then number", value, 1, 0)
        client.log_metric(one, "only nan", math.nan, 1, 0)
        client.log_metric(one, "inf", math.inf, 1, 0)
        client.log_metric(one, "-inf", -math.inf, 1, 0)
        client.log_metric(one, "big step", 1, 1, 2**63 - 1)
        client.log_metric(one, "twice", 4.0, 7, 7)
        client.log_metric(one, "twice", 4.0, 7, 7)
        client.log_metric(one, "tiny", 5e-324, 7, 7)
        client.log_metric(one, "float step", 1, 1, 2.0)
        batch = [entities.Metric(f"b{i}", i / 10, 5, i) for i in range(3)]
        client.log_batch(one, batch, [entities.Param("bp", "v")], [entities.RunTag("bt", "v")])
        client.log_batch(one, metrics=[], params=(), tags=[])
    note("a logged run", run_of(one))
    for key in ("order", "later", "negative", "nan then number", "twice", "nothing", "inf", "tiny"):
        history = client.get_metric_history(one, key)
        note(
            f"history of {key}",
            sorted(([m.key, m.value, m.timestamp, m.step] for m in history), key=str),
        )
    note("last_active_run", mlflow.last_active_run().info.run_id)
    note("active after the block", mlflow.active_run())


def nesting() -> None:
    mlflow.set_experiment("nesting")
    known("exp", mlflow.get_experiment_by_name("nesting").experiment_id)
    with mlflow.start_run(run_name="parent") as parent:
        known("run", parent.info.run_id)
        fails("start_run inside a run", lambda: mlflow.start_run())
        fails("start_run of the active one", lambda: mlflow.start_run(parent.info.run_id))
        with mlflow.start_run(run_name="child", nested=True) as child:
            known("run", child.info.run_id)
            mlflow.log_param("inner", 1)
        note("active after the child", mlflow.active_run().info.run_id)
    note("child", run_of(child.info.run_id))
    note("get_parent_run", mlflow.get_parent_run(child.info.run_id).info.run_id)
    note("get_parent_run of the parent", mlflow.get_parent_run(parent.info.run_id))
    with mlflow.start_run(parent_run_id=parent.info.run_id, run_name="adopted") as adopted:
        known("run", adopted.info.run_id)
    note("parent_run_id", mlflow.get_parent_run(adopted.info.run_id).info.run_id)
    fails("parent_run_id of none", lambda: mlflow.start_run(parent_run_id="f" * 32))
    mlflow.end_run()
    for name, error in (("ValueError", ValueError), ("KeyboardInterrupt", KeyboardInterrupt)):
        try:
            with mlflow.start_run(run_name=name) as failed:
                known("run", failed.info.run_id)
                raise error
        except (ValueError, KeyboardInterrupt):
            pass
        note(f"run with {name}", run_of(failed.info.run_id))
    try:
        with mlflow.start_run(run_name="outer") as outer:
            with mlflow.start_run(run_name="inner", nested=True) as inner:
                raise ValueError
    except ValueError:
        note("nested error", [mlflow.get_run(r.info.run_id).info.status for r in (outer, inner)])
    known("run", outer.info.run_id), known("run", inner.info.run_id)
    run = mlflow.start_run(run_name="to kill")
    known("run", run.info.run_id)
    mlflow.end_run("KILLED")
    note("end_run KILLED", run_of(run.info.run_id))
    mlflow.end_run()
    note("resumed, before", mlflow.get_run(parent.info.run_id).info.status)
    with mlflow.start_run(run_id=parent.info.run_id, tags={"again": "1"}) as again:
        note("resumed, during", [again.info.status, mlflow.get_run(again.info.run_id).info.status])
        mlflow.log_param("more", 1)
    note("resumed", run_of(parent.info.run_id))
    with mlflow.start_run(run_id=parent.info.run_id, run_name="new name"):
        pass
    note("resumed with a name", mlflow.get_run(parent.info.run_id).info.run_name)
    mlflow.log_param("implicit", 1)
    implicit = known("run", mlflow.active_run().info.run_id)
    mlflow.end_run()
    note("implicit run", run_of(implicit) | {"name": "", "tags": {}})


def by_id() -> None:
    client = client_module.MlflowClient()
    exp = known("exp", client.create_experiment("by id"))
    run = client.create_run(exp, start_time=1000, tags={"mlflow.runName": "named", "q": "1"})
    run_id = known("run", run.info.run_id)
    note("create_run", run_of(run_id))
    note("create_run times", [run.info.start_time, run.info.end_time])
    note("client.log_param returns", client.log_param(run_id, "p", 1))
    client.set_tag(run_id, "x", 1)
    client.update_run(run_id, name="other")
    note("update_run name", run_of(run_id))
    client.update_run(run_id, status="FAILED")
    note("update_run status", run_of(run_id) | {"ended": 0})
    client.set_terminated(run_id, "FINISHED", 5000)
    note("set_terminated", [run_of(run_id), mlflow.get_run(run_id).info.end_time])
    client.log_metric(run_id, "after", 1.0, 1, 1)
    client.log_param(run_id, "after", 1)
    client.set_tag(run_id, "after", 1)
    client.delete_tag(run_id, "q")
    note("logged after the end", run_of(run_id))
    fails("param of an ended run with another value", lambda: client.log_param(run_id, "p", 2))
    client.update_run(run_id, status="RUNNING")
    note("RUNNING again", mlflow.get_run(run_id).info.status)
    client.set_terminated(run_id)
    client.delete_run(run_id)
    note("deleted run", run_of(run_id))
    for name, call in {
        "log_metric": lambda: client.log_metric(run_id, "d", 1.0),
        "log_param": lambda: client.log_param(run_id, "d", 1),
        "set_tag": lambda: client.set_tag(run_id, "d", 1),
        "delete_tag": lambda: client.delete_tag(run_id, "x"),
        "log_batch": lambda: client.log_batch(run_id, params=[entities.Param("d", "1")]),
        "set_terminated": lambda: client.set_terminated(run_id),
        "update_run": lambda: client.update_run(run_id, name="z"),
        "start_run": lambda: mlflow.start_run(run_id=run_id),
        "delete_run": lambda: client.delete_run(run_id),
    }.items():
        fails(f"{name} of a deleted run", call)
    mlflow.end_run()
    client.restore_run(run_id)
    note("restored run", run_of(run_id) | {"name": 0})
    fails("restore_run of an active run", lambda: client.restore_run(run_id))


def search() -> None:
    client = client_module.MlflowClient()
    exp = known("exp", client.create_experiment("search"))
    values = [0.5, 0.9, math.nan, None, -1.0, 0.9]
    for i, value in enumerate(values):
        run = client.create_run(exp, start_time=1000 + i, run_name=f"experiment_{i}")
        known("run", run.info.run_id)
        if value is not None:
            client.log_metric(run.info.run_id, "acc", value, 1, i)
        client.log_param(run.info.run_id, "model", ["RandomForest", "XGBoost"][i % 2])
        client.log_param(run.info.run_id, "lr", 10.0**-i)
        client.set_tag(run.info.run_id, "team", "ml_team" if i < 4 else "Other")
        if i % 3:
            client.set_terminated(run.info.run_id, end_time=2000 + i)
        if i == 5:
            client.delete_run(run.info.run_id)
    shown = {f"experiment_{i}": i for i in range(6)}
    for text in (
        "",
        "metrics.acc > 0.6",
        "metrics.acc >= 0.5 and metrics.acc < 0.9",
        "metric.acc != 0.5",
        "params.model = 'RandomForest' and metrics.acc > 0.1",
        "params.model != 'XGBoost'",
        "params.model LIKE 'Random%'",
        "parameter.model ILIKE '%boost'",
        "tags.team = 'ml_team'",
        "tag.team != 'ml_team'",
        'tags."team" = "Other"',
        "tags.`team` = 'Other'",
        "attributes.status = 'FINISHED'",
        "attributes.status != 'FINISHED'",
        "status = 'RUNNING'",
        "attributes.run_name LIKE 'experiment_%'",
        "run_name = 'experiment_1'",
        "attributes.start_time > 1002",
        "start_time <= 1001 and end_time > 0",
        "params.missing = 'x'",
        "params.missing != 'x'",
        "tags.missing IS NULL",
        "params.model IS NOT NULL",
        "tags.mlflow.runName = 'experiment_2'",
        "attributes.artifact_uri LIKE '%artifacts%'",
        "run_id IN ('abc')",
        "attributes.run_id NOT IN ('abc')",
    ):
        found = client.search_runs([exp], text)
        note(f"search {text}", [shown[r.info.run_name] for r in found])
    for order in (
        ["metrics.acc"],
        ["metrics.acc DESC"],
        ["metrics.acc desc", "start_time"],
        ["params.lr"],
        ["params.model DESC", "start_time ASC"],
        ["attributes.start_time DESC"],
        ["run_name"],
        ["tags.team", "attributes.end_time DESC"],
        ["metrics.missing"],
        ["status"],
    ):
        found = client.search_runs([exp], order_by=order)
        note(f"order {order}", [shown[r.info.run_name] for r in found])
    for kind in ("ACTIVE_ONLY", "DELETED_ONLY", "ALL"):
        found = client.search_runs([exp], run_view_type=getattr(entities.ViewType, kind))
        note(f"view {kind}", [shown[r.info.run_name] for r in found])
    pages, token = [], None
    while True:
        page = client.search_runs([exp], max_results=2, order_by=["start_time"], page_token=token)
        pages.append([shown[r.info.run_name] for r in page])
        token = page.token
        if not token:
            break
    note("pages", pages)
    found = mlflow.search_runs([exp], output_format="list", max_results=3, order_by=["start_time"])
    note("search_runs list", [shown[r.info.run_name] for r in found])
    note("search_runs by name", len(mlflow.search_runs(experiment_names=["search", "nobody"])))
    note("search_runs of no experiment", len(mlflow.search_runs([])))
    frame = mlflow.search_runs([exp], order_by=["start_time"])
    columns = [
        c for c in frame.columns if not c.startswith(("tags.mlflow.source", "tags.mlflow.user"))
    ]
    note("frame columns", sorted(columns))
    note("frame first columns", list(frame.columns[:6]))
    note("frame dtypes", {c: frame[c].dtype for c in columns})
    note(
        "frame values",
        {
            c: list(frame[c].astype(str))
            for c in columns
            if c not in ("artifact_uri", "experiment_id")
        },
    )
    empty = mlflow.search_runs([exp], "metrics.acc > 100")
    note(
        "empty frame", [list(empty.columns), len(empty), {c: empty[c].dtype for c in empty.columns}]
    )
    note("search all", len(mlflow.search_runs(search_all_experiments=True)) > 8)
    mlflow.set_experiment("search")
    note("search the current one", len(mlflow.search_runs()))
    for text in (
        "acc > 1",
        "metrics.acc > 'x'",
        "params.model > 'x'",
        "metrics.acc = ",
        "foo.bar = 1",
    ):
        fails(f"filter {text}", lambda text=text: client.search_runs([exp], text))
    for text in (
        "metrics.acc LIKE '1'",
        "params.model = 1",
        "a = 1 OR b = 2",
        "status > 'F'",
        "attributes.nothing = 'x'",
        "metrics.acc > 1 metrics.acc < 2",
    ):
        fails(f"filter {text}", lambda text=text: client.search_runs([exp], text))
    for order in ("acc", "metrics.acc UP", "foo.bar", "metrics.acc DESC ASC"):
        fails(f"order {order}", lambda order=order: client.search_runs([exp], order_by=[order]))


def datasets() -> None:
    import numpy as np
    import pandas as pd

    mlflow.set_experiment("datasets")
    known("exp", mlflow.get_experiment_by_name("datasets").experiment_id)
    data = importlib.import_module(f"{sys.argv[1]}.data")
    frame = pd.DataFrame({"a": [1, 2], "b": ["x", "y"], "c": [0.5, None]})
    with mlflow.start_run(run_name="data") as run:
        known("run", run.info.run_id)
        one = data.from_pandas(frame, source="path/to/data.csv", name="training_data", targets="a")
        mlflow.log_input(one, context="training")
        mlflow.log_input(one, context="training")
        two = data.from_numpy(np.ones((3, 2)), source="s3://bucket/x.npy", targets=np.zeros(3))
        mlflow.log_input(two, "validation", {"k": "v"})
    note("dataset inputs", run_of(run.info.run_id))
    exp = run.info.experiment_id
    for text in (
        "dataset.name = 'training_data'",
        "datasets.context = 'validation'",
        "dataset.digest LIKE '%'",
        "dataset.name IN ('training_data', 'x')",
        "dataset.name = 'other'",
    ):
        found = mlflow.search_runs([exp], text, output_format="list")
        note(f"search {text}", [r.info.run_id for r in found])
    source = data.get_source(mlflow.get_run(run.info.run_id).inputs.dataset_inputs[0].dataset)
    note("get_source", [source.to_dict(), source._get_source_type()])


def artifacts() -> None:
    import os
    import tempfile

    import pandas as pd

    mlflow.set_experiment("artifacts")
    known("exp", mlflow.get_experiment_by_name("artifacts").experiment_id)
    client = client_module.MlflowClient()
    loads = importlib.import_module(f"{sys.argv[1]}.artifacts")
    folder = tempfile.mkdtemp()
    os.makedirs(f"{folder}/in/sub")
    for name in ("a.txt", "sub/b.txt"):
        with open(f"{folder}/in/{name}", "w") as f:
            f.write(name)
    with mlflow.start_run(run_name="files") as run:
        run_id = known("run", run.info.run_id)
        mlflow.log_artifact(f"{folder}/in/a.txt")
        mlflow.log_artifact(f"{folder}/in/a.txt", "deep/er")
        mlflow.log_artifact(f"{folder}/in", "folder")
        mlflow.log_artifacts(f"{folder}/in", artifact_path="all")
        mlflow.log_text("täxt", "text/t.txt")
        mlflow.log_dict({"k": [1, 2], "n": None}, "d.json")
        mlflow.log_dict({"k": [1, 2], "b": "ü"}, "d.yaml")
        mlflow.log_dict({"k": 1}, "d.data")
        mlflow.log_table({"x": [1, 2], "y": ["a", "b"]}, "t.json")
        mlflow.log_table(pd.DataFrame({"x": [3], "y": ["c"]}), "t.json")
        mlflow.log_table({"x": 1, "y": "one row"}, "row.json")
        fails("log_table .csv", lambda: mlflow.log_table({"x": [1]}, "t.csv"))
        fails("log_table of a list", lambda: mlflow.log_table([1], "t2.json"))
        fails("log_artifact of none", lambda: mlflow.log_artifact(f"{folder}/none"))
        fails("log_artifacts of none", lambda: mlflow.log_artifacts(f"{folder}/none"))
        for path in ("../x.txt", "/x.txt", "a/../../x.txt", ""):
            fails(f"log_text {path}", lambda path=path: mlflow.log_text("", path))
        for path in ("..", "/etc", "a/../.."):
            fails(f"list_artifacts {path}", lambda path=path: client.list_artifacts(run_id, path))
            fails(f"download {path}", lambda path=path: client.download_artifacts(run_id, path))
    for path in (None, "", "deep", "folder", "folder/in", "all", "d.json", "nothing", "deep/"):
        found = client.list_artifacts(run_id, path)
        note(
            f"list {path!r}",
            [[i.path, i.is_dir, i.file_size] for i in found if "json" not in i.path],
        )
    uri = f"runs:/{run_id}"
    note("list_artifacts", [i.path for i in loads.list_artifacts(f"{uri}/")])
    note("list_artifacts below", [i.path for i in loads.list_artifacts(f"{uri}/all")])
    note(
        "list_artifacts by run",
        [i.path for i in loads.list_artifacts(run_id=run_id, artifact_path="all")],
    )
    note("load_text", loads.load_text(f"{uri}/text/t.txt"))
    note("load_dict", [loads.load_dict(f"{uri}/d.json"), loads.load_text(f"{uri}/d.yaml")])
    note("load_dict, no suffix of YAML", loads.load_dict(f"{uri}/d.data"))
    fails("load_dict of text", lambda: loads.load_dict(f"{uri}/text/t.txt"))
    fails("load_image of text", lambda: loads.load_image(f"{uri}/text/t.txt"))
    fails("load_text of none", lambda: loads.load_text(f"{uri}/none.txt"))
    table = mlflow.load_table("t.json", run_ids=[run_id], extra_columns=["run_id"])
    note("load_table", {c: list(table[c]) for c in table})
    note("load_table, a row", mlflow.load_table("row.json").to_dict("list"))
    fails("load_table of none", lambda: mlflow.load_table("none.json"))
    target = tempfile.mkdtemp()
    got = loads.download_artifacts(f"{uri}/all", dst_path=target)
    note("download", [os.path.relpath(got, target), sorted(os.listdir(got))])
    got = loads.download_artifacts(run_id=run_id, artifact_path="deep/er/a.txt", dst_path=target)
    note("download a file", [os.path.relpath(got, target), open(got).read()])
    got = client.download_artifacts(run_id, "", target)
    note("download all", [os.path.relpath(got, target), sorted(os.listdir(got))])
    got = client.download_artifacts(run_id, "text")
    note("download to a temporary folder", sorted(os.listdir(got)))
    note("logged artifacts tag", mlflow.get_run(run_id).data.tags["mlflow.loggedArtifacts"])
    fails("download of none", lambda: client.download_artifacts(run_id, "none"))
    fails("download without arguments", lambda: loads.download_artifacts())
    fails("download with both", lambda: loads.download_artifacts(uri, run_id))
    fails("download to no folder", lambda: client.download_artifacts(run_id, "", "/nowhere/x"))
    fails("list_artifacts without arguments", lambda: loads.list_artifacts())


def errors() -> None:
    client = client_module.MlflowClient()
    exp = known("exp", client.create_experiment("errors"))
    run_id = known("run", client.create_run(exp).info.run_id)
    unknown = "0" * 31 + "1"
    metric, param, tag = entities.Metric, entities.Param, entities.RunTag
    for name, call in {
        "get_run of none": lambda: client.get_run(unknown),
        "get_run of a bad id": lambda: client.get_run("../x"),
        "get_run of an empty id": lambda: client.get_run(""),
        "get_experiment of none": lambda: client.get_experiment("123456789"),
        "get_experiment of a bad id": lambda: client.get_experiment("../x"),
        "create_experiment twice": lambda: client.create_experiment("errors"),
        "create_experiment without a name": lambda: client.create_experiment(""),
        "create_experiment of None": lambda: client.create_experiment(None),
        "create_experiment of a number": lambda: client.create_experiment(5),
        "create_experiment, long": lambda: client.create_experiment("x" * 501),
        "set_experiment of nothing": lambda: mlflow.set_experiment(),
        "set_experiment of both": lambda: mlflow.set_experiment("a", "b"),
        "set_experiment of an unknown id": lambda: mlflow.set_experiment(experiment_id="99999999"),
        "rename to a taken name": lambda: client.rename_experiment(exp, "first"),
        "delete_experiment of none": lambda: client.delete_experiment("123456789"),
        "create_run in none": lambda: client.create_run("123456789"),
        "start_run in none": lambda: mlflow.start_run(experiment_id="123456789"),
        "start_run of none": lambda: mlflow.start_run(run_id=unknown),
        "start_run with two descriptions": lambda: mlflow.start_run(
            description="a", tags={"mlflow.note.content": "b"}
        ),
        "log_metric of none": lambda: client.log_metric(unknown, "a", 1),
        "log_metric of text": lambda: client.log_metric(run_id, "a", "x"),
        "log_metric of None": lambda: client.log_metric(run_id, "a", None),
        "log_metric of a numeral": lambda: client.log_metric(run_id, "a", "1.5"),
        "log_metric of a list": lambda: client.log_metric(run_id, "a", [1]),
        "log_metric without a name": lambda: client.log_metric(run_id, "", 1),
        "log_metric with a name of None": lambda: client.log_metric(run_id, None, 1),
        "log_metric ../x": lambda: client.log_metric(run_id, "../x", 1),
        "log_metric a//b": lambda: client.log_metric(run_id, "a//b", 1),
        "log_metric /a": lambda: client.log_metric(run_id, "/a", 1),
        "log_metric .": lambda: client.log_metric(run_id, ".", 1),
        "log_metric a?": lambda: client.log_metric(run_id, "a?", 1),
        "log_metric a(b)": lambda: client.log_metric(run_id, "a(b)", 1),
        "log_metric, long": lambda: client.log_metric(run_id, "x" * 251, 1),
        "log_metric, step of text": lambda: client.log_metric(run_id, "a", 1, step="x"),
        "log_metric, big step": lambda: client.log_metric(run_id, "a", 1, step=2**63),
        "log_metric, time of text": lambda: client.log_metric(run_id, "a", 1, timestamp="x"),
        "log_metric, time below 0": lambda: client.log_metric(run_id, "a", 1, timestamp=-1),
        "log_param of none": lambda: client.log_param(unknown, "a", 1),
        "log_param without a name": lambda: client.log_param(run_id, "", 1),
        "log_param a?": lambda: client.log_param(run_id, "a?", 1),
        "log_param, long name": lambda: client.log_param(run_id, "x" * 251, 1),
        "log_param, long value": lambda: client.log_param(run_id, "long", "x" * 6001),
        "set_tag of none": lambda: client.set_tag(unknown, "a", 1),
        "set_tag without a name": lambda: client.set_tag(run_id, "", 1),
        "set_tag, long value": lambda: client.set_tag(run_id, "long", "x" * 8001),
        "set_tag, long name": lambda: client.set_tag(run_id, "x" * 251, 1),
        "log_batch, 1001 metrics": lambda: client.log_batch(
            run_id, [metric(f"m{i}", 1, 1, 0) for i in range(1001)]
        ),
        "log_batch, 101 params": lambda: client.log_batch(
            run_id, params=[param(f"p{i}", "1") for i in range(101)]
        ),
        "log_batch, a param twice": lambda: client.log_batch(
            run_id, params=[param("tw", "1"), param("tw", "2")]
        ),
        "log_batch, a param twice, equal": lambda: client.log_batch(
            run_id, params=[param("te", "1"), param("te", "1")]
        ),
        "log_batch of none": lambda: client.log_batch(unknown, tags=[tag("a", "b")]),
        "log_batch with a bad tag": lambda: client.log_batch(run_id, tags=[tag("", "b")]),
        "delete_run of none": lambda: client.delete_run(unknown),
        "restore_run of none": lambda: client.restore_run(unknown),
        "set_terminated of none": lambda: client.set_terminated(unknown),
        "set_terminated with a bad status": lambda: client.set_terminated(run_id, "DONE"),
        "update_run with a bad status": lambda: client.update_run(run_id, "DONE"),
        "get_metric_history of none": lambda: client.get_metric_history(unknown, "a"),
        "list_artifacts of none": lambda: client.list_artifacts(unknown),
        "search_runs, 0 results": lambda: client.search_runs([exp], max_results=0),
        "search_runs, many results": lambda: client.search_runs([exp], max_results=50001),
        "search_runs, bad token": lambda: client.search_runs([exp], page_token="x"),
        "search_runs, bad view": lambda: client.search_runs([exp], run_view_type=9),
        "search_runs, bad format": lambda: mlflow.search_runs([exp], output_format="x"),
        "search_runs, ids and names": lambda: mlflow.search_runs([exp], experiment_names=["a"]),
        "search_experiments, bad filter": lambda: client.search_experiments(filter_string="x"),
        "search_experiments, 0 results": lambda: client.search_experiments(max_results=0),
        "log_image of text": lambda: mlflow.log_image("x", "a.png"),
        "log_figure of text": lambda: mlflow.log_figure("x", "a.png"),
        "delete the default experiment": lambda: None,
        "RunStatus of a bad name": lambda: entities.RunStatus.from_string("DONE"),
        "ViewType of a bad name": lambda: entities.ViewType.from_string("x"),
    }.items():
        fails(name, call)
        while mlflow.active_run():
            mlflow.end_run()


def entity_forms() -> None:
    status, view = entities.RunStatus, entities.ViewType
    note("RunStatus", [status.to_string(i) for i in range(1, 6)])
    note("RunStatus.from_string", status.from_string("KILLED"))
    note("is_terminated", [status.is_terminated(i) for i in range(1, 6)])
    note("all_status", sorted(status.all_status()))
    note("ViewType", [view.from_string(t) for t in ("active_only", "deleted_only", "all")])
    note("ViewType.to_string", [view.to_string(i) for i in (1, 2, 3)])
    note("LifecycleStage", [entities.LifecycleStage.ACTIVE, entities.LifecycleStage.DELETED])
    metric = entities.Metric("k", 1.5, 10, 2)
    note("dict(metric)", {k: v for k, v in dict(metric).items() if v is not None})
    note("metric ==", [metric == entities.Metric("k", 1.5, 10, 2), metric == 1])
    note("dict(param)", dict(entities.Param("a", "b")))
    note("dict(tag)", dict(entities.RunTag("a", "b")))
    note("dict(file)", dict(entities.FileInfo("a", False, 3)))
    mlflow.set_experiment("entities")
    with mlflow.start_run(run_name="e") as run:
        known("run", run.info.run_id)
        mlflow.log_metric("m", 1)
    shown = mlflow.get_run(run.info.run_id).to_dictionary()
    note("run.to_dictionary", sorted(shown))
    note("run.to_dictionary data", sorted(shown["data"]))
    note("dict(run.info)", sorted(set(dict(run.info)) - {"run_uuid"}))
    note("dict(experiment)", sorted(dict(mlflow.get_experiment("0"))))


if __name__ == "__main__":
    import os

    # Looked at by both: MLflow's are asked for by these names alone.
    os.environ["MLFLOW_TRACKING_URI"] = sys.argv[2]
    os.environ["MLFLOW_TRUNCATE_LONG_VALUES"] = "true"
    for part in (
        experiments,
        logging,
        nesting,
        by_id,
        search,
        datasets,
        artifacts,
        errors,
        entity_forms,
    ):
        try:
            part()
        except Exception:
            if "--go-on" not in sys.argv:
                raise
            import traceback

            RESULT[f"part {part.__name__}"] = traceback.format_exc()
    with open(sys.argv[3], "w", encoding="utf-8") as f:
        json.dump(RESULT, f, indent=1, sort_keys=True)
