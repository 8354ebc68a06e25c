"""How a search for runs goes about the index; what it gives is in ``query.py``.

SQLite has no statistics unless ANALYZE is run; searches here neither need nor mind them.
There are two ways to answer, each slow where the other is fast:

- *scan*: go through the index of the leading sort key, test each run, stop at ``limit``.
  Fast where many runs match.
- *drive*: take the runs that an index finds for one comparison, test the rest, sort.
  Fast where few runs match.

One statement tries both. It counts what each comparison's index holds, up to a cap; if
one holds few, it drives from that (``few``). Else it scans the first thousands of entries
(``first``). If these don't fill the page, it counts on, up to a larger cap, and drives
from the smallest, or scans everything if all are large (``choice``). The parts that
weren't chosen run with LIMIT 0, which costs nothing. CROSS JOIN, INDEXED
BY and unary plus tell SQLite's planner which index is meant.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mlgit.entities import LifecycleStage
from mlgit.store.filters import Node, OrderTerm
from mlgit.store.predicates import (
    RANGE,
    WHOLE,
    Sql,
    candidates,
    conjuncts,
    join,
    not_listed,
    on_value,
    one_of,
    predicate,
    requires,
    sort_key,
    together,
)

# Entries that are scanned before anything else is tried: about 5 ms worth of them.
FIRST = 4000
# A comparison that holds for fewer runs drives without further ado.
FEW = 1000
# Entries from which on driving, which sorts, costs more than scanning everything.
LARGE = 30_000
# Comparisons that compete to drive; more only make the statement longer.
DRIVERS = 4

PARENT_RUN = "mlflow.parentRunId"
_TABLES = {"metric": "metrics", "param": "params", "tag": "tags"}
_ALL_STAGES = {LifecycleStage.ACTIVE, LifecycleStage.DELETED}
_NEWEST = OrderTerm("attribute", "start_time", False)


@dataclass(frozen=True, slots=True)
class _Lead:
    """An index that holds the leading sort key in order."""

    # The table that the index is of, then what leads from there to runs.
    table: str
    to_runs: str
    # Which of the index's entries are meant.
    where: Sql
    column: str
    # What no value is below, and what none is above.
    least: str
    most: str


class RunSearch:
    """One search for runs, on its way to SQL. The arguments are ``runs_query``'s, parsed."""

    def __init__(
        self,
        node: Node | None,
        order: Sequence[OrderTerm],
        experiment_ids: Sequence[str] | None,
        stages: Sequence[str],
        limit: int,
        offset: int,
        top: bool = False,
    ) -> None:
        self.terms = conjuncts(node)
        self.order = order
        self.limit = limit
        self.offset = offset
        self.scope = _scope("runs", experiment_ids, stages)
        # One experiment and one stage: an index has just these runs, newest first.
        self.pinned = experiment_ids is not None and len(experiment_ids) == len(stages) == 1
        self.newest = "runs INDEXED BY " + ("runs_experiment" if self.pinned else "runs_newest")
        found = candidates(self.terms)
        # What sorts all runs, or leaves out many, tests as many.
        is_long = not found and (offset > FIRST or self.lead() is None)
        self.each = [
            (is_long and not_listed(term)) or predicate(term, "runs") for term in self.terms
        ]
        if top:
            self.each.append(_at_top(_scope("parent", experiment_ids, stages), is_long))
        self.tests = together(" AND ", self.each)
        self.where = join(" AND ", [self.scope, self.tests])
        self.drivers: list[tuple[int, Sql]] = []
        if experiment_ids is not None:
            text = f"SELECT id AS run FROM runs INDEXED BY runs_experiment WHERE {self.scope.text}"
            self.drivers.append((1, Sql(text, self.scope.args)))
        self.drivers += found[: DRIVERS - len(self.drivers)]

    def statement(self) -> Sql:
        """The whole statement."""
        lead = self.lead()
        direct = self.pinned and not self.terms and self.order[0] == _NEWEST
        if not self.drivers or direct:
            return self.everything(lead, "?")
        gate = "(SELECT CASE i WHEN {} THEN ? ELSE 0 END FROM choice)"
        parts = [Sql("SELECT id FROM first WHERE (SELECT i FROM choice) = -1")]
        for i, (_, driver) in enumerate(self.drivers, 1):
            source = f"({driver.text}) AS driver CROSS JOIN runs ON runs.id = driver.run"
            parts.append(_part(self.sorted(Sql(source, driver.args), gate.format(i))))
        parts.append(_part(self.everything(lead, gate.format(0))))
        few = self.smallest(Sql("SELECT -1 AS i, ? AS n", (FEW,)), FEW, RANGE)
        most = self.smallest(Sql("SELECT 0 AS i, ? AS n", (LARGE,)), LARGE)
        first = Sql("SELECT NULL WHERE 0")
        if lead:
            first = self.first(lead, "(SELECT CASE i WHEN -1 THEN ? ELSE 0 END FROM few)")
        body = join(" UNION ALL ", parts)
        text = (
            f"WITH few(i) AS MATERIALIZED ({few.text}), first(id) AS MATERIALIZED ({first.text}), "
            "choice(i) AS MATERIALIZED (SELECT CASE WHEN (SELECT i FROM few) > 0 "
            "THEN (SELECT i FROM few) WHEN (SELECT count(*) FROM first) >= ? THEN -1 "
            f"ELSE ({most.text}) END) {body.text}"
        )
        return Sql(text, (*few.args, *first.args, self.limit, *most.args, *body.args))

    def smallest(self, otherwise: Sql, cap: int, rank: int = WHOLE) -> Sql:
        """The number, from 1, of the driver with the fewest runs, if below the cap."""
        sizes = [otherwise]
        for i, (known, driver) in enumerate(self.drivers, 1):
            if known > rank:
                continue
            count = f"SELECT count(*) FROM (SELECT 1 FROM ({driver.text}) LIMIT ?)"
            sizes.append(Sql(f"SELECT {i}, ({count})", (*driver.args, cap)))
        size = join(" UNION ALL ", sizes)
        return Sql(f"SELECT i FROM ({size.text}) ORDER BY n, i LIMIT 1", size.args)

    def lead(self) -> _Lead | None:
        """The index of the leading sort key, if there is one."""
        term = self.order[0]
        if term.kind in _TABLES:
            table = _TABLES[term.kind]
            least, most = ("-9e999", "9e999") if term.kind == "metric" else ("''", "x'ff'")
            return _Lead(
                f"{table} AS lead INDEXED BY {table}_value",
                " CROSS JOIN runs ON runs.id = lead.run",
                Sql("lead.key = ?", (term.key,)),
                "lead.value",
                least,
                most,
            )
        if term.key == "start_time":
            where = self.scope if self.pinned else Sql("1")
            return _Lead(self.newest, "", where, "runs.start_time", "-9e999", "9e999")
        if term.key == "run_name":
            return _Lead("runs INDEXED BY runs_name", "", Sql("1"), "runs.name", "''", "x'ff'")
        return None

    def sorted(self, source: Sql, gate: str) -> Sql:
        """The page, by sorting all of a source that matches."""
        keys = join(", ", [sort_key(term, "runs") for term in self.order])
        return Sql(
            f"SELECT runs.id AS id FROM {source.text} WHERE {self.where.text} "
            f"ORDER BY {keys.text} LIMIT {gate} OFFSET ?",
            (*source.args, *self.where.args, *keys.args, self.limit, self.offset),
        )

    def everything(self, lead: _Lead | None, gate: str) -> Sql:
        """The page, from all runs: those with the leading key, those with NaN, the others."""
        if lead is None:
            return self.sorted(Sql("runs"), gate)
        required = requires(self.terms, self.order[0])
        arms = [self.having(lead)]
        if required != "value":
            if lead.to_runs and self.order[0].kind == "metric":
                nan = join(" AND ", [lead.where, Sql("lead.value IS NULL"), self.where])
                arms.append(self.ordered(lead.table + lead.to_runs, nan))
            if required != "key" and lead.column != "runs.name":
                arms.append(self.lacking(lead))
        enough = self.limit + self.offset
        if len(arms) == 1:
            joined = arms[0]
        else:
            joined = join(
                " UNION ALL ",
                [_part(Sql(f"{arm.text} LIMIT ?", (*arm.args, enough))) for arm in arms],
            )
        return Sql(f"{joined.text} LIMIT {gate} OFFSET ?", (*joined.args, self.limit, self.offset))

    def ordered(self, source: str, where: Sql, *prefix: Sql) -> Sql:
        """Matching runs of a source by all sort keys but the leading one."""
        keys = [*prefix, *(sort_key(term, "runs") for term in self.order[1:])]
        by = join(", ", keys or [Sql("runs.id")])
        return Sql(
            f"SELECT runs.id AS id FROM {source} WHERE {where.text} ORDER BY {by.text}",
            (*where.args, *by.args),
        )

    def having(self, lead: _Lead, bound: Sql | None = None) -> Sql:
        """The matching runs that have the leading key, in its index's order."""
        way = "" if self.order[0].ascending else " DESC"
        terms = [lead.where, bound or Sql(f"{lead.column} IS NOT NULL"), self.scope]
        if lead.to_runs:
            tests = [
                on_value(term, self.order[0], lead.column) or test
                for term, test in zip(self.terms, self.each)
            ]
            tests += self.each[len(self.terms) :]
            own = [test for test in tests if test.text.startswith(lead.column)][:100]
            terms += [*own, together(" AND ", [test for test in tests if test not in own])]
        else:
            terms.append(self.tests)
        where = join(" AND ", terms)
        return self.ordered(lead.table + lead.to_runs, where, Sql(lead.column + way))

    def lacking(self, lead: _Lead) -> Sql:
        """The matching runs without the leading key."""
        if not lead.to_runs:
            where = join(" AND ", [self.where, Sql(f"{lead.column} IS NULL")])
            return self.ordered(lead.table, where)
        table = lead.table.partition(" ")[0]
        absent = f"NOT EXISTS (SELECT 1 FROM {table} AS v WHERE v.run = runs.id AND v.key = ?)"
        where = join(" AND ", [self.where, Sql(absent, (self.order[0].key,))])
        return self.ordered(self.newest if self.order[1] == _NEWEST else "runs", where)

    def first(self, lead: _Lead, gate: str) -> Sql:
        """The page, if the first entries of the leading key's index fill it.

        They end at the value of the entry at ``FIRST``, all of its ties included.
        """
        sign, way, end = (
            ("<=", "", lead.most) if self.order[0].ascending else (">=", " DESC", lead.least)
        )
        entries = FIRST + 2 * (self.limit + self.offset)
        bound = Sql(
            f"{lead.column} {sign} ifnull((SELECT {lead.column} FROM {lead.table} "
            f"WHERE {lead.where.text} AND {lead.column} IS NOT NULL "
            f"ORDER BY {lead.column}{way} LIMIT 1 OFFSET ?), {end})",
            (*lead.where.args, entries),
        )
        found = self.having(lead, bound)
        return Sql(f"{found.text} LIMIT {gate} OFFSET ?", (*found.args, self.limit, self.offset))


