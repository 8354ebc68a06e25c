"""Promoting, demoting and rolling back: guards and rules first, tags after.

Either all that was asked for holds and the tags are written, or nothing is. What is compared with
other versions is looked at under the registry's lock, so that nobody comes between the look and
the tag; tests, which may take long, run before it is taken.
"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

from mlgit.exceptions import (
    InvalidParameterValue,
    InvalidState,
)
from mlgit.registry import checks, persons
from mlgit.registry.acceptance import run_tests
from mlgit.registry.guards import TESTS, Guards, Result, Subject, evaluate
from mlgit.registry.proposal import Promotion, Proposal
from mlgit.registry.rules import Rules
from mlgit.registry.state import ModelState
from mlgit.registry.targets import Target, held_before, stage_meant, target_named, targets_of

if TYPE_CHECKING:
    from mlgit.registry.registry import Registry


def check_promotion(
    registry: Registry,
    name: str,
    version: Any,
    to: str,
    *,
    guards: Guards | None = None,
    rules: Rules | None = None,
    with_tests: bool = False,
    archive_existing: bool = False,
) -> Promotion:
    """What would come of a promotion, by the guards as they are now. Nothing is written.

    Args:
        registry: The registry.
        name: The model.
        version: The version.
        to: A stage in any case, or an alias.
        guards: What is asked for, besides the rules.
        rules: The team's; those of the worktree's configuration where None.
        with_tests: Run the tests; else their results say that they weren't looked at.
        archive_existing: The versions that are in the stage would be archived.

    Returns:
        The promotion; ``refused`` says whether a guard failed.

    Raises:
        ResourceDoesNotExist: There is no such model or version.
        InvalidParameterValue: The stage or alias can't be one.
        CorruptData: The rules can't be read.
    """
    target = _to(to, archive_existing)
    proposal = Proposal(registry, name, target, "promote", rules)
    number = registry.version(name, version).version
    asked = _asked(proposal, guards)
    state = registry.state(name)
    tests = _tests(Subject(registry, state, number), asked, with_tests)
    return _looked_at(proposal, number, asked, tests, archive_existing)


def promote(
    registry: Registry,
    name: str,
    version: Any,
    to: str,
    *,
    guards: Guards | None = None,
    rules: Rules | None = None,
    archive_existing: bool = False,
    reason: str | None = None,
    sign: bool = False,
    dry_run: bool = False,
) -> Promotion:
    """Give a version a stage or an alias, if all guards hold.

    Args:
        registry: The registry.
        name: The model.
        version: The version.
        to: A stage in any case, or an alias.
        guards: What is asked for, besides the rules.
        rules: The team's; those of the worktree's configuration where None.
        archive_existing: Archive the versions that are in the stage.
        reason: Why; the tags say it.
        sign: Sign the tags, also where no rule asks for it.
        dry_run: Check everything, and write nothing.

    Raises:
        PromotionRefused: A guard failed; all were checked, and nothing is written.
        ResourceDoesNotExist: There is no such model or version.
        InvalidParameterValue: The stage or alias can't be one.
        InvalidState: There is no key to sign with.
        CorruptData: The rules can't be read.
    """
    target = _to(to, archive_existing)
    proposal = Proposal(registry, name, target, "promote", rules, sign)
    number = registry.version(name, version).version
    asked = _asked(proposal, guards)
    tests = _tests(Subject(registry, registry.state(name), number), asked, True)
    with registry.writer.lock():
        registry.version(name, number)  # it may have been deleted while the tests ran
        found = _looked_at(proposal, number, asked, tests, archive_existing)
        proposal.refuse(number, found.guards)
        if not found.already and not dry_run:
            moves = proposal.moves(registry.state(name), number, reason, found.guards)
            entries = [r.entry() for r in found.guards if r.guard not in _SHOWN_BY_THE_TAG]
            moves.give(target, number, archive_existing, guards=entries)
            found.tags.extend(moves.tags)
            registry.writer.tidy()
    return found


_SHOWN_BY_THE_TAG = (persons.WHO, persons.SIGNED)


def _to(to: str, archive_existing: bool) -> Target:
    target = target_named(to, new=True)
    if archive_existing and target.name not in checks.ACTIVE_STAGES:
        raise InvalidParameterValue(
            f"No versions can be archived for {target}",
            hint=f"{' and '.join(checks.ACTIVE_STAGES)} have versions that can; an alias names "
            "one version only",
        )
    return target


def _check_spelling(target: Target, state: ModelState) -> None:
    stage = None if target.is_stage else stage_meant(target.name)
    if stage is not None and state.holder(target.name) is None:
        # Rules and CI of the stage that was meant would never hear of it.
        raise InvalidParameterValue(
            f"{target} is no stage, and no version of {state.name} has an alias of this name",
            hint=f"did you mean {stage}? MlgitClient().set_registered_model_alias() makes an alias "
            "that is called so",
        )


def _asked(proposal: Proposal, guards: Guards | None) -> Guards:
    asked = guards or Guards()
    for rule in proposal.rules:
        asked += rule.guards
    return asked


def _tests(subject: Subject, asked: Guards, run: bool) -> list[Result]:
    if run:
        return [run_tests(subject, command) for command in asked.tests]
    return [Result(TESTS, command, None, "wasn't run") for command in asked.tests]


def _looked_at(
    proposal: Proposal, number: int, asked: Guards, tests: list[Result], archive_existing: bool
) -> Promotion:
    """The promotion as of now, its guards checked."""
    registry, target = proposal.registry, proposal.target
    state = registry.state(proposal.name)
    held = target.held(state)
    _check_spelling(target, state)
    others = [v for v in target.within(state) if v.number != number]
    results = evaluate(Subject(registry, state, number), asked) + tests
    results += proposal.allowed(state, number, archive_existing and bool(others))
    return Promotion(
        state.name,
        number,
        target,
        proposal.doing,
        held[0] if held else None,
        results,
        already=held is not None and held[0] == number and not (archive_existing and others),
        beside=target.is_stage and not archive_existing,
    )


def demote(
    registry: Registry,
    name: str,
    version: Any = None,
    target: str | None = None,
    *,
    rules: Rules | None = None,
    reason: str | None = None,
    sign: bool = False,
    dry_run: bool = False,
) -> Promotion:
    """Take a version out of a stage, or an alias off it.

    Args:
        registry: The registry.
        name: The model.
        version: The version; who holds the target where None.
        target: The stage or alias; what the version has where None, if that is one thing.
        rules: The team's; who may and signatures count, guards don't.
        reason: Why; the tags say it.
        sign: Sign the tags, also where no rule asks for it.
        dry_run: Write nothing.

    Raises:
        PromotionRefused: This person may not, or can't sign; nothing is written.
        ResourceDoesNotExist: There is no such model or version.
        InvalidState: The version doesn't hold the target, or holds several things or none.
    """
    with registry.writer.lock():
        state = registry.state(name)
        given = None if version is None else registry.version(name, version).version
        meant, number = _to_demote(state, given, target)
        proposal = Proposal(registry, name, meant, "demote", rules, sign)
        results = proposal.allowed(state, number)
        proposal.refuse(number, results)
        done = Promotion(state.name, number, meant, "demote", number, results)
        if not dry_run:
            moves = proposal.moves(state, number, reason, results)
            if meant.is_stage:
                moves.leave_stages(number)
            else:
                moves.remove_alias(meant.name)
            done.tags.extend(moves.tags)
            registry.writer.tidy()
    return done


def _to_demote(state: ModelState, number: int | None, name: str | None) -> tuple[Target, int]:
    """What is taken from which version."""
    if name is None:
        if number is None:
            raise InvalidParameterValue(
                "A version or what it is taken from must be given",
                hint=f"mlgit demote {shlex.quote(state.name)} --from production",
            )
        held = targets_of(state, number)
        if len(held) != 1:
            has = ", ".join(map(str, held)) or "no stage and no alias"
            raise InvalidState(
                f"Version {number} of {state.name} has {has}",
                hint="say what to take from it: --from NAME" if held else _who_has_what(state),
            )
        return held[0], number
    target = target_named(name)
    within = [version.number for version in target.within(state)]
    held_by = target.held(state)
    if held_by is None or (number is not None and number not in within):
        lacks = "No version of {1} is" if number is None else "Version {0} of {1} isn't"
        raise InvalidState(
            f"{lacks.format(number, state.name)} {target}", hint=_who_has_what(state)
        )
    return target, held_by[0] if number is None else number


def _who_has_what(state: ModelState) -> str:
    held = [
        f"version {number} is {', '.join(map(str, targets))}"
        for number in state.versions
        if (targets := targets_of(state, number))
    ]
    return "; ".join(held[-10:]) or "no version has a stage or an alias"


def rollback(
    registry: Registry,
    name: str,
    target: str,
    *,
    rules: Rules | None = None,
    reason: str | None = None,
    sign: bool = False,
    dry_run: bool = False,
) -> Promotion:
    """Give a stage or an alias back to the version that held it before.

    Done again, it goes further back. Versions that were deleted, or taken out of it by hand, are
    passed over. Guards don't count: what held it once had passed them.

    Args:
        registry: The registry.
        name: The model.
        target: The stage or alias.
        rules: The team's; who may and signatures count.
        reason: Why; the tags say it.
        sign: Sign the tags, also where no rule asks for it.
        dry_run: Write nothing.

    Raises:
        PromotionRefused: This person may not, or can't sign; nothing is written.
        ResourceDoesNotExist: There is no such model.
        InvalidState: No version held it before.
    """
    meant = target_named(target)
    with registry.writer.lock():
        state = registry.state(name)
        held = meant.held(state)
        before = held_before(registry.history(name), state, meant)
        if before is None:
            since = f" before version {held[0]}" if held else ""
            raise InvalidState(
                f"No version of {name} that is still there was {meant}{since}",
                hint=f"mlgit models history {shlex.quote(name)} tells which were; mlgit promote "
                f"{shlex.quote(name)}@VERSION --to {meant} makes any so",
            )
        number, tag = before
        proposal = Proposal(registry, name, meant, "rollback", rules, sign)
        results = proposal.allowed(state, number)
        proposal.refuse(number, results)
        found = Promotion(state.name, number, meant, "rollback", held[0] if held else None, results)
        if not dry_run:
            moves = proposal.moves(state, number, reason, results)
            moves.give(meant, number, restores=tag)
            if meant.is_stage and held is not None:
                moves.leave_stages(held[0], because=moves.tags[0])
            found.tags.extend(moves.tags)
            registry.writer.tidy()
    return found
