"""The contract of remotes, and what mustn't break it."""

from __future__ import annotations

import errno
import hashlib
import http.server
import itertools
import os
import signal
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path

import pytest

import mlgit
from mlgit.exceptions import (
    CorruptData,
    InvalidParameterValue,
    MissingDependency,
    MlgitException,
    PermissionDenied,
    RemoteUnavailable,
    ResourceDoesNotExist,
    StorageError,
    Unsupported,
)
from mlgit.objects import LocalObjects, folder_driver, transfer
from mlgit.objects import s3 as s3_driver
from mlgit.objects.copying import digest_of
from mlgit.objects.drivers import PART
from mlgit.objects.remote import RemoteObjects

ABSENT = "f" * 64
LARGE = 20 << 20


def fill(local: LocalObjects, count: int = 40, large: bool = True) -> dict[str, int]:
    """Objects of all sizes: SHA-256 → size."""
    found = [local.put_bytes(os.urandom(1 + 700 * n)) for n in range(count)]
    found.append(local.put_bytes(b""))
    if large:
        found.append(local.put_bytes(os.urandom(LARGE + 1)))
    return {entry.sha256: entry.size for entry in found}


def check(local: LocalObjects, sizes: dict[str, int]) -> None:
    """Everything is here, whole, and nothing else is."""
    assert sorted(local.all()) == sorted(sizes)
    assert all(local.verify(sha) for sha in sizes)
    assert all(os.stat(local.path(sha)).st_mode & 0o777 == 0o444 for sha in sizes)
    tmp = Path(local.root) / "tmp"
    assert [p.name for p in tmp.glob("*") if p.suffix != ".use"] == []


def damage(path: str) -> None:
    """One bit of this file, and of none that it shares its bytes with."""
    data = Path(path).read_bytes()
    os.unlink(path)
    Path(path).write_bytes(data[:-1] + bytes([data[-1] ^ 1]))


# -- the contract


def test_there_and_back(local, remote, tmp_path):
    sizes = fill(local)
    total = sum(sizes.values())
    assert transfer.upload(local, remote, sizes) == (42, total, 0)
    assert transfer.upload(local, remote, sizes) == (0, 0, 42)
    other = LocalObjects(str(tmp_path / "other"))
    told: list[tuple[int, int]] = []
    done = transfer.download(other, remote, sizes, lambda *args: told.append(args))
    assert done == (42, total, 0)
    assert told[-1] == (total, total)
    assert all(a[0] <= b[0] for a, b in itertools.pairwise(told))
    check(other, sizes)
    assert transfer.download(other, remote, sizes) == (0, 0, 42)


def test_what_is_there(local, remote):
    assert list(remote.list()) == []
    assert remote.missing([]) == set()
    assert remote.missing([ABSENT]) == {ABSENT}
    sizes = fill(local, 150, large=False)
    assert remote.missing([*sizes, ABSENT]) == {*sizes, ABSENT}
    before = time.time() - 5
    transfer.upload(local, remote, sizes)
    found = list(remote.list())
    assert {sha: size for sha, size, _ in found} == sizes
    assert all(before < modified < time.time() + 5 for _, _, modified in found)
    assert remote.missing([*sizes, ABSENT]) == {ABSENT}
    assert remote.missing(list(sizes)[:3]) == set()
    some = list(sizes)[:5]
    assert remote.missing(dict.fromkeys(some, 10**6)) == set(some)
    remote.delete([*some, ABSENT])
    assert remote.missing(sizes) == set(some)
    remote.delete([])


def test_one_object(local, remote, tmp_path):
    entry = local.put_bytes(b"one")
    for _ in range(2):
        remote.upload(entry.sha256, local.path(entry.sha256), 3)
    for _ in range(2):
        remote.download(entry.sha256, str(tmp_path / "one"))
        assert (tmp_path / "one").read_bytes() == b"one"
    with pytest.raises(ResourceDoesNotExist, match=ABSENT) as raised:
        remote.download(ABSENT, str(tmp_path / "none"))
    assert "mlgit push" in raised.value.hint
    assert sorted(p.name for p in tmp_path.iterdir() if p.name not in ("remote", "local")) == [
        "one"
    ]


