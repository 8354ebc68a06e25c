"""Promoting, demoting and rolling back: first what would come of it, then, by a form, the change.

What is shown before is looked at again when it is confirmed: the registry's rules decide, not
this page. Who acts is who Git is configured for where the server runs; the tag says so.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from flask import Blueprint, Response, flash, make_response, redirect, render_template, request
from flask import url_for as url
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import BadRequest

from mlgit.exceptions import InvalidState, MlgitException, PermissionDenied, PromotionRefused
from mlgit.registry import checks, promotion
from mlgit.registry.guards import Result
from mlgit.registry.proposal import Promotion
from mlgit.registry.registry import Registry
from mlgit.registry.targets import target_named
from mlgit.server.problems import problem_page
from mlgit.server.registered import registry
from mlgit.server.site import site
from mlgit.server.version import version_of

pages = Blueprint("promotions", __name__)
_LONGEST_REASON = 2000
Look = Callable[[], Promotion]
_MEANWHILE = "Meanwhile somebody changed who holds {target}: look again, and confirm again"


@dataclass
class Asked:
    """A change that somebody thinks of.

    Attributes:
        doing: promote, demote or rollback.
        name: The model.
        target: The stage or alias.
        command: The command that does the same.
        back: The page to go back to.
        number: The version; None where it isn't known yet.
        found: What would come of it; None where that is refused, or can't be told.
        guards: What was checked.
        problem: Why it is refused, or can't be told.
        reason: Why, as it was typed.
        archive: Whether versions that are in the stage are archived; None where none can be.
        sign: Whether the tags are signed.
    """

    doing: str
    name: str
    target: str
    command: list[str]
    back: str
    number: int | None = None
    found: Promotion | None = None
    guards: Sequence[Result] = field(default_factory=list)
    problem: str = ""
    reason: str = ""
    archive: bool | None = None
    sign: bool = False

    @property
    def shell(self) -> str:
        """The command as a shell takes it."""
        more = ["--archive-existing"] if self.archive else []
        more += ["--sign"] if self.sign else []
        return shlex.join(["mlgit", *self.command, *more, "--reason", self.reason or "…"])


@pages.errorhandler(InvalidState)
def _not_as_things_stand(error: InvalidState) -> Response:
    return problem_page(409, error.message, error.hint)


# -- promoting


@pages.get("/models/<model:name>/versions/<number>/promote")
def promote(name: str, number: str) -> ResponseReturnValue:
    """What would come of a promotion: the guards, with their figures."""
    return _page(_promotion(registry(), name, number))


@pages.post("/models/<model:name>/versions/<number>/promote")
def do_promote(name: str, number: str) -> ResponseReturnValue:
    """Promote a version."""
    models = registry()
    asked = _promotion(models, name, number)
    if asked.found is None or asked.found.refused or _changed(asked):
        return _page(asked, 409)
    return _done(
        asked,
        lambda: promotion.promote(
            models,
            name,
            asked.number,
            asked.target,
            archive_existing=bool(asked.archive),
            reason=asked.reason or None,
            sign=asked.sign,
        ),
    )


def _promotion(models: Registry, name: str, number: str) -> Asked:
    version = version_of(models, name, number)
    target = target_named(request.values.get("to", ""), new=True)
    asked = Asked(
        "promote",
        name,
        target.name,
        ["promote", f"{name}@{version.version}", "--to", target.name],
        url("version.index", name=name, number=version.version),
        version.version,
    )
    if target.name in checks.ACTIVE_STAGES:
        asked.archive = request.values.get("archive") == "1"
    _read_form(asked)
    asked.found = promotion.check_promotion(
        models, name, version.version, target.name, archive_existing=bool(asked.archive)
    )
    asked.guards = asked.found.guards
    if asked.found.refused:
        failed = [result for result in asked.guards if result.passed is False]
        asked.problem = f"{len(failed)} of {len(asked.guards)} guards failed"
    return asked


# -- demoting and rolling back


@pages.get("/models/<model:name>/versions/<number>/demote")
def demote(name: str, number: str) -> ResponseReturnValue:
    """What would come of taking a version out of a stage, or an alias off it."""
    return _page(_demotion(registry(), name, number))


@pages.post("/models/<model:name>/versions/<number>/demote")
def do_demote(name: str, number: str) -> ResponseReturnValue:
    """Take a version out of a stage, or an alias off it."""
    models = registry()
    asked = _demotion(models, name, number)
    if asked.found is None:
        return _page(asked, 409)
    return _done(asked, lambda: _demote(models, asked))


def _demotion(models: Registry, name: str, number: str) -> Asked:
    version = version_of(models, name, number)
    target = target_named(request.values.get("target", "")).name
    asked = Asked(
        "demote",
        name,
        target,
        ["demote", f"{name}@{version.version}", "--from", target],
        url("version.index", name=name, number=version.version),
        version.version,
    )
    _read_form(asked)
    return _looked_at(asked, lambda: _demote(models, asked, dry_run=True))


def _demote(models: Registry, asked: Asked, dry_run: bool = False) -> Promotion:
    return promotion.demote(
        models,
        asked.name,
        asked.number,
        asked.target,
        reason=asked.reason or None,
        sign=asked.sign,
        dry_run=dry_run,
    )


@pages.get("/models/<model:name>/rollback")
def rollback(name: str) -> ResponseReturnValue:
    """What would come of going back to who held a stage or an alias before."""
    return _page(_rolled_back(registry(), name))


@pages.post("/models/<model:name>/rollback")
def do_rollback(name: str) -> ResponseReturnValue:
    """Go back to who held a stage or an alias before."""
    models = registry()
    asked = _rolled_back(models, name)
    if asked.found is None or _changed(asked):
        return _page(asked, 409)
    return _done(asked, lambda: _roll_back(models, asked))


def _rolled_back(models: Registry, name: str) -> Asked:
    models.key(name)  # tells of a model that isn't there
    target = target_named(request.values.get("target", "")).name
    back = url("model.index", name=name)
    asked = Asked("rollback", name, target, ["rollback", name, target], back)
    _read_form(asked)
    _looked_at(asked, lambda: _roll_back(models, asked, dry_run=True))
    asked.number = asked.found.version if asked.found else None
    return asked


def _roll_back(models: Registry, asked: Asked, dry_run: bool = False) -> Promotion:
    return promotion.rollback(
        models,
        asked.name,
        asked.target,
        reason=asked.reason or None,
        sign=asked.sign,
        dry_run=dry_run,
    )


# -- what all three share


def _read_form(asked: Asked) -> None:
    asked.reason = request.form.get("reason", "").strip()
    asked.sign = request.form.get("sign") == "1"
    if len(asked.reason) > _LONGEST_REASON:
        raise BadRequest(f"A reason may have {_LONGEST_REASON} characters")


def _looked_at(asked: Asked, look: Look) -> Asked:
    """Fill in what would come of a change."""
    try:
        asked.found = look()
        asked.guards = asked.found.guards
    except PromotionRefused as error:
        _refused(asked, error)
    except PermissionDenied as error:
        asked.problem = error.message  # nothing may be written here, not even a lock
    return asked


def _refused(asked: Asked, error: PromotionRefused) -> None:
    asked.found = None
    asked.guards = [result for result in error.guards if isinstance(result, Result)]
    asked.problem = error.message.partition("\n")[0]


def _changed(asked: Asked) -> bool:
    """Whether another version holds the target, or would, than the person was shown."""
    found = asked.found
    shown = (request.form.get("previous"), request.form.get("version"))
    if found is None or shown == (str(found.previous), str(found.version)):
        return False
    asked.problem = _MEANWHILE.format(target=asked.target)
    return True


def _done(asked: Asked, change: Look) -> ResponseReturnValue:
    """Make the change and lead to it; show what refuses it."""
    try:
        made = change()
    except PromotionRefused as error:
        _refused(asked, error)
        return _page(asked, 409)
    where = f"in {made.target}" if made.target.is_stage else str(made.target)
    said = f"v{made.version} is {where}" + (" no more" if made.doing == "demote" else " now")
    flash(f"Nothing was to be done: {said}" if made.already else said)
    anchor = f"tag-{made.tags[0]}" if made.tags else "history"
    return redirect(url("model.index", name=asked.name, _anchor=anchor), 303)


def _page(asked: Asked, status: int = 200) -> Response:
    try:
        person = registry().store.repo.committer()
    except MlgitException as error:
        person = error.message
    page = render_template(
        "models/change.html",
        asked=asked,
        found=asked.found,
        person=person,
        writes=site().options.allow_write,
        refused=asked.found is None or asked.found.refused,
    )
    return make_response(page, status)
