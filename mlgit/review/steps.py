"""The commands to go on with from a run: its code, its files, and what it may become."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from mlgit.review.show import visible


def next_steps(
    run_id: str,
    commit: str | None,
    *,
    in_worktree: bool,
    has_artifacts: bool,
    command: str = "",
    models: Sequence[str] = (),
) -> list[tuple[str, str]]:
    """What a person can do with a run.

    Args:
        run_id: The run.
        commit: Its newest commit, or None while it has none.
        in_worktree: Whether the repository has a worktree, beside which another can be made.
        has_artifacts: Whether it logged any.
        command: How it was started, as it says itself.
        models: The paths of its models.

    Returns:
        (command, what it is for), to be run in the repository.
    """
    short = run_id[:8]
    steps = []
    if commit:
        at = commit[:12]
        if in_worktree:
            steps.append((f"git worktree add ../{short} {at}", "the code as it ran"))
            if command.strip():
                steps.append((f"cd ../{short} && {visible(command.strip())}", "run it again"))
            steps.append((f"git merge --ff-only {at}", "accept it: the branch goes on from it"))
        steps.append((f"git log {at}", "the changes to this run, then the code's"))
    if has_artifacts:
        steps.append((f"mlgit artifacts download {short}", "the artifacts"))
    for path in models:
        source = shlex.quote(visible(f"runs:/{run_id}/{path}"))
        steps.append((f"mlgit models register {source} NAME", "register its model under a name"))
    return steps
