"""One version of a registered model: what it is, where it comes from, and who vouches for it."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, field
from typing import NamedTuple

from flask import Blueprint, render_template, url_for
from flask.typing import ResponseReturnValue

from mlgit.entities.model_registry import ModelVersion
from mlgit.exceptions import MlgitException, ResourceDoesNotExist
from mlgit.git import signing
from mlgit.git.secrets import mask_url
from mlgit.models import uris
from mlgit.models.listing import Description, describe_version, is_here
from mlgit.models.shown import flavor_rows, param_rows, schema_rows
from mlgit.registry import trust
from mlgit.registry.history import Change
from mlgit.registry.lineage import Lineage, runs_of
from mlgit.registry.registry import Registry
from mlgit.registry.sources import place_of
from mlgit.registry.state import ModelState
from mlgit.registry.targets import Target, targets_of
from mlgit.server.lineage import draw
from mlgit.server.markdown import to_html
from mlgit.server.model import checked, shown_tags
from mlgit.server.registered import registry
from mlgit.server.site import store
from mlgit.server.table import SYSTEM

pages = Blueprint("version", __name__)
_MOST_CHECKED = 12
_FILES = 500
_METRICS = 20


@dataclass(frozen=True)
class Vouched:
    """A tag that a version rests on, and what is to be said of its signature.

    Attributes:
        change: What the tag did.
        kind: "ssh", "openpgp" or "x509"; "" where it isn't signed.
        good: Whether the signature counts.
        signer: Whose it is, where that is known.
        problem: Why it doesn't count, or can't be checked.
    """

    change: Change
    kind: str
    good: bool
    signer: str
    problem: str


class Rival(NamedTuple):
    """Another version: what it holds, its number, and its URI."""

    name: str
    number: int
    uri: str


@dataclass
class Contents:
    """What a version's folder says, or why that isn't known here.

    Attributes:
        uri: Where the folder is, as it may be shown.
        found: What it says; None where it can't be read from here.
        path: Where it is in its run.
        problem, hint: Why it can't, and what to do.
    """

    uri: str
    found: Description | None = None
    path: str = ""
    problem: str = ""
    hint: str = ""
    inputs: list[list[str]] = field(default_factory=list)
    outputs: list[list[str]] = field(default_factory=list)
    params: list[list[str]] = field(default_factory=list)
    flavors: list[list[str]] = field(default_factory=list)


@pages.get("/models/<model:name>/versions/<number>")
def index(name: str, number: str) -> ResponseReturnValue:
    """A version of a model."""
    models = registry()
    version = version_of(models, name, number)
    state = models.state(name)
    own = [c for c in models.changes(name) if c.version == version.version]
    held = targets_of(state, version.version)
    lineage, problem = _lineage(models, version)
    run = runs_of(store(), [version.run_id]).get(version.run_id or "")
    metrics = sorted(run.data.metrics.items()) if run else []
    metrics = [found for found in metrics if not found[0].startswith(SYSTEM)]
    return render_template(
        "models/version.html",
        name=name,
        this=version,
        tags=shown_tags(version),
        about=to_html(version.description or ""),
        held=held,
        targets=targets_to_offer(state, held),
        run=run,
        metrics=metrics[:_METRICS],
        more_metrics=len(metrics[_METRICS:]),
        rivals=_rivals(state, version),
        source=mask_url(version.source) if version.source else "",
        run_link=mask_url(version.run_link) if version.run_link else "",
        registered=next((c for c in own if c.event == "register"), None),
        changes=own[::-1],
        checked=checked,
        vouched=_vouched(models, state, version, own),
        lineage=lineage,
        lineage_problem=problem,
        drawing=draw(lineage, [str(target) for target in held]),
        contents=contents_of(models, version),
        uri=uri_of(name, version.version),
        load=f"mlgit.pyfunc.load_model({uri_of(name, version.version)!r})",
        files_shown=_FILES,
    )


def version_of(models: Registry, name: str, number: str) -> ModelVersion:
    """The version that an address names.

    Raises:
        ResourceDoesNotExist: There is none.
    """
    models.key(name)  # tells of a model that isn't there
    if not re.fullmatch(r"[0-9]{1,15}", number):
        raise ResourceDoesNotExist(
            f"{number[:40]!r} isn't the number of a version of {name}",
            hint=f"{url_for('model.index', name=name)} lists them",
        )
    return models.version(name, int(number))


def uri_of(name: str, number: int) -> str:
    """The URI that programs and commands load a version by."""
    return f"models:/{name.replace('%', '%25')}/{number}"


def targets_to_offer(state: ModelState, held: list[Target]) -> list[Target]:
    """What a version may be promoted to, of what has a name already."""
    stages = [Target(name, True) for name in ("Production", "Staging", "Archived")]
    aliases = [Target(name, False) for name in sorted(state.aliases)]
    return [target for target in stages + aliases if target not in held]


def _rivals(state: ModelState, version: ModelVersion) -> list[Rival]:
    """The versions that it would push out: those in production and staging."""
    found = []
    for name in ("Production", "Staging"):
        held = Target(name, True).held(state)
        if held is not None and held[0] != version.version:
            found.append(Rival(name, held[0], uri_of(version.name, held[0])))
    return found


def _lineage(models: Registry, version: ModelVersion) -> tuple[Lineage, str]:
    """Where it comes from, as far as that is here; and what is wrong."""
    try:
        return models.lineage(version.name, version.version), ""
    except MlgitException as error:
        return Lineage(version, version.run_id), error.message


# -- signatures


def _vouched(
    models: Registry, state: ModelState, version: ModelVersion, own: list[Change]
) -> list[Vouched]:
    """What is to be said of the tags by which a version is what it is."""
    number = version.version
    meant = state.versions[number]
    by_tag = {change.tag: change for change in own}
    found = []
    try:
        report = trust.examine(models, version.name, number)
        found = [_said(by_tag[t.event.tag], t.verification, report.problem) for t in report.tags]
    except (MlgitException, KeyError) as error:
        if meant.event.tag in by_tag:
            found.append(_unchecked(by_tag[meant.event.tag], error))
    events = list(meant.stages.values())
    events += [held[number] for held in state.aliases.values() if number in held]
    for event in events[:_MOST_CHECKED]:
        change = by_tag.get(event.tag)
        if change is None:
            continue
        try:
            seen = signing.verify_tag(models.store.repo, event.sha, event.tag)
            found.append(_said(change, seen))
        except MlgitException as error:
            found.append(_unchecked(change, error))
    return found


def _said(change: Change, seen: signing.Verification, more: str = "") -> Vouched:
    if not seen.kind:
        return Vouched(change, "", False, "", "")
    good, problem = seen.good and not more, seen.problem or more
    return Vouched(change, seen.kind, good, seen.signer or seen.key, problem)


def _unchecked(change: Change, error: Exception) -> Vouched:
    kind = "signed" if change.signed else ""
    return Vouched(change, kind, False, "", f"not checked: {getattr(error, 'message', error)}")


# -- the folder


def contents_of(models: Registry, version: ModelVersion) -> Contents:
    """What a version's folder says. Nothing is fetched, and no folder outside of runs is read.

    A tag names any path or URL that whoever pushed it liked; only runs' artifacts are ours to show.
    """
    try:
        place = place_of(models, version)
        meant = uris.parse(place.location) if place.location else None
    except MlgitException as error:
        return Contents("", problem=error.message, hint=error.hint)
    made = Contents(mask_url(place.location))
    if meant is None:
        made.problem = "It has no source: there are no files"
        return made
    if not isinstance(meant, uris.RunUri):
        made.problem = "Its files aren't a run's, so they aren't looked at from here"
        made.hint = f"mlgit models show {shlex.quote(made.uri)}"
        return made
    if not is_here(store(), meant.run_id, meant.path, place.commit):
        made.problem = "Its files aren't in this clone, or were removed"
        made.hint = f"mlgit artifacts download {meant.run_id} {shlex.quote(meant.path)}"
        return made
    try:
        made.found = describe_version(place, store())
    except MlgitException as error:
        made.problem, made.hint = error.message, error.hint
        return made
    made.path = meant.path
    model = made.found.model
    made.flavors = flavor_rows(model)
    if model.signature is not None:
        made.inputs = schema_rows(model.signature.inputs, 500)
        made.outputs = schema_rows(model.signature.outputs, 500)
        made.params = param_rows(model.signature.params)
    return made
