"""Switches of MLflow's that its programs set: ``mlgit.config`` (MLflow's ``mlflow.config``).

Logging here takes microseconds, so there is nothing to make asynchronous; and system
metrics aren't recorded by this version. The functions are there so that programs run.
"""

from __future__ import annotations

from mlgit.exceptions import InvalidParameterValue
from mlgit.tracking.uri import get_tracking_uri, is_tracking_uri_set, set_tracking_uri

_told = False


def enable_async_logging(enable: bool = True) -> None:
    """Accepted for MLflow's sake: logging is done when a call returns."""


def flush_async_logging() -> None:
    """Wait until what was logged is safe: it is already."""


def flush_artifact_async_logging() -> None:
    """Wait until the artifacts that were logged are safe: they are already."""


def enable_system_metrics_logging() -> None:
    """Accepted for MLflow's sake: this version records no system metrics, and says so once."""
    global _told
    if not _told:
        import logging

        _told = True
        logging.getLogger("mlgit").warning("system metrics aren't recorded by this version")


def disable_system_metrics_logging() -> None:
    """Accepted for MLflow's sake: this version records no system metrics."""


def set_system_metrics_sampling_interval(interval: float | None) -> None:
    """Accepted for MLflow's sake.

    Raises:
        InvalidParameterValue: It isn't above 0.
    """
    _check_positive("interval", interval)


def set_system_metrics_samples_before_logging(samples: int | None) -> None:
    """Accepted for MLflow's sake.

    Raises:
        InvalidParameterValue: It isn't above 0.
    """
    _check_positive("samples", samples)


def set_system_metrics_node_id(node_id: str | None) -> None:
    """Accepted for MLflow's sake."""


def _check_positive(name: str, value: float | None) -> None:
    if value is not None and not value > 0:
        raise InvalidParameterValue(f"{name} must be above 0, not {value!r}")


__all__ = [
    "disable_system_metrics_logging",
    "enable_async_logging",
    "enable_system_metrics_logging",
    "flush_artifact_async_logging",
    "flush_async_logging",
    "get_tracking_uri",
    "is_tracking_uri_set",
    "set_system_metrics_node_id",
    "set_system_metrics_samples_before_logging",
    "set_system_metrics_sampling_interval",
    "set_tracking_uri",
]
