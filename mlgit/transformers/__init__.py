"""Models of Hugging Face's transformers (MLflow's ``mlflow.transformers``).

``model/`` holds the weights (safetensors) and their configuration, ``components/<name>/`` what else
a pipeline is made of; the flavor's row of MLmodel says which classes they are.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from mlgit.exceptions import InvalidParameterValue, Unsupported
from mlgit.models.environment import conda_of
from mlgit.models.flavors import framework
from mlgit.models.folder import ModelFolder, opened
from mlgit.models.logged import LogOptions, log
from mlgit.models.mlmodel import ModelInfo
from mlgit.models.requirements import inferred, with_mlflow
from mlgit.models.saving import SaveOptions, Written, save, spelled_out
from mlgit.transformers.components import DTYPES, load_parts, pipeline_of, write_parts
from mlgit.transformers.scoring import Scored, check_template, is_scored
from mlgit.transformers.signatures import default_signature

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = [
    "generate_signature_output",
    "get_default_conda_env",
    "get_default_pip_requirements",
    "load_model",
    "log_model",
    "save_model",
]
NAME = "transformers"
_RETURNS = ("pipeline", "components")


@spelled_out(SaveOptions)
def save_model(
    transformers_model: Any,
    path: str | os.PathLike[str],
    *,
    processor: Any = None,
    task: str | None = None,
    torch_dtype: Any = None,
    model_card: Any = None,
    model_config: dict[str, Any] | None = None,
    prompt_template: str | None = None,
    save_pretrained: bool = True,
    inference_config: dict[str, Any] | None = None,
    base_model_path: str | None = None,
    **options: Unpack[SaveOptions],
) -> None:
    """Save a pipeline to a folder.

    Args:
        transformers_model: A pipeline; a dict of what one is made of, as in
            ``{"model": …, "tokenizer": …}``; or the folder of a checkpoint.
        path: The folder; it may be there if it is empty.
        processor: A processor that the pipeline is to have besides.
        task: What the pipeline does, as in "text-generation"; told from the model's class where
            None.
        torch_dtype: The dtype that the weights are loaded as; the one they have where None.
        model_card: A text, or a card of huggingface_hub's, kept with the model.
        model_config: Arguments that the pyfunc face calls the pipeline with.
        prompt_template: What the pyfunc face makes of a text: has ``{prompt}`` where it goes.
        save_pretrained: Accepted for MLflow's sake: the weights are kept in any case.
        inference_config: Another name for ``model_config``, of MLflow 2.
        base_model_path: Of adapters, which aren't in this version.
        options: See ``mlgit.models.saving.SaveOptions``.

    Raises:
        InvalidParameterValue: An argument can't be right, a component is missing, or the task
            isn't known.
        Unsupported: It is an adapter, or a task of MLflow's own.
        ResourceAlreadyExists: There is something at the path.
    """
    framework("transformers", NAME)
    _check_no_base(base_model_path)
    pipeline = pipeline_of(transformers_model, task, processor)
    config = dict(model_config or inference_config or {})
    if prompt_template is not None:
        check_template(prompt_template, pipeline.task)
        options["metadata"] = {
            **(options.get("metadata") or {}),
            "prompt_template": prompt_template,
        }
        if pipeline.task == "text-generation":
            config.setdefault("return_full_text", False)
    scored = is_scored(pipeline.task)
    if scored and options.get("signature") is None and options.get("input_example") is None:
        options["signature"] = default_signature(pipeline.task)

    def write(folder: str) -> Written:
        row, modules = write_parts(pipeline, folder, torch_dtype)
        _write_card(model_card, folder)
        return Written(
            row,
            "mlflow.transformers" if scored else None,
            {"config": config} if config else {},
            modules,
            Scored(pipeline, config, prompt_template).predict if scored else None,
        )

    save(NAME, path, write, options)


@spelled_out(LogOptions)
def log_model(
    transformers_model: Any,
    artifact_path: str | None = None,
    *,
    processor: Any = None,
    task: str | None = None,
    torch_dtype: Any = None,
    model_card: Any = None,
    model_config: dict[str, Any] | None = None,
    prompt_template: str | None = None,
    save_pretrained: bool = True,
    inference_config: dict[str, Any] | None = None,
    base_model_path: str | None = None,
    **options: Unpack[LogOptions],
) -> ModelInfo:
    """Log a pipeline to the active run, which is begun if there is none.

    Args:
        transformers_model: A pipeline, a dict of what one is made of, or the folder of a
            checkpoint.
        artifact_path: Its folder in the run; ``name`` means the same.
        processor, task, torch_dtype, model_card, model_config, prompt_template,
            save_pretrained, inference_config, base_model_path: As for ``save_model``.
        options: See ``mlgit.models.logged.LogOptions``.

    Raises:
        InvalidParameterValue: An argument can't be right; nothing is logged.
    """
    return log(
        save_model,
        artifact_path,
        options,
        transformers_model=transformers_model,
        processor=processor,
        task=task,
        torch_dtype=torch_dtype,
        model_card=model_card,
        model_config=model_config,
        prompt_template=prompt_template,
        save_pretrained=save_pretrained,
        inference_config=inference_config,
        base_model_path=base_model_path,
    )


def load_model(
    model_uri: str | os.PathLike[str],
    dst_path: str | None = None,
    return_type: str = "pipeline",
    device: Any = None,
    base_model_path: str | None = None,
    *,
    allow_pickle: bool | None = None,
    verify: bool | None = None,
    **options: Any,
) -> Any:
    """Load a model.

    Args:
        model_uri: Any model URI.
        dst_path: A folder that its files are put into and stay in.
        return_type: "pipeline", or "components" for a dict of what one is made of.
        device: Where the model is put, as in "cpu", 0 or "cuda:0".
        base_model_path: Of adapters, which aren't in this version.
        allow_pickle: Whether weights may be loaded from pickles, and code that is kept with the
            model run; the setting where None.
        verify: Whether a registered model must be signed; the setting where None.
        options: For the model's ``from_pretrained``, as in ``device_map``, and for
            ``transformers.pipeline``.

    Raises:
        ResourceDoesNotExist: There is no model, or it is of another flavor.
        CorruptData: Its files are damaged.
        PermissionDenied: It would run code, and may not.
        UntrustedModel: It must be signed, and isn't as it must be.
        MissingDependency: transformers, or what the model needs, isn't installed.
    """
    if return_type not in _RETURNS:
        raise InvalidParameterValue(
            f"Unsupported return_type: {return_type!r}", hint="one of " + ", ".join(_RETURNS)
        )
    _check_no_base(base_model_path)
    with opened(model_uri, allow_pickle=allow_pickle, verify=verify, dst_path=dst_path) as folder:
        parts, rest = _load(folder, options)
        if return_type == "components":
            return parts
        return _built(parts, device, rest)


def generate_signature_output(
    pipeline: Any,
    data: Any,
    model_config: dict[str, Any] | None = None,
    params: dict[str, Any] | None = None,
    flavor_config: dict[str, Any] | None = None,
) -> Any:
    """What the pyfunc face gives for data, for ``infer_signature``.

    Args:
        pipeline: A pipeline.
        data: What it is to predict on.
        model_config, params: Arguments that the pipeline is called with.
        flavor_config: Accepted for MLflow's sake.

    Raises:
        InvalidParameterValue: It isn't a pipeline, or one that has no pyfunc face.
    """
    transformers = framework("transformers", NAME)
    if not isinstance(pipeline, transformers.Pipeline):
        raise InvalidParameterValue(
            f"generate_signature_output takes a pipeline, not {type(pipeline).__name__}"
        )
    return Scored(pipeline, model_config).predict(data, params)


def get_default_pip_requirements(model: Any = None) -> list[str]:
    """The pinned requirements that every model of the flavor has.

    Args:
        model: Accepted for MLflow's sake.
    """
    return inferred({"transformers", "torch"})


def get_default_conda_env(model: Any = None) -> dict[str, Any]:
    """The conda environment that a model of the flavor has if nothing is inferred.

    Args:
        model: Accepted for MLflow's sake.
    """
    return conda_of(with_mlflow(get_default_pip_requirements()))


def _check_no_base(path: str | None) -> None:
    if path is not None:
        raise Unsupported(
            "base_model_path is for adapters, which aren't in this version",
            hint="model.merge_and_unload() of peft makes a whole model",
        )


def _write_card(card: Any, folder: str) -> None:
    if card is None:
        return
    text = card if isinstance(card, str) else getattr(card, "content", None)
    if not isinstance(text, str):
        raise InvalidParameterValue("model_card must be a text or a huggingface_hub.ModelCard")
    with open(f"{folder}/model_card.md", "w", encoding="utf-8") as f:
        f.write(text)


def _load(folder: ModelFolder, options: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """What the pipeline is made of, and the options that are its own."""
    row = folder.row(NAME)
    framework("transformers", NAME)
    folder.add_code(row)
    return load_parts(folder, row, options)


def _built(parts: dict[str, Any], device: Any, options: dict[str, Any]) -> Any:
    transformers = framework("transformers", NAME)
    given = {key: value for key, value in parts.items() if key not in DTYPES}
    if device is not None:
        options = {**options, "device": device}
    try:
        return transformers.pipeline(**given, **options)
    except (KeyError, ValueError, RuntimeError, AssertionError, TypeError) as error:
        raise InvalidParameterValue(
            f"No pipeline {parts.get('task')!r} can be made of the model: {error}",
            hint='load_model(uri, return_type="components") gives what it would be made of',
        ) from error


def _load_pyfunc(folder: ModelFolder, config: dict[str, Any] | None) -> Scored:
    from mlgit import settings

    given = dict(config or {})
    device = given.pop("device", None) or settings.prediction_device()
    parts, rest = _load(folder, {})
    template = (folder.model.metadata or {}).get("prompt_template")
    return Scored(_built(parts, device, rest), given, template)
