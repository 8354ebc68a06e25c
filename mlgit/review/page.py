"""A comparison as one HTML file: no script, nothing from the network, light and dark.

Whatever a run logged is shown as text. The page's content security policy allows its own style
sheet and images that stand in the page, and nothing else.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Collection, Sequence

from mlgit.review.artifacts import ArtifactChange
from mlgit.review.code import CodeComparison, FileChange
from mlgit.review.compare import SECTIONS, Comparison, RunComparison
from mlgit.review.previews import Preview
from mlgit.review.show import (
    Cell,
    Table,
    code_line,
    data_table,
    facts,
    file_line,
    hidden,
    plural,
    tables,
    visible,
)
from mlgit.review.svg import figure

# Gives what can be shown of an artifact, as ``previews.preview`` does.
Previewer = Callable[[ArtifactChange], Preview | None]
_MAX_CELL = 2000
_MAX_PREVIEWS = 100
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'"
_LINES = {"+": "add", "-": "del", "@": "hunk"}
STYLE = """
:root{color-scheme:light dark;--back:#fff;--text:#1f2328;--faint:#59636e;--line:#d1d9e0;
--soft:#f6f8fa;--good:#116329;--bad:#a40e26;--old:#6e7781;--new:#0550ae;--add:#dafbe1;--del:#ffebe9}
@media(prefers-color-scheme:dark){:root{--back:#0d1117;--text:#e6edf3;--faint:#9198a1;
--line:#3d444d;--soft:#151b23;--good:#56d364;--bad:#ff9492;--old:#9198a1;--new:#79c0ff;
--add:#12261e;--del:#25171c}}
body{background:var(--back);color:var(--text);font:16px/1.5 system-ui,sans-serif;margin:0 auto;
max-width:70rem;padding:1rem}
h1{font-size:1.5rem}h2{font-size:1.2rem;margin-top:2rem}
.wide{overflow-x:auto}table{border-collapse:collapse;margin:.5rem 0}
caption{text-align:left;font-weight:600;padding:.3rem 0}
th,td{border:1px solid var(--line);padding:.25rem .6rem;text-align:left;vertical-align:top;
overflow-wrap:anywhere;white-space:pre-wrap}
thead th{background:var(--soft)}tbody th{font-weight:400}.right{text-align:right}
code,pre{font-family:ui-monospace,monospace;font-size:.9em}
.good{color:var(--good)}.bad{color:var(--bad)}.faint,figcaption span{color:var(--faint)}
pre{background:var(--soft);overflow-x:auto;padding:.6rem}
pre .add{background:var(--add)}pre .del{background:var(--del)}pre .hunk{color:var(--faint)}
details{margin:.4rem 0}summary{cursor:pointer;overflow-wrap:anywhere}
figure{margin:1rem 0}svg{max-width:100%;height:auto}
svg path{fill:none;stroke-width:2;stroke-linecap:round;stroke-linejoin:round}
svg .old{stroke:var(--old);stroke-dasharray:6 3}svg .new{stroke:var(--new)}
svg .grid{stroke:var(--line)}svg text{fill:var(--faint);font-size:12px}
.pair{display:flex;flex-wrap:wrap;gap:1rem}.pair img{max-width:30rem;width:100%}
""".strip()


def to_html(
    comparison: Comparison,
    sections: Collection[str] = SECTIONS,
    *,
    everything: bool = False,
    stat: bool = False,
    headline: str = "",
    tone: str = "",
    remarks: Sequence[str] = (),
    previewer: Previewer = lambda change: None,
) -> str:
    """A comparison as a page.

    Args:
        comparison: What to show.
        sections: Which sections, out of ``compare.SECTIONS``.
        everything: Show params and the like that didn't change too.
        stat: Name the files of the code, without their diffs.
        headline: What to say first.
        tone: Whether that is "good" or "bad"; "" for neither.
        remarks: What to say below it.
        previewer: Gives what can be shown of an artifact.
    """
    title = f"{comparison.a.label} → {comparison.b.label}"
    body = fragment(
        comparison,
        sections,
        everything=everything,
        stat=stat,
        headline=headline or title,
        tone=tone,
        remarks=remarks,
        previewer=previewer,
    )
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{text(title)}</title>\n<style>\n{STYLE}\n</style>\n</head>\n"
        f"<body>\n<main>\n{body}\n</main>\n</body>\n</html>\n"
    )


def fragment(
    comparison: Comparison,
    sections: Collection[str] = SECTIONS,
    *,
    everything: bool = False,
    stat: bool = False,
    headline: str = "",
    tone: str = "",
    remarks: Sequence[str] = (),
    previewer: Previewer = lambda change: None,
) -> str:
    """What is in the body of the page; the arguments are those of ``to_html``."""
    toned = f' class="{tone}"' if tone else ""
    parts = [f"<h1{toned}>{text(headline)}</h1>"] if headline else []
    if remarks:
        items = "".join(f"<li>{text(remark)}</li>" for remark in remarks)
        parts.append(f"<ul>{items}</ul>")
    parts.append(_sides(comparison))
    left_out = 0
    for run in comparison.runs:
        found = tables(run, sections, everything)
        left_out += hidden(found)
        parts += _run(run, found, sections, len(comparison.runs) > 1, previewer)
    if "data" in sections and comparison.data:
        parts.append(table(data_table(comparison.data)))
    if "code" in sections:
        parts += _code(comparison.code, stat)
    if not comparison.differs(sections):
        parts.append("<p>Nothing differs.</p>")
    if left_out:
        parts.append(f'<p class="faint">{plural(left_out, "equal value")} not shown.</p>')
    return "\n".join(parts)


def text(anything: str) -> str:
    """Text as HTML that shows it as it is: no markup, nothing that turns its direction."""
    return html.escape(visible(anything))


def table(found: Table) -> str:
    """A table with its caption; the first cell of each row is its heading."""
    if not found.rows:
        return f"<h2>{text(found.title)}</h2>\n<p>{text(found.note)}</p>"
    heads = "".join(
        f'<th scope="col"{_right(found, n)}>{text(head)}</th>' if head else "<td></td>"
        for n, head in enumerate(found.headers)
    )
    rows = "\n".join(
        "<tr>" + "".join(_cell(found, n, cell) for n, cell in enumerate(row)) + "</tr>"
        for row in found.rows
    )
    return (
        f'<div class="wide" tabindex="0" role="region" aria-label="{text(found.title)}"><table>'
        f"<caption>{text(found.title)}</caption>\n<thead><tr>{heads}</tr></thead>\n"
        f"<tbody>\n{rows}\n</tbody></table></div>"
    )


def _right(found: Table, column: int) -> str:
    return ' class="right"' if column in found.right else ""


def _cell(found: Table, column: int, cell: Cell) -> str:
    shown = cell.text if len(cell.text) <= _MAX_CELL else cell.text[: _MAX_CELL - 1] + "…"
    inner = f"<code>{text(shown)}</code>" if cell.given else text(shown)
    if column == 0:
        return f'<th scope="row">{inner}</th>'
    classes = [c for c in (cell.tone, "right" if column in found.right else "") if c]
    return f'<td class="{" ".join(classes)}">{inner}</td>' if classes else f"<td>{inner}</td>"


def _sides(comparison: Comparison) -> str:
    single = len(comparison.runs) == 1
    rows = []
    for name, revision in (("old", comparison.a), ("new", comparison.b)):
        run = getattr(comparison.runs[0], name) if single else None
        about = facts(run) if run is not None else ""
        rows.append((Cell(name), Cell(revision.label, given=True), Cell(about, given=bool(about))))
    return table(Table("Revisions", ("side", "revision", "run"), rows))


def _run(
    run: RunComparison,
    found: Sequence[Table],
    sections: Collection[str],
    named: bool,
    previewer: Previewer,
) -> list[str]:
    parts = []
    if named:
        sides = f"{facts(run.old)} → {facts(run.new)}"
        parts.append(f"<h2>Experiment <code>{text(run.folder)}</code></h2><p>{text(sides)}</p>")
    for one in found:
        if not one.rows and not one.note:
            continue
        parts.append(table(one))
        if one.title == "Artifacts":
            parts += _previews(run.artifacts, previewer)
    drawn = (
        [figure(curve) for curve in run.curves if not curve.is_same]
        if "metrics" in sections
        else []
    )
    shown = [one for one in drawn if one is not None]
    if shown:
        parts.append("<h2>Curves</h2>\n<p>dashed: old, solid: new</p>\n" + "\n".join(shown))
    return parts


def _previews(changes: Sequence[ArtifactChange], previewer: Previewer) -> list[str]:
    found: list[str] = []
    for change in changes:
        if len(found) == _MAX_PREVIEWS:
            break
        seen = previewer(change)
        if seen is None:
            continue
        if seen.diff is not None:
            inner = _diff(seen.diff.text)
        else:
            inner = '<div class="pair">' + "".join(
                f"<figure><figcaption>{side}</figcaption>"
                f'<img src="{url}" alt="{text(change.path)}, {side}"></figure>'
                for side, url in (("old", seen.old), ("new", seen.new))
                if url
            )
            inner += "</div>"
        opened = " open" if seen.diff is None else ""
        found.append(
            f"<details{opened}><summary><code>{text(change.path)}</code></summary>{inner}</details>"
        )
    return found


def _code(code: CodeComparison, stat: bool) -> list[str]:
    title = code_line(code)
    if not title:
        return []
    parts = [f"<h2>{text(title)}</h2>"]
    for change in code.files:
        path, what = file_line(change)
        label = f"<code>{text(path)}</code> ({text(what)})"
        if stat or not change.diff:
            parts.append(f"<p>{label}</p>")
        else:
            parts.append(_file(change, label))
    return parts


def _file(change: FileChange, label: str) -> str:
    return f"<details><summary>{label}</summary>{_diff(change.diff)}</details>"


def _diff(diff: str) -> str:
    lines = []
    for line in diff.rstrip("\n").split("\n"):
        shown = "\t".join(text(part) for part in line.split("\t"))
        css = "" if line.startswith(("+++ ", "--- ")) else _LINES.get(line[:1], "")
        lines.append(f'<span class="{css}">{shown}</span>' if css else shown)
    return '<pre tabindex="0">' + "\n".join(lines) + "</pre>"
