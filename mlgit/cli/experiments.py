"""``mlgit experiments``: listing and changing experiments."""

from __future__ import annotations

import click

from mlgit.cli import output
from mlgit.cli.context import App, one_of
from mlgit.cli.lazy import Group
from mlgit.cli.output import one_line
from mlgit.cli.rundata import experiment_json
from mlgit.entities import Experiment, LifecycleStage, ViewType

_VIEWS = click.Choice(["active_only", "deleted_only", "all"])


@click.group(cls=Group)
def experiments() -> None:
    """List, create, rename, delete and restore experiments.

    An EXPERIMENT is given as its name or id. A short number is its place in the order of
    making, as MLflow's ids are, where nothing else has that name.
    """


@experiments.command("list")
@click.option("-v", "--view", type=_VIEWS, default="active_only", help="Deleted ones too, or only.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array of experiments.")
@click.pass_obj
def list_experiments(app: App, view: str, as_json: bool) -> None:
    """List experiments, and how many active runs each has."""
    _list(app, view, "", as_json)


@experiments.command()
@click.argument("filter_string", metavar="[FILTER]", default="")
@click.option("-v", "--view", type=_VIEWS, default="active_only", help="Deleted ones too, or only.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array of experiments.")
@click.pass_obj
def search(app: App, filter_string: str, view: str, as_json: bool) -> None:
    """List the experiments that a filter matches, such as "name LIKE 'mnist%'"."""
    _list(app, view, filter_string, as_json)


def _list(app: App, view: str, filter_string: str, as_json: bool) -> None:
    store = app.store()
    found: list[Experiment] = []
    token = None
    while True:
        page = store.search_experiments(
            ViewType.from_string(view), 50_000, filter_string, page_token=token
        )
        found += page
        token = page.token
        if token is None:
            break
    counts = store.index.run_counts()
    if as_json:
        app.out.json([experiment_json(e, counts.get(e.experiment_id, 0)) for e in found])
        return
    if not found:
        app.out.note("No experiments")
        return
    rows = [
        [
            e.experiment_id,
            one_line(e.name) + _stage(e),
            str(counts.get(e.experiment_id, 0)),
            output.age(e.creation_time),
        ]
        for e in found
    ]
    app.out.text(output.table(["id", "name", "runs", "created"], rows, right=(0, 2)))


def _stage(experiment: Experiment) -> str:
    return " (deleted)" if experiment.lifecycle_stage == LifecycleStage.DELETED else ""


@experiments.command()
@click.argument("name", required=False)
@click.option("-n", "--experiment-name", metavar="NAME", help="The name, as MLflow has it.")
@click.option("-l", "--artifact-location", metavar="URI", help="Recorded as where artifacts are.")
@click.pass_obj
def create(
    app: App, name: str | None, experiment_name: str | None, artifact_location: str | None
) -> None:
    """Make an experiment. With mlgit --quiet only its id is printed."""
    chosen = one_of(name, experiment_name, "NAME")
    made = app.store().experiments.create(chosen, artifact_location)
    app.out.text(
        made if app.out.quiet else f"Created experiment '{one_line(chosen)}' with id {made}"
    )


@experiments.command()
@click.argument("experiment", metavar="EXPERIMENT")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def show(app: App, experiment: str, as_json: bool) -> None:
    """Show an experiment."""
    found = app.experiment(experiment)
    count = app.open().index.run_counts().get(found.experiment_id, 0)
    if as_json:
        app.out.json(experiment_json(found, count))
        return
    facts = [
        ("id", found.experiment_id),
        ("stage", found.lifecycle_stage),
        ("artifacts", found.artifact_location),
        ("created", str(output.iso(found.creation_time) or "")),
        ("changed", str(output.iso(found.last_update_time) or "")),
        ("runs", str(count)),
        *((f"tag {key}", value) for key, value in sorted(found.tags.items())),
    ]
    wide = max(len(one_line(name)) for name, _ in facts)
    lines = [f"  {one_line(name):<{wide}}  {one_line(value)}" for name, value in facts if value]
    app.out.text("\n".join([app.out.style(one_line(found.name), bold=True), *lines]))


@experiments.command()
@click.argument("given", metavar="EXPERIMENT NAME", nargs=-1)
@click.option("-x", "--experiment-id", metavar="ID", help="The experiment, as MLflow has it.")
@click.option("--new-name", metavar="NAME", help="Its new name, as MLflow has it.")
@click.pass_obj
def rename(
    app: App, given: tuple[str, ...], experiment_id: str | None, new_name: str | None
) -> None:
    """Give an experiment another name; its id stays.

    Either EXPERIMENT and NAME are given, or --experiment-id and --new-name.
    """
    wanted = 2 - bool(experiment_id) - bool(new_name)
    if len(given) != wanted:
        raise click.UsageError("Give the experiment and its new name")
    rest = list(given)
    found = app.experiment(experiment_id or rest.pop(0), by_id=bool(experiment_id))
    name = new_name or rest.pop(0)
    app.open().experiments.rename(found.experiment_id, name)
    app.out.say(f"Renamed experiment {found.experiment_id} to {one_line(name)}")


@experiments.command()
@click.argument("experiment", metavar="[EXPERIMENT]", required=False)
@click.option("-x", "--experiment-id", metavar="ID", help="The experiment, as MLflow has it.")
@click.pass_obj
def delete(app: App, experiment: str | None, experiment_id: str | None) -> None:
    """Delete an experiment; mlgit experiments restore brings it back."""
    _set_stage(app, experiment, experiment_id, LifecycleStage.DELETED)


@experiments.command()
@click.argument("experiment", metavar="[EXPERIMENT]", required=False)
@click.option("-x", "--experiment-id", metavar="ID", help="The experiment, as MLflow has it.")
@click.pass_obj
def restore(app: App, experiment: str | None, experiment_id: str | None) -> None:
    """Bring a deleted experiment back."""
    _set_stage(app, experiment, experiment_id, LifecycleStage.ACTIVE)


def _set_stage(app: App, given: str | None, option: str | None, stage: str) -> None:
    found = app.experiment(one_of(given, option, "EXPERIMENT"), by_id=bool(option))
    shown = f"{found.experiment_id} {one_line(found.name)}"
    if found.lifecycle_stage == stage:
        app.out.say(f"Experiment {shown} is {stage} already")
        return
    app.open().experiments.set_stage(found.experiment_id, stage)
    done = "Deleted" if stage == LifecycleStage.DELETED else "Restored"
    app.out.say(f"{done} experiment {shown}")
