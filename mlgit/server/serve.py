"""Serving the app by waitress, a production WSGI server."""

from __future__ import annotations

import errno
import importlib
import threading
from typing import Any

from flask import Flask

from mlgit.exceptions import (
    InvalidParameterValue,
    InvalidState,
    MissingDependency,
    PermissionDenied,
    from_os_error,
)
from mlgit.server.options import is_loopback
from mlgit.server.site import site

# Besides those that are taken by live streams.
_THREADS = 8


class Server:
    """An app that listens, and answers once ``run`` is called.

    Args:
        app: The app.
        host: The address to listen on.
        port: The port; 0 for any that is free.

    Raises:
        MissingDependency: waitress isn't installed.
        InvalidState: The port is taken.
        PermissionDenied: This user may not listen there.
        InvalidParameterValue: There is no such address.
    """

    def __init__(self, app: Flask, host: str, port: int) -> None:
        try:
            from waitress.server import create_server
        except ImportError:
            raise MissingDependency(
                "The web app is served by waitress, which isn't installed",
                hint="pip install 'mlgit[ui]'",
            ) from None
        self.app = app
        self.host = host
        try:
            self._server: Any = create_server(
                app,
                host=host,
                port=port,
                threads=_THREADS + site(app).options.streams,
                ident="mlgit",
                # Who has gone is noticed between two events of a live stream.
                channel_request_lookahead=1,
                max_request_header_size=65_536,
                max_request_body_size=1 << 20,
                clear_untrusted_proxy_headers=True,
            )
        except OSError as error:
            raise _refused(error, host, port) from error
        except ValueError as error:
            raise InvalidParameterValue(f"{host!r} is no address to listen on") from error
        self.port = int(getattr(self._server, "effective_port", 0) or port)

    @property
    def url(self) -> str:
        """Where a browser on this machine finds it."""
        host = self.host
        if not is_loopback(host) and host in ("", "0.0.0.0", "::"):
            host = "localhost"
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}/"

    def run(self) -> None:
        """Answer until the process is interrupted."""
        # What the first chart needs is loaded while nobody waits for it.
        threading.Thread(target=importlib.import_module, args=("numpy",), daemon=True).start()
        try:
            self._server.run()
        finally:
            self.close()

    def stop(self) -> None:
        """Let the live streams end, which nothing waits for then."""
        site(self.app).stopping.set()

    def close(self) -> None:
        """Stop, and listen no more."""
        self.stop()
        self._server.close()


def _refused(error: OSError, host: str, port: int) -> Exception:
    if error.errno == errno.EADDRINUSE:
        return InvalidState(
            f"Something listens on port {port} already",
            hint=f"another mlgit ui? Take another port: mlgit ui --port {port + 1}, or 0 for any",
        )
    if error.errno in (errno.EACCES, errno.EPERM):
        return PermissionDenied(
            f"This user may not listen on port {port}", hint="ports from 1024 on are free to all"
        )
    if error.errno == errno.EADDRNOTAVAIL or error.errno is None or error.errno < 0:
        return InvalidParameterValue(
            f"{host!r} is no address of this machine", hint="leave --host away to listen here only"
        )
    return from_os_error(error, f"listen on {host}:{port}")
