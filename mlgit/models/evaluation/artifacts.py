"""What an evaluation makes beside numbers: images, tables, arrays, text, objects.

A kind of artifact knows how to write its content to a file and to read it back.
"""

from __future__ import annotations

import io
import json
import os
from abc import ABC, abstractmethod
from typing import Any

from mlgit.exceptions import InvalidParameterValue

_UNREAD = object()


class EvaluationArtifact(ABC):
    """One artifact of an evaluation.

    Args:
        uri: Where the run has it.
        content: What it is; read from the run, or the saved file, when it is asked for.
    """

    suffix = ""

    def __init__(self, uri: str, content: Any = _UNREAD) -> None:
        self._uri = uri
        self._content = content
        self._path: str | None = None

    @property
    def uri(self) -> str:
        """Where the run has it."""
        return self._uri

    @property
    def content(self) -> Any:
        """What it is: an image, a frame, an array, text, or what JSON held."""
        if self._content is _UNREAD:
            self._content = self._read(self._path or self._fetched())
        return self._content

    def _fetched(self) -> str:
        from mlgit import artifacts

        return artifacts.download_artifacts(self.uri)

    def save(self, output_artifact_path: str) -> None:
        """Write it to a file, or below a folder that is there."""
        path = output_artifact_path
        if os.path.isdir(path):
            path = os.path.join(path, os.path.basename(self.uri))
        self._write(self.content, path)

    @abstractmethod
    def _read(self, path: str) -> Any: ...

    @abstractmethod
    def _write(self, content: Any, path: str) -> None: ...

    def __repr__(self) -> str:
        return f"{type(self).__name__}(uri={self.uri!r})"


class ImageEvaluationArtifact(EvaluationArtifact):
    """An image of PIL."""

    suffix = ".png"

    def _read(self, path: str) -> Any:
        from PIL import Image

        with open(path, "rb") as data:
            return Image.open(io.BytesIO(data.read()))

    def _write(self, content: Any, path: str) -> None:
        if hasattr(content, "savefig"):
            content.savefig(path)
        else:
            content.save(path)


class CsvEvaluationArtifact(EvaluationArtifact):
    """A frame, as CSV."""

    suffix = ".csv"

    def _read(self, path: str) -> Any:
        import pandas as pd

        return pd.read_csv(path)

    def _write(self, content: Any, path: str) -> None:
        content.to_csv(path, index=False)


class ParquetEvaluationArtifact(EvaluationArtifact):
    """A frame, as Parquet."""

    suffix = ".parquet"

    def _read(self, path: str) -> Any:
        import pandas as pd

        return pd.read_parquet(path)

    def _write(self, content: Any, path: str) -> None:
        content.to_parquet(path)


class NumpyEvaluationArtifact(EvaluationArtifact):
    """An array of numpy."""

    suffix = ".npy"

    def _read(self, path: str) -> Any:
        import numpy as np

        return np.load(path, allow_pickle=False)

    def _write(self, content: Any, path: str) -> None:
        import numpy as np

        np.save(path, content, allow_pickle=False)


class JsonEvaluationArtifact(EvaluationArtifact):
    """What JSON can hold."""

    suffix = ".json"

    def _read(self, path: str) -> Any:
        with open(path, encoding="utf-8") as text:
            return json.load(text)

    def _write(self, content: Any, path: str) -> None:
        with open(path, "w", encoding="utf-8") as text:
            json.dump(content, text)


class TextEvaluationArtifact(EvaluationArtifact):
    """Text."""

    suffix = ".txt"

    def _read(self, path: str) -> Any:
        with open(path, encoding="utf-8") as text:
            return text.read()

    def _write(self, content: Any, path: str) -> None:
        with open(path, "w", encoding="utf-8") as text:
            text.write(content)


class PickleEvaluationArtifact(EvaluationArtifact):
    """Any other object. Its file is loaded when the content is asked for, never before.

    Where the repository refuses pickles (``allow_pickle``), it isn't loaded at all.
    """

    suffix = ".pickle"

    def _read(self, path: str) -> Any:
        from mlgit.models.pickles import load_pickle
        from mlgit.models.policy import allows_pickle

        return load_pickle(path, allows_pickle(None), os.path.basename(self.uri))

    def _write(self, content: Any, path: str) -> None:
        import pickle

        with open(path, "wb") as data:
            pickle.dump(content, data)


KINDS: dict[str, type[EvaluationArtifact]] = {
    kind.__name__: kind
    for kind in (
        ImageEvaluationArtifact,
        CsvEvaluationArtifact,
        ParquetEvaluationArtifact,
        NumpyEvaluationArtifact,
        JsonEvaluationArtifact,
        TextEvaluationArtifact,
        PickleEvaluationArtifact,
    )
}
_BY_SUFFIX: dict[str, type[EvaluationArtifact]] = {
    **{kind.suffix: kind for kind in KINDS.values()},
    ".jpg": ImageEvaluationArtifact,
    ".jpeg": ImageEvaluationArtifact,
}
# A file that a function of one's own wrote: its pickles aren't taken for artifacts.
FILES = [suffix for suffix in _BY_SUFFIX if suffix != ".pickle"]


def kind_of_file(path: str) -> type[EvaluationArtifact] | None:
    """The kind of artifact that a file is by its suffix, or None."""
    suffix = os.path.splitext(path)[1].lower()
    return _BY_SUFFIX[suffix] if suffix in FILES else None


def kind_of_object(value: Any) -> type[EvaluationArtifact]:
    """The kind of artifact that an object becomes.

    Raises:
        InvalidParameterValue: It is None, which is more likely a mistake.
    """
    if value is None:
        raise InvalidParameterValue("None isn't an artifact")
    if hasattr(value, "savefig"):
        return ImageEvaluationArtifact
    root = type(value).__module__.split(".")[0]
    if root == "pandas" and hasattr(value, "to_csv"):
        return CsvEvaluationArtifact
    if root == "numpy" and hasattr(value, "dtype") and value.ndim > 0:
        return NumpyEvaluationArtifact
    try:
        json.dumps(value)
    except (TypeError, ValueError):
        return PickleEvaluationArtifact
    return JsonEvaluationArtifact
