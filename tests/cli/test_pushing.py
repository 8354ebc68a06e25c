"""``--push`` of commands that write tags, and what ``push``, ``fetch`` and ``status`` tell of them."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from team import Member, clone, remote

from mlgit.sync.push import push

Run = Callable[..., Any]


@pytest.fixture
def people(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Member, Member]]:
    """Ada and Bob, who have version 1 of m; the test stands in Bob's clone."""
    there = remote(tmp_path)
    for name in ("AUTHOR_NAME", "AUTHOR_EMAIL", "COMMITTER_NAME", "COMMITTER_EMAIL"):
        monkeypatch.delenv(f"GIT_{name}")
    ada, bob = clone(tmp_path, there, "Ada"), clone(tmp_path, there, "Bob")
    ada.register("m")
    push(ada.store, "origin")
    monkeypatch.chdir(bob.folder)
    yield ada, bob
    for member in (ada, bob):
        member.store.close()


def tags_there(tmp_path: Path) -> list[str]:
    done = subprocess.run(
        ["git", "tag"], cwd=tmp_path / "there.git", capture_output=True, text=True, check=True
    )
    return done.stdout.split()


def test_register_and_push(people: tuple[Member, Member], run: Run, tmp_path: Path) -> None:
    ada, bob = people
    run("fetch")
    first, second = bob.run("first"), bob.run("second")
    done = run("models", "register", f"{first}:model", "m", "--push")
    assert done.stdout == "Registered version 2 of m: tag m@v2.0.0\n"
    assert "Pushed 2 refs to origin" in done.stderr
    run("models", "register", f"{second}:model", "m")
    ada.register("n")
    push(ada.store, "origin")  # brings nothing: Ada's 2 is made without Bob's
    assert ada.register("m") == 2
    ada.registry.set_alias("m", "champion", 2)
    done = run(
        "-C", str(ada.folder), "promote", "m@2", "--to", "production", "--push=origin", "--json"
    )
    told = json.loads(done.stdout)
    assert told["pushed"]["renumbered"] == [{"model": "m", "from": 2, "to": 3, "holder": "Bob"}]
    assert done.stderr.splitlines()[0] == "m: your version 2 is version 3 now; version 2 is Bob's"
    register = ("models", "register", f"{second}:model", "m", "--push", "--json")
    done = run("-C", str(bob.folder), *register)
    told = json.loads(done.stdout)
    assert told["version"] == 5 and told["tag"] == "m@v5.0.0", told
    assert [(r["from"], r["to"]) for r in told["pushed"]["renumbered"]] == [(3, 4), (4, 5)]
    assert tags_there(tmp_path) == [
        "m#champion#1", "m#production#2", "m@v1.0.0", "m@v2.0.0", "m@v3.0.0", "m@v4.0.0",
        "m@v5.0.0", "n@v1.0.0",
    ]  # fmt: skip


def test_every_command_that_writes_tags_pushes(
    people: tuple[Member, Member], run: Run, tmp_path: Path
) -> None:
    ada, bob = people
    run("fetch")
    run("promote", "m", "--to", "production", "--push")
    run("models", "register", f"{bob.run()}:model", "m", "--push")
    run("promote", "m@2", "--to", "production", "--dry-run", "--push")
    assert "m#production#2" not in tags_there(tmp_path)
    run("promote", "m@2", "--to", "production", "--push")
    run("rollback", "m", "production", "--push")
    run("demote", "m", "--from", "production", "--push")
    run("models", "delete", "m@2", "--yes", "--push")
    local = sorted(ref.removeprefix("refs/tags/") for ref in bob.tags())
    assert sorted(tags_there(tmp_path)) == local and "m@v2.0.0!" in local
    assert "m#production!#4" in local
    run("models", "delete", "m", "--yes", "--push")
    run("-C", str(ada.folder), "fetch")
    assert ada.registry.search_models() == []


def test_no_renumber(people: tuple[Member, Member], run: Run, tmp_path: Path) -> None:
    ada, bob = people
    run("fetch")
    ada.register("m")
    push(ada.store, "origin")
    done = run("models", "register", f"{bob.run()}:model", "m", "--push", "--no-renumber", code=4)
    assert (
        "It is done in this clone, and not pushed: m: your version 2 isn't the one" in done.stderr
    )
    assert "hint: mlgit push, where renumbering is allowed, makes yours version 3" in done.stderr
    for command in ("push", "fetch", "pull"):
        done = run(command, "--no-renumber", "--json", code=1)
        (held,) = json.loads(done.stdout)["held_back"]
        assert held["model"] == "m"
        assert "your version 2" in run(command, "--no-renumber", code=1).stderr
    done = run("push")
    assert "m: your version 2 is version 3 now; version 2 is Ada's" in done.stderr
    assert "registry tag" in done.stdout
    done = run("models", "register", f"{bob.run()}:model", "m", "--no-renumber", code=2)
    assert "--no-renumber is about --push" in done.stderr


