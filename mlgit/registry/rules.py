"""The team's rules for promoting: the ``promotion`` section of ``.mlgit/config.yaml``.

What can't be read might be what forbids it: every unknown key and every wrong type is an error.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, NoReturn

from mlgit.exceptions import CorruptData, MlgitException
from mlgit.git import Repository
from mlgit.registry.guards import BetterThan, Guards
from mlgit.registry.tags import STAGES
from mlgit.registry.targets import ARCHIVED, Target, stage_meant, target_named
from mlgit.store import configfile

SECTION = "promotion"
_COMPARING = ("metric", "min_delta", "lower_is_better")
_PERSONS = ("who", "signed", "signers")
_KEYS = ("require", "better_than", *_COMPARING, "tests", "clean", *_PERSONS)
_PLACE = 'docs/format.md, "Configuration", says what may stand there'
_WILD = frozenset("*?[")


@dataclass(frozen=True)
class Rule:
    """What must be so for some models and a stage or alias.

    Attributes:
        model: A model's name, or a pattern.
        target: A stage's or an alias's name, or a pattern.
        guards: What is checked.
        who: Patterns of the e-mail addresses of those who may; None for anybody.
        signed: Whether the tag must have a good signature.
        signers: Patterns of principals and fingerprints of keys whose signatures count; None for
            any that Git trusts.
    """

    model: str
    target: str
    guards: Guards = field(default_factory=Guards)
    who: tuple[str, ...] | None = None
    signed: bool = False
    signers: tuple[str, ...] | None = None

    def matches(self, names: Iterable[str], target: Target) -> bool:
        """Whether it is about a model and a stage or alias.

        Args:
            names: The model's names: that of now, and the one that its tags have.
            target: The stage or alias.
        """
        if not any(name == self.model or fnmatchcase(name, self.model) for name in names):
            return False
        if target.is_stage and self.target.lower() == target.name.lower():
            return True
        if target == ARCHIVED:
            return False
        name, pattern = target.name, self.target
        # An alias may be called as a stage is, and people ask for either by the same words.
        if name.lower() in STAGES:
            name, pattern = name.lower(), pattern.lower()
        return name == pattern or fnmatchcase(name, pattern)


@dataclass(frozen=True)
class Rules:
    """All rules of a configuration.

    Attributes:
        rules: In the order of the file.
        source: What to call the configuration.
    """

    rules: tuple[Rule, ...] = ()
    source: str = ""

    def of(self, names: Iterable[str], target: Target) -> list[Rule]:
        """Those about a model and a stage or alias; the arguments are those of ``matches``."""
        known = tuple(names)
        return [rule for rule in self.rules if rule.matches(known, target)]


def read_rules(repo: Repository, commit: str | None = None) -> Rules:
    """The team's rules.

    Args:
        repo: The repository.
        commit: Whose rules; those of the worktree where None, of HEAD in a bare repository.

    Raises:
        CorruptData: They can't be read.
        Unsupported: The configuration is of a later version.
    """
    if commit is None:
        found, name = configfile.read_team(repo), configfile.TEAM_FILE
    else:
        found = configfile.read_committed(repo, commit)
        name = f"{configfile.TEAM_FILE} of {commit[:10]}"
    close = difflib.get_close_matches(SECTION, found, 1, 0.8)
    if SECTION not in found and close:
        _fail(f"{name} has {close[0]!r}", f"did you mean {SECTION!r}?")
    return parse_rules(found.get(SECTION), name)


def parse_rules(section: Any, source: str) -> Rules:
    """The rules that a section of the configuration holds.

    Args:
        section: What stands under ``promotion``; None for nothing.
        source: What to call the configuration in errors.

    Raises:
        CorruptData: It isn't what the format says; the message says where.
    """
    rules = []
    at = f"{source}: {SECTION}"
    for model, targets in _mapping(section, at, "models and their stages and aliases").items():
        for target, body in _mapping(targets, f"{at}.{model}", "stages and aliases").items():
            where = f"{at}.{model}.{target}"
            _check_target(target, where)
            for n, one in enumerate(body if isinstance(body, list) else [body]):
                numbered = f"{where}[{n}]" if isinstance(body, list) else where
                rules.append(_rule(model, target, one, numbered))
    return Rules(tuple(rules), source)


def _rule(model: str, target: str, body: Any, at: str) -> Rule:
    given = _mapping(body, at, "guards")
    for key in given:
        if key not in _KEYS:
            close = difflib.get_close_matches(key, _KEYS, 1)
            _fail(
                f"{at} has no key {key!r}",
                f"did you mean {close[0]!r}?" if close else "known: " + ", ".join(_KEYS),
            )
    if target.lower() == ARCHIVED.name.lower() and set(given) - set(_PERSONS):
        _fail(
            f"{at} asks for {', '.join(sorted(set(given) - set(_PERSONS)))}",
            "to archive is to take out of use: only who, signed and signers can be asked for",
        )
    signers = _texts(given, "signers", at)
    try:
        guards = Guards(
            _texts(given, "require", at) or (),
            _better(given, at),
            _texts(given, "tests", at) or (),
            _flag(given, "clean", at),
        )
    except CorruptData:
        raise  # it says where
    except MlgitException as error:
        raise CorruptData(f"{at}: {error.message}", hint=error.hint or _PLACE) from error
    signed = _flag(given, "signed", at) if "signed" in given else signers is not None
    if signers and not signed:
        _fail(f"{at} names signers, and says that tags needn't be signed", "leave out one of them")
    return Rule(model, target, guards, _texts(given, "who", at), signed, signers)


def _better(given: dict[str, Any], at: str) -> tuple[BetterThan, ...]:
    holder = given.get("better_than")
    if holder is None:
        for key in _COMPARING:
            if key in given:
                _fail(f"{at} has {key!r} without 'better_than'", "better_than: production")
        return ()
    metric, delta = given.get("metric"), given.get("min_delta", 0.0)
    if not isinstance(holder, str):
        _fail(f"{at}.better_than must be a stage or an alias, not {_kind(holder)}")
    if not isinstance(metric, str) or not metric:
        _fail(f"{at}.metric must name the metric that is compared, not {_kind(metric)}")
    if isinstance(delta, bool) or not isinstance(delta, (int, float)):
        _fail(f"{at}.min_delta must be a number, not {_kind(delta)}")
    lower = _flag(given, "lower_is_better", at) if "lower_is_better" in given else None
    return (BetterThan(holder, metric, float(delta), lower),)


def _check_target(target: str, at: str) -> None:
    if _WILD & set(target):
        return
    try:
        found = target_named(target, new=True)
    except MlgitException as error:
        raise CorruptData(f"{at}: {error.message}", hint=error.hint or _PLACE) from error
    stage = stage_meant(target)
    if not found.is_stage and stage is not None:
        # As an alias nobody has it, and the stage that was meant would be free for all.
        _fail(
            f"{at} is no stage",
            f"did you mean {stage!r}? A rule for an alias of this name is written as a pattern: "
            f"'{target[:-1]}[{target[-1]}]'",
        )


def _mapping(value: Any, at: str, of: str) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        _fail(f"{at} must be a mapping of {of}, not {_kind(value)}")
    return {str(key): item for key, item in value.items()}


def _texts(given: dict[str, Any], key: str, at: str) -> tuple[str, ...] | None:
    """A text or a list of texts; None where the key isn't there."""
    value = given.get(key)
    if key not in given:
        return None
    found = [value] if isinstance(value, str) else value
    if not isinstance(found, list) or not all(isinstance(item, str) for item in found):
        _fail(f"{at}.{key} must be a text or a list of texts, not {_kind(value)}")
    if not found or not all(item.strip() for item in found):
        _fail(f"{at}.{key} is empty", "leave it out where nothing is asked for")
    return tuple(found)


def _flag(given: dict[str, Any], key: str, at: str) -> bool:
    value = given.get(key, False)
    if not isinstance(value, bool):
        _fail(f"{at}.{key} must be true or false, not {_kind(value)}")
    return value


def _kind(value: Any) -> str:
    names = {str: "text", bool: "true or false", int: "a number", float: "a number"}
    if isinstance(value, (dict, list)):
        return "a mapping" if isinstance(value, dict) else "a list"
    return "nothing" if value is None else f"{value!r} ({names.get(type(value), 'something else')})"


def _fail(message: str, hint: str = "") -> NoReturn:
    raise CorruptData(message, hint=hint or _PLACE)
