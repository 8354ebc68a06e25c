"""Telling who puts objects on a remote that somebody removes some there.

Time alone doesn't keep a push safe: it may find an old object on the remote, rely on it, and
put the ref that names it a moment after the one who removes objects has looked at the refs. So
who removes puts a notice on the remote first, and looks at the refs only then; who pushes
looks for notices before it asks what is there, and again when its refs are put. If one is there,
or came and went, it waits for it to go and asks once more what is there.

Whatever the order, one of the two sees the other: refs that were put before the refs are looked
at are kept, and refs that were put after that are followed by a look at the notices, which the
notice came before.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from mlgit.exceptions import MlgitException
from mlgit.objects.failures import explain
from mlgit.objects.remote import RemoteObjects

FOLDER = "objects/gc"
# Seconds after which a notice that nobody renews is a dead process's; how often it is renewed.
LONGEST = 300.0
HEARTBEAT = 30.0
_GOING = "going-"
_DONE = "done-"


def _call(remote: RemoteObjects, method: str, *arguments: Any) -> Any:
    try:
        return remote.driver.start(method, *arguments).result()
    except Exception as error:
        raise explain(error, "look for notices", remote.where, remote.scheme) from error


def _names(remote: RemoteObjects) -> set[str]:
    """The notices on a remote, but those of dead processes."""
    if remote.scheme in ("http", "https"):
        return set()  # nobody can write there
    now = time.time()
    found = {
        key.rsplit("/", 1)[-1]: written
        for key, (_, written) in _call(remote, "find", FOLDER).items()
    }
    return {n for n, written in found.items() if n.startswith(_DONE) or now - written < LONGEST}


@contextmanager
def removing(remote: RemoteObjects) -> Iterator[Callable[[], bool]]:
    """Say on a remote that objects are being removed, until the block ends.

    Yields:
        Tells whether the notice is new enough for others to heed it.

    Raises:
        PermissionDenied, StorageError: The remote can't be written.
    """
    name = uuid.uuid4().hex
    ended = threading.Event()
    renewed = time.monotonic()
    standing = f"{_GOING}{name}-0"
    _put(remote, standing)

    def renew() -> None:
        nonlocal renewed, standing
        for number in itertools.count(1):
            if ended.wait(HEARTBEAT):
                return
            now = time.monotonic()
            following = f"{_GOING}{name}-{number}"
            try:
                _put(remote, following)
                _call(remote, "delete", [f"{FOLDER}/{standing}"])
            except MlgitException:
                continue  # who removes sees that it grows old
            renewed, standing = now, following

    thread = threading.Thread(target=renew, name="mlgit-notice", daemon=True)
    thread.start()
    try:
        yield lambda: time.monotonic() - renewed < LONGEST / 2
    finally:
        ended.set()
        thread.join()
        own = f"{_GOING}{name}-"
        before = [n for n in _names(remote) if n.startswith((_DONE, own))]
        _put(remote, _DONE + name)
        _call(remote, "delete", [f"{FOLDER}/{each}" for each in before])


def _put(remote: RemoteObjects, name: str) -> None:
    data = name.encode()
    fd, path = tempfile.mkstemp()
    try:
        os.write(fd, data)
        os.close(fd)
        sha = hashlib.sha256(data).hexdigest()
        _call(remote, "put", path, f"{FOLDER}/{name}", len(data), sha, lambda count: None)
    finally:
        os.unlink(path)


class Watch:
    """For who puts objects: made before it asks what is there.

    Args:
        remote: Where they are put.
    """

    def __init__(self, remote: RemoteObjects) -> None:
        self.remote = remote
        self.seen = set(_names(remote))

    def disturbed(self, pause: float = 0.25) -> bool:
        """Whether objects may have been removed since; waits for who is at it.

        To be asked when all that names the objects is where others see it. If it is so, what is
        needed has to be put again, and this be asked again.

        Args:
            pause: Seconds between two looks.
        """
        names = _names(self.remote)
        while any(name.startswith(_GOING) for name in names):
            time.sleep(pause)
            names = _names(self.remote)
        disturbed = bool(names - self.seen) or any(n.startswith(_GOING) for n in self.seen)
        self.seen = names
        return disturbed
