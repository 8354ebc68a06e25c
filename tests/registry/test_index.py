"""The index brought up to date tag by tag says what one made from nothing says."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

import mlgit
from mlgit import MlgitClient
from mlgit.exceptions import MlgitException
from mlgit.git import Repository
from mlgit.git.commits import Commit, format_commit, signature
from mlgit.git.tags import Tag, format_tag
from mlgit.git.trees import format_tree
from mlgit.registry import increment, rows
from mlgit.registry.index import RegistryIndex
from mlgit.registry.registry import Registry
from mlgit.registry.tags import TAGS, TagName, format_message, format_name
from mlgit.registry.targets import ARCHIVED, Target
from mlgit.store.gitstore import GitStore
from mlgit.tracking.registered import registry_for

EXAMPLES = int(os.environ.get("MLGIT_TEST_EXAMPLES", "25"))
WHO = "Ada <ada@example.org>"
TABLES = {
    "registered_models": "*",
    "registered_model_tags": "*",
    "model_versions": "model, name, version_number, creation_timestamp, last_updated_timestamp, "
    "description, user_id, current_stage, source_path, location, run_id, run_link, commit_sha, "
    "tag, stage_at",
    "model_version_tags JOIN model_versions ON version = id": "model, version_number, key, value",
    "aliases": "*",
    "problems": "*",
    "events": "ref, sha, key, count, at, target, person, message, signed, problem",
    "texts": "ref, sha, key, data, problem",
}


def contents(index: RegistryIndex) -> dict[str, list[Any]]:
    """All that an index says, in an order of its own."""
    return index.ask(
        lambda c: {
            table: sorted(c.execute(f"SELECT {columns} FROM {table}").fetchall(), key=repr)
            for table, columns in TABLES.items()
        }
    )


KEYS = st.sampled_from(["m", "m", "m", "gr_xf6_xdfe", "x-" + "0" * 32])
NUMBERS = st.integers(1, 4)
STAGES = st.sampled_from(["Production", "Staging", "Archived", "None"])
MESSAGES = st.one_of(
    st.sampled_from([None, "by hand", "format: 99\n"]),
    st.fixed_dictionaries(
        {"version": NUMBERS, "time": st.sampled_from(["2026-03-01T00:00:00.000Z", 5])},
        optional={
            "stage": st.sampled_from(["Production", "Staging"]),
            "alias": st.sampled_from(["best", "production"]),
            "model": st.sampled_from(["m", "other"]),
            "tags": st.just({"k": "v"}),
        },
    ),
)
# None: one more than the highest there is, as who knows all tags would write.
COUNTS = st.one_of(st.none(), st.none(), st.just(0), st.integers(1, 40))


class Changes(RuleBasedStateMachine):
    """One repository, changed by this registry's calls and by anybody's tags."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        subprocess.run(["git", "init", "-q", "--bare", self.folder.name], check=True)
        self.repo = Repository.open(self.folder.name)
        self.registry = Registry(GitStore(self.repo), lambda: "ada")
        self.other = RegistryIndex(self.repo)
        self.other.path += ".other"
        tree = self.repo.objects.write("tree", format_tree({}))
        who = signature(WHO, 1_700_000_000_000)
        commits = [Commit(tree, (), who, who, f"{n}\n\nMlgit-Run: r{n}\n") for n in range(3)]
        self.targets = [self.repo.objects.write("commit", format_commit(c)) for c in commits]
        self.targets += ["0" * 39 + "1"]

    def teardown(self) -> None:
        self.registry.close()
        self.other.close()
        self.registry.store.close()
        self.folder.cleanup()

    @invariant()
    def a_new_index_says_the_same(self) -> None:
        self.other.discard()
        kept, remade = contents(self.registry.index), contents(self.other)
        for table, rows_ in remade.items():
            assert kept[table] == rows_

    @invariant()
    def what_decides_on_a_stage_says_the_same(self) -> None:
        def compare(connection: sqlite3.Connection) -> None:
            whole = rows.state_of(connection, "m")
            for number in whole.versions:
                for alias in (Target("best", False), Target("production", False)):
                    some = rows.state_about(connection, "m", number, alias)
                    assert alias.held(some) == alias.held(whole)
                for stage in (Target("Production", True), Target("Staging", True), ARCHIVED):
                    some = rows.state_about(connection, "m", number, stage)
                    assert stage.held(some) == stage.held(whole)
                    assert ARCHIVED.held(some) == ARCHIVED.held(whole)
                    for n in {number, *(v.number for v in stage.within(whole))}:
                        held = whole.versions[n].stages
                        assert list(some.versions[n].stages.items()) == list(held.items())

        self.registry.index.ask(compare)

    def call(self, name: str, *arguments: Any) -> None:
        try:
            getattr(self.registry, name)(*arguments)
        except MlgitException:
            pass

    @initialize(versions=st.integers(0, 4))
    def begin(self, versions: int) -> None:
        for number in range(versions):
            name = TagName("m", "register", version=f"{number + 1}.0.0")
            self.tag(name, number % 3, "by hand", 5)
        if versions > 1:
            self.call("set_alias", "m", "best", 1)
            self.call("set_alias", "m", "best", 2)
            self.call("transition", "m", 1, "Production", False)

    @rule(name=st.sampled_from(["m", "größe", "new"]))
    def create(self, name: str) -> None:
        self.call("create_model", name)

    @rule(name=st.sampled_from(["m", "größe"]), tags=st.sampled_from([None, {"a": "b"}]))
    def register(self, name: str, tags: Any) -> None:
        self.call("create_version", name, "s3://b/m", "r1", tags)

    @rule(number=NUMBERS, stage=STAGES, archive=st.booleans())
    def transition(self, number: int, stage: str, archive: bool) -> None:
        self.call("transition", "m", number, stage, archive)

    @rule(number=NUMBERS, alias=st.sampled_from(["best", "production", "größe"]))
    def alias(self, number: int, alias: str) -> None:
        self.call("set_alias", "m", alias, number)

    @rule(alias=st.sampled_from(["best", "production"]))
    def delete_alias(self, alias: str) -> None:
        self.call("delete_alias", "m", alias)

    @rule(number=NUMBERS)
    def delete_version(self, number: int) -> None:
        self.call("delete_version", "m", number)

    @rule(really=st.integers(0, 7))
    def delete_model(self, really: int) -> None:
        if really == 7:
            self.call("delete_model", "m")

    @rule(number=NUMBERS)
    def describe(self, number: int) -> None:
        self.call("update_version", "m", number, "changed")

    @rule(name=st.sampled_from(["größe", "other"]), new=st.sampled_from(["größe", "m", "other"]))
    def rename(self, name: str, new: str) -> None:
        self.call("rename_model", name, new)

    # -- tags as anybody makes them

    def tag(self, name: TagName, commit: int, message: Any, at: int) -> None:
        shown = format_name(name)
        if isinstance(message, dict):
            message = format_message({"event": name.event, **message})
        sha = self.targets[commit]
        if message is not None:
            raw = format_tag(Tag(sha, "commit", shown, f"{WHO} {at} +0000", message))
            sha = self.repo.objects.write("tag", raw)
        elif commit == 3:
            return  # Git makes no ref to nothing
        self.repo.refs.update(TAGS + shown, sha)

    @rule(
        key=KEYS, event=st.sampled_from(["assign", "assign", "unassign"]), count=COUNTS,
        alias=st.sampled_from(["best", "production", "Production", "staging"]),
        commit=st.integers(0, 3), message=MESSAGES, at=st.integers(1, 20),
    )  # fmt: skip
    def tag_alias(
        self, key: str, event: str, count: Any, alias: str, commit: int, message: Any, at: int
    ) -> None:
        if count is None:
            highest = "SELECT coalesce(max(count), 0) FROM events WHERE key=?"
            count = self.registry.index.ask(lambda c: c.execute(highest, (key,)).fetchone()[0]) + 1
        self.tag(TagName(key, event, alias=alias, count=count), commit, message, at)

    @rule(
        key=KEYS, event=st.sampled_from(["register", "register", "deregister"]),
        number=NUMBERS, count=st.sampled_from([0, 0, 3]), commit=st.integers(0, 3),
        message=MESSAGES, at=st.integers(1, 20), minor=st.sampled_from([0, 0, 0, 1]),
    )  # fmt: skip
    def tag_version(
        self, key: str, event: str, number: int, count: int, commit: int, message: Any, at: int,
        minor: int,
    ) -> None:  # fmt: skip
        name = TagName(key, event, version=f"{number}.{minor}.0", count=count)
        self.tag(name, commit, message, at)

    @rule(key=KEYS, event=st.sampled_from(["created", "deprecated"]), at=st.integers(1, 20))
    def tag_model(self, key: str, event: str, at: int) -> None:
        self.tag(TagName(key, event), 0, "by hand", at)

    @rule(data=st.data())
    def remove(self, data: st.DataObject) -> None:
        there = sorted(self.repo.refs.items(TAGS))
        if there:
            self.repo.refs.delete(data.draw(st.sampled_from(there)))

    @rule()
    def pack(self) -> None:
        self.repo.refs.pack(TAGS)


