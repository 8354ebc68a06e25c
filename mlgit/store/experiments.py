"""Experiments as commits: ``refs/mlgit/experiments/<id>`` (docs/format.md)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mlgit.entities import Experiment, LifecycleStage
from mlgit.exceptions import (
    Conflict,
    InvalidParameterValue,
    InvalidState,
    ResourceAlreadyExists,
    ResourceDoesNotExist,
)
from mlgit.git import Repository
from mlgit.git.commits import Commit, format_commit, signature
from mlgit.git.trees import FILE, format_tree
from mlgit.store import names
from mlgit.store.experiment_record import (
    FILE_NAME,
    ExperimentRecord,
    default_experiment,
    default_location,
    format_experiment,
    read_experiment,
)
from mlgit.store.index import Index
from mlgit.store.timeform import now_ms
from mlgit.validation import (
    MAX_EXPERIMENT_TAG_VALUE,
    check_experiment_id,
    check_experiment_name,
    check_key,
    check_mapping,
)

_ATTEMPTS = 10


class Experiments:
    """The experiments of one repository.

    Args:
        repo: The repository.
        index: Its index, for looking up by name.
    """

    def __init__(self, repo: Repository, index: Index) -> None:
        self.repo = repo
        self.index = index

    def create(
        self, name: str, artifact_location: str | None = None, tags: dict[str, str] | None = None
    ) -> str:
        """Make an experiment.

        Returns:
            Its id.

        Raises:
            ResourceAlreadyExists: The name is taken, if only by a deleted experiment.
            InvalidParameterValue: The name or a tag can't be one.
        """
        check_experiment_name(name)
        existing = self.by_name(name)
        if existing is not None:
            deleted = existing.lifecycle_stage == LifecycleStage.DELETED
            raise ResourceAlreadyExists(
                f"Experiment {name!r} already exists" + (" in deleted state" if deleted else ""),
                hint=f"mlgit experiments restore {existing.experiment_id}" if deleted else "",
            )
        now = now_ms()
        checked = check_mapping(tags or {}, "tags")
        for attempt in range(1000):
            experiment_id = names.experiment_id_for(name, attempt)
            record = ExperimentRecord(
                experiment_id,
                name,
                artifact_location or default_location(experiment_id),
                creation_time=now,
                last_update_time=now,
                tags={check_key(k, "tag"): _tag_value(k, v) for k, v in checked.items()},
            )
            try:
                self._write(record, None)
                return experiment_id
            except Conflict:
                if self._taken_by(experiment_id) == name:
                    raise ResourceAlreadyExists(f"Experiment {name!r} already exists") from None
        raise Conflict(f"No id is free for the experiment {name!r}")

    def _taken_by(self, experiment_id: str) -> str | None:
        sha = self.repo.refs.read(names.EXPERIMENTS + experiment_id)
        return read_experiment(self.repo, sha).name if sha else None

    def get(self, experiment_id: str) -> Experiment:
        """The experiment of an id.

        A short number names them in the order in which they were made, as the ids of
        MLflow's SQL store do, where no experiment has that id.

        Raises:
            ResourceDoesNotExist: There is none.
        """
        found = self.find(check_experiment_id(experiment_id))
        if found is None:
            raise ResourceDoesNotExist(
                f"No Experiment with id={experiment_id} exists",
                hint="mlgit experiments list shows the ids",
            )
        return found

    def find(self, experiment_id: str) -> Experiment | None:
        """The experiment of an id or ordinal, or None."""
        sha = self.repo.refs.read(names.EXPERIMENTS + experiment_id)
        if sha is not None:
            return read_experiment(self.repo, sha).entity()
        if experiment_id == names.DEFAULT_EXPERIMENT_ID:
            return default_experiment().entity()
        if experiment_id.isdecimal() and len(experiment_id) < 6:
            found = self.index.nth_experiment(int(experiment_id))
            return self.find(found) if found else None
        return None

    def by_name(self, name: str) -> Experiment | None:
        """The experiment of a name, deleted ones included, or None."""
        # The id is made from the name: most look-ups need no index.
        likely = names.experiment_id_for(name, 0)
        sha = self.repo.refs.read(names.EXPERIMENTS + likely)
        if sha is not None:
            record = read_experiment(self.repo, sha)
            if record.name == name:
                return record.entity()
        if not isinstance(name, str):
            raise InvalidParameterValue(f"An experiment's name must be a string, not {name!r}")
        if not name.isascii() and name.encode("utf-8", "replace").decode() != name:
            return None  # a lone surrogate: no experiment can have it
        found = self.index.experiment_named(name)
        return self.find(found) if found else None

    def rename(self, experiment_id: str, name: str) -> None:
        """Give an experiment another name; its id stays.

        Raises:
            ResourceAlreadyExists: The name is taken.
            InvalidState: The experiment is deleted.
        """
        check_experiment_name(name)
        other = self.by_name(name)
        if other is not None and other.experiment_id != self.get(experiment_id).experiment_id:
            raise ResourceAlreadyExists(f"Experiment {name!r} already exists")

        def change(record: ExperimentRecord) -> None:
            _require_active(record, "INVALID_STATE")
            record.name = name

        self._amend(experiment_id, change)

    def set_stage(self, experiment_id: str, stage: str) -> None:
        """Delete or restore an experiment.

        Raises:
            InvalidParameterValue: It is the default one.
            ResourceDoesNotExist: There is none that could be.
        """
        found = self.get(experiment_id)
        if found.experiment_id == names.DEFAULT_EXPERIMENT_ID and stage == LifecycleStage.DELETED:
            raise InvalidParameterValue("The default experiment can't be deleted")
        if found.lifecycle_stage == stage:
            raise ResourceDoesNotExist(
                f"No Experiment with id={experiment_id} exists that isn't {stage}"
            )

        def change(record: ExperimentRecord) -> None:
            record.lifecycle_stage = stage

        self._amend(found.experiment_id, change)

    def set_tag(self, experiment_id: str, key: str, value: Any) -> None:
        """Set a tag.

        Raises:
            InvalidState: The experiment is deleted.
        """
        check_key(key, "tag")
        shown = _tag_value(key, value)

        def change(record: ExperimentRecord) -> None:
            _require_active(record)
            record.tags[key] = shown

        self._amend(experiment_id, change)

    def delete_tag(self, experiment_id: str, key: str) -> None:
        """Remove a tag.

        Raises:
            ResourceDoesNotExist: There is no such tag.
        """

        def change(record: ExperimentRecord) -> None:
            _require_active(record)
            if record.tags.pop(key, None) is None:
                raise ResourceDoesNotExist(
                    f"No tag with name {key!r} in experiment {experiment_id}"
                )

        self._amend(experiment_id, change)

    def _amend(self, experiment_id: str, change: Callable[[ExperimentRecord], None]) -> None:
        experiment_id = self.get(experiment_id).experiment_id
        for _ in range(_ATTEMPTS):
            sha = self.repo.refs.read(names.EXPERIMENTS + experiment_id)
            record = read_experiment(self.repo, sha) if sha else default_experiment()
            change(record)
            record.last_update_time = now_ms()
            try:
                self._write(record, sha)
                return
            except Conflict:
                if self.repo.refs.read(names.EXPERIMENTS + experiment_id) == sha:
                    raise  # somebody holds its lock
        raise Conflict(f"Experiment {experiment_id} keeps being changed by somebody else")

    def _write(self, record: ExperimentRecord, old: str | None) -> None:
        objects = self.repo.objects
        ref = names.EXPERIMENTS + record.experiment_id
        if old is None and self.repo.refs.read(ref) is not None:
            raise Conflict(f"{ref} exists")
        blob = objects.write("blob", format_experiment(record))
        tree = objects.write("tree", format_tree({FILE_NAME: (FILE, blob)}))
        now = now_ms()
        message = (
            f"experiment {' '.join(record.name.split())}\n\n"
            f"Mlgit-Experiment: {record.experiment_id}\n"
        )
        parents = (old,) if old else ()
        commit = Commit(
            tree,
            parents,
            signature(self.repo.author(), now),
            signature(self.repo.committer(), now),
            message,
        )
        self.repo.refs.update(ref, objects.write("commit", format_commit(commit)), old)


def _require_active(record: ExperimentRecord, code: str = "INVALID_PARAMETER_VALUE") -> None:
    if record.lifecycle_stage != LifecycleStage.ACTIVE:
        raise InvalidState(
            f"Experiment {record.name!r} is deleted",
            code,
            hint=f"mlgit experiments restore {record.experiment_id}",
        )


def _tag_value(key: str, value: Any) -> str:
    shown = str(value)
    if len(shown) > MAX_EXPERIMENT_TAG_VALUE:
        raise InvalidParameterValue(
            f"Experiment tag {key!r} has {len(shown)} characters; "
            f"at most {MAX_EXPERIMENT_TAG_VALUE} are allowed"
        )
    return shown
