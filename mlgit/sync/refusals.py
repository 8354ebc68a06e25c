"""What a host means that doesn't take a tag: its rules for tags, in words that help."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from mlgit.exceptions import MlgitException
from mlgit.git import Repository
from mlgit.git.transport import FOR_ANOTHERS_SAKE
from mlgit.registry.tags import parse_name, read_event
from mlgit.store.registry_tags import TAGS

_GITHUB = re.compile(r"GH0(?:06|13)|repository rule violations|protected tag hook", re.I)
_GITLAB = re.compile(r"GitLab:|not allowed to (?:create|update|push) this tag", re.I)
_PROTECTED = re.compile(rf"{_GITHUB.pattern}|{_GITLAB.pattern}|protected|prohibited", re.I)
_HOOK = re.compile(r"hook declined")
# What a transport tells of its own work isn't what the host means.
_NOISE = re.compile(r"^(?:[Cc]ounting|[Cc]ompressing|copying|[Rr]esolving|generating|[Ww]riting) ")
_MOST_LINES = 8


@dataclass(frozen=True)
class Refusal:
    """Tags that a host doesn't take.

    Attributes:
        refs: Their refs.
        message: That it doesn't, and what it says.
        hint: Who may, and what can be done.
    """

    refs: list[str]
    message: str
    hint: str


def explained(
    failed: Mapping[str, str], heard: str, because: Mapping[str, str] | None = None
) -> list[Refusal]:
    """What is to be said of tags that a host refused; nothing of other failures.

    Args:
        failed: Why each ref wasn't taken, in Git's words.
        heard: What the host said to people.
        because: The tags that go with another one, as ``consequences`` finds them.
    """
    tags = {r: why for r, why in failed.items() if r.startswith(TAGS)}
    blamed = {r: why for r, why in tags.items() if not why.startswith(FOR_ANOTHERS_SAKE)}
    said = [line for line in heard.splitlines() if not _NOISE.match(line)]
    # A hook that declines a whole push names what it is about, if anything does.
    named = {ref: why for ref, why in blamed.items() if _names(said, ref[len(TAGS) :])}
    refs = named or blamed
    words = "\n".join([*refs.values(), *said])
    protected = _PROTECTED.search(words)
    if not refs or not (protected or _HOOK.search(words)):
        return []
    shown = ", ".join(ref[len(TAGS) :] for ref in sorted(refs)[:5])
    more = f" and {len(refs) - 5} more" if len(refs) > 5 else ""
    what = "protects" if protected else "has a hook that refuses"
    message = f"The host {what} {shown}{more}"
    quoted = [line for line in said if _PROTECTED.search(line)] if protected else said
    message += "".join(f"\n  it says: {line}" for line in dict.fromkeys(quoted or refs.values()))
    alone = [tag for tag, other in (because or {}).items() if TAGS + other in refs]
    return [Refusal(sorted(refs), _shortened(message), _advice(sorted(refs), alone, words))]


def consequences(repo: Repository, refs: Iterable[str]) -> dict[str, str]:
    """The tags that only go with another one, and that one; both without "refs/tags/".

    Args:
        repo: The repository.
        refs: The refs that are looked at.
    """
    found = {}
    for ref in refs:
        tag, sha = ref.removeprefix(TAGS), repo.refs.read(ref)
        name = parse_name(tag) if ref.startswith(TAGS) else None
        if name is None or sha is None:
            continue
        try:
            other = read_event(repo, name, tag, sha, set()).text("because")
        except MlgitException:
            continue
        if other is not None:
            found[tag] = other
    return found


def _names(said: list[str], tag: str) -> bool:
    whole = re.compile(rf"(?:(?<![\w#@/=-])|refs/tags/){re.escape(tag)}(?![\w#@!-])")
    return any(whole.search(line) for line in said)


def _shortened(message: str) -> str:
    return "\n".join(message.splitlines()[: _MOST_LINES + 1])


def _advice(refs: list[str], alone: list[str], words: str) -> str:
    who = "those whom the remote's hook lets pass may make it"
    if _GITHUB.search(words):
        who = "who may make it stands in the repository's Settings, Rules, Rulesets"
    elif _GITLAB.search(words):
        who = "who may make it stands in the project's Settings, Repository, Protected tags"
    # Without what it came with a version would leave its stage, and enter none.
    given_up = dict.fromkeys([*(ref[len(TAGS) :] for ref in refs[:5]), *sorted(alone)])
    quoted = " ".join(f"'{tag}'" for tag in given_up)
    return (
        f"{who}; nothing of this model was pushed, and the tag is in this clone alone. Let one of "
        f"them do the same in their clone, or have them let you and repeat mlgit push; "
        f"git tag -d {quoted} gives it up"
    )
