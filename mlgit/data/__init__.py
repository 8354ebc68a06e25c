"""Datasets that runs use: ``mlgit.data`` (MLflow's ``mlflow.data``).

It imports the errors, the entities and the settings, and pandas or numpy when a function
is called that takes their objects. It describes data, and never copies or fetches it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

_NAMES = {
    "Dataset": "mlgit.data.dataset",
    "DatasetSource": "mlgit.data.dataset_source",
    "from_numpy": "mlgit.data.numpy_dataset",
    "from_pandas": "mlgit.data.pandas_dataset",
    "get_dataset_source_from_json": "mlgit.data.dataset_source_registry",
    "get_registered_sources": "mlgit.data.dataset_source_registry",
    "get_source": "mlgit.data.dataset_source_registry",
}
_MODULES = (
    "code_dataset_source",
    "dataset",
    "dataset_source",
    "dataset_source_registry",
    "filesystem_dataset_source",
    "http_dataset_source",
    "meta_dataset",
    "numpy_dataset",
    "pandas_dataset",
    "schema",
)

__all__ = sorted([*_NAMES, *_MODULES])


def __getattr__(name: str) -> Any:
    import importlib

    if name in _NAMES:
        value = getattr(importlib.import_module(_NAMES[name]), name)
    elif name in _MODULES:
        value = importlib.import_module(f"mlgit.data.{name}")
    else:
        raise AttributeError(f"module 'mlgit.data' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])


if TYPE_CHECKING:
    from mlgit.data import (
        code_dataset_source,
        dataset,
        dataset_source,
        dataset_source_registry,
        filesystem_dataset_source,
        http_dataset_source,
        meta_dataset,
        numpy_dataset,
        pandas_dataset,
        schema,
    )
    from mlgit.data.dataset import Dataset
    from mlgit.data.dataset_source import DatasetSource
    from mlgit.data.dataset_source_registry import (
        get_dataset_source_from_json,
        get_registered_sources,
        get_source,
    )
    from mlgit.data.numpy_dataset import from_numpy
    from mlgit.data.pandas_dataset import from_pandas
