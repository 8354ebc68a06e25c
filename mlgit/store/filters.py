"""Search expressions: from text to a small tree, and no further.

The grammar is MLflow's, plus OR, NOT, parentheses, ``==``, ``<>`` and params compared as
numbers:

    filter      := [or] [AND]                      (MLflow tolerates a trailing AND)
    or          := and (OR and)*
    and         := not (AND not)*
    not         := NOT not | ( or ) | comparison
    comparison  := field (= | == | != | <> | < | <= | > | >=) literal
                 | field [NOT] (LIKE | ILIKE) string
                 | field [NOT] IN ( string, ... )
                 | field IS [NOT] NULL
    field       := [kind .] key                    (without a kind: an attribute)
    order       := field [ASC | DESC]

A comparison with a key that isn't there is false, ``!=`` and ``NOT IN`` included, as in
MLflow. NOT turns the truth of the whole around: ``NOT params.a = 'x'`` is true of a run
without ``a``. This module does no I/O and knows no SQL; ``query.py`` compiles the tree.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NoReturn, TypeAlias

from mlgit.exceptions import FilterError, InvalidParameterValue
from mlgit.store.filter_tokens import Token, quote, short, tokens

# What SQLite can take: its parser stacks 100 symbols, half of which the rest of the
# statement may need; its statements bind some thousands of values, and its LIKE patterns have a limit of their own.
MAX_DEPTH = 50
MAX_COMPARISONS = 1000
MAX_LIST_ITEMS = 100_000
MAX_PATTERN = 10_000

Value: TypeAlias = str | float | tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """One test of one field.

    ``kind`` is metric, param, tag, attribute or dataset. ``op`` is one of = != < <= > >=
    LIKE ILIKE IN IS NULL, or the last four with NOT. ``value`` is text, a number, a tuple
    of texts for IN, None for IS NULL. ``position`` is the field's offset in the expression.
    """

    kind: str
    key: str
    op: str
    value: Value
    position: int


@dataclass(frozen=True, slots=True)
class And:
    """True if all terms are."""

    terms: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Or:
    """True if any term is."""

    terms: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """True if the term isn't."""

    term: Node


Node: TypeAlias = Comparison | And | Or | Not


@dataclass(frozen=True, slots=True)
class OrderTerm:
    """One key to sort by; what lacks it comes last either way."""

    kind: str
    key: str
    ascending: bool


@dataclass(frozen=True, slots=True)
class Fields:
    """What may be asked of one sort of thing: its kinds of field, and its attributes."""

    noun: str
    kinds: dict[str, str]
    texts: frozenset[str]
    numbers: frozenset[str]
    aliases: dict[str, str]
    quoted_numbers: bool = False


_TAG = {"tag": "tag", "tags": "tag"}
_ATTRIBUTE = dict.fromkeys(("attribute", "attributes", "attr", "run"), "attribute")

RUNS = Fields(
    noun="run",
    kinds={
        **dict.fromkeys(("metric", "metrics"), "metric"),
        **dict.fromkeys(("param", "params", "parameter", "parameters"), "param"),
        **_TAG,
        **_ATTRIBUTE,
        **dict.fromkeys(("dataset", "datasets"), "dataset"),
    },
    texts=frozenset({"run_id", "run_name", "status", "user_id", "artifact_uri"}),
    numbers=frozenset({"start_time", "end_time"}),
    aliases={
        **dict.fromkeys(("created", "Created"), "start_time"),
        **dict.fromkeys(("run name", "Run name", "Run Name"), "run_name"),
    },
)
EXPERIMENTS = Fields(
    noun="experiment",
    kinds={**_TAG, **dict.fromkeys(("attribute", "attributes", "attr"), "attribute")},
    texts=frozenset({"experiment_id", "name", "artifact_location", "lifecycle_stage"}),
    numbers=frozenset({"creation_time", "last_update_time"}),
    aliases={},
)
REGISTERED_MODELS = Fields(
    noun="registered model",
    kinds={**_TAG, **dict.fromkeys(("attribute", "attributes", "attr"), "attribute")},
    texts=frozenset({"name"}),
    numbers=frozenset({"creation_timestamp", "last_updated_timestamp"}),
    aliases={"timestamp": "last_updated_timestamp"},
)
MODEL_VERSIONS = Fields(
    noun="model version",
    kinds={**_TAG, **dict.fromkeys(("attribute", "attributes", "attr"), "attribute")},
    texts=frozenset({"name", "run_id", "source_path", "current_stage"}),
    numbers=frozenset({"version_number", "creation_timestamp", "last_updated_timestamp"}),
    aliases={},
    quoted_numbers=True,
)
_DATASET_KEYS = ("name", "digest", "context")

