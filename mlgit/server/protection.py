"""What every request must pass, and what every answer says to the browser.

In this order: is it this server that the browser means (Host), is it somebody who may see it
(token), and, of what changes something: may this server change anything, does it come from a
page of ours (Origin), and from one that we made for this person (CSRF token)?
"""

from __future__ import annotations

import hmac
import ipaddress
import secrets
from urllib.parse import urlsplit

from flask import Flask, Response, g, redirect, request, session, url_for
from werkzeug.exceptions import BadRequest, Forbidden, Unauthorized
from werkzeug.wrappers import Response as AnyResponse

from mlgit.server.site import site

_SAFE = ("GET", "HEAD", "OPTIONS")
# Hold nothing of the repository: they are what it takes to be let in.
_OPEN = ("static", "login.form", "login.enter")
PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; media-src 'self'; "
    "connect-src 'self'; frame-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": PAGE_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # Not no-referrer: browsers then hide a form's origin, which is what we go by.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=()",
    "Cache-Control": "no-cache, private",
}


def protect(app: Flask) -> None:
    """Guard all requests of an app."""
    app.before_request(_check_host)
    app.before_request(_check_person)
    app.before_request(_check_change)
    app.after_request(_add_headers)


def csrf_token() -> str:
    """What a form of ours carries, so that it is known to be one."""
    if "csrf" not in session:
        session["csrf"] = secrets.token_urlsafe(24)
    return str(session["csrf"])


def let_in(token: str) -> bool:
    """Let the browser in if the token is right."""
    if not _is_token(token):
        return False
    session.clear()
    session["in"] = True
    return True


def is_local_path(path: str) -> bool:
    """Whether a text is a path on this server, and nothing that a browser takes for another."""
    return (
        path.startswith("/")
        and not path.startswith(("//", "/\\"))
        and all(c.isprintable() for c in path)
        and "\\" not in path
    )


def _check_host() -> None:
    g.stranger = True
    given = request.headers.get("Host", "")
    name = _host_name(given)
    options = site().options
    if name in options.hosts or (options.any_address and _is_address(name)):
        return
    g.hint = "start it with --allowed-hosts if this name is right"
    raise Forbidden(f"This server isn't called {given[:100]!r}")


def _host_name(given: str) -> str:
    """The name in a Host header, without the port, in lower case; "" where it can't be one."""
    try:
        parts = urlsplit("//" + given)
        return (parts.hostname or "") if parts.netloc == given and parts.port != -1 else ""
    except ValueError:
        return ""


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _check_person() -> AnyResponse | None:
    g.by_header = False
    if site().options.token is None or session.get("in"):
        g.stranger = False
        return None
    if request.endpoint in _OPEN:
        return None
    kind, _, given = request.headers.get("Authorization", "").partition(" ")
    if kind.lower() == "bearer":
        if _is_token(given):
            g.by_header = True
            g.stranger = False
            return None
        raise Unauthorized("The token isn't right")
    if request.method in ("GET", "HEAD") and request.accept_mimetypes.accept_html:
        wanted = request.full_path.rstrip("?")
        return redirect(url_for("login.form", next=wanted if wanted != "/" else None))
    raise Unauthorized("This server wants a token")


def _is_token(given: str) -> bool:
    token = site().options.token
    return token is not None and hmac.compare_digest(given.encode(), token.encode())


def _check_change() -> None:
    if request.method in _SAFE or g.by_header:
        # Programs that show the token in a header aren't browsers that somebody leads.
        _check_allowed()
        return
    origin = request.headers.get("Origin")
    if origin is None:
        if request.headers.get("Sec-Fetch-Site") != "same-origin":
            raise Forbidden("What changes something must say which page it comes from (Origin)")
    elif urlsplit(origin).netloc != request.headers.get("Host", ""):
        raise Forbidden("This came from a page of another site, and was refused")
    if request.endpoint == "login.enter":
        return
    _check_allowed()
    given = request.headers.get("X-CSRF-Token") or request.form.get("csrf") or ""
    expected = str(session.get("csrf") or "")
    if not expected or not hmac.compare_digest(given.encode(), expected.encode()):
        g.hint = "go back, reload the page, and try again"
        raise BadRequest("This form is too old, or isn't one of this server's")


def _check_allowed() -> None:
    if request.method not in _SAFE and not site().options.allow_write:
        g.hint = "start it with mlgit ui --allow-write"
        raise Forbidden("This server only reads")


def _add_headers(response: Response) -> Response:
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)
    response.headers.pop("Server", None)
    return response
