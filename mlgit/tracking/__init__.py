"""Logging and reading runs: the fluent API and the client (MLflow's ``mlflow.tracking``)."""

from __future__ import annotations

from mlgit.tracking.client import MlflowClient, MlgitClient
from mlgit.tracking.uri import get_tracking_uri, is_tracking_uri_set, set_tracking_uri

__all__ = [
    "MlflowClient",
    "MlgitClient",
    "get_tracking_uri",
    "is_tracking_uri_set",
    "set_tracking_uri",
]
