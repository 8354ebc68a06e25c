"""Searches compiled to SQL over the index's tables (``schema.py``), and page tokens.

No text of the caller's ever becomes part of a statement: values and keys are bound.

``predicates.py`` compiles the conditions; ``runsearch.py`` decides how to go about them.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from mlgit.entities import LifecycleStage
from mlgit.exceptions import InvalidParameterValue
from mlgit.store.filters import EXPERIMENTS, OrderTerm, parse_filter, parse_order_by
from mlgit.store.predicates import join, one_of, predicate, sort_key
from mlgit.store.runsearch import RunSearch


@dataclass(frozen=True, slots=True)
class Query:
    """A statement and the values bound to its question marks."""

    sql: str
    args: tuple[Any, ...]


def prepare(connection: sqlite3.Connection) -> None:
    """Register what the queries need on a connection; call it once, after opening.

    That is one function, for ILIKE with a pattern beyond ASCII. ANALYZE isn't needed.
    """
    connection.create_function("mlgit_ilike", 2, _ilike, deterministic=True)


def runs_query(
    filter_text: str = "",
    order_by: Sequence[str] | None = None,
    experiment_ids: Sequence[str] | None = None,
    stages: Sequence[str] = (LifecycleStage.ACTIVE,),
    limit: int = 1000,
    offset: int = 0,
    top: bool = False,
) -> Query:
    """Compile a search for runs.

    Args:
        filter_text: The filter expression; "" for all.
        order_by: Sort keys, the first one first. Ties, and no keys at all, are sorted by
            start_time, newest first, then by run_id. NaN comes after all numbers and
            what lacks the key comes last, ascending or descending.
        experiment_ids: The experiments to look in; None for all.
        stages: The lifecycle stages to look at.
        limit: The most rows to give.
        offset: How many rows to leave out before these.
        top: Leave out what is nested in a run of these experiments and stages. Runs whose
            parents go in a circle aren't left out.

    Returns:
        A query that gives ``runs.id``, one column, in order.

    Raises:
        FilterError: The filter or a sort key doesn't parse or doesn't mean anything.
    """
    node = parse_filter(filter_text)
    order = list(parse_order_by(order_by))
    for tie in (
        OrderTerm("attribute", "start_time", False),
        OrderTerm("attribute", "run_id", True),
    ):
        if all((tie.kind, tie.key) != (term.kind, term.key) for term in order):
            order.append(tie)
    compiled = RunSearch(node, order, experiment_ids, stages, limit, offset, top).statement()
    return Query(compiled.text, compiled.args)


def experiments_query(
    filter_text: str = "",
    order_by: Sequence[str] | None = None,
    stages: Sequence[str] = (LifecycleStage.ACTIVE,),
    limit: int = 1000,
    offset: int = 0,
) -> Query:
    """Compile a search for experiments.

    Args:
        filter_text: The filter expression; "" for all.
        order_by: Sort keys. With none: creation_time, newest first, then experiment_id;
            with some, ties are sorted by experiment_id, descending, as in MLflow.
        stages: The lifecycle stages to look at.
        limit: The most rows to give.
        offset: How many rows to leave out before these.

    Returns:
        A query that gives ``experiment_id``, one column, in order.

    Raises:
        FilterError: The filter or a sort key doesn't parse or doesn't mean anything.
    """
    node = parse_filter(filter_text, EXPERIMENTS)
    order = list(parse_order_by(order_by, EXPERIMENTS))
    if not order:
        order = [OrderTerm("attribute", "creation_time", False)]
        order.append(OrderTerm("attribute", "experiment_id", True))
    elif all((term.kind, term.key) != ("attribute", "experiment_id") for term in order):
        order.append(OrderTerm("attribute", "experiment_id", False))
    terms = [one_of("experiments.lifecycle_stage", stages)]
    if node is not None:
        terms.append(predicate(node, "experiments"))
    where = join(" AND ", terms)
    keys = join(", ", [sort_key(term, "experiments") for term in order])
    return Query(
        "SELECT experiments.experiment_id FROM experiments "
        f"WHERE {where.text} ORDER BY {keys.text} LIMIT ? OFFSET ?",
        (*where.args, *keys.args, limit, offset),
    )


def encode_token(offset: int) -> str:
    """The page token that continues at ``offset``; the same text as MLflow's."""
    return base64.b64encode(json.dumps({"offset": offset}).encode()).decode()


def decode_token(token: str | None) -> int:
    """The offset that a page token continues at; 0 for none.

    Raises:
        InvalidParameterValue: It isn't a token that ``encode_token`` made.
    """
    if not token:
        return 0
    try:
        offset = json.loads(base64.b64decode(token, validate=True))["offset"]
        if isinstance(offset, int) and not isinstance(offset, bool) and 0 <= offset < 2**53:
            return offset
    except (ValueError, TypeError, KeyError, RecursionError, binascii.Error):
        pass
    raise InvalidParameterValue(
        f"Invalid page token: {token[:60] if isinstance(token, str) else token!r}",
        hint="pass on the token of the page before, unchanged, or none",
    )


def _ilike(value: str | None, pattern: str) -> bool | None:
    """ILIKE for patterns beyond ASCII, whose letters SQLite's lower() doesn't know.

    The parts between the % are looked for from left to right, each where it first fits,
    which takes time proportional to the value's length and never backtracks.
    """
    if value is None:
        return None
    parts = _segments(pattern)
    if len(parts) == 1:
        return parts[0].fullmatch(value) is not None
    start = parts[0].match(value)
    if start is None:
        return False
    position = start.end()
    for part in parts[1:-1]:
        found = part.search(value, position)
        if found is None:
            return False
        position = found.end()
    # Every character of a pattern matches exactly one, so the last part's place is known.
    tail = len(value) - len(pattern.rpartition("%")[2])
    return tail >= position and parts[-1].fullmatch(value, tail) is not None


@lru_cache(maxsize=256)
def _segments(pattern: str) -> list[re.Pattern[str]]:
    flags = re.IGNORECASE | re.DOTALL
    return [
        re.compile("".join("." if c == "_" else re.escape(c) for c in part), flags)
        for part in pattern.split("%")
    ]
