"""Which objects are reached, and from where.

``artifacts_of`` answers for some runs, for who moves them; ``reachable`` for everything that a
clone names, for who removes what nobody needs.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mlgit.exceptions import CorruptData, MlgitException, ResourceDoesNotExist
from mlgit.git import Repository
from mlgit.git.trees import resolve_commit
from mlgit.objects import Entry, LocalObjects, parse_manifest
from mlgit.store import journal, names
from mlgit.store.archive_record import links
from mlgit.store.roots import POINTER, Roots, Unreadable, artifacts_blob, read_artifacts

if TYPE_CHECKING:
    from mlgit.store.gitstore import GitStore

Fetch = Callable[[set[str]], None]
SCOPES = ("here", "branches", "history")
_BRANCHES = ("refs/heads/", "refs/remotes/")


@dataclass
class Reached:
    """What is reached.

    Attributes:
        objects: Manifests and files: SHA-256 → size in bytes. Of a manifest that can't be
            read the size is 0.
        missing: The manifests that aren't in this clone, so that what they name isn't known.
        unreadable: What may name objects too, and can't be read.
    """

    objects: dict[str, int] = field(default_factory=dict)
    missing: set[str] = field(default_factory=set)
    unreadable: list[Unreadable] = field(default_factory=list)


def expand(
    objects: LocalObjects,
    entries: Iterable[Entry],
    fetch: Fetch | None = None,
    *,
    missing: set[str] | None = None,
) -> dict[str, int]:
    """Every object that some entries reach: their own, and what is below folders.

    Args:
        objects: Where the manifests are; each is read once.
        entries: Files and folders.
        fetch: Called with the manifests that aren't here, a level of folders at a time; it
            puts them here.
        missing: Gets the manifests that still aren't here, or are damaged; without it, that
            is an error.

    Returns:
        SHA-256 → size in bytes, manifests included.

    Raises:
        ResourceDoesNotExist: A manifest isn't here.
        CorruptData: One is damaged, or isn't one.
    """
    found: dict[str, int] = {}
    read: set[str] = set()
    level = set(entries)
    while level:
        folders = {entry.sha256 for entry in level if entry.kind == "d"} - read
        found.update((entry.sha256, entry.size) for entry in level if entry.kind != "d")
        if fetch is not None:
            absent = {sha for sha in folders if not objects.has(sha)}
            if absent:
                fetch(absent)
        level = set()
        for sha in folders:
            read.add(sha)
            try:
                data = objects.read(sha)
                level.update(parse_manifest(data).values())
                found[sha] = len(data)
            except (ResourceDoesNotExist, CorruptData):
                if missing is None:
                    raise
                missing.add(sha)
                found.setdefault(sha, 0)
    return found


def artifacts_of(
    store: GitStore, commits: Iterable[str], fetch_manifest: Fetch | None = None
) -> dict[str, int]:
    """Every object that the artifacts of some run commits reach.

    Args:
        store: The store.
        commits: Commits of runs; each counts for itself, not for the run's older ones.
        fetch_manifest: Puts the manifests that aren't here into the local store; see
            ``expand``.

    Returns:
        SHA-256 → size in bytes, manifests included.

    Raises:
        ResourceDoesNotExist: A manifest isn't here.
        CorruptData, Unsupported: A commit isn't a run's, or a record can't be read.
    """
    return expand(store.objects, artifact_entries(store.repo, commits), fetch_manifest)


def artifact_entries(repo: Repository, commits: Iterable[str]) -> set[Entry]:
    """The top entries of the artifacts of run commits, each artifacts.yaml read once.

    Raises:
        ResourceDoesNotExist, CorruptData, Unsupported: A commit isn't a run's, or can't be
            read.
    """
    blobs: dict[str, str] = {}
    for sha in commits:
        blob = artifacts_blob(repo, sha)
        if blob is not None:
            blobs.setdefault(blob, sha)
    entries: set[Entry] = set()
    for blob, sha in blobs.items():
        entries.update(read_artifacts(repo, blob, sha[:10]).values())
    return entries


def reachable(
    store: GitStore,
    *,
    scope: str = "branches",
    fetch: Fetch | None = None,
    also: Mapping[str, str] | None = None,
) -> Reached:
    """Every object that anything in a clone names.

    That is: all runs with all of their older commits, archives, journals of going runs, tags,
    the registry; and the pointers to data in the stash, and in the HEAD, index and files of
    each worktree.

    Args:
        store: The store.
        scope: "here" for no more than that; "branches" for the pointers at the tips of all
            branches, the remotes' too; "history" for those in all of their commits.
        fetch: Puts manifests that aren't here into the local store; see ``expand``.
        also: Refs of other repositories whose commits are here, by "<where> <ref>".
    """
    roots = all_roots(store, scope=scope, also=also)
    found = Reached(unreadable=roots.unreadable)
    found.objects = expand(store.objects, roots.entries, fetch, missing=found.missing)
    return found


def all_roots(
    store: GitStore, *, scope: str = "branches", also: Mapping[str, str] | None = None
) -> Roots:
    """The entries that anything in a clone names; see ``reachable``."""
    repo = store.repo
    roots = Roots(repo, pointer_entry)
    # In this order: a run that ends meanwhile goes from its journal to its ref, and one that
    # is archived from its ref to the archive.
    _journals(repo, roots)
    damaged: list[str] = []
    repo.refs.loose_items("refs/", damaged)
    for ref in damaged:
        roots.unreadable.append(Unreadable(ref, "its file doesn't hold a commit's name"))
    refs = repo.refs.items("refs/")
    for shown, sha in (also or {}).items():
        _elsewhere(repo, roots, sha, shown, scope)
    tips = {}
    for ref, sha in refs.items():
        if ref.startswith(names.RUNS):
            roots.run(sha, ref)
        elif ref.startswith(_BRANCHES):
            tips[ref] = sha
        elif not ref.startswith((names.ARCHIVE, names.EXPERIMENTS)):
            _named(repo, roots, sha, ref, scope)
    for ref, sha in repo.refs.items(names.ARCHIVE).items():
        _archive(repo, roots, sha, ref)
    for sha in _stashed(repo):
        roots.tip(sha, "the stash")
    if scope == "history":
        roots.history(tips.values(), "the branches' history")
    elif scope == "branches":
        for ref, sha in tips.items():
            roots.tip(sha, ref)
    for git_dir, worktree in worktrees(repo):
        _worktree(repo, roots, git_dir, worktree)
    return roots


def pointer_entry(data: bytes, shown: str) -> Entry:
    """What a pointer file names.

    Raises:
        CorruptData, Unsupported: It can't be read.
    """
    from mlgit.objects.manifest import unescaped
    from mlgit.store import yamlform
    from mlgit.store.pointers import MAX_BYTES, SUFFIX, parse_pointer

    # One that was renamed and not mended still names what is to be kept.
    path = yamlform.load(data, shown).get("path") if len(data) <= MAX_BYTES else None
    name = unescaped(path.encode()) + SUFFIX if isinstance(path, str) else shown
    return parse_pointer(data, name).entry


# -- where to look


def _named(repo: Repository, roots: Roots, sha: str, ref: str, scope: str) -> None:
    """A tag, or a ref that somebody else made."""
    try:
        commit = resolve_commit(repo.objects, sha)
    except ResourceDoesNotExist as error:
        if repo.objects.exists(sha):
            return  # a tag of a tree or a file
        roots.unreadable.append(Unreadable(ref, error.message, error.hint))
        return
    except MlgitException as error:
        roots.unreadable.append(Unreadable(ref, error.message, error.hint))
        return
    if scope == "history" and ref.rpartition(" ")[2].startswith("refs/tags/"):
        roots.history([commit], ref)
    roots.tip(commit, ref)


def _elsewhere(repo: Repository, roots: Roots, sha: str, shown: str, scope: str) -> None:
    """A ref of another repository."""
    ref = shown.rpartition(" ")[2]
    if ref.startswith(names.RUNS):
        roots.run(sha, shown)
    elif ref.startswith(names.ARCHIVE):
        _archive(repo, roots, sha, shown)
    elif ref.startswith(_BRANCHES) and scope == "history":
        roots.history([sha], shown)
    elif not ref.startswith(names.EXPERIMENTS):
        _named(repo, roots, sha, shown, scope)


def _archive(repo: Repository, roots: Roots, sha: str, ref: str) -> None:
    try:
        for link in links(repo, sha):
            for commit in link.runs.values():
                roots.run(commit, ref)
    except MlgitException as error:
        roots.unreadable.append(Unreadable(ref, error.message, error.hint))


def _journals(repo: Repository, roots: Roots) -> None:
    for entries in journal_entries(repo, roots.unreadable).values():
        roots.entries |= entries


def journal_entries(
    repo: Repository, unreadable: list[Unreadable] | None = None
) -> dict[str, set[Entry]]:
    """What going runs logged, by run; what later lines replaced, or is committed, too.

    Args:
        repo: The repository.
        unreadable: Gets the journals that can't be read.
    """
    root = f"{repo.state_dir}/journal"
    found: dict[str, set[Entry]] = {}
    for run_id in _listed(root):
        folder = f"{root}/{run_id}"
        for name in journal.names(folder):
            try:
                for record in journal.read(folder, name).records:
                    if record[0] == "a":
                        found.setdefault(run_id, set()).add(Entry(*record[2:6]))
            except MlgitException as error:
                if unreadable is not None:
                    where = f"{folder}/{name}"
                    unreadable.append(Unreadable(where, error.message, error.hint))
    return found


def oldest_journal(repo: Repository) -> float | None:
    """When the first of those who log to runs now began, in Unix seconds; None without one."""
    root = f"{repo.state_dir}/journal"
    begun = []
    for run_id in _listed(root):
        for name in journal.names(f"{root}/{run_id}"):
            try:
                found = journal.read(f"{root}/{run_id}", name)
                opened = found.order[0] / 1e9
                modified = os.stat(f"{root}/{run_id}/{name}").st_mtime
            except (MlgitException, OSError):
                continue
            if found.alive:
                begun.append(min(opened, modified) if opened else modified)
    return min(begun, default=None)


def _listed(folder: str) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []


def _stashed(repo: Repository) -> Iterator[str]:
    """The stash's commits; all but the last stand in its reflog alone."""
    try:
        with open(f"{repo.common_dir}/logs/refs/stash", "rb") as f:
            lines = f.read().splitlines()
    except OSError:
        return
    for line in lines:
        sha = line[41:81].decode("ascii", "replace")
        if len(sha) == 40 and set(sha) <= set("0123456789abcdef") and repo.objects.exists(sha):
            yield sha


