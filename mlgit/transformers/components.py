"""What a pipeline is made of: checked, written into a model's folder, and read from one."""

from __future__ import annotations

import json
import os
import re
from typing import Any

from mlgit.exceptions import (
    CorruptData,
    InvalidParameterValue,
    MissingDependency,
    MlgitException,
    ResourceDoesNotExist,
    Unsupported,
)
from mlgit.models.flavors import framework
from mlgit.models.folder import ModelFolder

# What pipelines have besides the model; the names are attributes and arguments of pipelines.
PARTS = ("tokenizer", "feature_extractor", "image_processor", "processor")
_AUTO = {
    "tokenizer": "AutoTokenizer",
    "feature_extractor": "AutoFeatureExtractor",
    "image_processor": "AutoImageProcessor",
    "processor": "AutoProcessor",
}
DTYPES = ("torch_dtype", "dtype")
# Of the options of load_model(), those that from_pretrained() takes.
_OF_MODEL = {
    *("device_map", "low_cpu_mem_usage", "quantization_config", "attn_implementation"),
    *("max_memory", "offload_folder", *DTYPES),
}
# How the names of classes end that do a task.
_TASKS = {
    r"ForSequenceClassification": "text-classification",
    r"ForTokenClassification": "token-classification",
    r"ForMaskedLM": "fill-mask",
    r"ForQuestionAnswering": "question-answering",
    r"ForCausalLM|LMHeadModel": "text-generation",
    r"ForSpeechSeq2Seq|ForCTC|WhisperForConditionalGeneration": "automatic-speech-recognition",
    r"ForConditionalGeneration": "text2text-generation",
    r"ForImageClassification": "image-classification",
    r"ForAudioClassification": "audio-classification",
    r"ForSequenceClassification|(?<!LMHead)Model": "feature-extraction",
}


def pipeline_of(given: Any, task: str | None, processor: Any = None) -> Any:
    """The pipeline that a person's model is, or that is made of it.

    Args:
        given: A pipeline, a dict of components, a model, or a checkpoint's folder.
        task: The pipeline's task; told from the model where None.
        processor: One more component.

    Raises:
        InvalidParameterValue: A component is missing or isn't one; the task isn't known.
    """
    transformers = framework("transformers", "transformers")
    if isinstance(given, transformers.Pipeline):
        if processor is None:
            return given
        given = {"model": given.model, **_parts_of(given)} | {"task": given.task}
        task = task or given.pop("task")
    if isinstance(given, (str, os.PathLike)):
        return _of_checkpoint(transformers, os.fspath(given), task)
    if isinstance(given, transformers.PreTrainedModel):
        given = {"model": given}
    parts = _checked_parts(transformers, given)
    if processor is not None:
        parts["processor"] = processor
    task = _checked_task(transformers, task or _task_of(parts["model"]))
    try:
        pipeline = transformers.pipeline(task=task, **parts)
    except Exception as error:  # it has many kinds
        raise InvalidParameterValue(
            f"No pipeline {task!r} can be made of {', '.join(parts)}: {_first_line(error)}",
            hint="give all that it needs, as in {'model': model, 'tokenizer': tokenizer}",
        ) from error
    return pipeline


def _of_checkpoint(transformers: Any, path: str, task: str | None) -> Any:
    if not os.path.isdir(path):
        raise InvalidParameterValue(
            f"transformers_model names no folder of a checkpoint: {path}",
            hint="a model of the Hub: transformers.pipeline(task, model=name) first",
        )
    if task is None:
        raise InvalidParameterValue("A checkpoint's folder needs a task, as in task='fill-mask'")
    try:
        return transformers.pipeline(task=_checked_task(transformers, task), model=path)
    except MlgitException:
        raise
    except Exception as error:  # it has many kinds
        raise InvalidParameterValue(
            f"No pipeline {task!r} can be made of {path}: {_first_line(error)}"
        ) from error


def _checked_parts(transformers: Any, given: Any) -> dict[str, Any]:
    if not isinstance(given, dict):
        raise InvalidParameterValue(
            f"transformers_model can't be a {type(given).__name__}",
            hint="it is a pipeline, a dict as in {'model': model, 'tokenizer': tokenizer}, or the "
            "folder of a checkpoint",
        )
    if "model" not in given:
        raise InvalidParameterValue(
            "The dict of components has no 'model'", hint="it has: " + ", ".join(map(str, given))
        )
    unknown = [str(key) for key in given if key not in ("model", *PARTS)]
    if unknown:
        raise InvalidParameterValue(
            f"Unknown components: {', '.join(unknown)}",
            hint="known are model, " + ", ".join(PARTS),
        )
    if not isinstance(given["model"], transformers.PreTrainedModel):
        raise InvalidParameterValue(
            f"The component 'model' is a {type(given['model']).__name__}, not a model of "
            "transformers",
            hint="peft: model.merge_and_unload(); other modules: mlgit.pytorch",
        )
    for name in PARTS:
        if given.get(name) is not None and not hasattr(given[name], "save_pretrained"):
            raise InvalidParameterValue(
                f"The component {name!r} is a {type(given[name]).__name__}, which isn't one"
            )
    return {key: value for key, value in given.items() if value is not None}


