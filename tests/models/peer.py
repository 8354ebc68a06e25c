"""Saves and loads the matrix's models by mlgit or by MLflow, in a process of its own.

``peer.py mlgit|mlflow save|load FOLDER CASE…``: each case's model is FOLDER/<number>; what came
out is printed as JSON by case: predictions, or why there are none.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import traceback
import warnings
from pathlib import Path
from typing import Any

# Frameworks that aren't installed beside MLflow may be given; its own packages go first.
sys.path += [p for p in os.environ.get("MLGIT_TEST_FRAMEWORKS", "").split(os.pathsep) if p]
sys.path.append(str(Path(__file__).parent))

import matrix


def place(folder: str, case: matrix.Case) -> str:
    return f"{folder}/{matrix.CASES.index(case)}"


def missing(case: matrix.Case) -> str | None:
    return next((name for name in case.needs if importlib.util.find_spec(name) is None), None)


def save(ml: Any, case: matrix.Case, path: str) -> dict[str, Any]:
    model, data = case.make(ml)
    signature = {}
    if not case.hinted:
        given = case.predict(model, data) if case.predict else None
        signature = {"signature": ml.models.infer_signature(data, given)}
    # Inferring takes MLflow a process and seconds a model.
    options = {} if ml.__name__ == "mlgit" else {"pip_requirements": ["numpy"]}
    case.save(ml, model, path, **signature, **options)
    return load(ml, case, path)


def load(ml: Any, case: matrix.Case, path: str) -> dict[str, Any]:
    data = case.make(ml)[1]
    found = {"pyfunc": matrix.plain(ml.pyfunc.load_model(path).predict(data))}
    if case.predict is not None:
        native = getattr(ml, case.flavor).load_model(path)
        found["native"] = matrix.plain(case.predict(native, data))
    info = ml.models.get_model_info(path)
    found["signature"] = None if info.signature is None else info.signature.to_dict()
    return found


def main() -> None:
    name, doing, folder, *wanted = sys.argv[1:]
    warnings.simplefilter("ignore")
    ml = importlib.import_module(name)
    for flavor in ("models", "pyfunc", *{case.flavor for case in matrix.CASES}):
        try:
            importlib.import_module(f"{name}.{flavor}")
        except ImportError:
            pass
    results = {}
    for case in matrix.CASES:
        if case.name not in wanted:
            continue
        lacks = missing(case)
        if lacks:
            results[case.name] = {"missing": lacks}
            continue
        try:
            results[case.name] = (save if doing == "save" else load)(ml, case, place(folder, case))
        except BaseException:
            results[case.name] = {"error": traceback.format_exc()[-3000:]}
    print("\n" + json.dumps(results))


if __name__ == "__main__":
    main()
