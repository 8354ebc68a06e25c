"""Going runs as they go on: server-sent events, from their journals."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass

from flask import Blueprint, Response, abort, g, request

from mlgit.entities import RunStatus
from mlgit.server.site import Site, site
from mlgit.store.following import Follower, News

pages = Blueprint("live", __name__)
# Seconds between two looks at the journals.
EVERY = 0.4
# A line that says nothing, so that a browser that has gone is noticed.
_SIGN = 2.0
_ASK_AGAIN = 5.0
# The browser asks again after this; a stream that lived on for ever would outlive its token.
_LONGEST = 3600.0
_MOST_RUNS = 25
# Points of one metric in one event: a chart needs no more until it is drawn anew.
_MOST_POINTS = 500


@dataclass
class _Followed:
    run_id: str
    follower: Follower
    asked: float = -math.inf

    def is_over(self, here: Site, news: News) -> bool:
        """Whether the run has ended, now that nobody writes it.

        One that nobody answers for goes on without a writer; to ask takes reading it all.
        """
        if not news.ended or time.monotonic() - self.asked < _ASK_AGAIN:
            return False
        self.asked = time.monotonic()
        return RunStatus.is_terminated(here.store.runs.record(self.run_id).status)


@pages.get("/api/live")
def events() -> Response:
    """A stream about some runs: ``metrics``, ``params``, ``changed`` and ``ended``."""
    here = site()
    run_ids = list(dict.fromkeys(request.args.getlist("run")))[:_MOST_RUNS]
    followed = []
    for run_id in run_ids:
        here.store.runs.record(run_id)  # there is such a run
        followed.append(_Followed(run_id, Follower(here.store.runs.committer.folder(run_id))))
    if not here.streams.acquire(blocking=False):
        g.hint = "close other pages of going runs, or reload this one by hand"
        abort(503, "As many pages as this server takes are watching going runs already")
    try:
        body = _Stream(here, followed)
    except BaseException:
        here.streams.release()
        raise
    response = Response(body, mimetype="text/event-stream")
    response.headers["X-Accel-Buffering"] = "no"
    response.headers["Cache-Control"] = "no-store"
    return response


class _Stream:
    """The events. Whoever closes it, or finds it at its end, gives its place back, once."""

    def __init__(self, here: Site, followed: list[_Followed]) -> None:
        self.here = here
        self.lines: Generator[str, None, None] = _lines(here, followed)
        self.holds = True

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        try:
            return next(self.lines)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        if self.holds:
            self.holds = False
            self.lines.close()
            self.here.streams.release()


def _lines(here: Site, followed: list[_Followed]) -> Generator[str, None, None]:
    yield _event("hello", {"runs": [one.run_id for one in followed]})
    began = said = time.monotonic()
    while followed and time.monotonic() - began < _LONGEST:
        for one in list(followed):
            found = one.follower.news()
            over = one.is_over(here, found)
            for line in _events(one.run_id, found, over):
                said = time.monotonic()
                yield line
            if over:
                followed.remove(one)
        if time.monotonic() - said > _SIGN:
            said = time.monotonic()
            yield ": still here\n\n"
        if followed and here.stopping.wait(EVERY):
            return


def _events(run_id: str, news: News, over: bool) -> Iterator[str]:
    if news.points:
        points = {
            key: [[p.step, p.timestamp, _number(p.value)] for p in found[-_MOST_POINTS:]]
            for key, found in news.points.items()
        }
        yield _event("metrics", {"run": run_id, "points": points})
    if news.params:
        yield _event("params", {"run": run_id, "params": news.params})
    if news.other:
        yield _event("changed", {"run": run_id})
    if over:
        yield _event("ended", {"run": run_id})


def _number(value: float) -> float | str:
    return value if math.isfinite(value) else str(value)


def _event(name: str, data: object) -> str:
    # JSON has no line ends of its own, so no value can begin another event.
    return f"event: {name}\ndata: {json.dumps(data)}\n\n"
