"""``mlgit fsck``: whether everything can be read."""

from __future__ import annotations

import click

from mlgit.cli.context import App
from mlgit.cli.errors import FOUND
from mlgit.cli.output import plural, safe


@click.command()
@click.option(
    "--objects/--no-objects",
    default=True,
    help="Read all artifacts of this clone and compare their digests, as is the default.",
)
@click.option(
    "--quarantine/--no-quarantine",
    default=True,
    help="Put damaged artifacts aside, as is the default, so that they can be fetched again.",
)
@click.option("--remote", is_flag=True, help="Check a remote instead, the default one or NAME.")
@click.option("--download", is_flag=True, help="With --remote: read every object there, too.")
@click.argument("name", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def fsck(
    ctx: click.Context,
    objects: bool,
    quarantine: bool,
    remote: bool,
    download: bool,
    name: str | None,
    as_json: bool,
) -> None:
    """Check that everything that was logged can be read.

    Looks at every ref, record, history, journal, pointer and artifact, and at the index, and
    changes nothing but that it puts damaged artifacts aside. With --remote it looks whether
    the remote has, in full size, all that pushed refs name. Exits with 1 if there are
    problems. Whether Git's own objects are whole is for git fsck to say.
    """
    if (name or download) and not remote:
        raise click.UsageError("NAME and --download are about a remote: give --remote too")
    app: App = ctx.obj
    store = app.open()
    with app.out.progress("Checking") as progress:
        if remote:
            from mlgit.store.fsck_remote import check_remote
            from mlgit.store.remotes import remote_objects

            there = remote_objects(store.repo, name)
            report = check_remote(store, there, whole=download, progress=progress)
        else:
            from mlgit.store.fsck import check

            report = check(store, objects=objects, quarantine=quarantine, progress=progress)
    if as_json:
        app.out.json(report.to_dictionary())
    else:
        looked_at = ", ".join(plural(n, noun[:-1]) for noun, n in report.counts.items() if n)
        lines = []
        for problem in report.problems:
            lines.append(f"{app.out.style(safe(problem.where), 'red')}: {safe(problem.message)}")
            if problem.hint:
                lines.append(f"  hint: {safe(problem.hint)}")
        if lines:
            app.out.text("\n".join(lines))
        verdict = plural(len(report.problems), "problem") if lines else "no problems"
        app.out.say(f"Checked {looked_at or 'an empty repository'}: {verdict}")
        if report.elsewhere:
            app.out.note(
                f"{plural(report.elsewhere, 'artifact')} of what others have aren't in this clone: "
                "mlgit fsck --remote looks for them"
            )
    if report.problems:
        ctx.exit(FOUND)
