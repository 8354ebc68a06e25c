"""``mlgit report``: what a reviewer of a pull request decides on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from mlgit.cli.context import RUN, App
from mlgit.cli.errors import FOUND, OK
from mlgit.cli.output import one_line

if TYPE_CHECKING:
    from mlgit.review.report import Report


@click.command()
@click.argument("head", metavar="[BRANCH]", default="HEAD", type=RUN)
@click.option(
    "--base",
    metavar="REV",
    type=RUN,
    help="What it is merged into; the remote's default branch where none is given.",
)
@click.option(
    "--fail-if",
    "conditions",
    metavar="CONDITION",
    multiple=True,
    help="Exit with 1 if this holds, or can't be told; may be repeated.",
)
@click.option("--md", "as_markdown", is_flag=True, help="Print the comment, in Markdown.")
@click.option("--html", "as_html", is_flag=True, help="Print a page of HTML, whole in one file.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("-o", "--output", "path", metavar="FILE", help="Write it to a file.")
@click.option("--id", "name", metavar="NAME", default="report", help="Of the comment's marker.")
@click.option(
    "--max-length",
    metavar="N",
    type=click.IntRange(min=2000),
    help="The most characters of a comment; what the remote's host takes where none is given.",
)
@click.option("--remote", metavar="NAME", default="origin", help="Whose host shows the code.")
@click.pass_obj
def report(
    app: App,
    /,
    head: str,
    base: str | None,
    conditions: tuple[str, ...],
    as_markdown: bool,
    as_html: bool,
    as_json: bool,
    path: str | None,
    name: str,
    max_length: int | None,
    remote: str,
) -> int:
    """Report what a branch changes: metrics, params, data, models and code.

    BRANCH is HEAD where none is given. Its runs are the records that it adds, or the newest run of
    its commits; those of the base are the ones that its tip has now. The code is compared with
    where the two parted.

    A condition speaks of metrics.NAME, params.NAME, base.metrics.NAME and base.params.NAME, with
    + - * / ( ), < <= > >= = !=, and, or, not: 'metrics.acc < base.metrics.acc - 0.005'.
    """
    from mlgit.cli.diff import form_of
    from mlgit.review.branches import default_base
    from mlgit.review.report import report as made

    form = form_of(as_json, as_markdown, as_html)
    store = app.store()
    found = made(store, base or default_base(store, remote), head, conditions, remote)
    if form == "json":
        from mlgit.cli.output import to_json

        text = to_json(found.to_dict())
    elif form == "html":
        text = _page(app, found)
    elif form == "md":
        from mlgit.review.comment import LIMITS, to_comment

        kind = found.forge.kind if found.forge else "github"
        text = to_comment(found, name=name, max_length=max_length or LIMITS[kind])
    else:
        text = _text(app, found)
    _put(app, text.rstrip("\n"), path)
    _say_failed(app, found)
    return FOUND if found.failed else OK


def _text(app: App, found: Report) -> str:
    from mlgit.cli.diff import styler
    from mlgit.review.render import to_text

    lines = [app.out.style(one_line(found.headline), bold=True)]
    lines += [f"  {one_line(remark)}" for remark in found.sides.remarks]
    return "\n".join(lines) + "\n\n" + to_text(found.comparison, style=styler(app.out))


def _page(app: App, found: Report) -> str:
    from functools import partial

    from mlgit.review.page import to_html
    from mlgit.review.previews import preview

    told = [f"{'failed' if c.failed else 'passed'}: fails if {c.text}" for c in found.checks]
    return to_html(
        found.comparison,
        headline=found.headline,
        remarks=[*told, *found.sides.remarks],
        previewer=partial(preview, app.open().objects),
    )


def _put(app: App, text: str, path: str | None) -> None:
    if path is None:
        app.out.text(text)
        return
    from mlgit.exceptions import from_os_error

    try:
        with open(path, "w", encoding="utf-8") as f:
            f.write(text + "\n")
    except OSError as error:
        raise from_os_error(error, f"write {path}") from error
    app.out.say(f"Wrote {one_line(path)}")


def _say_failed(app: App, found: Report) -> None:
    """Each check that failed, with its numbers, beside whatever form was printed."""
    for check in found.checks:
        if check.failed:
            why = "; ".join([*check.told, *([check.problem] if check.problem else [])])
            click.echo(f"failed: {one_line(check.text)}\n  {one_line(why)}", err=True)
