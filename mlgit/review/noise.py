"""How far two values of a metric may be apart by chance, from runs of the same kind.

Runs of a kind are those of one experiment that have the same tag ``mlgit.group``, or, where a run
has none, the finished ones with the same code and the same params but for seeds. Where there
are three or more their standard deviation tells: two values of theirs differ by no more than
twice that of a difference in 19 cases of 20.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from mlgit.entities import Run
from mlgit.exceptions import MlgitException
from mlgit.git import Repository
from mlgit.review.code import same_code
from mlgit.store.gitstore import GitStore
from mlgit.store.record import Record

GROUP_TAG = "mlgit.group"
SEEDS = frozenset(
    [
        "seed",
        "random_seed",
        "random_state",
        "rng_seed",
        "data_seed",
        "torch_seed",
        "numpy_seed",
        "rng",
    ]
)
_FEWEST = 3
_MOST = 200
_FILTERED_PARAMS = 8


def noise(store: GitStore, old: Record | None, new: Record | None) -> dict[str, float]:
    """How far the two sides' values may be apart by chance, by metric.

    Args:
        store: The repository.
        old, new: The runs; None on a side without one.

    Returns:
        Twice the standard deviation of a difference, for the metrics of which enough runs of the
        kind are known, on either side.
    """
    if old is None or new is None or old.run_id == new.run_id:
        return {}
    first, second = _deviations(store, old), _deviations(store, new)
    found = {}
    for name in first.keys() | second.keys():
        # One side's stands for the other's, where only one is known.
        a = first.get(name, second.get(name, 0.0))
        b = second.get(name, first.get(name, 0.0))
        found[name] = 2 * math.hypot(a, b)
    return found


def group(store: GitStore, record: Record) -> list[Run]:
    """The finished runs of a run's kind, itself among them if it is finished.

    Args:
        store: The repository.
        record: The run.
    """
    named = record.tags.get(GROUP_TAG)
    wanted = _settings(record.params)
    conditions = ["attributes.status = 'FINISHED'"]
    if named is not None:
        conditions += _equal({f"tags.`{GROUP_TAG}`": named})
    else:
        quotable = {f"params.`{k}`": v for k, v in sorted(wanted.items()) if "`" not in k}
        conditions += _equal(quotable)[:_FILTERED_PARAMS]
    try:
        found = store.search_runs(
            [record.experiment_id], " AND ".join(conditions), max_results=_MOST
        )
    except MlgitException:
        return []  # a name that the grammar can't spell
    if named is not None:
        return [run for run in found if run.data.tags.get(GROUP_TAG) == named]
    mine = _tree(store, record.run_id)
    return [
        run
        for run in found
        if _settings(run.data.params) == wanted
        and (run.info.run_id == record.run_id or _same(store.repo, mine, store, run))
    ]


def _equal(values: Mapping[str, str]) -> list[str]:
    return [f"{key} = '{value}'" for key, value in values.items() if not set(value) & set("'\\\n")]


def _settings(params: Mapping[str, str]) -> dict[str, str]:
    """The params that make a run what it is: all but seeds."""
    return {k: v for k, v in params.items() if k.rpartition(".")[2].lower() not in SEEDS}


def _tree(store: GitStore, run_id: str) -> str | None:
    try:
        found = store.runs.tree(run_id)
    except MlgitException:
        return None
    return found.commit.tree if found else None


def _same(repo: Repository, mine: str | None, store: GitStore, run: Run) -> bool:
    other = _tree(store, run.info.run_id)
    try:
        return mine is not None and other is not None and same_code(repo, mine, other)
    except MlgitException:
        return False


def _deviations(store: GitStore, record: Record) -> dict[str, float]:
    values: dict[str, list[float]] = {}
    for run in group(store, record):
        for name, value in run.data.metrics.items():
            if math.isfinite(value):
                values.setdefault(name, []).append(value)
    return {name: _deviation(found) for name, found in values.items() if len(found) >= _FEWEST}


def _deviation(values: list[float]) -> float:
    mean = math.fsum(values) / len(values)
    return math.sqrt(math.fsum((v - mean) ** 2 for v in values) / (len(values) - 1))
