"""Runs the catalogue through MLflow and mlgit in one interpreter, which has both, and writes
what each made of it: {name: [MLflow's, mlgit's]}."""

from __future__ import annotations

import importlib
import json
import logging
import sys
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).parent))
import catalogue
import enforced

from mlgit.exceptions import MlgitException

MODULES = ("mlflow", "mlgit")


def main(target: str) -> None:
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    found: dict[str, list[Any]] = {}
    for module in MODULES:
        for name, outcome in _run(module).items():
            found.setdefault(name, []).append(outcome)
    Path(target).write_text(json.dumps(found), encoding="utf-8")


def _run(module: str) -> dict[str, Any]:
    signature = importlib.import_module(f"{module}.models.signature")
    types = importlib.import_module(f"{module}.types.schema")
    found = {}
    for name, make in catalogue.inputs().items():
        found[f"infer {name}"] = _inferred(signature.infer_signature, make)
        found[f"output {name}"] = _outcome(
            lambda: signature.infer_signature(model_output=make()).to_dict()["outputs"]
        )
    for name, default in catalogue.params().items():
        found[f"params {name}"] = _outcome(
            lambda: signature.infer_signature(params={"p": default}).to_dict()["params"]
        )
    enforce, enforce_params = _enforcement(module)
    for name, make, schema in _cases(types):
        found[name] = _outcome(lambda: _shown(enforce(make(), schema)))
    for kind in enforced.SCALARS:
        if kind == "binary":
            continue
        for shape in (None, (-1,)):
            spec = types.ParamSpec("p", kind, None if shape is None else [], shape)
            schema = types.ParamSchema([spec])
            for name, value in catalogue.params().items():
                found[f"param {kind}{'s' if shape else ''} <- {name}"] = _outcome(
                    lambda: _shown(enforce_params({"p": value}, schema)["p"])
                )
    return found


def _enforcement(module: str) -> tuple[Callable[..., Any], Callable[..., Any]]:
    if module == "mlgit":
        from mlgit.models.enforcement import enforce_params, enforce_schema

        return enforce_schema, enforce_params
    from mlflow.models.utils import _enforce_params_schema, _enforce_schema

    return _enforce_schema, _enforce_params_schema


def _cases(types: Any) -> list[tuple[str, Callable[[], Any], Any]]:
    cases = []
    for kind in enforced.SCALARS:
        schema = types.Schema([types.ColSpec(kind, "x")])
        for name, column in enforced.columns().items():
            cases.append((f"{kind} <- {name}", lambda c=column: pd.DataFrame({"x": c}), schema))
    for name, kind in enforced.nested(types).items():
        for required in (True, False):
            schema = types.Schema([types.ColSpec(kind, "x", required=required)])
            for value in enforced.values():
                if required or value is None or isinstance(value, float):
                    title = f"{name}{'' if required else '?'} <- value {_shown(value)}"
                    # Made anew: MLflow changes the objects that it's given.
                    make = lambda v=value: pd.DataFrame({"x": catalogue.objects([_fresh(v)])})
                    cases.append((title, make, schema))
    for schema_name, schema in enforced.schemas(types).items():
        for name, make in enforced.data().items():
            cases.append((f"[{schema_name}] <- {name}", make, schema))
    return cases


def _fresh(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _fresh(one) for name, one in value.items()}
    return [_fresh(one) for one in value] if isinstance(value, list) else value


def _inferred(infer: Callable[[Any], Any], make: Callable[[], Any]) -> Any:
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        found = _outcome(lambda: infer(make()).to_dict()["inputs"])
    warned = any("nteger column" in str(one.message) for one in seen)
    return f"{found} warned" if warned else found


def _outcome(call: Callable[[], Any]) -> Any:
    """Of an error it only counts that there is one, but mlgit's are always its own."""
    try:
        return call()
    except MlgitException:
        return "refused"
    except Exception as error:
        trace = traceback.extract_tb(error.__traceback__)
        ours = any("mlgit" in step.filename and "tests" not in step.filename for step in trace)
        return f"{type(error).__name__}: {error}" if ours else "refused"


def _shown(found: Any) -> str:
    """What came out, so that equal data is equal text: numbers of numpy are as Python's."""
    if isinstance(found, pd.DataFrame):
        shown = {
            repr(name): (str(found.dtypes.iloc[at]), _shown(found.iloc[:, at].tolist()))
            for at, name in enumerate(found.columns)
        }
        return f"frame {shown} {found.index.tolist()}"
    if isinstance(found, np.ndarray):
        return f"array {found.dtype.name} {found.shape} {_shown(found.tolist())}"
    if hasattr(found, "toarray"):
        return f"{type(found).__name__} {_shown(found.toarray())}"
    if isinstance(found, dict):
        return "{" + ", ".join(f"{name!r}: {_shown(one)}" for name, one in found.items()) + "}"
    if isinstance(found, list):
        return "[" + ", ".join(map(_shown, found)) + "]"
    return repr(found.item() if isinstance(found, np.generic) else found)


if __name__ == "__main__":
    main(sys.argv[1])