def test_fetch_tells_what_came_first(people: tuple[Member, Member], run: Run) -> None:
    ada, bob = people
    run("fetch")
    for member in people:
        member.registry.transition("m", member.register("m"), "Production")
    push(ada.store, "origin")
    done = run("fetch", "--dry-run")
    assert "m: your version 2 is version 3 now" in done.stderr
    done = run("pull")
    assert done.stderr.splitlines()[:2] == [
        "m: your version 2 is version 3 now; version 2 is Ada's",
        "m: your m#production#1 is m#production#2 now, after what others did meanwhile: "
        "version 3 takes the place of version 2, by Ada",
    ]
    shown = run("status").stdout
    assert (
        "not pushed to origin, as far as is known: 2 registry tags (m#production#2, m@v3.0.0)"
        in shown
    )
    unpushed = json.loads(run("status", "--json").stdout)["unpushed_registry"]
    assert [row["ref"] for row in unpushed] == [
        "refs/tags/m@v3.0.0",
        "refs/tags/m#production#2",
    ] or [row["ref"] for row in unpushed] == ["refs/tags/m#production#2", "refs/tags/m@v3.0.0"]
    run("push")
    assert "registry tag" not in run("status").stdout


def test_a_refused_push(people: tuple[Member, Member], run: Run, tmp_path: Path) -> None:
    run("fetch")
    hook = tmp_path / "there.git/hooks/pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(
        "#!/bin/sh\necho 'GitLab: You are not allowed to create this tag as it is protected.' >&2; exit 1\n"
    )
    hook.chmod(0o755)
    done = run("promote", "m", "--to", "production", "--push", code=7)
    assert "not pushed: The host protects m#production#1" in done.stderr
    assert "it says: GitLab: You are not allowed" in done.stderr and "hint: who may" in done.stderr
    done = run("push", code=1)
    assert "The host protects m#production#1" in done.stderr
    done = run("promote", "m", "--to", "staging", "--push", "nowhere", code=3)
    assert "It is done in this clone" in done.stderr


def test_replayed_promotions_are_what_they_were(people: tuple[Member, Member], run: Run) -> None:
    """What goes with a promotion, and what a rollback restores, is found under its new name."""
    ada, bob = people
    run("fetch")
    rules = "format: 1\npromotion:\n  m:\n    production:\n      who: ['*@example.com']\n"
    (bob.folder / ".mlgit").mkdir()
    (bob.folder / ".mlgit/config.yaml").write_text(rules)
    ada.registry.transition("m", 1, "Production")
    push(ada.store, "origin")
    bob.register("m")
    for version in ("m@1", "m@2"):
        run("promote", version, "--to", "production", "--archive-existing")
    run("promote", "m@2", "--to", "champion")
    run("promote", "m@1", "--to", "champion")
    run("rollback", "m", "champion")
    run("push")
    run("registry", "check")
    messages = {e.tag: e.message for e in bob.registry.history("m")}
    for tag, message in messages.items():
        for key in ("because", "restores", "previous"):
            assert message.get(key, tag) in messages, (tag, key)
    restored = [m["restores"] for m in messages.values() if "restores" in m]
    assert restored == ["m#champion#6"] and messages["m#champion#6"]["version"] == 2
    because = {m["because"] for m in messages.values() if "because" in m}
    assert because == {"m#production#3"}
    assert bob.registry.by_alias("m", "champion").version == 2


def test_what_was_pushed_is_told_where_the_texts_do_not_go_together(
    people: tuple[Member, Member], run: Run, tmp_path: Path
) -> None:
    ada, bob = people
    run("fetch")
    for member, text in ((ada, "Ada's"), (bob, "Bob's")):
        member.register("m")
        member.registry.update_model("m", text)
    push(ada.store, "origin")
    done = run("promote", "m@2", "--to", "production", "--push", code=4)
    assert "m: your version 2 is version 3 now; version 2 is Ada's" in done.stderr
    assert "Pushed 3 refs to origin" in done.stderr
    assert "It is done in this clone, and pushed but in part: refs/mlgit/registry/m" in done.stderr
    assert tags_there(tmp_path) == ["m#production#1", "m@v1.0.0", "m@v2.0.0", "m@v3.0.0"]


def test_a_remote_that_does_not_answer(people: tuple[Member, Member], run: Run) -> None:
    run("fetch")
    done = run("promote", "m", "--to", "x", "--push", "git://127.0.0.1:9/nobody.git", code=8)
    assert "It is done in this clone, and not pushed: Can't list the refs of" in done.stderr
