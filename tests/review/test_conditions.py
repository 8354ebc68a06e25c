"""Conditions of ``mlgit report --fail-if``."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlgit.exceptions import FilterError
from mlgit.review.conditions import Condition, Outcome, Values

VALUES = Values(
    {
        "": {"acc": 0.9, "val/loss": 0.5, "a.b": 2.0, "nan": math.nan, "inf": math.inf},
        "base.": {"acc": 0.93},
    },
    {"": {"lr": "0.1", "opt": "adam"}, "base.": {"opt": "sgd"}},
)


def check(text: str) -> Outcome:
    return Condition(text).check(VALUES)


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("metrics.acc < base.metrics.acc - 0.005", True),
        ("metrics.acc<base.metrics.acc-0.05", False),
        ('metrics.`val/loss` >= 0.5 and metrics."val/loss" = .5', True),
        ("metrics.a.b == 2", True),
        ("metrics.inf > 1e308", True),
        ("params.lr * 10 = 1", True),
        ("params.opt != base.params.opt", True),
        ("params.opt = 'adam' AND NOT params.opt = \"sgd\"", True),
        ("not not (1 < 2)", True),
        ("1 + 2 * 3 - 4 / 2 = 5", True),
        ("8 / 2 / 2 = 2 and 1 - 1 - 1 = -1", True),
        ("-(1 + 1) = - 2", True),
        ("(1 < 2 or 1 > 2) and 2 < 1", False),
        ("1 > 2 or 2 > 1 and 1 > 2", False),
        ("--1 = 1", True),
    ],
)
def test_what_holds(text: str, holds: bool) -> None:
    assert check(text).holds is holds
    assert not check(text).problem


def test_the_numbers_are_told() -> None:
    found = check("metrics.acc < base.metrics.acc - 0.005")
    assert found.told == ("metrics.acc = 0.9", "base.metrics.acc = 0.93")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("metrics.none < 1", "there is no metrics.none: it wasn't logged"),
        ("1 < 2 or base.metrics.none < 1", "no base.metrics.none"),
        ("1 > 2 and params.none = 'x'", "no params.none"),
        (
            "metrics.none < metrics.more",
            "no metrics.none: it wasn't logged; there is no metrics.more",
        ),
        ("metrics.nan < 1", "metrics.nan is NaN"),
        ("metrics.inf - metrics.inf < 1", "NaN"),
        ("1 / (1 - 1) < 1", "divides by zero"),
        ("params.opt < 1", "'adam' isn't a number"),
        ("params.opt < 'b'", "isn't a number"),
        ("params.opt + 1 = 1", "isn't a number"),
    ],
)
def test_what_can_not_be_told(text: str, problem: str) -> None:
    found = check(text)
    assert found.holds is None and problem in found.problem


def test_a_side_without_a_run() -> None:
    values = Values({"": {"a": 1.0}, "base.": {}}, {"": {}, "base.": {}}, {"base.": "no run"})
    found = Condition("metrics.a < base.metrics.a").check(values)
    assert found.problem == "there is no base.metrics.a: no run"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "   ",
        "metrics.acc",
        "1",
        "1 < 2 < 3",
        "1 < 2 + (3 < 4)",
        "-(1 < 2) = 1",
        "1 and 2",
        "not 1",
        "(1 < 2",
        "1 < 2)",
        "1 <",
        "< 1",
        "metrics. < 1",
        "metric.acc < 1",
        "metrics.acc < 'x",
        "1 < 2 or",
        "__import__('os')",
        "acc < 1",
        "1 < 2; 3 < 4",
        "1x < 2",
        "(" * 60 + "1 < 2" + ")" * 60,
        "1 < 2 and " * 500 + "1 < 2",
        "1 ** 2 < 2",
        "metrics.val-acc.x < 1",
    ],
)
def test_what_does_not_parse(text: str) -> None:
    with pytest.raises(FilterError):
        Condition(text)


def test_the_place_is_pointed_at() -> None:
    with pytest.raises(FilterError) as caught:
        Condition("metrics.acc < 1 nd 2 < 3")
    assert caught.value.position == 16


# Any expression of the grammar, and what Python makes of the same words.
atoms = st.one_of(
    st.integers(0, 9).map(str), st.sampled_from(["metrics.x", "base.metrics.x", "params.y"])
)
sums = st.recursive(
    atoms,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from("+-*"), inner).map(" ".join),
        inner.map(lambda text: f"({text})"),
        inner.map(lambda text: f"-{text}"),
    ),
    max_leaves=8,
)
comparisons = st.tuples(sums, st.sampled_from(["<", "<=", ">", ">=", "==", "!="]), sums)
conditions = st.recursive(
    comparisons.map(" ".join),
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["and", "or"]), inner).map(" ".join),
        inner.map(lambda text: f"({text})"),
        inner.map(lambda text: f"not ({text})"),
    ),
    max_leaves=6,
)


@given(conditions)
def test_it_means_what_python_means(text: str) -> None:
    values = Values({"": {"x": 3.0}, "base.": {"x": 4.0}}, {"": {"y": "5"}, "base.": {}})
    words = text.replace("base.metrics.x", "4.0").replace("metrics.x", "3.0")
    expected = eval(words.replace("params.y", "5"))
    assert Condition(text).check(values).holds is expected


@given(st.text(max_size=60))
def test_nothing_but_its_own_errors(text: str) -> None:
    try:
        Condition(text).check(VALUES)
    except FilterError:
        pass


@given(st.text(alphabet="()<>=+-*/ 1.amnotrdescip'\"`\n", max_size=60))
def test_nothing_but_its_own_errors_near_the_grammar(text: str) -> None:
    try:
        Condition(text).check(VALUES)
    except FilterError:
        pass
