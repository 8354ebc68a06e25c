"""Registry tags of two clones that crossed: this clone's own come after the remote's.

What a remote has, or any remote had, is published and never changed. The rest is this clone's
own: made again on top of the remote's, in one change of all refs that it takes (docs/format.md,
"Two clones at once").
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import chain
from types import ModuleType
from typing import TYPE_CHECKING

from mlgit.exceptions import Conflict, CorruptData, InvalidState, MlgitException
from mlgit.git import Repository
from mlgit.registry.locking import only_writer
from mlgit.registry.tags import TAGS, TagName, parse_name
from mlgit.registry.text import REFS, commit_text, key_of, read_text, ref_of, renumber
from mlgit.store import configfile, pushed, spelling
from mlgit.store.lineage import merge_base, stands_on
from mlgit.store.timeform import now_ms
from mlgit.sync.merging import merge_commits
from mlgit.sync.threeway import Apart, Clash

if TYPE_CHECKING:
    from mlgit.registry.replaying import Renumbered, Replay, Replayed, Sides
    from mlgit.registry.writer import Signer

_ATTEMPTS = 5


@dataclass(frozen=True)
class Policy:
    """What may be done with this clone's own tags.

    Attributes:
        renumber: Whether versions may get other numbers.
        sign: Signs tags that were signed and have to be made again.
    """

    renumber: bool = True
    sign: Signer | None = None


@dataclass(frozen=True)
class HeldBack:
    """A model whose tags stay as they are, here and there, as they may not be made again.

    Attributes:
        model: Its name.
        refs: Its refs here.
        message, hint: Why, and what can be done.
    """

    model: str
    refs: frozenset[str]
    message: str
    hint: str


@dataclass
class Crossings:
    """What became of tags that crossed.

    Attributes:
        keys: The models that it is about, those that were left alone excepted.
        renumbered, replayed: This clone's own versions and tags that were made again.
        held: Models that were left alone.
        new: The remote's refs that this clone has now and hadn't.
        forwarded: Names of refs that are the remote's now.
        merged: Texts that were merged.
        apart: Texts that couldn't be.
    """

    keys: set[str] = field(default_factory=set)
    renumbered: list[Renumbered] = field(default_factory=list)
    replayed: list[Replayed] = field(default_factory=list)
    held: list[HeldBack] = field(default_factory=list)
    new: list[str] = field(default_factory=list)
    forwarded: list[str] = field(default_factory=list)
    merged: list[str] = field(default_factory=list)
    apart: list[Apart] = field(default_factory=list)


def policy_of(repo: Repository, renumber: bool = True, sign: Signer | None = None) -> Policy:
    """What the configuration allows (``registry: {renumber: false}``), and the caller.

    Raises:
        CorruptData, Unsupported: The configuration can't be read.
    """
    for section in configfile.read_section(repo, "registry"):
        found = section.get("renumber", True)
        if not isinstance(found, bool):
            raise CorruptData(
                f"registry: renumber is {found!r} in the configuration",
                hint="it must be true or false",
            )
        renumber = renumber and found
    return Policy(renumber, sign)


def key_of_ref(ref: str) -> str | None:
    """The key of the model that a ref is about; None for other refs."""
    if ref.startswith(REFS):
        return key_of(ref)
    name = parse_name(ref[len(TAGS) :]) if ref.startswith(TAGS) else None
    return name.key if name else None


def own_keys(here: Mapping[str, str], there: Mapping[str, str]) -> set[str]:
    """The keys of the models of which a clone has tags that a remote hasn't."""
    keys = (key_of_ref(ref) for ref, sha in here.items() if _differs(ref, sha, there))
    return {key for key in keys if key}


def _differs(ref: str, sha: str, there: Mapping[str, str]) -> bool:
    return ref.startswith(TAGS) and there.get(ref) != sha


def settle(
    repo: Repository,
    there: Mapping[str, str],
    wanted: Callable[[str], bool],
    policy: Policy,
    *,
    dry_run: bool = False,
) -> Crossings:
    """Put this clone's own tags on top of the remote's, model by model, where they crossed.

    All refs change at once, or none does; whoever is killed begins again.

    Args:
        repo: The repository, which has the objects of the remote's tags, but in a dry run.
        there: The remote's refs that this clone may take.
        wanted: Which refs are looked at.
        policy: What may be done.
        dry_run: Change nothing; what is told is what can be known from names.

    Raises:
        Conflict: Others keep changing the same refs here.
        StorageError, PermissionDenied: Something can't be read or written.
    """
    if not _Settling(repo, there, wanted, policy).crossed():
        return Crossings()
    if dry_run:
        return _Settling(repo, there, wanted, policy).foretold()
    with only_writer(repo):
        for attempt in range(_ATTEMPTS):
            work = _Settling(repo, there, wanted, policy)
            work.plan()
            try:
                if work.changes:
                    repo.refs.switch(work.changes)
                return work.told
            except Conflict:
                if attempt == _ATTEMPTS - 1:
                    raise
    raise AssertionError("not reached")


