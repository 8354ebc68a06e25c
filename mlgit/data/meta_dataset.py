"""Datasets of which only their description is at hand."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from mlgit.data.dataset import Dataset
from mlgit.data.dataset_source import DatasetSource


class MetaDataset(Dataset):
    """A dataset by its source alone; the digest is made from what describes it.

    Args:
        source: Where the data is.
        name: Its name.
        digest: What tells it from other data; computed where none is given.
        schema: Names and types of what it holds: anything with ``to_dict``.
    """

    def __init__(
        self,
        source: DatasetSource,
        name: str | None = None,
        digest: str | None = None,
        schema: Any = None,
    ) -> None:
        self._schema = schema  # the digest needs it
        super().__init__(source, name, digest)

    def _compute_digest(self) -> str:
        described = {
            "name": self.name,
            "source": self.source.to_json(),
            "source_type": self.source._get_source_type(),
            "schema": self._schema.to_dict() if self._schema else "",
        }
        return hashlib.sha256(json.dumps(described).encode()).hexdigest()[:8]

    @property
    def schema(self) -> Any:
        """Names and types of what it holds, or None."""
        return self._schema

    def _schema_json(self) -> str | None:
        if self._schema is None:
            return None
        return json.dumps({"mlflow_colspec": self._schema.to_dict()})
