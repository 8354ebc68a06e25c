"""Checking that a remote has the objects that pushed refs name, and that they are whole."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field

from mlgit.exceptions import CorruptData, MlgitException, ResourceDoesNotExist
from mlgit.objects import Entry, parse_manifest
from mlgit.objects.remote import RemoteObjects, key_of
from mlgit.objects.transfer import download
from mlgit.store import names, pushed, reach
from mlgit.store.archive_record import read_archive
from mlgit.store.fsck import Problem, Progress, Report
from mlgit.store.gitstore import GitStore
from mlgit.store.roots import Roots, artifacts_blob, read_artifacts


def check_remote(
    store: GitStore,
    remote: RemoteObjects,
    *,
    whole: bool = False,
    progress: Progress | None = None,
) -> Report:
    """Check that everything that others can name is on a remote, with the right size.

    Args:
        store: The store.
        remote: The remote's objects.
        whole: Download every object and compare its digest, too.
        progress: Is told how many of how many are checked.

    Raises:
        PermissionDenied, ResourceDoesNotExist, StorageError: The remote can't be read.
    """
    return _RemoteCheck(store, remote, progress or (lambda done, total: None)).run(whole)


@dataclass
class _RemoteCheck:
    store: GitStore
    remote: RemoteObjects
    progress: Progress
    report: Report = field(default_factory=Report)
    there: dict[str, int] = field(default_factory=dict)
    looked_at: dict[str, str] = field(default_factory=dict)

    def run(self, whole: bool) -> Report:
        self.there = {sha: size for sha, size, _ in self.remote.list()}
        for where, entries in self.named():
            for name, entry in entries.items():
                self.entry(where, name, entry)
        counts = dict.fromkeys(self.report.counts, 0)
        self.report.counts = {**counts, "objects": len(self.looked_at)}
        if whole:
            self.download()
        return self.report

    def add(self, where: str, message: str, hint: str = "") -> None:
        self.report.problems.append(Problem(where, message, hint))

    # -- what is named

    def named(self) -> Iterator[tuple[str, dict[str, Entry]]]:
        """The (ref or file, entries by name) of everything that others can see."""
        seen: set[str] = set()
        for ref, sha in self.run_commits():
            try:
                blob = artifacts_blob(self.store.repo, sha)
                if blob is not None and blob not in seen:
                    seen.add(blob)
                    yield ref, read_artifacts(self.store.repo, blob, ref)
            except MlgitException as error:
                self.add(ref, error.message, error.hint)
        for ref, sha in sorted(self.branches().items()):
            roots = Roots(self.store.repo, reach.pointer_entry)
            roots.tip(sha, ref)
            for problem in roots.unreadable:
                self.add(problem.where, problem.message, problem.hint)
            yield ref, {f"data {entry.sha256[:10]}": entry for entry in roots.entries}

    def run_commits(self) -> Iterator[tuple[str, str]]:
        for ref, sha in sorted(self.pushed_refs().items()):
            if ref.startswith(names.RUNS):
                yield ref, sha
            elif ref.startswith(names.ARCHIVE):
                try:
                    runs = read_archive(self.store.repo, sha)
                except MlgitException as error:
                    self.add(ref, error.message, error.hint)
                    continue
                for run_id, commit in runs.items():
                    yield names.run_ref(ref[len(names.ARCHIVE) :], run_id), commit

    def pushed_refs(self) -> dict[str, str]:
        """What Git remotes have, as far as it is here; all there is where none was spoken to."""
        repo = self.store.repo
        known: dict[str, str] = {}
        spoken = False
        for name in repo.remotes():
            refs = pushed.known(repo, name)
            spoken = spoken or refs is not None
            known.update(refs or {})
        if not spoken:
            return repo.refs.items("refs/mlgit/")
        return {ref: sha for ref, sha in known.items() if repo.objects.exists(sha)}

    def branches(self) -> dict[str, str]:
        """The remotes' branches; one's own where there are no others."""
        refs = self.store.repo.refs
        return refs.items("refs/remotes/") or refs.items("refs/heads/")

    # -- whether it is there

    def entry(self, where: str, path: str, entry: Entry) -> None:
        sha = entry.sha256
        if sha in self.looked_at:
            return
        self.looked_at[sha] = f"{where}: {path}"
        self.progress(len(self.looked_at), len(self.there))
        size = self.there.get(sha)
        if size is None:
            here = "" if self.store.objects.has(sha) else "whoever has it can: "
            hint = f"{here}mlgit push --all-artifacts puts it there"
            self.add(where, f"{path}: its object {sha} isn't on {self.remote.where}", hint)
        elif entry.kind != "d" and size != entry.size:
            self.wrong(where, path, sha, f"has {size} bytes, not {entry.size}")
        if entry.kind == "d":
            self.folder(where, path, sha)

    def folder(self, where: str, path: str, sha: str) -> None:
        objects = self.store.objects
        try:
            if not objects.has(sha) and sha in self.there:
                download(objects, self.remote, {sha: self.there[sha]})
            data = objects.read(sha)
            below = parse_manifest(data)
        except ResourceDoesNotExist:
            return  # nobody here knows what it holds; that it isn't there is told
        except MlgitException as error:
            self.add(where, f"{path}/: {error.message}", error.hint)
            return
        if self.there.get(sha, len(data)) != len(data):
            self.wrong(where, path, sha, f"has {self.there[sha]} bytes, not {len(data)}")
        for name, entry in below.items():
            self.entry(where, f"{path}/{name}", entry)

    def wrong(self, where: str, path: str, sha: str, what: str) -> None:
        """An object on the remote that isn't what its name says."""
        place = f"{self.remote.url.rstrip('/')}/{key_of(sha)}"
        self.add(
            where,
            f"{path}: the object {sha} on {self.remote.where} {what}",
            f"remove {place}, and push from a clone that has it",
        )

    def download(self) -> None:
        """Read every object that is there to its end."""
        place = self.store.objects.temporary_name()
        wanted = [sha for sha in self.looked_at if sha in self.there]
        for done, sha in enumerate(wanted):
            self.progress(done, len(wanted))
            try:
                self.remote.download(sha, place)
            except CorruptData:
                where, _, path = self.looked_at[sha].partition(": ")
                self.wrong(where, path, sha, "is damaged")
            except ResourceDoesNotExist as error:
                self.add(self.looked_at[sha], error.message, error.hint)
            finally:
                if os.path.exists(place):
                    os.unlink(place)
