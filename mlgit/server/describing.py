"""Names, notes and tags of experiments, models and versions, where the server may write them."""

from __future__ import annotations

from collections.abc import Sequence

from flask import Blueprint, Response, jsonify, redirect, request, url_for
from flask.typing import ResponseReturnValue

from mlgit.entities import LifecycleStage
from mlgit.exceptions import InvalidParameterValue
from mlgit.server.markdown import to_html
from mlgit.server.registered import registry
from mlgit.server.shown_run import NOTE
from mlgit.server.site import store
from mlgit.server.version import version_of

pages = Blueprint("describing", __name__)
STAGES = (LifecycleStage.ACTIVE, LifecycleStage.DELETED)


@pages.post("/api/markdown")
def preview() -> Response:
    """What a note looks like that is being written. It changes nothing, but only writers ask."""
    return jsonify(html=to_html(written()))


def written() -> str:
    """The text that a form sends, with line ends as they are kept."""
    return request.form.get("note", "").replace("\r\n", "\n")


def tag_sent() -> tuple[str, str]:
    """The tag that a form sends: its name, and its value; "" takes it away.

    Raises:
        InvalidParameterValue: It has no name.
    """
    key = request.form.get("key", "").strip()
    if not key:
        raise InvalidParameterValue("A tag's name can't be empty")
    return key, request.form.get("value", "")


def one_of(field: str, known: Sequence[str]) -> str:
    """What a form's button wants; not the opposite of what is, so that a second click does no harm.

    Raises:
        InvalidParameterValue: It isn't any of those.
    """
    given = request.form.get(field, "")
    if given not in known:
        raise InvalidParameterValue(
            f"The form's {field} is {given[:40]!r}, and must be {' or '.join(known)}",
            hint="use the page's own buttons",
        )
    return given


# -- experiments


@pages.post("/experiments/<experiment_id>/name")
def rename_experiment(experiment_id: str) -> ResponseReturnValue:
    """Give an experiment another name."""
    store().experiments.rename(experiment_id, request.form.get("name", "").strip())
    return _to_experiment(experiment_id)


@pages.post("/experiments/<experiment_id>/note")
def describe_experiment(experiment_id: str) -> ResponseReturnValue:
    """Write an experiment's note."""
    store().experiments.set_tag(experiment_id, NOTE, written())
    return _to_experiment(experiment_id)


@pages.post("/experiments/<experiment_id>/tags")
def tag_experiment(experiment_id: str) -> ResponseReturnValue:
    """Set a tag of an experiment; remove it where no value is given."""
    key, value = tag_sent()
    if value:
        store().experiments.set_tag(experiment_id, key, value)
    else:
        store().experiments.delete_tag(experiment_id, key)
    return _to_experiment(experiment_id)


@pages.post("/experiments/<experiment_id>/stage")
def turn_experiment(experiment_id: str) -> ResponseReturnValue:
    """Delete an experiment, or restore it."""
    found, wanted = store().experiments.get(experiment_id), one_of("stage", STAGES)
    if found.lifecycle_stage != wanted:
        store().experiments.set_stage(found.experiment_id, wanted)
    return _to_experiment(experiment_id)


def _to_experiment(experiment_id: str) -> ResponseReturnValue:
    return redirect(url_for("runs.of_experiment", experiment_id=experiment_id), 303)


# -- models and versions


@pages.post("/models/<model:name>/note")
def describe_model(name: str) -> ResponseReturnValue:
    """Describe a model."""
    registry().update_model(name, written())
    return redirect(url_for("model.index", name=name), 303)


@pages.post("/models/<model:name>/tags")
def tag_model(name: str) -> ResponseReturnValue:
    """Set a tag of a model; remove it where no value is given."""
    key, value = tag_sent()
    if value:
        registry().set_model_tag(name, key, value)
    else:
        registry().delete_model_tag(name, key)
    return redirect(url_for("model.index", name=name), 303)


@pages.post("/models/<model:name>/versions/<number>/note")
def describe_version(name: str, number: str) -> ResponseReturnValue:
    """Describe a version."""
    version = version_of(registry(), name, number).version
    registry().update_version(name, version, written())
    return redirect(url_for("version.index", name=name, number=version), 303)


@pages.post("/models/<model:name>/versions/<number>/tags")
def tag_version(name: str, number: str) -> ResponseReturnValue:
    """Set a tag of a version; remove it where no value is given."""
    version = version_of(registry(), name, number).version
    key, value = tag_sent()
    if value:
        registry().set_version_tag(name, version, key, value)
    else:
        registry().delete_version_tag(name, version, key)
    return redirect(url_for("version.index", name=name, number=version), 303)
