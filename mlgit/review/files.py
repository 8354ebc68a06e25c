"""One file of a record on both sides, as ``git diff`` shows it."""

from __future__ import annotations

from mlgit.git import Repository
from mlgit.review.compare import RunComparison
from mlgit.review.metrics import compare_metrics
from mlgit.review.show import Table, tables
from mlgit.review.values import compare_values
from mlgit.store.directions import declared_directions
from mlgit.store.record import parse_metrics, parse_params


def file_table(repo: Repository, path: str, old: bytes, new: bytes) -> Table:
    """What changed in a metrics.yaml or params.yaml.

    Args:
        repo: The repository, whose configuration says which way a metric is good.
        path: The file; its name says what it holds.
        old, new: What it held, and holds; empty where it wasn't, or isn't, there.

    Raises:
        CorruptData: One of them can't be read.
    """
    if path.endswith("metrics.yaml"):
        sides = [parse_metrics(data, path) if data else {} for data in (old, new)]
        metrics = compare_metrics(sides[0], sides[1], {}, declared_directions(repo))
        found = tables(RunComparison("", None, None, metrics=metrics), ["metrics"], False)
    else:
        texts = [parse_params(data, path) if data else {} for data in (old, new)]
        params = compare_values(texts[0], texts[1])
        found = tables(RunComparison("", None, None, params=params), ["params"], False)
    return next((t for t in found if t.rows), Table("Nothing differs", (), ()))
