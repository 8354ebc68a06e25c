"""How the web app was started: whom it answers, and what it may do."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterable
from dataclasses import dataclass

from mlgit.exceptions import InvalidParameterValue

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
MIN_TOKEN = 16


@dataclass(frozen=True)
class Options:
    """How the app was started.

    Attributes:
        allow_write: Whether pages may change the repository.
        token: What a browser must show once to be let in; None: everybody who reaches it is.
        hosts: The names that it is reached by; what a browser calls otherwise is refused.
        any_address: Whether it is reached by any IP address too. A page of somebody else's
            that makes its own name point here has a name, and never an address.
        streams: How many live streams are served at once.
        cookie: The name of its cookie, which servers of other ports don't share.
    """

    allow_write: bool = False
    token: str | None = None
    hosts: frozenset[str] = LOOPBACK
    any_address: bool = False
    streams: int = 16
    cookie: str = "mlgit_ui"

    @property
    def is_local(self) -> bool:
        """Whether only who sits at this machine reaches it."""
        return not self.any_address and self.hosts <= LOOPBACK


def is_loopback(host: str) -> bool:
    """Whether an address to listen on is reached from this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def options_for(
    host: str,
    port: int,
    *,
    allow_write: bool = False,
    token: str | None = None,
    no_auth: bool = False,
    allowed_hosts: Iterable[str] = (),
) -> Options:
    """The options of a server, checked.

    Args:
        host: The address that it listens on.
        port: Its port.
        allow_write: Whether pages may change the repository.
        token: What people must show to be let in.
        no_auth: Let everybody in who reaches it.
        allowed_hosts: More names that it is reached by.

    Raises:
        InvalidParameterValue: It would be open to others without a token, the token is too
            short to keep anybody out, or both a token and none are asked for.
    """
    if token is not None and no_auth:
        raise InvalidParameterValue("--no-auth and a token contradict each other")
    if token is not None and len(token) < MIN_TOKEN:
        raise InvalidParameterValue(
            f"The token has {len(token)} characters; it takes {MIN_TOKEN} or more",
            hint="python -c 'import secrets; print(secrets.token_urlsafe())' makes one",
        )
    if not is_loopback(host) and token is None and not no_auth:
        raise InvalidParameterValue(
            f"On {host} others can reach the app: it needs a token",
            hint="set MLGIT_UI_TOKEN (or --token) to a secret of "
            f"{MIN_TOKEN} characters or more, or say --no-auth to let everybody in; "
            "for yourself alone, leave --host away",
        )
    hosts = {name.strip().strip("[]").lower() for name in allowed_hosts if name.strip()}
    wildcard = host in ("0.0.0.0", "::", "")
    if not wildcard:
        hosts.add(host.lower())
    elif not is_loopback(host):
        hosts |= {socket.gethostname().lower(), socket.getfqdn().lower()}
    return Options(
        allow_write=allow_write,
        token=token,
        hosts=frozenset(hosts) | LOOPBACK,
        any_address=wildcard,
        cookie=f"mlgit_ui_{port}",
    )
