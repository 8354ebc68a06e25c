"""The names of tasks: which are the same, and which the pyfunc face knows."""

from __future__ import annotations

_SAME = {"sentiment-analysis": "text-classification", "ner": "token-classification"}
_WRITING = {"text2text-generation", "summarization", "translation"}


def family(task: str) -> str:
    """A task's kind: the one name for those that take and give the same."""
    task = _SAME.get(task, task)
    task = "translation" if task.startswith("translation_") else task
    return "text2text-generation" if task in _WRITING else task
