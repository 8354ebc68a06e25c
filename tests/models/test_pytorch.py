"""What is special to PyTorch: formats, devices, state dicts, and what may be loaded without code."""

from __future__ import annotations

import re
import types
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

import mlgit
from mlgit.exceptions import (
    CorruptData,
    InvalidParameterValue,
    MissingDependency,
    MlgitException,
    PermissionDenied,
    ResourceDoesNotExist,
)

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
DATA = np.random.default_rng(0).normal(size=(5, 3)).astype("float32")


def _layers() -> Any:
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Dropout(0.5), torch.nn.Linear(4, 2))


def _given(model: Any, data: Any = DATA) -> Any:
    model.eval()
    with torch.no_grad():
        return model(torch.from_numpy(data)).numpy()


class Told(torch.nn.Module):
    """Gives what it is told, from what it is given."""

    def __init__(self, make: Any) -> None:
        super().__init__()
        self.make = make

    def forward(self, *args: Any, **named: Any) -> Any:
        return self.make(*args, **named)


class Trap:
    def __reduce__(self) -> Any:
        return Path.touch, (Path("sprung"),)


# -- what is written


def test_the_files_are_mlflows(in_repo: Path) -> None:
    mlgit.pytorch.save_model(_layers(), "saved")
    names = {str(path.relative_to("saved")) for path in Path("saved").rglob("*")}
    assert {"data/model.pth", "data/pickle_module_info.txt"} <= names
    assert Path("saved/data/pickle_module_info.txt").read_text() == "mlflow.pytorch.pickle_module"
    flavors = yaml.safe_load(Path("saved/MLmodel").read_text())["flavors"]
    assert flavors["pytorch"] == {
        "code": None,
        "model_data": "data",
        "pytorch_version": torch.__version__,
        "serialization_format": "pickle",
    }
    pyfunc = flavors["python_function"]
    assert pyfunc["loader_module"] == "mlflow.pytorch"
    assert pyfunc["data"] == "data" and pyfunc["config"] == {"device": None}


def test_requirements_name_no_build(in_repo: Path) -> None:
    mlgit.pytorch.save_model(_layers(), "saved")
    lines = Path("saved/requirements.txt").read_text().splitlines()
    assert f"torch=={torch.__version__.split('+')[0]}" in lines
    assert not [line for line in lines if "+" in line]
    assert [line for line in lines if line.startswith("numpy==")]
    assert set(mlgit.pytorch.get_default_pip_requirements()) <= set(lines)
    conda = mlgit.pytorch.get_default_conda_env()
    mlgit.pytorch.save_model(_layers(), "other", conda_env=conda)
    assert yaml.safe_load(Path("other/conda.yaml").read_text()) == conda


def test_code_and_extra_files(in_repo: Path) -> None:
    Path("mine_torch.py").write_text(
        "import torch\nclass Mine(torch.nn.Module):\n    def forward(self, x):\n        return x + 1\n"
    )
    import sys

    sys.path.insert(0, str(in_repo))
    import mine_torch

    mlgit.pytorch.save_model(
        mine_torch.Mine(), "saved", code_paths=["mine_torch.py"], extra_files=["mine_torch.py"]
    )
    del sys.modules["mine_torch"]
    sys.path.remove(str(in_repo))
    Path("mine_torch.py").rename("elsewhere.py")
    loaded = mlgit.pyfunc.load_model("saved")
    np.testing.assert_array_equal(loaded.predict(DATA), DATA + 1)
    row = yaml.safe_load(Path("saved/MLmodel").read_text())["flavors"]["pytorch"]
    assert row["extra_files"] == [{"path": "extra_files/mine_torch.py"}]
    with pytest.raises(PermissionDenied):
        mlgit.pytorch.load_model("saved", allow_pickle=False)
    del sys.modules["mine_torch"]


@pytest.mark.parametrize("name", ["pickle", "cloudpickle"])
def test_other_modules_that_pickle(name: str, in_repo: Path) -> None:
    module = pytest.importorskip(name)
    mlgit.pytorch.save_model(_layers(), "saved", pickle_module=module)
    assert Path("saved/data/pickle_module_info.txt").read_text() == name
    np.testing.assert_allclose(_given(mlgit.pytorch.load_model("saved")), _given(_layers()))