def test_tag_by_tag_as_from_nothing() -> None:
    run_state_machine_as_test(
        Changes,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=25,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_a_new_tag_needs_no_replay(client: MlgitClient, monkeypatch: pytest.MonkeyPatch) -> None:
    client.create_registered_model("m")
    client.create_model_version("m", "s3://b/1")
    done: list[bool] = []
    apply = increment.apply
    monkeypatch.setattr(increment, "apply", lambda *a: done.append(apply(*a)) or done[-1])
    client.create_model_version("m", "s3://b/2")
    client.set_registered_model_alias("m", "best", 2)
    client.transition_model_version_stage("m", 1, "Staging")
    client.transition_model_version_stage("m", 2, "Production")
    client.delete_model_version("m", 1)
    assert len(done) == 5 and all(done)


@pytest.mark.parametrize(
    "names",
    [
        # deleted by hand while it holds an alias: who had it before has it again
        ["m#best#1 0", "m#best#2 1", "m@v2.0.0! 1"],
        # an assignment that comes late, and counts as an earlier one
        ["m#best#7 0", "m#best#5 1"],
        ["m#production#7 1", "m#production!#5 1", "m#staging#6 1"],
        # taken from who had it before, and from who has it
        ["m#best#1 0", "m#best#2 1", "m#best!#3 0", "m#best!#4 1"],
        # registered on another commit, too: what was given there counts
        ["m#production#1 0", "m@v1.0.0#9 2", "m#staging!#10 2"],
        # registered again, and twice
        ["m@v2.0.0! 1", "m@v2.0.0#9 1", "m@v3.0.0 1"],
    ],
)
def test_tags_by_hand(in_repo: Path, names: list[str]) -> None:
    registry = registry_for()
    repo = registry.store.repo
    commits = []
    for number in range(3):
        subprocess.run(["git", "commit", "-q", "--allow-empty", "-m", f"{number}"], check=True)
        commits.append(subprocess.check_output(["git", "rev-parse", "HEAD"], text=True).strip())
    other = RegistryIndex(repo)
    other.path += ".other"
    for at, line in enumerate(["m@v1.0.0 0", "m@v2.0.0 1", *names]):
        name, commit = line.split()
        tag = Tag(commits[int(commit)], "commit", name, f"{WHO} {1_800_000_000 + at} +0000", "x")
        repo.refs.update(TAGS + name, repo.objects.write("tag", format_tag(tag)))
        other.discard()
        assert contents(registry.index) == contents(other), line
    other.close()


def test_no_tag_of_the_same_moment_is_missed(client: MlgitClient) -> None:
    client.create_registered_model("m")
    client.create_model_version("m", "s3://b/1")
    registry = registry_for()
    repo = registry.store.repo
    commit = registry.index.ask(lambda c: c.execute("SELECT target FROM events").fetchone()[0])
    other = RegistryIndex(repo)
    other.path += ".other"
    for at in range(1, 200):
        name = f"m#{'abc'[at % 3]}#{at}"
        tag = Tag(commit, "commit", name, f"{WHO} {1_800_000_000 + at} +0000", "by hand")
        repo.refs.update(TAGS + name, repo.objects.write("tag", format_tag(tag)))
        if at % 5 == 0:
            repo.refs.update(TAGS + "m#moved", repo.refs.read(TAGS + name))
        for index in (registry.index, other) if at % 2 else (registry.index,):
            found = index.ask(lambda c: c.execute("SELECT ref, sha FROM events").fetchall())
            assert dict(found) == repo.refs.items(TAGS)
    other.close()


def test_packing_tags_reads_none_of_them_again(
    client: MlgitClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.create_registered_model("m")
    for number in range(3):
        client.create_model_version("m", f"s3://b/{number}")
    registry = registry_for()
    before = contents(registry.index)
    monkeypatch.setattr(rows, "read_event", None)
    registry.store.repo.refs.pack(TAGS)
    assert contents(registry.index) == before
    assert len(mlgit.search_model_versions()) == 3
