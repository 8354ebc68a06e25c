"""Links to lines of code on the host of a Git remote: GitHub, GitLab and Bitbucket."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

from mlgit.git import Repository

_SCP = re.compile(r"(?:[^/@:]+@)?(?P<host>[A-Za-z0-9.-]+):(?P<path>[^/].*)\Z")
_HUNK = re.compile(r"@@ -\d+(?:,\d+)? \+(\d+)(?:,\d+)? @@")
_HOST = re.compile(r"[A-Za-z0-9.-]+\Z")


@dataclass(frozen=True)
class Forge:
    """A repository on a host.

    Attributes:
        kind: "github", "gitlab" or "bitbucket".
        url: Its page, without a slash at the end.
    """

    kind: str
    url: str

    def lines(self, commit: str, path: str, first: int, last: int) -> str:
        """The URL of some lines of a file as of a commit."""
        place = quote(path, safe="/", errors="surrogateescape")
        if self.kind == "gitlab":
            span = f"L{first}" if first == last else f"L{first}-{last}"
            return f"{self.url}/-/blob/{commit}/{place}#{span}"
        if self.kind == "bitbucket":
            span = f"lines-{first}" if first == last else f"lines-{first}:{last}"
            return f"{self.url}/src/{commit}/{place}#{span}"
        span = f"L{first}" if first == last else f"L{first}-L{last}"
        return f"{self.url}/blob/{commit}/{place}#{span}"


def forge_of(repo: Repository, remote: str = "origin") -> Forge | None:
    """The host of a remote, or None where it is of no known kind.

    Args:
        repo: The repository.
        remote: The remote's name.
    """
    return parse(repo.configured("remote", "url", remote) or "")


def parse(url: str) -> Forge | None:
    """The host that a remote's URL names; user names, passwords and ports of SSH are left out."""
    match = _SCP.match(url)
    if match and "://" not in url:
        host, path, scheme, port = match["host"], match["path"], "https", None
    else:
        try:
            parts = urlsplit(url)
            host, path, port = parts.hostname or "", parts.path, parts.port
        except ValueError:
            return None
        if parts.scheme not in ("http", "https", "ssh", "git"):
            return None
        scheme = parts.scheme if parts.scheme in ("http", "https") else "https"
        port = port if parts.scheme == scheme else None
    path = path.strip("/").removesuffix(".git")
    names = host.lower().split(".")
    kind = next((k for k in ("github", "gitlab", "bitbucket") if k in names), None)
    if kind is None or "/" not in path or not _HOST.match(host):
        return None
    place = host.lower() + (f":{port}" if port else "")
    return Forge(kind, f"{scheme}://{place}/{quote(path, safe='/')}")


def changed_lines(diff: str) -> Iterator[tuple[int, int]]:
    """The first and last of each stretch of new lines in a unified diff.

    Where lines were only taken away, the line that follows is meant.
    """
    at = start = end = 0
    removed = False
    for line in diff.splitlines():
        match = _HUNK.match(line)
        if match:
            at = int(match[1])
            continue
        if not at:
            continue  # the names of the files
        if line[:1] == "+":
            start, end, removed = start or at, at, False
        elif line[:1] == "-":
            removed = not start
        elif start or removed:
            yield (start, end) if start else (max(at, 1), max(at, 1))
            start, removed = 0, False
        at += line[:1] in ("+", " ")
    if start:
        yield start, end
    elif removed:
        yield max(at - 1, 1), max(at - 1, 1)
