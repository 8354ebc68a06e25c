"""Remotes of all kinds, and objects to move."""

from __future__ import annotations

import importlib.util
import os
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mlgit.objects import LocalObjects, parallel
from mlgit.objects import s3 as s3_driver
from mlgit.objects.remote import RemoteObjects

sys.path.insert(0, str(Path(__file__).parent))
KINDS = ["path", "file", "memory", "s3"]


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, object]]:
    """The URL of an S3 server, and what checks its uploads."""
    for name in ("moto", "flask_cors", "s3fs"):
        if importlib.util.find_spec(name) is None:
            pytest.skip(f"{name} isn't installed, so there is no S3 server to test with")
    from servers import s3_server

    with s3_server() as found:
        yield found


@pytest.fixture
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """AWS credentials in the environment."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIATEST")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.fixture
def bucket(s3: tuple[str, object], credentials: None) -> Callable[..., RemoteObjects]:
    """A new bucket's remote; ``bucket(endpoint_url=…)`` is the same one through a proxy."""
    import s3fs

    name = f"b{uuid.uuid4().hex}"
    s3fs.S3FileSystem(endpoint_url=s3[0]).mkdir(name)

    def make(endpoint_url: str = s3[0], **options: object) -> RemoteObjects:
        options = {"endpoint_url": endpoint_url, **options}
        return RemoteObjects(f"s3://{name}/team/mlgit", options, name="storage")

    return make


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    """One of the kinds of remotes."""
    return str(request.param)


@pytest.fixture
def remote(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> RemoteObjects:
    """An empty remote."""
    if kind == "s3":
        return request.getfixturevalue("bucket")()
    urls = {
        "path": str(tmp_path / "remote"),
        "file": f"file://{tmp_path}/remote",
        "memory": f"memory://{uuid.uuid4().hex}/team",
    }
    # A path shares its files with the clone's objects, a URL has copies.
    options: dict[str, object] = {"share": False} if kind == "file" else {}
    return RemoteObjects(urls[kind], options, name="storage")


@pytest.fixture
def local(tmp_path: Path) -> LocalObjects:
    """A clone's objects."""
    return LocalObjects(str(tmp_path / "local"))


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retries that don't wait long."""
    for module in (parallel, s3_driver):
        monkeypatch.setattr(module, "pause", lambda attempt: 0.01 * attempt)
