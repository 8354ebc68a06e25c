"""Every flavor: save, log, load, pyfunc, signature, example, and both ways with real MLflow."""

from __future__ import annotations

import importlib
import importlib.metadata
import inspect
import json
import os
import subprocess
import sys
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
from matrix import CASES, Case, plain, table

import mlgit
from mlgit.exceptions import PermissionDenied

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
# Read here: the tests' fixtures take such variables away.
PEERS = {
    "2": os.environ.get("MLGIT_TEST_MLFLOW2", ""),
    "3": os.environ.get("MLGIT_TEST_MLFLOW3", ""),
}
FRAMEWORKS = os.environ.get("MLGIT_TEST_FRAMEWORKS", "")

# TensorFlow takes seconds to import, in each process anew.
each = pytest.mark.parametrize(
    "case",
    [
        pytest.param(
            case, id=case.name, marks=[pytest.mark.slow] if "tensorflow" in case.needs else []
        )
        for case in CASES
    ],
)
each_version = pytest.mark.parametrize("version", sorted(PEERS))


def _ready(case: Case, column: str) -> None:
    if not case.asks(column):
        pytest.skip(case.notes[column])
    for module in case.needs:
        pytest.importorskip(module)
    if column in case.below:
        version = importlib.metadata.version(case.needs[0])
        if int(version.split(".")[0]) >= case.below[column]:
            pytest.skip(f"MLflow can't: {case.needs[0]} {version} is installed")


def _native(case: Case, uri: str, **options: Any) -> Any:
    return getattr(mlgit, case.flavor).load_model(uri, **options)


def _predict(case: Case, model: Any, data: Any) -> Any:
    return plain(case.predict(model, data) if case.predict else model.predict(data))


def _expected(case: Case, model: Any, data: Any) -> Any:
    if case.predict:
        return plain(case.predict(model, data))
    if not hasattr(model, "predict"):
        return plain(model(data))
    model.load_context(None)
    try:
        return plain(model.predict(None, data))
    except TypeError:
        return plain(model.predict(data))


@each
def test_saved_and_loaded(case: Case, in_repo: Path) -> None:
    _ready(case, "save")
    model, data = case.make(mlgit)
    case.save(mlgit, model, "saved")
    assert _predict(case, _native(case, "saved"), data) == _expected(case, model, data)
    for name in ("MLmodel", "conda.yaml", "python_env.yaml", "requirements.txt"):
        assert (in_repo / "saved" / name).is_file()


@each
def test_logged_and_loaded(case: Case, in_repo: Path) -> None:
    _ready(case, "log")
    model, data = case.make(mlgit)
    with mlgit.start_run() as run:
        info = case.log(mlgit, model, "here/model")
    assert info.model_uri == f"runs:/{run.info.run_id}/here/model"
    assert _predict(case, _native(case, info.model_uri), data) == _expected(case, model, data)
    assert info.flavors == mlgit.models.get_model_info(info.model_uri).flavors


@each
def test_as_pyfunc(case: Case, in_repo: Path) -> None:
    _ready(case, "pyfunc")
    model, data = case.make(mlgit)
    case.save(mlgit, model, "saved")
    loaded = mlgit.pyfunc.load_model("saved")
    assert plain(loaded.predict(data)) == _expected(case, model, data)
    assert loaded.get_raw_model() is not None


# What MLflow 3.17's functions take besides; of one version, or of its platform.
NOT_HERE = {"kwargs", "resources", "auth_policy", "prompts", "uv_project_path", "uv_groups",
            "uv_extras", "code_path", "example_no_conversion"}  # fmt: skip


@each_version
@pytest.mark.parametrize("flavor", sorted({case.flavor for case in CASES}))
def test_arguments_have_mlflows_names(flavor: str, version: str) -> None:
    if not PEERS[version]:
        pytest.skip(f"MLGIT_TEST_MLFLOW{version} names no Python with that MLflow")
    names = ("save_model", "log_model", "load_model")
    program = (
        f"import inspect, json, mlflow.{flavor} as f; print(json.dumps("
        f"{{n: list(inspect.signature(getattr(f, n)).parameters) for n in {names!r}}}))"
    )
    done = subprocess.run(
        [PEERS[version], "-c", program],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": FRAMEWORKS},
    )
    if "No module named" in done.stderr:
        pytest.skip(f"the framework of {flavor} isn't installed there")
    theirs = json.loads(done.stdout.strip().splitlines()[-1])
    for name in names:
        ours = inspect.signature(getattr(getattr(mlgit, flavor), name)).parameters
        assert set(theirs[name]) - set(ours) - NOT_HERE == set()
        if ours and name != "load_model":
            assert next(iter(theirs[name])) == next(iter(ours))


