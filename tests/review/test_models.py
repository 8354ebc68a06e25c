"""Registered versions as revisions, and what differs between the models of two runs."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from click.testing import CliRunner

import mlgit
from mlgit.cli.main import cli
from mlgit.exceptions import InvalidParameterValue, ResourceDoesNotExist
from mlgit.models import infer_signature
from mlgit.review.compare import compare
from mlgit.review.modelparts import _requirements, _signature
from mlgit.review.revisions import resolve, resolve_version

NAME = "shop"


def log(name: str, example: Any, needs: list[str], **metrics: float) -> None:
    with mlgit.start_run(run_name=name):
        mlgit.log_param("kind", name)
        mlgit.log_metrics(metrics)
        mlgit.pyfunc.log_model(
            "model",
            python_model=str.upper,
            signature=infer_signature(example, [1.0]),
            pip_requirements=needs,
            registered_model_name=NAME,
        )


@pytest.fixture
def registered(place: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A model of two versions: the first in production, the second the challenger."""
    import pandas as pd

    monkeypatch.chdir(place.path)
    log("first", pd.DataFrame({"age": [1], "gone": ["x"]}), ["numpy==1.26.0", "old==1"], acc=0.5)
    place.write("train.py", "lr = 0.2\n")
    log("second", pd.DataFrame({"age": [1.5]}), ["numpy==2.0.0", "pandas"], acc=0.75)
    client = mlgit.MlgitClient()
    client.transition_model_version_stage(NAME, 1, "Production")
    client.set_registered_model_alias(NAME, "challenger", 2)
    client.set_model_version_tag(NAME, 2, "checked", "<b>")
    place.store.index.sync()
    return place


