"""What a person's words for a revision mean."""

from __future__ import annotations

import os
import re
from typing import Any

import pytest

from mlgit.exceptions import InvalidParameterValue, MlgitException, ResourceDoesNotExist
from mlgit.git.commits import Commit, format_commit
from mlgit.review.ancestry import merge_base
from mlgit.review.revisions import resolve, resolve_pair


def pair(place: Any, *arguments: str) -> tuple[str | None, str | None]:
    return tuple(r.run_id or r.commit for r in resolve_pair(place.store, arguments))  # type: ignore[return-value]


def test_ways_to_name_a_run(place: Any) -> None:
    first = place.run("brave otter")
    second = place.run("calm-lynx")
    for text in (first, first[:12], "brave otter", "@{1}", f"refs/mlgit/runs/0/{first}"):
        found = resolve(place.store, text)
        assert (found.kind, found.run_id) == ("run", first), text
    assert resolve(place.store, " @{0} ").run_id == second
    assert found.commit == place.commit_of(first)
    assert found.tree is not None and len(found.records) == 1


def test_ways_to_name_a_commit(place: Any) -> None:
    one = place.git("rev-parse", "HEAD")
    two = place.commit("two")
    place.git("tag", "light", one)
    place.git("tag", "-a", "-m", "x", "heavy", one)
    place.git("branch", "topic/x", one)
    place.git("update-ref", "refs/remotes/origin/main", one)
    place.git("symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/main")
    heavy = place.git("rev-parse", "heavy")
    names = "HEAD~1 HEAD^ HEAD~ HEAD^1 @^ main~1 light heavy heavy^0 topic/x origin/main origin "
    names += f"refs/tags/light refs/heads/topic/x {one} {one[:7]} {heavy} {heavy[:8]} main^0~1"
    for text in names.split():
        found = resolve(place.store, text)
        assert (found.kind, found.commit, found.run_id) == ("commit", one, None), text
    for text in ("HEAD", "@", "main", two):
        assert resolve(place.store, text).commit == two


def test_second_parents(place: Any) -> None:
    place.git("checkout", "-q", "-b", "side")
    side = place.commit("side")
    place.git("checkout", "-q", "main")
    place.commit("main")
    place.git("merge", "-q", "--no-ff", "-m", "merge", "side")
    assert resolve(place.store, "HEAD^2").commit == side
    with pytest.raises(ResourceDoesNotExist, match="no parent number 3"):
        resolve(place.store, "HEAD^3")
    with pytest.raises(ResourceDoesNotExist, match="has no parent"):
        resolve(place.store, "HEAD~999999999")


def test_a_runs_parent_is_its_code(place: Any) -> None:
    head = place.git("rev-parse", "HEAD")
    run_id = place.run("r")
    assert resolve(place.store, "r^").commit == head
    before = place.commit_of(run_id)
    place.store.runs.set_tag(run_id, "late", "1")
    found = resolve(place.store, f"{run_id}^")
    assert found.commit == before and found.run_id == run_id and found.kind == "commit"
    assert "late" not in found.records[0].load()[0].tags
    assert resolve(place.store, "@{0}~2").commit == head


def test_an_accepted_run(place: Any) -> None:
    run_id = place.run("r", params={"x": "1"})
    place.git("merge", "-q", "--ff-only", place.commit_of(run_id))
    found = resolve(place.store, "main")
    assert (found.kind, found.run_id) == ("commit", run_id)
    assert found.records[0].load()[0].params == {"x": "1"}
    place.commit("on top")
    above = resolve(place.store, "main")
    assert above.run_id is None and above.records[0].load()[0].run_id == run_id


def test_a_message_copied_to_a_commit_without_the_record(place: Any) -> None:
    run_id = place.run("r")
    message = place.git("log", "-1", "--format=%B", place.commit_of(run_id))
    place.commit(message)
    found = resolve(place.store, "HEAD")
    assert found.run_id is None and found.records == ()


def test_the_worktree(place: Any) -> None:
    before = resolve(place.store, "HEAD")
    clean = resolve(place.store, "worktree")
    assert clean.kind == "worktree" and clean.tree == before.tree
    assert clean.commit == before.commit
    place.write("train.py", "other\n")
    index = (place.path / ".git/index").read_bytes()
    assert resolve(place.store, "worktree").tree != before.tree
    assert (place.path / ".git/index").read_bytes() == index
    assert resolve(place.store, "worktree^0").tree == before.tree


