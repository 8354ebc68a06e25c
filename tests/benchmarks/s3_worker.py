"""Files to S3 and back, by mlgit or by s3fs alone; one measurement, in a process of its own.

    python s3_worker.py mlgit|plain URL BUCKET FOLDER

Prints {"put": {"wall": [s], "cpu": [s]}, "get": …}. Connecting and making the bucket isn't
counted; hashing on the way in and out is a part of mlgit's work.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any


def _timed(work: Callable[[], Any]) -> dict[str, list[float]]:
    cpu, wall = time.process_time(), time.perf_counter()
    work()
    return {"wall": [time.perf_counter() - wall], "cpu": [time.process_time() - cpu]}


def main() -> None:
    """Measure and print."""
    import s3fs

    who, url, bucket, folder = sys.argv[1:]
    options: dict[str, Any] = {"key": "benchmark", "secret": "benchmark", "endpoint_url": url}
    fs = s3fs.S3FileSystem(**options)
    fs.mkdir(bucket)
    files = sorted(str(path) for path in Path(folder).rglob("*") if path.is_file())
    with tempfile.TemporaryDirectory(dir=os.path.dirname(folder)) as place:
        if who == "plain":
            there = [f"{bucket}/files/{number:06d}" for number in range(len(files))]
            back = [f"{place}/{number:06d}" for number in range(len(files))]
            found = {
                "put": _timed(lambda: fs.put(files, there)),
                "get": _timed(lambda: fs.get(there, back)),
            }
        else:
            found = _mlgit(files, f"s3://{bucket}/store", options, place)
    print(json.dumps(found))


def _mlgit(files: list[str], url: str, options: dict[str, Any], place: str) -> dict[str, Any]:
    from mlgit.objects import LocalObjects
    from mlgit.objects.remote import RemoteObjects
    from mlgit.objects.transfer import download, upload

    local, other = LocalObjects(f"{place}/one"), LocalObjects(f"{place}/two")
    entries = [local.put_file(path) for path in files]
    sizes = {entry.sha256: entry.size for entry in entries}
    remote = RemoteObjects(url, options)
    remote.missing([hashlib.sha256(b"").hexdigest()])  # connects
    return {
        "put": _timed(lambda: upload(local, remote, sizes)),
        "get": _timed(lambda: download(other, remote, sizes)),
    }


if __name__ == "__main__":
    main()
