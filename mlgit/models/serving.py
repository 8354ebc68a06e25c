"""Predicting on the bodies that a scoring server takes, and on files."""

from __future__ import annotations

import io
import json
import os
from typing import Any

from mlgit.exceptions import InvalidParameterValue, ResourceDoesNotExist, from_os_error
from mlgit.models.pyfunc_model import PyFuncModel, load_pyfunc

# The keys of a body, exactly one of which it has (MLflow's scoring protocol).
KEYS = ("dataframe_split", "dataframe_records", "instances", "inputs")


def parse_body(text: str | bytes | dict[str, Any]) -> tuple[Any, dict[str, Any] | None]:
    """The data and params of a request's JSON body.

    Raises:
        InvalidParameterValue: It isn't JSON, or hasn't exactly one of the keys of data.
    """
    try:
        body = text if isinstance(text, dict) else json.loads(text)
    except ValueError as error:
        raise InvalidParameterValue(f"The input isn't JSON: {error}", "BAD_REQUEST") from error
    present = [key for key in KEYS if isinstance(body, dict) and key in body]
    if len(present) != 1:
        raise InvalidParameterValue(
            f"The input must have exactly one of the keys {', '.join(KEYS)}; it has "
            + (", ".join(present) or "none"),
            "BAD_REQUEST",
        )
    params = body.get("params")
    if params is not None and not isinstance(params, dict):
        raise InvalidParameterValue("params must be a mapping", "BAD_REQUEST")
    return _data(present[0], body[present[0]]), params


def _data(key: str, value: Any) -> Any:
    if key == "inputs":
        return _tensors(value)
    if key == "instances":
        return _instances(value)
    import pandas as pd

    try:
        if key == "dataframe_split":
            return pd.DataFrame(**{k: v for k, v in value.items() if k != "index"})
        return pd.DataFrame(value)
    except (TypeError, ValueError, AttributeError) as error:
        raise InvalidParameterValue(f"{key} isn't a frame: {error}", "BAD_REQUEST") from error


def _instances(value: Any) -> Any:
    if isinstance(value, list) and value and all(isinstance(row, dict) for row in value):
        return {name: _tensors([row.get(name) for row in value]) for name in value[0]}
    return _tensors(value)


def _tensors(value: Any) -> Any:
    import numpy as np

    if isinstance(value, dict):
        return {name: _tensors(part) for name, part in value.items()}
    if not isinstance(value, list) or _holds_objects(value):
        return value
    try:
        return np.array(value)
    except ValueError:
        return value  # rows of several lengths


def _holds_objects(value: list[Any]) -> bool:
    while value and isinstance(value[0], list):
        value = value[0]
    return any(isinstance(item, (dict, str)) or item is None for item in value)


def shown(predictions: Any) -> Any:
    """Predictions as JSON can hold them."""
    if hasattr(predictions, "to_dict") and hasattr(predictions, "columns"):
        return predictions.to_dict(orient="records")
    if hasattr(predictions, "tolist"):
        return predictions.tolist()
    if isinstance(predictions, dict):
        return {str(name): shown(value) for name, value in predictions.items()}
    if isinstance(predictions, (list, tuple)):
        return [shown(item) for item in predictions]
    return predictions


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
    data, params = parse_body(serving_input)
    return load_pyfunc(model_uri).predict(data, params=params)


def predict(
    model_uri: str | os.PathLike[str],
    input_data: Any = None,
    input_path: str | os.PathLike[str] | None = None,
    content_type: str = "json",
    output_path: str | os.PathLike[str] | None = None,
    env_manager: str = "local",
    **others: Any,
) -> str | None:
    """Predict on data or a file, and write or return JSON as a scoring server answers it.

    Args:
        model_uri: Any model URI.
        input_data: The body of a request, as text or what it parses to; a frame; an array.
        input_path: A file of it.
        content_type: Of the file: "json" or "csv".
        output_path: Where to write the answer; returned where None.
        env_manager: Only "local", this environment.
        others: Accepted for MLflow's sake.

    Raises:
        InvalidParameterValue: The data can't be read, or doesn't fit the model.
    """
    if content_type not in ("json", "csv"):
        raise InvalidParameterValue(
            f"Content type must be one of 'json' or 'csv', not {content_type!r}"
        )
    if env_manager != "local":
        raise InvalidParameterValue(
            f"predict() runs in this environment: env_manager={env_manager!r}",
            hint="mlgit models predict makes environments",
        )
    if (input_data is None) == (input_path is None):
        raise InvalidParameterValue("Give either input_data or input_path")
    if input_path is not None:
        input_data = _read(input_path)
    data, params = _loaded(input_data, content_type)
    model: PyFuncModel = load_pyfunc(model_uri)
    answer = json.dumps({"predictions": shown(model.predict(data, params=params))}, default=str)
    if output_path is None:
        return answer
    try:
        with open(output_path, "w", encoding="utf-8") as f:
            f.write(answer)
    except OSError as error:
        raise from_os_error(error, f"write {output_path}") from error
    return None


def _read(path: str | os.PathLike[str]) -> str:
    try:
        with open(path, encoding="utf-8") as f:
            return f.read()
    except FileNotFoundError as error:
        raise ResourceDoesNotExist(f"No such file: {path}") from error
    except OSError as error:
        raise from_os_error(error, f"read {path}") from error
    except UnicodeDecodeError as error:
        raise InvalidParameterValue(f"{path} isn't text in UTF-8") from error


def _loaded(given: Any, content_type: str) -> tuple[Any, dict[str, Any] | None]:
    if content_type == "csv" and isinstance(given, str):
        import pandas as pd

        return pd.read_csv(io.StringIO(given)), None
    if isinstance(given, (str, bytes)) or (
        isinstance(given, dict) and any(key in given for key in KEYS)
    ):
        return parse_body(given)
    return given, None
