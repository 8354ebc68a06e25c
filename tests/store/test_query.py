"""The compiled queries against a plain evaluator of the tree over dicts."""

from __future__ import annotations

import math
import re
import sqlite3
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlgit.exceptions import InvalidParameterValue
from mlgit.store import runsearch
from mlgit.store.filters import EXPERIMENTS, And, Comparison, Not, Or, parse_filter
from mlgit.store.query import decode_token, encode_token, experiments_query, prepare, runs_query
from mlgit.store.schema import TABLES

NAN, INF = math.nan, math.inf
NUMBERS = [-INF, -1.5, 0.0, 0.5, 1.0, 2.0, INF]
TEXTS = ["a", "A", "ab", "a*", "b[c]", "1", "0.5", "Ü", "x?y", "2e0", "a%"]
PATTERNS = ["a%", "A%", "%b%", "_", "a*", "b[%", "ü", "Ü%", "%", "", "x?_", "a_", "%ü%"]
COMPARE = {
    "=": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}


def number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def like(text: str, pattern: str, flags: int = 0) -> bool:
    parts = {"%": ".*", "_": "."}
    expression = "".join(parts.get(c, re.escape(c)) for c in pattern)
    return re.fullmatch(expression, text, re.DOTALL | flags) is not None


def values(run: dict[str, Any], kind: str, key: str) -> list[Any]:
    if kind == "dataset":
        return [d[key] for d in run["datasets"] if d[key] is not None]
    holder = run if kind == "attribute" else run[kind]
    return [holder[key]] if holder.get(key) is not None else []


def holds(node: Any, run: dict[str, Any]) -> bool:
    if isinstance(node, And):
        return all(holds(term, run) for term in node.terms)
    if isinstance(node, Or):
        return any(holds(term, run) for term in node.terms)
    if isinstance(node, Not):
        return not holds(node.term, run)
    found = values(run, node.kind, node.key)
    if node.op.startswith("IS"):
        return bool(found) == (node.op == "IS NOT NULL")
    return any(compare(value, node) for value in found)


def compare(value: Any, node: Comparison) -> bool:
    if node.kind == "param" and isinstance(node.value, (int, float)):
        value = number(value)
        if value is None:
            return False
    op = node.op.removeprefix("NOT ")
    if op == "IN":
        result = value in node.value
    elif op.endswith("LIKE"):
        result = like(value, node.value, re.IGNORECASE if op == "ILIKE" else 0)
    else:
        result = COMPARE[op](value, node.value)
    return result != node.op.startswith("NOT ")


def ordered(runs: list[dict[str, Any]], keys: list[tuple[str, str, bool]]) -> list[int]:
    """Ids by sort keys, the last key sorted first, which works because sorts are stable."""
    runs = sorted(runs, key=lambda run: run["run_id"])
    default = [("attribute", "start_time", False)]
    for kind, key, ascending in reversed(keys + default):
        present = [
            r
            for r in runs
            if values(r, kind, key) and values(r, kind, key)[0] == values(r, kind, key)[0]
        ]
        nan = [r for r in runs if values(r, kind, key) and r not in present]
        absent = [r for r in runs if not values(r, kind, key)]
        present.sort(key=lambda r: values(r, kind, key)[0], reverse=not ascending)
        runs = present + nan + absent
    return [run["id"] for run in runs]


def database(runs: list[dict[str, Any]]) -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:")
    connection.executescript(TABLES)
    prepare(connection)
    for run in runs:
        connection.execute(
            "INSERT INTO runs(id, run_id, experiment_id, name, status, lifecycle_stage, "
            "start_time, end_time, user_id, artifact_uri) VALUES (?,?,?,?,?,?,?,?,?,?)",
            [run[k] for k in ("id", "run_id", "experiment_id", "run_name", "status", "stage")]
            + [run[k] for k in ("start_time", "end_time", "user_id", "artifact_uri")],
        )
        for key, value in run["metric"].items():
            connection.execute("INSERT INTO metrics VALUES (?,?,?,0,0)", (run["id"], key, value))
        for key, value in run["param"].items():
            row = (run["id"], key, value, number(value))
            connection.execute("INSERT INTO params VALUES (?,?,?,?)", row)
        for key, value in run["tag"].items():
            connection.execute("INSERT INTO tags VALUES (?,?,?)", (run["id"], key, value))
        for position, d in enumerate(run["datasets"]):
            connection.execute(
                "INSERT INTO inputs(run, position, name, digest, context) VALUES (?,?,?,?,?)",
                (run["id"], position, d["name"], d["digest"], d["context"]),
            )
    return connection


