"""``mlgit checkout``: the worktree's data as its pointers say."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mlgit.exceptions import (
    CorruptData,
    InvalidState,
    MlgitException,
    ResourceDoesNotExist,
    from_os_error,
)
from mlgit.objects import Entry
from mlgit.objects.scan import Node, Progress, Scanner
from mlgit.store.fetching import bring, fetch
from mlgit.store.pointers import SUFFIX
from mlgit.store.remotes import configured_links, folder_remotes, remote_objects
from mlgit.worktree.differences import Change, differences, entries_of
from mlgit.worktree.known import know_file, know_folder
from mlgit.worktree.place import Placer
from mlgit.worktree.tracked import Placed, WorktreeData, blob_of, remove_parts

if TYPE_CHECKING:
    from mlgit.objects.remote import RemoteObjects

_MOST_NAMED = 10


@dataclass
class CheckedOut:
    """What a checkout did.

    Attributes:
        written, removed: How many files.
        fetched: How many objects came from the remote.
        changed: The paths of data that were changed.
        kept: Files that no pointer names, and that aren't objects: they were left alone.
        problems: (path, error) of data that couldn't be brought to its state.
    """

    written: int = 0
    removed: int = 0
    fetched: int = 0
    changed: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    problems: list[tuple[str, MlgitException]] = field(default_factory=list)


def checkout(
    data: WorktreeData,
    given: Sequence[str] = (),
    *,
    force: bool = False,
    links: Sequence[str] | None = None,
    progress: Progress | None = None,
    remote: str | None = None,
    fetched: bool = False,
    left: Mapping[str, int] | None = None,
) -> CheckedOut:
    """Bring data to the state that its pointers name, and remove what lost its pointer.

    One path's trouble doesn't keep the others; it is in ``problems``. Nothing of a path is
    touched where a file would be overwritten whose content isn't an object.

    Args:
        data: The worktree.
        given: Paths, as a person gives them; all data where there are none.
        force: Overwrite and remove files whose content isn't an object, too.
        links: The ways to place files; as configured where None.
        progress: Called with bytes done and wanted.
        remote: Where missing objects come from; the default remote where None.
        fetched: They were fetched just now, so that it needn't be looked whether each is here.
        left: The objects, with their sizes, that weren't, as a link will do. One that isn't
            placed is fetched at the end.

    Raises:
        ResourceDoesNotExist: There is no pointer of a path.
        InvalidParameterValue: A path is outside, or there is no such way to place files.
    """
    links = links or configured_links(data.repo)
    placer = Placer(data.objects, data.root, links, folder_remotes(data.repo))
    made = _Checkout(data, placer, force, progress, remote)
    made.fetched, made.left = fetched, dict(left or {}) if fetched else {}
    paths = data.chosen(list(given))
    with data.alone():
        # First: what is now part of another folder of data comes back with that.
        for path, placed in data.placed().items() if not given else ():
            if data.pointer_bytes(path) is None:
                made.let_go(path, placed)
        for path in paths:
            made.bring(path)
    data.memory.save()
    made.bring_left()
    return made.done


class _Checkout:
    """One checkout under way."""

    def __init__(
        self,
        data: WorktreeData,
        placer: Placer,
        force: bool,
        progress: Progress | None,
        remote: str | None,
    ) -> None:
        self.data = data
        self.placer = placer
        self.force = force
        self.progress = progress
        self.remote = remote
        self.fetched = False
        self.left: dict[str, int] = {}
        self.done = CheckedOut()
        self._connected: RemoteObjects | None = None
        self._bytes = 0

    def _connect(self) -> RemoteObjects:
        if self._connected is None:
            self._connected = remote_objects(self.data.repo, self.remote)
        return self._connected

    def bring(self, path: str) -> None:
        """Bring one path to what its pointer says."""
        data = self.data
        try:
            pointer = data.pointer(path)
            if pointer is None:
                return
            self._check_untracked(path)
            node = self._look(path)
            changes = self._differences(pointer.entry, node)
            if not self._wanted(path, changes):
                data.remember({path: self._placed(path, pointer.entry)})
                return
            self._fetch(changes)
            self._check_case(path, pointer.entry)
            # Noted before anything is written: who is interrupted and goes to another branch
            # must find it to be removed.
            data.remember({path: self._placed(path, pointer.entry)})
            self._remove(path, changes)
            self._write(path, changes)
            self.done.changed.append(path)
        except MlgitException as error:
            self.done.problems.append((path, error))
        except OSError as error:
            self.done.problems.append((path, from_os_error(error, f"write {path}")))

    def bring_left(self) -> None:
        """Fetch what was left to be linked, and wasn't."""
        self.done.fetched += fetch(self.data.objects, self.left, self._connect, self.progress)

    def let_go(self, path: str, placed: Placed) -> None:
        """Remove what is at a path whose pointer is gone."""
        data = self.data
        try:
            if data.git_tracks(path) is not None:
                data.remember({path: None})  # it is Git's now
                return
            if not data.repo.objects.exists(placed.blob):
                # The pointer was never given to Git: nothing else would know what was here.
                if os.path.lexists(data.absolute(path)):
                    self.done.kept.append(path)
                else:
                    data.remember({path: None})
                return
            node = self._look(path)
            changes = list(differences(data.objects, None, node))
            before = self.done.removed
            kept = self._remove(path, changes)
            if self.done.removed > before:
                self.done.changed.append(path)
            if not kept:
                data.remember({path: None})
        except MlgitException as error:
            self.done.problems.append((path, error))
        except OSError as error:
            self.done.problems.append((path, from_os_error(error, f"remove {path}")))

    def _placed(self, path: str, entry: Entry) -> Placed:
        return Placed(entry, blob_of(self.data.pointer_bytes(path) or b""))

    def _check_untracked(self, path: str) -> None:
        tracked = self.data.git_tracks(path)
        if tracked is not None:
            raise InvalidState(
                f"Git tracks {tracked}, and {path}{SUFFIX} names it as data",
                hint=f"git rm -r --cached {path}, or git rm {path}{SUFFIX}",
            )

    def _look(self, path: str) -> Node | None:
        scanner = Scanner(self.data.objects, self.data.memory, keep=False)
        try:
            return scanner.scan(self.data.absolute(path))
        except ResourceDoesNotExist:
            return None

    def _differences(self, want: Entry, node: Node | None) -> list[Change]:
        """What differs; manifests that are missing here are fetched on the way."""
        for _ in range(3):
            try:
                return list(differences(self.data.objects, want, node))
            except ResourceDoesNotExist:
                self.done.fetched += bring(self.data.objects, [want], self._connect, self.progress)
            except CorruptData:
                self._mend(want)
        return list(differences(self.data.objects, want, node))

    def _mend(self, want: Entry) -> None:
        """Put a damaged manifest aside, and fetch it."""
        missing: set[str] = set()
        from mlgit.store.reach import expand

        expand(self.data.objects, [want], missing=missing)
        for sha in missing:
            self.data.objects.quarantine(sha)
        self.done.fetched += bring(self.data.objects, [want], self._connect, self.progress)

    # -- what may be touched

    def _wanted(self, path: str, changes: list[Change]) -> list[Change]:
        """The changes, unless one would lose something.

        Raises:
            InvalidState: Files would be overwritten that aren't objects.
        """
        wanted = {change.path for change in changes if change.want is not None}
        lost = [
            _join(path, change.path)
            for change in changes
            if not self._may_go(change)
            and (change.want is not None or _stands_in_the_way(change.path, wanted))
        ]
        if lost and not self.force:
            shown = "".join(f"\n  {name}" for name in lost[:_MOST_NAMED])
            more = f"\n  and {len(lost) - _MOST_NAMED} more" if len(lost) > _MOST_NAMED else ""
            raise InvalidState(
                f"{path} has changes that are kept nowhere else:{shown}{more}",
                hint=f"mlgit add {path} keeps them; mlgit checkout --force {path} drops them",
            )
        return changes

    def _may_go(self, change: Change) -> bool:
        if change.odd:
            return False
        have = change.have
        if have is None or have.kind == "d":
            return True
        want = change.want
        return (want is not None and want.sha256 == have.sha256) or (
            self.data.objects.size(have.sha256, have.size) is not None
        )

    # -- doing it

    def _fetch(self, changes: list[Change]) -> None:
        if self.fetched:
            return
        wants = [change.want for change in changes if change.want is not None]
        self.done.fetched += bring(self.data.objects, wants, self._connect, self.progress)

    def _check_case(self, path: str, want: Entry) -> None:
        """Refuse names that would overwrite each other here."""
        if want.kind != "d" or not self.placer.ignores_case():
            return
        pending = [(path, want)]
        while pending:
            folder, entry = pending.pop()
            entries = entries_of(self.data.objects, entry)
            seen: dict[str, str] = {}
            for name in entries:
                other = seen.setdefault(name.casefold(), name)
                if other != name:
                    raise InvalidState(
                        f"{folder} holds {other} and {name}, which are one name here",
                        hint="check it out on a file system that tells case apart, and rename one",
                    )
            pending += [(f"{folder}/{n}", e) for n, e in entries.items() if e.kind == "d"]

    def _remove(self, path: str, changes: list[Change]) -> bool:
        """Remove what isn't wanted; whether something was kept."""
        kept = False
        for change in changes:
            if change.want is not None and not change.odd:
                continue
            place = self.data.absolute(_join(path, change.path))
            if change.have is not None and change.have.kind == "d":
                _remove_folder(place)
            elif self._may_go(change) or (self.force and _is_removable(place)):
                os.unlink(place)
                self.done.removed += 1
            else:
                kept = True
                self.done.kept.append(_join(path, change.path))
        return kept

    def _write(self, path: str, changes: list[Change]) -> None:
        wants = [change for change in changes if change.want is not None]
        total = self._bytes + sum(c.want.size for c in wants if c.want is not None)
        for change in wants:
            assert change.want is not None
            target = _join(path, change.path)
            if change.have is not None and change.have.sha256 == change.want.sha256:
                self.placer.mode(change.want, target)
                self.done.written += 1
            else:
                self._place(change.want, target, total)

    def _place(self, want: Entry, path: str, total: int) -> None:
        if want.kind == "d":
            self._place_folder(want, path, total)
            return
        made = self._place_file(want, path, total)
        know_file(self.data.memory, self.data.absolute(path), want, made)

    def _place_file(self, want: Entry, path: str, total: int) -> os.stat_result:
        try:
            made = self._link(want, path) if want.sha256 in self.left else None
            made = made or self.placer.file(want, path)
        except (CorruptData, ResourceDoesNotExist):
            # It was put aside, or is gone; where a remote has it, that one is as good.
            self.done.fetched += bring(self.data.objects, [want], self._connect)
            made = self.placer.file(want, path)
        self.done.written += 1
        self._bytes += want.size
        if self.progress is not None:
            self.progress(self._bytes, total)
        return made

    def _link(self, want: Entry, path: str) -> os.stat_result | None:
        """Place a file from a remote's, read once, and link that as the object, if it can be."""
        objects = self.data.objects
        del self.left[want.sha256]
        source = self._connect().linkable(want.sha256, os.path.dirname(objects.temporary_name()))
        if source is None:
            return None
        seen = os.stat(source)
        made = self.placer.file(want, path, source)
        if objects.link(source, want.sha256, seen):
            self.done.fetched += 1
        else:
            self.left[want.sha256] = want.size
        return made

    def _place_folder(self, want: Entry, path: str, total: int) -> None:
        self.placer.folder(path)
        entries = entries_of(self.data.objects, want)
        made = {}
        for name, entry in entries.items():
            if entry.kind == "d":
                self._place_folder(entry, f"{path}/{name}", total)
            else:
                made[name] = self._place_file(entry, f"{path}/{name}", total)
        know_folder(self.data.memory, self.data.absolute(path), want, entries, made)


def _join(path: str, below: str) -> str:
    return f"{path}/{below}" if below else path


def _stands_in_the_way(path: str, wanted: set[str]) -> bool:
    """Whether a file or folder is wanted at a path, or where a folder above it is."""
    while path not in wanted:
        if not path:
            return False
        path = path.rpartition("/")[0]
    return True


def _is_removable(place: str) -> bool:
    return os.path.lexists(place) and (os.path.islink(place) or not os.path.isdir(place))


def _remove_folder(place: str) -> None:
    try:
        remove_parts(place, os.listdir(place))
        os.rmdir(place)
    except OSError:
        pass  # something in it was kept, or came just now
