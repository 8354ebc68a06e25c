"""The runs table."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from flask import (
    Blueprint,
    Response,
    make_response,
    render_template,
    request,
    stream_with_context,
)
from flask.typing import ResponseReturnValue

from mlgit.entities import Experiment, LifecycleStage, Run, ViewType
from mlgit.exceptions import FilterError, MlgitException
from mlgit.models.listing import models_of
from mlgit.server.experiments import VIEWS
from mlgit.server.markdown import to_html
from mlgit.server.nesting import Row, below_filter, with_nested
from mlgit.server.shown_run import NOTE
from mlgit.server.site import store
from mlgit.server.table import (
    ATTRIBUTES,
    SIZES,
    SPANS,
    Column,
    State,
    column_named,
    columns_of,
    state_of,
)
from mlgit.store.filter_tokens import field, quote
from mlgit.store.grouping import RunGroup
from mlgit.store.query import encode_token
from mlgit.store.telling import telling_keys
from mlgit.store.timeform import to_iso

pages = Blueprint("runs", __name__)
_CSV_PAGE = 5000
_MOST_GROUPS = 500
_GROUP_METRICS = 4
STARRED = "mlgit.starred"
_STARTS_FORMULA = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True)
class Problem:
    """A filter or sort key that can't be right.

    Attributes:
        text: What is wrong.
        mark: The expression's line, and under it the place.
        hint: What would be right.
        at: "filter" or "order".
    """

    text: str
    mark: str
    hint: str
    at: str


@pages.get("/experiments/<experiment_id>")
def of_experiment(experiment_id: str) -> ResponseReturnValue:
    """The runs of one experiment."""
    found = store().experiments.get(experiment_id)
    return _page(replace(state_of(request.args), experiments=(found.experiment_id,)))


@pages.get("/runs")
def index() -> ResponseReturnValue:
    """The runs that a filter matches, sorted, as many as fit a page."""
    return _page(state_of(request.args))


def _page(state: State) -> ResponseReturnValue:
    problem, rows, more = None, [], False
    groups: list[RunGroup] = []
    try:
        if state.group:
            rows = _sample(state)
            groups = _groups(state, [row.run for row in rows])
        else:
            rows, more = _rows(state)
    except FilterError as error:
        problem = _problem(error, state)
    runs = [row.run for row in rows]
    experiment = _experiment(state)
    body = render_template(
        "runs.html",
        state=state,
        rows=[] if state.group else rows,
        groups=groups,
        group_metrics=_group_metrics(state, runs),
        columns=columns_of(state, runs),
        name_column=Column("name", "Run", "", "name", "run_name", _name_way(state)),
        chooser=_chooser(state, runs),
        more=more,
        problem=problem,
        names=store().index.experiment_names(),
        total=_total(state),
        sizes=SIZES,
        spans=SPANS,
        cell=cell,
        below_filter=below_filter,
        narrowed=lambda group: _narrowed(state, group),
        any_runs=bool(rows) or bool(store().index.count_runs()),
        starred=STARRED,
        experiment=experiment,
        about=to_html(experiment.tags.get(NOTE, "")) if experiment else "",
    )
    return make_response(body, 400 if problem else 200)


def _experiment(state: State) -> Experiment | None:
    """The experiment whose runs are shown, if it is one alone."""
    if len(state.experiments) != 1:
        return None
    try:
        return store().experiments.get(state.experiments[0])
    except MlgitException:
        return None  # an address may name any: it has no runs


def _search(
    state: State, text: str, limit: int, offset: int = 0, top: bool = False
) -> tuple[list[Run], bool]:
    page = store().search_runs(
        list(state.experiments) or None,
        state.narrowed(text),
        VIEWS[state.view],
        limit,
        [state.order] if state.order else None,
        encode_token(offset) if offset else None,
        top,
    )
    return list(page), page.token is not None


def _rows(state: State) -> tuple[list[Row], bool]:
    offset = (state.page - 1) * state.size
    if not state.is_tree:
        found, more = _search(state, state.filter, state.size, offset)
        return [Row(run) for run in found], more
    found, more = _search(state, "", state.size, offset, top=True)
    return with_nested(found, lambda text, limit: _search(state, text, limit)[0]), more


def _sample(state: State) -> list[Row]:
    """Some of the runs, to tell which metrics there are."""
    return [Row(run) for run in _search(state, state.filter, 100)[0]]


def _groups(state: State, sample: Sequence[Run]) -> list[RunGroup]:
    return store().index.group_runs(
        state.group,
        state.narrowed(state.filter),
        _group_metrics(state, sample),
        list(state.experiments) or None,
        ViewType.stages(VIEWS[state.view]),
        _MOST_GROUPS,
    )


def _group_metrics(state: State, runs: Sequence[Run]) -> list[str]:
    chosen = [column.key for column in columns_of(state, runs) if column.kind == "metrics"]
    return chosen[: _GROUP_METRICS if state.columns else _GROUP_METRICS // 2]


def _narrowed(state: State, group: RunGroup) -> str:
    """The address of the runs of one group; "" where the grammar can't say it."""
    name = field("params", state.group)
    if name is None or (group.value and "'" in group.value and '"' in group.value):
        return ""
    test = f"{name} IS NULL" if group.value is None else f"{name} = {quote(group.value)}"
    text = f"({state.filter}) AND {test}" if state.filter else test
    return state.url(group="", filter=text)


