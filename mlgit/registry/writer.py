"""Writing to the registry: tags that are only ever added, and commits of a model's text."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from mlgit.exceptions import Conflict, InvalidParameterValue
from mlgit.git.commits import signature
from mlgit.git.signing import signer, signs_tags
from mlgit.git.tags import Tag, format_tag
from mlgit.registry import rows
from mlgit.registry.commits import on_top, own_commit
from mlgit.registry.index import RegistryIndex
from mlgit.registry.locking import only_writer
from mlgit.registry.tags import (
    ASSIGN,
    REGISTER,
    TAGS,
    UNASSIGN,
    TagName,
    format_message,
    format_name,
    parse_name,
)
from mlgit.registry.text import ModelText, read_text, ref_of, write_text
from mlgit.store.timeform import now_ms, to_iso

_ATTEMPTS = 10
# So many loose tags are packed at once: a folder of more is slow to list.
_MANY = 100
# One more for so many bytes of packed refs, which are all written anew.
_PACKED = 50_000

# Puts a signature into a tag (``mlgit.git.signing``).
Signer = Callable[[Tag], Tag]


class Writer:
    """Writes one repository's tags and texts.

    Args:
        index: The registry's index.
        user: Gives the person's name in the system.
    """

    def __init__(self, index: RegistryIndex, user: Callable[[], str]) -> None:
        self.index = index
        self.repo = index.repo
        self.user = user
        # Of each model the count and the time of the last tag that the index has not seen.
        self._last: dict[str, tuple[int, int]] | None = None

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Be the only writer of this clone.

        Raises:
            PermissionDenied, StorageError: The lock can't be made.
        """
        with only_writer(self.repo), self.index.settled():
            yield

    @contextmanager
    def together(self) -> Iterator[None]:
        """Look at the refs once for all tags that are written meanwhile, at the end."""
        if self._last is not None:
            yield
            return
        self._last = {}
        try:
            yield
        finally:
            self._last = None
            self.index.refresh()

    # -- tags

    def register(
        self,
        key: str,
        model: str,
        commit: str | None,
        message: dict[str, Any],
        now: int,
        sign: Signer | None = None,
    ) -> int:
        """Register the next version of a model.

        Args:
            key: The model's key.
            model: Its name.
            commit: What the version is of; None for a commit of its own.
            message: What the tag's message says, besides what all say.
            now: The time, in milliseconds since 1970.
            sign: Signs the tag; what Git's configuration says where None.

        Returns:
            The version's number.

        Raises:
            Conflict: Others register versions all the time.
            InvalidState: It can't be signed, or no number is left.
            StorageError, PermissionDenied: It can't be written.
        """
        for _ in range(_ATTEMPTS):
            number, carrying = self._next(key, commit)
            full = self._message(REGISTER, model, number, message, now)
            target = commit
            if commit is None:
                target = own_commit(self.repo, model, number, format_message(full), now)
            elif carrying:
                target = on_top(self.repo, commit, model, number, now)
            try:
                name = TagName(key, REGISTER, version=f"{number}.0.0")
                self._tag(key, name, str(target), full, sign)
                return number
            except Conflict:
                self.index.refresh()  # GTO, or a fetch, was faster: the next number
        raise Conflict(f"Versions of {model!r} keep being registered by somebody else")

    def mark(
        self,
        name: TagName,
        model: str,
        number: int,
        commit: str,
        message: dict[str, Any],
        now: int,
        sign: Signer | None = None,
    ) -> str:
        """Write any other tag about a version; its count is given here.

        Args:
            name: What the tag says.
            model: The model's name.
            number: The version.
            commit: The version's commit.
            message: What the tag's message says, besides what all say.
            now: The time, in milliseconds since 1970.
            sign: Signs the tag; what Git's configuration says where None.

        Returns:
            The tag's name.

        Raises:
            Conflict: Others write tags of this model all the time.
            InvalidState: It can't be signed, or no number is left.
            StorageError, PermissionDenied: It can't be written.
        """
        full = self._message(name.event, model, number, message, now)
        for _ in range(_ATTEMPTS):
            try:
                return self._tag(name.key, name, commit, full, sign)
            except Conflict:
                if name.event not in (ASSIGN, UNASSIGN):
                    raise
                self.index.refresh()
        raise Conflict(f"Tags of {model!r} keep being made by somebody else")

    def _message(
        self, event: str, model: str, number: int, message: dict[str, Any], now: int
    ) -> dict[str, Any]:
        head = {"event": event, "model": model, "version": number}
        return {**head, "time": to_iso(now), "user": self.user(), **message}

    def _tag(
        self,
        key: str,
        name: TagName,
        commit: str,
        message: dict[str, Any],
        sign: Signer | None = None,
    ) -> str:
        highest = self.index.ask(
            lambda c: c.execute(
                "SELECT coalesce(max(count), 0), coalesce(max(at), 0) FROM events WHERE key=?",
                (key,),
            ).fetchone()
        )
        unseen = (self._last or {}).get(key, (0, 0))
        count, at = max(highest[0], unseen[0]), max(highest[1], unseen[1])
        if name.event in (ASSIGN, UNASSIGN):
            name = TagName(key, name.event, alias=name.alias, count=count + 1)
        shown = format_name(name)
        seconds = max(now_ms() // 1000, at + 1)
        tagger = signature(self.repo.committer(), seconds * 1000)
        tag = Tag(commit, "commit", shown, tagger, format_message(message))
        if sign is None and signs_tags(self.repo):
            sign = signer(self.repo)
        if sign is not None:
            tag = sign(tag)
        sha = self.repo.objects.write("tag", format_tag(tag))
        self.repo.refs.update(TAGS + shown, sha, None)
        if self._last is None:
            self.index.refresh()
        else:
            self._last[key] = max(count, name.count), seconds
        return shown

    def tidy(self) -> None:
        """Pack loose tags where there are many."""
        try:
            with os.scandir(f"{self.repo.common_dir}/{TAGS}") as entries:
                loose = sum(1 for _ in entries)
            if loose > _MANY + self.repo.refs.packed_stamp()[1] // _PACKED:
                self.repo.refs.pack(TAGS)
        except (OSError, Conflict):
            pass  # somebody else is at it, or nothing may be written: the tags are there

    def _next(self, key: str, commit: str | None) -> tuple[int, bool]:
        """The next version's number, and whether a commit carries one of the model already."""
        first = f"{TAGS}{key}@v"
        rows_ = self.index.ask(
            lambda c: c.execute(
                "SELECT ref, target FROM events WHERE ref>=? AND ref<?",
                (first, f"{TAGS}{key}@w"),
            ).fetchall()
        )
        # Also numbers that can't be read as versions: their names are taken.
        highest = max((_major(ref[len(first) :]) for ref, _ in rows_), default=0)
        carrying = any(t == commit and parse_name(ref[len(TAGS) :]) for ref, t in rows_)
        return highest + 1, carrying

    # -- text

    def edit(
        self, key: str, name: str, subject: str, change: Callable[[ModelText], None], now: int
    ) -> None:
        """Change a model's text.

        Args:
            key: The model's key.
            name: Its name, where it has no text yet.
            subject: What is changed, in a few words.
            change: Changes the text.
            now: The time, in milliseconds since 1970.

        Raises:
            Conflict: Somebody else changes it all the time.
            StorageError, PermissionDenied: It can't be written.
        """
        ref = ref_of(key)
        for _ in range(_ATTEMPTS):
            old = self.repo.refs.read(ref)
            text = read_text(self.repo, old) if old else ModelText(name)
            change(text)
            try:
                write_text(self.repo, key, text, old, subject, now)
                self.index.refresh()
                return
            except Conflict:
                if self.repo.refs.read(ref) == old:
                    raise  # somebody holds its lock
        raise Conflict(f"The text of {name!r} keeps being changed by somebody else")

    def free_key(self, key: str) -> str:
        """A key that no text has, and no tag that can be used: this one, or it and a number."""
        for number in range(1, 10_000):
            candidate = key if number == 1 else f"{key}-{number}"
            taken = self.index.ask(
                lambda c, k=candidate: c.execute(  # type: ignore[misc]
                    "SELECT 1 FROM events WHERE key=? AND problem IS NULL "
                    "UNION ALL SELECT 1 FROM texts WHERE key=?",
                    (k, k),
                ).fetchone()
            )
            if not taken:
                return candidate
        raise InvalidParameterValue(f"No key is free for {key!r}")

    def state(self, key: str) -> Any:
        """A model's state as it is now."""
        return self.index.ask(lambda c: rows.state_of(c, key))


def _major(version: str) -> int:
    """The first number of a version as a tag's name has it; 0 of what isn't one."""
    digits = version.partition(".")[0]
    return int(digits) if digits.isdecimal() and digits.isascii() else 0
