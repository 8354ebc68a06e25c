"""``mlgit push``, ``fetch``, ``pull`` and ``clone``: runs and what they name, between clones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from mlgit.cli import errors, pushing
from mlgit.cli.context import RUN, App
from mlgit.cli.output import one_line, plural, safe, size
from mlgit.exceptions import MlgitException

if TYPE_CHECKING:
    from mlgit.objects.transfer import Transferred
    from mlgit.store.gitstore import GitStore
    from mlgit.sync.fetch import Fetched
    from mlgit.sync.incoming import Incoming
    from mlgit.sync.push import Pushed
    from mlgit.sync.threeway import Apart

_REMOTE = click.argument("remote", metavar="[GIT_REMOTE]", required=False)
_EXPERIMENT = click.option(
    "--experiment", "experiments", metavar="NAME", multiple=True, help="Only runs of this one."
)
_RUN = click.option("--run", "runs", metavar="RUN", type=RUN, multiple=True, help="Only this run.")
_MODEL = click.option(
    "--model", "models", metavar="NAME", multiple=True, help="Only versions of this model."
)
_STORAGE = click.option(
    "--storage", metavar="NAME", help="The remote for artifacts; the default one if not given."
)
_DRY = click.option("-n", "--dry-run", is_flag=True, help="Only tell what would be done.")
_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
_QUIET = click.option("-q", "--quiet", is_flag=True, help="Print data and errors only.")


@click.command()
@_REMOTE
@_EXPERIMENT
@_RUN
@_STORAGE
@click.option("--no-artifacts", is_flag=True, help="Push the runs without what they name.")
@click.option(
    "--all-artifacts", is_flag=True, help="Upload what is missing of runs pushed before, too."
)
@pushing.crossing_options
@_DRY
@_JSON
@_QUIET
@click.pass_obj
def push(
    app: App,
    remote: str | None,
    experiments: tuple[str, ...],
    runs: tuple[str, ...],
    storage: str | None,
    no_artifacts: bool,
    all_artifacts: bool,
    no_renumber: bool,
    sign: bool,
    dry_run: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Push runs and experiments to a Git remote, after the artifacts that they name.

    Artifacts, and the data of the checked out commit, go to the remote that mlgit remote
    names. Without GIT_REMOTE, it is the branch's remote, or origin. Branches are Git's: git
    push them. --experiment and --run may be repeated. What others changed meanwhile is
    merged first; where a run was changed in ways that don't go together, neither side is
    touched, and the exit code is 1. Tags of registered models go all or none, yours after
    those that others pushed meanwhile.
    """
    from mlgit.sync import push as library

    app.out.quiet |= quiet
    store = app.open()
    run_ids, ids = _narrowed(app, runs, experiments)
    done = library.push(
        store,
        remote or _default_remote(app, store, run_ids is None),
        runs=run_ids,
        experiments=ids,
        artifacts=not no_artifacts,
        all_artifacts=all_artifacts,
        object_remote=storage,
        renumber=not no_renumber,
        sign=pushing.signer(app, sign),
        dry_run=dry_run,
        show=pushing.shown(app),
    )
    if as_json:
        app.out.json(_push_json(done, dry_run))
    else:
        _tell_pushed(app, done, dry_run)
    if done.apart or done.failed or done.held:
        click.get_current_context().exit(errors.FOUND)


