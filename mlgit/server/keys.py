"""The names that a filter may use, for completion in the search box."""

from __future__ import annotations

from flask import Blueprint, Response, jsonify

from mlgit.server.site import store
from mlgit.store.filter_tokens import field
from mlgit.store.filters import RUNS

pages = Blueprint("keys", __name__)
_MOST = 500


@pages.get("/api/keys")
def index() -> Response:
    """Fields, as the grammar writes them."""
    index = store().index
    found = sorted(RUNS.texts | RUNS.numbers)
    for kind in ("metrics", "params", "tags"):
        names = (field(kind, key) for key in index.keys(kind, _MOST))
        found += [name for name in names if name is not None]
    return jsonify(fields=[*found, "datasets.name", "datasets.digest", "datasets.context"])
