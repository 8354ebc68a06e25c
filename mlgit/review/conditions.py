"""Conditions on two runs: ``metrics.val_acc < base.metrics.val_acc - 0.005``.

    condition   := both ("or" both)*
    both        := negation ("and" negation)*
    negation    := "not" negation | comparison
    comparison  := sum (("<" | "<=" | ">" | ">=" | "=" | "==" | "!=") sum)?
    sum         := product (("+" | "-") product)*
    product     := factor (("*" | "/") factor)*
    factor      := "-" factor | number | text | name | "(" condition ")"
    name        := ["base."] ("metrics" | "params") "." key

A key is letters, digits, ``_`` and dots, or anything in backticks or double quotes. Texts
stand in single or double quotes. Nothing is left out: what isn't logged, or is NaN, is an
error of the check, also behind an ``or`` that is true already.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from mlgit.exceptions import FilterError

_MAX_LENGTH = 4000
_MAX_DEPTH = 50
_TOKEN = re.compile(
    r"\s*(?:"
    r"(?P<number>(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?(?![\w.]))"
    r"|(?P<name>(?:base\.)?(?:metrics|params)\.(?:\"[^\"]*\"|`[^`]*`|\w+(?:\.\w+)*))"
    r"|(?P<word>[^\W\d]\w*)"
    r"|(?P<text>'[^']*'|\"[^\"]*\")"
    r"|(?P<sign><=|>=|==|!=|[<>=+\-*/()])"
    r")"
)
_COMPARED: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "=": operator.eq,
    "==": operator.eq,
    "!=": operator.ne,
}
Value = float | str | bool


@dataclass(frozen=True)
class Values:
    """What a condition may speak of.

    Attributes:
        metrics, params: What the runs logged, by "" (the new side) and "base.".
        missing: What to say of a side that has no run, by the same.
    """

    metrics: Mapping[str, Mapping[str, float]]
    params: Mapping[str, Mapping[str, str]]
    missing: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """What became of a condition.

    Attributes:
        holds: Whether it is true; None where it couldn't be told.
        told: The values that it was told by, as ``name = value``.
        problem: Why it couldn't be told; "" where it could.
    """

    holds: bool | None
    told: tuple[str, ...]
    problem: str = ""


class Condition:
    """A condition that was read.

    Args:
        text: What was written.

    Raises:
        FilterError: It doesn't parse, or isn't about whether something is so.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        parser = _Parser(text)
        self._node = parser.read()

    def check(self, values: Values) -> Outcome:
        """Whether the condition holds of some values; never raises."""
        told: dict[str, str] = {}
        problems: list[str] = []
        try:
            found = self._node(_Context(values, told, problems))
        except _Problem as error:
            problems.append(str(error))
            found = False
        shown = tuple(f"{name} = {value}" for name, value in told.items())
        if problems:
            return Outcome(None, shown, "; ".join(dict.fromkeys(problems)))
        return Outcome(bool(found), shown)


class _Problem(Exception):
    """The condition can't be told of these values."""


@dataclass(frozen=True)
class _Context:
    values: Values
    told: dict[str, str]
    problems: list[str]


_Node = Callable[[_Context], Value]


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str
    at: int


