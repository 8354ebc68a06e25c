"""Markdown as HTML: what it makes of marks, and that it makes nothing else."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlgit.server.markdown import to_html

ALLOWED = {
    *("p", "h3", "h4", "h5", "h6", "ul", "ol", "li", "pre", "code", "em", "strong", "a", "hr"),
    *("blockquote", "div", "table", "thead", "tbody", "tr", "th", "td"),
}


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.found: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag != "hr":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open.pop() == tag


def _read(text: str) -> _Tags:
    reader = _Tags()
    reader.feed(str(to_html(text)))
    reader.close()
    assert not reader.open
    return reader


@pytest.mark.parametrize(
    "text, made",
    [
        ("# Title #", "<h3>Title</h3>"),
        ("a\nb\n\nc", "<p>a\nb</p>\n<p>c</p>"),
        (
            "*e* and **s** and `c*d*`",
            "<p><em>e</em> and <strong>s</strong> and <code>c*d*</code></p>",
        ),
        ("snake_case_name 2*3*4", "<p>snake_case_name 2*3*4</p>"),
        ("- a\n- b\n  - c", "<ul><li>a</li><li>b<ul><li>c</li></ul></li></ul>"),
        ("1. a\n2. b", "<ol><li>a</li><li>b</li></ol>"),
        ("> q\n> r", "<blockquote><p>q\nr</p></blockquote>"),
        ("---", "<hr>"),
        ("- ******", "<ul><li><strong>*</strong>*</li></ul>"),
        ("```py\n<b>\n```\nx", '<pre tabindex="0"><code>&lt;b&gt;</code></pre>\n<p>x</p>'),
        ("```\nnever closed", '<pre tabindex="0"><code>never closed</code></pre>'),
        ("<b>&amp;", "<p>&lt;b&gt;&amp;amp;</p>"),
        ("[a](javascript:x)", "<p>[a](javascript:x)</p>"),
    ],
)
def test_marks(text: str, made: str) -> None:
    assert str(to_html(text)) == made


def test_links_and_tables() -> None:
    (link,) = (
        attrs for tag, attrs in _read("[a & b](https://x.example/?a=1&b=2)").found if tag == "a"
    )
    assert link["href"] == "https://x.example/?a=1&b=2"
    tags = [tag for tag, _ in _read("| a | b |\n|---|:-:|\n| 1 | `2` |").found]
    assert tags.count("th") == 2 and tags.count("td") == 2 and "code" in tags


@given(st.text(alphabet="ab<>&\"'`*_#-+>|[]()!~\\\n 1.:/\t=\u202e", max_size=200))
def test_any_text_makes_whole_and_harmless_markup(text: str) -> None:
    _check(text)


@given(
    st.lists(
        st.sampled_from(
            [
                "- ",
                "  ",
                "1. ",
                "> ",
                "```",
                "# ",
                "|",
                "--|",
                "\n",
                "a",
                "**",
                "[x](https://e",
                ")",
                "`",
                '"',
                "<i>",
            ]
        ),
        max_size=40,
    )
)
def test_any_marks_make_whole_and_harmless_markup(parts: list[str]) -> None:
    _check("".join(parts))


def _check(text: str) -> None:
    for tag, attrs in _read(text).found:
        assert tag in ALLOWED
        assert set(attrs) <= {"href", "rel", "tabindex", "role", "aria-label", "class", "scope"}
        if tag == "a":
            assert re.match("https?://|mailto:", attrs["href"] or "", re.I)


@pytest.mark.parametrize("mark", ["`", "*", "[", "> ", "- ", "_a", "|", "**a", "``` "])
def test_much_of_one_mark_takes_no_time(mark: str) -> None:
    assert to_html(mark * (150_000 // len(mark)))
    assert to_html((mark * 20 + "\n") * 5000)
