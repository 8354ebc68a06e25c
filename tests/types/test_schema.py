"""Types and schemas: their JSON is MLflow's, and what isn't one is refused with its reason."""

from __future__ import annotations

import datetime
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlgit.exceptions import InvalidParameterValue, MlflowException
from mlgit.types.schema import (
    AnyType,
    Array,
    ColSpec,
    DataType,
    Map,
    Object,
    ParamSchema,
    ParamSpec,
    Property,
    Schema,
    SparkMLVector,
    TensorSpec,
)

# As MLflow 3.17.2 wrote them.
WRITTEN = [
    (ColSpec("double", "a"), '{"type": "double", "name": "a", "required": true}'),
    (ColSpec("long"), '{"type": "long", "required": true}'),
    (
        ColSpec(Array(DataType.long), "c", required=False),
        '{"type": "array", "items": {"type": "long"}, "name": "c", "required": false}',
    ),
    (
        ColSpec(Object([Property("y", Array("long"), False), Property("x", "string")]), "d"),
        '{"type": "object", "properties": {"x": {"type": "string", "required": true}, '
        '"y": {"type": "array", "items": {"type": "long"}, "required": false}}, '
        '"name": "d", "required": true}',
    ),
    (
        ColSpec(Map(DataType.string), "e"),
        '{"type": "map", "values": {"type": "string"}, "name": "e", "required": true}',
    ),
    (ColSpec(AnyType(), "f"), '{"type": "any", "name": "f", "required": true}'),
    (ColSpec(SparkMLVector(), "v"), '{"type": "sparkml_vector", "name": "v", "required": true}'),
    (
        TensorSpec(np.dtype("float32"), (-1, 2, 3)),
        '{"type": "tensor", "tensor-spec": {"dtype": "float32", "shape": [-1, 2, 3]}}',
    ),
    (
        TensorSpec(np.dtype("str"), (-1,), "b"),
        '{"name": "b", "type": "tensor", "tensor-spec": {"dtype": "str", "shape": [-1]}}',
    ),
]


@pytest.mark.parametrize(("spec", "text"), WRITTEN, ids=lambda v: str(v)[:40])
def test_json_is_mlflows(spec: Any, text: str) -> None:
    schema = Schema([spec])
    assert schema.to_json() == f"[{text}]"
    assert Schema.from_json(f"[{text}]") == schema


def test_a_schema_prints_as_mlflows() -> None:
    kind = Object([Property("x", "string"), Property("y", Array("long"), required=False)])
    schema = Schema([ColSpec("double", "a"), ColSpec(kind, "d", required=False)])
    assert str(schema) == (
        "['a': double (required), 'd': {x: string (required), y: Array(long) (optional)} "
        "(optional)]"
    )
    assert str(Schema([TensorSpec(np.dtype("float32"), (-1, 2))])) == "[Tensor('float32', (-1, 2))]"


def test_what_a_schema_tells_of_its_inputs() -> None:
    schema = Schema([ColSpec("double", "a"), ColSpec("string", "b", required=False)])
    assert schema.input_names() == ["a", "b"]
    assert schema.required_input_names() == ["a"]
    assert schema.optional_input_names() == ["b"]
    assert schema.input_types() == [DataType.double, DataType.string]
    assert schema.input_types_dict()["b"] is DataType.string
    assert schema.numpy_types() == [np.dtype("float64"), np.dtype("str")]
    assert schema.pandas_types() == [np.dtype("float64"), np.dtype("object")]
    assert schema.has_input_names() and not schema.is_tensor_spec()
    unnamed = Schema([ColSpec("double"), ColSpec("long")])
    assert unnamed.input_names() == [0, 1] and not unnamed.has_input_names()
    with pytest.raises(InvalidParameterValue, match="no names"):
        unnamed.input_dict()
    with pytest.raises(InvalidParameterValue, match="numpy"):
        Schema([ColSpec(Array("long"), "a")]).numpy_types()


