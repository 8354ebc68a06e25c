"""Printing: text, tables, JSON, Markdown, colour, the pager and progress.

What comes from a repository was written by somebody else: it goes through ``safe`` or
``one_line`` before a terminal sees it, so that a run's name can't move the cursor.
"""

from __future__ import annotations

import json
import math
import re
import shutil
import sys
import time
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import click

from mlgit import settings
from mlgit.store.timeform import to_iso

_DEFAULT_PAGER = "less -FRX"
# Control characters but newline and tab, what turns the direction of text around, and
# halves of surrogate pairs (bytes that weren't UTF-8), which no terminal can be sent.
_UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)
# An underscore inside a word means nothing in GitHub's Markdown.
_MD_SPECIAL = re.compile(r"([\\`*\[\]|<>]|(?<![^\W_])_|_(?![^\W_]))")
_UNITS = ((86400 * 365, "year"), (86400 * 30, "month"), (86400 * 7, "week"), (86400, "day"))
_SMALL_UNITS = ((3600, "hour"), (60, "minute"), (1, "second"))


# -- text


def safe(text: object) -> str:
    """Text that a terminal only shows: control characters are written as escapes."""
    return _UNSAFE.sub(_escape, str(text))


def one_line(text: object) -> str:
    """The same on one line: newlines and tabs are written as escapes too."""
    return safe(text).replace("\n", "\\n").replace("\t", "\\t")


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def markdown(text: object) -> str:
    """Text for a cell or line of Markdown, shown as it is: no markup, no HTML."""
    return _MD_SPECIAL.sub(r"\\\1", one_line(text)).replace("\\<", "&lt;").replace("\\>", "&gt;")


def width(text: str) -> int:
    """How many columns of a terminal a line takes; East Asian wide characters take two."""
    if text.isascii():
        return len(text)
    plain = click.unstyle(text)
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1
        for c in plain
    )


def shortened(text: str, limit: int) -> str:
    """The text, cut to a number of characters."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def number(value: float) -> str:
    """A metric's value for a person: six significant digits."""
    if math.isfinite(value) and value == int(value) and abs(value) < 1e15:
        return str(int(value))
    return f"{value:.6g}"


def size(count: int | None) -> str:
    """A number of bytes for a person."""
    if count is None:
        return ""
    amount = float(count)
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if amount < 1024 or unit == "TiB":
            return f"{count} B" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1024
    return ""


def plural(count: int, noun: str) -> str:
    """A number and its noun: "1 run", "2 runs"."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


# -- times


def iso(milliseconds: int | None) -> str | int | None:
    """A time as ISO 8601 in UTC; None stays None."""
    return None if milliseconds is None else to_iso(milliseconds)


def age(milliseconds: int | None, now: float | None = None) -> str:
    """How long ago a time is, in its largest unit."""
    if milliseconds is None:
        return ""
    seconds = (time.time() if now is None else now) - milliseconds / 1000
    if seconds < 0:
        return str(to_iso(milliseconds))
    for unit, name in (*_UNITS, *_SMALL_UNITS):
        if seconds >= unit:
            return plural(int(seconds // unit), name) + " ago"
    return "just now"


def duration(milliseconds: int | None) -> str:
    """A length of time for a person."""
    if milliseconds is None or milliseconds < 0:
        return ""
    if milliseconds < 60_000:
        return f"{milliseconds / 1000:.1f}s"
    minutes, seconds = divmod(milliseconds // 1000, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h {minutes:02d}m" if hours else f"{minutes}m {seconds:02d}s"


def times(**moments: int | None) -> dict[str, Any]:
    """Times for JSON: each as ISO 8601, and as ``<name>_ms`` in milliseconds since 1970."""
    found: dict[str, Any] = {}
    for name, value in moments.items():
        found[name] = iso(value)
        found[f"{name}_ms"] = value
    return found


# -- tables and JSON


def table(headers: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> str:
    """A table for a terminal.

    Args:
        headers: The columns' names.
        rows: Cells that are safe to print, colours included.
        right: Which columns are aligned to the right.
    """
    # As a row: tabulate makes a column wider than its header by two.
    return _tabulate((), [headers, *rows], right, "plain")


def markdown_table(
    headers: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int] = ()
) -> str:
    """A table in GitHub's Markdown, from cells that went through ``markdown``."""
    return _tabulate(headers, rows, right, "github")


