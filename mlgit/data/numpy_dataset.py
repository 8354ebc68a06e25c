"""Datasets that are numpy arrays."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from mlgit.data.dataset import Dataset
from mlgit.data.dataset_source import DatasetSource
from mlgit.data.dataset_source_registry import source_or_program
from mlgit.data.digests import arrays_digest
from mlgit.data.schema import TensorDatasetSchema, array_schema
from mlgit.exceptions import InvalidParameterValue


class NumpyDataset(Dataset):
    """Numpy arrays and where they come from.

    Args:
        features: An array, or a dict of arrays.
        source: Where it comes from.
        targets: What is to be predicted: an array or a dict of arrays.
        name: Its name; "dataset" where none is given.
        digest: What tells it from other data; computed where none is given.

    Raises:
        InvalidParameterValue: It isn't of arrays.
    """

    def __init__(
        self,
        features: Any,
        source: DatasetSource,
        targets: Any = None,
        name: str | None = None,
        digest: str | None = None,
    ) -> None:
        for data in (features, targets):
            for array in data.values() if isinstance(data, dict) else [data]:
                if array is not None and not hasattr(array, "flatten"):
                    raise InvalidParameterValue(
                        f"from_numpy() needs numpy arrays, not {type(array).__name__}",
                        hint="numpy.asarray() makes one",
                    )
        self._features = features
        self._targets = targets
        super().__init__(source, name, digest)

    def _compute_digest(self) -> str:
        return arrays_digest(self._features, self._targets)

    @property
    def features(self) -> Any:
        """The features."""
        return self._features

    @property
    def targets(self) -> Any:
        """What is to be predicted, or None."""
        return self._targets

    @property
    def profile(self) -> dict[str, Any]:
        """Shapes, numbers of values, and sizes in bytes."""
        found: dict[str, Any] = {}
        for kind, data in (("features", self._features), ("targets", self._targets)):
            if data is None:
                continue
            for what in ("shape", "size", "nbytes"):
                found[f"{kind}_{what}"] = (
                    {name: getattr(array, what) for name, array in data.items()}
                    if isinstance(data, dict)
                    else getattr(data, what)
                )
        return found

    @cached_property
    def schema(self) -> TensorDatasetSchema | None:
        """The arrays' types and shapes, or None where one has no dimension."""
        try:
            targets = None if self._targets is None else array_schema(self._targets)
            return TensorDatasetSchema(array_schema(self._features), targets)
        except InvalidParameterValue:
            return None


def from_numpy(
    features: Any,
    source: Any = None,
    targets: Any = None,
    name: str | None = None,
    digest: str | None = None,
) -> NumpyDataset:
    """A dataset of numpy arrays, for ``log_input``.

    Args:
        features: An array, or a dict of arrays; nothing is copied.
        source: Where it comes from: a path, a URL, or a ``DatasetSource``; this program
            where none is given. Nothing is fetched.
        targets: What is to be predicted: an array or a dict of arrays.
        name: Its name; "dataset" where none is given.
        digest: What tells it from other data; computed where none is given.

    Raises:
        InvalidParameterValue: It isn't of arrays.
        ResourceDoesNotExist: The source isn't one that mlgit knows.
    """
    return NumpyDataset(features, source_or_program(source), targets, name, digest)
