"""Clones that register, promote and describe at the same time (docs/registry.md, "In a team")."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from gitserver import GitServer
from team import Member, clone, remote

from mlgit.exceptions import Conflict
from mlgit.git.tags import parse_tag
from mlgit.registry.replaying import new_numbers
from mlgit.registry.tags import parse_message
from mlgit.sync import crossing
from mlgit.sync.fetch import fetch
from mlgit.sync.push import push
from mlgit.sync.registry import push_registry

Git = Callable[..., str]


@pytest.fixture(params=["git", "dulwich"])
def program(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("MLGIT_GIT", request.param)
    return str(request.param)


@pytest.fixture
def there(tmp_path: Path) -> Path:
    return remote(tmp_path)


@pytest.fixture
def team(tmp_path: Path, there: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Member]]:
    """Ada, Bob and Cyd."""
    for name in ("AUTHOR_NAME", "AUTHOR_EMAIL", "COMMITTER_NAME", "COMMITTER_EMAIL"):
        monkeypatch.delenv(f"GIT_{name}")
    members = [clone(tmp_path, there, name) for name in ("Ada", "Bob", "Cyd")]
    yield members
    for member in members:
        member.store.close()


def tags_there(git: Git, there: Path) -> dict[str, str]:
    shown = git(there, "for-each-ref", "--format=%(refname) %(objectname)", "refs/tags").split()
    return dict(zip(shown[::2], shown[1::2]))


def message(member: Member, tag: str) -> dict[str, object]:
    sha = member.store.repo.refs.read(f"refs/tags/{tag}")
    assert sha is not None, f"{member.name} has no {tag}"
    return parse_message(parse_tag(member.store.repo.objects.read(sha)[1]).message, tag)


def said(done: object) -> list[str]:
    return crossing.lines(done.renumbered, done.replayed)  # type: ignore[attr-defined]


def agree(*members: Member) -> None:
    first = members[0].answers()
    for other in members[1:]:
        assert other.answers() == first
        assert other.tags() == members[0].tags()
    assert first["problems"] == []


def started(team: list[Member], model: str = "m", versions: int = 1) -> None:
    """Everyone has the same versions of a model, the first in production."""
    ada = team[0]
    for _ in range(versions):
        ada.register(model)
    ada.registry.transition(model, 1, "Production")
    push(ada.store, "origin")
    for other in team[1:]:
        fetch(other.store, "origin")


# -- versions


def test_two_make_one_version(team: list[Member], git: Git, there: Path, program: str) -> None:
    ada, bob, _ = team
    started(team, versions=3)
    run = ada.run("hers")
    assert ada.register("m", run) == 4
    his = bob.run("his")
    assert bob.register("m", his, tags={"by": "bob"}) == 4
    bob.registry.update_version("m", 4, "from Bob")
    bob.registry.set_alias("m", "champion", 4)
    push_registry(ada.store)
    published = tags_there(git, there)

    done = push_registry(bob.store, models=["m"])
    assert said(done) == ["m: your version 4 is version 5 now; version 4 is Ada's"]
    assert not done.torn and not done.failed
    assert published.items() <= tags_there(git, there).items(), "what is published stays"
    fetch(ada.store, "origin")
    agree(ada, bob)
    for member in (ada, bob):
        assert member.registry.version("m", 4).run_id == run
        five = member.registry.version("m", 5)
        assert five.run_id == his and five.description == "from Bob"
        assert five.tags == {"by": "bob"} and five.aliases == ["champion"]
        assert not member.registry.version("m", 4).aliases
    told = message(ada, "m@v5.0.0")
    assert told["version"] == 5 and told["renumbered_from"] == 4 and told["user"] == "bob"
    assert told["time"] == message(bob, "m@v5.0.0")["time"]
    assert message(ada, "m#champion#2")["version"] == 5
    assert bob.store.repo.refs.read("refs/tags/m@v4.0.0") == published["refs/tags/m@v4.0.0"]
    assert push(bob.store, "origin").refs == [] and said(fetch(bob.store, "origin").came) == []


def test_over_http(team: list[Member], git: Git, there: Path, tmp_path: Path, program: str) -> None:
    git(there, "config", "http.receivepack", "true")
    with GitServer(tmp_path) as server:
        url = f"{server.serve()}/there.git"
        for member in team:
            git(member.folder, "remote", "set-url", "origin", url)
        for member in team:
            number = member.register("m")
            member.registry.transition("m", number, "Production")
        for member in team:
            assert not push_registry(member.store).torn
        for member in team:
            fetch(member.store, "origin")
    agree(*team)
    assert [e.text("user") for e in team[0].registry.history("m") if e.name.count] == [
        "ada", "bob", "cyd",
    ]  # fmt: skip
    assert team[1].registry.by_alias("m", "production").version == 3


def test_runs_and_artifacts_go_along(team: list[Member], tmp_path: Path) -> None:
    ada, bob, _ = team
    run = ada.run()
    ada.register("m", run)
    done = push_registry(ada.store)
    assert done.objects.objects == 2
    fetch(bob.store, "origin")
    assert bob.store.runs.get(run).info.run_id == run
    assert bob.store.read_artifact(run, "model/MLmodel").startswith(b"flavors")
    other = ada.run("not registered")
    ada.registry.set_alias("m", "a", 1)
    assert len(push_registry(ada.store).refs) == 1
    fetch(bob.store, "origin")
    assert bob.store.runs.find_ref(other) is None


def test_several_versions_keep_their_order(team: list[Member]) -> None:
    ada, bob, _ = team
    started(team)
    ada.register("m")
    runs = [bob.run(f"run-{at}") for at in range(3)]
    assert [bob.register("m", run) for run in runs] == [2, 3, 4]
    bob.registry.delete_version("m", 3)
    bob.registry.transition("m", 4, "Staging")
    bob.registry.transition("m", 2, "Staging", archive_existing=True)
    push_registry(ada.store)
    assert said(push_registry(bob.store))[:3] == [
        "m: your version 2 is version 3 now; version 2 is Ada's",
        "m: your version 3 is version 4 now",
        "m: your version 4 is version 5 now",
    ]
    fetch(ada.store, "origin")
    agree(ada, bob)
    found = {v.version: (v.run_id, v.current_stage) for v in ada.registry.search_versions()}
    assert found[3] == (runs[0], "Staging") and found[5] == (runs[2], "Archived")
    assert 4 not in found, "it was deleted, and is so still"
    assert message(ada, "m@v4.0.0!")["replayed_from"] == "m@v3.0.0!"
    assert message(ada, "m@v4.0.0!")["previous"] == "m@v4.0.0"


def test_one_run_registered_by_both(team: list[Member], git: Git) -> None:
    ada, bob, cyd = team
    run = ada.run()
    push(ada.store, "origin")
    for member in team:
        fetch(member.store, "origin")
        assert member.register("m", run) == 1
        assert member.register("m", run) == 2
        member.registry.set_alias("m", member.name.lower(), 1)
    for member in team:
        push_registry(member.store)
    fetch(ada.store, "origin")
    fetch(bob.store, "origin")
    agree(*team)
    aliases = {v.version: v.aliases for v in ada.registry.search_versions()}
    assert aliases == {1: ["ada"], 2: [], 3: ["bob"], 4: [], 5: ["cyd"], 6: []}
    commits = [git(ada.folder, "rev-parse", f"m@v{n}.0.0^{{commit}}") for n in range(1, 7)]
    assert len(set(commits)) == 6
    subjects = [git(ada.folder, "log", "-1", "--format=%s", commit) for commit in commits[1:]]
    assert subjects == [f"Version {n} of m" for n in range(2, 7)]
    parents = {git(ada.folder, "rev-parse", f"{commit}^") for commit in commits[1:]}
    assert parents == {commits[0]}


def test_versions_without_a_run(team: list[Member], git: Git) -> None:
    ada, bob, _ = team
    for member in (ada, bob):
        member.registry.create_model("m")
        member.registry.create_version("m", f"s3://bucket/{member.name}")
    bob.registry.set_alias("m", "a", 1)
    push_registry(ada.store)
    push_registry(bob.store)
    fetch(ada.store, "origin")
    agree(ada, bob)
    assert ada.registry.version("m", 2).source == "s3://bucket/Bob"
    kept = git(ada.folder, "show", "m@v2.0.0^{commit}:version.yaml")
    assert "version: 2" in kept and "renumbered_from: 1" in kept
    assert git(ada.folder, "log", "-1", "--format=%s", "m@v2.0.0") == "Version 2 of m"
    assert ada.registry.version("m", 2).aliases == ["a"]


def test_a_copy_follows_its_original(team: list[Member]) -> None:
    ada, bob, _ = team
    started(team)
    ada.register("m")
    assert bob.register("m") == 2
    bob.registry.create_model("other")
    bob.registry.create_version("other", "models:/m/2")
    bob.registry.create_version("other", "models:/m/1")
    push_registry(ada.store)
    push_registry(bob.store)
    fetch(ada.store, "origin")
    agree(ada, bob)
    assert ada.registry.version("other", 1).source == "models:/m/3"
    assert ada.registry.version("other", 2).source == "models:/m/1"
    assert ada.registry.version("other", 1).commit == ada.registry.version("m", 3).commit


@pytest.mark.parametrize("how", ["argument", "configuration"])
def test_renumbering_may_be_refused(
    how: str, team: list[Member], git: Git, there: Path, program: str
) -> None:
    ada, bob, _ = team
    started(team)
    ada.register("m")
    bob.register("m")
    bob.register("n")
    bob.registry.update_model("m", "Bob's words")
    push_registry(ada.store)
    before, published = bob.tags(), tags_there(git, there)
    if how == "configuration":
        (bob.folder / ".mlgit").mkdir()
        (bob.folder / ".mlgit/config.yaml").write_text("format: 1\nregistry: {renumber: false}\n")
    allowed = how == "configuration"
    with pytest.raises(Conflict, match="your version 2 isn't the one") as caught:
        push_registry(bob.store, renumber=allowed)
    assert "makes yours version 3" in caught.value.hint and "git tag -d" in caught.value.hint
    assert bob.tags() == before
    # The other model went; of this one nothing is touched, by fetch neither.
    assert tags_there(git, there).keys() - published.keys() == {"refs/tags/n@v1.0.0"}
    came = fetch(bob.store, "origin", renumber=allowed).came
    assert [held.model for held in came.held] == ["m"] and bob.tags() == before
    assert fetch(bob.store, "origin", renumber=allowed, dry_run=True).came.held == came.held
    # What the hint says does it.
    git(bob.folder, "tag", "-d", "m@v2.0.0")
    fetch(bob.store, "origin", renumber=allowed)
    assert bob.registry.version("m", 2).user_id == "ada"


def test_what_was_pushed_elsewhere_is_not_renumbered(
    team: list[Member], git: Git, tmp_path: Path
) -> None:
    ada, bob, _ = team
    git(tmp_path, "init", "-q", "--bare", "fork.git")
    ada.register("m")
    bob.register("m")
    push_registry(bob.store, str(tmp_path / "fork.git"))
    own = bob.tags()
    push_registry(ada.store)
    with pytest.raises(Conflict, match="m@v1.0.0"):
        push_registry(bob.store)
    assert bob.tags() == own


# -- stages and aliases


def test_both_promote(team: list[Member], git: Git, there: Path, program: str) -> None:
    ada, bob, _ = team
    started(team, versions=3)
    ada.registry.transition("m", 2, "Production", reason="hers")
    bob.registry.transition("m", 3, "Production", reason="his")
    when = message(bob, "m#production#2")["time"]
    push_registry(ada.store)
    published = tags_there(git, there)
    done = push_registry(bob.store)
    assert said(done) == [
        "m: your m#production#2 is m#production#3 now, after what others did meanwhile: "
        "version 3 takes the place of version 2, by Ada"
    ]
    assert published.items() <= tags_there(git, there).items()
    fetch(ada.store, "origin")
    agree(ada, bob)
    assert ada.registry.by_alias("m", "production").version == 3
    told = message(ada, "m#production#3")
    assert told["replayed_from"] == "m#production#2" and told["time"] == when
    assert told["previous"] == "m#production#2" and told["previous_version"] == 2
    assert told["reason"] == "his"
    dates = git(ada.folder, "tag", "--sort=taggerdate", "-l", "m#*").split()
    assert dates == ["m#production#1", "m#production#2", "m#production#3"]


def test_all_of_a_clones_own_are_replayed_in_order(team: list[Member]) -> None:
    ada, bob, cyd = team
    started(team, versions=3)
    for number in (1, 2, 3):
        ada.registry.set_alias("m", "champion", number)
    for number in (2, 1, 3, 2):
        bob.registry.set_alias("m", "challenger", number)
    bob.registry.delete_alias("m", "challenger")
    cyd.registry.set_alias("m", "champion", 2)
    cyd.registry.transition("m", 2, "Production", archive_existing=True)
    for member in team:
        push_registry(member.store)
    for member in team:
        fetch(member.store, "origin")
    agree(*team)
    assert ada.registry.model("m").aliases == {"champion": 2}
    events = [e for e in ada.registry.history("m") if e.name.count]
    assert [e.name.count for e in events] == list(range(1, len(events) + 1))
    assert len(events) == 1 + 3 + (4 + 3) + (1 + 3)
    by_bob = [e.text("replayed_from") or e.tag for e in events if e.text("user") == "bob"]
    assert [int(tag.rpartition("#")[2]) for tag in by_bob] == list(range(2, 9))
    assert [e.text("user") for e in events] == ["ada"] * 4 + ["bob"] * 7 + ["cyd"] * 4
    for e in events:
        if e.message.get("previous_version"):
            before = ada.store.repo.refs.read(f"refs/tags/{e.message['previous']}")
            assert before is not None, e.tag


def test_tags_of_other_names_that_crossed(team: list[Member]) -> None:
    """One count, two aliases: the names don't clash, the order does."""
    ada, bob, _ = team
    started(team, versions=2)
    ada.registry.set_alias("m", "a", 1)
    bob.registry.set_alias("m", "b", 1)
    push_registry(ada.store)
    push_registry(bob.store)
    fetch(ada.store, "origin")
    agree(ada, bob)
    assert {"refs/tags/m#a#2", "refs/tags/m#b#3"} <= ada.tags().keys()
    assert "refs/tags/m#b#2" not in bob.tags()