def worktrees(repo: Repository) -> list[tuple[str, str | None]]:
    """The (Git directory, files' root) of a repository and its linked worktrees.

    The root is None where there are no files, or they aren't there now.
    """
    main_tree = repo.worktree if repo.git_dir == repo.common_dir else None
    if main_tree is None and os.path.basename(repo.common_dir) == ".git":
        main_tree = os.path.dirname(repo.common_dir)
    found: list[tuple[str, str | None]] = [(repo.common_dir, main_tree)]
    for name in _listed(f"{repo.common_dir}/worktrees"):
        git_dir = f"{repo.common_dir}/worktrees/{name}"
        try:
            with open(f"{git_dir}/gitdir", encoding="utf-8", errors="surrogateescape") as f:
                tree = os.path.dirname(os.path.join(git_dir, f.read().strip()))
        except OSError:
            continue
        found.append((git_dir, tree if os.path.isdir(tree) else None))
    return found


def _worktree(repo: Repository, roots: Roots, git_dir: str, worktree: str | None) -> None:
    from mlgit.git.refs import RefStore
    from mlgit.git.worktree_index import parse_entries

    head = RefStore(repo.common_dir, git_dir).read("HEAD")
    if head is not None:
        roots.tip(head, f"HEAD of {worktree or git_dir}")
    try:
        with open(f"{git_dir}/index", "rb") as f:
            entries = parse_entries(f.read(), git_dir)
        pairs = ((entry.path, entry.sha.hex()) for entry in entries if any(entry.sha))
        roots.index_entries(pairs, f"the index of {worktree or git_dir}")
    except FileNotFoundError:
        pass
    except MlgitException as error:
        roots.unreadable.append(Unreadable(f"{git_dir}/index", error.message, error.hint))
    if worktree is not None:
        for path in pointer_files(worktree):
            try:
                with open(path, "rb") as f:
                    roots.pointer(f.read(), path)
            except FileNotFoundError:
                continue
            except OSError as error:
                roots.unreadable.append(Unreadable(path, error.strerror or str(error)))


def pointer_files(worktree: str) -> Iterator[str]:
    """The pointer files below a folder; what pointers keep isn't walked."""
    pending = [worktree]
    suffix = POINTER.decode()
    while pending:
        folder = pending.pop()
        try:
            with os.scandir(folder) as found:
                items = list(found)
        except OSError:
            continue
        pointers = {item.name for item in items if item.name.endswith(suffix)} - {suffix}
        for item in items:
            if item.name in pointers and item.is_file(follow_symlinks=False):
                yield item.path
            elif item.is_dir(follow_symlinks=False):
                if item.name not in (".git", suffix) and f"{item.name}{suffix}" not in pointers:
                    pending.append(item.path)
