"""A three-way merge of flat mappings, key by key."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

K = TypeVar("K")
V = TypeVar("V")


@dataclass(frozen=True)
class Clash:
    """A key that both sides set, to different values.

    Attributes:
        key: What it is, for a person: "tag team", "metric loss".
        base: Its value before they parted; None where it wasn't there.
        ours, theirs: Its value in this clone and in the remote; None where it was removed.
    """

    key: str
    base: str | None
    ours: str | None
    theirs: str | None


@dataclass(frozen=True)
class Apart:
    """A ref that both sides changed in ways that don't go together; neither was touched.

    Attributes:
        ref: Its name.
        ours, theirs: The commits of this clone and of the remote.
        clashes: What both set to different values.
    """

    ref: str
    ours: str
    theirs: str
    clashes: list[Clash]


def merge(
    base: Mapping[K, V],
    ours: Mapping[K, V],
    theirs: Mapping[K, V],
    shown: Callable[[K], str] = str,
    text: Callable[[V], str] = str,
) -> tuple[dict[K, V], list[Clash]]:
    """Merge two mappings that were made from one.

    Args:
        base: What both began with; empty where nothing is known of that.
        ours, theirs: What became of it.
        shown: A key for a person.
        text: A value for a person.

    Returns:
        The merged mapping, and the keys that both set to different values; those are as they
        were in ``base``.
    """
    merged: dict[K, V] = {}
    clashes = []

    def said(value: V | None) -> str | None:
        return None if value is None else text(value)

    for key in dict.fromkeys([*base, *ours, *theirs]):
        before, mine, yours = base.get(key), ours.get(key), theirs.get(key)
        if mine == yours or yours == before:
            kept = mine
        elif mine == before:
            kept = yours
        else:
            clashes.append(Clash(shown(key), said(before), said(mine), said(yours)))
            kept = before
        if kept is not None:
            merged[key] = kept
    return merged, clashes
