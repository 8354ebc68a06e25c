"""The grammar of search expressions, and where each error points."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlgit.exceptions import FilterError, InvalidParameterValue
from mlgit.store.filters import (
    EXPERIMENTS,
    MAX_COMPARISONS,
    MAX_DEPTH,
    RUNS,
    And,
    Comparison,
    Not,
    Or,
    OrderTerm,
    parse_filter,
    parse_order_by,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("metrics.loss < 0.5", ("metric", "loss", "<", 0.5)),
        ("metric.a.b >= -1.5e-3", ("metric", "a.b", ">=", -0.0015)),
        ("metrics.x=-1", ("metric", "x", "=", -1)),
        ("metrics.x == .5", ("metric", "x", "=", 0.5)),
        ("metrics.x <> 5.", ("metric", "x", "!=", 5.0)),
        ('metrics."val loss" != 1', ("metric", "val loss", "!=", 1)),
        ("metrics.`val/loss` > 1", ("metric", "val/loss", ">", 1)),
        ("metrics.val-loss/1 > 1", ("metric", "val-loss/1", ">", 1)),
        ("`metric`.x > 1", ("metric", "x", ">", 1)),
        ("`metric`.`x y` > 1", ("metric", "x y", ">", 1)),
        ("METRICS.x > 1", ("metric", "x", ">", 1)),
        ("metrics.and > 1", ("metric", "and", ">", 1)),
        ("params.lr = '0.1'", ("param", "lr", "=", "0.1")),
        ('parameter.lr = "a\'b"', ("param", "lr", "=", "a'b")),
        (r"parameters.p = 'a\'", ("param", "p", "=", "a\\")),
        ("param.lr <= 1e-2", ("param", "lr", "<=", 0.01)),
        ("params.n = 5", ("param", "n", "=", 5)),
        ("tags.mlflow.source.name LIKE '%x_'", ("tag", "mlflow.source.name", "LIKE", "%x_")),
        ("tag.a iLike 'x'", ("tag", "a", "ILIKE", "x")),
        ("tags.a not\n like 'x'", ("tag", "a", "NOT LIKE", "x")),
        ("tags.a IN ('x',\"y\")", ("tag", "a", "IN", ("x", "y"))),
        ("tags.a NOT IN ('x')", ("tag", "a", "NOT IN", ("x",))),
        ("tags.a is null", ("tag", "a", "IS NULL", None)),
        ("end_time IS NOT NULL", ("attribute", "end_time", "IS NOT NULL", None)),
        ("status = 'FAILED'", ("attribute", "status", "=", "FAILED")),
        ("attr.run_id = 'x'", ("attribute", "run_id", "=", "x")),
        ("run.user_id = 'x'", ("attribute", "user_id", "=", "x")),
        ("attributes.Created > 1", ("attribute", "start_time", ">", 1)),
        ("`Run Name` = 'x'", ("attribute", "run_name", "=", "x")),
        ('attribute."run name" = "x"', ("attribute", "run_name", "=", "x")),
        ("start_time > 1700000000123", ("attribute", "start_time", ">", 1700000000123)),
        ("datasets.name = 'd'", ("dataset", "name", "=", "d")),
        ("  \t params.p = ''  AND ", ("param", "p", "=", "")),
    ],
)
def test_comparisons(text: str, expected: tuple[object, ...]) -> None:
    node = parse_filter(text)
    assert isinstance(node, Comparison)
    assert (node.kind, node.key, node.op, node.value) == expected


def test_precedence() -> None:
    def leaf(key: str, position: int) -> Comparison:
        return Comparison("metric", key, ">", 1, position)

    text = "metrics.a > 1 or NOT metrics.b > 1 And (metrics.c > 1\n OR metrics.d > 1)"
    a, b, c, d = (leaf(key, text.index(f"metrics.{key}")) for key in "abcd")
    assert parse_filter(text) == Or((a, And((Not(b), Or((c, d))))))


@pytest.mark.parametrize("text", ["", "  ", "\n\t"])
def test_nothing(text: str) -> None:
    assert parse_filter(text) is None


# ‸ stands before the place that the error must point at.
@pytest.mark.parametrize(
    ("marked", "problem", "hint"),
    [
        ("‸statuss = 'x'", "no attribute 'statuss'", "did you mean status?"),
        ("attributes.x = 'x' ", "no attribute 'x'", "attributes: "),
        ("‸metric_s.x > 1", "no fields of kind 'metric_s'", "did you mean metrics?"),
        ("params.a = 'x' AND ‸tgas.b = 'y'", "no fields of kind", "did you mean tags?"),
        ("‸dataset.nme = 'x'", "A dataset has no 'nme'", "did you mean name?"),
        ("‸metrics. > 1", "name is missing", ""),
        ("‸metrics.'a' > 1", "double quotes", ""),
        ("params.a = ‸'x", "The quote ' is not closed", ""),
        ('params.‸"x = 1', 'The quote " is not closed', ""),
        ("metrics.x ‸~ 1", "Unknown operator ~", "did you mean LIKE?"),
        ("metrics.x ‸=> 1", "Unknown operator =>", "did you mean >=?"),
        ("params.x ‸LIK 'a'", "Expected an operator", "did you mean LIKE?"),
        ("params.x ‸", "Expected an operator, not the end", ""),
        ("metrics.x = ‸'1'", "takes a number", "no quotes"),
        ("metrics.x = ‸nan", "takes a number", "no NaN"),
        ("metrics.x = ‸1e999", "too large", ""),
        ("metrics.x ‸LIKE 'a'", "LIKE compares text", "use ="),
        ("start_time ‸IN ('a')", "IN compares text", ""),
        ("tags.a = ‸3", "takes a quoted string", "write '3'"),
        ("tags.a ‸< '3'", "can't compare", ""),
        ("params.a ‸< '3'", "can't compare", "without quotes"),
        ("status = ‸FINISHED", "takes a quoted string", "write 'FINISHED'"),
        ("status = ‸`FINISHED`", "takes a quoted string", ""),
        ("params.a LIKE ‸3", "takes a quoted string", ""),
        ("params.a IN ‸'x'", "Expected a list", "IN ('a', 'b')"),
        ("params.a IN ‸()", "The list is empty", ""),
        ("params.a IN ('x', ‸)", "Expected a quoted string", ""),
        ("params.a IN ('x' ‸'y')", "Expected , or )", ""),
        ("params.a IN (‸1)", "Expected a quoted string", ""),
        ("‸()", "parentheses are empty", ""),
        ("‸(status = 'x'", "not closed", ""),
        ("status = 'x'‸)", "Expected AND, OR or the end", "no ("),
        ("status = 'x' ‸status = 'y'", "Expected AND, OR or the end", "join"),
        ("status = 'x' ‸&& status = 'y'", "Expected AND", "did you mean AND?"),
        ("status = 'x' OR ‸", "Expected a field, not the end", ""),
        ("‸AND status = 'x'", "Expected a field", ""),
        ("(status = 'x' AND ‸)", "Expected a field", ""),
        ("‸'x' = 'y'", "Expected a field", ""),
        ("status = 'x'‸; status = 'y'", "Unexpected character ';'", "one expression"),
        ("status = 'x' AND ‸1abc = 2", "neither a number nor a name", ""),
        ("status = 'a‸\0'", "NUL", ""),
        ("status = 'a‸\ud800'", "surrogate", ""),
        ("(" * MAX_DEPTH + "‸(status = 'x'", "nested more than", ""),
        ("NOT " * MAX_DEPTH + "‸NOT status = 'x'", "nested more than", ""),
        ("status = 'x' AND " * MAX_COMPARISONS + "‸status = 'x'", "more than 1000", "IN"),
        ("status LIKE ‸'" + "x" * 10_001 + "'", "longer than 10000", ""),
    ],
)
def test_errors_point_at_the_place(marked: str, problem: str, hint: str) -> None:
    text = marked.replace("‸", "")
    with pytest.raises(FilterError) as caught:
        parse_filter(text)
    assert problem in caught.value.problem
    assert hint in caught.value.hint
    assert caught.value.position == max(marked.find("‸"), 0)


def test_experiments_have_fields_of_their_own() -> None:
    for text in ("name = 'x'", "experiment_id IN ('1')", "tags.a = 'x'", "creation_time > 1"):
        assert isinstance(parse_filter(text, EXPERIMENTS), Comparison)
    with pytest.raises(FilterError, match="no fields of kind 'metrics'"):
        parse_filter("metrics.x > 1", EXPERIMENTS)
    with pytest.raises(FilterError, match="An? experiment has no attribute 'status'"):
        parse_filter("status = 'x'", EXPERIMENTS)


def test_order_by() -> None:
    clauses = ["metrics.a.b desc", "`Run Name`", 'params."x y" ASC', "tags.t Desc", "metrics.desc"]
    assert parse_order_by(clauses) == (
        OrderTerm("metric", "a.b", False),
        OrderTerm("attribute", "run_name", True),
        OrderTerm("param", "x y", True),
        OrderTerm("tag", "t", False),
        OrderTerm("metric", "desc", True),
    )
    assert parse_order_by(None) == parse_order_by([]) == ()


@pytest.mark.parametrize(
    ("clauses", "problem"),
    [
        (["metrics.x", "metric.`x` DESC"], "twice"),
        (["Created", "start_time"], "twice"),
        (["metrics.x down"], "Expected ASC, DESC or the end"),
        (["metrics.x, metrics.y"], "Expected ASC"),
        (["dataset.name"], "can't be sorted by dataset"),
        (["startt_time"], "no attribute"),
        ([""], "Expected a field"),
        (["DESC"], "Expected a field"),
        ([3], "must be a string"),
        ("metrics.x", "must be a list"),
    ],
)
def test_order_by_errors(clauses: list[str], problem: str) -> None:
    with pytest.raises(InvalidParameterValue, match=problem):
        parse_order_by(clauses)


def test_a_filter_must_be_text() -> None:
    with pytest.raises(InvalidParameterValue, match="must be a string"):
        parse_filter(3)  # type: ignore[arg-type]


PIECES = st.sampled_from(
    [
        "metrics.",
        "params.a",
        "tags.b",
        "status",
        "=",
        "!=",
        "<",
        "(",
        ")",
        ",",
        "'",
        '"',
        "`",
        ".",
        "NOT",
        "IN",
        "LIKE",
        "IS",
        "NULL",
        "AND",
        "OR",
        "'x'",
        "1",
        "-1e5",
        "²",
        "٣",
        "é",
        "\x00",
        ";",
        "--",
        "1e400",
        "`a`.",
    ]
)


@given(st.one_of(st.text(), st.lists(PIECES).map(" ".join), st.lists(PIECES).map("".join)))
def test_only_filter_errors_are_raised(text: str) -> None:
    for fields in (RUNS, EXPERIMENTS):
        try:
            parse_filter(text, fields)
        except FilterError as error:
            assert 0 <= error.position <= len(text)
        try:
            parse_order_by([text], fields)
        except FilterError as error:
            assert 0 <= error.position <= len(text)


@given(
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0`"), min_size=1),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0'")),
)
def test_quotes_keep_keys_and_values_as_they_are(key: str, value: str) -> None:
    node = parse_filter(f"params.`{key}` = '{value}'")
    assert node == Comparison("param", key, "=", value, 0)