def rows(connection: sqlite3.Connection, *args: Any, **kwargs: Any) -> list[Any]:
    query = runs_query(*args, **kwargs)
    return [row[0] for row in connection.execute(query.sql, query.args)]


def run(number: int, **changes: Any) -> dict[str, Any]:
    made = {
        "id": number, "run_id": f"r{number:03}", "experiment_id": "0", "run_name": f"n{number}",
        "status": "FINISHED", "stage": "active", "start_time": number, "end_time": None,
        "user_id": "u", "artifact_uri": None, "metric": {}, "param": {}, "tag": {}, "datasets": [],
    }  # fmt: skip
    return {**made, **changes}


texts = st.sampled_from(TEXTS)
times = st.one_of(st.none(), st.integers(0, 3))
run_sets = st.lists(
    st.fixed_dictionaries(
        {
            "experiment_id": st.sampled_from(["0", "1", "2"]),
            "run_name": texts,
            "status": st.sampled_from(["RUNNING", "FINISHED"]),
            "stage": st.sampled_from(["active", "active", "deleted"]),
            "start_time": times,
            "end_time": times,
            "user_id": st.one_of(st.none(), texts),
            "metric": st.dictionaries(st.sampled_from("xy"), st.sampled_from([*NUMBERS, NAN])),
            "param": st.dictionaries(st.sampled_from("pq"), texts),
            "tag": st.dictionaries(st.sampled_from("tu"), texts),
            "datasets": st.lists(
                st.fixed_dictionaries(
                    {"name": texts, "digest": texts, "context": st.one_of(st.none(), texts)}
                ),
                max_size=2,
            ),
        }
    ),
    max_size=12,
).map(lambda sets: [run(99 - i, **{**s, "run_id": f"r{i:03}"}) for i, s in enumerate(sets)])

numeric_op = st.sampled_from(["=", "==", "!=", "<>", "<", "<=", ">", ">="])
literal = st.sampled_from(["-1.5", "0", "0.5", "1", "2e0"])
text_field = st.sampled_from(
    ["params.p", "params.q", "tags.t", "tag.u", "run_name", "user_id", "status", "run_id"]
    + ["dataset.name", "dataset.context", "datasets.digest"]
)
number_field = st.sampled_from(["metrics.x", "metric.y", "params.p", "start_time", "end_time"])


def quoted(text: str) -> str:
    return f"'{text}'"


comparisons = st.one_of(
    st.builds("{} {} {}".format, number_field, numeric_op, literal),
    st.builds("{} {} {}".format, text_field, st.sampled_from(["=", "!="]), texts.map(quoted)),
    st.builds(
        "{} {} {}".format,
        text_field,
        st.sampled_from(["LIKE", "ilike", "NOT LIKE", "not ILIKE"]),
        st.sampled_from(PATTERNS).map(quoted),
    ),
    st.builds(
        "{} {} ({})".format,
        text_field,
        st.sampled_from(["IN", "NOT IN"]),
        st.lists(texts.map(quoted), min_size=1, max_size=3).map(", ".join),
    ),
    st.builds(
        "{} IS {}".format,
        st.one_of(text_field, number_field),
        st.sampled_from(["NULL", "not null"]),
    ),
)
filters = st.recursive(
    comparisons,
    lambda inner: st.one_of(
        st.builds("{} AND {}".format, inner, inner),
        st.builds("({} or {})".format, inner, inner),
        st.builds("NOT ({})".format, inner),
    ),
    max_leaves=6,
)
orders = st.lists(
    st.tuples(
        st.sampled_from(
            [("metric", "x"), ("metric", "y"), ("param", "p"), ("tag", "t")]
            + [("attribute", k) for k in ("run_name", "end_time", "status", "start_time", "run_id")]
        ),
        st.booleans(),
    ),
    max_size=2,
    unique_by=lambda item: item[0],
)
ids = st.one_of(st.none(), st.lists(st.sampled_from(["0", "1", "2"]), unique=True, max_size=2))
stage_sets = st.sampled_from([("active",), ("deleted",), ("active", "deleted")])


