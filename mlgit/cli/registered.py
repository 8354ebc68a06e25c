"""``mlgit models``, the part about registered models: history, register, delete, list, show."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING

import click

from mlgit.cli import pushing, registereddata
from mlgit.cli.context import MODEL, App
from mlgit.cli.output import one_line, plural
from mlgit.exceptions import InvalidParameterValue, MlgitException

if TYPE_CHECKING:
    from mlgit.entities.model_registry import ModelVersion
    from mlgit.models.mlmodel import Model
    from mlgit.registry.registry import Registry

_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.command()
@click.argument("name", type=MODEL)
@click.option("--texts", is_flag=True, help="Changes of descriptions, tags and names, too.")
@click.option("-n", "--max-results", "limit", metavar="N", type=click.IntRange(min=1),
              help="Only the newest N changes.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array of changes.")
@click.option("--md", "as_markdown", is_flag=True, help="Print a table in Markdown.")
@click.pass_obj
def history(
    app: App, name: str, texts: bool, limit: int | None, as_json: bool, as_markdown: bool
) -> None:
    """Tell what happened to a registered model, the newest first.

    When, who, what (from which version to which), why, what was checked before a promotion,
    and the tag that says so. A model that was deleted has its history still.
    """
    found = app.registry().changes(name, texts)[::-1][:limit]
    if as_json:
        app.out.json([registereddata.change_json(change) for change in found])
    elif not found:
        app.out.note("Nothing happened yet")
    else:
        app.out.text(registereddata.history_table(found, app.out, md=as_markdown))


def list_registered(
    app: App, filter_string: str, limit: int | None, as_json: bool, as_markdown: bool
) -> None:
    """Print the registered models, as ``mlgit models list`` does."""
    wanted = None if limit is None else limit + 1
    models = app.registry().listed(filter_string, wanted)
    found = models[:limit]
    if as_json:
        app.out.json([registereddata.listed_json(model) for model in found])
    elif not found and filter_string.strip():
        app.out.note("No registered models")
    elif not found:
        app.out.note("No registered models; mlgit models list --logged lists what runs have logged")
    else:
        app.out.text(registereddata.listed_table(found, app.out, md=as_markdown))


def names_registered(registry: Registry, text: str) -> bool:
    """Whether a person's text names a registered model: NAME, NAME@VERSION, or one of its tags."""
    if registry.has(text) or ("@" in text and registry.has(text.rpartition("@")[0])):
        return True
    from mlgit.registry.sources import version_of_tag

    return version_of_tag(registry, text) is not None


def show_registered(app: App, registry: Registry, text: str, as_json: bool) -> None:
    """Print a registered model or a version of one, as ``mlgit models show`` does."""
    from mlgit.registry.lineage import runs_of

    if registry.has(text):
        model = registry.model(text)
        quoted = text.replace("'", "''")
        versions = list(
            registry.search_versions(f"name = '{quoted}'", order_by=["version_number DESC"])
        )
        runs = runs_of(registry.store, (version.run_id for version in versions))
        if as_json:
            app.out.json(registereddata.model_json(model, versions, runs))
        else:
            app.out.text(registereddata.model_text(model, versions, runs, app.out))
        return
    from mlgit.registry.sources import version_meant

    version = version_meant(registry, text)
    made = [c for c in registry.changes(version.name) if c.version == version.version]
    registered = next((c for c in made if c.event == "register"), None)
    lineage = registry.lineage(version.name, version.version)
    logged = _mlmodel(app, registry, version)
    run = runs_of(registry.store, [version.run_id]).get(version.run_id or "")
    if as_json:
        app.out.json(registereddata.version_json(version, registered, lineage, logged, run))
    else:
        text = registereddata.version_text(version, registered, lineage, logged, run, app.out)
        app.out.text(text)


def _mlmodel(app: App, registry: Registry, version: ModelVersion) -> Model | None:
    """What a version's folder says of itself; None where it can't be read from here."""
    from mlgit.models import uris
    from mlgit.models.mlmodel import Model
    from mlgit.models.sources import source_at
    from mlgit.registry.sources import place_of

    place = place_of(registry, version)
    try:
        if isinstance(uris.parse(place.location), uris.RemoteUri):
            return None  # whoever asks for it may be asked for a password, and wait
        data = source_at(place, app.open()).read("MLmodel")
        return Model.from_bytes(data, f"MLmodel of {place.location}")
    except MlgitException as error:
        app.out.note(f"What it takes and gives isn't known: {one_line(error.message)}")
        return None


