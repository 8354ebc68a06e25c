"""Which runs a branch stands for.

1. The branch's commit is a run's own ("accepted" by a fast-forward): that run.
2. The branch has records of runs (.mlgit/experiments/) that the base hasn't, or not so: these.
3. Runs were made of the branch's commits since it parted from the base: the newest of them
   that is finished, else the newest.
   Where there is none: the newest of where it parted whose code is the branch's, run before it was
   committed.
4. The records that the branch has.

The base is the tip of the branch that is merged into: the run that has to be beaten is the one
there now. For it 1, then 4, then the newest finished run of its commits counts (but of uncommitted
changes on another branch only if there is no other), of the experiment of the other side's run if
there is one. The code and the data are compared with where the branch parted from the base, as a
pull request shows them.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from mlgit.entities import Run
from mlgit.exceptions import InvalidParameterValue, MlgitException, ResourceDoesNotExist
from mlgit.git import Repository
from mlgit.review import ancestry
from mlgit.review.code import same_code
from mlgit.review.revisions import Revision, resolve
from mlgit.store.gitstore import GitStore

# How far back runs are looked for.
MOST_COMMITS = 1000
# Of commits that branches share, as many runs are looked at for whose they are.
_MOST_BEFORE = 50
_COMMIT_TAG = "mlflow.source.git.commit"
_BRANCH_TAG = "mlflow.source.git.branch"


@dataclass(frozen=True)
class Sides:
    """What a pull request compares.

    Attributes:
        base: Where the branch parted from its base, with the records of the base's tip.
        head: The branch's commit, with the records that it stands for.
        base_tip: The base's commit.
        remarks: What a reviewer should know of the choice.
        merged: Whether the base has all of the branch's commits.
    """

    base: Revision
    head: Revision
    base_tip: str
    remarks: tuple[str, ...] = ()
    merged: bool = False


def sides_of(store: GitStore, base: str, head: str = "HEAD") -> Sides:
    """The two sides of a pull request.

    Args:
        store: The repository.
        base: The revision that the branch is to be merged into.
        head: The branch.

    Raises:
        ResourceDoesNotExist: One of them isn't there, or has no commit.
        InvalidParameterValue: They have no commit in common.
    """
    return Base(store, base).sides(head)


class Base:
    """What branches are to be merged into, looked at once for all of them.

    Args:
        store: The repository.
        text: The revision.

    Attributes:
        commit: Its commit.

    Raises:
        ResourceDoesNotExist: It isn't there, or has no commit.
    """

    def __init__(self, store: GitStore, text: str) -> None:
        self.store = store
        self.text = text
        self._revision = resolve(store, text)
        self.commit = _commit(self._revision, text)
        self._commits: list[str] | None = None
        self._found: dict[frozenset[str], Run | None] = {}

    def sides(self, head: str) -> Sides:
        """The two sides of a branch's pull request; see ``sides_of``."""
        store, old, new = self.store, self._revision, resolve(self.store, head)
        tip = _commit(new, head)
        parted = ancestry.merge_base(store.repo, self.commit, tip)
        chosen, remarks = _head_side(store, new, old, parted)
        found, more = self._side(chosen)
        base, tree = self.text, _tree(store, parted)
        # What was compared is called by what the person wrote.
        return Sides(
            replace(found, text=base, label=f"{base} ({self.commit[:10]})", tree=tree),
            replace(chosen, text=head, label=f"{head} ({tip[:10]})", tree=new.tree),
            self.commit,
            (*remarks, *more),
            parted == tip,
        )

    def _side(self, chosen: Revision) -> tuple[Revision, tuple[str, ...]]:
        old = self._revision
        if old.run_id is not None or old.records:
            return old, ()
        wanted = [r.load()[0].experiment_id for r in chosen.records]
        run = self._run(frozenset(wanted)) if wanted else None
        run = run or self._run(frozenset())
        if run is None or (chosen.records and run.info.run_id == _run_id(chosen)):
            return old, (f"no run was made of {old.text}'s commits",)
        return _with_run(old, run, self.store), ()

    def _run(self, experiments: frozenset[str]) -> Run | None:
        """The run that stands for it, of some experiments, or of any where none are named."""
        if experiments not in self._found:
            if self._commits is None:
                self._commits = ancestry.since(self.store.repo, self.commit, None, MOST_COMMITS)
            found = _newest_of(self.store, self._commits, experiments or None)
            own = (run for run in found if not self._is_of_another_branch(run))
            self._found[experiments] = next(own, found[0] if found else None)
        return self._found[experiments]

    def _is_of_another_branch(self, run: Run) -> bool:
        """Whether a run tried a change on a branch that had no commit of its own yet."""
        branch = run.data.tags.get(_BRANCH_TAG)
        if not branch or f"/{self.text}".endswith(f"/{branch}"):
            return False
        try:
            return bool(self.store.runs.record(run.info.run_id).source.get("dirty"))
        except MlgitException:
            return False


