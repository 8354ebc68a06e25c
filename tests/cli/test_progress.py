"""How far a job is: what is shown, where, and when."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from mlgit.cli.output import Output
from mlgit.cli.progress import Progress


def play(
    capsys: pytest.CaptureFixture[str], terminal: bool, in_bytes: bool = False
) -> Callable[[float, int, int], str]:
    """Moves a clock, reports, and gives what was printed."""
    now = [100.0]
    progress = Progress("Uploading", in_bytes, terminal, lambda: now[0])

    def at(seconds: float, done: int, total: int) -> str:
        now[0] = 100.0 + seconds
        progress.update(done, total)
        out, err = capsys.readouterr()
        assert out == ""
        return err

    return at


def test_a_bar_with_rate_and_remaining_time(capsys: pytest.CaptureFixture[str]) -> None:
    at = play(capsys, True, True)
    assert at(0, 0, 40 << 20) == "", "nothing for what is done in a second"
    assert at(0.9, 1 << 20, 40 << 20) == ""
    shown = at(2, 10 << 20, 40 << 20)
    assert shown == (
        "\rUploading: [#####...............] 10.0 MiB of 40.0 MiB, 5.0 MiB/s, 0:06 left\x1b[K"
    )
    assert at(2.05, 11 << 20, 40 << 20) == "", "not more than ten times a second"
    assert "40.0 MiB of 40.0 MiB" in at(4, 40 << 20, 40 << 20)


def test_a_line_now_and_then_in_a_log(capsys: pytest.CaptureFixture[str]) -> None:
    at = play(capsys, False)
    assert at(0, 0, 1000) == at(9, 90, 1000) == ""
    assert at(10, 100, 1000) == "Uploading: 100 of 1000, 10/s, 1:30 left\n"
    assert at(39, 390, 1000) == ""
    assert at(40, 400, 1000) == "Uploading: 400 of 1000, 10/s, 1:00 left\n"


def test_nothing_to_do_and_no_rate(capsys: pytest.CaptureFixture[str]) -> None:
    at = play(capsys, True)
    assert at(5, 0, 0) == "\rUploading: 0 of 0\x1b[K"
    at = play(capsys, False)
    at(0, 5, 10_000_000)
    assert at(3600, 6, 10_000_000).count("left") == 1


def test_none_when_quiet(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mlgit.cli.progress._FIRST_LINE", 0.0)
    for quiet, lines in ((True, 0), (False, 1)):
        with Output(quiet=quiet).progress("Adding") as progress:
            progress(1, 2)
        assert capsys.readouterr().err.count("Adding: 1 of 2") == lines