def _task_of(model: Any) -> str:
    for ending, task in _TASKS.items():
        if re.search(f"(?:{ending})$", type(model).__name__):
            return task
    raise InvalidParameterValue(
        f"What a {type(model).__name__} is for isn't known", hint="say it: task='…'"
    )


def _checked_task(transformers: Any, task: str) -> str:
    if task.startswith("llm/"):
        raise Unsupported(
            f"The task {task} isn't in this version", hint="task='text-generation' is"
        )
    try:
        transformers.pipelines.check_task(task)
    except Exception as error:  # KeyError or RuntimeError, by version
        known = transformers.pipelines.get_supported_tasks()
        raise InvalidParameterValue(
            f"transformers {transformers.__version__} has no task {task!r}",
            hint="it has: " + ", ".join(known),
        ) from error
    return task


def _parts_of(pipeline: Any) -> dict[str, Any]:
    found = {name: getattr(pipeline, name, None) for name in PARTS}
    return {name: part for name, part in found.items() if hasattr(part, "save_pretrained")}


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


# -- writing


def write_parts(pipeline: Any, folder: str, dtype: Any = None) -> tuple[dict[str, Any], set[str]]:
    """Write what a pipeline is made of.

    Args:
        pipeline: The pipeline.
        folder: The model's folder.
        dtype: The dtype that MLmodel says; the model's where None.

    Returns:
        The flavor's row of MLmodel, and the modules that loading it imports.

    Raises:
        InvalidParameterValue: The model couldn't be loaded again.
    """
    transformers = framework("transformers", "transformers")
    model, parts = pipeline.model, _parts_of(pipeline)
    kind = type(model)
    if not hasattr(transformers, kind.__name__) and getattr(kind, "_auto_class", None) is None:
        raise InvalidParameterValue(
            f"{kind.__name__} isn't a class of transformers, and couldn't be found again",
            hint="register_for_auto_class() of the class keeps its code with the model; or log "
            "it by mlgit.pytorch",
        )
    model.save_pretrained(f"{folder}/model")
    row: dict[str, Any] = {
        "task": pipeline.task,
        "instance_type": type(pipeline).__name__,
        "pipeline_model_type": kind.__name__,
        "model_binary": "model",
        "source_model_name": _hub_name(model),
        "transformers_version": transformers.__version__,
        "components": list(parts),
    }
    if getattr(pipeline, "framework", None):
        row["framework"] = pipeline.framework
    dtype = dtype if dtype is not None else getattr(model, "dtype", None)
    if dtype is not None:
        row["torch_dtype"] = dtype if isinstance(dtype, str) else str(dtype)
    for name, part in parts.items():
        part.save_pretrained(f"{folder}/components/{name}")
        row[f"{name}_type"] = type(part).__name__
    modules = {"transformers", "torch", "safetensors", kind.__module__}
    return row, modules | {type(part).__module__ for part in parts.values()}


def _hub_name(model: Any) -> str:
    """What the Hub calls the model; a path of somebody's machine isn't kept."""
    name = str(getattr(model, "name_or_path", "") or "")
    return "" if os.path.isabs(name) or os.path.exists(name) else name


# -- reading


