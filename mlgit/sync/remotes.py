"""Which Git remote is meant, and how a clone reaches it."""

from __future__ import annotations

from mlgit.exceptions import ResourceDoesNotExist
from mlgit.git import Repository


def default_remote(repo: Repository) -> str:
    """The Git remote that is meant where none is named: the branch's, "origin", or the only one.

    Raises:
        ResourceDoesNotExist: There is none, or several could be meant.
    """
    known = repo.remotes()
    branch = repo.head().branch
    # As it is configured now: a long-lived process may have read it before.
    now = Repository(repo.git_dir, repo.worktree)
    chosen = now.configured("branch", "remote", branch) if branch else None
    if chosen and chosen != ".":
        return chosen
    if "origin" in known or len(known) == 1:
        return "origin" if "origin" in known else known[0]
    if known:
        raise ResourceDoesNotExist(
            f"Which Git remote is meant? There are {', '.join(known)}",
            hint=f"name it: mlgit push {known[0]}",
        )
    raise ResourceDoesNotExist(
        "This repository has no Git remote", hint="git remote add origin URL"
    )
