"""Removing the objects of this clone that nothing reaches (``mlgit gc``)."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field

from mlgit.exceptions import InvalidState, from_os_error
from mlgit.objects import LocalObjects, sweep
from mlgit.store import reach
from mlgit.store.gitstore import GitStore
from mlgit.store.roots import Unreadable

Progress = Callable[[int, int], None]
DAY = 86_400.0
GRACE = 14 * DAY


@dataclass
class Collected:
    """What is, or would be, removed, and what isn't.

    Attributes:
        removed: Whether it is.
        going: Objects that nothing reaches: SHA-256 → size in bytes.
        reached: How many objects something reaches, of those that are there.
        reached_bytes: Their sizes' sum.
        new: How many nothing reaches that are too new to go.
        new_bytes: Their sizes' sum.
        in_history: How many of those that go are named by older commits of branches.
        left_over: Half-written files of dead processes: path → size.
        missing: Folders whose manifests can't be read, so that what they name isn't known.
        unreadable: What may name objects and can't be read.
    """

    removed: bool = False
    going: dict[str, int] = field(default_factory=dict)
    reached: int = 0
    reached_bytes: int = 0
    new: int = 0
    new_bytes: int = 0
    in_history: int = 0
    left_over: dict[str, int] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    unreadable: list[Unreadable] = field(default_factory=list)

    def sort_out(self, stored: dict[str, sweep.Stored], kept: set[str], limit: float) -> None:
        """Tell what goes from what doesn't.

        Args:
            stored: All objects that are there.
            kept: Those that something reaches.
            limit: The time from which on an object is too new to go, in Unix seconds.
        """
        for sha, (size, modified) in stored.items():
            if sha in kept:
                self.reached += 1
                self.reached_bytes += size
            elif modified >= limit:
                self.new += 1
                self.new_bytes += size
            else:
                self.going[sha] = size


def collect(
    store: GitStore,
    *,
    scope: str = "branches",
    grace: float = GRACE,
    force: bool = False,
    skip_unreadable: bool = False,
    progress: Progress | None = None,
) -> Collected:
    """Find, and if wanted remove, the objects of this clone that nothing reaches.

    Nothing is lost that somebody logs, adds or fetches meanwhile.

    Args:
        store: The store.
        scope: Which pointers to data count; see ``reach.reachable``.
        grace: For how many seconds an object is too new to go.
        force: Remove them.
        skip_unreadable: Go on where something can't be read that may name objects.
        progress: Is told how many objects of how many are removed.

    Raises:
        InvalidState: Something that may name objects can't be read.
        Conflict: Another process is removing objects.
        PermissionDenied, StorageError: They can't be removed.
    """
    objects = store.objects
    # Before it is known what is reached: what is put from now on isn't looked at.
    stored = sweep.stored(objects)
    oldest = reach.oldest_journal(store.repo)
    reached = reach.reachable(store, scope=scope)
    found = Collected(missing=sorted(reached.missing), unreadable=reached.unreadable)
    if force:
        refuse_unreadable(found, skip_unreadable)
    limit = sweep.too_new_since(objects, grace)
    if oldest is not None:
        limit = min(limit, oldest - DAY)
    found.sort_out(stored, set(reached.objects), limit)
    found.left_over = {
        path: size
        for path, size in sweep.left_over(objects).items()
        if not _is_needed(objects, path, reached.objects)
    }
    if scope == "branches" and found.going:
        older = reach.reachable(store, scope="history").objects
        found.in_history = sum(sha in older for sha in found.going)
    if force:
        _remove(store, found, grace, progress)
    return found


def refuse_unreadable(found: Collected, skip: bool) -> None:
    """Raise where it isn't known what is needed.

    Raises:
        InvalidState: That is so, and ``skip`` is False.
    """
    if found.unreadable and not skip:
        shown = [f"  {each.where}: {each.message}" for each in found.unreadable[:10]]
        if len(found.unreadable) > len(shown):
            shown.append(f"  … and {len(found.unreadable) - len(shown)} more")
        raise InvalidState(
            "Nothing is removed: what these name isn't known\n" + "\n".join(shown),
            hint="mend them (mlgit fsck tells more), or give --skip-unreadable: "
            "what only they name goes then",
        )


def _is_needed(objects: LocalObjects, path: str, reached: dict[str, int]) -> bool:
    """Whether a damaged object is all that there is of something that is reached."""
    sha = os.path.basename(path)[:64]
    return "/damaged/" in path and sha in reached and not objects.has(sha)


def _remove(store: GitStore, found: Collected, grace: float, progress: Progress | None) -> None:
    total = len(found.going)
    gone: dict[str, int] = {}
    with sweep.held(store.objects):
        for sha, size in sweep.sweep(store.objects, list(found.going), grace):
            gone[sha] = size
            if progress is not None:
                progress(len(gone), total)
        for path in list(found.left_over):
            try:
                os.unlink(path)
            except FileNotFoundError:
                continue
            except OSError as error:
                raise from_os_error(error, "remove what was left over") from error
    kept = found.going.keys() - gone.keys()
    found.new += len(kept)
    found.new_bytes += sum(found.going[sha] for sha in kept)
    found.going = gone
    found.removed = True
