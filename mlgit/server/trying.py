"""A form that tries a version: it predicts on what is typed in.

To load a model is to run code that it holds, so this takes ``--allow-write``. The model is loaded
in a process of its own, which has limits and ends with the answer: never in the server's.
"""

from __future__ import annotations

import csv
import io
import json
import re
import shlex
import tempfile
import threading
from dataclasses import dataclass
from typing import Any

from flask import Blueprint, Response, make_response, render_template, request
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import BadRequest, ServiceUnavailable

from mlgit.entities.model_registry import ModelVersion
from mlgit.exceptions import MlgitException, ResourceDoesNotExist
from mlgit.models.child import Limits, Surroundings, predict_in_child
from mlgit.models.folder import ModelFolder
from mlgit.models.running import Task
from mlgit.models.sources import source_at
from mlgit.registry import trust
from mlgit.registry.sources import place_of
from mlgit.review.show import size
from mlgit.server.registered import registry
from mlgit.server.site import site, store
from mlgit.server.version import contents_of, uri_of, version_of

pages = Blueprint("trying", __name__)
LIMITS = Limits(seconds=60, memory=4 << 30, file_size=16 << 20)
TYPES = ("json", "csv")
_SHOWN = 200_000
_ROW = re.compile(r"\[\n\s*([^\[\]{}]*?)\n\s*\]")
_BREAK = re.compile(r",\n\s*")
_AT_ONCE = threading.BoundedSemaphore(2)


@dataclass
class Answer:
    """What came of it.

    Attributes:
        output: What the model gave, as JSON; None where it gave nothing.
        cut: Whether only its beginning is shown.
        problem, hint: What is wrong, and what to do.
        printed: The end of what was printed.
    """

    output: str | None = None
    cut: bool = False
    problem: str = ""
    hint: str = ""
    printed: str = ""


@pages.get("/models/<model:name>/versions/<number>/try")
def form(name: str, number: str) -> ResponseReturnValue:
    """The form, filled in with the model's example."""
    version = version_of(registry(), name, number)
    kind = request.args.get("type", "json")
    kind = kind if kind in TYPES else "json"
    return _page(version, kind, _example(version, kind), None)


@pages.post("/models/<model:name>/versions/<number>/try")
def predict(name: str, number: str) -> ResponseReturnValue:
    """Predict, and show what the model gave."""
    version = version_of(registry(), name, number)
    kind, text = request.form.get("type", "json"), request.form.get("input", "")
    if kind not in TYPES:
        raise BadRequest(f"The input is {' or '.join(TYPES)}")
    found = contents_of(registry(), version)
    if found.found is None:
        raise ResourceDoesNotExist(found.problem, hint=found.hint)
    if not _AT_ONCE.acquire(blocking=False):
        raise ServiceUnavailable("Other models are being tried just now: try again in a moment")
    try:
        answer = _predicted(version, kind, text)
    finally:
        _AT_ONCE.release()
    return _page(version, kind, text, answer, 200 if answer.output is not None else 422)


def _predicted(version: ModelVersion, kind: str, text: str) -> Answer:
    answer = Answer()
    folder = None
    try:
        # Where the team wants signatures, it wants them here.
        place = trust.place(registry(), version.name, version.version)
        folder = ModelFolder(source_at(place, store()), uri_of(version.name, version.version))
        output = _run(folder, kind, text, answer)
    except MlgitException as error:
        answer.problem, answer.hint = error.message, error.hint
        if "memory" in error.message.lower():
            answer.hint = f"it may take {size(LIMITS.memory)} here; by the command line, any"
        return answer
    finally:
        if folder is not None:
            folder.close()
    answer.cut = len(output) > _SHOWN
    answer.output = output[:_SHOWN] if answer.cut else _pretty(output)
    return answer


def _run(folder: ModelFolder, kind: str, text: str, answer: Answer) -> str:
    """Predict in a child process; the beginning of what it gave."""

    def heard(log: str) -> None:
        answer.printed = log

    # The token isn't for the model's code.
    around = Surroundings("local", variables={"MLGIT_UI_TOKEN": ""}, limits=LIMITS, heard=heard)
    with tempfile.TemporaryDirectory(prefix="mlgit-try-") as here:
        with open(f"{here}/input", "w", encoding="utf-8", errors="replace", newline="") as f:
            f.write(text)
        whole = folder.everything()
        task = Task(
            whole,
            f"{here}/input",
            f"{here}/output",
            kind,
            "json",
            allow_pickle=folder.allows_code,
        )
        try:
            predict_in_child(task, around, store=store())
        except MlgitException as error:
            error.message = error.message.replace(whole, folder.uri)
            raise
        with open(f"{here}/output", encoding="utf-8", errors="replace") as f:
            return f.read(_SHOWN + 1)


def _pretty(text: str) -> str:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return text
    indented = json.dumps(found, indent=2, ensure_ascii=False)
    # A row on a line. Line ends inside of texts are escaped, so these are none's.
    return _ROW.sub(lambda match: f"[{_BREAK.sub(', ', match[1])}]", indented)


def _page(
    version: ModelVersion, kind: str, text: str, answer: Answer | None, status: int = 200
) -> Response:
    contents = contents_of(registry(), version)
    suffix = "csv" if kind == "csv" else "json"
    command = [
        "mlgit",
        "models",
        "predict",
        uri_of(version.name, version.version),
        "-i",
        f"input.{suffix}",
    ]
    page = render_template(
        "models/try.html",
        name=version.name,
        this=version,
        kind=kind,
        types=TYPES,
        text=text,
        answer=answer,
        contents=contents,
        writes=site().options.allow_write,
        command=shlex.join(command),
        elsewhere=shlex.join([*command, "--env-manager", "virtualenv"]),
        limits=LIMITS,
    )
    return make_response(page, status)


# -- the example


def _example(version: ModelVersion, kind: str) -> str:
    """The model's input example as a request; "" where it has none that can be shown so."""
    if contents_of(registry(), version).found is None:
        return ""
    try:
        folder = ModelFolder(
            source_at(place_of(registry(), version), store()), uri_of(version.name, version.version)
        )
        text = folder.serving_input() or ""
        folder.close()
    except MlgitException:
        return ""
    if len(text) > _SHOWN:
        return ""
    return _as_csv(text) if kind == "csv" else _pretty(text) if text else ""


def _as_csv(text: str) -> str:
    try:
        found: Any = json.loads(text)["dataframe_split"]
        rows = [found["columns"], *found["data"]]
        out = io.StringIO()
        csv.writer(out, lineterminator="\n").writerows(rows)
    except (ValueError, LookupError, TypeError, RecursionError, csv.Error):
        return ""
    return out.getvalue()
