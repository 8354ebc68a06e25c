"""What the pages about registered models share: the registry, and names in addresses."""

from __future__ import annotations

from urllib.parse import quote, unquote

from flask import Flask, g
from werkzeug.routing import BaseConverter

from mlgit.registry.registry import Registry, registry_of
from mlgit.server.site import store
from mlgit.tracking import context


def registry() -> Registry:
    """The registry of the repository that the request is about; its menu row is marked."""
    g.section = "models"
    return registry_here()


def registry_here() -> Registry:
    """The same, for a page that is about something else."""
    return registry_of(store(), context.user)


class ModelName(BaseConverter):
    """A model's name as one part of a path.

    Names come from tags, too, and GTO's may hold slashes; a part of dots is a path to a browser.
    Both are escaped once more, so that one address names one model.
    """

    part_isolating = True

    def to_url(self, value: str) -> str:
        """The name as addresses have it."""
        text = value.replace("%", "%25").replace("/", "%2F")
        if not text.strip("."):
            text = text.replace(".", "%2E")
        return quote(text.encode("utf-8", "surrogatepass"), safe="")

    def to_python(self, value: str) -> str:
        """The name that an address has."""
        return unquote(value)


def add_converter(app: Flask) -> None:
    """Let an app's addresses hold names of models: ``<model:name>``."""
    app.url_map.converters["model"] = ModelName
