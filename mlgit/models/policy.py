"""Whether loading a model may run code that the model holds."""

from __future__ import annotations

from mlgit import settings
from mlgit.exceptions import NotARepository
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
    from mlgit.store.configfile import read_flag

    if repo is None:
        from mlgit.tracking import uri

        try:
            repo = uri.store_for().repo
        except NotARepository:
            return True
    return all(read_flag(repo, "models", "allow_pickle", True))
