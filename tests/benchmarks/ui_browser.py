"""Servers of web apps, and how long their pages take: to be answered, and to be drawn in Chromium."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Any

from peers import Unavailable

# Says, in the page, when a condition first holds; the frame that shows it is counted too.
_WATCH = """(() => {
  const look = () => {
    let holds = false;
    try { holds = document.body && document.readyState !== "loading" && (%s); } catch {}
    if (!holds) return requestAnimationFrame(look);
    requestAnimationFrame(() => { window.__drawn = performance.now(); });
  };
  requestAnimationFrame(look);
})()"""
_LONGEST = 60_000  # ms


class Server:
    """A web app's process, in a process group of its own, which is ended with it.

    Args:
        command: What starts it; ``{port}`` becomes a port that is free.
        folder: Where it runs, and its log is.
        environment: Its environment variables.
    """

    def __init__(self, command: list[str], folder: Path, environment: dict[str, str]) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        self._log = open(folder / f"server-{port}.log", "wb")
        self._process = subprocess.Popen(
            [part.replace("{port}", str(port)) for part in command],
            cwd=folder,
            env=environment,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def wait(self, seconds: float = 90.0) -> None:
        """Wait until it answers.

        Raises:
            Unavailable: It ended, or doesn't.
        """
        end = time.monotonic() + seconds
        while time.monotonic() < end and self._process.poll() is None:
            try:
                self.answer("/")
                return
            except (OSError, Unavailable):
                time.sleep(0.2)
        raise Unavailable(f"the server doesn't answer: {Path(self._log.name).read_text()[-300:]}")

    def answer(self, path: str, timeout: float = 600.0) -> float:
        """How long a page takes to be answered whole, in seconds.

        Raises:
            Unavailable: It isn't.
        """
        start = time.perf_counter()
        try:
            with urllib.request.urlopen(self.url + path, timeout=timeout) as found:
                found.read()
        except urllib.error.HTTPError as error:
            raise Unavailable(f"{path[:100]}: {error.code}: {error.read()[:200]!r}") from error
        return time.perf_counter() - start

    def __enter__(self) -> Server:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGTERM)
            try:
                self._process.wait(15)
            except subprocess.TimeoutExpired:
                os.killpg(self._process.pid, signal.SIGKILL)
                self._process.wait()
        self._log.close()


class Browser:
    """Chromium, driven by Playwright."""

    def __init__(self, program: str) -> None:
        try:
            from playwright.sync_api import sync_playwright
        except ImportError:
            raise Unavailable("Playwright isn't installed: pip install playwright") from None
        self._playwright = sync_playwright().start()
        self._chromium = self._playwright.chromium.launch(
            executable_path=program, args=["--no-sandbox"]
        )

    def drawn(self, url: str, holds: str) -> tuple[float, float]:
        """How long a page takes until a condition holds and is drawn, in seconds.

        Args:
            url: The page.
            holds: The condition, in JavaScript.

        Returns:
            On the first visit, with nothing in the browser's cache; and on the next one.

        Raises:
            Unavailable: It never holds.
        """
        context = self._chromium.new_context(viewport={"width": 1280, "height": 800})
        try:
            context.add_init_script(_WATCH % holds)
            return self._visit(context, url), self._visit(context, url)
        finally:
            context.close()

    def _visit(self, context: Any, url: str) -> float:
        page = context.new_page()
        try:
            page.goto(url, wait_until="commit", timeout=_LONGEST)
            return _wait(page) / 1000
        except Unavailable:
            raise
        except Exception as error:  # Playwright's own
            raise Unavailable(f"{url[-80:]}: {str(error).splitlines()[0][:150]}") from error
        finally:
            page.close()

    def picture(self, url: str, holds: str, path: Path) -> None:
        """Keep a picture of a page as it is when the condition holds."""
        context = self._chromium.new_context(viewport={"width": 1280, "height": 800})
        try:
            context.add_init_script(_WATCH % holds)
            page = context.new_page()
            page.goto(url, wait_until="commit", timeout=_LONGEST)
            _wait(page)
            page.screenshot(path=str(path))
        finally:
            context.close()

    def close(self) -> None:
        """End the browser."""
        self._chromium.close()
        self._playwright.stop()


def _wait(page: Any) -> float:
    """The page's own time at which the condition was drawn, in milliseconds."""
    end = time.monotonic() + _LONGEST / 1000
    # Playwright's own waiting is made of strings that a page's policy may not let run.
    while not (found := page.evaluate("window.__drawn || 0")):
        if time.monotonic() > end:
            raise Unavailable(f"what was waited for never was on {page.url[-80:]}")
        page.wait_for_timeout(20)
    return float(found)
