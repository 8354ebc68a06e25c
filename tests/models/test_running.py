"""Running models on files and in environments of their own."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pd = pytest.importorskip("pandas")
import cloudpickle  # noqa: E402
import numpy as np  # noqa: E402

import mlgit  # noqa: E402
from mlgit.exceptions import (  # noqa: E402
    InvalidParameterValue,
    MissingDependency,
    MlgitException,
    ResourceDoesNotExist,
)
from mlgit.models import environments, predict, requirements, validate_serving_input  # noqa: E402
from mlgit.models.child import Surroundings, predict_in_child, try_in_child  # noqa: E402
from mlgit.models.environments import Wanted, own_requirements, python_of, wanted  # noqa: E402
from mlgit.models.running import Task, predict_task, try_model  # noqa: E402
from mlgit.models.signature import infer_signature  # noqa: E402

LOCAL = Surroundings("local")
FRAME = pd.DataFrame({"a": [1.0, 2.0, 3.0]})


class Doubles(mlgit.pyfunc.PythonModel):
    def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:
        print("noise")
        return model_input["a"] * (params or {}).get("by", 2.0)


class Raises(mlgit.pyfunc.PythonModel):
    def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:
        print("about to fail")
        raise ZeroDivisionError("no such flower")


class Dies(mlgit.pyfunc.PythonModel):
    def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:
        os.kill(os.getpid(), signal.SIGKILL)


class Wrong(mlgit.pyfunc.PythonModel):
    def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:
        return ["text"] * len(model_input)


@pytest.fixture
def saved(tmp_path: Path) -> Iterator[Any]:
    """Save a model: a function from the class to its folder. The class is kept by value."""
    cloudpickle.register_pickle_by_value(sys.modules[__name__])

    def save(kind: type, name: str = "saved", **options: Any) -> str:
        path = str(tmp_path / name)
        signature = infer_signature(FRAME, np.array([1.0]), {"by": 2.0})
        options = {"signature": signature, "pip_requirements": [], **options}
        mlgit.pyfunc.save_model(path, python_model=kind(), **options)
        return path

    yield save
    cloudpickle.unregister_pickle_by_value(sys.modules[__name__])


# -- in this process


def test_a_file_with_this_python(saved, tmp_path: Path, capfd: Any):
    model = saved(Doubles)
    FRAME.to_csv(tmp_path / "in.csv", index=False)
    task = Task(model, str(tmp_path / "in.csv"), str(tmp_path / "out.csv"), rows=2)
    assert predict_task(task) == 3
    assert pd.read_csv(tmp_path / "out.csv")["a"].tolist() == [2, 4, 6]
    out, err = capfd.readouterr()
    assert out == ""
    assert err == "noise\nnoise\n"


def test_params_count_before_those_of_the_input(saved):
    body = json.dumps({"dataframe_records": [{"a": 1.0}], "params": {"by": 3.0}}).encode()
    model = saved(Doubles)
    for given, wanted_answer in ((None, 3), ({"by": 5.0}, 5)):
        out = io.BytesIO()
        predict_task(Task(model, params=given), io.BytesIO(body), out)
        assert json.loads(out.getvalue()) == {"predictions": [wanted_answer]}


def test_the_guides_command_in_python(saved, tmp_path: Path):
    model = saved(Doubles)
    split = {"dataframe_split": {"columns": ["a"], "data": [[1.0], [2.0]]}}
    answer = '{"predictions": [2.0, 4.0]}'
    for data in (FRAME[:2], split, json.dumps(split), json.dumps(split).encode()):
        assert predict(model, data, env_manager="local") == answer
    for data in ("a\n1\n2\n", FRAME[:2]):
        assert predict(model, data, content_type="csv", env_manager="local") == answer
    (tmp_path / "in.json").write_text(json.dumps(split))
    given = {"input_path": tmp_path / "in.json", "env_manager": "local"}
    assert predict(model, **given) == answer
    assert predict(model, **given, output_path=tmp_path / "out") is None
    assert (tmp_path / "out").read_text() == answer
    assert validate_serving_input(model, split).tolist() == [2, 4]


def test_arguments_that_cant_be_right(saved, tmp_path: Path):
    model = saved(Doubles)
    wrong: list[tuple[dict[str, Any], type[Exception], str]] = [
        ({}, InvalidParameterValue, "Give either"),
        ({"input_data": "", "input_path": "x"}, InvalidParameterValue, "Give either"),
        ({"input_data": "", "content_type": "xml"}, InvalidParameterValue, "content type 'xml'"),
        ({"input_data": "", "env_manager": "docker"}, InvalidParameterValue, "manager 'docker'"),
        ({"input_path": str(tmp_path / "no.csv")}, ResourceDoesNotExist, "No such file"),
        ({"input_data": "", "content_type": "csv"}, InvalidParameterValue, "input is empty"),
        ({"input_data": 3, "content_type": "csv"}, InvalidParameterValue, "give it as json"),
        ({"input_data": "", "extra_envs": {"A": "b"}}, InvalidParameterValue, "extra_envs"),
    ]
    for arguments, error, message in wrong:
        with pytest.raises(error) as caught:
            predict(model, **{"env_manager": "local", **arguments})
        assert message in str(caught.value)


# -- in a process of its own


def test_a_file_in_a_child(saved, tmp_path: Path, capfd: Any):
    model = saved(Doubles)
    FRAME.to_json(tmp_path / "in.jsonl", orient="records", lines=True)
    task = Task(model, str(tmp_path / "in.jsonl"))
    assert predict_in_child(task, LOCAL) == 3
    out, err = capfd.readouterr()
    assert (out, err) == ("2.0\n4.0\n6.0\n", "noise\n")


def test_errors_of_a_child_are_its_parents(saved, tmp_path: Path):
    FRAME.rename(columns={"a": "z"}).to_csv(tmp_path / "in.csv", index=False)
    task = Task(saved(Doubles), str(tmp_path / "in.csv"), str(tmp_path / "out.csv"))
    here: list[Exception] = []
    for run in (lambda: predict_task(task), lambda: predict_in_child(task, LOCAL)):
        with pytest.raises(InvalidParameterValue, match="'a'") as caught:
            run()
        here.append(caught.value)
    assert str(here[0]) == str(here[1])
    assert type(here[0]) is type(here[1])
    assert not (tmp_path / "out.csv").exists()


def test_a_child_that_dies(saved, tmp_path: Path):
    FRAME.to_csv(tmp_path / "in.csv", index=False)
    task = Task(saved(Dies), str(tmp_path / "in.csv"), str(tmp_path / "out.csv"))
    with pytest.raises(MlgitException, match="killed by signal 9"):
        predict_in_child(task, LOCAL)
    assert not (tmp_path / "out.csv").exists()


def test_a_child_sees_no_module_of_the_working_directory(saved, tmp_path, monkeypatch):
    (tmp_path / "cwd").mkdir()
    (tmp_path / "cwd/pandas.py").write_text("raise RuntimeError('the wrong pandas')\n")
    model = saved(Doubles)
    monkeypatch.chdir(tmp_path / "cwd")
    assert try_in_child(model, LOCAL).ok


# -- trying


def test_a_model_that_is_well(saved):
    trial = try_in_child(saved(Doubles, input_example=FRAME), LOCAL)
    assert [(s.name, s.ok) for s in trial.steps] == [
        ("environment", True),
        ("load", True),
        ("predict", True),
        ("outputs", True),
    ]
    assert trial.steps[2].message == "on the input example (3 rows, DataFrame)"


@pytest.mark.parametrize(
    ("kind", "name", "message", "log"),
    [
        (Raises, "predict", "ZeroDivisionError: no such flower", "about to fail"),
        (Wrong, "outputs", "aren't what the signature says", ""),
        (Dies, "load", "killed by signal 9", ""),
    ],
)
def test_a_model_that_isnt(saved, kind: type, name: str, message: str, log: str):
    trial = try_in_child(saved(kind, input_example=FRAME), LOCAL)
    assert not trial.ok
    last = trial.steps[-1]
    assert (last.name, last.ok) == (name, False)
    assert message in last.message
    assert log in last.log


def test_a_model_without_an_example(saved):
    trial = try_model(saved(Doubles))
    assert trial.ok
    assert [step.name for step in trial.steps] == ["load", "predict"]
    assert "no input example" in trial.steps[-1].message


def test_a_damaged_model(saved):
    path = saved(Doubles, input_example=FRAME)
    pickle = next(Path(path).glob("*.pkl"))
    pickle.write_bytes(pickle.read_bytes()[:20])
    last = try_in_child(path, LOCAL).steps[-1]
    assert (last.name, last.ok) == ("load", False)
    assert path in last.message


# -- environments


def test_what_a_model_needs(saved):
    folder = saved(Doubles, pip_requirements=["numpy==1.2.3", "torch<2"])
    need = wanted(folder, "virtualenv")
    assert need.lines[:2] == ("numpy==1.2.3", "torch<2")
    assert set(own_requirements()) <= set(need.lines)
    assert any(line.startswith("dulwich") for line in own_requirements())
    assert requirements.MLFLOW not in need.lines
    assert requirements.MLFLOW in wanted(folder, "virtualenv", with_mlflow=True).lines
    changed = wanted(folder, "virtualenv", override=["numpy==9", "extra"])
    assert [one for one in changed.lines if one.startswith(("numpy", "torch", "extra"))] == [
        "torch<2",
        "numpy==9",
        "extra",
    ]
    assert need.python == f"{sys.version_info.major}.{sys.version_info.minor}"
    keys = {need.key, changed.key, wanted(folder, "uv").key, wanted(folder, "virtualenv").key}
    assert len(keys) == 3


def test_constraints_and_conda(saved, tmp_path: Path):
    (tmp_path / "c.txt").write_text("numpy<3\n")
    need = wanted(saved(Doubles, pip_requirements=[f"-c {tmp_path}/c.txt"]), "virtualenv")
    assert need.constraints == ("numpy<3",)
    conda = {
        "channels": ["own"],
        "dependencies": ["python=3.9.1", "llvm", {"pip": ["mlflow==2.1", "x==1"]}],
    }
    folder = saved(Doubles, "conda", pip_requirements=None, conda_env=conda)
    need = wanted(folder, "conda")
    assert need.lines[:2] == ("mlflow==2.1", "x==1")
    assert need.python == "3.9"
    assert "own" in need.conda
    assert "llvm" in need.conda
    assert "x==1" not in need.conda
    assert wanted(folder, "virtualenv").conda == ""
    os.unlink(f"{folder}/requirements.txt")
    assert wanted(folder, "virtualenv").lines[:2] == ("mlflow==2.1", "x==1")


def test_a_python_that_isnt_there(saved):
    with pytest.raises(MissingDependency, match=r"Python 3\.2, and there is no python3\.2 here"):
        python_of(Wanted("virtualenv", "3.2", ("numpy",)))


def test_managers_that_arent_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    for name in ("CONDA_EXE", "MAMBA_EXE"):
        monkeypatch.delenv(name, raising=False)
    assert environments.default_manager() == "virtualenv"
    for manager in ("uv", "conda"):
        with pytest.raises(MissingDependency, match=f"{manager} isn't installed"):
            python_of(Wanted(manager, "3.11", ("numpy",)))
    with pytest.raises(MissingDependency, match="can't be run"):
        python_of(Wanted("virtualenv", "{}.{}".format(*sys.version_info), ("numpy",)))


# Makes an "environment" whose Python is the one of the tests, and whose pip only takes notes.
FAKE = """#!{python}
import os, sys
args = sys.argv[1:]
with open({notes!r}, "a") as f:
    f.write(os.path.basename(sys.argv[0]) + " " + " ".join(args) + "\\n")