def call(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(cli, ["--no-pager", *arguments])
    return done.exit_code, done.output


def test_what_a_run_measured_after_it_was_registered_counts(place: Any, monkeypatch: Any) -> None:
    monkeypatch.chdir(place.path)
    for name, accuracy in (("one", 0.5), ("two", 0.75)):
        with mlgit.start_run(run_name=name):
            mlgit.pyfunc.log_model(
                "model", python_model=str.upper, pip_requirements=[], registered_model_name=NAME
            )
            mlgit.log_metric("accuracy", accuracy)
    code, out = call("models", "diff", f"{NAME}@v1", f"{NAME}@v2")
    assert code == 0 and "RUNNING" not in out
    assert re.search(r"accuracy +0\.5 +0\.75", out)


def test_ways_to_name_a_version(registered: Any) -> None:
    store = registered.store
    for text in (
        "shop@v1",
        "shop@1",
        "shop@production",
        "models:/shop/1",
        "models:/shop/Production",
    ):
        found = resolve(store, text)
        assert found.kind == "model" and found.version and found.version.version == 1, text
        assert found.run_id == found.version.run_id and found.commit == found.version.commit
    second = resolve(store, "models:/shop@challenger")
    assert second.label == "shop v2 (@challenger)"
    assert resolve_version(store, "shop").version == second.version
    assert resolve(store, "shop@v2~1").kind == "commit"
    # The tag itself is one of Git's.
    assert resolve(store, "shop@v2.0.0").commit == second.commit
    with pytest.raises(InvalidParameterValue, match="alias nothing not found"):
        resolve(store, "shop@nothing")
    with pytest.raises(ResourceDoesNotExist):
        resolve(store, "shop@v9")
    with pytest.raises(ResourceDoesNotExist, match="no run, branch"):
        resolve(store, "other@v1")


def test_a_branch_comes_before_a_version(registered: Any) -> None:
    registered.git("branch", "shop@v1")
    assert resolve(registered.store, "shop@v1").kind == "commit"
    assert resolve_version(registered.store, "shop@v1").kind == "model"


def test_the_parts_of_models(registered: Any) -> None:
    store = registered.store
    found = compare(store, resolve(store, "shop@production"), resolve(store, "shop@challenger"))
    (run,) = found.runs
    (model,) = run.models
    told = {c.name: (c.old, c.new) for c in model.signature if c.status != "unchanged"}
    assert told == {"input age": ("long", "double"), "input gone": ("string", None)}
    needs = [c for c in model.requirements if c.status != "unchanged"]
    assert {c.name: (c.old, c.new) for c in needs} == {
        "numpy": ("==1.26.0", "==2.0.0"),
        "old": ("==1", None),
        "pandas": (None, "any"),
    }
    assert {c.name: (c.old, c.new) for c in model.registered} == {
        "version": ("1", "2"),
        "stage": ("Production", None),
        "aliases": (None, "challenger"),
        "tag checked": (None, "<b>"),
    }
    assert {m.name: m.verdict for m in run.metrics} == {"acc": "better"}
    assert [f.path for f in found.code.files] == ["train.py"]
    assert found.differs(["models"])


def test_the_command(registered: Any) -> None:
    code, text = call("models", "diff", "shop@production", "shop@challenger")
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert code == 0 and lines[0].startswith("old shop v1 (Production): first (")
    assert "model requires numpy ==1.26.0 ==2.0.0" in lines
    assert "model input age long double" in lines and "kind first second" in lines
    assert lines.index("Models") < lines.index("Metrics") < lines.index("Params")
    code, text = call("models", "diff", "shop@v1", "shop@v2", "--json", "--exit-code")
    data = json.loads(text)
    assert code == 1 and data["old"]["model"] == {"name": "shop", "version": 1}
    assert data["runs"][0]["models"][0]["requirements"]["pandas"]["new"] == "any"
    assert call("models", "diff", "shop@v1", "shop@v1", "--exit-code")[0] == 0
    assert "**Models**" in call("models", "diff", "shop@v1", "shop", "--md")[1]
    assert call("models", "diff", "shop@v1", "shop@v7")[0] == 3
    assert call("models", "diff", "nothing@v1", "shop@v1")[0] == 3


def test_models_of_runs(registered: Any) -> None:
    store = registered.store
    found = compare(store, resolve(store, "first"), resolve(store, "second"))
    (model,) = found.runs[0].models
    assert (model.old_path, model.new_path, model.registered) == ("model", "model", ())
    assert found.runs[0].models[0].status == "changed"


def test_files_that_are_not_here_are_said_to_be(registered: Any) -> None:
    import shutil

    shutil.rmtree(registered.path / ".git/mlgit/objects")
    code, text = call("models", "diff", "shop@v1", "shop@v2")
    assert code == 0 and "can't be read" in text and "acc" in text


def test_a_version_of_a_folder_elsewhere(registered: Any) -> None:
    mlgit.MlgitClient().create_model_version(NAME, "s3://bucket/model")
    found = compare(
        registered.store,
        resolve(registered.store, "shop@v3"),
        resolve(registered.store, "shop@v2"),
    )
    (run,) = found.runs
    assert run.old is None and found.code.missing == ("old",)
    told = {c.name: c.new for c in run.models[0].registered}
    assert told["version"] == "2"
    both = compare(registered.store, *[resolve(registered.store, "shop@v3")] * 2)
    assert [m.status for m in both.runs[0].models] == ["unchanged"]


def test_odd_signatures_and_requirements() -> None:
    tensor = {"type": "tensor", "tensor-spec": {"dtype": "float32", "shape": [-1, 4]}}
    found = _signature(
        {
            "signature": {
                "inputs": json.dumps([tensor]),
                "outputs": json.dumps([{"type": "long", "required": False}, {"type": "double"}]),
                "params": json.dumps([{"name": "k", "type": "long", "default": 3}]),
            }
        }
    )
    assert found == {
        "input": "tensor float32 (-1, 4)",
        "output": "long optional",
        "output 1": "double",
        "param k": 'long {"default": 3}',
    }
    for odd in ("text", {"inputs": "{"}, {"inputs": "3"}, {"inputs": [3]}, None):
        assert _signature({"signature": odd}) == {}
    assert _requirements(
        "# x\n\na==1\nb[c] >=2 ; python_version > '3'\ngit+https://x/y\n-r z\n"
    ) == {
        "a": "==1",
        "b[c]": ">=2 ; python_version > '3'",
        "git+https://x/y": "given",
        "-r z": "given",
    }
