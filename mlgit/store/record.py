"""A run's record in memory, and its files (docs/format.md, "The record's folder").

Each file's writer and reader stand side by side.
"""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from mlgit.entities import LifecycleStage
from mlgit.exceptions import CorruptData, Unsupported
from mlgit.objects.manifest import Entry, escaped, unescaped
from mlgit.store import yamlform
from mlgit.store.timeform import from_iso, to_iso

FORMAT = 1
GENERATED = b"* linguist-generated=true -diff\n"

# Tags of MLflow's that have a field of their own in run.yaml, and its path.
TAG_FIELDS = {
    "mlflow.runName": ("run_name",),
    "mlflow.user": ("user",),
    "mlflow.parentRunId": ("parent_run_id",),
    "mlflow.source.name": ("source", "name"),
    "mlflow.source.type": ("source", "type"),
    "mlflow.source.git.commit": ("source", "commit"),
    "mlflow.source.git.branch": ("source", "branch"),
    "mlflow.project.entryPoint": ("source", "entry_point"),
}


class Point(NamedTuple):
    """One value of a metric. ``timestamp`` is in milliseconds since 1970."""

    step: int
    timestamp: int
    value: float

    def rank(self) -> tuple[int, int, bool, float]:
        """What the last value of a metric is the greatest of; NaN is below all numbers."""
        is_number = self.value == self.value
        return self.step, self.timestamp, is_number, self.value if is_number else 0.0


@dataclass
class Record:
    """What one run is and logged.

    Attributes:
        source: As in run.yaml.
        last: Each metric's last point; its step and time are None where only
            ``metrics.yaml`` was read.
        points: Points that aren't in a commit yet.
        artifacts: The entries of the artifact tree's root.
        environment: The Git blob of environment.yaml, where it isn't in a commit yet.
        unknown: Keys of run.yaml that this version doesn't know; kept.
        code_commit, code_tree: For a run without a commit, what its first one stands on.
    """

    run_id: str
    run_name: str = ""
    experiment_id: str = "0"
    experiment: str = "Default"
    status: str = "RUNNING"
    lifecycle_stage: str = LifecycleStage.ACTIVE
    user: str = ""
    start_time: int | None = None
    end_time: int | None = None
    parent_run_id: str | None = None
    source: dict[str, Any] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    params: dict[str, str] = field(default_factory=dict)
    last: dict[str, Point] = field(default_factory=dict)
    points: dict[str, list[Point]] = field(default_factory=dict)
    artifacts: dict[str, Entry] = field(default_factory=dict)
    inputs: list[dict[str, Any]] = field(default_factory=list)
    environment: str | None = None
    unknown: dict[str, Any] = field(default_factory=dict)
    code_commit: str | None = None
    code_tree: str | None = None

    def all_tags(self) -> dict[str, str]:
        """The tags as MLflow shows them: those made from fields, and over them the set ones."""
        made = {}
        for tag, path in TAG_FIELDS.items():
            value: Any = self.source.get(path[1]) if len(path) > 1 else getattr(self, path[0])
            if value:
                made[tag] = str(value)
        return {**made, **self.tags}

    def set_tag(self, key: str, value: str) -> None:
        """Set a tag; one that has a field of its own sets the field."""
        path = TAG_FIELDS.get(key)
        if path is None:
            self.tags[key] = value
        elif len(path) == 1:
            setattr(self, path[0], value)
        else:
            self.source[path[1]] = value

    def delete_tag(self, key: str) -> bool:
        """Remove a tag; whether there was one."""
        path = TAG_FIELDS.get(key)
        if path is None or key in self.tags:
            return self.tags.pop(key, None) is not None
        if len(path) > 1:
            return self.source.pop(path[1], None) is not None
        if key == "mlflow.parentRunId" and self.parent_run_id:
            self.parent_run_id = None
            return True
        return False

    def add_point(self, key: str, point: Point) -> None:
        """Log one point of a metric."""
        self.points.setdefault(key, []).append(point)
        last = self.last.get(key)
        if last is None or point.rank() > last.rank():
            self.last[key] = point


# -- run.yaml


def format_run(record: Record) -> bytes:
    """run.yaml."""
    data: dict[str, Any] = {
        "format": FORMAT,
        "run_id": record.run_id,
        "run_name": record.run_name,
        "experiment_id": record.experiment_id,
        "experiment": record.experiment,
        "status": record.status,
        "lifecycle_stage": record.lifecycle_stage,
        "user": record.user,
    }
    for key in ("start_time", "end_time"):
        value = getattr(record, key)
        if value is not None:
            data[key] = to_iso(value)
    if record.parent_run_id:
        data["parent_run_id"] = record.parent_run_id
    source = {key: value for key, value in record.source.items() if value not in (None, "", [])}
    if source:
        data["source"] = source
    data.update(record.unknown)
    if record.tags:
        data["tags"] = dict(sorted(record.tags.items()))
    return yamlform.dump(data)


