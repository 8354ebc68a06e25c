"""A run's commit: from a record to Git's objects and back (docs/format.md)."""

from __future__ import annotations

import math
from typing import Any

from mlgit.exceptions import CorruptData, MlgitException
from mlgit.git import Repository
from mlgit.git.batch import ObjectBatch
from mlgit.git.commits import Commit, format_commit, parse_commit, signature
from mlgit.git.objects import ObjectStore
from mlgit.git.trees import FILE, FOLDER, entry, format_tree, parse_tree, replace
from mlgit.store import names
from mlgit.store import record as files
from mlgit.store.record import Point, Record

_TRAILERS = ("Mlgit-Run", "Mlgit-Experiment", "Mlgit-Status", "Mlgit-Record")


class RunTree:
    """One commit of a run, its files read when they are asked for.

    Args:
        repo: The repository.
        sha: The commit.

    Raises:
        CorruptData: It isn't a run's commit.
    """

    def __init__(self, repo: Repository, sha: str) -> None:
        self.repo = repo
        self.sha = sha
        self.commit = parse_commit(repo.objects.commit(sha))
        trailers = self.commit.trailers()
        self.folder = trailers.get("Mlgit-Record", "")
        if not self.folder.startswith(names.RECORDS):
            raise CorruptData(f"The commit {sha} isn't a run's: it has no Mlgit-Record trailer")
        self.entries = self._entries()

    def _entries(self) -> dict[str, str]:
        """The record's files by name; ``history`` is a tree."""
        objects = self.repo.objects
        sha = self.commit.tree
        for part in self.folder.encode("utf-8", "surrogateescape").split(b"/"):
            found = entry(objects.tree(sha), part)
            if found is None:
                raise CorruptData(f"The commit {self.sha} has no {self.folder}")
            sha = found[1]
        return {
            name.decode("utf-8", "surrogateescape"): found
            for name, _, found in parse_tree(objects.tree(sha))
        }

    def _file(self, name: str) -> bytes | None:
        sha = self.entries.get(name)
        return None if sha is None else self.repo.objects.blob(sha)

    def _name(self, name: str) -> str:
        return f"{self.folder}/{name} in {self.sha[:10]}"

    def summary(self) -> Record:
        """The record without histories: each metric's last value has no step or time.

        Raises:
            CorruptData, Unsupported: A file can't be read.
        """
        data = self._file("run.yaml")
        if data is None:
            raise CorruptData(f"{self._name('run.yaml')} is missing")
        record = files.parse_run(data, self._name("run.yaml"))
        if data := self._file("params.yaml"):
            record.params = files.parse_params(data, self._name("params.yaml"))
        if data := self._file("metrics.yaml"):
            values = files.parse_metrics(data, self._name("metrics.yaml"))
            record.last = {key: Point(-(2**63), 0, value) for key, value in values.items()}
        if data := self._file("inputs.yaml"):
            record.inputs = files.parse_inputs(data, self._name("inputs.yaml"))
        if data := self._file("artifacts.yaml"):
            record.artifacts = files.parse_artifacts(data, self._name("artifacts.yaml"))
        return record

    def metric_names(self) -> list[str]:
        """The names of the metrics that were logged."""
        data = self._file("metrics.yaml")
        return list(files.parse_metrics(data, self._name("metrics.yaml"))) if data else []

    def history(self, key: str) -> list[Point]:
        """Every point of one metric, in the order of logging; empty where there is none.

        Raises:
            CorruptData: Its file can't be read.
        """
        sha = self.history_blob(key)
        if sha is None:
            return []
        return files.parse_history(self.repo.objects.blob(sha), self._name(f"history of {key}"))

    def history_blob(self, key: str) -> str | None:
        """The Git blob of a metric's history file, or None where there is none."""
        tree = self.entries.get("history")
        file = names.file_names(self.metric_names()).get(key)
        if tree is None or file is None:
            return None
        found = entry(self.repo.objects.tree(tree), f"{file}.csv".encode())
        return found[1] if found else None

    def environment(self) -> dict[str, object]:
        """What the environment was; empty where it wasn't recorded."""
        data = self._file("environment.yaml")
        if not data:
            return {}
        return files.parse_environment(data, self._name("environment.yaml"))


