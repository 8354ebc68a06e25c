"""Comparisons and sort keys as pieces of SQL, with the values beside them, to be bound.

Every test of a metric, param, tag or dataset is an EXISTS on its table by primary key;
the unary plus in front of values keeps SQLite's planner from using another index there.
``candidates`` is the other way round: the runs that an index finds for a comparison.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mlgit.store.filters import And, Comparison, Node, Not, Or, OrderTerm

_TABLES = {"metric": "metrics", "param": "params", "tag": "tags"}
# Where the tags are of what has nothing but tags.
_TAGS_OF = {
    "experiments": "experiment_tags AS v WHERE v.experiment_id = experiments.experiment_id",
    "registered_models": "registered_model_tags AS v WHERE v.model = registered_models.key",
    "model_versions": "model_version_tags AS v WHERE v.version = model_versions.id",
}
_ORDERED = ("=", "<", "<=", ">", ">=")
# Ranks of candidates.
RANGE = 3
WHOLE = 4
# Deeper trees go first in their group: SQLite's parser then stacks least.
_GROUP = 100
_UNIONS = 50


@dataclass(frozen=True, slots=True)
class Sql:
    """A piece of SQL and the values bound to its question marks."""

    text: str
    args: tuple[Any, ...] = ()
    depth: int = 0


def join(glue: str, parts: Sequence[Sql]) -> Sql:
    """The pieces with ``glue`` in between."""
    return Sql(
        glue.join(part.text for part in parts),
        tuple(arg for part in parts for arg in part.args),
        max((part.depth for part in parts), default=0),
    )


def one_of(column: str, values: Sequence[str]) -> Sql:
    """Whether a column has one of some texts."""
    if len(values) == 1:
        return Sql(f"{column} = ?", (values[0],))
    return Sql(f"{column} IN (SELECT value FROM json_each(?))", (json.dumps(list(values)),))


def conjuncts(node: Node | None) -> tuple[Node, ...]:
    """The parts of a tree that must all be true."""
    if node is None:
        return ()
    if isinstance(node, And):
        return tuple(part for term in node.terms for part in conjuncts(term))
    return (node,)


def predicate(node: Node, table: str, negate: bool = False) -> Sql:
    """A tree as a condition on the rows of a table: ``runs``, ``experiments``, ….

    NOT is pushed down to the comparisons, which saves SQLite's parser levels of nesting.
    """
    if isinstance(node, Not):
        return predicate(node.term, table, not negate)
    if isinstance(node, Comparison):
        return _leaf(node, table, negate)
    conjunction = isinstance(node, And) != negate
    parts = [predicate(term, table, negate) for term in _flat(node)]
    return together(" AND " if conjunction else " OR ", parts)


def together(glue: str, parts: Sequence[Sql]) -> Sql:
    """Conditions joined to one, in groups: SQLite takes no more than 1000 in a row."""
    parts = sorted(parts, key=lambda part: -part.depth)
    while len(parts) > 1:
        groups = [parts[i : i + _GROUP] for i in range(0, len(parts), _GROUP)]
        parts = [_group(glue, group) for group in groups]
    return parts[0] if parts else Sql("1")


def _flat(node: And | Or) -> list[Node]:
    nodes: list[Node] = []
    for term in node.terms:
        nodes += _flat(term) if type(term) is type(node) else [term]
    return nodes


def _group(glue: str, parts: Sequence[Sql]) -> Sql:
    joined = join(glue, parts)
    return Sql(f"({joined.text})", joined.args, joined.depth + 1)


def _leaf(node: Comparison, table: str, negate: bool) -> Sql:
    if node.kind == "attribute":
        test = _test(column(node.key, table), node)
        return Sql(f"({test.text}) IS NOT TRUE", test.args) if negate else test
    is_null = node.op == "IS NULL"
    if node.kind == "dataset":
        source = Sql("inputs AS v WHERE v.run = runs.id AND ")
        test = _test(f"v.{node.key}", node)
        if node.op.startswith("IS"):
            test = Sql(f"v.{node.key} IS NOT NULL")
    else:
        source = _row(node.kind, node.key, table)
        test = _test(_value(node), node)
        if node.op.startswith("IS"):
            test = Sql("1")
    exists = "NOT EXISTS" if negate != is_null else "EXISTS"
    return Sql(f"{exists} (SELECT 1 FROM {source.text}{test.text})", (*source.args, *test.args))


def _row(kind: str, key: str, table: str) -> Sql:
    if table in _TAGS_OF:
        text = _TAGS_OF[table]
    else:
        text = f"{_TABLES[kind]} AS v WHERE v.run = runs.id"
    return Sql(f"{text} AND v.key = ? AND ", (key,))


def _value(node: Comparison, plus: str = "+") -> str:
    numeric = node.kind == "param" and isinstance(node.value, (int, float))
    return f"{plus}v.number" if numeric else f"{plus}v.value"


def column(key: str, table: str) -> str:
    """The column that holds an attribute."""
    return "runs.name" if key == "run_name" else f"{table}.{key}"


def _test(value: str, node: Comparison) -> Sql:
    """The comparison, of a column; NULL where the column is."""
    op = node.op
    if op.startswith("IS"):
        return Sql(f"{value} {op}")
    if op.endswith("IN"):
        return Sql(f"{value} {op} (SELECT value FROM json_each(?))", (json.dumps(node.value),))
    if op.endswith("ILIKE"):
        pattern = str(node.value)
        sense = "NOT " if op.startswith("NOT") else ""
        if not pattern.isascii():
            return Sql(f"{sense}mlgit_ilike({value}, ?)", (pattern,))
        return Sql(f"lower({value}) {sense}GLOB ?", (_glob(pattern.lower()),))
    if op.endswith("LIKE"):
        return Sql(f"{value} {op[:-4]}GLOB ?", (_glob(str(node.value)),))
    if op == "!=" and node.kind == "metric":
        # NaN, which is stored as NULL, is unequal to every number.
        op = "IS NOT"
    return Sql(f"{value} {op} ?", (node.value,))


_GLOB = str.maketrans({"%": "*", "_": "?", "*": "[*]", "?": "[?]", "[": "[[]"})


def _glob(pattern: str) -> str:
    """A LIKE pattern as a GLOB pattern: GLOB minds the case without a PRAGMA."""
    return pattern.translate(_GLOB)


def requires(terms: Sequence[Node], order: OrderTerm) -> str:
    """What a filter's parts demand of a sort key: "value" (and no NaN), "key" or ""."""
    found = ""
    for term in terms:
        if not isinstance(term, Comparison) or (term.kind, term.key) != (order.kind, order.key):
            continue
        if term.op == "IS NULL":
            continue
        if term.kind == "metric" and term.op in ("!=", "IS NOT NULL"):
            found = found or "key"
        else:
            found = "value"
    return found


