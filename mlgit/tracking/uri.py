"""From a tracking URI to a store."""

from __future__ import annotations

import os
import re
from urllib.parse import unquote, urlsplit

from mlgit import settings
from mlgit.exceptions import NotARepository, Unsupported
from mlgit.git import Repository
from mlgit.store.gitstore import GitStore

_DATABASES = {"postgresql", "postgres", "mysql", "mssql", "oracle"}
_SQLITE_MAGIC = b"SQLite format 3\0"
_stores: dict[str, GitStore] = {}
_current: str | None = None


def set_tracking_uri(uri: str | os.PathLike[str] | None) -> None:
    """Say which repository runs are logged to.

    Args:
        uri: A repository's path or ``git+file://`` URL, plain, bare or a worktree;
            ``sqlite:///PATH`` names a bare repository at that path, made on first use.
            None or "" goes back to the repository that holds the working directory.
            It is looked at when it is first used.
    """
    global _current
    _current = os.fspath(uri) if uri else None


def get_tracking_uri() -> str:
    """The tracking URI in use: what was set, what the environment says, or the repository here.

    Returns:
        The URI as it was given, else ``git+file://`` and the repository's path. Where there
        is none it is the working directory's, as the one that ``mlgit init`` would make.
    """
    chosen = _current or settings.tracking_uri()
    if chosen:
        return chosen
    try:
        repo = Repository.discover()
    except NotARepository:
        return "git+file://" + os.getcwd()
    return "git+file://" + (repo.worktree or repo.git_dir)


def is_tracking_uri_set() -> bool:
    """Whether a tracking URI was set, by the program or the environment."""
    return bool(_current or settings.tracking_uri())


def store_for(uri: str | None = None) -> GitStore:
    """The store that a tracking URI names; the current one where none is given.

    Raises:
        NotARepository: There is no repository there.
        Unsupported: The URI names something that mlgit doesn't keep runs in.
    """
    chosen = uri or _current or settings.tracking_uri() or ""
    place = chosen or _folder_here()
    key = f"{_folder_here()}\0{place}" if not _is_absolute(place) else place
    store = _stores.get(key)
    if store is None or not os.path.isdir(store.repo.git_dir):
        repo = _open(chosen) if chosen else Repository.discover()
        # Two URIs of one repository share its store, and so its open runs.
        shared = f"repository\0{repo.git_dir}"
        store = _stores.get(shared)
        if store is None or not os.path.isdir(store.repo.git_dir):
            store = GitStore(repo)
        _stores[key] = _stores[shared] = store
    return store


def _folder_here() -> str:
    try:
        return os.getcwd()
    except OSError as error:
        raise NotARepository(
            "The working directory isn't there any more", hint="cd into a repository"
        ) from error


def _is_absolute(place: str) -> bool:
    return place.startswith("/") or ("://" in place and not place.startswith("sqlite:///"))


def _open(uri: str) -> Repository:
    scheme = re.match(r"^([A-Za-z][A-Za-z0-9+.\-]*):", uri)
    name = scheme[1].lower() if scheme and len(scheme[1]) > 1 else ""
    if name == "sqlite":
        return _open_sqlite(uri)
    if name in ("", "file", "git+file") and uri not in ("databricks", "databricks-uc"):
        return _open_path(_path_of(uri) if name else uri)
    if name.split("+")[0] in _DATABASES:
        raise Unsupported(
            f"mlgit keeps runs in a Git repository, not in a database: {name}://…",
            hint="give a repository's path, or sqlite:///PATH for a new bare one",
        )
    if name in ("http", "https", "databricks") or uri in ("databricks", "databricks-uc"):
        raise Unsupported(
            f"This version of mlgit doesn't log to servers: {_masked(uri) if name else uri}",
            hint="give a repository's path; to share runs, push the repository",
        )
    from mlgit.git.secrets import mask_url

    raise Unsupported(
        f"{mask_url(uri)!r} isn't a tracking URI that mlgit knows",
        hint="give a repository's path, a git+file:// URL, or sqlite:///PATH",
    )


def _masked(uri: str) -> str:
    parts = urlsplit(uri)
    return f"{parts.scheme}://{parts.hostname or ''}"


def _path_of(uri: str) -> str:
    parts = urlsplit(uri.removeprefix("git+"))
    return (
        unquote(parts.netloc + parts.path) if parts.netloc != "localhost" else unquote(parts.path)
    )


def _open_path(path: str) -> Repository:
    path = os.path.abspath(os.path.expanduser(path))
    # MLflow's ./mlruns needn't be there: the repository above it is meant.
    there = path
    while not os.path.isdir(there):
        there = os.path.dirname(there)
    try:
        return Repository.discover(there)
    except NotARepository:
        raise NotARepository(
            f"There is no repository at {path}, or above it",
            hint=f"run 'mlgit init {path}' to make one",
        ) from None


def _open_sqlite(uri: str) -> Repository:
    path = unquote(uri.split(":///", 1)[-1].split("?")[0]) if ":///" in uri else ""
    if not path or path == ":memory:":
        raise Unsupported(
            f"{uri!r} names no path", hint="sqlite:///mlflow.db names a bare repository there"
        )
    path = os.path.abspath(path)
    if os.path.isfile(path):
        with open(path, "rb") as f:
            is_database = f.read(16) in (_SQLITE_MAGIC, b"")
        if is_database:
            raise Unsupported(
                f"{path} is an SQLite database of MLflow's, not a repository of mlgit's",
                hint="its runs will be brought over by 'mlgit import' (not in this version); "
                "until then use another path: the database is left as it is",
            )
        raise Unsupported(f"{path} is a file, not a repository")
    if not os.path.exists(path) or not os.listdir(path):
        return Repository.init(path, bare=True)
    return Repository.open(path)


def close_all() -> None:
    """Let go of all stores."""
    for store in set(_stores.values()):
        store.close()
    _stores.clear()
