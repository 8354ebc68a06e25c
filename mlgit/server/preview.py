"""What can be shown of a file: an image, sound, a film, a table, text, JSON, Markdown, or HTML in a frame."""

from __future__ import annotations

import csv
import io
import json
import posixpath
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from mlgit.objects import Entry
from mlgit.review.previews import begins_as_image
from mlgit.server.markdown import to_html
from mlgit.store.gitstore import GitStore

# What browsers draw, and can be trusted with as images: scripts in an SVG don't run in one.
IMAGES = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".gif": "image/gif",
    ".webp": "image/webp",
    ".svg": "image/svg+xml",
}
# What browsers play.
MEDIA = {
    ".mp3": "audio/mpeg",
    ".wav": "audio/wav",
    ".flac": "audio/flac",
    ".ogg": "audio/ogg",
    ".oga": "audio/ogg",
    ".m4a": "audio/mp4",
    ".mp4": "video/mp4",
    ".webm": "video/webm",
    ".ogv": "video/ogg",
}
_TABLES = {".csv": ",", ".tsv": "\t"}
MOST_BYTES = 512 * 1024
_MOST_ROWS = 500
_MOST_COLUMNS = 100
_MOST_CELL = 500
_MOST_HEAD = 60


@dataclass(frozen=True)
class Preview:
    """A file, as far as it is shown.

    Attributes:
        kind: "image", "audio", "video", "table", "text", "markdown", "html", "binary" or "absent".
        text: Of text.
        html: Of Markdown: safe markup.
        rows: Of a table, the head first.
        note: What isn't shown of it.
    """

    kind: str
    text: str = ""
    html: str = ""
    rows: Sequence[Sequence[str]] = ()
    note: str = ""

    @property
    def heads(self) -> list[tuple[str, str]]:
        """The heads of a table's columns, as ``macros.html`` takes them."""
        return [(cell[:_MOST_HEAD], "") for cell in (self.rows[0] if self.rows else ())]


def preview(store: GitStore, path: str, entry: Entry) -> Preview:
    """What to show of a file. No more of it than ``MOST_BYTES`` is read into memory.

    Args:
        store: The repository.
        path: The artifact's path; its suffix tells what it is.
        entry: The file.

    Raises:
        CorruptData: Its bytes aren't what was logged.
    """
    objects = store.objects
    suffix = posixpath.splitext(path)[1].lower()
    if not objects.has(entry.sha256):
        return Preview("absent")
    if suffix in IMAGES:
        if suffix == ".svg" or begins_as_image(objects, entry.sha256):
            return Preview("image")
        return Preview("binary", note="This isn't an image, whatever its name says.")
    if suffix in MEDIA:
        return Preview(MEDIA[suffix].partition("/")[0])
    if suffix in (".html", ".htm"):
        return Preview("html")
    if not objects.is_whole(entry.sha256) and not objects.verify(entry.sha256):
        raise objects.damaged(entry.sha256)
    with objects.open(entry.sha256) as f:
        data = f.read(MOST_BYTES)
    if b"\0" in data[:8000]:
        return Preview("binary")
    text = data.decode("utf-8", "replace")
    cut = entry.size > len(data)
    note = f"Only the first {MOST_BYTES // 1024} KiB are shown." if cut else ""
    if suffix in _TABLES:
        return _table(text, _TABLES[suffix], note)
    if suffix in (".md", ".markdown"):
        return Preview("markdown", text, to_html(text), note=note)
    if suffix == ".json" and not cut:
        return _json(text)
    return Preview("text", text, note=note)


def _table(text: str, delimiter: str, note: str) -> Preview:
    try:
        found = list(islice(csv.reader(io.StringIO(text), delimiter=delimiter), _MOST_ROWS + 2))
    except csv.Error:
        return Preview("text", text, note=note)
    if len(found) > _MOST_ROWS + 1:
        note = f"Only the first {_MOST_ROWS} rows are shown."
    return Preview("table", text, rows=_cut(found[: _MOST_ROWS + 1]), note=note)


def _json(text: str) -> Preview:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return Preview("text", text, note="This isn't JSON, whatever its name says.")
    rows = _logged_table(found)
    if rows is not None:
        note = f"Only the first {_MOST_ROWS} rows are shown." if len(rows) > _MOST_ROWS + 1 else ""
        return Preview("table", text, rows=_cut(rows[: _MOST_ROWS + 1]), note=note)
    return Preview("text", json.dumps(found, indent=2, ensure_ascii=False)[: 2 * MOST_BYTES])


def _logged_table(found: Any) -> list[list[Any]] | None:
    """The rows of what ``log_table`` wrote, the head first; None where it is something else."""
    if not isinstance(found, dict) or not isinstance(found.get("columns"), list):
        return None
    data = found.get("data")
    if not isinstance(data, list) or not all(isinstance(row, list) for row in data):
        return None
    return [found["columns"], *data]


def _cut(rows: Sequence[Sequence[Any]]) -> list[list[str]]:
    return [
        [(cell if isinstance(cell, str) else json.dumps(cell))[:_MOST_CELL] for cell in row][
            :_MOST_COLUMNS
        ]
        for row in rows
    ]
