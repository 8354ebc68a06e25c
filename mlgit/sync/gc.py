"""Removing objects of a remote that nothing anybody can see reaches (``mlgit gc --remote``)."""

from __future__ import annotations

import time
from collections.abc import Callable

from mlgit.exceptions import Conflict, InvalidState
from mlgit.git.transport import transport
from mlgit.objects import sweep
from mlgit.objects.notices import removing
from mlgit.objects.remote import RemoteObjects
from mlgit.objects.transfer import download
from mlgit.store import pushed, reach
from mlgit.store.collect import DAY, GRACE, Collected, refuse_unreadable
from mlgit.store.gitstore import GitStore

Progress = Callable[[int, int], None]
# A push may take this long from the first object to the refs; objects that are newer stay.
SHORTEST_GRACE = DAY
_PREFIXES = ("refs/heads/", "refs/tags/", "refs/mlgit/")
_BATCH = 1000


def collect_remote(
    store: GitStore,
    remote: RemoteObjects,
    *,
    scope: str = "history",
    grace: float = GRACE,
    force: bool = False,
    skip_unreadable: bool = False,
    progress: Progress | None = None,
) -> Collected:
    """Find, and if wanted remove, the objects of a remote that nothing reaches.

    Counted are this clone's refs and those of all its Git remotes, which must have been
    fetched. A push that goes on meanwhile loses nothing.

    Args:
        store: The store.
        remote: The remote's objects.
        scope: Which pointers to data count; see ``reach.reachable``.
        grace: For how many seconds an object is too new to go; a day at the least.
        force: Remove them.
        skip_unreadable: Go on where something can't be read that may name objects.
        progress: Is told how many objects of how many are removed.

    Raises:
        InvalidState: A Git remote has refs that aren't here, or something that may name
            objects can't be read.
        Conflict: It took too long; what was removed was nobody's.
        PermissionDenied, StorageError, ResourceDoesNotExist: A remote can't be reached.
    """
    if not force:
        return _look(store, remote, scope, grace)
    with removing(remote) as in_time:
        found = _look(store, remote, scope, grace)
        refuse_unreadable(found, skip_unreadable)
        if found.missing and not skip_unreadable:
            raise InvalidState(
                f"Nothing is removed: {len(found.missing)} folders' manifests are neither here "
                "nor on the remote, and what they hold isn't known",
                hint="mlgit fsck --remote names them; whoever has them can push them, or give "
                "--skip-unreadable: what only they name goes then",
            )
        if found.left_over:
            remote.driver.start("delete", list(found.left_over)).result()
        going = list(found.going)
        for at in range(0, len(going), _BATCH):
            if not in_time():
                raise Conflict("Removing took too long", hint="repeat it: it goes on")
            remote.delete(going[at : at + _BATCH])
            if progress is not None:
                progress(min(at + _BATCH, len(going)), len(going))
    found.removed = True
    return found


def _look(store: GitStore, remote: RemoteObjects, scope: str, grace: float) -> Collected:
    stored = {sha: sweep.Stored(size, written) for sha, size, written in remote.list()}
    extra = _others(store)

    def fetch(shas: set[str]) -> None:
        wanted = {sha: stored[sha].size for sha in shas if sha in stored}
        if wanted:
            download(store.objects, remote, wanted)

    reached = reach.reachable(store, scope=scope, fetch=fetch, also=extra)
    found = Collected(missing=sorted(reached.missing), unreadable=reached.unreadable)
    limit = time.time() - max(grace, SHORTEST_GRACE)
    found.sort_out(stored, set(reached.objects), limit)
    halves = remote.driver.start("find", "objects/tmp").result()
    found.left_over = {
        key: size for key, (size, written) in halves.items() if written < time.time() - DAY
    }
    return found


def _others(store: GitStore) -> dict[str, str]:
    """The refs of all Git remotes, by "<remote> <ref>".

    Raises:
        InvalidState: They name commits that aren't here.
    """
    found: dict[str, str] = {}
    absent: list[str] = []
    for name in store.repo.remotes():
        refs = transport(store.repo, name).list_refs(_PREFIXES)
        ours = {ref: sha for ref, sha in refs.items() if ref.startswith("refs/mlgit/")}
        pushed.note(store.repo, name, ours)
        for ref, sha in refs.items():
            if store.repo.objects.exists(sha):
                found[f"{name} {ref}"] = sha
            else:
                absent.append(f"{name} {ref}")
    if absent:
        shown = "\n".join(f"  {each}" for each in sorted(absent)[:10])
        more = f"\n  … and {len(absent) - 10} more" if len(absent) > 10 else ""
        with_branches = any(" refs/mlgit/" not in each for each in absent)
        raise InvalidState(
            f"These refs aren't here, so what they need isn't known\n{shown}{more}",
            hint="mlgit fetch"
            + (" and git fetch --all --tags" if with_branches else "")
            + " brings them",
        )
    return found
