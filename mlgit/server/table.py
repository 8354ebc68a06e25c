"""The state of the runs table, which its URL holds whole, and its columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from flask import url_for
from werkzeug.datastructures import MultiDict

from mlgit.entities import Run
from mlgit.exceptions import FilterError
from mlgit.server.experiments import VIEWS
from mlgit.store.filter_tokens import field
from mlgit.store.filters import OrderTerm, parse_filter, parse_order_by
from mlgit.store.telling import telling_keys
from mlgit.store.timeform import now_ms

SIZES = (25, 50, 100, 200, 500)
_SIZE = 100
_HOUR = 3_600_000
# Spans of time before now, in milliseconds.
SPANS = {
    "hour": _HOUR,
    "day": 24 * _HOUR,
    "week": 7 * 24 * _HOUR,
    "month": 30 * 24 * _HOUR,
    "year": 365 * 24 * _HOUR,
}
_MOST_COLUMNS = 60
_DEFAULT_KEYS = 6  # of metrics, and of params
# How MLflow names what it measures of the machine.
SYSTEM = "system/"
_KINDS = {"metrics": "metric", "params": "param", "tags": "tag"}
# What a run is: title, the field to sort by ("" where it can't be sorted by).
ATTRIBUTES = {
    "status": ("Status", "status"),
    "started": ("Started", "start_time"),
    "duration": ("Duration", ""),
    "user": ("User", "user_id"),
    "experiment": ("Experiment", ""),
    "source": ("Source", ""),
    "branch": ("Branch", ""),
    "code": ("Code", ""),
    "datasets": ("Datasets", ""),
    "models": ("Models", ""),
    "id": ("Id", "run_id"),
}
_ALWAYS = ("status", "started", "duration")


@dataclass(frozen=True)
class Column:
    """One column.

    Attributes:
        name: As the URL has it: an attribute, or ``metrics.`` and the like with a name.
        title: What its head says.
        kind: "metrics", "params", "tags" or "".
        key: The metric, param or tag; else the attribute.
        sort: What to sort by, in the grammar; "" where it can't be sorted by.
        way: "ascending" or "descending" where the table is sorted by it, else "".
    """

    name: str
    title: str
    kind: str
    key: str
    sort: str
    way: str = ""


@dataclass(frozen=True)
class State:
    """What the table shows. ``url`` gives the address of another state.

    Attributes:
        experiments: The experiments' ids; none: all.
        filter: In the grammar.
        order: One sort key in the grammar, or "".
        columns: Names of columns, in order; none: those that tell most.
        view: One of ``VIEWS``.
        page: Counted from 1.
        size: Runs a page.
        group: The param to group by, or "".
        flat: Show nested runs beside their parents, and not below them.
        since: One of ``SPANS``: only runs that began in it; "" for all.
    """

    experiments: tuple[str, ...] = ()
    filter: str = ""
    order: str = ""
    columns: tuple[str, ...] = ()
    view: str = "active"
    page: int = 1
    size: int = _SIZE
    group: str = ""
    flat: bool = False
    since: str = ""

    @property
    def term(self) -> OrderTerm | None:
        """The sort key, parsed; None where none is given or it doesn't parse."""
        try:
            return next(iter(parse_order_by([self.order] if self.order else [])), None)
        except FilterError:
            return None

    @property
    def is_tree(self) -> bool:
        """Whether nested runs stand below their parents, all of which are shown then."""
        return not (self.flat or self.filter or self.since)

    def narrowed(self, text: str) -> str:
        """A filter, with the span of time that is shown.

        Raises:
            FilterError: The filter doesn't parse; told of it as it was given.
        """
        if not self.since:
            return text
        least = f"attributes.start_time >= {now_ms() - SPANS[self.since]}"
        return f"({text}) AND {least}" if parse_filter(text) is not None else least

    def arguments(self) -> dict[str, Any]:
        """What a URL must say of it: what isn't as it is by itself."""
        given = {
            "experiment": list(self.experiments),
            "filter": self.filter,
            "order": self.order,
            "column": list(self.columns),
            "view": self.view if self.view != "active" else "",
            "page": self.page if self.page > 1 else "",
            "size": self.size if self.size != _SIZE else "",
            "group": self.group,
            "flat": "1" if self.flat else "",
            "since": self.since,
        }
        return {name: value for name, value in given.items() if value}

    def url(self, endpoint: str = "runs.index", **changes: Any) -> str:
        """The address of this state with something changed; the first page of it."""
        return url_for(endpoint, **replace(self, **{"page": 1, **changes}).arguments())

    def sorted_url(self, column: Column) -> str:
        """The address of the table sorted by a column; the other way round if it is already."""
        # Of numbers and times the greatest is what people look for first.
        first = (
            "ASC" if column.kind in ("params", "tags") or column.key in ("user", "id") else "DESC"
        )
        other = "ASC" if column.way == "descending" else "DESC"
        return self.url(order=f"{column.sort} {other if column.way else first}")


def state_of(arguments: MultiDict[str, str]) -> State:
    """The state that a URL's arguments say; what can't be right is as if it weren't there."""
    view = arguments.get("view", "active")
    size = number_in(arguments.get("size"), _SIZE)
    return State(
        experiments=tuple(dict.fromkeys(filter(None, arguments.getlist("experiment"))))[:100],
        filter=arguments.get("filter", "").strip(),
        order=arguments.get("order", "").strip(),
        columns=tuple(dict.fromkeys(filter(None, arguments.getlist("column"))))[:_MOST_COLUMNS],
        view=view if view in VIEWS else "active",
        page=max(1, min(number_in(arguments.get("page"), 1), 1_000_000)),
        size=size if size in SIZES else _SIZE,
        group=arguments.get("group", "").removeprefix("params."),
        flat=arguments.get("flat") == "1",
        since=since if (since := arguments.get("since", "")) in SPANS else "",
    )


def number_in(text: str | None, otherwise: int) -> int:
    """The number that an address's argument is; another where it isn't one."""
    return (
        int(text) if text and text.isascii() and text.isdecimal() and len(text) < 10 else otherwise
    )


def columns_of(state: State, runs: Sequence[Run]) -> list[Column]:
    """The columns: those that were chosen, else what tells most of these runs."""
    names = list(state.columns)
    if not names:
        names = [*_ALWAYS, *(["experiment"] if len(state.experiments) != 1 else [])]
        found = [pair for pair in telling_keys(runs) if not pair[1].startswith(SYSTEM)]
        for kind in ("metrics", "params"):
            names += [f"{k}.{key}" for k, key in found if k == kind][:_DEFAULT_KEYS]
    return [column for name in names if (column := column_named(name, state.term)) is not None]


def column_named(name: str, term: OrderTerm | None = None) -> Column | None:
    """The column of a name, or None where there is none.

    Args:
        name: As the URL has it.
        term: What the table is sorted by.
    """
    kind, dot, key = name.partition(".")
    if dot and key and kind in _KINDS:
        way = _way(term, _KINDS[kind], key)
        title = key if kind != "tags" else name
        return Column(name, title, kind, key, field(kind, key) or "", way)
    if name in ATTRIBUTES:
        title, sort = ATTRIBUTES[name]
        return Column(name, title, "", name, sort, _way(term, "attribute", sort))
    return None


def _way(term: OrderTerm | None, kind: str, key: str) -> str:
    if term is None or not key or (term.kind, term.key) != (kind, key):
        return ""
    return "ascending" if term.ascending else "descending"
