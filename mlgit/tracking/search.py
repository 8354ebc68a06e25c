"""Searching runs and experiments (MLflow's fluent API)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from mlgit import validation
from mlgit.entities import (
    Experiment,
    Run,
    ViewType,
)
from mlgit.exceptions import (
    InvalidParameterValue,
    ResourceDoesNotExist,
)
from mlgit.store.gitstore import GitStore
from mlgit.tracking import uri
from mlgit.tracking.client import MlgitClient
from mlgit.tracking.experiments import current_experiment


def search_runs(
    experiment_ids: Sequence[str] | None = None,
    filter_string: str = "",
    run_view_type: int = ViewType.ACTIVE_ONLY,
    max_results: int = 100_000,
    order_by: Sequence[str] | None = None,
    output_format: str = "pandas",
    search_all_experiments: bool = False,
    experiment_names: Sequence[str] | None = None,
) -> Any:
    """The runs that a filter matches.

    Args:
        experiment_ids: The experiments to look in; the current one where neither these
            nor names are given.
        filter_string: MLflow's grammar and more (docs/search.md).
        run_view_type: Which lifecycle stages.
        max_results: The most runs.
        order_by: Sort keys.
        output_format: "pandas" for a frame, "list" for ``Run`` entities.
        search_all_experiments: Look in all where no experiment is given.
        experiment_names: The experiments to look in, by name.

    Returns:
        A frame with a row a run and a column for each field, metric, param and tag; or a
        list.

    Raises:
        FilterError: The filter or a sort key doesn't parse.
        InvalidParameterValue: Another argument can't be right.
    """
    if output_format not in ("pandas", "list"):
        raise InvalidParameterValue(
            f"Unsupported output format: {output_format!r}", hint="'pandas' or 'list'"
        )
    _check_count(max_results)
    store = uri.store_for()
    ids = _experiments_to_search(store, experiment_ids, experiment_names, search_all_experiments)
    runs: list[Run] = []
    token = None
    while len(runs) < max_results:
        size = min(validation.MAX_RESULTS, max_results - len(runs))
        page = store.search_runs(ids, filter_string, run_view_type, size, order_by, token)
        runs += page
        token = page.token
        if token is None:
            break
    if output_format == "list":
        return runs
    from mlgit.tracking.frame import runs_frame

    return runs_frame(runs)


def search_experiments(
    view_type: int = ViewType.ACTIVE_ONLY,
    max_results: int | None = None,
    filter_string: str | None = None,
    order_by: Sequence[str] | None = None,
) -> list[Experiment]:
    """All experiments that a filter matches."""
    if max_results is not None:
        _check_count(max_results)
    client = MlgitClient()
    found: list[Experiment] = []
    token = None
    while True:
        left = 1000 if max_results is None else max_results - len(found)
        page = client.search_experiments(view_type, min(left, 1000), filter_string, order_by, token)
        found += page
        token = page.token
        if token is None or (max_results is not None and len(found) >= max_results):
            return found[:max_results]


def _check_count(max_results: object) -> None:
    if not isinstance(max_results, int):
        raise InvalidParameterValue(f"max_results must be an integer, not {max_results!r}")


def _experiments_to_search(
    store: GitStore,
    ids: Sequence[str] | None,
    wanted: Sequence[str] | None,
    everywhere: bool,
) -> list[str] | None:
    if ids and wanted:
        raise InvalidParameterValue("Give search_runs() either experiment_ids or experiment_names")
    for given, what in ((ids, "experiment_ids"), (wanted, "experiment_names")):
        if given is not None and not isinstance(given, (str, int, Iterable)):
            raise InvalidParameterValue(f"{what} must be a list, not {type(given).__name__}")
    if ids:
        return [str(i) for i in ([ids] if isinstance(ids, (str, int)) else ids)]
    if wanted:
        found = [
            store.experiments.by_name(name)
            for name in ([wanted] if isinstance(wanted, str) else wanted)
        ]
        return [e.experiment_id for e in found if e is not None]
    if everywhere:
        return None
    try:
        return [current_experiment(store)]
    except ResourceDoesNotExist:
        return []
