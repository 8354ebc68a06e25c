"""A request to a served model: its JSON, read and cast by the model's signature."""

from __future__ import annotations

import json
from typing import Any

from mlgit.exceptions import InvalidParameterValue
from mlgit.models.jsonform import data_from_json, frame_from_records, frame_from_split
from mlgit.types.schema import Schema

# One of them holds the data; beside it may be "params".
REQUEST_KEYS = ("dataframe_split", "dataframe_records", "instances", "inputs")
# What clients of chat and completion services send, which is the input as it stands.
CHAT_KEYS = ("messages", "prompt", "input")


def parse_serving_input(payload: Any, schema: Schema | None) -> tuple[Any, dict[str, Any] | None]:
    """The input and the params that a request to a served model holds.

    Args:
        payload: JSON, or what it was read to: an object with exactly one of "dataframe_split",
            "dataframe_records", "instances" and "inputs", and with "params" where some are set;
            or the body of a chat or completion request.
        schema: The inputs of the model's signature, or None where it has none.

    Returns:
        The input, with the dtypes that the schema says, for ``enforce_schema``; and the params,
        or None where none came.

    Raises:
        InvalidParameterValue: It isn't such an object, or values aren't of their types.
    """
    found = _loaded(payload)
    keys = [key for key in REQUEST_KEYS if key in found]
    if not keys and any(key in found for key in CHAT_KEYS):
        return found, {}
    if len(keys) != 1:
        raise InvalidParameterValue(
            f"A request has exactly one of {', '.join(REQUEST_KEYS)}, and {sorted(found)} came",
            error_code="BAD_REQUEST",
            hint='as in {"dataframe_split": {"columns": ["a"], "data": [[1]]}}',
        )
    params = found.get("params")
    if params is not None and not isinstance(params, dict):
        raise InvalidParameterValue(f"'params' is an object, not {type(params).__name__}")
    return _data(keys[0], found[keys[0]], schema), params


def _loaded(payload: Any) -> dict[str, Any]:
    if isinstance(payload, (str, bytes, bytearray)):
        try:
            payload = json.loads(payload)
        except (ValueError, RecursionError) as error:
            raise InvalidParameterValue(
                f"The request isn't JSON: {error}", error_code="BAD_REQUEST"
            ) from None
    if not isinstance(payload, dict):
        raise InvalidParameterValue(
            f"A request is a JSON object, not {type(payload).__name__}", error_code="BAD_REQUEST"
        )
    return payload


def _data(key: str, form: Any, schema: Schema | None) -> Any:
    if key == "dataframe_split":
        return frame_from_split(form, schema)
    if key == "dataframe_records":
        return frame_from_records(form, schema)
    if key == "instances":
        form = _by_name(form)
    return data_from_json(form, schema)


def _by_name(form: Any) -> Any:
    """Instances that are objects: each name with its values of all instances."""
    if not isinstance(form, list):
        raise InvalidParameterValue(
            f"'instances' is a list, not {type(form).__name__}", hint="one entry for each instance"
        )
    if not form or not all(isinstance(one, dict) for one in form):
        return form
    names = list(form[0])
    if any(one.keys() != form[0].keys() for one in form):
        raise InvalidParameterValue(f"All instances need the names of the first: {names}")
    return {name: [one[name] for one in form] for name in names}