def test_bare_and_unborn(bare: Any) -> None:
    with pytest.raises(ResourceDoesNotExist, match="bare"):
        resolve(bare.store, "worktree")
    with pytest.raises(ResourceDoesNotExist, match="HEAD has no commit"):
        resolve(bare.store, "HEAD")
    bare.run("r")
    assert resolve(bare.store, "r").tree is None
    with pytest.raises(ResourceDoesNotExist, match="has no parent"):
        resolve(bare.store, "r^")


# -- which of several it is


def test_a_branch_wins_over_a_runs_name(place: Any) -> None:
    run_id = place.run("main")
    assert resolve(place.store, "main").kind == "commit"
    assert resolve(place.store, run_id).run_id == run_id


def test_a_runs_id_wins_over_a_branch(place: Any) -> None:
    run_id = place.run("r")
    place.git("branch", run_id)
    assert resolve(place.store, run_id).kind == "run"


def test_a_runs_name_wins_over_the_beginning_of_ids(place: Any) -> None:
    commit = place.git("rev-parse", "HEAD")
    run_id = place.run(commit[:6])
    assert resolve(place.store, commit[:6]).run_id == run_id
    other = place.run("other")
    named = place.run(other[:1])
    assert resolve(place.store, other[:1]).run_id == named
    assert resolve(place.store, commit[:8]).commit == commit


def test_names_that_look_like_steps(place: Any) -> None:
    run_id = place.run("v1~2")
    assert resolve(place.store, "v1~2").run_id == run_id


def test_tag_and_branch_of_one_name(place: Any) -> None:
    place.git("tag", "both")
    place.git("branch", "both")
    assert resolve(place.store, "both").kind == "commit"  # the same commit: no question
    place.commit("two")
    place.git("branch", "-f", "both")
    with pytest.raises(InvalidParameterValue) as error:
        resolve(place.store, "both")
    assert "refs/tags/both" in str(error.value) and "refs/heads/both" in str(error.value)
    assert resolve(place.store, "refs/heads/both").commit == place.git("rev-parse", "main")


def test_several_runs_of_one_name(place: Any) -> None:
    ids = [place.run("twin") for _ in range(2)]
    with pytest.raises(InvalidParameterValue) as error:
        resolve(place.store, "twin")
    assert all(run_id in str(error.value) for run_id in ids)


def test_a_run_and_a_commit_that_begin_alike(place: Any) -> None:
    run_id = place.run("r")
    tree = place.git("rev-parse", "HEAD^{tree}")
    objects = place.store.repo.objects
    for n in range(10_000_000):
        commit = Commit(tree, (), f"a <a> {n} +0000", f"a <a> {n} +0000", "x\n")
        from mlgit.git import object_id

        data = format_commit(commit)
        if object_id("commit", data).startswith(run_id[:4]):
            sha = objects.write("commit", data)
            break
    with pytest.raises(InvalidParameterValue) as error:
        resolve(place.store, run_id[:4])
    assert re.search(f"run +{run_id}", str(error.value))
    assert re.search(f"commit +{sha}", str(error.value))


@pytest.mark.parametrize(
    "text",
    ["", "  ", "^", "~1", "nothing", "@{99}", "@{99999999999999999999}", "@{-1}", "abc", "f" * 40]
    + ["main@{1}", "HEAD:train.py", "../../etc/passwd", "refs/../HEAD", "a\x00b", "\udcff", "-x"]
    + ["refs/heads", "refs/mlgit/runs/0/nope", "HEAD^{tree}", "a b", "%", "_", "ORIG_HEAD"],
)
def test_what_means_nothing(place: Any, text: str) -> None:
    with pytest.raises((ResourceDoesNotExist, InvalidParameterValue)):
        resolve(place.store, text)


def test_a_tree_or_blob_is_no_revision(place: Any) -> None:
    blob = place.git("rev-parse", "HEAD:train.py")
    with pytest.raises(ResourceDoesNotExist):
        resolve(place.store, blob)
    with pytest.raises(ResourceDoesNotExist):
        resolve(place.store, blob[:10])


# -- two of them


