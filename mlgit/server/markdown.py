"""Markdown as HTML: the part of it that notes and reports use, and nothing that can do harm.

Everything is escaped first; tags are only ever made here. There is no HTML in it, no image from
elsewhere, and links lead to http, https and mailto alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import count

from markupsafe import Markup, escape

from mlgit.review.show import visible_lines

_MOST = 200_000
# Of one paragraph: what is longer is no prose, and searching it for marks takes its square.
_LONGEST = 10_000
_DEEPEST = 20
_FENCE = re.compile(r"^ {0,3}(```|~~~)[^`]*$")
_HEADING = re.compile(r"^(#{1,6})\s+(.*?)\s*#*$")
_ITEM = re.compile(r"^(\s*)([-*+]|\d{1,9}[.)])\s+(.*)$")
_RULE = re.compile(r"^ {0,3}([-*_])(?:\s*\1){2,}\s*$")
_CELLS = re.compile(r"^\s*\|?(?:\s*:?-+:?\s*\|)+(?:\s*:?-+:?\s*)?$")
_CODE = re.compile(r"(`+)([^`].*?|[^`])\1(?!`)", re.DOTALL)
_LINK = re.compile(r"(!?)\[([^\[\]\n]{0,500})\]\(([^()\s]{1,2000})\)")
_STRONG = re.compile(r"(\*\*|__)(?=\S)(.{1,500}?)(?<=\S)\1", re.DOTALL)
_EMPHASIS = re.compile(r"(?<![\w*])([*_])(?=[^\s*_])([^*_\n]{1,500})(?<=\S)\1(?![\w*])")
_EM = r"<em>\2</em>"
_SCHEMES = ("http://", "https://", "mailto:")


def to_html(text: str) -> Markup:
    """A text in Markdown as HTML that is safe to show.

    Args:
        text: Anybody's text; what isn't Markdown is shown as it is.
    """
    lines = visible_lines(text[:_MOST].replace("\r\n", "\n")).split("\n")
    return Markup("\n".join(_blocks(lines, 0)))


def _blocks(lines: list[str], depth: int) -> Iterator[str]:
    at = 0
    while at < len(lines):
        line = lines[at]
        if not line.strip():
            at += 1
        elif _FENCE.match(line):
            mark = line.strip()[:3]
            end = next(
                (n for n in range(at + 1, len(lines)) if lines[n].strip() == mark), len(lines)
            )
            yield _pre(lines[at + 1 : end])
            at = end + 1
        elif found := _HEADING.match(line):
            # Below the page's own headings.
            level = min(len(found[1]) + 2, 6)
            yield f"<h{level}>{_inline(found[2])}</h{level}>"
            at += 1
        elif _RULE.match(line):
            yield "<hr>"
            at += 1
        elif line.startswith(">") and depth < _DEEPEST:
            end = _until(lines, at, lambda text: text.startswith(">"))
            inner = [text[1:].removeprefix(" ") for text in lines[at:end]]
            yield f"<blockquote>{''.join(_blocks(inner, depth + 1))}</blockquote>"
            at = end
        elif _ITEM.match(line):
            end = _until(lines, at, lambda text: bool(text.strip()))
            yield _list(lines[at:end], depth)
            at = end
        elif "|" in line and at + 1 < len(lines) and _CELLS.match(lines[at + 1]):
            end = _until(lines, at, lambda text: "|" in text)
            yield _table(lines[at], lines[at + 2 : end])
            at = end
        else:
            end = at + 1
            while end < len(lines) and lines[end].strip() and not _begins(lines[end]):
                end += 1
            yield f"<p>{_inline(chr(10).join(lines[at:end]))}</p>"
            at = end


def _begins(line: str) -> bool:
    """Whether a line ends the paragraph before it."""
    found = (_FENCE, _HEADING, _RULE, _ITEM)
    return line.startswith(">") or any(pattern.match(line) for pattern in found)


def _until(lines: list[str], at: int, holds: object) -> int:
    assert callable(holds)
    return next((n for n in count(at) if n >= len(lines) or not holds(lines[n])), len(lines))


def _pre(lines: list[str]) -> str:
    return f'<pre tabindex="0"><code>{escape(chr(10).join(lines))}</code></pre>'


def _list(lines: list[str], depth: int) -> str:
    """A list; what is indented further than its first item is a list in the item before."""
    first = _ITEM.match(lines[0])
    assert first is not None
    indent, kind = len(first[1]), "ol" if first[2][0].isdigit() else "ul"
    items: list[tuple[str, list[str]]] = []
    for line in lines:
        found = _ITEM.match(line)
        if found and (len(found[1]) <= indent or depth >= _DEEPEST):
            items.append((found[3], []))
        else:
            items[-1][1].append(line)
    made = []
    for text, rest in items:
        inner = ""
        if rest and _ITEM.match(rest[0]):
            inner = _list(rest, depth + 1)
        elif rest:
            text = "\n".join([text, *(line.strip() for line in rest)])
        made.append(f"<li>{_inline(text)}{inner}</li>")
    return f"<{kind}>{''.join(made)}</{kind}>"


def _table(head: str, rows: list[str]) -> str:
    cells = "".join(f'<th scope="col">{_inline(cell)}</th>' for cell in _cells(head))
    body = "".join(
        f"<tr>{''.join(f'<td>{_inline(cell)}</td>' for cell in _cells(row))}</tr>" for row in rows
    )
    table = f"<table><thead><tr>{cells}</tr></thead><tbody>{body}</tbody></table>"
    return f'<div class="scroll" tabindex="0" role="region" aria-label="Table">{table}</div>'


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().removeprefix("|").removesuffix("|").split("|")]


def _inline(text: str) -> str:
    """A line's marks: code first, in which there are no others."""
    if len(text) > _LONGEST:
        return str(escape(text))
    made, at = [], 0
    for found in _CODE.finditer(text):
        made.append(_marks(text[at : found.start()]))
        made.append(f"<code>{escape(found[2])}</code>")
        at = found.end()
    return "".join([*made, _marks(text[at:])])


def _marks(text: str) -> str:
    made, at = [], 0
    for found in _LINK.finditer(text):
        made.append(_emphasised(text[at : found.start()]))
        label, target = found[2] or found[3], found[3]
        if target.lower().startswith(_SCHEMES):
            link = f'<a href="{escape(target)}" rel="noopener noreferrer nofollow">'
            made.append(f"{link}{escape(label)}</a>")
        else:
            made.append(str(escape(found[0])))
        at = found.end()
    return "".join([*made, _emphasised(text[at:])])


def _emphasised(text: str) -> str:
    """Strong and emphasised words; emphasis is looked for between strong ones and in them."""
    escaped = str(escape(text))
    made, at = [], 0
    for found in _STRONG.finditer(escaped):
        made.append(_EMPHASIS.sub(_EM, escaped[at : found.start()]))
        made.append(f"<strong>{_EMPHASIS.sub(_EM, found[2])}</strong>")
        at = found.end()
    return "".join([*made, _EMPHASIS.sub(_EM, escaped[at:])])
