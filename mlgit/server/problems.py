"""Pages that say what is wrong, and what can be done."""

from __future__ import annotations

import logging

from flask import Flask, Response, g, jsonify, make_response, render_template, request
from werkzeug.exceptions import HTTPException

from mlgit.exceptions import (
    CorruptData,
    InvalidParameterValue,
    MlgitException,
    ResourceDoesNotExist,
)

_log = logging.getLogger("mlgit.server")
# In a browser's words, where the class alone says it.
_TITLES = {
    400: "That can't be right",
    401: "Who are you?",
    403: "Not allowed",
    404: "Not found",
    405: "Not possible here",
    409: "Not as things stand",
    413: "Too much",
    500: "Something is wrong",
    503: "Not now",
}
_HINTS = {
    404: "the address may be mistyped, or what it was about renamed or deleted",
    405: "go back and use the page's own buttons",
    413: "shorten what you sent",
    500: "this looks like a bug of mlgit's: what happened stands where the server was started",
}


def register(app: Flask) -> None:
    """Let an app answer errors with pages."""
    app.register_error_handler(MlgitException, _of_mlgit)
    app.register_error_handler(HTTPException, _of_http)
    app.register_error_handler(Exception, _of_anything)


def problem_page(status: int, message: str, hint: str) -> Response:
    """The answer for what went wrong: a page, or JSON for a program.

    Args:
        status: The HTTP status.
        message: What is wrong.
        hint: What can be done, or "".
    """
    if request.path.startswith("/api/"):
        return make_response(jsonify(error=message, hint=hint), status)
    title = _TITLES.get(status, "Something is wrong")
    page = render_template("problem.html", title=title, message=message, hint=hint, status=status)
    return make_response(page, status)


def _of_mlgit(error: MlgitException) -> Response:
    status = error.get_http_status_code()
    hint = error.hint
    if isinstance(error, CorruptData) or (isinstance(error, ResourceDoesNotExist) and not hint):
        # Somebody may be packing, archiving or pruning right now.
        hint = hint or "reload the page; if it stays so, mlgit fsck tells what is damaged"
    if status >= 500 and not isinstance(error, InvalidParameterValue):
        _log.warning("%s: %s", request.path, error.message)
    return problem_page(status, error.message, hint)


def _of_http(error: HTTPException) -> Response:
    status = error.code or 500
    if status < 400:
        return make_response(error.get_response())
    message = error.description or error.name
    if status == 404 and request.routing_exception is not None:
        message = "There is no such page"
    answer = problem_page(status, message, g.get("hint") or _HINTS.get(status, ""))
    if status == 401:
        answer.headers["WWW-Authenticate"] = "Bearer"
    return answer


def _of_anything(error: Exception) -> Response:
    _log.exception("%s failed", request.path)
    return problem_page(500, "The page could not be made.", _HINTS[500])