@pytest.mark.parametrize(
    ("few", "first", "large"), [(1000, 4000, 30_000), (0, 1, 30_000), (0, 0, 0), (2, 2, 3)]
)
@settings(max_examples=250, deadline=None)
@given(runs=run_sets, text=st.one_of(st.just(""), filters), order=orders, experiments=ids,
       stages=stage_sets, limit=st.integers(1, 8), offset=st.integers(0, 3))  # fmt: skip
def test_every_strategy_agrees_with_the_evaluator(
    few: int, first: int, large: int, runs: Any, text: str, order: Any, experiments: Any,
    stages: Any, limit: int, offset: int,
) -> None:  # fmt: skip
    node = parse_filter(text)
    matching = [
        r
        for r in runs
        if (experiments is None or r["experiment_id"] in experiments)
        and r["stage"] in stages
        and (node is None or holds(node, r))
    ]
    keys = [(kind, key, ascending) for (kind, key), ascending in order]
    expected = ordered(matching, keys)[offset : offset + limit]
    clauses = [f"{kind}.{key} {'ASC' if up else 'desc'}" for kind, key, up in keys]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runsearch, "FEW", few)
        patch.setattr(runsearch, "FIRST", first)
        patch.setattr(runsearch, "LARGE", large)
        found = rows(database(runs), text, clauses, experiments, stages, limit, offset)
    assert found == expected


@pytest.mark.parametrize("ids", [None, ["0"]])
@pytest.mark.parametrize(
    ("text", "order", "offset"),
    [
        ("status = 'FAILED'", [], 0),
        ("user_id != 'u'", [], 0),
        ("tags.parent IS NULL", [], 90_000),
        ("tags.parent IS NULL", ["status ASC"], 0),
    ],
)
def test_going_through_all_runs_reads_one_index_and_looks_nothing_up(
    ids: list[str] | None, text: str, order: list[str], offset: int
) -> None:
    query = runs_query(text, order, ids, limit=100, offset=offset)
    plan = [row[3] for row in database([]).execute(f"EXPLAIN QUERY PLAN {query.sql}", query.args)]
    of_runs = [step for step in plan if " runs " in step and "PRIMARY KEY" not in step]
    assert of_runs and all("COVERING INDEX runs_" in step for step in of_runs), plan
    assert not any("CORRELATED" in step for step in plan), plan


def test_a_missing_key_never_matches_but_its_negation_does() -> None:
    connection = database([run(1, param={"a": "x"}), run(2, param={"a": "y"}), run(3)])
    assert rows(connection, "params.a != 'x'") == [2]
    assert rows(connection, "params.a NOT IN ('x')") == [2]
    assert rows(connection, "NOT params.a = 'x'") == [3, 2]
    assert rows(connection, "params.a IS NULL") == [3]


def test_nan_is_unequal_to_all_and_comes_after_numbers() -> None:
    metrics: list[dict[str, float]] = [{"x": NAN}, {"x": INF}, {}, {"x": -INF}, {"x": 0.0}]
    connection = database([run(i, metric=m) for i, m in enumerate(metrics)])
    assert rows(connection, "metrics.x != 0") == [3, 1, 0]
    assert rows(connection, "metrics.x < 0") == [3]
    assert rows(connection, "", ["metrics.x"]) == [3, 4, 1, 0, 2]
    assert rows(connection, "", ["metrics.x DESC"]) == [1, 4, 3, 0, 2]


def test_params_compare_as_numbers_and_sort_as_text() -> None:
    texts = ["10", "9", "abc", "1e-3"]
    connection = database([run(i, param={"lr": t}) for i, t in enumerate(texts)])
    assert rows(connection, "params.lr < 9.5") == [3, 1]
    assert rows(connection, "params.lr != 9") == [3, 0]
    assert rows(connection, "", ["params.lr"]) == [0, 3, 1, 2]


