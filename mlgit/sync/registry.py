"""Pushing the registry alone: what a command that wrote tags does where it is asked to."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from mlgit.exceptions import Conflict, MlgitException, PermissionDenied, StorageError
from mlgit.registry.index import RegistryIndex
from mlgit.store import spelling
from mlgit.store.gitstore import GitStore
from mlgit.store.registry_tags import TAGS
from mlgit.sync.crossing import key_of_ref, policy_of
from mlgit.sync.incoming import REGISTRY
from mlgit.sync.push import Push, Pushed, Show, no_show
from mlgit.sync.remotes import default_remote

if TYPE_CHECKING:
    from mlgit.registry.writer import Signer


def push_registry(
    store: GitStore,
    remote: str | None = None,
    models: Collection[str] | None = None,
    renumber: bool = True,
    *,
    sign: Signer | None = None,
    object_remote: str | None = None,
    dry_run: bool = False,
    show: Show = no_show,
) -> Pushed:
    """Push the tags and texts of registered models, with the runs that they came from.

    Artifacts go first, refs last, and the tags and texts all or none. This clone's own tags
    come after those that the remote has meanwhile.

    Args:
        store: The store.
        remote: A Git remote's name, a URL or a path; the one that is meant where None.
        models: The names of the models; all where None.
        renumber: Versions of this clone's own may get other numbers, where the remote has theirs.
        sign: Signs tags that were signed and have to be made again.
        object_remote: Where artifacts go to; the default one where None.
        dry_run: Change nothing, and tell what would be done.
        show: Makes what is told how far a job is, from the job's title.

    Returns:
        What was done.

    Raises:
        What ``try_to_push`` raises.
        Conflict: Versions would have to be renumbered and mustn't; signed tags can't be made
            again; or texts don't go together.
        PermissionDenied: The host doesn't take a tag.
        StorageError: The remote took not all.
    """
    done = try_to_push(
        store,
        remote,
        models,
        renumber,
        sign=sign,
        object_remote=object_remote,
        dry_run=dry_run,
        show=show,
    )
    problem = problem_of(done)
    if problem is not None:
        raise problem
    return done


def try_to_push(
    store: GitStore,
    remote: str | None = None,
    models: Collection[str] | None = None,
    renumber: bool = True,
    *,
    sign: Signer | None = None,
    object_remote: str | None = None,
    dry_run: bool = False,
    show: Show = no_show,
) -> Pushed:
    """As ``push_registry``, but what was refused is told of in what is returned.

    The arguments are the same; ``problem_of`` says what is wrong.

    Raises:
        ResourceDoesNotExist: There is no remote, or an object is lost.
        PermissionDenied: This person may not.
        RemoteUnavailable, StorageError: The remote can't be reached.
    """
    keys = None if models is None else _keys(store, models)

    def chosen(ref: str) -> bool:
        return ref.startswith((REGISTRY, TAGS)) and (keys is None or key_of_ref(ref) in keys)

    work = Push(store, remote or default_remote(store.repo), chosen, dry_run, show)
    work.policy = policy_of(store.repo, renumber, sign)
    work.narrowed = work.with_runs = True
    return work.go(True, object_remote)


def problem_of(done: Pushed) -> MlgitException | None:
    """What kept some of the registry from being pushed; None where nothing did."""
    for held in done.held:
        return Conflict(held.message, hint=held.hint)
    for refusal in done.refusals:
        return PermissionDenied(refusal.message, hint=refusal.hint)
    for apart in done.apart:
        said = "; ".join(f"{c.key}: here {c.ours}, there {c.theirs}" for c in apart.clashes[:5])
        return Conflict(
            f"{apart.ref} was changed here and there: {said or 'it is never moved'}",
            hint="mlgit push shows both sides; set such a key here to what it is there",
        )
    for ref, reason in done.failed.items():
        return StorageError(
            f"{ref} wasn't pushed: {reason}", "INTERNAL_ERROR", hint="mlgit push goes on"
        )
    return None


def _keys(store: GitStore, models: Collection[str]) -> set[str]:
    """The keys of models, by their names; also of deleted ones."""
    index = RegistryIndex(store.repo)
    try:
        found = {spelling.spell(model) for model in models}
        for model in models:
            rows = index.ask(
                lambda c, m=model: c.execute(  # type: ignore[misc]
                    "SELECT key FROM registered_models WHERE name=? OR wanted=?", (m, m)
                ).fetchall()
            )
            found.update(row[0] for row in rows)
        return found
    finally:
        index.close()