class _Parser:
    """Reads a condition; each method reads one line of the grammar above."""

    def __init__(self, text: str) -> None:
        self.text = text
        if len(text) > _MAX_LENGTH:
            raise FilterError("The condition is too long", text[:80], 0)
        self.tokens = self._cut()
        self.next = 0
        self.depth = 0

    def _cut(self) -> list[_Token]:
        found = []
        at, end = 0, len(self.text.rstrip())
        while at < end:
            match = _TOKEN.match(self.text, at)
            if match is None or match.lastgroup is None:
                start = at + len(self.text[at:]) - len(self.text[at:].lstrip())
                raise self._error("This can't be read", start)
            found.append(
                _Token(match.lastgroup, match[match.lastgroup], match.start(match.lastgroup))
            )
            at = match.end()
        found.append(_Token("end", "", end))
        return found

    def _error(self, problem: str, at: int) -> FilterError:
        hint = "as in: metrics.val_acc < base.metrics.val_acc - 0.005; a name with other signs "
        return FilterError(problem, self.text, at, hint=hint + "stands in backticks")

    def _take(self, *signs: str) -> str:
        """The next token's text, if it is one of some signs or words; "" else."""
        token = self.tokens[self.next]
        text = token.text.lower() if token.kind == "word" else token.text
        if token.kind in ("sign", "word") and text in signs:
            self.next += 1
            return text
        return ""

    def read(self) -> _Node:
        node = self._condition()
        token = self.tokens[self.next]
        if token.kind != "end":
            raise self._error(f"{token.text!r} isn't expected here", token.at)
        if not node.is_condition:
            raise self._error("This is a value, and nothing that can be so or not", 0)
        return node

    def _condition(self) -> _Made:
        self.depth += 1
        if self.depth > _MAX_DEPTH:
            raise self._error("This is nested too deeply", self.tokens[self.next].at)
        node = self._joined(self._both, "or", any)
        self.depth -= 1
        return node

    def _both(self) -> _Made:
        return self._joined(self._negation, "and", all)

    def _joined(
        self, part: Callable[[], _Made], word: str, join: Callable[[list[bool]], bool]
    ) -> _Made:
        at = self.tokens[self.next].at
        parts = [part()]
        while self._take(word):
            parts.append(part())
        if len(parts) == 1:
            return parts[0]
        if not all(node.is_condition for node in parts):
            raise self._error(f"{word!r} joins comparisons, and one of these is a value", at)
        # All of them are looked at: what is missing must be seen.
        return _Made(lambda c: join([bool(node(c)) for node in parts]), True)

    def _negation(self) -> _Made:
        at = self.tokens[self.next].at
        count = 0
        while self._take("not"):
            count += 1
        node = self._comparison()
        if count and not node.is_condition:
            raise self._error("'not' needs a comparison", at)
        return _Made(lambda c: not node(c), True) if count % 2 else node

    def _comparison(self) -> _Made:
        at = self.tokens[self.next].at
        left = self._sum()
        sign = self._take(*_COMPARED)
        if not sign:
            return left
        right = self._sum()
        if left.is_condition or right.is_condition:
            raise self._error("A comparison can't be compared again", at)
        return _Made(lambda c: _compared(sign, left(c), right(c)), True)

    def _sum(self) -> _Made:
        return self._calculated(self._product, {"+": operator.add, "-": operator.sub})

    def _product(self) -> _Made:
        return self._calculated(self._factor, {"*": operator.mul, "/": operator.truediv})

    def _calculated(
        self, part: Callable[[], _Made], signs: Mapping[str, Callable[[float, float], float]]
    ) -> _Made:
        at = self.tokens[self.next].at
        node = part()
        rest: list[tuple[str, _Made]] = []
        while sign := self._take(*signs):
            rest.append((sign, part()))
        if not rest:
            return node
        if node.is_condition or any(other.is_condition for _, other in rest):
            raise self._error("A comparison isn't a number", at)

        def calculate(context: _Context) -> Value:
            total = _number(node(context))
            for sign, other in rest:
                total = _result(signs[sign], total, _number(other(context)))
            return total

        return _Made(calculate, False)

    def _factor(self) -> _Made:
        negative = False
        while self._take("-"):
            negative = not negative
        token = self.tokens[self.next]
        node = self._atom(token)
        if negative and node.is_condition:
            raise self._error("A comparison isn't a number", token.at)
        return _Made(lambda c: -_number(node(c)), False) if negative else node

    def _atom(self, token: _Token) -> _Made:
        if self._take("("):
            node = self._condition()
            if not self._take(")"):
                raise self._error("A bracket isn't closed", token.at)
            return node
        if token.kind not in ("number", "text", "name"):
            what = "the condition ends" if token.kind == "end" else f"there is {token.text!r}"
            raise self._error(f"A number or a name is missing: {what} here", token.at)
        self.next += 1
        if token.kind == "number":
            number = float(token.text)
            return _Made(lambda c: number, False)
        if token.kind == "text":
            return _Made(lambda c: token.text[1:-1], False)
        side = "base." if token.text.startswith("base.") else ""
        kind, _, key = token.text[len(side) :].partition(".")
        key = key[1:-1] if key[:1] in ('"', "`") else key
        return _Made(lambda c: _looked_up(c, side, kind, key), False)


@dataclass(frozen=True)
class _Made:
    """What was read: how to get its value, and whether that is true or false."""

    value: _Node
    is_condition: bool

    def __call__(self, context: _Context) -> Value:
        return self.value(context)


def _looked_up(context: _Context, side: str, kind: str, key: str) -> Value:
    name = f"{side}{kind}.{key}"
    values = context.values
    held: Mapping[str, Value] = (values.metrics if kind == "metrics" else values.params)[side]
    found = held.get(key)
    if found is None:
        why = values.missing.get(side) or "it wasn't logged"
        context.problems.append(f"there is no {name}: {why}")
        return 1.0  # so that whatever else is missing is seen, too
    context.told[name] = f"{found:.6g}" if isinstance(found, float) else str(found)
    if isinstance(found, float) and math.isnan(found):
        context.problems.append(f"{name} is NaN")
    return found


def _number(value: Value) -> float:
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            raise _Problem(f"{value[:80]!r} isn't a number") from None
    return float(value)


def _result(calculate: Callable[[float, float], float], a: float, b: float) -> float:
    try:
        found = calculate(a, b)
    except ZeroDivisionError:
        raise _Problem("it divides by zero") from None
    if math.isnan(found):
        raise _Problem("it gives NaN")
    return found


def _compared(sign: str, a: Value, b: Value) -> bool:
    if isinstance(a, str) and isinstance(b, str) and sign in ("=", "==", "!="):
        return _COMPARED[sign](a, b)
    return _COMPARED[sign](_number(a), _number(b))
