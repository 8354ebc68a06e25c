"""``mlgit diff``: two runs, or other revisions, side by side."""

from __future__ import annotations

from collections.abc import Callable

import click

from mlgit.cli.context import RUN, App
from mlgit.cli.errors import FOUND
from mlgit.cli.output import Output

_COLORS = {"good": "green", "bad": "red", "new": "green", "old": "red", "hunk": "cyan"}
# What each option shows; without any, everything.
_SECTIONS = {
    "metrics": ("metrics",),
    "params": ("params", "tags", "datasets"),
    "artifacts": ("artifacts",),
    "environment": ("environment",),
    "data": ("data",),
    "code": ("code",),
}


@click.command()
@click.argument("revisions", metavar="[A [B]]", nargs=-1, type=RUN)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--md", "as_markdown", is_flag=True, help="Print Markdown for a pull request.")
@click.option("--metrics", is_flag=True, help="Show metrics.")
@click.option("--params", is_flag=True, help="Show params, tags and datasets.")
@click.option("--artifacts", is_flag=True, help="Show artifacts.")
@click.option("--environment", is_flag=True, help="Show the environment.")
@click.option("--data", is_flag=True, help="Show data: what pointer files name.")
@click.option("--code", is_flag=True, help="Show the code.")
@click.option("--stat", is_flag=True, help="Name the files that changed, without their diffs.")
@click.option("--all", "everything", is_flag=True, help="Show what didn't change too.")
@click.option("--exit-code", is_flag=True, help="Exit with 1 if what is shown differs.")
@click.pass_context
def diff(
    ctx: click.Context,
    /,
    revisions: tuple[str, ...],
    as_json: bool,
    as_markdown: bool,
    stat: bool,
    everything: bool,
    exit_code: bool,
    **chosen: bool,
) -> None:
    """Compare two runs, or other revisions: what they logged and the code that they ran.

    A and B are runs, branches, tags, commits (HEAD~1) or "worktree": the files as they
    are now. A..B is the same as A B; A...B compares B with where it parted from A. With
    A alone, A is compared with the newest finished run of its experiment; with neither,
    the newest finished run is compared with the one before it in its experiment.

    Whether a metric got better is told by its name, or by a run's tag
    mlgit.direction.METRIC = min or max.
    """
    if len(revisions) > 2:
        raise click.UsageError("Two revisions can be compared, not more", ctx)
    if as_json and as_markdown:
        raise click.UsageError("--json and --md can't be given together", ctx)
    from mlgit.review.compare import SECTIONS, compare
    from mlgit.review.revisions import resolve_pair

    app: App = ctx.obj
    store = app.store()
    comparison = compare(store, *resolve_pair(store, revisions))
    names = [s for option, parts in _SECTIONS.items() if chosen[option] for s in parts]
    sections = tuple(names) or SECTIONS
    if as_json:
        from mlgit.review.render import to_dict

        app.out.json(to_dict(comparison, sections, everything=everything, stat=stat))
    elif as_markdown:
        from mlgit.review.markdown import to_markdown

        text = to_markdown(comparison, sections, everything=everything, stat=stat)
        app.out.text(text.rstrip("\n"))
    else:
        from mlgit.review.render import to_text

        style = _styler(app.out)
        app.out.text(to_text(comparison, sections, everything=everything, stat=stat, style=style))
    if exit_code and comparison.differs(sections):
        ctx.exit(FOUND)


def _styler(out: Output) -> Callable[[str, str], str]:
    def style(text: str, tone: str) -> str:
        return out.style(text, _COLORS.get(tone), bold=tone == "heading")

    return style
