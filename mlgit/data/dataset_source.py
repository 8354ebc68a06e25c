"""Where a dataset comes from: the base of all sources."""

from __future__ import annotations

import json
from typing import Any

from mlgit.exceptions import InvalidParameterValue, Unsupported


class DatasetSource:
    """Where a dataset comes from.

    A source of one's own is a subclass with ``_get_source_type``, ``to_dict`` and
    ``from_dict``, as in MLflow.
    """

    @staticmethod
    def _get_source_type() -> str:
        """The kind of source, as it is recorded."""
        raise NotImplementedError

    def to_dict(self) -> dict[str, Any]:
        """What ``from_dict`` makes an equal source from; JSON can hold it."""
        raise NotImplementedError

    @classmethod
    def from_dict(cls, source_dict: dict[str, Any]) -> DatasetSource:
        """The source that ``to_dict`` described."""
        raise NotImplementedError

    def load(self, dst_path: str | None = None) -> Any:
        """The data itself, where a source can get at it.

        Raises:
            Unsupported: This one can't.
        """
        raise Unsupported(
            f"mlgit doesn't fetch data from a source of the type {self._get_source_type()!r}",
            hint="read it with pandas, fsspec or the program that made it",
        )

    def to_json(self) -> str:
        """``to_dict`` as JSON: what is recorded."""
        return json.dumps(self.to_dict())

    @classmethod
    def from_json(cls, source_json: str) -> DatasetSource:
        """The source that ``to_json`` described."""
        return cls.from_dict(json.loads(source_json))

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.to_json()}>"


def required(source_dict: dict[str, Any], key: str) -> Any:
    """The value of a key that a source's dict must have.

    Raises:
        InvalidParameterValue: It isn't there.
    """
    if source_dict.get(key) is None:
        raise InvalidParameterValue(f"A dataset source lacks the key {key!r}: {source_dict}")
    return source_dict[key]
