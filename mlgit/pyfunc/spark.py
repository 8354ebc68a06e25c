"""What runs on Spark's workers."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from mlgit.models.folder import open_folder
from mlgit.models.pyfunc_model import PyFuncModel, load_pyfunc


def predicting(
    spark: Any,
    model_uri: str | os.PathLike[str],
    params: dict[str, Any] | None,
    config: str | os.PathLike[str] | dict[str, Any] | None,
) -> Any:
    """A function over batches of columns, for ``pandas_udf``.

    The model's folder goes to the workers as Spark's files do, and is loaded once a worker.
    """
    folder = open_folder(model_uri)
    path = folder.everything()
    folder.keep()
    spark.sparkContext.addFile(path, recursive=True)
    name = os.path.basename(path)
    names = [column.name for column in (folder.model.get_input_schema() or ())]

    def predict(batches: Iterator[Any]) -> Iterator[Any]:
        from pyspark import SparkFiles

        model = _loaded(SparkFiles.get(name), repr(config), config)
        for batch in batches:
            yield _predicted(model, batch, names, params)

    return _hinted(predict)


def _hinted(predict: Any) -> Any:
    """With the hints that Spark tells an iterator of batches by."""
    import pandas as pd

    predict.__annotations__ = {
        "batches": Iterator[tuple[pd.Series, ...]],
        "return": Iterator[pd.Series],
    }
    return predict


_models: dict[tuple[str, str], PyFuncModel] = {}


def _loaded(path: str, key: str, config: Any) -> PyFuncModel:
    found = _models.get((path, key))
    if found is None:
        found = _models[path, key] = load_pyfunc(path, model_config=config)
    return found


def _predicted(
    model: PyFuncModel, batch: Any, names: list[str | None], params: dict[str, Any] | None
) -> Any:
    import numpy as np
    import pandas as pd

    columns = batch if isinstance(batch, tuple) else (batch,)
    if len(columns) == 1 and isinstance(columns[0], pd.DataFrame):
        frame = columns[0]
    else:
        known = len(names) == len(columns) and all(names)
        titles = names if known else [str(i) for i in range(len(columns))]
        frame = pd.concat(list(columns), axis=1, keys=titles)
    found = model.predict(frame, params=params)
    if isinstance(found, pd.DataFrame):
        found = found.iloc[:, 0]
    values = np.asarray(found)
    return pd.Series(list(values) if values.ndim > 1 else values)
