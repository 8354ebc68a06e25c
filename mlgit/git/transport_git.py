"""Transport by the installed ``git``."""

from __future__ import annotations

import fcntl
import os
import re
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from mlgit.exceptions import MlgitException
from mlgit.git.files import unlock_and_close
from mlgit.git.programs import run
from mlgit.git.repository import Repository
from mlgit.git.transport import (
    ERROR,
    OK,
    REJECTED,
    GitTransport,
    Result,
    Update,
    below,
    blamed,
    failure,
)

# Refs that are being pushed, under the name that they shall have there. What is pushed must
# be what was looked at: a glob over the runs themselves would take along those that end
# meanwhile, whose artifacts aren't uploaded. And Git compares each single refspec with each ref, which
# for 10,000 of both takes minutes; a glob is looked up.
OUTGOING = "refs/mlgit/outgoing/"
# Removals need a refspec each, and Git's time for one grows with the refs there: 10 ms.
_REMOVALS = 200
_MOST_ARGUMENTS = 100
_LINE = re.compile(r"^([ +\-*=!])\t([^\t]*):([^\t:]*)\t(.*)$")
# What git needs no asking for, and what would slow it down: maintenance is mlgit's here.
_SETTINGS = ("-c", "gc.auto=0", "-c", "maintenance.auto=false", "-c", "push.followTags=false")
_HINT = "install git, or set MLGIT_GIT"
_RACES = (
    "fetch first",
    "non-fast-forward",
    "stale info",
    "failed to update ref",
    "cannot lock",
    "already exists",
    "needs force",
    "incorrect old value",
)


class BinaryTransport(GitTransport):
    """A remote repository by way of the ``git`` program; see ``GitTransport``."""

    def __init__(self, repo: Repository, remote: str, program: str) -> None:
        super().__init__(repo, remote)
        self.program = program

    def _git(
        self, doing: str, *arguments: str, data: str = "", codes: tuple[int, ...] = (0,)
    ) -> str:
        command = [self.program, f"--git-dir={self.repo.git_dir}", *_SETTINGS, *arguments]
        if self.repo.worktree is not None:
            command.insert(2, f"--work-tree={self.repo.worktree}")
        # A remote's relative path is relative to the root of the files.
        cwd = self.repo.worktree or self.repo.git_dir
        code, out, err = run(command, os.fsencode(data), hint=_HINT, cwd=cwd)
        if code not in codes:
            raise failure(doing, self.remote, err)
        self.said = err
        return out

    def list_refs(self, prefixes: Sequence[str]) -> dict[str, str]:
        """See ``GitTransport.list_refs``."""
        patterns = [f"{prefix}*" for prefix in prefixes]
        out = self._git("list the refs of", "ls-remote", "--refs", self.remote, *patterns)
        pairs = (line.split("\t", 1) for line in out.splitlines())
        return below(((name, sha) for sha, name in pairs), prefixes)

    def fetch(self, refs: dict[str, str]) -> None:
        """See ``GitTransport.fetch``."""
        if not refs:
            return
        # By the commits, which Git asks for without comparing names.
        wanted = sorted(set(refs.values()))
        options = ["--quiet", "--no-tags", "--no-write-fetch-head", "--no-recurse-submodules"]
        if len(wanted) <= _MOST_ARGUMENTS:
            self._git("fetch from", "fetch", *options, self.remote, *wanted)
        else:
            lines = "".join(f"{sha}\n" for sha in wanted)
            self._git("fetch from", "fetch", *options, "--stdin", self.remote, data=lines)
        self.repo.objects.refresh()

    def push(self, updates: Sequence[Update], *, atomic: bool = False) -> list[Result]:
        """See ``GitTransport.push``."""
        moved = {update.ref: update.new for update in updates if update.new is not None}
        self.heard = ""
        with _pushing(self.repo):
            results = self._push_moved(moved, atomic) if moved else []
        removed = [update for update in updates if update.new is None]
        for at in range(0, len(removed), _REMOVALS):
            results += self._push_removed(removed[at : at + _REMOVALS])
        return results

    def _push_moved(self, moved: dict[str, str], atomic: bool) -> list[Result]:
        prefix = f"{OUTGOING}{os.getpid()}-{secrets.token_hex(4)}/"
        outgoing = {prefix + ref.removeprefix("refs/"): sha for ref, sha in moved.items()}
        refs = self.repo.refs
        refs.add_packed(outgoing)
        try:
            results = self._push_all([f"{prefix}*:refs/*"], atomic)
        finally:
            refs.delete_many(prefix, outgoing)
        completed = _complete(results, list(moved), self.said)
        return blamed(completed) if atomic else completed

    def _push_all(self, refspecs: list[str], atomic: bool) -> list[Result]:
        if atomic:
            try:
                return self._push(["--atomic"], refspecs)
            except MlgitException as error:
                if "does not support --atomic" not in error.message:
                    raise
                self.torn = True
        return self._push(refspecs)

    def _push_removed(self, removed: list[Update]) -> list[Result]:
        leases = [f"--force-with-lease={update.ref}:{update.old}" for update in removed]
        results = self._push([*leases], [f":{update.ref}" for update in removed])
        return _complete(results, [update.ref for update in removed], self.said)

    def _push(self, options: list[str], refspecs: Sequence[str] = ()) -> list[Result]:
        if not refspecs:
            options, refspecs = [], options
        # Without the person's pre-push hook, which may well be the one that calls mlgit.
        always = ["--porcelain", "--no-verify", "--no-progress", "--recurse-submodules=no"]
        # 1: some refs were rejected, which the lines tell.
        out = self._git("push to", "push", *always, *options, self.remote, *refspecs, codes=(0, 1))
        said = (line[7:].strip() for line in self.said.splitlines() if line.startswith("remote:"))
        self.heard = "\n".join([*filter(None, [self.heard]), *filter(None, said)])
        results = [result for result in map(_parse, out.splitlines()) if result is not None]
        if not results and "error:" in self.said and "Done" not in out:
            raise failure("push to", self.remote, self.said)
        return results


