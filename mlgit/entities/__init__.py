"""What the API takes and gives: MLflow's entities, as plain dataclasses.

This module imports nothing of mlgit but the errors, does no I/O, and never changes
what it was given. Names and fields are MLflow's (mlflow.org/docs, ``mlflow.entities``).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any, Generic, TypeVar

from mlgit.exceptions import InvalidParameterValue

T = TypeVar("T")


class RunStatus:
    """A run's status, as a number in the API and as a name in ``RunInfo.status``."""

    RUNNING = 1
    SCHEDULED = 2
    FINISHED = 3
    FAILED = 4
    KILLED = 5

    _NAMES = {1: "RUNNING", 2: "SCHEDULED", 3: "FINISHED", 4: "FAILED", 5: "KILLED"}

    @staticmethod
    def from_string(name: str) -> int:
        """The number of a status name.

        Raises:
            InvalidParameterValue: There is no such status.
        """
        for number, known in RunStatus._NAMES.items():
            if known == name:
                return number
        raise InvalidParameterValue(
            f"Could not get run status corresponding to string {name!r}",
            hint="valid statuses: " + ", ".join(RunStatus._NAMES.values()),
        )

    @staticmethod
    def to_string(status: int) -> str:
        """The name of a status number.

        Raises:
            InvalidParameterValue: There is no such status.
        """
        if status not in RunStatus._NAMES:
            raise InvalidParameterValue(f"Could not get string for run status {status!r}")
        return RunStatus._NAMES[status]

    @staticmethod
    def is_terminated(status: int | str) -> bool:
        """Whether a run of this status has ended."""
        if isinstance(status, str):
            status = RunStatus.from_string(status)
        return status in (RunStatus.FINISHED, RunStatus.FAILED, RunStatus.KILLED)

    @staticmethod
    def all_status() -> list[int]:
        """The numbers of all statuses."""
        return list(RunStatus._NAMES)

    @staticmethod
    def name_of(status: int | str | None) -> str:
        """The name of a status that is given as a number or a name."""
        if isinstance(status, int):
            return RunStatus.to_string(status)
        RunStatus.from_string(str(status))
        return str(status)


class LifecycleStage:
    """Whether a run or experiment is there or deleted (deletion can be undone)."""

    ACTIVE = "active"
    DELETED = "deleted"


class ViewType:
    """Which lifecycle stages a search looks at."""

    ACTIVE_ONLY = 1
    DELETED_ONLY = 2
    ALL = 3

    _NAMES = {1: "active_only", 2: "deleted_only", 3: "all"}

    @classmethod
    def from_string(cls, name: str) -> int:
        """The number of a view's name.

        Raises:
            InvalidParameterValue: There is no such view.
        """
        for number, known in cls._NAMES.items():
            if known == name.lower():
                return number
        raise InvalidParameterValue(f"Could not get valid view type corresponding to {name!r}")

    @classmethod
    def to_string(cls, view_type: int) -> str:
        """The name of a view."""
        if not isinstance(view_type, int) or view_type not in cls._NAMES:
            raise InvalidParameterValue(f"Could not get valid view type for {view_type!r}")
        return cls._NAMES[view_type]

    @classmethod
    def stages(cls, view_type: int) -> tuple[str, ...]:
        """The lifecycle stages that a view shows.

        Raises:
            InvalidParameterValue: There is no such view.
        """
        cls.to_string(view_type)
        return {
            cls.ACTIVE_ONLY: (LifecycleStage.ACTIVE,),
            cls.DELETED_ONLY: (LifecycleStage.DELETED,),
            cls.ALL: (LifecycleStage.ACTIVE, LifecycleStage.DELETED),
        }[view_type]


class SourceType:
    """What kind of thing started a run."""

    NOTEBOOK = 1
    JOB = 2
    PROJECT = 3
    LOCAL = 4
    UNKNOWN = 5

    _NAMES = {1: "NOTEBOOK", 2: "JOB", 3: "PROJECT", 4: "LOCAL", 5: "UNKNOWN"}

    @staticmethod
    def from_string(name: str) -> int:
        """The number of a source type's name.

        Raises:
            InvalidParameterValue: There is no such type.
        """
        for number, known in SourceType._NAMES.items():
            if known == name:
                return number
        raise InvalidParameterValue(f"Could not get source type corresponding to string {name!r}")

    @staticmethod
    def to_string(source_type: int) -> str:
        """The name of a source type's number.

        Raises:
            InvalidParameterValue: There is no such type.
        """
        if source_type not in SourceType._NAMES:
            raise InvalidParameterValue(f"Could not get string for source type {source_type!r}")
        return SourceType._NAMES[source_type]


