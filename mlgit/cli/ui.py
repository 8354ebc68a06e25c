"""``mlgit ui``: the web app."""

from __future__ import annotations

import signal
from typing import Any, NoReturn

import click

from mlgit import settings
from mlgit.cli.context import App

_PORT = 5000


@click.command()
@click.option(
    "--backend-store-uri",
    metavar="URI",
    help="The repository: a path or URI; sqlite:///PATH names a bare repository there.",
)
@click.option(
    "--default-artifact-root",
    metavar="URI",
    help="Taken for MLflow's sake; artifacts are in the repository (mlgit remote shares them).",
)
@click.option("-h", "--host", default="127.0.0.1", show_default=True, help="Where to listen.")
@click.option(
    "-p",
    "--port",
    type=click.IntRange(0, 65535),
    default=_PORT,
    show_default=True,
    help="The port; 0 takes one that is free.",
)
@click.option("--allow-write", is_flag=True, help="Let pages change runs: star, note, delete.")
@click.option(
    "--token",
    metavar="TEXT",
    help="What people must show to be let in; better by MLGIT_UI_TOKEN, which 'ps' doesn't show.",
)
@click.option("--no-auth", is_flag=True, help="Let everybody in who reaches the port.")
@click.option(
    "--allowed-hosts",
    metavar="NAMES",
    default="",
    help="More names that people reach it by, with commas between.",
)
@click.pass_obj
def ui(
    app: App,
    backend_store_uri: str | None,
    default_artifact_root: str | None,
    host: str,
    port: int,
    allow_write: bool,
    token: str | None,
    no_auth: bool,
    allowed_hosts: str,
) -> None:
    """Show experiments, runs and their files in the browser.

    It listens on this machine alone, and only reads. To let others in, set a token
    (MLGIT_UI_TOKEN) and --host 0.0.0.0; see docs/ui.md.
    """
    from mlgit.server.app import create_app
    from mlgit.server.options import options_for
    from mlgit.server.serve import Server

    if backend_store_uri:
        app.tracking_uri = backend_store_uri
    options = options_for(
        host,
        port,
        allow_write=allow_write,
        token=token or (None if no_auth else settings.ui_token()),
        no_auth=no_auth,
        allowed_hosts=allowed_hosts.split(","),
    )
    server = Server(create_app(app.store(), options), host, port)
    if default_artifact_root:
        app.out.note(
            "--default-artifact-root isn't needed: artifacts are kept with the repository, and "
            "'mlgit remote' says where they are shared"
        )
    app.out.text(f"{server.url}")
    app.out.note("Ctrl-C stops it" + ("" if allow_write else "; it only reads (--allow-write)"))

    def interrupt(*_: Any) -> NoReturn:
        server.stop()
        raise KeyboardInterrupt

    # Asked to end by whoever runs services, it ends as by Ctrl-C.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, interrupt)
    try:
        server.run()
    except KeyboardInterrupt:
        pass