def sort_key(term: OrderTerm, table: str) -> Sql:
    """A sort key for ORDER BY; NULL, which SQLite takes for the smallest, comes last."""
    way = "" if term.ascending else " DESC"
    last = " NULLS LAST" if term.ascending else ""
    if term.kind == "attribute":
        if term.key in ("run_id", "run_name", "status", "experiment_id", "name"):
            last = ""
        return Sql(f"{column(term.key, table)}{way}{last}")
    row = _row(term.kind, term.key, table)
    value = Sql(f"(SELECT v.value FROM {row.text}1){way}{last}", row.args)
    if term.kind != "metric":
        return value
    # Of the NULLs, those that are NaN come before those that aren't there.
    return join(", ", [value, Sql(f"EXISTS (SELECT 1 FROM {row.text}1) DESC", row.args)])


def on_value(node: Node, order: OrderTerm, value: str) -> Sql | None:
    """A comparison of the sort key itself, as a range of the index that is being read.

    Args:
        node: A condition on a run; of any other kind there is none.
        order: The leading sort key.
        value: The column that holds it.
    """
    same = isinstance(node, Comparison) and (node.kind, node.key) == (order.kind, order.key)
    if not same or not isinstance(node, Comparison) or node.op.startswith("IS"):
        return None
    return None if _value(node) == "+v.number" else _test(value, node)


def not_listed(node: Node) -> Sql | None:
    """That a run lacks a metric, param or tag, told from one list of those that have it.

    Much faster than ``predicate`` where most runs are tested, and slower for a few.
    """
    if not isinstance(node, Comparison) or node.op != "IS NULL" or node.kind not in _TABLES:
        return None
    table = _TABLES[node.kind]
    listed = f"SELECT v.run FROM {table} AS v INDEXED BY {table}_value WHERE v.key = ?"
    return Sql(f"runs.id NOT IN ({listed})", (node.key,))