def test_what_was_deleted_meanwhile(team: list[Member]) -> None:
    ada, bob, _ = team
    started(team, versions=2)
    ada.registry.delete_version("m", 2)
    bob.registry.set_alias("m", "champion", 2)
    bob.registry.delete_version("m", 1)
    ada.registry.delete_version("m", 1)
    push_registry(ada.store)
    done = push_registry(bob.store)
    assert said(done) == [
        "m: your m@v1.0.0! is m@v1.0.0!#3 now, after what others did meanwhile: "
        "version 1 is deleted, so it changes nothing"
    ]
    fetch(ada.store, "origin")
    agree(ada, bob)
    assert ada.registry.search_versions() == []
    both = [tag for tag in ada.tags() if re.match(r"refs/tags/m@v1\.0\.0!", tag)]
    assert len(both) == 2, "both deletions are in the history"


def test_texts_that_parted_are_merged_with_the_tags(team: list[Member]) -> None:
    ada, bob, cyd = team
    started(team)
    for member in team:
        number = member.register("m")
        member.registry.update_version("m", number, member.name)
        member.registry.set_version_tag("m", number, "by", member.name)
        member.registry.set_model_tag("m", member.name, "yes")
    for member in team:
        push_registry(member.store)
    for member in team:
        fetch(member.store, "origin")
    agree(*team)
    found = {v.version: (v.description, v.tags) for v in bob.registry.search_versions()}
    assert found[2] == ("Ada", {"by": "Ada"})
    assert found[3] == ("Bob", {"by": "Bob"})
    assert found[4] == ("Cyd", {"by": "Cyd"})
    assert bob.registry.model("m").tags == dict.fromkeys(("Ada", "Bob", "Cyd"), "yes")


