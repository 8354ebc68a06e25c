"""What templates may call: numbers, sizes, times and names as a person reads them."""

from __future__ import annotations

import os
import re
import shlex
import time
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

from flask import Flask, current_app, g, request
from markupsafe import Markup, escape

from mlgit import __version__
from mlgit.review.show import duration, judged, number, plural, size, visible, visible_lines
from mlgit.server.pages import PAGES
from mlgit.server.protection import csrf_token
from mlgit.server.site import site
from mlgit.store.timeform import to_iso


def register(app: Flask) -> None:
    """Give an app's templates their words."""
    filters = (
        number,
        size,
        duration,
        judged,
        plural,
        shown,
        moment,
        counted,
        short,
        is_text,
        shell,
        visible_lines,
    )
    app.jinja_env.filters.update({function.__name__: function for function in filters})
    app.jinja_env.finalize = _encodable
    app.jinja_env.globals.update(csrf_field=csrf_field, csrf_token=csrf_token)
    app.context_processor(_context)


def shown(value: object) -> str:
    """A text on one line, what can't be seen as escapes; not yet HTML."""
    return visible(str(value))


def counted(pairs: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Names and values in the order that a person counts in: p2 before p10."""

    def parts(name: str) -> list[tuple[str, int]]:
        # A number stands where its digit would, before letters.
        found = re.findall(r"[0-9]{1,18}|[^0-9]+", name)
        return [("0", int(part)) if part[0] in "0123456789" else (part, 0) for part in found]

    return sorted(pairs.items(), key=lambda pair: (parts(pair[0]), pair[0]))


def short(value: object, limit: int = 60) -> str:
    """The same, cut if it is long."""
    text = shown(value)
    return text if len(text) <= limit else text[: limit - 1] + "…"


def is_text(path: str) -> bool:
    """Whether a path is UTF-8, so that an address can hold it."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True


def shell(text: str) -> str:
    """A text as one word of a command."""
    return shlex.quote(shown(text))


def moment(milliseconds: int | None) -> Markup:
    """A time: in UTC to the minute, which ``page.js`` turns to the reader's own."""
    if milliseconds is None:
        return Markup("")
    try:
        when = datetime.fromtimestamp(milliseconds / 1000, timezone.utc)
    except (ValueError, OverflowError, OSError):
        return Markup(escape(to_iso(milliseconds)))
    return Markup('<time datetime="{}">{}</time>').format(
        when.strftime("%Y-%m-%dT%H:%M:%S.%fZ"), when.strftime("%Y-%m-%d %H:%M")
    )


def csrf_field() -> Markup:
    """The hidden field that every form that changes something carries."""
    return Markup('<input type="hidden" name="csrf" value="{}">').format(csrf_token())


def _encodable(value: Any) -> Any:
    """A text that can be sent: of bytes that weren't UTF-8, halves of pairs are left."""
    if isinstance(value, str) and not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            cleaned = value.encode("utf-8", "replace").decode()
            return Markup(cleaned) if isinstance(value, Markup) else cleaned
    return value


def _context() -> dict[str, Any]:
    known = current_app.view_functions
    # Who hasn't been let in doesn't learn what this is about, not from an error either.
    stranger = g.get("stranger", True)
    menu = [row for row in PAGES if row.title and row.endpoint in known]
    repo = site().store.repo
    return {
        "menu": [] if stranger else menu,
        "here": g.get("section") or (request.endpoint or "").partition(".")[0],
        "has_page": known.__contains__,
        "repository": "mlgit" if stranger else os.path.basename(repo.worktree or repo.git_dir),
        "may_write": site().options.allow_write,
        "with_token": site().options.token is not None,
        "version": __version__,
        "now": int(time.time() * 1000),
    }
