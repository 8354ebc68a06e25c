"""The tests that a version must pass: commands of the team's, run by the shell."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

from mlgit import settings
from mlgit.exceptions import InvalidState, from_os_error
from mlgit.registry.guards import TESTS, Result, Subject

# The end of what a command printed that is kept to be shown.
_TAIL = 64 * 1024
_GRACE = 5.0


def run_tests(subject: Subject, command: str) -> Result:
    """Run a command in the worktree and say whether it succeeded.

    It has ``MLGIT_MODEL_NAME``, ``MLGIT_MODEL_VERSION``, ``MLGIT_MODEL_URI`` and ``MLGIT_RUN_ID``
    in its environment, and no input. It is a process group of its own, which ends with this
    process's interest in it: by Ctrl-C as by any other exception.

    Args:
        subject: The version.
        command: For ``sh -c``.

    Raises:
        InvalidState: The repository has no worktree.
        StorageError, PermissionDenied: The shell can't be started.
    """
    repo = subject.store.repo
    if repo.worktree is None:
        raise InvalidState(
            f"{command!r} can't be run: the repository has no worktree",
            hint="promote from a clone with files",
        )
    name, number = subject.state.name, subject.number
    variables = {
        "MLGIT_MODEL_NAME": name,
        "MLGIT_MODEL_VERSION": str(number),
        "MLGIT_MODEL_URI": f"models:/{name}/{number}",
        "MLGIT_RUN_ID": subject.run_id or "",
    }
    began = time.monotonic()
    with tempfile.TemporaryFile() as output:
        status = _run(command, repo.worktree, variables, output)
        text = _tail(output)
    seconds = round(time.monotonic() - began, 3)
    figures: dict[str, Any] = {"exit_status": status, "seconds": seconds}
    if commit := repo.head().commit:
        figures["commit"] = commit
    ended = f"signal {-status}" if status < 0 else f"exit status {status}"
    return Result(
        TESTS, command, status == 0, f"{ended} after {seconds:.1f} s", figures, output=text
    )


def _run(command: str, folder: str, variables: dict[str, str], output: BinaryIO) -> int:
    """The exit status; minus the signal's number where one ended it."""
    with _interrupts_wait() as interrupted:
        try:
            process = subprocess.Popen(
                ["sh", "-c", command],
                cwd=folder,
                env=settings.with_changes(variables),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            raise from_os_error(error, f"run {command!r}") from error
        try:
            interrupted()
            return process.wait()
        except BaseException:
            _end(process)
            raise


@contextmanager
def _interrupts_wait() -> Iterator[Callable[[], None]]:
    """Let Ctrl-C wait while a process is started: it would go on, and nobody would know it.

    Yields:
        To be called when it is known: from then on Ctrl-C is what it was, and one that came
        meanwhile is raised.
    """
    before = signal.getsignal(signal.SIGINT)
    ours = threading.current_thread() is threading.main_thread() and callable(before)
    came: list[int] = []

    def over() -> None:
        if ours:
            signal.signal(signal.SIGINT, before)
        if came:
            raise KeyboardInterrupt

    if ours:
        signal.signal(signal.SIGINT, lambda number, frame: came.append(number))
    try:
        yield over
    finally:
        if ours:
            signal.signal(signal.SIGINT, before)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a process and all that it started, gently first."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
        except (ProcessLookupError, PermissionError):
            pass
        try:
            process.wait(_GRACE)
        except subprocess.TimeoutExpired:
            continue
        return


def _tail(output: BinaryIO) -> str:
    size = output.seek(0, os.SEEK_END)
    output.seek(max(0, size - _TAIL))
    text = output.read().decode("utf-8", "replace")
    return f"…{text}" if size > _TAIL else text
