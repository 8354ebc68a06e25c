"""Random sequences of calls, answered by MLflow's SQLite store and by this registry alike.

Differences on purpose are in docs/compatibility.md; they are kept out of the way here: what is
made anew under a deleted model's name goes on counting, and a stage's name that no alias has
names the stage's version.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import registry_peer
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from mlgit import MlgitClient
from mlgit.tracking import uri

# Read here: the tests' fixtures take such variables away.
PYTHON = os.environ.get("MLGIT_TEST_MLFLOW3")
EXAMPLES = int(os.environ.get("MLGIT_TEST_EXAMPLES", "12"))
needs_mlflow = pytest.mark.skipif(not PYTHON, reason="MLGIT_TEST_MLFLOW3 isn't set")

NAMES = st.sampled_from(["a", "a", "Ecommerce Model", "größe", "a-2", "x_x20", "nothing"])
NUMBERS = st.one_of(st.integers(1, 4), st.sampled_from(["1", "2", "x"]))
ALIASES = st.sampled_from(["champion", "Champion", "blue-1", "größe", "latest", "v3", "a b", ""])
STAGES = st.sampled_from(["None", "staging", "Production", "ARCHIVED", "Nowhere"])
TEXTS = st.sampled_from([None, "", "first", "zwei\nZeilen", "ünï"])
KEYS = st.sampled_from(["team", "a b", "x/y", "mlflow.note"])
VALUES = st.sampled_from(["", "risk", "growth", "7"])
TAGS = st.one_of(st.none(), st.dictionaries(KEYS, VALUES, max_size=2))
MODEL_FILTERS = st.sampled_from(
    ["", "name = 'a'", "name LIKE 'a%'", "name ILIKE '%MODEL'", "tags.team = 'risk'",
     "tags.team != 'risk' AND name != 'a'", "name IN ('a', 'größe')", "nonsense = 1", "name >"]
)  # fmt: skip
VERSION_FILTERS = st.sampled_from(
    ["", "name = 'a'", "name='Ecommerce Model' AND tags.team='risk'", "version_number > 1",
     "version_number = '1'", "run_id = 'r1'", "run_id IN ('r1', 'r2')", "source_path LIKE 's3%'",
     "tags.`a b` != 'x'", "stage = 'Production'", "version_number LIKE '1'"]
)  # fmt: skip


class Peer:
    """MLflow in a process of its own."""

    def __init__(self, folder: str) -> None:
        program = str(Path(registry_peer.__file__))
        self.process = subprocess.Popen(
            [str(PYTHON), program, f"sqlite:///{folder}/peer.db"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            cwd=folder,
        )

    def ask(self, call: str, *arguments: Any, **options: Any) -> Any:
        assert self.process.stdin and self.process.stdout
        self.process.stdin.write(json.dumps([call, arguments, options]) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def close(self) -> None:
        self.process.stdin.close()  # type: ignore[union-attr]
        self.process.wait()


@contextmanager
def peer() -> Iterator[Peer]:
    with tempfile.TemporaryDirectory() as folder:
        made = Peer(folder)
        try:
            yield made
        finally:
            made.close()


class Calls(RuleBasedStateMachine):
    """Both registries, and every call of each rule on both."""

    peer: Peer

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        subprocess.run(["git", "init", "-q", "--bare", self.folder.name], check=True)
        self.client = MlgitClient(self.folder.name)
        self.peer.ask("reset")
        self.deleted: set[str] = set()

    def teardown(self) -> None:
        registry = self.client._registry
        problems = registry.problems()
        kept = self.everything()
        registry.index.discard()
        remade = self.everything()
        uri.close_all()
        self.folder.cleanup()
        assert problems == []
        assert kept == remade, "an index made anew says the same"

    def everything(self) -> list[Any]:
        return [*self.client.search_registered_models(), *self.client.search_model_versions()]

    def both(self, call: str, *arguments: Any, **options: Any) -> Any:
        theirs = self.peer.ask(call, *arguments, **options)
        ours = registry_peer.answer(self.client, call, list(arguments), options)
        if "error" in ours and "error" in theirs and self.two_things_are_wrong(arguments):
            return ours
        assert json.loads(json.dumps(ours)) == theirs, (call, arguments, options)
        return ours

    def two_things_are_wrong(self, arguments: tuple[Any, ...]) -> bool:
        """Whether either error may be told: there is no such model, or "x" is no version."""
        there = {model.name for model in self.client.search_registered_models()}
        return "x" in arguments or arguments[0] not in there

    @initialize(versions=st.integers(0, 3))
    def begin(self, versions: int) -> None:
        for name in ("a", "Ecommerce Model"):
            self.both("create_registered_model", name)
            for number in range(versions):
                self.both("create_model_version", name, f"s3://b/{number}", "r1")

    # -- models

    @rule(name=NAMES, tags=TAGS, description=TEXTS)
    def create_model(self, name: str, tags: Any, description: str | None) -> None:
        if name not in self.deleted and name != "nothing":
            self.both("create_registered_model", name, tags, description)

    @rule(name=st.sampled_from(["", "a/b", "a:b", ".", " "]))
    def create_what_cannot_be(self, name: str) -> None:
        self.both("create_registered_model", name)

    @rule(name=NAMES)
    def get_model(self, name: str) -> None:
        self.both("get_registered_model", name)

    @rule(name=NAMES, description=TEXTS)
    def update_model(self, name: str, description: str | None) -> None:
        self.both("update_registered_model", name, description)

    @rule(name=NAMES, new=NAMES)
    def rename_model(self, name: str, new: str) -> None:
        if new not in self.deleted and new != "nothing":
            self.both("rename_registered_model", name, new)

    @rule(name=NAMES)
    def delete_model(self, name: str) -> None:
        if "ok" in self.both("delete_registered_model", name):
            self.deleted.add(name)

    @rule(name=NAMES, key=KEYS, value=VALUES)
    def set_model_tag(self, name: str, key: str, value: str) -> None:
        self.both("set_registered_model_tag", name, key, value)

    @rule(name=NAMES, key=KEYS)
    def delete_model_tag(self, name: str, key: str) -> None:
        self.both("delete_registered_model_tag", name, key)

    @rule(
        text=MODEL_FILTERS,
        size=st.sampled_from([1, 2, 100, 1001]),
        order=st.sampled_from([None, ["name DESC"], ["name"], ["nope"]]),
    )
    def search_models(self, text: str, size: int, order: Any) -> None:
        self.pages("search_registered_models", text, size, order)

    def pages(self, call: str, text: str, size: int, order: Any) -> None:
        token = None
        for _ in range(8):
            found = self.both(call, text, max_results=size, order_by=order, page_token=token)
            token = found.get("ok", {}).get("token")
            if not token:
                break

    # -- versions

    @rule(
        name=NAMES,
        source=st.sampled_from(["s3://b/1", "/models/2", "models:/a/1", "models:/größe/2"]),
        run_id=st.sampled_from([None, "r1", "r2"]),
        tags=TAGS,
        description=TEXTS,
    )
    def create_version(
        self, name: str, source: str, run_id: Any, tags: Any, description: Any
    ) -> None:
        # What MLflow makes of a source's run isn't what is compared.
        if source.startswith("models:"):
            run_id = run_id or "r1"
        self.both(
            "create_model_version", name, source, run_id, tags, "http://x/", description,
            await_creation_for=0,
        )  # fmt: skip

    @rule(name=NAMES, tags=TAGS)
    def create_another(self, name: str, tags: Any) -> None:
        self.both("create_model_version", name, "s3://b/3", "r1", tags)

    @rule(name=NAMES, number=NUMBERS)
    def get_version(self, name: str, number: Any) -> None:
        self.both("get_model_version", name, number)
        self.both("get_model_version_download_uri", name, number)

    @rule(name=NAMES, number=NUMBERS, description=TEXTS)
    def update_version(self, name: str, number: Any, description: Any) -> None:
        self.both("update_model_version", name, number, description)

    @rule(name=NAMES, number=NUMBERS)
    def delete_version(self, name: str, number: Any) -> None:
        self.both("delete_model_version", name, number)

    @rule(name=NAMES, number=NUMBERS, stage=STAGES, archive=st.booleans())
    def transition(self, name: str, number: Any, stage: str, archive: bool) -> None:
        self.both("transition_model_version_stage", name, number, stage, archive)

    @rule(name=NAMES, stages=st.one_of(st.none(), st.lists(STAGES, max_size=2)))
    def latest(self, name: str, stages: Any) -> None:
        self.both("get_latest_versions", name, stages)

    @rule(name=NAMES, number=NUMBERS, key=KEYS, value=VALUES)
    def set_version_tag(self, name: str, number: Any, key: str, value: str) -> None:
        self.both("set_model_version_tag", name, number, key, value)

    @rule(name=NAMES, stage=STAGES, key=KEYS, value=VALUES)
    def delete_version_tag(self, name: str, stage: str, key: str, value: str) -> None:
        self.both("delete_model_version_tag", name, 1, key)

    @rule(
        text=VERSION_FILTERS,
        size=st.sampled_from([1, 3, 1000]),
        order=st.sampled_from([["name"], ["version_number", "name DESC"], ["nope"]]),
    )
    def search_versions(self, text: str, size: int, order: Any) -> None:
        self.pages("search_model_versions", text, size, order)

    @rule(name=NAMES, number=st.integers(1, 3), other=NAMES)
    def copy(self, name: str, number: int, other: str) -> None:
        if other not in self.deleted and other != "nothing":
            self.both("copy_model_version", f"models:/{name}/{number}", other)

    # -- aliases

    @rule(name=NAMES, alias=ALIASES, number=NUMBERS)
    def set_alias(self, name: str, alias: str, number: Any) -> None:
        self.both("set_registered_model_alias", name, alias, number)

    @rule(name=NAMES, alias=ALIASES)
    def delete_alias(self, name: str, alias: str) -> None:
        self.both("delete_registered_model_alias", name, alias)

    @rule(name=NAMES, alias=ALIASES)
    def by_alias(self, name: str, alias: str) -> None:
        self.both("get_model_version_by_alias", name, alias)


@needs_mlflow
def test_every_answer_is_mlflows() -> None:
    with peer() as other:
        Calls.peer = other
        run_state_machine_as_test(
            Calls,
            settings=settings(
                max_examples=EXAMPLES,
                stateful_step_count=60,
                deadline=None,
                suppress_health_check=list(HealthCheck),
            ),
        )
