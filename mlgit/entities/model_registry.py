"""The registry's entities, with MLflow's names and fields. Times are in ms since 1970, UTC."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from typing import Any

from mlgit.exceptions import InvalidParameterValue


class _Entity:
    """``dict(entity)`` gives the fields, as in MLflow."""

    __slots__ = ()

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        for f in fields(self):  # type: ignore[arg-type]
            yield f.name, getattr(self, f.name)

    def _repr_html_(self) -> str:
        from mlgit.entities.shown import fields_html

        return fields_html(type(self).__name__, dict(self))


class ModelVersionStatus:
    """Whether a version can be used. Registering waits for nothing: all are READY."""

    PENDING_REGISTRATION = 1
    FAILED_REGISTRATION = 2
    READY = 3

    _NAMES = {1: "PENDING_REGISTRATION", 2: "FAILED_REGISTRATION", 3: "READY"}

    @staticmethod
    def from_string(status_str: str) -> int:
        """The number of a status name.

        Raises:
            InvalidParameterValue: There is no such status.
        """
        for number, known in ModelVersionStatus._NAMES.items():
            if known == status_str:
                return number
        raise InvalidParameterValue(
            f"Could not get model version status corresponding to string {status_str!r}",
            hint="valid statuses: " + ", ".join(ModelVersionStatus._NAMES.values()),
        )

    @staticmethod
    def to_string(status: int) -> str:
        """The name of a status number.

        Raises:
            InvalidParameterValue: There is no such status.
        """
        if status not in ModelVersionStatus._NAMES:
            raise InvalidParameterValue(f"Could not get string for model version status {status!r}")
        return ModelVersionStatus._NAMES[status]

    @staticmethod
    def all_status() -> list[int]:
        """The numbers of all statuses."""
        return list(ModelVersionStatus._NAMES)


@dataclass(frozen=True, slots=True)
class RegisteredModelTag(_Entity):
    """One tag of a registered model."""

    key: str
    value: str


@dataclass(frozen=True, slots=True)
class ModelVersionTag(_Entity):
    """One tag of a version."""

    key: str
    value: str


@dataclass(frozen=True, slots=True)
class RegisteredModelAlias(_Entity):
    """A name for one version of a model."""

    alias: str
    version: int


@dataclass(frozen=True, slots=True)
class ModelVersion(_Entity):
    """One numbered entry of a registered model.

    Attributes:
        version: Its number, an integer, as MLflow's own stores give it.
        current_stage: None, Staging, Production or Archived, as text.
        source: The URI that it was registered from.
        tags: Values by key.
        aliases: The names that it has now.
        commit: The commit that carries it (mlgit's).
    """

    name: str
    version: int
    creation_timestamp: int
    last_updated_timestamp: int | None = None
    description: str | None = None
    user_id: str | None = None
    current_stage: str | None = None
    source: str | None = None
    run_id: str | None = None
    status: str = "READY"
    status_message: str | None = None
    tags: dict[str, str] = field(default_factory=dict)
    run_link: str | None = None
    aliases: list[str] = field(default_factory=list)
    model_id: str | None = None
    params: list[Any] | None = None
    metrics: list[Any] | None = None
    deployment_job_state: Any = None
    commit: str | None = None


@dataclass(frozen=True, slots=True)
class RegisteredModel(_Entity):
    """A name that versions are registered under.

    Attributes:
        latest_versions: The highest version of each stage.
        tags: Values by key.
        aliases: Version numbers by alias.
    """

    name: str
    creation_timestamp: int | None = None
    last_updated_timestamp: int | None = None
    description: str | None = None
    latest_versions: list[ModelVersion] = field(default_factory=list)
    tags: dict[str, str] = field(default_factory=dict)
    aliases: dict[str, int] = field(default_factory=dict)
    deployment_job_id: str | None = None
    deployment_job_state: Any = None


__all__ = [
    "ModelVersion",
    "ModelVersionStatus",
    "ModelVersionTag",
    "RegisteredModel",
    "RegisteredModelAlias",
    "RegisteredModelTag",
]
