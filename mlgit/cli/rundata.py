"""Runs as the command line's JSON; the keys are a promise (docs/cli.md)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlgit.cli.output import times
from mlgit.entities import Experiment, Run

if TYPE_CHECKING:
    from mlgit.store.gitstore import GitStore

_PAGE = 50_000


def run_json(run: Run, experiment: str) -> dict[str, Any]:
    """A run: what it is, and what it logged.

    Args:
        run: The run.
        experiment: Its experiment's name.
    """
    info = run.info
    return {
        "run_id": info.run_id,
        "run_name": info.run_name or "",
        "experiment_id": info.experiment_id,
        "experiment": experiment,
        "status": info.status,
        "lifecycle_stage": info.lifecycle_stage,
        "user": info.user_id or "",
        **times(start_time=info.start_time, end_time=info.end_time),
        "artifact_uri": info.artifact_uri,
        "metrics": dict(run.data.metrics),
        "params": dict(run.data.params),
        "tags": dict(run.data.tags),
        "datasets": [
            {
                "name": used.dataset.name,
                "digest": used.dataset.digest,
                "source_type": used.dataset.source_type,
                "source": used.dataset.source,
                "tags": {tag.key: tag.value for tag in used.tags},
            }
            for used in run.inputs.dataset_inputs
        ],
    }


def experiment_json(experiment: Experiment, runs: int) -> dict[str, Any]:
    """An experiment, and how many active runs it has."""
    return {
        "experiment_id": experiment.experiment_id,
        "name": experiment.name,
        "artifact_location": experiment.artifact_location,
        "lifecycle_stage": experiment.lifecycle_stage,
        **times(
            creation_time=experiment.creation_time, last_update_time=experiment.last_update_time
        ),
        "tags": dict(experiment.tags),
        "runs": runs,
    }


def find_runs(store: GitStore, limit: int | None, **search: Any) -> list[Run]:
    """The first runs that a search finds, however many pages that takes.

    Args:
        store: The store.
        limit: How many; None for all.
        search: Arguments of ``GitStore.search_runs``.
    """
    found: list[Run] = []
    token = None
    while limit is None or len(found) < limit:
        size = _PAGE if limit is None else min(_PAGE, limit - len(found))
        page = store.search_runs(max_results=size, page_token=token, **search)
        found += page
        token = page.token
        if token is None:
            break
    return found
