"""The artifacts of a run: folders, previews, and the files themselves.

A path is looked up by name in the run's record, a tree of names and digests; the disk is only
asked for the object of a digest. Nothing that a run logged is ever a page of this server: files are
attachments, and HTML is shown in a frame that its own policy gives an origin of its own.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Sequence
from itertools import islice
from urllib.parse import unquote

from flask import (
    Blueprint,
    Response,
    abort,
    render_template,
    request,
    send_file,
    stream_with_context,
)
from flask.typing import ResponseReturnValue

from mlgit.exceptions import InvalidParameterValue, ResourceDoesNotExist
from mlgit.objects import Entry
from mlgit.objects.tree import walk
from mlgit.server.preview import IMAGES, MEDIA, Preview, preview
from mlgit.server.shown_run import ShownRun, shown_run
from mlgit.server.site import store
from mlgit.server.zipped import zipped
from mlgit.store.absent import bring

pages = Blueprint("artifacts", __name__)
_MOST_ENTRIES = 1000
_MOST_IMAGES = 24
_IMAGE_BYTES = 8 << 20
_MOST_ZIPPED = 10_000
FILE_POLICY = "sandbox; default-src 'none'; frame-ancestors 'none'"
# A page of its own: no scripts, no network, no origin that anything else has.
_STILL = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data: blob:; font-src data:; "
    "media-src data: blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
)
FRAME_POLICY = f"sandbox; {_STILL}"
SCRIPT_POLICY = f"sandbox allow-scripts; script-src 'unsafe-inline' 'unsafe-eval' blob:; {_STILL}"


@pages.get("/runs/<run_id>/artifacts/")
@pages.get("/runs/<run_id>/artifacts/<path:path>")
def browse(run_id: str, path: str = "") -> ResponseReturnValue:
    """A folder's files, or a file's preview beside them."""
    run = shown_run(run_id)
    found = _find(run, path)
    shown: Preview | None = None
    folder, entries = path.strip("/"), found
    if isinstance(found, Entry):
        shown = preview(store(), path, found)
        folder = posixpath.dirname(path)
        entries = _find(run, folder)
    assert isinstance(entries, dict)
    listed = sorted(entries.items(), key=lambda item: (item[1].kind != "d", item[0]))
    return render_template(
        "run/artifacts.html",
        run=run,
        path=path.strip("/"),
        folder=folder,
        entries=listed[:_MOST_ENTRIES],
        left_out=max(0, len(listed) - _MOST_ENTRIES),
        file=found if isinstance(found, Entry) else None,
        preview=shown,
        images=[] if shown else _images(listed),
        scripts=request.args.get("scripts") == "1",
    )


@pages.get("/runs/<run_id>/file/<path:path>")
def file(run_id: str, path: str) -> Response:
    """A file's bytes, verified, as an attachment."""
    entry = _file(shown_run(run_id), path)
    name = posixpath.basename(path)
    suffix = posixpath.splitext(name)[1].lower()
    kind = (IMAGES | MEDIA).get(suffix, "application/octet-stream")
    response = send_file(
        _place(entry),
        mimetype=kind,
        as_attachment=True,
        download_name=_header_safe(name),
        etag=entry.sha256,
        conditional=True,
    )
    response.headers["Content-Security-Policy"] = FILE_POLICY
    return response


