"""What charts draw, as JSON, and whole histories as CSV."""

from __future__ import annotations

from flask import Blueprint, Response, request

from mlgit.exceptions import InvalidParameterValue, ResourceDoesNotExist
from mlgit.server.history import AXES, Shape, series
from mlgit.server.site import site, store
from mlgit.store.record import HISTORY_HEADER, format_history

pages = Blueprint("points", __name__)
_MOST_RUNS = 100
_MOST_SERIES = 400


@pages.get("/api/points")
def index() -> Response:
    """The histories of metrics: ``run`` and ``key``, both as often as wanted."""
    runs = list(dict.fromkeys(request.args.getlist("run")))
    keys = list(dict.fromkeys(request.args.getlist("key")))
    if len(runs) > _MOST_RUNS or len(runs) * len(keys) > _MOST_SERIES:
        raise InvalidParameterValue("That is more than one chart can hold")
    shape = _shape()
    known = site().remembered
    found = [text for run in runs for text in series(store(), run, keys, shape, known)]
    return Response(f'{{"series":[{",".join(found)}]}}', mimetype="application/json")


def _shape() -> Shape:
    axis = request.args.get("x", "step")
    if axis not in AXES:
        raise InvalidParameterValue(f"There is no axis {axis[:40]!r}", hint=", ".join(AXES))
    return Shape(
        axis,
        int(_between("points", 1500, 50, 10_000)),
        round(_between("smooth", 0.0, 0.0, 0.999), 3),
        request.args.get("log") == "1",
    )


def _between(name: str, otherwise: float, least: float, most: float) -> float:
    text = request.args.get(name, "")
    try:
        found = float(text) if text else otherwise
    except ValueError:
        found = otherwise
    # NaN is in no range.
    return found if least <= found <= most else otherwise


@pages.get("/runs/<run_id>/history.csv")
def history(run_id: str) -> Response:
    """Every point of one metric."""
    key = request.args.get("key", "")
    points = store().runs.history(run_id, key)
    if not points:
        raise ResourceDoesNotExist(
            f"The run has no metric {key[:100]!r}", hint="the run's Charts have those that it has"
        )
    response = Response(HISTORY_HEADER + format_history(points), mimetype="text/csv")
    response.headers["Content-Disposition"] = 'attachment; filename="history.csv"'
    return response
