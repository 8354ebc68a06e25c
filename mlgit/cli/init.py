"""``mlgit init``."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from mlgit.cli.context import App
from mlgit.exceptions import NotARepository, ResourceAlreadyExists

if TYPE_CHECKING:
    from mlgit.git import Repository


@click.command()
@click.argument("path", default=".", type=click.Path())
@click.option("--bare", is_flag=True, help="Make a repository without a worktree.")
@click.option(
    "--ci",
    "host",
    type=click.Choice(["github", "gitlab"]),
    help="Write the files that have this host report on pull requests and deploy promotions.",
)
@click.option("--force", is_flag=True, help="With --ci: replace files that say something else.")
@click.pass_obj
def init(app: App, path: str, bare: bool, host: str | None, force: bool) -> None:
    """Make a Git repository, or check that this is one.

    Any Git repository will do, and nothing is added to it until something is logged. Where
    PATH (the current folder, if none is given) is in no repository, one is made there. One
    that exists is left as it is, but for what --ci writes: files to look at and to commit.
    """
    from mlgit.git import Repository

    existing = _existing(path)
    if host is not None:
        if bare:
            raise click.UsageError("--ci needs a worktree: it can't be given with --bare")
        _write_workflows(app, existing or Repository.init(path), host, force)
        return
    if existing is None:
        made = Repository.init(path, bare=bare)
        app.out.say(f"Made a {'bare ' if bare else ''}Git repository at {_place(made)}")
        return
    place = _place(existing)
    if bare and existing.worktree:
        raise ResourceAlreadyExists(
            f"There is a repository with a worktree at {place} already",
            hint="give another path to make a bare one",
        )
    app.out.say(f"{place} is a Git repository already; nothing was changed")


def _write_workflows(app: App, repo: Repository, host: str, force: bool) -> None:
    from mlgit.worktree.workflows import write_workflows

    found = write_workflows(repo, host, force=force)
    for file in found:
        if file.state == "to include":
            app.out.say(f"{file.path} is your own; add to it:\n  include:")
            for other in found:
                if other.path.startswith(".gitlab/"):
                    app.out.say(f"    - local: {other.path}")
        else:
            app.out.say(f"{file.path}: {'made' if file.state == 'made' else 'there already'}")
    if any(file.state == "made" for file in found):
        app.out.say("Read them, set MLGIT_FAIL_IF where a report is to fail, and commit them")


def _existing(path: str) -> Repository | None:
    from mlgit.git import Repository

    if not os.path.isdir(path):
        return None
    try:
        return Repository.discover(path)
    except NotARepository:
        return None


def _place(repo: Repository) -> str:
    return repo.worktree or repo.git_dir
