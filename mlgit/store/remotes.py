"""The remotes that a repository knows (docs/format.md, "Configuration").

The team's are in ``.mlgit/config.yaml``, which is committed; a clone's own, and credentials,
in the common directory. What the second says of a remote goes over what the first says.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from mlgit.exceptions import (
    CorruptData,
    InvalidParameterValue,
    InvalidState,
    ResourceAlreadyExists,
    ResourceDoesNotExist,
)
from mlgit.git import Repository
from mlgit.objects.remote import RemoteObjects, folder_of, scheme_of, without_credentials
from mlgit.store import configfile, yamlform

# How files of data are placed where nobody says: the first of these that can be.
DEFAULT_LINKS = ("reflink", "copy")
_NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}\Z")
# An option whose name says that its value is a secret; "endpoint_url" and the like pass.
_SECRET = re.compile(
    r"(^|_)(key|secret|token|password|passwd|passphrase|pwd|auth|credentials?|sas|cookies?"
    r"|username|user|access_?key(_id)?|account_key|private_key|pkey|connection_string)($|_)",
    re.IGNORECASE,
)
_HARMLESS = {"anon", "key_filename", "use_ssl", "token_uri", "auth_timeout", "allow_agent"}


@dataclass(frozen=True)
class Remote:
    """One remote.

    Attributes:
        name: What the person calls it.
        url: Where it is.
        options: For its driver.
        local: Whether this clone's own file has a part in it.
    """

    name: str
    url: str
    options: dict[str, Any] = field(default_factory=dict)
    local: bool = False


@dataclass(frozen=True)
class RemoteConfig:
    """All remotes by name, and which one is meant where none is named."""

    remotes: dict[str, Remote]
    default: str | None


def read_config(repo: Repository) -> RemoteConfig:
    """The remotes that a repository knows.

    Without a name in ``default_remote``, the only remote is the default one.

    Raises:
        CorruptData: A configuration file doesn't parse.
        Unsupported: One is of a later version.
    """
    team = configfile.read_team(repo)
    own = configfile.read_local(repo)
    remotes = {name: _remote(name, found, False) for name, found in team["remotes"].items()}
    for name, found in own["remotes"].items():
        below = remotes.get(name)
        url = found.get("url") or (below.url if below else "")
        options = {**(below.options if below else {}), **(found.get("options") or {})}
        remotes[name] = _remote(name, {"url": url, "options": options}, True)
    usable = {name: remote for name, remote in remotes.items() if remote.url}
    default = own.get("default_remote") or team.get("default_remote")
    if default is None and len(usable) == 1:
        default = next(iter(usable))
    return RemoteConfig(dict(sorted(usable.items())), default)


def add(
    repo: Repository,
    name: str,
    url: str,
    options: Mapping[str, Any] | None = None,
    *,
    local: bool = False,
    force: bool = False,
) -> Remote:
    """Add a remote. The first one becomes the default.

    Args:
        repo: The repository.
        name: What to call it.
        url: A path, or a URL that fsspec has a driver for. A relative path is meant from
            the working directory for this clone's own, and refused for the team's.
        options: For the driver.
        local: For this clone alone; the place for credentials.
        force: Replace one of that name.

    Raises:
        InvalidParameterValue: The name or URL can't be right, or a credential would be
            committed.
        ResourceAlreadyExists: There is one of that name.
        InvalidState: There is no worktree to keep the team's file in.
    """
    options = dict(options or {})
    _check_name(name)
    url = _check_url(url, local)
    path = _path(repo, local)
    if not local:
        _refuse_credentials(name, url, options)
    found = configfile.read(path)
    if name in found["remotes"] and not force:
        shown = without_credentials(str(found["remotes"][name].get("url", "")))
        raise ResourceAlreadyExists(
            f"There is a remote {name} already, at {shown}",
            hint="--force replaces it",
        )
    found["remotes"][name] = {"url": url, **({"options": options} if options else {})}
    if not found.get("default_remote") and read_config(repo).default is None:
        found["default_remote"] = name
    configfile.write(path, found)
    return Remote(name, url, options, local)


def remove(repo: Repository, name: str, *, local: bool = False) -> None:
    """Forget a remote; nothing that it holds is touched.

    Args:
        repo: The repository.
        name: Which one.
        local: Only what this clone's own file says of it.

    Raises:
        ResourceDoesNotExist: There is none of that name.
    """
    known = False
    for path in (
        [configfile.local_path(repo)]
        if local
        else [configfile.team_path(repo), configfile.local_path(repo)]
    ):
        if path is None:
            continue
        found = configfile.read(path)
        if name not in found["remotes"] and found.get("default_remote") != name:
            continue
        known = found["remotes"].pop(name, None) is not None or known
        if found.get("default_remote") == name:
            del found["default_remote"]
        configfile.write(path, found)
    if not known:
        raise _unknown(repo, name)


def set_default(repo: Repository, name: str, *, local: bool = False) -> None:
    """Say which remote is meant where none is named.

    Raises:
        ResourceDoesNotExist: There is none of that name.
        InvalidParameterValue: It is this clone's own, and can't be the team's default.
    """
    path = _path(repo, local)
    if name not in read_config(repo).remotes:
        raise _unknown(repo, name)
    found = configfile.read(path)
    if not local and name not in found["remotes"]:
        raise InvalidParameterValue(
            f"The remote {name} is this clone's own; it can't be everybody's default",
            hint=f"mlgit remote default --local {name}",
        )
    found["default_remote"] = name
    configfile.write(path, found)


def remote_objects(repo: Repository, name: str | None = None) -> RemoteObjects:
    """A remote's objects.

    Args:
        repo: The repository.
        name: Which remote; the default one where None.

    Raises:
        ResourceDoesNotExist: There is no such remote, or no default one.
    """
    config = read_config(repo)
    if name is None:
        name = config.default
    if name is None:
        if config.remotes:
            raise ResourceDoesNotExist(
                "Several remotes, and none is the default one",
                hint=f"name one of {', '.join(config.remotes)}, or mlgit remote default NAME",
            )
        raise ResourceDoesNotExist(
            "This repository has no remote for artifacts and data",
            hint="mlgit remote add NAME URL, such as s3://bucket/folder or a path",
        )
    if name not in config.remotes:
        raise _unknown(repo, name)
    remote = config.remotes[name]
    options = remote.options
    if scheme_of(remote.url) == "file" and not options and "hardlink" in configured_links(repo):
        options = {"share": False}  # what a person makes writable mustn't be the remote's too
    return RemoteObjects(remote.url, options, name=remote.name)


def folder_remotes(repo: Repository) -> list[str]:
    """The folders of remotes that are folders of this machine."""
    remotes = read_config(repo).remotes.values()
    return [folder_of(r.url) for r in remotes if scheme_of(r.url) in ("file", "local")]


def configured_links(repo: Repository) -> list[str]:
    """The ways to place files, from ``data: {links: […]}`` of the clone's or team's file."""
    for path in (configfile.local_path(repo), configfile.team_path(repo)):
        section = configfile.read(path).get("data") if path else None
        found = section.get("links") if isinstance(section, dict) else None
        if isinstance(found, str):
            return [found]
        if isinstance(found, list):
            return [str(link) for link in found]
    return list(DEFAULT_LINKS)


def _unknown(repo: Repository, name: str) -> ResourceDoesNotExist:
    known = ", ".join(read_config(repo).remotes)
    hint = f"there are: {known}" if known else "mlgit remote add NAME URL"
    return ResourceDoesNotExist(f"No remote is called {name}", hint=hint)


# -- checks


def _check_name(name: str) -> None:
    if not _NAME.match(name):
        raise InvalidParameterValue(
            f"{name!r} can't be a remote's name",
            hint="up to 100 letters, digits, '_', '.' and '-', beginning with a letter or digit",
        )


def _check_url(url: str, local: bool) -> str:
    if not url.strip() or any(ord(c) < 32 for c in url):
        raise InvalidParameterValue(f"{url!r} can't be a remote's URL")
    if "://" not in url:
        url = os.path.expanduser(url)
        if not os.path.isabs(url):
            if not local:
                raise InvalidParameterValue(
                    f"{url} is meant from where you are, which isn't where your team is",
                    hint="give an absolute path or a URL; or add it with --local",
                )
            url = os.path.abspath(url)
    elif scheme_of(url) in ("s3", "s3a", "gs", "gcs") and not urlsplit(url).netloc:
        raise InvalidParameterValue(f"{url} names no bucket")
    return url


def is_secret(option: str) -> bool:
    """Whether an option's name says that its value is a credential."""
    return option not in _HARMLESS and _SECRET.search(option) is not None