@contextmanager
def _pushing(repo: Repository) -> Iterator[None]:
    """Keep a shared lock while pushing; who finds nobody pushing removes what the dead left."""
    os.makedirs(repo.state_dir, exist_ok=True)
    fd = os.open(f"{repo.state_dir}/push.lock", os.O_RDWR | os.O_CREAT, 0o666)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            left = repo.refs.items(OUTGOING)
            if left:
                repo.refs.delete_many(OUTGOING, left)
        except OSError:
            pass  # somebody pushes, or the file system has no locks
        try:
            fcntl.flock(fd, fcntl.LOCK_SH)
        except OSError:
            pass
        yield
    finally:
        unlock_and_close(fd)


def _parse(line: str) -> Result | None:
    """A line of ``git push --porcelain`` (git-scm.com/docs/git-push, "Output")."""
    match = _LINE.match(line)
    if match is None:
        return None
    flag, _, ref, summary = match.groups()
    if flag != "!":
        return Result(ref, OK, "")
    reason = summary.partition("(")[2].rstrip(")") or summary
    raced = any(words in summary for words in _RACES)
    return Result(ref, REJECTED if raced else ERROR, reason)


def _complete(results: list[Result], refs: list[str], said: str) -> list[Result]:
    """A result for each ref; one that Git said nothing of has failed."""
    told = {result.ref: result for result in results}
    reason = said.strip().splitlines()[-1] if said.strip() else "git said nothing of it"
    return [told.get(ref) or Result(ref, ERROR, reason) for ref in refs]


def clone(program: str, url: str, folder: str, *, bare: bool, show: bool) -> None:
    """See ``transport.clone``."""
    options = ["--bare"] if bare else []
    if not show:
        options.append("--quiet")
    command = [program, *_SETTINGS[:4], "clone", *options, "--", url, folder]
    code, _, err = run(command, hint=_HINT, show=show)
    if code:
        raise failure("clone", url, err)
