"""Moving refs and Git's objects between repositories: one seam, two transports.

An installed ``git`` moves them where there is one, so that authentication, SSH, proxies and
credential helpers are what the person's Git has; dulwich where there is none. Nothing here
forces a ref, and a fetch writes no ref at all: who fetches decides what becomes of it.
"""

from __future__ import annotations

import os
import re
import shutil
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from mlgit import settings
from mlgit.exceptions import (
    InvalidParameterValue,
    MissingDependency,
    MlgitException,
    PermissionDenied,
    RemoteUnavailable,
    ResourceDoesNotExist,
    StorageError,
)

if TYPE_CHECKING:
    from mlgit.git.repository import Repository

OK = "ok"
REJECTED = "rejected"
ERROR = "error"
_URL_PASSWORD = re.compile(r"(\w+://[^/\s:@]*):[^/\s@]*@")


class Update(NamedTuple):
    """One ref that is to be pushed.

    Attributes:
        ref: Its name, here and there.
        new: The commit that it shall have; None removes it.
        old: What it was when it was looked at; None where it wasn't there.
    """

    ref: str
    new: str | None
    old: str | None


class Result(NamedTuple):
    """What became of an update.

    Attributes:
        ref: Its name.
        status: OK; REJECTED where somebody else changed the ref first; ERROR where the other
            side doesn't take it.
        reason: Why, in the words of Git or of the other side.
    """

    ref: str
    status: str
    reason: str


class GitTransport(ABC):
    """A remote repository, as one clone sees it.

    Args:
        repo: The clone.
        remote: The name of a remote in its configuration, a URL or a path.

    Attributes:
        heard: What the other side said to people during the last push: its hooks, say.
        torn: Whether a push was to be atomic, and the other side can't do that.
    """

    def __init__(self, repo: Repository, remote: str) -> None:
        self.repo = repo
        self.remote = remote
        self.heard = ""
        self.torn = False

    @abstractmethod
    def list_refs(self, prefixes: Sequence[str]) -> dict[str, str]:
        """The remote's refs whose names begin with one of the prefixes, which end in "/".

        Raises:
            ResourceDoesNotExist: There is no repository there.
            PermissionDenied: The other side refuses.
            StorageError: It can't be reached.
        """

    @abstractmethod
    def fetch(self, refs: dict[str, str]) -> None:
        """Bring commits and all that they lead to; no ref is written.

        Args:
            refs: The remote's refs, by name, as they were listed.

        Raises:
            What ``list_refs`` raises.
        """

    @abstractmethod
    def push(self, updates: Sequence[Update], *, atomic: bool = False) -> list[Result]:
        """Move refs of the remote forward, each by itself, after what they lead to.

        A ref that isn't at, or behind, the new commit is rejected, whoever changed it. What a
        push that was killed left in this clone is removed, also where there are no updates.

        Args:
            updates: The refs.
            atomic: All or none, removals excepted. Of those that didn't go for another's sake it
                is said that the other was rejected, or not taken. Where the other side can't do
                it, each goes by itself, and ``torn`` says so.

        Returns:
            A result for each update.

        Raises:
            What ``list_refs`` raises.
        """


# Why a ref of an atomic push wasn't taken, in Git's words, where another is to blame.
FOR_ANOTHERS_SAKE = ("atomic push fail", "atomic transaction failed")


def blamed(results: list[Result]) -> list[Result]:
    """The results of an atomic push: what failed for another's sake is as the other is."""
    refused = any(
        result.status == ERROR and not result.reason.startswith(FOR_ANOTHERS_SAKE)
        for result in results
    )
    status = ERROR if refused else REJECTED
    return [
        result._replace(status=status)
        if result.status != OK and result.reason.startswith(FOR_ANOTHERS_SAKE)
        else result
        for result in results
    ]


def transport(repo: Repository, remote: str) -> GitTransport:
    """The way to a remote: the installed ``git``, or dulwich where there is none.

    Args:
        repo: The clone.
        remote: The name of a remote, a URL or a path.

    Raises:
        MissingDependency: ``MLGIT_GIT`` names a program that isn't there.
    """
    check_remote(remote)
    if os.path.isdir(remote) and remote not in repo.remotes():
        remote = os.path.abspath(remote)
    program = git_program()
    if program is None:
        from mlgit.git.transport_dulwich import DulwichTransport

        return DulwichTransport(repo, remote)
    from mlgit.git.transport_git import BinaryTransport

    return BinaryTransport(repo, remote, program)


