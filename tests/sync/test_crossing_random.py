"""Random calls in clones of one remote, with pushes and fetches between: they agree in the end."""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from team import Member, clone, remote

from mlgit.exceptions import Conflict, MlgitException
from mlgit.registry.tags import DEREGISTER, REGISTER
from mlgit.store import spelling
from mlgit.sync.fetch import fetch
from mlgit.sync.push import push
from mlgit.sync.registry import push_registry

GTO = os.environ.get("MLGIT_TEST_GTO", "")
MODELS = ("m", "big model")
STAGES = ("Staging", "Production", "None")
_COUNT = int(os.environ.get("MLGIT_TEST_EXAMPLES", "12"))

_models = st.sampled_from(MODELS)
_numbers = st.integers(1, 4)
_made = st.one_of(
    st.tuples(st.just("register"), _models),
    st.tuples(st.just("stage"), _models, _numbers, st.sampled_from(STAGES[:2]), st.booleans()),
    st.tuples(st.just("alias"), _models, _numbers, st.sampled_from(["a", "b"])),
)
_calls = st.one_of(
    _made,
    _made,
    _made,
    st.tuples(st.just("copy"), _models, _numbers, _models),
    st.tuples(st.just("stage"), _models, _numbers, st.sampled_from(STAGES), st.booleans()),
    st.tuples(st.just("no alias"), _models, st.sampled_from(["a", "b"])),
    st.tuples(st.just("delete"), _models, _numbers),
    st.tuples(st.just("describe"), _models, _numbers),
    st.tuples(st.just("tag"), _models),
    st.tuples(st.just("push")),
    st.tuples(st.just("push"), _models),
    st.tuples(st.just("fetch")),
)
_steps = st.lists(st.tuples(st.integers(0, 2), _calls), min_size=15, max_size=40)


