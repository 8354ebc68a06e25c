"""The flavors' matrix: one case object a flavor, and everything else is asked of all.

A flavor joins by adding a case to ``CASES``. Cases are imported by the tests and by ``peer.py``,
which runs under the real MLflow too: so they import neither mlgit nor MLflow, but are given it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

# What the matrix asks, and the heads of the table in docs/models.md.
COLUMNS = {
    "save": "save, load",
    "log": "log, load",
    "pyfunc": "pyfunc",
    "signature": "signature",
    "example": "example",
    "2 to ours": "MLflow 2.22 → mlgit",
    "ours to 2": "mlgit → MLflow 2.22",
    "3 to ours": "MLflow 3.17 → mlgit",
    "ours to 3": "mlgit → MLflow 3.17",
}


@dataclass(frozen=True)
class Case:
    """One kind of model of one flavor.

    Attributes:
        name: Of the case, a row of the table.
        flavor: The attribute of mlgit and of MLflow that saves and loads it.
        argument: What its ``save_model`` calls the model.
        make: From mlgit or MLflow, a trained model and data that it predicts on.
        predict: From what ``load_model`` of the flavor gave and data, numbers or texts that
            ``plain`` understands; None where the flavor only loads as pyfunc.
        needs: Modules that must be installed.
        options: For ``save_model``, besides signature and example.
        theirs: Options that MLflow's ``save_model`` needs instead, where its version has them.
        notes: For cells that aren't "yes", what they say; what is noted there isn't asked.
        below: For cells, the major version of the framework (the first of ``needs``) from which on
            MLflow can't do it; it isn't asked where that is installed.
        pickled: Whether it is a pickle, which isn't loaded where pickles may not be.
        hinted: Whether type hints are its signature.
    """

    name: str
    flavor: str
    argument: str
    make: Callable[[ModuleType], tuple[Any, Any]]
    predict: Callable[[Any, Any], Any] | None
    needs: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    theirs: Mapping[str, Any] | None = None
    notes: Mapping[str, str] = field(default_factory=dict)
    below: Mapping[str, int] = field(default_factory=dict)
    pickled: bool = True
    hinted: bool = False

    def save(self, ml: ModuleType, model: Any, path: str, **options: Any) -> None:
        """Save by mlgit or MLflow."""
        flavor = getattr(ml, self.flavor)
        own = self.options
        if ml.__name__ != "mlgit" and self.theirs is not None:
            known = inspect.signature(flavor.save_model).parameters
            own = {key: value for key, value in self.theirs.items() if key in known}
        flavor.save_model(path=path, **{self.argument: model}, **{**own, **options})

    def log(self, ml: ModuleType, model: Any, name: str, **options: Any) -> Any:
        """Log by mlgit."""
        flavor = getattr(ml, self.flavor)
        return flavor.log_model(name=name, **{self.argument: model}, **self.options, **options)

    def asks(self, column: str) -> bool:
        """Whether a column is asked of this case."""
        assert column in COLUMNS
        return column not in self.notes


def plain(found: Any) -> Any:
    """Predictions as lists of numbers and texts, whatever holds them."""
    if hasattr(found, "detach"):
        found = found.detach()
    if hasattr(found, "to_numpy"):
        found = found.to_numpy()
    if hasattr(found, "numpy") and callable(found.numpy):
        found = found.numpy()
    if hasattr(found, "tolist"):
        found = found.tolist()
    if isinstance(found, dict):
        return {str(key): plain(value) for key, value in found.items()}
    if isinstance(found, (list, tuple)):
        return [plain(item) for item in found]
    return round(found, 4) if isinstance(found, float) else found


# -- scikit-learn


def _frame() -> Any:
    import numpy as np
    import pandas as pd

    numbers = np.random.default_rng(0).normal(size=(40, 3))
    return pd.DataFrame(numbers, columns=["a", "b", "c"])


def _sklearn(ml: ModuleType) -> tuple[Any, Any]:
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    data = _frame()
    forest = RandomForestClassifier(n_estimators=5, random_state=0)
    return make_pipeline(StandardScaler(), forest).fit(data, data["a"] > 0), data


def _sklearn_linear(ml: ModuleType) -> tuple[Any, Any]:
    """Without trees, which skops doesn't trust."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    data = _frame()
    return make_pipeline(StandardScaler(), LogisticRegression()).fit(data, data["a"] > 0), data


