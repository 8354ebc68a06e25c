"""Merging what two clones made of one run, experiment or archive (docs/format.md, "Remotes").

The merge of two commits is the same commit whoever makes it, so two clones that merge at the
same time don't part again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from mlgit.exceptions import CorruptData
from mlgit.git import Repository
from mlgit.git.batch import ObjectBatch
from mlgit.git.commits import Commit, format_commit, parse_commit
from mlgit.git.trees import FILE, FOLDER, format_tree, parse_tree, replace
from mlgit.registry import text as modeltext
from mlgit.store import names
from mlgit.store import record as files
from mlgit.store.archive import MOST_PARENTS
from mlgit.store.archive_record import commit_seconds, read_archive, write_link
from mlgit.store.experiment_record import (
    FILE_NAME,
    ExperimentRecord,
    format_experiment,
    read_experiment,
)
from mlgit.store.lineage import merge_base, stands_on
from mlgit.store.record import Record
from mlgit.store.runtree import RunTree, message
from mlgit.sync.threeway import Clash, merge

Key = tuple[str, str]
_FIELDS = (
    "run_name",
    "experiment_id",
    "experiment",
    "status",
    "lifecycle_stage",
    "user",
    "start_time",
    "end_time",
    "parent_run_id",
)
_KNOWN_FILES = {
    "run.yaml",
    "params.yaml",
    "metrics.yaml",
    "history",
    "artifacts.yaml",
    "inputs.yaml",
}


def merge_commits(
    repo: Repository, ref: str, ours: str, theirs: str
) -> tuple[str | None, list[Clash]]:
    """Merge two commits of one ref that have parted.

    Args:
        repo: The repository, which has both.
        ref: The ref that both were found under.
        ours, theirs: The commits.

    Returns:
        The merge, which has both as parents and no ref; None, and why, where both set a key to
        different values.

    Raises:
        CorruptData, Unsupported: One of them can't be read.
        StorageError, PermissionDenied: The merge can't be written.
    """
    if ref.startswith(names.RUNS):
        return merge_runs(repo, ours, theirs)
    if ref.startswith(names.EXPERIMENTS):
        return _merge_experiments(repo, ours, theirs)
    if ref.startswith(names.ARCHIVE):
        return _merge_archives(repo, ref[len(names.ARCHIVE) :], ours, theirs)
    if ref.startswith(modeltext.REFS):
        return _merge_model_texts(repo, ref, ours, theirs)
    return None, [Clash("everything", None, ours, theirs)]


# -- runs


def merge_runs(repo: Repository, ours: str, theirs: str) -> tuple[str | None, list[Clash]]:
    """Merge two commits of one run; see ``merge_commits``."""
    mine, yours = RunTree(repo, ours), RunTree(repo, theirs)
    base = merge_base(repo, ours, theirs)
    if mine.summary().run_id != yours.summary().run_id:
        raise CorruptData(f"{ours} and {theirs} are commits of different runs")
    merged, clashes = merge(
        _flat(RunTree(repo, base)) if base else {}, _flat(mine), _flat(yours), " ".join, _text
    )
    if mine.folder != yours.folder:
        clashes.append(Clash("folder of the record", None, mine.folder, yours.folder))
    if clashes:
        return None, clashes
    batch = ObjectBatch(repo.objects, repo.state_dir)
    record = _unflat(mine.summary().run_id, merged)
    path = mine.folder.split("/")
    folder = batch.write("tree", format_tree(_record_entries(batch, record, merged)))
    tree = replace(batch, mine.commit.tree, path, FOLDER, folder)
    if tree != replace(batch, yours.commit.tree, path, FOLDER, folder):
        return None, [Clash("code", None, mine.commit.tree, yours.commit.tree)]
    made = batch.write("commit", _commit(repo, (ours, theirs), tree, message(record, mine.folder)))
    batch.flush()
    batch.release()
    return made, []


def _flat(tree: RunTree) -> dict[Key, Any]:
    """A run's record as one mapping; a metric is its history's blob and its last value."""
    record = tree.summary()
    flat: dict[Key, Any] = {("field", name): getattr(record, name) for name in _FIELDS}
    flat = {key: value for key, value in flat.items() if value is not None}
    for kind, found in (
        ("source", record.source),
        ("key", record.unknown),
        ("tag", record.tags),
        ("param", record.params),
        ("artifact", record.artifacts),
    ):
        flat.update(((kind, name), value) for name, value in found.items())
    for dataset in record.inputs:
        shown = json.dumps([dataset.get("name"), dataset.get("digest")])
        flat["dataset", shown] = dataset
    histories = _histories(tree)
    for name, point in record.last.items():
        flat["metric", name] = (histories.get(name), repr(point.value))
    for name, sha in tree.entries.items():
        if name not in _KNOWN_FILES:
            flat["file", name] = sha
    return flat


def _histories(tree: RunTree) -> dict[str, str]:
    """The blob of each metric's history."""
    folder = tree.entries.get("history")
    if folder is None:
        return {}
    blobs = {name: sha for name, _, sha in parse_tree(tree.repo.objects.tree(folder))}
    found = names.file_names(tree.metric_names())
    named = {key: f"{name}.csv".encode() for key, name in found.items()}
    return {key: blobs[name] for key, name in named.items() if name in blobs}