def test_texts_that_do_not_go_together_are_told(team: list[Member], git: Git, there: Path) -> None:
    ada, bob, _ = team
    started(team)
    for member in (ada, bob):
        number = member.register("m")
        member.registry.update_model("m", f"{member.name}'s model")
        member.registry.update_version("m", number, f"{member.name}'s version")
    push_registry(ada.store)
    with pytest.raises(Conflict) as caught:
        push_registry(bob.store)
    assert "field description: here Bob's model, there Ada's model" in caught.value.message
    # The tags are there, and what Bob says of his version is about his version.
    assert "refs/tags/m@v3.0.0" in tags_there(git, there)
    assert bob.registry.version("m", 3).description == "Bob's version"
    assert bob.registry.version("m", 2).user_id == "ada"
    bob.registry.update_model("m", "Ada's model")
    push_registry(bob.store)
    fetch(ada.store, "origin")
    agree(ada, bob)
    assert ada.registry.version("m", 3).description == "Bob's version"
    assert ada.registry.version("m", 2).description == "Ada's version"


def test_tags_that_gto_made(team: list[Member], git: Git) -> None:
    """Annotated tags without YAML: their text stays, with a line that tells what they were."""
    ada, bob, _ = team
    runs = {member.name: member.run() for member in (ada, bob)}
    for member in (ada, bob):
        _, commit = member.store.runs.find_ref(runs[member.name])
        for tag, text in (
            ("m@v1.0.0", f"{member.name} registers"),
            ("m#production#1", "into production"),
            ("m#prod#2", "an alias"),
        ):
            git(member.folder, "tag", "-a", "-m", text, tag, commit)
    push_registry(ada.store)
    done = push_registry(bob.store)
    assert [(one.old, one.new, one.holder) for one in done.renumbered] == [(1, 2, "Ada")]
    fetch(ada.store, "origin")
    agree(ada, bob)
    assert ada.registry.version("m", 2).run_id == runs["Bob"]
    assert ada.registry.version("m", 2).current_stage == "Production"
    assert ada.registry.model("m").aliases == {"prod": 2}
    told = git(ada.folder, "tag", "-l", "--format=%(contents)", "m@v2.0.0")
    assert told.split("\n")[:2] == ["Bob registers", "renumbered_from: 1"]
    told = git(ada.folder, "tag", "-l", "--format=%(contents)", "m#prod#4")
    assert told.split("\n")[:2] == ["an alias", "replayed_from: m#prod#2"]