@click.command()
@click.argument("source", metavar="SOURCE", type=MODEL)
@click.argument("name", type=MODEL)
@click.option("--description", metavar="TEXT", help="What is to be known of the version.")
@click.option(
    "--tag", "tags", metavar="KEY=VALUE", multiple=True, help="A tag of it; may be repeated."
)
@click.option("--sign", is_flag=True, help="Sign the version's tag, as git tag -s does.")
@_JSON
@pushing.push_options
@click.pass_obj
def register(
    app: App,
    source: str,
    name: str,
    description: str | None,
    tags: tuple[str, ...],
    sign: bool,
    as_json: bool,
    push: str | None,
    no_renumber: bool,
) -> None:
    """Make a model the next version of a registered one, which is made where there is none.

    SOURCE is RUN where that run has one model, RUN:PATH, a URI, a folder, or NAME@VERSION of
    a registered model.
    """
    from mlgit.cli.models import meant, pairs
    from mlgit.models.mlmodel import Model
    from mlgit.registry import checks
    from mlgit.tracking import registered

    pushed = pushing.asked(push, no_renumber)
    checks.model_name(name)
    registry, (uri, _) = app.registry(), meant(app, source)
    run_id = Model.load(uri).run_id
    made = registered.register(registry, name, uri, run_id, pairs(tags, "--tag"), description, sign)
    tag = registry.changes(name)[-1].tag
    if as_json:
        told = pushed.written(app, [name], sign=sign)
        for again in told.get("pushed", {}).get("renumbered", []):
            if (again["model"], again["from"]) == (name, made.version):
                made = registry.version(name, again["to"])
                changes = [c for c in registry.changes(name) if c.version == made.version]
                tag = changes[0].tag
        app.out.json({"name": made.name, **registereddata.version_facts(made), "tag": tag, **told})
    else:
        app.out.say(f"Registered version {made.version} of {one_line(made.name)}: tag {tag}")
        pushed.written(app, [name], sign=sign)


@click.command()
@click.argument("model", metavar="NAME[@VERSION]", type=MODEL)
@click.option("--reason", metavar="TEXT", help="Why; the history tells it.")
@click.option("-y", "--yes", is_flag=True, help="Don't ask.")
@pushing.push_options
@click.pass_obj
def delete(
    app: App, model: str, reason: str | None, yes: bool, push: str | None, no_renumber: bool
) -> None:
    """Delete a registered model, or one version of it.

    Its tags stay, and its history tells of it; a version's number isn't used again. Runs and
    artifacts aren't touched.
    """
    pushed = pushing.asked(push, no_renumber)
    registry = app.registry()
    name, number = _which(registry, model)
    if number is None:
        count = sum(found.count for found in registry.listed() if found.name == name)
        what = f"{one_line(name)} and its {plural(count, 'version')}"
        held = [f"{alias} (v{n})" for alias, n in registry.model(name).aliases.items()]
    else:
        version = registry.version(name, number)
        what = f"version {version.version} of {one_line(name)}"
        stages = [version.current_stage] if version.current_stage not in (None, "None") else []
        held = [*version.aliases, *stages]
    if not yes:
        _ask(f"Delete {what}" + (f", which is {', '.join(map(one_line, held))}" if held else ""))
    if number is None:
        registry.delete_model(name, reason)
    else:
        registry.delete_version(name, number, reason)
    app.out.say(f"Deleted {what}")
    pushed.written(app, [name])


def _which(registry: Registry, text: str) -> tuple[str, int | None]:
    """The model, and the version where one is named."""
    name, at, which = text.rpartition("@")
    if not at or registry.has(text):
        registry.key(text)  # tells of a model that isn't there
        return text, None
    number = re.match(r"^v?([0-9]{1,18})\Z", which)
    if number is None:
        registry.key(name)
        raise InvalidParameterValue(
            f"{which!r} isn't the number of a version",
            hint=f"mlgit models show '{name}' lists the versions; an alias or stage is given up by "
            "mlgit demote",
        )
    return name, int(number[1])


def _ask(question: str) -> None:
    """Go on if a person says yes.

    Raises:
        UsageError: Nobody can be asked.
        Abort: The person says no.
    """
    try:
        agreed = click.confirm(f"{question}?", err=True)
    except click.Abort:
        if sys.stdin.isatty():
            raise  # Ctrl-C
        raise click.UsageError("This asks first, and nobody answers: give --yes") from None
    if not agreed:
        raise click.Abort