def test_ranges(place: Any) -> None:
    one = place.git("rev-parse", "HEAD")
    place.git("checkout", "-q", "-b", "topic")
    topic = place.commit("topic")
    place.git("checkout", "-q", "main")
    main = place.commit("main")
    assert pair(place, "main", "topic") == (main, topic)
    assert pair(place, "main..topic") == (main, topic)
    assert pair(place, "topic..") == (topic, main)
    assert pair(place, "..topic") == (main, topic)
    assert pair(place, "main...topic") == (one, topic)
    assert pair(place, "topic...") == (one, main)
    run_id = place.run("r")
    assert pair(place, "topic...r") == (one, run_id)
    assert pair(place, "main...worktree") == (main, main)
    with pytest.raises(InvalidParameterValue, match="not more"):
        resolve_pair(place.store, ["a", "b", "c"])
    with pytest.raises(ResourceDoesNotExist):
        resolve_pair(place.store, ["main..nothing"])


def test_no_common_history(place: Any) -> None:
    place.git("checkout", "-q", "--orphan", "island")
    place.commit("island")
    with pytest.raises(InvalidParameterValue, match="no commit in common"):
        resolve_pair(place.store, ["main...island"])


def test_merge_bases_are_gits(place: Any) -> None:
    """On a history with criss-cross merges, the base is one that Git names."""
    import random

    dice = random.Random(3)
    tree = place.git("rev-parse", "HEAD^{tree}")
    objects = place.store.repo.objects
    made: list[str] = []
    for n in range(60):
        parents = tuple(dict.fromkeys(dice.sample(made[-6:], min(len(made[-6:]), 2))))
        when = f"a <a@b> {1000 + n // 3} +0000"
        made.append(
            objects.write("commit", format_commit(Commit(tree, parents, when, when, "x\n")))
        )
    for _ in range(60):
        a, b = dice.choice(made), dice.choice(made)
        try:
            expected = place.git("merge-base", "--all", a, b).split()
        except Exception:
            expected = []
        if expected:
            assert merge_base(place.store.repo, a, b) in expected
        else:
            with pytest.raises(InvalidParameterValue):
                merge_base(place.store.repo, a, b)


def test_merge_base_in_a_shallow_clone(place: Any, tmp_path: Any) -> None:
    for n in range(3):
        place.commit(str(n))
    from mlgit.git import Repository

    place.git(
        "clone", "-q", "--depth", "2", f"file://{place.path}", os.fspath(tmp_path / "shallow")
    )
    repo = Repository.open(os.fspath(tmp_path / "shallow"))
    head = place.git("rev-parse", "HEAD")
    assert merge_base(repo, head, place.git("rev-parse", "HEAD~1")) == place.git(
        "rev-parse", "HEAD~1"
    )


def test_what_is_compared_by_default(place: Any) -> None:
    with pytest.raises(ResourceDoesNotExist, match="no finished run"):
        resolve_pair(place.store, [])
    with pytest.raises(ResourceDoesNotExist, match="no finished run"):
        resolve_pair(place.store, ["HEAD"])
    first = place.run("first")
    with pytest.raises(ResourceDoesNotExist, match="only finished run") as error:
        resolve_pair(place.store, [])
    assert f"{first[:8]}^" in error.value.hint
    second = place.run("second")
    other = place.store.experiments.create("other")
    lonely = place.run("lonely", experiment=other)
    third = place.run("third")
    place.run("failed", status="FAILED")
    going = place.run("going", finish=False)
    head = place.git("rev-parse", "HEAD")
    assert pair(place) == (second, third)
    assert pair(place, "first") == (first, third)
    assert pair(place, "third") == (second, third)
    assert pair(place, "failed")[1] == third
    assert pair(place, "HEAD") == (head, third)
    assert pair(place, "going") == (going, third)
    with pytest.raises(ResourceDoesNotExist, match="only finished run"):
        resolve_pair(place.store, ["lonely"])
    assert pair(place, "lonely", "third") == (lonely, third)
    place.store.runs.finish(going, "FINISHED")


def test_every_error_has_a_message_for_people(place: Any) -> None:
    with pytest.raises(MlgitException) as error:
        resolve(place.store, "nothing")
    assert error.value.hint and "'nothing'" in error.value.message