def test_nothing_of_the_text_reaches_the_statement() -> None:
    query = runs_query("params.`a'b\"; --` = 'DROP' OR tags.t IN ('DROP')", ["tags.`DROP x`"])
    assert "DROP" not in query.sql
    assert "--" not in query.sql


@pytest.mark.parametrize(
    "text",
    [
        " AND ".join(f"params.p{i} != 'x'" for i in range(1000)),
        " OR ".join(f"metrics.m{i} > 1" for i in range(1000)),
        " AND ".join(f"tags.t{i} LIKE 'abc%'" for i in range(1000)),
        "(" * 50 + "params.a = 'x'" + ")" * 50,
        "NOT " * 50 + "params.a = 'x'",
        "params.a = 'x' AND (tags.b = 'y' OR (" * 25 + "status = 'a'" + "))" * 25,
        "NOT (params.a = 'x' AND " * 25 + "status = 'a'" + ")" * 25,
        " AND ".join(f"metrics.x > {i}" for i in range(1000)),
        "run_id IN (" + ", ".join(f"'{i}'" for i in range(20_000)) + ")",
    ],
    ids=["and", "or", "like", "parens", "not", "alternating", "not-and", "same", "in"],
)
def test_sqlite_takes_the_largest_filters(text: str) -> None:
    connection = database([run(1)])
    rows(connection, text, ["metrics.x", "params.y DESC"], ["0", "1"])
    rows(connection, text, None, None)


def test_ties_by_start_time_then_run_id() -> None:
    connection = database([run(1, start_time=5), run(2, start_time=5), run(3, start_time=None)])
    assert rows(connection) == [1, 2, 3]
    assert rows(connection, "", ["status"]) == [1, 2, 3]
    assert rows(connection, "", ["start_time"]) == [1, 2, 3]
    assert rows(connection, "", None, []) == []


def experiments() -> sqlite3.Connection:
    connection = database([])
    for key, name, stage, created in [
        ("0", "Default", "active", 1),
        ("1", "beta", "active", 3),
        ("2", "alpha", "active", 3),
        ("3", "gone", "deleted", 2),
    ]:
        row = (key, name, stage, created, created)
        connection.execute("INSERT INTO experiments VALUES (?,NULL,?,NULL,?,?,?)", row)
    connection.execute("INSERT INTO experiment_tags VALUES ('1', 'team', 'nlp')")
    return connection


@pytest.mark.parametrize(
    ("text", "order", "expected"),
    [
        ("", [], ["1", "2", "0"]),
        ("", ["creation_time DESC"], ["2", "1", "0"]),
        ("", ["name"], ["0", "2", "1"]),
        ("name ILIKE '%A'", [], ["1", "2"]),
        ("tags.team = 'nlp'", [], ["1"]),
        ("NOT tags.team = 'nlp'", [], ["2", "0"]),
        ("creation_time > 1 AND name != 'beta'", [], ["2"]),
        ("experiment_id IN ('0', '2')", ["experiment_id"], ["0", "2"]),
        ("artifact_location IS NULL", ["tags.team"], ["1", "2", "0"]),
    ],
)
def test_experiments(text: str, order: list[str], expected: list[str]) -> None:
    query = experiments_query(text, order)
    assert [row[0] for row in experiments().execute(query.sql, query.args)] == expected


def test_experiments_by_stage_and_page() -> None:
    query = experiments_query("", [], ("active", "deleted"), limit=2, offset=1)
    assert [row[0] for row in experiments().execute(query.sql, query.args)] == ["2", "3"]
    assert parse_filter("  ", EXPERIMENTS) is None


def test_tokens() -> None:
    assert encode_token(100) == "eyJvZmZzZXQiOiAxMDB9"
    assert decode_token(encode_token(7)) == 7
    assert decode_token(None) == decode_token("") == 0


@pytest.mark.parametrize(
    "token", ["x", "é", "e30=", "W10=", "eyJvZmZzZXQiOiAtMX0=", "eyJvZmZzZXQiOiB0cnVlfQ==", 3]
)
def test_bad_tokens(token: Any) -> None:
    with pytest.raises(InvalidParameterValue, match="Invalid page token"):
        decode_token(token)
