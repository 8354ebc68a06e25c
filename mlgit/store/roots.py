"""What a repository's Git objects name: the artifacts of runs, and pointers to data.

Everything here is read once: a commit, a tree or a file that thousands of runs share costs as
much as one that a single run has.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from mlgit.exceptions import CorruptData, MlgitException, ResourceDoesNotExist
from mlgit.git import Repository
from mlgit.git.commits import Commit, parse_commit
from mlgit.git.trees import entry, parse_tree
from mlgit.objects import Entry
from mlgit.store import names
from mlgit.store import record as files

POINTER = b".mlgit"
_ARTIFACTS = b"artifacts.yaml"
_ROOT, _BELOW, _STATE, _EXPERIMENTS, _RECORD = range(5)


@dataclass(frozen=True)
class Unreadable:
    """Something that may name objects and can't be read.

    Attributes:
        where: The ref, commit, file or journal.
        message: Why.
        hint: What can be done, or "".
    """

    where: str
    message: str
    hint: str = ""


@dataclass
class Roots:
    """Collects the entries that commits and trees name.

    Args:
        repo: The repository.
        parse_pointer: Reads a pointer file: its bytes and what to call it, to its entry.

    Attributes:
        entries: What was found.
        unreadable: What couldn't be read.
    """

    repo: Repository
    parse_pointer: Callable[[bytes, str], Entry]
    entries: set[Entry] = field(default_factory=set)
    unreadable: list[Unreadable] = field(default_factory=list)
    _commits: set[str] = field(default_factory=set)
    _trees: set[tuple[str, int]] = field(default_factory=set)
    _blobs: set[str] = field(default_factory=set)

    # -- commits

    def run(self, sha: str, where: str) -> None:
        """A run's commit and its older ones."""
        for at, commit in self._run_commits(sha, where):
            self._commits.add(at)
            self.tree(commit.tree, where)

    def _run_commits(self, sha: str, where: str) -> Iterator[tuple[str, Commit]]:
        """Those that weren't looked at before; their own trailers tell where a run begins."""
        run_id = None
        pending = [sha]
        while pending:
            at = pending.pop()
            if at in self._commits:
                continue
            commit = self._commit(at, where)
            its_run = commit.trailers().get("Mlgit-Run") if commit else None
            if commit is None or its_run is None or run_id not in (None, its_run):
                continue  # the code that it stands on, or another run that was accepted
            run_id = its_run
            yield at, commit
            # Both parents, where two clones' changes were merged.
            pending += commit.parents

    def commit(self, sha: str, where: str) -> None:
        """What one commit's tree names, and no older commit's."""
        commit = self._commit(sha, where)
        if commit is not None:
            self.tree(commit.tree, where)

    def tip(self, sha: str, where: str) -> None:
        """A commit's tree, and if it is a run's, the run's older commits."""
        commit = self._commit(sha, where)
        if commit is None:
            return
        self.tree(commit.tree, where)
        if "Mlgit-Run" in commit.trailers():
            self.run(sha, where)

    def history(self, tips: Iterable[str], where: str) -> None:
        """The trees of all commits that some commits lead to."""
        seen: set[str] = set()
        pending = list(tips)
        while pending:
            sha = pending.pop()
            if sha in seen:
                continue
            seen.add(sha)
            commit = self._commit(sha, where)
            if commit is not None:
                self.tree(commit.tree, where)
                pending += commit.parents

    def _commit(self, sha: str, where: str) -> Commit | None:
        try:
            return parse_commit(self.repo.objects.commit(sha))
        except ResourceDoesNotExist as error:
            if not self._is_shallow():
                self._note(where, error)
        except MlgitException as error:
            self._note(where, error)
        return None

    def _is_shallow(self) -> bool:
        """Whether commits may be missing because the clone is a shallow one."""
        return os.path.exists(f"{self.repo.common_dir}/shallow")

    # -- trees and files

    def tree(self, sha: str, where: str) -> None:
        """All pointers, and all records of runs, that a commit's tree holds."""
        pending = [(sha, _ROOT)]
        while pending:
            key = pending.pop()
            if key in self._trees:
                continue
            self._trees.add(key)
            try:
                raw = self.repo.objects.tree(key[0])
            except MlgitException as error:
                self._note(where, error)
                continue
            pending += self._below(raw, key[1], where)

    def _below(self, raw: bytes, state: int, where: str) -> Iterator[tuple[str, int]]:
        """The folders of a tree that are to be looked into; its files are."""
        if state == _RECORD:
            found = entry(raw, _ARTIFACTS)
            if found is not None:
                self.artifacts(found[1], where)
            return
        for name, mode, sha in parse_tree(raw):
            if mode == b"40000":
                if state == _STATE:
                    if name == b"experiments":
                        yield sha, _EXPERIMENTS
                elif state == _EXPERIMENTS:
                    yield sha, _RECORD
                else:
                    yield sha, _STATE if state == _ROOT and name == POINTER else _BELOW
            elif name.endswith(POINTER) and name != POINTER and mode.startswith(b"100"):
                self._pointer_blob(sha, name, where)

    def artifacts(self, blob: str, where: str) -> None:
        """What an artifacts.yaml names."""
        if blob in self._blobs:
            return
        self._blobs.add(blob)
        try:
            self.entries.update(read_artifacts(self.repo, blob, where).values())
        except MlgitException as error:
            self._note(where, error)

    def _pointer_blob(self, blob: str, name: bytes, where: str) -> None:
        if blob in self._blobs:
            return
        self._blobs.add(blob)
        shown = f"{name.decode('utf-8', 'replace')} in {where}"
        try:
            self.pointer(self.repo.objects.blob(blob), shown)
        except MlgitException as error:
            self._note(where, error)

    def index_entries(self, entries: Iterable[tuple[bytes, str]], where: str) -> None:
        """The pointers among the (path, blob) pairs of a Git index."""
        for path, blob in entries:
            name = path.rsplit(b"/", 1)[-1]
            if name.endswith(POINTER) and name != POINTER:
                self._pointer_blob(blob, path, where)

    def pointer(self, data: bytes, shown: str) -> None:
        """What a pointer file names."""
        try:
            self.entries.add(self.parse_pointer(data, shown))
        except MlgitException as error:
            self._note(shown, error)

    def _note(self, where: str, error: MlgitException) -> None:
        self.unreadable.append(Unreadable(where, error.message, error.hint))


