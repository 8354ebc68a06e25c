"""Predicting on the bodies that a scoring server takes, and on files."""

from __future__ import annotations

import io
import json
import os
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from mlgit.exceptions import InvalidParameterValue
from mlgit.models.batches import check_content_type
from mlgit.models.examples import convert_input_example_to_serving_input
from mlgit.models.pyfunc_model import load_pyfunc
from mlgit.models.running import Task, predict_task
from mlgit.models.serving import parse_serving_input


def validate_serving_input(
    model_uri: str | os.PathLike[str], serving_input: str | dict[str, Any]
) -> Any:
    """Predict on the body of a request, as a scoring server would.

    Args:
        model_uri: Any model URI.
        serving_input: The body: JSON, or what it parses to.

    Returns:
        The predictions.

    Raises:
        InvalidParameterValue: The body can't be right, doesn't fit the signature, or the model
            raises.
    """
    model = load_pyfunc(model_uri)
    data, params = parse_serving_input(serving_input, model.metadata.get_input_schema())
    return model.predict(data, params=params)


def predict(
    model_uri: str | os.PathLike[str],
    input_data: Any = None,
    input_path: str | os.PathLike[str] | None = None,
    content_type: str = "json",
    output_path: str | os.PathLike[str] | None = None,
    env_manager: str = "virtualenv",
    install_mlflow: bool = False,
    pip_requirements_override: Sequence[str] | None = None,
    extra_envs: dict[str, str] | None = None,
) -> str | None:
    """Predict on data or a file, in an environment of the model's own unless told otherwise.

    Args:
        model_uri: Any model URI.
        input_data: The input as text or bytes of the content type; or a frame, an array, or
            what else an input example may be.
        input_path: A file of it.
        content_type: "json" (a scoring server's request, rows, or JSON lines), "csv" or
            "parquet".
        output_path: Where to write the predictions: CSV, JSON lines or Parquet where its suffix
            says so, else JSON as a scoring server answers it.
        env_manager: "virtualenv", "uv", "conda", or "local" for this environment.
        install_mlflow: Install MLflow into the environment, too.
        pip_requirements_override: Requirements that count before the model's.
        extra_envs: Variables of the environment that the model runs in; not for "local".

    Returns:
        The JSON, where there is no ``output_path``.

    Raises:
        InvalidParameterValue: The data can't be read, or doesn't fit the model.
        ResourceDoesNotExist: There is no such model or file.
        MissingDependency: The environment can't be built.
    """
    from mlgit.models.environments import check_manager

    check_content_type(content_type)
    if (input_data is None) == (input_path is None):
        raise InvalidParameterValue("Give either input_data or input_path")
    if check_manager(env_manager) == "local" and (extra_envs or pip_requirements_override):
        raise InvalidParameterValue(
            "extra_envs and pip_requirements_override are for an environment of the model's own",
            hint="give env_manager='virtualenv', 'uv' or 'conda'",
        )
    path = None if input_path is None else os.fspath(input_path)
    out = None if output_path is None else os.fspath(output_path)
    task = Task(os.fspath(model_uri), path, out, content_type, "json" if out is None else None)
    data = None if input_data is None else _bytes(input_data, content_type)
    if env_manager == "local":
        answer = io.BytesIO()
        predict_task(task, None if data is None else io.BytesIO(data), answer)
        return answer.getvalue().decode() if out is None else None

    from mlgit.models.child import Surroundings, predict_in_child

    around = Surroundings(
        env_manager, install_mlflow, tuple(pip_requirements_override or ()), extra_envs or {}
    )
    with tempfile.TemporaryDirectory(prefix="mlgit-predict-") as folder:
        task = replace(task, output_path=out or f"{folder}/answer")
        if data is not None:
            with open(f"{folder}/input", "wb") as f:
                f.write(data)
            task = replace(task, input_path=f"{folder}/input")
        predict_in_child(task, around)
        if out is not None:
            return None
        with open(f"{folder}/answer", encoding="utf-8") as f:
            return f.read()


def _bytes(data: Any, content_type: str) -> bytes:
    """What a file of the data would hold."""
    if isinstance(data, (bytes, bytearray)):
        return bytes(data)
    if isinstance(data, str):
        return data.encode()
    if content_type == "csv" and hasattr(data, "to_csv"):
        return str(data.to_csv(index=False)).encode()
    if content_type != "json":
        raise InvalidParameterValue(
            f"{type(data).__name__} can't be given as {content_type}", hint="give it as json"
        )
    if isinstance(data, dict):
        return json.dumps(data).encode() if _is_request(data) else _example(data)
    return _example(data)


def _is_request(data: dict[str, Any]) -> bool:
    from mlgit.models.serving import CHAT_KEYS, REQUEST_KEYS

    return any(key in data for key in (*REQUEST_KEYS, *CHAT_KEYS))


def _example(data: Any) -> bytes:
    return str(convert_input_example_to_serving_input(data)).encode()