@pages.get("/runs/<run_id>/zip/")
@pages.get("/runs/<run_id>/zip/<path:path>")
def folder(run_id: str, path: str = "") -> Response:
    """A folder, with all that is below it, as a ZIP archive."""
    run = shown_run(run_id)
    found = _find(run, path)
    if isinstance(found, Entry):
        raise InvalidParameterValue(f"The artifact {path[:200]} is a file, not a folder")
    files = list(islice(walk(store().objects, found), _MOST_ZIPPED + 1))
    command = f"mlgit artifacts download {run.id[:8]} writes folders of any size"
    if len(files) > _MOST_ZIPPED:
        raise InvalidParameterValue(
            f"More than {_MOST_ZIPPED} files aren't sent as one archive", hint=command
        )
    missing = [name for name, entry in files if not store().objects.has(entry.sha256)]
    if missing:
        raise ResourceDoesNotExist(
            f"{len(missing)} of {len(files)} files aren't in this clone, such as {missing[0]}",
            hint=f"mlgit fetch --artifacts brings them; {command}",
        )
    response = Response(stream_with_context(zipped(_placed(files))), mimetype="application/zip")
    name = _header_safe(posixpath.basename(path.strip("/")) or run.name).replace("/", "_")
    response.headers.set("Content-Disposition", "attachment", filename=f"{_latin(name)}.zip")
    response.headers["Content-Security-Policy"] = FILE_POLICY
    return response


def _placed(files: Sequence[tuple[str, Entry]]) -> Iterator[tuple[str, Entry, str]]:
    for name, entry in files:
        yield name, entry, _place(entry)


@pages.get("/runs/<run_id>/frame/<path:path>")
def frame(run_id: str, path: str) -> Response:
    """An HTML file, to be shown in a frame; ``scripts=1`` lets it run its own, cut off from all."""
    entry = _file(shown_run(run_id), path)
    if posixpath.splitext(path)[1].lower() not in (".html", ".htm"):
        raise InvalidParameterValue("Only HTML is shown in a frame")
    response = send_file(_place(entry), mimetype="text/html", etag=entry.sha256)
    scripts = request.args.get("scripts") == "1"
    response.headers["Content-Security-Policy"] = SCRIPT_POLICY if scripts else FRAME_POLICY
    response.headers["X-Frame-Options"] = "SAMEORIGIN"
    return response


@pages.post("/runs/<run_id>/bring/<path:path>")
def fetch(run_id: str, path: str) -> ResponseReturnValue:
    """Fetch a file from the remote."""
    bring(store().repo, store().objects, [_file(shown_run(run_id), path)])
    return browse(run_id, path)


def _find(run: ShownRun, path: str) -> Entry | dict[str, Entry]:
    _refuse_climbing(path)
    return run.store.artifact(run.id, path)


def _file(run: ShownRun, path: str) -> Entry:
    found = _find(run, path)
    if not isinstance(found, Entry):
        raise InvalidParameterValue(
            f"The artifact {path[:200]} is a folder, not a file",
            hint=f"mlgit artifacts download {run.id[:8]} writes folders",
        )
    return found


def _refuse_climbing(path: str) -> None:
    """Refuse a path that climbs however often it is decoded.

    Nothing below would follow it; a request that tries is no mistake of a person's.
    """
    for _ in range(8):
        if ".." in path.replace("\\", "/").split("/") or "\0" in path:
            abort(400, "This path leads out of the run")
        decoded = unquote(path, errors="replace")
        if decoded == path:
            return
        path = decoded
    abort(400, "This path is encoded too often")


def _place(entry: Entry) -> str:
    """Where an object's bytes are, once they are known to be right."""
    objects = store().objects
    if not objects.has(entry.sha256):
        raise ResourceDoesNotExist(
            "This file isn't in this clone", hint="mlgit fetch --artifacts brings it"
        )
    if not objects.is_whole(entry.sha256) and not objects.verify(entry.sha256):
        raise objects.damaged(entry.sha256)
    return objects.path(entry.sha256)


def _header_safe(name: str) -> str:
    return "".join(c if c.isprintable() and c not in '"\\' else "_" for c in name) or "file"


def _latin(name: str) -> str:
    """A name as a header can hold it."""
    return name.encode("ascii", "replace").decode().replace("?", "_")


def _images(listed: Sequence[tuple[str, Entry]]) -> list[str]:
    """The names of the folder's images that are worth showing right away."""
    found = [
        name
        for name, entry in listed
        if posixpath.splitext(name)[1].lower() in IMAGES
        and entry.kind != "d"
        and entry.size <= _IMAGE_BYTES
        and store().objects.has(entry.sha256)
    ]
    return found[:_MOST_IMAGES]