def _unflat(run_id: str, flat: Mapping[Key, Any]) -> Record:
    record = Record(run_id)
    into: dict[str, dict[str, Any]] = {
        "source": record.source,
        "key": record.unknown,
        "tag": record.tags,
        "param": record.params,
        "artifact": record.artifacts,
    }
    for (kind, name), value in flat.items():
        if kind == "field":
            setattr(record, name, value)
        elif kind == "metric":
            record.last[name] = files.Point(0, 0, float(value[1]))
        elif kind == "dataset":
            record.inputs.append(value)
        elif kind in into:
            into[kind][name] = value
    return record


def _record_entries(
    objects: ObjectBatch, record: Record, flat: Mapping[Key, Any]
) -> dict[bytes, tuple[bytes, str]]:
    """The files of a merged record."""
    found = {n.encode("utf-8", "surrogateescape"): s for (k, n), s in flat.items() if k == "file"}

    def put(name: bytes, data: bytes) -> None:
        found[name] = objects.write("blob", data)

    put(b"run.yaml", files.format_run(record))
    if record.params:
        put(b"params.yaml", files.format_params(record.params))
    if record.artifacts:
        put(b"artifacts.yaml", files.format_artifacts(record.artifacts))
    if record.inputs:
        put(b"inputs.yaml", files.format_inputs(record.inputs))
    entries = {name: (FILE, sha) for name, sha in found.items()}
    if record.last:
        entries[b"metrics.yaml"] = (FILE, objects.write("blob", files.format_metrics(record.last)))
        file_names = names.file_names(record.last)
        blobs = {name: flat["metric", name][0] for name in record.last}
        history = {
            f"{file_names[name]}.csv".encode(): (FILE, sha) for name, sha in blobs.items() if sha
        }
        history[b".gitattributes"] = (FILE, objects.write("blob", files.GENERATED))
        entries[b"history"] = (FOLDER, objects.write("tree", format_tree(history)))
    return entries


def _text(value: Any) -> str:
    if isinstance(value, tuple) and len(value) == 2:
        return f"{value[1]} (history {str(value[0])[:10]})"  # a metric
    if hasattr(value, "sha256"):
        return f"{value.sha256[:12]}… ({value.size} bytes)"
    return str(value)


# -- experiments


def _merge_experiments(repo: Repository, ours: str, theirs: str) -> tuple[str | None, list[Clash]]:
    mine, yours = read_experiment(repo, ours), read_experiment(repo, theirs)
    base = merge_base(repo, ours, theirs)
    before = _flat_experiment(read_experiment(repo, base)) if base else {}
    merged, clashes = merge(
        before, _flat_experiment(mine), _flat_experiment(yours), " ".join, _text
    )
    if clashes:
        return None, clashes
    made = ExperimentRecord(mine.experiment_id, "")
    # Two clones that make an experiment of one name make the same one, at different times.
    made.creation_time = min(
        (r.creation_time for r in (mine, yours) if r.creation_time is not None), default=None
    )
    made.last_update_time = max(
        (r.last_update_time for r in (mine, yours) if r.last_update_time is not None), default=None
    )
    for (kind, name), value in merged.items():
        if kind == "field":
            setattr(made, name, value)
        else:
            (made.tags if kind == "tag" else made.unknown)[name] = value
    blob = repo.objects.write("blob", format_experiment(made))
    tree = repo.objects.write("tree", format_tree({FILE_NAME: (FILE, blob)}))
    text = f"experiment {' '.join(made.name.split())}\n\nMlgit-Experiment: {made.experiment_id}\n"
    return repo.objects.write("commit", _commit(repo, (ours, theirs), tree, text)), []


