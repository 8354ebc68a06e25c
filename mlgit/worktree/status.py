"""How the worktree's data differs from what its pointers say, and what is where."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mlgit.exceptions import CorruptData, MlgitException, ResourceDoesNotExist
from mlgit.objects import Entry, LocalObjects
from mlgit.objects.scan import Node, Progress, Scanner
from mlgit.store.pointers import SUFFIX
from mlgit.worktree.differences import Change, differences
from mlgit.worktree.tracked import WorktreeData

if TYPE_CHECKING:
    from mlgit.objects.remote import RemoteObjects

_LINE = re.compile(rb"^([fxd]) ([0-9a-f]{64}) ", re.MULTILINE)
_MANY = 2000


@dataclass
class PathState:
    """One file or folder that is kept as data.

    Attributes:
        path: Relative to the worktree's root.
        entry: What its pointer says; None where that can't be read.
        changes: How what is there differs; nothing where it isn't there at all.
        absent: Whether nothing is there.
        not_here: How many of its objects aren't in this clone.
        not_remote: How many aren't on the remote; None where that wasn't asked.
        problem: Why it can't be told.
    """

    path: str
    entry: Entry | None = None
    changes: list[Change] = field(default_factory=list)
    absent: bool = False
    not_here: int = 0
    not_remote: int | None = None
    problem: MlgitException | None = None

    @property
    def clean(self) -> bool:
        """Whether everything is as the pointer says, and everywhere that was asked for."""
        return not (self.changes or self.absent or self.not_here or self.not_remote or self.problem)


def status(
    data: WorktreeData,
    given: Sequence[str] = (),
    *,
    remote: str | None = None,
    ask_remote: bool = False,
    progress: Progress | None = None,
) -> list[PathState]:
    """The state of data; only files whose stat is new are read.

    Args:
        data: The worktree.
        given: Paths, as a person gives them; all data where there are none.
        remote: Which remote is asked; the default one where None.
        ask_remote: Ask it.
        progress: Called with bytes done and seen.

    Raises:
        ResourceDoesNotExist: There is no pointer of a path, or no remote to ask.
    """
    connected = _connect(data, remote) if ask_remote else None
    scanner = Scanner(data.objects, data.memory, keep=False, progress=progress)
    shelf = _Shelf(data.objects)
    found = []
    named: dict[str, set[str]] = {}
    for path in data.chosen(list(given)):
        state = PathState(path)
        found.append(state)
        try:
            named[path] = _look(data, state, scanner, shelf)
        except MlgitException as error:
            state.problem = error
    if connected is not None:
        missing = connected.missing(set().union(*named.values()))
        for state in found:
            state.not_remote = len(named.get(state.path, set()) & missing)
    return found


def _connect(data: WorktreeData, remote: str | None) -> RemoteObjects:
    # Imported here: drivers take longer to load than all else here takes.
    from mlgit.store.remotes import remote_objects

    return remote_objects(data.repo, remote)


def _look(data: WorktreeData, state: PathState, scanner: Scanner, shelf: _Shelf) -> set[str]:
    """Fill in the state of one path; every object that it is known to name."""
    pointer = data.pointer(state.path)
    if pointer is None:
        raise ResourceDoesNotExist(f"{state.path}{SUFFIX} isn't a file")
    state.entry = pointer.entry
    shas = shelf.reached(pointer.entry)
    state.not_here = len(shelf.missing(shas))
    node: Node | None = None
    if os.path.lexists(data.absolute(state.path)):
        node = scanner.scan(data.absolute(state.path))
        try:
            state.changes = list(differences(data.objects, pointer.entry, node))
        except ResourceDoesNotExist:
            # Which files it held isn't known here; that it differs is.
            state.changes = [Change("", pointer.entry, node.entry)]
    else:
        state.absent = True
    return shas


class _Shelf:
    """Which objects are here; listed once where many are asked for."""

    def __init__(self, objects: LocalObjects) -> None:
        self._objects = objects
        self._listed: set[str] | None = None

    def reached(self, entry: Entry) -> set[str]:
        """The objects that an entry reaches, as far as its manifests are here."""
        found: set[str] = {entry.sha256}
        pending = [entry.sha256] if entry.kind == "d" else []
        while pending:
            try:
                data = self._objects.read(pending.pop())
            except (ResourceDoesNotExist, CorruptData):
                continue
            for kind, sha in _LINE.findall(data):
                name = sha.decode()
                if name not in found:
                    found.add(name)
                    if kind == b"d":
                        pending.append(name)
        return found

    def missing(self, shas: set[str]) -> set[str]:
        """Which of them aren't here."""
        if self._listed is None and len(shas) > _MANY:
            self._listed = set(self._objects.all())
        if self._listed is not None:
            return shas - self._listed
        return {sha for sha in shas if not self._objects.has(sha)}