def _sklearn_own_class(ml: ModuleType) -> tuple[Any, Any]:
    """A class of a script's own, which cloudpickle keeps by value."""
    from sklearn.base import BaseEstimator, RegressorMixin

    class Doubled(RegressorMixin, BaseEstimator):
        def fit(self, x: Any, y: Any) -> Any:
            self.factor_ = 2.0
            return self

        def predict(self, x: Any) -> Any:
            import numpy as np

            return np.asarray(x)[:, 0] * self.factor_

    Doubled.__module__ = "__main__"
    data = _frame()
    return Doubled().fit(data, data["a"]), data


def _predict(model: Any, data: Any) -> Any:
    return model.predict(data)


# -- XGBoost and LightGBM


def _xgboost(ml: ModuleType) -> tuple[Any, Any]:
    import xgboost

    data = _frame()
    train = xgboost.DMatrix(data, label=data["a"] > 0)
    return xgboost.train({"objective": "binary:logistic", "max_depth": 2}, train, 5), data


def _xgboost_sklearn(ml: ModuleType) -> tuple[Any, Any]:
    import xgboost

    data = _frame()
    model = xgboost.XGBClassifier(n_estimators=4, max_depth=2)
    return model.fit(data, (data["a"] > 0).astype(int)), data


def _predict_matrix(model: Any, data: Any) -> Any:
    import xgboost

    return model.predict(xgboost.DMatrix(data))


def _lightgbm(ml: ModuleType) -> tuple[Any, Any]:
    import lightgbm

    data = _frame()
    train = lightgbm.Dataset(data, label=data["a"] > 0)
    options = {"objective": "binary", "verbose": -1, "min_data_in_leaf": 2, "num_threads": 1}
    return lightgbm.train(options, train, 5), data


def _lightgbm_sklearn(ml: ModuleType) -> tuple[Any, Any]:
    import lightgbm

    data = _frame()
    options = {"n_estimators": 4, "min_child_samples": 2, "n_jobs": 1, "verbose": -1}
    return lightgbm.LGBMRegressor(**options).fit(data, data["b"] * 2), data


# -- Keras and TensorFlow


def _numbers() -> Any:
    return _frame().to_numpy().astype("float32")


def _keras(ml: ModuleType) -> tuple[Any, Any]:
    import keras

    keras.utils.set_random_seed(0)
    layers = [keras.layers.Input((3,)), keras.layers.Dense(4, "relu"), keras.layers.Dense(2)]
    return keras.Sequential(layers), _numbers()


def _predict_quietly(model: Any, data: Any) -> Any:
    return model.predict(data, verbose=0)


def _tf_module(ml: ModuleType) -> tuple[Any, Any]:
    import tensorflow as tf

    class Linear(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weights = tf.Variable([[1.0], [2.0], [3.0]])

        @tf.function(input_signature=[tf.TensorSpec([None, 3], tf.float32)])
        def __call__(self, given):  # type: ignore[no-untyped-def]
            return given @ self.weights

    return Linear(), _numbers()


def _called(model: Any, data: Any) -> Any:
    return model(data)


# -- pyfunc


def _python_model(ml: ModuleType) -> tuple[Any, Any]:
    class Scaled(ml.pyfunc.PythonModel):  # type: ignore[misc, name-defined]
        def __init__(self, factor: float) -> None:
            self.factor = factor

        def load_context(self, context: Any) -> None:
            self.offset = 1.0

        def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:
            return model_input["a"] * self.factor + self.offset

    Scaled.__module__ = "__main__"
    return Scaled(3.0), _frame()


def _no_context(ml: ModuleType) -> tuple[Any, Any]:
    class Summed(ml.pyfunc.PythonModel):  # type: ignore[misc, name-defined]
        def predict(self, model_input: Any) -> Any:
            return model_input.sum(axis=1)

    Summed.__module__ = "__main__"
    return Summed(), _frame()


def _function(ml: ModuleType) -> tuple[Any, Any]:
    def upper(model_input: list[str]) -> list[str]:
        return [text.upper() for text in model_input]

    upper.__module__ = "__main__"
    # Hints as they are where annotations aren't texts.
    upper.__annotations__ = {"model_input": list[str], "return": list[str]}
    return upper, ["a", "b"]


# -- PyTorch


def _torch(ml: ModuleType) -> tuple[Any, Any]:
    import numpy as np
    import torch

    torch.manual_seed(0)
    layers = torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4), torch.nn.ReLU(), torch.nn.Dropout(0.5)
    model = torch.nn.Sequential(*layers, torch.nn.Linear(4, 2))
    model.eval()
    return model, np.random.default_rng(0).normal(size=(8, 3)).astype("float32")


