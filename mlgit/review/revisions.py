"""From what a person writes to the two sides of a comparison.

What a text means, the first that fits:

1. ``worktree``: the files as they lie there now;
2. ``models:/NAME/VERSION``, ``models:/NAME/STAGE``, ``models:/NAME@ALIAS``;
3. ``@{n}``, a run's ref, or a whole run id;
4. ``HEAD``, ``@``, a ref, tag, branch or remote branch of Git, or a whole commit id;
5. a version of a registered model: ``NAME@v3``, ``NAME@alias``, ``NAME@stage``;
6. a run's name;
7. the beginning of a run's id, or of a commit's (4 digits or more).

``~n`` and ``^n`` after any of these go to parents as in Git; a run's parent is the code
commit that it stood on (or the run before its last change). Where a text fits several
things of one of these lines, it is refused.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from mlgit.entities.model_registry import ModelVersion
from mlgit.exceptions import (
    CorruptData,
    InvalidParameterValue,
    MlgitException,
    ResourceDoesNotExist,
)
from mlgit.git import Repository, check_ref_name
from mlgit.git.commits import parse_commit
from mlgit.git.trees import resolve_commit
from mlgit.review import ancestry, versions
from mlgit.review.recorded import Recorded, has_code, in_tree, of_run
from mlgit.store import names
from mlgit.store.gitstore import GitStore
from mlgit.store.record import parse_environment
from mlgit.store.runtree import RunTree

WORKTREE = "worktree"
_STEPS = re.compile(r"(?P<base>.*?)(?P<steps>(?:[~^][0-9]{0,9})*)\Z", re.DOTALL)
_STEP = re.compile(r"([~^])([0-9]*)")
_HEX = re.compile(r"[0-9a-f]{4,40}\Z")
_MOST_STEPS = 1_000_000
_MOST_ALIKE = 10_000
_MOST_LISTED = 20


@dataclass(frozen=True)
class Revision:
    """One side of a comparison.

    Attributes:
        text: What the person wrote.
        kind: "run", "commit", "model" or "worktree".
        label: What to call it in a heading.
        commit: The commit; of a going run without one, and of the worktree, the one that
            it stands on. None where there is none.
        tree: The tree of the code; None where none was recorded.
        run_id: The run whose state this is, or None.
        records: The records that it holds; a run's own only.
        version: The version of a registered model that it is, or None.
    """

    text: str
    kind: str
    label: str
    commit: str | None
    tree: str | None
    run_id: str | None
    records: tuple[Recorded, ...]
    version: ModelVersion | None = None


def resolve(store: GitStore, text: str) -> Revision:
    """The run, commit or worktree that a person means; the module says how.

    Args:
        store: The repository.
        text: What was written.

    Raises:
        ResourceDoesNotExist: It means nothing here.
        InvalidParameterValue: It could mean several things; the message lists them.
    """
    text = text.strip()
    match = _STEPS.match(text)
    base, steps = (match["base"], match["steps"]) if match else (text, "")
    if not base:
        raise InvalidParameterValue(
            f"{text!r} isn't a revision", hint="give a run, a branch, a commit or 'worktree'"
        )
    if not steps or any(name == text for _, name, _ in _runs_like(store, text)):
        return _resolve_base(store, text)
    at = _commit_of(_resolve_base(store, base))
    for sign, digits in _STEP.findall(steps):
        count = int(digits) if digits else 1
        at = _step(store.repo, at, sign, count)
    return _of_commit(store, text, at)


def resolve_version(store: GitStore, text: str) -> Revision:
    """The version of a registered model that a person means.

    Args:
        store: The repository.
        text: ``NAME``, ``NAME@v3``, ``NAME@alias``, ``NAME@stage`` or a ``models:/`` URI.

    Raises:
        ResourceDoesNotExist: There is no such model or version.
        InvalidParameterValue: There is no such alias or stage.
    """
    if text.startswith("models:"):
        return _of_version(store, text, versions.of_uri(store, text))
    return _of_version(store, text, versions.meant(store, text))


def resolve_pair(store: GitStore, arguments: Sequence[str]) -> tuple[Revision, Revision]:
    """The old and the new side that the arguments of a command mean.

    Args:
        store: The repository.
        arguments: ``A B``, ``A..B`` or ``A...B`` (the commit where their histories parted,
            against B; a missing side is HEAD). ``A`` alone: A against the newest finished
            run, of A's experiment where A is a run. Nothing, or that newest run itself:
            the finished run before it in its experiment, against it.

    Raises:
        ResourceDoesNotExist: Something isn't there.
        InvalidParameterValue: A text could mean several things, or there are too many.
    """
    if len(arguments) > 2:
        raise InvalidParameterValue("Two revisions can be compared, not more")
    if len(arguments) == 2:
        return resolve(store, arguments[0]), resolve(store, arguments[1])
    if not arguments:
        return _last_two(store, None)
    text = arguments[0]
    if ".." in text:
        return _range(store, text)
    old = resolve(store, text)
    newest = _newest(store, _experiment_of(store, old))
    if not newest:
        raise ResourceDoesNotExist(
            f"There is no finished run to compare {text} with",
            hint=f"name what to compare it with: mlgit diff {text} worktree",
        )
    if newest[0] == old.run_id and old.kind == "run":
        return _last_two(store, old)
    return old, _of_run(store, newest[0][:8], newest[0])


def _range(store: GitStore, text: str) -> tuple[Revision, Revision]:
    left, dots, right = text.partition("..." if "..." in text else "..")
    old, new = resolve(store, left or "HEAD"), resolve(store, right or "HEAD")
    if dots == "...":
        base = ancestry.merge_base(store.repo, _commit_of(old), _commit_of(new))
        return _of_commit(store, text, base), new
    return old, new


def _newest(store: GitStore, experiment_id: str | None) -> list[str]:
    """The ids of the two newest finished runs."""
    found = store.search_runs(
        None if experiment_id is None else [experiment_id],
        "attributes.status = 'FINISHED'",
        max_results=2,
        order_by=["attributes.start_time DESC"],
    )
    return [run.info.run_id for run in found]


def _experiment_of(store: GitStore, revision: Revision) -> str | None:
    if revision.kind != "run" or revision.run_id is None:
        return None
    return store.runs.record(revision.run_id).experiment_id


def _last_two(store: GitStore, new: Revision | None) -> tuple[Revision, Revision]:
    if new is None:
        found = _newest(store, None)
        if not found:
            raise ResourceDoesNotExist(
                "There is no finished run to compare",
                hint="make one with mlgit.start_run(), or name two revisions",
            )
        new = _of_run(store, found[0][:8], found[0])
    runs = _newest(store, _experiment_of(store, new))
    others = [run_id for run_id in runs if run_id != new.run_id]
    if not others:
        short = (new.run_id or "")[:8]
        raise ResourceDoesNotExist(
            f"{new.label} is the only finished run of its experiment",
            hint=f"mlgit diff {short}^ {short} compares it with the code that it started from",
        )
    return _of_run(store, others[0][:8], others[0]), new


# -- what a text means


def _resolve_base(store: GitStore, text: str) -> Revision:
    if text == WORKTREE:
        return _of_worktree(store)
    if text.startswith("models:"):
        return _of_version(store, text, versions.of_uri(store, text))
    run_id = _exact_run(store, text)
    if run_id is not None:
        return _of_run(store, text, run_id)
    commit = _of_git_name(store.repo, text)
    if commit is not None:
        return _of_commit(store, text, commit)
    version = versions.of_text(store, text)
    if version is not None:
        return _of_version(store, text, version)
    return _by_name_or_prefix(store, text)


def _exact_run(store: GitStore, text: str) -> str | None:
    if text.startswith(("@{", names.RUNS)):
        try:
            return store.resolve_run(text)
        except OverflowError as error:
            raise ResourceDoesNotExist(f"There are not that many runs: {text}") from error
    if any(run[0] == text for run in _runs_like(store, text)):
        return text
    return None


def _runs_like(store: GitStore, text: str) -> list[tuple[str, str, str]]:
    try:
        text.encode()
    except UnicodeEncodeError:
        return []  # bytes that aren't UTF-8: a file's or a branch's name, but no run's
    # A name must be found among however many ids that begin with it.
    return store.index.runs_like(text, _MOST_ALIKE)


def _of_git_name(repo: Repository, text: str) -> str | None:
    """The commit that Git's refs, or a whole id, name."""
    if text in ("HEAD", "@"):
        commit = repo.head().commit
        if commit is None:
            raise ResourceDoesNotExist(
                "HEAD has no commit yet", hint="compare with 'worktree', or commit something first"
            )
        return commit
    if len(text) == 40 and _HEX.match(text) and repo.objects.exists(text):
        return resolve_commit(repo.objects, text)
    found = _refs_called(repo, text)
    if len(set(found.values())) > 1:
        listing = "\n".join(f"  {name}  {sha[:10]}" for name, sha in found.items())
        raise InvalidParameterValue(
            f"{text!r} could be any of\n{listing}", hint="give the whole ref"
        )
    return next(iter(found.values()), None)


