"""How far a job is: a bar on a terminal, a line now and then in a log."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import click

# Seconds: before anything is shown, between two changes of the bar, and between lines of a log.
_PATIENCE = 1.0
_REFRESH = 0.1
_FIRST_LINE = 10.0
_NEXT_LINE = 30.0
_BAR = 20


class Progress:
    """Tells how far one job is, on stderr.

    Args:
        what: The job, "Uploading artifacts".
        in_bytes: What is counted are bytes.
        is_terminal: Show a bar that moves, else lines.
        clock: Gives the time in seconds.
    """

    def __init__(
        self,
        what: str,
        in_bytes: bool = False,
        is_terminal: bool | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.what = what
        self.in_bytes = in_bytes
        self.is_terminal = sys.stderr.isatty() if is_terminal is None else is_terminal
        self.clock = clock
        self.started = clock()
        self.next = self.started + (_PATIENCE if self.is_terminal else _FIRST_LINE)
        self.first: tuple[float, int] | None = None
        self.shown = False

    def update(self, done: int, total: int) -> None:
        """To be called with how many of how many are done, as often as one likes."""
        now = self.clock()
        if self.first is None or done < self.first[1]:
            self.first = (now, done)
        if now < self.next:
            return
        if self.is_terminal:
            click.echo(f"\r{self._line(now, done, total)}\x1b[K", nl=False, err=True, color=True)
            self.next = now + _REFRESH
        else:
            click.echo(self._line(now, done, total), err=True)
            self.next = now + _NEXT_LINE
        self.shown = True

    def close(self) -> None:
        """Take the bar away."""
        if self.shown and self.is_terminal:
            click.echo("\r\x1b[K", nl=False, err=True, color=True)

    def _line(self, now: float, done: int, total: int) -> str:
        began, before = self.first or (now, done)
        rate = (done - before) / (now - began) if now > began else 0.0
        parts = [f"{self._amount(done)} of {self._amount(total)}"]
        if rate > 0:
            parts.append(f"{self._amount(rate)}/s" if self.in_bytes else f"{rate:,.0f}/s")
            if total > done:
                parts.append(f"{_clock((total - done) / rate)} left")
        full = round(_BAR * min(1.0, done / total)) if total > 0 else 0
        bar = f" [{'#' * full}{'.' * (_BAR - full)}]" if self.is_terminal and total > 0 else ""
        return f"{self.what}:{bar} {', '.join(parts)}"

    def _amount(self, count: float) -> str:
        from mlgit.cli.output import size

        return (size(int(count)) or "0 B") if self.in_bytes else str(int(count))


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds + 0.5), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
