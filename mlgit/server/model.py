"""One registered model: who holds what, its versions, and what happened to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from flask import Blueprint, current_app, render_template, request, url_for
from flask.typing import ResponseReturnValue

from mlgit.entities.model_registry import ModelVersion, RegisteredModel
from mlgit.exceptions import MlgitException
from mlgit.models import uris
from mlgit.models.listing import mlmodel_entry
from mlgit.models.mlmodel import Model
from mlgit.models.shown import short_signature
from mlgit.registry import rows
from mlgit.registry.guards import entry_text
from mlgit.registry.history import Change
from mlgit.registry.lineage import runs_of
from mlgit.registry.registry import Registry
from mlgit.registry.sources import place_of
from mlgit.registry.state import ModelState
from mlgit.registry.targets import ARCHIVED, Target, held_before, targets_of
from mlgit.server.markdown import to_html
from mlgit.server.registered import registry
from mlgit.server.site import store
from mlgit.server.table import number_in

pages = Blueprint("model", __name__)
VERSIONS = 25
_CHANGES = 50
_MOST_CHANGES = 2000
# An MLmodel takes milliseconds to parse, and never changes.
_REMEMBERED = "mlgit.signatures"
_MOST_REMEMBERED = 10_000


@dataclass(frozen=True)
class Held:
    """Who holds a stage or an alias.

    Attributes:
        target: The stage or alias.
        number: The version; of a stage that several have, one of them.
        change: What gave it, or None where that can't be told.
        back: The version that a rollback of the target goes to; None where there is none, or
            where it isn't this version that it takes the target from.
    """

    target: Target
    number: int
    change: Change | None
    back: int | None


@pages.get("/models/<model:name>")
def index(name: str) -> ResponseReturnValue:
    """A model; of a deleted one what happened to it."""
    models = registry()
    texts = request.args.get("texts") == "1"
    changes = models.changes(name, texts)
    if not models.has(name):
        if not changes:
            models.key(name)  # tells that there is none
        return render_template(
            "models/deleted.html", name=name, changes=changes[::-1][:_MOST_CHANGES], checked=checked
        )
    page = number_in(request.args.get("page"), 1)
    everything = request.args.get("history") == "all"
    found, state = models.model(name), models.state(name)
    versions = _versions(models, name, page)
    shown = changes[::-1][: _MOST_CHANGES if everything else _CHANGES]
    return render_template(
        "models/model.html",
        name=name,
        model=found,
        key=state.key,
        count=len(state.versions),
        held=held(models, state, changes),
        versions=versions,
        runs=runs_of(store(), [version.run_id for version in versions]),
        signatures={v.version: signature_of(models, v) for v in versions},
        registered={c.version: c for c in changes if c.event == "register"},
        changes=shown,
        older=len(changes) - len(shown),
        checked=checked,
        texts=texts,
        page=page,
        more=len(state.versions) > page * VERSIONS,
        url=lambda **changed: _url(name, {"texts": texts, "page": page}, changed),
        left_out=_left_out(models, state.key),
        tags=shown_tags(found),
        about=to_html(found.description or ""),
    )


def _url(name: str, now: dict[str, Any], changed: dict[str, Any]) -> str:
    asked = {**now, **changed}
    return url_for(
        "model.index",
        name=name,
        texts="1" if asked.get("texts") else None,
        history=asked.get("history"),
        page=asked["page"] if asked["page"] > 1 else None,
        _anchor=asked.get("anchor"),
    )


def _versions(models: Registry, name: str, page: int) -> list[ModelVersion]:
    """One page of a model's versions, the newest first."""
    key, start = models.key(name), (page - 1) * VERSIONS
    where = "model=? ORDER BY version_number DESC LIMIT ? OFFSET ?"
    return models.index.ask(lambda c: rows.versions(c, where, (key, VERSIONS, start)))


def shown_tags(found: RegisteredModel | ModelVersion) -> list[tuple[str, str]]:
    """The tags of a model or a version, sorted."""
    return sorted(found.tags.items())


def held(models: Registry, state: ModelState, changes: Sequence[Change]) -> list[Held]:
    """Who holds what, stages first, and what gave it."""
    by_tag = {change.tag: change for change in changes if change.tag}
    events = models.history(state.name)
    found = []
    for number in sorted(state.versions, reverse=True):
        for target in targets_of(state, number):
            version = state.versions[number]
            given = (
                version.stages[target.name]
                if target.is_stage
                else state.aliases[target.name][number]
            )
            holder = target.held(state)
            before = held_before(events, state, target)
            is_holder = holder is not None and holder[0] == number
            back = before[0] if before and is_holder and target != ARCHIVED else None
            found.append(Held(target, number, by_tag.get(given.tag), back))
    order = ("Production", "Staging", "Archived")
    found.sort(
        key=lambda row: (
            not row.target.is_stage,
            order.index(row.target.name) if row.target.is_stage else 0,
            row.target.name,
        )
    )
    return found


def checked(change: Change) -> list[tuple[str, str]]:
    """What was checked for a change, as its tag says it: (what was asked, the figures)."""
    return [entry_text(guard) for guard in change.guards]


# -- signatures of models


def signature_of(models: Registry, version: ModelVersion) -> str:
    """What a version takes and gives, on one line; "" where that isn't known here."""
    try:
        place = place_of(models, version)
        meant = uris.parse(place.location)
    except MlgitException:
        return ""
    if not isinstance(meant, uris.RunUri):
        return ""
    entry = mlmodel_entry(store(), meant.run_id, meant.path, place.commit)
    if entry is None:
        return ""
    known: dict[str, str] = current_app.extensions.setdefault(_REMEMBERED, {})
    if entry.sha256 not in known:
        if len(known) >= _MOST_REMEMBERED:
            known.clear()
        try:
            read = Model.from_bytes(store().objects.read(entry.sha256))
            known[entry.sha256] = short_signature(read)
        except MlgitException:
            known[entry.sha256] = ""
    return known[entry.sha256]


def _left_out(models: Registry, key: str) -> list[tuple[str, str]]:
    """The tags of this model that were left out, and why."""
    begins = tuple(f"refs/tags/{key}{mark}" for mark in "@#")
    bare = tuple(begin.removeprefix("refs/tags/") for begin in begins)
    return [pair for pair in models.problems() if pair[0].startswith((*begins, *bare))]
