"""Where a version comes from: its run, the code that this ran, and the data that it had."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from mlgit.entities import Run, ViewType
from mlgit.entities.model_registry import ModelVersion
from mlgit.exceptions import MlgitException
from mlgit.git import Repository
from mlgit.git.commits import parse_commit
from mlgit.store import names
from mlgit.store.filter_tokens import quote
from mlgit.store.gitstore import GitStore
from mlgit.store.pointers import SUFFIX, find_pointers
from mlgit.store.runtree import RunTree

_AT_ONCE = 200


@dataclass(frozen=True)
class Lineage:
    """What a version was made of; None and empty where it wasn't recorded.

    Attributes:
        version: The version.
        run_id, run_name: The run that logged it.
        code_commit: The commit of the code that the run stood on.
        dirty: Whether the code had uncommitted changes; they are in the version's commit.
        data: The SHA-256 of the data that pointer files name, by path.
        datasets: The (name, digest) of the datasets that the run logged.
    """

    version: ModelVersion
    run_id: str | None = None
    run_name: str | None = None
    code_commit: str | None = None
    dirty: bool | None = None
    data: dict[str, str] = field(default_factory=dict)
    datasets: list[tuple[str, str]] = field(default_factory=list)


def runs_of(store: GitStore, run_ids: Iterable[str | None]) -> dict[str, Run]:
    """The runs of some ids, as far as they are here, by one question."""
    wanted = sorted({run_id for run_id in run_ids if run_id and "'" not in run_id})
    found: dict[str, Run] = {}
    for at in range(0, len(wanted), _AT_ONCE):
        some = wanted[at : at + _AT_ONCE]
        listed = ", ".join(quote(run_id) for run_id in some)
        runs = store.search_runs(
            None, f"attributes.run_id IN ({listed})", ViewType.ALL, max_results=len(some)
        )
        found.update((run.info.run_id, run) for run in runs)
    return found


def trace(repo: Repository, version: ModelVersion) -> Lineage:
    """The lineage of a version.

    Raises:
        CorruptData, ResourceDoesNotExist, Unsupported: What it comes from can't be read.
    """
    if version.commit is None:
        return Lineage(version, version.run_id)
    commit = parse_commit(repo.objects.commit(version.commit))
    problems: list[tuple[str, MlgitException]] = []
    pointers = find_pointers(repo, commit.tree, problems=problems)
    data = {p.removesuffix(SUFFIX): found.entry.sha256 for p, found in pointers.items()}
    if not commit.trailers().get("Mlgit-Record", "").startswith(names.RECORDS):
        # A commit of one's own that GTO registered is code; one made for the version isn't.
        code = version.commit if str(version.source).startswith("mlgit:/") else None
        return Lineage(version, version.run_id, code_commit=code, data=data)
    record = RunTree(repo, version.commit).summary()
    at, dirty = record.source.get("commit"), record.source.get("dirty")
    return Lineage(
        version,
        record.run_id,
        record.run_name,
        at if isinstance(at, str) else None,
        bool(dirty) if dirty is not None else None,
        data,
        [(str(d.get("name")), str(d.get("digest"))) for d in record.inputs],
    )
