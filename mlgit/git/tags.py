"""Annotated tags as bytes: format and parse side by side."""

from __future__ import annotations

import re
from dataclasses import dataclass

from mlgit.exceptions import CorruptData

# The last line that begins so begins the signature (gitformat-signature(5)).
_SIGNATURE = re.compile(
    rb"^-----BEGIN (?:PGP SIGNATURE|PGP MESSAGE|SSH SIGNATURE|SIGNED MESSAGE)-----", re.MULTILINE
)


@dataclass(frozen=True)
class Tag:
    """An annotated tag.

    Attributes:
        target: The object that it names.
        kind: What that is: "commit", "tree", "blob" or "tag".
        name: The tag's own name.
        tagger: "Name <email> seconds zone"; "" where there is none.
        message: Without the signature.
        signature: The signature's block; "" where there is none.
    """

    target: str
    kind: str
    name: str
    tagger: str
    message: str
    signature: str = ""

    @property
    def time(self) -> int:
        """The tagger's time in seconds since 1970; 0 where there is none."""
        found = re.search(r"> (\d{1,18}) [+-]\d{4}\Z", self.tagger)
        return int(found[1]) if found else 0

    @property
    def person(self) -> str:
        """The tagger's "Name <email>"."""
        return self.tagger.rpartition("> ")[0] + ">" if "> " in self.tagger else self.tagger


def format_tag(tag: Tag) -> bytes:
    """A tag's bytes, as Git stores them."""
    lines = [f"object {tag.target}", f"type {tag.kind}", f"tag {tag.name}", f"tagger {tag.tagger}"]
    text = "\n".join([*lines, "", tag.message + tag.signature])
    return text.encode("utf-8", "surrogateescape")


def parse_tag(raw: bytes) -> Tag:
    """A tag from its bytes.

    Raises:
        CorruptData: The bytes aren't a tag.
    """
    payload, signature = (part.decode("utf-8", "surrogateescape") for part in split_signature(raw))
    head, _, message = payload.partition("\n\n")
    found = dict(line.partition(" ")[::2] for line in reversed(head.split("\n")))
    if not re.match(r"^[0-9a-f]{40}\Z", found.get("object", "")) or not found.get("type"):
        raise CorruptData("A Git tag is damaged", hint="git fsck tells which")
    return Tag(
        found["object"],
        found["type"],
        found.get("tag", ""),
        found.get("tagger", ""),
        message,
        signature,
    )


def split_signature(raw: bytes) -> tuple[bytes, bytes]:
    """What is signed of a tag's bytes, and the signature; b"" where there is none."""
    starts = [found.start() for found in _SIGNATURE.finditer(raw)]
    at = starts[-1] if starts else len(raw)
    return raw[:at], raw[at:]
