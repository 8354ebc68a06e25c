"""Which tags are the registry's, and what their names say (docs/format.md, "Registry").

The names are GTO's: ``model@v3.0.0`` registers version 3, ``model#stage#7`` assigns a stage or
alias, ``…!`` takes back. Whoever writes them, GTO or mlgit, they are never moved.
"""

from __future__ import annotations

import difflib
import re
from typing import NamedTuple

from mlgit.exceptions import MlgitException, ResourceDoesNotExist
from mlgit.git import Repository
from mlgit.git.commits import parse_commit
from mlgit.git.trees import resolve_commit
from mlgit.store import names, spelling

TAGS = "refs/tags/"
_TAG = re.compile(
    r"^refs/tags/(?P<model>[^@#!^]+)"
    r"(?:@v(?P<version>[0-9]+)\.[0-9]+\.[0-9]+(?P<gone>!?)|@(?:created|deprecated)"
    r"|#(?P<alias>[^@#!^]+)(?P<unassigned>!?))"
    r"(?:#(?P<count>[0-9]+))?\Z"
)


# How many versions of a model may stand on one run's commit.
_MOST_ON_TOP = 1000


class Version(NamedTuple):
    """A registered version: its number, and the commit that it is of."""

    number: int
    commit: str


def is_registry_tag(ref: str) -> bool:
    """Whether a ref is a tag that registers or assigns, or takes that back."""
    return bool(_TAG.match(ref))


def registry_tags(refs: dict[str, str]) -> dict[str, str]:
    """Those of some refs that are the registry's tags."""
    return {ref: sha for ref, sha in refs.items() if is_registry_tag(ref)}


def versions(repo: Repository) -> dict[str, list[Version]]:
    """Every registered model's versions, by the model's name as tags spell it.

    Versions that were taken back, and tags that lead to nothing here, are left out.
    """
    newest: dict[tuple[str, int], tuple[int, bool, str]] = {}
    for ref, sha in repo.refs.items(TAGS).items():
        match = _TAG.match(ref)
        if match and match["version"]:
            key = match["model"], int(match["version"])
            event = int(match["count"] or 0), bool(match["gone"]), sha
            newest[key] = max(newest.get(key, event), event)
    found: dict[str, list[Version]] = {}
    for (model, number), (_, gone, sha) in sorted(newest.items()):
        if gone:
            continue
        try:
            commit = resolve_commit(repo.objects, sha)
        except MlgitException:
            continue  # mlgit fsck tells
        found.setdefault(model, []).append(Version(number, commit))
    return found


def versions_of(repo: Repository, model: str) -> list[Version]:
    """A model's versions.

    Args:
        repo: The repository.
        model: Its name when it was made, or as tags spell it.

    Raises:
        ResourceDoesNotExist: None is registered.
    """
    known = versions(repo)
    model = model if model in known else spelling.spell(model)
    if model not in known:
        close = difflib.get_close_matches(model, known, 1)
        raise ResourceDoesNotExist(
            f"No version of a model {model!r} is registered here",
            hint=f"did you mean {close[0]!r}?"
            if close
            else "mlgit fetch brings the registry's tags from a Git remote",
        )
    return known[model]


def run_refs(repo: Repository, sha: str) -> list[str]:
    """The names of the refs of the run, and of its experiment, that a tag is about.

    Args:
        repo: The repository.
        sha: What the tag's ref holds.
    """
    try:
        commit = run_commit(repo, resolve_commit(repo.objects, sha))
    except MlgitException:
        return []  # a tag of something else
    found = parse_commit(repo.objects.commit(commit)).trailers() if commit else {}
    run_id, experiment_id = found.get("Mlgit-Run"), found.get("Mlgit-Experiment")
    if not run_id or not experiment_id:
        return []
    return [names.run_ref(experiment_id, run_id), names.EXPERIMENTS + experiment_id]


def run_commit(repo: Repository, commit: str) -> str | None:
    """The run's commit that a version's commit is, or stands on; None for code alone.

    Raises:
        ResourceDoesNotExist, CorruptData: A commit can't be read.
    """
    for _ in range(_MOST_ON_TOP):
        parsed = parse_commit(repo.objects.commit(commit))
        if "Mlgit-Run" in parsed.trailers():
            return commit
        # Only what has the same tree is there for its version's sake.
        below = parsed.parents[0] if parsed.parents else None
        if below is None or parse_commit(repo.objects.commit(below)).tree != parsed.tree:
            return None
        commit = below
    return None
