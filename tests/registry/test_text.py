"""``model.yaml``: what is written reads back, and what two clones changed is merged."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlgit import MlgitClient
from mlgit.exceptions import CorruptData, Unsupported
from mlgit.git import Repository
from mlgit.registry.text import (
    ModelText,
    VersionText,
    flat,
    format_text,
    key_of,
    parse_text,
    read_text,
    ref_of,
    unflat,
    write_text,
)
from mlgit.sync.merging import merge_commits

WORDS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
TAGS = st.dictionaries(WORDS, st.text(st.characters(exclude_categories=["Cs"])), max_size=3)
TIMES = st.none() | st.integers(0, 2 * 10**12)
# Keys of a later version of mlgit.
OTHERS = st.dictionaries(st.sampled_from(["owner", "later"]), WORDS, max_size=2)
TEXTS = st.builds(
    ModelText,
    WORDS,
    st.sampled_from(["active", "deleted"]),
    TIMES,
    TIMES,
    TIMES,
    st.none() | WORDS,
    TAGS,
    st.dictionaries(st.integers(1, 9), st.builds(VersionText, st.none() | WORDS, TAGS, TIMES, OTHERS), max_size=3),
    OTHERS,
)  # fmt: skip


@given(TEXTS)
def test_a_text_reads_back(text: ModelText) -> None:
    assert parse_text(format_text(text), "model.yaml") == text


@given(TEXTS)
def test_a_text_is_made_again_from_its_keys(text: ModelText) -> None:
    made = unflat(flat(text))
    assert flat(made) == flat(text)
    assert (made.name, made.tags, made.versions.keys()) == (
        text.name,
        text.tags,
        text.versions.keys(),
    )


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"", CorruptData),
        (b"format: 2\nname: m\n", Unsupported),
        (b"format: 1\n", CorruptData),
        (b"format: 1\nname: 3\n", CorruptData),
        (b"format: 1\nname: m\ntags: text\n", CorruptData),
        (b"format: 1\nname: m\ndescription: [a]\n", CorruptData),
        (b"format: 1\nname: m\nversions:\n  one:\n    description: a\n", CorruptData),
        (b'format: 1\nname: m\nversions:\n  "1": text\n', CorruptData),
        (b"format: 1\nname: m\ncreation_time: yesterday\n", CorruptData),
        (b"\xff", CorruptData),
    ],
)
def test_what_is_no_text_is_refused(data: bytes, error: type[Exception]) -> None:
    with pytest.raises(error):
        parse_text(data, "model.yaml")


@pytest.mark.parametrize("key", ["m", "a/b", "team=nlp/x", "a_x20b"])
def test_keys_and_refs(key: str) -> None:
    assert key_of(ref_of(key)) == key
    assert "/" not in ref_of(key).removeprefix("refs/mlgit/registry/")


def test_what_two_clones_changed_is_merged(in_repo: Path, client: MlgitClient) -> None:
    repo = Repository.discover(str(in_repo))
    ref = "refs/mlgit/registry/m"
    client.create_registered_model("m", {"team": "risk"})
    client.create_model_version("m", "s3://b/1")
    base = str(repo.refs.read(ref))
    client.set_registered_model_tag("m", "stage", "beta")
    client.set_model_version_tag("m", 1, "ours", "yes")
    ours = str(repo.refs.read(ref))
    theirs_text = read_text(repo, base)
    theirs_text.description = "described"
    theirs_text.versions[1] = VersionText(None, {"theirs": "yes"}, 5)
    repo.refs.update(ref, base)
    theirs = write_text(repo, "m", theirs_text, base, "theirs", 0)
    made, clashes = merge_commits(repo, ref, ours, theirs)
    assert clashes == [] and made is not None
    assert merge_commits(repo, ref, theirs, ours)[0] == made, "the same whoever makes it"
    found = read_text(repo, made)
    assert (found.description, found.tags) == ("described", {"team": "risk", "stage": "beta"})
    assert found.versions[1].tags == {"ours": "yes", "theirs": "yes"}
    repo.refs.update(ref, made)
    assert client.get_model_version("m", 1).tags == {"ours": "yes", "theirs": "yes"}


def test_a_model_made_by_two_clones_is_one(in_repo: Path, client: MlgitClient) -> None:
    repo = Repository.discover(str(in_repo))
    texts = [ModelText("m", creation_time=at, last_update_time=at) for at in (2000, 1000)]
    sides = []
    for text in texts:
        sides.append(write_text(repo, "m", text, None, "made", 0))
        repo.refs.delete("refs/mlgit/registry/m")
    made, clashes = merge_commits(repo, "refs/mlgit/registry/m", *sides)
    assert made is not None and clashes == []
    found = read_text(repo, made)
    assert (found.creation_time, found.last_update_time) == (1000, 2000)


def test_what_does_not_go_together_is_told(in_repo: Path, client: MlgitClient) -> None:
    repo = Repository.discover(str(in_repo))
    sides = []
    for description in ("one", "two"):
        sides.append(
            write_text(repo, "m", ModelText("m", description=description), None, "made", 0)
        )
        repo.refs.delete("refs/mlgit/registry/m")
    made, (clash,) = merge_commits(repo, "refs/mlgit/registry/m", *sides)
    assert made is None
    assert (clash.key, clash.ours, clash.theirs) == ("field description", "one", "two")
