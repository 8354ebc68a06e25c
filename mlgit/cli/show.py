"""``mlgit show``: everything about one run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from mlgit.cli import output
from mlgit.cli.context import RUN, App
from mlgit.cli.output import Output, markdown, one_line
from mlgit.cli.rundata import run_json
from mlgit.store.modeltag import HISTORY, flavors, logged
from mlgit.store.record import TAG_FIELDS

if TYPE_CHECKING:
    from mlgit.store.overview import Overview

# Where only metrics.yaml could be read, nobody knows a point's step and time.
_NO_STEP = -(2**63)
# How much of a tag people are shown; --json has all of it.
_LONG = 200


@click.command()
@click.argument("run", type=RUN, default="@{0}")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--md", "as_markdown", is_flag=True, help="Print Markdown.")
@click.pass_obj
def show(app: App, run: str, as_json: bool, as_markdown: bool) -> None:
    """Show everything about a run; the newest one, if none is given."""
    show_run(app, run, as_json=as_json, as_markdown=as_markdown)


def show_run(app: App, run: str, *, as_json: bool = False, as_markdown: bool = False) -> None:
    """Print one run, as ``mlgit show`` and ``mlgit runs show`` do."""
    run_id = app.run_id(run)
    from mlgit.store.overview import overview

    found = overview(app.open(), run_id)
    if as_json:
        app.out.json(_json(found))
    elif as_markdown:
        app.out.text(_markdown(found))
    else:
        app.out.text(_text(found, app.out, in_worktree=app.open().repo.worktree is not None))


def _json(found: Overview) -> dict[str, Any]:
    return {
        **run_json(found.run, found.experiment),
        "ref": found.ref,
        "commit": found.commit,
        "source": found.source,
        "metric_points": {
            key: {
                "value": point.value,
                "step": None if point.step == _NO_STEP else point.step,
                **output.times(time=None if point.step == _NO_STEP else point.timestamp),
                "points": found.counts.get(key, 0),
            }
            for key, point in found.last.items()
        },
        "artifacts": [
            {"path": path, "is_dir": folder, "file_size": size, "files": files}
            for path, folder, size, files in found.artifacts
        ],
        "environment": found.environment,
    }


def _facts(found: Overview) -> list[tuple[str, str]]:
    """What the run is: names and values, those that are known."""
    info, source = found.run.info, found.source
    took = None
    if info.start_time is not None and info.end_time is not None:
        took = info.end_time - info.start_time
    status = info.status + (" (deleted)" if info.lifecycle_stage == "deleted" else "")
    started = output.iso(info.start_time)
    code = str(source.get("commit") or "")
    if code and source.get("dirty"):
        code += " with uncommitted changes"
    facts = [
        ("run", info.run_id),
        ("experiment", f"{found.experiment} ({info.experiment_id})"),
        ("status", status),
        ("started", f"{started} ({output.age(info.start_time)})" if started else ""),
        ("took", output.duration(took)),
        ("user", info.user_id or ""),
        ("part of", found.run.data.tags.get("mlflow.parentRunId", "")),
        ("command", str(source.get("command") or source.get("name") or "")),
        ("branch", str(source.get("branch") or "")),
        ("code", code),
        ("commit", found.commit or ""),
        ("python", str(found.environment.get("python") or "")),
    ]
    facts += [("left out", f"{o['path']} ({o['reason']})") for o in _left_out(source)]
    facts += [("changed since", str(path)) for path in source.get("changed_during_run") or ()]
    facts += [("problem", str(problem)) for problem in source.get("problems") or ()]
    return [(name, value) for name, value in facts if value]


def _left_out(source: dict[str, Any]) -> list[dict[str, Any]]:
    found = source.get("left_out") or ()
    return [o for o in found if isinstance(o, dict) and "path" in o and "reason" in o]


def _tags(found: Overview) -> list[tuple[str, str]]:
    """The tags, without those that only repeat what is shown already; long ones cut."""
    tags = {k: v for k, v in found.run.data.tags.items() if k not in TAG_FIELDS}
    return [(k, output.shortened(v, _LONG)) for k, v in sorted(tags.items()) if k != HISTORY]


def _sections(found: Overview) -> list[tuple[str, list[str], list[list[str]]]]:
    """Title, headers and rows of each table."""
    metrics = []
    for key, point in found.last.items():
        step = "" if point.step == _NO_STEP else str(point.step)
        metrics.append(
            [key, output.number(point.value), step, str(found.counts.get(key, "") or "")]
        )
    artifacts = [
        [path + ("/" if folder else ""), output.size(size), str(files) if folder else ""]
        for path, folder, size, files in found.artifacts
    ]
    datasets = [
        [d.dataset.name, d.dataset.digest, {t.key: t.value for t in d.tags}.get(_CONTEXT, "")]
        for d in found.run.inputs.dataset_inputs
    ]
    models = logged(found.run.data.tags).items()
    return [
        ("params", ["name", "value"], [list(p) for p in sorted(found.run.data.params.items())]),
        ("metrics", ["name", "value", "step", "points"], metrics),
        ("tags", ["name", "value"], [list(tag) for tag in _tags(found)]),
        ("datasets", ["name", "digest", "context"], datasets),
        (
            "models",
            ["path", "flavors"],
            [[path, ", ".join(flavors(entry))] for path, entry in models],
        ),
        ("artifacts", ["path", "size", "files"], artifacts),
    ]


_CONTEXT = "mlflow.data.context"
_RIGHT = {"metrics": (1, 2, 3), "artifacts": (1, 2)}


def _text(found: Overview, out: Output, *, in_worktree: bool) -> str:
    lines = [out.style(one_line(found.run.info.run_name or found.run.info.run_id), bold=True)]
    facts = _facts(found)
    lines += [f"  {name:<{_widest(facts)}}  {one_line(value)}" for name, value in facts]
    for title, headers, rows in _sections(found):
        if rows:
            cells = [[one_line(cell) for cell in row] for row in rows]
            body = output.table(
                [out.style(h, "cyan") for h in headers], cells, _RIGHT.get(title, ())
            )
            lines += ["", out.style(title, bold=True)]
            lines += ["  " + line for line in body.splitlines()]
    commands = _commands(found, in_worktree)
    if commands:
        lines += ["", out.style("to go on", bold=True)]
        lines += [f"  {c:<{_widest(commands)}}  {what}" for c, what in commands]
    return "\n".join(lines)


def _widest(pairs: list[tuple[str, str]]) -> int:
    return max((len(first) for first, _ in pairs), default=0)


def _commands(found: Overview, in_worktree: bool) -> list[tuple[str, str]]:
    from mlgit.review.steps import next_steps

    return next_steps(
        found.run.info.run_id,
        found.commit,
        in_worktree=in_worktree,
        has_artifacts=bool(found.artifacts),
        command=str(found.source.get("command") or ""),
    )


def _markdown(found: Overview) -> str:
    parts = [f"## {markdown(found.run.info.run_name or found.run.info.run_id)}", ""]
    parts += [f"- {name}: {markdown(value)}" for name, value in _facts(found)]
    for title, headers, rows in _sections(found):
        if rows:
            cells = [[markdown(cell) for cell in row] for row in rows]
            parts += ["", f"### {title}", ""]
            parts.append(output.markdown_table(headers, cells, _RIGHT.get(title, ())))
    return "\n".join(parts)
