"""``mlgit models``."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("sklearn")
import cloudpickle
import pandas as pd
from sklearn.linear_model import LinearRegression

import mlgit
import mlgit.pyfunc
import mlgit.sklearn
from mlgit.models import infer_signature, listing

# Read here: the tests' fixtures take such variables away.
PEERS = {major: os.environ.get(f"MLGIT_TEST_MLFLOW{major}", "") for major in ("2", "3")}
FRAME = pd.DataFrame({"a": [1.0, 2.0, 3.0], "b": [0.0, 1.0, 1.0]})
ANSWER = [2.0, 5.0, 7.0]  # 2a + b


class Raises(mlgit.pyfunc.PythonModel):
    def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:
        print("about to fail")
        raise ZeroDivisionError("no such flower")


class Counts(mlgit.pyfunc.PythonModel):
    def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:
        return model_input["a"] * params["by"]


@pytest.fixture(autouse=True)
def own(tmp_path_factory: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A cache of the tests', ``sys.path`` as it was, classes of this file kept by value."""
    monkeypatch.setenv("MLGIT_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))
    monkeypatch.setattr(sys, "path", list(sys.path))
    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    yield
    cloudpickle.unregister_pickle_by_value(sys.modules[__name__])


@pytest.fixture
def logged(repo: Path) -> dict[str, str]:
    """Ids of runs by name: "one" has a model, "two" has two, "none" has none."""
    model = LinearRegression().fit(FRAME, ANSWER)
    ids = {}
    with mlgit.start_run(run_name="one") as run:
        mlgit.sklearn.log_model(model, "model", input_example=FRAME, metadata={"team": "flowers"})
        ids["one"] = run.info.run_id
    other = mlgit.create_experiment("other")
    with mlgit.start_run(run_name="two", experiment_id=other) as run:
        mlgit.log_metric("loss", 0.5)
        mlgit.sklearn.log_model(model, "plain")
        signature = infer_signature(FRAME[["a"]], [1.0], {"by": 2.0})
        mlgit.pyfunc.log_model("counts", python_model=Counts(), signature=signature)
        ids["two"] = run.info.run_id
    with mlgit.start_run(run_name="none") as run:
        mlgit.log_text("hello", "notes/a.txt")
        ids["none"] = run.info.run_id
    FRAME.to_csv("in.csv", index=False)
    return ids


@pytest.fixture
def raises(logged: dict[str, str]) -> str:
    with mlgit.start_run(run_name="raises"):
        info = mlgit.pyfunc.log_model(
            "model", python_model=Raises(), signature=infer_signature(FRAME), input_example=FRAME
        )
    return str(info.model_uri)


# -- list


def test_list(run, data, logged):
    lines = run("models", "list", "--logged").stdout.splitlines()
    assert lines[0].split() == ["run", "name", "path", "flavor", "size", "started", "signature"]
    assert [line.split()[1:4] for line in lines[1:]] == [
        ["two", "counts", "python_function"],
        ["two", "plain", "sklearn"],
        ["one", "model", "sklearn"],
    ]
    assert lines[3].endswith("2 columns → float64 (-1,)")
    assert lines[1].endswith("double → double (1 param)")
    found = data("models", "list", "--logged", "--json")
    first = found[-1]
    assert first["model_uri"] == f"runs:/{logged['one']}/model"
    assert first["flavors"] == ["python_function", "sklearn"]
    assert first["size"] > 1000
    assert first["signature"]["inputs"][0]["name"] == "a"
    assert found[1]["signature"] is None


def test_list_some(run, data, logged):
    def paths(*args: str) -> list[str]:
        return [model["path"] for model in data("models", "list", "--logged", "--json", *args)]

    assert paths("-n", "1") == ["counts"]
    assert paths("-n", "3") == paths("--all") == ["counts", "plain", "model"]
    assert paths("--experiment", "other") == ["counts", "plain"]
    assert paths("--filter", "metrics.loss > 1 OR metrics.loss < 0.1") == []
    assert paths("--filter", "metrics.loss > 0.1") == ["counts", "plain"]
    error = run("models", "list", "--logged", "--filter", "metrics.loss >", code=2).stderr
    assert "mlflow.log-model.history" not in error
    run("models", "list", "--logged", "-n", "1", "--all", code=2)
    assert "No models" in run("models", "list", "--logged", "--filter", "metrics.loss > 1").stderr


def test_a_model_that_is_logged_twice_is_listed_once(data, logged):
    with mlgit.start_run(run_id=logged["one"]):
        mlgit.sklearn.log_model(LinearRegression().fit(FRAME, ANSWER), "model")
    assert [m["path"] for m in data("models", "list", "--logged", "--json")].count("model") == 1


def test_listing_reads_no_file_that_isnt_here(data, logged):
    store = mlgit.tracking.uri.store_for()
    entry = store.artifact(logged["one"], "model/MLmodel")
    os.unlink(store.objects.path(entry.sha256))
    found = data("models", "list", "--logged", "--json")[-1]
    assert found["signature"] is None
    assert found["size"] > 1000


def test_more_than_are_shown(run, logged, monkeypatch):
    monkeypatch.setattr("mlgit.cli.models._LIMIT", 2)
    found = run("models", "list", "--logged")
    assert len(found.stdout.splitlines()) == 3
    assert "first 2 models" in found.stderr


# -- show


def test_show(run, data, logged):
    text = run("models", "show", "one").stdout
    for wanted in (
        f"run     {logged['one']}",
        "a  double",
        "-  float64 (-1,)",
        "team  flowers",
        "scikit-learn==",
        '"columns": ["a", "b"]',
        "requirements.txt",
    ):
        assert wanted in text, text
    assert "by  double  default 2.0" in run("models", "show", "two:counts").stdout
    assert "no signature" in run("models", "show", "two:plain").stdout
    found = data("models", "show", f"runs:/{logged['one']}/model", "--json")
    store = mlgit.tracking.uri.store_for()
    assert found["digest"] == store.artifact(logged["one"], "")["model"].sha256
    entry = store.artifact(logged["one"], "model/MLmodel")
    assert {"path": "MLmodel", "size": entry.size, "sha256": entry.sha256} in found["files"]
    assert found["metadata"] == {"team": "flowers"}
    assert found["input_example"]["artifact_path"] == "input_example.json"


def test_show_a_folder_outside_of_any_repository(data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    mlgit.sklearn.save_model(LinearRegression().fit(FRAME, ANSWER), "saved")
    found = data("models", "show", "saved", "--json")
    assert found["digest"] is None
    assert "MLmodel" in [file["path"] for file in found["files"]]


def test_other_names_for_a_model(data, logged, repo: Path, monkeypatch):
    uuid = data("models", "show", "one", "--json")["model_uuid"]
    short = logged["one"][:10]
    for name in (f"{short}:model", f"{short}:model/", short, f"runs:/{logged['one']}/model"):
        assert data("models", "show", name, "--json")["model_uuid"] == uuid
    path = mlgit.artifacts.download_artifacts(f"runs:/{logged['one']}/model")
    for name in (path, f"file://{path}"):
        assert data("models", "show", name, "--json")["model_uuid"] == uuid
    ref = f"refs/mlgit/runs/0/{logged['one']}"
    assert listing.names_a_run(ref)
    monkeypatch.chdir(repo.parent)
    found = data("--tracking-uri", str(repo), "models", "show", "one", "--json")
    assert found["model_uuid"] == uuid


def test_what_is_no_model(run, logged):
    assert "no run is called 'nope'" in run("models", "show", "nope", code=3).stderr
    assert "has logged no model" in run("models", "show", "none", code=3).stderr
    run("models", "show", f"runs:/{logged['one']}/nope", code=3)
    assert "no file MLmodel" in run("models", "show", "none:notes", code=3).stderr
    for path in ("./nope", "some/nope"):
        assert f"No model at {path}" in run("models", "show", path, code=3).stderr
    several = run("models", "show", "two", code=2).stderr
    assert f"{logged['two'][:8]}:plain" in several
    assert f"{logged['two'][:8]}:counts" in several
    assert "name=flowers" in run("models", "show", "models:/flowers/1", code=3).stderr
    run("models", "show", "runs:/x", code=2)


# -- load-check


def test_load_check(run, data, logged):
    lines = run("models", "load-check", "one", "--env-manager", "local").stdout.splitlines()
    assert [line.split()[:2] for line in lines] == [
        ["environment", "ok"],
        ["load", "ok"],
        ["predict", "ok"],
        ["outputs", "ok"],
    ]
    found = data("models", "load-check", "two:plain", "--env-manager", "local", "--json")
    assert found["ok"] is True
    assert "no input example" in found["steps"][-1]["message"]


def test_load_check_of_a_model_that_raises(run, raises):
    found = run("models", "load-check", raises, "--env-manager", "local", code=1)
    assert "predict      FAILED  The model raises ZeroDivisionError: no such flower" in found.stdout
    assert "about to fail" in found.stdout
    assert found.stderr == ""
    run("models", "load-check", "nope", "--env-manager", "local", code=3)
    run("models", "load-check", raises, "--env-manager", "docker", code=2)


# -- predict


@pytest.mark.slow
@pytest.mark.parametrize("major", sorted(PEERS))
def test_it_answers_as_mlflow_does(run, logged, tmp_path: Path, major: str):
    python = PEERS[major]
    if not python:
        pytest.skip(f"MLGIT_TEST_MLFLOW{major} names no Python with that MLflow")
    uri = f"runs:/{logged['one']}/model"
    saved = mlgit.artifacts.download_artifacts(uri, dst_path=str(tmp_path / "copy"))
    request = json.dumps({"dataframe_split": json.loads(FRAME.to_json(orient="split"))})
    Path("in.json").write_text(request)
    for name, kind in (("in.csv", "csv"), ("in.json", "json")):
        args = ["models", "predict", "-m", saved, "-i", name, "-t", kind, "--env-manager", "local"]
        theirs = subprocess.run([python, "-m", "mlflow", *args], capture_output=True, text=True)
        assert theirs.returncode == 0, theirs.stderr
        ours = run(*args).stdout
        assert json.loads(ours).keys() == json.loads(theirs.stdout).keys()
        assert json.loads(ours)["predictions"] == pytest.approx(
            json.loads(theirs.stdout)["predictions"]
        )


def _answers(path: str = "output.csv") -> list[float]:
    return [round(value, 6) for value in pd.read_csv(path).iloc[:, 0]]


def test_the_guides_command(run, logged):
    uri = f"runs:/{logged['one']}/model"
    run("models", "predict", "-m", uri, "-i", "in.csv", "-o", "output.csv")
    assert _answers() == ANSWER
    found = run(
        *("models", "predict", "--model-uri", uri, "--input-path", "in.csv", "--content-type"),
        *("csv", "--output-path", "again.csv", "--env-manager", "local", "--install-mlflow"),
    )
    assert Path("again.csv").read_text() == Path("output.csv").read_text()
    assert found.stderr == "Predicted on 3 rows: again.csv\n"


def test_pipes(run, logged):
    text = Path("in.csv").read_text()
    for args in ((), ("-i", "-", "-o", "-")):
        found = run("models", "predict", "one", "-t", "csv", *args, input=text).stdout
        assert [round(v, 6) for v in json.loads(found)["predictions"]] == ANSWER
        assert found.endswith("}\n")
    lines = FRAME.to_json(orient="records", lines=True)
    found = run("models", "predict", "one", "-t", "jsonl", "--batch-size", "2", input=lines).stdout
    assert [round(json.loads(line), 6) for line in found.splitlines()] == ANSWER
    found = run("models", "predict", "one", "--output-type", "csv", input=lines).stdout
    assert found.splitlines()[0] == "prediction"


@pytest.mark.parametrize("kind", ["csv", "jsonl", "json", "parquet"])
def test_every_kind_of_file(run, logged, kind: str):
    if kind == "parquet":
        pytest.importorskip("pyarrow")
    write = {
        "csv": lambda path: FRAME.to_csv(path, index=False),
        "jsonl": lambda path: FRAME.to_json(path, orient="records", lines=True),
        "json": lambda path: FRAME.to_json(path, orient="split", index=False),
        "parquet": lambda path: FRAME.to_parquet(path),
    }[kind]
    write(f"input.{kind}")
    run("models", "predict", "one", "-i", f"input.{kind}", "-o", "output.csv")
    assert _answers() == ANSWER
    run("models", "predict", "one", "-i", "in.csv", "-o", f"output.{kind}", "--batch-size", "2")
    read = {
        "csv": lambda path: pd.read_csv(path).iloc[:, 0].tolist(),
        "jsonl": lambda path: [json.loads(line) for line in Path(path).read_text().splitlines()],
        "json": lambda path: json.loads(Path(path).read_text())["predictions"],
        "parquet": lambda path: pd.read_parquet(path).iloc[:, 0].tolist(),
    }[kind]
    assert [round(value, 6) for value in read(f"output.{kind}")] == ANSWER


def test_params(run, logged):
    found = run("models", "predict", "two:counts", "-i", "in.csv", "--params", '{"by": 10}').stdout
    assert json.loads(found) == {"predictions": [10, 20, 30]}
    run("models", "predict", "two:counts", "-i", "in.csv", "--params", "{", code=2)
    run("models", "predict", "two:counts", "-i", "in.csv", "--params", "[1]", code=2)
    error = run(
        "models", "predict", "two:counts", "-i", "in.csv", "--params", '{"by": "x"}', code=2
    ).stderr
    assert "'by'" in error


def test_an_environment_of_its_own(run, logged, monkeypatch):
    monkeypatch.setattr("mlgit.models.environments.python_of", lambda need, say: sys.executable)
    run("models", "predict", "one", "-i", "in.csv", "-o", "output.csv", "--env-manager", "uv",
        "--env", "A=b", "-r", "x==1, y==2")  # fmt: skip
    assert _answers() == ANSWER
    run("models", "predict", "one", "-i", "in.csv", "--env", "A=b", code=2)
    run("models", "predict", "one", "-i", "in.csv", "--env-manager", "uv", "--env", "Ab", code=2)
    run("models", "predict", "one", "-i", "in.csv", "--env-manager", "docker", code=2)


BAD = [
    (["-i", "no.csv"], 3, "No such file: no.csv"),
    (["-i", "wrong.csv"], 2, "The columns ['b'] are missing"),
    (["-i", "text.csv"], 2, "'b'"),
    (["-i", "empty.csv"], 2, "The input is empty"),
    (["-i", "in.csv", "-t", "xml"], 2, "There is no content type 'xml'"),
    (["-i", "in.csv", "--output-type", "xml"], 2, "There is no content type 'xml'"),
    (["-i", "in.csv", "-t", "json"], 2, "isn't JSON"),
    (["-i", "."], 2, "Is a directory"),
    (["-i", "in.csv", "-o", "no/output.csv"], 3, "There is no folder"),
    (["-i", "in.csv", "-o", "."], 2, "is a folder"),
    (["-i", "in.csv", "-m", "two:plain"], 2, "given twice"),
]


@pytest.mark.parametrize(("args", "code", "message"), BAD, ids=lambda v: str(v)[:40])
def test_bad_input(run, logged, args: list[str], code: int, message: str):
    Path("wrong.csv").write_text("a,z\n1,2\n")
    Path("text.csv").write_text("a,b\n1,x\n")
    Path("empty.csv").write_text("")
    before = set(os.listdir())
    out = [] if "-o" in args else ["-o", "output.csv"]
    found = run("models", "predict", "one", *args, *out, code=code)
    assert message in found.stderr
    assert "Traceback" not in found.stderr
    assert set(os.listdir()) == before


def test_a_model_that_raises(raises, spawn):
    found = spawn("models", "predict", raises, "-i", "in.csv", "-o", "output.csv")
    assert found.returncode == 2
    assert "error: The model raises ZeroDivisionError: no such flower\n" in found.stderr
    assert "Traceback" not in found.stderr
    assert not Path("output.csv").exists()


def test_no_model(run, logged):
    assert "Missing argument" in run("models", "predict", "-i", "in.csv", code=2).stderr
    run("models", "predict", "-m", "nope", "-i", "in.csv", code=3)
    several = run("models", "predict", "-m", "two", "-i", "in.csv", code=2).stderr
    assert "two" in several or logged["two"] in several
    assert ":counts" in several


def test_a_prediction_of_a_bare_process_prints_json_only(logged, spawn):
    found = spawn("models", "predict", "-m", f"runs:/{logged['one']}/model", "-i", "in.csv")
    assert [round(v, 6) for v in json.loads(found.stdout)["predictions"]] == ANSWER
    assert found.stderr == ""