def write_commit(
    repo: Repository,
    record: Record,
    base: RunTree | None,
    now: int,
    objects: ObjectStore | ObjectBatch,
) -> str:
    """Write the objects of a run's next commit.

    Args:
        repo: The repository.
        record: The run as it shall be. ``points`` are added to the histories of ``base``.
        base: The run's commit before, or None for its first.
        now: The commit's time, in milliseconds since 1970.
        objects: What to write to.

    Returns:
        The commit's name. No ref points at it yet.

    Raises:
        StorageError, PermissionDenied: It can't be written.
    """
    folder = base.folder if base else names.RECORDS + names.file_name(record.experiment)
    entries = {} if base is None else {n: (FILE, s) for n, s in base.entries.items()}
    if "history" in entries:
        entries["history"] = (FOLDER, entries["history"][1])

    def put(name: str, data: bytes) -> None:
        entries[name] = (FILE, objects.write("blob", data))

    if record.points:
        entries["history"] = (FOLDER, _write_history(objects, record, base))
        put("metrics.yaml", files.format_metrics(record.last))
    if record.params:
        put("params.yaml", files.format_params(record.params))
    if record.artifacts:
        put("artifacts.yaml", files.format_artifacts(record.artifacts))
    if record.inputs:
        put("inputs.yaml", files.format_inputs(record.inputs))
    if record.environment and repo.objects.exists(record.environment):
        entries["environment.yaml"] = (FILE, record.environment)
    put("run.yaml", files.format_run(record))
    encoded = {n.encode("utf-8", "surrogateescape"): e for n, e in entries.items()}
    record_tree = objects.write("tree", format_tree(encoded))
    above = base.commit.tree if base else record.code_tree
    tree = replace(objects, above, folder.split("/"), FOLDER, record_tree)
    return objects.write("commit", _commit_bytes(repo, record, base, tree, folder, now))


def _write_history(objects: ObjectStore | ObjectBatch, record: Record, base: RunTree | None) -> str:
    """Write the histories that grew, and return the tree of all."""
    entries: dict[bytes, tuple[bytes, str]] = {}
    old_names: dict[str, str] = {}
    if base is not None and "history" in base.entries:
        raw = objects.tree(base.entries["history"])
        entries = {name: (mode, sha) for name, mode, sha in parse_tree(raw)}
        old_names = names.file_names(base.metric_names())
    new_names = names.file_names(record.last)
    for key, old in old_names.items():
        if new_names[key] != old:  # a name that differs in case alone came in
            entries[f"{new_names[key]}.csv".encode()] = entries.pop(f"{old}.csv".encode())
    for key, points in record.points.items():
        name = f"{new_names[key]}.csv".encode()
        before = objects.blob(entries[name][1]) if name in entries else files.HISTORY_HEADER
        entries[name] = (FILE, objects.write("blob", before + files.format_history(points)))
    entries[b".gitattributes"] = (FILE, objects.write("blob", files.GENERATED))
    return objects.write("tree", format_tree(entries))


def _commit_bytes(
    repo: Repository, record: Record, base: RunTree | None, tree: str, folder: str, now: int
) -> bytes:
    if base is not None:
        parents: tuple[str, ...] = (base.sha,)
        author = base.commit.author
    else:
        parents = (record.code_commit,) if record.code_commit else ()
        author = signature(repo.author(), record.start_time or now)
    committer = signature(repo.committer(), now)
    return format_commit(Commit(tree, parents, author, committer, message(record, folder)))


def message(record: Record, folder: str) -> str:
    """The message of a run's commit.

    Args:
        record: The run.
        folder: The record's folder.
    """
    name = _printable(record.run_name) or record.run_id
    metrics = {key: point.value for key, point in sorted(record.last.items())}
    key = _key_metric(metrics)
    subject = f"{name}: {key} {metrics[key]:.6g}" if key else name
    body = [subject, ""]
    titled: list[tuple[str, dict[str, Any]]] = [("params", record.params), ("metrics", metrics)]
    for title, items in titled:
        if items:
            shown = sorted(items.items())[:40]
            width = min(40, max(len(k) for k, _ in shown))
            body.append(title)
            body += [f"  {k:<{width}} = {_one_line(v)}" for k, v in shown]
            if len(items) > len(shown):
                body.append(f"  … and {len(items) - len(shown)} more")
            body.append("")
    values = (record.run_id, record.experiment_id, record.status, folder)
    body += [f"{key}: {value}" for key, value in zip(_TRAILERS, values)]
    return "\n".join(body) + "\n"


def _key_metric(metrics: dict[str, float]) -> str | None:
    """The metric that the subject names: a validation or test one, the first where there is none."""
    finite = [key for key, value in metrics.items() if math.isfinite(value)]
    for word in ("val", "test", "eval"):
        for key in finite:
            if word in key.lower() and "loss" not in key.lower():
                return key
    return finite[0] if finite else None


def _one_line(value: str | float) -> str:
    shown = f"{value:.6g}" if isinstance(value, float) else _printable(value)
    return shown if len(shown) <= 100 else shown[:97] + "…"


def _printable(text: str) -> str:
    """A text on one line, without the control characters that Git refuses or that end lines."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def try_summary(repo: Repository, sha: str) -> Record | MlgitException:
    """A run's record, or the error that reading it gives."""
    try:
        return RunTree(repo, sha).summary()
    except MlgitException as error:
        return error