if os.path.exists({fail!r}):
    sys.exit("no such package: " + open({fail!r}).read())
if "create" in args or "venv" in args:
    place = args[args.index("--prefix") + 1] if "--prefix" in args else args[-1]
    os.makedirs(place + "/bin")
    python = place + "/bin/python"
    with open(python, "w") as f:
        f.write('#!/bin/sh\\nif [ "$2" = pip ]; then exec {fake} "$@"; fi\\nexec {python} "$@"\\n')
    os.chmod(python, 0o755)
"""


@pytest.fixture
def fakes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Programs that build no real environment; what they were called with is in "notes"."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("uv", "conda", "fake"):
        program = folder / name
        program.write_text(
            FAKE.format(
                python=sys.executable,
                notes=str(folder / "notes"),
                fail=str(folder / "fail"),
                fake=str(folder / "fake"),
            )
        )
        program.chmod(0o755)
    monkeypatch.setenv("MLGIT_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(environments, "_uv", lambda: [str(folder / "uv")])
    monkeypatch.setattr(environments, "_conda", lambda: str(folder / "conda"))
    monkeypatch.setattr(environments, "_interpreter", lambda version: str(folder / "fake"))
    return folder


COMMANDS = {
    "uv": ["uv venv --quiet --python", "uv pip install --python"],
    "conda": ["conda env create --yes --prefix", "fake -m pip install"],
    "virtualenv": ["fake -m venv", "fake -m pip install"],
}


@pytest.mark.parametrize("manager", COMMANDS)
def test_an_environment_is_built_once(saved, fakes: Path, manager: str):
    model = saved(Doubles, input_example=FRAME)
    said: list[str] = []
    around = Surroundings(manager, variables={"WHO": "me"}, say=said.append)
    for _ in range(2):
        trial = try_in_child(model, around)
        assert trial.ok, trial
    notes = (fakes / "notes").read_text().splitlines()
    assert len(notes) == len(COMMANDS[manager])
    for note, wanted_start in zip(notes, COMMANDS[manager]):
        assert note.startswith(wanted_start)
    assert len(said) == 1
    assert manager in said[0]


def test_one_that_cant_be_built(saved, fakes: Path, tmp_path: Path):
    (fakes / "fail").write_text("flowers")
    model = saved(Doubles)
    with pytest.raises(MissingDependency, match="no such package: flowers"):
        predict(model, FRAME, env_manager="uv")
    cache = tmp_path / "cache/mlgit/model-environments"
    assert all(path.name.endswith(".lock") for path in cache.iterdir())
    trial = try_in_child(model, Surroundings("uv"))
    assert [(s.name, s.ok) for s in trial.steps] == [("environment", False)]
    assert "no such package: flowers" in trial.steps[0].log
    (fakes / "fail").unlink()
    assert predict(model, FRAME, env_manager="uv") == '{"predictions": [2.0, 4.0, 6.0]}'


def test_a_half_built_one_is_built_again(fakes: Path):
    need = Wanted("virtualenv", "3.11", ("numpy",))
    python = python_of(need)
    os.unlink(os.path.join(os.path.dirname(os.path.dirname(python)), "mlgit-complete.json"))
    assert python_of(need) == python
    assert len((fakes / "notes").read_text().splitlines()) == 4


@pytest.mark.slow
def test_without_network(saved, monkeypatch: pytest.MonkeyPatch):
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    trial = try_in_child(saved(Doubles, pip_requirements=["numpy"]), Surroundings("virtualenv"))
    (step,) = trial.steps
    assert "The model's environment can't be built" in step.message
    assert "index can't be reached" in step.message
    assert "No matching distribution found" in step.log


@pytest.mark.slow
def test_a_real_environment(saved, tmp_path: Path):
    folder = saved(Doubles, pip_requirements=["numpy"], input_example=FRAME)
    program = (
        "from mlgit.models.child import Surroundings, try_in_child\n"
        f"trial = try_in_child({folder!r}, Surroundings('virtualenv'))\n"
        "print(trial)\nassert trial.ok"
    )
    root = str(Path(mlgit.__file__).parents[1])
    environment = {**os.environ, "PYTHONPATH": root, "MLGIT_CACHE_HOME": str(tmp_path / "cache")}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert predict(folder, FRAME, env_manager="virtualenv") == '{"predictions": [2.0, 4.0, 6.0]}'


# -- interrupted


@pytest.mark.parametrize("where", ["here", "child"])
def test_ctrl_c_leaves_no_file(saved, tmp_path: Path, where: str):
    model = saved(Doubles)
    run = "predict_task(task)" if where == "here" else "predict_in_child(task, LOCAL)"
    program = (
        "from mlgit.models.child import *\nfrom mlgit.models.running import *\n"
        f"LOCAL = Surroundings('local')\ntask = Task({model!r}, None, {str(tmp_path / 'o.csv')!r},"
        f" 'csv', rows=1000)\n{run}\n"
    )
    root = str(Path(mlgit.__file__).parents[1])
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # a pipe that nobody reads would fill up
        env={**os.environ, "PYTHONPATH": root},
    )
    assert process.stdin is not None
    process.stdin.write(b"a\n" + b"1\n" * 400_000)  # and no end: it waits for more
    process.stdin.flush()
    deadline = time.monotonic() + 30
    while not any(path.stat().st_size for path in tmp_path.glob(".o.csv.*.tmp")):
        assert time.monotonic() < deadline, "nothing is written"
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    process.wait(timeout=20)
    process.stdin.close()
    assert process.returncode != 0
    assert not list(tmp_path.glob("*o.csv*"))
    assert not list(tmp_path.glob(".o.csv*"))
