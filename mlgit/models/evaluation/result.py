"""What ``evaluate`` returns, in memory and as a folder (MLflow's layout)."""

from __future__ import annotations

import json
import os
from typing import Any

from mlgit.exceptions import CorruptData, ResourceDoesNotExist
from mlgit.models.evaluation.artifacts import KINDS, EvaluationArtifact, JsonEvaluationArtifact

TABLE = "eval_results_table"
# Under these names MLflow reads what was saved here.
_CLASSES = "mlflow.models.evaluation.artifacts"


class EvaluationResult:
    """What came of an evaluation.

    Args:
        metrics: Names → numbers.
        artifacts: Names → artifacts.
        run_id: The run that has it all.
    """

    def __init__(
        self,
        metrics: dict[str, Any],
        artifacts: dict[str, EvaluationArtifact],
        run_id: str | None = None,
    ) -> None:
        self._metrics = metrics
        self._artifacts = artifacts
        self._run_id = run_id

    @property
    def metrics(self) -> dict[str, Any]:
        """Names → numbers."""
        return self._metrics

    @property
    def artifacts(self) -> dict[str, EvaluationArtifact]:
        """Names → artifacts, each with ``content``, ``uri`` and ``save(path)``."""
        return self._artifacts

    @property
    def run_id(self) -> str | None:
        """The run that has it all; None for a result that was loaded from a folder."""
        return self._run_id

    @property
    def tables(self) -> dict[str, Any]:
        """Frames: ``eval_results_table`` where a metric gave a score a row."""
        found = self._artifacts.get(TABLE)
        if not isinstance(found, JsonEvaluationArtifact):
            return {}
        import pandas as pd

        return {TABLE: pd.DataFrame(found.content["data"], columns=found.content["columns"])}

    def save(self, path: str) -> None:
        """Write it to a folder, which is made: ``metrics.json``, ``artifacts/`` and an index.

        MLflow reads the folder too.
        """
        folder = os.path.join(path, "artifacts")
        os.makedirs(folder, exist_ok=True)
        with open(os.path.join(path, "metrics.json"), "w", encoding="utf-8") as out:
            json.dump(self.metrics, out)
        index = {
            name: {"uri": artifact.uri, "class_name": f"{_CLASSES}.{type(artifact).__name__}"}
            for name, artifact in self.artifacts.items()
        }
        with open(os.path.join(path, "artifacts_metadata.json"), "w", encoding="utf-8") as out:
            json.dump(index, out)
        for artifact in self.artifacts.values():
            artifact.save(os.path.join(folder, os.path.basename(artifact.uri)))

    @classmethod
    def load(cls, path: str) -> EvaluationResult:
        """A result that ``save`` wrote, here or in MLflow.

        Nothing of a pickled artifact is loaded before its content is asked for.

        Raises:
            ResourceDoesNotExist: The folder holds none.
            CorruptData: Its files aren't what ``save`` writes.
        """
        metrics = _json(os.path.join(path, "metrics.json"))
        artifacts = {}
        for name, entry in _json(os.path.join(path, "artifacts_metadata.json")).items():
            try:
                kind = KINDS[entry["class_name"].rpartition(".")[2]]
                artifact = kind(str(entry["uri"]))
            except (KeyError, TypeError, AttributeError) as error:
                raise CorruptData(f"The artifact {name!r} of {path} is of no known kind") from error
            artifact._path = os.path.join(path, "artifacts", os.path.basename(artifact.uri))
            artifacts[name] = artifact
        return cls(metrics, artifacts)


def _json(path: str) -> dict[str, Any]:
    try:
        with open(path, encoding="utf-8") as text:
            found = json.load(text)
    except FileNotFoundError as error:
        raise ResourceDoesNotExist(f"No evaluation was saved there: {path} is missing") from error
    except ValueError as error:
        raise CorruptData(f"{path} isn't JSON: {error}") from error
    if not isinstance(found, dict):
        raise CorruptData(f"{path} must hold a JSON object")
    return found
