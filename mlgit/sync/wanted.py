"""Which objects some refs lead to."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping

from mlgit.exceptions import MlgitException, ResourceDoesNotExist
from mlgit.git.trees import resolve_commit
from mlgit.objects import Entry, transfer
from mlgit.objects.remote import RemoteObjects
from mlgit.objects.whole import LARGE, Whole
from mlgit.store import names
from mlgit.store.archive_record import links
from mlgit.store.gitstore import GitStore
from mlgit.store.lineage import lineage
from mlgit.store.reach import expand, pointer_entry, pointer_files
from mlgit.store.registry_tags import TAGS, run_commit
from mlgit.store.roots import Roots

Progress = Callable[[int, int], None]
NOTHING = transfer.Transferred(0, 0, 0)


def new_entries(store: GitStore, refs: Mapping[str, str], there: Mapping[str, str]) -> set[Entry]:
    """What refs that are about to be pushed name and what the remote has doesn't.

    Args:
        store: The store.
        refs: The refs and their commits.
        there: The remote's refs. By the invariant, the objects of their commits are shared.

    Raises:
        CorruptData, Unsupported, ResourceDoesNotExist: A record can't be read.
    """
    known = set(there.values())
    new: list[str] = []
    old: set[str] = set()
    for ref, sha in refs.items():
        if ref.startswith(names.RUNS):
            _run(store, sha, known, new, old)
        elif ref.startswith(names.ARCHIVE):
            for link in links(store.repo, sha):
                if link.sha == there.get(ref):
                    break
                for commit in link.runs.values():
                    _run(store, commit, known, new, old)
        elif ref.startswith(TAGS):
            named = _run_of_tag(store, sha)
            if named is not None:
                _run(store, named, known, new, old)
    roots = Roots(store.repo, pointer_entry)
    # What the remote has first: trees that the new commits share with these aren't read again.
    for sha in sorted(old):
        roots.commit(sha, sha[:10])
    shared = set(roots.entries)
    for sha in new:
        roots.commit(sha, sha[:10])
    if roots.unreadable:
        first = roots.unreadable[0]
        raise MlgitException(
            f"{first.where}: {first.message}", "DATA_LOSS", hint=first.hint or "mlgit fsck"
        )
    return roots.entries - shared


def _run(store: GitStore, sha: str, known: set[str], new: list[str], old: set[str]) -> None:
    """A run's commits that the remote lacks, and those of the remote that they stand on."""
    if sha in known:
        return
    found = lineage(store.repo, sha, known)
    new += found
    old.update(p for parents in found.values() for p in parents if p in known)


def _run_of_tag(store: GitStore, sha: str) -> str | None:
    """The commit that a tag names, if it is a run's; the code's own has no artifacts."""
    try:
        return run_commit(store.repo, resolve_commit(store.repo.objects, sha))
    except ResourceDoesNotExist:
        return None  # a tag of something else


def entries_of_runs(store: GitStore, commits: Iterable[str]) -> set[Entry]:
    """The artifacts of some runs' commits, and the data of the code that they ran."""
    roots = Roots(store.repo, pointer_entry)
    for sha in commits:
        roots.commit(sha, sha[:10])
    return roots.entries


def entries_of_refs(store: GitStore, refs: Mapping[str, str]) -> set[Entry]:
    """What the newest commits of refs name; what can't be read is left to ``mlgit fsck``."""
    commits: set[str] = set()
    for ref, sha in refs.items():
        if ref.startswith(names.RUNS):
            commits.add(sha)
        elif ref.startswith(names.ARCHIVE):
            for link in links(store.repo, sha):
                commits.update(link.runs.values())
        elif ref.startswith(TAGS) and (commit := _run_of_tag(store, sha)) is not None:
            commits.add(commit)
    return entries_of_runs(store, commits)


def data_entries(store: GitStore) -> set[Entry]:
    """What the pointer files of the commit that is checked out, and of the worktree, name."""
    repo = store.repo
    roots = Roots(repo, pointer_entry)
    head = repo.head().commit
    if head is not None:
        roots.commit(head, "HEAD")
    if repo.worktree is not None:
        for path in pointer_files(repo.worktree):
            try:
                with open(path, "rb") as f:
                    roots.pointer(f.read(), path)
            except OSError:
                continue
    return roots.entries


def upload(
    store: GitStore,
    remote: RemoteObjects,
    needed: set[Entry],
    at_hand: set[Entry],
    progress: Progress | None = None,
) -> transfer.Transferred:
    """Put what entries reach to a remote.

    Args:
        store: The store.
        remote: Where to.
        needed: What must be there afterwards, from here or from before.
        at_hand: What is put there as far as it is here.
        progress: Is told how many bytes of how many are done.

    Raises:
        ResourceDoesNotExist: Something that is needed is neither here nor there.
        What ``transfer.upload`` raises.
    """

    def fetch(manifests: set[str]) -> None:
        transfer.download(store.objects, remote, dict.fromkeys(manifests, 0))

    sizes = expand(store.objects, needed, fetch)
    extra = expand(store.objects, at_hand, missing=set())
    sizes.update((sha, size) for sha, size in extra.items() if store.objects.has(sha))
    return transfer.upload(store.objects, remote, sizes, progress)


def is_here(store: GitStore, entries: Iterable[Entry]) -> bool:
    """Whether everything that entries reach is in this clone, so that no remote is needed."""
    missing: set[str] = set()
    sizes = expand(store.objects, entries, missing=missing)
    return not missing and all(store.objects.size(sha, n) is not None for sha, n in sizes.items())


def download(
    store: GitStore,
    remote: RemoteObjects,
    entries: set[Entry],
    progress: Progress | None = None,
    *,
    data: Iterable[Entry] = (),
    left: dict[str, int] | None = None,
) -> transfer.Transferred:
    """Fetch what entries reach from a remote, folders before what is in them.

    Args:
        store: The store.
        remote: Where from.
        entries: What is wanted.
        progress: Is told how many bytes of how many are done.
        data: Those of the entries that are placed in the worktree afterwards.
        left: Is given the large objects of these, with their sizes, that are linked rather
            than copied: who places one reads it then, and needn't have read it before.

    Raises:
        What ``transfer.download`` raises.
    """
    listed: list[transfer.Transferred] = []

    def fetch(manifests: set[str]) -> None:
        # Their own sizes aren't known before they are here.
        listed.append(transfer.download(store.objects, remote, dict.fromkeys(manifests, 0)))

    sizes = expand(store.objects, entries, fetch)
    if left is not None:
        left.update(_linkable(store, remote, sizes, data))
        sizes = {sha: size for sha, size in sizes.items() if sha not in left}
    done = transfer.download(store.objects, remote, sizes, progress)
    count = sum(some.objects for some in listed)
    size = sum(some.bytes for some in listed)
    return transfer.Transferred(done.objects + count, done.bytes + size, done.already - count)


def _linkable(
    store: GitStore, remote: RemoteObjects, sizes: Mapping[str, int], data: Iterable[Entry]
) -> dict[str, int]:
    """The large objects of data that aren't here, and would be links to the remote's, which
    nobody has read yet."""
    large = {sha: n for sha, n in sizes.items() if n >= LARGE and not store.objects.has(sha)}
    if not large:
        return {}
    placed = expand(store.objects, data, missing=set())
    into = os.path.dirname(store.objects.temporary_name())
    read = Whole()
    found = {}
    for sha in large.keys() & placed.keys():
        source = remote.linkable(sha, into)
        if source is not None and not read.knows(source, sha):
            found[sha] = large[sha]
    return found