def parse_run(data: bytes, name: str) -> Record:
    """The record that a run.yaml begins.

    Args:
        data: The file.
        name: What to call it in errors.

    Raises:
        Unsupported: Its format is newer than this program.
        CorruptData: It isn't what the format says.
    """
    found = yamlform.load(data, name)
    check_format(found, name)
    try:
        record = Record(run_id=str(found.pop("run_id")))
        for key in ("run_name", "experiment_id", "experiment", "status", "lifecycle_stage", "user"):
            if found.get(key) is not None:
                setattr(record, key, str(found[key]))
            found.pop(key, None)
        record.start_time = from_iso(found.pop("start_time", None), f"start_time in {name}")
        record.end_time = from_iso(found.pop("end_time", None), f"end_time in {name}")
        parent = found.pop("parent_run_id", None)
        record.parent_run_id = str(parent) if parent else None
        record.source = dict(found.pop("source", None) or {})
        record.tags = {str(k): str(v) for k, v in (found.pop("tags", None) or {}).items()}
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise CorruptData(f"{name} lacks what a run needs: {error}") from error
    record.unknown = found
    return record


def check_format(found: dict[str, Any], name: str) -> None:
    """Take the version out of a record file and refuse one that is newer.

    Raises:
        Unsupported: It is newer.
        CorruptData: It isn't a number, or isn't there.
    """
    version = found.pop("format", None)
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise CorruptData(f"{name} has no format version")
    if version > FORMAT:
        raise Unsupported(
            f"{name} has format {version}; this mlgit reads format {FORMAT}",
            hint="upgrade: pip install --upgrade mlgit",
        )


# -- params.yaml


def format_params(params: dict[str, str]) -> bytes:
    """params.yaml."""
    return yamlform.dump(dict(params), sort=True)


def parse_params(data: bytes, name: str) -> dict[str, str]:
    """The params of a params.yaml; what somebody wrote as a number is its text."""
    return {
        key: value if isinstance(value, str) else yamlform.scalar(value)
        for key, value in _scalars(data, name).items()
    }


# -- metrics.yaml and history/*.csv


def format_metrics(last: dict[str, Point]) -> bytes:
    """metrics.yaml."""
    return yamlform.dump({key: point.value for key, point in last.items()}, sort=True)


def parse_metrics(data: bytes, name: str) -> dict[str, float]:
    """Each metric's last value, from a metrics.yaml."""
    try:
        return {key: float(value) for key, value in _scalars(data, name).items()}
    except (TypeError, ValueError, OverflowError) as error:
        raise CorruptData(f"{name} holds something that isn't a number: {error}") from error


def _scalars(data: bytes, name: str) -> dict[str, Any]:
    found = yamlform.load(data, name)
    for key, value in found.items():
        if isinstance(value, (dict, list)):
            raise CorruptData(f"{name}: {key} isn't a single value")
    return found


def format_history(points: list[Point]) -> bytes:
    """The lines of a history file, without the first one."""
    return "".join(f"{step},{time},{value!r}\n" for step, time, value in points).encode()


HISTORY_HEADER = b"step,timestamp,value\n"


def parse_history(data: bytes, name: str) -> list[Point]:
    """The points of a history file.

    Raises:
        CorruptData: A line isn't a point.
    """
    if not data.startswith(HISTORY_HEADER):
        raise CorruptData(f"{name} doesn't begin with {HISTORY_HEADER.decode().strip()!r}")
    lines = data[len(HISTORY_HEADER) :].decode("ascii", "replace").split("\n")
    try:
        return [
            Point(int(step), int(time), float(value))
            for step, time, value in (line.split(",") for line in lines if line)
        ]
    except ValueError as error:
        raise CorruptData(f"{name} has a line that isn't a point: {error}") from error


