"""Where pickles may not be loaded, nothing that a model holds runs, whatever its MLmodel says."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

import mlgit
from mlgit.exceptions import CorruptData, MlgitException, PermissionDenied
from mlgit.models.policy import allows_pickle

pytest.importorskip("sklearn")


class Trap:
    """Tells on disk that it was loaded."""

    def __reduce__(self) -> Any:
        return os.mkdir, ("sprung",)


class Echo(mlgit.pyfunc.PythonModel):
    def predict(self, context: Any, model_input: Any) -> Any:
        return model_input


def _sklearn(folder: str = "saved", **options: Any) -> None:
    from sklearn.dummy import DummyClassifier

    mlgit.sklearn.save_model(DummyClassifier().fit([[1]], [1]), folder, **options)


def _change(change: Callable[[dict[str, Any]], None], folder: str = "saved") -> None:
    path = Path(folder, "MLmodel")
    content = yaml.safe_load(path.read_text())
    change(content["flavors"])
    path.write_text(yaml.safe_dump(content))


def _team(repo: Path, text: str) -> None:
    (repo / ".mlgit").mkdir(exist_ok=True)
    (repo / ".mlgit" / "config.yaml").write_text(text)


@pytest.mark.parametrize("variable", ["MLGIT_ALLOW_PICKLE", "MLFLOW_ALLOW_PICKLE_DESERIALIZATION"])
def test_by_the_environment(variable: str, in_repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _sklearn()
    monkeypatch.setenv(variable, "false")
    for load in (mlgit.sklearn.load_model, mlgit.pyfunc.load_model):
        with pytest.raises(PermissionDenied, match=r"model\.pkl of saved is a pickle"):
            load("saved")
        assert load("saved", allow_pickle=True) is not None
    monkeypatch.setenv(variable, "true")
    assert mlgit.sklearn.load_model("saved") is not None


def test_by_the_repository(in_repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _team(in_repo, "format: 1\nmodels: {allow_pickle: false}\n")
    with mlgit.start_run():
        info = mlgit.log_model(Echo(), "m")
    _sklearn()
    for place in (info.model_uri, "saved"):
        with pytest.raises(PermissionDenied, match=r"\.pkl of .* is a pickle"):
            mlgit.pyfunc.load_model(place)
        assert mlgit.pyfunc.load_model(place, allow_pickle=True) is not None
    monkeypatch.setenv("MLGIT_ALLOW_PICKLE", "true")
    assert mlgit.pyfunc.load_model(info.model_uri) is not None


def test_by_this_clone(in_repo: Path) -> None:
    folder = in_repo / ".git" / "mlgit"
    folder.mkdir(exist_ok=True)
    (folder / "config.yaml").write_text("models:\n  allow_pickle: false\n")
    assert not allows_pickle(None)
    # A committed "true" isn't the person's own.
    _team(in_repo, "models: {allow_pickle: true}\n")
    assert not allows_pickle(None)
    assert allows_pickle(True)


def test_in_a_bare_repository(in_repo: Path, tmp_path: Path, git: Callable[..., str]) -> None:
    _team(in_repo, "models: {allow_pickle: false}\n")
    git(in_repo, "add", ".mlgit")
    git(in_repo, "commit", "-qm", "no pickles")
    git(in_repo, "clone", "-q", "--bare", ".", str(tmp_path / "bare"))
    mlgit.set_tracking_uri(str(tmp_path / "bare"))
    assert not allows_pickle(None)


def test_the_revisions_own_repository_counts(in_repo: Path, git: Callable[..., str]) -> None:
    _sklearn("models/dummy")
    _team(in_repo, "models: {allow_pickle: false}\n")
    git(in_repo, "add", ".")
    git(in_repo, "commit", "-qm", "a model")
    with pytest.raises(PermissionDenied):
        mlgit.sklearn.load_model("mlgit:/main/models/dummy")


@pytest.mark.parametrize(
    "text", ["models: text\n", "models: {allow_pickle: nein}\n", "models: [\n", "models: [1]\n"]
)
def test_a_setting_that_can_not_be_read_allows_nothing(text: str, in_repo: Path) -> None:
    _sklearn()
    _team(in_repo, text)
    with pytest.raises(CorruptData):
        mlgit.sklearn.load_model("saved")


def test_outside_of_repositories(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    _sklearn()
    assert mlgit.sklearn.load_model("saved") is not None
    with pytest.raises(PermissionDenied):
        mlgit.sklearn.load_model("saved", allow_pickle=False)


# -- no way round


def _named_otherwise(flavors: dict[str, Any]) -> None:
    for row in flavors.values():
        for key in ("pickled_model", "model_path", "python_model"):
            if key in row:
                row[key] = "model.skops"
    os.rename("saved/model.pkl", "saved/model.skops")


def _said_to_be_skops(flavors: dict[str, Any]) -> None:
    flavors["sklearn"]["serialization_format"] = "skops"


def _by_another_loader(flavors: dict[str, Any]) -> None:
    flavors["python_function"] |= {
        "loader_module": "mlflow.pyfunc.model", "python_model": "model.pkl",
    }  # fmt: skip


def _by_code(flavors: dict[str, Any]) -> None:
    Path("saved/code").mkdir()
    Path("saved/code/sitecustom.py").write_text("import os; os.mkdir('sprung')\n")
    for row in flavors.values():
        row["code"] = "code"


def _by_a_loader_of_its_own(flavors: dict[str, Any]) -> None:
    Path("saved/trap_loader.py").write_text("import os; os.mkdir('sprung')\n")
    flavors["python_function"] |= {"loader_module": "trap_loader", "code": "."}


def _by_an_installed_module(flavors: dict[str, Any]) -> None:
    flavors["python_function"] |= {"loader_module": "antigravity"}


def _by_a_code_file(flavors: dict[str, Any]) -> None:
    Path("saved/model.py").write_text("import os; os.mkdir('sprung')\n")
    flavors["python_function"] = {
        "loader_module": "mlflow.pyfunc.loaders.code_model", "model_code_path": "model.py",
    }  # fmt: skip


def _by_a_setting_in_mlmodel(flavors: dict[str, Any]) -> None:
    for row in flavors.values():
        row |= {"allow_pickle": True, "weights_only": False}


def _by_a_path_outside(flavors: dict[str, Any]) -> None:
    os.rename("saved/model.pkl", "elsewhere.pkl")
    flavors["sklearn"]["pickled_model"] = "../elsewhere.pkl"


TRICKS = [
    _named_otherwise, _said_to_be_skops, _by_another_loader, _by_code, _by_a_loader_of_its_own,
    _by_an_installed_module, _by_a_code_file, _by_a_setting_in_mlmodel, _by_a_path_outside,
]  # fmt: skip


@pytest.mark.parametrize("trick", TRICKS, ids=lambda trick: trick.__name__)
def test_fields_of_mlmodel_are_no_way_round(trick: Any, in_repo: Path) -> None:
    from mlgit.models.pickles import dump_pickle

    _sklearn()
    dump_pickle(Trap(), "saved/model.pkl")
    _change(trick)
    for load in (mlgit.sklearn.load_model, mlgit.pyfunc.load_model):
        with pytest.raises(MlgitException):
            load("saved", allow_pickle=False)
        assert not os.path.exists("sprung")


def test_the_trap_springs_where_pickles_are_loaded(in_repo: Path) -> None:
    """So that the tests before say something."""
    from mlgit.models.pickles import dump_pickle

    _sklearn()
    dump_pickle(Trap(), "saved/model.pkl")
    mlgit.sklearn.load_model("saved")
    assert os.path.isdir("sprung")


def test_only_one_function_loads_pickles() -> None:
    package = Path(mlgit.__file__).parent
    loaders = ("pickle.load", "cloudpickle.load", "joblib.load", "Unpickler(", "dill.load")
    for path in package.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        if path.name != "pickles.py":
            assert not any(loader in text for loader in loaders), path


def test_metadata_is_read_without_running_anything(
    in_repo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlgit.models.pickles import dump_pickle

    _sklearn(metadata={"a": 1})
    dump_pickle(Trap(), "saved/model.pkl")
    assert mlgit.models.get_model_info("saved").metadata == {"a": 1}
    mlgit.pyfunc.get_model_dependencies("saved")
    assert not os.path.exists("sprung")


# -- skops


@pytest.fixture
def skops() -> Any:
    return pytest.importorskip("skops.io")


def test_skops_is_loaded_without_pickles(in_repo: Path, skops: Any) -> None:
    _sklearn(serialization_format="skops")
    assert mlgit.sklearn.load_model("saved", allow_pickle=False).predict([[1]]) == [1]
    assert mlgit.pyfunc.load_model("saved", allow_pickle=False).predict([[1]]) == [1]
    assert "skops==" in Path("saved/requirements.txt").read_text()


def test_types_that_skops_does_not_know(in_repo: Path, skops: Any) -> None:
    from sklearn.dummy import DummyClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer

    model = make_pipeline(FunctionTransformer(os.path.basename), DummyClassifier())
    with pytest.raises(MlgitException, match=r"posixpath\.basename"):
        mlgit.sklearn.save_model(model, "saved", serialization_format="skops")
    assert not os.path.exists("saved")
    trusted = ["posixpath.basename"]
    mlgit.sklearn.save_model(
        model, "saved", serialization_format="skops", skops_trusted_types=trusted
    )
    assert mlgit.sklearn.load_model("saved").steps[0][1].func is os.path.basename
    # What MLmodel calls trusted isn't, to who lets models run nothing.
    with pytest.raises(PermissionDenied, match=r"posixpath\.basename"):
        mlgit.sklearn.load_model("saved", allow_pickle=False)
    _change(lambda flavors: flavors["sklearn"].pop("skops_trusted_types"))
    with pytest.raises(MlgitException, match="untrusted|trusted"):
        mlgit.sklearn.load_model("saved")


def test_a_damaged_skops_file(in_repo: Path, skops: Any) -> None:
    _sklearn(serialization_format="skops")
    path = Path("saved/model.skops")
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(CorruptData, match=r"model\.skops of saved can't be loaded"):
        mlgit.sklearn.load_model("saved")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("other", "x")
    with pytest.raises(CorruptData):
        mlgit.sklearn.load_model("saved")


# -- sklearn's own bad input


def test_formats(in_repo: Path) -> None:
    with pytest.raises(MlgitException, match="Unrecognized serialization format"):
        _sklearn(serialization_format="json")
    assert not os.path.exists("saved")
    _sklearn()
    _change(lambda flavors: flavors["sklearn"].update(serialization_format="future"))
    with pytest.raises(MlgitException, match="unknown format 'future'"):
        mlgit.sklearn.load_model("saved")


@pytest.mark.parametrize("method", ["__class__", "no_such", 3, None])
def test_methods_that_mlmodel_names(method: Any, in_repo: Path) -> None:
    _sklearn()
    _change(lambda flavors: flavors["python_function"].update(predict_fn=method))
    with pytest.raises(CorruptData, match="names the method"):
        mlgit.pyfunc.load_model("saved")


def test_another_method_than_predict(in_repo: Path) -> None:
    _sklearn(pyfunc_predict_fn="predict_proba")
    assert mlgit.pyfunc.load_model("saved").predict([[1]]).tolist() == [[1.0]]


@pytest.mark.parametrize("size", [0, 1, 100])
def test_a_truncated_pickle(size: int, in_repo: Path) -> None:
    _sklearn()
    path = Path("saved/model.pkl")
    path.write_bytes(path.read_bytes()[:size])
    for load in (mlgit.sklearn.load_model, mlgit.pyfunc.load_model):
        with pytest.raises(CorruptData, match=r"model\.pkl of saved can't be loaded"):
            load("saved")
