"""``mlgit import-url`` and ``mlgit update``: data from elsewhere."""

from __future__ import annotations

import click

from mlgit.cli.add import as_dict, content, entry_dict, tell
from mlgit.cli.context import App
from mlgit.cli.output import one_line

_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.command("import-url")
@click.argument("url")
@click.argument("path", required=False, type=click.Path())
@_JSON
@click.pass_obj
def import_url(app: App, url: str, path: str | None, as_json: bool) -> None:
    """Load a file or folder from a URL, and keep it as data with its origin.

    URL is a path, or anything that fsspec has a driver for: https://, s3://, gs://, sftp://
    and more. The pointer file records it with its ETag, time or size, so that 'mlgit
    update' loads it again only when it has changed.
    """
    from mlgit.worktree.imports import import_url as load
    from mlgit.worktree.tracked import WorktreeData

    data = WorktreeData(app.open().repo)
    try:
        with app.out.progress("Loading", in_bytes=True) as progress:
            added = load(data, url, path, progress=progress)
    finally:
        data.close()
    if as_json:
        app.out.json(as_dict(added))
    else:
        tell(app, [added])


@click.command()
@click.argument("paths", metavar="PATH…", nargs=-1, required=True, type=click.Path())
@click.option("--force", is_flag=True, help="Drop local changes that are kept nowhere else.")
@_JSON
@click.pass_obj
def update(app: App, paths: tuple[str, ...], force: bool, as_json: bool) -> None:
    """Load imported data again where its origin has changed."""
    from mlgit.worktree.imports import update as load
    from mlgit.worktree.tracked import WorktreeData

    data = WorktreeData(app.open().repo)
    try:
        with app.out.progress("Loading", in_bytes=True) as progress:
            found = load(data, paths, force=force, progress=progress)
    finally:
        data.close()
    if as_json:
        app.out.json([{"path": u.path, **entry_dict(u.entry), "changed": u.changed} for u in found])
        return
    for updated in found:
        if updated.changed:
            app.out.say(f"Updated {one_line(updated.path)} ({content(updated.entry)})")
        else:
            why = (
                "its origin hasn't changed" if updated.asked else "its origin's bytes are the same"
            )
            app.out.say(f"{one_line(updated.path)} is as it was: {why}")
    names = " ".join(one_line(f"{u.path}.mlgit") for u in found if u.changed)
    if names:
        app.out.say(f"To keep it in Git: git add {names}")
