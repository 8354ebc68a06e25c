"""The inputs or outputs of a model: named or unnamed columns, or tensors.

Every public type is here under MLflow's name; the types of values are in ``kinds``, params in
``params``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from mlgit.exceptions import InvalidParameterValue
from mlgit.types.kinds import (
    AnyType,
    Array,
    BaseType,
    DataType,
    Kind,
    Map,
    Object,
    Property,
    SparkMLVector,
    as_kind,
    kind_from_dict,
    kind_to_dict,
)
from mlgit.types.params import ParamSchema, ParamSpec, parse_list

if TYPE_CHECKING:
    import numpy as np

__all__ = [
    "AnyType",
    "Array",
    "BaseType",
    "ColSpec",
    "DataType",
    "Map",
    "Object",
    "ParamSchema",
    "ParamSpec",
    "Property",
    "Schema",
    "SparkMLVector",
    "TensorInfo",
    "TensorSpec",
]


class ColSpec:
    """A column.

    Args:
        type: The type of its values, or the name of a scalar one.
        name: The column's name; None for columns that are known by their place.
        required: Whether the data must have it.

    Raises:
        InvalidParameterValue: ``type`` isn't a type.
    """

    def __init__(self, type: Kind | str, name: Any = None, required: bool = True) -> None:
        self._type = as_kind(type, "type")
        self._name = name
        self._required = bool(required)

    @property
    def type(self) -> Kind:
        """The type of the values."""
        return self._type

    @property
    def name(self) -> Any:
        """The column's name, or None."""
        return self._name

    @name.setter
    def name(self, name: Any) -> None:
        self._name = name

    @property
    def required(self) -> bool:
        """Whether the data must have it."""
        return self._required

    def to_dict(self) -> dict[str, Any]:
        """The column in MLflow's JSON form."""
        found = kind_to_dict(self._type)
        if self._name is not None:
            found["name"] = self._name
        found["required"] = self._required
        return found

    @classmethod
    def from_json_dict(cls, **kwargs: Any) -> ColSpec:
        """The column that ``to_dict`` wrote.

        Raises:
            InvalidParameterValue: It isn't one.
        """
        required = kwargs.get("required")
        # Before 2.3 MLflow wrote "optional" for what it now writes as "required".
        if required is None:
            required = not kwargs.get("optional", False)
        return cls(kind_from_dict(kwargs), kwargs.get("name"), required=required)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ColSpec) and self.to_dict() == other.to_dict()

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        state = "required" if self._required else "optional"
        shown = f"{self._type!r} ({state})"
        return shown if self._name is None else f"{self._name!r}: {shown}"


