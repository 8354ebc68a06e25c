"""The parts of Git's configuration that decide what `git add` would store."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlgit import settings
from mlgit.exceptions import Unsupported

if TYPE_CHECKING:
    from dulwich.config import StackedConfig

    from mlgit.git.repository import Repository

_FALSE = {b"false", b"no", b"off", b"0", b""}


@dataclass(frozen=True)
class WorktreeSettings:
    """Git's settings for one worktree; see git-config(1) for what each means."""

    autocrlf: bool = False
    file_mode: bool = True
    symlinks: bool = True
    ignore_case: bool = False
    trust_ctime: bool = True
    minimal_stat: bool = False
    sparse_checkout: bool = False
    excludes_file: bytes | None = None
    attributes_file: bytes | None = None
    # Filter drivers that have a command to clean with.
    cleaning_filters: frozenset[str] = frozenset()


def read_settings(repo: Repository) -> WorktreeSettings:
    """Read them once for a repository.

    Args:
        repo: Where to read.

    Raises:
        Unsupported: The repository names objects by SHA-256.
    """
    config = repo.config()

    def value(section: bytes, name: bytes) -> bytes | None:
        try:
            return config.get((section,), name)
        except KeyError:
            return None

    def flag(name: bytes, default: bool) -> bool:
        text = value(b"core", name)
        return default if text is None else text.lower() not in _FALSE

    if (value(b"extensions", b"objectformat") or b"sha1").lower() != b"sha1":
        raise Unsupported("repositories of SHA-256 objects can't be snapshotted")
    return WorktreeSettings(
        autocrlf=(value(b"core", b"autocrlf") or b"").lower() == b"input"
        or flag(b"autocrlf", False),
        file_mode=flag(b"filemode", True),
        symlinks=flag(b"symlinks", True),
        ignore_case=flag(b"ignorecase", False),
        trust_ctime=flag(b"trustctime", True),
        minimal_stat=(value(b"core", b"checkstat") or b"").lower() == b"minimal",
        sparse_checkout=flag(b"sparsecheckout", False),
        excludes_file=_file(value(b"core", b"excludesfile"), "ignore"),
        attributes_file=_file(value(b"core", b"attributesfile"), "attributes"),
        cleaning_filters=_cleaning_filters(config),
    )


def _file(configured: bytes | None, default: str) -> bytes | None:
    if configured is not None:
        return os.path.expanduser(configured) or None
    return os.fsencode(os.path.join(settings.config_home(), "git", default))


def _cleaning_filters(config: StackedConfig) -> frozenset[str]:
    names = set()
    for section in config.sections():
        if len(section) != 2 or section[0].lower() != b"filter":
            continue
        for command in (b"clean", b"process"):
            try:
                if config.get(section, command):
                    names.add(section[1].decode("utf-8", "surrogateescape"))
            except KeyError:
                pass
    return frozenset(names)