def test_a_pickler_of_ones_own(in_repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import pickle

    own = types.ModuleType("own_pickler")
    own.__dict__.update(Pickler=pickle.Pickler, Unpickler=pickle.Unpickler, load=pickle.load)
    monkeypatch.setitem(__import__("sys").modules, "own_pickler", own)
    mlgit.pytorch.save_model(_layers(), "saved", pickle_module=own)
    assert mlgit.pytorch.load_model("saved") is not None
    with pytest.raises(PermissionDenied, match=r"model\.pth"):
        mlgit.pytorch.load_model("saved", allow_pickle=False)
    monkeypatch.delitem(__import__("sys").modules, "own_pickler")
    with pytest.raises(MissingDependency, match="own_pickler"):
        mlgit.pytorch.load_model("saved")


def test_saving_leaves_the_model_as_it_is(in_repo: Path) -> None:
    model = _layers()
    model.train()
    model[2].eval()
    mlgit.pytorch.save_model(model, "saved", input_example=DATA)
    assert [module.training for module in model] == [True, True, False]
    inputs = mlgit.models.get_model_info("saved").signature.inputs
    assert str(inputs) == "[Tensor('float32', (-1, 3))]"


def test_an_example_may_be_a_tensor(in_repo: Path) -> None:
    mlgit.pytorch.save_model(_layers(), "saved", input_example=torch.from_numpy(DATA))
    loaded = mlgit.pyfunc.load_model("saved")
    np.testing.assert_array_equal(loaded.input_example, DATA)
    assert loaded.predict(DATA).shape == (5, 2)


# -- pt2


@pytest.mark.parametrize("option", [{"serialization_format": "pt2"}, {"export_model": True}])
def test_an_exported_program(option: dict[str, Any], in_repo: Path) -> None:
    model = _layers()
    model.train()
    mlgit.pytorch.save_model(model, "saved", input_example=DATA[:1], **option)
    assert model.training
    assert [path.name for path in Path("saved/data").iterdir()] == ["model.pt2"]
    loaded = mlgit.pyfunc.load_model("saved")
    for rows in (1, 2, 5):  # as it predicts, without dropout, for any number of rows
        np.testing.assert_allclose(loaded.predict(DATA[:rows]), _given(model, DATA[:rows]), 1e-5)
    assert mlgit.pytorch.load_model("saved", device="cpu") is not None
    with pytest.raises(PermissionDenied, match=r"model\.pt2"):
        mlgit.pytorch.load_model("saved", allow_pickle=False)
    path = Path("saved/data/model.pt2")
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(CorruptData, match=r"model\.pt2 of saved can't be loaded"):
        mlgit.pytorch.load_model("saved")


def test_what_can_not_be_exported(in_repo: Path) -> None:
    with pytest.raises(InvalidParameterValue, match="needs an input_example"):
        mlgit.pytorch.save_model(_layers(), "saved", serialization_format="pt2")
    opaque = Told(lambda x: torch.from_numpy(np.asarray(x.tolist())))
    with pytest.raises(InvalidParameterValue, match="can't be exported"):
        mlgit.pytorch.save_model(opaque, "saved", export_model=True, input_example=DATA)
    script = torch.jit.trace(_layers().eval(), torch.from_numpy(DATA))
    with pytest.raises(InvalidParameterValue, match="TorchScript"):
        mlgit.pytorch.save_model(script, "saved", export_model=True, input_example=DATA)
    assert not Path("saved").exists()


def test_a_model_logged_over_one_of_another_format(in_repo: Path) -> None:
    with mlgit.start_run():
        for model, options in (
            (Told(lambda x: x + 1), {}),
            (torch.nn.ReLU(), {"export_model": True, "input_example": DATA}),
            (Told(lambda x: x + 2), {}),
        ):
            info = mlgit.pytorch.log_model(model, name="m", **options)
            found = mlgit.pyfunc.load_model(info.model_uri).predict(DATA)
            np.testing.assert_array_equal(found, _given(model))


# -- the pyfunc face


def test_frames(in_repo: Path) -> None:
    mlgit.pytorch.save_model(_layers(), "saved")
    loaded = mlgit.pyfunc.load_model("saved")
    frame = pd.DataFrame(DATA.astype("float64"), columns=list("abc"), index=range(10, 15))
    found = loaded.predict(frame)
    assert list(found.index) == list(frame.index) and list(found.columns) == [0, 1]
    np.testing.assert_allclose(found.to_numpy(), _given(_layers()), 1e-5)
    mixed = pd.DataFrame({"a": [1], "b": [True], "c": [2.5]})
    assert loaded.predict(mixed).shape == (1, 2)
    with pytest.raises(InvalidParameterValue, match="Columns must hold numbers"):
        loaded.predict(pd.DataFrame({"a": ["x"], "b": [1], "c": [1]}))


def test_arrays_of_any_memory(in_repo: Path) -> None:
    mlgit.pytorch.save_model(_layers(), "saved")
    loaded = mlgit.pyfunc.load_model("saved")
    backwards, fixed = DATA[::-1], DATA.copy()
    fixed.flags.writeable = False
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_allclose(loaded.predict(backwards), _given(_layers())[::-1], 1e-5)
        np.testing.assert_allclose(loaded.predict(fixed), _given(_layers()), 1e-5)
    np.testing.assert_allclose(loaded.predict(torch.from_numpy(DATA)), _given(_layers()), 1e-5)


@pytest.mark.parametrize("data", [[[1.0]], {"a": DATA}, "text", np.array(["a"]), None])
def test_other_data(data: Any, in_repo: Path) -> None:
    mlgit.pytorch.save_model(_layers(), "saved")
    with pytest.raises(InvalidParameterValue, match=r"numpy\.ndarray|can't hold"):
        mlgit.pyfunc.load_model("saved").predict(data)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda x: (x, x), "a tuple"),
        (lambda x: {"a": x}, "a dict"),
        (lambda x: x[:, :, None], r"shape \(5, 3, 1\)"),
        (lambda x: x[:2], r"shape \(2, 3\)"),
        (lambda x: x @ x, "raises RuntimeError"),
    ],
)
def test_other_outputs(make: Any, message: str, in_repo: Path) -> None:
    mlgit.pytorch.save_model(Told(make), "saved")
    with pytest.raises(InvalidParameterValue, match=message):
        mlgit.pyfunc.load_model("saved").predict(pd.DataFrame(DATA))


