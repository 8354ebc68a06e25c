"""Git's configuration files, with what they include (git-scm.com/docs/git-config)."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from mlgit import settings
from mlgit.exceptions import CorruptData
from mlgit.git.wildmatch import translate

if TYPE_CHECKING:
    from dulwich.config import ConfigFile, StackedConfig


def configuration(git_dir: str, common_dir: str) -> StackedConfig:
    """The configuration of a repository: the environment, worktree, repository, user and system,
    nearest first.

    Args:
        git_dir: Its Git directory, which conditions of includes are about.
        common_dir: What its worktrees share.

    Raises:
        CorruptData: A file doesn't parse.
    """
    from dulwich.config import StackedConfig

    own = (f"{git_dir}/config.worktree", f"{common_dir}/config")
    given = settings.git_settings()
    files = [_of_pairs(given)] if given else []
    files += [read_config(path, git_dir) for path in own if os.path.exists(path)]
    for found in StackedConfig.default_backends():
        # These were read without knowing the repository.
        conditional = any(section[0].lower() == b"includeif" for section in found.sections())
        path = found.path if conditional else None
        files.append(found if path is None else read_config(path, git_dir))
    return StackedConfig(files)


def _of_pairs(pairs: list[tuple[str, str]]) -> ConfigFile:
    """Settings by their whole names, as ``gpg.ssh.program``."""
    from dulwich.config import ConfigFile

    made = ConfigFile()
    for name, value in pairs:
        section, _, rest = name.partition(".")
        subsection, dot, key = rest.rpartition(".")
        if section and key:  # Git refuses to work with others, which helps nobody here
            parts = (section, subsection) if dot else (section,)
            made.set(tuple(os.fsencode(p) for p in parts), os.fsencode(key), os.fsencode(value))
    return made


def read_config(path: str, git_dir: str | None = None) -> ConfigFile:
    """One file of configuration.

    Args:
        path: The file.
        git_dir: The repository that conditions of includes are about; without it none holds.

    Raises:
        CorruptData: It doesn't parse.
    """
    from dulwich.config import ConfigFile

    conditions = _conditions(git_dir, os.path.dirname(path)) if git_dir is not None else None
    try:
        return ConfigFile.from_path(path, condition_matchers=conditions)
    except ValueError as error:
        raise CorruptData(
            f"{path} can't be read: {error}", hint="git config --list tells where"
        ) from error


def _conditions(git_dir: str, folder: str) -> dict[str, Callable[[str], bool]]:
    """What says whether an ``includeIf`` holds, by how it begins."""
    return {
        "gitdir/i:": lambda wanted: _is_in(git_dir.lower(), _place(wanted, folder).lower()),
        "gitdir:": lambda wanted: _is_in(git_dir, _place(wanted, folder)),
        "onbranch:": lambda wanted: _is_in(_branch(git_dir), _below(wanted)),
    }


def _place(wanted: str, folder: str) -> str:
    """A condition's path as a pattern of whole paths."""
    if wanted.startswith("./"):
        wanted = os.path.realpath(folder) + wanted[1:]
    elif wanted.startswith("~/"):
        wanted = os.path.realpath(os.path.expanduser("~")) + wanted[1:]
    elif not wanted.startswith("/"):
        wanted = f"**/{wanted}"
    return _below(wanted)


def _below(wanted: str) -> str:
    return f"{wanted}**" if wanted.endswith("/") else wanted


def _is_in(text: str, pattern: str) -> bool:
    source = translate(os.fsencode(pattern), True)
    return re.fullmatch(source, os.fsencode(text), re.DOTALL) is not None


def _branch(git_dir: str) -> str:
    """The branch that is checked out; "" for none."""
    try:
        with open(f"{git_dir}/HEAD", encoding="utf-8", errors="surrogateescape") as f:
            head = f.read().strip()
    except OSError:
        return ""
    target = head.removeprefix("ref:").strip()
    return target.removeprefix("refs/heads/") if target.startswith("refs/heads/") else ""