@each
def test_found_by_its_type(case: Case, in_repo: Path) -> None:
    _ready(case, "log")
    model, data = case.make(mlgit)
    info = mlgit.log_model(model, "model", **case.options)
    loaded = mlgit.pyfunc.load_model(info.model_uri)
    assert plain(loaded.predict(data)) == _expected(case, model, data)


@each
def test_a_signature_is_kept_and_enforced(case: Case, in_repo: Path) -> None:
    _ready(case, "signature")
    model, data = case.make(mlgit)
    if case.hinted:
        case.save(mlgit, model, "saved")
        signature = mlgit.models.infer_signature(data, _expected(case, model, data))
    else:
        signature = mlgit.models.infer_signature(data, None)
        case.save(mlgit, model, "saved", signature=signature)
    loaded = mlgit.pyfunc.load_model("saved")
    assert loaded.metadata.signature == signature
    assert plain(loaded.predict(data)) == _expected(case, model, data)


@each
def test_an_example_gives_the_signature(case: Case, in_repo: Path) -> None:
    _ready(case, "example")
    model, data = case.make(mlgit)
    example = data[:2]
    case.save(mlgit, model, "saved", input_example=example)
    loaded = mlgit.pyfunc.load_model("saved")
    assert loaded.metadata.signature is not None
    assert plain(loaded.input_example) == plain(example)
    body = loaded.metadata.get_serving_input("saved")
    assert body is not None
    answer = mlgit.models.validate_serving_input("saved", body)
    assert plain(answer) == _expected(case, model, example)


@each
def test_pickles_are_refused_where_they_may_not_be_loaded(case: Case, in_repo: Path) -> None:
    _ready(case, "save")
    model, data = case.make(mlgit)
    case.save(mlgit, model, "saved")
    if case.pickled:
        for load in (_native, lambda _, uri, **o: mlgit.pyfunc.load_model(uri, **o)):
            with pytest.raises(PermissionDenied, match=r"\.(pkl|pickle|pth|joblib|pb)"):
                load(case, "saved", allow_pickle=False)
    else:
        loaded = _native(case, "saved", allow_pickle=False)
        assert _predict(case, loaded, data) == _expected(case, model, data)


# -- with the real MLflow


def _peer(python: str, module: str, doing: str, folder: Path, cases: list[str]) -> dict[str, Any]:
    done = subprocess.run(
        [python, str(HERE / "peer.py"), module, doing, str(folder), *cases],
        capture_output=True,
        text=True,
        cwd=folder,
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT) if module == "mlgit" else "",
            "MLGIT_TEST_FRAMEWORKS": "" if python == sys.executable else FRAMEWORKS,
            "MLFLOW_ALLOW_FILE_STORE": "true",
            "MLFLOW_TRACKING_URI": "" if module == "mlgit" else f"file://{folder}/mlruns",
        },
        timeout=600,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


@pytest.fixture(scope="module")
def crossing(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Saves all cases by one and loads them by the other: two processes for all of them."""

    @lru_cache
    def cross(column: str) -> tuple[dict[str, Any], dict[str, Any]]:
        folder = tmp_path_factory.mktemp("crossing")
        subprocess.run(["git", "init", "-q", str(folder)], check=True)
        peer = PEERS["2" if "2" in column else "3"]
        names = [case.name for case in CASES if case.asks(column) and _is_here(case)]
        if column.endswith("to ours"):
            saved = _peer(peer, "mlflow", "save", folder, names)
            return saved, _peer(sys.executable, "mlgit", "load", folder, names)
        saved = _peer(sys.executable, "mlgit", "save", folder, names)
        return saved, _peer(peer, "mlflow", "load", folder, names)

    return cross


def _is_here(case: Case) -> bool:
    return all(importlib.util.find_spec(name) is not None for name in case.needs)


@each
@each_version
@pytest.mark.parametrize("way", ["{} to ours", "ours to {}"])
def test_with_mlflow(case: Case, version: str, way: str, crossing: Any) -> None:
    if not PEERS[version]:
        pytest.skip(f"MLGIT_TEST_MLFLOW{version} names no Python with that MLflow")
    column = way.format(version)
    _ready(case, column)
    saved, loaded = (found[case.name] for found in crossing(column))
    for found in (saved, loaded):
        if "missing" in found:
            pytest.skip(f"{found['missing']} isn't installed there")
        assert "error" not in found, found["error"]
    assert loaded == saved


def test_the_table_of_the_docs_is_the_matrix() -> None:
    assert table() in (ROOT / "docs" / "models.md").read_text(encoding="utf-8")
