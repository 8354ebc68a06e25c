"""``mlgit runs``: listing and changing runs."""

from __future__ import annotations

import click

from mlgit.cli.context import RUN, App, one_of
from mlgit.cli.lazy import Group
from mlgit.cli.log import print_runs
from mlgit.cli.output import one_line
from mlgit.cli.rundata import find_runs
from mlgit.cli.show import show_run
from mlgit.entities import LifecycleStage, RunTag, ViewType

_VIEWS = click.Choice(["active_only", "deleted_only", "all"])


@click.group(cls=Group)
def runs() -> None:
    """List, rename, tag, delete and restore runs."""


@runs.command("list")
@click.option("-x", "--experiment-id", metavar="ID", help="Only runs of this experiment.")
@click.option("--experiment-name", metavar="NAME", help="The same, by its name.")
@click.option("-v", "--view", type=_VIEWS, default="active_only", help="Deleted runs too, or only.")
@click.option("-n", "--max-results", metavar="N", type=click.IntRange(min=1), help="At most N.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array of runs.")
@click.pass_obj
def list_runs(
    app: App,
    experiment_id: str | None,
    experiment_name: str | None,
    view: str,
    max_results: int | None,
    as_json: bool,
) -> None:
    """List runs, newest first: all of them, or one experiment's."""
    if experiment_id and experiment_name:
        raise click.UsageError("Give either --experiment-id or --experiment-name")
    ids = None
    if experiment_id:
        ids = [app.experiment(experiment_id, by_id=True).experiment_id]
    elif experiment_name:
        ids = [app.experiment(experiment_name).experiment_id]
    found = find_runs(
        app.store(), max_results, experiment_ids=ids, run_view_type=ViewType.from_string(view)
    )
    columns = ["started", "name", "run_id", "status", *([] if ids else ["experiment"])]
    print_runs(app, found, columns, as_json=as_json)


@runs.command()
@click.argument("run", type=RUN, default="@{0}")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--md", "as_markdown", is_flag=True, help="Print Markdown.")
@click.pass_obj
def show(app: App, run: str, as_json: bool, as_markdown: bool) -> None:
    """Show everything about a run; the same as mlgit show."""
    show_run(app, run, as_json=as_json, as_markdown=as_markdown)


@runs.command()
@click.argument("run", type=RUN, required=False)
@click.option("--run-id", metavar="ID", help="The run, as in MLflow's command line.")
@click.pass_obj
def describe(app: App, run: str | None, run_id: str | None) -> None:
    """Print a run as the JSON that MLflow's command of this name prints."""
    found = app.run_id(one_of(run, run_id, "RUN"))
    app.out.json(app.open().runs.get(found).to_dictionary())


@runs.command()
@click.argument("run", type=RUN)
@click.argument("name")
@click.pass_obj
def rename(app: App, run: str, name: str) -> None:
    """Give a run another name."""
    if not name.strip():
        raise click.BadParameter("a run's name can't be empty", param_hint="'NAME'")
    run_id = app.run_id(run)
    app.open().runs.set_tag(run_id, "mlflow.runName", name)
    app.out.say(f"Renamed {run_id} to {one_line(name)}")


@runs.command()
@click.argument("given", metavar="RUN...", type=RUN, nargs=-1)
@click.option("--run-id", metavar="ID", help="The run, as in MLflow's command line.")
@click.pass_obj
def delete(app: App, given: tuple[str, ...], run_id: str | None) -> None:
    """Delete runs; mlgit runs restore brings them back."""
    _set_stage(app, one_of(given, run_id and (run_id,), "RUN"), LifecycleStage.DELETED)


@runs.command()
@click.argument("given", metavar="RUN...", type=RUN, nargs=-1)
@click.option("--run-id", metavar="ID", help="The run, as in MLflow's command line.")
@click.pass_obj
def restore(app: App, given: tuple[str, ...], run_id: str | None) -> None:
    """Bring deleted runs back."""
    _set_stage(app, one_of(given, run_id and (run_id,), "RUN"), LifecycleStage.ACTIVE)


def _set_stage(app: App, given: tuple[str, ...], stage: str) -> None:
    # All are looked up before any is changed: a mistyped one changes nothing.
    run_ids = [app.run_id(text) for text in given]
    store = app.open()
    done = "Deleted" if stage == LifecycleStage.DELETED else "Restored"
    for run_id in dict.fromkeys(run_ids):
        run = store.runs.get(run_id)
        shown = f"{run_id} {one_line(run.info.run_name or '')}".rstrip()
        if run.info.lifecycle_stage == stage:
            app.out.say(f"Run {shown} is {stage} already")
            continue
        store.runs.update(run_id, lifecycle_stage=stage)
        app.out.say(f"{done} run {shown}")


@runs.command()
@click.argument("run", type=RUN)
@click.argument("tags", metavar="[KEY=VALUE]...", nargs=-1)
@click.option("--remove", metavar="KEY", multiple=True, help="Remove this tag; may be repeated.")
@click.pass_obj
def tag(app: App, run: str, tags: tuple[str, ...], remove: tuple[str, ...]) -> None:
    """Set tags of a run, or remove them."""
    pairs = [text.partition("=") for text in tags]
    wrong = next((key for key, equals, _ in pairs if not equals or not key), None)
    if wrong is not None:
        raise click.BadParameter(f"'{wrong}' isn't KEY=VALUE", param_hint="'KEY=VALUE'")
    if not pairs and not remove:
        raise click.UsageError("Give tags as KEY=VALUE, or --remove KEY")
    run_id = app.run_id(run)
    store = app.open()
    if pairs:
        store.runs.log_batch(run_id, tags=[RunTag(key, value) for key, _, value in pairs])
    for key in remove:
        store.runs.delete_tag(run_id, key)
    changed = [f"set {one_line(key)}" for key, _, _ in pairs]
    changed += [f"removed {one_line(key)}" for key in remove]
    app.out.say(f"{run_id}: {', '.join(changed)}")