def run_commits(repo: Repository, sha: str) -> list[str]:
    """A run's newest commit and all of its older ones, as far as they can be read."""
    roots = Roots(repo, lambda data, shown: Entry("f", "", 0))
    found = []
    for at, _ in roots._run_commits(sha, sha[:10]):
        roots._commits.add(at)
        found.append(at)
    return found


def read_artifacts(repo: Repository, blob: str, where: str) -> dict[str, Entry]:
    """The entries of an artifacts.yaml, from its Git blob.

    Raises:
        CorruptData, Unsupported, ResourceDoesNotExist: It can't be read.
    """
    return files.parse_artifacts(repo.objects.blob(blob), f"artifacts.yaml in {where}")


def artifacts_blob(repo: Repository, commit: str) -> str | None:
    """The Git blob of a run commit's artifacts.yaml; None where it logged none.

    Raises:
        CorruptData: It isn't a run's commit.
        ResourceDoesNotExist: A part of it isn't in this clone.
    """
    parsed = parse_commit(repo.objects.commit(commit))
    folder = parsed.trailers().get("Mlgit-Record", "")
    if not folder.startswith(names.RECORDS):
        raise CorruptData(f"The commit {commit} isn't a run's: it has no Mlgit-Record trailer")
    sha = parsed.tree
    for part in folder.encode("utf-8", "surrogateescape").split(b"/"):
        found = entry(repo.objects.tree(sha), part)
        if found is None:
            raise CorruptData(f"The commit {commit} has no {folder}")
        sha = found[1]
    listed = entry(repo.objects.tree(sha), _ARTIFACTS)
    return listed[1] if listed else None
