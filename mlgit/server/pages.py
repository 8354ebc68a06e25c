"""The table of pages: a blueprint a file, imported when the app is made.

To add a page: a module with a ``Blueprint`` called ``pages``, a row here, and, for the menu, the
words that lead to it. Templates extend ``base.html`` and take tables from ``macros.html``.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass

from flask import Flask


@dataclass(frozen=True)
class Row:
    """One file of pages.

    Attributes:
        module: The module below ``mlgit.server``.
        title: What the menu calls it; "" for pages that aren't in it.
        endpoint: The page that the menu leads to.
    """

    module: str
    title: str = ""
    endpoint: str = ""


PAGES = (
    Row("experiments", "Experiments", "experiments.index"),
    Row("runs", "Runs", "runs.index"),
    Row("branches", "Branches", "branches.index"),
    Row("compare"),
    Row("diff", "Diff", "diff.index"),
    Row("run"),
    Row("artifacts"),
    Row("code"),
    Row("points"),
    Row("live"),
    Row("keys"),
    Row("changes"),
    Row("describing"),
    Row("models", "Models", "models.index"),
    Row("model"),
    Row("version"),
    Row("promotions"),
    Row("trying"),
    Row("data", "Data", "data.index"),
    Row("login"),
)


def register(app: Flask) -> None:
    """Give an app all pages."""
    for row in PAGES:
        app.register_blueprint(importlib.import_module(f"mlgit.server.{row.module}").pages)
