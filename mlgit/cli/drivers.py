"""``mlgit merge-driver`` and ``mlgit diff-driver``: what Git runs for the files of records."""

from __future__ import annotations

import click

from mlgit.cli.context import App
from mlgit.cli.errors import FOUND, OK
from mlgit.cli.output import one_line
from mlgit.exceptions import MlgitException, from_os_error

_NOTHING = "/dev/null"


@click.command("merge-driver", hidden=True)
@click.argument("base")
@click.argument("ours")
@click.argument("theirs")
@click.argument("path")
@click.pass_obj
def merge_driver(app: App, base: str, ours: str, theirs: str, path: str) -> int:
    """What 'git merge' runs: %O %A %B %P. The result takes the place of %A."""
    from mlgit import settings
    from mlgit.sync.driver import merge_file

    before, mine, yours = (_read(place) for place in (base, ours, theirs))
    found = merge_file(app.open().repo, path, before, mine, yours, settings.merged_heads())
    if found.data != mine:
        try:
            with open(ours, "wb") as f:
                f.write(found.data)
        except OSError as error:
            raise from_os_error(error, f"write {ours}") from error
    if found.note:
        click.echo(f"mlgit: {one_line(found.note)}", err=True)
    for clash in found.clashes:
        click.echo(
            f"mlgit: {one_line(path)}: {one_line(clash.key)} was set on both sides "
            f"({one_line(clash.ours)}, {one_line(clash.theirs)}); it is this side's now",
            err=True,
        )
    return FOUND if found.clashes else OK


@click.command("diff-driver", hidden=True)
@click.argument("path")
@click.argument("arguments", nargs=-1)
@click.pass_obj
def diff_driver(app: App, path: str, arguments: tuple[str, ...]) -> None:
    """What 'git diff' runs: PATH, then file, object and mode of both sides."""
    click.echo(f"diff --mlgit a/{one_line(path)} b/{one_line(path)}")
    if len(arguments) < 6:
        click.echo("* unmerged")
        return
    old, new = _read(arguments[0]), _read(arguments[3])
    try:
        text = _compared(app, path, old, new)
    except MlgitException as error:
        text = f"It can't be read: {error.message}"
    click.echo(text)


def _compared(app: App, path: str, old: bytes, new: bytes) -> str:
    from mlgit.cli.diff import styler
    from mlgit.review.files import file_table
    from mlgit.review.render import table_text

    return table_text(file_table(app.open().repo, path, old, new), styler(app.out))


def _read(path: str) -> bytes:
    if path == _NOTHING:
        return b""
    try:
        with open(path, "rb") as f:
            return f.read()
    except OSError as error:
        raise from_os_error(error, f"read {path}") from error
