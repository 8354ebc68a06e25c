"""From records and index rows to the entities that the API gives."""

from __future__ import annotations

import os
from typing import Any

from mlgit.entities import Dataset, DatasetInput, InputTag, Run, RunData, RunInfo, RunInputs
from mlgit.store.record import Record
from mlgit.store.rows import RunRow, artifact_uri

_ADJECTIVES = [
    "agile",
    "amber",
    "ample",
    "bold",
    "brave",
    "bright",
    "brisk",
    "calm",
    "clear",
    "clever",
    "cosmic",
    "crisp",
    "eager",
    "fair",
    "fast",
    "fine",
    "fleet",
    "fond",
    "free",
    "fresh",
    "gentle",
    "glad",
    "golden",
    "grand",
    "happy",
    "keen",
    "kind",
    "lively",
    "lucid",
    "lucky",
    "mellow",
    "merry",
    "mild",
    "neat",
    "nimble",
    "noble",
    "placid",
    "plain",
    "proud",
    "quick",
    "quiet",
    "rapid",
    "rare",
    "ready",
    "royal",
    "serene",
    "sharp",
    "shy",
    "silent",
    "silver",
    "sleek",
    "smooth",
    "solid",
    "spry",
    "steady",
    "stout",
    "sunny",
    "sure",
    "swift",
    "tidy",
    "true",
    "upbeat",
    "vivid",
    "warm",
    "wise",
    "witty",
    "zesty",
]
_NOUNS = [
    "ant",
    "auk",
    "bat",
    "bear",
    "bee",
    "bison",
    "boar",
    "crab",
    "crane",
    "crow",
    "deer",
    "dove",
    "duck",
    "eagle",
    "eel",
    "elk",
    "emu",
    "ermine",
    "falcon",
    "finch",
    "fox",
    "frog",
    "gnu",
    "goat",
    "goose",
    "gull",
    "hare",
    "hawk",
    "heron",
    "ibex",
    "ibis",
    "jay",
    "kite",
    "koala",
    "lark",
    "lion",
    "lynx",
    "mole",
    "moose",
    "moth",
    "mouse",
    "newt",
    "okapi",
    "orca",
    "otter",
    "owl",
    "panda",
    "perch",
    "pike",
    "plover",
    "puma",
    "quail",
    "ram",
    "raven",
    "robin",
    "seal",
    "shrew",
    "shrike",
    "skua",
    "snipe",
    "squid",
    "stoat",
    "stork",
    "swan",
    "swift",
    "tapir",
    "tern",
    "toad",
    "trout",
    "tuna",
    "viper",
    "vole",
    "wasp",
    "whale",
    "wolf",
    "wren",
    "yak",
    "zebra",
]


def random_name() -> str:
    """A run's name where nobody gives one, like "brave-otter-42"."""
    # Not by the module random: its seed() would give all runs of a program one name.
    number = int.from_bytes(os.urandom(8), "big")
    number, adjective = divmod(number, len(_ADJECTIVES))
    number, noun = divmod(number, len(_NOUNS))
    return f"{_ADJECTIVES[adjective]}-{_NOUNS[noun]}-{number % 1000}"


def run_of_record(record: Record) -> Run:
    """The run that a record describes."""
    info = RunInfo(
        record.run_id,
        record.experiment_id,
        record.user,
        record.status,
        record.start_time,
        record.end_time,
        record.lifecycle_stage,
        artifact_uri(record.experiment_id, record.run_id),
        record.run_name,
    )
    metrics = {key: point.value for key, point in record.last.items()}
    data = RunData(metrics, dict(record.params), record.all_tags())
    return Run(info, data, inputs_of(record.inputs))


def run_of_row(row: RunRow) -> Run:
    """The run that a row of the index describes."""
    info = RunInfo(
        row.run_id,
        row.experiment_id,
        row.user_id,
        row.status,
        row.start_time,
        row.end_time,
        row.lifecycle_stage,
        row.artifact_uri,
        row.name,
    )
    return Run(info, RunData(row.metrics, row.params, row.tags), inputs_of(row.inputs))


def inputs_of(datasets: list[dict[str, Any]]) -> RunInputs:
    """The datasets of a record as entities."""
    return RunInputs(
        [
            DatasetInput(
                Dataset(
                    name=str(d.get("name", "")),
                    digest=str(d.get("digest", "")),
                    source_type=str(d.get("source_type", "")),
                    source=str(d.get("source", "")),
                    schema=d.get("schema"),
                    profile=d.get("profile"),
                ),
                [InputTag(str(k), str(v)) for k, v in (d.get("tags") or {}).items()],
            )
            for d in datasets
        ]
    )
