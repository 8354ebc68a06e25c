"""MLmodel: what is written is read, what isn't known is kept, what isn't one is refused."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import mlgit
from mlgit.exceptions import CorruptData, MlgitException, ResourceDoesNotExist
from mlgit.models.mlmodel import MLFLOW_VERSION, Model, ModelInfo
from mlgit.models.signature import ModelSignature
from mlgit.types.schema import ColSpec, Schema

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
# YAML's printable characters, without what it folds or has no escape for.
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
ROWS = st.dictionaries(TEXT, st.dictionaries(TEXT, VALUES, max_size=4), max_size=3)


@given(ROWS, st.dictionaries(TEXT, VALUES, max_size=3), TEXT, st.integers(0, 2**60))
def test_what_is_written_is_read(
    flavors: dict[str, Any], metadata: dict[str, Any], path: str, size: int
) -> None:
    model = Model(artifact_path=path, flavors=flavors, metadata=metadata, model_size_bytes=size)
    read = Model.from_bytes(model.to_yaml().encode())
    assert read == model
    assert read.to_yaml() == model.to_yaml()


KNOWN = set(vars(Model(artifact_path="a", flavors={}, metadata={})))


@given(
    st.dictionaries(
        TEXT.filter(lambda key: key not in KNOWN),
        VALUES.filter(lambda v: v is not None),
        max_size=4,
    )
)
def test_keys_that_are_not_known_are_kept(others: dict[str, Any]) -> None:
    known = Model(model_uuid="u", utc_time_created="2020-01-01 00:00:00").to_dict()
    content = {**others, **known}
    assert Model.from_dict(content).to_dict() == content


@given(st.binary(max_size=200))
def test_any_bytes_are_a_model_or_refused(data: bytes) -> None:
    try:
        assert isinstance(Model.from_bytes(data), Model)
    except MlgitException as error:
        assert "MLmodel" in error.message


def test_its_parts() -> None:
    signature = ModelSignature(Schema([ColSpec("double", "a")]), Schema([ColSpec("long")]))
    model = Model(run_id="r1", artifact_path="m", signature=signature).add_flavor("x", a=1)
    assert model.flavors == {"x": {"a": 1}}
    assert model.get_input_schema() == signature.inputs
    assert model.get_output_schema() == signature.outputs
    assert model.get_params_schema() is None
    assert model.mlflow_version == MLFLOW_VERSION
    assert len(model.model_uuid) == 32
    assert model.to_dict()["signature"]["inputs"].startswith("[")
    stream = io.StringIO()
    assert model.to_yaml(stream) == stream.getvalue()
    info = model.get_model_info()
    assert (info.model_uri, info.run_id, info.artifact_path) == ("runs:/r1/m", "r1", "m")
    assert info.signature_dict == signature.to_dict()


def test_a_file_or_a_folder_is_loaded(tmp_path: Path) -> None:
    Model(model_uuid="abc").save(tmp_path / "MLmodel")
    assert Model.load(tmp_path).model_uuid == "abc"
    assert Model.load(tmp_path / "MLmodel").model_uuid == "abc"
    assert Model.load(f"file://{tmp_path}").model_uuid == "abc"
    info = mlgit.models.get_model_info(str(tmp_path))
    assert isinstance(info, ModelInfo)
    assert info.model_uri == str(tmp_path)


def test_without_mlflow_version() -> None:
    """As models of MLflow before 1.20 are."""
    assert Model.from_bytes(b"flavors: {}\n").mlflow_version is None


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"flavors: [\n", "isn't YAML"),
        (b"\x00\xff\xfe", "isn't YAML"),
        (b"- a\n- b\n", "holds no mapping"),
        (b"just text", "holds no mapping"),
        (b"", "holds no mapping"),
        (b"!!python/object/apply:os.system ['touch /tmp/x']", "isn't YAML"),
        (b"flavors: text\n", "flavors must be"),
        (b"flavors:\n  sklearn: 3\n", "'sklearn' must be a mapping"),
        (b"flavors: {}\nsignature: text\n", "signature must be"),
        (b"flavors: {}\nrun_id: [1]\n", "run_id must be text"),
        (b"[" * 20_000, "isn't YAML"),
    ],
)
def test_what_is_no_mlmodel_is_refused(content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "MLmodel").write_bytes(content)
    with pytest.raises(CorruptData, match=message):
        mlgit.models.get_model_info(str(tmp_path))
    with pytest.raises(CorruptData, match=message):
        mlgit.pyfunc.load_model(str(tmp_path))


@pytest.mark.parametrize("place", ["none", "a/file", ""])
def test_no_model(place: str, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "file").write_text("text")
    with pytest.raises(ResourceDoesNotExist, match="No model at"):
        Model.load(tmp_path / place)


def test_a_signature_that_is_none_is_told(tmp_path: Path) -> None:
    (tmp_path / "MLmodel").write_text("flavors: {}\nsignature: {inputs: 'no json'}\n")
    with pytest.raises(MlgitException):
        Model.load(tmp_path)