class TensorInfo:
    """The dtype and shape of a tensor.

    Args:
        dtype: numpy's dtype; text and bytes without a size.
        shape: The sizes of its dimensions; -1 stands for any size.

    Raises:
        InvalidParameterValue: Not a dtype, or not a list of numbers.
    """

    def __init__(self, dtype: np.dtype[Any], shape: tuple[int, ...] | list[int]) -> None:
        import numpy as np

        if not isinstance(dtype, np.dtype):
            raise InvalidParameterValue(
                f"A tensor's type is a numpy dtype, not {dtype!r}",
                hint='as in TensorSpec(np.dtype("float32"), (-1, 28, 28))',
            )
        if dtype.kind in "US" and dtype.itemsize:
            plain = "str" if dtype.kind == "U" else "bytes"
            raise InvalidParameterValue(
                f"The dtype {dtype} has a size, which a signature doesn't keep",
                hint=f'np.dtype("{plain}")',
            )
        if not isinstance(shape, (tuple, list)) or not all(_is_size(size) for size in shape):
            raise InvalidParameterValue(f"A tensor's shape is a tuple of numbers, not {shape!r}")
        self._dtype = dtype
        self._shape = tuple(int(size) for size in shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        """numpy's dtype."""
        return self._dtype

    @property
    def shape(self) -> tuple[int, ...]:
        """The sizes of the dimensions; -1 stands for any."""
        return self._shape

    def to_dict(self) -> dict[str, Any]:
        """Dtype and shape in MLflow's JSON form."""
        name = {"U": "str", "S": "bytes"}.get(self._dtype.kind, self._dtype.name)
        return {"dtype": name, "shape": self._shape}

    @classmethod
    def from_json_dict(cls, **kwargs: Any) -> TensorInfo:
        """What ``to_dict`` wrote.

        Raises:
            InvalidParameterValue: It isn't that, or numpy knows no such dtype.
        """
        import numpy as np

        if not {"dtype", "shape"} <= kwargs.keys() or not isinstance(kwargs["dtype"], str):
            raise InvalidParameterValue(f"A tensor needs 'dtype' and 'shape': {kwargs!r:.200}")
        try:
            dtype = np.dtype(kwargs["dtype"])
        except (TypeError, ValueError, SyntaxError):
            raise InvalidParameterValue(f"numpy knows no dtype {kwargs['dtype']!r:.100}") from None
        return cls(dtype, kwargs["shape"])

    def __repr__(self) -> str:
        return f"Tensor({self.to_dict()['dtype']!r}, {self._shape})"


def _is_size(size: Any) -> bool:
    return hasattr(size, "__index__") and not isinstance(size, bool)


class TensorSpec:
    """A tensor.

    Args:
        type: numpy's dtype; text and bytes without a size.
        shape: The sizes of its dimensions; -1 stands for any size.
        name: The tensor's name where a model takes several.

    Raises:
        InvalidParameterValue: Not a dtype, or not a shape.
    """

    def __init__(
        self, type: np.dtype[Any], shape: tuple[int, ...] | list[int], name: str | None = None
    ) -> None:
        self._info = TensorInfo(type, shape)
        self._name = name

    @property
    def type(self) -> np.dtype[Any]:
        """numpy's dtype."""
        return self._info.dtype

    @property
    def shape(self) -> tuple[int, ...]:
        """The sizes of the dimensions; -1 stands for any."""
        return self._info.shape

    @property
    def name(self) -> str | None:
        """The tensor's name, or None."""
        return self._name

    @property
    def required(self) -> bool:
        """True: a tensor is never optional."""
        return True

    def to_dict(self) -> dict[str, Any]:
        """The tensor in MLflow's JSON form."""
        named = {} if self._name is None else {"name": self._name}
        return {**named, "type": "tensor", "tensor-spec": self._info.to_dict()}

    @classmethod
    def from_json_dict(cls, **kwargs: Any) -> TensorSpec:
        """The tensor that ``to_dict`` wrote.

        Raises:
            InvalidParameterValue: It isn't one.
        """
        form = kwargs.get("tensor-spec")
        if not isinstance(form, dict):
            raise InvalidParameterValue(f"A tensor needs 'tensor-spec': {kwargs!r:.200}")
        info = TensorInfo.from_json_dict(**form)
        return cls(info.dtype, info.shape, kwargs.get("name"))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TensorSpec) and self.to_dict() == other.to_dict()

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return repr(self._info) if self._name is None else f"{self._name!r}: {self._info!r}"


Spec = ColSpec | TensorSpec


