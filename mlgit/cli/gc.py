"""``mlgit gc``: remove objects that nothing needs."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import click

from mlgit.cli.context import App
from mlgit.cli.output import plural, safe, size, table

if TYPE_CHECKING:
    from mlgit.store.collect import Collected

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_SHOWN = 20


def _seconds(ctx: click.Context, param: click.Parameter, value: str) -> float:
    """A length of time: a number and s, m, h, d or w; days where no unit is given."""
    match = re.match(r"^(\d{1,9}(?:\.\d+)?)\s*([smhdw]?)\Z", value.strip())
    if not match:
        raise click.BadParameter(f"{value!r} isn't a time such as 12h, 14d or 2w", ctx, param)
    return float(match[1]) * _UNITS[match[2] or "d"]


@click.command()
@click.option(
    "-f", "--force", is_flag=True, help="Remove; otherwise it is only told what would be."
)
@click.option(
    "--grace",
    callback=_seconds,
    metavar="TIME",
    default="2w",
    show_default=True,
    help="Keep what is newer than this, as 12h, 14d or 2w.",
)
@click.option(
    "--here",
    "scope",
    flag_value="here",
    help="Of data, keep what the stash, tags, and HEAD, index and files of each worktree name.",
)
@click.option(
    "--all-branches",
    "scope",
    flag_value="branches",
    help="Also what the tips of branches name, the remotes' too. The default here.",
)
@click.option(
    "--history",
    "scope",
    flag_value="history",
    help="Also what older commits name. The default with --remote.",
)
@click.option("--remote", is_flag=True, help="Remove from a remote, the default one or NAME.")
@click.argument("name", required=False)
@click.option(
    "--skip-unreadable", is_flag=True, help="Go on where something that can't be read names some."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def gc(
    app: App,
    force: bool,
    grace: float,
    scope: str | None,
    remote: bool,
    name: str | None,
    skip_unreadable: bool,
    as_json: bool,
) -> None:
    """Remove objects that nothing names any more.

    Kept is what any run names, older versions of it and archived ones too, and any going
    run, tag or model; and the data that pointers name, as far as asked for. Without --force
    nothing is removed. What somebody logs, adds, fetches or pushes meanwhile is safe.
    """
    from mlgit.store.collect import collect

    if name and not remote:
        raise click.UsageError("NAME is a remote's: give --remote too")
    store = app.open()
    with app.out.progress("Removing objects") as progress:
        if remote:
            from mlgit.store.remotes import remote_objects
            from mlgit.sync.gc import collect_remote

            found = collect_remote(
                store,
                remote_objects(store.repo, name),
                scope=scope or "history",
                grace=grace,
                force=force,
                skip_unreadable=skip_unreadable,
                progress=progress,
            )
        else:
            found = collect(
                store,
                scope=scope or "branches",
                grace=grace,
                force=force,
                skip_unreadable=skip_unreadable,
                progress=progress,
            )
    if as_json:
        app.out.json(_json(found))
    else:
        _tell(app, found)


def _json(found: Collected) -> dict[str, Any]:
    return {
        "removed": found.removed,
        "objects": [{"sha256": sha, "size": count} for sha, count in _by_size(found.going)],
        "bytes": sum(found.going.values()),
        "left_over": [{"path": path, "size": n} for path, n in _by_size(found.left_over)],
        "reached": {"objects": found.reached, "bytes": found.reached_bytes},
        "too_new": {"objects": found.new, "bytes": found.new_bytes},
        "in_history": found.in_history,
        "missing_manifests": found.missing,
        "unreadable": [{"where": each.where, "message": each.message} for each in found.unreadable],
    }


def _by_size(sizes: dict[str, int]) -> list[tuple[str, int]]:
    return sorted(sizes.items(), key=lambda item: (-item[1], item[0]))


def _tell(app: App, found: Collected) -> None:
    did = "Removed" if found.removed else "Would remove"
    if found.going:
        rows = [[sha, size(count)] for sha, count in _by_size(found.going)[:_SHOWN]]
        app.out.text(table(["object", "size"], rows, right=[1]))
        if len(found.going) > _SHOWN:
            app.out.say(f"… and {len(found.going) - _SHOWN} smaller ones")
    total = size(sum(found.going.values()))
    app.out.say(f"{did} {plural(len(found.going), 'object')}, {total}")
    if found.left_over:
        count = plural(len(found.left_over), "left-over file")
        app.out.say(f"{did} {count}, {size(sum(found.left_over.values()))}")
    kept = f"Kept {plural(found.reached, 'object')} that something names, "
    app.out.say(f"{kept}{size(found.reached_bytes)}")
    if found.new:
        app.out.say(f"Kept {plural(found.new, 'object')} that are new, {size(found.new_bytes)}")
    if found.in_history:
        verb = "were" if found.removed else "are"
        app.out.note(
            f"{found.in_history} of them {verb} named by older commits: --history keeps such"
        )
    if found.missing:
        app.out.note(
            f"The contents of {plural(len(found.missing), 'folder')} aren't known here: "
            "their manifests weren't fetched"
        )
    for each in found.unreadable:
        app.out.note(f"Can't tell what {safe(each.where)} names: {safe(each.message)}")
    if not found.removed and (found.going or found.left_over):
        app.out.note("Nothing was removed: mlgit gc --force removes it")