def _refs_called(repo: Repository, text: str) -> dict[str, str]:
    """The refs that a short name means, and their commits: the best kind's, tags and branches."""
    try:
        check_ref_name(text)
    except InvalidParameterValue:
        return {}
    if text.startswith("refs/"):
        kinds = [[text]]
    else:
        local = [f"refs/tags/{text}", f"refs/heads/{text}"]
        kinds = [local, [f"refs/remotes/{text}"], [f"refs/remotes/{text}/HEAD"]]
    for kind in kinds:
        present = {name: sha for name in kind if (sha := repo.refs.read(name))}
        if present:
            return {name: resolve_commit(repo.objects, sha) for name, sha in present.items()}
    return {}


def _by_name_or_prefix(store: GitStore, text: str) -> Revision:
    runs = _runs_like(store, text)
    named = [run for run in runs if run[1] == text]
    commits = [] if named else _commits_like(store.repo, text)
    runs = named or runs
    if not runs and not commits:
        raise ResourceDoesNotExist(
            f"{text!r} is no run, branch, tag or commit",
            hint="give a run's name or id, @{0} for the newest run, a branch, a tag, a commit, "
            "HEAD~1, a model's version (NAME@v3, NAME@production) or 'worktree'",
        )
    if len(runs) + len(commits) == 1:
        return _of_run(store, text, runs[0][0]) if runs else _of_commit(store, text, commits[0])
    listing = [f"  run     {run_id}  {name}" for run_id, name, _ in runs]
    listing += [f"  commit  {sha}" for sha in commits]
    more = len(listing) - _MOST_LISTED
    if more > 0:
        listing[_MOST_LISTED:] = [f"  … and {more} more"]
    raise InvalidParameterValue(
        f"{text!r} could be any of\n" + "\n".join(listing),
        hint="give an id, or more of it; mlgit log lists the runs",
    )


