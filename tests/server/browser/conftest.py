"""A real browser before a real server. Skipped where there is no Chromium or no Playwright.

``MLGIT_TEST_CHROMIUM`` names the program where it isn't on the path; ``MLGIT_TEST_AXE`` the file
``axe.min.js`` of the npm package axe-core, which the tests of accessibility need;
``MLGIT_TEST_SCREENSHOTS`` a folder to keep pictures in.
"""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mlgit.store.gitstore import GitStore

# Read when this module is: the tests themselves run without such variables.
CHROMIUM = os.environ.get("MLGIT_TEST_CHROMIUM") or shutil.which("chromium") or ""
SCREENSHOTS = os.environ.get("MLGIT_TEST_SCREENSHOTS", "")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All of this takes a browser, and its time."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """The browser."""
    playwright = pytest.importorskip("playwright.sync_api")
    if not CHROMIUM:
        pytest.skip("no Chromium")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def serve(store: GitStore) -> Iterator[Callable[..., str]]:
    """Serves the repository: ``serve(allow_write=True)`` gives the address."""
    pytest.importorskip("waitress")
    from mlgit.server.app import create_app
    from mlgit.server.options import Options
    from mlgit.server.serve import Server

    running: list[Server] = []

    def start(**options: Any) -> str:
        server = Server(create_app(store, Options(**options)), "127.0.0.1", 0)
        threading.Thread(target=server.run, daemon=True).start()
        running.append(server)
        return server.url.rstrip("/")

    yield start
    for server in running:
        server.stop()
        server._server.trigger.pull_trigger(server._server.close)
        server._server.task_dispatcher.shutdown(timeout=5)


class Complaints(list[str]):
    """What a page complained of: errors of scripts, and what the policy forbade."""


@pytest.fixture
def open_page(chromium: Any, request: pytest.FixtureRequest) -> Iterator[Callable[..., Any]]:
    """Opens a page: ``open_page(url, dark=True, phone=True)``; it must not complain."""
    contexts = []
    complaints = Complaints()

    def start(url: str, *, dark: bool = False, phone: bool = False, scripts: bool = True) -> Any:
        size = {"width": 390, "height": 800} if phone else {"width": 1280, "height": 800}
        context = chromium.new_context(
            viewport=size,
            color_scheme="dark" if dark else "light",
            java_script_enabled=scripts,
            reduced_motion="reduce",
        )
        context.grant_permissions(["clipboard-read", "clipboard-write"])
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda m: complaints.append(m.text) if m.type == "error" else None)
        page.complaints = complaints
        page.goto(url)
        return page

    yield start
    for number, context in enumerate(contexts):
        if SCREENSHOTS:
            name = "".join(c if c.isalnum() else "-" for c in request.node.name)
            for page in context.pages:
                page.screenshot(path=f"{SCREENSHOTS}/{name}-{number}.png", full_page=True)
        context.close()
    assert not complaints
