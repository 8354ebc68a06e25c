"""docs/cli.md, made from the commands' help: ``python -m mlgit.cli.reference > docs/cli.md``."""

from __future__ import annotations

from collections.abc import Iterator

import click

from mlgit.cli.errors import MEANINGS
from mlgit.cli.main import cli

_HEAD = """\
# The command line

Made from the commands' help by `python -m mlgit.cli.reference > docs/cli.md`.

Every command that prints data takes `--json`: an object, or an array of objects, whose
keys stay. Times are ISO 8601 in UTC, and again in milliseconds since 1970 under a key that
ends in `_ms`. NaN and infinities are the strings `"NaN"`, `"Infinity"`, `"-Infinity"`.
Control characters in what a repository holds are shown as escapes.

Output longer than the terminal goes through a pager: `MLGIT_PAGER`, `GIT_PAGER` or `PAGER`,
else `less -FRX`. `NO_COLOR` turns colours off.
"""


def reference() -> str:
    """The whole of docs/cli.md."""
    codes = [f"| {code} | {meaning} |" for code, meaning in sorted(MEANINGS.items())]
    parts = [_HEAD, "Exit codes (docs/errors.md):\n"]
    parts.append("\n".join(["| code | meaning |", "|---|---|", *codes]) + "\n")
    context = click.Context(cli, info_name="mlgit", terminal_width=90, max_content_width=90)
    context.help_option_names = ["-h", "--help"]
    parts += _sections(cli, context)
    return "\n".join(parts)


def _sections(command: click.Command, context: click.Context) -> Iterator[str]:
    yield f"## {context.command_path}\n\n```\n{command.get_help(context)}\n```\n"
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            if found is not None and not found.hidden:
                yield from _sections(found, click.Context(found, parent=context, info_name=name))


if __name__ == "__main__":
    print(reference(), end="")
