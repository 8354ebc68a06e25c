"""``mlgit registry``: whether the registry's tags are right."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from mlgit.cli.context import App
from mlgit.cli.errors import FOUND
from mlgit.cli.lazy import Group
from mlgit.cli.output import markdown, markdown_table, one_line, plural

if TYPE_CHECKING:
    from mlgit.cli.output import Output
    from mlgit.registry.audit import Audit
    from mlgit.registry.rules import Rules


@click.group(cls=Group)
def registry() -> None:
    """Check the registry: the tags that hold versions, stages and aliases."""


@registry.command()
@click.argument("tags", metavar="[TAG]...", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="All tags, as where none is named.")
@click.option(
    "--rules-from",
    "revision",
    metavar="REV",
    help="The commit whose .mlgit/config.yaml has the rules; HEAD where none is given.",
)
@click.option(
    "--run-tests", is_flag=True, help="Run the tests that rules ask for, instead of believing tags."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--md", "as_markdown", is_flag=True, help="Print Markdown.")
@click.pass_context
def check(
    ctx: click.Context,
    tags: tuple[str, ...],
    everything: bool,
    revision: str | None,
    run_tests: bool,
    as_json: bool,
    as_markdown: bool,
) -> None:
    """Check tags of the registry against the team's rules.

    Reports tags that are malformed, lightweight or dangling. Of tags that give a version a
    stage or an alias it computes the guards again, from the runs and from who held it just
    before; of all it checks who made them, and signatures where rules ask for some. Exits with 1
    if something is wrong.

    In CI give the branch that is trusted, --rules-from origin/main: HEAD there may be the commit
    that is being judged, with rules of its own.
    """
    if tags and everything:
        raise click.UsageError("Give either tags or --all", ctx)
    if as_json and as_markdown:
        raise click.UsageError("--json and --md can't be given together", ctx)
    from mlgit.registry.audit import audit

    app: App = ctx.obj
    rules = _rules(app, revision)
    found = audit(app.registry(), rules, tags or None, with_tests=run_tests)
    if as_json:
        app.out.json(found.to_dictionary())
    elif as_markdown:
        app.out.text(_markdown(found))
    else:
        _print(found, app.out)
    if found.findings:
        ctx.exit(FOUND)


def _rules(app: App, revision: str | None) -> Rules:
    from mlgit.exceptions import InvalidParameterValue
    from mlgit.registry.rules import Rules, read_rules
    from mlgit.review.revisions import resolve

    store = app.store()
    if revision is None and store.repo.head().commit is None:
        return Rules((), "HEAD, which has no commit yet")
    meant = resolve(store, revision or "HEAD")
    if meant.kind == "worktree" or meant.commit is None:
        raise InvalidParameterValue(
            f"{revision!r} is no commit", hint="rules are read from a commit: HEAD, origin/main"
        )
    rules = read_rules(store.repo, meant.commit)
    return rules if rules.rules else Rules((), f"{rules.source}, which has no rules")


def _print(found: Audit, out: Output) -> None:
    lines = []
    for finding in found.findings:
        guard = f" {one_line(finding.guard)}:" if finding.guard else ""
        lines.append(
            f"{out.style(one_line(finding.tag), 'red')}:{guard} {one_line(finding.problem)}"
        )
    if lines:
        out.text("\n".join(lines))
    for tag in found.foreign:
        out.note(f"{one_line(tag)} isn't a tag of the registry")
    out.say(_verdict(found))


def _verdict(found: Audit) -> str:
    problems = plural(len(found.findings), "problem") if found.findings else "no problems"
    return f"Checked {plural(found.tags, 'tag')} against {one_line(found.rules)}: {problems}"


def _markdown(found: Audit) -> str:
    rows = [[markdown(f.tag), markdown(f.guard), markdown(f.problem)] for f in found.findings]
    table = [markdown_table(["tag", "guard", "problem"], rows), ""] if rows else []
    return "\n".join([*table, markdown(_verdict(found))])