def _commit(revision: Revision, text: str) -> str:
    if revision.commit is None:
        raise ResourceDoesNotExist(f"{text} has no commit", hint="name a branch or a commit")
    return revision.commit


def _tree(store: GitStore, commit: str) -> str | None:
    return resolve(store, commit).tree


def _head_side(
    store: GitStore, new: Revision, old: Revision, parted: str
) -> tuple[Revision, tuple[str, ...]]:
    assert new.commit is not None
    if new.run_id is not None:
        return new, ()
    before = {r.folder: r.tree for side in (old, resolve(store, parted)) for r in side.records}
    own = tuple(r for r in new.records if before.get(r.folder) != r.tree)
    if own:
        return replace(new, records=own), ()
    commits = ancestry.since(store.repo, new.commit, parted, MOST_COMMITS)
    if not commits:  # nothing is on the branch yet: what is run of its commit is its
        commits = [new.commit]
    run = _newest(store, commits, None) or _uncommitted(store, new, parted)
    if run is None:
        return new, ("no run was made of this branch's commits, or of its code before it had any",)
    return _with_run(new, run, store), _about(store, new, run)


def _run_id(side: Revision) -> str | None:
    return side.records[0].load()[0].run_id if side.records else None


def _with_run(side: Revision, run: Run, store: GitStore) -> Revision:
    found = resolve(store, run.info.run_id)
    return replace(side, run_id=run.info.run_id, records=found.records)


def _newest(
    store: GitStore, commits: Sequence[str], experiments: Collection[str] | None
) -> Run | None:
    """The newest finished run of some commits, or the newest."""
    return next(iter(_newest_of(store, commits, experiments, 1)), None)


def _newest_of(
    store: GitStore,
    commits: Sequence[str],
    experiments: Collection[str] | None,
    most: int = _MOST_BEFORE,
) -> Sequence[Run]:
    """Some commits' newest finished runs, or their newest where none is finished."""
    listed = ", ".join(f"'{sha}'" for sha in commits)
    # IN, which the index answers by the tags' values; by OR it would look at every run.
    of_these = f"tags.`{_COMMIT_TAG}` IN ({listed})"
    for text in (f"attributes.status = 'FINISHED' AND {of_these}", of_these):
        found = store.search_runs(
            list(experiments) if experiments else None,
            text,
            max_results=most,
            order_by=["attributes.start_time DESC"],
        )
        if found:
            return found
    return ()


def _uncommitted(store: GitStore, side: Revision, parted: str) -> Run | None:
    """The newest run of a branch's code from before that was committed."""
    if side.tree is None or side.tree == _tree(store, parted):
        return None
    found = store.search_runs(
        None,
        f"tags.`{_COMMIT_TAG}` = '{parted}'",
        max_results=_MOST_BEFORE,
        order_by=["attributes.start_time DESC"],
    )
    own = [run for run in found if _is_of(store.repo, store, side, run)]
    return next((run for run in own if run.info.status == "FINISHED"), own[0] if own else None)


def _about(store: GitStore, side: Revision, run: Run) -> tuple[str, ...]:
    """What is odd about a run that was chosen for a branch."""
    found = []
    commit = run.data.tags.get(_COMMIT_TAG, "")
    if not _is_of(store.repo, store, side, run):
        found.append(f"the run's code ({commit[:10]}) isn't that of {side.text}")
    return tuple(found)


def _is_of(repo: Repository, store: GitStore, side: Revision, run: Run) -> bool:
    try:
        tree = store.runs.tree(run.info.run_id)
        code = tree.commit.tree if tree else store.runs.record(run.info.run_id).code_tree
        return code is not None and side.tree is not None and same_code(repo, code, side.tree)
    except MlgitException:
        return False


def default_base(store: GitStore, remote: str = "origin") -> str:
    """The branch that pull requests are merged into, where nobody says which.

    Raises:
        InvalidParameterValue: It can't be told.
    """
    name = store.repo.default_branch()
    for text in (f"{remote}/{name}", name):
        if name and text and _is_there(store, text):
            return text
    raise InvalidParameterValue(
        "It isn't clear what to compare this branch with",
        hint="say it: mlgit report --base origin/main",
    )


def _is_there(store: GitStore, text: str) -> bool:
    refs = store.repo.refs
    return any(refs.read(f"refs/{kind}/{text}") for kind in ("remotes", "heads"))
