"""Showing the token, once."""

from __future__ import annotations

from flask import Blueprint, Response, make_response, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from mlgit.server.protection import is_local_path, let_in
from mlgit.server.site import site

pages = Blueprint("login", __name__)


@pages.get("/login")
def form() -> AnyResponse:
    """Ask for the token."""
    if site().options.token is None:
        return redirect(url_for("experiments.index"))
    return _form("")


@pages.post("/login")
def enter() -> AnyResponse:
    """Let in who has it, and lead on."""
    if let_in(request.form.get("token", "").strip()):
        wanted = request.form.get("next", "")
        return redirect(wanted if is_local_path(wanted) else url_for("experiments.index"))
    return _form("That isn't the token.", 403)


def _form(problem: str, status: int = 200) -> Response:
    wanted = request.values.get("next", "")
    return make_response(render_template("login.html", problem=problem, next=wanted[:4000]), status)
