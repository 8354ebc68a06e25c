"""XGBoost and LightGBM: formats, classes, files that are cut short, and what runs code."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

import mlgit
from mlgit.exceptions import (
    CorruptData,
    InvalidParameterValue,
    MissingDependency,
    PermissionDenied,
    ResourceDoesNotExist,
)
from mlgit.models import ubjson

np = pytest.importorskip("numpy")
pd = pytest.importorskip("pandas")


def _data() -> Any:
    numbers = np.random.default_rng(0).normal(size=(40, 3))
    return pd.DataFrame(numbers, columns=["a", "b", "c"])


def _xgboost(**options: Any) -> Any:
    xgboost = pytest.importorskip("xgboost")
    data = _data()
    train = xgboost.DMatrix(data, label=data["a"] > 0)
    return xgboost.train({"max_depth": 2, "nthread": 1, **options}, train, 3)


def _lightgbm() -> Any:
    lightgbm = pytest.importorskip("lightgbm")
    data = _data()
    options = {"verbose": -1, "min_data_in_leaf": 2, "num_threads": 1}
    return lightgbm.train(options, lightgbm.Dataset(data, label=data["a"]), 3)


def _classifier() -> Any:
    lightgbm = pytest.importorskip("lightgbm")
    data = _data()
    model = lightgbm.LGBMClassifier(n_estimators=3, min_child_samples=2, n_jobs=1, verbose=-1)
    return model.fit(data, data["a"] > 0)


def _rows(folder: str = "saved") -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(Path(folder, "MLmodel").read_text())["flavors"]
    return found


def _change(flavor: str, folder: str = "saved", **fields: Any) -> None:
    path = Path(folder, "MLmodel")
    content = yaml.safe_load(path.read_text())
    content["flavors"][flavor] |= fields
    path.write_text(yaml.safe_dump(content))


# -- XGBoost


@pytest.mark.parametrize("model_format", mlgit.xgboost.MODEL_FORMATS)
@pytest.mark.filterwarnings("ignore:.*UBJSON")
def test_formats_of_xgboost(model_format: str, in_repo: Path) -> None:
    model = _xgboost()
    mlgit.xgboost.save_model(model, "saved", model_format=model_format)
    row = _rows()["xgboost"]
    assert row["data"] == f"model.{model_format}" and row["model_format"] == model_format
    assert row["model_class"] == "xgboost.core.Booster"
    loaded = mlgit.xgboost.load_model("saved", allow_pickle=False)
    assert loaded.save_raw("json") == model.save_raw("json")


def test_an_unknown_format_saves_nothing(in_repo: Path) -> None:
    with mlgit.start_run() as run:
        with pytest.raises(InvalidParameterValue, match="'zip'") as raised:
            mlgit.xgboost.log_model(_xgboost(), "m", model_format="zip")
    assert "ubj, json, xgb" in raised.value.hint
    with pytest.raises(InvalidParameterValue, match="'zip'"):
        mlgit.lightgbm.save_model(_lightgbm(), "saved", serialization_format="zip")
    assert not mlgit.artifacts.list_artifacts(run_id=run.info.run_id)
    assert not os.path.exists("saved")


@pytest.mark.parametrize("flavor", ["xgboost", "lightgbm"])
def test_only_their_own_models(flavor: str, in_repo: Path) -> None:
    pytest.importorskip(flavor)
    with pytest.raises(InvalidParameterValue, match="A dict isn't a model of"):
        getattr(mlgit, flavor).save_model({}, "saved")


def test_a_model_that_is_not_trained(in_repo: Path) -> None:
    xgboost = pytest.importorskip("xgboost")
    with pytest.raises(InvalidParameterValue, match="fit"):
        mlgit.xgboost.save_model(xgboost.XGBRegressor(), "saved")
    assert not os.path.exists("saved")


def test_params_go_to_predict(in_repo: Path) -> None:
    data = _data()
    model = _xgboost(objective="binary:logistic")
    params = {"output_margin": False, "of_another_model": 1}
    signature = mlgit.models.infer_signature(data, None, params)
    mlgit.xgboost.save_model(model, "x", signature=signature)
    loaded = mlgit.pyfunc.load_model("x")
    probability = loaded.predict(data)
    margin = loaded.predict(data, params={"output_margin": True})
    assert probability.shape == (40,)
    assert np.allclose(1 / (1 + np.exp(-margin)), probability, atol=1e-6)

    signature = mlgit.models.infer_signature(data, None, {"raw_score": False})
    model = _classifier()
    mlgit.lightgbm.save_model(model, "l", signature=signature)
    loaded = mlgit.pyfunc.load_model("l")
    assert set(loaded.predict(data)) == {False, True}
    scores = loaded.predict(data, params={"raw_score": True})
    assert np.array_equal(scores, model.predict(data, raw_score=True))


def test_categories_of_xgboost(in_repo: Path) -> None:
    xgboost = pytest.importorskip("xgboost")
    data = pd.DataFrame({"a": pd.Categorical(["x", "y"] * 20), "b": [1.0, 2.0] * 20})
    train = xgboost.DMatrix(data, label=data["b"], enable_categorical=True)
    model = xgboost.train({"tree_method": "hist"}, train, 3)
    mlgit.xgboost.save_model(model, "saved")
    assert np.array_equal(mlgit.pyfunc.load_model("saved").predict(data), model.predict(train))


@pytest.mark.parametrize("model_format", ["ubj", "json"])
def test_a_file_of_xgboost_that_is_cut_short(model_format: str, in_repo: Path) -> None:
    """XGBoost reads some such files forever, and beyond its memory."""
    mlgit.xgboost.save_model(_xgboost(), "saved", model_format=model_format)
    file = Path("saved", f"model.{model_format}")
    whole = file.read_bytes()
    for size in (*range(0, len(whole), 97), len(whole) - 1):
        file.write_bytes(whole[:size])
        with pytest.raises(CorruptData, match=f"model.{model_format} of saved"):
            mlgit.xgboost.load_model("saved")
    file.write_bytes(b"no model at all")
    with pytest.raises(CorruptData, match="can't be loaded by XGBoost") as raised:
        mlgit.pyfunc.load_model("saved")
    assert "Stack trace" not in str(raised.value)


def test_every_end_of_ubjson_but_its_own(tmp_path: Path) -> None:
    whole = bytes(_xgboost().save_raw("ubj"))
    file = tmp_path / "model.ubj"
    file.write_bytes(whole)
    assert ubjson.is_ubjson(whole[:2]) and ubjson.is_whole(str(file))
    for size in (*range(0, len(whole), 11), *range(len(whole) - 40, len(whole))):
        file.write_bytes(whole[:size])
        assert not ubjson.is_whole(str(file)), size
    file.write_bytes(whole + b"Z")
    assert not ubjson.is_whole(str(file))


@pytest.mark.parametrize(
    ("content", "whole"),
    [
        (b"{}", True),
        (b"{i\x01aSi\x02xyU\x01bT}", True),
        (b"{i\x01a[$d#L" + (2).to_bytes(8, "big") + b"\0" * 8 + b"}", True),
        (b"{i\x01a[#i\x02i\x01Z}", True),
        (b"{i\x01a[i\x01i\x02]}", True),
        (b"{#i\x01i\x01aD" + b"\0" * 8, True),
        (b"{$i#i\x01i\x01a\x05", True),
        (b"{i\x01a[$Z#L" + b"\x7f" * 8 + b"}", True),
        (b"{i\x01a[$d#L" + b"\x7f" * 8 + b"}", False),
        (b"{i\xffa}", False),
        (b"{i\x01aX}", False),
        (b"{i\x01a[$d]}", False),
        (b"{i\x01a" + b"[" * 100_000, False),
    ],
)
def test_ubjson(content: bytes, whole: bool, tmp_path: Path) -> None:
    file = tmp_path / "some.ubj"
    file.write_bytes(content)
    assert ubjson.is_whole(str(file)) is whole


NUMBERS = {
    int: lambda value: b"L" + value.to_bytes(8, "big", signed=True),
    float: lambda value: b"D" + struct.pack(">d", value),
    type(None): lambda _: b"Z",
    bool: lambda value: b"T" if value else b"F",
}


def _encoded(value: Any) -> bytes:
    """A value in UBJSON, written the long way."""
    if isinstance(value, str):
        return b"S" + _sized(value)
    if isinstance(value, list):
        if value and all(type(item) is float for item in value):
            count = b"#L" + len(value).to_bytes(8, "big")
            return b"[$D" + count + b"".join(_encoded(item)[1:] for item in value)
        return b"[" + b"".join(map(_encoded, value)) + b"]"
    if isinstance(value, dict):
        return b"{" + b"".join(_sized(k) + _encoded(v) for k, v in value.items()) + b"}"
    return NUMBERS[type(value)](value)


def _sized(text: str) -> bytes:
    encoded = text.encode()
    return b"L" + len(encoded).to_bytes(8, "big") + encoded


SCALARS = (
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats() | st.text(max_size=5)
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(st.floats(), max_size=4)
        | st.dictionaries(st.text(max_size=3), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.text(max_size=3), VALUES, max_size=4), st.data())
def test_ubjson_is_whole_at_its_end_only(value: Any, data: st.DataObject) -> None:
    encoded = _encoded(value)
    with tempfile.NamedTemporaryFile() as file:
        for size in (len(encoded), data.draw(st.integers(0, len(encoded) - 1))):
            Path(file.name).write_bytes(encoded[:size])
            assert ubjson.is_whole(file.name) is (size == len(encoded))


OWN = "import xgboost\nclass Mine(xgboost.XGBRegressor):\n    pass\n"


def test_a_class_of_ones_own(in_repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("xgboost")
    pytest.importorskip("sklearn")
    (in_repo / "mine_of_xgboost.py").write_text(OWN)
    monkeypatch.syspath_prepend(str(in_repo))
    import mine_of_xgboost

    data = _data()
    model = mine_of_xgboost.Mine(n_estimators=2).fit(data, data["a"])
    mlgit.xgboost.save_model(model, "saved", code_paths=["mine_of_xgboost.py"])
    assert type(mlgit.xgboost.load_model("saved")).__name__ == "Mine"
    for load in (mlgit.xgboost.load_model, mlgit.pyfunc.load_model):
        with pytest.raises(PermissionDenied):
            load("saved", allow_pickle=False)


@pytest.mark.parametrize(
    "name", ["xgboost.core.Nothing", "xgboost.DMatrix", "xgboost.nowhere.Booster", "Booster", 1]
)
def test_a_class_that_is_no_model(name: object, in_repo: Path) -> None:
    mlgit.xgboost.save_model(_xgboost(), "saved")
    _change("xgboost", model_class=name)
    with pytest.raises(CorruptData, match="names the class"):
        mlgit.xgboost.load_model("saved", allow_pickle=True)


def test_a_class_of_a_module_that_runs_is_not_imported(
    in_repo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mlgit.xgboost.save_model(_xgboost(), "saved")
    (in_repo / "sprung_by_import.py").write_text("import os\nos.mkdir('sprung')\n")
    monkeypatch.syspath_prepend(str(in_repo))
    _change("xgboost", model_class="sprung_by_import.Booster")
    with pytest.raises(PermissionDenied, match="model_class: sprung_by_import"):
        mlgit.xgboost.load_model("saved", allow_pickle=False)
    assert not os.path.exists("sprung")


# -- LightGBM


def test_a_text_of_lightgbm_that_is_cut_short(in_repo: Path) -> None:
    """LightGBM loads some such texts, and of others its process dies."""
    mlgit.lightgbm.save_model(_lightgbm(), "saved")
    file = Path("saved", "model.lgb")
    whole = file.read_bytes()
    for size in (0, 10, len(whole) // 3, whole.index(b"end of trees"), len(whole) - 4):
        file.write_bytes(whole[:size])
        with pytest.raises(CorruptData, match=r"model\.lgb of saved is cut short"):
            mlgit.lightgbm.load_model("saved")
    # As LightGBM's own program writes it.
    file.write_bytes(whole[: whole.index(b"pandas_categorical")])
    assert mlgit.lightgbm.load_model("saved").num_trees() == 3
    file.write_bytes(b"no model at all\npandas_categorical:null\n")
    with pytest.raises(CorruptData, match="can't be loaded by LightGBM"):
        mlgit.lightgbm.load_model("saved")


def test_the_last_line_of_a_text_may_be_long(in_repo: Path) -> None:
    lightgbm = pytest.importorskip("lightgbm")
    names = [f"category {number:06}" for number in range(20_000)]
    data = pd.DataFrame({"a": pd.Categorical(names), "b": np.arange(20_000.0)})
    options = {"verbose": -1, "num_threads": 1, "max_cat_threshold": 2}
    model = lightgbm.train(options, lightgbm.Dataset(data, label=data["b"]), 1)
    mlgit.lightgbm.save_model(model, "saved")
    assert Path("saved", "model.lgb").stat().st_size > 300_000
    loaded = mlgit.lightgbm.load_model("saved", allow_pickle=False)
    assert loaded.pandas_categorical == [names]


def test_a_pickle_is_not_loaded_under_another_name(in_repo: Path) -> None:
    mlgit.lightgbm.save_model(_classifier(), "saved")
    for fields in (
        {"model_class": "lightgbm.basic.Booster"},
        {"serialization_format": "skops"},
        {"serialization_format": "skops", "skops_trusted_types": ["os.system"]},
    ):
        _change("lightgbm", **fields)
        with pytest.raises((CorruptData, PermissionDenied)):
            mlgit.lightgbm.load_model("saved", allow_pickle=False)
    _change("lightgbm", model_class="of.my.Own", serialization_format="pickle")
    with pytest.raises(PermissionDenied, match=r"model\.pkl"):
        mlgit.pyfunc.load_model("saved", allow_pickle=False)


@pytest.mark.parametrize("serialization_format", ["pickle", "cloudpickle", "skops"])
def test_formats_of_lightgbm(serialization_format: str, in_repo: Path) -> None:
    pytest.importorskip("skops")
    model, data = _classifier(), _data()
    mlgit.lightgbm.save_model(model, "saved", serialization_format=serialization_format)
    assert _rows()["lightgbm"]["serialization_format"] == serialization_format
    loaded = mlgit.lightgbm.load_model("saved")
    assert np.array_equal(loaded.predict_proba(data), model.predict_proba(data))
    requirements = Path("saved", "requirements.txt").read_text()
    assert "lightgbm==" in requirements and "scikit-learn==" in requirements
    assert ("skops==" in requirements) is (serialization_format == "skops")
    assert ("cloudpickle==" in requirements) is (serialization_format == "cloudpickle")


@pytest.mark.parametrize("serialization_format", ["cloudpickle", "skops"])
def test_a_file_of_the_scikit_learn_api_that_is_cut_short(
    serialization_format: str, in_repo: Path
) -> None:
    pytest.importorskip("skops")
    mlgit.lightgbm.save_model(_classifier(), "saved", serialization_format=serialization_format)
    file = Path("saved", _rows()["lightgbm"]["data"])
    whole = file.read_bytes()
    for size in (0, 10, len(whole) // 2, len(whole) - 1):
        file.write_bytes(whole[:size])
        with pytest.raises(CorruptData, match=f"{file.name} of saved"):
            mlgit.lightgbm.load_model("saved")


# -- both


@pytest.mark.parametrize("flavor", ["xgboost", "lightgbm"])
def test_what_is_lacking_is_named(
    flavor: str, in_repo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = {"xgboost": _xgboost, "lightgbm": _lightgbm}[flavor]()
    module = getattr(mlgit, flavor)
    module.save_model(model, "saved")
    Path("saved", _rows()[flavor]["data"]).unlink()
    with pytest.raises(ResourceDoesNotExist, match="lacks model"):
        module.load_model("saved")
    monkeypatch.setitem(sys.modules, flavor, None)
    for call in (lambda: module.load_model("saved"), lambda: module.save_model(model, "again")):
        with pytest.raises(MissingDependency, match=f"needs {flavor}") as raised:
            call()
        assert raised.value.hint == f"pip install mlgit[{flavor}]"
    assert not os.path.exists("again")


@pytest.mark.parametrize("flavor", ["xgboost", "lightgbm", "keras", "tensorflow"])
def test_the_import_brings_nothing(flavor: str) -> None:
    program = (
        f"import sys, mlgit.{flavor}\n"
        f"print([n for n in ('{flavor}', 'numpy', 'pandas', 'sklearn') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr
