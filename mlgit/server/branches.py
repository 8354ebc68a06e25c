"""Each branch's newest run against the default branch's: a team's list of pull requests."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from flask import Blueprint, make_response, render_template, request
from flask.typing import ResponseReturnValue

from mlgit.exceptions import MlgitException
from mlgit.review.board import Branch, Standing, branches, standings
from mlgit.review.branches import default_base
from mlgit.review.metrics import MetricChange
from mlgit.server.site import store
from mlgit.server.table import SYSTEM

pages = Blueprint("branches", __name__)
_SIZE = 30
_KEY_METRICS = 4
_MOST_METRICS = 12


@dataclass(frozen=True)
class Listed:
    """One page of branches.

    Attributes:
        base: What they are compared with; "" where that isn't known.
        rows: The branches.
        more: Whether there are more.
        problem: What is wrong with the base.
    """

    base: str
    rows: list[Standing]
    more: bool
    problem: MlgitException | None = None


@pages.get("/branches")
def index() -> ResponseReturnValue:
    """The branches, those with the newest commits first."""
    page = _page()
    part = request.args.get("q", "").strip()
    found = branches(store(), part)
    listed = _listed(found, page)
    chosen = request.args.getlist("metric")[:_MOST_METRICS]
    body = render_template(
        "branches.html",
        listed=listed,
        part=part,
        page=page,
        known=_metrics(listed.rows),
        chosen=chosen or _metrics(listed.rows)[:_KEY_METRICS],
        change_of=_change,
        names=[branch.name for branch in branches(store())],
    )
    return make_response(body, listed.problem.get_http_status_code() if listed.problem else 200)


def _page() -> int:
    text = request.args.get("page", "")
    return max(1, int(text)) if text.isascii() and text.isdecimal() and len(text) < 7 else 1


def _listed(found: Sequence[Branch], page: int) -> Listed:
    base = request.args.get("base", "").strip()
    try:
        base = base or (default_base(store()) if found else "")
        # The base itself is what the others are compared with.
        others = [branch for branch in found if branch.name != base]
        some = others[(page - 1) * _SIZE : page * _SIZE]
        rows = list(standings(store(), base, some)) if base else []
        return Listed(base, rows, len(others) > page * _SIZE)
    except MlgitException as error:
        return Listed(base, [], False, error)


def _metrics(rows: Sequence[Standing]) -> list[str]:
    """The metrics of these branches: those of which it is known what is better, then those that most have."""
    count: Counter[str] = Counter()
    good: set[str] = set()
    for row in rows:
        for metric in row.metrics:
            count[metric.name] += metric.new is not None
            good |= {metric.name} if metric.direction else set()
    names = [name for name in count if not name.startswith(SYSTEM)]
    return sorted(names, key=lambda name: (name not in good, -count[name], name))


def _change(row: Standing, name: str) -> MetricChange | None:
    return next((metric for metric in row.metrics if metric.name == name), None)
