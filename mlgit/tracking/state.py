"""What is going on in a repository: its experiment in use, going runs, problems."""

from __future__ import annotations

from dataclasses import dataclass, field

from mlgit import settings
from mlgit.exceptions import MlgitException
from mlgit.store import names
from mlgit.store.gitstore import GitStore
from mlgit.store.pushed import unpushed, unpushed_registry
from mlgit.store.record import Record


@dataclass(frozen=True)
class Going:
    """A run that is going.

    Attributes:
        started: In milliseconds since 1970.
        writers: (host, process id) of each process that is logging to it now.
    """

    run_id: str
    name: str
    experiment: str
    started: int | None
    writers: list[tuple[str, int]] = field(default_factory=list)


@dataclass(frozen=True)
class State:
    """What is going on in a repository.

    Attributes:
        place: Its worktree, or the Git directory of a bare one.
        branch: The branch that is checked out, if there is one.
        experiment: The experiment of new runs that name none.
        because: Why it is that one.
        exists: Whether that experiment is there already.
        runs: How many runs there are, deleted ones included.
        recovered: (run id, name) of the runs whose processes had died, committed now.
        going: The runs that are going.
        problems: (ref or run id, message) of what can't be read.
        unpushed: For each Git remote, (run id, name) of the runs that it isn't known to have.
        unpushed_registry: For each, the refs of registry tags and models' texts.
    """

    place: str
    bare: bool
    branch: str | None
    experiment: str
    because: str
    exists: bool
    runs: int
    recovered: list[tuple[str, str]]
    going: list[Going]
    problems: list[tuple[str, str]]
    unpushed: dict[str, list[tuple[str, str]]]
    unpushed_registry: dict[str, list[str]]


def state(store: GitStore) -> State:
    """What is going on in a repository; runs whose processes died are recovered first."""
    recovered: list[Record] = store.runs.recover()
    repo = store.repo
    experiment, because = experiment_in_use(store)
    going, problems = _going(store)
    problems += [(ref, message) for ref, _, message in store.problems()]
    damaged: list[str] = []
    repo.refs.loose_items("refs/mlgit/", damaged)
    problems += [(ref, "this ref's file doesn't hold a commit's name") for ref in damaged]
    return State(
        place=repo.worktree or repo.git_dir,
        bare=repo.worktree is None,
        branch=repo.head().branch,
        experiment=experiment,
        because=because,
        exists=experiment in store.index.experiment_names().values(),
        runs=store.index.count_runs(),
        recovered=[(record.run_id, record.run_name) for record in recovered],
        going=going,
        problems=problems,
        unpushed={remote: unpushed(store, remote) for remote in repo.remotes()},
        unpushed_registry={remote: unpushed_registry(repo, remote) for remote in repo.remotes()},
    )


def experiment_in_use(store: GitStore) -> tuple[str, str]:
    """The experiment that a new run belongs to where the program names none, and why.

    The rule is the fluent API's; nothing is made.
    """
    name = settings.experiment_name()
    if name:
        return name, "the environment names it"
    configured = settings.experiment_id()
    if configured:
        found = store.experiments.find(configured)
        return found.name if found else configured, "the environment names its id"
    head = store.repo.head() if store.repo.worktree else None
    if head is None or head.branch is None or head.commit is None:
        return names.DEFAULT_EXPERIMENT, "no branch with commits is checked out"
    if head.branch in (store.repo.default_branch(), "main", "master"):
        return names.DEFAULT_EXPERIMENT, f"{head.branch} is the default branch"
    return names.experiment_for_branch(head.branch), "the branch has this name"


def _going(store: GitStore) -> tuple[list[Going], list[tuple[str, str]]]:
    going, problems = [], []
    for run_id in store.runs.committer.pending():
        try:
            found = store.runs.committer.load(run_id)
        except MlgitException as error:
            problems.append((run_id, error.message))
            continue
        except Exception as error:  # whatever is wrong with one run, the rest is told
            problems.append((run_id, f"{type(error).__name__}: {error}"))
            continue
        if found is None or not found[1].journals:
            continue
        record, live, _ = found
        writers = [
            (str(j.opening.get("host", "")), int(j.opening.get("pid", 0)))
            for j in live.journals
            if j.alive
        ]
        going.append(Going(run_id, record.run_name, record.experiment, record.start_time, writers))
    return going, problems
