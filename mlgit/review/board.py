"""Every branch beside the one that it is to be merged into: a team's list of pull requests."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from mlgit.exceptions import MlgitException
from mlgit.git.commits import parse_commit
from mlgit.review.branches import Base, Sides
from mlgit.review.metrics import MetricChange, compare_metrics, last_values
from mlgit.review.recorded import Recorded
from mlgit.store.directions import declared_directions
from mlgit.store.gitstore import GitStore
from mlgit.store.record import Record

_HEADS = "refs/heads/"
_REMOTES = "refs/remotes/"


@dataclass(frozen=True)
class Branch:
    """A branch and its last commit.

    Attributes:
        name: Without ``refs/heads/``; of a remote's with the remote: ``origin/topic``.
        commit: The commit.
        subject, author: What the commit says.
        date: In milliseconds since 1970; None where the commit doesn't tell.
    """

    name: str
    commit: str
    subject: str
    author: str
    date: int | None


@dataclass(frozen=True)
class Standing:
    """What a branch's newest run did against its base's.

    Attributes:
        branch: The branch.
        run: The run that stands for it, or None.
        base_run: The run that it is compared with, or None.
        metrics: All metrics of the two, from their last values.
        merged: Whether the base has all of its commits.
        remarks: What to know of the choice of the runs.
        problem: Why nothing is known; "" otherwise.
    """

    branch: Branch
    run: Record | None = None
    base_run: Record | None = None
    metrics: tuple[MetricChange, ...] = ()
    merged: bool = False
    remarks: tuple[str, ...] = ()
    problem: str = ""


def branches(store: GitStore, part: str = "") -> list[Branch]:
    """The repository's branches, those with the newest commits first.

    A remote's branch is left out where a local one of its name has the same commit.

    Args:
        store: The repository.
        part: What their names have in them.
    """
    refs = store.repo.refs
    local = {name.removeprefix(_HEADS): sha for name, sha in refs.items(_HEADS).items()}
    found = dict(local)
    for name, sha in refs.items(_REMOTES).items():
        short = name.removeprefix(_REMOTES)
        below = short.partition("/")[2]
        if below != "HEAD" and local.get(below) != sha:
            found[short] = sha
    wanted = [(name, sha) for name, sha in found.items() if part.lower() in name.lower()]
    made = [_branch(store, name, sha) for name, sha in wanted]
    return sorted(made, key=lambda branch: (-(branch.date or 0), branch.name))


def _branch(store: GitStore, name: str, sha: str) -> Branch:
    try:
        commit = parse_commit(store.repo.objects.commit(sha))
    except MlgitException as error:
        return Branch(name, sha, error.message, "", None)
    words = commit.committer.split()
    date = int(words[-2]) * 1000 if len(words) > 1 and words[-2].isdecimal() else None
    return Branch(name, sha, commit.subject, commit.author.partition(" <")[0], date)


def standings(store: GitStore, base: str, chosen: Sequence[Branch]) -> Iterator[Standing]:
    """What the branches' newest runs did against the base's.

    What a branch costs depends on its own commits since it parted, and not on how many runs there
    are. What is noise is not told apart here; ``compare`` does that.

    Args:
        store: The repository.
        base: What they are to be merged into.
        chosen: The branches.

    Raises:
        ResourceDoesNotExist: There is no such base.
        CorruptData, Unsupported: The configuration can't be read.
    """
    against = Base(store, base)
    stand = partial(_standing, against, declared_directions(store.repo))
    return map(stand, chosen)


def _standing(base: Base, declared: Mapping[str, str | None], branch: Branch) -> Standing:
    try:
        # By its whole name: a tag or a run may have the short one too.
        kind = _HEADS if base.store.repo.refs.read(_HEADS + branch.name) else _REMOTES
        sides = base.sides(kind + branch.name)
        if sides.merged:
            return Standing(branch, merged=True, remarks=(f"{base.text} has all of it",))
        old, new = _newest_pair(sides)
    except MlgitException as error:
        return Standing(branch, problem=error.message)
    tags = {**(old.tags if old else {}), **(new.tags if new else {})}
    metrics = compare_metrics(last_values(old), last_values(new), tags, declared) if new else ()
    return Standing(branch, new, old, metrics, remarks=sides.remarks)


def _newest_pair(sides: Sides) -> tuple[Record | None, Record | None]:
    """The newest run of the branch, and the base's of the same experiment, or its only one."""
    new = max(map(_loaded, sides.head.records), key=_start, default=None)
    old = list(map(_loaded, sides.base.records))
    if new is not None and len(old) > 1:
        old = [record for record in old if record.experiment == new.experiment]
    return max(old, key=_start, default=None), new


def _loaded(recorded: Recorded) -> Record:
    return recorded.load()[0]


def _start(record: Record) -> int:
    return record.start_time or 0