def _flat_experiment(record: ExperimentRecord) -> dict[Key, Any]:
    flat: dict[Key, Any] = {
        ("field", "name"): record.name,
        ("field", "artifact_location"): record.artifact_location,
        ("field", "lifecycle_stage"): record.lifecycle_stage,
    }
    flat.update((("tag", name), value) for name, value in record.tags.items())
    flat.update((("key", name), value) for name, value in record.unknown.items())
    return flat


# -- the text of registered models


def _merge_model_texts(
    repo: Repository, ref: str, ours: str, theirs: str
) -> tuple[str | None, list[Clash]]:
    mine, yours = modeltext.read_text(repo, ours), modeltext.read_text(repo, theirs)
    base = merge_base(repo, ours, theirs)
    before = modeltext.flat(modeltext.read_text(repo, base)) if base else {}
    merged, clashes = merge(before, modeltext.flat(mine), modeltext.flat(yours), " ".join, _text)
    if clashes:
        return None, clashes
    made = modeltext.unflat(merged)
    # Two clones that make a model of one name make the same one, at different times.
    modeltext.join_times(made, mine, yours)
    key = modeltext.key_of(ref)
    tree = modeltext.write_tree(repo, made)
    text = f"Merge the text of {' '.join(made.name.split())}\n\nMlgit-Model: {key}\n"
    return repo.objects.write("commit", _commit(repo, (ours, theirs), tree, text)), []


# -- archives


def _merge_archives(
    repo: Repository, experiment_id: str, ours: str, theirs: str
) -> tuple[str | None, list[Clash]]:
    """An archive that has what both have: links on the first, the last on the second too."""
    first, second = sorted((ours, theirs))
    have, more = read_archive(repo, first), read_archive(repo, second)
    new: dict[str, str] = {}
    for run_id, sha in sorted(more.items()):
        before = have.get(run_id)
        if before in (None, sha) or stands_on(repo, sha, before):
            kept: str | None = sha
        elif stands_on(repo, before, sha):
            kept = before
        else:
            kept, clashes = merge_runs(repo, before, sha)
            if kept is None:
                return None, [_of_run(run_id, clash, first == ours) for clash in clashes]
        if kept != before:
            new[run_id] = kept  # type: ignore[assignment]
    at, ordered = first, list(new)
    for start in range(0, max(1, len(ordered)), MOST_PARENTS):
        part = {run_id: new[run_id] for run_id in ordered[start : start + MOST_PARENTS]}
        last = start + MOST_PARENTS >= len(ordered)
        parents = list(dict.fromkeys([at, *([second] if last else []), *part.values()]))
        seconds = max(commit_seconds(repo, parent) for parent in parents)
        title = f"{experiment_id}, merged"
        written = write_link(repo, experiment_id, title, part, parents, seconds, seconds * 1000)
        at = written[-1]
    return at, []


def _of_run(run_id: str, clash: Clash, in_order: bool) -> Clash:
    ours, theirs = (clash.ours, clash.theirs) if in_order else (clash.theirs, clash.ours)
    return Clash(f"run {run_id}: {clash.key}", clash.base, ours, theirs)


# -- commits


def _commit(repo: Repository, sides: tuple[str, str], tree: str, text: str) -> bytes:
    """A merge's bytes: nothing in it depends on who makes it, or when."""
    parents = sorted(sides)
    commits = [parse_commit(repo.objects.commit(sha)) for sha in parents]
    newest = max(range(2), key=lambda at: commit_seconds(repo, parents[at]))
    return format_commit(
        Commit(tree, tuple(parents), commits[0].author, commits[newest].committer, text)
    )
