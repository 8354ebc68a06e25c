"""``mlgit reindex``: the index made again."""

from __future__ import annotations

import click

from mlgit.cli.context import App
from mlgit.cli.output import plural


@click.command()
@click.pass_obj
def reindex(app: App) -> None:
    """Throw the index away and make it again from refs and journals.

    Nothing is lost: the index only repeats what they hold. It is needed where fsck says so.
    """
    store = app.open()
    store.index.discard()
    with app.out.progress("Indexing runs") as progress:
        store.index.sync(progress)
    app.out.say(f"Indexed {plural(store.index.count_runs(), 'run')}")
