"""``mlgit add``: keep files and folders as data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from mlgit.cli.context import App
from mlgit.cli.output import one_line, plural, size

if TYPE_CHECKING:
    from mlgit.objects import Entry
    from mlgit.worktree.add import Added


@click.command()
@click.argument("paths", metavar="PATH…", nargs=-1, required=True, type=click.Path())
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def add(app: App, paths: tuple[str, ...], as_json: bool) -> None:
    """Keep files and folders as data: the bytes beside Git, a small pointer file in it.

    For each PATH its content is stored as objects, PATH.mlgit says which, and .gitignore
    leaves PATH itself out. Git is given nothing: the output says what to 'git add'. Adding
    a changed folder again reads only the files that changed.
    """
    from mlgit.worktree.add import add as add_data
    from mlgit.worktree.tracked import WorktreeData

    data = WorktreeData(app.open().repo)
    try:
        with app.out.progress("Adding", in_bytes=True) as progress:
            found = add_data(data, paths, progress)
    finally:
        data.close()
    if as_json:
        app.out.json([as_dict(added) for added in found])
    else:
        tell(app, found)


def tell(app: App, found: list[Added]) -> None:
    """Say what was added, and what Git is to be given."""
    for added in found:
        what = f"{one_line(added.path)} ({content(added.entry)})"
        if added.before == added.entry:
            app.out.say(f"{what} is as it was")
        else:
            app.out.say(f"{'Added' if added.before is None else 'Updated'} {what}")
        for clash in added.clashes[:3]:
            app.out.note(
                f"{one_line(added.path)}/{one_line(clash)} has a sibling that differs only in case:"
                " it can't be checked out on macOS or Windows"
            )
    written = sorted({name for added in found for name in added.written})
    if written:
        app.out.say("To keep it in Git: git add " + " ".join(_quoted(name) for name in written))


def content(entry: Entry) -> str:
    """How much an entry holds."""
    files = f"{plural(entry.files, 'file')}, " if entry.kind == "d" else ""
    return files + size(entry.size)


def as_dict(added: Added) -> dict[str, Any]:
    """What was added, for JSON."""
    return {
        "path": added.path,
        **entry_dict(added.entry),
        "changed": added.before != added.entry,
        "git_add": list(added.written),
        "differ_in_case": list(added.clashes),
    }


def entry_dict(entry: Entry) -> dict[str, Any]:
    """An entry, for JSON."""
    return {
        "kind": entry.kind,
        "sha256": entry.sha256,
        "size": entry.size,
        "files": entry.files,
    }


def _quoted(name: str) -> str:
    import shlex

    return one_line(shlex.quote(name))