def load_parts(
    folder: ModelFolder, row: dict[str, Any], options: dict[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Read what a pipeline is made of.

    Args:
        folder: The model's folder.
        row: The flavor's row of its MLmodel.
        options: Those of ``load_model``.

    Returns:
        The pipeline's arguments (task, dtype, model and components), and the options that are
        left for it.

    Raises:
        CorruptData: A file is damaged, or MLmodel names what isn't a component.
        PermissionDenied: It would run code, and may not.
    """
    transformers = framework("transformers", "transformers")
    binary = row.get("model_binary")
    if binary is None:
        raise Unsupported(
            f"The model at {folder.uri} holds no weights: it only names "
            f"{row.get('source_model_name')!r} of the Hugging Face Hub",
            hint="have it logged with save_pretrained=True, which is the default",
        )
    given = {key: value for key, value in options.items() if key in _OF_MODEL}
    rest = {key: value for key, value in options.items() if key not in _OF_MODEL}
    key = "dtype" if _takes_dtype(transformers) else "torch_dtype"
    dtype = next((given.pop(name) for name in DTYPES if name in given), None) or _dtype(folder, row)
    if dtype is not None:
        given[key] = dtype
    parts: dict[str, Any] = {"task": row.get("task")}
    if dtype is not None:
        parts[key] = dtype
    parts["model"] = _load_model(transformers, folder, row, binary, given)
    for name in row.get("components") or ():
        if name not in PARTS:
            raise CorruptData(f"MLmodel of {folder.uri} names an unknown component: {name!r}")
        parts[name] = _load_part(transformers, folder, row, binary, name)
    return parts, rest


def _takes_dtype(transformers: Any) -> bool:
    numbers = [int(part) for part in re.findall(r"\d+", transformers.__version__)[:2]]
    return numbers >= [4, 56]


def _dtype(folder: ModelFolder, row: dict[str, Any]) -> Any:
    torch = framework("torch", "transformers")
    name = row.get("torch_dtype")
    if name is None:
        return None
    found = getattr(torch, str(name).removeprefix("torch."), None)
    if not isinstance(found, torch.dtype):
        raise CorruptData(f"MLmodel of {folder.uri} names {name!r}, which isn't a dtype")
    return found


def _load_model(
    transformers: Any, folder: ModelFolder, row: dict[str, Any], binary: Any, given: dict[str, Any]
) -> Any:
    path = folder.file(binary)
    kind = _class_of(transformers, folder, row.get("pipeline_model_type"), path, f"{binary}")
    if not issubclass(kind, transformers.PreTrainedModel):
        raise CorruptData(f"MLmodel of {folder.uri} names {kind.__name__}, which isn't a model")
    if any(name.endswith(".safetensors") for name in os.listdir(path)):
        given = {**given, "use_safetensors": True}
    else:
        folder.require_code(f"{binary}/pytorch_model.bin is a pickle")

    def load() -> Any:
        model, found = kind.from_pretrained(
            path, local_files_only=True, output_loading_info=True, **given
        )
        if found["missing_keys"]:
            raise CorruptData(
                f"{binary} of {folder.uri} lacks weights: "
                + ", ".join(sorted(map(str, found["missing_keys"]))[:3])
            )
        return model

    return _guarded(load, folder, str(binary))


def _load_part(
    transformers: Any, folder: ModelFolder, row: dict[str, Any], binary: Any, name: str
) -> Any:
    place = f"components/{name}"
    try:
        path = folder.file(place)
    except ResourceDoesNotExist:
        place, path = binary, folder.file(binary)  # where MLflow 1 had them
    kind: Any = _named(transformers, folder, row.get(f"{name}_type"))
    if not (isinstance(kind, type) and _is_part(transformers, kind)):
        kind = getattr(transformers, _AUTO[name])
    trusted = {}
    if _has_code(path):
        folder.require_code(f"{place} names code")
        kind, trusted = getattr(transformers, _AUTO[name]), {"trust_remote_code": True}
    return _guarded(
        lambda: kind.from_pretrained(path, local_files_only=True, **trusted), folder, str(place)
    )


def _is_part(transformers: Any, kind: type) -> bool:
    bases = (
        *("PreTrainedTokenizerBase", "FeatureExtractionMixin", "ImageProcessingMixin"),
        *("BaseImageProcessor", "ProcessorMixin"),
    )
    return any(base.__name__ in bases for base in kind.__mro__)


def _class_of(transformers: Any, folder: ModelFolder, name: Any, path: str, place: str) -> Any:
    """A model's class: of transformers, or of code that is kept with the model."""
    found = _named(transformers, folder, name)
    if isinstance(found, type):
        return found
    maps = _auto_map(f"{path}/config.json")
    reference = next((ref for ref in maps.values() if str(ref).endswith(f".{name}")), None)
    if reference is None:
        raise CorruptData(
            f"MLmodel of {folder.uri} names the class {name!r}, which transformers "
            f"{transformers.__version__} doesn't have",
            hint="the model's requirements.txt says which version it was made by",
        )
    folder.require_code(f"{place}/config.json names code")
    from transformers.dynamic_module_utils import get_class_from_dynamic_module

    return _guarded(lambda: get_class_from_dynamic_module(reference, path), folder, place)


def _named(transformers: Any, folder: ModelFolder, name: Any) -> Any:
    """What transformers calls so, which it imports when it is asked for; None if nothing."""
    if not isinstance(name, str):
        return None
    return _guarded(lambda: getattr(transformers, name, None), folder, name)


def _has_code(path: str) -> bool:
    names = [name for name in os.listdir(path) if name.endswith("config.json")]
    return any(_auto_map(f"{path}/{name}") for name in names)


def _auto_map(path: str) -> dict[str, Any]:
    try:
        with open(path, encoding="utf-8") as f:
            found = json.load(f).get("auto_map")
    except (OSError, ValueError, AttributeError):
        return {}
    return found if isinstance(found, dict) else {}


def _guarded(load: Any, folder: ModelFolder, place: str) -> Any:
    try:
        return load()
    except (MlgitException, MemoryError):
        raise
    except ImportError as error:
        raise MissingDependency(
            f"{place} of {folder.uri} needs what isn't installed: {_first_line(error)}",
            hint="the model's requirements.txt names what to install",
        ) from error
    except Exception as error:  # each file format has its own
        raise CorruptData(
            f"{place} of {folder.uri} can't be loaded: {type(error).__name__}: "
            f"{_first_line(error)}",
            hint="a file is cut short or missing, or was made by another version of transformers",
        ) from error