def _commits_like(repo: Repository, text: str) -> list[str]:
    if not _HEX.match(text):
        return []
    found = set()
    for sha in repo.objects.complete(text):
        if repo.objects.read(sha)[0] in ("commit", "tag"):
            try:
                found.add(resolve_commit(repo.objects, sha))
            except ResourceDoesNotExist:
                pass  # a tag of something else
    return sorted(found)


def _step(repo: Repository, commit: str, sign: str, count: int) -> str:
    if sign == "^":
        return commit if count == 0 else ancestry.parent(repo, commit, count)
    for _ in range(min(count, _MOST_STEPS)):
        commit = ancestry.parent(repo, commit, 1)
    return commit


def _commit_of(revision: Revision) -> str:
    if revision.commit is None:
        raise ResourceDoesNotExist(
            f"{revision.text} has no commit, and so no history", hint="compare it with A..B"
        )
    return revision.commit


# -- what it is


def _of_run(store: GitStore, text: str, run_id: str) -> Revision:
    """A run as it is now, going or ended."""
    tree = store.runs.tree(run_id)
    record = store.runs.record(run_id)
    label = f"{record.run_name} ({run_id[:8]})"
    if tree is not None:
        code = _code(store.repo, tree.commit.tree)
        mine = of_run(tree, record)
        return Revision(text, "run", label, tree.sha, code, run_id, (mine,))
    blob = record.environment

    def environment() -> dict[str, object]:
        if not blob or not store.repo.objects.exists(blob):
            return {}
        return parse_environment(store.repo.objects.blob(blob), f"environment of {run_id}")

    folder = names.file_name(record.experiment)
    mine = Recorded(
        folder, "", lambda: (record, environment()), lambda key: record.points.get(key, [])
    )
    code = _code(store.repo, record.code_tree)
    return Revision(text, "run", label, record.code_commit, code, run_id, (mine,))