def _torch_own_class(ml: ModuleType) -> tuple[Any, Any]:
    import torch

    class Scaled(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.factor = torch.nn.Parameter(torch.tensor([2.0, 3.0, 4.0]))

        def forward(self, x: Any) -> Any:
            return x * self.factor

    Scaled.__module__ = "__main__"
    return Scaled(), _torch(ml)[1]


def _torch_script(ml: ModuleType) -> tuple[Any, Any]:
    import torch

    model, data = _torch(ml)
    return torch.jit.trace(model, torch.from_numpy(data)), data


def _predict_torch(model: Any, data: Any) -> Any:
    import torch

    with torch.no_grad():
        return model(torch.as_tensor(data))


# -- transformers


def _tokenizer() -> Any:
    import transformers
    from tokenizers import Tokenizer, models, pre_tokenizers

    marks = {"pad_token": "[PAD]", "unk_token": "[UNK]", "mask_token": "[MASK]"}
    words = [*marks.values(), "[CLS]", "[SEP]", "a", "good", "bad", "film", "the", "is"]
    made = Tokenizer(models.WordLevel({w: i for i, w in enumerate(words)}, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=made, **marks, eos_token="[SEP]", model_max_length=32
    )


def _bert(kind: str, **options: Any) -> Any:
    import torch
    import transformers

    torch.manual_seed(0)
    small = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = transformers.BertConfig(vocab_size=11, intermediate_size=16, **small, **options)
    return getattr(transformers, kind)(config).eval()


def _classifier(ml: ModuleType) -> tuple[Any, Any]:
    import transformers

    model = _bert("BertForSequenceClassification")
    pipeline = transformers.pipeline("text-classification", model=model, tokenizer=_tokenizer())
    return pipeline, ["a good film", "the film is bad"]


def _components(ml: ModuleType) -> tuple[Any, Any]:
    return {"model": _bert("BertForMaskedLM"), "tokenizer": _tokenizer()}, ["a [MASK] film"]


def _generator(ml: ModuleType) -> tuple[Any, Any]:
    import torch
    import transformers

    torch.manual_seed(0)
    config = transformers.GPT2Config(vocab_size=11, n_embd=16, n_layer=1, n_head=2, n_positions=32)
    config.bos_token_id, config.eos_token_id, config.pad_token_id = 3, 4, 0
    model = transformers.GPT2LMHeadModel(config).eval()
    pipeline = transformers.pipeline("text-generation", model=model, tokenizer=_tokenizer())
    return pipeline, ["a good", "the film"]


def _predict_pipeline(model: Any, data: Any) -> Any:
    """What the pipeline gives, in the form that the pyfunc face gives it."""
    import pandas as pd
    import transformers

    if isinstance(model, dict):
        model = transformers.pipeline("fill-mask", **model)
    if model.task == "fill-mask":
        return [model(text)[0]["token_str"] for text in data]
    if model.task == "text-generation":
        found = model(data, max_new_tokens=3, do_sample=False)
        return [one[0]["generated_text"] for one in found]
    return pd.DataFrame(model(data))


# MLflow 2.22 asks transformers for classes that version 5 doesn't have.
_OLD = {"2 to ours": 5, "ours to 2": 5}

CASES = (
    Case("sklearn, cloudpickle", "sklearn", "sk_model", _sklearn, _predict, ("sklearn",),
         theirs={"serialization_format": "cloudpickle"}),
    Case("sklearn, pickle", "sklearn", "sk_model", _sklearn, _predict, ("sklearn",),
         {"serialization_format": "pickle"}),
    Case("sklearn, a class of one's own", "sklearn", "sk_model", _sklearn_own_class, _predict,
         ("sklearn",), theirs={"serialization_format": "cloudpickle"}),
    Case("sklearn, skops", "sklearn", "sk_model", _sklearn_linear, _predict, ("sklearn", "skops"),
         {"serialization_format": "skops"}, pickled=False,
         notes={"2 to ours": "it has no skops", "ours to 2": "it has no skops"}),
    Case("XGBoost, native", "xgboost", "xgb_model", _xgboost, _predict_matrix, ("xgboost",),
         pickled=False),
    Case("XGBoost, scikit-learn API", "xgboost", "xgb_model", _xgboost_sklearn, _predict,
         ("xgboost", "sklearn"), {"model_format": "json"}, pickled=False),
    Case("LightGBM, native", "lightgbm", "lgb_model", _lightgbm, _predict, ("lightgbm",),
         pickled=False),
    Case("LightGBM, scikit-learn API", "lightgbm", "lgb_model", _lightgbm_sklearn, _predict,
         ("lightgbm", "sklearn"), theirs={}),
    Case("LightGBM, skops", "lightgbm", "lgb_model", _lightgbm_sklearn, _predict,
         ("lightgbm", "sklearn", "skops"), {"serialization_format": "skops"}, pickled=False,
         notes={"2 to ours": "it has no skops", "ours to 2": "it has no skops"}),
    Case("Keras 3", "keras", "model", _keras, _predict_quietly, ("keras", "tensorflow"),
         pickled=False),
    Case("tf.keras", "tensorflow", "model", _keras, _predict_quietly, ("keras", "tensorflow"),
         pickled=False),
    Case("tf.Module", "tensorflow", "model", _tf_module, _called, ("tensorflow",)),
    Case("pytorch", "pytorch", "pytorch_model", _torch, _predict_torch, ("torch",),
         theirs={"serialization_format": "pickle"}),
    Case("pytorch, a class of one's own", "pytorch", "pytorch_model", _torch_own_class,
         _predict_torch, ("torch",), theirs={"serialization_format": "pickle"}),
    Case("pytorch, TorchScript", "pytorch", "pytorch_model", _torch_script, _predict_torch,
         ("torch",), theirs={"serialization_format": "pickle"}, pickled=False),
    Case("transformers, classification", "transformers", "transformers_model", _classifier,
         _predict_pipeline, ("transformers", "torch"), below=_OLD, pickled=False),
    Case("transformers, dict of components", "transformers", "transformers_model", _components,
         _predict_pipeline, ("transformers", "torch"), {"task": "fill-mask"},
         below=_OLD, pickled=False),
    Case("transformers, generation", "transformers", "transformers_model", _generator,
         _predict_pipeline, ("transformers", "torch"),
         {"model_config": {"max_new_tokens": 3, "do_sample": False}},
         below=_OLD, pickled=False),
    Case("PythonModel", "pyfunc", "python_model", _python_model, None),
    Case("PythonModel without context", "pyfunc", "python_model", _no_context, None),
    Case("function with type hints", "pyfunc", "python_model", _function, None, hinted=True),
)  # fmt: skip


def table() -> str:
    """The table of docs/models.md."""
    lines = ["| model | " + " | ".join(COLUMNS.values()) + " |"]
    lines.append("|" + "---|" * (len(COLUMNS) + 1))
    for case in CASES:
        limits = {column: f"{case.needs[0]} < {limit}" for column, limit in case.below.items()}
        cells = ({**limits, **case.notes}.get(column, "yes") for column in COLUMNS)
        lines.append(f"| {case.name} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"
