"""The experiments."""

from __future__ import annotations

from flask import Blueprint, Response, make_response, render_template, request

from mlgit.entities import ViewType
from mlgit.exceptions import FilterError
from mlgit.server.site import store
from mlgit.store.filter_tokens import quote

pages = Blueprint("experiments", __name__)
_PAGE = 200
VIEWS = {"active": ViewType.ACTIVE_ONLY, "deleted": ViewType.DELETED_ONLY, "all": ViewType.ALL}


@pages.get("/")
def index() -> Response:
    """All experiments, those that were made last first."""
    text = request.args.get("q", "").strip()
    view = request.args.get("view", "active")
    view = view if view in VIEWS else "active"
    token = request.args.get("page") or None
    problem = None
    found, after = [], None
    try:
        wanted = f"name ILIKE {quote(f'%{text}%')}" if text else ""
        page = store().search_experiments(VIEWS[view], _PAGE, wanted, page_token=token)
        found, after = list(page), page.token
    except FilterError as error:
        problem = error.problem
    index = store().index
    body = render_template(
        "experiments.html",
        experiments=found,
        counts=index.run_counts(),
        any_runs=bool(index.count_runs()),
        text=text,
        view=view,
        after=after,
        problem=problem,
    )
    return make_response(body, 400 if problem else 200)
