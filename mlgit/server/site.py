"""What all pages of one app share."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import cast

from flask import Flask, current_app

from mlgit.server.history import Remembered
from mlgit.server.options import Options
from mlgit.store.gitstore import GitStore

_KEY = "mlgit"


@dataclass
class Site:
    """One app.

    Attributes:
        store: The repository that it shows.
        options: How it was started.
        remembered: What charts were made of last.
        stopping: Set when the server ends, so that streams end too.
        streams: Counts the live streams that may still begin.
    """

    store: GitStore
    options: Options
    remembered: Remembered = field(default_factory=Remembered)
    stopping: threading.Event = field(default_factory=threading.Event)
    streams: threading.Semaphore = field(init=False)

    def __post_init__(self) -> None:
        self.streams = threading.Semaphore(self.options.streams)


def put_site(app: Flask, site: Site) -> None:
    """Let an app's pages know their site."""
    app.extensions[_KEY] = site


def site(app: Flask | None = None) -> Site:
    """The site of an app; of the request's where none is given."""
    return cast(Site, (app or current_app).extensions[_KEY])


def store() -> GitStore:
    """The repository that the request is about."""
    return site().store
