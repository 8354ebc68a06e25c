"""The names and values that a filter may use, for completion in the search box."""

from __future__ import annotations

from flask import Blueprint, Response, jsonify, request

from mlgit.entities import RunStatus
from mlgit.exceptions import FilterError
from mlgit.server.site import store
from mlgit.store.filter_tokens import field, quote
from mlgit.store.filters import RUNS, parse_order_by

pages = Blueprint("keys", __name__)
_MOST = 500
_MOST_VALUES = 50
_LONGEST_VALUE = 200


@pages.get("/api/keys")
def index() -> Response:
    """Fields, as the grammar writes them."""
    index = store().index
    found = sorted(RUNS.texts | RUNS.numbers)
    for kind in ("metrics", "params", "tags"):
        names = (field(kind, key) for key in index.keys(kind, _MOST))
        found += [name for name in names if name is not None]
    return jsonify(fields=[*found, "datasets.name", "datasets.digest", "datasets.context"])


@pages.get("/api/values")
def values() -> Response:
    """The values of a field, as the grammar writes them; none of what isn't compared with text."""
    begins = request.args.get("begins", "")
    try:
        term = next(iter(parse_order_by([request.args.get("field", "")])), None)
    except FilterError:
        term = None
    found: list[str] = []
    if request.args.get("field") in ("datasets.name", "dataset.name") and "\0" not in begins:
        found = store().index.values("datasets", "name", begins, _MOST_VALUES)
    elif term is not None and term.kind in ("param", "tag") and "\0" not in term.key + begins:
        found = store().index.values(f"{term.kind}s", term.key, begins, _MOST_VALUES)
    elif term is not None and (term.kind, term.key) == ("attribute", "status"):
        every = sorted(RunStatus.to_string(status) for status in RunStatus.all_status())
        found = [status for status in every if status.startswith(begins.upper())]
    return jsonify(values=[quote(value) for value in found if _can_be_written(value)])


def _can_be_written(value: str) -> bool:
    """Whether a value fits between quotes, and in a list."""
    return len(value) <= _LONGEST_VALUE and not ("'" in value and '"' in value)
