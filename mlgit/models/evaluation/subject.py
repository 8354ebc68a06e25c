"""What is evaluated: a model or a function, behind one face."""

from __future__ import annotations

import inspect
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mlgit.exceptions import InvalidParameterValue, MlgitException, Unsupported
from mlgit.models.evaluation.inputs import OUTPUT, Inputs
from mlgit.models.pyfunc_model import load_pyfunc

# Loaders of models whose own object has scikit-learn's methods; "mlgit." or "mlflow." before.
_ESTIMATORS = ("sklearn", "xgboost", "lightgbm", "catboost")


@dataclass(frozen=True)
class Subject:
    """A model to evaluate.

    Attributes:
        call: Predicts for features.
        estimator: The model with scikit-learn's methods, where it has any; else None.
    """

    call: Callable[[Any], Any]
    estimator: Any = None

    def outputs(self, inputs: Inputs) -> Any:
        """What the model gives for the features.

        Raises:
            MlgitException: It raises an error.
        """
        return _predicted(self.call, _features_for(self.estimator, inputs))

    def outputs_by_row(self, inputs: Inputs) -> tuple[Any, list[float]]:
        """The same, a row at a time, and the seconds that each took."""
        import numpy as np
        import pandas as pd

        rows = _features_for(self.estimator, inputs)
        found, seconds = [], []
        for at in range(inputs.rows):
            row = rows.iloc[at : at + 1] if hasattr(rows, "iloc") else rows[at : at + 1]
            begin = time.perf_counter()
            found.append(_predicted(self.call, row))
            seconds.append(time.perf_counter() - begin)
        if found and hasattr(found[0], "columns"):
            return pd.concat(found, ignore_index=True), seconds
        return np.concatenate([np.asarray(f) for f in found]) if found else [], seconds

    def probabilities(self, inputs: Inputs) -> Any:
        """An array of a row a row and a column a class, or None."""
        if not hasattr(self.estimator, "predict_proba"):
            return None
        import numpy as np

        features = _features_for(self.estimator, inputs)
        return np.asarray(_predicted(self.estimator.predict_proba, features))

    def score(self, inputs: Inputs, weights: Any) -> float | None:
        """The model's own criterion, or None where it has none."""
        score = getattr(self.estimator, "score", None)
        if score is None:
            return None
        features = _features_for(self.estimator, inputs)
        takes_weights = "sample_weight" in inspect.signature(score).parameters
        more = {"sample_weight": weights} if takes_weights and weights is not None else {}
        return float(_predicted(lambda x: score(x, inputs.targets.to_numpy(), **more), features))

    @property
    def classes(self) -> Any:
        """The classes that the model knows, in the order of its probabilities, or None."""
        return getattr(self.estimator, "classes_", None)


def _features_for(estimator: Any, inputs: Inputs) -> Any:
    """Features as the model wants them: scikit-learn's want arrays where arrays came."""
    if estimator is not None and inputs.arrays is not None and inputs.arrays.ndim == 2:
        return inputs.arrays.copy()
    return inputs.for_model()


def _predicted(call: Callable[[Any], Any], features: Any) -> Any:
    import warnings

    try:
        with warnings.catch_warnings():
            # A frame for a model that was fitted with arrays.
            warnings.filterwarnings("ignore", message="X has feature names")
            warnings.filterwarnings("ignore", message="X does not have valid feature names")
            return call(features)
    except MlgitException:
        raise
    except Exception as error:
        raise MlgitException(
            f"The model failed on the data: {type(error).__name__}: {error}"
        ) from error


def read_subject(
    model: Any, model_config: dict[str, Any] | None, inference_params: dict[str, Any] | None
) -> Subject | None:
    """The model that ``evaluate`` was given.

    Args:
        model: A URI, a loaded pyfunc model, an object with ``predict``, a function, or None.
        model_config: Settings for loading a URI.
        inference_params: Params for a pyfunc model's ``predict``.

    Raises:
        InvalidParameterValue: It is nothing of this kind.
    """
    if model is None:
        return None
    if isinstance(model, (str, os.PathLike)):
        model = _loaded(os.fspath(model), model_config)
    predict = getattr(model, "predict", None)
    if predict is None:
        if callable(model):
            return Subject(model)
        raise InvalidParameterValue(
            f"evaluate() can't take a model of type {type(model).__name__}",
            hint="a model's URI, a loaded model, an object with predict(), or a function",
        )
    loader = _loader(model)
    if loader is None:  # an estimator itself, or any object with predict()
        return Subject(predict, model if hasattr(model, "get_params") else None)
    if loader.partition(".")[2] in _ESTIMATORS:
        estimator = _inner(model)
        if hasattr(estimator, "predict") and hasattr(estimator, "get_params"):
            return Subject(estimator.predict, estimator)
    if inference_params:
        return Subject(lambda features: predict(features, params=inference_params))
    return Subject(predict)


def _loaded(uri: str, model_config: dict[str, Any] | None) -> Any:
    if uri.startswith("endpoints:"):
        raise Unsupported(
            f"evaluate() can't call {uri}",
            hint="give a function that calls it, or the predictions",
        )
    return load_pyfunc(uri, model_config=model_config)


def _loader(model: Any) -> str | None:
    """The loader that a pyfunc model's MLmodel names; None for what isn't one."""
    flavors = getattr(getattr(model, "metadata", None), "flavors", None)
    if not isinstance(flavors, dict):
        return None
    return str(flavors.get("python_function", {}).get("loader_module", ""))


def _inner(model: Any) -> Any:
    """The framework's own object in a pyfunc model."""
    if hasattr(model, "get_raw_model"):
        return model.get_raw_model()
    return getattr(model, "_model_impl", None)


def read_outputs(outputs: Any, inputs: Inputs) -> tuple[Any, Any, Any]:
    """A model's output as predictions.

    Args:
        outputs: What it gave.
        inputs: What it was given.

    Returns:
        The predictions, as a series; their name; and a frame of the other columns of the
        output.

    Raises:
        InvalidParameterValue: They aren't one value a row.
    """
    import numpy as np
    import pandas as pd

    name, others = inputs.output_name, pd.DataFrame()
    if isinstance(outputs, dict):
        outputs = pd.DataFrame(outputs)
    if isinstance(outputs, pd.DataFrame):
        columns = list(outputs.columns)
        if name is None and len(columns) != 1:
            raise InvalidParameterValue(
                f"The model's output has {len(columns)} columns: {columns}",
                hint="name the one with the predictions: evaluate(…, predictions=COLUMN)",
            )
        name = columns[0] if name is None else name
        if name not in columns:
            raise InvalidParameterValue(
                f"The model's output has no column {name!r}", hint=f"its columns are {columns}"
            )
        others = outputs.drop(columns=name).reset_index(drop=True)
        outputs = outputs[name]
    try:
        array = np.asarray(outputs)
    except (ValueError, TypeError, RuntimeError) as error:
        raise InvalidParameterValue(
            f"The model's output can't be read as an array: {error}",
            hint="a function can make one of it",
        ) from error
    if array.ndim == 2 and array.shape[1] == 1:
        array = array.ravel()
    if array.ndim != 1:
        raise InvalidParameterValue(
            f"The model must give one prediction a row, and gave an array of shape {array.shape}",
            hint="a function can make one of them: lambda x: model.predict(x).argmax(axis=1)",
        )
    if len(array) != inputs.rows:
        raise InvalidParameterValue(
            f"The model gave {len(array)} predictions for {inputs.rows} rows"
        )
    return pd.Series(array), OUTPUT if name is None else name, others
