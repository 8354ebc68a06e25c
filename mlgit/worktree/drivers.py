"""Git's merge and diff drivers for the files of records, in one clone."""

from __future__ import annotations

import os
import shlex
import sys

from mlgit.exceptions import from_os_error
from mlgit.git import Repository
from mlgit.git.program import configure
from mlgit.store import names
from mlgit.worktree.hooks import Hook
from mlgit.worktree.tracked import write_whole

_BEGIN = "# made by mlgit install"
_END = "# end of mlgit install"
# For a team that would rather have them in .gitattributes; docs/review.md has the same lines.
ATTRIBUTES = (
    f"/{names.RECORDS}*/*.yaml merge=mlgit",
    f"/{names.RECORDS}*/metrics.yaml diff=mlgit",
    f"/{names.RECORDS}*/params.yaml diff=mlgit",
    f"/{names.RECORDS}*/history/*.csv merge=mlgit",
)


def install(repo: Repository) -> Hook:
    """Tell Git of the drivers, and which files are theirs (``info/attributes``).

    Raises:
        MissingDependency: No ``git`` is installed.
        PermissionDenied, StorageError: The attributes can't be written.
    """
    program = f"{shlex.quote(sys.executable)} -m mlgit"
    configure(
        repo,
        {
            "merge.mlgit.name": "mlgit: records of runs, key by key",
            "merge.mlgit.driver": f"{program} merge-driver %O %A %B %P",
            "diff.mlgit.command": f"{program} diff-driver",
        },
    )
    before = _read(repo)
    after = _without(before) + "\n".join([_BEGIN, *ATTRIBUTES, _END, ""])
    _write(repo, after)
    return Hook("merge and diff drivers", "there" if before == after else "made")


def remove(repo: Repository) -> Hook:
    """Take away what ``install`` made."""
    before = _read(repo)
    if _BEGIN not in before:
        return Hook("merge and diff drivers", "absent")
    _write(repo, _without(before))
    keys = ("merge.mlgit.name", "merge.mlgit.driver", "diff.mlgit.command")
    configure(repo, dict.fromkeys(keys))
    return Hook("merge and diff drivers", "removed")


def _path(repo: Repository) -> str:
    return f"{repo.common_dir}/info/attributes"


def _read(repo: Repository) -> str:
    try:
        with open(_path(repo), encoding="utf-8", errors="surrogateescape") as f:
            return f.read()
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise from_os_error(error, f"read {_path(repo)}") from error


def _without(text: str) -> str:
    """The person's own lines, ended."""
    start, end = text.find(_BEGIN), text.find(_END)
    if start >= 0 and end > start:
        text = text[:start] + text[end + len(_END) :].lstrip("\n")
    return text if not text or text.endswith("\n") else text + "\n"


def _write(repo: Repository, text: str) -> None:
    try:
        os.makedirs(os.path.dirname(_path(repo)), exist_ok=True)
        write_whole(_path(repo), text.encode("utf-8", "surrogateescape"))
    except OSError as error:
        raise from_os_error(error, f"write {_path(repo)}") from error
