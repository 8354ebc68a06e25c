"""Which untracked paths Git ignores: .gitignore files, info/exclude and core.excludesFile."""

from __future__ import annotations

from mlgit.git.wildmatch import Pattern

_UTF8_BOM = b"\xef\xbb\xbf"


class IgnoreFile:
    """The patterns of one file of ignore rules.

    Args:
        data: The file's content.
        base: The directory its patterns are relative to, with a trailing slash, or b"".
        ignore_case: Whether core.ignoreCase holds.
    """

    __slots__ = ("base", "patterns")

    def __init__(self, data: bytes, base: bytes, ignore_case: bool = False) -> None:
        self.base = base
        self.patterns: list[tuple[Pattern, bool]] = []
        for line in data.removeprefix(_UTF8_BOM).split(b"\n"):
            text = _strip_spaces(line.removesuffix(b"\r"))
            if not text or text.startswith(b"#"):
                continue
            ignored = not text.startswith(b"!")
            self.patterns.append((Pattern(text if ignored else text[1:], ignore_case), ignored))
        self.patterns.reverse()

    def verdict(self, path: bytes, is_dir: bool) -> bool | None:
        """True: ignored; False: explicitly not; None: no pattern of this file matches."""
        relative = path[len(self.base) :]
        for pattern, ignored in self.patterns:
            if pattern.matches(relative, is_dir):
                return ignored
        return None


class IgnoreChain:
    """The ignore rules in force in one directory; a chain never changes once it is made.

    Args:
        parent: The rules of the directory above.
        own: The rules that this directory adds.
    """

    __slots__ = ("own", "parent")

    def __init__(self, parent: IgnoreChain | None, own: IgnoreFile) -> None:
        self.parent = parent
        self.own = own

    def ignores(self, path: bytes, is_dir: bool) -> bool:
        """Whether a path is ignored, given that no directory above it is.

        Args:
            path: Relative to the worktree, without a trailing slash.
            is_dir: Whether it is a directory.
        """
        chain: IgnoreChain | None = self
        while chain is not None:
            verdict = chain.own.verdict(path, is_dir)
            if verdict is not None:
                return verdict
            chain = chain.parent
        return False


def _strip_spaces(text: bytes) -> bytes:
    """Without trailing spaces, except one that a backslash escapes."""
    stripped = text.rstrip(b" ")
    backslashes = len(stripped) - len(stripped.rstrip(b"\\"))
    if backslashes % 2 and len(stripped) < len(text):
        return stripped + b" "
    return stripped
