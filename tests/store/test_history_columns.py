"""Histories read for charts are what the exact reader reads."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlgit.exceptions import CorruptData
from mlgit.store.record import (
    HISTORY_HEADER,
    Point,
    format_history,
    history_columns,
    parse_history,
)

POINTS = st.lists(
    st.builds(Point, st.integers(-(2**63), 2**63 - 1), st.integers(0, 2**50), st.floats())
)


@given(POINTS)
def test_columns_are_the_points(points: list[Point]) -> None:
    columns = history_columns(HISTORY_HEADER + format_history(points), "x")
    assert [column.size for column in columns] == [len(points)] * 3
    for point, *found in zip(points, *columns):
        for wanted, value in zip(point, found):
            assert value == wanted or (math.isnan(value) and math.isnan(wanted))


FIELDS = st.one_of(
    st.integers().map(str),
    st.floats().map(repr),
    st.text(alphabet='0123456789.-+einfaN_[]"{} #\r\t', max_size=6),
)
LINES = st.lists(st.lists(FIELDS, min_size=2, max_size=4).map(",".join), max_size=5).map("\n".join)


@given(LINES | st.text(alphabet='0123456789,.\n\r\v-+eninfNa_[]"{} é\x1c\xa0', max_size=60))
def test_any_file_is_read_as_by_the_exact_reader(text: str) -> None:
    data = HISTORY_HEADER + text.encode()
    try:
        points = parse_history(data, "x")
    except CorruptData:
        with pytest.raises(CorruptData):
            history_columns(data, "x")
        return
    columns = [column.tolist() for column in history_columns(data, "x")]
    wanted = [list(map(float, column)) for column in zip(*points)] or [[], [], []]
    assert repr([list(map(float, column)) for column in columns]) == repr(wanted)


@pytest.mark.parametrize(
    "lines", ["1.5,2,3\n", "1,2\n3,4,5,6\n", "1,2,3,4,5,6\n7,8\n9\n", "1\n,2,3\n"]
)
def test_lines_that_only_sum_up_are_refused(lines: str) -> None:
    with pytest.raises(CorruptData):
        history_columns(HISTORY_HEADER + lines.encode(), "x")


def test_another_file_is_refused() -> None:
    with pytest.raises(CorruptData):
        history_columns(b"a,b\n1,2,3\n", "x")
