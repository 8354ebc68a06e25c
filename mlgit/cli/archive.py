"""``mlgit archive``: many runs behind one ref."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from mlgit.cli.context import App
from mlgit.cli.output import one_line, plural

if TYPE_CHECKING:
    from mlgit.store.archive import Folded

_DAY_MS = 86_400_000


@click.command()
@click.option("--experiment", "given", metavar="NAME", multiple=True, help="Only runs of this one.")
@click.option(
    "--older-than",
    "days",
    metavar="DAYS",
    type=click.IntRange(0, 1_000_000),
    help="Only runs that ended longer ago than this.",
)
@click.option("-n", "--dry-run", is_flag=True, help="Only tell what would be done.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def archive(
    app: App, given: tuple[str, ...], days: int | None, dry_run: bool, as_json: bool
) -> None:
    """Fold runs that have ended into one ref per experiment.

    A repository with thousands of refs is slow to push and fetch. A folded run loses its
    own ref and nothing else: every command finds it as before, and one that is changed
    gets a ref of its own again, until it is folded anew. Without --experiment, which may
    be repeated, the runs of all experiments are folded.
    """
    from mlgit.store.archive import fold
    from mlgit.store.timeform import now_ms

    ids = [app.experiment(name).experiment_id for name in given] or None
    store = app.store()
    with app.out.progress("Folding runs") as progress:
        found = fold(
            store,
            ids,
            ended_before=None if days is None else now_ms() - days * _DAY_MS,
            dry_run=dry_run,
            progress=progress,
        )
    if as_json:
        app.out.json(_json(found, dry_run))
        return
    for folded in found:
        _tell(app, folded, dry_run)
    if not found:
        app.out.say("No runs to fold")


def _json(found: list[Folded], dry_run: bool) -> dict[str, Any]:
    return {
        "dry_run": dry_run,
        "runs": sum(folded.runs for folded in found),
        "refs_removed": sum(folded.removed for folded in found),
        "experiments": [
            {
                "experiment_id": folded.experiment_id,
                "experiment": folded.experiment,
                "ref": folded.ref,
                "commit": folded.commit,
                "runs": folded.runs,
                "refs_removed": folded.removed,
                "left_apart": folded.apart,
            }
            for folded in found
        ],
    }


def _tell(app: App, folded: Folded, dry_run: bool) -> None:
    did = "Would fold" if dry_run else "Folded"
    name = one_line(folded.experiment)
    if folded.runs:
        app.out.say(f"{did} {plural(folded.runs, 'run')} of {name} into {folded.ref}")
    elif folded.removed:
        did = "Would remove" if dry_run else "Removed"
        app.out.say(f"{did} {plural(folded.removed, 'ref')} of archived runs of {name}")
    for run_id in folded.apart:
        app.out.note(f"Left run {run_id} alone: it and the archive have parted")