def test_sizes_that_nobody_knows(local, remote, tmp_path):
    sizes = fill(local, 3)
    unknown = dict.fromkeys(sizes, 0)
    assert transfer.upload(local, remote, unknown).objects == len(sizes)
    other = LocalObjects(str(tmp_path / "other"))
    transfer.download(other, remote, unknown)
    check(other, sizes)
    assert transfer.download(other, remote, unknown).already == len(sizes)
    check(other, sizes)


@pytest.mark.parametrize("size", [1000, LARGE])
def test_a_damaged_local_object_is_not_uploaded(local, remote, tmp_path, size):
    sizes = fill(local, 5, large=False)
    entry = local.put_bytes(os.urandom(size))
    damage(local.path(entry.sha256))
    with pytest.raises(CorruptData, match=entry.sha256):
        transfer.upload(local, remote, {**sizes, entry.sha256: size})
    assert {sha for sha, _, _ in remote.list()} == set(sizes)
    assert os.listdir(f"{local.root}/damaged") == [entry.sha256]
    with pytest.raises(ResourceDoesNotExist, match="neither in this clone nor at"):
        transfer.upload(local, remote, {**sizes, entry.sha256: size})


@pytest.mark.parametrize("size", [1000, LARGE])
def test_a_remote_that_is_damaged(local, remote, tmp_path, size, quick):
    """It is told, what else there is comes, and nothing damaged is put in place."""
    sizes = fill(local, 5, large=False)
    entry = local.put_bytes(os.urandom(size))
    everything = {**sizes, entry.sha256: size}
    transfer.upload(local, remote, everything)
    remote.delete([entry.sha256])
    original = local.path(entry.sha256)
    damage(original)
    other = LocalObjects(str(tmp_path / "other"))
    with pytest.MonkeyPatch.context() as patch:
        for module in ("sync_driver", "async_driver", "folder_driver", "s3"):
            patch.setattr(f"mlgit.objects.{module}.check_sent", lambda *args: None)
        patch.setattr("mlgit.objects.s3._WHOLE", 1 << 20)
        if (remote.scheme, size) in (("s3", 1000), ("memory", LARGE)):
            pytest.skip("this way doesn't take it at all")
        remote.driver.start(
            "put",
            original,
            f"objects/sha256/{entry.sha256[:2]}/{entry.sha256[2:]}",
            size,
            entry.sha256,
            lambda count: None,
        ).result()
    with pytest.raises(CorruptData, match=entry.sha256):
        transfer.download(other, remote, everything)
    check(other, sizes)


def test_a_damaged_local_object_is_fetched_again(local, remote, tmp_path):
    sizes = fill(local, 3, large=False)
    transfer.upload(local, remote, sizes)
    one = max(sizes, key=sizes.__getitem__)
    damage(local.path(one))
    with pytest.raises(CorruptData):
        local.read(one)
    assert transfer.download(local, remote, sizes).objects == 1
    os.unlink(local.path(one))
    Path(local.path(one)).write_bytes(b"x" * 10)
    assert transfer.download(local, remote, sizes).objects == 1
    check(local, sizes)


def test_a_remote_that_lacks_objects(local, remote, tmp_path):
    sizes = fill(local, 5, large=False)
    transfer.upload(local, remote, sizes)
    other = LocalObjects(str(tmp_path / "other"))
    with pytest.raises(ResourceDoesNotExist, match=f"The object {ABSENT} isn't at remote storage"):
        transfer.download(other, remote, {**sizes, ABSENT: 7})
    check(other, sizes)


