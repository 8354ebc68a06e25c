"""Input examples: written into a model's folder as MLflow does, and read again."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlgit.exceptions import CorruptData, InvalidParameterValue, ResourceDoesNotExist
from mlgit.models.jsonform import array_from_json, encode, frame_from_split, frame_to_dict
from mlgit.models.serving import CHAT_KEYS
from mlgit.types.schema import Schema

EXAMPLE_FILE = "input_example.json"
SERVING_FILE = "serving_input_example.json"
_SPARSE = {"csr_matrix": "sparse_matrix_csr", "csc_matrix": "sparse_matrix_csc"}


@dataclass(frozen=True)
class SavedExample:
    """An example and what the MLmodel says of it.

    Attributes:
        data: What a model is called with.
        params: The params that it's called with, or None.
        info: What the MLmodel has under ``saved_input_example_info``.
    """

    data: Any
    params: dict[str, Any] | None
    info: dict[str, str]


def save_input_example(folder: str | Path, example: Any) -> SavedExample:
    """Write an input example into a model's folder, and as a request to the served model.

    Args:
        folder: The model's folder.
        example: A frame or series, an array, a dict of arrays, a sparse matrix, or what JSON can
            say; or a tuple of one of them and of a dict of params.

    Returns:
        The example, its params, and the entry for the MLmodel.

    Raises:
        InvalidParameterValue: It can't be written.
    """
    written, serving, saved = _texts(example)
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    (target / EXAMPLE_FILE).write_text(written, encoding="utf-8")
    (target / SERVING_FILE).write_text(serving, encoding="utf-8")
    return saved


def split_params(example: Any) -> tuple[Any, dict[str, Any] | None]:
    """An example and its params, which come as a tuple where there are some."""
    if isinstance(example, tuple) and len(example) == 2 and isinstance(example[1], dict):
        return example
    if example is None or isinstance(example, tuple):
        raise InvalidParameterValue(
            f"An input example is data, or a tuple of data and params, not {example!r:.80}",
            hint='as in (frame, {"temperature": 0.5})',
        )
    return example, None


def convert_input_example_to_serving_input(input_example: Any) -> str | None:
    """The request to a served model that an example makes, as JSON.

    Args:
        input_example: As :func:`save_input_example` takes it, or None.

    Returns:
        The request, or None for None.

    Raises:
        InvalidParameterValue: JSON can't say it.
    """
    if input_example is None:
        return None
    return _texts(input_example)[1]


def _texts(example: Any) -> tuple[str, str, SavedExample]:
    """What the two files hold, and what is known of the example."""
    data, params = split_params(example)
    info, form, serving = _forms(data)
    written = form
    if params is not None:
        encoded = encode(params)
        written = {"inputs": form, "params": encoded}
        chat = not serving.keys() & {"inputs", "dataframe_split"}
        serving = {**serving, **encoded} if chat else {**serving, "params": encoded}
    about = {"artifact_path": EXAMPLE_FILE, **({"params": "true"} if params is not None else {})}
    info = {**about, **info, "serving_input_path": SERVING_FILE}
    return json.dumps(written), json.dumps(serving, indent=2), SavedExample(data, params, info)


def _forms(data: Any) -> tuple[dict[str, str], Any, dict[str, Any]]:
    """What an MLmodel says of an example, its JSON form, and the request that it makes."""
    import numpy as np
    import pandas as pd

    if isinstance(data, pd.Series):
        data = data.to_frame()
    if isinstance(data, pd.DataFrame):
        form: Any = frame_to_dict(data)
        orient = "split" if "columns" in form else "values"
        return {"type": "dataframe", "pandas_orient": orient}, form, {"dataframe_split": form}
    name = type(data).__name__
    if name in _SPARSE:
        parts = {part: getattr(data, part) for part in ("data", "indices", "indptr", "shape")}
        return {"type": _SPARSE[name]}, encode(parts), {"inputs": encode(data.toarray())}
    arrays = isinstance(data, dict) and bool(data)
    if isinstance(data, np.ndarray) or (
        arrays and all(isinstance(one, np.ndarray) for one in data.values())
    ):
        form = encode(data)
        return {"type": "ndarray"}, form, {"inputs": form}
    form = encode(data)
    chat = isinstance(form, dict) and any(key in form for key in CHAT_KEYS)
    return {"type": "json_object"}, form, form if chat else {"inputs": form}


def load_input_example(
    folder: str | Path, info: dict[str, Any], schema: Schema | None = None
) -> Any:
    """The input example of a model, without its params.

    Args:
        folder: The model's folder.
        info: The MLmodel's ``saved_input_example_info``.
        schema: The inputs of the model's signature, which say the dtypes; None leaves those that
            JSON makes.

    Raises:
        ResourceDoesNotExist: There is no such file.
        CorruptData: The file isn't JSON, or not of the form that the MLmodel says.
        InvalidParameterValue: The MLmodel names a file outside the folder.
    """
    form = _read(folder, info)
    if info.get("params") == "true":
        form = form.get("inputs") if isinstance(form, dict) else None
    kind = info.get("type")
    try:
        if kind == "dataframe":
            return frame_from_split(form, schema)
        if kind == "ndarray":
            return _arrays(form, schema)
        if kind in _SPARSE.values():
            return _sparse(form, str(kind))
    except (InvalidParameterValue, KeyError, TypeError, ValueError) as error:
        raise CorruptData(
            f"The input example isn't what the MLmodel says ({kind}): {error}"
        ) from None
    return form


def load_example_params(folder: str | Path, info: dict[str, Any]) -> dict[str, Any] | None:
    """The params of a model's input example, or None where it has none.

    Args:
        folder: The model's folder.
        info: The MLmodel's ``saved_input_example_info``.

    Raises:
        ResourceDoesNotExist: There is no such file.
        CorruptData: The file isn't JSON, or has no params.
        InvalidParameterValue: The MLmodel names a file outside the folder.
    """
    if info.get("params") != "true":
        return None
    form = _read(folder, info)
    params = form.get("params") if isinstance(form, dict) else None
    if not isinstance(params, dict):
        raise CorruptData("The input example has no params, though the MLmodel says so")
    return params


def _read(folder: str | Path, info: dict[str, Any]) -> Any:
    root = Path(folder).resolve()
    name = str(info.get("artifact_path", EXAMPLE_FILE))
    path = (root / name).resolve()
    if not path.is_relative_to(root):
        raise InvalidParameterValue(f"The input example {name!r} isn't in the model's folder")
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ResourceDoesNotExist(f"The model has no file {name}") from None
    except (ValueError, RecursionError) as error:
        raise CorruptData(f"{name} isn't JSON: {error}") from None


def _arrays(form: Any, schema: Schema | None) -> Any:
    tensors = schema if schema is not None and schema.is_tensor_spec() else None
    if isinstance(form, dict):
        known = tensors.input_dict() if tensors and tensors.has_input_names() else {}
        return {name: array_from_json(one, known.get(name)) for name, one in form.items()}
    return array_from_json(form, tensors.inputs[0] if tensors else None)


def _sparse(form: Any, kind: str) -> Any:
    from scipy import sparse

    make = getattr(sparse, {label: name for name, label in _SPARSE.items()}[kind])
    return make((form["data"], form["indices"], form["indptr"]), shape=tuple(form["shape"]))
