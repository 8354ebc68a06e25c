"""What an artifact looks like on both sides: images, and the difference of texts and tables."""

from __future__ import annotations

import base64
from dataclasses import dataclass

from mlgit.exceptions import MlgitException
from mlgit.objects import Entry, LocalObjects
from mlgit.review.artifacts import ArtifactChange
from mlgit.review.textdiff import TextDiff, text_diff

MAX_IMAGE = 1 << 20
MAX_TEXT = 1 << 20
# How a file of each kind begins; what a name says of a file may be wrong.
_IMAGES = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF8", "image/gif"),
)


@dataclass(frozen=True)
class Preview:
    """An artifact on both sides.

    Attributes:
        old, new: The images as ``data:`` URLs; None where there is none.
        diff: The difference of two texts; None where they are none.
    """

    old: str | None = None
    new: str | None = None
    diff: TextDiff | None = None


def preview(objects: LocalObjects, change: ArtifactChange) -> Preview | None:
    """What can be shown of an artifact that changed.

    Args:
        objects: Where its bytes are; nothing is fetched.
        change: The artifact.

    Returns:
        None where it is of no kind that can be shown, too large, or not here.
    """
    if change.kind == "image":
        old, new = (_image(_bytes(objects, e, MAX_IMAGE)) for e in (change.old, change.new))
        return Preview(old, new) if old or new else None
    if change.kind not in ("text", "table"):
        return None
    texts = [b"" if e is None else _bytes(objects, e, MAX_TEXT) for e in (change.old, change.new)]
    if texts[0] is None or texts[1] is None:
        return None
    found = text_diff(texts[0], texts[1], max_lines=500)
    return Preview(diff=found) if found.text else None


def image(objects: LocalObjects, sha256: str) -> tuple[bytes, str] | None:
    """An image's bytes and media type; None where it is none, too large, or not here.

    Args:
        objects: Where its bytes are.
        sha256: Its digest.
    """
    size = objects.size(sha256)
    if size is None or size > MAX_IMAGE:
        return None
    try:
        data = objects.read(sha256)
    except MlgitException:
        return None
    kind = _image_kind(data)
    return (data, kind) if kind else None


def looks_like_image(objects: LocalObjects, sha256: str) -> bool:
    """Whether ``image`` would give something, by the beginning of its bytes.

    Args:
        objects: Where they are.
        sha256: Their digest.
    """
    size = objects.size(sha256)
    return size is not None and size <= MAX_IMAGE and begins_as_image(objects, sha256)


def begins_as_image(objects: LocalObjects, sha256: str) -> bool:
    """Whether an object, of whatever size, begins as an image does.

    Raises:
        ResourceDoesNotExist: It isn't here.
    """
    with objects.open(sha256) as file:
        return _image_kind(file.read(1000)) is not None


def _bytes(objects: LocalObjects, entry: Entry | None, largest: int) -> bytes | None:
    if entry is None or entry.size > largest or not objects.has(entry.sha256):
        return None
    try:
        return objects.read(entry.sha256)
    except MlgitException:
        return None


def _image(data: bytes | None) -> str | None:
    """Bytes as a ``data:`` URL; None where they are no image that is known by its beginning."""
    kind = _image_kind(data) if data is not None else None
    if data is None or kind is None:
        return None
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def _image_kind(data: bytes) -> str | None:
    """The media type that a file's beginning tells."""
    kind = next((kind for start, kind in _IMAGES if data.startswith(start)), None)
    if kind is None and data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        kind = "image/webp"
    if kind is None and b"<svg" in data[:1000]:
        kind = "image/svg+xml"  # in an <img> it runs no script and loads nothing
    return kind
