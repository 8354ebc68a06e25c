"""A Git server on loopback: ``git http-backend`` behind Python's HTTP server."""

from __future__ import annotations

import os
import re
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest


class GitServer:
    """Serves the repositories of a folder while its context lasts.

    Args:
        root: The folder.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.servers: list[ThreadingHTTPServer] = []

    def __enter__(self) -> GitServer:
        done = subprocess.run(["git", "--exec-path"], capture_output=True, text=True, check=True)
        self.backend = f"{done.stdout.strip()}/git-http-backend"
        if not os.path.exists(self.backend):
            pytest.skip("git http-backend isn't installed")
        return self

    def serve(self, password: str | None = None) -> str:
        """Start a server, which may ask for a password; its URL."""
        names = {"backend": self.backend, "root": str(self.root), "password": password}
        server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Cgi,), names))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.servers.append(server)
        return f"http://127.0.0.1:{server.server_address[1]}"

    def __exit__(self, *_: object) -> None:
        for server in self.servers:
            server.shutdown()
            server.server_close()


class _Cgi(BaseHTTPRequestHandler):
    """Runs ``git http-backend`` for each request (git-scm.com/docs/git-http-backend)."""

    backend = root = ""
    password: str | None = None

    def do_GET(self) -> None:
        self.answer()

    do_POST = do_GET

    def body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        data = b""
        while size := int(self.rfile.readline(), 16):
            data += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return data

    def answer(self) -> None:
        data = self.body()
        if self.password is not None and self.headers.get("Authorization") is None:
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="git"')
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        path, _, query = self.path.partition("?")
        env = {
            **os.environ,
            "GIT_PROJECT_ROOT": self.root,
            "GIT_HTTP_EXPORT_ALL": "1",
            "REMOTE_USER": "ada",
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "REQUEST_METHOD": self.command,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(data)),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
        }
        done = subprocess.run([self.backend], input=data, capture_output=True, env=env, check=False)
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        fields = dict(re.findall(r"([\w-]+): (.*)", head.decode()))
        self.send_response(int(fields.pop("Status", "200").split()[0]))
        for name, value in fields.items():
            self.send_header(name, value.strip())
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass
