"""Git commits as bytes: format and parse side by side."""

from __future__ import annotations

import re
from dataclasses import dataclass

from mlgit.exceptions import CorruptData

_TRAILER = re.compile(r"^([A-Za-z][A-Za-z0-9-]*): (.*)\Z")


@dataclass(frozen=True)
class Commit:
    """A commit.

    Attributes:
        tree: The tree's name.
        parents: The parents' names.
        author, committer: "Name <email> seconds zone".
        message: Whole, ending in a newline.
    """

    tree: str
    parents: tuple[str, ...]
    author: str
    committer: str
    message: str

    @property
    def subject(self) -> str:
        """The message's first line."""
        return self.message.split("\n", 1)[0]

    def trailers(self) -> dict[str, str]:
        """The ``Key: value`` lines of the message's last paragraph."""
        last = self.message.rstrip("\n").rsplit("\n\n", 1)[-1]
        pairs = (_TRAILER.match(line) for line in last.split("\n"))
        return {match[1]: match[2] for match in pairs if match}


def format_commit(commit: Commit) -> bytes:
    """A commit's bytes, as Git stores them."""
    lines = [f"tree {commit.tree}"]
    lines += [f"parent {parent}" for parent in commit.parents]
    lines += [f"author {commit.author}", f"committer {commit.committer}", "", commit.message]
    return "\n".join(lines).encode("utf-8", "surrogateescape")


def parse_commit(raw: bytes) -> Commit:
    """A commit from its bytes; headers that aren't known here (signatures) are left out.

    Raises:
        CorruptData: The bytes aren't a commit.
    """
    head, separator, message = raw.decode("utf-8", "surrogateescape").partition("\n\n")
    tree = author = committer = ""
    parents = []
    for line in head.split("\n"):
        key, _, value = line.partition(" ")
        if key == "tree":
            tree = value
        elif key == "parent":
            parents.append(value)
        elif key == "author":
            author = value
        elif key == "committer":
            committer = value
    if not tree or not committer:
        raise CorruptData("A Git commit is damaged", hint="git fsck tells which")
    return Commit(tree, tuple(parents), author, committer, message if separator else "")


def signature(identity: str, milliseconds: int) -> str:
    """An author or committer line: who and when, in UTC.

    Args:
        identity: "Name <email>".
        milliseconds: Since 1970; Git can't write times before that.
    """
    return f"{identity} {max(0, milliseconds) // 1000} +0000"
