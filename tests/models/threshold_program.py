"""Thresholds of metrics, under MLflow or mlgit: run by test_evaluate_peer.py.

python threshold_program.py MODULE RESULT.json
"""

from __future__ import annotations

import importlib
import itertools
import json
import re
import sys
from typing import Any

module = importlib.import_module(f"{sys.argv[1]}.models.evaluation")
validation = importlib.import_module(f"{sys.argv[1]}.models.evaluation.validation")
MetricThreshold = module.MetricThreshold

NAN = float("nan")
VALUES: list[float | None] = [None, -1.0, -0.9, 0, 0.45, 0.5, 0.55, 0.6, 1, NAN]
ASKED: list[dict[str, Any]] = [
    {"threshold": 0.5},
    {"threshold": 0},
    {"threshold": -0.9},
    {"min_absolute_change": 0.05},
    {"min_absolute_change": 1},
    {"min_relative_change": 0.1},
    {"min_relative_change": 0.0},
    {"min_relative_change": 1.0},
    {"threshold": 0.5, "min_absolute_change": 0.05, "min_relative_change": 0.1},
]
BAD: list[dict[str, Any]] = [
    {},
    {"greater_is_better": True},
    {"threshold": 1},
    {"threshold": "1", "greater_is_better": True},
    {"threshold": True, "greater_is_better": True},
    {"threshold": 1, "greater_is_better": "yes"},
    {"threshold": 1, "greater_is_better": None},
    {"min_absolute_change": 0, "greater_is_better": True},
    {"min_absolute_change": -1, "greater_is_better": True},
    {"min_absolute_change": "1", "greater_is_better": True},
    {"min_relative_change": 1, "greater_is_better": True},
    {"min_relative_change": 1.1, "greater_is_better": True},
    {"min_relative_change": -0.1, "greater_is_better": False},
    {"min_relative_change": "0.1", "greater_is_better": False},
]
# What a message says was checked, in either's words.
CHECKS = {
    "threshold": "value threshold|the threshold is",
    "absolute": "minimum absolute change",
    "relative": "minimum relative change",
    "candidate": "missing from .*candidate",
    "baseline": "missing from .*baseline",
}


def outcome(thresholds: Any, candidate: Any, baseline: Any) -> Any:
    def result(value: float | None) -> Any:
        return module.EvaluationResult(metrics={} if value is None else {"m": value}, artifacts={})

    try:
        validation.validate_evaluation_results(
            validation_thresholds=thresholds,
            candidate_result=result(candidate),
            baseline_result=None if baseline == "none" else result(baseline),
        )
    except Exception as error:
        checks = [name for name, words in CHECKS.items() if re.search(words, str(error))]
        return [type(error).__name__, getattr(error, "error_code", ""), checks]
    return "passed"


def made(arguments: dict[str, Any]) -> Any:
    try:
        MetricThreshold(**arguments)
        return "made"
    except Exception as error:
        return type(error).__name__


def main() -> None:
    found: dict[str, Any] = {}
    for asked, more, candidate, baseline in itertools.product(
        ASKED, (True, False), VALUES, ["none", *VALUES]
    ):
        threshold = MetricThreshold(**asked, greater_is_better=more)
        name = f"{asked} {more}: {candidate} after {baseline}"
        found[name] = outcome({"m": threshold}, candidate, baseline)
    for arguments in [*BAD, *({**asked, "greater_is_better": True} for asked in ASKED)]:
        found[f"MetricThreshold({arguments})"] = made(arguments)
    right = MetricThreshold(threshold=1, greater_is_better=True)
    for name, thresholds in {
        "a list": [],
        "None": None,
        "a number": {"m": 0.5},
        "no name": {1: right},
        "empty": {},
    }.items():
        shown = outcome(thresholds, 1.0, "none")
        found[f"thresholds: {name}"] = shown if shown == "passed" else shown[1]
    with open(sys.argv[2], "w", encoding="utf-8") as out:
        json.dump(found, out, indent=1)


if __name__ == "__main__":
    main()