@click.command()
@_REMOTE
@click.option("--artifacts", is_flag=True, help="Download the artifacts of all runs too.")
@_EXPERIMENT
@_RUN
@_MODEL
@_STORAGE
@pushing.crossing_options
@_DRY
@_JSON
@_QUIET
@click.pass_obj
def fetch(
    app: App,
    remote: str | None,
    artifacts: bool,
    experiments: tuple[str, ...],
    runs: tuple[str, ...],
    models: tuple[str, ...],
    storage: str | None,
    no_renumber: bool,
    sign: bool,
    dry_run: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Fetch runs and experiments from a Git remote; artifacts where they are asked for.

    All runs come at once, and can be searched and compared. --experiment, --run and --model,
    which may be repeated, download the artifacts of those runs and of that model's versions;
    --artifacts those of all. Branches are Git's: git fetch them.
    """
    app.out.quiet |= quiet
    narrow = bool(experiments or runs or models)
    which = _Which(experiments, runs, models, not no_renumber, sign)
    done, problem = _fetch(app, remote, artifacts or narrow, which, storage, dry_run)
    if as_json:
        app.out.json(_fetch_json(done, dry_run))
    else:
        _tell_fetched(app, done, dry_run)
    if problem:
        raise problem
    _exit_if_apart(done)


@click.command()
@_REMOTE
@click.option("--no-artifacts", is_flag=True, help="Fetch the runs without what they name.")
@click.option("--no-checkout", is_flag=True, help="Leave the data in the worktree as it is.")
@_EXPERIMENT
@_RUN
@_MODEL
@_STORAGE
@pushing.crossing_options
@_DRY
@_JSON
@_QUIET
@click.pass_obj
def pull(
    app: App,
    remote: str | None,
    no_artifacts: bool,
    no_checkout: bool,
    experiments: tuple[str, ...],
    runs: tuple[str, ...],
    models: tuple[str, ...],
    storage: str | None,
    no_renumber: bool,
    sign: bool,
    dry_run: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Fetch runs and experiments from a Git remote, and the artifacts of all of them.

    --experiment, --run and --model, which may be repeated, narrow which artifacts come.
    The data that the checked out commit names comes too, and is put in its place as by
    mlgit checkout. No branch is touched: git pull does that.
    """
    from mlgit.cli.checkout import checkout_json, fail_if_not_placed, place_data, tell_placed

    app.out.quiet |= quiet
    want = not no_artifacts
    which = _Which(experiments, runs, models, not no_renumber, sign)
    place = want and not (no_checkout or dry_run) and app.open().repo.worktree is not None
    left: dict[str, int] | None = {} if place else None
    done, problem = _fetch(app, remote, want, which, storage, dry_run, data=want, left=left)
    placed = None
    if place:
        placed = place_data(app, remote=storage, fetched=problem is None, left=left)
    if as_json:
        data = {"data": checkout_json(placed)} if placed else {}
        app.out.json({**_fetch_json(done, dry_run), **data})
    else:
        _tell_fetched(app, done, dry_run)
        if placed:
            tell_placed(app, placed)
    if problem:
        raise problem
    if placed:
        fail_if_not_placed(placed)
    _exit_if_apart(done)


@click.command()
@click.argument("url")
@click.argument("directory", required=False)
@click.option("--bare", is_flag=True, help="Make a repository without a worktree.")
@click.option("--artifacts", is_flag=True, help="Download the artifacts of all runs too.")
@_JSON
@_QUIET
@click.pass_obj
def clone(
    app: App,
    url: str,
    directory: str | None,
    bare: bool,
    artifacts: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Clone a Git repository with its runs.

    It is git clone and mlgit fetch. If it is interrupted when Git is done, mlgit fetch in
    the new clone goes on.
    """
    from mlgit.sync import fetch as library

    app.out.quiet |= quiet
    where = library.clone(url, directory, bare=bare, show_git=app.out.shows_progress())
    app.out.note(f"Cloned into {one_line(where)}")
    store = library.open_clone(where)
    try:
        done = library.fetch(store, "origin", show=pushing.shown(app))
        if artifacts:
            done.objects = library.download(store, show=pushing.shown(app))
    finally:
        store.close()
    if as_json:
        app.out.json({"directory": where, **_fetch_json(done, False)})
    else:
        _tell_fetched(app, done, False)


# -- what they share


class _Which(NamedTuple):
    """What was named to narrow a download, and what may become of one's own versions."""

    experiments: Sequence[str]
    runs: Sequence[str]
    models: Sequence[str]
    renumber: bool
    sign: bool


def _default_remote(app: App, store: GitStore, data_will_do: bool) -> str | None:
    """The Git remote that is meant; None where there is none, but a place for data."""
    from mlgit.store.remotes import read_config
    from mlgit.sync.remotes import default_remote

    if data_will_do and not store.repo.remotes() and read_config(store.repo).remotes:
        app.out.note("There is no Git remote: only data is moved (git remote add origin URL)")
        return None
    return default_remote(store.repo)


def _narrowed(
    app: App, runs: Sequence[str], experiments: Sequence[str]
) -> tuple[list[str] | None, list[str] | None]:
    """The ids of what was named; None for both where nothing was."""
    if not runs and not experiments:
        return None, None
    ids = [app.experiment(name).experiment_id for name in experiments]
    return [app.run_id(name) for name in runs], ids


def _fetch(
    app: App,
    remote: str | None,
    artifacts: bool,
    which: _Which,
    storage: str | None,
    dry_run: bool,
    *,
    data: bool = False,
    left: dict[str, int] | None = None,
) -> tuple[Fetched, MlgitException | None]:
    """Fetch refs, and objects where they are wanted; and what kept objects from coming."""
    from mlgit.store.registry_tags import versions_of
    from mlgit.sync import fetch as library

    store = app.open()
    remote = remote or _default_remote(app, store, data)
    done = library.Fetched("")
    if remote is not None:
        done = library.fetch(
            store,
            remote,
            renumber=which.renumber,
            sign=pushing.signer(app, which.sign),
            dry_run=dry_run,
            show=pushing.shown(app),
        )
    if dry_run:
        return done, None
    # Now, as runs that came may be among those that were named.
    run_ids, ids = _narrowed(app, which.runs, which.experiments)
    for model in which.models:
        versions_of(store.repo, model)
    if not artifacts:
        return done, None
    try:
        done.objects = library.download(
            store,
            runs=run_ids,
            experiments=ids,
            models=which.models or None,
            data=data,
            object_remote=storage,
            left=left,
            show=pushing.shown(app),
        )
    except MlgitException as error:
        return done, error  # what came is told first
    return done, None


def _exit_if_apart(done: Fetched) -> None:
    if done.came.apart or done.came.held:
        click.get_current_context().exit(errors.FOUND)


# -- telling


def _push_json(done: Pushed, dry_run: bool) -> dict[str, Any]:
    return {
        "dry_run": dry_run,
        "remote": done.remote,
        "pushed": sorted(done.refs),
        "up_to_date": done.same,
        "merged": sorted(done.merged),
        "removed": sorted(done.removed),
        "failed": dict(sorted(done.failed.items())),
        "apart": [_apart_json(apart) for apart in done.apart],
        **pushing.crossed_json(done.renumbered, done.replayed, done.held),
        "atomic": not done.torn,
        "objects": done.objects._asdict(),
    }


def _fetch_json(done: Fetched, dry_run: bool) -> dict[str, Any]:
    came = done.came
    return {
        "dry_run": dry_run,
        "remote": done.remote,
        "new": sorted(came.new),
        "forwarded": sorted(came.forwarded),
        "merged": sorted(came.merged),
        "dropped": sorted(came.dropped),
        "refused": dict(sorted(came.refused.items())),
        "apart": [_apart_json(apart) for apart in came.apart],
        **pushing.crossed_json(came.renumbered, came.replayed, came.held),
        "objects": done.objects._asdict(),
    }


def _apart_json(apart: Apart) -> dict[str, Any]:
    return {
        "ref": apart.ref,
        "ours": apart.ours,
        "theirs": apart.theirs,
        "conflicts": [
            {"key": c.key, "base": c.base, "ours": c.ours, "theirs": c.theirs}
            for c in apart.clashes
        ],
    }


def _tell_pushed(app: App, done: Pushed, dry_run: bool) -> None:
    where = one_line(done.remote) or "the remote"
    _tell_objects(app, "Uploaded", done.objects)
    if done.merged:
        app.out.say(f"Merged {_counted(done.merged)} that {where} had changed too")
    if done.refs:
        app.out.say(f"{'Would push' if dry_run else 'Pushed'} {_counted(done.refs)} to {where}")
    if done.removed:
        did = "Would remove" if dry_run else "Removed"
        app.out.say(f"{did} {plural(len(done.removed), 'ref')} of archived runs there")
    something = done.refs or done.removed or done.failed or done.apart or done.held
    if not (something or done.objects.objects):
        app.out.say(f"Everything is at {where} already")
    for ref, reason in sorted(done.failed.items()):
        app.out.note(f"Not pushed: {one_line(ref)}: {one_line(reason)}")
    for refusal in done.refusals:
        app.out.note(f"{safe(refusal.message)}\n  {safe(refusal.hint)}")
    pushing.tell_crossed(app, done.renumbered, done.replayed, done.held)
    pushing.tell_torn(app, done)
    _tell_apart(app, done.apart)


def _tell_fetched(app: App, done: Fetched, dry_run: bool) -> None:
    came: Incoming = done.came
    where = one_line(done.remote) or "The remote"
    if came.new:
        did = "There are new" if dry_run else "Fetched"
        app.out.say(f"{did} {_counted(came.new)} from {where}")
    if came.forwarded:
        did = "Changed there:" if dry_run else "Brought up to date:"
        app.out.say(f"{did} {_counted(came.forwarded)}")
    if came.merged:
        app.out.say(f"Merged {_counted(came.merged)} that were changed here and there")
    if came.dropped:
        app.out.say(f"Removed {plural(len(came.dropped), 'ref')} of runs that are archived")
    _tell_objects(app, "Downloaded", done.objects)
    if not (came.changed() or came.dropped or came.apart or came.held or done.objects.objects):
        app.out.say(f"{where} has nothing new")
    for ref, reason in sorted(came.refused.items()):
        app.out.note(f"Left out {one_line(ref)}: {reason}")
    pushing.tell_crossed(app, came.renumbered, came.replayed, came.held)
    _tell_apart(app, came.apart)


def _tell_objects(app: App, did: str, objects: Transferred) -> None:
    if objects.objects:
        count = plural(objects.objects, "object")
        app.out.say(f"{did} {count} of artifacts and data, {size(objects.bytes)}")


def _tell_apart(app: App, apart: Sequence[Apart]) -> None:
    for left in apart:
        app.out.note(
            f"Left alone on both sides: {one_line(left.ref)}\n"
            f"  here {left.ours[:10]}, there {left.theirs[:10]}"
        )
        for clash in left.clashes[:20]:
            app.out.note(
                f"  {one_line(clash.key)}: here {_value(clash.ours)}, there {_value(clash.theirs)},"
                f" before {_value(clash.base)}"
            )
    if any(left.clashes for left in apart):
        app.out.note("Set such a key here to what it is there, and repeat the command")
    if any(not left.clashes for left in apart):
        app.out.note("A tag is never moved: git tag -d it here, where the other one is right")


def _value(text: str | None) -> str:
    return "(not set)" if text is None else one_line(text)[:200]


_KINDS = (
    ("refs/mlgit/runs/", "run"),
    ("refs/mlgit/experiments/", "experiment"),
    ("refs/mlgit/archive/", "archive"),
    ("refs/tags/", "registry tag"),
    ("refs/mlgit/registry/", "model text"),
    ("", "other ref"),
)


def _counted(refs: Sequence[str]) -> str:
    """ "3 runs and 1 experiment", from names of refs."""
    counts: dict[str, int] = {}
    for ref in refs:
        noun = next(noun for prefix, noun in _KINDS if ref.startswith(prefix))
        counts[noun] = counts.get(noun, 0) + 1
    parts = [plural(counts[noun], noun) for _, noun in _KINDS if noun in counts]
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)
