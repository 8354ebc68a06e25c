"""Several runs side by side: a table, and charts over all of them."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import quote as quoted

from flask import Blueprint, Response, g, jsonify, render_template, request, url_for
from flask.typing import ResponseReturnValue

from mlgit.entities import Run, ViewType
from mlgit.exceptions import InvalidParameterValue, MlgitException, ResourceDoesNotExist
from mlgit.review.several import KINDS, Line, compare_several
from mlgit.server.site import store
from mlgit.server.table import SYSTEM
from mlgit.store.directions import declared_directions
from mlgit.store.filter_tokens import quote

pages = Blueprint("compare", __name__)
MOST_RUNS = 100
_MOST_CELLS = 40_000
_MOST_CHARTS = 200
_IDS = re.compile(r"[0-9a-f]{32}\Z")


@dataclass(frozen=True)
class Chosen:
    """The runs that a URL names.

    Attributes:
        runs: Those that are there, in the URL's order, deleted ones too.
        problems: What is wrong with the others: (text, what, hint).
    """

    runs: tuple[Run, ...]
    problems: tuple[tuple[str, str, str], ...] = ()

    @property
    def ids(self) -> list[str]:
        """The runs' ids."""
        return [run.info.run_id for run in self.runs]


@dataclass(frozen=True)
class Column:
    """One quantity that charts can be drawn by.

    Attributes:
        name: Such as ``metrics.loss``.
        values: Each run's: numbers, texts, or None.
        numeric: Whether all values are numbers.
    """

    name: str
    values: tuple[float | str | None, ...]
    numeric: bool

    @property
    def varies(self) -> bool:
        """Whether it tells runs apart."""
        return len(set(self.values)) > 1


def chosen_runs() -> Chosen:
    """The runs that the request names: ``runs=ID,ID``, or ``run=`` once or more.

    Raises:
        InvalidParameterValue: They are too many.
    """
    given = [*request.args.getlist("run"), *request.args.get("runs", "").split(",")]
    texts = list(dict.fromkeys(text.strip() for text in given if text.strip()))
    if len(texts) > MOST_RUNS:
        raise InvalidParameterValue(
            f"{len(texts)} runs can't be compared at once; {MOST_RUNS} can",
            hint="narrow the runs table by a filter, or group it by a param",
        )
    found = _by_id([text for text in texts if _IDS.match(text)])
    problems = []
    for text in texts:
        if text not in found:
            try:
                found[text] = store().runs.get(store().resolve_run(text))
            except MlgitException as error:
                problems.append((text, error.message, error.hint))
    unique = {found[text].info.run_id: found[text] for text in texts if text in found}
    return Chosen(tuple(unique.values()), tuple(problems))


def _by_id(ids: Sequence[str]) -> dict[str, Run]:
    if not ids:
        return {}
    wanted = f"attributes.run_id IN ({', '.join(map(quote, ids))})"
    runs = store().search_runs(None, wanted, ViewType.ALL, len(ids))
    return {run.info.run_id: run for run in runs}


def address(ids: Sequence[str], **more: Any) -> str:
    """The address of a comparison. A comma may stand in a query as it is."""
    given = url_for("compare.index", **more)
    return f"{given}{'&' if '?' in given else '?'}runs={','.join(map(quoted, ids))}"


@pages.get("/compare")
def index() -> ResponseReturnValue:
    """What differs between runs, then all that is equal where it is asked for."""
    g.section = "runs"
    chosen = chosen_runs()
    if chosen.problems and not chosen.runs:
        text, what, hint = chosen.problems[0]
        raise ResourceDoesNotExist(what, hint=hint)
    lines = _lines(chosen.runs)
    everything = request.args.get("all") == "1"
    part = request.args.get("name", "").strip()
    shown = [line for line in lines if everything or line.differs]
    shown = [line for line in shown if part.lower() in line.name.lower()]
    most = max(1, _MOST_CELLS // max(1, len(chosen.runs)))
    return render_template(
        "compare.html",
        chosen=chosen,
        lines=shown[:most],
        kinds=KINDS,
        cut=max(0, len(shown) - most),
        equal=sum(not line.differs for line in lines),
        everything=everything,
        part=part,
        base=chosen.ids.index(base)
        if (base := request.args.get("base", "")) in chosen.ids
        else None,
        difference=difference,
        names=store().index.experiment_names(),
        columns=columns_of(chosen.runs, lines),
        curves=_drawn(lines)[:_MOST_CHARTS],
        going=[run.info.run_id for run in chosen.runs if run.info.status == "RUNNING"],
        here_with=partial(_with, chosen.ids),
    )


def difference(
    value: float | str | None, base: float | str | None, direction: str | None
) -> tuple[str, str]:
    """How a metric differs from the base's, and "good", "bad" or "" where that is known."""
    if not isinstance(value, float) or not isinstance(base, float):
        return "", ""
    found = value - base
    if found == 0 or not math.isfinite(found):
        return "", ""
    if direction is None:
        return f"{found:+.4g}", ""
    return f"{found:+.4g}", "good" if (found > 0) == (direction == "max") else "bad"


def _drawn(lines: Sequence[Line]) -> list[str]:
    """The metrics, those of the machine last."""
    names = [line.name for line in lines if line.kind == "metrics"]
    return sorted(names, key=lambda name: (name.startswith(SYSTEM), name))


def _with(ids: Sequence[str], without: str = "", **changes: Any) -> str:
    """The address of this page with something changed, or without a run."""
    kept = [run_id for run_id in ids if run_id != without]
    given = {**request.args.to_dict(flat=False), **changes}
    given = {key: value for key, value in given.items() if key not in ("run", "runs") and value}
    return address(kept, **given)


def _lines(runs: Sequence[Run]) -> tuple[Line, ...]:
    return compare_several(runs, declared_directions(store().repo)) if runs else ()


def columns_of(runs: Sequence[Run], lines: Sequence[Line]) -> list[Column]:
    """What charts can be drawn by: params, the runs' lengths, and metrics."""
    found = [_column("params", line) for line in lines if line.kind == "params"]
    lengths = tuple(_length(run) for run in runs)
    if any(length is not None for length in lengths):
        found.append(Column("duration", lengths, True))
    return found + [_column("metrics", line) for line in lines if line.kind == "metrics"]


def _column(kind: str, line: Line) -> Column:
    numbers = tuple(_number(value) for value in line.values)
    numeric = all(n is not None or v in (None, "") for n, v in zip(numbers, line.values))
    if kind == "metrics" or (numeric and any(n is not None for n in numbers)):
        return Column(f"{kind}.{line.name}", numbers, True)
    return Column(f"{kind}.{line.name}", line.values, False)


def _number(value: float | str | None) -> float | None:
    """A finite number, or None: no chart has a place for others."""
    try:
        number = float(value) if value is not None else math.nan
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _length(run: Run) -> float | None:
    info = run.info
    if info.start_time is None or info.end_time is None:
        return None
    return (info.end_time - info.start_time) / 1000


# -- for the charts


@pages.get("/compare/data.json")
def data() -> Response:
    """The runs, and all columns that charts can be drawn by."""
    chosen = chosen_runs()
    columns = columns_of(chosen.runs, _lines(chosen.runs))
    return jsonify(
        runs=[{"id": run.info.run_id, "name": run.info.run_name} for run in chosen.runs],
        columns=[
            {"name": column.name, "numeric": column.numeric, "values": column.values}
            for column in columns
        ],
    )
