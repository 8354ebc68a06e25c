"""Texts that attack a page which takes them for markup, and a look at what a browser makes of it."""

from __future__ import annotations

from html.parser import HTMLParser
from urllib.parse import urljoin

from flask.testing import FlaskClient

PAYLOADS = [
    "<script>PWNED()</script>",
    '"><img src=x onerror=PWNED()>',
    "'><svg onload=PWNED()>",
    "javascript:PWNED()",
    "{{7*7}}{% PWNED %}",
    "</title></textarea></style><script>PWNED()</script>",
    "<!--<script>PWNED()",
    "data:text/html,<script>PWNED()</script>",
    "\u202eevil\u2066",
    '[x](javascript:PWNED()) ![y](x" onerror=PWNED())',
    "` onmouseover=PWNED() `",
]


class _Reader(HTMLParser):
    """What a browser would make of a page: its elements and their attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.scripts: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.text = ""
        self.typed = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        self.attributes += [(tag, name, value) for name, value in found.items()]
        self.typed = tag == "textarea"
        if tag == "script":
            self.scripts.append(found.get("src", "inline"))

    def handle_data(self, data: str) -> None:
        self.text += "" if self.typed else data


def check(page: str, where: str) -> None:
    """Nothing that came from outside is markup, script, style or an address that acts."""
    reader = _Reader()
    reader.feed(page)
    assert all(src.startswith("/static/") for src in reader.scripts), where
    for tag, name, value in reader.attributes:
        assert not name.startswith("on") and name not in ("style", "srcdoc"), (where, tag, name)
        if name in ("href", "src", "action", "formaction"):
            local = value.startswith(("/", "#", "?")) and not value.startswith("//")
            assert local or value.startswith(("http://", "https://", "mailto:")), (where, value)
    assert "PWNED()</script>" not in page and "49{%" not in page, where
    assert "\u202e" not in reader.text, where


def walk(client: FlaskClient, start: str) -> int:
    """Every page that is reached by links, each looked at."""
    seen, pending = {start}, [start]
    while pending:
        path = pending.pop()
        answer = client.get(path)
        assert answer.status_code in (200, 302), (path, answer.status_code)
        if answer.status_code == 302 or answer.mimetype != "text/html":
            continue
        if "/frame/" not in path:
            check(answer.text, path)
        reader = _Reader()
        reader.feed(answer.text)
        for _, name, value in reader.attributes:
            if name in ("href", "src") and value.startswith(("/", "?")) and len(seen) < 3000:
                target = urljoin(path, value).partition("#")[0]
                # Each table can be sorted in many ways; one of each state is enough.
                if target not in seen and not target.startswith(
                    ("/static/", "/runs?", "/runs.csv")
                ):
                    seen.add(target)
                    pending.append(target)
    return len(seen)