REFUSED = {
    "an unknown type": lambda: ColSpec("float32"),
    "no type": lambda: ColSpec(3),  # type: ignore[arg-type]
    "an empty schema": lambda: Schema([]),
    "a schema of text": lambda: Schema(["double"]),  # type: ignore[list-item]
    "some names": lambda: Schema([ColSpec("double", "a"), ColSpec("double")]),
    "columns and tensors": lambda: Schema(
        [ColSpec("double", "a"), TensorSpec(np.dtype("float32"), (-1,), "b")]
    ),
    "tensors without names": lambda: Schema([TensorSpec(np.dtype("float32"), (-1,))] * 2),
    "an optional column without a name": lambda: Schema([ColSpec("double", required=False)]),
    "an object without properties": lambda: Object([]),
    "a property twice": lambda: Object([Property("a", "long"), Property("a", "long")]),
    "a property of a number": lambda: Property(3, "long"),  # type: ignore[arg-type]
    "a dtype's name": lambda: TensorSpec("float32", (-1,)),  # type: ignore[arg-type]
    "a dtype with a size": lambda: TensorSpec(np.dtype("U5"), (-1,)),
    "a shape that isn't one": lambda: TensorSpec(np.dtype("float32"), ("a",)),  # type: ignore[arg-type]
    "a param of bytes": lambda: ParamSpec("p", "binary", b"x"),
    "a param of an array type": lambda: ParamSpec("p", Array("long"), [1]),  # type: ignore[arg-type]
    "a param's default of another type": lambda: ParamSpec("p", "long", 1.5),
    "a param's default, true for a number": lambda: ParamSpec("p", "long", True),
    "a list for a single param": lambda: ParamSpec("p", "long", [1]),
    "a single default for a list": lambda: ParamSpec("p", "long", 1, (-1,)),
    "another shape": lambda: ParamSpec("p", "long", [1, 2], (2,)),
    "a param twice": lambda: ParamSchema([ParamSpec("p", "long", 1)] * 2),
    "JSON that isn't": lambda: Schema.from_json("x"),
    "JSON of an object": lambda: Schema.from_json("{}"),
    "JSON of numbers": lambda: Schema.from_json("[3]"),
    "JSON without a type": lambda: Schema.from_json('[{"name": "a"}]'),
    "JSON of an array without items": lambda: Schema.from_json('[{"type": "array"}]'),
    "JSON of a tensor without its spec": lambda: Schema.from_json('[{"type": "tensor"}]'),
    "JSON of an unknown dtype": lambda: Schema.from_json(
        '[{"type": "tensor", "tensor-spec": {"dtype": "x", "shape": [1]}}]'
    ),
    "JSON nested without end": lambda: Schema.from_json(
        '[{"type": "array", "items": ' * 500 + "1" + "}" * 500 + "]"
    ),
    "JSON of a param without a type": lambda: ParamSchema.from_json('[{"name": "a"}]'),
    "JSON of params that are numbers": lambda: ParamSchema.from_json("[1]"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_type_is_refused(case: str) -> None:
    with pytest.raises(MlflowException) as caught:
        REFUSED[case]()
    assert caught.value.error_code == "INVALID_PARAMETER_VALUE"


def test_an_old_models_optional_is_read() -> None:
    (column,) = Schema.from_json('[{"type": "long", "name": "a", "optional": true}]').inputs
    assert not column.required


def test_params_are_written_as_mlflows() -> None:
    schema = ParamSchema(
        [
            ParamSpec("a", "long", np.int64(1)),
            ParamSpec("b", "string", None),
            ParamSpec("c", "double", [1, 2.5], (-1,)),
            ParamSpec("d", "datetime", "2020-01-01"),
            ParamSpec("e", "datetime", datetime.datetime(2020, 1, 1, 2)),
            ParamSpec("f", Object([Property("x", "long")]), {"x": 1}),
        ]
    )
    assert schema.to_json() == (
        '[{"name": "a", "default": 1, "shape": null, "type": "long"}, '
        '{"name": "b", "default": null, "shape": null, "type": "string"}, '
        '{"name": "c", "default": [1.0, 2.5], "shape": [-1], "type": "double"}, '
        '{"name": "d", "default": "2020-01-01", "shape": null, "type": "datetime"}, '
        '{"name": "e", "default": "2020-01-01T02:00:00", "shape": null, "type": "datetime"}, '
        '{"name": "f", "default": {"x": 1}, "shape": null, "type": "object", '
        '"properties": {"x": {"type": "long", "required": true}}}]'
    )
    assert ParamSchema.from_json(schema.to_json()) == schema
    assert schema.params[3].default == datetime.date(2020, 1, 1)


def _objects(inner: Any) -> Any:
    properties = st.dictionaries(st.text(max_size=5), st.tuples(inner, st.booleans()), min_size=1)
    return properties.map(
        lambda found: Object([Property(n, kind, required=r) for n, (kind, r) in found.items()])
    )


KINDS = st.recursive(
    st.sampled_from([*DataType, AnyType(), SparkMLVector()]),
    lambda inner: st.one_of(inner.map(Array), inner.map(Map), _objects(inner)),
    max_leaves=8,
)


@given(st.lists(st.tuples(KINDS, st.text(max_size=5), st.booleans()), min_size=1, max_size=4))
def test_any_schema_is_read_as_it_was_written(columns: list[Any]) -> None:
    schema = Schema([ColSpec(kind, name, required) for kind, name, required in columns])
    assert Schema.from_json(schema.to_json()) == schema


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["type", "name", "items", "properties", "tensor-spec", "dtype", "shape"]
            ),
            inner | st.sampled_from(["array", "object", "map", "tensor", "long", "float32"]),
            max_size=4,
        )
    ),
    max_leaves=10,
)


@given(JSON)
def test_any_other_json_is_refused_in_words(form: Any) -> None:
    for read in (Schema.from_json, ParamSchema.from_json):
        try:
            read(json.dumps([form]))
        except InvalidParameterValue as error:
            assert error.message