def _of_commit(store: GitStore, text: str, sha: str) -> Revision:
    """A commit: the run whose own it is, else the records in its tree."""
    repo = store.repo
    commit = parse_commit(repo.objects.commit(sha))
    own = _own_run(repo, sha)
    if own is not None:
        run_id = commit.trailers().get("Mlgit-Run")
        label = f"{text}: {commit.subject[:60]} ({sha[:10]})"
        code = _code(repo, commit.tree)
        return Revision(text, "commit", label, sha, code, run_id, (of_run(own),))
    records = tuple(in_tree(repo, commit.tree, sha).values())
    label = f"{text} ({sha[:10]})" if not sha.startswith(text) else sha[:10]
    return Revision(text, "commit", label, sha, commit.tree, None, records)


def _of_version(store: GitStore, text: str, version: ModelVersion) -> Revision:
    """A registered version: its run as it was when it was registered, or, of a run that was
    going then, as it is now: what it measured afterwards counts."""
    label = versions.label(version)
    if version.commit is None:
        return Revision(text, "model", label, None, None, version.run_id, (), version)
    found = replace(_of_commit(store, text, version.commit), version=version)
    if found.run_id is None and not str(version.source).startswith("mlgit:/"):
        found = replace(found, tree=None)  # a commit that holds nothing but version.yaml
    run_id = found.run_id or version.run_id
    if found.records and run_id and _was_going(found) and store.index.find_run(run_id):
        found = replace(found, records=_of_run(store, text, run_id).records)
    return replace(found, kind="model", label=label, run_id=run_id)


def _was_going(revision: Revision) -> bool:
    return len(revision.records) == 1 and revision.records[0].load()[0].status == "RUNNING"


def _own_run(repo: Repository, sha: str) -> RunTree | None:
    try:
        return RunTree(repo, sha)
    except CorruptData:
        # Not a run's, or its message was copied to a commit without the record.
        return None


def _of_worktree(store: GitStore) -> Revision:
    if store.repo.worktree is None:
        raise ResourceDoesNotExist(
            "This repository is bare: it has no worktree", hint="name a branch or a commit"
        )
    snapshot = store.runs.snapshotter.take()
    if snapshot.tree is None:
        raise MlgitException("The worktree can't be read")
    records = tuple(in_tree(store.repo, snapshot.tree, WORKTREE).values())
    return Revision(WORKTREE, "worktree", WORKTREE, snapshot.commit, snapshot.tree, None, records)


def _code(repo: Repository, tree: str | None) -> str | None:
    return tree if tree is not None and has_code(repo, tree) else None
