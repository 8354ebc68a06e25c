"""Putting a clone's own tags of a model on top of others' (docs/format.md, "Two clones at once").

Objects are read and written here, refs are not: whoever asks gets the tags that there shall be.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from mlgit.exceptions import InvalidState, MlgitException
from mlgit.git import Repository
from mlgit.git.commits import parse_commit, signature
from mlgit.git.signing import signer, signs_tags
from mlgit.git.tags import Tag, format_tag, parse_tag
from mlgit.git.trees import lookup
from mlgit.registry.commits import VERSION_FILE, on_top, own_commit, subject
from mlgit.registry.state import ModelState, commits_of, replay, take, version_meant
from mlgit.registry.tags import (
    ASSIGN,
    DEREGISTER,
    REGISTER,
    UNASSIGN,
    Event,
    TagName,
    format_message,
    format_name,
    parse_message,
    parse_name,
    read_event,
)
from mlgit.registry.targets import target_of
from mlgit.registry.writer import Signer
from mlgit.store import spelling
from mlgit.store.timeform import now_ms

_COUNTED = (ASSIGN, UNASSIGN)
# Keys of a message that name another tag; "previous" is found anew.
_NAMING = ("because", "restores")
_SOURCE = re.compile(r"^models:/+(?P<name>[^/@]+)/(?P<number>[0-9]{1,18})\Z")


@dataclass(frozen=True)
class Renumbered:
    """A version that has another number now.

    Attributes:
        model: The model's name.
        old, new: Its number before and now.
        holder: Who made the version that has the old number; "" where that isn't known.
    """

    model: str
    old: int
    new: int
    holder: str = ""


@dataclass(frozen=True)
class Replayed:
    """A tag that comes after others' now.

    Attributes:
        model: The model's name.
        tag, now: What it was called, and is called now.
        version: The version that it is about.
        over: Who gave the stage or alias meanwhile: "version 3, by Ada"; "" where nobody did.
        idle: Why it changes nothing any more; "" where it does what it did.
    """

    model: str
    tag: str
    now: str
    version: int | None
    over: str = ""
    idle: str = ""


@dataclass
class Replay:
    """What becomes of a model's own tags.

    Attributes:
        gone: Names of tags that aren't there any more, by themselves.
        made: The tag objects, by name, that there are instead.
        numbers: The new numbers of versions, by the old ones.
        renumbered, replayed: What is to be said of it.
    """

    gone: set[str] = field(default_factory=set)
    made: dict[str, str] = field(default_factory=dict)
    numbers: dict[int, int] = field(default_factory=dict)
    renumbered: list[Renumbered] = field(default_factory=list)
    replayed: list[Replayed] = field(default_factory=list)


def new_numbers(taken: Iterable[int], highest: int, own: Iterable[int]) -> dict[int, int]:
    """The numbers that a clone's own versions get, those that change.

    Their order stays: what was the newest of them is so again.

    Args:
        taken: The numbers of the others' versions.
        highest: The highest that any of the others' tags names.
        own: The numbers that they have.
    """
    others, last = set(taken), 0
    found = {}
    for number in sorted(own):
        new = number
        if number in others or number <= last:
            new = max(highest, last) + 1
            found[number] = new
        last = new
    return found


def have_crossed(theirs: Iterable[TagName], own: Iterable[TagName]) -> bool:
    """Whether a clone's own tags of a model have to come after others', by their names."""
    names = set(theirs)
    highest = max((name.count for name in names), default=0)
    return any(
        name in names or (name.event in _COUNTED and 0 < name.count <= highest) for name in own
    )


def numbers_of(theirs: Iterable[TagName], own: Iterable[TagName]) -> dict[int, int]:
    """The new numbers of a clone's own versions, by tags' names alone; see ``new_numbers``."""
    versions = [name for name in theirs if name.version]
    return new_numbers(
        [number for name in versions if name.event == REGISTER and (number := name.number)],
        max((int(name.version.split(".")[0]) for name in versions), default=0),
        [number for name in own if name.event == REGISTER and (number := name.number)],
    )


@dataclass(frozen=True)
class Sides:
    """The tags of one model.

    Attributes:
        key: The model's key.
        theirs: Those that can't be changed: the remote's, and what is published elsewhere.
        own: This clone's own, that nobody else has.
        here: All that this clone has now.
    """

    key: str
    theirs: Mapping[str, str]
    own: Mapping[str, str]
    here: Mapping[str, str]


def put_on_top(
    repo: Repository,
    sides: Sides,
    moved: Mapping[tuple[str, int], int] | None = None,
    sign: Signer | None = None,
) -> Replay:
    """Make the tags by which a clone's own come after the others'.

    Args:
        repo: The repository, which has all of the tags' objects.
        sides: The tags.
        moved: The new numbers of other models' versions, by model and number: what was copied
            from them says so.
        sign: Signs those that were signed; what Git's configuration says where None.

    Raises:
        InvalidState: One was signed, and there is nothing to sign with.
        CorruptData, ResourceDoesNotExist, StorageError: Something can't be read or written.
    """
    return _Replaying(repo, sides, moved or {}, sign).done()


class _Replaying:
    def __init__(
        self,
        repo: Repository,
        sides: Sides,
        moved: Mapping[tuple[str, int], int],
        sign: Signer | None,
    ) -> None:
        self.repo = repo
        self.sides = sides
        self.moved = moved
        self.sign = sign
        self.theirs, self.own = self._read(sides.theirs), self._read(sides.own)
        self.names = {name for tag in sides.theirs if (name := parse_name(tag))}
        self.count = max((name.count for name in self.names), default=0)
        self.found = Replay(numbers=numbers_of(self.names, [event.name for event in self.own]))
        self.commits: dict[int, str] = {}
        self.renamed: dict[str, str] = {}
        self.at = 0

    def _read(self, tags: Mapping[str, str]) -> list[Event]:
        """The tags that can be used, in the order in which they were made."""
        found, present = [], set[str]()
        for tag, sha in tags.items():
            name = parse_name(tag)
            if name is None:
                continue
            try:
                found.append(read_event(self.repo, name, tag, sha, present))
            except MlgitException:
                continue  # mlgit leaves these out everywhere, and says so
        return sorted(found, key=lambda event: (event.at, event.order))

    def done(self) -> Replay:
        """All of it."""
        registered = [event for event in self.own if event.name.event == REGISTER]
        marks = [event for event in self.own if event.name.event != REGISTER]
        anew = [event for event in registered if self._changes(event)]
        self.crossed = have_crossed(self.names, [event.name for event in marks])
        # One that is dated anew comes after those that were later: so all of them are.
        again = marks if self.crossed or self._touched(marks) else []
        staying = [event for event in self.own if event not in anew and event not in again]
        self.at = max((event.at for event in [*self.theirs, *staying]), default=0)
        self.carried = commits_of([*self.theirs, *(e for e in staying if e in registered)])
        versions = [event for event in registered if event not in anew]
        versions += [self._registered(event) for event in anew]
        if again:
            known = [e for e in self.theirs if self.sides.here.get(e.tag) == e.sha]
            local = commits_of([*known, *registered])
            state = replay(self.sides.key, [*self.theirs, *versions], None)
            for event in again:
                self._mark(event, state, local)
        return self.found

    def _changes(self, event: Event) -> bool:
        return event.name.number in self.found.numbers or self._new_source(event) is not None

    def _touched(self, marks: list[Event]) -> bool:
        """Whether something is said about a version that has another number now."""
        numbers = self.found.numbers
        commits = {
            event.commit
            for event in self.own
            if event.name.event == REGISTER and event.name.number in numbers
        }
        return any(
            event.commit in commits or (event.name.version and event.name.number in numbers)
            for event in marks
        )

    # -- versions

    def _registered(self, event: Event) -> Event:
        """A version's tag under its new number, or with its new source."""
        old = event.name.number or 0
        new = self.found.numbers.get(old, old)
        name = TagName(self.sides.key, REGISTER, version=f"{new}.0.0")
        changed: dict[str, Any] = {"version": new}
        if source := self._new_source(event):
            changed["source"] = source
        if new != old:
            changed["renumbered_from"] = event.message.get("renumbered_from", old)
        text = self._text(event, changed, ())
        commit = event.commit if new == old else self._commit(event, old, new, text)
        self.commits[old] = commit
        self.carried.setdefault(commit, []).append(new)
        made = self._tag(event, name, commit, text)
        if new != old:
            holder = next(
                (e for e in self.theirs if e.name.event == REGISTER and e.name.number == old), None
            )
            who = holder.person.partition(" <")[0] if holder else ""
            self.found.renumbered.append(Renumbered(self._model(event), old, new, who))
        return made

    def _commit(self, event: Event, old: int, new: int, text: str) -> str:
        """The commit that a renumbered version is of: its own, unless it says the number."""
        objects, model = self.repo.objects, self._model(event)
        commit = parse_commit(objects.commit(event.commit))
        below = event.commit
        if commit.message.split("\n", 1)[0] == subject(model, old):
            if not commit.parents and lookup(objects, commit.tree, VERSION_FILE):
                return own_commit(self.repo, model, new, text, event.time)
            for parent in commit.parents[:1]:
                same = parse_commit(objects.commit(parent)).tree == commit.tree
                below = parent if same else below
        if below not in self.carried:
            return below
        return on_top(self.repo, below, model, new, event.time)

    def _new_source(self, event: Event) -> str | None:
        """The source of a copy whose original has another number now."""
        match = _SOURCE.match(event.text("source") or "")
        new = self.moved.get((unquote(match["name"]), int(match["number"]))) if match else None
        return f"models:/{match['name']}/{new}" if match and new is not None else None

    # -- stages, aliases and deletions

    def _mark(self, event: Event, state: ModelState, local: Mapping[str, list[int]]) -> None:
        """What is said about a version, said again."""
        old = event.name.number if event.name.version else None
        if event.name.event in _COUNTED:
            old = version_meant(event, local.get(event.commit, []))
        numbers = self.found.numbers
        new = numbers.get(old, old) if old is not None else None
        commit = event.commit if old is None else self.commits.get(old, event.commit)
        name = self._name(event, new)
        changed: dict[str, Any] = {"version": new} if new is not None else {}
        held = _held(state, new, event) if new is not None else None
        if held:
            changed["previous"] = held[1].tag
            if event.name.event != DEREGISTER:
                changed["previous_version"] = held[0]
        for key in _NAMING:
            if event.text(key) in self.renamed:
                changed[key] = self.renamed[event.message[key]]
        if name != event.name:
            changed["replayed_from"] = event.message.get("replayed_from", event.tag)
        text = self._text(event, changed, ("previous", "previous_version"))
        made = self._tag(event, name, commit, text)
        if name != event.name:
            over = self._over(held, new) if event.name.event == ASSIGN else ""
            idle = "" if new is None or new in state.versions else f"version {new} is deleted"
            self.found.replayed.append(
                Replayed(self._model(event), event.tag, made.tag, new, over, idle)
            )
        if new is not None:
            take(state, new, made)

    def _name(self, event: Event, number: int | None) -> TagName:
        """The name that a tag gets: with a count above all others' where it needs one."""
        name = event.name
        if name.event == DEREGISTER:
            version = name.version if number is None else f"{number}.0.0"
            name = TagName(name.key, DEREGISTER, version=version, count=name.count)
        counted = name.event in _COUNTED and name.count > 0
        if (self.crossed and counted) or name in self.names:
            self.count += 1
            return TagName(name.key, name.event, name.version, name.alias, self.count)
        return name

    def _over(self, held: tuple[int, Event] | None, number: int | None) -> str:
        """Who gave meanwhile what is given again."""
        if held is None or held[0] == number:
            return ""
        if self.sides.theirs.get(held[1].tag) != held[1].sha:
            return ""
        if self.sides.here.get(held[1].tag) == held[1].sha:
            return ""  # it was known when the own tag was made
        return f"version {held[0]}, by {held[1].person.partition(' <')[0]}"

    # -- tags

    def _model(self, event: Event) -> str:
        return event.text("model") or spelling.read(self.sides.key)

    def _text(self, event: Event, changed: dict[str, Any], without: tuple[str, ...]) -> str:
        """A message with other values; one that isn't ours (GTO's) gets a line for a person."""
        if "format" in event.message:
            kept = {k: v for k, v in event.message.items() if k not in without}
            return format_message({**kept, **changed})
        text = parse_tag(self.repo.objects.read(event.sha)[1]).message.rstrip("\n")
        notes = [f"{k}: {v}" for k, v in changed.items() if k.endswith("_from")]
        return "\n".join([text, *(note for note in notes if note not in text)]) + "\n"

    def _tag(self, event: Event, name: TagName, commit: str, text: str) -> Event:
        """Write a tag that stands for another."""
        shown = format_name(name)
        self.at = max(now_ms() // 1000, self.at + 1)
        tagger = signature(event.person, self.at * 1000)
        tag = Tag(commit, "commit", shown, tagger, text)
        if event.signed:
            if self.sign is None and signs_tags(self.repo):
                self.sign = signer(self.repo)
            if self.sign is None:
                raise InvalidState(
                    f"The tag {event.tag} is signed, and has to be made again as {shown}: others "
                    "have been faster",
                    hint="mlgit push --sign, or git config tag.gpgSign true, signs it again with your key",
                )
            tag = self.sign(tag)
        sha = self.repo.objects.write("tag", format_tag(tag))
        self.renamed[event.tag] = shown
        self.found.gone.add(event.tag)
        self.found.made[shown] = sha
        self.names.add(name)
        message = parse_message(text, shown)
        return Event(shown, sha, name, commit, self.at, event.person, message, event.signed)


def _held(state: ModelState, number: int, event: Event) -> tuple[int, Event] | None:
    """The version that had what an event is about, and the tag that says so.

    Of what gives a stage or an alias that is who holds it; of what takes, the version itself.
    """
    version = state.versions.get(number)
    if event.name.event == DEREGISTER:
        return (number, version.event) if version else None
    target = target_of(event)
    if event.name.event == ASSIGN:
        return target.held(state)
    if target.is_stage:
        held = version.stages.get(target.name) if version else None
    else:
        held = state.aliases.get(target.name, {}).get(number)
    return (number, held) if held else None
