"""gc of a remote on a real S3 protocol: notices, listing and removing in pages, times."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from mlgit.objects.notices import Watch, removing
from mlgit.objects.remote import RemoteObjects
from mlgit.objects.transfer import upload
from mlgit.store.gitstore import GitStore
from mlgit.store.reach import reachable
from mlgit.sync import gc as collecting
from mlgit.sync.gc import collect_remote

pytestmark = pytest.mark.slow
moto = pytest.importorskip("moto.server")


@pytest.fixture
def remote(monkeypatch: pytest.MonkeyPatch) -> Iterator[RemoteObjects]:
    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    options: dict[str, Any] = {"endpoint_url": f"http://{host}:{port}"}
    import s3fs

    bucket = f"bucket-{uuid.uuid4().hex}"
    s3fs.S3FileSystem(skip_instance_cache=True, **options).mkdir(bucket)
    yield RemoteObjects(f"s3://{bucket}/store", options, name="s3")
    server.stop()


def test_notices(remote: RemoteObjects) -> None:
    watch = Watch(remote)
    assert not watch.disturbed()
    with removing(remote) as in_time:
        assert in_time()
        during = Watch(remote)
    assert watch.disturbed() and during.disturbed()
    assert not watch.disturbed() and not Watch(remote).disturbed()


def test_what_nobody_names_goes(
    remote: RemoteObjects, store: GitStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = store.runs.create("0", owner=True).run_id
    store.log_bytes(run_id, b"kept", "a/b.txt")
    store.runs.finish(run_id, "FINISHED")
    kept = reachable(store).objects
    strays = {e.sha256: e.size for e in (store.objects.put_bytes(b"%d" % n) for n in range(1010))}
    upload(store.objects, remote, {**kept, **strays})
    assert collect_remote(store, remote).new == 1010
    monkeypatch.setattr(collecting, "SHORTEST_GRACE", -60.0)
    assert set(collect_remote(store, remote, grace=-60, force=True).going) == strays.keys()
    assert {sha for sha, _, _ in remote.list()} == kept.keys()
