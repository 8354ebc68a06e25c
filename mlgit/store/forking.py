"""SQLite connections and forks.

A connection must not be carried across a fork: SQLite's locks aren't inherited, but its memory
of them is (sqlite.org/howtocorrupt.html, 2.6). So those that are open are closed before one.
"""

from __future__ import annotations

import os
import threading
import weakref
from typing import Any, Generic, Protocol, TypeVar


class Connected(Protocol):
    """What keeps a connection: under its lock it is used, and may be closed at any time."""

    lock: Any

    def close(self) -> None:
        """Close the connection; it is opened again when it is needed."""


C = TypeVar("C", bound=Connected)


class ForkGuard(Generic[C]):
    """Closes the connections of one kind before a fork.

    Made once a module: guards made later hold their locks first, as who uses an index may,
    under its lock, use one of a module that it imports, and not the other way round.
    """

    def __init__(self) -> None:
        self._watched: weakref.WeakSet[C] = weakref.WeakSet()
        self._held: list[C] = []
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(
                before=self._before,
                after_in_parent=self._after_in_parent,
                after_in_child=self._after_in_child,
            )

    def watch(self, connected: C) -> None:
        """Close this one's connection, too, as long as it lives."""
        self._watched.add(connected)

    def _before(self) -> None:
        for connected in list(self._watched):
            connected.lock.acquire()
            self._held.append(connected)
            connected.close()

    def _after_in_parent(self) -> None:
        while self._held:
            self._held.pop().lock.release()

    def _after_in_child(self) -> None:
        while self._held:
            self._held.pop().lock = threading.RLock()
