"""Artifacts by URI: ``mlgit.artifacts`` (MLflow's ``mlflow.artifacts``)."""

from __future__ import annotations

import json
import os
import re
from typing import Any

from mlgit import validation
from mlgit.entities import FileInfo
from mlgit.exceptions import InvalidParameterValue, MissingDependency, ResourceDoesNotExist
from mlgit.tracking import files
from mlgit.tracking.client import MlgitClient

_RUN_URI = re.compile(
    r"^(?:runs:/+(?P<run>[^/]+)|mlgit-artifacts:/+[^/]+/(?P<owner>[^/]+)/artifacts)"
    r"(?:/(?P<path>.*))?\Z"
)


def _locate(
    artifact_uri: str | None, run_id: str | None, artifact_path: str | None
) -> tuple[str | None, str]:
    """(run id, path in it); the run is None for a local path."""
    if (artifact_uri is None) == (run_id is None):
        raise InvalidParameterValue("Give either artifact_uri or run_id")
    if run_id is not None:
        return run_id, artifact_path or ""
    if artifact_path:
        raise InvalidParameterValue("artifact_path goes with run_id, not with artifact_uri")
    text = validation.check_path(artifact_uri or "")
    match = _RUN_URI.match(text)
    if match:
        return match["run"] or match["owner"], (match["path"] or "").strip("/")
    if re.match(r"^[a-z][a-z0-9+\-]+:", text) and not text.startswith("file:"):
        raise InvalidParameterValue(
            f"{text!r} isn't the URI of an artifact",
            hint="use runs:/<run id>/<path>, get_artifact_uri(), or a local path",
        )
    return None, text.removeprefix("file://").removeprefix("file:")


def download_artifacts(
    artifact_uri: str | None = None,
    run_id: str | None = None,
    artifact_path: str | None = None,
    dst_path: str | None = None,
    tracking_uri: str | None = None,
    registry_uri: str | None = None,
    *,
    verify: bool | None = None,
) -> str:
    """Write an artifact below a local folder and return where it is.

    Args:
        artifact_uri: ``runs:/<run id>/<path>``, what ``get_artifact_uri()`` gives,
            ``models:/<name>/<version>`` or ``models:/<name>@<alias>``, or a local path, which is
            returned as it is.
        run_id: Or the run,
        artifact_path: and the file or folder in it; all where none is given.
        dst_path: The folder, made if it isn't there; a new temporary one by default.
        tracking_uri: The repository; the current one by default.
        registry_uri: Accepted for MLflow's sake; the registry is in the same repository.
        verify: Whether a registered model must be signed; the setting where None.

    Raises:
        ResourceDoesNotExist: There is no such artifact.
        UntrustedModel: It must be signed, and isn't as it must be.
        InvalidParameterValue: It can't be signed, and must be.
    """
    if artifact_uri is not None and str(artifact_uri).startswith("models:") and run_id is None:
        return _download_model(str(artifact_uri), dst_path, tracking_uri, verify)
    if verify:
        raise InvalidParameterValue(
            "Only versions of registered models are signed, and can be verified",
            hint="models:/<name>/<version> or models:/<name>@<alias>",
        )
    run, path = _locate(artifact_uri, run_id, artifact_path)
    if dst_path is not None:
        os.makedirs(dst_path, exist_ok=True)
    if run is not None:
        return MlgitClient(tracking_uri).download_artifacts(run, path, dst_path)
    if not os.path.exists(path):
        raise ResourceDoesNotExist(f"No such file or folder: {path}")
    if dst_path is None:
        return os.path.abspath(path)
    import shutil

    target = os.path.join(dst_path, os.path.basename(os.path.abspath(path)))
    if os.path.isdir(path):
        return str(shutil.copytree(path, target, dirs_exist_ok=True))
    return str(shutil.copyfile(path, target))


def _download_model(
    uri: str, dst_path: str | None, tracking_uri: str | None, verify: bool | None
) -> str:
    """The files of a version of a registered model."""
    from mlgit.registry import sources, trust
    from mlgit.tracking.registered import registry_for

    registry = registry_for(tracking_uri)
    place = trust.place(registry, *sources.read_uri(uri), verify=verify)
    if place.commit is None:
        return download_artifacts(place.location, dst_path=dst_path, tracking_uri=tracking_uri)
    run_id, path = _locate(place.location, None, None)
    if dst_path is None:
        import tempfile

        dst_path = tempfile.mkdtemp(prefix="mlgit-")
    store = registry.store
    return os.path.abspath(store.download_artifacts(str(run_id), path, dst_path, place.commit))


def list_artifacts(
    artifact_uri: str | None = None,
    run_id: str | None = None,
    artifact_path: str | None = None,
    tracking_uri: str | None = None,
) -> list[FileInfo]:
    """What a folder of artifacts holds; the arguments are those of ``download_artifacts``."""
    run, path = _locate(artifact_uri, run_id, artifact_path)
    if run is not None:
        return MlgitClient(tracking_uri).list_artifacts(run, path)
    if not os.path.isdir(path):
        return []
    with os.scandir(path) as entries:
        return sorted(
            (
                FileInfo(e.name, e.is_dir(), None if e.is_dir() else e.stat().st_size)
                for e in entries
            ),
            key=lambda info: info.path,
        )


def _read(artifact_uri: str) -> bytes:
    run, path = _locate(artifact_uri, None, None)
    if run is None:
        return files.read_local(path)
    return MlgitClient()._store.read_artifact(run, path)


def _unreadable(message: str) -> InvalidParameterValue:
    """The error for bytes of another kind, with the code that MLflow gives it."""
    return InvalidParameterValue(message, "BAD_REQUEST")


def load_text(artifact_uri: str) -> str:
    """A text artifact's content."""
    try:
        return _read(artifact_uri).decode()
    except UnicodeDecodeError as error:
        raise _unreadable(f"{artifact_uri} isn't text in UTF-8") from error


def load_dict(artifact_uri: str) -> Any:
    """A JSON or YAML artifact's content."""
    data = _read(artifact_uri)
    try:
        return json.loads(data)
    except ValueError:
        pass
    import yaml

    try:
        found = yaml.safe_load(data)
    except yaml.YAMLError as error:
        raise _unreadable(f"{artifact_uri} is neither JSON nor YAML") from error
    if not isinstance(found, (dict, list)):  # any text is a scalar of YAML's
        raise _unreadable(f"{artifact_uri} holds neither a dict nor a list")
    return found


def load_image(artifact_uri: str) -> Any:
    """An image artifact, as an image of PIL.

    Raises:
        MissingDependency: Pillow isn't installed.
    """
    try:
        from PIL import Image
    except ImportError as error:
        raise MissingDependency(
            "load_image() needs the package pillow", hint="pip install pillow"
        ) from error
    import io

    try:
        image = Image.open(io.BytesIO(_read(artifact_uri)))
        image.load()
        return image
    except OSError as error:
        raise _unreadable(f"{artifact_uri} isn't an image: {error}") from error


__all__ = ["download_artifacts", "list_artifacts", "load_dict", "load_image", "load_text"]
