"""Archive commits, written and read (docs/format.md, "Archive commits")."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from mlgit.exceptions import CorruptData, MlgitException
from mlgit.git import Repository
from mlgit.git.commits import Commit, format_commit, parse_commit, signature
from mlgit.git.trees import FILE, entry, format_tree
from mlgit.store import names

FILE_NAME = b"runs.tsv"
_LINE = re.compile(r"([A-Za-z0-9][A-Za-z0-9_-]{0,255})\t([0-9a-f]{40})\n")


@dataclass(frozen=True)
class Link:
    """One archive commit of a chain.

    Attributes:
        sha: The commit.
        runs: The runs that it folds: run id → commit.
        before: The archive commit before, or None.
        parents: All of its parents.
    """

    sha: str
    runs: dict[str, str]
    before: str | None
    parents: tuple[str, ...]


def write_link(
    repo: Repository,
    experiment_id: str,
    title: str,
    runs: Mapping[str, str],
    parents: Sequence[str],
    seconds: int,
    now: int,
) -> list[str]:
    """Write the objects of one archive commit.

    Args:
        repo: The repository.
        experiment_id: The experiment whose runs they are.
        title: Its name, for people.
        runs: The runs to fold: run id → commit.
        parents: The archive commit before, if there is one, and the runs' commits.
        seconds: The newest parent's time, in seconds since 1970; it becomes this commit's.
        now: When the runs are folded, in milliseconds since 1970.

    Returns:
        The names of what was written, the commit last. No ref points at it yet.

    Raises:
        StorageError, PermissionDenied: It can't be written.
    """
    blob = repo.objects.write("blob", format_runs(runs))
    tree = repo.objects.write("tree", format_tree({FILE_NAME: (FILE, blob)}))
    commit = Commit(
        tree,
        tuple(parents),
        signature(repo.author(), now),
        signature(repo.committer(), seconds * 1000),
        f"archive of {' '.join(title.split())}: {len(runs)} run{'s' * (len(runs) != 1)}\n\n"
        f"Mlgit-Experiment: {experiment_id}\n",
    )
    return [blob, tree, repo.objects.write("commit", format_commit(commit))]


def commit_seconds(repo: Repository, sha: str) -> int:
    """When a commit was made, in seconds since 1970, as Git orders commits.

    Raises:
        CorruptData: It doesn't say.
        ResourceDoesNotExist: It isn't in this clone.
    """
    committer = parse_commit(repo.objects.commit(sha)).committer
    try:
        return int(committer.rsplit(" ", 2)[-2])
    except (ValueError, IndexError) as error:
        raise CorruptData(
            f"The commit {sha} has no date", hint="git fsck tells what else is wrong"
        ) from error


def links(repo: Repository, sha: str) -> Iterator[Link]:
    """The archive commits of a chain, newest first.

    Raises:
        CorruptData: One of them isn't an archive commit.
        ResourceDoesNotExist: One isn't in this clone.
    """
    at: str | None = sha
    while at is not None:
        commit = parse_commit(repo.objects.commit(at))
        listing = entry(repo.objects.tree(commit.tree), FILE_NAME)
        if listing is None:
            raise CorruptData(f"The archive commit {at} has no runs.tsv")
        runs = parse_runs(repo.objects.blob(listing[1]), f"runs.tsv in {at[:10]}")
        first = commit.parents[0] if commit.parents else None
        before = first if first not in runs.values() else None
        yield Link(at, runs, before, commit.parents)
        at = before


def read_archive(repo: Repository, sha: str) -> dict[str, str]:
    """The runs of an archive: run id → commit.

    Args:
        repo: The repository.
        sha: What the archive's ref points at.

    Raises:
        CorruptData: It isn't an archive.
        ResourceDoesNotExist: A part of it isn't in this clone.
    """
    found: dict[str, str] = {}
    for link in reversed(list(links(repo, sha))):
        found.update(link.runs)  # what a newer commit says of a run counts
    return found


def format_runs(runs: Mapping[str, str]) -> bytes:
    """``runs.tsv``: run id → commit."""
    return "".join(f"{run_id}\t{sha}\n" for run_id, sha in sorted(runs.items())).encode()


def parse_runs(data: bytes, where: str) -> dict[str, str]:
    """The run id → commit of ``runs.tsv``.

    Args:
        data: The file.
        where: What to call it in an error.

    Raises:
        CorruptData: Its lines aren't such, or name a run twice.
    """
    text = data.decode("ascii", "replace")
    pairs = _LINE.findall(text)
    found: dict[str, str] = dict(pairs)
    if sum(len(run_id) for run_id in found) + 42 * len(pairs) != len(text):
        raise CorruptData(f"{where} holds something else than a line for each run")
    return found


class Archives:
    """What the archive refs say, each read once.

    Args:
        repo: The repository.
    """

    def __init__(self, repo: Repository) -> None:
        self.repo = repo
        self._read: dict[str, dict[str, str]] = {}

    def find(self, run_id: str) -> tuple[str, str] | None:
        """The ref that an archived run would have, and its commit; None where there is none.

        A run's own ref counts before this. An archive that can't be read is passed over: the
        index lists it among the problems.
        """
        refs = self.repo.refs.items(names.ARCHIVE)
        self._read = {sha: self._runs(sha) for sha in refs.values()}
        for ref, sha in refs.items():
            commit = self._read[sha].get(run_id)
            if commit is not None:
                return names.run_ref(ref[len(names.ARCHIVE) :], run_id), commit
        return None

    def _runs(self, sha: str) -> dict[str, str]:
        known = self._read.get(sha)
        if known is not None:
            return known
        try:
            return read_archive(self.repo, sha)
        except MlgitException:
            return {}
