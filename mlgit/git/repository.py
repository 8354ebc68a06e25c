"""One Git repository: where its parts are, and what is checked out."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from mlgit import settings
from mlgit.exceptions import (
    InvalidParameterValue,
    NotARepository,
    Unsupported,
    from_os_error,
)
from mlgit.git.configuration import configuration, read_config
from mlgit.git.objects import ObjectStore
from mlgit.git.refs import RefStore

if TYPE_CHECKING:
    from dulwich.config import StackedConfig

# Extensions that change nothing for who reads objects and refs by this package
# (git-scm.com/docs/repository-version).
_KNOWN_EXTENSIONS = {"noop", "noop-v1", "preciousobjects", "partialclone", "worktreeconfig"}


@dataclass(frozen=True)
class Head:
    """What is checked out: a branch (None: detached) and its commit (None: unborn)."""

    branch: str | None
    commit: str | None


T = TypeVar("T")


class _cached(Generic[T]):
    """functools' without its lock, which a forked child would wait for for ever."""

    def __init__(self, compute: Callable[[Any], T]) -> None:
        self.compute = compute
        self.name = compute.__name__

    def __get__(self, instance: object, owner: type | None = None) -> T:
        value: T = self.compute(instance)
        instance.__dict__[self.name] = value
        return value


class Repository:
    """A plain, bare or linked-worktree repository.

    Args:
        git_dir: Its Git directory.
        worktree: The root of its files, or None for a bare one.

    Raises:
        Unsupported: Its format is one that this version can't read.
    """

    def __init__(self, git_dir: str, worktree: str | None) -> None:
        self.git_dir = os.path.realpath(git_dir)
        self.worktree = worktree and os.path.realpath(worktree)
        self.common_dir = _common_dir(self.git_dir)
        self._check_format()
        self.objects = ObjectStore(f"{self.common_dir}/objects")
        self.refs = RefStore(self.common_dir, self.git_dir)
        self.state_dir = f"{self.common_dir}/mlgit"

    @classmethod
    def discover(cls, start: str = ".") -> Repository:
        """The repository that holds a path, looked for as Git does.

        Args:
            start: A folder inside the worktree, or a bare repository itself.

        Raises:
            NotARepository: There is none there or above.
        """
        environment = settings.git_environment()
        if start == "." and "GIT_DIR" in environment:
            git_dir = environment["GIT_DIR"]
            if not _is_git_dir(git_dir):
                raise NotARepository(
                    f"GIT_DIR names {git_dir}, which is not a Git repository", hint="unset GIT_DIR"
                )
            tree = environment.get("GIT_WORK_TREE") or _parent_worktree(git_dir)
            return cls(git_dir, tree)
        ceilings = set(environment.get("GIT_CEILING_DIRECTORIES", "").split(os.pathsep)) - {""}
        folder = os.path.abspath(start)
        while True:
            found = cls._at(folder)
            if found is not None:
                return found
            parent = os.path.dirname(folder)
            if parent == folder or parent in ceilings:
                raise NotARepository(
                    f"{os.path.abspath(start)} is not in a Git repository",
                    hint="run 'mlgit init' there to make one, or 'cd' into yours",
                )
            folder = parent

    @classmethod
    def open(cls, path: str) -> Repository:
        """The repository at a path: its worktree's root, its Git directory or a bare one.

        Raises:
            NotARepository: There is none right there.
        """
        found = cls._at(os.path.abspath(path))
        if found is None:
            raise NotARepository(
                f"{path} is not a Git repository", hint=f"run 'mlgit init {path}' to make one"
            )
        return found

    @classmethod
    def _at(cls, folder: str) -> Repository | None:
        dot_git = f"{folder}/.git"
        if os.path.isdir(dot_git):
            if _is_git_dir(dot_git):
                return cls(dot_git, _configured_worktree(dot_git) or folder)
        elif os.path.isfile(dot_git):
            return cls(_read_gitfile(dot_git), folder)
        if _is_git_dir(folder):
            in_dot_git = os.path.basename(folder) == ".git" and not _is_bare(folder)
            return cls(folder, os.path.dirname(folder) if in_dot_git else None)
        return None

    @classmethod
    def init(
        cls, path: str, *, bare: bool = False, default_branch: str | None = None
    ) -> Repository:
        """Make a new repository, as ``git init`` does.

        Args:
            path: Its folder, made if it isn't there.
            bare: Without a worktree.
            default_branch: The branch that HEAD names; by default Git's
                ``init.defaultBranch``, else "main".

        Raises:
            PermissionDenied, StorageError: It can't be written.
        """
        from dulwich.config import StackedConfig
        from dulwich.repo import Repo

        try:
            os.makedirs(path, exist_ok=True)
            if not default_branch:
                try:
                    default_branch = (
                        StackedConfig.default().get((b"init",), b"defaultBranch").decode()
                    )
                except KeyError:
                    default_branch = "main"
            make = Repo.init_bare if bare else Repo.init
            made = make(path, default_branch=default_branch.encode())
            made.close()
        except OSError as error:
            raise from_os_error(error, f"make a repository at {path}") from error
        return cls.open(path)

    def _check_format(self) -> None:
        try:
            with open(f"{self.common_dir}/config", "rb") as f:
                text = f.read()
        except FileNotFoundError:
            return
        except OSError as error:
            raise from_os_error(error, "read the repository's configuration") from error
        if b"extensions" not in text.lower() and b"repositoryformatversion = 0" in text:
            return
        _refuse_unknown_format(self.common_dir)

    # -- configuration

    @_cached
    def _config(self) -> StackedConfig:
        return configuration(self.git_dir, self.common_dir)

    def config(self) -> StackedConfig:
        """Git's configuration: worktree, repository, user and system, nearest first."""
        return self._config

    def configured(self, section: str, key: str, subsection: str | None = None) -> str | None:
        """One value of Git's configuration, or None where it isn't set."""
        name = (section.encode(),) + ((subsection.encode(),) if subsection else ())
        try:
            return self._config.get(name, key.encode()).decode("utf-8", "replace")
        except KeyError:
            return None

    def flag(self, section: str, key: str) -> bool:
        """One setting of Git's configuration that is on or off; off where it isn't set.

        Raises:
            InvalidParameterValue: It is neither.
        """
        value = (self.configured(section, key) or "false").lower()
        if value in ("true", "yes", "on", "1"):
            return True
        if value in ("false", "no", "off", "0"):
            return False
        raise InvalidParameterValue(
            f"{section}.{key} of Git's configuration is {value!r}, neither true nor false",
            hint=f"git config {section}.{key} true",
        )

    @_cached
    def _identities(self) -> dict[str, str]:
        from mlgit.git.identity import identity

        environment = settings.git_environment()
        return {r: identity(r, environment, self.configured) for r in ("AUTHOR", "COMMITTER")}

    def author(self) -> str:
        """The "Name <email>" that Git would record as a commit's author."""
        return self._identities["AUTHOR"]

    def committer(self) -> str:
        """The "Name <email>" that Git would record as a commit's committer."""
        return self._identities["COMMITTER"]

    def remotes(self) -> list[str]:
        """The names of the Git remotes that are configured now."""
        path = f"{self.common_dir}/config"
        sections = read_config(path).sections() if os.path.exists(path) else ()
        found = [os.fsdecode(s[1]) for s in sections if s[0] == b"remote" and len(s) == 2]
        return list(dict.fromkeys(found))

    # -- what is checked out

    def head(self) -> Head:
        """What is checked out now."""
        target = self.refs.symbolic("HEAD")
        if target is None:
            return Head(None, self.refs.read("HEAD"))
        branch = target[11:] if target.startswith("refs/heads/") else target
        return Head(branch, self.refs.read(target))

    def default_branch(self) -> str | None:
        """The branch that others start from: what origin's HEAD names, else what is customary."""
        target = self.refs.symbolic("refs/remotes/origin/HEAD")
        if target:
            return target[len("refs/remotes/origin/") :]
        candidates = [self.configured("init", "defaultBranch"), "main", "master"]
        for name in candidates:
            if name and self.refs.read(f"refs/heads/{name}"):
                return name
        return None

    def close(self) -> None:
        """Close the files that are kept open."""
        self.objects.close()