def clone(url: str, folder: str, *, bare: bool = False, show: bool = False) -> None:
    """Clone a repository, as ``git clone`` does: branches and tags.

    Args:
        url: A URL or a path.
        folder: Where to; made if it isn't there, else it must be empty.
        bare: Without a worktree.
        show: Let Git show its own progress on stderr.

    Raises:
        What ``GitTransport.list_refs`` raises.
    """
    check_remote(url)
    program = git_program()
    if program is None:
        from mlgit.git.transport_dulwich import clone as clone_by_dulwich

        clone_by_dulwich(url, folder, bare=bare)
    else:
        from mlgit.git.transport_git import clone as clone_by_git

        clone_by_git(program, url, folder, bare=bare, show=show)


def git_program() -> str | None:
    """The ``git`` that transports; None where dulwich does.

    Raises:
        MissingDependency: ``MLGIT_GIT`` names a program that isn't there.
    """
    wanted = settings.git_program()
    if wanted == "dulwich":
        return None
    found = shutil.which(wanted or "git")
    if found is None and wanted:
        raise MissingDependency(
            f"MLGIT_GIT is {wanted!r}, and there is no such program",
            hint="unset it, or set it to the path of git",
        )
    return found


def check_remote(remote: str) -> str:
    """Return the name or URL of a remote, if it can't be taken for an option.

    Raises:
        InvalidParameterValue: It can.
    """
    if not remote or remote.startswith("-") or "\0" in remote or "\n" in remote:
        raise InvalidParameterValue(f"{remote!r} can't be a Git remote")
    return remote


def below(refs: Iterable[tuple[str, str]], prefixes: Collection[str]) -> dict[str, str]:
    """The (name, commit) pairs whose name begins with one of the prefixes."""
    start = tuple(prefixes)
    return {name: sha for name, sha in refs if name.startswith(start)}


def masked(text: str) -> str:
    """Text without the passwords of its URLs."""
    return _URL_PASSWORD.sub(r"\1:***@", text)


# curl's, ssh's and git's words for a remote that doesn't answer.
_UNREACHED = (
    "could not resolve",
    "couldn't resolve",
    "name or service not known",
    "temporary failure in name resolution",
    "couldn't connect",
    "failed to connect",
    "unable to connect",
    "connection refused",
    "connection reset",
    "connection timed out",
    "operation timed out",
    "network is unreachable",
    "no route to host",
    "error: 502",
    "error: 503",
    "error: 504",
)
# Git asks "do you have access rights, and does it exist" after either.
_SURELY_MISSING = ("does not appear to be a git repository", "repository not found")
_BROKEN_OFF = ("remote end hung up", "early eof")
_MISSING = ("not found", "does not exist", "no such remote")
_REFUSED = (
    "permission denied",
    "authentication failed",
    "could not read username",
    "could not read password",
    "access denied",
    "access rights",
    "error: 401",
    "error: 403",
    "host key verification failed",
    "insufficient permission",
    "unable to create temporary object directory",
    "dubious ownership",
)


def failure(doing: str, remote: str, said: str) -> MlgitException:
    """The error for what a transport said when it failed.

    Args:
        doing: What was being done: "fetch from", "push to".
        remote: The remote.
        said: What ``git`` or the other side printed.
    """
    said = masked(said).strip()
    message = f"Can't {doing} {masked(remote)}" + (f":\n{said}" if said else "")
    lowered = said.lower()
    surely_missing = any(words in lowered for words in _SURELY_MISSING)
    unreached = any(words in lowered for words in _UNREACHED)
    if not (surely_missing or unreached) and any(words in lowered for words in _REFUSED):
        return PermissionDenied(message, hint="the same must work: git ls-remote " + masked(remote))
    if surely_missing or (not unreached and any(words in lowered for words in _MISSING)):
        return ResourceDoesNotExist(message, hint="git remote -v lists the remotes and their URLs")
    hint = "repeat the command: it goes on where this stopped"
    if unreached or any(words in lowered for words in _BROKEN_OFF):
        return RemoteUnavailable(message, hint=hint)
    return StorageError(message, "INTERNAL_ERROR", hint=hint)
