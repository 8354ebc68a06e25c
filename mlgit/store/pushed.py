"""What a Git remote had when this clone last spoke to it: which runs still have to be pushed.

Runs have the same refs on both sides, so Git keeps no remote-tracking refs of them. A file for
each remote, in the form of ``packed-refs``, says what was there; it is a memory, never a truth.
"""

from __future__ import annotations

import os
from urllib.parse import quote, unquote

from mlgit.exceptions import from_os_error
from mlgit.git import Repository
from mlgit.store import names
from mlgit.store.gitstore import GitStore
from mlgit.store.registry_tags import TAGS, registry_tags


def note(repo: Repository, remote: str, refs: dict[str, str]) -> None:
    """Write down which of mlgit's refs a remote has, and their commits.

    Args:
        repo: The repository.
        remote: The remote's name, or its URL where it has none.
        refs: All refs below ``refs/mlgit/`` that it has.

    Raises:
        StorageError, PermissionDenied: It can't be written.
    """
    path = _path(repo, remote)
    temporary = f"{path}.{os.getpid()}.tmp"
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(temporary, "w", encoding="utf-8", errors="surrogateescape") as f:
            f.writelines(f"{sha} {ref}\n" for ref, sha in sorted(refs.items()))
        os.replace(temporary, path)
    except OSError as error:
        raise from_os_error(error, f"note what {remote} has") from error


def known(repo: Repository, remote: str) -> dict[str, str] | None:
    """The refs that a remote had at the last time; None where there was none."""
    try:
        with open(_path(repo, remote), encoding="utf-8", errors="surrogateescape") as f:
            pairs = [line.rstrip("\n").split(" ", 1) for line in f]
    except OSError:
        return None
    return {pair[1]: pair[0] for pair in pairs if len(pair) == 2}


def seen(repo: Repository) -> set[tuple[str, str]]:
    """(ref, commit or tag object) of all that any remote had when it was looked at last."""
    found: set[tuple[str, str]] = set()
    try:
        remotes = os.listdir(f"{repo.state_dir}/remotes")
    except OSError:
        return found
    for name in remotes:
        if not name.endswith(".tmp"):
            found.update((known(repo, unquote(name)) or {}).items())
    return found


def unpushed(store: GitStore, remote: str) -> list[tuple[str, str]]:
    """(run id, name) of the runs whose newest commit a remote isn't known to have, newest first."""
    there = known(store.repo, remote) or {}
    archived = {
        ref[len(names.ARCHIVE) :]
        for ref, sha in store.repo.refs.items(names.ARCHIVE).items()
        if there.get(ref) == sha
    }
    return [
        (run_id, name)
        for run_id, name, experiment_id, sha, in_archive in store.index.commits()
        if there.get(names.run_ref(experiment_id, run_id)) != sha
        and not (in_archive and experiment_id in archived)
    ]


def unpushed_registry(repo: Repository, remote: str) -> list[str]:
    """The refs of registry tags and models' texts that a remote isn't known to have as they are.

    Of a remote that only Git has spoken to nothing is known, and nothing is told: Git brings tags.
    """
    there = known(repo, remote)
    if there is None:
        if repo.refs.items(f"refs/remotes/{remote}/"):
            return []
        there = {}
    here = {**registry_tags(repo.refs.items(TAGS)), **repo.refs.items("refs/mlgit/registry/")}
    return [ref for ref, sha in here.items() if there.get(ref) != sha]


def _path(repo: Repository, remote: str) -> str:
    return f"{repo.state_dir}/remotes/{quote(remote, safe='')}"