def test_two_pushes_and_pulls_at_once(local, remote, tmp_path):
    sizes = fill(local, 30)
    other = LocalObjects(str(tmp_path / "other"))
    failed: list[BaseException] = []

    def both(move, objects):
        try:
            move(objects, RemoteObjects(remote.url, remote.options), sizes)
        except BaseException as error:
            failed.append(error)

    for move, objects in ((transfer.upload, local), (transfer.download, other)):
        threads = [threading.Thread(target=both, args=(move, objects)) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert failed == []
    check(other, sizes)
    assert {sha: size for sha, size, _ in remote.list()} == sizes


def test_no_space_left_here(local, remote, kind, tmp_path, monkeypatch, quick):
    if kind == "path":
        pytest.skip("what is shared takes no space")
    sizes = fill(local, 5)
    transfer.upload(local, remote, sizes)
    other = LocalObjects(str(tmp_path / "other"))
    real = os.replace
    full = partial(_full, os.write)
    monkeypatch.setattr(os, "write", full)
    monkeypatch.setattr("builtins.open", partial(_full_open, open))
    with pytest.raises(StorageError, match="No space left"):
        transfer.download(other, remote, sizes)
    monkeypatch.undo()
    assert real is os.replace
    assert all(other.verify(sha) for sha in other.all())
    transfer.download(other, remote, sizes)
    check(other, sizes)


def _full(write, fd, data):
    if len(data) > 1000:
        raise OSError(errno.ENOSPC, "No space left on device")
    return write(fd, data)


def _full_open(real, path, mode="r", *args, **kwargs):
    if "w" in mode and "/other/tmp/" in str(path):
        raise OSError(errno.ENOSPC, "No space left on device")
    return real(path, mode, *args, **kwargs)


# -- folders


def test_no_space_left_there(local, tmp_path, monkeypatch):
    sizes = fill(local, 5, large=False)
    remote = RemoteObjects(str(tmp_path / "remote"), {"share": False}, name="storage")
    monkeypatch.setattr(os, "write", partial(_full, os.write))
    with pytest.raises(StorageError, match="No space left"):
        transfer.upload(local, remote, sizes)
    monkeypatch.undo()
    assert all(sizes[sha] == size for sha, size, _ in remote.list())
    transfer.upload(local, remote, sizes)
    assert {sha: size for sha, size, _ in remote.list()} == sizes
    assert os.listdir(tmp_path / "remote/objects/tmp") == []


def inodes(root: str, shas) -> set[int]:
    return {os.stat(f"{root}/sha256/{sha[:2]}/{sha[2:]}").st_ino for sha in shas}


def test_a_folder_on_the_same_file_system_shares_files(local, tmp_path):
    sizes = fill(local, 5)
    remote = RemoteObjects(str(tmp_path / "remote"))
    other = LocalObjects(str(tmp_path / "other"))
    old = time.time() - 30 * 86_400
    for sha in sizes:
        os.utime(local.path(sha), (old, old))
    transfer.upload(local, remote, sizes)
    transfer.download(other, remote, sizes)
    roots = local.root, str(tmp_path / "remote/objects"), other.root
    found = [inodes(root, sizes) for root in roots]
    assert found[0] == found[1] == found[2] and len(found[0]) == len(sizes)
    assert all(time.time() - modified < 60 for _, _, modified in remote.list())
    check(other, sizes)
    remote.delete(sizes)
    check(other, sizes)


@pytest.mark.parametrize("size", [1000, LARGE])
def test_what_is_damaged_where_it_is_shared_is_refused(local, tmp_path, size):
    remote = RemoteObjects(str(tmp_path / "remote"))
    entry = local.put_bytes(os.urandom(size))
    transfer.upload(local, remote, {entry.sha256: size})
    os.chmod(local.path(entry.sha256), 0o644)
    with open(local.path(entry.sha256), "r+b") as f:
        f.write(b"damaged")
    os.chmod(local.path(entry.sha256), 0o444)
    other = LocalObjects(str(tmp_path / "other"))
    with pytest.raises(CorruptData, match=entry.sha256):
        transfer.download(other, remote, {entry.sha256: size})
    check(other, {})
    assert not local.verify(entry.sha256) and not local.is_whole(entry.sha256)


@pytest.mark.parametrize(
    "error", [errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EACCES, errno.EOPNOTSUPP]
)
def test_where_nothing_can_be_shared_it_is_copied(local, tmp_path, monkeypatch, error):
    def refuse(*args, **kwargs):
        raise OSError(error, os.strerror(error))

    monkeypatch.setattr(os, "link", refuse)
    sizes = fill(local, 5)
    remote = RemoteObjects(str(tmp_path / "remote"))
    other = LocalObjects(str(tmp_path / "other"))
    transfer.upload(local, remote, sizes)
    transfer.download(other, remote, sizes)
    check(other, sizes)
    assert not inodes(local.root, sizes) & inodes(str(tmp_path / "remote/objects"), sizes)
    assert os.listdir(tmp_path / "remote/objects/tmp") == []


def test_a_remote_that_may_only_be_read(local, tmp_path, monkeypatch):
    sizes = fill(local, 3)
    remote = RemoteObjects(str(tmp_path / "remote"))
    transfer.upload(local, remote, sizes)
    old = time.time() - 3 * 86_400
    for sha in sizes:
        os.utime(f"{tmp_path}/remote/objects/sha256/{sha[:2]}/{sha[2:]}", (old, old))

    def refuse(path, *args, **kwargs):
        if "/remote/" in str(path):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(os, "utime", refuse)
    other = LocalObjects(str(tmp_path / "other"))
    transfer.download(other, remote, sizes)
    check(other, sizes)


@pytest.mark.parametrize("kind", ["umask", "group"])
def test_a_link_that_would_not_be_as_a_new_file_is_a_copy(local, tmp_path, kind):
    sizes = fill(local, 3)
    (tmp_path / "remote/objects").mkdir(parents=True)
    before = os.umask(0o022)
    try:
        if kind == "umask":
            os.umask(0o077)
        elif os.geteuid():
            pytest.skip("only root may give a folder to another group")
        else:
            os.chown(tmp_path / "remote/objects", -1, 12345)
            os.chmod(tmp_path / "remote/objects", 0o2775)
        remote = RemoteObjects(str(tmp_path / "remote"))
        transfer.upload(local, remote, sizes)
    finally:
        os.umask(before)
    for sha in sizes:
        found = os.stat(f"{tmp_path}/remote/objects/sha256/{sha[:2]}/{sha[2:]}")
        assert found.st_nlink == 1
        assert found.st_gid == 12345 or kind == "umask"
        assert found.st_mode & 0o777 == (0o400 if kind == "umask" else 0o444)


@pytest.mark.parametrize("share", ["no", 0, "false"])
def test_an_option_that_is_neither_true_nor_false(local, tmp_path, share):
    remote = RemoteObjects(str(tmp_path / "remote"), {"share": share})
    with pytest.raises(InvalidParameterValue, match="must be true or false"):
        transfer.upload(local, remote, fill(local, 1, large=False))


def test_files_that_may_be_written_are_copied(local, tmp_path):
    """Whoever put them there may write to them again."""
    remote = RemoteObjects(str(tmp_path / "remote"))
    entry = local.put_bytes(b"theirs")
    os.chmod(local.path(entry.sha256), 0o644)
    transfer.upload(local, remote, {entry.sha256: 6})
    other = LocalObjects(str(tmp_path / "other"))
    there = Path(remote.url) / f"objects/sha256/{entry.sha256[:2]}/{entry.sha256[2:]}"
    there.chmod(0o644)
    transfer.download(other, remote, {entry.sha256: 6})
    found = {local.path(entry.sha256), str(there), other.path(entry.sha256)}
    assert len({os.stat(path).st_ino for path in found}) == 3
    assert there.stat().st_mode & 0o777 == 0o644


def test_a_large_object_is_known_to_be_whole(local, tmp_path):
    entry = local.put_bytes(os.urandom(1000))
    assert not local.is_whole(entry.sha256)
    path = tmp_path / "large"
    path.write_bytes(os.urandom(LARGE))
    entry = local.put_file(str(path))
    assert local.is_whole(entry.sha256)
    assert LocalObjects(local.root).is_whole(entry.sha256)
    os.utime(local.path(entry.sha256), (1, 1))
    assert not local.is_whole(entry.sha256)
    local.copy_to(entry, str(tmp_path / "copy"))
    assert (tmp_path / "copy").read_bytes() == path.read_bytes()
    (Path(os.environ["MLGIT_CACHE_HOME"]) / "mlgit/whole.sqlite").write_bytes(b"nonsense" * 100)
    assert not local.is_whole(entry.sha256)
    os.unlink(local.path(entry.sha256))
    assert not local.is_whole(entry.sha256)
    local.put_file(str(path))
    assert local.is_whole(entry.sha256)


def test_an_object_that_a_crash_cut_short_is_replaced(local, remote, kind):
    if kind not in ("path", "file"):
        pytest.skip("its puts are whole")
    sizes = fill(local, 2, large=False)
    transfer.upload(local, remote, sizes)
    one = max(sizes, key=sizes.__getitem__)
    path = Path(remote.url.removeprefix("file://")) / f"objects/sha256/{one[:2]}/{one[2:]}"
    path.unlink()
    path.write_bytes(b"")
    assert transfer.upload(local, remote, sizes).objects == 1
    assert path.stat().st_size == sizes[one]


def test_what_else_lies_in_a_remote_is_left_alone(local, tmp_path):
    sizes = fill(local, 2, large=False)
    remote = RemoteObjects(str(tmp_path / "remote"))
    transfer.upload(local, remote, sizes)
    for name in ("objects/sha256/ab/README", "objects/sha256/zz", "objects/x", "y"):
        (tmp_path / "remote" / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / "remote" / name).write_text("theirs")
    assert {sha for sha, _, _ in remote.list()} == set(sizes)


# -- S3


FAULTS = ("cut", "cut request", "500", "503", "truncate", "flip", "flip request")


@pytest.mark.parametrize("in_parts", [False, True])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_network_that_fails(local, bucket, s3, tmp_path, quick, monkeypatch, fault, in_parts):
    if in_parts:
        monkeypatch.setattr(s3_driver, "_WHOLE", PART)
    _through(local, bucket, s3, tmp_path, (fault,), count=24)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_a_network_that_fails_in_all_ways(local, bucket, s3, tmp_path, quick, seed):
    _through(local, bucket, s3, tmp_path, FAULTS, count=150, seed=seed)


def _through(local, bucket, s3, tmp_path, faults, count, seed=7):
    from servers import proxy

    sizes = fill(local, count)
    other = LocalObjects(str(tmp_path / "other"))
    with proxy(s3[0], *faults, seed=seed) as bad:
        for move, objects in ((transfer.upload, local), (transfer.download, other)):
            for _ in range(5):
                try:
                    move(objects, bucket(bad.url), sizes)
                    break
                except MlgitException as error:
                    assert error.hint, error
                    assert all(other.verify(sha) for sha in other.all())
            else:
                raise AssertionError("the retry doesn't end the job")
        assert set(bad.done) == set(faults)
    check(other, sizes)
    if "request" in str(faults):
        fresh = LocalObjects(str(tmp_path / "fresh"))
        transfer.download(fresh, bucket(), sizes)
        check(fresh, sizes)


def test_a_bucket_that_does_not_exist(local, s3, credentials, tmp_path):
    sizes = fill(local, 3, large=False)
    remote = RemoteObjects("s3://nosuch/x", {"endpoint_url": s3[0]}, name="storage")
    for move in (transfer.upload, transfer.download):
        objects = local if move is transfer.upload else LocalObjects(str(tmp_path / "other"))
        with pytest.raises(ResourceDoesNotExist, match="bucket of remote storage") as raised:
            move(objects, remote, sizes)
        assert "mlgit remote" in raised.value.hint


def test_credentials_that_are_refused(local, bucket, monkeypatch):
    from servers import DENIED

    def not_tried_again(attempt):
        raise AssertionError("refused credentials aren't mended by waiting")

    monkeypatch.setattr("mlgit.objects.parallel.pause", not_tried_again)
    sizes = fill(local, 80, large=False)
    remote = bucket(key=DENIED, secret="x")
    for do in (
        lambda: transfer.upload(local, remote, sizes),
        lambda: remote.missing([ABSENT]),
        lambda: remote.delete([ABSENT]),
        lambda: list(remote.list()),
        lambda: remote.download(ABSENT, f"{local.root}/x"),
    ):
        with pytest.raises(PermissionDenied) as raised:
            do()
        assert "credentials" in str(raised.value)


def test_no_credentials(local, s3, credentials, monkeypatch):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    remote = RemoteObjects("s3://bucket", {"endpoint_url": s3[0]}, name="storage")
    with pytest.raises(PermissionDenied, match="No credentials for remote storage") as raised:
        remote.missing([ABSENT])
    assert "AWS_ACCESS_KEY_ID" in raised.value.hint


def test_a_server_that_is_not_there(local, credentials, quick):
    remote = RemoteObjects("s3://bucket", {"endpoint_url": "http://127.0.0.1:9"}, name="storage")
    with pytest.raises(RemoteUnavailable, match="remote storage") as raised:
        transfer.upload(local, remote, fill(local, 3, large=False))
    assert "repeat" in raised.value.hint


def test_half_of_a_large_object_is_not_sent_again(local, bucket, s3, quick):
    """A part that fails is repeated by itself."""
    from servers import proxy

    entry = local.put_bytes(os.urandom(60 << 20))
    with proxy(s3[0], "503", share=0.3) as bad:
        transfer.upload(local, bucket(bad.url), {entry.sha256: entry.size})
        transfer.download(
            LocalObjects(f"{local.root}2"), bucket(bad.url), {entry.sha256: entry.size}
        )
        assert bad.done["503"] >= 3


@pytest.mark.parametrize("verb", ["upload", "download"])
def test_ctrl_c(local, bucket, s3, tmp_path, verb):
    from servers import proxy

    sizes = fill(local, 20)
    if verb == "download":
        transfer.upload(local, bucket(), sizes)
    with proxy(s3[0], "hang", share=0.5) as bad:
        remote = bucket(bad.url)
        code = f"""
from mlgit.objects import LocalObjects, folder_driver, transfer
from mlgit.objects.remote import RemoteObjects
local = LocalObjects({local.root if verb == "upload" else str(tmp_path / "other")!r})
remote = RemoteObjects({remote.url!r}, {remote.options!r})
try:
    transfer.{verb}(local, remote, {sizes!r}, lambda done, total: print(done, flush=True))
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""
        root = str(Path(mlgit.__file__).parents[1])
        child = subprocess.Popen(
            [sys.executable, "-c", code],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": root},
        )
        assert child.stdout is not None
        child.stdout.readline()
        time.sleep(0.5)
        child.send_signal(signal.SIGINT)
        out, _ = child.communicate(timeout=20)  # the proxy hangs for longer
    assert out.splitlines()[-1] == "interrupted"
    if verb == "upload":
        transfer.upload(local, bucket(), sizes)
        assert {sha: size for sha, size, _ in bucket().list()} == sizes
    else:
        other = LocalObjects(str(tmp_path / "other"))
        assert all(other.verify(sha) for sha in other.all())
        transfer.download(other, bucket(), sizes)
        assert sorted(other.all()) == sorted(sizes)


# -- other schemes


def test_reading_over_http(local, tmp_path, quick):
    pytest.importorskip("aiohttp")
    sizes = fill(local, 5)
    transfer.upload(local, RemoteObjects(str(tmp_path / "remote")), sizes)
    handler = partial(http.server.SimpleHTTPRequestHandler, directory=str(tmp_path / "remote"))
    handler.log_message = lambda *args: None
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        remote = RemoteObjects(f"http://127.0.0.1:{server.server_port}", name="web")
        other = LocalObjects(str(tmp_path / "other"))
        transfer.download(other, remote, sizes)
        check(other, sizes)
        assert remote.missing([*sizes, ABSENT]) == {ABSENT}
        extra = local.put_bytes(b"extra")
        with pytest.raises(Unsupported, match="for reading"):
            transfer.upload(local, remote, {extra.sha256: 5})
        for do in (lambda: list(remote.list()), lambda: remote.delete([ABSENT])):
            with pytest.raises(Unsupported):
                do()
        with pytest.raises(ResourceDoesNotExist):
            transfer.download(other, remote, {ABSENT: 3})
        server.shutdown()
    with pytest.raises(RemoteUnavailable):
        remote.missing([ABSENT])


@pytest.mark.parametrize(
    "url, package", [("gs://b", "gcsfs"), ("az://b", "adlfs"), ("sftp://host/x", "paramiko")]
)
def test_a_driver_that_is_missing(url, package, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingDependency) as raised:
        RemoteObjects(url, name="storage").missing([ABSENT])
    assert raised.value.hint == f"pip install {package}"


def test_a_scheme_that_nobody_knows():
    with pytest.raises(InvalidParameterValue, match="No driver knows nosuch://"):
        RemoteObjects("nosuch://x").missing([ABSENT])


def test_an_option_that_makes_no_sense(s3, credentials):
    remote = RemoteObjects("s3://b", {"endpoint_url": s3[0], "client_kwargs": {"nosuch": 1}})
    with pytest.raises(InvalidParameterValue):
        remote.missing([ABSENT])


def test_a_url_is_shown_without_its_password():
    remote = RemoteObjects("sftp://ada:secret@host/x", name="storage")
    assert "secret" not in remote.where
    assert hashlib.sha256(b"").hexdigest() == transfer._EMPTY


def test_what_was_hashed_in_one_clone_is_known_in_another(local, tmp_path, monkeypatch):
    remote = RemoteObjects(str(tmp_path / "remote"))
    path = tmp_path / "large"
    path.write_bytes(os.urandom(LARGE))
    entry = local.put_file(str(path))
    transfer.upload(local, remote, {entry.sha256: LARGE})
    hashed = []
    monkeypatch.setattr(folder_driver, "digest_of", lambda *a: hashed.append(a) or digest_of(*a))
    other = LocalObjects(str(tmp_path / "other"))
    transfer.download(other, remote, {entry.sha256: LARGE})
    assert other.is_whole(entry.sha256) and not hashed
    # Of another person, or without the memory: it is read.
    monkeypatch.setenv("MLGIT_CACHE_HOME", str(tmp_path / "elsewhere"))
    third = LocalObjects(str(tmp_path / "third"))
    there = RemoteObjects(str(tmp_path / "remote"))
    transfer.download(third, there, {entry.sha256: LARGE})
    assert third.is_whole(entry.sha256) and len(hashed) == 1


def test_without_a_memory_all_works(local, tmp_path, monkeypatch):
    (tmp_path / "home").write_text("no folder can be made in it")
    monkeypatch.setenv("MLGIT_CACHE_HOME", str(tmp_path / "home"))
    local = LocalObjects(local.root)
    path = tmp_path / "large"
    path.write_bytes(os.urandom(LARGE))
    entry = local.put_file(str(path))
    remote = RemoteObjects(str(tmp_path / "remote"))
    transfer.upload(local, remote, {entry.sha256: LARGE})
    other = LocalObjects(str(tmp_path / "other"))
    transfer.download(other, remote, {entry.sha256: LARGE})
    check(other, {entry.sha256: LARGE})
