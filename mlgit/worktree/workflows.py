"""The files that have a code host's CI report and deploy; ``examples/ci`` holds the same ones."""

from __future__ import annotations

import os
from dataclasses import dataclass
from importlib import resources

from mlgit.exceptions import InvalidParameterValue, ResourceAlreadyExists, ResourceDoesNotExist
from mlgit.git import Repository
from mlgit.worktree.tracked import write_whole

# Where each host looks for them.
HOSTS = {"github": ".github/workflows", "gitlab": ".gitlab"}
# What the workflows of all hosts run, and where they look for it.
_PROGRAM, _PROGRAMS = "deploy.sh", "ci"
# GitLab reads one file, which names the others.
_GITLAB_FILE = ".gitlab-ci.yml"


@dataclass(frozen=True)
class Written:
    """A file: its path from the worktree's root, and "made", "there" or "to include"."""

    path: str
    state: str


def templates(host: str) -> dict[str, bytes]:
    """The files for a host, by their paths below ``examples/ci``.

    Raises:
        InvalidParameterValue: The host isn't one of ``HOSTS``.
    """
    if host not in HOSTS:
        raise InvalidParameterValue(
            f"There are no workflow files for {host!r}", hint=f"one of: {', '.join(HOSTS)}"
        )
    folder = resources.files("mlgit.worktree") / "ci"
    items = sorted((folder / host).iterdir(), key=lambda item: item.name)
    found = {f"{host}/{item.name}": item.read_bytes() for item in items}
    return {**found, _PROGRAM: (folder / _PROGRAM).read_bytes()}


def write_workflows(repo: Repository, host: str, *, force: bool = False) -> list[Written]:
    """Write the files for a host into the worktree, to be committed.

    Args:
        repo: The repository.
        host: "github" or "gitlab".
        force: Replace files that are there and say something else.

    Returns:
        The files. On GitLab, one "to include" is the person's own .gitlab-ci.yml, which must
        name the others.

    Raises:
        ResourceAlreadyExists: A file is there and says something else; none was written.
        ResourceDoesNotExist: The repository has no worktree.
        InvalidParameterValue: There are no files for the host.
    """
    if repo.worktree is None:
        raise ResourceDoesNotExist(
            "This repository is bare: it has no worktree to write to", hint="do it in a clone"
        )
    found = templates(host)
    program = found.pop(_PROGRAM)
    wanted = {f"{HOSTS[host]}/{name.rpartition('/')[2]}": data for name, data in found.items()}
    includes = []
    if host == "gitlab":
        lines = "".join(f"  - local: {path}\n" for path in wanted)
        if _read(repo, _GITLAB_FILE) in (None, f"include:\n{lines}".encode()):
            wanted[_GITLAB_FILE] = f"include:\n{lines}".encode()
        else:
            includes.append(Written(_GITLAB_FILE, "to include"))
    wanted[f"{_PROGRAMS}/{_PROGRAM}"] = program
    other = [path for path, data in wanted.items() if _read(repo, path) not in (None, data)]
    if other and not force:
        raise ResourceAlreadyExists(
            f"There already, and not the same: {', '.join(other)}",
            hint="--force replaces them; git diff then shows what was yours",
        )
    return [_write(repo, path, data) for path, data in wanted.items()] + includes


def _read(repo: Repository, path: str) -> bytes | None:
    try:
        with open(f"{repo.worktree}/{path}", "rb") as f:
            return f.read()
    except FileNotFoundError:
        return None


def _write(repo: Repository, path: str, data: bytes) -> Written:
    if _read(repo, path) == data:
        return Written(path, "there")
    place = f"{repo.worktree}/{path}"
    os.makedirs(os.path.dirname(place), exist_ok=True)
    write_whole(place, data)
    return Written(path, "made")
