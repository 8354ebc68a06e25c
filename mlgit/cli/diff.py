"""``mlgit diff``: two runs, or other revisions, side by side."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import click

from mlgit.cli.context import RUN, App
from mlgit.cli.errors import FOUND
from mlgit.cli.options import shared
from mlgit.cli.output import Output

if TYPE_CHECKING:
    from mlgit.review.revisions import Revision

_COLORS = {"good": "green", "bad": "red", "new": "green", "old": "red", "hunk": "cyan"}
# What each option shows; without any, everything.
_SECTIONS = {
    "models": ("models",),
    "metrics": ("metrics",),
    "params": ("params", "tags", "datasets"),
    "artifacts": ("artifacts",),
    "environment": ("environment",),
    "data": ("data",),
    "code": ("code",),
}


# Those of a comparison, which ``show_sides`` takes.
options = shared(
    click.option("--json", "as_json", is_flag=True, help="Print JSON."),
    click.option("--md", "as_markdown", is_flag=True, help="Print Markdown for a pull request."),
    click.option(
        "--html", "as_html", is_flag=True, help="Print a page of HTML, whole in one file."
    ),
    click.option("--curves", is_flag=True, help="Give the metrics' histories too, in JSON."),
    click.option("--models", is_flag=True, help="Show models: signature, requirements."),
    click.option("--metrics", is_flag=True, help="Show metrics."),
    click.option("--params", is_flag=True, help="Show params, tags and datasets."),
    click.option("--artifacts", is_flag=True, help="Show artifacts."),
    click.option("--environment", is_flag=True, help="Show the environment."),
    click.option("--data", is_flag=True, help="Show data: what pointer files name."),
    click.option("--code", is_flag=True, help="Show the code."),
    click.option("--stat", is_flag=True, help="Name files that changed, without their diffs."),
    click.option("--all", "everything", is_flag=True, help="Show what didn't change too."),
    click.option("--exit-code", is_flag=True, help="Exit with 1 if what is shown differs."),
)


@click.command()
@click.argument("revisions", metavar="[A [B]]", nargs=-1, type=RUN)
@options
@click.pass_context
def diff(ctx: click.Context, /, revisions: tuple[str, ...], **asked: bool) -> None:
    """Compare two runs, or other revisions: what they logged and the code that they ran.

    A and B are runs, branches, tags, commits (HEAD~1), versions of registered models
    (NAME@v3, NAME@production, models:/NAME/3) or "worktree": the files as they are now. A..B is the same as A B; A...B compares B with where it parted from A. With
    A alone, A is compared with the newest finished run of its experiment; with neither,
    the newest finished run is compared with the one before it in its experiment.

    Whether a metric got better is told by its name, by the configuration (metrics: {cost:
    lower} in .mlgit/config.yaml), or by a run's tag mlgit.direction.METRIC = min or max.
    """
    if len(revisions) > 2:
        raise click.UsageError("Two revisions can be compared, not more", ctx)
    how = Shown.asked(asked)
    from mlgit.review.revisions import resolve_pair

    app: App = ctx.obj
    if show_sides(app, resolve_pair(app.store(), revisions), how) and asked["exit_code"]:
        ctx.exit(FOUND)


def form_of(as_json: bool, as_markdown: bool, as_html: bool) -> str:
    """The form that was asked for: "json", "md", "html" or "text".

    Raises:
        UsageError: Several were.
    """
    chosen = [
        name for name, given in (("json", as_json), ("md", as_markdown), ("html", as_html)) if given
    ]
    if len(chosen) > 1:
        raise click.UsageError(f"--{chosen[0]} and --{chosen[1]} can't be given together")
    return chosen[0] if chosen else "text"


@dataclass(frozen=True)
class Shown:
    """What is shown of a comparison, and how.

    Attributes:
        form: "json", "md", "html" or "text".
        names: The sections; all where there are none.
        curves: The metrics' histories too, in JSON.
        stat: Files are named without their diffs.
        everything: What didn't change too.
    """

    form: str
    names: Sequence[str] = ()
    curves: bool = False
    stat: bool = False
    everything: bool = False

    @classmethod
    def asked(cls, asked: Mapping[str, bool]) -> Shown:
        """What a command's options ask for.

        Raises:
            UsageError: They ask for several forms.
        """
        form = form_of(asked["as_json"], asked["as_markdown"], asked["as_html"])
        names = [s for option, parts in _SECTIONS.items() if asked[option] for s in parts]
        return cls(form, names, asked["curves"], asked["stat"], asked["everything"])


def show_sides(app: App, sides: tuple[Revision, Revision], how: Shown) -> bool:
    """Print what differs between two revisions.

    Returns:
        Whether anything does.
    """
    from mlgit.review.compare import SECTIONS, compare
    from mlgit.review.curves import MOST_POINTS

    store = app.store()
    points = MOST_POINTS if how.curves or how.form == "html" else 0
    comparison = compare(store, *sides, points=points)
    sections = tuple(how.names) or SECTIONS
    everything, stat = how.everything, how.stat
    if how.form == "json":
        from mlgit.review.render import to_dict

        app.out.json(to_dict(comparison, sections, everything=everything, stat=stat))
    elif how.form == "html":
        from mlgit.review.page import to_html
        from mlgit.review.previews import preview

        shown = partial(preview, store.objects)
        page = to_html(comparison, sections, everything=everything, stat=stat, previewer=shown)
        app.out.text(page.rstrip("\n"))
    elif how.form == "md":
        from mlgit.review.markdown import to_markdown

        text = to_markdown(comparison, sections, everything=everything, stat=stat)
        app.out.text(text.rstrip("\n"))
    else:
        from mlgit.review.render import to_text

        style = styler(app.out)
        app.out.text(to_text(comparison, sections, everything=everything, stat=stat, style=style))
    return comparison.differs(sections)


def styler(out: Output) -> Callable[[str, str], str]:
    """Colours a text by its tone, where colours are wanted."""

    def style(text: str, tone: str) -> str:
        return out.style(text, _COLORS.get(tone), bold=tone == "heading")

    return style
