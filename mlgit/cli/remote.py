"""``mlgit remote``: where a team's artifacts and data are shared."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from mlgit.cli.context import App
from mlgit.cli.lazy import Group
from mlgit.cli.output import one_line

if TYPE_CHECKING:
    from mlgit.store.remotes import Remote

_LOCAL = click.option("--local", is_flag=True, help="For this clone alone; isn't committed.")
_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group(cls=Group)
def remote() -> None:
    """Where the team's artifacts and data are shared.

    Remotes are kept in .mlgit/config.yaml, to be committed. A clone may add to them, or
    give credentials, with --local. With no remote, everything works in one clone.
    """


@remote.command()
@click.argument("name")
@click.argument("url")
@click.option(
    "-o",
    "--option",
    "options",
    metavar="KEY=VALUE",
    multiple=True,
    help="An option for the URL's fsspec driver, such as endpoint_url=…; may be repeated.",
)
@_LOCAL
@click.option("--force", is_flag=True, help="Replace a remote of that name.")
@click.pass_obj
def add(app: App, name: str, url: str, options: tuple[str, ...], local: bool, force: bool) -> None:
    """Add a remote: a path, or any URL that fsspec has a driver for.

    The first one becomes the default. A VALUE is read as YAML: true, 3 and {a: 1} are what
    they look like.
    """
    from mlgit.store import remotes

    repo = app.open().repo
    made = remotes.add(repo, name, url, _parsed(options), local=local, force=force)
    app.out.say(f"Added the remote {made.name}: {one_line(_shown(made))}")
    if not local:
        app.out.note("Commit .mlgit/config.yaml so that others have it too")


@remote.command("list")
@_JSON
@click.pass_obj
def list_(app: App, as_json: bool) -> None:
    """List the remotes; the default one has a star."""
    from mlgit.cli.output import table
    from mlgit.store.remotes import read_config

    config = read_config(app.open().repo)
    if as_json:
        app.out.json(
            [_json(found, found.name == config.default) for found in config.remotes.values()]
        )
        return
    rows = [
        ["*" if name == config.default else " ", name, one_line(_shown(found)), _where(found)]
        for name, found in config.remotes.items()
    ]
    if rows:
        app.out.text(table(["", "name", "url", ""], rows))
    else:
        app.out.note("No remotes; mlgit remote add NAME URL adds one")


@remote.command()
@click.argument("name")
@_LOCAL
@click.pass_obj
def remove(app: App, name: str, local: bool) -> None:
    """Forget a remote. Nothing that it holds is touched."""
    from mlgit.store import remotes

    remotes.remove(app.open().repo, name, local=local)
    app.out.say(f"Removed the remote {name}")


@remote.command()
@click.argument("name", required=False)
@_LOCAL
@click.pass_obj
def default(app: App, name: str | None, local: bool) -> None:
    """Say which remote is meant where none is named; without NAME, print it."""
    from mlgit.store import remotes

    repo = app.open().repo
    if name is None:
        found = remotes.read_config(repo).default
        if found:
            app.out.text(found)
        else:
            app.out.note("There is no default remote")
        return
    remotes.set_default(repo, name, local=local)
    app.out.say(f"The default remote is {name} now")


def _parsed(options: tuple[str, ...]) -> dict[str, Any]:
    from mlgit.store.remotes import parse_option

    return dict(parse_option(option) for option in options)


def _shown(found: Remote) -> str:
    from mlgit.objects.remote import without_credentials

    return without_credentials(found.url)


def _where(found: Remote) -> str:
    return "local" if found.local else ""


def _json(found: Remote, is_default: bool) -> dict[str, Any]:
    from mlgit.store.remotes import masked

    return {
        "name": found.name,
        "url": _shown(found),
        "options": masked(found.options),
        "local": found.local,
        "default": is_default,
    }
