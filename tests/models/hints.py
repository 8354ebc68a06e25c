"""Type hints of prediction functions. Needs pydantic."""

import datetime
from collections.abc import Callable, Iterator
from typing import Any, Dict, List, Literal, Optional, Union  # noqa: UP035

import numpy as np
import pandas as pd
from pydantic import BaseModel


class Message(BaseModel):
    role: str
    content: str = "x"
    name: Optional[str] = None  # noqa: UP045
    score: float | None = None


class Chat(BaseModel):
    messages: list[Message]
    first: Message
    tags: dict[str, int]
    extra: Any = None
    key: Union[int, str] = "a"  # noqa: UP007
    at: datetime.datetime | None = None


class NoDefault(BaseModel):
    a: Optional[int]  # noqa: UP045


class Nothing(BaseModel):
    pass


class Wrong(BaseModel):
    a: set[int]


def hints() -> dict[str, Any]:
    """Name → hint."""
    found: list[Any] = [
        *(int, str, float, bool, bytes, datetime.datetime, datetime.date, Any, object, list, dict),
        *(list[str], List[str], list[int], list[float], list[bool], list[bytes]),  # noqa: UP006
        *(list[datetime.datetime], list[datetime.date], list[dict], list[list], list[Any]),
        *(list[dict[str, str]], list[dict[str, list[int]]], list[dict[int, str]]),
        *(dict[str, str], dict[str, Any], Dict[str, int], list[list[str]]),  # noqa: UP006
        *(Message, list[Message], Chat, list[Chat], dict[str, Message], list[dict[str, Chat]]),
        *(NoDefault, list[NoDefault], Nothing, list[Nothing], Wrong, list[Wrong]),
        *(Optional[list[str]], list[str] | None, list[Optional[str]]),  # noqa: UP045
        *(list[Union[str, int]], list[str | int], list[dict[str, int | None]]),  # noqa: UP007
        *(tuple[int, str], set[int], list[tuple[int]], list[set[int]], Literal["a"]),
        *(list[np.int64], list[pd.DataFrame], Callable, Iterator[str], "list[str]", list[None]),
    ]
    return {str(hint): hint for hint in found}
