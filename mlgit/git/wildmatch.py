"""Git's path patterns, as .gitignore and .gitattributes write them.

Most patterns of real files are a plain name or ``*.suffix``; those are compared directly, and
a regular expression is compiled only for the rest, when it is first needed.
"""

from __future__ import annotations

import re
from collections.abc import Callable

_SPECIAL = frozenset(b"*?[\\")
_CLASSES: dict[bytes, Callable[[int], bool]] = {
    b"alnum": lambda c: chr(c).isalnum(),
    b"alpha": lambda c: chr(c).isalpha(),
    b"blank": lambda c: c in b" \t",
    b"cntrl": lambda c: c < 32 or c == 127,
    b"digit": lambda c: 48 <= c <= 57,
    b"graph": lambda c: 32 < c < 127,
    b"lower": lambda c: 97 <= c <= 122,
    b"print": lambda c: 32 <= c < 127,
    b"punct": lambda c: 32 < c < 127 and not chr(c).isalnum(),
    b"space": lambda c: c in b" \t\n\r\f\v",
    b"upper": lambda c: 65 <= c <= 90,
    b"xdigit": lambda c: c in b"0123456789abcdefABCDEF",
}


class Pattern:
    """One pattern, relative to the directory of the file that holds it.

    Args:
        text: The pattern without line end; a leading ``!`` has been taken off by the caller.
        ignore_case: Whether core.ignoreCase holds.

    Attributes:
        dir_only: The pattern ended in ``/``: it matches directories alone.
    """

    __slots__ = ("_body", "_by_name", "_form", "_ignore_case", "_regex", "dir_only")

    def __init__(self, text: bytes, ignore_case: bool = False) -> None:
        self.dir_only = text.endswith(b"/")
        body = text[:-1] if self.dir_only else text
        self._by_name = b"/" not in body
        body = body.removeprefix(b"/")
        self._ignore_case = ignore_case
        self._body = body.lower() if ignore_case else body
        self._regex: re.Pattern[bytes] | None = None
        if not body:
            self._form = "never"
        elif not _SPECIAL.intersection(body):
            self._form = "exact"
        elif self._by_name and body[0] == 42 and not _SPECIAL.intersection(body[1:]):
            self._form = "suffix"
        else:
            self._form = "regex"

    def matches(self, relative: bytes, is_dir: bool) -> bool:
        """Whether the pattern matches a path.

        Args:
            relative: The path, relative to the pattern's own directory, ``/`` between parts.
            is_dir: Whether the path is a directory.
        """
        if self._form == "never" or (self.dir_only and not is_dir):
            return False
        text = relative[relative.rfind(b"/") + 1 :] if self._by_name else relative
        if self._ignore_case:
            text = text.lower()
        if self._form == "exact":
            return text == self._body
        if self._form == "suffix":
            return text.endswith(self._body[1:])
        if self._regex is None:
            self._regex = re.compile(translate(self._body, not self._by_name), re.DOTALL)
        return self._regex.fullmatch(text) is not None


def translate(pattern: bytes, pathname: bool) -> bytes:
    """A pattern as the source of a regular expression that has to match the whole text.

    Args:
        pattern: The pattern.
        pathname: Whether wildcards stop at ``/``, and ``**`` alone between slashes does not.
    """
    out: list[bytes] = []
    at, end = 0, len(pattern)
    while at < end:
        char = pattern[at : at + 1]
        if char == b"*":
            source, at = _stars(pattern, at, pathname)
        elif char == b"?":
            source, at = (b"[^/]" if pathname else b"."), at + 1
        elif char == b"[":
            source, at = _bracket(pattern, at, pathname)
        elif char == b"\\":
            # A backslash at the very end escapes nothing and can match nothing.
            source = re.escape(pattern[at + 1 : at + 2]) if at + 1 < end else b"(?!)"
            at += 2
        else:
            source, at = re.escape(char), at + 1
        out.append(source)
    return b"".join(out)


def _stars(pattern: bytes, at: int, pathname: bool) -> tuple[bytes, int]:
    stop = at
    while pattern[stop : stop + 1] == b"*":
        stop += 1
    if not pathname:
        return b".*", stop
    # Git compares what precedes the first wildcard apart, so `a**/b` starts with stars for it.
    opens = pattern[at - 1 : at] == b"/" or not _SPECIAL.intersection(pattern[:at])
    if stop - at > 1 and opens:
        if stop == len(pattern):
            return b".*", stop
        if pattern[stop : stop + 1] == b"/":
            return b"(?:.*/)?", stop + 1
    return b"[^/]*", stop


def _bracket(pattern: bytes, at: int, pathname: bool) -> tuple[bytes, int]:
    """The set at ``at`` as a regular expression; a set that never closes matches nothing."""
    at += 1
    negated = pattern[at : at + 1] in (b"!", b"^")
    at += negated
    members: set[int] = set()
    first, end = True, len(pattern)
    while True:
        if at >= end:
            return b"(?!)", end
        if pattern[at] == 93 and not first:
            at += 1
            break
        first = False
        closing = pattern.find(b":]", at + 2) if pattern[at : at + 2] == b"[:" else -1
        if closing >= 0:
            test = _CLASSES.get(pattern[at + 2 : closing])
            if test is None:
                return b"(?!)", end
            members.update(code for code in range(128) if test(code))
            at = closing + 2
            continue
        low, at = _member(pattern, at)
        if pattern[at : at + 1] == b"-" and pattern[at + 1 : at + 2] not in (b"", b"]"):
            high, at = _member(pattern, at + 1)
            members.update(range(low, high + 1))
        members.add(low)  # of a reversed range too
    if negated:
        members = set(range(256)) - members
    if pathname:
        members.discard(47)
    if not members:
        return b"(?!)", at
    return b"[" + b"".join(b"\\x%02x" % code for code in sorted(members)) + b"]", at


def _member(pattern: bytes, at: int) -> tuple[int, int]:
    if pattern[at] == 92 and at + 1 < len(pattern):
        at += 1
    return pattern[at], at + 1
