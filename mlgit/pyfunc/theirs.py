"""What MLflow's pickles of its ``PythonModel`` name besides, where MLflow isn't installed."""

from __future__ import annotations

from typing import Any, NamedTuple


class TypeHints:
    """The hints that MLflow keeps with a model; its pickle sets them."""

    def __init__(self, input_: Any = None, output: Any = None) -> None:
        self.input = input_
        self.output = output


class FuncInfo(NamedTuple):
    """How MLflow calls a prediction function whose input has type hints."""

    input_type_hint: Any = None
    input_param_name: str = ""


def validate_model_input(args: Any, kwargs: Any, *others: Any) -> Any:
    """MLflow checks the input here; ours is checked against the signature before."""
    return args, kwargs