class _Entity:
    """What all entities share: ``dict(entity)`` and ``to_dictionary()``, as in MLflow."""

    __slots__ = ()

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        for f in fields(self):  # type: ignore[arg-type]
            yield f.name, getattr(self, f.name)

    def to_dictionary(self) -> dict[str, Any]:
        """The fields as plain dicts, lists, strings and numbers."""
        return {name: _plain(value) for name, value in self}


def _plain(value: Any) -> Any:
    if isinstance(value, _Entity):
        return value.to_dictionary()
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return value


# Not frozen, alone among the entities: a frozen dataclass takes 5 times as long to
# make, and a metric's history is made of thousands.
@dataclass(slots=True)
class Metric(_Entity):
    """One point of a metric. ``timestamp`` is in milliseconds since 1970, UTC."""

    key: str
    value: float
    timestamp: int
    step: int = 0
    model_id: str | None = None
    dataset_name: str | None = None
    dataset_digest: str | None = None
    run_id: str | None = None


@dataclass(frozen=True, slots=True)
class Param(_Entity):
    """One param; its value is text."""

    key: str
    value: str


@dataclass(frozen=True, slots=True)
class RunTag(_Entity):
    """One tag of a run."""

    key: str
    value: str


@dataclass(frozen=True, slots=True)
class ExperimentTag(_Entity):
    """One tag of an experiment."""

    key: str
    value: str


@dataclass(frozen=True, slots=True)
class Experiment(_Entity):
    """A named set of runs. Times are in milliseconds since 1970, UTC."""

    experiment_id: str
    name: str
    artifact_location: str
    lifecycle_stage: str = LifecycleStage.ACTIVE
    tags: dict[str, str] = field(default_factory=dict)
    creation_time: int | None = None
    last_update_time: int | None = None


@dataclass(frozen=True, slots=True)
class FileInfo(_Entity):
    """One artifact. ``path`` is relative to the run's root; a folder has no ``file_size``."""

    path: str
    is_dir: bool
    file_size: int | None = None


@dataclass(frozen=True, slots=True)
class RunInfo(_Entity):
    """What a run is, apart from what it logged. Times are in milliseconds since 1970, UTC."""

    run_id: str
    experiment_id: str
    user_id: str
    status: str
    start_time: int | None
    end_time: int | None
    lifecycle_stage: str
    artifact_uri: str | None = None
    run_name: str | None = None

    @property
    def run_uuid(self) -> str:
        """The run's id, by the name it had in MLflow 0.x."""
        return self.run_id


@dataclass(frozen=True, slots=True)
class InputTag(_Entity):
    """One tag of a dataset's use, such as its context."""

    key: str
    value: str


@dataclass(frozen=True, slots=True)
class Dataset(_Entity):
    """A dataset as it is recorded: all fields are text."""

    name: str
    digest: str
    source_type: str
    source: str
    schema: str | None = None
    profile: str | None = None


@dataclass(frozen=True, slots=True)
class DatasetInput(_Entity):
    """A dataset that a run used, and how."""

    dataset: Dataset
    tags: list[InputTag] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class RunInputs(_Entity):
    """Everything that a run used."""

    dataset_inputs: list[DatasetInput] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class RunData(_Entity):
    """What a run logged: for each metric its last value, by step, time and value."""

    metrics: dict[str, float] = field(default_factory=dict)
    params: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Run(_Entity):
    """One execution: what it is, what it logged, what it used."""

    info: RunInfo
    data: RunData
    inputs: RunInputs = field(default_factory=RunInputs)

    def _repr_html_(self) -> str:
        from mlgit.entities.shown import run_html

        return run_html(self)


class PagedList(list[T], Generic[T]):
    """A list that knows the token of the page after it (None on the last)."""

    def __init__(self, items: Any = (), token: str | None = None) -> None:
        super().__init__(items)
        self.token = token

    def to_list(self) -> list[T]:
        """The items, without the token."""
        return list(self)

    def _repr_html_(self) -> str | None:
        """Runs and what else has fields as a table; None (its text) for anything else."""
        from mlgit.entities.shown import runs_html, table

        if self and all(isinstance(item, Run) for item in self):
            return runs_html(self)  # type: ignore[arg-type]
        if not self or not all(is_dataclass(item) for item in self):
            return None
        names = [f.name for f in fields(self[0])]  # type: ignore[arg-type]
        return table("", names, [[getattr(item, name, None) for name in names] for item in self])


__all__ = [
    "Dataset",
    "DatasetInput",
    "Experiment",
    "ExperimentTag",
    "FileInfo",
    "InputTag",
    "LifecycleStage",
    "Metric",
    "PagedList",
    "Param",
    "Run",
    "RunData",
    "RunInfo",
    "RunInputs",
    "RunStatus",
    "RunTag",
    "SourceType",
    "ViewType",
]