# -- fetch


def test_a_fetch_puts_ones_own_on_top(team: list[Member], program: str) -> None:
    ada, bob, _ = team
    started(team)
    ada.register("m")
    ada.registry.transition("m", 2, "Production")
    assert bob.register("m") == 2
    bob.registry.transition("m", 2, "Production")
    push_registry(ada.store)
    dry = fetch(bob.store, "origin", dry_run=True).came
    assert [(one.old, one.new) for one in dry.renumbered] == [(2, 3)] and not dry.apart
    came = fetch(bob.store, "origin").came
    assert said(came) == [
        "m: your version 2 is version 3 now; version 2 is Ada's",
        "m: your m#production#2 is m#production#3 now, after what others did meanwhile: "
        "version 3 takes the place of version 2, by Ada",
    ]
    assert bob.registry.by_alias("m", "production").version == 3
    assert bob.registry.problems() == []
    done = push_registry(bob.store)
    assert said(done) == []
    fetch(ada.store, "origin")
    agree(ada, bob)


def test_who_fetches_and_does_not_push_is_put_on_top_again(team: list[Member]) -> None:
    ada, bob, cyd = team
    started(team)
    bob.register("m")
    for member in (ada, cyd):
        member.register("m")
        push_registry(member.store)
        fetch(bob.store, "origin")
    push_registry(bob.store)
    assert message(bob, "m@v4.0.0")["renumbered_from"] == 2
    for member in team:
        fetch(member.store, "origin")
    agree(*team)


