"""The configuration files of a repository (docs/format.md, "Configuration").

The team's is ``.mlgit/config.yaml``, which is committed; a clone's own, with credentials, is in
the common directory.
"""

from __future__ import annotations

import os
from typing import Any

from mlgit.exceptions import CorruptData, Unsupported, from_os_error
from mlgit.git import Repository
from mlgit.git.commits import parse_commit
from mlgit.git.trees import lookup
from mlgit.store import yamlform

FORMAT = 1
TEAM_FILE = ".mlgit/config.yaml"


def team_path(repo: Repository) -> str | None:
    """The committed configuration; None where there is no worktree to commit it from."""
    return repo.worktree and f"{repo.worktree}/{TEAM_FILE}"


def local_path(repo: Repository) -> str:
    """This clone's own configuration."""
    return f"{repo.state_dir}/config.yaml"


def read_team(repo: Repository) -> dict[str, Any]:
    """The team's configuration: the worktree's, or that of a bare repository's HEAD.

    Raises:
        CorruptData: It doesn't parse.
        Unsupported: It is of a later version.
    """
    if repo.worktree:
        return read(team_path(repo))
    return _committed(repo, repo.head().commit, "HEAD")


def read_local(repo: Repository) -> dict[str, Any]:
    """This clone's own configuration; errors are those of ``read_team``."""
    return read(local_path(repo))


def read_section(repo: Repository, name: str) -> list[dict[str, Any]]:
    """A section of the team's configuration and of this clone's own, as far as they are there.

    Raises:
        CorruptData: A configuration file doesn't parse, or the section isn't a mapping.
        Unsupported: One is of a later version.
    """
    team = read_team(repo)
    sections = [found.get(name) for found in (team, read_local(repo))]
    if any(section is not None and not isinstance(section, dict) for section in sections):
        raise CorruptData(f"{name} must be a mapping in the repository's configuration")
    return [section for section in sections if section]


def read_flag(repo: Repository, section: str, key: str, default: bool) -> list[bool]:
    """What the team's configuration and this clone's own say of something that is on or off.

    Args:
        repo: The repository.
        section: The section.
        key: The key in it.
        default: What a file says whose section lacks the key.

    Returns:
        What each file says that has the section.

    Raises:
        CorruptData: One says neither, or what ``read_section`` raises.
        Unsupported: One is of a later version.
    """
    values = [found.get(key, default) for found in read_section(repo, section)]
    if not all(isinstance(value, bool) for value in values):
        raise CorruptData(
            f"{section}.{key} must be true or false in the repository's configuration"
        )
    return values


def read_committed(repo: Repository, commit: str) -> dict[str, Any]:
    """The team's configuration in a commit; errors are those of ``read_team``."""
    return _committed(repo, commit, commit[:10])


def _committed(repo: Repository, commit: str | None, shown: str) -> dict[str, Any]:
    name = f"{TEAM_FILE} of {shown}"
    blob = None
    if commit:
        tree = parse_commit(repo.objects.commit(commit)).tree
        blob = lookup(repo.objects, tree, TEAM_FILE)
    return _parsed(yamlform.load(repo.objects.blob(blob), name, unique=True) if blob else {}, name)


def read(path: str | None) -> dict[str, Any]:
    """A configuration file's content; one without remotes where there is none.

    Raises:
        CorruptData: It doesn't parse.
        Unsupported: It is of a later version.
    """
    data = b""
    if path is not None:
        try:
            with open(path, "rb") as f:
                data = f.read()
        except (FileNotFoundError, NotADirectoryError):
            pass
        except OSError as error:
            raise from_os_error(error, "read the configuration") from error
    return _parsed(yamlform.load(data, path or "", unique=True) if data.strip() else {}, path or "")


def _parsed(found: dict[str, Any], name: str) -> dict[str, Any]:
    version = found.get("format", FORMAT)
    if not isinstance(version, int) or version > FORMAT:
        raise Unsupported(
            f"{name} has format {version}; this mlgit reads {FORMAT}",
            hint="upgrade: pip install --upgrade mlgit",
        )
    remotes = found.get("remotes")
    if remotes is None:
        remotes = {}
    if not isinstance(remotes, dict) or not all(isinstance(v, dict) for v in remotes.values()):
        raise CorruptData(f"{name}: remotes must be names with a url each")
    default = found.get("default_remote")
    if default is not None and not isinstance(default, str):
        raise CorruptData(f"{name}: default_remote must be a name")
    return {**found, "remotes": dict(remotes)}


def write(path: str, found: dict[str, Any]) -> None:
    """Write a configuration file, whole or not at all.

    Raises:
        StorageError, PermissionDenied: It can't be written.
    """
    data = {"format": FORMAT, **{k: v for k, v in found.items() if k not in ("format", "remotes")}}
    data["remotes"] = dict(sorted(found["remotes"].items()))
    temporary = f"{path}.{os.getpid():x}.tmp"
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        # A clone's own file may hold credentials.
        mode = 0o600 if path.endswith("/mlgit/config.yaml") and "/.mlgit/" not in path else 0o666
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
        with os.fdopen(fd, "wb") as f:
            f.write(yamlform.dump(data))
        os.replace(temporary, path)
    except OSError as error:
        raise from_os_error(error, f"write {path}") from error
    finally:
        if os.path.exists(temporary):
            os.unlink(temporary)
