"""MLflow's rules for the registry's names and values, checked before anything is written.

Source: MLflow's own stores as executed on 2.22.5 and 3.17.2.
"""

from __future__ import annotations

import posixpath
import re
from typing import Any

from mlgit import validation
from mlgit.exceptions import InvalidParameterValue
from mlgit.registry.state import NO_STAGE
from mlgit.registry.tags import STAGES

MAX_NAME = 256
MAX_ALIAS = 255
MAX_TAG_VALUE = 100_000
MAX_MODELS = 1000
MAX_VERSIONS = 200_000
ALL_STAGES = (NO_STAGE, *STAGES.values())
ACTIVE_STAGES = ("Staging", "Production")
_ALIAS = re.compile(r"^[\w\-]+\Z")
_VERSION_ALIAS = re.compile(r"^[vV]\d+\Z")


def model_name(name: object, what: str = "name") -> str:
    """Return a name if a model may have it.

    Raises:
        InvalidParameterValue: It is empty, too long, holds ``/`` or ``:``, or can't be shown.
    """
    if name is None or not str(name).strip():
        raise InvalidParameterValue(f"Missing value for required parameter '{what}'.")
    text = validation.check_text(name, what)
    if "/" in text or ":" in text:
        raise InvalidParameterValue(
            f"Invalid model name {text!r}: names cannot contain '/' or ':'",
            hint="models:/<name>/<version> couldn't be told apart from it",
        )
    if posixpath.normpath(text) != text or text in (".", ".."):
        raise InvalidParameterValue(f"Invalid model name {text!r}: it reads as another path")
    if len(text) > MAX_NAME:
        raise InvalidParameterValue(
            f"The model name {text[:40]!r}… has {len(text)} characters; at most {MAX_NAME} are "
            "allowed"
        )
    if any(ord(c) < 32 or ord(c) == 127 for c in text):
        raise InvalidParameterValue(f"Invalid model name {text!r}: it holds a control character")
    return text


def version(number: object) -> int:
    """A version's number.

    Raises:
        InvalidParameterValue: It isn't an integer.
    """
    try:
        return int(number)  # type: ignore[call-overload, no-any-return]
    except (TypeError, ValueError, OverflowError):
        raise InvalidParameterValue(
            f"Parameter 'version' must be an integer, got {number!r}",
            hint="mlgit models show NAME lists a model's versions",
        ) from None


def alias(name: object) -> str:
    """Return a name if it may be asked for as an alias.

    Raises:
        InvalidParameterValue: No alias can have it.
    """
    if name is None or name == "":
        raise InvalidParameterValue("A registered model's alias must not be empty")
    text = validation.check_text(name, "alias")
    if not _ALIAS.match(text):
        raise InvalidParameterValue(
            f"Invalid alias name {text!r}",
            hint="aliases may hold letters, digits, underscores and dashes",
        )
    if len(text) > MAX_ALIAS:
        raise InvalidParameterValue(
            f"The alias {text[:40]!r}… has {len(text)} characters; at most {MAX_ALIAS} are allowed"
        )
    return text


def new_alias(name: object) -> str:
    """Return a name if an alias may be made of it.

    Raises:
        InvalidParameterValue: It can't be one, or is reserved.
    """
    text = alias(name)
    if text.lower() == "latest" or _VERSION_ALIAS.match(text):
        raise InvalidParameterValue(
            f"The alias name {text!r} is reserved",
            hint="'latest' is the newest version, and v1, v2, … are the versions themselves",
        )
    return text


def stage(name: object) -> str:
    """A stage's name as MLflow writes it.

    Raises:
        InvalidParameterValue: There is no such stage.
    """
    for known in ALL_STAGES:
        if str(name).lower() == known.lower():
            return known
    raise InvalidParameterValue(
        f"Invalid Model Version stage: {name}. Value must be one of {', '.join(ALL_STAGES)}.",
        hint="other names than these are aliases: set_registered_model_alias()",
    )


def tag(key: object, value: Any) -> tuple[str, str]:
    """A tag's key and value, as they are kept.

    Raises:
        InvalidParameterValue: They can't be.
    """
    name = validation.check_key(key, "tag")
    text = validation.check_text(str(value), f"Tag {name!r}")
    if len(text) > MAX_TAG_VALUE:
        raise InvalidParameterValue(
            f"Tag {name!r} has {len(text)} characters; at most {MAX_TAG_VALUE} are allowed"
        )
    return name, text


def tags(given: object) -> dict[str, str]:
    """Tags, as they are kept.

    Raises:
        InvalidParameterValue: They can't be.
    """
    checked = validation.check_mapping(given or {}, "tags")
    return dict(tag(key, value) for key, value in checked.items())


def description(text: object) -> str | None:
    """A description, or None.

    Raises:
        InvalidParameterValue: It isn't text.
    """
    return None if text is None else validation.check_text(text, "description")
