"""Servers on loopback: S3's protocol by moto, and a proxy that spoils what goes through it."""

from __future__ import annotations

import base64
import hashlib
import http.client
import random
import socket
import struct
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from typing import Any
from zlib import crc32

DENIED = "AKIADENIED"


def _error(status: str, code: str) -> tuple[str, bytes]:
    text = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{code}!</Message></Error>"
    return status, text.encode()


class Checking:
    """What S3 does and moto doesn't: refuse bodies that were spoiled, and a person's key."""

    def __init__(self, app: Callable[..., Any]) -> None:
        self.app = app
        self.refused = 0

    def __call__(self, environ: dict[str, Any], start: Callable[..., Any]) -> Any:
        if DENIED in environ.get("HTTP_AUTHORIZATION", ""):
            status, body = _error("403 Forbidden", "InvalidAccessKeyId")
            return self._answer(start, status, b"" if environ["REQUEST_METHOD"] == "HEAD" else body)
        length = int(environ.get("CONTENT_LENGTH") or 0)
        body = environ["wsgi.input"].read(length) if length else b""
        if len(body) != length or not _is_whole(environ, body):
            self.refused += 1
            return self._answer(start, *_error("400 Bad Request", "BadDigest"))
        environ["wsgi.input"] = BytesIO(body)
        return self.app(environ, start)

    def _answer(self, start: Callable[..., Any], status: str, body: bytes) -> list[bytes]:
        headers = [("Content-Type", "application/xml"), ("Content-Length", str(len(body)))]
        start(status, headers)
        return [body]


def _is_whole(environ: dict[str, Any], body: bytes) -> bool:
    digests = {
        "HTTP_X_AMZ_CHECKSUM_SHA256": lambda: hashlib.sha256(body).digest(),
        "HTTP_X_AMZ_CHECKSUM_CRC32": lambda: struct.pack(">I", crc32(body)),
        "HTTP_CONTENT_MD5": lambda: hashlib.md5(body).digest(),
    }
    stated = [name for name in digests if name in environ]
    if environ["REQUEST_METHOD"] == "PUT" and "/objects/" in environ["PATH_INFO"]:
        assert stated, "an upload without a checksum"
    return all(base64.b64decode(environ[name]) == digests[name]() for name in stated)


@contextmanager
def s3_server() -> Iterator[tuple[str, Checking]]:
    """A server of S3's protocol; its URL, and what stands before it."""
    import logging

    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import make_server

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    app = Checking(DomainDispatcherApplication(create_backend_app))
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", app
    finally:
        server.shutdown()
        thread.join()


class Proxy(ThreadingHTTPServer):
    """Passes requests on, and spoils some of them.

    Args:
        upstream: The server's URL.
        faults: Kinds of faults, one of which may befall a request.
        share: The share of requests that it befalls.
    """

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, upstream: str, faults: tuple[str, ...], share: float, seed: int) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.upstream = upstream.removeprefix("http://")
        self.faults = faults
        self.share = share
        self.random = random.Random(seed)
        self.lock = threading.Lock()
        self.done: Counter[str] = Counter()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def fault(self) -> str:
        with self.lock:
            if self.random.random() >= self.share:
                return ""
            found = self.random.choice(self.faults)
            self.done[found] += 1
            return found

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # who is cut off complains


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Proxy

    def _pass(self) -> None:
        fault = self.server.fault()
        length = int(self.headers.get("Content-Length") or 0)
        if self.headers.get("Expect", "").lower() == "100-continue":
            self.send_response_only(100)
            self.end_headers()
        if fault == "cut request" and length:
            self.rfile.read(length // 2)
            return self._cut()
        body = self.rfile.read(length)
        if fault == "hang" and self.command != "HEAD":
            threading.Event().wait(60)
        if fault == "500":
            return self._answer(500, "Internal Server Error", "InternalError")
        if fault == "503":
            return self._answer(503, "Slow Down", "SlowDown")
        if fault == "flip request" and body:
            body = self._flipped(body)
        upstream = http.client.HTTPConnection(self.server.upstream, timeout=30)
        upstream.request(self.command, self.path, body, dict(self.headers.items()))
        answer = upstream.getresponse()
        data = answer.read()
        upstream.close()
        if fault == "cut":
            return self._cut()
        sent = len(data)
        if fault == "flip" and data and answer.status in (200, 206) and self.command == "GET":
            if "list-type" not in self.path:
                data = self._flipped(data)
        if fault == "truncate" and data:
            sent = len(data) // 2
        self.send_response_only(answer.status, answer.reason)
        for name, value in answer.getheaders():
            if name.lower() not in ("transfer-encoding", "connection", "content-length"):
                self.send_header(name, value)
        length_told = answer.getheader("Content-Length") if self.command == "HEAD" else len(data)
        self.send_header("Content-Length", str(length_told or 0))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data[:sent])
        if sent < len(data):
            self._cut()

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = _pass

    def _flipped(self, data: bytes) -> bytes:
        at = self.server.random.randrange(len(data))
        return data[:at] + bytes([data[at] ^ 0x10]) + data[at + 1 :]

    def _answer(self, status: int, reason: str, code: str) -> None:
        body = _error("", code)[1]
        self.send_response_only(status, reason)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _cut(self) -> None:
        self.wfile.flush()
        linger = struct.pack("ii", 1, 0)  # an RST instead of an orderly end
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.connection.close()
        self.close_connection = True

    def log_message(self, *args: Any) -> None:
        pass


@contextmanager
def proxy(upstream: str, *faults: str, share: float = 0.25, seed: int = 7) -> Iterator[Proxy]:
    """A proxy before a server."""
    server = Proxy(upstream, faults, share, seed)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
