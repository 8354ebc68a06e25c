"""A comparison as a page: nothing breaks out of it, nothing is loaded by it."""

from __future__ import annotations

import base64
import html
import math
import re
from functools import partial
from html.parser import HTMLParser
from typing import Any

import pytest
from click.testing import CliRunner

from mlgit.cli.main import cli
from mlgit.entities import Metric
from mlgit.review.compare import compare
from mlgit.review.curves import Curve
from mlgit.review.page import to_html
from mlgit.review.previews import preview
from mlgit.review.revisions import resolve
from mlgit.review.show import visible
from mlgit.review.svg import figure
from mlgit.store.record import Point

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'
EVIL = [
    "<script>alert(1)</script>",
    "</pre></code></td></table><h1>x",
    '" onmouseover="alert(1)',
    "' onfocus='x",
    "</style><style>*{display:none}",
    "</title><b>",
    "javascript:alert(1)",
    "\u202eevil",
    "\x1b[31m",
    "&lt;b&gt;",
    "<!-- ",
    "]]>",
    "line\nline\u2028",
]
VOID = {"meta", "img", "path", "line"}


class Reader(HTMLParser):
    """What a browser makes of a page: its elements, whether they are closed, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def page(place: Any, a: str, b: str, **options: Any) -> str:
    found = compare(place.store, resolve(place.store, a), resolve(place.store, b), points=100)
    return to_html(found, previewer=partial(preview, place.store.objects), **options)


def log(place: Any, files: dict[str, bytes], values: list[float]) -> Any:
    def work(run_id: str) -> None:
        for name, data in files.items():
            place.store.log_bytes(run_id, data, name)
        metrics = [Metric("a loss", v, 1000 + n, n) for n, v in enumerate(values)]
        place.store.runs.log_batch(run_id, metrics=metrics)

    return work


def evil(place: Any) -> str:
    params = {f"p{n}": text for n, text in enumerate(EVIL)}
    tags = {f"t{n}": text for n, text in enumerate(EVIL)}
    place.run(
        "plain",
        params=dict.fromkeys(params, "x"),
        before_end=log(place, {"a.csv": b"a,b\n1,2\n", "b.png": PNG, "c.svg": SVG}, [2.0, 1.0]),
    )
    for n, text in enumerate(EVIL):
        place.write(f"f{n}{text.replace('/', '_')}", f"{text}\n")
    place.run(
        "<img src=x onerror=alert(1)>",
        params=params,
        tags=tags,
        environment={"python": "<b>", "packages": {"<i>": "</i>"}},
        before_end=log(
            place, {"a.csv": b"a,b\n1,<b>\n", "b.png": PNG + b"x", "c.svg": SVG + b" "}, [2.0, 3.0]
        ),
    )
    return page(place, "@{1}", "@{0}", headline="</h1><script>", remarks=["<script>"])


def test_nothing_breaks_out(place: Any) -> None:
    text = evil(place)
    read = Reader(text)
    assert read.open == []
    names = {name for name, _ in read.elements}
    assert not names & {"script", "iframe", "link", "object", "form", "a", "b", "i"}
    for name, attributes in read.elements:
        assert not any(key.startswith("on") for key in attributes), (name, attributes)
        for key in ("src", "href", "xlink:href"):
            assert (attributes.get(key) or "data:image/").startswith("data:image/")
    shown = "".join(read.text)
    for value in EVIL:
        assert visible(value) in shown, value
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e\u2028]", text)


def test_it_loads_nothing(place: Any) -> None:
    text = evil(place)
    assert "default-src 'none'" in text
    outside = text.replace("http://www.w3.org/2000/svg", "")
    urls = re.findall(r"(?:src|href|url)\s*[=(]\s*[\"']?([^\"')>\s]+)", html.unescape(outside))
    assert {url[:11] for url in urls if url != "x"} == {"data:image/"}


def test_images_and_tables_are_shown_side_by_side(place: Any) -> None:
    read = Reader(evil(place))
    images = [a for name, a in read.elements if name == "img"]
    assert [i["alt"] for i in images] == ["b.png, old", "b.png, new", "c.svg, old", "c.svg, new"]
    kinds = [(i["src"] or "").partition(";")[0] for i in images]
    assert kinds == ["data:image/png"] * 2 + ["data:image/svg+xml"] * 2
    assert "-1,2" in "".join(read.text) and "+1,<b>" in "".join(read.text)


def test_what_a_name_says_of_a_file_may_be_wrong(place: Any) -> None:
    for name, data in (("a", b"<html>"), ("b", b"\0")):
        files = {"x.png": data, "y.csv": b"\0" + data, "z.svg": b"<html>" + data}
        place.run(name, before_end=log(place, files, []))
    text = page(place, "a", "b")
    assert "<img" not in text and "x.png" in text and "y.csv" in text


def test_it_can_be_read_aloud(place: Any) -> None:
    read = Reader(evil(place))
    tables = [a for name, a in read.elements if name == "table"]
    assert len(tables) == sum(name == "caption" for name, _ in read.elements)
    assert all(a.get("scope") in ("row", "col") for name, a in read.elements if name == "th")
    (svg,) = [a for name, a in read.elements if name == "svg"]
    assert svg["role"] == "img" and "a loss: old: 2 points, 1 to 2, last 1" in (
        svg["aria-label"] or ""
    )
    assert ("html", {"lang": "en"}) in read.elements
    assert "prefers-color-scheme:dark" in "".join(read.text)


def test_gaps_and_odd_numbers_of_curves() -> None:
    nan = [Point(0, 0, 1.0), Point(1, 0, math.nan), Point(2, 0, 2.0), Point(3, 0, 3.0)]
    text = figure(Curve("x", (), tuple(nan)))
    assert text is not None and text.count("M") == 2 and "h0.01" in text
    assert figure(Curve("x", (), (Point(0, 0, math.nan),))) is None
    huge = (Point(0, 0, -1.7e308), Point(2**62, 0, 1.7e308))
    for side in (huge, (Point(5, 0, 3.0),), (Point(0, 0, 0.0), Point(0, 0, 0.0))):
        text = figure(Curve("x", side, side))
        assert text is not None and "nan" not in text and "inf" not in text


def test_the_commands(place: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    evil(place)
    place.commit()
    monkeypatch.chdir(place.path)

    def call(*arguments: str) -> str:
        done = CliRunner().invoke(cli, ["--no-pager", *arguments])
        assert done.exit_code == 0, done.output
        return done.stdout

    text = call("diff", "@{1}", "@{0}", "--html")
    assert text.startswith("<!DOCTYPE html>") and "<svg" in text and Reader(text).open == []
    assert "<svg" not in call("diff", "@{1}", "@{0}", "--html", "--params")
    text = call("report", "--base", "HEAD~1", "--html")
    assert "Revisions" in text and Reader(text).open == []
    assert CliRunner().invoke(cli, ["diff", "--html", "--md"]).exit_code == 2
