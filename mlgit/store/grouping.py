"""Runs grouped by what a param of theirs is, in one statement over the index."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from mlgit.entities import LifecycleStage
from mlgit.store.filters import parse_filter
from mlgit.store.predicates import Sql, join, one_of, predicate
from mlgit.store.query import Query


@dataclass(frozen=True)
class RunGroup:
    """The runs that share a param's value.

    Attributes:
        value: The value; None for runs that lack the param.
        runs: How many there are.
        newest: When the newest began, in milliseconds since 1970.
        metrics: The least, mean and greatest of each metric that was asked for; None where no
            run has a number.
    """

    value: str | None
    runs: int
    newest: int | None
    metrics: tuple[tuple[float, float, float] | None, ...] = ()


def groups_query(
    param: str,
    filter_text: str = "",
    metrics: Sequence[str] = (),
    experiment_ids: Sequence[str] | None = None,
    stages: Sequence[str] = (LifecycleStage.ACTIVE,),
    limit: int = 1000,
) -> Query:
    """Compile a search for groups of runs, the largest first.

    Args:
        param: The param whose values make the groups.
        filter_text: Only runs that match this; "" for all.
        metrics: The metrics to sum up.
        experiment_ids: The experiments to look in; None for all.
        stages: The lifecycle stages to look at.
        limit: The most groups to give.

    Raises:
        FilterError: The filter doesn't parse or doesn't mean anything.
    """
    node = parse_filter(filter_text)
    where = [one_of("runs.lifecycle_stage", list(stages))]
    if experiment_ids is not None:
        within = one_of("experiment_id", list(experiment_ids))
        listed = f"SELECT id FROM runs INDEXED BY runs_experiment WHERE {within.text}"
        where.append(Sql(f"runs.id IN ({listed})", within.args))
    if node is not None:
        where.append(predicate(node, "runs"))
    joins = [Sql("LEFT JOIN params AS p ON p.run = runs.id AND p.key = ?", (param,))]
    columns = ["p.value", "count(*)", "max(runs.start_time)"]
    for at, metric in enumerate(metrics):
        table = f"metrics AS m{at}"
        joins.append(Sql(f"LEFT JOIN {table} ON m{at}.run = runs.id AND m{at}.key = ?", (metric,)))
        columns += [f"{function}(m{at}.value)" for function in ("min", "avg", "max")]
    source, condition = join(" ", joins), join(" AND ", where)
    # Runs in the order of their ids, as the params and metrics are: an index of runs has another
    # order, in which each is looked for far from the last.
    return Query(
        f"SELECT {', '.join(columns)} FROM runs NOT INDEXED {source.text} WHERE {condition.text} "
        "GROUP BY p.value ORDER BY count(*) DESC, p.value LIMIT ?",
        (*source.args, *condition.args, limit),
    )


def groups_of(rows: Iterable[Sequence[Any]]) -> list[RunGroup]:
    """What the rows of such a query say."""
    found = []
    for value, runs, newest, *sums in rows:
        triples = [tuple(sums[at : at + 3]) for at in range(0, len(sums), 3)]
        metrics = tuple(None if t[0] is None else (t[0], t[1], t[2]) for t in triples)
        found.append(RunGroup(value, runs, newest, metrics))
    return found
