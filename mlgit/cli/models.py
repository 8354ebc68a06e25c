"""``mlgit models``: listing, showing, trying and running models; ``registered.py`` has the rest."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from mlgit.cli import errors, modelsverify, output, registered
from mlgit.cli.context import MODEL, App
from mlgit.cli.diff import Shown, options, show_sides
from mlgit.cli.lazy import Group
from mlgit.cli.modeldata import listed_json, listed_text, model_json, model_text, trial_text
from mlgit.cli.output import one_line
from mlgit.cli.rundata import find_runs
from mlgit.exceptions import ResourceDoesNotExist

if TYPE_CHECKING:
    from mlgit.store.gitstore import GitStore

_LIMIT = 20
_MANAGERS = click.Choice(["local", "uv", "virtualenv", "conda"])


@click.group(cls=Group)
def models() -> None:
    """List, show, register, try and run models.

    A registered model is NAME; a version of it is NAME@v3, or NAME@ALIAS, NAME@STAGE and
    NAME@latest, or a tag that is about it. A model is also given by the URI that loads it (runs:/ID/PATH, models:/NAME/1,
    mlgit:/BRANCH/PATH, a folder), as RUN:PATH, or as RUN where that run has one model.
    """


for _command in (
    registered.history,
    registered.register,
    registered.delete,
    modelsverify.verify,
):
    models.add_command(_command)


@models.command("list")
@click.option("--logged", is_flag=True, help="List what runs have logged, newest runs first.")
@click.option(
    "-e",
    "--experiment",
    "experiments",
    metavar="NAME|ID",
    multiple=True,
    help="Only what this experiment's runs have logged; may be repeated.",
)
@click.option(
    "--filter",
    "filter_string",
    metavar="FILTER",
    default="",
    help="Such as \"name LIKE 'fraud%' AND tags.team = 'risk'\"; with --logged of runs, as in log.",
)
@click.option(
    "-n",
    "--max-results",
    "limit",
    metavar="N",
    type=click.IntRange(min=1),
    help=f"How many models to list; with --logged {_LIMIT} unless --all is given.",
)
@click.option("--all", "everything", is_flag=True, help="List all models.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array of models.")
@click.option("--md", "as_markdown", is_flag=True, help="Print a table in Markdown.")
@click.pass_obj
def list_models(
    app: App,
    logged: bool,
    experiments: tuple[str, ...],
    filter_string: str,
    limit: int | None,
    everything: bool,
    as_json: bool,
    as_markdown: bool,
) -> None:
    """List the registered models: versions, stages and aliases, and when they changed.

    With --logged or --experiment it lists the models that runs have logged, instead.
    """
    if everything and limit:
        raise click.UsageError("Give either --all or -n")
    if not logged and not experiments:
        registered.list_registered(app, filter_string, limit, as_json, as_markdown)
        return
    if as_markdown:
        raise click.UsageError("--md is for registered models")
    _list_logged(app, experiments, filter_string, limit, everything, as_json)


def _list_logged(
    app: App,
    experiments: tuple[str, ...],
    filter_string: str,
    limit: int | None,
    everything: bool,
    as_json: bool,
) -> None:
    from mlgit.models import listing

    store = app.store()
    ids = [app.experiment(text).experiment_id for text in experiments] or None
    wanted = None if everything else limit or _LIMIT
    where = listing.HAS_MODELS
    if filter_string.strip():
        from mlgit.store.filters import parse_filter

        parse_filter(filter_string)  # so that an error shows what was typed
        where = f"({filter_string}) AND {where}"
    # A run has a model at least, but one more run tells whether there are more.
    runs = find_runs(
        store, None if wanted is None else wanted + 1, experiment_ids=ids, filter_string=where
    )
    found = [model for run in runs for model in listing.models_of(run)]
    shown = found[:wanted]
    if wanted is not None and len(found) > wanted and limit is None:
        app.out.note(f"These are the first {wanted} models; -n N lists more")
    names = store.index.experiment_names()
    rows = [(m, listing.size_of(store, m), listing.mlmodel_of(store, m)) for m in shown]
    if as_json:
        app.out.json([listed_json(*row, names) for row in rows])
        return
    if not rows:
        app.out.note("No models")
        return
    app.out.text(listed_text(rows, app.out))


@models.command()
@click.argument("model", metavar="MODEL", type=MODEL)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def show(app: App, model: str, as_json: bool) -> None:
    """Show a registered model, a version of one, or a model's folder.

    NAME shows its versions; NAME@v3, NAME@ALIAS, NAME@STAGE and a tag show where the version comes
    from, and what it takes and gives. Anything else (a URI, a folder, RUN:PATH, RUN) shows
    flavors, signature, requirements, example and files.
    """
    from mlgit.models.listing import describe, names_a_run

    if names_a_run(model):
        registry = app.registry()
        if registered.names_registered(registry, model):
            registered.show_registered(app, registry, model, as_json)
            return
    uri, store = meant(app, model)
    found = describe(uri, store)
    if as_json:
        app.out.json(model_json(found))
    else:
        app.out.text(model_text(found, app.out))


@models.command()
@click.argument("old", metavar="NAME@VERSION")
@click.argument("new", metavar="NAME@VERSION")
@options
@click.pass_obj
def diff(app: App, /, old: str, new: str, **asked: bool) -> int:
    """Compare two versions of registered models, and the runs that made them.

    A version is NAME@v3, NAME@ALIAS, NAME@production or NAME, which is its latest. The models come
    first (signature, flavors, requirements), then what 'mlgit diff' shows of their runs: metrics,
    params, artifacts, environment, data and code. With options for sections, these alone.
    """
    from mlgit.review.revisions import resolve_version

    how, store = Shown.asked(asked), app.store()
    sides = resolve_version(store, old), resolve_version(store, new)
    return errors.FOUND if show_sides(app, sides, how) and asked["exit_code"] else errors.OK


@models.command("load-check")
@click.argument("model", metavar="MODEL", type=MODEL)
@click.option(
    "--env-manager",
    type=_MANAGERS,
    help="What builds the environment; uv where it is installed, else virtualenv.",
)
@click.option("--install-mlflow", is_flag=True, help="Install MLflow into it, too.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def load_check(
    app: App, model: str, env_manager: str | None, install_mlflow: bool, as_json: bool
) -> int:
    """Try a model in a fresh environment, made of what it says that it needs.

    It is loaded in a process of its own, predicts on its input example, and what it gives is
    held against its signature. The exit code is 1 where something is wrong.
    """
    from mlgit.models.child import Surroundings, try_in_child
    from mlgit.models.environments import default_manager

    uri, store = meant(app, model)
    around = Surroundings(env_manager or default_manager(), install_mlflow, say=_building(app))
    trial = try_in_child(uri, around, store=store)
    if as_json:
        from dataclasses import asdict

        app.out.json({"model_uri": uri, "ok": trial.ok, "steps": asdict(trial)["steps"]})
    else:
        app.out.text(trial_text(trial, app.out))
    return errors.OK if trial.ok else errors.FOUND


@models.command()
@click.argument("model", metavar="[MODEL]", type=MODEL, required=False)
@click.option("-m", "--model-uri", metavar="URI", help="The model, as MLflow has it.")
@click.option(
    "-i", "--input-path", metavar="FILE", help="The input; standard input where it is - or none."
)
@click.option(
    "-o", "--output-path", metavar="FILE", help="The predictions; standard output where none."
)
@click.option(
    "-t",
    "--content-type",
    metavar="TYPE",
    help="Of the input: csv, json, jsonl or parquet; by its name where none is given, else json.",
)
@click.option(
    "--output-type",
    metavar="TYPE",
    help="Of the predictions; by their file's name where none is given, else json.",
)
@click.option(
    "--env-manager",
    type=_MANAGERS,
    default="local",
    help="What builds an environment for the model; local (the default) uses this one.",
)
@click.option("--params", metavar="JSON", help="Params of the predictions, a JSON object.")
@click.option(
    "--batch-size",
    metavar="N",
    type=click.IntRange(min=1),
    help="Predict on N rows at once; 10000 by default, a JSON document as a whole.",
)
@click.option("--install-mlflow", is_flag=True, help="Install MLflow into the environment, too.")
@click.option(
    "-r",
    "--pip-requirements-override",
    metavar="LIST",
    help="Requirements, separated by commas, that count before the model's.",
)
@click.option("--env", metavar="KEY=VALUE", multiple=True, help="Set a variable for the model.")
@click.pass_obj
def predict(app: App, /, model: str | None, model_uri: str | None, **options: Any) -> None:
    """Predict on a file, batch by batch: CSV, JSON, JSON lines or Parquet.

    The output appears when it is complete, or not at all.
    """
    from mlgit.cli.context import one_of

    uri, store = meant(app, one_of(model, model_uri, "--model-uri"))
    manager = options["env_manager"]
    variables = pairs(options["env"])
    override = [p.strip() for p in (options["pip_requirements_override"] or "").split(",") if p]
    if manager == "local" and (variables or override):
        raise click.UsageError(
            "--env and --pip-requirements-override need an --env-manager that isn't local"
        )
    from mlgit.models.running import Task, predict_task

    task = Task(
        uri,
        _unless_dash(options["input_path"]),
        _unless_dash(options["output_path"]),
        options["content_type"],
        options["output_type"],
        options["batch_size"],
        _params(options["params"]),
    ).checked()
    if task.input_path is None and sys.stdin.isatty():
        app.out.note(f"Reading {task.content_type} from the terminal; Ctrl-D ends it")
    if manager == "local":
        count = predict_task(task, store=store)
    else:
        from mlgit.models.child import Surroundings, predict_in_child

        around = Surroundings(
            manager, options["install_mlflow"], override, variables, _building(app)
        )
        count = predict_in_child(task, around, store=store)
    if task.output_path is None and task.output_type == "json" and count:
        app.out.text("")  # what follows on a terminal begins a line
    if task.output_path is not None:
        app.out.note(f"Predicted on {output.plural(count, 'row')}: {one_line(task.output_path)}")


def meant(app: App, text: str) -> tuple[str, GitStore | None]:
    """The URI that a person means, and the store of runs where it names one."""
    from mlgit.models import listing

    if app.tracking_uri:
        from mlgit.tracking import uri

        uri.set_tracking_uri(app.tracking_uri)  # for revisions, the registry and settings
    if listing.names_a_run(text):
        uri_of_version = _version_uri(app, text)
        if uri_of_version is not None:
            return uri_of_version, None
        run, colon, path = text.rpartition(":") if ":" in text else (text, "", "")
        store = app.store()
        try:
            run_id = app.run_id(run)
        except ResourceDoesNotExist as error:
            raise (error if colon else _no_model(app, text)) from error
        return listing.uri_of(store, run_id, path.strip("/")), store
    return text, app.store() if text.startswith(("runs:", "mlgit-artifacts:")) else None


def _no_model(app: App, text: str) -> ResourceDoesNotExist:
    from difflib import get_close_matches

    names = [model.name for model in app.registry().listed()]
    close = get_close_matches(text.partition("@")[0], names, 1)
    return ResourceDoesNotExist(
        f"No registered model and no run is called {text!r}",
        hint=f"did you mean {close[0]!r}?"
        if close
        else "mlgit models list lists the models, mlgit log the runs",
    )


def _version_uri(app: App, text: str) -> str | None:
    """The URI of the version that NAME@VERSION names; None where no registered model is meant."""
    if not ("@" in text or "#" in text) or text.startswith("@{"):
        return None
    registry = app.registry()
    if registry.has(text) or not registered.names_registered(registry, text):
        return None
    from urllib.parse import quote

    from mlgit.registry.sources import version_meant

    version = version_meant(registry, text)
    return f"models:/{quote(version.name, safe='')}/{version.version}"


def _building(app: App) -> Any:
    return lambda text: app.out.note(one_line(text))


def _unless_dash(path: str | None) -> str | None:
    return None if path in (None, "", "-") else path


def _params(text: str | None) -> dict[str, Any] | None:
    import json

    if text is None:
        return None
    try:
        found = json.loads(text)
    except ValueError as error:
        raise click.BadParameter(f"it isn't JSON: {error}", param_hint="'--params'") from error
    if not isinstance(found, dict):
        raise click.BadParameter("it isn't a JSON object", param_hint="'--params'")
    return found


def pairs(given: tuple[str, ...], option: str = "--env") -> dict[str, str]:
    """What a repeated option of the form KEY=VALUE says."""
    found = {}
    for text in given:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise click.BadParameter(f"'{text}' isn't KEY=VALUE", param_hint=f"'{option}'")
        found[key] = value
    return found