def _problem(error: FilterError, state: State) -> Problem:
    lines = error.message.split("\n", 1)
    at = "order" if error.text == state.order and error.text != state.filter else "filter"
    return Problem(error.problem, lines[1] if len(lines) > 1 else "", error.hint, at)


def _total(state: State) -> int | None:
    """How many runs there are, where that is known without counting."""
    if state.filter or state.since or state.view != "active":
        return None
    counts = store().index.run_counts()
    if not state.experiments:
        return sum(counts.values())
    return sum(counts.get(experiment, 0) for experiment in state.experiments)


def _name_way(state: State) -> str:
    term = state.term
    if term is None or (term.kind, term.key) != ("attribute", "run_name"):
        return ""
    return "ascending" if term.ascending else "descending"


def _chooser(state: State, runs: Sequence[Run]) -> dict[str, list[Column]]:
    """The columns that may be chosen, by kind: what these runs have, and what is chosen."""
    names = [*ATTRIBUTES, *state.columns]
    names += [f"{kind}.{key}" for kind, key in telling_keys(runs)]
    for kind in ("params", "tags"):
        keys = sorted({key for run in runs for key in getattr(run.data, kind)})
        names += [f"{kind}.{key}" for key in keys]
    made: dict[str, list[Column]] = {"": [], "metrics": [], "params": [], "tags": []}
    for name in dict.fromkeys(names):
        column = column_named(name)
        if column is not None:
            made[column.kind].append(column)
    return made


def cell(run: Run, column: Column, names: dict[str, str]) -> Any:
    """A run's value in a column; None where it has none."""
    if column.kind:
        return getattr(run.data, column.kind).get(column.key)
    info, tags = run.info, run.data.tags
    if column.key == "duration":
        known = info.start_time is not None and info.end_time is not None
        return (info.end_time or 0) - (info.start_time or 0) if known else None
    found = {
        "status": info.status,
        "started": info.start_time,
        "user": info.user_id,
        "experiment": names.get(info.experiment_id, info.experiment_id),
        "source": tags.get("mlflow.source.name"),
        "branch": tags.get("mlflow.source.git.branch"),
        "code": tags.get("mlflow.source.git.commit", "")[:10],
        "datasets": ", ".join(i.dataset.name for i in run.inputs.dataset_inputs),
        "models": ", ".join(model.path for model in models_of(run)),
        "id": info.run_id[:8],
    }
    return found[column.key] or None


# -- CSV


@pages.get("/runs.csv")
def export() -> Response:
    """Everything that the filter matches, as CSV: all columns, or those that were chosen."""
    state = state_of(request.args)
    first, _ = _search(state, state.filter, _CSV_PAGE)  # what is wrong is told before we begin
    names = store().index.experiment_names()
    index = store().index
    columns = [column_named(name) for name in state.columns]
    if not state.columns:
        keys = [f"{kind}.{key}" for kind in ("metrics", "params") for key in index.keys(kind)]
        columns = [column_named(name) for name in keys]
    chosen = [column for column in columns if column is not None and (column.kind)]
    lines = stream_with_context(_csv(_all(state, first), chosen, names))
    response = Response(lines, mimetype="text/csv")
    response.headers["Content-Disposition"] = 'attachment; filename="runs.csv"'
    return response


def _all(state: State, first: Sequence[Run]) -> Iterator[Run]:
    """All runs of a state, page by page."""
    found, offset = list(first), 0
    while found:
        yield from found
        if len(found) < _CSV_PAGE:
            return
        offset += _CSV_PAGE
        found, _ = _search(state, state.filter, _CSV_PAGE, offset)


def _csv(runs: Iterator[Run], columns: list[Column], names: dict[str, str]) -> Iterator[str]:
    out = io.StringIO()
    writer = csv.writer(out)
    fixed = ["run_id", "run_name", "experiment", "status", "start_time", "end_time", "user"]
    writer.writerow(harmless(text) for text in [*fixed, *(column.name for column in columns)])
    for run in runs:
        info = run.info
        times = [None if t is None else to_iso(t) for t in (info.start_time, info.end_time)]
        status = info.status
        if info.lifecycle_stage == LifecycleStage.DELETED:
            status += " (deleted)"
        row = [info.run_id, info.run_name, names.get(info.experiment_id), status, *times]
        row += [info.user_id, *(cell(run, column, names) for column in columns)]
        writer.writerow(harmless(value) for value in row)
        if out.tell() > 1 << 16:
            yield out.getvalue()
            out.seek(0)
            out.truncate()
    yield out.getvalue()


def harmless(value: object) -> str:
    """A cell that a spreadsheet takes for text or a number, and never for a formula."""
    if value is None:
        return ""
    if isinstance(value, float):
        return repr(value) if math.isfinite(value) else str(value)
    text = str(value)
    if text.startswith(_STARTS_FORMULA):
        try:
            float(text)
        except ValueError:
            return "'" + text
    return text
