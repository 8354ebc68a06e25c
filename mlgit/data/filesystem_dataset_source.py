"""Data at a path, or in storage that a URI names."""

from __future__ import annotations

import os
import re
from typing import Any

from mlgit.data.dataset_source import DatasetSource, required
from mlgit.exceptions import ResourceDoesNotExist

# The kinds of storage that MLflow records, by their URIs' schemes.
SCHEMES = ("s3", "r2", "gs", "wasbs", "abfss", "hdfs", "viewfs", "ftp", "sftp", "b2")


class FileSystemDatasetSource(DatasetSource):
    """Data at a path or URI; nothing is read to describe it.

    Args:
        uri: The path or URI, kept as it is given.
    """

    def __init__(self, uri: str) -> None:
        self._uri = uri

    @property
    def uri(self) -> str:
        """The path or URI."""
        return self._uri

    def to_dict(self) -> dict[str, Any]:
        """``{"uri": …}``."""
        return {"uri": self._uri}

    @classmethod
    def from_dict(cls, source_dict: dict[str, Any]) -> FileSystemDatasetSource:
        """The source of a dict's ``uri``."""
        return cls(required(source_dict, "uri"))


class LocalArtifactDatasetSource(FileSystemDatasetSource):
    """Data in a local file or folder."""

    @staticmethod
    def _get_source_type() -> str:
        return "local"

    def load(self, dst_path: str | None = None) -> str:
        """The path of the data, or of a copy of it.

        Args:
            dst_path: A folder to copy it to; it is used where it is if none is given.

        Raises:
            ResourceDoesNotExist: It isn't there (any more).
        """
        path = re.sub(r"^file:(//)?", "", self._uri)
        if not os.path.exists(path):
            raise ResourceDoesNotExist(f"No such file or folder: {path}")
        if dst_path is None:
            return os.path.abspath(path)
        import shutil

        os.makedirs(dst_path, exist_ok=True)
        target = os.path.join(dst_path, os.path.basename(os.path.abspath(path)))
        if os.path.isdir(path):
            return str(shutil.copytree(path, target, dirs_exist_ok=True))
        return str(shutil.copyfile(path, target))


class StorageDatasetSource(FileSystemDatasetSource):
    """Data in a bucket or on another host, named by a URI."""

    def _get_source_type(self) -> str:  # type: ignore[override]
        return self._uri.split(":", 1)[0].lower()


def source_of_path(raw: Any) -> FileSystemDatasetSource | None:
    """The source that a path or URI names, or None where it is neither."""
    if not isinstance(raw, (str, os.PathLike)):
        return None
    text = str(raw)
    scheme = re.match(r"^([A-Za-z][A-Za-z0-9+.\-]*):", text)
    if scheme is None or scheme[1].lower() == "file":
        return LocalArtifactDatasetSource(text)
    return StorageDatasetSource(text) if scheme[1].lower() in SCHEMES else None