_OPERATORS = {"==": "=", "<>": "!=", **{op: op for op in ("=", "!=", "<", "<=", ">", ">=")}}
_MEANT = {"&": "AND", "&&": "AND", "|": "OR", "||": "OR", "!": "NOT", "=>": ">=", "=<": "<="}
_MEANT |= {"===": "=", "!==": "!=", "~": "LIKE", "=~": "LIKE", "><": "!="}


def parse_filter(text: str, fields: Fields = RUNS) -> Node | None:
    """Parse a filter expression.

    Args:
        text: The expression; "" and blanks filter nothing.
        fields: What is being searched: ``RUNS``, ``EXPERIMENTS``, ….

    Returns:
        The tree, or None if there is nothing to filter by.

    Raises:
        FilterError: It doesn't parse, names an unknown field, or compares one with what
            it can't be compared with.
    """
    if not isinstance(text, str):
        raise InvalidParameterValue(f"A filter must be a string, not {type(text).__name__}")
    return _Parser(text, fields).filter()


def parse_order_by(clauses: Iterable[str] | None, fields: Fields = RUNS) -> tuple[OrderTerm, ...]:
    """Parse ``order_by`` clauses, one per key.

    Args:
        clauses: Such as ``["metrics.loss ASC", "start_time DESC"]``.
        fields: What is being searched: ``RUNS``, ``EXPERIMENTS``, ….

    Raises:
        FilterError: A clause doesn't parse, names what can't be sorted by, or repeats a key.
    """
    if isinstance(clauses, str):
        raise InvalidParameterValue(
            "order_by must be a list of strings, not a string", hint=f"write [{clauses!r}]"
        )
    if clauses is not None and not isinstance(clauses, Sequence):
        raise InvalidParameterValue(
            f"order_by must be a list of strings, not {type(clauses).__name__}"
        )
    terms: dict[tuple[str, str], OrderTerm] = {}
    for clause in clauses or ():
        if not isinstance(clause, str):
            raise InvalidParameterValue(
                f"An order_by clause must be a string, not {type(clause).__name__}"
            )
        term = _Parser(clause, fields).order()
        if (term.kind, term.key) in terms:
            raise FilterError(f"order_by names {term.key!r} twice", clause, 0)
        terms[term.kind, term.key] = term
    return tuple(terms.values())


