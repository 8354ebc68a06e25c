"""Names and tags: what is written reads back the same, and GTO takes it."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mlgit.git.refs import check_ref_name
from mlgit.git.tags import Tag, format_tag, parse_tag
from mlgit.registry.tags import (
    ASSIGN,
    DEREGISTER,
    REGISTER,
    UNASSIGN,
    TagName,
    format_message,
    format_name,
    parse_message,
    parse_name,
)
from mlgit.store import spelling
from mlgit.store.registry_tags import is_registry_tag

# GTO 1.10.1's own grammar of tags (gto/constants.py), spelled out.
GTO_NAME = r"[a-zA-Z0-9]([a-zA-Z0-9-/_]*[a-zA-Z0-9])?"
GTO_TAG = re.compile(
    rf"^([a-zA-Z0-9-_./]+=)?{GTO_NAME}((#{GTO_NAME}|@v\d+\.\d+\.\d+)!?|@(deprecated|created))(#\d+)?$"
)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60)
ESCAPES = st.lists(
    st.sampled_from(["_x41", "_x", "x", "_u4e2d", "_", "a", "-", "X_x5f"]), min_size=1
)
NAMES = TEXT | ESCAPES.map("".join)


@pytest.mark.parametrize(
    ("name", "spelled"),
    [
        ("fraud", "fraud"),
        ("Ecommerce-Model", "Ecommerce-Model"),
        ("my_uplift", "my_uplift"),
        ("Ecommerce Model", "Ecommerce_x20Model"),
        ("resnet-1.5", "resnet-1_x2e5"),
        ("größe", "gr_xf6_xdfe"),
        ("模型", "x_u6a21_u578b"),
        ("_private", "x_x5fprivate"),
        ("a_x20b", "a_x5fx20b"),
        ("a_x41", "a_x41"),
        ("team:nlp/segment", "team=nlp/segment"),
        ("🦆", "x_U01f986"),
    ],
)
def test_the_examples_of_the_format(name: str, spelled: str) -> None:
    assert spelling.spell(name) == spelled
    assert spelling.read(spelled) == name


@given(NAMES)
@example("x_x41")
@example("x_x78_x41")
@example("x ")
@example("a=b")
@example("a:b:c")
@example("-")
def test_a_name_reads_back(name: str) -> None:
    spelled = spelling.spell(name)
    assert re.match(rf"^([a-zA-Z0-9-_./]+=)?{GTO_NAME}$", spelled)
    assert len(spelled) <= 160
    if not spelling.is_cut(spelled):
        assert spelling.read(spelled) == name


@given(NAMES, NAMES)
def test_two_names_have_two_spellings(first: str, second: str) -> None:
    assert (spelling.spell(first) == spelling.spell(second)) == (first == second)


@given(st.from_regex(rf"\A(?:[a-zA-Z0-9_./-]+=)?{GTO_NAME}\Z").filter(lambda s: len(s) <= 160))
@example("x_x20")
@example("a_xff")
def test_a_spelling_of_gtos_is_the_one_of_its_name(spelled: str) -> None:
    assert spelling.spell(spelling.read(spelled)) == spelled


def test_a_long_name_is_cut_and_still_its_own() -> None:
    first, second = "模" * 60, "模" * 61
    assert len(spelling.spell(first)) <= 160
    assert spelling.is_cut(spelling.spell(first))
    assert spelling.spell(first) != spelling.spell(second)


KEYS = NAMES.map(spelling.spell)
COUNTS = st.integers(0, 10**6)
TAG_NAMES = st.one_of(
    st.builds(
        TagName,
        KEYS,
        st.sampled_from([REGISTER, DEREGISTER]),
        version=st.tuples(COUNTS, COUNTS, COUNTS).map(lambda v: ".".join(map(str, v))),
        count=COUNTS,
    ),
    st.builds(TagName, KEYS, st.sampled_from([ASSIGN, UNASSIGN]), alias=KEYS.filter(lambda k: "=" not in k), count=COUNTS),
    st.builds(TagName, KEYS, st.sampled_from(["created", "deprecated"]), count=COUNTS),
)  # fmt: skip


@given(TAG_NAMES)
def test_a_tags_name_reads_back(name: TagName) -> None:
    text = format_name(name)
    assert parse_name(text) == name
    assert GTO_TAG.match(text)
    assert is_registry_tag("refs/tags/" + text), "sync moves it"


@given(st.text(st.sampled_from("ab@#!v1.0/=-_x2é "), max_size=16))
def test_what_parses_is_gtos(text: str) -> None:
    name = parse_name(text)
    assert (name is not None) == bool(GTO_TAG.match(text) and _numbers_are_plain(text))
    if name is not None:
        assert format_name(name) == text.replace("#0", "") or name.count


def _numbers_are_plain(text: str) -> bool:
    """No leading zeros: GTO takes them in counts, and nobody writes them."""
    return not re.search(r"(?:@v|\.)0\d|#0\d*$", text) or text.endswith("#0")


@pytest.mark.parametrize("name", ["m@v1.0.0", "m#production#3", "a/b=c#x!#4"])
def test_git_takes_them(name: str) -> None:
    assert check_ref_name("refs/tags/" + name)


VALUES = st.recursive(
    st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1) | st.integers(0, 99),
    lambda inner: st.dictionaries(st.from_regex(r"\A[a-z_]{1,8}\Z"), inner, min_size=1, max_size=3),
    max_leaves=6,
)


@given(st.dictionaries(st.from_regex(r"\A[a-z_]{1,12}\Z"), VALUES, max_size=6))
def test_a_message_reads_back(message: dict[str, object]) -> None:
    message.pop("format", None)
    assert parse_message(format_message(message), "t") == {"format": 1, **message}


@given(st.text(max_size=200))
def test_any_message_is_read(text: str) -> None:
    found = parse_message(text, "t")
    assert "format" in found or set(found) <= {"reason"}


@given(
    st.builds(
        Tag,
        st.from_regex(r"\A[0-9a-f]{40}\Z"),
        st.just("commit"),
        st.just("m@v1.0.0"),
        st.just("Ada <ada@example.com> 1700000000 +0000"),
        st.text(st.characters(exclude_categories=["Cs"])).filter(lambda t: "-----BEGIN" not in t),
        st.sampled_from(["", "-----BEGIN SSH SIGNATURE-----\nabc\n-----END SSH SIGNATURE-----\n"]),
    )
)
def test_a_tag_object_reads_back(tag: Tag) -> None:
    if tag.signature and not tag.message.endswith("\n"):
        tag = Tag(tag.target, tag.kind, tag.name, tag.tagger, tag.message + "\n", tag.signature)
    assert parse_tag(format_tag(tag)) == tag
    assert (tag.time, tag.person) == (1700000000, "Ada <ada@example.com>")