def _tabulate(
    headers: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int], form: str
) -> str:
    # Imported here: it takes longer to load than most commands take to run.
    from tabulate import tabulate

    columns = len(headers or rows[0])
    align = ["right" if i in right else "left" for i in range(columns)]
    text = tabulate(
        [list(row) for row in rows],
        headers=list(headers),
        tablefmt=form,
        disable_numparse=True,
        colalign=align if rows else None,
    )
    return "\n".join(line.rstrip() for line in str(text).splitlines())


def to_json(data: object) -> str:
    """JSON that any reader takes: NaN and infinities are the strings that MLflow uses."""
    return json.dumps(_finite(data), indent=2, allow_nan=False)


def _finite(data: object) -> object:
    if isinstance(data, float) and not math.isfinite(data):
        return "NaN" if data != data else "Infinity" if data > 0 else "-Infinity"
    if isinstance(data, dict):
        return {str(key): _finite(value) for key, value in data.items()}
    if isinstance(data, (list, tuple)):
        return [_finite(item) for item in data]
    return data


# -- where it goes


class Output:
    """Where a command prints to.

    Args:
        color: "auto" (on a terminal, unless NO_COLOR is set), "always" or "never".
        pager: Whether output longer than the terminal may go through a pager.
        quiet: Leave out what isn't data or an error.
    """

    def __init__(self, color: str = "auto", pager: bool = True, quiet: bool = False) -> None:
        self.is_terminal = sys.stdout.isatty()
        self.color = color == "always" or (
            color == "auto" and self.is_terminal and not settings.no_color()
        )
        self.pager = pager and self.is_terminal
        self.quiet = quiet

    def style(self, text: str, color: str | None = None, *, bold: bool = False) -> str:
        """Text in a colour, where colours are wanted."""
        return click.style(text, fg=color, bold=bold or None) if self.color else text

    def columns(self) -> int | None:
        """The terminal's width, or None where there is no terminal to fit."""
        return shutil.get_terminal_size().columns if self.is_terminal else None

    def text(self, text: str) -> None:
        """Print a command's result, through the pager if it is longer than the terminal."""
        if self.pager and text.count("\n") + 1 >= shutil.get_terminal_size().lines:
            if _page(text):
                return
        click.echo(text, color=self.color)

    def json(self, data: object) -> None:
        """Print a command's result as JSON."""
        self.text(to_json(data))

    def say(self, message: str) -> None:
        """Print what was done, unless told to be quiet."""
        if not self.quiet:
            click.echo(message, color=self.color)

    def note(self, message: str) -> None:
        """Print a remark next to the result, unless told to be quiet."""
        if not self.quiet:
            click.echo(message, err=True)

    def shows_progress(self) -> bool:
        """Whether somebody watches who may be shown how far a job is."""
        return sys.stderr.isatty() and not self.quiet

    @contextmanager
    def progress(
        self, what: str, *, in_bytes: bool = False
    ) -> Iterator[Callable[[int, int], None]]:
        """A bar on a terminal for what takes more than a second, a line now and then in a log.

        Args:
            what: The job.
            in_bytes: What is counted are bytes.

        Yields:
            To be called with how many of how many are done.
        """
        if self.quiet:
            yield lambda done, total: None
            return
        from mlgit.cli.progress import Progress

        shown = Progress(what, in_bytes)
        try:
            yield shown.update
        finally:
            shown.close()


def _page(text: str) -> bool:
    """Show text in the pager; False where there is none."""
    chosen = settings.pager()
    command = _DEFAULT_PAGER if chosen is None else chosen
    if command.strip() in ("", "cat"):
        return False
    import subprocess

    try:
        process = subprocess.Popen(command, shell=True, stdin=subprocess.PIPE)
    except OSError:
        return False
    try:
        process.communicate((text + "\n").encode("utf-8", "backslashreplace"))
    except BrokenPipeError:
        pass
    except KeyboardInterrupt:
        process.wait()  # Ctrl-C is the pager's while it is shown
    # The shell's answers for "can't run" and "not found".
    return process.returncode not in (126, 127)
