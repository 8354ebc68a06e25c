"""Search expressions cut into words, numbers, quoted strings and signs."""

from __future__ import annotations

import re
from dataclasses import dataclass

from mlgit.exceptions import FilterError

_SPACE = re.compile(r"\s*")
_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?(?![\w.])")
# MLflow wants quotes around keys with - / or :; nothing else could be meant by them here.
_WORD = re.compile(r"[^\W\d][\w./:\-]*")
_OPERATOR = re.compile(r"[<>=!~&|^*]+")
_ANY_WORD = re.compile(r"[\w.+\-]+")
_UNSTORABLE = re.compile("[\ud800-\udfff\0]")
_KEYWORDS = frozenset({"AND", "OR", "NOT", "IN", "LIKE", "ILIKE", "IS", "NULL", "ASC", "DESC"})


@dataclass(frozen=True, slots=True)
class Token:
    """One token. ``type`` is word, number, string, operator, a punctuation mark, or end."""

    type: str
    text: str
    position: int
    # Of a word: the part before the first dot; None if there's no dot.
    kind: str | None = None
    # Of a string or word: the quote mark around it or its key.
    quote: str = ""

    @property
    def keyword(self) -> str:
        """The keyword that this is, in capitals, or ""."""
        if self.type != "word" or self.kind is not None or self.quote:
            return ""
        upper = self.text.upper()
        return upper if upper in _KEYWORDS else ""


def tokens(text: str) -> list[Token]:
    """Cut an expression up; the last token's type is "end".

    Raises:
        FilterError: Something in it is no token, or a quote isn't closed.
    """
    bad = _UNSTORABLE.search(text)
    if bad:
        raise FilterError("A filter can't hold NUL or a lone surrogate", text, bad.start())
    found: list[Token] = []
    position = _SPACE.match(text).end()  # type: ignore[union-attr]
    while position < len(text):
        token, position = _next_token(text, position)
        found.append(token)
        position = _SPACE.match(text, position).end()  # type: ignore[union-attr]
    found.append(Token("end", "", len(text)))
    return found


def _next_token(text: str, start: int) -> tuple[Token, int]:
    if text[start] in "(),":
        return Token(text[start], text[start], start), start + 1
    if match := _NUMBER.match(text, start):
        return Token("number", match[0], start), match.end()
    if match := _OPERATOR.match(text, start):
        return Token("operator", match[0], start), match.end()
    if match := _WORD.match(text, start):
        return _word(text, start, match.end())
    if text[start] in "'\"`":
        return _quoted_token(text, start)
    if match := _ANY_WORD.match(text, start):
        raise FilterError(
            f"{short(match[0])} is neither a number nor a name",
            text,
            start,
            hint="put text in quotes: " + quote(match[0]),
        )
    hint = "one expression at a time" if text[start] == ";" else ""
    raise FilterError(f"Unexpected character {text[start]!r}", text, start, hint=hint)


def _word(text: str, start: int, end: int) -> tuple[Token, int]:
    word = text[start:end]
    kind, dot, key = word.partition(".")
    if dot and not key and text[end : end + 1] in ("'", '"', "`"):
        token, after = _quoted(text, end)
        return Token("word", token, start, kind, text[end]), after
    return Token("word", key if dot else word, start, kind if dot else None), end


def _quoted_token(text: str, start: int) -> tuple[Token, int]:
    value, end = _quoted(text, start)
    # `metric`.key: MLflow lets the kind be quoted as well.
    if text[start] == "`" and text[end : end + 1] == ".":
        match = _WORD.match(text, end + 1)
        if match:
            return Token("word", match[0], start, value), match.end()
        if text[end + 1 : end + 2] in ('"', "`"):
            key, after = _quoted(text, end + 1)
            return Token("word", key, start, value, text[end + 1]), after
    return Token("string", value, start, quote=text[start]), end


def _quoted(text: str, start: int) -> tuple[str, int]:
    end = text.find(text[start], start + 1)
    if end < 0:
        raise FilterError(f"The quote {text[start]} is not closed", text, start)
    return text[start + 1 : end], end + 1


def quote(text: str) -> str:
    """The text as a quoted string of the grammar."""
    return '"' + text + '"' if "'" in text else "'" + text + "'"


def field(kind: str, key: str) -> str | None:
    """A field of the grammar, quoted where it must be; None for a key that can't be written.

    Args:
        kind: Such as "metrics".
        key: Such as "val loss".
    """
    plain = f"{kind}.{key}"
    match = _WORD.match(plain)
    if match and match[0] == plain:
        return plain
    mark = next((mark for mark in '`"' if mark not in key), None)
    if mark is None or not key or _UNSTORABLE.search(key):
        return None
    return f"{kind}.{mark}{key}{mark}"


def short(text: str) -> str:
    """The text as it is shown in messages, cut if it is long."""
    return repr(text if len(text) <= 60 else text[:50] + "…" + text[-8:])
