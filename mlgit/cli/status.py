"""``mlgit status``: what is going on in this repository."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from mlgit.cli import datastatus, output
from mlgit.cli.context import App
from mlgit.cli.output import Output, one_line, plural, safe

if TYPE_CHECKING:
    from mlgit.tracking.state import Going, State
    from mlgit.worktree.status import PathState


@click.command()
@click.option("--remote", "ask_remote", is_flag=True, help="Ask the remote which data it lacks.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def status(app: App, ask_remote: bool, as_json: bool) -> None:
    """Show what is going on in this repository.

    The experiment that new runs belong to, the runs that are going, the runs and registry tags
    that no Git remote is known to have, and what can't be read.
    Runs whose processes have died are recovered first, and named.
    """
    from mlgit.tracking.state import state

    store = app.open()
    found = state(store)
    data = _data(app, ask_remote)
    if as_json:
        app.out.json({**_json(found), "data": [datastatus.as_dict(state) for state in data]})
    else:
        app.out.text("\n".join([_text(found, app.out), *datastatus.as_text(data, app.out)]))


def _data(app: App, ask_remote: bool) -> list[PathState]:
    from mlgit.worktree.status import status as data_status
    from mlgit.worktree.tracked import WorktreeData

    repo = app.open().repo
    if repo.worktree is None:
        return []
    data = WorktreeData(repo)
    try:
        with app.out.progress("Looking at data", in_bytes=True) as progress:
            return data_status(data, ask_remote=ask_remote, progress=progress)
    finally:
        data.close()


def _json(found: State) -> dict[str, Any]:
    return {
        "repository": found.place,
        "bare": found.bare,
        "branch": found.branch,
        "experiment": found.experiment,
        "experiment_exists": found.exists,
        "runs": found.runs,
        "recovered": [{"run_id": r, "run_name": name} for r, name in found.recovered],
        "going": [
            {
                "run_id": run.run_id,
                "run_name": run.name,
                "experiment": run.experiment,
                **output.times(start_time=run.started),
                "writers": [{"host": host, "pid": pid} for host, pid in run.writers],
            }
            for run in found.going
        ],
        "unpushed": [
            {"remote": remote, "run_id": run_id, "run_name": name}
            for remote, runs in found.unpushed.items()
            for run_id, name in runs
        ],
        "unpushed_registry": [
            {"remote": remote, "ref": ref}
            for remote, refs in found.unpushed_registry.items()
            for ref in refs
        ],
        "problems": [{"where": where, "message": text} for where, text in found.problems],
    }


def _text(found: State, out: Output) -> str:
    kind = "bare repository" if found.bare else "repository"
    branch = f", on branch {one_line(found.branch)}" if found.branch else ""
    made = "" if found.exists else "; it will be made by the first run"
    lines = [
        f"{kind} {one_line(found.place)}{branch}",
        f"experiment {out.style(one_line(found.experiment), bold=True)} ({found.because}{made})",
        plural(found.runs, "run"),
    ]
    if found.recovered:
        lines += ["", "recovered just now, as their processes are gone:"]
        lines += [f"  {run_id[:8]}  {one_line(name)}" for run_id, name in found.recovered]
    if found.going:
        rows = [_row(run) for run in found.going]
        headers = ["id", "name", "experiment", "started", "logged to by"]
        lines += ["", "going:"]
        lines += ["  " + line for line in output.table(headers, rows).splitlines()]
    for remote, runs in found.unpushed.items():
        if runs:
            lines += ["", f"not pushed to {one_line(remote)}, as far as is known: {_names(runs)}"]
    for remote, refs in found.unpushed_registry.items():
        if refs:
            where = f"not pushed to {one_line(remote)}, as far as is known"
            lines += ["", f"{where}: {_registry(refs)}"]
    if found.problems:
        lines += ["", out.style("problems (mlgit fsck says more):", "red")]
        for where, text in found.problems:
            lines.append(f"  {one_line(where)}: {safe(text).replace(chr(10), chr(10) + '    ')}")
    return "\n".join(lines)


def _names(runs: list[tuple[str, str]]) -> str:
    shown = ", ".join(one_line(name or run_id[:8]) for run_id, name in runs[:5])
    more = f" and {len(runs) - 5} more" if len(runs) > 5 else ""
    return f"{plural(len(runs), 'run')} ({shown}{more})"


def _registry(refs: list[str]) -> str:
    tags = [ref.removeprefix("refs/tags/") for ref in refs if ref.startswith("refs/tags/")]
    parts = []
    if tags:
        shown = ", ".join(one_line(tag) for tag in sorted(tags)[:5])
        more = f" and {len(tags) - 5} more" if len(tags) > 5 else ""
        parts.append(f"{plural(len(tags), 'registry tag')} ({shown}{more})")
    if len(refs) > len(tags):
        parts.append(plural(len(refs) - len(tags), "model text"))
    return " and ".join(parts)


def _row(run: Going) -> list[str]:
    writers = ", ".join(f"process {pid} on {one_line(host)}" for host, pid in run.writers)
    return [
        run.run_id[:8],
        one_line(run.name),
        one_line(run.experiment),
        output.age(run.started),
        writers or "nobody now",
    ]
