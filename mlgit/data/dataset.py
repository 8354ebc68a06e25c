"""The base of all datasets."""

from __future__ import annotations

import json
from typing import Any

from mlgit import entities
from mlgit.data.dataset_source import DatasetSource


class Dataset:
    """What is known about data: its name, digest, source, schema and profile.

    A dataset of one's own is a subclass with ``_compute_digest``, ``schema`` and
    ``profile``, as in MLflow.

    Args:
        source: Where the data comes from.
        name: Its name; "dataset" where none is given.
        digest: What tells it from other data; computed where none is given.
    """

    def __init__(
        self, source: DatasetSource, name: str | None = None, digest: str | None = None
    ) -> None:
        self._name = name
        self._source = source
        self._digest = digest or self._compute_digest()

    def _compute_digest(self) -> str:
        raise NotImplementedError

    @property
    def name(self) -> str:
        """Its name."""
        return "dataset" if self._name is None else self._name

    @property
    def digest(self) -> str:
        """What tells it from other data, such as "498c7496"."""
        return self._digest

    @property
    def source(self) -> DatasetSource:
        """Where the data comes from."""
        return self._source

    @property
    def schema(self) -> Any:
        """Names and types of what it holds, or None."""
        return None

    @property
    def profile(self) -> Any:
        """Its size and the like, as JSON can hold it, or None."""
        return None

    def _schema_json(self) -> str | None:
        return None if self.schema is None else json.dumps(self.schema.to_dict())

    def to_dict(self) -> dict[str, Any]:
        """What is recorded, as text: name, digest, source_type, source, schema and profile.

        Schema and profile are None where they aren't known.
        """
        return {
            "name": self.name,
            "digest": self.digest,
            "source": self.source.to_json(),
            "source_type": self.source._get_source_type(),
            "schema": self._schema_json(),
            "profile": None if self.profile is None else json.dumps(self.profile),
        }

    def to_json(self) -> str:
        """``to_dict`` as JSON."""
        return json.dumps(self.to_dict())

    def _to_mlflow_entity(self) -> entities.Dataset:
        return entities.Dataset(**self.to_dict())

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: name={self.name!r}, digest={self.digest!r}>"