class Schema:
    """The inputs or the outputs of a model.

    Args:
        inputs: Columns or tensors, not both; all named or none; one tensor where it has no name.

    Raises:
        InvalidParameterValue: None of them, or a combination that there isn't.
    """

    def __init__(self, inputs: list[ColSpec] | list[TensorSpec] | list[Spec]) -> None:
        if not isinstance(inputs, list) or not all(
            isinstance(one, (ColSpec, TensorSpec)) for one in inputs
        ):
            raise InvalidParameterValue(
                f"A schema is made of a list of ColSpec or of TensorSpec, not {inputs!r:.200}"
            )
        if not inputs:
            raise InvalidParameterValue("A schema needs a column or a tensor")
        if len({type(one) for one in inputs}) > 1:
            raise InvalidParameterValue("A schema has columns or tensors, not both")
        unnamed = [one for one in inputs if one.name is None]
        if unnamed and len(unnamed) < len(inputs):
            names = [one.name for one in inputs]
            raise InvalidParameterValue(f"A schema names all or none: {names}")
        if isinstance(inputs[0], TensorSpec) and len(unnamed) > 1:
            raise InvalidParameterValue("Several tensors need names to be told apart")
        if not all(one.required for one in unnamed):
            raise InvalidParameterValue("A column that is optional needs a name")
        self._inputs: list[Any] = inputs

    @property
    def inputs(self) -> list[Any]:
        """The columns or tensors."""
        return self._inputs

    def is_tensor_spec(self) -> bool:
        """Whether it's of tensors."""
        return isinstance(self._inputs[0], TensorSpec)

    def has_input_names(self) -> bool:
        """Whether the columns or tensors have names."""
        return self._inputs[0].name is not None

    def input_names(self) -> list[Any]:
        """The names, or the places where there are no names."""
        return [at if one.name is None else one.name for at, one in enumerate(self._inputs)]

    def required_input_names(self) -> list[Any]:
        """The names or places of what must be there."""
        return [n for n, one in zip(self.input_names(), self._inputs) if one.required]

    def optional_input_names(self) -> list[Any]:
        """The names of what may be left out."""
        return [n for n, one in zip(self.input_names(), self._inputs) if not one.required]

    def input_types(self) -> list[Any]:
        """The types, in the order of the inputs."""
        return [one.type for one in self._inputs]

    def input_types_dict(self) -> dict[str, Any]:
        """Name → type.

        Raises:
            InvalidParameterValue: The inputs have no names.
        """
        return {name: one.type for name, one in self.input_dict().items()}

    def input_dict(self) -> dict[str, Any]:
        """Name → column or tensor.

        Raises:
            InvalidParameterValue: The inputs have no names.
        """
        if not self.has_input_names():
            raise InvalidParameterValue("The inputs of this schema have no names")
        return {one.name: one for one in self._inputs}

    def numpy_types(self) -> list[np.dtype[Any]]:
        """numpy's dtypes, in the order of the inputs.

        Raises:
            InvalidParameterValue: A column holds arrays, objects, maps or anything.
        """
        if self.is_tensor_spec():
            return [one.type for one in self._inputs]
        return [kind.to_numpy() for kind in self._scalars("numpy")]

    def pandas_types(self) -> list[np.dtype[Any]]:
        """The dtypes of pandas' columns, in the order of the inputs.

        Raises:
            InvalidParameterValue: It's of tensors, or a column's values aren't scalars.
        """
        if self.is_tensor_spec():
            raise InvalidParameterValue("Tensors have no pandas types", hint="numpy_types()")
        return [kind.to_pandas() for kind in self._scalars("pandas")]

    def _scalars(self, library: str) -> list[DataType]:
        kinds = self.input_types()
        if not all(isinstance(kind, DataType) for kind in kinds):
            raise InvalidParameterValue(f"Not all of the types have one of {library}: {kinds}")
        return kinds

    def to_dict(self) -> list[dict[str, Any]]:
        """The schema in MLflow's JSON form."""
        return [one.to_dict() for one in self._inputs]

    def to_json(self) -> str:
        """The schema as MLflow writes it."""
        return json.dumps(self.to_dict())

    @classmethod
    def from_json(cls, json_str: str) -> Schema:
        """The schema that ``to_json`` or MLflow wrote.

        Args:
            json_str: A JSON list of columns or tensors.

        Raises:
            InvalidParameterValue: It isn't that.
        """
        return cls([_spec_from_dict(form) for form in parse_list(json_str, "A schema")])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Schema) and self._inputs == other._inputs

    __hash__ = None  # type: ignore[assignment]

    def __iter__(self) -> Iterator[Any]:
        return iter(self._inputs)

    def __len__(self) -> int:
        return len(self._inputs)

    def __repr__(self) -> str:
        return repr(self._inputs)


def _spec_from_dict(form: Any) -> Spec:
    if not isinstance(form, dict):
        raise InvalidParameterValue(f"A column or tensor is an object: {form!r:.200}")
    if form.get("type") == "tensor":
        return TensorSpec.from_json_dict(**form)
    return ColSpec.from_json_dict(**form)
