"""Who may change a stage or an alias: by the tagger's e-mail address, and by signatures.

Git lets people call themselves what they like; only a signature says who made a tag.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from fnmatch import fnmatchcase

from mlgit.exceptions import MlgitException
from mlgit.git import Repository, signing
from mlgit.git.tags import Tag, format_tag
from mlgit.registry.guards import Result
from mlgit.registry.rules import Rule
from mlgit.registry.writer import Signer

WHO, SIGNED = "who", "signed"


def may(rules: Iterable[Rule], person: str) -> list[Result]:
    """Whether a person is one of those whom rules name.

    Args:
        rules: Those that apply.
        person: "Name <email>".
    """
    email = person.rpartition("<")[2].rstrip(">").strip()
    found = []
    for who in dict.fromkeys(rule.who for rule in rules if rule.who is not None):
        passed = _any(email, who, fold=True)
        text = f"{email} may" if passed else f"{email or 'nobody'} isn't one of them"
        found.append(Result(WHO, ", ".join(who), passed, text))
    return found


def wants_signature(rules: Iterable[Rule]) -> bool:
    """Whether a rule asks for signed tags."""
    return any(rule.signed for rule in rules)


def signed_well(rules: Sequence[Rule], repo: Repository, sha: str, name: str) -> list[Result]:
    """Whether a tag is signed as rules ask.

    Args:
        rules: Those that apply.
        repo: Holds the tag; its configuration says whose signatures count.
        sha: The tag object.
        name: The tag's name.
    """
    asked = _asked(rules)
    if not asked:
        return []
    try:
        seen = signing.verify_tag(repo, sha, name)
    except MlgitException as error:
        seen = signing.Verification(False, problem=error.message, hint=error.hint)
    by = " ".join(filter(None, (seen.signer, f"({seen.key})" if seen.key else "")))
    found = []
    for asks, signers in asked.items():
        if not seen.good:
            why = seen.problem + (f" ({seen.hint})" if seen.hint else "")
            found.append(Result(SIGNED, asks, False, why))
        elif signers is None or _any(seen.signer, signers) or _any(seen.key, signers):
            found.append(Result(SIGNED, asks, True, f"signed by {by or 'a key that counts'}"))
        else:
            found.append(Result(SIGNED, asks, False, f"signed by {by}, who isn't one of them"))
    return found


def will_sign(rules: Sequence[Rule], repo: Repository) -> list[Result]:
    """What can be said of the signature before there is one."""
    asked = _asked(rules)
    try:
        if asked:
            signing.signer(repo)
    except MlgitException as error:
        return [Result(SIGNED, asks, False, _why(error)) for asks in asked]
    return [Result(SIGNED, asks, None, "is seen when the tag is signed") for asks in asked]


def _asked(rules: Iterable[Rule]) -> dict[str, tuple[str, ...] | None]:
    """Whose signatures rules ask for, by how that is said."""
    return {
        "a good signature"
        if rule.signers is None
        else "by " + ", ".join(rule.signers): rule.signers
        for rule in rules
        if rule.signed
    }


def _why(error: MlgitException) -> str:
    return error.message + (f" ({error.hint})" if error.hint else "")


def checking_signer(
    rules: Sequence[Rule], repo: Repository, refuse: Callable[[list[Result]], None]
) -> Signer:
    """What signs tags, and looks at each signature before anybody sees the tag.

    Args:
        rules: Those that apply.
        repo: Its configuration says how to sign.
        refuse: Told what was found; it raises where that won't do.

    Raises:
        MlgitException: There is nothing to sign with.
    """
    sign = signing.signer(repo)

    def signed(tag: Tag) -> Tag:
        try:
            made = sign(tag)
        except MlgitException as error:
            refuse([Result(SIGNED, asks, False, _why(error)) for asks in _asked(rules)])
            raise
        if wants_signature(rules):
            # An object that no ref names is nothing yet.
            sha = repo.objects.write("tag", format_tag(made))
            refuse(signed_well(rules, repo, sha, made.name))
        return made

    return signed


def _any(text: str, patterns: Iterable[str], *, fold: bool = False) -> bool:
    if fold:
        text, patterns = text.lower(), [pattern.lower() for pattern in patterns]
    return bool(text) and any(text == p or fnmatchcase(text, p) for p in patterns)
