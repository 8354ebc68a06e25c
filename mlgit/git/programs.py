"""Running the programs that Git itself uses: ``git``, ``ssh-keygen``, ``gpg``."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Sequence

from mlgit import settings
from mlgit.exceptions import MissingDependency


def run(
    command: Sequence[str],
    data: bytes = b"",
    *,
    hint: str,
    cwd: str | None = None,
    show: bool = False,
) -> tuple[int, str, str]:
    """Run a program to its end.

    Args:
        command: The program and its arguments.
        data: What it reads.
        hint: What to do where the program isn't there.
        cwd: The folder that it is run in.
        show: Let it talk to the terminal.

    Returns:
        Its exit code, what it printed, and what it said of errors.

    Raises:
        MissingDependency: It can't be run.
    """
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE if data else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=None if show else subprocess.PIPE,
            cwd=cwd,
            env=settings.untranslated(),
        )
    except OSError as error:
        raise MissingDependency(f"Can't run {command[0]}: {error.strerror}", hint=hint) from error
    with process:
        try:
            out, err = process.communicate(data or None)
        except BaseException:
            # Ctrl-C: the program gets it too, and removes what it was writing.
            process.send_signal(signal.SIGTERM)
            process.wait()
            raise
    return process.returncode, os.fsdecode(out), os.fsdecode(err or b"")
