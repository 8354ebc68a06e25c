"""Attributes of paths, from .gitattributes files, as Git reads them when files are added."""

from __future__ import annotations

import re
from collections.abc import Callable

from mlgit.git.wildmatch import Pattern

# An attribute's state: True (set), False (unset with "-"), a value, or None ("!": unspecified,
# which still hides what files of lower precedence say).
State = bool | bytes | None
_Assignments = list[tuple[bytes, State]]

_BUILTIN_MACROS: dict[bytes, _Assignments] = {
    b"binary": [(b"diff", False), (b"merge", False), (b"text", False)]
}
_QUOTED = re.compile(rb'"((?:[^"\\]|\\.)*)"')
_ESCAPE = re.compile(rb"\\([0-7]{3}|.)")
_ESCAPES = {b"a": b"\a", b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t"}


class AttributesFile:
    """The rules of one attributes file.

    Args:
        data: The file's content.
        base: The directory it is in, with a trailing slash, or b"".
        ignore_case: Whether core.ignoreCase holds.
        macros: Whether ``[attr]`` lines count here (not below the top directory).
    """

    def __init__(self, data: bytes, base: bytes, ignore_case: bool, *, macros: bool) -> None:
        self.base = base
        self.rules: list[tuple[Pattern, _Assignments]] = []
        self.macros: dict[bytes, _Assignments] = {}
        for line in data.removeprefix(b"\xef\xbb\xbf").split(b"\n"):
            text = line.strip(b" \t\r")
            if not text or text.startswith(b"#"):
                continue
            pattern, rest = _split_pattern(text)
            assignments = [_assignment(word) for word in rest.split()]
            if pattern.startswith(b"[attr]"):
                if macros:
                    self.macros[pattern.removeprefix(b"[attr]")] = assignments
            elif not pattern.startswith(b"!"):  # Git forbids negative patterns here
                self.rules.append((Pattern(pattern, ignore_case), assignments))
        self.rules.reverse()


class Attributes:
    """Looks up attributes, keeping what it parsed for as long as the files stay the same.

    Args:
        read: Given a directory (with a trailing slash, or b""), the content of its
            .gitattributes, the identical object while it is unchanged; None where there is none.
    """

    def __init__(self, read: Callable[[bytes], bytes | None]) -> None:
        self._read = read
        self._parsed: dict[bytes, tuple[bytes, bool, AttributesFile]] = {}
        self._stacks: dict[bytes, list[AttributesFile]] = {}
        self._outer: list[tuple[bytes, bytes]] = []
        self._info: tuple[bytes, bytes] | None = None
        self._ignore_case = False

    def begin(
        self, outer: list[tuple[bytes, bytes]], info: tuple[bytes, bytes] | None, ignore_case: bool
    ) -> None:
        """Start a round of lookups in which every file is read at most once.

        Args:
            outer: (path, content) of the system's and the person's files, weakest first.
            info: (path, content) of info/attributes, which beats every other.
            ignore_case: Whether core.ignoreCase holds.
        """
        self._stacks = {}
        self._outer, self._info, self._ignore_case = outer, info, ignore_case

    def lookup(self, path: bytes) -> dict[bytes, State]:
        """Every attribute that some rule gives a path.

        Args:
            path: A file, relative to the worktree.
        """
        files = self._stack(path[: path.rfind(b"/") + 1])
        if self._info is not None:
            files = [*files, self._file(b"info:" + self._info[0], self._info[1], b"")]
        macros = dict(_BUILTIN_MACROS)
        for file in files:
            macros.update(file.macros)
        found: dict[bytes, State] = {}
        for file in reversed(files):
            relative = path[len(file.base) :]
            for pattern, assignments in file.rules:
                if pattern.matches(relative, False):
                    _assign(found, assignments, macros)
        return found

    def _stack(self, directory: bytes) -> list[AttributesFile]:
        """The files that hold for a directory, weakest first."""
        stack = self._stacks.get(directory)
        if stack is not None:
            return stack
        if directory:
            stack = self._stack(directory[: directory.rfind(b"/", 0, -1) + 1])
        else:
            stack = [self._file(b"outer:" + where, data, b"") for where, data in self._outer]
        data = self._read(directory)
        if data is not None:
            stack = [*stack, self._file(b"in:" + directory, data, directory)]
        self._stacks[directory] = stack
        return stack

    def _file(self, key: bytes, data: bytes, base: bytes) -> AttributesFile:
        kept = self._parsed.get(key)
        if kept is not None and kept[0] is data and kept[1] == self._ignore_case:
            return kept[2]
        parsed = AttributesFile(data, base, self._ignore_case, macros=not base)
        self._parsed[key] = (data, self._ignore_case, parsed)
        return parsed


def _assign(
    found: dict[bytes, State], assignments: _Assignments, macros: dict[bytes, _Assignments]
) -> None:
    """Add what isn't decided yet: callers come from the strongest rule to the weakest."""
    for name, state in reversed(assignments):
        if name not in found:
            found[name] = state
            if state is True and name in macros:
                _assign(found, macros[name], macros)


def _split_pattern(text: bytes) -> tuple[bytes, bytes]:
    quoted = _QUOTED.match(text)
    if quoted is not None:
        return _ESCAPE.sub(_unescape, quoted[1]), text[quoted.end() :]
    pattern, *rest = text.split(None, 1)
    if pattern == b"[attr]" and rest:  # "[attr] name" is taken as "[attr]name"
        name, *rest = rest[0].split(None, 1)
        pattern += name
    return pattern, rest[0] if rest else b""


def _unescape(found: re.Match[bytes]) -> bytes:
    code = found[1]
    return bytes([int(code, 8)]) if len(code) == 3 else _ESCAPES.get(code, code)


def _assignment(word: bytes) -> tuple[bytes, State]:
    if word.startswith(b"-"):
        return word[1:], False
    if word.startswith(b"!"):
        return word[1:], None
    name, equals, value = word.partition(b"=")
    return name, value if equals else True