def test_outputs_that_numpy_lacks(in_repo: Path) -> None:
    mlgit.pytorch.save_model(Told(lambda x: x.to(torch.bfloat16)), "saved")
    assert mlgit.pyfunc.load_model("saved").predict(DATA).dtype == np.float32


def test_params_are_arguments_of_forward(in_repo: Path) -> None:
    signature = mlgit.models.infer_signature(DATA, params={"factor": 1.0})
    mlgit.pytorch.save_model(Told(lambda x, factor: x * factor), "saved", signature=signature)
    loaded = mlgit.pyfunc.load_model("saved")
    np.testing.assert_allclose(loaded.predict(DATA, params={"factor": 2.0}), DATA * 2)
    np.testing.assert_allclose(loaded.predict(DATA), DATA)
    signature = mlgit.models.infer_signature(DATA, params={"device": "cpu"})
    mlgit.pytorch.save_model(_layers(), "other", signature=signature)
    with pytest.raises(InvalidParameterValue, match="device isn't a param"):
        mlgit.pyfunc.load_model("other").predict(DATA)


def test_devices(in_repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mlgit.pytorch.save_model(_layers(), "saved")
    assert next(mlgit.pytorch.load_model("saved", device="meta").parameters()).is_meta
    assert next(mlgit.pytorch.load_model("saved", map_location="meta").parameters()).is_meta
    loaded = mlgit.pyfunc.load_model("saved", model_config={"device": "cpu"})
    assert next(loaded.get_raw_model().parameters()).device.type == "cpu"
    assert not loaded.get_raw_model().training
    monkeypatch.setenv("MLFLOW_DEFAULT_PREDICTION_DEVICE", "nowhere")
    with pytest.raises(InvalidParameterValue, match="no device 'nowhere'"):
        mlgit.pyfunc.load_model("saved")
    assert mlgit.pyfunc.load_model("saved", model_config={"device": "cpu"}) is not None


# -- bad input


@pytest.mark.parametrize("model", [None, "text", {"a": 1}, torch.ones(2)])
def test_what_is_no_module(model: Any, in_repo: Path) -> None:
    with pytest.raises(InvalidParameterValue, match=r"must be a torch\.nn\.Module"):
        mlgit.pytorch.log_model(model, name="m")
    with pytest.raises(InvalidParameterValue, match="Unrecognized serialization format"):
        mlgit.pytorch.save_model(_layers(), "saved", serialization_format="onnx")
    assert not Path("saved").exists()


def test_what_can_not_be_pickled(in_repo: Path) -> None:
    with pytest.raises(InvalidParameterValue, match="can't be pickled"):
        mlgit.pytorch.save_model(Told(x for x in ()), "saved")
    assert not Path("saved").exists()


@pytest.mark.parametrize("size", [0, 1, 1000])
def test_a_truncated_file(size: int, in_repo: Path) -> None:
    script = torch.jit.trace(_layers().eval(), torch.from_numpy(DATA))
    for number, model in enumerate((_layers(), script)):
        mlgit.pytorch.save_model(model, f"{number}")
        path = Path(f"{number}/data/model.pth")
        path.write_bytes(path.read_bytes()[:size])
        for load in (mlgit.pytorch.load_model, mlgit.pyfunc.load_model):
            with pytest.raises(CorruptData, match=r"data/model\.pth of \d can't be loaded"):
                load(f"{number}")


def test_without_the_framework(in_repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mlgit.pytorch.save_model(_layers(), "saved")
    monkeypatch.setitem(__import__("sys").modules, "torch", None)
    for call in (
        lambda: mlgit.pytorch.load_model("saved"),
        lambda: mlgit.pyfunc.load_model("saved"),
        lambda: mlgit.pytorch.load_state_dict("saved"),
    ):
        with pytest.raises(MissingDependency) as caught:
            call()
        assert "mlgit[torch]" in str(caught.value.hint)


# -- nothing runs where it may not


def test_a_pickle_that_says_it_is_torchscript(in_repo: Path) -> None:
    """Whatever else the archive holds, Python isn't run on it."""
    mlgit.pytorch.save_model(Told(Trap()), "saved")
    Path("sprung").unlink(missing_ok=True)
    with zipfile.ZipFile("saved/data/model.pth", "a") as archive:
        root = archive.namelist()[0].split("/")[0]
        archive.writestr(f"{root}/constants.pkl", b"\x80\x02).")
    with pytest.raises(MlgitException):
        mlgit.pytorch.load_model("saved", allow_pickle=False)
    assert not Path("sprung").exists()


# -- state dicts


def test_a_state_dict_is_kept_whole(in_repo: Path) -> None:
    pytest.importorskip("safetensors")
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4))
    state = model.state_dict()
    with mlgit.start_run() as run:
        mlgit.pytorch.log_state_dict(state, "weights")
    uri = f"runs:/{run.info.run_id}/weights"
    assert [
        file.path for file in mlgit.MlgitClient().list_artifacts(run.info.run_id, "weights")
    ] == ["weights/state_dict.safetensors"]
    found = mlgit.pytorch.load_state_dict(uri, allow_pickle=False)
    assert list(found) == list(state)
    assert found._metadata == state._metadata  # type: ignore[attr-defined]
    for name, value in state.items():
        assert torch.equal(found[name], value) and found[name].dtype == value.dtype
    model.load_state_dict(found)
    assert mlgit.pytorch.load_state_dict(uri, map_location="meta")["0.weight"].is_meta


