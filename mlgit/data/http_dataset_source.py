"""Data at a web address."""

from __future__ import annotations

from typing import Any

from mlgit.data.dataset_source import DatasetSource, required


class HTTPDatasetSource(DatasetSource):
    """Data at an http or https address, which is recorded and never fetched.

    Args:
        url: The address.
    """

    def __init__(self, url: str) -> None:
        self._url = url

    @property
    def url(self) -> str:
        """The address."""
        return self._url

    @staticmethod
    def _get_source_type() -> str:
        return "http"

    def to_dict(self) -> dict[str, Any]:
        """``{"url": …}``."""
        return {"url": self._url}

    @classmethod
    def from_dict(cls, source_dict: dict[str, Any]) -> HTTPDatasetSource:
        """The source of a dict's ``url``."""
        return cls(required(source_dict, "url"))
