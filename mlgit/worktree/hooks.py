"""Git hooks that bring data along; they are the person's to have or not."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterable
from dataclasses import dataclass

from mlgit.exceptions import ResourceAlreadyExists, from_os_error
from mlgit.git import Repository
from mlgit.git.commits import parse_commit
from mlgit.objects import Entry, LocalObjects
from mlgit.objects.transfer import Transferred, download, upload
from mlgit.store.fetching import Progress
from mlgit.store.pointers import find_pointers
from mlgit.store.reach import expand
from mlgit.store.remotes import remote_objects
from mlgit.worktree.tracked import write_whole

HOOKS = ("post-checkout", "post-merge", "pre-push")
_MARK = "# made by mlgit install; mlgit install --remove takes it away"
_NONE = "0" * 40


@dataclass(frozen=True)
class Hook:
    """One hook: its name, and "made", "there", "removed", "absent" or "foreign"."""

    name: str
    state: str


def folder(repo: Repository) -> str:
    """Where Git looks for this repository's hooks."""
    configured = repo.configured("core", "hooksPath")
    if configured:
        return os.path.join(repo.worktree or repo.git_dir, os.path.expanduser(configured))
    return f"{repo.common_dir}/hooks"


def install(repo: Repository, *, force: bool = False) -> list[Hook]:
    """Make the hooks.

    Args:
        repo: The repository.
        force: Put the person's own hooks aside (to NAME.before-mlgit, which ours then runs
            first), instead of refusing.

    Raises:
        ResourceAlreadyExists: There are hooks of the person's own; none was made.
    """
    place = folder(repo)
    foreign = [name for name in HOOKS if _state(f"{place}/{name}") == "foreign"]
    if foreign and not force:
        raise ResourceAlreadyExists(
            f"There are hooks of your own: {', '.join(foreign)} in {place}",
            hint="add 'mlgit hook NAME \"$@\"' to them yourself, or --force: yours are kept as "
            "NAME.before-mlgit, and run first",
        )
    try:
        os.makedirs(place, exist_ok=True)
        return [_make(f"{place}/{name}", name) for name in HOOKS]
    except OSError as error:
        raise from_os_error(error, f"write hooks in {place}") from error


def remove(repo: Repository) -> list[Hook]:
    """Remove the hooks that ``install`` made, and put back what it put aside."""
    found = []
    for name in HOOKS:
        path = f"{folder(repo)}/{name}"
        state = _state(path)
        if state == "there":
            os.unlink(path)
            if os.path.exists(f"{path}.before-mlgit"):
                os.rename(f"{path}.before-mlgit", path)
            state = "removed"
        found.append(Hook(name, state))
    return found


def _state(path: str) -> str:
    try:
        with open(path, "rb") as f:
            return "there" if _MARK.encode() in f.read() else "foreign"
    except FileNotFoundError:
        return "absent"
    except OSError as error:
        raise from_os_error(error, f"read {path}") from error


def _make(path: str, name: str) -> Hook:
    state = _state(path)
    if state == "foreign":
        os.rename(path, f"{path}.before-mlgit")
    text = _script(name, os.path.exists(f"{path}.before-mlgit"))
    write_whole(path, text.encode())
    os.chmod(path, 0o755)
    return Hook(name, "there" if state == "there" else "made")


def _script(name: str, before: bool) -> str:
    """The hook. Where mlgit isn't installed any more it does nothing: Git must go on."""
    program = f"{shlex.quote(sys.executable)} -m mlgit"
    first = '"$0".before-mlgit "$@" < "$input" || exit $?\n' if before else ""
    if name != "pre-push":
        first = first.replace(' < "$input"', "")
        return (
            f"#!/bin/sh\n{_MARK}\n{first}{program} --version > /dev/null 2>&1 || exit 0\n"
            f'{program} --quiet hook {name} "$@"\n'
        )
    return (
        f"#!/bin/sh\n{_MARK}\n"
        'input=$(mktemp) || exit 1\ntrap \'rm -f "$input"\' EXIT\ncat > "$input"\n'
        f"{first}{program} --version > /dev/null 2>&1 || exit 0\n"
        f'{program} hook {name} "$@" < "$input"\n'
    )


# -- what the pre-push hook does


def share(
    repo: Repository, lines: Iterable[str], progress: Progress | None = None
) -> Transferred | None:
    """Put the data of commits that are about to be pushed on the default remote.

    Args:
        repo: The repository.
        lines: What Git tells its pre-push hook: local ref, its commit, remote ref, its commit.
        progress: Called with bytes done and wanted.

    Returns:
        What was moved; None where these commits name no data.

    Raises:
        ResourceDoesNotExist: They do, and there is no remote, or an object is nowhere.
    """
    tips = []
    for line in lines:
        parts = line.split()
        if len(parts) == 4 and parts[1] != _NONE and not parts[0].startswith("refs/mlgit/"):
            tips.append((parts[1], parts[3]))
    known = set(repo.refs.items("refs/remotes/").values()) | {old for _, old in tips}
    trees: dict[str, list[tuple[str, str]]] = {}
    entries: set[Entry] = set()
    for commit in _new(repo, [sha for sha, _ in tips], known):
        tree = parse_commit(repo.objects.commit(commit)).tree
        entries.update(p.entry for p in find_pointers(repo, tree, known=trees).values())
    if not entries:
        return None
    objects = LocalObjects(f"{repo.state_dir}/objects")
    remote = remote_objects(repo)

    def fetch(shas: set[str]) -> None:
        download(objects, remote, dict.fromkeys(shas, 0))

    return upload(objects, remote, expand(objects, entries, fetch), progress)


def _new(repo: Repository, tips: list[str], known: set[str]) -> set[str]:
    """The commits that tips have and known ones don't.

    Whoever goes back by the committers' times sees children before parents, but for clocks
    that were wrong: then some commits too many are looked at.
    """
    import heapq

    old = {sha for sha in known if repo.objects.exists(sha)}
    waiting: list[tuple[int, bool, str]] = []
    seen: dict[str, bool] = {}

    def push(sha: str, is_old: bool) -> None:
        if sha not in seen:
            if not repo.objects.exists(sha):
                return  # a shallow clone ends here
            kind, raw = repo.objects.read(sha)
            if kind == "tag":
                push(raw[7:47].decode("ascii"), is_old)
                return
            if kind != "commit":
                return
            when = int(parse_commit(raw.split(b"\n\n")[0]).committer.split()[-2])
            heapq.heappush(waiting, (-when, not is_old, sha))
        seen[sha] = seen.get(sha, False) or is_old

    for sha in tips:
        push(sha, False)
    for sha in old:
        push(sha, True)
    new: set[str] = set()
    while waiting and any(not seen[sha] for _, _, sha in waiting):
        _, _, sha = heapq.heappop(waiting)
        if not seen[sha]:
            new.add(sha)
        for parent in parse_commit(repo.objects.commit(sha)).parents:
            push(parent, seen[sha])
    return {sha for sha in new if not seen[sha]}
