"""``mlgit promote``, ``mlgit demote`` and ``mlgit rollback``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

import click

from mlgit.cli import pushing
from mlgit.cli.context import MODEL, App
from mlgit.cli.options import shared
from mlgit.cli.output import Output, one_line, safe
from mlgit.exceptions import PromotionRefused

if TYPE_CHECKING:
    from mlgit.cli.pushing import Push
    from mlgit.registry.guards import Guards, Result
    from mlgit.registry.proposal import Promotion

# Those of every command that writes tags.
_writing = shared(
    pushing.push_options,
    click.option("--reason", metavar="TEXT", help="Why; the tags say it."),
    click.option("--sign", is_flag=True, help="Sign the tags, as git tag -s does."),
    click.option("--dry-run", is_flag=True, help="Check everything and write nothing."),
    click.option("--json", "as_json", is_flag=True, help="Print JSON."),
)


@click.command()
@click.argument("model", metavar="NAME[@VERSION]", type=MODEL)
@click.option("--to", "to", metavar="STAGE|ALIAS", required=True, help="What it becomes.")
@click.option(
    "--require",
    metavar="FILTER",
    multiple=True,
    help="What its run must meet, as in search; may be repeated.",
)
@click.option(
    "--better-than", "holder", metavar="STAGE|ALIAS", help="It must be better than who holds this."
)
@click.option("--metric", metavar="NAME", help="With --better-than: by which metric.")
@click.option(
    "--min-delta",
    metavar="D",
    type=float,
    help="With --better-than: by how much at least; by default any improvement will do.",
)
@click.option(
    "--lower-is-better/--higher-is-better",
    default=None,
    help="With --better-than: which way the metric is good; by default as the configuration's "
    "section metrics or its name says, and else that more is better.",
)
@click.option(
    "--require-tests",
    "tests",
    metavar="CMD",
    multiple=True,
    help="A command of the shell that must succeed, in the worktree; may be repeated.",
)
@click.option(
    "--require-clean", "clean", is_flag=True, help="Its code must have no uncommitted changes."
)
@click.option(
    "--archive-existing", is_flag=True, help="Archive the versions that are in the stage."
)
@_writing
@click.pass_context
def promote(
    ctx: click.Context,
    /,
    model: str,
    to: str,
    archive_existing: bool,
    reason: str | None,
    sign: bool,
    dry_run: bool,
    as_json: bool,
    push: str | None,
    no_renumber: bool,
    **asked: Any,
) -> None:
    """Give a version of a model a stage or an alias, if all guards hold.

    VERSION is v3 or 3, an alias or a stage; the latest version where none is given. --to a
    stage of MLflow's (Staging, Production, Archived, in any case) puts it into the stage, any
    other name is an alias.

    Besides what the options ask for, the rules in .mlgit/config.yaml count. All guards are
    checked; if one fails, nothing is written. Their figures are kept in the tag.
    """
    from mlgit.registry import promotion
    from mlgit.registry.sources import version_meant

    app: App = ctx.obj
    pushed = pushing.asked(push, no_renumber, dry_run=dry_run)
    guards = _guards(ctx, **asked)
    registry = app.registry()
    version = version_meant(registry, model)
    with _refusals(app, as_json):
        done = promotion.promote(
            registry, version.name, version.version, to, guards=guards,
            archive_existing=archive_existing, reason=reason, sign=sign, dry_run=dry_run,
        )  # fmt: skip
    _finish(app, done, as_json, dry_run, pushed, sign)


@click.command()
@click.argument("model", metavar="NAME[@VERSION]", type=MODEL)
@click.option("--from", "target", metavar="STAGE|ALIAS", help="What is taken from it.")
@_writing
@click.pass_obj
def demote(
    app: App,
    model: str,
    target: str | None,
    reason: str | None,
    sign: bool,
    dry_run: bool,
    as_json: bool,
    push: str | None,
    no_renumber: bool,
) -> None:
    """Take a version of a model out of a stage, or an alias off it.

    NAME --from production takes out who is in production, NAME@champion takes off the alias
    champion, NAME@3 takes from version 3 what it has, if that is one thing. Who may, by the
    rules in .mlgit/config.yaml, and signatures count; guards don't.
    """
    from mlgit.registry import promotion
    from mlgit.registry.sources import number_meant, split_meant, version_meant

    pushed = pushing.asked(push, no_renumber, dry_run=dry_run)
    registry = app.registry()
    name, which = split_meant(registry, model)
    version = None
    if target is None and which and number_meant(which) is None and which.lower() != "latest":
        target = which
    elif target is None or which is not None:
        version = version_meant(registry, model).version
    with _refusals(app, as_json):
        done = promotion.demote(
            registry, name, version, target, reason=reason, sign=sign, dry_run=dry_run
        )
    _finish(app, done, as_json, dry_run, pushed, sign)


@click.command()
@click.argument("name", type=MODEL)
@click.argument("target", metavar="STAGE|ALIAS")
@_writing
@click.pass_obj
def rollback(
    app: App,
    name: str,
    target: str,
    reason: str | None,
    sign: bool,
    dry_run: bool,
    as_json: bool,
    push: str | None,
    no_renumber: bool,
) -> None:
    """Give a stage or an alias back to the version that held it before.

    Done again, it goes further back. Versions that were deleted, or taken out by mlgit
    demote, are passed over. Who may, by the rules in .mlgit/config.yaml, and signatures count;
    guards don't: what held it once had passed them.
    """
    from mlgit.registry import promotion

    pushed = pushing.asked(push, no_renumber, dry_run=dry_run)
    with _refusals(app, as_json):
        done = promotion.rollback(
            app.registry(), name, target, reason=reason, sign=sign, dry_run=dry_run
        )
    _finish(app, done, as_json, dry_run, pushed, sign)


def _guards(
    ctx: click.Context,
    require: tuple[str, ...],
    tests: tuple[str, ...],
    clean: bool,
    holder: str | None,
    metric: str | None,
    min_delta: float | None,
    lower_is_better: bool | None,
) -> Guards:
    from mlgit.registry.guards import BetterThan, Guards

    if holder is None:
        if metric is not None or min_delta is not None or lower_is_better is not None:
            raise click.UsageError(
                "--metric, --min-delta and --lower-is-better are about --better-than: give it too",
                ctx,
            )
        return Guards(require, (), tests, clean)
    if metric is None:
        raise click.UsageError("--better-than needs --metric: better by which one?", ctx)
    asked = BetterThan(holder, metric, min_delta or 0.0, lower_is_better)
    return Guards(require, (asked,), tests, clean)


@contextmanager
def _refusals(app: App, as_json: bool) -> Iterator[None]:
    """Show what was checked where something is refused; the error says what failed."""
    try:
        yield
    except PromotionRefused as error:
        results = cast("list[Result]", error.guards)
        if as_json:
            shown = {"refused": True, "message": error.message}
            app.out.json({**shown, "guards": [result.to_dictionary() for result in results]})
        else:
            for result in results:
                if result.passed is False and result.output:
                    click.echo(f"-- {one_line(result.asks)}", err=True)
                    click.echo(safe(result.output.rstrip("\n")), err=True)
        raise


def _finish(
    app: App, done: Promotion, as_json: bool, dry_run: bool, pushed: Push, sign: bool
) -> None:
    """Print what was done, and push it where that is asked for."""
    if as_json:
        told = pushed.written(app, [done.model], sign=sign)
        app.out.json({**done.to_dictionary(), **told})
        return
    _print(app.out, done, dry_run)
    pushed.written(app, [done.model], sign=sign)


def _print(out: Output, done: Promotion, dry_run: bool) -> None:
    if done.guards:
        out.text("\n".join(_guard_line(result, out) for result in done.guards))
    out.say(_said(done, dry_run))
    for tag in done.tags:
        out.note(f"tag {one_line(tag)}")


def _guard_line(result: Result, out: Output) -> str:
    mark = out.style("ok", "green") if result.passed else out.style("--", "yellow")
    return f"{mark}  {one_line(result.title)}: {one_line(result.found)}"


def _said(done: Promotion, dry_run: bool) -> str:
    version = f"version {done.version} of {one_line(done.model)}"
    target = f"in {done.target}" if done.target.is_stage else one_line(done.target)
    if done.already:
        return f"V{version[1:]} is {target} already: nothing to do"
    before = f", where version {done.previous} was" if done.target.is_stage else ""
    if done.beside:
        before = f", where version {done.previous} stays, too (--archive-existing archives it)"
    before = before or f", which version {done.previous} was"
    if done.previous in (None, done.version):
        before = ""
    if done.doing == "demote":
        text = f"{version} is {target} no more"
    else:
        text = f"{version} is {target}{before}"
    return f"Nothing was written. It would be so: {text}" if dry_run else f"V{text[1:]}"
