"""``PythonModel``: a model whose prediction is the person's own code."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable
from typing import Any

from mlgit.exceptions import InvalidParameterValue


class PythonModelContext:
    """What a ``PythonModel`` is given besides data.

    Args:
        artifacts: Names and local paths of the files that it was saved with.
        model_config: Its configuration.
    """

    def __init__(
        self, artifacts: dict[str, str] | None = None, model_config: dict[str, Any] | None = None
    ) -> None:
        self._artifacts = artifacts or {}
        self._model_config = model_config

    @property
    def artifacts(self) -> dict[str, str]:
        """Names and local paths of the files that the model was saved with."""
        return self._artifacts

    @property
    def model_config(self) -> dict[str, Any]:
        """The model's configuration."""
        return self._model_config or {}


class PythonModel:
    """A model whose prediction is a method: to be subclassed.

    ``predict`` takes ``(self, context, model_input, params=None)``, or the same without
    context, without params, or without both. Type hints of the input become the signature.
    """

    def load_context(self, context: PythonModelContext) -> None:
        """Prepare for predicting; called once, when the model was loaded.

        Args:
            context: Its files and configuration.
        """

    def predict(self, context: Any, model_input: Any = None, params: Any = None) -> Any:
        """Predict.

        Args:
            context: Files and configuration.
            model_input: The data.
            params: Values for the signature's params.
        """
        raise NotImplementedError(f"{type(self).__name__} has no method predict")


class FunctionModel(PythonModel):
    """A plain function as a model.

    Args:
        func: The function of the data.
        signature: Accepted for the sake of what MLflow pickled.
    """

    def __init__(self, func: Callable[..., Any], signature: Any = None) -> None:
        self.signature = signature
        self.func = func

    def predict(self, context: Any, model_input: Any = None, params: Any = None) -> Any:
        """What the function gives."""
        if _accepts(self.func, "params"):
            return self.func(model_input, params=params)
        return self.func(model_input)


class Predictor:
    """A ``PythonModel`` as the pyfunc face calls it.

    Args:
        python_model: The model.
        context: Its files and configuration.
        needs_files: Whether the model may open its files when it predicts.
    """

    def __init__(
        self, python_model: Any, context: PythonModelContext, needs_files: bool = False
    ) -> None:
        self.python_model = python_model
        self.context = context
        self.needs_files = needs_files
        self._predict = _bound(python_model, python_model.predict, context)
        stream = getattr(python_model, "predict_stream", None)
        is_function = isinstance(python_model, FunctionModel)
        method = python_model.func if is_function else python_model.predict
        self._row = element(hints(method)[0])
        self._stream = None if stream is None else _bound(python_model, stream, context)

    def predict(self, data: Any, params: dict[str, Any] | None = None) -> Any:
        """What the model's ``predict`` gives."""
        return self._predict(self._rows(data), params)

    def predict_stream(self, data: Any, params: dict[str, Any] | None = None) -> Any:
        """What the model's ``predict_stream`` gives."""
        if self._stream is None:
            raise InvalidParameterValue("The model has no method predict_stream")
        return self._stream(self._rows(data), params)

    @property
    def checks_rows(self) -> bool:
        """Whether the hints say that rows are pydantic's models."""
        return hasattr(self._row, "model_validate")

    def _rows(self, data: Any) -> Any:
        if not self.checks_rows:
            return data
        if not isinstance(data, list):
            raise InvalidParameterValue(
                f"A list of {self._row.__name__} is wanted, and a {type(data).__name__} came"
            )
        return [self._made(row, place) for place, row in enumerate(data)]

    def _made(self, row: Any, place: int) -> Any:
        if isinstance(row, self._row):
            return row
        try:
            return self._row.model_validate(row)
        except ValueError as error:  # pydantic's ValidationError is one
            why = "; ".join(line.strip() for line in str(error).splitlines()[1:3])
            raise InvalidParameterValue(
                f"Row {place} isn't a {self._row.__name__}: {why}"
            ) from error

    def get_raw_model(self) -> Any:
        """The model."""
        return self.python_model


def _bound(
    model: Any, method: Callable[..., Any], context: PythonModelContext
) -> Callable[[Any, dict[str, Any] | None], Any]:
    """A prediction method as a function of data and params, whichever of its forms it has."""
    if isinstance(model, FunctionModel):
        return lambda data, params: method(context, data, params)
    with_context, with_params = takes_context(method), _accepts(method, "params")

    def call(data: Any, params: dict[str, Any] | None) -> Any:
        arguments = (context, data) if with_context else (data,)
        return method(*arguments, params=params) if with_params else method(*arguments)

    return call


def takes_context(method: Callable[..., Any]) -> bool:
    """Whether a prediction method's first argument is the context."""
    names = [name for name in _parameters(method) if name != "params"]
    return len(names) > 1 or names[:1] == ["context"]


def _accepts(method: Callable[..., Any], name: str) -> bool:
    found = _parameters(method).values()
    return any(p.name == name or p.kind is p.VAR_KEYWORD for p in found)


def _parameters(method: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    try:
        return dict(inspect.signature(method).parameters)
    except (TypeError, ValueError):
        return {}


def hints(function: Callable[..., Any]) -> tuple[Any, Any]:
    """The type hints of a prediction's input and output; None for one that isn't there."""
    names = [name for name in _parameters(function) if name not in ("self", "context", "params")]
    try:
        found = typing.get_type_hints(function)
    except Exception:  # a name that isn't there: no hint
        found = dict(getattr(function, "__annotations__", {}))
        found = {name: hint for name, hint in found.items() if not isinstance(hint, str)}
    return (found.get(names[0]) if names else None), found.get("return")


def element(hint: Any) -> Any:
    """X where a hint is ``list[X]``, else None."""
    arguments = typing.get_args(hint)
    return arguments[0] if typing.get_origin(hint) is list and arguments else None
