"""Runs the catalogue through MLflow and mlgit in one interpreter, which has both, and writes
what each made of it: {name: [MLflow's, mlgit's]}."""

from __future__ import annotations

import importlib
import json
import logging
import sys
import tempfile
import traceback
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).parent))
import catalogue
import enforced
import hints
import served

from mlgit.exceptions import MlgitException

MODULES = ("mlflow", "mlgit")


def main(target: str) -> None:
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    theirs, ours = map(_run, MODULES)
    for name, both in _read_by_the_other(theirs, ours).items():
        theirs[name], ours[name] = both
    names = {**theirs, **ours}
    # Files of an example that only one of them takes.
    found = {name: [theirs.get(name, "none"), ours.get(name, "none")] for name in names}
    Path(target).write_text(json.dumps(found), encoding="utf-8")


def _read_by_the_other(theirs: dict[str, Any], ours: dict[str, Any]) -> dict[str, Any]:
    """All schemas that one of them inferred, as both write them again."""
    found = {}
    for module, outcomes in zip(MODULES, (theirs, ours)):
        for name, text in outcomes.items():
            if name.startswith(("output ", "params ")) and text != "refused":
                found[f"{name}, of {module}"] = [_rewritten(one, name, text) for one in MODULES]
    return found


def _rewritten(module: str, name: str, text: str) -> Any:
    types = importlib.import_module(f"{module}.types.schema")
    read = types.ParamSchema if name.startswith("params ") else types.Schema
    return _outcome(lambda: read.from_json(text).to_json())


def _run(module: str) -> dict[str, Any]:
    signature = importlib.import_module(f"{module}.models.signature")
    types = importlib.import_module(f"{module}.types.schema")
    found = {}
    for name, make in catalogue.inputs().items():
        found[f"infer {name}"] = _inferred(signature.infer_signature, make)
        found[f"output {name}"] = _outcome(
            lambda make=make: signature.infer_signature(model_output=make()).to_dict()["outputs"]
        )
    for name, default in catalogue.params().items():
        found[f"params {name}"] = _outcome(
            lambda d=default: signature.infer_signature(params={"p": d}).to_dict()["params"]
        )
    enforce, enforce_params = _enforcement(module)
    for name, make, schema in _cases(types):
        found[name] = _outcome(lambda m=make, s=schema: _shown(enforce(m(), s)))
    for kind in enforced.SCALARS:
        if kind == "binary":
            continue
        for shape in (None, (-1,)):
            spec = types.ParamSpec("p", kind, None if shape is None else [], shape)
            schema = types.ParamSchema([spec])
            for name, value in catalogue.params().items():
                found[f"param {kind}{'s' if shape else ''} <- {name}"] = _outcome(
                    lambda v=value, s=schema: _shown(enforce_params({"p": v}, s)["p"])
                )
    return found | _hints(module) | _examples(module) | _requests(module, types)


def _hints(module: str) -> dict[str, Any]:
    if module == "mlgit":
        from mlgit.models.type_hints import signature_from_type_hints

        def read(hint: Any) -> Any:
            return signature_from_type_hints(hint).inputs.to_json()
    else:
        from mlflow.types.type_hints import _infer_schema_from_type_hint

        def read(hint: Any) -> Any:
            return _infer_schema_from_type_hint(hint).to_json()

    return {f"hint {n}": _outcome(lambda h=h: read(h)) for n, h in hints.hints().items()}


def _examples(module: str) -> dict[str, Any]:
    """What is written for an example; the other loads it, and it's loaded by who wrote it."""
    found = {}
    for name, make in served.examples().items():
        with tempfile.TemporaryDirectory() as folder:
            info = _outcome(lambda make=make, folder=folder: _save(module, make(), folder))
            found[f"example {name}"] = info
            if info == "refused":
                continue
            for file in ("input_example.json", "serving_input_example.json"):
                found[f"example {name} {file}"] = (Path(folder) / file).read_text(encoding="utf-8")
            for reader in MODULES:
                loaded = _outcome(lambda r=reader, f=folder, i=info: _load(r, f, i))
                who = "itself" if reader == module else "the other"
                found[f"example {name} loaded by {who}"] = loaded
    return found


def _save(module: str, example: Any, folder: str) -> dict[str, str]:
    if module == "mlgit":
        from mlgit.models.examples import save_input_example

        return save_input_example(folder, example).info
    from mlflow.models import Model
    from mlflow.models.utils import _save_example

    model = Model()
    _save_example(model, example, folder)
    return dict(model.saved_input_example_info)


def _load(module: str, folder: str, info: dict[str, str]) -> str:
    if module == "mlgit":
        from mlgit.models.examples import load_example_params, load_input_example

        return _shown([load_input_example(folder, info), load_example_params(folder, info)])
    from mlflow.models import Model

    model = Model(saved_input_example_info=info)
    return _shown([model.load_input_example(folder), model.load_input_example_params(folder)])


def _requests(module: str, types: Any) -> dict[str, Any]:
    """What a request becomes once it's parsed and held against the schema."""
    enforce, _ = _enforcement(module)
    found = {}
    for schema_name, schema in served.schemas(types).items():
        for name, payload in served.requests().items():
            found[f"request ({schema_name}) <- {name}"] = _outcome(
                lambda p=payload, s=schema: _shown(_answered(module, p, s, enforce))
            )
    return found


def _answered(module: str, payload: Any, schema: Any, enforce: Callable[..., Any]) -> list[Any]:
    text = payload if isinstance(payload, str) else json.dumps(payload)
    if module == "mlgit":
        from mlgit.models.serving import parse_serving_input

        data, params = parse_serving_input(text, schema)
    else:
        from mlflow.pyfunc.scoring_server import _parse_json_data

        parsed = _parse_json_data(text, "", schema)
        data, params = parsed.data, parsed.params
    return [data if schema is None else enforce(data, schema), params]


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
                    cases.append((title, partial(_frame_of, value), schema))
    for schema_name, schema in enforced.schemas(types).items():
        for name, make in enforced.data().items():
            cases.append((f"({schema_name}) <- {name}", make, schema))
    return cases


def _frame_of(value: Any) -> pd.DataFrame:
    """A frame with one value in it, made anew: MLflow changes the objects that it's given."""
    return pd.DataFrame({"x": catalogue.objects([_fresh(value)])})


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
        name = {"U": "str", "S": "bytes"}.get(found.dtype.kind, found.dtype.name)
        return f"array {name} {found.shape} {_shown(found.tolist())}"
    if isinstance(found, pd.Series):
        return f"series {found.name!r} {found.dtype} {_shown(found.tolist())}"
    if hasattr(found, "toarray"):
        return f"{type(found).__name__} {_shown(found.toarray())}"
    if isinstance(found, dict):
        return "{" + ", ".join(f"{name!r}: {_shown(one)}" for name, one in found.items()) + "}"
    if isinstance(found, list):
        return "[" + ", ".join(map(_shown, found)) + "]"
    plain = found.item() if isinstance(found, np.generic) else found
    # Their own text has an address in it.
    return "object" if type(plain) is object else repr(plain)


if __name__ == "__main__":
    main(sys.argv[1])
