"""One run as its pages need it, read once a request."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from flask import g

from mlgit.entities import LifecycleStage, Run
from mlgit.exceptions import MlgitException
from mlgit.git.commits import parse_commit
from mlgit.models.listing import LoggedModel, models_of
from mlgit.review.code import CodeComparison, compare_code
from mlgit.review.revisions import Revision, resolve
from mlgit.review.steps import next_steps
from mlgit.server.nesting import below_filter
from mlgit.server.site import store
from mlgit.store.gitstore import GitStore
from mlgit.store.record import TAG_FIELDS, Record
from mlgit.store.results import run_of_record
from mlgit.store.runsearch import PARENT_RUN

NOTE = "mlflow.note.content"
_MOST_BELOW = 50


@dataclass
class ShownRun:
    """A run.

    Attributes:
        store: The repository.
        record: What it logged.
    """

    store: GitStore
    record: Record

    @property
    def id(self) -> str:
        """Its id."""
        return self.record.run_id

    @property
    def name(self) -> str:
        """Its name, or its id where it has none."""
        return self.record.run_name or self.record.run_id

    @property
    def is_going(self) -> bool:
        """Whether it has not ended."""
        return self.record.status in ("RUNNING", "SCHEDULED")

    @property
    def is_deleted(self) -> bool:
        """Whether it is deleted; it can be restored."""
        return self.record.lifecycle_stage == LifecycleStage.DELETED

    @cached_property
    def run(self) -> Run:
        """As the API gives it."""
        return run_of_record(self.record)

    @cached_property
    def revision(self) -> Revision:
        """Its commit and code."""
        return resolve(self.store, self.id)

    @cached_property
    def commit(self) -> str | None:
        """Its newest commit, or None while it has none."""
        found = self.store.runs.find_ref(self.id)
        return found[1] if found else None

    @cached_property
    def code_commit(self) -> str | None:
        """The commit that was checked out, if it is in this clone."""
        sha = str(self.record.source.get("commit") or "")
        return sha if len(sha) == 40 and self.store.repo.objects.exists(sha) else None

    @cached_property
    def environment(self) -> dict[str, Any]:
        """As in environment.yaml."""
        return self.revision.records[0].load()[1] if self.revision.records else {}

    @cached_property
    def models(self) -> list[LoggedModel]:
        """The models that it logged."""
        return models_of(self.run)

    @cached_property
    def tags(self) -> list[tuple[str, str]]:
        """The tags that nothing else on its page shows."""
        hidden = {*TAG_FIELDS, NOTE, PARENT_RUN}
        found = self.run.data.tags.items()
        return sorted(
            (key, value)
            for key, value in found
            if key not in hidden
            and not (key.startswith("mlflow.") and value.startswith(("[", "{")))
        )

    def children(self) -> list[Run]:
        """The runs that are nested in it, newest first."""
        return list(self.store.search_runs(None, below_filter(self.id), max_results=_MOST_BELOW))

    def code_changes(self) -> CodeComparison:
        """What its code differs by from the commit that was checked out."""
        repo = self.store.repo
        if self.code_commit is None:
            return CodeComparison(missing=("old",))
        parent = parse_commit(repo.objects.commit(self.code_commit)).tree
        return compare_code(repo, parent, self.revision.tree)

    def steps(self) -> list[tuple[str, str]]:
        """The commands to go on with."""
        return next_steps(
            self.id,
            self.commit,
            in_worktree=self.store.repo.worktree is not None,
            has_artifacts=bool(self.record.artifacts),
            command=str(self.record.source.get("command") or ""),
            models=[model.path for model in self.models],
        )

    def parent_name(self) -> str:
        """What the run is called that it is nested in; its id where it isn't here."""
        parent = self.record.parent_run_id or self.record.tags.get(PARENT_RUN) or ""
        try:
            return self.store.runs.record(parent).run_name or parent
        except MlgitException:
            return parent


def shown_run(run_id: str) -> ShownRun:
    """The run of an id.

    Raises:
        ResourceDoesNotExist: There is none.
        CorruptData, Unsupported: It can't be read.
    """
    g.section = "runs"
    return ShownRun(store(), store().runs.record(run_id))
