"""Datasets that are pandas frames."""

from __future__ import annotations

import json
from functools import cached_property
from typing import Any

from mlgit.data.dataset import Dataset
from mlgit.data.dataset_source import DatasetSource
from mlgit.data.dataset_source_registry import source_or_program
from mlgit.data.digests import frame_digest
from mlgit.data.schema import Schema, frame_schema
from mlgit.exceptions import InvalidParameterValue


class PandasDataset(Dataset):
    """A pandas frame and where it comes from.

    Args:
        df: The frame.
        source: Where it comes from.
        targets: The column to predict.
        name: Its name; "dataset" where none is given.
        digest: What tells it from other data; computed where none is given.
        predictions: The column of a model's predictions.

    Raises:
        InvalidParameterValue: It isn't a frame, or has no such column.
    """

    def __init__(
        self,
        df: Any,
        source: DatasetSource,
        targets: str | None = None,
        name: str | None = None,
        digest: str | None = None,
        predictions: str | None = None,
    ) -> None:
        if not hasattr(df, "columns") or not hasattr(df, "select_dtypes"):
            raise InvalidParameterValue(
                f"from_pandas() needs a pandas frame, not {type(df).__name__}"
            )
        for kind, column in (("targets", targets), ("predictions", predictions)):
            if column is not None and column not in df.columns:
                raise InvalidParameterValue(f"The frame has no {kind} column {column!r}")
        self._df = df
        self._targets = targets
        self._predictions = predictions
        super().__init__(source, name, digest)

    def _compute_digest(self) -> str:
        return frame_digest(self._df)

    @property
    def df(self) -> Any:
        """The frame."""
        return self._df

    @property
    def targets(self) -> str | None:
        """The column to predict."""
        return self._targets

    @property
    def predictions(self) -> str | None:
        """The column of a model's predictions."""
        return self._predictions

    @property
    def profile(self) -> dict[str, int]:
        """The numbers of rows and of values."""
        return {"num_rows": len(self._df), "num_elements": int(self._df.size)}

    @cached_property
    def schema(self) -> Schema | None:
        """The columns' names and types, or None where one has no type that MLflow knows."""
        return frame_schema(self._df)

    def _schema_json(self) -> str | None:
        if self.schema is None:
            return None
        return json.dumps({"mlflow_colspec": self.schema.to_dict()}, default=str)


def from_pandas(
    df: Any,
    source: Any = None,
    targets: str | None = None,
    name: str | None = None,
    digest: str | None = None,
    predictions: str | None = None,
) -> PandasDataset:
    """A dataset of a pandas frame, for ``log_input``.

    Args:
        df: The frame; it isn't copied.
        source: Where it comes from: a path, a URL, or a ``DatasetSource``; this program
            where none is given. Nothing is fetched.
        targets: The column to predict.
        name: Its name; "dataset" where none is given.
        digest: What tells it from other data; computed where none is given.
        predictions: The column of a model's predictions.

    Raises:
        InvalidParameterValue: It isn't a frame, or has no such column.
        ResourceDoesNotExist: The source isn't one that mlgit knows.
    """
    return PandasDataset(df, source_or_program(source), targets, name, digest, predictions)
