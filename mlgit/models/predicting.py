"""Predicting on the bodies that a scoring server takes, and on files."""

from __future__ import annotations

import io
import json
import os
from typing import Any

from mlgit.exceptions import InvalidParameterValue, ResourceDoesNotExist, from_os_error
from mlgit.models.pyfunc_model import PyFuncModel, load_pyfunc
from mlgit.models.serving import parse_serving_input

# A dict with one of these is a request's body; another is data.
_BODY = {"dataframe_split", "dataframe_records", "instances", "inputs"}


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
    model = load_pyfunc(model_uri)
    data, params = parse_serving_input(serving_input, model.metadata.get_input_schema())
    return model.predict(data, params=params)


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
    model = load_pyfunc(model_uri)
    data, params = _loaded(input_data, content_type, model)
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


def _loaded(given: Any, content_type: str, model: PyFuncModel) -> tuple[Any, dict[str, Any] | None]:
    if content_type == "csv" and isinstance(given, str):
        import pandas as pd

        return pd.read_csv(io.StringIO(given)), None
    if isinstance(given, (str, bytes)) or (isinstance(given, dict) and given.keys() & _BODY):
        return parse_serving_input(given, model.metadata.get_input_schema())
    return given, None