def _common_dir(git_dir: str) -> str:
    try:
        with open(f"{git_dir}/commondir", encoding="utf-8", errors="surrogateescape") as f:
            return os.path.realpath(os.path.join(git_dir, f.read().strip()))
    except (FileNotFoundError, NotADirectoryError):
        return git_dir


def _is_git_dir(path: str) -> bool:
    if not os.path.lexists(f"{path}/HEAD"):
        return False
    common = _common_dir(path)
    return os.path.isdir(f"{common}/objects") and os.path.isdir(f"{common}/refs")


def _read_gitfile(path: str) -> str:
    with open(path, encoding="utf-8", errors="surrogateescape") as f:
        text = f.read().strip()
    target = os.path.join(os.path.dirname(path), text.removeprefix("gitdir:").strip())
    if not text.startswith("gitdir:") or not _is_git_dir(target):
        raise NotARepository(
            f"{path} doesn't lead to a Git directory",
            hint="git worktree repair mends moved worktrees",
        )
    return target


def _configured_worktree(git_dir: str) -> str | None:
    with open(f"{git_dir}/config", "rb") as f:
        if b"worktree" not in f.read().lower():
            return None
    try:
        value = read_config(f"{git_dir}/config").get((b"core",), b"worktree")
    except KeyError:
        return None
    return os.path.join(git_dir, os.fsdecode(value))


def _is_bare(git_dir: str) -> bool:
    try:
        config = read_config(f"{git_dir}/config")
        return bool(config.get_boolean((b"core",), b"bare", False))
    except OSError:
        return False


def _parent_worktree(git_dir: str) -> str | None:
    path = os.path.abspath(git_dir)
    if _is_bare(path):
        return None
    return os.path.dirname(path) if os.path.basename(path) == ".git" else os.getcwd()


def _refuse_unknown_format(common_dir: str) -> None:

    config = read_config(f"{common_dir}/config")
    try:
        version = int(config.get((b"core",), b"repositoryformatversion"))
    except (KeyError, ValueError):
        version = 0
    extensions = {
        key.decode().lower(): value.decode().lower()
        for key, value in (config.items((b"extensions",)) if (b"extensions",) in config else ())
    }
    hash_name = extensions.pop("objectformat", "sha1")
    ref_format = extensions.pop("refstorage", "files")
    unknown = sorted(set(extensions) - _KNOWN_EXTENSIONS) if version >= 1 else []
    if hash_name != "sha1":
        problem = f"it names its objects by {hash_name.upper()}, and mlgit reads SHA-1 only"
    elif ref_format != "files":
        problem = f"it keeps its refs in the {ref_format!r} format, and mlgit reads 'files' only"
    elif version > 1:
        problem = f"its format version is {version}, and mlgit knows 0 and 1"
    elif unknown:
        problem = f"it uses the extension {unknown[0]!r}, which mlgit doesn't know"
    else:
        return
    raise Unsupported(
        f"mlgit can't read the repository at {common_dir}: {problem}",
        hint="git clone it into a repository of Git's default format "
        "(git init --object-format=sha1 --ref-format=files), and work there",
    )
