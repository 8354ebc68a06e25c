"""``mlgit checkout``: bring data to what its pointers say."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from mlgit.cli.context import App
from mlgit.cli.output import one_line, plural

if TYPE_CHECKING:
    from mlgit.worktree.checkout import CheckedOut

_MOST_NAMED = 10


@click.command()
@click.argument("paths", metavar="[PATH…]", nargs=-1, type=click.Path())
@click.option("--force", is_flag=True, help="Overwrite and remove changes that are kept nowhere.")
@click.option(
    "--link",
    "links",
    multiple=True,
    type=click.Choice(["reflink", "hardlink", "copy"]),
    help="How files are placed; may be repeated, tried in order. Else as configured.",
)
@click.option("--remote", metavar="NAME", help="Where missing objects come from.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def checkout(
    app: App,
    paths: tuple[str, ...],
    force: bool,
    links: tuple[str, ...],
    remote: str | None,
    as_json: bool,
) -> None:
    """Bring data to what the pointer files here say.

    To be run after 'git checkout', 'git pull' or 'git clone' ('mlgit install' has Git run
    it). Missing objects are fetched from the remote. Without PATH, data whose pointer is
    gone is removed. A file whose content isn't an object is never overwritten or removed
    without --force. If it is interrupted, run it again.
    """
    found = place_data(app, paths, force=force, links=links, remote=remote)
    if as_json:
        app.out.json(checkout_json(found))
    else:
        tell_placed(app, found)
        if not found.changed and not found.problems:
            app.out.say("All data is as its pointers say")
    fail_if_not_placed(found)


def place_data(
    app: App,
    paths: Sequence[str] = (),
    *,
    force: bool = False,
    links: Sequence[str] = (),
    remote: str | None = None,
    fetched: bool = False,
    left: dict[str, int] | None = None,
) -> CheckedOut:
    """Check out data, and show how far it is; see ``mlgit.worktree.checkout.checkout``."""
    from mlgit.worktree.checkout import checkout as checkout_data
    from mlgit.worktree.tracked import WorktreeData

    data = WorktreeData(app.open().repo)
    try:
        with app.out.progress("Checking out", in_bytes=True) as progress:
            return checkout_data(
                data,
                paths,
                force=force,
                links=list(links) or None,
                progress=progress,
                remote=remote,
                fetched=fetched,
                left=left,
            )
    finally:
        data.close()


def checkout_json(found: CheckedOut) -> dict[str, Any]:
    """What a checkout did, as JSON has it."""
    return {
        "written": found.written,
        "removed": found.removed,
        "fetched": found.fetched,
        "changed": found.changed,
        "kept": found.kept,
        "problems": [{"path": p, "message": e.message} for p, e in found.problems],
    }


def fail_if_not_placed(found: CheckedOut) -> None:
    """Raise what kept data from its state, if anything did."""
    from mlgit.worktree.tracked import first_error

    if found.problems:
        raise first_error(found.problems)


def tell_placed(app: App, found: CheckedOut) -> None:
    """Say what a checkout did."""
    for name in found.kept[:_MOST_NAMED]:
        app.out.note(f"Left alone, as it is kept nowhere else: {one_line(name)}")
    if len(found.kept) > _MOST_NAMED:
        app.out.note(f"… and {len(found.kept) - _MOST_NAMED} more")
    if found.changed:
        removed = f", removed {found.removed}" if found.removed else ""
        fetched = f" ({plural(found.fetched, 'object')} fetched)" if found.fetched else ""
        names = ", ".join(one_line(path) for path in found.changed[:_MOST_NAMED])
        more = len(found.changed) - _MOST_NAMED
        names += f" and {more} more" if more > 0 else ""
        app.out.say(f"{names}: wrote {plural(found.written, 'file')}{removed}{fetched}")