def history_columns(data: bytes, name: str) -> tuple[Any, Any, Any]:
    """A history file's steps, times and values as three arrays of NumPy's, for charts.

    Five times as fast as ``parse_history``, which reads what isn't plain. Values and times are
    exact; so are steps of up to 64 bits.

    Raises:
        CorruptData: A line isn't a point.
    """
    import numpy as np

    # Before 2.4 NumPy takes 1.5 for an integer: there integers are read as text first.
    integer = np.int64 if np.lib.NumpyVersion(np.__version__) >= "2.4.0" else "S40"
    kinds = [("step", integer), ("timestamp", integer), ("value", np.float64)]
    body = data[len(HISTORY_HEADER) :] if data.startswith(HISTORY_HEADER) else b""
    # NumPy takes more for white space and for line ends, and warns where there is no line.
    if body.isascii() and b"\r" not in body and body[:1] not in (b"", b"\n"):
        try:
            found = np.loadtxt(io.BytesIO(body), kinds, comments=None, delimiter=",", ndmin=1)
            # Arrays of their own: quicker to go through than every third number.
            steps, times = (found[kind].astype(np.int64) for kind in ("step", "timestamp"))
            return steps, times, found["value"].copy()
        except (ValueError, OverflowError):
            pass
    points = parse_history(data, name)
    columns = np.array([tuple(map(float, point)) for point in points]).reshape(-1, 3)
    return columns[:, 0], columns[:, 1], columns[:, 2]


def last_of(points: list[Point]) -> Point:
    """The last point of a metric, by step, time and value."""
    return max(points, key=Point.rank)


# -- artifacts.yaml


def format_artifacts(artifacts: dict[str, Entry]) -> bytes:
    """artifacts.yaml."""
    shown: dict[str, Any] = {}
    for name in sorted(artifacts):
        entry = artifacts[name]
        item: dict[str, Any] = {"sha256": entry.sha256, "size": entry.size}
        if entry.kind == "d":
            item["files"] = entry.files
        elif entry.kind == "x":
            item["executable"] = 1
        shown[escaped(name)] = yamlform.Flow(item)
    return yamlform.dump({"format": FORMAT, "artifacts": shown})


def parse_artifacts(data: bytes, name: str) -> dict[str, Entry]:
    """The entries of the artifact tree's root, from an artifacts.yaml.

    Raises:
        Unsupported: Its format is newer than this program.
        CorruptData: It isn't what the format says.
    """
    found = yamlform.load(data, name)
    check_format(found, name)
    entries = {}
    try:
        for path, item in (found.get("artifacts") or {}).items():
            path = unescaped(str(path).encode())
            if path in ("", ".", "..") or "/" in path or "\0" in path:
                raise CorruptData(f"{name} names {path!r}, which is outside the run's artifacts")
            kind = "d" if "files" in item else "x" if item.get("executable") else "f"
            sha = str(item["sha256"])
            if len(sha) != 64 or not set(sha) <= set("0123456789abcdef"):
                raise CorruptData(f"{name}: {sha[:80]!r} isn't a SHA-256")
            entries[path] = Entry(kind, sha, int(item["size"]), int(item.get("files", 1)))
    except (KeyError, TypeError, AttributeError, ValueError, OverflowError) as error:
        raise CorruptData(f"{name} has an entry that doesn't parse: {error}") from error
    return entries


# -- inputs.yaml and environment.yaml


def format_inputs(inputs: list[dict[str, Any]]) -> bytes:
    """inputs.yaml."""
    return yamlform.dump({"format": FORMAT, "datasets": inputs})


def parse_inputs(data: bytes, name: str) -> list[dict[str, Any]]:
    """The datasets of an inputs.yaml.

    Raises:
        Unsupported: Its format is newer than this program.
        CorruptData: It isn't what the format says.
    """
    found = yamlform.load(data, name)
    check_format(found, name)
    datasets = found.get("datasets") or []
    if not isinstance(datasets, list) or not all(isinstance(d, dict) for d in datasets):
        raise CorruptData(f"{name}: datasets must be a list of mappings")
    for dataset in datasets:
        tags = dataset.get("tags") or {}
        values = [value for key, value in dataset.items() if key != "tags"]
        if not isinstance(tags, dict) or any(isinstance(v, (dict, list)) for v in values):
            raise CorruptData(f"{name}: a dataset has something that isn't text")
    return [_dataset(dataset) for dataset in datasets]


def _dataset(dataset: dict[str, Any]) -> dict[str, Any]:
    shown = {
        k: v if v is None or isinstance(v, str) else yamlform.scalar(v)
        for k, v in dataset.items()
        if k != "tags"
    }
    tags = dataset.get("tags")
    return {**shown, "tags": {k: str(v) for k, v in tags.items()}} if tags else shown


def format_environment(environment: dict[str, Any]) -> bytes:
    """environment.yaml."""
    return yamlform.dump({"format": FORMAT, **environment})


def parse_environment(data: bytes, name: str) -> dict[str, Any]:
    """What an environment.yaml says.

    Raises:
        Unsupported: Its format is newer than this program.
    """
    found = yamlform.load(data, name)
    check_format(found, name)
    return found
