"""Names and types of what a dataset holds, in the JSON form that MLflow records."""

from __future__ import annotations

from typing import Any

from mlgit.exceptions import InvalidParameterValue

_NUMBERS = {
    "float16": "float",
    "float32": "float",
    "float64": "double",
    "int8": "integer",
    "int16": "integer",
    "int32": "integer",
    "int64": "long",
    "uint8": "integer",
    "uint16": "integer",
    "uint32": "long",
    "bool": "boolean",
    "boolean": "boolean",
}


class Schema:
    """The columns of a table.

    Args:
        columns: Each as ``{"type", "name", "required"}``, and for nested values "items"
            or "properties".
    """

    def __init__(self, columns: list[dict[str, Any]]) -> None:
        self.columns = columns

    def input_names(self) -> list[Any]:
        """The columns' names."""
        return [column["name"] for column in self.columns]

    def to_dict(self) -> list[dict[str, Any]]:
        """The columns."""
        return self.columns

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Schema) and self.columns == other.columns

    def __repr__(self) -> str:
        return "[" + ", ".join(f"{c['name']!r}: {_shown(c)}" for c in self.columns) + "]"


class TensorDatasetSchema:
    """The arrays of a dataset.

    Args:
        features, targets: Each a list of ``{"type": "tensor", "tensor-spec": …}``.
    """

    def __init__(self, features: list[dict[str, Any]], targets: Any = None) -> None:
        self.features = features
        self.targets = targets

    def to_dict(self) -> dict[str, Any]:
        """``{"mlflow_tensorspec": {"features", "targets"}}``, the two as JSON."""
        import json

        targets = None if self.targets is None else json.dumps(self.targets)
        return {"mlflow_tensorspec": {"features": json.dumps(self.features), "targets": targets}}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TensorDatasetSchema) and self.to_dict() == other.to_dict()

    def __repr__(self) -> str:
        return f"features: {self.features}, targets: {self.targets}"


def _shown(spec: dict[str, Any]) -> str:
    if spec["type"] == "array":
        kind = f"Array({_shown(spec['items'])})"
    elif spec["type"] == "object":
        inner = ", ".join(f"{name}: {_shown(p)}" for name, p in spec["properties"].items())
        kind = f"{{{inner}}}"
    else:
        kind = spec["type"]
    state = {True: " (required)", False: " (optional)"}.get(spec.get("required", ""), "")
    return kind + state


def frame_schema(frame: Any) -> Schema | None:
    """The schema of a pandas frame, or None where a column has no type that MLflow knows."""
    if not len(frame.columns) or not frame.columns.is_unique:
        return None
    columns = []
    for at, name in enumerate(frame.columns):
        series = frame.iloc[:, at]
        try:
            spec = _column(series)
        except InvalidParameterValue:
            return None
        columns.append({**spec, "name": name, "required": not bool(series.isna().any())})
    return Schema(columns)


def _column(series: Any) -> dict[str, Any]:
    dtype = str(series.dtype)
    if dtype == "category":
        dtype = str(series.cat.categories.dtype)
    if dtype.startswith("datetime64"):
        return {"type": "datetime"}
    if dtype.lower() in _NUMBERS:
        return {"type": _NUMBERS[dtype.lower()]}
    if dtype.startswith(("str", "string")):
        return {"type": "string"}
    if dtype != "object":
        raise InvalidParameterValue(f"No type for {dtype}")
    values = [value for value in series if not _is_missing(value)]
    if not values:
        return {"type": "any" if len(series) else "string"}
    found = _values(values)
    # Numbers among missing values are floats once a program reads them.
    if found == {"type": "long"} and len(values) < len(series):
        return {"type": "double"}
    return found


def _is_missing(value: Any) -> bool:
    if value is None:
        return True
    return type(value).__name__ in ("NAType", "NaTType") or (
        isinstance(value, float) and value != value
    )


def _values(values: list[Any]) -> dict[str, Any]:
    """The one type of some values, none of them missing."""
    if all(isinstance(value, dict) for value in values):
        return _objects(values)
    if all(
        isinstance(value, list) or (hasattr(value, "tolist") and value.ndim) for value in values
    ):
        items = [item for value in values for item in value if not _is_missing(item)]
        return {"type": "array", "items": _values(items)} if items else {"type": "any"}
    kinds = {_kind(value) for value in values}
    if kinds == {"long", "double"}:
        return {"type": "double"}
    if len(kinds) > 1:
        raise InvalidParameterValue(f"Values of several types: {sorted(kinds)}")
    return {"type": kinds.pop()}


def _objects(values: list[dict[Any, Any]]) -> dict[str, Any]:
    names = sorted({str(name) for value in values for name in value})
    properties = {}
    for name in names:
        found = [value.get(name) for value in values]
        given = [value for value in found if not _is_missing(value)]
        spec = _values(given) if given else {"type": "any"}
        properties[name] = {**spec, "required": len(given) == len(values)}
    return {"type": "object", "properties": properties}


def _kind(value: Any) -> str:
    import datetime

    dtype = str(getattr(value, "dtype", ""))
    if isinstance(value, str):
        return "string"
    if isinstance(value, (bytes, bytearray)):
        return "binary"
    if isinstance(value, bool) or dtype == "bool":
        return "boolean"
    if isinstance(value, int) or dtype.startswith("int"):
        return "long"
    if isinstance(value, float) or dtype.startswith("float"):
        return "double"
    if isinstance(value, datetime.date) or dtype.startswith("datetime64"):
        return "datetime"
    raise InvalidParameterValue(f"No type for {type(value).__name__}")


def array_schema(data: Any) -> list[dict[str, Any]]:
    """The tensors of an array or of a dict of arrays; the first dimension is the rows'.

    Raises:
        InvalidParameterValue: An array has no dimension.
    """
    if isinstance(data, dict):
        return [{"name": name, **array_schema(array)[0]} for name, array in data.items()]
    if not data.ndim:
        raise InvalidParameterValue("An array without dimensions has no rows")
    name = {"U": "str", "S": "bytes"}.get(data.dtype.kind, data.dtype.name)
    shape = [-1, *data.shape[1:]]
    return [{"type": "tensor", "tensor-spec": {"dtype": name, "shape": shape}}]
