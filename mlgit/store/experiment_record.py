"""experiment.yaml: writer and reader side by side (docs/format.md)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from mlgit.entities import Experiment, LifecycleStage
from mlgit.exceptions import CorruptData
from mlgit.git import Repository
from mlgit.git.commits import parse_commit
from mlgit.git.trees import entry
from mlgit.store import names, yamlform
from mlgit.store.record import FORMAT, check_format
from mlgit.store.timeform import from_iso, to_iso

FILE_NAME = b"experiment.yaml"


@dataclass
class ExperimentRecord:
    """What ``experiment.yaml`` holds. Times are in milliseconds since 1970."""

    experiment_id: str
    name: str
    artifact_location: str = ""
    lifecycle_stage: str = LifecycleStage.ACTIVE
    creation_time: int | None = None
    last_update_time: int | None = None
    tags: dict[str, str] = field(default_factory=dict)
    unknown: dict[str, Any] = field(default_factory=dict)

    def entity(self) -> Experiment:
        """The experiment as the API gives it."""
        return Experiment(
            self.experiment_id,
            self.name,
            self.artifact_location or default_location(self.experiment_id),
            self.lifecycle_stage,
            dict(self.tags),
            self.creation_time,
            self.last_update_time,
        )


def default_location(experiment_id: str) -> str:
    """Where an experiment's artifacts are, where nobody said otherwise."""
    return f"mlgit-artifacts:/{experiment_id}"


def format_experiment(record: ExperimentRecord) -> bytes:
    """experiment.yaml."""
    data: dict[str, Any] = {
        "format": FORMAT,
        "experiment_id": record.experiment_id,
        "name": record.name,
        "artifact_location": record.artifact_location,
        "lifecycle_stage": record.lifecycle_stage,
    }
    for key in ("creation_time", "last_update_time"):
        value = getattr(record, key)
        if value is not None:
            data[key] = to_iso(value)
    data.update(record.unknown)
    if record.tags:
        data["tags"] = dict(sorted(record.tags.items()))
    return yamlform.dump(data)


def parse_experiment(data: bytes, name: str) -> ExperimentRecord:
    """What an experiment.yaml says.

    Raises:
        Unsupported: Its format is newer than this program.
        CorruptData: It isn't what the format says.
    """
    found = yamlform.load(data, name)
    check_format(found, name)
    try:
        return ExperimentRecord(
            experiment_id=str(found.pop("experiment_id")),
            name=str(found.pop("name")),
            artifact_location=str(found.pop("artifact_location", "") or ""),
            lifecycle_stage=str(found.pop("lifecycle_stage", LifecycleStage.ACTIVE)),
            creation_time=from_iso(found.pop("creation_time", None), name),
            last_update_time=from_iso(found.pop("last_update_time", None), name),
            tags={str(k): str(v) for k, v in (found.pop("tags", None) or {}).items()},
            unknown=found,
        )
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise CorruptData(f"{name} lacks what an experiment needs: {error}") from error


def read_experiment(repo: Repository, sha: str) -> ExperimentRecord:
    """The experiment that a commit holds."""
    commit = parse_commit(repo.objects.commit(sha))
    found = entry(repo.objects.tree(commit.tree), FILE_NAME)
    if found is None:
        raise CorruptData(f"The commit {sha} isn't an experiment's: it has no experiment.yaml")
    return parse_experiment(repo.objects.blob(found[1]), f"experiment.yaml in {sha[:10]}")


def default_experiment() -> ExperimentRecord:
    """The experiment that is there without a ref."""
    return ExperimentRecord(names.DEFAULT_EXPERIMENT_ID, names.DEFAULT_EXPERIMENT)
