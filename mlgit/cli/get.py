"""``mlgit get``: a file or folder of another repository."""

from __future__ import annotations

import click

from mlgit.cli.context import App
from mlgit.cli.output import one_line


@click.command()
@click.argument("repo")
@click.argument("path")
@click.option("-o", "--out", metavar="OUT", type=click.Path(), help="Where to write it.")
@click.option("--rev", metavar="REV", help="A branch, tag or commit; HEAD if none is given.")
@click.option("--force", is_flag=True, help="Replace a file that is there.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def get(
    app: App,
    repo: str,
    path: str,
    out: str | None,
    rev: str | None,
    force: bool,
    as_json: bool,
) -> None:
    """Write a file or folder of another repository: Git's own, or data.

    REPO is a path or URL; PATH is in it. Data comes from that repository's objects, or from
    its remote. Nothing is recorded here, and this need not be a repository.
    """
    from mlgit.worktree.elsewhere import Source
    from mlgit.worktree.elsewhere import get as write

    with app.out.progress("Loading", in_bytes=True) as progress:
        made = write(Source(repo, rev), path, out, force=force, progress=progress)
    if as_json:
        app.out.json({"path": made})
    else:
        app.out.say(f"Wrote {one_line(made)}")
