"""Two revisions side by side: the comparison of ``mlgit diff`` and ``mlgit report`` as a page."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

from flask import Blueprint, Response, make_response, render_template, request, url_for
from flask.typing import ResponseReturnValue
from markupsafe import Markup

from mlgit.exceptions import InvalidParameterValue, MlgitException, ResourceDoesNotExist
from mlgit.review import previews
from mlgit.review.artifacts import ArtifactChange
from mlgit.review.branches import sides_of
from mlgit.review.compare import SECTIONS, Comparison, compare
from mlgit.review.curves import MOST_POINTS
from mlgit.review.page import fragment, to_html
from mlgit.review.report import Report
from mlgit.review.revisions import WORKTREE, Revision, resolve_pair
from mlgit.server.artifacts import FILE_POLICY
from mlgit.server.site import site, store

pages = Blueprint("diff", __name__)
_POINTS = 600
_SUGGESTED = 30


@dataclass(frozen=True)
class Shown:
    """What the page compares.

    Attributes:
        comparison: The comparison.
        headline: The verdict of a pull request; "" for any other two revisions.
        tone: Whether that is "good" or "bad"; "" for neither.
        remarks: What a reviewer should know.
    """

    comparison: Comparison
    headline: str = ""
    tone: str = ""
    remarks: tuple[str, ...] = ()


@pages.get("/diff")
def index() -> ResponseReturnValue:
    """What two revisions differ by: ``a`` and ``b``, or ``a=A..B``, or ``base`` and ``head``."""
    problem, shown, body = None, None, Markup("")
    try:
        shown = _shown(_POINTS)
        if shown:
            body = Markup(fragment(shown.comparison, **_how(shown), previewer=_linked))
    except MlgitException as error:
        problem = error
    page = render_template(
        "revisions.html",
        shown=shown,
        body=body,
        problem=problem,
        sections=SECTIONS,
        chosen=_sections(),
        everything=_everything(),
        suggested=_suggested(),
        runs=[] if shown is None else [_run_id(shown, side) for side in ("old", "new")],
    )
    return make_response(page, problem.get_http_status_code() if problem else 200)


@pages.get("/diff.html")
def download() -> Response:
    """The same as one file, images included, to be kept or sent."""
    shown = _shown(MOST_POINTS)
    if shown is None:
        raise InvalidParameterValue("Which revisions?", hint="name two: a=main&b=worktree")
    previewer = partial(previews.preview, store().objects)
    response = make_response(to_html(shown.comparison, **_how(shown), previewer=previewer))
    response.headers["Content-Disposition"] = 'attachment; filename="diff.html"'
    response.headers["Content-Security-Policy"] = FILE_POLICY
    return response


@pages.get("/diff/image")
def image() -> Response:
    """One side of an image that differs, by its digest."""
    sha256 = request.args.get("sha256", "")
    found = previews.image(store().objects, sha256) if _is_digest(sha256) else None
    if found is None:
        raise ResourceDoesNotExist(
            "There is no such image here",
            hint="mlgit fetch --artifacts brings what the remote has, if it was one",
        )
    data, kind = found
    response = make_response(data)
    response.headers["Content-Type"] = kind
    response.headers["Content-Security-Policy"] = FILE_POLICY
    response.headers["Content-Disposition"] = "attachment"
    response.headers["Cache-Control"] = "private, max-age=31536000, immutable"
    return response


def _is_digest(text: str) -> bool:
    return len(text) == 64 and all(c in "0123456789abcdef" for c in text)


def _shown(points: int) -> Shown | None:
    """What the request asks to compare; None where it names nothing."""
    given = [request.args.get(name, "").strip() for name in ("a", "b")]
    asked = [text for text in given if text]
    base = request.args.get("base", "").strip()
    for text in [*asked, base, request.args.get("head", "")]:
        _check_open(text)
    here = store()
    if base:
        sides = sides_of(here, base, request.args.get("head", "").strip() or "HEAD")
        found = compare(here, sides.base, sides.head, points=points, fetch=False)
        verdict = Report(sides, found)
        return Shown(found, verdict.headline, verdict.tone, sides.remarks)
    if not asked:
        return None
    return Shown(compare(here, *resolve_pair(here, asked), points=points, fetch=False))


def _check_open(text: str) -> None:
    # What nobody committed is for who sits at this machine.
    if WORKTREE in text.replace("...", "..").split("..") and not site().options.is_local:
        raise InvalidParameterValue(
            "The worktree isn't shown to other machines", hint="compare commits, branches or runs"
        )


def _sections() -> tuple[str, ...]:
    wanted = request.args.getlist("section")
    return tuple(section for section in SECTIONS if section in wanted) or SECTIONS


def _everything() -> bool:
    return request.args.get("all") == "1"


def _how(shown: Shown) -> dict[str, Any]:
    return {
        "sections": _sections(),
        "everything": _everything(),
        "headline": shown.headline,
        "tone": shown.tone,
        "remarks": shown.remarks,
    }


def _linked(change: ArtifactChange) -> previews.Preview | None:
    """As ``previews.preview``, with addresses of images in place of the images."""
    if change.kind != "image":
        return previews.preview(store().objects, change)
    sides = [
        url_for("diff.image", sha256=entry.sha256)
        if entry and previews.looks_like_image(store().objects, entry.sha256)
        else None
        for entry in (change.old, change.new)
    ]
    return previews.Preview(old=sides[0], new=sides[1]) if any(sides) else None


def _run_id(shown: Shown, side: str) -> str | None:
    """The run whose page shows one side, if that is one run of this repository."""
    revision: Revision = shown.comparison.a if side == "old" else shown.comparison.b
    if revision.run_id is not None:
        return revision.run_id
    runs = [getattr(run, side) for run in shown.comparison.runs]
    ids = [run.run_id for run in runs if run is not None]
    return ids[0] if len(ids) == 1 and store().index.find_run(ids[0]) else None


def _suggested() -> list[str]:
    """What may be typed: branches, and the newest runs."""
    heads = store().repo.refs.items("refs/heads/")
    found = [name.removeprefix("refs/heads/") for name in heads][:_SUGGESTED]
    found += [WORKTREE] if site().options.is_local else []
    newest = store().search_runs(None, max_results=_SUGGESTED)
    return found + [run.info.run_name or run.info.run_id for run in newest]
