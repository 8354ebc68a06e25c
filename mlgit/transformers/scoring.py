"""A pipeline as the pyfunc face calls it: texts, dicts and frames in, what MLflow gives out."""

from __future__ import annotations

import json
import string
from collections.abc import Callable
from typing import Any

from mlgit.exceptions import InvalidParameterValue, Unsupported
from mlgit.transformers.tasks import family

_TEMPLATED = {"fill-mask", "text-generation", "text2text-generation", "feature-extraction"}
# Of model_config, what MLflow doesn't hand to the pipeline.
_NOT_THE_PIPELINES = {"include_prompt", "collapse_whitespace"}


def is_scored(task: str) -> bool:
    """Whether a task's pipelines have a pyfunc face."""
    return family(task) in _CALLS


def check_template(template: Any, task: str) -> None:
    """Refuse a template of prompts that can't be right.

    Raises:
        InvalidParameterValue: It hasn't ``{prompt}`` and nothing else in braces, or the task
            takes no prompts.
    """
    if family(task) not in _TEMPLATED:
        raise InvalidParameterValue(
            f"The task {task!r} takes no prompt_template",
            hint="these do: " + ", ".join(sorted(_TEMPLATED)),
        )
    try:
        parts = list(string.Formatter().parse(template))
    except (TypeError, ValueError) as error:
        raise InvalidParameterValue(f"prompt_template can't be read: {error}") from error
    if [name for _, name, _, _ in parts if name is not None] != ["prompt"]:
        raise InvalidParameterValue("prompt_template must have {prompt} once, and no other braces")


class Scored:
    """A pipeline that predicts on texts.

    Args:
        pipeline: The pipeline.
        config: Arguments that it is called with.
        template: What is made of a text before.

    Raises:
        Unsupported: Pipelines of its task have no pyfunc face.
    """

    def __init__(
        self, pipeline: Any, config: dict[str, Any] | None = None, template: str | None = None
    ) -> None:
        call = _CALLS.get(family(pipeline.task))
        if call is None:
            raise Unsupported(
                f"Pipelines of the task {pipeline.task!r} have no pyfunc face",
                hint="mlgit.transformers.load_model() gives the pipeline itself",
            )
        if template is not None:
            check_template(template, pipeline.task)
        self._pipeline, self._call, self._template = pipeline, call, template
        self._config = {k: v for k, v in (config or {}).items() if k not in _NOT_THE_PIPELINES}

    def predict(self, data: Any, params: dict[str, Any] | None = None) -> Any:
        """Predict.

        Args:
            data: A text, several, dicts, or a frame.
            params: Arguments that the pipeline is called with.

        Returns:
            A frame, a list of texts, or an array: what the task gives.

        Raises:
            InvalidParameterValue: The data isn't what the task takes.
        """
        given = {**self._config, **(params or {})}
        given = {key: value for key, value in given.items() if key not in _NOT_THE_PIPELINES}
        data = _plain(data)
        if self._template is not None:
            data = [self._template.format(prompt=text) for text in _texts(data)]
        return self._call(self._pipeline, data, given)

    def get_raw_model(self) -> Any:
        """The pipeline."""
        return self._pipeline


# -- what is given


def _plain(data: Any) -> Any:
    """Data without frames and arrays: a frame is its rows, one of a column without name is texts."""
    if hasattr(data, "columns"):
        if len(data.columns) == 1 and data.columns[0] not in ("text", *_KEYS):
            return _plain(data.iloc[:, 0].tolist())
        return [_plain(row) for row in data.to_dict(orient="records")]
    if hasattr(data, "tolist"):
        return _plain(data.tolist())
    if isinstance(data, dict):
        return {key: _plain(value) for key, value in data.items() if value is not None}
    if isinstance(data, (list, tuple)):
        return [_plain(value) for value in data]
    return data


_KEYS = ("question", "context", "sequences", "candidate_labels", "hypothesis_template")


def _texts(data: Any) -> list[str]:
    """Data as texts: a dict of one key stands for what it holds."""
    if isinstance(data, str):
        return [data]
    if isinstance(data, dict) and len(data) == 1:
        return _texts(next(iter(data.values())))
    if isinstance(data, list):
        found: list[str] = []
        for one in data:
            if not isinstance(one, (str, dict)):
                raise _not_texts(one)
            found += _texts(one)
        return found
    raise _not_texts(data)


