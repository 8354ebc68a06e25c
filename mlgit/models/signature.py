"""Signatures: the types of what a model takes, gives and can be told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mlgit.exceptions import InvalidParameterValue, ResourceDoesNotExist
from mlgit.types.infer import infer_params, infer_schema
from mlgit.types.schema import AnyType, ColSpec, DataType, ParamSchema, Schema

_WHOLE_NUMBERS = (
    "Integer columns can't hold missing values: where some are missing, pandas makes floats of "
    "them, which the signature then refuses. Infer the signature from data with missing values "
    "in it, or make such columns floats (float64)."
)


class ModelSignature:
    """The types of a model's inputs, outputs and params.

    Args:
        inputs, outputs: A schema, or a dataclass to make it of.
        params: The schema of the params.

    Raises:
        InvalidParameterValue: Nothing is given, or something else.
    """

    def __init__(
        self, inputs: Any = None, outputs: Any = None, params: ParamSchema | None = None
    ) -> None:
        self.inputs = _schema(inputs, "inputs")
        self.outputs = _schema(outputs, "outputs")
        if params is not None and not isinstance(params, ParamSchema):
            raise InvalidParameterValue(f"params is a ParamSchema, not {type(params).__name__}")
        self.params = params
        if inputs is None and outputs is None and params is None:
            raise InvalidParameterValue("A signature needs inputs, outputs or params")

    def to_dict(self) -> dict[str, Any]:
        """The signature as an MLmodel has it: JSON under inputs, outputs and params."""
        return {
            "inputs": self.inputs.to_json() if self.inputs else None,
            "outputs": self.outputs.to_json() if self.outputs else None,
            # An empty list of params is one that takes none.
            "params": self.params.to_json() if self.params is not None else None,
        }

    @classmethod
    def from_dict(cls, signature_dict: dict[str, Any]) -> ModelSignature:
        """The signature that ``to_dict`` or MLflow wrote; keys that it doesn't know are ignored.

        Args:
            signature_dict: JSON, or None, under inputs, outputs and params.

        Raises:
            InvalidParameterValue: It isn't that.
        """
        if not isinstance(signature_dict, dict):
            raise InvalidParameterValue(
                f"A signature is an object, not {type(signature_dict).__name__}"
            )
        read = {"inputs": Schema, "outputs": Schema, "params": ParamSchema}
        found: dict[str, Any] = {}
        for part, form in read.items():
            text = signature_dict.get(part)
            if text:
                try:
                    found[part] = form.from_json(text)  # type: ignore[attr-defined]
                except InvalidParameterValue as error:
                    raise InvalidParameterValue(
                        f"The signature's {part}: {error.message}", hint=error.hint
                    ) from None
        return cls(**found)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ModelSignature) and (
            (self.inputs, self.outputs, self.params) == (other.inputs, other.outputs, other.params)
        )

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        parts = {"inputs": self.inputs, "outputs": self.outputs, "params": self.params}
        return "".join(f"{name}: \n  {part!r}\n" for name, part in parts.items())


def _schema(given: Any, part: str) -> Schema | None:
    import dataclasses

    if given is None or isinstance(given, Schema):
        return given
    if dataclasses.is_dataclass(given):
        from mlgit.models.type_hints import dataclass_schema

        return dataclass_schema(given)
    raise InvalidParameterValue(
        f"{part} is a Schema, not {type(given).__name__}",
        hint="infer_signature makes a signature of data",
    )


def infer_signature(
    model_input: Any = None, model_output: Any = None, params: dict[str, Any] | None = None
) -> ModelSignature:
    """A signature from an example of what goes in and comes out.

    Args:
        model_input: A valid input: pandas frame or series, numpy array, sparse matrix, tensor,
            dict or list of values or arrays, a single value, or a dataclass.
        model_output: A valid output, of the same kinds.
        params: Names and defaults of the params that the model takes.

    Returns:
        The signature. Data whose type it can't say is taken for anything, and logged.

    Raises:
        InvalidParameterValue: Nothing is given, or a param's default can't be one.
    """
    inputs = _inferred(model_input, "inputs") if model_input is not None else None
    outputs = _inferred(model_output, "outputs") if model_output is not None else None
    return ModelSignature(inputs, outputs, infer_params(params) if params else None)


def _inferred(data: Any, part: str) -> Schema:
    import dataclasses
    import logging
    import warnings

    if dataclasses.is_dataclass(data):
        from mlgit.models.type_hints import dataclass_schema

        return dataclass_schema(data)
    try:
        schema = infer_schema(data)
    except InvalidParameterValue as error:
        logging.getLogger("mlgit").warning(
            "The %s of the signature are taken for anything, and won't be checked: %s",
            part,
            error.message,
        )
        return Schema([ColSpec(AnyType())])
    if any(kind in (DataType.integer, DataType.long) for kind in schema.input_types()):
        warnings.warn(_WHOLE_NUMBERS, UserWarning, stacklevel=3)
    return schema


def set_signature(model_uri: str, signature: ModelSignature) -> None:
    """Write a signature into a model that is there already.

    Args:
        model_uri: The model's local folder, or a ``file:`` URI of it.
        signature: What to write in place of the one that it has.

    Raises:
        InvalidParameterValue: ``signature`` isn't one, or the URI isn't a local one.
        ResourceDoesNotExist: There is no model.
    """
    import yaml

    if not isinstance(signature, ModelSignature):
        raise InvalidParameterValue(
            f"The signature is a ModelSignature, not {type(signature).__name__}",
            hint="infer_signature makes one of data",
        )
    path = _local_folder(str(model_uri)) / "MLmodel"
    if not path.is_file():
        raise ResourceDoesNotExist(f"There is no model in {path.parent}: it has no file MLmodel")
    found = yaml.safe_load(path.read_text(encoding="utf-8"))
    if not isinstance(found, dict):
        raise InvalidParameterValue(f"{path} isn't an MLmodel: it's no YAML mapping")
    found["signature"] = signature.to_dict()
    temporary = path.with_name(".MLmodel.new")
    text = yaml.safe_dump(found, default_flow_style=False, allow_unicode=True)
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)


def _local_folder(uri: str) -> Path:
    from urllib.parse import unquote, urlsplit

    parts = urlsplit(uri)
    if parts.scheme == "file" and parts.netloc in ("", "localhost"):
        return Path(unquote(parts.path))
    if len(parts.scheme) > 1:
        raise InvalidParameterValue(
            f"The signature of {uri} can't be changed: a logged model stays as it was logged",
            hint="load it, and log it again with the new signature",
        )
    return Path(uri)
