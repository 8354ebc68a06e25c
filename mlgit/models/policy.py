"""What a repository's settings say about loading models: whether they may run code that they
hold, and whether registered ones must be signed.
"""

from __future__ import annotations

from mlgit import settings
from mlgit.exceptions import CorruptData, NotARepository
from mlgit.git import Repository


def allows_pickle(call: bool | None, repo: Repository | None = None) -> bool:
    """Whether pickles may be loaded: what the call says, the environment, the repository.

    Args:
        call: What the call says; None where it says nothing.
        repo: The repository that the model is from; the one in use where None.

    Raises:
        CorruptData: The repository's configuration can't be read.
    """
    if call is not None:
        return bool(call)
    from_environment = settings.allow_pickle()
    if from_environment is not None:
        return from_environment
    return all(_settings("allow_pickle", True, repo))


def verifies(call: bool | None, repo: Repository | None = None) -> bool:
    """Whether a registered model must be signed: what the call says, the environment, the
    repository.

    Args:
        call: What the call says; None where it says nothing.
        repo: The repository that runs are in; the one in use where None.

    Raises:
        CorruptData: The repository's configuration can't be read.
    """
    if call is not None:
        return bool(call)
    from_environment = settings.verify_models()
    if from_environment is not None:
        return from_environment
    return any(_settings("verify", False, repo))


def _settings(key: str, default: bool, repo: Repository | None) -> list[bool]:
    """What the team's configuration and the clone's own say under ``models``."""
    from mlgit.store.configfile import read_section

    if repo is None:
        from mlgit.tracking import uri

        try:
            repo = uri.store_for().repo
        except NotARepository:
            return []
    return [_setting(found, key, default) for found in read_section(repo, "models")]


def _setting(models: dict[str, object], key: str, default: bool) -> bool:
    value = models.get(key, default)
    if not isinstance(value, bool):
        raise CorruptData(f"models.{key} must be true or false in the repository's configuration")
    return value
