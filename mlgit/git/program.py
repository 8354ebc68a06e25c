"""The installed ``git``, for what only it may write: its configuration."""

from __future__ import annotations

import subprocess

from mlgit import settings
from mlgit.exceptions import MissingDependency, MlgitException
from mlgit.git.repository import Repository
from mlgit.git.transport import git_program


def configure(repo: Repository, values: dict[str, str | None]) -> None:
    """Set values of a clone's own configuration.

    Args:
        repo: The repository.
        values: The values by their names (``merge.mlgit.driver``); None takes a value away.

    Raises:
        MissingDependency: No ``git`` is installed.
        MlgitException: It refused.
    """
    program = git_program()
    if program is None:
        raise MissingDependency("This needs git", hint="install git, or set MLGIT_GIT to it")
    for name, value in values.items():
        change = ["--unset-all", name] if value is None else [name, value]
        command = [program, "--git-dir", repo.git_dir, "config", "--local", *change]
        done = subprocess.run(
            command, capture_output=True, text=True, env=settings.untranslated(), check=False
        )
        # 5: what is to be taken away isn't there.
        if done.returncode and not (value is None and done.returncode == 5):
            raise MlgitException(f"git config {name}: {done.stderr.strip()}")