class World:
    """Clones, and what their people did that must not be lost."""

    def __init__(self, place: Path, people: int) -> None:
        self.there = remote(place)
        self.members = [clone(place, self.there, name) for name in ("Ada", "Bob", "Cyd")[:people]]
        self.runs = {m.name: [m.run(f"run {at}") for at in range(2)] for m in self.members}
        self.published: dict[str, str] = {}
        # Source and first description of each version that was registered, and by whom.
        self.registered: list[tuple[str, str, str]] = []
        self.given: list[tuple[str, str, str]] = []
        self.turn = 0
        for call in (*(("register", model) for model in MODELS * 2), ("push",)):
            self.do(self.members[0], call)
        for member in self.members[1:]:
            self.do(member, ("fetch",))
        for member in self.members:  # what crosses in any case
            self.do(member, ("register", "m"))
            self.do(member, ("stage", "m", 3, "Production", True))
            self.do(member, ("alias", "big model", 1, "a"))

    def git(self, where: Path, *arguments: str) -> str:
        done = subprocess.run(
            ["git", *arguments], cwd=where, capture_output=True, text=True, check=True
        )
        return done.stdout

    def look(self) -> None:
        """No tag that was on the remote changes, ever."""
        shown = self.git(self.there, "for-each-ref", "--format=%(refname) %(objectname)").split()
        now = {n: s for n, s in zip(shown[::2], shown[1::2]) if n.startswith("refs/tags/")}
        assert self.published.items() <= now.items()
        self.published = now

    def do(self, member: Member, call: tuple[Any, ...]) -> None:
        """One step; what can't be done isn't."""
        registry, self.turn = member.registry, self.turn + 1
        kind, *rest = call
        mark = f"{member.name} {self.turn}"
        try:
            if kind == "register":
                run = self.runs[member.name][self.turn % 2]
                member.register(rest[0], run, tags={"mark": mark})
                self.registered.append((rest[0], mark, f"runs:/{run}/model"))
            elif kind == "copy":
                registry.version(rest[0], rest[1])
                if not registry.has(rest[2]):
                    registry.create_model(rest[2])
                source = f"models:/{rest[0]}/{rest[1]}"
                registry.create_version(rest[2], source, tags={"mark": mark})
                self.registered.append((rest[2], mark, ""))
            elif kind == "stage":
                archive = rest[3] and rest[2] != "None"
                registry.transition(rest[0], rest[1], rest[2], archive, reason=mark)
                if rest[2] != "None":
                    self.given.append((rest[0], mark, ""))
            elif kind == "alias":
                if registry.model(rest[0]).aliases.get(rest[2]) != rest[1]:
                    registry.set_alias(rest[0], rest[2], rest[1], reason=mark)
                    self.given.append((rest[0], mark, ""))
            elif kind == "no alias":
                registry.delete_alias(rest[0], rest[1], reason=mark)
            elif kind == "delete":
                registry.delete_version(rest[0], rest[1], reason=mark)
            elif kind == "describe":
                # Each says of a version what all would say, so that texts go together.
                version = registry.version(rest[0], rest[1])
                registry.update_version(rest[0], rest[1], f"about {version.tags.get('mark')}")
            elif kind == "tag":
                registry.set_model_tag(rest[0], member.name, "yes")
            elif kind == "fetch":
                fetch(member.store, "origin")
            elif rest:
                push_registry(member.store, models=[rest[0]])
            else:
                push(member.store, "origin")
        except Conflict:
            raise
        except MlgitException:
            pass  # there is no such model or version here
        self.look()

    def finish(self) -> None:
        """All push, all fetch, and all say the same."""
        for member in self.members:
            done = push(member.store, "origin")
            assert not done.failed and not done.apart and not done.held
            self.look()
        for member in self.members:
            fetch(member.store, "origin")
            assert push(member.store, "origin").refs == []
        first = self.members[0]
        for member in self.members:
            assert member.tags() == first.tags() == self.published
            assert member.answers() == first.answers()
        assert first.registry.problems() == []

    def nothing_is_lost(self) -> None:
        """Every version and assignment that somebody made is there, once."""
        registry = self.members[0].registry
        found, reasons, sources = [], [], {}
        for model in MODELS:
            if not registry.has(model):
                continue
            history = registry.history(model)
            counts = [event.name.count for event in history if event.name.alias]
            assert counts == sorted(set(counts)), "by date as by number"
            made = [event for event in history if event.name.event == REGISTER]
            assert sorted(event.name.number or 0 for event in made) == list(range(1, len(made) + 1))
            commits = [event.commit for event in made]
            assert len(set(commits)) == len(commits)
            for event in made:
                mark = event.texts("tags").get("mark", "")
                found.append((model, mark))
                sources[model, mark] = event.text("source") or ""
                assert event.message["version"] == event.name.number
                assert event.person.startswith(mark.split()[0])
            gone = {event.name.number for event in history if event.name.event == DEREGISTER}
            for version in registry.search_versions(f"name = '{model}'"):
                assert version.version not in gone
                mark = version.tags["mark"]
                assert version.description in (None, f"about {mark}")
            reasons += [(model, event.text("reason")) for event in history if event.name.alias]
        assert sorted(found) == sorted((model, mark) for model, mark, _ in self.registered)
        for model, mark, source in self.registered:
            assert not source or sources[model, mark] == source
            match = sources[model, mark].split("/")
            if match[0] == "models:":
                original = {e.tag: e for e in registry.history(match[1])}
                tag = f"{spelling.spell(match[1])}@v{match[2]}.0.0"
                copy = [
                    e
                    for e in registry.history(model)
                    if e.texts("tags").get("mark") == mark and e.name.event == REGISTER
                ]
                assert copy[0].text("run_id") == original[tag].text("run_id"), "of what it was"
        for model, mark, _ in self.given:
            assert (model, mark) in reasons

    def gto_reads_it(self) -> None:
        """GTO shows the versions and aliases that mlgit does."""
        registry = self.members[0].registry
        for model in MODELS:
            if not registry.has(model) or not registry.search_versions(f"name = '{model}'"):
                continue
            done = subprocess.run(
                [GTO, "show", spelling.spell(model)],
                cwd=self.members[0].folder, capture_output=True, text=True, check=False,
            )  # fmt: skip
            assert done.returncode == 0, done.stderr
            rows = [[cell.strip() for cell in row.split("│")] for row in done.stdout.splitlines()]
            shown = {
                int(row[2][1:].split(".")[0]): {s for s in row[3].split(", ") if len(s) == 1}
                for row in rows
                if len(row) > 3 and row[1] == spelling.spell(model)
            }
            versions = registry.search_versions(f"name = '{model}'")
            assert shown == {v.version: set(v.aliases) for v in versions}

    def close(self) -> None:
        for member in self.members:
            member.store.close()


@pytest.mark.parametrize("people", [2, 3])
def test_clones_agree_and_nothing_is_lost(people: int) -> None:
    @settings(
        max_examples=_COUNT,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.explicit, Phase.generate, Phase.shrink],
    )
    @given(_steps)
    def check(steps: list[tuple[int, tuple[Any, ...]]]) -> None:
        with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
            for name in ("AUTHOR_NAME", "AUTHOR_EMAIL", "COMMITTER_NAME", "COMMITTER_EMAIL"):
                patch.delenv(f"GIT_{name}", raising=False)
            world = World(Path(folder), people)
            try:
                for who, call in steps:
                    world.do(world.members[who % people], call)
                world.finish()
                world.nothing_is_lost()
                if GTO:
                    world.gto_reads_it()
            finally:
                world.close()

    check()
