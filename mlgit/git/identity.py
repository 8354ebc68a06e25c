"""Who commits, from Git's own configuration and environment."""

from __future__ import annotations

import getpass
import socket
from collections.abc import Callable, Mapping

_UNSAFE = str.maketrans({"<": "", ">": "", "\n": " ", "\0": ""})


def identity(
    role: str, environment: Mapping[str, str], configured: Callable[[str, str], str | None]
) -> str:
    """The "Name <email>" that Git would put into a commit.

    Args:
        role: "AUTHOR" or "COMMITTER".
        environment: Git's variables.
        configured: Looks up one (section, key) of Git's configuration.

    Returns:
        The identity. Where neither names one it is made of the login and host names, as
        Git does on most systems: a run must not be lost for want of a name.
    """
    section = role.lower()
    name = (
        environment.get(f"GIT_{role}_NAME")
        or configured(section, "name")
        or configured("user", "name")
    )
    email = (
        environment.get(f"GIT_{role}_EMAIL")
        or configured(section, "email")
        or configured("user", "email")
        or environment.get("EMAIL")
    )
    login = login_name()
    name = (name or login).translate(_UNSAFE).strip() or "unknown"
    email = (email or f"{login}@{socket.gethostname()}").translate(_UNSAFE).strip()
    return f"{name} <{email}>"


def login_name() -> str:
    """The operating system's name for this user, or "unknown"."""
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        return "unknown"
