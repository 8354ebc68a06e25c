"""Manifests: the object that describes one folder (docs/format.md, "Objects").

Writer and parser stand side by side; ``parse_manifest(format_manifest(x)) == x``.
"""

from __future__ import annotations

import os
import re
from typing import NamedTuple

from mlgit.exceptions import CorruptData, InvalidParameterValue, Unsupported

HEADER = b"mlgit-manifest 1\n"
_ESCAPED = re.compile(rb"%([0-9A-F]{2})")
_TO_ESCAPE = re.compile("[%\x00-\x1f\x7f\udc80-\udcff]")
# What HFS+ leaves out when it compares names (Git's utf8.c, next_hfs_char).
_UNSEEN = re.compile("[\u200c-\u200f\u202a-\u202e\u206a-\u206f\ufeff]")
_LINE = re.compile(rb"^([fxd]) ([0-9a-f]{64}) (\d{1,19}) (\d{1,19}) (.+)\Z", re.DOTALL)


class Entry(NamedTuple):
    """A file or folder by content.

    Attributes:
        kind: "f" a file, "x" an executable file, "d" a folder.
        sha256: Of the file's bytes, or of the folder's manifest, in hex.
        size: In bytes; a folder's is the sum of what is below it.
        files: How many files; 1 for a file.
    """

    kind: str
    sha256: str
    size: int
    files: int = 1


def check_name(name: str) -> str:
    """Return ``name`` if it may stand in a folder.

    Raises:
        InvalidParameterValue: It is empty, ".", "..", or holds a slash or NUL.
    """
    if name in ("", ".", "..") or "/" in name or "\0" in name:
        raise InvalidParameterValue(f"{name!r} can't be the name of a file in a folder")
    return name


def is_git_name(name: str) -> bool:
    """Whether some file system takes a name for ``.git``: what is in there can run programs."""
    lowered = name.lower()
    if not name.isascii():
        lowered = _UNSEEN.sub("", lowered)
    return lowered == "git~1" or lowered.rstrip(" .") == ".git" or lowered.startswith(".git::")


def format_manifest(entries: dict[str, Entry]) -> bytes:
    """The manifest of a folder, from its entries by name.

    Raises:
        InvalidParameterValue: A name can't stand in a folder.
    """
    lines = []
    for name, entry in entries.items():
        raw = os.fsencode(check_name(name))
        shown = escaped(name).encode()
        line = f"{entry.kind} {entry.sha256} {entry.size} {entry.files} ".encode() + shown + b"\n"
        lines.append((raw, line))
    lines.sort()
    return HEADER + b"".join(line for _, line in lines)


def escaped(name: str) -> str:
    """A file's name as UTF-8 text on one line (docs/format.md, "Objects")."""
    return _TO_ESCAPE.sub(_escape, name)


def unescaped(shown: bytes) -> str:
    """The name that ``escaped`` was given."""
    return os.fsdecode(_ESCAPED.sub(lambda m: bytes([int(m[1], 16)]), shown))


def _escape(match: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in os.fsencode(match[0]))


def parse_manifest(data: bytes) -> dict[str, Entry]:
    """The entries of a folder by name, from its manifest.

    Raises:
        CorruptData: It isn't a manifest, or names something outside its folder.
        Unsupported: It is one of a later version.
    """
    if not data.startswith(HEADER):
        if data.startswith(b"mlgit-manifest "):
            version = data[15:25].split(b"\n")[0].decode("ascii", "replace")
            raise Unsupported(
                f"This folder's manifest has version {version}; this mlgit reads version 1",
                hint="upgrade: pip install --upgrade mlgit",
            )
        raise CorruptData("This object isn't a folder's manifest")
    entries = {}
    for line in data[len(HEADER) :].split(b"\n")[:-1]:
        match = _LINE.match(line)
        if not match:
            raise CorruptData(f"A folder's manifest has a line that doesn't parse: {line[:80]!r}")
        kind, sha, size, files, shown = match.groups()
        name = unescaped(shown)
        if name in (".", "..") or "/" in name or "\0" in name:
            raise CorruptData(f"A folder's manifest names {name!r}, which is outside its folder")
        entries[name] = Entry(kind.decode(), sha.decode(), int(size), int(files))
    return entries