def test_git_fetch_brought_what_crossed(team: list[Member], git: Git) -> None:
    """Tags whose names are free come by Git itself; the order is put right at the next push."""
    ada, bob, _ = team
    started(team, versions=2)
    ada.registry.set_alias("m", "a", 1)
    bob.registry.set_alias("m", "b", 1)
    push_registry(ada.store)
    git(bob.folder, "fetch", "-q", "--tags")
    assert {"refs/tags/m#a#2", "refs/tags/m#b#2"} <= bob.tags().keys()
    push_registry(bob.store)
    fetch(ada.store, "origin")
    agree(ada, bob)
    assert "refs/tags/m#b#3" in ada.tags()


def test_others_are_faster_during_the_push(
    team: list[Member], monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlgit.git.transport_git import BinaryTransport

    ada, bob, _ = team
    started(team)
    bob.register("m")
    bob.registry.transition("m", 2, "Production")
    send, turns = BinaryTransport.push, []

    def late(self: BinaryTransport, updates: object, **options: object) -> object:
        if self.repo is bob.store.repo and len(turns) < 2 and options.get("atomic"):
            turns.append(ada.register("m"))
            ada.registry.transition("m", turns[-1], "Production")
            push_registry(ada.store)
        return send(self, updates, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(BinaryTransport, "push", late)
    done = push_registry(bob.store)
    assert [(one.old, one.new) for one in done.renumbered] == [(2, 4)]
    assert message(bob, "m@v4.0.0")["renumbered_from"] == 2
    assert message(bob, "m#production#4")["replayed_from"] == "m#production#2"
    fetch(ada.store, "origin")
    agree(ada, bob)


_PUSHER = """
import sys
from mlgit.git import Repository
from mlgit.store.gitstore import GitStore
from mlgit.sync.registry import push_registry
store = GitStore(Repository.open(sys.argv[1]))
print("ready", flush=True)
sys.stdin.readline()
push_registry(store)
"""


def test_all_push_at_once(team: list[Member], git: Git, there: Path) -> None:
    started(team)
    for member in team:
        number = member.register("m")
        member.registry.transition("m", number, "Production")
        member.registry.update_version("m", number, member.name)
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    processes = []
    for member in team:
        command = [sys.executable, "-c", _PUSHER, str(member.folder)]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        processes.append(subprocess.Popen(command, env=env, **pipes))  # type: ignore[call-overload]
    for process in processes:
        assert process.stdout.readline()
    for process in processes:
        process.stdin.write(b"go\n")
        process.stdin.flush()
    for process in processes:
        _, err = process.communicate(timeout=120)
        assert process.returncode == 0, err.decode()
    for member in team:
        fetch(member.store, "origin")
    agree(*team)
    found = {v.description: v.version for v in team[0].registry.search_versions("name = 'm'")}
    assert sorted(found.values()) == [1, 2, 3, 4] and set(found) == {None, "Ada", "Bob", "Cyd"}
    held = team[0].registry.by_alias("m", "production")
    assert held.version == 4, "who pushed last"


@pytest.mark.parametrize(
    "taken, highest, own, changed",
    [
        ([1, 2], 2, [3, 4], {}),
        ([1, 2, 3], 3, [3, 4], {3: 4, 4: 5}),
        ([1, 2, 3], 3, [3, 5], {3: 4}),
        ([1, 2, 4], 4, [3], {}),
        ([1, 2, 4], 4, [3, 4, 5], {4: 5, 5: 6}),
        ([1], 7, [1], {1: 8}),
        ([], 0, [1, 2], {}),
    ],
)
def test_new_numbers(
    taken: list[int], highest: int, own: list[int], changed: dict[int, int]
) -> None:
    assert new_numbers(taken, highest, own) == changed
