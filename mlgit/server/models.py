"""The registered models: who holds what, and what changed last."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from flask import Blueprint, make_response, render_template, request, url_for
from flask.typing import ResponseReturnValue
from werkzeug.datastructures import MultiDict

from mlgit.exceptions import FilterError
from mlgit.registry.history import changes
from mlgit.registry.overview import Listed
from mlgit.registry.tags import Event
from mlgit.server.registered import registry
from mlgit.store.filter_tokens import quote

pages = Blueprint("models", __name__)
SIZE = 50
STAGES = ("Production", "Staging", "Archived")
_Key = Callable[[Listed], Any]
# Title, what it is sorted by, and whether the greatest comes first.
ORDERS: dict[str, tuple[str, _Key, bool]] = {
    "name": ("Model", lambda model: model.name.lower(), False),
    "latest": ("Latest", lambda model: model.latest or 0, True),
    "changed": ("Last change", lambda model: model.changed, True),
    "created": ("Made", lambda model: model.created, True),
}
_OPERATOR = re.compile(r"[=<>!'\"`()]|\b(like|ilike|in|is|between)\b", re.IGNORECASE)


@dataclass(frozen=True)
class State:
    """What the list shows; its address says it whole.

    Attributes:
        filter: In the grammar, or a part of a name.
        sort: One of ``ORDERS``; with "-" before it, the other way round.
        page: Counted from 1.
    """

    filter: str = ""
    sort: str = "changed"
    page: int = 1

    @property
    def by(self) -> str:
        """The column that it is sorted by."""
        return self.sort.removeprefix("-")

    @property
    def descending(self) -> bool:
        """Whether the greatest comes first."""
        return ORDERS[self.by][2] != self.sort.startswith("-")

    @property
    def grammar(self) -> str:
        """The filter in the grammar: words alone are part of a name."""
        if not self.filter or _OPERATOR.search(self.filter):
            return self.filter
        return f"name ILIKE {quote(f'%{self.filter}%')}"

    def url(self, **changes: Any) -> str:
        """The address of this state with something changed; the first page of it."""
        state = replace(self, **{"page": 1, **changes})
        return url_for(
            "models.index",
            filter=state.filter or None,
            sort=state.sort if state.sort != "changed" else None,
            page=state.page if state.page > 1 else None,
        )

    def sorted_url(self, column: str) -> str:
        """The address sorted by a column; the other way round if it is already."""
        again = column == self.by and not self.sort.startswith("-")
        return self.url(sort=f"-{column}" if again else column)


def state_of(arguments: MultiDict[str, str]) -> State:
    """The state that an address says; what can't be right is as if it weren't there."""
    sort, page = arguments.get("sort", ""), arguments.get("page", "")
    return State(
        arguments.get("filter", "").strip(),
        sort if sort.removeprefix("-") in ORDERS else "changed",
        max(1, int(page)) if re.fullmatch(r"[0-9]{1,6}", page) else 1,
    )


@pages.get("/models")
def index() -> ResponseReturnValue:
    """The models that a filter matches, as many as fit a page."""
    state, problem, found = state_of(request.args), None, []
    models = registry()
    try:
        found = models.listed(state.grammar)
    except FilterError as error:
        problem = error
    found.sort(key=lambda model: model.name)
    found.sort(key=ORDERS[state.by][1], reverse=state.descending)
    start = (state.page - 1) * SIZE
    body = render_template(
        "models/list.html",
        state=state,
        orders=ORDERS,
        models=found[start : start + SIZE],
        total=len(found),
        more=len(found) > start + SIZE,
        stages=STAGES,
        problem=problem,
        mark=problem.message.partition("\n")[2] if problem else "",
        what=_what,
        left_out=models.problems(),
        any_models=bool(found) or bool(models.listed(limit=1)),
    )
    return make_response(body, 400 if problem else 200)


def _what(event: Event) -> str:
    """What a tag did, in a few words, as far as it says so itself."""
    change, said = changes([event])[0], event.message.get("version")
    if change.version is None:
        if not isinstance(said, int):
            return event.tag
        change = replace(change, version=said)
    return change.what
