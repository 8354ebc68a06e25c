"""How the commits of one run, or of one experiment, stand on each other.

Merges have two parents, so a run's history is a graph; it ends where the code begins, which a
run's first commit stands on and which isn't a part of its history.
"""

from __future__ import annotations

from collections.abc import Collection

from mlgit.exceptions import MlgitException
from mlgit.git import Repository
from mlgit.git.commits import Commit, parse_commit


def of_one_thing(commit: Commit) -> str:
    """What a commit is a state of: a run, a registered model's text, an experiment (or its
    archive), or "" for another.
    """
    trailers = commit.trailers()
    if "Mlgit-Run" in trailers:
        return "run " + trailers["Mlgit-Run"]
    if "Mlgit-Model" in trailers:
        return "model " + trailers["Mlgit-Model"]
    return trailers.get("Mlgit-Experiment", "")


def lineage(repo: Repository, sha: str, stop: Collection[str] = ()) -> dict[str, tuple[str, ...]]:
    """The commits of one thing that a commit is, or stands on, and the parents of each.

    Args:
        repo: The repository.
        sha: The newest.
        stop: Commits that end the walk; they are not in the answer.

    Returns:
        The parents by commit, newest first; parents that are the code's, or aren't in this
        clone, are left out.
    """
    found: dict[str, tuple[str, ...]] = {}
    kind: str | None = None
    level = [sha]
    while level:
        above: list[str] = []
        for at in level:
            if at in found or at in stop:
                continue
            try:
                commit = parse_commit(repo.objects.commit(at))
            except MlgitException:
                continue  # not in this clone
            its_kind = of_one_thing(commit)
            if kind is None:
                kind = its_kind
            if its_kind == kind:
                found[at] = commit.parents
                above += commit.parents
        level = above
    return {
        at: tuple(p for p in parents if p in found or p in stop) for at, parents in found.items()
    }


def stands_on(repo: Repository, newer: str, older: str) -> bool:
    """Whether one commit of a thing was made, by whatever many changes, on top of another."""
    if newer == older:
        return True
    pending, seen = [newer], {newer}
    kind: str | None = None
    while pending:
        try:
            commit = parse_commit(repo.objects.commit(pending.pop()))
        except MlgitException:
            continue  # not in this clone
        its_kind = of_one_thing(commit)
        if kind is None:
            kind = its_kind
        if its_kind != kind:
            continue
        if older in commit.parents:
            return _is_kind(repo, older, kind)
        pending += [parent for parent in commit.parents if parent not in seen]
        seen.update(commit.parents)
    return False


def _is_kind(repo: Repository, sha: str, kind: str) -> bool:
    try:
        return of_one_thing(parse_commit(repo.objects.commit(sha))) == kind
    except MlgitException:
        return True  # a shallow clone ends there


def merge_base(repo: Repository, ours: str, theirs: str) -> str | None:
    """The newest commit that both stand on; None where they share none.

    Where several could be (two clones merged the same, differently), it is the same one
    whoever asks.
    """
    mine, yours = lineage(repo, ours), lineage(repo, theirs)
    common = mine.keys() & yours.keys()
    older = {parent for sha in common for parent in mine[sha]}
    return min(common - older, default=None)
