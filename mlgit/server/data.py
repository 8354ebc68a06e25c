"""The data of the checked-out commit, where it is shared, and what takes the space."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from flask import Blueprint, current_app, redirect, render_template, url_for
from flask.typing import ResponseReturnValue

from mlgit.exceptions import MlgitException
from mlgit.git.commits import parse_commit
from mlgit.git.secrets import mask_url, mask_urls
from mlgit.objects import Entry
from mlgit.objects.remote import without_credentials
from mlgit.server.site import store
from mlgit.store import spelling
from mlgit.store.gitstore import GitStore
from mlgit.store.pointers import SUFFIX, find_pointers
from mlgit.store.remotes import masked, read_config
from mlgit.store.usage import Usage, usage

pages = Blueprint("data", __name__)
_MOST = 1000
_KEY = "mlgit.space"
_PATIENCE = 3.0
# As mlgit du calls them.
TOTALS = (
    ("objects", "Artifacts and data in this clone"),
    ("unreached", "of which nothing names (mlgit gc)"),
    ("damaged", "Damaged objects, put aside"),
    ("temporary", "Half-written objects"),
    ("journals", "Journals of going runs"),
    ("index", "Index"),
    ("git", "Git's objects: records and code"),
)


@dataclass(frozen=True)
class Tracked:
    """One file or folder that a pointer of the commit names.

    Attributes:
        path: What the pointer stands for.
        entry: Its content.
        origin: Where it came from, as it may be shown, or "".
        here: Whether its object is in this clone; of a folder its listing.
    """

    path: str
    entry: Entry
    origin: str
    here: bool


@dataclass(frozen=True)
class Remote:
    """A remote, without its secrets.

    Attributes:
        kind: "objects" for artifacts and data, "Git" for refs.
        note: What else is to be said.
    """

    name: str
    kind: str
    url: str
    note: str


@dataclass
class Space:
    """What takes the space, as it was counted last."""

    found: Usage | None = None
    problem: str = ""
    at: float = 0.0
    counting: threading.Thread | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)


@pages.get("/data")
def index() -> ResponseReturnValue:
    """The data that is tracked, and the remotes."""
    head = store().repo.head()
    problems: list[tuple[str, str]] = []
    found: list[Tracked] = []
    if head.commit is not None:
        try:
            found = _tracked(store(), head.commit, problems)
        except MlgitException as error:
            problems.append((head.commit[:10], error.message))
    return render_template(
        "data/index.html",
        head=head,
        tracked=found[:_MOST],
        more=max(0, len(found) - _MOST),
        total=sum(one.entry.size for one in {t.entry.sha256: t for t in found}.values()),
        problems=problems,
        remotes=_remotes(problems),
    )


def _tracked(repository: GitStore, commit: str, problems: list[tuple[str, str]]) -> list[Tracked]:
    tree = parse_commit(repository.repo.objects.commit(commit)).tree
    wrong: list[tuple[str, MlgitException]] = []
    pointers = find_pointers(repository.repo, tree, problems=wrong)
    problems += [(path, error.message) for path, error in wrong]
    return [
        Tracked(
            path.removesuffix(SUFFIX),
            pointer.entry,
            _origin(pointer.origin.get("url")),
            repository.objects.has(pointer.entry.sha256),
        )
        for path, pointer in sorted(pointers.items())
    ]


def _origin(url: object) -> str:
    return mask_url(str(url)) if url else ""


def _remotes(problems: list[tuple[str, str]]) -> list[Remote]:
    repo = store().repo
    found = []
    try:
        config = read_config(repo)
        for name, remote in config.remotes.items():
            options = sorted(masked(remote.options).items())
            notes = [mask_urls(f"{key}={value}") for key, value in options]
            notes += ["this clone's own"] if remote.local else []
            notes += ["default"] if name == config.default else []
            url = mask_url(without_credentials(remote.url))
            found.append(Remote(name, "objects", url, ", ".join(notes)))
    except MlgitException as error:
        problems.append((".mlgit/config.yaml", error.message))
    for name in repo.remotes():
        url = repo.configured("remote", "url", name) or ""
        found.append(Remote(name, "Git", mask_url(url), ""))
    return found


# -- space


@pages.get("/data/space")
def space() -> ResponseReturnValue:
    """What takes the space; it is counted beside, as all runs have to be looked at."""
    known = _space()
    counting = _count(known, again=False)
    return render_template(
        "data/space.html",
        found=known.found,
        problem=known.problem,
        at=int(known.at * 1000),
        counting=counting,
        totals=TOTALS,
        model_name=spelling.read,
    )


@pages.get("/data/space/again")
def again() -> ResponseReturnValue:
    """Count once more."""
    _count(_space(), again=True)
    return redirect(url_for("data.space"))


def _space() -> Space:
    known: Space = current_app.extensions.setdefault(_KEY, Space())
    return known


def _count(known: Space, again: bool) -> bool:
    """Count, if nobody has; whether somebody is still at it after a moment."""
    with known.lock:
        if known.counting is None and (again or not known.at):
            work = _work(known, store())
            known.counting = threading.Thread(target=work, name="mlgit-space", daemon=True)
            known.counting.start()
        thread = known.counting
    if thread is not None:
        thread.join(_PATIENCE)
        return thread.is_alive()
    return False


def _work(known: Space, repository: GitStore) -> Callable[[], None]:
    def work() -> None:
        found, problem = None, ""
        try:
            found = usage(repository)
        except MlgitException as error:
            problem = error.message
        except Exception as error:  # a thread has nobody to raise it to
            problem = f"{type(error).__name__}: {error}"
        with known.lock:
            known.found, known.problem = found or known.found, problem
            known.at, known.counting = time.time(), None

    return work
