"""Model URIs: what each form means. Nothing is looked up here.

runs:/<run id>/<path>               a run's artifact
mlgit-artifacts:/<exp>/<run>/artifacts/<path>   the same, as get_artifact_uri() gives it
models:/<name>/<version>            a registered version; also /<stage>, /latest
models:/<name>@<alias>              the version that an alias names
models:/m-<id>                      a logged model of MLflow 3's
mlgit:/<revision>/<path>            a folder as of a branch, tag or commit
/a/path, file:///a/path             a local folder
s3://bucket/path, …                 whatever fsspec has a driver for
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from urllib.parse import unquote

from mlgit import validation
from mlgit.exceptions import InvalidParameterValue

_SCHEME = re.compile(r"^([A-Za-z][A-Za-z0-9+.\-]+):")
_OWN = re.compile(r"^mlgit-artifacts:/+[^/]+/(?P<run>[^/]+)/artifacts(?:/(?P<path>.*))?\Z")


@dataclass(frozen=True)
class RunUri:
    """A folder of a run's artifacts."""

    run_id: str
    path: str


@dataclass(frozen=True)
class RegistryUri:
    """A registered model; exactly one of version, stage and alias is given.

    Attributes:
        stage: A stage's name; "latest" is the newest version of all.
    """

    name: str
    version: int | None = None
    stage: str | None = None
    alias: str | None = None


@dataclass(frozen=True)
class RevisionUri:
    """What follows ``mlgit:/``: a revision, which may hold slashes, and a path below it."""

    parts: tuple[str, ...]


@dataclass(frozen=True)
class PathUri:
    """A local path."""

    path: str


@dataclass(frozen=True)
class RemoteUri:
    """A URL that fsspec is asked for."""

    url: str


ModelUri = RunUri | RegistryUri | RevisionUri | PathUri | RemoteUri


def parse(uri: str | os.PathLike[str]) -> ModelUri:
    """What a model URI means.

    Raises:
        InvalidParameterValue: It doesn't parse.
    """
    text = validation.check_path(os.fspath(uri))
    if not text:
        raise _bad(text, "runs:/<run id>/<path>, models:/<name>/<version>, or a path")
    found = _SCHEME.match(text)
    scheme = found[1].lower() if found else ""
    if scheme == "runs":
        return _run(text)
    if scheme == "mlgit-artifacts":
        own = _OWN.match(text)
        if not own:
            raise _bad(text, "get_artifact_uri() gives such URIs")
        return RunUri(own["run"], _clean(own["path"] or ""))
    if scheme == "models":
        return _registered(text)
    if scheme == "mlgit":
        return _revision(text)
    if scheme == "file":
        path = re.sub(r"^file:(//(localhost)?(?=/))?", "", text)
        return PathUri(unquote(path))
    if scheme:
        return RemoteUri(text)
    return PathUri(os.path.expanduser(text))


def _bad(text: str, hint: str) -> InvalidParameterValue:
    return InvalidParameterValue(f"{text!r} isn't the URI of a model", hint=hint)


def _clean(path: str) -> str:
    return validation.check_artifact_path(path.strip("/"))


def _run(text: str) -> RunUri:
    run_id, _, path = text.split(":", 1)[1].lstrip("/").partition("/")
    if not run_id or not path.strip("/"):
        raise _bad(text, "runs:/<run id>/<path of the model in it>")
    return RunUri(validation.check_run_id(run_id), _clean(path))


def _registered(text: str) -> RegistryUri:
    hint = "models:/<name>/<version>, models:/<name>/<stage>, models:/<name>/latest or "
    hint += "models:/<name>@<alias>"
    path = text.split(":", 1)[1].lstrip("/").rstrip("/")
    name, at, alias = path.rpartition("@")
    if at and "/" not in alias:
        if not name or not alias or "/" in name:
            raise _bad(text, hint)
        return RegistryUri(unquote(name), alias=unquote(alias))
    name, slash, rest = path.rpartition("/")
    if not slash:
        if re.match(r"^m-[0-9a-f]{32}\Z", path):
            return RegistryUri(path)
        raise _bad(text, hint)
    if not name or not rest or "/" in name:
        raise _bad(text, hint)
    if re.match(r"^[0-9]{1,18}\Z", rest):
        return RegistryUri(unquote(name), version=int(rest))
    return RegistryUri(unquote(name), stage=unquote(rest))


def _revision(text: str) -> RevisionUri:
    parts = tuple(part for part in text.split(":", 1)[1].split("/") if part)
    if len(parts) < 2 or "." in parts or ".." in parts:
        raise _bad(text, "mlgit:/<branch, tag or commit>/<path of the model's folder>")
    return RevisionUri(parts)
