"""Names of models and aliases as tags spell them: written and read side by side.

GTO knows letters, digits and ``-_/``; any other name is escaped (docs/format.md, "How names
are spelled").
"""

from __future__ import annotations

import hashlib
import re
from functools import lru_cache

# What GTO takes for a name, with the folder that it takes before a model's.
_NAME = r"[a-zA-Z0-9](?:[a-zA-Z0-9/_-]*[a-zA-Z0-9])?"
MODEL = rf"(?:[a-zA-Z0-9_./-]+=)?{_NAME}"
ALIAS = _NAME
_GTO = re.compile(rf"^(?:[a-zA-Z0-9_./-]+:)?{_NAME}\Z")
_ESCAPE = re.compile(r"_(?:x([0-9a-f]{2})|u([0-9a-f]{4})|U([0-9a-f]{6}))")
_SPECIAL = re.compile(r"[^A-Za-z0-9_-]|_(?=[xuU])|^[-_]|[-_]\Z")
_LONGEST = 160
_KEPT = 120


@lru_cache(maxsize=4096)
def spell(name: str) -> str:
    """How tags spell a name; the one spelling that it has."""
    if _GTO.match(name) and len(name) <= _LONGEST and _read(name.replace(":", "=")) == name:
        return name.replace(":", "=")
    return _escaped(name)


@lru_cache(maxsize=65536)
def read(spelling: str) -> str:
    """The name that a spelling stands for; itself where it was cut."""
    return _read(spelling)


def is_cut(spelling: str) -> bool:
    """Whether a spelling may be a cut one, from which the name can't be read."""
    return bool(re.search(r"-[0-9a-f]{32}\Z", spelling))


def _read(spelling: str) -> str:
    text = spelling
    if text.startswith("x_") and _ESCAPE.match(text, 1):
        text = text[1:]
    try:
        name = _ESCAPE.sub(lambda m: chr(int(m[1] or m[2] or m[3], 16)), text)
    except (ValueError, OverflowError):
        name = spelling
    literal = spelling.replace("=", ":")
    if name == spelling or _escaped(name) != spelling:
        return literal
    # A name that needs no escape is escaped only where it would itself be read as one.
    if _GTO.match(name) and len(name) <= _LONGEST and _read(name) == name:
        return literal
    return name


def _escaped(name: str) -> str:
    text = _SPECIAL.sub(lambda m: _escape(m[0]), name)
    if text.startswith("x") and _ESCAPE.match(text, 1):
        text = _escape("x") + text[1:]
    if text.startswith("_"):
        text = "x" + text
    if len(text) <= _LONGEST:
        return text
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:32]
    return f"{text[:_KEPT].rstrip('-_')}-{digest}"


def _escape(character: str) -> str:
    code = ord(character)
    if code < 0x100:
        return f"_x{code:02x}"
    return f"_u{code:04x}" if code < 0x10000 else f"_U{code:06x}"