class _Settling:
    def __init__(
        self,
        repo: Repository,
        there: Mapping[str, str],
        wanted: Callable[[str], bool],
        policy: Policy,
    ) -> None:
        self.repo = repo
        self.there = there
        self.policy = policy
        here = {ref: sha for ref, sha in repo.refs.items(TAGS).items() if wanted(ref)}
        self.keys = own_keys(here, there)
        self.here = self._by_key(here)
        self.remote = self._by_key(there)
        self.told = Crossings()
        self.held: set[str] = set()
        self.changes: dict[str, tuple[str | None, str | None]] = {}

    def _by_key(self, refs: Mapping[str, str]) -> dict[str, dict[str, str]]:
        """The tags of the models in question, by model, without "refs/tags/"."""
        found: dict[str, dict[str, str]] = {}
        for ref, sha in refs.items() if self.keys else ():
            if not ref.startswith(TAGS):
                continue
            tag = ref[len(TAGS) :]
            if tag.replace("#", "@", 1).partition("@")[0] in self.keys:
                name = parse_name(tag)
                if name is not None:
                    found.setdefault(name.key, {})[tag] = sha
        return found

    # -- which

    def _sides(self, key: str, seen: set[tuple[str, str]] | None) -> Sides:
        """A model's tags; without what was seen on remotes, all that differ count as own."""
        here, theirs = self.here.get(key, {}), self.remote.get(key, {})
        own = {
            tag: sha
            for tag, sha in here.items()
            if theirs.get(tag) != sha and (seen is None or self._is_own(tag, sha, seen))
        }
        kept = {tag: sha for tag, sha in here.items() if tag not in own}
        made: Sides = _replaying().Sides(key, {**kept, **theirs}, own, here)
        return made

    def _is_own(self, tag: str, sha: str, seen: set[tuple[str, str]]) -> bool:
        """Whether a tag is this clone's to change: published nowhere, and one that says who made
        it, and when."""
        try:
            return (TAGS + tag, sha) not in seen and self.repo.objects.read(sha)[0] == "tag"
        except MlgitException:
            return False

    def crossed(self) -> list[Sides]:
        """The models whose own tags must be made again."""
        found = []
        seen: set[tuple[str, str]] | None = None
        for key in sorted(self.keys):
            if _replaying().have_crossed(*_names(self._sides(key, None))):
                seen = pushed.seen(self.repo) if seen is None else seen
                sides = self._sides(key, seen)
                if _replaying().have_crossed(*_names(sides)):
                    found.append(sides)
        return found

    def foretold(self) -> Crossings:
        """What would be told, from names alone."""
        for sides in self.crossed():
            model = self._name(sides.key)
            numbers = _replaying().numbers_of(*_names(sides))
            if numbers and not self.policy.renumber:
                self._hold(sides, numbers)
                continue
            self.told.keys.add(sides.key)
            made = _replaying().Renumbered
            self.told.renumbered += [made(model, old, new) for old, new in numbers.items()]
        return self.told

    # -- what becomes of them

    def plan(self) -> None:
        """Find out which refs are to change."""
        sides_of = {sides.key: sides for sides in self.crossed()}
        moved: dict[tuple[str, int], int] = {}
        for key, sides in sides_of.items():
            numbers = _replaying().numbers_of(*_names(sides))
            if numbers and not self.policy.renumber:
                self._hold(sides, numbers)
                continue
            moved.update({(self._name(key), old): new for old, new in numbers.items()})
        if moved:  # what was copied from them may be another model's, which hasn't crossed
            seen = pushed.seen(self.repo)
            sides_of.update({k: self._sides(k, seen) for k in self.keys if k not in sides_of})
        for key in self.held:
            sides_of.pop(key, None)
        for sides in sides_of.values():
            try:
                replay = _replaying().put_on_top(self.repo, sides, moved, self.policy.sign)
            except InvalidState as error:  # a signature
                self._hold_back(sides, error.message, error.hint)
                continue
            if replay.made:
                self._take_over(sides, replay)

    def _take_over(self, sides: Sides, replay: Replay) -> None:
        self.told.keys.add(sides.key)
        self.told.renumbered += replay.renumbered
        self.told.replayed += replay.replayed
        theirs = self.remote.get(sides.key, {})
        final: dict[str, str | None] = {tag: theirs.get(tag) for tag in replay.gone}
        for tag, sha in theirs.items():
            if tag not in sides.here:
                final[tag] = sha
                self.told.new.append(TAGS + tag)
            elif tag in replay.gone:
                self.told.forwarded.append(TAGS + tag)
        final.update(replay.made)
        for tag, new in final.items():
            if sides.here.get(tag) != new:
                self.changes[TAGS + tag] = sides.here.get(tag), new
        try:
            self._text(sides.key, replay.numbers)
        except MlgitException as error:
            ref = ref_of(sides.key)
            clash = Clash(f"can't be read: {error.message}", None, None, None)
            mine = self.repo.refs.read(ref) or ""
            self.told.apart.append(Apart(ref, mine, self.there.get(ref, ""), [clash]))

    def _text(self, key: str, numbers: Mapping[int, int]) -> None:
        """A model's text: what is about renumbered versions follows them, then it is merged."""
        repo, ref = self.repo, ref_of(key)
        was, theirs = repo.refs.read(ref), self.there.get(ref)
        if was is None:
            if theirs is not None:
                self.changes[ref] = None, theirs
                self.told.new.append(ref)
            return
        ours = self._renumbered_text(key, was, theirs, numbers)
        if theirs is None or stands_on(repo, ours, theirs):
            new = ours
        elif stands_on(repo, theirs, ours):
            new = theirs
            self.told.forwarded.append(ref)
        else:
            made, clashes = merge_commits(repo, ref, ours, theirs)
            new = made or ours
            if made is None:
                self.told.apart.append(Apart(ref, ours, theirs, clashes))
            else:
                self.told.merged.append(ref)
        if new != was:
            self.changes[ref] = was, new

    def _renumbered_text(
        self, key: str, was: str, theirs: str | None, numbers: Mapping[int, int]
    ) -> str:
        if not numbers:
            return was
        base = merge_base(self.repo, was, theirs) if theirs else None
        # What both sides know of a number is about the version that has it there.
        shared = read_text(self.repo, base).versions if base else {}
        text = read_text(self.repo, was)
        if not renumber(text, {old: n for old, n in numbers.items() if old not in shared}):
            return was
        said = ", ".join(f"{old} is {new}" for old, new in sorted(numbers.items()))
        line = f"Other numbers for versions of {text.name}: {said}"
        return commit_text(self.repo, key, text, was, line, now_ms())

    def _hold(self, sides: Sides, numbers: Mapping[int, int]) -> None:
        model, (old, new) = self._name(sides.key), min(numbers.items())
        tag = f"{sides.key}@v{old}.0.0"
        self._hold_back(
            sides,
            f"{model}: your version {old} isn't the one that the remote has; neither was touched",
            f"mlgit push, where renumbering is allowed, makes yours version {new}; "
            f"or git tag -d {tag!r} and mlgit fetch, and register it again",
        )

    def _hold_back(self, sides: Sides, message: str, hint: str) -> None:
        self.held.add(sides.key)
        names = {*sides.here, *self.remote.get(sides.key, {})}
        refs = frozenset([ref_of(sides.key), *(TAGS + tag for tag in names)])
        self.told.held.append(HeldBack(self._name(sides.key), refs, message, hint))

    def _name(self, key: str) -> str:
        """What a model is called here."""
        at = self.repo.refs.read(ref_of(key))
        try:
            return read_text(self.repo, at).name if at else spelling.read(key)
        except MlgitException:
            return spelling.read(key)


def _replaying() -> ModuleType:
    # Imported when models are found that both sides changed: most have none.
    from mlgit.registry import replaying

    return replaying


def _names(sides: Sides) -> tuple[list[TagName], list[TagName]]:
    theirs, own = (
        [name for tag in tags if (name := parse_name(tag))] for tags in (sides.theirs, sides.own)
    )
    return theirs, own


def lines(renumbered: list[Renumbered], replayed: list[Replayed]) -> list[str]:
    """What a person is to know of tags that were made again, line by line."""
    return list(chain(map(_renumbered_line, renumbered), map(_replayed_line, replayed)))


def _renumbered_line(one: Renumbered) -> str:
    whose = f"; version {one.old} is {one.holder}'s" if one.holder else ""
    return f"{one.model}: your version {one.old} is version {one.new} now{whose}"


def _replayed_line(one: Replayed) -> str:
    line = f"{one.model}: your {one.tag} is {one.now} now, after what others did meanwhile"
    if one.over:
        line += f": version {one.version} takes the place of {one.over}"
    if one.idle:
        line += f": {one.idle}, so it changes nothing"
    return line
