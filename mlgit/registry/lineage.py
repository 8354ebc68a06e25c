"""Where a version comes from: its run, the code that this ran, and the data that it had."""

from __future__ import annotations

from dataclasses import dataclass, field

from mlgit.entities.model_registry import ModelVersion
from mlgit.exceptions import MlgitException
from mlgit.git import Repository
from mlgit.git.commits import parse_commit
from mlgit.store import names
from mlgit.store.pointers import SUFFIX, find_pointers
from mlgit.store.runtree import RunTree


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
