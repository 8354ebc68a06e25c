"""The app factory."""

from __future__ import annotations

import hashlib
import os
import secrets
from typing import Any

from flask import Flask
from jinja2 import StrictUndefined
from werkzeug.routing import PathConverter

from mlgit.server import pages, problems, protection, words
from mlgit.server.options import Options
from mlgit.server.registered import add_converter
from mlgit.server.site import Site, put_site
from mlgit.store.gitstore import GitStore

MAX_BODY = 256 * 1024
_YEAR = 365 * 86_400


class _AnyPath(PathConverter):
    """A path that may hold line ends, as file names may."""

    regex = "(?s:[^/].*?)"


def create_app(store: GitStore, options: Options | None = None) -> Flask:
    """Make the web app of a repository.

    Args:
        store: The repository. It stays the caller's to close.
        options: How it is started; for this machine alone, and only to read, where not given.

    Returns:
        A WSGI app. ``mlgit.server.serve`` serves it.
    """
    options = options or Options()
    app = Flask(
        "mlgit.server",
        static_folder="static",
        # Another version of mlgit has other addresses, so that browsers needn't ask again.
        static_url_path=f"/static/{_digest(os.path.join(os.path.dirname(__file__), 'static'))}",
        template_folder="templates",
    )
    app.config.update(
        # Made anew at each start: who was let in by the last one isn't by this.
        SECRET_KEY=secrets.token_bytes(32),
        SESSION_COOKIE_NAME=options.cookie,
        SESSION_COOKIE_HTTPONLY=True,
        # Not Strict: a link in a chat or a pull request must find who follows it let in.
        SESSION_COOKIE_SAMESITE="Lax",
        MAX_CONTENT_LENGTH=MAX_BODY,
        MAX_FORM_MEMORY_SIZE=MAX_BODY,
        SEND_FILE_MAX_AGE_DEFAULT=_YEAR,
    )
    jinja: dict[str, Any] = {"undefined": StrictUndefined, "trim_blocks": True}
    app.jinja_options = {**app.jinja_options, **jinja, "lstrip_blocks": True}
    app.url_map.converters["path"] = _AnyPath
    put_site(app, Site(store, options))
    protection.protect(app)
    problems.register(app)
    words.register(app)
    add_converter(app)
    pages.register(app)
    return app


def _digest(folder: str) -> str:
    """A name for what the files of a folder hold."""
    digest = hashlib.sha256()
    for path, _, names in sorted(os.walk(folder)):
        for name in sorted(names):
            with open(os.path.join(path, name), "rb") as f:
                data = f.read()
            digest.update(f"{os.path.relpath(path, folder)}/{name} {len(data)}\n".encode() + data)
    return digest.hexdigest()[:12]
