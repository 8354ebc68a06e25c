"""Expressions as text again: what is shown reads back as what was meant."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlgit.store.filter_text import comparisons, node_text
from mlgit.store.filters import And, Comparison, Node, Not, Or, parse_filter

KEYS = st.sampled_from(["a", "val/loss", "in-2024", "with space", 'with "quotes"', "größe"])
TEXTS = st.text(st.sampled_from("ab' %_ü\n"), max_size=5) | st.just('with "quotes"')


@st.composite
def leaves(draw: st.DrawFn) -> Comparison:
    kind = draw(st.sampled_from(["metric", "param", "tag", "attribute", "dataset"]))
    key = draw(KEYS)
    if kind == "attribute":
        key = draw(st.sampled_from(["status", "run_name"]))
    if kind == "dataset":
        key = draw(st.sampled_from(["name", "digest"]))
    op = draw(st.sampled_from(["=", "!=", "IS NULL", "IS NOT NULL"]))
    value: Any = None
    if op in ("=", "!="):
        numbers = st.integers(-(2**62), 2**62) | st.floats(allow_nan=False, allow_infinity=False)
        value = draw(numbers if kind == "metric" else TEXTS)
    elif kind != "metric" and draw(st.booleans()):
        op, value = "NOT IN", tuple(draw(st.lists(TEXTS, min_size=1, max_size=3)))
    return Comparison(kind, key, op, value, 0)


NODES: st.SearchStrategy[Node] = st.recursive(
    leaves(),
    lambda inner: (
        st.builds(Not, inner)
        | st.builds(And, st.lists(inner, min_size=2, max_size=3).map(tuple))
        | st.builds(Or, st.lists(inner, min_size=2, max_size=3).map(tuple))
    ),
    max_leaves=6,
)


def plain(node: Node | None) -> Any:
    """Without positions."""
    if isinstance(node, Comparison):
        return node.kind, node.key, node.op, node.value
    if isinstance(node, Not):
        return "not", plain(node.term)
    assert node is not None
    return type(node).__name__, [plain(term) for term in node.terms]


@given(NODES)
def test_what_is_shown_is_what_was_meant(node: Node) -> None:
    assert plain(parse_filter(node_text(node))) == plain(node)
    assert len(comparisons(node)) == len(re.findall("Comparison", repr(node)))


@pytest.mark.parametrize(
    "text",
    ["metrics.loss < 1 AND (params.a = 'b' OR NOT (tags.c IS NULL))", "params.n IN ('a', \"b'c\")"],
)
def test_the_usual_form_is_kept(text: str) -> None:
    node = parse_filter(text)
    assert node is not None and node_text(node) == text
