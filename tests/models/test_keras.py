"""Keras and TensorFlow: files, classes of one's own, and what runs code."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml

import mlgit
from mlgit.exceptions import (
    CorruptData,
    InvalidParameterValue,
    MissingDependency,
    PermissionDenied,
    ResourceDoesNotExist,
    Unsupported,
)

np = pytest.importorskip("numpy")
pd = pytest.importorskip("pandas")
keras = pytest.importorskip("keras")
tf = pytest.importorskip("tensorflow")
# The frameworks alone take ten seconds to import.
pytestmark = pytest.mark.slow

# Read here: the tests' fixtures take such variables away.
PEERS = {
    "2": os.environ.get("MLGIT_TEST_MLFLOW2", ""),
    "3": os.environ.get("MLGIT_TEST_MLFLOW3", ""),
}
FRAMEWORKS = os.environ.get("MLGIT_TEST_FRAMEWORKS", "")
DATA = np.random.default_rng(0).normal(size=(6, 3)).astype("float32")


@keras.saving.register_keras_serializable(package="tests")
class Doubled(keras.layers.Layer):
    def call(self, inputs: Any) -> Any:
        return inputs * 2.0


class Unregistered(keras.layers.Layer):
    def call(self, inputs: Any) -> Any:
        return inputs + 1.0


class Linear(tf.Module):  # type: ignore[misc, name-defined]
    def __init__(self) -> None:
        super().__init__()
        self.weights = tf.Variable([[1.0], [2.0], [3.0]])

    @tf.function(input_signature=[tf.TensorSpec([None, 3], tf.float32)])
    def __call__(self, given):  # type: ignore[no-untyped-def]
        return {"y": given @ self.weights}


def _model(*layers: Any) -> Any:
    return keras.Sequential([keras.layers.Input((3,)), *(layers or (keras.layers.Dense(2),))])


def _files(folder: str = "saved") -> set[str]:
    found = {str(p.relative_to(folder)) for p in Path(folder).rglob("*") if p.is_file()}
    return found - {"MLmodel", "conda.yaml", "python_env.yaml", "requirements.txt"}


def _change(flavor: str, **fields: Any) -> None:
    path = Path("saved", "MLmodel")
    content = yaml.safe_load(path.read_text())
    content["flavors"][flavor] |= fields
    path.write_text(yaml.safe_dump(content))


def _requirements() -> str:
    return Path("saved", "requirements.txt").read_text()


# -- Keras


def test_a_frame_gives_a_frame(in_repo: Path, capfd: pytest.CaptureFixture[str]) -> None:
    model = _model()
    expected = model.predict(DATA, verbose=0)
    frame = pd.DataFrame(DATA, columns=["a", "b", "c"], index=list("uvwxyz"))
    for flavor in ("keras", "tensorflow"):
        getattr(mlgit, flavor).save_model(model, flavor)
        loaded = mlgit.pyfunc.load_model(flavor)
        capfd.readouterr()
        found = loaded.predict(frame)
        assert isinstance(found, pd.DataFrame) and list(found.index) == list("uvwxyz")
        assert np.allclose(found.to_numpy(), expected, atol=1e-6)
        assert isinstance(loaded.predict(DATA), np.ndarray)
        assert capfd.readouterr().out == ""  # Keras draws bars there


def test_several_inputs_and_outputs(in_repo: Path) -> None:
    a, b = keras.layers.Input((3,), name="a"), keras.layers.Input((1,), name="b")
    outputs = {"s": keras.layers.Dense(1)(a), "t": keras.layers.Dense(2)(b)}
    mlgit.keras.save_model(keras.Model([a, b], outputs), "saved")
    loaded = mlgit.pyfunc.load_model("saved")
    found = loaded.predict({"a": DATA, "b": DATA[:, :1]})
    assert {name: value.shape for name, value in found.items()} == {"s": (6, 1), "t": (6, 2)}
    again = loaded.predict([DATA, DATA[:, :1]])
    assert np.array_equal(found["t"], again["t"])


def test_params_go_to_predict(in_repo: Path) -> None:
    signature = mlgit.models.infer_signature(DATA, None, {"batch_size": 2, "other": 1})
    mlgit.keras.save_model(_model(), "saved", signature=signature)
    loaded = mlgit.pyfunc.load_model("saved")
    sizes = []
    model = loaded.get_raw_model()
    real = model.predict

    def predict(x: Any, batch_size: Any = None, verbose: Any = "auto") -> Any:
        sizes.append(batch_size)
        return real(x, batch_size=batch_size, verbose=verbose)

    model.predict = predict
    loaded.predict(DATA)
    loaded.predict(DATA, params={"batch_size": 3})
    assert sizes == [2, 3]


def test_the_compiled_model_comes_back(in_repo: Path) -> None:
    model = _model()
    model.compile(optimizer=keras.optimizers.Adam(0.125), loss="mse")
    mlgit.keras.save_model(model, "saved", save_model_kwargs={"overwrite": True})
    loaded = mlgit.keras.load_model("saved", allow_pickle=False)
    assert float(loaded.optimizer.learning_rate) == 0.125
    assert _files() == {"data/model.keras", "data/keras_module.txt"}
    assert "keras==" in _requirements() and "tensorflow==" in _requirements()
    loaded = mlgit.keras.load_model("saved", load_model_kwargs={"compile": False})
    assert not loaded.compiled


def test_classes_of_ones_own(in_repo: Path) -> None:
    mlgit.keras.save_model(_model(Unregistered()), "saved")
    with pytest.raises(InvalidParameterValue, match="Unregistered|Sequential") as raised:
        mlgit.keras.load_model("saved", allow_pickle=False)
    assert "custom_objects" in raised.value.hint
    objects = {"Unregistered": Unregistered}
    loaded = mlgit.keras.load_model("saved", custom_objects=objects, allow_pickle=False)
    assert np.allclose(loaded.predict(DATA, verbose=0), DATA + 1)
    options = {"custom_objects": objects}
    assert mlgit.keras.load_model("saved", load_model_kwargs=options) is not None


def test_a_functions_code_is_not_run_where_it_may_not(in_repo: Path) -> None:
    model = _model(keras.layers.Lambda(lambda x: x * 3.0))
    for flavor in ("keras", "tensorflow"):
        module = getattr(mlgit, flavor)
        module.save_model(model, flavor)
        assert np.allclose(mlgit.pyfunc.load_model(flavor).predict(DATA), DATA * 3)
        for load in (module.load_model, mlgit.pyfunc.load_model):
            with pytest.raises(PermissionDenied, match=r"data/model\.keras of \w+ holds a func"):
                load(flavor, allow_pickle=False)
    for options in ({"load_model_kwargs": {"safe_mode": False}},):
        with pytest.raises(PermissionDenied, match="safe_mode=False"):
            mlgit.keras.load_model("keras", allow_pickle=False, **options)
    with pytest.raises(PermissionDenied):
        mlgit.keras.load_model("keras", load_model_kwargs={"safe_mode": True})


def test_old_keras_has_no_safe_mode(in_repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mlgit.keras.save_model(_model(), "saved")
    monkeypatch.setattr(keras, "__version__", "3.9.2")
    with pytest.raises(PermissionDenied, match=r"Keras 3\.9\.2"):
        mlgit.keras.load_model("saved", allow_pickle=False)
    assert mlgit.keras.load_model("saved", allow_pickle=True) is not None


def test_a_file_that_is_cut_short(in_repo: Path) -> None:
    mlgit.keras.save_model(_model(), "saved")
    file = Path("saved", "data", "model.keras")
    whole = file.read_bytes()
    for size in (0, 10, len(whole) // 2, len(whole) - 30):
        file.write_bytes(whole[:size])
        for load in (mlgit.keras.load_model, mlgit.pyfunc.load_model):
            with pytest.raises(CorruptData, match=r"data/model\.keras of saved is cut short"):
                load("saved")
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("config.json", "{")
        archive.writestr("metadata.json", "{}")
    with pytest.raises(CorruptData, match="can't be loaded by Keras"):
        mlgit.keras.load_model("saved")
    file.unlink()
    with pytest.raises(ResourceDoesNotExist, match=r"none of the files model\.keras, model\.h5"):
        mlgit.keras.load_model("saved")


def test_an_exported_model(in_repo: Path, capfd: pytest.CaptureFixture[str]) -> None:
    model = _model()
    expected = model.predict(DATA, verbose=0)
    mlgit.keras.save_model(model, "saved", save_exported_model=True)
    assert "data/model/saved_model.pb" in _files() and "data/model.keras" not in _files()
    assert "Saved artifact" not in capfd.readouterr().out
    assert np.allclose(mlgit.keras.load_model("saved").serve(DATA).numpy(), expected, atol=1e-6)
    assert np.allclose(mlgit.pyfunc.load_model("saved").predict(DATA), expected, atol=1e-6)
    with pytest.raises(PermissionDenied, match=r"saved_model\.pb"):
        mlgit.pyfunc.load_model("saved", allow_pickle=False)


def test_the_guides_programs(in_repo: Path) -> None:
    import mlgit as mlflow

    keras_model = _model()
    signature = mlflow.models.infer_signature(DATA, keras_model.predict(DATA, verbose=0))
    with mlflow.start_run() as run:
        mlflow.keras.log_model(model=keras_model, artifact_path="model", signature=signature)
        mlflow.keras.log_model(keras_model, "other")
    for name in ("model", "other"):
        loaded = mlflow.keras.load_model(f"runs:/{run.info.run_id}/{name}")
        assert np.allclose(loaded.predict(DATA, verbose=0), keras_model.predict(DATA, verbose=0))


# -- TensorFlow


def test_only_the_classes_that_a_model_names_are_pickled(in_repo: Path) -> None:
    mlgit.tensorflow.save_model(_model(), "plain")
    assert not [name for name in _files("plain") if "pickle" in name]
    mlgit.tensorflow.save_model(_model(Doubled()), "saved")
    assert "data/global_custom_objects.cloudpickle" in _files()
    assert "cloudpickle==" in _requirements()
    program = (
        "import sys, json, numpy, mlgit\n"
        "model = mlgit.pyfunc.load_model('saved')\n"
        "print(json.dumps(model.predict(numpy.ones((1, 3), 'float32')).tolist()))"
    )
    # Where the class isn't registered, it is the pickle's.
    text = Path("saved", "data", "global_custom_objects.cloudpickle").read_bytes()
    assert b"Doubled" in text
    folder = os.path.dirname(os.path.abspath(__file__))
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([folder, *sys.path])},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert json.loads(done.stdout.splitlines()[-1]) == [[2.0, 2.0, 2.0]]


def test_given_classes_are_pickled(in_repo: Path) -> None:
    for given in ({"Unregistered": Unregistered}, [Unregistered]):
        folder = type(given).__name__
        mlgit.tensorflow.save_model(_model(Unregistered()), folder, custom_objects=given)
        assert "data/custom_objects.cloudpickle" in _files(folder)
        assert np.allclose(mlgit.pyfunc.load_model(folder).predict(DATA), DATA + 1)
        for load in (mlgit.tensorflow.load_model, mlgit.pyfunc.load_model):
            with pytest.raises(PermissionDenied, match=r"custom_objects\.cloudpickle of"):
                load(folder, allow_pickle=False)
    loaded = mlgit.tensorflow.load_model(
        "dict",
        keras_model_kwargs={"custom_objects": {"Unregistered": Unregistered}},
        allow_pickle=False,
    )
    assert np.allclose(loaded.predict(DATA, verbose=0), DATA + 1)


@pytest.mark.parametrize("version", sorted(PEERS))
def test_classes_go_to_mlflow_and_come_back(version: str, in_repo: Path) -> None:
    if not PEERS[version]:
        pytest.skip(f"MLGIT_TEST_MLFLOW{version} names no Python with that MLflow")

    class Tripled(keras.layers.Layer):
        def call(self, inputs: Any) -> Any:
            return inputs * 3.0

    Tripled.__module__ = "__main__"  # so that it is pickled by value
    mlgit.tensorflow.save_model(
        _model(Tripled()), "ours", custom_objects={"Tripled": Tripled}, pip_requirements=[]
    )
    program = (
        "import sys; sys.path += sys.argv[1].split(':')\n"
        "import numpy, mlflow, keras\n"
        "class Tripled(keras.layers.Layer):\n"
        "    def call(self, inputs): return inputs * 3.0\n"
        "made, objects = Tripled, {'Tripled': Tripled}\n"
        "del Tripled\n"
        "ours = mlflow.pyfunc.load_model('ours').predict(numpy.ones((1, 3), 'float32'))\n"
        "model = keras.Sequential([keras.layers.Input((3,)), made()])\n"
        "mlflow.tensorflow.save_model(model, 'theirs', custom_objects=objects,\n"
        "    pip_requirements=['keras'])\n"
        "print(); print(ours.tolist())"
    )
    done = subprocess.run(
        [PEERS[version], "-c", program, FRAMEWORKS],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": "", "MLFLOW_TRACKING_URI": f"file://{in_repo}/mlruns"},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert json.loads(done.stdout.splitlines()[-1]) == [[3.0, 3.0, 3.0]]
    assert np.allclose(mlgit.pyfunc.load_model("theirs").predict(DATA), DATA * 3)
    with pytest.raises(PermissionDenied, match=r"custom_objects\.cloudpickle"):
        mlgit.pyfunc.load_model("theirs", allow_pickle=False)


def test_what_holds_no_classes(in_repo: Path) -> None:
    options = {"custom_objects": {"Unregistered": Unregistered}}
    mlgit.tensorflow.save_model(_model(Unregistered()), "saved", **options)
    Path("saved", "data", "custom_objects.cloudpickle").write_bytes(pickle.dumps([1]))
    with pytest.raises(CorruptData, match="holds no classes by name"):
        mlgit.tensorflow.load_model("saved")


@pytest.mark.filterwarnings("ignore")
def test_the_old_format(in_repo: Path) -> None:
    model = _model()
    mlgit.tensorflow.save_model(model, "saved", keras_model_kwargs={"save_format": "h5"})
    assert {"data/model.h5", "data/save_format.txt"} <= _files()
    assert Path("saved", "data", "save_format.txt").read_text() == "h5"
    expected = model.predict(DATA, verbose=0)
    assert np.allclose(mlgit.pyfunc.load_model("saved").predict(DATA), expected, atol=1e-6)
    with pytest.raises(PermissionDenied, match=r"model\.h5"):
        mlgit.tensorflow.load_model("saved", allow_pickle=False)
    whole = Path("saved", "data", "model.h5").read_bytes()
    Path("saved", "data", "model.h5").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(CorruptData, match=r"model\.h5 of saved"):
        mlgit.tensorflow.load_model("saved")


def test_a_module(in_repo: Path) -> None:
    mlgit.tensorflow.save_model(Linear(), "saved", input_example=DATA[:2])
    assert {"tf2model/saved_model.pb", "tf2model/variables/variables.index"} <= _files()
    loaded = mlgit.pyfunc.load_model("saved")
    assert [output.name for output in loaded.metadata.signature.outputs] == ["y"]
    expected = DATA @ np.array([[1.0], [2.0], [3.0]])
    assert np.allclose(loaded.predict(DATA)["y"], expected, atol=1e-5)
    mlgit.tensorflow.save_model(Linear(), "plain")
    loaded = mlgit.pyfunc.load_model("plain")
    for data in (DATA, DATA.tolist(), pd.DataFrame(DATA)):
        assert np.allclose(loaded.predict(data)["y"], expected, atol=1e-5)
    with pytest.raises(InvalidParameterValue, match="an array or a list, not a dict"):
        loaded.predict({"a": DATA})


def test_a_module_of_signatures(in_repo: Path) -> None:
    module = tf.Module()
    module.factor = tf.Variable(2.0)

    @tf.function(input_signature=[tf.TensorSpec([None, 3], tf.float32, name="given")])
    def scaled(given):  # type: ignore[no-untyped-def]
        return {"y": given * module.factor}

    options = {"signatures": {"serving_default": scaled}}
    with mlgit.start_run():
        info = mlgit.log_model(module, "m", saved_model_kwargs=options)
    assert set(info.flavors) == {"tensorflow", "python_function"}
    found = mlgit.pyfunc.load_model(info.model_uri).predict(DATA)
    assert np.allclose(found["y"], DATA * 2)
    # What was loaded is a model, too.
    mlgit.tensorflow.save_model(mlgit.tensorflow.load_model(info.model_uri), "again")
    assert np.allclose(mlgit.pyfunc.load_model("again").predict(DATA)["y"], DATA * 2)


def test_a_module_that_is_cut_short(in_repo: Path) -> None:
    mlgit.tensorflow.save_model(Linear(), "saved")
    for name in ("variables/variables.data-00000-of-00001", "saved_model.pb"):
        file = Path("saved", "tf2model", name)
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
        with pytest.raises(CorruptData, match="tf2model of saved can't be loaded"):
            mlgit.tensorflow.load_model("saved")


def test_a_module_that_can_not_be_called(in_repo: Path) -> None:
    module = tf.Module()
    module.factor = tf.Variable(2.0)
    mlgit.tensorflow.save_model(module, "saved")
    assert float(mlgit.tensorflow.load_model("saved").factor) == 2.0
    with pytest.raises(InvalidParameterValue, match="neither a __call__ nor a signature"):
        mlgit.pyfunc.load_model("saved").predict(DATA)
    with pytest.raises(InvalidParameterValue, match="neither a __call__ nor a signature"):
        mlgit.tensorflow.save_model(module, "again", input_example=DATA)


# -- both


def test_what_can_not_be_a_model(in_repo: Path) -> None:
    for flavor in ("keras", "tensorflow"):
        with pytest.raises(InvalidParameterValue, match="A dict isn't a model of"):
            getattr(mlgit, flavor).save_model({}, "saved")
    with pytest.raises(InvalidParameterValue, match="'zip'"):
        mlgit.tensorflow.save_model(_model(), "saved", keras_model_kwargs={"save_format": "zip"})
    assert not os.path.exists("saved")
    mlgit.tensorflow.save_model(_model(), "saved")
    _change("tensorflow", model_type="tf1-estimator")
    with pytest.raises(Unsupported, match="tf1-estimator"):
        mlgit.tensorflow.load_model("saved")


@pytest.mark.parametrize("flavor", ["keras", "tensorflow"])
def test_what_is_lacking_is_named(
    flavor: str, in_repo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = getattr(mlgit, flavor)
    module.save_model(_model(), "saved")
    monkeypatch.setitem(sys.modules, flavor, None)
    for call in (lambda: module.load_model("saved"), lambda: module.save_model(1, "again")):
        with pytest.raises(MissingDependency, match=f"needs {flavor}") as raised:
            call()
        assert raised.value.hint == f"pip install mlgit[{flavor}]"


def test_a_backend_that_is_lacking_is_named(in_repo: Path) -> None:
    program = (
        "import sys; sys.modules['tensorflow'] = None\n"
        "import mlgit\n"
        "try:\n"
        "    mlgit.keras.load_model('saved')\n"
        "except mlgit.exceptions.MissingDependency as error:\n"
        "    print(error)\n"
    )
    mlgit.keras.save_model(_model(), "saved")
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        env={**os.environ, "KERAS_BACKEND": "tensorflow"},
    )
    assert "Keras needs its backend tensorflow" in done.stdout, done.stderr[-2000:]
