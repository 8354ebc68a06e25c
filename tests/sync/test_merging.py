"""Runs and experiments that two clones changed: merged key by key, or left alone on both sides."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlgit.entities import Param
from mlgit.store import names
from mlgit.store.lineage import merge_base, stands_on
from mlgit.sync.fetch import fetch
from mlgit.sync.merging import merge_commits, merge_runs
from mlgit.sync.push import push
from mlgit.sync.threeway import merge

Clone = Any  # conftest's
Pair = tuple[Clone, Clone]
Git = Callable[..., str]


def parted(clones: Pair) -> str:
    """A run that both have."""
    one, two = clones
    run = str(one.run())
    push(one.store, "origin")
    fetch(two.store, "origin")
    return run


def test_all_kinds_of_amendments_merge(clones: Pair, sound: Callable[..., None]) -> None:
    one, two = clones
    run = parted(clones)
    one.tag(run, "a", "1")
    one.store.runs.log_metric(run, "late", 0.5, 2000, 7)
    one.store.log_bytes(run, b"mine", "mine.txt")
    two.tag(run, "b", "2")
    two.store.runs.log_batch(run, params=[Param("more", "x")])
    two.store.runs.log_metric(run, "Late", 0.25, 2000, 8)
    two.store.log_bytes(run, b"yours", "yours/file.txt")
    two.store.runs.update(run, run_name="better")
    mine, yours = one.ref(run), two.ref(run)
    push(one.store, "origin")
    told = push(two.store, "origin")
    assert told.merged == told.refs == [names.run_ref("0", run)]
    fetch(one.store, "origin")
    assert one.ref(run) == two.ref(run)
    for clone in clones:
        assert clone.tags(run) == {"a": "1", "b": "2"}
        assert clone.store.runs.record(run).run_name == "better"
        found = clone.store.runs.get(run)
        assert found.data.params == {"name": "run", "more": "x"}
        assert found.data.metrics == {"m": 0.5, "late": 0.5, "Late": 0.25}
        assert [p.step for p in clone.store.runs.history(run, "m")] == [0, 1]
        assert [tuple(p) for p in clone.store.runs.history(run, "late")] == [(7, 2000, 0.5)]
        assert [tuple(p) for p in clone.store.runs.history(run, "Late")] == [(8, 2000, 0.25)]
        listed = {info.path for info in clone.store.list_artifacts(run)}
        assert listed == {"notes", "mine.txt", "yours"}
        for old in (mine, yours):
            assert stands_on(clone.store.repo, clone.ref(run), old)
    # It goes on from there as from any other commit.
    one.tag(run, "c", "3")
    push(one.store, "origin")
    assert fetch(two.store, "origin").came.forwarded
    sound(one, two, objects=False)


def test_the_same_change_twice_is_no_conflict(clones: Pair) -> None:
    one, two = clones
    run = parted(clones)
    one.tag(run, "k", "v")
    two.tag(run, "k", "v")
    push(one.store, "origin")
    assert not push(two.store, "origin").apart
    assert two.tags(run) == {"k": "v"}


def test_a_conflict_leaves_both_sides_as_they_are(clones: Pair, git: Git, there: Path) -> None:
    one, two = clones
    run, fine = parted(clones), str(one.run("fine"))
    one.tag(run, "k", "mine")
    one.tag(run, "good", "1")
    two.tag(run, "k", "yours")
    push(one.store, "origin")
    before = (one.ref(run), two.ref(run))
    more = str(two.run("more"))
    told = push(two.store, "origin")
    (apart,) = told.apart
    assert (apart.ref, apart.ours, apart.theirs) == (names.run_ref("0", run), *before[::-1])
    (clash,) = apart.clashes
    assert (clash.key, clash.base, clash.ours, clash.theirs) == ("tag k", None, "yours", "mine")
    assert (one.ref(run), two.ref(run)) == before
    assert git(there, "rev-parse", names.run_ref("0", run)) == before[0]
    assert told.refs == [names.run_ref("0", more)], "others aren't held up by it"
    assert fetch(two.store, "origin").came.apart == [apart]
    assert two.ref(fine) == one.ref(fine)
    # As the message says: set it to what it is there.
    two.tag(run, "k", "mine")
    assert push(two.store, "origin").merged
    assert two.tags(run) == {"k": "mine", "good": "1"}


def test_points_of_one_metric_on_both_sides_are_a_conflict(clones: Pair) -> None:
    one, two = clones
    run = parted(clones)
    one.store.runs.log_metric(run, "m", 9.0, 3000, 9)
    two.store.runs.log_metric(run, "m", 8.0, 3000, 9)
    push(one.store, "origin")
    (apart,) = push(two.store, "origin").apart
    assert [clash.key for clash in apart.clashes] == ["metric m"]


def test_removed_on_one_side_changed_on_the_other(clones: Pair) -> None:
    one, two = clones
    run = str(one.run())
    one.tag(run, "k", "v")
    push(one.store, "origin")
    fetch(two.store, "origin")
    one.store.runs.delete_tag(run, "k")
    two.tag(run, "other", "x")
    push(one.store, "origin")
    assert push(two.store, "origin").merged
    assert two.tags(run) == {"other": "x"}
    one.tag(run, "k", "new")
    two.tag(run, "k", "newer")
    push(one.store, "origin")
    assert push(two.store, "origin").apart


def test_one_experiment_made_twice(clones: Pair, sound: Callable[..., None]) -> None:
    one, two = clones
    ids = {
        clone.store.experiments.create("mnist", tags={name: "x"})
        for clone, name in ((one, "one"), (two, "two"))
    }
    (experiment,) = ids
    for clone in clones:
        clone.run("r", experiment)
    push(one.store, "origin")
    assert push(two.store, "origin").merged == [names.EXPERIMENTS + experiment]
    for clone in clones:
        fetch(clone.store, "origin")
    assert one.refs() == two.refs()
    assert one.store.experiments.get(experiment).tags == {"one": "x", "two": "x"}
    assert len(one.store.search_runs([experiment])) == 2
    sound(one, two, objects=False)


def test_a_merge_is_the_same_whoever_makes_it(clones: Pair, git: Git) -> None:
    one, two = clones
    run = parted(clones)
    one.tag(run, "a", "1")
    two.tag(run, "b", "2")
    mine, yours = one.ref(run), two.ref(run)
    git(one.folder, "fetch", "-q", str(two.folder), yours)
    git(two.folder, "fetch", "-q", str(one.folder), mine)
    ref = names.run_ref("0", run)
    made, _ = merge_commits(one.store.repo, ref, mine, yours)
    assert made == merge_commits(two.store.repo, ref, yours, mine)[0]
    assert made is not None
    parents = git(one.folder, "show", "-s", "--format=%P", made).split()
    assert sorted(parents) == sorted([mine, yours])
    assert merge_base(one.store.repo, mine, yours) == parents_of(git, one.folder, mine)
    # The code is as it was.
    assert (
        git(one.folder, "diff", "--name-only", mine, made) == ".mlgit/experiments/Default/run.yaml"
    )
    git(one.folder, "fsck", "--strict", "--no-dangling")


def parents_of(git: Git, folder: Path, sha: str) -> str:
    return git(folder, "show", "-s", "--format=%P", sha)


def test_a_run_that_stands_on_another_runs_commit(clones: Pair, git: Git) -> None:
    """An accepted run is code to the next one: no part of its history."""
    one, _ = clones
    first = one.run("first")
    git(one.folder, "reset", "-q", "--hard", one.ref(first))
    second = one.run("second")
    assert git(one.folder, "merge-base", "--is-ancestor", one.ref(first), one.ref(second)) == ""
    assert not stands_on(one.store.repo, one.ref(second), one.ref(first))
    assert merge_base(one.store.repo, one.ref(second), one.ref(first)) is None


def test_what_cannot_be_read_is_left_alone(clones: Pair, git: Git) -> None:
    one, two = clones
    run = parted(clones)
    one.tag(run, "a", "1")
    ref = names.run_ref("0", run)
    base = two.ref(run)
    # Somebody's own commit on the run's ref, without a record.
    tree = git(two.folder, "mktree", data=b"")
    odd = git(two.folder, "commit-tree", tree, "-p", base, "-m", "odd")
    git(two.folder, "push", "-q", "origin", f"{odd}:{ref}")
    before = one.ref(run)
    (apart,) = fetch(one.store, "origin").came.apart
    assert apart.theirs == odd and "read" in apart.clashes[0].key
    assert one.ref(run) == before


def test_runs_that_are_not_the_same_do_not_merge(clones: Pair) -> None:
    one, _ = clones
    first, second = one.ref(one.run("a")), one.ref(one.run("b"))
    with pytest.raises(Exception, match="different runs"):
        merge_runs(one.store.repo, first, second)


# -- the rule by itself

VALUES = st.dictionaries(st.sampled_from("abcd"), st.integers(0, 2), max_size=4)


@given(VALUES, VALUES, VALUES)
def test_three_ways(base: dict[str, int], ours: dict[str, int], theirs: dict[str, int]) -> None:
    merged, clashes = merge(base, ours, theirs)
    turned, others = merge(base, theirs, ours)
    assert merged == turned and {c.key for c in clashes} == {c.key for c in others}
    for key in {*base, *ours, *theirs}:
        before, mine, yours = base.get(key), ours.get(key), theirs.get(key)
        clash = mine != yours and mine != before and yours != before
        assert clash == (key in {c.key for c in clashes})
        if not clash:
            assert merged.get(key) == (yours if mine == before else mine)


@given(VALUES, VALUES)
def test_who_changed_nothing_gets_the_other_side(
    base: dict[str, int], theirs: dict[str, int]
) -> None:
    assert merge(base, base, theirs) == (theirs, [])
    assert merge(base, theirs, theirs) == (theirs, [])
