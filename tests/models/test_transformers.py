"""What is special to transformers: tasks, components, and what may be loaded without code."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from matrix import _bert, _generator, _tokenizer, plain

import mlgit
from mlgit.exceptions import (
    CorruptData,
    InvalidParameterValue,
    MissingDependency,
    PermissionDenied,
    ResourceDoesNotExist,
    Unsupported,
)

pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
OLD = int(transformers.__version__.split(".")[0]) < 5
old = pytest.mark.skipif(not OLD, reason="transformers 5 doesn't have the task")


def _t5() -> Any:
    import torch

    torch.manual_seed(0)
    small = {"d_model": 16, "d_kv": 8, "d_ff": 16, "num_layers": 1, "num_heads": 2}
    marks = {"decoder_start_token_id": 0, "pad_token_id": 0, "eos_token_id": 4}
    config = transformers.T5Config(vocab_size=11, **small, **marks)
    return transformers.T5ForConditionalGeneration(config).eval()


def _pipeline(task: str) -> Any:
    if task == "text-generation":
        return _generator(mlgit)[0]
    labels = {0: "contradiction", 1: "neutral", 2: "entailment"}
    makes = {
        "text-classification": lambda: _bert("BertForSequenceClassification"),
        "token-classification": lambda: _bert("BertForTokenClassification"),
        "fill-mask": lambda: _bert("BertForMaskedLM"),
        "feature-extraction": lambda: _bert("BertModel"),
        "question-answering": lambda: _bert("BertForQuestionAnswering"),
        "zero-shot-classification": lambda: _bert(
            "BertForSequenceClassification",
            id2label=labels,
            label2id={name: number for number, name in labels.items()},
        ),
    }
    makes["sentiment-analysis"] = makes["text-classification"]
    model = makes.get(task, _t5)()
    return transformers.pipeline(task, model=model, tokenizer=_tokenizer())


def _saved(task: str, **options: Any) -> Any:
    mlgit.transformers.save_model(_pipeline(task), "saved", **options)
    return mlgit.pyfunc.load_model("saved")


def _row(name: str = "transformers") -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(Path("saved/MLmodel").read_text())["flavors"][name]
    return found


def _change(**fields: Any) -> None:
    content = yaml.safe_load(Path("saved/MLmodel").read_text())
    content["flavors"]["transformers"] |= fields
    Path("saved/MLmodel").write_text(yaml.safe_dump(content))


# -- what is written


def test_the_files_are_mlflows(in_repo: Path) -> None:
    _saved("fill-mask")
    names = {str(path.relative_to("saved")) for path in Path("saved").rglob("*")}
    assert {"model/config.json", "model/model.safetensors"} <= names
    assert "components/tokenizer/tokenizer.json" in names
    row = _row()
    row.pop("framework", None)  # of transformers 4
    assert row == {
        "code": None,
        "components": ["tokenizer"],
        "instance_type": "FillMaskPipeline",
        "model_binary": "model",
        "pipeline_model_type": "BertForMaskedLM",
        "source_model_name": "",
        "task": "fill-mask",
        "tokenizer_type": type(_tokenizer()).__name__,
        "torch_dtype": "torch.float32",
        "transformers_version": transformers.__version__,
    }
    assert _row("python_function")["loader_module"] == "mlflow.transformers"
    lines = Path("saved/requirements.txt").read_text().splitlines()
    assert f"transformers=={transformers.__version__}" in lines
    assert [line for line in lines if line.startswith("torch==") and "+" not in line]
    assert set(mlgit.transformers.get_default_pip_requirements()) <= set(lines)
    assert "dependencies" in mlgit.transformers.get_default_conda_env()


def test_no_path_of_the_machine_is_kept(in_repo: Path) -> None:
    pipeline = _pipeline("fill-mask")
    pipeline.save_pretrained("checkpoint")
    again = transformers.pipeline("fill-mask", model=str(in_repo / "checkpoint"))
    mlgit.transformers.save_model(again, "saved")
    assert str(in_repo).encode() not in b"".join(
        path.read_bytes() for path in Path("saved").rglob("*") if path.is_file()
    )


def test_a_card_and_a_dtype(in_repo: Path) -> None:
    import torch

    _saved("fill-mask", model_card="# Card", torch_dtype=torch.float16)
    assert Path("saved/model_card.md").read_text() == "# Card"
    assert mlgit.transformers.load_model("saved").model.dtype is torch.float16
    loaded = mlgit.transformers.load_model("saved", torch_dtype=torch.float32)
    assert loaded.model.dtype is torch.float32
    with pytest.raises(InvalidParameterValue, match="model_card"):
        mlgit.transformers.save_model(_pipeline("fill-mask"), "other", model_card=3)


# -- what may be logged


@pytest.mark.parametrize(
    ("kind", "task"),
    [
        ("BertForSequenceClassification", "text-classification"),
        ("BertForTokenClassification", "token-classification"),
        ("BertForMaskedLM", "fill-mask"),
        ("BertModel", "feature-extraction"),
        ("BertLMHeadModel", "text-generation"),
    ],
)
def test_the_task_is_told_from_the_model(kind: str, task: str, in_repo: Path) -> None:
    options = {"is_decoder": True} if kind == "BertLMHeadModel" else {}
    parts = {"model": _bert(kind, **options), "tokenizer": _tokenizer()}
    mlgit.transformers.save_model(parts, "saved")
    assert _row()["task"] == task
    assert mlgit.transformers.load_model("saved").task == task


def test_a_checkpoint_and_a_processor(in_repo: Path) -> None:
    _pipeline("fill-mask").save_pretrained("checkpoint")
    mlgit.transformers.save_model("checkpoint", "saved", task="fill-mask")
    assert mlgit.pyfunc.load_model("saved").predict("the [MASK]")
    with pytest.raises(InvalidParameterValue, match="needs a task"):
        mlgit.transformers.save_model("checkpoint", "other")
    with pytest.raises(InvalidParameterValue, match="no folder of a checkpoint"):
        mlgit.transformers.save_model("bert-base", "other", task="fill-mask")
    Path("broken").mkdir()
    with pytest.raises(InvalidParameterValue, match="can be made of broken"):
        mlgit.transformers.save_model("broken", "other", task="fill-mask")


def _parts(**changed: Any) -> dict[str, Any]:
    found = {"model": _bert("BertForMaskedLM"), "tokenizer": _tokenizer(), **changed}
    return {key: value for key, value in found.items() if value is not None}


@pytest.mark.parametrize(
    ("make", "options", "message"),
    [
        (lambda: _parts(model=None), {}, "has no 'model'"),
        (lambda: _parts(model="bert"), {}, "'model' is a str"),
        (lambda: _parts(tokenizer=3), {}, "'tokenizer' is a int"),
        (lambda: _parts(vocabulary=3), {}, "Unknown components: vocabulary"),
        (lambda: _parts(tokenizer=None), {}, "No pipeline 'fill-mask' can be made of model"),
        (lambda: _parts(), {"task": "fly"}, "has no task 'fly'"),
        (lambda: _parts(), {"task": "llm/v1/chat"}, "isn't in this version"),
        (lambda: _parts(), {"prompt_template": "no braces"}, r"must have \{prompt\} once"),
        (lambda: _parts(), {"prompt_template": "{prompt} {x}"}, r"must have \{prompt\} once"),
        (lambda: _parts(), {"prompt_template": "{prompt"}, "can't be read"),
        (lambda: _parts(), {"base_model_path": "base"}, "adapters"),
        (lambda: [1], {}, "can't be a list"),
        (object, {}, "can't be a object"),
    ],
)
def test_what_is_no_model(make: Any, options: Any, message: str, in_repo: Path) -> None:
    with mlgit.start_run() as run:
        with pytest.raises((InvalidParameterValue, Unsupported), match=message):
            mlgit.transformers.log_model(make(), name="m", **options)
    assert mlgit.MlgitClient().list_artifacts(run.info.run_id) == []


def test_an_unknown_task_names_those_that_are(in_repo: Path) -> None:
    with pytest.raises(InvalidParameterValue) as caught:
        mlgit.transformers.save_model(_parts(), "saved", task="fly")
    assert "fill-mask" in str(caught.value.hint)
    with pytest.raises(InvalidParameterValue, match="takes no prompt_template"):
        _saved("text-classification", prompt_template="{prompt}")


def test_a_class_that_could_not_be_found_again(in_repo: Path) -> None:
    class Mine(transformers.BertForMaskedLM):  # type: ignore[misc, name-defined]
        pass

    parts = _parts(model=Mine(_bert("BertForMaskedLM").config))
    with pytest.raises(InvalidParameterValue, match="Mine isn't a class of transformers"):
        mlgit.transformers.save_model(parts, "saved", task="fill-mask")


# -- what is loaded


def test_pipeline_or_components(in_repo: Path) -> None:
    pipeline = _pipeline("fill-mask")
    info = mlgit.transformers.log_model(pipeline, name="m")
    loaded = mlgit.transformers.load_model(info.model_uri, device="cpu")
    assert type(loaded) is type(pipeline) and loaded.device.type == "cpu"
    parts = mlgit.transformers.load_model(info.model_uri, return_type="components")
    assert parts.pop("dtype", None) or parts.pop("torch_dtype")
    assert parts.keys() == {"task", "model", "tokenizer"}
    again = transformers.pipeline(**parts)
    assert again("a [MASK]")[0]["token_str"] == pipeline("a [MASK]")[0]["token_str"]
    with pytest.raises(InvalidParameterValue, match="Unsupported return_type: 'model'"):
        mlgit.transformers.load_model(info.model_uri, return_type="model")
    with pytest.raises(InvalidParameterValue, match="No pipeline 'fill-mask' can be made"):
        mlgit.transformers.load_model(info.model_uri, device="nowhere")


def test_one_file_for_all_parts(in_repo: Path) -> None:
    """As MLflow 1 and transformers themselves lay out a pipeline."""
    _saved("fill-mask")
    for path in Path("saved/components/tokenizer").iterdir():
        path.rename(Path("saved/model", path.name))
    Path("saved/components/tokenizer").rmdir()
    Path("saved/components").rmdir()
    assert mlgit.pyfunc.load_model("saved").predict("the [MASK]")


# -- tasks


TEXTS = ["a good film", "the film is bad"]


@pytest.mark.parametrize("task", ["text-classification", "sentiment-analysis"])
def test_classification(task: str, in_repo: Path) -> None:
    loaded = _saved(task)
    expected = pd.DataFrame(_pipeline("text-classification")(TEXTS))
    for data in (TEXTS, np.array(TEXTS), pd.DataFrame({"any": TEXTS}), pd.DataFrame(TEXTS)):
        assert plain(loaded.predict(data)) == plain(expected)
    assert plain(loaded.predict(TEXTS[0])) == plain(expected[:1])
    assert list(loaded.predict(TEXTS).columns) == ["label", "score"]
    pairs = [{"text": "a", "text_pair": "good"}, {"text": "film", "text_pair": "bad"}]
    found = _pipeline(task)(pairs)
    assert plain(loaded.predict(pd.DataFrame(pairs))) == plain(pd.DataFrame(found))
    several = _saved_again(params={"top_k": 2}).predict(TEXTS, params={"top_k": 2})
    assert several.shape == (2, 2) and several[0][0].keys() == {"label", "score"}


def _saved_again(params: dict[str, Any]) -> Any:
    signature = mlgit.models.infer_signature("a", params=params)
    pipeline = _pipeline("text-classification")
    mlgit.transformers.save_model(pipeline, "again", signature=signature)
    return mlgit.pyfunc.load_model("again")


def test_tokens(in_repo: Path) -> None:
    loaded = _saved("token-classification")
    labels = [[one["entity"] for one in _pipeline("token-classification")(t)] for t in TEXTS]
    assert loaded.predict(TEXTS) == [",".join(found) for found in labels]
    assert loaded.predict(TEXTS[0]) == [",".join(labels[0])]
    mlgit.transformers.save_model(
        _pipeline("token-classification"), "other", model_config={"aggregation_strategy": "simple"}
    )
    assert len(mlgit.pyfunc.load_model("other").predict(TEXTS[:1])) == 1


def test_masks(in_repo: Path) -> None:
    loaded, pipeline = _saved("fill-mask"), _pipeline("fill-mask")
    words = [pipeline(f"{word} [MASK]")[0]["token_str"] for word in ("a", "the")]
    assert loaded.predict(["a [MASK]", "the [MASK]"]) == words
    assert loaded.predict("a [MASK]") == words[:1]
    two = loaded.predict(["a [MASK] [MASK]"])
    assert len(two) == 1 and len(two[0]) == 2
    with pytest.raises(InvalidParameterValue, match="The model raises"):
        loaded.predict("no mask")


def test_features(in_repo: Path) -> None:
    loaded, pipeline = _saved("feature-extraction"), _pipeline("feature-extraction")
    np.testing.assert_allclose(loaded.predict(TEXTS[0]), pipeline(TEXTS[0])[0], 1e-5)
    several = loaded.predict(TEXTS)
    assert [found.shape for found in several] == [(3, 16), (4, 16)]


def test_generation(in_repo: Path) -> None:
    config = {"max_new_tokens": 3, "do_sample": False}
    loaded = _saved("text-generation", model_config=config)
    assert _row("python_function")["config"] == config
    found = loaded.predict(TEXTS)
    assert [text.startswith(given) for text, given in zip(found, TEXTS)] == [True, True]
    beams = {**config, "num_beams": 2, "num_return_sequences": 2}
    loaded = mlgit.pyfunc.load_model("saved", model_config=beams)
    assert [len(texts) for texts in loaded.predict(TEXTS)] == [2, 2]
    with pytest.raises(InvalidParameterValue, match="takes texts, not 3"):
        mlgit.transformers.generate_signature_output(_pipeline("text-generation"), [3])


def test_a_template_of_prompts(in_repo: Path) -> None:
    config = {"max_new_tokens": 3, "do_sample": False}
    loaded = _saved("text-generation", model_config=config, prompt_template="the {prompt} is")
    assert loaded.metadata.metadata == {"prompt_template": "the {prompt} is"}
    assert config == {"max_new_tokens": 3, "do_sample": False}
    pipeline = _pipeline("text-generation")
    (expected,) = pipeline("the film is", return_full_text=False, **config)
    assert loaded.predict("film") == [expected["generated_text"]]


@old
@pytest.mark.parametrize("task", ["text2text-generation", "summarization", "translation_en_to_de"])
def test_writing(task: str, in_repo: Path) -> None:
    config = {"max_new_tokens": 3, "do_sample": False}
    loaded = _saved(task, model_config=config)
    found = [next(iter(one.values())) for one in _pipeline(task)(TEXTS, **config)]
    assert loaded.predict(TEXTS) == found and len(found) == 2


@old
def test_answers(in_repo: Path) -> None:
    loaded = _saved("question-answering")
    rows = [{"question": "is the film ?", "context": text} for text in TEXTS]
    answers = [_pipeline("question-answering")(**row)["answer"] for row in rows]
    assert loaded.predict(pd.DataFrame(rows)) == answers
    assert loaded.predict(rows[0]) == answers[:1]
    with pytest.raises(InvalidParameterValue, match="context"):
        loaded.predict({"question": "is"})


def test_choices(in_repo: Path) -> None:
    loaded, pipeline = _saved("zero-shot-classification"), _pipeline("zero-shot-classification")
    row = {
        "sequences": "a film",
        "candidate_labels": ["good", "bad"],
        "hypothesis_template": "the {} film",
    }
    found = pipeline(**row)
    frame = loaded.predict(row)
    assert list(frame.columns) == ["sequence", "labels", "scores"]
    assert frame["labels"].tolist() == found["labels"]
    assert plain(frame["scores"]) == plain(found["scores"])
    rows = pd.DataFrame([row, {**row, "sequences": "the film"}])
    assert loaded.predict(rows)["sequence"].tolist() == ["a film"] * 2 + ["the film"] * 2
    as_text = {**row, "candidate_labels": json.dumps(row["candidate_labels"])}
    assert plain(loaded.predict(as_text)) == plain(frame)
    generated = mlgit.transformers.generate_signature_output(pipeline, row)
    assert plain(generated) == plain(frame)


@pytest.mark.parametrize(
    "task",
    [
        *("text-classification", "token-classification", "fill-mask", "text-generation"),
        *("feature-extraction", "zero-shot-classification"),
    ],
)
def test_every_task_has_a_signature(task: str, in_repo: Path) -> None:
    signature = _saved(task).metadata.signature
    assert signature is not None and signature.outputs is not None
    assert all(column.type.name == "string" for column in signature.inputs)


def test_a_task_without_a_pyfunc_face(in_repo: Path) -> None:
    size = {"image_size": 8, "patch_size": 4, "hidden_size": 16, "intermediate_size": 16}
    config = transformers.ViTConfig(num_hidden_layers=1, num_attention_heads=2, **size)
    model = transformers.ViTForImageClassification(config).eval()
    try:
        processor = transformers.ViTImageProcessor(size={"height": 8, "width": 8})
        parts = {"model": model, "image_processor": processor}
        mlgit.transformers.save_model(parts, "saved")
    except (ImportError, InvalidParameterValue) as error:
        pytest.skip(f"images can't be read here: {error}")
    assert mlgit.transformers.load_model("saved").task == "image-classification"
    with pytest.raises(ResourceDoesNotExist, match="python_function"):
        mlgit.pyfunc.load_model("saved")


def test_the_output_of_what_is_no_pipeline() -> None:
    with pytest.raises(InvalidParameterValue, match="takes a pipeline"):
        mlgit.transformers.generate_signature_output(_bert("BertModel"), "a")


# -- damaged, and refused


@pytest.mark.parametrize("size", [0, 5, 2000])
def test_truncated_weights(size: int, in_repo: Path) -> None:
    _saved("fill-mask")
    path = Path("saved/model/model.safetensors")
    path.write_bytes(path.read_bytes()[:size])
    for load in (mlgit.transformers.load_model, mlgit.pyfunc.load_model):
        with pytest.raises(CorruptData, match="model of saved can't be loaded"):
            load("saved")


def test_missing_weights_are_not_made_up(in_repo: Path) -> None:
    from safetensors.torch import load_file, save_file

    _saved("text-classification")
    path = "saved/model/model.safetensors"
    weights = load_file(path)
    del weights["classifier.weight"]
    save_file(weights, path, {"format": "pt"})
    with pytest.raises(CorruptData, match=r"lacks weights: classifier\.weight"):
        mlgit.transformers.load_model("saved")


@pytest.mark.parametrize(
    "name", ["model/config.json", "components/tokenizer/tokenizer.json", "model"]
)
def test_missing_and_broken_files(name: str, in_repo: Path) -> None:
    import shutil

    _saved("fill-mask")
    path = Path("saved", name)
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.write_text("{")
    with pytest.raises((CorruptData, ResourceDoesNotExist), match="saved"):
        mlgit.transformers.load_model("saved")


@pytest.mark.parametrize(
    "fields",
    [
        {"pipeline_model_type": "NoSuchModel"},
        {"pipeline_model_type": None},
        {"pipeline_model_type": "pipeline"},
        {"pipeline_model_type": "Trainer"},
        {"pipeline_model_type": "AutoModel"},
        {"torch_dtype": "save"},
        {"torch_dtype": "torch.float99"},
        {"components": ["model_card"]},
        {"components": ["../model"]},
        {"model_binary": "../saved/model"},
        {"model_binary": "/etc"},
    ],
)
def test_fields_that_can_not_be_right(fields: dict[str, Any], in_repo: Path) -> None:
    _saved("fill-mask")
    _change(**fields)
    with pytest.raises(CorruptData):
        mlgit.transformers.load_model("saved")


def test_a_model_that_is_only_named(in_repo: Path) -> None:
    _saved("fill-mask")
    _change(model_binary=None, source_model_name="bert-base")
    with pytest.raises(Unsupported, match="'bert-base' of the Hugging Face Hub"):
        mlgit.transformers.load_model("saved")


def test_weights_in_a_pickle(in_repo: Path) -> None:
    import torch
    from safetensors.torch import load_file

    _saved("fill-mask")
    weights = load_file("saved/model/model.safetensors")
    torch.save(weights, "saved/model/pytorch_model.bin")
    Path("saved/model/model.safetensors").unlink()
    for load in (mlgit.transformers.load_model, mlgit.pyfunc.load_model):
        with pytest.raises(PermissionDenied, match=r"model/pytorch_model\.bin"):
            load("saved", allow_pickle=False)
    assert mlgit.pyfunc.load_model("saved").predict("the [MASK]")


def test_code_that_is_kept_with_the_model(in_repo: Path) -> None:
    _saved("fill-mask")
    source = (
        "import os\nos.mkdir('sprung')\nfrom transformers import BertForMaskedLM\n"
        "class Mine(BertForMaskedLM):\n    pass\n"
    )
    Path("saved/model/mine.py").write_text(source)
    config = json.loads(Path("saved/model/config.json").read_text())
    config["auto_map"] = {"AutoModelForMaskedLM": "mine.Mine"}
    Path("saved/model/config.json").write_text(json.dumps(config))
    _change(pipeline_model_type="Mine")
    with pytest.raises(PermissionDenied, match=r"model/config\.json names code"):
        mlgit.transformers.load_model("saved", allow_pickle=False)
    assert not Path("sprung").exists()
    loaded = mlgit.transformers.load_model("saved", allow_pickle=True)
    assert type(loaded.model).__name__ == "Mine" and Path("sprung").exists()


def test_code_of_a_tokenizer(in_repo: Path) -> None:
    _saved("fill-mask")
    path = Path("saved/components/tokenizer/tokenizer_config.json")
    config = json.loads(path.read_text())
    config["auto_map"] = {"AutoTokenizer": ["mine.Slow", "mine.Fast"]}
    path.write_text(json.dumps(config))
    with pytest.raises(PermissionDenied, match="components/tokenizer names code"):
        mlgit.transformers.load_model("saved", allow_pickle=False)


def test_without_the_framework(in_repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pipeline = _pipeline("fill-mask")
    mlgit.transformers.save_model(pipeline, "saved")
    monkeypatch.setitem(sys.modules, "transformers", None)
    for call in (
        lambda: mlgit.transformers.load_model("saved"),
        lambda: mlgit.pyfunc.load_model("saved"),
        lambda: mlgit.transformers.save_model(pipeline, "other"),
    ):
        with pytest.raises(MissingDependency) as caught:
            call()
        assert "mlgit[transformers]" in str(caught.value.hint)


# -- the guides and the docs


def test_a_program_of_a_guide(in_repo: Path) -> None:
    import mlgit as mlflow

    model, tokenizer = _bert("BertForSequenceClassification"), _tokenizer()
    with mlflow.start_run() as run:
        mlflow.transformers.log_model(
            transformers_model={"model": model, "tokenizer": tokenizer}, artifact_path="model"
        )
    loaded = mlflow.transformers.load_model(f"runs:/{run.info.run_id}/model")
    assert loaded("a good film")[0]["label"] in ("LABEL_0", "LABEL_1")


def test_the_program_of_the_docs(in_repo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = (Path(__file__).parents[2] / "docs" / "models.md").read_text(encoding="utf-8")
    (program,) = re.findall(r"```python\n# transformers\n(.*?)```", page, re.DOTALL)
    exec(program, {"model": _bert("BertForSequenceClassification"), "tokenizer": _tokenizer()})
    assert "label" in capsys.readouterr().out
