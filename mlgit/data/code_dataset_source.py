"""Data that a program made itself."""

from __future__ import annotations

import getpass
import os
import sys
from typing import Any

from mlgit import settings
from mlgit.data.dataset_source import DatasetSource


class CodeDatasetSource(DatasetSource):
    """Data without a source but the program that describes it.

    Args:
        tags: What is known about the program, as tags of MLflow's.
    """

    def __init__(self, tags: dict[str, Any]) -> None:
        self._tags = tags

    @property
    def tags(self) -> dict[str, Any]:
        """What is known about the program."""
        return self._tags

    @staticmethod
    def _get_source_type() -> str:
        return "code"

    def to_dict(self) -> dict[str, Any]:
        """``{"tags": …}``."""
        return {"tags": self._tags}

    @classmethod
    def from_dict(cls, source_dict: dict[str, Any]) -> CodeDatasetSource:
        """The source of a dict's ``tags``."""
        return cls(source_dict.get("tags") or {})


def this_program() -> CodeDatasetSource:
    """The source that is the program that runs, by the name of its file alone."""
    try:
        user = settings.user_name() or getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        user = "unknown"
    main = getattr(sys.modules.get("__main__"), "__file__", None)
    path = main or (sys.argv[0] if sys.argv else "") or sys.executable
    return CodeDatasetSource(
        {
            "mlflow.user": user,
            "mlflow.source.name": os.path.basename(path),
            "mlflow.source.type": "LOCAL",
        }
    )