def _scope(table: str, experiment_ids: Sequence[str] | None, stages: Sequence[str]) -> Sql:
    """That a run, by the name that a statement calls it, is one of those looked at."""
    scope = []
    if experiment_ids is not None:
        scope.append(one_of(f"{table}.experiment_id", experiment_ids))
    if not set(stages) >= _ALL_STAGES:
        scope.append(one_of(f"{table}.lifecycle_stage", stages))
    return join(" AND ", scope or [Sql("1")])


# Whether a run's parents lead back to it. Most have no third one, which is told sooner.
_IN_CIRCLE = (
    "(EXISTS (SELECT 1 FROM tags AS u CROSS JOIN runs AS second ON second.run_id = u.value "
    "CROSS JOIN tags AS w ON w.run = second.id AND w.key = ? "
    "WHERE u.run = parent.id AND u.key = ?) AND EXISTS ("
    "WITH RECURSIVE above(id) AS (SELECT parent.id UNION SELECT next.id FROM above "
    "CROSS JOIN tags AS t ON t.run = above.id AND t.key = ? "
    "CROSS JOIN runs AS next ON next.run_id = t.value) "
    "SELECT 1 FROM above WHERE above.id = v.run))"
)


def _at_top(scope: Sql, is_long: bool) -> Sql:
    """That a run isn't nested: its parent isn't one of those looked at, or is below it.

    Args:
        scope: That ``parent`` is one of those looked at.
        is_long: Whether most runs are tested: then one list of those that are nested is made.
    """
    source = "tags AS v{} CROSS JOIN runs AS parent ON parent.run_id = v.value"
    text = f"v.key = ? AND {scope.text} AND NOT {_IN_CIRCLE}"
    args = (PARENT_RUN, *scope.args, *(PARENT_RUN,) * 3)
    if is_long:
        listed = source.format(" INDEXED BY tags_value")
        return Sql(f"runs.id NOT IN (SELECT v.run FROM {listed} WHERE {text})", args)
    return Sql(
        f"NOT EXISTS (SELECT 1 FROM {source.format('')} WHERE v.run = runs.id AND {text})", args
    )


def _part(sql: Sql) -> Sql:
    return Sql(f"SELECT id FROM ({sql.text})", sql.args)
