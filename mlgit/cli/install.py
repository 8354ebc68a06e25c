"""``mlgit install``: Git hooks and drivers for data and records, and what the hooks run."""

from __future__ import annotations

import sys

import click

from mlgit.cli.context import App
from mlgit.cli.output import one_line, plural, size
from mlgit.exceptions import MlgitException


@click.command()
@click.option("--remove", is_flag=True, help="Take the hooks away again.")
@click.option("--force", is_flag=True, help="Keep hooks of your own as NAME.before-mlgit.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def install(app: App, remove: bool, force: bool, as_json: bool) -> None:
    """Have Git bring data along and merge records, in this clone.

    After 'git checkout' and a merge, data is brought to what the pointers say; before 'git
    push', the data of the commits is put on the default remote. Hooks of your own are
    never replaced silently. Where mlgit isn't installed any more, the hooks do nothing.

    Drivers have 'git merge' keep the records of runs whole, where two branches have one each, and
    'git diff' say which metrics got better. They are set in the clone's configuration
    and info/attributes.
    """
    from mlgit.worktree import drivers, hooks

    repo = app.open().repo
    found = hooks.remove(repo) if remove else hooks.install(repo, force=force)
    found.append(drivers.remove(repo) if remove else drivers.install(repo))
    if as_json:
        app.out.json([{"hook": hook.name, "state": hook.state} for hook in found])
        return
    words = {"there": "there already", "absent": "not there", "foreign": "your own, left alone"}
    for hook in found:
        app.out.say(f"{hook.name}: {words.get(hook.state, hook.state)}")


@click.command(hidden=True)
@click.argument("name")
@click.argument("arguments", nargs=-1)
@click.pass_obj
def hook(app: App, name: str, arguments: tuple[str, ...]) -> None:
    """What the hooks of 'mlgit install' run."""
    if name in ("post-checkout", "post-merge"):
        # "0" as last argument: only files were checked out.
        if name == "post-checkout" and arguments[2:3] == ("0",):
            return
        _checkout(app)
        if name == "post-merge":
            _tell_mixed(app)
    elif name == "pre-push":
        _share(app)


def _checkout(app: App) -> None:
    from mlgit.worktree.checkout import checkout
    from mlgit.worktree.tracked import WorktreeData

    repo = app.open().repo
    if repo.worktree is None:
        return
    data = WorktreeData(repo)
    try:
        with app.out.progress("Checking out data", in_bytes=True) as progress:
            found = checkout(data, progress=progress)
    finally:
        data.close()
    for path, error in found.problems:
        click.echo(f"mlgit: {one_line(path)}: {one_line(error.message)}", err=True)
        if error.hint:
            click.echo(f"hint: {one_line(error.hint)}", err=True)


def _tell_mixed(app: App) -> None:
    from mlgit.sync.driver import mixed_folders

    for folder, commit in mixed_folders(app.open().repo):
        place = one_line(folder)
        click.echo(
            f"mlgit: {place} holds files of two runs; to keep the one that its run.yaml tells of:\n"
            f"  git restore --source={commit[:12]} --staged --worktree -- '{place}'\n"
            "  git commit --amend --no-edit",
            err=True,
        )


def _share(app: App) -> None:
    from mlgit.worktree.hooks import share

    try:
        with app.out.progress("Uploading data", in_bytes=True) as progress:
            moved = share(app.open().repo, sys.stdin, progress)
    except MlgitException as error:
        error.hint = f"{error.hint}; git push --no-verify pushes without the data".removeprefix(
            "; "
        )
        raise
    if moved is not None and moved.objects:
        app.out.note(f"mlgit: uploaded {plural(moved.objects, 'object')} ({size(moved.bytes)})")
