"""``mlgit log`` and ``mlgit search``: lists of runs."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import click

from mlgit.cli import columns as table_columns
from mlgit.cli.columns import Row
from mlgit.cli.context import App
from mlgit.cli.options import shared
from mlgit.cli.rundata import find_runs, run_json
from mlgit.entities import Run, ViewType

_LIMIT = 20
_NUMBER = re.compile(r"^-([0-9]+)\Z")


# Those that lists of runs share.
_list_options = shared(
    click.option(
        "-n",
        "--max-results",
        "limit",
        metavar="N",
        type=click.IntRange(min=1),
        help=f"How many runs to list; {_LIMIT} unless --all is given.",
    ),
    click.option(
        "-e",
        "--experiment",
        "experiments",
        metavar="NAME|ID",
        multiple=True,
        help="Only runs of this experiment; may be repeated.",
    ),
    click.option(
        "--order-by",
        metavar="KEY",
        multiple=True,
        help="Sort by KEY, as in 'metrics.loss ASC'; may be repeated.",
    ),
    click.option("--all", "everything", is_flag=True, help="All runs, deleted ones too."),
    click.option(
        "--columns",
        metavar="LIST",
        multiple=True,
        help="What to show, separated by commas: "
        f"{', '.join(table_columns.ATTRIBUTES)}, metrics.NAME, params.NAME, tags.NAME. "
        "NAME may hold * and ?.",
    ),
    click.option("--json", "as_json", is_flag=True, help="Print a JSON array of runs."),
    click.option("--md", "as_markdown", is_flag=True, help="Print a table in Markdown."),
)


class _ListCommand(click.Command):
    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Take ``-3`` for ``-n 3``, as ``git log`` does."""
        return super().parse_args(ctx, [_NUMBER.sub(r"-n\1", arg) for arg in args])


@click.command(cls=_ListCommand)
@click.option("--filter", "filter_string", metavar="FILTER", default="", help="As in mlgit search.")
@_list_options
@click.pass_obj
def log(app: App, /, filter_string: str, **options: Any) -> None:
    """List runs, newest first.

    The 20 newest active runs of all experiments are listed, with their metrics and those
    params that differ between them, as many as fit the terminal.
    """
    _list(app, filter_string, **options)


@click.command(cls=_ListCommand)
@click.argument("filter_string", metavar="FILTER")
@_list_options
@click.pass_obj
def search(app: App, /, filter_string: str, **options: Any) -> None:
    """List the runs that a filter matches.

    FILTER is written as for MLflow's search_runs: "metrics.accuracy > 0.9 and params.model =
    'tree'". It may also use or, not and parentheses.
    """
    _list(app, filter_string, **options)


def _list(
    app: App,
    filter_string: str,
    limit: int | None,
    experiments: Sequence[str],
    order_by: Sequence[str],
    everything: bool,
    columns: Sequence[str],
    as_json: bool,
    as_markdown: bool,
) -> None:
    store = app.store()
    shown = limit or (None if everything else _LIMIT)
    found = find_runs(
        store,
        None if shown is None else shown + 1,
        experiment_ids=[app.experiment(e).experiment_id for e in experiments] or None,
        filter_string=filter_string,
        run_view_type=ViewType.ALL if everything else ViewType.ACTIVE_ONLY,
        order_by=list(order_by) or None,
    )
    if shown is not None and len(found) > shown:
        found = found[:shown]
        if limit is None:
            app.out.note(f"These are the first {shown} runs; -n N lists more")
    names = [name.strip() for given in columns for name in given.split(",") if name.strip()]
    print_runs(app, found, names, as_json=as_json, as_markdown=as_markdown)


def print_runs(
    app: App,
    runs: Sequence[Run],
    columns: Sequence[str] = (),
    *,
    as_json: bool = False,
    as_markdown: bool = False,
) -> None:
    """Print a list of runs.

    Args:
        app: The invocation.
        runs: The runs.
        columns: The columns' names; the default ones where there are none.
        as_json: Print JSON.
        as_markdown: Print a table in Markdown.
    """
    names = app.open().index.experiment_names()
    if as_json:
        app.out.json([run_json(r, names.get(r.info.experiment_id, "")) for r in runs])
        return
    rows = [Row(run, names.get(run.info.experiment_id, "")) for run in runs]
    chosen, always = table_columns.default(rows, dated=as_markdown)
    if columns:
        chosen = table_columns.chosen(columns, rows)
        always = len(chosen)
    if not rows:
        app.out.note("No runs")
        return
    if as_markdown:
        app.out.text(table_columns.markdown_table(chosen, rows))
        return
    text, hidden = table_columns.text_table(chosen, rows, app.out, always)
    app.out.text(text)
    if hidden:
        app.out.note(f"({hidden} more columns don't fit; --columns chooses them)")
