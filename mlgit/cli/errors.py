"""Exit codes, mapped once (docs/errors.md), and how an error is shown to a person."""

from __future__ import annotations

import click

from mlgit.exceptions import MlgitException, NotARepository

OK = 0
FOUND = 1
USAGE = 2
INTERNAL = 70
NO_REPOSITORY = 128
INTERRUPTED = 130

# What each exit code says; docs/errors.md has the same table.
MEANINGS = {
    OK: "it worked",
    FOUND: "it worked, and found what it was asked to look for: problems, a difference",
    USAGE: "the command line, or an argument's value, can't be right",
    3: "no such run, experiment, artifact or file",
    4: "the name is taken, or something is in a state that doesn't allow it",
    5: "data is damaged",
    6: "this version, or what is installed, can't do it",
    7: "the file system, a remote or a rule refused, or a disk is full",
    8: "a remote doesn't answer, or broke off",
    INTERNAL: "anything else: most likely a bug of mlgit's",
    NO_REPOSITORY: "not in a Git repository",
    INTERRUPTED: "interrupted by Ctrl-C",
}

EXIT_CODES = {
    "BAD_REQUEST": USAGE,
    "INVALID_PARAMETER_VALUE": USAGE,
    "RESOURCE_DOES_NOT_EXIST": 3,
    "RESOURCE_ALREADY_EXISTS": 4,
    "RESOURCE_CONFLICT": 4,
    "INVALID_STATE": 4,
    "DATA_LOSS": 5,
    "NOT_IMPLEMENTED": 6,
    "FAILED_PRECONDITION": 6,
    "PERMISSION_DENIED": 7,
    "RESOURCE_EXHAUSTED": 7,
    "TEMPORARILY_UNAVAILABLE": 8,
    "INTERNAL_ERROR": INTERNAL,
}


def exit_code(error: Exception) -> int:
    """The exit code of an error."""
    if isinstance(error, NotARepository):
        return NO_REPOSITORY
    if isinstance(error, MlgitException):
        return EXIT_CODES.get(error.error_code, INTERNAL)
    if isinstance(error, click.ClickException):
        return error.exit_code
    return INTERNAL


def explain(error: Exception) -> tuple[str, str]:
    """What is wrong, and what to do about it ("" where nothing is known)."""
    if isinstance(error, MlgitException):
        return error.message, error.hint
    if isinstance(error, click.UsageError):
        path = error.ctx.command_path if error.ctx else "mlgit"
        return error.format_message(), f"'{path} --help' says what can be given"
    if isinstance(error, click.ClickException):
        return error.format_message(), ""
    return (
        f"{type(error).__name__}: {error}",
        "this looks like a bug of mlgit's: please report it with the lines above",
    )