def candidates(terms: Sequence[Node]) -> list[tuple[int, Sql]]:
    """The runs that indexes find for conditions that must all hold, likely smallest first.

    Returns:
        Ranks, the lower the likelier small, up to ``RANGE`` where the index goes straight
        to what is meant and ``WHOLE`` where all of the key's entries are read; and
        statements that give a column ``run``, each run once. Each finds all runs that
        meet the conditions, and some that don't.
    """
    found = [item for term in terms if (item := _candidate(term, terms)) is not None]
    found.sort(key=lambda item: item[0])
    return list({sql: (rank, sql) for rank, sql in found}.values())


def _candidate(node: Node, beside: Sequence[Node] = ()) -> tuple[int, Sql] | None:
    """What one index finds for a condition, and a rank: the lower, the fewer, likely."""
    if isinstance(node, Comparison):
        same = [
            term
            for term in beside
            if isinstance(term, Comparison)
            and (term.kind, term.key, _value(term)) == (node.kind, node.key, _value(node))
            and term.op in _ORDERED
        ]
        return _indexed(node, same if node.op in _ORDERED else [node])
    if isinstance(node, And):
        terms = conjuncts(node)
        found = [item for term in terms if (item := _candidate(term, terms)) is not None]
        return min(found, key=lambda item: item[0]) if found else None
    if isinstance(node, Not) or len(node.terms) > _UNIONS:
        return None
    parts = [_candidate(term) for term in node.terms]
    known = [part for part in parts if part is not None]
    if len(known) < len(parts) or sum(sql.text.count("UNION") for _, sql in known) > _UNIONS:
        return None
    union = join(" UNION ", [Sql(f"SELECT run FROM ({sql.text})", sql.args) for _, sql in known])
    return max(rank for rank, _ in known), union


def _indexed(node: Comparison, same: Sequence[Comparison]) -> tuple[int, Sql] | None:
    """Runs by an index, for comparisons of one field that must all hold."""
    if node.op == "IS NULL":
        return None
    if node.kind == "attribute":
        index = _ATTRIBUTE_INDEXES.get(node.key)
        if index is None:
            return None
        value = column(node.key, "runs")
        tests = [_ranged(value, term) for term in (same or [node])[:_GROUP]]
        test = join(" AND ", tests)
        rank = 0 if node.key == "run_id" else _rank(node)
        return rank, Sql(f"SELECT runs.id AS run FROM runs{index} WHERE {test.text}", test.args)
    if node.kind == "dataset":
        if node.key != "name" or node.op not in ("=", "IN"):
            return None
        test = _test("v.name", node)
        source = "inputs AS v INDEXED BY inputs_name"
        return 1, Sql(f"SELECT DISTINCT v.run AS run FROM {source} WHERE {test.text}", test.args)
    value = _value(node, "")
    table = _TABLES[node.kind]
    tests = [_ranged(value, term) for term in (same or [node])[:_GROUP]]
    if value == "v.number":
        # Tells SQLite that the partial index holds all that is asked for.
        tests.append(Sql("v.number IS NOT NULL"))
    test = join(" AND ", [Sql("v.key = ?", (node.key,)), *tests])
    source = f"{table} AS v INDEXED BY {table}_{value[2:]}"
    return _rank(node), Sql(f"SELECT v.run AS run FROM {source} WHERE {test.text}", test.args)


_ATTRIBUTE_INDEXES = {
    "run_id": "",
    "run_name": " INDEXED BY runs_name",
    "start_time": " INDEXED BY runs_newest",
}


def _rank(node: Comparison) -> int:
    if node.op in ("=", "IN"):
        return 1
    if node.op == "LIKE":
        return 2 if _prefix(node) else WHOLE
    return RANGE if node.op in _ORDERED else WHOLE


def _ranged(value: str, node: Comparison) -> Sql:
    """The test of an indexed value, with the range that a LIKE pattern's start gives."""
    if node.op == "IS NOT NULL" and node.kind == "metric":
        return Sql("1")
    test = _test(value, node)
    prefix = _prefix(node)
    if not prefix:
        return test
    end = prefix[:-1] + chr(ord(prefix[-1]) + 1)
    return Sql(f"{value} >= ? AND {value} < ? AND {test.text}", (prefix, end, *test.args))


def _prefix(node: Comparison) -> str:
    """What every value begins with that a LIKE pattern matches, where a range can say so."""
    if node.op != "LIKE":
        return ""
    prefix = str(node.value).partition("%")[0].partition("_")[0]
    return prefix if prefix and prefix[-1] < "\ud7ff" else ""
