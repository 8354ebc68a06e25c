"""S3 through s3fs: the requests that it has no method for, or makes too many of."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
from typing import Any

from mlgit.exceptions import PermissionDenied
from mlgit.objects.async_driver import AsyncDriver, again
from mlgit.objects.copying import Tell, digest_of, hash_and_write, read_at
from mlgit.objects.drivers import CHUNK, PART, Found, check_sent, damaged_on_the_way
from mlgit.objects.failures import is_missing, may_pass
from mlgit.objects.parallel import pause

# Larger objects go in parts.
_WHOLE = 6 * PART
# S3 takes 10,000 parts at most.
_PARTS = 9000
# Parts of one object that are under way at once.
_AHEAD = 4
# How often a stream is taken up again without a byte of progress.
_ATTEMPTS = 5


def s3_options(options: dict[str, Any]) -> dict[str, Any]:
    """Connections enough for all that runs at once, and retries in one place: ours.

    Args:
        options: What the person configured; it comes first.
    """
    config = {
        "max_pool_connections": 64,
        "connect_timeout": 15,
        "read_timeout": 60,
        "retries": {"mode": "standard", "total_max_attempts": 1},
        **dict(options.get("config_kwargs") or {}),
    }
    # An instance of another time would go on with the credentials of then.
    return {"skip_instance_cache": True, **options, "config_kwargs": config}


class S3Driver(AsyncDriver):
    """An S3 bucket, or a folder in one.

    S3 checks what it is sent: an object of one request against its SHA-256, which is its name,
    the parts of a larger one against checksums of theirs.
    """

    def __init__(self, fs: Any, root: str, scheme: str) -> None:
        super().__init__(fs, root, scheme)
        fs.retries = 1
        self._bucket, self._prefix, _ = fs.split_path(root + "/")
        self._prefix = self._prefix.strip("/")

    def takes(self, method: str, size: int) -> int:
        """How many bytes of memory a put or get of a file takes while it is under way."""
        in_parts = method == "put" and size > _WHOLE
        return _AHEAD * PART if in_parts else min(size, 4 * CHUNK)

    def _name(self, key: str) -> str:
        return f"{self._prefix}/{key}" if self._prefix else key

    async def _call(self, method: str, **arguments: Any) -> Any:
        return await self.fs._call_s3(method, Bucket=self._bucket, **arguments)

    async def size(self, key: str) -> int | None:
        """How many bytes are under a key, or None where there is none."""
        try:
            found = await self._call("head_object", Key=self._name(key))
        except Exception as error:
            if is_missing(error):
                return None
            raise
        return int(found["ContentLength"])

    async def put(
        self,
        path: str,
        key: str,
        size: int,
        sha256: str,
        tell: Tell,
        share: bool = False,
        whole: bool = False,
    ) -> None:
        """Upload a file, in parts if it is large."""
        if size > _WHOLE:
            await self._put_parts(path, key, size, sha256, tell)
            return
        if not whole and size <= CHUNK:
            check_sent(digest_of(path), sha256)
        elif not whole:
            loop = asyncio.get_running_loop()
            check_sent(await loop.run_in_executor(None, digest_of, path), sha256)
        checksum = base64.b64encode(bytes.fromhex(sha256)).decode()
        with open(path, "rb") as f:
            body = f.read() if size <= CHUNK else f  # a file is sent piece by piece
            await self._call("put_object", Key=self._name(key), Body=body, ChecksumSHA256=checksum)
        tell(size)

    async def _put_parts(self, path: str, key: str, size: int, sha256: str, tell: Tell) -> None:
        name = self._name(key)
        made = await again(lambda: self._call("create_multipart_upload", Key=name))
        upload = {"Key": name, "UploadId": made["UploadId"]}
        try:
            parts = await self._send_parts(path, upload, size, sha256, tell)
            whole = {**upload, "MultipartUpload": {"Parts": parts}}
            try:
                await again(lambda: self._call("complete_multipart_upload", **whole))
            except Exception:
                # It may have been completed, and the answer lost on the way.
                if await self.size(key) != size:
                    raise
        except BaseException:
            try:
                await self._call("abort_multipart_upload", **upload)
            except Exception:
                pass  # what went wrong before is what counts
            raise

    async def _send_parts(
        self, path: str, upload: dict[str, Any], size: int, sha256: str, tell: Tell
    ) -> list[dict[str, Any]]:
        loop = asyncio.get_running_loop()
        digest = hashlib.sha256()
        length = max(PART, -(-size // _PARTS))
        room = asyncio.Semaphore(_AHEAD)
        tasks: list[asyncio.Task[dict[str, Any]]] = []

        async def send(number: int, data: bytes) -> dict[str, Any]:
            try:
                body = {**upload, "PartNumber": number, "Body": data}
                sent = await again(lambda: self._call("upload_part", **body))
            finally:
                room.release()
            tell(len(data))
            checksums = {k: v for k, v in sent.items() if k.startswith("ChecksumCRC")}
            return {"PartNumber": number, "ETag": sent["ETag"], **checksums}

        fd = os.open(path, os.O_RDONLY)
        try:
            for number, start in enumerate(range(0, size, length), 1):
                await room.acquire()
                for task in tasks:
                    if task.done() and task.exception():
                        raise task.exception() or AssertionError
                data = await loop.run_in_executor(None, read_at, fd, start, length, digest)
                tasks.append(loop.create_task(send(number, data)))
            parts = await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            os.close(fd)
        check_sent(digest.hexdigest(), sha256)
        return parts

    async def _read(self, key: str, start: int | None = None, end: int | None = None) -> bytes:
        extra = {} if start is None or end is None else {"Range": f"bytes={start}-{end - 1}"}
        found = await self._call("get_object", Key=self._name(key), **extra)
        async with found["Body"] as body:
            data: bytes = await body.read()
        return data

    async def _get_large(self, key: str, path: str, size: int, sha256: str, tell: Tell) -> int:
        """One stream, taken up again where it was cut."""
        sink = _Sink(path, tell)
        failures = 0
        try:
            while sink.count < size:
                before = sink.count
                try:
                    await self._stream(key, size, sink)
                    if sink.count < size:
                        raise damaged_on_the_way(sha256)
                except Exception as error:
                    failures = 0 if sink.count > before else failures + 1
                    if not may_pass(error) or failures >= _ATTEMPTS:
                        raise
                    await asyncio.sleep(pause(failures + 1))
        finally:
            await asyncio.shield(sink.close())
        if sink.digest.hexdigest() != sha256:
            raise damaged_on_the_way(sha256)
        return size

    async def _stream(self, key: str, size: int, sink: _Sink) -> None:
        extra = {"Range": f"bytes={sink.count}-{size - 1}"} if sink.count else {}
        found = await self._call("get_object", Key=self._name(key), **extra)
        async with found["Body"] as body:
            try:
                while data := await body.read(CHUNK):
                    await sink.add(data)
            finally:
                await sink.flush()

    async def find(self, folder: str) -> Found:
        """Every key below a folder."""
        found: Found = {}
        cut = len(self._name(""))
        more: dict[str, Any] = {}
        while True:
            page = await self._call("list_objects_v2", Prefix=self._name(folder) + "/", **more)
            for item in page.get("Contents", ()):
                found[item["Key"][cut:]] = (item["Size"], item["LastModified"].timestamp())
            if not page.get("IsTruncated"):
                return found
            more = {"ContinuationToken": page["NextContinuationToken"]}

    async def delete(self, keys: list[str]) -> None:
        """Remove keys, at most 1,000."""
        names = [{"Key": self._name(key)} for key in keys]
        done = await self._call("delete_objects", Delete={"Objects": names, "Quiet": True})
        for problem in done.get("Errors", ()):
            if problem.get("Code") in ("AccessDenied", "Forbidden"):
                raise PermissionDenied(
                    f"S3 refuses to delete {problem.get('Key')}: {problem.get('Message')}",
                    hint="check what these credentials may do there",
                )
            if problem.get("Code") != "NoSuchKey":
                raise OSError(f"S3 didn't delete {problem.get('Key')}: {problem.get('Message')}")


class _Sink:
    """A file that is hashed and written by a thread while the next bytes come in."""

    def __init__(self, path: str, tell: Tell) -> None:
        self.digest = hashlib.sha256()
        self.count = 0
        self._tell = tell
        self._pieces: list[bytes] = []
        self._waiting = 0
        self._writing: asyncio.Future[None] | None = None
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)

    async def add(self, data: bytes) -> None:
        """Take some bytes."""
        self._pieces.append(data)
        self._waiting += len(data)
        if self._waiting >= CHUNK:
            await self._write()

    async def _write(self) -> None:
        await self._written()
        if self._pieces:
            pieces, self._pieces = self._pieces, []
            self.count += self._waiting
            self._tell(self._waiting)
            self._waiting = 0
            loop = asyncio.get_running_loop()
            self._writing = loop.run_in_executor(None, self._work, pieces)

    def _work(self, pieces: list[bytes]) -> None:
        for data in pieces:
            hash_and_write(self.digest, self._fd, data)

    async def _written(self) -> None:
        if self._writing is not None:
            writing, self._writing = self._writing, None
            await writing

    async def flush(self) -> None:
        """Wait until all that was taken is written."""
        await self._write()
        await self._written()

    async def close(self) -> None:
        """Close the file, once nobody writes to it."""
        try:
            await self._written()
        finally:
            os.close(self._fd)