class _Parser:
    """Recursive descent over one expression's tokens."""

    def __init__(self, text: str, fields: Fields) -> None:
        self.text = text
        self.fields = fields
        self.tokens = tokens(text)
        self.next = 0
        self.depth = 0
        self.comparisons = 0
        self.items = 0

    @property
    def token(self) -> Token:
        return self.tokens[self.next]

    def take(self, *keywords: str) -> bool:
        """Whether these keywords come next; if so, go past them."""
        ahead = self.tokens[self.next : self.next + len(keywords)]
        if tuple(token.keyword for token in ahead) != keywords:
            return False
        self.next += len(keywords)
        return True

    def fail(self, problem: str, token: Token | None = None, *, hint: str = "") -> NoReturn:
        raise FilterError(problem, self.text, (token or self.token).position, hint=hint)

    def filter(self) -> Node | None:
        if self.token.type == "end":
            return None
        node = self.either()
        if self.token.type != "end":
            token = self.token
            hint = "join comparisons with AND or OR"
            if token.type == ")":
                hint = "there is no ( that it closes"
            elif token.type == "operator" and token.text in _MEANT:
                hint = f"did you mean {_MEANT[token.text]}?"
            self.fail(f"Expected AND, OR or the end, not {_show(token)}", hint=hint)
        return node

    def order(self) -> OrderTerm:
        kind, key = self.field()
        if kind == "dataset":
            self.fail("Runs can't be sorted by dataset", self.tokens[0])
        ascending = not self.take("DESC")
        if ascending:
            self.take("ASC")
        if self.token.type != "end":
            hint = "give one list item per key" if self.token.type == "," else ""
            self.fail(f"Expected ASC, DESC or the end, not {_show(self.token)}", hint=hint)
        return OrderTerm(kind, key, ascending)

    def either(self) -> Node:
        terms = [self.both()]
        while self.take("OR"):
            terms.append(self.both())
        return terms[0] if len(terms) == 1 else Or(tuple(terms))

    def both(self) -> Node:
        terms = [self.negation()]
        while self.take("AND"):
            if self.token.type == "end":
                break
            terms.append(self.negation())
        return terms[0] if len(terms) == 1 else And(tuple(terms))

    def negation(self) -> Node:
        if self.token.keyword != "NOT" and self.token.type != "(":
            return self.comparison()
        opening = self.token
        self.depth += 1
        if self.depth > MAX_DEPTH:
            self.fail(f"The expression is nested more than {MAX_DEPTH} deep")
        self.next += 1
        node: Node
        if opening.keyword:
            node = Not(self.negation())
        else:
            if self.token.type == ")":
                self.fail("The parentheses are empty", opening)
            node = self.either()
            if self.token.type == "end":
                self.fail("The parenthesis ( is not closed", opening)
            if self.token.type != ")":
                self.fail(f"Expected AND, OR or ), not {_show(self.token)}")
            self.next += 1
        self.depth -= 1
        return node

    def comparison(self) -> Comparison:
        self.comparisons += 1
        if self.comparisons > MAX_COMPARISONS:
            self.fail(
                f"The filter has more than {MAX_COMPARISONS} comparisons",
                hint="test one field against many values with IN ('a', 'b', ...)",
            )
        position = self.token.position
        kind, key = self.field()
        op, token = self.operator()
        value = self.value(kind, key, op, token)
        return Comparison(kind, key, op, value, position)

    def field(self) -> tuple[str, str]:
        """The kind and key of the field that comes next."""
        token = self.token
        quoted = token.type == "string" and token.quote != "'"
        if token.keyword or not (token.type == "word" or quoted):
            hint = "such as metrics.loss, params.lr, tags.team or status"
            if self.fields is not RUNS:
                hint = "such as name or tags.team"
            self.fail(f"Expected a field, not {_show(token)}", hint=hint)
        self.next += 1
        kinds = self.fields.kinds
        if token.kind is None:
            return "attribute", self.attribute(token)
        kind = kinds.get(token.kind.lower())
        if kind is None:
            hint = _did_you_mean(token.kind, kinds) or "kinds: " + ", ".join(
                dict.fromkeys(kinds.values())
            )
            self.fail(
                f"A {self.fields.noun} has no fields of kind {short(token.kind)}", token, hint=hint
            )
        if not token.text:
            self.fail(f"The {kind}'s name is missing", token)
        if token.quote == "'":
            self.fail("A key takes double quotes or backticks", token)
        if kind == "attribute":
            return kind, self.attribute(token)
        if kind == "dataset" and token.text not in _DATASET_KEYS:
            hint = _did_you_mean(token.text, _DATASET_KEYS) or "name, digest or context"
            self.fail(f"A dataset has no {short(token.text)} to search by", token, hint=hint)
        return kind, token.text

    def attribute(self, token: Token) -> str:
        known = self.fields.texts | self.fields.numbers
        name = self.fields.aliases.get(token.text, token.text)
        if name in known:
            return name
        close = _did_you_mean(name, sorted(known | set(self.fields.kinds)))
        hint = close or "attributes: " + ", ".join(sorted(known))
        self.fail(
            f"A {self.fields.noun} has no attribute {short(token.text)}",
            token,
            hint=hint + "; metrics, params and tags are written metrics.x, params.x, tags.x"
            if self.fields is RUNS and not close
            else hint,
        )

    def operator(self) -> tuple[str, Token]:
        """The operator that comes next, normalised, and its first token."""
        token = self.token
        if token.type == "operator":
            op = _OPERATORS.get(token.text)
            if op is None:
                meant = _MEANT.get(token.text)
                hint = f"did you mean {meant}?" if meant else "= != < <= > >= LIKE ILIKE IN IS NULL"
                self.fail(f"Unknown operator {token.text}", hint=hint)
            self.next += 1
            return op, token
        for words in _WORD_OPERATORS:
            if self.take(*words):
                return " ".join(words), token
        hint = "= != < <= > >= LIKE ILIKE IN IS NULL"
        if token.type == "word" and token.kind is None:
            hint = _did_you_mean(token.text.upper(), ("LIKE", "ILIKE", "IN", "IS NULL")) or hint
        self.fail(f"Expected an operator, not {_show(token)}", hint=hint)

    def value(self, kind: str, key: str, op: str, operator: Token) -> Value:
        """The value that comes next, if ``op`` can compare the field with it."""
        if op.startswith("IS"):
            return None
        numeric = kind == "metric" or (kind == "attribute" and key in self.fields.numbers)
        if numeric and op[-1] not in "=<>":
            self.fail(
                f"{op} compares text, but {kind} {short(key)} is a number",
                operator,
                hint="use = != < <= > or >=",
            )
        if op.endswith("IN"):
            return self.texts()
        token = self.token
        if token.type == "number" and (numeric or kind == "param") and op[-1] in "=<>":
            return self.number()
        if numeric and self.fields.quoted_numbers and re.match(r"^-?[0-9]{1,18}\Z", token.text):
            self.next += 1
            return int(token.text)
        if token.type == "string" and token.quote != "`" and not numeric:
            return self.string(kind, key, op, operator)
        wanted = "a number" if numeric else "a quoted string"
        hint = ""
        if not numeric and token.type in ("word", "number") and not token.keyword:
            hint = "write " + quote(_source(token))
        if numeric and token.type == "string":
            hint = "numbers take no quotes"
        if numeric and token.text.lower() in ("nan", "inf", "infinity"):
            hint = "search expressions have no NaN and no infinity"
        self.fail(f"{kind} {short(key)} takes {wanted}, not {_show(token)}", hint=hint)

    def string(self, kind: str, key: str, op: str, operator: Token) -> str:
        token = self.token
        if op[0] in "<>":
            hint = "text knows only = != LIKE ILIKE IN"
            if kind == "param":
                hint = "params compare as numbers: write the number without quotes"
            self.fail(f"{op} can't compare {kind} {short(key)} with text", operator, hint=hint)
        if op.endswith("LIKE") and len(token.text) > MAX_PATTERN:
            self.fail(f"The pattern is longer than {MAX_PATTERN} characters")
        self.next += 1
        return token.text

    def number(self) -> float:
        """An int where it fits 64 bits, so that times compare exactly; else a float."""
        token = self.token
        number = float(token.text)
        if math.isinf(number):
            self.fail(f"{short(token.text)} is too large a number")
        self.next += 1
        digits = token.text.lstrip("+-")
        if digits.isdigit() and -(2**63) <= int(token.text) < 2**63:
            return int(token.text)
        return number

    def texts(self) -> tuple[str, ...]:
        opening = self.token
        if opening.type != "(":
            self.fail(f"Expected a list, not {_show(opening)}", hint="write IN ('a', 'b')")
        values: list[str] = []
        while True:
            self.next += 1
            token = self.token
            if token.type == ")" and not values:
                self.fail("The list is empty", opening)
            if token.type != "string" or token.quote == "`":
                self.fail(f"Expected a quoted string, not {_show(token)}")
            values.append(token.text)
            self.next += 1
            if self.token.type not in (",", ")"):
                self.fail(f"Expected , or ), not {_show(self.token)}")
            if self.token.type == ")":
                break
        self.next += 1
        self.items += len(values)
        if self.items > MAX_LIST_ITEMS:
            self.fail(f"The filter lists more than {MAX_LIST_ITEMS} values", opening)
        return tuple(values)


_WORD_OPERATORS = (
    ("LIKE",),
    ("ILIKE",),
    ("IN",),
    ("NOT", "LIKE"),
    ("NOT", "ILIKE"),
    ("NOT", "IN"),
    ("IS", "NULL"),
    ("IS", "NOT", "NULL"),
)


def _did_you_mean(word: str, known: Iterable[str]) -> str:
    names: Sequence[str] = list(known)
    folded = {name.casefold(): name for name in names}
    import difflib

    close = difflib.get_close_matches(word[:100].casefold(), folded, n=1)
    return f"did you mean {folded[close[0]]}?" if close else ""


def _source(token: Token) -> str:
    return token.text if token.kind is None else f"{token.kind}.{token.text}"


def _show(token: Token) -> str:
    if token.type == "end":
        return "the end"
    if token.type in ("word", "string"):
        return short(_source(token))
    return short(token.text) if token.type == "number" else token.text