def _not_texts(data: Any) -> InvalidParameterValue:
    shown = f"a dict with {', '.join(map(str, data))}" if isinstance(data, dict) else repr(data)
    return InvalidParameterValue(
        f"The pipeline takes texts, not {shown:.100}",
        hint="give a text, a list of texts, or a frame with one column of them",
    )


def _records(data: Any, needed: tuple[str, ...], optional: tuple[str, ...] = ()) -> list[Any]:
    """Data as dicts with these keys."""
    rows = data if isinstance(data, list) else [data]
    for row in rows:
        keys = set(row) if isinstance(row, dict) else set()
        if not set(needed) <= keys <= {*needed, *optional}:
            raise InvalidParameterValue(
                f"The pipeline takes dicts with {', '.join(needed)}"
                + (f" and maybe {', '.join(optional)}" if optional else ""),
                hint=f"got {row!r:.100}; or a frame with these columns",
            )
    return rows


# -- the tasks


def _classify(pipeline: Any, data: Any, given: dict[str, Any]) -> Any:
    import pandas as pd

    rows = data if isinstance(data, list) else [data]
    if any(isinstance(row, dict) and row.keys() & {"text", "text_pair"} for row in rows):
        rows = _records(rows, ("text",), ("text_pair",))
    else:
        rows = _texts(rows)
    return pd.DataFrame(pipeline(rows, **given))


def _label_tokens(pipeline: Any, data: Any, given: dict[str, Any]) -> Any:
    found = []
    for entities in _each(pipeline, _texts(data), given):
        names = [one.get("entity_group", one.get("entity")) for one in entities]
        found.append(",".join(map(str, names)))
    return found


def _fill(pipeline: Any, data: Any, given: dict[str, Any]) -> Any:
    def best(candidates: Any) -> Any:
        first = candidates[0]
        return first["token_str"] if isinstance(first, dict) else [best(c) for c in candidates]

    return [best(candidates) for candidates in _each(pipeline, _texts(data), given)]


def _features(pipeline: Any, data: Any, given: dict[str, Any]) -> Any:
    import numpy as np

    found = [np.asarray(one)[0] for one in _each(pipeline, _texts(data), given)]
    return found[0] if len(found) == 1 else found


def _write(pipeline: Any, data: Any, given: dict[str, Any]) -> Any:
    found = []
    for one in pipeline(_texts(data), **given):
        texts = [_written(choice) for choice in (one if isinstance(one, list) else [one])]
        found.append(texts[0] if len(texts) == 1 else texts)
    return found


def _written(choice: dict[str, Any]) -> str:
    return str(next(value for key, value in choice.items() if key.endswith("_text")))


def _answer(pipeline: Any, data: Any, given: dict[str, Any]) -> Any:
    if isinstance(data, dict) and isinstance(data.get("question"), list):
        data = [dict(zip(data, row)) for row in zip(*data.values())]
    found = []
    for row in _records(data, ("question", "context")):
        answers = pipeline(**row, **given)
        found += [one["answer"] for one in (answers if isinstance(answers, list) else [answers])]
    return found


def _choose(pipeline: Any, data: Any, given: dict[str, Any]) -> Any:
    import pandas as pd

    needed, optional = ("sequences", "candidate_labels"), ("hypothesis_template", "multi_label")
    found: dict[str, list[Any]] = {"sequence": [], "labels": [], "scores": []}
    for row in _records(data, needed, optional):
        labels = row["candidate_labels"]
        if isinstance(labels, str) and labels.startswith("["):
            labels = json.loads(labels)
        results = pipeline(**{**given, **row, "candidate_labels": labels})
        for result in results if isinstance(results, list) else [results]:
            found["sequence"] += [result["sequence"]] * len(result["labels"])
            found["labels"] += result["labels"]
            found["scores"] += result["scores"]
    return pd.DataFrame(found)


def _each(pipeline: Any, texts: list[str], given: dict[str, Any]) -> Any:
    """What a pipeline gives for each text; some unpack lists of one."""
    if len(texts) == 1:
        return [pipeline(texts[0], **given)]
    return pipeline(texts, **given)


_CALLS: dict[str, Callable[[Any, Any, dict[str, Any]], Any]] = {
    "text-classification": _classify,
    "token-classification": _label_tokens,
    "fill-mask": _fill,
    "feature-extraction": _features,
    "text-generation": _write,
    "text2text-generation": _write,
    "question-answering": _answer,
    "zero-shot-classification": _choose,
}
