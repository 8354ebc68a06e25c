"""mlgit: experiment tracking kept in your own Git repository.

``import mlgit as mlflow`` runs programs written for MLflow. Every public name is loaded
when it is first used, so that the import itself costs a few milliseconds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

# Public name → module that has it. A submodule's own name stands for the module.
_CONFIG = "mlgit.tracking.config"
_EXPERIMENTS = "mlgit.tracking.experiments"
_FLUENT = "mlgit.tracking.fluent"
_LOG = "mlgit.tracking.log"
_REGISTERED = "mlgit.tracking.registered"
_SEARCH = "mlgit.tracking.search"
_NAMES = {
    "ActiveRun": _FLUENT,
    "MlflowClient": "mlgit.tracking.client",
    "MlflowException": "mlgit.exceptions",
    "MlgitClient": "mlgit.tracking.client",
    "MlgitException": "mlgit.exceptions",
    "active_run": _FLUENT,
    "create_experiment": _EXPERIMENTS,
    "delete_experiment": _EXPERIMENTS,
    "delete_experiment_tag": _EXPERIMENTS,
    "delete_run": _FLUENT,
    "delete_tag": _LOG,
    "diff": "mlgit.diffs",
    "disable_system_metrics_logging": _CONFIG,
    "enable_system_metrics_logging": _CONFIG,
    "end_run": _FLUENT,
    "evaluate": "mlgit.models.evaluation",
    "flush_artifact_async_logging": _CONFIG,
    "flush_async_logging": _CONFIG,
    "get_artifact_uri": _LOG,
    "get_experiment": _EXPERIMENTS,
    "get_experiment_by_name": _EXPERIMENTS,
    "get_parent_run": _FLUENT,
    "get_registry_uri": _REGISTERED,
    "get_run": _FLUENT,
    "get_tracking_uri": "mlgit.tracking.uri",
    "is_tracking_uri_set": "mlgit.tracking.uri",
    "last_active_run": _FLUENT,
    "load_table": _LOG,
    "log_artifact": _LOG,
    "log_artifacts": _LOG,
    "log_dict": _LOG,
    "log_figure": _LOG,
    "log_image": _LOG,
    "log_input": _LOG,
    "log_inputs": _LOG,
    "log_metric": _LOG,
    "log_metrics": _LOG,
    "log_model": "mlgit.models.logged",
    "log_param": _LOG,
    "log_params": _LOG,
    "log_stream": _LOG,
    "log_table": _LOG,
    "log_text": _LOG,
    "open": "mlgit.worktree.public",
    "register_model": "mlgit.models.registry",
    "rename_experiment": _EXPERIMENTS,
    "restore_experiment": _EXPERIMENTS,
    "restore_run": _FLUENT,
    "search_experiments": _SEARCH,
    "search_model_versions": _REGISTERED,
    "search_registered_models": _REGISTERED,
    "search_runs": _SEARCH,
    "set_experiment": _EXPERIMENTS,
    "set_experiment_tag": _EXPERIMENTS,
    "set_experiment_tags": _EXPERIMENTS,
    "set_model_version_tag": _REGISTERED,
    "set_registry_uri": _REGISTERED,
    "set_system_metrics_node_id": _CONFIG,
    "set_system_metrics_samples_before_logging": _CONFIG,
    "set_system_metrics_sampling_interval": _CONFIG,
    "set_tag": _LOG,
    "set_tags": _LOG,
    "set_tracking_uri": "mlgit.tracking.uri",
    "start_run": _FLUENT,
    "validate_evaluation_results": "mlgit.models.evaluation",
}
_MODULES = {
    "artifacts": "mlgit.artifacts",
    "config": _CONFIG,
    "data": "mlgit.data",
    "entities": "mlgit.entities",
    "exceptions": "mlgit.exceptions",
    "keras": "mlgit.keras",
    "lightgbm": "mlgit.lightgbm",
    "metrics": "mlgit.metrics",
    "models": "mlgit.models",
    "pyfunc": "mlgit.pyfunc",
    "pytorch": "mlgit.pytorch",
    "sklearn": "mlgit.sklearn",
    "tensorflow": "mlgit.tensorflow",
    "tracking": "mlgit.tracking",
    "transformers": "mlgit.transformers",
    "types": "mlgit.types",
    "xgboost": "mlgit.xgboost",
}
# What MLflow's programs ask for that isn't here yet, so that the error can say so.
_LATER = frozenset(
    [
        "autolog",
        "catboost",
        "genai",
        "langchain",
        "onnx",
        "openai",
        "projects",
        "run",
        "search_traces",
        "spark",
        "start_span",
        "statsmodels",
        "trace",
    ]
)

# "from mlgit import settings" asks for the attribute first; a guess at what was meant takes time.
_INNER = frozenset(["cli", "git", "objects", "review", "settings", "store", "sync", "validation"])

__all__ = sorted([*_NAMES, *_MODULES])


def __getattr__(name: str) -> Any:
    import importlib

    if name in _NAMES:
        value = getattr(importlib.import_module(_NAMES[name]), name)
    elif name in _MODULES:
        value = importlib.import_module(_MODULES[name])
    elif name in _LATER:
        raise AttributeError(
            f"module 'mlgit' has no attribute {name!r}: projects, serving, "
            "traces and autologging aren't in this version"
        )
    elif name in _INNER or name.startswith("_"):
        raise AttributeError(f"module 'mlgit' has no attribute {name!r}")
    else:
        import difflib

        close = difflib.get_close_matches(name, __all__, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise AttributeError(f"module 'mlgit' has no attribute {name!r}{hint}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])


if TYPE_CHECKING:
    from mlgit import (
        artifacts,
        data,
        entities,
        exceptions,
        keras,
        lightgbm,
        metrics,
        models,
        pyfunc,
        pytorch,
        sklearn,
        tensorflow,
        tracking,
        transformers,
        types,
        xgboost,
    )
    from mlgit.diffs import diff
    from mlgit.exceptions import MlflowException, MlgitException
    from mlgit.models.evaluation.entry import evaluate
    from mlgit.models.evaluation.validation import validate_evaluation_results
    from mlgit.models.logged import log_model
    from mlgit.models.registry import register_model
    from mlgit.tracking import config
    from mlgit.tracking.client import MlflowClient, MlgitClient
    from mlgit.tracking.config import (
        disable_system_metrics_logging,
        enable_system_metrics_logging,
        flush_artifact_async_logging,
        flush_async_logging,
        set_system_metrics_node_id,
        set_system_metrics_samples_before_logging,
        set_system_metrics_sampling_interval,
    )
    from mlgit.tracking.experiments import (
        create_experiment,
        delete_experiment,
        delete_experiment_tag,
        get_experiment,
        get_experiment_by_name,
        rename_experiment,
        restore_experiment,
        set_experiment,
        set_experiment_tag,
        set_experiment_tags,
    )
    from mlgit.tracking.fluent import (
        ActiveRun,
        active_run,
        delete_run,
        end_run,
        get_parent_run,
        get_run,
        last_active_run,
        restore_run,
        start_run,
    )
    from mlgit.tracking.log import (
        delete_tag,
        get_artifact_uri,
        load_table,
        log_artifact,
        log_artifacts,
        log_dict,
        log_figure,
        log_image,
        log_input,
        log_inputs,
        log_metric,
        log_metrics,
        log_param,
        log_params,
        log_stream,
        log_table,
        log_text,
        set_tag,
        set_tags,
    )
    from mlgit.tracking.registered import (
        get_registry_uri,
        search_model_versions,
        search_registered_models,
        set_model_version_tag,
        set_registry_uri,
    )
    from mlgit.tracking.search import (
        search_experiments,
        search_runs,
    )
    from mlgit.tracking.uri import get_tracking_uri, is_tracking_uri_set, set_tracking_uri
