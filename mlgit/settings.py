"""The one place that reads the environment.

Every variable has mlgit's name and MLflow's; mlgit's wins where both are set, so a
shell that is set up for an MLflow server can still work on a repository.
"""

from __future__ import annotations

import os
import re

_TRUE = {"1", "true", "yes", "on"}


def _first(*names: str) -> str | None:
    for name in names:
        value = os.environ.get(name)
        if value:
            return value
    return None


def _flag(*names: str, default: bool) -> bool:
    value = _first(*names)
    return default if value is None else value.strip().lower() in _TRUE


def tracking_uri() -> str | None:
    """The tracking URI that the environment names, or None."""
    return _first("MLGIT_TRACKING_URI", "MLFLOW_TRACKING_URI")


def experiment_name() -> str | None:
    """The experiment that the environment names, or None."""
    return _first("MLGIT_EXPERIMENT_NAME", "MLFLOW_EXPERIMENT_NAME")


def experiment_id() -> str | None:
    """The experiment id that the environment names, or None."""
    return _first("MLGIT_EXPERIMENT_ID", "MLFLOW_EXPERIMENT_ID")


def run_id() -> str | None:
    """The run that the environment asks to resume, or None."""
    return _first("MLGIT_RUN_ID", "MLFLOW_RUN_ID")


def take_run_id() -> str | None:
    """The run that the environment asks to resume; asked once, later runs are new ones."""
    found = run_id()
    for name in ("MLGIT_RUN_ID", "MLFLOW_RUN_ID"):
        os.environ.pop(name, None)
    return found


def notebook() -> str | None:
    """The notebook that Jupyter says this is, or None."""
    return _first("JPY_SESSION_NAME")


def run_name() -> str | None:
    """The name that the environment gives to new runs, or None."""
    return _first("MLGIT_RUN_NAME", "MLFLOW_RUN_NAME")


def user_name() -> str | None:
    """The user that runs are recorded under, where the environment names one."""
    return _first("MLGIT_TRACKING_USERNAME", "MLFLOW_TRACKING_USERNAME")


def truncate_long_values() -> bool:
    """Whether a too long param or tag is cut, as MLflow does, instead of refused."""
    return _flag("MLGIT_TRUNCATE_LONG_VALUES", "MLFLOW_TRUNCATE_LONG_VALUES", default=False)


def checkpoint_seconds() -> float:
    """How often a going run is committed as it stands; 0 (the default) is never."""
    value = _first("MLGIT_CHECKPOINT_SECONDS")
    try:
        return max(0.0, float(value)) if value else 0.0
    except ValueError:
        return 0.0


def auto_maintenance() -> bool:
    """Whether loose objects and refs are packed as they pile up."""
    return _flag("MLGIT_AUTO_MAINTENANCE", default=True)


def allow_pickle() -> bool | None:
    """Whether models may be loaded from pickles, where the environment says so."""
    value = _first("MLGIT_ALLOW_PICKLE", "MLFLOW_ALLOW_PICKLE_DESERIALIZATION")
    return None if value is None else value.strip().lower() in _TRUE


def verify_models() -> bool | None:
    """Whether registered models must be signed to be loaded, where the environment says so."""
    value = _first("MLGIT_VERIFY_MODELS")
    return None if value is None else value.strip().lower() in _TRUE


def prediction_device() -> str | None:
    """The device that models predict on, where the environment names one."""
    return _first("MLGIT_DEFAULT_PREDICTION_DEVICE", "MLFLOW_DEFAULT_PREDICTION_DEVICE")


def ui_token() -> str | None:
    """What people must show to be let into the web app, where the environment says so."""
    return _first("MLGIT_UI_TOKEN")


def git_program() -> str | None:
    """The program that moves refs between repositories, where the environment names one."""
    return _first("MLGIT_GIT")


def merged_heads() -> list[str]:
    """The commits that Git tells a merge driver or hook it is merging."""
    return [name[len("GITHEAD_") :] for name in os.environ if name.startswith("GITHEAD_")]


def git_ssh() -> str | None:
    """The SSH client that Git is told to use (git-scm.com/docs/git, "Git SSH")."""
    return _first("GIT_SSH_COMMAND", "GIT_SSH")


def untranslated() -> dict[str, str]:
    """The environment, for a program whose messages are to be read by another."""
    return {**os.environ, "LANGUAGE": "C"}


def conda_program() -> str | None:
    """The conda that is active, as it says itself, or None."""
    return _first("CONDA_EXE", "MAMBA_EXE")


def for_another_python(changes: dict[str, str]) -> dict[str, str]:
    """The environment, for a Python of another environment than this one's.

    Args:
        changes: Variables to set.
    """
    own = {"PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "VIRTUAL_ENV", "__PYVENV_LAUNCHER__"}
    return {**{k: v for k, v in os.environ.items() if k not in own}, **changes}


def with_changes(changes: dict[str, str]) -> dict[str, str]:
    """The environment with some variables set, for a Python of this one."""
    return {**os.environ, **changes}


def pager() -> str | None:
    """The pager for long output, as Git chooses it; "" means none."""
    for name in ("MLGIT_PAGER", "GIT_PAGER", "PAGER"):
        if name in os.environ:
            return os.environ[name]
    return None


def no_color() -> bool:
    """Whether colour is unwanted (no-color.org)."""
    return bool(os.environ.get("NO_COLOR"))


def config_home() -> str:
    """Where a user's configuration is (specifications.freedesktop.org/basedir-spec)."""
    return os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")


def cache_home() -> str:
    """Where what can be made again is kept (the same specification)."""
    return _first("MLGIT_CACHE_HOME", "XDG_CACHE_HOME") or os.path.expanduser("~/.cache")


def git_settings() -> list[tuple[str, str]]:
    """Git's settings that stand in the environment (git-scm.com/docs/git-config, "ENVIRONMENT")."""
    count = os.environ.get("GIT_CONFIG_COUNT", "")
    found = []
    for number in range(int(count) if re.match(r"^[0-9]{1,6}\Z", count) else 0):
        key = os.environ.get(f"GIT_CONFIG_KEY_{number}")
        value = os.environ.get(f"GIT_CONFIG_VALUE_{number}")
        if key is not None and value is not None:
            found.append((key, value))
    return found


def git_environment() -> dict[str, str]:
    """Git's own variables that mlgit honours (git-scm.com/docs/git, "Environment")."""
    names = (
        "GIT_DIR",
        "GIT_WORK_TREE",
        "GIT_COMMON_DIR",
        "GIT_CEILING_DIRECTORIES",
        "GIT_AUTHOR_NAME",
        "GIT_AUTHOR_EMAIL",
        "GIT_COMMITTER_NAME",
        "GIT_COMMITTER_EMAIL",
        "EMAIL",
    )
    return {name: os.environ[name] for name in names if os.environ.get(name)}
