"""What notebooks show: runs, diffs, models and search results as HTML that nothing breaks out of."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

import pytest

import mlgit
from mlgit.entities import Metric, PagedList
from mlgit.entities.shown import fields_html, moment, runs_html
from mlgit.review.show import visible

EVIL = ["<script>alert(1)</script>", "</td></table>", '" onclick="x', "\u202eevil", "a\nb", "&lt;"]


class Reader(HTMLParser):
    """The elements of a piece of HTML, which must all be closed, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.names: set[str] = set()
        self.text = ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        assert not any(name.startswith("on") for name, _ in attrs)
        self.names.add(tag)
        if tag not in ("img", "path", "line"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in ("path", "line"):
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture
def logged(place: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.chdir(place.path)
    for name in ("first", "<b>second"):
        with mlgit.start_run(run_name=name):
            mlgit.log_params({f"p{n}": text + name for n, text in enumerate(EVIL)})
            mlgit.set_tag("note", EVIL[0])
            for step in range(3):
                mlgit.log_metric("loss", 1.0 / (step + len(name)), step=step)
            mlgit.pyfunc.log_model("model", python_model=str.upper, registered_model_name="shop")
    client = mlgit.MlgitClient()
    client.update_registered_model("shop", description=EVIL[0])
    client.update_model_version("shop", 1, EVIL[1])
    return place


def test_runs_and_search_results(logged: Any) -> None:
    runs = mlgit.search_runs(output_format="list")
    found = mlgit.get_run(runs[0].info.run_id)
    read = Reader(found._repr_html_())
    assert read.names <= {"div", "table", "caption", "tbody", "tr", "th", "td"}
    for value in [*EVIL, "Run <b>second", "FINISHED", "loss"]:
        assert visible(value) in read.text
    page = mlgit.MlgitClient().search_runs(["0"])
    read = Reader(page._repr_html_() or "")
    assert "<b>second" in read.text and "first" in read.text and "thead" in read.names
    assert "script" not in read.names
    assert hasattr(mlgit.search_runs(), "plot"), "pandas' own"


def test_models(logged: Any) -> None:
    client = mlgit.MlgitClient()
    version = client.get_model_version("shop", 1)
    assert EVIL[1] in Reader(version._repr_html_()).text
    assert EVIL[0] in Reader(client.get_registered_model("shop")._repr_html_()).text
    read = Reader(client.search_model_versions("name = 'shop'")._repr_html_() or "")
    assert read.text.count("shop") >= 2 and "script" not in read.names
    info = mlgit.models.get_model_info("models:/shop/1")
    text = Reader(info._repr_html_()).text
    assert "python_function" in text and "models:/shop/1" in text


def test_diffs(logged: Any) -> None:
    found = mlgit.diff("first", "<b>second")
    assert found and "loss" in str(found) and repr(found).startswith("<Diff first (")
    assert found.to_dict()["runs"][0]["curves"]["loss"]["old"]
    assert found.to_markdown().startswith("|  | revision")
    text = found._repr_html_()
    read = Reader(text)
    assert "svg" in read.names and not read.names & {"script", "style", "b", "html"}
    assert re.search(r'<path class="new" fill="none" stroke="#', text), "no style sheet is there"
    assert found.to_html().startswith("<!DOCTYPE html>")
    assert not mlgit.diff("first", "first")
    assert mlgit.diff("shop@v1..shop@v2").comparison.a.kind == "model"


def test_odd_values(place: Any) -> None:
    assert PagedList([1, 2])._repr_html_() is None and PagedList()._repr_html_() is None
    assert moment(None) == "" and moment(10**20) == str(10**20)
    assert moment(1_700_000_000_000) == "2023-11-14 22:13:20 UTC"
    read = Reader(
        PagedList([Metric("<a>", float("nan"), 1, n) for n in range(150)])._repr_html_() or ""
    )
    assert "<a>" in read.text and "nan" in read.text and "100 of 150 rows" in read.text
    assert "…" in Reader(fields_html("x", {"long": "y" * 9999})).text
    place.run("many", metrics={f"m{n}": 1.0 for n in range(100)})
    place.store.index.sync()
    assert runs_html(place.store.search_runs(None)).count('scope="col"') == 23
