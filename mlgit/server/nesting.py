"""Nested runs below their parents, for one page of a table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from mlgit.entities import Run
from mlgit.store.filter_tokens import quote
from mlgit.store.runsearch import PARENT_RUN

_DEEPEST = 5
# Runs below those of one page; who has more leads to a table of their own.
MOST_BELOW = 1000


@dataclass
class Row:
    """A run, and where it stands.

    Attributes:
        run: The run.
        depth: 0 at the top.
        below: The runs that are nested in it.
        more: Whether it has more of them than are here.
    """

    run: Run
    depth: int = 0
    below: list[Row] = field(default_factory=list)
    more: bool = False


def with_nested(roots: Sequence[Run], find: Callable[[str, int], Sequence[Run]]) -> list[Row]:
    """The rows of a table of roots, each followed by what is nested in it.

    Args:
        roots: The runs at the top.
        find: Gives the runs that a filter matches, at most so many.
    """
    top = [Row(run) for run in roots]
    placed = {run.info.run_id for run in roots}
    level = top
    left = MOST_BELOW
    for depth in range(1, _DEEPEST + 1):
        parents = {row.run.info.run_id: row for row in level}
        if not parents or left <= 0:
            break
        listed = ", ".join(quote(run_id) for run_id in parents if "'" not in run_id)
        found = find(f"tags.`{PARENT_RUN}` IN ({listed})", left + 1)
        if len(found) > left:
            for row in level:
                row.more = True
        level = []
        for run in found[:left]:
            if run.info.run_id in placed:
                continue  # parents in a circle
            placed.add(run.info.run_id)
            parent = parents[run.data.tags[PARENT_RUN]]
            parent.below.append(Row(run, depth))
            level.append(parent.below[-1])
        left -= len(level)
    return [row for root in top for row in _flat(root)]


def _flat(row: Row) -> list[Row]:
    return [row, *(found for child in row.below for found in _flat(child))]


def below_filter(run_id: str) -> str:
    """The filter that finds what is nested in a run."""
    return f"tags.`{PARENT_RUN}` = {quote(run_id)}"
