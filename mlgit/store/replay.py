"""A run's state from its journals: the one place that knows what each line means."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from mlgit.entities import RunStatus
from mlgit.exceptions import MlgitException
from mlgit.objects.local import LocalObjects
from mlgit.objects.manifest import Entry
from mlgit.objects.tree import ArtifactTree
from mlgit.store import journal
from mlgit.store.journal import Journal
from mlgit.store.record import Point, Record

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
    "code_commit",
    "code_tree",
)


@dataclass
class Live:
    """What a run's journal folder says.

    Attributes:
        journals: Each writer's.
        began: The fields of the "run" line, or None where the journals only amend.
    """

    run_id: str
    journals: list[Journal] = field(default_factory=list)
    began: dict[str, Any] | None = None

    @property
    def owners(self) -> list[Journal]:
        """The journals of the processes that answer for the run's end."""
        return [j for j in self.journals if j.owner]

    @property
    def is_going(self) -> bool:
        """Whether somebody still works on it, or nobody ever answered for its end."""
        owners = self.owners
        if not owners:
            return self.began is not None or any(j.alive for j in self.journals)
        return any(j.alive for j in owners)

    @property
    def is_dead(self) -> bool:
        """Whether all who answered for its end are gone."""
        return bool(self.owners) and not self.is_going

    @property
    def damaged(self) -> int:
        """How many lines didn't parse."""
        return sum(j.damaged for j in self.journals)

    def last_stamp(self) -> int:
        """The latest time in a line whose order counts, in milliseconds since 1970."""
        stamps = (r[-1] for j in self.journals for r in j.records if r[0] in ("t", "T", "u"))
        return max(stamps, default=0)

    def last_sign_of_life(self) -> int:
        """When a journal was last written to, in milliseconds since 1970."""
        return max((j.modified for j in self.journals), default=0)

    def ended_status(self) -> tuple[str, int] | None:
        """The status and time that the owners ended with; the worst status wins."""
        ends = [j.ended for j in self.owners if j.ended]
        if not ends:
            return None
        worst = next((s for s in ("FAILED", "KILLED") if any(e[0] == s for e in ends)), None)
        last = max(ends, key=lambda end: end[1])
        return worst or last[0], last[1]


def read_live(folder: str, run_id: str, consumed: dict[str, int]) -> Live:
    """Read all journals of a run.

    Args:
        folder: The run's journal folder.
        run_id: The run.
        consumed: Per journal, the offset that is in a commit already.

    Raises:
        Unsupported: One was written by a newer mlgit.
    """
    live = Live(run_id)
    for name in journal.names(folder):
        found = journal.read(folder, name, consumed.get(name, 0))
        live.journals.append(found)
        for record in found.records:
            if record[0] == "run":
                live.began = record[1]
    live.journals.sort(key=lambda journal: journal.order)
    return live


def apply(record: Record, live: Live, objects: LocalObjects, *, durable: bool = True) -> list[str]:
    """Add what the journals say to a record.

    Args:
        record: The run as committed, or a new one. Changed in place.
        live: The journals.
        objects: Where the artifacts' manifests are.
        durable: Write new manifests there; not needed to look at a run.

    Returns:
        What could not be taken over as it was logged, in words.
    """
    problems: list[str] = []
    timed: list[tuple[int, list[Any]]] = []
    artifacts: list[list[Any]] = []
    if live.began:
        _begin(record, live.began)
    for entry in (entry for j in live.journals for entry in j.records):
        kind = entry[0]
        if kind == "m":
            record.add_point(entry[1], Point(entry[4], entry[3], journal.number(entry[2])))
        elif kind == "p":
            kept = record.params.setdefault(entry[1], entry[2])
            if kept != entry[2]:
                problems.append(f"param {entry[1]}: {entry[2]!r} was logged too, {kept!r} kept")
        elif kind in ("t", "T", "u"):
            timed.append((entry[-1], entry))
        elif kind == "a":
            artifacts.append(entry)
        elif kind == "i":
            if entry[1] not in record.inputs:  # logged again, for each epoch say
                record.inputs.append(entry[1])
        elif kind == "env":
            record.environment = entry[1]
    # Python's sort is stable: within one journal, the order of writing holds for ties.
    for _, entry in sorted(timed, key=lambda pair: pair[0]):
        _apply_timed(record, entry)
    if artifacts:
        _apply_artifacts(
            record, artifacts, ArtifactTree(objects, record.artifacts, durable=durable), problems
        )
    return problems


def _begin(record: Record, began: dict[str, Any]) -> None:
    for key in _FIELDS:
        if began.get(key) is not None:
            setattr(record, key, began[key])
    record.source = dict(began.get("source") or {})
    for key, value in (began.get("tags") or {}).items():
        record.set_tag(key, value)


def _apply_timed(record: Record, entry: list[Any]) -> None:
    if entry[0] == "t":
        record.set_tag(entry[1], entry[2])
    elif entry[0] == "T":
        record.delete_tag(entry[1])
    else:
        for key, value in entry[1].items():
            if key in _FIELDS:
                setattr(record, key, value)
            elif key == "source":
                noted = record.source.get("problems", []) + value.get("problems", [])
                record.source.update(value)
                if noted:
                    record.source["problems"] = noted


def _apply_artifacts(
    record: Record, entries: list[list[Any]], tree: ArtifactTree, problems: list[str]
) -> None:
    for _, path, kind, sha, size, files in entries:
        try:
            tree.put(path, Entry(kind, sha, size, files))
        except MlgitException as error:
            problems.append(f"artifact {path}: {error.message}")
        except RecursionError:
            problems.append(f"artifact {path}: too many folders in each other")
    record.artifacts = tree.root()


def settle(record: Record, live: Live) -> None:
    """Give a run that nobody works on any more its final status and end.

    A run whose owners all died without ending it is FAILED at the last sign of life.
    """
    if RunStatus.is_terminated(record.status):
        return
    ended = live.ended_status()
    if live.is_dead and any(j.ended is None for j in live.owners):
        record.status = "FAILED"
        record.end_time = live.last_sign_of_life()
        record.source["recovered"] = True
    elif ended and not live.is_going:
        record.status, record.end_time = ended