def masked(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options as they may be shown: the credentials among them as stars."""
    return {
        name: "***"
        if is_secret(str(name))
        else (masked(value) if isinstance(value, dict) else value)
        for name, value in options.items()
    }


def parse_option(text: str) -> tuple[str, Any]:
    """An option that was typed as KEY=VALUE; the value is YAML, or else text.

    Raises:
        InvalidParameterValue: There is no key, or no "=".
    """
    name, equals, value = text.partition("=")
    if not equals or not name.strip():
        raise InvalidParameterValue(f"{text!r} isn't KEY=VALUE")
    try:
        return name.strip(), yamlform.load(f"value: {value}\n".encode(), text)["value"]
    except (CorruptData, KeyError):
        return name.strip(), value


def _secrets(options: Mapping[str, Any], above: str = "") -> list[str]:
    found = []
    for name, value in options.items():
        if is_secret(str(name)):
            found.append(above + str(name))
        elif isinstance(value, dict):
            found += _secrets(value, f"{above}{name}.")
    return found


def _refuse_credentials(name: str, url: str, options: Mapping[str, Any]) -> None:
    what = ""
    if without_credentials(url) != url and ":" in urlsplit(url).netloc.rpartition("@")[0]:
        what = "a URL with a password"
    elif secret := _secrets(options):
        what = f"the option {secret[0]}"
    if what:
        raise InvalidParameterValue(
            f"The team's configuration is committed: {what} would be there for all to read",
            hint=f"mlgit remote add --local {name} … keeps it in this clone; "
            "the others take theirs from their environment",
        )


# -- the files


def _path(repo: Repository, local: bool) -> str:
    path = configfile.local_path(repo) if local else configfile.team_path(repo)
    if path is None:
        raise InvalidState(
            "A bare repository has no worktree to keep the team's configuration in",
            hint="--local keeps it in this repository alone",
        )
    return path


def _remote(name: str, found: Any, local: bool) -> Remote:
    url, options = found.get("url") or "", found.get("options") or {}
    if not isinstance(url, str) or not isinstance(options, dict):
        raise CorruptData(f"The configuration of the remote {name} isn't a url and options")
    return Remote(name, url, options, local)
