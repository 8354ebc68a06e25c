"""``mlgit du``: what takes the space."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from mlgit.cli.context import App
from mlgit.cli.output import one_line, size, table

if TYPE_CHECKING:
    from mlgit.store.usage import Share

_TOTALS = (
    ("objects", "Artifacts and data in this clone"),
    ("unreached", "  of which nothing names (mlgit gc)"),
    ("damaged", "Damaged objects, put aside"),
    ("temporary", "Half-written objects"),
    ("journals", "Journals of going runs"),
    ("index", "Index"),
    ("git", "Git's objects: records and code"),
)


@click.command()
@click.option("--experiment", "given", metavar="NAME", help="Tell the runs of this one apart.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, with sizes in bytes.")
@click.pass_obj
def du(app: App, given: str | None, as_json: bool) -> None:
    """Show what takes the space: by experiment and model, or by run of one experiment, and by data.

    An object that several runs of an experiment name counts once for it. SHARED is what
    another line names too, so that removing one of them alone doesn't free it. HERE is what
    is in this clone; the rest is on a remote only.
    """
    from mlgit.store.usage import usage

    experiment_id = app.experiment(given).experiment_id if given else None
    found = usage(app.store(), experiment_id)
    if as_json:
        app.out.json(found.to_dictionary())
        return
    blocks = []
    if experiment_id is not None:
        blocks.append(_table("run", found.runs))
    elif found.experiments:
        blocks.append(_table("experiment", found.experiments, "runs"))
    if found.models and experiment_id is None:
        blocks.append(_table("model", found.models, "versions"))
    if found.data and experiment_id is None:
        blocks.append(_table("data", found.data))
    rows = [[title, size(found.total[key])] for key, title in _TOTALS if found.total[key]]
    if rows and experiment_id is None:
        blocks.append(table(["all", "size"], rows, right=[1]))
    app.out.text("\n\n".join(block for block in blocks if block) or "Nothing is kept here yet")


def _table(title: str, shares: list[Share], counted: str = "") -> str:
    if not shares:
        return ""
    by_id = bool(shares[0].id) and not counted
    headers = [title, *(["id"] if by_id else []), *([counted] if counted else [])]
    rows = []
    for share in shares:
        cells = [one_line(share.name)]
        cells += [share.id[:10]] if by_id else []
        cells += [str(share.runs)] if counted else []
        sizes = [size(share.bytes), size(share.shared), size(share.here)]
        rows.append([*cells, str(share.objects), *sizes])
    numbers = range(1 + by_id, len(headers) + 4)
    return table([*headers, "objects", "size", "shared", "here"], rows, right=list(numbers))
