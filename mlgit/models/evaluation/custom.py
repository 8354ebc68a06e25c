"""Artifacts of one's own: functions that make them, and what they make."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from typing import Any

from mlgit.exceptions import InvalidParameterValue, MlgitException
from mlgit.models.evaluation.artifacts import (
    FILES,
    EvaluationArtifact,
    JsonEvaluationArtifact,
    kind_of_file,
    kind_of_object,
)
from mlgit.models.evaluation.extra import Evidence

# An artifact that is made: its kind, and its file.
Made = tuple[type[EvaluationArtifact], str]


def compute_custom(function: Any, at: int, evidence: Evidence, folder: str) -> dict[str, Made]:
    """What a function of one's own makes.

    Args:
        function: Called with a frame, the metrics' numbers and a folder to write to.
        at: Its place in ``custom_artifacts``.
        evidence: What it is given.
        folder: An empty folder, where the artifacts' files are left.

    Returns:
        Names → artifacts.

    Raises:
        InvalidParameterValue: It isn't a function, or made what isn't an artifact.
        MlgitException: It raised an error.
    """
    name = getattr(function, "__name__", str(function))
    if not callable(function):
        raise InvalidParameterValue(f"custom_artifacts[{at}] isn't a function: {function!r}")
    scratch = os.path.join(folder, "scratch")
    os.makedirs(scratch)
    made = _called(function, name, at, evidence, scratch)
    found: dict[str, Made] = {}
    for key, value in made.items():
        try:
            found[key] = _keep(key, value, folder)
        except InvalidParameterValue as error:
            error.args = (f"custom_artifacts[{at}], {name!r}, made {key!r}: {error.message}",)
            error.message = str(error.args[0])
            raise
        except Exception as error:
            raise MlgitException(
                f"custom_artifacts[{at}], {name!r}, made {key!r}, which can't be saved: "
                f"{type(error).__name__}: {error}"
            ) from error
    shutil.rmtree(scratch)
    return found


def _called(
    function: Callable[..., Any], name: str, at: int, evidence: Evidence, scratch: str
) -> dict[str, Any]:
    try:
        made = function(evidence.frame(), evidence.numbers(), scratch)
    except Exception as error:
        raise MlgitException(
            f"custom_artifacts[{at}], {name!r}, failed: {type(error).__name__}: {error}"
        ) from error
    if isinstance(made, dict) and all(isinstance(key, str) and key for key in made):
        return made
    import logging

    logging.getLogger("mlgit").warning(
        "custom_artifacts[%d], %r, is left out: it gave a %s, not a dict of names and artifacts",
        at,
        name,
        type(made).__name__,
    )
    return {}


def _keep(key: str, value: Any, folder: str) -> Made:
    """Write an artifact to its file below a folder."""
    if "/" in key or "\\" in key or key in (".", ".."):
        raise InvalidParameterValue("a name that isn't a file's")
    if isinstance(value, (str, os.PathLike)):
        return _keep_text(key, os.fspath(value), folder)
    kind = kind_of_object(value)
    path = os.path.join(folder, key + kind.suffix)
    kind("", value).save(path)
    return kind, path


def _keep_text(key: str, value: str, folder: str) -> Made:
    """Text is the path of a file, or JSON."""
    if os.path.isfile(value):
        kind = kind_of_file(value)
        if kind is None:
            raise InvalidParameterValue(
                f"the suffix of {os.path.basename(value)} is none of {', '.join(FILES)}",
                "INTERNAL_ERROR",
            )
        path = os.path.join(folder, key + os.path.splitext(value)[1].lower())
        shutil.copyfile(value, path)
        return kind, path
    try:
        content = json.loads(value)
    except ValueError:
        raise InvalidParameterValue(
            f"{value[:60]!r} is neither a file's path nor JSON",
            "INTERNAL_ERROR",
            hint="write text to a file below artifacts_dir, and return its path",
        ) from None
    path = os.path.join(folder, key + JsonEvaluationArtifact.suffix)
    JsonEvaluationArtifact("", content).save(path)
    return JsonEvaluationArtifact, path