def _tied() -> Any:
    weight = torch.ones(2, 2)
    return {"a": weight, "b": weight}


STATES = {
    "an optimizer's": lambda: torch.optim.Adam(_layers().parameters()).state_dict(),
    "shared memory": _tied,
    "complex": lambda: {"a": torch.ones(1, dtype=torch.complex64)},
    "sparse": lambda: {"a": torch.eye(2).to_sparse()},
    "numbers": lambda: {"a": torch.ones(1), "epoch": 3},
    "keys of numbers": lambda: {0: torch.ones(1)},
}


@pytest.mark.parametrize("name", STATES)
def test_states_that_safetensors_can_not_hold(name: str, in_repo: Path) -> None:
    pytest.importorskip("safetensors")
    state = STATES[name]()
    mlgit.pytorch.save_state_dict(state, "saved")
    assert [path.name for path in Path("saved").iterdir()] == ["state_dict.pth"]
    found = mlgit.pytorch.load_state_dict("saved", allow_pickle=False)
    assert found.keys() == state.keys()
    with pytest.raises(InvalidParameterValue, match="safetensors can't hold"):
        mlgit.pytorch.save_state_dict(state, "other", serialization_format="safetensors")


def test_views_and_empty_tensors(in_repo: Path) -> None:
    pytest.importorskip("safetensors")
    state = {"t": torch.arange(6.0).reshape(2, 3).T, "e": torch.ones(0, 2), "n": torch.tensor(3)}
    mlgit.pytorch.save_state_dict(state, "saved", serialization_format="safetensors")
    found = mlgit.pytorch.load_state_dict("saved")
    assert list(found) == ["t", "e", "n"]
    assert all(torch.equal(found[name], value) for name, value in state.items())


