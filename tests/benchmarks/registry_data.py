"""Make registries with many models, quickly: one for mlgit and GTO, one for MLflow.

    python tests/benchmarks/registry_data.py FOLDER [--models N] [--versions N]

mlgit's and GTO's is a Git repository whose tags are packed, as after ``git gc``. MLflow's is its own
SQLite store, made by MLflow and filled by SQL (``registry_worker.py``).
"""

from __future__ import annotations

import argparse
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import generate

from mlgit.git import Repository
from mlgit.git.commits import Commit, format_commit, parse_commit, signature
from mlgit.git.tags import Tag, format_tag
from mlgit.registry.tags import ASSIGN, REGISTER, TAGS, TagName, format_message, format_name
from mlgit.store.timeform import to_iso

ALIASES = ("champion", "challenger", "shadow")
PERSON = "Benchmark <benchmark@example.org>"


def model_name(number: int) -> str:
    """The name of a model."""
    return f"model-{number:04d}"


def run_id(model: int, version: int) -> str:
    """The run that a version is said to be of."""
    return f"{model * 1000 + version:032x}"


def events(model: int, versions: int) -> Iterator[tuple[TagName, int, dict[str, Any]]]:
    """A model's tags in order: each version is registered, and then gets every alias."""
    name, count, last = model_name(model), 0, 0
    for version in range(1, versions + 1):
        source = f"runs:/{run_id(model, version)}/model"
        details: dict[str, Any] = {"source": source, "run_id": run_id(model, version)}
        yield TagName(name, REGISTER, version=f"{version}.0.0"), version, details
        for alias in ALIASES:
            count += 1
            details = {"alias": alias}
            if last:
                details["previous"] = f"{name}#{alias}#{count - len(ALIASES)}"
                details["previous_version"] = last
            yield TagName(name, ASSIGN, alias=alias, count=count), version, details
        last = version


def fill_repository(folder: Path, models: int, versions: int) -> int:
    """Fill a new repository with models; how many tags it has then."""
    generate.make_repository(folder)
    repo = Repository.open(str(folder))
    head = generate.git(folder, "rev-parse", "HEAD").strip()
    tree = parse_commit(repo.objects.commit(head)).tree
    pack = generate.PackWriter(repo.objects.path)
    refs: list[tuple[str, str]] = []
    for model in range(models):
        seconds, commit = generate.START // 1000, head
        for name, version, details in events(model, versions):
            seconds += 60
            if name.event == REGISTER:
                who = signature(PERSON, seconds * 1000)
                message = f"run-{version}\n\nMlgit-Run: {run_id(model, version)}\n"
                commit = pack.write(
                    "commit", format_commit(Commit(tree, (head,), who, who, message))
                )
            said = {
                "event": name.event,
                "model": model_name(model),
                "version": version,
                "time": to_iso(seconds * 1000),
                "user": "benchmark",
                **details,
            }
            shown = format_name(name)
            tagger = signature(PERSON, seconds * 1000)
            raw = format_tag(Tag(commit, "commit", shown, tagger, format_message(said)))
            refs.append((TAGS + shown, pack.write("tag", raw)))
    pack.finish()
    pack.close()
    generate._add_packed_refs(folder, refs)
    return len(refs)


def fill_sqlite(path: Path, models: int, versions: int) -> None:
    """Fill MLflow's SQLite store, whose tables MLflow has made, with the same models."""
    step = 60_000
    made, numbered, aliases = [], [], []
    for model in range(models):
        name, time = model_name(model), generate.START
        for event, version, details in events(model, versions):
            time += step
            if event.event == REGISTER:
                said = (details["source"], details["run_id"])
                numbered.append((name, version, time, time, *said, details["source"]))
        made.append((name, generate.START + step, time))
        aliases += [(name, alias, versions) for alias in ALIASES]
    with sqlite3.connect(path) as connection:
        connection.executemany(
            "INSERT INTO registered_models (name, creation_time, last_updated_time) VALUES (?,?,?)",
            made,
        )
        connection.executemany(
            "INSERT INTO model_versions (name, version, creation_time, last_updated_time, source, "
            "run_id, storage_location, current_stage, status) VALUES (?,?,?,?,?,?,?,'None','READY')",
            numbered,
        )
        connection.executemany(
            "INSERT INTO registered_model_aliases (name, alias, version) VALUES (?,?,?)", aliases
        )


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--models", type=int, default=1000)
    parser.add_argument("--versions", type=int, default=20)
    options = parser.parse_args()
    print(fill_repository(options.folder, options.models, options.versions), "tags")


if __name__ == "__main__":
    main()
