"""Groups of runs, names in the index, and fields of the grammar."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlgit.entities import Metric, Param
from mlgit.exceptions import FilterError, InvalidParameterValue
from mlgit.store.filter_tokens import field
from mlgit.store.filters import parse_order_by
from mlgit.store.gitstore import GitStore


def _run(store: GitStore, params: dict[str, Any], metrics: dict[str, float]) -> None:
    record = store.runs.create("0", owner=True)
    store.runs.log_batch(
        record.run_id,
        [Metric(key, value, 1) for key, value in metrics.items()],
        [Param(key, value) for key, value in params.items()],
    )
    store.runs.finish(record.run_id, "FINISHED")


def test_groups_count_and_sum_up(store: GitStore) -> None:
    _run(store, {"model": "a"}, {"acc": 0.5})
    _run(store, {"model": "a"}, {"acc": 1.0, "loss": 3.0})
    _run(store, {"model": "b"}, {"acc": math.nan})
    _run(store, {}, {"acc": 2.0})
    found = store.index.group_runs("model", metrics=["acc", "loss"])
    assert [(group.value, group.runs) for group in found] == [("a", 2), (None, 1), ("b", 1)]
    assert found[0].metrics == ((0.5, 0.75, 1.0), (3.0, 3.0, 3.0))
    assert found[2].metrics == (None, None)
    filtered = store.index.group_runs("model", "metrics.acc > 0.75")
    assert [(group.value, group.runs) for group in filtered] == [(None, 1), ("a", 1)]
    assert store.index.group_runs("model", experiment_ids=["12"]) == []
    of_all = store.index.group_runs("model")
    assert store.index.group_runs("model", experiment_ids=["12", "0"]) == of_all
    with pytest.raises(FilterError):
        store.index.group_runs("model", "metrics.acc >")


def test_keys_are_all_names_once(store: GitStore) -> None:
    assert store.index.keys("metrics") == []
    _run(store, {"b": "1", "a": "1"}, {"x": 1.0})
    _run(store, {"a": "2", "ü": "1"}, {"x": 2.0})
    assert store.index.keys("params") == ["a", "b", "ü"]
    assert store.index.keys("params", 2) == ["a", "b"]
    assert store.index.keys("metrics") == ["x"]
    with pytest.raises(InvalidParameterValue):
        store.index.keys("runs")


@given(st.text(min_size=1))
def test_a_field_is_read_as_the_key_that_it_was_made_of(key: str) -> None:
    text = field("metrics", key)
    if text is None:
        assert ("`" in key and '"' in key) or "\0" in key
        return
    (term,) = parse_order_by([text])
    assert (term.kind, term.key) == ("metric", key)
