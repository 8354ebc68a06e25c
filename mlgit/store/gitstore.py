"""The store of one Git repository: experiments, runs, their artifacts, and search."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from mlgit import validation
from mlgit.entities import (
    Experiment,
    FileInfo,
    LifecycleStage,
    Metric,
    PagedList,
    Run,
    RunTag,
    ViewType,
)
from mlgit.exceptions import InvalidParameterValue, MlgitException, ResourceDoesNotExist
from mlgit.git import Repository
from mlgit.objects import Entry, LocalObjects
from mlgit.objects.tree import find, walk
from mlgit.store import query, results
from mlgit.store.absent import bring, bring_manifest
from mlgit.store.experiments import Experiments
from mlgit.store.index import Index
from mlgit.store.runs import Runs
from mlgit.store.runtree import RunTree


class GitStore:
    """Everything that is kept in one repository.

    Args:
        repo: The repository.

    Attributes:
        runs: Beginning, logging, ending, changing and reading runs.
        experiments: The experiments.
        index: Answers queries.
        objects: The clone's artifacts.
        beside: What layers above keep with the store, by name; it is closed with it.
    """

    def __init__(self, repo: Repository) -> None:
        self.repo = repo
        self.objects = LocalObjects(f"{repo.state_dir}/objects")
        self.index = Index(repo)
        self.experiments = Experiments(repo, self.index)
        self.runs = Runs(repo, self.objects, self.index, self.experiments)
        self.beside: dict[str, Any] = {}
        self._telling = threading.Lock()

    # -- search

    def search_runs(
        self,
        experiment_ids: Sequence[str] | None,
        filter_string: str = "",
        run_view_type: int = ViewType.ACTIVE_ONLY,
        max_results: int = 1000,
        order_by: Sequence[str] | None = None,
        page_token: str | None = None,
        top: bool = False,
    ) -> PagedList[Run]:
        """The runs that a filter matches.

        Args:
            experiment_ids: The experiments to look in; None for all.
            filter_string: MLflow's grammar and more (docs/search.md).
            run_view_type: Which lifecycle stages.
            max_results: The most runs of one page, up to 50,000.
            order_by: Sort keys.
            page_token: The token of the page before.
            top: Leave out what is nested in a run of these experiments and stages.

        Raises:
            FilterError: The filter or a sort key doesn't parse.
            InvalidParameterValue: Another argument can't be right.
        """
        validation.check_max_results(max_results)
        offset = query.decode_token(page_token)
        self.runs.recover()
        ids = None if experiment_ids is None else [self._real_id(i) for i in experiment_ids]
        rows = self.index.search_runs(
            filter_string or "",
            order_by,
            ids,
            ViewType.stages(run_view_type),
            max_results + 1,
            offset,
            top,
        )
        more = len(rows) > max_results
        token = query.encode_token(offset + max_results) if more else None
        return PagedList([results.run_of_row(row) for row in rows[:max_results]], token)

    def _real_id(self, experiment_id: str) -> str:
        found = self.experiments.find(validation.check_experiment_id(experiment_id))
        return found.experiment_id if found else str(experiment_id)

    def search_experiments(
        self,
        view_type: int = ViewType.ACTIVE_ONLY,
        max_results: int = 1000,
        filter_string: str = "",
        order_by: Sequence[str] | None = None,
        page_token: str | None = None,
    ) -> PagedList[Experiment]:
        """The experiments that a filter matches; the arguments are those of ``search_runs``."""
        validation.check_max_results(max_results)
        offset = query.decode_token(page_token)
        ids = self.index.search_experiments(
            filter_string or "", order_by, ViewType.stages(view_type), max_results + 1, offset
        )
        token = query.encode_token(offset + max_results) if len(ids) > max_results else None
        found = (self.experiments.find(i) for i in ids[:max_results])
        return PagedList([e for e in found if e is not None], token)

    def metric_history(
        self,
        run_id: str,
        key: str,
        max_results: int | None = None,
        page_token: str | None = None,
    ) -> PagedList[Metric]:
        """Every point of one metric in the order of logging, whole or by pages.

        Raises:
            ResourceDoesNotExist: There is no such run.
        """
        points = self.runs.history(run_id, key)
        offset = query.decode_token(page_token)
        page = points[offset:] if max_results is None else points[offset : offset + max_results]
        more = offset + len(page) < len(points)
        return PagedList(
            [Metric(key, value, timestamp, step) for step, timestamp, value in page],
            query.encode_token(offset + len(page)) if more else None,
        )

    def resolve_run(self, text: str) -> str:
        """The run that a person means: an id, a unique prefix, a name, ``@{n}`` or a ref.

        Raises:
            ResourceDoesNotExist: None is meant.
            InvalidParameterValue: Several could be; the message lists them.
        """
        text = text.strip().encode("utf-8", "replace").decode()
        if text.startswith("refs/mlgit/runs/"):
            text = text.rsplit("/", 1)[-1]
        if text.startswith("@{") and text.endswith("}") and text[2:-1].isdecimal():
            number = text[2:-1]
            found = self.index.nth_newest(int(number)) if len(number) < 12 else None
            if found is None:
                count = self.index.count_runs()
                raise ResourceDoesNotExist(
                    f"There are not that many runs: {text}" if count else "There are no runs yet",
                    hint="mlgit log lists them" if count else "a program that logs makes one",
                )
            return found
        like = self.index.runs_like(text) if text else []
        # A whole id before a whole name before the beginning of an id.
        whole_id = [run for run in like if run[0] == text]
        candidates = whole_id or [run for run in like if run[1] == text] or like
        if len(candidates) > 1:
            # A name that is used again: what was deleted is meant last.
            candidates = [run for run in candidates if self._is_active(run[0])] or candidates
        if len(candidates) == 1:
            return candidates[0][0]
        if not candidates:
            raise ResourceDoesNotExist(
                f"No run is called {text!r}",
                hint="give an id, the beginning of one, a run's name, @{0} for the newest, or a "
                "ref; mlgit log lists them",
            )
        listing = "\n".join(f"  {run_id}  {name}" for run_id, name, _ in candidates)
        raise InvalidParameterValue(
            f"{text!r} could be any of\n{listing}", hint="give more of the id"
        )

    def _is_active(self, run_id: str) -> bool:
        return self.runs.record(run_id).lifecycle_stage == LifecycleStage.ACTIVE

    # -- artifacts

    def log_artifact(self, run_id: str, local_path: str, artifact_path: str | None = None) -> None:
        """Log a file or a folder, under its own name in a folder of the run's artifacts.

        Args:
            run_id: The run.
            local_path: The file or folder.
            artifact_path: The folder in the run; its root where none is given.

        Raises:
            ResourceDoesNotExist: There is no such file or run.
            InvalidParameterValue: The path can't be one.
        """
        folder = validation.check_artifact_path(artifact_path)
        local_path = validation.check_path(local_path)
        name = os.path.basename(os.path.abspath(local_path))
        path = validation.check_artifact_path(f"{folder}/{name}" if folder else name)
        if os.path.isdir(local_path):
            self._log_folder(run_id, path, local_path)
        else:
            self.runs.log_artifact(run_id, path, self.objects.put_file(local_path))

    def log_artifacts(
        self,
        run_id: str,
        local_dir: str,
        artifact_path: str | None = None,
        *,
        move: bool = False,
    ) -> None:
        """Log what a folder holds, in a folder of the run's artifacts.

        Args:
            run_id: The run.
            local_dir: The folder.
            artifact_path: The folder in the run; its root where none is given.
            move: Take its files as they are, for a folder that mlgit made itself, on the
                objects' device; it is gone afterwards.

        Raises:
            ResourceDoesNotExist: There is no such folder or run.
            InvalidParameterValue: The path can't be one.
        """
        folder = validation.check_artifact_path(artifact_path)
        local_dir = validation.check_path(local_dir)
        if not os.path.isdir(local_dir):
            if os.path.exists(local_dir):
                raise InvalidParameterValue(
                    f"{local_dir} isn't a folder", hint="log_artifact() takes a file"
                )
            raise ResourceDoesNotExist(f"No such folder: {local_dir}")
        if move:
            self.runs.log_artifact(run_id, folder, self.objects.move_folder(local_dir))
        else:
            self._log_folder(run_id, folder, local_dir)

    def _log_folder(self, run_id: str, path: str, local_dir: str) -> None:
        """Log a folder: of what can't be read the rest is logged before that is told."""
        left: list[MlgitException] = []
        self.runs.log_artifact(run_id, path, self.objects.put_folder(local_dir, left))
        if left:
            others = f"; {len(left) - 1} more can't be logged either" if len(left) > 1 else ""
            raise type(left[0])(
                f"{left[0].message}{others}", hint="everything else in the folder was logged"
            )

    def log_model(
        self, run_id: str, folder: str, path: str, tag: str, tag_value: Callable[[str | None], str]
    ) -> None:
        """Log a model's folder that mlgit made itself: its files are moved, not copied.

        Args:
            run_id: The run.
            folder: The folder, on the objects' device and nobody else's; it is gone afterwards.
            path: Where in the run.
            tag: The tag that tells of the run's models.
            tag_value: Gives its value from the one it has.

        Raises:
            ResourceDoesNotExist: There is no such run.
            InvalidParameterValue: The path can't be one; nothing is logged.
        """
        checked = validation.check_artifact_path(path)
        self.runs.get(run_id)
        entry = self.objects.move_folder(folder)
        with self._telling:  # threads that log models to one run
            old = self.runs.get(run_id).data.tags.get(tag)
            self.runs.log_model(run_id, checked, entry, RunTag(tag, tag_value(old)))

    def log_bytes(self, run_id: str, data: bytes, artifact_file: str) -> None:
        """Log bytes as an artifact of a path."""
        path = validation.check_artifact_path(artifact_file)
        if not path:
            raise InvalidParameterValue("The artifact needs a file name")
        self.runs.log_artifact(run_id, path, self.objects.put_bytes(data))

    def list_artifacts(self, run_id: str, path: str | None = None) -> list[FileInfo]:
        """What a folder of a run's artifacts holds; nothing where it is a file or isn't there."""
        folder = validation.check_artifact_path(path)
        try:
            found = self.artifact(run_id, folder)
        except ResourceDoesNotExist:
            self.runs.get(run_id)
            return []
        if isinstance(found, Entry):
            return []
        prefix = f"{folder}/" if folder else ""
        return [
            FileInfo(prefix + name, entry.kind == "d", None if entry.kind == "d" else entry.size)
            for name, entry in sorted(found.items())
        ]

    def artifact(self, run_id: str, path: str) -> Entry | dict[str, Entry]:
        """A file's entry, or a folder's entries by name.

        Raises:
            ResourceDoesNotExist: There is no such artifact or run.
        """
        checked = validation.check_artifact_path(path)
        fetch = partial(bring_manifest, self.repo, self.objects)
        return find(self.objects, self.runs.record(run_id).artifacts, checked, fetch)

    def artifact_of(self, commit: str, path: str) -> Entry | dict[str, Entry]:
        """As ``artifact``, of a run as one of its commits has it, whatever came later.

        Raises:
            ResourceDoesNotExist: There is no such artifact.
            CorruptData: It isn't a run's commit.
        """
        checked = validation.check_artifact_path(path)
        fetch = partial(bring_manifest, self.repo, self.objects)
        return find(self.objects, RunTree(self.repo, commit).summary().artifacts, checked, fetch)

    def read_artifact(self, run_id: str, path: str) -> bytes:
        """A file's bytes, verified.

        Raises:
            ResourceDoesNotExist: There is no such file or run.
            CorruptData: Its bytes aren't what was logged.
        """
        found = self.artifact(run_id, path)
        if not isinstance(found, Entry):
            raise InvalidParameterValue(f"The artifact {path} is a folder, not a file")
        bring(self.repo, self.objects, [found])
        return self.objects.read(found.sha256)

    def download_artifacts(
        self, run_id: str, path: str, target: str, commit: str | None = None
    ) -> str:
        """Write a file or folder of a run's artifacts below a local folder, verified.

        Args:
            run_id: The run.
            path: The artifact; "" for all.
            target: The folder; made if it isn't there.
            commit: A commit of the run, to have them as of then.

        Returns:
            The path of what was written.

        Raises:
            ResourceDoesNotExist: There is no such artifact or run.
            CorruptData: An object's bytes aren't what was logged; what came before it is
                written.
        """
        checked = validation.check_artifact_path(path)
        found = self.artifact_of(commit, checked) if commit else self.artifact(run_id, checked)
        bring(self.repo, self.objects, [found] if isinstance(found, Entry) else found.values())
        # Its own name alone, not its folders', as in MLflow.
        top = os.path.join(target, checked.rsplit("/", 1)[-1]) if checked else target
        if isinstance(found, Entry):
            os.makedirs(target, exist_ok=True)
            self.objects.copy_to(found, top)
            return top
        os.makedirs(top, exist_ok=True)
        made = {top}
        for name, entry in walk(self.objects, found):
            place = os.path.join(top, *name.split("/"))
            folder = os.path.dirname(place)
            if folder not in made:
                os.makedirs(folder, exist_ok=True)
                made.add(folder)
            self.objects.copy_to(entry, place)
        return top

    def close(self) -> None:
        """Let go of files and of runs that this process only joined."""
        self.runs.release_all()
        for other in self.beside.values():
            other.close()
        self.index.close()
        self.repo.close()

    def problems(self) -> list[Any]:
        """What couldn't be read: (ref, commit, message)."""
        return self.index.problems()