def test_mlflows_file_and_the_newest_counts(in_repo: Path) -> None:
    mlgit.pytorch.save_state_dict({"a": torch.ones(1)}, "saved", serialization_format="pickle")
    assert torch.load("saved/state_dict.pth", weights_only=True)["a"] == 1
    assert mlgit.pytorch.load_state_dict("saved", allow_pickle=False)["a"] == 1
    mlgit.pytorch.save_state_dict({"a": torch.zeros(1)}, "saved")
    assert mlgit.pytorch.load_state_dict("saved")["a"] == 0
    mlgit.pytorch.save_state_dict({"a": torch.ones(1)}, "saved", serialization_format="pickle")
    assert mlgit.pytorch.load_state_dict("saved")["a"] == 1


def test_a_run_has_one_file_of_a_state_dict(in_repo: Path) -> None:
    pytest.importorskip("safetensors")
    with mlgit.start_run() as run:
        for value in (1, 2):
            mlgit.pytorch.log_state_dict({"a": torch.tensor(value)}, "s")
        with pytest.raises(InvalidParameterValue, match="in another file than state_dict.pth"):
            mlgit.pytorch.log_state_dict({"a": 3}, "s")
    assert mlgit.pytorch.load_state_dict(f"runs:/{run.info.run_id}/s")["a"] == 2


def test_a_state_dict_that_runs_code(in_repo: Path) -> None:
    torch.save({"a": torch.ones(1), "trap": Trap()}, "state_dict.pth")
    for options in ({"allow_pickle": False}, {"weights_only": True}):
        with pytest.raises(PermissionDenied, match=r"state_dict\.pth of \. is a pickle"):
            mlgit.pytorch.load_state_dict(".", **options)
    # What the program says of torch.load doesn't go over it.
    with pytest.raises(PermissionDenied):
        mlgit.pytorch.load_state_dict(".", allow_pickle=False, weights_only=False)
    assert not Path("sprung").exists()
    assert mlgit.pytorch.load_state_dict(".", allow_pickle=True)["a"] == 1
    assert Path("sprung").exists()


def test_state_dicts_that_are_none(in_repo: Path) -> None:
    for state in ("text", [torch.ones(1)], None):
        with pytest.raises(InvalidParameterValue, match="A state dict is a dict"):
            mlgit.pytorch.save_state_dict(state, "saved")  # type: ignore[arg-type]
    with pytest.raises(InvalidParameterValue, match="Unrecognized serialization format"):
        mlgit.pytorch.save_state_dict({}, "saved", serialization_format="npz")
    assert not Path("saved").exists()
    Path("empty").mkdir()
    with pytest.raises(ResourceDoesNotExist, match="No state dict at empty"):
        mlgit.pytorch.load_state_dict("empty")
    torch.save([1], "empty/state_dict.pth")
    with pytest.raises(CorruptData, match="holds no state dict but a list"):
        mlgit.pytorch.load_state_dict("empty")


@pytest.mark.parametrize("format_", ["safetensors", "pickle"])
@pytest.mark.parametrize("size", [0, 5, 300])
def test_a_truncated_state_dict(format_: str, size: int, in_repo: Path) -> None:
    pytest.importorskip("safetensors")
    state = {"a": torch.ones(1000)}
    mlgit.pytorch.save_state_dict(state, "saved", serialization_format=format_)
    (path,) = Path("saved").iterdir()
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(CorruptData, match=f"{path.name} of saved can't be loaded"):
        mlgit.pytorch.load_state_dict("saved")


# -- the guides and the docs


def test_programs_of_guides(in_repo: Path) -> None:
    import mlgit as mlflow

    pytorch_model = _layers()
    sample_input = DATA
    mlflow.pytorch.log_model(pytorch_model, "pytorch_model")
    from mlgit.models.signature import infer_signature

    signature = infer_signature(sample_input, _given(pytorch_model))
    mlflow.pytorch.log_model(
        pytorch_model, "model", signature=signature, input_example=sample_input
    )
    mlflow.pytorch.log_model(
        pytorch_model=pytorch_model, artifact_path="model", signature=signature
    )
    run = mlflow.active_run()
    model = mlflow.pytorch.load_model(f"runs:/{run.info.run_id}/model")
    np.testing.assert_allclose(_given(model), _given(pytorch_model))
    mlflow.end_run()


def test_the_program_of_the_docs(in_repo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("safetensors")
    page = (Path(__file__).parents[2] / "docs" / "models.md").read_text(encoding="utf-8")
    (program,) = re.findall(r"```python\n# PyTorch\n(.*?)```", page, re.DOTALL)
    exec(program, {})
    assert capsys.readouterr().out == "(4, 2)\n"
