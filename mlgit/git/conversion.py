"""From a file's bytes in the worktree to the bytes that Git stores.

Line ends, ``$Id$`` and encodings are converted as ``git add`` does. Configured filters are
never run: a repository's configuration must not make a tracking tool execute anything. The
one filter with a published result, Git LFS's pointer, is computed here.
"""

from __future__ import annotations

import codecs
import hashlib
import re
from collections.abc import Callable
from typing import NamedTuple

from mlgit.git.attributes import State

_CONTROL = bytes(code for code in range(32) if code not in b"\b\t\x1b\f\r\n") + b"\x7f"
_IDENT = re.compile(rb"\$Id:[^$\n]*\$")
_LFS_POINTER = re.compile(
    rb"version https://(?:git-lfs\.github\.com|hawser\.github\.com)/spec/v1\n"
    rb"(?:ext-\d-[^\n]+\n)*oid sha256:[0-9a-f]{64}\nsize \d+\n?"
)


class ConversionError(ValueError):
    """The bytes aren't in the encoding that the path's attributes name."""


class Conversion(NamedTuple):
    """How one path is converted.

    Attributes:
        line_ends: "keep", "text" (CRLF always becomes LF) or "auto" (where it looks like text).
        ident: Whether ``$Id: …$`` is collapsed.
        encoding: The worktree's encoding, where it isn't UTF-8.
        filter: The name of the filter driver, or None.
    """

    line_ends: str = "keep"
    ident: bool = False
    encoding: str | None = None
    filter: str | None = None


def conversion(attributes: dict[bytes, State], autocrlf: bool) -> Conversion:
    """What a path's attributes and the configuration ask for.

    Args:
        attributes: As looked up for the path.
        autocrlf: Whether core.autocrlf is true or "input"; both convert to LF on the way in.
    """
    encoding = attributes.get(b"working-tree-encoding")
    name = encoding.decode("ascii", "replace") if isinstance(encoding, bytes) else ""
    driver = attributes.get(b"filter")
    return Conversion(
        _line_ends(attributes, autocrlf),
        attributes.get(b"ident") is True,
        name if name.lower() not in ("", "utf-8", "utf8") else None,
        driver.decode("utf-8", "surrogateescape") if isinstance(driver, bytes) else None,
    )


def to_git(data: bytes, how: Conversion, indexed: Callable[[], bytes | None]) -> bytes:
    """The bytes that Git stores for a file; filters are left to the caller.

    Args:
        data: The file's bytes.
        how: The path's conversion.
        indexed: Reads the path's blob in the index, None where there is none: line ends are
            not guessed for a file that was committed with CRLF.

    Returns:
        The converted bytes.

    Raises:
        ConversionError: They aren't in the encoding that the attributes name.
    """
    if how.encoding is not None:
        data = _decode(data, how.encoding).encode("utf-8")
    if how.line_ends == "text":
        data = data.replace(b"\r\n", b"\n")
    elif how.line_ends == "auto" and b"\r\n" in data and not _looks_binary(data):
        before = indexed()
        if before is None or b"\r\n" not in before or _looks_binary(before):
            data = data.replace(b"\r\n", b"\n")
    if how.ident:
        data = _IDENT.sub(b"$Id$", data)
    return data


def lfs_pointer(data: bytes) -> bytes:
    """What Git LFS stores for a file: its pointer; a pointer and an empty file stay."""
    if not data or (len(data) < 1024 and _LFS_POINTER.fullmatch(data)):
        return data
    digest = hashlib.sha256(data).hexdigest()
    text = f"version https://git-lfs.github.com/spec/v1\noid sha256:{digest}\nsize {len(data)}\n"
    return text.encode()


def _line_ends(attributes: dict[bytes, State], autocrlf: bool) -> str:
    action = _text_action(attributes.get(b"text"))
    if action is None:
        action = _text_action(attributes.get(b"crlf"))  # the attribute's name before Git 1.7.2
    if action == "keep":
        return action
    if attributes.get(b"eol") in (b"lf", b"crlf"):
        return "auto" if action == "auto" else "text"
    if action is None:
        return "auto" if autocrlf else "keep"
    return action


def _text_action(state: State) -> str | None:
    if state is True or state == b"input":
        return "text"
    if state is False:
        return "keep"
    return "auto" if state == b"auto" else None


def _looks_binary(data: bytes) -> bool:
    """Git's guess: a NUL, a lone CR, or more than one control byte in 128."""
    if b"\0" in data or data.count(b"\r") != data.count(b"\r\n"):
        return True
    visible = len(data.translate(None, _CONTROL))
    control = len(data) - visible - data.endswith(b"\x1a")
    printable = visible - data.count(b"\r") - data.count(b"\n")
    return printable >> 7 < control


def _decode(data: bytes, encoding: str) -> str:
    name = encoding.upper()
    with_bom = name in ("UTF-16", "UTF-32", "UTF-16LE-BOM", "UTF-16BE-BOM")
    boms = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)
    if name.startswith(("UTF-16", "UTF-32")) and data and data.startswith(boms) != with_bom:
        raise ConversionError(f"the byte order mark doesn't fit {encoding}")
    try:
        return data.decode("UTF-16" if name.endswith("-BOM") else encoding)
    except (LookupError, UnicodeDecodeError) as error:
        raise ConversionError(str(error)) from error
